//! `cargo xtask demo`: builds the programs and hands over to `phalanx demo`.
//!
//! What a demo is lives in `ops/src/demo.rs`.

use std::path::Path;
use std::process::ExitStatus;

use crate::setup;
use crate::workshop::Failure;

/// Builds, then runs the demo with the words of the user; its exit status is ours.
pub(crate) fn run(root: &Path, words: &[String]) -> Result<(), Failure> {
    let workshop = setup::run(root)?;
    let mut build = workshop.cargo();
    // The whole workspace: with fewer packages their dependencies would have other features.
    build.args(["build", "--workspace", "--bins", "--locked"]);
    let status = build
        .status()
        .map_err(|error| Failure::Said(format!("could not start cargo: {error}")))?;
    passed_on(status)?;
    // `cargo xtask demo -- --help` asks the demo, not us.
    let words = words.strip_prefix(&["--".to_owned()]).unwrap_or(words);
    let status = workshop
        .program("phalanx")?
        .arg("demo")
        .args(words)
        .status()
        .map_err(|error| Failure::Said(format!("could not start phalanx: {error}")))?;
    passed_on(status)
}

fn passed_on(status: ExitStatus) -> Result<(), Failure> {
    if status.success() {
        return Ok(());
    }
    // A child that a signal ended has no code.
    let code = status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .unwrap_or(1);
    Err(Failure::Status(code))
}
