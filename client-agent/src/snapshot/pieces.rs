//! Sections of a snapshot: values too large to hold twice, written and read a piece at a time. What
//! the sections are is in `snapshot.rs`; how a value becomes bytes, `protocol::wire` says.

use std::io::{self, Read, Write};

use crypto::{Digest, Hasher};
use protocol::wire;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::SnapshotError;

/// Bytes of the longest piece.
pub(super) const PIECE_BYTES: usize = 1 << 20;

/// Writes one value, and returns how many bytes it takes.
pub(super) fn write_section<T: Serialize>(value: &T, into: &mut impl Write) -> io::Result<u64> {
    let mut pieces = Writer {
        into,
        piece: Vec::with_capacity(PIECE_BYTES),
        bytes: 0,
    };
    wire::encode_into(value, &mut pieces)?;
    pieces.finish()
}

/// Reads one value, which must fill its section.
pub(super) fn read_section<T: DeserializeOwned>(from: &mut impl Read) -> Result<T, SnapshotError> {
    let mut pieces = Reader {
        from,
        left: 0,
        has_ended: false,
    };
    let malformed = SnapshotError::Malformed;
    let value = wire::decode_from(&mut pieces).map_err(|error| malformed(error.to_string()))?;
    match pieces.read(&mut [0]) {
        Ok(0) if pieces.has_ended => Ok(value),
        Ok(_) => Err(malformed("bytes left over in a section".to_owned())),
        Err(error) => Err(malformed(error.to_string())),
    }
}

struct Writer<'a, W> {
    into: &'a mut W,
    piece: Vec<u8>,
    bytes: u64,
}

impl<W: Write> Writer<'_, W> {
    fn put(&mut self) -> io::Result<()> {
        let length = u32::try_from(self.piece.len()).expect("a piece is a mebibyte at most");
        self.into.write_all(&length.to_be_bytes())?;
        self.into.write_all(&self.piece)?;
        self.bytes += u64::from(length);
        self.piece.clear();
        Ok(())
    }

    fn finish(mut self) -> io::Result<u64> {
        if !self.piece.is_empty() {
            self.put()?;
        }
        // An empty piece ends the section.
        self.put()?;
        Ok(self.bytes)
    }
}

impl<W: Write> Write for Writer<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PIECE_BYTES - self.piece.len());
        self.piece.extend_from_slice(&bytes[..taken]);
        if self.piece.len() == PIECE_BYTES {
            self.put()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Reader<'a, R> {
    from: &'a mut R,
    /// Bytes of the present piece that were not read yet.
    left: usize,
    has_ended: bool,
}

impl<R: Read> Read for Reader<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && !self.has_ended {
            let mut length = [0; 4];
            self.from.read_exact(&mut length)?;
            self.left = u32::from_be_bytes(length) as usize;
            self.has_ended = self.left == 0;
        }
        let most = into.len().min(self.left);
        let read = self.from.read(&mut into[..most])?;
        self.left -= read;
        Ok(read)
    }
}

/// Bytes on their way, and the digest of all that went.
pub(super) struct Hashed<W> {
    into: W,
    hasher: Hasher,
}

impl<W: Write> Hashed<W> {
    pub(super) fn new(into: W) -> Self {
        Self {
            into,
            hasher: Hasher::default(),
        }
    }

    pub(super) fn finish(self) -> (W, Digest) {
        (self.into, self.hasher.finish())
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.into.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.into.flush()
    }
}
