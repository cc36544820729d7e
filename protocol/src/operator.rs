//! The operator's door: what the operator may ask of the coordinator, and what it is told.
//! Counts, names and digests only: nothing here could hold a bank's figure.

use crypto::Digest;
use serde::{Deserialize, Serialize};

use crate::id::{Attempt, EpochId, PlanId, RoundId};
use crate::message::Cause;
use crate::plan::{Kind, SignedPlan};
use crate::time::Time;

/// What the operator asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Command {
    /// How things stand.
    Status,
    /// Adopt a plan and run its rounds.
    Start(Box<SignedPlan>),
    /// Stop a plan: no further round opens; a running attempt is abandoned if nobody acked yet.
    Stop(PlanId),
    /// The last rounds, newest first, at most so many.
    Rounds(u32),
    /// One round.
    Round(RoundId),
    /// Refuse a client from now on.
    Bar(String),
}

/// What the operator is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// Answer to [`Command::Status`].
    Status(Status),
    /// The plan was adopted under this identity.
    Started(PlanId),
    /// Done.
    Done,
    /// Answer to [`Command::Rounds`].
    Rounds(Vec<RoundSummary>),
    /// Answer to [`Command::Round`].
    Round(Box<RoundDetail>),
    /// Not done: what was found and what was expected.
    Refused(String),
}

/// How the coordinator stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The phase, by its name.
    pub phase: String,
    /// The running round and attempt.
    pub round: Option<(RoundId, Attempt)>,
    /// The epoch in force.
    pub epoch: Option<EpochId>,
    /// When the phase ends.
    pub deadline: Option<Time>,
    /// Everybody who ever checked in.
    pub clients: Vec<ClientStatus>,
    /// Plans adopted and not finished, in order, with rounds done and rounds in all.
    pub plans: Vec<PlanStatus>,
    /// Committed rounds.
    pub ledger: u64,
    /// The ledger's head.
    pub head: Digest,
    /// Burnt round numbers since the epoch began.
    pub burnt: u32,
}

/// How one client stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClientStatus {
    /// The bank's name.
    pub name: String,
    /// Whether it is connected.
    pub connected: bool,
    /// When it was last heard.
    pub seen: Time,
    /// Whether it sits in the epoch's roster.
    pub seated: bool,
    /// Whether it is barred.
    pub barred: bool,
    /// Committed rounds its ledger holds.
    pub ledger: u64,
    /// The last refusal it gave, in words.
    pub refusal: Option<String>,
}

/// How one plan stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanStatus {
    /// Its identity.
    pub id: PlanId,
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: Kind,
    /// Rounds committed.
    pub done: u32,
    /// Rounds in all.
    pub rounds: u32,
}

/// One round in a line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoundSummary {
    /// The round.
    pub round: RoundId,
    /// The last attempt.
    pub attempt: Attempt,
    /// The plan's name.
    pub plan: String,
    /// The plan's kind.
    pub kind: Kind,
    /// The cohort's size.
    pub cohort: u16,
    /// Banks that escrowed.
    pub escrowed: u16,
    /// Banks whose updates were summed.
    pub survivors: u16,
    /// How it ended; `None` while it runs.
    pub end: Option<RoundEnd>,
    /// When it opened.
    pub opened: Time,
    /// When it ended.
    pub closed: Option<Time>,
    /// Bytes of masked updates received.
    pub bytes_in: u64,
}

/// How a round ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RoundEnd {
    /// With a result.
    Committed,
    /// Without.
    Abandoned(Cause),
}

/// One round with everything that is public about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoundDetail {
    /// The line.
    pub summary: RoundSummary,
    /// Names of the cohort, in seat order.
    pub cohort: Vec<String>,
    /// Names of the members whose updates are in the sum.
    pub survivors: Vec<String>,
    /// The round's threshold.
    pub threshold: u16,
    /// The ledger's head after it.
    pub head: Option<Digest>,
    /// The first words of the sum: count of banks and weight.
    pub count: Option<u32>,
    /// L2 norm of the mean update, for training rounds.
    pub update_norm: Option<f64>,
    /// Consortium measures, for evaluation rounds.
    pub measures: Option<crate::histogram::Measures>,
}
