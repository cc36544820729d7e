//! The coordinator with real banks: whole rounds, losses, crashes, lies.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a test spoils one message and passes all others on"
)]

mod attacks;
mod audits;
mod catch_up;
mod doors;
mod epochs;
mod failures;
mod flips;
mod handover;
mod rig;
mod rounds;
mod waiting;
