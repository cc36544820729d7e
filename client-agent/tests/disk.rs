//! A disk that fills up under load, beneath a real agent: every payment is answered or refused with
//! a problem that says so; `/readyz` and `/healthz` say it; nothing can be started on it; and once
//! there is room every decision that was answered is found again, word for word, and every payment
//! that was refused is scored once. One filling here; `cargo xtask soak disk` for more.
//!
//! The disk is a small tmpfs on the store's folder, so it takes somebody who may mount one: for
//! anybody else the test says that it is skipped, also where CI is set: no package mends that.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails where it stands"
)]

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

#[path = "house/bank.rs"]
mod house;
#[path = "house/told.rs"]
mod told;

use house::{Agent, House, ask, spawn, terminate};
use told::{body_of, fetch};

const CALLERS: u64 = 4;
const FILLS: u64 = 1;
const PATIENCE: Duration = Duration::from_secs(90);
/// Room for a store, and little to fill.
const DISK: &str = "size=48m";
/// A day in November 2016, months after the history.
const START_MS: u64 = 1_480_000_000_000;

#[test]
fn what_was_answered_survives_a_full_disk() {
    let fills = std::env::var("PHALANX_FILLS").map_or(FILLS, |text| text.parse().unwrap());
    let house = House::found("");
    let Some(disk) = Disk::mount(&house.path("store")) else {
        eprintln!("skipped: no tmpfs can be mounted here");
        return;
    };
    let (mut answers, mut refused) = (Vec::new(), Vec::new());
    for fill in 0..fills {
        let agent = Agent::ready(&house, spawn(&house), PATIENCE);
        let told = play(&house, &disk, &agent, fill);
        answers.extend(told.answers);
        refused.extend(told.refused);
        leave(agent);
        // On a disk without room no agent starts, and it says whose affair that is. What `spawn`
        // would remove, and so make room, is removed before.
        let _ = std::fs::remove_file(house.path("store").join("http.addr"));
        disk.fill();
        let ended = spawn(&house).wait().unwrap();
        assert_eq!(ended.code(), Some(74), "{}", house.log());
        disk.empty();
    }
    let mut agent = Agent::ready(&house, spawn(&house), PATIENCE);
    check(&house, &agent, &answers, &refused);
    agent.leave();
}

/// What became of payments.
struct Told {
    /// The answers.
    answers: Vec<Value>,
    /// The payments that were not answered.
    refused: Vec<Value>,
}

/// Callers have payments judged until the disk is full and has been for a while.
fn play(house: &House, disk: &Disk, agent: &Agent, fill: u64) -> Told {
    let (answered, turned_away) = (AtomicU64::new(0), AtomicU64::new(0));
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Also where an assertion ends this early: nobody calls for ever.
        let over = Over(&is_over);
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| {
                let (counts, is_over) = ((&answered, &turned_away), &is_over);
                scope.spawn(move || call(house, (fill, caller), counts, is_over))
            })
            .collect();
        wait("the callers are not answered", || more_than(&answered, 100));
        disk.fill();
        wait("nothing is refused", || more_than(&turned_away, 100));
        is_told(agent);
        drop(over);
        let mut all = Told {
            answers: Vec::new(),
            refused: Vec::new(),
        };
        for caller in callers {
            let told = caller.join().unwrap();
            all.answers.extend(told.answers);
            all.refused.extend(told.refused);
        }
        all
    })
}

/// One caller, who sends each payment once.
fn call(
    house: &House,
    (fill, caller): (u64, u64),
    (answered, turned_away): (&AtomicU64, &AtomicU64),
    is_over: &AtomicBool,
) -> Told {
    let mut told = Told {
        answers: Vec::new(),
        refused: Vec::new(),
    };
    for number in 0.. {
        if is_over.load(Ordering::SeqCst) {
            break;
        }
        let payment = payment(fill * CALLERS + caller, number);
        let said = post(house, &payment);
        match body_of(&said) {
            Some(answer) => {
                told.answers.push(answer);
                answered.fetch_add(1, Ordering::SeqCst);
            }
            None => {
                is_refusal(&said);
                told.refused.push(payment);
                turned_away.fetch_add(1, Ordering::SeqCst);
                // All of them are sent again in the end, and the disk has to hold them.
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    }
    told
}

/// A refusal that a caller can tell from everything else, with a time to come again.
fn is_refusal(said: &str) {
    let (head, body) = said.split_once("\r\n\r\n").unwrap();
    let head = head.to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 503"), "{said}");
    assert!(head.contains("application/problem+json"), "{said}");
    assert!(head.contains("retry-after: 1"), "{said}");
    let problem: Value = serde_json::from_str(body).unwrap();
    assert_eq!(problem["type"], "unavailable", "{said}");
}

/// What the agent says of itself while its disk is full.
fn is_told(agent: &Agent) {
    let asked = |path: &str| ask(agent.http, &format!("GET {path}"), "", "");
    wait("it says that it is ready", || {
        asked("/readyz").contains(" 503 ")
    });
    assert!(asked("/livez").contains("200 OK"));
    let health = asked("/healthz?verbose");
    let (head, body) = health.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(" 503 "), "{health}");
    let health: Value = serde_json::from_str(body).unwrap();
    let mut checks = health["checks"].as_array().unwrap().iter();
    let journal = checks.find(|check| check["name"] == "journal").unwrap();
    assert_eq!(
        (&journal["needed"], &journal["ok"]),
        (&json!(true), &json!(false))
    );
    wait("the queue cannot be read", || {
        asked("/v1/alerts").contains("200 OK")
    });
    is_refusal(&asked("/v1/decisions?txn_id=d0-0"));
    let metrics = asked("/metrics");
    let counted = metrics
        .lines()
        .any(|line| line.starts_with("phalanx_score_errors_total{type=\"unavailable\"}"));
    assert!(counted, "{metrics}");
}

fn check(house: &House, agent: &Agent, answers: &[Value], refused: &[Value]) {
    assert!(answers.len() > 100 && refused.len() > 100);
    for answer in answers {
        let id = answer["decision_id"].as_str().unwrap();
        let found = fetch(agent, &format!("/v1/decisions/{id}"))["answer"].clone();
        assert_eq!(as_told(&found), as_told(answer));
    }
    // Some may be durable that nobody was told of: each counts once all the same.
    for payment in refused {
        let said = post(house, payment);
        let answer = body_of(&said).unwrap_or_else(|| panic!("{said}"));
        assert_eq!(answer["txn_id"], payment["txn_id"]);
    }
    let all = answers.len() + refused.len();
    assert_eq!(fetch(agent, "/v1/status")["scored"], all);
}

/// An answer without what differs between the times it is given.
fn as_told(answer: &Value) -> Value {
    let mut told = answer.clone();
    told["replayed"] = json!(null);
    told["latency_us"] = json!(null);
    told
}

fn post(house: &House, payment: &Value) -> String {
    let body = json!({ "txn": payment }).to_string();
    let length = body.len();
    let headers = format!("content-type: application/json\r\ncontent-length: {length}\r\n");
    ask(house.address().unwrap(), "POST /v1/score", &headers, &body)
}

fn payment(caller: u64, number: u64) -> Value {
    json!({
        "txn_id": format!("d{caller}-{number}"), "ts": START_MS + 100 * number + caller,
        "rail": "card", "amount_minor": 1_000 + number % 900, "currency": "EUR",
        "account_tok": format!("a{}", number % 50), "card_tok": format!("c{}", number % 50),
        "terminal_tok": "t1", "mcc": 5_411,
    })
}

/// Asks it to leave. What is not durable was told to nobody, so whether the last flush is refused
/// or has nothing to do is its own affair.
fn leave(mut agent: Agent) {
    terminate(&agent.child);
    let code = agent.child.wait().unwrap().code();
    assert!([Some(0), Some(74)].contains(&code), "{code:?}");
}

fn more_than(count: &AtomicU64, bound: u64) -> bool {
    count.load(Ordering::SeqCst) > bound
}

fn wait(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A disk of its own beneath a folder, which can be filled.
struct Disk(PathBuf);

impl Disk {
    /// Nothing where this process may mount none.
    fn mount(folder: &Path) -> Option<Self> {
        std::fs::create_dir_all(folder).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", DISK, "tmpfs"]).arg(folder);
        let mounted = mount.output().ok()?.status.success();
        mounted.then(|| Self(folder.to_owned()))
    }

    /// Takes every byte that is left.
    fn fill(&self) {
        let mut file = File::create(self.filler()).unwrap();
        for piece in [1 << 20, 1 << 12, 1] {
            let zeros = vec![0; piece];
            while file.write_all(&zeros).is_ok() {}
        }
    }

    fn empty(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Whoever is still in it keeps it until it leaves.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Tells the callers that it is over.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
