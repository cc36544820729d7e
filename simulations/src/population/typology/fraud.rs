//! What each typology does to a pair of accounts and an amount. The rest of the payment stays
//! as genuine people made it, so that a fraud hides among its neighbours.
//!
//! The ranges follow the published description; where that moves a single column out of all
//! genuine range, the range here overlaps, and a second column carries the rest.

use rand::{Rng, RngExt};

use super::Typology;
use super::party::{Ground, Party, earlier, sleep};
use crate::population::season::{DAY_MS, HOUR_MS};
use crate::population::stream::log_normal;

/// A payment while it is being made.
pub(super) struct Scene<'a> {
    pub(super) ts: i64,
    pub(super) debtor: &'a mut Party,
    pub(super) creditor: &'a mut Party,
    /// In minor units.
    pub(super) amount: &'a mut f64,
}

impl Scene<'_> {
    pub(super) fn bend(self, chance: &mut impl Rng, ground: &Ground, kind: Typology) {
        match kind {
            Typology::FarTowers => self.far_towers(chance),
            Typology::FreshAccount => self.fresh_account(chance, ground),
            Typology::DormantAccount => self.dormant_account(chance),
            Typology::HighActivity => self.high_activity(chance),
        }
    }

    fn far_towers(self, chance: &mut impl Rng) {
        for party in [self.debtor, self.creditor] {
            let distance = log_normal(chance, FAR_KM.0, FAR_KM.1);
            party.stray(chance, distance);
        }
    }

    fn fresh_account(self, chance: &mut impl Rng, ground: &Ground) {
        let age = chance.random_range(60_000.0..FRESH_HOURS_MAX * HOUR_MS as f64);
        self.debtor.opened_at = earlier(self.ts, age);
        self.debtor.last_active_at = earlier(self.ts, age * chance.random::<f64>());
        self.debtor.activity_24h = chance.random_range(0..4);
        let times = log_normal(chance, FRESH_TIMES.0, FRESH_TIMES.1);
        *self.amount = ground.usual(self.debtor.account_type) * times;
    }

    /// The money leaves for an account that was opened for it, more of it than usual.
    fn dormant_account(self, chance: &mut impl Rng) {
        sleep(chance, self.debtor, self.ts, DORMANT_DAYS);
        let age = log_normal(chance, MULE_DAYS.0, MULE_DAYS.1) * DAY_MS as f64;
        self.creditor.opened_at = earlier(self.ts, age.max(HOUR_MS as f64));
        self.creditor.last_active_at = self.creditor.last_active_at.max(self.creditor.opened_at);
        *self.amount *= log_normal(chance, DORMANT_TIMES.0, DORMANT_TIMES.1);
    }

    fn high_activity(self, chance: &mut impl Rng) {
        self.debtor.bustle(chance, self.ts, ABOVE_CEILING);
    }
}

/// Distance of both telephones from home, median and spread of the logarithm.
const FAR_KM: (f64, f64) = (1_100.0, 0.45);
/// The study draws up to five hours and twenty-five minutes.
const FRESH_HOURS_MAX: f64 = 5.0 + 25.0 / 60.0;
/// How many times the usual amount, median and spread of the logarithm.
const FRESH_TIMES: (f64, f64) = (25.0, 0.4);
const DORMANT_DAYS: (f64, f64) = (90.0, 180.0);
const DORMANT_TIMES: (f64, f64) = (6.0, 0.5);
/// Age of the account that is paid, median in days and spread of the logarithm.
const MULE_DAYS: (f64, f64) = (5.0, 0.8);
/// How many times the ceiling of the account's type.
const ABOVE_CEILING: (f64, f64) = (5.0, 40.0);
