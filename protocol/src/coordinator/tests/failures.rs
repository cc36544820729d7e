//! Attempts that fail, and what comes after: the next attempt, the next number, or the plan's end.

use super::rig::{Federation, bank_id, plan};
use crate::blame::Refusal;
use crate::client::Contribution;
use crate::event::CoordinatorEvent;
use crate::fixture;
use crate::id::{Attempt, RoundId};
use crate::limits::{ATTEMPTS_MAX, BURNT_ROUNDS_MAX};
use crate::message::{Cause, ToCoordinator};
use crate::operator::{Command, Reply, RoundEnd};
use crate::plan::{Kind, Work};
use crate::time::Time;

/// Loses messages of a kind.
fn lose(federation: &mut Federation, is_lost: fn(usize, &ToCoordinator) -> bool) {
    federation.up = Box::new(move |bank, message| {
        if is_lost(bank, &message) {
            Vec::new()
        } else {
            vec![message]
        }
    });
}

fn lose_nothing(federation: &mut Federation) {
    lose(federation, |_, _| false);
}

fn abandoned(federation: &Federation) -> Vec<(u64, u16, Cause)> {
    let abandoned = federation.events.iter().filter_map(|event| match event {
        CoordinatorEvent::RoundAbandoned(round, attempt, cause) => {
            Some((round.0, attempt.0, *cause))
        }
        _ => None,
    });
    abandoned.collect()
}

#[test]
fn too_few_escrows_cost_an_attempt_and_not_the_number() {
    let mut federation = Federation::new(5);
    lose(&mut federation, |bank, message| {
        bank < 2 && matches!(message, ToCoordinator::Escrow(_))
    });
    federation.start(plan(fixture::risk(), 1, 5));
    federation.run(|federation| !abandoned(federation).is_empty());
    lose_nothing(&mut federation);
    federation.run_to(1);
    assert_eq!(abandoned(&federation), [(1, 0, Cause::Escrows)]);
    let manifest = federation.results()[0].manifest.unverified();
    assert_eq!((manifest.round, manifest.attempt), (RoundId(1), Attempt(1)));
    federation.assert_sum_of(&[0, 1, 2, 3, 4]);
}

#[test]
fn too_few_updates_cost_an_attempt_and_not_the_number() {
    let mut federation = Federation::new(5);
    lose(&mut federation, |bank, message| {
        bank < 2 && matches!(message, ToCoordinator::Masked(_))
    });
    federation.start(plan(fixture::risk(), 1, 5));
    federation.run(|federation| !abandoned(federation).is_empty());
    lose_nothing(&mut federation);
    federation.run_to(1);
    assert_eq!(abandoned(&federation), [(1, 0, Cause::Updates)]);
    federation.assert_sum_of(&[0, 1, 2, 3, 4]);
}

/// Nobody can have revealed, so the same base is asked again under the next number.
#[test]
fn too_few_acknowledgements_burn_the_number() {
    let mut federation = Federation::new(5);
    lose(&mut federation, |bank, message| {
        bank < 2 && matches!(message, ToCoordinator::Ack(_))
    });
    federation.start(plan(fixture::risk(), 1, 5));
    federation.run(|federation| !abandoned(federation).is_empty());
    lose_nothing(&mut federation);
    federation.run_to(1);
    assert_eq!(abandoned(&federation), [(1, 0, Cause::Acks)]);
    let manifest = federation.results()[0].manifest.unverified();
    assert_eq!((manifest.round, manifest.attempt), (RoundId(2), Attempt(0)));
    federation.assert_sum_of(&[0, 1, 2, 3, 4]);
    let Reply::Round(detail) = federation.operate(Command::Round(RoundId(1))) else {
        panic!("the burnt round is in the books");
    };
    assert_eq!(detail.summary.end, Some(RoundEnd::Abandoned(Cause::Acks)));
}

/// Shares were revealed: no honest client reveals this base again, so the plan ends.
#[test]
fn too_few_reveals_burn_the_number_and_end_the_plan() {
    let mut federation = Federation::new(5);
    lose(&mut federation, |bank, message| {
        bank < 2 && matches!(message, ToCoordinator::Reveal(_))
    });
    let id = federation.start(plan(Work::Finetune(fixture::training()), 2, 5));
    federation.run(|federation| !abandoned(federation).is_empty());
    lose_nothing(&mut federation);
    federation.run(|federation| federation.coordinator.desk.plans.get(id).is_none());
    assert_eq!(abandoned(&federation), [(1, 0, Cause::Reveals)]);
    assert_eq!(federation.coordinator.desk.ledger.length(), 0);
    // Another kind on another base runs, under the next number.
    federation.start(plan(fixture::risk(), 1, 5));
    federation.run_to(1);
    assert_eq!(
        federation.results()[0].manifest.unverified().round,
        RoundId(2)
    );
}

#[test]
fn three_burnt_rounds_halt_everything_until_the_operator_starts_something() {
    let mut federation = Federation::new(5);
    lose(&mut federation, |_, message| {
        matches!(message, ToCoordinator::Ack(_))
    });
    federation.start(plan(fixture::risk(), 1, 5));
    let halted = CoordinatorEvent::Halted(BURNT_ROUNDS_MAX);
    federation.run(|federation| federation.events.contains(&halted));
    assert_eq!(federation.status().phase, "rest");
    assert_eq!(federation.status().burnt, BURNT_ROUNDS_MAX);
    lose_nothing(&mut federation);
    let opened = federation.count(|event| matches!(event, CoordinatorEvent::RoundOpened(..)));
    let later = Time(federation.now.0 + 120_000);
    federation.run(|federation| federation.now > later);
    let still = federation.count(|event| matches!(event, CoordinatorEvent::RoundOpened(..)));
    assert_eq!(opened, still);
    // The halt outlives a restart.
    federation.crash();
    assert_eq!(federation.status().phase, "rest");
    let mut second = plan(fixture::evaluate(), 1, 5);
    second.nonce = 2;
    federation.start(second);
    federation.run_to(2);
    assert_eq!(federation.status().burnt, 0);
}

#[test]
fn a_stopped_plan_ends_and_the_next_one_runs() {
    let mut federation = Federation::new(5);
    lose(&mut federation, |_, message| {
        matches!(message, ToCoordinator::Masked(_))
    });
    let first = federation.start(plan(fixture::risk(), 1, 5));
    federation.start(plan(fixture::evaluate(), 1, 5));
    federation.run(|federation| federation.status_name() == "collection");
    lose_nothing(&mut federation);
    assert_eq!(federation.operate(Command::Stop(first)), Reply::Done);
    federation.run_to(1);
    assert_eq!(abandoned(&federation), [(1, 0, Cause::Operator)]);
    let work = &federation.results()[0].plan.plan.unverified().work;
    assert_eq!(work.kind(), Kind::Evaluate);
    assert!(matches!(
        federation.operate(Command::Stop(first)),
        Reply::Refused(_)
    ));
}

/// Once the survivors are told somebody may have acknowledged: the round is finished.
#[test]
fn a_stop_after_the_survivors_are_told_lets_the_round_end() {
    let mut federation = Federation::new(5);
    lose(&mut federation, |_, message| {
        matches!(message, ToCoordinator::Ack(_))
    });
    let id = federation.start(plan(Work::Finetune(fixture::training()), 2, 5));
    federation.run(|federation| federation.status_name() == "acknowledgement");
    assert_eq!(federation.operate(Command::Stop(id)), Reply::Done);
    federation.crash();
    lose_nothing(&mut federation);
    federation.run_to(1);
    assert_eq!(federation.status().phase, "rest");
    assert_eq!(federation.results().len(), 1);
}

/// Three of eight banks do not do this kind of plan: the first attempt shows it, the second is run
/// without them.
#[test]
fn who_declines_a_plan_is_left_out_of_its_next_cohort() {
    let mut federation = Federation::with_policy(8, |bank, mut policy| {
        if bank < 3 {
            policy.kinds = [Kind::Finetune].into();
        }
        policy
    });
    federation.start(plan(fixture::risk(), 1, 5));
    federation.start(plan(Work::Finetune(fixture::training()), 1, 8));
    federation.run_to(1);
    assert_eq!(abandoned(&federation), [(1, 0, Cause::Declined)]);
    federation.assert_result_of(0, &[3, 4, 5, 6, 7]);
    let refusal = Some(Refusal::KindNotAllowed(Kind::Risk).to_string());
    assert_eq!(federation.status().clients[0].refusal, refusal);
    federation.run_to(2);
    assert_eq!(
        federation.results()[1].survivors.len(),
        8,
        "they take part in the next plan"
    );
}

/// Whoever declined is asked again an hour later, and a plan that nobody wants comes to its end.
#[test]
fn a_plan_that_everybody_declines_is_asked_for_seldom_and_then_given_up() {
    let mut federation = Federation::with_policy(5, |_, mut policy| {
        policy.kinds = [Kind::Finetune].into();
        policy
    });
    let mut unwanted = plan(fixture::risk(), 1, 5);
    unwanted.expires = Time(u64::MAX);
    let id = federation.start(unwanted);
    for asked in 1..=usize::from(ATTEMPTS_MAX) {
        let later = Time(federation.now.0 + 300_000);
        federation.run(|federation| federation.now > later);
        assert_eq!(abandoned(&federation).len(), asked);
        federation.now = Time(federation.now.0 + 3_400_000);
    }
    assert_eq!(federation.coordinator.desk.plans.get(id).map(|_| ()), None);
    assert_eq!(federation.status().phase, "rest");
}

/// The local work fails again and again: the plan is given up after some attempts, with a pause
/// before each, and the next plan runs.
#[test]
fn a_plan_whose_attempts_all_fail_is_given_up() {
    let mut federation = Federation::new(5);
    federation.work = |bank, order| match order.plan.work.kind() {
        Kind::Risk if bank < 3 => Err("no data".to_owned()),
        _ => Ok(Contribution::Counts(super::rig::counts(bank, 32))),
    };
    federation.start(plan(fixture::risk(), 1, 5));
    federation.start(plan(fixture::evaluate(), 1, 5));
    federation.run_to(1);
    let failed = abandoned(&federation);
    assert_eq!(failed.len(), usize::from(ATTEMPTS_MAX));
    let ended = CoordinatorEvent::PlanEnded("weekly".to_owned(), 0);
    assert!(federation.events.contains(&ended));
    let manifest = federation.results()[0].manifest.unverified();
    assert_eq!((manifest.round, manifest.attempt), (RoundId(2), Attempt(0)));
}

#[test]
fn an_expired_plan_opens_no_round() {
    let mut federation = Federation::new(2);
    let mut short = plan(fixture::risk(), 1, 5);
    short.expires = Time(30_000);
    let id = federation.start(short);
    federation.run(|federation| federation.coordinator.desk.plans.get(id).is_none());
    assert!(federation.now > Time(30_000));
    let ended = CoordinatorEvent::PlanEnded("weekly".to_owned(), 0);
    assert!(federation.events.contains(&ended));
}

/// A bank that restarts has lost its round: the others finish it, and the next epoch has it again.
#[test]
fn a_restarted_bank_drops_out_of_the_attempt_and_sits_in_the_next_epoch() {
    let mut federation = Federation::new(5);
    lose(&mut federation, |bank, message| {
        bank == 2 && matches!(message, ToCoordinator::Masked(_))
    });
    federation.start(plan(fixture::risk(), 1, 5));
    federation.start(plan(fixture::evaluate(), 1, 5));
    federation.run(|federation| federation.status_name() == "collection");
    lose_nothing(&mut federation);
    let before = federation.now;
    federation.restart(2);
    federation.run_to(1);
    assert!(
        federation.now.since(before).0 < 30_000,
        "nobody waited for the deadline"
    );
    federation.run_to(2);
    federation.assert_result_of(0, &[0, 1, 3, 4]);
    federation.assert_result_of(1, &[0, 1, 2, 3, 4]);
    let agreed = federation.count(|event| matches!(event, CoordinatorEvent::EpochAgreed(..)));
    assert_eq!(agreed, 2);
    assert!(federation.coordinator.desk.registry.is_here(bank_id(2)));
}

/// A coordinator that was away gives the running phase its whole span again.
#[test]
fn an_outage_of_the_coordinator_costs_no_attempt() {
    let federation = after_an_outage(40_000);
    assert_eq!(
        federation.results()[0].manifest.unverified().attempt,
        Attempt(0)
    );
}

/// But not beyond the end that the clients were told: then it is another attempt's turn.
#[test]
fn an_outage_beyond_the_end_of_a_round_costs_an_attempt() {
    let federation = after_an_outage(600_000);
    assert_eq!(
        federation.results()[0].manifest.unverified().attempt,
        Attempt(1)
    );
}

fn after_an_outage(away: u64) -> Federation {
    let mut federation = Federation::new(5);
    lose(&mut federation, |bank, message| {
        bank < 2 && matches!(message, ToCoordinator::Masked(_))
    });
    let mut terms = plan(fixture::risk(), 1, 5);
    terms.expires = Time(u64::MAX);
    federation.start(terms);
    federation.run(|federation| federation.status_name() == "collection");
    lose_nothing(&mut federation);
    federation.now = Time(federation.now.0 + away);
    federation.crash();
    federation.run_to(1);
    federation.assert_sum_of(&[0, 1, 2, 3, 4]);
    federation
}
