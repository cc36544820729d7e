//! What is refused, and what must never be repeated: garbage, card numbers, a full queue.

use super::*;

/// A published test number of a card scheme; no real card.
const PAN: &str = "4111111111111111";

#[test]
fn garbage_is_refused_and_the_next_payment_is_scored() {
    let bank = Bank::new();
    let scoring = bank.start();
    let nested = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
    let nested_in_txn = format!(
        "{{\"txn\":{{\"ext\":{}1{}}}}}",
        "[".repeat(9_000),
        "]".repeat(9_000)
    );
    let with = |field: &str, value: Value| {
        let mut payment = payment("t0", "c0", START_MS, 100);
        payment[field] = value;
        body(&payment)
    };
    let huge = String::from_utf8(stream(0))
        .unwrap()
        .replace("1000", "1e999");
    let garbage: Vec<(Vec<u8>, ProblemType)> = vec![
        (Vec::new(), ProblemType::Schema),
        (b"\xff\xfe{}".to_vec(), ProblemType::Schema),
        (b"{\"txn\":\"\xc3\x28\"}".to_vec(), ProblemType::Schema),
        (b"null".to_vec(), ProblemType::Schema),
        (b"[]".to_vec(), ProblemType::Schema),
        (b"{\"txn\":[]}".to_vec(), ProblemType::Schema),
        (b"{\"txn\":{}}".to_vec(), ProblemType::MissingField),
        (b"{}".to_vec(), ProblemType::MissingField),
        (nested.into_bytes(), ProblemType::Schema),
        (nested_in_txn.into_bytes(), ProblemType::Schema),
        (huge.into_bytes(), ProblemType::Schema),
        (with("amount_minor", json!("NaN")), ProblemType::Schema),
        (with("amount_minor", json!(-1)), ProblemType::Schema),
        (with("amount_minor", json!(1.5)), ProblemType::Schema),
        (with("geo_lat", json!("NaN")), ProblemType::Schema),
        (
            with("ext", json!({"x": "inf", "y": []})),
            ProblemType::Schema,
        ),
        (with("ts", json!({"at": 1})), ProblemType::Schema),
        (with("rail", json!(true)), ProblemType::Schema),
        (with("txn_id", json!("x".repeat(65))), ProblemType::Schema),
        (with("card_tok", json!(["c"])), ProblemType::Schema),
        (
            with("ts", json!(3_999_999_999_999_i64)),
            ProblemType::TooFuture,
        ),
        (
            with("colour", json!("x".repeat(70_000))),
            ProblemType::TooLarge,
        ),
        (vec![b' '; 10 << 20], ProblemType::TooLarge),
    ];
    for (body, kind) in garbage {
        let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
        let problem = scoring.score(&body).unwrap_err();
        // The largest time of the door may lie beyond its range and be refused for its form.
        let is_expected = problem.kind == kind
            || kind == ProblemType::TooFuture && problem.kind == ProblemType::Schema;
        assert!(is_expected, "{shown}: {problem:?}");
        assert!(
            serde_json::to_vec(&problem).unwrap().len() < 1_000,
            "{shown}"
        );
    }
    assert_eq!(scoring.scored(), 0);
    assert!(!scoring.score(&stream(0)).unwrap().replayed);
}

#[test]
fn a_card_number_anywhere_is_refused_and_repeated_nowhere() {
    let bank = Bank::new();
    let scoring = bank.start();
    let spaced = "4111 1111 1111 1111";
    let number: i64 = PAN.parse().unwrap();
    let mut bodies = Vec::new();
    let fields = [
        "txn_id",
        "card_tok",
        "account_tok",
        "ts",
        "amount_minor",
        "rail",
        "mcc",
        "colour",
    ];
    for field in fields {
        for value in [
            json!(PAN),
            json!(spaced),
            json!(number),
            json!({"deep": [{"in": PAN}]}),
        ] {
            let mut payment = payment("t0", "c0", START_MS, 100);
            payment[field] = value;
            bodies.push(body(&payment));
        }
    }
    let plain = payment("t0", "c0", START_MS, 100);
    let mut in_ext = plain.clone();
    in_ext["ext"] = json!({"note": format!("card {spaced}, gold")});
    let mut as_name = plain.clone();
    as_name[PAN] = json!(1);
    let mut sensitive = plain.clone();
    sensitive["cvv"] = json!("123");
    bodies.extend([in_ext, as_name, sensitive].map(|payment| body(&payment)));
    bodies.push(serde_json::to_vec(&json!({"txn": plain, "note": PAN})).unwrap());
    bodies.push(serde_json::to_vec(&json!({"txn": plain, "purpose": PAN})).unwrap());
    bodies.push(serde_json::to_vec(&json!({"txn": plain, "schema": spaced})).unwrap());
    bodies.push(serde_json::to_vec(&json!({"txn": PAN})).unwrap());
    bodies.push(format!("{{\"txn\": {PAN}{PAN} \"x\"").into_bytes());
    let mut said = String::new();
    for body in bodies {
        let problem = scoring.score(&body).unwrap_err();
        said += &serde_json::to_string(&problem).unwrap();
    }
    assert!(said.contains("pan_detected"));
    scoring.score(&stream(1)).unwrap();
    said += &bank.telemetry.render();
    drop(scoring);
    let mut bytes = said.into_bytes();
    read_all(bank.folder.path(), &mut bytes);
    for digits in [PAN, spaced, &PAN[..9]] {
        let is_there = bytes
            .windows(digits.len())
            .any(|window| window == digits.as_bytes());
        assert!(!is_there, "the card number was repeated");
    }
}

#[test]
fn a_full_queue_refuses_at_once_and_counts() {
    let telemetry = Telemetry::default();
    let (scoring, queue) = unserved(&telemetry);
    let waiting = scoring.enqueue(&stream(0), Instant::now()).unwrap();
    let problem = scoring.score(&stream(1)).unwrap_err();
    assert_eq!(
        (problem.kind, problem.status),
        (ProblemType::Overloaded, 503)
    );
    assert!(problem.kind.is_passing());
    let text = telemetry.render();
    assert!(
        text.contains("phalanx_score_errors_total{type=\"overloaded\"} 1"),
        "{text}"
    );
    assert!(text.contains("phalanx_score_queue_depth 1"), "{text}");
    drop((waiting, queue));
}

#[test]
fn without_a_worker_the_answer_is_unavailable() {
    let telemetry = Telemetry::default();
    let (scoring, queue) = unserved(&telemetry);
    drop(queue);
    assert_eq!(
        scoring.score(&stream(0)).unwrap_err().kind,
        ProblemType::Unavailable
    );
    assert!(matches!(
        scoring.install(bundle(Slot::Live, 1)),
        Err(ScoringError::Stopped)
    ));
}

/// A handle whose queue of one nobody serves.
pub(super) fn unserved(telemetry: &Telemetry) -> (Scoring, std::sync::mpsc::Receiver<Job>) {
    let (jobs, queue) = sync_channel(1);
    let scoring = Scoring(Arc::new(Inner {
        jobs: Some(jobs),
        worker: None,
        schema: FeatureSchema::standard(),
        scored: Arc::default(),
        meters: Meters::new(telemetry),
        clock: Clock::start(),
        batches: Batches::new(1),
        alerts: Alerts::gone(),
        beside: Beside::default(),
    }));
    (scoring, queue)
}

fn read_all(folder: &Path, into: &mut Vec<u8>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_all(&path, into);
        } else {
            into.extend(std::fs::read(path).unwrap());
        }
    }
}
