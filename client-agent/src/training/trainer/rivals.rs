//! Which of two models decides: what the federation gave, or the bank's own. A bank is not to be
//! worse off than alone, so its own decides where it ranks held-out cards better by more than
//! chance explains. Whether either may decide at all is `promotion.rs`'s. The bank's own is not
//! kept: after a restart it is trained again if the newest result ended a plan, and else once a
//! plan has ended; until then the federation's decides.

use model::evaluation::Ranking;
use model::{ModelError, Parity};

use super::Trainer;
use crate::config::Promote;
use crate::scoring::{Bundle, Slot};
use crate::training::calibration::{self, Doubt, FRAUDS_MIN, Fit};
use crate::training::solo::Solo;
use crate::training::window::Judged;

/// What may decide.
#[derive(Default)]
pub(super) struct Rivals {
    /// The bank's newest own model whose calibration was not in doubt.
    own: Option<Standing>,
    /// The federation's newest model that was admitted, or the bank's head on it.
    given: Option<Standing>,
    /// Digest of the bank's own, while that decides.
    own_live: Option<[u8; 32]>,
}

/// A model that was admitted, and what was found of it.
#[derive(Clone)]
pub(super) struct Standing {
    pub(super) bundle: Bundle,
    pub(super) doubt: Option<Doubt>,
    pub(super) parity: Parity,
    /// Held-out payments behind its calibration; 0 where it is that of an earlier run.
    pub(super) calibrated_on: u64,
}

impl Standing {
    pub(super) fn new(bundle: Bundle, fit: &Fit, doubt: Option<Doubt>) -> Self {
        Self {
            bundle,
            doubt,
            parity: fit.parity,
            calibrated_on: fit.rows() as u64,
        }
    }
}

impl Rivals {
    /// What the federation gave, from here on.
    pub(super) fn give(&mut self, given: Standing) {
        self.given = Some(given);
    }

    /// The federation's model of this digest, as it was admitted.
    pub(super) fn given(&self, digest: [u8; 32]) -> Option<Bundle> {
        let given = self.given.as_ref().map(|given| &given.bundle);
        given.filter(|given| given.digest == digest).cloned()
    }
}

impl Trainer {
    /// Puts what the federation gave in place, or leaves that to the bank's own model where these
    /// held-out rows say so. What comes back is for scoring.
    pub(super) fn settle(&mut self, judged: &Judged) -> Option<Bundle> {
        let Some(own) = self.rivals.own.clone() else {
            return self.take_given();
        };
        match self.lead(&own, judged) {
            Ok(Some(ranking)) => self.keep_own(&own, judged, &ranking),
            Err(_) if self.rivals.own_live.is_some() => None,
            Ok(None) | Err(_) => self.take_given(),
        }
    }

    /// Takes in a model of the bank's own, which may end what was settled; not where it is in
    /// doubt, cannot be ranked or may not decide: what an earlier one has shown still holds. What
    /// comes back is for scoring: beside the model that decides, and in its place.
    pub(super) fn own(&mut self, (bundle, fit): (Bundle, Fit), solo: &Solo) -> Vec<Bundle> {
        if let Some(doubt) = fit.doubt(self.promotion.review_from) {
            if doubt.is_final() {
                tracing::warn!(%doubt, "the bank's own model is not put in place");
                self.count_refused(doubt.word());
                return Vec::new();
            }
            tracing::info!(%doubt, "the model for comparison is not calibrated");
            return vec![bundle];
        }
        let mut own = Bundle {
            slot: Slot::Live,
            ..bundle.clone()
        };
        if solo.is_pretrained() {
            match self.usual(&own) {
                Ok(usual) => own.usual = Some(usual),
                Err(error) => tracing::warn!(%error, "the bank's own model knows nothing usual"),
            }
        }
        let own = Standing::new(own, &fit, None);
        if self.rivals.own_live.is_some() && self.ends_surprises(&own) {
            return vec![bundle];
        }
        let Ok(lead) = self.lead(&own, solo.judged()) else {
            return vec![bundle];
        };
        self.rivals.own = Some(own.clone());
        let placed = match lead {
            Some(ranking) => self.keep_own(&own, solo.judged(), &ranking),
            None if self.rivals.own_live.is_some() => self.take_given(),
            None => None,
        };
        [Some(bundle), placed].into_iter().flatten().collect()
    }

    fn take_given(&mut self) -> Option<Bundle> {
        let given = self.rivals.given.clone()?;
        self.rivals.own_live = None;
        self.decide(&given);
        Some(given.bundle)
    }

    /// The bank's own decides, and is put in place where it is not yet.
    fn keep_own(&mut self, own: &Standing, judged: &Judged, ranking: &Ranking) -> Option<Bundle> {
        let given = self.rivals.given.as_ref()?.bundle.clone();
        let why = why(judged, ranking);
        let version = given.version;
        tracing::warn!(
            version,
            why,
            "the bank's own model decides: it is better here"
        );
        self.decide(own);
        self.count_refused(OUTRANKED);
        // A newer one that was refused is what there is to look into.
        if !self.is_newest_refused() {
            self.tell_refused(&given, why);
        }
        let before = self.rivals.own_live.replace(own.bundle.digest);
        (before != self.rivals.own_live).then(|| own.bundle.clone())
    }

    /// How a model of the bank's own ranks these rows, where that is better than what the
    /// federation gave by more than a standard error, with frauds enough to say so, and no
    /// surprises end. Says so where the two cannot be ranked.
    fn lead(&self, own: &Standing, judged: &Judged) -> Result<Option<Ranking>, ModelError> {
        let Some(given) = &self.rivals.given else {
            return Ok(None);
        };
        let frauds = frauds(judged);
        let is_asked = self.promotion.rule == Promote::Calibrated && frauds >= FRAUDS_MIN;
        if !is_asked || self.ends_surprises(own) {
            return Ok(None);
        }
        let ranked = self.rank((&own.bundle, &given.bundle), judged);
        let ranked = ranked.inspect_err(|error| {
            tracing::warn!(%error, "the bank's own model cannot be held against another");
        });
        let Some(ranking) = ranked? else {
            return Ok(None);
        };
        tracing::info!(
            own = ranking.candidate,
            given = ranking.incumbent,
            standard_error = ranking.error,
            frauds,
            "average precision on held-out cards"
        );
        Ok(ranking.is_better().then_some(ranking))
    }

    /// Whether answers would tell no surprises any more if this model of the bank's own decided: it
    /// was not pretrained, and what the federation gave was.
    fn ends_surprises(&self, own: &Standing) -> bool {
        let given = self.rivals.given.as_ref();
        let ends =
            own.bundle.usual.is_none() && given.is_some_and(|given| given.bundle.usual.is_some());
        if ends {
            tracing::warn!(
                "the bank's own model is not to decide, however good: it was not pretrained, and \
                 answers would tell no surprises"
            );
        }
        ends
    }

    fn rank(
        &self,
        (own, given): (&Bundle, &Bundle),
        judged: &Judged,
    ) -> Result<Option<Ranking>, ModelError> {
        let logits = |of: &Bundle| {
            let scorer = of.scorer(&self.schema)?;
            calibration::logits(&scorer, &judged.values, self.schema.len())
        };
        let (own, given) = (logits(own)?, logits(given)?);
        Ok(Ranking::new(&own, &given, &judged.frauds))
    }
}

fn why(judged: &Judged, ranking: &Ranking) -> String {
    let Ranking {
        candidate,
        incumbent,
        error,
    } = ranking;
    format!(
        "average precision {incumbent:.3} on {} held-out payments with {} frauds, expected {:.3} \
         or more: the bank's own model has {candidate:.3}, the difference a standard error of \
         {error:.3}",
        judged.frauds.len(),
        frauds(judged),
        candidate - error,
    )
}

fn frauds(judged: &Judged) -> usize {
    judged.frauds.iter().filter(|fraud| **fraud).count()
}

/// The reason in metrics.
const OUTRANKED: &str = "outranked";
