//! The journal read by somebody who does not write it: payments and labels that are durable, in
//! order of arrival, each once. Nothing is queued between writer and reader: the disk is the
//! queue, and two numbers say how far it may be read. The last decisions need not be read from it:
//! `told.rs` says how a decision is told, `reading.rs` how somebody reads along.

use std::sync::Arc;

use crypto::{Digest, sha256};
use features::Transaction;
use host::disk::{DiskError, SegmentReader};
use host::workers::Breather;

use super::ahead::Ahead;
#[cfg(test)]
use super::faults::Faults;
use super::labels::{LabelEntry, Labels};
use super::lately::Heard;
use super::settled::Settled;
use super::{Entry, JournalError, decode, payment_of};

/// Reads along behind a journal's writer.
#[derive(Clone, Debug)]
pub struct Follower {
    pub(super) log: SegmentReader,
    pub(super) ahead: Ahead,
    pub(super) labels: Labels,
    pub(super) settled: Arc<Settled>,
    /// At the start the first ones that are kept.
    pub(super) next_entry: u64,
    pub(super) next_label: u64,
    /// The last decisions, as the writer told them.
    pub(super) heard: Heard,
    pub(super) breather: Breather,
    #[cfg(test)]
    pub(super) faults: Faults,
}

/// How far one stretch of reading goes: numbers of payments and labels, the ends excluded. What the
/// writer tells is a moment of its own: of payments and labels alike all that came before it, and
/// nothing that came after.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reach {
    pub(crate) entries: u64,
    pub(crate) labels: u64,
}

impl Reach {
    /// No further than this payment, which is excluded.
    pub(crate) fn until(self, entries: u64) -> Self {
        Self {
            entries: self.entries.min(entries),
            ..self
        }
    }
}

impl Follower {
    /// The same journal read from these numbers on, or from its first ones where these have left.
    pub(crate) fn starting_at(self, place: Reach) -> Self {
        Self {
            next_entry: place.entries.max(self.next_entry),
            next_label: place.labels.max(self.next_label),
            ..self
        }
    }

    /// Reads on from a place where it has been.
    pub(crate) fn go_back(&mut self, place: Reach) {
        (self.next_entry, self.next_label) = (place.entries, place.labels);
    }

    /// Leaves the next decision out: it cannot be read, and what comes after it can.
    pub(crate) fn pass_by(&mut self) {
        self.next_entry = self.next_entry.saturating_add(1);
    }

    /// What is durable at this moment. A label is never within reach without its payment.
    pub(crate) fn reach(&self) -> Reach {
        self.settled.reach()
    }

    /// How far it has read.
    pub(crate) fn place(&self) -> Reach {
        Reach {
            entries: self.next_entry,
            labels: self.next_label,
        }
    }

    /// The next decision within reach, and its number.
    ///
    /// # Errors
    /// [`JournalError`] where the store cannot be read or the entry is damaged.
    pub(crate) fn next_decision(
        &mut self,
        reach: Reach,
    ) -> Result<Option<(u64, Entry)>, JournalError> {
        while self.next_entry < reach.entries {
            // Who is that far behind reads on where the journal begins now.
            let sequence = self.next_entry.max(self.log.first());
            self.next_entry = sequence + 1;
            if let Some(value) = self.ahead.take(sequence, reach.entries, &self.log)? {
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
            if let Some(label) = self.labels.at(sequence)? {
                return Ok(Some(label));
            }
        }
        Ok(None)
    }

    /// Leaves out all labels but the last `count` that are durable at this moment.
    pub(crate) fn skip_to_last_labels(&mut self, count: u64) {
        let labels = self.reach().labels;
        self.next_label = self.next_label.max(labels.saturating_sub(count));
    }

    /// The decision with a number; nothing where there is none.
    ///
    /// # Errors
    /// As [`Self::next_decision`].
    pub(crate) fn at(&self, sequence: u64) -> Result<Option<Entry>, JournalError> {
        let value = self.log.get(sequence)?;
        value.map(|value| decode(sequence, &value)).transpose()
    }

    /// The labels of a payment in order of arrival, those too that are not yet durable.
    ///
    /// # Errors
    /// As [`Self::next_label`].
    pub(crate) fn labels_of(&self, txn_id: &str) -> Result<Vec<LabelEntry>, JournalError> {
        #[cfg(test)]
        self.faults.read_labels()?;
        self.labels.of(txn_id, u64::MAX)
    }

    /// The payment of a number.
    ///
    /// # Errors
    /// [`JournalError`] where the store cannot be read or the entry is damaged.
    pub(crate) fn payment(&self, sequence: u64) -> Result<Option<Transaction>, JournalError> {
        let entry = self.at(sequence)?;
        entry.map(|entry| payment_of(sequence, &entry)).transpose()
    }

    /// Of the labels that were read those of one payment, in order of arrival.
    ///
    /// # Errors
    /// [`JournalError`] where the store cannot be read or a label is damaged.
    pub(crate) fn labels_read(&self, txn_id: &str) -> Result<Vec<LabelEntry>, JournalError> {
        self.labels.of(txn_id, self.next_label)
    }

    /// Tells a journal that has come so far from any other: the digest of the last payment and the
    /// last label before a place, as they lie on disk. Nothing where the journal is shorter.
    ///
    /// # Errors
    /// [`JournalError`] where the store cannot be read.
    pub(crate) fn fingerprint(&self, place: Reach) -> Result<Option<Digest>, JournalError> {
        let payment = last_before(place.entries, |last| self.log.get(last))?;
        let labels = self.labels.table();
        let label = last_before(place.labels, |last| labels.get(&last.to_be_bytes()))?;
        let both = payment.zip(label);
        Ok(both.map(|(payment, label)| sha256(&[payment.as_slice(), label.as_slice()])))
    }

    /// The same journal from the last so many decisions on, as many as are durable at this moment;
    /// of labels all.
    pub(crate) fn starting_at_last(self, decisions: u64) -> Self {
        let last = self.reach().entries.saturating_sub(decisions);
        let next_entry = last.max(self.next_entry);
        Self { next_entry, ..self }
    }

    /// How many decisions within reach were not yet read.
    pub(crate) fn behind(&self, reach: Reach) -> u64 {
        reach.entries.saturating_sub(self.next_entry)
    }
}

/// What lies under the last number before an end; no bytes where there is none before it.
fn last_before(
    end: u64,
    get: impl FnOnce(u64) -> Result<Option<Vec<u8>>, DiskError>,
) -> Result<Option<Vec<u8>>, DiskError> {
    match end.checked_sub(1) {
        Some(last) => get(last),
        None => Ok(Some(Vec::new())),
    }
}
