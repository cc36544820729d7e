//! `GET /v1/decisions`: what was decided, on what payment and by what numbers, as it is in the
//! journal, and what was said of the payment since. The worker owns the journal, so it is asked for
//! the decision; labels are read beside it. The hot path is in `worker.rs`.

use axum::Json;
use axum::extract::Query;
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use crypto::Digest;
use features::Column;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use utoipa::ToSchema;

use super::answer::Answer;
use super::labels::{KnownLabel, told_back};
use super::problem::{Problem, ProblemType};
use super::worker::{Job, Worker, undurable};
use super::{Scoring, gone};
use crate::journal::{Entry, Follower, JournalError, LabelEntry};

/// What a decision is looked for by.
pub(super) enum Sought {
    /// Its place in the journal.
    Place(u64),
    /// The id of its payment.
    Payment(String),
}

/// What is in the journal of a decision.
pub(super) struct Found {
    entry: Entry,
    /// Read as far as it was durable then.
    journal: Follower,
}

impl Worker {
    /// The journal's entry, made durable before it is told, as an answer is, and so its labels.
    pub(super) fn find(&mut self, sought: &Sought) -> Result<Option<Found>, Problem> {
        self.settle().map_err(|error| undurable(&error))?;
        self.found(sought).map_err(|error| unreadable(&error))
    }

    fn found(&self, sought: &Sought) -> Result<Option<Found>, JournalError> {
        let entry = match sought {
            Sought::Place(place) => self.journal.at(*place)?,
            Sought::Payment(txn_id) => self.journal.find(txn_id)?,
        };
        Ok(entry.map(|entry| Found::new(entry, self.journal.follow())))
    }
}

impl Found {
    fn new(entry: Entry, journal: Follower) -> Self {
        let reach = journal.reach();
        let journal = journal.starting_at(reach);
        Self { entry, journal }
    }

    /// The labels of its payment, in order of arrival.
    fn labels(&self) -> Result<Vec<LabelEntry>, JournalError> {
        self.journal.labels_read(&self.entry.txn_id)
    }
}

pub(super) fn unreadable(error: &JournalError) -> Problem {
    tracing::error!(%error, "the journal cannot be read");
    Problem::new(ProblemType::Unavailable, "the journal cannot be read")
}

/// `GET /v1/decisions/{decision_id}`.
pub(super) async fn handle_decision(scoring: &Scoring, decision_id: &str) -> Response {
    let found = by_decision(scoring, decision_id).await;
    found.map(Json).into_response()
}

/// `GET /v1/decisions?txn_id=…`.
pub(super) async fn handle_payment(scoring: &Scoring, uri: &Uri) -> Response {
    let Ok(Query(Wanted { txn_id })) = Query::try_from_uri(uri) else {
        let (found, expected) = ("none, or more than one", "one `txn_id` in the query");
        return Problem::of_field(ProblemType::MissingField, "txn_id", found, expected)
            .into_response();
    };
    let found = find(scoring, Sought::Payment(txn_id)).await;
    found.map(Json).into_response()
}

async fn by_decision<'a>(scoring: &'a Scoring, decision_id: &str) -> Result<Record<'a>, Problem> {
    let place = place_of(decision_id).ok_or_else(unknown)?;
    let record = find(scoring, Sought::Place(place)).await?;
    // Places begin again where a journal was lost: the whole id has to be this one's.
    match record.answer.decision_id.as_deref() == Some(decision_id) {
        true => Ok(record),
        false => Err(unknown()),
    }
}

async fn find(scoring: &Scoring, sought: Sought) -> Result<Record<'_>, Problem> {
    let waiting = scoring.ask(|reply| Job::Find(sought, reply))?;
    let found = waiting.await.map_err(|_| gone())?;
    let found = found?.ok_or_else(unknown)?;
    // Dozens of readings of the store: no payment waits for them.
    let reading = tokio::task::spawn_blocking(move || (found.labels(), found.entry));
    let (labels, entry) = reading.await.map_err(|_| gone())?;
    let labels = labels.map_err(|error| unreadable(&error))?;
    Record::read(scoring, entry, &labels)
}

/// The place that a decision's id names: ids are made in `worker.rs`.
pub(super) fn place_of(decision_id: &str) -> Option<u64> {
    let (_, place) = decision_id.split_once('-')?;
    u64::from_str_radix(place, 16).ok()
}

/// A decision of the journal.
// No `Debug`: a payment is never logged.
#[derive(Serialize, ToSchema)]
pub(super) struct Record<'a> {
    /// The answer as it was stored, before its latency was known.
    answer: Answer,
    /// The payment in its canonical form: every field of `txn.v1`, null where the bank had none,
    /// words in small letters, codes in capitals, days and times as numbers.
    #[schema(value_type = Object)]
    transaction: Value,
    /// What the model saw: each column of the feature schema by its name, in the schema's order.
    /// Null where the decision was made under another schema than the agent's present one.
    #[schema(value_type = Option<std::collections::BTreeMap<String, f32>>)]
    features: Option<Features<'a>>,
    /// What was said of the payment, in order of arrival.
    #[schema(max_items = 32)]
    labels: Vec<KnownLabel>,
}

impl<'a> Record<'a> {
    fn read(scoring: &'a Scoring, entry: Entry, labels: &[LabelEntry]) -> Result<Self, Problem> {
        let answer: Answer = serde_json::from_str(&entry.answer).map_err(|_| damaged())?;
        let transaction: Value = serde_json::from_str(&entry.transaction).map_err(|_| damaged())?;
        let paid_at = transaction["ts"].as_i64().ok_or_else(damaged)?;
        let schema = &scoring.0.schema;
        let digest = Digest(schema.digest()).to_hex();
        // Without a model an entry does not say its schema; then the length has to do.
        let is_named = entry.vector.len() == schema.len()
            && answer
                .model
                .as_ref()
                .is_none_or(|model| model.schema == digest);
        Ok(Self {
            answer,
            transaction,
            features: is_named.then_some(Features {
                columns: schema.columns(),
                values: entry.vector,
            }),
            labels: told_back(labels, paid_at),
        })
    }
}

/// A vector by the names of its columns, in the schema's order.
struct Features<'a> {
    columns: &'a [Column],
    values: Vec<f32>,
}

impl Serialize for Features<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let names = self.columns.iter().map(|column| &column.name);
        serializer.collect_map(names.zip(&self.values))
    }
}

#[derive(Deserialize)]
struct Wanted {
    txn_id: String,
}

fn damaged() -> Problem {
    let detail = "the journal's entry cannot be read";
    Problem::new(ProblemType::Unavailable, detail)
}

fn unknown() -> Problem {
    let detail = "found no decision in the journal, expected an id that was answered";
    Problem::new(ProblemType::NotFound, detail)
}

#[cfg(test)]
mod tests {
    use host::disk::Store;

    use super::*;
    use crate::journal::Journal;

    // Planted fault: labels that are read to the end.
    #[test]
    fn a_label_that_is_not_durable_is_not_told() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(&Store::open(folder.path()).unwrap()).unwrap();
        let entry = Entry {
            txn_id: "t0".to_owned(),
            digest: [0; 32],
            transaction: "{}".to_owned(),
            answer: "{}".to_owned(),
            vector: Vec::new(),
        };
        let label = |told_at: u64| LabelEntry {
            label_id: [told_at as u8; 32],
            txn_id: "t0".to_owned(),
            payment: 0,
            fraud: true,
            known_at: 1,
            told_at,
            source: "analyst".to_owned(),
            supersedes: None,
            after: 1,
            event_at: None,
        };
        journal.append(&entry).unwrap();
        journal.append_label(&label(2)).unwrap();
        journal.settle().unwrap();
        journal.append_label(&label(3)).unwrap();
        let found = Found::new(entry.clone(), journal.follow());
        assert_eq!(found.labels().unwrap(), [label(2)]);
        // Nor is one that comes after the worker was asked.
        journal.settle().unwrap();
        assert_eq!(found.labels().unwrap(), [label(2)]);
        let found = Found::new(entry, journal.follow());
        assert_eq!(found.labels().unwrap(), [label(2), label(3)]);
    }

    #[test]
    fn an_id_names_its_place() {
        assert_eq!(place_of("019ca8d2a400-0"), Some(0));
        assert_eq!(place_of("019ca8d2a400-1f"), Some(31));
        for wrong in [
            "",
            "-",
            "019ca8d2a400",
            "a-",
            "a-g",
            "a-1-2",
            "a-11112222333344445",
        ] {
            assert_eq!(place_of(wrong), None, "{wrong}");
        }
    }
}
