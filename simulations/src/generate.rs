//! `phalanx-sim generate`: transactions of made-up banks, as Parquet files.
//!
//! What is invented is in `population`; the columns are in `generate/table`, the printed
//! account of what was written in `generate/summary`. Single payments have columns and an
//! account of their own, in `generate/typology`.

mod summary;
mod table;
mod typology;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use parquet::errors::ParquetError;
use thiserror::Error;

use crate::population::typology::Typologies;
use crate::population::{Everyday, Handbook, Payment, bank_shares};
use crate::print;

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
    /// Number of banks; sizes are skewed (five: 45, 25, 15, 10, 5 %), alike with `typology`
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
    /// Number of payments over all banks, only for `typology`
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    rows: Option<u64>,
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
  phalanx-sim generate --preset typology --banks 5 --rows 200000 --seed 1 --out data

The process behind each preset and its measured figures: docs/generator.md.
Mapping files for the agent: ops/config/maps/generated.toml; for typology, typology.toml.";

/// A process with its parameters.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Preset {
    /// Five banks, 110 days, about 300,000 payments
    Demo,
    /// Three banks, 45 days, about 20,000 payments
    Small,
    /// The process of the Fraud Detection Handbook: 183 days, about 1.75 million payments
    Handbook,
    /// Single payments of five banks that each know some kinds of fraud: 200,000 in 100 days
    Typology,
}

/// Why nothing, or not everything, was written.
#[derive(Debug, Error)]
enum GenerateError {
    #[error("found {banks} banks for {customers} customers, expected a customer for each")]
    TooFewCustomers { banks: u16, customers: u32 },
    #[error("found {0} as share of wrong labels, expected 0 to 0.5")]
    WrongLabels(f64),
    #[error("found --{option} with preset {preset}, which has none")]
    Option {
        option: &'static str,
        preset: &'static str,
    },
    #[error("found {0} banks, expected 3 or more: fewer do not know every typology")]
    TooFewBanks(u16),
    #[error("found {rows} rows for {banks} banks, expected 1,000 or more for each")]
    TooFewRows { rows: u64, banks: u16 },
    #[error("found {0} days, expected 10 or more to train, validate and test on")]
    TooFewDays(u16),
    #[error("{path}: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error("{path}: {source}")]
    Parquet { path: PathBuf, source: ParquetError },
    #[error("output: {0}")]
    Output(#[from] io::Error),
}

/// Makes the payments, writes them, and says what was written.
pub fn run(args: &Args) -> ExitCode {
    print::answer("generate", |out| generate(args, out))
}

fn generate(args: &Args, out: &mut impl Write) -> Result<(), GenerateError> {
    args.refuse_foreign_options()?;
    match Process::new(args)? {
        Process::Everyday(process) => {
            let payments = || process.payments(args.seed);
            histories(args, banks_of(&process.bank_shares), payments, out)
        }
        Process::Handbook(process) => {
            let payments = || process.payments(args.seed);
            histories(args, banks_of(&process.bank_shares), payments, out)
        }
        Process::Typologies(process) => typology::generate(args, &process, out),
    }
}

/// Writes payments of customers with histories, all made before the first is written.
fn histories(
    args: &Args,
    banks: u16,
    payments: impl FnOnce() -> Vec<Payment>,
    out: &mut impl Write,
) -> Result<(), GenerateError> {
    let progress = spinner();
    progress.set_message("making payments");
    let payments = payments();
    create_folder(&args.out)?;
    let rows = table::number(&payments, banks);
    let mut summary = Summary::new(args.preset.name(), args.seed, &payments, banks);
    if args.per_bank {
        for bank in 0..banks {
            let own = rows.iter().filter(|row| row.payment.bank == bank);
            let path = args.out.join(format!("{}.parquet", table::bank_name(bank)));
            summary.add_file(write(&progress, &path, |file, wrote| {
                table::write(file, own, wrote)
            })?);
        }
    } else {
        let path = args.out.join("transactions.parquet");
        summary.add_file(write(&progress, &path, |file, wrote| {
            table::write(file, rows.iter(), wrote)
        })?);
    }
    progress.finish_and_clear();
    if args.json {
        summary.write_json(out)?
    } else {
        summary.write_table(out)?
    }
    Ok(())
}

fn create_folder(path: &Path) -> Result<(), GenerateError> {
    fs::create_dir_all(path).map_err(|source| GenerateError::File {
        path: path.to_path_buf(),
        source,
    })
}

/// Makes the file at `path` and lets `rows` fill it; `rows` tells how many it wrote on the way.
fn write(
    progress: &ProgressBar,
    path: &Path,
    rows: impl FnOnce(fs::File, &dyn Fn(u64)) -> Result<u64, ParquetError>,
) -> Result<summary::Written, GenerateError> {
    progress.set_message(format!("writing {}", path.display()));
    let file = fs::File::create(path).map_err(|source| GenerateError::File {
        path: path.to_path_buf(),
        source,
    })?;
    let written =
        rows(file, &|rows| progress.inc(rows)).map_err(|source| GenerateError::Parquet {
            path: path.to_path_buf(),
            source,
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
            Self::Typology => "typology",
        }
    }
}

impl Args {
    /// An option that a preset would pass over in silence is refused.
    fn refuse_foreign_options(&self) -> Result<(), GenerateError> {
        let given = match self.preset {
            Preset::Demo | Preset::Small | Preset::Handbook => [("rows", self.rows.is_some())]
                .iter()
                .find_map(|(option, is_given)| is_given.then_some(*option)),
            Preset::Typology => [
                ("customers", self.customers.is_some()),
                ("merchants", self.merchants.is_some()),
                ("wrong-labels", self.wrong_labels > 0.0),
            ]
            .iter()
            .find_map(|(option, is_given)| is_given.then_some(*option)),
        };
        match given {
            Some(option) => Err(GenerateError::Option {
                option,
                preset: self.preset.name(),
            }),
            None => Ok(()),
        }
    }
}

/// A preset with what the command line changes about it.
enum Process {
    Everyday(Everyday),
    Handbook(Handbook),
    Typologies(Typologies),
}

impl Process {
    fn new(args: &Args) -> Result<Self, GenerateError> {
        if !(0.0..=0.5).contains(&args.wrong_labels) {
            return Err(GenerateError::WrongLabels(args.wrong_labels));
        }
        match args.preset {
            Preset::Demo => Self::everyday(Everyday::demo(), args),
            Preset::Small => Self::everyday(Everyday::small(), args),
            Preset::Handbook => Self::handbook(Handbook::published(), args),
            Preset::Typology => Self::typologies(Typologies::published(), args),
        }
    }

    fn everyday(preset: Everyday, args: &Args) -> Result<Self, GenerateError> {
        let process = Everyday {
            days: args.days.unwrap_or(preset.days),
            bank_shares: args.banks.map_or(preset.bank_shares, bank_shares),
            customers: args.customers.unwrap_or(preset.customers),
            merchants: args.merchants.unwrap_or(preset.merchants),
            wrong_labels: args.wrong_labels,
            ..preset
        };
        a_customer_each(banks_of(&process.bank_shares), process.customers)?;
        Ok(Self::Everyday(process))
    }

    /// Fewer customers or terminals are hit as often each, not all together.
    fn handbook(preset: Handbook, args: &Args) -> Result<Self, GenerateError> {
        let customers = args.customers.unwrap_or(preset.customers);
        let terminals = args.merchants.unwrap_or(preset.terminals);
        let process = Handbook {
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
        };
        a_customer_each(banks_of(&process.bank_shares), customers)?;
        Ok(Self::Handbook(process))
    }

    fn typologies(preset: Typologies, args: &Args) -> Result<Self, GenerateError> {
        let process = Typologies {
            days: args.days.unwrap_or(preset.days),
            rows: args.rows.unwrap_or(preset.rows),
            banks: args.banks.unwrap_or(preset.banks),
            ..preset
        };
        let Typologies {
            days, rows, banks, ..
        } = process;
        if banks < 3 {
            return Err(GenerateError::TooFewBanks(banks));
        }
        if rows < 1_000 * u64::from(banks) {
            return Err(GenerateError::TooFewRows { rows, banks });
        }
        if days < 10 {
            return Err(GenerateError::TooFewDays(days));
        }
        Ok(Self::Typologies(process))
    }
}

fn banks_of(shares: &[f64]) -> u16 {
    u16::try_from(shares.len()).expect("the command line bounds the banks")
}

fn a_customer_each(banks: u16, customers: u32) -> Result<(), GenerateError> {
    if u32::from(banks) > customers {
        return Err(GenerateError::TooFewCustomers { banks, customers });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
