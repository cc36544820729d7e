//! The agent's metrics against their list, docs/metrics.md, both ways.

use protocol::event::ClientEvent;
use protocol::id::{Attempt, RoundId};
use protocol::message::Cause;
use protocol::plan::Kind;

use super::*;
use crate::config::Promote;
use crate::status::Board;
use crate::training::Promotion;

#[path = "../../../../tests/tidy/listed.rs"]
mod listed;

// A family of which nothing was counted has no line, so something of each is counted first.
#[test]
fn what_is_told_and_what_is_listed_are_the_same() {
    let bank = Bank::new();
    let scoring = bank.start();
    score_all_ways(&scoring);
    let schema = FeatureSchema::standard();
    let agent = crate::telemetry::Meters::new(&bank.telemetry, Board::default(), schema);
    for event in [
        ClientEvent::Joined(RoundId(1), Attempt(0), Kind::Risk),
        ClientEvent::Abandoned(RoundId(1), Attempt(0), Cause::Operator),
        ClientEvent::AuditPassed(RoundId(2), 1),
    ] {
        agent.report(&event);
    }
    crate::watch::Meters::new(&bank.telemetry).touch();
    // What has no part in every agent.
    crate::nats::Meters::new(&bank.telemetry).touch();
    let snapshots = crate::snapshot::Meters::new(&bank.telemetry);
    let kept = crate::journal::Kept::new(&bank.telemetry);
    Promotion::new(Promote::Always, 899, bank.path(), &bank.telemetry).touch();
    let path = bank.path().join("tokens");
    write_private(&path, &"t".repeat(32));
    let router = Tokens::read(&path).unwrap();
    let router = router.guard(Router::new(), &bank.telemetry);
    // The alert queue counts behind the worker.
    let patience = Instant::now() + Duration::from_secs(60);
    let told = loop {
        let told = bank.telemetry.render();
        if told.contains("phalanx_alerts{") {
            break told;
        }
        assert!(Instant::now() < patience, "the alert queue counts nothing");
        std::thread::yield_now();
    };
    let list = include_str!("../../../../docs/metrics.md");
    let differences = listed::differences(&told, list, "The agent");
    assert!(differences.is_empty(), "docs/metrics.md: {differences:#?}");
    drop((scoring, snapshots, kept, router));
}

/// A decision, one that is degraded, and a refusal.
fn score_all_ways(scoring: &Scoring) {
    scoring.score(&stream(0)).unwrap();
    let late = payment("late", "c0", START_MS - HOUR_MS, 700);
    let answer = scoring.score(&body(&late)).unwrap();
    assert_eq!(answer.degraded, [Degraded::Late]);
    scoring.score(b"{").unwrap_err();
}
