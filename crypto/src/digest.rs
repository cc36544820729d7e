//! SHA-256, plain and domain separated: the only hash of the project.
//!
//! Everything the protocol hashes goes through [`tagged`]; [`sha256`] is for foreign bytes whose
//! digest others compute too (files, certificates). Trees of digests are in [`crate::merkle`].

use std::fmt;

use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

/// A SHA-256 digest. Prints as its first eight hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Digest(#[serde(with = "crate::block::array")] pub [u8; 32]);

impl Digest {
    /// All 64 lowercase hexadecimal digits.
    pub fn to_hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Reads exactly 64 hexadecimal digits of either case.
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex()[..8])?;
        f.write_str("…")
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl AsRef<[u8]> for Digest {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// SHA-256 of bytes that come in pieces, without any framing: for files too long to hold.
#[derive(Clone)]
pub struct Hasher(Context);

impl Default for Hasher {
    fn default() -> Self {
        Self(Context::new(&SHA256))
    }
}

impl Hasher {
    /// Takes in the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// The digest of all pieces.
    #[must_use]
    pub fn finish(self) -> Digest {
        finish(self.0)
    }
}

/// SHA-256 of the parts, concatenated without any framing.
pub fn sha256(parts: &[&[u8]]) -> Digest {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    finish(context)
}

/// SHA-256 of `u8(len label) || label || (u32be(len part) || part)*`: no two different calls
/// hash the same bytes.
///
/// # Panics
/// If the label does not start with `csa1/` or exceeds 255 bytes, or a part exceeds 4 GiB.
pub fn tagged(label: &str, parts: &[&[u8]]) -> Digest {
    assert!(
        label.starts_with("csa1/"),
        "label {label:?} is outside csa1/"
    );
    let label_bytes = u8::try_from(label.len()).expect("labels are short literals");
    let mut context = Context::new(&SHA256);
    context.update(&[label_bytes]);
    context.update(label.as_bytes());
    for part in parts {
        let part_bytes = u32::try_from(part.len()).expect("parts are bounded frames below 4 GiB");
        context.update(&part_bytes.to_be_bytes());
        context.update(part);
    }
    finish(context)
}

fn finish(context: Context) -> Digest {
    let digest = context.finish();
    Digest(digest.as_ref().try_into().expect("SHA-256 has 32 bytes"))
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors;

    #[test]
    fn digests_are_those_of_hashlib() {
        let file = vectors::parse(include_str!("../vectors/digest.json"));
        for case in vectors::list(&file["sha256"]) {
            let parts = vectors::hex_list(&case["parts"]);
            assert_eq!(
                sha256(&vectors::slices(&parts)).0,
                vectors::array(&case["out"])
            );
            let mut hasher = Hasher::default();
            parts.iter().for_each(|part| hasher.update(part));
            assert_eq!(hasher.finish().0, vectors::array(&case["out"]));
        }
        let mut seen = Vec::new();
        for case in vectors::list(&file["tagged"]) {
            let parts = vectors::hex_list(&case["parts"]);
            let digest = tagged(vectors::text(&case["label"]), &vectors::slices(&parts));
            assert_eq!(digest.0, vectors::array(&case["out"]));
            assert!(!seen.contains(&digest), "two calls hash the same bytes");
            seen.push(digest);
        }
    }

    #[test]
    fn hexadecimal_is_read_back_and_nothing_else_is_read() {
        let digest = sha256(&[b"x"]);
        let text = digest.to_hex();
        assert_eq!(Digest::from_hex(&text), Some(digest));
        assert_eq!(Digest::from_hex(&text.to_uppercase()), Some(digest));
        assert_eq!(
            format!("{digest} {digest:?}"),
            format!("{0}… {0}…", &text[..8])
        );
        for wrong in [
            "",
            &text[1..],
            &format!("{text}00"),
            &text.replace('1', "g"),
        ] {
            assert_eq!(Digest::from_hex(wrong), None, "{wrong}");
        }
    }

    #[test]
    #[should_panic(expected = "outside csa1/")]
    fn foreign_labels_are_a_bug() {
        tagged("other/label", &[]);
    }
}
