//! Handing the banks' bucket key over: drawn by one bank, sealed for those that lack it, opened
//! here (PROTOCOL.md §3). Between attempts alone, so that no attempt counts under a key that is
//! exchanged meanwhile. Until a result stands under a key it is exchanged for the one that is
//! handed over; from then on the ledger names the only one that is taken.

use crate::blame::Misbehaviour;
use crate::bucket::{BucketKey, Passage};
use crate::client::bank::{Bank, blame};
use crate::client::keyring::Keyring;
use crate::client::{Client, Task};
use crate::event::ClientEvent;
use crate::id::{Seat, Seats};
use crate::message::{Handover, KeyComplaint, SealedKey, ToCoordinator};
use crate::party::Outbox;
use crate::signed::Signed;

/// Others lack the key: seals it for each of them. Draws one where there is none to be had: this
/// bank holds none, and no result stands under any.
pub(crate) fn on_handover(
    said: &Handover,
    keyring: &Keyring,
    bank: &mut Bank,
    out: &mut Outbox<Client>,
) {
    if said.epoch != keyring.seating.epoch || !bank.takes_part_in_risk() {
        return;
    }
    if said.roster != keyring.seating.root {
        return blame(Misbehaviour::Context("handover"), out);
    }
    if let Err(misbehaviour) = check_receivers(&said.to, keyring) {
        return blame(misbehaviour, out);
    }
    if bank.bucket_key().is_none() {
        if bank.ledger.bucket_key().is_none() {
            let drawn = bank.draw().bytes32("bucket key", 0);
            keep(BucketKey::new(&bank.session(), drawn), bank, out);
        }
        bank.check_in(Some(keyring), out);
    }
    if let Some(key) = bank.bucket_key()
        && !said.to.is_empty()
    {
        let sealed = said.to.iter().map(|to| seal(key, to, keyring, bank));
        out.send((), ToCoordinator::SealedKeys(sealed.collect()));
    }
}

/// The key comes from another member. What is wrong with it is its sender's fault: the seal binds
/// the two of us, and everything outside it is signed.
pub(crate) fn on_sealed_key(
    said: &Signed<SealedKey>,
    keyring: &Keyring,
    bank: &mut Bank,
    out: &mut Outbox<Client>,
) {
    let body = said.unverified();
    let seating = &keyring.seating;
    if body.epoch != seating.epoch || !bank.takes_part_in_risk() {
        return;
    }
    if body.roster != seating.root || body.to != keyring.seat {
        return blame(Misbehaviour::Context("sealed bucket key"), out);
    }
    let sender = seating.key(body.from).zip(keyring.handover_key(body.from));
    let Some((verify_key, pair)) = sender else {
        return blame(Misbehaviour::Stranger(body.from, "sealed bucket key"), out);
    };
    if said.clone().verify(verify_key).is_err() {
        return blame(Misbehaviour::Signature("sealed bucket key"), out);
    }
    let ledgers = bank.ledger.bucket_key();
    let is_held = bank
        .bucket_key()
        .is_some_and(|key| key.commitment() == body.commitment);
    // One that a later result has overtaken is late. And what was revealed under a key may stand in
    // the ledger any moment: from then on it is given up for none but the ledger's.
    let is_bound = bank.bucket_key().is_some() && bank.memory.has_revealed_counts();
    let is_expected = match ledgers {
        Some(expected) => expected == body.commitment,
        None => !is_bound,
    };
    if !is_held && is_expected {
        let (epoch, from, to) = (body.epoch, body.from, body.to);
        let named = (&bank.session(), &body.commitment);
        match BucketKey::open(pair, Passage { epoch, from, to }, named, &body.sealed) {
            Some(key) => keep(key, bank, out),
            None => return complain(body, bank, out),
        }
    }
    bank.check_in(Some(keyring), out);
}

/// Durable before anything that says it is held.
fn keep(key: BucketKey, bank: &mut Bank, out: &mut Outbox<Client>) {
    out.perform(Task::Keep(key.clone()));
    out.report(ClientEvent::BucketKeyKept(key.commitment()));
    bank.hold(key);
}

fn complain(body: &SealedKey, bank: &Bank, out: &mut Outbox<Client>) {
    blame(Misbehaviour::BucketKey(body.from), out);
    let complaint = KeyComplaint {
        epoch: body.epoch,
        roster: body.roster,
        from: body.to,
        about: body.from,
    };
    let complaint = Signed::sign(complaint, &bank.identity.key);
    out.send((), ToCoordinator::KeyComplaint(Box::new(complaint)));
}

fn check_receivers(to: &Seats, keyring: &Keyring) -> Result<(), Misbehaviour> {
    if !to.is_canonical() {
        return Err(Misbehaviour::Malformed(
            "handover",
            "seats are not ascending",
        ));
    }
    let stranger = to.iter().find(|&seat| keyring.handover_key(seat).is_none());
    match stranger {
        Some(seat) => Err(Misbehaviour::Stranger(seat, "handover")),
        None => Ok(()),
    }
}

fn seal(key: &BucketKey, to: Seat, keyring: &Keyring, bank: &Bank) -> Signed<SealedKey> {
    let (epoch, from) = (keyring.seating.epoch, keyring.seat);
    let pair = keyring.handover_key(to);
    let pair = pair.expect("the receivers were checked to be other members");
    let body = SealedKey {
        epoch,
        roster: keyring.seating.root,
        from,
        to,
        commitment: key.commitment(),
        sealed: key.sealed(pair, Passage { epoch, from, to }),
    };
    Signed::sign(body, &bank.identity.key)
}
