//! Who gets past a door that asks for tokens. The tokens themselves are tested in `tokens.rs`.

use super::socket::{door, exchange, fetch, with_server};
use super::*;

const TOKEN: &str = "abcdefghijklmnopqrstuvwxyz012345";

#[test]
fn everything_but_what_a_supervisor_asks_needs_a_token() {
    let bank = Bank::new();
    let scoring = bank.start();
    let file = bank.folder.path().join("tokens");
    write_private(&file, &format!("# the gateway's\n{TOKEN}\n"));
    let (telemetry, told) = (&bank.telemetry, || json!({}));
    let router = agent_router(telemetry, &door(scoring.clone()), told, || true);
    let router = Tokens::read(&file).unwrap().guard(router, telemetry);
    with_server(router, |address| {
        for path in ["/livez", "/readyz"] {
            let (head, _) = fetch(address, path);
            assert!(!head.starts_with("HTTP/1.1 401"), "{path}: {head}");
        }
        let closed = [
            "/metrics",
            "/v1/status",
            "/version",
            "/healthz",
            "/openapi.json",
            "/v1/decisions?txn_id=t0",
            "/nowhere",
            "/livez/",
        ];
        for path in closed {
            let (head, problem) = fetch(address, path);
            assert!(head.starts_with("HTTP/1.1 401"), "{path}: {head}");
            let head = head.to_ascii_lowercase();
            assert!(head.contains("www-authenticate: bearer\r\n"), "{head}");
            assert!(head.contains("www-authenticate: basic realm="), "{head}");
            assert!(head.contains("application/problem+json"), "{head}");
            assert_eq!(problem["type"], "unauthorized");
        }
        let post = |shown: &str| {
            let length = stream(0).len();
            let head = format!("POST /v1/score HTTP/1.1\r\n{shown}Content-Length: {length}\r\n");
            exchange(address, head.as_bytes(), &stream(0))
        };
        let wrong = format!("Authorization: Bearer {}\r\n", TOKEN.to_uppercase());
        assert!(post(&wrong).0.starts_with("HTTP/1.1 401"));
        assert_eq!(scoring.scored(), 0);
        let right = format!("Authorization: Bearer {TOKEN}\r\n");
        let (head, answer) = post(&right);
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert_eq!(answer["txn_id"], "t0");
        // As a browser does, with the user name `u-17`.
        let pair = "dS0xNzphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejAxMjM0NQ==";
        let head = format!("GET /version HTTP/1.1\r\nAuthorization: Basic {pair}\r\n");
        let (head, _) = exchange(address, head.as_bytes(), b"");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let text = telemetry.render();
        let line = format!("phalanx_http_unauthorized_total {}", closed.len() + 1);
        assert!(text.contains(&line), "{text}");
    });
}
