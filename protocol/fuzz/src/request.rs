//! What the fuzzer does to the agent's door of requests and labels: bytes in, a panic if a promise
//! is broken. libFuzzer calls it from `fuzz_targets/request.rs`, over the agent's own files
//! (`scoring.rs`); the agent's tests call it over the corpus and over chance
//! (`client-agent/src/scoring/tests/parsers.rs`). The fields themselves are `door.rs`.

use serde_json::Value;

use crate::scoring::labels::Labels;
use crate::scoring::problem::{Problem, ProblemType};
use crate::scoring::request::{Request, fault, kind_of};
use crate::scoring::times::Asked;

/// Bytes as a request, and as labels.
///
/// # Panics
/// If a payment that is taken is another one in the form that the journal keeps; if a refusal is
/// not the sender's fault, or repeats what it redacts; or if a body that is no object, or names a
/// field as cards are, is taken for a payment.
pub(crate) fn request(bytes: &[u8]) {
    let body = serde_json::from_slice::<Value>(bytes);
    match Request::parse(bytes, NOW_MS, Asked::default()) {
        Ok(request) => {
            let kept = format!("{{\"txn\":{}}}", request.canonical);
            let again = Request::parse(kept.as_bytes(), NOW_MS, Asked::default());
            let again = again.unwrap_or_else(|problem| panic!("{}", problem.detail));
            assert!(again.digest == request.digest, "it says something else");
            assert_eq!(again.unknown_fields, 0);
            let body = body.expect("what was read is JSON");
            assert!(
                !names_a_card(&body),
                "a field named for a card is let through"
            );
        }
        Err(problem) => {
            check(&problem);
            let found = match body {
                Ok(Value::Object(_)) => None,
                Ok(other) => Some(kind_of(&other).to_owned()),
                Err(error) => Some(fault(&error)),
            };
            if found.is_some() && problem.kind != ProblemType::TooLarge {
                assert_eq!(problem.found, found.map(|found| features::redact(&found)));
            }
        }
    }
    for stamped in [None, i64::try_from(NOW_MS).ok()] {
        match Labels::parse(NOW_MS, stamped, bytes) {
            Ok(labels) => labels.into_parts().flatten().for_each(|item| {
                if let Err(problem) = item {
                    check(&problem);
                }
            }),
            Err(problem) => check(&problem),
        }
    }
}

/// A refusal is the sender's affair, and shows no digit of a card.
fn check(problem: &Problem) {
    assert!((400..500).contains(&problem.status), "{problem:?}");
    for told in [&problem.field, &problem.found].into_iter().flatten() {
        assert_eq!(&features::redact(told), told);
    }
}

/// Whether a member of the body or of its payment is named as cards are.
fn names_a_card(body: &Value) -> bool {
    let members = [Some(body), body.get("txn")].into_iter().flatten();
    let mut members = members.filter_map(Value::as_object).flatten();
    members.any(|(name, _)| features::is_sensitive_name(name))
}

/// A day in February 2026.
const NOW_MS: u64 = 1_772_000_000_000;
