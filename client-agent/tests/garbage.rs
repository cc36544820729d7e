//! The agent as a process, fed what nobody should send: feeds that are no feeds, a coordinator
//! that speaks nonsense, requests that are none. It names the fault and goes on.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails where it stands"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use host::identity::Identity;
use host::quic::Listener;
use protocol::credential::Role;

#[path = "house/bank.rs"]
mod house;

use house::{House, MAP, NOBODY, ask, spawn};

const HEADER: &str = "id,ts,amount,account\n";

/// Passes the Luhn check.
const CARD_NUMBER: &str = "4111111111111111";

/// A feed that is none: its format, its bytes, and what the agent must say of it.
struct Feed {
    format: &'static str,
    bytes: Vec<u8>,
    said: &'static str,
}

fn feeds() -> Vec<Feed> {
    let feed = |format, bytes: &[u8], said| Feed {
        format,
        bytes: bytes.to_vec(),
        said,
    };
    let csv = |rows: &str| format!("{HEADER}{rows}").into_bytes();
    // A footer that claims four GiB, one that claims more than the file, none at all, and noise.
    let parquet = |middle: &[u8]| [b"PAR1", middle, b"PAR1"].concat();
    vec![
        feed("csv", b"", "empty feed"),
        feed("csv", b"\0\xff\xfe\0garbage", "UTF-8"),
        feed("csv", b"other,columns\n1,2\n", "no column"),
        feed("csv", &csv("a,b\n"), "line 2"),
        feed("csv", &csv("t1,yesterday,12,acc\n"), "yesterday"),
        feed("csv", &csv("t1,1470000000000,twelve,acc\n"), "twelve"),
        feed(
            "csv",
            &csv("t1,1470000000000,12,4111111111111111\n"),
            "card number",
        ),
        feed("csv", &csv(&format!("\"{}", "x".repeat(3 << 20))), "line 2"),
        feed("ndjson", b"{\"id\":\n", "line 1"),
        feed("ndjson", b"[1,2,3]\n", "line 1"),
        feed("ndjson", "[".repeat(1 << 20).as_bytes(), "line 1"),
        feed(
            "ndjson",
            b"{\"id\":\"t\",\"ts\":1e400,\"amount\":1,\"account\":\"a\"}\n",
            "line 1",
        ),
        feed("parquet", b"id,ts\n", "Parquet"),
        feed("parquet", &parquet(&u32::MAX.to_le_bytes()), "Parquet"),
        feed("parquet", &parquet(&[0x7f, 0xff, 0xff, 0x7f]), "Parquet"),
        feed("parquet", &parquet(&[0, 0, 0, 0]), "Parquet"),
        feed(
            "parquet",
            &parquet(&[[0xa5; 64].as_slice(), &64_u32.to_le_bytes()].concat()),
            "Parquet",
        ),
    ]
}

#[test]
fn a_feed_that_is_none_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let mut wrong = String::new();
    for (at, feed) in feeds().into_iter().enumerate() {
        let file = folder.path().join(format!("{at}.{}", feed.format));
        std::fs::write(&file, &feed.bytes).unwrap();
        let map = map(folder.path(), feed.format);
        let output = within_memory(&["map", "check", &text(&map), &text(&file)]);
        let said = words(&output);
        let refused = output.status.code() == Some(78) && said.contains(feed.said);
        if !refused || said.contains("panicked") || said.contains(CARD_NUMBER) {
            wrong += &format!("feed {at}, {}: {}\n", output.status, said.trim_end());
        }
    }
    assert_eq!(wrong, "");
}

#[test]
fn an_agent_does_not_start_on_a_past_it_cannot_read() {
    let house = House::found("");
    std::fs::write(house.path("history.csv"), format!("{HEADER}t1,soon,1,a\n")).unwrap();
    let output = within_memory(&["serve", "--config", &text(&house.path("agent.toml"))]);
    let said = words(&output);
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(said.contains("line 2") && said.contains("soon"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_coordinator_that_speaks_nonsense_is_left_and_payments_are_judged() {
    let house = House::found("");
    let coordinator = Identity::load(&house.enrol("coordinator", Role::Coordinator)).unwrap();
    let any = "127.0.0.1:0".parse().unwrap();
    let listener = Listener::bind(any, &coordinator).unwrap();
    let there = listener.local_address().unwrap().to_string();
    let config = std::fs::read_to_string(house.path("agent.toml")).unwrap();
    std::fs::write(house.path("agent.toml"), config.replace(NOBODY, &there)).unwrap();
    let mut agent = Agent::start(&house);
    for frame in [
        vec![],
        vec![0xff; 64],
        vec![0; 100_000],
        b"HTTP/1.1 200 OK\r\n\r\n".to_vec(),
    ] {
        let mut link = listener.accept().await.unwrap().unwrap();
        assert!(link.sender().send(frame));
        // Its greeting may come first; then it must leave.
        let left = async { while link.receive().await.is_some() {} };
        tokio::time::timeout(PATIENCE, left)
            .await
            .expect("the agent leaves");
        assert!(agent.answers("after-nonsense").starts_with("HTTP/1.1 200"));
    }
    agent.0.leave();
}

#[test]
fn requests_that_are_none_are_answered_with_the_fault() {
    let house = House::found("");
    let mut agent = Agent::start(&house);
    let long = format!("{{\"txn\":\"{}\"}}", "x".repeat(100 << 10));
    let deep = "[".repeat(50_000);
    for (body, status, said) in [
        ("", 400, "schema"),
        ("not json", 400, "schema"),
        ("{\"txn\":null}", 400, "schema"),
        ("{\"txn\":{}}", 400, "missing_field"),
        (deep.as_str(), 400, "schema"),
        (long.as_str(), 413, "too_large"),
        (
            "{\"txn\":{\"txn_id\":\"4111111111111111\"}}",
            400,
            "pan_detected",
        ),
    ] {
        let answer = agent.post(body);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{body:.40}: {answer}"
        );
        assert!(answer.contains("application/problem+json"), "{answer}");
        assert!(answer.contains(said), "{body:.40}: {answer}");
        assert!(!answer.contains(CARD_NUMBER), "{answer}");
    }
    assert!(agent.answers("after-garbage").starts_with("HTTP/1.1 200"));
    agent.0.leave();
}

/// A running agent.
struct Agent(house::Agent);

impl Agent {
    fn start(house: &House) -> Self {
        Self(house::Agent::ready(house, spawn(house), PATIENCE))
    }

    fn post(&self, body: &str) -> String {
        let length = body.len();
        let headers = format!("content-type: application/json\r\ncontent-length: {length}\r\n");
        ask(self.0.http, "POST /v1/score", &headers, body)
    }

    fn answers(&self, txn_id: &str) -> String {
        self.post(&format!(
            "{{\"txn\":{{\"txn_id\":\"{txn_id}\",\"ts\":1470000000000,\"rail\":\"card\",\
             \"amount_minor\":1200,\"currency\":\"EUR\",\"account_tok\":\"acc1\"}}}}"
        ))
    }
}

fn map(folder: &Path, format: &str) -> PathBuf {
    let path = folder.join("map.toml");
    std::fs::write(&path, MAP.replace("csv", format)).unwrap();
    path
}

/// Runs the agent with 4 GiB of address space, libtorch included: what a lying length asks for
/// beyond that ends it, and the test.
fn within_memory(arguments: &[&str]) -> Output {
    Command::new("sh")
        .args(["-c", "ulimit -v 4194304; exec \"$@\"", "sh"])
        .arg(env!("CARGO_BIN_EXE_phalanx-agent"))
        .args(arguments)
        .output()
        .unwrap()
}

fn words(output: &Output) -> String {
    let both = [output.stdout.as_slice(), &output.stderr].concat();
    String::from_utf8_lossy(&both).into_owned()
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

const PATIENCE: Duration = Duration::from_secs(60);
