//! What payments cost, each held against its own kind: of the same rail, to the same kind of payee,
//! of the same merchant category. Days with more rents than others are not dearer days, and prices
//! of a kind vary less than those of all. Amounts are never kept, only their sums.

use std::collections::BTreeMap;

use features::{Category, Transaction};

use super::sketch::DEVIATION_MIN;
use super::yardstick::Yardstick;

/// What one payment cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Price {
    kind: Kind,
    /// Of the amount in major units and one, as the feature is.
    logarithm: f64,
}

/// Rail, kind of payee and merchant category; as many as the vocabularies allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    rail: &'static str,
    payee: Option<&'static str>,
    category: Category,
}

/// Prices of some payments.
#[derive(Clone, Debug, Default)]
pub(super) struct Prices(BTreeMap<Kind, Sums>);

#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    count: f64,
    sum: f64,
    squares: f64,
}

/// Prices of a reference.
#[derive(Clone, Debug)]
pub(super) struct Usually {
    /// What each kind costs, over all days.
    means: BTreeMap<Kind, f64>,
    /// Of prices within their kinds.
    deviation: f64,
    /// How much dearer each day was than that.
    days: BTreeMap<i32, Level>,
}

/// How much dearer payments were than their kinds are.
#[derive(Clone, Copy, Debug)]
struct Level {
    count: f64,
    mean: f64,
}

impl Price {
    pub(super) fn of(payment: &Transaction) -> Self {
        Self {
            kind: Kind {
                rail: payment.rail.word(),
                payee: payment.counterparty_kind.map(|kind| kind.word()),
                category: Category::of(payment.mcc),
            },
            logarithm: payment.amount_major().ln_1p(),
        }
    }
}

impl Prices {
    pub(super) fn add(&mut self, price: &Price) {
        let sums = self.0.entry(price.kind).or_default();
        sums.count += 1.0;
        sums.sum += price.logarithm;
        sums.squares += price.logarithm * price.logarithm;
    }

    fn merge(&mut self, other: &Self) {
        for (kind, of) in &other.0 {
            let sums = self.0.entry(*kind).or_default();
            sums.count += of.count;
            sums.sum += of.sum;
            sums.squares += of.squares;
        }
    }

    /// Kinds that are not known say nothing of how dear a day is.
    fn level(&self, means: &BTreeMap<Kind, f64>) -> Level {
        let (mut count, mut dearer) = (0.0, 0.0);
        for (kind, sums) in &self.0 {
            if let Some(mean) = means.get(kind) {
                count += sums.count;
                dearer += sums.sum - mean * sums.count;
            }
        }
        Level {
            count,
            mean: if count > 0.0 { dearer / count } else { 0.0 },
        }
    }
}

impl Usually {
    /// What the days of a reference cost.
    pub(super) fn new<'a>(days: impl Iterator<Item = (i32, &'a Prices)> + Clone) -> Self {
        let mut all = Prices::default();
        days.clone().for_each(|(_, prices)| all.merge(prices));
        let mean = |sums: &Sums| sums.sum / sums.count;
        let means: BTreeMap<Kind, f64> = all
            .0
            .iter()
            .map(|(kind, sums)| (*kind, mean(sums)))
            .collect();
        let count: f64 = all.0.values().map(|sums| sums.count).sum();
        let squares: f64 = all
            .0
            .values()
            .map(|sums| sums.squares - sums.sum * mean(sums))
            .sum();
        let variance = squares.max(0.0) / count.max(1.0);
        Self {
            deviation: variance.sqrt().max(DEVIATION_MIN),
            days: days
                .map(|(day, prices)| (day, prices.level(&means)))
                .collect(),
            means,
        }
    }

    /// How much dearer payments are than the reference's on such days, in its deviations, signed.
    /// Nothing where none of them is of a kind that it knows.
    pub(super) fn distance<'a>(
        &self,
        found: impl Iterator<Item = (i32, &'a Prices)>,
        back: Option<i32>,
    ) -> Option<f64> {
        let levels = found.map(|(day, prices)| (day, prices.level(&self.means)));
        let levels: BTreeMap<i32, Level> = levels.collect();
        let yardstick = Yardstick::new(&counts(&levels), &counts(&self.days), back)?;
        let dearer: f64 = levels.values().map(|level| level.count * level.mean).sum();
        let expected = yardstick.of(|day| self.days[&day].mean);
        Some((dearer / yardstick.found - expected) / self.deviation)
    }
}

fn counts(levels: &BTreeMap<i32, Level>) -> BTreeMap<i32, f64> {
    let counts = levels.iter().map(|(day, level)| (*day, level.count));
    counts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARD: Kind = Kind {
        rail: "card",
        payee: Some("merchant"),
        category: Category::Grocery,
    };
    const RENT: Kind = Kind {
        rail: "sct",
        payee: Some("organisation"),
        category: Category::Unknown,
    };

    /// So many payments of a kind, half of them one below a price and half one above.
    fn prices(kinds: &[(Kind, u32, f64)]) -> Prices {
        let mut prices = Prices::default();
        for (kind, count, level) in kinds {
            for at in 0..*count {
                let logarithm = level + if at % 2 == 0 { 1.0 } else { -1.0 };
                prices.add(&Price {
                    kind: *kind,
                    logarithm,
                });
            }
        }
        prices
    }

    /// Two weeks of groceries, and of rents on two of the days.
    fn two_weeks() -> BTreeMap<i32, Prices> {
        let rents = |day: i32| if matches!(day, 3 | 4) { 100 } else { 0 };
        let day = |day| (day, prices(&[(CARD, 500, 3.0), (RENT, rents(day), 7.0)]));
        (0..14).map(day).collect()
    }

    fn distance(found: Prices) -> Option<f64> {
        let reference = two_weeks();
        let usually = Usually::new(reference.iter().map(|(day, prices)| (*day, prices)));
        usually.distance(std::iter::once((16, &found)), None)
    }

    // A tenth of rents moves the mean by .4 deviations and more, and no price has changed.
    #[test]
    fn more_payments_of_a_dear_kind_are_no_rise_of_prices() {
        let is = |kinds: &[(Kind, u32, f64)], expected: f64| {
            let found = distance(prices(kinds)).unwrap();
            assert!((found - expected).abs() < 1e-9, "{found}");
        };
        is(&[(CARD, 500, 3.0)], 0.0);
        is(&[(CARD, 500, 3.0), (RENT, 300, 7.0)], 0.0);
        // All are dearer, those of one kind in two are, all are cheaper.
        is(&[(CARD, 500, 3.25), (RENT, 300, 7.25)], 0.25);
        is(&[(CARD, 500, 3.5), (RENT, 500, 7.0)], 0.25);
        is(&[(CARD, 500, 2.5)], -0.5);
    }

    #[test]
    fn a_kind_that_is_new_says_nothing() {
        let new = Kind {
            payee: Some("person"),
            ..RENT
        };
        let found = distance(prices(&[(CARD, 500, 3.5), (new, 500, 9.0)]));
        assert!((found.unwrap() - 0.5).abs() < 1e-9, "{found:?}");
        assert_eq!(distance(prices(&[(new, 500, 9.0)])), None);
        assert_eq!(distance(Prices::default()), None);
        let nothing = Usually::new(std::iter::empty());
        let found = prices(&[(CARD, 9, 3.0)]);
        assert_eq!(nothing.distance(std::iter::once((3, &found)), None), None);
    }
}
