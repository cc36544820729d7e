//! When a decision leaves the journal, and what leaves with it: its id, its labels, what analysts
//! did about it. It leaves in whole files, once everything in one is older than the bank keeps its
//! decisions. A retry that comes later still would be taken for another payment, and a label finds
//! none; so a bank keeps them for longer than either may come (`store.keep_days`).
//!
//! What goes is first forgotten by the store's tables, then named there as gone, durably, and then
//! removed: wherever a crash comes between, the next look does the rest.

use std::ops::Range;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use host::clock::Clock;
use host::disk::{Oldest, SegmentReader, Segments, Store, Table};
use host::telemetry::Telemetry;
use host::telemetry::prometheus_client::metrics::gauge::Gauge;
use host::workers::{self, Breather};
use serde::Deserialize;

use super::actions::Actions;
use super::ahead::Ahead;
use super::labels::Labels;
use super::reading::Progress;
use super::{JournalError, decode, ids, sequence_of, txn_id_of};
use crate::scoring::{Beside, Part};

/// For how long a bank keeps its decisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Keep {
    /// At least so long; a sixteenth more until the last of a file is as old.
    pub(crate) days: u32,
}

impl Keep {
    fn ms(self) -> u64 {
        u64::from(self.days) * DAY_MS
    }

    /// How long one file is written, at most.
    fn file_ms(self) -> u64 {
        (self.ms() / FILES).max(DAY_MS)
    }
}

/// The old end of a journal, beside its writer.
pub(crate) struct Old {
    store: Store,
    log: SegmentReader,
    oldest: Oldest,
    ids: Table,
    labels: Labels,
    actions: Actions,
    cursor: Table,
}

impl Old {
    pub(super) fn of(store: &Store, log: &Segments, labels: Labels) -> Result<Self, JournalError> {
        Ok(Self {
            store: store.clone(),
            log: log.reader(),
            oldest: log.oldest(),
            ids: store.table(ids::TABLE)?,
            labels,
            actions: Actions::open(store)?,
            cursor: store.table(ids::CURSOR)?,
        })
    }

    /// Has those files leave whose decisions are all older than `keep` at `now_ms`, a few of them
    /// at most, and gives the number of decisions that left. Begins another file where the one that
    /// is written is old enough. Asks before each decision whether to go on; if not, the rest of
    /// its file leaves with a later look.
    ///
    /// # Errors
    /// [`JournalError`] where the disk refuses, or a decision by whose time a file is judged is
    /// damaged; what left until then has left.
    fn look(
        &self,
        keep: Keep,
        now_ms: u64,
        mut goes_on: impl FnMut() -> bool,
    ) -> Result<u64, JournalError> {
        let active = self.scored_at(self.oldest.active())?;
        if active.is_some_and(|at| now_ms >= at.saturating_add(keep.file_ms())) {
            self.oldest.seal();
        }
        let (mut left, mut most) = (0, None);
        while let Some((numbers, files)) = self.oldest.sealed() {
            // A clock that is wrong for an hour costs no more.
            let most = most.get_or_insert_with(|| files.div_ceil(FILES_A_LOOK));
            // What follows a file is no older than its last decision.
            let after = self.scored_at(numbers.end)?;
            let is_old = after.is_some_and(|at| now_ms >= at.saturating_add(keep.ms()));
            if *most == 0 || !is_old {
                break;
            }
            let decisions = numbers.end - numbers.start;
            if self.forget(numbers, &mut goes_on)? == Progress::More {
                break;
            }
            *most -= 1;
            left += decisions;
        }
        Ok(left)
    }

    /// When a decision was made; nothing where there is none yet.
    fn scored_at(&self, sequence: u64) -> Result<Option<u64>, JournalError> {
        let Some(value) = self.log.get(sequence)? else {
            return Ok(None);
        };
        let entry = decode(sequence, &value)?;
        let told: Told =
            serde_json::from_str(&entry.answer).map_err(|_| JournalError::Damaged { sequence })?;
        Ok(Some(told.scored_at))
    }

    fn forget(
        &self,
        numbers: Range<u64>,
        goes_on: &mut impl FnMut() -> bool,
    ) -> Result<Progress, JournalError> {
        let mut ahead = Ahead::default();
        for sequence in numbers.clone() {
            if !goes_on() {
                return Ok(Progress::More);
            }
            let txn_id = match ahead.take(sequence, numbers.end, &self.log) {
                Ok(Some(value)) => txn_id_of(sequence, &value).map(str::to_owned),
                // Another look has had it leave.
                Ok(None) => continue,
                Err(error) => Err(error.into()),
            };
            match txn_id {
                Ok(txn_id) => self.forget_one(sequence, &txn_id)?,
                // It goes all the same. Its id stays in the table, and leads nowhere.
                Err(error) if !error.is_passing() => {
                    tracing::warn!(%error, "a damaged decision leaves the journal");
                }
                Err(error) => return Err(error),
            }
        }
        self.actions.forget(&numbers)?;
        self.cursor.put(FIRST, &numbers.end.to_be_bytes())?;
        self.store.flush()?;
        self.oldest.take_off(numbers.end)?;
        Ok(Progress::All)
    }

    fn forget_one(&self, sequence: u64, txn_id: &str) -> Result<(), JournalError> {
        let number = self.ids.get(txn_id.as_bytes())?;
        if number.as_deref() == Some(&sequence.to_be_bytes()) {
            self.ids.remove(txn_id.as_bytes())?;
        }
        self.labels.forget(txn_id)
    }
}

/// What is read of a stored answer.
#[derive(Deserialize)]
struct Told {
    scored_at: u64,
}

/// The number of the oldest entry that a journal must have.
pub(super) fn first(store: &Store) -> Result<u64, JournalError> {
    let first = store.table(ids::CURSOR)?.get(FIRST)?;
    first.map_or(Ok(0), |first| sequence_of(&first))
}

/// How many decisions the journal keeps, for `/metrics`.
#[derive(Default)]
pub(crate) struct Kept(Gauge<u64, AtomicU64>);

impl Kept {
    pub(crate) fn new(telemetry: &Telemetry) -> Self {
        let kept = Self::default();
        telemetry.register(|registry| {
            registry.sub_registry_with_prefix("phalanx").register(
                "journal_decisions",
                "decisions that the journal keeps",
                kept.0.clone(),
            );
        });
        kept
    }
}

/// A running expiry. Dropping it ends the thread.
pub(crate) struct Expiry {
    /// `None` only while ending.
    leave: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Expiry {
    /// Starts the thread, which looks once an hour.
    ///
    /// # Errors
    /// Where no thread can be had.
    pub(crate) fn start(
        keep: Keep,
        clock: Clock,
        old: Old,
        (telemetry, beside): (&Telemetry, Beside),
    ) -> std::io::Result<Self> {
        let (leave, left) = sync_channel(1);
        let work = Work {
            keep,
            clock,
            old,
            kept: Kept::new(telemetry),
            beside,
        };
        let thread = workers::behind("expiry", move || work.run(&left))?;
        Ok(Self {
            leave: Some(leave),
            thread: Some(thread),
        })
    }
}

impl Drop for Expiry {
    fn drop(&mut self) {
        self.leave = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so itself.
            let _ = thread.join();
        }
    }
}

struct Work {
    keep: Keep,
    clock: Clock,
    old: Old,
    kept: Kept,
    beside: Beside,
}

impl Work {
    /// The first look comes an hour after the start: who started an agent by a wrong clock has
    /// time to see it.
    fn run(&self, left: &Receiver<()>) {
        let (mut waited, mut breather) = (Duration::ZERO, Breather::default());
        loop {
            self.kept.0.set(self.old.log.len() - self.old.log.first());
            match left.recv_timeout(TELL_EVERY) {
                Err(RecvTimeoutError::Timeout) => waited += TELL_EVERY,
                Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
            }
            if waited >= LOOK_EVERY {
                waited = Duration::ZERO;
                self.look(|| {
                    breather.breathe();
                    left.try_recv() == Err(TryRecvError::Empty)
                });
                breather.rested();
            }
        }
    }

    fn look(&self, goes_on: impl FnMut() -> bool) {
        let days = self.keep.days;
        let found = match self.old.look(self.keep, self.clock.now().0, goes_on) {
            Ok(0) => Ok(format!("no file of decisions is older than {days} days")),
            Ok(decisions) => {
                let first = self.old.log.first();
                tracing::info!(decisions, first, days, "decisions have left the journal");
                Ok(format!(
                    "{decisions} decisions have left with the last look"
                ))
            }
            Err(error) => {
                tracing::warn!(%error, "old decisions do not leave the journal; tried again");
                Err(format!("old decisions stay: {error}"))
            }
        };
        self.beside.tell(Part::Expiry, found);
    }
}

const DAY_MS: u64 = 86_400_000;

/// Files that a bank's time is spread over, at least.
const FILES: u64 = 16;

/// Of so many files a look has one leave, and of fewer one: nine in a hundred in a day, where the
/// time that is kept needs one in as many days as it has.
const FILES_A_LOOK: usize = 256;

const LOOK_EVERY: Duration = Duration::from_secs(3_600);

const TELL_EVERY: Duration = Duration::from_secs(10);

/// The number of the oldest entry that is kept, beside the reach of ids.
const FIRST: &[u8] = b"first";

#[cfg(test)]
mod tests;
