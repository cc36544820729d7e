//! What is usual where a figure is no amount: at which hour somebody pays, and of what share of
//! payments something is so. Explanations alone read it; no column is made of it.

use crate::explain::hour_of;
use crate::schema::{Entity, Reading};
use crate::transaction::{Transaction, day_of};
use crate::windows::key_of;

use super::FeatureEncoder;
use super::natural::{hour, hour_at, is_night, is_weekend};

impl FeatureEncoder {
    /// What is usual of the clock's column or the flag at `at`, for a payment that is not
    /// remembered yet: an hour of the day, or the share of payments of which it is so. Hour, night
    /// and weekend are the payer's own where [`OWN_MIN`] of its payments are remembered, in the
    /// hours of this payment's clock; all else is the bank's, over the seven days before. Nothing
    /// where neither is known, and for every other column.
    pub(crate) fn usual_of(&self, at: usize, transaction: &Transaction) -> Option<f64> {
        let reading = &self.schema.columns().get(at)?.reading;
        let (own, day) = (self.own_times(transaction), transaction.day());
        let own = own.as_deref();
        // Whole hours, since only the hour of a local clock is told.
        let shift = (hour(transaction) - hour_at(transaction.ts)).round();
        let own_hour = |ts: i64| (hour_at(ts) + shift).rem_euclid(24.0);
        if matches!(reading, Reading::HourSin | Reading::HourCos) {
            let commonest = own.map(|own| commonest(own.iter().map(|ts| own_hour(*ts))));
            return commonest.or_else(|| self.trailing_hour(day));
        }
        let own = if matches!(reading, Reading::Weekend) {
            own.map(|own| share(own, |ts| is_weekend(day_of(ts))))
        } else if matches!(reading, Reading::Night) {
            own.map(|own| share(own, |ts| is_night(own_hour(ts))))
        } else {
            None
        };
        own.or_else(|| self.trailing(at, day))
    }

    /// Times of the payer's earlier payments, the card's where cards are remembered.
    fn own_times(&self, transaction: &Transaction) -> Option<Vec<i64>> {
        let cards = self.payers.iter().find(|of| of.entity == Entity::Card);
        let payers = cards.or_else(|| self.payers.first())?;
        let key = key_of(payers.entity.token(transaction)?);
        let times = payers.seen.get(&key)?.memory.times(transaction.ts);
        let times: Vec<i64> = times.collect();
        (times.len() >= OWN_MIN).then_some(times)
    }

    /// The mean hour of the bank's payments. Where they come around the clock, none is usual.
    fn trailing_hour(&self, day: i32) -> Option<f64> {
        let mean = |reading: Reading| {
            let mut columns = self.schema.columns().iter();
            let at = columns.position(|column| column.reading == reading)?;
            self.trailing(at, day)
        };
        let (sin, cos) = (mean(Reading::HourSin)?, mean(Reading::HourCos)?);
        (sin.hypot(cos) >= CONCENTRATION_MIN).then(|| hour_of(sin, cos))
    }

    /// The bank's mean of a counted column over the seven days before `day`.
    fn trailing(&self, at: usize, day: i32) -> Option<f64> {
        let place = self.counted.iter().position(|&counted| counted == at)?;
        self.trend.usual(day, self.trended.len() + place)
    }
}

fn share(times: &[i64], is_so: impl Fn(i64) -> bool) -> f64 {
    let count = times.iter().filter(|ts| is_so(**ts)).count();
    count as f64 / times.len() as f64
}

/// The middle of the commonest hour of the day, of equal ones the first. The hours beside it count
/// half, so that few payments around one hour do not lead to another.
fn commonest(hours: impl Iterator<Item = f64>) -> f64 {
    let mut counts = [0_u32; 24];
    for hour in hours {
        counts[hour as usize % 24] += 1;
    }
    let around = |at: usize| counts[(at + 23) % 24] + 2 * counts[at] + counts[(at + 1) % 24];
    // Of equals the last that is looked at wins.
    let at = (0..24_usize).rev().max_by_key(|&at| around(at));
    at.unwrap_or_default() as f64 + 0.5
}

/// Payments of a payer below which the bank's say more.
const OWN_MIN: usize = 5;

/// Length of the mean of the hours as points of a circle: 1 where all are the same, 0 where they
/// are spread evenly.
const CONCENTRATION_MIN: f64 = 0.1;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::risk::RiskSettings;
    use crate::schema::FeatureSchema;
    use crate::transaction::{DAY_MS, HOUR_MS, RawTransaction};

    fn payment(card: &str, ts: i64, change: &Value) -> Transaction {
        let mut raw = json!({
            "txn_id": format!("{card}-{ts}"), "ts": ts, "rail": "card", "amount_minor": 500,
            "currency": "EUR", "account_tok": card, "terminal_tok": "o", "mcc": 5411,
        });
        for (name, value) in change.as_object().unwrap() {
            raw[name] = value.clone();
        }
        let raw: RawTransaction = serde_json::from_value(raw).unwrap();
        Transaction::try_from(raw).unwrap()
    }

    /// Ten days of five payments between eight and nine o'clock with one card. They begin with a
    /// Thursday, the first of January 1970; the fifth of each day is a taxi ride.
    fn encoder() -> FeatureEncoder {
        let mut encoder = FeatureEncoder::new(FeatureSchema::standard(), RiskSettings::default());
        for (day, slot) in (0..10).flat_map(|day| (0..5).map(move |slot| (day, slot))) {
            let ts = day * DAY_MS + 8 * HOUR_MS + slot * HOUR_MS / 6;
            let mcc = if slot == 4 { 4121 } else { 5411 };
            encoder.encode(&payment("c", ts, &json!({ "mcc": mcc })));
        }
        encoder
    }

    fn usual(encoder: &FeatureEncoder, column: &str, of: &Transaction) -> Option<f64> {
        encoder.usual_of(encoder.schema().position(column).unwrap(), of)
    }

    #[test]
    fn clock_and_weekend_are_the_cards_own_where_it_is_known() {
        let encoder = encoder();
        let now = payment("c", 10 * DAY_MS + 3 * HOUR_MS, &json!({}));
        let usual = |column: &str| usual(&encoder, column, &now);
        assert_eq!([usual("hour_sin"), usual("hour_cos")], [Some(8.5); 2]);
        assert_eq!(usual("night"), Some(0.0));
        // Two Saturdays and a Sunday of ten days.
        assert_eq!(usual("weekend"), Some(0.3));
        assert_eq!([usual("amount"), usual("gap")], [None; 2]);
    }

    // By hand: of the seven days before, from Sunday the fourth on, one is a Sunday and one a
    // Saturday; the mean of 8:00, 8:10, 8:20, 8:30 and 8:40 is 8:20.
    #[test]
    fn of_a_stranger_and_of_flags_the_banks_week_is_usual() {
        let encoder = encoder();
        let now = payment("d", 10 * DAY_MS + 3 * HOUR_MS, &json!({}));
        let usual = |column: &str| usual(&encoder, column, &now).unwrap();
        assert!((usual("hour_sin") - (8.0 + 1.0 / 3.0)).abs() < 1e-4);
        assert!((usual("weekend") - 2.0 / 7.0).abs() < 1e-9);
        for (column, expected) in [("grocery", 0.8), ("transport", 0.2), ("money", 0.0)] {
            let found = usual(&format!("category_{column}"));
            assert!((found - expected).abs() < 1e-9, "{column}: {found}");
        }
    }

    #[test]
    fn own_hours_are_told_by_the_clock_of_the_payment() {
        let encoder = encoder();
        // Six in the evening UTC is four in the morning there: eight was six in the evening.
        let abroad = json!({ "local_hour": 4 });
        let now = payment("c", 10 * DAY_MS + 18 * HOUR_MS, &abroad);
        assert_eq!(usual(&encoder, "hour_sin", &now), Some(18.5));
        let near = json!({ "local_hour": 15 });
        let now = payment("c", 10 * DAY_MS + 18 * HOUR_MS, &near);
        assert_eq!(usual(&encoder, "hour_sin", &now), Some(5.5));
        assert_eq!(usual(&encoder, "night", &now), Some(1.0));
    }

    #[test]
    fn nothing_is_usual_before_enough_was_seen_nor_the_hour_around_the_clock() {
        let mut encoder = FeatureEncoder::new(FeatureSchema::standard(), RiskSettings::default());
        for hour in 0..24 {
            let now = payment("c", hour * HOUR_MS, &json!({}));
            let names = ["hour_sin", "weekend", "category_grocery"];
            let found = names.map(|name| usual(&encoder, name, &now).is_some());
            // Five payments of its own; of the bank's there is no whole day yet.
            let is_known = hour >= 5;
            assert_eq!(found, [is_known, is_known, false], "{hour}");
            encoder.encode(&now);
        }
        let now = payment("d", DAY_MS, &json!({}));
        assert_eq!(usual(&encoder, "hour_sin", &now), None);
        assert_eq!(usual(&encoder, "category_grocery", &now), Some(1.0));
    }

    // A late payment sees no event after its own time.
    #[test]
    fn a_late_payment_is_held_against_what_lay_before_it() {
        let encoder = encoder();
        let late = payment("c", 8 * HOUR_MS + HOUR_MS / 2, &json!({}));
        assert_eq!(usual(&encoder, "hour_sin", &late), None);
        let later = payment("c", DAY_MS, &json!({}));
        assert_eq!(usual(&encoder, "hour_sin", &later), Some(8.5));
    }
}
