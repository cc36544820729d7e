//! `cargo xtask demo`: builds the programs and hands over to `phalanx demo`.
//!
//! What a demo is lives in `ops/src/demo.rs`.

use std::path::Path;

use crate::setup;
use crate::workshop::{Failure, passed_on};

/// Builds, then runs the demo with the words of the user; its exit status is ours.
pub(crate) fn run(root: &Path, words: &[String]) -> Result<(), Failure> {
    let workshop = setup::run(root)?;
    let mut build = workshop.cargo();
    // The whole workspace: with fewer packages their dependencies would have other features.
    build.args(["build", "--workspace", "--bins", "--locked"]);
    passed_on(&mut build, "cargo")?;
    // `cargo xtask demo -- --help` asks the demo, not us.
    let words = words.strip_prefix(&["--".to_owned()]).unwrap_or(words);
    let mut demo = workshop.program("phalanx")?;
    passed_on(demo.arg("demo").args(words), "phalanx")
}
