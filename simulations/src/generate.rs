//! `phalanx-sim generate`: transactions of made-up banks, as Parquet files.
//!
//! What is invented is in `population`; the columns are in `generate/table`, the printed
//! account of what was written in `generate/summary`.

mod summary;
mod table;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use thiserror::Error;

use crate::population::{Everyday, Handbook, Payment, bank_shares};

use summary::Summary;

/// Arguments of `phalanx-sim generate`.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// Which process, and how large
    #[arg(long, value_enum, default_value_t = Preset::Demo)]
    preset: Preset,
    /// The same seed writes the same bytes
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Folder for the files; made if it is absent
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Number of banks; sizes are skewed (five: 45, 25, 15, 10, 5 %)
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=200))]
    banks: Option<u16>,
    /// Number of days
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=3_660))]
    days: Option<u16>,
    /// Number of customers over all banks
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    customers: Option<u32>,
    /// Number of merchants; of terminals in the handbook's process
    #[arg(long, value_parser = clap::value_parser!(u32).range(50..=1_000_000))]
    merchants: Option<u32>,
    /// Share of fraud reports that are lost, with as many genuine payments disputed
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    wrong_labels: f64,
    /// Write bank-1.parquet, bank-2.parquet, … rather than one transactions.parquet
    #[arg(long)]
    per_bank: bool,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

const EXAMPLE: &str = "\
Example:
  phalanx-sim generate --preset demo --seed 1 --out data
  phalanx-sim generate --preset small --banks 4 --per-bank --json --out data

The process behind each preset and its measured figures: docs/generator.md.
A mapping file for the agent: ops/config/maps/generated.toml.";

/// A process with its parameters.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Preset {
    /// Five banks, 110 days, about 300,000 payments
    Demo,
    /// Three banks, 45 days, about 20,000 payments
    Small,
    /// The process of the Fraud Detection Handbook: 183 days, about 1.75 million payments
    Handbook,
}

/// Why nothing, or not everything, was written.
#[derive(Debug, Error)]
enum GenerateError {
    #[error("found {banks} banks for {customers} customers, expected a customer for each")]
    TooFewCustomers { banks: u16, customers: u32 },
    #[error("found {0} as share of wrong labels, expected 0 to 0.5")]
    WrongLabels(f64),
    #[error("{path}: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error("{path}: {source}")]
    Parquet {
        path: PathBuf,
        source: parquet::errors::ParquetError,
    },
    #[error("output: {0}")]
    Output(#[from] io::Error),
}

/// Makes the payments, writes them, and says what was written.
pub fn run(args: &Args) -> ExitCode {
    match generate(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to do where even this cannot be said.
            let _ = writeln!(io::stderr(), "phalanx-sim generate: {error}");
            ExitCode::FAILURE
        }
    }
}

fn generate(args: &Args) -> Result<(), GenerateError> {
    let process = Process::new(args)?;
    let progress = spinner();
    progress.set_message("making payments");
    let payments = process.payments(args.seed);
    let banks = process.banks();
    fs::create_dir_all(&args.out).map_err(|source| GenerateError::File {
        path: args.out.clone(),
        source,
    })?;
    let rows = table::number(&payments, banks);
    let mut summary = Summary::new(args.preset.name(), args.seed, &payments, banks);
    if args.per_bank {
        for bank in 0..banks {
            let own = rows.iter().filter(|row| row.payment.bank == bank);
            let path = args.out.join(format!("{}.parquet", table::bank_name(bank)));
            summary.add_file(write(&progress, &path, own)?);
        }
    } else {
        let path = args.out.join("transactions.parquet");
        summary.add_file(write(&progress, &path, rows.iter())?);
    }
    progress.finish_and_clear();
    let mut out = io::stdout().lock();
    if args.json {
        summary.write_json(&mut out)?
    } else {
        summary.write_table(&mut out)?
    }
    Ok(())
}

fn write<'a>(
    progress: &ProgressBar,
    path: &Path,
    rows: impl Iterator<Item = &'a table::Row<'a>>,
) -> Result<summary::Written, GenerateError> {
    progress.set_message(format!("writing {}", path.display()));
    let file = fs::File::create(path).map_err(|source| GenerateError::File {
        path: path.to_path_buf(),
        source,
    })?;
    let written = table::write(file, rows, |rows| progress.inc(rows)).map_err(|source| {
        GenerateError::Parquet {
            path: path.to_path_buf(),
            source,
        }
    })?;
    let bytes = fs::metadata(path)
        .map_err(|source| GenerateError::File {
            path: path.to_path_buf(),
            source,
        })?
        .len();
    Ok(summary::Written {
        path: path.display().to_string(),
        rows: written,
        bytes,
    })
}

fn spinner() -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {msg} {human_pos} rows")
        .expect("the template names known keys");
    let progress = ProgressBar::new_spinner().with_style(style);
    progress.enable_steady_tick(Duration::from_millis(100));
    progress
}

impl Preset {
    fn name(self) -> &'static str {
        match self {
            Self::Demo => "demo",
            Self::Small => "small",
            Self::Handbook => "handbook",
        }
    }
}

/// A preset with what the command line changes about it.
enum Process {
    Everyday(Everyday),
    Handbook(Handbook),
}

impl Process {
    fn new(args: &Args) -> Result<Self, GenerateError> {
        if !(0.0..=0.5).contains(&args.wrong_labels) {
            return Err(GenerateError::WrongLabels(args.wrong_labels));
        }
        let process = match args.preset {
            Preset::Demo => Self::everyday(Everyday::demo(), args),
            Preset::Small => Self::everyday(Everyday::small(), args),
            Preset::Handbook => Self::handbook(Handbook::published(), args),
        };
        let (banks, customers) = (process.banks(), process.customers());
        if u32::from(banks) > customers {
            return Err(GenerateError::TooFewCustomers { banks, customers });
        }
        Ok(process)
    }

    fn everyday(preset: Everyday, args: &Args) -> Self {
        Self::Everyday(Everyday {
            days: args.days.unwrap_or(preset.days),
            bank_shares: args.banks.map_or(preset.bank_shares, bank_shares),
            customers: args.customers.unwrap_or(preset.customers),
            merchants: args.merchants.unwrap_or(preset.merchants),
            wrong_labels: args.wrong_labels,
            ..preset
        })
    }

    /// Fewer customers or terminals are hit as often each, not all together.
    fn handbook(preset: Handbook, args: &Args) -> Self {
        let customers = args.customers.unwrap_or(preset.customers);
        let terminals = args.merchants.unwrap_or(preset.terminals);
        Self::Handbook(Handbook {
            compromised_per_day: preset.compromised_per_day * f64::from(terminals)
                / f64::from(preset.terminals),
            leaked_per_day: preset.leaked_per_day * f64::from(customers)
                / f64::from(preset.customers),
            days: args.days.unwrap_or(preset.days),
            bank_shares: args.banks.map_or(preset.bank_shares, bank_shares),
            customers,
            terminals,
            wrong_labels: args.wrong_labels,
            ..preset
        })
    }

    fn payments(&self, seed: u64) -> Vec<Payment> {
        match self {
            Self::Everyday(process) => process.payments(seed),
            Self::Handbook(process) => process.payments(seed),
        }
    }

    fn banks(&self) -> u16 {
        let shares = match self {
            Self::Everyday(process) => &process.bank_shares,
            Self::Handbook(process) => &process.bank_shares,
        };
        u16::try_from(shares.len()).expect("the command line bounds the banks")
    }

    fn customers(&self) -> u32 {
        match self {
            Self::Everyday(process) => process.customers,
            Self::Handbook(process) => process.customers,
        }
    }
}

#[cfg(test)]
mod tests;
