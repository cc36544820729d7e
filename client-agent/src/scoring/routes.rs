//! Every route of the agent's HTTP door, put together once: what the process serves is what
//! `openapi.json` describes, and a test holds the two together.

use axum::Router;
use axum::routing::get;
use host::telemetry::Telemetry;
use serde_json::Value;

use super::{Door, account, alerts, openapi, origin, status_router};

/// All that the agent serves. `status` is what `/v1/status` answers, `is_connected` whether the
/// link to the coordinator is up; both are asked anew each time.
pub fn agent_router(
    telemetry: &Telemetry,
    door: &Door,
    status: impl Fn() -> Value + Clone + Send + Sync + 'static,
    is_connected: impl Fn() -> bool + Clone + Send + Sync + 'static,
) -> Router {
    telemetry
        .router()
        .merge(door.router())
        .merge(status_router(status))
        .merge(account::health_router(door, is_connected))
        .merge(alerts::alerts_router(door))
        .route("/openapi.json", get(openapi::handle_openapi))
        .layer(axum::middleware::from_fn(origin::refuse_cross_site))
}
