//! Which models are put in place. A bank's thresholds are scores of a fixed scale, so what decides
//! gives way only to what is calibrated as well; the bank may have it otherwise. The calibrated
//! model in place is kept in the store: after a restart the client gives the newest of each lineage
//! alone, the oldest first, of which some gave way before and the last may have been refused.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crypto::Digest;
use features::FeatureSchema;
use host::telemetry::Telemetry;
use host::telemetry::prometheus_client::metrics::counter::Counter;
use host::telemetry::prometheus_client::metrics::family::Family;
use host::telemetry::prometheus_client::metrics::gauge::Gauge;
use model::{Calibration, Checkpoint, CheckpointError, Scorer, Usual};
use protocol::client::Installed;
use protocol::genesis;
use protocol::plan::Training;

use super::{Trainer, TrainingError};
use crate::config::Promote;
use crate::scoring::{Bundle, Head, Slot, probability_at};
use crate::status::{ModelStatus, RefusedStatus};
use crate::training::calibration::{Doubt, Fit};
use crate::training::lately;
use crate::training::solo::Solo;

/// The bank's rule about what decides, and what is counted of it.
#[derive(Default)]
pub(crate) struct Promotion {
    rule: Promote,
    /// The probability of fraud from which on a person looks at a payment.
    review_from: f64,
    /// Where the calibrated model in place is kept; without it the next start knows of none.
    folder: Option<PathBuf>,
    refused: Family<[(&'static str, &'static str); 1], Counter>,
    /// Whether the newest model was refused: a counter begins anew with each start.
    is_refused: Gauge,
}

/// The federation's model in place.
#[derive(Clone, Copy)]
pub(super) struct Live {
    pub(super) root: Digest,
    version: u64,
    pub(super) calibration: Calibration,
    /// Whether what decides is calibrated: this model, or the bank's own head on it.
    pub(super) is_calibrated: bool,
}

impl Promotion {
    /// The rule of a bank whose people look at payments from the score `review_at` on.
    pub(crate) fn new(rule: Promote, review_at: u16, store: &Path, telemetry: &Telemetry) -> Self {
        let promotion = Self {
            rule,
            review_from: probability_at(review_at),
            folder: Some(store.join(FOLDER)),
            refused: Family::default(),
            is_refused: Gauge::default(),
        };
        telemetry.register(|registry| {
            let registry = registry.sub_registry_with_prefix("phalanx");
            registry.register(
                "models_refused",
                "Models that were not put in place, by reason",
                promotion.refused.clone(),
            );
            registry.register(
                "newest_model_refused",
                "1 while the newest model is not put in place",
                promotion.is_refused.clone(),
            );
        });
        promotion
    }

    /// Where the model in place is kept, where the rule asks for it.
    fn folder(&self) -> Option<&Path> {
        match self.rule {
            Promote::Calibrated => self.folder.as_deref(),
            Promote::Always => None,
        }
    }

    /// Leaves nothing to resume: what is in place is not what was kept.
    fn forget(&self) {
        if let Some(Err(error)) = self.folder.as_deref().map(Checkpoint::remove) {
            tracing::warn!(%error, "an earlier model stays kept: a restart may go back to it");
        }
    }

    /// The model that was in place when the agent last ran, and its place in the ledger. Places in
    /// another consortium's ledger say nothing of this one's.
    fn kept(&self, schema: &FeatureSchema, session: &Digest) -> Option<(Checkpoint, u64)> {
        let checkpoint = match Checkpoint::load(schema, self.folder()?) {
            Ok(checkpoint) => checkpoint,
            Err(CheckpointError::Disk { source, .. }) if source.kind() == ErrorKind::NotFound => {
                return None;
            }
            Err(error) => {
                tracing::warn!(%error, "the model that was in place is of no use");
                return None;
            }
        };
        let release = checkpoint.card.release.as_ref()?;
        let version = (release.session == session.to_hex()).then_some(release.sequence)?;
        Some((checkpoint, version))
    }
}

#[cfg(test)]
impl Promotion {
    /// Counts something of every family, for who holds the list of metrics against the code.
    pub(crate) fn touch(&self) {
        self.refused.get_or_create(&[("reason", "off")]).inc();
    }
}

impl Trainer {
    /// The same, which puts models in place by this rule.
    #[must_use]
    pub(crate) fn promoting(self, promotion: Promotion) -> Self {
        Self { promotion, ..self }
    }

    /// Puts the federation's model in place, if it may be. What comes back is for scoring: it, or
    /// the one that the last run of the agent had in place.
    pub(super) fn promote(
        &mut self,
        (training, installed): (&Training, &Installed),
        mut bundle: Bundle,
        fit: &Fit,
    ) -> Result<Option<Bundle>, TrainingError> {
        let doubt = fit.doubt(self.promotion.review_from);
        let resumed = if self.live.is_none() {
            self.resume(installed, doubt.as_ref())?
        } else {
            None
        };
        let version = bundle.version;
        if self.live.is_some_and(|live| live.version > version) {
            tracing::info!(
                version,
                "the model is not put in place: a newer one is there"
            );
            return Ok(resumed);
        }
        if !self.admits(&bundle, doubt.as_ref()) {
            return Ok(resumed);
        }
        if lately::is_pretrained(&training.model, &bundle.parameters) {
            bundle.usual = Some(self.usual(&bundle)?);
        }
        match self.promotion.rule {
            Promote::Always => self.promotion.forget(),
            Promote::Calibrated if doubt.is_none() => {
                self.keep_model((training, installed), &bundle);
            }
            Promote::Calibrated => {}
        }
        self.put(&bundle, doubt, fit.rows() as u64);
        Ok(Some(bundle))
    }

    /// A model of the bank's own; nothing where it may not be put in place.
    pub(super) fn admitted(&mut self, (bundle, fit): (Bundle, Fit)) -> Option<Bundle> {
        let doubt = fit.doubt(self.promotion.review_from);
        match bundle.slot {
            // The bank makes none of its own.
            Slot::Pretrained => {}
            Slot::Local => {
                if let Some(doubt) = doubt {
                    tracing::info!(%doubt, "the model for comparison is not calibrated");
                }
            }
            Slot::Live => {
                if !self.admits(&bundle, doubt.as_ref()) {
                    return None;
                }
                if let Some(live) = &mut self.live {
                    live.is_calibrated = doubt.is_none();
                }
                self.promotion.is_refused.set(0);
                self.board.update(|status| {
                    status.model_refused = None;
                    if let Some(model) = &mut status.model {
                        model.head = bundle.head;
                        model.parameters = Digest(bundle.digest).to_hex();
                        model.calibration_a = bundle.calibration.a;
                        model.calibration_b = bundle.calibration.b;
                        model.calibration_doubt = doubt.map(|doubt| doubt.to_string());
                    }
                });
            }
        }
        Some(bundle)
    }

    /// Whether a model may decide. Where it may not, or its calibration is in doubt, that is told.
    fn admits(&self, bundle: &Bundle, doubt: Option<&Doubt>) -> bool {
        let Some(doubt) = doubt else {
            return true;
        };
        let version = bundle.version;
        let is_calibrated = self.live.is_some_and(|live| live.is_calibrated);
        if self.promotion.rule == Promote::Always || !is_calibrated {
            let (a, b) = (bundle.calibration.a, bundle.calibration.b);
            let identity = bundle.calibration == Calibration::default();
            tracing::warn!(
                version, a, b, identity, %doubt,
                "the model is put in place, and its calibration is not to be relied upon"
            );
            return true;
        }
        tracing::warn!(
            version, %doubt,
            "the model is not put in place: the one that is there is calibrated"
        );
        let reason = [("reason", doubt.word())];
        self.promotion.refused.get_or_create(&reason).inc();
        self.promotion.is_refused.set(1);
        self.board.update(|status| {
            status.model_refused = Some(RefusedStatus {
                version,
                head: bundle.head,
                parameters: Digest(bundle.digest).to_hex(),
                why: doubt.to_string(),
            });
        });
        false
    }

    fn put(&mut self, bundle: &Bundle, doubt: Option<Doubt>, calibrated_on: u64) {
        self.live = Some(Live {
            root: Digest(bundle.digest),
            version: bundle.version,
            calibration: bundle.calibration,
            is_calibrated: doubt.is_none(),
        });
        let status = ModelStatus {
            version: bundle.version,
            head: bundle.head,
            parameters: Digest(bundle.digest).to_hex(),
            schema: Digest(self.schema.digest()).to_hex(),
            calibration_a: bundle.calibration.a,
            calibration_b: bundle.calibration.b,
            calibrated_on,
            calibration_doubt: doubt.map(|doubt| doubt.to_string()),
        };
        self.promotion.is_refused.set(0);
        self.board.update(|of| {
            of.model = Some(status);
            of.model_refused = None;
        });
        // A head on a model that is in place no more.
        self.solos.retain(Solo::is_baseline);
    }

    /// Keeps what is put in place for the next start. Where that cannot be, nothing is kept: the
    /// next start would take an earlier model for it.
    fn keep_model(&self, (training, installed): (&Training, &Installed), bundle: &Bundle) {
        let Some(folder) = self.promotion.folder() else {
            return;
        };
        let save = || -> Result<(), String> {
            let made = self.checkpoint(training, installed)?;
            let mut checkpoint = made.ok_or_else(|| TrainingError::NoParameters.to_string())?;
            checkpoint.card.calibration = bundle.calibration;
            checkpoint.card.is_pretrained = Some(bundle.usual.is_some());
            let saved = checkpoint.save(&self.schema, folder);
            saved.map_err(|error| error.to_string())
        };
        if let Err(error) = save() {
            tracing::warn!(
                error,
                "the model in place is not kept: a restart will not know of it"
            );
            self.promotion.forget();
        }
    }

    /// Puts what the last run had in place there again, with its calibration as it was, where the
    /// model that comes is in doubt or older.
    fn resume(
        &mut self,
        installed: &Installed,
        doubt: Option<&Doubt>,
    ) -> Result<Option<Bundle>, TrainingError> {
        let session = &installed.result.manifest.unverified().session;
        let Some((checkpoint, version)) = self.promotion.kept(&self.schema, session) else {
            return Ok(None);
        };
        if doubt.is_none() && version <= installed.result.outcome.unverified().sequence {
            return Ok(None);
        }
        let mut bundle = Bundle {
            slot: Slot::Live,
            head: Head::Federation,
            version,
            digest: genesis::model_root(&checkpoint.parameters).0,
            parameters: Arc::new(checkpoint.parameters),
            size: checkpoint.card.size,
            calibration: checkpoint.card.calibration,
            usual: None,
        };
        // Only its own plan said which energies were drawn.
        if checkpoint.card.is_pretrained == Some(true) {
            bundle.usual = Some(self.usual(&bundle)?);
        }
        self.put(&bundle, None, 0);
        Ok(Some(bundle))
    }

    /// What is usual for a pretrained model over the last days.
    pub(super) fn usual(&mut self, bundle: &Bundle) -> Result<Usual, TrainingError> {
        let (parameters, calibration) = (&bundle.parameters, bundle.calibration);
        let scorer = Scorer::new(&self.schema, bundle.size, parameters, calibration)?;
        Ok(self.lately.usual(&self.history, &scorer)?)
    }
}

const FOLDER: &str = "live";
