//! `Survived`: U1, U2 and the masked sum, fixed. What the two last phases of a round stand on.

use std::collections::BTreeMap;

use crypto::Digest;

use crate::coordinator::round::Round;
use crate::id::{Seat, Seats};
use crate::masking;
use crate::message::{Ack, Escrow, Survivors, ToClient};

/// What is fixed once the survivors are.
pub(crate) struct Survived {
    pub(crate) round: Round,
    pub(crate) escrows: BTreeMap<Seat, Escrow>,
    /// U1.
    pub(crate) escrowed: Seats,
    /// U2.
    pub(crate) survivors: Seats,
    /// The chunk roots of the survivors' vectors, in seat order.
    pub(crate) roots: Vec<Digest>,
    /// The digests of the chunks under each of these roots.
    pub(crate) leaves: Vec<Vec<Digest>>,
    /// Yroot.
    pub(crate) masked: Digest,
    /// The sum of the survivors' masked vectors on the ring.
    pub(crate) sum: Vec<u32>,
}

impl Survived {
    /// Those whose masks the survivors must help to take off: U1 without U2.
    pub(crate) fn absent(&self) -> Seats {
        self.escrowed.without(&self.survivors)
    }

    /// The escrow nonce of a member of U1.
    pub(crate) fn nonce(&self, seat: Seat) -> Option<&[u8; 32]> {
        Some(&self.escrows.get(&seat)?.header.unverified().nonce)
    }

    /// What `owner` committed to as its key with `other`; none where they share no mask.
    pub(crate) fn commitment(&self, owner: Seat, other: Seat) -> Option<[u8; 16]> {
        self.round.commitment(self.escrows.get(&owner)?, other)
    }

    /// M4.
    pub(crate) fn told(&self) -> ToClient {
        ToClient::Survivors(Box::new(Survivors {
            context: self.round.context,
            survivors: self.survivors.clone(),
            roots: self.roots.clone(),
        }))
    }

    /// What a survivor's acknowledgement says, if it saw what we hold.
    pub(crate) fn ack_of(&self, seat: Seat) -> Ack {
        Ack {
            context: self.round.context,
            seat,
            escrowed: masking::seats_digest(&self.escrowed),
            survivors: masking::seats_digest(&self.survivors),
            masked: self.masked,
        }
    }
}
