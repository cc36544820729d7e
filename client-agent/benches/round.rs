//! What a bank's round costs, and that its memory is bounded by cards, outlets and a round's rows,
//! not by the number of payments: `cargo xtask bench round [--payments N] [--quick] [--json]`.
//!
//! Payments are made up: as many cards and outlets whatever N, some much busier than others, over
//! 63 days. An agent's trainer gets one order of pretraining and one of fine-tuning, on the terms
//! of `ops/config/plans`, and each a second time: then its rows are encoded already, so that the
//! difference is what encoding takes. Peaks are of the process so far, the encoder that scoring
//! would go on with included.

#![expect(clippy::print_stdout, reason = "a program whose output is its figures")]
#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on ends")]

use std::fmt::Debug;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::Arc;

use client_agent::config::{Baseline, Head, HistoryConfig, Own};
use client_agent::history::History;
use client_agent::network;
use client_agent::status::Board;
use client_agent::training::{Trainer, settle_in};
use crypto::Digest;
use features::{FeatureSchema, Limits};
use host::shutdown::Shutdown;
use host::usage::Usage;
use model::NetworkSize;
use protocol::client::{Contribution, Order};
use protocol::genesis;
use protocol::id::{Context, RoundId};
use protocol::plan::{ModelTerms, Part, SchemaText, ServerRule, Training, Work};
use serde_json::{Value, json};
use toml::Table;

#[path = "../src/training/tests/plan.rs"]
mod plan;

use plan::plan;

const PAYMENTS: u32 = 200_000;
const PAYMENTS_QUICK: u32 = 20_000;

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let is_asked = |option: &str| words.iter().any(|word| word == option);
    let told = words.iter().position(|word| word == "--payments");
    let payments = match told.and_then(|at| words.get(at + 1)) {
        Some(text) => text.parse().unwrap(),
        None if is_asked("--quick") => PAYMENTS_QUICK,
        None => PAYMENTS,
    };
    // As an agent's learning thread does.
    settle_in();
    let folder = tempfile::tempdir().unwrap();
    let pretrain = work("pretrain", PRETRAIN, &[Part::Encoder, Part::Energy]);
    let finetune = work("finetune", FINETUNE, &[Part::Encoder, Part::Head]);
    let (written, config) = Stage::of(|| write(folder.path(), payments, until_day(&finetune)));
    let (loaded, (history, encoder)) = Stage::of(|| {
        let (schema, shutdown) = (FeatureSchema::standard(), Shutdown::default());
        History::load(&config, &schema, &shutdown).unwrap()
    });
    assert_eq!(history.summary().transactions, u64::from(payments));
    let own = Own {
        baseline: Baseline::Off,
        head: Head::Federation,
    };
    let mut trainer = Trainer::new(history, own, Board::default());
    let mut stages = vec![("write", written), ("load", loaded)];
    for (names, work) in [
        (["pretrain_encode", "pretrain"], pretrain),
        (["finetune_encode", "finetune"], finetune),
    ] {
        let (both, ()) = Stage::of(|| contribute(&mut trainer, &work, 0));
        let (trained, ()) = Stage::of(|| contribute(&mut trainer, &work, 1));
        let encoded = Stage {
            cpu_seconds: both.cpu_seconds - trained.cpu_seconds,
            ..both
        };
        stages.extend(names.into_iter().zip([encoded, trained]));
    }
    drop(encoder);
    match is_asked("--json") {
        true => println!("{}", object(payments, &stages)),
        false => print_table(payments, &stages),
    }
}

/// What some work took.
#[derive(Clone, Copy)]
struct Stage {
    cpu_seconds: f64,
    /// Of the process, up to the end of this work.
    peak_mb: f64,
}

impl Stage {
    fn of<T>(work: impl FnOnce() -> T) -> (Self, T) {
        let usage = || Usage::of(std::process::id());
        let before = usage().cpu_seconds;
        let made = work();
        let after = usage();
        let stage = Self {
            cpu_seconds: after.cpu_seconds - before,
            peak_mb: after.peak_memory_mb,
        };
        (stage, made)
    }
}

fn object(payments: u32, stages: &[(&str, Stage)]) -> Value {
    let mut object = json!({ "bench": "round", "payments": payments });
    for (name, stage) in stages {
        object[*name] = json!({
            "cpu_seconds": (stage.cpu_seconds * 100.0).round() / 100.0,
            "peak_mb": stage.peak_mb.round(),
        });
    }
    object
}

fn print_table(payments: u32, stages: &[(&str, Stage)]) {
    println!("{payments} payments        CPU s   peak MB");
    for (name, stage) in stages {
        let (seconds, peak) = (stage.cpu_seconds, stage.peak_mb);
        println!("{name:<20} {seconds:8.2} {peak:9.0}");
    }
}

/// The trainer's answer to an order of this work, which has to be one.
fn contribute(trainer: &mut Trainer, work: &Work, step: u32) {
    let model = work.model().unwrap();
    let order = Order {
        context: Context(Digest([1; 32])),
        round: RoundId(1),
        plan: plan(work.clone(), 20),
        step,
        parameters: Arc::new(genesis::parameters(model)),
        seed: 1,
        bucket_key: None,
    };
    match trainer.contribute(&order).unwrap() {
        Contribution::Update { examples, .. } => assert!(examples > 0, "nothing to learn from"),
        Contribution::Counts(_) => unreachable!("an update was ordered"),
    }
}

const PRETRAIN: &str = include_str!("../../ops/config/plans/pretrain.toml");
const FINETUNE: &str = include_str!("../../ops/config/plans/finetune.toml");

/// The work of a plan file, which is the recipe's.
fn work(kind: &str, file: &str, parts: &[Part]) -> Work {
    let file: Table = file.parse().unwrap();
    let terms = file[kind].as_table().unwrap();
    let schema = FeatureSchema::standard();
    let training = Training {
        model: ModelTerms {
            schema: SchemaText(schema.canonical()),
            layout: network::layout(&schema, NetworkSize::default()),
            genesis_seed: whole(terms, "genesis_seed"),
            base: None,
        },
        parts: parts.to_vec(),
        from_day: whole(terms, "from_day"),
        to_day: whole(terms, "to_day"),
        label_delay_days: whole(terms, "label_delay_days"),
        steps: whole(terms, "steps"),
        batch: whole(terms, "batch"),
        rate: real(terms, "rate"),
        rate_encoder: real(terms, "rate_encoder"),
        rate_end: real(terms, "rate_end"),
        proximal: 0.0,
        examples_cap: whole(terms, "examples_cap"),
        clip_norm: real(terms, "clip_norm"),
        range: real(terms, "range"),
        value_bits: whole(terms, "value_bits"),
        server: ServerRule::FedAvg { rate: 1.0 },
    };
    match kind {
        "pretrain" => Work::Pretrain(training),
        _ => Work::Finetune(training),
    }
}

fn whole<T: TryFrom<i64, Error: Debug>>(terms: &Table, name: &str) -> T {
    terms[name].as_integer().unwrap().try_into().unwrap()
}

fn real(terms: &Table, name: &str) -> f32 {
    terms[name].as_float().unwrap() as f32
}

/// The first day after the one on which the last label that counts became known.
fn until_day(work: &Work) -> i64 {
    let (Work::Pretrain(training) | Work::Finetune(training)) = work else {
        unreachable!("both train")
    };
    i64::from(training.to_day) + i64::from(training.label_delay_days)
}

const MAP: &str = concat!(
    include_str!("../../ops/config/maps/cards.toml"),
    "terminal_tok = \"terminal\"\n\n[labels]\nfraud = \"fraud\"\nknown_after_days = 3\n"
);

const CARDS: u64 = 20_000;
const TERMINALS: u64 = 5_000;
const DAYS: i64 = 63;
const DAY_MS: i64 = 86_400_000;

/// A feed of so many payments over the days before `until_day`, row by row to the disk.
fn write(folder: &Path, payments: u32, until_day: i64) -> HistoryConfig {
    let mut draws = Draws(1);
    let config = HistoryConfig {
        file: folder.join("history.csv"),
        map: folder.join("map.toml"),
        token_key: folder.join("token.key"),
        days: i32::MIN..i32::MAX,
        limits: Limits::default(),
        scratch: folder.to_owned(),
    };
    std::fs::write(&config.map, MAP).unwrap();
    std::fs::write(&config.token_key, "00".repeat(32)).unwrap();
    let mut file = BufWriter::new(File::create(&config.file).unwrap());
    writeln!(file, "id,ts,amount,account,terminal,fraud").unwrap();
    for at in 0..i64::from(payments) {
        let ts = (until_day - DAYS) * DAY_MS + at * DAYS * DAY_MS / i64::from(payments);
        let (card, terminal) = (draws.skewed(CARDS), draws.skewed(TERMINALS));
        // One terminal in 97 is compromised: a quarter of its payments are frauds.
        let is_fraud = terminal % 97 == 13 && draws.below(4) == 0;
        let amount = match is_fraud {
            true => 5_000 + draws.below(90_000),
            false => 500 + draws.below(8_000),
        };
        let fraud = u8::from(is_fraud);
        writeln!(file, "p{at},{ts},{amount},a{card},t{terminal},{fraud}").unwrap();
    }
    file.flush().unwrap();
    config
}

/// Chance for made-up payments, the same in every run.
struct Draws(u64);

impl Draws {
    fn below(&mut self, bound: u64) -> u64 {
        // Knuth's constant of MMIX; its high bits are the good ones.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005);
        self.0 = self.0.wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    /// Small numbers far more often than large ones: density falls as x^(-2/3).
    fn skewed(&mut self, bound: u64) -> u64 {
        let part = self.below(1 << 24) as f64 / (1_u64 << 24) as f64;
        (bound as f64 * part.powi(3)) as u64
    }
}
