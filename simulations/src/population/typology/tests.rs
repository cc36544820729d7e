//! Single payments: who knows what, how labels are lost, and genuine people who look like fraud.

use std::sync::LazyLock;

use super::*;

/// The preset, made once: 200,000 payments of five banks.
static PAYMENTS: LazyLock<Vec<SinglePayment>> = LazyLock::new(|| all(&Typologies::published(), 1));

fn all(process: &Typologies, seed: u64) -> Vec<SinglePayment> {
    process.payments(0..process.banks, seed).collect()
}

fn small() -> Typologies {
    Typologies {
        rows: 6_001,
        ..Typologies::published()
    }
}

/// Genuine payments for which this holds.
fn genuine(is: impl Fn(&SinglePayment) -> bool) -> usize {
    let genuine = PAYMENTS.iter().filter(|payment| payment.fraud.is_none());
    genuine.filter(|payment| is(payment)).count()
}

fn frauds(kind: Typology) -> Vec<&'static SinglePayment> {
    let of_kind = |payment: &&SinglePayment| payment.fraud == Some(kind);
    PAYMENTS.iter().filter(of_kind).collect()
}

fn distance(party: &Party) -> f64 {
    party.home.distance_km(party.tower)
}

fn age_hours(payment: &SinglePayment) -> f64 {
    (payment.ts - payment.debtor.opened_at) as f64 / HOUR_MS as f64
}

fn slept_days(payment: &SinglePayment) -> f64 {
    (payment.ts - payment.debtor.last_active_at) as f64 / DAY_MS as f64
}

fn of_ceiling(payment: &SinglePayment) -> f64 {
    f64::from(payment.debtor.activity_24h) / payment.debtor.account_type.activity_ceiling()
}

#[test]
fn same_seed_makes_the_same_payments() {
    assert_eq!(all(&small(), 1), all(&small(), 1));
    assert_ne!(all(&small(), 1), all(&small(), 2));
}

#[test]
fn a_bank_alone_has_the_payments_it_has_in_company() {
    let in_company: Vec<SinglePayment> = all(&small(), 1)
        .into_iter()
        .filter(|payment| payment.bank == 3)
        .collect();
    let alone: Vec<SinglePayment> = small().payments(3..4, 1).collect();
    assert!(!alone.is_empty());
    assert_eq!(alone, in_company);
}

// 6,001 rows over five banks: nothing is lost to rounding, and the first bank has the odd one.
#[test]
fn every_row_asked_for_is_made() {
    let payments = all(&small(), 1);
    let count = |bank| payments.iter().filter(|row| row.bank == bank).count();
    let counts = [count(0), count(1), count(2), count(3), count(4)];
    assert_eq!(counts, [1_201, 1_200, 1_200, 1_200, 1_200]);
}

#[test]
fn payments_are_ordered_within_the_days_and_numbered() {
    let process = small();
    let from = i64::from(process.first_day) * DAY_MS;
    let to = from + i64::from(process.days) * DAY_MS;
    let payments = all(&process, 1);
    assert!(payments.is_sorted_by_key(|payment| payment.ts));
    assert!(payments.iter().all(|row| (from..to).contains(&row.ts)));
    assert!(payments.iter().all(|row| row.ts % 1_000 == 0));
    let numbers = payments.iter().filter(|row| row.bank == 2);
    assert!(numbers.map(|row| row.number).eq(1..=1_200));
}

// Busy December lies in the training part and in the validation part: shares of rows are near
// the shares of days, not the same.
#[test]
fn training_comes_before_validation_and_that_before_the_test() {
    assert!(PAYMENTS.is_sorted_by_key(|payment| payment.split));
    for (split, expected) in [
        (Split::Train, 0.60),
        (Split::Validation, 0.15),
        (Split::Test, 0.25),
    ] {
        let count = PAYMENTS.iter().filter(|row| row.split == split).count();
        let share = count as f64 / PAYMENTS.len() as f64;
        assert!((share - expected).abs() < 0.05, "{split:?}: found {share}");
    }
}

// A bank's test split has some 10,000 rows, so chance alone moves its shares by a thousandth.
#[test]
fn each_typology_is_one_to_five_in_a_thousand_payments_where_it_strikes() {
    for kind in Typology::ALL {
        let (mut all_rows, mut all_frauds) = (0, 0);
        for bank in 0..5 {
            let strikes = |row: &&SinglePayment| {
                row.bank == bank && (row.split == Split::Test || known_to(bank).contains(kind))
            };
            let rows = PAYMENTS.iter().filter(strikes).count();
            let frauds = PAYMENTS.iter().filter(strikes);
            let frauds = frauds.filter(|row| row.fraud == Some(*kind)).count();
            let share = frauds as f64 / rows as f64;
            let name = kind.name();
            assert!(
                (0.001..0.006).contains(&share),
                "{name} at bank {bank}: found {share}"
            );
            all_rows += rows;
            all_frauds += frauds;
        }
        let share = all_frauds as f64 / all_rows as f64;
        assert!(
            (0.001..0.005).contains(&share),
            "{}: found {share}",
            kind.name()
        );
    }
}

#[test]
fn a_bank_meets_before_the_test_what_it_knows_and_then_everything() {
    for bank in 0..5 {
        let met = |is_test: bool| {
            let own = PAYMENTS.iter().filter(move |row| row.bank == bank);
            let part = own.filter(move |row| (row.split == Split::Test) == is_test);
            let mut kinds: Vec<Typology> = part.filter_map(|row| row.fraud).collect();
            kinds.sort();
            kinds.dedup();
            kinds
        };
        assert_eq!(met(false), known_to(bank));
        assert_eq!(met(true), Typology::ALL);
        assert!((2..=3).contains(&known_to(bank).len()));
    }
}

#[test]
fn three_banks_know_every_typology_between_them() {
    for kind in Typology::ALL {
        assert!((0..3).any(|bank| known_to(bank).contains(kind)));
    }
}

// One fraud in ten is entered as genuine. No genuine payment is entered as fraud, and nobody
// has judged the test.
#[test]
fn one_fraud_label_in_ten_is_lost_and_none_is_invented() {
    let judged = || PAYMENTS.iter().filter(|row| row.split != Split::Test);
    let frauds = || judged().filter(|row| row.fraud.is_some());
    let lost = frauds().filter(|row| row.label == Some(false)).count();
    let share = lost as f64 / frauds().count() as f64;
    assert!((0.08..0.12).contains(&share), "found {share}");
    assert!(judged().all(|row| row.label.is_some()));
    let invented = judged().filter(|row| row.fraud.is_none() && row.label == Some(true));
    assert_eq!(invented.count(), 0);
    let mut test = PAYMENTS.iter().filter(|row| row.split == Split::Test);
    assert!(test.all(|row| row.label.is_none()));
}

#[test]
fn lost_labels_change_nothing_but_labels() {
    let clean = Typologies {
        lost_labels: 0.0,
        ..small()
    };
    let (noisy, clean) = (all(&small(), 1), all(&clean, 1));
    let without_label = |payments: &[SinglePayment]| -> Vec<SinglePayment> {
        let rows = payments.iter().cloned();
        rows.map(|row| SinglePayment { label: None, ..row })
            .collect()
    };
    assert_eq!(without_label(&noisy), without_label(&clean));
    assert_ne!(noisy, clean);
}

#[test]
fn accounts_are_opened_then_active_then_pay() {
    for row in PAYMENTS.iter() {
        for party in [&row.debtor, &row.creditor] {
            assert!(party.opened_at <= party.last_active_at, "{row:?}");
            assert!(party.last_active_at < row.ts, "{row:?}");
            assert_eq!(party.opened_at % 1_000, 0);
            assert_eq!(party.last_active_at % 1_000, 0);
            assert!((-90.0..=90.0).contains(&party.tower.lat));
        }
        assert!(row.amount_minor > 0);
    }
}

#[test]
fn frauds_are_what_their_typology_says() {
    for row in frauds(Typology::FarTowers) {
        assert!(distance(&row.debtor) > 150.0 && distance(&row.creditor) > 150.0);
    }
    for row in frauds(Typology::FreshAccount) {
        assert!(age_hours(row) <= 5.0 + 25.0 / 60.0);
    }
    for row in frauds(Typology::DormantAccount) {
        assert!((90.0..180.1).contains(&slept_days(row)));
    }
    for row in frauds(Typology::HighActivity) {
        assert!(of_ceiling(row) >= 5.0);
    }
}

// An alarm on the column that carries a typology's name is wrong about as often as right, or
// more often: genuine people travel, open accounts, wake them up and run busy firms.
#[test]
fn genuine_people_look_like_each_typology() {
    let is_far = |party: &Party| distance(party) > 250.0;
    let far = frauds(Typology::FarTowers).len();
    let one_far = genuine(|row| is_far(&row.debtor) != is_far(&row.creditor));
    let both_far = genuine(|row| is_far(&row.debtor) && is_far(&row.creditor));
    assert!(one_far > 2 * far, "found {one_far} of whom one travels");
    assert!(both_far > 10, "found {both_far} who both travel");

    let fresh = frauds(Typology::FreshAccount).len();
    let opened = genuine(|row| age_hours(row) < 5.5);
    assert!(opened > fresh, "found {opened} opened within hours");

    let dormant = frauds(Typology::DormantAccount).len();
    let woken = genuine(|row| (90.0..180.0).contains(&slept_days(row)));
    assert!(woken > dormant, "found {woken} woken up");

    // Events of a checking account that is flooded are nothing to a firm.
    let flooded = frauds(Typology::HighActivity);
    let least = flooded.iter().map(|row| row.debtor.activity_24h).min();
    let least = least.expect("a fraud");
    let busier = genuine(|row| row.debtor.activity_24h > least);
    assert!(busier > 10 * flooded.len(), "found {busier} busier");
    let above = genuine(|row| of_ceiling(row) > 1.0);
    assert!(above > 20, "found {above} above the ceiling of their type");
}

// Amounts alone are no sign: the usual ones of a rich bank are out of the common at a poor one.
#[test]
fn banks_differ_in_what_they_usually_pay() {
    let median = |bank: u16| {
        let own = PAYMENTS.iter().filter(|row| row.bank == bank);
        let mut amounts: Vec<i64> = own.map(|row| row.amount_minor).collect();
        amounts.sort_unstable();
        amounts[amounts.len() / 2]
    };
    assert!(median(4) > 2 * median(2));
}
