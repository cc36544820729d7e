//! Who reads a log while it is written, on any thread, and what writer and readers share.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::files::Files;
use crate::disk::DiskError;

/// Reads durable records while others are written, on any thread.
#[derive(Clone, Debug)]
pub struct SegmentReader {
    pub(super) shared: Arc<Shared>,
}

impl SegmentReader {
    /// Durable records, those that were taken off included; also the number of the next one.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.shared.durable.load(Ordering::Acquire)
    }

    /// The number of the oldest record that was not taken off.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.shared.first()
    }

    /// Whether nothing is durable yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A durable record; nothing where there is none of that number yet, or any more.
    ///
    /// # Errors
    /// [`DiskError`] where the log cannot be read, or the record is not what was written.
    pub fn get(&self, number: u64) -> Result<Option<Vec<u8>>, DiskError> {
        if number >= self.len() {
            return Ok(None);
        }
        self.shared.record(number)
    }

    /// Durable records from `from` on and before `to`, each with its number, read at once from at
    /// most `bytes_max` bytes of one segment: where it ends before `to`, ask again from there. At
    /// least one, however long, where there is one; none is the end, or before the first.
    ///
    /// # Errors
    /// [`DiskError`] where the log cannot be read, or a record is not what was written.
    pub fn stretch(
        &self,
        from: u64,
        to: u64,
        bytes_max: usize,
    ) -> Result<Vec<(u64, Vec<u8>)>, DiskError> {
        let durable = self.len();
        if from >= to.min(durable) {
            return Ok(Vec::new());
        }
        let found = self.shared.unless_taken_off(from, |(files, end)| {
            let end = end.min(durable);
            files.stretch(from..to.min(end), end, bytes_max)
        });
        Ok(found?.unwrap_or_default())
    }
}

/// What the writer and its readers share. The writer takes the lock once a segment, and nobody
/// touches the disk under it: a reader keeps the writer waiting for a microsecond, or, where it is
/// of the idle class and lost its core there, until its next turn.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) folder: PathBuf,
    /// The oldest record. Nobody looks for older ones before their files go.
    pub(super) first: AtomicU64,
    /// Whether the next group shall begin a segment.
    pub(super) is_sealing: AtomicBool,
    /// Durable records. Their bytes, index entries and segments are in place before it says so.
    pub(super) durable: AtomicU64,
    pub(super) known: Mutex<Known>,
}

#[derive(Debug)]
pub(super) struct Known {
    /// The number of each segment's first record, ascending.
    pub(super) firsts: Vec<u64>,
    /// Segments whose files are kept open, those opened first at the front.
    pub(super) open: VecDeque<Arc<Files>>,
}

impl Known {
    pub(super) fn keep(&mut self, files: &Arc<Files>) {
        self.open.push_back(Arc::clone(files));
        if self.open.len() > OPEN_MAX {
            self.open.pop_front();
        }
    }
}

impl Shared {
    pub(super) fn record(&self, number: u64) -> Result<Option<Vec<u8>>, DiskError> {
        self.unless_taken_off(number, |(files, _)| files.record(number))
    }

    /// What is read in the segment with a durable record, and the number after the last of that
    /// segment; nothing where it was taken off, before or meanwhile.
    fn unless_taken_off<T>(
        &self,
        number: u64,
        read: impl FnOnce((Arc<Files>, u64)) -> Result<T, DiskError>,
    ) -> Result<Option<T>, DiskError> {
        if number < self.first() {
            return Ok(None);
        }
        match self.files_of(number).and_then(read) {
            Err(_) if number < self.first() => Ok(None),
            found => found.map(Some),
        }
    }

    pub(super) fn first(&self) -> u64 {
        self.first.load(Ordering::Acquire)
    }

    /// The segment with a durable record, and the number after the last of that segment;
    /// [`u64::MAX`] of the last segment.
    fn files_of(&self, number: u64) -> Result<(Arc<Files>, u64), DiskError> {
        let known = self.known();
        let after = known.firsts.partition_point(|first| *first <= number);
        let first = known.firsts[..after].last().copied().unwrap_or(0);
        let end = known.firsts.get(after).copied().unwrap_or(u64::MAX);
        let kept = known.open.iter().find(|files| files.first == first);
        if let Some(files) = kept {
            return Ok((Arc::clone(files), end));
        }
        drop(known);
        // Two readers may open the same files at once; then they are kept twice, for a while.
        let files = Arc::new(Files::open(&self.folder, first)?);
        self.known().keep(&files);
        Ok((files, end))
    }

    pub(super) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Segments whose two files are kept open: a process may have 1,024 files, and connections.
pub(super) const OPEN_MAX: usize = 32;
