//! `Segments`: an append-only log of numbered records, for what is written with every payment. It
//! lies in files of bounded size; how their bytes lie says `segments/group.rs`, how they are read
//! `segments/files.rs` and `reader.rs`, what is written and not yet durable
//! `segments/unflushed.rs`, what is held against what at the start `segments/opening.rs`, and how
//! the oldest leave `segments/oldest.rs`. It takes no lock: the store beside it does. What a record
//! means, and how long it is kept, its writer says.

use std::collections::VecDeque;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::DiskError;

#[cfg(test)]
mod faults;
mod files;
mod group;
mod oldest;
mod opening;
mod reader;
#[cfg(test)]
mod tests;
mod unflushed;

use files::Files;
use group::{Group, RECORD_BYTES_MAX};
pub use oldest::Oldest;
pub use reader::SegmentReader;
use reader::{Known, Shared};
pub use unflushed::{Flushed, Flushing};
use unflushed::{UNFLUSHED_BYTES_MAX, Unflushed};

/// The writer of a log: one per folder.
#[derive(Debug)]
pub struct Segments {
    shared: Arc<Shared>,
    /// The last segment, the only one that is written.
    active: Arc<Files>,
    /// Bytes of the active segment's groups.
    bytes: u64,
    /// Up to here it is as long: beyond its groups with zeros.
    room: u64,
    /// Whether the disk has refused such zeros: it is asked for no more in this segment.
    is_crowded: bool,
    /// Durable records.
    durable: u64,
    /// Written records; those from `durable` on are `unflushed`.
    written: u64,
    unflushed: Unflushed,
    /// What a failure leaves: the records, and the bytes of the active segment, that a write or a
    /// flush has said to be kept.
    kept: (u64, u64),
    /// Appended records; the number of the next one.
    next: u64,
    /// What the next write takes: one group, unless that would be longer than a segment.
    groups: Vec<Group>,
    /// A buffer for the next group.
    spare: Option<Group>,
    segment_bytes_max: u64,
    /// Why a write or a flush failed, if one did.
    failure: Option<String>,
    /// What a full disk would refuse, where a test says so.
    #[cfg(test)]
    faults: faults::Faults,
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
            written: opened.records,
            unflushed: Unflushed::default(),
            kept: (opened.records, opened.bytes),
            next: opened.records,
            groups: Vec::new(),
            spare: None,
            segment_bytes_max,
            failure: None,
            #[cfg(test)]
            faults: faults::Faults::default(),
        };
        Ok((segments, opened.torn))
    }

    /// Appends a record of at most 16 MiB, in memory: the next [`Self::write`] or [`Self::flush`]
    /// takes it to disk. Gives its number, from 0 on without a gap.
    ///
    /// # Errors
    /// [`DiskError`] after a failure of either, and for a longer record, which leaves all as it
    /// was.
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
                let mut group = self.spare.take().unwrap_or_else(Group::new);
                group.push(number, record);
                self.groups.push(group);
            }
        }
        self.next += 1;
        Ok(number)
    }

    /// Writes what was appended with one write; each group, where it is more than a segment holds.
    /// It outlives this process then. The machine's end it outlives once it is durable: after the
    /// next [`Self::flush`], or when [`Self::flushed`] has heard so. Where 4 MiB wait for that,
    /// this waits for the disk.
    ///
    /// # Errors
    /// [`DiskError`] where the disk refuses. What was not written before is forgotten and cut off
    /// the file, as far as the disk lets it, and what was is left; until the log is opened again
    /// this, [`Self::flush`] and [`Self::append`] fail.
    pub fn write(&mut self) -> Result<(), DiskError> {
        self.check_sound("write")?;
        let written = self.write_out();
        self.keep(written)
    }

    /// Writes what was appended and makes all that is written durable.
    ///
    /// # Errors
    /// As [`Self::write`]. Where the disk does not let it be cut off, records of this flush may be
    /// there when the log is opened again.
    pub fn flush(&mut self) -> Result<(), DiskError> {
        self.check_sound("flush")?;
        let flushed = self.write_out().and_then(|()| {
            self.make_room();
            self.sync()
        });
        self.keep(flushed)
    }

    /// What is written and not durable, for a thread that makes it so.
    #[must_use]
    pub fn flushing(&self) -> Option<Flushing> {
        (!self.unflushed.is_empty()).then(|| Flushing {
            files: Arc::clone(&self.active),
            records: self.written,
        })
    }

    /// Hears how a flush on another thread ended.
    ///
    /// # Errors
    /// [`DiskError`] where the disk refused: what was written is left as it is, and may be lost
    /// when the machine ends. Until the log is opened again nothing can be appended.
    pub fn flushed(&mut self, flushed: Flushed) -> Result<(), DiskError> {
        self.check_sound("flush")?;
        let advanced = flushed.outcome.and_then(|()| self.advance(flushed.records));
        self.keep(advanced)
    }

    /// Records ever appended, those not yet durable included; also the number of the next one.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.next
    }

    /// Durable records, which are the first.
    #[must_use]
    pub fn durable(&self) -> u64 {
        self.durable
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
        if number < self.written {
            return Ok(self.unflushed.record(number).map(<[u8]>::to_vec));
        }
        let Ok(mut place) = usize::try_from(number - self.written) else {
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

    fn write_out(&mut self) -> Result<(), DiskError> {
        let groups = std::mem::take(&mut self.groups);
        groups.into_iter().try_for_each(|group| self.place(group))
    }

    /// Writes a group behind the last one.
    fn place(&mut self, mut group: Group) -> Result<(), DiskError> {
        let is_sealing = self.shared.is_sealing.swap(false, Ordering::Relaxed);
        // A group longer than a segment is one record, and has a segment to itself.
        let is_full = self.bytes + group.bytes() > self.segment_bytes_max;
        if self.bytes > 0 && (is_full || is_sealing) {
            self.begin_segment()?;
        }
        if self.unflushed.bytes() + group.bytes() > UNFLUSHED_BYTES_MAX {
            self.sync()?;
        }
        let (files, at) = (&self.active, self.bytes);
        let failed = |error| DiskError::new("write", &files.path, error);
        let bytes = group.seal(self.written, !self.unflushed.is_empty());
        #[cfg(test)]
        self.faults.write(&files.log, bytes, at).map_err(failed)?;
        files.log.write_all_at(bytes, at).map_err(failed)?;
        let first = self.written;
        self.bytes += group.bytes();
        self.written += group.len() as u64;
        self.unflushed.push(first, at, group);
        Ok(())
    }

    /// Makes what is written durable.
    fn sync(&mut self) -> Result<(), DiskError> {
        if self.unflushed.is_empty() {
            return Ok(());
        }
        let failed = |error| DiskError::new("write", &self.active.path, error);
        #[cfg(test)]
        self.faults.at(faults::Step::Sync).map_err(failed)?;
        self.active.log.sync_data().map_err(failed)?;
        self.advance(self.written)
    }

    /// Takes note that the groups before record `next` are durable: they have their entries in the
    /// index, and can be read by all.
    fn advance(&mut self, next: u64) -> Result<(), DiskError> {
        if next <= self.durable {
            return Ok(());
        }
        // After the groups and not synced: opening makes the last segment's index anew.
        let offsets = self.unflushed.offsets(next);
        self.active.write_index(self.durable, offsets)?;
        #[cfg(test)]
        if let Err(error) = self.faults.at(faults::Step::Index) {
            return Err(DiskError::new("write", &self.active.path, error));
        }
        while let Some((durable, end, mut group)) = self.unflushed.pop(next) {
            self.durable = durable;
            self.kept = self.kept.max((durable, end));
            group.clear();
            self.spare = Some(group);
        }
        self.shared.durable.store(self.durable, Ordering::Release);
        Ok(())
    }

    /// Writes zeros behind the last group where there is no room for the next; nothing where the
    /// disk refuses. What it took of them it gives back: the index needs it, and whoever else
    /// writes. Where nobody waits for the flush it is left out: the zeros are what a write would
    /// wait for then (.14 ms one in ninety, without them .03 to .17 one in a hundred).
    fn make_room(&mut self) {
        let end = self.bytes;
        if end <= self.room {
            return;
        }
        self.room = end;
        if self.is_crowded {
            return;
        }
        let made = self.active.make_room(end, self.segment_bytes_max);
        #[cfg(test)]
        let made = made.and_then(|room| self.faults.at(faults::Step::Room).map(|()| room));
        match made {
            Ok(room) => self.room = room,
            Err(_) => {
                self.is_crowded = true;
                let _ = self.active.log.set_len(end);
            }
        }
    }

    /// Goes on in the next segment. All of this one and its index are durable before a group of
    /// the next is written, since opening trusts it, and so is where it ends.
    fn begin_segment(&mut self) -> Result<(), DiskError> {
        self.active.end_at(self.bytes)?;
        self.advance(self.written)?;
        self.active.sync_index()?;
        self.active = Arc::new(Files::create(&self.shared.folder, self.durable)?);
        (self.bytes, self.room, self.is_crowded) = (0, 0, false);
        self.kept = (self.durable, 0);
        let mut known = self.shared.known();
        known.firsts.push(self.durable);
        known.keep(&self.active);
        Ok(())
    }

    /// What was done is to be kept; where it was not done, what was kept before stays.
    fn keep(&mut self, done: Result<(), DiskError>) -> Result<(), DiskError> {
        match &done {
            Ok(()) => self.kept = (self.written, self.bytes),
            Err(error) => self.fail(error.to_string()),
        }
        done
    }

    fn fail(&mut self, error: String) {
        let (records, bytes) = self.kept;
        self.groups.clear();
        self.unflushed.cut(records);
        (self.written, self.next, self.bytes) = (records, records, bytes);
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

/// Opening walks one segment, in under a second; a year of payments is some hundred of them.
const SEGMENT_BYTES_MAX: u64 = 256 << 20;
