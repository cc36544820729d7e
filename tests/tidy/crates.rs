//! Who imports whom: our crates each other, and foreign crates from their addresses only.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::none;
use crate::sources::{names_crate, read, root, sources, tracked};

/// Which of our crates each may import, as ARCHITECTURE.md draws it. `tests` imports anything.
const EDGES: &[(&str, &[&str])] = &[
    (
        "client-agent",
        &["crypto", "features", "host", "model", "protocol"],
    ),
    ("coordinator", &["crypto", "host", "protocol"]),
    ("crypto", &["fused"]),
    ("features", &[]),
    ("fused", &[]),
    ("host", &["crypto", "protocol"]),
    ("model", &["features"]),
    ("ops", &["crypto", "host", "protocol"]),
    ("protocol", &["crypto"]),
    ("simulations", &["crypto", "features", "model", "protocol"]),
    ("xtask", &[]),
];

/// Where foreign crates may be named: in `ADDRESS.rs` and under `ADDRESS/`.
const ADDRESSES: &[(&str, &[&str])] = &[
    (
        "async-nats",
        &["client-agent/src/nats", "client-agent/tests/nats"],
    ),
    (
        "axum",
        &[
            "host/src/http",
            "host/src/telemetry",
            "client-agent/src/scoring",
        ],
    ),
    ("bincode", &["protocol/src/wire"]),
    ("crc32fast", &["host/src/disk"]),
    ("curve25519-dalek", &["crypto"]),
    ("hyper", &["host/src/http"]),
    ("hyper-util", &["host/src/http"]),
    ("ml-kem", &["crypto"]),
    ("quinn", &["host/src/quic"]),
    ("rcgen", &["host/src/identity"]),
    ("ring", &["crypto"]),
    ("rustix", &["host/src/workers"]),
    ("rustls", &["host/src/quic", "host/src/tls"]),
    ("sled", &["host/src/disk"]),
    ("tch", &["model"]),
    ("thread-priority", &["host/src/workers"]),
    ("tokio-rustls", &["host/src/tls"]),
    ("utoipa-axum", &["client-agent/src/scoring"]),
    ("x25519-dalek", &["crypto"]),
];

#[test]
fn crates_import_what_the_picture_shows() {
    let allowed: BTreeMap<&str, BTreeSet<String>> = EDGES
        .iter()
        .map(|(name, edges)| (*name, edges.iter().map(|e| (*e).into()).collect()))
        .collect();
    let packages = dependencies();
    let mut wrong = Vec::new();
    for (name, foreign_and_ours) in packages.iter().filter(|(name, _)| *name != "tests") {
        let ours: BTreeSet<String> = foreign_and_ours
            .iter()
            .filter(|d| packages.contains_key(*d))
            .cloned()
            .collect();
        let Some(allowed) = allowed.get(name.as_str()) else {
            wrong.push(format!(
                "{name} is not in EDGES: draw it in ARCHITECTURE.md first"
            ));
            continue;
        };
        let extra = ours.difference(allowed);
        wrong.extend(extra.map(|other| {
            format!("{name} imports {other}: move the line to the crate that may, by the key")
        }));
        let idle = allowed.difference(&ours);
        wrong.extend(idle.map(|other| {
            format!("{name} does not import {other}: take the edge out of EDGES and the picture")
        }));
    }
    none(&wrong);
}

#[test]
fn foreign_crates_are_named_at_their_address_only() {
    let mut wrong = Vec::new();
    let (packages, sources) = (dependencies(), sources());
    for (name, addresses) in ADDRESSES {
        for (package, _) in packages.iter().filter(|(_, found)| found.contains(*name)) {
            if !addresses
                .iter()
                .any(|a| a.split('/').next() == Some(package.as_str()))
            {
                wrong.push(format!(
                    "{package}/Cargo.toml asks for {name}: only {addresses:?} may"
                ));
            }
        }
        let lives_in = |path: &str, address: &&str| {
            path.strip_prefix(*address)
                .is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
        };
        for source in &sources {
            if addresses
                .iter()
                .any(|address| lives_in(&source.path, address))
            {
                continue;
            }
            let name = name.replace('-', "_");
            let lines = source.code().filter(|(_, line)| names_crate(line, &name));
            wrong.extend(lines.map(|(line, _)| {
                format!(
                    "{}:{line} names {name}: only {addresses:?} may; ask there",
                    source.path
                )
            }));
        }
    }
    none(&wrong);
}

// The workspace's lints forbid `unsafe`; a crate that does not take them up could hold some. The
// fuzz targets are a workspace of their own, whose entry points libFuzzer's macro writes.
#[test]
fn unsafe_code_has_one_crate() {
    let manifests = tracked()
        .into_iter()
        .filter(|path| path.ends_with("/Cargo.toml"));
    let lax = manifests.filter(|path| !read(path).contains("[lints]\nworkspace = true"));
    assert_eq!(
        lax.collect::<Vec<_>>(),
        ["crypto/fused/Cargo.toml", "protocol/fuzz/Cargo.toml"],
        "take up the workspace's lints; vector instructions belong into crypto/fused"
    );
}

#[test]
fn banned_crates_are_not_locked() {
    let terms: toml::Table = read("deny.toml").parse().expect("deny.toml is TOML");
    let banned = terms["bans"]["deny"]
        .as_array()
        .expect("bans.deny is a list");
    assert!(!banned.is_empty(), "deny.toml bans nothing");
    let lock = read("Cargo.lock");
    let names = banned.iter().filter_map(|ban| ban["name"].as_str());
    let found = names.filter(|name| lock.contains(&format!("name = \"{name}\"\n")));
    none(
        &found
            .map(|n| format!("{n} is locked: cargo tree --invert {n}"))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn every_benchmark_is_in_the_table() {
    let table = read("ops/xtask/src/bench.rs");
    let mut wrong = Vec::new();
    for source in sources() {
        let parts: Vec<&str> = source.path.split('/').collect();
        let [_, "benches", file] = parts[..] else {
            continue;
        };
        let target = file.trim_end_matches(".rs");
        if !table.contains(&format!("target: \"{target}\"")) {
            wrong.push(format!(
                "{}: add it to BENCHES in ops/xtask/src/bench.rs",
                source.path
            ));
        }
    }
    none(&wrong);
}

/// Every package of the workspace with the names of all it depends on, for tests too.
pub(crate) fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let answer = Command::new(cargo)
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .current_dir(root())
        .output()
        .expect("cargo runs these tests, so it can be started");
    let text = String::from_utf8_lossy(&answer.stderr);
    assert!(answer.status.success(), "cargo metadata: {text}");
    let metadata: Value = serde_json::from_slice(&answer.stdout).expect("metadata is JSON");
    let name = |value: &Value| value["name"].as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    list(&metadata["packages"])
        .iter()
        .map(|package| {
            (
                name(package),
                list(&package["dependencies"]).iter().map(name).collect(),
            )
        })
        .collect()
}
