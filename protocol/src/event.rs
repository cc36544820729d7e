//! `Event`: all that is reported, a closed list. Log lines and metrics are made from nothing else;
//! ids, counts and durations only, never a parameter, a key or a transaction.

use crypto::Digest;

use crate::blame::{Misbehaviour, Refusal};
use crate::id::{Attempt, ClientId, EpochId, RoundId, Seat};
use crate::message::Cause;
use crate::operator::Waiting;
use crate::plan::{Kind, SchemaText};
use crate::time::Duration;

/// What the coordinator reports.
#[derive(Clone, Debug, PartialEq)]
pub enum CoordinatorEvent {
    /// A client checked in for the first time, or again after an absence.
    ClientArrived(ClientId, String),
    /// A client's connection ended.
    ClientLeft(ClientId),
    /// The phase changed; its name.
    PhaseEntered(&'static str),
    /// A plan was adopted: its name and kind.
    PlanAdopted(String, Kind),
    /// A plan ended: its name and the rounds committed.
    PlanEnded(String, u32),
    /// Keys were agreed among so many members.
    EpochAgreed(EpochId, u16),
    /// A key agreement lacked members and starts again.
    EpochAbandoned(EpochId),
    /// A round opened for a cohort of this size.
    RoundOpened(RoundId, Attempt, u16),
    /// A member missed a phase: a dropout.
    Dropout(RoundId, Seat, &'static str),
    /// A round was committed: members in the sum and how long it took.
    RoundCommitted {
        /// The round.
        round: RoundId,
        /// Its kind.
        kind: Kind,
        /// Members whose updates are in the sum.
        survivors: u16,
        /// Members of the cohort that are not.
        dropouts: u16,
        /// From opening to commit.
        took: Duration,
        /// The ledger's head.
        head: Digest,
    },
    /// An attempt ended without a result.
    RoundAbandoned(RoundId, Attempt, Cause),
    /// Too many burnt rounds: nothing opens until the operator acts.
    Halted(u32),
    /// A client declined.
    Declined(ClientId, Refusal),
    /// A peer misbehaved.
    Misbehaved(ClientId, Misbehaviour),
    /// So many bytes of masked updates came in from one member.
    UpdateReceived(RoundId, Seat, u64),
    /// What keeps a waiting plan from its next round is another matter than before; none: nothing
    /// does.
    Waiting(Option<Waiting>),
    /// A risk round waits until so many members hold the banks' bucket key.
    BucketKeyAwaited(u16),
}

/// What a client reports.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientEvent {
    /// The coordinator answered a check-in.
    Welcomed,
    /// Keys were agreed in an epoch with so many members.
    EpochAgreed(EpochId, u16),
    /// A round was joined.
    Joined(RoundId, Attempt, Kind),
    /// The plan of a round that is about to be declined has this feature schema, not one of ours.
    ForeignSchema(SchemaText),
    /// A round was declined, on purpose.
    Declined(Refusal),
    /// A masked update of so many bytes left for this round.
    UpdateSent(RoundId, u64),
    /// An acknowledgement was given: the round number is spent.
    Acked(RoundId),
    /// Shares were revealed.
    Revealed(RoundId),
    /// A result was checked and applied: ledger length and head.
    Applied(RoundId, u64, Digest),
    /// An attempt ended without a result.
    Abandoned(RoundId, Attempt, Cause),
    /// The coordinator, or a peer through it, misbehaved.
    Misbehaved(Misbehaviour),
    /// The coordinator refused us.
    Refused(Refusal),
    /// So many chunks of this round's sum were audited, and are the survivors'.
    AuditPassed(RoundId, u32),
    /// An audit ended without a finding, and why.
    Unaudited(RoundId, &'static str),
    /// The published sum is not the survivors': the alarm. No further round is joined.
    FalseSum {
        /// The round.
        round: RoundId,
        /// The chunk that was audited.
        chunk: u32,
        /// The first word that differs.
        word: u64,
        /// What was published there.
        found: i32,
        /// The survivors' sum.
        expected: i32,
    },
    /// The banks' bucket key came, or was drawn here: its commitment.
    BucketKeyKept(Digest),
}
