//! The country: towns, merchants with their terminals, and the customers among them.
//!
//! Built once and only read afterwards. How a customer lives is in `customer`; what is
//! bought is in `purchase`.

use rand::{Rng, RngExt};

use super::Everyday;
use super::category::{CASH, CATEGORIES, Category};
use super::customer::{self, Customer};
use super::payment::{Payee, Place};
use super::season::{HOUR_MS, SECOND_MS};
use super::stream::{Stream, cumulate, log_normal, normal, weighted};

/// Everything that stands still.
pub(crate) struct Market {
    pub(crate) process: Everyday,
    pub(crate) seed: u64,
    pub(crate) towns: Vec<Town>,
    pub(crate) merchants: Vec<Merchant>,
    pub(crate) customers: Vec<Customer>,
    /// Running popularity of customers' towns, for the draw of a home.
    pub(crate) town_sizes: Vec<f64>,
    /// `[category][town]`: merchants with a place there; the last row is at a distance.
    shelves: Vec<Vec<Shelf>>,
}

/// A town, at home or abroad.
pub(crate) struct Town {
    pub(crate) centre: Place,
    pub(crate) country: &'static str,
}

/// A merchant.
pub(crate) struct Merchant {
    pub(crate) category: usize,
    /// Where its terminals stand; absent where it sells only at a distance.
    pub(crate) place: Option<Place>,
    pub(crate) country: &'static str,
    /// Multiplies the category's median amount.
    pub(crate) price: f64,
    /// Zipf-like: a few are known to all.
    pub(crate) popularity: f64,
    pub(crate) terminals: std::ops::Range<u32>,
}

/// Merchants of one category in one town, with running popularity.
#[derive(Default)]
struct Shelf {
    merchants: Vec<u32>,
    popularity: Vec<f64>,
}

/// Towns abroad, where customers travel to and some sites sit.
const ABROAD: [Town; 3] = [
    Town {
        centre: Place { x: 20.0, y: -60.0 },
        country: "ES",
    },
    Town {
        centre: Place { x: 150.0, y: -10.0 },
        country: "IT",
    },
    Town {
        centre: Place { x: 130.0, y: 120.0 },
        country: "DE",
    },
];
const SITE_COUNTRIES: [&str; 6] = ["LU", "IE", "NL", "DE", "US", "CN"];
const HOME_COUNTRY: &str = "FR";

impl Market {
    pub(crate) fn new(process: &Everyday, seed: u64) -> Self {
        let towns = towns(process.towns, seed);
        let town_sizes = cumulate((0..process.towns).map(|rank| f64::from(rank + 1).powf(-0.8)));
        let mut terminals = 0;
        let merchants: Vec<Merchant> = (0..process.merchants)
            .map(|index| {
                let merchant = merchant(index, &towns, &town_sizes, terminals, seed);
                terminals = merchant.terminals.end;
                merchant
            })
            .collect();
        let mut market = Self {
            process: process.clone(),
            seed,
            shelves: shelves(&towns, &merchants),
            towns,
            merchants,
            customers: Vec::new(),
            town_sizes,
        };
        market.customers = customer::all(&market);
        market
    }

    /// A merchant of this category near this town, by popularity; the nearest town that has
    /// one serves where this one has none.
    pub(crate) fn merchant_near(
        &self,
        chance: &mut impl Rng,
        category: usize,
        town: usize,
    ) -> Option<u32> {
        let here = self.towns[town].centre;
        let distance = |other: &usize| self.towns[*other].centre.distance(here);
        let shelf = (0..self.towns.len())
            .filter(|other| !self.shelves[category][*other].merchants.is_empty())
            .min_by(|left, right| distance(left).total_cmp(&distance(right)))?;
        self.shelves[category][shelf].draw(chance)
    }

    /// A merchant of this category that sells at a distance, by popularity.
    pub(crate) fn merchant_remote(&self, chance: &mut impl Rng, category: usize) -> Option<u32> {
        self.shelves[category].last()?.draw(chance)
    }

    /// How this merchant is paid: at one of its terminals, or at a distance.
    pub(crate) fn payee(&self, chance: &mut impl Rng, merchant: u32) -> Payee {
        let terminals = self.merchants[merchant as usize].terminals.clone();
        if terminals.is_empty() {
            return Payee::Site { merchant };
        }
        Payee::Terminal {
            merchant,
            terminal: chance.random_range(terminals),
        }
    }

    /// The category of a merchant.
    pub(crate) fn category_of(&self, merchant: u32) -> &'static Category {
        &CATEGORIES[self.merchants[merchant as usize].category]
    }
}

impl Shelf {
    fn draw(&self, chance: &mut impl Rng) -> Option<u32> {
        if self.merchants.is_empty() {
            return None;
        }
        Some(self.merchants[weighted(chance, &self.popularity)])
    }
}

impl Category {
    /// A time of day in ms at which this category is visited; `shift` moves it by hours.
    pub(crate) fn visit(&self, chance: &mut impl Rng, shift: f64) -> i64 {
        let (from, to) = self.open;
        for _ in 0..8 {
            let busy = if chance.random::<bool>() {
                self.busy.0
            } else {
                self.busy.1
            };
            let hour = busy + shift + 2.2 * normal(chance);
            if (from..to).contains(&hour) {
                return at(hour);
            }
        }
        at(chance.random_range(from..to))
    }
}

/// An hour of the day as ms since midnight, on a whole second.
pub(crate) fn at(hour: f64) -> i64 {
    let hour = hour.rem_euclid(24.0);
    (hour * HOUR_MS as f64) as i64 / SECOND_MS * SECOND_MS
}

fn towns(count: u32, seed: u64) -> Vec<Town> {
    let mut chance = Stream::Cities.open(seed);
    let mut coordinate = || chance.random_range(8.0..92.0);
    (0..count)
        .map(|_| Place {
            x: coordinate(),
            y: coordinate(),
        })
        .map(|centre| Town {
            centre,
            country: HOME_COUNTRY,
        })
        .chain(ABROAD)
        .collect()
}

/// One merchant; its terminals are numbered from `terminals`.
fn merchant(index: u32, towns: &[Town], town_sizes: &[f64], terminals: u32, seed: u64) -> Merchant {
    let mut chance = Stream::Merchant(index).open(seed);
    // Kinds that are visited often have larger shops, not only more of them.
    let shares = cumulate(CATEGORIES.iter().map(|category| category.weight.powf(0.6)));
    let category = weighted(&mut chance, &shares);
    let remote = chance.random::<f64>() < CATEGORIES[category].remote;
    let town = if chance.random::<f64>() < 0.06 {
        towns.len() - 1 - chance.random_range(0..ABROAD.len())
    } else {
        weighted(&mut chance, town_sizes)
    };
    let centre = towns[town].centre;
    let place = Place {
        x: centre.x + 1.5 * normal(&mut chance),
        y: centre.y + 1.5 * normal(&mut chance),
    };
    // A Pareto tail of exponent 1.2 gives ranks that fall like Zipf's.
    let popularity = (1.0 - chance.random::<f64>()).powf(-1.0 / 1.2).min(60.0);
    let price = if category == CASH {
        1.0
    } else {
        log_normal(&mut chance, 1.0, 0.25)
    };
    let foreign_site = remote && chance.random::<f64>() < 0.3;
    let site_country = SITE_COUNTRIES[chance.random_range(0..SITE_COUNTRIES.len())];
    let tills = 1 + u32::from(popularity > 4.0) + u32::from(popularity > 12.0);
    let count = if remote { 0 } else { tills };
    Merchant {
        category,
        place: (!remote).then_some(place),
        country: match (remote, foreign_site) {
            (true, true) => site_country,
            (true, false) => HOME_COUNTRY,
            (false, _) => towns[town].country,
        },
        price,
        popularity,
        terminals: terminals..terminals + count,
    }
}

fn shelves(towns: &[Town], merchants: &[Merchant]) -> Vec<Vec<Shelf>> {
    let nearest = |place: Place| {
        (0..towns.len())
            .min_by(|left, right| {
                let distance = |town: &usize| towns[*town].centre.distance(place);
                distance(left).total_cmp(&distance(right))
            })
            .expect("there is a town")
    };
    let mut shelves: Vec<Vec<Shelf>> = (0..CATEGORIES.len())
        .map(|_| (0..=towns.len()).map(|_| Shelf::default()).collect())
        .collect();
    for (index, merchant) in (0..).zip(merchants) {
        let row = merchant.place.map_or(towns.len(), nearest);
        let shelf = &mut shelves[merchant.category][row];
        let below = shelf.popularity.last().copied().unwrap_or(0.0);
        shelf.merchants.push(index);
        shelf.popularity.push(below + merchant.popularity);
    }
    shelves
}
