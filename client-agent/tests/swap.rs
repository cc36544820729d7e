//! Models that rise in version are put in place while several connections have payments judged:
//! none fails, and each is judged by the one model that its answer names. Thirty swaps here;
//! `cargo xtask soak swap` for a thousand.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails where it stands"
)]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use crypto::Digest;
use features::FeatureSchema;
use model::Scorer;
use serde_json::{Value, json};

#[path = "soak/callers.rs"]
mod callers;
#[path = "soak/stage.rs"]
mod stage;

use callers::{Chance, Over};
use stage::{Stage, bundle, payment};

const CALLERS: usize = 4;
const SWAPS: u64 = 30;
/// Far above what an answer takes: what takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);
/// Most answers between two swaps, beside those that were on their way.
const ANSWERS_BETWEEN: u64 = 16;
/// What a logit may differ by from that of the model that an answer names.
const LOGIT_MAX: f32 = 1e-6;

#[test]
fn every_payment_is_judged_by_the_model_that_its_answer_names() {
    let swaps = std::env::var("PHALANX_SWAPS").map_or(SWAPS, |text| text.parse().unwrap());
    let stage = Stage::set();
    let models = Models::default();
    models.install(&stage, 1);
    let (address, began) = (stage.address, Instant::now());
    let heard: Vec<Vec<Heard>> = std::thread::scope(|scope| {
        let over = Over(&models.is_over);
        let (tell, answered) = channel();
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| {
                let (models, tell) = (&models, tell.clone());
                scope.spawn(move || call(address, caller, models, &tell))
            })
            .collect();
        drop(tell);
        swap_again_and_again(&stage, &models, swaps, &answered);
        drop(over);
        callers
            .into_iter()
            .map(|caller| caller.join().unwrap())
            .collect()
    });
    let seconds = began.elapsed().as_secs_f64();
    check(&stage, &heard, swaps + 1);
    let mut taken: Vec<Duration> = heard.iter().flatten().map(|heard| heard.taken).collect();
    taken.sort();
    let at = |percent: usize| taken[taken.len() * percent / 100].as_secs_f64() * 1e3;
    println!(
        "{swaps} swaps, {} requests over {CALLERS} connections in {seconds:.1} s, none failed; \
         p50 {:.2} ms, p99 {:.2} ms",
        taken.len(),
        at(50),
        at(99),
    );
}

/// Which model is in place, as far as it can be known from outside.
#[derive(Default)]
struct Models {
    /// The newest that may be in place.
    begun: AtomicU64,
    /// The newest that is.
    installed: AtomicU64,
    is_over: AtomicBool,
}

impl Models {
    fn install(&self, stage: &Stage, version: u64) {
        let bundle = bundle(version);
        self.begun.store(version, Ordering::SeqCst);
        stage.scoring.install(bundle).unwrap();
        self.installed.store(version, Ordering::SeqCst);
    }
}

/// One answer, and what was known before it was asked for and after it came.
struct Heard {
    status: u16,
    answer: Value,
    at_least: u64,
    at_most: u64,
    taken: Duration,
}

/// Installs versions from 2 on. Before each, and after the last, more answers come than were on
/// their way: so each version has judged at least one payment.
fn swap_again_and_again(stage: &Stage, models: &Models, swaps: u64, answered: &Receiver<()>) {
    let mut chance = Chance::new();
    for version in 2..=swaps + 2 {
        while answered.try_recv().is_ok() {}
        for _ in 0..=CALLERS as u64 + chance.below(ANSWERS_BETWEEN) {
            let told = answered.recv_timeout(PATIENCE);
            told.expect("the callers are answered");
        }
        if version <= swaps + 1 {
            models.install(stage, version);
        }
    }
}

/// One caller: a payment as soon as the last is answered, on one connection.
fn call(address: SocketAddr, caller: usize, models: &Models, tell: &Sender<()>) -> Vec<Heard> {
    let mut connection = Connection::open(address);
    let mut all = Vec::new();
    while !models.is_over.load(Ordering::SeqCst) {
        let number = all.len() as u64;
        let payment = payment(&format!("s{caller}-{number}"), number);
        let body = json!({ "txn": payment }).to_string();
        let at_least = models.installed.load(Ordering::SeqCst);
        let began = Instant::now();
        let (status, answer) = connection.ask("POST /v1/score", &body);
        all.push(Heard {
            status,
            answer,
            at_least,
            at_most: models.begun.load(Ordering::SeqCst),
            taken: began.elapsed(),
        });
        // Nobody listens once all is swapped.
        let _ = tell.send(());
    }
    all
}

fn check(stage: &Stage, heard: &[Vec<Heard>], versions: u64) {
    let mut judged: BTreeMap<u64, Vec<&Value>> = BTreeMap::new();
    for caller in heard {
        let mut last = 0;
        for one in caller {
            let answer = &one.answer;
            assert_eq!(
                (one.status, &answer["mode"]),
                (200, &json!("full")),
                "{answer}"
            );
            let version = answer["model"]["version"].as_u64().unwrap();
            let known = one.at_least..=one.at_most;
            assert!(known.contains(&version), "{known:?}: {answer}");
            assert!(version >= last, "{last} came before: {answer}");
            last = version;
            judged.entry(version).or_default().push(answer);
        }
    }
    assert!(
        judged.keys().copied().eq(1..=versions),
        "{:?}",
        judged.keys()
    );
    let mut connection = Connection::open(stage.address);
    let (mut before, mut later, mut told_apart) = (None, 0, 0);
    for (version, answers) in &judged {
        let (digest, scorer) = model_of(*version);
        for answer in answers {
            assert_eq!(answer["model"]["parameters"], digest, "{answer}");
            let vector = connection.vector_of(answer["decision_id"].as_str().unwrap());
            let logit = |scorer: &Scorer| scorer.score(&vector).unwrap()[0].logit;
            let found = answer["logit"].as_f64().unwrap() as f32;
            let is_of = |scorer: &Scorer| (logit(scorer) - found).abs() <= LOGIT_MAX;
            assert!(is_of(&scorer), "{found} of {}: {answer}", logit(&scorer));
            if let Some(before) = &before {
                later += 1;
                told_apart += u64::from(!is_of(before));
            }
        }
        before = Some(scorer);
    }
    // Else any model would have done. Two of them agree to the last digit now and then.
    assert!(told_apart * 100 >= later * 99, "{told_apart} of {later}");
}

/// What answers call the model of a version, and what it says.
fn model_of(version: u64) -> (String, Scorer) {
    let bundle = bundle(version);
    let (schema, size) = (FeatureSchema::standard(), bundle.size);
    let scorer = Scorer::new(&schema, size, &bundle.parameters, bundle.calibration);
    (Digest(bundle.digest).to_hex(), scorer.unwrap())
}

/// A connection of HTTP/1.1 that is kept alive.
struct Connection(BufReader<TcpStream>);

impl Connection {
    fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(BufReader::new(stream))
    }

    /// One request, and status and body of its answer.
    fn ask(&mut self, what: &str, body: &str) -> (u16, Value) {
        let length = body.len();
        let request = format!(
            "{what} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n{body}"
        );
        self.0.get_mut().write_all(request.as_bytes()).unwrap();
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let read = self.0.read_line(&mut head).unwrap();
            assert_ne!(read, 0, "the connection ended after {head:?}");
        }
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let is_length = name.eq_ignore_ascii_case("content-length");
            is_length.then(|| value.trim().parse::<usize>().unwrap())
        });
        let mut body = vec![0; length.unwrap()];
        self.0.read_exact(&mut body).unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    /// The journaled vector of a decision, in the order of its columns.
    fn vector_of(&mut self, decision_id: &str) -> Vec<f32> {
        let (status, found) = self.ask(&format!("GET /v1/decisions/{decision_id}"), "");
        assert_eq!(status, 200, "{found}");
        let value = |name: &str| found["features"][name].as_f64().unwrap() as f32;
        let schema = FeatureSchema::standard();
        let columns = schema.columns().iter();
        columns.map(|column| value(&column.name)).collect()
    }
}
