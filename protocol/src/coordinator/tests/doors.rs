//! Who may say what: credentials, roles, the operator's commands, and those who are barred.

use super::rig::{
    Federation, OPERATOR, bank_credential, bank_id, operator_credential, plan, signed_plan,
};
use crate::blame::{Misbehaviour, Refusal};
use crate::coordinator::FromPeer;
use crate::credential::Credential;
use crate::fixture::{self, key};
use crate::id::{ClientId, RoundId};
use crate::message::{CheckIn, Holding, OperatorMessage, ToClient, ToCoordinator};
use crate::operator::{Command, Reply};
use crate::party::{Output, Party};
use crate::plan::{Width, Work};
use crate::record::CoordinatorRecord;
use crate::signed::Signed;
use crate::time::Time;

/// What one connection is told in answer to one message.
fn ask(federation: &mut Federation, from: ClientId, message: ToCoordinator) -> Vec<ToClient> {
    let now = federation.now;
    federation
        .coordinator
        .handle_message(now, from, FromPeer::Message(message));
    let mut answers = Vec::new();
    while let Some(output) = federation.coordinator.poll_output() {
        match output {
            Output::Send { to, message } if to == from => answers.push(message),
            Output::Report(event) => federation.events.push(event),
            Output::Persist(record) => federation.records.push(record),
            Output::Send { .. } | Output::Perform(_) => {}
        }
    }
    answers
}

fn command(credential: Signed<Credential>, command: Command) -> ToCoordinator {
    let operator = credential;
    ToCoordinator::Operator(Box::new(OperatorMessage { operator, command }))
}

fn check_in(credential: Signed<Credential>, federation: &Federation) -> ToCoordinator {
    let ledger = &federation.coordinator.desk.ledger;
    ToCoordinator::CheckIn(Box::new(CheckIn {
        credential,
        epoch: None,
        ledger: ledger.length(),
        head: ledger.head(),
        bucket_key: Holding::Lacking,
    }))
}

#[test]
fn the_operators_door_is_shut_to_banks() {
    let mut federation = Federation::new(3);
    let bar = Command::Bar("Bank 1".to_owned());
    let message = command(bank_credential(0), bar.clone());
    let answers = ask(&mut federation, bank_id(0), message);
    assert_eq!(answers, [ToClient::Refused(Refusal::Role)]);
    // Nor does the operator's credential open it on another's connection.
    let answers = ask(
        &mut federation,
        bank_id(0),
        command(operator_credential(), bar),
    );
    assert_eq!(answers, [ToClient::Refused(Refusal::Role)]);
    assert_eq!(federation.blamed().len(), 2);
    assert_eq!(federation.records, []);
}

#[test]
fn the_banks_door_is_shut_to_the_operator_and_to_borrowed_credentials() {
    let mut federation = Federation::new(3);
    let message = check_in(operator_credential(), &federation);
    let answers = ask(&mut federation, OPERATOR, message);
    assert_eq!(answers, [ToClient::Refused(Refusal::Role)]);
    let stranger = ClientId(crypto::Digest([99; 32]));
    let message = check_in(bank_credential(0), &federation);
    let answers = ask(&mut federation, stranger, message);
    assert_eq!(answers, [ToClient::Refused(Refusal::Role)]);
    let forged = Signed::sign(bank_credential(0).unverified().clone(), &key(8));
    let message = check_in(forged, &federation);
    let answers = ask(&mut federation, bank_id(0), message);
    assert_eq!(answers, [ToClient::Refused(Refusal::Role)]);
    let mut expired = bank_credential(0).unverified().clone();
    expired.expires = Time(1);
    let message = check_in(Signed::sign(expired, &key(1)), &federation);
    let answers = ask(&mut federation, bank_id(0), message);
    assert_eq!(answers, [ToClient::Refused(Refusal::Role)]);
    assert_eq!(federation.blamed().len(), 4);
}

#[test]
fn a_barred_bank_is_refused_and_the_others_go_on() {
    let mut federation = Federation::new(5);
    federation.start(plan(fixture::risk(), 1, 4));
    federation.run_to(1);
    assert_eq!(
        federation.operate(Command::Bar("Bank 3".to_owned())),
        Reply::Done
    );
    assert!(matches!(
        federation.operate(Command::Bar("Bank 77".to_owned())),
        Reply::Refused(_)
    ));
    federation.start(plan(fixture::evaluate(), 1, 4));
    federation.run(|federation| federation.coordinator.desk.ledger.length() == 2);
    federation.assert_sum_of(&[0, 1, 2, 4]);
    assert!(federation.banks[3].refused.contains(&Refusal::Barred));
    assert_eq!(federation.banks[3].installed.len(), 1);
    // It stays barred after a restart of either side.
    federation.crash();
    federation.restart(3);
    federation.deliver();
    let status = federation.status();
    let clients: Vec<_> = status.clients.iter().map(|client| client.barred).collect();
    assert_eq!(clients, [false, false, false, true, false]);
    assert!(!federation.coordinator.desk.registry.is_here(bank_id(3)));
}

#[test]
fn a_bank_barred_in_the_middle_of_a_round_has_dropped_out_of_it() {
    let mut federation = Federation::new(5);
    federation.up = Box::new(|bank, message| match message {
        ToCoordinator::Masked(_) if bank == 3 => Vec::new(),
        message => vec![message],
    });
    federation.start(plan(fixture::risk(), 1, 5));
    federation.run(|federation| federation.status_name() == "collection");
    let before = federation.now;
    assert_eq!(
        federation.operate(Command::Bar("Bank 3".to_owned())),
        Reply::Done
    );
    federation.run(|federation| federation.coordinator.desk.ledger.length() == 1);
    assert_eq!(federation.now, before, "nobody waits for it");
    federation.assert_sum_of(&[0, 1, 2, 4]);
}

#[test]
fn a_plan_starts_once_however_often_it_is_asked_for() {
    let mut federation = Federation::new(2);
    let id = federation.start(plan(fixture::risk(), 1, 5));
    assert_eq!(federation.start(plan(fixture::risk(), 1, 5)), id);
    let adopted = |record: &&CoordinatorRecord| matches!(record, CoordinatorRecord::PlanAdopted(_));
    assert_eq!(federation.records.iter().filter(adopted).count(), 1);
    assert_eq!(federation.operate(Command::Stop(id)), Reply::Done);
    let again = Command::Start(Box::new(signed_plan(plan(fixture::risk(), 1, 5))));
    assert!(matches!(federation.operate(again), Reply::Refused(_)));
}

#[test]
fn unsound_plans_are_refused_with_the_reason() {
    let mut federation = Federation::new(2);
    let sound = || signed_plan(plan(fixture::risk(), 1, 5));
    let mut refuse = |signed, why: &str| {
        let reply = federation.operate(Command::Start(Box::new(signed)));
        let Reply::Refused(found) = reply else {
            panic!("not refused: {reply:?}");
        };
        assert!(found.contains(why), "{found}");
    };
    let mut foreign = sound();
    foreign.plan = Signed::sign(plan(fixture::risk(), 1, 5), &key(9));
    refuse(foreign, "not signed by its operator");
    let mut borrowed = sound();
    borrowed.operator = bank_credential(0);
    refuse(borrowed, "Operator");
    refuse(signed_plan(plan(fixture::risk(), 0, 5)), "rounds");
    let mut expired = plan(fixture::risk(), 1, 5);
    expired.expires = Time(999);
    refuse(signed_plan(expired), "expires");
    let mut training = fixture::training();
    training.value_bits = 20;
    let mut packed = plan(Work::Finetune(training), 1, 5);
    packed.width = Width::Packed;
    let why = "training.value_bits is 20, expected 8 to 19: words of 24 bits and members_min 5";
    refuse(signed_plan(packed), why);
    assert_eq!(federation.records, []);
}

#[test]
fn status_tells_the_phase_the_banks_and_the_plans() {
    let mut federation = Federation::new(3);
    federation.start(plan(fixture::risk(), 1, 5));
    federation.start(plan(fixture::evaluate(), 1, 5));
    federation.deliver();
    let status = federation.status();
    assert_eq!(status.phase, "selection");
    assert_eq!(status.plans.len(), 2);
    assert_eq!(status.plans[0].done, 0);
    let names: Vec<_> = status
        .clients
        .iter()
        .map(|client| client.name.as_str())
        .collect();
    assert_eq!(names, ["Bank 0", "Bank 1", "Bank 2"]);
    assert!(
        status
            .clients
            .iter()
            .all(|client| client.connected && !client.seated)
    );
    assert!(matches!(
        federation.operate(Command::Round(RoundId(1))),
        Reply::Refused(_)
    ));
}

/// A client with another history is told nothing of a round, and the operator is told of it.
#[test]
fn a_client_with_another_ledger_is_reported_once_and_never_ready() {
    let mut federation = Federation::new(5);
    let head = crypto::Digest([13; 32]);
    let said = CheckIn {
        credential: bank_credential(2),
        epoch: None,
        ledger: 3,
        head,
        bucket_key: Holding::Lacking,
    };
    for _ in 0..3 {
        let message = ToCoordinator::CheckIn(Box::new(said.clone()));
        ask(&mut federation, bank_id(2), message);
    }
    let expected = federation.coordinator.desk.ledger.head();
    let base = Misbehaviour::Base {
        found: head,
        expected,
    };
    assert_eq!(federation.blamed(), [(bank_id(2), base)]);
}
