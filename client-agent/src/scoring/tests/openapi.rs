//! The description against the code: routes, fields, words and bounds, both ways.

use std::collections::BTreeSet;

use features::{CANONICAL, FieldError, RawTransaction, Transaction};
use serde::Serialize;

use super::socket::{ask, door, fetch, with_server};
use super::*;
use crate::scoring::batch::LineProblem;
use crate::scoring::openapi::DOCUMENT;
use crate::scoring::tokens::OPEN;
use crate::status::{Base, Board, RecoveryState, RecoveryStatus};

// A router tells its routes by `Debug` alone.
#[test]
fn every_route_is_described_and_every_description_is_served() {
    let bank = Bank::new();
    let router = agent_router(&bank.telemetry, &door(bank.start()), || json!({}), || true);
    let shown = format!("{router:?}");
    let served: BTreeSet<&str> = shown
        .split('"')
        .filter(|text| text.starts_with('/') && text.len() > 1 && !text.contains("__private"))
        .collect();
    let document = document();
    let paths = document["paths"].as_object().unwrap();
    let described: BTreeSet<&str> = paths.keys().map(String::as_str).collect();
    assert_eq!(served, described);
    with_server(router, |address| {
        for (path, methods) in paths {
            let path = path.replace("{decision_id}", "x");
            for method in ["get", "post"] {
                let name = method.to_uppercase();
                let head = format!("{name} {path} HTTP/1.1\r\nContent-Length: 0\r\n");
                let (head, _) = ask(address, head.as_bytes(), b"");
                let is_served = !head.starts_with("HTTP/1.1 405");
                assert_eq!(
                    is_served,
                    methods.get(method).is_some(),
                    "{name} {path}: {head}"
                );
            }
        }
        assert_eq!(fetch(address, "/openapi.json").1, document);
    });
}

#[test]
fn what_needs_a_token_says_so() {
    let document = document();
    let mut open = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let is_open = operation.get("security").is_some();
            let is_refused = operation["responses"].get("401").is_some();
            assert_ne!(is_open, is_refused, "{method} {path}");
            if is_open {
                open.insert(path.as_str());
            }
        }
    }
    assert_eq!(open, BTreeSet::from(OPEN));
}

#[test]
fn every_field_of_an_answer_is_described_as_it_is_written() {
    let (full, bare) = (full_answer(), bare_answer());
    check("Answer", &full, &bare);
    check("ModelName", &full.model, &full.model);
    check("Shadow", &full.shadow, &full.shadow);
    check("Remainder", &full.remainder, &full.remainder);
    check("Surprise", &full.surprise[0], &full.surprise[0]);
    let plain = Reason {
        weight: None,
        usual: None,
        ..full.reasons[0].clone()
    };
    check("Reason", &full.reasons[0], &plain);
    words("Decision", &Decision::ALL.map(Decision::word));
    let lapses = [Degraded::Breaker, Degraded::Deadline, Degraded::Late];
    words("Degraded", &lapses.map(Degraded::word));
    words("Mode", &[Mode::Full, Mode::Fallback].map(Mode::word));
    let heads = [Head::Federation, Head::Personal, Head::Local];
    let heads = heads.map(|head| value(&head).as_str().unwrap().to_owned());
    words("Head", &heads.each_ref().map(String::as_str));
    let bands = [Band::Low, Band::Elevated, Band::High, Band::Critical];
    assert!(bands.iter().all(|band| value(band) == band.word()));
    words("Band", &bands.map(Band::word));
}

#[test]
fn every_problem_is_described_as_it_is_written() {
    let full = Problem::of_field(ProblemType::Schema, "a", "b", "c");
    check("Problem", &full, &Problem::new(ProblemType::Schema, "a"));
    words("ProblemType", &ProblemType::ALL.map(ProblemType::word));
    let of_line = value(&LineProblem {
        line: 1,
        problem: &full,
    });
    let mut expected = keys(&schema("Problem")["properties"]);
    expected.extend(keys(&schema("LineProblem")["allOf"][1]["properties"]));
    assert_eq!(keys(&of_line), expected);
}

#[test]
fn what_is_told_beside_scores_has_the_described_fields() {
    let status = value(&Board::default().read());
    assert_eq!(keys(&status), keys(&schema("Status")["properties"]));
    let recovered = RecoveryStatus {
        state: RecoveryState::Done,
        from: Some(Base::Snapshot),
        unclean_stop: Some(false),
        last_decision: Some("019ca8d2a400-0".to_owned()),
        ..RecoveryStatus::default()
    };
    check("Recovery", &recovered, &RecoveryStatus::default());
    let told = schema("Recovery")["properties"].clone();
    let states = [RecoveryState::Underway, RecoveryState::Done];
    assert_eq!(told["state"]["enum"], value(&states));
    let bases = [Some(Base::Journal), Some(Base::Snapshot), None];
    assert_eq!(told["from"]["enum"], value(&bases));
    let bank = Bank::new();
    let scoring = bank.start();
    scoring.install(bundle(Slot::Live, 1)).unwrap();
    scoring.score(&stream(0)).unwrap();
    let label = json!({"txn_id": "t0", "fraud": true, "source": "analyst"}).to_string();
    scoring.label(label.as_bytes()).unwrap();
    let router = agent_router(&bank.telemetry, &door(scoring), || json!({}), || true);
    with_server(router, |address| {
        for (path, name) in [
            ("/version", "Version"),
            ("/healthz?verbose", "Health"),
            ("/v1/decisions?txn_id=t0", "Record"),
            ("/v1/scores?days=1", "Scores"),
        ] {
            let told = fetch(address, path).1;
            assert_eq!(keys(&told), keys(&schema(name)["properties"]), "{name}");
        }
        let labels = fetch(address, "/v1/decisions?txn_id=t0").1["labels"].clone();
        assert_eq!(keys(&labels[0]), keys(&schema("KnownLabel")["properties"]));
        let cells = fetch(address, "/v1/scores?days=1").1["cells"].clone();
        assert_eq!(keys(&cells[0]), keys(&schema("ScoreCell")["properties"]));
        let policy = fetch(address, "/version").1["policy"].clone();
        assert_eq!(keys(&policy), keys(&schema("PolicyName")["properties"]));
        let checks = fetch(address, "/healthz?verbose").1["checks"].clone();
        let checks = checks.as_array().unwrap();
        assert_eq!(keys(&checks[0]), keys(&schema("Check")["properties"]));
        let names: Vec<_> = checks
            .iter()
            .filter_map(|one| one["name"].as_str())
            .collect();
        assert_eq!(json!(names), schema("Check")["properties"]["name"]["enum"]);
    });
}

#[test]
fn a_payments_fields_are_described_as_the_door_takes_them() {
    let described = schema("Transaction");
    let known: BTreeSet<String> = CANONICAL.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(keys(&described["properties"]), known);
    for (name, field) in described["properties"].as_object().unwrap() {
        let is_required = described["required"]
            .as_array()
            .unwrap()
            .contains(&json!(name));
        assert_eq!(judged(name, Value::Null).is_err(), is_required, "{name}");
        assert_eq!(admits_null(field), !is_required, "{name}");
        if let Some(most) = field["maxLength"].as_u64() {
            let text = |length: u64| json!("x".repeat(usize::try_from(length).unwrap()));
            let least = field["minLength"].as_u64().unwrap();
            assert!(judged(name, text(most)).is_ok(), "{name}");
            assert!(judged(name, text(least)).is_ok(), "{name}");
            assert!(judged(name, text(most + 1)).is_err(), "{name}");
            assert!(judged(name, text(least - 1)).is_err(), "{name}");
        }
        if let (Some(least), Some(most)) = (field["minimum"].as_i64(), field["maximum"].as_i64()) {
            for (number, is_taken) in [
                (least - 1, false),
                (least, true),
                (most, true),
                (most + 1, false),
            ] {
                assert_eq!(
                    judged(name, json!(number)).is_ok(),
                    is_taken,
                    "{name} {number}"
                );
            }
        }
        for word in field["enum"].as_array().into_iter().flatten() {
            assert!(judged(name, word.clone()).is_ok(), "{name} {word}");
            assert!(judged(name, json!("sideways")).is_err(), "{name}");
        }
    }
    let extras = |count: u64| {
        let extras = (0..count).map(|at| (format!("x{at}"), json!(1)));
        Value::Object(extras.collect())
    };
    let most = described["properties"]["ext"]["maxProperties"]
        .as_u64()
        .unwrap();
    assert!(judged("ext", extras(most)).is_ok());
    assert!(judged("ext", extras(most + 1)).is_err());
}

fn judged(name: &str, field: Value) -> Result<Transaction, FieldError> {
    let mut payment = payment("t0", "c0", START_MS, 100);
    payment[name] = field;
    let raw: RawTransaction = serde_json::from_value(payment).unwrap();
    raw.try_into()
}

/// Holds a schema to what serde writes where everything is there, and where nothing is that can
/// be absent.
fn check(name: &str, full: &impl Serialize, bare: &impl Serialize) {
    let (described, full, bare) = (schema(name), value(full), value(bare));
    assert_eq!(keys(&full), keys(&described["properties"]), "{name}");
    let required = described["required"].as_array().unwrap().iter();
    let required: BTreeSet<String> = required
        .map(|key| key.as_str().unwrap().to_owned())
        .collect();
    assert_eq!(keys(&bare), required, "{name}");
    for (key, written) in bare.as_object().unwrap() {
        assert!(!full[key].is_null(), "{name}.{key}");
        // A record written the same twice has nothing that can be absent.
        let is_admitted = admits_null(&described["properties"][key]);
        assert_eq!(is_admitted, written.is_null(), "{name}.{key}");
    }
}

fn admits_null(field: &Value) -> bool {
    let types = field["type"].as_array().into_iter().flatten();
    let choices = field["anyOf"].as_array().into_iter().flatten();
    types
        .chain(choices.map(|choice| &choice["type"]))
        .any(|kind| kind == "null")
}

fn words(name: &str, expected: &[&str]) {
    assert_eq!(schema(name)["enum"], json!(expected), "{name}");
}

fn document() -> Value {
    serde_json::from_str(DOCUMENT).unwrap()
}

fn schema(name: &str) -> Value {
    document()["components"]["schemas"][name].clone()
}

fn value(written: &impl Serialize) -> Value {
    serde_json::to_value(written).unwrap()
}

fn keys(object: &Value) -> BTreeSet<String> {
    object.as_object().unwrap().keys().cloned().collect()
}

fn full_answer() -> Answer {
    Answer {
        decision_id: Some("019ca8d2a400-0".to_owned()),
        score: Some(784),
        probability: Some(0.12),
        logit: Some(-2.0),
        label_free: Some(4.23),
        ratio: Some(7.9),
        band: Some(Band::High),
        degraded: vec![Degraded::Late],
        reasons: vec![Reason {
            code: "R22_TIME_OF_DAY".to_owned(),
            rank: 1,
            weight: Some(0.5),
            observed: "08:00".to_owned(),
            usual: Some("12:30".to_owned()),
            text: "The time stands out.".to_owned(),
        }],
        remainder: Some(Remainder {
            base: -4.5,
            rest: 2.0,
        }),
        surprise: vec![Surprise {
            group: "amount".to_owned(),
            deviations: 4.23,
        }],
        risk_age_days: Some(9),
        model: Some(ModelName {
            version: 3,
            head: Head::Federation,
            parameters: "03".repeat(32),
            schema: "04".repeat(32),
        }),
        shadow: Some(Shadow {
            bundle: "local".to_owned(),
            probability: 0.5,
            logit: 0.0,
        }),
        mode: Mode::Full,
        ..bare_answer()
    }
}

fn bare_answer() -> Answer {
    Answer {
        decision_id: None,
        txn_id: "t0".to_owned(),
        scored_at: 1_772_352_000_000,
        score: None,
        probability: None,
        logit: None,
        label_free: None,
        ratio: None,
        decision: Decision::Review,
        band: None,
        decision_rule: "policy:fallback.decision".to_owned(),
        policy: "test.1".to_owned(),
        degraded: Vec::new(),
        reasons: Vec::new(),
        remainder: None,
        surprise: Vec::new(),
        risk_age_days: None,
        model: None,
        shadow: None,
        mode: Mode::Fallback,
        replayed: false,
        unknown_fields: 0,
        latency_us: 90,
    }
}
