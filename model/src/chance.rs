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

    /// The same stream from its `words`-th word of 32 bits on.
    pub(crate) fn at(seed: u64, purpose: u64, words: u64) -> Self {
        let mut chance = Self::new(seed, purpose);
        chance.0.set_word_pos(u128::from(words));
        chance
    }

    /// Words of 32 bits drawn so far. A year of draws is far from 2^64.
    pub(crate) fn words(&self) -> u64 {
        self.0.get_word_pos() as u64
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
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}

/// The chance of one training, and endless batches over its rows: shuffled, walked through,
/// shuffled again. With the rows themselves it is all that later draws follow from.
pub(crate) struct Draws {
    pub(crate) seed: u64,
    pub(crate) chance: Chance,
    /// Places of the rows in the order of this walk, of which the first `next` were drawn.
    pub(crate) order: Vec<u32>,
    pub(crate) next: usize,
}

impl Draws {
    /// Goes on with draws of this seed over as many rows, else begins some; `rows` is not 0.
    pub(crate) fn going_on(kept: Option<Self>, (seed, purpose): (u64, u64), rows: usize) -> Self {
        assert!(rows > 0, "batches need rows");
        let is_same = |kept: &Self| kept.seed == seed && kept.order.len() == rows;
        kept.filter(is_same).unwrap_or_else(|| Self {
            seed,
            chance: Chance::new(seed, purpose),
            // Each row has a card and a time in memory: there are fewer than 2^32.
            order: (0..rows).map(|at| at as u32).collect(),
            next: rows,
        })
    }

    /// The next `size` of `rows`; a batch may run over the end of one walk into the next.
    pub(crate) fn batch(&mut self, rows: &[usize], size: usize) -> Vec<usize> {
        (0..size)
            .map(|_| {
                if self.next == self.order.len() {
                    self.chance.shuffle(&mut self.order);
                    self.next = 0;
                }
                self.next += 1;
                rows[self.order[self.next - 1] as usize]
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
        let rows: Vec<usize> = (10..20).collect();
        let mut seen = Draws::going_on(None, (1, 0), 10).batch(&rows, 10);
        seen.sort_unstable();
        assert_eq!(seen, rows);
    }

    #[test]
    fn draws_go_on_by_the_same_seed_over_as_many_rows_and_else_begin() {
        let rows: Vec<usize> = (0..10).collect();
        let whole = Draws::going_on(None, (1, 0), 10).batch(&rows, 25);
        let after = |(seed, count): (u64, usize)| {
            let mut draws = Draws::going_on(None, (1, 0), 10);
            draws.batch(&rows, 13);
            Draws::going_on(Some(draws), (seed, 0), count).batch(&rows[..count], 12)
        };
        assert_eq!(after((1, 10)), whole[13..]);
        assert_ne!(after((2, 10)), whole[13..]);
        assert_eq!(
            after((1, 9)),
            Draws::going_on(None, (1, 0), 9).batch(&rows[..9], 12)
        );
    }

    // 19 words lie within a block of the cipher, 16 at its end.
    #[test]
    fn a_stream_that_is_taken_up_goes_on_where_it_was() {
        for count in [0, 16, 19, 640] {
            let mut chance = Chance::new(3, 5);
            for _ in 0..count {
                chance.uniform();
            }
            assert_eq!(chance.words(), count);
            let mut taken_up = Chance::at(3, 5, chance.words());
            for _ in 0..40 {
                assert_eq!(taken_up.below(1_000_000), chance.below(1_000_000));
            }
        }
    }
}
