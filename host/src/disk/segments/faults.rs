//! A disk that refuses at the steps that a test names.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// A step of a flush, or what follows one that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Half of the group is written first.
    Write,
    /// After the zeros are written.
    Room,
    Sync,
    /// After the entries are written.
    Index,
    Cut,
}

/// What is refused, as by a disk that is full or fails.
#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) refused: Vec<Step>,
}

impl Faults {
    pub(super) fn at(&self, step: Step) -> io::Result<()> {
        if self.refused.contains(&step) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    pub(super) fn write(&self, log: &File, bytes: &[u8], at: u64) -> io::Result<()> {
        let refused = self.at(Step::Write);
        if refused.is_err() {
            log.write_all_at(&bytes[..bytes.len() / 2], at)?;
        }
        refused
    }
}
