//! What each command does, as `cargo xtask help COMMAND` tells it, with an example each.
//!
//! Only texts live here; the commands are in the files of their names.

use std::io::{self, Write};

use crate::bench::BENCHES;
use crate::workshop::Failure;

/// Prints the help of `command` on standard output; of all commands for `help`.
pub(crate) fn show(command: &str) -> Result<(), Failure> {
    let text = match command {
        "help" | "--help" | "-h" => OVERVIEW.to_owned(),
        "setup" => SETUP.to_owned(),
        "demo" => DEMO.to_owned(),
        "test" => TEST.to_owned(),
        "lint" => LINT.to_owned(),
        "fresh" => FRESH.to_owned(),
        "bench" => bench(),
        "worlds" => WORLDS.to_owned(),
        "fuzz" => FUZZ.to_owned(),
        "soak" => SOAK.to_owned(),
        unknown => {
            return Err(Failure::Said(format!(
                "no help for `{unknown}`: expected one of setup, demo, test, lint, bench, \
                 worlds, fuzz, soak, fresh"
            )));
        }
    };
    io::stdout()
        .write_all(text.as_bytes())
        .map_err(|error| Failure::Said(format!("could not print the help: {error}")))
}

fn bench() -> String {
    let mut text = BENCH.to_owned();
    for bench in BENCHES {
        text.push_str(&format!("  {:<12} {}\n", bench.name, bench.measures));
    }
    text
}

const OVERVIEW: &str = "\
The project's own commands.

  cargo xtask setup           put libtorch where the build looks for it
  cargo xtask demo [ARG]...   five banks on this machine, from data to scores
  cargo xtask test            everything that must hold before a change is merged
  cargo xtask lint            the quick part of it: format, clippy, tidy
  cargo xtask bench [NAME]    measure
  cargo xtask worlds          play a hundred thousand simulated federations
  cargo xtask fuzz [TARGET]   let libFuzzer at the protocol and the doors of payments and requests
  cargo xtask soak NAME       kill an agent, fill its disk or swap its model, many times; recovery
  cargo xtask fresh           demo and test on a clean clone in an empty home
  cargo xtask help COMMAND    more about one command

Example: cargo xtask demo
";

const SETUP: &str = "\
Usage: cargo xtask setup

Puts the CPU part of libtorch under third_party/libtorch: downloads the wheels that
ops/libtorch.lock pins by hash, unpacks what the build needs and removes the rest.
Does nothing where that is already in place, and repairs it where a file is missing.

A libtorch of your own is respected: with LIBTORCH (its folder) or LIBTORCH_USE_PYTORCH=1
(the one of the installed Python package torch) nothing is downloaded.

Needs python3 with pip, a C++ compiler, and 1.1 GB of disk while it works.
The commands that need it run it first; run it alone to have the download behind you.

Example: cargo xtask setup
";

const DEMO: &str = "\
Usage: cargo xtask demo [ARG]...

Runs setup, builds the programs and starts `phalanx demo`: a coordinator and its banks as
real processes on this machine, from data to scores. The arguments are handed on.

Example: cargo xtask demo
What the demo itself can be told: cargo xtask demo -- --help
";

const TEST: &str = "\
Usage: cargo xtask test

Runs setup, then in this order: format, clippy, tests, doctests, documents.
Stops at the first step that fails and says how to run that step alone. The tests run
under cargo-nextest where it is installed, else under cargo test.

A step whose tool is not installed (rustfmt, clippy) is skipped and says so, and so is a test
that needs nats-server, chromium or promtool; where the environment variable CI is set it fails
instead. Debian has them in the packages nats-server, chromium and prometheus. A test that needs
the right to mount a tmpfs is skipped without it, under CI too, and says so.

Example: cargo xtask test
";

const WORLDS: &str = "\
Usage: cargo xtask worlds [--seeds N] [--first N] [--afresh] [--json]

Builds the simulator in a release build without libtorch, and plays N federations (100,000 where
nothing else is said) in which everything that can fail does, from the first seed on. Stops at
the first invariant that does not hold, and says how to see that one world again.

Can be interrupted: how far it got is noted beside what was built, in target/release, and the
same command goes on from there. The note counts for this build of the simulator alone; --afresh
forgets it. --json prints one object at the end.

Example: cargo xtask worlds --seeds 1000
";

const FUZZ: &str = "\
Usage: cargo xtask fuzz [--executions N] [--json] [TARGET]...

Lets libFuzzer at the named targets of protocol/fuzz, or at all, with N executions dealt out
among them (100,000,000 where nothing else is said: a quarter of an hour on two cores). Checks of
overflow and debug assertions are on; there is no sanitizer, since the code is safe. As many
targets run at a time as there are cores.

Ends with a table of executions and new units, or with one object for --json. Stops at the first
input that breaks something, and says where it lies and how to see it again. Inputs that reach
something new stay in protocol/fuzz/target/corpus for the next run.

Installs nothing: libFuzzer is compiled from the crate libfuzzer-sys, which cargo fetches. With
the address sanitizer, by hand: protocol/fuzz/Cargo.toml.

Example: cargo xtask fuzz --executions 1000000 plan to_client
";

const SOAK: &str = "\
Usage: cargo xtask soak kill [--times N]
       cargo xtask soak disk [--times N]
       cargo xtask soak swap [--times N]
       cargo xtask soak recover [--payments N] [--json]

kill: an agent process judges the payments of four callers and is ended by kill -9 at N moments
(100 where nothing else is said; the tests do 3), sometimes while it recovers, once in order. Then
every decision that was answered must be found unchanged, and every payment counted once. Prints
kills, requests, payments acknowledged, answers replayed, lost and doubled.

disk: the disk of an agent under load is filled N times (20 where nothing else is said; the tests do
it once). Each payment must be answered or refused as unavailable, /readyz and /healthz must say so,
and no agent may start on it; once there is room every answer must be found, and every payment that
was refused be scored once. The disk is a tmpfs of 48 MB: it says that it is skipped where this user
may not mount one.

swap: N models of rising version (1,000 where nothing else is said; the tests do 30) are put in
place while four connections have payments judged. None may fail; each answer must name the model
that was in place, and tell its logit of the journaled vector. Prints requests, p50 and p99.

recover: writes a journal of N payments (10,000,000 where nothing else is said: some 20 GB in the
system's temporary folder, freed at the end), and prints seconds and memory of two starts: from the
whole journal, and from the snapshot that the first one made.

Example: cargo xtask soak swap --times 1000
Example: cargo xtask soak disk --times 5
";

const FRESH: &str = "\
Usage: cargo xtask fresh

Keeps README's promise to a newcomer: clones what is committed into the system's temporary
folder and runs `cargo xtask demo` and `cargo xtask test` there with an empty home, without
built dependencies, downloaded packages and cargo-nextest. Takes as long as a first build
does, and several gigabytes, which are freed at the end.

Example: cargo xtask fresh
";

const LINT: &str = "\
Usage: cargo xtask lint

Runs setup, then format, clippy and the rules about the code itself (tests/tidy.rs).

Example: cargo xtask lint
";

const BENCH: &str = "\
Usage: cargo xtask bench [NAME] [--json] [--quick] [--payments N]

Runs the named benchmark, or all of them, in the bench profile. Options are handed on: a
benchmark that knows --json prints its figures as JSON, one that knows --quick measures less, and
`round` and `recover` know how many payments.

`score` starts an agent on loopback and puts it under load, for a minute and a half; with --quick
for half a minute. docs/costs.md says what each figure means. Its journal goes where TMPDIR says:
name a folder on the disk that an agent's store would be on, or flushes cost nothing.

`pretrain`, asked for by its name, runs five times in turn with the same network in ordinary Python
PyTorch (ops/peers/pytorch), and prints medians and their ratio; --json prints one object. The first
time, python3 makes a virtual environment in target/peers/pytorch and pip installs the PyTorch of
ops/libtorch.lock there: up to 5 GB of disk. Nothing else should run meanwhile: at two threads each
waits for the other. Among all benchmarks, and by `cargo bench -p model`, it runs alone.

`round` makes payments up (200,000 unless told), has an agent's trainer read them, pretrain and
fine-tune for a round each, and prints processor time and peak memory after each stage. Ten million
take some ten minutes and a gigabyte of disk, where TMPDIR says.

Example: cargo xtask bench score --quick
Example: cargo xtask bench round --payments 10000000 --json

Benchmarks:
";
