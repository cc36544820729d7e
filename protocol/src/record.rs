//! All that is remembered, append-only. The coordinator's records are public or masked; a client's
//! hold only monotone facts: no type here could hold a secret of a round (PROTOCOL.md §8).

use crypto::Digest;
use serde::{Deserialize, Serialize};

use crate::id::{Attempt, ClientId, EpochId, PlanId, RoundId, Seats};
use crate::message::{
    Abandoned, Ack, Encapsulation, Escrow, KeyBundle, Manifest, Masked, Reveal, Roster, RoundResult,
};
use crate::plan::{Kind, SignedPlan};
use crate::signed::Signed;
use crate::time::Time;

/// What the coordinator remembers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum CoordinatorRecord {
    /// A plan was adopted.
    PlanAdopted(SignedPlan),
    /// A plan ended or was stopped.
    PlanEnded(PlanId),
    /// A client was barred.
    Barred(ClientId),
    /// E0 was sent.
    EpochOpened(Signed<Roster>),
    /// E1 of one member.
    KeyBundle(Signed<KeyBundle>),
    /// E2 of one member.
    Encapsulations(Vec<Signed<Encapsulation>>),
    /// Every member holds the epoch's keys.
    EpochAgreed(EpochId),
    /// The agreement is given up.
    EpochAbandoned(EpochId),
    /// A round was opened at this moment.
    RoundOpened(Time, Signed<Manifest>),
    /// M1 of one member.
    Escrow(Escrow),
    /// U1 was fixed.
    Escrowed(Seats),
    /// M3 of one member.
    Masked(Masked),
    /// U2 was fixed.
    Survived(Seats),
    /// M5 of one member.
    Ack(Signed<Ack>),
    /// The acknowledgements were fixed and sent.
    Acknowledged(Vec<Signed<Ack>>),
    /// M7 of one member.
    Reveal(Signed<Reveal>),
    /// M8, at this moment.
    Committed(Time, Box<RoundResult>),
    /// The attempt ended without a result, at this moment.
    Abandoned(Time, Abandoned),
}

/// How long a coordinator's record must be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// For good.
    Ledger,
    /// Until the running attempt ends.
    Attempt,
    /// Ends the running attempt: its records may go once this one is durable.
    EndsAttempt,
}

impl CoordinatorRecord {
    /// How long this record must be kept.
    #[must_use]
    pub fn lifetime(&self) -> Lifetime {
        match self {
            Self::Escrow(_)
            | Self::Escrowed(_)
            | Self::Masked(_)
            | Self::Survived(_)
            | Self::Ack(_)
            | Self::Acknowledged(_)
            | Self::Reveal(_) => Lifetime::Attempt,
            Self::Committed(..) | Self::Abandoned(..) => Lifetime::EndsAttempt,
            Self::PlanAdopted(_)
            | Self::PlanEnded(_)
            | Self::Barred(_)
            | Self::EpochOpened(_)
            | Self::KeyBundle(_)
            | Self::Encapsulations(_)
            | Self::EpochAgreed(_)
            | Self::EpochAbandoned(_)
            | Self::RoundOpened(..) => Lifetime::Ledger,
        }
    }
}

/// What a client remembers: monotone facts and public results.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ClientRecord {
    /// Keys for this epoch are about to be sent, or were agreed: this number and lower ones are
    /// refused from here on. With the members of the last roster that was agreed on, whose word
    /// the next roster needs: none before the first agreement, and never those of a mere offer.
    EpochJoined(EpochId, Digest, Vec<ClientId>),
    /// An attempt was joined at this moment: equal and lower ones are refused.
    Joined(Time, RoundId, Attempt),
    /// The one acknowledgement of this round number was given.
    Acked(RoundId),
    /// Shares were revealed: this kind on this base is over. For risk counts, up to which day.
    Revealed(RoundId, Kind, Digest, Option<u32>),
    /// A result was applied.
    Applied(Box<RoundResult>),
    /// An attempt this client sat in ended without a result.
    Abandoned(RoundId, Attempt),
}
