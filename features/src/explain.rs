//! A column in units that people use: what was observed, and what is usual. Which columns to
//! name, and the words around the figures, are the caller's affair.

use serde::{Deserialize, Serialize};

use crate::encoder::{FeatureEncoder, FeatureVector};
use crate::schema::{Figure, Part, Past, Reading, Transform, Unit, signed_exp};
use crate::transaction::Transaction;

/// What a figure measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Major units of the currency.
    Amount,
    /// Hours.
    Hours,
    /// Hour of the day, 0 to 24.
    HourOfDay,
    /// A number of things.
    Count,
    /// A share from 0 to 1.
    Share,
    /// How many times the usual.
    Times,
    /// 1 for yes, 0 for no; what is usual is the share of payments with a yes.
    Flag,
    /// A standard deviation of logarithms, or a number of standard deviations.
    Deviations,
    /// Whatever unit the field has.
    Number,
    /// Kilometres.
    Kilometres,
}

/// An observed and a usual figure for one column of one vector.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// What the figures measure.
    pub measure: Measure,
    /// The payment's own figure.
    pub observed: f64,
    /// The usual figure: the card's own where there is one (its median amount, the hour in which
    /// it pays most), else the bank's trailing week or the schema's centre. Nothing for an hour and
    /// a flag ([`Measure::Flag`]) of which too little was seen.
    pub usual: Option<f64>,
}

impl FeatureEncoder {
    /// Explains `column` of the vector that this encoder gave for a payment on the day it encoded
    /// last, before it remembers the payment. `None` where the schema has no such column or the
    /// vector another length.
    #[must_use]
    pub fn explain(
        &self,
        column: usize,
        vector: &FeatureVector,
        transaction: &Transaction,
    ) -> Option<Explanation> {
        if vector.0.len() != self.schema().len() {
            return None;
        }
        let own = self.schema().columns().get(column)?;
        let undo = |value: f32| f64::from((value + self.trend_of(column)) * own.scale + own.center);
        let (observed, usual) = (undo(*vector.0.get(column)?), undo(0.0));
        let measure = measure(&own.reading, &own.name);
        let explanation = |observed: f64, usual: Option<f64>| {
            Some(Explanation {
                measure,
                observed,
                usual,
            })
        };
        match (&own.reading, measure) {
            (Reading::Amount, _) => {
                let median = self.natural_at(Reading::History(Past::Median), vector);
                explanation(observed.exp_m1(), Some(median.unwrap_or(usual).exp_m1()))
            }
            (Reading::HourSin | Reading::HourCos, _) => {
                let sin = self.natural_at(Reading::HourSin, vector)?;
                let cos = self.natural_at(Reading::HourCos, vector)?;
                explanation(hour_of(sin, cos), self.usual_of(column, transaction))
            }
            // Half-deviations become deviations.
            (Reading::Derived, Measure::Deviations) => {
                explanation(2.0 * f64::from(vector.0[column]), Some(0.0))
            }
            // Amounts over the card's own: differences of logarithms are ratios.
            (Reading::Derived, _) => {
                let scale = self.amount_scale();
                explanation((f64::from(vector.0[column]) * scale).exp(), Some(1.0))
            }
            (Reading::Figure(figure, _), _) => {
                explanation(in_units(figure, observed), Some(in_units(figure, usual)))
            }
            (_, Measure::Flag) => explanation(observed, self.usual_of(column, transaction)),
            (
                _,
                Measure::Number
                | Measure::Kilometres
                | Measure::Deviations
                | Measure::Times
                | Measure::HourOfDay,
            ) => explanation(observed, Some(usual)),
            // Payments of a day that a window cuts count by their part: whole ones are told.
            (Reading::OwnRisk(_) | Reading::SharedRisk(_), Measure::Count) => explanation(
                observed.exp_m1().max(0.0).round(),
                Some(usual.exp_m1().max(0.0)),
            ),
            (_, Measure::Share) => explanation(observed / 3.0, Some((usual / 3.0).max(0.0))),
            (_, Measure::Amount | Measure::Hours | Measure::Count) => {
                explanation(observed.exp_m1().max(0.0), Some(usual.exp_m1().max(0.0)))
            }
        }
    }

    /// The natural value of the column that reads so, where the schema has it.
    fn natural_at(&self, reading: Reading, vector: &FeatureVector) -> Option<f64> {
        let columns = self.schema().columns();
        let at = columns
            .iter()
            .position(|column| column.reading == reading)?;
        let column = columns.get(at)?;
        Some(f64::from(
            (vector.0[at] + self.trend_of(at)) * column.scale + column.center,
        ))
    }

    fn amount_scale(&self) -> f64 {
        let mut columns = self.schema().columns().iter();
        let amount = columns.find(|column| column.reading == Reading::Amount);
        amount.map_or(1.0, |column| f64::from(column.scale))
    }
}

/// The hour of the day at an angle.
pub(crate) fn hour_of(sin: f64, cos: f64) -> f64 {
    let turn = sin.atan2(cos) / std::f64::consts::TAU;
    turn.rem_euclid(1.0) * 24.0
}

/// A figure's natural value in its own unit, ages in hours.
fn in_units(figure: &Figure, natural: f64) -> f64 {
    match figure {
        Figure::Number { transform, .. } => match transform {
            Transform::Log => signed_exp(natural),
            Transform::Standardise | Transform::Clip(..) => natural,
        },
        Figure::Age { unit, .. } => signed_exp(natural) * unit.ms() / Unit::Hours.ms(),
        Figure::Distance { .. } => signed_exp(natural),
        Figure::Ratio { .. } => natural.exp(),
    }
}

/// What the natural value of a column measures.
fn measure(reading: &Reading, name: &str) -> Measure {
    match reading {
        Reading::Amount => Measure::Amount,
        Reading::Gap | Reading::VisitGap => Measure::Hours,
        Reading::HourSin | Reading::HourCos => Measure::HourOfDay,
        Reading::Weekend
        | Reading::Night
        | Reading::Category(_)
        | Reading::FigureMissing(_)
        | Reading::Word { .. }
        | Reading::WordMissing(_) => Measure::Flag,
        Reading::Visits => Measure::Count,
        Reading::History(past) => match past {
            Past::Count => Measure::Count,
            Past::LogSpread => Measure::Deviations,
            Past::LogMean | Past::Mean | Past::Median | Past::Max => Measure::Amount,
        },
        Reading::Derived if name == "amount_deviation" => Measure::Deviations,
        Reading::Derived => Measure::Times,
        Reading::OwnRisk(at) | Reading::SharedRisk(at) => match at {
            1 | 3 | 5 | 7 => Measure::Share,
            _ => Measure::Count,
        },
        Reading::Window { part, .. } => match part {
            Part::Count | Part::Distinct => Measure::Count,
            Part::Sum | Part::Mean | Part::Max => Measure::Amount,
        },
        Reading::Figure(figure, _) => match figure {
            Figure::Number { .. } => Measure::Number,
            Figure::Age { .. } => Measure::Hours,
            Figure::Distance { .. } => Measure::Kilometres,
            Figure::Ratio { .. } => Measure::Times,
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{FeatureSchema, RawTransaction, RiskSettings};

    const SINGLE: &str = include_str!("../../ops/config/schemas/single-payment.toml");

    fn payment(ts: i64, amount_minor: i64) -> Transaction {
        let raw: RawTransaction = serde_json::from_value(json!({
            "txn_id": "t", "ts": ts, "rail": "card", "amount_minor": amount_minor,
            "currency": "EUR", "account_tok": "a", "terminal_tok": "o",
        }))
        .unwrap();
        Transaction::try_from(raw).unwrap()
    }

    #[test]
    fn figures_are_those_of_the_payment() {
        let mut encoder = FeatureEncoder::new(FeatureSchema::standard(), RiskSettings::default());
        let hour = 3_600_000;
        for back in (1..=9).rev() {
            encoder.encode(&payment(1_000 * hour - back * hour, 5_000));
        }
        let now = payment(1_000 * hour, 40_000);
        let vector = encoder.encode(&now);
        let explain = |name: &str| {
            let at = encoder.schema().position(name).unwrap();
            encoder.explain(at, &vector, &now).unwrap()
        };
        let near = |found: f64, expected: f64| {
            let off = (found / expected - 1.0).abs();
            // Detrended columns are shown by the trailing mean, which holds this payment too.
            assert!(off < 1e-2, "found {found}, expected {expected}");
        };
        let amount = explain("amount");
        near(amount.observed, 400.0);
        near(amount.usual.unwrap(), 50.0);
        near(explain("hour_sin").observed, 16.0);
        near(explain("gap").observed, 1.0);
        near(explain("visits").observed, 9.0);
        near(explain("card_count_1d").observed, 9.0);
        near(explain("card_sum_7d").observed, 450.0);
        near(explain("amount_over_median").observed, 401.0 / 51.0);
        near(explain("outlet_cards_30d").observed, 1.0);
        assert_eq!(explain("shared_rate_7d").observed, 0.0);
        assert_eq!(explain("category_unknown").observed, 1.0);
    }

    // On the first day there is no hour and no flag to compare with, and all else has its centre;
    // after a day of twenty payments everything has something usual.
    #[test]
    fn every_column_has_an_explanation_and_a_usual_figure() {
        for schema in [
            FeatureSchema::standard(),
            FeatureSchema::parse(SINGLE).unwrap(),
        ] {
            let mut encoder = FeatureEncoder::new(schema, RiskSettings::default());
            let counted = encoder.schema().counted();
            for (ts, is_known) in [(0, false), (24 * 3_600_000, true)] {
                let now = payment(ts, 1);
                let vector = encoder.preview(&now);
                for at in 0..vector.0.len() {
                    let explanation = encoder.explain(at, &vector, &now).unwrap();
                    let is_usual = explanation.usual.is_some_and(f64::is_finite);
                    let name = &encoder.schema().columns()[at].name;
                    assert!(explanation.observed.is_finite());
                    assert_eq!(is_usual, is_known || !counted.contains(&at), "{name}");
                }
                assert_eq!(encoder.explain(vector.0.len(), &vector, &now), None);
                assert_eq!(encoder.explain(0, &FeatureVector(vec![0.0]), &now), None);
                (0..20).for_each(|minute| drop(encoder.encode(&payment(ts + minute * 60_000, 1))));
            }
        }
    }
}
