//! The network that finds fraud, and the only crate that names libtorch: the field-wise
//! contextual-contrast encoder, its local training, its scores, its measures and its files.
//! No sockets, no rounds, no raw payments live here: rows arrive encoded by `features`, and a
//! federation meets this crate as one flat list of `f32` in the order of [`network::layout`].
//!
//! Reading order: [`network`] (what the tensors are), `forward` (the same in libtorch),
//! `contrast` (what is learnt without labels), [`trainer`] (both kinds of local training),
//! `kernel` and [`scorer`] (the hot path, without libtorch), [`evaluation`], [`checkpoint`].
//!
//! Chance never comes from libtorch's generator: every draw is made from a ChaCha stream seeded
//! by the terms, so the same seed gives the same bytes on one machine and thread count.

mod adam;
pub mod calibration;
mod chance;
pub mod checkpoint;
pub mod collapse;
mod contrast;
mod error;
pub mod evaluation;
pub mod examples;
mod forward;
mod kernel;
mod loss;
pub mod network;
pub mod parameters;
pub mod progress;
mod roles;
pub mod schedule;
pub mod scorer;
#[cfg(test)]
mod synthetic;
pub mod trainer;

pub use calibration::{Calibration, CalibrationError};
pub use checkpoint::{Checkpoint, CheckpointError};
pub use error::ModelError;
pub use examples::Examples;
pub use network::{Init, NetworkSize, Part, TensorSpec, genesis, layout};
pub use progress::{Bar, Progress};
pub use scorer::{Score, Scorer};
pub use trainer::{FinetuneReport, FinetuneTerms, Learner, PretrainReport, PretrainTerms};

/// Sets how many threads libtorch uses inside one operation. Results are the same bytes twice
/// only under the same count, and on networks this small one thread is also the fastest.
pub fn threads(count: u16) {
    tch::set_num_threads(i32::from(count.max(1)));
}
