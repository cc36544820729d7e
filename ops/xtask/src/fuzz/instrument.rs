//! What the compiler is told: the coverage that libFuzzer steers by, in the crates that are under
//! test and in no other. Counted in the field arithmetic of a signature, a sequence would take
//! twice as long and show nothing.
//!
//! Cargo has no stable way to give one crate another flag, so it calls us in the compiler's stead
//! (`RUSTC_WRAPPER`), and we call the compiler.

use std::env;
use std::ffi::OsString;
use std::process::{Command, ExitCode};

use super::TARGETS;

/// The environment variable by which we know that cargo calls us so.
pub(crate) const VARIABLE: &str = "PHALANX_FUZZ_COMPILES";

/// Calls the compiler that cargo named, with what it was to be told and what we add.
pub(crate) fn compile(words: &[OsString]) -> ExitCode {
    let Some((compiler, rest)) = words.split_first() else {
        eprintln!("xtask: found {VARIABLE} set and no compiler named");
        return ExitCode::FAILURE;
    };
    let mut command = Command::new(compiler);
    command.args(rest).env_remove(VARIABLE);
    if is_under_test(rest) {
        command.args(FLAGS);
    }
    let code = command.status().ok().and_then(|status| status.code());
    let code = code.and_then(|code| u8::try_from(code).ok());
    ExitCode::from(code.unwrap_or(1))
}

fn is_under_test(words: &[OsString]) -> bool {
    let at = words.iter().position(|word| word == "--crate-name");
    let name = at.and_then(|at| words.get(at + 1)?.to_str());
    name.is_some_and(|name| CRATES.contains(&name) || TARGETS.iter().any(|one| one.name == name))
}

/// Whether cargo calls us in the compiler's stead.
pub(crate) fn is_asked_for() -> bool {
    env::var_os(VARIABLE).is_some()
}

/// Beside the targets themselves.
const CRATES: [&str; 3] = ["features", "protocol", "protocol_fuzz"];

/// As cargo-fuzz has it, without a sanitizer.
const FLAGS: [&str; 7] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
    "--cfg=fuzzing",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_under_test_is_counted() {
        let asks = |line: &str| {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            is_under_test(&words)
        };
        assert!(asks("--crate-name protocol --edition=2024"));
        assert!(asks("--edition=2024 --crate-name to_client"));
        assert!(!asks("--crate-name curve25519_dalek --cfg protocol"));
        assert!(!asks("-vV"));
        assert!(!asks("--crate-name"));
    }
}
