//! The door that is there before scoring is: the socket answers while the history is still being
//! read, and refuses payments until there is somebody to judge them. What it answers is in
//! `http.rs`, `batch.rs`, `decisions.rs`, `scores.rs` and `account.rs`; the routes
//! beside its own are in `routes.rs`.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use super::problem::{Problem, ProblemType};
use super::times::Times;
use super::{Scoring, account, batch, decisions, http, scores};

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
    pub fn router(&self) -> Router {
        Router::new()
            .route("/v1/score", post(handle_score))
            .route("/v1/score/batch", post(handle_batch))
            .route("/v1/labels", post(handle_labels))
            .route("/v1/decisions", get(handle_payment))
            .route("/v1/decisions/{decision_id}", get(handle_decision))
            .route("/v1/scores", get(handle_scores))
            .route("/version", get(handle_version))
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

async fn handle_score(State(door): State<Door>, headers: HeaderMap, body: Body) -> Response {
    match door.scoring() {
        Some(scoring) => http::handle_score(scoring, door.times, &headers, body).await,
        None => closed(),
    }
}

async fn handle_batch(State(door): State<Door>, body: Body) -> Response {
    match door.scoring() {
        Some(scoring) => batch::handle_batch(scoring, door.times, body).await,
        None => closed(),
    }
}

async fn handle_labels(State(door): State<Door>, body: Body) -> Response {
    match door.scoring() {
        Some(scoring) => http::handle_labels(scoring, body).await,
        None => closed(),
    }
}

async fn handle_payment(State(door): State<Door>, uri: Uri) -> Response {
    match door.scoring() {
        Some(scoring) => decisions::handle_payment(scoring, &uri).await,
        None => closed(),
    }
}

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

async fn handle_scores(State(door): State<Door>, uri: Uri) -> Response {
    match door.scoring() {
        Some(scoring) => scores::handle_scores(scoring, &uri).await,
        None => closed(),
    }
}

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
