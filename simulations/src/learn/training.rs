//! Training without a federation: one bank alone, as an agent makes its baseline, and one model on
//! everybody's rows, which no real consortium could make. And what both share with a federation:
//! all processors for banks that do not wait for each other, and scores.

use std::sync::{Mutex, PoisonError};

use crypto::Seed;
use features::FeatureSchema;
use model::schedule::{Best, DROPOUT, HEAD_ROUNDS, ROWS_MIN, Schedule, WEIGHT_DECAY, places};
use model::{
    Calibration, Device, Examples, FinetuneTerms, Learner, NetworkSize, PretrainTerms, Scorer,
    logits_on,
};
use protocol::genesis;
use protocol::ledger::Optimizer;
use protocol::plan::ModelTerms;

use super::Failed;
use super::book::Judged;
use super::recipe::{Kind, PRETRAIN_RATE, RATE_END, Recipe, Server, Together, schedule};

/// What is trained, and where.
#[derive(Clone, Copy)]
pub(super) struct Network<'a> {
    pub(super) schema: &'a FeatureSchema,
    pub(super) size: NetworkSize,
    pub(super) device: Device,
}

impl Network<'_> {
    /// A learner of these parameters.
    pub(super) fn learner(&self, start: &[f32]) -> Result<Learner, Failed> {
        let learner = Learner::new(self.schema, self.size, start)?;
        Ok(learner.on(self.device)?)
    }

    /// Logits of whole rows: by the kernel that agents score with, or on the GPU that was asked
    /// for.
    pub(super) fn logits(&self, parameters: &[f32], rows: &Judged) -> Result<Vec<f32>, Failed> {
        let (schema, size) = (self.schema, self.size);
        match self.device {
            Device::Cpu => {
                let scorer = Scorer::new(schema, size, parameters, Calibration::default())?;
                let scores = scorer.score(&rows.values)?;
                Ok(scores.iter().map(|score| score.logit).collect())
            }
            Device::Cuda => Ok(logits_on(
                self.device,
                schema,
                size,
                parameters,
                &rows.values,
            )?),
        }
    }
}

/// One bank's own model: the rounds of the recipe, with nobody to sum with.
pub(super) struct Alone<'a> {
    pub(super) network: Network<'a>,
    pub(super) recipe: &'a Recipe,
    pub(super) together: &'a Together,
    pub(super) model: &'a ModelTerms,
}

impl Alone<'_> {
    /// Pretrains `start` on rows without labels, as long as the recipe's patience lasts.
    pub(super) fn pretrain(
        &self,
        start: &[f32],
        rows: &Examples,
        seed: &Seed,
    ) -> Result<Vec<f32>, Failed> {
        if rows.len() < ROWS_MIN {
            return Ok(start.to_vec());
        }
        let mut learner = self.network.learner(start)?;
        let schedule = self.schedule(Kind::Pretrain);
        let mut best = self.recipe.patience.map(Best::new);
        for place in places(self.recipe.pretrain_rounds) {
            let seed = number(seed, "pretrain", place.step);
            let report = learner.pretrain(rows, &schedule.pretrain(place, seed), &mut ())?;
            if let Some(best) = &mut best
                && best.is_stale(report.held_out, &learner.parameters())
            {
                break;
            }
        }
        let best = best.and_then(Best::into_parameters);
        Ok(best.unwrap_or_else(|| learner.parameters()))
    }

    /// Fine-tunes `start` on the rows whose label is known; without any, `start` it stays.
    pub(super) fn finetune(
        &self,
        start: &[f32],
        rows: &Examples,
        seed: &Seed,
    ) -> Result<Vec<f32>, Failed> {
        if self.together.server == Server::Newton {
            return self.newton(start, rows);
        }
        let schedule = self.schedule(Kind::Finetune).alone();
        let how = (self.recipe.rounds, &schedule);
        self.rounds(start, rows, (seed, "finetune"), how)
    }

    /// Trains the head of `start` on, for the rounds and at the rates that an agent takes, with the
    /// encoder as it is; without any label, `start` it stays.
    pub(super) fn head(
        &self,
        start: &[f32],
        rows: &Examples,
        seed: &Seed,
    ) -> Result<Vec<f32>, Failed> {
        let schedule = self.schedule(Kind::Finetune).head();
        self.rounds(start, rows, (seed, "head"), (HEAD_ROUNDS, &schedule))
    }

    /// Newton's method on these rows as one bank's, whatever else would have been summed with them.
    fn newton(&self, start: &[f32], rows: &Examples) -> Result<Vec<f32>, Failed> {
        let examples = rows.labelled().len() as u64;
        let mut parameters = start.to_vec();
        if examples == 0 {
            return Ok(parameters);
        }
        let (model, together) = (self.model, self.together);
        let of = (examples, 1);
        let training = self.recipe.training(Kind::Finetune, model, together, of);
        let ranges = genesis::ranges(&model.layout, &training.parts);
        let mut optimizer = Optimizer::default();
        for _ in 0..self.recipe.rounds {
            let found = self
                .network
                .learner(&parameters)?
                .curvature(rows, &mut ())?;
            optimizer.step(&training.server, &found.values, &ranges, &mut parameters);
        }
        Ok(parameters)
    }

    fn schedule(&self, kind: Kind) -> Schedule {
        let (model, together) = (self.model, self.together);
        schedule(&self.recipe.training(kind, model, together, (1, 1)))
    }

    /// So many rounds of fine-tuning.
    fn rounds(
        &self,
        start: &[f32],
        rows: &Examples,
        (seed, label): (&Seed, &str),
        (rounds, schedule): (u32, &Schedule),
    ) -> Result<Vec<f32>, Failed> {
        if rows.labelled().is_empty() {
            return Ok(start.to_vec());
        }
        let mut learner = self.network.learner(start)?;
        for place in places(rounds) {
            let seed = number(seed, label, place.step);
            learner.finetune(rows, &schedule.finetune(place, seed), &mut ())?;
        }
        Ok(learner.parameters())
    }
}

/// Pretrains one model on everybody's rows, in one go.
pub(super) fn pretrain_pooled(
    alone: &Alone<'_>,
    start: &[f32],
    rows: &Examples,
    seed: &Seed,
) -> Result<Vec<f32>, Failed> {
    let mut learner = alone.network.learner(start)?;
    let terms = PretrainTerms {
        steps: alone.recipe.pretrain_rounds * alone.recipe.pretrain_steps,
        batch: POOLED_BATCH,
        rate: PRETRAIN_RATE,
        rate_end: PRETRAIN_RATE * RATE_END,
        seed: number(seed, "pretrain pooled", 0),
        patience: alone.recipe.patience,
    };
    learner.pretrain(rows, &terms, &mut ())?;
    Ok(learner.parameters())
}

/// Fine-tunes one model on everybody's rows by the recipe for one party: eight times through the
/// rows, and a thousand steps at least; or by as many steps of Newton's method as a federation's.
pub(super) fn finetune_pooled(
    alone: &Alone<'_>,
    start: &[f32],
    rows: &Examples,
    seed: &Seed,
) -> Result<Vec<f32>, Failed> {
    if alone.together.server == Server::Newton {
        return alone.newton(start, rows);
    }
    let mut learner = alone.network.learner(start)?;
    let passes = POOLED_PASSES * rows.labelled().len() / POOLED_BATCH as usize;
    let terms = FinetuneTerms {
        steps: u32::try_from(passes)?.max(POOLED_STEPS_MIN),
        batch: POOLED_BATCH,
        rate_head: alone.recipe.rate_head(),
        rate_encoder: alone.recipe.rate_encoder(),
        dropout: DROPOUT,
        weight_decay: WEIGHT_DECAY,
        proximal: 0.0,
        seed: number(seed, "finetune pooled", 0),
    };
    learner.finetune_annealed(rows, &terms, &mut ())?;
    Ok(learner.parameters())
}

/// Does the work of every item, on all processors; results stand in the items' order. One thread
/// each: networks this small gain nothing from more.
pub(super) fn on_all_processors<T: Send, R: Send>(
    items: Vec<T>,
    work: impl Fn(T) -> Result<R, Failed> + Sync,
) -> Result<Vec<R>, Failed> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let count = items.len();
    let waiting = Mutex::new(items.into_iter().enumerate());
    let done = Mutex::new(Vec::with_capacity(count));
    std::thread::scope(|scope| {
        for _ in 0..threads.min(count) {
            scope.spawn(|| {
                model::threads(1);
                loop {
                    let next = waiting
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .next();
                    let Some((at, item)) = next else { return };
                    let result = work(item);
                    let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                    done.push((at, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

/// The seed of one use.
pub(super) fn number(seed: &Seed, label: &str, index: u32) -> u64 {
    let bytes = seed.bytes32(label, u64::from(index));
    u64::from_be_bytes(*bytes.first_chunk().expect("32 bytes hold eight"))
}

const POOLED_BATCH: u32 = 256;
const POOLED_PASSES: usize = 8;
const POOLED_STEPS_MIN: u32 = 1_000;
