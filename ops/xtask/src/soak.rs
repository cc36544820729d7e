//! `cargo xtask soak`: more of what the tests do a little of. `kill` ends an agent by kill -9 many
//! times while payments are judged; `disk` fills the disk beneath one; `swap` puts many models in
//! place under load; `recover` measures how long an agent takes to come back.
//!
//! All are targets of `client-agent`; here is only how they are called.

use std::path::Path;

use crate::options::Options;
use crate::setup;
use crate::workshop::{Failure, passed_on};

/// Builds and runs one of them; its exit status is ours.
pub(crate) fn run(root: &Path, words: &[String]) -> Result<(), Failure> {
    let options = Options::read(words, &["--times", "--payments"], &["--json"])?;
    let [name] = options.names.as_slice() else {
        return Err(Failure::Said(format!(
            "found {} names, expected kill, disk, swap or recover; see cargo xtask soak --help",
            options.names.len()
        )));
    };
    if !["kill", "disk", "swap", "recover"].contains(&name.as_str()) {
        return Err(Failure::Said(format!(
            "found `{name}`, expected kill, disk, swap or recover; see cargo xtask soak --help"
        )));
    }
    let workshop = setup::run(root)?;
    let mut cargo = workshop.cargo();
    let test = match name.as_str() {
        "kill" => Some(("PHALANX_KILLS", KILLS)),
        "disk" => Some(("PHALANX_FILLS", FILLS)),
        "swap" => Some(("PHALANX_SWAPS", SWAPS)),
        _ => None,
    };
    if let Some((variable, times)) = test {
        let times = options.number("--times").unwrap_or(times);
        cargo.args(["test", "--locked", "--package", "client-agent"]);
        cargo.args(["--test", name, "--", "--nocapture"]);
        cargo.env(variable, times.to_string());
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

const KILLS: u64 = 100;
const FILLS: u64 = 20;
const SWAPS: u64 = 1_000;
const PAYMENTS: u64 = 10_000_000;
