//! kill -9 of the agent at any moment, while several callers have payments judged: every decision
//! that was answered is found again, word for word; no payment is counted twice, however often it
//! was sent; a retry gets the first answer. Three kills here; `cargo xtask soak kill` for more.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails where it stands"
)]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

#[path = "soak/callers.rs"]
mod callers;
#[path = "house/bank.rs"]
mod house;
#[path = "house/told.rs"]
mod told;

use callers::{Chance, Over};
use house::{Agent, House, ask, spawn};
use told::{body_of, fetch};

const CALLERS: u64 = 4;
const KILLS: u64 = 3;
const PATIENCE: Duration = Duration::from_secs(90);
/// A day in November 2016, months after the history: nothing before it enters a window or a trend.
const START_MS: u64 = 1_480_000_000_000;

#[test]
fn what_was_answered_survives_every_kill() {
    let kills = std::env::var("PHALANX_KILLS").map_or(KILLS, |text| text.parse().unwrap());
    let house = House::found("");
    let (answered, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    let (mut agent, answers) = std::thread::scope(|scope| {
        let _over = Over(&is_over);
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| {
                let (house, answered, is_over) = (&house, &answered, &is_over);
                scope.spawn(move || call(house, caller, answered, is_over))
            })
            .collect();
        let agent = kill_again_and_again(&house, kills, &answered);
        is_over.store(true, Ordering::SeqCst);
        let answers: Vec<Vec<Value>> = callers
            .into_iter()
            .map(|caller| caller.join().unwrap())
            .collect();
        (agent, answers)
    });
    check(&house, &agent, &answers);
    agent.leave();
}

/// Lives of an agent, all but one of which end without a word. Returns the last, running.
fn kill_again_and_again(house: &House, kills: u64, answered: &AtomicU64) -> Agent {
    let mut chance = Chance::new();
    let mut agent = Agent::ready(house, spawn(house), PATIENCE);
    for kill in 0..kills {
        let until = answered.load(Ordering::SeqCst) + 1 + chance.below(150);
        let began = Instant::now();
        while answered.load(Ordering::SeqCst) < until {
            assert!(began.elapsed() < PATIENCE, "the callers are not answered");
            std::thread::yield_now();
        }
        // Any moment between two answers will do.
        std::thread::sleep(Duration::from_micros(chance.below(20_000)));
        if kill == kills / 2 {
            agent.leave();
            agent = Agent::ready(house, spawn(house), PATIENCE);
            let recovery = fetch(&agent, "/v1/status")["recovery"].clone();
            assert_eq!(recovery["from"], "snapshot", "{recovery}");
            // Those that were still on their way when it was told to leave.
            assert!(recovery["payments"].as_u64() < Some(100), "{recovery}");
            assert_eq!(recovery["unclean_stop"], false, "{recovery}");
        }
        agent.child.kill().unwrap();
        agent.child.wait().unwrap();
        if kill % 3 == 1 {
            // Once more, while it recovers.
            let mut child = spawn(house);
            std::thread::sleep(Duration::from_millis(chance.below(300)));
            child.kill().unwrap();
            child.wait().unwrap();
        }
        agent = Agent::ready(house, spawn(house), PATIENCE);
        let recovery = fetch(&agent, "/v1/status")["recovery"].clone();
        assert_eq!(recovery["unclean_stop"], true, "{recovery}");
        assert!(recovery["last_decision"].is_string(), "{recovery}");
    }
    agent
}

/// One caller: sends each payment until it is answered, and now and then an old one again. Returns
/// the answers in order.
fn call(house: &House, caller: u64, answered: &AtomicU64, is_over: &AtomicBool) -> Vec<Value> {
    let mut answers: Vec<Value> = Vec::new();
    while !is_over.load(Ordering::SeqCst) {
        let number = answers.len() as u64;
        let began = Instant::now();
        let answer = loop {
            if let Some(answer) = post(house, &payment(caller, number)) {
                break answer;
            }
            assert!(began.elapsed() < PATIENCE, "no answer to {caller}-{number}");
            std::thread::sleep(Duration::from_millis(2));
        };
        answers.push(answer);
        answered.fetch_add(1, Ordering::SeqCst);
        let old = number / 2;
        if number % 7 == 3
            && let Some(again) = post(house, &payment(caller, old))
        {
            assert_same(&again, &answers[usize::try_from(old).unwrap()]);
        }
    }
    answers
}

fn check(house: &House, agent: &Agent, answers: &[Vec<Value>]) {
    let all: Vec<&Value> = answers.iter().flatten().collect();
    let told = |answer: &&Value| answer["decision_id"].as_str().unwrap().to_owned();
    let ids: BTreeSet<String> = all.iter().map(told).collect();
    assert_eq!(ids.len(), all.len(), "two payments share a decision");
    assert_eq!(fetch(agent, "/v1/status")["scored"], all.len());
    for answer in &all {
        let id = answer["decision_id"].as_str().unwrap();
        let found = fetch(agent, &format!("/v1/decisions/{id}"))["answer"].clone();
        assert_eq!(as_told(&found), as_told(answer));
    }
    for (caller, answers) in (0..).zip(answers) {
        for (number, answer) in (0..).zip(answers).step_by(10) {
            assert_same(&post(house, &payment(caller, number)).unwrap(), answer);
        }
    }
    // The window over the one terminal that all were made at holds each of them once.
    let probe = post(house, &payment(CALLERS, 0)).unwrap();
    let id = probe["decision_id"].as_str().unwrap();
    let features = fetch(agent, &format!("/v1/decisions/{id}"))["features"].clone();
    let counted = features["outlet_count_30d"].as_f64().unwrap().exp_m1();
    let expected = all.len() as f64;
    assert!((counted - expected).abs() < 0.4, "{counted} of {expected}");
}

/// A retry tells that it is one, and is otherwise the first answer.
fn assert_same(again: &Value, first: &Value) {
    assert_eq!(again["replayed"], true, "{again}");
    assert_eq!(as_told(again), as_told(first));
}

/// An answer without what differs between the times it is given.
fn as_told(answer: &Value) -> Value {
    let mut told = answer.clone();
    told["replayed"] = json!(null);
    told["latency_us"] = json!(null);
    told
}

/// The answer to a payment; nothing where there was none, or not yet.
fn post(house: &House, payment: &Value) -> Option<Value> {
    let body = json!({ "txn": payment }).to_string();
    let length = body.len();
    let headers = format!("content-type: application/json\r\ncontent-length: {length}\r\n");
    body_of(&ask(house.address()?, "POST /v1/score", &headers, &body))
}

/// The payment of a caller with this number: the same words at each retry.
fn payment(caller: u64, number: u64) -> Value {
    json!({
        "txn_id": format!("k{caller}-{number}"), "ts": START_MS + 100 * number + caller,
        "rail": "card", "amount_minor": 1_000 + number % 900, "currency": "EUR",
        "account_tok": format!("a{}", number % 50), "card_tok": format!("c{}", number % 50),
        "terminal_tok": "t1", "mcc": 5_411,
    })
}
