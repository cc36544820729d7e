//! Bytes to lines, in bounded memory: sniffs gzip and zstd by their first bytes, cuts lines at a
//! limit, and skips the rest of a line that is too long. What a line means is read elsewhere.

use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};

use flate2::read::MultiGzDecoder;

/// Lines of a text that may be compressed.
pub(crate) struct Lines {
    input: Box<dyn BufRead>,
    /// Lines begun so far.
    pub(crate) number: u64,
}

/// What stands at the next line.
pub(crate) enum Line {
    /// A line without its end, in the buffer that was handed in.
    Text,
    /// A line longer than the limit; it was skipped.
    TooLong,
    /// The end of the feed.
    End,
}

impl Lines {
    /// Sniffs the compression and unpacks on the way.
    pub(crate) fn new(mut source: Box<dyn Read>) -> io::Result<Self> {
        let mut magic = Vec::with_capacity(4);
        source.by_ref().take(4).read_to_end(&mut magic)?;
        let is_gzip = magic.starts_with(&[0x1f, 0x8b]);
        let is_zstd = magic == [0x28, 0xb5, 0x2f, 0xfd];
        let whole: Chain<Cursor<Vec<u8>>, Box<dyn Read>> = Cursor::new(magic).chain(source);
        let input: Box<dyn BufRead> = if is_gzip {
            Box::new(BufReader::with_capacity(
                BUFFER_BYTES,
                MultiGzDecoder::new(whole),
            ))
        } else if is_zstd {
            Box::new(BufReader::with_capacity(
                BUFFER_BYTES,
                zstd::Decoder::new(whole)?,
            ))
        } else {
            Box::new(BufReader::with_capacity(BUFFER_BYTES, whole))
        };
        Ok(Self { input, number: 0 })
    }

    /// Appends the next line to `line`, without its end; `line` never outgrows the limit.
    pub(crate) fn next(&mut self, line: &mut Vec<u8>) -> io::Result<Line> {
        let start = line.len();
        let room = (LINE_BYTES_MAX + 1).saturating_sub(start);
        let read = self
            .input
            .by_ref()
            .take(room as u64)
            .read_until(b'\n', line)?;
        if read == 0 && room > 0 {
            return Ok(Line::End);
        }
        self.number += 1;
        if line.last() == Some(&b'\n') {
            line.pop();
            if line.last() == Some(&b'\r') && line.len() > start {
                line.pop();
            }
            return Ok(Line::Text);
        }
        if line.len() <= LINE_BYTES_MAX {
            return Ok(Line::Text);
        }
        self.skip_line()?;
        Ok(Line::TooLong)
    }

    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let buffer = self.input.fill_buf()?;
            if buffer.is_empty() {
                return Ok(());
            }
            let end = buffer.iter().position(|&byte| byte == b'\n');
            let used = end.map_or(buffer.len(), |at| at + 1);
            self.input.consume(used);
            if end.is_some() {
                return Ok(());
            }
        }
    }
}

/// The longest line or record that is read. A payment has about 60 fields; a megabyte holds a
/// thousand of them, and a feed that lost its line ends is noticed before it fills memory.
pub(crate) const LINE_BYTES_MAX: usize = 1 << 20;
const BUFFER_BYTES: usize = 1 << 16;
