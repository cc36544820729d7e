//! Live scoring: one worker owns encoder, models and journal; this handle puts requests, models
//! and tables into its one queue. No step waits for the coordinator.
//!
//! Reading order: `worker.rs` is the hot path from top to bottom; `request.rs` the door, with
//! `routes.rs`, `door.rs` and `http.rs` for the socket's side of it; `policy.rs`, `reasons.rs`,
//! `surprise.rs` and `ratio.rs` what a score leads to and is told with, on the scale of
//! `decision.rs`, `guard.rs` what holds declines back, `labels.rs` what payments turned out to be,
//! `problem.rs` every refusal, `remembered.rs` what is known of the past; `written.rs` how an
//! answer is told.
//! `batch.rs` scores many at once, `decisions.rs` and `scores.rs` read what was decided,
//! `account.rs` says how scoring is, with `settle.rs` for its disk and `beside.rs` for what it does
//! without; `openapi.rs` says all of it to machines. `alone.rs`
//! is the worker without thread, queue and socket. `alerts.rs` is
//! what people do about decisions; `origin.rs` keeps pages of other sites out. `tokens.rs`
//! says who may ask, `times.rs` and `deadline.rs` by when and about when.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Instant;

use crypto::Digest;
use features::{FeatureEncoder, FeatureSchema, RiskTable};
use host::clock::Clock;
use host::telemetry::Telemetry;
use model::{Calibration, ModelError, NetworkSize, Recent, Scorer, Usual};
use tokio::sync::oneshot;

use crate::journal::{Journal, JournalError};
use alerts::Alerts;
use batch::Batches;
use guard::Guard;
use meters::Meters;
use ratio::Ratio;
use request::Request;
use settle::Flushes;
use times::{Asked, Turn};
use worker::{Installed, Job, Worker};

mod account;
mod alerts;
mod alone;
mod answer;
mod batch;
mod beside;
mod deadline;
mod decision;
mod decisions;
mod door;
mod guard;
mod http;
mod labels;
mod meters;
mod openapi;
mod origin;
mod policy;
mod problem;
mod ratio;
mod reasons;
mod remembered;
mod request;
mod routes;
mod scores;
mod settings;
mod settle;
mod status;
mod surprise;
mod times;
mod tokens;
mod worker;
mod written;

pub use alone::Alone;
pub use answer::{Answer, Degraded, Head, Mode, ModelName, Reason, Remainder, Shadow, Surprise};
pub use axum::Router;
pub use decision::{Band, Decision};
pub use door::Door;
pub use labels::{LabelAnswer, LabelStatus};
pub use policy::Policy;
pub use problem::{Problem, ProblemType};
pub use routes::agent_router;
pub use settings::{AnswerAfter, Settings};
pub use times::{Behind, Times};
pub use tokens::Tokens;

pub(crate) use beside::{Beside, Part};
pub(crate) use deadline::DEADLINE_MS_MAX;
pub(crate) use decision::probability_at;
pub(crate) use origin::answer_locally;
pub(crate) use remembered::Remembered;
pub(crate) use request::{BODY_BYTES_MAX, too_large};
pub(crate) use routes::document;
pub(crate) use scores::DAYS_MAX;
pub(crate) use status::status_router;
pub(crate) use surprise::TOLD_MAX;
pub(crate) use times::AHEAD_MAX;
pub(crate) use tokens::first as first_token;
pub(crate) use written::Written;

/// Scoring; clones share the one worker, which ends after the last of them.
#[derive(Clone)]
pub struct Scoring(Arc<Inner>);

struct Inner {
    /// `None` only while dropping.
    jobs: Option<SyncSender<Job>>,
    worker: Option<JoinHandle<()>>,
    schema: FeatureSchema,
    scored: Arc<AtomicU64>,
    meters: Meters,
    clock: Clock,
    batches: Batches,
    alerts: Alerts,
    beside: Beside,
}

/// Which place a model takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// It decides.
    Live,
    /// The bank's own, asked beside the live one; it never sees the federation's risk.
    Local,
    /// An encoder whose head means nothing: it tells what surprises while no model decides, and
    /// takes the place of none that does.
    Pretrained,
}

/// A model ready to be put in place.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// Its place.
    pub slot: Slot,
    /// Whose head it has.
    pub head: Head,
    /// Length of the ledger it belongs to.
    pub version: u64,
    /// Flat parameters in the order of the layout.
    pub parameters: Arc<Vec<f32>>,
    /// Digest of the parameters, told in answers.
    pub digest: [u8; 32],
    /// Size of the network.
    pub size: NetworkSize,
    /// From logit to probability.
    pub calibration: Calibration,
    /// What its energies are over the bank's history; payments scored live come on top of it.
    /// Nothing where surprises are not asked for, or the energies mean nothing.
    pub usual: Option<Usual>,
}

impl Scoring {
    /// A worker with what is remembered of the whole journal.
    fn worker(
        clock: Clock,
        settings: Settings,
        remembered: Remembered,
        mut journal: Journal,
        telemetry: &Telemetry,
    ) -> Result<Worker, ScoringError> {
        settings.check()?;
        match settings.answer_after {
            AnswerAfter::Flush => {}
            AnswerAfter::Write => journal.flush_behind()?,
        }
        let Remembered {
            encoder, recent, ..
        } = remembered;
        let guard = Guard::start(clock.now().0, &settings.policy, &journal, telemetry)?;
        Ok(Worker {
            scored: Arc::new(AtomicU64::new(journal.len())),
            settings,
            guard,
            ratio: Ratio::of(encoder.schema()),
            encoder,
            recent,
            journal,
            labelled: Vec::new(),
            live: None,
            local: None,
            meters: Meters::new(telemetry),
            flushes: Flushes::new(telemetry),
            clock,
        })
    }

    /// Starts the worker. `encoder` has seen the bank's history; the journal's payments, which
    /// came after it, are replayed into it here with their labels, so that windows survive a
    /// restart, and so does what is usual.
    ///
    /// # Errors
    /// [`ScoringError`] on settings that contradict themselves, a journal that cannot be read, or
    /// a thread that cannot be started.
    pub fn start(
        settings: Settings,
        encoder: FeatureEncoder,
        journal: Journal,
        telemetry: &Telemetry,
    ) -> Result<Self, ScoringError> {
        let mut remembered = Remembered::new(encoder);
        remembered.catch_up(journal.follow())?;
        Self::resume(Clock::start(), settings, remembered, journal, telemetry)
    }

    /// Starts the worker with what is remembered of the history and the whole journal.
    ///
    /// # Errors
    /// [`ScoringError`] on settings that contradict themselves, or a thread that cannot be started.
    pub(crate) fn resume(
        clock: Clock,
        settings: Settings,
        remembered: Remembered,
        journal: Journal,
        telemetry: &Telemetry,
    ) -> Result<Self, ScoringError> {
        let queue_max = settings.queue_max;
        let worker = Self::worker(clock, settings, remembered, journal, telemetry)?;
        let (jobs, queue) = sync_channel(queue_max as usize);
        let batches = Batches::new(queue_max);
        let (scored, meters) = (worker.scored.clone(), worker.meters.clone());
        let schema = worker.encoder.schema().clone();
        let journal = &worker.journal;
        let (actions, beside) = (journal.actions()?, Beside::new(clock, telemetry));
        journal.telling(beside.clone());
        let alerts = Alerts::start(journal.follow(), actions, clock, telemetry, beside.clone());
        let alerts = alerts.map_err(ScoringError::Thread)?;
        let worker = std::thread::Builder::new()
            .name("scoring".to_owned())
            .spawn(move || worker.run(&queue))
            .map_err(ScoringError::Thread)?;
        Ok(Self(Arc::new(Inner {
            jobs: Some(jobs),
            worker: Some(worker),
            schema,
            scored,
            meters,
            clock,
            batches,
            alerts,
            beside,
        })))
    }

    /// The one clock of the process that scores.
    pub(crate) fn clock(&self) -> Clock {
        self.0.clock
    }

    /// Where parts that scoring does without tell how they are.
    pub(crate) fn beside(&self) -> Beside {
        self.0.beside.clone()
    }

    /// Puts a model in place between two requests: each sees exactly one version.
    ///
    /// # Errors
    /// [`ScoringError::Model`] where the parameters do not fit the schema and size; the model in
    /// place stays. [`ScoringError::Stopped`] where the worker is gone.
    pub fn install(&self, bundle: Bundle) -> Result<(), ScoringError> {
        let slot = bundle.slot;
        // What is scored until the model is in place is missing: a few payments of many.
        let installed = bundle.installed(&self.0.schema, || self.recent())?;
        match slot {
            Slot::Live => self.0.alerts.install(installed.scorer.clone()),
            Slot::Local | Slot::Pretrained => {}
        }
        self.send(Job::Install(slot, Box::new(installed)))
    }

    /// Puts the federation's risk table in place between two requests.
    ///
    /// # Errors
    /// [`ScoringError::Stopped`] where the worker is gone.
    pub fn install_risk(&self, table: Arc<RiskTable>) -> Result<(), ScoringError> {
        self.send(Job::InstallRisk(table))
    }

    /// Decisions in the journal, those of earlier runs included. Retries and questions do not
    /// count.
    #[must_use]
    pub fn scored(&self) -> u64 {
        self.0.scored.load(Ordering::Relaxed)
    }

    /// Scores one request body as `POST /v1/score` does, blocking until the answer may be told.
    /// Not for asynchronous callers.
    ///
    /// # Errors
    /// [`Problem`] where the request is refused.
    pub fn score(&self, body: &[u8]) -> Result<Answer, Problem> {
        let waiting = self.enqueue(body, Instant::now())?;
        let told = waiting.blocking_recv();
        let written = told.unwrap_or_else(|_| Err(self.stopped()))?;
        Ok(written.into_answer())
    }

    /// Checks a body and puts it into the queue; a full queue refuses at once.
    pub(crate) fn enqueue(
        &self,
        body: &[u8],
        arrived: Instant,
    ) -> Result<oneshot::Receiver<Result<Written, Problem>>, Problem> {
        self.enqueue_asked(body, arrived, Asked::default())
    }

    /// The same under the terms of whoever asks.
    fn enqueue_asked(
        &self,
        body: &[u8],
        arrived: Instant,
        asked: Asked,
    ) -> Result<oneshot::Receiver<Result<Written, Problem>>, Problem> {
        let (job, waiting) = self.score_job(body, arrived, asked, Turn::default())?;
        self.offer(job)?;
        Ok(waiting)
    }

    /// Checks a body and makes it a job, and where its answer will be.
    fn score_job(
        &self,
        body: &[u8],
        arrived: Instant,
        asked: Asked,
        turn: Turn,
    ) -> Result<(Job, oneshot::Receiver<Result<Written, Problem>>), Problem> {
        let request = Request::parse(body, self.0.clock.now().0, asked).and_then(|request| {
            self.0.schema.check(&request.transaction)?;
            Ok(request)
        });
        let request = request.map_err(|problem| self.refuse(problem))?;
        let (reply, waiting) = oneshot::channel();
        let job = Job::Score {
            request: Box::new(request),
            arrived,
            turn,
            reply,
        };
        Ok((job, waiting))
    }

    /// Puts a request into the queue, and counts it; a full queue refuses at once.
    fn offer(&self, job: Job) -> Result<(), Problem> {
        // Counted before the worker can count it out.
        self.0.meters.queued();
        self.try_send(job).map_err(|problem| {
            self.0.meters.taken();
            self.refuse(problem)
        })
    }

    /// Puts a question to the worker into the queue; a full queue refuses at once.
    fn ask<T>(
        &self,
        job: impl FnOnce(oneshot::Sender<T>) -> Job,
    ) -> Result<oneshot::Receiver<T>, Problem> {
        let (reply, waiting) = oneshot::channel();
        self.try_send(job(reply))?;
        Ok(waiting)
    }

    fn try_send(&self, job: Job) -> Result<(), Problem> {
        let Some(jobs) = &self.0.jobs else {
            unreachable!("the queue closes only with the last handle")
        };
        jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => Problem::new(
                ProblemType::Overloaded,
                "found the queue full, expected fewer requests at once",
            ),
            TrySendError::Disconnected(_) => gone(),
        })
    }

    fn refuse(&self, problem: Problem) -> Problem {
        self.0.meters.refused(problem.kind);
        problem
    }

    /// What whoever waits for an answer hears where the worker is gone.
    pub(crate) fn stopped(&self) -> Problem {
        self.refuse(gone())
    }

    /// The rows scored of late, as the worker has them.
    fn recent(&self) -> Result<Recent, ScoringError> {
        let (reply, waiting) = sync_channel(1);
        self.send(Job::Recent(reply))?;
        waiting.recv().map_err(|_| ScoringError::Stopped)
    }

    fn send(&self, job: Job) -> Result<(), ScoringError> {
        let jobs = self.0.jobs.as_ref().ok_or(ScoringError::Stopped)?;
        jobs.send(job).map_err(|_| ScoringError::Stopped)
    }
}

impl Bundle {
    /// What scores by it. The bank's own was trained without the federation's risk, so wherever it
    /// stands it is asked without it.
    ///
    /// # Errors
    /// Where the parameters do not fit the schema and size.
    pub(crate) fn scorer(&self, schema: &FeatureSchema) -> Result<Scorer, ModelError> {
        let scorer = Scorer::new(schema, self.size, &self.parameters, self.calibration)?;
        Ok(match self.head {
            Head::Local => scorer.alone(),
            Head::Federation | Head::Personal => scorer,
        })
    }

    /// The model, which knows what is usual from the rows that were scored of late.
    fn installed(
        self,
        schema: &FeatureSchema,
        recent: impl FnOnce() -> Result<Recent, ScoringError>,
    ) -> Result<Installed, ScoringError> {
        let scorer = Arc::new(self.scorer(schema)?);
        let mut usual = self.usual;
        if let Some(usual) = &mut usual {
            recent()?.enter(&scorer, usual);
        }
        let name = ModelName {
            version: self.version,
            head: self.head,
            parameters: Digest(self.digest).to_hex(),
            schema: Digest(schema.digest()).to_hex(),
        };
        Ok(Installed {
            name,
            scorer,
            is_scoring: match self.slot {
                Slot::Live | Slot::Local => true,
                Slot::Pretrained => false,
            },
            usual,
        })
    }
}

impl Drop for Inner {
    /// Answers what waits, and gives the journal's store back.
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(worker) = self.worker.take() {
            // A worker that panicked has said so itself.
            let _ = worker.join();
        }
    }
}

/// What a caller hears where the worker is gone.
fn gone() -> Problem {
    Problem::new(ProblemType::Unavailable, "the scoring worker has stopped")
}

/// Why scoring cannot start or take a model.
#[derive(Debug, thiserror::Error)]
pub enum ScoringError {
    /// A setting is out of its range.
    #[error("setting {name}: found {found}, expected {expected}")]
    Setting {
        /// Which.
        name: &'static str,
        /// Its value.
        found: String,
        /// Its range.
        expected: &'static str,
    },
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The model does not fit.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// No thread could be started.
    #[error("could not start a thread of scoring: {0}")]
    Thread(std::io::Error),
    /// The worker is gone.
    #[error("found the scoring worker stopped, expected it to run")]
    Stopped,
}

#[cfg(test)]
pub(crate) mod tests;
