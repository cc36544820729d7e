//! What is counted of answers that are not the usual ones: overdue, or on a payment that was late.

use host::telemetry::prometheus_client::metrics::counter::Counter;
use host::telemetry::prometheus_client::metrics::family::Family;
use host::telemetry::prometheus_client::registry::Registry;

use crate::scoring::answer::Degraded;

#[derive(Default)]
pub(super) struct Lapses {
    missed: Counter,
    degraded: Family<[(&'static str, &'static str); 1], Counter>,
    late: Counter,
}

impl Lapses {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "score_deadline_missed",
            "Answers that were not ready by their deadline, whoever gave them",
            self.missed.clone(),
        );
        registry.register(
            "score_degraded",
            "Decisions that were another than usual, by reason",
            self.degraded.clone(),
        );
        registry.register(
            "events_late",
            "Payments remembered that were older than their card's newest",
            self.late.clone(),
        );
    }

    pub(super) fn missed(&self) {
        self.missed.inc();
    }

    /// What a payment's answer says that it was.
    pub(super) fn scored(&self, degraded: &[Degraded]) {
        for why in degraded {
            let labels = [("reason", why.word())];
            self.degraded.get_or_create(&labels).inc();
            match why {
                Degraded::Late => {
                    self.late.inc();
                }
                Degraded::Breaker | Degraded::Deadline => {}
            }
        }
    }
}
