//! The socket's side of `POST /v1/score` and `POST /v1/labels`: a bounded body in, an answer or a
//! problem document out. What a body means is in `request.rs` and `labels.rs`; the route to here is
//! in `door.rs`, many payments in one body are in `batch.rs`.

use std::time::Instant;

use axum::Json;
use axum::body::{Body, Bytes, HttpBody as _};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::Scoring;
use super::answer::Answer;
use super::labels::{self, Form, LABELS_BYTES_MAX, LabelAnswer};
use super::problem::Problem;
use super::request::{BODY_BYTES_MAX, too_large};

pub(super) async fn handle_score(scoring: &Scoring, body: Body) -> Response {
    let arrived = Instant::now();
    match score(scoring, body, arrived).await {
        Ok(answer) => Json(answer).into_response(),
        Err(problem) => problem.into_response(),
    }
}

async fn score(scoring: &Scoring, body: Body, arrived: Instant) -> Result<Answer, Problem> {
    let body = read(body, BODY_BYTES_MAX).await;
    let body = body.ok_or_else(|| scoring.refuse(too_large()))?;
    let waiting = scoring.enqueue(&body, arrived)?;
    waiting.await.unwrap_or_else(|_| Err(scoring.stopped()))
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
    let body = read(body, LABELS_BYTES_MAX).await;
    let body = body.ok_or_else(|| scoring.refuse(labels::too_large()))?;
    let labels = scoring.read_labels(&body)?;
    Ok((labels.form, scoring.keep_labels(labels).await?))
}

/// A whole body, or nothing where it has more than `bytes_max` bytes.
pub(super) async fn read(body: Body, bytes_max: usize) -> Option<Bytes> {
    // A length told in advance is refused before a byte of the body is read.
    if body.size_hint().lower() > bytes_max as u64 {
        return None;
    }
    // Where the connection broke, nobody reads what it is called.
    axum::body::to_bytes(body, bytes_max).await.ok()
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.status).expect("the table of problems holds valid statuses");
        let mut response = (status, Json(&self)).into_response();
        let headers = response.headers_mut();
        let kind = header::HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, kind);
        if self.kind.is_passing() {
            headers.insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
        }
        response
    }
}
