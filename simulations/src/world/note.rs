//! How far a run of many worlds got. Worlds end in any order; what is noted is the seed below which
//! all have held, so that an interrupted run goes on from there, with the same sums in the end.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Story;

/// Worlds between two writes: a few seconds of work to do again after an interruption.
const WORLDS_PER_WRITE: u64 = 128;

/// The worlds from a first seed on that have held.
pub(crate) struct Progress {
    note: Note,
    /// Worlds that ended before one with a smaller seed.
    ahead: BTreeMap<u64, Story>,
    path: Option<PathBuf>,
    written: u64,
}

/// What is in the file.
#[derive(Serialize, Deserialize)]
struct Note {
    /// The digest of the program that played: another one's worlds are other worlds.
    program: String,
    first: u64,
    next: u64,
    story: Story,
}

impl Progress {
    /// From the note at `path`, if there is one of this program and first seed; from nothing
    /// otherwise.
    ///
    /// # Errors
    /// When the program cannot be read to be told from another, or a note cannot be written.
    pub(crate) fn new(first: u64, path: Option<&Path>) -> io::Result<Self> {
        let program = match path {
            Some(_) => crypto::sha256(&[&fs::read(std::env::current_exe()?)?]).to_hex(),
            None => String::new(),
        };
        Self::of(program, first, path)
    }

    fn of(program: String, first: u64, path: Option<&Path>) -> io::Result<Self> {
        let known = path.and_then(|path| fs::read(path).ok());
        // A torn note is as good as none.
        let known = known.and_then(|bytes| serde_json::from_slice::<Note>(&bytes).ok());
        let note = known.filter(|note| (&note.program, note.first) == (&program, first));
        let note = note.unwrap_or_else(|| Note {
            program,
            first,
            next: first,
            story: Story::default(),
        });
        let progress = Self {
            written: note.next,
            note,
            ahead: BTreeMap::new(),
            path: path.map(Path::to_owned),
        };
        progress.write()?;
        Ok(progress)
    }

    /// The smallest seed whose world is not known to hold.
    pub(crate) fn next(&self) -> u64 {
        self.note.next
    }

    /// Worlds known to hold without a gap.
    pub(crate) fn worlds(&self) -> u64 {
        self.note.next - self.note.first
    }

    /// What happened in them.
    pub(crate) fn story(&self) -> Story {
        self.note.story
    }

    /// A world has held. Says so on the disk now and then.
    ///
    /// # Errors
    /// When the note cannot be written.
    pub(crate) fn add(&mut self, seed: u64, story: Story) -> io::Result<()> {
        self.ahead.insert(seed, story);
        while let Some(story) = self.ahead.remove(&self.note.next) {
            self.note.story.add(story);
            self.note.next += 1;
        }
        if self.note.next - self.written >= WORLDS_PER_WRITE {
            self.written = self.note.next;
            self.write()?;
        }
        Ok(())
    }

    /// Writes the note, whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn write(&self) -> io::Result<()> {
        let Some(path) = &self.path else {
            return Ok(());
        };
        let beside = path.with_extension("partial");
        fs::write(&beside, serde_json::to_vec(&self.note)?)?;
        fs::rename(&beside, path)
    }
}

impl Story {
    fn add(&mut self, other: Self) {
        self.committed += other.committed;
        self.abandoned += other.abandoned;
        self.dropouts += other.dropouts;
        self.audits += other.audits;
        self.crashes += other.crashes;
        self.events += other.events;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn story(events: u64) -> Story {
        Story {
            events,
            ..Story::default()
        }
    }

    /// An interruption loses the worlds after the last write and those ahead of a gap, no more;
    /// counted twice is none.
    #[test]
    fn an_interrupted_run_goes_on_below_the_first_gap() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("worlds.json");
        let open = |program: &str, first| Progress::of(program.to_owned(), first, Some(&path));
        let mut progress = open("p", 10).unwrap();
        for seed in (10..10 + WORLDS_PER_WRITE).rev().filter(|seed| *seed != 12) {
            progress.add(seed, story(seed)).unwrap();
        }
        assert_eq!((progress.next(), progress.worlds()), (12, 2));
        assert_eq!(open("p", 10).unwrap().next(), 10, "nothing was written");
        progress.add(12, story(12)).unwrap();
        let last = 10 + WORLDS_PER_WRITE;
        progress.add(last, story(last)).unwrap();
        assert_eq!(progress.next(), last + 1);
        drop(progress);

        let mut again = open("p", 10).unwrap();
        assert_eq!((again.next(), again.worlds()), (last, WORLDS_PER_WRITE));
        assert_eq!(again.story(), story((10..last).sum()));
        again.add(last, story(last)).unwrap();
        again.write().unwrap();
        assert_eq!(open("p", 10).unwrap().story(), story((10..=last).sum()));
    }

    #[test]
    fn a_note_of_another_program_or_seed_or_a_torn_one_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("worlds.json");
        let note = || {
            let mut progress = Progress::of("p".to_owned(), 1, Some(&path)).unwrap();
            progress.add(1, story(1)).unwrap();
            progress.write().unwrap();
        };
        let next = |program: &str, first| {
            let progress = Progress::of(program.to_owned(), first, Some(&path));
            progress.unwrap().next()
        };
        note();
        assert_eq!(next("p", 1), 2);
        assert_eq!(next("q", 1), 1);
        note();
        assert_eq!(next("p", 3), 3);
        note();
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        assert_eq!(next("p", 1), 1);
    }
}
