//! What was scored live, and what has been said of it since, joins the past that is learnt from:
//! read from the journal between two pieces of work, on the trainer's own thread. How it joins is
//! `history/live.rs`; what may be read is `journal/follower.rs`.

use super::Trainer;
use crate::history::HistoryError;
use crate::journal::Follower;

impl Trainer {
    /// The same, which also learns from what this journal holds.
    #[must_use]
    pub fn following(self, journal: Follower) -> Self {
        Self {
            journal: Some(journal),
            ..self
        }
    }

    /// Takes in what has become durable since the last time. Where the disk refuses, the same is
    /// tried again the next time; a journal that cannot be read on is reported and left: what was
    /// read of it stays.
    pub fn catch_up(&mut self) {
        let Some(mut journal) = self.journal.take() else {
            return;
        };
        match self.history.catch_up(&mut journal) {
            Ok(()) => self.journal = Some(journal),
            Err(HistoryError::Journal(error)) if error.is_passing() => {
                tracing::warn!(%error, "live payments are learnt from later");
                self.journal = Some(journal);
            }
            Err(error) => tracing::warn!(%error, "nothing more is learnt from live payments"),
        }
        self.held_out.extend(self.history.cards());
    }
}
