//! Where chance comes from: one ChaCha stream for every thing that is drawn.
//!
//! A merchant, a customer or a theft owns its stream, so the order in which they are made
//! does not change what they are. What is drawn from a stream is said by its caller.

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// What a stream of chance belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stream {
    Cities,
    Merchant(u32),
    Resident(u32),
    Dealing,
    Favourites(u32),
    Purchases(u32),
    Transfers(u32),
    CompromisedTerminal(u32),
    StolenCard(u32),
    Takeover(u32),
    MuleRing(u32),
    CardTesting(u32),
    Mistakes,
    HandbookTerminals,
    HandbookCustomer(u32),
    HandbookFrauds,
    TypologyBank(u32),
    TypologyHour(u32),
}

impl Stream {
    /// The generator of this stream under `seed`, at its beginning.
    pub(crate) fn open(self, seed: u64) -> ChaCha8Rng {
        let mut chance = ChaCha8Rng::seed_from_u64(seed);
        chance.set_stream(self.number());
        chance
    }

    /// The kind in the high half, the index in the low half: no two streams share a number.
    fn number(self) -> u64 {
        let (kind, index) = match self {
            Self::Cities => (1, 0),
            Self::Merchant(index) => (2, index),
            Self::Resident(index) => (3, index),
            Self::Dealing => (4, 0),
            Self::Favourites(index) => (5, index),
            Self::Purchases(index) => (6, index),
            Self::Transfers(index) => (7, index),
            Self::CompromisedTerminal(index) => (8, index),
            Self::StolenCard(index) => (9, index),
            Self::Takeover(index) => (10, index),
            Self::MuleRing(index) => (11, index),
            Self::CardTesting(index) => (12, index),
            Self::Mistakes => (13, 0),
            Self::HandbookTerminals => (14, 0),
            Self::HandbookCustomer(index) => (15, index),
            Self::HandbookFrauds => (16, 0),
            Self::TypologyBank(index) => (17, index),
            Self::TypologyHour(index) => (18, index),
        };
        (kind << 32) | u64::from(index)
    }
}

/// A draw from the log-normal distribution with this median and this spread of the logarithm.
pub(crate) fn log_normal(chance: &mut impl Rng, median: f64, spread: f64) -> f64 {
    median * (spread * normal(chance)).exp()
}

/// A draw from `from` to `to` whose logarithm is uniform.
pub(crate) fn log_uniform(chance: &mut impl Rng, from: f64, to: f64) -> f64 {
    from * (to / from).powf(chance.random())
}

/// A draw from the standard normal distribution.
pub(crate) fn normal(chance: &mut impl Rng) -> f64 {
    StandardNormal.sample(chance)
}

/// An index drawn with a chance proportional to its weight; `cumulative` are running sums.
pub(crate) fn weighted(chance: &mut impl Rng, cumulative: &[f64]) -> usize {
    let total = cumulative
        .last()
        .copied()
        .expect("there is something to draw from");
    let point = chance.random::<f64>() * total;
    cumulative
        .partition_point(|sum| *sum <= point)
        .min(cumulative.len() - 1)
}

/// Running sums, the shape that [`weighted`] reads.
pub(crate) fn cumulate(weights: impl IntoIterator<Item = f64>) -> Vec<f64> {
    weights
        .into_iter()
        .scan(0.0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        })
        .collect()
}
