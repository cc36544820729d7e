//! The frauds of the everyday process: five kinds, a file each.
//!
//! Criminals do not choose a bank: victims are drawn over all customers, so most incidents
//! touch several banks and none of them sees the whole. Each incident owns its stream.

mod card_testing;
mod compromised_terminal;
mod mule;
mod stolen_card;
mod takeover;

use rand::{Rng, RngExt};

use super::category::CATEGORIES;
use super::label;
use super::market::Market;
use super::payment::{EntryMode, FraudType, Payment};
use super::purchase::by_card;
use super::stream::log_normal;

/// Every fraudulent payment, given the genuine ones.
pub(crate) fn all(market: &Market, genuine: &[Payment]) -> Vec<Payment> {
    let mut payments = compromised_terminal::payments(market, genuine);
    payments.extend(stolen_card::payments(market));
    payments.extend(takeover::payments(market));
    payments.extend(mule::payments(market));
    payments.extend(card_testing::payments(market));
    let (from, to) = market.process.span();
    payments.retain(|payment| (from..to).contains(&payment.ts));
    payments
}

/// `count` indices, one for each incident of a kind.
fn incidents(market: &Market, rate: f64) -> std::ops::Range<u32> {
    0..market.process.incident_count(rate)
}

/// Any moment of the process.
fn moment(market: &Market, chance: &mut impl Rng) -> i64 {
    let (from, to) = market.process.span();
    chance.random_range(from..to)
}

/// Any customer of any bank.
fn victim(market: &Market, chance: &mut impl Rng) -> u32 {
    chance.random_range(0..market.process.customers)
}

/// The same payment, fraudulent and reported by its own lag.
fn reported(mut payment: Payment, kind: FraudType, chance: &mut impl Rng) -> Payment {
    payment.fraud = Some(kind);
    payment.reported_at = label::report(chance, kind, payment.ts);
    payment
}

/// An order at a distance of something that can be sold again, with this customer's details.
fn remote_order(
    market: &Market,
    chance: &mut impl Rng,
    customer: u32,
    ts: i64,
    kinds: &[usize],
) -> Option<Payment> {
    let kind = kinds[chance.random_range(0..kinds.len())];
    let merchant = market.merchant_remote(chance, kind)?;
    let price = CATEGORIES[kind].price * chance.random_range(2.0..6.0);
    let amount = log_normal(chance, price, 0.4);
    let mut payment = by_card(market, chance, customer, merchant, ts, amount);
    payment.entry_mode = Some(EntryMode::Ecom);
    Some(payment)
}
