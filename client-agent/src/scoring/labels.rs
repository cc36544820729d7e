//! `POST /v1/labels`: what payments scored here turned out to be, and since when that is known.
//! Bytes become checked labels in `labels/body.rs`; the worker writes them beside the journal and
//! lets the encoder know. Learning reads them from there (`journal/follower.rs`); the socket's side
//! is `http.rs`.
//!
//! A label supersedes those of the same payment that were known earlier, whatever the order in
//! which they come. One without a date has that of its message, where a stream stamps it and may
//! deliver it again at any time. Without either it is known when it comes, after all that came
//! before: sent again after a correction it undoes that, so who retries tells `known_at`. None is
//! erased, so what was known at any moment can be read again; `labels/known.rs` says how they are
//! told back. When that happened of which a label speaks is kept for who asks; nothing learns it.

use crypto::Digest;
use features::{FeatureEncoder, Label, Transaction};
use serde::Serialize;
use tokio::sync::oneshot;
use utoipa::ToSchema;

use super::Scoring;
use super::problem::{Problem, ProblemType};
use super::worker::{Job, undurable};
use crate::journal::{Journal, LabelEntry};

mod body;
mod known;

pub(super) use body::{Form, Item, LABELS_BYTES_MAX, LABELS_MAX, Labels, too_large};
pub(super) use known::{KnownLabel, told_back};

use body::{Dated, EVENT_AT, SUPERSEDES};

/// What became of one label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct LabelAnswer {
    /// Digest of what was sent: the same for the same words. Absent where they were no label.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, pattern = "^[0-9a-f]{64}$")]
    pub label_id: Option<String>,
    /// Whether it is kept.
    pub status: LabelStatus,
    /// Why it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub problem: Option<Problem>,
}

/// Whether a label is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
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

impl Item {
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

fn too_early(found: &str, expected: &str) -> Problem {
    Problem::of_field(ProblemType::KnownTooEarly, "known_at", found, expected)
}

/// A card is stolen, or an account taken over, a while before it is used.
pub(super) const EVENT_BEFORE_MAX_MS: i64 = 366 * DAY_MS;
const DAY_MS: i64 = 86_400_000;

/// An encoder takes a word of genuine in only after the fraud that it withdraws.
const FRAUDS_FIRST: [bool; 2] = [true, false];

/// Words about one payment: each label of it reads the others, and a dispute has a few.
pub(super) const LABELS_OF_ONE_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};
    use utoipa::PartialSchema as _;

    use super::body::FIELDS;
    use super::*;

    const NOW_MS: u64 = 1_772_000_000_000;

    fn is_taken(name: &str, value: Value) -> bool {
        let mut label = json!({"txn_id": "t1", "fraud": true, "source": "chargeback"});
        label[name] = value;
        let labels = Labels::parse(NOW_MS, None, label.to_string().as_bytes());
        let mut parts = labels.ok().unwrap().into_parts();
        parts.all(|part| part.iter().all(Result::is_ok))
    }

    #[test]
    fn a_label_is_described_as_it_is_read() {
        let described = serde_json::to_value(Item::schema()).unwrap();
        let fields = described["properties"].as_object().unwrap();
        let names: BTreeSet<&str> = fields.keys().map(String::as_str).collect();
        let read = FIELDS.into_iter().chain([SUPERSEDES]);
        assert_eq!(names, read.collect());
        for (name, field) in fields {
            let required = described["required"].as_array().unwrap();
            let is_required = required.contains(&json!(name));
            assert_eq!(is_taken(name, Value::Null), !is_required, "{name}");
            assert!(!is_taken(name, json!([])), "{name}");
            if let Some(most) = field["maxLength"].as_u64() {
                let text = |length| json!("x".repeat(length));
                let most = usize::try_from(most).unwrap();
                let lengths = [0, 1, most, most + 1].map(|length| is_taken(name, text(length)));
                assert_eq!(lengths, [false, true, true, false], "{name}");
            }
        }
        let digits = [
            "ab".repeat(31),
            "ab".repeat(32),
            "ab".repeat(33),
            "AB".repeat(32),
        ];
        let taken = digits.map(|digits| is_taken(SUPERSEDES, json!(digits)));
        assert_eq!(taken, [false, true, false, true]);
    }
}
