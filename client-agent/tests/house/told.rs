//! What an agent answers where it says yes, as JSON.

use serde_json::Value;

use crate::house::{Agent, ask};

/// What it answers to a question, which it must.
pub(crate) fn fetch(agent: &Agent, path: &str) -> Value {
    let answer = ask(agent.http, &format!("GET {path}"), "", "");
    body_of(&answer).unwrap_or_else(|| panic!("{path}: {answer}"))
}

/// The body of a whole answer that says yes.
pub(crate) fn body_of(answer: &str) -> Option<Value> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let is_yes = head.starts_with("HTTP/1.1 200");
    is_yes.then(|| serde_json::from_str(body).ok()).flatten()
}
