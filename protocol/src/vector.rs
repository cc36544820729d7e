//! What a word means: a bank's vector to integers on the ring, and the sum back (PROTOCOL.md §6).
//! Masks are put on in `masking.rs`; the bytes are in `vector/bytes.rs`; nothing here knows whose
//! vector it is.
//!
//! ```text
//! word   0..4      4          5                             6..
//!        canaries  banks: 1   weight, 0 for counts          payload, two's complement
//! ```

use crypto::Seed;

use crate::limits::HEADER_WORDS;
use crate::plan::{Kind, Training, Width};
use crate::terms;

mod bytes;
#[cfg(test)]
mod tests;

pub use bytes::{
    CHUNK_WORDS, LengthError, add, chunk, chunks, masked_leaves, masked_root, sum_root, to_bytes,
};

/// Canary words: zero in every vector, hence in every honest sum.
const CANARIES: usize = 4;
/// Where the number of banks is.
const COUNT: usize = 4;
/// Where the weight is.
const WEIGHT: usize = 5;

/// Largest value of `bits` bits, sign included.
#[must_use]
pub fn value_max(bits: u8) -> i32 {
    (1 << (bits.clamp(2, 31) - 1)) - 1
}

/// Values of a bank's update, [`terms::values`], as a length; where they cannot be counted, more
/// than any update has.
fn length(training: &Training) -> usize {
    let values = terms::values(training).and_then(|values| usize::try_from(values).ok());
    values.unwrap_or(usize::MAX)
}

/// The update of a bank that has nothing to learn from.
///
/// # Panics
/// If its values cannot be counted: no checked plan is such.
#[must_use]
pub fn nothing(training: &Training) -> Vec<f32> {
    vec![0.0; length(training)]
}

/// A bank's update as a vector of `bits`-bit values.
///
/// With `M = 2^(bits-1) - 1`: the weight is `W = round(min(1, examples / cap) * M)`, at least 1
/// for any example; coordinate k is `W / M * clipped_k`, in steps of `range / M`, rounded up or
/// down by chance so that its expectation is exact, clamped to ±M. No examples is weight 0 and an
/// all-zero payload: such a bank still takes part.
///
/// # Errors
/// [`VectorError`]; then nothing may be sent.
pub fn encode_update(
    delta: &[f32],
    examples: u64,
    training: &Training,
    bits: u8,
    seed: &Seed,
) -> Result<Vec<u32>, VectorError> {
    let expected = length(training);
    if delta.len() != expected {
        return Err(VectorError::Length {
            found: delta.len(),
            expected,
        });
    }
    if let Some(index) = delta.iter().position(|value| !value.is_finite()) {
        return Err(VectorError::NotFinite { index });
    }
    let most = value_max(bits);
    let weight = weight(examples, training.examples_cap, most);
    let mut words = header(u32::try_from(weight).expect("weights are not negative"));
    // W / M is the weight, M / range the steps in a unit: M cancels.
    let norm = clip_factor(delta, training.clip_norm);
    let scale = f64::from(weight) * norm / f64::from(training.range);
    let mut stream = seed.stream("csa1/rounding", 0);
    let mut chance = vec![0; 4 * delta.len().min(CHUNK)];
    for chunk in delta.chunks(CHUNK) {
        let chance = &mut chance[..4 * chunk.len()];
        stream.fill(chance);
        let (draws, _) = chance.as_chunks();
        words.extend(chunk.iter().zip(draws).map(|(&value, &draw)| {
            let steps = f64::from(value) * scale;
            round_by_chance(steps, u32::from_le_bytes(draw), most).cast_unsigned()
        }));
    }
    Ok(words)
}

/// Coordinates rounded with one draw of the stream.
const CHUNK: usize = 4_096;

/// A bank's counts as a vector of `bits`-bit values.
///
/// # Errors
/// A count that does not fit: it is refused, since a clamped count would be a wrong one.
pub fn encode_counts(counts: &[u32], bits: u8) -> Result<Vec<u32>, VectorError> {
    encode_sized(counts, bits, |count| count)
}

/// The same of risk counts in so many buckets, which are in two's complement: labels that are taken
/// back may bring frauds below zero, by as much as others above.
///
/// # Errors
/// As [`encode_counts`], of either sign; any other count below zero.
pub fn encode_risk(counts: &[u32], buckets: u32, bits: u8) -> Result<Vec<u32>, VectorError> {
    let signed = counts.iter().map(|count| count.cast_signed());
    if let Some(index) = below_zero(signed, buckets) {
        return Err(VectorError::BelowZero { index });
    }
    encode_sized(counts, bits, |count| count.cast_signed().unsigned_abs())
}

/// The first risk count below zero that is none of frauds: payments and frauds take turns, and the
/// last counts, one for each bucket, say whether the bank is present.
fn below_zero(counts: impl ExactSizeIterator<Item = i32>, buckets: u32) -> Option<usize> {
    let presence = counts.len().saturating_sub(buckets as usize);
    let is_frauds = |at: usize| at < presence && at % 2 == 1;
    let mut counts = counts.enumerate();
    let found = counts.find(|&(at, count)| count < 0 && !is_frauds(at));
    found.map(|(at, _)| at)
}

fn encode_sized(counts: &[u32], bits: u8, size: fn(u32) -> u32) -> Result<Vec<u32>, VectorError> {
    let most = value_max(bits).unsigned_abs();
    if let Some(index) = counts.iter().position(|&count| size(count) > most) {
        return Err(VectorError::CountTooLarge {
            index,
            found: size(counts[index]),
            most,
        });
    }
    let mut words = header(0);
    words.extend_from_slice(counts);
    Ok(words)
}

/// The sum of `survivors` vectors, from the ring back to integers, headers included.
///
/// # Errors
/// [`SumError`]: masks that do not cancel, or a vector no honest bank makes.
pub fn decode_sum(
    words: &[u32],
    survivors: usize,
    bits: u8,
    kind: Kind,
    width: Width,
) -> Result<Vec<i32>, SumError> {
    let sum = integers(words, width);
    check_sum(&sum, survivors, bits, kind)?;
    Ok(sum)
}

/// What words on the ring say, in two's complement. What is above their width the masks left there:
/// it is no part of them.
#[must_use]
pub fn integers(words: &[u32], width: Width) -> Vec<i32> {
    let above = u32::BITS - u32::from(width.bits());
    let integer = |word: &u32| (word << above).cast_signed() >> above;
    words.iter().map(integer).collect()
}

/// Whether a sum can be that of `survivors` honest vectors: canaries, count, weight, range.
///
/// # Errors
/// [`SumError`], for the first word that cannot be.
pub fn check_sum(sum: &[i32], survivors: usize, bits: u8, kind: Kind) -> Result<(), SumError> {
    if sum.len() < HEADER_WORDS {
        return Err(SumError::Short { found: sum.len() });
    }
    if let Some(word) = sum[..CANARIES].iter().position(|&canary| canary != 0) {
        return Err(SumError::Canary { word });
    }
    let banks = i64::from(sum[COUNT]);
    if usize::try_from(banks) != Ok(survivors) {
        return Err(SumError::Count {
            found: sum[COUNT],
            expected: survivors,
        });
    }
    let most = i64::from(value_max(bits)) * banks;
    let (weight_most, least) = match kind {
        Kind::Pretrain | Kind::Finetune => (most, -most),
        Kind::Risk => (0, -most),
        Kind::Evaluate => (0, 0),
    };
    if !(0..=weight_most).contains(&i64::from(sum[WEIGHT])) {
        return Err(SumError::Weight {
            found: sum[WEIGHT],
            most: weight_most,
        });
    }
    let payload = &sum[HEADER_WORDS..];
    match payload
        .iter()
        .position(|&value| !(least..=most).contains(&i64::from(value)))
    {
        Some(index) => Err(SumError::Range {
            index,
            found: payload[index],
            least,
            most,
        }),
        None => Ok(()),
    }
}

/// Whether a sum that was checked can be one of risk counts in so many buckets: nothing but frauds
/// goes below zero.
///
/// # Errors
/// [`SumError::BelowZero`], for the first value that does.
pub fn check_risk(sum: &[i32], buckets: u32) -> Result<(), SumError> {
    let payload = payload(sum);
    match below_zero(payload.iter().copied(), buckets) {
        Some(index) => Err(SumError::BelowZero {
            index,
            found: payload[index],
        }),
        None => Ok(()),
    }
}

/// The payload of a sum that was checked.
#[must_use]
pub fn payload(sum: &[i32]) -> &[i32] {
    sum.get(HEADER_WORDS..).unwrap_or(&[])
}

/// The number of banks in a sum that was checked.
#[must_use]
pub fn banks(sum: &[i32]) -> u32 {
    sum.get(COUNT)
        .and_then(|&count| u32::try_from(count).ok())
        .unwrap_or(0)
}

/// The mean update of a sum that was checked: `Σx / Σw`, in the parameters' unit. All zero where
/// nobody had an example.
#[must_use]
pub fn mean_update(sum: &[i32], training: &Training) -> Vec<f32> {
    let weight = sum.get(WEIGHT).copied().unwrap_or(0);
    if weight <= 0 {
        return vec![0.0; payload(sum).len()];
    }
    // Steps of range / M over weights in M-ths: M cancels here too.
    let unit = f64::from(training.range) / f64::from(weight);
    payload(sum)
        .iter()
        .map(|&value| (f64::from(value) * unit) as f32)
        .collect()
}

fn header(weight: u32) -> Vec<u32> {
    vec![0, 0, 0, 0, 1, weight]
}

fn weight(examples: u64, cap: u64, most: i32) -> i32 {
    if examples == 0 {
        return 0;
    }
    let share = (examples as f64 / cap.max(1) as f64).min(1.0);
    ((share * f64::from(most)).round() as i32).max(1)
}

/// What brings the update's L2 norm down to `bound`: at most 1.
fn clip_factor(delta: &[f32], bound: f32) -> f64 {
    let squares = delta
        .iter()
        .map(|&value| f64::from(value) * f64::from(value))
        .sum::<f64>();
    let norm = squares.sqrt();
    if norm > f64::from(bound) {
        f64::from(bound) / norm
    } else {
        1.0
    }
}

/// The integer below or above, above with the probability of the fraction, to 2^-32.
fn round_by_chance(steps: f64, draw: u32, most: i32) -> i32 {
    let below = steps.floor();
    let is_up = f64::from(draw) < (steps - below) * TWO_TO_32;
    let rounded = below + if is_up { 1.0 } else { 0.0 };
    rounded.clamp(-f64::from(most), f64::from(most)) as i32
}

const TWO_TO_32: f64 = 4_294_967_296.0;

/// Why a bank's vector cannot be encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VectorError {
    /// The update is not of the plan's length.
    #[error("update of {found} values, expected {expected}")]
    Length {
        /// Values found.
        found: usize,
        /// Values that the plan has ([`terms::values`]).
        expected: usize,
    },
    /// Training went wrong.
    #[error("value {index} of the update is not finite")]
    NotFinite {
        /// The first such value.
        index: usize,
    },
    /// A count beyond the fixed point.
    #[error("count {index} is of size {found}, expected at most {most}")]
    CountTooLarge {
        /// Which count.
        index: usize,
        /// Its size, whatever its sign.
        found: u32,
        /// The largest that fits.
        most: u32,
    },
    /// A risk count that only frauds may be.
    #[error("count {index} is below zero, expected that of frauds alone")]
    BelowZero {
        /// The first such count.
        index: usize,
    },
}

impl VectorError {
    /// What others may know of it: no value and no place of a bank's own.
    #[must_use]
    pub fn told(&self) -> &'static str {
        match self {
            Self::Length { .. } => "an update that is not of the plan's length",
            Self::NotFinite { .. } => "an update that is not finite",
            Self::CountTooLarge { .. } => "a count above what the plan's words hold",
            Self::BelowZero { .. } => "a count below zero that is none of frauds",
        }
    }
}

/// Why a sum is nobody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SumError {
    /// No room for the headers.
    #[error("sum of {found} words, expected at least {HEADER_WORDS}")]
    Short {
        /// Words found.
        found: usize,
    },
    /// A mask is left on it.
    #[error("canary word {word} is not zero")]
    Canary {
        /// The first such word.
        word: usize,
    },
    /// Not one vector per survivor.
    #[error("sum counts {found} banks, expected {expected}")]
    Count {
        /// The count word.
        found: i32,
        /// Survivors.
        expected: usize,
    },
    /// A weight no honest sum has.
    #[error("weight {found}, expected 0 to {most}")]
    Weight {
        /// The weight word.
        found: i32,
        /// The largest honest one.
        most: i64,
    },
    /// Risk counts that only frauds may be.
    #[error("value {index} is {found}, expected none below zero but of frauds")]
    BelowZero {
        /// Its place in the payload.
        index: usize,
        /// The value.
        found: i32,
    },
    /// A value no honest sum has.
    #[error("value {index} is {found}, expected {least} to {most}")]
    Range {
        /// Its place in the payload.
        index: usize,
        /// The value.
        found: i32,
        /// The least honest one.
        least: i64,
        /// The largest honest one.
        most: i64,
    },
}
