//! The agent as a process, fed what nobody should send: feeds that are no feeds, a coordinator
//! that speaks nonsense, requests that are none. It names the fault and goes on.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails where it stands"
)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use host::address;
use host::identity::{self, Consortium, Identity};
use host::quic::Listener;
use protocol::credential::Role;
use protocol::time::Time;

const FIELDS: &str = r#"
[fields]
txn_id = "id"
ts = "ts"
rail = { const = "card" }
amount_minor = "amount"
currency = { const = "EUR" }
account_tok = "account"
"#;

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
    let house = House::found("127.0.0.1:9".parse().unwrap());
    std::fs::write(house.path("history.csv"), format!("{HEADER}t1,soon,1,a\n")).unwrap();
    let output = within_memory(&["serve", "--config", &text(&house.path("agent.toml"))]);
    let said = words(&output);
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(said.contains("line 2") && said.contains("soon"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_coordinator_that_speaks_nonsense_is_left_and_payments_are_judged() {
    let house = House::found("127.0.0.1:9".parse().unwrap());
    let coordinator = house.enrol("coordinator", Role::Coordinator);
    let any = "127.0.0.1:0".parse().unwrap();
    let listener = Listener::bind(any, &coordinator).unwrap();
    house.write_config(listener.local_address().unwrap());
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
    agent.leave();
}

#[test]
fn requests_that_are_none_are_answered_with_the_fault() {
    let house = House::found("127.0.0.1:9".parse().unwrap());
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
    agent.leave();
}

/// Everything an agent needs on disk.
struct House {
    folder: tempfile::TempDir,
    consortium: Consortium,
}

impl House {
    fn found(coordinator: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let consortium = Consortium::create(&folder.path().join("ca"), "Test").unwrap();
        let house = Self { folder, consortium };
        house.enrol("identity", Role::Bank);
        map(house.folder.path(), "csv");
        std::fs::write(house.path("token.key"), "00".repeat(32)).unwrap();
        let rows = (0..50).map(|at| format!("h{at},{},{at},acc{at}\n", 1_469_000_000_000_i64 + at));
        let history = rows.fold(HEADER.to_owned(), |text, row| text + &row);
        std::fs::write(house.path("history.csv"), history).unwrap();
        house.write_config(coordinator);
        house
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn enrol(&self, name: &str, role: Role) -> Identity {
        let at = self.path(name);
        let request = identity::request(&at, name, role).unwrap();
        let bundle = self.consortium.approve(&request, Time(u64::MAX)).unwrap();
        identity::install(&at, &bundle).unwrap();
        Identity::load(&at).unwrap()
    }

    fn write_config(&self, coordinator: SocketAddr) {
        let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ops/config");
        let text = format!(
            "[identity]\nfolder = {:?}\n[coordinator]\naddress = \"{coordinator}\"\n\
             [store]\nfolder = {:?}\n[http]\naddress = \"127.0.0.1:0\"\n\
             insecure_loopback = true\n[consent]\nfile = {:?}\n\
             [history]\nfile = {:?}\nmap = {:?}\ntoken_key = {:?}\n\
             [scoring]\npolicy = {:?}\n[baseline]\nlocal = false\n[log]\nformat = \"text\"\n",
            self.path("identity"),
            self.path("store"),
            samples.join("consent.toml"),
            self.path("history.csv"),
            self.path("map.toml"),
            self.path("token.key"),
            samples.join("policy.toml"),
        );
        std::fs::write(self.path("agent.toml"), text).unwrap();
    }
}

/// A running agent; it does not outlive the test.
struct Agent {
    child: Child,
    http: SocketAddr,
}

impl Agent {
    fn start(house: &House) -> Self {
        let log = std::fs::File::create(house.path("log")).unwrap();
        let mut child = program()
            .args(["serve", "--config", &text(&house.path("agent.toml"))])
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let began = Instant::now();
        let http = loop {
            if let Some(http) = address::find(&house.path("store"), "http.addr")
                && ask(
                    http,
                    "GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
                )
                .contains("200 OK")
            {
                break http;
            }
            let log = || std::fs::read_to_string(house.path("log")).unwrap();
            assert_eq!(child.try_wait().unwrap(), None, "{}", log());
            assert!(began.elapsed() < PATIENCE, "not ready: {}", log());
            std::thread::sleep(Duration::from_millis(20));
        };
        Self { child, http }
    }

    fn post(&self, body: &str) -> String {
        let length = body.len();
        ask(
            self.http,
            &format!(
                "POST /v1/score HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
                 content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
            ),
        )
    }

    fn answers(&self, txn_id: &str) -> String {
        self.post(&format!(
            "{{\"txn\":{{\"txn_id\":\"{txn_id}\",\"ts\":1470000000000,\"rail\":\"card\",\
             \"amount_minor\":1200,\"currency\":\"EUR\",\"account_tok\":\"acc1\"}}}}"
        ))
    }

    /// Asks it to leave, as a service manager would.
    fn leave(&mut self) {
        let pid = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        assert!(asked.success());
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have left already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn map(folder: &Path, format: &str) -> PathBuf {
    let path = folder.join("map.toml");
    let feed = format!("[feed]\nname = \"sample\"\nformat = \"{format}\"\n{FIELDS}");
    std::fs::write(&path, feed).unwrap();
    path
}

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_phalanx-agent"))
}

/// Runs the agent with 4 GiB of address space, libtorch included: what a lying length asks for
/// beyond that ends it, and the test.
fn within_memory(arguments: &[&str]) -> Output {
    Command::new("sh")
        .args(["-c", "ulimit -v 4194304; exec \"$@\"", "sh"])
        .arg(program().get_program())
        .args(arguments)
        .output()
        .unwrap()
}

fn words(output: &Output) -> String {
    let both = [output.stdout.as_slice(), &output.stderr].concat();
    String::from_utf8_lossy(&both).into_owned()
}

/// One request, whole: status line, headers and body as they came. The agent may answer and close
/// before it has read all of a body that is too long.
fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let _ = stream.write_all(request.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

const PATIENCE: Duration = Duration::from_secs(60);
