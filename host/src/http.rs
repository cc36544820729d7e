//! An HTTP door: a listener with or without TLS, and the bounds within which anybody may hold a
//! place at it. What is answered is the router's; whether a request may ask is the router's too.
//! `telemetry.rs` has the routes that both processes share.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::shutdown::Shutdown;
use crate::tls::Acceptor;
use patient::Patient;

mod patient;

/// How a door is held. By default without TLS.
#[derive(Clone, Default)]
pub struct Terms {
    /// Shakes hands first, where it is there.
    pub tls: Option<Acceptor>,
    /// For how long, and how many.
    pub bounds: Bounds,
}

/// What one client, or all of them, may take. How long a body may take is the handler's to say,
/// who knows how much it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Connections at once; one more waits in the system's own queue.
    pub connections_max: u32,
    /// The TLS handshake.
    pub handshake_max: Duration,
    /// From the last answer, or the connection's beginning, to the end of the next request's head:
    /// a head that trickles and a connection that idles end alike.
    pub silence_max: Duration,
    /// How long a client may take nothing of an answer.
    pub stall_max: Duration,
    /// How long connections are waited for when the process is to leave.
    pub leave_max: Duration,
}

impl Default for Bounds {
    /// A bank's systems hold some hundred connections; each takes some 20 KiB while it idles, and
    /// at most 80 KiB in buffers. Ten seconds are a thousand times what an honest client takes;
    /// who leaves waits for as long, and for the answer after it.
    fn default() -> Self {
        Self {
            connections_max: 1_024,
            handshake_max: Duration::from_secs(10),
            silence_max: Duration::from_secs(10),
            stall_max: Duration::from_secs(30),
            leave_max: Duration::from_secs(12),
        }
    }
}

/// Serves `router` on `address` until `shutdown`; then each connection ends with the answer it
/// waits for. Returns the address bound, and a task that ends with the last connection, or when
/// these have been waited for long enough.
///
/// # Errors
/// Where the address cannot be bound.
pub async fn serve(
    address: SocketAddr,
    router: Router,
    terms: Terms,
    shutdown: Shutdown,
) -> std::io::Result<(SocketAddr, JoinHandle<()>)> {
    let listener = TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    let served = tokio::spawn(async move {
        let bounds = terms.bounds;
        let places = Arc::new(Semaphore::new(bounds.connections_max as usize));
        tokio::select! {
            () = accept(listener, &places, router, terms, &shutdown) => {}
            () = shutdown.triggered() => {}
        }
        // Each connection gives its place back when it ends.
        let free = places.acquire_many(bounds.connections_max);
        if tokio::time::timeout(bounds.leave_max, free).await.is_err() {
            tracing::warn!(address = %bound, "left before all connections had ended");
        }
    });
    Ok((bound, served))
}

/// Takes connections for as long as it is polled.
async fn accept(
    listener: TcpListener,
    places: &Arc<Semaphore>,
    router: Router,
    terms: Terms,
    shutdown: &Shutdown,
) {
    while let Ok(place) = Arc::clone(places).acquire_owned().await {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // The peer left first, or the process has no descriptor left: the next try may.
                tracing::trace!(%error, "no connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (router, terms, shutdown) = (router.clone(), terms.clone(), shutdown.clone());
        tokio::spawn(async move {
            hold(stream, router, &terms, &shutdown).await;
            drop(place);
        });
    }
}

/// One connection, from the handshake to its end. What breaks on the way is the peer's affair.
async fn hold(stream: TcpStream, router: Router, terms: &Terms, shutdown: &Shutdown) {
    // An answer is small and waited for; where the system refuses, it only comes later.
    let _ = stream.set_nodelay(true);
    let Some(tls) = &terms.tls else {
        return speak(stream, router, &terms.bounds, shutdown).await;
    };
    let shaken = tokio::time::timeout(terms.bounds.handshake_max, tls.accept(stream));
    match shaken.await {
        Ok(Ok(stream)) => speak(stream, router, &terms.bounds, shutdown).await,
        Ok(Err(error)) => tracing::trace!(%error, "no handshake"),
        Err(_) => tracing::trace!("no handshake in time"),
    }
}

async fn speak<T>(stream: T, router: Router, bounds: &Bounds, shutdown: &Shutdown)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.silence_max)
        .max_header_size(HEAD_BYTES_MAX)
        .max_buf_size(BUFFER_BYTES_MAX);
    let io = TokioIo::new(Patient::new(stream, bounds.stall_max));
    let mut connection = pin!(builder.serve_connection(io, TowerToHyperService::new(router)));
    tokio::select! {
        ended = connection.as_mut() => return told(ended),
        () = shutdown.triggered() => connection.as_mut().graceful_shutdown(),
    }
    told(connection.await);
}

fn told(ended: Result<(), hyper::Error>) {
    if let Err(error) = ended {
        tracing::trace!(%error, "connection ended");
    }
}

/// Request line and headers: a token and a handful of headers take a kilobyte.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// What is read ahead on a connection, and what is buffered of an answer.
const BUFFER_BYTES_MAX: usize = 64 << 10;

/// Between two tries of a listener that has no connection to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests;
