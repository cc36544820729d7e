//! One table: every event of the client party, the log line it becomes and the metric it counts.
//! Names are listed in docs/metrics.md; scoring counts its own in `scoring/meters.rs`.

use std::sync::Arc;

use features::FeatureSchema;
use host::telemetry::Telemetry;
use host::telemetry::prometheus_client::metrics::counter::Counter;
use host::telemetry::prometheus_client::metrics::family::Family;
use host::telemetry::prometheus_client::metrics::gauge::Gauge;
use host::telemetry::prometheus_client::registry::Registry;
use protocol::event::ClientEvent as Event;

use crate::network;
use crate::status::{Board, Rounds};

/// What the agent's side of the protocol counts; clones share the counters.
#[derive(Clone, Debug)]
pub struct Meters {
    counts: Arc<Counts>,
    /// Which a declined plan's is held against.
    schema: Arc<FeatureSchema>,
}

#[derive(Debug, Default)]
struct Counts {
    board: Board,
    connected: Gauge,
    dials_failed: Counter,
    joined: Family<[(&'static str, String); 1], Counter>,
    committed: Counter,
    abandoned: Family<[(&'static str, String); 1], Counter>,
    declined: Counter,
    misbehaved: Counter,
    malformed: Counter,
    refused: Counter,
    update_bytes: Counter,
    frames_dropped: Counter,
    ledger: Gauge,
    audited: Family<[(&'static str, &'static str); 1], Counter>,
}

impl Meters {
    /// Registers every metric; events change `board` too.
    #[must_use]
    pub fn new(telemetry: &Telemetry, board: Board, schema: FeatureSchema) -> Self {
        let counts = Counts {
            board,
            ..Counts::default()
        };
        telemetry.register(|registry| {
            counts.register(registry.sub_registry_with_prefix("phalanx_agent"));
        });
        Self {
            counts: Arc::new(counts),
            schema: Arc::new(schema),
        }
    }

    /// The link came up or went down.
    pub fn connected(&self, is_up: bool) {
        self.counts.connected.set(i64::from(is_up));
        self.counts.board.update(|status| status.connected = is_up);
    }

    /// A dial that led to no link.
    pub fn dial_failed(&self) {
        self.counts.dials_failed.inc();
    }

    /// A frame that does not decode.
    pub fn malformed(&self) {
        self.counts.malformed.inc();
    }

    /// A frame that nobody could be sent.
    pub fn dropped(&self) {
        self.counts.frames_dropped.inc();
    }

    /// Where the ledger stands after the start.
    pub fn recovered(&self, length: u64, head: &crypto::Digest) {
        self.counts
            .ledger
            .set(i64::try_from(length).unwrap_or(i64::MAX));
        self.counts
            .board
            .update(|status| (status.ledger, status.head) = (length, head.to_hex()));
    }

    /// The log line, the metric and the status of an event.
    pub fn report(&self, event: &Event) {
        self.count(event);
        self.line(event);
    }

    fn count(&self, event: &Event) {
        let m = &self.counts;
        match event {
            Event::Joined(_, _, kind) => {
                let kind = format!("{kind:?}").to_lowercase();
                m.joined.get_or_create(&[("kind", kind)]).inc();
                m.board.update(|status| status.rounds.joined += 1);
            }
            Event::Declined(_) => {
                m.declined.inc();
                m.board.update(|status| status.rounds.declined += 1);
            }
            Event::UpdateSent(_, bytes) => {
                m.update_bytes.inc_by(*bytes);
            }
            Event::Applied(_, length, head) => {
                m.committed.inc();
                m.board.update(|status| status.rounds.committed += 1);
                self.recovered(*length, head);
            }
            Event::Abandoned(_, _, cause) => {
                let cause = format!("{cause:?}").to_lowercase();
                m.abandoned.get_or_create(&[("cause", cause)]).inc();
                m.board.update(|status| status.rounds.abandoned += 1);
            }
            Event::Misbehaved(_) => {
                m.misbehaved.inc();
            }
            Event::Refused(_) => {
                m.refused.inc();
            }
            Event::AuditPassed(..) => m.audit("passed", |rounds| rounds.audited += 1),
            Event::Unaudited(..) => m.audit("none", |rounds| rounds.unaudited += 1),
            Event::FalseSum { .. } => m.audit("false_sum", |rounds| rounds.false_sums += 1),
            Event::Welcomed
            | Event::EpochAgreed(..)
            | Event::ForeignSchema(_)
            | Event::Acked(_)
            | Event::Revealed(_)
            | Event::BucketKeyKept(_) => {}
        }
    }

    fn line(&self, event: &Event) {
        match event {
            Event::Welcomed => tracing::info!("welcomed by the coordinator"),
            Event::EpochAgreed(epoch, members) => {
                tracing::info!(epoch = epoch.0, members, "keys agreed");
            }
            Event::Joined(round, attempt, kind) => {
                tracing::info!(round = round.0, attempt = attempt.0, ?kind, "round joined");
            }
            Event::ForeignSchema(schema) => {
                for difference in network::differences(schema, &self.schema) {
                    tracing::warn!(difference, "the plan's feature schema is not this agent's");
                }
            }
            Event::BucketKeyKept(commitment) => {
                tracing::info!(%commitment, "bucket key of the banks kept");
            }
            Event::Declined(refusal) => tracing::warn!(%refusal, "declined"),
            Event::UpdateSent(round, bytes) => {
                tracing::info!(round = round.0, bytes, "masked update sent");
            }
            Event::Acked(round) => tracing::debug!(round = round.0, "survivors acknowledged"),
            Event::Revealed(round) => tracing::debug!(round = round.0, "shares revealed"),
            Event::Applied(round, ledger, head) => {
                tracing::info!(round = round.0, ledger, %head, "result applied");
            }
            Event::Abandoned(round, attempt, cause) => {
                tracing::warn!(
                    round = round.0,
                    attempt = attempt.0,
                    ?cause,
                    "round abandoned"
                );
            }
            Event::AuditPassed(round, chunks) => {
                tracing::info!(round = round.0, chunks, "sum audited");
            }
            Event::Unaudited(round, why) => tracing::info!(round = round.0, why, "sum not audited"),
            Event::FalseSum {
                round,
                chunk,
                word,
                found,
                expected,
            } => tracing::warn!(
                round = round.0,
                chunk,
                word,
                found,
                expected,
                "FALSE SUM: the coordinator published what the banks did not send; no further \
                 round is joined"
            ),
            Event::Misbehaved(sin) => tracing::warn!(%sin, "misbehaviour"),
            Event::Refused(refusal) => tracing::warn!(%refusal, "the coordinator refused"),
        }
    }
}

impl Counts {
    fn register(&self, r: &mut Registry) {
        r.register(
            "connected",
            "1 while the coordinator is",
            self.connected.clone(),
        );
        r.register(
            "dials_failed",
            "Dials without a link",
            self.dials_failed.clone(),
        );
        r.register("rounds_joined", "Attempts joined", self.joined.clone());
        r.register(
            "rounds_committed",
            "Results applied",
            self.committed.clone(),
        );
        r.register(
            "rounds_abandoned",
            "Attempts without one",
            self.abandoned.clone(),
        );
        r.register("rounds_declined", "Offers declined", self.declined.clone());
        r.register(
            "misbehaved",
            "Misbehaviour of others",
            self.misbehaved.clone(),
        );
        r.register(
            "frames_malformed",
            "Frames that do not decode",
            self.malformed.clone(),
        );
        r.register(
            "frames_dropped",
            "Frames without a link",
            self.frames_dropped.clone(),
        );
        r.register(
            "refused",
            "Refusals by the coordinator",
            self.refused.clone(),
        );
        r.register(
            "update_bytes",
            "Bytes of masked updates",
            self.update_bytes.clone(),
        );
        r.register(
            "ledger_rounds",
            "Results in the ledger",
            self.ledger.clone(),
        );
        r.register(
            "audits",
            "Audits of results by finding: passed, none, false_sum",
            self.audited.clone(),
        );
    }

    fn audit(&self, finding: &'static str, count: fn(&mut Rounds)) {
        self.audited.get_or_create(&[("finding", finding)]).inc();
        self.board.update(|status| count(&mut status.rounds));
    }
}
