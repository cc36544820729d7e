//! Threads for a party's heavy arithmetic, which starts none itself.

use std::num::NonZero;

use crypto::mask::{Job, Workers};

/// One worker for each core of this machine.
#[must_use]
pub fn all_cores() -> Workers {
    Workers {
        count: std::thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN),
        run: side_by_side,
    }
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

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
