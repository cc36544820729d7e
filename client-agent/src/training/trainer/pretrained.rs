//! What a plan pretrained tells what surprises until a model scores: a bank whose consortium has no
//! fine-tuned model yet has a score all the same, which nobody's labels went into. Which models
//! score is decided in `promotion.rs`.

use std::sync::Arc;

use model::Calibration;
use protocol::client::Installed;
use protocol::genesis;
use protocol::plan::{Plan, Training};

use super::{Product, Trainer, TrainingError};
use crate::network;
use crate::scoring::{Bundle, Head, Slot};
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
        let size = network::size_of(&training.model, &self.schema)?;
        let parameters = installed
            .parameters
            .as_ref()
            .ok_or(TrainingError::NoParameters)?;
        if !lately::is_pretrained(&training.model, parameters) {
            return Ok(None);
        }
        let mut bundle = Bundle {
            slot: Slot::Pretrained,
            head: Head::Federation,
            version: installed.result.outcome.unverified().sequence,
            parameters: Arc::clone(parameters),
            digest: genesis::model_root(parameters).0,
            size,
            // Its head is untrained, or trained on another encoder: nobody is told what it says.
            calibration: Calibration::default(),
            usual: None,
        };
        bundle.usual = Some(self.usual(&bundle)?);
        tracing::info!(
            version = bundle.version,
            "no model scores yet: the pretrained encoder tells what surprises"
        );
        Ok(Some(Product::Model(bundle)))
    }
}
