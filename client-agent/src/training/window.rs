//! Encoded stretches of the past: what a plan's days look like to the network. A stretch is
//! encoded by replaying everything before it through the encoder that scoring uses, and again
//! once the federation's risk table has changed, since columns depend on it. Of a long stretch an
//! even sample is kept, so that memory has a bound whatever the bank's size.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use features::{FeatureEncoder, FeatureVector, Transaction};
use model::Examples;

use super::TrainingError;
use crate::history::{History, Payment, Verdict};
use crate::risk::SharedRisk;
use crate::training::calibration::HeldOut;

/// Stretches kept: those of pretraining and fine-tuning.
const WINDOWS_MAX: usize = 2;
/// Rows kept of a stretch: more than the rounds of a plan draw (40 rounds of 60 steps of 128 rows
/// are 307,200), so a larger past would add nothing. With 80 columns they take 190 MB.
const ROWS_MAX: u64 = 1 << 19;

/// Rows on which a model's arithmetic is checked: ten milliseconds by the kernel.
const SAMPLE_MAX: usize = 4_096;

/// The stretches encoded last.
#[derive(Default)]
pub(super) struct Windows(Vec<Window>);

/// The encoded payments of some days.
pub(super) struct Window {
    days: Range<u32>,
    version: u64,
    revision: u64,
    /// Payments of the days, of which the examples are a sample.
    payments: u64,
    /// Shared with the bank's own models while these are trained: half a gigabyte is not copied.
    examples: Arc<Examples>,
    verdicts: Vec<Verdict>,
    silence: Verdict,
}

/// Whose labels are shown to the learner.
#[derive(Clone, Copy)]
pub(super) enum Shown<'a> {
    /// Everybody's.
    All,
    /// Those of cards that are not held out for calibration.
    Trained(&'a HeldOut),
}

impl Windows {
    /// The encoded payments of `days`, encoded anew where none fit.
    pub(super) fn encoded(
        &mut self,
        history: &History,
        risk: &SharedRisk,
        days: Range<u32>,
    ) -> Result<&mut Window, TrainingError> {
        let revision = history.revision(days.end);
        let is_current = |window: &Window| window.version == risk.version();
        let is_fit = |window: &Window| {
            is_current(window) && window.days == days && window.revision == revision
        };
        let found = match self.0.iter().position(is_fit) {
            Some(at) => self.0.remove(at),
            None => {
                self.0
                    .retain(|window| is_current(window) && window.days != days);
                Window::encode(history, risk, days, ROWS_MAX)?
            }
        };
        self.0.truncate(WINDOWS_MAX - 1);
        self.0.insert(0, found);
        Ok(&mut self.0[0])
    }
}

/// Gives the vectors of these days one after the other, not a number where a value is missing.
///
/// # Errors
/// Where the history cannot be read back.
pub(super) fn with_gaps(
    history: &History,
    risk: &SharedRisk,
    days: &Range<u32>,
    mut each: impl FnMut(&[f32]),
) -> io::Result<()> {
    replay(
        (history, risk, days),
        FeatureEncoder::encode_with_gaps,
        |_, vector| each(&vector.0),
    )
}

/// Encodes the history up to the end of these days, with the labels as they came, and gives the
/// days' payments with their vectors.
///
/// # Errors
/// Where the history cannot be read back.
pub(super) fn replay(
    (history, risk, days): (&History, &SharedRisk, &Range<u32>),
    encode: fn(&mut FeatureEncoder, &Transaction) -> FeatureVector,
    mut each: impl FnMut(&Payment, &FeatureVector),
) -> io::Result<()> {
    let mut encoder = history.encoder();
    if let Some(table) = risk.table() {
        encoder.install_risk(Arc::clone(table));
    }
    history.replay(|payment, transaction| {
        let day = i64::from(payment.day());
        // Later payments have no part in what an earlier one looks like.
        if day >= i64::from(days.end) {
            return;
        }
        let vector = encode(&mut encoder, transaction);
        for label in History::labels_of(&payment, transaction) {
            encoder.add_label(transaction, &label);
        }
        if day >= i64::from(days.start) {
            each(&payment, &vector);
        }
    })
}

impl Window {
    fn encode(
        history: &History,
        risk: &SharedRisk,
        days: Range<u32>,
        rows_max: u64,
    ) -> Result<Self, TrainingError> {
        let columns = history.schema().len();
        let (mut examples, mut verdicts) = (Examples::new(columns), Vec::new());
        let (payments, mut at) = (history.count(&days), 0);
        let mut pushed = Ok(());
        let place = (history, risk, &days);
        replay(place, FeatureEncoder::encode, |payment, vector| {
            at += 1;
            if pushed.is_ok() && is_kept(at, payments, rows_max) {
                pushed = examples.push(&vector.0, payment.card, payment.ts, f32::NAN);
                verdicts.push(payment.verdict);
            }
        })?;
        pushed?;
        Ok(Self {
            revision: history.revision(days.end),
            days,
            version: risk.version(),
            payments,
            examples: Arc::new(examples),
            verdicts,
            silence: history.silence(),
        })
    }

    /// How many of the bank's payments stand behind so many rows of the sample.
    pub(super) fn behind(&self, rows: u64) -> u64 {
        let kept = (self.examples.len() as u64).max(1);
        let behind = u128::from(rows) * u128::from(self.payments) / u128::from(kept);
        u64::try_from(behind).unwrap_or(u64::MAX)
    }

    /// The payments, labelled as they were known before the start of `cutoff_day`.
    pub(super) fn examples(&mut self, cutoff_day: i64, shown: Shown<'_>) -> &Examples {
        let label = |(verdict, card): (&Verdict, &u32)| match shown {
            Shown::Trained(held_out) if held_out.holds(*card) => f32::NAN,
            Shown::All | Shown::Trained(_) => label_at(*verdict, self.silence, cutoff_day),
        };
        let labels = self.verdicts.iter().zip(&self.examples.card).map(label);
        let labels: Vec<f32> = labels.collect();
        let is_same = |(new, old): (&f32, &f32)| new.to_bits() == old.to_bits();
        if !labels.iter().zip(&self.examples.label).all(is_same) {
            // Whoever shares the rows keeps them labelled as they were.
            Arc::make_mut(&mut self.examples).label = labels;
        }
        &self.examples
    }

    /// The same, for somebody who trains on them while the window goes on.
    pub(super) fn shared(&mut self, cutoff_day: i64, shown: Shown<'_>) -> Arc<Examples> {
        self.examples(cutoff_day, shown);
        Arc::clone(&self.examples)
    }

    /// Rows and labels of the cards held out, as known before the start of `cutoff_day`, and beside
    /// them an even sample of all rows.
    pub(super) fn held_out(&self, cutoff_day: i64, held_out: &HeldOut) -> Judged {
        let mut judged = Judged::default();
        let apart = self.examples.len().div_ceil(SAMPLE_MAX).max(1);
        for (row, verdict) in self.verdicts.iter().enumerate() {
            if row % apart == 0 {
                judged.sample.extend_from_slice(self.examples.row(row));
            }
            let label = label_at(*verdict, self.silence, cutoff_day);
            if held_out.holds(self.examples.card[row]) && !label.is_nan() {
                judged.values.extend_from_slice(self.examples.row(row));
                judged.frauds.push(label > 0.5);
            }
        }
        judged
    }
}

/// Whether the payment at this place among so many is one of about `rows_max` that are kept: by its
/// place alone, so that the same past gives the same sample.
fn is_kept(at: u64, payments: u64, rows_max: u64) -> bool {
    // SplitMix64's finisher (Steele et al. 2014): neighbouring places fall far apart.
    let mut lot = at.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    lot = (lot ^ (lot >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    lot = (lot ^ (lot >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    payments <= rows_max || (lot ^ (lot >> 31)) % payments < rows_max
}

/// Rows whose label is known.
#[derive(Clone, Default)]
pub(super) struct Judged {
    /// Row-major.
    pub(super) values: Vec<f32>,
    /// One label a row.
    pub(super) frauds: Vec<bool>,
    /// Rows of whatever card and label, for which arithmetic is to be right; row-major.
    pub(super) sample: Vec<f32>,
}

/// What was known of a payment before the start of `cutoff_day`: 1 fraud, 0 genuine, NaN nothing.
/// A fraud that was withdrawn by then counts as genuine. Of one of which nobody had said anything
/// yet `silence` says what it counts as: so would the bank have counted it then.
pub(super) fn label_at(verdict: Verdict, silence: Verdict, cutoff_day: i64) -> f32 {
    let last_ms = cutoff_day * DAY_MS - 1;
    let said = match verdict {
        Verdict::Fraud { known_at, .. } if known_at <= last_ms => {
            let fraud = verdict.known_fraud();
            let is_fraud = fraud.is_some_and(|fraud| fraud.is_known_at(last_ms));
            return f32::from(u8::from(is_fraud));
        }
        Verdict::Cleared { known_at } if known_at <= last_ms => return 0.0,
        Verdict::Fraud { .. } | Verdict::Cleared { .. } => silence,
        Verdict::Genuine | Verdict::Unknown => verdict,
    };
    match said {
        Verdict::Genuine => 0.0,
        Verdict::Fraud { .. } | Verdict::Cleared { .. } | Verdict::Unknown => f32::NAN,
    }
}

const DAY_MS: i64 = 86_400_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::tests::sample;

    #[test]
    fn labels_are_those_known_before_the_cutoff() {
        let fraud = |known_at, withdrawn_at| Verdict::Fraud {
            known_at,
            withdrawn_at,
        };
        let silent = Verdict::Genuine;
        let known = |known_at, cutoff| label_at(fraud(known_at, None), silent, cutoff);
        assert_eq!(known(10 * DAY_MS - 1, 10), 1.0);
        assert_eq!(known(10 * DAY_MS, 10), 0.0);
        let withdrawn = |at, cutoff| label_at(fraud(0, Some(at)), silent, cutoff);
        assert_eq!(withdrawn(10 * DAY_MS, 10), 1.0);
        assert_eq!(withdrawn(10 * DAY_MS - 1, 10), 0.0);
        assert_eq!(label_at(Verdict::Genuine, silent, 10), 0.0);
        assert!(label_at(Verdict::Unknown, silent, 10).is_nan());
    }

    #[test]
    fn where_silence_means_nothing_a_later_label_is_none_yet() {
        let at = |verdict| label_at(verdict, Verdict::Unknown, 10);
        let fraud = |known_at, withdrawn_at| Verdict::Fraud {
            known_at,
            withdrawn_at,
        };
        assert_eq!(at(fraud(10 * DAY_MS - 1, None)), 1.0);
        assert!(at(fraud(10 * DAY_MS, None)).is_nan());
        assert!(at(fraud(10 * DAY_MS, Some(11 * DAY_MS))).is_nan());
        assert_eq!(at(fraud(8 * DAY_MS, Some(9 * DAY_MS))), 0.0);
        let cleared = |known_at| Verdict::Cleared { known_at };
        assert_eq!(at(cleared(10 * DAY_MS - 1)), 0.0);
        assert!(at(cleared(10 * DAY_MS)).is_nan());
        assert!(at(Verdict::Unknown).is_nan());
    }

    // The sample's labels come after three days, one payment in 17 never gets one.
    #[test]
    fn a_window_holds_its_days_and_hides_what_is_held_out() {
        let history = sample(20, 20);
        let held_out = HeldOut::new(history.cards());
        let (mut windows, risk) = (Windows::default(), SharedRisk::default());
        let window = windows.encoded(&history, &risk, 17_005..17_010).unwrap();
        let all = window.examples(17_017, Shown::All).clone();
        assert_eq!(all.len(), 100);
        assert!(
            all.ts
                .iter()
                .all(|ts| (17_005..17_010).contains(&(ts / DAY_MS)))
        );
        let frauds = |examples: &Examples| examples.label.iter().filter(|l| **l == 1.0).count();
        assert!(frauds(&all) > 3);
        assert_eq!(frauds(window.examples(17_005, Shown::All)), 0);
        let unknown = all.label.iter().filter(|label| label.is_nan()).count();
        assert!((4..=7).contains(&unknown), "{unknown}");
        let trained = window
            .examples(17_017, Shown::Trained(&held_out))
            .labelled()
            .len();
        let judged = window.held_out(17_017, &held_out);
        assert_eq!(trained + judged.frauds.len() + unknown, 100);
        assert_eq!(judged.values.len(), judged.frauds.len() * all.columns);
        assert_eq!(judged.sample, all.values);
    }

    #[test]
    fn shared_rows_are_copied_only_where_their_labels_differ() {
        let history = sample(20, 20);
        let (mut windows, risk) = (Windows::default(), SharedRisk::default());
        let window = windows.encoded(&history, &risk, 17_005..17_010).unwrap();
        let shared = window.shared(17_017, Shown::All);
        assert!(Arc::ptr_eq(&shared, &window.shared(17_017, Shown::All)));
        let bits = |examples: &Examples| {
            let labels = examples.label.iter();
            labels.map(|label| label.to_bits()).collect::<Vec<_>>()
        };
        let before = bits(&shared);
        let earlier = window.shared(17_005, Shown::All);
        assert_ne!(bits(&earlier), before);
        assert_eq!(bits(&shared), before);
        assert_eq!(earlier.values, shared.values);
    }

    // 100 payments in these days, of which 40 are to be kept.
    #[test]
    fn of_a_long_stretch_an_even_sample_is_kept_and_weighs_as_the_whole() {
        let history = sample(20, 20);
        let (risk, days) = (SharedRisk::default(), 17_005..17_010);
        let of = |rows_max| Window::encode(&history, &risk, days.clone(), rows_max).unwrap();
        let (all, some) = (of(100), of(40));
        assert_eq!((all.examples.len(), all.behind(100)), (100, 100));
        let kept = some.examples.len();
        assert!((25..=55).contains(&kept), "{kept}");
        assert_eq!(some.verdicts.len(), kept);
        assert_eq!(some.behind(kept as u64), 100);
        assert_eq!(some.examples.values, of(40).examples.values);
        let rows: Vec<&[f32]> = (0..100).map(|row| all.examples.row(row)).collect();
        assert!((0..kept).all(|row| rows.contains(&some.examples.row(row))));
        // Every stretch of the whole is in it.
        let early = some
            .examples
            .ts
            .iter()
            .filter(|ts| **ts < all.examples.ts[50]);
        assert!((kept / 4..=3 * kept / 4).contains(&early.count()));
        let kept = (0..1_000_000)
            .filter(|&at| is_kept(at, 1_000_000, 1_000))
            .count();
        assert!((900..1_100).contains(&kept), "{kept}");
    }

    #[test]
    fn a_window_is_kept_until_the_table_changes() {
        let history = sample(10, 10);
        let (mut windows, risk) = (Windows::default(), SharedRisk::default());
        for days in [
            17_001..17_003,
            17_002..17_004,
            17_003..17_005,
            17_004..17_006,
        ] {
            windows.encoded(&history, &risk, days).unwrap();
        }
        assert_eq!(windows.0.len(), WINDOWS_MAX);
        assert_eq!(windows.0[0].days, 17_004..17_006);
        windows.encoded(&history, &risk, 17_002..17_004).unwrap();
        assert_eq!(windows.0[0].days, 17_002..17_004);
        let key = protocol::bucket::BucketKey::new(&crypto::Digest([0; 32]), [1; 32]);
        let mut changed = SharedRisk::default();
        changed.keep(key.clone());
        let terms = protocol::plan::RiskTerms {
            buckets: 8,
            salt: crypto::Digest([0; 32]),
            from_day: 17_000,
            days: 1,
            label_delay_days: 0,
            banks_min: 1,
        };
        let under = key.commitment();
        changed.absorb(&terms, under, &[1; 24]).unwrap();
        windows.encoded(&history, &changed, 17_002..17_004).unwrap();
        assert_eq!(windows.0.len(), 1);
    }
}
