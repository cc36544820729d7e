//! The protocol's specification, wire types and limits, against each other.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use crate::none;
use crate::sources::{Source, read, says, sources};

#[test]
fn wire_types_have_no_attribute_that_bends_positions() {
    let bends = ["default", "flatten", "untagged", "skip"];
    let mut wrong = Vec::new();
    for source in wire_sources() {
        for (at, line) in source.code() {
            let attribute = line.split_once("serde(").map_or("", |(_, rest)| rest);
            if bends.iter().any(|bend| attribute.contains(bend)) {
                wrong.push(format!(
                    "{}:{at}: the format is positional; take it out",
                    source.path
                ));
            }
        }
    }
    none(&wrong);
}

#[test]
fn specification_changes_with_the_wire_types() {
    let mut hash = Sha256::new();
    wire_sources()
        .iter()
        .for_each(|source| hash.update(source.text.as_bytes()));
    let hex: String = hash
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let expected = format!("wire-types-sha256: {hex}");
    assert!(
        read("protocol/PROTOCOL.md").contains(&expected),
        "message, plan or record types changed: say what in protocol/PROTOCOL.md and CHANGELOG.md, \
         look at the golden bytes and the version, then write there the line\n{expected}"
    );
}

#[test]
fn cited_sections_of_the_specification_exist() {
    let text = read("protocol/PROTOCOL.md");
    let headings: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix('#'))
        .filter_map(|line| {
            line.trim_start_matches(['#', ' ', '§'])
                .split_whitespace()
                .next()
        })
        .map(|number| number.trim_end_matches(['.', ':', ')']))
        .collect();
    let mut wrong = Vec::new();
    for source in sources() {
        for (at, line) in source.text.lines().enumerate() {
            let missing = cited(line)
                .into_iter()
                .filter(|section| !headings.contains(section));
            wrong.extend(missing.map(|section| {
                format!(
                    "{}:{}: PROTOCOL.md has no section {section}",
                    source.path,
                    at + 1
                )
            }));
        }
    }
    none(&wrong);
}

#[test]
fn every_limit_is_used() {
    let limits = read("protocol/src/limits.rs");
    let users = ["protocol/", "host/", "coordinator/", "client-agent/"];
    let sources = sources();
    let named = |name: &str| {
        let places = sources
            .iter()
            .filter(|s| users.iter().any(|user| s.path.starts_with(user)));
        let mut others = places.filter(|source| source.path != "protocol/src/limits.rs");
        others.any(|source| source.code().any(|(_, line)| says(line, name)))
    };
    let constants = limits
        .lines()
        .filter_map(|line| line.strip_prefix("pub const "));
    let names = constants.filter_map(|rest| rest.split(':').next());
    let idle = names.filter(|name| !named(name));
    none(
        &idle
            .map(|name| format!("limits::{name} bounds nothing: use or delete"))
            .collect::<Vec<_>>(),
    );
}

/// The files whose types go over the wire or to the disk, without their tests, by path.
fn wire_sources() -> Vec<Source> {
    let rooms = ["message", "plan", "record"].map(|name| format!("protocol/src/{name}"));
    let mut found = sources();
    found.retain(|source| {
        !source.path.ends_with("/tests.rs")
            && rooms
                .iter()
                .filter_map(|room| source.path.strip_prefix(room.as_str()))
                .any(|rest| rest == ".rs" || rest.starts_with('/'))
    });
    found
}

/// The sections that a line cites in the manner of `PROTOCOL.md §n, §n and §n to §n`.
fn cited(line: &str) -> Vec<&str> {
    let mut sections = Vec::new();
    for place in line.split("PROTOCOL.md ").skip(1) {
        let mut rest = place;
        while let Some(after) = rest.strip_prefix('§') {
            let end = after
                .find(|c: char| !c.is_ascii_digit() && c != '.')
                .unwrap_or(after.len());
            sections.push(after[..end].trim_end_matches('.'));
            let next = &after[end..];
            let joints = [" to ", " and ", " or ", ", "];
            rest = joints
                .iter()
                .find_map(|joint| next.strip_prefix(joint))
                .unwrap_or_default();
        }
    }
    sections.retain(|section| !section.is_empty());
    sections
}
