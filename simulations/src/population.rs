//! Made-up banks: customers, merchants, their payments, and the frauds among them.
//!
//! Three processes: [`Everyday`], a small country with habits, seasons and five kinds of fraud;
//! [`Handbook`], the published simulator; and [`typology`], single payments without a history.
//! Each is a function of its parameters and a seed; `docs/generator.md` describes them with
//! measured figures. Writing files is in `generate`.

mod category;
mod customer;
mod fraud;
mod handbook;
mod label;
mod market;
mod payment;
mod purchase;
mod season;
mod share;
mod stream;
mod transfer;
pub mod typology;

pub use handbook::Handbook;
pub use payment::{
    Channel, EntryMode, FraudType, Payee, Payment, Place, Rail, UNDISPUTED_DAYS, Verdict,
};
pub use share::bank_shares;

pub(crate) use season::Date;

use season::DAY_MS;

/// The parameters of the everyday process: a country with habits.
#[derive(Clone, Debug, PartialEq)]
pub struct Everyday {
    /// First day, counted from 1970-01-01.
    pub first_day: i32,
    /// Number of days.
    pub days: u16,
    /// The share of customers of each bank; sums to 1.
    pub bank_shares: Vec<f64>,
    /// Number of customers.
    pub customers: u32,
    /// Number of merchants.
    pub merchants: u32,
    /// Number of towns customers live in.
    pub towns: u32,
    /// How much smaller banks keep to their own region; 0 is not at all.
    pub region_tilt: f64,
    /// How much banks differ in what their customers spend; 0 is not at all.
    pub spend_tilt: f64,
    /// Mean number of card payments of a customer on an ordinary day.
    pub purchases_per_day: f64,
    /// Incidents of each kind.
    pub incidents: Incidents,
    /// Share of reported frauds whose label is lost, with as many genuine payments
    /// disputed by mistake.
    pub wrong_labels: f64,
}

/// How many incidents begin per 100,000 days of a customer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Incidents {
    /// Terminals that begin to copy cards.
    pub compromised_terminals: f64,
    /// Cards stolen.
    pub stolen_cards: f64,
    /// Accounts taken over.
    pub takeovers: f64,
    /// Rings of mules recruited.
    pub mule_rings: f64,
    /// Lists of cards tried out.
    pub card_testings: f64,
}

impl Everyday {
    /// Five banks over 110 days from October to January: the size of the demo.
    pub fn demo() -> Self {
        Self {
            first_day: 20_362, // 2025-10-01
            days: 110,
            bank_shares: bank_shares(5),
            customers: 2_400,
            merchants: 2_400,
            towns: 12,
            region_tilt: 1.5,
            spend_tilt: 0.5,
            purchases_per_day: 0.95,
            incidents: Incidents {
                compromised_terminals: 8.0,
                stolen_cards: 22.0,
                takeovers: 20.0,
                mule_rings: 6.0,
                card_testings: 5.0,
            },
            wrong_labels: 0.0,
        }
    }

    /// Three banks over 45 days: the size of a test, with more fraud than the demo.
    pub fn small() -> Self {
        let demo = Self::demo();
        let Incidents {
            compromised_terminals,
            stolen_cards,
            takeovers,
            ..
        } = demo.incidents;
        Self {
            days: 45,
            bank_shares: bank_shares(3),
            customers: 420,
            merchants: 500,
            towns: 6,
            incidents: Incidents {
                compromised_terminals: 2.0 * compromised_terminals,
                stolen_cards: 2.0 * stolen_cards,
                takeovers: 2.0 * takeovers,
                mule_rings: 14.0,
                card_testings: 14.0,
            },
            ..demo
        }
    }

    /// Every payment, ordered by time; the same for the same seed.
    pub fn payments(&self, seed: u64) -> Vec<Payment> {
        let market = market::Market::new(self, seed);
        let mut payments: Vec<Payment> = (0..self.customers)
            .flat_map(|customer| {
                let mut own = purchase::of(&market, customer);
                own.extend(transfer::of(&market, customer));
                own
            })
            .collect();
        let frauds = fraud::all(&market, &payments);
        payments.extend(frauds);
        label::mistake(&mut payments, self.wrong_labels, seed);
        // The sort is stable and its input has one order, so ties have one order too.
        payments.sort_by_key(|payment| (payment.ts, payment.customer));
        payments
    }

    /// The first millisecond, and the first one after the last.
    fn span(&self) -> (i64, i64) {
        let from = i64::from(self.first_day) * DAY_MS;
        (from, from + i64::from(self.days) * DAY_MS)
    }

    /// How many incidents begin, where `rate` of them begin per 100,000 customer days.
    fn incident_count(&self, rate: f64) -> u32 {
        let customer_days = f64::from(self.customers) * f64::from(self.days);
        (rate * customer_days / 100_000.0).round().max(1.0) as u32
    }
}

#[cfg(test)]
mod tests;
