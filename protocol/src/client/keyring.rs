//! What a client holds of an epoch: the roster in public, and one forward-only chain key per
//! peer. How the keys come about is `phase/agreement.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;

use crypto::{Chain, ChainError, Digest, Key, VerifyKey};

use crate::id::{ClientId, EpochId, RoundId, Seat};
use crate::limits::RATCHET_STEPS_MAX;
use crate::message::{Encapsulation, KeyBundle};
use crate::signed::Signed;

/// A roster as its members know it. Public.
pub(crate) struct Seating {
    /// The epoch.
    pub(crate) epoch: EpochId,
    /// The roster's root.
    pub(crate) root: Digest,
    /// The members in seat order.
    pub(crate) members: Vec<Member>,
    /// The nonces of their key bundles, in seat order.
    pub(crate) nonces: Vec<[u8; 32]>,
}

/// One member of a roster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    /// Who it is.
    pub(crate) id: ClientId,
    /// The key its messages verify under.
    pub(crate) key: VerifyKey,
}

impl Seating {
    /// The key of a seat, if the roster has it.
    pub(crate) fn key(&self, seat: Seat) -> Option<&VerifyKey> {
        self.members
            .get(usize::from(seat.0))
            .map(|member| &member.key)
    }
}

/// An epoch's keys, in memory only. No `Debug`: it holds the chain keys.
pub(crate) struct Keyring {
    pub(crate) seating: Arc<Seating>,
    pub(crate) seat: Seat,
    pairs: BTreeMap<Seat, Pair>,
    round: RoundId,
    /// What was said while agreeing, for a coordinator that asks again.
    pub(crate) said: Said,
}

/// What is shared with one other member.
pub(crate) struct Pair {
    /// The chain of the rounds' keys.
    pub(crate) chain: Chain,
    /// What seals the bucket key, for as long as the epoch lasts.
    pub(crate) handover: Key,
}

/// A member's two uplinks of a key agreement.
pub(crate) struct Said {
    /// E1.
    pub(crate) bundle: Box<Signed<KeyBundle>>,
    /// E2.
    pub(crate) encapsulations: Vec<Signed<Encapsulation>>,
}

impl Keyring {
    /// The keys of a finished agreement: one chain per other seat, all at round 0.
    pub(crate) fn new(
        seating: Arc<Seating>,
        seat: Seat,
        pairs: BTreeMap<Seat, Pair>,
        said: Said,
    ) -> Self {
        Self {
            seating,
            seat,
            pairs,
            round: RoundId(0),
            said,
        }
    }

    /// Whether the chains can still be moved to `round`.
    pub(crate) fn reaches(&self, round: RoundId) -> bool {
        let steps = round.0.checked_sub(self.round.0);
        steps.is_some_and(|steps| steps <= RATCHET_STEPS_MAX)
    }

    /// Moves every chain to `round`; the keys of earlier rounds are wiped.
    ///
    /// # Errors
    /// Where [`Self::reaches`] says no. The chains are in step, so that then none has moved.
    pub(crate) fn advance(&mut self, round: RoundId) -> Result<(), ChainError> {
        for pair in self.pairs.values_mut() {
            pair.chain.at(round.0)?;
        }
        self.round = round;
        Ok(())
    }

    /// The round is over: whatever key of it is left is wiped.
    pub(crate) fn finish(&mut self, round: RoundId) {
        let next = RoundId(round.0.saturating_add(1));
        if next > self.round && self.reaches(next) {
            self.advance(next)
                .expect("the reach was checked in the line above");
        }
    }

    /// What seals the bucket key between us and `peer`; none for ourselves and strangers.
    pub(crate) fn handover_key(&self, peer: Seat) -> Option<&Key> {
        Some(&self.pairs.get(&peer)?.handover)
    }

    /// The chain key shared with `peer` for the round the chains stand at; none for ourselves.
    pub(crate) fn chain_key(&mut self, peer: Seat) -> Option<&Key> {
        let round = self.round.0;
        let pair = self.pairs.get_mut(&peer)?;
        Some(
            pair.chain
                .at(round)
                .expect("every chain stands at the keyring's round"),
        )
    }
}
