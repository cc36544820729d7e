//! A party's body: the real world, once, for both sides.
//!
//! The contract, implemented by [`drive`] alone: outputs are carried out in order, and a record is
//! durable before the next output begins. Everything else here is one organ each: the network
//! ([`quic`]), doors of HTTP ([`http`], [`tls`]), identities and enrolment ([`identity`]), the disk
//! ([`disk`]), standard output ([`print`](mod@print)), the clock, chance, configuration, telemetry
//! and leaving. Nothing here decides anything about a round.

pub mod address;
pub mod clock;
pub mod config;
pub mod disk;
pub mod drive;
pub mod entropy;
pub mod http;
pub mod identity;
pub mod print;
pub mod quic;
pub mod shutdown;
pub mod telemetry;
pub mod tls;
pub mod usage;
pub mod workers;
