//! The bank's past: its own file, read once through its map. One pass warms the encoder that
//! scoring goes on with, and keeps on disk what an encoder reads of each (`history/memory.rs`),
//! so that training can replay the stream whenever the federation's risk table has changed.

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use features::{
    FeatureEncoder, FeatureSchema, FeatureVector, FeedFormat, FeedMap, Label, Limits, Reader,
    RiskSettings, Row, Source, TokenKey, Transaction,
};
use host::shutdown::Shutdown;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use utoipa::ToSchema;

use crate::config::HistoryConfig;
use crate::courtesy;

mod error;
mod live;
mod memory;

pub use error::HistoryError;
pub use memory::{Payment, Report, Verdict};

use live::Live;
use memory::Memory;

/// A bank's past payments, in the order of its file; after them those scored live.
#[derive(Debug)]
pub struct History {
    memory: Memory,
    summary: Summary,
    silence: Verdict,
    /// What encoders of this past may remember.
    limits: Limits,
    /// Payments that are kept at the most.
    most: usize,
    live: Option<Live>,
}

/// The bank's own past, as it was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = HistorySummary)]
pub struct Summary {
    /// Payments read.
    pub transactions: u64,
    /// Rows refused.
    pub rejected: u64,
    /// Payments labelled fraud, whenever that became known.
    pub frauds: u64,
    /// First day, days since 1970-01-01 UTC.
    pub from_day: Option<i32>,
    /// First day after the last.
    pub until_day: Option<i32>,
}

/// A feed and what it is read with: what `map check` judges, and what `serve`, `features export`
/// and `score` read.
#[derive(Debug)]
pub struct Feed {
    map: FeedMap,
    key: KeptKey,
    file: PathBuf,
    silence: Verdict,
}

/// A key without a `Debug` that shows it.
struct KeptKey(TokenKey);

impl std::fmt::Debug for KeptKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeptKey")
    }
}

impl Feed {
    /// Reads the map and the key; the feed itself is opened when it is read.
    ///
    /// # Errors
    /// [`HistoryError`], which names the file.
    pub fn open(map: &Path, key: &Path, file: &Path) -> Result<Self, HistoryError> {
        Self::with_key(map, read_key(key)?, file)
    }

    /// The same with a key that is at hand.
    ///
    /// # Errors
    /// [`HistoryError`], which names the map.
    pub fn with_key(map: &Path, key: TokenKey, file: &Path) -> Result<Self, HistoryError> {
        let text = read(map)?;
        let text = String::from_utf8_lossy(&text);
        let parsed = FeedMap::parse(&text);
        let parsed = parsed.map_err(|error| HistoryError::Map {
            path: map.to_owned(),
            error,
        })?;
        let silence = silence(&text, &parsed);
        Ok(Self {
            map: parsed,
            key: KeptKey(key),
            file: file.to_owned(),
            silence,
        })
    }

    /// The feed's map.
    #[must_use]
    pub fn map(&self) -> &FeedMap {
        &self.map
    }

    /// What a schema needs and the map has no rule for; those figures are missing throughout.
    #[must_use]
    pub fn lacking(&self, schema: &FeatureSchema) -> Vec<features::Provision> {
        let mut provisions = features::provisions(&self.map, schema);
        provisions.retain(|provision| !provision.is_provided);
        provisions
    }

    /// Reports on the feed's first `rows_max` rows, against what a schema needs.
    ///
    /// # Errors
    /// [`HistoryError::File`] where it cannot be opened; everything else is in the report.
    pub fn check(
        &self,
        schema: &FeatureSchema,
        rows_max: u64,
    ) -> Result<features::CheckReport, HistoryError> {
        let (source, bar) = self.source()?;
        let report = features::check((&self.map, schema), &self.key.0, source, rows_max);
        bar.finish_and_clear();
        Ok(report)
    }

    /// Reads the feed row by row, and gives every payment that is accepted. Returns how many rows
    /// were refused. Stops early, with [`HistoryError::Leaving`], where the process is to go.
    ///
    /// # Errors
    /// [`HistoryError`] where the feed is missing, stops, or has rows and none is accepted; and
    /// the first error of `each`.
    pub(crate) fn read<E: From<HistoryError>>(
        &self,
        schema: &FeatureSchema,
        shutdown: &Shutdown,
        mut each: impl FnMut(&Row) -> Result<(), E>,
    ) -> Result<u64, E> {
        let (source, bar) = self.source()?;
        let (mut accepted, mut rejected, mut refusal) = (false, 0_u64, None);
        for row in features::read(&self.map, &self.key.0, source).against(schema) {
            if shutdown.is_triggered() {
                return Err(HistoryError::Leaving.into());
            }
            match row {
                Ok(row) => {
                    accepted = true;
                    each(&row)?;
                }
                Err(error) if error.is_fatal() => {
                    let path = self.file.clone();
                    return Err(HistoryError::Feed { path, error }.into());
                }
                Err(error) => {
                    rejected += 1;
                    tracing::debug!(%error, "row refused");
                    refusal.get_or_insert(error);
                }
            }
            if self.map.format == FeedFormat::Parquet {
                bar.inc(1);
            }
        }
        bar.finish_and_clear();
        if let Some(first) = refusal {
            let (path, rows) = (self.file.clone(), rejected);
            if !accepted {
                return Err(HistoryError::AllRefused { path, rows, first }.into());
            }
            tracing::warn!(rows, %first, "rows of the history refused");
        }
        Ok(rejected)
    }

    /// The rows of `source`, read with this feed's map and key, wherever they come from.
    pub(crate) fn rows(&self, source: Source) -> Reader<'_> {
        features::read(&self.map, &self.key.0, source)
    }

    /// What a payment of this feed is with this label, or without any.
    pub(crate) fn verdict(&self, label: Option<&Label>) -> Verdict {
        Verdict::new(label, self.silence)
    }

    /// The feed's bytes, and a bar that follows them: Parquet is read from its end, so its bar
    /// counts rows.
    fn source(&self) -> Result<(Source, ProgressBar), HistoryError> {
        let wrong = |error| HistoryError::File {
            path: self.file.clone(),
            error,
        };
        let file = File::open(&self.file).map_err(wrong)?;
        let name = self
            .file
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        Ok(match self.map.format {
            FeedFormat::Parquet => (Source::File(file), bar(0, &name, ROWS)),
            FeedFormat::Csv | FeedFormat::Ndjson => {
                let bar = bar(file.metadata().map_err(wrong)?.len(), &name, BYTES);
                (Source::Stream(Box::new(bar.wrap_read(file))), bar)
            }
        })
    }
}

impl History {
    /// Reads the bank's file. Returns what training needs, and the encoder as it stands after
    /// the last payment. Stops early, with [`HistoryError::Leaving`], where the process is to go.
    ///
    /// # Errors
    /// [`HistoryError`] where a file is missing or the feed stops. Refused rows are counted.
    pub fn load(
        config: &HistoryConfig,
        schema: &FeatureSchema,
        shutdown: &Shutdown,
    ) -> Result<(Self, FeatureEncoder), HistoryError> {
        let mut encoder = encoder(schema.clone(), config.limits);
        let past = Self::read(config, schema, shutdown, |row| {
            encode(&mut encoder, row);
        })?;
        Ok((past, encoder))
    }

    /// The same without an encoder: each payment that is kept is given instead.
    pub(crate) fn read(
        config: &HistoryConfig,
        schema: &FeatureSchema,
        shutdown: &Shutdown,
        mut each: impl FnMut(&Row),
    ) -> Result<Self, HistoryError> {
        let feed = Feed::open(&config.map, &config.token_key, &config.file)?;
        for lacking in feed.lacking(schema) {
            tracing::warn!(%lacking, "the map lacks what the schema needs");
        }
        let mut past = Self {
            memory: Memory::new(schema.clone(), config.scratch.clone()),
            limits: config.limits,
            ..Self::new(schema.clone(), feed.silence)
        };
        let rejected = feed.read(schema, shutdown, |row| {
            if !config.days.contains(&row.transaction.day()) {
                return Ok(());
            }
            each(row);
            past.push(&row.transaction, row.label.as_ref())
        })?;
        past.summary.rejected = rejected;
        past.memory.settle();
        Ok(past)
    }

    /// An empty past for encoders of a schema, in which a payment without a label stands for
    /// `silence`. What it is given is kept where the system keeps temporary files.
    #[must_use]
    pub fn new(schema: FeatureSchema, silence: Verdict) -> Self {
        Self {
            memory: Memory::new(schema, std::env::temp_dir()),
            summary: Summary::default(),
            silence,
            limits: Limits::default(),
            most: PAYMENTS_MAX,
            live: None,
        }
    }

    /// The same with room for so many payments.
    #[cfg(test)]
    pub(crate) fn with_room(self, most: usize) -> Self {
        Self { most, ..self }
    }

    /// Takes a payment in, after those that came before it.
    ///
    /// # Errors
    /// [`HistoryError::TooLong`] above [`PAYMENTS_MAX`]; [`HistoryError::Kept`] where the disk
    /// refuses.
    pub fn push(
        &mut self,
        transaction: &Transaction,
        label: Option<&Label>,
    ) -> Result<(), HistoryError> {
        if self.memory.len() >= self.most {
            return Err(HistoryError::TooLong);
        }
        let verdict = Verdict::new(label, self.silence);
        self.memory
            .push(transaction, verdict)
            .map_err(HistoryError::Kept)?;
        let (day, summary) = (transaction.day(), &mut self.summary);
        summary.transactions += 1;
        summary.frauds += u64::from(matches!(verdict, Verdict::Fraud { .. }));
        summary.from_day = Some(summary.from_day.map_or(day, |first| first.min(day)));
        summary.until_day = Some(summary.until_day.map_or(day + 1, |end| end.max(day + 1)));
        Ok(())
    }

    /// What encoders of this past encode with.
    #[must_use]
    pub fn schema(&self) -> &FeatureSchema {
        self.memory.schema()
    }

    /// An encoder for this past that has seen nothing: it remembers as much as scoring's does.
    #[must_use]
    pub(crate) fn encoder(&self) -> FeatureEncoder {
        encoder(self.schema().clone(), self.limits)
    }

    /// What the status says.
    #[must_use]
    pub fn summary(&self) -> Summary {
        self.summary
    }

    /// What a payment is of which nobody has said anything.
    #[must_use]
    pub fn silence(&self) -> Verdict {
        self.silence
    }

    /// Cards seen; their numbers in [`Payment::card`] are below.
    #[must_use]
    pub fn cards(&self) -> &[String] {
        self.memory.tokens()
    }

    /// Payments of these days, since 1970-01-01 UTC.
    #[must_use]
    pub fn count(&self, days: &Range<u32>) -> u64 {
        let days = i64::from(days.start)..i64::from(days.end);
        self.memory.count(&days)
    }

    /// Gives every payment back in the order of the file, as far as an encoder reads it: from the
    /// disk, one after the other. A thread that stands back behind payments does so in between.
    ///
    /// # Errors
    /// Where the disk refuses, after the payments that could be read.
    pub fn replay(&self, mut each: impl FnMut(Payment, &Transaction)) -> std::io::Result<()> {
        self.memory.replay(&mut |payment, transaction| {
            each(payment, transaction);
            courtesy::stand_back();
        })
    }

    /// The labels that an encoder takes in with a payment, in this order: a fraud, and the word
    /// that withdraws it. Any other verdict of genuine changes nothing there.
    pub fn labels_of(payment: &Payment, transaction: &Transaction) -> impl Iterator<Item = Label> {
        let label = |fraud, known_at| Label {
            txn_id: transaction.txn_id.clone(),
            fraud,
            known_at,
            source: None,
        };
        let known = payment.verdict.known_fraud();
        let fraud = known.map(|known| label(true, known.known_at));
        let withdrawal = known.and_then(|known| known.withdrawn_at);
        let withdrawal = withdrawal.map(|at| label(false, at));
        fraud.into_iter().chain(withdrawal)
    }
}

fn encoder(schema: FeatureSchema, limits: Limits) -> FeatureEncoder {
    FeatureEncoder::new(schema, RiskSettings::default()).with_limits(limits)
}

/// Encodes the next payment of a feed, then lets the encoder know its label: that is read from the
/// moment on at which it was known.
pub(crate) fn encode(encoder: &mut FeatureEncoder, row: &Row) -> FeatureVector {
    let vector = encoder.encode(&row.transaction);
    if let Some(label) = &row.label {
        encoder.add_label(&row.transaction, label);
    }
    vector
}

/// Payments kept: on disk at 56 bytes each, and eight for each field that the schema declares, a
/// gigabyte and more. A replay of so many takes four minutes. A longer past starts at `from_day`.
pub const PAYMENTS_MAX: usize = 20_000_000;

const BYTES: &str = "{prefix} {wide_bar} {bytes}/{total_bytes} {eta}";
const ROWS: &str = "{prefix} {spinner} {human_pos} rows {elapsed}";

fn bar(length: u64, name: &str, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template).expect("the templates are well formed");
    let bar = ProgressBar::new(length).with_style(style);
    bar.set_prefix(name.to_owned());
    bar
}

/// What a payment without a label is. A feed without labels says nothing, and so does one whose
/// map lists words for unlabelled payments. In any other feed frauds are what somebody reported,
/// and a payment that nobody did is genuine once it is mature.
fn silence(map: &str, parsed: &FeedMap) -> Verdict {
    let table = map.parse::<toml::Table>().unwrap_or_default();
    let words = table.get("labels").and_then(|labels| labels.get("fraud"));
    let words = words
        .and_then(|fraud| fraud.get("unknown"))
        .and_then(toml::Value::as_array);
    let has_words = words.is_some_and(|words| !words.is_empty());
    if parsed.has_labels() && !has_words {
        Verdict::Genuine
    } else {
        Verdict::Unknown
    }
}

/// Reads a token key: the file's bytes, without the line end.
///
/// # Errors
/// [`HistoryError`], which names the file.
pub fn read_key(path: &Path) -> Result<TokenKey, HistoryError> {
    TokenKey::new(read(path)?.trim_ascii_end()).map_err(|error| HistoryError::Key {
        path: path.to_owned(),
        error,
    })
}

fn read(path: &Path) -> Result<Vec<u8>, HistoryError> {
    std::fs::read(path).map_err(|error| HistoryError::File {
        path: path.to_owned(),
        error,
    })
}

#[cfg(test)]
pub(crate) mod tests;
