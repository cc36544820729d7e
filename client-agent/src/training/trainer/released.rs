//! What a plan ended with is kept in the bank's store, so that it can be handed on as a file, and
//! later plans start from it after any number of others. How it is kept is `releases.rs`.

use crypto::Digest;
use model::checkpoint::{Checkpoint, Provenance};
use protocol::client::Installed;
use protocol::genesis;
use protocol::plan::{Training, Work};

use super::Trainer;
use crate::network;
use crate::releases::Releases;

impl Trainer {
    /// The same, which keeps what plans end with.
    #[must_use]
    pub fn releasing(self, releases: Releases) -> Self {
        Self {
            releases: Some(releases),
            ..self
        }
    }

    /// Keeps the model of a training plan's last result. That it cannot is reported: the ledger
    /// has it all the same.
    pub(super) fn release(&self, installed: &Installed) {
        let plan = installed.result.plan.plan.unverified();
        let (Work::Pretrain(training) | Work::Finetune(training)) = &plan.work else {
            return;
        };
        let Some(releases) = &self.releases else {
            return;
        };
        if installed.step + 1 != plan.rounds {
            return;
        }
        match self.keep_release(releases, training, installed) {
            Ok(Some(root)) => {
                tracing::info!(model = root.to_hex(), "kept: later plans may start from it");
            }
            // It started from a model that is not held here.
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "what the plan ended with is not kept"),
        }
    }

    fn keep_release(
        &self,
        releases: &Releases,
        training: &Training,
        installed: &Installed,
    ) -> Result<Option<Digest>, String> {
        let checkpoint = self.checkpoint(training, installed)?;
        let kept = checkpoint.map(|checkpoint| releases.keep(&checkpoint));
        kept.transpose().map_err(|error| error.to_string())
    }

    /// A result's model as a file says it; nothing where it started from one that is not held here.
    pub(super) fn checkpoint(
        &self,
        training: &Training,
        installed: &Installed,
    ) -> Result<Option<Checkpoint>, String> {
        let Some(parameters) = &installed.parameters else {
            return Ok(None);
        };
        let result = &installed.result;
        let plan = result.plan.plan.unverified();
        let size = network::size_of(&training.model, &self.schema);
        let size = size.map_err(|error| error.to_string())?;
        let made = Checkpoint::new(&self.schema, size, parameters.to_vec());
        let mut checkpoint = made.map_err(|error| error.to_string())?;
        let rounds = u64::from(installed.step) + 1;
        checkpoint.card.steps = rounds * u64::from(training.steps);
        checkpoint.card.release = Some(Provenance {
            root: genesis::model_root(parameters).to_hex(),
            session: result.manifest.unverified().session.to_hex(),
            sequence: result.outcome.unverified().sequence,
            kind: format!("{:?}", plan.work.kind()).to_lowercase(),
            plan: plan.name.clone(),
            plan_id: plan.id().0.to_hex(),
        });
        Ok(Some(checkpoint))
    }
}
