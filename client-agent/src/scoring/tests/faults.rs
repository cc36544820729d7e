//! A disk that refuses: what was not journaled is not remembered, and nothing is told that is not
//! durable. The faults are those of `journal/faults.rs`.

use std::sync::atomic::Ordering;

use super::*;
use crate::journal::faults::Faults;

fn start(bank: &Bank) -> (Scoring, Faults) {
    let journal = open(bank.folder.path());
    let faults = journal.faults();
    let scoring = Scoring::start(settings(), history(), journal, &bank.telemetry).unwrap();
    scoring.install(bundle(Slot::Live, 1)).unwrap();
    (scoring, faults)
}

fn vectors(bank: &Bank, ids: &[&str]) -> Vec<Vec<u32>> {
    let journal = open(bank.folder.path());
    let vector = |id: &&str| journal.find(id).unwrap().unwrap().vector;
    let bits = |vector: Vec<f32>| vector.into_iter().map(f32::to_bits).collect();
    ids.iter().map(vector).map(bits).collect()
}

// Payments 1 and 6 are of one card, and all are made at one terminal.
#[test]
fn a_payment_that_was_not_journaled_leaves_no_trace() {
    let (failing, sound) = (Bank::new(), Bank::new());
    let (scoring, faults) = start(&failing);
    scoring.score(&stream(0)).unwrap();
    faults.appends.store(1, Ordering::SeqCst);
    let problem = scoring.score(&stream(1)).unwrap_err();
    assert_eq!(problem.kind, ProblemType::Unavailable);
    assert_eq!(scoring.scored(), 1);
    scoring.score(&stream(6)).unwrap();
    // Told again, it is scored for the first time.
    assert!(!scoring.score(&stream(1)).unwrap().replayed);
    scoring.score(&stream(11)).unwrap();
    drop(scoring);
    let (scoring, _) = start(&sound);
    for number in [0, 6, 1, 11] {
        scoring.score(&stream(number)).unwrap();
    }
    drop(scoring);
    let ids = ["t6", "t1", "t11"];
    assert_eq!(vectors(&failing, &ids), vectors(&sound, &ids));
}

#[test]
fn an_answer_that_is_not_durable_is_not_given_and_its_payment_counts_once() {
    let (failing, sound) = (Bank::new(), Bank::new());
    let (scoring, faults) = start(&failing);
    faults.flushes.store(1, Ordering::SeqCst);
    let problem = scoring.score(&stream(1)).unwrap_err();
    assert_eq!(problem.kind, ProblemType::Unavailable);
    // It is in the journal, and durable with the next flush.
    assert!(scoring.score(&stream(1)).unwrap().replayed);
    scoring.score(&stream(6)).unwrap();
    assert_eq!(scoring.scored(), 2);
    drop(scoring);
    let (scoring, _) = start(&sound);
    for number in [1, 6] {
        scoring.score(&stream(number)).unwrap();
    }
    drop(scoring);
    assert_eq!(vectors(&failing, &["t6"]), vectors(&sound, &["t6"]));
}

#[test]
fn a_label_that_was_not_journaled_is_not_learnt_and_may_be_told_again() {
    let bank = Bank::new();
    let (scoring, faults) = start(&bank);
    scoring.score(&stream(0)).unwrap();
    let label = json!({"txn_id": "t0", "fraud": true, "source": "analyst"}).to_string();
    faults.appends.store(1, Ordering::SeqCst);
    let refused = scoring.label(label.as_bytes()).unwrap().remove(0);
    assert_eq!(refused.status, LabelStatus::Refused);
    assert_eq!(refused.problem.unwrap().kind, ProblemType::Unavailable);
    let told = scoring.label(label.as_bytes()).unwrap().remove(0);
    assert_eq!(told.status, LabelStatus::Accepted);
    drop(scoring);
    let journal = open(bank.folder.path());
    assert_eq!(journal.follow().reach().labels, 1);
    assert_eq!(journal.labels_of("t0").unwrap().len(), 1);
}
