//! What is done with a message, by what the door said of it: a table without a world. Who does it
//! is `pump.rs`. No message is terminated: a refusal is acknowledged once the dead letters have it,
//! so that nothing ends without a trace.

use std::time::Duration;

use crate::scoring::{LabelAnswer, Problem, ProblemType, Written};

/// What is done with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It led to a decision: publish that, then acknowledge.
    Decided,
    /// Its labels are kept: acknowledge.
    Kept,
    /// No retry can mend it: tell the dead letters, then acknowledge.
    Refused,
    /// It may succeed later: to be delivered again after so long.
    GivenBack(Duration),
}

impl Verdict {
    /// Of a payment.
    pub(super) fn of_payment(outcome: &Result<Written, Problem>) -> Self {
        match outcome {
            Ok(_) => Self::Decided,
            Err(problem) => Self::of_problem(problem),
        }
    }

    /// Of a body of labels that was delivered for the `deliveries`th time. A label may overtake its
    /// payment on the way, so an unknown payment is waited for.
    pub(super) fn of_labels(outcome: &Result<Vec<LabelAnswer>, Problem>, deliveries: u32) -> Self {
        let answers = match outcome {
            Ok(answers) => answers,
            Err(problem) => return Self::of_problem(problem),
        };
        let problems = || answers.iter().filter_map(|answer| answer.problem.as_ref());
        if let Some(passing) = problems().find(|problem| problem.kind.is_passing()) {
            return Self::of_problem(passing);
        }
        let is_early = problems().any(|problem| problem.kind == ProblemType::UnknownTxn);
        if is_early && deliveries < LABEL_DELIVERIES_MAX {
            return Self::GivenBack(EARLY * 2_u32.saturating_pow(deliveries.saturating_sub(1)));
        }
        match problems().next() {
            Some(_) => Self::Refused,
            None => Self::Kept,
        }
    }

    fn of_problem(problem: &Problem) -> Self {
        match (problem.kind, problem.kind.is_passing()) {
            (ProblemType::Overloaded, _) => Self::GivenBack(BUSY),
            (_, true) => Self::GivenBack(AWAY),
            (_, false) => Self::Refused,
        }
    }
}

/// The queue is a fifth of a second long.
pub(super) const BUSY: Duration = Duration::from_secs(1);

/// A journal that cannot be written is mended by a person.
const AWAY: Duration = Duration::from_secs(5);

/// How long the payment of an early label is waited for at first; doubled for each further time.
const EARLY: Duration = Duration::from_secs(2);

/// After 2, 4, 8, 16 and 32 s the payment is not on its way.
const LABEL_DELIVERIES_MAX: u32 = 6;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scoring::LabelStatus;

    fn problem(kind: ProblemType) -> Problem {
        Problem {
            kind,
            title: "",
            status: if kind.is_passing() { 503 } else { 400 },
            detail: String::new(),
            field: None,
            found: None,
            expected: None,
        }
    }

    fn label(problem: Option<Problem>) -> LabelAnswer {
        LabelAnswer {
            label_id: None,
            status: match problem {
                Some(_) => LabelStatus::Refused,
                None => LabelStatus::Accepted,
            },
            problem,
        }
    }

    #[test]
    fn only_what_passes_is_delivered_again() {
        for kind in ProblemType::ALL {
            let verdict = Verdict::of_payment(&Err(problem(kind)));
            let expected = match (kind == ProblemType::Overloaded, kind.is_passing()) {
                (true, _) => Verdict::GivenBack(BUSY),
                (false, true) => Verdict::GivenBack(AWAY),
                (false, false) => Verdict::Refused,
            };
            assert_eq!(verdict, expected, "{kind:?}");
        }
    }

    #[test]
    fn labels_are_kept_refused_or_wait_for_their_payment() {
        let (good, bad) = (label(None), label(Some(problem(ProblemType::Schema))));
        let early = label(Some(problem(ProblemType::UnknownTxn)));
        let busy = label(Some(problem(ProblemType::Unavailable)));
        let of = |answers: &[&LabelAnswer], deliveries| {
            Verdict::of_labels(&Ok(answers.iter().copied().cloned().collect()), deliveries)
        };
        assert_eq!(of(&[&good, &good], 1), Verdict::Kept);
        assert_eq!(of(&[&good, &bad], 1), Verdict::Refused);
        assert_eq!(of(&[&early, &bad], 1), Verdict::GivenBack(EARLY));
        assert_eq!(of(&[&early], 3), Verdict::GivenBack(EARLY * 4));
        assert_eq!(of(&[&early], LABEL_DELIVERIES_MAX), Verdict::Refused);
        assert_eq!(of(&[&bad, &busy], 99), Verdict::GivenBack(AWAY));
        let full = Err(problem(ProblemType::Overloaded));
        assert_eq!(Verdict::of_labels(&full, 1), Verdict::GivenBack(BUSY));
        let malformed = Err(problem(ProblemType::TooLarge));
        assert_eq!(Verdict::of_labels(&malformed, 1), Verdict::Refused);
    }
}
