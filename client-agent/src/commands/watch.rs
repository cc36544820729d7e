//! `watch replay`: which alarms a bank's past would have raised, and which it raises once something
//! is done to its payments. Everything is decided in `watch`; here files are opened and words are
//! found. `watch/table.rs` is for a terminal, `watch/page.rs` draws the curves.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use features::FeatureSchema;
use host::shutdown::Shutdown;
use model::{Checkpoint, CheckpointError, Scorer};
use serde::Serialize;

use super::{CommandError, Said, days, refused, token_key, write};
use crate::config::schema;
use crate::history::Feed;
use crate::watch::{
    Change, Course, Judge, Replay, ReplayError, RuleTold, Settings, Terms, Trained, rules,
};

mod page;
mod table;

/// What `watch replay` is told.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The mapping file.
    #[arg(long, value_name = "FILE")]
    map: PathBuf,
    /// The feed: CSV or NDJSON, plain or packed, or Parquet.
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// The consortium's feature schema; the standard one where it is left out.
    #[arg(long, value_name = "FILE")]
    schema: Option<PathBuf>,
    /// The token key; a throw-away one where it is left out, which moves nothing but estimates of
    /// how many cards an outlet saw.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// First day watched, days since 1970-01-01 UTC; the feed's first where it is left out. Earlier
    /// payments are remembered all the same.
    #[arg(long, value_name = "DAY")]
    from_day: Option<i32>,
    /// First day after the last one watched; all days where it is left out.
    #[arg(long, value_name = "DAY")]
    to_day: Option<i32>,
    /// Days of the reference, which begins with the second day watched. An agent takes 35, and 14
    /// until it has seen so many.
    #[arg(
        long,
        default_value_t = 35,
        value_name = "DAYS",
        value_parser = clap::value_parser!(u16).range(7..=35)
    )]
    reference_days: u16,
    /// What is done to payments, several with a comma between them: each is a replay of its own,
    /// beside that of the feed as it is.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "CHANGES")]
    inject: Vec<Change>,
    /// The day from which on it is done; a week after there is a reference where it is left out.
    #[arg(long, value_name = "DAY")]
    inject_day: Option<i32>,
    /// The folder of a model that `model export` wrote: it scores throughout. Without a model
    /// payments are watched, but no scores.
    #[arg(long, value_name = "FOLDER", conflicts_with = "train")]
    model: Option<PathBuf>,
    /// Make a model of the reference's days and let it score from then on: so many steps without
    /// labels, and as many with them where frauds are known by then.
    #[arg(
        long,
        value_name = "STEPS",
        num_args = 0..=1,
        default_missing_value = "300",
        value_parser = clap::value_parser!(u32).range(1..=10_000)
    )]
    train: Option<u32>,
    /// Payments that the bank's people can look at in a day, for the precision of mature payments.
    #[arg(
        long,
        default_value_t = 100,
        value_name = "ALERTS",
        value_parser = clap::value_parser!(u32).range(1..=i64::from(Settings::ALERTS_MAX))
    )]
    alerts_a_day: u32,
    /// Days after which a payment without a label is genuine.
    #[arg(
        long,
        default_value_t = 30,
        value_name = "DAYS",
        value_parser = clap::value_parser!(u16).range(1..=i64::from(Settings::DAYS_MAX))
    )]
    mature_days: u16,
    /// Write the curves into this folder: drift.html, a page without any outside asset, and
    /// drift.json, the same as --json says.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Say it as one JSON object, with every figure of every day.
    #[arg(long)]
    json: bool,
}

/// What came of it.
#[derive(Debug, Serialize)]
struct Told {
    feed: String,
    schema_digest: String,
    rejected: u64,
    lacking: Vec<String>,
    /// First day of the reference, days since 1970-01-01 UTC.
    reference_from_day: i32,
    /// First day after it.
    reference_to_day: i32,
    /// Who scored: nobody, the model of a folder, or one that was made for it.
    model: &'static str,
    trained: Option<Trained>,
    rules: [RuleTold; 7],
    /// The feed as it is, then each change.
    courses: Vec<Course>,
}

pub(super) fn replay(arguments: &Arguments) -> Result<Said, CommandError> {
    let schema = schema::read(arguments.schema.as_deref())?;
    let key = token_key(arguments.key.as_deref())?;
    let feed = Feed::with_key(&arguments.map, key, &arguments.data)?;
    let terms = arguments.terms(&feed, &schema)?;
    // What cannot be written is better said before an hour of replay than after it.
    if let Some(out) = &arguments.out {
        std::fs::create_dir_all(out).map_err(|error| CommandError::Write {
            path: out.clone(),
            error,
        })?;
    }
    let told = told(&feed, &schema, terms)?;
    let json = serde_json::to_string(&told).map_err(CommandError::Json)?;
    if let Some(out) = &arguments.out {
        write(&out.join("drift.json"), &json)?;
        write_page(&out.join("drift.html"), &told)?;
    }
    if arguments.json {
        return Ok(Said::yes(json));
    }
    let mut text = table::table(&told);
    if let Some(out) = &arguments.out {
        text += &format!("curves written to {}\n", out.join("drift.html").display());
    }
    Ok(Said::yes(text))
}

fn told(feed: &Feed, schema: &FeatureSchema, terms: Terms) -> Result<Told, CommandError> {
    let model = match terms.judge {
        Judge::Nobody => "none",
        Judge::Given(_) => "folder",
        Judge::Made(_) => "made",
    };
    let mut replay = Replay::new(terms, schema.clone());
    let take = |row: &features::Row| replay.take(row).map_err(wrong);
    let rejected = feed.read(schema, &Shutdown::default(), take)?;
    let replayed = replay.finish().map_err(wrong)?;
    let lacking = feed.lacking(schema);
    Ok(Told {
        feed: feed.map().name.clone(),
        schema_digest: crypto::Digest(schema.digest()).to_hex(),
        rejected,
        lacking: lacking.iter().map(ToString::to_string).collect(),
        reference_from_day: replayed.reference.start,
        reference_to_day: replayed.reference.end,
        model,
        trained: replayed.trained,
        rules: rules(),
        courses: replayed.courses,
    })
}

fn write_page(path: &Path, told: &Told) -> Result<(), CommandError> {
    let unwritten = |error: askama::Error| CommandError::Write {
        path: path.to_owned(),
        error: std::io::Error::other(error.to_string()),
    };
    let page = page::page(told).map_err(unwritten)?;
    write(&path.to_owned(), &page)
}

fn wrong(error: ReplayError) -> CommandError {
    match error {
        ReplayError::Asked {
            option,
            found,
            expected,
        } => refused(option, found, &expected),
        ReplayError::Model(error) => CheckpointError::Model(error).into(),
    }
}

impl Arguments {
    fn terms(&self, feed: &Feed, schema: &FeatureSchema) -> Result<Terms, CommandError> {
        Ok(Terms {
            days: days(self.from_day, self.to_day)?,
            reference_days: self.reference_days,
            changes: self.inject.iter().copied().collect(),
            change_day: self.inject_day,
            has_labels: feed.map().has_labels(),
            silence: feed.verdict(None),
            settings: Settings {
                alerts_a_day: self.alerts_a_day,
                mature_days: self.mature_days,
            },
            judge: self.judge(schema)?,
        })
    }

    fn judge(&self, schema: &FeatureSchema) -> Result<Judge, CommandError> {
        let Some(folder) = &self.model else {
            return Ok(self.train.map_or(Judge::Nobody, Judge::Made));
        };
        let Checkpoint { card, parameters } = Checkpoint::load(schema, folder)?;
        let scorer = Scorer::new(schema, card.size, &parameters, card.calibration);
        let scorer = scorer.map_err(CheckpointError::Model)?;
        Ok(Judge::Given(Arc::new(scorer)))
    }
}

/// What `--help` ends with.
pub(super) const EXAMPLES: &str = "Examples:
  phalanx-agent watch replay --map maps/cards.toml --data cards.csv --from-day 20454
  phalanx-agent watch replay --map maps/cards.toml --data cards.csv --from-day 20454 \\
    --to-day 20544 --inject prices,channel,category --inject-day 20500 --train --out drift

The first says which alarms the quarter from 2026-01-01 on would have raised; the second writes
the curves of three changes into drift/drift.html.";

#[cfg(test)]
mod tests;
