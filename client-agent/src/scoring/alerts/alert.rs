//! One alert: a journaled decision that a person should see, as the queue keeps it. What it says is
//! the journal's; what became of it follows from the payment's labels and from what analysts did.

use features::Transaction;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::journal::{Action, Deed, Entry, JournalError, LabelEntry};
use crate::scoring::answer::{Answer, Reason};
use crate::scoring::decision::Decision;
use crate::scoring::labels::in_force;

/// An alert. No `Debug`: a payment is never logged.
#[derive(Clone)]
pub(super) struct Alert {
    pub(super) decision_id: String,
    pub(super) txn_id: String,
    /// Token of who pays: the card, or the account where there is no card.
    pub(super) account: String,
    /// Time of the payment.
    pub(super) ts: i64,
    /// Time of the decision.
    pub(super) scored_at: u64,
    /// Nothing where no model was asked.
    pub(super) score: Option<u16>,
    pub(super) band: Option<String>,
    pub(super) decision: Decision,
    /// Code and sentence of the weightiest reason.
    pub(super) reason: Option<(String, String)>,
    pub(super) amount_minor: i64,
    pub(super) currency: String,
    /// Token of where the money went.
    pub(super) outlet: Option<String>,
    pub(super) closed: Option<Verdict>,
    pub(super) snoozed_until: Option<u64>,
}

/// What an analyst says of a payment. `fraud` and `genuine` are labels; `suspected` and `unknown`
/// close the alert and teach nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::scoring) enum Verdict {
    /// It was fraud: a label.
    Fraud,
    /// It was not: a label.
    Genuine,
    /// It may be, without proof: teaches nothing.
    Suspected,
    /// It cannot be told: teaches nothing.
    Unknown,
}

/// Whether somebody has to look at an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = AlertState)]
pub(super) enum State {
    /// Somebody has to.
    Open,
    /// Not before a time.
    Snoozed,
    /// Somebody has.
    Closed,
}

/// What the queue reads of an answer; of a stored one fields of other builds are left alone.
#[derive(PartialEq, Deserialize)]
pub(super) struct Said {
    pub(super) decision_id: Option<String>,
    pub(super) scored_at: u64,
    pub(super) score: Option<u16>,
    pub(super) decision: Decision,
    #[serde(default)]
    band: Value,
    #[serde(default)]
    reasons: Vec<Why>,
}

#[derive(PartialEq, Deserialize)]
struct Why {
    code: String,
    text: String,
}

impl Verdict {
    /// Every verdict.
    pub(super) const ALL: [Self; 4] = [Self::Fraud, Self::Genuine, Self::Suspected, Self::Unknown];

    pub(in crate::scoring) fn word(self) -> &'static str {
        match self {
            Self::Fraud => "fraud",
            Self::Genuine => "genuine",
            Self::Suspected => "suspected",
            Self::Unknown => "unknown",
        }
    }

    /// What its label says; nothing where it is none.
    pub(super) fn label(self) -> Option<bool> {
        match self {
            Self::Fraud => Some(true),
            Self::Genuine => Some(false),
            Self::Suspected | Self::Unknown => None,
        }
    }

    pub(in crate::scoring) fn of_label(fraud: bool) -> Self {
        match fraud {
            true => Self::Fraud,
            false => Self::Genuine,
        }
    }

    pub(super) fn deed(self) -> Deed {
        match self {
            Self::Fraud => Deed::Fraud,
            Self::Genuine => Deed::Genuine,
            Self::Suspected => Deed::Suspected,
            Self::Unknown => Deed::Unknown,
        }
    }

    pub(super) fn of_deed(deed: Deed) -> Option<Self> {
        match deed {
            Deed::Fraud => Some(Self::Fraud),
            Deed::Genuine => Some(Self::Genuine),
            Deed::Suspected => Some(Self::Suspected),
            Deed::Unknown => Some(Self::Unknown),
            Deed::Snooze(_) => None,
        }
    }
}

impl State {
    /// Every state.
    pub(super) const ALL: [Self; 3] = [Self::Open, Self::Snoozed, Self::Closed];

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Snoozed => "snoozed",
            Self::Closed => "closed",
        }
    }
}

impl Said {
    pub(super) fn read(sequence: u64, entry: &Entry) -> Result<Self, JournalError> {
        serde_json::from_str(&entry.answer).map_err(|_| JournalError::Damaged { sequence })
    }

    /// Whether a person should see it.
    pub(super) fn is_alert(&self) -> bool {
        match self.decision {
            Decision::Approve => false,
            Decision::Review | Decision::Decline => true,
        }
    }
}

impl From<&Answer> for Said {
    fn from(answer: &Answer) -> Self {
        let why = |reason: &Reason| Why {
            code: reason.code.clone(),
            text: reason.text.clone(),
        };
        Self {
            decision_id: answer.decision_id.clone(),
            scored_at: answer.scored_at,
            score: answer.score,
            decision: answer.decision,
            // A word, or nothing: it has no other form.
            band: serde_json::to_value(answer.band).unwrap_or_default(),
            reasons: answer.reasons.iter().map(why).collect(),
        }
    }
}

impl Alert {
    /// Nothing where the decision has no id, which every journaled one has.
    pub(super) fn new(said: Said, payment: &Transaction) -> Option<Self> {
        let mut reasons = said.reasons.into_iter();
        Some(Self {
            decision_id: said.decision_id?,
            txn_id: payment.txn_id.clone(),
            account: payment.card().to_owned(),
            ts: payment.ts,
            scored_at: said.scored_at,
            score: said.score,
            band: said.band.as_str().map(str::to_owned),
            decision: said.decision,
            reason: reasons.next().map(|why| (why.code, why.text)),
            amount_minor: payment.amount_minor,
            currency: payment.currency.clone(),
            outlet: payment.outlet().map(str::to_owned),
            closed: None,
            snoozed_until: None,
        })
    }

    pub(super) fn state(&self, now_ms: u64) -> State {
        match (self.closed, self.snoozed_until) {
            (Some(_), _) => State::Closed,
            (None, Some(until)) if until > now_ms => State::Snoozed,
            (None, Some(_) | None) => State::Open,
        }
    }

    /// What became of it. A verdict that is no label counts until a label is told after it.
    pub(super) fn settle(&mut self, labels: &[LabelEntry], actions: &[Action]) {
        let said = actions
            .iter()
            .rev()
            .find_map(|action| Some((action.at, Verdict::of_deed(action.deed)?)));
        let unsure = said.filter(|(_, verdict)| verdict.label().is_none());
        let label = analysts(labels);
        let is_later = |at: u64| label.is_none_or(|label| at >= label.told_at);
        self.closed = match unsure {
            Some((at, verdict)) if is_later(at) => Some(verdict),
            Some(_) | None => label.map(|label| Verdict::of_label(label.fraud)),
        };
        self.snoozed_until = actions.iter().rev().find_map(|action| match action.deed {
            Deed::Snooze(until) => Some(until),
            Deed::Fraud | Deed::Genuine | Deed::Suspected | Deed::Unknown => None,
        });
    }
}

/// What analysts say of a payment: the label of theirs that is in force.
fn analysts(labels: &[LabelEntry]) -> Option<&LabelEntry> {
    in_force(labels.iter().filter(|label| label.source == ANALYST))
}

/// The source of labels that close alerts.
pub(super) const ANALYST: &str = "analyst";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::scoring::tests::answers;

    proptest! {
        #[test]
        fn an_answer_says_the_same_as_its_text(answer in answers::answer()) {
            let text = serde_json::to_string(&answer).unwrap();
            let read: Said = serde_json::from_str(&text).unwrap();
            prop_assert!(read == Said::from(&answer));
        }
    }
}
