//! The arithmetic of a round's terms: threshold, bits, words, and whether a manifest follows from
//! its plan. Both parties ask here, so they cannot differ. Whether a plan makes sense at all is
//! `terms/plan.rs`; which plans an institution likes is `client/consent.rs`.

use crate::graph;
use crate::id::Seats;
use crate::limits::{
    FULL_GRAPH_MEMBERS_MAX, GUARD_BITS, HEADER_WORDS, HONEST_MIN, MEMBERS_MAX, MEMBERS_MIN,
    PROTOCOL_VERSION, SPARSE_HONEST_MAX, WORDS_MAX,
};
use crate::message::Manifest;
use crate::moments::COLUMN_WORDS;
use crate::plan::{
    CohortTerms, Evaluated, Kind, Layout, Part, Plan, ServerRule, Training, Width, Work,
};

mod plan;
#[cfg(test)]
mod tests;

pub use plan::validate;

/// The terms of a round for a cohort of known size (PROTOCOL.md §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Members of the cohort (n).
    pub members: u16,
    /// Banks assumed to collude with the coordinator (c).
    pub colluders: u16,
    /// Responders needed to open anything (t).
    pub threshold: u16,
    /// Honest banks that every opened sum must hold (m_min).
    pub honest_min: u16,
    /// Mask neighbours of each bank.
    pub degree: u16,
}

impl Terms {
    /// Whether a set of this size may be opened: enough to reconstruct, enough honest ones in it.
    #[must_use]
    pub fn suffice(&self, seats: &Seats) -> bool {
        seats.len() >= usize::from(self.needed())
    }

    /// Members that an opened set must hold: `max(t, c + m_min)`.
    #[must_use]
    pub fn needed(&self) -> u16 {
        self.threshold
            .max(self.colluders.saturating_add(self.honest_min))
    }
}

/// Which rule a cohort breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// Fewer than [`MEMBERS_MIN`].
    Few,
    /// More than [`MEMBERS_MAX`].
    Many,
    /// Fewer than the plan's `members_min`.
    BelowPlan,
    /// The plan's `honest_min` is below [`HONEST_MIN`].
    HonestMin,
    /// More colluders than members.
    Colluders,
    /// Fewer honest members than the plan's `honest_min`.
    Honest,
    /// Nobody is left who is honest.
    Threshold,
    /// More colluders than a sparse mask graph stands.
    SparseColluders,
    /// A larger `honest_min` than a sparse mask graph stands.
    SparseHonest,
}

impl Unfit {
    /// The rule, in words.
    #[must_use]
    pub fn rule(self) -> &'static str {
        match self {
            Self::Few => "cohort has fewer than 3 members",
            Self::Many => "cohort has more than 1000 members",
            Self::BelowPlan => "cohort is smaller than the plan's members_min",
            Self::HonestMin => "honest_min is below 3",
            Self::Colluders => "more colluders than members",
            Self::Honest => "fewer honest members than honest_min",
            Self::Threshold => "threshold exceeds the cohort: every member is assumed to collude",
            Self::SparseColluders => "a sparse mask graph stands at most a third of colluders",
            Self::SparseHonest => "a sparse mask graph stands an honest_min of at most 10",
        }
    }
}

/// The colluders assumed where the plan names none: `floor((n-1)/3)`.
#[must_use]
pub fn default_colluders(members: u16) -> u16 {
    members.saturating_sub(1) / 3
}

/// `t = floor((n+c)/2) + 1`, the least with `2t > n + c` (PROTOCOL.md §4).
#[must_use]
pub fn threshold(members: u16, colluders: u16) -> u16 {
    let sum = u32::from(members) + u32::from(colluders);
    u16::try_from(sum / 2 + 1).unwrap_or(u16::MAX)
}

/// Mask neighbours of each bank: all others, or the sparse graph's degree (PROTOCOL.md §10).
#[must_use]
pub fn degree(members: u16) -> u16 {
    graph::sparse(members).map_or_else(|| members.saturating_sub(1), |row| row.degree)
}

/// The terms that a plan's cohort rules give for `members` banks, of which no more ever sat in one
/// roster.
///
/// # Errors
/// Which rule such a cohort breaks.
pub fn for_cohort(cohort: &CohortTerms, members: u16) -> Result<Terms, Unfit> {
    for_roster(cohort, members, members)
}

/// The terms for `members` banks out of a roster of `seated`. Where the plan names no colluders,
/// they are a third of the roster's: whoever picks a cohort picks it knowing who colludes.
///
/// # Errors
/// Which rule such a cohort breaks.
pub fn for_roster(cohort: &CohortTerms, members: u16, seated: u16) -> Result<Terms, Unfit> {
    with_colluders(cohort, members, colluders(cohort, members, seated))
}

/// The colluders that [`for_roster`] assumes.
#[must_use]
pub fn colluders(cohort: &CohortTerms, members: u16, seated: u16) -> u16 {
    cohort
        .colluders
        .unwrap_or_else(|| default_colluders(seated.max(members)))
}

/// The terms for `members` banks of which `colluders` are assumed to collude.
fn with_colluders(cohort: &CohortTerms, members: u16, colluders: u16) -> Result<Terms, Unfit> {
    if members < MEMBERS_MIN {
        return Err(Unfit::Few);
    }
    if usize::from(members) > MEMBERS_MAX {
        return Err(Unfit::Many);
    }
    if members < cohort.members_min {
        return Err(Unfit::BelowPlan);
    }
    if cohort.honest_min < HONEST_MIN {
        return Err(Unfit::HonestMin);
    }
    let Some(honest) = members.checked_sub(colluders) else {
        return Err(Unfit::Colluders);
    };
    if honest < cohort.honest_min {
        return Err(Unfit::Honest);
    }
    let threshold = threshold(members, colluders);
    if threshold > members {
        return Err(Unfit::Threshold);
    }
    if members > FULL_GRAPH_MEMBERS_MAX {
        if u32::from(colluders) * 3 > u32::from(members) {
            return Err(Unfit::SparseColluders);
        }
        if cohort.honest_min > SPARSE_HONEST_MAX {
            return Err(Unfit::SparseHonest);
        }
    }
    let (honest_min, degree) = (cohort.honest_min, degree(members));
    Ok(Terms {
        members,
        colluders,
        threshold,
        honest_min,
        degree,
    })
}

/// The terms written in a manifest, as they are: [`check`] says whether they may be.
#[must_use]
pub fn of_manifest(manifest: &Manifest) -> Terms {
    Terms {
        members: u16::try_from(manifest.cohort.len()).unwrap_or(u16::MAX),
        colluders: manifest.colluders,
        threshold: manifest.threshold,
        honest_min: manifest.honest_min,
        degree: manifest.degree,
    }
}

/// Every rule of a manifest that follows from it and its plan alone (PROTOCOL.md §4).
///
/// Not here, since they need more: signatures, roster, base, head, graph seed, round numbers, time.
///
/// # Errors
/// The first rule that is broken.
pub fn check(manifest: &Manifest, plan: &Plan) -> Result<(), &'static str> {
    if manifest.version != PROTOCOL_VERSION {
        return Err("version is not ours");
    }
    if manifest.plan != plan.id() {
        return Err("plan is not the one shown");
    }
    if manifest.step >= plan.rounds {
        return Err("step is beyond the plan's rounds");
    }
    if !manifest.cohort.is_canonical() {
        return Err("cohort is not ascending");
    }
    let members = u16::try_from(manifest.cohort.len()).map_err(|_| "cohort is too large")?;
    // Without a word of the plan's, the roster decides, which not everybody knows who checks a
    // result: here the cohort gives the least, at the offer each bank what it asks for.
    let colluders = manifest.colluders;
    let is_allowed = plan.cohort.colluders.map_or_else(
        || colluders >= default_colluders(members),
        |planned| colluders == planned,
    );
    if !is_allowed {
        return Err("colluders are not the plan's");
    }
    let terms = with_colluders(&plan.cohort, members, colluders).map_err(Unfit::rule)?;
    if manifest.threshold != terms.threshold {
        return Err("threshold is not floor((n+c)/2)+1");
    }
    if manifest.honest_min != terms.honest_min {
        return Err("honest_min is not the plan's");
    }
    if manifest.degree != terms.degree {
        return Err("degree is not the mask graph's");
    }
    if manifest.word_bits != plan.width.bits() {
        return Err("word_bits is not the plan's");
    }
    if manifest.value_bits != value_bits(plan, members) {
        return Err("value_bits is not what plan and cohort give");
    }
    if manifest.words != words(plan)? {
        return Err("words is not what the plan gives");
    }
    let due = manifest.due;
    if due.escrow > due.collection || due.collection > due.end {
        return Err("due moments are out of order");
    }
    if manifest.bucket_key.is_some() && plan.work.kind() != Kind::Risk {
        return Err("bucket_key is for risk counts alone");
    }
    Ok(())
}

/// Words of the plan's vector, headers included.
///
/// # Errors
/// If they exceed [`WORDS_MAX`].
pub fn words(plan: &Plan) -> Result<u64, &'static str> {
    let payload = match &plan.work {
        Work::Pretrain(training) | Work::Finetune(training) => values(training),
        Work::Risk(terms) => {
            let cells = u64::from(terms.days) * u64::from(terms.buckets) * 2;
            Some(cells + u64::from(terms.buckets))
        }
        Work::Evaluate(terms) => Some(match terms.of {
            Evaluated::Scores { bins } => 2 * u64::from(bins),
            Evaluated::Moments { columns } => u64::from(columns) * u64::from(COLUMN_WORDS),
        }),
    };
    payload
        .and_then(|words| words.checked_add(HEADER_WORDS as u64))
        .filter(|&words| words <= WORDS_MAX)
        .ok_or("the vector exceeds 10 Mi words")
}

/// Values of a bank's update: one for each parameter of the parts; where the server solves for its
/// step, behind them the upper triangle of their curvature, row by row. None where their number
/// does not fit.
#[must_use]
pub fn values(training: &Training) -> Option<u64> {
    let parameters = parameters(&training.model.layout, &training.parts)?;
    let curvature = match training.server {
        ServerRule::FedAvg { .. } | ServerRule::FedAdam(_) | ServerRule::FedYogi(_) => 0,
        ServerRule::Newton(_) => parameters.checked_mul(parameters.checked_add(1)?)? / 2,
    };
    parameters.checked_add(curvature)
}

/// Parameters of these parts; none where their number does not fit.
fn parameters(layout: &Layout, parts: &[Part]) -> Option<u64> {
    let tensors = layout
        .0
        .iter()
        .filter(|tensor| parts.contains(&tensor.part));
    tensors
        .map(|tensor| elements(&tensor.shape))
        .try_fold(0_u64, |sum, size| sum.checked_add(size?))
}

/// Elements of a tensor of this shape; none where their number does not fit.
fn elements(shape: &[u32]) -> Option<u64> {
    shape
        .iter()
        .try_fold(1_u64, |product, &size| product.checked_mul(u64::from(size)))
}

/// Bits q of a value, sign included, with `q <= w - g - ceil(log2 n)`: `n` such values use at
/// most a quarter of the ring. Training uses its plan's bits, or fewer where the cohort leaves no
/// more; counts use all there are.
#[must_use]
pub fn value_bits(plan: &Plan, members: u16) -> u8 {
    let room = room(plan.width, members);
    match &plan.work {
        Work::Pretrain(training) | Work::Finetune(training) => training.value_bits.min(room),
        Work::Risk(_) | Work::Evaluate(_) => room,
    }
}

/// The bits that a cohort leaves to each value: at least 12, up to [`MEMBERS_MAX`].
fn room(width: Width, members: u16) -> u8 {
    let sum_bits = 16 - members.saturating_sub(1).leading_zeros();
    let sum_bits = u8::try_from(sum_bits).expect("a u16 has 16 bits");
    width.bits() - GUARD_BITS - sum_bits
}
