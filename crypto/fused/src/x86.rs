//! AES-256 in counter mode by AVX2 or AVX-512 with VAES. Eight vectors are on their way at a time,
//! which hides an AES round's latency; each keystream vector is added to its words in the register
//! it was made in, so that it is never stored.
//!
//! Block `b` of tile `T` is AES of `BE96(T) || BE32(2 + b)`; words are little-endian, as the
//! machine's are.
#![expect(
    unsafe_code,
    reason = "vector loads and stores take pointers; code for detected instructions is called"
)]

use std::arch::x86_64::{
    __m128i, __m256i, __m512i, _mm_aeskeygenassist_si128, _mm_loadu_si128, _mm_set_epi8,
    _mm_shuffle_epi32, _mm_slli_si128, _mm_storeu_si128, _mm_xor_si128, _mm256_add_epi32,
    _mm256_aesenc_epi128, _mm256_aesenclast_epi128, _mm256_broadcastsi128_si256,
    _mm256_loadu_si256, _mm256_or_si256, _mm256_set_epi32, _mm256_shuffle_epi8,
    _mm256_storeu_si256, _mm256_sub_epi32, _mm256_xor_si256, _mm512_add_epi32,
    _mm512_aesenc_epi128, _mm512_aesenclast_epi128, _mm512_broadcast_i32x4, _mm512_loadu_si512,
    _mm512_or_si512, _mm512_set_epi32, _mm512_shuffle_epi8, _mm512_storeu_si512, _mm512_sub_epi32,
    _mm512_xor_si512,
};

use zeroize::Zeroize;

use crate::Width;

/// Rounds of AES-256, and the key that is mixed in before the first.
const ROUND_KEYS: usize = 15;

/// Vectors on their way at a time.
const LANES: usize = 8;

/// An AES-256 key, expanded: wiped when dropped. Exists only where the instructions do.
pub struct Schedule {
    keys: [[u8; 16]; ROUND_KEYS],
    width: Width,
}

impl Schedule {
    /// The key for the widest instructions of this machine; none where it has neither.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Option<Self> {
        Self::with_width(key, Width::Four).or_else(|| Self::with_width(key, Width::Two))
    }

    /// The key for instructions of this width; none where the machine lacks them.
    #[must_use]
    pub fn with_width(key: &[u8; 32], width: Width) -> Option<Self> {
        let is_here = is_x86_feature_detected!("aes")
            && is_x86_feature_detected!("vaes")
            && match width {
                Width::Two => is_x86_feature_detected!("avx2"),
                Width::Four => {
                    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw")
                }
            };
        is_here.then(|| {
            // SAFETY: the processor was just seen to have `aes`.
            let keys = unsafe { expand(key) };
            Self { keys, width }
        })
    }

    /// Adds the tile's keystream from its first word on, modulo 2^32.
    pub fn add(&self, tile: u64, words: &mut [u32]) {
        self.apply::<true>(tile, words);
    }

    /// Subtracts it.
    pub fn subtract(&self, tile: u64, words: &mut [u32]) {
        self.apply::<false>(tile, words);
    }

    fn apply<const PLUS: bool>(&self, tile: u64, words: &mut [u32]) {
        match self.width {
            // SAFETY: `with_width` saw `avx2`, `vaes` and `aes` before it made a schedule of two.
            Width::Two => unsafe { by_two::<PLUS>(&self.keys, tile, words) },
            // SAFETY: `with_width` saw `avx512f`, `avx512bw`, `vaes` and `aes` before it made a
            // schedule of four.
            Width::Four => unsafe { by_four::<PLUS>(&self.keys, tile, words) },
        }
    }
}

impl Drop for Schedule {
    fn drop(&mut self) {
        self.keys.zeroize();
    }
}

#[target_feature(enable = "avx2,vaes,aes")]
fn by_two<const PLUS: bool>(keys: &[[u8; 16]; ROUND_KEYS], tile: u64, words: &mut [u32]) {
    const WORDS: usize = LANES * 8;
    let mut wide = [_mm256_set_epi32(0, 0, 0, 0, 0, 0, 0, 0); ROUND_KEYS];
    for (wide, key) in wide.iter_mut().zip(keys) {
        *wide = _mm256_broadcastsi128_si256(load_128(key));
    }
    let base = _mm256_broadcastsi128_si256(load_128(&first_block(tile)));
    let swap = _mm256_broadcastsi128_si256(swap_last_word());
    let step = _mm256_set_epi32(2, 0, 0, 0, 2, 0, 0, 0);
    let mut counters = _mm256_set_epi32(3, 0, 0, 0, 2, 0, 0, 0);
    let mut next = |chunk: &mut [u32; WORDS]| {
        let mut state = [base; LANES];
        for block in &mut state {
            let blocks = _mm256_or_si256(base, _mm256_shuffle_epi8(counters, swap));
            *block = _mm256_xor_si256(blocks, wide[0]);
            counters = _mm256_add_epi32(counters, step);
        }
        for key in &wide[1..ROUND_KEYS - 1] {
            for block in &mut state {
                *block = _mm256_aesenc_epi128(*block, *key);
            }
        }
        for (block, words) in state.iter().zip(chunk.as_chunks_mut().0) {
            let stream = _mm256_aesenclast_epi128(*block, wide[ROUND_KEYS - 1]);
            let sum = if PLUS {
                _mm256_add_epi32(load_256(words), stream)
            } else {
                _mm256_sub_epi32(load_256(words), stream)
            };
            store_256(words, sum);
        }
    };
    let (chunks, rest) = words.as_chunks_mut::<WORDS>();
    chunks.iter_mut().for_each(&mut next);
    if !rest.is_empty() {
        let mut last = [0; WORDS];
        last[..rest.len()].copy_from_slice(rest);
        next(&mut last);
        rest.copy_from_slice(&last[..rest.len()]);
    }
}

#[target_feature(enable = "avx512f,avx512bw,vaes,aes")]
fn by_four<const PLUS: bool>(keys: &[[u8; 16]; ROUND_KEYS], tile: u64, words: &mut [u32]) {
    const WORDS: usize = LANES * 16;
    let mut wide = [_mm512_set_epi32(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0); ROUND_KEYS];
    for (wide, key) in wide.iter_mut().zip(keys) {
        *wide = _mm512_broadcast_i32x4(load_128(key));
    }
    let base = _mm512_broadcast_i32x4(load_128(&first_block(tile)));
    let swap = _mm512_broadcast_i32x4(swap_last_word());
    let step = _mm512_set_epi32(4, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0);
    let mut counters = _mm512_set_epi32(5, 0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0);
    let mut next = |chunk: &mut [u32; WORDS]| {
        let mut state = [base; LANES];
        for block in &mut state {
            let blocks = _mm512_or_si512(base, _mm512_shuffle_epi8(counters, swap));
            *block = _mm512_xor_si512(blocks, wide[0]);
            counters = _mm512_add_epi32(counters, step);
        }
        for key in &wide[1..ROUND_KEYS - 1] {
            for block in &mut state {
                *block = _mm512_aesenc_epi128(*block, *key);
            }
        }
        for (block, words) in state.iter().zip(chunk.as_chunks_mut().0) {
            let stream = _mm512_aesenclast_epi128(*block, wide[ROUND_KEYS - 1]);
            let sum = if PLUS {
                _mm512_add_epi32(load_512(words), stream)
            } else {
                _mm512_sub_epi32(load_512(words), stream)
            };
            store_512(words, sum);
        }
    };
    let (chunks, rest) = words.as_chunks_mut::<WORDS>();
    chunks.iter_mut().for_each(&mut next);
    if !rest.is_empty() {
        let mut last = [0; WORDS];
        last[..rest.len()].copy_from_slice(rest);
        next(&mut last);
        rest.copy_from_slice(&last[..rest.len()]);
    }
}

/// BE96(tile), and a counter of zero.
fn first_block(tile: u64) -> [u8; 16] {
    let mut block = [0; 16];
    block[4..12].copy_from_slice(&tile.to_be_bytes());
    block
}

/// Turns the bytes of a block's last word around: counters are counted little-endian.
#[target_feature(enable = "aes")]
fn swap_last_word() -> __m128i {
    _mm_set_epi8(12, 13, 14, 15, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)
}

/// The key schedule of FIPS 197, section 5.2, two round keys a step.
#[target_feature(enable = "aes")]
fn expand(key: &[u8; 32]) -> [[u8; 16]; ROUND_KEYS] {
    let (halves, _) = key.as_chunks();
    let (mut even, mut odd) = (load_128(&halves[0]), load_128(&halves[1]));
    let mut keys = [[0; 16]; ROUND_KEYS];
    store_128(&mut keys[0], even);
    store_128(&mut keys[1], odd);
    // The round constant is part of the instruction, so the loop is unrolled by hand.
    macro_rules! even {
        ($at:literal, $constant:literal) => {
            let word = _mm_aeskeygenassist_si128::<$constant>(odd);
            even = _mm_xor_si128(spread(even), _mm_shuffle_epi32::<0xff>(word));
            store_128(&mut keys[$at], even);
        };
    }
    macro_rules! odd {
        ($at:literal) => {
            let word = _mm_aeskeygenassist_si128::<0>(even);
            odd = _mm_xor_si128(spread(odd), _mm_shuffle_epi32::<0xaa>(word));
            store_128(&mut keys[$at], odd);
        };
    }
    even!(2, 0x01);
    odd!(3);
    even!(4, 0x02);
    odd!(5);
    even!(6, 0x04);
    odd!(7);
    even!(8, 0x08);
    odd!(9);
    even!(10, 0x10);
    odd!(11);
    even!(12, 0x20);
    odd!(13);
    even!(14, 0x40);
    keys
}

/// Each word mixed with all words before it.
#[target_feature(enable = "aes")]
fn spread(words: __m128i) -> __m128i {
    let once = _mm_xor_si128(words, _mm_slli_si128::<4>(words));
    _mm_xor_si128(once, _mm_slli_si128::<8>(once))
}

#[target_feature(enable = "sse2")]
fn load_128(bytes: &[u8; 16]) -> __m128i {
    // SAFETY: the reference is to 16 readable bytes, and the load needs no alignment.
    unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
}

#[target_feature(enable = "sse2")]
fn store_128(bytes: &mut [u8; 16], value: __m128i) {
    // SAFETY: the reference is to 16 bytes that are ours to write; no alignment is needed.
    unsafe { _mm_storeu_si128(bytes.as_mut_ptr().cast(), value) }
}

#[target_feature(enable = "avx2")]
fn load_256(words: &[u32; 8]) -> __m256i {
    // SAFETY: the reference is to 32 readable bytes, and the load needs no alignment.
    unsafe { _mm256_loadu_si256(words.as_ptr().cast()) }
}

#[target_feature(enable = "avx2")]
fn store_256(words: &mut [u32; 8], value: __m256i) {
    // SAFETY: the reference is to 32 bytes that are ours to write; no alignment is needed.
    unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), value) }
}

#[target_feature(enable = "avx512f")]
fn load_512(words: &[u32; 16]) -> __m512i {
    // SAFETY: the reference is to 64 readable bytes, and the load needs no alignment.
    unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
}

#[target_feature(enable = "avx512f")]
fn store_512(words: &mut [u32; 16], value: __m512i) {
    // SAFETY: the reference is to 64 bytes that are ours to write; no alignment is needed.
    unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), value) }
}
