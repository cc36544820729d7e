//! Who gets a place at the door, and when it has to leave. Bounds are short here, so that a client
//! that would hold its place for ever is seen to lose it.

use axum::routing::{get, post};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::tls::tests::{ask as ask_by_tls, files};

#[tokio::test]
async fn a_plain_client_gets_nothing_from_a_door_with_tls() {
    let (address, shutdown) = open(Some(None), Bounds::default()).await;
    let said = ask(address, PING).await;
    assert!(!said.contains("HTTP/1.1"), "{said}");
    let said = ask_by_tls(address, None, PING).await;
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    shutdown.trigger();
}

#[tokio::test]
async fn where_certificates_are_asked_for_only_those_of_the_ca_pass() {
    let (address, shutdown) = open(Some(Some("ca.pem")), Bounds::default()).await;
    for stranger in [None, Some("foreign")] {
        let said = ask_by_tls(address, stranger, PING).await;
        assert_eq!(said, "", "{stranger:?}");
    }
    let said = ask_by_tls(address, Some("client"), PING).await;
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    shutdown.trigger();
}

#[tokio::test]
async fn who_trickles_a_head_or_says_nothing_loses_its_place() {
    let bounds = Bounds {
        silence_max: SHORT,
        ..Bounds::default()
    };
    let (address, shutdown) = open(None, bounds).await;
    for head in ["", "GET /ping HTTP/1.1\r\nHost: a\r\nX-Slow: "] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        assert_eq!(rest(&mut stream).await.lines().next(), None, "{head}");
    }
    // Between two requests too.
    let mut stream = TcpStream::connect(address).await.unwrap();
    let keeps = "GET /ping HTTP/1.1\r\nHost: a\r\n\r\n";
    stream.write_all(keeps.as_bytes()).await.unwrap();
    let said = rest(&mut stream).await;
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    shutdown.trigger();
}

#[tokio::test]
async fn a_handshake_that_does_not_end_loses_its_place() {
    let bounds = Bounds {
        handshake_max: SHORT,
        ..Bounds::default()
    };
    let (address, shutdown) = open(Some(None), bounds).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    assert_eq!(rest(&mut stream).await, "");
    shutdown.trigger();
}

// The only place is taken by somebody who says nothing; whoever comes next waits for its end.
#[tokio::test]
async fn one_more_connection_waits_for_a_place() {
    let bounds = Bounds {
        connections_max: 1,
        silence_max: SHORT,
        ..Bounds::default()
    };
    let (address, shutdown) = open(None, bounds).await;
    let idle = TcpStream::connect(address).await.unwrap();
    let said = ask(address, PING).await;
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    drop(idle);
    shutdown.trigger();
}

#[tokio::test]
async fn a_head_beyond_its_bound_is_refused() {
    let (address, shutdown) = open(None, Bounds::default()).await;
    let long = "x".repeat(HEAD_BYTES_MAX);
    let long = format!("GET /ping HTTP/1.1\r\nHost: a\r\nX-Long: {long}\r\n\r\n");
    let said = ask(address, &long);
    let said = said.await;
    assert!(said.starts_with("HTTP/1.1 431"), "{said}");
    shutdown.trigger();
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_given_up() {
    let (mut near, mut far) = tokio::io::duplex(16);
    let stuck = Patient::new(&mut near, SHORT).write_all(&[7; 64]).await;
    let error = stuck.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    // One that reads, however late, is waited for again.
    let mut taken = [0; 16];
    far.read_exact(&mut taken).await.unwrap();
    let taking = Patient::new(&mut near, SHORT).write_all(&[8; 16]).await;
    taking.unwrap();
    far.read_exact(&mut taken).await.unwrap();
    assert_eq!(taken, [8; 16]);
}

#[tokio::test]
async fn who_waits_for_an_answer_gets_it_before_the_door_closes() {
    let (address, shutdown, served) = open_until(None, Bounds::default()).await;
    let mut stream = echo(address).await;
    shutdown.trigger();
    let mut served = pin!(served);
    let early = tokio::time::timeout(SHORT, served.as_mut()).await;
    assert!(early.is_err(), "an answer is still waited for");
    stream.write_all(b"late").await.unwrap();
    let said = rest(&mut stream).await;
    assert!(
        said.starts_with("HTTP/1.1 200") && said.ends_with("late"),
        "{said}"
    );
    let soon = Bounds::default().leave_max / 2;
    tokio::time::timeout(soon, served).await.unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn who_does_not_end_is_not_waited_for_without_bound() {
    let bounds = Bounds {
        leave_max: SHORT,
        ..Bounds::default()
    };
    let (address, shutdown, served) = open_until(None, bounds).await;
    let _stuck = echo(address).await;
    shutdown.trigger();
    let soon = Bounds::default().silence_max;
    tokio::time::timeout(soon, served).await.unwrap().unwrap();
}

/// A connection whose request is being handled, and waits for its body of four bytes.
async fn echo(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n";
    // The answer to the expectation shows it.
    let asked = format!("{head}Expect: 100-continue\r\n\r\n");
    stream.write_all(asked.as_bytes()).await.unwrap();
    let mut going_on = [0; 25];
    stream.read_exact(&mut going_on).await.unwrap();
    assert!(going_on.starts_with(b"HTTP/1.1 100"));
    stream
}

/// A door with two routes on a free port of loopback; `tls` says whether TLS, and of whose clients
/// a certificate is asked for.
async fn open(tls: Option<Option<&str>>, bounds: Bounds) -> (SocketAddr, Shutdown) {
    let (address, shutdown, _) = open_until(tls, bounds).await;
    (address, shutdown)
}

/// The same, and the task that ends with the last connection.
async fn open_until(
    tls: Option<Option<&str>>,
    bounds: Bounds,
) -> (SocketAddr, Shutdown, JoinHandle<()>) {
    let router = Router::new()
        .route("/ping", get(|| async { "pong" }))
        .route("/echo", post(|body: String| async { body }));
    let terms = Terms {
        tls: tls.map(|client_ca| files(client_ca).acceptor().unwrap()),
        bounds,
    };
    let (any, shutdown) = (SocketAddr::from(([127, 0, 0, 1], 0)), Shutdown::default());
    let (bound, served) = serve(any, router, terms, shutdown.clone()).await.unwrap();
    (bound, shutdown, served)
}

async fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // A refused request may find the socket closed before it is all sent; the answer is there.
    let _ = stream.write_all(request.as_bytes()).await;
    rest(&mut stream).await
}

/// What comes until the other side closes.
async fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

const PING: &str = "GET /ping HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

const SHORT: Duration = Duration::from_millis(50);
