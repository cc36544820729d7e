//! The two accounts of a payment, as genuine people hold them: where they live and travel, how
//! old, how busy and how long asleep they are, and what they pay.
//!
//! Genuine does not mean tame: some travel, some opened an account today, some wake one up,
//! some have a busy day, some pay for a car. What frauds do to a pair is in `fraud`.

use rand::{Rng, RngExt};

use super::place::Coordinates;
use crate::population::payment::named;
use crate::population::season::{DAY_MS, HOUR_MS};
use crate::population::stream::{cumulate, log_normal, log_uniform, weighted};

named! {
    /// What an account is for.
    AccountType {
        /// Everyday payments.
        Checking = "checking",
        /// Money put aside.
        Savings = "savings",
        /// A firm's.
        Business = "business",
    }
}

/// One side of a payment, as its bank knows it at that moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Party {
    /// What the account is for.
    pub account_type: AccountType,
    /// When it was opened, ms since 1970-01-01 UTC.
    pub opened_at: i64,
    /// When anything last happened on it before this payment, ms since 1970-01-01 UTC.
    pub last_active_at: i64,
    /// The holder's address.
    pub home: Coordinates,
    /// The cell tower that the holder's telephone reports.
    pub tower: Coordinates,
    /// Events on the account in the 24 hours before.
    pub activity_24h: u32,
}

impl AccountType {
    /// Median and spread of the logarithm of events in 24 hours.
    fn activity(self) -> (f64, f64) {
        match self {
            Self::Checking => (6.0, 0.6),
            Self::Savings => (1.5, 0.6),
            Self::Business => (120.0, 1.1),
        }
    }

    /// Events in 24 hours that hardly any account of this type exceeds.
    pub fn activity_ceiling(self) -> f64 {
        match self {
            Self::Checking => 40.0,
            Self::Savings => 10.0,
            Self::Business => 4_000.0,
        }
    }

    /// Median, in hours, and spread of the logarithm of the pause before a payment.
    fn pause(self) -> (f64, f64) {
        match self {
            Self::Checking => (14.0, 1.2),
            Self::Savings => (190.0, 1.0),
            Self::Business => (3.0, 1.2),
        }
    }

    /// Median amount in minor units at a bank of level 1.
    fn amount(self) -> f64 {
        match self {
            Self::Checking => 4_500.0,
            Self::Savings => 22_000.0,
            Self::Business => 70_000.0,
        }
    }
}

/// What a bank's customers are like; the two sides of its payments are drawn from it.
pub(super) struct Ground {
    /// The middle of the bank's region.
    centre: Coordinates,
    /// Multiplies every amount.
    level: f64,
    /// Median distance of a telephone from home on an ordinary day.
    reach_km: f64,
    /// Running weights of the account types, in their order.
    types: Vec<f64>,
}

impl Ground {
    pub(super) fn new(chance: &mut impl Rng, bank: u16) -> Self {
        let (level, reach_km, business) = CHARACTERS[usize::from(bank) % CHARACTERS.len()];
        Self {
            centre: Coordinates {
                lat: chance.random_range(44.0..53.0),
                lon: chance.random_range(0.0..14.0),
            },
            level,
            reach_km,
            types: cumulate([0.87 - business, 0.13, business]),
        }
    }
}

/// A debtor of this bank, and somebody who is paid.
pub(super) fn pair(chance: &mut impl Rng, ground: &Ground, ts: i64) -> (Party, Party) {
    let mut debtor = party(chance, ground, ts, NEWCOMERS_DEBTOR);
    let mut creditor = party(chance, ground, ts, NEWCOMERS_CREDITOR);
    let habit: f64 = chance.random();
    if habit < SLEEPERS {
        sleep(chance, &mut debtor, ts, SLEEP_DAYS);
    } else if habit < SLEEPERS + BUSY_DAYS {
        debtor.bustle(chance, ts, BUSY_OF_CEILING);
    }
    for party in [&mut debtor, &mut creditor] {
        if chance.random::<f64>() < TRAVELLERS {
            let distance = log_normal(chance, TRAVEL_KM.0, TRAVEL_KM.1);
            party.stray(chance, distance);
        }
    }
    if chance.random::<f64>() < COMPANIONS {
        let distance = log_normal(chance, TRAVEL_KM.0, TRAVEL_KM.1);
        debtor.stray(chance, distance);
        creditor.tower = debtor.tower.away(chance, ground.reach_km);
    }
    (debtor, creditor)
}

fn party(chance: &mut impl Rng, ground: &Ground, ts: i64, newcomers: f64) -> Party {
    let account_type = AccountType::ALL[weighted(chance, &ground.types)];
    let age = age(chance, newcomers);
    let (median, spread) = account_type.pause();
    let mut pause = log_normal(chance, median, spread) * HOUR_MS as f64;
    if pause >= age {
        pause = age * chance.random::<f64>();
    }
    let far_km = log_normal(chance, SETTLED_KM.0, SETTLED_KM.1);
    let home = ground.centre.away(chance, far_km);
    let near_km = log_normal(chance, ground.reach_km, REACH_SPREAD);
    Party {
        account_type,
        opened_at: earlier(ts, age),
        last_active_at: earlier(ts, pause),
        home,
        tower: home.away(chance, near_km),
        activity_24h: activity(chance, account_type, age, pause),
    }
}

/// How old an account is, ms.
fn age(chance: &mut impl Rng, newcomers: f64) -> f64 {
    let draw: f64 = chance.random();
    if draw < newcomers {
        return log_uniform(chance, 5.0 * MINUTE_MS, 3.0 * DAY_MS as f64);
    }
    if draw < newcomers + YOUNG {
        return log_uniform(chance, 3.0 * DAY_MS as f64, SETTLED_AGE_MS);
    }
    log_normal(chance, 5.0 * YEAR_MS, 0.9).clamp(SETTLED_AGE_MS, 40.0 * YEAR_MS)
}

/// Events of a day; an account of today or one that slept has had only a few.
fn activity(chance: &mut impl Rng, account_type: AccountType, age: f64, pause: f64) -> u32 {
    if age < DAY_MS as f64 || pause > DAY_MS as f64 {
        return chance.random_range(0..4);
    }
    let (median, spread) = account_type.activity();
    log_normal(chance, median, spread) as u32 + 1
}

/// Puts an account to sleep for some days until `ts`; one that is too young for it grows older.
pub(super) fn sleep(chance: &mut impl Rng, party: &mut Party, ts: i64, days: (f64, f64)) {
    let pause = log_uniform(chance, days.0, days.1) * DAY_MS as f64;
    party.last_active_at = earlier(ts, pause);
    let before = chance.random_range(30 * DAY_MS..2 * 365 * DAY_MS);
    let latest = earlier(party.last_active_at, before as f64);
    party.opened_at = party.opened_at.min(latest);
    party.activity_24h = chance.random_range(0..4);
}

/// A genuine amount in minor units.
pub(super) fn amount(chance: &mut impl Rng, ground: &Ground, account_type: AccountType) -> f64 {
    let treat = if chance.random::<f64>() < TREATS {
        chance.random_range(4.0..12.0)
    } else {
        1.0
    };
    log_normal(chance, ground.usual(account_type) * treat, 0.8)
}

impl Ground {
    /// What an account of this type usually pays, in minor units.
    pub(super) fn usual(&self, account_type: AccountType) -> f64 {
        account_type.amount() * self.level
    }
}

impl Party {
    /// Moves the telephone this far from home, in any direction.
    pub(super) fn stray(&mut self, chance: &mut impl Rng, distance_km: f64) {
        self.tower = self.home.away(chance, distance_km.min(FARTHEST_KM));
    }

    /// Gives the account a day of so many times its type's ceiling, lasting until `ts`.
    pub(super) fn bustle(&mut self, chance: &mut impl Rng, ts: i64, times: (f64, f64)) {
        let events = self.account_type.activity_ceiling() * log_uniform(chance, times.0, times.1);
        self.activity_24h = events as u32;
        let pause = log_uniform(chance, 1_000.0, HOUR_MS as f64);
        self.last_active_at = earlier(ts, pause).max(self.last_active_at);
    }
}

/// The whole second that lies this many milliseconds before `ts`, at least one second.
pub(super) fn earlier(ts: i64, before: f64) -> i64 {
    ts - ((before / 1_000.0) as i64).max(1) * 1_000
}

/// Level of amounts, reach in km, and share of business accounts of each bank: banks for
/// savers and for firms, in town and in the country.
const CHARACTERS: [(f64, f64, f64); 5] = [
    (1.0, 4.0, 0.20),
    (0.8, 12.0, 0.16),
    (0.65, 5.0, 0.14),
    (1.25, 9.0, 0.22),
    (1.6, 18.0, 0.28),
];

const MINUTE_MS: f64 = 60_000.0;
const YEAR_MS: f64 = 365.25 * DAY_MS as f64;
/// An account that is older than this counts as settled.
const SETTLED_AGE_MS: f64 = 60.0 * DAY_MS as f64;

/// Share of debtors, and of creditors, whose account is at most three days old.
const NEWCOMERS_DEBTOR: f64 = 0.008;
const NEWCOMERS_CREDITOR: f64 = 0.015;
/// Share of parties whose account is three to sixty days old.
const YOUNG: f64 = 0.035;
/// Share of debtors whose account wakes up, and for how many days it slept.
const SLEEPERS: f64 = 0.010;
const SLEEP_DAYS: (f64, f64) = (60.0, 400.0);
/// Share of debtors with a day near or above their type's ceiling, and how near.
const BUSY_DAYS: f64 = 0.001;
const BUSY_OF_CEILING: (f64, f64) = (0.5, 1.5);
/// Share of parties who are travelling, and of pairs who travel together.
const TRAVELLERS: f64 = 0.012;
const COMPANIONS: f64 = 0.0002;
const TRAVEL_KM: (f64, f64) = (250.0, 0.8);
const FARTHEST_KM: f64 = 9_000.0;
/// Distance of homes from the middle of the region.
const SETTLED_KM: (f64, f64) = (60.0, 0.7);
const REACH_SPREAD: f64 = 0.8;
/// Share of genuine payments of several times the usual amount.
const TREATS: f64 = 0.008;
