//! Every route of the agent's HTTP door, put together once: what the process serves is what
//! `/openapi.json` describes. Routes of `scoring` come with their descriptions; a test holds those
//! of `host` to theirs.

use axum::Router;
use axum::body::Bytes;
use axum::routing::get;
use host::telemetry::Telemetry;
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;

use super::problem::{Problem, ProblemType};
use super::{Door, account, alerts, openapi, origin, status_router};

/// All that the agent serves. `status` is what `/v1/status` answers, `is_connected` whether the
/// link to the coordinator is up; both are asked anew each time.
pub fn agent_router(
    telemetry: &Telemetry,
    door: &Door,
    status: impl Fn() -> Value + Send + Sync + 'static,
    is_connected: impl Fn() -> bool + Send + Sync + 'static,
) -> Router {
    let (router, document) = described(telemetry, door, status, is_connected);
    let openapi = get(openapi::handle_openapi).with_state(Bytes::from(document));
    router
        .route("/openapi.json", openapi)
        .fallback(handle_unknown)
        .method_not_allowed_fallback(handle_method)
        .layer(axum::middleware::from_fn(origin::refuse_cross_site))
}

/// What `/openapi.json` answers, whatever the agent.
pub(crate) fn document() -> String {
    let door = Door::default();
    let (_, document) = described(&Telemetry::default(), &door, || Value::Null, || false);
    document
}

/// All routes but that of the document, and the document.
fn described(
    telemetry: &Telemetry,
    door: &Door,
    status: impl Fn() -> Value + Send + Sync + 'static,
    is_connected: impl Fn() -> bool + Send + Sync + 'static,
) -> (Router, String) {
    let (router, described) = OpenApiRouter::with_openapi(openapi::begun())
        .merge(telemetry.router().into())
        .merge(door.router())
        .merge(status_router(status))
        .merge(account::health_router(door, is_connected))
        .merge(alerts::alerts_router(door))
        .split_for_parts();
    (router, openapi::written(described))
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
