//! Where payments come from: lines that are requests already, or the rows of a bank's feed, which
//! become requests here. One at a time; what is wrong with one is told with its line, and reading
//! goes on. Feeds and maps themselves are read in `features`.

use std::fs::File;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{BufRead, BufReader, Read, Seek as _, Write as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use features::{FeedFormat, RowErrorKind};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::lanes::Ended;
use super::{CommandError, Purpose, is_standard};
use crate::history::{Feed, HistoryError};
use crate::scoring::{BODY_BYTES_MAX, Problem, too_large};

/// The payments of one run.
pub(super) struct Source {
    path: PathBuf,
    input: Input,
    /// The map and key of a bank's own feed; lines are requests without them.
    feed: Option<Feed>,
    purpose: Option<Purpose>,
    bar: ProgressBar,
}

/// What is read.
pub(super) enum Input {
    File(File),
    /// Standard input.
    Stream(Box<dyn Read + Send>),
}

/// One payment on its way to the agent. No `Debug`: a payment is never logged.
pub(super) struct Payment {
    /// Its line from 1; for Parquet its row.
    pub(super) line: u64,
    /// Its id as far as it could be read; no card number.
    pub(super) txn_id: Option<String>,
    /// Payments of the same number are asked for one after the other: those of one account.
    pub(super) queue: u64,
    /// The request, or the problem that it has before it is sent.
    pub(super) body: Result<Vec<u8>, Value>,
}

impl Source {
    /// Opens the file, and lets the bar follow it: by bytes where they are read in their order,
    /// else by payments.
    ///
    /// # Errors
    /// [`CommandError::Read`] where the file cannot be opened.
    pub(super) fn open(
        path: &Path,
        feed: Option<Feed>,
        purpose: Option<Purpose>,
        bar: ProgressBar,
    ) -> Result<Self, CommandError> {
        let input = match is_standard(path) {
            true => Input::Stream(Box::new(std::io::stdin())),
            false => Input::File(File::open(path).map_err(|error| unread(path, error))?),
        };
        let format = feed
            .as_ref()
            .map_or(FeedFormat::Ndjson, |feed| feed.map().format);
        let bytes = match (&input, format) {
            (Input::File(file), FeedFormat::Csv | FeedFormat::Ndjson) => {
                let about = file.metadata().map_err(|error| unread(path, error))?;
                Some(about.len())
            }
            (Input::File(_), FeedFormat::Parquet) | (Input::Stream(_), _) => None,
        };
        if let Some(bytes) = bytes {
            bar.set_length(bytes);
        }
        let template = if bytes.is_some() { BYTES } else { PAYMENTS };
        let style = ProgressStyle::with_template(template);
        bar.set_style(style.expect("the templates are well formed"));
        Ok(Self::of(path, input, feed, purpose, bar))
    }

    /// The payments of what is open.
    pub(super) fn of(
        path: &Path,
        input: Input,
        feed: Option<Feed>,
        purpose: Option<Purpose>,
        bar: ProgressBar,
    ) -> Self {
        Self {
            path: path.to_owned(),
            input,
            feed,
            purpose,
            bar,
        }
    }

    /// Gives every payment in its order, until `each` breaks off.
    ///
    /// # Errors
    /// [`CommandError`] where the input cannot be read on, or finds no room where it must be kept.
    pub(super) fn read(
        self,
        each: impl FnMut(Payment) -> ControlFlow<()>,
    ) -> Result<Ended, CommandError> {
        let Self {
            path,
            input,
            feed,
            purpose,
            bar,
        } = self;
        let Some(feed) = feed else {
            let read = match input {
                Input::File(file) => read_lines(BufReader::new(bar.wrap_read(file)), purpose, each),
                Input::Stream(input) => read_lines(BufReader::new(input), purpose, each),
            };
            return read.map_err(|error| unread(&path, error));
        };
        let source = match (input, feed.map().format) {
            (Input::File(file), FeedFormat::Parquet) => features::Source::File(file),
            (Input::File(file), FeedFormat::Csv | FeedFormat::Ndjson) => {
                features::Source::Stream(Box::new(bar.wrap_read(file)))
            }
            (Input::Stream(input), FeedFormat::Parquet) => {
                features::Source::File(kept(&path, input)?)
            }
            (Input::Stream(input), FeedFormat::Csv | FeedFormat::Ndjson) => {
                features::Source::Stream(input)
            }
        };
        read_rows((&feed, path.as_path()), source, purpose, each)
    }
}

/// All of a stream in a file, for who reads it from its end. It has no name, and goes with the
/// process; what bounds it is the disk's room.
fn kept(path: &Path, mut input: impl Read) -> Result<File, CommandError> {
    let folder = std::env::temp_dir();
    let unwritten = |error| CommandError::Write {
        path: folder.clone(),
        error,
    };
    let mut file = tempfile::tempfile_in(&folder).map_err(unwritten)?;
    let mut bytes = vec![0; KEPT_AT_ONCE];
    loop {
        match input.read(&mut bytes) {
            Ok(0) => break,
            Ok(count) => file.write_all(&bytes[..count]).map_err(unwritten)?,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unread(path, error)),
        }
    }
    file.rewind().map_err(unwritten)?;
    Ok(file)
}

/// Lines that are requests, or payments alone.
fn read_lines(
    mut input: impl BufRead,
    purpose: Option<Purpose>,
    mut each: impl FnMut(Payment) -> ControlFlow<()>,
) -> std::io::Result<Ended> {
    let mut number = 0;
    loop {
        number += 1;
        let payment = match next_line(&mut input)? {
            Line::End => return Ok(Ended::Whole),
            Line::Whole(text) if text.is_empty() => continue,
            Line::Whole(text) => request(text, number, purpose),
            Line::TooLong => Payment {
                line: number,
                txn_id: None,
                queue: number,
                body: Err(document(&too_large())),
            },
        };
        if each(payment).is_break() {
            return Ok(Ended::Early);
        }
    }
}

enum Line {
    /// Without blanks around it.
    Whole(Vec<u8>),
    /// No agent would take it; it was skipped.
    TooLong,
    End,
}

fn next_line(input: &mut impl BufRead) -> std::io::Result<Line> {
    let mut line = Vec::new();
    let room = BODY_BYTES_MAX + 2;
    let read = input
        .by_ref()
        .take(room as u64)
        .read_until(b'\n', &mut line)?;
    if read == 0 {
        return Ok(Line::End);
    }
    if read == room && !line.ends_with(b"\n") {
        input.skip_until(b'\n')?;
        return Ok(Line::TooLong);
    }
    Ok(Line::Whole(line.trim_ascii().to_vec()))
}

/// A line as it is sent. What is no object is sent as it stands: the agent says what is wrong
/// with it, in the same words to everybody.
fn request(text: Vec<u8>, line: u64, purpose: Option<Purpose>) -> Payment {
    let Ok(Value::Object(mut object)) = serde_json::from_slice(&text) else {
        return Payment {
            line,
            txn_id: None,
            queue: line,
            body: Ok(text),
        };
    };
    let is_alone = !object.contains_key("txn") && object.contains_key("txn_id");
    let field = |name: &str| match object.get("txn") {
        Some(txn) => txn.get(name),
        None => object.get(name),
    };
    let txn_id = field("txn_id").and_then(Value::as_str).map(shown);
    let queue = match field("account_tok") {
        // As the agent reads them: 7 and " 7" are one account.
        Some(Value::String(account)) => queue_of(account.trim()),
        Some(account) => queue_of(&account.to_string()),
        None => line,
    };
    let body = if is_alone {
        wrapped(&text, purpose)
    } else if let Some(purpose) = purpose {
        object.insert("purpose".to_owned(), purpose.word().into());
        serde_json::to_vec(&object).expect("what was JSON is JSON")
    } else {
        text
    };
    Payment {
        line,
        txn_id,
        queue,
        body: Ok(body),
    }
}

fn queue_of(account: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    account.hash(&mut hasher);
    hasher.finish()
}

/// A request for a payment that is JSON already.
fn wrapped(payment: &[u8], purpose: Option<Purpose>) -> Vec<u8> {
    let head = match purpose {
        Some(purpose) => format!("{{\"purpose\":\"{}\",\"txn\":", purpose.word()),
        None => "{\"txn\":".to_owned(),
    };
    [head.as_bytes(), payment, b"}"].concat()
}

/// The rows of a bank's own feed.
fn read_rows(
    (feed, path): (&Feed, &Path),
    source: features::Source,
    purpose: Option<Purpose>,
    mut each: impl FnMut(Payment) -> ControlFlow<()>,
) -> Result<Ended, CommandError> {
    let mut rows = feed.rows(source);
    while let Some(row) = rows.next() {
        let payment = match row {
            Ok(row) => {
                // The journal keeps a payment in the same form, and reads it again.
                let payment = serde_json::to_vec(&row.transaction)
                    .expect("a checked payment has text keys and finite numbers");
                Payment {
                    line: rows.line(),
                    txn_id: Some(shown(&row.transaction.txn_id)),
                    queue: queue_of(&row.transaction.account_tok),
                    body: Ok(wrapped(&payment, purpose)),
                }
            }
            Err(error) if error.is_fatal() => {
                let path = path.to_owned();
                return Err(HistoryError::Feed { path, error }.into());
            }
            Err(error) => Payment {
                line: error.line,
                txn_id: None,
                queue: error.line,
                body: Err(problem(error.kind)),
            },
        };
        if each(payment).is_break() {
            return Ok(Ended::Early);
        }
    }
    Ok(Ended::Whole)
}

/// A refused row as the agent would have refused it.
fn problem(kind: RowErrorKind) -> Value {
    match kind {
        RowErrorKind::Field(error) => document(&Problem::from(error)),
        kind @ (RowErrorKind::Malformed { .. }
        | RowErrorKind::Feed { .. }
        | RowErrorKind::TooManyRejected { .. }) => json!({
            "type": "schema",
            "title": "The row is not written as the feed's format asks",
            "status": 400,
            "detail": kind.to_string(),
        }),
    }
}

fn document(problem: &Problem) -> Value {
    serde_json::to_value(problem).expect("a problem has text keys and plain values")
}

/// An id as a problem may repeat it: what could be a card number is hidden.
fn shown(txn_id: &str) -> String {
    match features::is_pan_like(txn_id) {
        true => features::redact(txn_id),
        false => txn_id.to_owned(),
    }
}

fn unread(path: &Path, error: std::io::Error) -> CommandError {
    CommandError::Read {
        path: path.to_owned(),
        error,
    }
}

/// Bytes that go from a stream into a file at once.
const KEPT_AT_ONCE: usize = 1 << 18;

const BYTES: &str = "{wide_bar} {bytes}/{total_bytes} {eta}";
const PAYMENTS: &str = "{spinner} {human_pos} payments {elapsed}";
