//! The `stage` subcommand: deals the rows of any mapped feed to banks and cuts each bank's rows
//! into a history and a live week. `pooled` and `judge` read what it writes; so do the agents.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args as ClapArgs;
use features::{FeedMap, Source, TokenKey};
use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};

use crate::print;

pub(crate) mod deal;
mod rows;

use deal::Dealer;
use rows::{Compromised, StagedRow};

/// Arguments of `phalanx-sim stage`.
#[derive(ClapArgs)]
#[command(
    after_help = "Example:\n  phalanx-sim stage --data transactions.parquet --map \
                        handbook.toml --deal 1 --banks 5 --out stage"
)]
pub struct Args {
    /// The feed.
    #[arg(long)]
    data: PathBuf,
    /// Its mapping file.
    #[arg(long)]
    map: PathBuf,
    /// Key of the mapping file's tokens; a fixed one, for made-up data, without it.
    #[arg(long)]
    key: Option<PathBuf>,
    /// Deal rows by this carried column, or by `FILE.csv:COLUMN`, which names each carried
    /// `customer`'s bank.
    #[arg(long, conflicts_with = "deal")]
    split_by: Option<String>,
    /// Deal customers to banks of unlike sizes by this seed.
    #[arg(long, requires = "banks")]
    deal: Option<u64>,
    /// How many banks, with `--deal`.
    #[arg(long)]
    banks: Option<u16>,
    /// First day of the live week, days since 1970-01-01; the last days of the feed otherwise.
    #[arg(long)]
    test_day: Option<i32>,
    /// Days of the live week.
    #[arg(long, default_value_t = 7)]
    test_days: i32,
    /// Days of labelled training data.
    #[arg(long, default_value_t = 28)]
    train_days: i32,
    /// Days until a label is trusted.
    #[arg(long, default_value_t = 7)]
    delay: i32,
    /// Folder to write to.
    #[arg(long)]
    out: PathBuf,
}

/// What was staged: `stage.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stage {
    /// The banks, by name.
    pub banks: Vec<StagedBank>,
    /// First day of the feed, days since 1970-01-01 UTC.
    pub first_day: i32,
    /// First day of the live week.
    pub test_day: i32,
    /// Days of the live week.
    pub test_days: i32,
    /// First day of the training window.
    pub train_from: i32,
    /// First day after it.
    pub train_to: i32,
    /// Days until a label is trusted.
    pub delay: i32,
    /// Distinct outlets.
    pub outlets: u32,
}

/// One bank's part.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StagedBank {
    /// Its name.
    pub name: String,
    /// Rows of days before the live week: zstd-packed NDJSON that `map.toml` reads.
    pub history: PathBuf,
    /// Rows of the live week, one object a line: txn, day, card, fraud, eligible.
    pub live: PathBuf,
    /// Rows of the history.
    pub transactions: u64,
    /// Frauds among them.
    pub frauds: u64,
    /// Rows of the live week.
    pub live_transactions: u64,
    /// Frauds among them.
    pub live_frauds: u64,
}

/// Why nothing was staged.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// A file could not be used.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The mapping file was refused.
    #[error("{}: {error}", path.display())]
    Map {
        /// The file.
        path: PathBuf,
        /// Why.
        error: features::MapError,
    },
    /// The feed ended early.
    #[error("{}: {error}", path.display())]
    Feed {
        /// The file.
        path: PathBuf,
        /// Why.
        error: features::RowError,
    },
    /// Something about the request or the data that cannot be.
    #[error("{0}")]
    Request(String),
}

/// Stages a feed.
pub fn run(args: &Args) -> ExitCode {
    print::answer("stage", |_| stage(args))
}

fn stage(args: &Args) -> Result<(), StageError> {
    let dealer = Dealer::new(args.split_by.as_deref(), args.deal, args.banks)?;
    let mut rows = read(args, &dealer)?;
    // A bank sees its payments in time order; feeds may be sorted by anything.
    rows.sort_by_key(|row| row.ts);
    let days = Days::new(args, &rows)?;
    let compromised = Compromised::new(&rows, days.train_from);
    let mut banks: BTreeMap<&str, Vec<&StagedRow>> = BTreeMap::new();
    for row in rows
        .iter()
        .filter(|row| row.day < days.test_day + days.test_days)
    {
        banks.entry(&row.bank).or_default().push(row);
    }
    let mut staged = Vec::new();
    for (at, (_, own)) in in_order(banks).into_iter().enumerate() {
        staged.push(write_bank(args, at + 1, &own, &days, &compromised)?);
    }
    write(&args.out.join("map.toml"), rows::map_toml().as_bytes())?;
    let outlets: std::collections::BTreeSet<_> = rows.iter().map(|row| row.outlet).collect();
    let stage = Stage {
        banks: staged,
        first_day: days.first_day,
        test_day: days.test_day,
        test_days: days.test_days,
        train_from: days.train_from,
        train_to: days.train_to,
        delay: args.delay,
        outlets: u32::try_from(outlets.len()).unwrap_or(u32::MAX),
    };
    let text = serde_json::to_string_pretty(&stage).expect("a stage is plain data");
    write(&args.out.join("stage.json"), text.as_bytes())
}

/// The largest bank first, so that names say size.
fn in_order<'a>(
    banks: BTreeMap<&'a str, Vec<&'a StagedRow>>,
) -> Vec<(&'a str, Vec<&'a StagedRow>)> {
    let mut banks: Vec<_> = banks.into_iter().collect();
    banks.sort_by_key(|(name, rows)| (std::cmp::Reverse(rows.len()), *name));
    banks
}

fn read(args: &Args, dealer: &Dealer) -> Result<Vec<StagedRow>, StageError> {
    let text = std::fs::read_to_string(&args.map).map_err(|error| StageError::File {
        path: args.map.clone(),
        error,
    })?;
    let map = FeedMap::parse(&text).map_err(|error| StageError::Map {
        path: args.map.clone(),
        error,
    })?;
    let key = token_key(args.key.as_deref())?;
    let file = File::open(&args.data).map_err(|error| StageError::File {
        path: args.data.clone(),
        error,
    })?;
    let bar = ProgressBar::new_spinner();
    let mut rows = Vec::new();
    for row in features::read(&map, &key, Source::File(file)) {
        match row {
            Ok(row) => rows.push(StagedRow::new(&row, dealer.bank(&row)?)?),
            Err(error) if error.is_fatal() => {
                return Err(StageError::Feed {
                    path: args.data.clone(),
                    error,
                });
            }
            // `phalanx-agent map check` is where refused rows are looked at.
            Err(_) => {}
        }
        if rows.len().is_multiple_of(1 << 14) {
            bar.set_message(format!("{} rows", rows.len()));
            bar.tick();
        }
    }
    bar.finish_and_clear();
    Ok(rows)
}

pub(crate) fn token_key(path: Option<&Path>) -> Result<TokenKey, StageError> {
    let secret = match path {
        Some(path) => std::fs::read(path).map_err(|error| StageError::File {
            path: path.to_owned(),
            error,
        })?,
        None => b"a key for made-up data, which needs no secret".to_vec(),
    };
    TokenKey::new(&secret).map_err(|error| StageError::Request(error.to_string()))
}

/// The days of a stage.
struct Days {
    first_day: i32,
    test_day: i32,
    test_days: i32,
    train_from: i32,
    train_to: i32,
}

impl Days {
    fn new(args: &Args, rows: &[StagedRow]) -> Result<Self, StageError> {
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
            return Err(StageError::Request(
                "the feed holds no transaction".to_owned(),
            ));
        };
        let test_day = args.test_day.unwrap_or(last.day + 1 - args.test_days);
        let train_to = test_day - args.delay;
        let train_from = train_to - args.train_days;
        if train_from < first.day || test_day > last.day {
            return Err(StageError::Request(format!(
                "the feed holds days {} to {}, expected {} days of training, {} of delay and then \
                 the live week from day {test_day}",
                first.day, last.day, args.train_days, args.delay
            )));
        }
        Ok(Self {
            first_day: first.day,
            test_day,
            test_days: args.test_days,
            train_from,
            train_to,
        })
    }
}

fn write_bank(
    args: &Args,
    number: usize,
    own: &[&StagedRow],
    days: &Days,
    compromised: &Compromised,
) -> Result<StagedBank, StageError> {
    let name = format!("bank-{number}");
    let folder = args.out.join(&name);
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error| StageError::File { path, error }
    };
    std::fs::create_dir_all(&folder).map_err(failed(&folder))?;
    let (history, live) = (
        folder.join("history.ndjson.zst"),
        folder.join("live.ndjson"),
    );
    let split = own.partition_point(|row| row.day < days.test_day);
    let (before, after) = own.split_at(split);
    let packed = || -> std::io::Result<()> {
        let mut out = zstd::Encoder::new(BufWriter::new(File::create(&history)?), 1)?;
        for row in before {
            out.write_all(row.history_line().as_bytes())?;
        }
        out.finish()?.flush()
    };
    packed().map_err(failed(&history))?;
    let plain = || -> std::io::Result<()> {
        let mut out = BufWriter::new(File::create(&live)?);
        for row in after {
            let eligible = !compromised.is_known(row.card, row.day - args.delay - 1);
            out.write_all(row.live_line(eligible).as_bytes())?;
        }
        out.flush()
    };
    plain().map_err(failed(&live))?;
    let frauds = |rows: &[&StagedRow]| rows.iter().filter(|row| row.is_fraud()).count() as u64;
    Ok(StagedBank {
        name,
        history,
        live,
        transactions: before.len() as u64,
        frauds: frauds(before),
        live_transactions: after.len() as u64,
        live_frauds: frauds(after),
    })
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), StageError> {
    std::fs::write(path, bytes).map_err(|error| StageError::File {
        path: path.to_owned(),
        error,
    })
}

#[cfg(test)]
mod tests;
