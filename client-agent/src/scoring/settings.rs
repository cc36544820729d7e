//! What a bank decides about deciding, beside its policy.

use serde::Deserialize;

use super::{Policy, ScoringError};

/// What the bank decides about deciding.
#[derive(Clone, Debug)]
pub struct Settings {
    /// From which score on it does what.
    pub policy: Policy,
    /// Requests that may wait; one more is refused.
    pub queue_max: u32,
    /// When a decision is told.
    pub answer_after: AnswerAfter,
}

/// How well a decision is kept before it is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AnswerAfter {
    /// It is durable: a machine that goes down does not take it along.
    #[default]
    Flush,
    /// The system has it, and the disk soon: the end of the process does not take it along, that of
    /// the machine may, with what else was told in the last hundredths of a second.
    Write,
}

impl Settings {
    pub(super) fn check(&self) -> Result<(), ScoringError> {
        if self.queue_max == 0 {
            return Err(ScoringError::Setting {
                name: "queue_max",
                found: "0".to_owned(),
                expected: "at least 1",
            });
        }
        Ok(())
    }
}
