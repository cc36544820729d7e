//! The encoder: a payment and what was known before it become a vector; only then is the payment
//! remembered. One pass, one code path for training and scoring, so a replay in the order of
//! arrival gives the same bits. What is remembered lives in `card.rs`, `outlet.rs`, `trend.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::card::{Card, Prior};
use crate::outlet::{Depth, Outlet};
use crate::risk::{RiskSettings, RiskTable};
use crate::schema::{Entity, FeatureSchema, Length, Reading, Role};
use crate::transaction::{DAY_MS, Label, Transaction};
use crate::trend::Trend;
use crate::windows::{NO_KEY, key_of};

mod natural;
mod order;
mod usual;

/// The numbers of one payment, one for each column of the schema.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeatureVector(pub Vec<f32>);

/// A payment that was read: its vector, and what remembering it takes.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// The vector.
    pub vector: FeatureVector,
    /// The trended columns before their trend was subtracted.
    level: Vec<f32>,
}

/// Bounds of the encoder's memory. At most 12 KiB a card and 20 KiB an outlet; a card with two
/// payments a day takes about 3 KiB. Who goes is told by the order of arrival, so a replay forgets
/// the same ones at the same payments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Cards remembered, and as many of each other payer whose windows are read; above it the
    /// sixteenth longest unseen is forgotten.
    pub cards_max: u64,
    /// Outlets remembered, and as many of each other payee; above it the sixteenth longest unseen
    /// is forgotten.
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
    /// Columns whose trailing mean is subtracted, in order.
    trended: Vec<usize>,
    /// Columns whose mean over the same days says what is usual, in order; nothing is subtracted.
    counted: Vec<usize>,
    prior: Prior,
    risk: RiskSettings,
    limits: Limits,
    /// Whether some column reads the bank's own risk, and whether any reads risk at all.
    reads_own_risk: bool,
    reads_risk: bool,
    #[serde(skip)]
    shared: Option<Arc<RiskTable>>,
    /// Who pays, as far as some column reads their past.
    payers: Vec<Remembered<Card>>,
    /// Who is paid, likewise.
    payees: Vec<Remembered<Outlet>>,
    trend: Trend,
    /// When the bank first knew a payment for a fraud, milliseconds since 1970-01-01 UTC.
    first_known: Option<i64>,
    clock_ms: Option<i64>,
    swept_day: i64,
    arrivals: u64,
    /// Payers and payees forgotten so far.
    forgotten: (u64, u64),
}

/// What is remembered of the tokens of one entity.
#[derive(Clone, Serialize, Deserialize)]
struct Remembered<T> {
    entity: Entity,
    lengths: Vec<Length>,
    seen: BTreeMap<u64, Seen<T>>,
}

/// Something remembered, and when it was last touched.
#[derive(Clone, Serialize, Deserialize)]
struct Seen<T> {
    memory: T,
    arrival: u64,
    day: i64,
}

impl FeatureEncoder {
    /// An encoder that has seen nothing.
    #[must_use]
    pub fn new(schema: FeatureSchema, risk: RiskSettings) -> Self {
        let columns = schema.columns().iter();
        let trended: Vec<usize> = columns
            .enumerate()
            .filter(|(_, column)| column.detrend)
            .map(|(at, _)| at)
            .collect();
        let counted = schema.counted();
        let reads = |is_wanted: fn(&Role) -> bool| !schema.indices(is_wanted).is_empty();
        let reads_own_risk = reads(|role| matches!(role, Role::OwnRisk));
        Self {
            prior: prior(&schema),
            reads_own_risk,
            reads_risk: reads_own_risk || reads(|role| matches!(role, Role::SharedRisk)),
            payers: payers(&schema),
            payees: payees(&schema, reads_own_risk),
            trend: Trend::new(trended.len() + counted.len()),
            trended,
            counted,
            schema,
            risk,
            limits: Limits::default(),
            shared: None,
            first_known: None,
            clock_ms: None,
            swept_day: 0,
            arrivals: 0,
            forgotten: (0, 0),
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

    /// Payers and payees remembered: with the standard schema cards and outlets.
    #[must_use]
    pub fn remembered(&self) -> (u64, u64) {
        let payers = self.payers.iter().map(|payers| payers.seen.len() as u64);
        let payees = self.payees.iter().map(|payees| payees.seen.len() as u64);
        (payers.sum(), payees.sum())
    }

    /// Payers and payees forgotten so far, unseen for too long or for want of room. One that comes
    /// again is a stranger.
    #[must_use]
    pub fn forgotten(&self) -> (u64, u64) {
        self.forgotten
    }

    /// Reads a payment as [`Self::encode`] does, and remembers nothing of it yet: for who must keep
    /// it elsewhere first. [`Self::remember`] it before another one is read.
    pub fn read_first(&mut self, transaction: &Transaction) -> Encoded {
        let natural = self.natural(transaction);
        self.trend.prepare(transaction.day());
        let (vector, level) = self.read(transaction, &natural);
        Encoded { vector, level }
    }

    /// Remembers a payment that was read last.
    pub fn remember(&mut self, transaction: &Transaction, encoded: &Encoded) {
        self.enter(transaction, (&encoded.vector, encoded.level.as_slice()));
    }

    /// The vector of a payment from what was known before it; then remembers the payment.
    pub fn encode(&mut self, transaction: &Transaction) -> FeatureVector {
        let natural = self.natural(transaction);
        self.take(transaction, &natural)
    }

    /// The vector of [`Self::encode`], but not a number where a value is missing: for who counts
    /// values.
    pub fn encode_with_gaps(&mut self, transaction: &Transaction) -> FeatureVector {
        let natural = self.natural(transaction);
        let mut vector = self.take(transaction, &natural);
        for (value, natural) in vector.0.iter_mut().zip(natural) {
            if natural.is_nan() {
                *value = f32::NAN;
            }
        }
        vector
    }

    /// The vector that [`Self::encode`] would give; remembers nothing.
    #[must_use]
    pub fn preview(&self, transaction: &Transaction) -> FeatureVector {
        self.read(transaction, &self.natural(transaction)).0
    }

    /// Takes in what a payment turned out to be. It is read by payments from `known_at` on, and
    /// only once the label delay has passed, so labels may come in any order and ahead of time.
    /// A verdict of genuine withdraws a fraud reported before and is otherwise of no use here.
    pub fn add_label(&mut self, of: &Transaction, label: &Label) {
        if label.fraud {
            let first = self.first_known.unwrap_or(i64::MAX);
            self.first_known = Some(first.min(label.known_at));
        }
        let Some(key) = of.outlet().map(key_of) else {
            return;
        };
        let delay = self.delay_of(Entity::Outlet);
        let mut payees = self.payees.iter_mut();
        let Some(outlets) = payees.find(|payees| payees.entity == Entity::Outlet) else {
            return;
        };
        let seen = match label.fraud {
            true => Some(outlets.seen.entry(key).or_insert_with(|| {
                Seen {
                    memory: Outlet::new(Depth::new(&outlets.lengths, delay)),
                    arrival: self.arrivals,
                    // A label may be ahead of the clock, or come before there is one: an outlet
                    // known by its labels alone must not look long unseen.
                    day: self
                        .clock_ms
                        .map_or(i64::MIN, |ms| ms.div_euclid(DAY_MS))
                        .max(i64::from(of.day())),
                }
            })),
            false => outlets.seen.get_mut(&key),
        };
        if let Some(seen) = seen {
            seen.memory
                .judge(key_of(&label.txn_id), of.ts, label.known_at, label.fraud);
        }
    }

    /// Puts the federation's table in place; it is read by the label delay of the settings.
    pub fn install_risk(&mut self, table: Arc<RiskTable>) {
        self.shared = Some(table);
    }

    /// Days from the newest of the federation's table to `day`; nothing without a released day. A
    /// table that is up to date is a label delay and a day old.
    #[must_use]
    pub fn risk_age_days(&self, day: i32) -> Option<i32> {
        let newest = self.shared.as_ref()?.newest_day()?;
        Some(day.saturating_sub(newest))
    }

    /// The vector of natural values; then remembers the payment.
    fn take(&mut self, transaction: &Transaction, natural: &[f64]) -> FeatureVector {
        self.trend.prepare(transaction.day());
        let (vector, level) = self.read(transaction, natural);
        self.enter(transaction, (&vector, level.as_slice()));
        vector
    }

    /// The vector, and the trended columns before their trend was subtracted.
    fn read(&self, transaction: &Transaction, natural: &[f64]) -> (FeatureVector, Vec<f32>) {
        let columns = self.schema.columns();
        let standardised = columns.iter().zip(natural).map(|(column, value)| {
            if value.is_nan() {
                0.0
            } else {
                (*value as f32 - column.center) / column.scale
            }
        });
        let mut values: Vec<f32> = standardised.collect();
        let means = self.trend.means(transaction.day());
        let mut level = Vec::with_capacity(self.trended.len());
        for (&at, mean) in self.trended.iter().zip(means.iter()) {
            // A missing value stays exactly 0 and does not enter the trend.
            let is_missing = natural[at].is_nan();
            level.push(if is_missing { f32::NAN } else { values[at] });
            values[at] -= if is_missing { 0.0 } else { *mean };
        }
        for (at, column) in columns.iter().enumerate() {
            if matches!(column.role, Role::Derived { .. }) {
                let derived = self.schema.derive(at, &values);
                values[at] = derived.expect("a schema's operands are columns before it");
            }
        }
        (FeatureVector(values), level)
    }

    fn enter(&mut self, transaction: &Transaction, (vector, level): (&FeatureVector, &[f32])) {
        let (ts, amount) = (transaction.ts, transaction.amount_major());
        let clock = self
            .clock_ms
            .map_or(ts, |clock| ts.clamp(clock, clock + DAY_MS));
        self.clock_ms = Some(clock);
        self.arrivals += 1;
        let (arrival, day) = (self.arrivals, clock.div_euclid(DAY_MS));
        let (card, outlet) = (key_of(transaction.card()), outlet_key(transaction));
        for payers in &mut self.payers {
            let Some(token) = payers.entity.token(transaction) else {
                continue;
            };
            let fresh = || Seen {
                memory: Card::default(),
                arrival,
                day,
            };
            let seen = payers.seen.entry(key_of(token)).or_insert_with(fresh);
            (seen.arrival, seen.day) = (arrival, day);
            let longest_ms = payers.lengths.last().map_or(0, |length| length.ms);
            seen.memory.remember(ts, outlet, amount, longest_ms);
        }
        let own_risk = self.delay_of(Entity::Outlet);
        for payees in &mut self.payees {
            let Some(token) = payees.entity.token(transaction) else {
                continue;
            };
            let delay = own_risk.filter(|_| payees.entity == Entity::Outlet);
            let fresh = || Seen {
                memory: Outlet::new(Depth::new(&payees.lengths, delay)),
                arrival,
                day,
            };
            let seen = payees.seen.entry(key_of(token)).or_insert_with(fresh);
            (seen.arrival, seen.day) = (arrival, day);
            seen.memory.remember(ts, card, amount);
        }
        let counted = self.counted.iter().filter_map(|&at| vector.0.get(at));
        self.trend
            .remember(transaction.day(), level.iter().chain(counted).copied());
        self.sweep(day);
    }

    /// The label delay, where the bank's own risk of this entity is read.
    fn delay_of(&self, entity: Entity) -> Option<u16> {
        let is_read = self.reads_own_risk && entity == Entity::Outlet;
        is_read.then_some(self.risk.label_delay_days)
    }

    /// Forgets what was unseen too long, every sixteen days, and the longest unseen whenever
    /// there is too much.
    fn sweep(&mut self, day: i64) {
        let before = self.remembered();
        let oldest = day - i64::from(self.limits.unseen_days_max);
        let is_due = day - self.swept_day >= SWEEP_DAYS;
        if is_due {
            self.swept_day = day;
        }
        for payers in &mut self.payers {
            if is_due {
                payers.seen.retain(|_, seen| seen.day >= oldest);
            }
            forget_excess(&mut payers.seen, self.limits.cards_max);
        }
        for payees in &mut self.payees {
            if is_due {
                payees.seen.retain(|_, seen| seen.day >= oldest);
            }
            forget_excess(&mut payees.seen, self.limits.outlets_max);
        }
        let after = self.remembered();
        self.forgotten.0 += before.0 - after.0;
        self.forgotten.1 += before.1 - after.1;
    }

    /// The trailing mean subtracted from column `at` in vectors of the day encoded last.
    pub(crate) fn trend_of(&self, at: usize) -> f32 {
        let place = self.trended.iter().position(|&trended| trended == at);
        let mean = |place: usize| self.trend.prepared().and_then(|means| means.get(place));
        place.and_then(mean).copied().unwrap_or(0.0)
    }
}

/// The amount's own centre and scale stand in for two payments of every card.
fn prior(schema: &FeatureSchema) -> Prior {
    let amount = schema
        .columns()
        .iter()
        .find(|column| column.reading == Reading::Amount);
    let (center, scale) = amount.map_or((0.0, 1.0), |column| (column.center, column.scale));
    Prior {
        log_mean: f64::from(center),
        log_sd: f64::from(scale),
    }
}

/// Memory of those whose windows are read, and of the card where its history is.
fn payers(schema: &FeatureSchema) -> Vec<Remembered<Card>> {
    let mut payers = remembered(schema, Entity::is_payer);
    if schema.reads_card() && payers.iter().all(|of| of.entity != Entity::Card) {
        payers.push(Remembered::new(Entity::Card, &[]));
    }
    payers
}

/// Memory of those whose windows are read, and of outlets where the bank's own risk is.
fn payees(schema: &FeatureSchema, reads_own_risk: bool) -> Vec<Remembered<Outlet>> {
    let mut payees = remembered(schema, |entity| !entity.is_payer());
    if reads_own_risk && payees.iter().all(|of| of.entity != Entity::Outlet) {
        payees.push(Remembered::new(Entity::Outlet, &[]));
    }
    payees
}

fn remembered<T>(schema: &FeatureSchema, is_wanted: impl Fn(Entity) -> bool) -> Vec<Remembered<T>> {
    let wanted = schema.windows().iter().filter(|of| is_wanted(of.of));
    wanted
        .map(|of| Remembered::new(of.of, &of.lengths))
        .collect()
}

impl<T> Remembered<T> {
    fn new(entity: Entity, lengths: &[Length]) -> Self {
        Self {
            entity,
            lengths: lengths.to_vec(),
            seen: BTreeMap::new(),
        }
    }
}

fn outlet_key(transaction: &Transaction) -> u64 {
    transaction.outlet().map_or(NO_KEY, key_of)
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
