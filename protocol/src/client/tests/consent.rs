//! What one institution refuses whatever the others do: the refusal is told, nothing is trained.

use super::rig::{NOW, Node, Rig, policy};
use crate::blame::Refusal;
use crate::client::consent::Policy;
use crate::event::ClientEvent;
use crate::fixture::{self, key, seats};
use crate::id::EpochId;
use crate::message::{RoundOffer, ToClient, ToCoordinator};
use crate::party::Party;
use crate::plan::{Kind, Width, Work};
use crate::signed::Signed;
use crate::time::Time;

fn finetune() -> Work {
    Work::Finetune(fixture::training())
}

/// Six banks of which the first has this policy.
fn with(change: impl FnOnce(&mut Policy)) -> Rig {
    let mut rig = Rig::met(6, finetune());
    let mut own = policy();
    change(&mut own);
    *rig.bank(0) = Node::start(0, 1, own, Vec::new());
    rig.meet(0);
    rig.agree(EpochId(1), 6);
    rig
}

fn offered(rig: &mut Rig, round: u64) -> super::rig::Answer {
    let manifest = rig.manifest(round, 0, &seats(0..6));
    let offer = rig.offer(&manifest);
    rig.bank(0).tell(offer)
}

#[track_caller]
fn is_refused(rig: &mut Rig, round: u64, refusal: Refusal) {
    let answer = offered(rig, round);
    let [ToCoordinator::Declined(declined)] = &answer.sent[..] else {
        panic!("{:?}", answer.sent)
    };
    assert_eq!(declined.refusal, refusal);
    assert_eq!(
        (&answer.records[..], &answer.orders[..]),
        (&[][..], &[][..])
    );
}

#[test]
fn kind_that_is_not_allowed_is_declined_once_in_the_log_and_each_time_on_the_wire() {
    let mut rig = with(|policy| policy.kinds = [Kind::Risk].into());
    let refusal = Refusal::KindNotAllowed(Kind::Finetune);
    let first = offered(&mut rig, 1);
    assert_eq!(first.events, [ClientEvent::Declined(refusal)]);
    let again = offered(&mut rig, 1);
    assert_eq!(again.events, []);
    assert_eq!(again.bytes(), first.bytes());
}

#[test]
fn cohort_below_our_own_minimum_is_declined() {
    let mut rig = with(|policy| policy.members_min = 7);
    is_refused(
        &mut rig,
        1,
        Refusal::CohortTooSmall {
            found: 6,
            minimum: 7,
        },
    );
}

#[test]
fn fewer_colluders_than_we_assume_are_declined() {
    let mut rig = with(|policy| policy.colluders_min = Some(2));
    is_refused(
        &mut rig,
        1,
        Refusal::ColludersTooFew {
            found: 1,
            minimum: 2,
        },
    );
    let mut rig = with(|_| ());
    rig.plan.cohort.colluders = Some(0);
    is_refused(
        &mut rig,
        1,
        Refusal::ColludersTooFew {
            found: 0,
            minimum: 1,
        },
    );
}

#[test]
fn fewer_honest_banks_than_we_ask_for_are_declined() {
    let mut rig = with(|policy| policy.honest_min = 5);
    let why = "keeps 3 honest banks in a sum, this institution asks for 5";
    is_refused(&mut rig, 1, Refusal::Plan(why.to_owned()));
}

/// A2: the architecture is on our list or it is not trained.
#[test]
fn schema_and_layout_must_be_on_our_lists() {
    let mut rig = with(|policy| policy.schemas.clear());
    is_refused(
        &mut rig,
        1,
        Refusal::SchemaNotApproved(fixture::model().schema.digest()),
    );
    let schema = fixture::model().schema;
    let refusal = Refusal::SchemaNotApproved(schema.digest());
    let said = [
        ClientEvent::ForeignSchema(schema),
        ClientEvent::Declined(refusal),
    ];
    assert_eq!(offered(&mut rig, 2).events, said);
    let mut rig = with(|policy| policy.layouts.clear());
    is_refused(
        &mut rig,
        1,
        Refusal::LayoutNotApproved(fixture::model().layout.digest()),
    );
}

#[test]
fn rounds_of_a_day_run_out_and_come_back_the_next_day() {
    let mut rig = with(|policy| policy.rounds_per_day = 2);
    assert_eq!(offered(&mut rig, 1).orders.len(), 1);
    assert_eq!(offered(&mut rig, 2).orders.len(), 1);
    is_refused(&mut rig, 3, Refusal::RoundsSpent(2));
    // Another attempt at a round that was counted is free.
    let manifest = rig.manifest(2, 1, &seats(0..6));
    let again = rig.offer(&manifest);
    assert_eq!(rig.bank(0).tell(again).orders.len(), 1);
    // The restarted bank has used them all the same; tomorrow it has others.
    let journal = std::mem::take(&mut rig.bank(0).journal);
    let own = Policy {
        rounds_per_day: 2,
        ..policy()
    };
    *rig.bank(0) = Node::start(0, 2, own, journal);
    rig.meet(0);
    rig.agree(EpochId(2), 6);
    is_refused(&mut rig, 4, Refusal::RoundsSpent(2));
    rig.plan.expires = Time(2 * 86_400_000);
    let mut manifest = rig.manifest(5, 0, &seats(0..6));
    manifest.due.end = Time(2 * 86_400_000);
    let offer = rig.offer(&manifest);
    let tomorrow = Time(86_400_000);
    let bank = rig.bank(0);
    bank.client
        .handle_message(tomorrow, (), crate::client::Heard::Message(offer));
    let answer = bank.drain();
    // Tomorrow the test's operator credential is over: the plan is declined for that alone.
    let [ToCoordinator::Declined(declined)] = &answer.sent[..] else {
        panic!("{:?}", answer.sent)
    };
    assert!(matches!(&declined.refusal, Refusal::Plan(why) if why.contains("expired")));
}

#[test]
fn plan_of_no_operator_of_ours_is_declined() {
    let mut rig = with(|_| ());
    let manifest = rig.manifest(1, 0, &seats(0..6));
    let manifest = Signed::sign(manifest, &super::rig::coordinator_key());
    let mut plan = rig.signed_plan();
    plan.plan = Signed::sign(rig.plan.clone(), &key(5));
    let offer = RoundOffer { manifest, plan };
    let answer = rig.bank(0).tell(ToClient::Round(Box::new(offer)));
    let [ToCoordinator::Declined(declined)] = &answer.sent[..] else {
        panic!("{:?}", answer.sent)
    };
    let why = "its signature is not the operator's".to_owned();
    assert_eq!(declined.refusal, Refusal::Plan(why));
}

#[test]
fn plan_that_is_over_or_out_of_range_is_declined() {
    let mut rig = with(|_| ());
    rig.plan.expires = Time(NOW.0 - 1);
    let answer = offered(&mut rig, 1);
    let [ToCoordinator::Declined(declined)] = &answer.sent[..] else {
        panic!("{:?}", answer.sent)
    };
    assert!(matches!(&declined.refusal, Refusal::Plan(why) if why.starts_with("expired at")));

    let mut rig = with(|_| ());
    let Work::Finetune(terms) = &mut rig.plan.work else {
        panic!("a training plan")
    };
    terms.rate = f32::NAN;
    let answer = offered(&mut rig, 1);
    let [ToCoordinator::Declined(declined)] = &answer.sent[..] else {
        panic!("{:?}", answer.sent)
    };
    assert!(matches!(&declined.refusal, Refusal::Plan(why) if why.contains("rate")));

    let mut rig = with(|_| ());
    let Work::Finetune(terms) = &mut rig.plan.work else {
        panic!("a training plan")
    };
    terms.value_bits = 20;
    rig.plan.width = Width::Packed;
    let why = "training.value_bits is 20, expected 8 to 19: words of 24 bits and members_min 5";
    is_refused(&mut rig, 1, Refusal::Plan(why.to_owned()));
}
