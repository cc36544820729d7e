//! The network that finds fraud, and the only crate that names libtorch: the field-wise
//! contextual-contrast encoder, its local training, its scores, its measures and its files.
//! No sockets, no rounds, no raw payments live here: rows arrive encoded by `features`, and a
//! federation meets this crate as one flat list of `f32` in the order of [`network::layout`].
//!
//! Reading order: [`network`] (what the tensors are), `forward` (the same in libtorch),
//! `contrast` (what is learnt without labels), [`trainer`] (both kinds of local training),
//! `kernel` and [`scorer`] (the hot path, without libtorch), [`surprise`] (scores without labels),
//! [`evaluation`], [`checkpoint`]; `device` and `logits` (where libtorch computes, and whole
//! tables there).
//!
//! Chance never comes from libtorch's generator: every draw is made from a ChaCha stream seeded
//! by the terms, so the same seed gives the same bytes on one machine and thread count. On a GPU
//! ([`Device::Cuda`]) the draws are the same, and sums are added in the device's own order.

mod adam;
pub mod calibration;
mod chance;
pub mod checkpoint;
pub mod collapse;
mod contrast;
mod device;
mod error;
pub mod evaluation;
pub mod examples;
mod forward;
mod kernel;
mod logits;
mod loss;
pub mod network;
pub mod parameters;
pub mod progress;
mod roles;
pub mod schedule;
pub mod scorer;
pub mod surprise;
#[cfg(test)]
mod synthetic;
pub mod trainer;

pub use calibration::{Calibration, CalibrationError};
pub use checkpoint::{Checkpoint, CheckpointError};
pub use device::Device;
pub use error::ModelError;
pub use examples::Examples;
pub use logits::{Logits, PARITY_MAX, Parity, logits_on};
pub use network::{Init, NetworkSize, Part, TensorSpec, genesis, layout};
pub use progress::{Bar, Progress};
pub use scorer::{Attribution, Judged, Score, Scorer};
pub use surprise::{Recent, Usual};
pub use trainer::{
    Curvature, FinetuneReport, FinetuneTerms, Learner, PretrainReport, PretrainTerms,
};

/// Sets how many threads libtorch uses inside one operation. Results are the same bytes twice
/// only under the same count, and on networks this small one thread is also the fastest.
pub fn threads(count: u16) {
    tch::set_num_threads(i32::from(count.max(1)));
}
