//! The page: the bars, what each part brings, what is had without labels, then every experiment
//! with its command and its table.

use std::fmt::Write;

use serde_json::Value;

use super::ablations::{ABLATIONS, Ablation};
use super::bars::{BARS, Bar};
use super::experiments::{EXPERIMENTS, Experiment, Tool};
use super::figure::{Figure, Found, cell};
use super::{Finding, Results};
use crate::learn::{NAMES, Setting, TITLES, VERSION};

/// The whole page.
pub(super) fn page(results: &Results) -> String {
    let mut page = HEAD.to_owned();
    page += &bars(results);
    page += ABLATIONS_HEAD;
    page += &ablations(results);
    page += WITHOUT_LABELS_HEAD;
    page += &without_labels(results);
    for experiment in EXPERIMENTS {
        page += &section(results, experiment);
    }
    page
}

/// The table of bars.
pub(super) fn bars(results: &Results) -> String {
    let mut table = "| bar | figure | experiments | seeds | at least | found | spread | |\n\
                     |---|---|---|---|---|---|---|---|\n"
        .to_owned();
    for bar in BARS {
        let Bar {
            name,
            text,
            least,
            most,
            figure,
        } = bar;
        let bound = match most {
            Some(most) => format!("{least} to {most}"),
            None => least.to_string(),
        };
        let found = figure.found(results);
        let seeds = found.map_or_else(|| "–".to_owned(), |found| found.seeds.to_string());
        let spread = found.and_then(|found| spread(&found));
        let spread = spread.unwrap_or_else(|| "–".to_owned());
        let is_met = |value: f64| value >= *least && most.is_none_or(|most| value <= most);
        let (value, verdict) = match found {
            Some(Found { value, .. }) if is_met(value) => (format!("{value:.3}"), "reached"),
            Some(Found { value, .. }) => (format!("{value:.3}"), "**missed**"),
            None => ("–".to_owned(), "open"),
        };
        let (of, verdict) = (names(figure), said(results, figure, verdict));
        table += &line(&[name, text, &of, &seeds, &bound, &value, &spread, &verdict]);
    }
    table
}

/// The table of what each part brings.
fn ablations(results: &Results) -> String {
    let mut table = "| part | of | AP with it | without | brings, 95 % | seeds | experiments | |\n\
                     |---|---|---|---|---|---|---|---|\n"
        .to_owned();
    for ablation in ABLATIONS {
        let Ablation {
            part,
            of,
            with,
            without,
        } = ablation;
        let figure = ablation.figure();
        let ap = |cell| match Figure::Of(cell).found(results) {
            Some(found) => format!("{:.3}", found.value),
            None => "–".to_owned(),
        };
        let (with, without) = (ap(*with), ap(*without));
        let (brings, seeds, verdict) = match figure.found(results) {
            Some(found) => (interval(&found), found.seeds.to_string(), ""),
            None => ("–".to_owned(), "–".to_owned(), "open"),
        };
        let (names, verdict) = (names(&figure), said(results, &figure, verdict));
        table += &line(&[part, of, &with, &without, &brings, &seeds, &names, &verdict]);
    }
    table
}

/// The table of scores that need no label, and how they rank.
pub(super) fn without_labels(results: &Results) -> String {
    let mut table = "| data | score | AUC | AP | precision at 100 alerts a day |\n\
                     |---|---|---|---|---|\n"
        .to_owned();
    let sets: [(&str, &'static [&'static str]); 2] = [
        ("Handbook, ten banks", &["handbook-iid-10"]),
        ("Sparkov, five banks", &["sparkov-5"]),
    ];
    for (data, experiments) in sets {
        for setting in ["unsupervised", "unsupervised_live", "ratio"] {
            let measure = |name| match Figure::Of(cell(experiments, setting, name)).found(results) {
                Some(found) => format!("{:.3} ± {:.3}", found.value, found.spread.unwrap_or(0.0)),
                None => "–".to_owned(),
            };
            let [auc, ap, cp100] = ["auc", "ap", "cp100"].map(measure);
            table += &line(&[data, &format!("`{setting}`"), &auc, &ap, &cp100]);
        }
    }
    table
}

/// One line of a table.
fn line(cells: &[&str]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

/// How far a figure spreads, and where that is not of pairs.
fn spread(found: &Found) -> Option<String> {
    let unpaired = if found.is_paired { "" } else { " unpaired" };
    found.spread.map(|spread| format!("{spread:.3}{unpaired}"))
}

fn interval(found: &Found) -> String {
    let unpaired = if found.is_paired { "" } else { " unpaired" };
    match found.half_width() {
        Some(half) => format!("{:+.3} ± {half:.3}{unpaired}", found.value),
        None => format!("{:+.3}", found.value),
    }
}

/// The experiments that a figure is made of.
fn names(figure: &Figure) -> String {
    let names = figure.experiments().into_iter();
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

/// A verdict, and whether it is of findings as the experiments and the code stand.
fn said(results: &Results, figure: &Figure, verdict: &str) -> String {
    let names = figure.experiments();
    let of = EXPERIMENTS.iter().filter(|of| names.contains(&of.name));
    let current: Vec<Option<bool>> = of.map(|of| results.is_current(of)).collect();
    if current.contains(&None) {
        return "not run".to_owned();
    }
    match (current.contains(&Some(false)), verdict) {
        (false, verdict) => verdict.to_owned(),
        (true, "") => "older".to_owned(),
        (true, verdict) => format!("{verdict}, older"),
    }
}

fn section(results: &Results, experiment: &Experiment) -> String {
    let Experiment {
        name, title, tool, ..
    } = experiment;
    let mut section = format!("\n## {title}\n\n`{name}`, ");
    let Some(finding) = results.0.get(*name) else {
        let lines = command(experiment.words, *tool);
        let _ = write!(section, "not run:\n\n```sh\n{lines}\n```\n");
        return section;
    };
    let lines = command(&finding.words, *tool);
    let _ = write!(
        section,
        "version {}{}:\n\n```sh\n{lines}\n```\n",
        finding.version,
        age(finding, experiment)
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

/// Of which code and words a finding is, where those are not the present ones.
fn age(finding: &Finding, experiment: &Experiment) -> String {
    let of_code = match (experiment.tool, finding.learn) {
        (Tool::Outside, _) => String::new(),
        (Tool::Learn, Some(VERSION)) => format!(", learning {VERSION}"),
        (Tool::Learn, Some(older)) => format!(", older: learning {older}, which is {VERSION}"),
        (Tool::Learn, None) => {
            format!(", older: its learning was not kept, which is {VERSION}")
        }
    };
    if finding.words == experiment.words {
        return of_code;
    }
    format!("{of_code}, older: the experiment has other words")
}

/// The words as commands, on lines of a page's width.
fn command(words: &str, tool: Tool) -> String {
    let words = words
        .replace("{data}", "../shared/data")
        .replace("{work}", "target/results");
    let commands: Vec<String> = match tool {
        Tool::Learn => vec![format!("phalanx-sim learn {words}")],
        Tool::Outside => words.lines().map(str::to_owned).collect(),
    };
    let commands: Vec<String> = commands.iter().map(|command| wrapped(command)).collect();
    commands.join("\n")
}

fn wrapped(command: &str) -> String {
    let mut lines = vec![String::new()];
    for word in command.split_whitespace() {
        let last = lines.last_mut().expect("there is a first line");
        match last.len() + word.len() < WIDTH {
            true if last.is_empty() => last.push_str(word),
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
    let ours = Setting::ALL.map(Setting::name);
    let named = of["settings"].as_object();
    let named = named
        .into_iter()
        .flat_map(|of| of.keys().map(String::as_str));
    let others = named.filter(|name| !ours.contains(name));
    let settings = ours.into_iter().chain(others);
    for setting in settings.filter(|name| of["settings"][name].is_object()) {
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

CP@100 is of all banks' cards together: a hundred alerts a day for the whole consortium. A perfect
ranking has .42 on the Handbook and .017 on Sparkov, where 1.7 cards a day have a fraud: there it
tells settings apart only where they are bad. Findings say which learning they are of: it grows with
every change by which equal words come to something else. *Older* ones are of another, or were run
by other words.

## Bars

The numbers are of the quality goals that were set before anything was built. All data are made up:
nothing here is a promise about a real bank. The spread is the figure's own standard deviation over
seeds and weeks. Of a difference it is that of the differences seed by seed, each of the same banks
and first parameters; *unpaired* where a finding does not keep its values by seed.

";
const ABLATIONS_HEAD: &str = "
## What each part brings

AP of all payments, federated unless said, every label unless said: with the part less without it,
with the 95 % interval of Student's t over seeds. Intervals that hold 0 say that nothing was shown.

";
const WITHOUT_LABELS_HEAD: &str = "
## Without labels

";
