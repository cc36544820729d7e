//! What analysts did about alerts beyond what a label says: who, when, with which words, and until
//! when an alert shall sleep. A verdict of fraud or genuine is a label (`journal/labels.rs`); here
//! is who gave it. They stay when their alert leaves the queue (`scoring/alerts.rs`): a restart may
//! find room for it again, and go with its decision (`journal/expiry.rs`).

use std::ops::Range;

use host::disk::{Store, Table};
use protocol::wire;
use serde::{Deserialize, Serialize};

#[cfg(test)]
use super::faults::Faults;
use super::{JournalError, end_of, sequence_of};

/// One action on one alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Action {
    /// When, milliseconds since 1970-01-01 UTC.
    pub(crate) at: u64,
    /// Who; empty where nobody said so.
    pub(crate) analyst: String,
    pub(crate) note: String,
    pub(crate) deed: Deed,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Deed {
    /// Held to be fraud; the label says so too.
    Fraud,
    /// Held to be genuine; the label says so too.
    Genuine,
    /// Suspected, without proof: no label.
    Suspected,
    /// Cannot be told: no label.
    Unknown,
    /// Put off until this time, milliseconds since 1970-01-01 UTC.
    Snooze(u64),
}

/// The actions of one store, by the number of the alert's decision.
#[derive(Debug)]
pub(crate) struct Actions {
    store: Store,
    table: Table,
    #[cfg(test)]
    faults: Faults,
}

impl Actions {
    pub(super) fn open(store: &Store) -> Result<Self, JournalError> {
        Ok(Self {
            store: store.clone(),
            table: store.table("alerts/actions")?,
            #[cfg(test)]
            faults: Faults::default(),
        })
    }

    #[cfg(test)]
    pub(super) fn failing_by(self, faults: &Faults) -> Self {
        Self {
            faults: faults.clone(),
            ..self
        }
    }

    /// Payments that the journal must have for all actions to be on one of them.
    ///
    /// # Errors
    /// [`JournalError`] where the store cannot be read, or a key is no number.
    pub(super) fn payments(&self) -> Result<u64, JournalError> {
        end_of(&self.table)
    }

    /// The actions on an alert, in order.
    ///
    /// # Errors
    /// [`JournalError`] where the store cannot be read or what it holds is damaged.
    pub(crate) fn of(&self, sequence: u64) -> Result<Vec<Action>, JournalError> {
        let Some(value) = self.table.get(&sequence.to_be_bytes())? else {
            return Ok(Vec::new());
        };
        let damaged = JournalError::DamagedActions { sequence };
        match value.split_first() {
            Some((&VERSION, bytes)) => wire::decode(bytes).map_err(|_| damaged),
            Some(_) | None => Err(damaged),
        }
    }

    /// Removes the actions on all alerts of these numbers; durable after the store's next flush.
    ///
    /// # Errors
    /// [`JournalError`] where the store cannot be read or written, or a key is no number.
    pub(super) fn forget(&self, numbers: &Range<u64>) -> Result<(), JournalError> {
        for entry in self.table.entries_from(&numbers.start.to_be_bytes()) {
            let (key, _) = entry?;
            if sequence_of(&key)? >= numbers.end {
                break;
            }
            self.table.remove(&key)?;
        }
        Ok(())
    }

    /// Puts all actions on an alert in the place of those before, durably.
    ///
    /// # Errors
    /// [`JournalError`] where the store cannot be written. They may be found all the same until
    /// the process ends: only what was kept without an error is durable.
    pub(crate) fn keep(&self, sequence: u64, actions: &[Action]) -> Result<(), JournalError> {
        let mut value = vec![VERSION];
        value.extend(wire::encode(&actions));
        self.table.put(&sequence.to_be_bytes(), &value)?;
        #[cfg(test)]
        self.faults.keep_actions()?;
        Ok(self.store.flush()?)
    }
}

/// Format of an alert's actions, its first byte. A change to [`Action`] is a change of this number.
const VERSION: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_survive_a_restart_and_damage_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let done = [Deed::Snooze(7), Deed::Suspected].map(|deed| Action {
            at: 3,
            analyst: "u-17".to_owned(),
            note: "<b>".to_owned(),
            deed,
        });
        let open = || Actions::open(&Store::open(folder.path()).unwrap()).unwrap();
        open().keep(5, &done).unwrap();
        let actions = open();
        assert_eq!(actions.of(5).unwrap(), done);
        assert!(actions.of(6).unwrap().is_empty());
        actions.table.put(&[0; 8], &[9]).unwrap();
        let error = actions.of(0).unwrap_err().to_string();
        assert!(error.contains("alert 0 are damaged"), "{error}");
    }
}
