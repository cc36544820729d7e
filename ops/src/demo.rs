//! `phalanx demo`: the whole loop once, for real. A coordinator and the banks' agents run as
//! processes on loopback, from raw transactions to live scores; one agent is killed on the way.
//! Each step is a file under `demo/`; this one is their order.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;

use crate::door::Operator;

mod federation;
mod live;
mod plans;
mod processes;
mod report;
mod rounds;
mod stage;
mod steps;
mod table;

/// `phalanx demo`
#[derive(Args, Clone)]
#[command(
    after_help = "Examples:\n  phalanx demo\n  phalanx demo --json --keep demo-out\n  \
    phalanx demo --data transactions.parquet --map handbook.toml --banks 5 --deal 1"
)]
pub(crate) struct Arguments {
    /// Transactions to use instead of made-up ones: CSV, NDJSON or Parquet.
    #[arg(long, requires = "map")]
    data: Option<PathBuf>,
    /// The mapping file of `--data`: see ops/config/maps.
    #[arg(long)]
    map: Option<PathBuf>,
    /// How many banks.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(4..=20))]
    banks: u16,
    /// Deal rows to banks by this column, or by `FILE.csv:COLUMN` that maps customers to banks.
    #[arg(long, conflicts_with = "deal")]
    split_by: Option<String>,
    /// Deal customers to banks of unlike sizes by this seed.
    #[arg(long)]
    deal: Option<u64>,
    /// Seed of the made-up transactions and of the first parameters.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// First day of the live week, in days since 1970-01-01; the last week of the data otherwise.
    #[arg(long)]
    test_day: Option<u32>,
    /// Days of labelled training data.
    #[arg(long, default_value_t = 28)]
    train_days: u32,
    /// Days until a label is trusted.
    #[arg(long, default_value_t = 7)]
    delay_days: u16,
    /// Rounds of pretraining.
    #[arg(long, default_value_t = 6)]
    pretrain_rounds: u32,
    /// Rounds of fine-tuning.
    #[arg(long, default_value_t = 40)]
    finetune_rounds: u32,
    /// Local steps in a round of fine-tuning.
    #[arg(long, default_value_t = 60)]
    steps: u32,
    /// Keep everything (keys, stores, logs, scores) in this folder; a temporary one otherwise.
    #[arg(long)]
    keep: Option<PathBuf>,
    /// Where the HTML report goes.
    #[arg(long, default_value = "phalanx-demo.html")]
    report: PathBuf,
    /// Print one JSON object as the last line.
    #[arg(long)]
    json: bool,
}

/// Runs the demo.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let began = Instant::now();
    let steps = steps::Steps::new(8)?;
    let folder = steps::Folder::open(arguments.keep.as_deref())?;

    steps.begin("transactions");
    let stage = stage::make(arguments, &folder.path().join("data"), &steps)?;
    steps.note(&stage.summary());

    steps.begin("enrolment");
    let mut federation = federation::Federation::enrol(folder.path(), &stage)?;

    steps.begin("processes");
    federation.start(&stage, &steps)?;
    let operator = Operator::open(&federation.operator_identity(), federation.coordinator()?)?;
    steps.note(&format!(
        "coordinator and {} agents are up",
        stage.banks.len()
    ));
    let model = federation.model()?;
    let plans = plans::Plans::new(arguments, &stage, model);

    steps.begin("pretraining");
    rounds::run(&operator, &steps, plans.pretrain()?)?;

    steps.begin("risk counts");
    for plan in plans.risk_history()? {
        rounds::run(&operator, &steps, plan)?;
    }

    steps.begin("fine-tuning");
    let victim = rounds::run_with_a_death(&operator, &steps, plans.finetune()?, &mut federation)?;
    steps.note(&format!(
        "{victim} was killed in the middle of a round; the round went on"
    ));
    rounds::run(&operator, &steps, plans.evaluate()?)?;
    federation.wait_for_baselines(&steps)?;

    steps.begin("live week");
    let scored = live::run(&operator, &steps, &plans, &federation, &stage)?;

    steps.begin("judgement");
    let (coordinator, agent) = federation.usage();
    let mut outcome = table::Outcome {
        measures: stage::judge(arguments, &plans, &stage, &scored, &steps)?,
        latency: scored.latency(),
        rounds: rounds::listed(&operator)?,
        banks: federation.statuses()?,
        coordinator,
        agent,
        wall_seconds: 0.0,
    };
    federation.stop();
    outcome.wall_seconds = began.elapsed().as_secs_f64();
    report::write(&arguments.report, &outcome, &stage)?;
    steps.finish();
    Ok(table::print(&outcome, arguments.json, &arguments.report)?)
}
