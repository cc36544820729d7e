//! Threads for a party's heavy arithmetic, which starts none itself, and for work that others must
//! not wait for.

use std::num::NonZero;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crypto::mask::{Job, Workers};

/// One worker for each core of this machine.
#[must_use]
pub fn all_cores() -> Workers {
    Workers {
        count: thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN),
        run: side_by_side,
    }
}

/// Starts a thread that stands behind all others: where the machine is full, whoever answers a
/// payment goes first. Where the system does not allow that, the thread runs like any other.
///
/// # Errors
/// Where no thread can be started.
pub fn behind<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> std::io::Result<JoinHandle<T>> {
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        // Of nobody, so of the thread that asks; what it starts inherits it. Whoever is further
        // behind already stays there: only a privileged process could come forward.
        let set = rustix::process::getpriority_process(None)
            .and_then(|nice| rustix::process::setpriority_process(None, nice.max(NICE)));
        if let Err(error) = set {
            tracing::debug!(%error, "a thread in the background runs like any other");
        }
        work()
    })
}

/// Leaves a core in time to whoever wakes up meanwhile, for work that comes in stretches of
/// milliseconds and that nobody waits for. Standing behind is not enough for that: Linux (EEVDF)
/// lets whoever runs finish a slice of some 3 ms, however far behind it stands.
#[derive(Clone, Copy, Debug, Default)]
pub struct Breather {
    /// When it rested last; never before the first look.
    rested: Option<Instant>,
}

impl Breather {
    /// Rests where this thread has worked for longer than it may since it last did. To be called
    /// between pieces of work of some microseconds each.
    pub fn breathe(&mut self) {
        let now = Instant::now();
        let rested = *self.rested.get_or_insert(now);
        if now.duration_since(rested) >= WORK {
            thread::sleep(REST);
            self.rested = Some(Instant::now());
        }
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

    // Of three hundredths of a second of work it rests a fifth and more. Planted fault: no rest.
    #[test]
    fn who_works_on_rests_now_and_then() {
        let begun = Instant::now();
        let mut breather = Breather::default();
        let (mut looks, mut rests) = (0, 0);
        while begun.elapsed() < 150 * WORK {
            let before = Instant::now();
            breather.breathe();
            looks += 1;
            rests += u32::from(before.elapsed() >= REST);
        }
        assert!((1..looks).contains(&rests), "{rests} of {looks}");
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
