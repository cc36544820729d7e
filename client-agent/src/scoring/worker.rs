//! The hot path, top to bottom: a batch of whatever waits, each payment read against what was
//! known before it, scored, decided, journaled, remembered; one flush; then the answers. One thread
//! owns all state, in order of arrival, and waits for the disk alone: for its own flush, unless the
//! bank has that go on behind (`settle.rs`), and where the list of ids is as far behind as it may
//! be, for that of the thread that writes it (`journal/ids.rs`). What it tells to who reads along
//! costs it no more than a copy.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::Instant;

use features::{FeatureEncoder, FeatureVector, RiskTable};
use host::clock::Clock;
use model::{Judged, Recent, Scorer, Usual};
use tokio::sync::oneshot;

use super::account::Account;
use super::answer::{Answer, Degraded, Mode, ModelName, Reason, Remainder, Shadow, Surprise};
use super::decision::score;
use super::decisions::{Found, Sought};
use super::guard::Guard;
use super::labels::{self, Item, LabelAnswer};
use super::meters::{Meters, Outcome};
use super::problem::{Problem, ProblemType};
use super::ratio::Ratio;
use super::reasons;
use super::request::{Purpose, Request};
use super::settle::Flushes;
use super::times::Turn;
use super::written::Written;
use super::{Settings, Slot, surprise};
use crate::journal::{Entry, Follower, Journal, JournalError, Told};

/// All that scoring remembers.
pub(super) struct Worker {
    pub(super) settings: Settings,
    /// Holds declines back while there are too many.
    pub(super) guard: Guard,
    pub(super) encoder: FeatureEncoder,
    /// Where its vectors hold the plain rule; nothing where they do not.
    pub(super) ratio: Option<Ratio>,
    /// What the next model will be shown.
    pub(super) recent: Recent,
    pub(super) journal: Journal,
    /// Answers to labels, which wait for the journal.
    pub(super) labelled: Vec<Labelled>,
    /// The model that decides, or for want of one an encoder.
    pub(super) live: Option<Box<Installed>>,
    pub(super) local: Option<Box<Installed>>,
    pub(super) scored: Arc<AtomicU64>,
    pub(super) meters: Meters,
    pub(super) flushes: Flushes,
    pub(super) clock: Clock,
}

/// A model in its place.
pub(super) struct Installed {
    pub(super) name: ModelName,
    /// The alert queue asks it too.
    pub(super) scorer: Arc<Scorer>,
    /// Whether its scores mean something; of an encoder alone its surprises do.
    pub(super) is_scoring: bool,
    /// Goes on with every payment that is remembered.
    pub(super) usual: Option<Usual>,
}

/// What waits in the queue.
pub(super) enum Job {
    /// A request, when it arrived, and who waits for its turn and its answer.
    Score {
        request: Box<Request>,
        arrived: Instant,
        turn: Turn,
        reply: oneshot::Sender<Result<Written, Problem>>,
    },
    /// Labels, and who waits for their answers.
    Label {
        items: Vec<Result<Item, Problem>>,
        reply: oneshot::Sender<Result<Vec<LabelAnswer>, Problem>>,
    },
    /// A model.
    Install(Slot, Box<Installed>),
    /// The federation's risk table.
    InstallRisk(Arc<RiskTable>),
    /// Who is about to install a model asks for the rows of late.
    Recent(SyncSender<Recent>),
    /// Somebody looks for a decision of the past.
    Find(Sought, oneshot::Sender<Result<Option<Found>, Problem>>),
    /// Somebody wants to read the journal, on a thread of its own.
    Follow(oneshot::Sender<Follower>),
    /// Somebody asks how the worker is.
    Account(oneshot::Sender<Account>),
}

/// An answer that waits for the journal.
struct Ready {
    outcome: Result<(Written, Outcome), Problem>,
    arrived: Instant,
    deadline: Option<Instant>,
    reply: oneshot::Sender<Result<Written, Problem>>,
}

/// Answers to labels that wait for the journal.
pub(super) struct Labelled {
    answers: Vec<LabelAnswer>,
    reply: oneshot::Sender<Result<Vec<LabelAnswer>, Problem>>,
}

impl Worker {
    /// Works until the last handle is dropped and the queue is empty.
    pub(super) fn run(mut self, queue: &Receiver<Job>) {
        while let Some(first) = self.next(queue) {
            let batch = std::iter::once(first)
                .chain(queue.try_iter())
                .take(BATCH_MAX);
            let ready: Vec<Ready> = batch.filter_map(|job| self.handle_job(job)).collect();
            self.answer(ready);
        }
        self.leave();
    }

    fn handle_job(&mut self, job: Job) -> Option<Ready> {
        match job {
            Job::Score {
                request,
                arrived,
                turn,
                reply,
            } => {
                turn.come();
                self.meters.taken();
                let deadline = request.asked.deadline;
                let outcome = self.handle_request(*request);
                Some(Ready {
                    outcome,
                    arrived,
                    deadline,
                    reply,
                })
            }
            Job::Label { items, reply } => {
                self.meters.taken();
                let answers = items.iter().map(|item| self.label(item)).collect();
                self.labelled.push(Labelled { answers, reply });
                None
            }
            Job::Install(slot, installed) => {
                self.install(slot, installed);
                None
            }
            Job::InstallRisk(table) => {
                self.encoder.install_risk(table);
                None
            }
            Job::Recent(reply) => {
                // Who asked may be gone.
                let _ = reply.send(self.recent.clone());
                None
            }
            Job::Find(sought, reply) => {
                // Who asked may be gone.
                let _ = reply.send(self.find(&sought));
                None
            }
            Job::Follow(reply) => {
                // Who asked may be gone.
                let _ = reply.send(self.journal.follow());
                None
            }
            Job::Account(reply) => {
                // Who asked may be gone.
                let _ = reply.send(self.account());
                None
            }
        }
    }

    /// A retry is answered from the journal; a question leaves no trace; everything else is read
    /// against what came before it, judged, journaled and then remembered, and told to who reads
    /// the journal along.
    pub(super) fn handle_request(
        &mut self,
        request: Request,
    ) -> Result<(Written, Outcome), Problem> {
        let degraded = self.degraded(&request);
        match request.purpose {
            Purpose::Whatif => {
                let vector = self.encoder.preview(&request.transaction);
                let said = self.ask_live(&vector, &degraded);
                let mut answer = self.judge(&request, &vector, said.as_ref(), degraded);
                self.guard.look(&mut answer);
                return Ok((Written::of(answer), Outcome::Whatif));
            }
            Purpose::Authorise | Purpose::Advice => {}
        }
        let found = self.journal.find(&request.transaction.txn_id);
        if let Some(entry) = found.map_err(|error| undurable(&error))? {
            return replay(&entry, &request);
        }
        let (now_ms, ts) = (self.clock.now().0, request.transaction.ts);
        request.asked.refuse_stale(now_ms, ts, &self.encoder)?;
        let read = self.encoder.read_first(&request.transaction);
        let said = self.ask_live(&read.vector, &degraded);
        self.prepare(request.transaction.day());
        let mut answer = self.judge(&request, &read.vector, said.as_ref(), degraded);
        let (decided, sequence) = (answer.decision, self.journal.len());
        self.guard.weigh(&mut answer);
        // In order of time; unique even if a journal is lost and its numbers begin again.
        answer.decision_id = Some(format!("{:012x}-{sequence:x}", answer.scored_at));
        let payment = request.transaction;
        let entry = Entry {
            txn_id: payment.txn_id.clone(),
            digest: request.digest.0,
            transaction: request.canonical,
            answer: Written::text_of(&answer),
            vector: read.vector.0.clone(),
        };
        self.journal
            .append(&entry)
            .map_err(|error| undurable(&error))?;
        // Only what is journaled counts and is remembered: a refused payment leaves no trace, and
        // a restart finds the windows as they were.
        self.guard.count(answer.scored_at, decided);
        self.encoder.remember(&payment, &read);
        self.remember(payment.day(), &read.vector, said.as_ref());
        let answer = Arc::new(answer);
        let told = Told::new(sequence, payment, Arc::clone(&answer), entry.vector);
        self.journal.tell(told);
        Ok((Written::new(answer, entry.answer), Outcome::Scored))
    }

    fn label(&mut self, item: &Result<Item, Problem>) -> LabelAnswer {
        let (now_ms, places) = (self.clock.now().0, (&mut self.journal, &mut self.encoder));
        let answer = labels::take(now_ms, item, places);
        if let Some(problem) = &answer.problem {
            self.meters.refused(problem.kind);
        }
        answer
    }

    /// What is unusual about a request, told before its payment is remembered. Whether it is
    /// overdue is looked at once, so that the answer says what was done.
    fn degraded(&self, request: &Request) -> Vec<Degraded> {
        let is_overdue = request.asked.is_overdue(Instant::now());
        let is_late = self.encoder.is_late(&request.transaction);
        let found = [(Degraded::Deadline, is_overdue), (Degraded::Late, is_late)];
        let found = found.into_iter().filter(|(_, is_so)| *is_so);
        found.map(|(why, _)| why).collect()
    }

    /// What the live model says of a vector. It is not asked for an answer that is overdue.
    fn ask_live(&self, vector: &FeatureVector, degraded: &[Degraded]) -> Option<Judged> {
        let live = self.live.as_deref()?;
        match degraded.contains(&Degraded::Deadline) {
            true => None,
            false => self.ask(&live.scorer, &vector.0),
        }
    }

    /// Computes what is usual for the live model once a day.
    fn prepare(&mut self, day: i32) {
        if let Some(usual) = self.usual_mut() {
            usual.prepare(day);
        }
    }

    /// What this payment was belongs to what is usual for later ones.
    fn remember(&mut self, day: i32, vector: &FeatureVector, said: Option<&Judged>) {
        self.recent.push(day, &vector.0);
        if let Some((usual, said)) = self.usual_mut().zip(said) {
            usual.remember(day, 1, &said.energies);
        }
    }

    fn usual_mut(&mut self) -> Option<&mut Usual> {
        self.live.as_mut()?.usual.as_mut()
    }

    /// Decides by what the live model said, and gives reasons.
    fn judge(
        &self,
        request: &Request,
        vector: &FeatureVector,
        said: Option<&Judged>,
        degraded: Vec<Degraded>,
    ) -> Answer {
        let (live, schema) = (self.live.as_deref(), self.encoder.schema());
        let asked = live.zip(said.map(|said| said.score));
        let judged = asked.filter(|(live, _)| live.is_scoring);
        let usual = live.and_then(|live| live.usual.as_ref());
        let surprise = usual.zip(said).map_or_else(Vec::new, |(usual, said)| {
            let day = request.transaction.day();
            surprise::figures(schema, &usual.surprises(day, &said.energies))
        });
        let points = judged.map(|(_, judged)| score(judged.probability));
        let label_free = surprise::label_free(schema, &surprise);
        let policy = &self.settings.policy;
        let verdict = policy.judge(request.transaction.rail, points, label_free);
        let explained = judged.filter(|_| policy.is_explained(points));
        let (reasons, remainder) = match explained {
            Some((live, _)) => self.reasons(live, request, vector, &surprise),
            None if verdict.is_label_free => (self.told(Vec::new(), &surprise), None),
            None => (Vec::new(), None),
        };
        Answer {
            decision_id: None,
            txn_id: request.transaction.txn_id.clone(),
            scored_at: self.clock.now().0,
            score: points,
            probability: judged.map(|(_, judged)| judged.probability),
            logit: judged.map(|(_, judged)| judged.logit),
            label_free,
            ratio: self.ratio.as_ref().and_then(|ratio| ratio.read(vector)),
            decision: verdict.decision,
            band: verdict.band,
            decision_rule: verdict.rule,
            policy: policy.name().version.clone(),
            reasons,
            remainder,
            surprise,
            risk_age_days: self.encoder.risk_age_days(request.transaction.day()),
            model: asked.map(|(live, _)| live.name.clone()),
            shadow: match degraded.contains(&Degraded::Deadline) {
                true => None,
                false => self.shadow(vector),
            },
            degraded,
            mode: if judged.is_some() {
                Mode::Full
            } else {
                Mode::Fallback
            },
            replayed: false,
            unknown_fields: request.unknown_fields,
            latency_us: 0,
        }
    }

    /// What raises the score, and beside it what surprises.
    fn reasons(
        &self,
        live: &Installed,
        request: &Request,
        vector: &FeatureVector,
        figures: &[Surprise],
    ) -> (Vec<Reason>, Option<Remainder>) {
        let (scorer, encoder) = (&live.scorer, &self.encoder);
        // The row was scored a moment ago, so it is finite and whole.
        let Ok(attribution) = scorer.attribution(&vector.0) else {
            return (Vec::new(), None);
        };
        let payment = &request.transaction;
        let told = reasons::explain(scorer, encoder, payment, vector, &attribution);
        let told = self.told(told, figures);
        let remainder = reasons::remainder(&attribution, &told);
        (told, Some(remainder))
    }

    /// Reasons of a score, and beside them what surprises, as many as the policy wants.
    fn told(&self, mut told: Vec<Reason>, figures: &[Surprise]) -> Vec<Reason> {
        let strange = surprise::explain(self.encoder.schema(), figures, &told);
        told.extend(strange);
        told.truncate(self.settings.policy.reasons_max());
        told
    }

    /// What the bank's own model says.
    fn shadow(&self, vector: &FeatureVector) -> Option<Shadow> {
        let local = self.local.as_deref()?;
        let judged = self.ask(&local.scorer, &vector.0)?;
        Some(Shadow {
            bundle: "local".to_owned(),
            probability: judged.score.probability,
            logit: judged.score.logit,
        })
    }

    /// A model that refuses the numbers, or answers with none, counts as no model: a payment is
    /// answered in any case.
    fn ask(&self, scorer: &Scorer, values: &[f32]) -> Option<Judged> {
        let judged = scorer.judge(values).ok();
        let judged = judged.filter(|judged| judged.score.probability.is_finite());
        if judged.is_none() {
            self.meters.model_refused();
        }
        judged
    }

    pub(super) fn install(&mut self, slot: Slot, installed: Box<Installed>) {
        match slot {
            Slot::Live => {
                self.meters.installed(installed.name.version);
                self.live = Some(installed);
            }
            Slot::Local => self.local = Some(installed),
            // What scores tells surprises too, and stays.
            Slot::Pretrained => {
                if self.live.as_ref().is_none_or(|live| !live.is_scoring) {
                    self.live = Some(installed);
                }
            }
        }
    }

    /// Settles the batch, then answers: a decision that was told survives a crash, of the machine
    /// too unless the bank has it told before (`settle.rs`).
    fn answer(&mut self, ready: Vec<Ready>) {
        let settled = self.settle();
        self.meters.remembered(&self.encoder);
        self.scored.store(self.journal.len(), Ordering::Relaxed);
        for Ready {
            outcome,
            arrived,
            deadline,
            reply,
        } in ready
        {
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                self.meters.missed();
            }
            let outcome = match (&settled, outcome) {
                (Err(error), Ok(_)) => Err(undurable(error)),
                (Ok(()) | Err(_), outcome) => outcome,
            };
            let answered = outcome.map(|(written, outcome)| {
                let latency = arrived.elapsed();
                self.meters.answered(written.answer(), outcome, latency);
                written.after(latency)
            });
            if let Err(problem) = &answered {
                self.meters.refused(problem.kind);
            }
            // Who gave up waiting finds the answer by a retry.
            let _ = reply.send(answered);
        }
        for Labelled { answers, reply } in self.labelled.drain(..) {
            let answered = match &settled {
                Ok(()) => Ok(answers),
                Err(error) => Err(undurable(error)),
            };
            if let Err(problem) = &answered {
                self.meters.refused(problem.kind);
            }
            // Likewise.
            let _ = reply.send(answered);
        }
    }
}

/// The stored answer to the same payment; another payment under the same id is refused.
fn replay(entry: &Entry, request: &Request) -> Result<(Written, Outcome), Problem> {
    if entry.digest != request.digest.0 {
        return Err(Problem::of_field(
            ProblemType::TxnIdConflict,
            "txn_id",
            "another payment under the same id",
            "an id of its own for each payment, or the same payment in a retry",
        ));
    }
    let stored: Result<Answer, _> = serde_json::from_str(&entry.answer);
    let mut answer = stored.map_err(|_| {
        Problem::new(
            ProblemType::Unavailable,
            "the journal's answer cannot be read",
        )
    })?;
    answer.replayed = true;
    Ok((Written::of(answer), Outcome::Replayed))
}

pub(super) fn undurable(error: &JournalError) -> Problem {
    tracing::error!(%error, "the journal failed: no decision can be made durable");
    Problem::new(ProblemType::Unavailable, "the journal cannot be written")
}

/// Requests that share one flush: enough to fill the flush's own time, few enough that the first
/// does not wait long for the last.
const BATCH_MAX: usize = 64;
