//! `GET /v1/status`: hands out whatever the agent says of itself. What it says is put together
//! in `agent.rs`; this file only knows how to serve it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::status::Status;

/// What tells the status.
#[derive(Clone)]
struct Teller(Arc<dyn Fn() -> Value + Send + Sync>);

/// A router whose `/v1/status` answers with `status()`, asked anew each time.
pub(crate) fn status_router(status: impl Fn() -> Value + Send + Sync + 'static) -> OpenApiRouter {
    let routes = OpenApiRouter::default().routes(routes!(handle_status));
    routes.with_state(Teller(Arc::new(status)))
}

/// What the agent says of itself.
#[utoipa::path(
    get, path = "/v1/status", operation_id = "status",
    responses((status = 200, description = "The status.", body = Status)),
)]
async fn handle_status(State(Teller(status)): State<Teller>) -> Json<Value> {
    Json(status())
}
