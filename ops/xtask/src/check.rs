//! `cargo xtask test` and `cargo xtask lint`: the steps that a change must pass, in order.
//!
//! Cheap steps first; the first failure ends the run. One set of features serves all steps, so
//! that every dependency is compiled once: the thousand simulated federations are therefore tests
//! of `simulations`, not a program of their own. `.ci/run` runs `test`, so what passes here passes
//! there.

use std::env;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::setup;
use crate::workshop::{Failure, Workshop};

/// Everything that must hold before a change is merged.
pub(crate) fn test(root: &Path) -> Result<(), Failure> {
    let workshop = setup::run(root)?;
    let tests = if workshop.has("nextest") {
        NEXTEST
    } else {
        PLAIN_TESTS
    };
    run(&workshop, &[FORMAT, CLIPPY, tests, DOCTESTS, DOCUMENTS])
}

/// The quick part of it.
pub(crate) fn lint(root: &Path) -> Result<(), Failure> {
    run(&setup::run(root)?, &[FORMAT, CLIPPY, TIDY])
}

/// One cargo command that must succeed.
struct Step {
    name: &'static str,
    arguments: &'static [&'static str],
    variable: Option<(&'static str, &'static str)>,
    /// The rustup component it needs, where that is not always installed.
    component: Option<&'static str>,
}

enum Outcome {
    Passed(Duration),
    Failed(Duration),
    Skipped,
}

fn run(workshop: &Workshop, steps: &[Step]) -> Result<(), Failure> {
    let mut table = String::new();
    let mut failed = None;
    for step in steps {
        eprintln!("\n{}: {}", step.name, step.alone());
        let outcome = step.take(workshop)?;
        let entry = match outcome {
            Outcome::Passed(took) => format!("{:7.1} s", took.as_secs_f64()),
            Outcome::Failed(took) => format!("{:7.1} s  failed", took.as_secs_f64()),
            Outcome::Skipped => "skipped: its tool is not installed".to_owned(),
        };
        eprintln!("{}: {}", step.name, entry.trim_start());
        table.push_str(&format!("  {:<12}{entry}\n", step.name));
        if matches!(outcome, Outcome::Failed(_)) {
            failed = Some(step);
            break;
        }
    }
    eprint!("\n{table}");
    match failed {
        None => Ok(()),
        Some(step) => Err(Failure::Said(format!(
            "{} failed. To run it alone:\n  {}",
            step.name,
            step.alone()
        ))),
    }
}

impl Step {
    fn take(&self, workshop: &Workshop) -> Result<Outcome, Failure> {
        if let Some(component) = self.component
            && !workshop.has(self.arguments[0])
        {
            let cure = format!("{component} is not installed: rustup component add {component}");
            if env::var_os("CI").is_some() {
                return Err(Failure::Said(cure));
            }
            eprintln!("{cure}");
            return Ok(Outcome::Skipped);
        }
        let begun = Instant::now();
        let status = workshop
            .cargo()
            .args(self.arguments)
            .envs(self.variable)
            .status()
            .map_err(|error| Failure::Said(format!("could not start cargo: {error}")))?;
        let took = begun.elapsed();
        Ok(if status.success() {
            Outcome::Passed(took)
        } else {
            Outcome::Failed(took)
        })
    }

    /// The step as one types it in a shell.
    fn alone(&self) -> String {
        let mut line = String::new();
        if let Some((name, value)) = self.variable {
            line.push_str(&format!("{name}=\"{value}\" "));
        }
        line.push_str("cargo ");
        line.push_str(&self.arguments.join(" "));
        line
    }
}

const FORMAT: Step = Step {
    name: "format",
    arguments: &["fmt", "--all", "--check"],
    variable: None,
    component: Some("rustfmt"),
};
const CLIPPY: Step = Step {
    name: "clippy",
    arguments: &[
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "-D",
        "warnings",
    ],
    variable: None,
    component: Some("clippy"),
};
const NEXTEST: Step = Step {
    name: "tests",
    arguments: &["nextest", "run", "--workspace", "--locked"],
    variable: None,
    component: None,
};
/// The same tests where nextest is not installed.
const PLAIN_TESTS: Step = Step {
    name: "tests",
    arguments: &[
        "test",
        "--workspace",
        "--locked",
        "--lib",
        "--bins",
        "--tests",
    ],
    variable: None,
    component: None,
};
const TIDY: Step = Step {
    name: "tidy",
    arguments: &["test", "--package", "tests", "--test", "tidy", "--locked"],
    variable: None,
    component: None,
};
const DOCTESTS: Step = Step {
    name: "doctests",
    arguments: &["test", "--doc", "--workspace", "--locked"],
    variable: None,
    component: None,
};
const DOCUMENTS: Step = Step {
    name: "documents",
    arguments: &["doc", "--workspace", "--no-deps", "--locked"],
    variable: Some(("RUSTDOCFLAGS", "-D warnings")),
    component: None,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn step_can_be_typed_as_it_is_told() {
        assert_eq!(
            DOCUMENTS.alone(),
            "RUSTDOCFLAGS=\"-D warnings\" cargo doc --workspace --no-deps --locked"
        );
        assert_eq!(FORMAT.alone(), "cargo fmt --all --check");
    }
}
