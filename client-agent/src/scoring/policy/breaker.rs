//! The breaker: where too large a share of the last minutes' decisions are declines, the model is
//! doubted sooner than the customers, and declines become something milder until the share has
//! fallen well below the limit. A machine without a clock: the moment is an argument, and the same
//! decisions at the same moments lead to the same state. Who counts and who is told is `guard.rs`.

use crate::scoring::decision::Decision;

/// When declines are held back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::scoring) struct Terms {
    /// Share of declines above which it opens, between 0 and 1.
    pub(in crate::scoring) max_decline_rate: f64,
    /// Length of the window: the minute that has begun and those before it.
    pub(in crate::scoring) window_minutes: u32,
    /// Decisions in the window below which it does not open.
    pub(in crate::scoring) min_decisions: u32,
    /// What a decline becomes.
    pub(in crate::scoring) then: Decision,
}

impl Terms {
    /// Length of the window in milliseconds.
    pub(in crate::scoring) fn window_ms(&self) -> u64 {
        u64::from(self.window_minutes) * MINUTE_MS
    }
}

/// Counts of the window, minute by minute, and whether declines are held back.
#[derive(Clone, Debug)]
pub(in crate::scoring) struct Breaker {
    terms: Terms,
    /// A place for each minute of the window, taken by turns.
    minutes: Vec<Minute>,
    is_open: bool,
}

/// The decisions of one minute.
#[derive(Clone, Copy, Debug, Default)]
struct Minute {
    /// Minutes since 1970-01-01 UTC.
    at: u64,
    decisions: u64,
    /// Held back or not.
    declines: u64,
}

/// The window at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::scoring) struct Reading {
    /// Decisions in the window.
    pub(in crate::scoring) decisions: u64,
    /// Declines among them, held back or not.
    pub(in crate::scoring) declines: u64,
    /// Whether declines are held back.
    pub(in crate::scoring) is_open: bool,
}

impl Reading {
    /// Share of declines; 0 of no decisions.
    pub(in crate::scoring) fn rate(&self) -> f64 {
        self.declines as f64 / self.decisions.max(1) as f64
    }
}

/// What the journal says of a decision of an earlier run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::scoring) enum Past {
    /// No decline.
    Mild,
    /// A decline as the bank was told.
    Declined,
    /// A decline that was held back.
    HeldBack,
}

impl Breaker {
    pub(in crate::scoring) fn new(terms: Terms) -> Self {
        Self {
            terms,
            minutes: vec![Minute::default(); terms.window_minutes as usize],
            is_open: false,
        }
    }

    pub(in crate::scoring) fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Whether declines were held back at the last decision.
    pub(in crate::scoring) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Counts what the policy decided, and says what is to be done about declines, this one
    /// included.
    pub(in crate::scoring) fn record(&mut self, now_ms: u64, decision: Decision) -> Reading {
        let now = now_ms / MINUTE_MS;
        let place = now % u64::from(self.terms.window_minutes);
        let minute = &mut self.minutes[place as usize];
        if minute.at != now {
            *minute = Minute {
                at: now,
                ..Minute::default()
            };
        }
        minute.decisions += 1;
        minute.declines += u64::from(decision == Decision::Decline);
        let reading = self.read(now_ms);
        self.is_open = reading.is_open;
        reading
    }

    /// Counts a decision of an earlier run. What was done then about a decline tells more than the
    /// window does, as far as it was read.
    pub(in crate::scoring) fn recall(&mut self, at_ms: u64, past: Past) {
        let decision = match past {
            Past::Mild => Decision::Approve,
            Past::Declined | Past::HeldBack => Decision::Decline,
        };
        match past {
            Past::Mild => {}
            Past::Declined => self.is_open = false,
            Past::HeldBack => self.is_open = true,
        }
        self.record(at_ms, decision);
    }

    /// The window as it stands, with nothing counted.
    pub(in crate::scoring) fn read(&self, now_ms: u64) -> Reading {
        self.read_with(now_ms, (0, 0))
    }

    /// What [`Self::record`] would say of a decision, which is not counted.
    pub(in crate::scoring) fn weigh(&self, now_ms: u64, decision: Decision) -> Reading {
        self.read_with(now_ms, (1, u64::from(decision == Decision::Decline)))
    }

    /// The window with so many decisions and declines more.
    fn read_with(&self, now_ms: u64, more: (u64, u64)) -> Reading {
        let now = now_ms / MINUTE_MS;
        let window = u64::from(self.terms.window_minutes);
        let is_fresh = |minute: &&Minute| minute.at <= now && now - minute.at < window;
        let (mut decisions, mut declines) = more;
        for minute in self.minutes.iter().filter(is_fresh) {
            decisions += minute.decisions;
            declines += minute.declines;
        }
        let limit = self.terms.max_decline_rate * decisions as f64;
        let is_open = match self.is_open {
            true => declines as f64 > limit * CLOSES_AT,
            false => decisions >= u64::from(self.terms.min_decisions) && declines as f64 > limit,
        };
        Reading {
            decisions,
            declines,
            is_open,
        }
    }
}

/// Share of the limit at which it closes again: at the limit itself it would open and close by
/// turns.
const CLOSES_AT: f64 = 0.5;

const MINUTE_MS: u64 = 60_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// Some minute of 2026.
    const NOON: u64 = 29_530_000 * MINUTE_MS;

    fn terms() -> Terms {
        Terms {
            max_decline_rate: 0.2,
            window_minutes: 3,
            min_decisions: 10,
            then: Decision::Review,
        }
    }

    fn fill(breaker: &mut Breaker, minute: u64, approvals: u32, declines: u32) -> Reading {
        let at = NOON + minute * MINUTE_MS;
        for _ in 0..approvals {
            breaker.record(at, Decision::Approve);
        }
        for _ in 0..declines {
            breaker.record(at, Decision::Decline);
        }
        breaker.read(at)
    }

    // The limit of 20 % is crossed by the third decline among eleven; the second of ten is on it.
    #[test]
    fn it_opens_above_the_limit_and_not_at_it() {
        let mut breaker = Breaker::new(terms());
        let reading = fill(&mut breaker, 0, 8, 2);
        assert_eq!((reading.decisions, reading.declines), (10, 2));
        assert!(!reading.is_open);
        let reading = breaker.record(NOON, Decision::Decline);
        assert!(reading.is_open && (reading.rate() - 3.0 / 11.0).abs() < 1e-12);
        assert!(!Breaker::new(terms()).read(NOON).is_open);
    }

    #[test]
    fn few_decisions_open_nothing_whatever_they_are() {
        let mut breaker = Breaker::new(terms());
        assert!(!fill(&mut breaker, 0, 0, 9).is_open);
        assert!(breaker.record(NOON, Decision::Decline).is_open);
    }

    // Three of eleven opened it. It stays open at 15 and at 10.3 %, though the limit is 20, and
    // closes at 10: half the limit.
    #[test]
    fn it_closes_at_half_the_limit() {
        let mut breaker = Breaker::new(terms());
        assert!(fill(&mut breaker, 0, 8, 3).is_open);
        assert!(fill(&mut breaker, 1, 9, 0).is_open);
        assert!(fill(&mut breaker, 1, 9, 0).is_open);
        assert!(!fill(&mut breaker, 1, 1, 0).is_open);
        assert!(!fill(&mut breaker, 1, 0, 1).is_open);
    }

    // The window is the minute that has begun and the two before it.
    #[test]
    fn minutes_leave_the_window_in_their_turn() {
        let mut breaker = Breaker::new(terms());
        assert!(fill(&mut breaker, 0, 8, 3).is_open);
        let at = |minute: u64| NOON + minute * MINUTE_MS + MINUTE_MS - 1;
        assert_eq!(breaker.read(at(2)).decisions, 11);
        assert!(breaker.read(at(2)).is_open);
        let empty = Reading {
            decisions: 0,
            declines: 0,
            is_open: false,
        };
        assert_eq!(breaker.read(at(3)), empty);
        assert_eq!(fill(&mut breaker, 3, 1, 0).decisions, 1);
        assert_eq!(fill(&mut breaker, 400, 2, 0).decisions, 2);
    }

    #[test]
    fn reading_counts_nothing() {
        let mut breaker = Breaker::new(terms());
        fill(&mut breaker, 0, 8, 3);
        let before = breaker.read(NOON);
        breaker.read(NOON + 90 * MINUTE_MS);
        assert_eq!(breaker.read(NOON), before);
    }

    // A clock that was set back: what lies ahead of it is not of the window.
    #[test]
    fn what_lies_ahead_is_not_counted() {
        let mut breaker = Breaker::new(terms());
        fill(&mut breaker, 5, 0, 20);
        assert_eq!(breaker.read(NOON).decisions, 0);
    }

    /// A made-up day at the bank: calm, a storm of declines, then a long, slow calm.
    fn day() -> Vec<(u64, Decision)> {
        let decision = |at: u64| {
            let every = match at {
                0..300 => 50,
                300..500 => 2,
                500..900 => 7,
                _ => 40,
            };
            match at % every {
                0 => Decision::Decline,
                _ => Decision::Approve,
            }
        };
        (0..2_000)
            .map(|at| (NOON + at * 4_000, decision(at)))
            .collect()
    }

    // Wherever the process stops, what two windows of the journal say leads to the state it had.
    #[test]
    fn two_windows_of_the_past_restore_the_state() {
        let mut breaker = Breaker::new(terms());
        let mut journal: Vec<(u64, Past)> = Vec::new();
        let mut states = [0, 0];
        for (at, decision) in day() {
            let weighed = breaker.weigh(at, decision);
            let reading = breaker.record(at, decision);
            assert_eq!(weighed, reading, "{at}");
            journal.push((
                at,
                match (decision, reading.is_open) {
                    (Decision::Decline, true) => Past::HeldBack,
                    (Decision::Decline, false) => Past::Declined,
                    (Decision::Approve | Decision::Review, _) => Past::Mild,
                },
            ));
            let mut again = Breaker::new(terms());
            let from = at - 2 * terms().window_ms();
            for (then, past) in journal.iter().filter(|(then, _)| *then >= from) {
                again.recall(*then, *past);
            }
            assert_eq!(again.read(at), reading, "{at}");
            states[usize::from(reading.is_open)] += 1;
        }
        assert!(states.iter().all(|count| *count > 100), "{states:?}");
    }
}
