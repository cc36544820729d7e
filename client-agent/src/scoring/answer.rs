//! What `POST /v1/score` answers, as JSON and in the journal. How each field comes about is in
//! `worker.rs`; refusals are in `problem.rs`.

use serde::{Deserialize, Serialize};

use super::decision::{Band, Decision};

/// The answer to one payment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Unique, and in order of time; nothing for a `whatif`, which decides nothing.
    pub decision_id: Option<String>,
    /// The payment's id.
    pub txn_id: String,
    /// When it was scored, milliseconds since 1970-01-01 UTC.
    pub scored_at: u64,
    /// 1 to 999 on the published scale of odds; nothing without a model.
    pub score: Option<u16>,
    /// Calibrated probability of fraud.
    pub probability: Option<f32>,
    /// The network's logit, before calibration.
    pub logit: Option<f32>,
    /// The score for which this bank needs no label: the surprise of the schema's first field
    /// group, the amount in the schemas that come with this build. Nothing where it has none.
    #[serde(default)]
    pub label_free: Option<f32>,
    /// The plain rule beside it: how many times the median of its card the amount is. Nothing for a
    /// card without a payment before, in schemas without histories, and in journals of earlier
    /// versions.
    #[serde(default)]
    pub ratio: Option<f32>,
    /// What the bank should do.
    pub decision: Decision,
    /// Where the score lies among the policy's bands; nothing without a score.
    #[serde(default)]
    pub band: Option<Band>,
    /// What in the policy made the decision, such as `policy:score_bands.review>=784`. Empty in
    /// journals of earlier versions.
    #[serde(default)]
    pub decision_rule: String,
    /// Version of the policy that decided. Empty in journals of earlier versions.
    #[serde(default)]
    pub policy: String,
    /// Why this answer is another than usual; empty in journals of earlier versions.
    #[serde(default)]
    pub degraded: Vec<Degraded>,
    /// Why, the weightiest first, then what surprises; only from the policy's score on, and where
    /// surprise alone decided.
    pub reasons: Vec<Reason>,
    /// What the logit is made of beside the reasons; nothing where reasons were not asked for, and
    /// without a logit.
    #[serde(default)]
    pub remainder: Option<Remainder>,
    /// How surprising each field group is, in the schema's order. Empty without model and encoder,
    /// with a model that was never pretrained, and where too few payments of the seven days before
    /// the payment's are known to say what is usual.
    #[serde(default)]
    pub surprise: Vec<Surprise>,
    /// Days from the newest of the federation's risk counts to the payment; a label delay and one
    /// day is as fresh as they can be. Nothing where none have come.
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
    /// Fields of the request that the schema does not know; they were ignored.
    pub unknown_fields: u32,
    /// Microseconds from the request's arrival to this answer.
    pub latency_us: u64,
}

/// How an answer came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// A model scored.
    Full,
    /// No model scores, it refused the payment's numbers, or the answer was overdue: the configured
    /// decision, or what surprise alone leads to.
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

/// Why an answer is another than usual.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Degraded {
    /// It would have been a decline, and there were too many of them lately.
    Breaker,
    /// It was wanted before its turn came: no model was asked.
    Deadline,
    /// The payment is older than another of its card that was here before it.
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

/// Which model scored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelName {
    /// Length of the ledger when it was installed.
    pub version: u64,
    /// Whose head it has; the federation's in journals of earlier versions.
    #[serde(default)]
    pub head: Head,
    /// Digest of the parameters, hexadecimal.
    pub parameters: String,
    /// Digest of the feature schema, hexadecimal.
    pub schema: String,
}

/// Who trained the head of a model last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shadow {
    /// Which model it is: `local`.
    pub bundle: String,
    /// Its calibrated probability.
    pub probability: f32,
    /// Its logit.
    pub logit: f32,
}

/// How little one field group of a payment fits its card, as the encoder sees it, held against the
/// bank's own last seven days.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Surprise {
    /// The field group, by its name in the schema.
    pub group: String,
    /// Standard deviations above the median, in hundredths; below zero where it fits better.
    pub deviations: f32,
}

/// What the logit of an explained answer is made of beside its reasons: base, rest and the reasons'
/// weights add up to it, to 1e-4.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Remainder {
    /// The logit of a payment of which every fact lies at the centre of the schema.
    pub base: f32,
    /// What the facts that are no reasons add to it, below zero where they lower the score.
    pub rest: f32,
}

/// One reason for a score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    /// Stable code, see `reasons.rs`.
    pub code: String,
    /// 1 for the weightiest.
    pub rank: u8,
    /// What the fact adds to the logit, by the model's own account. Nothing for a surprise: it is a
    /// fact beside the score, and adds nothing to the logit.
    pub weight: Option<f32>,
    /// What was observed, with its unit.
    pub observed: String,
    /// What is usual, with its unit, where anything is.
    pub usual: Option<String>,
    /// One sentence for an analyst.
    pub text: String,
}
