//! A terminal copies the cards it sees for some weeks, and charges some copies again.
//!
//! The copies have the amounts of that shop, at its hours, within days: the card looks much as
//! ever. What gives them away is the terminal, over the cards of all banks.

use std::collections::BTreeMap;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{incidents, moment, reported};
use crate::population::category::CASH;
use crate::population::market::Market;
use crate::population::payment::{EntryMode, FraudType, Payee, Payment};
use crate::population::purchase::by_card;
use crate::population::season::DAY_MS;
use crate::population::stream::{Stream, cumulate, log_normal, weighted};

/// One terminal's bad weeks.
struct Incident {
    chance: ChaCha8Rng,
    from: i64,
    to: i64,
    /// Share of visits whose card is copied.
    share: f64,
}

pub(super) fn payments(market: &Market, genuine: &[Payment]) -> Vec<Payment> {
    let mut compromised = compromised(market);
    let mut payments = Vec::new();
    for visit in genuine {
        let Payee::Terminal { merchant, terminal } = visit.payee else {
            continue;
        };
        let Some(incident) = compromised.get_mut(&terminal) else {
            continue;
        };
        let is_open = (incident.from..incident.to).contains(&visit.ts);
        if is_open && incident.chance.random::<f64>() < incident.share {
            for _ in 0..incident.chance.random_range(1..=3) {
                payments.push(copy(market, incident, visit, merchant));
            }
        }
    }
    payments
}

/// The compromised terminals; one that is drawn twice keeps its later incident.
fn compromised(market: &Market) -> BTreeMap<u32, Incident> {
    let home = market.towns[0].country;
    let weights = cumulate(market.merchants.iter().map(|merchant| {
        let suits = merchant.place.is_some() && merchant.country == home;
        if suits && merchant.category != CASH {
            merchant.popularity.powf(0.3)
        } else {
            0.0
        }
    }));
    incidents(market, market.process.incidents.compromised_terminals)
        .map(|index| {
            let mut chance = Stream::CompromisedTerminal(index).open(market.seed);
            let merchant = weighted(&mut chance, &weights);
            let terminal = chance.random_range(market.merchants[merchant].terminals.clone());
            // Some began before the first day.
            let from = moment(market, &mut chance) - 10 * DAY_MS;
            let to = from + chance.random_range(18..40) * DAY_MS;
            let share = chance.random_range(0.6..0.95);
            (
                terminal,
                Incident {
                    chance,
                    from,
                    to,
                    share,
                },
            )
        })
        .collect()
}

fn copy(market: &Market, incident: &mut Incident, visit: &Payment, merchant: u32) -> Payment {
    let chance = &mut incident.chance;
    let category = market.category_of(merchant);
    let price = 1.3 * category.price * market.merchants[merchant as usize].price;
    let amount = log_normal(chance, price, category.spread);
    let days = chance.random_range(0..6);
    let ts = (visit.ts.div_euclid(DAY_MS) + days) * DAY_MS + category.visit(chance, 0.0);
    // The copy is never charged before there is one.
    let ts = if ts > visit.ts { ts } else { ts + DAY_MS };
    let mut payment = by_card(market, chance, visit.customer, merchant, ts, amount);
    payment.payee = visit.payee;
    // A chip cannot be copied; the stripe can, where the terminal does not make one up.
    if chance.random::<f64>() < 0.35 {
        payment.entry_mode = Some(EntryMode::Magstripe);
    }
    reported(payment, FraudType::CompromisedTerminal, chance)
}
