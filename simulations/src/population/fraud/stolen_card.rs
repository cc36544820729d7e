//! A stolen card is emptied within hours: larger amounts, resold goods, cash, often elsewhere.

use rand::{Rng, RngExt};
use rand_distr::{Distribution, Exp};

use super::{incidents, moment, victim};
use crate::population::category::{CATEGORIES, RESOLD};
use crate::population::label;
use crate::population::market::Market;
use crate::population::payment::{FraudType, Payment};
use crate::population::purchase::by_card;
use crate::population::season::HOUR_MS;
use crate::population::stream::{Stream, cumulate, log_normal, weighted};

pub(super) fn payments(market: &Market) -> Vec<Payment> {
    incidents(market, market.process.incidents.stolen_cards)
        .flat_map(|index| spree(market, index))
        .collect()
}

fn spree(market: &Market, index: u32) -> Vec<Payment> {
    let mut chance = Stream::StolenCard(index).open(market.seed);
    let customer = victim(market, &mut chance);
    let theft = moment(market, &mut chance);
    let town = if chance.random::<f64>() < 0.3 {
        market.customers[customer as usize].town
    } else {
        chance.random_range(0..market.towns.len())
    };
    // The owner notices once, and disputes every charge together.
    let known_at = label::report(&mut chance, FraudType::StolenCard, theft);
    let pause = Exp::new(1.0 / 0.8).expect("the rate is positive");
    let mut ts = theft;
    let mut charges = Vec::new();
    for _ in 0..chance.random_range(3..=9) {
        ts += (pause.sample(&mut chance) * HOUR_MS as f64) as i64 / 1_000 * 1_000 + 60_000;
        let Some(mut charge) = charge(market, &mut chance, customer, town, ts) else {
            continue;
        };
        charge.fraud = Some(FraudType::StolenCard);
        charge.reported_at = known_at.map(|known_at| known_at.max(ts + HOUR_MS));
        charges.push(charge);
    }
    charges
}

fn charge(
    market: &Market,
    chance: &mut impl Rng,
    customer: u32,
    town: usize,
    ts: i64,
) -> Option<Payment> {
    let kind = if chance.random::<f64>() < 0.6 {
        RESOLD[chance.random_range(0..RESOLD.len())]
    } else {
        weighted(
            chance,
            &cumulate(CATEGORIES.iter().map(|category| category.weight)),
        )
    };
    let merchant = market.merchant_near(chance, kind, town)?;
    let price = CATEGORIES[kind].price * chance.random_range(2.0..6.0);
    let amount = log_normal(chance, price, 0.4);
    Some(by_card(market, chance, customer, merchant, ts, amount))
}
