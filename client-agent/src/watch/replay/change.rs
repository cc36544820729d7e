//! What a replay may do to payments from a day on. What is taken away or added depends on what
//! payments were before: a channel that was there, a category that was not.

use std::borrow::Cow;
use std::collections::BTreeMap;

use clap::ValueEnum;
use features::{Category, Channel, Row, Transaction};
use serde::Serialize;

/// A change, as it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Change {
    /// Nothing: the feed as it is, which is replayed in any case.
    None,
    /// Every amount is three tenths higher.
    Prices,
    /// No payment of one channel comes any more: of the commonest but one.
    Channel,
    /// One payment in twenty is of the merchant category that was rarest before.
    Category,
}

/// What payments were before a change.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    channels: BTreeMap<Channel, u64>,
    categories: BTreeMap<Category, u64>,
}

/// A change, as it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// Payments are as they are.
    Nothing,
    /// Amounts are higher.
    Dearer,
    /// Payments of this channel are left out.
    Without(Channel),
    /// Some payments have this merchant category code.
    Category(u16),
}

impl Change {
    /// The word on the command line.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Prices => "prices",
            Self::Channel => "channel",
            Self::Category => "category",
        }
    }
}

impl Counts {
    pub(super) fn add(&mut self, payment: &Transaction) {
        if let Some(channel) = payment.channel {
            *self.channels.entry(channel).or_default() += 1;
        }
        let category = Category::of(payment.mcc);
        *self.categories.entry(category).or_default() += 1;
    }

    /// The commonest but one: without the commonest little would be left to judge.
    fn second_channel(&self) -> Option<Channel> {
        let mut channels: Vec<(Channel, u64)> = self
            .channels
            .iter()
            .map(|(of, count)| (*of, *count))
            .collect();
        channels.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        channels.get(1).map(|(channel, _)| *channel)
    }

    /// A code of the category with the fewest payments.
    fn rarest_code(&self) -> u16 {
        let count = |code: &u16| self.categories.get(&Category::of(Some(*code))).copied();
        let rarest = CODES
            .into_iter()
            .min_by_key(|code| count(code).unwrap_or_default());
        rarest.expect("there are codes")
    }
}

impl Deed {
    /// Nothing where payments came by fewer than two channels, and one is to go.
    pub(super) fn new(change: Change, counts: &Counts) -> Option<Self> {
        Some(match change {
            Change::None => Self::Nothing,
            Change::Prices => Self::Dearer,
            Change::Channel => Self::Without(counts.second_channel()?),
            Change::Category => Self::Category(counts.rarest_code()),
        })
    }

    /// In words.
    pub(super) fn said(self) -> String {
        match self {
            Self::Nothing => "the feed as it is".to_owned(),
            Self::Dearer => "every amount is 1.3 times what it was".to_owned(),
            Self::Without(channel) => {
                format!("no payment of channel {} comes any more", channel.word())
            }
            Self::Category(code) => {
                let name = Category::of(Some(code)).name();
                format!("one payment in {DRAWN_IN} is of merchant category {code} ({name})")
            }
        }
    }

    /// The payment after it; nothing where it does not come any more.
    pub(super) fn done_to(self, row: &Row) -> Option<Cow<'_, Row>> {
        match self {
            Self::Nothing => Some(Cow::Borrowed(row)),
            Self::Dearer => {
                let mut row = row.clone();
                let payment = &mut row.transaction;
                payment.amount_minor = dearer(payment.amount_minor);
                payment.amount_ref_minor = payment.amount_ref_minor.map(dearer);
                Some(Cow::Owned(row))
            }
            Self::Without(channel) => {
                let comes = row.transaction.channel != Some(channel);
                comes.then_some(Cow::Borrowed(row))
            }
            Self::Category(code) if is_drawn(&row.transaction) => {
                let mut row = row.clone();
                row.transaction.mcc = Some(code);
                Some(Cow::Owned(row))
            }
            Self::Category(_) => Some(Cow::Borrowed(row)),
        }
    }
}

fn dearer(amount: i64) -> i64 {
    amount.saturating_mul(13) / 10
}

/// One payment in [`DRAWN_IN`], by its id: the same ones in every replay.
fn is_drawn(payment: &Transaction) -> bool {
    let digest = crypto::sha256(&[payment.txn_id.as_bytes()]).0;
    let first = digest.first_chunk::<8>();
    let lot = u64::from_be_bytes(*first.expect("a digest has 32 bytes"));
    lot.is_multiple_of(DRAWN_IN)
}

const DRAWN_IN: u64 = 20;

/// A code of each merchant category that has some of its own; of equally rare ones the first.
const CODES: [u16; 12] = [
    7_995, 5_964, 4_722, 5_816, 5_944, 5_912, 5_712, 5_651, 5_732, 5_541, 5_812, 5_411,
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::watch::tests::{Chance, payment};

    fn rows(count: i64) -> Vec<Row> {
        let mut chance = Chance(1);
        let row = |nth| Row {
            transaction: payment(20_000, nth, &mut chance),
            label: None,
            extra: BTreeMap::new(),
        };
        (0..count).map(row).collect()
    }

    fn counts(rows: &[Row]) -> Counts {
        let mut counts = Counts::default();
        rows.iter().for_each(|row| counts.add(&row.transaction));
        counts
    }

    #[test]
    fn every_category_but_the_last_two_has_a_code() {
        let mut found: BTreeSet<Category> = CODES
            .into_iter()
            .map(|code| Category::of(Some(code)))
            .collect();
        assert_eq!(found.len(), CODES.len());
        found.extend([Category::Other, Category::Unknown]);
        assert_eq!(found, BTreeSet::from(Category::ALL));
    }

    #[test]
    fn what_was_second_goes_and_what_was_rarest_comes() {
        let rows = rows(1_000);
        let counts = counts(&rows);
        let without = Deed::new(Change::Channel, &counts).unwrap();
        assert_eq!(without, Deed::Without(Channel::Ecom));
        let left = rows.iter().filter_map(|row| without.done_to(row));
        let left: Vec<Cow<'_, Row>> = left.collect();
        assert!((600..900).contains(&left.len()), "{}", left.len());
        let is_left = |row: &Cow<'_, Row>| row.transaction.channel == Some(Channel::Pos);
        assert!(left.iter().all(is_left));
        assert_eq!(Deed::new(Change::Channel, &Counts::default()), None);

        let category = Deed::new(Change::Category, &counts).unwrap();
        assert_eq!(category, Deed::Category(7_995));
        assert!(
            category.said().contains("7995 (money)"),
            "{}",
            category.said()
        );
        let of = |row: &Row| category.done_to(row).unwrap().transaction.mcc;
        let drawn = rows.iter().filter(|row| of(row) == Some(7_995)).count();
        assert!((30..75).contains(&drawn), "{drawn}");
    }

    #[test]
    fn prices_rise_in_both_currencies_and_nothing_else_moves() {
        let mut row = rows(1).remove(0);
        row.transaction.amount_minor = 1_000;
        row.transaction.amount_ref_minor = Some(55);
        let dearer = Deed::Dearer.done_to(&row).unwrap().into_owned();
        let of = &dearer.transaction;
        assert_eq!((of.amount_minor, of.amount_ref_minor), (1_300, Some(71)));
        let mut back = dearer.clone();
        back.transaction.amount_minor = 1_000;
        back.transaction.amount_ref_minor = Some(55);
        assert!(back == row);
        assert!(*Deed::Nothing.done_to(&row).unwrap() == row);
    }
}
