//! Results (M8): for everybody, in ledger order, and only if their transcript holds.

use std::sync::Arc;

use crypto::Digest;

use super::attempted::Attempted;
use super::rig::{Answer, Node, Rig, bank_key, coordinator_key, identity, policy};
use crate::blame::Misbehaviour;
use crate::client::{Client, Kept, RecoverError};
use crate::credential::Identity;
use crate::event::ClientEvent;
use crate::fixture::{self, key, seats};
use crate::id::{RoundId, Seat};
use crate::masking;
use crate::message::{Ack, RoundResult, ToClient, ToCoordinator};
use crate::plan::Work;
use crate::record::ClientRecord;
use crate::signed::Signed;
use crate::vector;

fn finetune() -> Work {
    Work::Finetune(fixture::training())
}

fn told(node: &mut Node, result: &RoundResult) -> Answer {
    node.tell(ToClient::Result(Arc::new(result.clone())))
}

fn finished(rig: &mut Rig, round: u64) -> (Attempted, RoundResult) {
    let mut attempt = rig.collected(round, 0, 5);
    rig.acknowledge(&mut attempt, &seats(0..5));
    rig.reveal(&mut attempt, &seats(0..5));
    let result = rig.result(&attempt);
    (attempt, result)
}

/// The outcome with something changed, signed again by the coordinator.
fn resign(result: &mut RoundResult, change: impl FnOnce(&mut crate::message::RoundOutcome)) {
    let mut outcome = result.outcome.unverified().clone();
    change(&mut outcome);
    result.outcome = Signed::sign(outcome, &coordinator_key());
}

/// A result with something changed is blamed, nothing is installed, and the true one still is.
#[track_caller]
fn result_is_blamed(change: impl FnOnce(&mut RoundResult), misbehaviour: Misbehaviour) {
    let mut rig = Rig::agreed(5, finetune());
    let (_, honest) = finished(&mut rig, 1);
    let mut result = honest.clone();
    change(&mut result);
    let answer = told(rig.bank(0), &result);
    answer.assert_blamed(misbehaviour);
    assert_eq!(answer.installs, []);
    assert_eq!(told(rig.bank(0), &honest).installs.len(), 1);
}

#[test]
fn result_that_the_coordinator_did_not_sign_is_refused() {
    result_is_blamed(
        |result| result.outcome = Signed::sign(result.outcome.unverified().clone(), &bank_key(1)),
        Misbehaviour::Signature("result"),
    );
    result_is_blamed(
        |result| {
            result.manifest = Signed::sign(result.manifest.unverified().clone(), &bank_key(1));
        },
        Misbehaviour::Signature("result's manifest"),
    );
}

#[test]
fn result_under_a_plan_of_nobodys_is_refused() {
    result_is_blamed(
        |result| {
            let plan = result.plan.plan.unverified().clone();
            result.plan.plan = Signed::sign(plan, &key(5));
        },
        Misbehaviour::Signature("result's plan"),
    );
}

/// A20, in part: a sum that is not the signed one, and a signed one that nobody's vectors give.
#[test]
fn sum_that_is_not_the_signed_one_or_nobodys_is_refused() {
    result_is_blamed(|result| result.sum[9] += 1, Misbehaviour::Result("sum"));
    result_is_blamed(
        |result| {
            result.sum[0] = 1;
            let root = vector::sum_root(&result.sum);
            resign(result, |outcome| outcome.sum = root);
        },
        Misbehaviour::Result("its sum is nobody's"),
    );
}

#[test]
fn result_without_a_threshold_of_acknowledgements_is_refused() {
    result_is_blamed(
        |result| result.acks.truncate(3),
        Misbehaviour::Acks("fewer than the threshold"),
    );
    result_is_blamed(
        |result| result.acks.push(result.acks[0].clone()),
        Misbehaviour::Oversized("result's acknowledgements", 6, 5),
    );
    result_is_blamed(
        |result| {
            let body = result.acks[2].unverified().clone();
            result.acks[2] = Signed::sign(body, &coordinator_key());
        },
        Misbehaviour::Acks("a signature does not verify"),
    );
}

/// The coordinator and a colluding threshold certify a set without us after our own reveal.
#[test]
fn result_of_other_sets_than_we_acknowledged_is_refused() {
    result_is_blamed(
        |result| {
            let survivors = seats(1..5);
            let digest = masking::seats_digest(&survivors);
            result.acks = survivors
                .iter()
                .map(|seat| {
                    let mut body = result.acks[0].unverified().clone();
                    (body.seat, body.survivors) = (seat, digest);
                    Signed::<Ack>::sign(body, &bank_key(seat.0))
                })
                .collect();
            result.survivors = survivors;
            resign(result, |outcome| outcome.survivors = digest);
        },
        Misbehaviour::Result("its sets are not those we acknowledged"),
    );
}

#[test]
fn result_on_another_base_or_head_is_refused() {
    result_is_blamed(
        |result| resign(result, |outcome| outcome.previous = Digest([1; 32])),
        Misbehaviour::Result("previous head"),
    );
}

#[test]
fn results_are_applied_once_and_in_order() {
    let mut rig = Rig::agreed(5, finetune());
    let (_, first) = finished(&mut rig, 1);
    rig.ledger.apply(&first).unwrap();
    for seat in 0..4 {
        assert_eq!(told(rig.bank(seat), &first).installs.len(), 1);
    }
    told(rig.bank(0), &first).assert_nothing();
    // Bank 4 missed the first; a later one waits for it.
    let mut later = first.clone();
    resign(&mut later, |outcome| outcome.sequence = 2);
    told(rig.bank(4), &later).assert_nothing();
    let answer = told(rig.bank(4), &first);
    assert_eq!(answer.installs.len(), 1);
    let (length, head) = (1, rig.ledger.head());
    assert_eq!(
        answer.events,
        [ClientEvent::Applied(RoundId(1), length, head)]
    );
}

#[test]
fn second_result_for_one_place_in_the_ledger_is_equivocation() {
    let mut rig = Rig::agreed(5, finetune());
    let (_, first) = finished(&mut rig, 1);
    told(rig.bank(0), &first);
    let mut other = first.clone();
    resign(&mut other, |outcome| outcome.revealed = Digest([1; 32]));
    told(rig.bank(0), &other).assert_blamed(Misbehaviour::Equivocation("result"));
}

#[test]
fn coordinator_whose_ledger_differs_at_our_length_is_blamed() {
    let mut rig = Rig::agreed(5, finetune());
    let (_, first) = finished(&mut rig, 1);
    told(rig.bank(0), &first);
    // The rig's own ledger forks.
    let mut other = first.clone();
    resign(&mut other, |outcome| outcome.revealed = Digest([1; 32]));
    rig.ledger.apply(&other).unwrap();
    let welcome = rig.welcome();
    let answer = rig.bank(0).tell(welcome);
    assert!(
        matches!(answer.blamed()[..], [Misbehaviour::Base { .. }]),
        "{:?}",
        answer.events
    );
}

/// A newcomer knows no roster of the past: it relies on the coordinator's signature for those
/// acknowledgements, and on nothing else.
#[test]
fn newcomer_catches_up_on_rounds_it_never_sat_in() {
    let mut rig = Rig::agreed(5, finetune());
    let mut results = Vec::new();
    for round in 1..=3 {
        let (_, result) = finished(&mut rig, round);
        rig.ledger.apply(&result).unwrap();
        for seat in 0..5 {
            told(rig.bank(seat), &result);
        }
        results.push(result);
    }
    rig.banks.push(Node::start(5, 1, policy(), Vec::new()));
    rig.meet(5);
    for (result, length) in results.iter().zip(1..) {
        let answer = told(rig.bank(5), result);
        assert_eq!(answer.installs.len(), 1);
        let [ToCoordinator::CheckIn(asked)] = &answer.sent[..] else {
            panic!("it does not ask for the next one");
        };
        assert_eq!(asked.ledger, length);
    }
    assert_eq!(rig.bank(5).client.ledger().head(), rig.ledger.head());
    assert!(matches!(rig.welcome(), ToClient::Welcome(welcome) if welcome.ledger == 3));
}

#[test]
fn result_of_an_attempt_we_dropped_out_of_ends_it() {
    let mut rig = Rig::agreed(6, finetune());
    let manifest = rig.manifest(1, 0, &seats(0..6));
    let mut attempt = rig.open(&manifest);
    rig.work(&attempt, &seats(0..6));
    rig.collect(&mut attempt, &seats(0..5));
    rig.acknowledge(&mut attempt, &seats(0..5));
    rig.reveal(&mut attempt, &seats(0..5));
    let result = rig.result(&attempt);
    rig.ledger.apply(&result).unwrap();
    for seat in 0..6 {
        assert_eq!(told(rig.bank(seat), &result).installs.len(), 1);
    }
    let next = rig.manifest(2, 0, &seats(0..6));
    rig.open(&next);
}

#[test]
fn restart_gives_back_the_newest_models_and_all_counts() {
    let mut rig = Rig::agreed(5, fixture::risk());
    let (_, counts) = finished(&mut rig, 1);
    rig.ledger.apply(&counts).unwrap();
    (0..5).for_each(|seat| drop(told(rig.bank(seat), &counts)));
    rig.plan = fixture::plan(finetune(), 9);
    for round in 2..=3 {
        let (_, result) = finished(&mut rig, round);
        rig.ledger.apply(&result).unwrap();
        (0..5).for_each(|seat| drop(told(rig.bank(seat), &result)));
    }
    let answer = rig.restart(0);
    let sequences = answer
        .installs
        .iter()
        .map(|one| one.result.outcome.unverified().sequence);
    assert_eq!(sequences.collect::<Vec<_>>(), [1, 3]);
    let model = super::rig::parameters(&rig);
    assert_eq!(answer.installs[1].parameters.as_ref(), Some(&model));
    assert_eq!(rig.bank(0).client.ledger().head(), rig.ledger.head());
}

#[test]
fn journal_with_a_gap_or_an_identity_that_is_none_is_refused() {
    let mut rig = Rig::agreed(5, finetune());
    let (_, first) = finished(&mut rig, 1);
    let mut later = first.clone();
    resign(&mut later, |outcome| outcome.sequence = 2);
    let start = |identity, records| {
        let seed = crypto::Seed::from_entropy([1; 32]);
        Client::recover(identity, policy(), records, Kept::default(), seed).err()
    };
    let gap = start(identity(0), vec![ClientRecord::Applied(Arc::new(later))]);
    assert!(matches!(
        gap,
        Some(RecoverError::Ledger { sequence: 2, .. })
    ));
    let other_key = Identity {
        key: bank_key(1),
        ..identity(0)
    };
    assert_eq!(start(other_key, Vec::new()), Some(RecoverError::Key));
    let foreign = Identity {
        authority: crate::credential::Authority(key(9).verify_key()),
        ..identity(0)
    };
    assert!(matches!(
        start(foreign, Vec::new()),
        Some(RecoverError::Credential(_))
    ));
}

#[test]
fn late_messages_after_the_result_mean_nothing() {
    let mut rig = Rig::agreed(5, finetune());
    let (attempt, result) = finished(&mut rig, 1);
    let answer = told(rig.bank(0), &result);
    assert!(matches!(answer.sent[..], [ToCoordinator::CheckIn(_)]));
    rig.bank(0).tell(attempt.bundle(Seat(0))).assert_nothing();
    rig.bank(0)
        .tell(attempt.survivors_message())
        .assert_nothing();
    rig.bank(0).tell(attempt.acks_message()).assert_nothing();
}
