//! What was scored live, and what has been said of it since, joins the past that is learnt from:
//! read from the journal between two pieces of work, on the trainer's own thread. How it joins is
//! `history/live.rs`; what may be read is `journal/follower.rs`.

use super::Trainer;
use crate::journal::Follower;
use crate::scoring::{Beside, Part};

impl Trainer {
    /// The same, which also learns from what this journal holds.
    #[must_use]
    pub fn following(self, journal: Follower) -> Self {
        Self {
            journal: Some(journal),
            ..self
        }
    }

    /// The same, which tells there whether it can learn from live payments.
    pub(crate) fn telling(self, beside: Beside) -> Self {
        Self { beside, ..self }
    }

    /// Takes in what has become durable since the last time. What the disk refuses waits for the
    /// next time. A journal that is damaged is left: what was read of it stays. Either is told.
    pub fn catch_up(&mut self) {
        let Some(mut journal) = self.journal.take() else {
            return;
        };
        let found = match self.history.catch_up(&mut journal) {
            Ok(()) => {
                self.journal = Some(journal);
                Ok("what was durable when a round or a result came last is learnt".to_owned())
            }
            Err(error) if error.is_passing() => {
                self.journal = Some(journal);
                Err(format!("live payments are learnt later: {error}"))
            }
            Err(error) => Err(format!("live payments are learnt no more: {error}")),
        };
        if let Err(message) = &found {
            tracing::warn!("{message}");
        }
        self.beside.tell(Part::Learning, found);
        self.held_out.extend(self.history.cards());
    }
}
