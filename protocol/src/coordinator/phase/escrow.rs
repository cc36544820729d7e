//! Escrow: what lets the others finish the round without its sender comes in (M1, PROTOCOL.md §5).
//! It overlaps the local training. We check that each escrow is what its signed header says; what
//! is sealed in it we cannot read, and the receivers check. Leaving fixes U1.

use std::collections::{BTreeMap, BTreeSet};

use crypto::seal::TAG_BYTES;

use crate::blame::{Misbehaviour, Refusal};
use crate::coordinator::desk::Desk;
use crate::coordinator::epoch::Member;
use crate::coordinator::phase::Stage;
use crate::coordinator::phase::collection::Collection;
use crate::coordinator::round::{Answers, Round, Verdict};
use crate::event::CoordinatorEvent;
use crate::id::{Seat, Seats};
use crate::masking;
use crate::message::{self, Cause, Declined};
use crate::record::CoordinatorRecord;
use crate::time::Time;

/// Escrows come in.
pub(crate) struct Escrow {
    round: Round,
    escrows: BTreeMap<Seat, message::Escrow>,
    withdrawn: BTreeSet<Seat>,
    deadline: Time,
}

impl Escrow {
    /// An attempt opens.
    pub(crate) fn open(round: Round, opened: Time, desk: &mut Desk) -> Self {
        let manifest = round.manifest();
        desk.next = (manifest.round, manifest.attempt);
        desk.out.report(CoordinatorEvent::RoundOpened(
            manifest.round,
            manifest.attempt,
            round.terms.members,
        ));
        desk.history.open(&round, opened);
        Self {
            deadline: round.deadline(desk.now, round.deadlines().escrow),
            round,
            escrows: BTreeMap::new(),
            withdrawn: BTreeSet::new(),
        }
    }

    /// M1 came in.
    pub(crate) fn with(mut self: Box<Self>, escrow: message::Escrow) -> Box<Self> {
        self.escrows.insert(escrow.header.unverified().seat, escrow);
        self
    }

    /// U1 is fixed: the attempt goes on with these.
    pub(crate) fn close(self, escrowed: Seats, desk: &mut Desk) -> Collection {
        let round = self.round.manifest().round;
        for seat in self.round.cohort().without(&escrowed).iter() {
            desk.out
                .report(CoordinatorEvent::Dropout(round, seat, "escrow"));
        }
        desk.history.note_escrowed(&escrowed);
        Collection::open(self.round, self.escrows, escrowed, desk)
    }

    /// A member's escrow.
    pub(crate) fn on_escrow(
        &self,
        from: &Member,
        escrow: message::Escrow,
    ) -> Result<Option<CoordinatorRecord>, Misbehaviour> {
        let header = escrow
            .header
            .clone()
            .verify(&from.key)
            .map_err(|_| Misbehaviour::Signature("escrow"))?;
        if header.seat != from.seat || !self.round.cohort().contains(from.seat) {
            return Err(Misbehaviour::Stranger(header.seat, "escrow"));
        }
        if let Some(first) = self.escrows.get(&from.seat) {
            let is_same = first.header.unverified() == &*header;
            let answer = if is_same { Ok(None) } else { Err(()) };
            return answer.map_err(|()| Misbehaviour::Equivocation("escrow"));
        }
        self.check_sizes(from.seat, &escrow)?;
        check_digests(&header, &escrow)?;
        Ok(Some(CoordinatorRecord::Escrow(escrow)))
    }

    /// A member declines; whether it means this attempt.
    pub(crate) fn on_declined(&mut self, from: &Member, said: &Declined, desk: &mut Desk) -> bool {
        let manifest = self.round.manifest();
        if said.round != Some((manifest.round, manifest.attempt)) {
            return false;
        }
        if lasts(&said.refusal) {
            desk.plans.note_declined(manifest.plan, from.id, desk.now);
        }
        self.withdrawn.insert(from.seat)
    }

    /// Every list exactly as long as the cohort demands, every sealed item exactly its size.
    fn check_sizes(&self, seat: Seat, escrow: &message::Escrow) -> Result<(), Misbehaviour> {
        let malformed = |what| Err(Misbehaviour::Malformed("escrow", what));
        let members = self.round.cohort().len();
        let neighbours = self.round.graph.neighbours(seat).len();
        if escrow.share_digests.len() != members {
            return malformed("number of share digests");
        }
        if escrow.sealed.len() != members {
            return malformed("number of sealed shares");
        }
        if escrow
            .sealed
            .iter()
            .any(|sealed| sealed.len() != SEALED_BYTES)
        {
            return malformed("size of a sealed share");
        }
        if escrow.escrow_box.len() != neighbours * KEY_BYTES + TAG_BYTES {
            return malformed("size of the escrow box");
        }
        if escrow.commitments.len() != neighbours {
            return malformed("number of commitments");
        }
        Ok(())
    }

    fn answers(&self) -> Answers<'_> {
        Answers {
            expected: self.round.cohort(),
            given: self.escrows.keys().copied().collect(),
            withdrawn: &self.withdrawn,
            needed: usize::from(self.round.terms.needed()),
            deadline: self.deadline,
        }
    }
}

impl Stage for Escrow {
    fn step(&self) -> (&'static str, u8) {
        ("escrow", 0)
    }

    fn ends(&self, desk: &Desk) -> Option<Time> {
        Some(self.answers().ends(desk))
    }

    fn conclude(&self, desk: &mut Desk) -> Option<CoordinatorRecord> {
        let answers = self.answers();
        match answers.verdict(desk) {
            Verdict::Wait => None,
            Verdict::Enough => Some(CoordinatorRecord::Escrowed(answers.given)),
            Verdict::TooFew if self.withdrawn.is_empty() => {
                Some(self.round.abandoned(desk.now, Cause::Escrows))
            }
            Verdict::TooFew => Some(self.round.abandoned(desk.now, Cause::Declined)),
        }
    }

    fn nudge(&self, to: &Member, desk: &mut Desk) {
        let owes = self.round.cohort().contains(to.seat)
            && !self.escrows.contains_key(&to.seat)
            && !self.withdrawn.contains(&to.seat);
        if owes {
            desk.out.send(to.id, self.round.offer());
        }
    }

    fn round(&self) -> Option<&Round> {
        Some(&self.round)
    }
}

/// What an escrow holds is what its sender signed.
fn check_digests(
    header: &message::EscrowHeader,
    escrow: &message::Escrow,
) -> Result<(), Misbehaviour> {
    let malformed = |what| Err(Misbehaviour::Malformed("escrow", what));
    if masking::shares_root(&escrow.share_digests) != header.shares {
        return malformed("root of the share digests");
    }
    if masking::sealed_digest(&escrow.sealed) != header.sealed {
        return malformed("digest of the sealed shares");
    }
    if masking::box_digest(&escrow.escrow_box) != header.escrow_box {
        return malformed("digest of the escrow box");
    }
    if masking::commitments_digest(&escrow.commitments) != header.commitments {
        return malformed("digest of the commitments");
    }
    Ok(())
}

/// Whether a refusal holds for every round of the plan, so that the next cohort is composed
/// without this member. The others concern this round or this hour.
fn lasts(refusal: &Refusal) -> bool {
    match refusal {
        Refusal::Plan(_)
        | Refusal::KindNotAllowed(_)
        | Refusal::CohortTooSmall { .. }
        | Refusal::ColludersTooFew { .. }
        | Refusal::SchemaNotApproved(_)
        | Refusal::LayoutNotApproved(_)
        | Refusal::RoundsSpent(_)
        | Refusal::BaseRevealed(_)
        | Refusal::FalseSum(_)
        | Refusal::ReleaseMissing(_) => true,
        Refusal::Stale(_)
        | Refusal::Roster(_)
        | Refusal::Local(_)
        | Refusal::Barred
        | Refusal::Role
        | Refusal::Busy
        | Refusal::BucketKey => false,
    }
}

/// A round key in the escrow box.
const KEY_BYTES: usize = 32;

/// Two shares of 32 bytes, sealed.
const SEALED_BYTES: usize = 64 + TAG_BYTES;
