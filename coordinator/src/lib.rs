//! The server process of the consortium's operator: the protocol's coordinator on its host.
//!
//! Wiring only. What the coordinator does is decided in `protocol::coordinator`; how bytes, records
//! and time reach it is `host`'s. There is no type here, nor an edge to one, that could hold a
//! transaction, a feature or a tensor.

pub mod config;
pub mod server;
pub mod telemetry;
