//! `cargo xtask`: the project's own commands, which a fresh machine runs before anything is built.
//!
//! Here is what was asked and what is said in return; each command has its file. Nothing but
//! the standard library is used, so that the first command starts in seconds. Read
//! [`setup`] first: every command that needs libtorch begins with it.

mod bench;
mod check;
mod demo;
mod fresh;
mod fuzz;
mod help;
mod libtorch;
mod options;
mod progress;
mod setup;
mod soak;
mod workshop;
mod worlds;

use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use crate::workshop::Failure;

fn main() -> ExitCode {
    if fuzz::instrument::is_asked_for() {
        let words: Vec<OsString> = env::args_os().skip(1).collect();
        return fuzz::instrument::compile(&words);
    }
    let words: Vec<String> = env::args().skip(1).collect();
    // Cargo tells it anew at each run; what was compiled in is another folder's where this one
    // was moved, or its `target` shared.
    let package = env::var_os("CARGO_MANIFEST_DIR");
    let package = package.unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let root = Path::new(&package)
        .ancestors()
        .nth(2)
        .expect("this package lies two folders below the root of the project");
    match obey(root, &words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Said(message)) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
        Err(Failure::Status(status)) => ExitCode::from(status),
    }
}

fn obey(root: &Path, words: &[String]) -> Result<(), Failure> {
    let Some((command, rest)) = words.split_first() else {
        return help::show("help");
    };
    let asks_for_help = rest
        .first()
        .is_some_and(|word| word == "--help" || word == "-h");
    match command.as_str() {
        "help" | "--help" | "-h" => help::show(rest.first().map_or("help", String::as_str)),
        _ if asks_for_help => help::show(command),
        "demo" => demo::run(root, rest),
        "bench" => bench::run(root, rest),
        "worlds" => worlds::run(root, rest),
        "fuzz" => fuzz::run(root, rest),
        "soak" => soak::run(root, rest),
        "setup" | "test" | "lint" | "fresh" if !rest.is_empty() => Err(Failure::Said(format!(
            "`{command}` takes no arguments, found `{}`; see cargo xtask {command} --help",
            rest.join(" ")
        ))),
        "setup" => setup::run(root).map(|_| ()),
        "test" => check::test(root),
        "lint" => check::lint(root),
        "fresh" => fresh::run(root),
        unknown => Err(Failure::Said(format!(
            "found the command `{unknown}`, expected one of setup, demo, test, lint, bench, \
             worlds, fuzz, soak, fresh, help"
        ))),
    }
}
