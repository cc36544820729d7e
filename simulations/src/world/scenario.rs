//! A scenario as data: who is there and what befalls them. Made from a seed, or written down as a
//! literal in `regressions.rs`, since seeds stop meaning the same when this generator changes.

use protocol::plan::Width;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::sabotage::Sabotage;

/// A world's population and hardship. Shares are per 100,000.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// Seed of the world's chance.
    pub seed: u64,
    /// Banks, at least 4.
    pub banks: usize,
    /// Milliseconds of hardship before the calm.
    pub hardship_ms: u64,
    /// Longest journey of a frame.
    pub latency_ms: u64,
    /// Longest local training.
    pub training_ms: u64,
    /// Frames lost.
    pub lost: u32,
    /// Frames repeated.
    pub repeated: u32,
    /// Deaths between two outputs.
    pub crash_per_output: u32,
    /// What happens at a known moment, in milliseconds from the start.
    pub faults: Vec<(u64, Fault)>,
    /// How wide the words of every plan are.
    pub width: Width,
    /// A bank whose frames are spoilt during the hardship.
    pub liar: Option<usize>,
    /// A fault that is planted, and that an invariant must find.
    pub sabotage: Option<Sabotage>,
}

/// What can happen at a known moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The coordinator dies and starts again.
    CrashCoordinator,
    /// A bank dies and starts again.
    CrashBank(usize),
    /// A bank's connection breaks.
    Cut(usize),
}

impl Scenario {
    /// The scenario of a seed: one world in five has no hardship but the network's, the others
    /// have deaths, cut connections or a liar.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        let mut chance = ChaCha8Rng::seed_from_u64(seed ^ 0x0051_3af0);
        let banks = chance.random_range(4..=7);
        let is_mild = chance.random_range(0..5) == 0;
        let mut faults = Vec::new();
        let hardship_ms = chance.random_range(10_000..60_000);
        for _ in 0..if is_mild {
            0
        } else {
            chance.random_range(0..8)
        } {
            let at = chance.random_range(0..hardship_ms);
            let fault = match chance.random_range(0..4) {
                0 => Fault::CrashCoordinator,
                1 => Fault::CrashBank(chance.random_range(0..banks)),
                _ => Fault::Cut(chance.random_range(0..banks)),
            };
            faults.push((at, fault));
        }
        let is_lied_to = !is_mild && chance.random_range(0..5) == 0;
        Self {
            seed,
            banks,
            hardship_ms,
            latency_ms: chance.random_range(2..1_000),
            training_ms: chance.random_range(100..5_000),
            lost: chance.random_range(0..15_000),
            repeated: chance.random_range(0..15_000),
            crash_per_output: if is_mild {
                0
            } else {
                chance.random_range(0..600)
            },
            faults,
            liar: is_lied_to.then(|| chance.random_range(0..banks)),
            width: if chance.random_range(0..2) == 0 {
                Width::Full
            } else {
                Width::Packed
            },
            sabotage: None,
        }
    }
}
