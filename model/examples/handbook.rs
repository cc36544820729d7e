//! The Fraud Detection Handbook's protocol on its own set, with the whole population as one bank:
//! trains on a week, tests on the week after the label delay, prints AUC, average precision and
//! card precision at 100. Needs `../shared/data/handbook/transactions.parquet` beside the project.
//!
//! `cargo run --release -p model --example handbook -- [seeds] [pretraining steps] [weeks]`

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs::File;
use std::time::Instant;

use features::{FeatureEncoder, FeatureSchema, FeedMap, RiskSettings, Source, TokenKey, read};
use model::evaluation::{CardScore, auc, average_precision, card_precision_at};
use model::{
    Bar, Calibration, Examples, FinetuneTerms, Learner, NetworkSize, PretrainTerms, Scorer,
    genesis, layout,
};

const DAY_MS: i64 = 86_400_000;
/// 2018-07-25, first day of training, in days since 1970-01-01.
const TRAIN_FROM: i64 = 17_737;
const WEEK: i64 = 7;
/// Days in which the labels of the last training day come in.
const DELAY: i64 = 7;
/// Unlabelled weeks that end with the training week.
const PRETRAIN_WEEKS: i64 = 4;

fn main() -> Result<(), Box<dyn Error>> {
    let argument = |at: usize, default: u32| match std::env::args().nth(at) {
        Some(text) => text.parse(),
        None => Ok(default),
    };
    let (seeds, steps, weeks) = (argument(1, 3)?, argument(2, 300)?, argument(3, 1)?);
    model::threads(1);
    let schema = FeatureSchema::standard();
    for week in 0..i64::from(weeks) {
        let train_from = TRAIN_FROM + week * WEEK;
        let table = encode(&schema, train_from)?;
        let test = test_set(&table, train_from);
        let frauds = test.label.iter().filter(|&&label| label > 0.5).count();
        report(&format!(
            "week {week}: {} test payments, {frauds} frauds",
            test.len()
        ));
        for seed in 0..u64::from(seeds) {
            for steps in [steps, 0] {
                arm(&schema, &table, train_from, &test, seed, steps)?;
            }
        }
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "an example reports on its output")]
fn report(line: &str) {
    println!("{line}");
}

/// Everything from the first pretraining day to the last test day, encoded from the beginning of
/// the set on; labels are known a week after their payment.
fn encode(schema: &FeatureSchema, train_from: i64) -> Result<Examples, Box<dyn Error>> {
    let map = FeedMap::parse(&std::fs::read_to_string("ops/config/maps/handbook.toml")?)?;
    let key = TokenKey::new(b"a key that is only used in examples")?;
    let file = File::open("../shared/data/handbook/transactions.parquet")?;
    let mut encoder = FeatureEncoder::new(schema.clone(), RiskSettings::default());
    let mut table = Examples::new(schema.len());
    let keep_from = (train_from + WEEK - PRETRAIN_WEEKS * WEEK) * DAY_MS;
    let end = (train_from + 2 * WEEK + DELAY) * DAY_MS;
    let started = Instant::now();
    for row in read(&map, &key, Source::File(file)) {
        let row = row?;
        let payment = &row.transaction;
        if payment.ts >= end {
            break;
        }
        let vector = encoder.encode(payment);
        let label = row.label.as_ref().ok_or("the handbook map has labels")?;
        if payment.ts >= keep_from {
            let card = row.extra["customer"].parse()?;
            table.push(
                &vector.0,
                card,
                payment.ts,
                f32::from(u8::from(label.fraud)),
            )?;
        }
        encoder.add_label(payment, label);
    }
    report(&format!("encoded in {:.0?}", started.elapsed()));
    Ok(table)
}

/// The test week without cards whose fraud was known: from training, or from a day that lies
/// the delay before the test day.
fn test_set(table: &Examples, train_from: i64) -> Examples {
    let mut frauds: BTreeMap<i64, BTreeSet<u32>> = BTreeMap::new();
    for row in (0..table.len()).filter(|&row| table.label[row] > 0.5) {
        frauds
            .entry(table.ts[row] / DAY_MS)
            .or_default()
            .insert(table.card[row]);
    }
    let mut test = Examples::new(table.columns);
    for day in 0..WEEK {
        let known_to = train_from + WEEK + day;
        let known: BTreeSet<u32> = frauds
            .range(train_from..known_to)
            .flat_map(|(_, cards)| cards.clone())
            .collect();
        let from = train_from + WEEK + DELAY + day;
        let of_day = table.between(from * DAY_MS..(from + 1) * DAY_MS);
        for row in (0..of_day.len()).filter(|&row| !known.contains(&of_day.card[row])) {
            let (card, ts) = (of_day.card[row], of_day.ts[row]);
            let pushed = test.push(of_day.row(row), card, ts, of_day.label[row]);
            pushed.expect("rows of one table have one width");
        }
    }
    test
}

/// Trains one model and prints its figures; 0 steps of pretraining is the scratch arm.
fn arm(
    schema: &FeatureSchema,
    table: &Examples,
    train_from: i64,
    test: &Examples,
    seed: u64,
    steps: u32,
) -> Result<(), Box<dyn Error>> {
    let started = Instant::now();
    let size = NetworkSize::default();
    let mut learner = Learner::new(schema, size, &genesis(&layout(schema, size), seed))?;
    let train_end = (train_from + WEEK) * DAY_MS;
    let mut pretrained = String::from("scratch");
    if steps > 0 {
        let (rate, rate_end, patience) = (3e-3, 6e-5, None);
        let terms = PretrainTerms {
            steps,
            batch: 256,
            rate,
            rate_end,
            seed,
            patience,
        };
        let unlabelled = table.between(0..train_end);
        let found = learner.pretrain(&unlabelled, &terms, &mut Bar::new("pretrain"))?;
        pretrained = format!(
            "held-out {:.3} rank {:.1}",
            found.held_out, found.effective_rank
        );
    }
    let labelled = table.between(train_from * DAY_MS..train_end);
    let terms = FinetuneTerms {
        steps: (8 * labelled.len() / 256) as u32,
        batch: 256,
        rate_head: 2e-3,
        rate_encoder: if steps > 0 { 5e-4 } else { 2e-3 },
        dropout: 0.2,
        weight_decay: 1e-4,
        proximal: 0.0,
        seed,
    };
    learner.finetune_annealed(&labelled, &terms, &mut Bar::new("finetune"))?;
    let scorer = Scorer::new(schema, size, &learner.parameters(), Calibration::default())?;
    let scores: Vec<f32> = scorer
        .score(&test.values)?
        .iter()
        .map(|score| score.logit)
        .collect();
    let labels: Vec<bool> = test.label.iter().map(|&label| label > 0.5).collect();
    let rows: Vec<CardScore> = (0..test.len())
        .map(|row| CardScore {
            day: (test.ts[row] / DAY_MS) as i32,
            card: test.card[row],
            score: scores[row],
            fraud: labels[row],
        })
        .collect();
    let figure = |value: Option<f64>| value.map_or_else(|| "none".into(), |v| format!("{v:.4}"));
    report(&format!(
        "seed {seed}: AP {} AUC {} CP@100 {} ({pretrained}, {:.0?})",
        figure(average_precision(&scores, &labels)),
        figure(auc(&scores, &labels)),
        figure(card_precision_at(100, &rows)),
        started.elapsed(),
    ));
    Ok(())
}
