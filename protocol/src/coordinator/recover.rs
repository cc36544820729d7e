//! Recovery: the same records through the same diagram, from nothing. A fresh start is recovery
//! from no records. What was said and reported meanwhile is not said again: the level-triggered
//! nudges tell every client that checks in what it lacks.
//!
//! Every phase that a replayed record enters gets its whole span again from the moment of
//! recovery, but never beyond the end that the round's manifest told the clients. Who is here,
//! who declined and who complained is not remembered: clients say it again.

use std::collections::VecDeque;

use crate::coordinator::desk::Desk;
use crate::coordinator::phase::Phase;
use crate::coordinator::{Coordinator, Settings};
use crate::credential::{CredentialError, Identity, Role};
use crate::ledger::LedgerError;
use crate::party::Outbox;
use crate::record::CoordinatorRecord;
use crate::time::Time;

impl Coordinator {
    /// The coordinator that wrote these records, ready to finish what runs.
    ///
    /// # Errors
    /// [`RecoverError`]: the identity is no coordinator's, or the records are not ours.
    pub fn recover(
        identity: Identity,
        settings: Settings,
        records: impl IntoIterator<Item = CoordinatorRecord>,
        now: Time,
    ) -> Result<Self, RecoverError> {
        let credential = &identity.credential;
        let credential = identity
            .authority
            .admit(credential, Role::Coordinator, now)?;
        if credential.key != identity.key.verify_key() {
            return Err(RecoverError::Key);
        }
        let mut desk = Desk::new(identity, settings, now);
        let mut phase = Phase::default();
        for record in records {
            phase = phase.apply(record, &mut desk)?;
        }
        desk.out = Outbox::default();
        let mut coordinator = Self {
            phase,
            desk,
            untold: VecDeque::new(),
        };
        coordinator.settle();
        Ok(coordinator)
    }
}

/// Why there is no coordinator.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The credential is not a coordinator's, or not today's.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// The credential is for another key.
    #[error("credential names another key than the one given")]
    Key,
    /// A result that is not the next one.
    #[error("committed result: {0}")]
    Ledger(#[from] LedgerError),
    /// A record that no such sequence of phases writes.
    #[error("record of {record} found in phase {phase}")]
    Misplaced {
        /// The record.
        record: &'static str,
        /// The phase that the records before it lead to.
        phase: &'static str,
    },
}

impl RecoverError {
    pub(crate) fn misplaced(record: &CoordinatorRecord, phase: &'static str) -> Self {
        let record = match record {
            CoordinatorRecord::PlanAdopted(_) => "an adopted plan",
            CoordinatorRecord::PlanEnded(_) => "an ended plan",
            CoordinatorRecord::Barred(_) => "a barred client",
            CoordinatorRecord::EpochOpened(_) => "an opened epoch",
            CoordinatorRecord::KeyBundle(_) => "a key bundle",
            CoordinatorRecord::Encapsulations(_) => "encapsulations",
            CoordinatorRecord::EpochAgreed(_) => "an agreed epoch",
            CoordinatorRecord::EpochAbandoned(_) => "an abandoned epoch",
            CoordinatorRecord::RoundOpened(..) => "an opened round",
            CoordinatorRecord::Escrow(_) => "an escrow",
            CoordinatorRecord::Escrowed(_) => "the escrowed",
            CoordinatorRecord::Masked(_) => "a masked update",
            CoordinatorRecord::Survived(_) => "the survivors",
            CoordinatorRecord::Ack(_) => "an acknowledgement",
            CoordinatorRecord::Acknowledged(_) => "the acknowledgements",
            CoordinatorRecord::Reveal(_) => "a reveal",
            CoordinatorRecord::Committed(..) => "a result",
            CoordinatorRecord::Abandoned(..) => "an abandoned attempt",
        };
        Self::Misplaced { record, phase }
    }
}
