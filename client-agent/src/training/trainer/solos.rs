//! When the bank trains what for itself: a head on each model that ends a plan, then the baseline.
//! What is trained is `solo.rs`.

use std::sync::Arc;

use model::schedule::ROWS_MIN;
use protocol::plan::{Plan, Training};

use super::{Product, Trainer, TrainingError, cutoff, days};
use crate::config;
use crate::network;
use crate::scoring::Bundle;
use crate::status::BaselineStatus;
use crate::training::schedule;
use crate::training::solo::{Advance, Solo, Stage};
use crate::training::solved::Solved;
use crate::training::window::Shown;

impl Trainer {
    /// The same, whose own models are pretrained until so many rounds and one more were no better
    /// by the held-out loss; without a number for all rounds of the plan. A round of the federation
    /// is the plan's, whatever this says.
    #[must_use]
    pub fn patient(self, patience: Option<u32>) -> Self {
        Self { patience, ..self }
    }

    /// Whether a model of the bank's own is in the making.
    #[must_use]
    pub fn has_solo_work(&self) -> bool {
        !self.solos.is_empty()
    }

    /// Trains the bank's own models for a round's worth; what comes back is for scoring.
    pub fn advance_solo(&mut self) -> Vec<Product> {
        let Some(mut solo) = self.solos.pop_front() else {
            return Vec::new();
        };
        let made = match solo.advance() {
            Ok(Advance::More(status)) => {
                self.solos.push_front(solo);
                self.board.trained(status);
                return Vec::new();
            }
            Ok(Advance::Done(made)) => made,
            Err(error) => {
                tracing::warn!(%error, "a model of the bank's own could not be trained");
                None
            }
        };
        let bundles = made.map_or_else(Vec::new, |made| self.admitted(*made, &solo));
        if solo.is_baseline() {
            let baseline = match bundles.is_empty() {
                false => BaselineStatus::Ready,
                true => BaselineStatus::None,
            };
            self.board.update(|status| status.baseline = baseline);
        }
        bundles.into_iter().map(Product::Model).collect()
    }

    /// What the bank trains for itself once a plan has ended. Without a label there is nothing.
    pub(super) fn begin_solos(
        &mut self,
        plan: &Plan,
        training: &Training,
        bundle: &Bundle,
    ) -> Result<(), TrainingError> {
        let size = network::size_of(&training.model, &self.schema)?;
        let pretrain = match self.wanted.baseline {
            config::Baseline::Local => self.pretrain_stage(training)?,
            config::Baseline::Off => None,
        };
        let window = self
            .windows
            .encoded(&self.history, &self.risk, days(training))?;
        let judged = window.held_out(cutoff(training), &self.held_out);
        let examples = window.shared(cutoff(training), Shown::Trained(&self.held_out));
        let labelled = examples.labelled().len();
        if labelled == 0 {
            return Ok(());
        }
        let stage = || Stage {
            schedule: schedule::finetune(training),
            rounds: plan.rounds,
            examples: Arc::clone(&examples),
            solved: Solved::new(training, labelled),
        };
        let build = (&self.schema, size, self.device);
        let of = (plan.id(), bundle.version);
        // No head on a model that is not put in place.
        let is_in_place = self.live.is_some_and(|live| live.root.0 == bundle.digest);
        if self.wanted.head == config::Head::Personal && is_in_place {
            let head = Solo::head(build, (stage(), bundle), judged.clone(), of)?;
            self.solos.push_back(head);
        }
        if self.wanted.baseline == config::Baseline::Local {
            let stages = (pretrain, stage());
            let baseline = Solo::baseline(build, &training.model, stages, judged, of)?;
            let baseline = baseline.patient(self.patience);
            self.solos.retain(|solo| !solo.is_baseline());
            self.solos.push_back(baseline);
            self.board
                .update(|status| status.baseline = BaselineStatus::Training);
        }
        Ok(())
    }

    /// The pretraining of a baseline: that of the federation's last plan of the same lineage.
    fn pretrain_stage(&mut self, training: &Training) -> Result<Option<Stage>, TrainingError> {
        let lineage = training.model.lineage();
        let pretrained = self.pretrained.clone();
        let pretrained = pretrained.filter(|(earlier, _)| earlier.model.lineage() == lineage);
        let Some((training, rounds)) = pretrained else {
            return Ok(None);
        };
        let window = self
            .windows
            .encoded(&self.history, &self.risk, days(&training))?;
        let examples = window.shared(cutoff(&training), Shown::All);
        let is_enough = examples.len() >= ROWS_MIN;
        Ok(is_enough.then_some(Stage {
            schedule: schedule::pretrain(&training),
            rounds,
            examples,
            solved: None,
        }))
    }
}
