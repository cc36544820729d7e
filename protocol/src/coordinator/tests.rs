//! The coordinator with real banks: whole rounds, losses, crashes, lies.

mod attacks;
mod doors;
mod epochs;
mod failures;
mod rig;
mod rounds;
