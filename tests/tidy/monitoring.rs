//! Alert rules and dashboards against the list of metrics, docs/metrics.md, which each process's
//! own tests hold against its code; and against the runbook. promtool judges rules where it is
//! installed, as it must be where CI is set.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::listed::{differences, listed};
use crate::none;
use crate::sources::{read, root};

const LIST: &str = "docs/metrics.md";
const RULES: &str = "ops/prometheus/alerts.yml";
const RULE_TESTS: [&str; 2] = ["ops/prometheus/tests.yml", "ops/prometheus/tests-days.yml"];
const DASHBOARDS: [&str; 2] = ["ops/grafana/scoring.json", "ops/grafana/federation.json"];

#[test]
fn rules_and_dashboards_name_metrics_that_are_there() {
    let listed = listed(&read(LIST));
    let mut wrong = Vec::new();
    for path in [RULES].iter().chain(&RULE_TESTS).chain(&DASHBOARDS) {
        let text = read(path);
        let names = named(&text);
        assert!(!names.is_empty(), "{path} names no metric");
        let unknown = names.into_iter().filter(|name| !is_sample(name, &listed));
        wrong.extend(unknown.map(|name| format!("{path}: {name} is not in docs/metrics.md")));
    }
    none(&wrong);
}

#[test]
fn every_listed_metric_has_a_panel() {
    let listed = listed(&read(LIST));
    let shown = DASHBOARDS.map(read);
    let shown: BTreeSet<&str> = shown.iter().flat_map(|text| named(text)).collect();
    let is_shown = |name: &str, kind: &str| {
        let alone = BTreeMap::from([(name.to_owned(), kind.to_owned())]);
        shown.iter().any(|sample| is_sample(sample, &alone))
    };
    let bare = listed.iter().filter(|(name, kind)| !is_shown(name, kind));
    none(&bare.map(|(name, _)| name.clone()).collect::<Vec<_>>());
}

// The tests of a process hold what it tells against its own section: each row has to be in one of
// the two, or nobody looks at it.
#[test]
fn every_listed_metric_is_the_agents_or_the_coordinators() {
    let text = read(LIST);
    let untold = |section: &str| differences("", &text, section).len();
    let of_each = ["The agent", "The coordinator"].map(untold);
    assert!(of_each.iter().all(|rows| *rows > 10), "{of_each:?}");
    assert_eq!(of_each.iter().sum::<usize>(), listed(&text).len());
}

// What the tests of each process rest on, seen to fail.
#[test]
fn what_a_process_tells_is_looked_for_in_its_own_section_with_its_type_and_back() {
    let list = "# M\n\n## One\n| `a` | gauge | | x |\n| `b` | counter | | x |\n\
                | `d` | info | | x |\n\n## Two\n| `c` | gauge | | x |\n";
    let told = "# TYPE a gauge\na 1\n# TYPE b gauge\n# TYPE c gauge\n";
    let expected = [
        "not listed: b, gauge",
        "not listed: c, gauge",
        "not told: d",
    ];
    assert_eq!(differences(told, list, "One"), expected);
    assert_eq!(differences(told, list, "Three").len(), 3);
}

// What the first test rests on, seen to fail.
#[test]
fn a_sample_is_told_from_what_only_looks_like_one() {
    let listed = BTreeMap::from([
        ("phalanx_a".to_owned(), "counter".to_owned()),
        ("phalanx_b".to_owned(), "histogram".to_owned()),
        ("phalanx_c".to_owned(), "gauge".to_owned()),
        ("phalanx_i".to_owned(), "info".to_owned()),
    ]);
    let named = named(
        "rate(phalanx_a_total[5m]) + phalanx_b_bucket{le=\"1\"}, phalanx_c+phalanx, phalanx_i_info",
    );
    assert_eq!(named.len(), 4);
    assert!(named.iter().all(|name| is_sample(name, &listed)));
    for wrong in [
        "phalanx_a",
        "phalanx_b",
        "phalanx_c_total",
        "phalanx_d",
        "phalanx_b_total",
        "phalanx_i",
        "phalanx_c_info",
    ] {
        assert!(!is_sample(wrong, &listed), "{wrong}");
    }
}

#[test]
fn every_alert_says_what_it_is_and_where_the_runbook_has_it() {
    let (text, runbook) = (read(RULES), read("docs/runbook.md"));
    let headings: BTreeSet<String> = runbook
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .map(str::to_lowercase)
        .collect();
    let mut wrong = Vec::new();
    let mut alerts = BTreeSet::new();
    for rule in text.split("- alert: ").skip(1) {
        let name = rule.lines().next().unwrap_or_default().trim();
        alerts.insert(name.to_lowercase());
        for key in ["expr:", "severity:", "summary:", "description:"] {
            if !rule.contains(key) {
                wrong.push(format!("{name}: give it its {key}"));
            }
        }
        let expected = format!("runbook: docs/runbook.md#{}", name.to_lowercase());
        if !rule.contains(&expected) {
            wrong.push(format!("{name}: expected `{expected}`"));
        }
    }
    let without = alerts.difference(&headings);
    wrong.extend(without.map(|name| format!("docs/runbook.md has no heading for {name}")));
    let idle = headings.difference(&alerts);
    wrong.extend(idle.map(|name| format!("docs/runbook.md: no alert is called {name}")));
    none(&wrong);
}

#[test]
fn dashboards_are_whole() {
    let mut uids = BTreeSet::new();
    for path in DASHBOARDS {
        let dashboard: Value = serde_json::from_str(&read(path)).expect("a dashboard is JSON");
        let uid = dashboard["uid"].as_str().expect("a dashboard has a uid");
        assert!(
            uids.insert(uid.to_owned()),
            "{path}: {uid} is another's uid"
        );
        assert!(dashboard["title"].is_string() && dashboard["schemaVersion"].is_u64());
        let panels = dashboard["panels"].as_array().expect("panels are a list");
        let ids: BTreeSet<u64> = panels.iter().filter_map(|of| of["id"].as_u64()).collect();
        assert!(ids.len() > 5 && ids.len() == panels.len(), "{path}: ids");
        for panel in panels {
            let title = panel["title"].as_str().expect("a panel has a title");
            let targets = panel["targets"].as_array().expect("a panel asks something");
            assert!(!targets.is_empty(), "{path}: {title}");
            assert!(
                targets.iter().all(|of| of["expr"].is_string()),
                "{path}: {title}"
            );
        }
    }
}

#[test]
fn promtool_takes_the_rules_and_their_tests() {
    if Command::new("promtool").arg("--version").output().is_err() {
        let cure = "promtool is not installed: apt-get install prometheus";
        assert!(std::env::var_os("CI").is_none(), "{cure}");
        eprintln!("skipped: {cure}");
        return;
    }
    let mut tried = vec![["check", RULES]];
    tried.extend(RULE_TESTS.map(|path| ["test", path]));
    for [what, path] in tried {
        let answer = Command::new("promtool")
            .args([what, "rules", path])
            .current_dir(root())
            .output()
            .expect("it said its version");
        let (said, erred) = (answer.stdout, answer.stderr);
        let said = String::from_utf8_lossy(&said) + String::from_utf8_lossy(&erred);
        assert!(answer.status.success(), "{path}:\n{said}");
    }
}

/// Every name of ours in a text.
fn named(text: &str) -> BTreeSet<&str> {
    let is_of_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let words = text.split(|letter| !is_of_name(letter));
    words.filter(|word| word.starts_with("phalanx_")).collect()
}

/// Whether a name is that of a sample of a listed metric.
fn is_sample(name: &str, listed: &BTreeMap<String, String>) -> bool {
    let is = |name: &str, kind: &str| listed.get(name).is_some_and(|of| of == kind);
    let ends = |end: &str, kind: &str| name.strip_suffix(end).is_some_and(|name| is(name, kind));
    is(name, "gauge")
        || ends("_total", "counter")
        || ends("_info", "info")
        || ["_bucket", "_sum", "_count"]
            .iter()
            .any(|end| ends(end, "histogram"))
}
