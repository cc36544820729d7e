//! One table: every event of the coordinator party, the log line it becomes and the metric it
//! counts. Names are listed in docs/metrics.md; nothing else in this process logs a round.

use std::sync::Arc;

use host::telemetry::Telemetry;
use host::telemetry::prometheus_client::metrics::counter::Counter;
use host::telemetry::prometheus_client::metrics::family::Family;
use host::telemetry::prometheus_client::metrics::gauge::Gauge;
use host::telemetry::prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use host::telemetry::prometheus_client::registry::Registry;
use protocol::event::CoordinatorEvent as Event;
use protocol::operator::Reason;

/// What the coordinator counts; clones share the counters.
#[derive(Clone)]
pub struct Meters(Arc<Inner>);

struct Inner {
    members: Gauge,
    opened: Counter,
    committed: Family<Label, Counter>,
    abandoned: Family<Label, Counter>,
    dropouts: Family<Label, Counter>,
    misbehaved: Counter,
    declined: Counter,
    malformed: Counter,
    turned_away: Counter,
    bytes: Counter,
    update_bytes: Counter,
    seconds: Histogram,
    ledger: Gauge,
    halted: Gauge,
    waiting: Family<Label, Gauge>,
}

/// One label and its value.
type Label = [(&'static str, String); 1];

impl Inner {
    /// Every metric under the name that dashboards and alerts use.
    fn register(&self, registry: &mut Registry) {
        let r = registry.sub_registry_with_prefix("phalanx_coordinator");
        r.register("members_connected", "Banks connected", self.members.clone());
        r.register("rounds_opened", "Rounds opened", self.opened.clone());
        r.register(
            "rounds_committed",
            "Rounds with a result",
            self.committed.clone(),
        );
        r.register(
            "rounds_abandoned",
            "Attempts without one",
            self.abandoned.clone(),
        );
        r.register(
            "dropouts",
            "Members absent from a phase",
            self.dropouts.clone(),
        );
        r.register(
            "misbehaved",
            "Messages refused as misbehaviour",
            self.misbehaved.clone(),
        );
        r.register("declined", "Refusals by banks", self.declined.clone());
        r.register(
            "frames_malformed",
            "Frames that do not decode",
            self.malformed.clone(),
        );
        r.register(
            "connections_refused",
            "Handshakes that failed",
            self.turned_away.clone(),
        );
        r.register(
            "received_bytes",
            "Bytes of frames received",
            self.bytes.clone(),
        );
        r.register(
            "update_bytes",
            "Bytes of masked updates",
            self.update_bytes.clone(),
        );
        r.register("round_seconds", "Opening to commit", self.seconds.clone());
        r.register(
            "ledger_rounds",
            "Committed rounds in the ledger",
            self.ledger.clone(),
        );
        r.register(
            "halted",
            "1 after too many burnt rounds",
            self.halted.clone(),
        );
        r.register(
            "waiting",
            "1 for the reason why a plan waits and no round opens",
            self.waiting.clone(),
        );
    }
}

impl Meters {
    /// Registers every metric.
    #[must_use]
    pub fn new(telemetry: &Telemetry) -> Self {
        let inner = Inner {
            members: Gauge::default(),
            opened: Counter::default(),
            committed: Family::default(),
            abandoned: Family::default(),
            dropouts: Family::default(),
            misbehaved: Counter::default(),
            declined: Counter::default(),
            malformed: Counter::default(),
            turned_away: Counter::default(),
            bytes: Counter::default(),
            update_bytes: Counter::default(),
            seconds: Histogram::new(exponential_buckets(0.05, 2.0, 16)),
            ledger: Gauge::default(),
            halted: Gauge::default(),
            waiting: Family::default(),
        };
        telemetry.register(|registry| inner.register(registry));
        Self(Arc::new(inner))
    }

    /// A connection that did not get past the handshake.
    pub fn turned_away(&self) {
        self.0.turned_away.inc();
    }

    /// A frame of so many bytes.
    pub fn received(&self, bytes: usize) {
        self.0.bytes.inc_by(bytes as u64);
    }

    /// A frame that does not decode.
    pub fn malformed(&self) {
        self.0.malformed.inc();
    }

    /// The log line and the metric of an event.
    pub fn report(&self, event: &Event) {
        self.count(event);
        line(event);
    }

    fn count(&self, event: &Event) {
        let m = &self.0;
        match event {
            Event::ClientArrived(..) => {
                m.members.inc();
            }
            Event::ClientLeft(_) => {
                m.members.dec();
            }
            Event::RoundOpened(..) => {
                m.halted.set(0);
                m.opened.inc();
            }
            Event::Dropout(_, _, phase) => {
                m.dropouts
                    .get_or_create(&[("phase", (*phase).to_owned())])
                    .inc();
            }
            Event::RoundCommitted { kind, took, .. } => {
                let kind = format!("{kind:?}").to_lowercase();
                m.committed.get_or_create(&[("kind", kind)]).inc();
                m.seconds.observe(took.0 as f64 / 1_000.0);
                m.ledger.inc();
            }
            Event::RoundAbandoned(_, _, cause) => {
                let cause = format!("{cause:?}").to_lowercase();
                m.abandoned.get_or_create(&[("cause", cause)]).inc();
            }
            Event::Halted(_) => {
                m.halted.set(1);
            }
            Event::Declined(..) => {
                m.declined.inc();
            }
            Event::Misbehaved(..) => {
                m.misbehaved.inc();
            }
            Event::UpdateReceived(_, _, bytes) => {
                m.update_bytes.inc_by(*bytes);
            }
            Event::Waiting(waiting) => {
                m.waiting.clear();
                if let Some(waiting) = waiting {
                    let reason = waiting.reason.name().to_owned();
                    m.waiting.get_or_create(&[("reason", reason)]).set(1);
                }
            }
            Event::PhaseEntered(_)
            | Event::PlanAdopted(..)
            | Event::PlanEnded(..)
            | Event::EpochAgreed(..)
            | Event::EpochAbandoned(_)
            | Event::BucketKeyAwaited(_) => {}
        }
    }
}

fn line(event: &Event) {
    match event {
        Event::ClientArrived(id, name) => tracing::info!(client = %id.0, name, "bank arrived"),
        Event::ClientLeft(id) => tracing::info!(client = %id.0, "bank left"),
        Event::PhaseEntered(phase) => tracing::debug!(phase, "phase"),
        Event::PlanAdopted(plan, kind) => tracing::info!(plan, ?kind, "plan adopted"),
        Event::PlanEnded(plan, rounds) => tracing::info!(plan, rounds, "plan ended"),
        Event::EpochAgreed(epoch, members) => {
            tracing::info!(epoch = epoch.0, members, "keys agreed");
        }
        Event::EpochAbandoned(epoch) => tracing::warn!(epoch = epoch.0, "key agreement abandoned"),
        Event::RoundOpened(round, attempt, cohort) => {
            tracing::info!(round = round.0, attempt = attempt.0, cohort, "round opened");
        }
        Event::Dropout(round, seat, phase) => {
            tracing::info!(round = round.0, seat = seat.0, phase, "dropout");
        }
        Event::RoundCommitted {
            round,
            kind,
            survivors,
            dropouts,
            took,
            head,
        } => tracing::info!(
            round = round.0, ?kind, survivors, dropouts, took_ms = took.0, %head, "round committed"
        ),
        Event::RoundAbandoned(round, attempt, cause) => {
            tracing::warn!(
                round = round.0,
                attempt = attempt.0,
                ?cause,
                "round abandoned"
            );
        }
        Event::Halted(burnt) => tracing::warn!(burnt, "halted: too many burnt rounds"),
        Event::Declined(id, refusal) => tracing::warn!(client = %id.0, %refusal, "bank declined"),
        Event::BucketKeyAwaited(banks) => {
            tracing::info!(
                banks,
                "risk round waits until so many banks have the bucket key"
            );
        }
        Event::Misbehaved(id, sin) => tracing::warn!(client = %id.0, %sin, "misbehaviour"),
        Event::UpdateReceived(round, seat, bytes) => {
            tracing::debug!(round = round.0, seat = seat.0, bytes, "update received");
        }
        Event::Waiting(None) => tracing::info!("nothing keeps the next round from opening"),
        Event::Waiting(Some(waiting)) => match waiting.reason {
            // Banks come and go, and catch up.
            Reason::Absent | Reason::Aside | Reason::Behind => {
                tracing::info!(why = %waiting, "a plan waits");
            }
            Reason::Expired
            | Reason::Declined
            | Reason::Complaints
            | Reason::Honest
            | Reason::Sparse
            | Reason::SparseHonest
            | Reason::Halted
            | Reason::Credential
            | Reason::BucketKey => tracing::warn!(why = %waiting, "a plan waits"),
        },
    }
}

#[cfg(test)]
#[path = "../../tests/tidy/listed.rs"]
mod listed;

#[cfg(test)]
mod tests {
    use crypto::Digest;
    use protocol::id::{Attempt, RoundId, Seat};
    use protocol::message::Cause;
    use protocol::operator::Waiting;
    use protocol::plan::Kind;
    use protocol::time::Duration;

    use super::*;

    // Something of each family, so that its name is told.
    #[test]
    fn what_is_told_and_what_is_listed_are_the_same() {
        let telemetry = Telemetry::default();
        let meters = Meters::new(&telemetry);
        for event in [
            Event::RoundCommitted {
                round: RoundId(1),
                kind: Kind::Risk,
                survivors: 3,
                dropouts: 1,
                took: Duration(1_000),
                head: Digest([0; 32]),
            },
            Event::RoundAbandoned(RoundId(2), Attempt(0), Cause::Operator),
            Event::Dropout(RoundId(1), Seat(0), "escrow"),
            Event::Waiting(Some(Waiting {
                reason: Reason::Absent,
                found: 1,
                expected: 3,
            })),
        ] {
            meters.report(&event);
        }
        let (told, list) = (telemetry.render(), include_str!("../../docs/metrics.md"));
        let differences = listed::differences(&told, list, "The coordinator");
        assert!(differences.is_empty(), "docs/metrics.md: {differences:#?}");
    }
}
