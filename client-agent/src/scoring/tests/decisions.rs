//! Decisions of the past: found by either id, as they were answered; and what is not found.

use super::socket::{door, fetch, with_server};
use super::*;

#[test]
fn a_decision_is_found_by_its_id_and_by_its_payments() {
    let bank = Bank::new();
    let scoring = bank.start();
    scoring.install(bundle(Slot::Live, 3)).unwrap();
    let answer = scoring.score(&stream(0)).unwrap();
    scoring.score(&stream(1)).unwrap();
    let sent: Value = serde_json::from_slice(&stream(0)).unwrap();
    let vector = history().encode(&transaction(&sent["txn"])).0;
    with_server(door(scoring).router(), |address| {
        let id = answer.decision_id.clone().unwrap();
        for path in [
            format!("/v1/decisions/{id}"),
            "/v1/decisions?txn_id=t0".to_owned(),
        ] {
            let (head, record) = fetch(address, &path);
            assert!(head.starts_with("HTTP/1.1 200"), "{path}: {head}");
            let stored: Answer = serde_json::from_value(record["answer"].clone()).unwrap();
            let expected = Answer {
                latency_us: 0,
                ..answer.clone()
            };
            assert_eq!(stored, expected);
            let payment = &record["transaction"];
            assert_eq!(payment["account_tok"], sent["txn"]["account_tok"]);
            assert_eq!(
                (&payment["mcc"], &payment["ts"]),
                (&json!(5411), &json!(START_MS))
            );
            let features = record["features"].as_object().unwrap();
            assert_eq!(features.len(), vector.len());
            for (column, value) in FeatureSchema::standard().columns().iter().zip(&vector) {
                let found = features[&column.name].as_f64().unwrap() as f32;
                assert_eq!(found.to_bits(), value.to_bits(), "{}", column.name);
            }
        }
    });
}

// All of them, in the order in which they came, also after a restart and by either id.
#[test]
fn a_decision_tells_what_was_said_of_its_payment_since() {
    let bank = Bank::new();
    let scoring = bank.start();
    let answer = scoring.score(&stream(0)).unwrap();
    scoring.score(&stream(1)).unwrap();
    let id = answer.decision_id.unwrap();
    let say = |scoring: &Scoring, label: Value| {
        let answer = scoring
            .label(label.to_string().as_bytes())
            .unwrap()
            .remove(0);
        assert_eq!(answer.status, LabelStatus::Accepted);
        answer.label_id.unwrap()
    };
    let first = say(
        &scoring,
        json!({"txn_id": "t0", "fraud": true, "source": "chargeback",
            "event_at": "2026-02-28T08:00:00Z", "known_at": START_MS + 7_000}),
    );
    // Not of this payment.
    say(
        &scoring,
        json!({"txn_id": "t1", "fraud": true, "source": "analyst"}),
    );
    let second = say(
        &scoring,
        json!({"txn_id": "t0", "fraud": false, "source": "issuer", "known_at": START_MS + 9_000,
            "supersedes": first}),
    );
    drop(scoring);
    with_server(door(bank.start()).router(), |address| {
        for path in [
            format!("/v1/decisions/{id}"),
            "/v1/decisions?txn_id=t0".to_owned(),
        ] {
            let mut labels = fetch(address, &path).1["labels"].clone();
            for label in labels.as_array_mut().unwrap() {
                let told_at = label.as_object_mut().unwrap().remove("told_at").unwrap();
                assert!(told_at.as_i64().unwrap() > START_MS, "{told_at}");
            }
            let expected = json!([
                {"label_id": first, "verdict": "fraud", "event_at": START_MS - 86_400_000,
                    "known_at": START_MS + 7_000, "source": "chargeback", "supersedes": null,
                    "withdrawn": true},
                {"label_id": second, "verdict": "genuine", "event_at": START_MS,
                    "known_at": START_MS + 9_000, "source": "issuer", "supersedes": first,
                    "withdrawn": false},
            ]);
            assert_eq!(labels, expected, "{path}");
        }
    });
}

#[test]
fn a_decision_of_which_nothing_was_said_has_no_labels() {
    let bank = Bank::new();
    let scoring = bank.start();
    scoring.score(&stream(0)).unwrap();
    with_server(door(scoring).router(), |address| {
        let (_, record) = fetch(address, "/v1/decisions?txn_id=t0");
        assert_eq!(record["labels"], json!([]));
    });
}

#[test]
fn what_was_never_decided_is_not_found() {
    let bank = Bank::new();
    let scoring = bank.start();
    let id = scoring.score(&stream(0)).unwrap().decision_id.unwrap();
    with_server(door(scoring).router(), |address| {
        for path in [
            // The place is there, and was another decision's.
            "/v1/decisions/000000000000-0".to_owned(),
            format!("/v1/decisions/{id}0"),
            format!("/v1/decisions/{}", id.to_uppercase().replace('-', "")),
            "/v1/decisions/%ff".to_owned(),
            "/v1/decisions?txn_id=t1".to_owned(),
            "/v1/decisions?txn_id=".to_owned(),
            "/v1/decisions?txn_id=4111111111111111".to_owned(),
        ] {
            let (head, problem) = fetch(address, &path);
            assert!(head.starts_with("HTTP/1.1 404"), "{path}: {head}");
            assert!(head.contains("application/problem+json"), "{head}");
            assert_eq!(problem["type"], "not_found");
            assert!(!problem.to_string().contains("4111"), "{problem}");
        }
        for path in ["/v1/decisions", "/v1/decisions?txn_id=t0&txn_id=t0"] {
            let (head, problem) = fetch(address, path);
            assert!(head.starts_with("HTTP/1.1 400"), "{path}: {head}");
            assert_eq!(problem["type"], "missing_field");
        }
    });
}

#[test]
fn a_decision_survives_a_restart_under_its_id() {
    let bank = Bank::new();
    let scoring = bank.start();
    let id = scoring.score(&stream(0)).unwrap().decision_id.unwrap();
    drop(scoring);
    let scoring = bank.start();
    scoring.score(&stream(1)).unwrap();
    with_server(door(scoring).router(), |address| {
        let (head, record) = fetch(address, &format!("/v1/decisions/{id}"));
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert_eq!(record["answer"]["txn_id"], "t0");
        assert!(record["features"].is_object(), "{record}");
    });
}

// Columns are named by the agent's own schema: under another the names would lie.
#[test]
fn a_vector_of_another_schema_has_no_names() {
    let bank = Bank::new();
    let scoring = bank.start();
    scoring.install(bundle(Slot::Live, 1)).unwrap();
    scoring.score(&stream(0)).unwrap();
    drop(scoring);
    let other = include_str!("../../../../ops/config/schemas/single-payment.toml");
    let schema = FeatureSchema::parse(other).unwrap();
    let encoder = FeatureEncoder::new(schema, RiskSettings::default());
    let journal = open(bank.folder.path());
    let scoring = Scoring::start(settings(), encoder, journal, &bank.telemetry).unwrap();
    with_server(door(scoring).router(), |address| {
        let (head, record) = fetch(address, "/v1/decisions?txn_id=t0");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert_eq!(record["features"], Value::Null);
        assert_eq!(record["answer"]["txn_id"], "t0");
    });
}
