//! The wall clock, made monotone: read once at the start, then carried on by the machine's
//! uptime, so that a stepped clock neither repeats nor skips a deadline. How far the two have gone
//! apart since is told to whoever asks.

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
        Self::starting_at(wall())
    }

    /// The same on a machine whose wall clock says `wall`: what a start finds after a step.
    #[must_use]
    pub fn starting_at(wall: Time) -> Self {
        Self {
            wall,
            since: Instant::now(),
        }
    }

    /// The present moment; never earlier than one it gave before.
    #[must_use]
    pub fn now(&self) -> Time {
        let passed = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.wall.after(Duration(passed))
    }

    /// How far the machine's wall clock is ahead of this one, in milliseconds; below zero where it
    /// is behind. It was stepped since the start, or the machine slept.
    #[must_use]
    pub fn stepped_ms(&self) -> i64 {
        let ms = |time: Time| i64::try_from(time.0).unwrap_or(i64::MAX);
        ms(wall()).saturating_sub(ms(self.now()))
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

fn wall() -> Time {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Time(since.map_or(0, |span| {
        u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: u64 = 3_600_000;

    // A minute is more than any test waits.
    #[test]
    fn a_step_of_the_wall_clock_is_told_and_not_followed() {
        assert!(Clock::start().stepped_ms().abs() < 60_000);
        let real = wall().0;
        for (started, expected) in [
            (real - HOUR_MS, 3_600_000_i64),
            (real + HOUR_MS, -3_600_000),
        ] {
            let clock = Clock::starting_at(Time(started));
            assert!((clock.stepped_ms() - expected).abs() < 60_000, "{expected}");
            assert!((started..started + 60_000).contains(&clock.now().0));
        }
        assert_eq!(Clock::starting_at(Time(u64::MAX)).now(), Time(u64::MAX));
    }
}
