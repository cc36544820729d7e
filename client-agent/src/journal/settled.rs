//! How much of a journal is durable, as its writer tells all who read along: two numbers of one
//! moment, which two atomics alone could not tell, so that no payment is within reach without the
//! labels that came before it. A count of the writer's turns says whether both are of one: odd
//! while they are written, and another one afterwards (a sequence lock; Boehm, "Can seqlocks get
//! along with programming language memory models?", 2012). The writer never waits, whoever reads;
//! a reader that comes between reads again.

use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::thread;

use super::Reach;

/// What both ends share.
#[derive(Debug, Default)]
pub(super) struct Settled {
    turns: AtomicU64,
    entries: AtomicU64,
    labels: AtomicU64,
}

impl Settled {
    /// Tells how far may be read. There is one writer: the journal, which has nobody else write.
    pub(super) fn tell(&self, reach: Reach) {
        let turns = self.turns.load(Ordering::Relaxed);
        self.turns.store(turns + 1, Ordering::Relaxed);
        // Nobody sees one of the numbers without the odd turn.
        fence(Ordering::Release);
        self.entries.store(reach.entries, Ordering::Relaxed);
        self.labels.store(reach.labels, Ordering::Relaxed);
        self.turns.store(turns + 2, Ordering::Release);
    }

    /// What was told last.
    pub(super) fn reach(&self) -> Reach {
        loop {
            let before = self.turns.load(Ordering::Acquire);
            let reach = Reach {
                entries: self.entries.load(Ordering::Relaxed),
                labels: self.labels.load(Ordering::Relaxed),
            };
            // Who has seen a number of a later turn sees that turn too.
            fence(Ordering::Acquire);
            if before.is_multiple_of(2) && self.turns.load(Ordering::Relaxed) == before {
                return reach;
            }
            // The writer was taken off its core in the middle: it may need this one.
            thread::yield_now();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    /// Labels are three times the entries, whoever looks and when. Planted faults: no odd turn; a
    /// reader that does not look again.
    #[test]
    fn both_numbers_are_of_one_moment_while_they_are_told() {
        let (settled, is_over) = (Settled::default(), AtomicBool::new(false));
        let seen = AtomicU64::new(0);
        let read = || {
            let mut last = 0;
            while !is_over.load(Ordering::Relaxed) {
                let Reach { entries, labels } = settled.reach();
                assert_eq!(labels, 3 * entries);
                assert!(entries >= last, "{entries} after {last}");
                seen.fetch_add(u64::from(entries > last), Ordering::Relaxed);
                last = entries;
            }
        };
        thread::scope(|scope| {
            let readers = [scope.spawn(read), scope.spawn(read), scope.spawn(read)];
            let mut entries = 0;
            let are_well = || !readers.iter().any(|reader| reader.is_finished());
            // However late the readers come.
            while are_well() && (entries < 2_000_000 || seen.load(Ordering::Relaxed) < 1_000) {
                entries += 1;
                let labels = 3 * entries;
                settled.tell(Reach { entries, labels });
            }
            is_over.store(true, Ordering::Relaxed);
            for reader in readers {
                reader.join().unwrap();
            }
            assert_eq!(settled.reach().entries, entries);
        });
    }
}
