//! Ed25519 signatures over canonical bodies, verified strictly.
//!
//! ring signs. Its verifier is laxer than ours and, on a processor with AVX2, slower than the group
//! arithmetic of curve25519-dalek, so the curve equation is checked here, after "Taming the many
//! EdDSAs" (Chalkias, Garillot, Nikolaenko 2020): keys and commitments of small order are refused
//! (they verify for messages their signer never saw), as are encodings that are not the canonical
//! one, and S at or above the group order. Keys of mixed order are accepted, as in every strict
//! verifier: cofactorless verification settles them.

use std::fmt;

use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use ring::digest::{Context, SHA512};
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde::{Deserialize, Serialize};

use crate::block::Half;
use crate::digest::{Digest, sha256};

/// A signing key. Has no `Debug`; ring keeps the expanded key.
pub struct SigningKey(Ed25519KeyPair);

impl SigningKey {
    /// The key of RFC 8032's 32-byte secret.
    pub fn from_seed(mut seed: [u8; 32]) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).expect("any 32 bytes are a seed");
        zeroize::Zeroize::zeroize(&mut seed);
        Self(pair)
    }

    /// The public half.
    pub fn verify_key(&self) -> VerifyKey {
        let bytes = self.0.public_key().as_ref();
        VerifyKey(bytes.try_into().expect("Ed25519 keys have 32 bytes"))
    }

    /// Signs `"csa1/sig/" || kind || 0x00 || SHA-256(body)`.
    ///
    /// # Panics
    /// If `kind` contains a zero byte.
    pub fn sign(&self, kind: &str, body: &[u8]) -> Signature {
        let signature = self.0.sign(&framed(kind, body));
        Signature(
            signature
                .as_ref()
                .try_into()
                .expect("Ed25519 signatures have 64 bytes"),
        )
    }
}

/// A public key: 32 bytes that may or may not be a point; every verification checks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct VerifyKey(#[serde(with = "crate::block::array")] pub [u8; 32]);

impl VerifyKey {
    /// Checks a signature made by [`SigningKey::sign`] with the same kind and body.
    ///
    /// # Errors
    /// [`BadSignature`], for whatever reason: a forger learns nothing about which.
    ///
    /// # Panics
    /// If `kind` contains a zero byte.
    pub fn verify(
        &self,
        kind: &str,
        body: &[u8],
        signature: &Signature,
    ) -> Result<(), BadSignature> {
        self.verify_message(&framed(kind, body), signature)
    }

    /// Checks `R = S B - k A` with `k = SHA-512(R || A || message)`, as RFC 8032, section 5.1.7.
    fn verify_message(&self, message: &[u8], signature: &Signature) -> Result<(), BadSignature> {
        let (Half(commitment), Half(response)) = (*signature).into();
        let key = sound_point(&self.0).ok_or(BadSignature)?;
        let response = Scalar::from_canonical_bytes(response).into_option();
        let response = response.ok_or(BadSignature)?;
        let mut hash = Context::new(&SHA512);
        for part in [&commitment, &self.0, message] {
            hash.update(part);
        }
        let hash = hash.finish();
        let wide = hash.as_ref().try_into().expect("SHA-512 has 64 bytes");
        let challenge = Scalar::from_bytes_mod_order_wide(wide);
        let expected =
            EdwardsPoint::vartime_double_scalar_mul_basepoint(&challenge, &-key, &response);
        // Compression gives the one canonical encoding, so R is that or it is not R.
        if expected.compress().to_bytes() != commitment || expected.is_small_order() {
            return Err(BadSignature);
        }
        Ok(())
    }
}

impl fmt::Debug for VerifyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyKey({})", Digest(self.0))
    }
}

/// A signature: R, then S. Travels as exactly 64 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(Half, Half)", into = "(Half, Half)")]
pub struct Signature(pub [u8; 64]);

impl From<(Half, Half)> for Signature {
    fn from((commitment, response): (Half, Half)) -> Self {
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&commitment.0);
        bytes[32..].copy_from_slice(&response.0);
        Self(bytes)
    }
}

impl From<Signature> for (Half, Half) {
    fn from(signature: Signature) -> Self {
        let (halves, _) = signature.0.as_chunks();
        (Half(halves[0]), Half(halves[1]))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Half(commitment), _) = (*self).into();
        write!(f, "Signature({})", Digest(commitment))
    }
}

/// A signature that does not verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("signature does not verify under this key, kind and body")]
pub struct BadSignature;

fn framed(kind: &str, body: &[u8]) -> Vec<u8> {
    assert!(
        !kind.contains('\0'),
        "kind {kind:?} contains its own terminator"
    );
    [b"csa1/sig/", kind.as_bytes(), &[0], &sha256(&[body]).0].concat()
}

/// The point of a canonical encoding, unless it is one of the eight of small order.
fn sound_point(bytes: &[u8; 32]) -> Option<EdwardsPoint> {
    // The only other encodings are of an ordinate at or above p, and of the abscissa -0: that one
    // belongs to points of order one and two.
    if !is_below_modulus(bytes) {
        return None;
    }
    let point = CompressedEdwardsY(*bytes).decompress()?;
    (!point.is_small_order()).then_some(point)
}

/// Whether the ordinate, which is all but the highest bit, is below p = 2^255 - 19.
fn is_below_modulus(bytes: &[u8; 32]) -> bool {
    let [lowest, middle @ .., highest] = bytes;
    *lowest < 0xed || middle.iter().any(|&byte| byte != 0xff) || highest | 0x80 != 0xff
}

#[cfg(test)]
mod tests {
    use ring::signature::{ED25519, UnparsedPublicKey};

    use super::*;
    use crate::vectors;

    #[test]
    fn signatures_are_those_of_openssl() {
        let file = vectors::parse(include_str!("../vectors/sign.json"));
        let key = SigningKey::from_seed(vectors::array(&file["seed"]));
        assert_eq!(key.verify_key().0, vectors::array(&file["public"]));
        for case in vectors::list(&file["framed"]) {
            let (kind, body) = (vectors::text(&case["kind"]), vectors::hex(&case["body"]));
            let signature = key.sign(kind, &body);
            assert_eq!(signature.0, vectors::array(&case["signature"]));
            assert_eq!(key.verify_key().verify(kind, &body, &signature), Ok(()));
            assert_eq!(
                key.verify_key().verify("other", &body, &signature),
                Err(BadSignature)
            );
            let longer = [&body[..], b"x"].concat();
            assert_eq!(
                key.verify_key().verify(kind, &longer, &signature),
                Err(BadSignature)
            );
        }
    }

    #[test]
    fn rfc_8032_signatures_are_made_and_accepted() {
        let file = vectors::parse(include_str!("../vectors/sign.json"));
        for case in vectors::list(&file["rfc8032"]) {
            let key = SigningKey::from_seed(vectors::array(&case["seed"]));
            let message = vectors::hex(&case["message"]);
            let signature = Signature(vectors::array(&case["signature"]));
            assert_eq!(key.verify_key().0, vectors::array(&case["public"]));
            assert_eq!(key.0.sign(&message).as_ref(), signature.0);
            assert_eq!(
                key.verify_key().verify_message(&message, &signature),
                Ok(())
            );
        }
    }

    /// The twelve cases of the paper, and keys and commitments of small order in every encoding,
    /// each with a signature that satisfies the curve equation.
    #[test]
    fn what_only_a_lax_verifier_accepts_is_refused() {
        let file = vectors::parse(include_str!("../vectors/sign.json"));
        let cases = vectors::list(&file["cases"]);
        for case in cases {
            let key = VerifyKey(vectors::array(&case["key"]));
            let signature = Signature(vectors::array(&case["signature"]));
            let passes = key
                .verify_message(&vectors::hex(&case["message"]), &signature)
                .is_ok();
            assert_eq!(Some(passes), case["passes"].as_bool(), "{case}");
        }
        // ring alone would take some of them, or this test would test nothing.
        let lax = cases.iter().filter(|case| {
            let key = UnparsedPublicKey::new(&ED25519, vectors::hex(&case["key"]));
            let message = vectors::hex(&case["message"]);
            key.verify(&message, &vectors::hex(&case["signature"]))
                .is_ok()
        });
        assert!(lax.count() > 12);
    }

    #[test]
    fn points_are_sound_in_one_encoding_and_off_the_torsion() {
        let file = vectors::parse(include_str!("../vectors/sign.json"));
        for case in vectors::list(&file["points"]) {
            let point = sound_point(&vectors::array(&case["point"]));
            assert_eq!(Some(point.is_some()), case["sound"].as_bool(), "{case}");
        }
    }

    #[test]
    fn any_flipped_bit_breaks_a_signature() {
        let key = SigningKey::from_seed([3; 32]);
        let signature = key.sign("kind", b"body");
        for bit in 0..512 {
            let mut bent = signature;
            bent.0[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                key.verify_key().verify("kind", b"body", &bent),
                Err(BadSignature)
            );
        }
        for bit in 0..256 {
            let mut other = key.verify_key();
            other.0[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(other.verify("kind", b"body", &signature), Err(BadSignature));
        }
    }

    #[test]
    fn a_signature_travels_as_its_bytes() {
        let signature = SigningKey::from_seed([4; 32]).sign("kind", b"body");
        let text = serde_json::to_string(&signature).expect("plain numbers");
        assert_eq!(
            serde_json::from_str::<Signature>(&text).expect("the same"),
            signature
        );
        let flat = text.replace("],[", ",").replace(['[', ']'], "");
        assert_eq!(flat, signature.0.map(|byte| byte.to_string()).join(","));
    }
}
