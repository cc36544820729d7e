//! Pair keys between members of a roster: X25519 and ML-KEM-768 together, so that a recording
//! stays closed unless both fall.
//!
//! One key serves all peers of an epoch. Of each pair, the lower index encapsulates to the upper;
//! the derivation binds both shared secrets, the ciphertext and all public keys (as X-Wing does).
//! The result is ratcheted round by round in [`crate::chain`].

use ml_kem::array::Array;
use ml_kem::kem::{Decapsulate, KeyExport};
use ml_kem::{DecapsulationKey, EncapsulationKey, MlKem768};
use serde::{Deserialize, Serialize};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::{Zeroize, Zeroizing};

use crate::digest::{Digest, tagged};
use crate::kdf::Key;
use crate::secret::Secret;
use crate::seed::Seed;

/// Bytes of an ML-KEM-768 encapsulation key (FIPS 203, table 3).
pub const MLKEM_KEY_BYTES: usize = 1184;

/// Bytes of an ML-KEM-768 ciphertext (FIPS 203, table 3).
pub const CIPHERTEXT_BYTES: usize = 1088;

/// The private half of a member's epoch key. Wiped when dropped.
pub struct AgreementKey {
    x25519: StaticSecret,
    mlkem: DecapsulationKey<MlKem768>,
    public: PublicBundle,
}

impl AgreementKey {
    /// The key that follows from `seed`.
    pub fn generate(seed: &Seed) -> Self {
        let x25519 = StaticSecret::from(seed.bytes32("agreement/x25519", 0));
        let mut mlkem_seed = ml_kem::Seed::default();
        mlkem_seed[..32].copy_from_slice(&seed.bytes32("agreement/mlkem", 0));
        mlkem_seed[32..].copy_from_slice(&seed.bytes32("agreement/mlkem", 1));
        let mlkem = DecapsulationKey::from_seed(mlkem_seed);
        mlkem_seed.as_mut_slice().zeroize();
        let public = PublicBundle {
            x25519: PublicKey::from(&x25519).to_bytes(),
            mlkem: mlkem.encapsulation_key().to_bytes().to_vec(),
        };
        Self {
            x25519,
            mlkem,
            public,
        }
    }

    /// What peers need.
    pub fn public(&self) -> PublicBundle {
        self.public.clone()
    }

    /// A fresh secret for `peer`, and the ciphertext ([`CIPHERTEXT_BYTES`]) that tells it. The
    /// chance depends on the peer's key too, so a seed reused across peers does no harm.
    ///
    /// # Errors
    /// If the peer's key is our own, has a wrong length, or fails FIPS 203's modulus check.
    pub fn encapsulate(
        &self,
        peer: &PublicBundle,
        seed: &Seed,
    ) -> Result<(Vec<u8>, MlkemSecret), AgreementError> {
        if peer.mlkem == self.public.mlkem {
            return Err(AgreementError::OwnKey);
        }
        let key = peer.encapsulation_key()?;
        let chance = Key::from_bytes(seed.bytes32("agreement/encapsulate", 0));
        let peer_digest = tagged("csa1/mlkem-key", &[&peer.mlkem]);
        let message = chance.expand("csa1/mlkem-message", &[&peer_digest.0]);
        let (ciphertext, shared) = key.encapsulate_deterministic(message.expose().into());
        Ok((ciphertext.to_vec(), MlkemSecret(Secret::new(shared.into()))))
    }

    /// The secret a peer encapsulated to us. A forged ciphertext yields a secret nobody else has
    /// (FIPS 203's implicit rejection), not an error.
    ///
    /// # Errors
    /// If the ciphertext has a wrong length.
    pub fn decapsulate(&self, ciphertext: &[u8]) -> Result<MlkemSecret, AgreementError> {
        let ciphertext =
            Array::try_from(ciphertext).map_err(|_| AgreementError::CiphertextLength {
                found: ciphertext.len(),
            })?;
        Ok(MlkemSecret(Secret::new(
            self.mlkem.decapsulate(&ciphertext).into(),
        )))
    }

    /// `PRK = Extract(salt, ss_pq || ss_dh || ct || ek_upper || x_lower || x_upper)`. We are
    /// `lower` or `upper`, and `peer` is the other; `salt` binds roster and epoch.
    ///
    /// # Errors
    /// If the bundles are not ours and the peer's, a length is wrong, or the peer's X25519 point
    /// has low order (the shared secret would be zero whoever computes it).
    pub fn pair_key(
        &self,
        lower: &PublicBundle,
        upper: &PublicBundle,
        peer: &PublicBundle,
        ciphertext: &[u8],
        secret: &MlkemSecret,
        salt: &Digest,
    ) -> Result<Key, AgreementError> {
        let pair = [lower, upper];
        if pair != [&self.public, peer] && pair != [peer, &self.public] {
            return Err(AgreementError::ForeignPair);
        }
        if peer.x25519 == self.public.x25519 {
            return Err(AgreementError::OwnKey);
        }
        if ciphertext.len() != CIPHERTEXT_BYTES {
            return Err(AgreementError::CiphertextLength {
                found: ciphertext.len(),
            });
        }
        upper.encapsulation_key()?;
        let shared = self.x25519.diffie_hellman(&PublicKey::from(peer.x25519));
        if !shared.was_contributory() {
            return Err(AgreementError::LowOrderPoint);
        }
        let shared = Zeroizing::new(shared.to_bytes());
        let ikm: [&[u8]; 6] = [
            secret.0.expose(),
            &*shared,
            ciphertext,
            &upper.mlkem,
            &lower.x25519,
            &upper.x25519,
        ];
        Ok(Key::extract(salt, &ikm))
    }
}

/// What a member publishes for an epoch. Comes from the wire unchecked; its use checks it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicBundle {
    /// X25519 public key (RFC 7748).
    #[serde(with = "crate::block::array")]
    pub x25519: [u8; 32],
    /// ML-KEM-768 encapsulation key, [`MLKEM_KEY_BYTES`] long.
    #[serde(with = "crate::block::list")]
    pub mlkem: Vec<u8>,
}

impl PublicBundle {
    fn encapsulation_key(&self) -> Result<EncapsulationKey<MlKem768>, AgreementError> {
        let bytes = Array::try_from(&self.mlkem[..]).map_err(|_| AgreementError::KeyLength {
            found: self.mlkem.len(),
        })?;
        EncapsulationKey::new(&bytes).map_err(|_| AgreementError::InvalidKey)
    }
}

/// The shared secret of one encapsulation.
pub struct MlkemSecret(Secret<[u8; 32]>);

impl MlkemSecret {
    /// The secret's bytes.
    pub fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }
}

/// Why two members cannot agree on a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AgreementError {
    /// The peer's bundle repeats one of our own keys.
    #[error("peer presents our own public key")]
    OwnKey,
    /// The two bundles are not ours and the peer's, in some order.
    #[error("pair does not consist of our bundle and the peer's")]
    ForeignPair,
    /// The ML-KEM key has a wrong length.
    #[error("ML-KEM-768 key of {found} bytes, expected {MLKEM_KEY_BYTES}")]
    KeyLength {
        /// Bytes found.
        found: usize,
    },
    /// The ML-KEM key has a coefficient at or above the modulus.
    #[error("ML-KEM-768 key with a coefficient outside the field")]
    InvalidKey,
    /// The ciphertext has a wrong length.
    #[error("ML-KEM-768 ciphertext of {found} bytes, expected {CIPHERTEXT_BYTES}")]
    CiphertextLength {
        /// Bytes found.
        found: usize,
    },
    /// The X25519 shared secret is zero.
    #[error("X25519 key of low order")]
    LowOrderPoint,
}

#[cfg(test)]
mod tests;
