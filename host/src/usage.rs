//! What a process has taken of the machine, as Linux tells it, and what it may take.

use std::num::NonZeroUsize;
use std::thread;

/// Peak memory and processor time of a process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Largest resident size, in 10^6 bytes.
    pub peak_memory_mb: f64,
    /// Processor time of all threads.
    pub cpu_seconds: f64,
}

impl Usage {
    /// Of the process with this number so far; zero where the system does not say.
    #[must_use]
    pub fn of(process: u32) -> Self {
        let file = |name| std::fs::read_to_string(format!("/proc/{process}/{name}"));
        let (status, stat) = (file("status").ok(), file("stat").ok());
        Self {
            peak_memory_mb: status.and_then(|text| peak_memory_mb(&text)).unwrap_or(0.0),
            cpu_seconds: stat.and_then(|text| cpu_seconds(&text)).unwrap_or(0.0),
        }
    }
}

/// Cores this process may use; one where the system does not say.
#[must_use]
pub fn cores() -> NonZeroUsize {
    thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// `VmHWM` of /proc/PID/status, which is in KiB.
fn peak_memory_mb(status: &str) -> Option<f64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1_024.0 / 1e6)
}

/// `utime` and `stime` of /proc/PID/stat, the 14th and 15th field; the second is a name in brackets
/// that may hold anything. On Linux a tick is a hundredth of a second.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_read_as_linux_writes_it() {
        assert_eq!(peak_memory_mb("Name:\tx\nVmHWM:\t  1000 kB\n"), Some(1.024));
        let stat = "7 (odd ) name) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 1 0 9";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!((peak_memory_mb("x"), cpu_seconds("x")), (None, None));
        assert!(Usage::of(std::process::id()).peak_memory_mb > 1.0);
    }
}
