//! How many rows a second are pretrained on this machine, and what processor time a row takes:
//! `cargo bench -p model --bench pretrain -- [--steps N] [--threads 1,2] [--device cpu] [--json]`.
//!
//! A plain program: the standard schema, batches of 256, a made-up table, one process and one
//! table for all thread counts. A row counts once, whatever the number of its perturbed versions.
//! One call is measured as an agent makes it, so with its held-out measures, about three steps'
//! worth. `cargo xtask bench pretrain` holds it against `ops/peers/pytorch/pretrain.py`.
#![expect(clippy::print_stdout, reason = "a program whose output is its figures")]

use std::time::Instant;

use features::{Column, FeatureSchema, Role};
use model::{
    Device, Examples, Learner, NetworkSize, Part, PretrainTerms, TensorSpec, genesis, layout,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

const CARDS: u32 = 400;
const EACH: u32 = 50;
const BATCH: u32 = 256;
/// Steps before those that are measured: memory and threads are had by then.
const WARM_UP: u32 = 10;

fn main() {
    let is_json = std::env::args().any(|word| word == "--json");
    let steps = option("--steps").map_or(100, |word| whole(&word));
    let device = option("--device").map_or(Device::Cpu, |word| {
        word.parse().expect("--device is cpu or cuda")
    });
    let threads = option("--threads").unwrap_or_else(|| "1,2".to_owned());
    let schema = FeatureSchema::standard();
    let rows = population(&schema);
    for count in threads.split(',').map(whole) {
        model::threads(u16::try_from(count).expect("--threads are few"));
        pretrain(&schema, &rows, device, WARM_UP);
        let taken = pretrain(&schema, &rows, device, steps);
        tell(is_json, count, steps, &taken);
    }
}

/// What one call took.
struct Taken {
    seconds: f64,
    cpu_seconds: f64,
    loss: f32,
    parameters: usize,
}

/// Pretrains a fresh network.
fn pretrain(schema: &FeatureSchema, rows: &Examples, device: Device, steps: u32) -> Taken {
    let size = NetworkSize::default();
    let layout = layout(schema, size);
    let terms = PretrainTerms {
        steps,
        batch: BATCH,
        rate: 3e-3,
        rate_end: 6e-5,
        seed: 1,
        patience: None,
    };
    let learner = Learner::new(schema, size, &genesis(&layout, 1));
    let mut learner = learner
        .and_then(|learner| learner.on(device))
        .expect("genesis is of this layout, and the device is there");
    let (begun, before) = (Instant::now(), cpu_seconds());
    let report = learner
        .pretrain(rows, &terms, &mut ())
        .expect("the made-up rows can be trained on");
    let trained = layout.iter().filter(|spec| spec.part != Part::Head);
    Taken {
        seconds: begun.elapsed().as_secs_f64(),
        cpu_seconds: cpu_seconds() - before,
        loss: report.loss,
        parameters: trained.map(TensorSpec::count).sum(),
    }
}

fn tell(is_json: bool, threads: u32, steps: u32, taken: &Taken) {
    let rows = f64::from(steps * BATCH);
    let (each, cpu) = (rows / taken.seconds, taken.cpu_seconds * 1e6 / rows);
    let (loss, parameters) = (taken.loss, taken.parameters);
    if is_json {
        println!(
            "{{\"side\":\"rust\",\"threads\":{threads},\"batch\":{BATCH},\"steps\":{steps},\
             \"parameters\":{parameters},\"rows_s\":{each:.1},\"cpu_us_row\":{cpu:.2},\
             \"loss\":{loss:.4}}}"
        );
    } else {
        println!(
            "{threads} threads: {each:.0} rows/s, {cpu:.1} us of processor a row, loss {loss:.3}"
        );
    }
}

/// Payments that keep to their cards' habits within .3 sd; windows and risks are noise.
fn population(schema: &FeatureSchema) -> Examples {
    let named = |name| schema.position(name).expect("the standard schema has it");
    let amount = named("amount");
    let levels = [
        "history_log_mean",
        "history_mean",
        "history_median",
        "history_max",
    ];
    let levels = levels.map(named);
    let mut chance = ChaCha8Rng::seed_from_u64(1);
    let mut made = Examples::new(schema.len());
    let mut habits: Vec<Vec<f32>> = Vec::new();
    for _ in 0..CARDS {
        let mut habit: Vec<f32> = (0..schema.len()).map(|_| normal(&mut chance)).collect();
        levels
            .iter()
            .for_each(|&level| habit[level] = habit[amount]);
        habits.push(habit);
    }
    for time in 0..EACH {
        for (card, habit) in (0_u32..).zip(&habits) {
            let row = payment(schema, habit, &mut chance);
            let ts = i64::from(time) * 3_600_000 + i64::from(card);
            made.push(&row, card, ts, f32::NAN)
                .expect("a row has the schema's columns");
        }
    }
    made
}

fn payment(schema: &FeatureSchema, habit: &[f32], chance: &mut ChaCha8Rng) -> Vec<f32> {
    let columns = schema.columns().iter().zip(habit);
    let value = |(column, habit): (&Column, &f32)| match column.role {
        Role::Event(_) if column.is_flag => f32::from(u8::from(*habit > 1.0)),
        Role::Event(_) => habit + 0.3 * normal(chance),
        Role::Context => *habit,
        Role::Derived { .. } => 0.0,
        Role::Window | Role::OwnRisk | Role::SharedRisk => normal(chance),
    };
    let mut row: Vec<f32> = columns.map(value).collect();
    for column in 0..row.len() {
        if let Some(value) = schema.derive(column, &row) {
            row[column] = value;
        }
    }
    row
}

/// Near enough standard normal: the sum of 12 uniforms minus 6.
fn normal(chance: &mut ChaCha8Rng) -> f32 {
    let uniform = |_| (chance.next_u32() >> 8) as f32 / 16_777_216.0;
    (0..12).map(uniform).sum::<f32>() - 6.0
}

/// Processor time of all threads so far, as Linux tells it in ticks of a hundredth of a second; the
/// second field is a name in brackets that may hold anything.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: f64 = ticks.filter_map(|word| word.parse::<f64>().ok()).sum();
    ticks / 100.0
}

/// The word after an option.
fn option(name: &str) -> Option<String> {
    std::env::args().skip_while(|word| word != name).nth(1)
}

fn whole(word: &str) -> u32 {
    let number = word.parse::<u32>().ok().filter(|number| *number > 0);
    number.expect("steps and threads are whole numbers above 0")
}
