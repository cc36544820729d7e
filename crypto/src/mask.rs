//! Masks: a key's keystream, added to or subtracted from a vector of 32-bit words.
//!
//! Tile T is 16 KiB: AES-256 over `BE96(T) || BE32(2 + block)`, read as little-endian words.
//! That is what AES-256-GCM makes of zeros under the nonce BE96(T), and what any AES-CTR makes from
//! the counter 2; so every library can check every other, and tiles can be made in any order.
//! A key masks one vector, ever. Which keys, and with which sign, is the protocol's affair.
//!
//! Two ways to make it: the library, everywhere, in two passes; and the `fused` crate where the
//! processor has wide AES instructions, in one. Both give the same bytes; a fused one that does
//! not, at its first use, is never used. The feature `portable` leaves the fused way out.

use std::num::NonZero;
use std::sync::OnceLock;

use fused::Schedule;
use ring::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce};
use zeroize::Zeroizing;

use crate::kdf::Key;
use crate::seal::cipher;

/// Bytes in a tile.
pub const TILE_BYTES: usize = 16_384;

/// Words in a tile.
pub const TILE_WORDS: usize = TILE_BYTES / 4;

/// Words times masks that keep a worker busy for about a millisecond: twenty times what starting
/// a thread costs.
const WORDS_PER_WORKER: usize = 4 << 20;

/// Whether a mask is put on or taken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// Adds, modulo 2^32.
    Plus,
    /// Subtracts, modulo 2^32.
    Minus,
}

impl Sign {
    /// What takes off what this puts on.
    #[must_use]
    pub fn opposite(self) -> Self {
        match self {
            Self::Plus => Self::Minus,
            Self::Minus => Self::Plus,
        }
    }
}

/// Adds the mask of `key` to `words`, or subtracts it.
pub fn apply(key: &Key, sign: Sign, words: &mut [u32]) {
    apply_from(&[(MaskKey::from(key), sign)], 0, words);
}

/// Puts many masks on or takes them off, tile by tile: a tile stays in the processor's cache while
/// all masks pass over it.
pub fn apply_all(masks: &[(Key, Sign)], words: &mut [u32]) {
    apply_all_by(Workers::ALONE, masks, words);
}

/// The same by workers, each with its own tiles. Where the work is less than starting them is
/// worth, by one.
pub fn apply_all_by(workers: Workers, masks: &[(Key, Sign)], words: &mut [u32]) {
    let expanded = |(key, sign): &(Key, Sign)| (MaskKey::from(key), *sign);
    let masks = masks.iter().map(expanded).collect::<Vec<_>>();
    let worth = masks.len().saturating_mul(words.len()) / WORDS_PER_WORKER;
    let count = workers.count.get().min(worth).max(1);
    let stretch = words.len().div_ceil(count).next_multiple_of(TILE_WORDS);
    let stretch = stretch.max(TILE_WORDS);
    let stretches = (0_u64..).step_by(stretch).zip(words.chunks_mut(stretch));
    let job = |(first, words)| -> Job<'_> {
        let masks = &masks;
        Box::new(move || apply_from(masks, first, words))
    };
    (workers.run)(stretches.map(job).collect());
}

/// One worker's part.
pub type Job<'a> = Box<dyn FnOnce() + Send + 'a>;

/// Who does the work. What runs beside what is a host's affair: here nothing starts a thread.
#[derive(Clone, Copy, Debug)]
pub struct Workers {
    /// How many there are.
    pub count: NonZero<usize>,
    /// Has all jobs done, and returns when they are.
    pub run: for<'a> fn(Vec<Job<'a>>),
}

impl Workers {
    /// The caller alone.
    pub const ALONE: Self = Self {
        count: NonZero::<usize>::MIN,
        run: |jobs| jobs.into_iter().for_each(|job| job()),
    };
}

/// The same for a stretch of the vector that begins at its word `first_word`.
///
/// # Panics
/// If `first_word` is not a multiple of [`TILE_WORDS`].
pub fn apply_from(masks: &[(MaskKey, Sign)], first_word: u64, words: &mut [u32]) {
    let tile_words = TILE_WORDS as u64;
    assert!(
        first_word.is_multiple_of(tile_words),
        "word {first_word} begins no tile"
    );
    let mut buffer = Zeroizing::new(vec![0; TILE_BYTES.min(words.len() * 4)]);
    for (tile, words) in (first_word / tile_words..).zip(words.chunks_mut(TILE_WORDS)) {
        for (key, sign) in masks {
            key.pass(*sign, tile, words, &mut buffer);
        }
    }
}

/// A key with its AES schedule computed, for the fastest way of this machine.
pub struct MaskKey(Way);

enum Way {
    Library(Tiles),
    Fused(Box<Schedule>),
}

impl MaskKey {
    /// The key for the library's way, which every machine has.
    #[must_use]
    pub fn portable(key: &Key) -> Self {
        Self(Way::Library(Tiles::from(key)))
    }

    /// The key for the fused way; none where the machine lacks the instructions, and none under
    /// the feature `portable`.
    #[must_use]
    pub fn fused(key: &Key) -> Option<Self> {
        static AGREES: OnceLock<bool> = OnceLock::new();
        let is_allowed = !cfg!(feature = "portable") && *AGREES.get_or_init(agrees);
        let schedule = is_allowed.then(|| Schedule::new(key.expose()))?;
        schedule.map(|schedule| Self(Way::Fused(Box::new(schedule))))
    }

    /// One mask over one tile; `buffer` has room for it.
    fn pass(&self, sign: Sign, tile: u64, words: &mut [u32], buffer: &mut [u8]) {
        match (&self.0, sign) {
            (Way::Fused(schedule), Sign::Plus) => schedule.add(tile, words),
            (Way::Fused(schedule), Sign::Minus) => schedule.subtract(tile, words),
            (Way::Library(tiles), sign) => {
                let stream = &mut buffer[..words.len() * 4];
                tiles.fill(tile, stream);
                combine(sign, words, stream);
            }
        }
    }
}

impl From<&Key> for MaskKey {
    fn from(key: &Key) -> Self {
        Self::fused(key).unwrap_or_else(|| Self::portable(key))
    }
}

/// Whether the fused way makes what the library makes: far into a vector, a whole tile and the
/// beginning of one, put on by one and taken off by the other, with either sign.
fn agrees() -> bool {
    let key = Key::from_bytes([0x5a; 32]);
    [Sign::Plus, Sign::Minus].into_iter().all(|sign| {
        Schedule::new(key.expose()).is_some_and(|schedule| {
            let fused = (MaskKey(Way::Fused(Box::new(schedule))), sign);
            let library = (MaskKey::portable(&key), sign.opposite());
            let mut words = vec![7; TILE_WORDS + 77];
            apply_from(&[fused, library], (TILE_WORDS as u64) << 33, &mut words);
            words.iter().all(|word| *word == 7)
        })
    })
}

/// The tiles of a key, by the library.
pub(crate) struct Tiles(Box<LessSafeKey>);

impl Tiles {
    /// The first bytes of a tile, at most [`TILE_BYTES`].
    pub(crate) fn fill(&self, tile: u64, output: &mut [u8]) {
        let mut nonce = [0; NONCE_LEN];
        nonce[4..].copy_from_slice(&tile.to_be_bytes());
        let nonce = Nonce::assume_unique_for_key(nonce);
        output.fill(0);
        let sealed = self
            .0
            .seal_in_place_separate_tag(nonce, Aad::empty(), output);
        let _unneeded_tag = sealed.expect("a tile is far below GCM's 64 GiB");
    }
}

impl From<&Key> for Tiles {
    fn from(key: &Key) -> Self {
        Self(Box::new(cipher(key)))
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
    use fused::Width;
    use proptest::prelude::*;

    use super::*;
    use crate::digest::sha256;
    use crate::vectors;

    /// Every way that this machine has.
    fn ways(key: &Key) -> Vec<MaskKey> {
        let fused = [Width::Two, Width::Four].into_iter().filter_map(|width| {
            let schedule = Schedule::with_width(key.expose(), width);
            if schedule.is_none() {
                eprintln!("skipped: this machine has no instructions for {width:?} blocks");
            }
            Some(MaskKey(Way::Fused(Box::new(schedule?))))
        });
        fused.chain([MaskKey::portable(key)]).collect()
    }

    #[test]
    fn tiles_are_those_of_openssl_in_counter_mode() {
        let file = vectors::parse(include_str!("../vectors/mask.json"));
        let key = Key::from_bytes(vectors::array(&file["key"]));
        for case in vectors::list(&file["tiles"]) {
            let tile = case["tile"].as_u64().expect("a natural number");
            for way in ways(&key) {
                let mut words = vec![0; TILE_WORDS];
                apply_from(&[(way, Sign::Plus)], tile * TILE_WORDS as u64, &mut words);
                let bytes = words
                    .iter()
                    .flat_map(|word| word.to_le_bytes())
                    .collect::<Vec<_>>();
                assert_eq!(bytes[..64], vectors::hex(&case["first"]));
                assert_eq!(bytes[TILE_BYTES - 16..], vectors::hex(&case["last"]));
                assert_eq!(sha256(&[&bytes]).0, vectors::array(&case["sha256"]));
            }
        }
    }

    #[test]
    fn ways_agree_for_every_length_and_either_sign() {
        let key = Key::from_bytes([9; 32]);
        for count in (0..700).chain([TILE_WORDS - 1, TILE_WORDS, TILE_WORDS + 1, 3 * TILE_WORDS]) {
            for sign in [Sign::Plus, Sign::Minus] {
                let masked = |way| {
                    let mut words = (0..count as u32).collect::<Vec<_>>();
                    apply_from(&[(way, sign)], 5 * TILE_WORDS as u64, &mut words);
                    words
                };
                let all = ways(&key).into_iter().map(masked).collect::<Vec<_>>();
                assert!(
                    all.windows(2).all(|two| two[0] == two[1]),
                    "{count} {sign:?}"
                );
            }
        }
    }

    #[test]
    fn the_fused_way_is_taken_where_it_agrees_and_is_allowed() {
        let key = Key::from_bytes([9; 32]);
        let is_here = Schedule::new(key.expose()).is_some();
        assert_eq!(agrees(), is_here);
        assert_eq!(
            MaskKey::fused(&key).is_some(),
            is_here && !cfg!(feature = "portable")
        );
    }

    #[test]
    fn many_masks_at_once_are_as_one_after_the_other() {
        let masks = (0..5).map(|at| {
            let sign = if at % 2 == 0 { Sign::Plus } else { Sign::Minus };
            (Key::from_bytes([at; 32]), sign)
        });
        let masks = masks.collect::<Vec<_>>();
        let (mut at_once, mut singly) = (vec![1; 10_000], vec![1; 10_000]);
        apply_all(&masks, &mut at_once);
        for (key, sign) in &masks {
            apply(key, *sign, &mut singly);
        }
        assert_eq!(at_once, singly);
    }

    #[test]
    fn workers_share_the_tiles_and_change_nothing() {
        let masks = [1, 2, 3].map(|at| (Key::from_bytes([at; 32]), Sign::Plus));
        for count in [0, 1, TILE_WORDS, 3_000_001, 4_000_000] {
            let mut alone = vec![5; count];
            apply_all(&masks, &mut alone);
            for workers in [2, 3, 1_000] {
                let mut shared = vec![5; count];
                let workers = Workers {
                    count: NonZero::new(workers).expect("not zero"),
                    // Whoever is last may be first.
                    run: |jobs| jobs.into_iter().rev().for_each(|job| job()),
                };
                apply_all_by(workers, &masks, &mut shared);
                assert!(shared == alone, "{count} words by {workers:?}");
            }
        }
    }

    #[test]
    #[should_panic(expected = "begins no tile")]
    fn a_stretch_begins_with_a_tile() {
        let key = MaskKey::portable(&Key::from_bytes([0; 32]));
        apply_from(&[(key, Sign::Plus)], 1, &mut [0]);
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
            let masks = [(MaskKey::from(&key), Sign::Minus)];
            apply_from(&masks, 0, head);
            apply_from(&masks, (cut * TILE_WORDS) as u64, tail);
            prop_assert_eq!(&short[..], &long[..count]);
        }
    }
}
