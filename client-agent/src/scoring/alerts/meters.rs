//! What the alert queue counts. No token and no id is a label.

use std::sync::atomic::AtomicU64;

use host::telemetry::Telemetry;
use host::telemetry::prometheus_client::metrics::counter::Counter;
use host::telemetry::prometheus_client::metrics::family::Family;
use host::telemetry::prometheus_client::metrics::gauge::Gauge;

use super::alert::State;

/// The queue's metrics.
pub(super) struct Meters {
    alerts: Family<[(&'static str, &'static str); 1], Gauge>,
    evicted: Counter,
    oldest: Gauge<u64, AtomicU64>,
}

impl Meters {
    pub(super) fn new(telemetry: &Telemetry) -> Self {
        let meters = Self {
            alerts: Family::default(),
            evicted: Counter::default(),
            oldest: Gauge::default(),
        };
        telemetry.register(|registry| {
            let r = registry.sub_registry_with_prefix("phalanx");
            r.register(
                "alerts",
                "Alerts in the queue, by state",
                meters.alerts.clone(),
            );
            r.register(
                "alerts_evicted",
                "Alerts that left the queue for want of room, since the start",
                meters.evicted.clone(),
            );
            r.register(
                "alert_oldest_age_seconds",
                "Age of the oldest open alert; 0 without one",
                meters.oldest.clone(),
            );
        });
        meters
    }

    /// How many alerts are in each state, in the order of [`State::ALL`], and how old the oldest
    /// open one is.
    pub(super) fn counted(&self, counts: [usize; 3], oldest_s: u64) {
        for (state, count) in State::ALL.into_iter().zip(counts) {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            let labels = [("state", state.word())];
            self.alerts.get_or_create(&labels).set(count);
        }
        self.oldest.set(oldest_s);
    }

    pub(super) fn evicted(&self) {
        self.evicted.inc();
    }
}
