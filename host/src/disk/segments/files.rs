//! `Files`: a segment, `NUMBER.log` by the number of its first record, and beside it `NUMBER.idx`,
//! where each record's head begins in it (u32, little endian). The index says nothing that the
//! segment does not, and a record is held against its number when it is read: an index that is
//! wrong gives an error, never another record.

use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::group::{HEAD_BYTES, HEADER_BYTES, Head, MAGIC_BYTES, RECORD_BYTES_MAX, is_magic};
use crate::disk::DiskError;
use crate::disk::visit::sync_folder;

/// An open segment.
#[derive(Debug)]
pub(super) struct Files {
    /// Number of its first record.
    pub(super) first: u64,
    /// Of the log.
    pub(super) path: PathBuf,
    pub(super) log: File,
    index: File,
}

impl Files {
    /// Creates a segment, durably. An index that a crash left without a log is emptied.
    pub(super) fn create(folder: &Path, first: u64) -> Result<Self, DiskError> {
        let path = path_of(folder, first);
        let created = || -> io::Result<(File, File)> {
            let mut options = File::options();
            options.read(true).write(true);
            let log = options.clone().create_new(true).open(&path)?;
            let index = options.create(true).truncate(true);
            let index = index.open(path.with_extension("idx"))?;
            sync_folder(&path)?;
            Ok((log, index))
        };
        let (log, index) = created().map_err(|error| DiskError::new("create", &path, error))?;
        Ok(Self {
            first,
            path,
            log,
            index,
        })
    }

    /// Opens a segment that is there. Where its index is not, it has an empty one then.
    pub(super) fn open(folder: &Path, first: u64) -> Result<Self, DiskError> {
        let path = path_of(folder, first);
        let opened = || -> io::Result<(File, File)> {
            let mut options = File::options();
            options.read(true).write(true);
            let log = options.open(&path)?;
            let index = options.create(true).truncate(false);
            Ok((log, index.open(path.with_extension("idx"))?))
        };
        let (log, index) = opened().map_err(|error| DiskError::new("open", &path, error))?;
        Ok(Self {
            first,
            path,
            log,
            index,
        })
    }

    /// Writes zeros from `end` on, for the groups to come: a flush that makes the file no longer
    /// has its bytes to wait for alone, not what the file system says of them too, and takes half
    /// the time. Gives the place up to which there is room now.
    pub(super) fn make_room(&self, end: u64, bytes_max: u64) -> io::Result<u64> {
        let bytes = bytes_max.saturating_sub(end).min(ROOM.len() as u64);
        self.log.write_all_at(&ROOM[..bytes as usize], end)?;
        Ok(end + bytes)
    }

    /// Cuts the log off behind its last group, durably.
    pub(super) fn end_at(&self, end: u64) -> Result<(), DiskError> {
        let cut = self.log.set_len(end).and_then(|()| self.log.sync_all());
        cut.map_err(|error| DiskError::new("cut", &self.path, error))
    }

    /// Bytes of the log: no more than its index can tell.
    pub(super) fn length(&self) -> Result<u64, DiskError> {
        let found = self.log.metadata().map_err(|error| self.unread(error))?;
        let length = found.len();
        if length > u64::from(u32::MAX) {
            let found = format!("{length} bytes, expected at most {}", u32::MAX);
            return Err(DiskError::damaged(&self.path, found));
        }
        Ok(length)
    }

    /// A record that is durable here.
    pub(super) fn record(&self, number: u64) -> Result<Vec<u8>, DiskError> {
        let found = self.find(number).map_err(|error| self.unread(error))?;
        found
            .map(|(record, _)| record)
            .ok_or_else(|| self.lost(number))
    }

    /// Durable records of this segment, as many as lie within `bytes_max` bytes, and at least one.
    /// `numbers` is not empty and ends at `end` or before: the number after the last durable one.
    pub(super) fn stretch(
        &self,
        numbers: Range<u64>,
        end: u64,
        bytes_max: usize,
    ) -> Result<Vec<(u64, Vec<u8>)>, DiskError> {
        let read = |error| self.unread(error);
        let start = self.offset(numbers.start).map_err(read)?;
        let start = start.ok_or_else(|| self.lost(numbers.start))?;
        // Behind the last durable record is room that need not be read, or what is being written.
        let (last, beyond) = match numbers.end < end {
            true => (numbers.end, 0),
            false => (end - 1, NEAR_BYTES as u64),
        };
        let stop = self.offset(last).map_err(read)?;
        let stop = stop.map_or_else(|| self.length(), |stop| Ok(stop + beyond))?;
        let bytes = usize::try_from(stop.saturating_sub(start)).unwrap_or(bytes_max);
        let mut bytes = vec![0; bytes.min(bytes_max)];
        let got = read_full(&self.log, &mut bytes, start).map_err(read)?;
        let mut rest = &bytes[..got];
        let mut found = Vec::new();
        for number in numbers.clone() {
            if rest.get(..MAGIC_BYTES).is_some_and(is_magic) {
                rest = rest.get(HEADER_BYTES..).unwrap_or_default();
            }
            let Some((head, record, after)) = Head::take(rest) else {
                break;
            };
            if !head.is_of(number, record) {
                return Err(self.lost(number));
            }
            found.push((number, record.to_vec()));
            rest = after;
        }
        if found.is_empty() {
            found.push((numbers.start, self.record(numbers.start)?));
        }
        Ok(found)
    }

    /// Whether the index has an entry for each record before `next` and leads to the last one,
    /// which ends where the log does.
    pub(super) fn is_indexed(&self, next: u64) -> Result<bool, DiskError> {
        let length = self.length()?;
        let indexed = || -> io::Result<bool> {
            let expected = (next - self.first).checked_mul(ENTRY_BYTES);
            if expected != Some(self.index.metadata()?.len()) {
                return Ok(false);
            }
            let last = self.find(next - 1)?;
            Ok(last.is_some_and(|(_, end)| end == length))
        };
        indexed().map_err(|error| self.unread(error))
    }

    /// How many entries the index has behind those of so many records, whose last group ends at
    /// `end`: no more than groups written there would have. Where it has any, those groups were
    /// durable before, and are lost; what a crash of the machine leaves of an index is no entry of
    /// theirs.
    pub(super) fn indexed_beyond(&self, records: u64, end: u64) -> Result<u64, DiskError> {
        let at = records * ENTRY_BYTES;
        let mut bytes = [0; NEAR_BYTES];
        let got = read_full(&self.index, &mut bytes, at);
        let got = got.map_err(|error| self.unread(error))?;
        let (mut beyond, mut least) = (0, end + HEADER_BYTES as u64);
        for entry in bytes[..got].as_chunks::<4>().0 {
            let offset = u64::from(u32::from_le_bytes(*entry));
            if offset < least || beyond == 0 && offset != least {
                break;
            }
            beyond += 1;
            least = offset + HEAD_BYTES as u64;
        }
        Ok(beyond)
    }

    /// Cuts entries of records from `next` on off the index, durably: of a flush that was refused.
    pub(super) fn unindex(&self, next: u64) -> io::Result<()> {
        let length = (next - self.first) * ENTRY_BYTES;
        if self.index.metadata()?.len() <= length {
            return Ok(());
        }
        self.index.set_len(length)?;
        self.index.sync_all()
    }

    /// Writes entries of the index, that of record `number` first.
    pub(super) fn write_index(
        &self,
        number: u64,
        offsets: impl Iterator<Item = u64>,
    ) -> Result<(), DiskError> {
        // A log is at most a segment and a record long: its offsets have four bytes.
        let entries = offsets.map(|offset| (offset as u32).to_le_bytes());
        let bytes: Vec<u8> = entries.flatten().collect();
        let at = (number - self.first) * ENTRY_BYTES;
        let written = self.index.write_all_at(&bytes, at);
        written.map_err(|error| self.unindexed(error))
    }

    /// Makes the whole index anew.
    pub(super) fn rewrite_index(&self, offsets: &[u32]) -> Result<(), DiskError> {
        let emptied = self.index.set_len(0);
        emptied.map_err(|error| self.unindexed(error))?;
        self.write_index(self.first, offsets.iter().copied().map(u64::from))
    }

    /// Makes the index durable.
    pub(super) fn sync_index(&self) -> Result<(), DiskError> {
        let synced = self.index.sync_data();
        synced.map_err(|error| self.unindexed(error))
    }

    /// A record and the place after it; nothing where the index leads to anything else.
    fn find(&self, number: u64) -> io::Result<Option<(Vec<u8>, u64)>> {
        let Some(offset) = self.offset(number)? else {
            return Ok(None);
        };
        // Nearly every record is within these bytes, and so takes one reading, not two.
        let mut near = [0; NEAR_BYTES];
        let got = read_full(&self.log, &mut near, offset)?;
        let Some(head) = Head::parse(&near[..got]) else {
            return Ok(None);
        };
        if head.length > RECORD_BYTES_MAX {
            return Ok(None);
        }
        let start = offset + HEAD_BYTES as u64;
        let record = if let Some(record) = near[HEAD_BYTES..got].get(..head.length) {
            record.to_vec()
        } else {
            let mut record = vec![0; head.length];
            let got = read_full(&self.log, &mut record, start)?;
            record.truncate(got);
            record
        };
        let is_sound = record.len() == head.length && head.is_of(number, &record);
        let end = start + head.length as u64;
        Ok(is_sound.then_some((record, end)))
    }

    /// Where the index says that a record's head begins; nothing where it ends before.
    fn offset(&self, number: u64) -> io::Result<Option<u64>> {
        let mut entry = [0; ENTRY_BYTES as usize];
        let at = (number - self.first) * ENTRY_BYTES;
        let got = read_full(&self.index, &mut entry, at)?;
        Ok((got == entry.len()).then(|| u32::from_le_bytes(entry).into()))
    }

    fn unread(&self, error: io::Error) -> DiskError {
        DiskError::new("read", &self.path, error)
    }

    fn unindexed(&self, error: io::Error) -> DiskError {
        DiskError::new("write", &self.path.with_extension("idx"), error)
    }

    fn lost(&self, number: u64) -> DiskError {
        let found = format!("record {number} is not what was written, or not where its index says");
        DiskError::damaged(&self.path, found)
    }
}

/// Reads until the buffer is full or the file ends, and says how much.
fn read_full(file: &File, bytes: &mut [u8], at: u64) -> io::Result<usize> {
    let mut got = 0;
    while got < bytes.len() {
        match file.read_at(&mut bytes[got..], at + got as u64) {
            Ok(0) => break,
            Ok(more) => got += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(got)
}

/// Removes a segment, as far as it is there: the index first, so that a log is left where a crash
/// comes between, by whose name the next opening knows it.
pub(super) fn remove(folder: &Path, first: u64) -> Result<(), DiskError> {
    let path = path_of(folder, first);
    for path in [path.with_extension("idx"), path] {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(DiskError::new("remove", &path, error));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

fn path_of(folder: &Path, first: u64) -> PathBuf {
    folder.join(format!("{first:020}.log"))
}

const ENTRY_BYTES: u64 = 4;
const NEAR_BYTES: usize = 4096;

/// What is written ahead: for some hundred flushes, in half a millisecond.
static ROOM: [u8; 256 << 10] = [0; 256 << 10];
