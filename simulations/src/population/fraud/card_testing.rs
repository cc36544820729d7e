//! A bought list of cards is tried out with tiny payments at one merchant within hours;
//! cards that work are charged in earnest days later.

use rand::{Rng, RngExt};

use super::{incidents, moment, remote_order, reported, victim};
use crate::population::category::{RESOLD_REMOTE, TESTED};
use crate::population::market::Market;
use crate::population::payment::{EntryMode, FraudType, Payment};
use crate::population::purchase::by_card;
use crate::population::season::{DAY_MS, HOUR_MS};
use crate::population::stream::Stream;

/// Share of tried cards that are charged in earnest.
const CHARGED: f64 = 0.3;

pub(super) fn payments(market: &Market) -> Vec<Payment> {
    incidents(market, market.process.incidents.card_testings)
        .flat_map(|index| list(market, index))
        .collect()
}

fn list(market: &Market, index: u32) -> Vec<Payment> {
    let mut chance = Stream::CardTesting(index).open(market.seed);
    let kind = TESTED[chance.random_range(0..TESTED.len())];
    let Some(merchant) = market.merchant_remote(&mut chance, kind) else {
        return Vec::new();
    };
    let start = moment(market, &mut chance);
    let hours = chance.random_range(2..=8);
    let mut payments = Vec::new();
    for _ in 0..chance.random_range(12..=30) {
        let card = victim(market, &mut chance);
        let ts = whole_second(start + chance.random_range(0..hours * HOUR_MS));
        payments.push(trial(market, &mut chance, card, merchant, ts));
        if chance.random::<f64>() < CHARGED {
            let later = ts + chance.random_range(HOUR_MS..6 * DAY_MS);
            let later = whole_second(later);
            let charge = remote_order(market, &mut chance, card, later, &RESOLD_REMOTE);
            payments.extend(
                charge.map(|payment| reported(payment, FraudType::CardTesting, &mut chance)),
            );
        }
    }
    payments
}

fn trial(market: &Market, chance: &mut impl Rng, card: u32, merchant: u32, ts: i64) -> Payment {
    let amount = chance.random_range(30.0..400.0);
    let mut payment = by_card(market, chance, card, merchant, ts, amount);
    payment.entry_mode = Some(EntryMode::Ecom);
    reported(payment, FraudType::CardTesting, chance)
}

fn whole_second(ts: i64) -> i64 {
    ts / 1_000 * 1_000
}
