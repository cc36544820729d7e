//! How bytes lie in a segment: groups one after another, each written at once. A group is a header
//! and its records; all integers are little endian. While a segment is written, zeros follow its
//! last group, which no group begins with. Its magic says whether all before it was durable when it
//! was written, or whether it was written ahead of a flush.
//!
//! ```text
//! group    magic [4] · payload bytes u32 · records u32 · first number u64 · CRC-32 u32 · payload
//! payload  record, record, …
//! record   bytes u32 · CRC-32 u32 · bytes
//! ```
//!
//! The sum of a group covers its header before the sum, and its payload: it tells a torn group.
//! The sum of a record covers its number (u64) and its bytes: it tells a reader that comes by the
//! index, and so sees no header, that this is the record that was asked for.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crc32fast::Hasher;

/// A group that is being put together. No derived `Debug`: a payment is never logged.
pub(super) struct Group {
    /// Room for the header, then the payload.
    bytes: Vec<u8>,
    /// Where each record's head begins in `bytes`.
    starts: Vec<u32>,
}

impl Group {
    pub(super) fn new() -> Self {
        Self {
            bytes: vec![0; HEADER_BYTES],
            starts: Vec::new(),
        }
    }

    /// Whether a record fits into the group, of `bytes_max` at most. Into an empty one any does.
    pub(super) fn has_room(&self, record: &[u8], bytes_max: u64) -> bool {
        let bytes = self.bytes.len() + HEAD_BYTES + record.len();
        self.starts.is_empty() || bytes as u64 <= bytes_max
    }

    pub(super) fn push(&mut self, number: u64, record: &[u8]) {
        self.starts.push(as_u32(self.bytes.len()));
        self.bytes
            .extend_from_slice(&as_u32(record.len()).to_le_bytes());
        self.bytes
            .extend_from_slice(&sum_of(number, record).to_le_bytes());
        self.bytes.extend_from_slice(record);
    }

    /// How many records.
    pub(super) fn len(&self) -> usize {
        self.starts.len()
    }

    /// Its length in the segment.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Where each record's head begins, from the group's own beginning.
    pub(super) fn starts(&self) -> impl Iterator<Item = u32> + '_ {
        self.starts.iter().copied()
    }

    /// The record at a place, if the group has it.
    pub(super) fn record(&self, place: usize) -> Option<&[u8]> {
        let start = *self.starts.get(place)? as usize + HEAD_BYTES;
        let end = self.starts.get(place + 1);
        let end = end.map_or(self.bytes.len(), |end| *end as usize);
        self.bytes.get(start..end)
    }

    /// Writes the header; the bytes of the whole group. `is_ahead` where what is before it may not
    /// be durable.
    pub(super) fn seal(&mut self, first: u64, is_ahead: bool) -> &[u8] {
        let records = as_u32(self.starts.len());
        let (header, payload) = self.bytes.split_at_mut(HEADER_BYTES);
        let magic = if is_ahead { MAGIC_AHEAD } else { MAGIC };
        header[..4].copy_from_slice(&magic);
        header[4..8].copy_from_slice(&as_u32(payload.len()).to_le_bytes());
        header[8..12].copy_from_slice(&records.to_le_bytes());
        header[12..SUMMED_BYTES].copy_from_slice(&first.to_le_bytes());
        let sum = sum_of_both(&header[..SUMMED_BYTES], payload);
        header[SUMMED_BYTES..].copy_from_slice(&sum.to_le_bytes());
        &self.bytes
    }

    /// Makes it empty, for the next records.
    pub(super) fn clear(&mut self) {
        if self.bytes.capacity() > KEPT_BYTES_MAX {
            *self = Self::new();
        }
        self.bytes.truncate(HEADER_BYTES);
        self.starts.clear();
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Group");
        shown.field("records", &self.len()).finish_non_exhaustive()
    }
}

/// What the header of a group on disk says. Every length in it was held against the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    /// Number of the group's first record.
    pub(super) first: u64,
    /// Whether it was written before all that precedes it was durable.
    pub(super) is_ahead: bool,
    payload: usize,
    records: u32,
    bytes: [u8; HEADER_BYTES],
}

impl Header {
    /// The header at a place of a segment of `length` bytes; nothing where none can be.
    pub(super) fn read(log: &File, length: u64, at: u64) -> io::Result<Option<Self>> {
        let Some(left) = length.checked_sub(at + HEADER_BYTES as u64) else {
            return Ok(None);
        };
        let mut bytes = [0; HEADER_BYTES];
        log.read_exact_at(&mut bytes, at)?;
        let header = Self::parse(bytes);
        Ok(header.filter(|header| {
            let least = u64::from(header.records) * HEAD_BYTES as u64;
            (1..=left).contains(&(header.payload as u64)) && least <= header.payload as u64
        }))
    }

    fn parse(bytes: [u8; HEADER_BYTES]) -> Option<Self> {
        let (magic, rest) = bytes.split_first_chunk::<4>()?;
        let (payload, rest) = rest.split_first_chunk::<4>()?;
        let (records, rest) = rest.split_first_chunk::<4>()?;
        let (first, _) = rest.split_first_chunk::<8>()?;
        is_magic(magic).then(|| Self {
            first: u64::from_le_bytes(*first),
            is_ahead: *magic == MAGIC_AHEAD,
            payload: u32::from_le_bytes(*payload) as usize,
            records: u32::from_le_bytes(*records),
            bytes,
        })
    }

    /// The place after the group, which begins at `at`.
    pub(super) fn end(&self, at: u64) -> u64 {
        at + (HEADER_BYTES + self.payload) as u64
    }

    /// Where the records' heads begin in the segment, if the group at `at` is what was written.
    /// `payload` is a buffer.
    pub(super) fn offsets(
        &self,
        log: &File,
        at: u64,
        payload: &mut Vec<u8>,
    ) -> io::Result<Option<Vec<u32>>> {
        payload.resize(self.payload, 0);
        log.read_exact_at(payload, at + HEADER_BYTES as u64)?;
        let (summed, sum) = self.bytes.split_at(SUMMED_BYTES);
        let is_sound = sum_of_both(summed, payload).to_le_bytes() == *sum;
        Ok(is_sound.then(|| self.split(at, payload)).flatten())
    }

    fn split(&self, at: u64, payload: &[u8]) -> Option<Vec<u32>> {
        let mut offsets = Vec::with_capacity(self.records as usize);
        let mut rest = payload;
        for _ in 0..self.records {
            let passed = HEADER_BYTES + payload.len() - rest.len();
            offsets.push(u32::try_from(at + passed as u64).ok()?);
            (_, _, rest) = Head::take(rest)?;
        }
        rest.is_empty().then_some(offsets)
    }
}

/// What stands before a record's bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    /// Bytes of the record.
    pub(super) length: usize,
    sum: u32,
}

impl Head {
    /// The head that `bytes` begin with, if they are as long.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (sum, _) = rest.split_first_chunk::<4>()?;
        Some(Self {
            length: u32::from_le_bytes(*length) as usize,
            sum: u32::from_le_bytes(*sum),
        })
    }

    /// A head, its record's bytes and what follows, if `bytes` begin with all of a record.
    pub(super) fn take(bytes: &[u8]) -> Option<(Self, &[u8], &[u8])> {
        let head = Self::parse(bytes)?;
        let (record, rest) = bytes[HEAD_BYTES..].split_at_checked(head.length)?;
        Some((head, record, rest))
    }

    /// Whether these bytes were written as the record of this number.
    pub(super) fn is_of(self, number: u64, record: &[u8]) -> bool {
        self.sum == sum_of(number, record)
    }
}

fn sum_of(number: u64, record: &[u8]) -> u32 {
    sum_of_both(&number.to_le_bytes(), record)
}

fn sum_of_both(before: &[u8], bytes: &[u8]) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(before);
    hasher.update(bytes);
    hasher.finalize()
}

fn as_u32(length: usize) -> u32 {
    u32::try_from(length).expect("a group is no longer than a segment or a record, both bounded")
}

/// Whether a group may begin so. No record is as long as these bytes would say.
pub(super) fn is_magic(bytes: &[u8]) -> bool {
    bytes == MAGIC || bytes == MAGIC_AHEAD
}

/// Its first byte is in no UTF-8, so that no text of a payment is taken for a group; as a length it
/// is more than any record's.
const MAGIC: [u8; MAGIC_BYTES] = [0xff, b'g', b'r', b'1'];
/// Of a group that was written ahead.
const MAGIC_AHEAD: [u8; MAGIC_BYTES] = [0xff, b'g', b'r', b'2'];
pub(super) const MAGIC_BYTES: usize = 4;
pub(super) const HEADER_BYTES: usize = SUMMED_BYTES + 4;
pub(super) const HEAD_BYTES: usize = 8;
/// Some hundred times what the door lets through, so that what is read is bounded too.
pub(super) const RECORD_BYTES_MAX: usize = 16 << 20;
/// Of the header.
const SUMMED_BYTES: usize = 20;
/// A rare large group does not keep its memory.
const KEPT_BYTES_MAX: usize = 1 << 20;
