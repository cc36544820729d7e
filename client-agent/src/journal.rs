//! Every decision that was answered: the payment, its vector and the answer, in order of arrival.
//! It makes retries idempotent (`journal/ids.rs`) and rebuilds the windows after a restart. Beside
//! it the labels of these payments (`journal/labels.rs`), what analysts did about alerts
//! (`journal/actions.rs`), who reads along (`journal/follower.rs`, `reading.rs`), what they are
//! told (`told.rs`, `lately.rs`, `settled.rs`), who counts (`journal/tally.rs`), and when entries
//! leave, with all that speaks of them (`journal/expiry.rs`). When an answer may be told,
//! `scoring/worker.rs` says; who flushes where that is before the entry is durable, `behind.rs`;
//! how bytes reach the disk, `host::disk`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use features::{RawTransaction, Transaction};
use host::disk::{Segments, Store, Table, Torn};
use host::workers::Breather;
use protocol::wire;
use serde::{Deserialize, Serialize};

mod actions;
mod ahead;
mod behind;
mod error;
mod expiry;
#[cfg(test)]
pub(crate) mod faults;
mod follower;
mod ids;
mod labels;
mod lately;
mod moved;
pub(crate) mod reading;
mod settled;
mod tally;
mod told;

pub(crate) use actions::{Action, Actions, Deed};
pub use error::JournalError;
#[cfg(test)]
pub(crate) use expiry::Kept;
pub(crate) use expiry::{Expiry, Keep, Old};
pub use follower::Follower;
pub(crate) use follower::Reach;
pub(crate) use labels::LabelEntry;
pub(crate) use tally::{Cell, OLDER_MAX, Tally};
pub(crate) use told::Told;

use ahead::Ahead;
use behind::Behind;
use ids::{Bounds, Ids};
use labels::Labels;
use lately::Lately;
use settled::Settled;

use crate::scoring::Beside;

/// An append-only journal in one store and a folder in it. One writer at a time.
pub struct Journal {
    store: Store,
    /// Entries, numbered from 0.
    log: Segments,
    /// `txn_id` to the sequence number of its entry.
    ids: Ids,
    labels: Labels,
    /// The oldest label that was kept when the journal was opened.
    first_label: u64,
    /// The entry that is being appended, as it goes to disk.
    record: Vec<u8>,
    unsettled: Unsettled,
    /// Who flushes, where decisions are told once they are written.
    behind: Option<Behind>,
    /// How much is durable.
    settled: Arc<Settled>,
    /// Durable labels.
    labels_durable: u64,
    /// The last decisions, for who reads along.
    lately: Lately,
    /// What a full disk would refuse, where a test says so.
    #[cfg(test)]
    faults: faults::Faults,
}

/// What may not be told yet; each includes what is above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Unsettled {
    Nothing,
    Entries,
    Labels,
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
    /// Opens the journal of `store`, at whose end it goes on. One that an earlier build wrote is
    /// moved first, which may take minutes.
    ///
    /// # Errors
    /// [`JournalError`] where the store cannot be read, or holds something else.
    pub fn open(store: &Store) -> Result<Self, JournalError> {
        Self::open_with(store, Bounds::default())
    }

    fn open_with(store: &Store, bounds: Bounds) -> Result<Self, JournalError> {
        let first = expiry::first(store)?;
        let (mut log, torn) = Segments::open(&store.path().join(FOLDER), first)?;
        if let Some(Torn { bytes }) = torn {
            tracing::warn!(
                bytes,
                "the journal's end holds decisions that are not whole: they are cut off; where \
                 the disk keeps its word, and answers are told after the flush, none of them was \
                 answered, and such a payment may be sent again"
            );
        }
        moved::move_entries(store, &mut log)?;
        let labels = Labels::open(store)?;
        // They name payments by number, and would speak of others.
        let named = labels.payments()?.max(Actions::open(store)?.payments()?);
        check_whole(log.len(), named)?;
        let ids = Ids::open(store, log.reader(), bounds)?;
        let mut journal = Self {
            store: store.clone(),
            log,
            #[cfg(test)]
            faults: ids.faults(),
            ids,
            first_label: labels.first()?,
            labels_durable: labels.len(),
            labels,
            record: Vec::new(),
            unsettled: Unsettled::Nothing,
            behind: None,
            settled: Arc::default(),
            lately: Lately::default(),
        };
        journal.tell_settled();
        Ok(journal)
    }

    /// From here on decisions can be told once they are written: what makes them durable then is a
    /// thread.
    ///
    /// # Errors
    /// [`JournalError::Thread`] where none can be had.
    pub(crate) fn flush_behind(&mut self) -> Result<(), JournalError> {
        let behind = Behind::start(
            #[cfg(test)]
            self.faults.clone(),
        )?;
        self.behind = Some(behind);
        Ok(())
    }

    /// Says through `beside` whether the ids of payments can be kept on disk.
    pub(crate) fn telling(&self, beside: Beside) {
        self.ids.telling(beside);
    }

    /// Whether another payment can be taken, as far as the list of ids is concerned.
    ///
    /// # Errors
    /// [`JournalError::Full`] where it cannot be written and memory has no room for more.
    pub(crate) fn check_room(&self) -> Result<(), JournalError> {
        self.ids.check_room()
    }

    /// Somebody who reads along from the first entry on, on a thread of its own.
    #[must_use]
    pub fn follow(&self) -> Follower {
        Follower {
            log: self.log.reader(),
            ahead: Ahead::default(),
            labels: self.labels.clone(),
            settled: Arc::clone(&self.settled),
            next_entry: self.first(),
            next_label: self.first_label,
            heard: self.lately.heard(),
            breather: Breather::default(),
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

    /// Every journaled payment that is kept, in order of arrival.
    ///
    /// # Errors
    /// Each item is an error where the store cannot be read or an entry is damaged.
    pub fn transactions(&self) -> impl Iterator<Item = Result<Transaction, JournalError>> + '_ {
        (self.first()..self.len()).filter_map(move |sequence| {
            let entry = self.at(sequence).transpose()?;
            Some(entry.and_then(|entry| payment_of(sequence, &entry)))
        })
    }

    /// The old end of it, for who has it leave.
    ///
    /// # Errors
    /// [`JournalError`] where the store cannot be used.
    pub(crate) fn old(&self) -> Result<Old, JournalError> {
        Old::of(&self.store, &self.log, self.labels.clone())
    }

    /// The number of the oldest entry that is kept.
    pub(crate) fn first(&self) -> u64 {
        self.log.reader().first()
    }

    /// Entries ever appended; also the sequence number of the next one.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.log.len()
    }

    /// Whether nothing was journaled yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.log.is_empty()
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
        let Some(sequence) = self.ids.find(txn_id)? else {
            return Ok(None);
        };
        let Some(entry) = self.at(sequence)? else {
            return Ok(None);
        };
        // A crash of an earlier build, which wrote the id first, left one whose number went to
        // another payment.
        Ok((entry.txn_id == txn_id).then_some((sequence, entry)))
    }

    /// The labels of a payment in order of arrival.
    pub(crate) fn labels_of(&self, txn_id: &str) -> Result<Vec<LabelEntry>, JournalError> {
        self.labels.of(txn_id, u64::MAX)
    }

    /// Appends a label; durable, and to be told, after [`Self::settle`].
    pub(crate) fn append_label(&mut self, label: &LabelEntry) -> Result<(), JournalError> {
        self.unsettled = Unsettled::Labels;
        #[cfg(test)]
        self.faults.append()?;
        // Whoever flushes the store makes the label durable too, at any moment from here on: the
        // payments that came before it have to be so. Where none came since the last label, the
        // disk is asked for nothing: a list of labels costs one flush.
        self.log.flush()?;
        self.labels.append(label)
    }

    /// The entry with a sequence number; nothing where there is none.
    pub(crate) fn at(&self, sequence: u64) -> Result<Option<Entry>, JournalError> {
        let value = self.log.get(sequence)?;
        value.map(|value| decode(sequence, &value)).transpose()
    }

    /// Appends an entry; to be told after [`Self::settle`].
    pub(crate) fn append(&mut self, entry: &Entry) -> Result<(), JournalError> {
        self.ids.make_room(&mut self.log)?;
        self.record.clear();
        self.record.push(VERSION);
        wire::encode_into(entry, &mut self.record).expect("a vector takes every byte");
        self.unsettled = self.unsettled.max(Unsettled::Entries);
        #[cfg(test)]
        self.faults.append()?;
        let sequence = self.log.append(&self.record)?;
        self.ids.insert(&entry.txn_id, sequence);
        Ok(())
    }

    /// Hands the decision that was appended last to who reads along, once it is durable: nobody has
    /// to decode it. Whoever writes without telling is read from disk.
    pub(crate) fn tell(&mut self, told: Told) {
        self.lately.hold(told);
    }

    /// Whether everything can be told.
    pub(crate) fn is_settled(&self) -> bool {
        self.unsettled == Unsettled::Nothing
    }

    /// Takes every appended entry and label to where it can be told of: makes it durable, or where
    /// flushes go on behind and there are entries alone, writes it.
    pub(crate) fn settle(&mut self) -> Result<(), JournalError> {
        match (self.unsettled, &self.behind) {
            (Unsettled::Nothing, _) => Ok(()),
            (Unsettled::Entries, Some(behind)) => {
                #[cfg(test)]
                self.faults.check_sound()?;
                self.log.write()?;
                behind.order(self.log.flushing());
                self.unsettled = Unsettled::Nothing;
                self.tell_settled();
                Ok(())
            }
            (Unsettled::Entries, None) | (Unsettled::Labels, _) => self.flush(),
        }
    }

    /// Makes every appended entry and label durable.
    pub(crate) fn flush(&mut self) -> Result<(), JournalError> {
        #[cfg(test)]
        self.faults.settle()?;
        self.log.flush()?;
        if self.unsettled == Unsettled::Labels {
            self.store.flush()?;
            self.labels_durable = self.labels.len();
        }
        self.unsettled = Unsettled::Nothing;
        self.tell_settled();
        Ok(())
    }

    /// Hears of a flush behind, if one has ended: how long it took, and whether the disk refused.
    /// Then nothing can be appended.
    pub(crate) fn heed(&mut self) -> Option<(Duration, Result<(), JournalError>)> {
        let flushed = self.behind.as_ref()?.heard()?;
        let took = flushed.took();
        let heard = self.log.flushed(flushed).map_err(JournalError::from);
        #[cfg(test)]
        let heard = heard.and_then(|()| self.faults.flushed());
        match &heard {
            Ok(()) => self.tell_settled(),
            Err(_) => self.unsettled = self.unsettled.max(Unsettled::Entries),
        }
        Some((took, heard))
    }

    /// Decisions that may have been told and are not durable.
    pub(crate) fn in_doubt(&self) -> u64 {
        self.len().saturating_sub(self.log.durable())
    }

    /// Tells followers how far they may read, which is what is durable, and waits for none of them.
    fn tell_settled(&mut self) {
        let (entries, labels) = (self.log.durable(), self.labels_durable);
        // Before anybody may read so far: who looks finds it told.
        self.lately.publish(entries);
        self.settled.tell(Reach { entries, labels });
    }
}

/// Without what is in it: a payment is never logged.
impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids = &self.ids;
        f.debug_struct("Journal")
            .field("ids", ids)
            .finish_non_exhaustive()
    }
}

/// Refuses a log that is shorter than something else says that it was: what was answered is lost,
/// and numbers that the store's tables have given to payments would go to others.
fn check_whole(found: u64, expected: u64) -> Result<(), JournalError> {
    match found < expected {
        true => Err(JournalError::Short { found, expected }),
        false => Ok(()),
    }
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

/// Reads an entry as it lies on disk.
fn decode(sequence: u64, value: &[u8]) -> Result<Entry, JournalError> {
    let body = body_of(sequence, value)?;
    wire::decode(body).map_err(|_| JournalError::Damaged { sequence })
}

/// The id of an entry as it lies on disk. It begins with it, after eight bytes of its length, big
/// endian; to decode the rest for it would be most of the work.
fn txn_id_of(sequence: u64, value: &[u8]) -> Result<&str, JournalError> {
    let body = body_of(sequence, value)?;
    let text = body.split_first_chunk::<8>().and_then(|(length, rest)| {
        let length = usize::try_from(u64::from_be_bytes(*length)).ok()?;
        rest.get(..length)
    });
    text.and_then(|text| std::str::from_utf8(text).ok())
        .ok_or(JournalError::Damaged { sequence })
}

fn body_of(sequence: u64, value: &[u8]) -> Result<&[u8], JournalError> {
    match value.split_first() {
        Some((&VERSION, bytes)) => Ok(bytes),
        Some((&found, _)) => Err(JournalError::Version { sequence, found }),
        None => Err(JournalError::Damaged { sequence }),
    }
}

/// Format of an entry, its first byte. A change to [`Entry`] is a change of this number.
const VERSION: u8 = 1;

/// Where the entries lie, in the store's folder.
const FOLDER: &str = "journal";

#[cfg(test)]
pub(crate) mod tests;
