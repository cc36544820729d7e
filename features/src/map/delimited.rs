//! CSV after RFC 4180: a header, quoted fields, line ends inside quotes. A record is gathered in
//! bounded memory before the CSV parser sees it, so that one stray quote costs some rows and not
//! the machine.

use std::io;

use super::FeedMap;
use super::cell::Cell;
use super::lines::{LINE_BYTES_MAX, Line, Lines};
use super::reader::{RowError, RowErrorKind};

/// Rows of a CSV feed.
pub(crate) struct Delimited {
    lines: Lines,
    delimiter: u8,
    /// For each wanted column its place in the file.
    places: Vec<Option<usize>>,
    width: usize,
    record: Vec<u8>,
    pub(crate) unmapped: Vec<String>,
}

impl Delimited {
    /// Reads and judges the header.
    pub(crate) fn open(map: &FeedMap, lines: Lines) -> Result<Self, RowError> {
        let mut feed = Self {
            lines,
            delimiter: map.delimiter,
            places: Vec::new(),
            width: 0,
            record: Vec::new(),
            unmapped: Vec::new(),
        };
        let header = match feed.fields() {
            Some(header) => header.map_err(RowError::fatal)?,
            None => {
                let kind = RowErrorKind::malformed("an empty feed", "a header line");
                return Err(RowError::fatal(RowError { line: 1, kind }));
            }
        };
        let header: Vec<String> = header.iter().map(column_name).collect();
        let unmapped = map.judge_columns(header.iter().map(String::as_str));
        let unmapped = unmapped.map_err(|(found, expected)| RowError {
            line: 1,
            kind: RowErrorKind::column(&found, &expected),
        })?;
        feed.unmapped = unmapped.into_iter().map(str::to_owned).collect();
        feed.width = header.len();
        for wanted in &map.columns {
            let place = header.iter().position(|name| name == wanted);
            if place.is_none() {
                let found = format!("no column {wanted} in the header");
                let kind = RowErrorKind::column(&found, "every column that the map names");
                return Err(RowError { line: 1, kind });
            }
            feed.places.push(place);
        }
        Ok(feed)
    }

    /// The next record's line and cells.
    pub(crate) fn next(&mut self) -> Option<Result<(u64, Vec<Cell>), RowError>> {
        let record = match self.fields()? {
            Ok(record) => record,
            Err(error) => return Some(Err(error)),
        };
        let line = record
            .position()
            .map_or(self.lines.number, csv::Position::line);
        if record.len() != self.width {
            let kind = RowErrorKind::malformed(
                &format!("{} columns", record.len()),
                &format!("{} as in the header", self.width),
            );
            return Some(Err(RowError { line, kind }));
        }
        let cell = |place: &Option<usize>| {
            place
                .and_then(|place| record.get(place))
                .map_or(Cell::Missing, Cell::from_text)
        };
        Some(Ok((line, self.places.iter().map(cell).collect())))
    }

    /// The next record that is not an empty line, its position set to its first line.
    fn fields(&mut self) -> Option<Result<csv::StringRecord, RowError>> {
        let start = loop {
            self.record.clear();
            let first = self.lines.number + 1;
            match gather(&mut self.lines, &mut self.record) {
                Ok(Gathered::End) => return None,
                Ok(Gathered::Record) if self.record.is_empty() => {}
                Ok(Gathered::Record) => break first,
                Ok(Gathered::TooLong) => {
                    let expected =
                        format!("at most {LINE_BYTES_MAX} bytes and {LINES_MAX} lines in quotes");
                    let kind = RowErrorKind::malformed("a longer record", &expected);
                    return Some(Err(RowError { line: first, kind }));
                }
                Err(error) => return Some(Err(RowError::io(first, &error))),
            }
        };
        let mut parser = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(self.delimiter)
            .buffer_capacity(self.record.len().max(1))
            .from_reader(self.record.as_slice());
        let mut record = csv::StringRecord::new();
        match parser.read_record(&mut record) {
            Ok(true) => {
                let mut position = csv::Position::new();
                position.set_line(start);
                record.set_position(Some(position));
                Some(Ok(record))
            }
            // The parser's own text may repeat the input.
            Ok(false) | Err(_) => {
                let kind = RowErrorKind::malformed("bytes that are no text", "CSV in UTF-8");
                Some(Err(RowError { line: start, kind }))
            }
        }
    }
}

enum Gathered {
    Record,
    TooLong,
    End,
}

/// Gathers lines until the quotes are even.
fn gather(lines: &mut Lines, record: &mut Vec<u8>) -> io::Result<Gathered> {
    let mut quotes = 0_usize;
    for _ in 0..LINES_MAX {
        let before = record.len();
        match lines.next(record)? {
            Line::End if before == 0 => return Ok(Gathered::End),
            Line::End => return Ok(Gathered::Record),
            Line::TooLong => return Ok(Gathered::TooLong),
            Line::Text => {}
        }
        quotes += record[before..]
            .iter()
            .filter(|&&byte| byte == b'"')
            .count();
        if quotes.is_multiple_of(2) {
            return Ok(Gathered::Record);
        }
        record.push(b'\n');
    }
    Ok(Gathered::TooLong)
}

/// A header's name without a byte order mark and blanks around it.
fn column_name(name: &str) -> String {
    name.trim_start_matches('\u{feff}').trim().to_owned()
}

/// Lines that one quoted record may span: what one stray quote can cost.
const LINES_MAX: usize = 64;
