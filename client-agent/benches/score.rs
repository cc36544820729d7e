//! What a live decision costs on this machine: `cargo xtask bench score [--quick] [--json]`.
//!
//! A plain program. It makes a bank ready (`stage.rs`), times the worker alone (`inside.rs`) and
//! the two forward passes (`forward.rs`), then starts itself again as an agent (`agent.rs`) and
//! asks it over HTTP on loopback (`generator.rs`, `connection.rs`). What each figure means is in
//! docs/costs.md. No gate: gates belong where machines are known.
#![expect(clippy::print_stdout, reason = "a program whose output is its figures")]

use std::sync::Arc;
use std::time::Duration;

use client_agent::config::Share;
use client_agent::scoring::AnswerAfter;
use hdrhistogram::Histogram;
use serde_json::{Value, json};

use agent::Agent;
use generator::Generator;
use stage::{Sizes, Stage};

#[path = "score/agent.rs"]
mod agent;
#[path = "score/connection.rs"]
mod connection;
#[path = "score/forward.rs"]
mod forward;
#[path = "score/generator.rs"]
mod generator;
#[path = "score/inside.rs"]
mod inside;
#[path = "score/stage.rs"]
mod stage;

/// Probability from which no answer, and from which every answer carries reasons.
const NEVER: u16 = 1_000;
const ALWAYS: u16 = 1;

const RATES: [u32; 3] = [10_000, 5_000, 1_000];
const RATES_BESIDE: [u32; 2] = [5_000, 1_000];
const CONNECTIONS: [u32; 3] = [1, 16, 64];
const CALM: Duration = Duration::from_secs(3);

fn main() {
    let is_asked = |option: &str| std::env::args().any(|word| word == option);
    let (is_quick, is_json) = (is_asked("--quick"), is_asked("--json"));
    let sizes = match is_quick {
        true => Sizes::QUICK,
        false => Sizes::WHOLE,
    };
    // This program starts itself again to be the agent.
    agent::serve_if_asked(&sizes);
    let stage = Stage::set(&sizes);
    let parameters = Arc::new(stage.pretrained());
    let [plain, reasons, ahead] = [
        (NEVER, AnswerAfter::Flush),
        (ALWAYS, AnswerAfter::Flush),
        (NEVER, AnswerAfter::Write),
    ]
    .map(|terms| inside::measure((&stage, &sizes), &parameters, terms));
    let forward = forward::measure(&stage.examples, &parameters);
    let mut result = json!({
        "bench": "score",
        "is_quick": is_quick,
        "data": stage.source,
        "in_process_us": {
            "p50": microseconds(&plain.each, 0.5),
            "p99": microseconds(&plain.each, 0.99),
            "reasons": {
                "p50": microseconds(&reasons.each, 0.5),
                "p99": microseconds(&reasons.each, 0.99),
            },
            "after_write": {
                "p50": microseconds(&ahead.each, 0.5),
                "p99": microseconds(&ahead.each, 0.99),
            },
            "flush": {
                "payments": inside::FLUSH_EVERY,
                "p50": microseconds(&plain.flush, 0.5),
                "p99": microseconds(&plain.flush, 0.99),
            },
        },
        "forward_us": { "kernel": forward.kernel_us, "libtorch": forward.libtorch_us },
        "parity_max_abs": forward.parity_max_abs,
    });
    over_http(&mut result, &stage, &parameters, &sizes);
    match is_json {
        true => println!("{result}"),
        false => println!("{}", table("", &result)),
    }
}

/// Everything that an agent of its own process is asked for.
fn over_http(result: &mut Value, stage: &Stage, parameters: &[f32], sizes: &Sizes) {
    let span = Duration::from_secs(sizes.seconds);
    {
        let agent = Agent::start(parameters, (ALWAYS, AnswerAfter::Flush), sizes);
        let generator = Generator::new(agent.address, stage.load.clone());
        result["closed_loop_reasons"] = closed_loops(&agent, &generator, span);
    }
    {
        let agent = Agent::start(parameters, (NEVER, AnswerAfter::Write), sizes);
        let generator = Generator::new(agent.address, stage.load.clone());
        result["after_write"] = json!({
            "closed_loop": closed_loops(&agent, &generator, span),
            "open_loop": open_loops(&generator, span),
        });
    }
    let mut agent = Agent::start(parameters, (NEVER, AnswerAfter::Flush), sizes);
    let generator = Generator::new(agent.address, stage.load.clone());
    result["closed_loop"] = closed_loops(&agent, &generator, span);
    for (of, loops) in [("plain", "closed_loop"), ("reasons", "closed_loop_reasons")] {
        result["http_cpu_us"][of] = result[loops]["16"]["cpu_us_per_request"].clone();
    }
    result["open_loop"] = open_loops(&generator, span);
    // The last rates again, with the other heart of an agent at work, by default and by setting.
    for (of, share) in [
        ("training_beside", Share::Behind),
        ("training_idle", Share::Idle),
    ] {
        result[of] = match agent.train(share).as_str() {
            agent::TRAINS => beside(&generator, &result["open_loop"], span),
            why_not => {
                eprintln!("{of}: {why_not}");
                Value::Null
            }
        };
    }
}

fn open_loops(generator: &Generator, span: Duration) -> Value {
    let of = |rate: u32| {
        // What the stage before has left to do, ids to write down above all, is done by then.
        std::thread::sleep(CALM);
        (rate.to_string(), open_loop(generator, rate, span))
    };
    RATES.map(of).into_iter().collect()
}

/// Open loops while the agent trains, and their p99 over that of the same loop before.
fn beside(generator: &Generator, alone: &Value, span: Duration) -> Value {
    std::thread::sleep(Duration::from_secs(1));
    let of = |rate: u32| {
        let mut beside = open_loop(generator, rate, span);
        let alone = alone[rate.to_string()]["p99_us"].as_f64();
        let ratio = beside["p99_us"].as_f64().zip(alone);
        let ratio = ratio.map(|(beside, alone)| hundredths(beside / alone));
        beside["p99_ratio"] = json!(ratio);
        (rate.to_string(), beside)
    };
    RATES_BESIDE.map(of).into_iter().collect()
}

/// With each number of connections, once all that is lazy has come up.
fn closed_loops(agent: &Agent, generator: &Generator, span: Duration) -> Value {
    generator.closed_loop(16, Duration::from_secs(1));
    let of = |connections: u32| {
        let told = closed_loop(agent, generator, connections, span);
        (connections.to_string(), told)
    };
    CONNECTIONS.map(of).into_iter().collect()
}

fn closed_loop(agent: &Agent, generator: &Generator, connections: u32, span: Duration) -> Value {
    let cpu = agent.cpu_seconds();
    let told = generator.closed_loop(connections, span);
    let cpu = agent.cpu_seconds() - cpu;
    let answered = told.latency.len() as f64;
    json!({
        "rps": (answered / told.span.as_secs_f64()).round(),
        "p50_us": microseconds(&told.latency, 0.5),
        "p99_us": microseconds(&told.latency, 0.99),
        "p999_us": microseconds(&told.latency, 0.999),
        "cpu_us_per_request": hundredths(cpu * 1e6 / answered),
        "refused": told.refused,
    })
}

fn open_loop(generator: &Generator, rate: u32, span: Duration) -> Value {
    let told = generator.open_loop(rate, span);
    let answered = told.latency.len().saturating_sub(told.unanswered) as f64;
    json!({
        "p50_us": microseconds(&told.latency, 0.5),
        "p99_us": microseconds(&told.latency, 0.99),
        "p999_us": microseconds(&told.latency, 0.999),
        "achieved_tps": (answered / told.span.as_secs_f64()).round(),
        "sent_late_us": {
            "p50": microseconds(&told.late, 0.5),
            "p99": microseconds(&told.late, 0.99),
        },
        "unanswered": told.unanswered,
        "refused": told.refused,
    })
}

/// A histogram of nanoseconds, up to a minute.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("the bounds are valid")
}

fn nanoseconds(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

fn microseconds(of: &Histogram<u64>, quantile: f64) -> f64 {
    hundredths(of.value_at_quantile(quantile) as f64 / 1e3)
}

fn hundredths(figure: f64) -> f64 {
    (figure * 100.0).round() / 100.0
}

/// One line a figure, named by its path in the object.
fn table(path: &str, of: &Value) -> String {
    let Some(parts) = of.as_object() else {
        return format!("{path:<40} {of}\n");
    };
    let lines = parts.iter().map(|(name, part)| match path {
        "" => table(name, part),
        path => table(&format!("{path}.{name}"), part),
    });
    lines.collect()
}
