//! Masks: a key's keystream, added to or subtracted from a vector of 32-bit words.
//!
//! Tile T is 16 KiB: AES-256 over `BE96(T) || BE32(2 + block)`, read as little-endian words.
//! That is what AES-256-GCM makes of zeros under the nonce BE96(T), and what any AES-CTR makes from
//! the counter 2; so every library can check every other, and tiles can be made in any order.
//! A key masks one vector, ever. Which keys, and with which sign, is the protocol's affair.

use ring::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce};
use zeroize::Zeroizing;

use crate::kdf::Key;
use crate::seal::cipher;

/// Bytes in a tile.
pub const TILE_BYTES: usize = 16_384;

/// Words in a tile.
pub const TILE_WORDS: usize = TILE_BYTES / 4;

/// Whether a mask is put on or taken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// Adds, modulo 2^32.
    Plus,
    /// Subtracts, modulo 2^32.
    Minus,
}

/// Adds the mask of `key` to `words`, or subtracts it.
pub fn apply(key: &Key, sign: Sign, words: &mut [u32]) {
    MaskKey::from(key).apply(sign, words);
}

/// The same for a stretch of the vector that begins at its word `first_word`.
///
/// # Panics
/// If `first_word` is not a multiple of [`TILE_WORDS`].
pub fn apply_from(key: &Key, sign: Sign, first_word: u64, words: &mut [u32]) {
    MaskKey::from(key).apply_from(sign, first_word, words);
}

/// A key with its AES schedule computed: for one vector masked in several stretches.
pub struct MaskKey(LessSafeKey);

impl MaskKey {
    /// [`apply`] with this key.
    pub fn apply(&self, sign: Sign, words: &mut [u32]) {
        self.apply_from(sign, 0, words);
    }

    /// [`apply_from`] with this key.
    ///
    /// # Panics
    /// If `first_word` is not a multiple of [`TILE_WORDS`].
    pub fn apply_from(&self, sign: Sign, first_word: u64, words: &mut [u32]) {
        let tile_words = TILE_WORDS as u64;
        assert!(
            first_word.is_multiple_of(tile_words),
            "word {first_word} begins no tile"
        );
        let mut buffer = Zeroizing::new(vec![0; TILE_BYTES.min(words.len() * 4)]);
        for (tile, words) in (first_word / tile_words..).zip(words.chunks_mut(TILE_WORDS)) {
            let stream = &mut buffer[..words.len() * 4];
            self.keystream(tile, stream);
            combine(sign, words, stream);
        }
    }

    /// The first bytes of a tile, at most [`TILE_BYTES`].
    pub(crate) fn keystream(&self, tile: u64, output: &mut [u8]) {
        assert!(
            output.len() <= TILE_BYTES,
            "{} bytes of one tile",
            output.len()
        );
        let mut nonce = [0; NONCE_LEN];
        nonce[4..].copy_from_slice(&tile.to_be_bytes());
        output.fill(0);
        let _unneeded_tag = self
            .0
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), output)
            .expect("a tile is far below GCM's 64 GiB");
    }
}

impl From<&Key> for MaskKey {
    fn from(key: &Key) -> Self {
        Self(cipher(key))
    }
}

fn combine(sign: Sign, words: &mut [u32], stream: &[u8]) {
    let (masks, _) = stream.as_chunks();
    let pairs = words.iter_mut().zip(masks);
    match sign {
        Sign::Plus => {
            pairs.for_each(|(word, mask)| *word = word.wrapping_add(u32::from_le_bytes(*mask)));
        }
        Sign::Minus => {
            pairs.for_each(|(word, mask)| *word = word.wrapping_sub(u32::from_le_bytes(*mask)));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::digest::sha256;
    use crate::vectors;

    #[test]
    fn tiles_are_those_of_openssl_in_counter_mode() {
        let file = vectors::parse(include_str!("../vectors/mask.json"));
        let key = Key::from_bytes(vectors::array(&file["key"]));
        for case in vectors::list(&file["tiles"]) {
            let tile = case["tile"].as_u64().expect("a natural number");
            let mut words = vec![0; TILE_WORDS];
            apply_from(&key, Sign::Plus, tile * TILE_WORDS as u64, &mut words);
            let bytes = words
                .iter()
                .flat_map(|word| word.to_le_bytes())
                .collect::<Vec<_>>();
            assert_eq!(bytes[..64], vectors::hex(&case["first"]));
            assert_eq!(bytes[TILE_BYTES - 16..], vectors::hex(&case["last"]));
            assert_eq!(sha256(&[&bytes]).0, vectors::array(&case["sha256"]));
        }
    }

    #[test]
    #[should_panic(expected = "begins no tile")]
    fn a_stretch_begins_with_a_tile() {
        apply_from(&Key::from_bytes([0; 32]), Sign::Plus, 1, &mut [0]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn a_mask_comes_off_as_it_went_on(entropy in any::<[u8; 32]>(), count in 0..10_000_usize) {
            let key = Key::from_bytes(entropy);
            let plain = (0..count as u32).map(|at| at.wrapping_mul(0x9e37_79b9));
            let plain = plain.collect::<Vec<_>>();
            let mut words = plain.clone();
            apply(&key, Sign::Plus, &mut words);
            prop_assert!(count < 8 || words != plain);
            apply(&key, Sign::Minus, &mut words);
            prop_assert_eq!(words, plain);
        }

        #[test]
        fn a_word_does_not_depend_on_the_length_or_the_cut(
            count in 1..10_000_usize,
            cut in 0..3_usize,
        ) {
            let key = Key::from_bytes([3; 32]);
            let mut long = vec![17; 12_000];
            apply(&key, Sign::Minus, &mut long);
            let mut short = vec![17; count];
            let (head, tail) = short.split_at_mut((cut * TILE_WORDS).min(count));
            apply_from(&key, Sign::Minus, 0, head);
            apply_from(&key, Sign::Minus, (cut * TILE_WORDS) as u64, tail);
            prop_assert_eq!(&short[..], &long[..count]);
        }
    }
}
