//! The operating system's idle class: a thread in it has a core while nobody else wants one. Those
//! who only go second are in `workers.rs`.

use std::io;

/// Leaves every core to others while they want it, for the thread that calls and what it starts
/// from here on: `SCHED_IDLE` of sched(7). Where the machine is always full, that is hardly ever.
///
/// # Errors
/// Where the system has no such class or refuses it; the thread runs as it did.
pub fn only_idle() -> io::Result<()> {
    enter()
}

#[cfg(target_os = "linux")]
fn enter() -> io::Result<()> {
    use thread_priority::{
        Error, NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
        set_thread_priority_and_policy, thread_native_id, thread_schedule_policy,
    };
    let refused = |error: Error| match error {
        Error::OS(code) => io::Error::from_raw_os_error(code),
        error @ (Error::Priority(_) | Error::PriorityNotInRange(_) | Error::Ffi(_)) => {
            io::Error::other(error)
        }
    };
    let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    let asked = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle);
    // Then it would take niceness back to 0, which only a privileged process may, and which means
    // nothing in this class: what the thread is of is the answer, not what the call says.
    let found = thread_schedule_policy().map_err(refused)?;
    if found == idle {
        return Ok(());
    }
    asked.map_err(refused)?;
    let told = format!("found {found:?}, expected {idle:?}");
    Err(io::Error::other(told))
}

#[cfg(not(target_os = "linux"))]
fn enter() -> io::Result<()> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::workers::behind;

    /// Of the thread that asks: field 41 of proc_pid_stat(5), the 39th after the name in brackets.
    fn class() -> u32 {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let (_, fields) = stat.rsplit_once(')').unwrap();
        fields.split_whitespace().nth(38).unwrap().parse().unwrap()
    }

    // As a thread of an agent asks, which stands behind already and may not come forward. Planted
    // faults: nothing asked for; the whole process asked for.
    #[test]
    fn who_asks_is_of_the_idle_class_with_what_it_starts_and_nobody_else() {
        let before = class();
        let thread = behind("a test", || {
            only_idle().unwrap();
            (class(), thread::spawn(class).join().unwrap())
        });
        assert_eq!(thread.unwrap().join().unwrap(), (SCHED_IDLE, SCHED_IDLE));
        let beside = behind("beside", class).unwrap().join().unwrap();
        assert_eq!((class(), beside), (before, before));
    }

    const SCHED_IDLE: u32 = 5;
}
