//! One decision as whoever reads along is told it: decoded once for all of them. It comes as the
//! worker has it (`lately.rs`), or as it lies on disk; both ways give equal values, which the tests
//! hold against each other. It is the one place where the journal knows what an answer is.

use std::fmt;
use std::sync::Arc;

use features::Transaction;
use serde::de::DeserializeOwned;

use super::{Entry, Follower, JournalError, Reach, payment_of};
use crate::scoring::Answer;

/// A decision that was journaled.
pub(crate) struct Told {
    /// Its number.
    pub(crate) sequence: u64,
    /// The payment.
    pub(crate) payment: Transaction,
    /// The vector that was scored.
    pub(crate) vector: Vec<f32>,
    answer: Answered,
}

/// An answer in the form in which it is at hand.
enum Answered {
    /// As the worker has it.
    Live(Arc<Answer>),
    /// Its JSON. Who reads payments alone never parses it.
    Stored(String),
}

impl Told {
    /// A decision as the worker has it, under the number at which it was journaled. Its answer is
    /// the journaled one, before its latency is known.
    pub(crate) fn new(
        sequence: u64,
        payment: Transaction,
        answer: Arc<Answer>,
        vector: Vec<f32>,
    ) -> Self {
        Self {
            sequence,
            payment,
            vector,
            answer: Answered::Live(answer),
        }
    }

    /// A decision as it lies on disk.
    ///
    /// # Errors
    /// [`JournalError::Payment`] where the payment no longer passes the door.
    pub(crate) fn of_entry(sequence: u64, entry: Entry) -> Result<Self, JournalError> {
        Ok(Self {
            sequence,
            payment: payment_of(sequence, &entry)?,
            vector: entry.vector,
            answer: Answered::Stored(entry.answer),
        })
    }

    /// What a reader wants to know of the answer; nothing where the one on disk is of a form that
    /// does not say it. Each reader has a form of its own, so that what other builds add or leave
    /// out concerns whoever reads it.
    pub(crate) fn answer<T>(&self) -> Option<T>
    where
        T: DeserializeOwned + for<'a> From<&'a Answer>,
    {
        match &self.answer {
            Answered::Live(answer) => Some(T::from(&**answer)),
            Answered::Stored(text) => serde_json::from_str(text).ok(),
        }
    }
}

/// Shows the number alone: a payment is never logged.
impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Told");
        shown
            .field("sequence", &self.sequence)
            .finish_non_exhaustive()
    }
}

impl Follower {
    /// The next decision within reach: as the worker had it where it is one of the last, else from
    /// disk. What is refused is not passed by: it is the next one again.
    ///
    /// # Errors
    /// [`JournalError`] where the store cannot be read or the entry is damaged.
    pub(crate) fn next_told(&mut self, reach: Reach) -> Result<Option<Arc<Told>>, JournalError> {
        let behind = self.behind(reach);
        if behind == 0 {
            return Ok(None);
        }
        // Who has far to go would take a quarter longer, and an agent that starts waits for it.
        if behind < FAR {
            self.breather.breathe();
        }
        let place = self.place();
        if let Some(told) = self.heard.take(place.entries) {
            self.next_entry += 1;
            return Ok(Some(told));
        }
        let read = self.read_told(reach);
        if read.is_err() {
            self.go_back(place);
        }
        read
    }

    fn read_told(&mut self, reach: Reach) -> Result<Option<Arc<Told>>, JournalError> {
        let next = self.next_decision(reach)?;
        #[cfg(test)]
        self.faults.read_entry()?;
        let Some((sequence, entry)) = next else {
            return Ok(None);
        };
        Ok(Some(Arc::new(Told::of_entry(sequence, entry)?)))
    }

    /// The decision with a number, as it lies on disk; nothing where there is none.
    ///
    /// # Errors
    /// As [`Self::next_told`].
    pub(crate) fn told(&self, sequence: u64) -> Result<Option<Told>, JournalError> {
        #[cfg(test)]
        self.faults.read_entry()?;
        let entry = self.at(sequence)?;
        let told = entry.map(|entry| Told::of_entry(sequence, entry));
        told.transpose()
    }
}

/// More decisions than ever come between two looks.
const FAR: u64 = 65_536;

#[cfg(test)]
mod tests;
