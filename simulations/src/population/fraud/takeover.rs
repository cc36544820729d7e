//! Somebody else holds a customer's access: orders at a distance, mostly at night, and
//! transfers to accounts that were never paid before.

use rand::{Rng, RngExt};

use super::{incidents, moment, remote_order, victim};
use crate::population::category::RESOLD_REMOTE;
use crate::population::label;
use crate::population::market::{Market, at};
use crate::population::payment::{FraudType, Payment, Rail};
use crate::population::season::{DAY_MS, HOUR_MS};
use crate::population::stream::{Stream, log_normal};
use crate::population::transfer::{account, by_account};

pub(super) fn payments(market: &Market) -> Vec<Payment> {
    incidents(market, market.process.incidents.takeovers)
        .flat_map(|index| takeover(market, index))
        .collect()
}

fn takeover(market: &Market, index: u32) -> Vec<Payment> {
    let mut chance = Stream::Takeover(index).open(market.seed);
    let customer = victim(market, &mut chance);
    let day = moment(market, &mut chance).div_euclid(DAY_MS) * DAY_MS;
    let hour = if chance.random::<f64>() < 0.7 {
        chance.random_range(0.5..5.5)
    } else {
        chance.random_range(8.0..23.0)
    };
    let mut ts = day + at(hour);
    let known_at = label::report(&mut chance, FraudType::Takeover, ts);
    let by_transfer = chance.random::<f64>() < 0.4;
    let mut payments = Vec::new();
    for _ in 0..chance.random_range(2..=5) {
        ts += chance.random_range(120..1_800) * 1_000;
        let payment = if by_transfer {
            Some(drain(market, &mut chance, customer, ts))
        } else {
            remote_order(market, &mut chance, customer, ts, &RESOLD_REMOTE)
        };
        let Some(mut payment) = payment else { continue };
        payment.fraud = Some(FraudType::Takeover);
        payment.reported_at = known_at.map(|known_at| known_at.max(ts + HOUR_MS));
        payments.push(payment);
    }
    payments
}

fn drain(market: &Market, chance: &mut impl Rng, customer: u32, ts: i64) -> Payment {
    let receiver = account(market, victim(market, chance));
    let amount = log_normal(chance, 90_000.0, 0.6);
    by_account(market, customer, receiver, Rail::SctInst, ts, amount)
}
