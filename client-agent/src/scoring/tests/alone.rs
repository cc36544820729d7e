//! The worker without its thread decides as scoring does.

use std::sync::atomic::Ordering;

use super::answers::Whole;
use super::*;

/// An answer without what the clock and the way to it make of it.
fn plain(answer: &[u8]) -> Value {
    let mut answer: Value = serde_json::from_slice(answer).unwrap();
    for field in ["decision_id", "scored_at", "latency_us"] {
        answer[field] = Value::Null;
    }
    answer
}

#[test]
fn a_worker_alone_answers_and_journals_as_scoring_does() {
    let (bank, other) = (Bank::new(), Bank::new());
    let scoring = bank.start();
    scoring.install(bundle(Slot::Live, 1)).unwrap();
    let journal = open(other.folder.path());
    let mut alone = Alone::start(settings(), history(), journal, &other.telemetry).unwrap();
    alone.install(bundle(Slot::Live, 1)).unwrap();
    for number in 0..20 {
        let answer = alone.score(&stream(number)).unwrap();
        let expected = scoring.score(&stream(number)).unwrap();
        let expected = serde_json::to_vec(&expected).unwrap();
        assert_eq!(plain(&answer), plain(&expected));
    }
    assert_eq!(
        alone.score(b"{}").unwrap_err().kind,
        ProblemType::MissingField
    );
    alone.settle().unwrap();
    drop(alone);
    assert_eq!(open(other.folder.path()).len(), 20);
}

// The disk would refuse: planted fault, without `tell` in the worker this fails.
#[test]
fn who_reads_along_is_told_what_the_worker_has_and_reads_nothing_from_disk() {
    let bank = Bank::new();
    let journal = open(bank.folder.path());
    let (faults, mut follower) = (journal.faults(), journal.follow());
    let mut alone = Alone::start(settings(), history(), journal, &bank.telemetry).unwrap();
    alone.install(bundle(Slot::Live, 1)).unwrap();
    let given: Vec<Vec<u8>> = (0..5).map(|n| alone.score(&stream(n)).unwrap()).collect();
    // A retry and a question are no decisions.
    alone.score(&stream(3)).unwrap();
    let mut question: Value = serde_json::from_slice(&stream(9)).unwrap();
    question["purpose"] = json!("whatif");
    alone.score(question.to_string().as_bytes()).unwrap();
    let reach = follower.reach();
    assert!(follower.next_told(reach).unwrap().is_none());
    alone.settle().unwrap();
    faults.entry_reads.store(1, Ordering::SeqCst);
    let reach = follower.reach();
    let told: Vec<_> = std::iter::from_fn(|| follower.next_told(reach).unwrap()).collect();
    assert_eq!(faults.entry_reads.swap(0, Ordering::SeqCst), 1);
    assert_eq!(told.len(), given.len());
    for (told, given) in told.iter().zip(&given) {
        let stored = follower.told(told.sequence).unwrap().unwrap();
        assert!(told.payment == stored.payment && told.vector == stored.vector);
        for answer in [told.answer::<Whole>(), stored.answer::<Whole>()] {
            assert_eq!(&serde_json::to_vec(&answer.unwrap().0).unwrap(), given);
        }
    }
}
