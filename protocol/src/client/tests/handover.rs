//! The banks' bucket key: who draws it, who takes it from whom, and what is counted under it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crypto::Digest;

use super::attempted::Attempted;
use super::rig::{Answer, Node, Rig, authority, bank_key, coordinator_key, policy};
use crate::blame::{Misbehaviour, Refusal};
use crate::bucket::BucketKey;
use crate::client::Heard;
use crate::event::ClientEvent;
use crate::fixture::{self, seats};
use crate::id::{EpochId, Seat};
use crate::message::{
    Fault, Handover, Holding, Manifest, RoundResult, SealedKey, ToClient, ToCoordinator,
};
use crate::plan::{Kind, Work};
use crate::signed::Signed;

fn key(byte: u8) -> BucketKey {
    BucketKey::new(&authority().session(), [byte; 32])
}

/// Five banks with an epoch's keys, whose hosts kept these bucket keys.
fn agreed(kept: [Option<u8>; 5]) -> Rig {
    let mut rig = Rig::met(5, fixture::risk());
    for (seat, kept) in (0..).zip(kept) {
        *rig.bank(seat) = Node::start_with(seat, 1, policy(), Vec::new(), kept.map(key));
        rig.meet(seat);
    }
    rig.agree(EpochId(1), 5);
    rig
}

fn asked(rig: &Rig, to: impl IntoIterator<Item = u16>) -> ToClient {
    ToClient::Handover(Handover {
        epoch: rig.epoch,
        roster: rig.root,
        to: seats(to),
    })
}

fn holding(answer: &Answer) -> Option<Holding> {
    let check_in = |said: &ToCoordinator| {
        let ToCoordinator::CheckIn(said) = said else {
            return None;
        };
        Some(said.bucket_key)
    };
    answer.sent.iter().rev().find_map(check_in)
}

fn sealed(answer: &Answer) -> Vec<Signed<SealedKey>> {
    let [ToCoordinator::SealedKeys(list)] = &answer.sent[..] else {
        panic!("{:?}", answer.sent);
    };
    list.clone()
}

fn handed(sealed: &Signed<SealedKey>) -> ToClient {
    ToClient::SealedKey(Box::new(sealed.clone()))
}

/// What a bank would have sent, changed by it.
fn resealed(sealed: &Signed<SealedKey>, spoil: impl Fn(&mut SealedKey)) -> ToClient {
    let mut body = sealed.unverified().clone();
    let from = body.from.0;
    spoil(&mut body);
    handed(&Signed::sign(body, &bank_key(from)))
}

#[test]
fn key_is_drawn_once_kept_before_it_is_spoken_of_and_sealed_for_each() {
    let mut rig = agreed([None; 5]);
    let asked = asked(&rig, [1, 2, 3, 4]);
    let first = rig.bank(0).tell(asked.clone());
    let [kept] = &first.kept[..] else {
        panic!("{:?}", first.kept);
    };
    assert_eq!(first.order, ["perform", "report", "send", "send"]);
    let commitment = kept.commitment();
    assert_eq!(first.events, [ClientEvent::BucketKeyKept(commitment)]);
    assert_eq!(holding(&first), Some(Holding::Held(commitment)));
    let ToCoordinator::SealedKeys(list) = &first.sent[1] else {
        panic!("{:?}", first.sent);
    };
    let to = list.iter().map(|sealed| sealed.unverified().to.0);
    assert_eq!(to.collect::<Vec<_>>(), [1, 2, 3, 4]);
    // Asked again, it says the same again.
    let again = rig.bank(0).tell(asked);
    assert_eq!(sealed(&again), *list);
    assert_eq!(again.order, ["send"]);
    // It is each receiver's alone.
    for sealed in list {
        let to = sealed.unverified().to.0;
        let other = rig.bank(5 - to).tell(handed(sealed));
        other.assert_blamed(Misbehaviour::Context("sealed bucket key"));
        let answer = rig.bank(to).tell(handed(sealed));
        assert_eq!(answer.kept, std::slice::from_ref(kept));
        assert_eq!(answer.order, ["perform", "report", "send"]);
        assert_eq!(holding(&answer), Some(Holding::Held(commitment)));
        let again = rig.bank(to).tell(handed(sealed));
        assert_eq!(
            (&again.order, holding(&again)),
            (&vec!["send"], holding(&answer))
        );
    }
    // Whoever holds it hands on the same, and draws nothing.
    let request = self::asked(&rig, [0]);
    let answer = rig.bank(3).tell(request);
    assert_eq!(answer.order, ["send"]);
    assert_eq!(sealed(&answer)[0].unverified().commitment, commitment);
}

#[test]
fn restarted_bank_holds_what_its_host_kept_and_no_record_holds_it() {
    let mut rig = agreed([None; 5]);
    let asked = asked(&rig, [1]);
    let first = rig.bank(0).tell(asked);
    let kept = first.kept[0].clone();
    let journal = rig.bank(0).journal.clone();
    for record in &journal {
        let bytes = crate::wire::encode(record);
        assert!(!bytes.windows(32).any(|window| window == kept.expose()));
    }
    for said in first.bytes() {
        assert!(!said.windows(32).any(|window| window == kept.expose()));
    }
    let mut says = |kept| {
        *rig.bank(0) = Node::start_with(0, 2, policy(), journal.clone(), kept);
        let answer = rig.bank(0).hear(Heard::Connected);
        holding(&answer)
    };
    let held = Holding::Held(kept.commitment());
    assert_eq!(says(Some(kept)), Some(held));
    assert_eq!(says(None), Some(Holding::Lacking));
}

/// Whatever is wrong with a sealed key, its sender is named and nothing is kept. What the sender
/// never signed is nobody's, and is not complained of.
#[test]
fn sender_of_a_key_that_does_not_open_is_named() {
    let mut rig = agreed([Some(1), None, None, None, None]);
    let request = asked(&rig, [1, 2]);
    let answer = rig.bank(0).tell(request);
    let list = sealed(&answer);
    let garbage = [
        resealed(&list[0], |body| body.sealed[0] ^= 1),
        resealed(&list[0], |body| body.sealed.clear()),
        resealed(&list[0], |body| {
            body.sealed = list[1].unverified().sealed.clone()
        }),
        resealed(&list[0], |body| body.commitment = key(2).commitment()),
    ];
    for message in garbage {
        let answer = rig.bank(1).tell(message);
        assert_eq!(answer.blamed(), [Misbehaviour::BucketKey(Seat(0))]);
        assert_eq!(answer.kept, []);
        let [ToCoordinator::KeyComplaint(complaint)] = &answer.sent[..] else {
            panic!("{:?}", answer.sent);
        };
        let complaint = complaint.clone().verify(&bank_key(1).verify_key()).unwrap();
        assert_eq!((complaint.from, complaint.about), (Seat(1), Seat(0)));
    }
    let mut forged = list[0].unverified().clone();
    forged.sealed[0] ^= 1;
    let forged = handed(&Signed::sign(forged, &coordinator_key()));
    let answer = rig.bank(1).tell(forged);
    answer.assert_blamed(Misbehaviour::Signature("sealed bucket key"));
    let stranger = resealed(&list[0], |body| body.from = Seat(9));
    let answer = rig.bank(1).tell(stranger);
    answer.assert_blamed(Misbehaviour::Stranger(Seat(9), "sealed bucket key"));
    let elsewhere = resealed(&list[0], |body| body.roster = Digest([9; 32]));
    let answer = rig.bank(1).tell(elsewhere);
    answer.assert_blamed(Misbehaviour::Context("sealed bucket key"));
    let late = resealed(&list[0], |body| body.epoch = EpochId(0));
    rig.bank(1).tell(late).assert_nothing();
    // The true one is still taken.
    assert_eq!(rig.bank(1).tell(handed(&list[0])).kept, [key(1)]);
}

impl Rig {
    /// What the coordinator offers after this result: days further on.
    fn next_risk(&mut self, result: &RoundResult) -> Manifest {
        self.ledger.apply(result).unwrap();
        if let Work::Risk(terms) = &mut self.plan.work {
            terms.from_day += 10;
        }
        self.manifest(2, 0, &seats(0..5))
    }
}

/// The coordinator chooses who is asked for whom, but a bank seals for members of its roster.
#[test]
fn key_is_sealed_for_other_members_alone() {
    let mut rig = agreed([Some(1), None, None, None, None]);
    for (to, stranger) in [(vec![0, 1], 0), (vec![1, 5], 5)] {
        let request = asked(&rig, to);
        let answer = rig.bank(0).tell(request);
        answer.assert_blamed(Misbehaviour::Stranger(Seat(stranger), "handover"));
    }
    let mut request = Handover {
        epoch: rig.epoch,
        roster: Digest([9; 32]),
        to: seats([1]),
    };
    let answer = rig.bank(0).tell(ToClient::Handover(request.clone()));
    answer.assert_blamed(Misbehaviour::Context("handover"));
    request.epoch = EpochId(7);
    rig.bank(0)
        .tell(ToClient::Handover(request))
        .assert_nothing();
}

/// Before any result, banks that were cut apart may have drawn two keys: then one gives way. From
/// the first result on the ledger says which, and no other is taken or handed on.
#[test]
fn key_gives_way_until_a_result_stands_under_one() {
    let mut rig = agreed([Some(1), Some(2), Some(0xb0), Some(0xb0), Some(0xb0)]);
    let of_first = {
        let request = asked(&rig, [1, 2]);
        sealed(&rig.bank(0).tell(request))
    };
    assert_eq!(rig.bank(1).tell(handed(&of_first[0])).kept, [key(1)]);
    let ours = {
        let request = asked(&rig, [0, 1]);
        sealed(&rig.bank(2).tell(request))
    };
    let result = Rig::agreed(5, fixture::risk()).round(1, 5);
    for seat in 0..5 {
        let answer = rig
            .bank(seat)
            .tell(ToClient::Result(Arc::new(result.clone())));
        let held = Holding::Held(key(0xb0).commitment());
        let expected = if seat < 2 { Holding::Lacking } else { held };
        assert_eq!(holding(&answer), Some(expected), "{:?}", answer.events);
    }
    // Another key is late, whoever has it sealed, and nobody hands it on.
    let answer = rig.bank(2).tell(handed(&of_first[1]));
    assert_eq!((answer.kept.len(), answer.blamed().len()), (0, 0));
    let request = asked(&rig, [3]);
    let answer = rig.bank(0).tell(request);
    assert_eq!(
        (holding(&answer), answer.kept.len()),
        (Some(Holding::Lacking), 0)
    );
    assert_eq!(answer.sent.len(), 1, "nothing drawn, nothing sealed");
    // Nor does an offer under it lead anywhere, whoever holds it.
    let own = rig.next_risk(&result);
    let other = Manifest {
        bucket_key: Some(key(1).commitment()),
        ..own.clone()
    };
    let answer = rig.offered(0, &other);
    answer.assert_blamed(Misbehaviour::Manifest("bucket_key is not the ledger's"));
    assert_refused(&rig.offered(0, &own), &Refusal::BucketKey);
    // The ledger's own is taken.
    for (seat, sealed) in (0..).zip(&ours) {
        assert_eq!(rig.bank(seat).tell(handed(sealed)).kept, [key(0xb0)]);
    }
}

#[test]
fn bank_that_takes_no_part_in_risk_counts_neither_draws_nor_takes_nor_needs_a_key() {
    let mut rig = agreed([Some(1), None, None, None, None]);
    let mut without = policy();
    without.kinds.remove(&Kind::Risk);
    let request = |rig: &Rig, to| asked(rig, [to]);
    for (epoch, kept) in [(2, None), (3, Some(key(1)))] {
        let journal = std::mem::take(&mut rig.bank(1).journal);
        *rig.bank(1) = Node::start_with(1, 1, without.clone(), journal, kept);
        let answer = rig.bank(1).hear(Heard::Connected);
        assert_eq!(holding(&answer), Some(Holding::Unwanted));
        let welcome = rig.welcome();
        rig.bank(1).tell(welcome);
        rig.agree(EpochId(epoch), 5);
        let (of_first, of_second) = (request(&rig, 1), request(&rig, 0));
        let sealed = sealed(&rig.bank(0).tell(of_first));
        rig.bank(1).tell(handed(&sealed[0])).assert_nothing();
        rig.bank(1).tell(of_second).assert_nothing();
        let manifest = rig.manifest(epoch, 0, &seats(0..5));
        let answer = rig.offered(1, &manifest);
        assert_refused(&answer, &Refusal::KindNotAllowed(Kind::Risk));
    }
    // Nor is a result of any use that cannot be read without it.
    let result = Rig::agreed(5, fixture::risk()).round(1, 5);
    let result = ToClient::Result(Arc::new(result));
    assert_eq!(rig.bank(1).tell(result.clone()).installs.len(), 0);
    assert_eq!(rig.bank(0).tell(result).installs.len(), 1);
    let journal = rig.bank(1).journal.clone();
    let mut again = Node::start_with(1, 3, without, journal, None);
    assert_eq!(again.drain().installs.len(), 0);
}

/// What the two sides hashed under two keys would add up to nothing: an offer names the key.
#[test]
fn bank_with_another_key_declines_before_it_says_anything() {
    let mut rig = agreed([Some(0xb0), Some(2), None, Some(0xb0), Some(0xb0)]);
    let manifest = rig.manifest(1, 0, &seats(0..5));
    let answer = rig.offered(0, &manifest);
    assert_eq!(answer.orders[0].bucket_key, Some(key(0xb0)));
    for seat in [1, 2] {
        let answer = rig.offered(seat, &manifest);
        assert_refused(&answer, &Refusal::BucketKey);
    }
    let unnamed = Manifest {
        bucket_key: None,
        ..manifest
    };
    let answer = rig.offered(3, &unnamed);
    assert_refused(&answer, &Refusal::BucketKey);
}

#[track_caller]
fn assert_refused(answer: &Answer, refusal: &Refusal) {
    let [ToCoordinator::Declined(declined)] = &answer.sent[..] else {
        panic!("{:?} {:?}", answer.sent, answer.events);
    };
    assert_eq!(declined.refusal, *refusal);
    assert_eq!((answer.records.len(), answer.orders.len()), (0, 0));
}

/// A coordinator that shows each bank the key it holds: two manifests are two contexts, and the
/// others' escrows are seen to be of another before anything masked leaves.
#[test]
fn banks_with_two_keys_stop_before_masking() {
    let mut rig = agreed([Some(0xb0), Some(0xb0), Some(0xb0), Some(0xb0), Some(2)]);
    let manifest = rig.manifest(1, 0, &seats(0..5));
    let other = Manifest {
        bucket_key: Some(key(2).commitment()),
        ..manifest.clone()
    };
    assert_ne!(manifest.context(), other.context());
    let mut escrows = BTreeMap::new();
    for seat in 0..5 {
        let shown = if seat == 4 { &other } else { &manifest };
        let answer = rig.offered(seat, shown);
        let [ToCoordinator::Escrow(escrow)] = &answer.sent[..] else {
            panic!("{:?} {:?}", answer.sent, answer.events);
        };
        escrows.insert(Seat(seat), *escrow.clone());
    }
    let attempt = Attempted::new(manifest, escrows);
    let answer = rig.bank(0).tell(attempt.bundle(Seat(0)));
    assert_eq!(answer.blamed(), [Misbehaviour::Context("escrow header")]);
    let [ToCoordinator::Complaint(complaint)] = &answer.sent[..] else {
        panic!("{:?}", answer.sent);
    };
    let complaint = complaint.unverified();
    assert_eq!((complaint.about, complaint.fault), (Seat(4), Fault::Header));
}
