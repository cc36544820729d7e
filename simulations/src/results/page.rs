//! The page: the bars, then every experiment with its command and its table.

use std::fmt::Write;

use serde_json::Value;

use super::bars::{BARS, Bar};
use super::experiments::{EXPERIMENTS, Experiment};
use super::{Finding, Results};
use crate::learn::{NAMES, Setting, TITLES};

/// The whole page.
pub(super) fn page(results: &Results) -> String {
    let mut page = HEAD.to_owned();
    page += &bars(results);
    let run = EXPERIMENTS
        .iter()
        .filter_map(|experiment| Some((experiment, results.0.get(experiment.name)?)));
    for (experiment, finding) in run {
        page += &section(experiment, finding);
    }
    page
}

/// The table of bars.
pub(super) fn bars(results: &Results) -> String {
    let mut table = "| bar | figure | at least | found | |\n|---|---|---|---|---|\n".to_owned();
    for Bar {
        name,
        text,
        least,
        value,
    } in BARS
    {
        let (found, verdict) = match value(results) {
            Some(found) if found >= *least => (format!("{found:.3}"), "reached"),
            Some(found) => (format!("{found:.3}"), "**missed**"),
            None => ("–".to_owned(), "open"),
        };
        table += &format!("| {name} | {text} | {least} | {found} | {verdict} |\n");
    }
    table
}

fn section(experiment: &Experiment, finding: &Finding) -> String {
    let mut section = String::new();
    let lines = command(&finding.words);
    let _ = write!(
        section,
        "\n## {}\n\n`{}`, version {}:\n\n```sh\n{lines}\n```\n",
        experiment.title, experiment.name, finding.version
    );
    match finding.object["fractions"].as_array() {
        Some(fractions) => {
            for of in fractions {
                let share = of["labels"].as_f64().unwrap_or_default();
                let _ = write!(
                    section,
                    "\nLabels of {} % of the customers:\n",
                    100.0 * share
                );
                section += &table(of);
            }
        }
        None => section += &table(&finding.object),
    }
    section
}

/// The words on lines of a page's width.
fn command(words: &str) -> String {
    let mut lines = vec!["phalanx-sim learn".to_owned()];
    for word in words
        .replace("{data}", "../shared/data")
        .replace("{work}", "target/results")
        .split_whitespace()
    {
        let last = lines.last_mut().expect("there is a first line");
        match last.len() + word.len() < WIDTH {
            true => *last += &format!(" {word}"),
            false => lines.push(format!("  {word}")),
        }
    }
    lines.join(" \\\n")
}

fn table(of: &Value) -> String {
    let titles = TITLES.join(" | ");
    let rule = "---|".repeat(TITLES.len());
    let mut table = format!("\n| setting | {titles} |\n|---|{rule}\n");
    let settings = Setting::ALL.map(Setting::name);
    for setting in settings
        .iter()
        .filter(|name| of["settings"][name].is_object())
    {
        let cell = |name: &str| {
            let mean = of["settings"][setting][name].as_f64();
            let deviation = of["spread"][setting][name].as_f64();
            match (mean, deviation) {
                (Some(mean), Some(deviation)) => format!("{mean:.3} ± {deviation:.3}"),
                _ => "–".to_owned(),
            }
        };
        let cells = NAMES.map(cell).join(" | ");
        table += &format!("| `{setting}` | {cells} |\n");
    }
    table
}

const WIDTH: usize = 96;
const HEAD: &str = "\
# Results

Written by `phalanx-sim results` from `results.json` beside it; a test makes the page anew and
compares. What the settings are, and how weeks are judged: [learn.md](learn.md). A mean ± the sample
standard deviation over seeds and weeks; the seed draws banks, first parameters and batches. What
was tried and did not help is in [learn.md](learn.md#what-did-not-help).

## Bars

The numbers are of the quality goals that were set before anything was built. All data are made up:
nothing here is a promise about a real bank.

";
