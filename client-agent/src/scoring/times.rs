//! By when an answer is wanted, and about when a payment may be: what the bank configures for its
//! HTTP door, and what one request asks for; how it says so in its head is in `deadline.rs`. Who
//! carries it out is the worker.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use features::FeatureEncoder;

use super::problem::{Problem, ProblemType};

/// The bank's terms. By default nothing is too old and an answer comes when it is ready: so streams
/// and tools are served, whose order and haste are their own affair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// From the end of a request's head to its answer, where the request does not say.
    pub deadline: Option<Duration>,
    /// From there to the end of its body.
    pub body_max: Duration,
    /// How far a payment may lie ahead of this machine's clock.
    pub ahead_max: Duration,
    /// How far it may lie behind `behind`; nothing: as far as it likes.
    pub lateness_max: Option<Duration>,
    /// What its age is held against.
    pub behind: Behind,
}

/// What the age of a payment is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// The newest payment that was remembered. A history can be played in, and a journal read
    /// again, at any time.
    Newest,
    /// This machine's clock: also after a silence of days nothing old passes for new.
    Clock,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            deadline: None,
            body_max: Duration::from_secs(10),
            ahead_max: AHEAD_MAX,
            lateness_max: None,
            behind: Behind::Newest,
        }
    }
}

/// What is asked of one answer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asked {
    /// When it is wanted.
    pub(super) deadline: Option<Instant>,
    pub(super) times: Times,
}

impl Asked {
    /// Whether the answer is wanted before `now`.
    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// Until when whoever put the request into the queue at `now` waits for its turn.
    pub(super) fn patience(&self, now: Instant) -> Option<Instant> {
        self.deadline.map(|deadline| deadline.max(now) + GRACE)
    }

    /// Refuses a payment that is older than the bank still takes. `encoder` has not seen it yet.
    pub(super) fn refuse_stale(
        &self,
        now_ms: u64,
        ts: i64,
        encoder: &FeatureEncoder,
    ) -> Result<(), Problem> {
        let (newest, of) = match self.times.behind {
            Behind::Newest => (encoder.newest_ms(), "the newest payment"),
            Behind::Clock => (i64::try_from(now_ms).ok(), "this machine's clock"),
        };
        let Some((newest, most)) = newest.zip(self.times.lateness_max) else {
            return Ok(());
        };
        let behind_ms = newest.saturating_sub(ts);
        if !u128::try_from(behind_ms).is_ok_and(|behind| behind > most.as_millis()) {
            return Ok(());
        }
        let found = format!("a time {} s behind", behind_ms / 1_000);
        let expected = format!("at most {} s behind {of}", most.as_secs());
        Err(Problem::of_field(
            ProblemType::StaleEvent,
            "ts",
            &found,
            &expected,
        ))
    }
}

/// Whether the worker has come to a payment; clones are one. From then on the payment is decided,
/// and no more than one batch of them waits for the disk: who asked gets the answer, late or not.
#[derive(Clone, Default)]
pub(super) struct Turn(Arc<AtomicBool>);

impl Turn {
    pub(super) fn come(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(super) fn has_come(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The problem of a request whose turn did not come in time. What becomes of it in the queue,
/// nobody knows yet.
pub(super) fn missed() -> Problem {
    let detail = "found the payment still waiting for its turn after the deadline, expected a \
                  shorter queue; the same request again gets what became of it";
    Problem::new(ProblemType::DeadlineMissed, detail)
}

/// Clocks may differ by minutes; a time zone forgotten makes an hour.
pub(crate) const AHEAD_MAX: Duration = Duration::from_secs(5 * 60);

/// An answer without a model waits for one payment before it and one flush of the journal, which
/// take some milliseconds; whoever asked allows for the network as much.
pub(super) const GRACE: Duration = Duration::from_millis(100);
