//! What is remembered of one outlet (terminal, merchant or payee): stepped windows over its
//! payments and the bank's own verdicts on them. A verdict counts from the moment it was known,
//! and only for days older than the label delay.

use serde::{Deserialize, Serialize};

use crate::risk::{RISK_DAYS, RiskReading};
use crate::schema::{LENGTHS_MAX, Length};
use crate::transaction::{DAY_MS, HOUR_MS};
use crate::windows::{Steps, Totals};

/// The memory of one outlet, or of another who is paid: with the standard schema at most
/// 16 + 28 + 45 steps of 40 bytes (with a label delay of 7 days) and [`VERDICTS_MAX`] verdicts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Outlet {
    minutes: Steps,
    hours: Steps,
    days: Steps,
    /// In the order of transaction, then of the time when it was known.
    verdicts: Vec<Verdict>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Verdict {
    transaction: u64,
    known_at: i64,
    day: i32,
    is_fraud: bool,
}

/// How many steps of each width are kept: those of the longest window in them, and some for
/// payments that come late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Depth {
    minutes: u32,
    hours: u32,
    days: u32,
}

impl Depth {
    /// The depth for windows of these lengths and, where a label delay is given, for the risk.
    pub(crate) fn new(lengths: &[Length], label_delay_days: Option<u16>) -> Self {
        let mut depth = Self::default();
        for length in lengths {
            let steps = u32::try_from(length.ms / length.step_ms()).unwrap_or(u32::MAX);
            match length.step_ms() {
                HOUR_MS => depth.hours = depth.hours.max(steps + 4),
                DAY_MS => depth.days = depth.days.max(steps + 8),
                _ => depth.minutes = depth.minutes.max(steps + 4),
            }
        }
        if let Some(delay) = label_delay_days {
            let longest = RISK_DAYS.map(i32::unsigned_abs).into_iter().max();
            depth.days = depth.days.max(longest.unwrap_or(0) + 8) + u32::from(delay);
        }
        depth
    }
}

impl Outlet {
    pub(crate) fn new(depth: Depth) -> Self {
        Self {
            minutes: Steps::new(5 * HOUR_MS / 60, depth.minutes),
            hours: Steps::new(HOUR_MS, depth.hours),
            days: Steps::new(DAY_MS, depth.days),
            verdicts: Vec::new(),
        }
    }

    /// Windows in the steps of [`Length::step_ms`]; each reaches up to one step further back than
    /// its name says.
    pub(crate) fn windows(&self, ts: i64, lengths: &[Length]) -> [Totals; LENGTHS_MAX] {
        let mut windows = [Totals::default(); LENGTHS_MAX];
        for (window, length) in windows.iter_mut().zip(lengths) {
            let steps = match length.step_ms() {
                HOUR_MS => &self.hours,
                DAY_MS => &self.days,
                _ => &self.minutes,
            };
            *window = steps.totals(ts, length.ms / length.step_ms());
        }
        windows
    }

    /// Payments and known frauds of the days up to `last_day`, as known at `ts`.
    pub(crate) fn risk(&self, ts: i64, last_day: i32) -> RiskReading {
        let mut reading = RiskReading::default();
        let last = i64::from(last_day);
        for (days, cell) in RISK_DAYS.into_iter().zip(&mut reading.windows) {
            cell.0 = self.days.count(last - i64::from(days) + 1, last);
        }
        for group in self
            .verdicts
            .chunk_by(|a, b| a.transaction == b.transaction)
        {
            let known = group.iter().rev().find(|verdict| verdict.known_at <= ts);
            let Some(verdict) = known.filter(|verdict| verdict.is_fraud) else {
                continue;
            };
            for (days, cell) in RISK_DAYS.into_iter().zip(&mut reading.windows) {
                let age = last - i64::from(verdict.day);
                cell.1 += f64::from(u8::from((0..i64::from(days)).contains(&age)));
            }
        }
        reading
    }

    pub(crate) fn remember(&mut self, ts: i64, card: u64, amount: f64) {
        self.minutes.insert(ts, card, amount);
        self.hours.insert(ts, card, amount);
        self.days.insert(ts, card, amount);
    }

    /// Keeps a verdict. One of genuine matters only where fraud was said before: it withdraws.
    pub(crate) fn judge(&mut self, transaction: u64, day: i32, known_at: i64, is_fraud: bool) {
        let verdict = Verdict {
            transaction,
            known_at,
            day,
            is_fraud,
        };
        let start = self
            .verdicts
            .partition_point(|kept| kept.transaction < transaction);
        let is_known = self
            .verdicts
            .get(start)
            .is_some_and(|v| v.transaction == transaction);
        if !is_fraud && !is_known {
            return;
        }
        let at = self.verdicts.partition_point(|kept| kept <= &verdict);
        if at > 0 && self.verdicts.get(at - 1) == Some(&verdict) {
            return;
        }
        if self.verdicts.len() == VERDICTS_MAX {
            // One too many for a moment is no reason to double.
            self.verdicts.reserve_exact(1);
        }
        self.verdicts.insert(at, verdict);
        if self.verdicts.len() > VERDICTS_MAX {
            let oldest = self
                .verdicts
                .iter()
                .enumerate()
                .min_by_key(|(_, kept)| kept.day);
            if let Some(at) = oldest.map(|(at, _)| at) {
                self.verdicts.remove(at);
            }
        }
    }
}

/// Frauds remembered of one outlet. Beyond it the oldest day's goes: an outlet with 512 frauds
/// in the last 30 days looks as bad as one with more.
const VERDICTS_MAX: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    fn outlet() -> Outlet {
        Outlet::new(Depth::new(&[], Some(7)))
    }

    // 16 five-minute steps, 28 hours and 45 days are those of the standard schema.
    #[test]
    fn as_many_steps_are_kept_as_the_longest_window_needs() {
        let lengths = |texts: &[&str]| -> Vec<Length> {
            let read = texts.iter().map(|text| Length::parse(text).unwrap());
            read.collect()
        };
        let depth = |minutes, hours, days| Depth {
            minutes,
            hours,
            days,
        };
        let standard = lengths(&["1h", "1d", "7d", "30d"]);
        assert_eq!(Depth::new(&standard, Some(7)), depth(16, 28, 45));
        assert_eq!(Depth::new(&lengths(&["15m", "2d"]), None), depth(7, 52, 0));
        assert_eq!(Depth::new(&lengths(&["90d"]), Some(7)), depth(0, 0, 105));
        assert_eq!(Depth::new(&[], Some(7)), depth(0, 0, 45));
    }

    fn frauds(outlet: &Outlet, ts: i64, last_day: i32) -> [f64; 4] {
        outlet.risk(ts, last_day).windows.map(|(_, frauds)| frauds)
    }

    #[test]
    fn a_verdict_counts_once_known_and_in_its_windows() {
        let mut outlet = outlet();
        outlet.judge(5, 10, 1_000, true);
        assert_eq!(frauds(&outlet, 999, 10), [0.0; 4]);
        assert_eq!(frauds(&outlet, 1_000, 10), [1.0; 4]);
        assert_eq!(frauds(&outlet, 1_000, 11), [0.0, 1.0, 1.0, 1.0]);
        assert_eq!(frauds(&outlet, 1_000, 30), [0.0, 0.0, 1.0, 1.0]);
        assert_eq!(frauds(&outlet, 1_000, 39), [0.0, 0.0, 0.0, 1.0]);
        assert_eq!(frauds(&outlet, 1_000, 9), [0.0; 4]);
    }

    #[test]
    fn two_reports_of_one_fraud_count_once_and_a_withdrawal_takes_it_back() {
        let mut outlet = outlet();
        outlet.judge(5, 10, 1_000, true);
        outlet.judge(5, 10, 2_000, true);
        outlet.judge(5, 10, 3_000, false);
        outlet.judge(6, 10, 1_000, false);
        assert_eq!(frauds(&outlet, 2_500, 10)[0], 1.0);
        assert_eq!(frauds(&outlet, 3_000, 10)[0], 0.0);
        assert_eq!(outlet.verdicts.len(), 3);
    }

    // 92 steps of 40 bytes and 513 verdicts of 24: the 20 KiB an outlet that `Limits` promises.
    #[test]
    fn a_busy_outlet_takes_no_more_room_than_is_promised() {
        let texts = ["1h", "1d", "7d", "30d"];
        let lengths = texts.map(|text| Length::parse(text).unwrap());
        let mut outlet = Outlet::new(Depth::new(&lengths, Some(7)));
        for at in 0..20_000 {
            outlet.remember(at * HOUR_MS / 12, u64::try_from(at).unwrap() << 57, 1.0);
        }
        let [minutes, hours, days] =
            [&outlet.minutes, &outlet.hours, &outlet.days].map(Steps::capacity);
        assert_eq!([minutes, hours, days], [17, 29, 46]);
        let verdicts = (VERDICTS_MAX + 1) * size_of::<Verdict>();
        let bytes = (minutes + hours + days) * Steps::BUCKET_BYTES + verdicts;
        assert!(bytes + size_of::<Outlet>() <= 20 << 10, "{bytes}");
    }

    #[test]
    fn verdicts_are_bounded() {
        let mut outlet = outlet();
        for transaction in 0..2_000 {
            outlet.judge(transaction, i32::try_from(transaction).unwrap(), 0, true);
        }
        assert_eq!(outlet.verdicts.len(), VERDICTS_MAX);
        assert_eq!(outlet.verdicts.capacity(), VERDICTS_MAX + 1);
        assert_eq!(frauds(&outlet, 0, 1_999), [1.0, 7.0, 21.0, 30.0]);
    }
}
