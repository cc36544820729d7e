//! Parquet: typed columns, read batch by batch with only the wanted columns decoded. The one
//! file that names arrow and parquet.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{
    DataType, Date32Type, Float64Type, Int64Type, TimeUnit, TimestampMillisecondType,
};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::FeedMap;
use super::cell::Cell;
use super::reader::{RowError, RowErrorKind};

/// Rows of a Parquet feed.
pub(crate) struct Columnar {
    batches: ParquetRecordBatchReader,
    /// The running batch's wanted columns, cast to a few plain types.
    columns: Vec<ArrayRef>,
    rows: usize,
    next: usize,
    row: u64,
    pub(crate) unmapped: Vec<String>,
}

impl Columnar {
    /// Reads the footer and judges the columns.
    pub(crate) fn open(map: &FeedMap, file: File) -> Result<Self, RowError> {
        guarded(1, || Self::open_unguarded(map, file)).and_then(|opened| opened)
    }

    fn open_unguarded(map: &FeedMap, file: File) -> Result<Self, RowError> {
        let broken = |_| fault(1, "an unreadable footer");
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(broken)?;
        let schema = Arc::clone(builder.schema());
        let names = || schema.fields().iter().map(|field| field.name().as_str());
        let unmapped = map
            .judge_columns(names())
            .map_err(|(found, expected)| RowError {
                line: 1,
                kind: RowErrorKind::column(&found, &expected),
            })?;
        let unmapped = unmapped.into_iter().map(str::to_owned).collect();
        if let Some(column) = map
            .columns
            .iter()
            .find(|column| names().all(|name| name != *column))
        {
            let found = format!("no column {column} in the file");
            let kind = RowErrorKind::column(&found, "every column that the map names");
            return Err(RowError { line: 1, kind });
        }
        let wanted = map.columns.iter().map(String::as_str);
        let mask = ProjectionMask::columns(builder.parquet_schema(), wanted);
        let builder = builder.with_projection(mask).with_batch_size(BATCH_ROWS);
        let batches = builder
            .build()
            .map_err(|_| fault(1, "unreadable column chunks"))?;
        Ok(Self {
            batches,
            columns: Vec::new(),
            rows: 0,
            next: 0,
            row: 0,
            unmapped,
        })
    }

    /// The next row's number, from 1, and its cells.
    pub(crate) fn next(&mut self, map: &FeedMap) -> Option<Result<(u64, Vec<Cell>), RowError>> {
        while self.next == self.rows {
            let row = self.row + 1;
            let loaded = guarded(row, || self.load(map)).and_then(|loaded| loaded);
            match loaded {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
        let at = self.next;
        self.next += 1;
        self.row += 1;
        Some(Ok((
            self.row,
            self.columns.iter().map(|column| cell(column, at)).collect(),
        )))
    }

    /// Loads the next batch; false at the end.
    fn load(&mut self, map: &FeedMap) -> Result<bool, RowError> {
        let row = self.row + 1;
        let Some(batch) = self.batches.next() else {
            return Ok(false);
        };
        let batch = batch.map_err(|_| fault(row, "an unreadable page"))?;
        let columns = map
            .columns
            .iter()
            .map(|name| plain_column(&batch, name, row));
        self.columns = columns.collect::<Result<_, _>>()?;
        self.rows = batch.num_rows();
        self.next = 0;
        Ok(true)
    }
}

/// A column cast to text, i64, f64, truth value, time or date; anything else is refused.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the types are arrow's, and grow with it"
)]
fn plain_column(batch: &RecordBatch, name: &str, row: u64) -> Result<ArrayRef, RowError> {
    let column = batch
        .column_by_name(name)
        .ok_or_else(|| fault(row, "a batch without a column"))?;
    let found = column.data_type();
    let plain = match found {
        DataType::Timestamp(_, zone) => {
            Some(DataType::Timestamp(TimeUnit::Millisecond, zone.clone()))
        }
        DataType::Boolean => Some(DataType::Boolean),
        DataType::Date32 | DataType::Date64 => Some(DataType::Date32),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Some(DataType::Utf8),
        DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) => {
            Some(DataType::Utf8)
        }
        DataType::Dictionary(..) => Some(DataType::Utf8),
        other if other.is_integer() => Some(DataType::Int64),
        other if other.is_floating() => Some(DataType::Float64),
        other if other.is_null() => Some(DataType::Utf8),
        other => {
            let found = format!("column {name} of type {other}");
            let expected = "texts, numbers, truth values, times or dates";
            let kind = RowErrorKind::column(&found, expected);
            return Err(RowError { line: row, kind });
        }
    };
    let plain = plain.expect("every arm that goes on names a type");
    let options = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    cast_with_options(column, &plain, &options).map_err(|_| {
        let found = format!("column {name} with a value that does not fit {plain}");
        fault(row, &found)
    })
}

fn cell(column: &ArrayRef, at: usize) -> Cell {
    if column.is_null(at) {
        return Cell::Missing;
    }
    if let Some(texts) = column.as_string_opt::<i32>() {
        return Cell::from_text(texts.value(at));
    }
    if let Some(wholes) = column.as_primitive_opt::<Int64Type>() {
        return Cell::Whole(wholes.value(at));
    }
    if let Some(reals) = column.as_primitive_opt::<Float64Type>() {
        let real = reals.value(at);
        return if real.is_nan() {
            Cell::Missing
        } else {
            Cell::Real(real)
        };
    }
    if let Some(times) = column.as_primitive_opt::<TimestampMillisecondType>() {
        let is_zoned = times.timezone().is_some();
        return Cell::Time {
            ms: times.value(at),
            is_zoned,
        };
    }
    if let Some(dates) = column.as_primitive_opt::<Date32Type>() {
        return Cell::Date(dates.value(at));
    }
    column
        .as_boolean_opt()
        .map_or(Cell::Nested, |flags| Cell::Flag(flags.value(at)))
}

/// Runs the decoder; a panic on malformed bytes becomes an error. The decoder is a large body of
/// code that reads offsets and lengths from the file, and a feed must not end the process.
fn guarded<T>(row: u64, decode: impl FnOnce() -> T) -> Result<T, RowError> {
    catch_unwind(AssertUnwindSafe(decode)).map_err(|_| fault(row, "bytes that break the decoder"))
}

fn fault(row: u64, found: &str) -> RowError {
    RowError {
        line: row,
        kind: RowErrorKind::feed(found, "an intact Parquet file"),
    }
}

const BATCH_ROWS: usize = 4_096;
