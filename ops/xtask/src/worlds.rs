//! `cargo xtask worlds`: many more simulated federations than the tests play, in a release build
//! without libtorch. It can be interrupted: the note of how far it got lies beside what was built.
//!
//! The worlds are played by `phalanx-sim run`; here is only how it is built and called.

use std::path::Path;

use crate::libtorch::Libtorch;
use crate::options::Options;
use crate::workshop::{Failure, Workshop, passed_on};

/// Builds the simulator and plays; its exit status is ours.
pub(crate) fn run(root: &Path, words: &[String]) -> Result<(), Failure> {
    let options = Options::read(words, &["--seeds", "--first"], &["--afresh", "--json"])?;
    if let Some(name) = options.names.first() {
        return Err(Failure::Said(format!(
            "found `{name}`, expected options; see cargo xtask worlds --help"
        )));
    }
    let seeds = options.number("--seeds").unwrap_or(SEEDS);
    let first = options.number("--first").unwrap_or(1);
    // Nothing here needs libtorch, so nothing is set up.
    let workshop = Workshop::new(root, Libtorch::chosen(root));
    let mut build = workshop.cargo();
    build.args(["build", "--release", "--locked", "--package", "simulations"]);
    build.args(["--no-default-features", "--bin", SIMULATOR]);
    passed_on(&mut build, "cargo")?;
    let simulator = workshop.released(SIMULATOR)?;
    let note = simulator.with_file_name(format!("worlds-from-{first}.json"));
    if options.has("--afresh") && note.exists() {
        std::fs::remove_file(&note)
            .map_err(|error| Failure::Said(format!("could not begin afresh: {error}")))?;
    }
    let mut play = workshop.command(simulator.into());
    play.args(["run", "--seeds", &seeds.to_string()]);
    play.args(["--first", &first.to_string(), "--note"])
        .arg(note);
    if options.has("--json") {
        play.arg("--json");
    }
    passed_on(&mut play, SIMULATOR)
}

/// Worlds of a night, or of an hour of two cores.
const SEEDS: u64 = 100_000;

const SIMULATOR: &str = "phalanx-sim";
