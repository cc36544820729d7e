//! All that is remembered, append-only. The coordinator's records are public or masked; a client's
//! hold only monotone facts: no type here could hold a secret of a round (PROTOCOL.md §8).

use std::sync::Arc;

use crypto::Digest;
use serde::{Deserialize, Serialize};

use crate::id::{Attempt, ClientId, Context, EpochId, PlanId, RoundId, Seat, Seats};
use crate::message::{
    Abandoned, Ack, Encapsulation, Escrow, KeyBundle, Manifest, Masked, Reveal, Roster,
    RoundResult, shared,
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
    /// M3 of one member. Shared, so that remembering it is no second copy.
    Masked(#[serde(with = "shared")] Arc<Masked>),
    /// U2 was fixed.
    Survived(Seats),
    /// M5 of one member.
    Ack(Signed<Ack>),
    /// The acknowledgements were fixed and sent.
    Acknowledged(Vec<Signed<Ack>>),
    /// M7 of one member.
    Reveal(Signed<Reveal>),
    /// M8, at this moment.
    Committed(Time, #[serde(with = "shared")] Arc<RoundResult>),
    /// The attempt ended without a result, at this moment.
    Abandoned(Time, Abandoned),
}

/// How long a coordinator's record must be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// For good.
    Ledger,
    /// As long as [`is_needed`] says.
    Attempt,
    /// For good. It ends the running attempt with a result.
    Commits,
    /// For good. It ends the running attempt without one.
    Abandons,
}

/// Whether a record of an attempt must still be kept: its attempt runs, or is the last one that
/// committed, whose sum may be audited (PROTOCOL.md §7). `number` is its place among all records;
/// `ends` are those of the records that ended attempts, ascending, with their lifetimes.
#[must_use]
pub fn is_needed(number: u64, ends: &[(u64, Lifetime)]) -> bool {
    let own = ends.iter().find(|(end, _)| *end > number);
    let committed = |end: &&(u64, Lifetime)| end.1 == Lifetime::Commits;
    own.is_none() || own == ends.iter().rev().find(committed)
}

impl CoordinatorRecord {
    /// The masked vector it holds, if it is one: the last bytes of its encoding.
    #[must_use]
    pub fn vector(&self) -> Option<(Context, Seat, &[u8])> {
        let Self::Masked(masked) = self else {
            return None;
        };
        let trailer = masked.trailer.unverified();
        Some((trailer.context, trailer.seat, &masked.words.0))
    }

    /// The result it holds, if it is one.
    #[must_use]
    pub fn result(&self) -> Option<&Arc<RoundResult>> {
        let Self::Committed(_, result) = self else {
            return None;
        };
        Some(result)
    }

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
            Self::Committed(..) => Lifetime::Commits,
            Self::Abandoned(..) => Lifetime::Abandons,
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
    Applied(#[serde(with = "shared")] Arc<RoundResult>),
    /// An attempt this client sat in ended without a result.
    Abandoned(RoundId, Attempt),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_the_running_attempt_and_of_the_last_committed_one_are_needed() {
        let (commits, abandons) = (Lifetime::Commits, Lifetime::Abandons);
        let ends = [(3, commits), (6, abandons), (9, commits), (12, abandons)];
        let needed = |ends: &[(u64, Lifetime)]| {
            let numbers = (0..15).filter(|&number| is_needed(number, ends));
            numbers.collect::<Vec<_>>()
        };
        // Of the ends themselves, which are kept for good, nobody asks.
        assert_eq!(needed(&ends), [6, 7, 8, 12, 13, 14]);
        assert_eq!(
            needed(&ends[..2]),
            [0, 1, 2, 6, 7, 8, 9, 10, 11, 12, 13, 14]
        );
        assert_eq!(needed(&[(6, abandons)])[0], 6);
        assert_eq!(needed(&[]).len(), 15);
    }
}
