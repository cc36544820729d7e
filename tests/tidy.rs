//! Rules about the code itself: what no compiler checks and a reader relies on.
//!
//! One test per rule, about ten lines, with a message that names the cure. They are sorted by
//! what they look at, in `tidy/`; what the program does is tested elsewhere.

#[path = "tidy/crates.rs"]
mod crates;
#[path = "tidy/documents.rs"]
mod documents;
#[path = "tidy/listed.rs"]
mod listed;
#[path = "tidy/monitoring.rs"]
mod monitoring;
#[path = "tidy/protocol.rs"]
mod protocol;
#[path = "tidy/sources.rs"]
mod sources;
#[path = "tidy/style.rs"]
mod style;

/// Fails with every complaint, one a line.
fn none(wrong: &[String]) {
    assert!(
        wrong.is_empty(),
        "{} found:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
