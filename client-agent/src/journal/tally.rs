//! How many decisions had which score, day by day, and how many of them are known to be frauds:
//! counts of the journal that no payment can be read from. What follows for a bank's thresholds is
//! `commands/threshold/plan.rs`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::follower::Reach;
use super::{Follower, JournalError, decode, payment_of};

/// How many decisions of some days had which score.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Scores)]
pub(crate) struct Tally {
    /// Days of 24 hours up to the present that are counted: as many as were asked for, or as the
    /// journal has; its first may be short.
    #[schema(maximum = 730)]
    pub(crate) days: u32,
    /// Decisions in these days.
    pub(crate) decisions: u64,
    /// Whether counting ended before the first of these days, behind a thousand older decisions in
    /// a row: by a clock that was behind, unless the days before were quiet.
    #[serde(default)]
    #[schema(required)]
    pub(crate) broken_off: bool,
    /// Those of them that no model scored.
    pub(crate) unscored: u64,
    /// The others, by day and score.
    pub(crate) cells: Vec<Cell>,
}

/// The payments of one day that had one score.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ScoreCell)]
pub(crate) struct Cell {
    /// Whole days of 24 hours that have passed since.
    #[schema(maximum = 729)]
    pub(crate) day: u32,
    /// The score.
    #[schema(minimum = 1, maximum = 999)]
    pub(crate) score: u16,
    /// How many.
    #[schema(minimum = 1)]
    pub(crate) payments: u64,
    /// Those whose last label says fraud.
    pub(crate) frauds: u64,
    /// What these amount to, in minor units: of the bank's reference currency where the payment
    /// tells it, else of its own.
    pub(crate) fraud_minor: u64,
}

/// What is read of a stored answer.
#[derive(Deserialize)]
struct Told {
    scored_at: u64,
    score: Option<u16>,
}

impl Follower {
    /// Counts the last `days` days, wherever this follower itself has come to; nothing where it is
    /// no longer wanted before it is done.
    ///
    /// # Errors
    /// [`JournalError`] where the store cannot be read or an entry is damaged.
    pub(crate) fn tally(
        &self,
        now_ms: u64,
        days: u32,
        is_wanted: impl Fn() -> bool,
    ) -> Result<Option<Tally>, JournalError> {
        let reach = self.reach();
        let known = self.known(reach)?;
        let (mut tally, mut cells) = (Tally::default(), BTreeMap::<(u32, u16), Cell>::new());
        let (mut older, mut reached) = (0, 0);
        // Backwards, since the last days are asked for.
        for sequence in (self.log.first()..reach.entries).rev() {
            if !is_wanted() {
                return Ok(None);
            }
            let Some(value) = self.log.get(sequence)? else {
                continue;
            };
            let entry = decode(sequence, &value)?;
            let told: Told = serde_json::from_str(&entry.answer)
                .map_err(|_| JournalError::Damaged { sequence })?;
            let age_days = now_ms.saturating_sub(told.scored_at) / DAY_MS;
            let day = u32::try_from(age_days).unwrap_or(u32::MAX);
            if day >= days {
                tally.days = days;
                older += 1;
                if older >= OLDER_MAX {
                    tally.broken_off = reached < days;
                    break;
                }
                continue;
            }
            older = 0;
            reached = reached.max(day + 1);
            tally.days = tally.days.max(reached);
            tally.decisions += 1;
            let Some(score) = told.score else {
                tally.unscored += 1;
                continue;
            };
            let cell = cells.entry((day, score)).or_insert_with(|| Cell {
                day,
                score,
                ..Cell::default()
            });
            cell.payments += 1;
            if known.get(&sequence).is_some_and(|known| known.is_fraud) {
                let payment = payment_of(sequence, &entry)?;
                let minor = payment.amount_ref_minor.unwrap_or(payment.amount_minor);
                cell.frauds += 1;
                cell.fraud_minor = cell.fraud_minor.saturating_add(minor.unsigned_abs());
            }
        }
        tally.cells = cells.into_values().collect();
        Ok(Some(tally))
    }

    /// The last word on every labelled payment, by its number; of two at one moment the fraud.
    fn known(&self, reach: Reach) -> Result<BTreeMap<u64, Known>, JournalError> {
        let mut known = BTreeMap::<u64, Known>::new();
        for sequence in self.labels.first()?..reach.labels {
            let Some(label) = self.labels.at(sequence)? else {
                continue;
            };
            let word = Known {
                at: label.known_at,
                is_fraud: label.fraud,
            };
            let last = known.entry(label.payment).or_insert(word);
            if (word.at, word.is_fraud) >= (last.at, last.is_fraud) {
                *last = word;
            }
        }
        Ok(known)
    }
}

/// What is known of a payment, and since when.
#[derive(Clone, Copy)]
struct Known {
    at: i64,
    is_fraud: bool,
}

/// Who reads backwards for the last decisions stops after so many older ones in a row. Entries are
/// in order of time, but for a clock that was set back for a while. Where it was for longer, what
/// lies before is not found.
pub(crate) const OLDER_MAX: u32 = 1_000;

const DAY_MS: u64 = 86_400_000;

#[cfg(test)]
mod tests {
    use host::disk::Store;
    use serde_json::json;

    use super::*;
    use crate::journal::{Entry, Journal, LabelEntry};

    const NOW_MS: u64 = 1_772_400_000_000;
    const HOUR_MS: u64 = 3_600_000;

    fn entry(number: u64, hours_ago: u64, score: Option<u16>) -> Entry {
        let txn_id = format!("t{number}");
        let mut payment = json!({
            "txn_id": txn_id, "ts": 1_772_000_000_000_u64, "rail": "card", "currency": "EUR",
            "amount_minor": 100 + number, "account_tok": "a",
        });
        if number == 3 {
            payment["amount_ref_minor"] = json!(7_000);
        }
        let raw: features::RawTransaction = serde_json::from_value(payment).unwrap();
        let payment = features::Transaction::try_from(raw).unwrap();
        let scored_at = NOW_MS - hours_ago * HOUR_MS;
        Entry {
            txn_id,
            digest: [0; 32],
            transaction: serde_json::to_string(&payment).unwrap(),
            answer: json!({"scored_at": scored_at, "score": score}).to_string(),
            vector: Vec::new(),
        }
    }

    fn label(payment: u64, known_at: i64, fraud: bool) -> LabelEntry {
        LabelEntry {
            label_id: [known_at as u8; 32],
            txn_id: format!("t{payment}"),
            payment,
            fraud,
            known_at,
            told_at: 0,
            source: "analyst".to_owned(),
            supersedes: None,
            after: payment + 1,
            event_at: None,
        }
    }

    fn journal(folder: &std::path::Path) -> Journal {
        let mut journal = Journal::open(&Store::open(folder).unwrap()).unwrap();
        let ages = [
            (100, Some(500)),
            (47, Some(700)),
            (25, None),
            (23, Some(700)),
            (1, Some(700)),
        ];
        for (number, (hours, score)) in (0..).zip(ages) {
            journal.append(&entry(number, hours, score)).unwrap();
        }
        // A withdrawn fraud, one that came back, a word that was late, and two of one moment.
        for (payment, known_at, fraud) in [
            (1, 10, true),
            (1, 10, false),
            (3, 10, true),
            (3, 20, false),
            (4, 30, false),
            (3, 40, true),
            (4, 20, true),
        ] {
            journal
                .append_label(&label(payment, known_at, fraud))
                .unwrap();
        }
        journal.settle().unwrap();
        journal
    }

    #[test]
    fn decisions_are_counted_by_day_and_score_with_the_last_word_on_each() {
        let folder = tempfile::tempdir().unwrap();
        let follower = journal(folder.path()).follow();
        let tally = follower.tally(NOW_MS, 2, || true).unwrap().unwrap();
        let cell = |day, payments, frauds, fraud_minor| Cell {
            day,
            score: 700,
            payments,
            frauds,
            fraud_minor,
        };
        let expected = Tally {
            days: 2,
            decisions: 4,
            broken_off: false,
            unscored: 1,
            cells: vec![cell(0, 2, 1, 7_000), cell(1, 1, 1, 101)],
        };
        assert_eq!(tally, expected);
        let whole = follower.tally(NOW_MS, 30, || true).unwrap().unwrap();
        assert_eq!((whole.days, whole.decisions), (5, 5));
        assert_eq!(follower.tally(NOW_MS, 30, || false).unwrap(), None);
    }

    #[test]
    fn a_clock_that_was_set_back_hides_no_decision() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(&Store::open(folder.path()).unwrap()).unwrap();
        for (number, hours) in (0..).zip([3, 9_000, 1]) {
            journal.append(&entry(number, hours, Some(700))).unwrap();
        }
        journal.settle().unwrap();
        let tally = journal.follow().tally(NOW_MS, 2, || true).unwrap().unwrap();
        assert_eq!((tally.days, tally.decisions), (2, 2));
    }

    // The last run had a clock that was a year behind: what lies before it is not found, which is
    // said. An older journal alone is no reason to say it.
    #[test]
    fn a_clock_that_was_behind_for_long_hides_decisions_and_that_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(&Store::open(folder.path()).unwrap()).unwrap();
        let behind = (0..u64::from(OLDER_MAX)).map(|_| 9_000);
        for (number, hours) in (0..).zip([30].into_iter().chain(behind).chain([1])) {
            journal.append(&entry(number, hours, Some(700))).unwrap();
        }
        journal.settle().unwrap();
        let follower = journal.follow();
        let tally = |days| follower.tally(NOW_MS, days, || true).unwrap().unwrap();
        let two = tally(2);
        assert_eq!((two.days, two.decisions, two.broken_off), (2, 1, true));
        let one = tally(1);
        assert_eq!((one.days, one.decisions, one.broken_off), (1, 1, false));
    }

    #[test]
    fn an_empty_journal_has_no_days() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(&Store::open(folder.path()).unwrap()).unwrap();
        let tally = journal.follow().tally(NOW_MS, 2, || true).unwrap();
        assert_eq!(tally, Some(Tally::default()));
    }
}
