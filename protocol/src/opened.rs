//! `Opened`: what takes the masks off a sum, and the masks it gives. The coordinator makes one of
//! reveals (`coordinator/phase/reveal/opening.rs`), an auditor one of what the coordinator answers
//! (`client/audit.rs`). Whether the secrets are the right ones is theirs to check.

use crypto::mask::Sign;
use crypto::{Digest, Key, Scalar};

use crate::id::{Context, Seat};
use crate::masking;

/// What takes the masks off a sum. No `Debug`: it holds keys.
#[derive(Default)]
pub(crate) struct Opened {
    /// Each survivor's b, in seat order.
    pub(crate) self_secrets: Vec<(Seat, Scalar)>,
    /// Per absent member in seat order, the keys with its surviving neighbours in seat order.
    pub(crate) pairs: Vec<Pair>,
}

/// The key between a survivor and an absent member, as the survivor used it.
pub(crate) struct Pair {
    pub(crate) survivor: Seat,
    pub(crate) absent: Seat,
    pub(crate) key: Key,
}

impl Opened {
    /// The digest of what was opened, which the outcome holds.
    pub(crate) fn digest(&self) -> Digest {
        let pairs = self.pairs.iter();
        let pairs = pairs.map(|pair| (pair.survivor, pair.absent, &pair.key));
        masking::revealed_digest(&self.self_secrets, &pairs.collect::<Vec<_>>())
    }

    /// The survivors' self masks, and their masks with the absent, each with the sign that takes
    /// it off. `nonce` is a seat's escrow nonce.
    ///
    /// # Panics
    /// If `nonce` lacks a seat of a pair: both sides escrowed.
    pub(crate) fn masks(
        &self,
        context: &Context,
        nonce: impl Fn(Seat) -> Option<[u8; 32]>,
    ) -> Vec<(Key, Sign)> {
        let own = |(seat, secret): &(Seat, Scalar)| {
            let key = masking::self_mask_key(secret, context, *seat);
            (key, Sign::Minus)
        };
        let shared = |pair: &Pair| {
            let (lower, upper) = (
                pair.survivor.min(pair.absent),
                pair.survivor.max(pair.absent),
            );
            let (Some(lower), Some(upper)) = (nonce(lower), nonce(upper)) else {
                unreachable!("both sides of a pair escrowed");
            };
            let key = masking::pair_mask_key(&pair.key, &lower, &upper);
            // The lower seat of a pair adds the mask, the upper takes it away.
            let off = if pair.survivor < pair.absent {
                Sign::Minus
            } else {
                Sign::Plus
            };
            (key, off)
        };
        let own = self.self_secrets.iter().map(own);
        own.chain(self.pairs.iter().map(shared)).collect()
    }
}
