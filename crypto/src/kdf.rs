//! HKDF-SHA256 (RFC 5869) with labels: how every key follows from another.
//!
//! `expand` is the `Expand(K, label, parts...)` of the specification. Chance enters through
//! [`crate::seed`], which rests on this file.

use ring::{hkdf, hmac};

use crate::digest::{Digest, tagged};
use crate::secret::Secret;

/// A 256-bit key.
pub struct Key(Secret<[u8; 32]>);

impl Key {
    /// HKDF-Extract over the concatenation of `ikm`, whose parts must have fixed lengths.
    pub fn extract(salt: &Digest, ikm: &[&[u8]]) -> Self {
        // By hand because ring does not give the extracted key out; it is HMAC(salt, ikm).
        let salt = hmac::Key::new(hmac::HMAC_SHA256, &salt.0);
        let mut context = hmac::Context::with_key(&salt);
        for part in ikm {
            context.update(part);
        }
        let tag = context.sign();
        Self::from_bytes(tag.as_ref().try_into().expect("HMAC-SHA256 has 32 bytes"))
    }

    /// HKDF-Expand to 32 bytes, with
    /// `info = u8(len label) || label || (u16be(len part) || part)*`.
    ///
    /// # Panics
    /// If the label does not start with `csa1/` or exceeds 255 bytes, or a part exceeds 65535.
    pub fn expand(&self, label: &str, parts: &[&[u8]]) -> Self {
        let mut output = Self::from_bytes([0; 32]);
        expand_into(self.expose(), label, parts, output.0.expose_mut());
        output
    }

    /// The first 16 bytes of the tagged digest of the key: two holders compare these to learn
    /// whether they hold the same key.
    pub fn commit(&self, label: &str) -> [u8; 16] {
        let digest = tagged(label, &[self.expose()]);
        *digest
            .0
            .first_chunk()
            .expect("a digest has more than 16 bytes")
    }

    /// The key's bytes.
    pub fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }

    /// A key from bytes that are already uniform.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Secret::new(bytes))
    }

    /// Whether both are the same key, in constant time.
    pub fn ct_eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0)
    }
}

/// HKDF-Expand to any length up to 8160 bytes, under the same labels as [`Key::expand`].
pub(crate) fn expand_into(key: &[u8; 32], label: &str, parts: &[&[u8]], output: &mut [u8]) {
    assert!(
        label.starts_with("csa1/"),
        "label {label:?} is outside csa1/"
    );
    let mut info = vec![u8::try_from(label.len()).expect("labels are short literals")];
    info.extend_from_slice(label.as_bytes());
    for part in parts {
        let part_bytes = u16::try_from(part.len()).expect("parts are contexts and indices");
        info.extend_from_slice(&part_bytes.to_be_bytes());
        info.extend_from_slice(part);
    }
    hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, key)
        .expand(&[&info], OutputBytes(output.len()))
        .and_then(|okm| okm.fill(output))
        .expect("the length is below 8160 and is the length asked for");
}

struct OutputBytes(usize);

impl hkdf::KeyType for OutputBytes {
    fn len(&self) -> usize {
        self.0
    }
}
