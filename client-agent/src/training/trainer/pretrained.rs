//! What a plan pretrained tells what surprises until a model scores: a bank whose consortium has no
//! fine-tuned model yet has a score all the same, which nobody's labels went into. Which models
//! score is decided in `promotion.rs`.

use protocol::client::Installed;
use protocol::plan::{Plan, Training};

use super::{Product, Trainer, TrainingError};
use crate::scoring::Slot;
use crate::training::lately;

impl Trainer {
    /// The encoder that a plan ended with, for its surprises alone; nothing while a model scores.
    pub(super) fn install_pretrained(
        &mut self,
        plan: &Plan,
        training: &Training,
        installed: &Installed,
    ) -> Result<Option<Product>, TrainingError> {
        // Half of what a half pretrained encoder says is chance.
        if self.live.is_some() || installed.step + 1 != plan.rounds {
            return Ok(None);
        }
        // Its head is untrained, or trained on another encoder: nobody is told what it says.
        let mut bundle = self.bundle(Slot::Pretrained, training, installed)?;
        if !lately::is_pretrained(&training.model, &bundle.parameters) {
            return Ok(None);
        }
        bundle.usual = Some(self.usual(&bundle)?);
        tracing::info!(
            version = bundle.version,
            "no model scores yet: the pretrained encoder tells what surprises"
        );
        Ok(Some(Product::Model(bundle)))
    }
}
