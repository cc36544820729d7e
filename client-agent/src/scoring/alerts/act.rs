//! What analysts may do about an alert: say what it was, or put it off. A verdict of fraud or
//! genuine becomes a label by the very path of `POST /v1/labels`; who said so, with which words, is
//! kept beside it. The same words told twice are kept once.

use chrono::DateTime;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::Question;
use super::alert::{ANALYST, Verdict};
use super::index::Row;
use crate::journal::{Action, Deed};
use crate::scoring::labels::LabelAnswer;
use crate::scoring::problem::{Problem, ProblemType};
use crate::scoring::request::{kind_of, refuse_pans_in};
use crate::scoring::{Scoring, http};

/// What an analyst says of an alert.
pub(super) struct Disposition {
    verdict: Verdict,
    analyst: String,
    note: String,
    /// Since when it is known, as a label tells it; from the moment of telling where it is absent.
    known_at: Option<Value>,
}

/// Until when an alert shall not be seen.
pub(super) struct Snooze {
    until: u64,
    analyst: String,
    note: String,
}

/// What became of a disposition.
#[derive(Serialize, ToSchema)]
pub(super) struct Disposed {
    /// The alert as it is from here on.
    alert: Row,
    /// The label that was written; null for a verdict that teaches nothing.
    label: Option<LabelAnswer>,
}

impl Disposition {
    pub(super) fn read(words: &Map<String, Value>) -> Result<Self, Problem> {
        refuse_pans_in(words)?;
        let told = text(words, "verdict", WORD_BYTES_MAX)?;
        let told = told.ok_or_else(|| missing("verdict", VERDICTS))?;
        let verdict = Verdict::ALL.into_iter().find(|one| one.word() == told);
        let verdict = verdict.ok_or_else(|| wrong("verdict", &told, VERDICTS))?;
        let analyst = text(words, "analyst", ANALYST_BYTES_MAX)?;
        let known_at = words.get("known_at").filter(|at| !at.is_null()).cloned();
        if known_at.is_some() && verdict.label().is_none() {
            let expected = "a time only with fraud or genuine";
            return Err(wrong("known_at", verdict.word(), expected));
        }
        Ok(Self {
            verdict,
            analyst: analyst.ok_or_else(|| missing("analyst", "who says so"))?,
            note: text(words, "note", NOTE_BYTES_MAX)?.unwrap_or_default(),
            known_at,
        })
    }
}

impl Snooze {
    pub(super) fn read(now_ms: u64, words: &Map<String, Value>) -> Result<Self, Problem> {
        refuse_pans_in(words)?;
        let expected = "a time within the next 90 days, RFC 3339 or in milliseconds";
        let (until, found) = match words.get("until") {
            None | Some(Value::Null) => return Err(missing("until", expected)),
            Some(Value::Number(number)) => (number.as_u64(), number.to_string()),
            Some(Value::String(told)) => {
                let time = DateTime::parse_from_rfc3339(told).ok();
                let time = time.and_then(|time| u64::try_from(time.timestamp_millis()).ok());
                (time, told.clone())
            }
            Some(other @ (Value::Bool(_) | Value::Array(_) | Value::Object(_))) => {
                (None, kind_of(other).to_owned())
            }
        };
        let ahead = |until: &u64| *until > now_ms && *until - now_ms <= SNOOZE_MS_MAX;
        let until = until.filter(ahead);
        Ok(Self {
            until: until.ok_or_else(|| wrong("until", &found, expected))?,
            analyst: text(words, "analyst", ANALYST_BYTES_MAX)?.unwrap_or_default(),
            note: text(words, "note", NOTE_BYTES_MAX)?.unwrap_or_default(),
        })
    }
}

/// Writes the label, durably, then who gave it. After a crash in between a retry adds the rest.
pub(super) async fn dispose(
    scoring: &Scoring,
    decision_id: &str,
    disposition: Disposition,
) -> Result<Disposed, Problem> {
    let Disposition {
        verdict,
        analyst,
        note,
        known_at,
    } = disposition;
    let alerts = &scoring.0.alerts;
    let id = decision_id.to_owned();
    let txn_id = alerts.ask(|reply| Question::Subject(id, reply)).await?;
    let label = match verdict.label() {
        Some(fraud) => Some(label(scoring, txn_id, fraud, known_at).await?),
        None => None,
    };
    let action = Action {
        at: now_ms(scoring),
        analyst,
        note,
        deed: verdict.deed(),
    };
    let id = decision_id.to_owned();
    let alert = alerts.ask(|reply| Question::Act(id, action, reply)).await?;
    Ok(Disposed { alert, label })
}

pub(super) async fn snooze(
    scoring: &Scoring,
    decision_id: &str,
    snooze: Snooze,
) -> Result<Row, Problem> {
    let action = Action {
        at: now_ms(scoring),
        analyst: snooze.analyst,
        note: snooze.note,
        deed: Deed::Snooze(snooze.until),
    };
    let id = decision_id.to_owned();
    let asked = scoring
        .0
        .alerts
        .ask(|reply| Question::Act(id, action, reply));
    asked.await
}

/// Tells a verdict as a label.
async fn label(
    scoring: &Scoring,
    txn_id: String,
    fraud: bool,
    known_at: Option<Value>,
) -> Result<LabelAnswer, Problem> {
    let mut words = Map::new();
    words.insert("txn_id".to_owned(), txn_id.into());
    words.insert("fraud".to_owned(), fraud.into());
    words.insert("source".to_owned(), ANALYST.into());
    words.insert("known_at".to_owned(), known_at.into());
    let body = Value::Object(words).to_string();
    let (_, mut answers) = http::label(scoring, body.into()).await?;
    let answer = answers.pop().ok_or_else(|| scoring.stopped())?;
    match answer.problem {
        Some(problem) => Err(problem),
        None => Ok(answer),
    }
}

pub(super) fn now_ms(scoring: &Scoring) -> u64 {
    scoring.0.clock.now().0
}

/// A text without its outer blanks; an empty one is none.
fn text(
    words: &Map<String, Value>,
    name: &str,
    bytes_max: usize,
) -> Result<Option<String>, Problem> {
    let expected = format!("a text of at most {bytes_max} bytes");
    match words.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(told)) if told.len() <= bytes_max => {
            let told = told.trim();
            Ok((!told.is_empty()).then(|| told.to_owned()))
        }
        Some(Value::String(_)) => Err(wrong(name, "a longer one", &expected)),
        Some(other) => Err(wrong(name, kind_of(other), &expected)),
    }
}

fn wrong(field: &str, found: &str, expected: &str) -> Problem {
    Problem::of_field(ProblemType::Schema, field, found, expected)
}

fn missing(field: &str, expected: &str) -> Problem {
    Problem::of_field(ProblemType::MissingField, field, "nothing", expected)
}

const VERDICTS: &str = "one of fraud, genuine, suspected, unknown";

const WORD_BYTES_MAX: usize = 16;

/// As long as a user's name in most directories.
pub(super) const ANALYST_BYTES_MAX: usize = 64;

/// A paragraph or two; files belong into the bank's case management.
pub(super) const NOTE_BYTES_MAX: usize = 4_000;

/// A longer absence is a case for the bank's own customer data.
pub(super) const SNOOZE_MS_MAX: u64 = 90 * 24 * HOUR_MS;
pub(super) const HOUR_MS: u64 = 3_600_000;

/// A form writes three bytes for each of a note in another script.
pub(super) const BYTES_MAX: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW_MS: u64 = 1_772_000_000_000;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_disposition_says_what_and_who() {
        let whole = json!({"verdict": "fraud", "analyst": " u-17 ", "note": "called\nthem",
            "known_at": "2026-02-25T05:56:40Z"});
        let read = Disposition::read(&object(whole.clone())).ok().unwrap();
        assert_eq!((read.verdict, &*read.analyst), (Verdict::Fraud, "u-17"));
        assert_eq!(read.note, "called\nthem");
        for (field, value, kind) in [
            ("verdict", json!("maybe"), ProblemType::Schema),
            ("verdict", json!(null), ProblemType::MissingField),
            ("analyst", json!("  "), ProblemType::MissingField),
            ("analyst", json!("x".repeat(65)), ProblemType::Schema),
            ("note", json!("x".repeat(4_001)), ProblemType::Schema),
            ("note", json!(["x"]), ProblemType::Schema),
            (
                "note",
                json!("card 4111 1111 1111 1111"),
                ProblemType::PanDetected,
            ),
        ] {
            let mut changed = whole.clone();
            changed[field] = value;
            let problem = Disposition::read(&object(changed)).err().unwrap();
            assert_eq!(
                (problem.kind, problem.field.as_deref()),
                (kind, Some(field))
            );
        }
        let mut unsure = whole;
        unsure["verdict"] = json!("unknown");
        let problem = Disposition::read(&object(unsure)).err().unwrap();
        assert_eq!(problem.field.as_deref(), Some("known_at"));
    }

    #[test]
    fn a_snooze_ends_within_ninety_days() {
        let read = |until: Value| Snooze::read(NOW_MS, &object(json!({ "until": until })));
        let until = |told: Value| read(told).ok().map(|snooze| snooze.until);
        assert_eq!(until(json!(NOW_MS + 1)), Some(NOW_MS + 1));
        assert_eq!(
            until(json!("2026-02-26T06:13:20Z")),
            Some(1_772_086_400_000)
        );
        assert!(until(json!(NOW_MS + SNOOZE_MS_MAX)).is_some());
        for wrong in [
            json!(NOW_MS),
            json!(NOW_MS + SNOOZE_MS_MAX + 1),
            json!(-1),
            json!("tomorrow"),
            json!(true),
        ] {
            let problem = read(wrong).err().unwrap();
            assert_eq!(problem.kind, ProblemType::Schema);
        }
        assert_eq!(
            read(json!(null)).err().unwrap().kind,
            ProblemType::MissingField
        );
    }
}
