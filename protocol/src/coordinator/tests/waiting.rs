//! Why a plan waits and no round opens: each reason with its numbers, told once, and taken back.

use super::rig::{Federation, bank_id, bank_key, credential, issue, plan};
use crate::credential::{Credential, Role};
use crate::event::CoordinatorEvent;
use crate::fixture;
use crate::id::Seat;
use crate::limits::BURNT_ROUNDS_MAX;
use crate::message::{CheckIn, ToClient, ToCoordinator};
use crate::operator::{Command, Reason, Reply, Waiting};
use crate::plan::{Kind, Plan, Work};
use crate::signed::Signed;
use crate::time::Time;

fn waiting(reason: Reason, found: u32, expected: u32) -> Option<Waiting> {
    Some(Waiting {
        reason,
        found,
        expected,
    })
}

/// What was told, in order.
fn told(federation: &Federation) -> Vec<Option<Waiting>> {
    let told = federation.events.iter().filter_map(|event| match event {
        CoordinatorEvent::Waiting(waiting) => Some(*waiting),
        _ => None,
    });
    told.collect()
}

/// Runs until this is told, and holds the operator's answer against it.
#[track_caller]
fn run_until_told(federation: &mut Federation, waiting: Option<Waiting>) {
    federation.run(|federation| told(federation).last() == Some(&waiting));
    assert_eq!(federation.status().waiting, waiting);
}

/// So many banks, all of which have checked in.
fn here(banks: usize) -> Federation {
    let mut federation = Federation::new(banks);
    federation.deliver();
    federation
}

fn second(work: Work, members: u16) -> Plan {
    let mut plan = plan(work, 1, members);
    plan.nonce = 2;
    plan
}

/// The reason is told once, whatever heartbeats and banks come; the status always has the numbers
/// of the day; nothing is left to say once the round opens.
#[test]
fn too_few_banks_are_told_once_and_counted_whenever_it_is_asked() {
    let mut federation = here(5);
    federation.cut(3);
    federation.cut(4);
    assert_eq!(federation.status().waiting, None, "no plan waits");
    federation.start(plan(fixture::risk(), 1, 5));
    let later = Time(federation.now.0 + 60_000);
    federation.run(|federation| federation.now > later);
    assert_eq!(told(&federation), [waiting(Reason::Absent, 3, 5)]);
    assert_eq!(federation.status().waiting, waiting(Reason::Absent, 3, 5));
    federation.connect(3);
    federation.deliver();
    assert_eq!(federation.status().waiting, waiting(Reason::Absent, 4, 5));
    federation.connect(4);
    federation.run_to(1);
    assert_eq!(told(&federation), [waiting(Reason::Absent, 3, 5), None]);
    assert_eq!(federation.status().waiting, None);
}

/// A barred bank is as good as absent.
#[test]
fn barred_banks_are_not_counted() {
    let mut federation = here(5);
    federation.operate(Command::Bar("Bank 2".to_owned()));
    federation.start(plan(fixture::risk(), 1, 5));
    run_until_told(&mut federation, waiting(Reason::Absent, 4, 5));
}

/// c is a third of the largest roster: of ten banks three, so six must be there, whatever the
/// plan's members_min.
#[test]
fn too_few_for_the_colluders_of_the_largest_roster_are_told() {
    let mut federation = here(10);
    federation.start(plan(fixture::risk(), 1, 5));
    federation.run_to(1);
    assert_eq!(told(&federation), []);
    federation.coordinator.desk.settings.banks_expected = None;
    (5..10).for_each(|bank| federation.cut(bank));
    federation.start(second(fixture::evaluate(), 5));
    run_until_told(&mut federation, waiting(Reason::Honest, 5, 6));
    federation.connect(7);
    federation.run(|federation| federation.results().len() == 2);
    assert_eq!(federation.results()[1].survivors.len(), 6);
    assert_eq!(told(&federation), [waiting(Reason::Honest, 5, 6), None]);
}

/// Beyond 128 banks the graph is sparse: c at most a third, honest_min at most ten.
#[test]
fn limits_of_the_sparse_graph_are_told() {
    let mut federation = here(131);
    // Nobody is to agree on keys here: the selection's whole time is waited before the first.
    federation.coordinator.desk.settings.banks_expected = None;
    let mut colluded = plan(fixture::risk(), 1, 100);
    colluded.cohort.colluders = Some(45);
    let id = federation.start(colluded);
    assert_eq!(
        federation.status().waiting,
        waiting(Reason::Sparse, 131, 135)
    );
    assert_eq!(federation.operate(Command::Stop(id)), Reply::Done);
    let mut crowded = second(fixture::risk(), 100);
    crowded.cohort.honest_min = 11;
    federation.start(crowded);
    let sparse_honest = waiting(Reason::SparseHonest, 11, 10);
    assert_eq!(federation.status().waiting, sparse_honest);
    let all = [waiting(Reason::Sparse, 131, 135), None, sparse_honest];
    assert_eq!(told(&federation), all);
}

#[test]
fn a_plan_that_everybody_declined_says_so() {
    let mut federation = Federation::with_policy(5, |_, mut policy| {
        policy.kinds = [Kind::Finetune].into();
        policy
    });
    federation.start(plan(fixture::risk(), 1, 5));
    // Two refusals end the attempt; what the others say then comes late.
    run_until_told(&mut federation, waiting(Reason::Declined, 3, 5));
    // An hour later they are asked again.
    federation.now = Time(federation.now.0 + 3_600_000);
    federation.run(|federation| told(federation).last() == Some(&None));
}

#[test]
fn a_bank_that_spoilt_an_agreement_is_missed_while_it_is_set_aside() {
    let mut federation = here(5);
    federation.up = Box::new(|bank, message| match message {
        ToCoordinator::KeyBundle(_) if bank == 3 => Vec::new(),
        message => vec![message],
    });
    federation.start(plan(fixture::risk(), 1, 5));
    run_until_told(&mut federation, waiting(Reason::Aside, 4, 5));
    federation.up = Box::new(|_, message| vec![message]);
    federation.run_to(1);
    assert_eq!(told(&federation), [waiting(Reason::Aside, 4, 5), None]);
}

#[test]
fn a_bank_that_lacks_a_result_is_missed_until_it_has_it() {
    let mut federation = here(5);
    federation.down = Box::new(|bank, message| match message {
        ToClient::Result(_) if bank == 4 => Vec::new(),
        message => vec![message],
    });
    federation.start(plan(fixture::risk(), 1, 5));
    federation.run(|federation| federation.results().len() == 1);
    federation.start(second(fixture::evaluate(), 5));
    let later = Time(federation.now.0 + 60_000);
    federation.run(|federation| federation.now > later);
    assert_eq!(federation.status().waiting, waiting(Reason::Behind, 4, 5));
    federation.down = Box::new(|_, message| vec![message]);
    federation.run_to(2);
    assert_eq!(federation.status().waiting, None);
}

#[test]
fn a_bank_that_is_left_out_for_its_complaints_is_missed() {
    let mut federation = here(5);
    federation.start(plan(fixture::risk(), 1, 5));
    federation.run_to(1);
    let epoch = federation.coordinator.desk.epoch.as_mut().unwrap();
    (0..2).for_each(|_| epoch.complaints.note_unproven(Seat(4)));
    federation.start(second(fixture::evaluate(), 5));
    run_until_told(&mut federation, waiting(Reason::Complaints, 4, 5));
}

#[test]
fn halted_after_burnt_rounds_is_told_until_the_operator_starts_something() {
    let mut federation = here(5);
    federation.up = Box::new(|_, message| match message {
        ToCoordinator::Ack(_) => Vec::new(),
        message => vec![message],
    });
    federation.start(plan(fixture::risk(), 1, 5));
    let halted = waiting(Reason::Halted, BURNT_ROUNDS_MAX, BURNT_ROUNDS_MAX - 1);
    run_until_told(&mut federation, halted);
    // The halt outlives a restart, and so does its reason.
    federation.events.clear();
    federation.crash();
    assert_eq!(told(&federation), [halted]);
    federation.up = Box::new(|_, message| vec![message]);
    federation.start(second(fixture::evaluate(), 5));
    federation.run_to(2);
    assert_eq!(federation.status().waiting, None);
}

fn short_lived(bank: usize, expires: Time) -> Signed<Credential> {
    let body = credential(
        Role::Bank,
        &format!("Bank {bank}"),
        bank_id(bank),
        &bank_key(bank),
    );
    issue(Credential { expires, ..body })
}

/// This bank checks in with a credential that ends ten seconds from the federation's dawn.
fn with_short_lived(banks: usize, short: usize) -> Federation {
    let mut federation = Federation::new(banks);
    let swap = move |bank, said: Box<CheckIn>| {
        let credential = if bank == short {
            short_lived(bank, Time(11_000))
        } else {
            said.credential.clone()
        };
        ToCoordinator::CheckIn(Box::new(CheckIn {
            credential,
            ..*said
        }))
    };
    federation.up = Box::new(move |bank, message| match message {
        ToCoordinator::CheckIn(said) => vec![swap(bank, said)],
        message => vec![message],
    });
    // What is on the way was said before.
    federation.cut(short);
    federation.connect(short);
    federation.deliver();
    federation.run(|federation| federation.now > Time(12_000));
    federation
}

#[test]
fn a_bank_whose_credential_ended_is_missed() {
    let mut federation = with_short_lived(5, 4);
    federation.start(plan(fixture::risk(), 1, 5));
    assert_eq!(told(&federation), [waiting(Reason::Expired, 4, 5)]);
    assert_eq!(federation.status().waiting, waiting(Reason::Expired, 4, 5));
    // It comes with another.
    federation.up = Box::new(|_, message| vec![message]);
    federation.run_to(1);
    assert_eq!(told(&federation), [waiting(Reason::Expired, 4, 5), None]);
}

/// Everybody refuses a roster with a credential that has ended, and would be set aside for it: so
/// the others agree without that bank, at once.
#[test]
fn a_bank_whose_credential_ended_is_left_out_of_the_next_roster() {
    let mut federation = with_short_lived(6, 2);
    federation.start(plan(fixture::risk(), 1, 5));
    federation.run(|federation| federation.results().len() == 1);
    federation.assert_sum_of(&[0, 1, 3, 4, 5]);
    let abandoned = |event: &CoordinatorEvent| matches!(event, CoordinatorEvent::EpochAbandoned(_));
    assert_eq!(federation.count(abandoned), 0);
}

#[test]
fn the_coordinators_own_credential_is_minded() {
    let mut federation = here(5);
    let identity = &mut federation.coordinator.desk.identity;
    let body = identity.credential.unverified().clone();
    let expires = Time(500);
    identity.credential = issue(Credential { expires, ..body });
    federation.start(plan(fixture::risk(), 1, 7));
    assert_eq!(told(&federation), [waiting(Reason::Credential, 0, 1)]);
}

#[test]
fn reasons_are_told_in_words_with_what_was_found_and_expected() {
    let text = |reason| waiting(reason, 4, 6).unwrap().to_string();
    assert_eq!(text(Reason::Absent), "4 banks are connected, expected 6");
    let honest = "4 banks are ready for the colluders assumed and honest_min, expected 6";
    assert_eq!(text(Reason::Honest), honest);
    let halted = "4 rounds were burnt, expected at most 6: nothing opens until a plan is started";
    assert_eq!(text(Reason::Halted), halted);
}
