//! The door that is there before scoring is: the socket answers while the history is still being
//! read, and refuses payments until there is somebody to judge them. What it answers is in
//! `http.rs`, `batch.rs`, `decisions.rs`, `scores.rs` and `account.rs`; the routes
//! beside its own are in `routes.rs`.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::account::Version;
use super::answer::Answer;
use super::batch::LineAnswer;
use super::decisions::Record;
use super::openapi::{LabelAnswers, LabelsBody, SCORING_BUSY};
use super::problem::{Problem, ProblemType};
use super::request::Request;
use super::times::Times;
use super::{Scoring, account, batch, deadline, decisions, http, scores};
use crate::journal::Tally;

/// The routes about payments, closed until [`Door::open`]; clones are one door.
#[derive(Clone, Default)]
pub struct Door {
    scoring: Arc<OnceLock<Scoring>>,
    times: Times,
}

impl Door {
    /// A closed door with the bank's terms for payments that come through it.
    #[must_use]
    pub fn new(times: Times) -> Self {
        Self {
            scoring: Arc::default(),
            times,
        }
    }

    /// Lets payments in. A second opening changes nothing.
    pub fn open(&self, scoring: Scoring) {
        // The first keeps the door: whoever came in already is being judged by it.
        let _ = self.scoring.set(scoring);
    }

    /// Decisions in the journal; none before the door is open.
    #[must_use]
    pub fn scored(&self) -> u64 {
        self.scoring.get().map_or(0, Scoring::scored)
    }

    /// `POST /v1/score` and `/v1/score/batch`, `POST /v1/labels`, `GET /v1/decisions`,
    /// `GET /v1/scores` and `GET /version`.
    pub(crate) fn router(&self) -> OpenApiRouter {
        OpenApiRouter::default()
            .routes(routes!(handle_score))
            .routes(routes!(handle_batch))
            .routes(routes!(handle_labels))
            .routes(routes!(handle_payment))
            .routes(routes!(handle_decision))
            .routes(routes!(handle_scores))
            .routes(routes!(handle_version))
            .with_state(self.clone())
    }

    /// How long one small body may take to come.
    pub(super) fn body_max(&self) -> Duration {
        self.times.body_max
    }

    /// Whoever scores, once the door is open.
    pub(super) fn scoring(&self) -> Option<&Scoring> {
        self.scoring.get()
    }
}

/// Judges one payment; durable once it is answered, and idempotent on `txn_id`.
///
/// Its body has 10 seconds to come.
#[utoipa::path(
    post, path = "/v1/score", operation_id = "score",
    params(
        ("X-Deadline-Ms" = Option<u16>, Header, description = deadline::MEANING,
            nullable = false, minimum = 1, maximum = 10_000),
    ),
    request_body(content = Request, example = json!({
        "txn": {
            "txn_id": "a81", "ts": "2026-03-01T09:14:05.120Z", "rail": "card",
            "amount_minor": 184000, "currency": "EUR", "account_tok": "acc_9f2",
            "card_tok": "card_71c", "terminal_tok": "t_44", "mcc": "5411"
        },
        "purpose": "authorise"
    })),
    responses(
        (status = 200, description = "The answer.", body = Answer),
        (status = 400, description = "`schema`, `missing_field`, `pan_detected` or `too_future`."),
        (status = 409, description = "`txn_id_conflict`: another payment had this id."),
        (status = 413, description = "`too_large`."),
        (status = 422, description = STALE),
        (status = 503, description = format!("{SCORING_BUSY} {MISSED}")),
    )
)]
async fn handle_score(State(door): State<Door>, headers: HeaderMap, body: Body) -> Response {
    match door.scoring() {
        Some(scoring) => http::handle_score(scoring, door.times, &headers, body).await,
        None => closed(),
    }
}

/// Judges up to 1,000 payments, one a line, in their order.
///
/// Each is judged as a request of its own, and the lines of the answer come as they are decided;
/// where the client leaves, the rest is not scored. At most 16 MiB, and 64 KiB a line. No line has
/// a deadline.
#[utoipa::path(
    post, path = "/v1/score/batch", operation_id = "scoreBatch",
    request_body(content = Request, content_type = "application/x-ndjson"),
    responses(
        (status = 200, description = "A line for each line, in the same order.",
            body = inline(LineAnswer), content_type = "application/x-ndjson"),
        (status = 400, description = "`schema`: there is no line."),
        (status = 413,
            description = "`too_large`: more than 1,000 lines or 16 MiB; none was scored."),
        (status = 503, description = SCORING_BUSY),
    )
)]
async fn handle_batch(State(door): State<Door>, body: Body) -> Response {
    match door.scoring() {
        Some(scoring) => batch::handle_batch(scoring, door.times, body).await,
        None => closed(),
    }
}

/// What payments scored here turned out to be: one label or a list; durable once it is answered,
/// and idempotent.
#[utoipa::path(
    post, path = "/v1/labels", operation_id = "label",
    request_body(content = inline(LabelsBody), content_type = "application/json", example = json!({
        "txn_id": "a81", "fraud": true, "known_at": "2026-03-04T10:00:00Z", "source": "chargeback"
    })),
    responses(
        (status = 200, description = "What became of it; of a list a list, in its order, where a \
            refused label carries its problem.", body = inline(LabelAnswers),
            content_type = "application/json"),
        (status = 400, description = "`schema`, `missing_field`, `pan_detected`, `too_future` or \
            `known_too_early`."),
        (status = 404, description = "`unknown_txn` or `unknown_label`."),
        (status = 409, description = "`too_many_labels`: the payment has as many as are kept."),
        (status = 413, description = "`too_large`."),
        (status = 503, description = SCORING_BUSY),
    )
)]
async fn handle_labels(State(door): State<Door>, body: Body) -> Response {
    match door.scoring() {
        Some(scoring) => http::handle_labels(scoring, body).await,
        None => closed(),
    }
}

/// The decision on a payment, by its `txn_id`.
#[utoipa::path(
    get, path = "/v1/decisions", operation_id = "decisionOfPayment",
    params(("txn_id" = String, Query, min_length = 1, max_length = 64)),
    responses(
        (status = 200, description = "The decision.", body = Record<'_>),
        (status = 400, description = "`missing_field`: no `txn_id`, or more than one."),
        (status = 404, description = "`not_found`."),
        (status = 503, description = SCORING_BUSY),
    )
)]
async fn handle_payment(State(door): State<Door>, uri: Uri) -> Response {
    match door.scoring() {
        Some(scoring) => decisions::handle_payment(scoring, &uri).await,
        None => closed(),
    }
}

/// A decision by its id.
#[utoipa::path(
    get, path = "/v1/decisions/{decision_id}", operation_id = "decision",
    params(("decision_id" = String, Path)),
    responses(
        (status = 200, description = "The decision.", body = Record<'_>),
        (status = 404, description = "`not_found`."),
        (status = 503, description = SCORING_BUSY),
    )
)]
async fn handle_decision(
    State(door): State<Door>,
    decision_id: Result<Path<String>, PathRejection>,
) -> Response {
    // What cannot be read as text is the id of nothing.
    let decision_id = decision_id.map(|Path(id)| id).unwrap_or_default();
    match door.scoring() {
        Some(scoring) => decisions::handle_decision(scoring, &decision_id).await,
        None => closed(),
    }
}

/// How many decisions of the last days had which score, and how many of these are known to be
/// frauds: counts alone, read from the whole journal, one request at a time.
#[utoipa::path(
    get, path = "/v1/scores", operation_id = "scores",
    params(("days" = u32, Query, minimum = 1, maximum = 730)),
    responses(
        (status = 200, description = "The counts.", body = Tally),
        (status = 400,
            description = "`missing_field` or `schema`: not one number of days in range."),
        (status = 503, description = SCORING_BUSY),
    )
)]
async fn handle_scores(State(door): State<Door>, uri: Uri) -> Response {
    match door.scoring() {
        Some(scoring) => scores::handle_scores(scoring, &uri).await,
        None => closed(),
    }
}

/// What is running.
#[utoipa::path(
    get, path = "/version", operation_id = "version",
    responses((status = 200, description = "The version.", body = Version)),
)]
async fn handle_version(State(door): State<Door>) -> Response {
    account::handle_version(door.scoring()).await
}

fn closed() -> Response {
    starting().into_response()
}

/// What is said before there is somebody who scores.
pub(super) fn starting() -> Problem {
    let starting = "found the history still being read, expected a request after /readyz";
    Problem::new(ProblemType::NotReady, starting)
}

const STALE: &str = "`stale_event`: the payment is older than the bank still takes; a `whatif` \
    may be as old as it likes.";
const MISSED: &str = "`deadline_missed`: the payment's turn in the queue did not come in time; the \
    same request again gets what became of it, so whoever decided alone meanwhile learns what the \
    agent said.";
