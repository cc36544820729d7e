//! `phalanx`: the operator's and the newcomer's tool. It founds a consortium, admits members,
//! signs plans, watches rounds, and plays the whole loop on one machine with `phalanx demo`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod consortium;
mod demo;
mod door;
mod plan;
mod rounds;

/// Run a consortium: admit banks, sign plans, watch rounds; or see it all with `phalanx demo`.
#[derive(Parser)]
#[command(name = "phalanx", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The consortium's authority: found it, admit members.
    #[command(subcommand)]
    Ca(consortium::Ca),
    /// Enrol the coordinator or the operator (banks enrol with `phalanx-agent enrol`).
    #[command(subcommand)]
    Enrol(consortium::Enrol),
    /// How the coordinator stands: phase, banks, plans, ledger.
    Status(rounds::StatusArguments),
    /// Start and watch rounds.
    #[command(subcommand)]
    Round(rounds::Round),
    /// Five banks and a coordinator on this machine, from raw transactions to live scores.
    Demo(Box<demo::Arguments>),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Ca(command) => consortium::ca(&command).map_err(Into::into),
        Command::Enrol(command) => consortium::enrol(&command).map_err(Into::into),
        Command::Status(arguments) => rounds::status(&arguments),
        Command::Round(command) => rounds::round(&command),
        Command::Demo(arguments) => demo::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("phalanx: {error}");
            ExitCode::FAILURE
        }
    }
}
