//! Made-up payments: literal counts, independent streams, and fraud where it should be.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

fn small() -> Vec<Payment> {
    Everyday::small().payments(1)
}

#[test]
fn same_seed_makes_the_same_payments() {
    assert_eq!(small(), small());
}

#[test]
fn another_seed_makes_other_payments() {
    assert_ne!(small(), Everyday::small().payments(2));
}

// A change of the process shows here first: then the figures in docs/generator.md are stale.
#[test]
fn counts_are_those_of_the_documented_process() {
    let payments = small();
    let frauds = payments
        .iter()
        .filter(|payment| payment.fraud.is_some())
        .count();
    assert_eq!((payments.len(), frauds), (SMALL_PAYMENTS, SMALL_FRAUDS));
}

// What a customer does must not depend on who was made before: streams are not shared.
#[test]
fn one_customer_alone_buys_the_same() {
    let process = Everyday::small();
    let market = market::Market::new(&process, 1);
    let in_company = purchase::of(&market, 7);
    for other in (0..process.customers).rev() {
        let _ = purchase::of(&market, other);
    }
    assert!(!in_company.is_empty());
    assert_eq!(purchase::of(&market, 7), in_company);
    let genuine = |payment: &&Payment| {
        payment.customer == 7 && payment.fraud.is_none() && payment.is_by_card()
    };
    let payments = small();
    let among_all: BTreeSet<i64> = payments
        .iter()
        .filter(genuine)
        .map(|payment| payment.ts)
        .collect();
    let alone: BTreeSet<i64> = in_company.iter().map(|payment| payment.ts).collect();
    assert_eq!(among_all, alone);
}

#[test]
fn payments_are_ordered_and_within_the_days() {
    let process = Everyday::small();
    let (from, to) = process.span();
    let payments = small();
    assert!(payments.is_sorted_by_key(|payment| payment.ts));
    assert!(
        payments
            .iter()
            .all(|payment| (from..to).contains(&payment.ts))
    );
    assert!(payments.iter().all(|payment| payment.amount_minor > 0));
}

#[test]
fn every_kind_of_fraud_strikes_every_bank_of_the_demo() {
    let process = Everyday::demo();
    let payments = process.payments(1);
    let mut counts: BTreeMap<(u16, FraudType), u32> = BTreeMap::new();
    for payment in &payments {
        if let Some(kind) = payment.fraud {
            *counts.entry((payment.bank, kind)).or_default() += 1;
        }
    }
    let kinds = FraudType::ALL
        .iter()
        .filter(|kind| **kind != FraudType::HighAmount);
    for kind in kinds {
        for bank in 0..5 {
            assert!(
                counts.contains_key(&(bank, *kind)),
                "{} at bank {bank}",
                kind.name()
            );
        }
    }
    let share = f64::from(counts.values().sum::<u32>()) / payments.len() as f64;
    assert!((0.004..0.008).contains(&share), "found {share}");
    assert!(
        (250_000..350_000).contains(&payments.len()),
        "found {}",
        payments.len()
    );
}

#[test]
fn most_compromised_terminals_strike_cards_of_several_banks() {
    let payments = Everyday::demo().payments(1);
    let mut banks: BTreeMap<u32, BTreeSet<u16>> = BTreeMap::new();
    for payment in &payments {
        if let (Some(FraudType::CompromisedTerminal), Payee::Terminal { terminal, .. }) =
            (payment.fraud, payment.payee)
        {
            banks.entry(terminal).or_default().insert(payment.bank);
        }
    }
    let shared = banks.values().filter(|banks| banks.len() >= 2).count();
    assert!(banks.len() >= 10, "found {} terminals", banks.len());
    assert!(
        5 * shared >= 4 * banks.len(),
        "found {shared} of {} shared",
        banks.len()
    );
}

#[test]
fn money_moves_on_from_a_mule_within_two_hours() {
    let payments = small();
    let mule = |payment: &&Payment| payment.fraud == Some(FraudType::Mule);
    let passed_on = payments.iter().filter(mule).filter(|first| {
        let Payee::Account { customer, .. } = first.payee else {
            return false;
        };
        payments.iter().filter(mule).any(|next| {
            let wait = next.ts - first.ts;
            next.customer == customer && (1..2 * season::HOUR_MS).contains(&wait)
        })
    });
    assert!(passed_on.count() > 0);
    assert!(
        payments
            .iter()
            .filter(mule)
            .all(|payment| !payment.is_by_card())
    );
}

#[test]
fn reports_come_after_the_fraud_and_some_never() {
    let payments = Everyday::demo().payments(1);
    let frauds = || payments.iter().filter(|payment| payment.fraud.is_some());
    assert!(frauds().all(|payment| payment.reported_at.is_none_or(|at| at > payment.ts)));
    let never = frauds()
        .filter(|payment| payment.reported_at.is_none())
        .count();
    let share = never as f64 / frauds().count() as f64;
    assert!((0.02..0.12).contains(&share), "found {share}");
    let disputed = payments
        .iter()
        .filter(|payment| payment.fraud.is_none() && payment.reported_at.is_some());
    assert_eq!(disputed.count(), 0);
}

#[test]
fn wrong_labels_go_both_ways() {
    let payments = Everyday {
        wrong_labels: 0.2,
        ..Everyday::small()
    }
    .payments(1);
    let disputed = payments
        .iter()
        .filter(|payment| payment.fraud.is_none() && payment.reported_at.is_some());
    let reported_before = small()
        .iter()
        .filter(|payment| payment.reported_at.is_some())
        .count() as f64;
    let share = disputed.count() as f64 / reported_before;
    assert!((0.1..0.3).contains(&share), "found {share}");
}

// Published (baselines of the book's data set): 1,754,155 payments, 14,681 frauds (0.84 %), of
// them 973 by amount, 9,077 at terminals, 4,631 by leaked details. A fifth of the customers and
// terminals on a fifth of the area keeps densities, so every figure scales by five.
#[test]
fn handbook_counts_are_the_published_ones() {
    let published = Handbook::published();
    let fifth = Handbook {
        customers: 1_000,
        terminals: 2_000,
        radius: published.radius * 5.0_f64.sqrt(),
        compromised_per_day: published.compromised_per_day / 5.0,
        leaked_per_day: published.leaked_per_day / 5.0,
        ..published
    };
    let payments = fifth.payments(3);
    let near = |found: usize, expected: f64, tolerance: f64| {
        let ratio = found as f64 * 5.0 / expected;
        assert!(
            (ratio - 1.0).abs() < tolerance,
            "found {ratio} of the published {expected}"
        );
    };
    let count = |kind| {
        payments
            .iter()
            .filter(|payment| payment.fraud == Some(kind))
            .count()
    };
    near(payments.len(), 1_754_155.0, 0.06);
    near(
        payments
            .iter()
            .filter(|payment| payment.fraud.is_some())
            .count(),
        14_681.0,
        0.15,
    );
    near(count(FraudType::CompromisedTerminal), 9_077.0, 0.15);
    near(count(FraudType::StolenCard), 4_631.0, 0.25);
    near(count(FraudType::HighAmount), 973.0, 0.45);
    let mean = payments
        .iter()
        .map(|payment| payment.amount_minor as f64)
        .sum::<f64>()
        / payments.len() as f64;
    // The book's data set has a mean amount of 53.63.
    assert!((4_800.0..5_900.0).contains(&mean), "found {mean}");
}

const SMALL_PAYMENTS: usize = 21_303;
const SMALL_FRAUDS: usize = 265;
