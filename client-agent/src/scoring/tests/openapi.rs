//! The description against what is served. Schemas are made of the types and bounds of the code;
//! what could still be wrong is which of them a route names, what may be null, and what is written
//! twice.

use std::collections::BTreeSet;

use features::{CANONICAL, FieldError, RawTransaction, Transaction};
use protocol::histogram::Measures;
use serde::Serialize;
use serde_json::Map;

use super::socket::{ask, door, exchange, fetch, with_server};
use super::*;
use crate::config::http::LATENESS_MAX;
use crate::scoring::batch::{BATCH_BYTES_MAX, LINES_MAX};
use crate::scoring::labels::{EVENT_BEFORE_MAX_MS, LABELS_OF_ONE_MAX};
use crate::scoring::times::GRACE;
use crate::status::{
    AlarmStatus, Base, Board, EvaluationStatus, ModelStatus, RecoveryStatus, RefusedStatus,
    TrainingStatus,
};

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
            for method in ["get", "put", "post", "delete", "patch"] {
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
    let board = full_board();
    let status = move || value(&board.read());
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
            hold_route(&document, "get", route, &fetch(address, asked).1);
        }
        let refused = json!([{"txn_id": "t0", "fraud": true, "source": "x"}, {"txn_id": "t1"}]);
        for (route, body) in [
            ("/v1/score", stream(1)),
            ("/v1/labels", label.into_bytes()),
            ("/v1/labels", refused.to_string().into_bytes()),
        ] {
            let length = body.len();
            let head = format!("POST {route} HTTP/1.1\r\nContent-Length: {length}\r\n");
            let (head, told) = exchange(address, head.as_bytes(), &body);
            assert!(head.starts_with("HTTP/1.1 200"), "{route}: {head}");
            hold_route(&document, "post", route, &told);
        }
        // HTTP/1.0 knows no chunks: the lines come as they are.
        let (route, body) = ("/v1/score/batch", [stream(2), b"{}".to_vec()].join(&b'\n'));
        let length = body.len();
        let head = format!("POST {route} HTTP/1.0\r\nContent-Length: {length}\r\n");
        let (_, lines) = ask(address, head.as_bytes(), &body);
        assert_eq!(lines.lines().count(), 2, "{lines}");
        for line in lines.lines() {
            hold_route(
                &document,
                "post",
                route,
                &serde_json::from_str(line).unwrap(),
            );
        }
    });
}

/// Holds what a route told to what it is described to answer.
pub(super) fn hold_route(document: &Value, method: &str, route: &str, told: &Value) {
    let answer = &document["paths"][route][method]["responses"]["200"]["content"];
    let mut kinds = ["application/json", "application/x-ndjson"].into_iter();
    let described = kinds.find_map(|kind| answer.get(kind)?.get("schema"));
    let described = described.unwrap_or(&Value::Null);
    assert!(described.is_object(), "{method} {route}");
    hold(document, described, told, route);
}

/// Holds what was told to its description: each value has its type, every object has what is
/// required, and nothing that is not described. What is described as an object alone may hold
/// anything.
fn hold(document: &Value, described: &Value, told: &Value, at: &str) {
    if let Err(wrong) = fits(document, described, told) {
        panic!("{at}{wrong}");
    }
}

/// Says where what is told is not as it is described, if it is not. Of choices any will do.
fn fits(document: &Value, described: &Value, told: &Value) -> Result<(), String> {
    if let Some(place) = described["$ref"].as_str() {
        return fits(document, document.pointer(&place[1..]).unwrap(), told);
    }
    if let Some(choices) = described["oneOf"].as_array() {
        let tried = choices.iter().map(|choice| fits(document, choice, told));
        let wrong: Vec<String> = tried.filter_map(Result::err).collect();
        return match wrong.len() < choices.len() {
            true => Ok(()),
            false => Err(format!(" fits none of its choices: {}", wrong.join("; "))),
        };
    }
    let parts = parts(document, described);
    for part in &parts {
        is_of_type(&part["type"], told)?;
        if let Some(words) = part["enum"].as_array()
            && !words.contains(told)
        {
            return Err(format!(": {told} is none of {words:?}"));
        }
    }
    match told {
        Value::Object(members) => members_fit(document, &parts, members),
        Value::Array(items) => items.iter().enumerate().try_for_each(|(nth, item)| {
            let described = match parts[0]["prefixItems"].as_array() {
                Some(places) => places.get(nth).ok_or_else(|| format!("[{nth}]"))?,
                None => &parts[0]["items"],
            };
            fits(document, described, item).map_err(|wrong| format!("[{nth}]{wrong}"))
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

/// Whether a value is of a type, or of one of several. Only null has to be named.
fn is_of_type(kinds: &Value, told: &Value) -> Result<(), String> {
    let kind = match told {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let is_kind = |one: &Value| one == kind || (one == "number" && kind == "integer");
    let is_named = match kinds {
        Value::Null => !told.is_null(),
        Value::Array(kinds) => kinds.iter().any(is_kind),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => is_kind(kinds),
    };
    match is_named {
        true => Ok(()),
        false => Err(format!(": {told} is no {kinds}")),
    }
}

fn members_fit(
    document: &Value,
    parts: &[&Value],
    members: &Map<String, Value>,
) -> Result<(), String> {
    let required = parts.iter().filter_map(|part| part["required"].as_array());
    for name in required.flatten().filter_map(Value::as_str) {
        if !members.contains_key(name) {
            return Err(format!(".{name} is missing"));
        }
    }
    let is_open = parts.iter().all(|part| part["properties"].is_null());
    for (name, member) in members {
        let own = parts.iter().map(|part| &part["properties"][name]);
        let others = parts.iter().map(|part| &part["additionalProperties"]);
        match own.chain(others).find(|described| described.is_object()) {
            Some(described) => {
                fits(document, described, member).map_err(|wrong| format!(".{name}{wrong}"))?
            }
            None if is_open => {}
            None => return Err(format!(".{name} is not described")),
        }
    }
    Ok(())
}

/// What a schema says, or what those say that it is put together of.
fn parts<'a>(document: &'a Value, schema: &'a Value) -> Vec<&'a Value> {
    if let Some(place) = schema["$ref"].as_str() {
        return parts(document, document.pointer(&place[1..]).unwrap());
    }
    match schema["allOf"].as_array() {
        Some(all) => all.iter().flat_map(|part| parts(document, part)).collect(),
        None => vec![schema],
    }
}

#[test]
fn what_is_told_otherwise_than_described_is_found() {
    let row = json!({"type": "object", "required": ["id"], "properties": {
        "id": {"type": "string", "enum": ["a", "b"]},
        "score": {"type": ["integer", "null"]},
        "near": {"oneOf": [{"type": "null"}, {"type": "string"}, {"type": "array",
            "prefixItems": [{"type": "integer"}, {"type": "number"}], "items": false}]},
    }});
    let fits = |told: Value| fits(&Value::Null, &row, &told);
    for right in [
        json!({"id": "a"}),
        json!({"id": "b", "score": null, "near": null}),
        json!({"id": "b", "score": 3, "near": "x"}),
        json!({"id": "b", "near": [1, 0.5]}),
    ] {
        assert_eq!(fits(right), Ok(()));
    }
    for wrong in [
        json!(null),
        json!([]),
        json!({}),
        json!({"id": "c"}),
        json!({"id": null}),
        json!({"id": "a", "score": 0.5}),
        json!({"id": "a", "score": "3"}),
        json!({"id": "a", "near": 1}),
        json!({"id": "a", "near": [0.5, 1]}),
        json!({"id": "a", "near": [1, 1, 1]}),
        json!({"id": "a", "more": 1}),
    ] {
        assert!(fits(wrong.clone()).is_err(), "{wrong}");
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
fn bounds_that_are_told_in_words_are_those_that_hold() {
    let document = document();
    let batch = "/paths/~1v1~1score~1batch/post";
    let (mib, lines) = (
        format!("{} MiB", BATCH_BYTES_MAX >> 20),
        thousands(LINES_MAX),
    );
    let event_days = EVENT_BEFORE_MAX_MS / 86_400_000;
    assert_eq!(LATENESS_MAX, Duration::from_secs(86_400));
    for (place, told) in [
        (
            &*format!("{batch}/summary"),
            format!("up to {lines} payments"),
        ),
        (&format!("{batch}/description"), format!("At most {mib}")),
        (
            &format!("{batch}/description"),
            format!("{} KiB a line", BODY_BYTES_MAX >> 10),
        ),
        (
            &format!("{batch}/responses/413/description"),
            format!("more than {lines} lines or {mib}"),
        ),
        (
            "/paths/~1v1~1score/post/description",
            format!("{} seconds", Times::default().body_max.as_secs()),
        ),
        (
            "/paths/~1v1~1score/post/parameters/0/description",
            format!("not come {} ms after", GRACE.as_millis()),
        ),
        (
            "/components/schemas/Label/properties/event_at/description",
            format!("at most {event_days} days"),
        ),
        (
            "/components/schemas/Transaction/properties/ts/description",
            "at most a day older".to_owned(),
        ),
    ] {
        let text = document.pointer(place).and_then(Value::as_str);
        let text = text.unwrap_or_else(|| panic!("{place}"));
        assert!(text.contains(&told), "{place}: {text}, expected {told}");
    }
}

/// A number of some thousands, as it is written.
fn thousands(number: usize) -> String {
    format!("{},{:03}", number / 1_000, number % 1_000)
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

/// With one of each list.
fn full_board() -> Board {
    let board = Board::default();
    board.trained(TrainingStatus {
        kind: "pretrain",
        ..TrainingStatus::default()
    });
    let (genuine, frauds) = ([900, 90, 10, 0], [0, 1, 2, 5]);
    board.evaluated(EvaluationStatus {
        round: 7,
        from_day: 20_000,
        to_day: 20_007,
        banks: 3,
        measures: Measures::new(&[genuine, frauds].concat()).into(),
    });
    let digest = "03".repeat(32);
    board.update(|status| {
        status.model = Some(ModelStatus {
            version: 3,
            head: Head::Federation,
            parameters: digest.clone(),
            schema: digest.clone(),
            calibration_a: 1.0,
            calibration_b: 0.0,
            calibrated_on: 900,
            calibration_doubt: Some("too few frauds".to_owned()),
            parity_max_abs: Some(1e-5),
            parity_rows: 64,
        });
        status.model_refused = Some(RefusedStatus {
            version: 4,
            head: Head::Personal,
            parameters: digest,
            why: "its calibration".to_owned(),
        });
        status.alarms.push(AlarmStatus {
            rule: "amount",
            subject: "amount_minor".to_owned(),
            value: 0.2,
            threshold: 0.12,
            since_day: 20_007,
        });
    });
    board
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
