//! The body of `POST /v1/labels`: bytes become checked labels, or a problem. Nothing past this file
//! sees unchecked input; the fields themselves are judged by `features`. What a label means for its
//! payment is in `labels.rs`. Nothing here knows journal or worker, so that libFuzzer gets at it
//! without them (`protocol/fuzz/src/scoring.rs`).

use crypto::{Digest, sha256};
use features::{Label, RawTransaction};
use serde_json::{Map, Value};

use crate::scoring::problem::{Problem, ProblemType};
use crate::scoring::request::{fault, kind_of, refuse_future, refuse_pans_in};

/// A body that passed the door: each of its labels did, or is refused alone.
pub(in crate::scoring) struct Labels {
    pub(in crate::scoring) form: Form,
    items: Vec<Result<Item, Problem>>,
}

/// How labels were sent, and how they are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::scoring) enum Form {
    /// One object.
    One,
    /// A list.
    Many,
}

/// One label that passed the door.
pub(in crate::scoring) struct Item {
    pub(super) label: Label,
    pub(super) dated: Dated,
    /// When that happened of which it speaks, where it says so.
    pub(super) event_at: Option<i64>,
    pub(super) supersedes: Option<Digest>,
    pub(super) id: Digest,
}

/// Who says since when a label is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dated {
    /// The sender.
    BySender,
    /// The stream that it came by.
    ByStream,
    /// Nobody.
    OnArrival,
}

impl Labels {
    /// Reads a body at the time `now_ms`, which a stream took in at the time `stamped`.
    pub(in crate::scoring) fn parse(
        now_ms: u64,
        stamped: Option<i64>,
        body: &[u8],
    ) -> Result<Self, Problem> {
        if body.len() > LABELS_BYTES_MAX {
            return Err(too_large());
        }
        let expected = format!("a label as a JSON object, or a list of 1 to {LABELS_MAX}");
        let wrong = |found: &str| Problem::of_field(ProblemType::Schema, "body", found, &expected);
        let value: Value = serde_json::from_slice(body).map_err(|error| wrong(&fault(&error)))?;
        let (form, values) = match value {
            Value::Object(map) => (Form::One, vec![Value::Object(map)]),
            Value::Array(values) => (Form::Many, values),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                return Err(wrong(kind_of(&value)));
            }
        };
        if !(1..=LABELS_MAX).contains(&values.len()) {
            return Err(wrong(&format!("a list of {}", values.len())));
        }
        let items = values
            .iter()
            .map(|value| Item::parse(now_ms, stamped, value));
        Ok(Self {
            form,
            items: items.collect(),
        })
    }

    /// The labels in pieces between which payments are scored.
    pub(in crate::scoring) fn into_parts(self) -> impl Iterator<Item = Vec<Result<Item, Problem>>> {
        let mut items = self.items.into_iter();
        std::iter::from_fn(move || {
            let part: Vec<_> = items.by_ref().take(PART).collect();
            (!part.is_empty()).then_some(part)
        })
    }
}

impl Item {
    fn parse(now_ms: u64, stamped: Option<i64>, value: &Value) -> Result<Self, Problem> {
        let Value::Object(map) = value else {
            let (found, expected) = (kind_of(value), "an object");
            return Err(Problem::of_field(
                ProblemType::Schema,
                "label",
                found,
                expected,
            ));
        };
        let (mut raw, mut strangers) = (RawTransaction::default(), Map::new());
        for (name, value) in map {
            if FIELDS.contains(&name.as_str()) {
                raw.insert(name, value.clone());
            } else if name != SUPERSEDES {
                strangers.insert(name.clone(), value.clone());
            }
        }
        refuse_pans_in(&strangers)?;
        let arrived = i64::try_from(now_ms).unwrap_or(i64::MAX);
        let is_told = raw.present_fields().any(|name| name == "known_at");
        let event_at = raw.take_time(EVENT_AT)?;
        if let Some(event_at) = event_at {
            refuse_future(EVENT_AT, event_at, now_ms)?;
        }
        let label = Label::read(stamped.unwrap_or(arrived), raw)?;
        refuse_future("known_at", label.known_at, now_ms)?;
        let supersedes = label_id(map.get(SUPERSEDES))?;
        let dated = match (is_told, stamped) {
            (true, _) => Dated::BySender,
            (false, Some(_)) => Dated::ByStream,
            (false, None) => Dated::OnArrival,
        };
        // A retry that leaves the time out is told at another time, and is the same all the same.
        let known_at = (dated != Dated::OnArrival).then_some(label.known_at);
        Ok(Self {
            id: id_of(&label, known_at, event_at, supersedes),
            label,
            dated,
            event_at,
            supersedes,
        })
    }
}

/// The digest of a label's words.
fn id_of(
    label: &Label,
    known_at: Option<i64>,
    event_at: Option<i64>,
    supersedes: Option<Digest>,
) -> Digest {
    let supersedes = supersedes.map(|id| id.to_hex());
    let (txn_id, source) = (&label.txn_id, &label.source);
    let words = (txn_id, label.fraud, known_at, source, supersedes);
    let words = match event_at {
        Some(event_at) => serde_json::to_vec(&(words, event_at)),
        // As builds had it that knew of no such time: labels of theirs are told again.
        None => serde_json::to_vec(&words),
    };
    let words = words.expect("texts, numbers and their absence are JSON");
    sha256(&[words.as_slice()])
}

pub(in crate::scoring) fn too_large() -> Problem {
    let detail =
        format!("found more than {LABELS_BYTES_MAX} bytes, expected at most {LABELS_MAX} labels");
    Problem::new(ProblemType::TooLarge, detail)
}

/// The label that another says it supersedes.
fn label_id(value: Option<&Value>) -> Result<Option<Digest>, Problem> {
    let expected = "the 64 hexadecimal digits of a label_id";
    let wrong = |found: &str| Problem::of_field(ProblemType::Schema, SUPERSEDES, found, expected);
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => match Digest::from_hex(text) {
            Some(id) => Ok(Some(id)),
            None => Err(wrong(text)),
        },
        Some(other) => Err(wrong(kind_of(other))),
    }
}

/// Fields of a label that `features` judges.
pub(super) const FIELDS: [&str; 5] = ["txn_id", "fraud", "known_at", "source", EVENT_AT];
pub(super) const EVENT_AT: &str = "event_at";
pub(super) const SUPERSEDES: &str = "supersedes";

/// Labels of one request: a night's chargebacks are a few requests.
pub(in crate::scoring) const LABELS_MAX: usize = 1_000;

/// A label with every field takes some 300 bytes.
pub(in crate::scoring) const LABELS_BYTES_MAX: usize = 1 << 20;

/// Labels that share one turn of the worker: some milliseconds, after which payments go first.
const PART: usize = 100;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW_MS: u64 = 1_772_000_000_000;

    fn parse(body: &Value) -> Result<Labels, Problem> {
        Labels::parse(NOW_MS, None, &serde_json::to_vec(body).unwrap())
    }

    fn item(body: &Value) -> Result<Item, Problem> {
        parse(body)
            .unwrap_or_else(|problem| panic!("{problem:?}"))
            .items
            .remove(0)
    }

    fn label() -> Value {
        json!({"txn_id": "t1", "fraud": true, "known_at": 1_771_999_000_000_i64,
            "source": "chargeback"})
    }

    #[test]
    fn the_id_is_that_of_the_words_however_they_are_written() {
        let id = |body: &Value| item(body).ok().unwrap().id;
        let same = json!({"source": "chargeback", "fraud": "yes", "supersedes": null, "note": 1,
            "known_at": "2026-02-25T05:56:40Z", "txn_id": " t1"});
        assert_eq!(id(&label()), id(&same));
        let other = [
            ("txn_id", json!("t2")),
            ("fraud", json!(false)),
            ("known_at", json!(null)),
            ("source", json!("analyst")),
            ("supersedes", json!("ab".repeat(32))),
            ("event_at", json!(1_771_998_000_000_i64)),
        ];
        for (field, value) in other {
            let mut changed = label();
            changed[field] = value;
            assert_ne!(id(&label()), id(&changed), "{field}");
        }
    }

    // Printed by Python: sha256(b'["t1",true,1771999000000,"chargeback",null]').hexdigest(). A
    // journal has labels under such ids, and one that is told again must not be kept twice.
    #[test]
    fn the_id_of_a_label_without_an_event_is_that_of_earlier_builds() {
        let id = item(&label()).ok().unwrap().id.to_hex();
        let expected = "0888c09996d65d32dd678b9ba5f2df220ae92cc1ea95a20669affa3c8310ca29";
        assert_eq!(id, expected);
    }

    #[test]
    fn what_is_no_label_is_refused_alone_and_by_the_field() {
        let refused = [
            ("txn_id", json!(null), ProblemType::MissingField),
            (
                "txn_id",
                json!("4111111111111111"),
                ProblemType::PanDetected,
            ),
            ("fraud", json!("perhaps"), ProblemType::Schema),
            ("known_at", json!("yesterday"), ProblemType::Schema),
            (
                "known_at",
                json!(NOW_MS + 3_600_000),
                ProblemType::TooFuture,
            ),
            ("event_at", json!("yesterday"), ProblemType::Schema),
            (
                "event_at",
                json!("4111111111111111"),
                ProblemType::PanDetected,
            ),
            (
                "event_at",
                json!(NOW_MS + 3_600_000),
                ProblemType::TooFuture,
            ),
            ("source", json!(null), ProblemType::MissingField),
            ("source", json!("x".repeat(33)), ProblemType::Schema),
            ("supersedes", json!("abc"), ProblemType::Schema),
            ("note", json!("4111111111111111"), ProblemType::PanDetected),
        ];
        for (field, value, kind) in refused {
            let mut changed = label();
            changed[field] = value;
            let problem = item(&changed).err().unwrap();
            assert_eq!(
                (problem.kind, problem.field.as_deref()),
                (kind, Some(field))
            );
            let many = parse(&json!([label(), changed, 7])).ok().unwrap();
            let kept: Vec<bool> = many.items.iter().map(Result::is_ok).collect();
            assert_eq!((many.form, kept), (Form::Many, vec![true, false, false]));
        }
    }

    #[test]
    fn a_body_holds_one_label_or_up_to_a_thousand() {
        assert_eq!(parse(&label()).ok().unwrap().form, Form::One);
        let many = |count: usize| parse(&json!(vec![label(); count]));
        let parts = many(LABELS_MAX).ok().unwrap().into_parts();
        assert!(parts.map(|part| part.len()).eq([PART; 10]));
        for body in [json!([]), json!(null), json!("t1")] {
            assert_eq!(parse(&body).err().unwrap().kind, ProblemType::Schema);
        }
        let problem = many(LABELS_MAX + 1).err().unwrap();
        assert_eq!(problem.kind, ProblemType::Schema);
        let long = vec![b' '; LABELS_BYTES_MAX + 1];
        let problem = Labels::parse(NOW_MS, None, &long).err().unwrap();
        assert_eq!(problem.kind, ProblemType::TooLarge);
        let cut = Labels::parse(NOW_MS, None, b"[{\"txn_id\": 4111111111111111")
            .err()
            .unwrap();
        assert!(cut.detail.contains("ends early") && !cut.detail.contains("4111"));
    }
}
