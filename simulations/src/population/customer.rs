//! Customers: where they live, what they spend, whom they know, when they are away.
//!
//! Traits come from the customer's own stream; the bank is dealt afterwards, so that a bank
//! has a region and a kind of customer. What they then buy is in `purchase`.

use rand::{Rng, RngExt};
use rand_distr::{Distribution, Exp, Gamma};

use super::category::CATEGORIES;
use super::market::Market;
use super::payment::Place;
use super::share;
use super::stream::{Stream, cumulate, log_normal, normal, weighted};

/// A customer's habits.
pub(crate) struct Customer {
    pub(crate) bank: u16,
    pub(crate) town: usize,
    pub(crate) home: Place,
    /// Multiplies every amount.
    pub(crate) spend: f64,
    /// Card payments on an ordinary day.
    pub(crate) cadence: f64,
    /// Hours by which the day begins later than other people's.
    pub(crate) late: f64,
    /// Running preference over categories.
    pub(crate) taste: Vec<f64>,
    /// Share of purchases at a distance where a category offers both.
    pub(crate) remote: f64,
    /// Usual merchants, `[category]`, most usual first.
    pub(crate) favourites: Vec<Vec<u32>>,
    pub(crate) trips: Vec<Trip>,
    /// Customers who are sent money now and then.
    pub(crate) friends: Vec<u32>,
    /// Monthly rent in minor units, and the day of the month on which it is paid.
    pub(crate) rent: Option<(i64, u32)>,
}

/// Days away, from the first day to the last.
pub(crate) struct Trip {
    pub(crate) from: i32,
    pub(crate) to: i32,
    pub(crate) town: usize,
}

/// Every customer of the country, each with a bank.
pub(crate) fn all(market: &Market) -> Vec<Customer> {
    let count = market.process.customers;
    let mut customers: Vec<Customer> = (0..count).map(|index| resident(market, index)).collect();
    let mut chance = Stream::Dealing.open(market.seed);
    let banks = share::deal(
        &mut chance,
        &market.process.bank_shares,
        count,
        |index, bank| affinity(market, &customers[index as usize], bank),
    );
    for (customer, bank) in customers.iter_mut().zip(banks) {
        customer.bank = bank;
    }
    customers
}

/// How much a bank suits a customer: all but the largest have a region, and each has its own
/// place between thrift and wealth.
fn affinity(market: &Market, customer: &Customer, bank: usize) -> f64 {
    const WEALTH: [f64; 5] = [0.0, 0.6, -0.6, 1.0, -1.0];
    let towns = market.process.towns as usize;
    let region = if bank == 0 {
        0.0
    } else {
        let seat = market.towns[bank % towns].centre;
        (-(seat.distance(customer.home) / 25.0).powi(2)).exp()
    };
    let wealth = WEALTH[bank % WEALTH.len()] * customer.spend.ln() / 0.45;
    (market.process.region_tilt * region + market.process.spend_tilt * wealth).exp()
}

fn resident(market: &Market, index: u32) -> Customer {
    let mut chance = Stream::Resident(index).open(market.seed);
    let town = weighted(&mut chance, &market.town_sizes);
    let centre = market.towns[town].centre;
    let home = Place {
        x: centre.x + 2.0 * normal(&mut chance),
        y: centre.y + 2.0 * normal(&mut chance),
    };
    let spend = log_normal(&mut chance, 1.0, 0.45);
    let spread: f64 = 0.6;
    // The mean of the log-normal is brought to the process's.
    let cadence = market.process.purchases_per_day
        * log_normal(&mut chance, (-spread * spread / 2.0).exp(), spread);
    let late = (1.2 * normal(&mut chance)).clamp(-3.0, 3.0);
    let variety = Gamma::new(2.0, 0.5).expect("shape and scale are positive");
    let taste = cumulate(
        CATEGORIES
            .iter()
            .map(|category| category.weight * variety.sample(&mut chance)),
    );
    let remote = chance.random_range(0.05..0.6);
    let rent = (chance.random::<f64>() < 0.55).then(|| {
        (
            (log_normal(&mut chance, 70_000.0, 0.3)) as i64,
            chance.random_range(1..6),
        )
    });
    let trips = trips(market, &mut chance, town);
    let friends = friends(market, &mut chance, index);
    let favourites = favourites(market, index, town);
    Customer {
        bank: 0,
        town,
        home,
        spend,
        cadence: cadence.clamp(0.05, 6.0),
        late,
        taste,
        remote,
        favourites,
        trips,
        friends,
        rent,
    }
}

/// One trip in eighty days, of two to twelve days; one in three leads abroad.
fn trips(market: &Market, chance: &mut impl Rng, home: usize) -> Vec<Trip> {
    let pause = Exp::new(1.0 / 80.0).expect("the rate is positive");
    let last = market.process.first_day + i32::from(market.process.days);
    let towns = market.process.towns as usize;
    let mut day = market.process.first_day;
    let mut trips = Vec::new();
    loop {
        let from = day + pause.sample(chance) as i32 + 1;
        if from >= last {
            return trips;
        }
        let to = from + chance.random_range(2..=12);
        let town = if chance.random::<f64>() < 0.33 {
            chance.random_range(towns..market.towns.len())
        } else {
            chance.random_range(0..towns)
        };
        if town != home {
            trips.push(Trip { from, to, town });
        }
        day = to + 1;
    }
}

fn friends(market: &Market, chance: &mut impl Rng, own: u32) -> Vec<u32> {
    let count = chance.random_range(2..=6);
    (0..count)
        .map(|_| chance.random_range(0..market.process.customers))
        .filter(|friend| *friend != own)
        .collect()
}

/// One to four usual merchants of each category, near home where they have places.
fn favourites(market: &Market, index: u32, town: usize) -> Vec<Vec<u32>> {
    let mut chance = Stream::Favourites(index).open(market.seed);
    (0..CATEGORIES.len())
        .map(|category| {
            let count = chance.random_range(1..=4);
            (0..count)
                .filter_map(|_| market.merchant_near(&mut chance, category, town))
                .collect()
        })
        .collect()
}

impl Customer {
    /// The town of this day: home, or where a trip leads.
    pub(crate) fn town_on(&self, day: i32) -> usize {
        let away = self
            .trips
            .iter()
            .find(|trip| (trip.from..=trip.to).contains(&day));
        away.map_or(self.town, |trip| trip.town)
    }
}
