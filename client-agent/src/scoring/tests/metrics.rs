//! The agent's metrics against their list, docs/metrics.md, both ways.

use std::collections::BTreeSet;

use super::*;
use crate::status::Board;

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
    let text = bank.telemetry.render();
    let registered: BTreeSet<(&str, &str)> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .collect();
    let list = include_str!("../../../../docs/metrics.md");
    let section = list.split("\n## The agent\n").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let listed: BTreeSet<(&str, &str)> = section
        .lines()
        .filter_map(|line| {
            let (name, rest) = line.strip_prefix("| `")?.split_once("` | ")?;
            Some((name, rest.split_once(" |")?.0))
        })
        .collect();
    // A family of which nothing was counted is not told; tests/tidy looks for its name.
    let unlisted: Vec<_> = registered.difference(&listed).collect();
    assert!(
        unlisted.is_empty(),
        "missing in docs/metrics.md: {unlisted:?}"
    );
    assert!(!registered.is_empty());
    drop((scoring, agent, watch, nats, snapshots, router));
}
