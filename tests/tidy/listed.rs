//! docs/metrics.md as tests read it. The agent's and the coordinator's own tests take this file by
//! its path, and hold what their process tells against it.

use std::collections::BTreeMap;

/// Every metric that a text lists, and its type.
pub(crate) fn listed(text: &str) -> BTreeMap<String, String> {
    let rows = text.lines().filter_map(|line| {
        let (name, rest) = line.strip_prefix("| `")?.split_once("` | ")?;
        let (kind, _) = rest.split_once(" |")?;
        Some((name.to_owned(), kind.to_owned()))
    });
    rows.collect()
}

/// What a process tells that the section of a text does not list with its type. A family of which
/// nothing was counted is not told.
pub(crate) fn unlisted(told: &str, text: &str, section: &str) -> Vec<String> {
    let after = text.split_once(&format!("\n## {section}\n"));
    let section = after.map_or("", |(_, rest)| rest.split("\n## ").next().unwrap_or(rest));
    let listed = listed(section);
    let types = told
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let is_listed = |(name, kind): &(&str, &str)| listed.get(*name).is_some_and(|of| of == kind);
    let unlisted = types.filter(|metric| !is_listed(metric));
    unlisted
        .map(|(name, kind)| format!("{name}, {kind}"))
        .collect()
}
