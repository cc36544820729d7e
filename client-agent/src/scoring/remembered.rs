//! What scoring remembers, as a function of the bank's history and the journal: so it can be made
//! again at any place of the journal, beside the worker or after it, and is the same bit for bit.
//! How it lies on disk is `snapshot.rs`; the worker that goes on with it is `worker.rs`.

use features::FeatureEncoder;
use model::Recent;

use super::labels;
use crate::journal::{Follower, JournalError, LabelEntry, Reach};

/// What is known after some payments and labels of the journal. No `Debug`: profiles are of people.
#[derive(Clone)]
pub(crate) struct Remembered {
    pub(super) encoder: FeatureEncoder,
    pub(super) recent: Recent,
    place: Reach,
}

/// How much of the journal was replayed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Replayed {
    pub(crate) payments: u64,
    pub(crate) labels: u64,
}

impl Remembered {
    /// What an encoder knows that has seen the history and nothing of the journal.
    pub(crate) fn new(encoder: FeatureEncoder) -> Self {
        let recent = Recent::new(encoder.schema().len());
        Self::at(Reach::default(), encoder, recent)
    }

    /// What was known at a place of the journal.
    pub(crate) fn at(place: Reach, encoder: FeatureEncoder, recent: Recent) -> Self {
        Self {
            encoder,
            recent,
            place,
        }
    }

    /// How much of the journal it knows.
    pub(crate) fn place(&self) -> Reach {
        self.place
    }

    /// Its two parts: profiles, and rows of late.
    pub(crate) fn parts(&self) -> (&FeatureEncoder, &Recent) {
        (&self.encoder, &self.recent)
    }

    /// Replays what a journal holds beyond, as far as it is durable: every label between the
    /// payments between which it came, as the worker took it in. Rows of late are encoded again,
    /// without the federation's table, which enters no window.
    ///
    /// # Errors
    /// [`JournalError`] where the journal cannot be read; what was read before is remembered, and
    /// the next try goes on from there.
    pub(crate) fn catch_up(&mut self, journal: Follower) -> Result<Replayed, JournalError> {
        let mut journal = journal.starting_at(self.place);
        let before = journal.place();
        let reach = journal.reach();
        while let Some(label) = journal.next_label(reach)? {
            // A label speaks of a payment: it came after it, also where it does not say so.
            let after = label.after.max(label.payment.saturating_add(1));
            self.pass(&mut journal, reach.until(after))?;
            self.learn(&journal, &label)?;
            self.place.labels = journal.place().labels;
        }
        self.pass(&mut journal, reach)?;
        self.place = journal.place();
        Ok(Replayed {
            payments: self.place.entries - before.entries,
            labels: self.place.labels - before.labels,
        })
    }

    fn pass(&mut self, journal: &mut Follower, reach: Reach) -> Result<(), JournalError> {
        while let Some(told) = journal.next_told(reach)? {
            let vector = self.encoder.encode(&told.payment);
            self.recent.push(told.payment.day(), &vector.0);
            self.place.entries = journal.place().entries;
        }
        Ok(())
    }

    /// Takes in a label as the worker did: with all that were there of its payment.
    fn learn(&mut self, journal: &Follower, label: &LabelEntry) -> Result<(), JournalError> {
        if let Some(transaction) = journal.payment(label.payment)? {
            let known = journal.labels_read(&label.txn_id)?;
            labels::teach(&mut self.encoder, &transaction, &known);
        }
        Ok(())
    }
}
