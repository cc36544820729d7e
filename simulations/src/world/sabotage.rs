//! Faults planted in a world: each breaks one promise, of a host or of a party, and an invariant
//! must notice. What a fault changes is changed on its way out of the party that errs.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a fault changes one thing and leaves all others as they are"
)]

use std::sync::Arc;

use crypto::{Digest, SigningKey};
use protocol::client::Order;
use protocol::coordinator::Read;
use protocol::event::ClientEvent;
use protocol::id::{Context, Seat};
use protocol::message::{RoundOutcome, RoundResult, ToClient, ToCoordinator};
use protocol::record::{ClientRecord, CoordinatorRecord};
use protocol::signed::Signed;

use super::World;
use super::invariant::Invariant;

/// A fault, named by what goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// The coordinator's messages leave before the records they depend on are durable.
    SendBeforeDurable,
    /// Its results do.
    PublishBeforeDurable,
    /// Its disk forgets that rounds were opened.
    ForgetRoundOpened,
    /// Its disk forgets masked updates.
    ForgetMasked,
    /// Its disk never gets the rosters.
    LoseRosters,
    /// Its disk gives auditors other bytes than it was given.
    RotVectors,
    /// It commits with one survivor.
    CommitOne,
    /// It commits the sum of another attempt.
    CommitAnother,
    /// It records a second result at a place in the ledger.
    SecondAtPlace,
    /// It records a second result for a round number.
    SecondOfRound,
    /// It tells one bank another outcome than the others.
    Equivocate,
    /// It takes an honest bank's escrow for a spoilt one.
    SpoilEscrows,
    /// A bank's acknowledgements leave before the record of them is durable.
    AckBeforeDurable,
    /// Its reveals do.
    RevealBeforeDurable,
    /// It works for an attempt that nobody opened.
    WorkForAnother,
    /// It masks for an attempt that nobody opened.
    MaskForAnother,
    /// It masks what it did not make.
    WorkUnseen,
    /// It answers with the update it made for an earlier attempt.
    UpdateOfAnotherRound,
    /// It sends two vectors in an attempt.
    MaskTwice,
    /// It sends its update as it is.
    SendUnmasked,
    /// It acknowledges two survivor sets.
    AckTwice,
    /// Its frames show the banks' bucket key.
    ShowBucketKey,
    /// It counts under a bucket key of its own.
    CountUnderAnotherKey,
    /// Its audits find every sum false.
    CryWolf,
    /// No frame arrives, in the calm as before.
    Silence,
}

impl Sabotage {
    /// The fault that this invariant must find.
    #[must_use]
    pub fn against(invariant: Invariant) -> Self {
        match invariant {
            Invariant::WorkForRecorded => Self::WorkForAnother,
            Invariant::SpeechForRecorded => Self::MaskForAnother,
            Invariant::OfferAfterPersist => Self::SendBeforeDurable,
            Invariant::ResultAfterPersist => Self::PublishBeforeDurable,
            Invariant::AckAfterPersist => Self::AckBeforeDurable,
            Invariant::RevealAfterPersist => Self::RevealBeforeDurable,
            Invariant::OneAck => Self::AckTwice,
            Invariant::OneMasking => Self::MaskTwice,
            Invariant::MaskedWasMade => Self::WorkUnseen,
            Invariant::NothingUnmasked => Self::SendUnmasked,
            Invariant::KnownRoster => Self::LoseRosters,
            Invariant::EnoughSurvivors => Self::CommitOne,
            Invariant::OneBucketKey => Self::CountUnderAnotherKey,
            Invariant::BucketKeyUnseen => Self::ShowBucketKey,
            Invariant::SurvivorsContributed => Self::CommitAnother,
            Invariant::ExactSum => Self::UpdateOfAnotherRound,
            Invariant::OneResultForPlace => Self::SecondAtPlace,
            Invariant::OneResultForRound => Self::SecondOfRound,
            Invariant::NoFork => Self::Equivocate,
            Invariant::SumsAreAudited => Self::CryWolf,
            Invariant::BanksUnblamed => Self::SpoilEscrows,
            Invariant::CoordinatorUnblamed => Self::RotVectors,
            Invariant::Recovery => Self::ForgetRoundOpened,
            Invariant::CalmCommits => Self::Silence,
        }
    }

    /// Whether the coordinator's disk forgets this record when it dies.
    pub(crate) fn forgets(self, record: &CoordinatorRecord) -> bool {
        match self {
            Self::ForgetRoundOpened => matches!(record, CoordinatorRecord::RoundOpened(..)),
            Self::ForgetMasked => matches!(record, CoordinatorRecord::Masked(_)),
            _ => false,
        }
    }
}

impl World {
    fn is(&self, sabotage: Sabotage) -> bool {
        self.scenario.sabotage == Some(sabotage)
    }

    /// What the coordinator decides instead.
    pub(super) fn decided(&self, record: CoordinatorRecord) -> CoordinatorRecord {
        let CoordinatorRecord::Committed(at, result) = record else {
            return record;
        };
        let mut result = result;
        if self.is(Sabotage::CommitOne) {
            Arc::make_mut(&mut result).survivors = [Seat(0)].into_iter().collect();
        }
        if self.is(Sabotage::CommitAnother) {
            result = self.altered(&result, |outcome| outcome.context = ELSEWHERE);
        }
        CoordinatorRecord::Committed(at, result)
    }

    /// What the coordinator's disk gets of a record.
    pub(super) fn written(&self, record: CoordinatorRecord) -> Vec<CoordinatorRecord> {
        let second = match &record {
            CoordinatorRecord::EpochOpened(_) if self.is(Sabotage::LoseRosters) => {
                return Vec::new();
            }
            CoordinatorRecord::Committed(at, result) if self.is(Sabotage::SecondAtPlace) => {
                let result = self.altered(result, |outcome| outcome.sum = ELSEWHERE.0);
                Some(CoordinatorRecord::Committed(*at, result))
            }
            CoordinatorRecord::Committed(at, result) if self.is(Sabotage::SecondOfRound) => {
                let result = self.altered(result, |outcome| {
                    outcome.sequence += 1_000;
                    outcome.context = ELSEWHERE;
                });
                Some(CoordinatorRecord::Committed(*at, result))
            }
            _ => None,
        };
        [record].into_iter().chain(second).collect()
    }

    /// Whether what the coordinator appended stays off its disk for now.
    pub(super) fn is_coordinator_hasty(&self) -> bool {
        let is_result = |record: &CoordinatorRecord| record.result().is_some();
        self.is(Sabotage::SendBeforeDurable)
            || self.is(Sabotage::PublishBeforeDurable) && self.coordinator.disk.awaits(is_result)
    }

    /// Whether what a bank appended stays off its disk for now.
    pub(super) fn is_bank_hasty(&self, bank: usize) -> bool {
        let disk = &self.banks[bank].disk;
        match self.scenario.sabotage {
            Some(Sabotage::AckBeforeDurable) => {
                disk.awaits(|record| matches!(record, ClientRecord::Acked(_)))
            }
            Some(Sabotage::RevealBeforeDurable) => {
                disk.awaits(|record| matches!(record, ClientRecord::Revealed(..)))
            }
            _ => false,
        }
    }

    /// What the coordinator says instead.
    pub(super) fn said_down(&self, bank: usize, message: ToClient) -> ToClient {
        match message {
            ToClient::Result(result) if bank == 0 && self.is(Sabotage::Equivocate) => {
                // Who checks a result has no way to know what was opened.
                ToClient::Result(self.altered(&result, |outcome| outcome.revealed = ELSEWHERE.0))
            }
            other => other,
        }
    }

    /// What a bank says instead.
    pub(super) fn said_up(&self, bank: usize, message: ToCoordinator) -> Vec<ToCoordinator> {
        let Some(sabotage) = self.scenario.sabotage else {
            return vec![message];
        };
        let key = &self.cast.identity(bank).key;
        match (sabotage, message) {
            (Sabotage::AckTwice, ToCoordinator::Ack(ack)) => {
                let mut other = ack.unverified().clone();
                other.survivors = ELSEWHERE.0;
                let other = Signed::sign(other, key);
                vec![ToCoordinator::Ack(ack), ToCoordinator::Ack(other)]
            }
            (Sabotage::MaskForAnother, ToCoordinator::Masked(mut masked)) => {
                let mut trailer = masked.trailer.unverified().clone();
                trailer.context = ELSEWHERE;
                masked.trailer = Signed::sign(trailer, key);
                vec![ToCoordinator::Masked(masked)]
            }
            (Sabotage::MaskTwice, ToCoordinator::Masked(masked)) => {
                let mut other = masked.clone();
                other.words.0[0] ^= 1;
                vec![ToCoordinator::Masked(masked), ToCoordinator::Masked(other)]
            }
            (Sabotage::SendUnmasked, ToCoordinator::Masked(mut masked)) => {
                let context = masked.trailer.unverified().context;
                self.oracle.unmask(bank, context, &mut masked.words.0);
                vec![ToCoordinator::Masked(masked)]
            }
            (Sabotage::SpoilEscrows, ToCoordinator::Escrow(mut escrow)) => {
                escrow.escrow_box[0] ^= 1;
                vec![ToCoordinator::Escrow(escrow)]
            }
            (_, message) => vec![message],
        }
    }

    /// What a bank takes its order for.
    pub(super) fn understood(&self, order: &Order) -> Order {
        let mut order = order.clone();
        if self.is(Sabotage::WorkForAnother) {
            order.context = ELSEWHERE;
        }
        if self.is(Sabotage::CountUnderAnotherKey) {
            order.bucket_key = Some(self.cast.another_bucket_key());
        }
        order
    }

    /// What a bank reports instead.
    pub(super) fn reported(&self, event: ClientEvent) -> ClientEvent {
        match event {
            ClientEvent::AuditPassed(round, _) if self.is(Sabotage::CryWolf) => {
                ClientEvent::FalseSum {
                    round,
                    chunk: 0,
                    word: 0,
                    found: 1,
                    expected: 0,
                }
            }
            other => other,
        }
    }

    /// What the coordinator's disk reads instead.
    pub(super) fn rotten(&self, mut read: Read) -> Read {
        if let Read::Vectors(_, pieces) = &mut read
            && self.is(Sabotage::RotVectors)
        {
            let bytes = pieces.iter_mut().flatten().flatten();
            bytes.for_each(|byte| *byte ^= 1);
        }
        read
    }

    fn altered(
        &self,
        result: &RoundResult,
        change: impl FnOnce(&mut RoundOutcome),
    ) -> Arc<RoundResult> {
        let key: SigningKey = self.cast.coordinator_identity().key;
        let mut outcome = result.outcome.unverified().clone();
        change(&mut outcome);
        Arc::new(RoundResult {
            outcome: Signed::sign(outcome, &key),
            ..result.clone()
        })
    }
}

/// A digest that is nothing's.
const ELSEWHERE: Context = Context(Digest([0xee; 32]));
