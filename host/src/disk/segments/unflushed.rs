//! What is written and not yet durable: the system has it, so it outlives the process, and a
//! machine that goes down may take it along. Whoever may tell of a record so early says so by
//! [`Segments::write`](super::Segments::write); a [`Flushing`] makes durable, on another thread,
//! what was written so far.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::files::Files;
use super::group::Group;
use crate::disk::DiskError;

/// Groups in order of their numbers, all in the active segment.
#[derive(Debug, Default)]
pub(super) struct Unflushed {
    groups: VecDeque<Written>,
    bytes: u64,
}

/// A group in its place.
#[derive(Debug)]
struct Written {
    /// Number of its first record.
    first: u64,
    /// Where it begins in the segment.
    at: u64,
    group: Group,
}

impl Written {
    /// The number after its last record.
    fn next(&self) -> u64 {
        self.first + self.group.len() as u64
    }
}

impl Unflushed {
    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Bytes of all groups.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn push(&mut self, first: u64, at: u64, group: Group) {
        self.bytes += group.bytes();
        self.groups.push_back(Written { first, at, group });
    }

    /// The record with a number, if it is in one of the groups.
    pub(super) fn record(&self, number: u64) -> Option<&[u8]> {
        let after = self.groups.partition_point(|group| group.first <= number);
        let written = self.groups.get(after.checked_sub(1)?)?;
        let place = usize::try_from(number - written.first).ok()?;
        written.group.record(place)
    }

    /// Where in the segment each record's head begins, of all groups before record `next`.
    pub(super) fn offsets(&self, next: u64) -> impl Iterator<Item = u64> + '_ {
        let groups = self.groups.iter().take_while(move |of| of.next() <= next);
        groups.flat_map(|of| of.group.starts().map(|start| of.at + u64::from(start)))
    }

    /// Takes the first group off if all of it is before record `next`: with it the number and the
    /// place that follow on it.
    pub(super) fn pop(&mut self, next: u64) -> Option<(u64, u64, Group)> {
        let written = self.groups.pop_front_if(|of| of.next() <= next)?;
        self.bytes -= written.group.bytes();
        let end = written.at + written.group.bytes();
        Some((written.next(), end, written.group))
    }

    /// Forgets the groups from record `next` on.
    pub(super) fn cut(&mut self, next: u64) {
        while let Some(written) = self.groups.pop_back_if(|of| of.first >= next) {
            self.bytes -= written.group.bytes();
        }
    }
}

/// What was written at some moment, to be made durable on any thread while more is written. The
/// log's writer is to hear how it ended: [`Segments::flushed`](super::Segments::flushed).
#[derive(Debug)]
pub struct Flushing {
    pub(super) files: Arc<Files>,
    /// The number after the last of them.
    pub(super) records: u64,
}

/// How a [`Flushing`] ended.
#[derive(Debug)]
pub struct Flushed {
    pub(super) records: u64,
    pub(super) outcome: Result<(), DiskError>,
    took: Duration,
}

impl Flushing {
    /// Makes it durable: waits for the disk.
    #[must_use]
    pub fn run(self) -> Flushed {
        let began = Instant::now();
        let synced = self.files.log.sync_data();
        Flushed {
            records: self.records,
            outcome: synced.map_err(|error| DiskError::new("flush", &self.files.path, error)),
            took: began.elapsed(),
        }
    }
}

impl Flushed {
    /// Whether the disk took it.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.outcome.is_ok()
    }

    /// How long the disk took.
    #[must_use]
    pub fn took(&self) -> Duration {
        self.took
    }
}

/// More is not written ahead of a flush: a disk that stands still has the writer wait for it here,
/// and opening knows how near a group that was written ahead must be to one that is torn. At 5,000
/// payments a second some .3 s of them.
pub(super) const UNFLUSHED_BYTES_MAX: u64 = 4 << 20;
