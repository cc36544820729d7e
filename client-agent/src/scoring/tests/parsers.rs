//! Whatever the bytes are, the doors of payments and labels read or refuse them; and a payment that
//! is read is the same one in the form that the journal keeps. This is libFuzzer's target `request`
//! without libFuzzer: its corpus again, bodies of it with a few places changed, and bodies by
//! chance. `cargo xtask fuzz request` tries millions. The fields themselves are another target
//! (`features/tests/door.rs`); ten thousand requests over a socket are in
//! `client-agent/tests/malformed.rs`.

use features::CANONICAL;
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

#[path = "../../../../protocol/fuzz/src/request.rs"]
mod target;

/// Bodies by chance, of each kind.
const CASES: u32 = 2_000;

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

/// Values that some field takes, or that none may hold.
const TEXTS: &[&str] = &[
    "",
    "-5",
    "1250",
    "EUR",
    "card",
    "txn.v1",
    "authorise",
    "2026-02-25T05:56:40Z",
    "1772000000003",
    "4111111111111111",
    "4111 1111-1111.1111",
    "5500005555555559=25121010000012345678",
];

fn corpus() -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let entries = std::fs::read_dir(root.join("../protocol/fuzz/corpus/request")).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
        .iter()
        .map(|path| std::fs::read(path).unwrap())
        .collect()
}

/// The bodies of the corpus that are JSON.
fn bodies() -> Vec<Value> {
    let corpus = corpus();
    let read = corpus.iter().map(|bytes| serde_json::from_slice(bytes));
    read.filter_map(Result::ok).collect()
}

/// What happens to one place of a body.
#[derive(Clone, Debug)]
enum Change {
    Replace(Value),
    Add(String, Value),
    Rename(Index, String),
    Remove(Index),
    Double,
}

impl Change {
    /// Happens at the place that is `left` places on, counted from the outside in.
    fn happen(&self, value: &mut Value, left: &mut usize) {
        if *left == 0 {
            self.happen_to(value);
        }
        *left = left.wrapping_sub(1);
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            Value::Array(values) => values.iter_mut().for_each(|of| self.happen(of, left)),
            Value::Object(members) => members.values_mut().for_each(|of| self.happen(of, left)),
        }
    }

    fn happen_to(&self, value: &mut Value) {
        match (self, value) {
            (Self::Replace(other), value) => *value = other.clone(),
            (Self::Double, value) => *value = json!([value, value]),
            (Self::Add(name, other), Value::Object(members)) => {
                members.insert(name.clone(), other.clone());
            }
            (Self::Add(name, other), value) => *value = json!({ name.clone(): other }),
            (Self::Rename(at, other), Value::Object(members)) => {
                if let Some(moved) = nth(members, at).and_then(|name| members.remove(&name)) {
                    members.insert(other.clone(), moved);
                }
            }
            (Self::Remove(at), Value::Object(members)) => {
                if let Some(name) = nth(members, at) {
                    members.remove(&name);
                }
            }
            (Self::Rename(..) | Self::Remove(_), value) => *value = Value::Null,
        }
    }
}

fn nth(members: &serde_json::Map<String, Value>, at: &Index) -> Option<String> {
    let name = (!members.is_empty()).then(|| members.keys().nth(at.index(members.len())));
    name.flatten().cloned()
}

fn places(value: &Value) -> usize {
    1 + match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
        Value::Array(values) => values.iter().map(places).sum(),
        Value::Object(members) => members.values().map(places).sum(),
    }
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<Index>;
    prop_oneof![
        value().prop_map(Change::Replace),
        (name(), value()).prop_map(|(name, value)| Change::Add(name, value)),
        (at(), name()).prop_map(|(at, name)| Change::Rename(at, name)),
        at().prop_map(Change::Remove),
        Just(Change::Double),
    ]
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
        prop::sample::select(TEXTS).prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 8, |inner| {
        let members = prop::collection::btree_map(name(), inner.clone(), 0..8);
        prop_oneof![
            prop::collection::vec(inner, 0..8).prop_map(Value::Array),
            members.prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

#[test]
fn the_corpus_is_read_or_refused() {
    let corpus = corpus();
    assert!(corpus.len() > 5);
    corpus.iter().for_each(|bytes| target::request(bytes));
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        target::request(&bytes);
    }

    #[test]
    fn changed_bytes_are_read_or_refused(
        bytes in prop::sample::select(corpus()),
        changes in prop::collection::vec((any::<Index>(), any::<u8>()), 0..6),
    ) {
        let mut bytes = bytes;
        for (place, value) in changes {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        target::request(&bytes);
    }

    #[test]
    fn changed_bodies_are_read_or_refused(
        body in prop::sample::select(bodies()),
        changes in prop::collection::vec((any::<Index>(), change()), 1..4),
    ) {
        let mut body = body;
        for (place, change) in changes {
            let mut left = place.index(places(&body));
            change.happen(&mut body, &mut left);
        }
        target::request(body.to_string().as_bytes());
    }

    #[test]
    fn json_is_read_or_refused(body in value()) {
        target::request(body.to_string().as_bytes());
        target::request(json!({ "txn": body }).to_string().as_bytes());
    }

    #[test]
    fn a_payment_with_strange_fields_is_read_or_refused(
        fields in prop::collection::vec((name(), value()), 0..4),
        cut in any::<Index>(),
    ) {
        let mut payment = payment("t1", "c1", 1_771_999_000_000, 1_250);
        for (name, value) in fields {
            payment[name.as_str()] = value;
        }
        let body = json!({ "txn": payment }).to_string();
        target::request(body.as_bytes());
        target::request(&body.as_bytes()[..cut.index(body.len())]);
    }
}
