//! The model that the bank could have had alone: the same network from the same first parameters,
//! the same steps on the same days, the bank's own risk only. Beside it in `shadow`, everybody
//! sees what the federation gives. Trained a round's worth at a time, so that orders go first.

use std::sync::Arc;
use std::time::Instant;

use features::FeatureSchema;
use model::schedule::Place;
use model::{Bar, Examples, Learner, NetworkSize};
use protocol::genesis;
use protocol::id::PlanId;
use protocol::plan::Training;

use super::calibration;
use super::schedule;
use super::trainer::TrainingError;
use super::window::Judged;
use crate::scoring::{Bundle, Slot};
use crate::status::TrainingStatus;

/// One kind of training, all its rounds.
pub(super) struct Stage {
    pub(super) training: Training,
    pub(super) rounds: u32,
    pub(super) examples: Examples,
}

/// A baseline in the making.
pub(super) struct Baseline {
    schema: FeatureSchema,
    size: NetworkSize,
    learner: Learner,
    pretrain: Option<Stage>,
    finetune: Stage,
    judged: Judged,
    plan: PlanId,
    version: u64,
    done: u32,
}

/// How far it is.
pub(super) enum Advance {
    /// There are rounds to go.
    More(TrainingStatus),
    /// Done: the model, ready for its slot.
    Done(Box<Bundle>),
}

impl Baseline {
    /// Begins. `version` is the ledger's length that the model stands beside.
    pub(super) fn new(
        schema: &FeatureSchema,
        size: NetworkSize,
        (pretrain, mut finetune): (Option<Stage>, Stage),
        mut judged: Judged,
        (plan, version): (PlanId, u64),
    ) -> Result<Self, TrainingError> {
        let start = genesis::parameters(&finetune.training.model);
        schema.hide_federation(&mut finetune.examples.values);
        schema.hide_federation(&mut judged.values);
        // Alone, there is nobody to stay near to.
        finetune.training.proximal = 0.0;
        Ok(Self {
            schema: schema.clone(),
            size,
            learner: Learner::new(schema, size, &start)?,
            pretrain,
            finetune,
            judged,
            plan,
            version,
            done: 0,
        })
    }

    /// Trains the next round's worth.
    pub(super) fn advance(&mut self) -> Result<Advance, TrainingError> {
        let before = self.pretrain.as_ref().map_or(0, |stage| stage.rounds);
        if self.done == before + self.finetune.rounds {
            return Ok(Advance::Done(Box::new(self.finish()?)));
        }
        let started = Instant::now();
        let seed = self.seed();
        let mut status = match &self.pretrain {
            Some(stage) if self.done < before => {
                let place = Place {
                    step: self.done,
                    rounds: stage.rounds,
                };
                let terms = schedule::pretrain(&stage.training, place, seed);
                let mut bar = Bar::new("baseline pretrain");
                let report = self.learner.pretrain(&stage.examples, &terms, &mut bar)?;
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
                let terms = schedule::finetune(&stage.training, place, seed);
                let mut bar = Bar::new("baseline finetune");
                let report = self.learner.finetune(&stage.examples, &terms, &mut bar)?;
                TrainingStatus {
                    loss: report.loss,
                    examples: u64::from(report.examples),
                    frauds: Some(u64::from(report.frauds)),
                    ..TrainingStatus::default()
                }
            }
        };
        status.kind = "baseline";
        status.step = self.done;
        status.seconds = started.elapsed().as_secs_f64();
        self.done += 1;
        if self.done == before {
            // The rows of pretraining are not needed again; its rounds still count.
            self.pretrain
                .iter_mut()
                .for_each(|stage| stage.examples = Examples::default());
        }
        Ok(Advance::More(status))
    }

    fn finish(&self) -> Result<Bundle, TrainingError> {
        let parameters = self.learner.parameters();
        let calibration = calibration::fit(&self.schema, self.size, &parameters, &self.judged)?;
        Ok(Bundle {
            slot: Slot::Local,
            version: self.version,
            digest: genesis::model_root(&parameters).0,
            parameters: Arc::new(parameters),
            size: self.size,
            calibration,
        })
    }

    /// From the plan and the place alone, so that a restarted agent makes the same model again.
    fn seed(&self) -> u64 {
        let place = self.done.to_be_bytes();
        let digest = crypto::sha256(&[b"phalanx/baseline/1\0", &self.plan.0.0, &place]);
        let mut head = [0; 8];
        head.copy_from_slice(&digest.0[..8]);
        u64::from_be_bytes(head)
    }
}
