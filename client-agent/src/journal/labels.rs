//! Labels as they came, append-only, beside the payments they speak of. A later word supersedes an
//! earlier one without erasing it: what was known at any moment can be read again. What a label
//! may say is judged in `scoring/labels.rs`; when it must be durable, `scoring/worker.rs` says.

use std::collections::BTreeSet;

use host::disk::{Store, Table};
use protocol::wire;
use serde::{Deserialize, Serialize};

use super::{JournalError, end_of, sequence_of};

/// One label as it was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LabelEntry {
    /// Digest of what was sent: a retry has the same one.
    pub(crate) label_id: [u8; 32],
    /// The labelled payment.
    pub(crate) txn_id: String,
    /// Its number in the journal.
    pub(crate) payment: u64,
    pub(crate) fraud: bool,
    /// Since when that is known, milliseconds since 1970-01-01 UTC.
    pub(crate) known_at: i64,
    /// When the agent was told, likewise.
    pub(crate) told_at: u64,
    /// Who says so.
    pub(crate) source: String,
    /// The label that this one says it takes the place of.
    pub(crate) supersedes: Option<[u8; 32]>,
    /// Payments in the journal when it came: it was told after the last of them and before the
    /// next. 0 where an earlier build wrote it, which did not say.
    pub(crate) after: u64,
    /// When that happened of which it speaks, milliseconds since 1970-01-01 UTC; nothing where
    /// nobody said so: then it is the payment itself, at its own time.
    pub(crate) event_at: Option<i64>,
}

/// The labels of one store.
#[derive(Clone, Debug)]
pub(super) struct Labels {
    /// Sequence number, eight bytes big endian, to a label.
    entries: Table,
    /// `txn_id` to the sequence numbers of its labels.
    of: Table,
    next: u64,
}

impl Labels {
    /// Opens the labels of `store`, at whose end they go on.
    pub(super) fn open(store: &Store) -> Result<Self, JournalError> {
        let (entries, of) = (store.table("labels/entries")?, store.table("labels/of")?);
        let next = end_of(&entries)?;
        Ok(Self { entries, of, next })
    }

    pub(super) fn len(&self) -> u64 {
        self.next
    }

    /// Payments that the journal must have for the last label to speak of one of them.
    ///
    /// # Errors
    /// [`JournalError`] where the store cannot be read or the label is damaged.
    pub(super) fn payments(&self) -> Result<u64, JournalError> {
        let last = self.next.checked_sub(1).map(|last| self.at(last));
        let last = last.transpose()?.flatten();
        Ok(last.map_or(0, |label| label.after.max(label.payment.saturating_add(1))))
    }

    /// The number of the oldest label that is kept.
    ///
    /// # Errors
    /// [`JournalError`] where the store cannot be read, or a key is no number.
    pub(super) fn first(&self) -> Result<u64, JournalError> {
        let oldest = self.entries.entries_from(&[]).next().transpose()?;
        oldest.map_or(Ok(self.next), |(key, _)| sequence_of(&key))
    }

    /// Removes the labels of a payment that has left the journal. The last label of all stays: its
    /// number says where the next one goes on.
    ///
    /// # Errors
    /// [`JournalError`] where the store cannot be read or written.
    pub(super) fn forget(&self, txn_id: &str) -> Result<(), JournalError> {
        let sequences = self.sequences(txn_id)?;
        let Some(last) = sequences.last() else {
            return Ok(());
        };
        let newest = end_of(&self.entries)?;
        for sequence in &sequences {
            if sequence + 1 < newest {
                self.entries.remove(&sequence.to_be_bytes())?;
            }
        }
        match last + 1 < newest {
            true => Ok(self.of.remove(txn_id.as_bytes())?),
            false => Ok(()),
        }
    }

    pub(super) fn table(&self) -> &Table {
        &self.entries
    }

    /// The label of a number.
    pub(super) fn at(&self, sequence: u64) -> Result<Option<LabelEntry>, JournalError> {
        let value = self.entries.get(&sequence.to_be_bytes())?;
        value.map(|value| decode(sequence, &value)).transpose()
    }

    /// The labels of a payment in order of arrival, as far as their numbers are below `end`.
    pub(super) fn of(&self, txn_id: &str, end: u64) -> Result<Vec<LabelEntry>, JournalError> {
        let mut labels = Vec::new();
        for &sequence in self.sequences(txn_id)?.range(..end) {
            let Some(label) = self.at(sequence)? else {
                continue;
            };
            // A crash between the two writes leaves a number that went to another payment's label.
            if label.txn_id == txn_id {
                labels.push(label);
            }
        }
        Ok(labels)
    }

    /// Appends a label. The number is written first, so that a label that survives a crash is
    /// always found.
    pub(super) fn append(&mut self, label: &LabelEntry) -> Result<(), JournalError> {
        let mut sequences = self.sequences(&label.txn_id)?;
        sequences.insert(self.next);
        self.of
            .put(label.txn_id.as_bytes(), &wire::encode(&sequences))?;
        let mut value = vec![VERSION];
        value.extend(wire::encode(label));
        self.entries.put(&self.next.to_be_bytes(), &value)?;
        self.next += 1;
        Ok(())
    }

    fn sequences(&self, txn_id: &str) -> Result<BTreeSet<u64>, JournalError> {
        let Some(value) = self.of.get(txn_id.as_bytes())? else {
            return Ok(BTreeSet::new());
        };
        wire::decode(&value).map_err(|_| JournalError::LabelIndex)
    }
}

/// Reads a label as it lies on disk.
fn decode(sequence: u64, value: &[u8]) -> Result<LabelEntry, JournalError> {
    let damaged = |_| JournalError::DamagedLabel { sequence };
    match value.split_first() {
        Some((&VERSION, bytes)) => wire::decode(bytes).map_err(damaged),
        // All but the last field, or the last two: a number, and a time that nobody said.
        Some((&VERSION_WITHOUT_EVENT, bytes)) => {
            wire::decode(&[bytes, &NONE].concat()).map_err(damaged)
        }
        Some((&VERSION_WITHOUT_AFTER, bytes)) => {
            wire::decode(&[bytes, &0_u64.to_be_bytes(), &NONE].concat()).map_err(damaged)
        }
        Some((&found, _)) => Err(JournalError::LabelVersion { sequence, found }),
        None => Err(JournalError::DamagedLabel { sequence }),
    }
}

/// Format of a label, its first byte. A change to [`LabelEntry`] is a change of this number.
pub(super) const VERSION: u8 = 3;

/// The format before a label said when that happened of which it speaks.
const VERSION_WITHOUT_EVENT: u8 = 2;

/// The format before it said when it came.
const VERSION_WITHOUT_AFTER: u8 = 1;

/// How `wire` writes that there is no value.
const NONE: [u8; 1] = [0];

#[cfg(test)]
mod tests {
    use super::*;

    fn label(txn_id: &str, known_at: i64, fraud: bool) -> LabelEntry {
        LabelEntry {
            label_id: [known_at as u8; 32],
            txn_id: txn_id.to_owned(),
            payment: 7,
            fraud,
            known_at,
            told_at: 99,
            source: "analyst".to_owned(),
            supersedes: (!fraud).then_some([3; 32]),
            after: 8,
            event_at: fraud.then_some(known_at - 1),
        }
    }

    #[test]
    fn every_label_stays_in_order_of_arrival() {
        let folder = tempfile::tempdir().unwrap();
        let told = [
            label("a", 5, true),
            label("b", 1, true),
            label("a", 3, false),
        ];
        {
            let store = Store::open(folder.path()).unwrap();
            let mut labels = Labels::open(&store).unwrap();
            told.iter().for_each(|label| labels.append(label).unwrap());
            store.flush().unwrap();
        }
        let labels = Labels::open(&Store::open(folder.path()).unwrap()).unwrap();
        let all: Vec<LabelEntry> = (0..3).map(|at| labels.at(at).unwrap().unwrap()).collect();
        assert_eq!((labels.len(), &all[..]), (3, &told[..]));
        assert_eq!(
            labels.of("a", 3).unwrap(),
            [told[0].clone(), told[2].clone()]
        );
        assert_eq!(labels.of("a", 2).unwrap(), [told[0].clone()]);
        assert!(labels.of("c", 3).unwrap().is_empty());
    }

    #[test]
    fn a_number_whose_label_was_lost_in_a_crash_is_another_payments() {
        let folder = tempfile::tempdir().unwrap();
        let mut labels = Labels::open(&Store::open(folder.path()).unwrap()).unwrap();
        let lost = BTreeSet::from([0_u64]);
        labels.of.put(b"lost", &wire::encode(&lost)).unwrap();
        assert!(labels.of("lost", 9).unwrap().is_empty());
        labels.append(&label("next", 1, true)).unwrap();
        assert!(labels.of("lost", 9).unwrap().is_empty());
        labels.append(&label("lost", 2, true)).unwrap();
        assert_eq!(labels.of("lost", 9).unwrap(), [label("lost", 2, true)]);
    }

    // As those builds wrote it: the digest of its words, then each field, numbers big endian.
    #[test]
    fn a_label_of_an_earlier_build_is_read() {
        let mut first = vec![VERSION_WITHOUT_AFTER];
        first.extend([5_u8; 32]);
        first.extend([&1_u64.to_be_bytes()[..], b"a"].concat());
        first.extend(7_u64.to_be_bytes());
        first.push(0);
        first.extend(5_i64.to_be_bytes());
        first.extend(99_u64.to_be_bytes());
        first.extend([&7_u64.to_be_bytes()[..], b"analyst"].concat());
        first.push(1);
        first.extend([3_u8; 32]);
        let expected = label("a", 5, false);
        let undated = LabelEntry {
            after: 0,
            ..expected.clone()
        };
        assert_eq!(decode(4, &first).unwrap(), undated);
        let mut second = [&first[..], &8_u64.to_be_bytes()].concat();
        second[0] = VERSION_WITHOUT_EVENT;
        assert_eq!(decode(4, &second).unwrap(), expected);
        // Beside those of this build, under their numbers.
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let entries = store.table("labels/entries").unwrap();
        entries.put(&0_u64.to_be_bytes(), &second).unwrap();
        let of = store.table("labels/of").unwrap();
        let numbers = BTreeSet::from([0_u64]);
        of.put(b"a", &wire::encode(&numbers)).unwrap();
        let mut labels = Labels::open(&store).unwrap();
        labels.append(&label("a", 6, true)).unwrap();
        assert_eq!(labels.of("a", 9).unwrap(), [expected, label("a", 6, true)]);
    }

    #[test]
    fn damage_and_a_foreign_format_are_named() {
        let said = |value: &[u8]| decode(4, value).unwrap_err().to_string();
        assert!(said(&[VERSION, 1, 2]).contains("label 4 is damaged"));
        assert!(said(&[9]).contains("label 4 has format 9, expected 3"));
        assert!(said(&[]).contains("label 4 is damaged"));
    }
}
