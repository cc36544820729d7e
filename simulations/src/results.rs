//! The `results` subcommand: runs the experiments behind `docs/results.md`, and writes their
//! objects and the page made of them. An experiment is a line of `phalanx-sim learn`; what is
//! hoped of it is a bar. The page holds nothing that the objects do not: a test makes it anew and
//! compares.
//!
//! Reading order: `experiments` (what is run), `figure` (what is made of it), `bars` (what is hoped
//! for), `ablations` (what each part brings), `outside` (what other tools said), `page`, `sheet`
//! (results.json).

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args as ClapArgs, Parser};
use features::FeatureSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{generate, learn, print};

mod ablations;
mod bars;
mod experiments;
mod figure;
mod outside;
mod page;
mod sheet;

use experiments::{ENCODER, EXPERIMENTS, Experiment, Made, Tool};

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
    /// Take in what another tool said in JSON of an experiment that is run by hand
    #[arg(long, value_name = "NAME=FILE", value_parser = told)]
    outside: Vec<(String, PathBuf)>,
    /// List the experiments
    #[arg(long)]
    list: bool,
}

const EXAMPLE: &str = "\
Example, one experiment anew, from the project's root:
  phalanx-sim results handbook-iid-10

What boosted trees made of the same rows (its command is in docs/results.md):
  phalanx-sim results none --outside outside-mix-10=boost.json";

fn told(text: &str) -> Result<(String, PathBuf), String> {
    let (name, file) = text
        .split_once('=')
        .ok_or("expected an experiment, =, and a file")?;
    Ok((name.to_owned(), file.into()))
}

/// What came of the experiments that were run, by name.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Results(BTreeMap<String, Finding>);

/// What came of one.
#[derive(Debug, Serialize, Deserialize)]
struct Finding {
    /// The words after `phalanx-sim learn`, or another tool's commands, as they were run.
    words: String,
    /// The version of this software.
    version: String,
    /// [`learn::VERSION`] of the code that found it; none where another tool did, or an early one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    learn: Option<u32>,
    /// What `phalanx-sim learn --json` says.
    object: Value,
}

/// Runs the experiments.
pub fn run(args: &Args) -> ExitCode {
    print::answer("results", |out| results(args, out))
}

fn results(args: &Args, out: &mut impl Write) -> Result<(), Failed> {
    if args.list {
        for experiment in EXPERIMENTS {
            let by_hand = match experiment.tool {
                Tool::Learn => "",
                Tool::Outside => " (by hand)",
            };
            writeln!(out, "{:<24} {}{by_hand}", experiment.name, experiment.title)?;
        }
        return Ok(());
    }
    let (json, page) = (args.out.join("results.json"), args.out.join("results.md"));
    let mut results = Results::read(&json)?;
    for (name, file) in &args.outside {
        results.0.insert(name.clone(), outside::read(name, file)?);
    }
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
    let is_ours = |experiment: &&Experiment| experiment.tool == Tool::Learn;
    if names.is_empty() {
        return Ok(EXPERIMENTS.iter().filter(is_ours).collect());
    }
    if names == ["none"] {
        return Ok(Vec::new());
    }
    let find = |name: &String| named(name, Tool::Learn);
    names.iter().map(find).collect()
}

/// The experiment of this name, which has to be run with this tool.
fn named(name: &str, tool: Tool) -> Result<&'static Experiment, Failed> {
    let known = EXPERIMENTS.iter().find(|known| known.name == name);
    let known = known.ok_or_else(|| format!("found {name:?}, expected one of --list"))?;
    match (known.tool == tool, tool) {
        (true, _) => Ok(known),
        (false, Tool::Learn) => Err(format!(
            "{name} is run by hand: its command is in results.md, its object comes in by --outside"
        )
        .into()),
        (false, Tool::Outside) => Err(format!(
            "found {name:?} after --outside, expected an experiment that is run by hand"
        )
        .into()),
    }
}

impl Experiment {
    /// Trains and judges, from the project's root.
    fn run(&self, data: &Path, work: &Path) -> Result<Finding, Failed> {
        match self.made {
            Some(Made::Typologies(seed)) => typologies(seed, work)?,
            Some(Made::Untrended) => untrended(work)?,
            Some(Made::Encoder) => encoder(data, work)?,
            None => {}
        }
        Ok(Finding {
            words: self.words.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            learn: Some(learn::VERSION),
            object: object(self.words, ("--out", &work.join(self.name)), (data, work))?,
        })
    }
}

/// What `phalanx-sim learn` says to these words and one more option, which names a folder.
fn object(
    words: &str,
    (option, folder): (&str, &Path),
    (data, work): (&Path, &Path),
) -> Result<Value, Failed> {
    let words = words
        .replace("{data}", &data.to_string_lossy())
        .replace("{work}", &work.to_string_lossy());
    let words = words.split_whitespace().map(str::to_owned);
    let more = [option.to_owned(), folder.to_string_lossy().into_owned()];
    let words = std::iter::once("learn".to_owned()).chain(words).chain(more);
    learn::object(&Learn::try_parse_from(words)?.args)
}

/// Pretrains the encoder that warm starts begin with, unless it is there.
fn encoder(data: &Path, work: &Path) -> Result<(), Failed> {
    let folder = work.join("handbook-encoder");
    if folder.exists() {
        return Ok(());
    }
    let half = folder.with_extension("half");
    object(ENCODER, ("--save-encoder", &half), (data, work))?;
    Ok(std::fs::rename(half, folder)?)
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
        std::fs::write(json, sheet::text(self)?)?;
        Ok(std::fs::write(page, page::page(self))?)
    }

    /// The object of an experiment, and of it what came of the labels of this share of the
    /// customers.
    fn labelled(&self, name: &str, labels: Option<f64>) -> Option<(&Value, &Value)> {
        let object = &self.0.get(name)?.object;
        let Some(labels) = labels else {
            return Some((object, object));
        };
        let of = match object["fractions"].as_array() {
            Some(fractions) => fractions.iter().find(|of| of["labels"] == labels)?,
            None => Some(object).filter(|of| of["labels"] == labels)?,
        };
        Some((object, of))
    }

    /// Whether an experiment's finding is of the experiment and of the code as they stand; none
    /// where there is no finding.
    fn is_current(&self, experiment: &Experiment) -> Option<bool> {
        let finding = self.0.get(experiment.name)?;
        let is_of_code = match experiment.tool {
            Tool::Learn => finding.learn == Some(learn::VERSION),
            Tool::Outside => true,
        };
        Some(is_of_code && finding.words == experiment.words)
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
    fn the_guide_has_the_table_of_what_is_had_without_labels() {
        let results = Results::read(&docs().join("results.json")).unwrap();
        let guide = std::fs::read_to_string(docs().join("learn.md")).unwrap();
        let table = page::without_labels(&results);
        assert!(guide.contains(&table), "expected in learn.md:\n{table}");
    }

    // A finding of other words or of earlier code may stand, but not unsaid.
    #[test]
    fn every_finding_is_of_an_experiment_and_says_where_it_is_old() {
        let results = Results::read(&docs().join("results.json")).unwrap();
        let page = page::page(&results);
        for name in results.0.keys() {
            let experiment = EXPERIMENTS.iter().find(|known| known.name == name);
            let experiment = experiment.unwrap_or_else(|| panic!("{name} is no experiment"));
            let section = page.split_once(&format!("\n`{name}`, version ")).unwrap().1;
            let line = section.lines().next().unwrap();
            let is_old = results.is_current(experiment) == Some(false);
            assert_eq!(line.contains("older"), is_old, "{name}: {line}");
        }
    }

    #[test]
    fn an_experiment_has_a_finding_or_is_shown_as_not_run() {
        let mut results = Results::read(&docs().join("results.json")).unwrap();
        results.0.remove("handbook-mix-10");
        let page = page::page(&results);
        for experiment in EXPERIMENTS {
            let is_run = results.0.contains_key(experiment.name);
            let shown = format!("\n`{}`, not run:\n", experiment.name);
            assert_eq!(page.contains(&shown), !is_run, "{}", experiment.name);
            let line = format!("\n## {}\n", experiment.title);
            assert_eq!(page.matches(&line).count(), 1, "{}", experiment.name);
        }
        let bars = page::bars(&results);
        let of_mix = bars
            .lines()
            .filter(|line| line.contains("`handbook-mix-10`"));
        let of_mix: Vec<&str> = of_mix.collect();
        assert!(of_mix.len() > 5);
        for line in of_mix {
            assert!(line.ends_with("| – | – | not run |"), "{line}");
        }
    }

    #[test]
    fn every_experiment_is_a_line_that_is_understood() {
        for experiment in EXPERIMENTS {
            let mut lines = experiment.words.lines();
            let ours = match experiment.tool {
                Tool::Learn => lines.next(),
                Tool::Outside => lines.find_map(|line| line.strip_prefix("phalanx-sim learn ")),
            };
            let words = ours.unwrap_or("--data {data} --map map --banks 3");
            let words = words.split_whitespace();
            if let Err(error) = Learn::try_parse_from(std::iter::once("learn").chain(words)) {
                panic!("{}: {error}", experiment.name);
            }
            let same = EXPERIMENTS.iter().filter(|of| of.name == experiment.name);
            assert_eq!(same.count(), 1, "{}", experiment.name);
        }
        let words = format!("learn {ENCODER} --save-encoder folder");
        assert!(Learn::try_parse_from(words.split_whitespace()).is_ok());
    }

    #[test]
    fn every_bar_and_ablation_is_of_experiments_that_there_are() {
        let of_bars = bars::BARS.iter().map(|bar| bar.figure);
        let of_ablations = ablations::ABLATIONS.iter().map(|row| row.figure());
        for figure in of_bars.chain(of_ablations) {
            for name in figure.experiments() {
                let is_known = EXPERIMENTS.iter().any(|known| known.name == name);
                assert!(is_known, "{name}");
            }
        }
    }

    /// One bar's line, where the pooled AP of `handbook-iid-10` is this.
    fn line(name: &str, ap: Option<f64>) -> String {
        let object = serde_json::json!({
            "seeds": 3, "weeks": 1, "labels": 1.0,
            "settings": {"pooled": {"ap": ap}}, "spread": {"pooled": {"ap": 0.013}},
        });
        let results = figure::tests::results(&[("handbook-iid-10", object)]);
        let bars = page::bars(&results);
        let mut lines = bars.lines();
        lines.find(|line| line.contains(name)).unwrap().to_owned()
    }

    #[test]
    fn a_bar_is_missed_reached_open_or_not_run() {
        let said = |ap| line("| Q3 |", ap);
        let reached = said(Some(0.6751));
        assert!(reached.contains("| `handbook-iid-10` | 3 |"), "{reached}");
        assert!(reached.contains("| 0.675 | 0.013 | reached"), "{reached}");
        assert!(said(Some(0.6749)).contains("missed"));
        assert!(said(None).contains("open"), "{}", said(None));
        assert!(line("| Q8 |", None).contains("not run"));
        // Its words are not the experiment's.
        assert!(reached.contains("reached, older"), "{reached}");
    }
}
