//! Flushes behind the answers, for a bank that has decisions told once they are written: a thread
//! that makes durable whatever is written by then, again and again, so that neither the worker nor
//! who waits for an answer waits for the disk. What may be lost of it, and where that is said, is
//! in docs/faults.md.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use host::disk::{Flushed, Flushing};

use super::JournalError;
#[cfg(test)]
use super::faults::Faults;

/// The thread, as the journal's writer has it. Dropping it ends the thread.
#[derive(Debug)]
pub(super) struct Behind {
    shared: Arc<Shared>,
    /// `None` only while ending.
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    desk: Mutex<Desk>,
    changed: Condvar,
}

/// What lies between the two.
#[derive(Debug, Default)]
struct Desk {
    /// Everything that is written, where that is more than was last taken.
    order: Option<Flushing>,
    /// How the last flush ended, until the writer has heard it.
    done: Option<Flushed>,
    is_over: bool,
}

impl Behind {
    /// # Errors
    /// [`JournalError::Thread`] where no thread can be had.
    pub(super) fn start(#[cfg(test)] faults: Faults) -> Result<Self, JournalError> {
        let shared = Arc::<Shared>::default();
        let desk = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("flush".to_owned())
            .spawn(move || {
                run(&desk, |flushing| {
                    #[cfg(test)]
                    faults.wait();
                    flushing.run()
                });
            })
            .map_err(JournalError::Thread)?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Orders a flush, in place of one that was not begun: it would come to less.
    pub(super) fn order(&self, flushing: Option<Flushing>) {
        self.shared.lock().order = flushing;
        self.shared.changed.notify_all();
    }

    /// How a flush ended, of which the writer has not heard.
    pub(super) fn heard(&self) -> Option<Flushed> {
        self.shared.lock().done.take()
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        self.shared.lock().is_over = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so itself.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Flushes until the journal is dropped.
fn run(shared: &Shared, flush: impl Fn(Flushing) -> Flushed) {
    loop {
        let desk = shared.lock();
        let is_idle = |desk: &mut Desk| !desk.is_over && desk.order.is_none();
        let waited = shared.changed.wait_while(desk, is_idle);
        let mut desk = waited.unwrap_or_else(PoisonError::into_inner);
        if desk.is_over {
            return;
        }
        let began = Instant::now();
        let order = desk.order.take();
        drop(desk);
        let flushed = order.map(&flush);
        let mut desk = shared.lock();
        // A later flush that went well does not make up for one that was refused.
        if desk.done.as_ref().is_none_or(Flushed::is_ok) {
            desk.done = flushed;
        }
        let rest = FLUSH_EVERY.saturating_sub(began.elapsed());
        let is_on = |desk: &mut Desk| !desk.is_over;
        drop(shared.changed.wait_timeout_while(desk, rest, is_on));
    }
}

/// From the beginning of one flush to that of the next, unless the disk takes longer: what the end
/// of the machine may take along is what was told in that time and while a flush lasts. A flush
/// costs the processor a tenth of a millisecond.
pub(super) const FLUSH_EVERY: Duration = Duration::from_millis(5);
