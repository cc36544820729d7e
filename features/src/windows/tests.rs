//! Windows against a recomputation from the whole history.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::transaction::HOUR_MS;

fn lengths() -> Vec<Length> {
    let texts = ["1h", "1d", "7d", "30d"];
    texts.map(|text| Length::parse(text).unwrap()).to_vec()
}

const LONGEST_MS: i64 = 30 * DAY_MS;

/// Totals from a full history, by definition.
fn brute_force(history: &[(i64, u64, f64)], ts: i64, window: i64) -> Totals {
    let inside = history
        .iter()
        .filter(|(at, ..)| *at > ts - window && *at <= ts);
    let inside: Vec<_> = inside.collect();
    let outlets: BTreeSet<u64> = inside
        .iter()
        .map(|(_, outlet, _)| *outlet)
        .filter(|outlet| *outlet != NO_KEY)
        .collect();
    Totals {
        count: inside.len() as f64,
        sum: inside.iter().map(|(.., amount)| amount).sum(),
        max: inside
            .iter()
            .map(|(.., amount)| *amount)
            .fold(0.0, f64::max),
        distinct: outlets.len() as f64,
    }
}

/// Late by at most a week, as the trail promises; outlet 0 stands for none.
fn streams() -> impl Strategy<Value = Vec<(i64, u64, f64)>> {
    let event = (
        0..2 * HOUR_MS * 24,
        0..7 * DAY_MS,
        0_u8..4,
        0_u64..6,
        0_u32..100_000,
    );
    prop::collection::vec(event, 1..200).prop_map(|events| {
        let mut clock = 0;
        let enter = |(step, back, late, outlet, cents): (i64, i64, u8, u64, u32)| {
            clock += step;
            let ts = if late == 0 { clock - back } else { clock };
            (ts, outlet, f64::from(cents) / 4.0)
        };
        events.into_iter().map(enter).collect()
    })
}

proptest! {
    #[test]
    fn trail_equals_a_recomputation(stream in streams()) {
        let mut trail = Trail::default();
        for (entered, &(ts, outlet, amount)) in stream.iter().enumerate() {
            let windows = trail.totals(ts, &lengths());
            for (length, found) in lengths().into_iter().zip(windows) {
                // Quarters of a unit sum without rounding, so that equality is exact.
                prop_assert_eq!(found, brute_force(&stream[..entered], ts, length.ms));
            }
            trail.insert(ts, outlet, amount, LONGEST_MS);
        }
    }

    #[test]
    fn steps_equal_a_recomputation(stream in streams()) {
        let mut steps = Steps::new(DAY_MS, 48);
        for (entered, &(ts, outlet, amount)) in stream.iter().enumerate() {
            let now = ts.div_euclid(DAY_MS);
            let found = steps.totals(ts, 30);
            let inside = stream[..entered].iter().filter(|(at, ..)| {
                (now - 30..=now).contains(&at.div_euclid(DAY_MS))
            });
            let inside: Vec<_> = inside.collect();
            prop_assert_eq!(found.count, inside.len() as f64);
            prop_assert_eq!(found.sum, inside.iter().map(|(.., amount)| amount).sum::<f64>());
            steps.insert(ts, key_of(&outlet.to_string()), amount);
        }
    }
}

#[test]
fn a_full_trail_forgets_its_oldest_events() {
    let mut trail = Trail::default();
    for second in 0..1_000 {
        trail.insert(second * 1_000, 7, 1.0, LONGEST_MS);
    }
    let windows = trail.totals(1_000_000, &lengths());
    assert!(
        windows[..4]
            .iter()
            .all(|totals| totals.count == 256.0 && totals.distinct == 1.0)
    );
    // An event older than everything kept has no place in a full trail.
    trail.insert(-5, 7, 1.0, LONGEST_MS);
    assert_eq!(trail.events.len(), TRAIL_MAX);
}

#[test]
fn leaps_of_time_do_no_harm() {
    let mut trail = Trail::default();
    let mut steps = Steps::new(HOUR_MS, 4);
    for ts in [
        0,
        3_999_999_999_999,
        5,
        -4_000_000_000_000,
        3_600_000,
        7_200_000,
    ] {
        let _ = (
            trail.totals(ts, &lengths()),
            steps.totals(ts, 24),
            trail.latest(ts),
        );
        trail.insert(ts, 1, 1.0, LONGEST_MS);
        steps.insert(ts, 1, 1.0);
    }
    // The wild times did not push out the events around the present.
    assert_eq!(steps.totals(7_200_001, 24).count, 4.0);
    assert_eq!(trail.totals(7_200_001, &lengths())[1].count, 3.0);
}

#[test]
fn distinct_members_are_estimated() {
    for cards in [1_u32, 5, 20, 100, 250] {
        let mut steps = Steps::new(DAY_MS, 4);
        for card in 0..cards {
            for _ in 0..3 {
                steps.insert(0, key_of(&format!("card {card}")), 1.0);
            }
        }
        let found = steps.totals(0, 7).distinct;
        let error = (found / f64::from(cards) - 1.0).abs();
        assert!(error < 0.15, "{cards} cards, found {found}");
    }
}

#[test]
fn keys_spread() {
    let places: BTreeSet<u64> = (0..1_000).map(|i| key_of(&format!("t{i}")) >> 57).collect();
    assert_eq!(places.len(), 128);
    assert_ne!(key_of(""), NO_KEY);
}
