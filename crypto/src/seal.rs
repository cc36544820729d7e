//! AES-256-GCM under keys that seal once.
//!
//! The nonce is always zero: every key is the output of [`Key::expand`] on a context that never
//! repeats (round, attempt, sender, receiver, the sender's nonce). Sealing two messages under one
//! key would expose both; derive another key instead.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use crate::kdf::Key;
use crate::secret::Secret;

/// Bytes by which a sealed message is longer than the plain one.
pub const TAG_BYTES: usize = 16;

/// Seals `plain` and binds `aad`, which does not travel. **A key seals one message, ever.**
pub fn seal(key: &Key, aad: &[u8], plain: &[u8]) -> Vec<u8> {
    // Room for the tag at once, so that growing leaves no copy of the plaintext behind.
    let mut sealed = Vec::with_capacity(plain.len() + TAG_BYTES);
    sealed.extend_from_slice(plain);
    cipher(key)
        .seal_in_place_append_tag(zero_nonce(), Aad::from(aad), &mut sealed)
        .expect("messages are far below GCM's 64 GiB");
    sealed
}

/// Opens what [`seal`] made with the same key and `aad`.
///
/// # Errors
/// [`SealError`], if a bit of either differs.
pub fn open(key: &Key, aad: &[u8], sealed: &[u8]) -> Result<Secret<Vec<u8>>, SealError> {
    let mut buffer = Secret::new(sealed.to_vec());
    cipher(key)
        .open_in_place(zero_nonce(), Aad::from(aad), buffer.expose_mut())
        .map_err(|_| SealError {
            found: sealed.len(),
        })?;
    buffer.expose_mut().truncate(sealed.len() - TAG_BYTES);
    Ok(buffer)
}

/// A message that was not sealed with this key and these bound bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found} sealed bytes do not open under this key and these bound bytes")]
pub struct SealError {
    /// Bytes found.
    pub found: usize,
}

pub(crate) fn cipher(key: &Key) -> LessSafeKey {
    let key = UnboundKey::new(&AES_256_GCM, key.expose()).expect("AES-256 keys have 32 bytes");
    LessSafeKey::new(key)
}

fn zero_nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}
