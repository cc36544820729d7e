//! The last decisions as the worker has them, for who reads along: nobody decodes from disk what
//! was encoded a moment ago. Only what is durable is told. The writer never waits here: where a
//! reader is at the ring, what is to be told goes with the next batch, and a reader that does not
//! find a decision reads it from disk, which holds everything.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};

use super::told::Told;

/// The writer's end.
#[derive(Debug, Default)]
pub(super) struct Lately {
    ring: Ring,
    /// Journaled, and not yet told: perhaps not yet durable.
    waiting: VecDeque<Arc<Told>>,
}

/// A reader's end.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    ring: Ring,
    /// Taken from the ring and not yet read, so that the lock is taken once for many.
    taken: VecDeque<Arc<Told>>,
    /// Decisions before this number had left the ring at the last look, and do not come back: who
    /// is as far behind reads from disk and looks no more.
    gone: u64,
}

/// The last decisions that are durable, gapless by number. A lock instead of a queue for each
/// reader: readers come late, go back and are copied, and the writer does not know them.
#[derive(Clone, Debug, Default)]
struct Ring(Arc<Mutex<VecDeque<Arc<Told>>>>);

impl Lately {
    /// Somebody who is told what is published.
    pub(super) fn heard(&self) -> Heard {
        Heard {
            ring: self.ring.clone(),
            taken: VecDeque::new(),
            gone: 0,
        }
    }

    /// Keeps a decision until it is durable.
    pub(super) fn hold(&mut self, told: Told) {
        // A number that comes again was lost before it was durable.
        let is_lost = |last: &Arc<Told>| last.sequence >= told.sequence;
        while self.waiting.back().is_some_and(is_lost) {
            self.waiting.pop_back();
        }
        if self.waiting.len() >= DECISIONS_MAX {
            self.waiting.pop_front();
        }
        self.waiting.push_back(Arc::new(told));
    }

    /// Tells what was kept of the decisions before number `durable`, which they have become. Where
    /// a reader is at the ring it is told with what comes next.
    pub(super) fn publish(&mut self, durable: u64) {
        let ready = self.waiting.partition_point(|told| told.sequence < durable);
        if ready == 0 {
            return;
        }
        let mut ring = match self.ring.0.try_lock() {
            Ok(ring) => ring,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        let mut gone = Vec::new();
        for told in self.waiting.drain(..ready) {
            let is_apart = |last: &Arc<Told>| last.sequence + 1 != told.sequence;
            if ring.back().is_some_and(is_apart) {
                gone.extend(ring.drain(..));
            }
            ring.push_back(told);
            if ring.len() > DECISIONS_MAX {
                gone.extend(ring.pop_front());
            }
        }
        // Freeing payments takes as long as all of the above: not while a reader waits.
        drop(ring);
        drop(gone);
    }
}

impl Heard {
    /// The decision with a number, where it is one of the last that were told. Meant for numbers
    /// that follow on each other; any are right.
    pub(super) fn take(&mut self, sequence: u64) -> Option<Arc<Told>> {
        let is_other = |told: &Arc<Told>| told.sequence != sequence;
        if self.taken.front().is_none_or(is_other) {
            if sequence < self.gone {
                return None;
            }
            (self.taken, self.gone) = self.ring.stretch(sequence);
        }
        self.taken.pop_front()
    }
}

impl Ring {
    /// The decisions from a number on, as many as one look is worth; none where that number is not
    /// among the last. And the number of the first of these, which only grows.
    fn stretch(&self, sequence: u64) -> (VecDeque<Arc<Told>>, u64) {
        let ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let first = ring.front().map(|told| told.sequence);
        let nth = first.and_then(|first| sequence.checked_sub(first));
        let nth = nth.and_then(|nth| usize::try_from(nth).ok());
        let from = nth.map_or(ring.len(), |nth| nth.min(ring.len()));
        let until = ring.len().min(from + STRETCH);
        let stretch = ring.range(from..until).cloned().collect();
        (stretch, first.unwrap_or(0))
    }
}

/// Decisions kept: those of the last second of a bank that has four thousand. One takes some
/// 3 KiB, 12 MiB together; with every field, full extras and six reasons 16 KiB, 64 MiB together.
const DECISIONS_MAX: usize = 4_096;

/// Decisions that a reader takes at one look: the lock is held for a microsecond or two.
const STRETCH: usize = 64;

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::{Duration, Instant};

    use serde_json::json;

    use super::*;
    use crate::journal::Entry;

    fn told(sequence: u64) -> Told {
        let payment = json!({
            "txn_id": format!("t{sequence}"), "ts": 1, "rail": "card", "amount_minor": 1,
            "currency": "EUR", "account_tok": "a",
        });
        let entry = Entry {
            txn_id: format!("t{sequence}"),
            digest: [0; 32],
            transaction: payment.to_string(),
            answer: "{}".to_owned(),
            vector: Vec::new(),
        };
        Told::of_entry(sequence, entry).unwrap()
    }

    /// Numbers that a reader finds from one on.
    fn found(heard: &mut Heard, from: u64) -> Vec<u64> {
        let all = (from..).map_while(|sequence| heard.take(sequence));
        all.map(|told| told.sequence).collect()
    }

    #[test]
    fn what_was_published_is_told_in_order_to_each_reader_from_wherever_it_is() {
        let mut lately = Lately::default();
        let (mut one, mut other) = (lately.heard(), lately.heard());
        (10..300).for_each(|sequence| lately.hold(told(sequence)));
        assert!(one.take(10).is_none());
        lately.publish(u64::MAX);
        assert_eq!(found(&mut one, 10), (10..300).collect::<Vec<_>>());
        assert_eq!(found(&mut other, 200), (200..300).collect::<Vec<_>>());
        for missing in [0, 9, 300, u64::MAX] {
            assert!(other.take(missing).is_none(), "{missing}");
        }
        // It may go back, also within what it has taken and not read.
        for sequence in [12, 13, 11, 40, 12] {
            assert_eq!(one.take(sequence).unwrap().sequence, sequence);
        }
        // Each is told the same one, not a copy.
        let (here, there) = (one.take(77).unwrap(), other.take(77).unwrap());
        assert!(Arc::ptr_eq(&here, &there));
    }

    #[test]
    fn the_oldest_go_and_what_is_kept_has_a_bound() {
        let most = DECISIONS_MAX as u64;
        let mut lately = Lately::default();
        (0..most).for_each(|sequence| lately.hold(told(sequence)));
        lately.publish(u64::MAX);
        lately.hold(told(most));
        lately.publish(u64::MAX);
        let mut heard = lately.heard();
        assert!(heard.take(0).is_none());
        assert_eq!(found(&mut heard, 1).len(), DECISIONS_MAX);
        // What waits for a disk is bounded too, and its oldest go.
        (most + 1..=3 * most).for_each(|sequence| lately.hold(told(sequence)));
        assert_eq!(lately.waiting.len(), DECISIONS_MAX);
        lately.publish(u64::MAX);
        // A gap ends what can be told: the disk has the rest.
        assert!(heard.take(most).is_none());
        assert_eq!(found(&mut heard, 2 * most + 1).len(), DECISIONS_MAX);
    }

    #[test]
    fn the_writer_does_not_wait_for_a_reader() {
        let mut lately = Lately::default();
        let mut heard = lately.heard();
        lately.hold(told(0));
        {
            let _reader = heard.ring.0.lock().unwrap();
            lately.publish(u64::MAX);
        }
        assert!(heard.take(0).is_none());
        lately.hold(told(1));
        lately.publish(u64::MAX);
        assert_eq!(found(&mut heard, 0), [0, 1]);
    }

    // It reads a million from disk, and the writer wants the ring meanwhile. Planted fault: no note
    // of what is gone.
    #[test]
    fn a_reader_that_is_behind_the_ring_looks_at_it_once() {
        let mut lately = Lately::default();
        (500..600).for_each(|sequence| lately.hold(told(sequence)));
        lately.publish(u64::MAX);
        let mut heard = lately.heard();
        assert!(heard.take(0).is_none());
        let mut behind = heard.clone();
        let held = heard.ring.0.lock().unwrap();
        let reader = thread::spawn(move || {
            assert!((1..500).all(|sequence| behind.take(sequence).is_none()));
            behind
        });
        let patience = Instant::now() + Duration::from_secs(30);
        while !reader.is_finished() {
            assert!(Instant::now() < patience, "it waits for the ring");
            thread::yield_now();
        }
        drop(held);
        let mut behind = reader.join().unwrap();
        assert_eq!(found(&mut behind, 500), (500..600).collect::<Vec<_>>());
    }

    #[test]
    fn a_number_that_comes_again_takes_the_place_of_the_one_that_was_lost() {
        let mut lately = Lately::default();
        (0..3).for_each(|sequence| lately.hold(told(sequence)));
        let payment = |told: &Told| told.payment.txn_id.clone();
        let mut other = told(1);
        "other".clone_into(&mut other.payment.txn_id);
        lately.hold(other);
        lately.publish(u64::MAX);
        let mut heard = lately.heard();
        assert_eq!(payment(&heard.take(0).unwrap()), "t0");
        assert_eq!(payment(&heard.take(1).unwrap()), "other");
        assert!(heard.take(2).is_none());
    }
}
