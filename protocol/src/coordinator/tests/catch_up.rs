//! Banks that come back after rounds went on without them.

use std::sync::Arc;

use crypto::SigningKey;

use super::rig::{Federation, bank_id, plan};
use crate::coordinator::catch_up::CatchUp;
use crate::coordinator::{Coordinator, Reading};
use crate::fixture;
use crate::id::ClientId;
use crate::message::ToClient;
use crate::party::{Outbox, Output};
use crate::plan::Work;

/// Six banks, of which the last two slept through three rounds.
fn slept() -> Federation {
    let mut federation = Federation::new(6);
    federation.start(plan(Work::Finetune(fixture::training()), 1, 4));
    federation.run_to(1);
    (4..6).for_each(|bank| federation.cut(bank));
    let mut later = plan(Work::Finetune(fixture::training()), 3, 4);
    later.nonce = 2;
    federation.start(later);
    federation.run_to(4);
    federation
}

fn reads(federation: &Federation) -> Vec<u64> {
    let places = federation.readings.iter().filter_map(|read| match read {
        Reading::Result(place) => Some(*place),
        Reading::Vectors(_) => None,
    });
    places.collect()
}

/// What is said and asked next.
fn next(out: &mut Outbox<Coordinator>) -> (Option<u64>, Option<ClientId>) {
    match out.pop() {
        Some(Output::Perform(Reading::Result(place))) => (Some(place), None),
        Some(Output::Send {
            to,
            message: ToClient::Result(_),
        }) => (None, Some(to)),
        _ => (None, None),
    }
}

#[test]
fn banks_that_lack_the_same_get_it_with_one_reading() {
    let federation = slept();
    let result = Arc::new(federation.results()[1].clone());
    let key = &federation.coordinator.desk.identity.key;
    let (mut catch_up, mut out) = (CatchUp::default(), Outbox::default());
    catch_up.ask(bank_id(1), 1, &mut out);
    assert_eq!(next(&mut out), (Some(1), None));
    catch_up.ask(bank_id(2), 1, &mut out);
    catch_up.ask(bank_id(3), 2, &mut out);
    assert_eq!(next(&mut out), (None, None), "one at a time");
    catch_up.on_read(1, Some(result), key, &mut out);
    let mut sent = [next(&mut out), next(&mut out)];
    sent.sort();
    let mut expected = [(None, Some(bank_id(1))), (None, Some(bank_id(2)))];
    expected.sort();
    assert_eq!(sent, expected);
    assert_eq!(next(&mut out), (Some(2), None));
    assert_eq!(next(&mut out), (None, None));
}

/// The second bank comes when the first is already ahead of it.
#[test]
fn banks_at_different_places_are_brought_level() {
    let mut federation = slept();
    assert_eq!(reads(&federation), [], "who is level is sent what is new");
    federation.connect(4);
    federation.run_to(4);
    federation.connect(5);
    federation.run_to(4);
    assert_eq!(reads(&federation), [1, 2, 3, 1, 2, 3]);
}

#[test]
fn results_are_asked_for_again_after_a_restart() {
    let mut federation = slept();
    federation.crash();
    federation.connect(5);
    federation.run_to(4);
    assert_eq!(reads(&federation), [1, 2, 3]);
}

/// What the host cannot read is answered with nothing, and the next reading goes on.
#[test]
fn failed_reading_holds_nobody_else_up() {
    let federation = slept();
    let result = Arc::new(federation.results()[1].clone());
    let key = &federation.coordinator.desk.identity.key;
    let (mut catch_up, mut out) = (CatchUp::default(), Outbox::default());
    catch_up.ask(bank_id(1), 2, &mut out);
    catch_up.ask(bank_id(2), 1, &mut out);
    assert_eq!(next(&mut out), (Some(2), None));
    catch_up.on_read(2, None, key, &mut out);
    assert_eq!(next(&mut out), (Some(1), None));
    catch_up.on_read(1, Some(result), key, &mut out);
    assert_eq!(next(&mut out), (None, Some(bank_id(2))));
    assert_eq!(next(&mut out), (None, None));
}

/// After the coordinator's key was replaced, clients know only the new one.
#[test]
fn former_key_s_result_is_signed_again() {
    let federation = slept();
    let result = Arc::new(federation.results()[1].clone());
    let key = SigningKey::from_seed([77; 32]);
    let (mut catch_up, mut out) = (CatchUp::default(), Outbox::default());
    catch_up.ask(bank_id(1), 1, &mut out);
    catch_up.on_read(1, Some(Arc::clone(&result)), &key, &mut out);
    let sent = std::iter::from_fn(|| out.pop()).find_map(|output| match output {
        Output::Send {
            message: ToClient::Result(result),
            ..
        } => Some(result),
        _ => None,
    });
    let sent = sent.unwrap();
    assert!(sent.outcome.clone().verify(&key.verify_key()).is_ok());
    assert!(sent.manifest.clone().verify(&key.verify_key()).is_ok());
    assert!(result.outcome.clone().verify(&key.verify_key()).is_err());
    assert_eq!(sent.sum, result.sum);
}
