//! The stage: transactions made up or taken, dealt to banks, and cut into the history that each
//! agent reads and the live week that is posted to it. The simulator does the work; it also judges
//! the scores, and trains the pooled model that no real consortium could.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};

use super::Arguments;
use super::live::Scored;
use super::plans::Plans;
use super::processes::output;
use super::steps::Steps;

/// What the simulator put on stage.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Stage {
    pub(crate) banks: Vec<StagedBank>,
    pub(crate) first_day: u32,
    pub(crate) test_day: u32,
    pub(crate) test_days: u32,
    pub(crate) train_from: u32,
    pub(crate) train_to: u32,
    pub(crate) delay: u16,
    pub(crate) outlets: u32,
    #[serde(skip)]
    pub(crate) folder: PathBuf,
}

/// One bank's part.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct StagedBank {
    pub(crate) name: String,
    pub(crate) history: PathBuf,
    pub(crate) live: PathBuf,
    pub(crate) transactions: u64,
    pub(crate) frauds: u64,
    pub(crate) live_transactions: u64,
    pub(crate) live_frauds: u64,
}

impl Stage {
    /// One line about it.
    pub(crate) fn summary(&self) -> String {
        let sum = |of: fn(&StagedBank) -> u64| self.banks.iter().map(of).sum::<u64>();
        format!(
            "{} transactions, {} frauds, {} merchants, {} days; live week of {}",
            sum(|bank| bank.transactions + bank.live_transactions),
            sum(|bank| bank.frauds + bank.live_frauds),
            self.outlets,
            self.test_day + self.test_days - self.first_day,
            sum(|bank| bank.live_transactions),
        )
    }
}

/// Makes or takes transactions and deals them.
pub(crate) fn make(
    arguments: &Arguments,
    folder: &Path,
    steps: &Steps,
) -> Result<Stage, Box<dyn std::error::Error>> {
    std::fs::create_dir_all(folder)?;
    let (data, map, deal) = match (&arguments.data, &arguments.map) {
        (Some(data), Some(map)) => (data.clone(), map.clone(), dealing(arguments)),
        _ => {
            steps.now("making up customers, merchants and fraud".to_owned());
            let (data, map) = generate(arguments, folder)?;
            (data, map, vec!["--split-by".to_owned(), "bank".to_owned()])
        }
    };
    steps.now("dealing customers to banks".to_owned());
    let (data, map, out) = (text(&data), text(&map), text(folder));
    let (train, delay) = (
        arguments.train_days.to_string(),
        arguments.delay_days.to_string(),
    );
    let mut words = vec!["stage", "--data", &data, "--map", &map, "--out", &out];
    words.extend(["--train-days", &train, "--delay", &delay]);
    words.extend(deal.iter().map(String::as_str));
    let test_day = arguments.test_day.map(|day| day.to_string());
    if let Some(day) = &test_day {
        words.extend(["--test-day", day]);
    }
    output("phalanx-sim", &words)?;
    let text = std::fs::read_to_string(folder.join("stage.json"))?;
    let mut stage: Stage = serde_json::from_str(&text)?;
    stage.folder = folder.to_owned();
    Ok(stage)
}

fn generate(
    arguments: &Arguments,
    folder: &Path,
) -> Result<(PathBuf, PathBuf), Box<dyn std::error::Error>> {
    let (seed, banks) = (arguments.seed.to_string(), arguments.banks.to_string());
    let out = text(folder);
    let words = [
        "generate", "--preset", "demo", "--seed", &seed, "--banks", &banks, "--out", &out,
    ];
    output("phalanx-sim", &words)?;
    let map = folder.join("map.toml");
    std::fs::write(&map, include_str!("../../config/maps/generated.toml"))?;
    Ok((folder.join("transactions.parquet"), map))
}

fn dealing(arguments: &Arguments) -> Vec<String> {
    match &arguments.split_by {
        Some(column) => vec!["--split-by".to_owned(), column.clone()],
        None => vec![
            "--deal".to_owned(),
            arguments.deal.unwrap_or(arguments.seed).to_string(),
            "--banks".to_owned(),
            arguments.banks.to_string(),
        ],
    }
}

/// Has the simulator train the pooled model and judge all three.
pub(crate) fn judge(
    arguments: &Arguments,
    plans: &Plans,
    stage: &Stage,
    scored: &Scored,
    steps: &Steps,
) -> Result<Value, Box<dyn std::error::Error>> {
    steps.now("training the pooled model, which no real consortium could".to_owned());
    let terms = stage.folder.join("terms.json");
    std::fs::write(&terms, pooled_terms(arguments, plans, stage).to_string())?;
    let pooled = stage.folder.join("pooled.ndjson");
    let (folder, terms, out) = (text(&stage.folder), text(&terms), text(&pooled));
    output(
        "phalanx-sim",
        &[
            "pooled", "--stage", &folder, "--terms", &terms, "--out", &out,
        ],
    )?;
    steps.now("judging".to_owned());
    let scores = stage.folder.join("scores.ndjson");
    join(scored, &pooled, &scores)?;
    let judged = output(
        "phalanx-sim",
        &["judge", "--json", "--scores", &text(&scores)],
    )?;
    Ok(serde_json::from_str(&judged)?)
}

fn pooled_terms(arguments: &Arguments, plans: &Plans, stage: &Stage) -> Value {
    json!({
        "pretrain": plans.pretrain_terms(),
        "finetune": plans.finetune_terms(),
        "genesis_seed": arguments.seed,
        "train_from": stage.train_from,
        "train_to": stage.train_to,
        "delay": stage.delay,
    })
}

/// Writes each live transaction's three scores on one line.
fn join(scored: &Scored, pooled: &Path, to: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let mut of = BTreeMap::new();
    for line in BufReader::new(File::open(pooled)?).lines() {
        let line: Value = serde_json::from_str(&line?)?;
        let key = (line["bank"].to_string(), line["txn_id"].to_string());
        of.insert(key, line["logit"].clone());
    }
    let mut out = BufWriter::new(File::create(to)?);
    for row in &scored.rows {
        let mut line = row.clone();
        let key = (line["bank"].to_string(), line["txn_id"].to_string());
        line["pooled"] = of.get(&key).cloned().unwrap_or(Value::Null);
        writeln!(out, "{line}")?;
    }
    Ok(out.flush()?)
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
