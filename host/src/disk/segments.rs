//! `Segments`: an append-only log of numbered records, for what is written with every payment. It
//! lies in files of bounded size; how their bytes lie says `segments/group.rs`, how they are read
//! `segments/files.rs`, what is held against what at the start `segments/opening.rs`, and how the
//! oldest leave `segments/oldest.rs`. It takes no lock: the store beside it does. What a record
//! means, and how long it is kept, its writer says.

use std::collections::VecDeque;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::DiskError;

#[cfg(test)]
mod faults;
mod files;
mod group;
mod oldest;
mod opening;
#[cfg(test)]
mod tests;

use files::Files;
use group::{Group, RECORD_BYTES_MAX};
pub use oldest::Oldest;

/// The writer of a log: one per folder.
#[derive(Debug)]
pub struct Segments {
    shared: Arc<Shared>,
    /// The last segment, the only one that is written.
    active: Arc<Files>,
    /// Durable bytes of the active segment.
    bytes: u64,
    /// Up to here it is as long, durably: beyond its groups with zeros.
    room: u64,
    /// Whether the disk has refused such zeros: it is asked for no more in this segment.
    is_crowded: bool,
    /// Durable records.
    durable: u64,
    /// Appended records; the number of the next one.
    next: u64,
    /// What the next flush writes: one group, unless that would be longer than a segment.
    groups: Vec<Group>,
    segment_bytes_max: u64,
    /// Why a flush failed, if one did.
    failure: Option<String>,
    /// What a full disk would refuse, where a test says so.
    #[cfg(test)]
    faults: faults::Faults,
}

/// Reads durable records while others are written, on any thread.
#[derive(Clone, Debug)]
pub struct SegmentReader {
    shared: Arc<Shared>,
}

/// What an unclean stop left half written at the end, and was cut off at opening. Where the disk
/// keeps its word no flush had said that it is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Torn {
    /// How much.
    pub bytes: u64,
}

impl Segments {
    /// Opens or creates the log in `folder`, which nobody else may write, and says what was torn.
    /// `first` is the number of the oldest record that must be there: where a segment begins, as
    /// [`Oldest::take_off`] was told, or 0. What is left of older segments is removed.
    ///
    /// # Errors
    /// [`DiskError::Damaged`] where something else than the end of the last group is not what was
    /// written, the index leads to a group that is not there, a segment is missing or a name is
    /// foreign; no record is touched then.
    /// [`DiskError::Store`] where the folder cannot be used.
    pub fn open(folder: &Path, first: u64) -> Result<(Self, Option<Torn>), DiskError> {
        Self::open_bounded(folder, first, SEGMENT_BYTES_MAX)
    }

    fn open_bounded(
        folder: &Path,
        first: u64,
        segment_bytes_max: u64,
    ) -> Result<(Self, Option<Torn>), DiskError> {
        let opened = opening::open(folder, first)?;
        let active = Arc::new(opened.last);
        let shared = Shared {
            folder: folder.to_owned(),
            first: AtomicU64::new(first),
            is_sealing: AtomicBool::new(false),
            durable: AtomicU64::new(opened.records),
            known: Mutex::new(Known {
                firsts: opened.firsts,
                open: VecDeque::from([Arc::clone(&active)]),
            }),
        };
        let segments = Self {
            shared: Arc::new(shared),
            active,
            bytes: opened.bytes,
            room: opened.bytes,
            is_crowded: false,
            durable: opened.records,
            next: opened.records,
            groups: Vec::new(),
            segment_bytes_max,
            failure: None,
            #[cfg(test)]
            faults: faults::Faults::default(),
        };
        Ok((segments, opened.torn))
    }

    /// Appends a record of at most 16 MiB, in memory: the next [`Self::flush`] makes it durable.
    /// Gives its number, from 0 on without a gap.
    ///
    /// # Errors
    /// [`DiskError`] after a failed flush, and for a longer record, which leaves all as it was.
    pub fn append(&mut self, record: &[u8]) -> Result<u64, DiskError> {
        self.check_sound("append to")?;
        if record.len() > RECORD_BYTES_MAX {
            let found = record.len();
            let error = format!("a record of {found} bytes, expected at most {RECORD_BYTES_MAX}");
            return Err(DiskError::new("append to", &self.shared.folder, error));
        }
        let number = self.next;
        match self.groups.last_mut() {
            Some(group) if group.has_room(record, self.segment_bytes_max) => {
                group.push(number, record);
            }
            Some(_) | None => {
                let mut group = Group::new();
                group.push(number, record);
                self.groups.push(group);
            }
        }
        self.next += 1;
        Ok(number)
    }

    /// Writes what was appended with one write and makes it durable; each group, where it is more
    /// than a segment holds.
    ///
    /// # Errors
    /// [`DiskError`] where the disk refuses. What was not durable is forgotten and cut off the
    /// file, as far as the disk lets it; where it does not, records of this flush may be there when
    /// the log is opened again. Until then this and [`Self::append`] fail.
    pub fn flush(&mut self) -> Result<(), DiskError> {
        self.check_sound("flush")?;
        let mut groups = std::mem::take(&mut self.groups);
        let written = groups.iter_mut().try_for_each(|group| self.write(group));
        if let Err(error) = &written {
            self.fail(error.to_string());
            return written;
        }
        // The buffer serves the next flush too.
        groups.truncate(1);
        groups.iter_mut().for_each(Group::clear);
        self.groups = groups;
        Ok(())
    }

    /// Records ever appended, those not yet durable included; also the number of the next one.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.next
    }

    /// Whether nothing was appended yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.next == 0
    }

    /// A record, durable or not; nothing where there is none of that number, or none any more.
    ///
    /// # Errors
    /// [`DiskError`] where the log cannot be read, or the record is not what was written.
    pub fn get(&self, number: u64) -> Result<Option<Vec<u8>>, DiskError> {
        if number < self.durable {
            return self.shared.record(number);
        }
        let Ok(mut place) = usize::try_from(number - self.durable) else {
            return Ok(None);
        };
        for group in &self.groups {
            if let Some(record) = group.record(place) {
                return Ok(Some(record.to_vec()));
            }
            place -= group.len();
        }
        Ok(None)
    }

    /// Somebody who reads along.
    #[must_use]
    pub fn reader(&self) -> SegmentReader {
        SegmentReader {
            shared: Arc::clone(&self.shared),
        }
    }

    /// Who takes the oldest segments off.
    #[must_use]
    pub fn oldest(&self) -> Oldest {
        Oldest::of(&self.shared)
    }

    /// Writes a group behind the last one; durable and readable when it returns.
    fn write(&mut self, group: &mut Group) -> Result<(), DiskError> {
        if group.len() == 0 {
            return Ok(());
        }
        let is_sealing = self.shared.is_sealing.swap(false, Ordering::Relaxed);
        // A group longer than a segment is one record, and has a segment to itself.
        let is_full = self.bytes + group.bytes() > self.segment_bytes_max;
        if self.bytes > 0 && (is_full || is_sealing) {
            self.begin_segment()?;
        }
        let (files, at) = (&self.active, self.bytes);
        let failed = |error| DiskError::new("write", &files.path, error);
        let bytes = group.seal(self.durable);
        #[cfg(test)]
        self.faults.write(&files.log, bytes, at).map_err(failed)?;
        files.log.write_all_at(bytes, at).map_err(failed)?;
        let end = at + bytes.len() as u64;
        let mut room = self.room.max(end);
        if end > self.room && !self.is_crowded {
            let made = self.make_room(end);
            self.is_crowded = made.is_none();
            room = made.unwrap_or(end);
        }
        #[cfg(test)]
        self.faults.at(faults::Step::Sync).map_err(failed)?;
        files.log.sync_data().map_err(failed)?;
        self.room = room;
        // After the group and not synced: opening makes the last segment's index anew.
        let offsets = group.starts().map(|start| at + u64::from(start));
        files.write_index(self.durable, offsets)?;
        #[cfg(test)]
        self.faults.at(faults::Step::Index).map_err(failed)?;
        self.bytes += group.bytes();
        self.durable += group.len() as u64;
        self.shared.durable.store(self.durable, Ordering::Release);
        Ok(())
    }

    /// Writes zeros behind the last group, up to the place that it gives; nothing where the disk
    /// refuses. What it took of them it gives back: the index needs it, and whoever else writes.
    fn make_room(&self, end: u64) -> Option<u64> {
        let made = self.active.make_room(end, self.segment_bytes_max);
        #[cfg(test)]
        let made = made.and_then(|room| self.faults.at(faults::Step::Room).map(|()| room));
        if made.is_err() {
            let _ = self.active.log.set_len(end);
        }
        made.ok()
    }

    /// Goes on in the next segment. The index of this one is durable before a group of the next
    /// is, since opening trusts it, and so is where it ends.
    fn begin_segment(&mut self) -> Result<(), DiskError> {
        self.active.sync_index()?;
        self.active.end_at(self.bytes)?;
        self.active = Arc::new(Files::create(&self.shared.folder, self.durable)?);
        (self.bytes, self.room, self.is_crowded) = (0, 0, false);
        let mut known = self.shared.known();
        known.firsts.push(self.durable);
        known.keep(&self.active);
        Ok(())
    }

    fn fail(&mut self, error: String) {
        self.next = self.durable;
        self.failure = Some(error);
        #[cfg(test)]
        if self.faults.at(faults::Step::Cut).is_err() {
            return;
        }
        // A disk that refuses this too leaves a torn group, which opening cuts, or a whole one. The
        // index goes first, durably: one that leads beyond the log's end would say that something
        // was lost.
        let log = &self.active.log;
        let unindexed = self.active.unindex(self.durable);
        let _ = unindexed
            .and_then(|()| log.set_len(self.bytes))
            .and_then(|()| log.sync_all());
    }

    fn check_sound(&self, what: &'static str) -> Result<(), DiskError> {
        self.failure.as_ref().map_or(Ok(()), |failure| {
            let error = format!("it was not opened again since a failure: {failure}");
            Err(DiskError::new(what, &self.shared.folder, error))
        })
    }
}

/// Takes the room back. What does not come to this, opening does.
impl Drop for Segments {
    fn drop(&mut self) {
        if self.failure.is_none() && self.bytes < self.room {
            let _ = self.active.log.set_len(self.bytes);
        }
    }
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
struct Shared {
    folder: PathBuf,
    /// The oldest record. Nobody looks for older ones before their files go.
    first: AtomicU64,
    /// Whether the next group shall begin a segment.
    is_sealing: AtomicBool,
    /// Durable records. Their bytes, index entries and segments are in place before it says so.
    durable: AtomicU64,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    /// The number of each segment's first record, ascending.
    firsts: Vec<u64>,
    /// Segments whose files are kept open, those opened first at the front.
    open: VecDeque<Arc<Files>>,
}

impl Known {
    fn keep(&mut self, files: &Arc<Files>) {
        self.open.push_back(Arc::clone(files));
        if self.open.len() > OPEN_MAX {
            self.open.pop_front();
        }
    }
}

impl Shared {
    fn record(&self, number: u64) -> Result<Option<Vec<u8>>, DiskError> {
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

    fn first(&self) -> u64 {
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

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opening walks one segment, in under a second; a year of payments is some hundred of them.
const SEGMENT_BYTES_MAX: u64 = 256 << 20;
/// Segments whose two files are kept open: a process may have 1,024 files, and connections.
const OPEN_MAX: usize = 32;
