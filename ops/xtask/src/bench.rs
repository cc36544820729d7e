//! `cargo xtask bench`: the table of benchmarks, each a bench target of the crate it measures.
//!
//! `tests/tidy.rs` compares the table with the folders. What runs in turn with the same work of
//! another tool is in the folder beside.

mod pytorch;

use std::path::Path;

use crate::setup;
use crate::workshop::{Failure, Workshop};

/// One benchmark.
pub(crate) struct Bench {
    pub(crate) name: &'static str,
    pub(crate) package: &'static str,
    pub(crate) target: &'static str,
    pub(crate) measures: &'static str,
    pub(crate) beside: Beside,
}

/// Who does the same work in turn, where a benchmark is asked for by its name.
pub(crate) enum Beside {
    Nobody,
    PyTorch,
}

/// Every benchmark of the project.
pub(crate) const BENCHES: &[Bench] = &[
    Bench {
        name: "secagg",
        package: "tests",
        target: "secagg",
        measures: "the secure sum: masks, whole rounds over loopback QUIC, bytes, memory",
        beside: Beside::Nobody,
    },
    Bench {
        name: "primitives",
        package: "crypto",
        target: "cost",
        measures: "masks, shares, seals, agreements and signatures",
        beside: Beside::Nobody,
    },
    Bench {
        name: "score",
        package: "client-agent",
        target: "score",
        measures: "one live decision: in process, over HTTP under load, and beside training",
        beside: Beside::Nobody,
    },
    Bench {
        name: "recover",
        package: "client-agent",
        target: "recover",
        measures: "an agent's restart, from its whole journal and from a snapshot",
        beside: Beside::Nobody,
    },
    Bench {
        name: "round",
        package: "client-agent",
        target: "round",
        measures: "a bank's round: loading, encoding and training, processor time and memory",
        beside: Beside::Nobody,
    },
    Bench {
        name: "features",
        package: "features",
        target: "encode",
        measures: "one payment to its feature vector",
        beside: Beside::Nobody,
    },
    Bench {
        name: "pretrain",
        package: "model",
        target: "pretrain",
        measures: "rows pretrained on a second; by its name, in turn with Python PyTorch",
        beside: Beside::PyTorch,
    },
];

/// Runs the named benchmark, or all of them; `--json`, `--quick` and `--payments N` are handed on.
pub(crate) fn run(root: &Path, words: &[String]) -> Result<(), Failure> {
    let (options, names) = sorted(words)?;
    let known: Vec<&str> = BENCHES.iter().map(|bench| bench.name).collect();
    if let Some(name) = names.iter().find(|name| !known.contains(&name.as_str())) {
        let known = known.join(", ");
        return Err(Failure::Said(format!(
            "found the benchmark {name}, expected one of: {known}"
        )));
    }
    let workshop = setup::run(root)?;
    for bench in BENCHES {
        let is_named = names.iter().any(|name| *name == bench.name);
        if !names.is_empty() && !is_named {
            continue;
        }
        match bench.beside {
            Beside::PyTorch if is_named => pytorch::run(root, &workshop, bench, &options)?,
            Beside::PyTorch | Beside::Nobody => bench.run(&workshop, &options)?,
        }
    }
    Ok(())
}

/// The options with their values, and the other words.
fn sorted(words: &[String]) -> Result<(Vec<&String>, Vec<&String>), Failure> {
    let (mut options, mut names) = (Vec::new(), Vec::new());
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--json" | "--quick" => options.push(word),
            "--payments" => {
                let count = words.next().filter(|count| count.parse::<u64>().is_ok());
                let count = count.ok_or_else(|| {
                    Failure::Said("found no number after --payments, expected one".to_owned())
                })?;
                options.extend([word, count]);
            }
            option if option.starts_with("--") => {
                return Err(Failure::Said(format!(
                    "found the option {option}, expected --json, --quick or --payments N"
                )));
            }
            _ => names.push(word),
        }
    }
    Ok((options, names))
}

impl Bench {
    /// Runs it alone; `options` are handed on.
    fn run(&self, workshop: &Workshop, options: &[&String]) -> Result<(), Failure> {
        let mut cargo = workshop.cargo();
        cargo.args([
            "bench",
            "--locked",
            "--package",
            self.package,
            "--bench",
            self.target,
        ]);
        let status = cargo
            .arg("--")
            .args(options)
            .status()
            .map_err(|error| Failure::Said(format!("could not start cargo: {error}")))?;
        if !status.success() {
            return Err(Failure::Said(format!("the benchmark {} failed", self.name)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_payments_is_no_name() {
        let of = |text: &str| -> Vec<String> { text.split(' ').map(str::to_owned).collect() };
        let words = of("round --payments 1000 --json");
        let Ok((options, names)) = sorted(&words) else {
            panic!("these are options and a name")
        };
        assert_eq!(options, ["--payments", "1000", "--json"]);
        assert_eq!(names, ["round"]);
        for refused in [
            "--payments",
            "--payments many",
            "round --payments --json",
            "--fast",
        ] {
            assert!(sorted(&of(refused)).is_err(), "{refused}");
        }
    }
}
