//! A disk that refuses, or takes its time, when a test says so. What must hold then is tested in
//! `scoring/tests`.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use host::disk::{DiskError, Store};

use super::ids::Bounds;
use super::{Journal, JournalError};

/// How many appends, flushes, batches of ids, followers' readings (of a decision from disk, of a
/// payment's labels) and flushes of an alert's actions are refused from now on, as by a disk that
/// is full or fails; clones share it. After a refused flush the log takes nothing until the journal
/// is opened again, as `host::disk::Segments` has it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    pub(crate) appends: Arc<AtomicU32>,
    pub(crate) flushes: Arc<AtomicU32>,
    pub(crate) entry_reads: Arc<AtomicU32>,
    pub(crate) ids: Arc<AtomicU32>,
    pub(crate) label_reads: Arc<AtomicU32>,
    pub(crate) actions: Arc<AtomicU32>,
    is_failed: Arc<AtomicBool>,
    slow: Arc<(Mutex<Slow>, Condvar)>,
}

/// A disk that takes its time: no clock is asked, so that a test knows where everything stands.
#[derive(Clone, Copy, Debug, Default)]
struct Slow {
    is_held: bool,
    /// Whether a flush waits.
    is_flushing: bool,
}

/// Flushes of a journal wait as long as this lives.
pub(crate) struct Held(Faults);

impl Faults {
    pub(super) fn append(&self) -> Result<(), JournalError> {
        self.check_sound()?;
        refuse(&self.appends)
    }

    pub(super) fn settle(&self) -> Result<(), JournalError> {
        self.wait();
        self.check_sound()?;
        self.flushed()
    }

    /// Takes the time that a flush takes.
    pub(super) fn wait(&self) {
        let (slow, turn) = &*self.slow;
        let mut slow = slow.lock().unwrap();
        slow.is_flushing = true;
        turn.notify_all();
        let mut slow = turn.wait_while(slow, |slow| slow.is_held).unwrap();
        slow.is_flushing = false;
    }

    /// How a flush ends.
    pub(super) fn flushed(&self) -> Result<(), JournalError> {
        let flushed = refuse(&self.flushes);
        flushed.inspect_err(|_| self.is_failed.store(true, Ordering::SeqCst))
    }

    pub(super) fn check_sound(&self) -> Result<(), JournalError> {
        match self.is_failed.load(Ordering::SeqCst) {
            true => Err(refusal("it was not opened again since a failure")),
            false => Ok(()),
        }
    }

    pub(super) fn read_entry(&self) -> Result<(), JournalError> {
        refuse(&self.entry_reads)
    }

    pub(super) fn index(&self) -> Result<(), JournalError> {
        refuse(&self.ids)
    }

    pub(super) fn read_labels(&self) -> Result<(), JournalError> {
        refuse(&self.label_reads)
    }

    pub(super) fn keep_actions(&self) -> Result<(), JournalError> {
        refuse(&self.actions)
    }

    /// Has flushes of the journal wait.
    pub(crate) fn hold(&self) -> Held {
        self.slow.0.lock().unwrap().is_held = true;
        Held(self.clone())
    }
}

impl Held {
    /// Returns once a flush waits.
    pub(crate) fn wait_for_a_flush(&self) {
        let (slow, turn) = &*self.0.slow;
        let waiting = turn.wait_while(slow.lock().unwrap(), |slow| !slow.is_flushing);
        drop(waiting.unwrap());
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let (slow, turn) = &*self.0.slow;
        slow.lock().unwrap().is_held = false;
        turn.notify_all();
    }
}

impl Journal {
    /// The hand on its disk.
    pub(crate) fn faults(&self) -> Faults {
        self.faults.clone()
    }

    /// A journal in a new folder whose memory is full with so many ids.
    pub(crate) fn forgetful(folder: &Path, recent_max: usize) -> Self {
        let bounds = Bounds {
            recent_max,
            batch_max: 4,
            pause: Duration::from_millis(1),
        };
        Self::open_with(&Store::open(folder).unwrap(), bounds).unwrap()
    }
}

fn refuse(left: &AtomicU32) -> Result<(), JournalError> {
    let one_less = |left: u32| left.checked_sub(1);
    let refused = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less);
    refused.map_or(Ok(()), |_| Err(refusal("no space left on device")))
}

fn refusal(error: &str) -> JournalError {
    JournalError::Disk(DiskError::Store {
        what: "write",
        path: "store".into(),
        error: error.to_owned(),
    })
}
