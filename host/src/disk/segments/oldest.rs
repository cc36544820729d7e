//! `Oldest`: the old end of a log, where whole segments leave it while others are written and read.
//! How old a record may grow, and what else speaks of it, is the caller's affair: it makes durable
//! that a segment is to go before it goes, and opens the log from there on.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Shared;
use super::files::remove;
use crate::disk::DiskError;

/// Takes the oldest segments off, on any thread; one at a time.
#[derive(Debug)]
pub struct Oldest {
    shared: Arc<Shared>,
}

impl Oldest {
    pub(super) fn of(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::clone(shared),
        }
    }

    /// Numbers of the records of the oldest segment, and how many segments there are that could go,
    /// it included; nothing where there is only the one that is written.
    #[must_use]
    pub fn sealed(&self) -> Option<(Range<u64>, usize)> {
        let known = self.shared.known();
        match known.firsts.as_slice() {
            [first, end, ..] => Some((*first..*end, known.firsts.len() - 1)),
            [] | [_] => None,
        }
    }

    /// The number of the first record of the segment that is written.
    #[must_use]
    pub fn active(&self) -> u64 {
        self.shared.known().firsts.last().copied().unwrap_or(0)
    }

    /// Ends the segment that is written, if anything is in it: the next group begins another one.
    pub fn seal(&self) {
        self.shared.is_sealing.store(true, Ordering::Relaxed);
    }

    /// Takes off every segment that ends at or before record `end`; of the one that is written
    /// nothing. Nobody finds a record of theirs from now on.
    ///
    /// # Errors
    /// [`DiskError`] where a file cannot be removed: then the next opening removes it.
    pub fn take_off(&self, end: u64) -> Result<(), DiskError> {
        let mut known = self.shared.known();
        let kept = known.firsts.partition_point(|first| *first <= end);
        // The segment in which `end` lies stays, whole.
        let gone: Vec<u64> = known.firsts.drain(..kept.saturating_sub(1)).collect();
        let first = known.firsts.first().copied().unwrap_or(0);
        self.shared.first.store(first, Ordering::Release);
        known.open.retain(|files| files.first >= first);
        drop(known);
        gone.into_iter()
            .try_for_each(|first| remove(&self.shared.folder, first))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use crate::disk::{DiskError, Segments};

    /// Three records of some hundred bytes each.
    const BYTES_MAX: u64 = 400;

    fn open(folder: &Path, first: u64) -> Result<Segments, DiskError> {
        Segments::open_bounded(folder, first, BYTES_MAX).map(|(log, _)| log)
    }

    fn record(number: u64) -> Vec<u8> {
        vec![number as u8; 100]
    }

    /// A log of twelve records, one a group, three a segment.
    fn filled(folder: &Path) -> Segments {
        let mut log = open(folder, 0).unwrap();
        for number in 0..12 {
            log.append(&record(number)).unwrap();
            log.flush().unwrap();
        }
        log
    }

    /// Files of the folder, in order of their names.
    fn files(folder: &Path) -> Vec<String> {
        let files = fs::read_dir(folder).unwrap();
        let name = |file: std::io::Result<fs::DirEntry>| file.unwrap().file_name();
        let mut names: Vec<String> = files
            .map(|file| name(file).into_string().unwrap())
            .map(|name| name.trim_start_matches('0').to_owned())
            .collect();
        names.sort();
        names
    }

    /// Which of the first records can be read, one by one and in stretches.
    fn found(log: &Segments) -> Vec<u64> {
        let reader = log.reader();
        let is_there = |number: &u64| {
            let found = reader.get(*number).unwrap();
            let stretch = reader.stretch(*number, number + 1, 4096).unwrap();
            assert_eq!(found, log.get(*number).unwrap());
            assert_eq!(
                found.clone().map(|found| (*number, found)),
                stretch.first().cloned()
            );
            assert!(found.as_ref().is_none_or(|found| *found == record(*number)));
            found.is_some()
        };
        (0..14).filter(is_there).collect()
    }

    #[test]
    fn whole_segments_leave_while_others_are_read_and_written() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = filled(folder.path());
        let (oldest, reader) = (log.oldest(), log.reader());
        assert_eq!(oldest.sealed(), Some((0..3, 3)));
        assert_eq!(oldest.active(), 9);
        // A segment of which a record is kept stays whole.
        oldest.take_off(2).unwrap();
        assert_eq!((reader.first(), found(&log).len()), (0, 12));
        oldest.take_off(7).unwrap();
        assert_eq!((reader.first(), reader.len()), (6, 12));
        assert_eq!(found(&log), [6, 7, 8, 9, 10, 11]);
        assert_eq!(files(folder.path()), ["6.idx", "6.log", "9.idx", "9.log"]);
        log.append(&record(12)).unwrap();
        log.flush().unwrap();
        // Never the one that is written.
        oldest.take_off(u64::MAX).unwrap();
        assert_eq!((oldest.sealed(), found(&log)), (None, vec![12]));
        drop(log);
        assert_eq!(found(&open(folder.path(), 12).unwrap()), [12]);
    }

    #[test]
    fn what_a_crash_left_of_them_goes_with_the_next_opening() {
        let folder = tempfile::tempdir().unwrap();
        drop(filled(folder.path()));
        // The index of one had gone already, and what is in another is of no interest any more.
        fs::remove_file(folder.path().join(format!("{:020}.idx", 0))).unwrap();
        fs::write(folder.path().join(format!("{:020}.log", 3)), "x").unwrap();
        let log = open(folder.path(), 6).unwrap();
        assert_eq!(found(&log), [6, 7, 8, 9, 10, 11]);
        assert_eq!(files(folder.path()), ["6.idx", "6.log", "9.idx", "9.log"]);
    }

    #[test]
    fn a_log_without_the_segment_that_shall_be_its_first_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        drop(filled(folder.path()));
        fs::remove_file(folder.path().join(format!("{:020}.log", 0))).unwrap();
        let before = files(folder.path());
        for (first, said) in [
            (
                0,
                "its first segment begins at record 3, expected one that begins at 0",
            ),
            (
                4,
                "its first segment begins at record 6, expected one that begins at 4",
            ),
            (12, "it has no segment, expected one that begins at 12"),
        ] {
            let error = open(folder.path(), first).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        assert_eq!(files(folder.path()), before);
        let empty = tempfile::tempdir().unwrap();
        let error = open(empty.path(), 5).unwrap_err().to_string();
        assert!(error.contains("it has no segment"), "{error}");
    }

    #[test]
    fn a_segment_ends_before_it_is_full_where_somebody_asks_for_that() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = filled(folder.path());
        let oldest = log.oldest();
        oldest.seal();
        for number in 12..14 {
            log.append(&record(number)).unwrap();
            log.flush().unwrap();
        }
        assert_eq!(oldest.active(), 12);
        assert_eq!(found(&log).len(), 14);
        // Once each time that it is asked for, and an empty one is not followed by another.
        log.append(&record(14)).unwrap();
        log.flush().unwrap();
        assert_eq!(oldest.active(), 12);
        drop(log);
        let log = open(folder.path(), 0).unwrap();
        assert_eq!(log.len(), 15);
    }
}
