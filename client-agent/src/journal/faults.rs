//! A disk that refuses when a test says so. What must hold then is tested in `scoring/tests`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use host::disk::DiskError;

use super::{Journal, JournalError};

/// How many appends, flushes and followers' readings (of a decision from disk, of a payment's
/// labels) are refused from now on, as by a disk that is full or fails; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    pub(crate) appends: Arc<AtomicU32>,
    pub(crate) flushes: Arc<AtomicU32>,
    pub(crate) entry_reads: Arc<AtomicU32>,
    pub(crate) label_reads: Arc<AtomicU32>,
}

impl Faults {
    pub(super) fn append(&self) -> Result<(), JournalError> {
        refuse(&self.appends)
    }

    pub(super) fn settle(&self) -> Result<(), JournalError> {
        refuse(&self.flushes)
    }

    pub(super) fn read_entry(&self) -> Result<(), JournalError> {
        refuse(&self.entry_reads)
    }

    pub(super) fn read_labels(&self) -> Result<(), JournalError> {
        refuse(&self.label_reads)
    }
}

impl Journal {
    /// The hand on its disk.
    pub(crate) fn faults(&self) -> Faults {
        self.faults.clone()
    }
}

fn refuse(left: &AtomicU32) -> Result<(), JournalError> {
    let one_less = |left: u32| left.checked_sub(1);
    let refused = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less);
    refused.map_or(Ok(()), |_| {
        Err(JournalError::Disk(DiskError::Store {
            what: "write",
            path: "store".into(),
            error: "no space left on device".to_owned(),
        }))
    })
}
