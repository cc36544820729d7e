//! Whatever the bytes are, the doors of payments and labels read or refuse them; and a payment that
//! is read is the same one in the form that the journal keeps. The fields themselves have a target
//! of libFuzzer's (`features/tests/door.rs`); ten thousand requests over a socket are in
//! `client-agent/tests/malformed.rs`.

use features::CANONICAL;
use proptest::prelude::*;

use super::*;
use crate::scoring::labels::Labels;
use crate::scoring::request::{fault, kind_of};

const NOW_MS: u64 = 1_772_000_000_000;

/// Words that mean something at the top of a body.
const WORDS: &[&str] = &[
    "txn",
    "purpose",
    "schema",
    "txn_id",
    "fraud",
    "known_at",
    "source",
    "supersedes",
    "whatif",
];

/// What a body is that is no object.
fn other_than_object(body: &[u8]) -> Option<String> {
    match serde_json::from_slice::<Value>(body) {
        Ok(Value::Object(_)) => None,
        Ok(other) => Some(kind_of(&other).to_owned()),
        Err(error) => Some(fault(&error)),
    }
}

fn read(body: &[u8]) {
    if let Some(found) = other_than_object(body) {
        let problem = Request::parse(body, NOW_MS, Asked::default()).err();
        assert_eq!(problem.unwrap().found, Some(features::redact(&found)));
    }
    match Request::parse(body, NOW_MS, Asked::default()) {
        Ok(request) => {
            let kept = format!("{{\"txn\":{}}}", request.canonical);
            let again = Request::parse(kept.as_bytes(), NOW_MS, Asked::default());
            let again = again.unwrap_or_else(|problem| panic!("{}", problem.detail));
            assert_eq!(again.digest, request.digest);
        }
        Err(problem) => assert!((400..500).contains(&problem.status), "{problem:?}"),
    }
    if let Err(problem) = Labels::parse(NOW_MS, None, body) {
        assert!((400..500).contains(&problem.status), "{problem:?}");
    }
}

fn name() -> impl Strategy<Value = String> {
    let letters = prop::collection::vec(any::<char>(), 0..8);
    prop_oneof![
        prop::sample::select(WORDS).prop_map(str::to_owned),
        prop::sample::select(CANONICAL).prop_map(str::to_owned),
        letters.prop_map(|letters| letters.into_iter().collect::<String>()),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        name().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 8, |inner| {
        let members = prop::collection::btree_map(name(), inner.clone(), 0..8);
        prop_oneof![
            prop::collection::vec(inner, 0..8).prop_map(Value::Array),
            members.prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        read(&bytes);
    }

    #[test]
    fn json_is_read_or_refused(body in value()) {
        read(body.to_string().as_bytes());
        read(json!({ "txn": body }).to_string().as_bytes());
    }

    #[test]
    fn a_payment_with_strange_fields_is_read_or_refused(
        fields in prop::collection::vec((name(), value()), 0..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut payment = payment("t1", "c1", 1_771_999_000_000, 1_250);
        for (name, value) in fields {
            payment[name.as_str()] = value;
        }
        let body = json!({ "txn": payment }).to_string();
        read(body.as_bytes());
        read(&body.as_bytes()[..cut.index(body.len())]);
    }
}
