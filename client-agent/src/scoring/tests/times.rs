//! Answers wanted by a time, and payments of another time: what is still done, what is refused, and
//! that nothing is lost by either.

use std::time::Duration;

use super::refusals::unserved;
use super::socket::{ask, door, exchange, with_server};
use super::*;
use crate::scoring::times::{Asked, Behind, Times};

#[test]
fn an_overdue_payment_is_answered_without_a_model_and_remembered() {
    let bank = Bank::new();
    let scoring = bank.start();
    scoring.install(bundle(Slot::Live, 1)).unwrap();
    scoring.install(bundle(Slot::Local, 2)).unwrap();
    let overdue = Asked {
        deadline: Some(Instant::now()),
        ..Asked::default()
    };
    let answer = score(&scoring, &stream(0), overdue).unwrap();
    assert_eq!(
        (answer.mode, answer.decision),
        (Mode::Fallback, Decision::Review)
    );
    assert_eq!(answer.degraded, [Degraded::Deadline]);
    assert!(answer.score.is_none() && answer.model.is_none() && answer.shadow.is_none());
    let next = scoring.score(&stream(5)).unwrap();
    assert_eq!((next.mode, next.degraded), (Mode::Full, Vec::new()));
    // A retry in all leisure gets what was answered.
    let again = score(&scoring, &stream(0), Asked::default()).unwrap();
    assert!(again.replayed);
    assert_eq!(
        (again.decision_id, again.degraded),
        (answer.decision_id, answer.degraded)
    );
    counts(
        &bank,
        &[
            "phalanx_score_deadline_missed_total 1",
            "phalanx_score_degraded_total{reason=\"deadline\"} 1",
            "phalanx_events_late_total 0",
        ],
    );
    drop(scoring);
    // The card's next payment saw it, as it would have seen one that was scored.
    let mut replayed = history();
    for (id, number) in [("t0", 0), ("t5", 5)] {
        let sent: Value = serde_json::from_slice(&stream(number)).unwrap();
        let expected = replayed.encode(&transaction(&sent["txn"]));
        assert!(journaled(&bank, id) == expected.0, "{id}");
    }
}

#[test]
fn a_late_payment_is_read_at_its_own_time_and_says_so() {
    let bank = Bank::new();
    let scoring = bank.start();
    scoring.install(bundle(Slot::Live, 1)).unwrap();
    scoring.score(&stream(0)).unwrap();
    let late = payment("late", "c0", START_MS - HOUR_MS, 700);
    let asked = serde_json::to_vec(&json!({"txn": late, "purpose": "whatif"})).unwrap();
    assert_eq!(scoring.score(&asked).unwrap().degraded, [Degraded::Late]);
    let answer = scoring.score(&body(&late)).unwrap();
    assert_eq!(
        (answer.mode, answer.degraded),
        (Mode::Full, vec![Degraded::Late])
    );
    // As old, but of a card that has no newer one.
    let other = payment("other", "c9", START_MS - HOUR_MS, 700);
    assert!(scoring.score(&body(&other)).unwrap().degraded.is_empty());
    counts(
        &bank,
        &[
            "phalanx_events_late_total 1",
            "phalanx_score_degraded_total{reason=\"late\"} 1",
            "phalanx_score_deadline_missed_total 0",
        ],
    );
    drop(scoring);
    let mut replayed = history();
    let first: Value = serde_json::from_slice(&stream(0)).unwrap();
    replayed.encode(&transaction(&first["txn"]));
    assert!(journaled(&bank, "late") == replayed.encode(&transaction(&late)).0);
}

#[test]
fn a_payment_beyond_the_lateness_is_refused_and_its_retry_is_not() {
    let bank = Bank::new();
    let scoring = bank.start();
    let times = Times {
        lateness_max: Some(Duration::from_secs(24 * 3_600)),
        ..Times::default()
    };
    let asked = Asked {
        deadline: None,
        times,
    };
    let at = |id: &str, ts: i64| body(&payment(id, "c1", ts, 700));
    scoring.score(&stream(0)).unwrap();
    let oldest = at("oldest", START_MS - 24 * HOUR_MS);
    assert!(score(&scoring, &oldest, asked).is_ok());
    let older = at("older", START_MS - 24 * HOUR_MS - 1);
    let problem = score(&scoring, &older, asked).unwrap_err();
    assert_eq!(
        (problem.kind, problem.status),
        (ProblemType::StaleEvent, 422)
    );
    assert_eq!(problem.field.as_deref(), Some("ts"));
    // A question harms nothing, whatever its age.
    let mut whatif: Value = serde_json::from_slice(&older).unwrap();
    whatif["purpose"] = json!("whatif");
    assert!(score(&scoring, &serde_json::to_vec(&whatif).unwrap(), asked).is_ok());
    // The newest moves on; what was answered before is answered again.
    score(&scoring, &at("newer", START_MS + HOUR_MS), asked).unwrap();
    assert!(score(&scoring, &oldest, asked).unwrap().replayed);
    let refused = score(&scoring, &at("again", START_MS - 24 * HOUR_MS), asked);
    assert_eq!(refused.unwrap_err().kind, ProblemType::StaleEvent);
    assert_eq!(scoring.scored(), 3);
}

// The last payment that is remembered lies long ago; by the clock two hours are too much.
#[test]
fn age_is_held_against_the_clock_where_the_bank_wants_it() {
    let bank = Bank::new();
    let scoring = bank.start();
    let now = i64::try_from(Clock::start().now().0).unwrap();
    let sent = body(&payment("t0", "c1", now - 2 * HOUR_MS, 700));
    let mut asked = Asked::default();
    asked.times.lateness_max = Some(Duration::from_secs(3_600));
    asked.times.behind = Behind::Clock;
    let problem = score(&scoring, &sent, asked).unwrap_err();
    assert_eq!(problem.kind, ProblemType::StaleEvent);
    assert!(problem.expected.unwrap().contains("clock"));
    asked.times.behind = Behind::Newest;
    assert!(score(&scoring, &sent, asked).is_ok());
}

#[test]
fn the_head_of_a_request_outdoes_the_configured_deadline() {
    let bank = Bank::new();
    let scoring = bank.start();
    scoring.install(bundle(Slot::Live, 1)).unwrap();
    let door = Door::new(Times {
        deadline: Some(Duration::ZERO),
        ..Times::default()
    });
    door.open(scoring.clone());
    with_server(door.router(), |address| {
        let (head, answer) = exchange(address, &head_of(&stream(0), ""), &stream(0));
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert_eq!(answer["mode"], "fallback");
        assert_eq!(answer["degraded"], json!(["deadline"]));
        let leisure = head_of(&stream(1), "X-Deadline-Ms: 10000\r\n");
        let answer = exchange(address, &leisure, &stream(1)).1;
        assert_eq!(
            (&answer["mode"], &answer["degraded"]),
            (&json!("full"), &json!([]))
        );
        let wrong = head_of(&stream(2), "X-Deadline-Ms: soon\r\n");
        let (head, problem) = exchange(address, &wrong, &stream(2));
        assert!(head.starts_with("HTTP/1.1 400"), "{head}");
        assert_eq!(problem["field"], "X-Deadline-Ms");
    });
    assert_eq!(scoring.scored(), 2);
}

// Nobody serves the queue: the payment stays in it all the same.
#[test]
fn a_worker_that_does_not_answer_in_time_is_not_waited_for() {
    let telemetry = Telemetry::default();
    let (scoring, queue) = unserved(&telemetry);
    with_server(door(scoring).router(), |address| {
        let asked = head_of(&stream(0), "X-Deadline-Ms: 1\r\n");
        let (head, problem) = exchange(address, &asked, &stream(0));
        assert!(head.starts_with("HTTP/1.1 503"), "{head}");
        assert!(
            head.to_ascii_lowercase().contains("retry-after: 1"),
            "{head}"
        );
        assert_eq!(problem["type"], "deadline_missed");
        let Ok(Job::Score { request, .. }) = queue.try_recv() else {
            panic!("the payment was not taken");
        };
        assert_eq!(request.transaction.txn_id, "t0");
    });
}

#[test]
fn lines_of_a_batch_are_held_to_the_same_age() {
    let bank = Bank::new();
    let door = Door::new(Times {
        lateness_max: Some(Duration::from_secs(3_600)),
        deadline: Some(Duration::ZERO),
        ..Times::default()
    });
    door.open(bank.start());
    let old = body(&payment("old", "c1", START_MS - 2 * HOUR_MS, 700));
    let lines = [stream(0), old].join(&b'\n');
    with_server(door.router(), |address| {
        let length = lines.len();
        // HTTP/1.0 knows no chunks: the lines come as they are.
        let head = format!("POST /v1/score/batch HTTP/1.0\r\nContent-Length: {length}\r\n");
        let (_, told) = ask(address, head.as_bytes(), &lines);
        let told = told
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let told: Vec<Value> = told.collect();
        assert_eq!(
            (&told[0]["txn_id"], &told[0]["degraded"]),
            (&json!("t0"), &json!([]))
        );
        assert_eq!(told[1]["type"], "stale_event");
    });
}

#[test]
fn a_body_that_trickles_is_not_waited_for() {
    let bank = Bank::new();
    let door = Door::new(Times {
        body_max: Duration::from_millis(50),
        ..Times::default()
    });
    door.open(bank.start());
    with_server(door.router(), |address| {
        let (head, problem) = exchange(address, &head_of(&stream(0), ""), &stream(0)[..9]);
        assert!(head.starts_with("HTTP/1.1 400"), "{head}");
        assert_eq!(problem["field"], "body");
        let found = problem["found"].as_str().unwrap();
        assert!(found.contains("not whole after 0.05 s"), "{found}");
    });
}

/// Scores a body under the terms of whoever asks.
fn score(scoring: &Scoring, body: &[u8], asked: Asked) -> Result<Answer, Problem> {
    let waiting = scoring.enqueue_asked(body, Instant::now(), asked)?;
    waiting.blocking_recv().unwrap().map(Written::into_answer)
}

fn head_of(body: &[u8], beside: &str) -> Vec<u8> {
    let length = body.len();
    format!("POST /v1/score HTTP/1.1\r\n{beside}Content-Length: {length}\r\n").into_bytes()
}

fn journaled(bank: &Bank, txn_id: &str) -> Vec<f32> {
    let journal = open(bank.folder.path());
    journal.find(txn_id).unwrap().unwrap().vector
}

fn counts(bank: &Bank, lines: &[&str]) {
    let text = bank.telemetry.render();
    for line in lines {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}
