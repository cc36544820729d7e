//! A bank on disk, and its agent as a process that is started, asked and told to leave: for every
//! test and bench that has the real program. How it ends otherwise is the affair of who has it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use host::address;
use host::identity::{self, Consortium};
use protocol::credential::Role;
use protocol::time::Time;

/// How the history's rows are read.
pub(crate) const MAP: &str = include_str!("../../../ops/config/maps/cards.toml");

/// Where the agent dials, and nobody listens.
pub(crate) const NOBODY: &str = "127.0.0.1:9";

/// Everything an agent needs on disk.
pub(crate) struct House {
    folder: tempfile::TempDir,
    /// Who approved it, and may approve others.
    consortium: Consortium,
}

impl House {
    /// With a past of fifty payments in July 2016; `more` ends its configuration.
    pub(crate) fn found(more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let consortium = Consortium::create(&folder.path().join("ca"), "Test").unwrap();
        let house = Self { folder, consortium };
        house.enrol("identity", Role::Bank);
        std::fs::write(house.path("map.toml"), MAP).unwrap();
        std::fs::write(house.path("token.key"), "00".repeat(32)).unwrap();
        let rows = (0..50).map(|at| format!("h{at},{},{at},acc{at}\n", 1_469_000_000_000_i64 + at));
        let history = rows.fold("id,ts,amount,account\n".to_owned(), |text, row| text + &row);
        std::fs::write(house.path("history.csv"), history).unwrap();
        let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ops/config");
        let text = format!(
            "[identity]\nfolder = \"identity\"\n[coordinator]\naddress = \"{NOBODY}\"\n\
             [store]\nfolder = \"store\"\nsnapshot_minutes = 1\n\
             [http]\naddress = \"127.0.0.1:0\"\ninsecure_loopback = true\n\
             [consent]\nfile = {:?}\n\
             [history]\nfile = \"history.csv\"\nmap = \"map.toml\"\ntoken_key = \"token.key\"\n\
             [scoring]\npolicy = {:?}\n[baseline]\nlocal = false\n[log]\nformat = \"text\"\n{more}",
            samples.join("consent.toml"),
            samples.join("policy.toml"),
        );
        std::fs::write(house.path("agent.toml"), text).unwrap();
        house
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where its identity lies, which the consortium has approved.
    pub(crate) fn enrol(&self, name: &str, role: Role) -> PathBuf {
        let at = self.path(name);
        let request = identity::request(&at, name, role).unwrap();
        let bundle = self.consortium.approve(&request, Time(u64::MAX)).unwrap();
        identity::install(&at, &bundle).unwrap();
        at
    }

    /// Where the agent listens, as it says itself.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        address::find(&self.path("store"), "http.addr")
    }

    /// What its agents said on their standard error.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

/// The agent's process, not yet started.
pub(crate) fn program(house: &House) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_phalanx-agent"));
    command.arg("serve").arg("--config");
    command.arg(house.path("agent.toml"));
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
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
    program(house).stderr(log).spawn().unwrap()
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
                && ask(http, "GET /readyz", "", "").contains("200 OK")
            {
                return Self { child, http };
            }
            assert_eq!(child.try_wait().unwrap(), None, "{}", house.log());
            assert!(began.elapsed() < patience, "not ready: {}", house.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Asks it to leave.
    pub(crate) fn leave(&mut self) {
        terminate(&self.child);
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

/// Asks a process to leave, as a service manager would.
pub(crate) fn terminate(child: &Child) {
    let pid = child.id().to_string();
    let asked = Command::new("kill").args(["-TERM", &pid]).status().unwrap();
    assert!(asked.success());
}

/// One request, and the answer as [`exchange`] gives it; `headers` end their lines.
pub(crate) fn ask(address: SocketAddr, line: &str, headers: &str, body: &str) -> String {
    exchange(
        address,
        &format!("{line} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n{body}"),
    )
}

/// One request, whole, and the answer as far as it came: status line, headers and body. Nothing
/// where nobody listens.
pub(crate) fn exchange(address: SocketAddr, request: &str) -> String {
    let mut answer = Vec::new();
    if let Ok(mut stream) = TcpStream::connect(address) {
        // Who is killed in between answers nothing, or half; who refuses a body that is too long
        // may close before it has read it.
        let _ = stream.write_all(request.as_bytes());
        let _ = stream.read_to_end(&mut answer);
    }
    String::from_utf8_lossy(&answer).into_owned()
}
