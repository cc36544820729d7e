//! Agreement: the banks of a roster agree on pair keys, once per epoch (E0 to E3, PROTOCOL.md §3).
//! We carry public keys and ciphertexts between them, signed by their senders, and learn no key.
//! Everybody must be there for each half; with somebody missing the epoch is given up, and the
//! next one is tried without the absent.

use std::collections::{BTreeMap, BTreeSet};

use crypto::Digest;
use crypto::agreement::{CIPHERTEXT_BYTES, MLKEM_KEY_BYTES};

use crate::blame::Misbehaviour;
use crate::coordinator::desk::Desk;
use crate::coordinator::epoch::{Epoch, Member, Members};
use crate::coordinator::phase::Stage;
use crate::event::CoordinatorEvent;
use crate::id::{EpochId, Seat};
use crate::message::{Bundles, Declined, Encapsulation, Incoming, KeyBundle, Roster, ToClient};
use crate::record::CoordinatorRecord;
use crate::signed::Signed;
use crate::time::{Duration, Time};

/// The banks of a roster agree on keys.
pub(crate) struct Agreement {
    epoch: EpochId,
    root: Digest,
    roster: Signed<Roster>,
    members: Members,
    bundles: BTreeMap<Seat, Signed<KeyBundle>>,
    encapsulations: BTreeMap<Seat, Vec<Signed<Encapsulation>>>,
    refused: BTreeSet<Seat>,
    span: Duration,
    deadline: Time,
}

/// What is still missing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Half {
    Bundles,
    Encapsulations,
    /// Nothing but everybody's word that it holds the keys.
    Word,
}

impl Agreement {
    /// A roster is offered. The epoch in force ends with that: its members may have let go of it.
    pub(crate) fn open(roster: Signed<Roster>, desk: &mut Desk) -> Self {
        let body = roster.unverified();
        for credential in &body.members {
            // After a restart the roster is all that is known of its members.
            let authority = desk.identity.authority;
            let admitted = desk.seen.verify(credential.clone(), &authority.0);
            let enrolled = admitted.map(|credential| desk.registry.enrol(desk.now, credential));
            debug_assert!(
                matches!(enrolled, Ok(Ok(()))),
                "a roster of ours is admissible"
            );
        }
        desk.epoch = None;
        desk.epochs = body.epoch;
        let front = desk
            .plans
            .front()
            .map(|adopted| adopted.plan().deadlines.agreement);
        let span = front.unwrap_or(Duration(0));
        Self {
            epoch: body.epoch,
            root: body.root(),
            members: Members::of(body),
            bundles: BTreeMap::new(),
            encapsulations: BTreeMap::new(),
            refused: BTreeSet::new(),
            deadline: desk.now.after(span),
            span,
            roster,
        }
    }

    /// E1 came in.
    pub(crate) fn with_bundle(
        mut self: Box<Self>,
        bundle: Signed<KeyBundle>,
        desk: &Desk,
    ) -> Box<Self> {
        self.bundles.insert(bundle.unverified().seat, bundle);
        if self.bundles.len() == self.members.len() {
            self.deadline = desk.now.after(self.span);
        }
        self
    }

    /// E2 came in.
    pub(crate) fn with_encapsulations(
        mut self: Box<Self>,
        list: Vec<Signed<Encapsulation>>,
        desk: &mut Desk,
    ) -> Box<Self> {
        if let Some(first) = list.first() {
            self.encapsulations.insert(first.unverified().from, list);
        }
        if self.half() == Half::Word {
            self.deadline = desk.now.after(self.span);
            // From here on members complete the keys, and remember how many they are.
            let seated = u16::try_from(self.members.len()).unwrap_or(u16::MAX);
            desk.seated_most = desk.seated_most.max(seated);
        }
        self
    }

    /// Everybody holds the keys.
    pub(crate) fn agree(self, desk: &mut Desk) {
        let members = self.members;
        let count = u16::try_from(members.len()).unwrap_or(u16::MAX);
        desk.out
            .report(CoordinatorEvent::EpochAgreed(self.epoch, count));
        desk.registry.seat(members.iter().map(|member| member.id));
        desk.plans.forget_declined();
        desk.burnt = 0;
        let nonces = self
            .bundles
            .values()
            .map(|bundle| bundle.unverified().nonce);
        desk.epoch = Some(Epoch::new(self.epoch, self.root, members, nonces.collect()));
    }

    /// The agreement is given up.
    pub(crate) fn abandon(self, desk: &mut Desk) {
        desk.out
            .report(CoordinatorEvent::EpochAbandoned(self.epoch));
    }

    pub(crate) fn members(&self) -> &Members {
        &self.members
    }

    /// A member's keys.
    pub(crate) fn on_key_bundle(
        &self,
        from: &Member,
        bundle: Signed<KeyBundle>,
    ) -> Result<Option<CoordinatorRecord>, Misbehaviour> {
        let body = bundle.unverified();
        if body.epoch < self.epoch {
            return Ok(None);
        }
        if body.epoch > self.epoch || body.roster != self.root {
            return Err(Misbehaviour::Context("key bundle"));
        }
        if body.seat != from.seat {
            return Err(Misbehaviour::Stranger(body.seat, "key bundle"));
        }
        if body.keys.mlkem.len() != MLKEM_KEY_BYTES {
            return Err(Misbehaviour::Malformed(
                "key bundle",
                "length of the ML-KEM key",
            ));
        }
        let bundle = bundle
            .verify(&from.key)
            .map_err(|_| Misbehaviour::Signature("key bundle"))?;
        match self.bundles.get(&from.seat) {
            Some(first) if first.unverified() == &*bundle => Ok(None),
            Some(_) => Err(Misbehaviour::Equivocation("key bundle")),
            None => Ok(Some(CoordinatorRecord::KeyBundle(bundle.into_signed()))),
        }
    }

    /// A member's encapsulations, one for every seat above it. The highest seat has none to give:
    /// its empty list is no news.
    pub(crate) fn on_encapsulations(
        &self,
        from: &Member,
        list: Vec<Signed<Encapsulation>>,
    ) -> Result<Option<CoordinatorRecord>, Misbehaviour> {
        let Some(first) = list.first() else {
            return Ok(None);
        };
        let epoch = first.unverified().epoch;
        if epoch < self.epoch {
            return Ok(None);
        }
        if epoch > self.epoch {
            return Err(Misbehaviour::Context("encapsulations"));
        }
        if self.half() == Half::Bundles {
            return Err(Misbehaviour::OutOfOrder("encapsulations"));
        }
        self.check_encapsulations(from, &list)?;
        match self.encapsulations.get(&from.seat) {
            Some(known) if *known == list => Ok(None),
            Some(_) => Err(Misbehaviour::Equivocation("list of encapsulations")),
            None => Ok(Some(CoordinatorRecord::Encapsulations(list))),
        }
    }

    /// A member refuses the roster; whether it means this one.
    pub(crate) fn on_declined(&mut self, from: &Member, said: &Declined) -> bool {
        let is_ours = said.round.is_none() && said.epoch == self.epoch;
        if is_ours {
            self.refused.insert(from.seat);
        }
        is_ours
    }

    fn check_encapsulations(
        &self,
        from: &Member,
        list: &[Signed<Encapsulation>],
    ) -> Result<(), Misbehaviour> {
        let above = usize::from(from.seat.0) + 1;
        if list.len() + above != self.members.len() {
            return Err(Misbehaviour::Malformed(
                "encapsulations",
                "one for every seat above",
            ));
        }
        for (member, signed) in self.members.iter().skip(above).zip(list) {
            let body = signed.unverified();
            if (body.epoch, body.roster) != (self.epoch, self.root) {
                return Err(Misbehaviour::Context("encapsulation"));
            }
            if body.from != from.seat || body.to != member.seat {
                return Err(Misbehaviour::Stranger(body.to, "encapsulations"));
            }
            if body.ciphertext.len() != CIPHERTEXT_BYTES {
                return Err(Misbehaviour::Malformed(
                    "encapsulation",
                    "length of the ciphertext",
                ));
            }
            signed
                .clone()
                .verify(&from.key)
                .map_err(|_| Misbehaviour::Signature("encapsulation"))?;
        }
        Ok(())
    }

    fn half(&self) -> Half {
        if self.bundles.len() < self.members.len() {
            return Half::Bundles;
        }
        // The highest seat has nobody above it.
        if self.encapsulations.len() + 1 < self.members.len() {
            return Half::Encapsulations;
        }
        Half::Word
    }

    /// Whom this half still lacks.
    fn missing(&self, desk: &Desk) -> Vec<Member> {
        let half = self.half();
        let lacks = |member: &&Member| {
            self.refused.contains(&member.seat)
                || match half {
                    Half::Bundles => !self.bundles.contains_key(&member.seat),
                    Half::Encapsulations => {
                        let is_highest = usize::from(member.seat.0) + 1 == self.members.len();
                        !is_highest && !self.encapsulations.contains_key(&member.seat)
                    }
                    Half::Word => !desk.registry.holds(member.id, (self.epoch, self.root)),
                }
        };
        self.members.iter().filter(lacks).cloned().collect()
    }

    /// E3 for one member.
    fn incoming(&self, to: Seat) -> ToClient {
        let mine = |list: &Vec<Signed<Encapsulation>>| {
            let found = list.iter().find(|signed| signed.unverified().to == to);
            found.cloned()
        };
        ToClient::Encapsulations(Box::new(Incoming {
            epoch: self.epoch,
            encapsulations: self.encapsulations.values().filter_map(mine).collect(),
        }))
    }

    fn all_bundles(&self) -> ToClient {
        ToClient::Bundles(Box::new(Bundles {
            epoch: self.epoch,
            bundles: self.bundles.values().cloned().collect(),
        }))
    }
}

impl Stage for Agreement {
    fn step(&self) -> (&'static str, u8) {
        let half = match self.half() {
            Half::Bundles => 0,
            Half::Encapsulations => 1,
            Half::Word => 2,
        };
        ("agreement", half)
    }

    /// The deadline, or sooner: everybody is needed, so one that will not come back ends it.
    fn ends(&self, desk: &Desk) -> Option<Time> {
        let missing = self.missing(desk);
        let waits = missing.iter().map(|member| {
            if self.refused.contains(&member.seat) {
                return Time(0);
            }
            desk.registry.waits_until(member.id)
        });
        Some(waits.fold(self.deadline, Time::min))
    }

    fn conclude(&self, desk: &mut Desk) -> Option<CoordinatorRecord> {
        if self.half() == Half::Word && self.missing(desk).is_empty() {
            return Some(CoordinatorRecord::EpochAgreed(self.epoch));
        }
        if desk.now < self.ends(desk)? {
            return None;
        }
        // Who is here and did not answer sits out for a while, so that the others can agree.
        let missing = self.missing(desk);
        for member in missing {
            if desk.registry.is_here(member.id) {
                desk.registry.set_aside(member.id, desk.now);
            }
        }
        Some(CoordinatorRecord::EpochAbandoned(self.epoch))
    }

    fn nudge(&self, to: &Member, desk: &mut Desk) {
        if self.refused.contains(&to.seat) {
            return;
        }
        let is_highest = usize::from(to.seat.0) + 1 == self.members.len();
        match self.half() {
            Half::Bundles if !self.bundles.contains_key(&to.seat) => {
                let roster = Box::new(self.roster.clone());
                desk.out.send(to.id, ToClient::Roster(roster));
            }
            Half::Encapsulations if !self.encapsulations.contains_key(&to.seat) => {
                desk.out.send(to.id, self.all_bundles());
            }
            Half::Word if !desk.registry.holds(to.id, (self.epoch, self.root)) => {
                // Nothing shows that the highest seat ever got the bundles.
                if is_highest {
                    desk.out.send(to.id, self.all_bundles());
                }
                desk.out.send(to.id, self.incoming(to.seat));
            }
            Half::Bundles | Half::Encapsulations | Half::Word => {}
        }
    }
}
