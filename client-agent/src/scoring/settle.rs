//! Settling what was journaled, so that it can be told: by a flush, or where the bank has it told
//! once it is written, before one (`AnswerAfter`). And what is said of it: how long the disk took,
//! and whether it refuses. While it does, or no payment can be taken for want of room for its id,
//! no decision can be given, so `/readyz` says no and whoever sends payments turns to another
//! agent. When a batch must be settled, `worker.rs` says.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use host::telemetry::Telemetry;
use host::telemetry::prometheus_client::metrics::histogram::Histogram;

use super::worker::{Job, Worker};
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

    fn ended(&mut self, took: Duration, is_ok: bool) {
        self.seconds.observe(took.as_secs_f64());
        if is_ok {
            self.last = Some(took);
        }
    }
}

impl Worker {
    /// Settles what is not. Where there is nothing, the disk is not asked and nothing is counted.
    pub(super) fn settle(&mut self) -> Result<(), JournalError> {
        let settled = match self.journal.is_settled() {
            true => Ok(()),
            false => self.keep(),
        };
        // Where ids have no room, each payment was refused by itself: what else is in the batch,
        // retries and questions, is settled or needs not be.
        let is_hindered = settled.is_err() || self.journal.check_room().is_err();
        self.flushes.telemetry.set_hindered(is_hindered);
        settled
    }

    fn keep(&mut self) -> Result<(), JournalError> {
        let began = Instant::now();
        let settled = self.journal.settle();
        // A flush behind is counted when it has ended.
        if settled.is_err() || self.journal.in_doubt() == 0 {
            self.flushes.ended(began.elapsed(), settled.is_ok());
        }
        settled
    }

    /// What is next in the queue; nothing once nobody can ask any more. While flushes go on behind
    /// answers, it looks now and then how they ended.
    pub(super) fn next(&mut self, queue: &Receiver<Job>) -> Option<Job> {
        loop {
            self.heed();
            if self.journal.in_doubt() == 0 {
                return queue.recv().ok();
            }
            match queue.recv_timeout(HEED_EVERY) {
                Ok(job) => return Some(job),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    /// Hears of a flush behind. What a disk refuses there was told already, so nobody is left to
    /// hear it but who supervises.
    pub(super) fn heed(&mut self) {
        let Some((took, heard)) = self.journal.heed() else {
            return;
        };
        self.flushes.ended(took, heard.is_ok());
        if let Err(error) = heard {
            let in_doubt = self.journal.in_doubt();
            tracing::error!(%error, in_doubt, "the journal failed: decisions that were told may be \
                lost when this machine goes down, and no other can be taken");
            self.flushes.telemetry.set_hindered(true);
        }
    }

    /// Makes durable what was told, before the worker goes.
    pub(super) fn leave(&mut self) {
        if self.journal.in_doubt() == 0 {
            return;
        }
        if let Err(error) = self.journal.flush() {
            tracing::error!(%error, "the journal failed: its last decisions may be lost");
        }
    }
}

/// From a disk with a cache that survives a loss of power to one that stands still.
const SECONDS: [f64; 14] = [
    50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 1.0,
    2.5,
];

/// How often a worker that has nothing to do looks how the flush behind it ended.
const HEED_EVERY: Duration = Duration::from_millis(2);
