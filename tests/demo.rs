//! What README promises a newcomer: the first of its two commands, run as written, ends with the
//! table, and its banks can be started again; stopped on the way, it leaves nothing behind. The
//! second command is what runs this.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails where it stands"
)]

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The shell block under README's first steps, a command a line.
fn promised() -> Vec<String> {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let block = readme
        .split("```sh\n")
        .nth(1)
        .expect("README has a shell block");
    let block = block.split("```").next().unwrap_or_default();
    let command = |line: &str| line.split('#').next().unwrap_or_default().trim().to_owned();
    block.lines().map(command).collect()
}

#[test]
fn readme_promises_two_commands_and_ci_runs_the_second() {
    assert_eq!(promised(), ["cargo xtask demo", "cargo xtask test"]);
    let ci = std::fs::read_to_string(root().join(".ci/run")).unwrap();
    assert!(ci.trim_end().ends_with("exec cargo xtask test"), "{ci}");
    // Beside them a newcomer needs nothing: what CI installs before is what tests skip without, and
    // whoever wants those is told the packages.
    let packages = ci.split("missing+=(").skip(1);
    let packages: Vec<&str> = packages.filter_map(|of| of.split(')').next()).collect();
    assert_eq!(packages, ["nats-server", "chromium", "prometheus"]);
    for path in ["CONVENTIONS.md", "ops/xtask/src/help.rs"] {
        let text = std::fs::read_to_string(root().join(path)).unwrap();
        for package in &packages {
            assert!(text.contains(package), "{path} does not name {package}");
        }
    }
}

// Fewer rounds than a newcomer's, so the figures mean nothing: that they are there is the point.
#[test]
fn the_first_command_ends_with_the_table_a_report_and_banks_that_can_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let (report, keep) = (
        folder.path().join("report.html"),
        folder.path().join("kept"),
    );
    let mut command = spoken(&promised()[0]);
    command
        .args(["--json", "--pretrain-rounds", "1", "--finetune-rounds", "4"])
        .args(["--report".as_ref(), report.as_os_str()])
        .args(["--keep".as_ref(), keep.as_os_str()]);
    let output = command.output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{log}");
    assert!(
        log.contains("was killed in the middle of a round; the round went on"),
        "{log}"
    );

    let said = String::from_utf8(output.stdout).unwrap();
    for heading in ["local only", "federated", "pooled*"] {
        assert!(said.contains(heading), "{said}");
    }
    let result: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    let banks = result["banks"].as_array().unwrap();
    assert_eq!(banks.len(), 5);
    for of in banks.iter().chain([&result["all"]]) {
        for arm in ["local", "federated", "pooled"] {
            for measure in ["auc", "ap", "cp100"] {
                let value = of[arm][measure].as_f64();
                assert!(
                    value.is_some_and(|value| (0.0..=1.0).contains(&value)),
                    "{of}"
                );
            }
        }
    }
    let sum = |name: &str| {
        banks
            .iter()
            .map(|bank| bank[name].as_u64().unwrap())
            .sum::<u64>()
    };
    assert!(
        sum("transactions") > 10_000 && sum("frauds") > 50,
        "{result}"
    );
    let at_least = |name: &str, least: f64| {
        let found = result[name].as_f64().unwrap();
        assert!(found >= least, "{name} is {found}");
    };
    at_least("rounds", 13.0); // 1 + 4, evaluation, history of risk counts, six mornings
    at_least("dropouts_survived", 1.0);
    at_least("bytes_up_per_bank", 100_000.0);
    at_least("wall_s", 1.0);
    let latency = &result["score_latency_us"];
    assert!(
        latency["p50"].as_u64() > Some(0) && latency["p99"].as_u64() >= latency["p50"].as_u64()
    );

    let page = std::fs::read_to_string(report).unwrap();
    // A plot of gains, one per bank and one of all, and five of learning.
    assert_eq!(page.matches("<svg").count(), 1 + 6 + 5);
    assert!(
        !page.contains("http://")
            || page.matches("http://").count() == page.matches("http://www.w3.org/").count()
    );
    a_bank_that_is_started_again_is_ready_once_its_model_decides(&keep.join("bank-1"));
}

// Planted fault: ready it is as soon as scoring is open.
fn a_bank_that_is_started_again_is_ready_once_its_model_decides(bank: &Path) {
    let agent = Again::start(bank);
    let began = Instant::now();
    while !agent.ask("/readyz").contains("200 OK") {
        assert!(began.elapsed() < Duration::from_secs(120), "not ready");
        std::thread::sleep(Duration::from_millis(2));
    }
    // Nobody else of the consortium runs.
    let said = agent.ask("/v1/status");
    let (_, status) = said.split_once("\r\n\r\n").unwrap();
    let status: Value = serde_json::from_str(status).unwrap();
    assert_eq!(status["connected"], false, "{status}");
    assert!(status["model"]["version"].as_u64() > Some(0), "{status}");
    assert!(status["risk"]["newest_day"].is_i64(), "{status}");
}

/// An agent of the demo's, in a second life.
struct Again {
    child: Child,
    store: PathBuf,
}

impl Again {
    fn start(bank: &Path) -> Self {
        let store = bank.join("store");
        // That of the first life.
        let _ = std::fs::remove_file(store.join("http.addr"));
        let here = std::env::current_exe().unwrap();
        let programs = here.ancestors().nth(2).unwrap();
        let mut command = Command::new(programs.join("phalanx-agent"));
        command.arg("serve").arg("--config");
        command.arg(bank.join("agent.toml")).stdin(Stdio::null());
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.unwrap();
        Self { child, store }
    }

    /// The whole answer; nothing before there is a door.
    fn ask(&self, path: &str) -> String {
        let asked = || -> std::io::Result<String> {
            let address = host::address::find(&self.store, "http.addr");
            let address = address.ok_or(ErrorKind::NotFound)?;
            let mut stream = TcpStream::connect(address)?;
            let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n");
            stream.write_all(format!("{request}connection: close\r\n\r\n").as_bytes())?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        asked().unwrap_or_default()
    }
}

impl Drop for Again {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_demo_that_is_interrupted_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let keep = folder.path().join("kept");
    let mut demo = spoken(&promised()[0])
        .args(["--keep".as_ref(), keep.as_os_str()])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(demo.stderr.take().unwrap())
        .lines()
        .map(Result::unwrap);
    assert!(lines.any(|line| line.contains("coordinator and 5 agents are up")));
    let running = started_in(&keep);
    assert_eq!(
        running.len(),
        7,
        "the demo, a coordinator and five agents: {running:?}"
    );
    let ours = running.iter().find(|(_, name)| name == "phalanx").unwrap();
    let asked = Command::new("kill")
        .args(["-INT", &ours.0])
        .status()
        .unwrap();
    assert!(asked.success());
    let rest: Vec<String> = lines.collect();
    assert!(!demo.wait().unwrap().success());
    assert!(
        rest.iter().any(|line| line.contains("interrupted")),
        "{rest:?}"
    );
    assert_eq!(started_in(&keep), []);
}

/// Running programs with this folder among their arguments: process number and program.
fn started_in(folder: &Path) -> Vec<(String, String)> {
    let folder = folder.to_str().unwrap();
    let processes = std::fs::read_dir("/proc").unwrap().map(Result::unwrap);
    let of = |entry: std::fs::DirEntry| {
        let number = entry.file_name().into_string().ok()?;
        // A process may end while we look.
        let line = std::fs::read_to_string(entry.path().join("cmdline")).ok()?;
        let program = line.split('\0').next()?;
        let name = Path::new(program).file_name()?.to_str()?.to_owned();
        (name.starts_with("phalanx") && line.contains(folder)).then_some((number, name))
    };
    processes.filter_map(of).collect()
}

/// A command of README's, in the project's folder, as from a shell of its own.
fn spoken(words: &str) -> Command {
    let mut words = words.split(' ');
    let mut command = Command::new(words.next().expect("a command has a program"));
    command.args(words).current_dir(root()).stdin(Stdio::null());
    // What cargo and nextest tell a test, a shell would not know.
    for (name, _) in std::env::vars() {
        if ["CARGO", "NEXTEST", "LD_LIBRARY_PATH"]
            .iter()
            .any(|start| name.starts_with(start))
            && !matches!(name.as_str(), "CARGO_HOME" | "CARGO_TARGET_DIR")
        {
            command.env_remove(name);
        }
    }
    command
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
