//! What the stream counts; no subject, token or id is a label.

use std::sync::Arc;

use host::telemetry::Telemetry;
use host::telemetry::prometheus_client::metrics::counter::Counter;
use host::telemetry::prometheus_client::metrics::family::Family;
use host::telemetry::prometheus_client::metrics::gauge::Gauge;

/// The stream's metrics; clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meters(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    connected: Gauge,
    messages: Family<[(&'static str, &'static str); 1], Counter>,
    lag: Family<[(&'static str, &'static str); 1], Gauge>,
}

/// How a message ended, or that it did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Scored,
    Replayed,
    Whatif,
    Labelled,
    Refused,
    GivenBack,
    /// An alarm of the watch that the stream has.
    Alert,
    /// One that found no room to wait.
    AlertLeftOut,
}

impl Meters {
    pub(crate) fn new(telemetry: &Telemetry) -> Self {
        let meters = Self::default();
        telemetry.register(|registry| {
            let r = registry.sub_registry_with_prefix("phalanx_nats");
            let connected = meters.0.connected.clone();
            r.register("connected", "1 while a server of NATS is", connected);
            let messages = meters.0.messages.clone();
            r.register("messages", "Messages of the stream, by outcome", messages);
            let lag = meters.0.lag.clone();
            r.register("lag", "Messages that wait in the stream, by feed", lag);
        });
        meters
    }

    pub(super) fn connected(&self, is_up: bool) {
        self.0.connected.set(i64::from(is_up));
    }

    pub(super) fn ended(&self, ended: Ended) {
        let labels = [("outcome", ended.word())];
        self.0.messages.get_or_create(&labels).inc();
    }

    /// So many turns of alarms found no room to wait for the stream.
    pub(super) fn left_out(&self, turns: u64) {
        if turns > 0 {
            let labels = [("outcome", Ended::AlertLeftOut.word())];
            self.0.messages.get_or_create(&labels).inc_by(turns);
        }
    }

    pub(super) fn lag(&self, feed: &'static str, messages: u64) {
        let messages = i64::try_from(messages).unwrap_or(i64::MAX);
        self.0.lag.get_or_create(&[("feed", feed)]).set(messages);
    }
}

#[cfg(test)]
impl Meters {
    /// Counts something of every family, for who holds the list of metrics against the code.
    pub(crate) fn touch(&self) {
        self.ended(Ended::Scored);
        self.lag("payments", 0);
    }
}

impl Ended {
    fn word(self) -> &'static str {
        match self {
            Self::Scored => "scored",
            Self::Replayed => "replayed",
            Self::Whatif => "whatif",
            Self::Labelled => "labelled",
            Self::Refused => "refused",
            Self::GivenBack => "given_back",
            Self::Alert => "alert",
            Self::AlertLeftOut => "alert_left_out",
        }
    }
}
