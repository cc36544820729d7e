//! The agent as a process on a real server of NATS: payments as a stream, through a crash of the
//! agent and a restart of the server. Each is decided once, in the stream's order, and told once,
//! and so is an alarm. Over TLS too, where each side has to show a certificate that the other
//! believes.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails where it stands"
)]

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{Config, Info, Stream};
use async_nats::jetstream::{self, Context};
use async_nats::{Client, ConnectOptions};
use serde_json::{Value, json};

#[path = "house/bank.rs"]
mod house;
mod needed;

use house::{House, ask, program, spawn, terminate};
use needed::installed;

const PAYMENTS: u64 = 1_000;
const HALF: u64 = PAYMENTS / 2;
/// Passes the Luhn check.
const CARD_NUMBER: &str = "4111111111111111";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_payments_are_decided_once_each_through_a_crash_and_a_restart() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let house = found(&server.url());
    let bus = Bus::open(&server.url()).await;

    // Killed without a word while payments are under way.
    bus.pay(0..HALF).await;
    bus.say("txn.in.acc1", "{\"txn\":{\"txn_id\":\"half\"}}")
        .await;
    let mut agent = Agent::start(&house);
    bus.until_decided(100, &agent).await;
    agent.kill();
    bus.pay(HALF..PAYMENTS).await;
    let card = format!("{{\"txn\":{{\"txn_id\":\"{CARD_NUMBER}\"}}}}");
    bus.say("txn.in.acc2", &card).await;
    let mut agent = Agent::start(&house);
    bus.until_decided(HALF + 50, &agent).await;
    server.restart();
    assert!(agent.ask("GET /livez").contains("200 OK"));
    bus.until_decided(PAYMENTS, &agent).await;
    bus.until_refused(2, &agent).await;

    // Sent again, they are answered from the journal, and the stream drops the second copies.
    let replayed = agent.messages("replayed");
    bus.pay(0..10).await;
    let is_replayed = async || agent.messages("replayed") >= replayed + 10;
    agent.wait("ten replayed answers", is_replayed).await;
    assert!(agent.ask("GET /v1/status").contains("\"scored\":1000"));
    assert_eq!(agent.metric("phalanx_nats_connected"), Some(1));
    let is_through = async || agent.metric("phalanx_nats_lag{feed=\"payments\"}") == Some(0);
    agent.wait("the end of the stream", is_through).await;
    check_decisions(&bus).await;
    check_refusals(&bus).await;

    agent.leave();
    for durable in ["phalanx-agent", "phalanx-agent-labels"] {
        let owes_nothing = async || {
            let info = bus.payments.consumer_info(durable).await.unwrap();
            (info.num_ack_pending, info.num_pending) == (0, 0)
        };
        agent.wait("the last acknowledgement", owes_nothing).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn labels_come_in_and_one_that_overtook_its_payment_waits_for_it() {
    let Some(server) = Server::start() else {
        return;
    };
    let house = found(&server.url());
    let bus = Bus::open(&server.url()).await;
    bus.say("label.in", &label("p0", "true")).await;
    bus.say("label.in", &label("p1", "\"perhaps\"")).await;
    let mut agent = Agent::start(&house);
    let has_waited = async || agent.messages("given_back") > 0;
    agent.wait("a label given back", has_waited).await;
    bus.pay(0..1).await;
    let is_kept = async || agent.messages("labelled") == 1;
    agent.wait("a label kept", is_kept).await;
    bus.until_refused(1, &agent).await;
    let refusal = bus.refusals.get_raw_message(1).await.unwrap();
    assert_eq!(header(&refusal, "Phalanx-Problem"), "schema");
    assert_eq!(header(&refusal, "Phalanx-Subject"), "label.in");
    assert_eq!(header(&refusal, "Phalanx-Item"), "1");
    let problem: Value = serde_json::from_slice(&refusal.payload).unwrap();
    assert_eq!(
        (&problem["type"], &problem["field"]),
        (&json!("schema"), &json!("fraud"))
    );
    agent.leave();
}

// The list goes back as a whole for the one payment that is still to come.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_of_labels_that_comes_again_undoes_no_correction() {
    let Some(server) = Server::start() else {
        return;
    };
    let house = found(&server.url());
    let bus = Bus::open(&server.url()).await;
    let mut agent = Agent::start(&house);
    bus.pay(0..1).await;
    bus.until_decided(1, &agent).await;
    let list =
        ["p0", "p1"].map(|txn_id| json!({"txn_id": txn_id, "fraud": true, "source": "issuer"}));
    bus.say("label.in", &json!(list).to_string()).await;
    let has_waited = async || agent.messages("given_back") > 0;
    agent.wait("a list given back", has_waited).await;
    let correction = "{\"txn_id\":\"p0\",\"fraud\":false,\"source\":\"issuer\"}";
    let length = format!("content-length: {}\r\n", correction.len());
    let correct = || agent.ask_with("POST /v1/labels", &length, correction);
    let told = correct();
    assert!(told.contains("\"accepted\""), "{told}");
    bus.pay(1..2).await;
    let is_kept = async || agent.messages("labelled") == 1;
    agent.wait("a list kept", is_kept).await;
    // It stands: were it undone, this would be another word.
    let told = correct();
    assert!(told.contains("\"duplicate\""), "{told}");
    agent.leave();
}

// The fixture's CA signed the server's certificate for 127.0.0.1, and the client's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls_payments_are_decided_where_each_side_shows_its_certificate() {
    let Some(server) = Server::start_over_tls() else {
        return;
    };
    let options = ConnectOptions::new()
        .add_root_certificates(fixture("ca.pem"))
        .add_client_certificate(fixture("client.pem"), fixture("client.key"));
    let bus = Bus::of(options.connect(server.url()).await.unwrap()).await;
    let house = found_with(&server.url(), &tls("ca.pem", Some("client")));
    let mut agent = Agent::start(&house);
    bus.pay(0..20).await;
    bus.until_decided(20, &agent).await;
    assert_eq!(agent.metric("phalanx_nats_connected"), Some(1));
    agent.leave();
}

// Who is at fault is said by whoever refuses: the agent knows no such CA, or the server no such
// client.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls_who_is_not_believed_is_told_why_and_payments_are_judged_all_the_same() {
    let Some(server) = Server::start_over_tls() else {
        return;
    };
    for (ca, own, why) in [
        (
            "foreign.pem",
            Some("client"),
            "invalid peer certificate: UnknownIssuer",
        ),
        ("ca.pem", None, "received fatal alert: "),
        ("ca.pem", Some("foreign"), "received fatal alert: "),
    ] {
        let house = found_with(&server.url(), &tls(ca, own));
        let agent = Agent::start(&house);
        let is_told = async || {
            let log = house.log();
            log.contains("a server of the stream was not reached") && log.contains(why)
        };
        agent.wait(why, is_told).await;
        assert_eq!(agent.metric("phalanx_nats_connected"), Some(0));
        let answer = agent.judge(0);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

#[test]
fn an_agent_without_its_server_judges_payments_and_leaves_when_told() {
    // Nobody listens there, and nothing has to be installed.
    let house = found("nats://127.0.0.1:9");
    let mut agent = Agent::start(&house);
    let answer = agent.judge(0);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(agent.metric("phalanx_nats_connected"), Some(0));
    agent.leave();
}

#[test]
fn a_secret_that_cannot_be_read_is_named_at_the_start() {
    let house = found("nats://127.0.0.1:9");
    let mut text = std::fs::read_to_string(house.path("agent.toml")).unwrap();
    text = text.replace("[nats]\n", "[nats]\ntoken_file = \"nowhere\"\n");
    std::fs::write(house.path("agent.toml"), text).unwrap();
    let output = program(&house).stderr(Stdio::piped()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(said.contains("nowhere"), "{said}");
}

// A channel vanishes while no stream takes alerts; the agent is started again before one does, and
// again once it did. Planted faults: where what was told is not kept, or not read at the start, the
// third agent tells of the rise a second time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alarm_is_told_once_whenever_there_is_a_stream_and_however_often_the_agent_starts() {
    let Some(server) = Server::start() else {
        return;
    };
    let house = found(&server.url());
    let bus = Bus::open(&server.url()).await;
    let mut agent = Agent::start(&house);
    agent.live(0..15, "pos");
    agent.live(15..18, "ecom");
    let waits = async || house.log().contains("an alert waits for the stream");
    agent.wait("an alert that no stream takes", waits).await;
    agent.leave();

    let mut agent = Agent::start(&house);
    // A second copy would be seen: the stream knows an id no longer than it has to.
    let window = Duration::from_millis(100);
    let alerts = stream_within(&bus.jetstream, "ALERTS", &["alert.out.>"], window).await;
    let is_told = async || of_the_channel(&alerts).await.len() == 1;
    agent.wait("the alert", is_told).await;
    let is_counted = async || agent.messages("alert") > 0;
    agent.wait("its count", is_counted).await;
    agent.leave();

    let mut agent = Agent::start(&house);
    agent.live(18..21, "pos");
    let is_over = async || of_the_channel(&alerts).await.len() > 1;
    agent.wait("the end of the alarm", is_over).await;
    agent.leave();
    let told = of_the_channel(&alerts).await;
    let states: Vec<&Value> = told.iter().map(|event| &event["state"]).collect();
    assert_eq!(states, ["raised", "cleared"], "{told:?}");
    let days = |event: &Value| (event["since_day"].clone(), event["day"].clone());
    let (rose, went) = (json!(FIRST_DAY + 17), json!(FIRST_DAY + 20));
    assert_eq!(days(&told[0]), (rose.clone(), rose.clone()));
    assert_eq!(days(&told[1]), (rose, went));
    for event in &told {
        assert_eq!(event["event"], "alert");
        assert_eq!(event["bank"], "identity");
        assert_eq!(event["threshold"], 0.1);
    }
    assert!(told[0]["value"].as_f64() > Some(0.1), "{told:?}");
}

/// What was told of the channel's words, each on its rule's subject and by its own id.
async fn of_the_channel(alerts: &Stream<Info>) -> Vec<Value> {
    let mut told = Vec::new();
    for sequence in 1..=count(alerts).await {
        let message = alerts.get_raw_message(sequence).await.unwrap();
        let event: Value = serde_json::from_slice(&message.payload).unwrap();
        assert_eq!(header(&message, "Nats-Msg-Id"), event["alert_id"]);
        let subject = format!("alert.out.{}", event["rule"].as_str().unwrap());
        assert_eq!(message.subject.as_str(), subject);
        if event["rule"] == "feature" && event["subject"] == "channel" {
            told.push(event);
        }
    }
    told
}

/// Every payment has one decision, on its account's subject, and the journal has them in the
/// order in which they were sent.
async fn check_decisions(bus: &Bus) {
    let (mut ids, mut places) = (BTreeSet::new(), vec![None; PAYMENTS as usize]);
    for sequence in 1..=bus.decided().await {
        let message = bus.decisions.get_raw_message(sequence).await.unwrap();
        let answer: Value = serde_json::from_slice(&message.payload).unwrap();
        let id = answer["decision_id"].as_str().unwrap().to_owned();
        assert_eq!(header(&message, "Nats-Msg-Id"), id);
        let place = id.split_once('-').unwrap().1;
        let number: usize = answer["txn_id"].as_str().unwrap()[1..].parse().unwrap();
        let account = format!("decision.out.acc{}", number % ACCOUNTS);
        assert_eq!(message.subject.as_str(), account);
        let place = u64::from_str_radix(place, 16).unwrap();
        assert_eq!(
            places[number].replace(place),
            None,
            "payment {number} twice"
        );
        ids.insert(id);
    }
    assert_eq!(ids.len() as u64, PAYMENTS);
    let expected: Vec<Option<u64>> = (0..PAYMENTS).map(Some).collect();
    assert_eq!(places, expected);
}

/// Each refusal says what was wrong and where it lies, and not what was in it.
async fn check_refusals(bus: &Bus) {
    let mut found = Vec::new();
    for sequence in 1..=2 {
        let message = bus.refusals.get_raw_message(sequence).await.unwrap();
        let problem: Value = serde_json::from_slice(&message.payload).unwrap();
        let word = header(&message, "Phalanx-Problem");
        assert_eq!(problem["type"], word);
        let text = String::from_utf8_lossy(&message.payload).into_owned();
        assert!(!text.contains(CARD_NUMBER), "{text}");
        let place = header(&message, "Phalanx-Sequence").parse().unwrap();
        let refused = bus.payments.get_raw_message(place).await.unwrap();
        assert_eq!(
            header(&message, "Phalanx-Subject"),
            refused.subject.as_str()
        );
        found.push((word, place));
    }
    let expected = [
        ("missing_field".to_owned(), HALF + 1),
        ("pan_detected".to_owned(), PAYMENTS + 2),
    ];
    assert_eq!(found, expected);
}

fn header(message: &StreamMessage, name: &str) -> String {
    let value = message.headers.get(name);
    value.map_or_else(String::new, |value| value.as_str().to_owned())
}

fn payment(number: u64) -> String {
    let (ts, account) = (
        1_470_000_000_000 + number * 1_000,
        number as usize % ACCOUNTS,
    );
    format!(
        "{{\"txn\":{{\"txn_id\":\"p{number}\",\"ts\":{ts},\"rail\":\"card\",\
         \"amount_minor\":1200,\"currency\":\"EUR\",\"account_tok\":\"acc{account}\"}}}}"
    )
}

fn label(txn_id: &str, fraud: &str) -> String {
    format!(
        "{{\"txn_id\":\"{txn_id}\",\"fraud\":{fraud},\"known_at\":1470100000000,\
         \"source\":\"chargeback\"}}"
    )
}

/// The bank's side of the stream.
struct Bus {
    jetstream: Context,
    payments: Stream<Info>,
    decisions: Stream<Info>,
    refusals: Stream<Info>,
}

impl Bus {
    async fn open(url: &str) -> Self {
        Self::of(async_nats::connect(url).await.unwrap()).await
    }

    async fn of(client: Client) -> Self {
        let jetstream = jetstream::new(client);
        let payments = stream(&jetstream, "PAYMENTS", &["txn.in.>", "label.in"]).await;
        let decisions = stream(&jetstream, "DECISIONS", &["decision.out", "decision.out.>"]).await;
        let refusals = stream(&jetstream, "REFUSALS", &["dlq"]).await;
        Self {
            payments,
            decisions,
            refusals,
            jetstream,
        }
    }

    async fn pay(&self, numbers: Range<u64>) {
        for number in numbers {
            let subject = format!("txn.in.acc{}", number as usize % ACCOUNTS);
            self.say(&subject, &payment(number)).await;
        }
    }

    async fn say(&self, subject: &str, body: &str) {
        let (subject, body) = (subject.to_owned(), body.to_owned());
        let said = self.jetstream.publish(subject, body.into()).await.unwrap();
        said.await.unwrap();
    }

    async fn decided(&self) -> u64 {
        count(&self.decisions).await
    }

    async fn until_decided(&self, least: u64, agent: &Agent<'_>) {
        let is_so = async || self.decided().await >= least;
        agent.wait(&format!("decision {least}"), is_so).await;
    }

    async fn until_refused(&self, least: u64, agent: &Agent<'_>) {
        let is_so = async || count(&self.refusals).await >= least;
        agent.wait(&format!("refusal {least}"), is_so).await;
    }
}

async fn stream(jetstream: &Context, name: &str, subjects: &[&str]) -> Stream<Info> {
    stream_within(jetstream, name, subjects, Duration::from_secs(600)).await
}

/// A stream that knows an id for so long.
async fn stream_within(
    jetstream: &Context,
    name: &str,
    subjects: &[&str],
    duplicate_window: Duration,
) -> Stream<Info> {
    let config = Config {
        name: name.to_owned(),
        subjects: subjects.iter().map(|&subject| subject.to_owned()).collect(),
        duplicate_window,
        ..Config::default()
    };
    jetstream.create_stream(config).await.unwrap()
}

/// Messages of a stream; none known while its server is away.
async fn count(stream: &Stream<Info>) -> u64 {
    let info = stream.get_info().await;
    info.map_or(0, |info| info.state.messages)
}

/// A server on loopback with a store of its own.
struct Server {
    program: &'static str,
    folder: tempfile::TempDir,
    /// Files of TLS, where it asks for it.
    tls: Vec<PathBuf>,
    child: Child,
    port: u16,
}

impl Server {
    /// Nothing where none is installed, which fails where no test may be skipped.
    fn start() -> Option<Self> {
        Self::start_with(Vec::new())
    }

    /// The same, which believes clients of the fixture's CA alone.
    fn start_over_tls() -> Option<Self> {
        Self::start_with(["server.pem", "server.key", "ca.pem"].map(fixture).into())
    }

    fn start_with(tls: Vec<PathBuf>) -> Option<Self> {
        let program = installed(&["nats-server", "/usr/sbin/nats-server"], "nats-server")?;
        let folder = tempfile::tempdir().unwrap();
        let (child, port) = serve(program, folder.path(), "-1", &tls);
        Some(Self {
            program,
            folder,
            tls,
            child,
            port,
        })
    }

    fn url(&self) -> String {
        let scheme = if self.tls.is_empty() { "nats" } else { "tls" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    /// Ends it as a service manager would, and starts it again on its store and port.
    fn restart(&mut self) {
        terminate(&self.child);
        self.child.wait().unwrap();
        let port = self.port.to_string();
        let (program, folder) = (self.program, self.folder.path());
        (self.child, self.port) = serve(program, folder, &port, &self.tls);
        assert_eq!(self.port.to_string(), port);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a server and waits until it says that it is ready, and where.
fn serve(program: &str, folder: &Path, port: &str, tls: &[PathBuf]) -> (Child, u16) {
    let log = folder.join("log");
    // An earlier server's word would be taken for this one's.
    let _ = std::fs::remove_file(&log);
    let mut command = Command::new(program);
    command
        .args(["-js", "-a", "127.0.0.1", "-p", port, "-sd"])
        .arg(folder.join("store"))
        .arg("-l")
        .arg(&log);
    if !tls.is_empty() {
        command.arg("--tlsverify");
    }
    for (option, file) in ["--tlscert", "--tlskey", "--tlscacert"].iter().zip(tls) {
        command.arg(option).arg(file);
    }
    let mut child = command.stdin(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    loop {
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        let heard = said.split("client connections on 127.0.0.1:").nth(1);
        let heard = heard.and_then(|rest| rest.lines().next()?.trim().parse().ok());
        if let (Some(port), true) = (heard, said.contains("Server is ready")) {
            return (child, port);
        }
        assert_eq!(child.try_wait().unwrap(), None, "{said}");
        assert!(
            began.elapsed() < PATIENCE,
            "the server is not ready: {said}"
        );
        std::thread::sleep(POLL);
    }
}

/// A bank whose agent takes part in a stream.
fn found(url: &str) -> House {
    found_with(url, "")
}

/// The same; `more` ends the section of the stream.
fn found_with(url: &str, more: &str) -> House {
    House::found(&format!(
        "[nats]\nservers = [{url:?}]\nstream = \"PAYMENTS\"\nin_flight_max = 16\n\
         ack_wait = \"2s\"\n{more}"
    ))
}

/// What an agent is configured with that believes `ca`, and shows the certificate of `own`.
fn tls(ca: &str, own: Option<&str>) -> String {
    let ca = fixture(ca);
    let own = own.map(|own| {
        let [certificate, key] = ["pem", "key"].map(|kind| fixture(&format!("{own}.{kind}")));
        format!(", certificate_file = {certificate:?}, key_file = {key:?}")
    });
    let own = own.unwrap_or_default();
    format!("tls = {{ ca_file = {ca:?}{own} }}\n")
}

fn fixture(name: &str) -> PathBuf {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../host/src/tls/fixture");
    fixture.join(name)
}

/// A running agent, and the house whose log it writes.
struct Agent<'a> {
    process: house::Agent,
    house: &'a House,
}

impl<'a> Agent<'a> {
    fn start(house: &'a House) -> Self {
        let process = house::Agent::ready(house, spawn(house), PATIENCE);
        Self { process, house }
    }

    fn ask(&self, line: &str) -> String {
        self.ask_with(line, "", "")
    }

    fn ask_with(&self, line: &str, headers: &str, body: &str) -> String {
        ask(self.process.http, line, headers, body)
    }

    /// Has a payment judged over HTTP.
    fn judge(&self, number: u64) -> String {
        let body = payment(number);
        let length = format!("content-length: {}\r\n", body.len());
        self.ask_with("POST /v1/score", &length, &body)
    }

    /// Has six hundred payments of each day judged, all of one channel.
    fn live(&self, days: Range<i64>, channel: &str) {
        for day in days {
            let first_ms = (FIRST_DAY + day) * 86_400_000;
            let lines = (0..PAYMENTS_A_DAY).map(|nth| {
                let ts = first_ms + nth * 86_400_000 / PAYMENTS_A_DAY;
                let account = nth as usize % ACCOUNTS;
                format!(
                    "{{\"txn\":{{\"txn_id\":\"d{day}-{nth}\",\"ts\":{ts},\"rail\":\"card\",\
                     \"amount_minor\":1200,\"currency\":\"EUR\",\"account_tok\":\"acc{account}\",\
                     \"channel\":\"{channel}\"}}}}\n"
                )
            });
            let body: String = lines.collect();
            let length = format!("content-length: {}\r\n", body.len());
            let answer = self.ask_with("POST /v1/score/batch", &length, &body);
            let decided = answer.matches("\"decision_id\":").count() as i64;
            assert_eq!(decided, PAYMENTS_A_DAY, "day {day}: {answer}");
        }
    }

    fn metric(&self, name: &str) -> Option<u64> {
        let metrics = self.ask("GET /metrics");
        let mut lines = metrics.lines();
        lines.find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    }

    /// Messages of the stream that ended so.
    fn messages(&self, outcome: &str) -> u64 {
        let name = format!("phalanx_nats_messages_total{{outcome=\"{outcome}\"}}");
        self.metric(&name).unwrap_or_default()
    }

    async fn wait(&self, what: &str, is_so: impl AsyncFn() -> bool) {
        let began = Instant::now();
        while !is_so().await {
            let is_early = began.elapsed() < PATIENCE;
            assert!(is_early, "{what} did not come: {}", self.house.log());
            tokio::time::sleep(POLL).await;
        }
    }

    fn kill(&mut self) {
        self.process.child.kill().unwrap();
        self.process.child.wait().unwrap();
    }

    fn leave(&mut self) {
        self.process.leave();
    }
}

const ACCOUNTS: usize = 7;
/// A day that is watched, 2016-08-07.
const FIRST_DAY: i64 = 17_020;
/// More than watching asks for to judge a day.
const PAYMENTS_A_DAY: i64 = 600;
const PATIENCE: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(20);
