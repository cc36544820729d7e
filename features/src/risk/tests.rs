//! Sums over banks against direct counting, suppression, the delay, and damaged input.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn key(byte: u8) -> RiskKey {
    RiskKey::new([byte; 32])
}

fn terms(from_day: i32, days: u16, banks_min: u16) -> RiskTerms {
    RiskTerms {
        buckets: 64,
        key: key(7),
        from_day,
        days,
        label_delay_days: 7,
        banks_min,
    }
}

fn payment(outlet: u8, day: i32) -> Transaction {
    let raw = serde_json::from_value(json!({
        "txn_id": "t", "ts": i64::from(day) * DAY_MS + 5, "rail": "card", "amount_minor": 100,
        "currency": "EUR", "account_tok": "a", "terminal_tok": format!("outlet{outlet}"),
    }));
    Transaction::try_from(crate::RawTransaction::clone(&raw.unwrap())).unwrap()
}

fn known(known_at: i64) -> [KnownFraud; 1] {
    [KnownFraud::since(known_at)]
}

/// A payment that was said to be a fraud at the first time, none at the second, and so on.
fn story(times: &[i64]) -> Vec<KnownFraud> {
    let stretch = |pair: &[i64]| KnownFraud {
        known_at: pair[0],
        withdrawn_at: pair.get(1).copied(),
    };
    times.chunks(2).map(stretch).collect()
}

fn sum(banks: Vec<RiskCounts>) -> Vec<i64> {
    let vectors: Vec<_> = banks.into_iter().map(RiskCounts::into_words).collect();
    let word = |words: &Vec<u32>, at: usize| i64::from(words[at].cast_signed());
    let add = |at: usize| vectors.iter().map(|words| word(words, at)).sum();
    (0..vectors[0].len()).map(add).collect()
}

// Python: d = hmac.new(bytes([k]) * 32, outlet, 'sha256').digest(), and for each row
// row * (n // 4) + int.from_bytes(d[8 * row:8 * row + 8], 'little') % (n // 4).
#[test]
fn buckets_are_those_of_an_independent_hmac() {
    for (key, outlet, buckets, expected) in [
        (key(7), "outlet1", 64, [9, 17, 47, 52]),
        (key(7), "outlet2", 64, [3, 24, 46, 50]),
        (key(8), "outlet1", 64, [6, 27, 43, 62]),
        (key(7), "outlet1", 16_384, [2_809, 6_529, 8_799, 16_276]),
        (key(7), "", 1, [0; 4]),
    ] {
        assert_eq!(key.buckets(buckets, outlet), expected, "{outlet}");
    }
    assert_eq!(format!("{:?}", key(7)), "RiskKey");
}

proptest! {
    #[test]
    fn summed_counts_equal_direct_counting(
        events in prop::collection::vec(
            (0_usize..4, 0_u8..40, 18_000_i32..18_040, prop::option::of((0_i64..30, 1_i64..30))),
            0..300),
        banks_min in 1_u16..4,
        last_day in 17_990_i32..18_050,
        days in 1_u16..40,
    ) {
        let mut table = RiskTable::new(64, key(7));
        let mut direct: BTreeMap<(u32, i32), (u64, i64)> = BTreeMap::new();
        let mut present: BTreeSet<(i32, u32, usize)> = BTreeSet::new();
        // Four ranges of ten days each.
        for from_day in (18_000..18_040).step_by(10) {
            let terms = terms(from_day, 10, banks_min);
            let mut banks = vec![RiskCounts::new(terms.clone()); 4];
            for &(bank, outlet, day, known) in &events {
                let transaction = payment(outlet, day);
                let (reported, withdrawn) = known.unwrap_or((99, 1));
                let after = |days: i64| transaction.ts + days * DAY_MS;
                let times = [after(reported), after(reported + withdrawn)];
                let times = if known.is_some() { &times[..] } else { &[] };
                banks[bank].add(&transaction, &story(times));
                // A day's as-of is the start of the eighth day after it, a report is a bit later.
                let counted = |days: i64| day + i32::try_from((days - 7).max(0)).unwrap();
                let (told, taken) = (counted(reported), counted(reported + withdrawn));
                for bucket in terms.buckets_of(&format!("outlet{outlet}")) {
                    if (from_day - 20..from_day + 10).contains(&day) {
                        present.insert((from_day, bucket, bank));
                    }
                    for (at, change) in [(day, None), (told, Some(1)), (taken, Some(-1))] {
                        let is_near = at < day + 30 && known.is_some_and(|_| told != taken);
                        if !(from_day..from_day + 10).contains(&at) {
                            continue;
                        }
                        let cell = direct.entry((bucket, at)).or_default();
                        match change {
                            None => cell.0 += 1,
                            Some(change) => cell.1 += change * i64::from(is_near),
                        }
                    }
                }
            }
            table.absorb(&terms, &sum(banks)).unwrap();
        }
        for outlet in 0..40 {
            let name = format!("outlet{outlet}");
            let buckets = terms(0, 1, 1).buckets_of(&name);
            let first = last_day - i32::from(days) + 1;
            let mut expected = None;
            for day in (first..=last_day).filter(|day| (18_000..18_040).contains(day)) {
                let cell = expected.get_or_insert((0_u64, 0_i64));
                let range = day - (day - 18_000).rem_euclid(10);
                let of_bucket = |bucket: u32| {
                    let banks = (0..4).filter(|bank| present.contains(&(range, bucket, *bank)));
                    let is_released = banks.count() >= usize::from(banks_min);
                    let counted = direct.get(&(bucket, day)).filter(|_| is_released);
                    counted.copied().unwrap_or_default()
                };
                let found = buckets.map(of_bucket);
                cell.0 += found.iter().map(|cell| cell.0).min().unwrap();
                let sign = found[0].1.signum();
                let is_one_sign = found.iter().all(|cell| cell.1.signum() == sign);
                let nearest = found.iter().map(|cell| cell.1).min_by_key(|change| change.abs());
                cell.1 += nearest.filter(|_| is_one_sign).unwrap_or(0);
            }
            let rate = |(all, frauds): (u64, i64)| (all, frauds.max(0).unsigned_abs().min(all));
            prop_assert_eq!(table.window(&name, last_day, days), expected.map(rate));
        }
    }
}

// 1,000 outlets in 8,000 buckets: a row of 2,000 gives four outlets in ten company, all four rows
// at once one in forty ((1 - exp(-1/2))^4 = .024).
#[test]
fn hardly_an_outlet_reads_as_more_than_it_is() {
    let name = |outlet: u32| format!("outlet{outlet}");
    let terms = RiskTerms {
        buckets: 8_000,
        ..terms(18_000, 1, 1)
    };
    let mut sum = vec![0_i64; 3 * 8_000];
    for outlet in 0..1_000 {
        for bucket in terms.buckets_of(&name(outlet)) {
            sum[2 * bucket as usize] += 1;
            sum[2 * 8_000 + bucket as usize] = 1;
        }
    }
    let mut table = RiskTable::new(8_000, key(7));
    table.absorb(&terms, &sum).unwrap();
    let read = |outlet| table.window(&name(outlet), 18_000, 1).unwrap().0;
    let more = (0..1_000).filter(|&outlet| read(outlet) > 1).count();
    assert!((0..1_000).all(|outlet| read(outlet) >= 1));
    assert!((10..45).contains(&more), "{more}");
}

#[test]
fn buckets_of_too_few_banks_are_not_released() {
    let terms = terms(18_000, 2, 2);
    let mut alone = RiskCounts::new(terms.clone());
    alone.add(&payment(1, 18_000), &known(0));
    alone.add(&payment(2, 18_000), &known(0));
    let mut other = RiskCounts::new(terms.clone());
    other.add(&payment(2, 18_001), &[]);
    let mut table = RiskTable::new(64, key(7));
    table.absorb(&terms, &sum(vec![alone, other])).unwrap();
    let (one, two) = (terms.buckets_of("outlet1"), terms.buckets_of("outlet2"));
    assert!(one.iter().all(|bucket| !two.contains(bucket)));
    assert_eq!(table.window("outlet1", 18_001, 2), Some((0, 0)));
    assert_eq!(table.window("outlet2", 18_001, 2), Some((2, 1)));
    assert_eq!(table.window("outlet2", 18_010, 2), None);
    assert_eq!(table.newest_day(), Some(18_001));
}

#[test]
fn a_bank_that_is_usual_at_an_outlet_counts_as_present_on_a_quiet_day() {
    let day = terms(18_000, 1, 2);
    let mut busy = RiskCounts::new(day.clone());
    busy.add(&payment(1, 18_000), &known(0));
    let count = |last_seen: i32| {
        let mut quiet = RiskCounts::new(day.clone());
        quiet.add(&payment(1, last_seen), &[]);
        let mut table = RiskTable::new(64, key(7));
        table.absorb(&day, &sum(vec![busy.clone(), quiet])).unwrap();
        table.window("outlet1", 18_000, 1)
    };
    assert_eq!(count(17_971), Some((1, 1)));
    assert_eq!(count(17_970), Some((0, 0)));
    assert_eq!(count(18_001), Some((0, 0)));
}

#[test]
fn a_day_is_held_back_from_readers_before_its_labels_were_due() {
    let terms = terms(18_000, 5, 1);
    let mut bank = RiskCounts::new(terms.clone());
    bank.add(&payment(1, 18_000), &known(0));
    bank.add(&payment(1, 18_003), &known(0));
    let mut table = RiskTable::new(64, key(7));
    table.absorb(&terms, &sum(vec![bank])).unwrap();
    assert_eq!(
        (terms.as_of_day(18_000), terms.as_of_day(18_003)),
        (18_008, 18_011)
    );
    assert_eq!(table.read("outlet1", 18_003, 18_007), None);
    let read = |today| table.read("outlet1", 18_003, today).unwrap();
    let (reading, newest_day) = read(18_010);
    assert_eq!((reading.windows[1], newest_day), ((1.0, 1.0), 18_002));
    let (reading, newest_day) = read(18_011);
    assert_eq!((reading.windows[1], newest_day), ((2.0, 2.0), 18_003));
    assert_eq!(reading.windows[0], (1.0, 1.0));
}

// Three frauds known in time, two that are a day late; the third's day is beyond the range.
#[test]
fn a_range_counts_what_as_many_single_days_would() {
    let late = |day: i32| known(i64::from(day + 9) * DAY_MS);
    let whole = terms(18_000, 3, 1);
    let mut range = RiskTable::new(64, key(7));
    let mut single = range.clone();
    let count = |terms: RiskTerms, table: &mut RiskTable| {
        let mut bank = RiskCounts::new(terms.clone());
        for day in 18_000..18_003 {
            bank.add(&payment(1, day), &known(0));
            bank.add(&payment(1, day), &late(day));
        }
        table.absorb(&terms, &sum(vec![bank])).unwrap();
    };
    count(whole, &mut range);
    for day in 18_000..18_003 {
        count(terms(day, 1, 1), &mut single);
    }
    assert_eq!(range, single);
    assert_eq!(range.window("outlet1", 18_002, 3), Some((6, 5)));
}

// Day 18,000 is counted as of the start of day 18,008. Planted fault: counting by `known_at` alone
// makes the first two rows count.
#[test]
fn a_fraud_withdrawn_by_its_days_as_of_is_not_counted() {
    let as_of = 18_008 * DAY_MS;
    for (known_at, withdrawn_at, expected) in [
        (as_of - 2, Some(as_of - 1), 0),
        (as_of - 2, Some(as_of), 0),
        (as_of - 2, Some(as_of + 1), 1),
        (as_of - 2, None, 1),
        (as_of + 1, Some(as_of + 2), 0),
    ] {
        let mut bank = RiskCounts::new(terms(18_000, 1, 1));
        let fraud = KnownFraud {
            known_at,
            withdrawn_at,
        };
        bank.add(&payment(1, 18_000), &[fraud]);
        let mut table = RiskTable::new(64, key(7));
        table
            .absorb(&terms(18_000, 1, 1), &sum(vec![bank]))
            .unwrap();
        assert_eq!(table.window("outlet1", 18_000, 1), Some((1, expected)));
    }
}

/// Frauds of one bank in one bucket of `outlet1`, day by day: `[day]`.
fn frauds(terms: &RiskTerms, payments: &[(i32, Vec<i64>)]) -> Vec<i64> {
    let mut bank = RiskCounts::new(terms.clone());
    for (day, times) in payments {
        bank.add(&payment(1, *day), &story(times));
    }
    let bucket = terms.buckets_of("outlet1")[0] as usize;
    let words = sum(vec![bank]);
    (0..usize::from(terms.days))
        .map(|day| words[2 * (day * 64 + bucket) + 1])
        .collect()
}

proptest! {
    // Times are hours after the payment's day; days are counted as of eight days later, one by one
    // and with only what was known by then. Planted faults, each of which fails here: a change
    // that is never below zero, so that what was withdrawn stays; one that asks for no day before,
    // so that a fraud counts on every day; a day's as-of one day later.
    #[test]
    fn the_days_up_to_any_one_add_up_to_the_verdicts_as_of_that_day(
        stories in prop::collection::vec(
            (18_000_i32..18_020, prop::collection::btree_set(0_i64..900, 0..6)), 0..12),
        days in 1_u16..70,
        turn in 0_usize..12,
    ) {
        let hour = DAY_MS / 24;
        let mut payments: Vec<(i32, Vec<i64>)> = Vec::new();
        for (day, hours) in &stories {
            let start = i64::from(*day) * DAY_MS;
            payments.push((*day, hours.iter().map(|at| start + at * hour).collect()));
        }
        let range = frauds(&terms(18_000, days, 1), &payments);
        let in_force_as_of = |ts: i64, times: &[i64]| {
            times.iter().filter(|at| **at <= ts).count() % 2 == 1
        };
        let mut total = 0_i64;
        for (counted, found) in (18_000..).zip(&range) {
            let as_of = |day: i32| i64::from(day + 8) * DAY_MS;
            let known = |times: &[i64]| -> Vec<i64> {
                times.iter().copied().filter(|at| *at <= as_of(counted)).collect()
            };
            let by_then = payments.iter().map(|(day, times)| (*day, known(times)));
            let mut by_then: Vec<_> = by_then.collect();
            by_then.rotate_left(turn.min(payments.len()));
            let single = frauds(&terms(counted, 1, 1), &by_then);
            prop_assert_eq!(single[0], *found, "day {}", counted);
            total += found;
            let expected = payments.iter().filter(|(day, times)| {
                // After the thirtieth day nothing of a payment is told any more.
                let last = counted.min(day + 29);
                *day <= counted && in_force_as_of(as_of(last), times)
            });
            prop_assert_eq!(total, i64::try_from(expected.count()).unwrap(), "up to {}", counted);
        }
    }
}

// A payment of day 18,000, reported ten days late and withdrawn five days after that: the table
// holds it in between. Planted fault: skipping what is below zero leaves the last row at one.
#[test]
fn a_late_fraud_enters_on_the_day_it_became_known_and_leaves_on_the_day_it_was_withdrawn() {
    let as_of = |day: i64| (day + 8) * DAY_MS;
    let known = [KnownFraud {
        known_at: as_of(18_010),
        withdrawn_at: Some(as_of(18_015)),
    }];
    let mut table = RiskTable::new(64, key(7));
    for (last_day, expected) in [(18_009, 0), (18_010, 1), (18_014, 1), (18_015, 0)] {
        let from_day = table.newest_day().map_or(18_000, |day| day + 1);
        let terms = terms(from_day, u16::try_from(last_day - from_day + 1).unwrap(), 1);
        let mut bank = RiskCounts::new(terms.clone());
        bank.add(&payment(1, 18_000), &known);
        bank.add(&payment(1, 18_005), &[]);
        table.absorb(&terms, &sum(vec![bank])).unwrap();
        let found = table.window("outlet1", last_day, 30);
        assert_eq!(found.unwrap().1, expected, "{last_day}");
    }
    // On its own the day of the withdrawal has no payment and a fraud less than none.
    assert_eq!(table.window("outlet1", 18_015, 1), Some((0, 0)));
    assert_eq!(table.window("outlet1", 18_010, 1), Some((0, 0)));
    let read = |today| table.read("outlet1", 18_015, today).unwrap().0.windows;
    assert_eq!(
        read(18_023),
        [(0.0, 0.0), (0.0, 0.0), (2.0, 0.0), (2.0, 0.0)]
    );
    assert_eq!(read(18_022)[2], (2.0, 1.0));
}

#[test]
fn a_windows_rate_is_never_above_one_nor_below_none() {
    let terms = terms(18_000, 1, 1);
    let read = |payments: i64, frauds: i64| {
        let mut sum = vec![0; 64 * 3];
        for bucket in terms.buckets_of("outlet1") {
            let cell = 2 * bucket as usize;
            (sum[cell], sum[cell + 1]) = (payments, frauds);
            sum[2 * 64 + bucket as usize] = 1;
        }
        let mut table = RiskTable::new(64, key(7));
        table.absorb(&terms, &sum).unwrap();
        (
            table.window("outlet1", 18_000, 1).unwrap(),
            table
                .read("outlet1", 18_000, 18_008)
                .map(|(reading, _)| reading.windows[0]),
        )
    };
    assert_eq!(read(3, 2), ((3, 2), Some((3.0, 2.0))));
    assert_eq!(read(3, 5), ((3, 3), Some((3.0, 3.0))));
    assert_eq!(read(3, -5), ((3, 0), Some((3.0, 0.0))));
    assert_eq!(read(0, 2), ((0, 0), None));
    let least = i64::from(i32::MIN);
    assert_eq!(read(3, least), ((3, 0), Some((3.0, 0.0))));
}

// The other banks' payments open the bucket or nobody's do: a label of an older payment is no
// presence. In a range of days the bank that tells it need not be present.
#[test]
fn a_label_alone_makes_no_bank_present() {
    let range = terms(18_000, 20, 1);
    let late = known(18_010 * DAY_MS);
    let mut bank = RiskCounts::new(range.clone());
    bank.add(&payment(1, 17_985), &late);
    let words = sum(vec![bank]);
    let bucket = range.buckets_of("outlet1")[0] as usize;
    let (cell, presence) = (2 * (2 * 64 + bucket), 2 * 20 * 64 + bucket);
    assert_eq!((words[cell], words[cell + 1], words[presence]), (0, 1, 0));
    let mut table = RiskTable::new(64, key(7));
    table.absorb(&range, &words).unwrap();
    assert_eq!(table.window("outlet1", 18_019, 20), Some((0, 0)));
}

// Two outlets that share one bucket of four: what one takes back the other keeps.
#[test]
fn what_one_outlet_takes_back_is_not_taken_from_another() {
    let terms = terms(18_000, 1, 1);
    let (one, other) = (terms.buckets_of("outlet1"), [9, 18, 40, 50]);
    assert_eq!(one[0], other[0]);
    let mut sum = vec![0_i64; 64 * 3];
    for (buckets, payments, frauds) in [(one, 5, 0), (other, 5, -2)] {
        for bucket in buckets.map(|bucket| bucket as usize) {
            sum[2 * bucket] += payments;
            sum[2 * bucket + 1] += frauds;
            sum[2 * 64 + bucket] = 1;
        }
    }
    let mut table = RiskTable::new(64, key(7));
    table.absorb(&terms, &sum).unwrap();
    let next = RiskTerms {
        from_day: 18_001,
        ..terms.clone()
    };
    let mut sum = vec![0_i64; 64 * 3];
    for bucket in one.map(|bucket| bucket as usize) {
        sum[2 * bucket + 1] = 3;
        sum[2 * 64 + bucket] = 1;
    }
    table.absorb(&next, &sum).unwrap();
    assert_eq!(table.window("outlet1", 18_001, 2), Some((5, 3)));
}

// Known eight days after its payment: by a delay of nine it counts on the payment's day, and by one
// of seven on the next, so that days of both would count it twice.
#[test]
fn a_table_is_of_one_delay() {
    let late = known(18_008 * DAY_MS + 6);
    let wide = RiskTerms {
        label_delay_days: 9,
        ..terms(18_000, 1, 1)
    };
    let narrow = terms(18_001, 1, 1);
    let counted = |terms: &RiskTerms| {
        let mut bank = RiskCounts::new(terms.clone());
        bank.add(&payment(1, 18_000), &late);
        sum(vec![bank])
    };
    let bucket = wide.buckets_of("outlet1")[0] as usize;
    let frauds = |terms: &RiskTerms| counted(terms)[2 * bucket + 1];
    assert_eq!((frauds(&wide), frauds(&narrow)), (1, 1));
    let mut table = RiskTable::new(64, key(7));
    table.admit(&narrow).unwrap();
    table.absorb(&wide, &counted(&wide)).unwrap();
    let before = table.clone();
    let expected = Err(RiskError::Delay {
        found: 7,
        expected: 9,
    });
    assert_eq!(table.admit(&narrow), expected);
    assert_eq!(table.absorb(&narrow, &counted(&narrow)), expected);
    assert_eq!(table, before);
    let next = RiskTerms {
        label_delay_days: 9,
        ..narrow
    };
    table.absorb(&next, &counted(&next)).unwrap();
    assert_eq!(table.window("outlet1", 18_001, 2), Some((1, 1)));
}

#[test]
fn impossible_sums_leave_the_table_as_it_was() {
    let terms = terms(18_000, 1, 1);
    let mut table = RiskTable::new(64, key(7));
    let good = vec![0_i64; 64 * 3];
    table.absorb(&terms, &good).unwrap();
    let before = table.clone();
    assert_eq!(table.absorb(&terms, &good), Err(RiskError::Overlap(18_000)));
    let next = RiskTerms {
        from_day: 18_001,
        ..terms.clone()
    };
    let fault = |at: usize, word: i64| {
        let mut sum = good.clone();
        sum[at] = word;
        sum
    };
    for sum in [
        fault(4, -1),
        fault(5, 1 << 31),
        fault(4, 1 << 32),
        fault(130, -7),
        vec![0; 3],
    ] {
        assert!(table.absorb(&next, &sum).is_err());
    }
    let other = RiskTerms {
        key: key(8),
        ..next.clone()
    };
    assert_eq!(table.absorb(&other, &good), Err(RiskError::OtherTable));
    let far = RiskTerms {
        from_day: 90_000,
        ..next.clone()
    };
    assert!(matches!(
        table.absorb(&far, &good),
        Err(RiskError::TooFar { .. })
    ));
    assert_eq!(table, before);
    table
        .absorb(
            &RiskTerms {
                from_day: 17_990,
                ..next
            },
            &good,
        )
        .unwrap();
    assert_eq!(table.newest_day(), Some(18_000));
}

#[test]
fn a_long_table_drops_its_oldest_days() {
    let mut table = RiskTable::new(4, key(7));
    for day in 18_000..18_500 {
        let terms = RiskTerms {
            buckets: 4,
            ..terms(day, 1, 0)
        };
        table.absorb(&terms, &[1; 12]).unwrap();
    }
    assert_eq!(table.newest_day(), Some(18_499));
    assert_eq!(table.window("x", 18_499, 500), Some((430, 430)));
    assert_eq!(table.window("x", 18_060, 1), None);
}

// learning.md §6 by hand: 3 x rate, ln(1 + n), and the smoothed rate of 21 days.
#[test]
fn values_follow_the_recipe() {
    let reading = RiskReading {
        windows: [(0.0, 0.0), (4.0, 1.0), (9.0, 2.0), (12.0, 3.0)],
    };
    let values = reading.values();
    let expected = [
        0.0,
        0.0,
        5.0_f64.ln(),
        0.75,
        13.0_f64.ln(),
        0.75,
        3.0_f64.ln(),
        3.0 * 2.01 / 10.0,
    ];
    for (value, expected) in values.into_iter().zip(expected) {
        assert!((value - expected).abs() < 1e-12);
    }
}
