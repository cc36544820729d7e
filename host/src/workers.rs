//! Threads for a party's heavy arithmetic, which starts none itself, and for work that others must
//! not wait for.

use std::num::NonZero;
use std::thread::JoinHandle;

use crypto::mask::{Job, Workers};

/// One worker for each core of this machine.
#[must_use]
pub fn all_cores() -> Workers {
    Workers {
        count: std::thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN),
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
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
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

/// The last job is the caller's own.
fn side_by_side(mut jobs: Vec<Job<'_>>) {
    let own = jobs.pop();
    std::thread::scope(|scope| {
        for job in jobs {
            scope.spawn(job);
        }
        if let Some(own) = own {
            own();
        }
    });
}

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
        let thread = behind("a test", move || (nice(), std::thread::spawn(nice).join()));
        let (own, child) = thread.unwrap().join().unwrap();
        assert_eq!((own, child.unwrap()), (before.max(NICE), before.max(NICE)));
        assert_eq!(nice(), before);
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
