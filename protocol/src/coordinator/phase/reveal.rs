//! Reveal: the survivors open what takes the masks off, and the sum comes out (M6 out, M7 in, M8;
//! PROTOCOL.md §5). Every share is held against its digest when it comes, so a liar is known and
//! left out; what the shares open is held against what its owner signed (`reveal/opening.rs`).
//! The only place a sum is made.

use std::collections::BTreeMap;
use std::sync::Arc;

use crypto::{Scalar, mask};

use crate::blame::Misbehaviour;
use crate::coordinator::audits::Kept;
use crate::coordinator::desk::Desk;
use crate::coordinator::epoch::Member;
use crate::coordinator::phase::Stage;
use crate::coordinator::round::Round;
use crate::coordinator::survived::Survived;
use crate::id::{Seat, Seats};
use crate::masking::{self, SecretKind};
use crate::message::{self, Ack, AckBundle, Cause, RoundOutcome, RoundResult, ToClient};
use crate::opened::Opened;
use crate::record::CoordinatorRecord;
use crate::signed::Signed;
use crate::time::Time;
use crate::vector;

mod opening;

/// Reveals come in.
pub(crate) struct Reveal {
    survived: Survived,
    acks: Vec<Signed<Ack>>,
    reveals: BTreeMap<Seat, message::Reveal>,
    /// What they open, once they are a threshold; or whose escrows do not.
    opened: Option<Result<Opened, Seats>>,
    deadline: Time,
}

impl Reveal {
    /// The acknowledgements are fixed.
    pub(crate) fn open(survived: Survived, acks: Vec<Signed<Ack>>, desk: &Desk) -> Self {
        let span = survived.round.deadlines().reveal;
        Self {
            deadline: survived.round.deadline(desk.now, span),
            survived,
            acks,
            reveals: BTreeMap::new(),
            opened: None,
        }
    }

    /// M7 came in. With t of them the secrets open. Where a dealer cheated they may not: then more
    /// reveals, which bring pair keys from the second source, may help.
    pub(crate) fn with(mut self: Box<Self>, reveal: Signed<message::Reveal>) -> Box<Self> {
        let reveal = reveal.unverified().clone();
        self.reveals.insert(reveal.seat, reveal);
        let is_enough = self.reveals.len() >= usize::from(self.survived.round.terms.threshold);
        if is_enough && !matches!(self.opened, Some(Ok(_))) {
            self.opened = Some(opening::open(&self.survived, &self.reveals));
        }
        self
    }

    /// What auditors are told of the sum, once it is committed.
    pub(crate) fn into_kept(self) -> Option<Kept> {
        let opened = self.opened?.ok()?;
        Some(Kept::new(self.survived, opened))
    }

    /// A member's reveal.
    pub(crate) fn on_reveal(
        &self,
        from: &Member,
        reveal: Signed<message::Reveal>,
    ) -> Result<Option<CoordinatorRecord>, Misbehaviour> {
        let reveal = reveal
            .verify(&from.key)
            .map_err(|_| Misbehaviour::Signature("reveal"))?;
        if reveal.seat != from.seat || !self.survived.survivors.contains(from.seat) {
            return Err(Misbehaviour::Stranger(reveal.seat, "reveal"));
        }
        if let Some(first) = self.reveals.get(&from.seat) {
            let answer = if first == &*reveal { Ok(None) } else { Err(()) };
            return answer.map_err(|()| Misbehaviour::Equivocation("reveal"));
        }
        let absent = self.survived.absent();
        if reveal.self_shares.len() != self.survived.survivors.len()
            || reveal.escrow_shares.len() != absent.len()
            || reveal.pair_keys.len() != absent.len()
        {
            return Err(Misbehaviour::Malformed(
                "reveal",
                "number of shares or keys",
            ));
        }
        let survivors = &self.survived.survivors;
        self.check_shares(
            from.seat,
            SecretKind::SelfMask,
            survivors,
            &reveal.self_shares,
        )?;
        self.check_shares(
            from.seat,
            SecretKind::Escrow,
            &absent,
            &reveal.escrow_shares,
        )?;
        self.check_pair_keys(&reveal, &absent)?;
        Ok(Some(CoordinatorRecord::Reveal(reveal.into_signed())))
    }

    /// Each share against the digest that its dealer signed (hb, hr).
    fn check_shares(
        &self,
        holder: Seat,
        kind: SecretKind,
        dealers: &Seats,
        shares: &[Scalar],
    ) -> Result<(), Misbehaviour> {
        let context = &self.survived.round.context;
        let place = self
            .survived
            .round
            .cohort()
            .iter()
            .position(|seat| seat == holder);
        for (dealer, share) in dealers.iter().zip(shares) {
            let escrow = self.survived.escrows.get(&dealer);
            let digests = escrow.and_then(|escrow| escrow.share_digests.get(place?));
            let digest = digests.map(|digests| match kind {
                SecretKind::SelfMask => digests.self_share,
                SecretKind::Escrow => digests.escrow_share,
            });
            let found = masking::share_digest(kind, context, dealer, holder, share);
            if digest != Some(found) {
                return Err(Misbehaviour::Share(dealer));
            }
        }
        Ok(())
    }

    /// Each pair key against what its revealer committed to before anything was masked.
    fn check_pair_keys(
        &self,
        reveal: &message::Reveal,
        absent: &Seats,
    ) -> Result<(), Misbehaviour> {
        for (seat, &key) in absent.iter().zip(&reveal.pair_keys) {
            let committed = self.survived.commitment(reveal.seat, seat);
            let found = key.map(|key| masking::commitment(&crypto::Key::from_bytes(key)));
            if found != committed {
                return Err(Misbehaviour::Commitment(seat));
            }
        }
        Ok(())
    }

    /// The masks are off: the sum, if it can be one, and the record that commits it.
    fn commit(&self, opened: &Opened, desk: &Desk) -> CoordinatorRecord {
        let Survived {
            round,
            escrowed,
            survivors,
            masked,
            sum,
            ..
        } = &self.survived;
        let manifest = round.manifest();
        let mut words = sum.clone();
        let masks = opened.masks(&round.context, |seat| self.survived.nonce(seat).copied());
        mask::apply_all_by(desk.settings.workers, &masks, &mut words);
        let (count, bits) = (survivors.len(), manifest.value_bits);
        let sum = vector::decode_sum(&words, count, bits, round.kind(), round.width());
        let Ok(sum) = sum else {
            return round.abandoned(desk.now, Cause::Sum);
        };
        let outcome = RoundOutcome {
            context: round.context,
            round: manifest.round,
            sequence: desk.ledger.length() + 1,
            previous: desk.ledger.head(),
            escrowed: masking::seats_digest(escrowed),
            survivors: masking::seats_digest(survivors),
            masked: *masked,
            revealed: opened.digest(),
            sum: vector::sum_root(&sum),
        };
        let result = RoundResult {
            outcome: Signed::sign(outcome, &desk.identity.key),
            // Signed again, since our key may be another than when the round opened.
            manifest: Signed::sign(manifest.clone(), &desk.identity.key),
            plan: round.plan.clone(),
            acks: self.acks.clone(),
            survivors: survivors.clone(),
            sum,
        };
        // A model that would leave the numbers shows only when it is stepped, and payments below
        // zero only beside the plan's buckets.
        if desk.ledger.clone().apply(&result).is_err() {
            return round.abandoned(desk.now, Cause::Sum);
        }
        CoordinatorRecord::Committed(desk.now, Arc::new(result))
    }
}

impl Stage for Reveal {
    fn step(&self) -> (&'static str, u8) {
        ("reveal", 0)
    }

    fn ends(&self, _desk: &Desk) -> Option<Time> {
        Some(self.deadline)
    }

    fn conclude(&self, desk: &mut Desk) -> Option<CoordinatorRecord> {
        let round = &self.survived.round;
        if let Some(Ok(opened)) = &self.opened {
            return Some(self.commit(opened, desk));
        }
        let is_complete = self.reveals.len() == self.survived.survivors.len();
        if !is_complete && desk.now < self.deadline {
            return None;
        }
        let cheats = self.opened.iter().flat_map(|opened| opened.as_ref().err());
        for seat in cheats.flat_map(Seats::iter) {
            if let Some(member) = round.members.at(seat).cloned() {
                desk.blame_and_set_aside(&member, Misbehaviour::Share(seat));
            }
        }
        Some(round.abandoned(desk.now, Cause::Reveals))
    }

    fn nudge(&self, to: &Member, desk: &mut Desk) {
        if !self.survived.survivors.contains(to.seat) || self.reveals.contains_key(&to.seat) {
            return;
        }
        // Who was missed may still help to reveal, once it has seen the survivors.
        if !self.acks.iter().any(|ack| ack.unverified().seat == to.seat) {
            desk.out.send(to.id, self.survived.told());
        }
        let bundle = AckBundle {
            context: self.survived.round.context,
            acks: self.acks.clone(),
        };
        desk.out.send(to.id, ToClient::Acks(Box::new(bundle)));
    }

    fn round(&self) -> Option<&Round> {
        Some(&self.survived.round)
    }
}
