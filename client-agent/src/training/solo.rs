//! What the bank trains by itself, a round's worth at a time, so that orders go first. Its baseline
//! is the model that it could have had alone: the same network from the same first parameters, the
//! same steps on the same days, the bank's own risk only; beside it in `shadow`, everybody sees
//! what the federation gives, and where that is less, it decides itself (`trainer/rivals.rs`). Its
//! own head is the federation's, trained on: it decides where rows held out from both prefer it.

use std::sync::Arc;

use features::FeatureSchema;
use model::evaluation::is_preferred;
use model::schedule::{Best, HEAD_ROUNDS, Place, Schedule};
use model::{Bar, Calibration, Device, Examples, Learner, NetworkSize, Usual};
use protocol::genesis;
use protocol::id::PlanId;
use protocol::plan::ModelTerms;

use super::calibration::{self, Fit};
use super::solved::Solved;
use super::trainer::TrainingError;
use super::window::Judged;
use crate::courtesy::{Courteous, Stretch};
use crate::scoring::{Bundle, Head, Slot};
use crate::status::TrainingStatus;

/// One kind of training, all its rounds.
pub(super) struct Stage {
    pub(super) schedule: Schedule,
    pub(super) rounds: u32,
    pub(super) examples: Arc<Examples>,
    /// Where its steps are solved for, and `schedule` says nothing.
    pub(super) solved: Option<Solved>,
}

/// A model of the bank's own in the making.
pub(super) struct Solo {
    schema: FeatureSchema,
    size: NetworkSize,
    learner: Learner,
    pretrain: Option<Stage>,
    /// Where pretraining may stop early.
    best: Option<Best>,
    finetune: Stage,
    judged: Judged,
    aim: Aim,
    plan: PlanId,
    version: u64,
    done: u32,
}

/// What comes of it.
enum Aim {
    /// The model for comparison.
    Baseline,
    /// The bank's own head, in place of this model's; what is usual to it stays, since its encoder
    /// does.
    Head(Arc<Vec<f32>>, Option<Usual>),
}

/// How far it is.
pub(super) enum Advance {
    /// There are rounds to go.
    More(TrainingStatus),
    /// Done: the model, ready for its slot, and how it was calibrated; nothing where the model in
    /// place is to stay.
    Done(Option<Box<(Bundle, Fit)>>),
}

impl Solo {
    /// Begins a baseline of the plan's model, from what its seed says: what a plan starts from was
    /// learnt with others. `of` is the plan, and the ledger's length that the model stands beside.
    pub(super) fn baseline(
        build: (&FeatureSchema, NetworkSize, Device),
        model: &ModelTerms,
        (pretrain, mut finetune): (Option<Stage>, Stage),
        judged: Judged,
        of: (PlanId, u64),
    ) -> Result<Self, TrainingError> {
        let start = genesis::parameters(model);
        // A copy of its own, if others train on the rows with the federation's columns.
        let examples = Arc::make_mut(&mut finetune.examples);
        build.0.hide_federation(&mut examples.values);
        let stages = (pretrain, finetune);
        Self::begin(build, (&start, Aim::Baseline), stages, judged, of)
    }

    /// Begins a head on the model `start`: so many rounds' worth as `HEAD_ROUNDS` says, at a plan's
    /// rates from the first on, with the encoder as it is.
    pub(super) fn head(
        build: (&FeatureSchema, NetworkSize, Device),
        (mut finetune, start): (Stage, &Bundle),
        judged: Judged,
        of: (PlanId, u64),
    ) -> Result<Self, TrainingError> {
        finetune.rounds = HEAD_ROUNDS;
        finetune.schedule = finetune.schedule.head();
        finetune.solved = None;
        let aim = Aim::Head(Arc::clone(&start.parameters), start.usual.clone());
        let from = (&start.parameters[..], aim);
        Self::begin(build, from, (None, finetune), judged, of)
    }

    fn begin(
        (schema, size, device): (&FeatureSchema, NetworkSize, Device),
        (start, aim): (&[f32], Aim),
        (pretrain, mut finetune): (Option<Stage>, Stage),
        judged: Judged,
        (plan, version): (PlanId, u64),
    ) -> Result<Self, TrainingError> {
        finetune.schedule = finetune.schedule.alone();
        Ok(Self {
            learner: Learner::new(schema, size, start)?.on(device)?,
            schema: schema.clone(),
            size,
            pretrain,
            best: None,
            finetune,
            judged,
            aim,
            plan,
            version,
            done: 0,
        })
    }

    /// The same, whose pretraining stops after more than so many rounds without a better held-out
    /// loss, and goes back to the best of them.
    pub(super) fn patient(self, patience: Option<u32>) -> Self {
        Self {
            best: patience.map(Best::new),
            ..self
        }
    }

    /// Whether it is the baseline.
    pub(super) fn is_baseline(&self) -> bool {
        matches!(self.aim, Aim::Baseline)
    }

    /// Whether its encoder was pretrained, too.
    pub(super) fn is_pretrained(&self) -> bool {
        self.pretrain.is_some()
    }

    /// The rows that it is judged by.
    pub(super) fn judged(&self) -> &Judged {
        &self.judged
    }

    fn kind(&self) -> &'static str {
        match self.aim {
            Aim::Baseline => "baseline",
            Aim::Head(..) => "head",
        }
    }

    /// Trains the next round's worth.
    pub(super) fn advance(&mut self) -> Result<Advance, TrainingError> {
        let before = self.pretrain.as_ref().map_or(0, |stage| stage.rounds);
        if self.done == before + self.finetune.rounds {
            return Ok(Advance::Done(self.finish()?.map(Box::new)));
        }
        let stretch = Stretch::begin();
        let (seed, mut is_stale) = (self.seed(), false);
        let mut status = match &self.pretrain {
            Some(stage) if self.done < before => {
                let place = Place {
                    step: self.done,
                    rounds: stage.rounds,
                };
                let terms = stage.schedule.pretrain(place, seed);
                let mut bar = Courteous(Bar::new("baseline pretrain"));
                let report = self.learner.pretrain(&stage.examples, &terms, &mut bar)?;
                if let Some(best) = &mut self.best {
                    is_stale = best.is_stale(report.held_out, &self.learner.parameters());
                }
                TrainingStatus {
                    loss: report.loss,
                    held_out: Some(report.held_out),
                    alignment: Some(report.alignment),
                    uniformity: Some(report.uniformity),
                    effective_rank: Some(report.effective_rank),
                    examples: stage.examples.len() as u64,
                    ..TrainingStatus::default()
                }
            }
            Some(_) | None => {
                let stage = &self.finetune;
                let place = Place {
                    step: self.done - before,
                    rounds: stage.rounds,
                };
                let report = match &stage.solved {
                    Some(solved) => solved.step(&mut self.learner, &stage.examples)?,
                    None => {
                        let terms = stage.schedule.finetune(place, seed);
                        let mut bar = Courteous(Bar::new(self.kind()));
                        self.learner.finetune(&stage.examples, &terms, &mut bar)?
                    }
                };
                TrainingStatus {
                    loss: report.loss,
                    examples: u64::from(report.examples),
                    frauds: Some(u64::from(report.frauds)),
                    ..TrainingStatus::default()
                }
            }
        };
        status.kind = self.kind();
        status.step = self.done;
        status.seconds = stretch.seconds();
        status.rested_seconds = stretch.rested_seconds();
        self.done = if is_stale { before } else { self.done + 1 };
        if self.done == before {
            self.end_pretraining()?;
        }
        Ok(Advance::More(status))
    }

    /// Its rows are not needed again; its rounds still count, so that fine-tuning has the same
    /// places and seeds however early it ended.
    fn end_pretraining(&mut self) -> Result<(), TrainingError> {
        let stages = self.pretrain.iter_mut();
        stages.for_each(|stage| stage.examples = Arc::default());
        if let Some(parameters) = self.best.take().and_then(Best::into_parameters) {
            self.learner.load(&parameters)?;
        }
        Ok(())
    }

    fn finish(&self) -> Result<Option<(Bundle, Fit)>, TrainingError> {
        let parameters = self.learner.parameters();
        let (slot, head, usual) = match &self.aim {
            Aim::Baseline => (Slot::Local, Head::Local, None),
            Aim::Head(_, usual) => (Slot::Live, Head::Personal, usual.clone()),
        };
        let mut bundle = Bundle {
            slot,
            head,
            version: self.version,
            digest: genesis::model_root(&parameters).0,
            parameters: Arc::new(parameters),
            size: self.size,
            calibration: Calibration::default(),
            usual,
        };
        let fit = |of: &Bundle| calibration::fit(&self.schema, of, &self.judged);
        let fitted = fit(&bundle)?;
        if let Aim::Head(incumbent, _) = &self.aim {
            let incumbent = fit(&Bundle {
                parameters: Arc::clone(incumbent),
                ..bundle.clone()
            })?;
            let (new, old) = (fitted.probabilities(), incumbent.probabilities());
            if !is_preferred(&new, &old, &self.judged.frauds) {
                return Ok(None);
            }
        }
        bundle.calibration = fitted.calibration;
        Ok(Some((bundle, fitted)))
    }

    /// From the plan and the place alone, so that a restarted agent makes the same model again.
    fn seed(&self) -> u64 {
        let (place, kind) = (self.done.to_be_bytes(), self.kind().as_bytes());
        let parts = [&b"phalanx/solo/1\0"[..], &self.plan.0.0, &place, kind];
        let digest = crypto::sha256(&parts);
        let mut head = [0; 8];
        head.copy_from_slice(&digest.0[..8]);
        u64::from_be_bytes(head)
    }
}
