//! All about one alert: the decision as it was answered, the payment's labels, the account's other
//! payments, confirmed cases that look like it, and what was said and done. Read from the journal
//! when somebody asks.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::alert::{Said, Verdict};
use super::cases::Near;
use super::index::Row;
use super::keeper::Keeper;
use crate::journal::{Action, Deed, Entry, Follower, JournalError, LabelEntry, payment_of};
use crate::scoring::decision::Decision;
use crate::scoring::decisions::unreadable;
use crate::scoring::labels::{KnownLabel, in_force, told_back};
use crate::scoring::problem::{Problem, ProblemType};

/// All about one alert.
// No `Debug`: a payment is never logged.
#[derive(Serialize, ToSchema)]
#[schema(as = AlertDossier)]
pub(super) struct Dossier {
    /// The alert itself.
    pub(super) alert: Row,
    /// The answer as it was stored, as `Answer`.
    #[schema(value_type = Object)]
    pub(super) answer: Value,
    /// The payment in its canonical form, as in `Record`.
    #[schema(value_type = Object)]
    pub(super) transaction: Value,
    /// What was said of the payment, in order of arrival.
    #[schema(max_items = 32)]
    pub(super) labels: Vec<KnownLabel>,
    /// The same and what analysts did, in order of time.
    pub(super) history: Vec<Event>,
    /// The account's last payments, the newest first.
    #[schema(max_items = 30)]
    pub(super) payments: Vec<Brief>,
    /// The confirmed cases most alike, the nearest first, among the last 2,000.
    #[schema(max_items = 5)]
    pub(super) similar: Vec<Case>,
    /// The next alert to look at, of another account.
    pub(super) next: Option<String>,
}

/// Something that was said or done about an alert.
#[derive(Serialize, ToSchema)]
#[schema(as = AlertEvent)]
pub(super) struct Event {
    /// When the agent was told, milliseconds since 1970-01-01 UTC.
    pub(super) at: u64,
    /// What kind of thing it was.
    pub(super) kind: EventKind,
    /// The source of a label, or the analyst.
    pub(super) by: String,
    /// What it says the payment was; null of a snooze.
    pub(super) verdict: Option<Verdict>,
    /// Of a label: since when it is known, milliseconds since 1970-01-01 UTC.
    pub(super) known_at: Option<i64>,
    /// Of a snooze: its end, likewise.
    pub(super) until: Option<u64>,
    /// The words of the analyst; empty of a label.
    pub(super) note: String,
}

/// What kind of thing it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = AlertEventKind)]
pub(super) enum EventKind {
    /// A label was told.
    Label,
    /// An analyst said what it was.
    Disposition,
    /// It was put off.
    Snooze,
}

/// A decision in a few words.
#[derive(Serialize, ToSchema)]
pub(super) struct Brief {
    /// The decision's id.
    pub(super) decision_id: Option<String>,
    /// The payment's id.
    pub(super) txn_id: String,
    /// Time of the payment, milliseconds since 1970-01-01 UTC.
    pub(super) ts: i64,
    /// The amount, in minor units of the currency.
    pub(super) amount_minor: i64,
    /// Its currency.
    pub(super) currency: String,
    /// Token of where the money went.
    pub(super) outlet: Option<String>,
    /// Null where no model was asked.
    #[schema(minimum = 1, maximum = 999)]
    pub(super) score: Option<u16>,
    /// What was answered.
    pub(super) decision: Decision,
    /// What its label in force says.
    pub(super) verdict: Option<Verdict>,
}

/// A confirmed case of this bank.
#[derive(Serialize, ToSchema)]
#[schema(as = SimilarCase)]
pub(super) struct Case {
    #[serde(flatten)]
    pub(super) brief: Brief,
    /// Euclidean, in the live encoder's representation.
    pub(super) distance: f32,
}

impl Keeper {
    /// All about the alert of a decision.
    pub(super) fn show(&mut self, decision_id: &str) -> Result<Dossier, Problem> {
        let (sequence, alert) = self.find(decision_id)?;
        let (account, paid_at) = (alert.account.clone(), alert.ts);
        let now_ms = self.now_ms();
        let row = self.index.row(now_ms, sequence).ok_or_else(lost)?;
        let next = self.index.next(now_ms, sequence);
        let next = next.map(|alert| alert.decision_id.clone());
        let entry = self.journal.at(sequence);
        let entry = entry
            .map_err(|error| unreadable(&error))?
            .ok_or_else(lost)?;
        let labels = self.journal.labels_of(&entry.txn_id);
        let labels = labels.map_err(|error| unreadable(&error))?;
        let said = self.said(sequence, &labels);
        let (history, payments) = said
            .and_then(|history| Ok((history, self.payments(&account)?)))
            .map_err(|error| unreadable(&error))?;
        let similar = self.similar(sequence, &entry);
        Ok(Dossier {
            alert: row,
            answer: serde_json::from_str(&entry.answer).map_err(|_| lost())?,
            transaction: serde_json::from_str(&entry.transaction).map_err(|_| lost())?,
            labels: told_back(&labels, paid_at),
            history,
            payments,
            similar: similar.map_err(|error| unreadable(&error))?,
            next,
        })
    }

    fn said(&self, sequence: u64, labels: &[LabelEntry]) -> Result<Vec<Event>, JournalError> {
        let actions = self.actions_of(sequence)?;
        let labels = labels.iter().map(Event::of_label);
        let mut history: Vec<Event> = labels.chain(actions.iter().map(Event::of_action)).collect();
        history.sort_by_key(|event| event.at);
        Ok(history)
    }

    fn payments(&self, account: &str) -> Result<Vec<Brief>, JournalError> {
        let mut payments = Vec::new();
        // Two accounts of one key are rarer than a chance to look for them is worth.
        for sequence in self.trail.back(account).take(PAYMENTS_MAX) {
            let Some(entry) = self.journal.at(sequence)? else {
                continue;
            };
            if payment_of(sequence, &entry)?.card() == account {
                payments.push(Brief::read(&self.journal, sequence, &entry)?);
            }
        }
        Ok(payments)
    }

    fn similar(&mut self, sequence: u64, entry: &Entry) -> Result<Vec<Case>, JournalError> {
        let Some(live) = &self.live else {
            return Ok(Vec::new());
        };
        // A vector of another schema lies nowhere.
        let Ok(z) = live.embedding(&entry.vector) else {
            return Ok(Vec::new());
        };
        let journal = &self.journal;
        let place = |sequence| {
            let entry = journal.at(sequence).ok()??;
            live.embedding(&entry.vector).ok()
        };
        let near = self.cases.nearest((sequence, &z), SIMILAR_MAX, place);
        let mut similar = Vec::new();
        for Near {
            sequence,
            fraud,
            distance,
        } in near
        {
            let Some(entry) = journal.at(sequence)? else {
                continue;
            };
            let brief = Brief {
                verdict: Some(Verdict::of_label(fraud)),
                ..Brief::read(journal, sequence, &entry)?
            };
            similar.push(Case { brief, distance });
        }
        Ok(similar)
    }
}

impl Event {
    fn of_label(label: &LabelEntry) -> Self {
        Self {
            at: label.told_at,
            kind: EventKind::Label,
            by: label.source.clone(),
            verdict: Some(Verdict::of_label(label.fraud)),
            known_at: Some(label.known_at),
            until: None,
            note: String::new(),
        }
    }

    fn of_action(action: &Action) -> Self {
        let (kind, until) = match action.deed {
            Deed::Snooze(until) => (EventKind::Snooze, Some(until)),
            Deed::Fraud | Deed::Genuine | Deed::Suspected | Deed::Unknown => {
                (EventKind::Disposition, None)
            }
        };
        Self {
            at: action.at,
            kind,
            by: action.analyst.clone(),
            verdict: Verdict::of_deed(action.deed),
            known_at: None,
            until,
            note: action.note.clone(),
        }
    }
}

impl Brief {
    fn read(journal: &Follower, sequence: u64, entry: &Entry) -> Result<Self, JournalError> {
        let (said, payment) = (Said::read(sequence, entry)?, payment_of(sequence, entry)?);
        let labels = journal.labels_of(&entry.txn_id)?;
        let verdict = in_force(&labels).map(|label| Verdict::of_label(label.fraud));
        Ok(Self {
            decision_id: said.decision_id,
            outlet: payment.outlet().map(str::to_owned),
            txn_id: payment.txn_id,
            ts: payment.ts,
            amount_minor: payment.amount_minor,
            currency: payment.currency,
            score: said.score,
            decision: said.decision,
            verdict,
        })
    }
}

fn lost() -> Problem {
    Problem::new(
        ProblemType::Unavailable,
        "the journal's entry cannot be read",
    )
}

/// Payments of the account that are shown.
const PAYMENTS_MAX: usize = 30;

/// Confirmed cases that are shown.
const SIMILAR_MAX: usize = 5;

#[cfg(test)]
mod tests {
    use utoipa::PartialSchema as _;

    use super::*;
    use crate::scoring::alerts::keeper::CASES_MAX;
    use crate::scoring::labels::LABELS_OF_ONE_MAX;

    // The attributes of a type take numbers alone, no constants.
    #[test]
    fn lists_are_described_as_long_as_they_may_be() {
        let described = serde_json::to_value(Dossier::schema()).unwrap();
        for (name, most) in [
            ("labels", LABELS_OF_ONE_MAX),
            ("payments", PAYMENTS_MAX),
            ("similar", SIMILAR_MAX),
        ] {
            assert_eq!(described["properties"][name]["maxItems"], most, "{name}");
        }
        let similar = described["properties"]["similar"]["description"]
            .as_str()
            .unwrap();
        assert!(
            similar.contains("the last 2,000") && CASES_MAX == 2_000,
            "{similar}"
        );
    }
}
