//! What watching counts and says: every figure a gauge, every alarm a log line. Names are listed
//! in docs/metrics.md; what an alarm asks for, in docs/runbook.md.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use host::telemetry::Telemetry;
use host::telemetry::prometheus_client::metrics::counter::Counter;
use host::telemetry::prometheus_client::metrics::family::Family;
use host::telemetry::prometheus_client::metrics::gauge::Gauge;
use host::telemetry::prometheus_client::metrics::histogram::Histogram;
use host::telemetry::prometheus_client::registry::Registry;

use super::alarm::{Alarms, Event, Figure, Rule};
use super::quality::Measures;
use crate::journal::LabelEntry;

/// Watching's metrics; clones share them. A figure that nobody knows yet has no line.
#[derive(Clone)]
pub(crate) struct Meters(Arc<Inner>);

struct Inner {
    feature_psi: Family<[(&'static str, String); 1], Gauge<f64, AtomicU64>>,
    feature_shift: Family<[(&'static str, String); 1], Gauge<f64, AtomicU64>>,
    feature_missing: Family<[(&'static str, String); 1], Gauge<f64, AtomicU64>>,
    feature_unseen: Family<[(&'static str, String); 1], Gauge<f64, AtomicU64>>,
    score_psi: Family<[(&'static str, &'static str); 1], Gauge<f64, AtomicU64>>,
    embedding_drift: Family<[(&'static str, &'static str); 1], Gauge<f64, AtomicU64>>,
    alarms: Family<[(&'static str, &'static str); 1], Gauge>,
    precision: Family<[(&'static str, &'static str); 1], Gauge<f64, AtomicU64>>,
    card_precision: Family<[(&'static str, &'static str); 1], Gauge<f64, AtomicU64>>,
    calibration_error: Family<[(&'static str, &'static str); 1], Gauge<f64, AtomicU64>>,
    frauds_ratio: Family<[(&'static str, &'static str); 1], Gauge<f64, AtomicU64>>,
    labels: Family<[(&'static str, &'static str); 2], Counter>,
    label_delay: Family<[(&'static str, &'static str); 1], Histogram>,
    behind: Gauge,
}

impl Meters {
    /// Registers every metric.
    pub(crate) fn new(telemetry: &Telemetry) -> Self {
        let inner = Inner {
            feature_psi: Family::default(),
            feature_shift: Family::default(),
            feature_missing: Family::default(),
            feature_unseen: Family::default(),
            score_psi: Family::default(),
            embedding_drift: Family::default(),
            alarms: Family::default(),
            precision: Family::default(),
            card_precision: Family::default(),
            calibration_error: Family::default(),
            frauds_ratio: Family::default(),
            labels: Family::default(),
            label_delay: Family::new_with_constructor(|| Histogram::new(DELAY_SECONDS)),
            behind: Gauge::default(),
        };
        telemetry.register(|registry| {
            let r = registry.sub_registry_with_prefix("phalanx");
            inner.register_payments(r);
            inner.register_outcomes(r);
        });
        let meters = Self(Arc::new(inner));
        meters.tell_alarms(&Alarms::default());
        meters
    }

    /// The figures of an evaluation.
    pub(super) fn tell(&self, figures: &[Figure]) {
        let m = &self.0;
        for figure in figures {
            let of = [("feature", figure.subject.clone())];
            match figure.rule {
                Rule::Feature => m.feature_psi.get_or_create(&of).set(figure.told),
                Rule::Amount => m.feature_shift.get_or_create(&of).set(figure.told),
                Rule::Missing => m.feature_missing.get_or_create(&of).set(figure.told),
                Rule::Unseen => m.feature_unseen.get_or_create(&of).set(figure.told),
                Rule::Score => m.score_psi.get_or_create(&LIVE).set(figure.told),
                Rule::Embedding => m.embedding_drift.get_or_create(&LIVE).set(figure.told),
                Rule::Calibration => m.frauds_ratio.get_or_create(&MATURE).set(figure.told),
            };
        }
    }

    /// The measures of mature payments.
    pub(super) fn measured(&self, measures: &Measures) {
        let m = &self.0;
        let figures = [
            (&m.precision, measures.precision_at_budget),
            (&m.card_precision, measures.card_precision),
            (&m.calibration_error, measures.calibration_error),
        ];
        for (family, figure) in figures {
            if let Some(figure) = figure {
                family.get_or_create(&MATURE).set(figure);
            }
        }
    }

    /// A label that came since the start, and how long after its payment it was known.
    pub(super) fn labelled(&self, label: &LabelEntry, paid_at: i64) {
        let source = source(&label.source);
        let verdict = if label.fraud { "fraud" } else { "genuine" };
        let labels = [("source", source), ("verdict", verdict)];
        self.0.labels.get_or_create(&labels).inc();
        let seconds = label.known_at.saturating_sub(paid_at).max(0) as f64 / 1_000.0;
        let delay = self.0.label_delay.get_or_create(&[("source", source)]);
        delay.observe(seconds);
    }

    /// How many decisions are durable and were not yet looked at.
    pub(super) fn behind(&self, decisions: u64) {
        self.0
            .behind
            .set(i64::try_from(decisions).unwrap_or(i64::MAX));
    }

    /// Alarms that are open, by rule.
    pub(super) fn tell_alarms(&self, alarms: &Alarms) {
        for rule in Rule::ALL {
            let open = alarms.open().filter(|alarm| alarm.rule == rule).count();
            let gauge = self.0.alarms.get_or_create(&[("rule", rule.word())]);
            gauge.set(i64::try_from(open).unwrap_or(i64::MAX));
        }
    }
}

/// The log line of an alarm.
pub(super) fn line(event: &Event) {
    match event {
        Event::Raised(alarm) => tracing::warn!(
            rule = alarm.rule.word(),
            subject = alarm.subject.as_str(),
            value = alarm.change,
            threshold = alarm.threshold,
            day = alarm.since_day,
            "alert raised"
        ),
        Event::Cleared(alarm) => tracing::info!(
            rule = alarm.rule.word(),
            subject = alarm.subject.as_str(),
            value = alarm.change,
            threshold = alarm.threshold,
            since_day = alarm.since_day,
            "alert cleared"
        ),
    }
}

impl Inner {
    fn register_payments(&self, r: &mut Registry) {
        r.register(
            "feature_psi",
            "Population stability index of a feature or field, less what chance makes of it",
            self.feature_psi.clone(),
        );
        r.register(
            "feature_shift",
            "Distance of a feature's mean from the reference's, in deviations; amounts by kind",
            self.feature_shift.clone(),
        );
        r.register(
            "feature_missing_ratio",
            "Share of payments without a field",
            self.feature_missing.clone(),
        );
        r.register(
            "feature_unseen_ratio",
            "Share of payments of a category that is not listed",
            self.feature_unseen.clone(),
        );
        r.register(
            "score_psi",
            "Population stability index of the scores",
            self.score_psi.clone(),
        );
        r.register(
            "embedding_drift",
            "Mean squared shift of the encoder's coordinates, in deviations",
            self.embedding_drift.clone(),
        );
        r.register(
            "drift_alarm",
            "Alarms that are open, by rule",
            self.alarms.clone(),
        );
        r.register(
            "watch_behind",
            "Durable decisions that watching has not read",
            self.behind.clone(),
        );
    }

    fn register_outcomes(&self, r: &mut Registry) {
        r.register(
            "precision_at_budget",
            "Share of frauds among the payments that people can look at",
            self.precision.clone(),
        );
        r.register(
            "card_precision_top_k",
            "Card precision at 100, as the Fraud Detection Handbook has it",
            self.card_precision.clone(),
        );
        r.register(
            "calibration_error",
            "Mean gap between told and actual share of frauds",
            self.calibration_error.clone(),
        );
        r.register(
            "calibration_ratio",
            "Frauds that came over frauds that were told",
            self.frauds_ratio.clone(),
        );
        r.register(
            "labels",
            "Labels accepted since the start, by source and verdict",
            self.labels.clone(),
        );
        r.register(
            "label_delay_seconds",
            "From a payment to when its label was known",
            self.label_delay.clone(),
        );
    }
}

/// The word that stands for a label's source: what is not listed is `other`, so that nobody who
/// sends labels can make up metrics.
fn source(told: &str) -> &'static str {
    let known = SOURCES.iter().find(|source| **source == told);
    known.copied().unwrap_or("other")
}

/// Sources of labels as product lists have them.
const SOURCES: [&str; 8] = [
    "analyst",
    "chargeback",
    "tc40_safe",
    "customer_report",
    "recall",
    "law_enforcement",
    "rule_auto",
    "model_auto",
];

const LIVE: [(&str, &str); 1] = [("model", "live")];
const MATURE: [(&str, &str); 1] = [("cohort", "mature")];

/// An hour, six; a day, three, a week, two, a month, two, four.
const DELAY_SECONDS: [f64; 9] = [
    3_600.0,
    21_600.0,
    86_400.0,
    259_200.0,
    604_800.0,
    1_209_600.0,
    2_592_000.0,
    5_184_000.0,
    10_368_000.0,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn label(source: &str, fraud: bool, known_at: i64) -> LabelEntry {
        LabelEntry {
            label_id: [1; 32],
            txn_id: "t".to_owned(),
            payment: 0,
            fraud,
            known_at,
            told_at: 0,
            source: source.to_owned(),
            supersedes: None,
            after: 1,
            event_at: None,
        }
    }

    fn figures() -> Vec<Figure> {
        let all = Rule::ALL.into_iter();
        all.map(|rule| Figure::of(rule, "night", 0.25, 0.25))
            .collect()
    }

    impl Meters {
        /// Tells something of every family, for who holds the list of metrics against the code.
        pub(crate) fn touch(&self) {
            self.tell(&figures());
            self.measured(&Measures {
                precision_at_budget: Some(0.5),
                card_precision: Some(0.125),
                calibration_error: Some(0.0625),
                frauds_ratio: None,
            });
            self.labelled(&label("chargeback", true, 9_000_000), 5_400_000);
        }
    }

    #[test]
    fn every_figure_has_a_line_of_its_own() {
        let telemetry = Telemetry::default();
        let meters = Meters::new(&telemetry);
        meters.touch();
        meters.labelled(&label("a 17th cousin", false, 0), 5_400_000);
        meters.behind(3);
        let figures = figures();
        let mut alarms = Alarms::default();
        alarms.weigh(1, &figures);
        alarms.weigh(2, &figures);
        meters.tell_alarms(&alarms);
        let text = telemetry.render();
        let expected = [
            "phalanx_feature_psi{feature=\"night\"} 0.25",
            "phalanx_feature_shift{feature=\"night\"} 0.25",
            "phalanx_feature_missing_ratio{feature=\"night\"} 0.25",
            "phalanx_feature_unseen_ratio{feature=\"night\"} 0.25",
            "phalanx_score_psi{model=\"live\"} 0.25",
            "phalanx_embedding_drift{model=\"live\"} 0.25",
            "phalanx_calibration_ratio{cohort=\"mature\"} 0.25",
            "phalanx_precision_at_budget{cohort=\"mature\"} 0.5",
            "phalanx_card_precision_top_k{cohort=\"mature\"} 0.125",
            "phalanx_calibration_error{cohort=\"mature\"} 0.0625",
            "phalanx_labels_total{source=\"chargeback\",verdict=\"fraud\"} 1",
            "phalanx_labels_total{source=\"other\",verdict=\"genuine\"} 1",
            "phalanx_label_delay_seconds_sum{source=\"chargeback\"} 3600.0",
            "phalanx_label_delay_seconds_sum{source=\"other\"} 0.0",
            "phalanx_drift_alarm{rule=\"feature\"} 1",
            "phalanx_drift_alarm{rule=\"calibration\"} 0",
            "phalanx_watch_behind 3",
        ];
        for line in expected {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
