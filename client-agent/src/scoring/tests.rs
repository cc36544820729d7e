//! Scoring as a whole, from a body to an answer, on a real journal. The door's own tests are in
//! `request.rs`; here are the fixture and what an answer holds.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use features::{RiskKey, RiskSettings, RiskTerms};
use host::disk::Store;
use model::{genesis, layout};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::journal::Follower;

mod account;
mod alerts;
mod alone;
pub(crate) mod answers;
mod batch;
mod behind;
mod clock;
mod decisions;
mod faults;
mod guard;
mod labels;
mod memory;
mod metrics;
mod openapi;
mod parsers;
mod refusals;
mod routes;
mod scores;
mod slow;
pub(crate) mod socket;
mod times;
mod tokens;
mod usual;

const HOUR_MS: i64 = 3_600_000;
/// The first of March 2026, eight o'clock UTC.
const START_MS: i64 = 1_772_352_000_000;

pub(crate) struct Bank {
    folder: TempDir,
    telemetry: Telemetry,
}

impl Bank {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            telemetry: Telemetry::default(),
        }
    }

    pub(crate) fn start(&self) -> Scoring {
        self.start_with(settings())
    }

    /// With somebody who reads the journal along.
    pub(crate) fn start_followed(&self) -> (Scoring, Follower) {
        let journal = open(self.folder.path());
        let follower = journal.follow();
        let scoring = Scoring::start(settings(), history(), journal, &self.telemetry).unwrap();
        (scoring, follower)
    }

    fn start_with(&self, settings: Settings) -> Scoring {
        self.start_at(Clock::start(), settings)
    }

    /// On a machine whose wall clock says something else.
    fn start_at(&self, clock: Clock, settings: Settings) -> Scoring {
        let journal = open(self.folder.path());
        let mut remembered = Remembered::new(history());
        remembered.catch_up(journal.follow()).unwrap();
        Scoring::resume(clock, settings, remembered, journal, &self.telemetry).unwrap()
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Writes a file that nobody else may read, as one of tokens has to be.
pub(crate) fn write_private(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}

/// The journal of a store that somebody had open: sled lets go of its lock a moment after the last
/// handle is gone.
pub(crate) fn open(folder: &Path) -> Journal {
    let patience = Instant::now() + Duration::from_secs(5);
    loop {
        match Store::open(folder) {
            Ok(store) => return Journal::open(&store).unwrap(),
            Err(error) => assert!(Instant::now() < patience, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn settings() -> Settings {
    Settings {
        policy: policy(&[]),
        queue_max: 64,
        answer_after: AnswerAfter::Flush,
    }
}

/// A policy for tests, some of its text replaced.
pub(crate) fn policy(changes: &[(&str, &str)]) -> Policy {
    let mut text = POLICY.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    Policy::parse(&text, Path::new("policy.toml")).unwrap()
}

// Reviews from one in two on; 999 is the highest score.
const POLICY: &str = r#"
version = "test.1"
[score_bands]
elevated = 772
review = 899
decline = 999
[explain]
min_score = 1
max_reasons = 6
[fallback]
decision = "review"
"#;

/// An encoder that has seen a month of one card at one terminal.
fn history() -> FeatureEncoder {
    let mut encoder = FeatureEncoder::new(FeatureSchema::standard(), RiskSettings::default());
    for back in (1..=60_i64).rev() {
        let ts = START_MS - back * 12 * HOUR_MS;
        encoder.encode(&transaction(&payment(&format!("h{back}"), "c0", ts, 2_000)));
    }
    encoder
}

fn transaction(payment: &Value) -> features::Transaction {
    let raw = serde_json::to_vec(payment).unwrap();
    features::RawTransaction::from_json(&raw)
        .unwrap()
        .try_into()
        .unwrap()
}

fn payment(id: &str, card: &str, ts: i64, amount_minor: i64) -> Value {
    json!({
        "txn_id": id, "ts": ts, "rail": "card", "amount_minor": amount_minor, "currency": "EUR",
        "account_tok": format!("acc-{card}"), "card_tok": card, "terminal_tok": "o1", "mcc": 5411,
    })
}

fn body(payment: &Value) -> Vec<u8> {
    serde_json::to_vec(&json!({ "txn": payment })).unwrap()
}

/// The body of payment `number` of a stream over a few cards.
pub(crate) fn stream(number: u32) -> Vec<u8> {
    let card = format!("c{}", number % 5);
    let ts = START_MS + i64::from(number) * 60_000;
    body(&payment(
        &format!("t{number}"),
        &card,
        ts,
        1_000 + i64::from(number % 7) * 900,
    ))
}

pub(crate) fn bundle(slot: Slot, version: u64) -> Bundle {
    let size = NetworkSize::default();
    let parameters = genesis(&layout(&FeatureSchema::standard(), size), version);
    Bundle {
        slot,
        head: match slot {
            Slot::Live | Slot::Pretrained => Head::Federation,
            Slot::Local => Head::Local,
        },
        version,
        parameters: Arc::new(parameters),
        digest: [u8::try_from(version).unwrap(); 32],
        size,
        calibration: Calibration { a: 1.5, b: 2.0 },
        usual: Some(Usual::new(FeatureSchema::standard().groups().len())),
    }
}

fn scorer(version: u64) -> Scorer {
    let Bundle {
        parameters,
        size,
        calibration,
        ..
    } = bundle(Slot::Live, version);
    Scorer::new(&FeatureSchema::standard(), size, &parameters, calibration).unwrap()
}

#[test]
fn an_answer_holds_what_the_model_said_of_the_journaled_vector() {
    let bank = Bank::new();
    let scoring = bank.start();
    scoring.install(bundle(Slot::Live, 3)).unwrap();
    let answer = scoring.score(&stream(0)).unwrap();
    drop(scoring);
    let entry = open(bank.folder.path()).find("t0").unwrap().unwrap();
    let said = scorer(3).score(&entry.vector).unwrap()[0];
    assert_eq!(
        (answer.logit, answer.probability),
        (Some(said.logit), Some(said.probability))
    );
    assert_eq!(answer.score, Some(decision::score(said.probability)));
    assert_eq!(answer.mode, Mode::Full);
    let name = answer.model.unwrap();
    assert_eq!((name.version, name.parameters), (3, "03".repeat(32)));
    assert!(answer.latency_us > 0 && !answer.replayed && answer.decision_id.is_some());
}

#[test]
fn reasons_are_the_models_own_shares_the_weightiest_first_and_add_up_to_the_logit() {
    let bank = Bank::new();
    let scoring = bank.start();
    scoring.install(bundle(Slot::Live, 1)).unwrap();
    let strange = payment("t0", "c0", START_MS, 900_000);
    let answer = scoring.score(&body(&strange)).unwrap();
    drop(scoring);
    let entry = open(bank.folder.path()).find("t0").unwrap().unwrap();
    let mut expected: Vec<f32> = scorer(1)
        .attribution(&entry.vector)
        .unwrap()
        .groups
        .into_iter()
        .map(|(_, weight)| weight)
        .filter(|weight| *weight > 0.0)
        .collect();
    expected.sort_by(|one, other| other.total_cmp(one));
    expected.truncate(4);
    let reasons = answer.reasons.iter();
    let found: Vec<f32> = reasons.filter_map(|reason| reason.weight).collect();
    assert!(!expected.is_empty());
    assert_eq!(found, expected);
    let beside = answer.remainder.unwrap();
    let sum = beside.base + beside.rest + found.iter().sum::<f32>();
    assert!(
        (sum - answer.logit.unwrap()).abs() < 1e-4,
        "{sum} {answer:?}"
    );
    for (reason, rank) in answer.reasons.iter().zip(1..) {
        assert_eq!(reason.rank, rank);
        assert!(reason.text.contains(&reason.observed), "{}", reason.text);
        assert!(reason.code.starts_with('R') && reason.text.ends_with('.'));
    }
}

#[test]
fn answers_below_the_threshold_carry_no_reasons() {
    let bank = Bank::new();
    let scoring = bank.start_with(Settings {
        policy: policy(&[("min_score = 1\n", "min_score = 1000\n")]),
        ..settings()
    });
    scoring.install(bundle(Slot::Live, 1)).unwrap();
    let answer = scoring.score(&stream(0)).unwrap();
    assert!(answer.reasons.is_empty() && answer.remainder.is_none());
}

#[test]
fn without_a_model_the_configured_decision_is_answered() {
    let bank = Bank::new();
    let scoring = bank.start();
    let answer = scoring.score(&stream(0)).unwrap();
    assert_eq!(
        (answer.mode, answer.decision),
        (Mode::Fallback, Decision::Review)
    );
    assert_eq!(
        (answer.score, answer.probability, answer.logit),
        (None, None, None)
    );
    assert!(answer.reasons.is_empty() && answer.model.is_none() && answer.shadow.is_none());
    assert!(answer.surprise.is_empty() && answer.label_free.is_none());
    // 10.00 where the card pays 20.00: the plain rule needs no model, but a past.
    assert!((answer.ratio.unwrap() - 11.0 / 21.0).abs() < 1e-3);
    assert_eq!(scoring.score(&stream(1)).unwrap().ratio, None);
}

#[test]
fn the_banks_own_model_is_asked_without_the_federations_risk() {
    let bank = Bank::new();
    let scoring = bank.start();
    scoring.install(bundle(Slot::Live, 1)).unwrap();
    scoring.install(bundle(Slot::Local, 2)).unwrap();
    let terms = RiskTerms {
        buckets: 1,
        key: RiskKey::new([0; 32]),
        from_day: i32::try_from(START_MS / (24 * HOUR_MS)).unwrap() - 15,
        days: 7,
        label_delay_days: 7,
        banks_min: 1,
    };
    let mut table = RiskTable::new(1, RiskKey::new([0; 32]));
    let sum: Vec<i64> = [10, 4].repeat(7).into_iter().chain([3]).collect();
    table.absorb(&terms, &sum).unwrap();
    scoring.install_risk(Arc::new(table)).unwrap();
    let answer = scoring.score(&stream(0)).unwrap();
    // Counted up to nine days before the payment's day.
    assert_eq!(answer.risk_age_days, Some(9));
    // So it is where it decides, and no reason names what it does not see.
    let own = Bundle {
        slot: Slot::Live,
        ..bundle(Slot::Local, 2)
    };
    scoring.install(own).unwrap();
    let decided = scoring.score(&stream(1)).unwrap();
    assert_eq!(decided.model.unwrap().head, Head::Local);
    assert_eq!(decided.logit, decided.shadow.map(|shadow| shadow.logit));
    let names = |code: &str| decided.reasons.iter().any(|reason| reason.code == code);
    assert!(!names("R42_OUTLET_RISK_FEDERATION"));
    drop(scoring);
    let vector = open(bank.folder.path()).find("t0").unwrap().unwrap().vector;
    let shared =
        FeatureSchema::standard().indices(|role| matches!(role, features::Role::SharedRisk));
    assert!(
        shared.iter().any(|&column| vector[column] != 0.0),
        "the table was not read"
    );
    let mut own = vector.clone();
    FeatureSchema::standard().hide_federation(&mut own);
    assert!(shared.iter().any(|&column| own[column] != vector[column]));
    let shadow = answer.shadow.unwrap();
    assert_eq!(shadow.logit, scorer(2).score(&own).unwrap()[0].logit);
    assert_ne!(shadow.logit, scorer(2).score(&vector).unwrap()[0].logit);
    assert_eq!(
        answer.logit,
        Some(scorer(1).score(&vector).unwrap()[0].logit)
    );
    assert_eq!(shadow.bundle, "local");
}

#[test]
fn a_model_is_swapped_between_two_requests() {
    let bank = Bank::new();
    let scoring = bank.start();
    scoring.install(bundle(Slot::Live, 1)).unwrap();
    let versions: Vec<u64> = std::thread::scope(|scope| {
        let (halfway, is_halfway) = std::sync::mpsc::channel();
        let asking = scoring.clone();
        let asked = scope.spawn(move || {
            let ask = |number| {
                if number == 100 {
                    halfway.send(()).unwrap();
                }
                asking
                    .score(&stream(number))
                    .unwrap()
                    .model
                    .unwrap()
                    .version
            };
            (0..200).map(ask).collect()
        });
        is_halfway.recv().unwrap();
        scoring.install(bundle(Slot::Live, 2)).unwrap();
        let last = scoring.score(&stream(500)).unwrap().model.unwrap().version;
        assert_eq!(last, 2);
        asked.join().unwrap()
    });
    assert_eq!(versions[..100], [1; 100]);
    assert!(versions.is_sorted(), "{versions:?}");
}

#[test]
fn a_model_that_does_not_fit_leaves_the_one_in_place() {
    let bank = Bank::new();
    let scoring = bank.start();
    scoring.install(bundle(Slot::Live, 1)).unwrap();
    let short = Bundle {
        parameters: Arc::new(vec![0.0; 5]),
        ..bundle(Slot::Live, 2)
    };
    assert!(matches!(
        scoring.install(short),
        Err(ScoringError::Model(_))
    ));
    assert_eq!(scoring.score(&stream(0)).unwrap().model.unwrap().version, 1);
}

#[test]
fn a_queue_without_a_place_is_refused() {
    let bank = Bank::new();
    let settings = Settings {
        queue_max: 0,
        ..settings()
    };
    let journal = open(bank.folder.path());
    let started = Scoring::start(settings, history(), journal, &bank.telemetry);
    assert!(matches!(started, Err(ScoringError::Setting { .. })));
}

#[test]
fn metrics_count_what_happened() {
    let bank = Bank::new();
    let scoring = bank.start();
    scoring.score(&stream(0)).unwrap();
    scoring.install(bundle(Slot::Live, 7)).unwrap();
    scoring.score(&stream(1)).unwrap();
    scoring.score(&stream(1)).unwrap();
    scoring.score(b"{").unwrap_err();
    let text = bank.telemetry.render();
    let expected = [
        "phalanx_score_requests_total{mode=\"fallback\",outcome=\"scored\"} 1",
        "phalanx_score_requests_total{mode=\"full\",outcome=\"scored\"} 1",
        "phalanx_score_requests_total{mode=\"full\",outcome=\"replayed\"} 1",
        "phalanx_score_replayed_total 1",
        "phalanx_score_errors_total{type=\"schema\"} 1",
        "phalanx_decisions_total{decision=\"review\"} 1",
        "phalanx_model_version 7",
        "phalanx_score_queue_depth 0",
        "phalanx_score_latency_seconds_count 3",
        "phalanx_profiles{kind=\"payer\"} 2",
        "phalanx_profiles_forgotten{kind=\"payee\"} 0",
    ];
    for line in expected {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}
