//! Mean and spread of every column over all banks, from one sum: no value leaves a bank, only how
//! many there were, their sum and that of their squares. What a consortium takes as the centres and
//! scales of its schema.
//!
//! A ring word holds 30 bits of a sum at most, so each of the three totals travels in limbs of 16
//! bits, lowest first: a thousand banks' limbs stay below 2^26. Values are the columns' own,
//! centred and scaled by the schema as it stands, in fixed point, within [`VALUE_MAX`].

use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// Values beyond this count as this: 64 of the schema's present scales.
pub const VALUE_MAX: f32 = 64.0;

/// Words of one column: three limbs of the count, four of the sum, four of the squares' sum.
pub const COLUMN_WORDS: u32 = (COUNT_LIMBS + 2 * SUM_LIMBS) as u32;

/// Bits of a limb: what each bank's words must have room for.
pub const LIMB_BITS: u8 = 16;

/// One bank's totals of one column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    count: u64,
    /// Of values above -[`VALUE_MAX`], in 2^-20: no total is negative.
    sum: u64,
    /// In 2^-16.
    squares: u64,
}

/// What the totals of all banks say of one column.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    /// Values that were there.
    pub count: u64,
    /// Their mean, in the schema's present units.
    pub mean: f64,
    /// Their standard deviation, of the population.
    pub deviation: f64,
}

impl Tally {
    /// Adds a value; one that is not a number is missing.
    pub fn add(&mut self, value: f32) {
        if value.is_nan() {
            return;
        }
        let value = f64::from(value.clamp(-VALUE_MAX, VALUE_MAX));
        let above = (value + f64::from(VALUE_MAX)) * SUM_UNIT;
        // 2^36 values of 2^28 at most would fill a total: no bank has them.
        self.count = self.count.saturating_add(1);
        self.sum = self.sum.saturating_add(above.round() as u64);
        let square = (value * value * SQUARE_UNIT).round() as u64;
        self.squares = self.squares.saturating_add(square);
    }
}

/// Values below which a bank counts none of a column: two of them could be told from their mean and
/// deviation, where no other bank has any.
pub const VALUES_MIN: u64 = 100;

/// The payload that a bank contributes from its totals, column by column.
#[must_use]
pub fn counts(tallies: &[Tally]) -> Vec<u32> {
    let limbs = |total: u64, count: usize| {
        (0..count).map(move |at| (total >> (at * usize::from(LIMB_BITS))) as u32 & LIMB_MASK)
    };
    let words = tallies.iter().flat_map(|tally| {
        let tally = match tally.count {
            0..VALUES_MIN => Tally::default(),
            VALUES_MIN.. => *tally,
        };
        let sums = limbs(tally.sum, SUM_LIMBS).chain(limbs(tally.squares, SUM_LIMBS));
        limbs(tally.count, COUNT_LIMBS).chain(sums)
    });
    words.collect()
}

/// What a summed payload says, column by column; none of a column without values, and none where
/// totals contradict each other, which no honest banks' do.
#[must_use]
pub fn moments(payload: &[i32]) -> Vec<Option<Moment>> {
    payload
        .chunks_exact(COLUMN_WORDS as usize)
        .map(moment)
        .collect()
}

fn moment(words: &[i32]) -> Option<Moment> {
    let total = |limbs: &[i32]| {
        let place = |at: usize| 2_f64.powi(i32::from(LIMB_BITS) * at as i32);
        let limbs = limbs.iter().enumerate();
        limbs
            .map(|(at, limb)| f64::from(*limb) * place(at))
            .sum::<f64>()
    };
    let (count, sums) = words.split_at(COUNT_LIMBS);
    let (sum, squares) = sums.split_at(SUM_LIMBS);
    let count = total(count);
    if count < 1.0 {
        return None;
    }
    let mean = total(sum) / SUM_UNIT / count - f64::from(VALUE_MAX);
    let square = total(squares) / SQUARE_UNIT / count;
    let variance = square - mean * mean;
    // Rounding alone may take a constant's variance a hair below 0.
    (variance > -SLACK && mean.abs() <= f64::from(VALUE_MAX)).then(|| Moment {
        count: count as u64,
        mean,
        deviation: variance.max(0.0).sqrt(),
    })
}

const COUNT_LIMBS: usize = 3;
const SUM_LIMBS: usize = 4;
const LIMB_MASK: u32 = (1 << LIMB_BITS) - 1;
const SUM_UNIT: f64 = (1 << 20) as f64;
const SQUARE_UNIT: f64 = (1 << 16) as f64;
/// More than rounding moves a square, or a mean times the largest mean.
const SLACK: f64 = 1e-3;
