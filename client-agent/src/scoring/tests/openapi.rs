//! The description against what is served. Schemas are made of the types and bounds of the code;
//! what could still be wrong is which of them a route names, what may be null, and what is written
//! twice.

use std::collections::BTreeSet;

use features::{CANONICAL, FieldError, RawTransaction, Transaction};
use serde::Serialize;

use super::socket::{ask, door, fetch, with_server};
use super::*;
use crate::scoring::batch::LINES_MAX;
use crate::scoring::labels::LABELS_OF_ONE_MAX;
use crate::status::{Base, Board, RecoveryStatus};

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
    assert!(Decision::ALL.iter().all(|one| value(one) == one.word()));
    let lapses = [Degraded::Breaker, Degraded::Deadline, Degraded::Late];
    assert!(lapses.iter().all(|one| value(one) == one.word()));
    assert!(
        [Mode::Full, Mode::Fallback]
            .iter()
            .all(|one| value(one) == one.word())
    );
    let bands = [Band::Low, Band::Elevated, Band::High, Band::Critical];
    assert!(bands.iter().all(|one| value(one) == one.word()));
}

#[test]
fn every_problem_is_described_as_it_is_written() {
    let full = Problem::of_field(ProblemType::Schema, "a", "b", "c");
    check("Problem", &full, &Problem::new(ProblemType::Schema, "a"));
    let recovered = RecoveryStatus {
        from: Some(Base::Snapshot),
        unclean_stop: Some(false),
        last_decision: Some("019ca8d2a400-0".to_owned()),
        ..RecoveryStatus::default()
    };
    check("Recovery", &recovered, &RecoveryStatus::default());
}

#[test]
fn every_route_tells_what_it_is_described_to_tell() {
    let bank = Bank::new();
    let scoring = bank.start();
    scoring.install(bundle(Slot::Live, 1)).unwrap();
    let decision = scoring.score(&stream(0)).unwrap().decision_id.unwrap();
    let label = json!({"txn_id": "t0", "fraud": true, "source": "analyst"}).to_string();
    scoring.label(label.as_bytes()).unwrap();
    let status = || value(&Board::default().read());
    let router = agent_router(&bank.telemetry, &door(scoring), status, || true);
    let document = document();
    with_server(router, |address| {
        for (route, asked) in [
            ("/v1/decisions", "/v1/decisions?txn_id=t0"),
            (
                "/v1/decisions/{decision_id}",
                &format!("/v1/decisions/{decision}"),
            ),
            ("/v1/scores", "/v1/scores?days=1"),
            ("/v1/status", "/v1/status"),
            ("/version", "/version"),
            ("/healthz", "/healthz?verbose"),
        ] {
            let described = &document["paths"][route]["get"]["responses"]["200"]["content"];
            let described = &described["application/json"]["schema"];
            let told = fetch(address, asked).1;
            hold(&document, described, &told, route);
        }
    });
}

/// Holds what was told to its description: every object has what is required, and nothing that is
/// not described. What is described as an object alone may hold anything.
pub(super) fn hold(document: &Value, described: &Value, told: &Value, at: &str) {
    let parts = parts(document, described);
    let described = |name: &str| {
        let mut found = parts.iter().map(|part| &part["properties"][name]);
        found.find(|property| !property.is_null())
    };
    if let Some(members) = told.as_object()
        && parts.iter().any(|part| part["properties"].is_object())
    {
        for (name, member) in members {
            let property = described(name).unwrap_or_else(|| panic!("{at}.{name}"));
            hold(document, property, member, &format!("{at}.{name}"));
        }
        let required = parts.iter().filter_map(|part| part["required"].as_array());
        for name in required.flatten() {
            assert!(members.contains_key(name.as_str().unwrap()), "{at}: {name}");
        }
    }
    for item in told.as_array().into_iter().flatten() {
        hold(document, &parts[0]["items"], item, at);
    }
}

/// What a schema says, or what those say that it points to or is put together of.
fn parts<'a>(document: &'a Value, schema: &'a Value) -> Vec<&'a Value> {
    let choices = schema["oneOf"].as_array().into_iter().flatten();
    let mut choices = choices.filter(|choice| choice["type"] != "null");
    let schema = choices.next().unwrap_or(schema);
    if let Some(place) = schema["$ref"].as_str() {
        return parts(document, document.pointer(&place[1..]).unwrap());
    }
    match schema["allOf"].as_array() {
        Some(all) => all.iter().flat_map(|part| parts(document, part)).collect(),
        None => vec![schema],
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let document = document();
    let text = document.to_string();
    let places = text.split("\"$ref\":\"#").skip(1);
    let places: BTreeSet<_> = places.filter_map(|rest| rest.split('"').next()).collect();
    assert!(places.len() > 30, "{places:?}");
    for place in places {
        assert!(document.pointer(place).is_some(), "{place}");
    }
}

// The attributes of a type take numbers alone, no constants.
#[test]
fn bounds_that_are_written_twice_are_the_same() {
    let document = document();
    for (place, bound) in [
        (
            "/components/schemas/LineProblem/allOf/1/properties/line/maximum",
            LINES_MAX,
        ),
        (
            "/components/schemas/Record/properties/labels/maxItems",
            LABELS_OF_ONE_MAX,
        ),
        (
            "/components/schemas/Scores/properties/days/maximum",
            DAYS_MAX as usize,
        ),
        (
            "/components/schemas/ScoreCell/properties/day/maximum",
            DAYS_MAX as usize - 1,
        ),
        (
            "/paths/~1v1~1scores/get/parameters/0/schema/maximum",
            DAYS_MAX as usize,
        ),
        (
            "/paths/~1v1~1score/post/parameters/0/schema/maximum",
            usize::from(DEADLINE_MS_MAX),
        ),
        (
            "/paths/~1v1~1decisions/get/parameters/0/schema/maxLength",
            Transaction::ID_BYTES_MAX,
        ),
    ] {
        assert_eq!(document.pointer(place), Some(&json!(bound)), "{place}");
    }
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
    let choices = field["oneOf"].as_array().into_iter().flatten();
    types
        .chain(choices.map(|choice| &choice["type"]))
        .any(|kind| kind == "null")
}

pub(super) fn document() -> Value {
    serde_json::from_str(&crate::scoring::document()).unwrap()
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
