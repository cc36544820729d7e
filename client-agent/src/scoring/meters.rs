//! What scoring counts. Names are listed in docs/metrics.md; no token and no id is a label.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::time::Duration;

use features::FeatureEncoder;
use host::telemetry::Telemetry;
use host::telemetry::prometheus_client::metrics::counter::Counter;
use host::telemetry::prometheus_client::metrics::family::Family;
use host::telemetry::prometheus_client::metrics::gauge::Gauge;
use host::telemetry::prometheus_client::metrics::histogram::Histogram;
use host::telemetry::prometheus_client::registry::Registry;

use super::answer::Answer;
use super::decision::Decision;
use super::problem::ProblemType;
use lapses::Lapses;

mod lapses;

/// Scoring's metrics; clones share them.
#[derive(Clone)]
pub(super) struct Meters(Arc<Inner>);

struct Inner {
    requests: Family<[(&'static str, &'static str); 2], Counter>,
    decisions: Family<[(&'static str, &'static str); 1], Counter>,
    errors: Family<[(&'static str, &'static str); 1], Counter>,
    latency: Histogram,
    replayed: Counter,
    version: Gauge<u64, AtomicU64>,
    depth: Gauge<i64, AtomicI64>,
    risk_age: Gauge<i64, AtomicI64>,
    profiles: Family<[(&'static str, &'static str); 1], Gauge<u64, AtomicU64>>,
    forgotten: Family<[(&'static str, &'static str); 1], Gauge<u64, AtomicU64>>,
    lapses: Lapses,
}

/// How a request that was answered came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Scored,
    Replayed,
    Whatif,
}

impl Meters {
    pub(super) fn new(telemetry: &Telemetry) -> Self {
        let inner = Inner {
            requests: Family::default(),
            decisions: Family::default(),
            errors: Family::default(),
            latency: Histogram::new(LATENCY_SECONDS),
            replayed: Counter::default(),
            version: Gauge::default(),
            depth: Gauge::default(),
            risk_age: Gauge::default(),
            profiles: Family::default(),
            forgotten: Family::default(),
            lapses: Lapses::default(),
        };
        telemetry.register(|registry| {
            let r = registry.sub_registry_with_prefix("phalanx");
            let requests = inner.requests.clone();
            r.register(
                "score_requests",
                "Requests answered, by mode and outcome",
                requests,
            );
            r.register("decisions", "Decisions taken", inner.decisions.clone());
            r.register(
                "score_errors",
                "Requests refused, by type",
                inner.errors.clone(),
            );
            let latency = inner.latency.clone();
            r.register(
                "score_latency_seconds",
                "Arrival to durable answer",
                latency,
            );
            let replayed = inner.replayed.clone();
            r.register("score_replayed", "Answers given again to a retry", replayed);
            let version = inner.version.clone();
            r.register(
                "model_version",
                "Ledger length of the live model; 0 is none",
                version,
            );
            let depth = inner.depth.clone();
            r.register(
                "score_queue_depth",
                "Requests waiting for the worker",
                depth,
            );
            let risk_age = inner.risk_age.clone();
            r.register(
                "risk_age_days",
                "Days from the newest risk counts to the last payment; 0 before any have come",
                risk_age,
            );
            inner.register_profiles(r);
            inner.lapses.register(r);
        });
        Self(Arc::new(inner))
    }

    /// Who is remembered.
    pub(super) fn remembered(&self, encoder: &FeatureEncoder) {
        let (payers, payees) = encoder.remembered();
        let (payers_gone, payees_gone) = encoder.forgotten();
        for (kind, known, gone) in [
            ("payer", payers, payers_gone),
            ("payee", payees, payees_gone),
        ] {
            self.0.profiles.get_or_create(&[("kind", kind)]).set(known);
            self.0.forgotten.get_or_create(&[("kind", kind)]).set(gone);
        }
    }

    pub(super) fn queued(&self) {
        self.0.depth.inc();
    }

    pub(super) fn taken(&self) {
        self.0.depth.dec();
    }

    pub(super) fn answered(&self, answer: &Answer, outcome: Outcome, latency: Duration) {
        let word = match outcome {
            Outcome::Scored => {
                self.decided(answer.decision);
                self.0.lapses.scored(&answer.degraded);
                "scored"
            }
            Outcome::Replayed => {
                self.0.replayed.inc();
                "replayed"
            }
            Outcome::Whatif => "whatif",
        };
        let labels = [("mode", answer.mode.word()), ("outcome", word)];
        self.0.requests.get_or_create(&labels).inc();
        self.0.latency.observe(latency.as_secs_f64());
        if let (Some(days), Outcome::Scored) = (answer.risk_age_days, outcome) {
            self.0.risk_age.set(i64::from(days));
        }
    }

    pub(super) fn refused(&self, kind: ProblemType) {
        self.0.errors.get_or_create(&[("type", kind.word())]).inc();
    }

    /// An answer was not ready by its deadline.
    pub(super) fn missed(&self) {
        self.0.lapses.missed();
    }

    /// The model refused a vector and the fallback answered.
    pub(super) fn model_refused(&self) {
        self.0.errors.get_or_create(&[("type", "model")]).inc();
    }

    pub(super) fn installed(&self, version: u64) {
        self.0.version.set(version);
    }

    fn decided(&self, decision: Decision) {
        self.0
            .decisions
            .get_or_create(&[("decision", decision.word())])
            .inc();
    }
}

impl Inner {
    fn register_profiles(&self, registry: &mut Registry) {
        registry.register(
            "profiles",
            "Payers and payees remembered, by kind",
            self.profiles.clone(),
        );
        registry.register(
            "profiles_forgotten",
            "Payers and payees forgotten since the history began, by kind",
            self.forgotten.clone(),
        );
    }
}

/// Buckets of product.md 3.10, from 50 microseconds to one second.
const LATENCY_SECONDS: [f64; 13] = [
    50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 1.0,
];
