//! What is running and how it is, before the door is open, after it, and without a worker.

use super::refusals::unserved;
use super::socket::{ask, door, fetch, with_server};
use super::*;

#[test]
fn the_version_names_build_schema_and_model() {
    let bank = Bank::new();
    let door = Door::default();
    with_server(door.router(), |address| {
        let version = fetch(address, "/version").1;
        assert_eq!(version["name"], "phalanx-agent");
        assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(
            (&version["schema"], &version["model"]),
            (&Value::Null, &Value::Null)
        );
        let scoring = bank.start();
        door.open(scoring.clone());
        let version = fetch(address, "/version").1;
        let schema = Digest(FeatureSchema::standard().digest()).to_hex();
        assert_eq!(
            (&version["schema"], &version["model"]),
            (&json!(schema), &Value::Null)
        );
        // An encoder alone is no model that decides.
        scoring.install(bundle(Slot::Pretrained, 4)).unwrap();
        assert_eq!(fetch(address, "/version").1["model"], Value::Null);
        scoring.install(bundle(Slot::Live, 5)).unwrap();
        let version = fetch(address, "/version").1;
        assert_eq!(version["model"]["version"], 5);
        assert_eq!(version["model"]["schema"], schema);
        assert_eq!(version["policy"]["version"], "test.1");
        let digest = crypto::sha256(&[POLICY.as_bytes()]).to_hex();
        assert_eq!(version["policy"]["sha256"], digest);
    });
}

#[test]
fn health_is_what_scoring_needs_and_tells_the_rest() {
    let bank = Bank::new();
    let door = Door::default();
    let router = agent_router(&bank.telemetry, &door, || json!({}), || false);
    with_server(router, |address| {
        let (head, text) = ask(address, b"GET /healthz HTTP/1.1\r\n", b"");
        assert!(head.starts_with("HTTP/1.1 503"), "{head}");
        assert_eq!(text, "not healthy\n");
        let (head, health) = fetch(address, "/healthz?verbose");
        assert!(head.starts_with("HTTP/1.1 503"), "{head}");
        assert_eq!(
            wrong_in(&health),
            [
                "history", "worker", "journal", "model", "risk", "breaker", "snapshot", "learning",
                "alerts", "watch", "ids", "expiry", "clock", "link"
            ]
        );

        let scoring = bank.start();
        scoring.score(&stream(0)).unwrap();
        door.open(scoring.clone());
        let (head, text) = ask(address, b"GET /healthz HTTP/1.1\r\n", b"");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert_eq!(text, "healthy\n");
        let (head, health) = fetch(address, "/healthz?verbose=true");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert_eq!(health["ok"], true);
        assert_eq!(wrong_in(&health), ["model", "risk", "link"]);
        let journal = health["checks"][2]["why"].as_str().unwrap();
        let flushed = "1 decisions, all of them durable; the last flush took ";
        assert!(journal.starts_with(flushed), "{journal}");
        // The queue has told of itself before it answers.
        while fetch(address, "/v1/alerts").0.starts_with("HTTP/1.1 503") {
            std::thread::yield_now();
        }
        let health = fetch(address, "/healthz?verbose").1;
        let alerts = &health["checks"][8];
        assert_eq!(
            (&alerts["name"], &alerts["why"]),
            (&json!("alerts"), &json!("the journal is read along"))
        );
        scoring.install(bundle(Slot::Pretrained, 4)).unwrap();
        let health = fetch(address, "/healthz?verbose").1;
        assert_eq!(wrong_in(&health), ["model", "risk", "link"]);
        assert_eq!(
            health["checks"][3]["why"],
            "there is none; the encoder of version 4 tells what surprises"
        );
        scoring.install(bundle(Slot::Live, 5)).unwrap();
        let health = fetch(address, "/healthz?a=b&verbose=1").1;
        assert_eq!(wrong_in(&health), ["risk", "link"]);
        assert_eq!(health["checks"][3]["why"], "version 5");
        assert_eq!(fetch(address, "/healthz?verbose=0").1, Value::Null);
    });
}

#[test]
fn without_a_worker_an_agent_is_not_healthy() {
    let telemetry = Telemetry::default();
    let (scoring, queue) = unserved(&telemetry);
    drop(queue);
    let router = agent_router(&telemetry, &door(scoring), || json!({}), || true);
    with_server(router, |address| {
        let (head, health) = fetch(address, "/healthz?verbose");
        assert!(head.starts_with("HTTP/1.1 503"), "{head}");
        assert_eq!(
            wrong_in(&health),
            ["worker", "journal", "model", "risk", "breaker"]
        );
        assert_eq!(health["checks"][1]["why"], "the scoring worker has stopped");
        assert!(fetch(address, "/version").0.starts_with("HTTP/1.1 200"));
    });
}

/// Names of the checks that are not well.
fn wrong_in(health: &Value) -> Vec<&str> {
    let checks = health["checks"].as_array().unwrap().iter();
    let wrong = checks.filter(|check| check["ok"] == false);
    wrong.map(|check| check["name"].as_str().unwrap()).collect()
}
