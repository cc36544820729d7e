//! The `judge` subcommand: per bank and in all, how well the local, the federated and the pooled
//! scores rank the live week's frauds. The measures are `model::evaluation`'s.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args as ClapArgs;
use model::evaluation::{CardScore, auc, average_precision, card_precision_at};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::print;

/// Arguments of `phalanx-sim judge`.
#[derive(ClapArgs)]
#[command(after_help = "Example:\n  phalanx-sim judge --scores scores.ndjson --json")]
pub struct Args {
    /// One object a line: bank, day, card, fraud, eligible, and the logits federated, local and
    /// pooled, each of which may be null.
    #[arg(long)]
    scores: PathBuf,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

#[derive(Deserialize)]
struct Line {
    bank: String,
    day: i32,
    card: String,
    fraud: bool,
    eligible: bool,
    federated: Option<f32>,
    local: Option<f32>,
    pooled: Option<f32>,
}

const ARMS: [&str; 3] = ["local", "federated", "pooled"];

type Failed = Box<dyn std::error::Error>;

/// Judges the scores.
pub fn run(args: &Args) -> ExitCode {
    print::answer("judge", |out| judge(args, out))
}

fn judge(args: &Args, out: &mut impl Write) -> Result<(), Failed> {
    let file =
        File::open(&args.scores).map_err(|error| format!("{}: {error}", args.scores.display()))?;
    let mut lines = Vec::new();
    for (at, line) in BufReader::new(file).lines().enumerate() {
        let line: Line =
            serde_json::from_str(&line?).map_err(|error| format!("line {}: {error}", at + 1))?;
        lines.push(line);
    }
    let measures = measure(&lines);
    if args.json {
        writeln!(out, "{measures}")?;
    } else {
        table(&measures, out)?;
    }
    Ok(())
}

fn measure(lines: &[Line]) -> Value {
    let mut banks: BTreeMap<&str, Vec<&Line>> = BTreeMap::new();
    for line in lines {
        banks.entry(&line.bank).or_default().push(line);
    }
    let of = |name: &str, lines: &[&Line]| {
        let mut object = json!({
            "bank": name,
            "transactions": lines.len(),
            "frauds": lines.iter().filter(|line| line.fraud).count(),
            "curves": {},
        });
        for arm in ARMS {
            let rows = Rows::new(lines, arm);
            object[arm] = rows.measures();
            object["curves"][arm] = json!(rows.curve());
        }
        object
    };
    let all: Vec<&Line> = lines.iter().collect();
    json!({
        "banks": banks.iter().map(|(name, lines)| of(name, lines)).collect::<Vec<_>>(),
        "all": of("all", &all),
    })
}

/// One arm's scores of the transactions that are judged.
struct Rows {
    scores: Vec<f32>,
    frauds: Vec<bool>,
    cards: Vec<CardScore>,
}

impl Rows {
    fn new(lines: &[&Line], arm: &str) -> Self {
        let mut rows = Self {
            scores: Vec::new(),
            frauds: Vec::new(),
            cards: Vec::new(),
        };
        let mut numbers = BTreeMap::new();
        for line in lines.iter().filter(|line| line.eligible) {
            let score = match arm {
                "local" => line.local,
                "federated" => line.federated,
                _ => line.pooled,
            };
            let Some(score) = score else { continue };
            let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
            let card = *numbers.entry((&line.bank, &line.card)).or_insert(next);
            rows.scores.push(score);
            rows.frauds.push(line.fraud);
            rows.cards.push(CardScore {
                day: line.day,
                card,
                score,
                fraud: line.fraud,
            });
        }
        rows
    }

    fn measures(&self) -> Value {
        json!({
            "auc": auc(&self.scores, &self.frauds),
            "ap": average_precision(&self.scores, &self.frauds),
            "cp100": card_precision_at(100, &self.cards),
        })
    }

    /// Recall and precision from the highest score down, at most [`POINTS`] of them.
    fn curve(&self) -> Vec<(f64, f64)> {
        let mut order: Vec<usize> = (0..self.scores.len()).collect();
        order.sort_by(|a, b| self.scores[*b].total_cmp(&self.scores[*a]));
        let frauds = self.frauds.iter().filter(|fraud| **fraud).count();
        let mut points = Vec::new();
        let mut found = 0;
        for (rank, at) in order.iter().enumerate() {
            if self.frauds[*at] {
                found += 1;
                points.push((
                    found as f64 / frauds as f64,
                    found as f64 / (rank + 1) as f64,
                ));
            }
        }
        let step = points.len().div_ceil(POINTS).max(1);
        points.into_iter().step_by(step).collect()
    }
}

const POINTS: usize = 200;

fn table(measures: &Value, out: &mut impl Write) -> std::io::Result<()> {
    writeln!(
        out,
        "{:<10} {:>12} {:>7}  arm        {:>6} {:>6} {:>6}",
        "bank", "transactions", "frauds", "AUC", "AP", "CP@100"
    )?;
    let banks = measures["banks"].as_array().into_iter().flatten();
    for of in banks.chain(std::iter::once(&measures["all"])) {
        for arm in ARMS {
            let cell = |name: &str| {
                of[arm][name]
                    .as_f64()
                    .map_or_else(|| "–".to_owned(), |value| format!("{value:.3}"))
            };
            writeln!(
                out,
                "{:<10} {:>12} {:>7}  {arm:<10} {:>6} {:>6} {:>6}",
                of["bank"].as_str().unwrap_or("?"),
                of["transactions"],
                of["frauds"],
                cell("auc"),
                cell("ap"),
                cell("cp100")
            )?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(bank: &str, fraud: bool, federated: f32, local: Option<f32>) -> Line {
        let (bank, card) = (bank.to_owned(), format!("{federated}"));
        Line {
            bank,
            day: 1,
            card,
            fraud,
            eligible: true,
            federated: Some(federated),
            local,
            pooled: None,
        }
    }

    #[test]
    fn a_perfect_arm_and_a_missing_one_are_told_apart() {
        let mut lines = vec![
            line("a", true, 3.0, Some(0.0)),
            line("a", false, 1.0, Some(2.0)),
            line("b", false, 2.0, None),
        ];
        lines.push(Line {
            eligible: false,
            ..line("a", true, -9.0, None)
        });
        let measures = measure(&lines);
        assert_eq!(measures["all"]["federated"]["ap"], 1.0);
        assert_eq!(measures["all"]["federated"]["auc"], 1.0);
        assert_eq!(measures["banks"][0]["local"]["ap"], 0.5);
        assert_eq!(measures["banks"][0]["frauds"], 2);
        assert!(measures["all"]["pooled"]["ap"].is_null());
        assert_eq!(
            measures["banks"][0]["curves"]["federated"],
            json!([[1.0, 1.0]])
        );
    }
}
