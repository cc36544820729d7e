//! Moments from summed totals against those of the values themselves.

use proptest::prelude::*;

use super::*;
use crate::fixture;
use crate::limits::MEMBERS_MAX;

fn tally(values: &[f32]) -> Tally {
    let mut tally = Tally::default();
    values.iter().for_each(|value| tally.add(*value));
    tally
}

/// The sum of what banks contribute, of one column each.
fn summed(banks: &[Vec<f32>]) -> Vec<i32> {
    let mut sum = vec![0_i32; COLUMN_WORDS as usize];
    for bank in banks {
        let words = counts(&[tally(bank)]);
        for (total, word) in sum.iter_mut().zip(words) {
            *total += i32::try_from(word).unwrap();
        }
    }
    sum
}

proptest! {
    #![proptest_config(fixture::cases(64))]

    #[test]
    fn moments_of_the_sum_are_those_of_all_values(
        banks in prop::collection::vec(prop::collection::vec(-60_f32..60.0, 100..140), 1..12),
    ) {
        let all: Vec<f64> = banks.iter().flatten().map(|value| f64::from(*value)).collect();
        let found = moments(&summed(&banks))[0];
        let found = found.unwrap();
        let count = all.len() as f64;
        let mean = all.iter().sum::<f64>() / count;
        let variance = all.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
        prop_assert_eq!(found.count, all.len() as u64);
        prop_assert!((found.mean - mean).abs() < 1e-5, "{} {mean}", found.mean);
        prop_assert!((found.deviation.powi(2) - variance).abs() < 1e-3);
    }
}

#[test]
fn missing_values_are_not_there_and_far_ones_are_brought_near() {
    let sum = summed(&[[1.0, f32::NAN, 3.0].repeat(100)]);
    let moment = moments(&sum)[0].unwrap();
    assert_eq!(
        (moment.count, moment.mean, moment.deviation),
        (200, 2.0, 1.0)
    );
    let sum = summed(&[[f32::INFINITY, 1e30].repeat(50)]);
    let moment = moments(&sum)[0].unwrap();
    assert_eq!((moment.mean, moment.deviation), (64.0, 0.0));
    assert_eq!(moments(&summed(&[vec![f32::NAN; 200]])), [None]);
}

#[test]
fn a_bank_with_few_values_counts_none() {
    assert_eq!(moments(&summed(&[vec![1.0; 99], vec![3.0; 50]])), [None]);
    let moment = moments(&summed(&[vec![1.0; 99], vec![3.0; 100]]))[0].unwrap();
    assert_eq!((moment.count, moment.mean), (100, 3.0));
}

/// Five million values a bank, a thousand banks: every total has its room.
#[test]
fn a_thousand_large_banks_fit() {
    let tally = Tally {
        count: 5_000_000,
        sum: 5_000_000 << 27,
        squares: 5_000_000 << 28,
    };
    let banks = i32::try_from(MEMBERS_MAX).unwrap();
    let sum: Vec<i32> = counts(&[tally])
        .into_iter()
        .map(|word| i32::try_from(word).unwrap().checked_mul(banks).unwrap())
        .collect();
    let moment = moments(&sum)[0].unwrap();
    assert_eq!(moment.count, 5_000_000_000);
    assert_eq!((moment.mean, moment.deviation), (64.0, 0.0));
}

#[test]
fn totals_that_contradict_each_other_are_no_moments() {
    let mut sum = summed(&[vec![5.0; 100]]);
    let squares = COUNT_LIMBS + SUM_LIMBS;
    sum[squares..].fill(0);
    assert_eq!(moments(&sum), [None]);
}
