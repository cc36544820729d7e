//! `Client`: a bank's side of the protocol. It decides what leaves the bank; its secrets live in
//! the phases and nowhere else. Phases are under `client/phase`, what an offer must be is
//! `client/offer.rs`, what this institution refuses whatever the plan says is `client/consent.rs`,
//! the institution's data is behind [`Task`].
//!
//! Whatever the coordinator sends, the answer is the same each time it is heard, so that a lost
//! message costs a heartbeat. What a check refuses changes nothing: the phase stays as it was.

use std::sync::Arc;

use crypto::Seed;

use crate::blame::{Misbehaviour, Refusal};
use crate::bucket::BucketKey;
use crate::credential::{CredentialError, Identity, Role};
use crate::event::ClientEvent;
use crate::genesis::Release;
use crate::id::{Context, RoundId};
use crate::ledger::{Applied, Ledger, LedgerError};
use crate::limits::HEARTBEAT_MS;
use crate::message::{RoundResult, ToClient, ToCoordinator, Welcome};
use crate::party::{Outbox, Output, Party};
use crate::plan::Plan;
use crate::record::ClientRecord;
use crate::time::{Duration, Time};

mod audit;
mod bank;
pub mod consent;
mod dealing;
mod handover;
mod holdings;
mod installs;
mod keyring;
mod memory;
mod offer;
mod phase;
mod transcript;

#[cfg(test)]
mod tests;

use audit::Audit;
use bank::{Bank, blame};
use installs::{Installs, installed};
use memory::Memory;
use phase::Phase;

/// A bank's side of the protocol. No `Debug`: its phase holds secrets.
pub struct Client {
    bank: Bank,
    link: Link,
    phase: Phase,
    /// The last result's audit, while it runs.
    audit: Option<Audit>,
    outbox: Outbox<Self>,
}

/// What a client hears.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// The link to the coordinator is up.
    Connected,
    /// The coordinator said this.
    Message(ToClient),
    /// The link is down.
    Gone,
}

/// Work a client asks its host for.
#[derive(Clone, Debug, PartialEq)]
pub enum Task {
    /// Train, count or score for one attempt; answered by [`Outcome`].
    Contribute(Box<Order>),
    /// A result was checked and recorded: put it to use. Not answered.
    Install(Installed),
    /// Keep the banks' bucket key for good, in place of any before it, durably before the next
    /// output; it comes back with [`Client::recover`]. Not answered.
    Keep(BucketKey),
}

/// What one attempt needs from this bank.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// The attempt; comes back with the outcome.
    pub context: Context,
    /// The round.
    pub round: RoundId,
    /// The terms.
    pub plan: Plan,
    /// Which of the plan's rounds this is, from 0.
    pub step: u32,
    /// The model's parameters before the round, flat; empty for risk counts.
    pub parameters: Arc<Vec<f32>>,
    /// Seed of the local work's chance, this attempt's alone: a new attempt trains anew.
    pub seed: u64,
    /// What merchants are hashed under, for risk counts.
    pub bucket_key: Option<BucketKey>,
}

/// What came of an [`Order`].
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The attempt.
    pub context: Context,
    /// The bank's vector before encoding, or why there is none.
    pub contribution: Result<Contribution, String>,
}

/// A bank's vector before encoding and masking.
#[derive(Clone, Debug, PartialEq)]
pub enum Contribution {
    /// What a training plan sums, and the examples behind it.
    Update {
        /// New minus old parameters, of the plan's parts only, in flat order; under Newton's method
        /// their downward slope, and the upper triangle of their curvature behind it
        /// ([`crate::terms::values`]).
        delta: Vec<f32>,
        /// Training examples behind it.
        examples: u64,
    },
    /// Counts, one per payload word; of risk plans in two's complement.
    Counts(Vec<u32>),
}

/// A result that this bank checked and recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Installed {
    /// The result, with plan and sum.
    pub result: Arc<RoundResult>,
    /// The model's parameters after it, flat, for training rounds whose model is held here.
    pub parameters: Option<Arc<Vec<f32>>>,
    /// Banks in the sum.
    pub banks: u32,
    /// Which of the plan's rounds it was, from 0.
    pub step: u32,
}

/// Why a client cannot take up where its records end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecoverError {
    /// The credential is not this consortium's, or not a bank's.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// The credential names another key than the one at hand.
    #[error("credential is for another key than the one at hand")]
    Key,
    /// A recorded result does not follow from those before it.
    #[error("recorded result {sequence}: {error}")]
    Ledger {
        /// The result's place in the ledger.
        sequence: u64,
        /// What is wrong with it.
        error: LedgerError,
    },
}

/// What a host kept for its client beside the records.
#[derive(Default)]
pub struct Kept {
    /// The banks' bucket key, as it was last told to keep it.
    pub bucket_key: Option<BucketKey>,
    /// Models that this institution brought, for plans that start from one of them.
    pub releases: Vec<Release>,
}

impl From<Option<BucketKey>> for Kept {
    fn from(bucket_key: Option<BucketKey>) -> Self {
        Self {
            bucket_key,
            releases: Vec::new(),
        }
    }
}

/// The connection as the host last told it.
enum Link {
    Down,
    Up {
        heartbeat: Time,
        /// Whether the coordinator answered on this connection.
        welcomed: bool,
    },
}

/// Why a roster or an offer is not followed.
pub(crate) enum Objection {
    /// It is the coordinator's fault, or a peer's.
    Theirs(Misbehaviour),
    /// This institution will not.
    Ours(Refusal),
}

impl From<Misbehaviour> for Objection {
    fn from(misbehaviour: Misbehaviour) -> Self {
        Self::Theirs(misbehaviour)
    }
}

impl From<Refusal> for Objection {
    fn from(refusal: Refusal) -> Self {
        Self::Ours(refusal)
    }
}

impl Client {
    /// Takes up where the records end; a fresh start is recovery from nothing. Installs the
    /// newest model of each lineage and kind, and all risk counts, so that the host can build
    /// again what it keeps in memory. The keys of an epoch are not recorded: a client that
    /// restarts has dropped out of a running attempt. `kept` is what the host kept last: of a
    /// lineage that started from a model it now brings, all is computed again.
    ///
    /// # Errors
    /// [`RecoverError`]: an identity that is not one, or records that do not fit together.
    pub fn recover(
        identity: Identity,
        policy: consent::Policy,
        records: impl IntoIterator<Item = ClientRecord>,
        kept: Kept,
        seed: Seed,
    ) -> Result<Self, RecoverError> {
        // Expiry is for those to judge whom the credential is shown to: they have the time.
        let admitted = identity
            .authority
            .admit(&identity.credential, Role::Bank, Time(0))?;
        if admitted.key != identity.key.verify_key() {
            return Err(RecoverError::Key);
        }
        let mut memory = Memory::default();
        let mut ledger = Ledger::new(identity.authority.session());
        kept.releases.into_iter().for_each(|it| ledger.bring(it));
        let mut installs = Installs::default();
        let mut last = None;
        for record in records {
            memory.remember(&record);
            if let ClientRecord::Applied(result) = record {
                let outcome = result.outcome.unverified().clone();
                let sequence = outcome.sequence;
                let applied = ledger.apply(&result);
                let applied = applied.map_err(|error| RecoverError::Ledger { sequence, error })?;
                installs.keep(sequence, installed(result, applied));
                last = Some(outcome);
            }
        }
        let mut bank = Bank::new(identity, policy, memory, ledger, seed);
        bank.applied = last;
        if let Some(key) = kept.bucket_key {
            bank.hold(key);
        }
        let mut outbox = Outbox::default();
        for install in installs.in_order() {
            if bank.can_use(&install.result) {
                outbox.perform(Task::Install(install));
            }
        }
        Ok(Self {
            bank,
            link: Link::Down,
            phase: Phase::default(),
            audit: None,
            outbox,
        })
    }

    /// The results this client has checked, and the models that follow from them.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.bank.ledger
    }

    fn check_in(&mut self, now: Time) {
        if let Link::Up { heartbeat, .. } = &mut self.link {
            *heartbeat = now.after(Duration(HEARTBEAT_MS));
        }
        self.bank.check_in(self.phase.keyring(), &mut self.outbox);
    }

    fn hear(&mut self, now: Time, message: ToClient) {
        // Nothing can be checked before the coordinator is known; it repeats itself until we
        // answer, and our check-in is answered with its credential first.
        let is_known = self.bank.coordinator.is_some();
        match message {
            ToClient::Welcome(welcome) => self.on_welcome(now, &welcome),
            ToClient::Refused(refusal) => self.outbox.report(ClientEvent::Refused(refusal)),
            ToClient::Operator(_) => blame(
                Misbehaviour::OutOfOrder("operator's reply"),
                &mut self.outbox,
            ),
            ToClient::Result(result) if is_known => self.on_result(now, result),
            ToClient::Audited(audited) if is_known => self.on_audited(now, *audited),
            message if is_known => self.step(|phase, bank, out| match message {
                ToClient::Roster(roster) => phase.on_roster(now, &roster, bank, out),
                ToClient::Bundles(bundles) => phase.on_bundles(*bundles, bank, out),
                ToClient::Encapsulations(incoming) => phase.on_encapsulations(&incoming, bank, out),
                ToClient::Round(offer) => phase.on_round(now, &offer, bank, out),
                ToClient::EscrowBundle(bundle) => phase.on_escrow_bundle(&bundle, bank, out),
                ToClient::Survivors(survivors) => phase.on_survivors(&survivors, bank, out),
                ToClient::Acks(acks) => phase.on_acks(&acks, bank, out),
                ToClient::Abandoned(abandoned) => phase.on_abandoned(abandoned, bank, out),
                ToClient::Handover(said) => phase.on_handover(&said, bank, out),
                ToClient::SealedKey(said) => phase.on_sealed_key(&said, bank, out),
                ToClient::Welcome(_)
                | ToClient::Result(_)
                | ToClient::Refused(_)
                | ToClient::Audited(_)
                | ToClient::Operator(_) => phase,
            }),
            ToClient::Roster(_)
            | ToClient::Bundles(_)
            | ToClient::Encapsulations(_)
            | ToClient::Round(_)
            | ToClient::EscrowBundle(_)
            | ToClient::Survivors(_)
            | ToClient::Acks(_)
            | ToClient::Result(_)
            | ToClient::Audited(_)
            | ToClient::Handover(_)
            | ToClient::SealedKey(_)
            | ToClient::Abandoned(_) => {}
        }
    }

    /// Lets the phase answer; it is consumed, and what it returns is the phase from here on.
    fn step(&mut self, answer: impl FnOnce(Phase, &mut Bank, &mut Outbox<Self>) -> Phase) {
        let phase = std::mem::take(&mut self.phase);
        self.phase = answer(phase, &mut self.bank, &mut self.outbox);
    }

    /// Pins the coordinator's key. Another key with a valid credential is the coordinator's next.
    fn on_welcome(&mut self, now: Time, welcome: &Welcome) {
        let authority = self.bank.identity.authority;
        let shown = &welcome.coordinator;
        let admitted = authority.admit_again(shown, Role::Coordinator, now, &mut self.bank.seen);
        let coordinator = match admitted {
            Ok(coordinator) => coordinator,
            Err(error) => {
                let misbehaviour = Misbehaviour::Credential(error.to_string());
                return blame(misbehaviour, &mut self.outbox);
            }
        };
        self.bank.coordinator = Some(coordinator.key);
        let (length, expected) = (self.bank.ledger.length(), self.bank.ledger.head());
        if let Link::Up { welcomed, .. } = &mut self.link
            && !std::mem::replace(welcomed, true)
        {
            self.outbox.report(ClientEvent::Welcomed);
        }
        // A shorter ledger may be an answer from before our last result; an equal one may not.
        if welcome.ledger == length && welcome.head != expected {
            let misbehaviour = Misbehaviour::Base {
                found: welcome.head,
                expected,
            };
            blame(misbehaviour, &mut self.outbox);
        }
    }

    /// M8, of any round and in any phase: whoever is a member applies every result, in order.
    fn on_result(&mut self, now: Time, result: Arc<RoundResult>) {
        let outcome = result.outcome.unverified();
        let (sequence, length) = (outcome.sequence, self.bank.ledger.length());
        let is_fork = sequence == length
            && self
                .bank
                .applied
                .as_ref()
                .is_some_and(|last| last != outcome);
        if sequence != length.saturating_add(1) && !is_fork {
            // Repeated, or its predecessor is on the way or lost: the heartbeat asks for it.
            return;
        }
        if let Err(misbehaviour) = transcript::check(&result, &mut self.bank) {
            return blame(misbehaviour, &mut self.outbox);
        }
        if is_fork {
            return blame(Misbehaviour::Equivocation("result"), &mut self.outbox);
        }
        let applied = match self.bank.ledger.apply(&result) {
            Ok(applied) => applied,
            Err(error) => return blame(transcript::fault(&error), &mut self.outbox),
        };
        self.install(now, result, applied);
    }

    fn install(&mut self, now: Time, result: Arc<RoundResult>, applied: Applied) {
        let outcome = result.outcome.unverified().clone();
        let round = outcome.round;
        self.bank
            .persist(ClientRecord::Applied(Arc::clone(&result)), &mut self.outbox);
        if self.bank.can_use(&result) {
            self.outbox
                .perform(Task::Install(installed(Arc::clone(&result), applied)));
        }
        let (length, head) = (self.bank.ledger.length(), self.bank.ledger.head());
        self.outbox
            .report(ClientEvent::Applied(round, length, head));
        self.bank.applied = Some(outcome);
        self.begin_audit(now, &result);
        // An attempt on the former head is over, whatever its number.
        self.step(|phase, _, _| match phase {
            Phase::Agreement(_) => phase,
            Phase::Rest(_)
            | Phase::Escrow(_)
            | Phase::Collection(_)
            | Phase::Acknowledgement(_)
            | Phase::Reveal(_) => phase.rest(Some(round)),
        });
        // Whoever is still behind is sent the next result in answer.
        if matches!(self.link, Link::Up { .. }) {
            self.check_in(now);
        }
    }
}

impl Party for Client {
    type Peer = ();
    type Incoming = Heard;
    type Outgoing = ToCoordinator;
    type Task = Task;
    type Outcome = Outcome;
    type Record = ClientRecord;
    type Event = ClientEvent;

    fn handle_message(&mut self, now: Time, (): (), message: Heard) {
        match message {
            Heard::Connected => {
                self.link = Link::Up {
                    heartbeat: now,
                    welcomed: false,
                };
                self.check_in(now);
            }
            Heard::Message(message) => self.hear(now, message),
            Heard::Gone => self.link = Link::Down,
        }
    }

    fn handle_outcome(&mut self, _now: Time, outcome: Outcome) {
        self.step(|phase, bank, out| phase.on_outcome(outcome, bank, out));
    }

    fn handle_timeout(&mut self, now: Time) {
        self.step(|phase, bank, out| phase.on_timeout(now, bank, out));
        self.on_audit_timeout(now);
        if let Link::Up { heartbeat, .. } = self.link
            && heartbeat <= now
        {
            self.check_in(now);
        }
    }

    fn next_timeout(&self) -> Option<Time> {
        let end = self.phase.sitting().map(|sitting| sitting.manifest.due.end);
        let heartbeat = match self.link {
            Link::Down => None,
            Link::Up { heartbeat, .. } => Some(heartbeat),
        };
        let audit = self.audit.as_ref().map(Audit::due);
        end.into_iter().chain(heartbeat).chain(audit).min()
    }

    fn poll_output(&mut self) -> Option<Output<Self>> {
        self.outbox.pop()
    }
}
