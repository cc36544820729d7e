//! `X-Deadline-Ms`: what a request's head says of by when its answer is wanted. Apart from
//! `times.rs`, which what parses a body needs and where no header is known.

use std::time::{Duration, Instant};

use axum::http::HeaderMap;

use super::problem::{Problem, ProblemType};
use super::times::{Asked, Times};

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

/// What clients are told of it.
pub(super) const MEANING: &str = "Milliseconds from the request's head to its answer; without it \
    as the bank configured, if at all. Whose turn comes later is answered at once without a model, \
    remembered and journaled: `mode` `fallback`, `degraded` `deadline`. Whose turn has not come \
    100 ms after it: `deadline_missed`. What is decided is answered, however long the disk takes.";

/// Beyond ten seconds nobody waits for a payment.
pub(crate) const DEADLINE_MS_MAX: u16 = 10_000;

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;
    use crate::scoring::times::GRACE;

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
