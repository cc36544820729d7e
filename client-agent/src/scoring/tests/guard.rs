//! Declines that are too many: held back, told, and remembered over a restart; and what does not
//! count among them.

use std::sync::atomic::Ordering;

use protocol::time::Time;

use super::socket::{door, fetch, with_server};
use super::*;
use crate::journal::Entry;
use crate::scoring::guard::Guard;

/// Every scored payment is a decline; above one in two of five or more they are held back.
fn strict() -> Settings {
    let breaker = "[breaker]\nmax_decline_rate = 0.5\nwindow_minutes = 120\nmin_decisions = 5\n\
        then = \"review\"\n[fallback]";
    Settings {
        policy: policy(&[
            ("elevated = 772", "elevated = 1"),
            ("review = 899", "review = 1"),
            ("decline = 999", "decline = 1"),
            ("[fallback]", breaker),
        ]),
        ..settings()
    }
}

fn ask(scoring: &Scoring, number: u32) -> Answer {
    scoring.score(&stream(number)).unwrap()
}

/// Four payments without a model, then five declines: the fifth is one too many.
fn flooded(bank: &Bank) -> Scoring {
    flooded_at(bank, Clock::start())
}

fn flooded_at(bank: &Bank, clock: Clock) -> Scoring {
    let scoring = bank.start_at(clock, strict());
    (0..4).for_each(|number| drop(ask(&scoring, number)));
    scoring.install(bundle(Slot::Live, 1)).unwrap();
    for number in 4..8 {
        let answer = ask(&scoring, number);
        assert_eq!(answer.decision, Decision::Decline, "{number}");
        assert_eq!(answer.decision_rule, "policy:score_bands.decline>=1");
        assert!(answer.degraded.is_empty());
    }
    is_held_back(&ask(&scoring, 8));
    scoring
}

fn is_held_back(answer: &Answer) {
    assert_eq!(answer.decision, Decision::Review);
    assert_eq!(answer.band, Some(Band::Critical));
    assert_eq!(answer.decision_rule, "policy:breaker.then=review");
    assert_eq!(answer.degraded, [Degraded::Breaker]);
}

/// What health says of the breaker.
fn health(bank: &Bank, scoring: Scoring) -> (bool, String) {
    let router = agent_router(&bank.telemetry, &door(scoring), || json!({}), || true);
    let mut said = None;
    with_server(router, |address| {
        let health = fetch(address, "/healthz?verbose").1;
        // Payments are judged all the same.
        assert_eq!(health["ok"], true);
        let mut checks = health["checks"].as_array().unwrap().iter();
        let check = checks.find(|check| check["name"] == "breaker").unwrap();
        let why = check["why"].as_str().unwrap().to_owned();
        said = Some((check["ok"] == true, why));
    });
    said.unwrap()
}

#[test]
fn a_flood_of_declines_is_held_back_and_told() {
    let bank = Bank::new();
    let scoring = flooded(&bank);
    let text = bank.telemetry.render();
    for line in [
        "phalanx_breaker_open 1",
        "phalanx_decline_rate 0.5555555555555556",
        "phalanx_decisions_total{decision=\"review\"} 5",
        "phalanx_decisions_total{decision=\"decline\"} 4",
        "phalanx_policy_info{version=\"test.1\",sha256=\"",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    let (is_well, why) = health(&bank, scoring);
    let found = "5 of 9 decisions of the last 120 minutes are declines, and become review";
    assert_eq!((is_well, why.as_str()), (false, found));
}

#[test]
fn questions_and_retries_count_nowhere() {
    let bank = Bank::new();
    let scoring = flooded(&bank);
    let mut question: Value = serde_json::from_slice(&stream(50)).unwrap();
    question["purpose"] = json!("whatif");
    let question = serde_json::to_vec(&question).unwrap();
    for _ in 0..20 {
        is_held_back(&scoring.score(&question).unwrap());
        assert!(ask(&scoring, 1).replayed);
        let again = ask(&scoring, 4);
        assert_eq!((again.replayed, again.decision), (true, Decision::Decline));
    }
    assert!(health(&bank, scoring).1.starts_with("5 of 9 decisions"));
}

#[test]
fn a_payment_that_was_not_journaled_counts_nowhere() {
    let bank = Bank::new();
    let journal = open(bank.folder.path());
    let faults = journal.faults();
    let scoring = Scoring::start(strict(), history(), journal, &bank.telemetry).unwrap();
    (0..4).for_each(|number| drop(ask(&scoring, number)));
    scoring.install(bundle(Slot::Live, 1)).unwrap();
    faults.appends.store(9, Ordering::SeqCst);
    for _ in 0..9 {
        assert!(scoring.score(&stream(4)).is_err());
    }
    assert_eq!(ask(&scoring, 4).decision, Decision::Decline);
    let (is_well, why) = health(&bank, scoring);
    assert!(is_well && why.starts_with("1 of 5 decisions"), "{why}");
}

// The second was decided while the clock was a year behind.
#[test]
fn a_clock_that_was_set_back_hides_no_decision() {
    const NOW_MS: u64 = 1_772_400_000_000;
    let bank = Bank::new();
    let mut journal = open(bank.folder.path());
    for (nth, ago_ms) in [60_000, 31_536_000_000, 30_000].into_iter().enumerate() {
        let answer = json!({"scored_at": NOW_MS - ago_ms, "decision": "decline"});
        let entry = Entry {
            txn_id: format!("t{nth}"),
            digest: [0; 32],
            transaction: "{}".to_owned(),
            answer: answer.to_string(),
            vector: Vec::new(),
        };
        journal.append(&entry).unwrap();
    }
    let guard = Guard::start(NOW_MS, &strict().policy, &journal, &bank.telemetry).unwrap();
    let said = guard.account(NOW_MS).unwrap();
    assert!(said.starts_with("2 of 2 decisions"), "{said}");
}

// Whether the clock was ahead before, by less or more than is looked back, or is now: nothing of
// the other time is in the window, nothing is held back for it, and the next flood is.
#[test]
fn a_clock_that_was_stepped_begins_the_window_anew() {
    const HOUR_MS: u64 = 3_600_000;
    let now = Clock::start().now().0;
    let later = |hours: u64| now + hours * HOUR_MS;
    for (before, after) in [(later(1), now), (later(5), now), (now, later(5))] {
        let bank = Bank::new();
        drop(flooded_at(&bank, Clock::starting_at(Time(before))));
        let scoring = bank.start_at(Clock::starting_at(Time(after)), strict());
        scoring.install(bundle(Slot::Live, 1)).unwrap();
        for number in 10..14 {
            let answer = ask(&scoring, number);
            assert_eq!(answer.decision, Decision::Decline, "{number}");
        }
        is_held_back(&ask(&scoring, 14));
        let (is_well, why) = health(&bank, scoring);
        assert!(!is_well && why.starts_with("5 of 5 decisions"), "{why}");
    }
}

#[test]
fn a_restart_restores_the_window_and_what_was_held_back() {
    let bank = Bank::new();
    drop(flooded(&bank));
    let scoring = bank.start_with(strict());
    // Without a model for a while: 5 of 15, above half the limit, and still open.
    (10..16).for_each(|number| drop(ask(&scoring, number)));
    scoring.install(bundle(Slot::Live, 1)).unwrap();
    is_held_back(&ask(&scoring, 16));
    drop(scoring);
    let scoring = bank.start_with(strict());
    let (is_well, why) = health(&bank, scoring);
    assert!(!is_well && why.starts_with("6 of 16 decisions"), "{why}");
}

#[test]
fn a_policy_without_a_breaker_holds_nothing_back() {
    let bank = Bank::new();
    drop(flooded(&bank));
    let everything = [
        ("elevated = 772", "elevated = 1"),
        ("review = 899", "review = 1"),
        ("decline = 999", "decline = 1"),
    ];
    let scoring = bank.start_with(Settings {
        policy: policy(&everything),
        ..settings()
    });
    scoring.install(bundle(Slot::Live, 1)).unwrap();
    assert_eq!(ask(&scoring, 9).decision, Decision::Decline);
    let said = health(&bank, scoring);
    assert_eq!(said, (true, "the policy has none".to_owned()));
}
