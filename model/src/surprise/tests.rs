//! What is usual against exact figures, through seasons, late payments and thin days.

use super::*;
use crate::chance::Chance;

/// Quantiles of an exponential distribution of deviation 1 from `level` on, in a mixed order: a
/// skewed one, since energies have a long tail where payments surprise.
fn skewed(level: f64, count: u32) -> Vec<f32> {
    let quantile = |at: u32| {
        let place = f64::from(at * 79 % count) + 0.5;
        (level - (1.0 - place / f64::from(count)).ln()) as f32
    };
    (0..count).map(quantile).collect()
}

/// Median and standard deviation of an odd number of values, by sorting and in two passes.
fn exact(values: &[f32]) -> (f64, f64) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f32::total_cmp);
    let median = f64::from(sorted[sorted.len() / 2]);
    let count = values.len() as f64;
    let mean = values.iter().map(|value| f64::from(*value)).sum::<f64>() / count;
    let square = |value: &f32| (f64::from(*value) - mean).powi(2);
    let deviation = (values.iter().map(square).sum::<f64>() / count).sqrt();
    (median, deviation)
}

fn one(usual: &Usual, day: i32, energy: f32) -> f32 {
    usual.surprises(day, &[energy])[0].unwrap()
}

fn mean(values: &[f32]) -> f32 {
    values.iter().sum::<f32>() / values.len() as f32
}

// Within 1 % of a deviation, wherever the energies lie; what came earlier than a week, or today,
// must not count.
#[test]
fn surprise_is_the_distance_from_the_exact_median_in_exact_deviations() {
    for level in [-30.0, -5.0, -0.5, 0.0, 5.0, 30.0] {
        let energies = skewed(level, 4_001);
        let mut usual = Usual::new(1);
        for (at, energy) in (0..).zip(&energies) {
            usual.remember(100 + at % 7, 1, &[*energy]);
            usual.remember(99, 1, &[-1_000.0]);
            usual.remember(107, 1, &[1_000.0]);
        }
        let (median, deviation) = exact(&energies);
        for energy in [level as f32, level as f32 - 4.0, level as f32 + 8.0] {
            let expected = (median - f64::from(energy)) / deviation;
            let off = f64::from(one(&usual, 107, energy)) - expected;
            assert!(off.abs() < 0.01, "level {level}, energy {energy}: {off}");
        }
    }
}

// The energies of all genuine payments rise by 1.5 deviations and stay there, as they did in one
// January (learning.md §3d). After a week they must be as unsurprising as before. What is usual,
// left as it was before the turn, is the planted fault: by it every payment looks harmless.
#[test]
fn a_season_that_stays_is_usual_after_a_week() {
    let mut chance = Chance::new(5, 0);
    let mut usual = Usual::new(1);
    let mut frozen = usual.clone();
    let (mut before, mut after, mut by_frozen) = (Vec::new(), Vec::new(), Vec::new());
    for day in 0..42 {
        usual.prepare(day);
        if day == 14 {
            frozen = usual.clone();
        }
        let level = if day < 14 { 3.0 } else { 4.5 };
        for _ in 0..400 {
            let energy = level + chance.normal();
            match day {
                7..14 => before.push(one(&usual, day, energy)),
                21.. => {
                    after.push(one(&usual, day, energy));
                    by_frozen.push(one(&frozen, 14, energy));
                }
                _ => {}
            }
            usual.remember(day, 1, &[energy]);
        }
    }
    assert!(mean(&before).abs() < 0.1, "{}", mean(&before));
    assert!(mean(&after).abs() < 0.1, "{}", mean(&after));
    assert!(mean(&by_frozen) < -1.3, "{}", mean(&by_frozen));
}

#[test]
fn nothing_surprises_before_a_hundred_payments_are_known() {
    let mut usual = Usual::new(2);
    for at in 0..99_u8 {
        usual.remember(5, 1, &[f32::from(at), f32::from(at)]);
    }
    usual.remember(5, 1, &[f32::NAN, 50.0]);
    usual.remember(6, 1_000, &[0.0, 0.0]);
    let found = usual.surprises(6, &[0.0, 0.0]);
    assert!(found[0].is_none() && found[1].is_some(), "{found:?}");
    usual.remember(4, 1, &[f32::INFINITY, f32::NEG_INFINITY]);
    assert_eq!(usual.surprises(6, &[0.0, 0.0]), found);
    usual.remember(4, 1, &[10.0, 10.0]);
    let found = usual.surprises(6, &[0.0, f32::NAN]);
    assert!(found[0].is_some() && found[1].is_none(), "{found:?}");
    assert_eq!(usual.surprises(100, &[0.0, 0.0]), [None, None]);
}

// A network that has collapsed gives every payment one energy, which must surprise nobody.
#[test]
fn energies_that_do_not_vary_do_not_surprise() {
    for level in [0.0, 0.2, -3.0, 5_000.0, 1e9] {
        let mut usual = Usual::new(1);
        (0..300).for_each(|_| usual.remember(0, 1, &[level]));
        assert!(one(&usual, 1, level).abs() < 1e-3);
    }
    let mut usual = Usual::new(1);
    usual.remember(0, 300, &[5.0]);
    // A hundredth below is ten times the smallest deviation.
    assert!((one(&usual, 1, 4.99) - 10.0).abs() < 0.01);
}

#[test]
fn what_was_prepared_is_renewed_by_a_late_payment() {
    let mut usual = Usual::new(1);
    for energy in skewed(2.0, 501) {
        usual.remember(10, 1, &[energy]);
    }
    let computed = one(&usual, 12, 0.0);
    usual.prepare(12);
    assert_eq!(one(&usual, 12, 0.0), computed);
    usual.remember(12, 1_000, &[-50.0]);
    assert_eq!(one(&usual, 12, 0.0), computed);
    usual.remember(11, 1_000, &[9.0]);
    assert!(one(&usual, 12, 0.0) > computed);
}

#[test]
fn a_payment_may_stand_for_many() {
    let (mut thrice, mut at_once) = (Usual::new(1), Usual::new(1));
    for energy in skewed(-1.0, 301) {
        (0..3).for_each(|_| thrice.remember(1, 1, &[energy]));
        at_once.remember(1, 3, &[energy]);
    }
    for energy in [-4.0, 0.0, 3.0] {
        let off = one(&thrice, 2, energy) - one(&at_once, 2, energy);
        assert!(off.abs() < 1e-4, "{off}");
    }
}
