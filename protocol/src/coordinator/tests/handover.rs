//! The banks' bucket key, from none to the same for all: drawn, handed over, lost, fought over,
//! while banks join and everybody's process dies. The coordinator never has it.

use std::cell::Cell;
use std::rc::Rc;

use super::rig::{Federation, authority, bank_id, bank_key, plan};
use crate::blame::Misbehaviour;
use crate::bucket::BucketKey;
use crate::event::CoordinatorEvent;
use crate::fixture;
use crate::id::Seat;
use crate::message::{CheckIn, Holding, SealedKey, ToClient, ToCoordinator};
use crate::operator::Command;
use crate::plan::{Kind, RiskTerms, Work};
use crate::signed::Signed;
use crate::time::Duration;
use crate::wire;

fn key(byte: u8) -> BucketKey {
    BucketKey::new(&authority().session(), [byte; 32])
}

/// So many banks that hold no key.
fn keyless(banks: usize) -> Federation {
    Federation::with_keys(banks, |_, policy| policy, None)
}

/// A risk plan of its own days.
fn risk(number: u32) -> Work {
    let Work::Risk(terms) = fixture::risk() else {
        panic!("a risk plan");
    };
    Work::Risk(RiskTerms {
        from_day: terms.from_day + 10 * number,
        ..terms
    })
}

/// What the banks hold, once everybody who is to hold it does.
#[track_caller]
fn agreed(federation: &Federation, banks: &[usize]) -> BucketKey {
    let kept = |&bank: &usize| federation.banks[bank].kept.clone();
    let mut kept = banks.iter().map(kept).collect::<Vec<_>>();
    kept.dedup();
    assert_eq!(kept.len(), 1, "one key: {kept:?}");
    let key = kept.remove(0).unwrap();
    let result = *federation.results().last().unwrap();
    assert_eq!(
        result.manifest.unverified().bucket_key,
        Some(key.commitment())
    );
    key
}

/// Everything that the coordinator ever heard, said or recorded, as bytes.
#[track_caller]
fn assert_never_had(federation: &Federation, heard: &Rc<Cell<Vec<u8>>>, key: &BucketKey) {
    let mut bytes = heard.take();
    for record in &federation.records {
        bytes.extend(wire::encode(record));
    }
    let commitment = key.commitment();
    let is = |secret: &[u8]| bytes.windows(32).any(|window| window == secret);
    assert!(is(&commitment.0), "the search finds what is there");
    assert!(!is(key.expose()), "the key itself is not");
    let Work::Risk(terms) = fixture::risk() else {
        panic!("a risk plan");
    };
    assert!(!is(key.table_key(&terms.salt).expose()));
}

/// Keeps the bytes of all that banks and coordinator say.
fn overhear(federation: &mut Federation) -> Rc<Cell<Vec<u8>>> {
    let heard = Rc::new(Cell::new(Vec::new()));
    let note = |bytes: Vec<u8>, heard: &Rc<Cell<Vec<u8>>>| {
        let mut all = heard.take();
        all.extend(bytes);
        heard.set(all);
    };
    let up = Rc::clone(&heard);
    federation.up = Box::new(move |_, message| {
        note(wire::encode(&message), &up);
        vec![message]
    });
    let down = Rc::clone(&heard);
    federation.down = Box::new(move |_, message| {
        note(wire::encode(&message), &down);
        vec![message]
    });
    heard
}

#[test]
fn one_bank_draws_and_all_hold_it_before_a_risk_round_and_the_coordinator_never_does() {
    let mut federation = keyless(5);
    let heard = overhear(&mut federation);
    federation.start(plan(risk(0), 1, 5));
    federation.run_to(1);
    federation.assert_sum_of(&[0, 1, 2, 3, 4]);
    let key = agreed(&federation, &[0, 1, 2, 3, 4]);
    assert_never_had(&federation, &heard, &key);
    assert_eq!(federation.blamed(), []);
    let awaited = CoordinatorEvent::BucketKeyAwaited(5);
    assert_eq!(federation.count(|event| *event == awaited), 1);
    assert_eq!(federation.count(is_abandoned), 0);
}

fn is_abandoned(event: &CoordinatorEvent) -> bool {
    matches!(event, CoordinatorEvent::RoundAbandoned(..))
}

/// Other plans need no key and do not wait for one, yet it goes round between their rounds.
#[test]
fn training_does_not_wait_for_the_key() {
    let mut federation = keyless(5);
    federation.start(plan(Work::Finetune(fixture::training()), 2, 5));
    federation.run_to(2);
    assert_eq!(
        federation.count(|event| matches!(event, CoordinatorEvent::BucketKeyAwaited(_))),
        0
    );
    let later = federation.now.after(Duration::from_secs(20));
    federation.run(|federation| federation.now > later);
    assert!(federation.banks.iter().all(|bank| bank.kept.is_some()));
}

/// A bank that comes, one that dies, everybody that dies, and the coordinator: the key stays.
#[test]
fn key_outlives_epochs_and_processes() {
    let mut federation = keyless(6);
    federation.cut(5);
    federation.start(plan(risk(0), 1, 5));
    federation.run_to(1);
    let key = agreed(&federation, &[0, 1, 2, 3, 4]);

    federation.connect(5);
    federation.start(plan(risk(1), 1, 6));
    federation.run_to(2);
    assert_eq!(agreed(&federation, &[0, 1, 2, 3, 4, 5]), key);

    federation.restart(0);
    federation.start(plan(risk(2), 1, 6));
    federation.run_to(3);
    assert_eq!(agreed(&federation, &[0, 1, 2, 3, 4, 5]), key);

    federation.crash();
    for bank in 0..6 {
        federation.restart(bank);
    }
    federation.start(plan(risk(3), 1, 6));
    federation.run_to(4);
    assert_eq!(agreed(&federation, &[0, 1, 2, 3, 4, 5]), key);

    // A bank whose folder is lost gets it from the others.
    federation.banks[0].kept = None;
    federation.restart(0);
    federation.start(plan(risk(4), 1, 6));
    federation.run_to(5);
    assert_eq!(agreed(&federation, &[0, 1, 2, 3, 4, 5]), key);
    federation.assert_sum_of(&[0, 1, 2, 3, 4, 5]);
}

/// Each message of the handing over is lost in turn, up and down: a heartbeat, and it goes on.
#[test]
fn a_lost_message_costs_a_heartbeat() {
    for lost in 0..12 {
        let mut federation = keyless(4);
        let count = Rc::new(Cell::new(0));
        let counts = move |count: &Rc<Cell<usize>>| {
            count.set(count.get() + 1);
            count.get() - 1 == lost
        };
        let up = Rc::clone(&count);
        federation.up = Box::new(move |_, message| {
            let is_lost = matches!(message, ToCoordinator::SealedKeys(_)) && counts(&up);
            if is_lost { Vec::new() } else { vec![message] }
        });
        let down = Rc::clone(&count);
        federation.down = Box::new(move |_, message| {
            let is_ours = matches!(message, ToClient::Handover(_) | ToClient::SealedKey(_));
            let is_lost = is_ours && counts(&down);
            if is_lost { Vec::new() } else { vec![message] }
        });
        federation.start(plan(risk(0), 1, 4));
        federation.run_to(1);
        agreed(&federation, &[0, 1, 2, 3]);
        assert!(federation.now.0 < 30_000, "{lost}: {:?}", federation.now);
        assert_eq!(federation.blamed(), []);
    }
}

/// The coordinator dies instead of carrying out any one of its outputs until the round is done.
#[test]
fn coordinator_may_die_anywhere_in_the_handing_over() {
    for at in (0..90).step_by(3) {
        let mut federation = keyless(3);
        federation.crash_at = Some(at);
        federation.start(plan(risk(0), 1, 3));
        federation.run_to(1);
        agreed(&federation, &[0, 1, 2]);
        federation.assert_sum_of(&[0, 1, 2]);
    }
}

/// The bank on this seat, which draws the key, spoils what it seals in this way.
fn spoil(federation: &mut Federation, liar: usize, how: fn(&mut SealedKey)) {
    federation.up = Box::new(move |bank, message| match message {
        ToCoordinator::SealedKeys(list) if bank == liar => {
            let spoilt = list.iter().map(|sealed| {
                let mut body = sealed.unverified().clone();
                how(&mut body);
                Signed::sign(body, &bank_key(bank))
            });
            vec![ToCoordinator::SealedKeys(spoilt.collect())]
        }
        message => vec![message],
    });
}

/// Who seals garbage is named by everybody who got it, at the bank and here, and left out; then
/// another draws, and the round goes on without the liar.
#[test]
fn holder_that_seals_garbage_is_named_and_left_out() {
    let mut federation = keyless(6);
    spoil(&mut federation, 0, |body| body.sealed[40] ^= 1);
    federation.start(plan(risk(0), 1, 5));
    federation.run_to(1);
    let named = Misbehaviour::BucketKey(Seat(0));
    for bank in 1..6 {
        let blamed = federation.banks[bank].blamed();
        assert_eq!(blamed, std::slice::from_ref(&named), "{bank}");
    }
    let blamed = federation.blamed();
    assert_eq!(blamed.len(), 5);
    assert!(blamed.iter().all(|sin| *sin == (bank_id(0), named.clone())));
    agreed(&federation, &[1, 2, 3, 4, 5]);
    federation.assert_sum_of(&[1, 2, 3, 4, 5]);
    assert_eq!(federation.count(is_abandoned), 0);
}

/// With a result behind it the key is the ledger's: who gets garbage from one holder gets the key
/// from the next.
#[test]
fn another_holder_hands_the_key_over_where_one_lies() {
    let mut federation = keyless(6);
    federation.cut(5);
    federation.start(plan(risk(0), 1, 5));
    federation.run_to(1);
    let key = agreed(&federation, &[0, 1, 2, 3, 4]);
    spoil(&mut federation, 0, |body| body.sealed[0] ^= 1);
    federation.connect(5);
    federation.start(plan(risk(1), 1, 6));
    federation.run_to(2);
    assert_eq!(agreed(&federation, &[0, 1, 2, 3, 4, 5]), key);
    let named = Misbehaviour::BucketKey(Seat(0));
    assert_eq!(federation.blamed(), [(bank_id(0), named)]);
    federation.assert_sum_of(&[0, 1, 2, 3, 4, 5]);
}

/// A bank that says it holds a key, and hands nothing over, costs one deadline and sits out.
#[test]
fn holder_that_hands_nothing_over_sits_out() {
    let mut federation = keyless(6);
    federation.up = Box::new(|bank, message| match message {
        ToCoordinator::SealedKeys(_) if bank == 0 => Vec::new(),
        message => vec![message],
    });
    federation.start(plan(risk(0), 1, 5));
    federation.run_to(1);
    agreed(&federation, &[1, 2, 3, 4, 5]);
    federation.assert_sum_of(&[1, 2, 3, 4, 5]);
    assert!(federation.now.0 < 45_000, "{:?}", federation.now);
    assert_eq!(federation.blamed(), []);
}

/// A bank that never takes what is sealed for it does not hold the others up for long.
#[test]
fn receiver_that_takes_nothing_sits_out() {
    let mut federation = keyless(6);
    federation.down = Box::new(|bank, message| match message {
        ToClient::SealedKey(_) if bank == 4 => Vec::new(),
        message => vec![message],
    });
    federation.start(plan(risk(0), 1, 5));
    federation.run_to(1);
    agreed(&federation, &[0, 1, 2, 3, 5]);
    federation.assert_sum_of(&[0, 1, 2, 3, 5]);
    assert!(federation.now.0 < 45_000, "{:?}", federation.now);
}

/// The wait that a stopped plan left behind is not the next plan's.
#[test]
fn every_plan_waits_its_own_time() {
    let mut federation = keyless(6);
    let is_mute = Rc::new(Cell::new(true));
    let mute = Rc::clone(&is_mute);
    federation.up = Box::new(move |bank, message| match message {
        ToCoordinator::SealedKeys(_) if bank == 0 && mute.get() => Vec::new(),
        message => vec![message],
    });
    let stopped = federation.start(plan(risk(0), 1, 5));
    let awaits = |event: &CoordinatorEvent| matches!(event, CoordinatorEvent::BucketKeyAwaited(_));
    federation.run(|federation| federation.count(awaits) > 0);
    federation.operate(Command::Stop(stopped));
    let later = federation.now.after(Duration::from_secs(60));
    federation.run(|federation| federation.now > later);
    is_mute.set(false);
    federation.start(plan(risk(1), 1, 5));
    federation.run_to(1);
    agreed(&federation, &[0, 1, 2, 3, 4, 5]);
    federation.assert_sum_of(&[0, 1, 2, 3, 4, 5]);
}

/// Banks that were cut apart before any result hold two keys: they come to one before a round.
#[test]
fn two_keys_become_one_before_a_risk_round_opens() {
    let mut federation = keyless(6);
    for (bank, byte) in [(1, 1), (2, 2), (3, 2), (4, 2)] {
        federation.banks[bank].kept = Some(key(byte));
        federation.restart(bank);
    }
    federation.start(plan(risk(0), 1, 6));
    federation.run_to(1);
    assert_eq!(agreed(&federation, &[0, 1, 2, 3, 4, 5]), key(1));
    federation.assert_sum_of(&[0, 1, 2, 3, 4, 5]);
    assert_eq!(federation.count(is_abandoned), 0);
}

/// A bank that counts with no one is not asked for a key, and the others do not wait for it.
#[test]
fn bank_that_declines_risk_plans_never_gets_the_key() {
    let each = |bank, mut policy: crate::client::consent::Policy| {
        if bank == 0 {
            policy.kinds.remove(&Kind::Risk);
        }
        policy
    };
    let mut federation = Federation::with_keys(6, each, None);
    federation.start(plan(risk(0), 1, 5));
    federation.run_to(1);
    agreed(&federation, &[1, 2, 3, 4, 5]);
    assert_eq!(federation.banks[0].kept, None);
    federation.assert_sum_of(&[1, 2, 3, 4, 5]);
}

/// A bank that says it holds the others' key and does not: it declines the round by name, since an
/// honest client compares; nothing masked leaves under two keys.
#[test]
fn bank_that_claims_another_key_than_it_holds_is_not_in_the_sum() {
    let mut federation = keyless(6);
    federation.banks[5].kept = Some(key(9));
    federation.restart(5);
    let known = Rc::new(Cell::new(None));
    federation.up = Box::new(move |bank, message| match message {
        ToCoordinator::CheckIn(said) if bank != 5 => {
            if let Holding::Held(commitment) = said.bucket_key {
                known.set(Some(commitment));
            }
            vec![ToCoordinator::CheckIn(said)]
        }
        ToCoordinator::CheckIn(said) => {
            let bucket_key = known.get().map_or(Holding::Lacking, Holding::Held);
            vec![ToCoordinator::CheckIn(Box::new(CheckIn {
                bucket_key,
                ..*said
            }))]
        }
        message => vec![message],
    });
    federation.down = Box::new(|bank, message| match message {
        ToClient::SealedKey(_) if bank == 5 => Vec::new(),
        message => vec![message],
    });
    federation.start(plan(risk(0), 1, 5));
    federation.run_to(1);
    federation.assert_sum_of(&[0, 1, 2, 3, 4]);
    let declined = |event: &CoordinatorEvent| {
        matches!(event, CoordinatorEvent::Declined(who, crate::blame::Refusal::BucketKey)
            if *who == bank_id(5))
    };
    assert_eq!(federation.count(declined), 1);
}
