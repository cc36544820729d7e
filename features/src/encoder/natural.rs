//! Natural values: what a payment and its past say in units, before any centre and scale. One
//! `match` over what columns read; a column that has nothing to read is not a number.

use crate::card::{Card, CardReading};
use crate::category::Category;
use crate::outlet::Outlet;
use crate::risk::RiskReading;
use crate::schema::{Entity, LENGTHS_MAX, Part, Past, Reading};
use crate::transaction::{DAY_MS, HOUR_MS, Transaction};
use crate::windows::{Totals, key_of};

use super::{FeatureEncoder, outlet_key};

/// What was known before a payment, read once for all columns.
struct Before {
    /// None where no column reads it.
    card: Option<CardReading>,
    /// Totals of every entity with windows; none where the payment names no such entity.
    windows: Vec<Option<[Totals; LENGTHS_MAX]>>,
    /// Own risk and the federation's; none where the payment has no outlet.
    risk: Option<[[f64; 8]; 2]>,
    has_outlet: bool,
}

impl FeatureEncoder {
    /// Natural values, one a column; not a number where a value is missing.
    pub(super) fn natural(&self, transaction: &Transaction) -> Vec<f64> {
        let before = self.before(transaction);
        let columns = self.schema.columns().iter();
        columns
            .map(|column| self.natural_of(&column.reading, transaction, &before))
            .collect()
    }

    fn natural_of(&self, reading: &Reading, transaction: &Transaction, before: &Before) -> f64 {
        let value = |field| self.schema.value(field, transaction);
        match *reading {
            Reading::Amount => transaction.amount_major().ln_1p(),
            Reading::HourSin => angle(transaction).sin_cos().0,
            Reading::HourCos => angle(transaction).sin_cos().1,
            Reading::Weekend => flag(is_weekend(transaction.day())),
            Reading::Night => flag(is_night(hour(transaction))),
            Reading::Category(category) => flag(Category::of(transaction.mcc) == category),
            Reading::Gap | Reading::Visits | Reading::VisitGap | Reading::History(_) => {
                let card = before.card.as_ref();
                card.map_or(f64::NAN, |card| of_card(reading, card, before.has_outlet))
            }
            // Made from standardised columns; 0 holds its place.
            Reading::Derived => 0.0,
            Reading::OwnRisk(at) => of_risk(before.risk.map(|[own, _]| own), at),
            Reading::SharedRisk(at) => of_risk(before.risk.map(|[_, shared]| shared), at),
            Reading::Window {
                windows,
                length,
                part,
            } => {
                let windows = before.windows.get(usize::from(windows)).copied().flatten();
                let totals = windows.and_then(|windows| windows.get(usize::from(length)).copied());
                totals.map_or(f64::NAN, |totals| of_window(&totals, part))
            }
            Reading::Figure(figure, missing) => figure.natural(missing, value),
            Reading::FigureMissing(figure) => flag(figure.is_missing(value)),
            Reading::Word { field, at } => flag(value(field) == Some(f64::from(at))),
            Reading::WordMissing(field) => flag(value(field).is_none()),
        }
    }

    fn before(&self, transaction: &Transaction) -> Before {
        let ts = transaction.ts;
        let windows = self.schema.windows().iter().map(|windows| {
            let key = key_of(windows.of.token(transaction)?);
            let lengths = &windows.lengths;
            Some(match windows.of.is_payer() {
                true => {
                    let payer = self.payer(windows.of, key);
                    payer.map_or_else(Default::default, |payer| payer.windows(ts, lengths))
                }
                false => {
                    let payee = self.payee(windows.of, key);
                    payee.map_or_else(Default::default, |payee| payee.windows(ts, lengths))
                }
            })
        });
        let reads_card = self
            .payers
            .iter()
            .any(|payers| payers.entity == Entity::Card);
        let card = reads_card.then(|| {
            let (key, outlet) = (key_of(transaction.card()), outlet_key(transaction));
            match self.payer(Entity::Card, key) {
                Some(card) => card.read(ts, outlet, self.prior),
                None => Card::default().read(ts, outlet, self.prior),
            }
        });
        let outlet = transaction.outlet();
        Before {
            card,
            windows: windows.collect(),
            risk: outlet
                .filter(|_| self.reads_risk)
                .map(|outlet| self.risk_of(transaction, outlet)),
            has_outlet: outlet.is_some(),
        }
    }

    fn risk_of(&self, transaction: &Transaction, outlet: &str) -> [[f64; 8]; 2] {
        let (ts, today) = (transaction.ts, transaction.day());
        let last_day = today - i32::from(self.risk.label_delay_days) - 1;
        let memory = self.payee(Entity::Outlet, key_of(outlet));
        let memory = memory.filter(|_| self.reads_own_risk);
        let delay_ms = self.risk.own_delay_ms();
        let own = memory.map_or_else(RiskReading::default, |memory| memory.risk(ts, delay_ms));
        let table = self.shared.as_ref();
        let counted = table.and_then(|table| table.read(outlet, last_day, today));
        // Two readings of one thing, of which a network would have to learn when to trust which:
        // what the federation has not counted yet, and all of an outlet that it knows nothing of,
        // its columns say as the bank knows it. A bank that had no labels a label delay ago has
        // nothing to add: a payment that came late by less has no label before it is there.
        let has_labels = self.first_known.is_some_and(|at| at <= ts - delay_ms);
        let shared = counted.map_or(own, |(reading, newest_day)| {
            let memory = memory.filter(|_| has_labels);
            reading.plus(memory.map_or_else(RiskReading::default, |memory| {
                memory.risk_after((newest_day, last_day), ts, delay_ms)
            }))
        });
        [own.values(), shared.values()]
    }

    fn payer(&self, entity: Entity, key: u64) -> Option<&Card> {
        let of = self.payers.iter().find(|payers| payers.entity == entity)?;
        of.seen.get(&key).map(|seen| &seen.memory)
    }

    fn payee(&self, entity: Entity, key: u64) -> Option<&Outlet> {
        let of = self.payees.iter().find(|payees| payees.entity == entity)?;
        of.seen.get(&key).map(|seen| &seen.memory)
    }
}

/// Hour of day. The payer's hour counts where it is given; the day of the week is that of UTC.
pub(super) fn hour(transaction: &Transaction) -> f64 {
    let of_day = hour_at(transaction.ts);
    transaction
        .local_hour
        .map_or(of_day, |hour| f64::from(hour) + of_day.fract())
}

/// Hour of the UTC day.
pub(super) fn hour_at(ts: i64) -> f64 {
    ts.rem_euclid(DAY_MS) as f64 / HOUR_MS as f64
}

/// 1970-01-01 was a Thursday; Saturday and Sunday are two and three days after.
pub(super) fn is_weekend(day: i32) -> bool {
    let weekday = (day + 4).rem_euclid(7);
    weekday == 6 || weekday == 0
}

pub(super) fn is_night(hour: f64) -> bool {
    hour < 6.0
}

fn angle(transaction: &Transaction) -> f64 {
    hour(transaction) / 24.0 * std::f64::consts::TAU
}

fn of_card(reading: &Reading, card: &CardReading, has_outlet: bool) -> f64 {
    let log_hours = |gap_ms: Option<i64>, otherwise_days: f64| {
        gap_ms
            .map_or(otherwise_days * 24.0, |gap| gap as f64 / HOUR_MS as f64)
            .ln_1p()
    };
    match reading {
        Reading::Gap => log_hours(card.gap_ms, 30.0),
        Reading::Visits if has_outlet => f64::from(card.visits).ln_1p(),
        Reading::VisitGap if has_outlet => log_hours(card.visit_gap_ms, 60.0),
        Reading::History(past) => match past {
            Past::Count => card.count.ln_1p(),
            Past::LogMean => card.log_mean,
            Past::LogSpread => card.log_sd,
            Past::Mean => card.mean_log,
            Past::Median => card.median_log,
            Past::Max => card.max_log,
        },
        Reading::Visits
        | Reading::VisitGap
        | Reading::Amount
        | Reading::HourSin
        | Reading::HourCos
        | Reading::Weekend
        | Reading::Night
        | Reading::Derived
        | Reading::OwnRisk(_)
        | Reading::SharedRisk(_)
        | Reading::Category(_)
        | Reading::Window { .. }
        | Reading::Figure(..)
        | Reading::FigureMissing(_)
        | Reading::Word { .. }
        | Reading::WordMissing(_) => f64::NAN,
    }
}

fn of_risk(values: Option<[f64; 8]>, at: u8) -> f64 {
    let value = values.and_then(|values| values.get(usize::from(at)).copied());
    value.unwrap_or(f64::NAN)
}

fn of_window(totals: &Totals, part: Part) -> f64 {
    let value = match part {
        Part::Count => totals.count,
        Part::Sum => totals.sum,
        Part::Mean => totals.sum / totals.count.max(1.0),
        Part::Max => totals.max,
        Part::Distinct => totals.distinct,
    };
    value.ln_1p()
}

fn flag(is_set: bool) -> f64 {
    f64::from(u8::from(is_set))
}
