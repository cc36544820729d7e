//! `cargo xtask soak`: more of what the tests do a little of. `kill` ends an agent by kill -9 many
//! times while payments are judged; `recover` measures how long it takes to come back.
//!
//! Both are targets of `client-agent`; here is only how they are called.

use std::path::Path;

use crate::options::Options;
use crate::setup;
use crate::workshop::{Failure, passed_on};

/// Builds and runs one of the two; its exit status is ours.
pub(crate) fn run(root: &Path, words: &[String]) -> Result<(), Failure> {
    let options = Options::read(words, &["--times", "--payments"], &["--json"])?;
    let [name] = options.names.as_slice() else {
        return Err(Failure::Said(format!(
            "found {} names, expected kill or recover; see cargo xtask soak --help",
            options.names.len()
        )));
    };
    if !["kill", "recover"].contains(&name.as_str()) {
        return Err(Failure::Said(format!(
            "found `{name}`, expected kill or recover; see cargo xtask soak --help"
        )));
    }
    let workshop = setup::run(root)?;
    let mut cargo = workshop.cargo();
    if name == "kill" {
        let times = options.number("--times").unwrap_or(TIMES);
        cargo.args(["test", "--locked", "--package", "client-agent"]);
        cargo.args(["--test", "kill", "--", "--nocapture"]);
        cargo.env("PHALANX_KILLS", times.to_string());
    } else {
        let payments = options.number("--payments").unwrap_or(PAYMENTS);
        cargo.args(["bench", "--locked", "--package", "client-agent"]);
        cargo.args(["--bench", "recover", "--", "--payments"]);
        cargo.arg(payments.to_string());
        if options.has("--json") {
            cargo.arg("--json");
        }
    }
    passed_on(&mut cargo, "cargo")
}

const TIMES: u64 = 100;
const PAYMENTS: u64 = 10_000_000;
