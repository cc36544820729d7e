//! The one source of chance in training: a seeded ChaCha stream and the few draws made from it.
//! No libm function is involved, so a draw is the same on every machine.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A seeded stream of draws.
pub(crate) struct Chance(ChaCha8Rng);

impl Chance {
    /// The stream of a seed; `purpose` keeps streams of one seed apart.
    pub(crate) fn new(seed: u64, purpose: u64) -> Self {
        let mut stream = ChaCha8Rng::seed_from_u64(seed);
        stream.set_stream(purpose);
        Self(stream)
    }

    /// Uniform in [0, 1), 24 bits.
    pub(crate) fn uniform(&mut self) -> f32 {
        (self.0.next_u32() >> 8) as f32 / 16_777_216.0
    }

    /// Near enough standard normal: the sum of 12 uniforms minus 6.
    pub(crate) fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.uniform()).sum::<f32>() - 6.0
    }

    /// Uniform in 0..bound, by a 64-bit product (bias below 2^-32 for any bound used here).
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        assert!(bound > 0, "a draw needs something to draw from");
        ((u128::from(self.0.next_u64()) * bound as u128) >> 64) as usize
    }

    /// Shuffles in place (Fisher and Yates).
    pub(crate) fn shuffle(&mut self, items: &mut [usize]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}

/// Endless batches over a set of rows: shuffled, walked through, shuffled again.
pub(crate) struct Batches {
    rows: Vec<usize>,
    next: usize,
}

impl Batches {
    /// Batches over `rows`, which must not be empty.
    pub(crate) fn new(rows: Vec<usize>) -> Self {
        assert!(!rows.is_empty(), "batches need rows");
        let next = rows.len();
        Self { rows, next }
    }

    /// The next `size` rows; a batch may run over the end of one walk into the next.
    pub(crate) fn draw(&mut self, size: usize, chance: &mut Chance) -> Vec<usize> {
        (0..size)
            .map(|_| {
                if self.next == self.rows.len() {
                    chance.shuffle(&mut self.rows);
                    self.next = 0;
                }
                self.next += 1;
                self.rows[self.next - 1]
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_repeat_with_the_seed_and_differ_between_purposes() {
        let draw = |seed, purpose| {
            let mut chance = Chance::new(seed, purpose);
            (0..8).map(|_| chance.below(1_000_000)).collect::<Vec<_>>()
        };
        assert_eq!(draw(1, 0), draw(1, 0));
        assert_ne!(draw(1, 0), draw(1, 1));
        assert_ne!(draw(1, 0), draw(2, 0));
    }

    #[test]
    fn normal_has_mean_zero_and_variance_one() {
        let mut chance = Chance::new(3, 0);
        let draws: Vec<f64> = (0..20_000).map(|_| f64::from(chance.normal())).collect();
        let mean = draws.iter().sum::<f64>() / 20_000.0;
        let variance = draws.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / 20_000.0;
        assert!(
            mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05,
            "{mean} {variance}"
        );
    }

    #[test]
    fn one_walk_visits_each_row_once() {
        let mut chance = Chance::new(1, 0);
        let mut batches = Batches::new((0..10).collect());
        let mut seen = batches.draw(10, &mut chance);
        seen.sort_unstable();
        assert_eq!(seen, (0..10).collect::<Vec<_>>());
    }
}
