//! Which of a payment's fields are filled, and with which word where the words are few: what a
//! feed loses is seen here, whether or not a feature reads it. Values are never kept.

use std::collections::{BTreeMap, BTreeSet};

use features::{RawTransaction, Transaction};

use super::alarm::{Figure, Rule};
use super::sketch::{Mix, WEEK, index};

/// What is counted of one payment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Filled {
    /// Canonical fields that hold a value.
    pub(super) present: Vec<String>,
    /// Fields of a closed vocabulary, and their words.
    pub(super) words: Vec<(&'static str, &'static str)>,
}

/// Counts of some payments.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields {
    payments: f64,
    present: BTreeMap<String, f64>,
    words: BTreeMap<&'static str, BTreeMap<&'static str, f64>>,
}

impl Filled {
    /// The names of the fields that a payment fills.
    pub(super) fn present(raw: &RawTransaction) -> Vec<String> {
        raw.present_fields().map(str::to_owned).collect()
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
        for name in &filled.present {
            match self.present.get_mut(name) {
                Some(count) => *count += 1.0,
                None => {
                    self.present.insert(name.clone(), 1.0);
                }
            }
        }
        for &(field, word) in &filled.words {
            *self
                .words
                .entry(field)
                .or_default()
                .entry(word)
                .or_default() += 1.0;
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.payments += other.payments;
        for (name, count) in &other.present {
            *self.present.entry(name.clone()).or_default() += count;
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

/// How far the fields of some payments lie from a reference's, on the same days of the week: of
/// each field the share that lacks it, of each closed vocabulary the index of its words.
pub(super) fn figures(reference: &[Fields; WEEK], found: &[Fields; WEEK]) -> Vec<Figure> {
    let [here, there] = [found, reference].map(|of| of.each_ref().map(|day| day.payments));
    let Some(mix) = Mix::new(here, there) else {
        return Vec::new();
    };
    let mut together = Fields::default();
    found.iter().for_each(|day| together.merge(day));
    let names: BTreeSet<&str> = reference
        .iter()
        .chain(found)
        .flat_map(|day| day.present.keys().map(String::as_str))
        .collect();
    let missing = names.into_iter().map(|name| {
        let expected = mix.of(|day| reference[day].missing(name));
        let told = together.missing(name);
        Figure::of(Rule::Missing, name, told, (told - expected).abs())
    });
    let vocabularies: BTreeMap<&str, BTreeSet<&str>> = reference
        .iter()
        .chain(found)
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
                let expected = mix.of(|day| reference[day].share(field, word));
                (expected, together.share(field, word))
            })
            .collect();
        let psi = index(&shares, &mix);
        Figure::of(Rule::Feature, field, psi, psi)
    });
    missing.chain(words).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn week(channel: impl Fn(u32) -> Option<&'static str>, payments: u32) -> [Fields; WEEK] {
        let mut days: [Fields; WEEK] = Default::default();
        for at in 0..payments {
            let (mut present, mut words) = (vec!["ts".to_owned()], vec![("rail", "card")]);
            if let Some(word) = channel(at) {
                present.push("channel".to_owned());
                words.push(("channel", word));
            }
            days[3].add(&Filled { present, words });
        }
        days
    }

    fn change(found: &[Figure], rule: Rule, subject: &str) -> f64 {
        let mut found = found.iter();
        let found = found.find(|of| of.rule == rule && of.subject == subject);
        found.unwrap().change
    }

    #[test]
    fn a_field_that_vanishes_and_a_word_that_does_are_far() {
        let usual = |at: u32| Some(if at.is_multiple_of(10) { "ecom" } else { "pos" });
        let reference = week(usual, 1_000);
        let same = figures(&reference, &week(usual, 900));
        assert_eq!(change(&same, Rule::Missing, "channel"), 0.0);
        assert_eq!(change(&same, Rule::Feature, "channel"), 0.0);
        let vanished = figures(&reference, &week(|_| Some("pos"), 900));
        assert_eq!(change(&vanished, Rule::Missing, "channel"), 0.0);
        assert!(change(&vanished, Rule::Feature, "channel") > 0.3);
        let lost = figures(&reference, &week(|_| None, 900));
        assert!((change(&lost, Rule::Missing, "channel") - 1.0).abs() < 1e-9);
        assert!(change(&lost, Rule::Feature, "channel") > 1.0);
        assert_eq!(change(&lost, Rule::Feature, "rail"), 0.0);
        assert!(figures(&Default::default(), &reference).is_empty());
    }

    #[test]
    fn a_payment_counts_by_the_names_of_its_fields() {
        let raw = br#"{"txn_id": "1", "ts": 0, "rail": "card", "amount_minor": 1,
            "currency": "EUR", "account_tok": "a", "channel": "pos", "mcc": null}"#;
        let raw = RawTransaction::from_json(raw).unwrap();
        let present = Filled::present(&raw);
        assert!(present.contains(&"channel".to_owned()) && !present.contains(&"mcc".to_owned()));
        let words = Filled::words(&Transaction::try_from(raw).unwrap());
        let expected = [("rail", "card"), ("direction", "debit"), ("channel", "pos")];
        assert_eq!(words, expected);
    }
}
