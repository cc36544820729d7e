//! `BucketKey`: the one secret that all banks share and the coordinator does not have. Merchants
//! are hashed into the buckets of the risk counts under it, so that a sum names none of them
//! (PROTOCOL.md §3). How it passes from bank to bank is `client/handover.rs`; where it is kept is
//! the host's affair. Every label under which it is used is in this file.

use std::fmt;
use std::sync::Arc;

use crypto::{Digest, Key, Secret, seal};

use crate::id::{EpochId, Seat};

#[cfg(test)]
mod tests;

/// The banks' one secret, and what may be said of it. Clones share the bytes.
#[derive(Clone)]
pub struct BucketKey {
    key: Arc<Key>,
    commitment: Digest,
}

/// One handing over: in which epoch, from whom, to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Passage {
    pub(crate) epoch: EpochId,
    pub(crate) from: Seat,
    pub(crate) to: Seat,
}

impl BucketKey {
    /// The key of these uniform bytes, in the consortium of this session.
    #[must_use]
    pub fn new(session: &Digest, bytes: [u8; 32]) -> Self {
        let commitment = crypto::tagged("csa1/bucket-key", &[&session.0, &bytes]);
        Self {
            key: Arc::new(Key::from_bytes(bytes)),
            commitment,
        }
    }

    /// What tells it from every other key and says nothing else: 256 bits of chance are in it.
    #[must_use]
    pub fn commitment(&self) -> Digest {
        self.commitment
    }

    /// The key under which a table with this salt hashes its merchants.
    #[must_use]
    pub fn table_key(&self, salt: &Digest) -> Key {
        self.key.expand("csa1/buckets", &[&salt.0])
    }

    /// The bytes, for where they are kept.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        self.key.expose()
    }

    /// Sealed for one member, under the key of the pair. The same passage of the same key gives
    /// the same bytes: whoever asks twice gets one message twice, not two under one key.
    pub(crate) fn sealed(&self, pair: &Key, passage: Passage) -> Vec<u8> {
        let key = seal_key(pair, passage, &self.commitment);
        seal::seal(&key, &bound(passage, &self.commitment), self.expose())
    }

    /// Opens what [`Self::sealed`] made. None where it does not open, or holds another key than
    /// the one of this commitment.
    pub(crate) fn open(
        pair: &Key,
        passage: Passage,
        (session, commitment): (&Digest, &Digest),
        sealed: &[u8],
    ) -> Option<Self> {
        let key = seal_key(pair, passage, commitment);
        let plain = seal::open(&key, &bound(passage, commitment), sealed).ok()?;
        let bytes = Secret::new(<[u8; 32]>::try_from(plain.expose().as_slice()).ok()?);
        let opened = Self::new(session, *bytes.expose());
        (opened.commitment == *commitment).then_some(opened)
    }
}

impl PartialEq for BucketKey {
    fn eq(&self, other: &Self) -> bool {
        self.commitment == other.commitment
    }
}

impl fmt::Debug for BucketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BucketKey({})", self.commitment)
    }
}

/// What two members share for handing the key over, from the root of their epoch's keys. It does
/// not move with the rounds, since at rest two members may stand at different ones; nor would that
/// gain anything, since whoever takes a bank's machine finds the bucket key itself there.
pub(crate) fn handover_key(pair: &Key) -> Key {
    pair.expand("csa1/handover", &[])
}

/// A key of its own for each direction and each bucket key: a key seals once.
fn seal_key(pair: &Key, passage: Passage, commitment: &Digest) -> Key {
    let (from, to) = (passage.from.0.to_be_bytes(), passage.to.0.to_be_bytes());
    pair.expand("csa1/handover-seal", &[&from, &to, &commitment.0])
}

fn bound(passage: Passage, commitment: &Digest) -> Vec<u8> {
    let Passage { epoch, from, to } = passage;
    let (from, to) = (from.0.to_be_bytes(), to.0.to_be_bytes());
    [&epoch.0.to_be_bytes()[..], &from, &to, &commitment.0].concat()
}

/// A sealed bucket key.
pub(crate) const SEALED_BYTES: usize = 32 + seal::TAG_BYTES;
