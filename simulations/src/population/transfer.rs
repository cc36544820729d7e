//! Genuine transfers from account to account: rent, friends, and people paid once.

use rand::{Rng, RngExt};
use rand_distr::{Distribution, Poisson};

use super::market::{Market, at};
use super::payment::{Channel, Payee, Payment, Rail};
use super::season::{DAY_MS, Date, demand};
use super::stream::{Stream, log_normal, normal};

/// Transfers to persons on an ordinary day.
const PERSONAL_PER_DAY: f64 = 0.07;
/// Share of those that go to somebody for the first time.
const STRANGERS: f64 = 0.2;
/// Landlords and utilities.
const ORGANISATIONS: u32 = 150;

/// Every genuine transfer of one customer, in order of days.
pub(crate) fn of(market: &Market, index: u32) -> Vec<Payment> {
    let mut chance = Stream::Transfers(index).open(market.seed);
    let customer = &market.customers[index as usize];
    let landlord = chance.random_range(0..ORGANISATIONS);
    let first = market.process.first_day;
    let mut payments = Vec::new();
    for day in first..first + i32::from(market.process.days) {
        if let Some((rent, due)) = customer.rent
            && Date::of(day).day == due
        {
            let ts = i64::from(day) * DAY_MS + at(9.0 + chance.random::<f64>());
            let payee = Payee::Organisation(landlord);
            payments.push(by_account(market, index, payee, Rail::Sct, ts, rent as f64));
        }
        let mean = PERSONAL_PER_DAY * demand(day);
        let count = Poisson::new(mean)
            .expect("the mean is positive")
            .sample(&mut chance);
        for _ in 0..count as u32 {
            payments.push(personal(market, &mut chance, index, day));
        }
    }
    payments
}

fn personal(market: &Market, chance: &mut impl Rng, index: u32, day: i32) -> Payment {
    let customer = &market.customers[index as usize];
    let is_stranger = customer.friends.is_empty() || chance.random::<f64>() < STRANGERS;
    let receiver = if is_stranger {
        chance.random_range(0..market.process.customers)
    } else {
        customer.friends[chance.random_range(0..customer.friends.len())]
    };
    let (rail, median, spread) = match chance.random_range(0..10) {
        0..5 => (Rail::P2p, 2_500.0, 0.8),
        5..8 => (Rail::SctInst, 9_000.0, 1.1),
        _ => (Rail::Sct, 15_000.0, 1.2),
    };
    // Who pays a stranger pays for something: a used car, a deposit, a ticket.
    let median = if is_stranger { 2.0 * median } else { median };
    let amount = log_normal(chance, median * customer.spend, spread);
    let ts = i64::from(day) * DAY_MS + at(16.0 + customer.late + 4.0 * normal(chance));
    by_account(market, index, account(market, receiver), rail, ts, amount)
}

/// A customer's account as a payee.
pub(crate) fn account(market: &Market, customer: u32) -> Payee {
    Payee::Account {
        customer,
        bank: market.customers[customer as usize].bank,
    }
}

/// A genuine transfer; amounts above ten are rounded to the unit, as people do.
pub(crate) fn by_account(
    market: &Market,
    index: u32,
    payee: Payee,
    rail: Rail,
    ts: i64,
    amount: f64,
) -> Payment {
    let minor = amount.round().clamp(100.0, 2_500_000.0) as i64;
    let amount_minor = if minor > 1_000 {
        minor / 100 * 100
    } else {
        minor
    };
    let channel = match rail {
        Rail::P2p | Rail::SctInst => Channel::MobileApp,
        Rail::Card | Rail::Atm | Rail::Sct => Channel::Web,
    };
    Payment {
        ts,
        bank: market.customers[index as usize].bank,
        customer: index,
        rail,
        amount_minor,
        channel,
        entry_mode: None,
        payee,
        mcc: None,
        merchant_country: None,
        place: None,
        fraud: None,
        reported_at: None,
    }
}
