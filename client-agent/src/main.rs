//! `phalanx-agent`: reads the command line, runs the command, leaves with its exit code.

use std::process::ExitCode;

use clap::Parser;
use client_agent::commands::Command;

/// A bank's agent: scores payments, learns from the bank's own history, and contributes to the
/// consortium's model without showing its data to anybody.
#[derive(Parser)]
#[command(name = "phalanx-agent", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    match Arguments::parse().command.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !error.is_said() {
                eprintln!("phalanx-agent: {error}");
            }
            ExitCode::from(error.exit_code())
        }
    }
}
