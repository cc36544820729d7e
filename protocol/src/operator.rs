//! The operator's door: what the operator may ask of the coordinator, and what it is told.
//! Counts, names and digests only: nothing here could hold a bank's figure.

use std::fmt;

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
    /// What keeps a plan that waits from its next round.
    pub waiting: Option<Waiting>,
}

/// Why a plan waits and no round opens: what was found, and what was expected. Numbers alone: which
/// bank it is about stays with the banks' own lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Why.
    pub reason: Reason,
    /// What was found: banks, where the reason names nothing else.
    pub found: u32,
    /// What the plan, or the rule, asks for.
    pub expected: u32,
}

/// What keeps a plan's next round from opening. The banks of each are among those of the one
/// before: connected, in force, not set aside, and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// Too few banks are connected and not barred.
    Absent,
    /// Too few of them have credentials that have not ended.
    Expired,
    /// Too few of them are not set aside after an agreement or a round that they spoilt.
    Aside,
    /// Too few of them hold the whole ledger.
    Behind,
    /// Too few of them have not declined the plan within the hour.
    Declined,
    /// Too few of them are not left out after complaints.
    Complaints,
    /// Too few are ready for the colluders assumed and the plan's `honest_min` together.
    Honest,
    /// Too few are ready for a sparse mask graph: it needs three times the colluders.
    Sparse,
    /// The plan's `honest_min`, at most as many as a sparse mask graph stands.
    SparseHonest,
    /// Burnt round numbers, at most as many as there may be before the operator starts a plan.
    Halted,
    /// The coordinator's own credential has ended.
    Credential,
    /// None of them holds the bucket key that the consortium's risk counts stand under.
    BucketKey,
}

impl Waiting {
    /// The reason and what it asks for, whatever was found so far.
    #[must_use]
    pub fn matter(self) -> (Reason, u32) {
        (self.reason, self.expected)
    }
}

impl Reason {
    /// A word for it, for metrics and machines.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Expired => "expired",
            Self::Aside => "aside",
            Self::Behind => "behind",
            Self::Declined => "declined",
            Self::Complaints => "complaints",
            Self::Honest => "honest",
            Self::Sparse => "sparse",
            Self::SparseHonest => "sparse_honest",
            Self::Halted => "halted",
            Self::Credential => "credential",
            Self::BucketKey => "bucket_key",
        }
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            reason,
            found,
            expected,
        } = self;
        let banks = match reason {
            Reason::Absent => "are connected",
            Reason::Expired => "are connected with a credential in force",
            Reason::Aside => "are not set aside after what they spoilt",
            Reason::Behind => "hold the whole ledger",
            Reason::Declined => "have not declined the plan",
            Reason::Complaints => "are not left out after complaints",
            Reason::Honest => "are ready for the colluders assumed and honest_min",
            Reason::Sparse => "are ready for three times the colluders assumed",
            Reason::BucketKey => "hold the bucket key that the risk counts stand under",
            Reason::SparseHonest => {
                let graph = "a sparse mask graph";
                return write!(
                    f,
                    "honest_min is {found}, {graph} stands at most {expected}"
                );
            }
            Reason::Halted => {
                let until = "nothing opens until a plan is started";
                return write!(
                    f,
                    "{found} rounds were burnt, expected at most {expected}: {until}"
                );
            }
            Reason::Credential => return f.write_str("the coordinator's credential has ended"),
        };
        write!(f, "{found} banks {banks}, expected {expected}")
    }
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
    /// Consortium measures, for evaluation rounds of scores.
    pub measures: Option<crate::histogram::Measures>,
    /// Mean and spread of each column, for evaluation rounds of moments.
    pub moments: Option<Vec<Option<crate::moments::Moment>>>,
}
