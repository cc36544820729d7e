//! `Client`: a bank's side of the protocol. It decides what leaves the bank; its secrets live in
//! the phases and nowhere else. Phases are under `client/phase`, what this institution refuses
//! whatever the plan says is in `client/consent.rs`, the institution's data is behind [`Task`].

use std::sync::Arc;

use crate::id::{Context, RoundId};
use crate::message::RoundResult;
use crate::plan::Plan;

pub mod consent;

/// Work a client asks its host for.
#[derive(Clone, Debug, PartialEq)]
pub enum Task {
    /// Train, count or score for one attempt; answered by [`Outcome`].
    Contribute(Order),
    /// A result was checked and recorded: put it to use. Not answered.
    Install(Installed),
}

/// What one attempt needs from this bank.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// The attempt; comes back with the outcome.
    pub context: Context,
    /// The round.
    pub round: RoundId,
    /// The terms.
    pub plan: Plan,
    /// Which of the plan's rounds this is, from 0.
    pub step: u32,
    /// The model's parameters before the round, flat; empty for risk counts.
    pub parameters: Arc<Vec<f32>>,
    /// Seed of the local work's chance, from this attempt's context: a new attempt trains anew.
    pub seed: u64,
}

/// What came of an [`Order`].
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The attempt.
    pub context: Context,
    /// The bank's vector before encoding, or why there is none.
    pub contribution: Result<Contribution, String>,
}

/// A bank's vector before encoding and masking.
#[derive(Clone, Debug, PartialEq)]
pub enum Contribution {
    /// Change of the plan's parts, in flat order, and the examples behind it.
    Update {
        /// New minus old parameters, of the plan's parts only.
        delta: Vec<f32>,
        /// Training examples behind it.
        examples: u64,
    },
    /// Counts, one per payload word.
    Counts(Vec<u32>),
}

/// A result that this bank checked and recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Installed {
    /// The result, with plan and sum.
    pub result: Arc<RoundResult>,
    /// The model's parameters after it, flat, for training rounds.
    pub parameters: Option<Arc<Vec<f32>>>,
    /// Banks in the sum.
    pub banks: u32,
    /// Which of the plan's rounds it was, from 0.
    pub step: u32,
}
