//! Every route of the agent's HTTP door, put together once: what the process serves is what
//! `openapi.json` describes, and a test holds the two together.

use axum::Router;
use axum::routing::get;
use host::telemetry::Telemetry;
use serde_json::Value;

use super::problem::{Problem, ProblemType};
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
        .fallback(handle_unknown)
        .method_not_allowed_fallback(handle_method)
        .layer(axum::middleware::from_fn(origin::refuse_cross_site))
}

/// The path is not told again: it may hold what is no business of a log.
async fn handle_unknown() -> Problem {
    let detail = "found a path that is not served, expected one of /openapi.json";
    Problem::new(ProblemType::NotFound, detail)
}

/// The router adds which methods it takes, as `Allow`.
async fn handle_method() -> Problem {
    let detail = "found a method that the path does not take, expected one that Allow names";
    Problem::new(ProblemType::MethodNotAllowed, detail)
}
