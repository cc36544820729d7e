//! `phalanx-sim`: makes worlds and judges them. Each subcommand lives in its own module.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use simulations::{generate, stage, world};
#[cfg(feature = "learning")]
use simulations::{judge, learn, pooled, results};

/// Made-up banks and made-up federations, from a seed.
#[derive(Parser)]
#[command(name = "phalanx-sim", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write the transactions of made-up banks as Parquet.
    Generate(generate::Args),
    /// Play federations in which everything that can fail does.
    Run(world::run::Args),
    /// Deal a feed to banks, and cut it into history and live week.
    Stage(stage::Args),
    /// Train one model on everybody's data, which no real consortium could.
    #[cfg(feature = "learning")]
    Pooled(pooled::Args),
    /// Judge local, federated and pooled scores of the live week.
    #[cfg(feature = "learning")]
    Judge(judge::Args),
    /// Compare local, federated and pooled learning, over seeds and weeks.
    #[cfg(feature = "learning")]
    Learn(Box<learn::Args>),
    /// Run the experiments behind docs/results.md, and write it.
    #[cfg(feature = "learning")]
    Results(results::Args),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Generate(args) => generate::run(&args),
        Command::Run(args) => world::run::run(&args),
        Command::Stage(args) => stage::run(&args),
        #[cfg(feature = "learning")]
        Command::Pooled(args) => pooled::run(&args),
        #[cfg(feature = "learning")]
        Command::Judge(args) => judge::run(&args),
        #[cfg(feature = "learning")]
        Command::Learn(args) => learn::run(&args),
        #[cfg(feature = "learning")]
        Command::Results(args) => results::run(&args),
    }
}
