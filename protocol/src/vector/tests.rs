//! Fixed point: unbiased, bounded, and every planted fault in a sum found.

use proptest::prelude::*;

use super::*;
use crate::fixture;
use crate::plan::{Init, Layout, Part, TensorSpec, Width};

mod packed;

fn seed(number: u64) -> Seed {
    Seed::from_entropy([5; 32]).derive("vector", number)
}

/// Training of one tensor with this many values, in 20 bits.
fn training(values: u32) -> Training {
    let mut training = fixture::training();
    let head = TensorSpec {
        name: "head".into(),
        shape: vec![values],
        part: Part::Head,
        init: Init::Zeros,
    };
    training.model.layout = Layout(vec![head]);
    training.parts = vec![Part::Head];
    training.value_bits = 20;
    training.clip_norm = 1e9;
    training
}

fn total(vectors: &[Vec<u32>]) -> Vec<u32> {
    let mut sum = vec![0_u32; vectors[0].len()];
    for vector in vectors {
        add(&mut sum, &to_bytes(vector, Width::Full), Width::Full).unwrap();
    }
    sum
}

proptest! {
    /// Counts go in and come out: sum and encoding may be exchanged.
    #[test]
    fn sum_of_encoded_counts_is_the_encoded_sum(
        counts in prop::collection::vec(prop::collection::vec(0_u32..1 << 20, 40), 1..12),
    ) {
        let vectors = counts.iter().map(|counts| encode_counts(counts, 26).unwrap());
        let sum = total(&vectors.collect::<Vec<_>>());
        let decoded = decode_sum(&sum, counts.len(), 26, Kind::Risk, Width::Full).unwrap();
        let plain =
            (0..40).map(|k| counts.iter().map(|counts| counts[k].cast_signed()).sum::<i32>());
        prop_assert_eq!(payload(&decoded), plain.collect::<Vec<_>>());
        prop_assert_eq!(banks(&decoded) as usize, counts.len());
    }

    /// Frauds that are taken back, of two days in four buckets: below zero and above, in either
    /// width, up to the largest there is. A least of zero in `check_sum`, or a sum without its
    /// sign, fails here.
    #[test]
    fn sum_of_risk_counts_may_be_below_zero(
        mut counts in prop::collection::vec(prop::collection::vec(-2_047_i32..=2_047, 20), 1..12),
    ) {
        for (at, count) in counts.iter_mut().flat_map(|counts| counts.iter_mut().enumerate()) {
            if at >= 16 || at % 2 == 0 {
                *count = count.abs();
            }
        }
        for width in fixture::WIDTHS {
            let vectors = counts.iter().map(|counts| {
                let words = counts.iter().map(|count| count.cast_unsigned());
                encode_risk(&words.collect::<Vec<_>>(), 4, 12).unwrap()
            });
            let mut sum = vec![0_u32; 26];
            for vector in vectors {
                add(&mut sum, &to_bytes(&vector, width), width).unwrap();
            }
            let decoded = decode_sum(&sum, counts.len(), 12, Kind::Risk, width).unwrap();
            let plain = (0..20).map(|k| counts.iter().map(|counts| counts[k]).sum::<i32>());
            prop_assert_eq!(payload(&decoded), plain.collect::<Vec<_>>());
            prop_assert_eq!(check_risk(&decoded, 4), Ok(()));
        }
    }

    /// The mean of the decoded sum is the weighted mean, to a step per bank.
    #[test]
    fn mean_update_is_the_weighted_mean_to_a_step(
        updates in prop::collection::vec(prop::collection::vec(-0.4_f32..0.4, 20), 3..10),
        examples in prop::collection::vec(1_u64..2_000, 10),
    ) {
        let training = training(20);
        let vectors = updates.iter().zip(&examples).zip(0..).map(|((update, &examples), number)| {
            encode_update(update, examples, &training, 20, &seed(number)).unwrap()
        });
        let sum = total(&vectors.collect::<Vec<_>>());
        let sum = decode_sum(&sum, updates.len(), 20, Kind::Finetune, Width::Full).unwrap();
        let mean = mean_update(&sum, &training);
        let most = f64::from(value_max(20));
        let share = |&n: &u64| (n.min(1_000) as f64 / 1_000.0 * most).round() / most;
        let weights = examples.iter().map(share).take(updates.len()).collect::<Vec<_>>();
        let whole = weights.iter().sum::<f64>();
        let step = f64::from(training.range) / most * updates.len() as f64 / whole;
        for k in 0..20 {
            let terms = updates.iter().zip(&weights).map(|(u, w)| w * f64::from(u[k]));
            let exact = terms.sum::<f64>() / whole;
            let error = (f64::from(mean[k]) - exact).abs();
            prop_assert!(error <= step + 1e-7, "{} {}", mean[k], exact);
        }
    }
}

/// U6: the expectation of the rounded value is the value, over a million draws. Five standard
/// deviations of their mean; rounding to the nearest would miss by a quarter step.
#[test]
fn rounding_is_unbiased() {
    let training = training(1_000_000);
    let step = f64::from(training.range) / f64::from(value_max(20));
    for fraction in [0.25, 0.5, 0.75, 0.05] {
        for sign in [1.0, -1.0] {
            let value = (sign * (3.0 + fraction) * step) as f32;
            let update = vec![value; 1_000_000];
            let words = encode_update(&update, 1_000, &training, 20, &seed(1)).unwrap();
            let values = words[HEADER_WORDS..].iter().map(|word| word.cast_signed());
            let mean = values.map(f64::from).sum::<f64>() / 1e6;
            let bound = 5.0 * (fraction * (1.0 - fraction) / 1e6_f64).sqrt();
            let exact = f64::from(value) / step;
            assert!((mean - exact).abs() < bound + 1e-6, "{mean} for {exact}");
        }
    }
}

#[test]
fn values_are_rounded_to_a_neighbour_and_whole_steps_stay() {
    let training = training(4);
    let step = training.range / value_max(20) as f32;
    for number in 0..200 {
        let update = [0.0, 10.5 * step, -10.5 * step, training.range];
        let words = encode_update(&update, 1_000, &training, 20, &seed(number)).unwrap();
        let values = words[HEADER_WORDS..]
            .iter()
            .map(|word| word.cast_signed())
            .collect::<Vec<_>>();
        assert_eq!(values[0], 0);
        assert!(
            [10, 11].contains(&values[1]) && [-10, -11].contains(&values[2]),
            "{values:?}"
        );
        assert_eq!(values[3], value_max(20));
    }
}

#[test]
fn values_beyond_the_range_are_clamped() {
    let training = training(2);
    let words = encode_update(&[0.6, -7.0], 1_000, &training, 20, &seed(1)).unwrap();
    let most = value_max(20);
    assert_eq!(words[HEADER_WORDS].cast_signed(), most);
    assert_eq!(words[HEADER_WORDS + 1].cast_signed(), -most);
}

#[test]
fn updates_longer_than_the_bound_are_shortened() {
    let mut training = training(2);
    training.clip_norm = 0.1;
    let words = encode_update(&[0.3, -0.4], 1_000, &training, 20, &seed(1)).unwrap();
    let sum = decode_sum(&words, 1, 20, Kind::Finetune, Width::Full).unwrap();
    let mean = mean_update(&sum, &training);
    assert!(
        (mean[0] - 0.06).abs() < 2e-6 && (mean[1] + 0.08).abs() < 2e-6,
        "{mean:?}"
    );
}

/// A bank with five million records against one with a hundred: weights 1 and 2e-5, not equal
/// ones and not zero.
#[test]
fn banks_weigh_what_their_examples_weigh() {
    let mut training = training(1_000);
    training.examples_cap = 5_000_000;
    let large = encode_update(&[0.01; 1_000], 5_000_000, &training, 20, &seed(1)).unwrap();
    let small = encode_update(&[-0.4; 1_000], 100, &training, 20, &seed(2)).unwrap();
    assert_eq!((large[WEIGHT], small[WEIGHT]), (524_287, 10));
    let sum = decode_sum(&total(&[large, small]), 2, 20, Kind::Finetune, Width::Full).unwrap();
    let mean = mean_update(&sum, &training);
    let mean = mean.iter().map(|&value| f64::from(value)).sum::<f64>() / 1e3;
    let exact = (0.01 * 5e6 - 0.4 * 100.0) / 5_000_100.0;
    assert!((mean - exact).abs() < 1e-6, "{mean} for {exact}");
}

/// A bank with five million records against one with five thousand: a thousand to one, as exactly
/// as the bits can say it; with fewer the small one is rounded, never to nothing. At the cap and
/// above it a bank weighs 1: weight and vector are those of the cap.
#[test]
fn five_million_records_weigh_a_thousand_times_five_thousand() {
    let mut training = training(2);
    training.examples_cap = 5_000_000;
    // Python: max(1, round(5e3 / 5e6 * (2**(bits - 1) - 1))).
    for (bits, small) in [(20, 524), (16, 33), (15, 16), (12, 2), (8, 1)] {
        let vector = |examples| {
            let update = [0.1, -0.1];
            encode_update(&update, examples, &training, bits, &seed(1)).unwrap()
        };
        let weight = |examples| vector(examples)[WEIGHT].cast_signed();
        let most = value_max(bits);
        assert_eq!((weight(5_000_000), weight(5_000)), (most, small));
        let is_nearest = (small * 1_000 - most).abs() <= 500;
        assert!(is_nearest || small == 1, "{small} of {most}");
        for above in [5_000_001, 50_000_000, u64::MAX] {
            assert_eq!(vector(above), vector(5_000_000));
        }
        assert_eq!(weight(2_500_000), most.div_euclid(2) + 1);
    }
}

#[test]
fn fewest_examples_still_weigh_and_none_weigh_nothing() {
    let training = training(1);
    assert_eq!(
        encode_update(&[0.1], 1, &training, 8, &seed(1)).unwrap()[WEIGHT],
        1
    );
    let words = encode_update(&[0.1], 0, &training, 8, &seed(1)).unwrap();
    assert_eq!(words, [0, 0, 0, 0, 1, 0, 0]);
    let sum = decode_sum(&words, 1, 8, Kind::Pretrain, Width::Full).unwrap();
    assert_eq!(mean_update(&sum, &training), [0.0]);
}

/// A14: what is not a number never becomes one.
#[test]
fn update_that_is_not_finite_is_refused() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let found = encode_update(&[0.1, bad], 10, &training(2), 20, &seed(1));
        assert_eq!(found, Err(VectorError::NotFinite { index: 1 }));
    }
}

#[test]
fn update_of_other_parts_is_refused() {
    let found = encode_update(&[0.1], 10, &training(2), 20, &seed(1));
    assert_eq!(
        found,
        Err(VectorError::Length {
            found: 1,
            expected: 2
        })
    );
}

#[test]
fn count_that_does_not_fit_is_refused_not_clamped() {
    let most = 127;
    assert!(encode_counts(&[most], 8).is_ok());
    let found = encode_counts(&[0, most + 1], 8);
    assert_eq!(
        found,
        Err(VectorError::CountTooLarge {
            index: 1,
            found: 128,
            most
        })
    );
}

/// Frauds, of a day in one bucket, are bounded on both sides alike; below zero nothing else is a
/// count.
#[test]
fn count_below_zero_is_bounded_as_one_above() {
    let below = |count: i32| [0, count.cast_unsigned(), 0];
    assert!(encode_risk(&below(-127), 1, 8).is_ok());
    for count in [-128, 128, i32::MIN, i32::MAX] {
        let found = count.unsigned_abs();
        let expected = VectorError::CountTooLarge {
            index: 1,
            found,
            most: 127,
        };
        assert_eq!(encode_risk(&below(count), 1, 8), Err(expected));
    }
    assert!(encode_counts(&below(-1), 26).is_err());
}

/// Of one day in two buckets: payments and frauds in turn, then whether a bank is there.
#[test]
fn nothing_but_frauds_goes_below_zero() {
    for index in 0..6 {
        let mut counts = [0_u32; 6];
        counts[index] = u32::MAX;
        let encoded = encode_risk(&counts, 2, 26);
        let sum = [header(0), counts.to_vec()].concat();
        let sum = decode_sum(&sum, 1, 26, Kind::Risk, Width::Full).unwrap();
        if [1, 3].contains(&index) {
            assert!(encoded.is_ok() && check_risk(&sum, 2).is_ok());
        } else {
            assert_eq!(encoded, Err(VectorError::BelowZero { index }));
            let expected = SumError::BelowZero { index, found: -1 };
            assert_eq!(check_risk(&sum, 2), Err(expected));
        }
    }
}

/// Each check of a sum, and the fault that it is for.
#[test]
fn faults_in_a_sum_are_found_by_name() {
    let honest = total(&[
        encode_counts(&[3, 4], 26).unwrap(),
        encode_counts(&[1, 0], 26).unwrap(),
    ]);
    assert!(decode_sum(&honest, 2, 26, Kind::Evaluate, Width::Full).is_ok());
    let fault = |word: usize, value: u32, kind| {
        let mut words = honest.clone();
        words[word] = value;
        decode_sum(&words, 2, 26, kind, Width::Full).unwrap_err()
    };
    let most = i64::from(value_max(26)) * 2;
    let beyond = i32::try_from(most).unwrap() + 1;
    assert_eq!(fault(3, 1, Kind::Risk), SumError::Canary { word: 3 });
    assert_eq!(
        fault(4, 3, Kind::Risk),
        SumError::Count {
            found: 3,
            expected: 2
        }
    );
    assert_eq!(
        fault(4, u32::MAX, Kind::Risk),
        SumError::Count {
            found: -1,
            expected: 2
        }
    );
    assert_eq!(
        fault(5, 1, Kind::Risk),
        SumError::Weight { found: 1, most: 0 }
    );
    let weight = SumError::Weight {
        found: beyond,
        most,
    };
    assert_eq!(fault(5, beyond.cast_unsigned(), Kind::Finetune), weight);
    let range = |found: i32, least: i64| SumError::Range {
        index: 1,
        found,
        least,
        most,
    };
    for beyond in [beyond, -beyond] {
        let found = fault(7, beyond.cast_unsigned(), Kind::Risk);
        assert_eq!(found, range(beyond, -most));
    }
    assert_eq!(fault(7, u32::MAX, Kind::Evaluate), range(-1, 0));
    assert_eq!(
        decode_sum(&[0; 5], 0, 26, Kind::Risk, Width::Full),
        Err(SumError::Short { found: 5 })
    );
}

/// A15, A16, A17, what is not protected: the cap and the bound are kept by the bank itself. A bank
/// that keeps neither is held only to what the sum of all may be: it takes the room that the
/// others leave.
#[test]
fn bank_that_keeps_no_bound_takes_the_room_that_others_leave() {
    let most = value_max(16);
    let small = |value: i32| [header(100), vec![value.cast_unsigned()]].concat();
    let honest = [small(1), small(-2), small(3), small(0)];
    let liar = |weight: i32, value: i32| {
        let weight = header(weight.cast_unsigned());
        let vector = [weight, vec![value.cast_unsigned()]].concat();
        let sum = total(&[&honest[..], &[vector]].concat());
        decode_sum(&sum, 5, 16, Kind::Finetune, Width::Full)
    };
    assert!(liar(5 * most - 400, 5 * most - 2).is_ok());
    let weight = liar(5 * most - 399, 0).unwrap_err();
    assert!(matches!(weight, SumError::Weight { .. }));
    let value = liar(most, 5 * most - 1).unwrap_err();
    assert!(matches!(value, SumError::Range { .. }));
}

/// A vector that was masked and not opened looks like chance: three in four words are beyond the
/// quarter of the ring that honest sums use, and all four canaries would have to be zero.
#[test]
fn residue_of_a_mask_is_noticed() {
    let mut words = total(&vec![encode_counts(&[1; 64], 26).unwrap(); 10]);
    crypto::mask::apply(
        &crypto::Key::from_bytes([1; 32]),
        crypto::mask::Sign::Plus,
        &mut words,
    );
    assert!(decode_sum(&words, 10, 26, Kind::Risk, Width::Full).is_err());
    words[..5].copy_from_slice(&[0, 0, 0, 0, 10]);
    words[5] = 0;
    let found = decode_sum(&words, 10, 26, Kind::Risk, Width::Full);
    assert!(matches!(found, Err(SumError::Range { .. })));
}

#[test]
fn vector_of_another_size_changes_nothing() {
    let mut sum = vec![1, 2];
    let found = add(&mut sum, &crate::message::Bulk(vec![0; 9]), Width::Full).unwrap_err();
    assert_eq!(
        (found, sum),
        (
            LengthError {
                found: 9,
                expected: 8
            },
            vec![1, 2]
        )
    );
}
