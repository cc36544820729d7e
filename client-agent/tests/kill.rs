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
/// Callers do not wait until the agent is ready again, as a bank's would: without a pause a hundred
/// kills fill two cores and the journal faster than it can be read after each start.
const PAUSE: Duration = Duration::from_millis(4);
/// A day in November 2016, months after the history: nothing before it enters a window or a trend.
const START_MS: u64 = 1_480_000_000_000;

#[test]
fn what_was_answered_survives_every_kill() {
    println!("{}", survive("flush"));
}

// The system has it, and keeps it when the process ends.
#[test]
fn what_was_answered_before_its_flush_survives_every_kill() {
    println!("{}", survive("write"));
}

/// Says what was counted.
fn survive(answer_after: &str) -> String {
    let kills = std::env::var("PHALANX_KILLS").map_or(KILLS, |text| text.parse().unwrap());
    let house = House::found("");
    let file = house.path("agent.toml");
    let config = std::fs::read_to_string(&file).unwrap();
    let store = format!("[store]\nanswer_after = {answer_after:?}\n");
    std::fs::write(&file, config.replace("[store]\n", &store)).unwrap();
    let (answered, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    let (mut agent, killed, calls) = std::thread::scope(|scope| {
        let _over = Over(&is_over);
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| {
                let (house, answered, is_over) = (&house, &answered, &is_over);
                scope.spawn(move || call(house, caller, answered, is_over))
            })
            .collect();
        let (agent, killed) = kill_again_and_again(&house, kills, &answered);
        is_over.store(true, Ordering::SeqCst);
        let calls: Vec<Calls> = callers
            .into_iter()
            .map(|caller| caller.join().unwrap())
            .collect();
        (agent, killed, calls)
    });
    let all: Vec<&Value> = calls.iter().flat_map(|of| &of.answers).collect();
    let (lost, doubled) = (lost(&agent, &all), doubled(&house, &agent, &all));
    let counted = format!(
        "answers after the {answer_after}: {killed} kills, {} requests, {} payments acknowledged, \
         {} answers replayed, {lost} lost, {doubled} doubled",
        calls.iter().map(|of| of.requests).sum::<u64>(),
        all.len(),
        calls.iter().map(|of| of.replayed).sum::<u64>(),
    );
    assert_eq!((lost, doubled), (0, 0), "{counted}");
    retry(&house, &calls);
    agent.leave();
    counted
}

/// What became of one caller's requests.
#[derive(Default)]
struct Calls {
    /// The first answer to each payment, in order.
    answers: Vec<Value>,
    /// All that were sent, those without an answer too.
    requests: u64,
    /// Answers that said that they were given before. An answer that a kill cut off is one of
    /// those: the decision was in the journal, and the next request got it.
    replayed: u64,
}

/// Lives of an agent, all but two of which end without a word. Returns the last, running, and how
/// many were killed.
fn kill_again_and_again(house: &House, kills: u64, answered: &AtomicU64) -> (Agent, u64) {
    let (mut chance, mut killed) = (Chance::new(), 0);
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
        killed += 1;
        if kill % 3 == 1 {
            // Once more, while it recovers.
            let mut child = spawn(house);
            std::thread::sleep(Duration::from_millis(chance.below(300)));
            child.kill().unwrap();
            child.wait().unwrap();
            killed += 1;
        }
        agent = Agent::ready(house, spawn(house), PATIENCE);
        let recovery = fetch(&agent, "/v1/status")["recovery"].clone();
        assert_eq!(recovery["unclean_stop"], true, "{recovery}");
        assert!(recovery["last_decision"].is_string(), "{recovery}");
    }
    (agent, killed)
}

/// One caller: sends each payment until it is answered, and now and then an old one again.
fn call(house: &House, caller: u64, answered: &AtomicU64, is_over: &AtomicBool) -> Calls {
    let mut calls = Calls::default();
    while !is_over.load(Ordering::SeqCst) {
        let number = calls.answers.len() as u64;
        let began = Instant::now();
        let answer = loop {
            if let Some(answer) = calls.post(house, &payment(caller, number)) {
                break answer;
            }
            assert!(began.elapsed() < PATIENCE, "no answer to {caller}-{number}");
            std::thread::sleep(Duration::from_millis(2));
        };
        calls.answers.push(answer);
        answered.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(PAUSE);
        let old = number / 2;
        if number % 7 == 3
            && let Some(again) = calls.post(house, &payment(caller, old))
        {
            assert_same(&again, &calls.answers[usize::try_from(old).unwrap()]);
        }
    }
    calls
}

impl Calls {
    /// The answer to a payment, counted.
    fn post(&mut self, house: &House, payment: &Value) -> Option<Value> {
        self.requests += 1;
        let answer = post(house, payment)?;
        self.replayed += u64::from(answer["replayed"] == true);
        Some(answer)
    }
}

/// How many answers are not found word for word, or are another payment's too.
fn lost(agent: &Agent, all: &[&Value]) -> usize {
    let id = |answer: &Value| answer["decision_id"].as_str().unwrap().to_owned();
    let is_kept = |answer: &Value| {
        let path = format!("GET /v1/decisions/{}", id(answer));
        let found = body_of(&ask(agent.http, &path, "", ""));
        found.is_some_and(|found| as_told(&found["answer"]) == as_told(answer))
    };
    let ids: BTreeSet<String> = all.iter().map(|answer| id(answer)).collect();
    let shared = all.len() - ids.len();
    shared + all.iter().filter(|answer| !is_kept(answer)).count()
}

/// How many payments were counted more than once: in the journal, or in the window over the one
/// terminal that all were made at, which a last payment reads.
fn doubled(house: &House, agent: &Agent, all: &[&Value]) -> u64 {
    let scored = fetch(agent, "/v1/status")["scored"].as_u64().unwrap();
    let probe = post(house, &payment(CALLERS, 0)).unwrap();
    let id = probe["decision_id"].as_str().unwrap();
    let features = fetch(agent, &format!("/v1/decisions/{id}"))["features"].clone();
    let counted = features["outlet_count_30d"].as_f64().unwrap().exp_m1();
    let expected = all.len() as u64;
    // A payment that is not in the window is no double one, and as wrong.
    assert!(counted > expected as f64 - 0.4, "{counted} of {expected}");
    assert!(scored >= expected, "{scored} of {expected}");
    (scored - expected).max(counted.round() as u64 - expected)
}

/// A retry of every tenth payment is answered as the payment was.
fn retry(house: &House, calls: &[Calls]) {
    for (caller, of) in (0..).zip(calls) {
        for (number, answer) in (0..).zip(&of.answers).step_by(10) {
            assert_same(&post(house, &payment(caller, number)).unwrap(), answer);
        }
    }
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
