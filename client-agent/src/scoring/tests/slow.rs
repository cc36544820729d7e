//! A disk that takes its time: answers are late and not lost, the queue does not grow, and what the
//! disk does is told. It is held by `journal/faults.rs`, so that nothing here waits for a clock but
//! one deadline.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use tokio::sync::oneshot::Receiver;

use super::socket::{door, exchange, fetch, with_server};
use super::*;
use crate::journal::faults::Faults;
use crate::scoring::times::Asked;
use crate::scoring::written::Written;

fn start(bank: &Bank, queue_max: u32) -> (Scoring, Faults) {
    let journal = open(bank.folder.path());
    let faults = journal.faults();
    let settings = Settings {
        queue_max,
        ..settings()
    };
    let scoring = Scoring::start(settings, history(), journal, &bank.telemetry).unwrap();
    scoring.install(bundle(Slot::Live, 1)).unwrap();
    (scoring, faults)
}

fn ask(scoring: &Scoring, number: u32, asked: Asked) -> Receiver<Result<Written, Problem>> {
    let asked = scoring.enqueue_asked(&stream(number), Instant::now(), asked);
    asked.unwrap()
}

fn told(waiting: Receiver<Result<Written, Problem>>) -> Answer {
    waiting.blocking_recv().unwrap().unwrap().into_answer()
}

// The first is being flushed; two wait in the queue of two, one of which is wanted at once; the
// fourth is turned away, and may be sent again.
#[test]
fn while_the_disk_is_slow_the_queue_is_bounded_and_what_waits_is_answered() {
    let bank = Bank::new();
    let (scoring, faults) = start(&bank, 2);
    let held = faults.hold();
    let first = ask(&scoring, 0, Asked::default());
    held.wait_for_a_flush();
    let overdue = Asked {
        deadline: Some(Instant::now()),
        ..Asked::default()
    };
    let second = ask(&scoring, 1, overdue);
    let third = ask(&scoring, 2, Asked::default());
    with_server(door(scoring.clone()).router(), |address| {
        let body = stream(3);
        let head = format!(
            "POST /v1/score HTTP/1.1\r\nContent-Length: {}\r\n",
            body.len()
        );
        let (head, problem) = exchange(address, head.as_bytes(), &body);
        assert!(head.starts_with("HTTP/1.1 503"), "{head}");
        assert!(
            head.to_ascii_lowercase().contains("retry-after: 1"),
            "{head}"
        );
        assert_eq!(problem["type"], "overloaded");
    });
    drop(held);
    let first = told(first);
    assert_eq!((first.mode, first.replayed), (Mode::Full, false));
    let second = told(second);
    assert_eq!(
        (second.mode, second.degraded),
        (Mode::Fallback, vec![Degraded::Deadline])
    );
    assert_eq!(told(third).mode, Mode::Full);
    assert!(!scoring.score(&stream(3)).unwrap().replayed);
    assert_eq!(scoring.scored(), 4);
}

/// Asks for an answer within a millisecond.
fn hurry(address: SocketAddr, number: u32) -> (String, Value) {
    let body = stream(number);
    let length = body.len();
    let head =
        format!("POST /v1/score HTTP/1.1\r\nX-Deadline-Ms: 1\r\nContent-Length: {length}\r\n");
    exchange(address, head.as_bytes(), &body)
}

// The deadline and the grace of the first pass while its decision is being flushed: it is told as
// soon as the disk has it. The second's turn does not come meanwhile: that is a problem, and the
// same request gets what became of it. It was sent later, so when it is refused the first's time
// is over too.
#[test]
fn what_is_decided_is_told_however_late_and_what_had_no_turn_is_there_for_the_retry() {
    let bank = Bank::new();
    let (scoring, faults) = start(&bank, 64);
    let held = faults.hold();
    with_server(door(scoring.clone()).router(), |address| {
        std::thread::scope(|scope| {
            let first = scope.spawn(move || hurry(address, 0));
            held.wait_for_a_flush();
            let (head, problem) = hurry(address, 1);
            assert!(head.starts_with("HTTP/1.1 503"), "{head}");
            assert_eq!(problem["type"], "deadline_missed");
            drop(held);
            let (head, answer) = first.join().unwrap();
            assert!(head.starts_with("HTTP/1.1 200"), "{head}");
            assert!(answer["decision_id"].is_string(), "{answer}");
            assert_eq!(answer["replayed"], false);
        });
    });
    let again = scoring.score(&stream(1)).unwrap();
    assert!(again.replayed && again.decision_id.is_some());
    assert_eq!(scoring.scored(), 2);
}

#[test]
fn how_long_the_disk_takes_is_told() {
    let bank = Bank::new();
    let (scoring, _) = start(&bank, 64);
    let mut question: Value = serde_json::from_slice(&stream(9)).unwrap();
    question["purpose"] = json!("whatif");
    let flushes = |count: u32| {
        let text = bank.telemetry.render();
        let line = format!("phalanx_journal_flush_seconds_count {count}");
        assert!(text.contains(&line), "{line} is not in\n{text}");
    };
    // What is only asked is not written, and nothing is flushed for it.
    scoring.score(question.to_string().as_bytes()).unwrap();
    flushes(0);
    scoring.score(&stream(0)).unwrap();
    flushes(1);
    let router = agent_router(&bank.telemetry, &door(scoring), || json!({}), || true);
    with_server(router, |address| {
        let health = fetch(address, "/healthz?verbose").1;
        let journal = health["checks"][2]["why"].as_str().unwrap();
        assert!(journal.contains("the last flush took "), "{journal}");
    });
    flushes(1);
}

// The worker does not say how it is within a second, and that is what health says.
#[test]
fn a_flush_that_does_not_end_is_told_by_health() {
    let bank = Bank::new();
    let (scoring, faults) = start(&bank, 64);
    bank.telemetry.set_ready(true);
    let held = faults.hold();
    let waiting = ask(&scoring, 0, Asked::default());
    held.wait_for_a_flush();
    let router = agent_router(
        &bank.telemetry,
        &door(scoring.clone()),
        || json!({}),
        || true,
    );
    with_server(router, |address| {
        let (head, health) = fetch(address, "/healthz?verbose");
        assert!(head.starts_with("HTTP/1.1 503"), "{head}");
        let worker = &health["checks"][1];
        assert_eq!(
            (&worker["name"], &worker["ok"]),
            (&json!("worker"), &json!(false))
        );
        assert!(
            worker["why"].as_str().unwrap().contains("within a second"),
            "{worker}"
        );
        // Nothing was refused so far.
        assert!(fetch(address, "/readyz").0.starts_with("HTTP/1.1 200"));
    });
    drop(held);
    assert_eq!(told(waiting).mode, Mode::Full);
}

// Whoever sends payments asks `/readyz`: an agent that can give no decision is none to send to.
#[test]
fn an_agent_whose_disk_refused_is_not_ready_until_it_is_started_again() {
    let bank = Bank::new();
    let (scoring, faults) = start(&bank, 64);
    bank.telemetry.set_ready(true);
    scoring.score(&stream(0)).unwrap();
    assert!(bank.telemetry.is_ready());
    let router = agent_router(
        &bank.telemetry,
        &door(scoring.clone()),
        || json!({}),
        || true,
    );
    faults.flushes.store(1, Ordering::SeqCst);
    let problem = scoring.score(&stream(1)).unwrap_err();
    assert_eq!(problem.kind, ProblemType::Unavailable);
    with_server(router, |address| {
        assert!(fetch(address, "/readyz").0.starts_with("HTTP/1.1 503"));
        assert!(fetch(address, "/livez").0.starts_with("HTTP/1.1 200"));
        let (head, health) = fetch(address, "/healthz?verbose");
        assert!(head.starts_with("HTTP/1.1 503"), "{head}");
        let journal = &health["checks"][2];
        assert_eq!(
            (&journal["name"], &journal["ok"]),
            (&json!("journal"), &json!(false))
        );
        let why = journal["why"].as_str().unwrap();
        assert!(why.contains("not opened again since a failure"), "{why}");
        // The disk would take it, and the log does not.
        assert!(fetch(address, "/healthz").0.starts_with("HTTP/1.1 503"));
        assert!(fetch(address, "/readyz").0.starts_with("HTTP/1.1 503"));
    });
    drop(scoring);
    bank.start().score(&stream(1)).unwrap();
    assert!(bank.telemetry.is_ready());
    bank.telemetry.set_ready(false);
    assert!(!bank.telemetry.is_ready());
}
