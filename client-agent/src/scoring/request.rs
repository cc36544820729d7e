//! The door of `POST /v1/score`: bytes become a checked request, or a problem. Nothing past this
//! file sees unchecked input. The fields themselves are judged by `features`.

use std::fmt;
use std::time::Duration;

use crypto::{Digest, sha256};
use features::{
    RawTransaction, Told, Transaction, is_pan_like, is_pan_number, is_sensitive_name, is_time_ms,
};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::problem::{Problem, ProblemType};
use super::times::{AHEAD_MAX, Asked};

/// A request that passed the door. No `Debug`: a payment is never logged.
pub(super) struct Request {
    pub(super) transaction: Transaction,
    pub(super) purpose: Purpose,
    /// By when an answer is wanted, and how old the payment may be.
    pub(super) asked: Asked,
    /// Fields of the body that nothing here knows.
    pub(super) unknown_fields: u32,
    /// The payment, canonical JSON.
    pub(super) canonical: String,
    /// Digest of the canonical payment: blanks, order and unknown fields do not reach it.
    pub(super) digest: Digest,
}

/// What an answer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The bank waits for the decision.
    Authorise,
    /// The payment was decided elsewhere, and is told for the sake of the windows.
    Advice,
    /// A question: nothing is remembered.
    Whatif,
}

impl Purpose {
    /// Every purpose.
    pub(super) const ALL: [Self; 3] = [Self::Authorise, Self::Advice, Self::Whatif];

    /// The word in requests.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Authorise => "authorise",
            Self::Advice => "advice",
            Self::Whatif => "whatif",
        }
    }
}

impl Request {
    /// Reads a body at the time `now_ms`.
    pub(super) fn parse(body: &[u8], now_ms: u64, asked: Asked) -> Result<Self, Problem> {
        if body.len() > BODY_BYTES_MAX {
            return Err(too_large());
        }
        let Body {
            txn,
            purpose: word,
            schema,
            unknown,
        } = object(body)?;
        let purpose = purpose(word)?;
        check_schema(schema)?;
        let txn = txn.ok_or_else(|| {
            Problem::of_field(ProblemType::MissingField, "txn", "nothing", "an object")
        })?;
        refuse_pans_in(&unknown)?;
        let raw = raw(txn)?;
        refuse_pans_in(raw.unknown_fields())?;
        let unknown = unknown.len() + raw.unknown_fields().len();
        let transaction = Transaction::try_from(raw)?;
        refuse_beyond("ts", transaction.ts, now_ms, asked.times.ahead_max)?;
        let canonical = transaction.canonical();
        Ok(Self {
            digest: sha256(&[canonical.as_bytes()]),
            canonical,
            transaction,
            purpose,
            asked,
            unknown_fields: u32::try_from(unknown).unwrap_or(u32::MAX),
        })
    }
}

pub(crate) fn too_large() -> Problem {
    let detail = format!("found more than {BODY_BYTES_MAX} bytes, expected one payment");
    Problem::new(ProblemType::TooLarge, detail)
}

/// The members of a body, as they came; of equal names the last one counts.
#[derive(Default)]
struct Body {
    txn: Option<Told<RawTransaction>>,
    purpose: Option<Value>,
    schema: Option<Value>,
    /// What nothing here knows.
    unknown: Map<String, Value>,
}

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Body;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Body, A::Error> {
        let mut body = Body::default();
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "txn" => body.txn = Some(map.next_value()?),
                "purpose" => body.purpose = Some(map.next_value()?),
                "schema" => body.schema = Some(map.next_value()?),
                _ => drop(body.unknown.insert(name, map.next_value()?)),
            }
        }
        Ok(body)
    }
}

/// The body as a JSON object. The reader's own complaint may repeat input, so only its place and
/// class are told.
fn object(body: &[u8]) -> Result<Body, Problem> {
    let expected = "a JSON object with `txn` and perhaps `purpose`";
    let wrong = |found: &str| Problem::of_field(ProblemType::Schema, "body", found, expected);
    match serde_json::from_slice(body) {
        Ok(Told::Object(body)) => Ok(body),
        Ok(Told::Other(other)) => Err(wrong(kind_of(&other))),
        Err(error) => Err(wrong(&fault(&error))),
    }
}

/// What is wrong with a text that should be JSON, without a word of it.
pub(super) fn fault(error: &serde_json::Error) -> String {
    let class = match error.classify() {
        serde_json::error::Category::Eof => "JSON that ends early",
        serde_json::error::Category::Io
        | serde_json::error::Category::Syntax
        | serde_json::error::Category::Data => "malformed JSON",
    };
    format!(
        "{class} at line {}, column {}",
        error.line(),
        error.column()
    )
}

fn purpose(value: Option<Value>) -> Result<Purpose, Problem> {
    let expected = "one of authorise, advice, whatif";
    let wrong = |found: &str| Problem::of_field(ProblemType::Schema, "purpose", found, expected);
    match value {
        None | Some(Value::Null) => Ok(Purpose::Authorise),
        Some(Value::String(word)) => {
            let mut purposes = Purpose::ALL.into_iter();
            let told = purposes.find(|one| one.word() == word);
            told.ok_or_else(|| wrong(&word))
        }
        Some(other) => Err(wrong(kind_of(&other))),
    }
}

fn check_schema(value: Option<Value>) -> Result<(), Problem> {
    let wrong = |found: &str| Problem::of_field(ProblemType::Schema, "schema", found, FORM);
    match value {
        None | Some(Value::Null) => Ok(()),
        Some(Value::String(name)) if name == FORM => Ok(()),
        Some(Value::String(name)) => Err(wrong(&name)),
        Some(other) => Err(wrong(kind_of(&other))),
    }
}

fn raw(txn: Told<RawTransaction>) -> Result<RawTransaction, Problem> {
    match txn {
        Told::Object(raw) => Ok(raw),
        Told::Other(other) => {
            let (found, expected) = (kind_of(&other), "a JSON object");
            let kind = ProblemType::Schema;
            Err(Problem::of_field(kind, "txn", found, expected))
        }
    }
}

/// Fields that nobody reads are let through, but not with a card number in them: it would be in
/// the bank's own logs, and the sender should hear of it.
pub(super) fn refuse_pans_in(fields: &Map<String, Value>) -> Result<(), Problem> {
    for (name, value) in fields {
        if is_sensitive_name(name) || is_pan_like(name) || holds_pan(value) {
            return Err(Problem::of_field(
                ProblemType::PanDetected,
                name,
                "a card-like number, or a name that stands for one",
                "a token, in a field of txn.v1",
            ));
        }
    }
    Ok(())
}

fn holds_pan(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) => false,
        Value::Number(number) => {
            let whole = number.as_i64().or_else(|| {
                let real = number.as_f64().filter(|real| real.abs() < 9e18)?;
                Some(real as i64)
            });
            whole.is_some_and(|whole| !is_time_ms(whole) && is_pan_number(whole))
                || number
                    .as_u64()
                    .is_some_and(|whole| is_pan_like(&whole.to_string()))
                    && whole.is_none()
        }
        Value::String(text) => {
            let is_time = text.parse().is_ok_and(is_time_ms);
            !is_time && is_pan_like(text)
        }
        Value::Array(values) => values.iter().any(holds_pan),
        Value::Object(map) => map
            .iter()
            .any(|(name, value)| is_sensitive_name(name) || is_pan_like(name) || holds_pan(value)),
    }
}

/// Refuses a time that lies further ahead than clocks differ.
pub(super) fn refuse_future(field: &str, ts: i64, now_ms: u64) -> Result<(), Problem> {
    refuse_beyond(field, ts, now_ms, AHEAD_MAX)
}

fn refuse_beyond(field: &str, ts: i64, now_ms: u64, most: Duration) -> Result<(), Problem> {
    let ahead_ms = ts.saturating_sub(i64::try_from(now_ms).unwrap_or(i64::MAX));
    if !u128::try_from(ahead_ms).is_ok_and(|ahead| ahead > most.as_millis()) {
        return Ok(());
    }
    let found = format!("a time {} s ahead of this machine's clock", ahead_ms / 1000);
    let expected = format!("at most {} s", most.as_secs());
    Err(Problem::of_field(
        ProblemType::TooFuture,
        field,
        &found,
        &expected,
    ))
}

pub(super) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// The form of payments.
pub(super) const FORM: &str = "txn.v1";

/// A payment with every field and full extras takes some 10 KiB.
pub(crate) const BODY_BYTES_MAX: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW_MS: u64 = 1_772_000_000_000;

    fn body() -> Value {
        json!({"txn": {
            "txn_id": "t1", "ts": 1_771_999_000_000_i64, "rail": "card", "amount_minor": 1250,
            "currency": "EUR", "account_tok": "a1",
        }})
    }

    fn parse(body: &Value) -> Result<Request, Problem> {
        parse_asked(body, Asked::default())
    }

    fn parse_asked(body: &Value, asked: Asked) -> Result<Request, Problem> {
        Request::parse(&serde_json::to_vec(body).unwrap(), NOW_MS, asked)
    }

    fn refused(change: impl FnOnce(&mut Value)) -> Problem {
        let mut body = body();
        change(&mut body);
        parse(&body).err().unwrap()
    }

    #[test]
    fn order_blanks_and_unknown_fields_do_not_reach_the_digest() {
        let plain = parse(&body()).ok().unwrap();
        let text = br#" {"purpose":"advice", "colour": {"deep": [1]}, "schema": "txn.v1", "txn":
            {"shape": null, "currency":"eur", "account_tok":"a1","amount_minor":1250, "rail":"card",
            "ts":"2026-02-25T05:56:40Z", "txn_id":"t1"}}"#;
        let other = Request::parse(text, NOW_MS, Asked::default());
        let other = other.ok().unwrap();
        assert_eq!(plain.digest, other.digest);
        assert_eq!((plain.unknown_fields, other.unknown_fields), (0, 2));
        assert_eq!(
            (plain.purpose, other.purpose),
            (Purpose::Authorise, Purpose::Advice)
        );
        let mut dearer = body();
        dearer["txn"]["amount_minor"] = json!(1251);
        assert_ne!(plain.digest, parse(&dearer).ok().unwrap().digest);
    }

    #[test]
    fn each_refusal_names_the_field_what_was_found_and_what_was_expected() {
        let problem = refused(|body| body["txn"]["amount_minor"] = json!("much"));
        assert_eq!((problem.kind, problem.status), (ProblemType::Schema, 400));
        assert_eq!(problem.field.as_deref(), Some("amount_minor"));
        assert_eq!(problem.found.as_deref(), Some("much"));
        assert!(problem.expected.unwrap().starts_with("a whole number"));
        let missing = refused(|body| drop(body["txn"].as_object_mut().unwrap().remove("ts")));
        assert_eq!(
            (missing.kind, missing.field.unwrap()),
            (ProblemType::MissingField, "ts".into())
        );
        let no_txn = refused(|body| *body = json!({"txn_id": "t1"}));
        assert_eq!(
            (no_txn.kind, no_txn.field.unwrap()),
            (ProblemType::MissingField, "txn".into())
        );
        for (field, value) in [("purpose", json!("play")), ("schema", json!("txn.v9"))] {
            let problem = refused(|body| body[field] = value);
            assert_eq!(
                (problem.kind, problem.field.unwrap()),
                (ProblemType::Schema, field.into())
            );
        }
    }

    #[test]
    fn a_payment_of_the_future_is_refused_from_five_minutes_on_or_as_configured() {
        let at = |ahead_ms: i64, asked: Asked| {
            let mut body = body();
            body["txn"]["ts"] = json!(i64::try_from(NOW_MS).unwrap() + ahead_ms);
            parse_asked(&body, asked)
        };
        assert!(at(300_000, Asked::default()).is_ok());
        let problem = at(300_001, Asked::default()).err().unwrap();
        assert_eq!(problem.kind, ProblemType::TooFuture);
        assert_eq!(problem.field.as_deref(), Some("ts"));
        let mut strict = Asked::default();
        strict.times.ahead_max = Duration::from_secs(1);
        assert!(at(1_000, strict).is_ok() && at(1_001, strict).is_err());
    }

    #[test]
    fn of_equal_names_the_last_one_counts() {
        let (plain, payment) = (parse(&body()).ok().unwrap(), body()["txn"].to_string());
        let text = format!(
            r#"{{"txn": 5, "purpose": 5, "x": 1, "txn": {payment}, "purpose": "advice", "x": 2}}"#
        );
        let twice = Request::parse(text.as_bytes(), NOW_MS, Asked::default());
        let twice = twice.ok().unwrap();
        assert_eq!(twice.digest, plain.digest);
        assert_eq!((twice.purpose, twice.unknown_fields), (Purpose::Advice, 1));
    }

    // What is said first is what a sender hears first: the envelope, then the payment.
    #[test]
    fn what_is_no_payment_is_named_after_the_envelope() {
        for (txn, found) in [
            (json!(null), "null"),
            (json!(true), "a boolean"),
            (json!(1.5), "a number"),
            (json!("txn"), "a text"),
            (json!([body()]), "an array"),
        ] {
            let problem = refused(|body| body["txn"] = txn.clone());
            assert_eq!(problem.field.as_deref(), Some("txn"));
            assert_eq!(problem.found.as_deref(), Some(found));
            let other = refused(|body| *body = json!({"txn": txn, "purpose": "play"}));
            assert_eq!(other.field.as_deref(), Some("purpose"));
        }
    }

    #[test]
    fn times_in_unknown_fields_are_no_card_numbers() {
        // Passes the Luhn check, and is a Thursday in 2026.
        assert!(is_pan_number(1_772_000_000_003));
        let mut body = body();
        body["received_ms"] = json!(1_772_000_000_003_i64);
        body["txn"]["sent_ms"] = json!("1772000000003");
        assert_eq!(parse(&body).ok().unwrap().unknown_fields, 2);
    }
}
