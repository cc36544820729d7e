//! The agent's metrics against their list, docs/metrics.md, both ways.

use super::*;
use crate::status::Board;

#[path = "../../../../tests/tidy/listed.rs"]
mod listed;

#[test]
fn every_metric_is_listed_with_its_type() {
    let bank = Bank::new();
    let scoring = bank.start();
    let schema = FeatureSchema::standard();
    let agent = crate::telemetry::Meters::new(&bank.telemetry, Board::default(), schema);
    let watch = crate::watch::Meters::new(&bank.telemetry);
    // What has no part in every agent.
    let nats = crate::nats::Meters::new(&bank.telemetry);
    let snapshots = crate::snapshot::Meters::new(&bank.telemetry);
    let path = bank.folder.path().join("tokens");
    std::fs::write(&path, "t".repeat(32)).unwrap();
    let router = Tokens::read(&path).unwrap();
    let router = router.guard(Router::new(), &bank.telemetry);
    let (told, list) = (
        bank.telemetry.render(),
        include_str!("../../../../docs/metrics.md"),
    );
    assert!(told.contains("# TYPE phalanx_score_"), "{told}");
    let unlisted = listed::unlisted(&told, list, "The agent");
    assert!(unlisted.is_empty(), "not in docs/metrics.md: {unlisted:?}");
    drop((scoring, agent, watch, nats, snapshots, router));
}
