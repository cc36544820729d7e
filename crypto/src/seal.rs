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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::vectors;

    #[test]
    fn sealed_messages_are_those_of_openssl() {
        let file = vectors::parse(include_str!("../vectors/seal.json"));
        let key = Key::from_bytes(vectors::array(&file["key"]));
        for case in vectors::list(&file["cases"]) {
            let (aad, plain) = (vectors::hex(&case["aad"]), vectors::hex(&case["plain"]));
            let sealed = vectors::hex(&case["sealed"]);
            assert_eq!(seal(&key, &aad, &plain), sealed);
            assert_eq!(
                open(&key, &aad, &sealed).map(|o| o.expose().clone()),
                Ok(plain)
            );
        }
    }

    proptest! {
        #[test]
        fn any_flipped_bit_is_refused(
            plain in prop::collection::vec(any::<u8>(), 0..100),
            aad in prop::collection::vec(any::<u8>(), 1..20),
            at in any::<prop::sample::Index>(),
        ) {
            let key = Key::from_bytes([5; 32]);
            let sealed = seal(&key, &aad, &plain);
            let refusal = Some(SealError { found: sealed.len() });
            let flip = |bytes: &[u8]| {
                let mut bent = bytes.to_vec();
                let bit = at.index(bytes.len() * 8);
                bent[bit / 8] ^= 1 << (bit % 8);
                bent
            };
            prop_assert_eq!(open(&key, &aad, &flip(&sealed)).err(), refusal);
            prop_assert_eq!(open(&key, &flip(&aad), &sealed).err(), refusal);
            let other = Key::from_bytes(flip(&[5; 32]).try_into().expect("32 bytes"));
            prop_assert_eq!(open(&other, &aad, &sealed).err(), refusal);
            let short = at.index(sealed.len());
            prop_assert!(open(&key, &aad, &sealed[..short]).is_err());
        }
    }
}
