//! A wall clock that is stepped by hours. While the agent runs it follows no step, so what a step
//! does is done by the next start, where a test may say what the clock reads; and what the agent
//! says of a clock that it did not follow. The breaker's part is in `guard.rs`.

use std::collections::BTreeSet;

use protocol::time::Time;

use super::socket::{door, fetch, with_server};
use super::*;

/// The machine's clock as it is, and so many milliseconds on.
fn shifted(by_ms: i64) -> Clock {
    let now = Clock::start().now().0;
    Clock::starting_at(Time(now.saturating_add_signed(by_ms)))
}

// Ahead, right, behind: the number after the hyphen goes on, so that no two ids are the same and
// each is found; the time before it is what the clock said.
#[test]
fn decisions_have_ids_of_their_own_whatever_the_clock_says() {
    let bank = Bank::new();
    let mut answers: Vec<Answer> = Vec::new();
    for (start, by_ms) in (0..).zip([3 * HOUR_MS, 0, -24 * HOUR_MS]) {
        let scoring = bank.start_at(shifted(by_ms), settings());
        answers.extend((0..5).map(|nth| scoring.score(&stream(5 * start + nth)).unwrap()));
    }
    assert!(answers[0].scored_at > answers[5].scored_at);
    assert!(answers[5].scored_at > answers[10].scored_at);
    let id = |answer: &Answer| answer.decision_id.clone().unwrap();
    let ids: BTreeSet<String> = answers.iter().map(id).collect();
    assert_eq!(ids.len(), 15);
    for (number, answer) in answers.iter().enumerate() {
        assert!(id(answer).ends_with(&format!("-{number:x}")));
    }
    let scoring = bank.start();
    // A retry across a step is a retry.
    let again = scoring.score(&stream(2)).unwrap();
    assert!(again.replayed);
    assert_eq!(again.decision_id, answers[2].decision_id);
    with_server(door(scoring).router(), |address| {
        for answer in &answers {
            let found = fetch(address, &format!("/v1/decisions/{}", id(answer))).1;
            assert_eq!(found["answer"]["txn_id"], answer.txn_id, "{found}");
        }
    });
}

// The clock that the agent was started with is an hour behind what the machine's has become.
#[test]
fn a_step_that_is_not_followed_is_told_and_payments_are_judged() {
    let bank = Bank::new();
    let scoring = bank.start_at(shifted(-HOUR_MS), settings());
    scoring.score(&stream(0)).unwrap();
    // By its own clock a payment of this minute is not due yet.
    let now = i64::try_from(Clock::start().now().0).unwrap();
    let present = body(&payment("present", "c1", now, 700));
    let problem = scoring.score(&present).unwrap_err();
    assert_eq!(problem.kind, ProblemType::TooFuture);
    let router = agent_router(&bank.telemetry, &door(scoring), || json!({}), || true);
    with_server(router, |address| {
        let health = fetch(address, "/healthz?verbose").1;
        assert_eq!(health["ok"], true);
        let mut checks = health["checks"].as_array().unwrap().iter();
        let clock = checks.find(|check| check["name"] == "clock").unwrap();
        assert_eq!(
            (&clock["ok"], &clock["needed"]),
            (&json!(false), &json!(false))
        );
        let why = clock["why"].as_str().unwrap();
        assert!(why.contains("s ahead of the agent's"), "{why}");
    });
    // One that was started by the right clock takes the payment.
    assert!(Bank::new().start().score(&present).is_ok());
}

// A word without a date, told while the clock was three hours ahead, stands until a later word: the
// next one comes after it, whatever the clock says by then.
#[test]
fn words_count_in_their_order_across_a_step() {
    let bank = Bank::new();
    let say = |scoring: &Scoring, fraud: bool| {
        let label = json!({"txn_id": "t0", "fraud": fraud, "source": "analyst"});
        scoring
            .label(label.to_string().as_bytes())
            .unwrap()
            .remove(0)
    };
    let scoring = bank.start_at(shifted(3 * HOUR_MS), settings());
    scoring.score(&stream(0)).unwrap();
    assert_eq!(say(&scoring, true).status, LabelStatus::Accepted);
    drop(scoring);
    let scoring = bank.start();
    assert_eq!(say(&scoring, false).status, LabelStatus::Accepted);
    // A date of the sender's that far ahead is refused.
    let ahead = i64::try_from(Clock::start().now().0).unwrap() + 3 * HOUR_MS;
    let label = json!({"txn_id": "t0", "fraud": true, "known_at": ahead, "source": "analyst"});
    let refused = scoring
        .label(label.to_string().as_bytes())
        .unwrap()
        .remove(0);
    assert_eq!(refused.problem.unwrap().kind, ProblemType::TooFuture);
    drop(scoring);
    let labels = open(bank.folder.path()).labels_of("t0").unwrap();
    let told: Vec<bool> = labels.iter().map(|label| label.fraud).collect();
    assert_eq!(told, [true, false]);
    assert!(labels[0].known_at < labels[1].known_at);
}
