//! `GET /openapi.json`: the description of the HTTP door for machines, written by hand in
//! `client-agent/openapi.json`. That it is what the code does, `tests/openapi.rs` shows.

use axum::http::header;
use axum::response::IntoResponse;

pub(super) async fn handle_openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT)
}

/// The document, OpenAPI 3.1.
pub(super) const DOCUMENT: &str = include_str!("../../openapi.json");
