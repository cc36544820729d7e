//! A bank that has decisions told once they are written: no answer waits for the disk, nobody else
//! reads what is not durable, and a disk that refuses is told. What is left when the machine goes
//! down is tested in `host::disk`, and when the process does in tests/kill.rs.

use std::sync::atomic::Ordering;

use super::socket::{door, fetch, with_server};
use super::*;
use crate::journal::faults::Faults;

fn start(bank: &Bank) -> (Scoring, Faults, Follower) {
    let journal = open(bank.folder.path());
    let (faults, follower) = (journal.faults(), journal.follow());
    let settings = Settings {
        answer_after: AnswerAfter::Write,
        ..settings()
    };
    let scoring = Scoring::start(settings, history(), journal, &bank.telemetry).unwrap();
    scoring.install(bundle(Slot::Live, 1)).unwrap();
    bank.telemetry.set_ready(true);
    (scoring, faults, follower)
}

/// What health says of the journal: whether it is well, and why.
fn journal_of(bank: &Bank, scoring: &Scoring) -> (bool, String) {
    let door = door(scoring.clone());
    let router = agent_router(&bank.telemetry, &door, || json!({}), || true);
    let mut health = Value::Null;
    with_server(router, |address| {
        health = fetch(address, "/healthz?verbose").1;
    });
    let journal = &health["checks"][2];
    assert_eq!(journal["name"], "journal");
    let why = journal["why"].as_str().unwrap().to_owned();
    (journal["ok"].as_bool().unwrap(), why)
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let patience = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < patience, "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

// Planted faults: a flush before the answer; followers that read what is written; a worker that
// does not hear of a flush while nothing comes.
#[test]
fn an_answer_waits_for_no_flush_and_who_reads_along_does() {
    let bank = Bank::new();
    let (scoring, faults, follower) = start(&bank);
    let held = faults.hold();
    let first = scoring.score(&stream(0)).unwrap();
    held.wait_for_a_flush();
    assert!(!scoring.score(&stream(1)).unwrap().replayed);
    // What was told is found, also before it is durable.
    let again = scoring.score(&stream(0)).unwrap();
    assert_eq!(
        (again.replayed, &again.decision_id),
        (true, &first.decision_id)
    );
    assert_eq!((follower.reach().entries, scoring.scored()), (0, 2));
    let (is_well, why) = journal_of(&bank, &scoring);
    assert!(
        is_well && why.contains("2 of them written and not yet durable"),
        "{why}"
    );
    drop(held);
    wait_until("they become durable", || follower.reach().entries == 2);
    let why = journal_of(&bank, &scoring).1;
    assert!(
        why.contains("2 decisions, all of them durable; the last flush took"),
        "{why}"
    );
}

// Planted faults: a label that is told before it is durable; one that leaves the payments before
// it behind.
#[test]
fn a_label_is_durable_before_it_is_told_and_so_are_the_payments_before_it() {
    let bank = Bank::new();
    let (scoring, faults, follower) = start(&bank);
    let held = faults.hold();
    scoring.score(&stream(0)).unwrap();
    held.wait_for_a_flush();
    let payment: Value = serde_json::from_slice(&stream(0)).unwrap();
    let label = json!({
        "txn_id": payment["txn"]["txn_id"], "fraud": true, "source": "analyst",
    });
    let label = label.to_string();
    let told = std::thread::scope(|scope| {
        let told = scope.spawn(|| scoring.label(label.as_bytes()).unwrap().remove(0));
        std::thread::sleep(Duration::from_millis(50));
        assert!(!told.is_finished(), "it was told before its flush");
        drop(held);
        told.join().unwrap()
    });
    assert!(told.problem.is_none(), "{told:?}");
    let reach = follower.reach();
    assert_eq!((reach.entries, reach.labels), (1, 1));
}

// Planted faults: a refusal that nobody hears; one that is forgotten when somebody asks how the
// journal is.
#[test]
fn a_flush_behind_that_is_refused_ends_scoring_and_takes_back_nothing() {
    let bank = Bank::new();
    let (scoring, faults, follower) = start(&bank);
    let held = faults.hold();
    faults.flushes.store(1, Ordering::SeqCst);
    let first = scoring.score(&stream(0)).unwrap();
    held.wait_for_a_flush();
    drop(held);
    // Whoever supervises hears of it before anybody sends another payment.
    wait_until("it is not ready", || !bank.telemetry.is_ready());
    let is_told = || {
        let (is_well, why) = journal_of(&bank, &scoring);
        assert!(!is_well && why.contains("since a failure"), "{why}");
        assert!(!bank.telemetry.is_ready());
    };
    is_told();
    let problem = scoring.score(&stream(1)).unwrap_err();
    assert_eq!(problem.kind, ProblemType::Unavailable);
    is_told();
    assert_eq!(follower.reach().entries, 0);
    drop((scoring, follower));
    let (scoring, ..) = start(&bank);
    let again = scoring.score(&stream(0)).unwrap();
    assert_eq!(
        (again.replayed, again.decision_id),
        (true, first.decision_id)
    );
    assert!(!scoring.score(&stream(1)).unwrap().replayed);
}

// Planted fault: the worker goes without a last flush.
#[test]
fn what_was_told_is_durable_when_the_agent_has_left() {
    let bank = Bank::new();
    let (scoring, _, follower) = start(&bank);
    for number in 0..30 {
        scoring.score(&stream(number)).unwrap();
    }
    drop(scoring);
    assert_eq!(follower.reach().entries, 30);
}
