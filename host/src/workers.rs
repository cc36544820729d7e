//! Threads for a party's heavy arithmetic, which starts none itself, and for work that others must
//! not wait for.

use std::num::NonZero;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crypto::mask::{Job, Workers};

mod idle;

pub use idle::only_idle;

/// One worker for each core of this machine.
#[must_use]
pub fn all_cores() -> Workers {
    Workers {
        count: thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN),
        run: side_by_side,
    }
}

/// Starts a thread that stands behind all others: where the machine is full, whoever answers a
/// payment goes first.
///
/// # Errors
/// Where no thread can be started.
pub fn behind<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> std::io::Result<JoinHandle<T>> {
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        go_behind();
        work()
    })
}

/// Has this thread, and what it starts from here on, stand behind all others. There is no way back.
/// Where the system does not allow it, the thread runs like any other.
pub fn go_behind() {
    // Of nobody, so of the thread that asks. Whoever is further behind already stays there: only a
    // privileged process could come forward.
    let set = rustix::process::getpriority_process(None)
        .and_then(|nice| rustix::process::setpriority_process(None, nice.max(NICE)));
    if let Err(error) = set {
        tracing::debug!(%error, "a thread in the background runs like any other");
    }
}

/// Leaves a core in time to whoever wakes up meanwhile, for work that comes in stretches of
/// milliseconds and that nobody waits for. Standing behind is not enough for that: Linux (EEVDF)
/// lets whoever runs finish a slice of some 3 ms, however far behind it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Breather {
    /// When its work began: at the first look after a rest.
    begun: Option<Instant>,
}

impl Breather {
    /// Rests where this thread has worked for longer than it may since it last did. To be called
    /// between pieces of work of some microseconds each.
    pub fn breathe(&mut self) {
        if self.is_due(Instant::now()) {
            thread::sleep(REST);
            self.rested();
        }
    }

    /// To be called where the thread has come to the end of its work and waits for more: what it
    /// waits is no work.
    pub fn rested(&mut self) {
        self.begun = None;
    }

    fn is_due(&mut self, now: Instant) -> bool {
        let begun = *self.begun.get_or_insert(now);
        now.duration_since(begun) >= WORK
    }
}

/// The last job is the caller's own.
fn side_by_side(mut jobs: Vec<Job<'_>>) {
    let own = jobs.pop();
    thread::scope(|scope| {
        for job in jobs {
            scope.spawn(job);
        }
        if let Some(own) = own {
            own();
        }
    });
}

/// Far below what a payment may wait, far above what a change of threads costs.
const WORK: Duration = Duration::from_micros(200);

/// Long enough that whoever waits for the core has it.
const REST: Duration = Duration::from_micros(50);

/// How far behind: a tenth of what another thread gets of a full core.
const NICE: i32 = 10;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn a_thread_behind_the_others_leaves_them_where_they_are() {
        let nice = || rustix::process::getpriority_process(None).unwrap();
        let before = nice();
        let thread = behind("a test", move || (nice(), thread::spawn(nice).join()));
        let (own, child) = thread.unwrap().join().unwrap();
        assert_eq!((own, child.unwrap()), (before.max(NICE), before.max(NICE)));
        assert_eq!(nice(), before);
    }

    // A busy machine makes a rest longer, and makes none of thirty looks in a row. Planted fault:
    // no rest.
    #[test]
    fn who_works_on_rests_now_and_then() {
        let mut breather = Breather::default();
        for rest in 0..30 {
            breather.breathe();
            let begun = Instant::now();
            while begun.elapsed() < WORK {
                std::hint::spin_loop();
            }
            let before = Instant::now();
            breather.breathe();
            assert!(before.elapsed() >= REST, "{rest}");
        }
    }

    // Planted faults: a wait that counts as work; a rest at each look.
    #[test]
    fn who_has_waited_works_as_long_as_ever_before_a_rest() {
        let mut breather = Breather::default();
        let begun = Instant::now();
        for (after, is_due) in [(0_u32, false), (1, false), (2, true)] {
            assert_eq!(breather.is_due(begun + after * WORK / 2), is_due);
        }
        breather.rested();
        for (after, is_due) in [(90_u32, false), (91, false), (92, true)] {
            assert_eq!(breather.is_due(begun + after * WORK / 2), is_due);
        }
    }

    #[test]
    fn all_jobs_are_done_before_it_returns() {
        for count in [0, 1, 7] {
            let done = AtomicUsize::new(0);
            let job = |_| -> Job<'_> {
                Box::new(|| {
                    done.fetch_add(1, Ordering::SeqCst);
                })
            };
            (all_cores().run)((0..count).map(job).collect());
            assert_eq!(done.load(Ordering::SeqCst), count);
        }
    }
}
