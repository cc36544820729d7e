//! Local training: a [`Learner`] holds one copy of the parameters and the optimisers' moments,
//! pretrains without labels and fine-tunes with them. What is contrasted is in `contrast`, the
//! layers are in `forward`; where parameters come from and go to is the caller's business.
//!
//! Same parameters, examples and terms give the same bytes on one machine and thread count, on the
//! processor; a GPU draws alike and adds in its own order. So does a learner that was written down
//! between two calls and read back (`trainer/kept.rs`).

mod finetune;
mod kept;
mod labelled;
mod newton;
mod pretrain;
#[cfg(test)]
mod tests;

use features::FeatureSchema;
use serde::{Deserialize, Serialize};

use crate::adam::Adam;
use crate::chance::Draws;
use crate::device::Device;
use crate::error::ModelError;
use crate::examples::Examples;
use crate::network::{NetworkSize, TensorSpec, layout};
use crate::parameters;
use crate::progress::Progress;
use crate::roles::Roles;

/// A model being trained at one institution. Moments of both optimisers live as long as it does:
/// keep it between rounds, and [`Learner::keep`] them where the process may end.
pub struct Learner {
    roles: Roles,
    size: NetworkSize,
    layout: Vec<TensorSpec>,
    parameters: Vec<f32>,
    pretrain: Descent,
    finetune: Descent,
    device: Device,
}

/// Where one kind of training stands.
struct Descent {
    adam: Adam,
    /// Those of the last call, for one that goes on by the same seed.
    draws: Option<Draws>,
}

/// Terms of training without labels.
#[derive(Clone, Debug, PartialEq)]
pub struct PretrainTerms {
    /// Steps at most.
    pub steps: u32,
    /// Rows per step, at least 2.
    pub batch: u32,
    /// Adam's rate at the first step; the recipe's is 3e-3.
    pub rate: f32,
    /// Rate at the end of these steps, along a cosine; the recipe's is 2 % of the first.
    pub rate_end: f32,
    /// Seed of batches and perturbations. A call of the seed of the call before, over as many rows,
    /// goes on drawing where that one stopped.
    pub seed: u64,
    /// Evaluations (one in 25 steps) on the held-out last slice without improvement before
    /// training stops and the best parameters are restored; `None` within a federated round.
    pub patience: Option<u32>,
}

/// Terms of training with labels.
#[derive(Clone, Debug, PartialEq)]
pub struct FinetuneTerms {
    /// Steps.
    pub steps: u32,
    /// Rows per step.
    pub batch: u32,
    /// AdamW's rate for the head; the recipe's is 2e-3.
    pub rate_head: f32,
    /// AdamW's rate for the encoder; the recipe's is 5e-4, 2e-3 where nothing was pretrained.
    pub rate_encoder: f32,
    /// Share of hidden units dropped in both layers of the head, below 1.
    pub dropout: f32,
    /// Decoupled weight decay.
    pub weight_decay: f32,
    /// Strength of the pull towards the parameters at the start of the call (FedProx, Li et al.
    /// 2020); 0 leaves it out.
    pub proximal: f32,
    /// Seed of batches and dropout, which goes on as that of [`PretrainTerms`].
    pub seed: u64,
}

/// What pretraining came to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PretrainReport {
    /// Mean training loss of the last 20 steps at most.
    pub loss: f32,
    /// Loss on the held-out last slice, with perturbations that are the same at every call.
    pub held_out: f32,
    /// Alignment of z on the held-out slice: two payments in a row of one card are a pair.
    pub alignment: f32,
    /// Uniformity of z on the held-out slice.
    pub uniformity: f32,
    /// Effective rank of z on the held-out slice.
    pub effective_rank: f32,
    /// Steps taken.
    pub steps: u32,
}

/// What fine-tuning came to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FinetuneReport {
    /// Mean training loss of the last 20 steps at most.
    pub loss: f32,
    /// Labelled rows trained on.
    pub examples: u32,
    /// Frauds among them.
    pub frauds: u32,
    /// Steps taken.
    pub steps: u32,
}

/// What Newton's method needs of a bank: see [`Learner::curvature`].
#[derive(Clone, Debug, PartialEq)]
pub struct Curvature {
    /// Of the mean logistic loss over the head's weights, its bias behind them: the downward slope,
    /// then the upper triangle of the curvature, row by row.
    pub values: Vec<f32>,
    /// Loss and rows they are of, without a step.
    pub report: FinetuneReport,
}

impl Learner {
    /// A learner with these parameters and no moments yet, on the processor.
    ///
    /// # Errors
    /// If the parameters do not fit the schema's layout.
    pub fn new(
        schema: &FeatureSchema,
        size: NetworkSize,
        flat: &[f32],
    ) -> Result<Self, ModelError> {
        let layout = layout(schema, size);
        parameters::check(&layout, flat)?;
        Ok(Self {
            roles: Roles::new(schema),
            size,
            layout,
            parameters: flat.to_vec(),
            pretrain: Descent::new(flat.len()),
            finetune: Descent::new(flat.len()),
            device: Device::Cpu,
        })
    }

    /// The same learner, which computes losses and gradients on `device`. Parameters and moments
    /// stay on the host.
    ///
    /// # Errors
    /// [`ModelError::NoCuda`] where the device is not to be had.
    pub fn on(self, device: Device) -> Result<Self, ModelError> {
        device.check()?;
        Ok(Self { device, ..self })
    }

    /// Replaces the parameters and keeps the moments; draws begin again.
    ///
    /// # Errors
    /// If the parameters do not fit the layout or are not finite.
    pub fn load(&mut self, flat: &[f32]) -> Result<(), ModelError> {
        parameters::check(&self.layout, flat)?;
        self.parameters.copy_from_slice(flat);
        self.forget_draws();
        Ok(())
    }

    /// Lets draws begin again at the next call, whatever its seed. Until then the learner can say
    /// which rows the last call drew.
    pub fn forget_draws(&mut self) {
        (self.pretrain.draws, self.finetune.draws) = (None, None);
    }

    /// The parameters, flat, in the order of the layout.
    pub fn parameters(&self) -> Vec<f32> {
        self.parameters.clone()
    }

    /// Trains the encoder and the energies without labels, on all rows but the last tenth in
    /// time, on which the report's measures are taken.
    ///
    /// # Errors
    /// On rows that do not fit the schema or are not finite, fewer than 20 rows, terms out of
    /// range, or a loss that stops being a number.
    pub fn pretrain(
        &mut self,
        examples: &Examples,
        terms: &PretrainTerms,
        progress: &mut dyn Progress,
    ) -> Result<PretrainReport, ModelError> {
        examples.check(&self.roles.names)?;
        pretrain::run(self, examples, terms, progress)
    }

    /// Trains encoder and head at constant rates on the rows whose label is known. Rounds of a
    /// federation hand in the rates of their place on its schedule.
    ///
    /// # Errors
    /// As [`Learner::pretrain`], and where no label is known.
    pub fn finetune(
        &mut self,
        examples: &Examples,
        terms: &FinetuneTerms,
        progress: &mut dyn Progress,
    ) -> Result<FinetuneReport, ModelError> {
        examples.check(&self.roles.names)?;
        finetune::run(
            self,
            examples,
            terms,
            finetune::Schedule::Constant,
            progress,
        )
    }

    /// The same with rates that fall along a cosine to 2 %: for training on one's own.
    ///
    /// # Errors
    /// As [`Learner::finetune`].
    pub fn finetune_annealed(
        &mut self,
        examples: &Examples,
        terms: &FinetuneTerms,
        progress: &mut dyn Progress,
    ) -> Result<FinetuneReport, ModelError> {
        examples.check(&self.roles.names)?;
        finetune::run(self, examples, terms, finetune::Schedule::Cosine, progress)
    }

    /// Slope and curvature of the loss in a linear head, over all rows whose label is known: with
    /// those of other banks, weighted by examples, they give the step that everybody's rows would
    /// (IRLS; Hastie, Tibshirani and Friedman 2009, 4.4.1). Without dropout: it is no draw.
    /// `progress` hears of each stretch of 4,096 rows.
    ///
    /// # Errors
    /// As [`Learner::finetune`], and where the head has layers.
    pub fn curvature(
        &self,
        examples: &Examples,
        progress: &mut dyn Progress,
    ) -> Result<Curvature, ModelError> {
        examples.check(&self.roles.names)?;
        newton::run(self, examples, progress)
    }
}

impl Descent {
    fn new(parameters: usize) -> Self {
        Self {
            adam: Adam::new(parameters),
            draws: None,
        }
    }
}

/// Refuses a term outside `from..to`.
fn term(
    name: &'static str,
    found: f32,
    range: std::ops::Range<f32>,
    expected: &'static str,
) -> Result<(), ModelError> {
    if range.contains(&found) {
        Ok(())
    } else {
        Err(ModelError::Term {
            name,
            found: f64::from(found),
            expected,
        })
    }
}

/// Refuses a step whose loss or gradient is not finite; parameters stay as they were.
fn check_step(step: u32, loss: f32, gradient: &[f32]) -> Result<(), ModelError> {
    if loss.is_finite() && gradient.iter().all(|slope| slope.is_finite()) {
        Ok(())
    } else {
        Err(ModelError::Diverged { step })
    }
}

/// Mean of the newest 20 losses at most.
fn recent_mean(losses: &[f32]) -> f32 {
    let recent = &losses[losses.len().saturating_sub(20)..];
    recent.iter().sum::<f32>() / recent.len().max(1) as f32
}
