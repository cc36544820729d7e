//! Words of 24 bits: what they say is what words of 32 bits say, as long as it fits, and what does
//! not fit is found.

use crypto::mask::{self, Sign};
use crypto::{Key, merkle, tagged};

use super::*;
use crate::fixture::WIDTHS;
use crate::message::Bulk;
use crate::terms;

/// The bits that this width leaves to each count of so many banks.
fn bits(width: Width, banks: u16) -> u8 {
    let mut plan = fixture::plan(fixture::risk(), 1);
    plan.width = width;
    terms::value_bits(&plan, banks)
}

/// What a coordinator holds of these vectors after all of them came masked, and the masks of all
/// of them came off.
fn through_masks(vectors: &[Vec<u32>], width: Width) -> Vec<u32> {
    let mut sum = vec![0_u32; vectors[0].len()];
    let keys = (0..).map(|at: u8| Key::from_bytes([at; 32]));
    let keys = keys.take(vectors.len()).collect::<Vec<_>>();
    for (vector, key) in vectors.iter().zip(&keys) {
        let mut words = vector.clone();
        mask::apply(key, Sign::Plus, &mut words);
        add(&mut sum, &to_bytes(&words, width), width).unwrap();
    }
    for key in &keys {
        mask::apply(key, Sign::Minus, &mut sum);
    }
    sum
}

proptest! {
    #![proptest_config(fixture::cases(48))]

    /// With the bits that 24 leave, both widths give the plain sum: any cohort, either sign, up to
    /// the largest value there is.
    #[test]
    fn packed_sum_is_the_full_one_and_the_plain_one(
        banks in 3_u16..=100,
        seeds in prop::collection::vec(any::<i32>(), 100),
    ) {
        let bits = bits(Width::Packed, banks);
        let most = value_max(bits);
        let value = |seed: i32, at: i32| match at {
            0 => most,
            1 => -most,
            _ => seed.wrapping_mul(at) % (most + 1),
        };
        let vectors = seeds.iter().take(usize::from(banks)).map(|&seed| {
            let values = (0..50).map(|at| value(seed, at).cast_unsigned());
            [header(most.unsigned_abs()), values.collect()].concat()
        });
        let vectors = vectors.collect::<Vec<_>>();
        let plain = (0..50).map(|at| {
            seeds.iter().take(usize::from(banks)).map(|&seed| value(seed, at)).sum::<i32>()
        });
        let plain = plain.collect::<Vec<_>>();
        for width in WIDTHS {
            let sum = through_masks(&vectors, width);
            let sum = decode_sum(&sum, usize::from(banks), bits, Kind::Finetune, width).unwrap();
            prop_assert_eq!(payload(&sum), &plain[..]);
            prop_assert_eq!(sum[WEIGHT], i32::from(banks) * most);
        }
    }
}

#[test]
fn packed_word_is_its_three_low_bytes() {
    let words = [0x0403_0201, (-2_i32).cast_unsigned()];
    let packed = to_bytes(&words, Width::Packed);
    assert_eq!(packed, Bulk(vec![1, 2, 3, 0xfe, 0xff, 0xff]));
    let mut sum = vec![0, 0];
    add(&mut sum, &packed, Width::Packed).unwrap();
    assert_eq!(integers(&sum, Width::Packed), [0x03_0201, -2]);
}

/// A chunk is as many words in either width: 64 KiB, or 48, and always four tiles.
#[test]
fn chunk_is_of_words_whatever_their_width() {
    let words = (0..40_000_u32).map(|at| at.wrapping_mul(0x9e37_79b9));
    let words = words.collect::<Vec<_>>();
    assert_eq!(CHUNK_WORDS as usize, 4 * mask::TILE_WORDS);
    for (width, size) in [(Width::Full, 65_536), (Width::Packed, 49_152)] {
        let bytes = to_bytes(&words, width);
        let chunks = bytes.0.chunks(size).map(|it| tagged("csa1/chunk", &[it]));
        let root = merkle::root("csa1/chunk-root", &chunks.collect::<Vec<_>>());
        assert_eq!(masked_root(&bytes, width), root);
    }
    let sum = words.iter().map(|it| it.cast_signed()).collect::<Vec<_>>();
    let full = to_bytes(&words, Width::Full);
    assert_eq!(sum_root(&sum), masked_root(&full, Width::Full));
}

/// Two guard bits: beyond what honest banks can add up to there is three times as much room on
/// either side before a sum comes round, and all of it is refused.
#[test]
fn overflow_is_found_by_the_guard_bits() {
    for width in WIDTHS {
        for banks in [3_u16, 10, 64, 100] {
            let (n, bits) = (usize::from(banks), bits(width, banks));
            let most = i64::from(value_max(bits)) * i64::from(banks);
            let ring = 1_i64 << width.bits();
            let sum_of = |value: i64| {
                let value = u32::try_from(value.rem_euclid(ring)).unwrap();
                let words = [0, 0, 0, 0, u32::from(banks), 0, value];
                decode_sum(&words, n, bits, Kind::Finetune, width)
            };
            assert_eq!(sum_of(most).unwrap()[HEADER_WORDS], most as i32);
            assert_eq!(sum_of(-most).unwrap()[HEADER_WORDS], -most as i32);
            for beyond in [most + 1, ring / 4, ring / 2 - 1, ring / 2, ring - most - 1] {
                let found = sum_of(beyond);
                assert!(matches!(found, Err(SumError::Range { .. })), "{found:?}");
            }
            assert!(4 * most < ring / 2, "the guard is the smaller part");
        }
    }
}

/// Three in four words of a mask that is left on are beyond what honest sums use.
#[test]
fn residue_of_a_mask_is_noticed_in_packed_words() {
    let mut words = [vec![0, 0, 0, 0, 10, 0], vec![1; 64]].concat();
    mask::apply(&Key::from_bytes([1; 32]), Sign::Plus, &mut words);
    let bits = bits(Width::Packed, 10);
    let found = decode_sum(&words, 10, bits, Kind::Finetune, Width::Packed);
    assert!(matches!(found, Err(SumError::Canary { .. })), "{found:?}");
    words[..HEADER_WORDS].copy_from_slice(&[0, 0, 0, 0, 10, 0]);
    let found = decode_sum(&words, 10, bits, Kind::Finetune, Width::Packed);
    assert!(matches!(found, Err(SumError::Range { .. })), "{found:?}");
}

#[test]
fn vector_of_the_other_width_is_of_another_size() {
    for (width, other) in [(Width::Full, Width::Packed), (Width::Packed, Width::Full)] {
        let mut sum = vec![1, 2];
        let error = add(&mut sum, &to_bytes(&[3, 4], other), width).unwrap_err();
        let (found, expected) = (2 * other.bytes(), 2 * width.bytes());
        assert_eq!((error, sum), (LengthError { found, expected }, vec![1, 2]));
    }
}
