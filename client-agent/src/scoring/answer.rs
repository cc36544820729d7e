//! What `POST /v1/score` answers, as JSON and in the journal. How each field comes about is in
//! `worker.rs`; refusals are in `problem.rs`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::decision::{Band, Decision};

/// The answer to one payment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Answer {
    /// Unique, and in order of time; null for a `whatif`, which decides nothing.
    #[schema(pattern = "^[0-9a-f]{12,}-[0-9a-f]+$")]
    pub decision_id: Option<String>,
    /// The payment's id.
    pub txn_id: String,
    /// When it was scored, milliseconds since 1970-01-01 UTC.
    pub scored_at: u64,
    /// On the published scale of odds: 500 is 1 to 1,000, and every 40 points double them. Null
    /// without a model.
    #[schema(minimum = 1, maximum = 999)]
    pub score: Option<u16>,
    /// Calibrated probability of fraud.
    #[schema(minimum = 0, maximum = 1)]
    pub probability: Option<f32>,
    /// The network's logit, before calibration.
    pub logit: Option<f32>,
    /// The score for which this bank needs no label: the surprise of the schema's first field
    /// group, the amount in the schemas that come with this build. Null where it has none.
    #[serde(default)]
    pub label_free: Option<f32>,
    /// The plain rule beside it: how many times the median of its card the amount is, a major unit
    /// added to both. Null for a card without a payment before, in schemas without histories, and
    /// in journals of earlier versions.
    #[serde(default)]
    #[schema(minimum = 0)]
    pub ratio: Option<f32>,
    /// What the bank should do.
    pub decision: Decision,
    /// Where the score lies among the policy's bands; null without a score.
    #[serde(default)]
    pub band: Option<Band>,
    /// What in the policy made the decision, such as `policy:score_bands.review>=784`,
    /// `policy:segments.rail=sct_inst.review<820`, `policy:fallback.decision`,
    /// `policy:label_free.review_from>=6` or `policy:breaker.then=review`. Empty in journals of
    /// earlier versions.
    #[serde(default)]
    #[schema(required)]
    pub decision_rule: String,
    /// Version of the policy that decided. Empty in journals of earlier versions.
    #[serde(default)]
    #[schema(required, max_length = 64)]
    pub policy: String,
    /// Why this answer is another than usual; mostly nothing, and empty in journals of earlier
    /// versions.
    #[serde(default)]
    #[schema(required)]
    pub degraded: Vec<Degraded>,
    /// Why, the weightiest first, then what surprises; from the policy's `explain.min_score` on,
    /// and where `label_free.review_from` decided.
    pub reasons: Vec<Reason>,
    /// What the logit is made of beside the reasons; null where reasons were not asked for, and
    /// without a logit.
    #[serde(default)]
    pub remainder: Option<Remainder>,
    /// How surprising each field group is, in the schema's order. Empty without model and encoder,
    /// with a model that was never pretrained, and where too few payments of the seven days before
    /// the payment's are known to say what is usual.
    #[serde(default)]
    #[schema(required)]
    pub surprise: Vec<Surprise>,
    /// Days from the newest of the federation's risk counts to the payment; a label delay and one
    /// day is as fresh as they can be. Null where none have come.
    #[serde(default)]
    pub risk_age_days: Option<i32>,
    /// The model that scored, or the encoder that told surprises for want of one.
    pub model: Option<ModelName>,
    /// What the bank's own model says to the same payment.
    pub shadow: Option<Shadow>,
    /// Whether a model scored.
    pub mode: Mode,
    /// Whether this answer was given before to the same payment.
    pub replayed: bool,
    /// Fields of the request that are not known here; they were ignored.
    #[schema(format = Int64)]
    pub unknown_fields: u32,
    /// Microseconds from the request's arrival to this answer; 0 in a stored one.
    pub latency_us: u64,
}

/// How an answer came about. `full`: a model scored. `fallback`: none does, it refused the numbers,
/// or the answer was overdue, and the configured decision is answered, or what surprise alone leads
/// to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// A model scored.
    Full,
    /// None did.
    Fallback,
}

impl Mode {
    /// The word in answers and metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Fallback => "fallback",
        }
    }
}

/// Why an answer is another than usual. `breaker`: it would have been a decline, and there were too
/// many of them lately. `deadline`: it was wanted before its turn came, and no model was asked.
/// `late`: the payment is older than another of its card that was here before it; it was read at
/// its own time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Degraded {
    /// Declines are held back.
    Breaker,
    /// Its turn came too late.
    Deadline,
    /// The payment itself came late.
    Late,
}

impl Degraded {
    /// The word in answers and metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Breaker => "breaker",
            Self::Deadline => "deadline",
            Self::Late => "late",
        }
    }
}

/// Which model it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ModelName {
    /// Length of the ledger when it was installed.
    pub version: u64,
    /// Whose head it has; the federation's in journals of earlier versions.
    #[serde(default)]
    #[schema(required)]
    pub head: Head,
    /// SHA-256 of the parameters.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub parameters: String,
    /// SHA-256 of the feature schema.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub schema: String,
}

/// Who trained the head of a model last: all banks together, this bank from there on, or this bank
/// alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Head {
    /// All banks together.
    #[default]
    Federation,
    /// This bank, from the federation's on.
    Personal,
    /// This bank alone.
    Local,
}

/// A second opinion that decides nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Shadow {
    /// Which model it is: `local`.
    pub bundle: String,
    /// Its calibrated probability.
    #[schema(minimum = 0, maximum = 1)]
    pub probability: f32,
    /// Its logit.
    pub logit: f32,
}

/// How little one field group of a payment fits its card, as the encoder sees it, held against the
/// bank's own last seven days.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Surprise {
    /// The field group, by its name in the schema.
    pub group: String,
    /// Standard deviations above the median, to hundredths; below zero where it fits better.
    pub deviations: f32,
}

/// What the logit of an explained answer is made of beside its reasons: base, rest and the reasons'
/// weights add up to it, to 1e-4.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Remainder {
    /// The logit of a payment of which every fact lies at the centre of the schema.
    pub base: f32,
    /// What the facts that are no reasons add to it, below zero where they lower the score.
    pub rest: f32,
}

/// One reason for a score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Reason {
    /// Stable code.
    #[schema(pattern = "^R[0-9]{2}_")]
    pub code: String,
    /// 1 for the weightiest.
    #[schema(minimum = 1, maximum = 255)]
    pub rank: u8,
    /// What the fact adds to the logit, by the model's own account. Null for a surprise: it is a
    /// fact beside the score, and adds nothing to the logit.
    pub weight: Option<f32>,
    /// What was observed, with its unit.
    pub observed: String,
    /// What is usual, with its unit: the card's own, else the bank's last seven days or the
    /// schema's centre. Null for the hour and for yes or no before that is known.
    pub usual: Option<String>,
    /// One sentence for an analyst.
    pub text: String,
}
