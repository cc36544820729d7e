//! What the federation says, and what each side must do on hearing it.
//!
//! Two parties: [`coordinator::Coordinator`], run by the consortium's operator, and
//! [`client::Client`], one in each bank. Both are state machines without a world
//! ([`party::Party`]): time, messages, outcomes and entropy come in; records, messages, tasks and
//! events come out, in an order that is itself the safety. No socket, clock, disk, thread or chance
//! is here; `host` gives the real ones, `simulations` imagined ones.
//!
//! Whatever the plan, a round is one secure sum of integer vectors (PROTOCOL.md §5):
//!
//! ```text
//! rest → selection → [agreement, once per epoch] → escrow → collection → acknowledgement → reveal
//!          who is here   hybrid pair keys            M1,M2     M3          M4,M5,M6          M7,M8
//! ```
//!
//! Reading order: `plan`, `message`, `coordinator::phase`, one phase file and its mirror under
//! `client::phase`, `masking` and `vector`, then `ledger`. PROTOCOL.md is the specification.

pub mod blame;
pub mod bucket;
pub mod client;
pub mod coordinator;
pub mod credential;
pub mod event;
#[cfg(test)]
mod fixture;
pub mod genesis;
pub mod graph;
pub mod histogram;
pub mod id;
pub mod ledger;
pub mod limits;
pub mod masking;
pub mod message;
pub mod moments;
mod opened;
pub mod operator;
pub mod party;
pub mod plan;
pub mod record;
pub mod signed;
pub mod terms;
pub mod time;
pub mod vector;
pub mod wire;
