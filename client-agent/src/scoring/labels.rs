//! `POST /v1/labels`: what payments scored here turned out to be, and since when that is known.
//! Bytes become checked labels; the worker writes them beside the journal and lets the encoder
//! know. Learning reads them from there (`journal/follower.rs`); the socket's side is `http.rs`.
//!
//! A label supersedes those of the same payment that were known earlier, whatever the order in
//! which they come. One without a date has that of its message, where a stream stamps it and may
//! deliver it again at any time. Without either it is known when it comes, after all that came
//! before: sent again after a correction it undoes that, so who retries tells `known_at`. None is
//! erased, so what was known at any moment can be read again; `labels/known.rs` says how they are
//! told back. When that happened of which a label speaks is kept for who asks; nothing learns it.

use crypto::{Digest, sha256};
use features::{FeatureEncoder, Label, RawTransaction, Transaction};
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::sync::oneshot;

use super::Scoring;
use super::problem::{Problem, ProblemType};
use super::request::{fault, kind_of, refuse_future, refuse_pans_in};
use super::worker::{Job, undurable};
use crate::journal::{Journal, LabelEntry};

mod known;

pub(super) use known::{KnownLabel, told_back};

/// What became of one label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LabelAnswer {
    /// Digest of what was sent, hexadecimal: the same for the same words. Nothing where they were
    /// no label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_id: Option<String>,
    /// Whether it is kept.
    pub status: LabelStatus,
    /// Why it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// Whether a label is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LabelStatus {
    /// It is, from this request on.
    Accepted,
    /// It was before.
    Duplicate,
    /// It is not.
    Refused,
}

impl LabelAnswer {
    fn new(id: Option<Digest>, outcome: Result<LabelStatus, Problem>) -> Self {
        let label_id = id.map(|id| id.to_hex());
        match outcome {
            Ok(status) => Self {
                label_id,
                status,
                problem: None,
            },
            Err(problem) => Self {
                label_id,
                status: LabelStatus::Refused,
                problem: Some(problem),
            },
        }
    }
}

/// A body that passed the door: each of its labels did, or is refused alone.
pub(super) struct Labels {
    pub(super) form: Form,
    items: Vec<Result<Item, Problem>>,
}

/// How labels were sent, and how they are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// One object.
    One,
    /// A list.
    Many,
}

/// One label that passed the door.
pub(super) struct Item {
    label: Label,
    dated: Dated,
    /// When that happened of which it speaks, where it says so.
    event_at: Option<i64>,
    supersedes: Option<Digest>,
    id: Digest,
}

/// Who says since when a label is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dated {
    /// The sender.
    BySender,
    /// The stream that it came by.
    ByStream,
    /// Nobody.
    OnArrival,
}

impl Labels {
    /// Reads a body at the time `now_ms`, which a stream took in at the time `stamped`.
    pub(super) fn parse(now_ms: u64, stamped: Option<i64>, body: &[u8]) -> Result<Self, Problem> {
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
    pub(super) fn into_parts(self) -> impl Iterator<Item = Vec<Result<Item, Problem>>> {
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

    /// Whether this was said before, and nothing has been said since that it would correct. A word
    /// without a date is of the moment it comes: where the payment stands otherwise by now, or its
    /// source does, it is another one.
    fn is_among(&self, known: &[LabelEntry]) -> bool {
        let is_known = known.iter().any(|label| label.label_id == self.id.0);
        let source = self.label.source.as_ref();
        let own = known.iter().filter(|label| Some(&label.source) == source);
        let agrees =
            |last: Option<&LabelEntry>| last.is_some_and(|last| last.fraud == self.label.fraud);
        let stands = || agrees(in_force(known)) && agrees(in_force(own));
        is_known && (self.dated != Dated::OnArrival || stands())
    }

    /// Since when the label is known; a payment's label is known no earlier than the payment and
    /// than that of which it speaks, though a stream's clock may be behind them. One that is not
    /// dated is known after those before it, as it came, though our clock may be behind theirs or
    /// the payment's, as far as the door lets them be.
    fn known_at(&self, payment: &Transaction, known: &[LabelEntry]) -> Result<i64, Problem> {
        let known_at = self.label.known_at;
        let earliest = self.event_at.map_or(payment.ts, |at| at.max(payment.ts));
        match self.dated {
            Dated::BySender if known_at < payment.ts => {
                let seconds = (payment.ts - known_at).div_euclid(1_000);
                let found = format!("a time {seconds} s before the payment");
                Err(too_early(&found, "the payment's time or a later one"))
            }
            Dated::BySender => Ok(known_at),
            Dated::ByStream => Ok(known_at.max(earliest)),
            Dated::OnArrival => {
                let next = in_force(known).map(|label| label.known_at.saturating_add(1));
                Ok(known_at.max(earliest).max(next.unwrap_or(i64::MIN)))
            }
        }
    }

    /// Judges when that happened of which the label speaks: before it was known, and not so long
    /// before the payment that another year must be meant.
    fn check_event(&self, payment: &Transaction, known_at: i64) -> Result<(), Problem> {
        let Some(event_at) = self.event_at else {
            return Ok(());
        };
        if event_at > known_at {
            let seconds = (event_at - known_at).div_euclid(1_000);
            let found = format!("a time {seconds} s after that from which the label is known");
            let (kind, expected) = (ProblemType::KnownTooEarly, "that time or an earlier one");
            return Err(Problem::of_field(kind, EVENT_AT, &found, expected));
        }
        let before_ms = payment.ts - event_at;
        if before_ms > EVENT_BEFORE_MAX_MS {
            let found = format!("a time {} days before the payment", before_ms / DAY_MS);
            let expected = format!("at most {} days", EVENT_BEFORE_MAX_MS / DAY_MS);
            let kind = ProblemType::Schema;
            return Err(Problem::of_field(kind, EVENT_AT, &found, &expected));
        }
        Ok(())
    }

    /// Judges the label that this one says it supersedes.
    fn check_superseded(&self, known: &[LabelEntry], known_at: i64) -> Result<(), Problem> {
        let Some(id) = self.supersedes else {
            return Ok(());
        };
        let mut latest = known.iter().rev();
        let Some(superseded) = latest.find(|label| label.label_id == id.0) else {
            return Err(Problem::of_field(
                ProblemType::UnknownLabel,
                SUPERSEDES,
                "a label that this payment does not have",
                "the label_id of an earlier label of the same payment",
            ));
        };
        if known_at <= superseded.known_at {
            let seconds = (superseded.known_at - known_at).div_euclid(1_000);
            let found = format!("a time {seconds} s before that of the label it supersedes");
            return Err(too_early(&found, "a later time than that label's"));
        }
        Ok(())
    }
}

/// What is said of a payment now: of its labels the one that is known last. Of two at one moment
/// the fraud, as it is to the encoder.
pub(super) fn in_force<'a>(
    labels: impl IntoIterator<Item = &'a LabelEntry>,
) -> Option<&'a LabelEntry> {
    let labels = labels.into_iter();
    labels.max_by_key(|label| (label.known_at, label.fraud))
}

/// Keeps a label, durable once the journal is settled, and lets the encoder know.
pub(super) fn take(
    now_ms: u64,
    item: &Result<Item, Problem>,
    (journal, encoder): (&mut Journal, &mut FeatureEncoder),
) -> LabelAnswer {
    match item {
        Ok(item) => {
            let outcome = keep(now_ms, item, journal, encoder);
            LabelAnswer::new(Some(item.id), outcome)
        }
        Err(problem) => LabelAnswer::new(None, Err(problem.clone())),
    }
}

fn keep(
    now_ms: u64,
    item: &Item,
    journal: &mut Journal,
    encoder: &mut FeatureEncoder,
) -> Result<LabelStatus, Problem> {
    let txn_id = &item.label.txn_id;
    let found = journal.find_payment(txn_id);
    let Some((payment, transaction)) = found.map_err(|error| undurable(&error))? else {
        let expected = "a payment that was scored here before";
        return Err(Problem::of_field(
            ProblemType::UnknownTxn,
            "txn_id",
            txn_id,
            expected,
        ));
    };
    let known = journal.labels_of(txn_id);
    let mut known = known.map_err(|error| undurable(&error))?;
    if item.is_among(&known) {
        return Ok(LabelStatus::Duplicate);
    }
    let known_at = item.known_at(&transaction, &known)?;
    item.check_event(&transaction, known_at)?;
    item.check_superseded(&known, known_at)?;
    if known.len() >= LABELS_OF_ONE_MAX {
        let found = format!("found {LABELS_OF_ONE_MAX} labels of this payment, expected fewer");
        return Err(Problem::new(ProblemType::TooManyLabels, found));
    }
    let entry = LabelEntry {
        label_id: item.id.0,
        txn_id: txn_id.clone(),
        payment,
        fraud: item.label.fraud,
        known_at,
        told_at: now_ms,
        source: item.label.source.clone().unwrap_or_default(),
        supersedes: item.supersedes.map(|id| id.0),
        after: journal.len(),
        event_at: item.event_at,
    };
    let appended = journal.append_label(&entry);
    appended.map_err(|error| undurable(&error))?;
    known.push(entry);
    teach(encoder, &transaction, &known);
    Ok(LabelStatus::Accepted)
}

/// Tells an encoder all labels of a payment; those that it knows change nothing. It learns the same
/// from the journal after a restart (`remembered.rs`).
pub(super) fn teach(
    encoder: &mut FeatureEncoder,
    transaction: &Transaction,
    labels: &[LabelEntry],
) {
    for fraud in FRAUDS_FIRST {
        for known in labels.iter().filter(|label| label.fraud == fraud) {
            let label = Label {
                txn_id: known.txn_id.clone(),
                fraud,
                known_at: known.known_at,
                source: None,
            };
            encoder.add_label(transaction, &label);
        }
    }
}

impl Scoring {
    /// Takes one body as `POST /v1/labels` does, blocking until the answers are durable: one for
    /// each label, in order. Not for asynchronous callers.
    ///
    /// # Errors
    /// [`Problem`] where the body is refused, or nothing can be made durable. Some of its labels
    /// may be kept then; a retry tells which.
    pub fn label(&self, body: &[u8]) -> Result<Vec<LabelAnswer>, Problem> {
        let mut answers = Vec::new();
        for part in self.read_labels(None, body)?.into_parts() {
            let waiting = self.enqueue_labels(part)?;
            let told = waiting.blocking_recv();
            answers.extend(told.unwrap_or_else(|_| Err(self.stopped()))?);
        }
        Ok(answers)
    }

    /// The same for asynchronous callers, of a body that a stream took in at the time `stamped`.
    ///
    /// # Errors
    /// Likewise.
    pub(crate) async fn take_labels(
        &self,
        stamped: Option<i64>,
        body: &[u8],
    ) -> Result<Vec<LabelAnswer>, Problem> {
        self.keep_labels(self.read_labels(stamped, body)?).await
    }

    /// Has labels kept that passed the door. One list takes its turn at a time.
    pub(super) async fn keep_labels(&self, labels: Labels) -> Result<Vec<LabelAnswer>, Problem> {
        let mut answers = Vec::new();
        // It is never closed; without it a list would only take its turn sooner.
        let _turn = self.0.batches.labels.acquire().await.ok();
        for part in labels.into_parts() {
            let waiting = self.enqueue_labels(part)?;
            let told = waiting.await;
            answers.extend(told.unwrap_or_else(|_| Err(self.stopped()))?);
        }
        Ok(answers)
    }

    /// Checks a body.
    pub(super) fn read_labels(&self, stamped: Option<i64>, body: &[u8]) -> Result<Labels, Problem> {
        let labels = Labels::parse(self.0.clock.now().0, stamped, body);
        labels.map_err(|problem| self.refuse(problem))
    }

    /// Puts labels into the queue; a full queue refuses at once.
    pub(super) fn enqueue_labels(
        &self,
        items: Vec<Result<Item, Problem>>,
    ) -> Result<oneshot::Receiver<Result<Vec<LabelAnswer>, Problem>>, Problem> {
        let (reply, waiting) = oneshot::channel();
        self.offer(Job::Label { items, reply })?;
        Ok(waiting)
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

pub(super) fn too_large() -> Problem {
    let detail =
        format!("found more than {LABELS_BYTES_MAX} bytes, expected at most {LABELS_MAX} labels");
    Problem::new(ProblemType::TooLarge, detail)
}

fn too_early(found: &str, expected: &str) -> Problem {
    Problem::of_field(ProblemType::KnownTooEarly, "known_at", found, expected)
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
const FIELDS: [&str; 5] = ["txn_id", "fraud", "known_at", "source", EVENT_AT];
const EVENT_AT: &str = "event_at";
const SUPERSEDES: &str = "supersedes";

/// A card is stolen, or an account taken over, a while before it is used.
const EVENT_BEFORE_MAX_MS: i64 = 366 * DAY_MS;
const DAY_MS: i64 = 86_400_000;

/// An encoder takes a word of genuine in only after the fraud that it withdraws.
const FRAUDS_FIRST: [bool; 2] = [true, false];

/// Labels of one request: a night's chargebacks are a few requests.
const LABELS_MAX: usize = 1_000;

/// A label with every field takes some 300 bytes.
pub(super) const LABELS_BYTES_MAX: usize = 1 << 20;

/// Labels that share one turn of the worker: some milliseconds, after which payments go first.
const PART: usize = 100;

/// Words about one payment: each label of it reads the others, and a dispute has a few.
const LABELS_OF_ONE_MAX: usize = 32;

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
