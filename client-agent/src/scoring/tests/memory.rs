//! What scoring remembers, and what it must not: retries, restarts, crashes, questions, order.

use std::collections::BTreeSet;

use super::*;

#[test]
fn a_retry_gets_the_stored_answer_and_changes_nothing() {
    let bank = Bank::new();
    let scoring = bank.start();
    scoring.install(bundle(Slot::Live, 1)).unwrap();
    let first = scoring.score(&stream(0)).unwrap();
    scoring.install(bundle(Slot::Live, 2)).unwrap();
    let again = scoring.score(&stream(0)).unwrap();
    assert!(again.replayed);
    assert_eq!(
        Answer {
            replayed: false,
            latency_us: first.latency_us,
            ..again
        },
        first
    );
    assert_eq!(scoring.scored(), 1);
    scoring.score(&stream(5)).unwrap();
    drop(scoring);
    let other = Bank::new();
    let scoring = other.start();
    for number in [0, 5] {
        scoring.score(&stream(number)).unwrap();
    }
    drop(scoring);
    assert!(
        vector_of(&bank, "t5") == vector_of(&other, "t5"),
        "the retry entered a window"
    );
}

// As it was written before answers told surprises and policies, when every reason had a weight.
#[test]
fn a_stored_answer_of_an_earlier_build_is_read() {
    let stored = r#"{"decision_id": "019ca8d2a400-0", "txn_id": "t0", "scored_at": 1772352000000,
        "score": 784, "probability": 0.12, "logit": -2.0, "decision": "review", "reasons": [{
        "code": "R22_TIME_OF_DAY", "rank": 1, "weight": 0.5, "observed": "08:00", "usual": null,
        "text": "The time stands out: hour of the day 08:00."}], "model": null, "shadow": null,
        "mode": "full", "replayed": false, "unknown_fields": 0, "latency_us": 90}"#;
    let answer: Answer = serde_json::from_str(stored).unwrap();
    assert!(answer.surprise.is_empty() && answer.label_free.is_none());
    assert_eq!(answer.reasons[0].weight, Some(0.5));
    assert_eq!((answer.band, answer.policy.as_str()), (None, ""));
    assert!(answer.decision_rule.is_empty() && answer.degraded.is_empty());
}

#[test]
fn another_payment_under_the_same_id_is_a_conflict() {
    let bank = Bank::new();
    let scoring = bank.start();
    scoring.score(&stream(0)).unwrap();
    let other = body(&payment("t0", "c0", START_MS, 1));
    let problem = scoring.score(&other).unwrap_err();
    assert_eq!(
        (problem.kind, problem.status),
        (ProblemType::TxnIdConflict, 409)
    );
    assert_eq!(scoring.scored(), 1);
    assert!(scoring.score(&stream(0)).unwrap().replayed);
}

#[test]
fn a_restart_keeps_the_windows_bit_for_bit_and_the_answers() {
    let (restarted, whole) = (Bank::new(), Bank::new());
    let scoring = restarted.start();
    let answers: Vec<Answer> = (0..40)
        .map(|n| scoring.score(&stream(n)).unwrap())
        .collect();
    drop(scoring);
    let scoring = restarted.start();
    assert_eq!(scoring.scored(), 40);
    let again = scoring.score(&stream(7)).unwrap();
    assert!(again.replayed);
    assert_eq!(again.decision_id, answers[7].decision_id);
    scoring.score(&stream(40)).unwrap();
    drop(scoring);
    let scoring = whole.start();
    (0..=40).for_each(|n| drop(scoring.score(&stream(n)).unwrap()));
    drop(scoring);
    assert!(vector_of(&restarted, "t40") == vector_of(&whole, "t40"));
}

// The folder is copied while the worker runs: the copy is what a killed process leaves behind.
#[test]
fn an_answered_decision_survives_a_kill() {
    let bank = Bank::new();
    let scoring = bank.start();
    for number in 0..5 {
        let answer = scoring.score(&stream(number)).unwrap();
        let left_behind = tempfile::tempdir().unwrap();
        copy(bank.folder.path(), left_behind.path());
        let found = open(left_behind.path()).find(&answer.txn_id).unwrap();
        let stored: Answer = serde_json::from_str(&found.unwrap().answer).unwrap();
        assert_eq!(stored.decision_id, answer.decision_id);
    }
}

#[test]
fn a_question_leaves_no_trace() {
    let (asked, plain) = (Bank::new(), Bank::new());
    for bank in [&asked, &plain] {
        let scoring = bank.start();
        scoring.install(bundle(Slot::Live, 1)).unwrap();
        if std::ptr::eq(bank, &asked) {
            let mut question: Value = serde_json::from_slice(&stream(0)).unwrap();
            question["purpose"] = json!("whatif");
            let question = serde_json::to_vec(&question).unwrap();
            let answers = [0; 3].map(|_| scoring.score(&question).unwrap());
            assert!(
                answers
                    .iter()
                    .all(|a| a.decision_id.is_none() && !a.replayed)
            );
            assert_eq!(scoring.scored(), 0);
            let decided = scoring.score(&stream(0)).unwrap();
            assert_eq!(answers[2].logit, decided.logit);
        } else {
            scoring.score(&stream(0)).unwrap();
        }
        scoring.score(&stream(5)).unwrap();
    }
    assert!(vector_of(&asked, "t5") == vector_of(&plain, "t5"));
    assert_eq!(open(asked.folder.path()).len(), 2);
}

// Eight callers at once: all are answered, each once; and the journal, replayed in its order
// through an encoder of its own, gives the very vectors that were scored live.
#[test]
fn callers_at_once_are_served_in_one_order_that_replays_to_the_same_bits() {
    let bank = Bank::new();
    let scoring = bank.start();
    scoring.install(bundle(Slot::Live, 1)).unwrap();
    let ids: Vec<String> = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..8_u32)
            .map(|caller| {
                let scoring = scoring.clone();
                let ask = move |number: u32| scoring.score(&stream(caller * 200 + number)).unwrap();
                scope.spawn(move || {
                    (0..200)
                        .map(ask)
                        .filter_map(|a| a.decision_id)
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        callers
            .into_iter()
            .flat_map(|caller| caller.join().unwrap())
            .collect()
    });
    assert_eq!(ids.len(), 1_600);
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 1_600);
    assert_eq!(scoring.scored(), 1_600);
    drop(scoring);
    let (journal, mut encoder) = (open(bank.folder.path()), history());
    for transaction in journal.transactions() {
        let transaction = transaction.unwrap();
        let live = journal.find(&transaction.txn_id).unwrap().unwrap().vector;
        assert!(
            encoder.encode(&transaction).0 == live,
            "replay differs from live"
        );
    }
}

fn vector_of(bank: &Bank, txn_id: &str) -> Vec<u32> {
    let entry = open(bank.folder.path()).find(txn_id).unwrap().unwrap();
    entry.vector.into_iter().map(f32::to_bits).collect()
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&to).unwrap();
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), &to).unwrap();
        }
    }
}
