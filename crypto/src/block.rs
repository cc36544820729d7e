//! How bytes travel: the bytes that serde's arrays and lists of bytes give, in steps of sixteen or
//! at once. What is read and written most is digests, keys and signatures, and one call a byte is
//! most of what a frame costs.
//!
//! In a text format they stay the lists of numbers that they are by default. Which binary format
//! there is, the protocol's wire decides: big-endian integers of fixed width.

use std::fmt;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// 32 bytes that travel as two numbers.
#[derive(Serialize, Deserialize)]
pub(crate) struct Half(#[serde(with = "array")] pub(crate) [u8; 32]);

/// For a field of 32 bytes.
pub(crate) mod array {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8; 32], to: S) -> Result<S::Ok, S::Error> {
        if to.is_human_readable() {
            return bytes.serialize(to);
        }
        let (numbers, _) = bytes.as_chunks();
        [0, 1]
            .map(|at| u128::from_be_bytes(numbers[at]))
            .serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 32], D::Error> {
        if from.is_human_readable() {
            return Deserialize::deserialize(from);
        }
        let [high, low] = <[u128; 2]>::deserialize(from)?.map(u128::to_be_bytes);
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(&high);
        bytes[16..].copy_from_slice(&low);
        Ok(bytes)
    }
}

/// For a field of any number of bytes.
pub(crate) mod list {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(bytes)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        // Borrowed, so that only bytes that came are copied.
        from.deserialize_bytes(Bytes)
    }
}

struct Bytes;

impl<'de> Visitor<'de> for Bytes {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }

    /// What a text format brings.
    fn visit_seq<A: SeqAccess<'de>>(self, mut numbers: A) -> Result<Vec<u8>, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = numbers.next_element()? {
            bytes.push(byte);
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Plain([u8; 32], Vec<u8>);

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Blocks(
        #[serde(with = "array")] [u8; 32],
        #[serde(with = "list")] Vec<u8>,
    );

    /// Files of credentials and reports are read by people and by other builds. What the binary
    /// form is, the golden bytes of the protocol say.
    #[test]
    fn in_a_text_format_they_are_the_numbers_they_always_were() {
        let bytes = std::array::from_fn(|at| 250_u8.wrapping_add(at as u8));
        let text = serde_json::to_string(&Plain(bytes, vec![1, 0, 255])).expect("plain numbers");
        let blocks = Blocks(bytes, vec![1, 0, 255]);
        assert_eq!(serde_json::to_string(&blocks).expect("numbers"), text);
        assert_eq!(
            serde_json::from_str::<Blocks>(&text).expect("as said"),
            blocks
        );
        for wrong in [text.replace("255", "256"), text.replace("[250,", "[")] {
            assert!(serde_json::from_str::<Blocks>(&wrong).is_err(), "{wrong}");
        }
    }
}
