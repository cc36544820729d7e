//! The `run` subcommand: many worlds, one line at the end, and for a failure the line that has it
//! again. `--trace` tells one world's story.

use std::io::Write;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use clap::Args as ClapArgs;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::oracle::Violation;
use super::scenario::Scenario;
use super::{Story, World};

/// Arguments of `phalanx-sim run`.
#[derive(ClapArgs)]
#[command(
    after_help = "Examples:\n  phalanx-sim run --seeds 1000\n  phalanx-sim run --first 17 \
                        --seeds 1 --trace"
)]
pub struct Args {
    /// How many worlds.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// The first seed.
    #[arg(long, visible_alias = "seed", default_value_t = 1)]
    first: u64,
    /// Tell the story of each world on standard error.
    #[arg(long)]
    trace: bool,
    /// Print one JSON object instead of a line.
    #[arg(long)]
    json: bool,
}

/// Plays the worlds on all cores; stops at the first violation.
pub fn run(args: &Args) -> ExitCode {
    let bar = ProgressBar::new(args.seeds);
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} worlds {eta}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let next = AtomicU64::new(args.first);
    let whole = Mutex::new((Story::default(), None::<(u64, Violation)>));
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..if args.trace { 1 } else { threads } {
            scope.spawn(|| play(args, &next, &whole, &bar));
        }
    });
    bar.finish_and_clear();
    let (story, failed) = whole.into_inner().unwrap_or_else(PoisonError::into_inner);
    report(args, story, failed)
}

fn play(
    args: &Args,
    next: &AtomicU64,
    whole: &Mutex<(Story, Option<(u64, Violation)>)>,
    bar: &ProgressBar,
) {
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= args.first.saturating_add(args.seeds) {
            return;
        }
        let played = World::new(Scenario::from_seed(seed), args.trace).play();
        bar.inc(1);
        let mut whole = whole.lock().unwrap_or_else(PoisonError::into_inner);
        match played {
            Ok(story) => whole.0.add(story),
            Err(violation) => {
                // The smallest seed is reported, whichever thread met it first.
                if whole.1.as_ref().is_none_or(|(known, _)| seed < *known) {
                    whole.1 = Some((seed, violation));
                }
                next.store(u64::MAX / 2, Ordering::Relaxed);
                return;
            }
        }
    }
}

fn report(args: &Args, story: Story, failed: Option<(u64, Violation)>) -> ExitCode {
    let mut out = std::io::stdout().lock();
    let text = match &failed {
        None if args.json => json!({
            "worlds": args.seeds,
            "committed": story.committed,
            "abandoned": story.abandoned,
            "dropouts": story.dropouts,
            "audits": story.audits,
            "crashes": story.crashes,
            "events": story.events,
        })
        .to_string(),
        None => format!(
            "{} worlds: {} rounds committed, {} attempts abandoned, {} dropouts, {} audits, \
             {} crashes, {} events; every invariant held",
            args.seeds,
            story.committed,
            story.abandoned,
            story.dropouts,
            story.audits,
            story.crashes,
            story.events
        ),
        Some((seed, violation)) => format!(
            "seed {seed}: {violation}\nagain: phalanx-sim run --first {seed} --seeds 1 --trace\n\
             as a literal: {:?}",
            Scenario::from_seed(*seed)
        ),
    };
    // Nothing is left to do where even this cannot be said.
    let _ = writeln!(out, "{text}");
    if failed.is_some() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

impl Story {
    fn add(&mut self, other: Self) {
        self.committed += other.committed;
        self.abandoned += other.abandoned;
        self.dropouts += other.dropouts;
        self.audits += other.audits;
        self.crashes += other.crashes;
        self.events += other.events;
    }
}
