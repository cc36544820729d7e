//! The phases of a client: the diagram, the dispatch, nothing else. Each phase is a struct that
//! owns its secrets; leaving it consumes them. What is common to all is in `client/bank.rs`.
//!
//! ```text
//!          Roster             Encapsulations         Round          EscrowBundle
//!  Rest ──────────► Agreement ──────────────► Rest ────────► Escrow ────────────► Collection
//!   ▲                                                                                 │ Survivors
//!   │    Result, Abandoned, the attempt's end                                         ▼
//!   └────────── from everywhere ◄───────────────── Reveal ◄──────────────── Acknowledgement
//!                                                             Acks
//! ```
//!
//! A roster leads to Agreement from everywhere; a later attempt leads to Escrow from everywhere,
//! unless this round number was acknowledged.

use crate::blame::{Misbehaviour, Refusal};
use crate::client::bank::{Bank, blame};
use crate::client::handover;
use crate::client::keyring::Keyring;
use crate::client::offer::{self, Answer, Sitting};
use crate::client::{Client, Contribution, Outcome};
use crate::event::ClientEvent;
use crate::id::{Context, RoundId};
use crate::message::{
    Abandoned, AckBundle, Bundles, Cause, Declined, EscrowBundle, Handover, Incoming, Roster,
    RoundOffer, SealedKey, Survivors, ToCoordinator,
};
use crate::party::Outbox;
use crate::record::ClientRecord;
use crate::signed::Signed;
use crate::time::Time;

pub(crate) mod acknowledgement;
pub(crate) mod agreement;
pub(crate) mod collection;
pub(crate) mod escrow;
pub(crate) mod rest;
pub(crate) mod reveal;

use acknowledgement::Acknowledgement;
use agreement::Agreement;
use collection::Collection;
use escrow::Escrow;
use rest::Rest;
use reveal::Reveal;

/// Where a client stands. No `Debug`: phases hold secrets.
pub(crate) enum Phase {
    /// No attempt runs; an epoch's keys may be held.
    Rest(Rest),
    /// Keys are being agreed.
    Agreement(Agreement),
    /// The escrow is out; the local work runs.
    Escrow(Escrow),
    /// The others' escrows hold; the masked vector goes out as soon as the work is done.
    Collection(Collection),
    /// The survivor set was acknowledged.
    Acknowledgement(Acknowledgement),
    /// The shares are revealed; the result is awaited.
    Reveal(Reveal),
}

impl Default for Phase {
    fn default() -> Self {
        Self::Rest(Rest::new(None))
    }
}

impl Phase {
    /// The epoch's keys, whatever the phase; a running attempt's secrets are wiped.
    pub(crate) fn into_keyring(self) -> Option<Keyring> {
        match self {
            Self::Rest(rest) => rest.keyring,
            Self::Agreement(_) => None,
            Self::Escrow(phase) => Some(phase.keyring),
            Self::Collection(phase) => Some(phase.keyring),
            Self::Acknowledgement(phase) => Some(phase.keyring),
            Self::Reveal(phase) => Some(phase.keyring),
        }
    }

    /// The epoch's keys, if they are agreed.
    pub(crate) fn keyring(&self) -> Option<&Keyring> {
        match self {
            Self::Rest(rest) => rest.keyring.as_ref(),
            Self::Agreement(_) => None,
            Self::Escrow(phase) => Some(&phase.keyring),
            Self::Collection(phase) => Some(&phase.keyring),
            Self::Acknowledgement(phase) => Some(&phase.keyring),
            Self::Reveal(phase) => Some(&phase.keyring),
        }
    }

    /// The running attempt.
    pub(crate) fn sitting(&self) -> Option<&Sitting> {
        match self {
            Self::Rest(_) | Self::Agreement(_) => None,
            Self::Escrow(phase) => Some(&phase.sitting),
            Self::Collection(phase) => Some(&phase.sitting),
            Self::Acknowledgement(phase) => Some(&phase.sitting),
            Self::Reveal(phase) => Some(&phase.sitting),
        }
    }

    /// Back to rest with the epoch's keys; those of a round number that is over are wiped.
    pub(crate) fn rest(self, over: Option<RoundId>) -> Self {
        let mut keyring = self.into_keyring();
        if let (Some(keyring), Some(round)) = (&mut keyring, over) {
            keyring.finish(round);
        }
        Self::Rest(Rest::new(keyring))
    }

    /// E0.
    pub(crate) fn on_roster(
        self,
        now: Time,
        roster: &Signed<Roster>,
        bank: &mut Bank,
        out: &mut Outbox<Client>,
    ) -> Self {
        let body = roster.unverified();
        if let Self::Agreement(agreement) = &self
            && agreement.epoch() == body.epoch
        {
            agreement.on_roster_again(body, out);
            return self;
        }
        if let Some(keyring) = self.keyring()
            && (keyring.seating.epoch, keyring.seating.root) == (body.epoch, body.root())
        {
            out.send((), ToCoordinator::KeyBundle(keyring.said.bundle.clone()));
            return self;
        }
        match Agreement::open(now, roster, bank, out) {
            Ok(agreement) => Self::Agreement(agreement),
            Err(objection) => {
                bank.object(objection, (None, body.epoch), out);
                self
            }
        }
    }

    /// E2.
    pub(crate) fn on_bundles(
        self,
        bundles: Bundles,
        bank: &mut Bank,
        out: &mut Outbox<Client>,
    ) -> Self {
        if let Self::Agreement(agreement) = self {
            return agreement.on_bundles(bundles, bank, out);
        }
        if let Some(keyring) = self.keyring()
            && keyring.seating.epoch == bundles.epoch
        {
            let again = keyring.said.encapsulations.clone();
            out.send((), ToCoordinator::Encapsulations(again));
        }
        self
    }

    /// E3.
    pub(crate) fn on_encapsulations(
        self,
        incoming: &Incoming,
        bank: &mut Bank,
        out: &mut Outbox<Client>,
    ) -> Self {
        if let Self::Agreement(agreement) = self {
            return agreement.on_encapsulations(incoming, bank, out);
        }
        if let Some(keyring) = self.keyring()
            && keyring.seating.epoch == incoming.epoch
        {
            bank.check_in(Some(keyring), out);
        }
        self
    }

    /// A round is offered: the same again, a later attempt, or something else.
    pub(crate) fn on_round(
        self,
        now: Time,
        offer: &RoundOffer,
        bank: &mut Bank,
        out: &mut Outbox<Client>,
    ) -> Self {
        let key = bank
            .coordinator
            .expect("nothing is heard before the coordinator is known");
        if bank.seen.check(&offer.manifest, &key).is_err() {
            blame(Misbehaviour::Signature("manifest"), out);
            return self;
        }
        let manifest = offer.manifest.unverified();
        let (round, attempt) = (manifest.round, manifest.attempt);
        if let Some(sitting) = self.sitting()
            && (sitting.round(), sitting.manifest.attempt) == (round, attempt)
        {
            self.on_round_again(manifest.context(), out);
            return self;
        }
        if let Some(refusal) = bank.refusal_of(round, attempt) {
            let (round, epoch) = (Some((round, attempt)), manifest.epoch);
            bank.decline(
                Declined {
                    round,
                    epoch,
                    refusal,
                },
                out,
            );
            return self;
        }
        match offer::consider(now, offer, self.keyring(), bank) {
            Ok(Answer::Sit(sitting)) => {
                let keyring = self.into_keyring();
                let keyring = keyring.expect("an offer is only accepted with its epoch's keys");
                Self::Escrow(Escrow::open(now, *sitting, keyring, bank, out))
            }
            Ok(Answer::CheckIn) => {
                bank.check_in_once(manifest.context(), self.keyring(), out);
                self
            }
            Err(objection) => {
                if let Some(schema) = offer::foreign_schema(&objection, offer) {
                    out.report(ClientEvent::ForeignSchema(schema.clone()));
                }
                bank.object(objection, (Some((round, attempt)), manifest.epoch), out);
                self
            }
        }
    }

    fn on_round_again(&self, context: Context, out: &mut Outbox<Client>) {
        if self
            .sitting()
            .is_some_and(|sitting| sitting.context != context)
        {
            blame(Misbehaviour::Equivocation("manifest"), out);
        } else if let Self::Escrow(escrow) = self {
            escrow.send(out);
        }
        // In a later phase the coordinator has our escrow, or we could not have got there: late.
    }

    /// M2.
    pub(crate) fn on_escrow_bundle(
        self,
        bundle: &EscrowBundle,
        bank: &mut Bank,
        out: &mut Outbox<Client>,
    ) -> Self {
        if !self.is_running(bundle.context, "escrow bundle", bank, out) {
            return self;
        }
        match self {
            Self::Escrow(phase) => phase.on_escrow_bundle(bundle, bank, out),
            Self::Collection(phase) => {
                phase.on_escrow_bundle_again(bundle, out);
                Self::Collection(phase)
            }
            Self::Rest(_) | Self::Agreement(_) | Self::Acknowledgement(_) | Self::Reveal(_) => self,
        }
    }

    /// M4.
    pub(crate) fn on_survivors(
        self,
        survivors: &Survivors,
        bank: &mut Bank,
        out: &mut Outbox<Client>,
    ) -> Self {
        if !self.is_running(survivors.context, "survivor set", bank, out) {
            return self;
        }
        match self {
            Self::Collection(phase) => phase.on_survivors(survivors, bank, out),
            Self::Acknowledgement(phase) => {
                phase.on_survivors_again(survivors, out);
                Self::Acknowledgement(phase)
            }
            Self::Reveal(phase) => {
                phase.on_survivors_again(survivors, out);
                Self::Reveal(phase)
            }
            // Nothing of ours is in: we are out of this attempt.
            Self::Rest(_) | Self::Agreement(_) | Self::Escrow(_) => self,
        }
    }

    /// M6.
    pub(crate) fn on_acks(
        self,
        acks: &AckBundle,
        bank: &mut Bank,
        out: &mut Outbox<Client>,
    ) -> Self {
        if !self.is_running(acks.context, "acknowledgements", bank, out) {
            return self;
        }
        match self {
            Self::Acknowledgement(phase) => phase.on_acks(acks, bank, out),
            Self::Reveal(phase) => {
                phase.on_acks_again(acks, out);
                Self::Reveal(phase)
            }
            // Without our own acknowledgement there is nothing to reveal.
            Self::Rest(_) | Self::Agreement(_) | Self::Escrow(_) | Self::Collection(_) => self,
        }
    }

    /// Whether a message is about the running attempt. One of an attempt we sat in before is
    /// late; one of an attempt we never saw is somebody else's (A6).
    fn is_running(
        &self,
        context: Context,
        what: &'static str,
        bank: &Bank,
        out: &mut Outbox<Client>,
    ) -> bool {
        let Some(sitting) = self.sitting() else {
            return false;
        };
        if sitting.context != context && !bank.knows_context(context) {
            blame(Misbehaviour::Context(what), out);
        }
        sitting.context == context
    }

    /// Others lack the bucket key. In any other phase the coordinator asks again.
    pub(crate) fn on_handover(
        self,
        said: &Handover,
        bank: &mut Bank,
        out: &mut Outbox<Client>,
    ) -> Self {
        if let Self::Rest(Rest {
            keyring: Some(keyring),
        }) = &self
        {
            handover::on_handover(said, keyring, bank, out);
        }
        self
    }

    /// The bucket key comes. In any other phase the coordinator says it again.
    pub(crate) fn on_sealed_key(
        self,
        said: &Signed<SealedKey>,
        bank: &mut Bank,
        out: &mut Outbox<Client>,
    ) -> Self {
        if let Self::Rest(Rest {
            keyring: Some(keyring),
        }) = &self
        {
            handover::on_sealed_key(said, keyring, bank, out);
        }
        self
    }

    /// The local work ended. One contribution goes into one attempt only: another's is dropped.
    pub(crate) fn on_outcome(
        self,
        outcome: Outcome,
        bank: &mut Bank,
        out: &mut Outbox<Client>,
    ) -> Self {
        if self
            .sitting()
            .is_none_or(|sitting| sitting.context != outcome.context)
        {
            return self;
        }
        match outcome.contribution {
            Ok(contribution) => self.on_contribution(contribution, bank, out),
            Err(why) => self.on_failure(why, bank, out),
        }
    }

    /// A contribution to the running attempt: kept until the others' escrows hold, then masked.
    pub(crate) fn on_contribution(
        self,
        contribution: Contribution,
        bank: &mut Bank,
        out: &mut Outbox<Client>,
    ) -> Self {
        match self {
            Self::Escrow(phase) => Self::Escrow(phase.with(contribution)),
            Self::Collection(phase) => {
                let (phase, failure) = phase.mask(contribution, bank, out);
                let phase = Self::Collection(phase);
                match failure {
                    Some(why) => phase.on_failure(why, bank, out),
                    None => phase,
                }
            }
            Self::Rest(_) | Self::Agreement(_) | Self::Acknowledgement(_) | Self::Reveal(_) => self,
        }
    }

    /// The local work failed: declines, unless the vector is out and a failure comes too late.
    fn on_failure(self, why: String, bank: &mut Bank, out: &mut Outbox<Client>) -> Self {
        let sitting = match &self {
            Self::Escrow(phase) => &phase.sitting,
            Self::Collection(phase) if phase.is_working() => &phase.sitting,
            Self::Collection(_)
            | Self::Rest(_)
            | Self::Agreement(_)
            | Self::Acknowledgement(_)
            | Self::Reveal(_) => return self,
        };
        let manifest = &sitting.manifest;
        let (round, epoch) = (Some((manifest.round, manifest.attempt)), manifest.epoch);
        bank.decline(
            Declined {
                round,
                epoch,
                refusal: Refusal::Local(why),
            },
            out,
        );
        self.leave(bank, out)
    }

    /// The coordinator gave an attempt up.
    pub(crate) fn on_abandoned(
        self,
        abandoned: Abandoned,
        bank: &mut Bank,
        out: &mut Outbox<Client>,
    ) -> Self {
        let Abandoned {
            round,
            attempt,
            cause,
        } = abandoned;
        let is_ours = self
            .sitting()
            .is_some_and(|sitting| (sitting.round(), sitting.manifest.attempt) == (round, attempt));
        if !is_ours {
            return self;
        }
        out.report(ClientEvent::Abandoned(round, attempt, cause));
        self.leave(bank, out)
    }

    /// Gives a running attempt up once all of its time has passed.
    pub(crate) fn on_timeout(self, now: Time, bank: &mut Bank, out: &mut Outbox<Client>) -> Self {
        let cause = match &self {
            Self::Rest(_) | Self::Agreement(_) => return self,
            Self::Escrow(_) => Cause::Escrows,
            Self::Collection(_) => Cause::Updates,
            Self::Acknowledgement(_) => Cause::Acks,
            Self::Reveal(_) => Cause::Reveals,
        };
        let Some(manifest) = self.sitting().map(|sitting| &sitting.manifest) else {
            return self;
        };
        if now < manifest.due.end {
            return self;
        }
        out.report(ClientEvent::Abandoned(
            manifest.round,
            manifest.attempt,
            cause,
        ));
        self.leave(bank, out)
    }

    /// Leaves a running attempt. An acknowledged round number is over for this client.
    pub(crate) fn leave(self, bank: &mut Bank, out: &mut Outbox<Client>) -> Self {
        let Some(sitting) = self.sitting() else {
            return self;
        };
        let (round, attempt) = (sitting.round(), sitting.manifest.attempt);
        bank.persist(ClientRecord::Abandoned(round, attempt), out);
        let over = bank.memory.has_acked(round).then_some(round);
        self.rest(over)
    }
}
