//! Labels as they came, append-only, beside the payments they speak of. A later word supersedes an
//! earlier one without erasing it: what was known at any moment can be read again. What a label
//! may say is judged in `scoring/labels.rs`; when it must be durable, `scoring/worker.rs` says.

use std::collections::BTreeSet;

use host::disk::{Store, Table};
use protocol::wire;
use serde::{Deserialize, Serialize};

use super::{JournalError, sequence_of};

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
}

/// The labels of one store.
#[derive(Debug)]
pub(super) struct Labels {
    /// Sequence number, eight bytes big endian, to a label.
    entries: Table,
    /// `txn_id` to the sequence numbers of its labels.
    of: Table,
    next: u64,
}

impl Labels {
    /// Opens the labels of `store`, and reads through them once to find their end.
    pub(super) fn open(store: &Store) -> Result<Self, JournalError> {
        let (entries, of) = (store.table("labels/entries")?, store.table("labels/of")?);
        let mut next = 0;
        for entry in entries.entries() {
            let (key, _) = entry?;
            next = sequence_of(&key)? + 1;
        }
        Ok(Self { entries, of, next })
    }

    pub(super) fn len(&self) -> u64 {
        self.next
    }

    /// Every label in order of arrival.
    pub(super) fn all(&self) -> impl Iterator<Item = Result<LabelEntry, JournalError>> + '_ {
        self.entries.entries().map(|found| {
            let (key, value) = found?;
            decode(sequence_of(&key)?, &value)
        })
    }

    /// The labels of a payment in order of arrival.
    pub(super) fn of(&self, txn_id: &str) -> Result<Vec<LabelEntry>, JournalError> {
        of((&self.entries, &self.of), txn_id)
    }

    /// The labels, and which are whose: for who reads along.
    pub(super) fn tables(&self) -> (Table, Table) {
        (self.entries.clone(), self.of.clone())
    }

    /// Appends a label. The number is written first, so that a label that survives a crash is
    /// always found.
    pub(super) fn append(&mut self, label: &LabelEntry) -> Result<(), JournalError> {
        let mut sequences = sequences(&self.of, &label.txn_id)?;
        sequences.insert(self.next);
        self.of
            .put(label.txn_id.as_bytes(), &wire::encode(&sequences))?;
        let mut value = vec![VERSION];
        value.extend(wire::encode(label));
        self.entries.put(&self.next.to_be_bytes(), &value)?;
        self.next += 1;
        Ok(())
    }
}

/// The labels of a payment in order of arrival, out of the labels and the table of whose they are.
pub(super) fn of(
    (entries, of): (&Table, &Table),
    txn_id: &str,
) -> Result<Vec<LabelEntry>, JournalError> {
    let mut labels = Vec::new();
    for sequence in sequences(of, txn_id)? {
        let Some(value) = entries.get(&sequence.to_be_bytes())? else {
            continue;
        };
        let label = decode(sequence, &value)?;
        // A crash between the two writes leaves a number that went to another payment's label.
        if label.txn_id == txn_id {
            labels.push(label);
        }
    }
    Ok(labels)
}

fn sequences(of: &Table, txn_id: &str) -> Result<BTreeSet<u64>, JournalError> {
    let Some(value) = of.get(txn_id.as_bytes())? else {
        return Ok(BTreeSet::new());
    };
    wire::decode(&value).map_err(|_| JournalError::LabelIndex)
}

/// Reads a label as it lies on disk.
pub(super) fn decode(sequence: u64, value: &[u8]) -> Result<LabelEntry, JournalError> {
    match value.split_first() {
        Some((&VERSION, bytes)) => {
            wire::decode(bytes).map_err(|_| JournalError::DamagedLabel { sequence })
        }
        Some((&found, _)) => Err(JournalError::LabelVersion { sequence, found }),
        None => Err(JournalError::DamagedLabel { sequence }),
    }
}

/// Format of a label, its first byte. A change to [`LabelEntry`] is a change of this number.
pub(super) const VERSION: u8 = 1;

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
        let all: Vec<LabelEntry> = labels.all().map(Result::unwrap).collect();
        assert_eq!((labels.len(), &all[..]), (3, &told[..]));
        assert_eq!(labels.of("a").unwrap(), [told[0].clone(), told[2].clone()]);
        assert!(labels.of("c").unwrap().is_empty());
    }

    #[test]
    fn a_number_whose_label_was_lost_in_a_crash_is_another_payments() {
        let folder = tempfile::tempdir().unwrap();
        let mut labels = Labels::open(&Store::open(folder.path()).unwrap()).unwrap();
        let lost = BTreeSet::from([0_u64]);
        labels.of.put(b"lost", &wire::encode(&lost)).unwrap();
        assert!(labels.of("lost").unwrap().is_empty());
        labels.append(&label("next", 1, true)).unwrap();
        assert!(labels.of("lost").unwrap().is_empty());
        labels.append(&label("lost", 2, true)).unwrap();
        assert_eq!(labels.of("lost").unwrap(), [label("lost", 2, true)]);
    }

    #[test]
    fn damage_and_a_foreign_format_are_named() {
        let said = |value: &[u8]| decode(4, value).unwrap_err().to_string();
        assert!(said(&[VERSION, 1, 2]).contains("label 4 is damaged"));
        assert!(said(&[9]).contains("label 4 has format 9, expected 1"));
        assert!(said(&[]).contains("label 4 is damaged"));
    }
}
