//! How customers are dealt to banks of unlike size.

use rand::Rng;

use super::stream::{cumulate, weighted};

/// The share of customers of each of `banks` banks, largest first: the skewed sizes of the
/// design for five and ten banks, a geometric row with ratio 0.6 otherwise.
pub fn bank_shares(banks: u16) -> Vec<f64> {
    match banks {
        5 => vec![0.45, 0.25, 0.15, 0.10, 0.05],
        10 => vec![0.30, 0.20, 0.14, 0.10, 0.08, 0.06, 0.05, 0.03, 0.025, 0.015],
        _ => {
            let row: Vec<f64> = (0..banks)
                .map(|bank| 0.6_f64.powi(i32::from(bank)))
                .collect();
            let total: f64 = row.iter().sum();
            row.into_iter().map(|weight| weight / total).collect()
        }
    }
}

/// A bank for each of `customers` customers: seats are counted out by share, and every
/// customer draws one among those left, weighted by `affinity(customer, bank)`.
pub(crate) fn deal(
    chance: &mut impl Rng,
    shares: &[f64],
    customers: u32,
    affinity: impl Fn(u32, usize) -> f64,
) -> Vec<u16> {
    let mut seats = seats(shares, customers);
    (0..customers)
        .map(|customer| {
            let left = seats.iter().enumerate();
            let wishes = left.map(|(bank, left)| f64::from(*left) * affinity(customer, bank));
            let bank = weighted(chance, &cumulate(wishes));
            seats[bank] -= 1;
            u16::try_from(bank).expect("banks are counted in u16")
        })
        .collect()
}

/// Whole seats for each share; what rounding leaves over goes to the largest bank.
fn seats(shares: &[f64], customers: u32) -> Vec<u32> {
    let mut seats: Vec<u32> = shares
        .iter()
        .map(|share| (share * f64::from(customers)).floor() as u32)
        .collect();
    let dealt: u32 = seats.iter().sum();
    seats[0] += customers - dealt;
    seats
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::population::stream::Stream;

    #[test]
    fn shares_sum_to_one_and_fall() {
        for banks in 1..=20 {
            let shares = bank_shares(banks);
            assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            assert!(shares.is_sorted_by(|larger, smaller| larger >= smaller));
        }
    }

    #[test]
    fn every_bank_gets_its_seats_whatever_the_affinity() {
        let mut chance = Stream::Dealing.open(7);
        let banks = deal(&mut chance, &bank_shares(5), 1_000, |customer, bank| {
            if customer as usize % 5 == bank {
                9.0
            } else {
                1.0
            }
        });
        let count = |bank| banks.iter().filter(|dealt| **dealt == bank).count();
        assert_eq!(
            [count(0), count(1), count(2), count(3), count(4)],
            [450, 250, 150, 100, 50]
        );
    }
}
