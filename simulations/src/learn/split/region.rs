//! Banks with a region: customers who visit the same outlets share a bank. No coordinates are
//! read, so it works on any feed whose outlets are somewhere.
//!
//! Customers and outlets are a graph, an edge for each pair that met. One customer after another
//! is taken as a bank's seed, each the one that the banks before it reach least. Then, a number
//! of times: an outlet is as much a bank's as its visitors are; a customer is as near to a bank
//! as the outlets visited are its, outlets counting less the more customers they have; and the
//! customers are dealt again, the nearest pairs first, until every bank has its size. It is
//! k-means with capacities, on a graph.

use std::collections::{BTreeMap, BTreeSet};

use super::super::feed::Feed;
use super::lot;

/// Times at most that customers are dealt anew.
const DEALS: usize = 24;
/// Steps that a seed's nearness spreads before the first deal: enough to reach every customer of
/// a map that is some ten times as wide as a customer's way.
const SPREADS: usize = 6;

/// The bank of every customer, given how many each bank takes.
pub(super) fn banks_of(feed: &Feed, sizes: &[usize], seed: u64) -> Vec<u16> {
    let graph = Graph::new(feed);
    let customers = 0..feed.customers.len();
    let lots: Vec<_> = customers
        .map(|customer| lot(feed, customer, "tie", seed))
        .collect();
    let mut banks = deal(&graph.around_seeds(&lots, sizes.len()), sizes, &lots);
    for _ in 0..DEALS {
        let owned = banks.iter().map(|&bank| {
            let mut row = vec![0.0; sizes.len()];
            row[usize::from(bank)] = 1.0;
            row
        });
        let nearness = graph.spread(&owned.collect::<Vec<_>>());
        let next = deal(&nearness, sizes, &lots);
        if next == banks {
            break;
        }
        banks = next;
    }
    banks
}

/// Who met whom; customers and outlets by number.
struct Graph {
    visited: Vec<Vec<u32>>,
    visitors: Vec<u32>,
}

impl Graph {
    fn new(feed: &Feed) -> Self {
        let mut numbers = BTreeMap::new();
        let mut pairs = BTreeSet::new();
        for payment in &feed.payments {
            if let Some(outlet) = payment.outlet {
                let next = u32::try_from(numbers.len()).expect("no more outlets than tokens");
                pairs.insert((payment.customer, *numbers.entry(outlet).or_insert(next)));
            }
        }
        let mut visited = vec![Vec::new(); feed.customers.len()];
        let mut visitors = vec![0; numbers.len()];
        for (customer, outlet) in pairs {
            visited[customer as usize].push(outlet);
            visitors[outlet as usize] += 1;
        }
        Self { visited, visitors }
    }

    /// How near every customer is to each bank, from how much of a bank's every customer is.
    fn spread(&self, customers: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let width = customers.first().map_or(0, Vec::len);
        let mut outlets = vec![vec![0.0; width]; self.visitors.len()];
        for (row, visited) in customers.iter().zip(&self.visited) {
            for &outlet in visited {
                let share = 1.0 / f64::from(self.visitors[outlet as usize]);
                for (sum, value) in outlets[outlet as usize].iter_mut().zip(row) {
                    *sum += share * value;
                }
            }
        }
        let near = |visited: &Vec<u32>| {
            let (mut row, mut whole) = (vec![0.0; width], f64::MIN_POSITIVE);
            for &outlet in visited {
                // An outlet that everybody visits says little of where anybody lives.
                let weight = 1.0 / f64::from(self.visitors[outlet as usize]).sqrt();
                whole += weight;
                for (sum, value) in row.iter_mut().zip(&outlets[outlet as usize]) {
                    *sum += weight * value;
                }
            }
            row.iter_mut().for_each(|sum| *sum /= whole);
            row
        };
        self.visited.iter().map(near).collect()
    }

    /// Nearness to as many seeds as there are banks, far from one another.
    fn around_seeds(&self, lots: &[[u8; 32]], banks: usize) -> Vec<Vec<f64>> {
        let customers = self.visited.len();
        let mut rows: Vec<Vec<f64>> = vec![Vec::with_capacity(banks); customers];
        let mut reached = vec![0.0; customers];
        for _ in 0..banks {
            let less = |a: &usize, b: &usize| {
                let by_reach = f64::total_cmp(&reached[*a], &reached[*b]);
                by_reach.then(lots[*a].cmp(&lots[*b]))
            };
            let start = (0..customers)
                .min_by(less)
                .expect("there are customers to deal");
            let mut near = vec![vec![0.0]; customers];
            near[start][0] = 1.0;
            for _ in 0..SPREADS {
                near = self.spread(&near);
            }
            let most = near
                .iter()
                .map(|row| row[0])
                .fold(f64::MIN_POSITIVE, f64::max);
            // Whoever is a seed is nobody else's, even where no payment joins it to anybody.
            near[start][0] = near[start][0].max(most);
            for ((row, sum), near) in rows.iter_mut().zip(&mut reached).zip(near) {
                row.push(near[0]);
                *sum += near[0] / most;
            }
        }
        rows
    }
}

/// The nearest pairs first, while the bank has room; equals by lot.
fn deal(nearness: &[Vec<f64>], sizes: &[usize], lots: &[[u8; 32]]) -> Vec<u16> {
    let mut pairs = Vec::with_capacity(nearness.len() * sizes.len());
    for (customer, row) in nearness.iter().enumerate() {
        // What counts is a bank's part of all nearness: whoever is between two banks waits.
        let whole = row.iter().sum::<f64>().max(f64::MIN_POSITIVE);
        pairs.extend(
            (0..)
                .zip(row)
                .map(|(bank, near)| (near / whole, customer, bank)),
        );
    }
    pairs.sort_by(|a: &(f64, usize, u16), b| {
        let by_lot = lots[a.1].cmp(&lots[b.1]).then(a.2.cmp(&b.2));
        b.0.total_cmp(&a.0).then(by_lot)
    });
    let mut room = sizes.to_vec();
    let mut banks = vec![None; nearness.len()];
    for (_, customer, bank) in pairs {
        if banks[customer].is_none() && room[usize::from(bank)] > 0 {
            room[usize::from(bank)] -= 1;
            banks[customer] = Some(bank);
        }
    }
    let dealt = banks
        .into_iter()
        .map(|bank| bank.expect("the sizes add up to everybody"));
    dealt.collect()
}
