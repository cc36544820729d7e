//! `features export`: the vectors of a feed as Parquet, for tools that are not ours. What a payment
//! becomes is `features`' affair, and how a feed is read `history`'s; here are the file's columns
//! and its row groups. In this crate only `score/sheet.rs` names arrow and parquet too.

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float32Array, Int32Array, Int64Array, RecordBatch, StringArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use clap::Args;
use features::{FeatureEncoder, FeatureSchema, FeatureVector, RiskSettings, Row};
use host::shutdown::Shutdown;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use serde::Serialize;

use super::{CommandError, Said, days, is_one_file, json, refused, token_key};
use crate::config::schema;
use crate::history::{self, Feed, Verdict};

/// What `features export` is told.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The mapping file.
    #[arg(long)]
    map: PathBuf,
    /// The feed: CSV or NDJSON, plain or packed, or Parquet.
    #[arg(long)]
    data: PathBuf,
    /// The consortium's feature schema; the standard one where it is left out.
    #[arg(long)]
    schema: Option<PathBuf>,
    /// The token key; a throw-away one where it is left out, which moves nothing but estimates of
    /// how many cards an outlet saw.
    #[arg(long)]
    key: Option<PathBuf>,
    /// First day written, days since 1970-01-01 UTC; the feed's first where it is left out. Earlier
    /// payments are remembered all the same.
    #[arg(long)]
    from_day: Option<i32>,
    /// First day after the last one written; all days where it is left out.
    #[arg(long)]
    to_day: Option<i32>,
    /// Write the Parquet file here.
    #[arg(long)]
    out: PathBuf,
    /// Say it as JSON.
    #[arg(long)]
    json: bool,
}

/// What was written.
#[derive(Debug, Serialize)]
struct Exported {
    rows: u64,
    columns: usize,
    from_day: i32,
    to_day: i32,
    frauds: u64,
    rejected: u64,
    schema_digest: String,
    lacking: Vec<String>,
}

pub(super) fn export(arguments: &Arguments) -> Result<Said, CommandError> {
    let schema = schema::read(arguments.schema.as_deref())?;
    if let Some((name, ..)) = FIXED.iter().find(|of| schema.position(of.0).is_some()) {
        let expected = "feature columns of other names than the file's own";
        return Err(refused("--schema", format!("a column {name}"), expected));
    }
    let days = days(arguments.from_day, arguments.to_day)?;
    let key = token_key(arguments.key.as_deref())?;
    let feed = Feed::with_key(&arguments.map, key, &arguments.data)?;
    let out = &arguments.out;
    if is_one_file(out, &arguments.data) {
        let expected = "another file than that of --data";
        return Err(refused("--out", out.display().to_string(), expected));
    }
    let file = File::create(out).map_err(|error| CommandError::Write {
        path: out.clone(),
        error,
    })?;
    let exported = fill(file, (&feed, &schema), days, out);
    if exported.is_err() {
        // Half a file is of no use; why it is half a file is said below.
        let _ = std::fs::remove_file(out);
    }
    let exported = exported?;
    if arguments.json {
        return Ok(Said::yes(json(&exported)?));
    }
    Ok(Said::yes(table(&exported, out)))
}

/// Encodes the feed and writes the days that are wanted.
fn fill(
    file: File,
    (feed, schema): (&Feed, &FeatureSchema),
    days: Range<i32>,
    out: &Path,
) -> Result<Exported, CommandError> {
    let unwritten = |error: ParquetError| CommandError::Write {
        path: out.to_owned(),
        error: std::io::Error::other(error),
    };
    let mut sheet = Sheet::new(file, schema, days.clone()).map_err(unwritten)?;
    let rejected = feed.read(schema, &Shutdown::default(), |row| {
        let fraud = match feed.verdict(row.label.as_ref()) {
            Verdict::Fraud { .. } => Some(true),
            Verdict::Cleared { .. } | Verdict::Genuine => Some(false),
            Verdict::Unknown => None,
        };
        sheet.push(row, fraud).map_err(unwritten)
    })?;
    let held = sheet.held.clone();
    let Some(written) = sheet.written.clone() else {
        return Err(none_written(&days, held));
    };
    let (rows, frauds) = (sheet.rows, sheet.frauds);
    sheet.close().map_err(unwritten)?;
    let lacking = feed.lacking(schema);
    Ok(Exported {
        rows,
        columns: schema.len(),
        from_day: written.start,
        to_day: written.end,
        frauds,
        rejected,
        schema_digest: crypto::Digest(schema.digest()).to_hex(),
        lacking: lacking.iter().map(ToString::to_string).collect(),
    })
}

/// The file in the making.
struct Sheet {
    encoder: FeatureEncoder,
    /// The days that are wanted.
    days: Range<i32>,
    writer: ArrowWriter<File>,
    columns: SchemaRef,
    group: Group,
    /// Cards by number, in the order of first appearance.
    cards: BTreeMap<String, i32>,
    rows: u64,
    frauds: u64,
    /// From the first day that the feed holds to the last.
    held: Option<Range<i32>>,
    /// The same of the rows written.
    written: Option<Range<i32>>,
}

impl Sheet {
    fn new(file: File, schema: &FeatureSchema, days: Range<i32>) -> Result<Self, ParquetError> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
            .set_created_by("phalanx-agent".to_owned())
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .build();
        let columns = columns(schema);
        let writer = ArrowWriter::try_new(file, Arc::clone(&columns), Some(properties))?;
        Ok(Self {
            encoder: FeatureEncoder::new(schema.clone(), RiskSettings::default()),
            days,
            writer,
            columns,
            group: Group::new(schema.len()),
            cards: BTreeMap::new(),
            rows: 0,
            frauds: 0,
            held: None,
            written: None,
        })
    }

    /// Encodes the feed's next payment, and writes it where its day is wanted.
    fn push(&mut self, row: &Row, fraud: Option<bool>) -> Result<(), ParquetError> {
        let day = row.transaction.day();
        self.held = Some(including(self.held.take(), day));
        // Later payments have no part in what an earlier one looks like.
        if day >= self.days.end {
            return Ok(());
        }
        let vector = history::encode(&mut self.encoder, row);
        let card = self.card(row.transaction.card());
        if day < self.days.start {
            return Ok(());
        }
        self.written = Some(including(self.written.take(), day));
        self.rows += 1;
        self.frauds += u64::from(fraud == Some(true));
        self.group.push(row, (card, fraud), &vector);
        if self.group.len() == GROUP_ROWS {
            self.flush()?;
        }
        Ok(())
    }

    fn card(&mut self, token: &str) -> i32 {
        if let Some(number) = self.cards.get(token) {
            return *number;
        }
        let next = i32::try_from(self.cards.len());
        let next = next.expect("two billion tokens do not fit this memory");
        self.cards.insert(token.to_owned(), next);
        next
    }

    /// Writes what waits as a row group.
    fn flush(&mut self) -> Result<(), ParquetError> {
        let fresh = Group::new(self.group.values.len());
        let full = std::mem::replace(&mut self.group, fresh);
        self.writer.write(&full.into_batch(&self.columns)?)
    }

    fn close(mut self) -> Result<(), ParquetError> {
        self.flush()?;
        self.writer.close()?;
        Ok(())
    }
}

/// Rows of one group, column by column.
struct Group {
    txn_id: Vec<String>,
    ts: Vec<i64>,
    day: Vec<i32>,
    card: Vec<i32>,
    fraud: Vec<Option<bool>>,
    known_at: Vec<Option<i64>>,
    /// One for each column of the feature schema.
    values: Vec<Vec<f32>>,
}

impl Group {
    fn new(columns: usize) -> Self {
        Self {
            txn_id: Vec::new(),
            ts: Vec::new(),
            day: Vec::new(),
            card: Vec::new(),
            fraud: Vec::new(),
            known_at: Vec::new(),
            values: vec![Vec::new(); columns],
        }
    }

    fn len(&self) -> usize {
        self.txn_id.len()
    }

    fn push(&mut self, row: &Row, (card, fraud): (i32, Option<bool>), vector: &FeatureVector) {
        self.txn_id.push(row.transaction.txn_id.clone());
        self.ts.push(row.transaction.ts);
        self.day.push(row.transaction.day());
        self.card.push(card);
        self.fraud.push(fraud);
        let known_at = row.label.as_ref().map(|label| label.known_at);
        self.known_at.push(known_at);
        for (column, value) in self.values.iter_mut().zip(&vector.0) {
            column.push(*value);
        }
    }

    fn into_batch(self, columns: &SchemaRef) -> Result<RecordBatch, ParquetError> {
        let mut arrays: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(self.txn_id)),
            Arc::new(Int64Array::from(self.ts)),
            Arc::new(Int32Array::from(self.day)),
            Arc::new(Int32Array::from(self.card)),
            Arc::new(BooleanArray::from(self.fraud)),
            Arc::new(Int64Array::from(self.known_at)),
        ];
        let values = self.values.into_iter();
        arrays.extend(values.map(|values| -> ArrayRef { Arc::new(Float32Array::from(values)) }));
        Ok(RecordBatch::try_new(Arc::clone(columns), arrays)?)
    }
}

/// The file's own columns, then those of the feature schema.
fn columns(schema: &FeatureSchema) -> SchemaRef {
    let own = FIXED.iter();
    let own = own.map(|(name, kind, is_optional)| Field::new(*name, kind.clone(), *is_optional));
    let features = schema.columns().iter();
    let features = features.map(|column| Field::new(&column.name, DataType::Float32, false));
    Arc::new(Schema::new(own.chain(features).collect::<Vec<_>>()))
}

/// The days so far and one more.
fn including(days: Option<Range<i32>>, day: i32) -> Range<i32> {
    match days {
        None => day..day + 1,
        Some(days) => days.start.min(day)..days.end.max(day + 1),
    }
}

fn none_written(days: &Range<i32>, held: Option<Range<i32>>) -> CommandError {
    let Some(held) = held else {
        return refused("--data", "no payment".to_owned(), "at least one");
    };
    let expected = format!("some of days {} to {}", held.start, held.end - 1);
    let found = match (days.start, days.end) {
        (i32::MIN, end) => format!("days before {end}"),
        (start, i32::MAX) => format!("days from {start} on"),
        (start, end) => format!("days {start} to {}", end - 1),
    };
    refused("--from-day and --to-day", found, &expected)
}

fn table(exported: &Exported, out: &Path) -> String {
    let mut text = format!("written to {}\n", out.display());
    let mut line = |name: &str, value: String| text += &format!("  {name:<22} {value}\n");
    let Exported { rows, frauds, .. } = exported;
    line("rows", format!("{rows}, {frauds} of them frauds"));
    let (first, last) = (exported.from_day, exported.to_day - 1);
    line("days", format!("{first} to {last}"));
    line("feature columns", exported.columns.to_string());
    line("schema", exported.schema_digest.clone());
    line("rows refused", exported.rejected.to_string());
    for lacking in &exported.lacking {
        line("schema lacks", lacking.clone());
    }
    text
}

/// The columns before the schema's: name, type, and whether a value may be missing.
static FIXED: [(&str, DataType, bool); 6] = [
    ("txn_id", DataType::Utf8, false),
    ("ts", DataType::Int64, false),
    ("day", DataType::Int32, false),
    ("card", DataType::Int32, false),
    ("fraud", DataType::Boolean, true),
    ("known_at", DataType::Int64, true),
];

/// Rows held in memory before they are written: 21 MB of 80 columns.
const GROUP_ROWS: usize = 65_536;

#[cfg(test)]
pub(crate) mod tests;
