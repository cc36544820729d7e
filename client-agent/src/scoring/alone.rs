//! The worker on its caller's own thread, one payment after the other: for who measures what a
//! decision costs without a thread, a queue and a socket around it. What is decided, and how, is
//! `worker.rs`; an agent that serves is [`Scoring`](super::Scoring).

use features::FeatureEncoder;
use host::clock::Clock;
use host::telemetry::Telemetry;

use super::problem::Problem;
use super::request::Request;
use super::times::Asked;
use super::worker::{Worker, undurable};
use super::{Bundle, Remembered, Scoring, ScoringError, Settings};
use crate::journal::Journal;

/// A worker alone.
pub struct Alone {
    worker: Worker,
}

impl Alone {
    /// A worker as [`Scoring::start`] makes it, but for the thread.
    ///
    /// # Errors
    /// As [`Scoring::start`].
    pub fn start(
        settings: Settings,
        encoder: FeatureEncoder,
        journal: Journal,
        telemetry: &Telemetry,
    ) -> Result<Self, ScoringError> {
        let mut remembered = Remembered::new(encoder);
        remembered.catch_up(journal.follow())?;
        let worker = Scoring::worker(Clock::start(), settings, remembered, journal, telemetry)?;
        Ok(Self { worker })
    }

    /// Puts a model in place.
    ///
    /// # Errors
    /// [`ScoringError::Model`] where the parameters do not fit the schema and size.
    pub fn install(&mut self, bundle: Bundle) -> Result<(), ScoringError> {
        let (slot, recent) = (bundle.slot, || Ok(self.worker.recent.clone()));
        let installed = bundle.installed(self.worker.encoder.schema(), recent)?;
        self.worker.install(slot, Box::new(installed));
        Ok(())
    }

    /// Scores one request body as `POST /v1/score` does, to the answer's JSON. Nobody may be told
    /// the answer before [`Self::settle`].
    ///
    /// # Errors
    /// [`Problem`] where the request is refused.
    ///
    /// # Panics
    /// Never: an answer has text keys and plain values.
    pub fn score(&mut self, body: &[u8]) -> Result<Vec<u8>, Problem> {
        let request = Request::parse(body, self.worker.clock.now().0, Asked::default())?;
        self.worker.encoder.schema().check(&request.transaction)?;
        let (written, _) = self.worker.handle_request(request)?;
        Ok(written.into_json())
    }

    /// Takes everything scored so far to where it can be told of, as the settings have it.
    ///
    /// # Errors
    /// [`Problem`] where the journal cannot be written.
    pub fn settle(&mut self) -> Result<(), Problem> {
        self.worker.heed();
        let settled = self.worker.settle();
        settled.map_err(|error| undurable(&error))
    }
}
