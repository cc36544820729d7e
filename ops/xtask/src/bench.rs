//! `cargo xtask bench`: the table of benchmarks, each a bench target of the crate it measures.
//!
//! `tests/tidy.rs` compares the table with the folders.

use std::path::Path;

use crate::setup;
use crate::workshop::Failure;

/// One benchmark.
pub(crate) struct Bench {
    pub(crate) name: &'static str,
    pub(crate) package: &'static str,
    pub(crate) target: &'static str,
    pub(crate) measures: &'static str,
}

/// Every benchmark of the project.
pub(crate) const BENCHES: &[Bench] = &[
    Bench {
        name: "secagg",
        package: "tests",
        target: "secagg",
        measures: "the secure sum: masks, whole rounds over loopback QUIC, bytes, memory",
    },
    Bench {
        name: "primitives",
        package: "crypto",
        target: "cost",
        measures: "masks, shares, seals, agreements and signatures",
    },
    Bench {
        name: "score",
        package: "client-agent",
        target: "score",
        measures: "one live decision, with and without reasons and journal",
    },
    Bench {
        name: "features",
        package: "features",
        target: "encode",
        measures: "one payment to its feature vector",
    },
];

/// Runs the named benchmark, or all of them; `--json` is handed on to it.
pub(crate) fn run(root: &Path, words: &[String]) -> Result<(), Failure> {
    let (options, names): (Vec<&String>, Vec<&String>) =
        words.iter().partition(|word| word.starts_with("--"));
    if let Some(option) = options.iter().find(|option| option.as_str() != "--json") {
        return Err(Failure::Said(format!(
            "found the option {option}, expected --json"
        )));
    }
    let known: Vec<&str> = BENCHES.iter().map(|bench| bench.name).collect();
    if let Some(name) = names.iter().find(|name| !known.contains(&name.as_str())) {
        let known = known.join(", ");
        return Err(Failure::Said(format!(
            "found the benchmark {name}, expected one of: {known}"
        )));
    }
    let workshop = setup::run(root)?;
    for bench in BENCHES {
        if !names.is_empty() && !names.iter().any(|name| *name == bench.name) {
            continue;
        }
        let mut cargo = workshop.cargo();
        cargo.args([
            "bench",
            "--locked",
            "--package",
            bench.package,
            "--bench",
            bench.target,
        ]);
        let status = cargo
            .arg("--")
            .args(&options)
            .status()
            .map_err(|error| Failure::Said(format!("could not start cargo: {error}")))?;
        if !status.success() {
            return Err(Failure::Said(format!(
                "the benchmark {} failed",
                bench.name
            )));
        }
    }
    Ok(())
}
