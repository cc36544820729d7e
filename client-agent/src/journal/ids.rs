//! Which number a payment's entry has, by its `txn_id`. A table of the store says so, and a thread
//! writes it behind the journal's writer, so that no answer waits for it: the newest ids are in
//! memory until they are durable there. The log has every id too: what the table lacks after a
//! crash is read from it again. What the log lacks is not made up for: a number that the table has
//! given to a payment must not go to another.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use host::disk::{SegmentReader, Segments, Store, Table};
use host::workers::Breather;

use super::ahead::Ahead;
#[cfg(test)]
use super::faults::Faults;
use super::{JournalError, check_whole, sequence_of, txn_id_of};
use crate::scoring::{Beside, Part};

/// The ids of one journal, as its writer has them. Dropping it ends the thread.
pub(super) struct Ids {
    /// Ids that the table may lack, and the numbers of their entries.
    recent: HashMap<Arc<str>, u64>,
    /// The same in order.
    order: VecDeque<(Arc<str>, u64)>,
    table: Table,
    indexer: Arc<Mutex<Indexer>>,
    /// The ids of all entries below are durable in the table.
    indexed: Arc<AtomicU64>,
    /// Whether the disk refused the last batch.
    is_refused: Arc<AtomicBool>,
    bounds: Bounds,
    /// `None` only while ending.
    leave: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// How far the table may be behind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Ids in memory.
    pub(super) recent_max: usize,
    /// Ids between two flushes.
    pub(super) batch_max: u64,
    /// How often the thread looks for more.
    pub(super) pause: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            // Of at most 64 bytes each, some 12 MB; a minute of a thousand payments a second.
            recent_max: 65_536,
            batch_max: 4_096,
            pause: Duration::from_secs(1),
        }
    }
}

impl Ids {
    /// Opens the ids of a journal and starts the thread. What the last one did not come to is read
    /// from the log: at most `recent_max + batch_max` entries, unless the store's tables were lost;
    /// then all of them, in batches.
    ///
    /// # Errors
    /// [`JournalError`] where store or log cannot be read, the log is shorter than the table says,
    /// or no thread can be had.
    pub(super) fn open(
        store: &Store,
        log: SegmentReader,
        bounds: Bounds,
    ) -> Result<Self, JournalError> {
        let mut indexer = Indexer::open(store, log, bounds.batch_max)?;
        while indexer.behind() > bounds.recent_max as u64 {
            indexer.step(|| ())?;
        }
        let mut recent = HashMap::with_capacity(bounds.recent_max);
        let mut order = VecDeque::new();
        indexer.read(indexer.next..indexer.log.len(), |id, number| {
            let id: Arc<str> = id.into();
            order.push_back((Arc::clone(&id), number));
            recent.insert(id, number);
            Ok(())
        })?;
        let (table, indexed) = (indexer.table.clone(), Arc::clone(&indexer.indexed));
        let is_refused = Arc::clone(&indexer.is_refused);
        let indexer = Arc::new(Mutex::new(indexer));
        let (leave, left) = sync_channel(1);
        let shared = Arc::clone(&indexer);
        // Not behind what answers payments, as other threads are: a writer whose memory is full
        // waits until the flush that this one has begun is over.
        let thread = thread::Builder::new()
            .name("ids".to_owned())
            .spawn(move || run(&shared, bounds.pause, &left))
            .map_err(JournalError::Thread)?;
        Ok(Self {
            recent,
            order,
            table,
            indexer,
            indexed,
            is_refused,
            bounds,
            leave: Some(leave),
            thread: Some(thread),
        })
    }

    /// The number that the entry with this id has, if it was not lost in a crash.
    pub(super) fn find(&self, txn_id: &str) -> Result<Option<u64>, JournalError> {
        if let Some(&number) = self.recent.get(txn_id) {
            return Ok(Some(number));
        }
        let number = self.table.get(txn_id.as_bytes())?;
        number.map(|number| sequence_of(&number)).transpose()
    }

    /// Says through `beside` from here on, and of what has been so far, whether ids can be kept.
    pub(super) fn telling(&self, beside: Beside) {
        let mut indexer = lock(&self.indexer);
        beside.tell(Part::Ids, indexer.beside.of(Part::Ids));
        indexer.beside = beside;
    }

    /// Makes room for an id. Where the thread is too far behind, the writer does its work; where
    /// the disk refuses that, nothing can be appended: what has no id would be counted twice.
    ///
    /// # Errors
    /// [`JournalError`] where memory is full and the disk refuses.
    pub(super) fn make_room(&mut self, log: &mut Segments) -> Result<(), JournalError> {
        self.forget(FORGOTTEN_AT_ONCE);
        if self.order.len() < self.bounds.recent_max {
            return Ok(());
        }
        // Only what is durable is indexed.
        log.flush()?;
        lock(&self.indexer).advance(|| ())?;
        self.forget(usize::MAX);
        Ok(())
    }

    /// Whether there is room for another id, or can be made.
    ///
    /// # Errors
    /// [`JournalError::Full`] where memory is full and the disk refused the last batch.
    pub(super) fn check_room(&self) -> Result<(), JournalError> {
        let (found, indexed) = (self.order.len(), self.indexed.load(Ordering::Acquire));
        let oldest = self.order.front().map(|(_, number)| *number);
        let is_full = found >= self.bounds.recent_max && oldest >= Some(indexed);
        match is_full && self.is_refused.load(Ordering::Relaxed) {
            true => Err(JournalError::Full { found }),
            false => Ok(()),
        }
    }

    /// Keeps the id of the entry that was appended last.
    pub(super) fn insert(&mut self, txn_id: &str, number: u64) {
        let id: Arc<str> = txn_id.into();
        self.order.push_back((Arc::clone(&id), number));
        self.recent.insert(id, number);
    }

    /// Forgets the oldest ids, so many at most, as far as the table has them.
    fn forget(&mut self, most: usize) {
        let indexed = self.indexed.load(Ordering::Acquire);
        for _ in 0..most {
            let is_kept = |(_, number): &(Arc<str>, u64)| *number < indexed;
            if !self.order.front().is_some_and(is_kept) {
                return;
            }
            if let Some((id, number)) = self.order.pop_front()
                && self.recent.get(&id) == Some(&number)
            {
                self.recent.remove(&id);
            }
        }
    }

    /// The hand on its disk.
    #[cfg(test)]
    pub(super) fn faults(&self) -> Faults {
        lock(&self.indexer).faults.clone()
    }
}

impl Drop for Ids {
    fn drop(&mut self) {
        self.leave = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so itself.
            let _ = thread.join();
        }
    }
}

/// Without the ids: they are payments'.
impl fmt::Debug for Ids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let recent = self.order.len();
        f.debug_struct("Ids")
            .field("recent", &recent)
            .finish_non_exhaustive()
    }
}

/// Writes the table, in order of the log.
struct Indexer {
    store: Store,
    table: Table,
    /// How far the table is durable, at [`REACH`], and what it may speak of, at [`SEEN`].
    cursor: Table,
    log: SegmentReader,
    /// The first entry whose id is not durable in the table.
    next: u64,
    /// The same, for the writer.
    indexed: Arc<AtomicU64>,
    is_refused: Arc<AtomicBool>,
    batch_max: u64,
    beside: Beside,
    #[cfg(test)]
    faults: Faults,
}

/// Whether there is another batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    More,
    All,
}

impl Indexer {
    fn open(store: &Store, log: SegmentReader, batch_max: u64) -> Result<Self, JournalError> {
        let cursor = store.table(CURSOR)?;
        let told = |key| -> Result<u64, JournalError> {
            let number = cursor.get(key)?;
            number.map_or(Ok(0), |number| sequence_of(&number))
        };
        let (next, seen) = (told(REACH)?, told(SEEN)?);
        check_whole(log.len(), next.max(seen))?;
        // What has left needs no id.
        let next = next.max(log.first());
        Ok(Self {
            store: store.clone(),
            table: store.table(TABLE)?,
            cursor,
            log,
            next,
            indexed: Arc::new(AtomicU64::new(next)),
            is_refused: Arc::default(),
            batch_max,
            beside: Beside::default(),
            #[cfg(test)]
            faults: Faults::default(),
        })
    }

    /// Durable entries whose ids are not.
    fn behind(&self) -> u64 {
        self.log.len().saturating_sub(self.next)
    }

    /// Takes a step, and tells where the disk has begun to refuse that, or takes it again.
    ///
    /// # Errors
    /// As [`Self::step`].
    fn advance(&mut self, breathe: impl FnMut()) -> Result<Progress, JournalError> {
        let stepped = self.step(breathe);
        let was_refused = self.is_refused.swap(stepped.is_err(), Ordering::Relaxed);
        match &stepped {
            Err(error) if !was_refused => {
                tracing::warn!(%error, "the ids of payments cannot be kept on disk: they stay in \
                    memory, and when that is full no payment is taken");
                let why = format!(
                    "the ids of payments stay in memory, and when that is full no payment is \
                     taken: {error}; make room, then start the agent again"
                );
                self.beside.tell(Part::Ids, Err(why));
            }
            Ok(_) if was_refused => {
                let why = "the ids of payments are kept on disk again";
                self.beside.tell(Part::Ids, Ok(why.to_owned()));
            }
            Ok(_) | Err(_) => {}
        }
        stepped
    }

    /// Puts a batch of ids into the table, with a breath before each, and makes them durable. Not
    /// as one batch of the store, which would hold the writer up for its whole length.
    ///
    /// # Errors
    /// [`JournalError`] where the log cannot be read or the disk refuses: nothing is taken for
    /// durable then, and the same batch comes again.
    fn step(&mut self, mut breathe: impl FnMut()) -> Result<Progress, JournalError> {
        let end = self.log.len().min(self.next.saturating_add(self.batch_max));
        if end <= self.next {
            return Ok(Progress::All);
        }
        #[cfg(test)]
        self.faults.index()?;
        self.read(self.next..end, |id, number| {
            breathe();
            Ok(self.table.put(id.as_bytes(), &number.to_be_bytes())?)
        })?;
        // Where the last batch ended, which is durable: of this one a crash may keep the cursor and
        // lose ids.
        self.cursor.put(REACH, &self.next.to_be_bytes())?;
        // Durable in the log already.
        self.cursor.put(SEEN, &end.to_be_bytes())?;
        self.store.flush()?;
        self.next = end;
        self.indexed.store(end, Ordering::Release);
        Ok(match self.behind() >= self.batch_max {
            true => Progress::More,
            false => Progress::All,
        })
    }

    /// Tells the ids of durable entries and their numbers, in order.
    fn read(
        &self,
        numbers: Range<u64>,
        mut each: impl FnMut(&str, u64) -> Result<(), JournalError>,
    ) -> Result<(), JournalError> {
        let (mut ahead, end) = (Ahead::default(), numbers.end);
        for sequence in numbers {
            let value = ahead.take(sequence, end, &self.log)?;
            let value = value.ok_or(JournalError::Missing { sequence })?;
            each(txn_id_of(sequence, &value)?, sequence)?;
        }
        Ok(())
    }
}

/// Puts ids into the table until the journal is dropped. What the disk refuses is tried again.
fn run(indexer: &Mutex<Indexer>, pause: Duration, left: &Receiver<()>) {
    let (mut wait, mut breather) = (pause, Breather::default());
    loop {
        match left.recv_timeout(wait) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
        }
        let mut indexer = lock(indexer);
        // A writer whose memory is full would wait for it.
        let is_near = indexer.behind() < NEAR;
        let advanced = indexer.advance(|| {
            if is_near {
                breather.breathe();
            }
        });
        drop(indexer);
        wait = match advanced {
            Ok(Progress::More) => Duration::ZERO,
            Ok(Progress::All) | Err(_) => {
                breather.rested();
                pause
            }
        };
    }
}

/// A step that panicked has put ids that are put again.
fn lock(indexer: &Mutex<Indexer>) -> MutexGuard<'_, Indexer> {
    indexer.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says that the table has the ids of all entries below a number; durable after the next flush.
pub(super) fn note_reach(store: &Store, entries: u64) -> Result<(), JournalError> {
    Ok(store.table(CURSOR)?.put(REACH, &entries.to_be_bytes())?)
}

/// From so many ids on, a quarter of what memory holds, they are written without a rest.
const NEAR: u64 = 16_384;

/// Ids that one append forgets at most, so that none takes long; more than it adds.
const FORGOTTEN_AT_ONCE: usize = 16;

pub(super) const TABLE: &str = "journal/ids";

pub(super) const CURSOR: &str = "journal/cursor";
/// The ids of all entries below are in the table.
const REACH: &[u8] = b"ids";
/// The log had all entries below, durably, when the last batch was put: it must have them still. Of
/// what came since, a second's, the log's own index says so.
const SEEN: &[u8] = b"seen";

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::journal::Journal;
    use crate::journal::tests::{append, entry, tear};

    /// The thread has no part in it.
    const ALONE: Bounds = Bounds {
        recent_max: 8,
        batch_max: 4,
        pause: Duration::from_secs(3_600),
    };

    fn open(store: &Store) -> Journal {
        Journal::open_with(store, ALONE).unwrap()
    }

    fn names(numbers: Range<u64>) -> Vec<String> {
        numbers.map(|number| format!("t{number}")).collect()
    }

    fn reach(store: &Store) -> Option<u64> {
        let found = store.table(CURSOR).unwrap().get(REACH).unwrap();
        found.map(|found| sequence_of(&found).unwrap())
    }

    fn is_in_table(store: &Store, id: &str) -> bool {
        let table = store.table("journal/ids").unwrap();
        table.get(id.as_bytes()).unwrap().is_some()
    }

    // Planted fault: `Ids::open` that leaves the rest of the log out.
    #[test]
    fn an_id_that_the_table_lacks_is_found_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        append(&mut open(&store), &names(0..3));
        assert!(!is_in_table(&store, "t0"));
        let journal = open(&store);
        for id in names(0..3) {
            assert!(journal.find(&id).unwrap() == Some(entry(&id)), "{id}");
        }
        assert!(journal.find("t3").unwrap().is_none());
    }

    // The cursor never tells of the batch that it is written with: a crash may keep the one and
    // lose the other. Planted fault: `end` in its place.
    #[test]
    fn the_cursor_is_behind_what_is_durable() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let mut journal = open(&store);
        append(&mut journal, &names(0..6));
        let step = |journal: &Journal| lock(&journal.ids.indexer).step(|| ()).unwrap();
        assert_eq!(step(&journal), Progress::All);
        assert!(is_in_table(&store, "t3") && !is_in_table(&store, "t4"));
        assert_eq!(reach(&store), Some(0));
        assert_eq!(step(&journal), Progress::All);
        assert!(is_in_table(&store, "t5"));
        assert_eq!(reach(&store), Some(4));
        drop(journal);
        assert_eq!(open(&store).ids.order.len(), 2);
    }

    // What was flushed last is beyond the cursor's reach, and the log must have it all the same.
    // Planted fault: `Indexer::open` that looks at the cursor's reach alone.
    #[test]
    fn a_log_without_an_entry_whose_id_the_table_may_have_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let mut journal = open(&store);
        append(&mut journal, &names(0..2));
        append(&mut journal, &names(2..3));
        assert_eq!(
            lock(&journal.ids.indexer).step(|| ()).unwrap(),
            Progress::All
        );
        assert_eq!(reach(&store), Some(0));
        drop(journal);
        tear(folder.path());
        // The second time nothing is torn.
        for _ in 0..2 {
            let error = Journal::open(&store).unwrap_err().to_string();
            let expected = "found 2 journal entries, expected at least 3";
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_writer_that_is_too_far_ahead_does_the_work_itself_and_memory_has_a_bound() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let mut journal = open(&store);
        for id in names(0..50) {
            journal.append(&entry(&id)).unwrap();
            assert!(journal.ids.order.len() <= ALONE.recent_max);
            assert_eq!(journal.ids.order.len(), journal.ids.recent.len());
        }
        assert!(is_in_table(&store, "t41"));
        for id in names(0..50) {
            assert!(journal.find(&id).unwrap() == Some(entry(&id)), "{id}");
        }
    }

    #[test]
    fn refused_ids_stay_in_memory_and_a_journal_without_room_for_more_takes_no_payment() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let mut journal = open(&store);
        let faults = journal.faults();
        faults.ids.store(u32::MAX, Ordering::SeqCst);
        append(&mut journal, &names(0..8));
        // Full, and nobody has yet been refused.
        journal.check_room().unwrap();
        for _ in 0..2 {
            let refused = journal.append(&entry("t8"));
            assert!(matches!(refused, Err(JournalError::Disk(_))));
            let room = journal.check_room();
            assert!(matches!(room, Err(JournalError::Full { found: 8 })));
        }
        assert!(journal.find("t8").unwrap().is_none());
        assert_eq!(journal.len(), 8);
        for id in names(0..8) {
            assert!(journal.find(&id).unwrap() == Some(entry(&id)), "{id}");
        }
        faults.ids.store(0, Ordering::SeqCst);
        append(&mut journal, &names(8..9));
        journal.check_room().unwrap();
        assert!(is_in_table(&store, "t0"));
        drop(journal);
        let journal = open(&store);
        for id in names(0..9) {
            assert!(journal.find(&id).unwrap() == Some(entry(&id)), "{id}");
        }
    }

    #[test]
    fn the_thread_keeps_ids_and_tries_again_what_was_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let bounds = Bounds {
            pause: Duration::from_millis(1),
            ..Bounds::default()
        };
        let mut journal = Journal::open_with(&store, bounds).unwrap();
        journal.faults().ids.store(3, Ordering::SeqCst);
        append(&mut journal, &names(0..40));
        let patience = Instant::now() + Duration::from_secs(30);
        while journal.ids.indexed.load(Ordering::SeqCst) < 40 {
            assert!(Instant::now() < patience, "the thread does not come");
            thread::yield_now();
        }
        assert!(names(0..40).iter().all(|id| is_in_table(&store, id)));
        // Each append forgets more than it adds.
        append(&mut journal, &names(40..44));
        let oldest = journal.ids.order.front().map(|(_, number)| *number);
        assert!(oldest >= Some(40), "{oldest:?}");
        assert!(journal.find("t0").unwrap() == Some(entry("t0")));
    }

    #[test]
    fn tables_that_were_lost_are_made_again_and_a_log_that_was_lost_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        append(&mut open(&store), &names(0..30));
        store.table("journal/ids").unwrap().clear().unwrap();
        store.table(CURSOR).unwrap().clear().unwrap();
        let journal = open(&store);
        assert!(journal.ids.order.len() <= ALONE.recent_max);
        for id in names(0..30) {
            assert!(journal.find(&id).unwrap() == Some(entry(&id)), "{id}");
        }
        drop(journal);
        std::fs::remove_dir_all(folder.path().join("journal")).unwrap();
        let error = Journal::open(&store).unwrap_err().to_string();
        assert!(error.contains("found 0 journal entries"), "{error}");
    }
}
