//! `GET /v1/status`: hands out whatever the agent says of itself. What it says is put together
//! in `agent.rs`; this file only knows how to serve it.

use axum::routing::get;
use axum::{Json, Router};

/// A router whose `/v1/status` answers with `status()`, asked anew each time.
pub fn status_router(
    status: impl Fn() -> serde_json::Value + Clone + Send + Sync + 'static,
) -> Router {
    Router::new().route("/v1/status", get(async move || Json(status())))
}
