//! NDJSON: one JSON object a line. A map names a nested field by its path, `payment.amount`;
//! arrays are no field's value.

use serde_json::{Map, Value};

use super::FeedMap;
use super::cell::Cell;
use super::lines::{LINE_BYTES_MAX, Line, Lines};
use super::reader::{RowError, RowErrorKind};
use crate::transaction::json_fault;

/// Rows of an NDJSON feed.
pub(crate) struct Ndjson {
    lines: Lines,
    buffer: Vec<u8>,
    /// Columns that no rule reads, each once, at most [`UNMAPPED_MAX`].
    pub(crate) unmapped: Vec<String>,
}

impl Ndjson {
    pub(crate) fn open(lines: Lines) -> Self {
        Self {
            lines,
            buffer: Vec::new(),
            unmapped: Vec::new(),
        }
    }

    /// The next object's line and cells.
    pub(crate) fn next(&mut self, map: &FeedMap) -> Option<Result<(u64, Vec<Cell>), RowError>> {
        loop {
            self.buffer.clear();
            let read = self.lines.next(&mut self.buffer);
            let line = self.lines.number;
            match read {
                Ok(Line::End) => return None,
                Ok(Line::Text) if self.buffer.iter().all(u8::is_ascii_whitespace) => {}
                Ok(Line::Text) => return Some(self.cells(map, line)),
                Ok(Line::TooLong) => {
                    let expected = format!("at most {LINE_BYTES_MAX} bytes");
                    let kind = RowErrorKind::malformed("a longer line", &expected);
                    return Some(Err(RowError { line, kind }));
                }
                Err(error) => return Some(Err(RowError::io(line + 1, &error))),
            }
        }
    }

    fn cells(&mut self, map: &FeedMap, line: u64) -> Result<(u64, Vec<Cell>), RowError> {
        let malformed = |found: &str| {
            let kind = RowErrorKind::malformed(found, "one JSON object a line");
            RowError { line, kind }
        };
        let value: Value =
            serde_json::from_slice(&self.buffer).map_err(|error| malformed(&json_fault(&error)))?;
        let Value::Object(object) = value else {
            return Err(malformed("JSON that is no object"));
        };
        let mut paths = Vec::new();
        collect_paths("", &object, 0, &mut paths);
        let unmapped = map.judge_columns(paths.iter().map(String::as_str));
        let unmapped = unmapped.map_err(|(found, expected)| RowError {
            line,
            kind: RowErrorKind::malformed(&found, &expected),
        })?;
        for name in unmapped {
            if self.unmapped.len() < UNMAPPED_MAX && !self.unmapped.iter().any(|n| n == name) {
                self.unmapped.push(name.to_owned());
            }
        }
        let cell = |column: &String| lookup(&object, column).map_or(Cell::Missing, Cell::from_json);
        Ok((line, map.columns.iter().map(cell).collect()))
    }
}

/// A key of the object itself, else the value at the dotted path.
fn lookup<'a>(object: &'a Map<String, Value>, column: &str) -> Option<&'a Value> {
    if let Some(value) = object.get(column) {
        return Some(value);
    }
    let (head, rest) = column.split_once('.')?;
    lookup(object.get(head)?.as_object()?, rest)
}

/// Paths of every value, objects opened down to a depth, arrays left closed.
fn collect_paths(prefix: &str, object: &Map<String, Value>, depth: u8, paths: &mut Vec<String>) {
    for (name, value) in object {
        if paths.len() >= PATHS_MAX {
            return;
        }
        let path = if prefix.is_empty() {
            name.clone()
        } else {
            format!("{prefix}.{name}")
        };
        match value.as_object() {
            Some(inner) if depth < DEPTH_MAX => collect_paths(&path, inner, depth + 1, paths),
            _ => paths.push(path),
        }
    }
}

/// Objects are opened this deep in search of columns; a payment message has three or four.
const DEPTH_MAX: u8 = 8;
/// Values looked at in one object; more than any payment message has.
const PATHS_MAX: usize = 4_096;
/// Unmapped columns that a report names.
const UNMAPPED_MAX: usize = 64;
