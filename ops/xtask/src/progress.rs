//! How far a download is: the size of a folder, watched while a child process fills it.
//!
//! One line that is written over on a terminal, a line every few seconds elsewhere.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::{Child, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

/// Waits for `child`, telling how many of `total` bytes lie under `folder`.
///
/// # Errors
///
/// When the child cannot be waited for.
pub(crate) fn watch(
    child: &mut Child,
    folder: &Path,
    total: Option<u64>,
) -> io::Result<ExitStatus> {
    let terminal = io::stderr().is_terminal();
    let pause = if terminal { ON_TERMINAL } else { ELSEWHERE };
    let mut told = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            if terminal {
                eprint!("\r\x1b[K");
            }
            return Ok(status);
        }
        if told.elapsed() >= pause {
            told = Instant::now();
            let line = so_far(bytes_under(folder), total);
            if terminal {
                eprint!("\r\x1b[K{line}");
                io::stderr().flush()?;
            } else {
                eprintln!("{line}");
            }
        }
        thread::sleep(LOOK);
    }
}

fn so_far(bytes: u64, total: Option<u64>) -> String {
    match total {
        Some(total) if total > 0 => format!(
            "setup: downloading, {} of {} MB ({} %)",
            bytes.min(total) / MEGABYTE,
            total / MEGABYTE,
            bytes.min(total) * 100 / total
        ),
        _ => format!("setup: downloading, {} MB", bytes / MEGABYTE),
    }
}

/// Files may come and go while they are counted; those count as nothing.
fn bytes_under(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(found) if found.is_dir() => bytes_under(&entry.path()),
            Ok(found) => found.len(),
            Err(_) => 0,
        })
        .sum()
}

const MEGABYTE: u64 = 1_000_000;
const LOOK: Duration = Duration::from_millis(100);
const ON_TERMINAL: Duration = Duration::from_millis(300);
const ELSEWHERE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_a_share_where_the_whole_is_known() {
        let half = so_far(272_000_000, Some(544_000_000));
        assert_eq!(half, "setup: downloading, 272 of 544 MB (50 %)");
        assert_eq!(
            so_far(600_000_000, Some(544_000_000)),
            so_far(544_000_000, Some(544_000_000))
        );
        assert_eq!(so_far(3_000_000, None), "setup: downloading, 3 MB");
    }
}
