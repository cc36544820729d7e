//! Key agreements: who is in the roster, and what happens to those who spoil one.

use super::rig::{
    Bank, Federation, bank_id, bank_key, coordinator_identity, credential, issue, plan,
};
use crate::coordinator::{Coordinator, FromPeer, RecoverError, Settings};
use crate::credential::Role;
use crate::event::CoordinatorEvent;
use crate::fixture::{self, key};
use crate::id::{ClientId, EpochId};
use crate::message::{CheckIn, Holding, ToClient, ToCoordinator};
use crate::party::{Output, Party};
use crate::plan::Work;
use crate::record::CoordinatorRecord;
use crate::time::{Duration, Time};

use crypto::Digest;

fn agreed(federation: &Federation) -> Vec<(u64, u16)> {
    let agreed = federation.events.iter().filter_map(|event| match event {
        CoordinatorEvent::EpochAgreed(epoch, members) => Some((epoch.0, *members)),
        _ => None,
    });
    agreed.collect()
}

#[test]
fn a_bank_that_joins_brings_a_new_epoch_before_the_next_round() {
    let mut federation = Federation::new(6);
    federation.cut(5);
    federation.coordinator.desk.settings.banks_expected = Some(5);
    federation.start(plan(fixture::risk(), 1, 5));
    federation.run_to(1);
    federation.connect(5);
    federation.deliver();
    federation.start(plan(fixture::evaluate(), 1, 5));
    federation.run_to(2);
    assert_eq!(agreed(&federation), [(1, 5), (2, 6)]);
    federation.assert_sum_of(&[0, 1, 2, 3, 4, 5]);
}

#[test]
fn a_bank_that_does_not_answer_the_roster_is_left_out_and_asked_again_later() {
    let mut federation = Federation::new(6);
    federation.up = Box::new(|bank, message| match message {
        ToCoordinator::KeyBundle(_) if bank == 3 => Vec::new(),
        message => vec![message],
    });
    federation.start(plan(fixture::risk(), 1, 5));
    federation.run_to(1);
    federation.assert_sum_of(&[0, 1, 2, 4, 5]);
    assert!(
        federation
            .events
            .contains(&CoordinatorEvent::EpochAbandoned(EpochId(1)))
    );
    assert_eq!(agreed(&federation), [(2, 5)]);
    federation.up = Box::new(|_, message| vec![message]);
    let later = Time(federation.now.0 + 60_000);
    federation.run(|federation| federation.now > later);
    federation.start(plan(fixture::evaluate(), 1, 5));
    federation.run_to(2);
    federation.assert_sum_of(&[0, 1, 2, 3, 4, 5]);
}

#[test]
fn a_bank_that_refuses_the_roster_is_left_out() {
    let mut federation = Federation::with_policy(6, |bank, mut policy| {
        if bank == 2 {
            policy.joins_per_epoch_max = 0;
        }
        policy
    });
    federation.start(plan(fixture::risk(), 1, 5));
    federation.run(|federation| federation.coordinator.desk.ledger.length() == 1);
    assert!(federation.results()[0].survivors.len() >= 5);
}

/// The restarted bank cannot take up the agreement it was in; the next one has it.
#[test]
fn a_bank_that_restarts_during_an_agreement_does_not_wedge_it() {
    let mut federation = Federation::new(5);
    federation.down = Box::new(|bank, message| match message {
        ToClient::Bundles(_) if bank == 1 => Vec::new(),
        message => vec![message],
    });
    federation.start(plan(fixture::risk(), 1, 5));
    federation.run(|federation| federation.coordinator.phase.stage().step() == ("agreement", 1));
    federation.down = Box::new(|_, message| vec![message]);
    federation.restart(1);
    federation.run_to(1);
    federation.assert_sum_of(&[0, 1, 2, 3, 4]);
}

/// The known members are waited for, up to the selection deadline.
#[test]
fn a_member_that_is_away_is_waited_for() {
    let mut federation = Federation::new(5);
    federation.coordinator.desk.settings.banks_expected = None;
    federation.start(plan(fixture::risk(), 1, 4));
    federation.run_to(1);
    federation.cut(4);
    federation.start(plan(fixture::evaluate(), 1, 4));
    federation.deliver();
    assert_eq!(federation.status_name(), "selection");
    let before = federation.now;
    federation.connect(4);
    federation.run_to(2);
    assert!(federation.now.since(before) < Duration::from_secs(30));
    assert_eq!(federation.results()[1].survivors.len(), 5);
}

/// The first banks that come are not a cohort before the others had their time.
#[test]
fn the_first_epoch_waits_for_everybody_who_may_come() {
    let mut federation = Federation::new(5);
    federation.coordinator.desk.settings.banks_expected = None;
    federation.cut(4);
    federation.start(plan(fixture::risk(), 1, 3));
    federation.deliver();
    assert_eq!(federation.status_name(), "selection");
    federation.connect(4);
    federation.run_to(1);
    assert!(
        federation.now >= Time(31_000),
        "the whole selection deadline"
    );
    federation.assert_sum_of(&[0, 1, 2, 3, 4]);
}

fn check_in(federation: &mut Federation, id: ClientId, name: &str, serial: u64) -> Vec<ToClient> {
    let mut body = credential(Role::Bank, name, id, &key(77));
    body.serial = serial;
    let ledger = &federation.coordinator.desk.ledger;
    let said = CheckIn {
        credential: issue(body),
        epoch: None,
        ledger: ledger.length(),
        head: ledger.head(),
        bucket_key: Holding::Lacking,
    };
    let message = FromPeer::Message(ToCoordinator::CheckIn(Box::new(said)));
    federation
        .coordinator
        .handle_message(federation.now, id, message);
    let mut sent = Vec::new();
    while let Some(output) = federation.coordinator.poll_output() {
        if let Output::Send { message, .. } = output {
            sent.push(message);
        }
    }
    sent
}

#[test]
fn a_second_certificate_of_one_name_counts_only_with_a_higher_serial() {
    let mut federation = Federation::new(5);
    federation.deliver();
    let (double, renewed) = (ClientId(Digest([90; 32])), ClientId(Digest([91; 32])));
    let answer = check_in(&mut federation, double, "Bank 2", 1);
    assert!(matches!(answer[..], [ToClient::Refused(_)]));
    assert!(!federation.coordinator.desk.registry.is_here(double));
    let answer = check_in(&mut federation, renewed, "Bank 2", 2);
    assert!(matches!(answer[..], [ToClient::Welcome(_), ..]));
    let registry = &federation.coordinator.desk.registry;
    assert!(registry.is_eligible(renewed, federation.now));
    assert!(!registry.is_eligible(bank_id(2), federation.now));
}

#[test]
fn recovery_in_the_middle_of_an_agreement_goes_on_with_it() {
    let mut federation = Federation::new(5);
    federation.start(plan(fixture::risk(), 1, 5));
    federation.run(|federation| {
        let bundles = federation.records.iter();
        bundles
            .filter(|record| matches!(record, CoordinatorRecord::KeyBundle(_)))
            .count()
            >= 1
    });
    federation.crash();
    federation.run_to(1);
    assert_eq!(agreed(&federation), [(1, 5)]);
}

#[test]
fn records_out_of_place_and_foreign_identities_are_refused() {
    let settings = Settings::default();
    let records = [CoordinatorRecord::EpochAgreed(EpochId(1))];
    let refused = Coordinator::recover(coordinator_identity(), settings, records, Time(1_000));
    assert!(matches!(
        refused,
        Err(RecoverError::Misplaced { phase: "rest", .. })
    ));
    let mut identity = coordinator_identity();
    identity.key = key(9);
    let refused = Coordinator::recover(identity, settings, [], Time(1_000));
    assert!(matches!(refused, Err(RecoverError::Key)));
    let mut identity = coordinator_identity();
    identity.credential = issue(credential(Role::Bank, "Bank 0", bank_id(0), &bank_key(0)));
    let refused = Coordinator::recover(identity, settings, [], Time(1_000));
    assert!(matches!(refused, Err(RecoverError::Credential(_))));
}

/// After its key was replaced, a coordinator signs the results it serves anew.
#[test]
fn results_are_signed_anew_after_a_change_of_key() {
    let mut federation = Federation::new(5);
    federation.start(plan(fixture::risk(), 1, 5));
    federation.run_to(1);
    let mut identity = coordinator_identity();
    identity.key = key(4);
    let id = ClientId(Digest([201; 32]));
    identity.credential = issue(credential(Role::Coordinator, "Coordinator", id, &key(4)));
    let settings = federation.coordinator.desk.settings;
    let records = federation.records.clone();
    federation.coordinator =
        Coordinator::recover(identity, settings, records, federation.now).unwrap();
    let fresh = Bank::new(0, Vec::new(), None, 9, federation.bank_policy(0));
    federation.banks[0] = fresh;
    federation.connect(0);
    federation.run(|federation| federation.banks[0].client.ledger().length() == 1);
}

/// Three of eight banks leave and one restarts: the next roster has five members, of which as many
/// are assumed to collude as of eight. The coordinator knows it over a restart of its own.
#[test]
fn a_smaller_roster_keeps_the_colluders_of_the_largest() {
    let mut federation = Federation::new(8);
    federation.start(plan(fixture::risk(), 1, 5));
    federation.run_to(1);
    (5..8).for_each(|bank| federation.cut(bank));
    federation.restart(0);
    federation.crash();
    federation.start(plan(Work::Finetune(fixture::training()), 1, 5));
    federation.run_to(2);
    let results = federation.results();
    let manifest = results[1].manifest.unverified();
    assert_eq!((manifest.epoch, manifest.cohort.len()), (EpochId(2), 5));
    assert_eq!((manifest.colluders, manifest.threshold), (2, 4));
    assert_eq!(federation.blamed(), []);
}
