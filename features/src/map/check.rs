//! What a feed looks like through its map, before anybody trusts it: coverage, failures with
//! their lines, duplicates, order, range, card numbers, and rows as they will be kept.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::cell::Cell;
use super::reader::{RowErrorKind, Source, read};
use super::{FeedMap, TokenKey};
use crate::pan;
use crate::schema::{FeatureSchema, Need};
use crate::transaction::{FieldErrorKind, Transaction};

/// The report of [`check`]. Values of the feed appear only in `sample_rows`, tokenised.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CheckReport {
    /// The feed's name.
    pub feed: String,
    /// Rows read, refused ones included.
    pub rows: u64,
    /// Rows refused.
    pub rejected: u64,
    /// Share of accepted rows in which each mapped field has a value.
    pub coverage: BTreeMap<String, f64>,
    /// Refusals counted by field; rows malformed as a whole count as `row`.
    pub failures_by_field: BTreeMap<String, u64>,
    /// The first refusals.
    pub failures: Vec<Failure>,
    /// Accepted rows whose id was seen before, among the first two million.
    pub duplicates: u64,
    /// Share of accepted rows older than a row before them.
    pub out_of_order_share: f64,
    /// Earliest and latest event time, milliseconds since 1970-01-01 UTC.
    pub time_range: Option<(i64, i64)>,
    /// Values per column that pass for card numbers, columns read as time or amount left out.
    pub luhn_hits: BTreeMap<String, u64>,
    /// Rows refused because a kept value passes for a card number.
    pub pan_refusals: u64,
    /// Rows with a label, and those of them labelled fraud.
    pub labelled: u64,
    /// Rows labelled fraud.
    pub frauds: u64,
    /// Columns that no rule reads.
    pub unmapped_columns: Vec<String>,
    /// What the feed has of everything that the schema needs.
    pub provisions: Vec<Provision>,
    /// The first rows as they would be kept.
    pub sample_rows: Vec<Transaction>,
    /// The error that ended the reading early.
    pub stopped: Option<String>,
}

/// One refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The line, or the row of a Parquet file.
    pub line: u64,
    /// The refusal's text, card-like digits hidden.
    pub message: String,
}

/// What a feed has of one thing that a schema needs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Provision {
    /// The field, or several of which one suffices.
    pub field: String,
    /// What there is of it.
    pub found: String,
    /// What its values must be.
    pub expected: String,
    /// The features that carry nothing without it.
    pub features: Vec<String>,
    /// Whether the map has a rule for it and, where rows were read, some row a value.
    pub is_provided: bool,
}

impl std::fmt::Display for Provision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let features = self.features.join(", ");
        write!(
            f,
            "field {}: found {}, expected {} for {features}",
            self.field, self.found, self.expected
        )
    }
}

/// Whether a map has rules for everything that a schema needs, before any row is read.
#[must_use]
pub fn provisions(map: &FeedMap, schema: &FeatureSchema) -> Vec<Provision> {
    let needs = schema.needs();
    needs.into_iter().map(|need| provision(map, need)).collect()
}

fn provision(map: &FeedMap, need: Need) -> Provision {
    let is_provided = map
        .fields()
        .any(|field| need.fields.iter().any(|of| of == field));
    Provision {
        field: need.fields.join(" or "),
        found: if is_provided { "a rule" } else { "no rule" }.to_owned(),
        expected: need.expected.to_owned(),
        features: need.features,
        is_provided,
    }
}

/// Reads up to `rows_max` rows and reports, against what a schema needs.
pub fn check(
    (map, schema): (&FeedMap, &FeatureSchema),
    key: &TokenKey,
    source: Source,
    rows_max: u64,
) -> CheckReport {
    let mut report = CheckReport {
        feed: map.name.clone(),
        ..CheckReport::default()
    };
    let mut tally = Tally::default();
    let mut reader = read(map, key, source).against(schema);
    let judged = judged_columns(map, schema);
    while report.rows < rows_max {
        let Some((cells, row)) = reader.next_cells() else {
            break;
        };
        count_luhn(map, &judged, &cells, &mut report);
        match row {
            Ok((_, row)) => tally.accept(&mut report, row),
            Err(error) => {
                let field = match &error.kind {
                    RowErrorKind::Field(error) => error.field.clone(),
                    RowErrorKind::Malformed { .. } => "row".to_owned(),
                    RowErrorKind::Feed { .. } | RowErrorKind::TooManyRejected { .. } => {
                        report.stopped = Some(error.to_string());
                        "feed".to_owned()
                    }
                };
                let is_pan = matches!(&error.kind, RowErrorKind::Field(error)
                    if error.kind == FieldErrorKind::PanDetected);
                report.pan_refusals += u64::from(is_pan);
                *report.failures_by_field.entry(field).or_default() += 1;
                if report.failures.len() < FAILURES_MAX {
                    let message = error.kind.to_string();
                    report.failures.push(Failure {
                        line: error.line,
                        message,
                    });
                }
            }
        }
        report.rows = reader.rows();
        report.rejected = reader.rejected();
        report.unmapped_columns = reader.unmapped_columns().to_vec();
    }
    tally.finish((map, schema), &mut report);
    report
}

/// Counts that become shares at the end.
#[derive(Default)]
struct Tally {
    accepted: u64,
    present: BTreeMap<String, u64>,
    seen: BTreeSet<u64>,
    late: u64,
    newest: Option<i64>,
}

impl Tally {
    fn accept(&mut self, report: &mut CheckReport, row: super::Row) {
        let transaction = row.transaction;
        self.accepted += 1;
        for field in present_fields(&transaction) {
            *self.present.entry(field).or_default() += 1;
        }
        let id = crate::windows::key_of(&transaction.txn_id);
        let is_known = match self.seen.len() < IDS_MAX {
            true => !self.seen.insert(id),
            false => self.seen.contains(&id),
        };
        report.duplicates += u64::from(is_known);
        self.late += u64::from(self.newest.is_some_and(|newest| transaction.ts < newest));
        self.newest = self.newest.max(Some(transaction.ts));
        let (from, to) = report
            .time_range
            .unwrap_or((transaction.ts, transaction.ts));
        report.time_range = Some((from.min(transaction.ts), to.max(transaction.ts)));
        report.labelled += u64::from(row.label.is_some());
        report.frauds += u64::from(row.label.is_some_and(|label| label.fraud));
        if report.sample_rows.len() < SAMPLE_ROWS {
            report.sample_rows.push(transaction);
        }
    }

    fn finish(&self, (map, schema): (&FeedMap, &FeatureSchema), report: &mut CheckReport) {
        let rows = self.accepted.max(1) as f64;
        for field in map.fields() {
            let present = self.present.get(field).copied().unwrap_or(0);
            report
                .coverage
                .insert(field.to_owned(), present as f64 / rows);
        }
        report.out_of_order_share = self.late as f64 / rows;
        for need in schema.needs() {
            let shares = need.fields.iter().map(|field| {
                let present = self.present.get(field).copied().unwrap_or(0);
                present as f64 / rows
            });
            let share = shares.fold(0.0, f64::max);
            let mut provision = provision(map, need);
            if provision.is_provided {
                provision.is_provided = share > 0.0;
                provision.found = match provision.is_provided {
                    true => format!("a value in {:.1} % of rows", 100.0 * share),
                    false => "a rule, but no value in any row".to_owned(),
                };
            }
            report.provisions.push(provision);
        }
    }
}

/// Fields of a transaction that hold a value; extras as `ext.NAME`.
fn present_fields(transaction: &Transaction) -> Vec<String> {
    let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(transaction) else {
        return Vec::new();
    };
    let present = fields
        .iter()
        .filter(|(name, value)| !value.is_null() && *name != "ext");
    let ext = transaction.ext.keys().map(|name| format!("ext.{name}"));
    present.map(|(name, _)| name.clone()).chain(ext).collect()
}

/// Columns in which a card number would be out of place: not those read as a time.
fn judged_columns(map: &FeedMap, schema: &FeatureSchema) -> Vec<bool> {
    let mut judged = vec![true; map.columns.len()];
    let label_time = map.label.iter().filter_map(|label| label.known_at.as_ref());
    for rule in map.rules.iter().chain(label_time) {
        let is_time = rule.parse.is_some() || rule.field == "ts" || schema.is_time(&rule.field);
        for &column in rule.columns.iter().filter(|_| is_time) {
            if let Some(judged) = judged.get_mut(column) {
                *judged = false;
            }
        }
    }
    judged
}

fn count_luhn(map: &FeedMap, judged: &[bool], cells: &[Cell], report: &mut CheckReport) {
    for ((column, judged), cell) in map.columns.iter().zip(judged).zip(cells) {
        if *judged && cell.text().is_some_and(|text| pan::is_pan_like(&text)) {
            *report.luhn_hits.entry(column.clone()).or_default() += 1;
        }
    }
}

const FAILURES_MAX: usize = 20;
const SAMPLE_ROWS: usize = 5;
/// Ids remembered in search of duplicates, 8 bytes each beside the tree's own.
const IDS_MAX: usize = 2_000_000;
