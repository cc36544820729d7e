//! Single payments of banks that each know some typologies of fraud and meet all of them.
//!
//! Made after the description of a published five-bank study (arXiv 2603.13617). No account
//! pays twice, so there is no history to learn from; what is known about a payment stands
//! beside it. Parties are in `typology/party`, frauds in `typology/fraud`.

mod fraud;
mod party;
mod place;

use rand::{Rng, RngExt};

use super::payment::named;
use super::season::{DAY_MS, HOUR_MS, demand};
use super::stream::{Stream, cumulate};

pub use party::{AccountType, Party};
pub use place::Coordinates;

use party::Ground;

/// The parameters of the process.
#[derive(Clone, Debug, PartialEq)]
pub struct Typologies {
    /// First day, counted from 1970-01-01.
    pub first_day: i32,
    /// Number of days.
    pub days: u16,
    /// Number of payments, of all banks together.
    pub rows: u64,
    /// Number of banks, all of one size; from three on, every typology is known to one.
    pub banks: u16,
    /// Share of the frauds in training and validation that the bank's books call genuine.
    pub lost_labels: f64,
}

named! {
    /// The kinds of fraud.
    Typology {
        /// Both parties' telephones are far from home.
        FarTowers = "far_towers",
        /// An account opened minutes ago pays an amount out of the common.
        FreshAccount = "fresh_account",
        /// An account that slept for 90 to 180 days pays.
        DormantAccount = "dormant_account",
        /// An account is busier than any of its type.
        HighActivity = "high_activity",
    }
}

named! {
    /// The part of the time a payment falls into.
    Split {
        /// The first 60 % of the days.
        Train = "train",
        /// The next 15 %.
        Validation = "validation",
        /// The rest.
        Test = "test",
    }
}

/// A payment, and what is true about it.
#[derive(Clone, Debug, PartialEq)]
pub struct SinglePayment {
    /// When it was ordered, ms since 1970-01-01 UTC, on a whole second.
    pub ts: i64,
    /// The debtor's bank, from 0.
    pub bank: u16,
    /// Its number at that bank in order of time, from 1.
    pub number: u64,
    /// Amount in minor units.
    pub amount_minor: i64,
    /// Who pays.
    pub debtor: Party,
    /// Who is paid.
    pub creditor: Party,
    /// The truth; absent means genuine.
    pub fraud: Option<Typology>,
    /// What the bank's books say; absent in the test split, which nobody judged yet.
    pub label: Option<bool>,
    /// Where it falls.
    pub split: Split,
}

impl Typologies {
    /// Five banks over a hundred days: the size of the published comparison.
    pub fn published() -> Self {
        Self {
            first_day: 20_362, // 2025-10-01
            days: 100,
            rows: 200_000,
            banks: 5,
            lost_labels: 0.10,
        }
    }

    /// Every payment of these banks, ordered by time; the same for the same seed, and a bank's
    /// are the same alone and in company. No more than an hour's payments are held at once.
    pub fn payments(
        &self,
        banks: std::ops::Range<u16>,
        seed: u64,
    ) -> impl Iterator<Item = SinglePayment> {
        let clock = Clock::new(self);
        let traits: Vec<Bank> = banks
            .map(|bank| Bank::new(bank, self.rows_of(bank), seed))
            .collect();
        let mut numbers = vec![0; traits.len()];
        let first = traits.first().map_or(0, |bank| bank.index);
        let lost_labels = self.lost_labels;
        (0..clock.hours()).flat_map(move |hour| {
            let mut payments: Vec<SinglePayment> = traits
                .iter()
                .flat_map(|bank| bank.hour(&clock, hour, lost_labels, seed))
                .collect();
            // The sort is stable and its input has one order, so ties have one order too.
            payments.sort_by_key(|payment| payment.ts);
            for payment in &mut payments {
                let number = &mut numbers[usize::from(payment.bank - first)];
                *number += 1;
                payment.number = *number;
            }
            payments
        })
    }

    /// How many payments a bank has.
    pub fn rows_of(&self, bank: u16) -> u64 {
        let (banks, bank) = (u64::from(self.banks), u64::from(bank));
        self.rows / banks + u64::from(bank < self.rows % banks)
    }
}

/// What a bank has seen: the typologies among its frauds in training and validation. The five
/// banks of the study, in its order; a larger consortium repeats them.
pub fn known_to(bank: u16) -> &'static [Typology] {
    use Typology::{DormantAccount, FarTowers, FreshAccount, HighActivity};
    const KNOWN: [&[Typology]; 5] = [
        &[FarTowers, FreshAccount, DormantAccount],
        &[FreshAccount, DormantAccount],
        &[DormantAccount, HighActivity],
        &[FarTowers, HighActivity],
        &[FarTowers, FreshAccount],
    ];
    KNOWN[usize::from(bank) % KNOWN.len()]
}

/// The hours of the process, how busy each is, and which split its days belong to.
struct Clock {
    first_day: i32,
    /// Running sums over hours.
    busy: Vec<f64>,
    days: u16,
}

impl Clock {
    fn new(process: &Typologies) -> Self {
        let hours = (0..i32::from(process.days)).flat_map(|day| {
            let demand = demand(process.first_day + day);
            HOUR_DEMAND.iter().map(move |hour| hour * demand)
        });
        Self {
            first_day: process.first_day,
            busy: cumulate(hours),
            days: process.days,
        }
    }

    fn hours(&self) -> u32 {
        u32::from(self.days) * 24
    }

    /// The first millisecond of an hour.
    fn start(&self, hour: u32) -> i64 {
        i64::from(self.first_day) * DAY_MS + i64::from(hour) * HOUR_MS
    }

    /// How many of `rows` payments fall into this hour: whole numbers that add up.
    fn due(&self, rows: u64, hour: u32) -> u64 {
        let total = self.busy.last().copied().expect("there are days");
        let until = |hours: usize| match hours {
            0 => 0,
            hours => (rows as f64 * (self.busy[hours - 1] / total)).floor() as u64,
        };
        until(hour as usize + 1) - until(hour as usize)
    }

    fn split(&self, hour: u32) -> Split {
        let (day, days) = (hour / 24, u32::from(self.days));
        if day < days * 60 / 100 {
            Split::Train
        } else if day < days * 75 / 100 {
            Split::Validation
        } else {
            Split::Test
        }
    }
}

/// A bank: what its customers are like, and how often each typology strikes.
struct Bank {
    index: u16,
    rows: u64,
    ground: Ground,
    /// Running share of payments of each typology, in their order.
    shares: Vec<f64>,
}

impl Bank {
    fn new(index: u16, rows: u64, seed: u64) -> Self {
        let mut chance = Stream::TypologyBank(u32::from(index)).open(seed);
        let ground = Ground::new(&mut chance, index);
        let shares = Typology::ALL
            .iter()
            .map(|_| chance.random_range(SHARE_MIN..SHARE_MAX));
        Self {
            index,
            rows,
            ground,
            shares: cumulate(shares),
        }
    }

    /// The bank's payments of one hour, in no order of time.
    fn hour(&self, clock: &Clock, hour: u32, lost_labels: f64, seed: u64) -> Vec<SinglePayment> {
        let stream = u32::from(self.index) * clock.hours() + hour;
        let mut chance = Stream::TypologyHour(stream).open(seed);
        let split = clock.split(hour);
        (0..clock.due(self.rows, hour))
            .map(|_| {
                let second = chance.random_range(0..HOUR_MS / 1_000);
                let ts = clock.start(hour) + second * 1_000;
                self.payment(&mut chance, ts, split, lost_labels)
            })
            .collect()
    }

    fn payment(
        &self,
        chance: &mut impl Rng,
        ts: i64,
        split: Split,
        lost_labels: f64,
    ) -> SinglePayment {
        let kind = self.kind(chance, split);
        let (mut debtor, mut creditor) = party::pair(chance, &self.ground, ts);
        let mut amount = party::amount(chance, &self.ground, debtor.account_type);
        if let Some(kind) = kind {
            let scene = fraud::Scene {
                ts,
                debtor: &mut debtor,
                creditor: &mut creditor,
                amount: &mut amount,
            };
            scene.bend(chance, &self.ground, kind);
        }
        let is_lost = chance.random::<f64>() < lost_labels;
        SinglePayment {
            ts,
            bank: self.index,
            number: 0,
            amount_minor: (amount.round() as i64).clamp(1, AMOUNT_MINOR_MAX),
            debtor,
            creditor,
            fraud: kind,
            label: match split {
                Split::Train | Split::Validation => Some(kind.is_some() && !is_lost),
                Split::Test => None,
            },
            split,
        }
    }

    /// The typology of the next payment, mostly none. Until the test, what a bank does not know
    /// does not strike it.
    fn kind(&self, chance: &mut impl Rng, split: Split) -> Option<Typology> {
        let point: f64 = chance.random();
        let place = self.shares.partition_point(|share| *share <= point);
        let kind = Typology::ALL.get(place).copied()?;
        match split {
            Split::Train | Split::Validation => {
                known_to(self.index).contains(&kind).then_some(kind)
            }
            Split::Test => Some(kind),
        }
    }
}

/// The share of a bank's payments that are of one typology is drawn between these.
const SHARE_MIN: f64 = 0.0020;
const SHARE_MAX: f64 = 0.0045;
const AMOUNT_MINOR_MAX: i64 = 1_000_000_000;

/// How busy the hours of a day are.
const HOUR_DEMAND: [f64; 24] = [
    0.20, 0.12, 0.09, 0.08, 0.10, 0.20, 0.45, 0.80, 1.10, 1.25, 1.30, 1.35, 1.40, 1.30, 1.25, 1.25,
    1.35, 1.50, 1.60, 1.55, 1.40, 1.10, 0.75, 0.40,
];

#[cfg(test)]
mod tests;
