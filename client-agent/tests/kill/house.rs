//! A bank on disk, and its agent as a process that is started, asked and told to leave. How it ends
//! otherwise is the affair of who has it: `kill.rs`, and the bench `recover`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use host::address;
use host::identity::{self, Consortium};
use protocol::credential::Role;
use protocol::time::Time;
use serde_json::Value;

const MAP: &str = r#"
[feed]
name = "sample"
format = "csv"

[fields]
txn_id = "id"
ts = "ts"
rail = { const = "card" }
amount_minor = "amount"
currency = { const = "EUR" }
account_tok = "account"
"#;

/// Everything an agent needs on disk; nobody listens where it dials.
pub(crate) struct House {
    folder: tempfile::TempDir,
}

impl House {
    /// With a past of fifty payments in July 2016.
    pub(crate) fn found() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let house = Self { folder };
        let consortium = Consortium::create(&house.path("ca"), "Test").unwrap();
        let at = house.path("identity");
        let request = identity::request(&at, "First Bank", Role::Bank).unwrap();
        let bundle = consortium.approve(&request, Time(u64::MAX)).unwrap();
        identity::install(&at, &bundle).unwrap();
        std::fs::write(house.path("map.toml"), MAP).unwrap();
        std::fs::write(house.path("token.key"), "00".repeat(32)).unwrap();
        let rows = (0..50).map(|at| format!("h{at},{},{at},acc{at}\n", 1_469_000_000_000_i64 + at));
        let history = rows.fold("id,ts,amount,account\n".to_owned(), |text, row| text + &row);
        std::fs::write(house.path("history.csv"), history).unwrap();
        let consent = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ops/config/consent.toml");
        let policy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ops/config/policy.toml");
        let text = format!(
            "[identity]\nfolder = {at:?}\n[coordinator]\naddress = \"127.0.0.1:9\"\n\
             [store]\nfolder = {:?}\nsnapshot_minutes = 1\n[http]\naddress = \"127.0.0.1:0\"\n\
             insecure_loopback = true\n[consent]\nfile = {consent:?}\n\
             [history]\nfile = {:?}\nmap = {:?}\ntoken_key = {:?}\n\
             [scoring]\npolicy = {policy:?}\n[baseline]\nlocal = false\n[log]\nformat = \"text\"\n",
            house.path("store"),
            house.path("history.csv"),
            house.path("map.toml"),
            house.path("token.key"),
        );
        std::fs::write(house.path("agent.toml"), text).unwrap();
        house
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where the agent listens, as it says itself.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        address::find(&self.path("store"), "http.addr")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

/// Starts the agent's process; it may take a while until it is ready.
pub(crate) fn spawn(house: &House) -> Child {
    // An address of an earlier life is another program's by now.
    let _ = std::fs::remove_file(house.path("store").join("http.addr"));
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(house.path("log"))
        .unwrap();
    Command::new(env!("CARGO_BIN_EXE_phalanx-agent"))
        .arg("serve")
        .arg("--config")
        .arg(house.path("agent.toml"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// A running agent that is ready; it does not outlive its owner.
pub(crate) struct Agent {
    pub(crate) child: Child,
    pub(crate) http: SocketAddr,
}

impl Agent {
    /// Waits until a process is ready.
    pub(crate) fn ready(house: &House, mut child: Child, patience: Duration) -> Self {
        let began = Instant::now();
        loop {
            if let Some(http) = house.address()
                && ask(http, "GET /readyz").contains("200 OK")
            {
                return Self { child, http };
            }
            assert_eq!(child.try_wait().unwrap(), None, "{}", house.log());
            assert!(began.elapsed() < patience, "not ready: {}", house.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// What it answers to a question, which it must.
    pub(crate) fn fetch(&self, path: &str) -> Value {
        let answer = ask(self.http, &format!("GET {path}"));
        body_of(&answer).unwrap_or_else(|| panic!("{path}: {answer}"))
    }

    /// Asks it to leave, as a service manager would.
    pub(crate) fn leave(&mut self) {
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

/// One request without a body, and the answer as far as it came.
fn ask(address: SocketAddr, request: &str) -> String {
    exchange(
        address,
        &format!("{request} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"),
    )
}

/// One request, whole, and the answer as far as it came; nothing where nobody listens.
pub(crate) fn exchange(address: SocketAddr, request: &str) -> String {
    let mut answer = Vec::new();
    if let Ok(mut stream) = TcpStream::connect(address) {
        // Who is killed in between answers nothing, or half.
        let _ = stream.write_all(request.as_bytes());
        let _ = stream.read_to_end(&mut answer);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// The body of a whole answer that says yes.
pub(crate) fn body_of(answer: &str) -> Option<Value> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let is_yes = head.starts_with("HTTP/1.1 200");
    is_yes.then(|| serde_json::from_str(body).ok()).flatten()
}
