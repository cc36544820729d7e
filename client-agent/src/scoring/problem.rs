//! Refusals of the agent's HTTP door, as problem documents of RFC 9457. The types are stable:
//! clients may switch on them. A problem repeats no digit of what may be a card number.
//!
//! | type | status | when | what to do |
//! |---|---|---|---|
//! | `schema` | 400 | no JSON, or a field of another form | mend the request |
//! | `missing_field` | 400 | a required field is absent | mend the request |
//! | `pan_detected` | 400 | a card number, or a field named for one | send a token |
//! | `too_future` | 400 | a time lies further ahead than clocks differ | mend a clock or zone |
//! | `known_too_early` | 400 | a label older than its payment or event, or one superseded | mend |
//! | `unauthorized` | 401 | the request shows no token that is known | show one |
//! | `unknown_txn` | 404 | a label's payment was not scored here | score the payment first |
//! | `unknown_label` | 404 | `supersedes` names no label of the payment | mend the request |
//! | `not_found` | 404 | no decision has this id, no route this path | ask by another |
//! | `cross_site` | 403 | a page of another site asks for it | use the agent's page |
//! | `method_not_allowed` | 405 | the path takes other methods | one that `Allow` names |
//! | `txn_id_conflict` | 409 | another payment had this id | choose another id |
//! | `too_many_labels` | 409 | the payment has as many labels as are kept | keep the last word |
//! | `alert_closed` | 409 | a closed alert cannot be put off | leave it closed |
//! | `too_many_actions` | 409 | the alert has as many actions as are kept | leave it |
//! | `too_large` | 413 | a body, a line or a batch beyond its bound | send less at once |
//! | `stale_event` | 422 | a payment is older than the bank still takes | ask `whatif`, or not |
//! | `overloaded` | 503 | the queue is full | `Retry-After`, or decide alone |
//! | `deadline_missed` | 503 | its turn did not come in time | the same again, or decide alone |
//! | `not_ready` | 503 | the agent is still starting | `Retry-After`, or decide alone |
//! | `unavailable` | 503 | no durable answer can be given | `Retry-After`, or decide alone |

use features::{FieldError, FieldErrorKind};
use serde::Serialize;
use utoipa::ToSchema;

/// A refusal, RFC 9457. It repeats no digit of what may be a card number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// Which kind.
    #[serde(rename = "type")]
    pub kind: ProblemType,
    /// The kind in words.
    pub title: &'static str,
    /// Status of the HTTP answer; of a line of a batch, what the line alone would have got.
    #[schema(minimum = 400, maximum = 599)]
    pub status: u16,
    /// What happened.
    pub detail: String,
    /// The field at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub field: Option<String>,
    /// What was found in it, redacted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub found: Option<String>,
    /// What was expected of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub expected: Option<String>,
}

/// Stable kind of a refusal; clients may switch on it. `overloaded`, `deadline_missed`, `not_ready`
/// and `unavailable` may pass: `Retry-After` says when to ask again. `cross_site` may answer any
/// POST that a browser sends, `not_found` any path that is not described here, and
/// `method_not_allowed` any other method of one that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProblemType {
    /// The request is no JSON, or has another form.
    Schema,
    /// A required field is absent.
    MissingField,
    /// A card number, or a field named for one.
    PanDetected,
    /// The payment, or the label, lies in the future.
    TooFuture,
    /// A label is older than its payment, than its event, or than the label that it supersedes.
    KnownTooEarly,
    /// The request shows no token that is known.
    Unauthorized,
    /// A label's payment was not scored here.
    UnknownTxn,
    /// A label supersedes one that its payment does not have.
    UnknownLabel,
    /// A payment has as many labels as are kept.
    TooManyLabels,
    /// No decision has this id, or nothing is served under this path.
    NotFound,
    /// The path takes other methods.
    MethodNotAllowed,
    /// A page of another site asks for it.
    CrossSite,
    /// Another payment had this id.
    TxnIdConflict,
    /// The alert is closed.
    AlertClosed,
    /// An alert has as many actions as are kept.
    TooManyActions,
    /// The body is too long.
    TooLarge,
    /// The payment is older than the bank still takes.
    StaleEvent,
    /// The queue is full.
    Overloaded,
    /// The payment was put into the queue, and its turn did not come in time.
    DeadlineMissed,
    /// The agent is still starting.
    NotReady,
    /// No durable answer can be given.
    Unavailable,
}

impl ProblemType {
    /// Every kind, in the order of the table.
    pub const ALL: [Self; 21] = [
        Self::Schema,
        Self::MissingField,
        Self::PanDetected,
        Self::TooFuture,
        Self::KnownTooEarly,
        Self::Unauthorized,
        Self::UnknownTxn,
        Self::UnknownLabel,
        Self::TooManyLabels,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::CrossSite,
        Self::TxnIdConflict,
        Self::AlertClosed,
        Self::TooManyActions,
        Self::TooLarge,
        Self::StaleEvent,
        Self::Overloaded,
        Self::DeadlineMissed,
        Self::NotReady,
        Self::Unavailable,
    ];

    /// The stable word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Schema => "schema",
            Self::MissingField => "missing_field",
            Self::PanDetected => "pan_detected",
            Self::TooFuture => "too_future",
            Self::KnownTooEarly => "known_too_early",
            Self::Unauthorized => "unauthorized",
            Self::UnknownTxn => "unknown_txn",
            Self::UnknownLabel => "unknown_label",
            Self::TooManyLabels => "too_many_labels",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::CrossSite => "cross_site",
            Self::TxnIdConflict => "txn_id_conflict",
            Self::AlertClosed => "alert_closed",
            Self::TooManyActions => "too_many_actions",
            Self::TooLarge => "too_large",
            Self::StaleEvent => "stale_event",
            Self::Overloaded => "overloaded",
            Self::DeadlineMissed => "deadline_missed",
            Self::NotReady => "not_ready",
            Self::Unavailable => "unavailable",
        }
    }

    /// Whether the same request may succeed later: then the answer says when.
    #[must_use]
    pub fn is_passing(self) -> bool {
        self.status() == 503
    }

    fn status(self) -> u16 {
        match self {
            Self::Schema
            | Self::MissingField
            | Self::PanDetected
            | Self::TooFuture
            | Self::KnownTooEarly => 400,
            Self::Unauthorized => 401,
            Self::UnknownTxn | Self::UnknownLabel | Self::NotFound => 404,
            Self::CrossSite => 403,
            Self::MethodNotAllowed => 405,
            Self::TxnIdConflict
            | Self::TooManyLabels
            | Self::AlertClosed
            | Self::TooManyActions => 409,
            Self::TooLarge => 413,
            Self::StaleEvent => 422,
            Self::Overloaded | Self::DeadlineMissed | Self::NotReady | Self::Unavailable => 503,
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Schema => "The request does not have the form that is read here",
            Self::MissingField => "A required field is missing",
            Self::PanDetected => "The request carries what may be a card number",
            Self::TooFuture => "A time lies in the future",
            Self::KnownTooEarly => "The label is older than what it speaks of",
            Self::Unauthorized => "The request shows no token that is known here",
            Self::UnknownTxn => "No such payment was scored here",
            Self::UnknownLabel => "No such label is there to be superseded",
            Self::TooManyLabels => "The payment has too many labels",
            Self::NotFound => "Nothing here has this id or this path",
            Self::MethodNotAllowed => "The path takes other methods",
            Self::CrossSite => "A page of another site may not do this",
            Self::TxnIdConflict => "Another payment had this txn_id",
            Self::AlertClosed => "The alert is closed",
            Self::TooManyActions => "The alert has too many actions",
            Self::TooLarge => "The request is too large",
            Self::StaleEvent => "The payment is too old",
            Self::Overloaded => "Too many requests are waiting",
            Self::DeadlineMissed => "The answer did not come in time",
            Self::NotReady => "The agent is still starting",
            Self::Unavailable => "No durable decision can be given at present",
        }
    }
}

impl Problem {
    pub(super) fn new(kind: ProblemType, detail: impl Into<String>) -> Self {
        Self {
            kind,
            title: kind.title(),
            status: kind.status(),
            detail: detail.into(),
            field: None,
            found: None,
            expected: None,
        }
    }

    /// A problem with one field; `found` is redacted here.
    pub(super) fn of_field(kind: ProblemType, field: &str, found: &str, expected: &str) -> Self {
        let (field, found) = (features::redact(field), features::redact(found));
        Self {
            detail: format!("field {field}: found {found}, expected {expected}"),
            field: Some(field),
            found: Some(found),
            expected: Some(expected.to_owned()),
            ..Self::new(kind, "")
        }
    }
}

impl From<FieldError> for Problem {
    fn from(error: FieldError) -> Self {
        let kind = match error.kind {
            FieldErrorKind::Missing => ProblemType::MissingField,
            FieldErrorKind::Schema => ProblemType::Schema,
            FieldErrorKind::PanDetected | FieldErrorKind::Forbidden => ProblemType::PanDetected,
        };
        Self {
            field: Some(error.field.clone()),
            found: Some(error.found.clone()),
            expected: Some(error.expected.clone()),
            ..Self::new(kind, error.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_the_document() {
        let table = include_str!("problem.rs");
        for kind in ProblemType::ALL {
            let problem = serde_json::to_value(Problem::new(kind, "")).unwrap();
            assert_eq!(problem["type"], kind.word());
            let row = format!("//! | `{}` | {} |", kind.word(), kind.status());
            assert!(table.contains(&row), "{row}");
        }
        let rows = table.lines().filter(|line| line.starts_with("//! | `"));
        assert_eq!(rows.count(), ProblemType::ALL.len());
    }
}
