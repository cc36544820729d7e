//! The published simulator: chapter 3 of "Reproducible Machine Learning for Credit Card Fraud
//! Detection - Practical Handbook" (Le Borgne, Siblini, Lebichot, Bontempi), its parameters,
//! our chance.
//!
//! Customers are dealt to banks at random in skewed sizes, which the book does not have; a
//! fraud is reported after seven days, the delay the book's protocol assumes.

use std::collections::BTreeMap;

use rand::RngExt;
use rand::seq::index;
use rand_distr::{Distribution, Normal, Poisson};

use super::label;
use super::payment::{Channel, FraudType, Payee, Payment, Place, Rail};
use super::season::DAY_MS;
use super::share::{bank_shares, deal};
use super::stream::Stream;

/// The parameters of the published process.
#[derive(Clone, Debug, PartialEq)]
pub struct Handbook {
    /// First day, counted from 1970-01-01.
    pub first_day: i32,
    /// Number of days.
    pub days: u16,
    /// The share of customers of each bank; sums to 1.
    pub bank_shares: Vec<f64>,
    /// Number of customers.
    pub customers: u32,
    /// Number of terminals.
    pub terminals: u32,
    /// A customer pays at terminals within this distance, on a map of 100 by 100.
    pub radius: f64,
    /// Terminals that become compromised each day.
    pub compromised_per_day: f64,
    /// Customers whose card details leak each day.
    pub leaked_per_day: f64,
    /// Share of reported frauds whose label is lost, with as many genuine payments
    /// disputed by mistake.
    pub wrong_labels: f64,
}

/// The first scenario's limit, in minor units.
const LIMIT_MINOR: i64 = 22_000;
const COMPROMISED_DAYS: u16 = 28;
const LEAKED_DAYS: u16 = 14;
const REPORT_DAYS: i64 = 7;

impl Handbook {
    /// The published parameters.
    pub fn published() -> Self {
        Self {
            first_day: 17_622, // 2018-04-01
            days: 183,
            bank_shares: bank_shares(5),
            customers: 5_000,
            terminals: 10_000,
            radius: 5.0,
            compromised_per_day: 2.0,
            leaked_per_day: 3.0,
            wrong_labels: 0.0,
        }
    }

    /// Every payment, ordered by time; the same for the same seed.
    pub fn payments(&self, seed: u64) -> Vec<Payment> {
        let mut chance = Stream::HandbookTerminals.open(seed);
        let mut coordinate = || chance.random_range(0.0..100.0);
        let terminals: Vec<Place> = (0..self.terminals)
            .map(|_| Place {
                x: coordinate(),
                y: coordinate(),
            })
            .collect();
        let mut dealing = Stream::Dealing.open(seed);
        let banks = deal(&mut dealing, &self.bank_shares, self.customers, |_, _| 1.0);
        let mut payments: Vec<Payment> = (0..self.customers)
            .flat_map(|customer| {
                self.purchases(seed, customer, banks[customer as usize], &terminals)
            })
            .collect();
        self.add_frauds(seed, &mut payments);
        label::mistake(&mut payments, self.wrong_labels, seed);
        payments.sort_by_key(|payment| (payment.ts, payment.customer));
        payments
    }

    /// `generate_customer_profiles_table`, then `generate_transactions_table`, for one customer.
    fn purchases(&self, seed: u64, customer: u32, bank: u16, terminals: &[Place]) -> Vec<Payment> {
        let mut chance = Stream::HandbookCustomer(customer).open(seed);
        let home = Place {
            x: chance.random_range(0.0..100.0),
            y: chance.random_range(0.0..100.0),
        };
        let mean_amount: f64 = chance.random_range(5.0..100.0);
        let per_day: f64 = chance.random_range(0.0..4.0);
        let amounts = Normal::new(mean_amount, mean_amount / 2.0).expect("the spread is finite");
        let seconds = Normal::new(43_200.0, 20_000.0).expect("the spread is finite");
        let reachable: Vec<u32> = (0..)
            .zip(terminals)
            .filter(|(_, place)| place.distance(home) < self.radius)
            .map(|(terminal, _)| terminal)
            .collect();
        let mut payments = Vec::new();
        if reachable.is_empty() {
            return payments;
        }
        for day in 0..self.days {
            let count = Poisson::new(per_day.max(1e-12)).expect("the mean is positive");
            for _ in 0..count.sample(&mut chance) as u32 {
                let second = seconds.sample(&mut chance) as i64;
                // The book drops what falls outside the day.
                if !(1..86_400).contains(&second) {
                    continue;
                }
                let mut amount = amounts.sample(&mut chance);
                if amount < 0.0 {
                    amount = chance.random_range(0.0..2.0 * mean_amount);
                }
                let terminal = reachable[chance.random_range(0..reachable.len())];
                let day = i64::from(self.first_day) + i64::from(day);
                payments.push(Payment {
                    ts: day * DAY_MS + second * 1_000,
                    bank,
                    customer,
                    rail: Rail::Card,
                    amount_minor: (amount * 100.0).round() as i64,
                    channel: Channel::Pos,
                    entry_mode: None,
                    payee: Payee::Terminal {
                        merchant: terminal,
                        terminal,
                    },
                    mcc: None,
                    merchant_country: None,
                    place: Some(terminals[terminal as usize]),
                    fraud: None,
                    reported_at: None,
                });
            }
        }
        payments
    }

    /// `add_frauds`: the three scenarios in their order; a later one overwrites the kind.
    fn add_frauds(&self, seed: u64, payments: &mut [Payment]) {
        let mut chance = Stream::HandbookFrauds.open(seed);
        for payment in payments
            .iter_mut()
            .filter(|payment| payment.amount_minor > LIMIT_MINOR)
        {
            payment.fraud = Some(FraudType::HighAmount);
        }
        let mut of_terminal: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        let mut of_customer: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for (index, payment) in payments.iter().enumerate() {
            if let Payee::Terminal { terminal, .. } = payment.payee {
                of_terminal.entry(terminal).or_default().push(index);
            }
            of_customer.entry(payment.customer).or_default().push(index);
        }
        for day in 0..self.days {
            let drawn = index::sample(
                &mut chance,
                self.terminals as usize,
                due(self.compromised_per_day, day),
            );
            for terminal in drawn {
                let visits = of_terminal
                    .get(&(terminal as u32))
                    .map_or(&[][..], Vec::as_slice);
                for visit in self.within(payments, visits, day, COMPROMISED_DAYS) {
                    payments[visit].fraud = Some(FraudType::CompromisedTerminal);
                }
            }
        }
        for day in 0..self.days {
            let drawn = index::sample(
                &mut chance,
                self.customers as usize,
                due(self.leaked_per_day, day),
            );
            for customer in drawn {
                let own = of_customer
                    .get(&(customer as u32))
                    .map_or(&[][..], Vec::as_slice);
                let own = self.within(payments, own, day, LEAKED_DAYS);
                for third in index::sample(&mut chance, own.len(), own.len() / 3) {
                    let payment = &mut payments[own[third]];
                    payment.amount_minor *= 5;
                    payment.fraud = Some(FraudType::StolenCard);
                }
            }
        }
        for payment in payments
            .iter_mut()
            .filter(|payment| payment.fraud.is_some())
        {
            payment.reported_at = Some(payment.ts + REPORT_DAYS * DAY_MS);
        }
    }

    /// Those of `indices` whose day is one of the `count` from `day` on.
    fn within(&self, payments: &[Payment], indices: &[usize], day: u16, count: u16) -> Vec<usize> {
        let from = (i64::from(self.first_day) + i64::from(day)) * DAY_MS;
        let to = from + i64::from(count) * DAY_MS;
        let is_within = |index: &&usize| (from..to).contains(&payments[**index].ts);
        indices.iter().filter(is_within).copied().collect()
    }
}

/// How many fall on this day where `rate` fall on each: whole numbers that add up.
fn due(rate: f64, day: u16) -> usize {
    let until = |day: f64| (rate * day).floor();
    (until(f64::from(day) + 1.0) - until(f64::from(day))) as usize
}
