//! What the fuzzer does to the protocol crate, one function a target: bytes in, a panic if a
//! promise is broken. libFuzzer calls them from `fuzz_targets`, and `protocol/tests/corpus.rs`
//! calls the same ones over the corpus and over chance. Only the crate's public door is used here.
//!
//! Decoders are `decoding`. The two machines are attacked in `client` and `coordinator`, inside
//! the small world of `federation`; `contract` says what neither may ever do.

mod client;
mod consortium;
mod contract;
mod coordinator;
mod decoding;
mod federation;
mod script;
mod seeds;
mod tampering;

pub use client::client;
pub use coordinator::coordinator;
pub use decoding::{
    client_record, coordinator_record, credential, frame, operator, plan, result, to_client,
    to_coordinator,
};
pub use seeds::seeds;

/// A target: what it is called, and what it does with bytes.
pub type Target = (&'static str, fn(&[u8]));

/// Targets that take bytes for one value.
pub const DECODERS: [Target; 9] = [
    ("client_record", client_record),
    ("coordinator_record", coordinator_record),
    ("credential", credential),
    ("frame", frame),
    ("operator", operator),
    ("plan", plan),
    ("result", result),
    ("to_client", to_client),
    ("to_coordinator", to_coordinator),
];

/// Targets that take bytes for a sequence of inputs.
pub const MACHINES: [Target; 2] = [("client", client), ("coordinator", coordinator)];
