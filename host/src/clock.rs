//! The wall clock, made monotone: read once at the start, then carried on by the machine's
//! uptime, so that a stepped clock neither repeats nor skips a deadline.

use std::time::{Instant, SystemTime};

use protocol::time::{Duration, Time};

/// The only place that asks what time it is.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    wall: Time,
    since: Instant,
}

impl Clock {
    /// Reads the wall clock once.
    #[must_use]
    pub fn start() -> Self {
        let wall = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |span| {
                u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
            });
        Self {
            wall: Time(wall),
            since: Instant::now(),
        }
    }

    /// The present moment; never earlier than one it gave before.
    #[must_use]
    pub fn now(&self) -> Time {
        let passed = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.wall.after(Duration(passed))
    }

    /// The moment on tokio's clock when `at` will have come.
    #[must_use]
    pub fn instant(&self, at: Time) -> tokio::time::Instant {
        let ahead = at.since(self.wall);
        // A deadline a year ahead is as good as none, and cannot overflow the timer.
        let ahead = ahead.0.min(365 * 86_400_000);
        tokio::time::Instant::from_std(self.since + std::time::Duration::from_millis(ahead))
    }
}
