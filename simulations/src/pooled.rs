//! The `pooled` subcommand: what no real consortium could do. One model on everybody's data, with
//! the same features, the same network and as many steps, so that a federation can be held
//! against it.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::iter::Peekable;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args as ClapArgs;
use features::{
    FeatureEncoder, FeatureSchema, FeedMap, Label, RawTransaction, RiskSettings, Source, TokenKey,
    Transaction,
};
use model::schedule::{DROPOUT, WEIGHT_DECAY};
use model::{Calibration, Examples, FinetuneTerms, Learner, NetworkSize, PretrainTerms, Scorer};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::print;
use crate::stage::{Stage, StagedBank};

/// Arguments of `phalanx-sim pooled`.
#[derive(ClapArgs)]
#[command(
    after_help = "Example:\n  phalanx-sim pooled --stage stage --terms terms.json --out \
                        pooled.ndjson"
)]
pub struct Args {
    /// A folder that `phalanx-sim stage` wrote.
    #[arg(long)]
    stage: PathBuf,
    /// Training terms as JSON: pretrain, finetune, genesis_seed, train_from, train_to, delay.
    #[arg(long)]
    terms: PathBuf,
    /// Where the live week's scores go: bank, txn_id, probability, logit per line.
    #[arg(long)]
    out: PathBuf,
}

#[derive(Deserialize)]
struct Terms {
    pretrain: Pretrain,
    finetune: Finetune,
    genesis_seed: u64,
    train_from: i32,
    train_to: i32,
    delay: u16,
}

#[derive(Deserialize)]
struct Pretrain {
    steps: u32,
    batch: u32,
    rate: f32,
    rate_end: f32,
}

#[derive(Deserialize)]
struct Finetune {
    steps: u32,
    batch: u32,
    rate: f32,
    rate_encoder: f32,
}

type Failed = Box<dyn std::error::Error>;

/// Trains on the union and scores the live week.
pub fn run(args: &Args) -> ExitCode {
    print::answer("pooled", |_| pooled(args))
}

fn pooled(args: &Args) -> Result<(), Failed> {
    model::threads(1);
    let stage: Stage = serde_json::from_str(&read(&args.stage.join("stage.json"))?)?;
    let terms: Terms = serde_json::from_str(&read(&args.terms)?)?;
    let map = FeedMap::parse(&read(&args.stage.join("map.toml"))?)?;
    let schema = FeatureSchema::standard();
    let settings = RiskSettings {
        label_delay_days: terms.delay,
    };
    let mut encoder = FeatureEncoder::new(schema.clone(), settings);
    let examples = study(&stage, &map, &terms, &mut encoder, &schema)?;
    let parameters = train(&examples, &terms, &schema)?;
    let size = NetworkSize::default();
    let scorer = Scorer::new(&schema, size, &parameters, Calibration::default())?;
    score(&stage, &scorer, &mut encoder, &args.out)
}

/// Streams all histories through one encoder, in time order, and keeps the training window.
fn study(
    stage: &Stage,
    map: &FeedMap,
    terms: &Terms,
    encoder: &mut FeatureEncoder,
    schema: &FeatureSchema,
) -> Result<Examples, Failed> {
    let key = TokenKey::new(b"a staged history holds tokens already: none is made")?;
    let mut feeds = Vec::new();
    for bank in &stage.banks {
        let file = File::open(&bank.history)?;
        let rows = features::read(map, &key, Source::Stream(Box::new(file)));
        let rows = rows.map(|row| row.map(|row| (row.transaction, row.label)));
        feeds.push(rows.peekable());
    }
    let known_before = i64::from(terms.train_to + i32::from(terms.delay)) * DAY_MS;
    let mut examples = Examples::new(schema.len());
    let mut cards = std::collections::BTreeMap::new();
    while let Some((transaction, label)) = earliest(&mut feeds)? {
        let vector = encoder.encode(&transaction);
        if let Some(label) = &label {
            encoder.add_label(&transaction, label);
        }
        if (terms.train_from..terms.train_to).contains(&transaction.day()) {
            let next = u32::try_from(cards.len())?;
            let card = *cards.entry(transaction.card().to_owned()).or_insert(next);
            let known = label.filter(|label| label.known_at <= known_before);
            let fraud = known.is_some_and(|label| label.fraud);
            examples.push(&vector.0, card, transaction.ts, f32::from(u8::from(fraud)))?;
        }
    }
    Ok(examples)
}

type Labelled = (Transaction, Option<Label>);

/// The earliest row of all feeds.
fn earliest<I>(feeds: &mut [Peekable<I>]) -> Result<Option<Labelled>, Failed>
where
    I: Iterator<Item = Result<Labelled, features::RowError>>,
{
    let mut best: Option<(i64, usize)> = None;
    for (at, feed) in feeds.iter_mut().enumerate() {
        // An error sorts first, so that it is met at once.
        let ts = feed
            .peek()
            .map(|row| row.as_ref().map_or(i64::MIN, |(t, _)| t.ts));
        if let Some(ts) = ts.filter(|ts| best.is_none_or(|(first, _)| *ts < first)) {
            best = Some((ts, at));
        }
    }
    let Some((_, at)) = best else { return Ok(None) };
    Ok(feeds[at].next().transpose()?)
}

fn train(examples: &Examples, terms: &Terms, schema: &FeatureSchema) -> Result<Vec<f32>, Failed> {
    let size = NetworkSize::default();
    let genesis = model::genesis(&model::layout(schema, size), terms.genesis_seed);
    let mut learner = Learner::new(schema, size, &genesis)?;
    let pretrain = PretrainTerms {
        steps: terms.pretrain.steps,
        batch: terms.pretrain.batch,
        rate: terms.pretrain.rate,
        rate_end: terms.pretrain.rate * terms.pretrain.rate_end,
        seed: terms.genesis_seed,
        patience: None,
    };
    learner.pretrain(examples, &pretrain, &mut ())?;
    let finetune = FinetuneTerms {
        steps: terms.finetune.steps,
        batch: terms.finetune.batch,
        rate_head: terms.finetune.rate,
        rate_encoder: terms.finetune.rate_encoder,
        dropout: DROPOUT,
        weight_decay: WEIGHT_DECAY,
        proximal: 0.0,
        seed: terms.genesis_seed,
    };
    learner.finetune_annealed(examples, &finetune, &mut ())?;
    Ok(learner.parameters())
}

/// One row of a live week: bank, transaction id, transaction.
struct Live {
    bank: String,
    transaction: Transaction,
}

/// Scores the live week in time order, the encoder's state running on.
fn score(
    stage: &Stage,
    scorer: &Scorer,
    encoder: &mut FeatureEncoder,
    out: &Path,
) -> Result<(), Failed> {
    let mut rows = Vec::new();
    for bank in &stage.banks {
        live(bank, &mut rows)?;
    }
    rows.sort_by_key(|row| row.transaction.ts);
    let mut out = BufWriter::new(File::create(out)?);
    for row in rows {
        let vector = encoder.encode(&row.transaction);
        let scored = scorer.score(&vector.0)?;
        let score = scored
            .first()
            .ok_or("the scorer gave no score for one row")?;
        let line = json!({
            "bank": row.bank,
            "txn_id": row.transaction.txn_id,
            "probability": score.probability,
            "logit": score.logit,
        });
        writeln!(out, "{line}")?;
    }
    Ok(out.flush()?)
}

fn live(bank: &StagedBank, rows: &mut Vec<Live>) -> Result<(), Failed> {
    for line in BufReader::new(File::open(&bank.live)?).lines() {
        let mut line: Value = serde_json::from_str(&line?)?;
        let raw: RawTransaction = serde_json::from_value(line["txn"].take())?;
        let transaction = Transaction::try_from(raw)?;
        rows.push(Live {
            bank: bank.name.clone(),
            transaction,
        });
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, Failed> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()).into())
}

const DAY_MS: i64 = 86_400_000;
