//! How the parts beside the worker are that payments can do without: each tells when it cannot go
//! on, and when it can again. `GET /healthz` and a metric repeat it, so that nothing stops in
//! silence. Beside them stands how far the machine's clock has gone from the agent's. What each
//! fault leads to is in docs/faults.md.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex, PoisonError};

use host::clock::Clock;
use host::telemetry::Telemetry;
use host::telemetry::prometheus_client::collector::Collector;
use host::telemetry::prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use host::telemetry::prometheus_client::metrics::family::Family;
use host::telemetry::prometheus_client::metrics::gauge::{ConstGauge, Gauge};

/// What the parts told last; clones share it. The default's is counted nowhere.
#[derive(Clone, Default)]
pub(crate) struct Beside(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// By a part's word: why it is well, or why it is not.
    told: Mutex<BTreeMap<&'static str, Result<String, String>>>,
    failing: Family<[(&'static str, &'static str); 1], Gauge<i64, AtomicI64>>,
}

/// A part that scoring does without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// What a restart begins from (`snapshot.rs`).
    Snapshot,
    /// Learning from live payments (`training.rs`).
    Learning,
    /// The alert queue (`alerts.rs`).
    Alerts,
    /// Whether scoring still sees what it was made for (`watch.rs`).
    Watch,
    /// The list of payments' ids (`journal/ids.rs`), which scoring does without until memory is
    /// full.
    Ids,
    /// That old decisions leave (`journal/expiry.rs`).
    Expiry,
}

impl Part {
    pub(crate) const ALL: [Self; 6] = [
        Self::Snapshot,
        Self::Learning,
        Self::Alerts,
        Self::Watch,
        Self::Ids,
        Self::Expiry,
    ];

    /// The word in health and metric.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Learning => "learning",
            Self::Alerts => "alerts",
            Self::Watch => "watch",
            Self::Ids => "ids",
            Self::Expiry => "expiry",
        }
    }
}

impl Beside {
    /// None has told anything yet.
    pub(super) fn new(clock: Clock, telemetry: &Telemetry) -> Self {
        let beside = Self::default();
        telemetry.register(|registry| {
            let registry = registry.sub_registry_with_prefix("phalanx");
            registry.register(
                "part_failing",
                "1 while a part beside scoring cannot go on, by part",
                beside.0.failing.clone(),
            );
            registry.register_collector(Box::new(Step(clock)));
        });
        for part in Part::ALL {
            beside.gauge(part, 0);
        }
        beside
    }

    /// How a part is from here on: why it is well, or why it is not.
    pub(crate) fn tell(&self, part: Part, found: Result<String, String>) {
        self.gauge(part, i64::from(found.is_err()));
        let mut told = self.0.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.insert(part.word(), found);
    }

    /// How a part said that it is.
    pub(crate) fn of(&self, part: Part) -> Result<String, String> {
        let told = self.0.told.lock().unwrap_or_else(PoisonError::into_inner);
        let found = told.get(part.word()).cloned();
        found.unwrap_or_else(|| Ok("nothing was told of it since the start".to_owned()))
    }

    fn gauge(&self, part: Part, value: i64) {
        let labels = [("part", part.word())];
        self.0.failing.get_or_create(&labels).set(value);
    }
}

/// Whether the machine's clock and the agent's agree. The agent's was read at the start and follows
/// no step (`host/src/clock.rs`), so after one its times are wrong until it is started again.
pub(super) fn clock(clock: &Clock) -> Result<String, String> {
    let stepped_ms = clock.stepped_ms();
    let seconds = stepped_ms.unsigned_abs() as f64 / 1e3;
    if stepped_ms.abs() < STEP_MS {
        return Ok(format!(
            "the machine's clock and the agent's agree to {seconds:.3} s"
        ));
    }
    let side = if stepped_ms > 0 { "ahead of" } else { "behind" };
    Err(format!(
        "the machine's clock is {seconds:.0} s {side} the agent's, which was read at the start: \
         start the agent again once the machine's is right"
    ))
}

/// The same for whoever scrapes, at the moment of the scrape.
#[derive(Debug)]
struct Step(Clock);

impl Collector for Step {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let seconds = ConstGauge::new(self.0.stepped_ms() as f64 / 1e3);
        let kind = seconds.metric_type();
        let help = "How far the machine's clock is ahead of the agent's";
        let metric = encoder.encode_descriptor("clock_step_seconds", help, None, kind)?;
        seconds.encode(metric)
    }
}

/// A leap second is no step that anybody has to know of.
const STEP_MS: i64 = 2_000;

#[cfg(test)]
mod tests {
    use protocol::time::Time;

    use super::*;

    #[test]
    fn a_part_is_as_it_told_last() {
        let telemetry = Telemetry::default();
        let beside = Beside::new(Clock::start(), &telemetry);
        assert!(beside.of(Part::Learning).is_ok());
        let told = Err("no room".to_owned());
        beside.clone().tell(Part::Learning, told.clone());
        assert_eq!(beside.of(Part::Learning), told);
        let shows = |value: u8| {
            let line = format!("phalanx_part_failing{{part=\"learning\"}} {value}");
            telemetry.render().contains(&line)
        };
        assert!(shows(1) && beside.of(Part::Snapshot).is_ok());
        beside.tell(Part::Learning, Ok("room".to_owned()));
        assert!(shows(0));
        assert_eq!(beside.of(Part::Learning), Ok("room".to_owned()));
    }

    #[test]
    fn a_stepped_clock_is_told_with_its_side() {
        assert!(clock(&Clock::start()).is_ok());
        let (now, hour) = (Clock::start().now().0, 3_600_000);
        for (started, expected) in [(now - hour, "s ahead of"), (now + hour, "s behind")] {
            let stepped = Clock::starting_at(Time(started));
            let why = clock(&stepped).unwrap_err();
            assert!(why.contains(expected), "{why}");
        }
        let telemetry = Telemetry::default();
        let stepped = Clock::starting_at(Time(now - hour));
        let _beside = Beside::new(stepped, &telemetry);
        let text = telemetry.render();
        let line = text
            .lines()
            .find(|line| line.starts_with("phalanx_clock_step_seconds "));
        let (_, seconds) = line.unwrap().split_once(' ').unwrap();
        let seconds: f64 = seconds.parse().unwrap();
        assert!((3_600.0..3_660.0).contains(&seconds), "{text}");
    }
}
