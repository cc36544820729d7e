//! What `score` writes: the answers as they came, or flat columns as CSV or Parquet. A line or row
//! for every payment, also for one that got a problem. In this crate only `features export` names
//! arrow and parquet too.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float32Array, Int32Array, Int64Array, RecordBatch, StringArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use host::print::PrintError;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde::Serialize;
use serde_json::Value;

use super::lanes::Spoken;
use super::poster::{Outcome, brief};
use super::{CommandError, Format, is_standard};
use crate::scoring::{Band, TOLD_MAX};

/// The output in the making.
pub(super) struct Sheet {
    path: PathBuf,
    form: Form,
}

enum Form {
    Ndjson(Box<dyn Write + Send>),
    Csv(Box<csv::Writer<Box<dyn Write + Send>>>),
    Parquet(Box<Table>),
}

/// A Parquet file and the rows that wait for it.
struct Table {
    writer: ArrowWriter<Box<dyn Write + Send>>,
    columns: SchemaRef,
    rows: Vec<Record>,
}

/// A payment that got a problem, as a line of NDJSON.
#[derive(Serialize)]
struct Refused<'a> {
    txn_id: Option<&'a str>,
    line: u64,
    problem: &'a Value,
}

/// What the flat forms say of a payment, in the order of [`COLUMNS`].
#[derive(Default)]
struct Record {
    txn_id: Option<String>,
    decision_id: Option<String>,
    scored_at: Option<i64>,
    score: Option<i32>,
    probability: Option<f32>,
    decision: Option<&'static str>,
    band: Option<&'static str>,
    decision_rule: Option<String>,
    policy: Option<String>,
    /// Words with a space between; empty for an answer as usual.
    degraded: Option<String>,
    mode: Option<&'static str>,
    /// Of the model that gave the score: an encoder, which tells surprises, gives none.
    model_version: Option<i64>,
    label_free: Option<f32>,
    ratio: Option<f32>,
    risk_age_days: Option<i32>,
    replayed: Option<bool>,
    reasons: [Option<String>; TOLD_MAX],
    problem: Option<String>,
}

impl Sheet {
    /// Begins the file, in place of one that was there.
    ///
    /// # Errors
    /// [`CommandError::Write`], and [`CommandError::Print`] of standard output, as all below.
    pub(super) fn create(path: &Path, format: Format) -> Result<Self, CommandError> {
        let out = open(path).map_err(|error| unwritten(path, error))?;
        Self::onto(out, path, format)
    }

    /// The same where the file is open already.
    ///
    /// # Errors
    /// As of [`Sheet::create`].
    pub(super) fn onto(
        out: Box<dyn Write + Send>,
        path: &Path,
        format: Format,
    ) -> Result<Self, CommandError> {
        let form = Form::new(out, format).map_err(|error| unwritten(path, error))?;
        Ok(Self {
            path: path.to_owned(),
            form,
        })
    }

    /// Writes what became of the next payment.
    ///
    /// # Errors
    /// [`CommandError::Write`].
    pub(super) fn push(&mut self, spoken: &Spoken) -> Result<(), CommandError> {
        let written = match &mut self.form {
            Form::Ndjson(out) => write_line(out, spoken),
            Form::Csv(out) => write_cells(out, spoken),
            Form::Parquet(table) => table.push(spoken),
        };
        written.map_err(|error| unwritten(&self.path, error))
    }

    /// Ends the file.
    ///
    /// # Errors
    /// [`CommandError::Write`].
    pub(super) fn close(self) -> Result<(), CommandError> {
        let closed = match self.form {
            Form::Ndjson(mut out) => out.flush(),
            Form::Csv(mut out) => out.flush(),
            Form::Parquet(table) => table.close(),
        };
        closed.map_err(|error| unwritten(&self.path, error))
    }
}

impl Form {
    fn new(out: Box<dyn Write + Send>, format: Format) -> io::Result<Self> {
        Ok(match format {
            Format::Ndjson => Self::Ndjson(out),
            Format::Csv => {
                let mut writer = csv::Writer::from_writer(out);
                writer.write_record(COLUMNS.iter().map(|(name, _)| name))?;
                Self::Csv(Box::new(writer))
            }
            Format::Parquet => Self::Parquet(Box::new(Table::new(out)?)),
        })
    }
}

/// An answer as it came, or a problem with its line; at once, for whoever reads along.
fn write_line(out: &mut impl Write, spoken: &Spoken) -> io::Result<()> {
    let mut line = match &spoken.outcome {
        Outcome::Answered { text, .. } => text.clone(),
        Outcome::Refused(problem) => serde_json::to_string(&Refused {
            txn_id: spoken.txn_id.as_deref(),
            line: spoken.line,
            problem,
        })?,
    };
    line.push('\n');
    out.write_all(line.as_bytes())
}

fn write_cells(out: &mut csv::Writer<Box<dyn Write + Send>>, spoken: &Spoken) -> io::Result<()> {
    out.write_record(Record::new(spoken).into_cells())?;
    out.flush()
}

impl Record {
    fn new(spoken: &Spoken) -> Self {
        let answer = match &spoken.outcome {
            Outcome::Answered { answer, .. } => answer,
            Outcome::Refused(problem) => {
                return Self {
                    txn_id: spoken.txn_id.clone(),
                    problem: Some(format!("line {}: {}", spoken.line, brief(problem))),
                    ..Self::default()
                };
            }
        };
        let mut codes = answer.reasons.iter().map(|reason| reason.code.clone());
        let model = answer.score.and(answer.model.as_ref());
        let degraded = answer.degraded.iter().map(|why| why.word());
        let degraded: Vec<&str> = degraded.collect();
        Self {
            txn_id: Some(answer.txn_id.clone()),
            decision_id: answer.decision_id.clone(),
            scored_at: i64::try_from(answer.scored_at).ok(),
            score: answer.score.map(i32::from),
            probability: answer.probability,
            decision: Some(answer.decision.word()),
            band: answer.band.map(Band::word),
            decision_rule: Some(answer.decision_rule.clone()),
            policy: Some(answer.policy.clone()),
            degraded: Some(degraded.join(" ")),
            mode: Some(answer.mode.word()),
            model_version: model.and_then(|model| i64::try_from(model.version).ok()),
            label_free: answer.label_free,
            ratio: answer.ratio,
            risk_age_days: answer.risk_age_days,
            replayed: Some(answer.replayed),
            reasons: std::array::from_fn(|_| codes.next()),
            problem: None,
        }
    }

    fn into_cells(self) -> [String; WIDTH] {
        let [one, two, three, four, five, six] = self.reasons;
        [
            cell(self.txn_id),
            cell(self.decision_id),
            cell(self.scored_at),
            cell(self.score),
            cell(self.probability),
            cell(self.decision),
            cell(self.band),
            cell(self.decision_rule),
            cell(self.policy),
            cell(self.degraded),
            cell(self.mode),
            cell(self.model_version),
            cell(self.label_free),
            cell(self.ratio),
            cell(self.risk_age_days),
            cell(self.replayed),
            cell(one),
            cell(two),
            cell(three),
            cell(four),
            cell(five),
            cell(six),
            cell(self.problem),
        ]
    }
}

fn cell<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

impl Table {
    fn new(out: Box<dyn Write + Send>) -> io::Result<Self> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
            .set_created_by("phalanx-agent".to_owned())
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .build();
        let fields = COLUMNS.iter();
        let fields = fields.map(|(name, kind)| Field::new(*name, kind.clone(), true));
        let columns: SchemaRef = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        Ok(Self {
            writer: ArrowWriter::try_new(out, Arc::clone(&columns), Some(properties))?,
            columns,
            rows: Vec::new(),
        })
    }

    fn push(&mut self, spoken: &Spoken) -> io::Result<()> {
        self.rows.push(Record::new(spoken));
        if self.rows.len() < BATCH_ROWS {
            return Ok(());
        }
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        let rows = std::mem::take(&mut self.rows);
        let batch = RecordBatch::try_new(Arc::clone(&self.columns), arrays(&rows));
        let batch = batch.map_err(io::Error::other)?;
        Ok(self.writer.write(&batch)?)
    }

    fn close(mut self) -> io::Result<()> {
        self.flush()?;
        self.writer.into_inner()?.flush()
    }
}

/// Rows turned into columns, in the order of [`COLUMNS`].
fn arrays(rows: &[Record]) -> Vec<ArrayRef> {
    let reason = |place: usize| -> ArrayRef { text(rows, |row| row.reasons[place].as_deref()) };
    vec![
        text(rows, |row| row.txn_id.as_deref()),
        text(rows, |row| row.decision_id.as_deref()),
        Arc::new(Int64Array::from(column(rows, |row| row.scored_at))),
        Arc::new(Int32Array::from(column(rows, |row| row.score))),
        Arc::new(Float32Array::from(column(rows, |row| row.probability))),
        text(rows, |row| row.decision),
        text(rows, |row| row.band),
        text(rows, |row| row.decision_rule.as_deref()),
        text(rows, |row| row.policy.as_deref()),
        text(rows, |row| row.degraded.as_deref()),
        text(rows, |row| row.mode),
        Arc::new(Int64Array::from(column(rows, |row| row.model_version))),
        Arc::new(Float32Array::from(column(rows, |row| row.label_free))),
        Arc::new(Float32Array::from(column(rows, |row| row.ratio))),
        Arc::new(Int32Array::from(column(rows, |row| row.risk_age_days))),
        Arc::new(BooleanArray::from(column(rows, |row| row.replayed))),
        reason(0),
        reason(1),
        reason(2),
        reason(3),
        reason(4),
        reason(5),
        text(rows, |row| row.problem.as_deref()),
    ]
}

fn column<T>(rows: &[Record], of: impl Fn(&Record) -> Option<T>) -> Vec<Option<T>> {
    rows.iter().map(of).collect()
}

fn text(rows: &[Record], of: impl Fn(&Record) -> Option<&str>) -> ArrayRef {
    let values: Vec<Option<&str>> = rows.iter().map(of).collect();
    Arc::new(StringArray::from(values))
}

fn open(path: &Path) -> io::Result<Box<dyn Write + Send>> {
    match is_standard(path) {
        true => Ok(Box::new(io::stdout())),
        false => Ok(Box::new(File::create(path)?)),
    }
}

fn unwritten(path: &Path, error: io::Error) -> CommandError {
    match is_standard(path) {
        true => PrintError::from(error).into(),
        false => CommandError::Write {
            path: path.to_owned(),
            error,
        },
    }
}

/// The flat forms' columns; any value may be missing.
static COLUMNS: [(&str, DataType); WIDTH] = [
    ("txn_id", DataType::Utf8),
    ("decision_id", DataType::Utf8),
    ("scored_at", DataType::Int64),
    ("score", DataType::Int32),
    ("probability", DataType::Float32),
    ("decision", DataType::Utf8),
    ("band", DataType::Utf8),
    ("decision_rule", DataType::Utf8),
    ("policy", DataType::Utf8),
    ("degraded", DataType::Utf8),
    ("mode", DataType::Utf8),
    ("model_version", DataType::Int64),
    ("label_free", DataType::Float32),
    ("ratio", DataType::Float32),
    ("risk_age_days", DataType::Int32),
    ("replayed", DataType::Boolean),
    ("reason_1", DataType::Utf8),
    ("reason_2", DataType::Utf8),
    ("reason_3", DataType::Utf8),
    ("reason_4", DataType::Utf8),
    ("reason_5", DataType::Utf8),
    ("reason_6", DataType::Utf8),
    ("problem", DataType::Utf8),
];

const WIDTH: usize = 23;

/// Rows that wait before they are encoded: some hundred kilobytes.
const BATCH_ROWS: usize = 1_024;

/// Rows of one group of the Parquet file, encoded in memory until it is full.
const GROUP_ROWS: usize = 65_536;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    // Each answer has every reason that a policy allows for, and every column its name.
    #[test]
    fn the_flat_form_has_room_for_all_that_an_answer_says() {
        let reason = |number: usize| {
            json!({ "code": format!("R{number}"), "rank": number, "weight": null, "observed": "",
                "usual": null, "text": "" })
        };
        let reasons: Vec<Value> = (1..=TOLD_MAX).map(reason).collect();
        let mut text = json!({
            "decision_id": "1-0", "txn_id": "t", "scored_at": 1, "score": 800, "probability": 0.25,
            "label_free": 4.25, "ratio": 7.5, "decision": "review", "band": "high",
            "decision_rule": "policy:breaker.then=review", "policy": "p.1",
            "degraded": ["breaker", "late"], "reasons": reasons, "risk_age_days": 9,
            "model": { "version": 3, "parameters": "", "schema": "" }, "mode": "full",
            "replayed": false, "unknown_fields": 0, "latency_us": 1,
        });
        let spoken = answered(&text);
        let cells = Record::new(&spoken).into_cells();
        let cell = |name: &str| {
            let at = COLUMNS.iter().position(|(column, _)| *column == name);
            cells[at.unwrap()].as_str()
        };
        for (name, _) in &COLUMNS {
            let expected = match *name {
                "degraded" => "breaker late".to_owned(),
                "model_version" => "3".to_owned(),
                "problem" => String::new(),
                name => match name.strip_prefix("reason_") {
                    Some(number) => format!("R{number}"),
                    None => {
                        let told = &text[name];
                        told.as_str()
                            .map_or_else(|| told.to_string(), str::to_owned)
                    }
                },
            };
            assert_eq!(cell(name), expected, "{name}");
        }
        assert!(cells.iter().filter(|cell| cell.is_empty()).count() == 1);
        let batch = arrays(&[Record::new(&spoken)]);
        for (array, (name, kind)) in batch.iter().zip(&COLUMNS) {
            assert_eq!(array.data_type(), kind, "{name}");
            assert_eq!(array.is_null(0), *name == "problem", "{name}");
        }
        assert_eq!(batch.len(), WIDTH);
        // As it is answered where there is an encoder and no more.
        text["score"] = Value::Null;
        let spoken = answered(&text);
        assert_eq!(Record::new(&spoken).model_version, None);
        assert_eq!(Record::new(&spoken).label_free, Some(4.25));
    }

    fn answered(text: &Value) -> Spoken {
        Spoken {
            line: 1,
            txn_id: None,
            outcome: Outcome::Answered {
                answer: Box::new(serde_json::from_value(text.clone()).unwrap()),
                text: String::new(),
            },
        }
    }
}
