//! Who may sit with us: rosters and key agreements that a coordinator, or a member, made up (A3).

use crypto::Digest;

use super::rig::{Answer, Rig, bank_credential, bank_id, bank_key, coordinator_key, credential};
use crate::blame::{Misbehaviour, Refusal};
use crate::credential::Role;
use crate::event::ClientEvent;
use crate::fixture::{self, key, seats};
use crate::id::{ClientId, EpochId, Seat};
use crate::message::{
    Bundles, Encapsulation, Incoming, KeyBundle, Roster, ToClient, ToCoordinator,
};
use crate::signed::Signed;

fn offered(rig: &mut Rig, roster: Roster) -> Answer {
    let roster = Signed::sign(roster, &coordinator_key());
    rig.bank(0).tell(ToClient::Roster(Box::new(roster)))
}

/// A roster of the first epoch, changed, is blamed.
#[track_caller]
fn roster_is_blamed(change: impl FnOnce(&mut Roster), misbehaviour: Misbehaviour) {
    let mut rig = Rig::met(5, fixture::risk());
    let mut roster = rig.roster(EpochId(1), 5);
    change(&mut roster);
    offered(&mut rig, roster).assert_blamed(misbehaviour);
}

fn because(why: &'static str) -> Misbehaviour {
    Misbehaviour::Roster(EpochId(1), why)
}

/// A bank of the consortium's, or of somebody's who signs it.
fn invented(seat: u16, name: &str, authority: u8) -> Signed<crate::credential::Credential> {
    let body = credential(Role::Bank, name, bank_id(seat), &bank_key(seat));
    Signed::sign(body, &key(authority))
}

/// A3: members that the authority never admitted.
#[test]
fn member_that_the_authority_did_not_sign_is_refused() {
    let error = "credential is not signed by the consortium's authority";
    roster_is_blamed(
        |roster| roster.members[3] = invented(3, "Bank 3", 2),
        Misbehaviour::Credential(error.to_owned()),
    );
}

#[test]
fn member_that_is_no_bank_is_refused() {
    let body = credential(Role::Operator, "Operator", bank_id(3), &bank_key(3));
    let error = "credential is for Operator, expected Bank";
    roster_is_blamed(
        |roster| roster.members[3] = Signed::sign(body, &key(1)),
        Misbehaviour::Credential(error.to_owned()),
    );
}

/// A3: one entity on several seats.
#[test]
fn entity_or_key_or_identity_that_sits_twice_is_refused() {
    roster_is_blamed(
        |roster| roster.members[4] = invented(4, "Bank 3", 1),
        because("seats one entity twice"),
    );
    let body = credential(Role::Bank, "Bank 4", bank_id(4), &bank_key(3));
    roster_is_blamed(
        |roster| roster.members[4] = Signed::sign(body, &key(1)),
        because("seats one key twice"),
    );
    let body = credential(Role::Bank, "Bank 4", bank_id(3), &bank_key(4));
    roster_is_blamed(
        |roster| roster.members[4] = Signed::sign(body, &key(1)),
        because("members are not ascending by identity"),
    );
}

#[test]
fn roster_without_us_is_refused() {
    roster_is_blamed(
        |roster| drop(roster.members.remove(0)),
        because("leaves us out"),
    );
}

#[test]
fn roster_beyond_the_limit_is_not_read() {
    roster_is_blamed(
        |roster| roster.members = vec![bank_credential(0); 1_001],
        Misbehaviour::Oversized("roster", 1_001, 1_000),
    );
}

#[test]
fn roster_that_the_coordinator_did_not_sign_is_not_read() {
    let mut rig = Rig::met(5, fixture::risk());
    let roster = Signed::sign(rig.roster(EpochId(1), 5), &bank_key(1));
    let answer = rig.bank(0).tell(ToClient::Roster(Box::new(roster)));
    answer.assert_blamed(Misbehaviour::Signature("roster"));
}

/// A3: the coordinator may not change the members faster than they agree to.
#[test]
fn roster_without_a_majority_of_the_last_one_is_refused() {
    let mut rig = Rig::agreed(5, fixture::risk());
    let mut roster = rig.roster(EpochId(2), 2);
    roster.members.push(bank_credential(7));
    let why = "lacks a majority of the last roster's members";
    offered(&mut rig, roster).assert_blamed(Misbehaviour::Roster(EpochId(2), why));
}

/// A3: a roster that was offered and never agreed on is nobody's word. Otherwise two rosters, the
/// second without the first's honest members, would do what one may not.
#[test]
fn roster_that_was_only_offered_does_not_govern_the_next() {
    let mut rig = Rig::agreed(5, fixture::risk());
    let three = rig.roster(EpochId(2), 3);
    assert!(matches!(
        offered(&mut rig, three).sent[..],
        [ToCoordinator::KeyBundle(_)]
    ));
    let two = rig.roster(EpochId(3), 2);
    let why = "lacks a majority of the last roster's members";
    offered(&mut rig, two.clone()).assert_blamed(Misbehaviour::Roster(EpochId(3), why));
    rig.restart(0);
    offered(&mut rig, two).assert_blamed(Misbehaviour::Roster(EpochId(3), why));
}

#[test]
fn more_joins_than_this_institution_accepts_are_declined() {
    let mut rig = Rig::agreed(5, fixture::risk());
    let roster = rig.roster(EpochId(2), 8);
    let answer = offered(&mut rig, roster);
    let [ToCoordinator::Declined(declined)] = &answer.sent[..] else {
        panic!("{:?}", answer.sent)
    };
    assert_eq!((declined.round, declined.epoch), (None, EpochId(2)));
    assert!(matches!(&declined.refusal, Refusal::Roster(why) if why.starts_with("3 members join")));
    let roster = rig.roster(EpochId(2), 7);
    assert!(matches!(
        offered(&mut rig, roster).sent[..],
        [ToCoordinator::KeyBundle(_)]
    ));
}

#[test]
fn epoch_number_is_used_once_even_over_a_restart() {
    let mut rig = Rig::agreed(5, fixture::risk());
    rig.restart(0);
    let roster = rig.roster(EpochId(1), 5);
    let answer = offered(&mut rig, roster);
    let [ToCoordinator::Declined(declined)] = &answer.sent[..] else {
        panic!("{:?}", answer.sent)
    };
    let used = Refusal::Roster("epoch 1 was used before".to_owned());
    assert_eq!(declined.refusal, used);
    assert_eq!(answer.events, [ClientEvent::Declined(used)]);
}

#[test]
fn second_roster_for_one_epoch_is_equivocation() {
    let mut rig = Rig::met(6, fixture::risk());
    let roster = rig.roster(EpochId(1), 5);
    offered(&mut rig, roster);
    let other = rig.roster(EpochId(1), 6);
    offered(&mut rig, other).assert_blamed(Misbehaviour::Equivocation("roster"));
}

/// E2 with one bundle replaced is blamed, and no encapsulation leaves.
#[track_caller]
fn bundles_are_blamed(
    change: impl FnOnce(&mut Vec<Signed<KeyBundle>>),
    misbehaviour: Misbehaviour,
) {
    let mut rig = Rig::met(5, fixture::risk());
    let mut bundles = rig.key_bundles(EpochId(1), 5);
    change(&mut bundles);
    let bundles = Bundles {
        epoch: EpochId(1),
        bundles,
    };
    let answer = rig.bank(0).tell(ToClient::Bundles(Box::new(bundles)));
    answer.assert_blamed(misbehaviour);
}

fn changed(bundle: &Signed<KeyBundle>, change: impl FnOnce(&mut KeyBundle)) -> KeyBundle {
    let mut body = bundle.unverified().clone();
    change(&mut body);
    body
}

/// A3, A12: every member signs its keys together with the roster it accepts.
#[test]
fn keys_that_their_seat_did_not_sign_for_this_roster_are_refused() {
    bundles_are_blamed(
        |bundles| {
            bundles[3] = Signed::sign(bundles[3].unverified().clone(), &coordinator_key());
        },
        Misbehaviour::Signature("key bundle"),
    );
    bundles_are_blamed(
        |bundles| {
            let body = changed(&bundles[3], |bundle| bundle.roster = Digest([1; 32]));
            bundles[3] = Signed::sign(body, &bank_key(3));
        },
        Misbehaviour::Context("key bundle"),
    );
    bundles_are_blamed(
        |bundles| {
            let body = changed(&bundles[0], |bundle| bundle.nonce = [1; 32]);
            bundles[0] = Signed::sign(body, &bank_key(0));
        },
        Misbehaviour::Equivocation("key bundle of ours"),
    );
}

#[test]
fn missing_or_surplus_keys_are_refused() {
    let short = Misbehaviour::Malformed("key bundles", "fewer than the seats they come from");
    bundles_are_blamed(|bundles| drop(bundles.pop()), short);
    bundles_are_blamed(
        |bundles| bundles.push(bundles[4].clone()),
        Misbehaviour::Oversized("key bundles", 6, 5),
    );
}

#[test]
fn keys_that_no_honest_member_makes_name_their_seat() {
    for change in [
        (|keys| keys.mlkem.truncate(7)) as fn(&mut crypto::PublicBundle),
        |keys| keys.x25519 = [0; 32],
    ] {
        bundles_are_blamed(
            |bundles| {
                let body = changed(&bundles[3], |bundle| change(&mut bundle.keys));
                bundles[3] = Signed::sign(body, &bank_key(3));
            },
            Misbehaviour::Agreement(Seat(3)),
        );
    }
}

/// What bank 4 hears from the others in E3, with one entry changed.
#[track_caller]
fn encapsulations_are_blamed(
    change: impl FnOnce(&mut Vec<Signed<Encapsulation>>),
    misbehaviour: Misbehaviour,
) {
    let mut rig = Rig::met(5, fixture::risk());
    let bundles = rig.key_bundles(EpochId(1), 5);
    let mut list = Vec::new();
    for seat in 0..5 {
        let bundles = Bundles {
            epoch: EpochId(1),
            bundles: bundles.clone(),
        };
        let answer = rig.bank(seat).tell(ToClient::Bundles(Box::new(bundles)));
        if let [ToCoordinator::Encapsulations(sent)] = &answer.sent[..] {
            list.extend(
                sent.iter()
                    .filter(|one| one.unverified().to == Seat(4))
                    .cloned(),
            );
        }
    }
    change(&mut list);
    let incoming = Incoming {
        epoch: EpochId(1),
        encapsulations: list,
    };
    let answer = rig
        .bank(4)
        .tell(ToClient::Encapsulations(Box::new(incoming)));
    answer.assert_blamed(misbehaviour);
}

#[test]
fn encapsulation_that_its_seat_did_not_sign_is_refused() {
    encapsulations_are_blamed(
        |list| {
            let mut body = list[2].unverified().clone();
            body.ciphertext[9] ^= 1;
            list[2] = Signed::sign(body, &coordinator_key());
        },
        Misbehaviour::Signature("encapsulation"),
    );
    encapsulations_are_blamed(
        |list| list.swap(0, 1),
        Misbehaviour::Context("encapsulation"),
    );
    encapsulations_are_blamed(
        |list| {
            let mut body = list[2].unverified().clone();
            body.ciphertext.pop();
            list[2] = Signed::sign(body, &bank_key(2));
        },
        Misbehaviour::Agreement(Seat(2)),
    );
}

/// A12: a member encapsulates to us what it does not use itself. ML-KEM rejects implicitly: the
/// two sides hold different keys, and see it at M2, before anything masked leaves.
#[test]
fn member_that_uses_another_pair_key_is_found_out_before_masking() {
    let mut rig = Rig::met(5, fixture::risk());
    rig.agree_with(EpochId(1), 5, |encapsulation| {
        let mut body = encapsulation.unverified().clone();
        if (body.from, body.to) == (Seat(2), Seat(4)) {
            body.ciphertext[9] ^= 1;
        }
        Signed::sign(body.clone(), &bank_key(body.from.0))
    });
    let manifest = rig.manifest(1, 0, &seats(0..5));
    let attempt = rig.open(&manifest);
    rig.work(&attempt, &seats(0..5));
    let answer = rig.bank(4).tell(attempt.bundle(Seat(4)));
    assert_eq!(answer.blamed(), [Misbehaviour::Commitment(Seat(2))]);
    assert!(matches!(answer.sent[..], [ToCoordinator::Complaint(_)]));
}

/// A coordinator that is none, and one that was replaced.
#[test]
fn coordinator_is_whom_the_authority_says() {
    let mut rig = Rig::met(5, fixture::risk());
    let id = ClientId(Digest([200; 32]));
    let welcome = |rig: &Rig, role, signer: u8, coordinator: u8| {
        let ToClient::Welcome(mut welcome) = rig.welcome() else {
            panic!("a welcome")
        };
        let body = credential(role, "Coordinator", id, &key(coordinator));
        welcome.coordinator = Signed::sign(body, &key(signer));
        ToClient::Welcome(welcome)
    };
    let stranger = welcome(&rig, Role::Coordinator, 2, 7);
    assert!(matches!(
        rig.bank(0).tell(stranger).blamed()[..],
        [Misbehaviour::Credential(_)]
    ));
    let bank = welcome(&rig, Role::Bank, 1, 7);
    assert!(matches!(
        rig.bank(0).tell(bank).blamed()[..],
        [Misbehaviour::Credential(_)]
    ));
    let successor = welcome(&rig, Role::Coordinator, 1, 7);
    rig.bank(0).tell(successor).assert_nothing();
    let roster = Signed::sign(rig.roster(EpochId(1), 5), &key(7));
    let answer = rig.bank(0).tell(ToClient::Roster(Box::new(roster)));
    assert!(matches!(answer.sent[..], [ToCoordinator::KeyBundle(_)]));
}
