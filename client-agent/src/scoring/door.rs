//! The door that is there before scoring is: the socket answers while the history is still being
//! read, and refuses payments until there is somebody to judge them.

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;

use super::problem::{Problem, ProblemType};
use super::{Scoring, http};

/// `POST /v1/score` and `POST /v1/labels`, closed until [`Door::open`]; clones are one door.
#[derive(Clone, Default)]
pub struct Door(Arc<OnceLock<Scoring>>);

impl Door {
    /// Lets payments in. A second opening changes nothing.
    pub fn open(&self, scoring: Scoring) {
        // The first keeps the door: whoever came in already is being judged by it.
        let _ = self.0.set(scoring);
    }

    /// Decisions in the journal; none before the door is open.
    #[must_use]
    pub fn scored(&self) -> u64 {
        self.0.get().map_or(0, Scoring::scored)
    }

    /// `POST /v1/score` and `POST /v1/labels`.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/v1/score", post(handle_score))
            .route("/v1/labels", post(handle_labels))
            .with_state(self.clone())
    }
}

async fn handle_score(State(door): State<Door>, body: Body) -> Response {
    match door.0.get() {
        Some(scoring) => http::handle_score(scoring, body).await,
        None => starting().into_response(),
    }
}

async fn handle_labels(State(door): State<Door>, body: Body) -> Response {
    match door.0.get() {
        Some(scoring) => http::handle_labels(scoring, body).await,
        None => starting().into_response(),
    }
}

fn starting() -> Problem {
    let detail = "found the history still being read, expected a request after /readyz";
    Problem::new(ProblemType::Unavailable, detail)
}
