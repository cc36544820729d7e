//! Every decision that was answered: the payment, its vector and the answer, in order of arrival.
//! It makes retries idempotent and rebuilds the windows after a restart. Beside it the labels of
//! these payments (`journal/labels.rs`), what analysts did about alerts (`journal/actions.rs`), who
//! reads along (`journal/follower.rs`, `reading.rs`), what they are told (`told.rs`, `lately.rs`),
//! who counts (`journal/tally.rs`). When an entry must be durable, `scoring/worker.rs` says; how
//! bytes reach the disk, `host::disk`.

use std::sync::{Arc, Mutex, PoisonError};

use features::{FieldError, RawTransaction, Transaction};
use host::disk::{DiskError, Store, Table};
use protocol::wire;
use serde::{Deserialize, Serialize};

mod actions;
#[cfg(test)]
pub(crate) mod faults;
mod follower;
mod labels;
mod lately;
pub(crate) mod reading;
mod tally;
mod told;

pub(crate) use actions::{Action, Actions, Deed};
pub use follower::Follower;
pub(crate) use follower::Reach;
pub(crate) use labels::LabelEntry;
pub(crate) use tally::{Cell, OLDER_MAX, Tally};
pub(crate) use told::Told;

use labels::Labels;
use lately::Lately;

/// An append-only journal in one store. One writer at a time.
#[derive(Debug)]
pub struct Journal {
    store: Store,
    /// Sequence number, eight bytes big endian, to an entry.
    entries: Table,
    /// `txn_id` to the sequence number of its entry.
    ids: Table,
    labels: Labels,
    next: u64,
    unsettled: Unsettled,
    /// How much is durable.
    settled: Arc<Mutex<Reach>>,
    /// The last decisions, for who reads along.
    lately: Lately,
    /// What a full disk would refuse, where a test says so.
    #[cfg(test)]
    faults: faults::Faults,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unsettled {
    Nothing,
    Entries,
}

/// One decision as it was answered. No `Debug`: a payment is never logged.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) txn_id: String,
    /// Digest of the canonical payment: a retry has the same one.
    pub(crate) digest: [u8; 32],
    /// The payment, canonical JSON.
    pub(crate) transaction: String,
    /// The answer, JSON.
    pub(crate) answer: String,
    /// The vector that was scored.
    pub(crate) vector: Vec<f32>,
}

impl Journal {
    /// Opens the journal of `store`, at whose end it goes on.
    ///
    /// # Errors
    /// [`JournalError`] where the store cannot be read, or holds something else.
    pub fn open(store: &Store) -> Result<Self, JournalError> {
        let (entries, ids) = (store.table("journal/entries")?, store.table("journal/ids")?);
        let next = end_of(&entries)?;
        let labels = Labels::open(store)?;
        let journal = Self {
            store: store.clone(),
            entries,
            ids,
            labels,
            next,
            unsettled: Unsettled::Nothing,
            settled: Arc::default(),
            lately: Lately::default(),
            #[cfg(test)]
            faults: faults::Faults::default(),
        };
        journal.tell_settled();
        Ok(journal)
    }

    /// Somebody who reads along from the first entry on, on a thread of its own.
    #[must_use]
    pub fn follow(&self) -> Follower {
        Follower {
            entries: self.entries.clone(),
            labels: self.labels.clone(),
            settled: Arc::clone(&self.settled),
            next_entry: 0,
            next_label: 0,
            heard: self.lately.heard(),
            #[cfg(test)]
            faults: self.faults.clone(),
        }
    }

    /// What analysts did about alerts, in the same store.
    pub(crate) fn actions(&self) -> Result<Actions, JournalError> {
        let actions = Actions::open(&self.store)?;
        #[cfg(test)]
        let actions = actions.failing_by(&self.faults);
        Ok(actions)
    }

    /// Every journaled payment in order of arrival.
    ///
    /// # Errors
    /// Each item is an error where the store cannot be read or an entry is damaged.
    pub fn transactions(&self) -> impl Iterator<Item = Result<Transaction, JournalError>> + '_ {
        self.entries.entries().map(|found| {
            let (key, value) = found?;
            let sequence = sequence_of(&key)?;
            payment_of(sequence, &decode(sequence, &value)?)
        })
    }

    /// Entries ever appended; also the sequence number of the next one.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.next
    }

    /// Whether nothing was journaled yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.next == 0
    }

    /// The entry of a payment.
    pub(crate) fn find(&self, txn_id: &str) -> Result<Option<Entry>, JournalError> {
        Ok(self.find_numbered(txn_id)?.map(|(_, entry)| entry))
    }

    /// A payment by its id, and its number.
    pub(crate) fn find_payment(
        &self,
        txn_id: &str,
    ) -> Result<Option<(u64, Transaction)>, JournalError> {
        let Some((sequence, entry)) = self.find_numbered(txn_id)? else {
            return Ok(None);
        };
        Ok(Some((sequence, payment_of(sequence, &entry)?)))
    }

    fn find_numbered(&self, txn_id: &str) -> Result<Option<(u64, Entry)>, JournalError> {
        let Some(key) = self.ids.get(txn_id.as_bytes())? else {
            return Ok(None);
        };
        let Some(value) = self.entries.get(&key)? else {
            return Ok(None);
        };
        let sequence = sequence_of(&key)?;
        let entry = decode(sequence, &value)?;
        // A crash between the two writes leaves an id whose number went to another payment.
        Ok((entry.txn_id == txn_id).then_some((sequence, entry)))
    }

    /// The labels of a payment in order of arrival.
    pub(crate) fn labels_of(&self, txn_id: &str) -> Result<Vec<LabelEntry>, JournalError> {
        self.labels.of(txn_id, u64::MAX)
    }

    /// Appends a label; durable after [`Self::settle`].
    pub(crate) fn append_label(&mut self, label: &LabelEntry) -> Result<(), JournalError> {
        self.unsettled = Unsettled::Entries;
        #[cfg(test)]
        self.faults.append()?;
        self.labels.append(label)
    }

    /// The entry with a sequence number; nothing where there is none.
    pub(crate) fn at(&self, sequence: u64) -> Result<Option<Entry>, JournalError> {
        let value = self.entries.get(&sequence.to_be_bytes())?;
        value.map(|value| decode(sequence, &value)).transpose()
    }

    /// Appends an entry; durable after [`Self::settle`]. The id is written first, so that an
    /// entry that survives a crash is always found.
    pub(crate) fn append(&mut self, entry: &Entry) -> Result<(), JournalError> {
        let key = self.next.to_be_bytes();
        let mut value = vec![VERSION];
        value.extend(wire::encode(entry));
        self.unsettled = Unsettled::Entries;
        self.ids.put(entry.txn_id.as_bytes(), &key)?;
        #[cfg(test)]
        self.faults.append()?;
        self.entries.put(&key, &value)?;
        self.next += 1;
        Ok(())
    }

    /// Hands the decision that was appended last to who reads along, once it is durable: nobody has
    /// to decode it. Whoever writes without telling is read from disk.
    pub(crate) fn tell(&mut self, told: Told) {
        self.lately.hold(told);
    }

    /// Whether nothing waits to be made durable.
    pub(crate) fn is_settled(&self) -> bool {
        self.unsettled == Unsettled::Nothing
    }

    /// Makes every appended entry and label durable.
    pub(crate) fn settle(&mut self) -> Result<(), JournalError> {
        if self.unsettled == Unsettled::Entries {
            #[cfg(test)]
            self.faults.settle()?;
            self.store.flush()?;
            self.unsettled = Unsettled::Nothing;
            // Before anybody may read so far: who looks finds it told.
            self.lately.publish();
            self.tell_settled();
        }
        Ok(())
    }

    /// Tells followers how far they may read: both numbers of one moment, which two atomics could
    /// not tell, so that no payment is within reach without the labels that came before it.
    fn tell_settled(&self) {
        let mut settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        *settled = Reach {
            entries: self.next,
            labels: self.labels.len(),
        };
    }
}

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// An entry does not decode.
    #[error("journal entry {sequence} is damaged: restore a backup")]
    Damaged {
        /// Its number.
        sequence: u64,
    },
    /// A key that is no number.
    #[error("found a journal key of {found} bytes, expected 8: restore a backup")]
    Key {
        /// Length of the key.
        found: usize,
    },
    /// An entry of another format.
    #[error("journal entry {sequence} has format {found}, expected {VERSION}")]
    Version {
        /// Its number.
        sequence: u64,
        /// The format found.
        found: u8,
    },
    /// A label does not decode.
    #[error("label {sequence} is damaged: restore a backup")]
    DamagedLabel {
        /// Its number.
        sequence: u64,
    },
    /// A label of another format.
    #[error("label {sequence} has format {found}, expected {}", labels::VERSION)]
    LabelVersion {
        /// Its number.
        sequence: u64,
        /// The format found.
        found: u8,
    },
    /// The list of a payment's labels does not decode.
    #[error("the list of a payment's labels is damaged: restore a backup")]
    LabelIndex,
    /// The actions on an alert do not decode.
    #[error("the actions on alert {sequence} are damaged: restore a backup")]
    DamagedActions {
        /// Number of its decision.
        sequence: u64,
    },
    /// A payment that no longer passes the door.
    #[error("journal entry {sequence}: {error}")]
    Payment {
        /// Its number.
        sequence: u64,
        /// What the door says.
        error: FieldError,
    },
}

/// The number after the last of a table.
fn end_of(table: &Table) -> Result<u64, JournalError> {
    let last = table.last()?;
    last.map_or(Ok(0), |(key, _)| Ok(sequence_of(&key)? + 1))
}

fn sequence_of(key: &[u8]) -> Result<u64, JournalError> {
    let bytes = key
        .try_into()
        .map_err(|_| JournalError::Key { found: key.len() })?;
    Ok(u64::from_be_bytes(bytes))
}

pub(crate) fn payment_of(sequence: u64, entry: &Entry) -> Result<Transaction, JournalError> {
    let raw = RawTransaction::from_json(entry.transaction.as_bytes());
    let transaction = raw.and_then(Transaction::try_from);
    transaction.map_err(|error| JournalError::Payment { sequence, error })
}

fn decode(sequence: u64, value: &[u8]) -> Result<Entry, JournalError> {
    match value.split_first() {
        Some((&VERSION, bytes)) => {
            wire::decode(bytes).map_err(|_| JournalError::Damaged { sequence })
        }
        Some((&found, _)) => Err(JournalError::Version { sequence, found }),
        None => Err(JournalError::Damaged { sequence }),
    }
}

/// Format of an entry, its first byte. A change to [`Entry`] is a change of this number.
const VERSION: u8 = 1;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn payment(txn_id: &str) -> Transaction {
        let raw: RawTransaction = serde_json::from_value(json!({
            "txn_id": txn_id, "ts": "2026-03-01T10:00:00.5Z", "rail": "card",
            "amount_minor": 1250, "currency": "eur", "account_tok": 77, "card_tok": "c",
            "terminal_tok": "o", "mcc": "0742", "account_opened": "2019-02-03",
            "geo_lat": 48.8566, "geo_lon": -2.3522, "rooted": "no", "local_hour": 23,
            "balance_before_minor": -5, "direction": "credit", "channel": "pos",
            "ext": {"segment_score": 0.1, "note": "a b", "one": 1},
        }))
        .unwrap();
        Transaction::try_from(raw).unwrap()
    }

    fn entry(txn_id: &str) -> Entry {
        Entry {
            txn_id: txn_id.to_owned(),
            digest: [3; 32],
            transaction: serde_json::to_string(&payment(txn_id)).unwrap(),
            answer: "{}".to_owned(),
            vector: vec![1.5, -0.25],
        }
    }

    #[test]
    fn a_payment_comes_back_whole_and_in_order() {
        let folder = tempfile::tempdir().unwrap();
        {
            let store = Store::open(folder.path()).unwrap();
            let mut journal = Journal::open(&store).unwrap();
            assert!(journal.is_empty());
            for id in ["z", "a", "m"] {
                journal.append(&entry(id)).unwrap();
            }
            journal.settle().unwrap();
        }
        let store = Store::open(folder.path()).unwrap();
        let journal = Journal::open(&store).unwrap();
        let back: Vec<_> = journal.transactions().map(Result::unwrap).collect();
        assert!(
            back == ["z", "a", "m"].map(payment),
            "a field did not survive the journal"
        );
        assert_eq!(journal.len(), 3);
        assert!(journal.find("a").unwrap() == Some(entry("a")));
        assert!(journal.find("b").unwrap().is_none());
        assert!(journal.at(2).unwrap() == Some(entry("m")));
        assert!(journal.at(3).unwrap().is_none());
    }

    #[test]
    fn an_id_whose_entry_was_lost_in_a_crash_is_unseen() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let mut journal = Journal::open(&store).unwrap();
        journal.append(&entry("kept")).unwrap();
        journal.ids.put(b"lost", &1_u64.to_be_bytes()).unwrap();
        assert!(journal.find("lost").unwrap().is_none());
        journal.append(&entry("next")).unwrap();
        assert!(journal.find("lost").unwrap().is_none());
        journal.append(&entry("lost")).unwrap();
        assert!(journal.find("lost").unwrap() == Some(entry("lost")));
    }

    #[test]
    fn damage_and_a_foreign_format_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let mut journal = Journal::open(&store).unwrap();
        journal.append(&entry("a")).unwrap();
        let said = |value: &[u8]| {
            journal.entries.put(&[0; 8], value).unwrap();
            journal
                .transactions()
                .next()
                .unwrap()
                .unwrap_err()
                .to_string()
        };
        assert!(said(&[VERSION, 1, 2]).contains("entry 0 is damaged"));
        assert!(said(&[9]).contains("format 9, expected 1"));
        journal.entries.put(b"key", b"").unwrap();
        assert!(Journal::open(&store).is_err());
    }
}
