//! `Phase`: the diagram of a round and its dispatch, nothing else. This is the heart of the house.
//!
//! ```text
//!            plan adopted         enough banks        keys agreed, or given up
//!     Rest ───────────────► Selection ─────────► Agreement ─────────┐
//!      ▲                     ▲     │  ▲                             │
//!      │ no plan, or halted  │     │  └─────────────────────────────┘
//!      └─────────────────────┤     │ everybody holds the epoch's keys
//!                            │     ▼
//!       committed, abandoned │   Escrow ──► Collection ──► Acknowledgement ──► Reveal
//!                            │     │  U1       │  U2             │ ≥ t acks      │
//!                            └─────┴───────────┴─────────────────┴───────────────┘
//! ```
//!
//! A phase changes by records alone, and [`Phase::apply`] is all of the diagram: what a phase
//! decides, it says as a record; the record is made durable; then it is applied. Recovery applies
//! the same records to the same phases, so a restarted coordinator stands where it stood.
//!
//! What is said to a member follows from the phase alone ([`Phase::nudge`]): whatever it lacks,
//! each time it checks in and each time the phase moves. So nothing that is lost, repeated or
//! late on the way can wedge a round.

use crate::blame::Misbehaviour;
use crate::coordinator::audits::Kept;
use crate::coordinator::desk::Desk;
use crate::coordinator::epoch::{Member, Members};
use crate::coordinator::handover;
use crate::coordinator::recover::RecoverError;
use crate::coordinator::round::Round;
use crate::message::{Declined, ToCoordinator};
use crate::operator::Waiting;
use crate::record::CoordinatorRecord as Record;
use crate::time::Time;

mod acknowledgement;
mod agreement;
mod collection;
mod escrow;
mod rest;
mod reveal;
mod selection;
mod topic;

use acknowledgement::Acknowledgement;
use agreement::Agreement;
use collection::Collection;
use escrow::Escrow;
use rest::Rest;
use reveal::Reveal;
use selection::Selection;
use topic::Place;

/// Where the federation stands.
pub(crate) enum Phase {
    /// Nothing to run.
    Rest(Rest),
    /// A plan waits for its banks.
    Selection(Selection),
    /// The banks agree on keys (E0 to E3).
    Agreement(Box<Agreement>),
    /// Escrows come in (M1).
    Escrow(Box<Escrow>),
    /// Masked updates come in (M2, M3).
    Collection(Box<Collection>),
    /// Acknowledgements come in (M4, M5).
    Acknowledgement(Box<Acknowledgement>),
    /// Reveals come in (M6, M7), and the sum comes out (M8).
    Reveal(Box<Reveal>),
}

/// What every phase can do.
pub(crate) trait Stage {
    /// Its name, and the step within it. When either changes, everybody is told what it lacks.
    fn step(&self) -> (&'static str, u8);

    /// When it wants to be asked again, if nothing is heard before.
    fn ends(&self, desk: &Desk) -> Option<Time>;

    /// The record with which it ends, if it is time.
    fn conclude(&self, desk: &mut Desk) -> Option<Record>;

    /// Says to a member whatever it lacks.
    fn nudge(&self, to: &Member, desk: &mut Desk);

    /// What keeps a plan that waits from its next round; none where something runs.
    fn waiting(&self, _desk: &Desk) -> Option<Waiting> {
        None
    }

    /// The attempt it belongs to.
    fn round(&self) -> Option<&Round> {
        None
    }
}

impl Phase {
    /// The diagram: a record in a phase, and the phase it leads to.
    ///
    /// # Errors
    /// A record that has no place here, which only a foreign or damaged log can hold.
    pub(crate) fn apply(self, record: Record, desk: &mut Desk) -> Result<Self, RecoverError> {
        let misplaced = RecoverError::misplaced(&record, self.stage().step().0);
        Ok(match (self, record) {
            (phase, Record::PlanAdopted(plan)) => {
                if !desk.adopt(plan) {
                    return Err(misplaced);
                }
                phase.or_idle(desk)
            }
            (phase, Record::PlanEnded(plan)) => {
                desk.end_plan(plan, phase.stage().round().is_some());
                phase.or_idle(desk)
            }
            (phase, Record::Barred(client)) => {
                desk.registry.bar(client);
                phase
            }

            (Self::Selection(_), Record::EpochOpened(roster)) => {
                Self::Agreement(Box::new(Agreement::open(roster, desk)))
            }
            (Self::Agreement(phase), Record::KeyBundle(bundle)) => {
                Self::Agreement(phase.with_bundle(bundle, desk))
            }
            (Self::Agreement(phase), Record::Encapsulations(list)) => {
                Self::Agreement(phase.with_encapsulations(list, desk))
            }
            (Self::Agreement(phase), Record::EpochAgreed(_)) => {
                phase.agree(desk);
                Self::idle(desk.now, desk)
            }
            (Self::Agreement(phase), Record::EpochAbandoned(_)) => {
                phase.abandon(desk);
                Self::idle(desk.after_pause(), desk)
            }

            (Self::Selection(_), Record::RoundOpened(at, manifest)) => {
                let round = Round::new(manifest, desk).ok_or(misplaced)?;
                Self::Escrow(Box::new(Escrow::open(round, at, desk)))
            }
            (Self::Escrow(phase), Record::Escrow(escrow)) => Self::Escrow(phase.with(escrow)),
            (Self::Escrow(phase), Record::Escrowed(seats)) => {
                Self::Collection(Box::new(phase.close(seats, desk)))
            }
            (Self::Collection(phase), Record::Masked(masked)) => {
                Self::Collection(phase.with(&masked, desk))
            }
            (Self::Collection(phase), Record::Survived(seats)) => {
                Self::Acknowledgement(Box::new(phase.close(seats, desk)))
            }
            (Self::Acknowledgement(phase), Record::Ack(ack)) => {
                Self::Acknowledgement(phase.with(ack))
            }
            (Self::Acknowledgement(phase), Record::Acknowledged(acks)) => {
                Self::Reveal(Box::new(phase.close(acks, desk)))
            }
            (Self::Reveal(phase), Record::Reveal(reveal)) => Self::Reveal(phase.with(reveal)),

            (phase, Record::Committed(at, result)) if phase.stage().round().is_some() => {
                desk.commit(at, result, phase.into_kept())?;
                Self::idle(desk.now, desk)
            }
            (phase, Record::Abandoned(at, ended)) => {
                let round = phase.stage().round().ok_or(misplaced)?;
                desk.abandon(at, ended, round.plan_id(), round.context);
                Self::idle(desk.after_pause(), desk)
            }
            (_, _) => return Err(misplaced),
        })
    }

    /// A member says something: the record that it leads to, none where it changes nothing.
    ///
    /// # Errors
    /// What the member did wrong.
    pub(crate) fn hear(
        &mut self,
        from: &Member,
        message: ToCoordinator,
        desk: &mut Desk,
    ) -> Result<Option<Record>, Misbehaviour> {
        match topic::place(&message, self.stage(), desk) {
            Place::Here => {}
            Place::Late => return Ok(None),
            Place::Wrong(misbehaviour) => return Err(misbehaviour),
        }
        match (self, message) {
            (Self::Agreement(phase), ToCoordinator::KeyBundle(bundle)) => {
                phase.on_key_bundle(from, *bundle)
            }
            (Self::Agreement(phase), ToCoordinator::Encapsulations(list)) => {
                phase.on_encapsulations(from, list)
            }
            (Self::Escrow(phase), ToCoordinator::Escrow(escrow)) => phase.on_escrow(from, *escrow),
            (Self::Collection(phase), ToCoordinator::Complaint(complaint)) => {
                phase.on_complaint(from, *complaint, desk)
            }
            (Self::Collection(phase), ToCoordinator::Masked(masked)) => {
                phase.on_masked(from, *masked)
            }
            (Self::Acknowledgement(phase), ToCoordinator::Ack(ack)) => phase.on_ack(from, ack),
            (Self::Reveal(phase), ToCoordinator::Reveal(reveal)) => phase.on_reveal(from, *reveal),
            (_, ToCoordinator::SealedKeys(list)) => handover::on_sealed_keys(from, list, desk),
            (_, ToCoordinator::KeyComplaint(complaint)) => {
                handover::on_complaint(from, *complaint, desk)
            }
            (_, _) => Ok(None),
        }
    }

    /// What auditors are told of a sum that is committed in this phase. Nothing where its records
    /// were pruned before a restart: then the phase is where they end.
    fn into_kept(self) -> Option<Kept> {
        match self {
            Self::Reveal(phase) => phase.into_kept(),
            Self::Rest(_)
            | Self::Selection(_)
            | Self::Agreement(_)
            | Self::Escrow(_)
            | Self::Collection(_)
            | Self::Acknowledgement(_) => None,
        }
    }

    /// A member takes no part; whether that concerns what runs.
    pub(crate) fn withdraw(&mut self, from: &Member, said: &Declined, desk: &mut Desk) -> bool {
        match self {
            Self::Agreement(phase) => phase.on_declined(from, said),
            Self::Escrow(phase) => phase.on_declined(from, said, desk),
            Self::Collection(phase) => phase.on_declined(from, said),
            Self::Rest(_) | Self::Selection(_) | Self::Acknowledgement(_) | Self::Reveal(_) => {
                false
            }
        }
    }

    /// Who sits in what runs: the roster that is being agreed on, or the epoch's.
    pub(crate) fn members(&self, desk: &Desk) -> Option<Members> {
        match self {
            Self::Agreement(phase) => Some(phase.members().clone()),
            Self::Rest(_)
            | Self::Selection(_)
            | Self::Escrow(_)
            | Self::Collection(_)
            | Self::Acknowledgement(_)
            | Self::Reveal(_) => Some(desk.epoch.as_ref()?.members.clone()),
        }
    }

    /// Whether the operator may still stop the round that runs: once the survivors are told, a
    /// member may have acknowledged, and the round number would be burnt.
    pub(crate) fn may_stop(&self) -> Option<&Round> {
        match self {
            Self::Escrow(_) | Self::Collection(_) => self.stage().round(),
            Self::Rest(_)
            | Self::Selection(_)
            | Self::Agreement(_)
            | Self::Acknowledgement(_)
            | Self::Reveal(_) => None,
        }
    }

    /// What every phase can do, done by this one.
    pub(crate) fn stage(&self) -> &dyn Stage {
        match self {
            Self::Rest(phase) => phase,
            Self::Selection(phase) => phase,
            Self::Agreement(phase) => &**phase,
            Self::Escrow(phase) => &**phase,
            Self::Collection(phase) => &**phase,
            Self::Acknowledgement(phase) => &**phase,
            Self::Reveal(phase) => &**phase,
        }
    }

    /// Where things stand between two rounds; nothing opens before `not_before`.
    pub(crate) fn idle(not_before: Time, desk: &Desk) -> Self {
        if desk.is_halted() || desk.plans.front().is_none() {
            return Self::Rest(Rest);
        }
        Self::Selection(Selection::new(not_before))
    }

    /// After the queue of plans changed: what runs goes on.
    fn or_idle(self, desk: &Desk) -> Self {
        match self {
            Self::Rest(_) => Self::idle(desk.now, desk),
            Self::Selection(phase) => Self::idle(phase.opened(), desk),
            running @ (Self::Agreement(_)
            | Self::Escrow(_)
            | Self::Collection(_)
            | Self::Acknowledgement(_)
            | Self::Reveal(_)) => running,
        }
    }
}

impl Default for Phase {
    fn default() -> Self {
        Self::Rest(Rest)
    }
}
