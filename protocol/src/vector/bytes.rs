//! Words as the bytes that travel: little-endian, and the digests over them. Sums on the ring
//! wrap; what they mean is the parent's affair.

use std::ops::Range;

use crypto::{Digest, merkle};

use crate::message::Bulk;

/// Words in one chunk of a vector's Merkle tree: four tiles of the mask generator.
pub const CHUNK_WORDS: u64 = merkle::CHUNK_BYTES as u64 / 4;

/// The bytes of a chunk of a vector of `words` words; none where it has no such chunk.
#[must_use]
pub fn chunk(words: u64, chunk: u32) -> Option<Range<u64>> {
    let first = u64::from(chunk) * CHUNK_WORDS;
    let last = words.min(first + CHUNK_WORDS);
    (first < last).then(|| first * 4..last * 4)
}

/// How many chunks a vector of `words` words has.
#[must_use]
pub fn chunks(words: u64) -> u32 {
    u32::try_from(words.div_ceil(CHUNK_WORDS)).unwrap_or(u32::MAX)
}

/// The words of a vector as little-endian bytes.
#[must_use]
pub fn to_bytes(words: &[u32]) -> Bulk {
    Bulk(words.iter().flat_map(|word| word.to_le_bytes()).collect())
}

/// Adds a vector to the running sum, modulo 2^32.
///
/// # Errors
/// [`LengthError`], and the sum is as it was.
pub fn add(sum: &mut [u32], vector: &Bulk) -> Result<(), LengthError> {
    let expected = sum.len() * 4;
    if vector.0.len() != expected {
        return Err(LengthError {
            found: vector.0.len(),
            expected,
        });
    }
    let (words, _) = vector.0.as_chunks();
    for (total, &word) in sum.iter_mut().zip(words) {
        *total = total.wrapping_add(u32::from_le_bytes(word));
    }
    Ok(())
}

/// The Merkle root over the chunks of a sum's little-endian bytes.
#[must_use]
pub fn sum_root(sum: &[i32]) -> Digest {
    let bytes = sum
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect::<Vec<_>>();
    merkle::chunk_root(&bytes)
}

/// A vector that is not the manifest's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("vector of {found} bytes, expected {expected}")]
pub struct LengthError {
    /// Bytes found.
    pub found: usize,
    /// Bytes of the manifest's words.
    pub expected: usize,
}
