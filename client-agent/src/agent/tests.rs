//! A whole agent, alone: no coordinator answers, and payments are judged all the same.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use host::identity::{self, Consortium};
use protocol::credential::Role;
use protocol::time::Time;

use super::*;
use crate::config::http::HttpConfig;
use crate::config::nats::{Access, NatsConfig};
use crate::config::{Baseline, Head, Own, Share};
use crate::history::tests::write;
use crate::scoring::tests::policy;
use crate::scoring::{AnswerAfter, Settings, Times};
use crate::training::tests::{SCHED_IDLE, class_of};

/// A bank of its own consortium, with a past of 200 payments; nobody listens where it dials.
fn config(folder: &Path) -> Config {
    let own = folder.join("identity");
    let request = identity::request(&own, "First Bank", Role::Bank).unwrap();
    let consortium = Consortium::create(&folder.join("ca"), "Test").unwrap();
    let bundle = consortium.approve(&request, Time(u64::MAX)).unwrap();
    identity::install(&own, &bundle).unwrap();
    let consent = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ops/config/consent.toml");
    Config {
        identity: own,
        coordinator: "127.0.0.1:9".to_owned(),
        store: folder.join("store"),
        keep_days: 400,
        snapshot_every: std::time::Duration::from_secs(900),
        http: HttpConfig {
            address: "127.0.0.1:0".parse().unwrap(),
            tls: None,
            bearer_token: None,
            times: Times::default(),
        },
        consent: crate::config::consent::load_policy(&consent).unwrap(),
        schema: features::FeatureSchema::standard(),
        history: write(folder, 10, 20),
        scoring: Settings {
            policy: policy(&[]),
            queue_max: 16,
            answer_after: AnswerAfter::Flush,
        },
        promote: crate::config::Promote::Calibrated,
        own: Own {
            baseline: Baseline::Off,
            head: Head::Federation,
        },
        patience: None,
        device: model::Device::Cpu,
        share: Share::Behind,
        nats: None,
        watch: crate::watch::Settings::default(),
        log: host::telemetry::LogFormat::Text,
    }
}

/// One request, whole: status line, headers and body as they came.
fn ask(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn fetch(address: &str, path: &str) -> String {
    ask(
        address,
        &format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"),
    )
}

fn score(address: &str, txn_id: &str) -> String {
    let body = format!(
        "{{\"txn\":{{\"txn_id\":\"{txn_id}\",\"ts\":1470000000000,\"rail\":\"card\",\
         \"amount_minor\":1200,\"currency\":\"EUR\",\"account_tok\":\"acc1\"}}}}"
    );
    let length = body.len();
    ask(
        address,
        &format!(
            "POST /v1/score HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        ),
    )
}

/// Runs an agent, and `visit` beside it once it is ready; then tells it to leave.
fn with_agent(config: &Config, visit: impl FnOnce(&str) + Send + 'static) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (store, shutdown) = (config.store.clone(), Shutdown::default());
    // An address of an earlier run would be taken for this one's.
    let _ = std::fs::remove_file(store.join("http.addr"));
    let leaving = shutdown.clone();
    let visitor = std::thread::spawn(move || {
        let address = loop {
            match address::find(&store, "http.addr").map(|address| address.to_string()) {
                Some(address) if fetch(&address, "/readyz").contains("200 OK") => break address,
                Some(_) | None => std::thread::yield_now(),
            }
        };
        let visited = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| visit(&address)));
        leaving.trigger();
        visited.unwrap();
    });
    runtime.block_on(run(config, &shutdown)).unwrap();
    visitor.join().unwrap();
}

// Planted fault: the share of the configuration is not handed on.
#[test]
fn an_agent_trains_in_the_idle_class_where_its_configuration_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config {
        share: Share::Idle,
        ..config(dir.path())
    };
    let is_training_idle = |stat: &str| stat.contains("(training)") && class_of(stat) == SCHED_IDLE;
    with_agent(&config, move |_| {
        let patience = std::time::Instant::now() + std::time::Duration::from_secs(20);
        loop {
            let tasks = std::fs::read_dir("/proc/self/task").unwrap();
            let stats = tasks.map(|task| task.unwrap().path().join("stat"));
            // A thread may end in between.
            let mut stats = stats.filter_map(|path| std::fs::read_to_string(path).ok());
            if stats.any(|stat| is_training_idle(&stat)) {
                break;
            }
            assert!(std::time::Instant::now() < patience, "no such thread");
            std::thread::yield_now();
        }
    });
}

#[test]
fn payments_are_judged_without_a_coordinator_and_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    with_agent(&config, |address| {
        assert!(fetch(address, "/livez").contains("alive"));
        // Its name leads here, and its pages are of one site with it.
        let rebound = "host: evil.example:8443\r\nsec-fetch-site: same-origin\r\n";
        for (line, expected) in [
            ("GET /livez", "200 OK"),
            ("GET /readyz", "200 OK"),
            ("GET /v1/decisions?txn_id=first", "403 Forbidden"),
            ("GET /alerts", "403 Forbidden"),
            ("POST /v1/labels", "403 Forbidden"),
        ] {
            let asked = format!("{line} HTTP/1.1\r\n{rebound}connection: close\r\n\r\n");
            let said = ask(address, &asked);
            assert!(said.contains(expected), "{line}: {said}");
        }
        let answer = score(address, "first");
        assert!(answer.contains("\"mode\":\"fallback\""), "{answer}");
        assert!(answer.contains("\"decision\":\"review\""), "{answer}");
        let status = fetch(address, "/v1/status");
        for expected in [
            "\"bank\":\"First Bank\"",
            "\"ready\":true",
            "\"connected\":false",
            "\"scored\":1",
            "\"transactions\":200",
            "\"baseline\":\"none\"",
        ] {
            assert!(status.contains(expected), "{expected}: {status}");
        }
        let health = fetch(address, "/healthz?verbose");
        assert!(health.contains("200 OK"), "{health}");
        assert!(health.contains("\"name\":\"link\",\"needed\":false,\"ok\":false"));
        assert!(fetch(address, "/v1/decisions?txn_id=first").contains("\"acc1\""));
        assert!(fetch(address, "/version").contains("\"model\":null"));
        let metrics = fetch(address, "/metrics");
        assert!(metrics.contains("phalanx_agent_connected 0"), "{metrics}");
    });
    with_agent(&config, |address| {
        assert!(score(address, "first").contains("\"replayed\":true"));
        let status = fetch(address, "/v1/status");
        assert!(status.contains("\"scored\":1"), "{status}");
        assert!(status.contains("\"from\":\"snapshot\""), "{status}");
        assert!(status.contains("\"state\":\"done\""), "{status}");
        assert!(status.contains("\"unclean_stop\":false"), "{status}");
    });
    // As if the last run had been killed, with a snapshot that a disk spoilt.
    std::fs::write(config.store.join("running"), "").unwrap();
    std::fs::write(config.store.join("state.snapshot"), "phxstate").unwrap();
    with_agent(&config, |address| {
        assert!(score(address, "first").contains("\"replayed\":true"));
        let status = fetch(address, "/v1/status");
        assert!(status.contains("\"from\":\"journal\""), "{status}");
        assert!(status.contains("\"payments\":1,"), "{status}");
        assert!(status.contains("\"unclean_stop\":true"), "{status}");
        assert!(status.contains("\"last_decision\":\""), "{status}");
        let metrics = fetch(address, "/metrics");
        assert!(
            metrics.contains("phalanx_state_recovery_seconds"),
            "{metrics}"
        );
    });
}

#[test]
fn an_agent_that_cannot_start_says_whose_fault_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let good = config(dir.path());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let exit_code = |config: &Config| {
        let ended = runtime.block_on(run(config, &Shutdown::default()));
        ended.unwrap_err().exit_code()
    };
    let mut bad = good.clone();
    bad.identity = dir.path().join("nowhere");
    assert_eq!(exit_code(&bad), 78);
    let mut bad = good.clone();
    bad.history.file = dir.path().join("nowhere.csv");
    assert_eq!(exit_code(&bad), 78);
    let mut bad = good.clone();
    bad.nats = Some(NatsConfig {
        servers: vec!["nats://127.0.0.1:9".to_owned()],
        stream: "PAYMENTS".to_owned(),
        durable: "agent".to_owned(),
        txn_in: "txn.in".to_owned(),
        decision_out: "decision.out".to_owned(),
        label_in: "label.in".to_owned(),
        dlq: "dlq".to_owned(),
        alert_out: "alert.out".to_owned(),
        in_flight_max: 16,
        ack_wait: std::time::Duration::from_secs(30),
        access: Access::Token(dir.path().join("nowhere.token")),
        tls: None,
    });
    assert_eq!(exit_code(&bad), 78);
    // It is no crash that the next start would tell of.
    assert!(!bad.store.join("running").exists());
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut bad = good.clone();
    bad.http.bearer_token = Some(dir.path().join("nowhere.tokens"));
    assert_eq!(exit_code(&bad), 78);
    let mut bad = good;
    bad.http.address = taken.local_addr().unwrap();
    assert_eq!(exit_code(&bad), 69);
}

// That it ends at all, and says nothing that a lost record may contradict, is `host::drive`'s.
#[test]
fn an_agent_that_cannot_keep_a_record_ends_as_one_whose_disk_fails() {
    let refused = DiskError::Store {
        what: "write",
        path: "store".into(),
        error: "no space left on device".to_owned(),
    };
    assert_eq!(AgentError::from(refused).exit_code(), 74);
}
