//! Making durable what was journaled, and what is said of it: how long the disk took, and whether
//! it refuses. While it does, or no payment can be taken for want of room for its id, no decision
//! can be given, so `/readyz` says no and whoever sends payments turns to another agent. When a
//! batch must be durable, `worker.rs` says.

use std::time::{Duration, Instant};

use host::telemetry::Telemetry;
use host::telemetry::prometheus_client::metrics::histogram::Histogram;

use super::worker::Worker;
use crate::journal::JournalError;

/// The flushes of one worker.
pub(super) struct Flushes {
    seconds: Histogram,
    /// How long the last one took that the disk did not refuse.
    last: Option<Duration>,
    /// Hindered while no decision can be given.
    telemetry: Telemetry,
}

impl Flushes {
    pub(super) fn new(telemetry: &Telemetry) -> Self {
        let flushes = Self {
            seconds: Histogram::new(SECONDS),
            last: None,
            telemetry: telemetry.clone(),
        };
        telemetry.set_hindered(false);
        telemetry.register(|registry| {
            let registry = registry.sub_registry_with_prefix("phalanx");
            registry.register(
                "journal_flush_seconds",
                "How long the disk took to make a batch durable, refusals included",
                flushes.seconds.clone(),
            );
        });
        flushes
    }

    /// How long the last one took; nothing before the first.
    pub(super) fn last(&self) -> Option<Duration> {
        self.last
    }

    fn ended(&mut self, took: Duration, settled: &Result<(), JournalError>) {
        self.seconds.observe(took.as_secs_f64());
        if settled.is_ok() {
            self.last = Some(took);
        }
    }
}

impl Worker {
    /// Makes durable what is not. Where there is nothing, the disk is not asked and nothing is
    /// counted.
    pub(super) fn settle(&mut self) -> Result<(), JournalError> {
        let settled = match self.journal.is_settled() {
            true => Ok(()),
            false => self.flush(),
        };
        // Where ids have no room, each payment was refused by itself: what else is in the batch,
        // retries and questions, is durable or needs not be.
        let is_hindered = settled.is_err() || self.journal.check_room().is_err();
        self.flushes.telemetry.set_hindered(is_hindered);
        settled
    }

    fn flush(&mut self) -> Result<(), JournalError> {
        let began = Instant::now();
        let settled = self.journal.settle();
        self.flushes.ended(began.elapsed(), &settled);
        settled
    }
}

/// From a disk with a cache that survives a loss of power to one that stands still.
const SECONDS: [f64; 14] = [
    50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 1.0,
    2.5,
];
