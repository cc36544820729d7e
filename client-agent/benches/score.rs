//! What one live decision costs on this machine: `cargo bench -p client-agent --bench score`.
//!
//! A plain program. Requests go through the in-process door, one caller at a time and eight at
//! once, so a figure is parse, features, model, decision and, but for questions, the journal's
//! flush to a temporary folder. No gate: gates belong where machines are known.
#![expect(clippy::print_stdout, reason = "a program whose output is its figures")]

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use client_agent::journal::Journal;
use client_agent::scoring::{Bundle, Head, Policy, Scoring, Settings, Slot};
use features::{FeatureEncoder, FeatureSchema, RiskSettings};
use hdrhistogram::Histogram;
use host::disk::Store;
use host::telemetry::Telemetry;
use model::{Calibration, NetworkSize, Usual, genesis, layout};

const REQUESTS: u32 = 2_000;
const CALLERS: u32 = 8;
const CARDS: u32 = 200;
const OUTLETS: u32 = 97;

fn main() {
    let is_json = std::env::args().any(|word| word == "--json");
    let cases = [
        ("question", "whatif", 1_000),
        ("question with reasons", "whatif", 1),
        ("decision", "authorise", 1_000),
        ("decision with reasons", "authorise", 1),
    ];
    for (name, purpose, reasons_from) in cases {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let scoring = start(folder.path(), reasons_from);
        // Cards and terminals get a past, so that questions read full windows.
        ask(&scoring, "authorise", 0);
        tell(is_json, name, 1, &ask(&scoring, purpose, 1));
        let asked: Vec<Histogram<u64>> = std::thread::scope(|scope| {
            let callers: Vec<_> = (2..2 + CALLERS)
                .map(|caller| {
                    let scoring = scoring.clone();
                    scope.spawn(move || ask(&scoring, purpose, caller))
                })
                .collect();
            let ended = callers.into_iter().map(|caller| caller.join());
            ended
                .map(|asked| asked.expect("a caller gets every answer"))
                .collect()
        });
        let mut together = histogram();
        asked
            .iter()
            .for_each(|one| together.add(one).expect("the bounds are the same"));
        tell(is_json, name, CALLERS, &together);
    }
}

/// Scoring on a fresh journal, with a model of random parameters: its cost is that of any other.
fn start(folder: &Path, reasons_from: u16) -> Scoring {
    let store = Store::open(folder).expect("a fresh folder opens");
    let journal = Journal::open(&store).expect("a fresh journal opens");
    let (schema, size) = (FeatureSchema::standard(), NetworkSize::default());
    let parameters = Arc::new(genesis(&layout(&schema, size), 1));
    let usual = Some(Usual::new(schema.groups().len()));
    let encoder = FeatureEncoder::new(schema, RiskSettings::default());
    let policy = format!(
        "version = \"bench\"\n[score_bands]\nelevated = 700\nreview = 784\ndecline = 900\n\
         [explain]\nmin_score = {reasons_from}\nmax_reasons = 6\n[fallback]\n\
         decision = \"review\"\n[breaker]\nmax_decline_rate = 0.5\nwindow_minutes = 10\n\
         min_decisions = 100\nthen = \"review\"\n"
    );
    let settings = Settings {
        policy: Policy::parse(&policy, Path::new("policy.toml")).expect("the policy is whole"),
        queue_max: 1_024,
    };
    let scoring = Scoring::start(settings, encoder, journal, &Telemetry::default())
        .expect("the settings are in range");
    let bundle = Bundle {
        slot: Slot::Live,
        head: Head::Federation,
        version: 1,
        parameters,
        digest: [1; 32],
        size,
        calibration: Calibration::default(),
        usual,
    };
    scoring
        .install(bundle)
        .expect("the parameters are of this layout");
    scoring
}

/// Microseconds from the call to the answer.
fn ask(scoring: &Scoring, purpose: &str, caller: u32) -> Histogram<u64> {
    let mut latencies = histogram();
    for number in 0..REQUESTS {
        let body = body(purpose, caller, number);
        let asked = Instant::now();
        scoring
            .score(body.as_bytes())
            .expect("the request is well formed");
        let latency = u64::try_from(asked.elapsed().as_micros()).unwrap_or(u64::MAX);
        latencies.saturating_record(latency);
    }
    latencies
}

fn body(purpose: &str, caller: u32, number: u32) -> String {
    let (card, outlet) = (number % CARDS, number % OUTLETS);
    let ts = 1_772_352_000_000_u64 + u64::from(number) * 30_000;
    let amount = 500 + u64::from(number) * 7_919 % 20_000;
    format!(
        r#"{{"purpose": "{purpose}", "txn": {{"txn_id": "t{caller}-{number}", "ts": {ts},
        "rail": "card", "amount_minor": {amount}, "currency": "EUR", "mcc": 5411,
        "account_tok": "a{card}", "card_tok": "c{card}", "terminal_tok": "o{outlet}"}}}}"#
    )
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 3).expect("the bounds are valid")
}

fn tell(is_json: bool, name: &str, callers: u32, latencies: &Histogram<u64>) {
    let [half, most, all] = [0.5, 0.99, 1.0].map(|q| latencies.value_at_quantile(q));
    if is_json {
        let figures = format!(r#""p50_us":{half},"p99_us":{most},"max_us":{all}"#);
        println!(r#"{{"case":"{name}","callers":{callers},{figures}}}"#);
    } else {
        println!("{name:<24} {callers} at once: p50 {half:>6} us, p99 {most:>6} us, max {all} us");
    }
}
