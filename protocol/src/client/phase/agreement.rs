//! Agreement: the keys of an epoch, E0 to E3 (PROTOCOL.md §3). The roster is governed here: a
//! coordinator cannot seat whom it likes. What comes of it is a [`Keyring`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crypto::{AgreementKey, Chain, Digest, MlkemSecret, PublicBundle};

use crate::blame::{Misbehaviour, Refusal};
use crate::bucket;
use crate::client::bank::{Bank, blame};
use crate::client::keyring::{Keyring, Member, Pair, Said, Seating};
use crate::client::phase::Phase;
use crate::client::phase::rest::Rest;
use crate::client::{Client, Objection};
use crate::credential::Role;
use crate::event::ClientEvent;
use crate::id::{EpochId, Seat};
use crate::limits::MEMBERS_MAX;
use crate::masking;
use crate::message::{Bundles, Encapsulation, Incoming, KeyBundle, Roster, ToCoordinator};
use crate::party::Outbox;
use crate::record::ClientRecord;
use crate::signed::Signed;
use crate::time::Time;

/// A key agreement under way. Holds the epoch's private key; both go with it.
pub(crate) struct Agreement {
    epoch: EpochId,
    root: Digest,
    members: Vec<Member>,
    seat: Seat,
    key: AgreementKey,
    bundle: Box<Signed<KeyBundle>>,
    exchange: Option<Exchange>,
}

/// The second half: everybody's keys are in.
struct Exchange {
    bundles: Vec<Signed<KeyBundle>>,
    encapsulations: Vec<Signed<Encapsulation>>,
    /// Keys with the seats above, to whom we encapsulated.
    pairs: BTreeMap<Seat, Pair>,
}

impl Agreement {
    /// Checks a roster, and if it stands, sends this bank's keys for it.
    pub(crate) fn open(
        now: Time,
        roster: &Signed<Roster>,
        bank: &mut Bank,
        out: &mut Outbox<Client>,
    ) -> Result<Self, Objection> {
        let (members, seat) = check_roster(now, roster, bank)?;
        let Roster { epoch, .. } = *roster.unverified();
        let root = roster.unverified().root();
        let seed = bank.draw();
        let key = AgreementKey::generate(&seed.derive("agreement", 0));
        let nonce = seed.bytes32("bundle nonce", 0);
        let body = KeyBundle {
            epoch,
            roster: root,
            seat,
            keys: key.public(),
            nonce,
        };
        let bundle = Box::new(Signed::sign(body, &bank.identity.key));
        // Until the keys are agreed, the governing roster stays the one before.
        let governors = bank.memory.governors().to_vec();
        bank.persist(ClientRecord::EpochJoined(epoch, root, governors), out);
        out.send((), ToCoordinator::KeyBundle(bundle.clone()));
        Ok(Self {
            epoch,
            root,
            members,
            seat,
            key,
            bundle,
            exchange: None,
        })
    }

    /// Whether this agreement is about that epoch.
    pub(crate) fn epoch(&self) -> EpochId {
        self.epoch
    }

    /// E0 again: the same keys again. Another roster for the same epoch is two faces.
    pub(crate) fn on_roster_again(&self, roster: &Roster, out: &mut Outbox<Client>) {
        if roster.root() == self.root {
            out.send((), ToCoordinator::KeyBundle(self.bundle.clone()));
        } else {
            blame(Misbehaviour::Equivocation("roster"), out);
        }
    }

    /// E2: checks everybody's keys and encapsulates to every seat above.
    pub(crate) fn on_bundles(
        mut self,
        bundles: Bundles,
        bank: &mut Bank,
        out: &mut Outbox<Client>,
    ) -> Phase {
        if bundles.epoch != self.epoch {
            return Phase::Agreement(self);
        }
        if let Some(exchange) = &self.exchange {
            if exchange.bundles == bundles.bundles {
                let again = exchange.encapsulations.clone();
                out.send((), ToCoordinator::Encapsulations(again));
            } else {
                blame(Misbehaviour::Equivocation("key bundles"), out);
            }
            return Phase::Agreement(self);
        }
        match self.exchange(bundles.bundles, bank) {
            Ok(exchange) => {
                let first = exchange.encapsulations.clone();
                out.send((), ToCoordinator::Encapsulations(first));
                self.exchange = Some(exchange);
            }
            Err(misbehaviour) => blame(misbehaviour, out),
        }
        Phase::Agreement(self)
    }

    fn exchange(
        &self,
        bundles: Vec<Signed<KeyBundle>>,
        bank: &mut Bank,
    ) -> Result<Exchange, Misbehaviour> {
        self.check_bundles(&bundles)?;
        let seed = bank.draw();
        let mut pairs = BTreeMap::new();
        let mut encapsulations = Vec::new();
        let above = bundles
            .iter()
            .skip(usize::from(self.seat.0).saturating_add(1));
        for peer in above.map(Signed::unverified) {
            let failed = |_| Misbehaviour::Agreement(peer.seat);
            let chance = seed.derive("encapsulation", u64::from(peer.seat.0));
            let (ciphertext, secret) = self.key.encapsulate(&peer.keys, &chance).map_err(failed)?;
            pairs.insert(
                peer.seat,
                self.pair(peer.seat, &peer.keys, &ciphertext, &secret)?,
            );
            let body = Encapsulation {
                epoch: self.epoch,
                roster: self.root,
                from: self.seat,
                to: peer.seat,
                ciphertext,
            };
            encapsulations.push(Signed::sign(body, &bank.identity.key));
        }
        Ok(Exchange {
            bundles,
            encapsulations,
            pairs,
        })
    }

    /// Every member's own signature over the roster must be there: these signatures are the
    /// roster's governance, and with [`check_governors`] a majority of the last roster's members
    /// is among them.
    fn check_bundles(&self, bundles: &[Signed<KeyBundle>]) -> Result<(), Misbehaviour> {
        bounded("key bundles", bundles.len(), self.members.len())?;
        for ((seat, member), bundle) in (0..).map(Seat).zip(&self.members).zip(bundles) {
            let body = bundle.unverified();
            if (body.epoch, body.roster, body.seat) != (self.epoch, self.root, seat) {
                return Err(Misbehaviour::Context("key bundle"));
            }
            let verified = bundle.clone().verify(&member.key);
            verified.map_err(|_| Misbehaviour::Signature("key bundle"))?;
        }
        if bundles.get(usize::from(self.seat.0)) != Some(&*self.bundle) {
            return Err(Misbehaviour::Equivocation("key bundle of ours"));
        }
        Ok(())
    }

    /// E3: opens what the seats below encapsulated; the epoch's keys are complete.
    pub(crate) fn on_encapsulations(
        mut self,
        incoming: &Incoming,
        bank: &mut Bank,
        out: &mut Outbox<Client>,
    ) -> Phase {
        if incoming.epoch != self.epoch {
            return Phase::Agreement(self);
        }
        // Before E2, this is early: the coordinator repeats it.
        let Some(mut exchange) = self.exchange.take() else {
            return Phase::Agreement(self);
        };
        match self.pairs_below(&incoming.encapsulations, &exchange.bundles) {
            Ok(pairs) => {
                exchange.pairs.extend(pairs);
                self.complete(exchange, bank, out)
            }
            Err(misbehaviour) => {
                blame(misbehaviour, out);
                self.exchange = Some(exchange);
                Phase::Agreement(self)
            }
        }
    }

    fn pairs_below(
        &self,
        encapsulations: &[Signed<Encapsulation>],
        bundles: &[Signed<KeyBundle>],
    ) -> Result<BTreeMap<Seat, Pair>, Misbehaviour> {
        bounded(
            "encapsulations",
            encapsulations.len(),
            usize::from(self.seat.0),
        )?;
        let peers = (0..).map(Seat).zip(&self.members).zip(bundles);
        let mut pairs = BTreeMap::new();
        for (((from, member), bundle), encapsulation) in peers.zip(encapsulations) {
            let body = encapsulation.unverified();
            if (body.epoch, body.roster) != (self.epoch, self.root)
                || (body.from, body.to) != (from, self.seat)
            {
                return Err(Misbehaviour::Context("encapsulation"));
            }
            let verified = encapsulation.clone().verify(&member.key);
            verified.map_err(|_| Misbehaviour::Signature("encapsulation"))?;
            let secret = self.key.decapsulate(&body.ciphertext);
            let secret = secret.map_err(|_| Misbehaviour::Agreement(from))?;
            let keys = &bundle.unverified().keys;
            pairs.insert(from, self.pair(from, keys, &body.ciphertext, &secret)?);
        }
        Ok(pairs)
    }

    fn pair(
        &self,
        peer: Seat,
        keys: &PublicBundle,
        ciphertext: &[u8],
        secret: &MlkemSecret,
    ) -> Result<Pair, Misbehaviour> {
        let ours = self.key.public();
        let (lower, upper) = if self.seat < peer {
            (&ours, keys)
        } else {
            (keys, &ours)
        };
        let salt = masking::agreement_salt(&self.root, self.epoch);
        let pair = self
            .key
            .pair_key(lower, upper, keys, ciphertext, secret, &salt)
            .map_err(|_| Misbehaviour::Agreement(peer))?;
        Ok(Pair {
            chain: Chain::start(&pair),
            handover: bucket::handover_key(&pair),
        })
    }

    fn complete(self, exchange: Exchange, bank: &mut Bank, out: &mut Outbox<Client>) -> Phase {
        let members = u16::try_from(self.members.len()).expect("a roster is below MEMBERS_MAX");
        let governors = self.members.iter().map(|member| member.id).collect();
        bank.persist(
            ClientRecord::EpochJoined(self.epoch, self.root, governors),
            out,
        );
        let nonces = exchange
            .bundles
            .iter()
            .map(|bundle| bundle.unverified().nonce)
            .collect();
        let seating = Arc::new(Seating {
            epoch: self.epoch,
            root: self.root,
            members: self.members,
            nonces,
        });
        bank.keep_seating(Arc::clone(&seating));
        let said = Said {
            bundle: self.bundle,
            encapsulations: exchange.encapsulations,
        };
        let keyring = Keyring::new(seating, self.seat, exchange.pairs, said);
        out.report(ClientEvent::EpochAgreed(self.epoch, members));
        bank.check_in(Some(&keyring), out);
        Phase::Rest(Rest::new(Some(keyring)))
    }
}

/// Everything a roster must be before this bank's keys are made for it (secagg.md §3.2, A3).
fn check_roster(
    now: Time,
    roster: &Signed<Roster>,
    bank: &mut Bank,
) -> Result<(Vec<Member>, Seat), Objection> {
    let body = roster.unverified();
    let found = body.members.len();
    if found > MEMBERS_MAX {
        let (found, allowed) = (found as u64, MEMBERS_MAX as u64);
        return Err(Misbehaviour::Oversized("roster", found, allowed).into());
    }
    let key = bank
        .coordinator
        .as_ref()
        .expect("nothing is heard before the coordinator is known");
    roster
        .clone()
        .verify(key)
        .map_err(|_| Misbehaviour::Signature("roster"))?;
    if Some(body.epoch) <= bank.memory.epoch() {
        let again = format!("epoch {} was used before", body.epoch.0);
        return Err(Refusal::Roster(again).into());
    }
    let members = admit_members(now, body, bank)?;
    let refused = |why| Misbehaviour::Roster(body.epoch, why);
    if !members.is_sorted_by(|a, b| a.id < b.id) {
        return Err(refused("members are not ascending by identity").into());
    }
    let ours = Member {
        id: bank.id(),
        key: bank.identity.key.verify_key(),
    };
    let seat = members.iter().position(|member| *member == ours);
    let seat = seat.ok_or_else(|| refused("leaves us out"))?;
    let seat = Seat(u16::try_from(seat).expect("a roster is below MEMBERS_MAX"));
    check_governors(body.epoch, &members, bank)?;
    Ok((members, seat))
}

/// The members whose credentials hold: banks of this consortium, one seat per entity and key.
fn admit_members(now: Time, roster: &Roster, bank: &mut Bank) -> Result<Vec<Member>, Misbehaviour> {
    let (authority, seen) = (bank.identity.authority, &mut bank.seen);
    let refused = |why| Misbehaviour::Roster(roster.epoch, why);
    let mut names = BTreeSet::new();
    let mut keys = BTreeSet::new();
    let mut members = Vec::with_capacity(roster.members.len());
    for credential in &roster.members {
        let admitted = authority.admit_again(credential, Role::Bank, now, seen);
        let admitted = admitted.map_err(|error| Misbehaviour::Credential(error.to_string()))?;
        if !names.insert(admitted.name.clone()) {
            return Err(refused("seats one entity twice"));
        }
        if !keys.insert(admitted.key) {
            return Err(refused("seats one key twice"));
        }
        members.push(Member {
            id: admitted.id,
            key: admitted.key,
        });
    }
    Ok(members)
}

/// A majority of the last agreed roster's members must sit in this one, where each will sign it;
/// and no more may join than this institution accepts. The first roster has no predecessor.
fn check_governors(epoch: EpochId, members: &[Member], bank: &Bank) -> Result<(), Objection> {
    let governors = bank.memory.governors();
    if governors.is_empty() {
        return Ok(());
    }
    let stays = members
        .iter()
        .filter(|member| governors.contains(&member.id))
        .count();
    if stays * 2 <= governors.len() {
        let why = "lacks a majority of the last roster's members";
        return Err(Misbehaviour::Roster(epoch, why).into());
    }
    bank.policy.check_joins(members.len() - stays)?;
    Ok(())
}

/// Whether a list has exactly the length it must have.
fn bounded(what: &'static str, found: usize, expected: usize) -> Result<(), Misbehaviour> {
    if found > expected {
        return Err(Misbehaviour::Oversized(what, found as u64, expected as u64));
    }
    if found < expected {
        return Err(Misbehaviour::Malformed(
            what,
            "fewer than the seats they come from",
        ));
    }
    Ok(())
}
