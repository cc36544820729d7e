//! The socket's side of `POST /v1/score` and `POST /v1/labels`: a bounded body in, an answer or a
//! problem document out. What a body means is in `request.rs` and `labels.rs`; the route to here is
//! in `door.rs`, many payments in one body are in `batch.rs`.

use std::time::{Duration, Instant};

use axum::Json;
use axum::body::{Body, Bytes, HttpBody as _};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::Scoring;
use super::labels::{self, Form, LABELS_BYTES_MAX, LabelAnswer};
use super::problem::{Problem, ProblemType};
use super::request::{BODY_BYTES_MAX, too_large};
use super::times::{Times, Turn, missed};
use super::written::Written;

pub(super) async fn handle_score(
    scoring: &Scoring,
    times: Times,
    headers: &HeaderMap,
    body: Body,
) -> Response {
    match score(scoring, times, headers, body).await {
        Ok(written) => {
            let kind = [(header::CONTENT_TYPE, "application/json")];
            (kind, Body::from(written.into_json())).into_response()
        }
        Err(problem) => problem.into_response(),
    }
}

/// Where the payment's turn does not come in time, nobody waits on: it stays in the queue, and
/// whoever asks again gets what became of it. What is decided is told, however long the disk takes.
async fn score(
    scoring: &Scoring,
    times: Times,
    headers: &HeaderMap,
    body: Body,
) -> Result<Written, Problem> {
    let arrived = Instant::now();
    let refuse = |problem| scoring.refuse(problem);
    let asked = times.asked(arrived, headers).map_err(refuse)?;
    let body = read_within(times.body_max, body, BODY_BYTES_MAX, too_large).await;
    let turn = Turn::default();
    let (job, mut waiting) =
        scoring.score_job(&body.map_err(refuse)?, arrived, asked, turn.clone())?;
    scoring.offer(job)?;
    let answered = match asked.patience(Instant::now()) {
        Some(until) => match tokio::time::timeout_at(until.into(), &mut waiting).await {
            Ok(answered) => answered,
            Err(_) if turn.has_come() => waiting.await,
            Err(_) => return Err(refuse(missed())),
        },
        None => waiting.await,
    };
    answered.unwrap_or_else(|_| Err(scoring.stopped()))
}

/// One label is answered alone, with a status of its own; a list by a list, in its order.
pub(super) async fn handle_labels(scoring: &Scoring, body: Body) -> Response {
    let (form, mut answers) = match label(scoring, body).await {
        Ok(told) => told,
        Err(problem) => return problem.into_response(),
    };
    let alone = match form {
        Form::One => answers.pop(),
        Form::Many => None,
    };
    match alone {
        Some(LabelAnswer {
            problem: Some(problem),
            ..
        }) => problem.into_response(),
        Some(answer) => Json(answer).into_response(),
        None => Json(answers).into_response(),
    }
}

pub(super) async fn label(
    scoring: &Scoring,
    body: Body,
) -> Result<(Form, Vec<LabelAnswer>), Problem> {
    let body = read_within(BODY_MAX, body, LABELS_BYTES_MAX, labels::too_large).await;
    let body = body.map_err(|problem| scoring.refuse(problem))?;
    let labels = scoring.read_labels(None, &body)?;
    Ok((labels.form, scoring.keep_labels(labels).await?))
}

/// A whole body of at most `bytes_max` bytes. A sender that stalls would keep its place, and its
/// batch's room, from all others.
pub(super) async fn read_within(
    most: Duration,
    body: Body,
    bytes_max: usize,
    too_large: fn() -> Problem,
) -> Result<Bytes, Problem> {
    // A length told in advance is refused before a byte of the body is read.
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(too_large());
    }
    let read = tokio::time::timeout(most, axum::body::to_bytes(body, bytes_max)).await;
    // Where the connection broke, nobody reads what it is called.
    read.map_err(|_| stalled(most))?.map_err(|_| too_large())
}

/// What a sender hears whose body did not come.
pub(super) fn stalled(most: Duration) -> Problem {
    let found = format!("a body that was not whole after {} s", most.as_secs_f32());
    let expected = "a body sent at once";
    Problem::of_field(ProblemType::Schema, "body", &found, expected)
}

/// What 16 MiB take at half a megabyte a second.
pub(super) const BODY_MAX: Duration = Duration::from_secs(30);

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.status).expect("the table of problems holds valid statuses");
        let mut response = (status, Json(&self)).into_response();
        let headers = response.headers_mut();
        let kind = header::HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, kind);
        if self.kind == ProblemType::Unauthorized {
            // A line each: not every browser finds the second one in a list.
            for scheme in ["Bearer", "Basic realm=\"phalanx\""] {
                let scheme = header::HeaderValue::from_static(scheme);
                headers.append(header::WWW_AUTHENTICATE, scheme);
            }
        }
        if self.kind.is_passing() {
            headers.insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
        }
        response
    }
}
