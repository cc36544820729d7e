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

/// Where what a process tells and what the section of a text lists differ: told and not listed
/// with this type, or listed and not told. A family of which nothing was counted is not told, so
/// whoever asks counts something of each.
pub(crate) fn differences(told: &str, text: &str, section: &str) -> Vec<String> {
    let after = text.split_once(&format!("\n## {section}\n"));
    let section = after.map_or("", |(_, rest)| rest.split("\n## ").next().unwrap_or(rest));
    let listed = listed(section);
    let types = told
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let told: BTreeMap<&str, &str> = types.collect();
    let unlisted = told
        .iter()
        .filter(|(name, kind)| listed.get(**name).is_none_or(|of| of != *kind));
    let unlisted = unlisted.map(|(name, kind)| format!("not listed: {name}, {kind}"));
    let untold = listed
        .keys()
        .filter(|name| !told.contains_key(name.as_str()));
    unlisted
        .chain(untold.map(|name| format!("not told: {name}")))
        .collect()
}
