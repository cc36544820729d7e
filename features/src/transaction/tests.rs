//! What the door lets in and what it refuses, and that no refusal repeats a card number.

use proptest::prelude::*;
use serde::de::Error as _;
use serde_json::{Map, Value, json};

use super::*;

fn raw(extra: Value) -> RawTransaction {
    let mut value = json!({
        "txn_id": "t1", "ts": "2026-11-23T09:14:05.120Z", "rail": "sct_inst",
        "amount_minor": 184_000, "currency": "eur", "account_tok": "acc_9f2",
        "counterparty_tok": "cp_71c", "terminal_tok": null,
    });
    for (name, field) in extra.as_object().expect("tests pass objects") {
        value[name] = field.clone();
    }
    serde_json::from_value(value).unwrap()
}

fn refusal(extra: Value) -> FieldError {
    Transaction::try_from(raw(extra)).expect_err("the door refuses this")
}

#[test]
fn a_plain_payment_passes() {
    let t = Transaction::try_from(raw(json!({"mcc": "0742", "geo_lat": 48.8566}))).unwrap();
    assert_eq!(
        (t.ts, t.currency.as_str(), t.mcc),
        (1_795_425_245_120, "EUR", Some(742))
    );
    assert_eq!(t.outlet(), Some("cp_71c"));
    assert_eq!(t.card(), "acc_9f2");
    assert_eq!(t.geo_lat, Some(48.9));
    assert_eq!(t.day(), 20_780);
    assert!((t.amount_major() - 1_840.0).abs() < 1e-9);
}

// 1772000000003 passes the Luhn check, and is a Thursday in 2026.
#[test]
fn times_among_the_extras_are_no_card_numbers() {
    assert!(crate::pan::is_pan_number(1_772_000_000_003));
    for time in [
        json!(1_772_000_000_003_i64),
        json!(1_772_000_000_003.0),
        json!("1772000000003"),
    ] {
        let t = Transaction::try_from(raw(json!({"ext": {"opened_at": time}}))).unwrap();
        assert_eq!(t.ext.len(), 1);
    }
    let fraction = json!({"ext": {"opened_at": 1_772_000_000_003.5}});
    assert_eq!(refusal(fraction).kind, FieldErrorKind::PanDetected);
}

// Each is no card number, and its neighbour that a float can hold is one: it would be refused when
// the journal is read again, and the agent would not start. Found by writing `tests/door.rs`; the
// numbers are from a search in Python for `not luhn(n) and luhn(int(float(n)))`.
#[test]
fn an_extra_is_judged_by_the_number_that_is_kept() {
    for (told, kept) in [
        (9_007_199_254_741_047_u64, 9_007_199_254_741_048_i64),
        (9_007_199_254_741_049, 9_007_199_254_741_048),
        (12_345_678_901_234_667, 12_345_678_901_234_668),
    ] {
        assert!(!crate::pan::is_pan_like(&told.to_string()) && told as f64 == kept as f64);
        assert!(crate::pan::is_pan_number(kept));
        let error = refusal(json!({"ext": {"reference": told}}));
        assert_eq!(error.kind, FieldErrorKind::PanDetected, "{told}");
    }
    let other = raw(json!({"ext": {"reference": 9_007_199_254_741_001_u64}}));
    assert_eq!(Transaction::try_from(other).unwrap().ext.len(), 1);
}

#[test]
fn refusals_name_field_found_and_expected() {
    let error = refusal(json!({"amount_minor": "12.5"}));
    assert_eq!(
        (error.field.as_str(), error.kind),
        ("amount_minor", FieldErrorKind::Schema)
    );
    assert!(
        error
            .to_string()
            .contains("found 12.5, expected a whole number"),
        "{error}"
    );
    assert_eq!(
        refusal(json!({"account_tok": null})).kind,
        FieldErrorKind::Missing
    );
    assert_eq!(
        refusal(json!({"direction": "sideways"})).kind,
        FieldErrorKind::Schema
    );
    assert_eq!(
        refusal(json!({"ts": "yesterday"})).kind,
        FieldErrorKind::Schema
    );
    assert_eq!(
        refusal(json!({"ts": 4_000_000_000_000_i64})).kind,
        FieldErrorKind::Schema
    );
    assert_eq!(refusal(json!({"currency": ["EUR"]})).found, "an array");
    assert_eq!(
        refusal(json!({"amount_minor": -1})).kind,
        FieldErrorKind::Schema
    );
}

#[test]
fn an_unlisted_word_becomes_other() {
    let t = Transaction::try_from(raw(json!({"rail": "pigeon", "channel": "fax"}))).unwrap();
    assert_eq!((t.rail, t.channel), (Rail::Other, Some(Channel::Other)));
}

#[test]
fn card_numbers_are_refused_wherever_they_are() {
    for (field, value) in [
        ("account_tok", json!("4111111111111111")),
        ("account_tok", json!(4_111_111_111_111_111_u64)),
        ("txn_id", json!("4111-1111-1111-1111")),
        ("amount_minor", json!(4_222_222_222_222_i64)),
        ("currency", json!("4111 1111 1111 1111")),
        ("rail", json!("4111111111111111")),
        ("ts", json!(4_111_111_111_111_111_u64)),
        ("geo_lat", json!(4_111_111_111_111_111.0)),
        ("vpn", json!("4111111111111111")),
        ("ext", json!({"note": "paid with 4111 1111 1111 1111"})),
        ("ext", json!({"note": 4_111_111_111_111_111_u64})),
        ("ext", json!({"note": 4_111_111_111_111_111.0})),
        ("ext", json!({"4111111111111111": 1})),
    ] {
        let error = refusal(json!({field: value}));
        assert_eq!(error.kind, FieldErrorKind::PanDetected, "{field}: {error}");
        assert!(!format!("{error} {error:?}").contains("1111"), "{field}");
        assert!(!format!("{error}").contains("2222"), "{field}");
    }
}

#[test]
fn sensitive_names_are_refused() {
    for name in ["pan", "cvv", "cardTrack2", "pin_block"] {
        assert_eq!(
            refusal(json!({name: "x"})).kind,
            FieldErrorKind::Forbidden,
            "{name}"
        );
        assert_eq!(
            refusal(json!({"ext": {name: "x"}})).kind,
            FieldErrorKind::Forbidden
        );
    }
}

#[test]
fn unknown_fields_are_reported_and_ignored() {
    let raw = raw(json!({"colour": "red"}));
    assert_eq!(raw.unknown_fields().keys().collect::<Vec<_>>(), ["colour"]);
    assert!(Transaction::try_from(raw).is_ok());
}

// Digests of payments are taken of these bytes, and journals hold them.
#[test]
fn the_canonical_form_names_every_field_in_order() {
    let extra = json!({"mcc": "0742", "geo_lat": 48.8566, "ext": {"one": 1, "note": "a \"b\""}});
    let payment = Transaction::try_from(raw(extra)).unwrap();
    assert_eq!(payment.canonical(), PAYMENT);
    assert_eq!(serde_json::to_string(&payment).unwrap(), PAYMENT);
}

const PAYMENT: &str = concat!(
    r#"{"txn_id":"t1","ts":1795425245120,"rail":"sct_inst","direction":"debit","#,
    r#""amount_minor":184000,"currency":"EUR","amount_ref_minor":null,"#,
    r#""account_tok":"acc_9f2","card_tok":null,"merchant_tok":null,"#,
    r#""terminal_tok":null,"counterparty_tok":"cp_71c","mcc":742,"txn_type":null,"#,
    r#""channel":null,"local_hour":null,"is_holiday":null,"account_opened":null,"#,
    r#""customer_tok":null,"customer_segment":null,"card_product":null,"#,
    r#""card_brand":null,"issuer_country":null,"bin8":null,"card_present":null,"#,
    r#""entry_mode":null,"auth_method":null,"auth_result":null,"#,
    r#""counterparty_kind":null,"counterparty_bank":null,"counterparty_country":null,"#,
    r#""counterparty_first_seen":null,"vop_result":null,"merchant_name_hash":null,"#,
    r#""merchant_country":null,"remittance_hash":null,"device_tok":null,"#,
    r#""device_age_days":null,"os_family":null,"app_version":null,"rooted":null,"#,
    r#""emulator":null,"vpn":null,"ip_prefix_tok":null,"ip_country":null,"asn":null,"#,
    r#""geo_lat":48.9,"geo_lon":null,"session_tok":null,"session_age_s":null,"#,
    r#""login_failures_1h":null,"beneficiary_added_age_s":null,"#,
    r#""balance_before_minor":null,"available_limit_minor":null,"#,
    r#""prior_decision":null,"ext":{"note":"a \"b\"","one":1.0}}"#,
);

// `serde_json` reads an object that begins with this name as something else where its feature
// `raw_value` is on, as it is in an agent. Extras of a canonical payment are sorted: it is first.
#[test]
fn an_extra_may_be_called_whatever_the_reader_calls_its_own() {
    let text = PAYMENT.replace("\"note\"", "\"$serde_json::private::RawValue\"");
    let read = |text: &str| {
        let raw = RawTransaction::from_json(text.as_bytes());
        raw.and_then(Transaction::try_from)
    };
    let payment = read(&text).unwrap();
    assert_eq!(payment.ext.len(), 2);
    assert!(read(&payment.canonical()).unwrap() == payment);
}

#[test]
fn a_field_is_set_and_unset_whether_it_is_known_or_not() {
    let mut raw = raw(json!({}));
    for name in ["channel", "colour"] {
        raw.insert(name, json!("red"));
        assert!(raw.present_fields().any(|present| present == name));
        raw.insert(name, Value::Null);
        assert!(raw.present_fields().all(|present| present != name));
    }
}

#[test]
fn a_time_by_itself_is_read_as_a_payments() {
    let mut raw = RawTransaction::default();
    raw.insert("event_at", json!("2026-03-01T08:00:00Z"));
    assert_eq!(raw.take_time("event_at"), Ok(Some(1_772_352_000_000)));
    assert_eq!(raw.take_time("event_at"), Ok(None));
    for (value, kind) in [
        (json!(-1), FieldErrorKind::Schema),
        (json!("yesterday"), FieldErrorKind::Schema),
        (json!("4111111111111111"), FieldErrorKind::PanDetected),
    ] {
        raw.insert("event_at", value);
        let error = raw.take_time("event_at").unwrap_err();
        assert_eq!((error.kind, error.field.as_str()), (kind, "event_at"));
    }
}

#[test]
fn debug_output_shows_no_value() {
    let raw = raw(json!({"account_tok": "4111111111111111", "ext": {"a": "secret"}}));
    let shown = format!("{raw:?}");
    assert!(!shown.contains("1111") && !shown.contains("secret"));
    let t = Transaction::try_from(raw_with_secret()).unwrap();
    assert!(!format!("{t:?}").contains("acc_9f2"));
}

fn raw_with_secret() -> RawTransaction {
    raw(json!({"ext": {"a": "secret"}}))
}

#[test]
fn json_faults_repeat_no_input() {
    for text in [
        "\"4111111111111111\"",
        "{\"a\":4111111111111111",
        "[4111111111111111]",
        "{]",
    ] {
        let error = RawTransaction::from_json(text.as_bytes()).expect_err("no object");
        assert!(!error.to_string().contains("4111"), "{error}");
    }
    let deep = "[".repeat(100_000);
    assert!(RawTransaction::from_json(deep.as_bytes()).is_err());
}

#[test]
fn currencies_keep_their_decimals() {
    let yen = json!({"currency": "JPY"});
    assert!((Transaction::try_from(raw(yen)).unwrap().amount_major() - 184_000.0).abs() < 1e-9);
    let dinar = json!({"currency": "KWD"});
    assert!((Transaction::try_from(raw(dinar)).unwrap().amount_major() - 184.0).abs() < 1e-9);
}

/// An object as `serde_json` reads a value, and then field by field.
fn read_plainly(bytes: &[u8]) -> Result<RawTransaction, FieldError> {
    let members = serde_json::from_slice(bytes).map(|Plain(members)| members);
    let members = members.map_err(|error| {
        let (kind, found) = (FieldErrorKind::Schema, json_fault(&error));
        FieldError::new("transaction", kind, &found, "a JSON object")
    })?;
    let mut raw = RawTransaction::default();
    for (name, value) in members {
        raw.insert(name, value);
    }
    Ok(raw)
}

struct Plain(Map<String, Value>);

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Value::Object(members) = Value::deserialize(deserializer)? else {
            return Err(D::Error::custom("expected a JSON object"));
        };
        Ok(Self(members))
    }
}

fn member() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        prop::sample::select(CANONICAL).prop_map(str::to_owned),
        Just("ext".to_owned()),
        "[a-d]{0,2}",
    ];
    let value = prop::sample::select(VALUES);
    (name, value).prop_map(|(name, value)| format!("\"{name}\": {value}"))
}

/// Values of every kind, a few of them no JSON.
const VALUES: &[&str] = &[
    "null",
    "true",
    "1250",
    "-1",
    "18446744073709551615",
    "1e400",
    "4.5",
    r#""card""#,
    r#"" eur ""#,
    r#""\u00e9\n""#,
    r#""\ud800""#,
    r#"[1, {"a": 2}]"#,
    r#"{"a": 1, "b": "x", "a": 2}"#,
    "{}",
];

proptest! {
    #[test]
    fn any_json_is_answered_without_panic(text in "\\PC{0,60}", number: f64, int: i64) {
        for value in [json!(text), json!(number), json!(int), json!([text]), json!({"a": int})] {
            for field in CANONICAL {
                let _ = Transaction::try_from(raw(json!({*field: value.clone()})));
            }
        }
        let _ = RawTransaction::from_json(text.as_bytes());
    }

    #[test]
    fn objects_are_read_as_values_are(
        members in prop::collection::vec(member(), 0..8),
        place in any::<prop::sample::Index>(),
        byte in prop::sample::select(b" ,:{}[]\"\\0a".to_vec()),
    ) {
        let whole = format!("{{{}}}", members.join(", ")).into_bytes();
        let at = place.index(whole.len());
        let mut changed = whole.clone();
        changed[at] = byte;
        for bytes in [&whole[..], &changed[..], &whole[..at], &whole[at..]] {
            let (found, expected) = (RawTransaction::from_json(bytes), read_plainly(bytes));
            prop_assert_eq!(&found, &expected);
            if let Ok(payment) = found.and_then(Transaction::try_from) {
                prop_assert_eq!(payment.canonical(), serde_json::to_string(&payment).unwrap());
            }
        }
    }
}
