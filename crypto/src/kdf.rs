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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors;

    #[test]
    fn keys_are_those_of_an_independent_hkdf() {
        let file = vectors::parse(include_str!("../vectors/kdf.json"));
        let key = Key::from_bytes(vectors::array(&file["key"]));
        for case in vectors::list(&file["expand"]) {
            let parts = vectors::hex_list(&case["parts"]);
            let out = key.expand(vectors::text(&case["label"]), &vectors::slices(&parts));
            assert_eq!(
                out.expose(),
                &vectors::array(&case["out"]),
                "{}",
                case["label"]
            );
        }
        let commitment = key.commit(vectors::text(&file["commit"]["label"]));
        assert_eq!(commitment, vectors::array(&file["commit"]["out"]));

        let case = &file["extract"];
        let ikm = vectors::hex_list(&case["ikm"]);
        let salt = Digest(vectors::array(&case["salt"]));
        let extracted = Key::extract(&salt, &vectors::slices(&ikm));
        assert!(extracted.ct_eq(&Key::from_bytes(vectors::array(&case["out"]))));
    }

    /// RFC 5869, appendix A.1. Its salt is shorter than ours; HMAC pads with zeros in any case.
    #[test]
    fn extraction_is_hmac_with_the_salt_as_key() {
        let mut salt = [0; 32];
        salt[..13].copy_from_slice(&std::array::from_fn::<u8, 13, _>(|at| at as u8));
        let key = Key::extract(&Digest(salt), &[&[0x0b; 22]]);
        let expected = "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5";
        assert_eq!(Some(Digest(*key.expose())), Digest::from_hex(expected));
    }
}
