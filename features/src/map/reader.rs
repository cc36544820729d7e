//! Rows of a feed, one after the other, in bounded memory: a malformed row is an error that
//! names its line, and reading goes on with the next; a malformed feed ends the reading.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use super::cell::Cell;
use super::columnar::Columnar;
use super::delimited::Delimited;
use super::lines::Lines;
use super::ndjson::Ndjson;
use super::{FeedFormat, FeedMap, TokenKey};
use crate::schema::FeatureSchema;
use crate::transaction::{FieldError, Label, Transaction};

/// Where a feed's bytes come from; the caller opened it.
pub enum Source {
    /// CSV or NDJSON, plain or packed with gzip or zstd, told apart by the first bytes.
    Stream(Box<dyn Read>),
    /// Any format; Parquet needs one, since it is read from its end.
    File(File),
}

/// One row of a feed.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The payment.
    pub transaction: Transaction,
    /// Its label, where the feed has one.
    pub label: Option<Label>,
    /// The columns named in `[carry]`, by the names given there.
    pub extra: BTreeMap<String, String>,
}

/// A row with its line, or what is wrong with it.
type Numbered = Result<(u64, Row), RowError>;

/// What is wrong with a row or with the feed. The text repeats no digit of a card number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {kind}")]
pub struct RowError {
    /// The line from 1, the header included; for Parquet the row.
    pub line: u64,
    /// What is wrong there.
    pub kind: RowErrorKind,
}

/// Kinds of row errors.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowErrorKind {
    /// A field was refused.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// The row is not written as the format asks.
    #[error("found {found}, expected {expected}")]
    Malformed {
        /// What was found.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// The feed cannot be read on; nothing follows.
    #[error("feed stopped: found {found}, expected {expected}")]
    Feed {
        /// What was found.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// More rows were refused than the map allows; nothing follows.
    #[error("feed stopped: {rejected} of {rows} rows refused, expected a share of {max} at most")]
    TooManyRejected {
        /// Rows refused.
        rejected: u64,
        /// Rows read.
        rows: u64,
        /// The map's `max_reject_ratio`.
        max: String,
    },
}

impl RowErrorKind {
    pub(crate) fn malformed(found: &str, expected: &str) -> Self {
        Self::Malformed {
            found: found.to_owned(),
            expected: expected.to_owned(),
        }
    }

    pub(crate) fn feed(found: &str, expected: &str) -> Self {
        Self::Feed {
            found: found.to_owned(),
            expected: expected.to_owned(),
        }
    }

    pub(crate) fn column(found: &str, expected: &str) -> Self {
        Self::feed(&format!("column fault: {found}"), expected)
    }
}

impl RowError {
    /// True where nothing follows this error.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        match self.kind {
            RowErrorKind::Feed { .. } | RowErrorKind::TooManyRejected { .. } => true,
            RowErrorKind::Field(_) | RowErrorKind::Malformed { .. } => false,
        }
    }

    /// The same error, ending the feed.
    pub(crate) fn fatal(self) -> Self {
        match self.kind {
            RowErrorKind::Malformed { found, expected } => Self {
                line: self.line,
                kind: RowErrorKind::Feed { found, expected },
            },
            kind @ (RowErrorKind::Field(_)
            | RowErrorKind::Feed { .. }
            | RowErrorKind::TooManyRejected { .. }) => Self {
                line: self.line,
                kind,
            },
        }
    }

    pub(crate) fn io(line: u64, error: &std::io::Error) -> Self {
        let found = format!("a stream that broke off ({})", error.kind());
        Self {
            line,
            kind: RowErrorKind::feed(&found, "a whole feed"),
        }
    }
}

/// Reads a feed row by row. The iterator ends after the first error that is fatal.
pub fn read<'a>(map: &'a FeedMap, key: &'a TokenKey, source: Source) -> Reader<'a> {
    let (feed, broken) = match open(map, source) {
        Ok(feed) => (Some(feed), None),
        Err(error) => (None, Some(error)),
    };
    Reader {
        map,
        key,
        schema: None,
        feed,
        broken,
        line: 0,
        rows: 0,
        rejected: 0,
    }
}

/// The rows of a feed; made by [`read`].
pub struct Reader<'a> {
    map: &'a FeedMap,
    key: &'a TokenKey,
    schema: Option<&'a FeatureSchema>,
    feed: Option<Feed>,
    broken: Option<RowError>,
    line: u64,
    rows: u64,
    rejected: u64,
}

enum Feed {
    Delimited(Delimited),
    Ndjson(Ndjson),
    Columnar(Box<Columnar>),
}

impl<'a> Reader<'a> {
    /// The same reader, which refuses rows whose extras are not what a schema declares.
    #[must_use]
    pub fn against(mut self, schema: &'a FeatureSchema) -> Self {
        self.schema = Some(schema);
        self
    }

    /// The line of the row given last, from 1, the header included; for Parquet the row.
    #[must_use]
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Rows read so far, refused ones included.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Rows refused so far.
    #[must_use]
    pub fn rejected(&self) -> u64 {
        self.rejected
    }

    /// Columns seen so far that no rule reads.
    #[must_use]
    pub fn unmapped_columns(&self) -> &[String] {
        match &self.feed {
            None => &[],
            Some(Feed::Delimited(feed)) => &feed.unmapped,
            Some(Feed::Ndjson(feed)) => &feed.unmapped,
            Some(Feed::Columnar(feed)) => &feed.unmapped,
        }
    }

    /// The next row's line and its cells in the map's order, and what became of it.
    pub(crate) fn next_cells(&mut self) -> Option<(Vec<Cell>, Numbered)> {
        if let Some(error) = self.broken.take() {
            return Some((Vec::new(), Err(error)));
        }
        let read = match self.feed.as_mut()? {
            Feed::Delimited(feed) => feed.next(),
            Feed::Ndjson(feed) => feed.next(self.map),
            Feed::Columnar(feed) => feed.next(self.map),
        };
        let Some(read) = read else {
            self.feed = None;
            return self.excess(self.rows).map(|error| (Vec::new(), Err(error)));
        };
        let (cells, row) = match read {
            Ok((line, cells)) => {
                let row = self.map.row(self.key, &cells).and_then(|row| {
                    if let Some(schema) = self.schema {
                        schema.check(&row.transaction)?;
                    }
                    Ok((line, row))
                });
                let row = row.map_err(|error| RowError {
                    line,
                    kind: error.into(),
                });
                (cells, row)
            }
            Err(error) => (Vec::new(), Err(error)),
        };
        self.rows += 1;
        if let Err(error) = &row {
            self.rejected += 1;
            if error.is_fatal() {
                self.feed = None;
            } else if self.rows >= REJECT_ROWS_MIN {
                self.broken = self.excess(error.line);
                if self.broken.is_some() {
                    self.feed = None;
                }
            }
        }
        Some((cells, row))
    }

    fn excess(&self, line: u64) -> Option<RowError> {
        let share = self.rejected as f64 / self.rows.max(1) as f64;
        (share > self.map.reject_ratio_max).then(|| {
            let max = self.map.reject_ratio_max.to_string();
            let (rejected, rows) = (self.rejected, self.rows);
            RowError {
                line,
                kind: RowErrorKind::TooManyRejected {
                    rejected,
                    rows,
                    max,
                },
            }
        })
    }
}

impl Iterator for Reader<'_> {
    type Item = Result<Row, RowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (_, row) = self.next_cells()?;
        Some(row.map(|(line, row)| {
            self.line = line;
            row
        }))
    }
}

fn open(map: &FeedMap, source: Source) -> Result<Feed, RowError> {
    let refused = |found: &str, expected: &str| {
        Err(RowError {
            line: 1,
            kind: RowErrorKind::feed(found, expected),
        })
    };
    let broken = |error: std::io::Error| RowError::io(1, &error);
    let stream: Box<dyn Read> = match (map.format, source) {
        (FeedFormat::Parquet, Source::Stream(_)) => {
            return refused("a stream", "a file: Parquet is read from its end");
        }
        (_, Source::Stream(stream)) => stream,
        (format, Source::File(mut file)) => {
            let mut magic = Vec::with_capacity(4);
            file.by_ref()
                .take(4)
                .read_to_end(&mut magic)
                .map_err(broken)?;
            file.seek(SeekFrom::Start(0)).map_err(broken)?;
            match (format, magic == *b"PAR1") {
                (FeedFormat::Parquet, true) => {
                    let feed = Columnar::open(map, file)?;
                    return Ok(Feed::Columnar(Box::new(feed)));
                }
                (FeedFormat::Parquet, false) => {
                    return refused("a file that does not begin with PAR1", "a Parquet file");
                }
                (FeedFormat::Csv | FeedFormat::Ndjson, true) => {
                    return refused("a Parquet file", "the text that the map's format names");
                }
                (FeedFormat::Csv | FeedFormat::Ndjson, false) => Box::new(file),
            }
        }
    };
    let lines = Lines::new(stream).map_err(broken)?;
    match map.format {
        FeedFormat::Csv => Ok(Feed::Delimited(Delimited::open(map, lines)?)),
        FeedFormat::Ndjson | FeedFormat::Parquet => Ok(Feed::Ndjson(Ndjson::open(lines))),
    }
}

/// The share of refused rows is judged from here on, and at the end of the feed.
const REJECT_ROWS_MIN: u64 = 1_000;
