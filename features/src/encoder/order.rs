//! Where a payment stands among those before it: what makes it late, told before it is remembered.
//! How a late payment is read and entered is in `encoder.rs` and `card.rs`.

use crate::schema::Entity;
use crate::transaction::Transaction;
use crate::windows::key_of;

use super::FeatureEncoder;

impl FeatureEncoder {
    /// The newest time of the payments so far (milliseconds since 1970-01-01 UTC), as the inner
    /// clock has it, which one payment moves by a day at most: a single wild time cannot make all
    /// others old. Nothing before the first payment. A replay finds the same.
    #[must_use]
    pub fn newest_ms(&self) -> Option<i64> {
        self.clock_ms
    }

    /// Whether the payment's card has a payment of a later time that is remembered. Never where no
    /// column reads a card's past: then nothing is remembered that could be late.
    #[must_use]
    pub fn is_late(&self, transaction: &Transaction) -> bool {
        let mut payers = self.payers.iter();
        let Some(cards) = payers.find(|payers| payers.entity == Entity::Card) else {
            return false;
        };
        let card = cards.seen.get(&key_of(transaction.card()));
        let newest = card.and_then(|seen| seen.memory.newest());
        newest.is_some_and(|newest| transaction.ts < newest)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::risk::RiskSettings;
    use crate::schema::FeatureSchema;
    use crate::transaction::{DAY_MS, RawTransaction};

    const START: i64 = 1_522_540_800_000;

    fn payment(card: u8, ts: i64) -> Transaction {
        let raw: RawTransaction = serde_json::from_value(json!({
            "txn_id": format!("x{card}-{ts:x}"), "ts": ts, "rail": "card", "amount_minor": 100,
            "currency": "EUR", "account_tok": format!("a{card}"),
        }))
        .unwrap();
        Transaction::try_from(raw).unwrap()
    }

    #[test]
    fn late_is_before_the_cards_own_newest_payment() {
        let mut encoder = FeatureEncoder::new(FeatureSchema::standard(), RiskSettings::default());
        assert_eq!(encoder.newest_ms(), None);
        encoder.encode(&payment(1, START + 1_000));
        encoder.encode(&payment(2, START + 9_000));
        // Older than another card's, and as old as its own newest.
        assert!(!encoder.is_late(&payment(1, START + 1_000)));
        assert!(!encoder.is_late(&payment(3, START)));
        assert!(encoder.is_late(&payment(1, START + 999)));
        // A late payment that came does not make the next one any less late.
        encoder.encode(&payment(1, START));
        assert!(encoder.is_late(&payment(1, START + 500)));
        assert_eq!(encoder.newest_ms(), Some(START + 9_000));
    }

    #[test]
    fn one_wild_time_moves_the_newest_by_a_day_at_most() {
        let mut encoder = FeatureEncoder::new(FeatureSchema::standard(), RiskSettings::default());
        encoder.encode(&payment(1, START));
        encoder.encode(&payment(2, START + 1_000 * DAY_MS));
        assert_eq!(encoder.newest_ms(), Some(START + DAY_MS));
        encoder.encode(&payment(3, START - 1_000 * DAY_MS));
        assert_eq!(encoder.newest_ms(), Some(START + DAY_MS));
    }
}
