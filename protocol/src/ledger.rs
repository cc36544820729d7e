//! `Ledger`: the chain of committed results, and the models that follow from them. Both parties
//! keep one and get the same bits, so a model never travels: only sums do (PROTOCOL.md §7). Who
//! signed what is checked before a result comes here; how a model steps is `ledger/optimizer.rs`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crypto::{Digest, ToCanonical};

use crate::blame::Refusal;
use crate::genesis::{self, Release};
use crate::graph::Graph;
use crate::id::{PlanId, RoundId};
use crate::limits::RELEASES_KEPT;
use crate::masking::seats_digest;
use crate::message::{Manifest, RoundResult};
use crate::plan::{Base, Evaluated, Kind, ModelTerms, Part, Plan, Training, Work};
use crate::terms;
use crate::vector::{self, SumError};

mod newton;
mod optimizer;
#[cfg(test)]
mod tests;

pub use optimizer::Optimizer;

/// The chain of committed results, and what follows from it.
#[derive(Clone, Debug)]
pub struct Ledger {
    session: Digest,
    length: u64,
    head: Digest,
    round: Option<RoundId>,
    models: BTreeMap<Digest, Model>,
    /// Of each lineage with a base, the head after its last result.
    moved: BTreeMap<Digest, Digest>,
    /// Of each lineage with a base that is held here, the root that it began with.
    begun: BTreeMap<Digest, Digest>,
    /// What the last plans ended with, the newest last.
    ended: VecDeque<Release>,
    /// What the host brought.
    brought: Vec<Release>,
    steps: BTreeMap<PlanId, u32>,
    optimizers: BTreeMap<PlanId, Optimizer>,
    bucket_key: Option<Digest>,
}

#[derive(Clone, Debug)]
struct Model {
    parameters: Arc<Vec<f32>>,
    root: Digest,
}

/// What a result changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// The model's parameters afterwards, for training rounds; none where the lineage started from
    /// a model that is not held here.
    pub parameters: Option<Arc<Vec<f32>>>,
    /// Which of its plan's rounds it was, from 0.
    pub step: u32,
    /// Banks in the sum.
    pub banks: u32,
}

impl Ledger {
    /// The empty ledger of a consortium.
    #[must_use]
    pub fn new(session: Digest) -> Self {
        Self {
            session,
            length: 0,
            head: crypto::tagged("csa1/ledger", &[&session.0]),
            round: None,
            models: BTreeMap::new(),
            moved: BTreeMap::new(),
            begun: BTreeMap::new(),
            ended: VecDeque::new(),
            brought: Vec::new(),
            steps: BTreeMap::new(),
            optimizers: BTreeMap::new(),
            bucket_key: None,
        }
    }

    /// How many results it holds.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The digest that all results so far lead to.
    #[must_use]
    pub fn head(&self) -> Digest {
        self.head
    }

    /// The round of the last result.
    #[must_use]
    pub fn round(&self) -> Option<RoundId> {
        self.round
    }

    /// How many rounds of a plan are committed: the step of its next one.
    #[must_use]
    pub fn step(&self, plan: &PlanId) -> u32 {
        self.steps.get(plan).copied().unwrap_or(0)
    }

    /// Commitment of the bucket key that the risk counts stand under, from the first of them on:
    /// days counted under another would be lost, and may not be counted again.
    #[must_use]
    pub fn bucket_key(&self) -> Option<Digest> {
        self.bucket_key
    }

    /// Lineages may start from this model from here on.
    pub(crate) fn bring(&mut self, release: Release) {
        self.brought.push(release);
    }

    /// A model as it stands: its parameters, flat, and their root. None where its lineage started
    /// from a model that is not held here.
    #[must_use]
    pub fn model(&self, terms: &ModelTerms) -> Option<(Arc<Vec<f32>>, Digest)> {
        let lineage = terms.lineage();
        let model = match self.models.get(&lineage) {
            Some(model) => model.clone(),
            // It went on without us: its first parameters are not what it is.
            None if self.moved.contains_key(&lineage) => return None,
            None => Model::new(self.first(terms)?),
        };
        Some((model.parameters, model.root))
    }

    fn first(&self, terms: &ModelTerms) -> Option<Vec<f32>> {
        if terms.base.is_none() {
            return Some(genesis::parameters(terms));
        }
        let mut known = self.brought.iter().chain(&self.ended);
        known.find_map(|release| release.first(terms))
    }

    /// What a reveal in a round of this plan would use up here, `base` being what [`Ledger::base`]
    /// says of it. A lineage with a base could be begun under any number of names: what counts is
    /// the model that the banks' vectors are relative to. Where all that is trained was taken from
    /// the base and has not moved, that is the base, whatever the rest was drawn as.
    ///
    /// # Errors
    /// [`Refusal::ReleaseMissing`] where the model is not held here.
    pub(crate) fn spends(&self, plan: &Plan, base: Digest) -> Result<Digest, Refusal> {
        let (label, model, parts) = match &plan.work {
            Work::Pretrain(training) => (PRETRAIN, &training.model, &training.parts[..]),
            Work::Finetune(training) => (FINETUNE, &training.model, &training.parts[..]),
            Work::Evaluate(terms) => match terms.of {
                Evaluated::Scores { .. } => (EVALUATE, &terms.model, &ALL[..]),
                Evaluated::Moments { .. } => return Ok(base),
            },
            Work::Risk(_) => return Ok(base),
        };
        let Some(Base { root, parts: taken }) = &model.base else {
            return Ok(base);
        };
        let (_, own) = self.model(model).ok_or(Refusal::ReleaseMissing(*root))?;
        let is_taken = parts.iter().all(|part| taken.contains(part));
        let begun = self.begun.get(&model.lineage());
        let is_first = begun.is_none_or(|first| *first == own);
        let name = if is_first && is_taken { *root } else { own };
        Ok(crypto::tagged(label, &[&name.0]))
    }

    /// What a round of this plan would be relative to: the kind with the model's root, or with
    /// the days counted, or the schema whose columns are measured. A bank reveals once for each.
    /// A lineage with a base is named by itself and its last result, so that who does not hold the
    /// base can follow it too.
    #[must_use]
    pub fn base(&self, plan: &Plan) -> Digest {
        match &plan.work {
            Work::Pretrain(training) => self.model_base(PRETRAIN, &training.model),
            Work::Finetune(training) => self.model_base(FINETUNE, &training.model),
            Work::Evaluate(terms) => match terms.of {
                Evaluated::Scores { .. } => self.model_base(EVALUATE, &terms.model),
                Evaluated::Moments { .. } => {
                    crypto::tagged("csa1/base/moments", &[&terms.model.schema.digest().0])
                }
            },
            Work::Risk(terms) => {
                let (from, days) = (terms.from_day.to_be_bytes(), terms.days.to_be_bytes());
                crypto::tagged("csa1/base/risk", &[&from, &days])
            }
        }
    }

    /// Checks that a result is the next one, steps the model with it, and moves the head.
    ///
    /// The caller has checked the signatures on outcome, manifest, plan and acknowledgements.
    ///
    /// # Errors
    /// [`LedgerError`], and the ledger is as it was.
    pub fn apply(&mut self, result: &RoundResult) -> Result<Applied, LedgerError> {
        self.check_place(result)?;
        check_survivors(result)?;
        check_sum(result)?;
        let plan = result.plan.plan.unverified();
        let parameters = match &plan.work {
            Work::Pretrain(training) | Work::Finetune(training) => {
                self.train(plan, training, &result.sum)?
            }
            Work::Risk(_) | Work::Evaluate(_) => None,
        };
        let id = plan.id();
        let step = self.step(&id);
        self.steps.insert(id, step + 1);
        if step + 1 == plan.rounds {
            self.optimizers.remove(&id);
            self.release(&plan.work, parameters.as_ref());
        }
        let outcome = result.outcome.unverified();
        self.length = outcome.sequence;
        self.head = crypto::tagged("csa1/head", &[&self.head.0, &outcome.canonical()]);
        self.round = Some(outcome.round);
        if let Work::Pretrain(training) | Work::Finetune(training) = &plan.work
            && training.model.base.is_some()
        {
            self.moved.insert(training.model.lineage(), self.head);
        }
        let under = result.manifest.unverified().bucket_key;
        self.bucket_key = self.bucket_key.or(under);
        Ok(Applied {
            parameters,
            step,
            banks: vector::banks(&result.sum),
        })
    }

    fn check_place(&self, result: &RoundResult) -> Result<(), LedgerError> {
        let outcome = result.outcome.unverified();
        let manifest = result.manifest.unverified();
        let plan = result.plan.plan.unverified();
        let sequence = self.length + 1;
        if outcome.sequence != sequence {
            return Err(LedgerError::Sequence {
                found: outcome.sequence,
                expected: sequence,
            });
        }
        same("previous head", outcome.previous, self.head)?;
        same("session", manifest.session, self.session)?;
        same("manifest's head", manifest.head, self.head)?;
        same("context", outcome.context.0, manifest.context().0)?;
        if outcome.round != manifest.round || self.round >= Some(outcome.round) {
            return Err(LedgerError::Round {
                found: outcome.round,
                last: self.round,
            });
        }
        terms::check(manifest, plan).map_err(LedgerError::Manifest)?;
        let step = self.step(&plan.id());
        if manifest.step != step {
            return Err(LedgerError::Step {
                found: manifest.step,
                expected: step,
            });
        }
        self.check_bucket_key(manifest, plan)?;
        same("base", manifest.base, self.base(plan))
    }

    fn check_bucket_key(&self, manifest: &Manifest, plan: &Plan) -> Result<(), LedgerError> {
        match (plan.work.kind(), manifest.bucket_key) {
            (Kind::Risk, None) => Err(LedgerError::Manifest("risk counts under no bucket key")),
            (Kind::Risk, Some(found)) => {
                same("bucket key", found, self.bucket_key.unwrap_or(found))
            }
            (Kind::Pretrain | Kind::Finetune | Kind::Evaluate, _) => Ok(()),
        }
    }

    fn train(
        &mut self,
        plan: &Plan,
        training: &Training,
        sum: &[i32],
    ) -> Result<Option<Arc<Vec<f32>>>, LedgerError> {
        let Some((before, root)) = self.model(&training.model) else {
            return Ok(None);
        };
        let mean = vector::mean_update(sum, training);
        let mut parameters = before.to_vec();
        let ranges = genesis::ranges(&training.model.layout, &training.parts);
        let mut optimizer = self.optimizers.get(&plan.id()).cloned().unwrap_or_default();
        optimizer.step(&training.server, &mean, &ranges, &mut parameters);
        let lineage = training.model.lineage();
        if let Some(index) = parameters.iter().position(|value| !value.is_finite()) {
            if training.model.base.is_none() {
                return Err(LedgerError::NotFinite { index });
            }
            // Who does not hold the base cannot tell, and goes on: the model ends, not the chain.
            self.models.remove(&lineage);
            return Ok(None);
        }
        if training.model.base.is_some() {
            self.begun.entry(lineage).or_insert(root);
        }
        let model = Model::new(parameters);
        let parameters = Arc::clone(&model.parameters);
        self.models.insert(lineage, model);
        self.optimizers.insert(plan.id(), optimizer);
        Ok(Some(parameters))
    }

    /// What a plan ended with may be what later lineages start from.
    fn release(&mut self, work: &Work, parameters: Option<&Arc<Vec<f32>>>) {
        let (Some(model), Some(parameters)) = (work.model(), parameters) else {
            return;
        };
        let (schema, layout) = (model.schema.digest(), model.layout.clone());
        self.ended
            .extend(Release::new(schema, layout, Arc::clone(parameters)));
        while self.ended.len() > RELEASES_KEPT {
            self.ended.pop_front();
        }
    }

    fn model_base(&self, label: &str, terms: &ModelTerms) -> Digest {
        let held = match terms.base {
            None => self.model(terms),
            Some(_) => None,
        };
        let name = match held {
            Some((_, root)) => root,
            None => {
                let lineage = terms.lineage();
                let last = self.moved.get(&lineage).unwrap_or(&self.session);
                crypto::tagged("csa1/base/started", &[&lineage.0, &last.0])
            }
        };
        crypto::tagged(label, &[&name.0])
    }
}

const PRETRAIN: &str = "csa1/base/pretrain";
const FINETUNE: &str = "csa1/base/finetune";
const EVALUATE: &str = "csa1/base/evaluate";
const ALL: [Part; 3] = [Part::Encoder, Part::Energy, Part::Head];

impl Model {
    fn new(parameters: Vec<f32>) -> Self {
        let root = genesis::model_root(&parameters);
        Self {
            parameters: Arc::new(parameters),
            root,
        }
    }
}

fn check_survivors(result: &RoundResult) -> Result<(), LedgerError> {
    let manifest = result.manifest.unverified();
    let survivors = &result.survivors;
    let found = seats_digest(survivors);
    same("survivors", found, result.outcome.unverified().survivors)?;
    if !survivors.is_canonical() || !survivors.is_subset(&manifest.cohort) {
        return Err(LedgerError::Survivors(
            "they are not seats of the cohort, ascending",
        ));
    }
    if !terms::of_manifest(manifest).suffice(survivors) {
        return Err(LedgerError::Survivors("they are too few to be opened"));
    }
    let graph = Graph::new(&manifest.cohort, manifest.degree, &manifest.graph_seed);
    if graph.isolated(survivors, manifest.honest_min).is_some() {
        return Err(LedgerError::Survivors(
            "one of them keeps too few neighbours",
        ));
    }
    Ok(())
}

fn check_sum(result: &RoundResult) -> Result<(), LedgerError> {
    let manifest = result.manifest.unverified();
    let work = &result.plan.plan.unverified().work;
    if u64::try_from(result.sum.len()) != Ok(manifest.words) {
        let found = result.sum.len();
        return Err(LedgerError::Words {
            found,
            expected: manifest.words,
        });
    }
    let root = vector::sum_root(&result.sum);
    same("sum", root, result.outcome.unverified().sum)?;
    vector::check_sum(
        &result.sum,
        result.survivors.len(),
        manifest.value_bits,
        work.kind(),
    )?;
    if let Work::Risk(terms) = work {
        vector::check_risk(&result.sum, terms.buckets)?;
    }
    Ok(())
}

fn same(what: &'static str, found: Digest, expected: Digest) -> Result<(), LedgerError> {
    if found != expected {
        return Err(LedgerError::Differs {
            what,
            found,
            expected,
        });
    }
    Ok(())
}

/// Why a result is not the next one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// Repeated, or ahead of what is here.
    #[error("result number {found}, expected {expected}")]
    Sequence {
        /// The result's number.
        found: u64,
        /// The next one.
        expected: u64,
    },
    /// A digest that should be equal is not.
    #[error("{what} is {found}, expected {expected}")]
    Differs {
        /// Which one.
        what: &'static str,
        /// The result's.
        found: Digest,
        /// Ours, or what follows from the result.
        expected: Digest,
    },
    /// A round number that is not the manifest's, or not after the last one.
    #[error("round {found:?} does not follow {last:?}, or is not the manifest's")]
    Round {
        /// The result's.
        found: RoundId,
        /// The last one committed.
        last: Option<RoundId>,
    },
    /// A manifest that does not follow from its plan.
    #[error("manifest: {0}")]
    Manifest(&'static str),
    /// Not the plan's next round.
    #[error("step {found} of its plan, expected {expected}")]
    Step {
        /// The manifest's.
        found: u32,
        /// The next one.
        expected: u32,
    },
    /// A survivor set that may not be opened.
    #[error("survivors: {0}")]
    Survivors(&'static str),
    /// A sum of another length.
    #[error("sum of {found} words, expected {expected}")]
    Words {
        /// Words found.
        found: usize,
        /// The manifest's.
        expected: u64,
    },
    /// A sum that is nobody's.
    #[error(transparent)]
    Sum(#[from] SumError),
    /// The model would leave the numbers.
    #[error("parameter {index} would not be finite")]
    NotFinite {
        /// The first such parameter.
        index: usize,
    },
}
