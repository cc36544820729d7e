//! What is not served: a path that nobody has, a method that a path does not take.

use super::socket::{exchange, with_server};
use super::*;

/// Status, `Allow` and problem of the answer to a request without a body.
fn refused(address: std::net::SocketAddr, line: &str) -> (u64, Option<String>, Value) {
    let head = format!("{line} HTTP/1.1\r\nContent-Length: 0\r\n");
    let (head, problem) = exchange(address, head.as_bytes(), b"");
    let head = head.to_ascii_lowercase();
    assert!(head.contains("application/problem+json"), "{line}: {head}");
    let allowed = head.lines().find_map(|line| line.strip_prefix("allow: "));
    let told = format!("http/1.1 {} ", problem["status"]);
    assert!(head.starts_with(&told), "{line}: {head}");
    let status = problem["status"].as_u64().unwrap();
    (status, allowed.map(str::to_owned), problem)
}

// Also before the door is open: what is not served then is not served later.
#[test]
fn what_is_not_served_is_refused_as_a_problem() {
    let bank = Bank::new();
    let router = agent_router(&bank.telemetry, &Door::default(), || json!({}), || true);
    with_server(router, |address| {
        for path in ["/", "/nowhere", "/v1", "/v1/score/", "/alerts/a/b/c"] {
            for method in ["GET", "POST", "DELETE"] {
                let line = format!("{method} {path}");
                let (status, allowed, problem) = refused(address, &line);
                assert_eq!((status, allowed), (404, None), "{line}");
                assert_eq!(problem["type"], "not_found", "{line}");
            }
        }
        for (line, expected) in [
            ("GET /v1/score", "post"),
            ("PUT /v1/labels", "post"),
            ("POST /v1/status", "get,head"),
            ("DELETE /v1/decisions/x", "get,head"),
            ("POST /metrics", "get,head"),
            ("PATCH /livez", "get,head"),
            ("POST /openapi.json", "get,head"),
            ("PUT /v1/alerts/x/snooze", "post"),
        ] {
            let (status, allowed, problem) = refused(address, line);
            assert_eq!(
                (status, allowed.as_deref()),
                (405, Some(expected)),
                "{line}"
            );
            assert_eq!(problem["type"], "method_not_allowed", "{line}");
        }
    });
}

// Somebody puts a card number into a path; the test number of a scheme.
#[test]
fn a_path_that_is_not_served_is_not_repeated() {
    let bank = Bank::new();
    let router = agent_router(&bank.telemetry, &Door::default(), || json!({}), || true);
    with_server(router, |address| {
        let (_, _, problem) = refused(address, "GET /cards/4111111111111111");
        assert!(!problem.to_string().contains("4111"), "{problem}");
    });
}
