//! Acknowledgement: the survivors are told who they are, and each says once for this round number
//! that it saw that set (M4 out, M5 in, PROTOCOL.md §5). With `2t > n + c` no second set can gather
//! t of these words. From here on a round without a result burns its number.

use std::collections::{BTreeMap, BTreeSet};

use crate::blame::Misbehaviour;
use crate::coordinator::desk::Desk;
use crate::coordinator::epoch::Member;
use crate::coordinator::phase::Stage;
use crate::coordinator::phase::reveal::Reveal;
use crate::coordinator::round::{Answers, Round};
use crate::coordinator::survived::Survived;
use crate::id::Seat;
use crate::message::{Ack, Cause};
use crate::record::CoordinatorRecord;
use crate::signed::Signed;
use crate::time::Time;

/// Acknowledgements come in.
pub(crate) struct Acknowledgement {
    survived: Survived,
    acks: BTreeMap<Seat, Signed<Ack>>,
    deadline: Time,
}

impl Acknowledgement {
    /// U2 is fixed.
    pub(crate) fn open(survived: Survived, desk: &Desk) -> Self {
        let span = survived.round.deadlines().acknowledgement;
        Self {
            deadline: survived.round.deadline(desk.now, span),
            survived,
            acks: BTreeMap::new(),
        }
    }

    /// M5 came in.
    pub(crate) fn with(mut self: Box<Self>, ack: Signed<Ack>) -> Box<Self> {
        self.acks.insert(ack.unverified().seat, ack);
        self
    }

    /// The acknowledgements are fixed.
    pub(crate) fn close(self, acks: Vec<Signed<Ack>>, desk: &Desk) -> Reveal {
        Reveal::open(self.survived, acks, desk)
    }

    /// A member's acknowledgement.
    pub(crate) fn on_ack(
        &self,
        from: &Member,
        ack: Signed<Ack>,
    ) -> Result<Option<CoordinatorRecord>, Misbehaviour> {
        let ack = ack
            .verify(&from.key)
            .map_err(|_| Misbehaviour::Signature("acknowledgement"))?;
        if ack.seat != from.seat || !self.survived.survivors.contains(from.seat) {
            return Err(Misbehaviour::Stranger(ack.seat, "acknowledgement"));
        }
        if *ack != self.survived.ack_of(from.seat) {
            return Err(Misbehaviour::Acks("another survivor set than ours"));
        }
        if self.acks.contains_key(&from.seat) {
            return Ok(None);
        }
        Ok(Some(CoordinatorRecord::Ack(ack.into_signed())))
    }

    fn answers<'a>(&'a self, nobody: &'a BTreeSet<Seat>) -> Answers<'a> {
        Answers {
            expected: &self.survived.survivors,
            given: self.acks.keys().copied().collect(),
            withdrawn: nobody,
            needed: usize::from(self.survived.round.terms.threshold),
            deadline: self.deadline,
        }
    }
}

impl Stage for Acknowledgement {
    fn step(&self) -> (&'static str, u8) {
        ("acknowledgement", 0)
    }

    fn ends(&self, desk: &Desk) -> Option<Time> {
        Some(self.answers(&BTreeSet::new()).ends(desk))
    }

    /// Too few are waited for until the deadline, however few are here: giving up burns a round.
    fn conclude(&self, desk: &mut Desk) -> Option<CoordinatorRecord> {
        if desk.now < self.ends(desk)? {
            return None;
        }
        if self.acks.len() < usize::from(self.survived.round.terms.threshold) {
            return Some(self.survived.round.abandoned(desk.now, Cause::Acks));
        }
        let acks = self.acks.values().cloned().collect();
        Some(CoordinatorRecord::Acknowledged(acks))
    }

    fn nudge(&self, to: &Member, desk: &mut Desk) {
        if self.survived.survivors.contains(to.seat) && !self.acks.contains_key(&to.seat) {
            desk.out.send(to.id, self.survived.told());
        }
    }

    fn round(&self) -> Option<&Round> {
        Some(&self.survived.round)
    }
}
