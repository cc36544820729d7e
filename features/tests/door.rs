//! The fuzzer's target of the door without the fuzzer: its corpus again, and inputs by chance that
//! are the same every time. What it checks is in `protocol/fuzz/src/door.rs`.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRng, TestRunner};
use serde_json::{Map, Value};

use features::CANONICAL;

#[path = "../../protocol/fuzz/src/door.rs"]
mod target;

use target::door;

/// Inputs by chance, of each kind.
const CASES: u32 = 2_000;

#[expect(clippy::disallowed_methods, reason = "a test reads its data")]
fn corpus() -> Vec<Vec<u8>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../protocol/fuzz/corpus/door");
    let entries = std::fs::read_dir(folder).expect("the corpus lies there");
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("the folder can be listed").path())
        .collect();
    paths.sort();
    let read = |path| std::fs::read(path).expect("a file of the corpus is readable");
    paths.into_iter().map(read).collect()
}

#[test]
fn corpus_is_withstood() {
    let corpus = corpus();
    assert!(!corpus.is_empty());
    corpus.iter().for_each(|bytes| door(bytes));
}

#[test]
fn changed_bytes_are_withstood() {
    let change = (any::<prop::sample::Index>(), any::<u8>());
    let changes = prop::collection::vec(change, 0..6);
    let cases = (prop::sample::select(corpus()), changes);
    let outcome = runner().run(&cases, |(mut bytes, changes)| {
        for (place, value) in changes {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        door(&bytes);
        Ok(())
    });
    outcome.expect("the target holds");
}

/// Payments of which a few fields are something else, the extras among them.
#[test]
fn strange_fields_are_withstood() {
    let field = (prop::sample::select(CANONICAL), value());
    let extra = (name(), value());
    let fields = prop::collection::vec(field, 0..4);
    let extras = prop::collection::vec(extra, 0..4);
    let outcome = runner().run(&(fields, extras), |(fields, extras)| {
        let mut payment = plain();
        payment.insert(
            "ext".to_owned(),
            Value::Object(extras.into_iter().collect()),
        );
        payment.extend(
            fields
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value)),
        );
        door(Value::Object(payment).to_string().as_bytes());
        Ok(())
    });
    outcome.expect("the target holds");
}

fn runner() -> TestRunner {
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    };
    let chance = TestRng::deterministic_rng(config.rng_algorithm);
    TestRunner::new_with_rng(config, chance)
}

fn plain() -> Map<String, Value> {
    let text = include_str!("../../protocol/fuzz/corpus/door/seed-payment");
    serde_json::from_str(text).expect("the seed is an object")
}

/// Names that pass: a refused name hides the value behind it.
fn name() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::char::range('a', 'f'), 1..6)
        .prop_map(|letters| letters.into_iter().collect::<String>())
}

/// Mostly numbers and texts: where a door may slip.
fn value() -> impl Strategy<Value = Value> {
    let digits = prop::collection::vec(prop::char::range('0', '9'), 0..24);
    let text = prop::collection::vec(any::<char>(), 0..24);
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0..10_000_000_000_000_000_000_u64).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (-1e19_f64..1e19).prop_map(Value::from),
        digits.prop_map(|digits| Value::from(digits.into_iter().collect::<String>())),
        text.prop_map(|text| Value::from(text.into_iter().collect::<String>())),
        Just(Value::Array(vec![Value::Null])),
    ]
}
