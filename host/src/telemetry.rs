//! Logs and metrics, as far as they are the same for both processes: the subscriber, a registry,
//! and the routes `/metrics`, `/livez` and `/readyz`; `http.rs` holds the door to them. What is
//! counted is decided in each process's own `telemetry.rs`, one `match` from event to line and
//! metric.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tracing_subscriber::EnvFilter;

use crate::http::{self, Terms};
use crate::shutdown::Shutdown;

pub use prometheus_client;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One line a person reads.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging to standard error. `RUST_LOG` chooses the levels; INFO without it.
pub fn log(format: LogFormat) {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,sled=warn"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    // A second call in one process (tests) leaves the first subscriber in place.
    let _ = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}

/// The metrics of a process and whether it is ready; clones share both.
#[derive(Clone, Default)]
pub struct Telemetry {
    registry: Arc<Mutex<Registry>>,
    ready: Arc<AtomicBool>,
    hindered: Arc<AtomicBool>,
}

impl Telemetry {
    /// Registers metrics.
    pub fn register(&self, with: impl FnOnce(&mut Registry)) {
        with(&mut self.registry.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Says whether the process can do its work.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
    }

    /// Says whether something keeps a process that is ready from its work, as a disk that refuses
    /// does. Who starts and ends the process says the other, and neither undoes the other's word.
    pub fn set_hindered(&self, hindered: bool) {
        self.hindered.store(hindered, Ordering::Relaxed);
    }

    /// Whether the process can do its work.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed) && !self.hindered.load(Ordering::Relaxed)
    }

    /// The metrics in OpenMetrics text.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        // Writing into a string cannot fail.
        let _ = encode(&mut text, &registry);
        text
    }

    /// `/metrics`, `/livez` and `/readyz`.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/metrics", get(metrics))
            .route("/livez", get(|| async { "alive\n" }))
            .route("/readyz", get(ready))
            .with_state(self.clone())
    }
}

/// Serves `router` on `address` until `shutdown`, without TLS and within the usual bounds. Returns
/// the address bound.
///
/// # Errors
/// Where the address cannot be bound.
pub async fn serve(
    address: SocketAddr,
    router: Router,
    shutdown: Shutdown,
) -> std::io::Result<SocketAddr> {
    // Nothing is lost with an answer of these that does not arrive.
    let (bound, _) = http::serve(address, router, Terms::default(), shutdown).await?;
    Ok(bound)
}

async fn metrics(State(telemetry): State<Telemetry>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], telemetry.render()).into_response()
}

async fn ready(State(telemetry): State<Telemetry>) -> Response {
    if telemetry.is_ready() {
        return "ready\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, "not ready\n").into_response()
}
