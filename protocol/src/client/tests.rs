//! The bank's side against a coordinator that follows the test's script. `rig.rs` holds real
//! banks and plays the honest coordinator; a test spoils one message, and asks for the named
//! misbehaviour or refusal, and that nothing dangerous was said.

mod attacks;
mod attempted;
mod certificates;
mod cohorts;
mod consent;
mod handover;
mod properties;
mod releases;
mod residues;
mod results;
mod rig;
mod rosters;
mod rounds;
mod snapshots;
