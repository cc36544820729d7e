//! Scenarios that once failed, as literals, newest first: a seed stops meaning the same when the
//! generator changes, a literal does not. `tests.rs` plays them all.

use super::scenario::Scenario;

/// Every scenario that once failed, with what it showed.
#[must_use]
pub fn all() -> Vec<(&'static str, Scenario)> {
    Vec::new()
}
