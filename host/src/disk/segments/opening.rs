//! What is held against what when a log is opened. Each group says whether all before it was
//! durable when it was written; no more than `UNFLUSHED_BYTES_MAX` are written ahead of a flush,
//! and all of a segment, its index too, is durable before the next one is begun. So a crash can
//! tear the last segment and no other, and only behind what was durable: from a group that is not
//! what was written, groups written ahead may follow, near it, and no other ones. It can leave only
//! that segment's index wrong and zeros behind its groups.
//!
//! An entry is written after its group is durable. So where that index leads to a group that is not
//! there, the disk has lost it, and it was no write that a crash broke off: the log is refused, and
//! left as it is found, so that each start finds the same and who looks for the records finds what
//! is left of them. An index says so where it came to the disk: always after the end of a process,
//! and after that of the machine as far as it had got.
//!
//! Therefore the last segment is walked, group by group with their sums, and its index made anew.
//! Of the others the index is trusted where it has an entry for each record up to the next segment
//! and leads to the last of these, whose sum is right and which ends where the file does: a segment
//! that was cut, exchanged or prolonged, and one after which another is missing, fail this. What
//! fails is walked too. What rots where all this holds, a record's own sum says when it is read.
//!
//! Segments before the one that shall be the first were taken off, and a crash kept them: nothing
//! of them is held against anything, and they go.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::Torn;
use super::files::{Files, remove};
use super::group::{HEAD_BYTES, Header, MAGIC_BYTES, is_magic};
use super::unflushed::UNFLUSHED_BYTES_MAX;
use crate::disk::DiskError;
use crate::disk::visit::sync_folder;

/// A log as it was found, sound to its end.
pub(super) struct Opened {
    /// The number of each segment's first record.
    pub(super) firsts: Vec<u64>,
    /// The last segment.
    pub(super) last: Files,
    /// Its length.
    pub(super) bytes: u64,
    /// Records in all segments.
    pub(super) records: u64,
    pub(super) torn: Option<Torn>,
}

/// Opens or creates the log in `folder`, whose oldest record is `oldest`.
pub(super) fn open(folder: &Path, oldest: u64) -> Result<Opened, DiskError> {
    make(folder).map_err(|error| DiskError::new("create", folder, error))?;
    let mut firsts = firsts_in(folder)?;
    if firsts.is_empty() && oldest == 0 {
        Files::create(folder, 0)?;
        firsts.push(0);
    }
    let Ok(place) = firsts.binary_search(&oldest) else {
        let found = match firsts.iter().find(|first| **first >= oldest) {
            Some(first) => format!("its first segment begins at record {first}"),
            None => "it has no segment".to_owned(),
        };
        let found = format!("{found}, expected one that begins at {oldest}");
        return Err(DiskError::damaged(folder, found));
    };
    let kept = firsts.split_off(place);
    let (firsts, leaving) = (kept, firsts);
    for pair in firsts.windows(2) {
        check_sealed(folder, pair[0], pair[1])?;
    }
    let first = firsts.last().copied().unwrap_or(0);
    let last = Files::open(folder, first)?;
    let walk = walk(&last)?;
    check_indexed(&last, &walk)?;
    let torn = cut(&last, &walk)?;
    last.rewrite_index(&walk.offsets)?;
    if walk.end > 0 {
        // The last group of a process that was killed may be in the system's memory only.
        let synced = last.log.sync_data();
        synced.map_err(|error| DiskError::new("flush", &last.path, error))?;
    }
    for first in leaving {
        remove(folder, first)?;
    }
    Ok(Opened {
        records: walk.next(first),
        bytes: walk.end,
        firsts,
        last,
        torn,
    })
}

/// Creates the folder where it is missing, durably.
fn make(folder: &Path) -> io::Result<()> {
    let is_missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
    let missing: Vec<&Path> = folder.ancestors().take_while(is_missing).collect();
    fs::create_dir_all(folder)?;
    missing.into_iter().try_for_each(sync_folder)
}

/// The numbers that segments are named by, ascending.
fn firsts_in(folder: &Path) -> Result<Vec<u64>, DiskError> {
    let failed = |error| DiskError::new("read", folder, error);
    let mut firsts = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_none_or(|extension| extension != "log") {
            continue;
        }
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let digits = stem.filter(|stem| stem.len() == 20 && !stem.starts_with('+'));
        let Some(first) = digits.and_then(|digits| digits.parse::<u64>().ok()) else {
            let found = "it has a foreign name, expected a number of 20 digits";
            return Err(DiskError::damaged(&path, found));
        };
        firsts.push(first);
    }
    firsts.sort_unstable();
    Ok(firsts)
}

/// Holds a segment that another one follows, from record `next` on, against its index.
fn check_sealed(folder: &Path, first: u64, next: u64) -> Result<(), DiskError> {
    let files = Files::open(folder, first)?;
    if files.is_indexed(next)? {
        return Ok(());
    }
    let walk = walk(&files)?;
    let found = walk.next(first);
    if walk.end < walk.length {
        return Err(damaged_at(&files, &walk));
    }
    if found != next {
        let found = format!("the record after it is {found}, expected {next}, the next segment's");
        return Err(DiskError::damaged(&files.path, found));
    }
    files.rewrite_index(&walk.offsets)?;
    files.sync_index()
}

/// Refuses a segment whose index leads on where its sound groups end. Before anything is cut: what
/// was durable is not torn.
fn check_indexed(files: &Files, walk: &Walk) -> Result<(), DiskError> {
    let beyond = files.indexed_beyond(walk.offsets.len() as u64, walk.end)?;
    if beyond == 0 {
        return Ok(());
    }
    let (next, end) = (walk.next(files.first), walk.end);
    let found = format!(
        "found {next} records up to byte {end}, expected at least {}, to which its index leads",
        next + beyond
    );
    Err(DiskError::damaged(&files.path, found))
}

/// How far a segment is sound.
struct Walk {
    /// Where the head of each record begins.
    offsets: Vec<u32>,
    /// The place after the last sound group.
    end: u64,
    /// Bytes of the segment.
    length: u64,
}

impl Walk {
    /// The number after the last sound record of a segment that begins at `first`.
    fn next(&self, first: u64) -> u64 {
        first + self.offsets.len() as u64
    }
}

fn walk(files: &Files) -> Result<Walk, DiskError> {
    let mut walk = Walk {
        offsets: Vec::new(),
        end: 0,
        length: files.length()?,
    };
    let mut payload = Vec::new();
    let mut walked = || -> io::Result<()> {
        while let Some(header) = Header::read(&files.log, walk.length, walk.end)? {
            if header.first != walk.next(files.first) {
                break;
            }
            let Some(offsets) = header.offsets(&files.log, walk.end, &mut payload)? else {
                break;
            };
            walk.offsets.extend(offsets);
            walk.end = header.end(walk.end);
        }
        Ok(())
    };
    walked().map_err(|error| DiskError::new("read", &files.path, error))?;
    Ok(walk)
}

/// Cuts off what follows the last sound group: room, as far as it is zeros to the end; what is
/// before that is torn where no sound group is in it but such as were written ahead.
fn cut(files: &Files, walk: &Walk) -> Result<Option<Torn>, DiskError> {
    if walk.end == walk.length {
        return Ok(None);
    }
    let found = find_later(&files.log, walk, walk.next(files.first));
    let unread = |error| DiskError::new("read", &files.path, error);
    if found.map_err(unread)? {
        return Err(damaged_at(files, walk));
    }
    let torn = written_behind(&files.log, walk).map_err(unread)?;
    files.end_at(walk.end)?;
    Ok((torn > 0).then_some(Torn { bytes: torn }))
}

/// Bytes from the last sound group's end to the last one that is not zero.
fn written_behind(log: &File, walk: &Walk) -> io::Result<u64> {
    let mut bytes = vec![0; SEARCH_BYTES];
    let (mut from, mut end) = (walk.end, walk.end);
    while from < walk.length {
        let left = usize::try_from(walk.length - from).unwrap_or(SEARCH_BYTES);
        let part = &mut bytes[..left.min(SEARCH_BYTES)];
        log.read_exact_at(part, from)?;
        if let Some(last) = part.iter().rposition(|byte| *byte != 0) {
            end = from + last as u64 + 1;
        }
        from += part.len() as u64;
    }
    Ok(end - walk.end)
}

fn damaged_at(files: &Files, walk: &Walk) -> DiskError {
    let (next, end) = (walk.next(files.first), walk.end);
    let found = format!("the group at byte {end}, of record {next} on, is not what was written");
    DiskError::damaged(&files.path, found)
}

/// Whether a sound group begins anywhere after the place where that of record `next` should, other
/// than one that was written ahead and is as near as those may be. Its number must leave room for
/// the records between, so that little but a group looks like one.
fn find_later(log: &File, walk: &Walk, next: u64) -> io::Result<bool> {
    let mut bytes = vec![0; SEARCH_BYTES];
    let mut payload = Vec::new();
    let mut from = walk.end;
    while from + MAGIC_BYTES as u64 <= walk.length {
        let left = usize::try_from(walk.length - from).unwrap_or(SEARCH_BYTES);
        let part = &mut bytes[..left.min(SEARCH_BYTES)];
        log.read_exact_at(part, from)?;
        for (place, found) in part.windows(MAGIC_BYTES).enumerate() {
            if !is_magic(found) {
                continue;
            }
            let at = from + place as u64;
            let Some(header) = Header::read(log, walk.length, at)? else {
                continue;
            };
            let records_max = (at - walk.end) / HEAD_BYTES as u64;
            let passed = header.first.checked_sub(next);
            let is_later = passed.is_some_and(|passed| (1..=records_max).contains(&passed));
            let is_near = header.is_ahead && at - walk.end < UNFLUSHED_BYTES_MAX;
            if is_later && !is_near && header.offsets(log, at, &mut payload)?.is_some() {
                return Ok(true);
            }
        }
        // The magic may lie across two parts.
        from += (part.len() - (MAGIC_BYTES - 1)) as u64;
    }
    Ok(false)
}

const SEARCH_BYTES: usize = 1 << 20;
