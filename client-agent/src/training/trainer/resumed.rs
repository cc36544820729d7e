//! The learner from round to round, and from one run of the agent to the next: what its optimisers
//! know of earlier rounds is kept in the bank's store, since a bank that forgets it learns far more
//! slowly. How it is kept is `model::trainer`'s.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crypto::Digest;
use features::FeatureSchema;
use model::{CheckpointError, Device, Learner, NetworkSize};
use protocol::client::Order;
use protocol::plan::Training;

use super::{Trainer, TrainingError};

/// The learner of the lineage that was trained last.
#[derive(Default)]
pub(super) struct Pupil {
    learner: Option<(Digest, Learner)>,
    /// Where its moments are kept; without it the next run begins with fresh ones.
    folder: Option<PathBuf>,
}

impl Trainer {
    /// The same, which trains on after a restart as if there had been none.
    #[must_use]
    pub fn resuming(mut self, store: &Path) -> Self {
        self.pupil.folder = Some(store.join(FOLDER));
        self
    }
}

impl Pupil {
    /// The learner of a lineage with the order's parameters; its moments are those of the rounds
    /// before.
    pub(super) fn learner(
        &mut self,
        (schema, size, device): (&FeatureSchema, NetworkSize, Device),
        order: &Order,
        training: &Training,
    ) -> Result<&mut Learner, TrainingError> {
        let lineage = training.model.lineage();
        let new = || Learner::new(schema, size, &order.parameters);
        let fresh = || new().and_then(|learner| learner.on(device));
        let found = match self.learner.take() {
            Some((of, mut learner)) if of == lineage => {
                learner.load(&order.parameters)?;
                learner
            }
            // What is kept is the other's.
            Some(_) => fresh()?,
            None => {
                let mut learner = fresh()?;
                if let Some(folder) = &self.folder {
                    resume(&mut learner, &lineage, folder);
                }
                learner
            }
        };
        Ok(&mut self.learner.insert((lineage, found)).1)
    }

    /// Keeps what the learner came to know in a round, before anybody hears what came of the round.
    pub(super) fn keep(&mut self) {
        let (Some((lineage, learner)), Some(folder)) = (&mut self.learner, &self.folder) else {
            return;
        };
        // Which payments a round drew is on no disk; the next one draws by a seed of its own.
        learner.forget_draws();
        if let Err(error) = learner.keep(&lineage.0, folder) {
            tracing::warn!(
                %error,
                "moments of training are not kept: a restart goes on from earlier or fresh ones"
            );
        }
    }
}

/// Takes up the moments of a lineage that the last run kept. Without any that are of use the
/// learner begins with fresh ones.
fn resume(learner: &mut Learner, lineage: &Digest, folder: &Path) {
    match learner.resume(&lineage.0, folder) {
        Ok(()) => tracing::info!("training goes on with the moments of the last run"),
        Err(CheckpointError::Disk { source, .. }) if source.kind() == ErrorKind::NotFound => {}
        Err(
            error @ CheckpointError::Mismatch {
                what: "lineage", ..
            },
        ) => tracing::info!(%error, "training begins with fresh moments: another model came last"),
        Err(error) => tracing::warn!(
            %error,
            "training begins with fresh moments: those of the last run are of no use"
        ),
    }
}

const FOLDER: &str = "learner";
