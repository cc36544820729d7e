//! Scoring through a real socket on loopback, with a client of a few lines.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use host::http::Terms;
use host::shutdown::Shutdown;

use super::*;

#[test]
fn answers_and_problems_travel_over_http() {
    let bank = Bank::new();
    let scoring = bank.start();
    scoring.install(bundle(Slot::Live, 1)).unwrap();
    let router = door(scoring)
        .router()
        .merge(status_router(|| json!({"bank": "b1"})));
    with_server(router, |address| {
        let (head, answer) = post(address, &stream(0));
        assert!(
            head.starts_with("HTTP/1.1 200") && head.contains("application/json"),
            "{head}"
        );
        assert_eq!(
            (&answer["txn_id"], &answer["replayed"]),
            (&json!("t0"), &json!(false))
        );
        assert_eq!(answer["decision"], "approve");
        assert_eq!(post(address, &stream(0)).1["replayed"], true);

        let (head, problem) = post(address, b"{\"txn\":{}}");
        assert!(head.starts_with("HTTP/1.1 400"), "{head}");
        assert!(head.contains("application/problem+json"), "{head}");
        assert_eq!(
            (&problem["type"], &problem["status"]),
            (&json!("missing_field"), &json!(400))
        );

        let conflict = body(&payment("t0", "c0", START_MS, 1));
        assert!(post(address, &conflict).0.starts_with("HTTP/1.1 409"));
        let (head, problem) = post(address, &vec![b'x'; 10 << 20]);
        assert!(head.starts_with("HTTP/1.1 413"), "{head}");
        assert_eq!(problem["type"], "too_large");

        let (head, status) = exchange(address, b"GET /v1/status HTTP/1.1\r\n", b"");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert_eq!(status, json!({"bank": "b1"}));
        let (head, _) = exchange(address, b"GET /v1/score HTTP/1.1\r\n", b"");
        assert!(head.starts_with("HTTP/1.1 405"), "{head}");
    });
}

// Nothing tells the length here: the bound must hold while the body is read.
#[test]
fn a_body_without_a_length_is_bounded_too() {
    let bank = Bank::new();
    with_server(door(bank.start()).router(), |address| {
        let chunk = format!("{:x}\r\n{}\r\n", 8 << 10, "x".repeat(8 << 10));
        let body = format!("{}0\r\n\r\n", chunk.repeat(20));
        let head = "POST /v1/score HTTP/1.1\r\nTransfer-Encoding: chunked\r\n";
        let (head, problem) = exchange(address, head.as_bytes(), body.as_bytes());
        assert!(head.starts_with("HTTP/1.1 413"), "{head}");
        assert_eq!(problem["type"], "too_large");
    });
}

#[test]
fn a_closed_door_says_when_to_come_again_and_opens_while_it_is_served() {
    let bank = Bank::new();
    let door = Door::default();
    with_server(door.router(), |address| {
        let (head, problem) = post(address, &stream(0));
        assert!(head.starts_with("HTTP/1.1 503"), "{head}");
        assert!(
            head.to_ascii_lowercase().contains("retry-after: 1"),
            "{head}"
        );
        assert_eq!((&problem["type"], door.scored()), (&json!("not_ready"), 0));
        for path in ["/v1/decisions?txn_id=t0", "/v1/decisions/x", "/v1/scores"] {
            let (head, problem) = fetch(address, path);
            assert!(head.starts_with("HTTP/1.1 503"), "{path}: {head}");
            assert_eq!(problem["type"], "not_ready", "{path}");
        }
        door.open(bank.start());
        assert!(post(address, &stream(0)).0.starts_with("HTTP/1.1 200"));
        assert_eq!(door.scored(), 1);
    });
}

// Each holds a place, as a gateway's pool does; none of them is in the way of a payment.
#[test]
fn connections_that_idle_keep_no_payment_from_its_answer() {
    let bank = Bank::new();
    with_server(door(bank.start()).router(), |address| {
        let idle: Vec<TcpStream> = (0..200)
            .map(|_| TcpStream::connect(address).unwrap())
            .collect();
        let (head, answer) = post(address, &stream(0));
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert_eq!((&answer["txn_id"], idle.len()), (&json!("t0"), 200));
    });
}

pub(crate) fn door(scoring: Scoring) -> Door {
    let door = Door::default();
    door.open(scoring);
    door
}

/// Serves `router` on a free port of loopback while `client` runs.
pub(crate) fn with_server(router: impl Into<Router>, client: impl FnOnce(SocketAddr)) {
    with_terms(router.into(), Terms::default(), client);
}

/// The same at a door that is held otherwise.
pub(crate) fn with_terms(router: Router, terms: Terms, client: impl FnOnce(SocketAddr)) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let shutdown = Shutdown::default();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let (address, _) = runtime
        .block_on(host::http::serve(any, router, terms, shutdown.clone()))
        .unwrap();
    client(address);
    shutdown.trigger();
}

fn post(address: SocketAddr, body: &[u8]) -> (String, Value) {
    let head = format!(
        "POST /v1/score HTTP/1.1\r\nContent-Length: {}\r\n",
        body.len()
    );
    exchange(address, head.as_bytes(), body)
}

/// Asks for a path and reads head and JSON body of the answer.
pub(super) fn fetch(address: SocketAddr, path: &str) -> (String, Value) {
    exchange(address, format!("GET {path} HTTP/1.1\r\n").as_bytes(), b"")
}

/// Sends one request and reads head and JSON body of the answer.
pub(super) fn exchange(address: SocketAddr, head: &[u8], body: &[u8]) -> (String, Value) {
    let (head, body) = ask(address, head, body);
    (head, serde_json::from_str(&body).unwrap_or_default())
}

/// Sends one request and reads head and body of the answer as they come.
pub(crate) fn ask(address: SocketAddr, head: &[u8], body: &[u8]) -> (String, String) {
    let mut socket = TcpStream::connect(address).unwrap();
    let rest = b"Host: localhost\r\nConnection: close\r\n\r\n";
    socket.write_all(&[head, rest].concat()).unwrap();
    // A refused body may find the socket closed before it is all sent; the answer is there.
    let _ = socket.write_all(body);
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    while let Ok(count @ 1..) = socket.read(&mut chunk) {
        answer.extend(&chunk[..count]);
    }
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    (head.to_owned(), body.to_owned())
}
