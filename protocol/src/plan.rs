//! `Plan`: the operator's signed terms of a run of rounds, of one kind. What is trained or counted,
//! on which days, with how many banks at least. No address and no path: those are configuration.

use crypto::{Digest, ToCanonical};
use serde::{Deserialize, Serialize};

use crate::credential::Credential;
use crate::id::PlanId;
use crate::limits::{WORD_BITS, WORD_BITS_PACKED};
use crate::signed::Signed;
use crate::time::{Duration, Time};

mod canonical;

/// The terms of a run of rounds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// For people: at most [`crate::limits::NAME_BYTES_MAX`] bytes.
    pub name: String,
    /// What the banks do, and what the summed vector means.
    pub work: Work,
    /// How many rounds run under this plan, at least 1.
    pub rounds: u32,
    /// Who must be there.
    pub cohort: CohortTerms,
    /// How long each phase waits.
    pub deadlines: Deadlines,
    /// The noise added, if any. [`Privacy::None`] is a choice, and is stamped into every manifest.
    pub privacy: Privacy,
    /// Distinguishes plans that are otherwise equal.
    pub nonce: u64,
    /// No round opens after this moment.
    pub expires: Time,
    /// How wide the vector's words are.
    pub width: Width,
}

/// The four kinds of plan. All go through the one secure sum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Work {
    /// Contrastive pretraining of the encoder on unlabelled transactions: weight deltas.
    Pretrain(Training),
    /// Fine-tuning of encoder and head on labels: weight deltas.
    Finetune(Training),
    /// Transactions and known frauds per merchant bucket and day: counts.
    Risk(RiskTerms),
    /// Histograms of the scores of frauds and of genuine transactions: counts.
    Evaluate(EvaluateTerms),
}

/// A kind of plan without its terms: what a policy allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    /// See [`Work::Pretrain`].
    Pretrain,
    /// See [`Work::Finetune`].
    Finetune,
    /// See [`Work::Risk`].
    Risk,
    /// See [`Work::Evaluate`].
    Evaluate,
}

/// Which model a plan is about: a schema, a layout, the seed of its first parameters, and the model
/// that some of them are taken from, if any.
///
/// The first parameters are a pure function of these ([`crate::genesis`]), so nobody hands
/// anybody a crafted first model: what a base names, each bank has from its own ledger or disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelTerms {
    /// The feature schema every member encodes with.
    pub schema: SchemaText,
    /// The tensors, in flat order.
    pub layout: Layout,
    /// Seed of the first parameters.
    pub genesis_seed: u64,
    /// What it starts from; nothing where the seed says it all.
    pub base: Option<Base>,
}

/// The model of an earlier lineage that a new one starts from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// What names its parameters ([`crate::genesis::model_root`]).
    pub root: Digest,
    /// The parts that are taken from it, ascending; the others are drawn from the seed.
    pub parts: Vec<Part>,
}

/// A feature schema as canonical text: what every bank makes of a payment. Here it is text, and its
/// digest counts; only banks read it. At most [`crate::limits::SCHEMA_BYTES_MAX`] bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaText(pub String);

impl SchemaText {
    /// SHA-256 of the text: what consent files name.
    #[must_use]
    pub fn digest(&self) -> Digest {
        crypto::sha256(&[self.0.as_bytes()])
    }
}

/// The tensors of a model, in flat order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Layout(pub Vec<TensorSpec>);

/// One tensor of a layout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TensorSpec {
    /// Its name in checkpoints.
    pub name: String,
    /// Its dimensions.
    pub shape: Vec<u32>,
    /// Which part of the network it belongs to.
    pub part: Part,
    /// How its first values are drawn.
    pub init: Init,
}

/// A part of the network: what a plan trains is a set of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Part {
    /// The transaction encoder.
    Encoder,
    /// The energies of the pretext task.
    Energy,
    /// The fraud head.
    Head,
}

/// How a tensor's first values are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Init {
    /// All zero.
    Zeros,
    /// All this value.
    Constant(f32),
    /// Uniform between minus and plus this bound.
    Uniform(f32),
    /// Normal with this standard deviation (a sum of twelve uniforms: no libm, same bytes
    /// everywhere).
    Normal(f32),
}

/// Terms of a training round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// The model.
    pub model: ModelTerms,
    /// The parts whose deltas are summed, ascending.
    pub parts: Vec<Part>,
    /// Transactions of days `from_day..to_day` (days since the Unix epoch, UTC) are trained on;
    /// a label counts only where it was known before `to_day + label_delay_days`.
    pub from_day: u32,
    /// The first day that is not trained on.
    pub to_day: u32,
    /// Days after `to_day` by which a label must have been known.
    pub label_delay_days: u16,
    /// Local optimiser steps in a round.
    pub steps: u32,
    /// Rows in a step.
    pub batch: u32,
    /// Learning rate of the head (of everything, in pretraining) in the first round.
    pub rate: f32,
    /// Learning rate of the encoder while fine-tuning, in the first round.
    pub rate_encoder: f32,
    /// Rates fall by a cosine over the plan's rounds to this share of the first.
    pub rate_end: f32,
    /// FedProx's proximal coefficient; 0 is FedAvg's local problem.
    pub proximal: f32,
    /// A bank with this many examples or more weighs 1; fewer weigh in proportion.
    pub examples_cap: u64,
    /// L2 bound of one bank's update, before its weight.
    pub clip_norm: f32,
    /// Largest |coordinate| after weighting that the fixed point can say.
    pub range: f32,
    /// Bits of the fixed point, sign included: 8 to 20.
    pub value_bits: u8,
    /// How the coordinator and every bank step the model with the mean update.
    pub server: ServerRule,
}

/// How the mean update becomes the next model.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum ServerRule {
    /// `next = model + rate * mean` (McMahan et al. 2017).
    FedAvg {
        /// Server learning rate.
        rate: f32,
    },
    /// Adam on the mean update (Reddi et al. 2021).
    FedAdam(Adaptive),
    /// Yogi on the mean update (the same): its second moment falls no faster than it rises.
    FedYogi(Adaptive),
    /// A step of Newton's method on a linear head. An update says slope and curvature of the bank's
    /// mean loss, so the step is the one that everybody's rows together would take.
    Newton(Newton),
}

/// A server rule with moments.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Adaptive {
    /// Server learning rate.
    pub rate: f32,
    /// First moment's decay.
    pub beta1: f32,
    /// Second moment's decay.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub epsilon: f32,
}

/// A server rule that solves for its step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Newton {
    /// How far a step moves logits at most, in root mean square over payments, each weighted by how
    /// undecided it is: a trust region. Curvature is that of the model as it is, and where frauds
    /// are rare a whole first step goes past the lowest point and does not come back.
    pub radius: f32,
    /// What is added to the curvature of every weight but the bias; half of it times a weight's
    /// square is the price of that weight, beside the mean loss of an example. One over all banks'
    /// examples is a prior of unit deviation.
    pub ridge: f32,
}

/// Terms of a risk-count round. Vector: `[day][bucket](transactions, frauds)`, then per bucket
/// 1 where the bank had any transaction in the 30 days up to the last one (or in the days, if they
/// are more): `days * buckets * 2 + buckets` words. Frauds may be below zero.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RiskTerms {
    /// Size of the hashed table: four stretches, a merchant has a bucket in each. Eight times the
    /// merchants and more, so that few share all four with others.
    pub buckets: u32,
    /// Salt of the hash from merchant to bucket, whose key is the banks' own (`bucket.rs`).
    pub salt: Digest,
    /// First day counted, days since the Unix epoch.
    pub from_day: u32,
    /// Days counted.
    pub days: u16,
    /// A day counts its frauds that were known `1 + label_delay_days` after it, and what became
    /// known since the day before of transactions up to 29 days older, plus or minus: a range of
    /// days counts what as many single days would.
    pub label_delay_days: u16,
    /// Buckets with fewer such banks are dropped by every bank before use.
    pub banks_min: u16,
}

/// Terms of an evaluation round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvaluateTerms {
    /// The model that is judged, or whose columns are measured.
    pub model: ModelTerms,
    /// What is summed.
    pub of: Evaluated,
    /// First day judged.
    pub from_day: u32,
    /// First day not judged.
    pub to_day: u32,
    /// Days after `to_day` by which a label must have been known.
    pub label_delay_days: u16,
}

/// What an evaluation round sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Evaluated {
    /// Scores, in so many bins over the logit ([`crate::histogram`]). Vector: genuine per bin, then
    /// frauds per bin: `2 * bins` words.
    Scores {
        /// Bins.
        bins: u32,
    },
    /// Mean and spread of the schema's columns ([`crate::moments`]), so many of them.
    Moments {
        /// Columns.
        columns: u32,
    },
}

/// Who must be there for a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CohortTerms {
    /// Banks needed before an epoch is agreed.
    pub members_min: u16,
    /// Banks assumed to collude with the coordinator; `None` is `floor((n-1)/3)` of the largest
    /// roster.
    pub colluders: Option<u16>,
    /// Honest banks that every opened sum must hold (m_min of secagg.md §2).
    pub honest_min: u16,
}

/// How long each phase waits before it goes on without the absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadlines {
    /// From the first bank's arrival: for the others.
    pub selection: Duration,
    /// For each half of the key agreement.
    pub agreement: Duration,
    /// For escrows.
    pub escrow: Duration,
    /// For masked updates: holds the local training.
    pub collection: Duration,
    /// For acknowledgements of the survivor set.
    pub acknowledgement: Duration,
    /// For reveals.
    pub reveal: Duration,
}

/// The mechanism that bounds what a sum says about one customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Privacy {
    /// None beyond the secure sum: SECURITY.md says what remains.
    None,
}

/// How wide the words of a plan's vector are: on the ring, and on the way (PROTOCOL.md §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Width {
    /// 32 bits.
    Full,
    /// 24 bits: a quarter less to send, and eight bits less for values.
    Packed,
}

/// A plan as it travels: the operator's signature and the credential that makes it count.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SignedPlan {
    /// The terms.
    pub plan: Signed<Plan>,
    /// The operator's credential.
    pub operator: Signed<Credential>,
}

impl Plan {
    /// The plan's identity.
    #[must_use]
    pub fn id(&self) -> PlanId {
        PlanId(crypto::tagged("csa1/plan", &[&self.canonical()]))
    }
}

impl Width {
    /// Bits of a word.
    #[must_use]
    pub fn bits(self) -> u8 {
        match self {
            Self::Full => WORD_BITS,
            Self::Packed => WORD_BITS_PACKED,
        }
    }

    /// Bytes of a word on the way.
    #[must_use]
    pub fn bytes(self) -> usize {
        usize::from(self.bits() / 8)
    }
}

impl Work {
    /// The kind without its terms.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Pretrain(_) => Kind::Pretrain,
            Self::Finetune(_) => Kind::Finetune,
            Self::Risk(_) => Kind::Risk,
            Self::Evaluate(_) => Kind::Evaluate,
        }
    }

    /// The model the work is about; none for risk counts.
    #[must_use]
    pub fn model(&self) -> Option<&ModelTerms> {
        match self {
            Self::Pretrain(training) | Self::Finetune(training) => Some(&training.model),
            Self::Evaluate(terms) => Some(&terms.model),
            Self::Risk(_) => None,
        }
    }
}
