//! The `results` subcommand: runs the experiments behind `docs/results.md`, and writes their
//! objects and the page made of them. An experiment is a line of `phalanx-sim learn`; what is
//! hoped of it is a bar. The page holds nothing that the objects do not: a test makes it anew and
//! compares.
//!
//! Reading order: `experiments` (what is run), `bars` (what is hoped for), `page`.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args as ClapArgs, Parser};
use features::FeatureSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{generate, learn};

mod bars;
mod experiments;
mod page;

use experiments::{EXPERIMENTS, Experiment, Made};

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// Arguments of `phalanx-sim results`.
#[derive(ClapArgs)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// The experiments to run, by name; all without it. `none` only writes the page
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Folder of the public data sets
    #[arg(long, default_value = "../shared/data", value_name = "DIR")]
    data: PathBuf,
    /// Folder for made-up data and finished work: a run begun again goes on there
    #[arg(long, default_value = "target/results", value_name = "DIR")]
    work: PathBuf,
    /// Folder of results.json and results.md; experiments that are not run keep what is there
    #[arg(long, default_value = "docs", value_name = "DIR")]
    out: PathBuf,
    /// List the experiments
    #[arg(long)]
    list: bool,
}

const EXAMPLE: &str = "\
Example, one experiment anew, from the project's root:
  phalanx-sim results handbook-iid-10";

/// What came of the experiments that were run, by name.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Results(BTreeMap<String, Finding>);

/// What came of one.
#[derive(Debug, Serialize, Deserialize)]
struct Finding {
    /// The words after `phalanx-sim learn`, as they were run.
    words: String,
    /// The version of this software.
    version: String,
    /// What `phalanx-sim learn --json` says.
    object: Value,
}

/// Runs the experiments.
pub fn run(args: &Args) -> ExitCode {
    let mut out = std::io::stdout().lock();
    match results(args, &mut out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to do where even this cannot be said.
            let _ = writeln!(std::io::stderr(), "phalanx-sim results: {error}");
            ExitCode::FAILURE
        }
    }
}

fn results(args: &Args, out: &mut impl Write) -> Result<(), Failed> {
    if args.list {
        for experiment in EXPERIMENTS {
            writeln!(out, "{:<24} {}", experiment.name, experiment.title)?;
        }
        return Ok(());
    }
    let (json, page) = (args.out.join("results.json"), args.out.join("results.md"));
    let mut results = Results::read(&json)?;
    for experiment in wanted(&args.names)? {
        writeln!(std::io::stderr(), "{}", experiment.title)?;
        let finding = experiment.run(&args.data, &args.work)?;
        results.0.insert(experiment.name.to_owned(), finding);
        // After each: the next may take an hour.
        results.write(&json, &page)?;
    }
    results.write(&json, &page)?;
    writeln!(out, "{}", page::bars(&results))?;
    writeln!(out, "{} and {} are written", json.display(), page.display())?;
    Ok(())
}

fn wanted(names: &[String]) -> Result<Vec<&'static Experiment>, Failed> {
    if names.is_empty() {
        return Ok(EXPERIMENTS.iter().collect());
    }
    if names == ["none"] {
        return Ok(Vec::new());
    }
    let find = |name: &String| {
        let found = EXPERIMENTS.iter().find(|known| known.name == name);
        found.ok_or_else(|| format!("found the experiment {name:?}, expected one of --list").into())
    };
    names.iter().map(find).collect()
}

impl Experiment {
    /// Trains and judges, from the project's root.
    fn run(&self, data: &Path, work: &Path) -> Result<Finding, Failed> {
        match self.made {
            Some(Made::Typologies(seed)) => typologies(seed, work)?,
            Some(Made::Untrended) => untrended(work)?,
            None => {}
        }
        let folder = work.join(self.name);
        let place = |words: &str| {
            let words = words.replace("{data}", &data.to_string_lossy());
            words.replace("{work}", &work.to_string_lossy())
        };
        let mut words: Vec<String> = place(self.words)
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        words.extend(["--out".to_owned(), folder.to_string_lossy().into_owned()]);
        let learn = Learn::try_parse_from(std::iter::once("learn".to_owned()).chain(words))?;
        Ok(Finding {
            words: self.words.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            object: learn::object(&learn.args)?,
        })
    }
}

/// Makes up the single payments of one seed, unless they are there.
fn typologies(seed: u64, work: &Path) -> Result<(), Failed> {
    let folder = work.join(format!("typology-data-{seed}"));
    if folder.join("transactions.parquet").exists() {
        return Ok(());
    }
    let half = folder.with_extension("half");
    std::fs::create_dir_all(&half)?;
    let words = format!("--preset typology --banks 5 --seed {seed} --out");
    let words = words.split_whitespace().map(str::to_owned);
    let words = words.chain([half.to_string_lossy().into_owned()]);
    let made = Generate::try_parse_from(std::iter::once("generate".to_owned()).chain(words))?;
    if generate::run(&made.args) != ExitCode::SUCCESS {
        return Err(format!("single payments of seed {seed} could not be made").into());
    }
    Ok(std::fs::rename(half, folder)?)
}

/// Writes the standard schema without its trailing means.
fn untrended(work: &Path) -> Result<(), Failed> {
    std::fs::create_dir_all(work)?;
    let schema = FeatureSchema::standard().canonical();
    let schema = schema.replace("detrend = true", "detrend = false");
    Ok(std::fs::write(work.join("untrended.toml"), schema)?)
}

#[derive(Parser)]
struct Learn {
    #[command(flatten)]
    args: learn::Args,
}

#[derive(Parser)]
struct Generate {
    #[command(flatten)]
    args: generate::Args,
}

impl Results {
    fn read(path: &Path) -> Result<Self, Failed> {
        let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(serde_json::from_str(&text).map_err(|error| failed(&error))?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(failed(&error).into()),
        }
    }

    fn write(&self, json: &Path, page: &Path) -> Result<(), Failed> {
        std::fs::write(json, serde_json::to_string_pretty(self)? + "\n")?;
        Ok(std::fs::write(page, page::page(self))?)
    }

    /// The mean of a measure in a setting of an experiment.
    fn mean(&self, name: &str, setting: &str, measure: &str) -> Option<f64> {
        self.0.get(name)?.object["settings"][setting][measure].as_f64()
    }

    /// Average precision of every bank in a setting.
    fn bank_aps(&self, name: &str, setting: &str) -> Option<Vec<f64>> {
        let banks = self.0.get(name)?.object["bank_ap"][setting].as_array()?;
        banks.iter().map(Value::as_f64).collect()
    }

    /// The same with the labels of this share of the customers.
    fn mean_at(&self, name: &str, labels: f64, setting: &str, measure: &str) -> Option<f64> {
        let object = &self.0.get(name)?.object;
        let fractions = object["fractions"].as_array()?;
        let of = fractions.iter().find(|of| of["labels"] == labels)?;
        of["settings"][setting][measure].as_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn docs() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
    }

    #[test]
    fn the_page_says_what_the_objects_say() {
        let results = Results::read(&docs().join("results.json")).unwrap();
        assert!(!results.0.is_empty());
        let written = std::fs::read_to_string(docs().join("results.md")).unwrap();
        assert_eq!(
            written,
            page::page(&results),
            "run phalanx-sim results none"
        );
    }

    #[test]
    fn every_finding_is_of_an_experiment_as_it_stands() {
        let results = Results::read(&docs().join("results.json")).unwrap();
        for (name, finding) in &results.0 {
            let experiment = EXPERIMENTS.iter().find(|known| known.name == name);
            let experiment = experiment.unwrap_or_else(|| panic!("{name} is no experiment"));
            assert_eq!(experiment.words, finding.words, "{name} was run otherwise");
        }
    }

    #[test]
    fn every_experiment_is_a_line_that_is_understood() {
        for experiment in EXPERIMENTS {
            let words = experiment.words.split_whitespace();
            let learn = Learn::try_parse_from(std::iter::once("learn").chain(words));
            if let Err(error) = learn {
                panic!("{}: {error}", experiment.name);
            }
            let same = EXPERIMENTS.iter().filter(|of| of.name == experiment.name);
            assert_eq!(same.count(), 1, "{}", experiment.name);
        }
    }

    #[test]
    fn a_bar_is_missed_reached_or_open() {
        let said = |ap: Option<f64>| {
            let mut results = Results::default();
            let object = serde_json::json!({"settings": {"pooled": {"ap": ap}}});
            let finding = Finding {
                words: String::new(),
                version: String::new(),
                object,
            };
            results.0.insert("handbook-iid-10".to_owned(), finding);
            let bars = page::bars(&results);
            bars.lines()
                .find(|line| line.contains("Q3"))
                .unwrap()
                .to_owned()
        };
        assert!(
            said(Some(0.6751)).contains("reached"),
            "{}",
            said(Some(0.6751))
        );
        assert!(
            said(Some(0.6749)).contains("missed"),
            "{}",
            said(Some(0.6749))
        );
        assert!(said(None).contains("open"), "{}", said(None));
    }
}
