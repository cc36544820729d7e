//! Time in milliseconds. It only ever arrives as an argument: nothing in this crate asks a clock.

use serde::{Deserialize, Serialize};

/// A moment: milliseconds since the Unix epoch, by the host's monotone clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Time(pub u64);

/// A span of milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Duration(pub u64);

impl Time {
    /// This moment and `span` later, at most the end of time.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// The span from `earlier` to this moment, zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration(self.0.saturating_sub(earlier.0))
    }

    /// The UTC day this moment falls on: days since the Unix epoch.
    #[must_use]
    pub fn day(self) -> u64 {
        self.0 / 86_400_000
    }
}

impl Duration {
    /// So many seconds.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds * 1_000)
    }
}
