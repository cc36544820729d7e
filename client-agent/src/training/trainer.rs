//! What the worker computes: a contribution for each order, and what each result is good for.
//! Orders are taken as the client gives them: it has checked plan, base and consent. No clock
//! reaches a contribution; the same order on the same past gives the same bytes, on the processor.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use features::{FeatureEncoder, FeatureSchema, RiskError, RiskTable};
use model::schedule::{Place, ROWS_MIN};
use model::{Bar, Calibration, Device, Learner, ModelError, Scorer};
use protocol::bucket::BucketKey;
use protocol::client::{Contribution, Installed, Order};
use protocol::moments::Tally;
use protocol::plan::{EvaluateTerms, Evaluated, Plan, RiskTerms, ServerRule, Training, Work};
use protocol::{genesis, histogram, moments, vector};

mod live;
mod pretrained;
mod promotion;
mod released;
mod resumed;
mod rivals;
mod solos;

pub(crate) use promotion::Promotion;

use super::calibration::{self, HeldOut};
use super::lately::Lately;
use super::schedule;
use super::solo::Solo;
use super::window::{self, Shown, Windows};
use crate::config;
use crate::courtesy::{Courteous, Stretch};
use crate::history::History;
use crate::journal::Follower;
use crate::network::{self, NetworkError};
use crate::releases::Releases;
use crate::risk::{self, SharedRisk};
use crate::scoring::{Beside, Bundle, Head, Slot};
use crate::status::{Board, EvaluationStatus, TrainingStatus};
use live::Reached;
use promotion::Live;
use resumed::Pupil;
use rivals::Rivals;

/// A bank's learning: its past, its moments, and what the federation has given it.
pub struct Trainer {
    history: History,
    journal: Option<Follower>,
    reached: Reached,
    releases: Option<Releases>,
    schema: FeatureSchema,
    board: Board,
    beside: Beside,
    wanted: config::Own,
    patience: Option<u32>,
    device: Device,
    held_out: HeldOut,
    windows: Windows,
    lately: Lately,
    risk: SharedRisk,
    pupil: Pupil,
    promotion: Promotion,
    live: Option<Live>,
    rivals: Rivals,
    pretrained: Option<(Training, u32)>,
    solos: VecDeque<Solo>,
}

/// What scoring should have from now on.
#[derive(Clone, Debug)]
pub enum Product {
    /// The federation's risk table.
    Risk(Arc<RiskTable>),
    /// A model.
    Model(Bundle),
}

impl Trainer {
    /// A trainer that has heard nothing of the federation, on the processor.
    #[must_use]
    pub fn new(history: History, wanted: config::Own, board: Board) -> Self {
        board.update(|status| status.history = history.summary());
        Self {
            held_out: HeldOut::new(history.cards()),
            schema: history.schema().clone(),
            history,
            journal: None,
            reached: Reached::End,
            releases: None,
            board,
            beside: Beside::default(),
            wanted,
            patience: None,
            device: Device::Cpu,
            windows: Windows::default(),
            lately: Lately::default(),
            risk: SharedRisk::default(),
            pupil: Pupil::default(),
            promotion: Promotion::default(),
            live: None,
            rivals: Rivals::default(),
            pretrained: None,
            solos: VecDeque::new(),
        }
    }

    /// The same, whose steps are computed on this device; scores and calibration never are.
    #[must_use]
    pub fn on(self, device: Device) -> Self {
        Self { device, ..self }
    }

    /// This bank's vector for an attempt. A bank without data for the plan takes part with zeros.
    ///
    /// # Errors
    /// [`TrainingError`], told to the coordinator as it is: it names terms, never data.
    pub fn contribute(&mut self, order: &Order) -> Result<Contribution, TrainingError> {
        match &order.plan.work {
            Work::Pretrain(training) => self.pretrain(order, training),
            Work::Finetune(training) => self.finetune(order, training),
            Work::Risk(terms) => {
                let key = order
                    .bucket_key
                    .as_ref()
                    .ok_or(TrainingError::NoBucketKey)?;
                // A day is summed once: what is missing then is missing for good.
                if self.reached != Reached::End {
                    return Err(TrainingError::Unread);
                }
                self.risk.admit(terms, key)?;
                let counts = risk::count(&self.history, terms, key)?;
                Ok(Contribution::Counts(counts))
            }
            Work::Evaluate(terms) => self.evaluate(order, terms),
        }
    }

    /// Puts a result to use; what comes back is for scoring. A result that cannot be used here
    /// is reported and left: the ledger has it all the same.
    pub fn install(&mut self, installed: &Installed) -> Option<Product> {
        self.release(installed);
        let plan = installed.result.plan.plan.unverified();
        let product = match &plan.work {
            Work::Pretrain(training) => {
                self.pretrained = Some((training.clone(), plan.rounds));
                self.install_pretrained(plan, training, installed)
            }
            Work::Finetune(training) => self.install_model(plan, training, installed),
            Work::Risk(terms) => self.install_risk(terms, installed),
            Work::Evaluate(terms) => {
                if let Evaluated::Scores { .. } = terms.of {
                    self.judge(terms, installed);
                }
                Ok(None)
            }
        };
        product.unwrap_or_else(|error| {
            tracing::warn!(%error, plan = plan.name, "result is of no use here");
            None
        })
    }

    /// Reads the federation's risk counts under this key from here on; gives the table where
    /// results waited for it.
    pub fn keep(&mut self, key: BucketKey) -> Option<Product> {
        let table = self.risk.keep(key)?;
        self.board
            .update(|status| status.risk = self.risk.summary());
        Some(Product::Risk(table))
    }

    fn pretrain(
        &mut self,
        order: &Order,
        training: &Training,
    ) -> Result<Contribution, TrainingError> {
        let stretch = Stretch::begin();
        let size = network::size_of(&training.model, &self.schema)?;
        let window = self
            .windows
            .encoded(&self.history, &self.risk, days(training))?;
        let examples = window.examples(cutoff(training), Shown::All);
        if examples.len() < ROWS_MIN {
            return Ok(nothing(training));
        }
        let build = (&self.schema, size, self.device);
        let learner = self.pupil.learner(build, order, training)?;
        let terms = schedule::pretrain(training).pretrain(place(order), order.seed);
        let mut bar = Courteous(Bar::new("pretrain"));
        let report = learner.pretrain(examples, &terms, &mut bar)?;
        let after = learner.parameters();
        self.pupil.keep();
        let rows = examples.len() as u64;
        let weight = window.behind(rows);
        self.board.trained(TrainingStatus {
            round: Some(order.round.0),
            kind: "pretrain",
            step: order.step,
            loss: report.loss,
            held_out: Some(report.held_out),
            alignment: Some(report.alignment),
            uniformity: Some(report.uniformity),
            effective_rank: Some(report.effective_rank),
            examples: rows,
            frauds: None,
            seconds: stretch.seconds(),
            rested_seconds: stretch.rested_seconds(),
        });
        Ok(Contribution::Update {
            delta: changed(training, &order.parameters, &after),
            examples: weight,
        })
    }

    fn finetune(
        &mut self,
        order: &Order,
        training: &Training,
    ) -> Result<Contribution, TrainingError> {
        let stretch = Stretch::begin();
        let size = network::size_of(&training.model, &self.schema)?;
        let window = self
            .windows
            .encoded(&self.history, &self.risk, days(training))?;
        let examples = window.examples(cutoff(training), Shown::Trained(&self.held_out));
        if examples.labelled().is_empty() {
            return Ok(nothing(training));
        }
        let build = (&self.schema, size, self.device);
        let (report, values) = match training.server {
            // It has no moments: the server solves for its step, and the bank takes none.
            ServerRule::Newton(_) => {
                let learner = Learner::new(&self.schema, size, &order.parameters)?;
                let mut bar = Courteous(Bar::new("finetune"));
                let found = learner.on(self.device)?.curvature(examples, &mut bar)?;
                (found.report, found.values)
            }
            ServerRule::FedAvg { .. } | ServerRule::FedAdam(_) | ServerRule::FedYogi(_) => {
                let learner = self.pupil.learner(build, order, training)?;
                let terms = schedule::finetune(training).finetune(place(order), order.seed);
                let mut bar = Courteous(Bar::new("finetune"));
                let report = learner.finetune(examples, &terms, &mut bar)?;
                let after = learner.parameters();
                self.pupil.keep();
                (report, changed(training, &order.parameters, &after))
            }
        };
        self.board.trained(TrainingStatus {
            round: Some(order.round.0),
            kind: "finetune",
            step: order.step,
            loss: report.loss,
            examples: u64::from(report.examples),
            frauds: Some(u64::from(report.frauds)),
            seconds: stretch.seconds(),
            rested_seconds: stretch.rested_seconds(),
            ..TrainingStatus::default()
        });
        Ok(Contribution::Update {
            delta: values,
            examples: window.behind(u64::from(report.examples)),
        })
    }

    /// Calibrated logits of the federation's model, whatever head the bank decides by; identity
    /// where this model is not in place here.
    fn evaluate(
        &mut self,
        order: &Order,
        terms: &EvaluateTerms,
    ) -> Result<Contribution, TrainingError> {
        let size = network::size_of(&terms.model, &self.schema)?;
        let bins = match terms.of {
            Evaluated::Scores { bins } => bins,
            Evaluated::Moments { columns } => return self.measure(terms, columns),
        };
        let root = genesis::model_root(&order.parameters);
        let live = self.live.filter(|live| live.root == root);
        let calibration = live.map_or_else(Calibration::default, |live| live.calibration);
        let scorer = Scorer::new(&self.schema, size, &order.parameters, calibration)?;
        let days = terms.from_day..terms.to_day;
        let cutoff_day = i64::from(terms.to_day) + i64::from(terms.label_delay_days);
        let mut counts = histogram::counts([], bins);
        let (mut judged, silence) = (Ok(()), self.history.silence());
        let place = (&self.history, &self.risk, &days);
        // One by one: as many payments as the days hold, in no more memory.
        window::replay(place, FeatureEncoder::encode, |payment, vector| {
            let label = window::label_at(payment.verdict, silence, cutoff_day);
            if judged.is_err() || label.is_nan() {
                return;
            }
            judged = scorer.score(&vector.0).map(|scores| {
                let logits = scores.iter().map(|score| score.logit);
                logits.for_each(|logit| {
                    let calibrated = calibration.a * logit + calibration.b;
                    histogram::add(&mut counts, calibrated, label > 0.5);
                });
            });
        })?;
        judged?;
        Ok(Contribution::Counts(counts))
    }

    /// Totals of every column over the terms' days; a missing value is not counted.
    fn measure(&self, terms: &EvaluateTerms, columns: u32) -> Result<Contribution, TrainingError> {
        let expected = self.schema.len();
        if columns as usize != expected {
            return Err(TrainingError::Columns {
                found: columns,
                expected,
            });
        }
        let days = terms.from_day..terms.to_day;
        let mut tallies = vec![Tally::default(); expected];
        window::with_gaps(&self.history, &self.risk, &days, |values| {
            for (tally, value) in tallies.iter_mut().zip(values) {
                tally.add(*value);
            }
        })?;
        Ok(Contribution::Counts(moments::counts(&tallies)))
    }

    fn install_model(
        &mut self,
        plan: &Plan,
        training: &Training,
        installed: &Installed,
    ) -> Result<Option<Product>, TrainingError> {
        let mut bundle = self.bundle(Slot::Live, training, installed)?;
        let window = self
            .windows
            .encoded(&self.history, &self.risk, days(training))?;
        let judged = window.held_out(cutoff(training), &self.held_out);
        let fit = calibration::fit(&self.schema, &bundle, &judged)?;
        bundle.calibration = fit.calibration;
        let found = (&fit, &judged);
        let product = self.promote((training, installed), bundle.clone(), found)?;
        if installed.step + 1 == plan.rounds {
            // The federation's model is to score, whatever becomes of the bank's own.
            let given = self.rivals.given(bundle.digest).unwrap_or(bundle);
            let begun = self.begin_solos(plan, training, &given);
            if let Err(error) = begun {
                tracing::warn!(%error, "the bank's own models cannot be trained");
            }
        }
        Ok(product.map(Product::Model))
    }

    /// What the federation has given, as it is before the bank has looked at it.
    fn bundle(
        &self,
        slot: Slot,
        training: &Training,
        installed: &Installed,
    ) -> Result<Bundle, TrainingError> {
        let size = network::size_of(&training.model, &self.schema)?;
        let parameters = installed
            .parameters
            .as_ref()
            .ok_or(TrainingError::NoParameters)?;
        Ok(Bundle {
            slot,
            head: Head::Federation,
            version: installed.result.outcome.unverified().sequence,
            parameters: Arc::clone(parameters),
            digest: genesis::model_root(parameters).0,
            size,
            calibration: Calibration::default(),
            usual: None,
        })
    }

    fn install_risk(
        &mut self,
        terms: &RiskTerms,
        installed: &Installed,
    ) -> Result<Option<Product>, TrainingError> {
        let result = &installed.result;
        let under = result.manifest.unverified().bucket_key;
        let under = under.ok_or(TrainingError::NoBucketKey)?;
        let payload = vector::payload(&result.sum);
        let table = self.risk.absorb(terms, under, payload)?;
        self.board
            .update(|status| status.risk = self.risk.summary());
        Ok(table.map(Product::Risk))
    }

    fn judge(&self, terms: &EvaluateTerms, installed: &Installed) {
        self.board.evaluated(EvaluationStatus {
            round: installed.result.outcome.unverified().round.0,
            from_day: terms.from_day,
            to_day: terms.to_day,
            banks: installed.banks,
            measures: histogram::Measures::new(vector::payload(&installed.result.sum)).into(),
        });
    }
}

fn place(order: &Order) -> Place {
    Place {
        step: order.step,
        rounds: order.plan.rounds,
    }
}

fn days(training: &Training) -> Range<u32> {
    training.from_day..training.to_day
}

/// The day before whose start a label must have been known.
fn cutoff(training: &Training) -> i64 {
    i64::from(training.to_day) + i64::from(training.label_delay_days)
}

/// What the plan's parts became less what they were.
fn changed(training: &Training, before: &[f32], after: &[f32]) -> Vec<f32> {
    let ranges = genesis::ranges(&training.model.layout, &training.parts);
    let values = ranges.into_iter().flatten();
    values.map(|at| after[at] - before[at]).collect()
}

/// The part of a bank that has nothing to learn from.
fn nothing(training: &Training) -> Contribution {
    Contribution::Update {
        delta: vector::nothing(training),
        examples: 0,
    }
}

/// Why an order or a result cannot be worked on. The text goes to the coordinator: it holds
/// terms and lengths, never a value of a payment.
#[derive(Debug, thiserror::Error)]
pub enum TrainingError {
    /// The plan's model is not one of this agent's.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// Training or scoring refused.
    #[error("model: {0}")]
    Model(#[from] ModelError),
    /// What is kept of the past on disk cannot be read back.
    #[error("history: {0}")]
    History(#[from] std::io::Error),
    /// The risk counts or their sum cannot be.
    #[error("risk: {0}")]
    Risk(#[from] RiskError),
    /// Moments of another number of columns.
    #[error("plan measures {found} columns, expected the schema's {expected}")]
    Columns {
        /// The plan's.
        found: u32,
        /// Of this agent's schema.
        expected: usize,
    },
    /// Risk counts where durable payments or labels would be missing from them.
    #[error("found live payments or labels that cannot be read, expected all that is durable")]
    Unread,
    /// Risk counts without the key that merchants are hashed under.
    #[error("found no bucket key, expected one for risk counts")]
    NoBucketKey,
    /// A result of a training round without a model.
    #[error("result holds no model: its plan started from one that is not held here")]
    NoParameters,
}
