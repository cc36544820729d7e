//! How learning stands back where payments come in: for each that was answered while it worked, its
//! thread rests. To go second is not enough: on a machine of few cores whoever answers waits for
//! what a step has put out of the caches, and for the core that it shares. As niceness is, this is
//! of the thread: whoever has none of it never rests.

use std::cell::RefCell;
use std::num::NonZero;
use std::thread;
use std::time::{Duration, Instant};

use model::Progress;

use crate::journal::Follower;

/// Manners of a thread.
struct Courtesy {
    journal: Follower,
    /// Payments answered when it last began to work.
    seen: u64,
    /// Rest for each answered since.
    each: Duration,
    rested: Duration,
}

thread_local! {
    static OWN: RefCell<Option<Courtesy>> = const { RefCell::new(None) };
}

/// From here on this thread stands back behind the payments that this journal takes in.
pub fn begin(journal: Follower) {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let courtesy = Courtesy {
        seen: journal.reach().entries,
        journal,
        each: EACH.div_f64(cores as f64),
        rested: Duration::ZERO,
    };
    OWN.replace(Some(courtesy));
}

/// Rests for what was answered since the last time. To be called between pieces of work.
pub fn stand_back() {
    OWN.with_borrow_mut(|own| {
        if let Some(courtesy) = own {
            courtesy.stand_back();
        }
    });
}

/// How long this thread has rested so far.
fn rested() -> Duration {
    OWN.with_borrow(|own| own.as_ref().map_or(Duration::ZERO, |own| own.rested))
}

/// A stretch of this thread's work, from its beginning on.
#[derive(Clone, Copy, Debug)]
pub struct Stretch {
    began: Instant,
    rested: Duration,
}

impl Stretch {
    /// Begins now.
    #[must_use]
    pub fn begin() -> Self {
        Self {
            began: Instant::now(),
            rested: rested(),
        }
    }

    /// Seconds that it has taken so far, rests included.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// Seconds of these in which the thread stood back.
    #[must_use]
    pub fn rested_seconds(&self) -> f64 {
        (rested() - self.rested).as_secs_f64()
    }
}

impl Courtesy {
    fn stand_back(&mut self) {
        let answered = self.journal.reach().entries.saturating_sub(self.seen);
        if answered == 0 {
            return;
        }
        let rest = rest(answered, self.each);
        thread::sleep(rest);
        self.rested += rest;
        // Those that it did not disturb.
        self.seen = self.journal.reach().entries;
    }
}

fn rest(answered: u64, each: Duration) -> Duration {
    let answered = u32::try_from(answered).unwrap_or(u32::MAX);
    each.saturating_mul(answered).min(REST_MAX)
}

/// What is told of each step, after which the thread stands back.
#[derive(Debug)]
pub struct Courteous<P>(pub P);

impl<P: Progress> Progress for Courteous<P> {
    fn step(&mut self, done: u32, of: u32, loss: f32, note: &str) {
        self.0.step(done, of, loss, note);
        stand_back();
    }
}

/// Rest for each payment on a machine of one core: with two, at a thousand a second, half of the
/// time.
const EACH: Duration = Duration::from_millis(2);

/// The longest rest: however many were answered, or counted while it waited for work, learning goes
/// on.
const REST_MAX: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use host::disk::Store;

    use super::*;
    use crate::history::tests::sample;
    use crate::journal::Journal;
    use crate::journal::tests::entry;

    fn own_rest(payments: u32) -> Duration {
        let each = OWN.with_borrow(|own| own.as_ref().unwrap().each);
        payments * each
    }

    // Planted faults: what was answered once is rested for again; it rests on a thread that never
    // began; not while the past is read.
    #[test]
    fn a_thread_rests_for_what_was_answered_while_it_worked() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(&Store::open(folder.path()).unwrap()).unwrap();
        let mut answer = |txn_id: &str| {
            journal.append(&entry(txn_id)).unwrap();
            journal.settle().unwrap();
            journal.follow()
        };
        begin(answer("before"));
        stand_back();
        assert_eq!(rested(), Duration::ZERO);
        answer("one");
        answer("two");
        let other = thread::spawn(|| {
            stand_back();
            rested()
        });
        assert_eq!(other.join().unwrap(), Duration::ZERO);
        stand_back();
        stand_back();
        assert_eq!(rested(), own_rest(2));
        let stretch = Stretch::begin();
        answer("three");
        sample(2, 2).replay(|_, _| ()).unwrap();
        assert_eq!(rested(), own_rest(3));
        assert_eq!(stretch.rested_seconds(), own_rest(1).as_secs_f64());
        assert!(stretch.seconds() >= stretch.rested_seconds());
    }

    #[test]
    fn a_rest_goes_with_the_payments_and_ends() {
        assert_eq!(rest(3, EACH), 3 * EACH);
        assert_eq!(rest(u64::from(u32::MAX) + 1, EACH), REST_MAX);
        assert_eq!(rest(1_000_000_000, EACH), REST_MAX);
    }
}
