//! Genuine payments by card: what a customer buys, where, when and for how much.
//!
//! Genuine does not mean tame: people travel, buy something large once in a while, shop at
//! night and at merchants they never saw. Transfers are in `transfer`, frauds in `fraud`.

use rand::{Rng, RngExt};
use rand_distr::{Distribution, Poisson};

use super::category::{CASH, CATEGORIES, Category};
use super::customer::Customer;
use super::market::{Market, at};
use super::payment::{Channel, EntryMode, Payee, Payment, Rail};
use super::season::{DAY_MS, demand};
use super::stream::{Stream, log_normal, normal, weighted};

/// Every genuine card payment of one customer, in order of days.
pub(crate) fn of(market: &Market, index: u32) -> Vec<Payment> {
    let mut chance = Stream::Purchases(index).open(market.seed);
    let customer = &market.customers[index as usize];
    let first = market.process.first_day;
    let mut payments = Vec::new();
    for day in first..first + i32::from(market.process.days) {
        let town = customer.town_on(day);
        let holiday = if town == customer.town { 1.0 } else { 1.4 };
        let mean = customer.cadence * demand(day) * holiday;
        let count = Poisson::new(mean)
            .expect("the mean is positive")
            .sample(&mut chance);
        for _ in 0..count as u32 {
            payments.extend(purchase(market, &mut chance, index, day));
        }
    }
    payments
}

fn purchase(market: &Market, chance: &mut impl Rng, index: u32, day: i32) -> Option<Payment> {
    let customer = &market.customers[index as usize];
    let kind = weighted(chance, &customer.taste);
    let merchant = merchant(market, chance, customer, kind, customer.town_on(day))?;
    let category = &CATEGORIES[kind];
    let is_site = market.merchants[merchant as usize].terminals.is_empty();
    let time = if is_site {
        at(18.5 + customer.late + 3.2 * normal(chance))
    } else {
        category.visit(chance, customer.late)
    };
    let price = market.merchants[merchant as usize].price;
    let treat = if chance.random::<f64>() < 0.02 {
        chance.random_range(2.5..7.0)
    } else {
        1.0
    };
    let median = category.price * price * customer.spend * treat;
    let amount = log_normal(chance, median, category.spread);
    let ts = i64::from(day) * DAY_MS + time;
    Some(by_card(market, chance, index, merchant, ts, amount))
}

/// Mostly a usual merchant; else any here or at a distance.
fn merchant(
    market: &Market,
    chance: &mut impl Rng,
    customer: &Customer,
    kind: usize,
    town: usize,
) -> Option<u32> {
    let wants_remote = CATEGORIES[kind].remote > 0.0
        && chance.random::<f64>() < (customer.remote * 2.0 * CATEGORIES[kind].remote).min(1.0);
    if wants_remote {
        let found = market.merchant_remote(chance, kind);
        if found.is_some() {
            return found;
        }
    }
    let usual = &customer.favourites[kind];
    if town == customer.town && !usual.is_empty() && chance.random::<f64>() < 0.72 {
        let rank = chance
            .random_range(0..usual.len())
            .min(chance.random_range(0..usual.len()));
        return Some(usual[rank]);
    }
    market
        .merchant_near(chance, kind, town)
        .or_else(|| market.merchant_remote(chance, kind))
}

/// A genuine payment by card to this merchant, its amount rounded as that category rounds.
pub(crate) fn by_card(
    market: &Market,
    chance: &mut impl Rng,
    index: u32,
    merchant: u32,
    ts: i64,
    amount: f64,
) -> Payment {
    let seller = &market.merchants[merchant as usize];
    let category = market.category_of(merchant);
    let payee = market.payee(chance, merchant);
    let (rail, channel) = match (seller.category == CASH, payee) {
        (true, _) => (Rail::Atm, Channel::Atm),
        (false, Payee::Terminal { .. }) => (Rail::Card, Channel::Pos),
        (false, Payee::Site { .. } | Payee::Account { .. } | Payee::Organisation(_)) => {
            (Rail::Card, Channel::Ecom)
        }
    };
    let amount_minor = rounded(category, seller.category == CASH, amount);
    Payment {
        ts,
        bank: market.customers[index as usize].bank,
        customer: index,
        rail,
        amount_minor,
        channel,
        entry_mode: Some(entry_mode(chance, category, channel, amount_minor)),
        payee,
        mcc: Some(category.mcc),
        merchant_country: Some(seller.country),
        place: seller.place,
        fraud: None,
        reported_at: None,
    }
}

fn rounded(category: &Category, is_cash: bool, amount: f64) -> i64 {
    if is_cash {
        return ((amount / 1_000.0).round() as i64).clamp(1, 60) * 1_000;
    }
    let ceiling = category.price * 60.0;
    (amount.min(ceiling).round() as i64).max(20)
}

fn entry_mode(
    chance: &mut impl Rng,
    category: &Category,
    channel: Channel,
    amount_minor: i64,
) -> EntryMode {
    let draw: f64 = chance.random();
    match channel {
        Channel::Ecom | Channel::MobileApp | Channel::Web => {
            let kept = if category.remote >= 0.8 { 0.7 } else { 0.2 };
            if draw < kept {
                EntryMode::CardOnFile
            } else {
                EntryMode::Ecom
            }
        }
        Channel::Atm => EntryMode::Chip,
        Channel::Pos => {
            let touched = if amount_minor <= 5_000 { 0.85 } else { 0.35 };
            if draw < 0.015 {
                EntryMode::Magstripe
            } else if draw < touched {
                EntryMode::Contactless
            } else {
                EntryMode::Chip
            }
        }
    }
}
