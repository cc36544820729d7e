//! The plain rule beside the learnt scores: how many times a payment's amount is the median of its
//! card's. It needs neither model nor label. On public data it ranks as well as what is learnt
//! without labels (`docs/learn.md`); the column that it reads is `features`'.

use features::{FeatureSchema, FeatureVector};

/// Where a schema's vectors hold it.
pub(super) struct Ratio {
    /// The amount over the card's median, a difference of logarithms.
    over_median: usize,
    /// What a unit of it is.
    scale: f32,
    /// Payments of the card so far.
    count: usize,
    /// That column's value for a card without any.
    none: f32,
}

impl Ratio {
    /// Nothing where the schema does not hold amounts against the card's past.
    pub(super) fn of(schema: &FeatureSchema) -> Option<Self> {
        let count = schema.position("history_count")?;
        let of_count = schema.columns().get(count)?;
        Some(Self {
            over_median: schema.position("amount_over_median")?,
            scale: schema.columns().get(schema.amount()?)?.scale,
            count,
            // As the encoder standardises a logarithm of one plus nothing.
            none: (0.0 - of_count.center) / of_count.scale,
        })
    }

    /// How many times the median the amount is, a major unit added to both so that the smallest
    /// amounts do not say the most. Nothing for a card without a payment before.
    pub(super) fn read(&self, vector: &FeatureVector) -> Option<f32> {
        let count = *vector.0.get(self.count)?;
        let over = *vector.0.get(self.over_median)?;
        let ratio = (over * self.scale).exp();
        (count > self.none && ratio.is_finite()).then_some(ratio)
    }
}

#[cfg(test)]
mod tests {
    use features::{FeatureEncoder, RiskSettings};
    use serde_json::json;

    use super::*;

    const SINGLE: &str = include_str!("../../../ops/config/schemas/single-payment.toml");

    // By hand: the median of 10, 20 and 60 is 20, and 62 over 21 is 2.952.
    #[test]
    fn it_is_the_amount_over_the_cards_median_where_there_is_one() {
        let schema = FeatureSchema::standard();
        let ratio = Ratio::of(&schema).unwrap();
        let mut encoder = FeatureEncoder::new(schema, RiskSettings::default());
        let mut read = |ts: i64, card: &str, amount_minor: i64| {
            let raw: features::RawTransaction = serde_json::from_value(json!({
                "txn_id": "t", "ts": ts, "rail": "card", "amount_minor": amount_minor,
                "currency": "EUR", "account_tok": card,
            }))
            .unwrap();
            let payment = features::Transaction::try_from(raw).unwrap();
            ratio.read(&encoder.encode(&payment))
        };
        assert_eq!(read(0, "a", 1_000), None);
        assert!((read(1, "a", 2_000).unwrap() - 21.0 / 11.0).abs() < 1e-3);
        read(2, "a", 6_000);
        assert!((read(3, "a", 6_100).unwrap() - 62.0 / 21.0).abs() < 1e-3);
        assert_eq!(read(4, "b", 6_100), None);
    }

    #[test]
    fn a_schema_without_histories_has_none() {
        assert!(Ratio::of(&FeatureSchema::parse(SINGLE).unwrap()).is_none());
    }
}
