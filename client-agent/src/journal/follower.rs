//! The journal read by somebody who does not write it: payments and labels that are durable, in
//! order of arrival, each once. Nothing is queued between writer and reader and nothing is locked:
//! the disk is the queue, and two numbers say how far it may be read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use features::Transaction;
use host::disk::Table;

use super::labels::{self, LabelEntry};
use super::{Entry, JournalError, decode, payment_of};

/// How much is durable.
#[derive(Debug, Default)]
pub(super) struct Settled {
    pub(super) entries: AtomicU64,
    pub(super) labels: AtomicU64,
}

/// Reads along behind a journal's writer.
#[derive(Debug)]
pub struct Follower {
    pub(super) entries: Table,
    pub(super) labels: Table,
    /// `txn_id` to the sequence numbers of its labels.
    pub(super) labels_of: Table,
    pub(super) settled: Arc<Settled>,
    pub(super) next_entry: u64,
    pub(super) next_label: u64,
}

/// How far one stretch of reading goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reach {
    pub(super) entries: u64,
    pub(super) labels: u64,
}

impl Follower {
    /// What is durable at this moment. A label is never within reach without its payment.
    pub(crate) fn reach(&self) -> Reach {
        // In this order: labels that become durable in between wait for the next stretch.
        let labels = self.settled.labels.load(Ordering::Acquire);
        let entries = self.settled.entries.load(Ordering::Acquire);
        Reach { entries, labels }
    }

    /// The next payment within reach, and its number.
    ///
    /// # Errors
    /// [`JournalError`] where the store cannot be read or the entry is damaged.
    pub(crate) fn next_payment(
        &mut self,
        reach: Reach,
    ) -> Result<Option<(u64, Transaction)>, JournalError> {
        let Some((sequence, entry)) = self.next_decision(reach)? else {
            return Ok(None);
        };
        Ok(Some((sequence, payment_of(sequence, &entry)?)))
    }

    /// The next decision within reach, and its number.
    ///
    /// # Errors
    /// As [`Self::next_payment`].
    pub(crate) fn next_decision(
        &mut self,
        reach: Reach,
    ) -> Result<Option<(u64, Entry)>, JournalError> {
        while self.next_entry < reach.entries {
            let sequence = self.next_entry;
            self.next_entry += 1;
            if let Some(value) = self.entries.get(&sequence.to_be_bytes())? {
                return Ok(Some((sequence, decode(sequence, &value)?)));
            }
        }
        Ok(None)
    }

    /// The next label within reach.
    ///
    /// # Errors
    /// [`JournalError`] where the store cannot be read or the label is damaged.
    pub(crate) fn next_label(&mut self, reach: Reach) -> Result<Option<LabelEntry>, JournalError> {
        while self.next_label < reach.labels {
            let sequence = self.next_label;
            self.next_label += 1;
            if let Some(value) = self.labels.get(&sequence.to_be_bytes())? {
                return labels::decode(sequence, &value).map(Some);
            }
        }
        Ok(None)
    }

    /// Leaves out all labels but the last `count` that are durable at this moment.
    pub(crate) fn skip_to_last_labels(&mut self, count: u64) {
        let labels = self.settled.labels.load(Ordering::Acquire);
        self.next_label = self.next_label.max(labels.saturating_sub(count));
    }

    /// The decision with a number; nothing where there is none.
    ///
    /// # Errors
    /// As [`Self::next_payment`].
    pub(crate) fn at(&self, sequence: u64) -> Result<Option<Entry>, JournalError> {
        let value = self.entries.get(&sequence.to_be_bytes())?;
        value.map(|value| decode(sequence, &value)).transpose()
    }

    /// The labels of a payment in order of arrival, those too that are not yet durable.
    ///
    /// # Errors
    /// As [`Self::next_label`].
    pub(crate) fn labels_of(&self, txn_id: &str) -> Result<Vec<LabelEntry>, JournalError> {
        labels::of((&self.labels, &self.labels_of), txn_id)
    }
}
