//! Identities: newtypes without arithmetic, each made in one place. What they name lives elsewhere
//! (`credential.rs`, `plan.rs`, `message.rs`); nothing here decides anything.

use crypto::{Canonical, Digest};
use serde::{Deserialize, Serialize};

/// A party's identity: SHA-256 of its TLS certificate's DER bytes (PROTOCOL.md §2).
///
/// The host makes it from the certificate of a mutually authenticated connection, so a client
/// cannot claim another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ClientId(pub Digest);

/// The number of a round: grows by one with every round opened, and is used for one result at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RoundId(pub u64);

/// The attempt at a round number, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Attempt(pub u16);

/// The number of a key agreement: grows by one with every roster offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EpochId(pub u64);

/// The digest of a plan's canonical encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PlanId(pub Digest);

/// The context of one attempt at one round: the digest of its manifest (PROTOCOL.md §4).
///
/// It enters every key, every seal and every signature of the attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Context(pub Digest);

/// A place in the roster, from 0: the bank's index in every message of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Seat(pub u16);

impl Seat {
    /// The Shamir abscissa of this seat, from 1: abscissa 0 is the secret's.
    #[must_use]
    pub fn abscissa(self) -> u16 {
        self.0.saturating_add(1)
    }
}

/// A set of seats, ascending and without repeats.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seats(Vec<Seat>);

impl Seats {
    /// Whether the set is in the one order it may arrive in: ascending, no repeats.
    #[must_use]
    pub fn is_canonical(&self) -> bool {
        self.0.is_sorted_by(|a, b| a < b)
    }

    /// How many seats.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `seat` is one of them.
    #[must_use]
    pub fn contains(&self, seat: Seat) -> bool {
        self.0.binary_search(&seat).is_ok()
    }

    /// The seats in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = Seat> + '_ {
        self.0.iter().copied()
    }

    /// Whether every seat of `self` is one of `other`'s.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.iter().all(|seat| other.contains(seat))
    }

    /// The seats of `self` that are not in `other`.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        self.iter().filter(|&seat| !other.contains(seat)).collect()
    }

    /// Appends the set to a canonical encoding.
    pub fn write(&self, to: &mut Canonical) {
        to.list(self.len());
        for seat in self.iter() {
            to.u16(seat.0);
        }
    }
}

impl FromIterator<Seat> for Seats {
    fn from_iter<I: IntoIterator<Item = Seat>>(seats: I) -> Self {
        let mut seats: Vec<Seat> = seats.into_iter().collect();
        seats.sort_unstable();
        seats.dedup();
        Self(seats)
    }
}
