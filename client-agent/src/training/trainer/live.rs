//! What was scored live, and what has been said of it since, joins the past that is learnt from:
//! read from the journal between two pieces of work, on the trainer's own thread. How it joins is
//! `history/live.rs`; what may be read is `journal/follower.rs`.

use std::time::Duration;

use super::Trainer;
use crate::history::HistoryError;
use crate::journal::Follower;
use crate::journal::reading;
use crate::scoring::{Beside, Part};

/// How far live payments were read the last time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reached {
    /// To the end of what was durable.
    End,
    /// To where the disk refused, which is asked again after so long.
    Refusal(Duration),
    /// To what is damaged, and never on.
    Damage,
}

impl Trainer {
    /// The same, which also learns from what this journal holds.
    #[must_use]
    pub fn following(self, journal: Follower) -> Self {
        Self {
            journal: Some(journal),
            ..self
        }
    }

    /// The journal that it reads along, where there is one.
    pub(crate) fn journal(&self) -> Option<&Follower> {
        self.journal.as_ref()
    }

    /// The same, which tells there whether it can learn from live payments.
    pub(crate) fn telling(self, beside: Beside) -> Self {
        Self { beside, ..self }
    }

    /// How long to wait before live payments are read again by themselves; none where the disk
    /// refused nothing.
    pub(crate) fn pause(&self) -> Option<Duration> {
        match self.reached {
            Reached::Refusal(pause) => Some(pause),
            Reached::End | Reached::Damage => None,
        }
    }

    /// Takes in what has become durable since the last time. What the disk refuses waits for the
    /// next time. A journal that is damaged is left: what was read of it stays. Either is told, and
    /// risk counts are declined meanwhile. Payments for which there is no room are told too.
    pub fn catch_up(&mut self) {
        let Some(mut journal) = self.journal.take() else {
            return;
        };
        let (reached, found) = match self.history.catch_up(&mut journal) {
            Ok(left_out) if left_out > 0 => {
                self.journal = Some(journal);
                let error = HistoryError::TooLong;
                let found = format!("{left_out} live payments are not learnt from: {error}");
                (Reached::End, Err(found))
            }
            Ok(_) => {
                self.journal = Some(journal);
                let found = "what was durable when a round or a result came last is learnt";
                (Reached::End, Ok(found.to_owned()))
            }
            Err(error) if error.is_passing() => {
                self.journal = Some(journal);
                let found = format!("live payments are learnt later: {error}");
                let pause = reading::pause_after(self.pause());
                (Reached::Refusal(pause), Err(found))
            }
            Err(error) => {
                let found = format!("live payments are learnt no more: {error}");
                (Reached::Damage, Err(found))
            }
        };
        self.reached = reached;
        if let Err(message) = &found {
            tracing::warn!("{message}");
        }
        self.beside.tell(Part::Learning, found);
        self.held_out.extend(self.history.cards());
    }
}
