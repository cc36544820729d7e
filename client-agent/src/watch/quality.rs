//! How good the scores of mature payments were: of days so long past that a fraud would have been
//! told by now, a payment that nobody spoke of counts as genuine. One that was declined counts only
//! where somebody looked: a fraud that did not happen is reported by nobody. The measures are
//! `model`'s; who reads payments and labels is `watch/reader.rs`.

use std::collections::BTreeMap;
use std::ops::Range;

use model::evaluation::{CardScore, card_precision_at};

use crate::history::Report;

/// What the bank says of its own work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Payments that its people can look at in a day, at most [`Settings::ALERTS_MAX`].
    pub alerts_a_day: u32,
    /// Days after which a payment is mature.
    pub mature_days: u16,
}

impl Settings {
    /// Most alerts in a day: so many payments of each day are kept.
    pub const ALERTS_MAX: u32 = 2_048;
    /// Most days until a payment is mature.
    pub const DAYS_MAX: u16 = 180;
}

impl Default for Settings {
    /// A hundred alerts, and thirty days: as long as chargebacks take at the least.
    fn default() -> Self {
        Self {
            alerts_a_day: 100,
            mature_days: 30,
        }
    }
}

/// One scored payment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scored {
    /// Its number in the journal.
    pub(super) sequence: u64,
    pub(super) day: i32,
    /// Whatever tells its card from others.
    pub(super) card: u64,
    pub(super) probability: f32,
    pub(super) was_declined: bool,
}

/// What came of scored payments, by day.
#[derive(Clone, Debug)]
pub(super) struct Quality {
    settings: Settings,
    days: BTreeMap<i32, Day>,
}

/// One day. The foremost payments are kept one by one, the others counted.
#[derive(Clone, Debug, Default)]
struct Day {
    /// By probability, which orders as its bits do, and of equal ones the earliest last.
    foremost: BTreeMap<(u32, u64), Foremost>,
    bins: [Bin; BINS],
    labelled: BTreeMap<u64, Labelled>,
}

#[derive(Clone, Copy, Debug)]
struct Foremost {
    card: u64,
    was_declined: bool,
}

/// Payments of about one probability.
#[derive(Clone, Copy, Debug, Default)]
struct Bin {
    payments: u64,
    /// Sum of their probabilities: frauds that were told.
    told: f64,
}

#[derive(Clone, Copy, Debug)]
struct Labelled {
    bin: usize,
    /// The last word.
    report: Report,
}

/// How good the scores of some mature days were.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Measures {
    /// Share of frauds among what the bank's people could look at, day by day.
    pub(super) precision_at_budget: Option<f64>,
    /// The Handbook's card precision at 100.
    pub(super) card_precision: Option<f64>,
    /// Mean gap between told and actual share of frauds, over bins of probability.
    pub(super) calibration_error: Option<f64>,
    /// Frauds that came over frauds that were told; nothing of few.
    pub(super) frauds_ratio: Option<f64>,
}

impl Quality {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            days: BTreeMap::new(),
        }
    }

    /// Takes in a payment; the oldest day goes where there are too many.
    pub(super) fn score(&mut self, scored: Scored) {
        let day = self.days.entry(scored.day).or_default();
        if !scored.was_declined {
            day.bins[bin_of(scored.probability)].add(scored.probability);
        }
        let place = (scored.probability.max(0.0).to_bits(), !scored.sequence);
        let foremost = Foremost {
            card: scored.card,
            was_declined: scored.was_declined,
        };
        day.foremost.insert(place, foremost);
        if day.foremost.len() > Settings::ALERTS_MAX as usize {
            day.foremost.pop_first();
        }
        while self.days.len() > usize::from(self.settings.mature_days) + SPAN_DAYS + 2 {
            self.days.pop_first();
        }
    }

    /// Takes in what a payment turned out to be; of a day that is not kept it changes nothing.
    pub(super) fn label(&mut self, of: Scored, report: Report) {
        let Some(day) = self.days.get_mut(&of.day) else {
            return;
        };
        let has_room = day.labelled.len() < LABELLED_MAX;
        match day.labelled.get_mut(&of.sequence) {
            Some(known) => known.report = known.report.max(report),
            None if has_room => {
                let bin = bin_of(of.probability);
                if of.was_declined {
                    day.bins[bin].add(of.probability);
                }
                day.labelled.insert(of.sequence, Labelled { bin, report });
            }
            None => {}
        }
    }

    /// The measures of the four weeks that are mature, seen from the newest day.
    pub(super) fn measure(&self) -> Measures {
        let Some((newest, _)) = self.days.last_key_value() else {
            return Measures::default();
        };
        let end = newest.saturating_sub(i32::from(self.settings.mature_days));
        let span = i32::try_from(SPAN_DAYS).unwrap_or(i32::MAX);
        let mature = end.saturating_sub(span)..end;
        let (calibration_error, frauds_ratio) = self.calibration(mature.clone());
        Measures {
            precision_at_budget: self.precision(mature.clone()),
            card_precision: self.card_precision(mature),
            calibration_error,
            frauds_ratio,
        }
    }

    fn precision(&self, days: Range<i32>) -> Option<f64> {
        let budget = self.settings.alerts_a_day as usize;
        let (mut frauds, mut looked_at) = (0_u64, 0_u64);
        for (_, day) in self.days.range(days) {
            for (_, sequence, _) in day.verified().take(budget) {
                looked_at += 1;
                frauds += u64::from(day.is_fraud(sequence));
            }
        }
        (looked_at > 0).then(|| frauds as f64 / looked_at as f64)
    }

    /// Of the foremost payments alone: a card that is not among them is not among the first.
    fn card_precision(&self, days: Range<i32>) -> Option<f64> {
        let mut numbers: BTreeMap<u64, u32> = BTreeMap::new();
        let mut rows = Vec::new();
        for (at, day) in self.days.range(days) {
            for (score, sequence, card) in day.verified() {
                // As many cards as payments at most, which 32 bits hold.
                let next = numbers.len() as u32;
                rows.push(CardScore {
                    day: *at,
                    card: *numbers.entry(card).or_insert(next),
                    score,
                    fraud: day.is_fraud(sequence),
                });
            }
        }
        card_precision_at(CARDS, &rows)
    }

    /// Expected calibration error, and frauds that came over frauds told.
    fn calibration(&self, days: Range<i32>) -> (Option<f64>, Option<f64>) {
        let (mut bins, mut came) = ([Bin::default(); BINS], [0_u64; BINS]);
        for (_, day) in self.days.range(days) {
            for (all, of_day) in bins.iter_mut().zip(&day.bins) {
                all.payments += of_day.payments;
                all.told += of_day.told;
            }
            for labelled in day.labelled.values() {
                came[labelled.bin] += u64::from(labelled.report.fraud);
            }
        }
        let payments: u64 = bins.iter().map(|bin| bin.payments).sum();
        if payments == 0 {
            return (None, None);
        }
        let told: f64 = bins.iter().map(|bin| bin.told).sum();
        let gap: f64 = bins
            .iter()
            .zip(&came)
            .map(|(bin, came)| (bin.told - *came as f64).abs())
            .sum();
        let frauds = came.iter().sum::<u64>() as f64;
        let ratio = (told.max(frauds) >= FRAUDS_MIN).then(|| frauds.max(0.5) / told.max(0.5));
        (Some(gap / payments as f64), ratio)
    }
}

impl Day {
    /// The foremost payments of which it is known what they were, likeliest first: probability,
    /// number and card.
    fn verified(&self) -> impl Iterator<Item = (f32, u64, u64)> {
        let foremost = self.foremost.iter().rev();
        let foremost = foremost.map(|((bits, place), of)| (f32::from_bits(*bits), !place, of));
        foremost.filter_map(|(probability, sequence, of)| {
            let is_known = !of.was_declined || self.labelled.contains_key(&sequence);
            is_known.then_some((probability, sequence, of.card))
        })
    }

    fn is_fraud(&self, sequence: u64) -> bool {
        let labelled = self.labelled.get(&sequence);
        labelled.is_some_and(|labelled| labelled.report.fraud)
    }
}

impl Bin {
    fn add(&mut self, probability: f32) {
        self.payments += 1;
        self.told += f64::from(probability);
    }
}

/// One bin for each unit of log odds from -10 to 10; beyond, the outermost.
fn bin_of(probability: f32) -> usize {
    let probability = f64::from(probability);
    let odds = (probability / (1.0 - probability)).ln();
    // The clamp makes the cast exact; what is no number becomes 0.
    (odds.floor() + 10.0).clamp(0.0, (BINS - 1) as f64) as usize
}

const BINS: usize = 20;

/// Days that are measured together: four of each day of the week.
const SPAN_DAYS: usize = 28;

/// Cards of the card precision, as the Fraud Detection Handbook has it.
const CARDS: usize = 100;

/// Labelled payments of one day that are kept: further ones are left out.
const LABELLED_MAX: usize = 65_536;

/// Frauds, told or come, of which a ratio says something: of so many, chance alone makes a fifth.
const FRAUDS_MIN: f64 = 20.0;

#[cfg(test)]
mod tests {
    use super::*;

    const DAYS: Settings = Settings {
        alerts_a_day: 10,
        mature_days: 5,
    };

    fn scored(sequence: u64, day: i32, probability: f32) -> Scored {
        Scored {
            sequence,
            day,
            card: sequence % 40,
            probability,
            was_declined: false,
        }
    }

    fn fraud(known_at: i64) -> Report {
        Report {
            known_at,
            fraud: true,
        }
    }

    /// Ten days of a hundred payments each, of which the first of each day are likeliest; half of
    /// the ten likeliest are frauds.
    fn ten_days() -> Quality {
        let mut quality = Quality::new(DAYS);
        for sequence in 0..1_000 {
            let (day, nth) = ((sequence / 100) as i32, sequence % 100);
            let probability = if nth < 10 { 0.5 } else { 0.000_1 };
            let of = scored(sequence, day, probability - nth as f32 * 1e-6);
            quality.score(of);
            if nth < 10 && nth % 2 == 0 {
                quality.label(of, fraud(sequence as i64));
            }
        }
        quality
    }

    // By hand: five of ten looked at. Of days 0 to 3, 400 payments: 20 frauds came; told were 40
    // times a half and 360 times a ten-thousandth or less, 20.02. Four of the forty lie at one half
    // and are all frauds, 36 just below it: two too few here and two too many there, of 400.
    #[test]
    fn mature_days_are_measured_and_no_others() {
        let mut quality = ten_days();
        let before = quality.measure();
        assert_eq!(before.precision_at_budget, Some(0.5));
        assert!((before.frauds_ratio.unwrap() - 20.0 / 20.04).abs() < 0.01);
        assert!((before.calibration_error.unwrap() - 4.0 / 400.0).abs() < 0.001);
        assert!(before.card_precision.is_some_and(|share| share > 0.0));
        // What is told of days that are not mature changes nothing.
        for sequence in 400..1_000 {
            let day = (sequence / 100) as i32;
            quality.label(scored(sequence, day, 0.000_1), fraud(0));
        }
        assert_eq!(quality.measure(), before);
        for sequence in 0..10 {
            quality.label(scored(sequence, 0, 0.5), fraud(9_999));
        }
        let after = quality.measure().precision_at_budget.unwrap();
        assert!((after - 25.0 / 40.0).abs() < 1e-9, "{after}");
    }

    #[test]
    fn the_last_word_of_a_payment_counts_in_whatever_order_words_come() {
        let withdrawn = Report {
            known_at: 50,
            fraud: false,
        };
        for words in [[fraud(10), withdrawn], [withdrawn, fraud(10)]] {
            let mut quality = ten_days();
            for sequence in (0..10).step_by(2) {
                words.iter().for_each(|word| {
                    quality.label(scored(sequence, 0, 0.5), *word);
                });
            }
            let found = quality.measure().precision_at_budget.unwrap();
            assert!((found - 15.0 / 40.0).abs() < 1e-9, "{found}");
        }
    }

    // A bank that declines the likeliest gets no chargeback for them. Counted as genuine, which is
    // the planted fault, the best scores would look the worst.
    #[test]
    fn a_declined_payment_counts_only_where_somebody_looked() {
        let mut quality = ten_days();
        let declined = |sequence| Scored {
            was_declined: true,
            ..scored(sequence, 0, 0.99)
        };
        (2_000..2_010).for_each(|sequence| quality.score(declined(sequence)));
        assert_eq!(quality.measure(), ten_days().measure());
        quality.label(declined(2_000), fraud(0));
        let found = quality.measure().precision_at_budget.unwrap();
        // The day's first ten hold one more, in place of a genuine one: it was the tenth.
        assert!((found - 21.0 / 40.0).abs() < 1e-9, "{found}");
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut quality = Quality::new(DAYS);
        for sequence in 0..5_000 {
            quality.score(scored(sequence, 0, 0.2));
        }
        let foremost = &quality.days[&0].foremost;
        assert_eq!(foremost.len(), Settings::ALERTS_MAX as usize);
        assert!(foremost.keys().all(|(_, place)| !place < 2_048));
        (1..500).for_each(|day| quality.score(scored(9_999, day, 0.1)));
        assert_eq!(quality.days.len(), 5 + SPAN_DAYS + 2);
        quality.label(scored(0, 0, 0.2), fraud(0));
        assert_eq!(Quality::new(DAYS).measure(), Measures::default());
        for (probability, bin) in [(0.0, 0), (0.5, 10), (1.0, 19), (f32::NAN, 0)] {
            assert_eq!(bin_of(probability), bin);
        }
    }
}
