//! The language of schemas: shipped documents, one digest for one meaning, every malformed
//! document named, differences in the words of the documents.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "documents are changed at one kind of value, and left as they are at all others"
)]

use std::collections::BTreeSet;

use proptest::prelude::*;
use toml::{Table, Value};

use super::*;

const SINGLE: &str = include_str!("../../../ops/config/schemas/single-payment.toml");

fn count(schema: &FeatureSchema, is_wanted: fn(&Role) -> bool) -> usize {
    schema.indices(is_wanted).len()
}

#[test]
fn the_standard_schema_has_the_columns_of_the_recipe() {
    let schema = FeatureSchema::standard();
    let event = |role: &Role| match role {
        Role::Event(group) => Some(schema.group_name(*group).to_owned()),
        Role::Context | Role::Derived { .. } | Role::Window | Role::OwnRisk | Role::SharedRisk => {
            None
        }
    };
    let events: Vec<String> = schema
        .columns()
        .iter()
        .filter_map(|c| event(&c.role))
        .collect();
    assert_eq!(schema.len(), 80);
    assert_eq!(
        events.iter().filter(|group| *group != "category").count(),
        8
    );
    assert_eq!(
        events.iter().filter(|group| *group == "category").count(),
        14
    );
    assert_eq!(count(&schema, |role| matches!(role, Role::Context)), 6);
    assert_eq!(
        count(&schema, |role| matches!(role, Role::Derived { .. })),
        4
    );
    assert_eq!(count(&schema, |role| matches!(role, Role::OwnRisk)), 8);
    assert_eq!(count(&schema, |role| matches!(role, Role::SharedRisk)), 8);
    assert_eq!(count(&schema, |role| matches!(role, Role::Window)), 32);
    let names: BTreeSet<_> = schema.columns().iter().map(|column| &column.name).collect();
    assert_eq!(names.len(), schema.len());
    let at = |name: &str| schema.position(name).unwrap();
    assert_eq!(
        (at("visit_gap"), at("history_count"), at("own_count_1d")),
        (7, 8, 18)
    );
    assert_eq!((at("category_grocery"), at("card_count_1h")), (34, 48));
    assert_eq!((at("card_outlets_30d"), at("outlet_cards_30d")), (67, 79));
}

#[test]
fn single_payments_need_no_entity() {
    let schema = FeatureSchema::parse(SINGLE).unwrap();
    assert!(schema.windows().is_empty() && !schema.reads_card());
    for is_wanted in [
        |role: &Role| matches!(role, Role::Context),
        |role: &Role| matches!(role, Role::Window | Role::OwnRisk | Role::SharedRisk),
    ] {
        assert_eq!(count(&schema, is_wanted), 0);
    }
    assert_eq!(schema.kept_len(), 16);
    assert!(schema.position("debtor_age_missing").is_some());
    assert!(schema.position("creditor_type_other").is_some());
    assert_eq!(schema.position("debtor_type_missing"), None);
}

// By hand: SHA-256 of the canonical text, which `sha256sum` gives too.
#[test]
fn the_digest_is_that_of_the_canonical_text() {
    let text = "language = 1\ngroups = [\"a\"]\n\n[fields]\n\"ext.n\" = \"number\"\n\n\
                [[feature]]\nkind = \"number\"\nname = \"n\"\nfield = \"ext.n\"\n\
                transform = \"log\"\nmissing = \"flag\"\ngroup = \"a\"\ncenter = 0.0\n\
                scale = 1.0\ndetrend = false\nshift = false\n";
    let schema = FeatureSchema::parse(text).unwrap();
    assert_eq!(schema.canonical(), text);
    let digest: String = schema
        .digest()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(digest, DIGEST_BY_SHA256SUM);
}

const DIGEST_BY_SHA256SUM: &str =
    "eacbd4613727226b4e663064141a54611a0fd3c720677a4c7398b646f933b4a0";

/// Both shipped documents as tables.
fn documents() -> [Table; 2] {
    [STANDARD, SINGLE].map(|text| text.parse().unwrap())
}

/// The document with the keys of every table in another order.
fn shuffled(value: &Value, seed: u64) -> String {
    let mut text = String::new();
    write(value, seed, &mut text);
    text
}

fn write(value: &Value, seed: u64, into: &mut String) {
    match value {
        Value::Table(table) => {
            let mut keys: Vec<&String> = table.keys().collect();
            keys.sort_by_key(|key| {
                let folded = key.bytes().fold(seed, |hash, byte| {
                    (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
                });
                folded.rotate_left(29)
            });
            *into += "{";
            for (at, key) in keys.into_iter().enumerate() {
                *into += if at > 0 { ", " } else { "" };
                *into += &format!("{key:?} = ");
                write(&table[key], seed, into);
            }
            *into += "}";
        }
        Value::Array(values) => {
            *into += "[";
            for value in values {
                write(value, seed, into);
                *into += ", ";
            }
            *into += "]";
        }
        other => *into += &other.to_string(),
    }
}

/// A whole document from a table: keys at the top, everything below in line.
fn document(table: &Table, seed: u64) -> String {
    let mut lines: Vec<String> = table
        .iter()
        .map(|(key, value)| format!("{key} = {}\n", shuffled(value, seed)))
        .collect();
    if seed % 2 == 1 {
        lines.reverse();
    }
    lines.concat()
}

/// Every leaf of a document that can be changed, as a path.
fn leaves(value: &Value, path: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    match value {
        Value::Table(table) => {
            for (key, value) in table {
                path.push(key.clone());
                leaves(value, path, found);
                path.pop();
            }
        }
        Value::Array(values) => {
            for (at, value) in values.iter().enumerate() {
                path.push(at.to_string());
                leaves(value, path, found);
                path.pop();
            }
        }
        _ => found.push(path.clone()),
    }
}

fn leaf<'a>(value: &'a mut Value, path: &[String]) -> &'a mut Value {
    match path.split_first() {
        None => value,
        Some((key, rest)) => {
            let next = match value {
                Value::Table(table) => table.get_mut(key).unwrap(),
                Value::Array(values) => &mut values[key.parse::<usize>().unwrap()],
                _ => panic!("a path leads through tables and lists"),
            };
            leaf(next, rest)
        }
    }
}

/// Another value of the same kind; texts become another text that the place may hold, or none.
fn changed(value: &Value) -> Value {
    match value {
        Value::Integer(n) => Value::Float(*n as f64 + 0.5),
        Value::Float(x) => Value::Float(x * 1.25 + 0.125),
        Value::Boolean(flag) => Value::Boolean(!flag),
        Value::String(text) => Value::String(match text.as_str() {
            "hours" | "minutes" => "days".to_owned(),
            "log" => "standardise".to_owned(),
            "flag" => "center".to_owned(),
            "center" => "flag".to_owned(),
            "1h" => "2h".to_owned(),
            "7d" => "8d".to_owned(),
            "card" => "account".to_owned(),
            other => format!("{other}x"),
        }),
        other => other.clone(),
    }
}

proptest! {
    // Whatever order its keys were written in, a document means the same; its canonical text
    // means the same again.
    #[test]
    fn order_of_keys_does_not_reach_the_digest(which in 0..2_usize, seed in any::<u64>()) {
        let table = &documents()[which];
        let schema = FeatureSchema::parse([STANDARD, SINGLE][which]).unwrap();
        let other = FeatureSchema::parse(&document(table, seed)).unwrap();
        prop_assert_eq!(other.digest(), schema.digest());
        prop_assert_eq!(&other, &schema);
        prop_assert!(schema.differences(&other).is_empty());
        let canonical = schema.canonical();
        let again = FeatureSchema::parse(&canonical).unwrap();
        prop_assert_eq!(&again, &schema);
        prop_assert_eq!(again.canonical(), canonical);
    }

    // Every leaf of a document: changed, it is another schema, with another digest and a
    // difference that names it, or none at all.
    #[test]
    fn every_change_of_meaning_reaches_the_digest(which in 0..2_usize, at in any::<usize>()) {
        let mut value = Value::Table(documents()[which].clone());
        let schema = FeatureSchema::parse([STANDARD, SINGLE][which]).unwrap();
        let mut paths = Vec::new();
        leaves(&value, &mut Vec::new(), &mut paths);
        let path = &paths[at % paths.len()];
        let place = leaf(&mut value, path);
        *place = changed(place);
        let text = document(value.as_table().unwrap(), 0);
        if let Ok(other) = FeatureSchema::parse(&text) {
            prop_assert_ne!(other.digest(), schema.digest(), "{:?}", path);
            prop_assert!(!schema.differences(&other).is_empty(), "{:?}", path);
        }
    }

    #[test]
    fn no_document_panics(text in "\\PC*", cut in 0..6_000_usize) {
        let _ = FeatureSchema::parse(&text);
        let cut = cut.min(SINGLE.len());
        if let Some(part) = SINGLE.get(..cut) {
            let _ = FeatureSchema::parse(part);
            let _ = FeatureSchema::parse(&format!("{part}{text}"));
        }
    }
}

#[test]
fn order_of_features_is_meaning() {
    let (first, second) = ("kind = \"gap\"", "kind = \"visit_gap\"");
    let swapped = STANDARD.replacen(first, "kind = \"between\"", 1);
    let swapped = swapped
        .replacen(second, first, 1)
        .replacen("kind = \"between\"", second, 1);
    let other = FeatureSchema::parse(&swapped).unwrap();
    let schema = FeatureSchema::standard();
    assert_ne!(other.digest(), schema.digest());
    assert!(!schema.differences(&other).is_empty());

    let mut table = documents()[1].clone();
    let features = table["feature"].as_array_mut().unwrap();
    features.swap(2, 3);
    let other = FeatureSchema::parse(&document(&table, 0)).unwrap();
    let single = FeatureSchema::parse(SINGLE).unwrap();
    assert_ne!(other.digest(), single.digest());
    let found = single.differences(&other);
    assert_eq!(
        (found.len(), found[0].field.as_str()),
        (1, "order of features")
    );
}

#[test]
fn differences_name_the_field_and_both_sides() {
    let single = FeatureSchema::parse(SINGLE).unwrap();
    let against = |from: &str, to: &str| {
        assert!(SINGLE.contains(from), "{from}");
        let other = FeatureSchema::parse(&SINGLE.replacen(from, to, 1)).unwrap();
        let found = single.differences(&other);
        let Difference { field, here, there } = found[0].clone();
        [field, here.unwrap_or_default(), there.unwrap_or_default()]
    };
    assert_eq!(
        against("center = 14.0", "center = 14.5"),
        ["feature debtor_age: center", "14.0", "14.5"]
    );
    assert_eq!(
        against("unit = \"minutes\"", "unit = \"days\""),
        ["feature debtor_age: unit", "\"minutes\"", "\"days\""]
    );
    let words = "[\"checking\", \"savings\", \"business\"]";
    assert_eq!(
        against(words, "[\"checking\"]"),
        ["field ext.debtor_account_type", words, "[\"checking\"]"]
    );
    let activity = "transform = \"log\"";
    assert_eq!(
        against(activity, "transform = \"clip\"\nmin = 0\nmax = 9"),
        ["feature debtor_activity: transform", "\"log\"", "\"clip\""]
    );
}

#[test]
fn what_only_one_side_has_is_named_too() {
    let single = FeatureSchema::parse(SINGLE).unwrap();
    let mut table = documents()[1].clone();
    table["fields"]
        .as_table_mut()
        .unwrap()
        .insert("vpn".to_owned(), "number".into());
    let more = "kind = \"number\"\nname = \"vpn\"\ngroup = \"time\"\nfield = \"vpn\"\n\
                transform = \"standardise\"\nmissing = 0.0\ncenter = 0.0\nscale = 1.0";
    let more: Table = more.parse().unwrap();
    let features = table["feature"].as_array_mut().unwrap();
    features.insert(3, Value::Table(more));
    let other = FeatureSchema::parse(&document(&table, 0)).unwrap();
    let found = single.differences(&other);
    assert_eq!(found.len(), 2, "{found:?}");
    let [field, feature] = [&found[0], &found[1]];
    assert_eq!(
        (field.field.as_str(), field.here.as_deref()),
        ("field vpn", None)
    );
    assert_eq!(
        (feature.field.as_str(), feature.here.as_deref()),
        ("feature vpn", None)
    );
    assert!(
        feature
            .there
            .as_ref()
            .unwrap()
            .starts_with("kind = \"number\"")
    );
    let back = other.differences(&single);
    assert_eq!(
        (back[0].there.as_deref(), back[0].here.as_deref()),
        (None, Some("\"number\""))
    );
}

/// The error of a shipped document with one place changed.
fn refused(document: &str, from: &str, to: &str) -> String {
    assert!(document.contains(from), "{from}");
    let error = FeatureSchema::parse(&document.replacen(from, to, 1));
    error
        .err()
        .map_or_else(|| format!("accepted {to}"), |error| error.to_string())
}

#[test]
fn malformed_single_payments_are_refused_by_place_found_and_expected() {
    let wrong: Vec<String> = SINGLE_MALFORMED
        .iter()
        .filter_map(|(from, to, expected)| {
            let error = refused(SINGLE, from, to);
            (!error.contains(expected)).then(|| format!("{to}: {error}, not {expected}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn malformed_features_of_entities_are_refused_likewise() {
    let wrong: Vec<String> = STANDARD_MALFORMED
        .iter()
        .filter_map(|(from, to, expected)| {
            let error = refused(STANDARD, from, to);
            (!error.contains(expected)).then(|| format!("{to}: {error}, not {expected}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let history = "[[feature]]\nkind = \"history\"\ncount = [4.8, 0.9]\nspread = [0.75, 0.15]\n";
    let error = refused(STANDARD, history, "");
    assert!(
        error.contains("against_history: found no column history_mean"),
        "{error}"
    );
    let long = format!("{STANDARD}#{}", "x".repeat(SCHEMA_BYTES_MAX));
    let error = FeatureSchema::parse(&long).unwrap_err().to_string();
    assert!(error.contains("bytes, expected at most 32768"), "{error}");
    let flags = "language = 1\ngroups = [\"c\"]\n[[feature]]\nkind = \"merchant_category\"\n\
                 group = \"c\"";
    let error = FeatureSchema::parse(flags).unwrap_err().to_string();
    assert!(error.contains("found no number of a group"), "{error}");
}

/// From, to, and a part of the error.
const SINGLE_MALFORMED: &[(&str, &str, &str)] = &[
    (
        "language = 1",
        "language = 2",
        "language: found 2, expected 1",
    ),
    (
        "language = 1",
        "",
        "schema: language: found nothing, expected a value",
    ),
    (
        "language = 1",
        "language = 1\nlanguage = 1",
        "schema, line 10: duplicate key",
    ),
    (
        "language = 1",
        "language = 1\ncolour = 1",
        "colour: found an unknown key",
    ),
    (
        "\"amount\",",
        "\"Amount\",",
        "groups: found \"Amount\", expected up to 48 of a to z",
    ),
    ("\"amount\",", "\"windows\",", "groups: found \"windows\""),
    (
        "\"amount\",",
        "\"amount\", \"amount\",",
        "found amount twice, expected each group",
    ),
    (
        "\"amount\",",
        "\"amount\", \"mood\",",
        "group mood: found no feature of it",
    ),
    (
        "\"amount\",",
        "",
        "feature amount: group: found \"amount\", expected one of groups",
    ),
    (
        "\"ext.debtor_opened_at\"",
        "ext_opened",
        "field ext_opened: found no such field",
    ),
    (
        "\"ext.debtor_opened_at\"",
        "\"ext.PIN\"",
        "field ext.PIN: found this name",
    ),
    (
        "_opened_at\" = \"time\"",
        "_opened_at\" = \"day\"",
        "found \"day\", expected number",
    ),
    (
        "_opened_at\" = \"time\"",
        "_opened_at\" = 7",
        "field ext.debtor_opened_at: found 7",
    ),
    (
        "\"savings\"",
        "\"other\"",
        "found \"other\", expected words of a to z",
    ),
    (
        "\"savings\"",
        "\"checking\"",
        "found checking twice, expected each word once",
    ),
    (
        "[\"checking\"",
        "[] # ",
        "field ext.debtor_account_type: found 0 words",
    ),
    (
        "[fields]",
        "[fields]\nvpn = \"time\"",
        "field vpn: found \"time\", expected number",
    ),
    (
        "[fields]",
        "[fields]\nvpn = \"number\"",
        "field vpn: found no feature that reads it",
    ),
    (
        "[fields]",
        "[fields]\nrail = [\"cart\"]",
        "field rail: found \"cart\", expected words",
    ),
    (
        "kind = \"amount\"",
        "kind = \"amonut\"",
        "kind: found \"amonut\", expected amount, gap",
    ),
    (
        "kind = \"amount\"",
        "kind = 1",
        "number 1: kind: found 1, expected a text",
    ),
    (
        "center = 4.2",
        "centre = 4.2",
        "feature amount: centre: found an unknown key",
    ),
    (
        "center = 4.2",
        "center = nan",
        "feature amount: center: found nan, expected a number",
    ),
    (
        "center = 4.2",
        "center = 1e10",
        "feature amount: center: found",
    ),
    (
        "scale = 1.4",
        "scale = 0",
        "feature amount: scale: found 0, expected a number from",
    ),
    (
        "scale = 1.4",
        "scale = -2",
        "feature amount: scale: found -2",
    ),
    (
        "shift = true",
        "shift = 1",
        "feature amount: shift: found 1, expected true or false",
    ),
    (
        "shift = true",
        "missing = \"flag\"",
        "feature amount: missing: found an unknown key",
    ),
    (
        "name = \"debtor_age\"",
        "name = \"Debtor\"",
        "name: found \"Debtor\", expected up to",
    ),
    (
        "name = \"debtor_age\"",
        "name = \"amount\"",
        "a name that no kind and no column of one has",
    ),
    (
        "from = \"ext.debtor_opened_at\"",
        "from = \"ext.x\"",
        "feature debtor_age: from: found",
    ),
    (
        "until = \"ts\"",
        "until = \"amount\"",
        "feature debtor_age: until: found \"amount\"",
    ),
    (
        "until = \"ts\"",
        "until = \"ext.debtor_activity_24h\"",
        "a number from -1e15 to 1e15, exp",
    ),
    (
        "unit = \"minutes\"",
        "unit = \"years\"",
        "unit: found \"years\", expected minutes, hours",
    ),
    (
        "missing = \"flag\"",
        "",
        "feature debtor_age: missing: found nothing, expected a value",
    ),
    (
        "missing = \"flag\"",
        "missing = \"mean\"",
        "missing: found \"mean\", expected flag, cent",
    ),
    (
        "to = [\"ext.debtor_tower_lat\", ",
        "to = [",
        "to: found 1 fields, expected a latitude",
    ),
    (
        "to = [\"ext.debtor_tower_lat\"",
        "to = [\"ext.debtor_tower_lon\"",
        "debtor_away: to: found",
    ),
    (
        "transform = \"log\"",
        "transform = \"root\"",
        "found \"root\", expected log, standardise",
    ),
    (
        "transform = \"log\"",
        "transform = \"clip\"",
        "debtor_activity: min: found nothing",
    ),
    (
        "transform = \"log\"",
        "transform = \"clip\"\nmin = 2\nmax = 2",
        "max: found 2, expected mo",
    ),
    (
        "transform = \"log\"",
        "transform = \"log\"\nmin = 2",
        "min: found an unknown key",
    ),
    (
        "over = \"ext.debtor_activity_24h\"",
        "over = \"ts\"",
        "activity_ratio: over: found \"ts\"",
    ),
    (
        "field = \"ext.debtor_account_type\"",
        "field = \"ext.debtor_home_lat\"",
        "by its words",
    ),
];

/// From, to, and a part of the error.
const STANDARD_MALFORMED: &[(&str, &str, &str)] = &[
    (
        "of = \"card\"",
        "of = \"bank\"",
        "of: found \"bank\", expected one of card, account",
    ),
    (
        "of = \"outlet\"",
        "of = \"card\"",
        "windows of card: found a second one",
    ),
    (
        LENGTHS,
        "lengths = []",
        "lengths: found 0 lengths, expected 1 to 8",
    ),
    (
        LENGTHS,
        "lengths = [\"1y\"]",
        "lengths: found \"1y\", expected whole steps",
    ),
    (
        LENGTHS,
        "lengths = [\"1d\", \"24h\"]",
        "lengths: found \"24h\", expected lengths that",
    ),
    (
        LENGTHS,
        "lengths = 7",
        "lengths: found 7, expected a list of texts",
    ),
    (
        "count = [4.8, 0.9]",
        "count = [4.8]",
        "count: found [4.8], expected a centre and a scale",
    ),
    (
        "kind = \"amount\"",
        "kind = \"gap\"",
        "feature gap: found a second one, expected each once",
    ),
    (
        "kind = \"history\"",
        "kind = \"own_risk\"",
        "own_risk: count: found an unknown key",
    ),
    (
        "kind = \"shared_risk\"",
        "kind = \"own_risk\"",
        "feature own_risk: found a second one",
    ),
];

const LENGTHS: &str = r#"lengths = ["1h", "1d", "7d", "30d"]"#;

/// Inline tables of dotted keys, eighty deep each way: more than a thread's two megabytes of stack
/// hold. As many dots as are allowed are refused by what they say.
#[test]
#[expect(clippy::disallowed_methods, reason = "a small stack is a thread's")]
fn a_document_that_nests_is_refused_on_a_threads_stack() {
    let refused = |levels: usize| {
        let key = ["a"; 80].join(".");
        let value = (0..levels).fold("1".to_owned(), |value, _| format!("{{{key}={value}}}"));
        let text = format!("language = 1\n{key}={value}");
        assert!(text.len() < SCHEMA_BYTES_MAX);
        let parse = move || FeatureSchema::parse(&text).unwrap_err().to_string();
        let thread = std::thread::Builder::new().stack_size(2 << 20);
        thread.spawn(parse).unwrap().join().unwrap()
    };
    let (most, all) = (refused(1_024 / 79 - 1), refused(79));
    assert!(all.contains("6320 dots"), "{all}");
    assert!(!most.contains("dots"), "{most}");
}

#[test]
fn a_second_feature_of_a_label_and_a_borrowed_name_are_refused() {
    let windows = "[[feature]]\nkind = \"windows\"\nof = \"card\"\nlengths = [\"2h\"]\n";
    let error = FeatureSchema::parse(&format!("{STANDARD}\n{windows}")).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("feature windows of card: found a second one"),
        "{error}"
    );
    for name in ["amount", "history_mean", "category", "night"] {
        let error = refused(
            SINGLE,
            "name = \"debtor_age\"",
            &format!("name = \"{name}\""),
        );
        assert!(error.contains("no kind and no column"), "{name}: {error}");
    }
}

#[test]
fn equal_numbers_are_equal_text() {
    let digest = |from: &str, to: &str| {
        let text = SINGLE.replacen(from, to, 1);
        assert_ne!(text, SINGLE);
        FeatureSchema::parse(&text).unwrap().digest()
    };
    let of = |zero| digest("missing = \"flag\"", &format!("missing = {zero}"));
    assert_eq!(of("0.0"), of("-0.0"));
    let of = |center| digest("center = 4.2", &format!("center = {center}"));
    assert_eq!(of("7.03853069e-26"), of("0"));
}
