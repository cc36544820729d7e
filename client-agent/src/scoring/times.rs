//! By when an answer is wanted, and about when a payment may be: what the bank configures for its
//! HTTP door, and what one request asks for in its head. Who carries it out is the worker.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
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

impl Times {
    /// What a request whose head was read at `arrived` asks for.
    pub(super) fn asked(self, arrived: Instant, headers: &HeaderMap) -> Result<Asked, Problem> {
        let told = match told_ms(headers)? {
            Some(ms) => Some(Duration::from_millis(u64::from(ms))),
            None => self.deadline,
        };
        Ok(Asked {
            deadline: told.map(|span| arrived + span),
            times: self,
        })
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

/// What the head says, once or not at all.
fn told_ms(headers: &HeaderMap) -> Result<Option<u16>, Problem> {
    let mut told = headers.get_all(DEADLINE).iter();
    let Some(value) = told.next() else {
        return Ok(None);
    };
    let wrong = |found: &str| {
        let expected = format!("a whole number of milliseconds from 1 to {DEADLINE_MS_MAX}");
        Problem::of_field(ProblemType::Schema, DEADLINE_SHOWN, found, &expected)
    };
    if told.next().is_some() {
        return Err(wrong("more than one"));
    }
    let text = value.to_str().map_err(|_| wrong("no plain text"))?;
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| is_plain);
    match number {
        Some(ms @ 1..=DEADLINE_MS_MAX) => Ok(Some(ms)),
        Some(_) | None => Err(wrong(text)),
    }
}

/// Names of headers are lower case here, and shown as people write them.
const DEADLINE: &str = "x-deadline-ms";
const DEADLINE_SHOWN: &str = "X-Deadline-Ms";

/// Beyond ten seconds nobody waits for a payment.
pub(crate) const DEADLINE_MS_MAX: u16 = 10_000;

/// Clocks may differ by minutes; a time zone forgotten makes an hour.
pub(crate) const AHEAD_MAX: Duration = Duration::from_secs(5 * 60);

/// An answer without a model waits for one payment before it and one flush of the journal, which
/// take some milliseconds; whoever asked allows for the network as much.
const GRACE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn head(values: &[&str]) -> HeaderMap {
        let name = HeaderName::from_static(DEADLINE);
        let values = values
            .iter()
            .map(|value| HeaderValue::from_str(value).unwrap());
        values.map(|value| (name.clone(), value)).collect()
    }

    #[test]
    fn a_deadline_counts_from_the_head() {
        let (now, ms) = (Instant::now(), Duration::from_millis);
        let times = Times::default();
        let asked = times.asked(now, &head(&["250"])).unwrap();
        assert_eq!(asked.deadline, Some(now + ms(250)));
        assert!(!asked.is_overdue(now + ms(249)) && asked.is_overdue(now + ms(250)));
        // Whoever waits, waits for the grace; also where the body came after the deadline.
        assert_eq!(asked.patience(now), Some(now + ms(250) + GRACE));
        assert_eq!(asked.patience(now + ms(900)), Some(now + ms(900) + GRACE));

        let asked = times.asked(now, &head(&[])).unwrap();
        assert_eq!((asked.deadline, asked.patience(now)), (None, None));
        let usual = Times {
            deadline: Some(ms(50)),
            ..times
        };
        assert_eq!(
            usual.asked(now, &head(&[])).unwrap().deadline,
            Some(now + ms(50))
        );
        assert_eq!(
            usual.asked(now, &head(&["10000"])).unwrap().deadline,
            Some(now + ms(10_000))
        );
    }

    #[test]
    fn a_deadline_in_another_form_is_refused_by_its_name() {
        for values in [
            &["0"][..],
            &["10001"],
            &["70000"],
            &["-1"],
            &["+5"],
            &["5.0"],
            &["5ms"],
            &[""],
            &["5", "5"],
        ] {
            let asked = Times::default().asked(Instant::now(), &head(values));
            let problem = asked.err().unwrap();
            assert_eq!(problem.kind, ProblemType::Schema, "{values:?}");
            assert_eq!(problem.field.as_deref(), Some(DEADLINE_SHOWN));
        }
    }
}
