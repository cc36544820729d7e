//! `cargo xtask fuzz`: every target of `protocol/fuzz` under libFuzzer, for a share of so many
//! executions. Needs nothing but what the project needs: libFuzzer comes with a crate, and the
//! compiler's own coverage suffices where all code is safe. By hand, with the address sanitizer:
//! `protocol/fuzz/Cargo.toml`.
//!
//! What a target's share is lives in `fuzz/target.rs`, what the compiler is told in
//! `fuzz/instrument.rs`, one running target in `fuzz/session.rs`.

use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::libtorch::Libtorch;
use crate::options::Options;
use crate::workshop::{Failure, Workshop, passed_on};

pub(crate) mod instrument;
mod session;
mod target;

use session::{Ended, Session, State};
use target::{Share, TARGETS};

/// Builds the targets and runs them, as many at a time as there are cores.
pub(crate) fn run(root: &Path, words: &[String]) -> Result<(), Failure> {
    let options = Options::read(words, &["--executions"], &["--json"])?;
    let executions = options.number("--executions").unwrap_or(EXECUTIONS);
    let shares = target::shares(&options.names, executions).map_err(Failure::Said)?;
    let folders = Folders::of(root);
    build(root, &folders)?;
    let ended = fuzz(&folders, shares)?;
    let text = if options.has("--json") {
        as_json(&ended)
    } else {
        as_table(&ended)
    };
    io::stdout()
        .write_all(text.as_bytes())
        .map_err(|error| Failure::Said(format!("could not print what came of it: {error}")))
}

/// Where things lie.
struct Folders {
    manifest: PathBuf,
    built: PathBuf,
    /// What is checked in.
    seeds: PathBuf,
    /// What grows from run to run, and is not checked in: `cargo fuzz cmin` chooses from it.
    corpus: PathBuf,
    logs: PathBuf,
    artifacts: PathBuf,
}

impl Folders {
    fn of(root: &Path) -> Self {
        let fuzz = root.join("protocol/fuzz");
        let built = fuzz.join("target");
        Self {
            manifest: fuzz.join("Cargo.toml"),
            seeds: fuzz.join("corpus"),
            corpus: built.join("corpus"),
            logs: built.join("logs"),
            artifacts: fuzz.join("artifacts"),
            built,
        }
    }
}

fn build(root: &Path, folders: &Folders) -> Result<(), Failure> {
    let own = std::env::current_exe();
    let own = own.map_err(|error| Failure::Said(format!("could not find xtask: {error}")))?;
    let workshop = Workshop::new(root, Libtorch::chosen(root));
    let mut cargo = workshop.cargo();
    cargo.args(["build", "--release", "--bins", "--manifest-path"]);
    cargo
        .arg(&folders.manifest)
        .arg("--target-dir")
        .arg(&folders.built);
    cargo
        .env("RUSTC_WRAPPER", own)
        .env(instrument::VARIABLE, "1");
    passed_on(&mut cargo, "cargo")
}

/// Runs all shares; the first target that fails ends it.
fn fuzz(folders: &Folders, shares: Vec<Share>) -> Result<Vec<Ended>, Failure> {
    let cannot = |error: io::Error| Failure::Said(format!("could not run a target: {error}"));
    let places = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut waiting = VecDeque::from(shares);
    let mut running: Vec<Session> = Vec::new();
    let mut ended = Vec::new();
    let mut told = Instant::now();
    while !(waiting.is_empty() && running.is_empty()) {
        while running.len() < places
            && let Some(share) = waiting.pop_front()
        {
            running.push(Session::start(folders, share).map_err(cannot)?);
        }
        let mut still = Vec::new();
        for mut session in running {
            match session.look().map_err(cannot)? {
                State::Running => still.push(session),
                State::Ended(whole) => ended.push(whole),
                // The others are killed as they are dropped.
                State::Failed(message) => return Err(Failure::Said(message)),
            }
        }
        running = still;
        tell(&running, ended.len(), &mut told);
        thread::sleep(LOOK);
    }
    if io::stderr().is_terminal() {
        eprint!("\r\x1b[K");
    }
    ended.sort_by_key(|ended| ended.name);
    Ok(ended)
}

/// One line that is written over on a terminal, a line now and then elsewhere.
fn tell(running: &[Session], ended: usize, told: &mut Instant) {
    let terminal = io::stderr().is_terminal();
    if told.elapsed() < if terminal { ON_TERMINAL } else { ELSEWHERE } {
        return;
    }
    *told = Instant::now();
    let parts: Vec<String> = running.iter().map(Session::so_far).collect();
    let line = format!("fuzz: {ended} done; {}", parts.join("; "));
    if terminal {
        eprint!("\r\x1b[K{line}");
    } else {
        eprintln!("{line}");
    }
}

fn as_table(ended: &[Ended]) -> String {
    let row = |name: &str, executions: u64, units: u64, seconds: f64| {
        format!("  {name:<20}{executions:>14}{units:>12}{seconds:>10.0}\n")
    };
    let mut table = format!(
        "  {:<20}{:>14}{:>12}{:>10}\n",
        "target", "executions", "new units", "seconds"
    );
    for one in ended {
        table.push_str(&row(
            one.name,
            one.executions,
            one.units,
            one.took.as_secs_f64(),
        ));
    }
    let (executions, units, took) = sums(ended);
    table.push_str(&row("all", executions, units, took.as_secs_f64()));
    table.push_str("no crash, no timeout, no memory beyond its limit\n");
    table
}

fn as_json(ended: &[Ended]) -> String {
    let object = |executions: u64, units: u64, took: Duration| {
        let seconds = took.as_secs_f64();
        format!("\"executions\":{executions},\"new_units\":{units},\"seconds\":{seconds:.1}")
    };
    let targets: Vec<String> = ended
        .iter()
        .map(|one| {
            let rest = object(one.executions, one.units, one.took);
            format!("{{\"target\":\"{}\",{rest}}}", one.name)
        })
        .collect();
    let (executions, units, took) = sums(ended);
    let rest = object(executions, units, took);
    format!("{{{rest},\"targets\":[{}]}}\n", targets.join(","))
}

/// Executions, new units, and the seconds of all targets together.
fn sums(ended: &[Ended]) -> (u64, u64, Duration) {
    let executions = ended.iter().map(|one| one.executions).sum();
    let units = ended.iter().map(|one| one.units).sum();
    (executions, units, ended.iter().map(|one| one.took).sum())
}

/// A quarter of an hour on two cores.
const EXECUTIONS: u64 = 100_000_000;

const LOOK: Duration = Duration::from_millis(100);
const ON_TERMINAL: Duration = Duration::from_secs(1);
const ELSEWHERE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_of_it_is_summed_up() {
        let one = |name, executions, units| Ended {
            name,
            executions,
            units,
            took: Duration::from_millis(1_500),
        };
        let ended = [one("client", 40, 3), one("plan", 2_000, 1)];
        let table = as_table(&ended);
        let all = table
            .lines()
            .find(|line| line.trim_start().starts_with("all"));
        let words: Vec<&str> = all.unwrap_or_default().split_whitespace().collect();
        assert_eq!(words, ["all", "2040", "4", "3"]);
        assert_eq!(
            as_json(&ended),
            "{\"executions\":2040,\"new_units\":4,\"seconds\":3.0,\"targets\":[\
             {\"target\":\"client\",\"executions\":40,\"new_units\":3,\"seconds\":1.5},\
             {\"target\":\"plan\",\"executions\":2000,\"new_units\":1,\"seconds\":1.5}]}\n"
        );
    }
}
