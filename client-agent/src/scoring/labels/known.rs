//! A payment's labels as they are told back: all that were ever taken, in order of arrival, each
//! with its times and with whether it still stands. How they are kept is `journal/labels.rs`.

use crypto::Digest;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::Object;

use crate::journal::LabelEntry;
use crate::scoring::alerts::Verdict;
use crate::scoring::openapi::words;

/// A label of a payment as it is told back. None is ever erased.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(in crate::scoring) struct KnownLabel {
    /// Digest of what was sent.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub(in crate::scoring) label_id: String,
    #[schema(schema_with = of_labels)]
    pub(in crate::scoring) verdict: Verdict,
    /// When that happened of which it speaks, milliseconds since 1970-01-01 UTC: the payment's own
    /// time where nobody said another.
    pub(in crate::scoring) event_at: i64,
    /// Since when it is known, likewise.
    pub(in crate::scoring) known_at: i64,
    /// When the agent was told, likewise.
    pub(in crate::scoring) told_at: u64,
    /// Who says so.
    pub(in crate::scoring) source: String,
    /// The label that it said it takes the place of.
    pub(in crate::scoring) supersedes: Option<String>,
    /// Whether a label of the payment that is known later says otherwise.
    pub(in crate::scoring) withdrawn: bool,
}

/// What labels say: not every verdict is one.
fn of_labels() -> Object {
    let verdicts = [true, false].map(Verdict::of_label);
    words(verdicts.map(Verdict::word)).build()
}

/// The labels of a payment of the time `paid_at`, in the order in which they are given.
pub(in crate::scoring) fn told_back(labels: &[LabelEntry], paid_at: i64) -> Vec<KnownLabel> {
    let known = labels.iter().map(|label| KnownLabel {
        label_id: Digest(label.label_id).to_hex(),
        verdict: Verdict::of_label(label.fraud),
        event_at: label.event_at.unwrap_or(paid_at),
        known_at: label.known_at,
        told_at: label.told_at,
        source: label.source.clone(),
        supersedes: label.supersedes.map(|id| Digest(id).to_hex()),
        withdrawn: labels.iter().any(|other| is_withdrawn_by(label, other)),
    });
    known.collect()
}

/// Of two labels at one moment the fraud is known later, as in `in_force`.
fn is_withdrawn_by(label: &LabelEntry, other: &LabelEntry) -> bool {
    let order = |label: &LabelEntry| (label.known_at, label.fraud);
    other.fraud != label.fraud && order(other) > order(label)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scoring::labels::in_force;

    fn label(known_at: i64, fraud: bool) -> LabelEntry {
        LabelEntry {
            label_id: [0xab; 32],
            txn_id: "t".to_owned(),
            payment: 0,
            fraud,
            known_at,
            told_at: 9,
            source: "analyst".to_owned(),
            supersedes: None,
            after: 1,
            event_at: None,
        }
    }

    #[test]
    fn a_label_is_told_with_the_payments_time_or_its_own() {
        let dated = LabelEntry {
            event_at: Some(3),
            supersedes: Some([0xcd; 32]),
            ..label(7, true)
        };
        let told = told_back(&[label(6, true), dated], 5);
        let expected = KnownLabel {
            label_id: "ab".repeat(32),
            verdict: Verdict::Fraud,
            event_at: 5,
            known_at: 6,
            told_at: 9,
            source: "analyst".to_owned(),
            supersedes: None,
            withdrawn: false,
        };
        let other = KnownLabel {
            event_at: 3,
            known_at: 7,
            supersedes: Some("cd".repeat(32)),
            ..expected.clone()
        };
        assert_eq!(told, [expected, other]);
    }

    // Whatever the order of arrival; of two at one moment the fraud stands.
    #[test]
    fn a_label_is_withdrawn_by_what_is_known_later_and_says_otherwise() {
        let withdrawn = |labels: &[(i64, bool)]| -> Vec<bool> {
            let labels: Vec<_> = labels.iter().map(|&(at, fraud)| label(at, fraud)).collect();
            let told = told_back(&labels, 0);
            let last = in_force(&labels).unwrap();
            for (told, label) in told.iter().zip(&labels) {
                assert!(label != last || !told.withdrawn);
            }
            told.iter().map(|label| label.withdrawn).collect()
        };
        assert_eq!(withdrawn(&[(1, true)]), [false]);
        assert_eq!(withdrawn(&[(1, true), (2, true)]), [false, false]);
        assert_eq!(withdrawn(&[(1, true), (2, false)]), [true, false]);
        assert_eq!(withdrawn(&[(2, false), (1, true)]), [false, true]);
        assert_eq!(withdrawn(&[(1, true), (1, false)]), [false, true]);
        let back = withdrawn(&[(1, true), (2, false), (3, true)]);
        assert_eq!(back, [true, true, false]);
    }
}
