//! Which of a payment's fields are filled, and with which word where the words are few: what a
//! feed loses is seen here, whether or not a feature reads it. Values are never kept.

use std::collections::{BTreeMap, BTreeSet};

use features::Transaction;

use super::alarm::{Figure, Rule};
use super::prices::{Price, Prices};
use super::sketch::index;
use super::yardstick::Yardstick;

/// What is counted of one payment.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Filled {
    /// Canonical fields that hold a value.
    pub(super) present: Vec<&'static str>,
    /// Fields of a closed vocabulary, and their words.
    pub(super) words: Vec<(&'static str, &'static str)>,
    pub(super) price: Option<Price>,
}

/// Counts of some payments.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields {
    payments: f64,
    present: BTreeMap<&'static str, f64>,
    words: BTreeMap<&'static str, BTreeMap<&'static str, f64>>,
    prices: Prices,
}

impl Filled {
    /// What a payment fills.
    pub(super) fn of(payment: &Transaction) -> Self {
        let given = optional(payment).into_iter();
        let given = given.filter_map(|(field, is_given)| is_given.then_some(field));
        Self {
            present: ALWAYS.into_iter().chain(given).collect(),
            words: Self::words(payment),
            price: Some(Price::of(payment)),
        }
    }

    /// Its words.
    pub(super) fn words(of: &Transaction) -> Vec<(&'static str, &'static str)> {
        let optional = [
            ("txn_type", of.txn_type.map(|word| word.word())),
            ("channel", of.channel.map(|word| word.word())),
            ("entry_mode", of.entry_mode.map(|word| word.word())),
            ("auth_method", of.auth_method.map(|word| word.word())),
            ("auth_result", of.auth_result.map(|word| word.word())),
            (
                "counterparty_kind",
                of.counterparty_kind.map(|word| word.word()),
            ),
            ("vop_result", of.vop_result.map(|word| word.word())),
        ];
        let given = optional
            .into_iter()
            .filter_map(|(field, word)| Some((field, word?)));
        let always = [("rail", of.rail.word()), ("direction", of.direction.word())];
        always.into_iter().chain(given).collect()
    }
}

impl Fields {
    pub(super) fn add(&mut self, filled: &Filled) {
        self.payments += 1.0;
        for &name in &filled.present {
            *self.present.entry(name).or_default() += 1.0;
        }
        for &(field, word) in &filled.words {
            *self
                .words
                .entry(field)
                .or_default()
                .entry(word)
                .or_default() += 1.0;
        }
        if let Some(price) = &filled.price {
            self.prices.add(price);
        }
    }

    pub(super) fn prices(&self) -> &Prices {
        &self.prices
    }

    /// Adds up what fields are filled with. Prices are held against each other day by day.
    fn merge(&mut self, other: &Self) {
        self.payments += other.payments;
        for (&name, count) in &other.present {
            *self.present.entry(name).or_default() += count;
        }
        for (&field, words) in &other.words {
            let here = self.words.entry(field).or_default();
            for (&word, count) in words {
                *here.entry(word).or_default() += count;
            }
        }
    }

    /// The share of the payments that leave a field out.
    fn missing(&self, field: &str) -> f64 {
        let present = self.present.get(field).copied().unwrap_or_default();
        1.0 - present / self.payments
    }

    fn share(&self, field: &str, word: Option<&str>) -> f64 {
        let words = self.words.get(field);
        let count = match word {
            Some(word) => words.and_then(|words| words.get(word)).copied(),
            // A payment without a word has none of them.
            None => Some(self.payments - words.map_or(0.0, |words| words.values().sum::<f64>())),
        };
        count.unwrap_or_default() / self.payments
    }
}

/// How far the fields of a window's days lie from a reference's, or from what was odd of it so many
/// days back: of each field the share that lacks it, of each closed vocabulary the index of its
/// words.
pub(super) fn figures(
    reference: &BTreeMap<i32, Fields>,
    found: &BTreeMap<i32, Fields>,
    back: Option<i32>,
) -> Vec<Figure> {
    let Some(yardstick) = Yardstick::new(&counts(found), &counts(reference), back) else {
        return Vec::new();
    };
    let mut together = Fields::default();
    found.values().for_each(|day| together.merge(day));
    let both = || reference.values().chain(found.values());
    let names: BTreeSet<&str> = both().flat_map(|day| day.present.keys().copied()).collect();
    let missing = names.into_iter().map(|name| {
        let expected = yardstick.of(|day| reference[&day].missing(name));
        let (told, expected) = (together.missing(name), expected.clamp(0.0, 1.0));
        Figure::of(Rule::Missing, name, told, (told - expected).abs())
    });
    let vocabularies: BTreeMap<&str, BTreeSet<&str>> =
        both()
            .flat_map(|day| &day.words)
            .fold(BTreeMap::new(), |mut all, (field, words)| {
                let known: &mut BTreeSet<&str> = all.entry(*field).or_default();
                known.extend(words.keys().copied());
                all
            });
    let words = vocabularies.into_iter().map(|(field, words)| {
        let words = words.into_iter().map(Some).chain(std::iter::once(None));
        let shares: Vec<(f64, f64)> = words
            .map(|word| {
                let expected = yardstick.of(|day| reference[&day].share(field, word));
                (expected, together.share(field, word))
            })
            .collect();
        let psi = index(&shares, &yardstick);
        Figure::of(Rule::Feature, field, psi, psi)
    });
    missing.chain(words).collect()
}

fn counts(days: &BTreeMap<i32, Fields>) -> BTreeMap<i32, f64> {
    let counts = days.iter().map(|(day, fields)| (*day, fields.payments));
    counts.collect()
}

/// Fields that every payment fills: what the door asks for, and what it fills in.
const ALWAYS: [&str; 8] = [
    "txn_id",
    "ts",
    "rail",
    "direction",
    "amount_minor",
    "currency",
    "account_tok",
    "ext",
];

/// The others, and whether a payment fills them.
fn optional(of: &Transaction) -> [(&'static str, bool); 48] {
    [
        ("amount_ref_minor", of.amount_ref_minor.is_some()),
        ("card_tok", of.card_tok.is_some()),
        ("merchant_tok", of.merchant_tok.is_some()),
        ("terminal_tok", of.terminal_tok.is_some()),
        ("counterparty_tok", of.counterparty_tok.is_some()),
        ("mcc", of.mcc.is_some()),
        ("txn_type", of.txn_type.is_some()),
        ("channel", of.channel.is_some()),
        ("local_hour", of.local_hour.is_some()),
        ("is_holiday", of.is_holiday.is_some()),
        ("account_opened", of.account_opened.is_some()),
        ("customer_tok", of.customer_tok.is_some()),
        ("customer_segment", of.customer_segment.is_some()),
        ("card_product", of.card_product.is_some()),
        ("card_brand", of.card_brand.is_some()),
        ("issuer_country", of.issuer_country.is_some()),
        ("bin8", of.bin8.is_some()),
        ("card_present", of.card_present.is_some()),
        ("entry_mode", of.entry_mode.is_some()),
        ("auth_method", of.auth_method.is_some()),
        ("auth_result", of.auth_result.is_some()),
        ("counterparty_kind", of.counterparty_kind.is_some()),
        ("counterparty_bank", of.counterparty_bank.is_some()),
        ("counterparty_country", of.counterparty_country.is_some()),
        (
            "counterparty_first_seen",
            of.counterparty_first_seen.is_some(),
        ),
        ("vop_result", of.vop_result.is_some()),
        ("merchant_name_hash", of.merchant_name_hash.is_some()),
        ("merchant_country", of.merchant_country.is_some()),
        ("remittance_hash", of.remittance_hash.is_some()),
        ("device_tok", of.device_tok.is_some()),
        ("device_age_days", of.device_age_days.is_some()),
        ("os_family", of.os_family.is_some()),
        ("app_version", of.app_version.is_some()),
        ("rooted", of.rooted.is_some()),
        ("emulator", of.emulator.is_some()),
        ("vpn", of.vpn.is_some()),
        ("ip_prefix_tok", of.ip_prefix_tok.is_some()),
        ("ip_country", of.ip_country.is_some()),
        ("asn", of.asn.is_some()),
        ("geo_lat", of.geo_lat.is_some()),
        ("geo_lon", of.geo_lon.is_some()),
        ("session_tok", of.session_tok.is_some()),
        ("session_age_s", of.session_age_s.is_some()),
        ("login_failures_1h", of.login_failures_1h.is_some()),
        (
            "beneficiary_added_age_s",
            of.beneficiary_added_age_s.is_some(),
        ),
        ("balance_before_minor", of.balance_before_minor.is_some()),
        ("available_limit_minor", of.available_limit_minor.is_some()),
        ("prior_decision", of.prior_decision.is_some()),
    ]
}

#[cfg(test)]
mod tests {
    use features::{CANONICAL, RawTransaction};
    use serde_json::{Value, json};

    use super::*;

    /// One day of payments.
    fn day(
        day: i32,
        payments: u32,
        channel: impl Fn(u32) -> Option<&'static str>,
    ) -> BTreeMap<i32, Fields> {
        let mut fields = Fields::default();
        for at in 0..payments {
            let (mut present, mut words) = (vec!["ts"], vec![("rail", "card")]);
            if let Some(word) = channel(at) {
                present.push("channel");
                words.push(("channel", word));
            }
            fields.add(&Filled {
                present,
                words,
                price: None,
            });
        }
        BTreeMap::from([(day, fields)])
    }

    fn change(found: &[Figure], rule: Rule, subject: &str) -> f64 {
        let mut found = found.iter();
        let found = found.find(|of| of.rule == rule && of.subject == subject);
        found.unwrap().change
    }

    #[test]
    fn a_field_that_vanishes_and_a_word_that_does_are_far() {
        let usual = |at: u32| Some(if at.is_multiple_of(10) { "ecom" } else { "pos" });
        let reference = day(3, 1_000, usual);
        let same = figures(&reference, &day(10, 900, usual), None);
        assert_eq!(change(&same, Rule::Missing, "channel"), 0.0);
        assert_eq!(change(&same, Rule::Feature, "channel"), 0.0);
        let vanished = figures(&reference, &day(10, 900, |_| Some("pos")), None);
        assert_eq!(change(&vanished, Rule::Missing, "channel"), 0.0);
        assert!(change(&vanished, Rule::Feature, "channel") > 0.3);
        let lost = figures(&reference, &day(10, 900, |_| None), None);
        assert!((change(&lost, Rule::Missing, "channel") - 1.0).abs() < 1e-9);
        assert!(change(&lost, Rule::Feature, "channel") > 1.0);
        assert_eq!(change(&lost, Rule::Feature, "rail"), 0.0);
        assert!(figures(&BTreeMap::new(), &reference, None).is_empty());
    }

    #[test]
    fn a_payment_counts_by_the_names_of_its_fields() {
        let raw = br#"{"txn_id": "1", "ts": 0, "rail": "card", "amount_minor": 1,
            "currency": "EUR", "account_tok": "a", "channel": "pos", "mcc": null}"#;
        let raw = RawTransaction::from_json(raw).unwrap();
        let filled = Filled::of(&Transaction::try_from(raw).unwrap());
        assert!(filled.present.contains(&"channel") && !filled.present.contains(&"mcc"));
        let expected = [("rail", "card"), ("direction", "debit"), ("channel", "pos")];
        assert_eq!(filled.words, expected);
    }

    /// What a payment's canonical form fills, by its text.
    fn filled_in_text(payment: &Transaction) -> BTreeSet<String> {
        let text = serde_json::to_vec(payment).unwrap();
        let raw = RawTransaction::from_json(&text).unwrap();
        raw.present_fields().map(str::to_owned).collect()
    }

    #[test]
    fn a_payment_fills_what_its_canonical_form_fills_whichever_fields_it_lacks() {
        let full = r#"{
            "txn_id": "1", "ts": 1, "rail": "card", "direction": "credit", "amount_minor": 1,
            "currency": "EUR", "amount_ref_minor": 1, "account_tok": "a", "mcc": 5411,
            "txn_type": "purchase", "channel": "pos", "local_hour": 1, "is_holiday": true,
            "account_opened": 1, "issuer_country": "DE", "card_present": true,
            "entry_mode": "chip", "auth_method": "pin", "auth_result": "passed",
            "counterparty_kind": "person", "counterparty_country": "DE",
            "counterparty_first_seen": true, "vop_result": "match", "merchant_country": "DE",
            "device_age_days": 1, "rooted": true, "emulator": true, "vpn": true,
            "ip_country": "DE", "asn": 1, "geo_lat": 1.0, "geo_lon": 1.0, "session_age_s": 1,
            "login_failures_1h": 1, "beneficiary_added_age_s": 1, "balance_before_minor": 1,
            "available_limit_minor": 1, "prior_decision": "approve", "ext": {"one": 1}
        }"#;
        let mut full: Value = serde_json::from_str(full).unwrap();
        // The others are texts.
        for name in CANONICAL {
            let fields = full.as_object_mut().unwrap();
            fields.entry(*name).or_insert_with(|| json!("t"));
        }
        let read = |value: &Value| {
            let raw = RawTransaction::from_json(value.to_string().as_bytes());
            raw.and_then(Transaction::try_from)
        };
        for lacking in std::iter::once("").chain(CANONICAL.iter().copied()) {
            let mut value = full.clone();
            value.as_object_mut().unwrap().remove(lacking);
            let Ok(payment) = read(&value) else {
                assert!(ALWAYS.contains(&lacking), "{lacking}");
                continue;
            };
            let present = Filled::of(&payment).present.into_iter();
            let found: BTreeSet<String> = present.map(str::to_owned).collect();
            assert_eq!(found, filled_in_text(&payment), "{lacking}");
            let is_whole = lacking.is_empty() || ALWAYS.contains(&lacking);
            assert_eq!(
                found.len(),
                CANONICAL.len() - usize::from(!is_whole),
                "{lacking}"
            );
        }
    }
}
