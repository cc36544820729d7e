//! Collection: masked updates come in (M2 out, M3 in, PROTOCOL.md §5). Each is checked against its
//! signed root and added to the running sum at once: a vector is never held, and one that comes
//! after U2 is fixed is counted nowhere. Complaints are weighed here. Leaving fixes U2.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crypto::{Digest, merkle};

use crate::blame::Misbehaviour;
use crate::coordinator::desk::Desk;
use crate::coordinator::epoch::Member;
use crate::coordinator::phase::Stage;
use crate::coordinator::phase::acknowledgement::Acknowledgement;
use crate::coordinator::round::{Answers, Round, Verdict};
use crate::coordinator::survived::Survived;
use crate::event::CoordinatorEvent;
use crate::id::{Seat, Seats};
use crate::message::{
    Cause, Complaint, Declined, Escrow, EscrowBundle, Fault, IncomingShare, Masked, ToClient,
};
use crate::record::CoordinatorRecord;
use crate::signed::Signed;
use crate::time::Time;
use crate::{masking, vector};

/// Masked updates come in.
pub(crate) struct Collection {
    round: Round,
    escrows: BTreeMap<Seat, Escrow>,
    escrowed: Seats,
    /// The chunk root of each vector that is in the sum, and the leaves under it.
    roots: BTreeMap<Seat, (Digest, Vec<Digest>)>,
    /// The leaves of the vector that came last, until its record is applied.
    hashed: Option<(Seat, Vec<Digest>)>,
    sum: Vec<u32>,
    withdrawn: BTreeSet<Seat>,
    deadline: Time,
}

impl Collection {
    /// U1 is fixed.
    pub(crate) fn open(
        round: Round,
        escrows: BTreeMap<Seat, Escrow>,
        escrowed: Seats,
        desk: &Desk,
    ) -> Self {
        let words = usize::try_from(round.manifest().words).expect("bounded by WORDS_MAX");
        Self {
            deadline: round.deadline(desk.now, round.deadlines().collection),
            sum: vec![0; words],
            round,
            escrows,
            escrowed,
            roots: BTreeMap::new(),
            hashed: None,
            withdrawn: BTreeSet::new(),
        }
    }

    /// M3 came in.
    pub(crate) fn with(mut self: Box<Self>, masked: &Masked, desk: &mut Desk) -> Box<Self> {
        let trailer = masked.trailer.unverified();
        let bytes = masked.words.0.len();
        let width = self.round.width();
        vector::add(&mut self.sum, &masked.words, width)
            .expect("its size was checked when it came");
        let hashed = self.hashed.take().filter(|(seat, _)| *seat == trailer.seat);
        let leaves = || vector::masked_leaves(&masked.words, width);
        let leaves = hashed.map_or_else(leaves, |(_, leaves)| leaves);
        self.roots.insert(trailer.seat, (trailer.root, leaves));
        desk.history.note_bytes(bytes);
        let round = self.round.manifest().round;
        let event = CoordinatorEvent::UpdateReceived(round, trailer.seat, bytes as u64);
        desk.out.report(event);
        self
    }

    /// U2 is fixed: these are in the sum, and nobody else.
    pub(crate) fn close(self, survivors: Seats, desk: &mut Desk) -> Acknowledgement {
        let round = self.round.manifest().round;
        for seat in self.escrowed.without(&survivors).iter() {
            let event = CoordinatorEvent::Dropout(round, seat, "collection");
            desk.out.report(event);
        }
        desk.history.note_survivors(&survivors);
        let (roots, leaves): (Vec<_>, Vec<_>) = self.roots.into_values().unzip();
        let survived = Survived {
            masked: masking::masked_root(&survivors, &roots),
            round: self.round,
            escrows: self.escrows,
            escrowed: self.escrowed,
            survivors,
            roots,
            leaves,
            sum: self.sum,
        };
        Acknowledgement::open(survived, desk)
    }

    /// A member's masked update.
    pub(crate) fn on_masked(
        &mut self,
        from: &Member,
        masked: Masked,
    ) -> Result<Option<CoordinatorRecord>, Misbehaviour> {
        let trailer = masked
            .trailer
            .clone()
            .verify(&from.key)
            .map_err(|_| Misbehaviour::Signature("masked update"))?;
        if trailer.seat != from.seat || !self.escrowed.contains(from.seat) {
            return Err(Misbehaviour::Stranger(trailer.seat, "masked update"));
        }
        if trailer.escrowed != masking::seats_digest(&self.escrowed) {
            return Err(Misbehaviour::Context("masked update"));
        }
        if let Some((first, _)) = self.roots.get(&from.seat) {
            let is_same = *first == trailer.root;
            let answer = if is_same { Ok(None) } else { Err(()) };
            return answer.map_err(|()| Misbehaviour::Equivocation("masked update"));
        }
        let found = masked.words.0.len() as u64;
        let width = self.round.width();
        let expected = self.round.manifest().words * width.bytes() as u64;
        if found > expected {
            return Err(Misbehaviour::Oversized("masked update", found, expected));
        }
        if found < expected {
            return Err(Misbehaviour::Malformed("masked update", "too few bytes"));
        }
        let leaves = vector::masked_leaves(&masked.words, width);
        if merkle::chunks_root(&leaves) != trailer.root {
            return Err(Misbehaviour::Malformed(
                "masked update",
                "root of its bytes",
            ));
        }
        self.hashed = Some((from.seat, leaves));
        Ok(Some(CoordinatorRecord::Masked(Arc::new(masked))))
    }

    /// A member complains about another's escrow. It has stopped, whoever is right; what can be
    /// seen from here to be groundless costs the others nothing.
    pub(crate) fn on_complaint(
        &mut self,
        from: &Member,
        complaint: Signed<Complaint>,
        desk: &mut Desk,
    ) -> Result<Option<CoordinatorRecord>, Misbehaviour> {
        let complaint = complaint
            .verify(&from.key)
            .map_err(|_| Misbehaviour::Signature("complaint"))?;
        let about = complaint.about;
        if complaint.from != from.seat || !self.escrowed.contains(from.seat) {
            return Err(Misbehaviour::Stranger(complaint.from, "complaint"));
        }
        if !self.escrowed.contains(about) || about == from.seat {
            return Err(Misbehaviour::Stranger(about, "complaint"));
        }
        if self.roots.contains_key(&from.seat) {
            return Err(Misbehaviour::OutOfOrder("complaint"));
        }
        if !self.withdrawn.insert(from.seat) {
            return Ok(None);
        }
        let proof = self.weigh(&complaint);
        let complaints = desk.epoch.as_mut().map(|epoch| &mut epoch.complaints);
        let complaints = complaints.expect("a round runs in an epoch");
        if proof != Proof::Right {
            complaints.note_unproven(from.seat);
        }
        if proof == Proof::Groundless {
            return Err(Misbehaviour::Malformed("complaint", "groundless"));
        }
        complaints.note_accused(about, from.seat);
        if let Some(accused) = self.round.members.at(about).cloned() {
            desk.blame(accused.id, accusation(&complaint));
        }
        Ok(Some(self.round.abandoned(desk.now, Cause::Complaint)))
    }

    /// A member gives up; whether it means this attempt.
    pub(crate) fn on_declined(&mut self, from: &Member, said: &Declined) -> bool {
        let manifest = self.round.manifest();
        said.round == Some((manifest.round, manifest.attempt))
            && !self.roots.contains_key(&from.seat)
            && self.withdrawn.insert(from.seat)
    }

    /// What can be seen of a complaint from here.
    fn weigh(&self, complaint: &Complaint) -> Proof {
        match complaint.fault {
            // We checked every header, and made the paths ourselves.
            Fault::Header | Fault::Path => Proof::Groundless,
            Fault::Commitment => {
                let (one, other) = (complaint.from, complaint.about);
                let sides = (self.commitment(one, other), self.commitment(other, one));
                match sides {
                    (Some(ours), Some(theirs)) if ours != theirs => Proof::Right,
                    (_, _) => Proof::Groundless,
                }
            }
            // What is sealed only the two of them can read.
            Fault::Seal | Fault::Share => Proof::None,
        }
    }

    /// The commitment of `owner` to its key with `other`.
    fn commitment(&self, owner: Seat, other: Seat) -> Option<[u8; 16]> {
        self.round.commitment(self.escrows.get(&owner)?, other)
    }

    /// M2 for one member.
    fn bundle(&self, to: Seat) -> Option<ToClient> {
        let holder = self.round.cohort().iter().position(|seat| seat == to)?;
        let escrows = || {
            let seats = self.escrowed.iter();
            seats.filter_map(|seat| Some((seat, self.escrows.get(&seat)?)))
        };
        let share = |(seat, escrow): (Seat, &Escrow)| {
            Some(IncomingShare {
                sealed: escrow.sealed.get(holder)?.clone(),
                digests: *escrow.share_digests.get(holder)?,
                path: masking::shares_path(&escrow.share_digests, holder),
                commitment: self.commitment(seat, to),
            })
        };
        Some(ToClient::EscrowBundle(Box::new(EscrowBundle {
            context: self.round.context,
            escrowed: self.escrowed.clone(),
            headers: escrows().map(|(_, escrow)| escrow.header.clone()).collect(),
            shares: escrows().filter_map(share).collect(),
        })))
    }

    fn answers(&self) -> Answers<'_> {
        Answers {
            expected: &self.escrowed,
            given: self.roots.keys().copied().collect(),
            withdrawn: &self.withdrawn,
            needed: usize::from(self.round.terms.needed()),
            deadline: self.deadline,
        }
    }
}

impl Stage for Collection {
    fn step(&self) -> (&'static str, u8) {
        ("collection", 0)
    }

    fn ends(&self, desk: &Desk) -> Option<Time> {
        Some(self.answers().ends(desk))
    }

    fn conclude(&self, desk: &mut Desk) -> Option<CoordinatorRecord> {
        let answers = self.answers();
        let survivors = match answers.verdict(desk) {
            Verdict::Wait => return None,
            Verdict::Enough => answers.given,
            Verdict::TooFew => return Some(self.round.abandoned(desk.now, Cause::Updates)),
        };
        let graph = &self.round.graph;
        if graph
            .isolated(&survivors, self.round.terms.honest_min)
            .is_some()
        {
            return Some(self.round.abandoned(desk.now, Cause::Updates));
        }
        Some(CoordinatorRecord::Survived(survivors))
    }

    fn nudge(&self, to: &Member, desk: &mut Desk) {
        let owes = self.escrowed.contains(to.seat)
            && !self.roots.contains_key(&to.seat)
            && !self.withdrawn.contains(&to.seat);
        if let Some(bundle) = owes.then(|| self.bundle(to.seat)).flatten() {
            desk.out.send(to.id, bundle);
        }
    }

    fn round(&self) -> Option<&Round> {
        Some(&self.round)
    }
}

/// What can be seen of a complaint from here.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Proof {
    /// The two sides really differ.
    Right,
    /// What it complains of is in order.
    Groundless,
    /// Nothing.
    None,
}

/// What the accused is blamed for: the event names both parties of the quarrel.
fn accusation(complaint: &Complaint) -> Misbehaviour {
    match complaint.fault {
        Fault::Commitment => Misbehaviour::Commitment(complaint.from),
        Fault::Seal | Fault::Share | Fault::Path | Fault::Header => {
            Misbehaviour::Share(complaint.from)
        }
    }
}
