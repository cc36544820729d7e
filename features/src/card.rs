//! What is remembered of one card: its amounts, its events, the outlets it visited. At most
//! 12 KiB a card. Everything read here was there before the payment that is being judged.

use serde::{Deserialize, Serialize};

use crate::schema::{LENGTHS_MAX, Length};
use crate::windows::{NO_KEY, Totals, Trail};

/// The memory of one card, or of another payer.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Card {
    history: History,
    trail: Trail,
    visits: Vec<Visit>,
    /// Event time of the payment that arrived last.
    last_ts: Option<i64>,
}

/// What a card's past says about a payment at `ts`. Logarithms are ln(1 + major units).
pub(crate) struct CardReading {
    /// Earlier payments, capped.
    pub(crate) count: f64,
    pub(crate) log_mean: f64,
    pub(crate) log_sd: f64,
    /// Logarithm of the mean amount, median and maximum of the last 64 logarithms.
    pub(crate) mean_log: f64,
    pub(crate) median_log: f64,
    pub(crate) max_log: f64,
    /// Milliseconds since the previous payment.
    pub(crate) gap_ms: Option<i64>,
    pub(crate) visits: u16,
    /// Milliseconds since the last visit to the outlet.
    pub(crate) visit_gap_ms: Option<i64>,
}

/// The population's amount, which stands in for two payments of every card.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Prior {
    pub(crate) log_mean: f64,
    pub(crate) log_sd: f64,
}

impl Card {
    /// Reads what is known at `ts`. A late payment sees no event after its own time; the amount
    /// history and the visits have no time and count what arrived.
    pub(crate) fn read(&self, ts: i64, outlet: u64, prior: Prior) -> CardReading {
        let (log_mean, log_sd) = self.history.moments(prior);
        let (median_log, max_log) = self.history.median_and_max(prior.log_mean);
        let visit = self
            .visits
            .iter()
            .find(|visit| visit.outlet == outlet && outlet != NO_KEY);
        let last_ts = self
            .last_ts
            .filter(|last| *last <= ts)
            .or_else(|| self.trail.latest(ts));
        CardReading {
            count: f64::from(self.history.count),
            log_mean,
            log_sd,
            mean_log: match self.history.count {
                0 => prior.log_mean,
                _ => self.history.mean_amount.ln_1p(),
            },
            median_log,
            max_log,
            gap_ms: last_ts.map(|last| ts - last),
            visits: visit.map_or(0, |visit| visit.count),
            visit_gap_ms: visit.map(|visit| (ts - visit.last_ts).max(0)),
        }
    }

    /// Time of the newest event that is remembered.
    pub(crate) fn newest(&self) -> Option<i64> {
        self.trail.latest(i64::MAX)
    }

    /// Times of the events that are remembered and not after `ts`, the earliest first.
    pub(crate) fn times(&self, ts: i64) -> impl Iterator<Item = i64> {
        self.trail.times(ts)
    }

    /// Windows over what is remembered, see [`Trail::totals`].
    pub(crate) fn windows(&self, ts: i64, lengths: &[Length]) -> [Totals; LENGTHS_MAX] {
        self.trail.totals(ts, lengths)
    }

    /// Remembers a payment. `longest_ms` is the longest window that will be asked for.
    pub(crate) fn remember(&mut self, ts: i64, outlet: u64, amount: f64, longest_ms: i64) {
        self.history.remember(amount);
        self.trail.insert(ts, outlet, amount, longest_ms);
        self.last_ts = Some(ts);
        if outlet == NO_KEY {
            return;
        }
        if let Some(visit) = self.visits.iter_mut().find(|visit| visit.outlet == outlet) {
            visit.count = (visit.count + 1).min(VISITS_COUNTED_MAX);
            visit.last_ts = ts;
            return;
        }
        let visit = Visit {
            outlet,
            last_ts: ts,
            count: 1,
        };
        if self.visits.len() < OUTLETS_MAX {
            self.visits.push(visit);
        } else if let Some(oldest) = self.visits.iter_mut().min_by_key(|visit| visit.last_ts) {
            *oldest = visit;
        }
    }
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Visit {
    outlet: u64,
    last_ts: i64,
    count: u16,
}

/// Amounts in the order of arrival. Past [`COUNT_MAX`] payments the mean and variance forget
/// exponentially, so that no input grows for ever.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct History {
    count: u16,
    log_mean: f64,
    log_variance: f64,
    mean_amount: f64,
    /// The last logarithms, a ring once it is full.
    recent: Vec<f32>,
    next: u8,
}

impl History {
    fn remember(&mut self, amount: f64) {
        self.count = (self.count + 1).min(COUNT_MAX);
        let weight = 1.0 / f64::from(self.count);
        let log = amount.ln_1p();
        let off = log - self.log_mean;
        self.log_mean += off * weight;
        // Welford 1962, as a mean of squares.
        self.log_variance += (off * (log - self.log_mean) - self.log_variance) * weight;
        self.mean_amount += (amount - self.mean_amount) * weight;
        if self.recent.len() < RECENT {
            self.recent.push(log as f32);
        } else if let Some(slot) = self.recent.get_mut(usize::from(self.next)) {
            *slot = log as f32;
            self.next = (self.next + 1) % RECENT as u8;
        }
    }

    /// Mean and standard deviation of the logarithms, the prior weighing two payments.
    fn moments(&self, prior: Prior) -> (f64, f64) {
        let count = f64::from(self.count);
        let total = count + PRIOR_WEIGHT;
        let mean = (count * self.log_mean + PRIOR_WEIGHT * prior.log_mean) / total;
        let between = count * PRIOR_WEIGHT / total * (self.log_mean - prior.log_mean).powi(2);
        let within = count * self.log_variance + PRIOR_WEIGHT * prior.log_sd.powi(2);
        (mean, ((within + between) / total).sqrt())
    }

    /// Median and maximum of the last 64 logarithms.
    fn median_and_max(&self, otherwise: f64) -> (f64, f64) {
        let mut sorted = [0.0_f32; RECENT];
        let Some(sorted) = sorted
            .get_mut(..self.recent.len())
            .filter(|s| !s.is_empty())
        else {
            return (otherwise, otherwise);
        };
        sorted.copy_from_slice(&self.recent);
        let max = sorted.iter().copied().fold(f32::MIN, f32::max);
        let half = sorted.len() / 2;
        let is_even = sorted.len().is_multiple_of(2);
        let (below, middle, _) = sorted.select_nth_unstable_by(half, f32::total_cmp);
        let upper = f64::from(*middle);
        let lower = below.iter().copied().fold(f32::MIN, f32::max);
        let median = if is_even {
            f64::midpoint(f64::from(lower), upper)
        } else {
            upper
        };
        (median, f64::from(max))
    }
}

/// Payments that the growing count, mean and variance weigh at most.
pub(crate) const COUNT_MAX: u16 = 256;
const RECENT: usize = 64;
const PRIOR_WEIGHT: f64 = 2.0;
/// Visits counted at one outlet, and outlets remembered; the one longest unseen goes first.
const VISITS_COUNTED_MAX: u16 = 256;
const OUTLETS_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    const PRIOR: Prior = Prior {
        log_mean: 3.5,
        log_sd: 1.0,
    };

    #[test]
    fn a_card_without_past_reads_as_the_population() {
        let reading = Card::default().read(0, 9, PRIOR);
        assert_eq!((reading.log_mean, reading.log_sd), (3.5, 1.0));
        assert_eq!(
            (reading.mean_log, reading.median_log, reading.max_log),
            (3.5, 3.5, 3.5)
        );
        assert_eq!(
            (reading.gap_ms, reading.visits, reading.visit_gap_ms),
            (None, 0, None)
        );
    }

    // numpy: logs = log1p([10, 20, 60]); with two pseudo-payments of mean 3.5 and sd 1 the
    // pooled population mean and sd are as below; median, max, log1p(mean) by definition.
    #[test]
    fn moments_match_the_reference() {
        let mut card = Card::default();
        for (ts, amount) in [(0, 10.0), (1_000, 20.0), (5_000, 60.0)] {
            card.remember(ts, 9, amount, 0);
        }
        let reading = card.read(6_000, 9, PRIOR);
        let logs = [11.0_f64.ln(), 21.0_f64.ln(), 61.0_f64.ln()];
        let mean = (logs.iter().sum::<f64>() + 7.0) / 5.0;
        let squares = logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>();
        let sd = ((squares + 2.0 * (1.0 + (3.5 - mean).powi(2))) / 5.0).sqrt();
        assert!((reading.log_mean - mean).abs() < 1e-12);
        assert!((reading.log_sd - sd).abs() < 1e-12);
        assert!((reading.median_log - logs[1]).abs() < 1e-6);
        assert!((reading.max_log - logs[2]).abs() < 1e-6);
        assert!((reading.mean_log - 31.0_f64.ln()).abs() < 1e-12);
        assert_eq!((reading.gap_ms, reading.visits), (Some(1_000), 3));
    }

    #[test]
    fn only_the_last_64_amounts_make_the_median() {
        let mut card = Card::default();
        for amount in (0..40).map(|_| 1_000.0).chain((0..64).map(f64::from)) {
            card.remember(0, NO_KEY, amount, 0);
        }
        let reading = card.read(0, NO_KEY, PRIOR);
        assert!((reading.max_log - 64.0_f64.ln()).abs() < 1e-6);
        let median = f64::midpoint(32.0_f64.ln(), 33.0_f64.ln());
        assert!((reading.median_log - median).abs() < 1e-6);
    }

    #[test]
    fn a_late_payment_measures_its_gap_backwards() {
        let mut card = Card::default();
        card.remember(1_000, 1, 5.0, 0);
        card.remember(9_000, 1, 5.0, 0);
        assert_eq!(card.read(4_000, 1, PRIOR).gap_ms, Some(3_000));
        assert_eq!(card.read(4_000, 1, PRIOR).visit_gap_ms, Some(0));
        assert_eq!(card.read(500, 1, PRIOR).gap_ms, None);
    }

    #[test]
    fn visits_are_bounded() {
        let mut card = Card::default();
        for outlet in 1..=1_000_u64 {
            card.remember(outlet as i64, outlet, 5.0, 0);
        }
        assert_eq!(card.visits.len(), OUTLETS_MAX);
        assert_eq!(card.read(2_000, 1_000, PRIOR).visits, 1);
        assert_eq!(card.read(2_000, 1, PRIOR).visits, 0);
        assert_eq!(card.history.count, COUNT_MAX);
    }
}
