//! What stands between the policy's decision and the bank: it counts decisions for the breaker,
//! turns declines into what the policy says while there are too many, and tells of it. The rule is
//! `policy/breaker.rs`; a retry is answered from the journal and never comes here.

use std::sync::atomic::{AtomicI64, AtomicU64};

use host::telemetry::Telemetry;
use host::telemetry::prometheus_client::metrics::gauge::Gauge;
use host::telemetry::prometheus_client::metrics::info::Info;
use serde::Deserialize;

use super::answer::{Answer, Degraded};
use super::decision::Decision;
use super::policy::{Breaker, Past, Policy, PolicyName, Reading};
use crate::journal::{Journal, JournalError, OLDER_MAX};

/// The breaker of the policy, and the gauges that show it.
pub(super) struct Guard {
    /// Nothing where the policy has none.
    breaker: Option<Breaker>,
    is_open: Gauge<i64, AtomicI64>,
    decline_rate: Gauge<f64, AtomicU64>,
}

impl Guard {
    /// A guard that knows of the decisions of earlier runs as far as the breaker looks back.
    pub(super) fn start(
        now_ms: u64,
        policy: &Policy,
        journal: &Journal,
        telemetry: &Telemetry,
    ) -> Result<Self, JournalError> {
        let guard = Self {
            breaker: recall(now_ms, policy, journal)?,
            is_open: Gauge::default(),
            decline_rate: Gauge::default(),
        };
        guard.register(policy.name().clone(), telemetry);
        if let Some(breaker) = &guard.breaker {
            guard.show(breaker.read(now_ms));
        }
        Ok(guard)
    }

    /// Holds a decision back where it is a decline too many, itself included. It counts once it is
    /// journaled.
    pub(super) fn weigh(&self, answer: &mut Answer) {
        if let Some(breaker) = &self.breaker {
            let reading = breaker.weigh(answer.scored_at, answer.decision);
            hold_back(answer, reading, breaker.terms().then);
        }
    }

    /// Counts a decision of the policy, held back or not.
    pub(super) fn count(&mut self, scored_at: u64, decision: Decision) {
        let Some(breaker) = &mut self.breaker else {
            return;
        };
        let was_open = breaker.is_open();
        let reading = breaker.record(scored_at, decision);
        let then = breaker.terms().then;
        match (was_open, reading.is_open) {
            (false, true) => tracing::warn!(
                decisions = reading.decisions,
                declines = reading.declines,
                "too many declines: until they are fewer they become {}",
                then.word()
            ),
            (true, false) => tracing::info!("declines are declines again"),
            (true, true) | (false, false) => {}
        }
        self.show(reading);
    }

    /// Holds a question back as the window stands: it will not be counted.
    pub(super) fn look(&self, answer: &mut Answer) {
        if let Some(breaker) = &self.breaker {
            let reading = breaker.read(answer.scored_at);
            hold_back(answer, reading, breaker.terms().then);
        }
    }

    /// Whether declines are declines, and why or why not.
    pub(super) fn account(&self, now_ms: u64) -> Result<String, String> {
        let Some(breaker) = &self.breaker else {
            return Ok("the policy has none".to_owned());
        };
        let (reading, terms) = (breaker.read(now_ms), breaker.terms());
        let found = format!(
            "{} of {} decisions of the last {} minutes are declines",
            reading.declines, reading.decisions, terms.window_minutes
        );
        match reading.is_open {
            false => Ok(found),
            true => Err(format!("{found}, and become {}", terms.then.word())),
        }
    }

    fn show(&self, reading: Reading) {
        self.is_open.set(i64::from(reading.is_open));
        self.decline_rate.set(reading.rate());
    }

    fn register(&self, policy: PolicyName, telemetry: &Telemetry) {
        telemetry.register(|registry| {
            let r = registry.sub_registry_with_prefix("phalanx");
            r.register(
                "breaker_open",
                "1 while declines are held back, as of the last decision",
                self.is_open.clone(),
            );
            r.register(
                "decline_rate",
                "Share of declines in the breaker's window, held back or not; 0 without a breaker",
                self.decline_rate.clone(),
            );
            let name = [("version", policy.version), ("sha256", policy.sha256)];
            r.register("policy", "The policy that decides", Info::new(name));
        });
    }
}

fn hold_back(answer: &mut Answer, reading: Reading, then: Decision) {
    if reading.is_open && answer.decision == Decision::Decline {
        answer.decision = then;
        answer.decision_rule = format!("policy:breaker.then={}", then.word());
        answer.degraded.push(Degraded::Breaker);
    }
}

/// The breaker as an earlier run left it. Two windows say what it did: the older one, whether it
/// stayed open. What was decided at a time that is yet to come, by a clock that was set back since,
/// is of neither: it would hold declines back with nothing in the window.
fn recall(
    now_ms: u64,
    policy: &Policy,
    journal: &Journal,
) -> Result<Option<Breaker>, JournalError> {
    let Some(terms) = policy.breaker() else {
        return Ok(None);
    };
    let both_ms = 2 * terms.window_ms();
    let windows = now_ms.saturating_sub(both_ms)..=now_ms;
    let soon = now_ms..=now_ms.saturating_add(both_ms);
    let (mut first, mut older) = (journal.len(), 0);
    for sequence in (journal.first()..journal.len()).rev() {
        match stored(journal, sequence)? {
            Some(stored) if windows.contains(&stored.scored_at) => (first, older) = (sequence, 0),
            // By a clock that was a little fast: what lies before it may be of the window.
            Some(stored) if soon.contains(&stored.scored_at) => {}
            Some(_) => older += 1,
            None => {}
        }
        if older >= OLDER_MAX {
            break;
        }
    }
    let mut breaker = Breaker::new(terms);
    // Read a second time, since a window of a large bank is long.
    for sequence in first..journal.len() {
        let stored = stored(journal, sequence)?;
        if let Some(stored) = stored.filter(|stored| windows.contains(&stored.scored_at)) {
            breaker.recall(stored.scored_at, stored.past());
        }
    }
    Ok(Some(breaker))
}

/// What the breaker reads of a stored answer.
#[derive(Deserialize)]
struct Stored {
    scored_at: u64,
    decision: Decision,
    #[serde(default)]
    degraded: Vec<Degraded>,
}

impl Stored {
    fn past(&self) -> Past {
        if self.degraded.contains(&Degraded::Breaker) {
            return Past::HeldBack;
        }
        match self.decision {
            Decision::Decline => Past::Declined,
            Decision::Approve | Decision::Review => Past::Mild,
        }
    }
}

/// Nothing where a crash left no entry at the place.
fn stored(journal: &Journal, sequence: u64) -> Result<Option<Stored>, JournalError> {
    let Some(entry) = journal.at(sequence)? else {
        return Ok(None);
    };
    let stored = serde_json::from_str(&entry.answer);
    stored
        .map(Some)
        .map_err(|_| JournalError::Damaged { sequence })
}
