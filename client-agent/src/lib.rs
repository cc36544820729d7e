//! What an institution runs: training, the link to the coordinator, live scoring.
//!
//! Two hearts that know of each other only through a few values: [`scoring`] decides on payments
//! and waits for nobody; [`training`] learns from the bank's own [`history`] and answers the
//! federation's orders. [`agent`] starts and ends both, [`link`] is the one connection outward;
//! [`nats`], where a bank asks for it, is one to the bank's own stream of payments.
//! [`watch`] reads behind scoring's back whether it still sees what it was made for.
//! A payment never leaves this crate; what leaves is a vector that `protocol` masks.

pub mod agent;
pub mod commands;
pub mod config;
pub mod courtesy;
pub mod history;
pub mod journal;
pub mod link;
pub mod nats;
pub mod network;
pub mod releases;
pub mod risk;
pub mod scoring;
mod snapshot;
pub mod status;
pub mod telemetry;
pub mod training;
pub mod watch;
