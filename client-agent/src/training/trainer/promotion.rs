//! Which models are put in place. A bank's thresholds are scores of a fixed scale, so what decides
//! gives way only to what is calibrated as well; the bank may have it otherwise, but nothing is put
//! in place that would score otherwise than it was trained. Of what is admitted here the better one
//! decides (`rivals.rs`). The federation's calibrated model is kept in the store: after a restart
//! the client gives the newest of each lineage alone, the oldest first, of which some gave way
//! before and the last may have been refused.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crypto::Digest;
use features::FeatureSchema;
use host::telemetry::Telemetry;
use host::telemetry::prometheus_client::metrics::counter::Counter;
use host::telemetry::prometheus_client::metrics::family::Family;
use host::telemetry::prometheus_client::metrics::gauge::Gauge;
use model::{Calibration, Checkpoint, CheckpointError, Usual};
use protocol::client::Installed;
use protocol::genesis;
use protocol::plan::Training;

use super::rivals::Standing;
use super::{Trainer, TrainingError};
use crate::config::Promote;
use crate::scoring::{Bundle, Head, Slot, probability_at};
use crate::status::{ModelStatus, RefusedStatus};
use crate::training::calibration::{self, Doubt, Fit};
use crate::training::lately;
use crate::training::solo::Solo;
use crate::training::window::Judged;

/// The bank's rule about what decides, and what is counted of it.
#[derive(Default)]
pub(crate) struct Promotion {
    pub(super) rule: Promote,
    /// The probability of fraud from which on a person looks at a payment.
    pub(super) review_from: f64,
    /// Where the calibrated model in place is kept; without it the next start knows of none.
    folder: Option<PathBuf>,
    refused: Family<[(&'static str, &'static str); 1], Counter>,
    /// Whether the newest model was refused for what it is, not for a better one: a counter begins
    /// anew with each start.
    is_refused: Gauge,
}

/// The federation's model in place.
#[derive(Clone, Copy)]
pub(super) struct Live {
    pub(super) root: Digest,
    version: u64,
    pub(super) calibration: Calibration,
    /// Whether what decides is calibrated: this model, the bank's own head on it, or its own model.
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
                "1 while the newest model is not put in place for a doubt about it",
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

    /// Puts the federation's model in place, if it may be. What comes back is for scoring: it, the
    /// bank's own, or the one that the last run of the agent had in place.
    pub(super) fn promote(
        &mut self,
        (training, installed): (&Training, &Installed),
        mut bundle: Bundle,
        (fit, judged): (&Fit, &Judged),
    ) -> Result<Option<Bundle>, TrainingError> {
        let doubt = fit.doubt(self.promotion.review_from);
        let resumed = if self.live.is_none() {
            self.resume(installed, doubt.as_ref(), judged)?
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
        self.put(Standing::new(bundle, fit, doubt));
        Ok(self.settle(judged))
    }

    /// A model of the bank's own, and what comes of it; nothing where it may not be put in place.
    pub(super) fn admitted(&mut self, (bundle, fit): (Bundle, Fit), solo: &Solo) -> Vec<Bundle> {
        match bundle.slot {
            // The bank makes none of its own.
            Slot::Pretrained => Vec::new(),
            Slot::Local => self.own((bundle, fit), solo),
            Slot::Live => {
                let doubt = fit.doubt(self.promotion.review_from);
                if !self.admits(&bundle, doubt.as_ref()) {
                    return Vec::new();
                }
                self.rivals.give(Standing::new(bundle, &fit, doubt));
                self.settle(solo.judged()).into_iter().collect()
            }
        }
    }

    /// Whether a model may decide. Where it may not, or its calibration is in doubt, that is told.
    fn admits(&self, bundle: &Bundle, doubt: Option<&Doubt>) -> bool {
        let Some(doubt) = doubt else {
            self.promotion.is_refused.set(0);
            return true;
        };
        let version = bundle.version;
        let is_calibrated = self.live.is_some_and(|live| live.is_calibrated);
        let is_strict = self.promotion.rule == Promote::Calibrated && is_calibrated;
        if !doubt.is_final() && !is_strict {
            let (a, b) = (bundle.calibration.a, bundle.calibration.b);
            let identity = bundle.calibration == Calibration::default();
            tracing::warn!(
                version, a, b, identity, %doubt,
                "the model is put in place, and its calibration is not to be relied upon"
            );
            self.promotion.is_refused.set(0);
            return true;
        }
        let because = match doubt.is_final() {
            true => "it would not score as it was trained",
            false => "the one that is there is calibrated",
        };
        tracing::warn!(version, %doubt, "the model is not put in place: {because}");
        self.count_refused(doubt.word());
        self.promotion.is_refused.set(1);
        self.tell_refused(bundle, doubt.to_string());
        false
    }

    pub(super) fn count_refused(&self, reason: &'static str) {
        let reason = [("reason", reason)];
        self.promotion.refused.get_or_create(&reason).inc();
    }

    /// Whether the newest model was not admitted: what a better one that decides does not end.
    pub(super) fn is_newest_refused(&self) -> bool {
        self.promotion.is_refused.get() == 1
    }

    /// Tells a model that does not decide.
    pub(super) fn tell_refused(&self, bundle: &Bundle, why: String) {
        self.board.update(|status| {
            status.model_refused = Some(RefusedStatus {
                version: bundle.version,
                head: bundle.head,
                parameters: Digest(bundle.digest).to_hex(),
                why,
            });
        });
    }

    /// Takes in a model of the federation's that may decide.
    fn put(&mut self, given: Standing) {
        let bundle = &given.bundle;
        self.live = Some(Live {
            root: Digest(bundle.digest),
            version: bundle.version,
            calibration: bundle.calibration,
            is_calibrated: given.doubt.is_none(),
        });
        self.rivals.give(given);
        // A head on a model that is in place no more.
        self.solos.retain(Solo::is_baseline);
    }

    /// Tells what decides from here on.
    pub(super) fn decide(&mut self, of: &Standing) {
        let (bundle, parity) = (&of.bundle, of.parity);
        if let Some(live) = &mut self.live {
            live.is_calibrated = of.doubt.is_none();
        }
        if parity.rows == 0 {
            let version = bundle.version;
            tracing::info!(
                version,
                "no payment was there to hold the kernel to libtorch on"
            );
        }
        let status = ModelStatus {
            version: bundle.version,
            head: bundle.head,
            parameters: Digest(bundle.digest).to_hex(),
            schema: Digest(self.schema.digest()).to_hex(),
            calibration_a: bundle.calibration.a,
            calibration_b: bundle.calibration.b,
            calibrated_on: of.calibrated_on,
            calibration_doubt: of.doubt.as_ref().map(ToString::to_string),
            parity_max_abs: (parity.rows > 0).then_some(parity.max_abs),
            parity_rows: parity.rows as u64,
        };
        let is_refused = self.is_newest_refused();
        self.board.update(|of| {
            of.model = Some(status);
            if !is_refused {
                of.model_refused = None;
            }
        });
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
        judged: &Judged,
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
        let scorer = bundle.scorer(&self.schema)?;
        let parity = calibration::parity((&self.schema, &bundle), &scorer, judged)?;
        if let Some(doubt) = Doubt::of_parity(parity) {
            self.admits(&bundle, Some(&doubt));
            return Ok(None);
        }
        let standing = Standing {
            bundle: bundle.clone(),
            doubt: None,
            parity,
            calibrated_on: 0,
        };
        self.put(standing.clone());
        self.decide(&standing);
        Ok(Some(bundle))
    }

    /// What is usual for a pretrained model over the last days.
    pub(super) fn usual(&mut self, bundle: &Bundle) -> Result<Usual, TrainingError> {
        let scorer = bundle.scorer(&self.schema)?;
        Ok(self.lately.usual(&self.history, &scorer)?)
    }
}

const FOLDER: &str = "live";
