//! Honest rounds: exact sums whoever drops out, the same answer to the same question, facts
//! before words, and what is left after a restart.

use std::sync::Arc;

use super::rig::{END, NOW, Node, Rig, contribution, parameters, policy};
use crate::blame::{Misbehaviour, Refusal};
use crate::client::{Contribution, Heard, Outcome};
use crate::event::ClientEvent;
use crate::fixture::{self, seats};
use crate::id::{Attempt, RoundId, Seat, Seats};
use crate::message::{Abandoned, Cause, Manifest, ToClient, ToCoordinator};
use crate::party::Party;
use crate::plan::Work;
use crate::record::ClientRecord;
use crate::time::{Duration, Time};
use crate::vector;

fn finetune() -> Work {
    Work::Finetune(fixture::training())
}

/// Who stops answering after which message.
struct Drops {
    escrow: Seats,
    masked: Seats,
    ack: Seats,
    reveal: Seats,
}

fn drops(escrow: &[u16], masked: &[u16], ack: &[u16], reveal: &[u16]) -> Drops {
    let set = |list: &[u16]| seats(list.iter().copied());
    Drops {
        escrow: set(escrow),
        masked: set(masked),
        ack: set(ack),
        reveal: set(reveal),
    }
}

/// Runs a round of counts in which these banks drop out, and checks the sum to the last count.
fn sum_is_exact(members: u16, drops: &Drops) {
    let mut rig = Rig::agreed(members, fixture::risk());
    let all = seats(0..members);
    let manifest = rig.manifest(1, 0, &all);
    let mut attempt = rig.open(&manifest);
    attempt.escrowed = all.without(&drops.escrow);
    rig.work(&attempt, &attempt.escrowed.clone());
    rig.collect(&mut attempt, &all.without(&drops.masked));
    rig.acknowledge(&mut attempt, &all.without(&drops.ack));
    let revealing = attempt.survivors().without(&drops.reveal);
    rig.reveal(&mut attempt, &revealing);
    let result = rig.result(&attempt);

    let mut expected = vec![0_i32; result.sum.len() - 6];
    for seat in attempt.survivors().iter() {
        let Contribution::Counts(counts) = contribution(&rig.plan, seat) else {
            panic!("a risk plan is counted");
        };
        expected
            .iter_mut()
            .zip(counts)
            .for_each(|(sum, count)| *sum += count.cast_signed());
    }
    assert_eq!(vector::payload(&result.sum), expected);
    let (head, step) = (rig.ledger.head(), rig.ledger.apply(&result).unwrap().step);
    assert_eq!(step, 0);
    assert_ne!(rig.ledger.head(), head);
    for seat in all.iter() {
        let answer = rig
            .bank(seat.0)
            .tell(ToClient::Result(Arc::new(result.clone())));
        let [install] = &answer.installs[..] else {
            panic!("{:?}", answer.events)
        };
        assert_eq!(install.banks as usize, attempt.survivors().len());
        assert!(matches!(answer.sent[..], [ToCoordinator::CheckIn(_)]));
        assert_eq!(rig.bank(seat.0).client.ledger().head(), rig.ledger.head());
    }
}

#[test]
fn sum_of_five_is_exact_whichever_stage_one_of_them_drops_out_at() {
    sum_is_exact(5, &drops(&[], &[], &[], &[]));
    sum_is_exact(5, &drops(&[1], &[], &[], &[]));
    sum_is_exact(5, &drops(&[], &[4], &[], &[]));
    sum_is_exact(5, &drops(&[], &[], &[0], &[]));
    sum_is_exact(5, &drops(&[], &[], &[], &[2]));
}

#[test]
fn sum_of_ten_is_exact_with_dropouts_at_every_stage() {
    sum_is_exact(10, &drops(&[3], &[7], &[], &[0]));
    sum_is_exact(10, &drops(&[0], &[9], &[5], &[]));
    sum_is_exact(10, &drops(&[], &[1, 2, 4], &[], &[]));
}

#[test]
fn after_every_training_round_every_bank_holds_the_same_model() {
    let mut rig = Rig::agreed(5, finetune());
    for round in 1..=3 {
        let before = parameters(&rig);
        let result = rig.round(round, 5);
        rig.ledger.apply(&result).unwrap();
        assert_ne!(parameters(&rig), before);
        for seat in 0..5 {
            let answer = rig
                .bank(seat)
                .tell(ToClient::Result(Arc::new(result.clone())));
            let [install] = &answer.installs[..] else {
                panic!("{:?}", answer.events)
            };
            assert_eq!(install.parameters.as_ref(), Some(&parameters(&rig)));
            assert_eq!(install.step + 1, u32::try_from(round).unwrap());
        }
    }
}

#[test]
fn the_same_question_gets_the_same_answer_at_every_stage() {
    let mut rig = Rig::agreed(5, fixture::risk());
    let all = seats(0..5);
    let manifest = rig.manifest(1, 0, &all);
    let offer = rig.offer(&manifest);
    let mut attempt = rig.open(&manifest);
    let escrow = ToCoordinator::Escrow(Box::new(attempt.escrows[&Seat(0)].clone()));
    let again = rig.bank(0).tell(offer);
    assert_eq!(again.sent, [escrow]);
    assert_eq!(again.orders, [], "the work was asked for once");

    rig.work(&attempt, &all);
    rig.collect(&mut attempt, &all);
    let again = rig.bank(0).tell(attempt.bundle(Seat(0)));
    let masked = attempt.masked[&Seat(0)].clone();
    assert_eq!(again.sent, [ToCoordinator::Masked(Box::new(masked))]);

    rig.acknowledge(&mut attempt, &all);
    let again = rig.bank(0).tell(attempt.survivors_message());
    assert_eq!(again.sent, [ToCoordinator::Ack(attempt.acks[0].clone())]);
    assert_eq!(again.records, []);

    let first = rig.bank(0).tell(attempt.acks_message());
    let again = rig.bank(0).tell(attempt.acks_message());
    assert_eq!(again.bytes(), first.bytes());
    assert_eq!(again.records, []);
    rig.bank(0)
        .tell(attempt.survivors_message())
        .assert_nothing();
}

#[test]
fn key_agreement_questions_get_the_same_answer_during_and_after_it() {
    let mut rig = Rig::met(5, fixture::risk());
    let epoch = crate::id::EpochId(1);
    let roster = crate::signed::Signed::sign(rig.roster(epoch, 5), &super::rig::coordinator_key());
    let roster = ToClient::Roster(Box::new(roster));
    let first = rig.bank(2).tell(roster.clone());
    assert_eq!(
        first.order,
        ["persist", "send"],
        "the epoch is used before its keys are out"
    );
    let during = rig.bank(2).tell(roster.clone());
    assert_eq!(during.bytes(), first.bytes());
    assert_eq!(during.records, []);
    rig.agree(epoch, 5);
    assert_eq!(rig.bank(2).tell(roster).bytes(), first.bytes());
}

#[test]
fn what_binds_is_remembered_before_what_depends_on_it_is_said() {
    let mut rig = Rig::agreed(5, fixture::risk());
    let manifest = rig.manifest(1, 0, &seats(0..5));
    let joined = rig.offer(&manifest);
    let answer = rig.bank(0).tell(joined);
    assert_eq!(
        answer.records,
        [ClientRecord::Joined(NOW, RoundId(1), Attempt(0))]
    );
    assert_eq!(answer.order, ["persist", "report", "send", "perform"]);

    let mut rig = Rig::agreed(5, fixture::risk());
    let mut attempt = rig.collected(1, 0, 5);
    let answer = rig.bank(0).tell(attempt.survivors_message());
    assert_eq!(answer.records, [ClientRecord::Acked(RoundId(1))]);
    assert_eq!(answer.order, ["persist", "send", "report"]);

    rig.acknowledge(&mut attempt, &seats(0..5));
    let answer = rig.bank(0).tell(attempt.acks_message());
    let kind = rig.plan.work.kind();
    let revealed = ClientRecord::Revealed(RoundId(1), kind, attempt.manifest.base, Some(102));
    assert_eq!(answer.records, [revealed]);
    assert_eq!(answer.order, ["persist", "send", "report"]);

    rig.reveal(&mut attempt, &seats(1..5));
    let result = Arc::new(rig.result(&attempt));
    let answer = rig.bank(0).tell(ToClient::Result(result.clone()));
    assert_eq!(answer.records, [ClientRecord::Applied(result)]);
    assert_eq!(answer.order, ["persist", "perform", "report", "send"]);
}

/// Endpoint compromise later: the chain keys move past a round as soon as it is revealed, given up
/// after the acknowledgement, or decided without us.
#[test]
fn keys_of_a_round_that_is_over_are_gone() {
    let holds = |rig: &mut Rig, seat: u16, round: u64| {
        let keyring = rig.bank(seat).client.phase.keyring().unwrap();
        keyring.reaches(RoundId(round))
    };
    let mut rig = Rig::agreed(6, fixture::risk());
    let manifest = rig.manifest(3, 0, &seats(0..6));
    let mut attempt = rig.open(&manifest);
    rig.work(&attempt, &seats(0..6));
    rig.collect(&mut attempt, &seats(0..5));
    assert!(
        !holds(&mut rig, 0, 2),
        "joining a round gives up those before it"
    );
    rig.acknowledge(&mut attempt, &seats(0..5));
    assert!(holds(&mut rig, 0, 3));
    rig.reveal(&mut attempt, &seats(0..4));
    assert!(!holds(&mut rig, 0, 3), "revealed");
    rig.bank(4).client.handle_timeout(END);
    assert!(!holds(&mut rig, 4, 3), "acknowledged and given up");
    assert!(
        holds(&mut rig, 5, 3),
        "dropped out, and another attempt may come"
    );
    let result = rig.result(&attempt);
    rig.bank(5).tell(ToClient::Result(Arc::new(result)));
    assert!(!holds(&mut rig, 5, 3), "decided");
}

#[test]
fn masked_vector_waits_for_the_work_if_the_escrows_are_in_first() {
    let mut rig = Rig::agreed(5, fixture::risk());
    let manifest = rig.manifest(1, 0, &seats(0..5));
    let attempt = rig.open(&manifest);
    rig.bank(0).tell(attempt.bundle(Seat(0))).assert_nothing();
    let contribution = contribution(&rig.plan, Seat(0));
    let answer = rig.bank(0).done(attempt.context(), contribution.clone());
    assert!(matches!(answer.sent[..], [ToCoordinator::Masked(_)]));
    // One contribution is masked into one attempt, once.
    rig.bank(0)
        .done(attempt.context(), contribution)
        .assert_nothing();
}

#[test]
fn work_of_a_former_attempt_is_masked_into_no_later_one() {
    let mut rig = Rig::agreed(5, fixture::risk());
    let first = rig.manifest(1, 0, &seats(0..5));
    let first = rig.open(&first);
    let second = rig.manifest(1, 1, &seats(0..5));
    let second = rig.open(&second);
    let stale = contribution(&rig.plan, Seat(0));
    rig.bank(0).done(first.context(), stale).assert_nothing();
    rig.bank(0).tell(second.bundle(Seat(0))).assert_nothing();
}

/// A13: what a mask is made from is fresh on both sides of every attempt.
#[test]
fn two_attempts_share_no_nonce_no_commitment_and_no_seed() {
    let mut rig = Rig::agreed(5, finetune());
    let first = rig.manifest(1, 0, &seats(0..5));
    let second = Manifest {
        attempt: Attempt(1),
        ..first.clone()
    };
    let (offer_first, offer_second) = (rig.offer(&first), rig.offer(&second));
    let mut told = Vec::new();
    for offer in [offer_first, offer_second] {
        let answer = rig.bank(0).tell(offer);
        let [ToCoordinator::Escrow(escrow)] = &answer.sent[..] else {
            panic!("an escrow")
        };
        told.push((escrow.clone(), answer.orders[0].seed));
    }
    let [(first, seed_first), (second, seed_second)] = &told[..] else {
        panic!("two attempts")
    };
    assert_ne!(
        first.header.unverified().nonce,
        second.header.unverified().nonce
    );
    assert_ne!(
        first.header.unverified().self_secret,
        second.header.unverified().self_secret
    );
    assert!(
        first
            .commitments
            .iter()
            .zip(&second.commitments)
            .all(|(a, b)| a != b)
    );
    assert_ne!(seed_first, seed_second);
}

#[test]
fn failed_work_declines_the_attempt_and_says_so_again() {
    let mut rig = Rig::agreed(5, finetune());
    let manifest = rig.manifest(1, 0, &seats(0..5));
    let offer = rig.offer(&manifest);
    let order = rig.bank(0).tell(offer.clone()).orders.remove(0);
    let contribution = Err("no labelled transaction".to_owned());
    rig.bank(0).client.handle_outcome(
        NOW,
        Outcome {
            context: order.context,
            contribution,
        },
    );
    let answer = rig.bank(0).drain();
    let [ToCoordinator::Declined(declined)] = &answer.sent[..] else {
        panic!("{:?}", answer.sent)
    };
    assert_eq!(
        declined.refusal,
        Refusal::Local("no labelled transaction".to_owned())
    );
    assert_eq!(declined.round, Some((RoundId(1), Attempt(0))));
    assert_eq!(rig.bank(0).tell(offer).sent, answer.sent);
}

/// A14.
#[test]
fn update_that_is_not_finite_never_leaves() {
    let mut rig = Rig::agreed(5, finetune());
    let manifest = rig.manifest(1, 0, &seats(0..5));
    let attempt = rig.open(&manifest);
    rig.bank(0).tell(attempt.bundle(Seat(0))).assert_nothing();
    let Contribution::Update {
        mut delta,
        examples,
    } = contribution(&rig.plan, Seat(0))
    else {
        panic!("a training plan is updated");
    };
    delta[3] = f32::NAN;
    let answer = rig
        .bank(0)
        .done(attempt.context(), Contribution::Update { delta, examples });
    let [ToCoordinator::Declined(declined)] = &answer.sent[..] else {
        panic!("{:?}", answer.sent)
    };
    assert!(matches!(&declined.refusal, Refusal::Local(why) if why.contains("not finite")));
}

#[test]
fn counts_for_a_training_plan_are_declined() {
    let mut rig = Rig::agreed(5, finetune());
    let manifest = rig.manifest(1, 0, &seats(0..5));
    let attempt = rig.open(&manifest);
    rig.bank(0).tell(attempt.bundle(Seat(0)));
    let answer = rig
        .bank(0)
        .done(attempt.context(), Contribution::Counts(vec![1; 23]));
    assert!(matches!(&answer.sent[..], [ToCoordinator::Declined(_)]));
}

#[test]
fn restarted_bank_has_dropped_out_and_asks_for_keys() {
    let mut rig = Rig::agreed(5, fixture::risk());
    let mut attempt = rig.collected(1, 0, 5);
    rig.restart(0);
    rig.bank(0)
        .tell(attempt.survivors_message())
        .assert_nothing();
    rig.acknowledge_by(&mut attempt, &seats(1..5));
    rig.bank(0).tell(attempt.acks_message()).assert_nothing();

    // The attempt's own offer, and the next one's: it has no keys, and says so, once per attempt.
    for number in 0..2 {
        let manifest = rig.manifest(1, number, &seats(0..5));
        let offer = rig.offer(&manifest);
        let answer = rig.bank(0).tell(offer.clone());
        let [ToCoordinator::CheckIn(check_in)] = &answer.sent[..] else {
            panic!("{:?}", answer.sent);
        };
        assert_eq!(check_in.epoch, None);
        rig.bank(0).tell(offer).assert_nothing();
    }
    rig.agree(crate::id::EpochId(2), 5);
    let next = rig.manifest(2, 0, &seats(0..5));
    rig.open(&next);
}

#[test]
fn bank_that_lost_its_connection_goes_on_where_it_was() {
    let mut rig = Rig::agreed(5, fixture::risk());
    let mut attempt = rig.collected(1, 0, 5);
    assert_eq!(rig.bank(0).hear(Heard::Gone).sent, []);
    rig.meet(0);
    rig.acknowledge(&mut attempt, &seats(0..5));
    assert_eq!(attempt.acks.len(), 5);
}

#[test]
fn heartbeat_goes_out_while_the_link_is_up_and_only_then() {
    let mut rig = Rig::agreed(5, fixture::risk());
    let bank = rig.bank(0);
    let due = bank.client.next_timeout().unwrap();
    assert_eq!(due, NOW.after(Duration(crate::limits::HEARTBEAT_MS)));
    bank.client.handle_timeout(due);
    assert!(matches!(bank.drain().sent[..], [ToCoordinator::CheckIn(_)]));
    assert!(bank.client.next_timeout().unwrap() > due);
    bank.hear(Heard::Gone);
    assert_eq!(bank.client.next_timeout(), None);
}

#[test]
fn attempt_is_given_up_when_all_of_its_time_has_passed() {
    let mut rig = Rig::agreed(5, fixture::risk());
    let attempt = rig.collected(1, 0, 5);
    let bank = rig.bank(0);
    bank.hear(Heard::Gone);
    assert_eq!(bank.client.next_timeout(), Some(END));
    bank.client.handle_timeout(Time(END.0 - 1));
    bank.drain().assert_nothing();
    bank.client.handle_timeout(END);
    let answer = bank.drain();
    let ended = ClientEvent::Abandoned(RoundId(1), Attempt(0), Cause::Updates);
    assert_eq!(answer.events, [ended]);
    assert_eq!(
        answer.records,
        [ClientRecord::Abandoned(RoundId(1), Attempt(0))]
    );
    bank.tell(attempt.survivors_message()).assert_nothing();
}

#[test]
fn abandoned_attempt_is_left_and_the_next_attempt_joined() {
    let mut rig = Rig::agreed(5, fixture::risk());
    rig.collected(1, 0, 5);
    let other = Abandoned {
        round: RoundId(1),
        attempt: Attempt(7),
        cause: Cause::Updates,
    };
    rig.bank(0)
        .tell(ToClient::Abandoned(other))
        .assert_nothing();
    let ours = Abandoned {
        attempt: Attempt(0),
        ..other
    };
    for seat in 0..5 {
        let answer = rig.bank(seat).tell(ToClient::Abandoned(ours));
        let ended = ClientEvent::Abandoned(RoundId(1), Attempt(0), Cause::Updates);
        assert_eq!(answer.events, [ended]);
    }
    rig.collected(1, 1, 5);
}

#[test]
fn offer_on_another_head_is_answered_with_where_we_stand() {
    let mut rig = Rig::agreed(5, finetune());
    let result = rig.round(1, 5);
    rig.ledger.apply(&result).unwrap();
    // The result was lost on its way to bank 0, which is offered the next round.
    let manifest = rig.manifest(2, 0, &seats(0..5));
    let offer = rig.offer(&manifest);
    let answer = rig.bank(0).tell(offer.clone());
    let [ToCoordinator::CheckIn(check_in)] = &answer.sent[..] else {
        panic!("{:?}", answer.sent)
    };
    assert_eq!(check_in.ledger, 0);
    assert_eq!(answer.blamed(), []);
    rig.bank(0).tell(offer.clone()).assert_nothing();
    rig.bank(0).tell(ToClient::Result(Arc::new(result)));
    assert!(matches!(
        rig.bank(0).tell(offer).sent[..],
        [ToCoordinator::Escrow(_)]
    ));
}

#[test]
fn nothing_is_followed_before_the_coordinator_is_known() {
    let rig = Rig::met(5, fixture::risk());
    let roster = rig.roster(crate::id::EpochId(1), 5);
    let roster = crate::signed::Signed::sign(roster, &super::rig::coordinator_key());
    let mut stranger = Node::start(0, 3, policy(), Vec::new());
    stranger.hear(Heard::Connected);
    stranger
        .tell(ToClient::Roster(Box::new(roster)))
        .assert_nothing();
    let reply = crate::operator::Reply::Done;
    let answer = stranger.tell(ToClient::Operator(Box::new(reply)));
    answer.assert_blamed(Misbehaviour::OutOfOrder("operator's reply"));
}
