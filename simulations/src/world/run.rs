//! The `run` subcommand: many worlds, one line at the end, and for a failure the line that has it
//! again. `--trace` tells one world's story. How far it got is `note.rs`.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Args as ClapArgs;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::World;
use super::note::Progress;
use super::oracle::Violation;
use super::scenario::Scenario;
use crate::print;

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
    /// Note in this file how far it got, and go on from there the next time.
    #[arg(long, value_name = "FILE")]
    note: Option<PathBuf>,
    /// Tell the story of each world on standard error.
    #[arg(long)]
    trace: bool,
    /// Print one JSON object instead of a line.
    #[arg(long)]
    json: bool,
}

/// What the threads share.
struct Run<'a> {
    args: &'a Args,
    next: AtomicU64,
    found: Mutex<Found>,
    bar: ProgressBar,
}

/// What they found.
struct Found {
    progress: Progress,
    failed: Option<(u64, Violation)>,
    note_failed: Option<io::Error>,
    told: Instant,
}

/// Plays the worlds on all cores; stops at the first violation.
pub fn run(args: &Args) -> ExitCode {
    let progress = match Progress::new(args.first, args.note.as_deref()) {
        Ok(progress) => progress,
        Err(error) => return could_not_note(&error),
    };
    let bar = ProgressBar::new(args.seeds).with_position(progress.worlds());
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} worlds {eta}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.reset_eta();
    let run = Run {
        args,
        next: AtomicU64::new(progress.next()),
        found: Mutex::new(Found {
            progress,
            failed: None,
            note_failed: None,
            told: Instant::now(),
        }),
        bar,
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..if args.trace { 1 } else { threads } {
            scope.spawn(|| run.play());
        }
    });
    run.bar.finish_and_clear();
    let found = run.found.into_inner();
    report(args, found.unwrap_or_else(PoisonError::into_inner))
}

impl Run<'_> {
    fn play(&self) {
        loop {
            let seed = self.next.fetch_add(1, Ordering::Relaxed);
            if seed >= self.args.first.saturating_add(self.args.seeds) {
                return;
            }
            let played = World::new(Scenario::from_seed(seed), self.args.trace).play();
            self.bar.inc(1);
            let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
            match played {
                Ok(story) => {
                    if let Err(error) = found.progress.add(seed, story) {
                        found.note_failed = Some(error);
                        return self.stop();
                    }
                    self.tell(&mut found);
                }
                Err(violation) => {
                    // The smallest seed is reported, whichever thread met it first.
                    if found.failed.as_ref().is_none_or(|(known, _)| seed < *known) {
                        found.failed = Some((seed, violation));
                    }
                    return self.stop();
                }
            }
        }
    }

    fn stop(&self) {
        self.next.store(u64::MAX / 2, Ordering::Relaxed);
    }

    /// A line now and then where there is no terminal to draw a bar on.
    fn tell(&self, found: &mut Found) {
        if found.told.elapsed() < TOLD_EVERY || io::stderr().is_terminal() {
            return;
        }
        found.told = Instant::now();
        let (worlds, seeds) = (found.progress.worlds(), self.args.seeds);
        // Nothing is left to do where even this cannot be said.
        let _ = writeln!(io::stderr(), "{worlds} of {seeds} worlds");
    }
}

fn report(args: &Args, found: Found) -> ExitCode {
    let written = found.progress.write();
    if let Some(error) = found.note_failed.or_else(|| written.err()) {
        return could_not_note(&error);
    }
    let (worlds, story) = (found.progress.worlds(), found.progress.story());
    let text = match &found.failed {
        None if args.json => json!({
            "worlds": worlds,
            "committed": story.committed,
            "abandoned": story.abandoned,
            "dropouts": story.dropouts,
            "audits": story.audits,
            "crashes": story.crashes,
            "events": story.events,
        })
        .to_string(),
        None => format!(
            "{worlds} worlds: {} rounds committed, {} attempts abandoned, {} dropouts, {} audits, \
             {} crashes, {} events; every invariant held",
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
    let answered = print::answer("run", |out| writeln!(out, "{text}"));
    match found.failed {
        Some(_) => ExitCode::FAILURE,
        None => answered,
    }
}

fn could_not_note(error: &io::Error) -> ExitCode {
    // Nothing is left to do where even this cannot be said.
    let _ = writeln!(io::stderr(), "could not note how far it got: {error}");
    ExitCode::FAILURE
}

/// Between two lines about how far it is.
const TOLD_EVERY: Duration = Duration::from_secs(30);
