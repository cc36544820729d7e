//! The encoder: a payment and what was known before it become a vector; only then is the payment
//! remembered. One pass, one code path for training and scoring, so a replay in the order of
//! arrival gives the same bits. What is remembered lives in `card.rs`, `outlet.rs`, `trend.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::card::{Card, CardReading, Prior};
use crate::category::Category;
use crate::outlet::Outlet;
use crate::risk::{RiskReading, RiskSettings, RiskTable};
use crate::schema::{FeatureSchema, Role, Slot, slot};
use crate::transaction::{DAY_MS, HOUR_MS, Label, Transaction};
use crate::trend::Trend;
use crate::windows::{NO_KEY, key_of};

/// The numbers of one payment, one for each column of the schema.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeatureVector(pub Vec<f32>);

/// Bounds of the encoder's memory. At most 12 KiB a card and 20 KiB an outlet; a card with two
/// payments a day takes about 3 KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Cards remembered; above it the sixteenth longest unseen is forgotten.
    pub cards_max: u64,
    /// Outlets remembered; above it the sixteenth longest unseen is forgotten.
    pub outlets_max: u64,
    /// Cards and outlets unseen for longer are forgotten.
    pub unseen_days_max: u16,
}

impl Default for Limits {
    /// Two million cards, half a million outlets, 400 days.
    fn default() -> Self {
        Self {
            cards_max: 2_000_000,
            outlets_max: 500_000,
            unseen_days_max: 400,
        }
    }
}

/// Turns payments into vectors, in the order of their arrival.
///
/// A late payment is judged by what lay before it in event time, and enters the windows at its
/// own time; up to a week late nothing is lost. Time may leap in either direction: memory is
/// dropped by an inner clock that moves at most one day a payment.
///
/// It serialises whole, but for the federation's table, which is installed again.
#[derive(Clone, Serialize, Deserialize)]
pub struct FeatureEncoder {
    schema: FeatureSchema,
    /// For each column the place of its natural value.
    slots: Vec<usize>,
    /// Columns whose trailing mean is subtracted, in order.
    trended: Vec<usize>,
    prior: Prior,
    risk: RiskSettings,
    limits: Limits,
    #[serde(skip)]
    shared: Option<Arc<RiskTable>>,
    cards: BTreeMap<u64, Seen<Card>>,
    outlets: BTreeMap<u64, Seen<Outlet>>,
    trend: Trend,
    clock_ms: Option<i64>,
    swept_day: i64,
    arrivals: u64,
}

/// Something remembered, and when it was last touched.
#[derive(Clone, Serialize, Deserialize)]
struct Seen<T> {
    memory: T,
    arrival: u64,
    day: i64,
}

/// Which payment a label speaks of: its outlet and day, or the payment itself.
#[derive(Clone, Copy, Debug)]
pub struct LabelOf<'a> {
    outlet: Option<&'a str>,
    day: i32,
}

impl<'a> From<&'a Transaction> for LabelOf<'a> {
    fn from(transaction: &'a Transaction) -> Self {
        Self {
            outlet: transaction.outlet(),
            day: transaction.day(),
        }
    }
}

impl<'a> From<(&'a str, i32)> for LabelOf<'a> {
    fn from((outlet, day): (&'a str, i32)) -> Self {
        Self {
            outlet: Some(outlet),
            day,
        }
    }
}

impl FeatureEncoder {
    /// An encoder that has seen nothing.
    ///
    /// # Panics
    /// Where [`FeatureSchema::check`] refuses the schema; a schema from outside is checked first.
    #[must_use]
    pub fn new(schema: FeatureSchema, risk: RiskSettings) -> Self {
        let checked = schema.check();
        assert!(
            checked.is_ok(),
            "an encoder's schema passes its check: {checked:?}"
        );
        let names = schema.columns.iter().map(|column| slot(&column.name));
        let slots = names
            .map(|slot| slot.expect("the check found every name"))
            .collect();
        let flags = schema
            .columns
            .iter()
            .enumerate()
            .filter(|(_, column)| column.detrend);
        let trended: Vec<usize> = flags.map(|(at, _)| at).collect();
        let amount = FeatureSchema::standard().columns.swap_remove(Slot::AMOUNT);
        let amount = schema
            .columns
            .iter()
            .find(|c| c.name == amount.name)
            .unwrap_or(&amount);
        let (log_mean, log_sd) = (f64::from(amount.center), f64::from(amount.scale));
        Self {
            prior: Prior { log_mean, log_sd },
            slots,
            trend: Trend::new(trended.len()),
            trended,
            schema,
            risk,
            limits: Limits::default(),
            shared: None,
            cards: BTreeMap::new(),
            outlets: BTreeMap::new(),
            clock_ms: None,
            swept_day: 0,
            arrivals: 0,
        }
    }

    /// The same encoder with other bounds.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The schema of the vectors.
    #[must_use]
    pub fn schema(&self) -> &FeatureSchema {
        &self.schema
    }

    /// Cards and outlets remembered.
    #[must_use]
    pub fn remembered(&self) -> (u64, u64) {
        (self.cards.len() as u64, self.outlets.len() as u64)
    }

    /// The vector of a payment from what was known before it; then remembers the payment.
    pub fn encode(&mut self, transaction: &Transaction) -> FeatureVector {
        self.trend.prepare(transaction.day());
        let (vector, level) = self.read(transaction);
        self.remember(transaction, &level);
        vector
    }

    /// The vector that [`Self::encode`] would give; remembers nothing.
    #[must_use]
    pub fn preview(&self, transaction: &Transaction) -> FeatureVector {
        self.read(transaction).0
    }

    /// Takes in what a payment turned out to be. It is read by payments from `known_at` on, and
    /// only once the label delay has passed, so labels may come in any order and ahead of time.
    /// A verdict of genuine withdraws a fraud reported before and is otherwise of no use here.
    pub fn add_label<'a>(&mut self, label_of: impl Into<LabelOf<'a>>, label: &Label) {
        let LabelOf {
            outlet: Some(outlet),
            day,
        } = label_of.into()
        else {
            return;
        };
        let key = key_of(outlet);
        let seen = match label.fraud {
            true => Some(self.outlets.entry(key).or_insert_with(|| {
                Seen {
                    memory: Outlet::new(self.risk.label_delay_days),
                    arrival: self.arrivals,
                    // A label may be ahead of the clock, or come before there is one: an outlet
                    // known by its labels alone must not look long unseen.
                    day: self
                        .clock_ms
                        .map_or(i64::MIN, |ms| ms.div_euclid(DAY_MS))
                        .max(i64::from(day)),
                }
            })),
            false => self.outlets.get_mut(&key),
        };
        if let Some(seen) = seen {
            seen.memory
                .judge(key_of(&label.txn_id), day, label.known_at, label.fraud);
        }
    }

    /// Puts the federation's table in place; it is read by the label delay of the settings.
    pub fn install_risk(&mut self, table: Arc<RiskTable>) {
        self.shared = Some(table);
    }

    /// The vector, and the trended columns before their trend was subtracted.
    fn read(&self, transaction: &Transaction) -> (FeatureVector, Vec<f32>) {
        let natural = self.natural(transaction);
        let columns = self.schema.columns.iter().zip(&self.slots);
        let mut values: Vec<f32> = columns
            .map(|(column, &slot)| {
                let value = natural[slot];
                if value.is_nan() {
                    0.0
                } else {
                    (value as f32 - column.center) / column.scale
                }
            })
            .collect();
        let means = self.trend.means(transaction.day());
        let mut level = Vec::with_capacity(self.trended.len());
        for (&at, mean) in self.trended.iter().zip(means.iter()) {
            // A missing value stays exactly 0 and does not enter the trend.
            let is_missing = natural[self.slots[at]].is_nan();
            level.push(if is_missing { f32::NAN } else { values[at] });
            values[at] -= if is_missing { 0.0 } else { *mean };
        }
        for (at, column) in self.schema.columns.iter().enumerate() {
            if matches!(column.role, Role::Derived { .. }) {
                let derived = self.schema.derive(at, &values);
                values[at] = derived.expect("the schema's check found every operand");
            }
        }
        (FeatureVector(values), level)
    }

    /// Natural values in the standard order; not a number where a value is missing.
    fn natural(&self, transaction: &Transaction) -> [f64; Slot::COUNT] {
        let (ts, outlet) = (transaction.ts, outlet_key(transaction));
        let mut natural = [f64::NAN; Slot::COUNT];
        natural[Slot::AMOUNT] = transaction.amount_major().ln_1p();
        fill_time(&mut natural, transaction);
        let card = self.cards.get(&key_of(transaction.card()));
        let reading = match card {
            Some(card) => card.memory.read(ts, outlet, self.prior),
            None => Card::default().read(ts, outlet, self.prior),
        };
        fill_card(&mut natural, &reading, outlet);
        let category = Category::of(transaction.mcc) as usize;
        for (at, flag) in natural[Slot::CATEGORY..][..Category::ALL.len()]
            .iter_mut()
            .enumerate()
        {
            *flag = f64::from(u8::from(at == category));
        }
        if let Some(name) = transaction.outlet() {
            self.fill_outlet(&mut natural, transaction, name, outlet);
        }
        natural
    }

    fn fill_outlet(
        &self,
        natural: &mut [f64; Slot::COUNT],
        transaction: &Transaction,
        name: &str,
        outlet: u64,
    ) {
        let (ts, today) = (transaction.ts, transaction.day());
        let last_day = today - i32::from(self.risk.label_delay_days) - 1;
        let memory = self.outlets.get(&outlet).map(|seen| &seen.memory);
        let windows = memory.map_or_else(Default::default, |memory| memory.windows(ts));
        for (at, totals) in windows.into_iter().enumerate() {
            let mean = totals.sum / totals.count.max(1.0);
            let values = [totals.count, mean, totals.distinct].map(f64::ln_1p);
            natural[Slot::OUTLET_WINDOWS + 3 * at..][..3].copy_from_slice(&values);
        }
        let own = memory.map_or_else(RiskReading::default, |memory| memory.risk(ts, last_day));
        let shared = self.shared.as_ref();
        let shared = shared
            .map(|table| table.read(name, last_day, today))
            .unwrap_or_default();
        natural[Slot::OWN_RISK..][..8].copy_from_slice(&own.values());
        natural[Slot::SHARED_RISK..][..8].copy_from_slice(&shared.values());
    }

    fn remember(&mut self, transaction: &Transaction, level: &[f32]) {
        let (ts, amount) = (transaction.ts, transaction.amount_major());
        let clock = self
            .clock_ms
            .map_or(ts, |clock| ts.clamp(clock, clock + DAY_MS));
        self.clock_ms = Some(clock);
        self.arrivals += 1;
        let (arrival, day) = (self.arrivals, clock.div_euclid(DAY_MS));
        let (card_key, outlet) = (key_of(transaction.card()), outlet_key(transaction));
        let fresh = || Seen {
            memory: Card::default(),
            arrival,
            day,
        };
        let card = self.cards.entry(card_key).or_insert_with(fresh);
        (card.arrival, card.day) = (arrival, day);
        card.memory.remember(ts, outlet, amount);
        if outlet != NO_KEY {
            let delay = self.risk.label_delay_days;
            let fresh = || Seen {
                memory: Outlet::new(delay),
                arrival,
                day,
            };
            let seen = self.outlets.entry(outlet).or_insert_with(fresh);
            (seen.arrival, seen.day) = (arrival, day);
            seen.memory.remember(ts, card_key, amount);
        }
        self.trend
            .remember(transaction.day(), level.iter().copied());
        self.sweep(day);
    }

    /// Forgets what was unseen too long, every sixteen days, and the longest unseen whenever
    /// there is too much.
    fn sweep(&mut self, day: i64) {
        if day - self.swept_day >= SWEEP_DAYS {
            self.swept_day = day;
            let oldest = day - i64::from(self.limits.unseen_days_max);
            self.cards.retain(|_, seen| seen.day >= oldest);
            self.outlets.retain(|_, seen| seen.day >= oldest);
        }
        forget_excess(&mut self.cards, self.limits.cards_max);
        forget_excess(&mut self.outlets, self.limits.outlets_max);
    }

    /// The trailing mean subtracted from column `at` in vectors of the day encoded last.
    pub(crate) fn trend_of(&self, at: usize) -> f32 {
        let place = self.trended.iter().position(|&trended| trended == at);
        let mean = |place: usize| self.trend.prepared().and_then(|means| means.get(place));
        place.and_then(mean).copied().unwrap_or(0.0)
    }

    /// The place of column `at` in the standard order.
    pub(crate) fn slot_of(&self, at: usize) -> Option<usize> {
        self.slots.get(at).copied()
    }
}

fn outlet_key(transaction: &Transaction) -> u64 {
    transaction.outlet().map_or(NO_KEY, key_of)
}

/// Hour of day as an angle, weekend and night. The payer's hour counts where it is given; the
/// day of the week is that of UTC.
fn fill_time(natural: &mut [f64; Slot::COUNT], transaction: &Transaction) {
    let of_day = transaction.ts.rem_euclid(DAY_MS) as f64 / HOUR_MS as f64;
    let hour = transaction
        .local_hour
        .map_or(of_day, |hour| f64::from(hour) + of_day.fract());
    let (sin, cos) = (hour / 24.0 * std::f64::consts::TAU).sin_cos();
    natural[Slot::HOUR_SIN] = sin;
    natural[Slot::HOUR_COS] = cos;
    // 1970-01-01 was a Thursday; Saturday and Sunday are two and three days after one.
    let weekday = (transaction.day() + 4).rem_euclid(7);
    natural[Slot::WEEKEND] = f64::from(u8::from(weekday == 6 || weekday == 0));
    natural[Slot::NIGHT] = f64::from(u8::from(hour < 6.0));
}

fn fill_card(natural: &mut [f64; Slot::COUNT], reading: &CardReading, outlet: u64) {
    let log_hours = |gap_ms: Option<i64>, otherwise_days: f64| {
        gap_ms
            .map_or(otherwise_days * 24.0, |gap| gap as f64 / HOUR_MS as f64)
            .ln_1p()
    };
    natural[Slot::GAP] = log_hours(reading.gap_ms, 30.0);
    if outlet != NO_KEY {
        natural[Slot::VISITS] = f64::from(reading.visits).ln_1p();
        natural[Slot::VISIT_GAP] = log_hours(reading.visit_gap_ms, 60.0);
    }
    natural[Slot::HISTORY..][..6].copy_from_slice(&[
        reading.count.ln_1p(),
        reading.log_mean,
        reading.log_sd,
        reading.mean_log,
        reading.median_log,
        reading.max_log,
    ]);
    // Derived columns are made from standardised ones; 0 holds their place.
    natural[Slot::DERIVED..][..4].fill(0.0);
    for (at, totals) in reading.windows.iter().enumerate() {
        let mean = totals.sum / totals.count.max(1.0);
        let values = [totals.count, totals.sum, mean, totals.max, totals.distinct].map(f64::ln_1p);
        natural[Slot::CARD_WINDOWS + 5 * at..][..5].copy_from_slice(&values);
    }
}

/// Above `max`, forgets down to fifteen sixteenths of it, the longest unseen first. Arrivals are
/// distinct but for labels without payments, whose order is that of their keys.
fn forget_excess<T>(memory: &mut BTreeMap<u64, Seen<T>>, max: u64) {
    if (memory.len() as u64) <= max {
        return;
    }
    let kept = usize::try_from(max - max / 16).unwrap_or(usize::MAX);
    let excess = memory.len().saturating_sub(kept);
    let mut order: Vec<(u64, u64)> = memory
        .iter()
        .map(|(key, seen)| (seen.arrival, *key))
        .collect();
    order.sort_unstable();
    for (_, key) in order.into_iter().take(excess) {
        memory.remove(&key);
    }
}

const SWEEP_DAYS: i64 = 16;

#[cfg(test)]
mod tests;
