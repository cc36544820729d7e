//! Rings of mules: a deceived customer pays a mule at another bank, who passes most of it on
//! within the hour, twice or three times. A ring is used for weeks, by victims of every bank.

use rand::{Rng, RngExt};

use super::{incidents, moment, reported, victim};
use crate::population::market::{Market, at};
use crate::population::payment::{FraudType, Payment, Rail};
use crate::population::season::DAY_MS;
use crate::population::stream::{Stream, log_normal, normal};
use crate::population::transfer::{account, by_account};

/// Mules of a ring.
const MULES: usize = 6;

pub(super) fn payments(market: &Market) -> Vec<Payment> {
    incidents(market, market.process.incidents.mule_rings)
        .flat_map(|index| ring(market, index))
        .collect()
}

fn ring(market: &Market, index: u32) -> Vec<Payment> {
    let mut chance = Stream::MuleRing(index).open(market.seed);
    let mules: [u32; MULES] = std::array::from_fn(|_| victim(market, &mut chance));
    let from = moment(market, &mut chance).div_euclid(DAY_MS) - 10;
    let days = chance.random_range(15..40);
    let chains = chance.random_range(5..=11);
    (0..chains)
        .flat_map(|_| {
            let day = from + chance.random_range(0..days);
            let ts = day * DAY_MS + at(14.0 + 3.0 * normal(&mut chance));
            chain(market, &mut chance, &mules, ts)
        })
        .collect()
}

fn chain(market: &Market, chance: &mut impl Rng, mules: &[u32; MULES], start: i64) -> Vec<Payment> {
    let hops = chance.random_range(2..=4);
    let first = chance.random_range(0..MULES);
    let mut payer = victim(market, chance);
    let mut amount = log_normal(chance, 90_000.0, 0.6);
    let mut ts = start;
    let mut payments = Vec::new();
    for hop in 0..hops {
        let mule = mules[(first + hop) % MULES];
        let rail = if chance.random::<f64>() < 0.7 {
            Rail::SctInst
        } else {
            Rail::P2p
        };
        if mule != payer {
            let payee = account(market, mule);
            let payment = by_account(market, payer, payee, rail, ts, amount);
            payments.push(reported(payment, FraudType::Mule, chance));
        }
        payer = mule;
        amount *= chance.random_range(0.85..0.97);
        ts += chance.random_range(5 * 60..90 * 60) * 1_000;
    }
    payments
}
