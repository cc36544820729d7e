//! The worker without its thread decides as scoring does.

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
