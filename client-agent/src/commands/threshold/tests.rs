//! The counts, from a store that is free and from an agent that holds it, and what is said.

use serde_json::{Value, json};

use super::*;
use crate::scoring::tests::socket::{door, with_server};
use crate::scoring::tests::{Bank, bundle, stream};
use crate::scoring::{Scoring, Slot};

fn settled(bank: &Bank) -> Scoring {
    let scoring = bank.start();
    scoring.score(&stream(0)).unwrap();
    scoring.install(bundle(Slot::Live, 1)).unwrap();
    for number in 1..6 {
        scoring.score(&stream(number)).unwrap();
    }
    let label = json!({"txn_id": "t3", "fraud": true, "source": "analyst"});
    scoring.label(label.to_string().as_bytes()).unwrap();
    scoring
}

#[test]
fn a_running_agent_is_asked_where_it_is_named_or_found_and_says_what_its_store_says() {
    let bank = Bank::new();
    let scoring = settled(&bank);
    let error = count((None, bank.path()), 30, &Credentials::default()).unwrap_err();
    assert_eq!(error.exit_code(), 74, "{error}");
    let mut told = None;
    with_server(door(scoring).router(), |address| {
        let (named, nowhere) = (format!("http://{address}/"), bank.path().join("nowhere"));
        let asked = count(
            (Some(named.as_str()), nowhere.as_path()),
            30,
            &Credentials::default(),
        )
        .unwrap();
        assert_eq!((asked.days, asked.decisions), (1, 6));
        let error = count((Some("ftp://a"), bank.path()), 30, &Credentials::default());
        let error = error.unwrap_err().to_string();
        assert!(error.starts_with("--agent: ftp://a, "), "{error}");

        address::publish(bank.path(), "http.addr", address).unwrap();
        told = Some(count((None, bank.path()), 30, &Credentials::default()).unwrap());
        let error = count((None, bank.path()), 10_000, &Credentials::default())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("schema: field days: found 10000, expected"),
            "{error}"
        );
    });
    let told = told.unwrap();
    assert_eq!((told.days, told.decisions, told.unscored), (1, 6, 1));
    let sum = |of: fn(&crate::journal::Cell) -> u64| told.cells.iter().map(of).sum::<u64>();
    assert_eq!((sum(|cell| cell.payments), sum(|cell| cell.frauds)), (5, 1));
    // By hand from `stream`: the fourth payment is of 1,000 and three times 900.
    assert_eq!(sum(|cell| cell.fraud_minor), 3_700);
}

#[test]
fn a_store_that_nobody_holds_is_read() {
    let bank = Bank::new();
    drop(settled(&bank));
    let told = count((None, bank.path()), 30, &Credentials::default()).unwrap();
    assert_eq!((told.days, told.decisions, told.unscored), (1, 6, 1));
    let nowhere = bank.path().join("nowhere");
    let error = count((None, nowhere.as_path()), 30, &Credentials::default()).unwrap_err();
    assert!(error.to_string().starts_with("store.folder: "), "{error}");
    assert!(!nowhere.exists());
}

fn said(precision_min: f64) -> (String, Value) {
    let cell = |day, score, payments, frauds| crate::journal::Cell {
        day,
        score,
        payments,
        frauds,
        fraud_minor: 500 * frauds,
    };
    let tally = Tally {
        days: 2,
        decisions: 61,
        broken_off: precision_min > 0.5,
        unscored: 1,
        cells: vec![
            cell(0, 810, 40, 0),
            cell(0, 850, 10, 0),
            cell(1, 850, 10, 8),
        ],
    };
    let terms = Terms {
        budget: 20,
        precision_min,
        from_days: 1,
        maturity_days: 1,
        live: 784,
    };
    let plan = Plan::compute(&tally, &terms).unwrap();
    let text = table::table(&plan, &terms, true);
    (text, serde_json::to_value(&plan).unwrap())
}

#[test]
fn the_table_marks_the_live_and_the_recommended_row() {
    let (text, plan) = said(0.12);
    let line = |score: &str| {
        let mut lines = text.lines();
        lines
            .find(|line| line.trim_start().starts_with(score))
            .unwrap()
    };
    assert!(line("784 ").ends_with("live"), "{text}");
    assert!(line("811 ").ends_with("recommended"), "{text}");
    assert!(line("811 ").contains("80.0 % (54.1 to 93.1)"), "{text}");
    assert!(line("811 ").contains("8 (100.0 %)"), "{text}");
    assert!(line("860 ").contains(" - "), "{text}");
    assert!(
        text.contains("decided without a model, and in no row: 1\n"),
        "{text}"
    );
    assert!(
        text.contains("recommended: score_bands.review = 811 (live: 784)"),
        "{text}"
    );
    assert_eq!(
        (&plan["recommended"], &plan["live"]),
        (&json!(811), &json!(784))
    );
    assert!(!text.contains("counting ended"), "{text}");
    let (text, plan) = said(0.99);
    assert!(text.contains("\ncounting ended before"), "{text}");
    assert!(
        text.contains("no threshold has at most 20 alerts"),
        "{text}"
    );
    assert_eq!(plan["recommended"], Value::Null);
}
