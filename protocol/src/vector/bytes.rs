//! Words as the bytes that travel: little-endian, as wide as the plan says, and the digests over
//! them. Sums on the ring wrap; what they mean is the parent's affair.
//!
//! Here a word is 32 bits whatever its width: masks and sums modulo 2^32 and modulo 2^24 agree in
//! the low 24 bits, so the high ones are left behind only where words become bytes.

use std::ops::Range;

use crypto::{Digest, merkle};

use crate::message::Bulk;
use crate::plan::Width;

/// Words in one chunk of a vector's Merkle tree, whatever their width: four tiles of the mask
/// generator.
pub const CHUNK_WORDS: u64 = 16_384;

/// The bytes of a chunk of a vector of `words` words; none where it has no such chunk.
#[must_use]
pub fn chunk(words: u64, chunk: u32, width: Width) -> Option<Range<u64>> {
    let bytes = width.bytes() as u64;
    let first = u64::from(chunk) * CHUNK_WORDS;
    let last = words.min(first + CHUNK_WORDS);
    (first < last).then(|| first * bytes..last * bytes)
}

/// How many chunks a vector of `words` words has.
#[must_use]
pub fn chunks(words: u64) -> u32 {
    u32::try_from(words.div_ceil(CHUNK_WORDS)).unwrap_or(u32::MAX)
}

/// The words of a vector as little-endian bytes.
#[must_use]
pub fn to_bytes(words: &[u32], width: Width) -> Bulk {
    Bulk(match width {
        Width::Full => pack::<4>(words),
        Width::Packed => pack::<3>(words),
    })
}

fn pack<const BYTES: usize>(words: &[u32]) -> Vec<u8> {
    let mut bytes = vec![0; words.len() * BYTES];
    let (packed, _) = bytes.as_chunks_mut::<BYTES>();
    for (packed, word) in packed.iter_mut().zip(words) {
        packed.copy_from_slice(&word.to_le_bytes()[..BYTES]);
    }
    bytes
}

/// Adds a vector to the running sum, modulo 2^32.
///
/// # Errors
/// [`LengthError`], and the sum is as it was.
pub fn add(sum: &mut [u32], vector: &Bulk, width: Width) -> Result<(), LengthError> {
    let expected = sum.len() * width.bytes();
    if vector.0.len() != expected {
        return Err(LengthError {
            found: vector.0.len(),
            expected,
        });
    }
    match width {
        Width::Full => add_packed::<4>(sum, &vector.0),
        Width::Packed => add_packed::<3>(sum, &vector.0),
    }
    Ok(())
}

fn add_packed<const BYTES: usize>(sum: &mut [u32], bytes: &[u8]) {
    let (packed, _) = bytes.as_chunks::<BYTES>();
    for (total, packed) in sum.iter_mut().zip(packed) {
        let mut word = [0; 4];
        word[..BYTES].copy_from_slice(packed);
        *total = total.wrapping_add(u32::from_le_bytes(word));
    }
}

/// The Merkle root over the chunks of a vector's bytes.
#[must_use]
pub fn masked_root(vector: &Bulk, width: Width) -> Digest {
    merkle::chunks_root(&masked_leaves(vector, width))
}

/// The leaves under [`masked_root`]: one digest a chunk.
#[must_use]
pub fn masked_leaves(vector: &Bulk, width: Width) -> Vec<Digest> {
    merkle::chunk_leaves(&vector.0, chunk_bytes(width))
}

/// Bytes in one chunk of a vector's Merkle tree.
fn chunk_bytes(width: Width) -> usize {
    let words = usize::try_from(CHUNK_WORDS).expect("a chunk is small");
    words * width.bytes()
}

/// The Merkle root over the chunks of a sum's little-endian bytes: four a word, whatever width it
/// was summed in.
#[must_use]
pub fn sum_root(sum: &[i32]) -> Digest {
    let bytes = sum
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect::<Vec<_>>();
    merkle::chunk_root_by(&bytes, chunk_bytes(Width::Full))
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
