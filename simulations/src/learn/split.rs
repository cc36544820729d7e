//! Who banks where. Every customer has one bank; banks are numbered from 0, and the shares of
//! customers are those of the published splits but for `iid`, whose banks are alike.
//!
//! - `iid`: a seeded shuffle, cut into equal parts.
//! - `spend`: by mean amount; the banks take stretches of that order in a seeded order of banks.
//! - `region`: by the outlets visited, `split/region.rs`.
//! - `column`, `typology`: as a column says, largest bank first.

use std::collections::BTreeMap;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::Failed;
use super::feed::Feed;
use crate::stage::deal;

mod region;

/// How customers are dealt to banks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Split {
    /// At random, in equal parts
    Iid,
    /// By the outlets they visit, in unlike sizes
    Region,
    /// By what they spend at once, in unlike sizes
    Spend,
    /// As `--column` says
    Column,
    /// As the generator dealt them: by the carried column `bank`
    Typology,
}

/// The terms of a deal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Deal<'a> {
    pub(super) split: Split,
    pub(super) banks: u16,
    /// Share of customers that go by region; the others are dealt at random. For `region` only.
    pub(super) regional: f64,
    /// Bank names by what the dealing column carries, where `--column` names a table.
    pub(super) table: Option<&'a BTreeMap<String, String>>,
}

impl Split {
    /// Its name on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Iid => "iid",
            Self::Region => "region",
            Self::Spend => "spend",
            Self::Column => "column",
            Self::Typology => "typology",
        }
    }
}

/// The bank of every customer, by number.
pub(super) fn banks_of(feed: &Feed, deal: Deal<'_>, seed: u64) -> Result<Vec<u16>, Failed> {
    let customers = feed.customers.len();
    if usize::from(deal.banks) > customers || deal.banks == 0 {
        return Err(format!(
            "found {customers} customers, expected at least one for each of {} banks",
            deal.banks
        )
        .into());
    }
    match deal.split {
        Split::Iid => {
            let sizes = sizes(customers, &vec![1.0; usize::from(deal.banks)]);
            Ok(cut(&shuffled(feed, seed), &sizes))
        }
        Split::Spend => Ok(by_spend(feed, deal.banks, seed)),
        Split::Region => {
            let sizes = sizes(customers, &deal::shares(deal.banks));
            let regional = region::banks_of(feed, &sizes, seed);
            Ok(partly(feed, regional, &sizes, deal.regional, seed))
        }
        Split::Column | Split::Typology => by_column(feed, deal),
    }
}

/// How many customers each bank has: shares of all of them, and at least one.
fn sizes(customers: usize, shares: &[f64]) -> Vec<usize> {
    let whole: f64 = shares.iter().sum();
    let spare = (customers - shares.len()) as f64;
    let mut upto = 0.0;
    let mut dealt = 0;
    let size = |share: &f64| {
        upto += share / whole;
        let size = (upto * spare).round() as usize - dealt;
        dealt += size;
        size + 1
    };
    shares.iter().map(size).collect()
}

/// Customers in a seeded order that does not depend on the order of the feed.
fn shuffled(feed: &Feed, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..feed.customers.len()).collect();
    order.sort_by_cached_key(|&customer| lot(feed, customer, "deal", seed));
    order
}

/// A customer's lot in one drawing.
pub(super) fn lot(feed: &Feed, customer: usize, purpose: &str, seed: u64) -> [u8; 32] {
    let customer = &feed.customers[customer];
    let (account, column) = (customer.account.as_bytes(), customer.column.as_bytes());
    let parts = [purpose.as_bytes(), &seed.to_be_bytes(), account, column];
    crypto::tagged("csa1/learn/lot", &parts).0
}

/// Gives the banks consecutive stretches of `order`.
fn cut(order: &[usize], sizes: &[usize]) -> Vec<u16> {
    let mut banks = vec![0; order.len()];
    let owners = (0..)
        .zip(sizes)
        .flat_map(|(bank, &size)| (0..size).map(move |_| bank));
    for (&customer, bank) in order.iter().zip(owners) {
        banks[customer] = bank;
    }
    banks
}

fn by_spend(feed: &Feed, banks: u16, seed: u64) -> Vec<u16> {
    let mut spent = vec![(0_i64, 0_i64); feed.customers.len()];
    for payment in &feed.payments {
        let (sum, count) = &mut spent[payment.customer as usize];
        *sum = sum.saturating_add(payment.amount());
        *count += 1;
    }
    let mean = |customer: usize| spent[customer].0 as f64 / spent[customer].1.max(1) as f64;
    let mut order: Vec<usize> = (0..feed.customers.len()).collect();
    order.sort_by(|&a, &b| mean(a).total_cmp(&mean(b)).then(a.cmp(&b)));
    let mut places: Vec<u16> = (0..banks).collect();
    places.sort_by_cached_key(|bank| {
        crypto::tagged(
            "csa1/learn/spend",
            &[&seed.to_be_bytes(), &bank.to_be_bytes()],
        )
        .0
    });
    let sizes = sizes(order.len(), &deal::shares(banks));
    let stretches: Vec<usize> = places
        .iter()
        .map(|&bank| sizes[usize::from(bank)])
        .collect();
    let by_place = cut(&order, &stretches);
    by_place
        .into_iter()
        .map(|place| places[usize::from(place)])
        .collect()
}

/// Leaves `share` of the customers where their region puts them, and shuffles the others over the
/// places that they leave.
fn partly(feed: &Feed, regional: Vec<u16>, sizes: &[usize], share: f64, seed: u64) -> Vec<u16> {
    let mut order: Vec<usize> = (0..regional.len()).collect();
    order.sort_by_cached_key(|&customer| lot(feed, customer, "stays", seed));
    let stay = ((share * order.len() as f64).round() as usize).min(order.len());
    let mut banks = regional;
    let mut room = sizes.to_vec();
    for &customer in &order[..stay] {
        room[usize::from(banks[customer])] -= 1;
    }
    let leave = order.split_off(stay);
    for (at, bank) in cut(&(0..leave.len()).collect::<Vec<_>>(), &room)
        .into_iter()
        .enumerate()
    {
        banks[leave[at]] = bank;
    }
    banks
}

/// The largest bank first, so that the last ones are the smallest here too.
fn by_column(feed: &Feed, deal: Deal<'_>) -> Result<Vec<u16>, Failed> {
    let name = |column: &'_ str| -> Result<String, Failed> {
        match deal.table {
            None => Ok(column.to_owned()),
            Some(table) => {
                let found = table.get(column).cloned();
                Ok(found.ok_or("a customer has no bank in the table")?)
            }
        }
    };
    let names = feed.customers.iter().map(|customer| name(&customer.column));
    let names = names.collect::<Result<Vec<_>, _>>()?;
    let mut counts: BTreeMap<&String, u64> = BTreeMap::new();
    for payment in &feed.payments {
        *counts.entry(&names[payment.customer as usize]).or_default() += 1;
    }
    let mut order: Vec<(&String, u64)> = counts.into_iter().collect();
    order.sort_by_key(|(name, count)| (std::cmp::Reverse(*count), *name));
    if order.len() != usize::from(deal.banks) {
        let (found, expected) = (order.len(), deal.banks);
        return Err(format!("the column names {found} banks, expected --banks {expected}").into());
    }
    let number = |name: &String| order.iter().position(|(known, _)| *known == name);
    let banks = names.iter().map(|name| {
        let at = number(name).expect("every customer has a payment");
        u16::try_from(at).expect("as many banks as were asked for")
    });
    Ok(banks.collect())
}
