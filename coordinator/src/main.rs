//! `phalanx-coordinator`: reads its configuration, builds the server, carries it, leaves.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use coordinator::config::Config;
use coordinator::server;
use host::print::print;
use host::telemetry;

/// The consortium's coordinator. It holds no data, and cannot open one bank's update.
#[derive(Parser)]
#[command(name = "phalanx-coordinator", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run until told to stop.
    #[command(after_help = "Example:\n  phalanx-coordinator serve --config coordinator.toml")]
    Serve {
        /// The configuration file: see ops/config/coordinator.toml.
        #[arg(long)]
        config: PathBuf,
    },
    /// Read the configuration, print what would run, and leave.
    #[command(
        after_help = "Example:\n  phalanx-coordinator check-config --config coordinator.toml"
    )]
    CheckConfig {
        /// The configuration file.
        #[arg(long)]
        config: PathBuf,
    },
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::CheckConfig { config } => check(&config),
        Command::Serve { config } => serve(&config),
    }
}

fn check(path: &std::path::Path) -> ExitCode {
    match Config::load(path) {
        Ok(config) => match print(&format!("{config:#?}")) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error, EXIT_DISK),
        },
        Err(error) => fail(&error, EXIT_CONFIG),
    }
}

fn serve(path: &std::path::Path) -> ExitCode {
    let config = match Config::load(path) {
        Ok(config) => config,
        Err(error) => return fail(&error, EXIT_CONFIG),
    };
    telemetry::log(config.log);
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error, EXIT_SOFTWARE),
    };
    match runtime.block_on(server::run(&config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, error.exit_code()),
    }
}

fn fail(error: &dyn std::error::Error, code: u8) -> ExitCode {
    eprintln!("phalanx-coordinator: {error}");
    ExitCode::from(code)
}

const EXIT_CONFIG: u8 = 78;
const EXIT_DISK: u8 = 74;
const EXIT_SOFTWARE: u8 = 70;
