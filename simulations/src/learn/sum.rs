//! The secure sum of a round, in one process: the protocol's own arithmetic on real vectors.
//! Plainly, or with every mask of PROTOCOL.md §5 on and off again: each bank's self mask, and a
//! mask for each pair, whose keys follow from the pair's chain as `protocol::masking` says.
//!
//! What carries the masks between parties (agreement, escrows, acknowledgements, reveals) is not
//! here: `world` plays that, with the real parties. Here the sum must only be the same.

use std::collections::BTreeMap;

use crypto::chain::Chain;
use crypto::mask::{self, Sign};
use crypto::{Key, Seed};
use protocol::id::{Context, Seat, Seats};
use protocol::plan::Width;
use protocol::{masking, vector};

use super::Failed;

/// How wide words are on their way; packed ones give the same sums.
pub(super) const WIDTH: Width = Width::Full;

/// Sums vectors of rounds that follow one another.
pub(super) struct Summing {
    seed: Seed,
    masks: Masks,
    round: u64,
}

/// Whether masks are put on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Masks {
    /// The vectors are added as they are: the same sum at a tenth of the time.
    Off,
    /// Every vector is masked, and the masks are taken off the sum.
    On,
}

/// One bank's vector of a round.
pub(super) struct Vector {
    /// Its place in the roster.
    pub(super) seat: Seat,
    /// The encoded words.
    pub(super) words: Vec<u32>,
    /// Whether it arrives: a bank may fall out after its masks are in everybody's vectors.
    pub(super) arrives: bool,
}

impl Summing {
    /// Sums whose keys follow from a seed.
    pub(super) fn new(seed: Seed, masks: Masks) -> Self {
        Self {
            seed,
            masks,
            round: 0,
        }
    }

    /// The sum of the vectors that arrive, on the ring.
    pub(super) fn sum(&mut self, vectors: Vec<Vector>) -> Result<Vec<u32>, Failed> {
        let words = vectors.first().map_or(0, |first| first.words.len());
        let mut sum = vec![0; words];
        self.round += 1;
        match self.masks {
            Masks::Off => {
                for vector in vectors.iter().filter(|vector| vector.arrives) {
                    vector::add(&mut sum, &vector::to_bytes(&vector.words, WIDTH), WIDTH)?;
                }
            }
            Masks::On => self.masked(vectors, &mut sum)?,
        }
        Ok(sum)
    }

    fn masked(&self, vectors: Vec<Vector>, sum: &mut [u32]) -> Result<(), Failed> {
        let round = Round::new(&self.seed, self.round, &vectors)?;
        let cohort: Seats = vectors.iter().map(|vector| vector.seat).collect();
        let arrived = vectors.iter().filter(|vector| vector.arrives);
        let survivors: Seats = arrived.map(|vector| vector.seat).collect();
        for mut vector in vectors {
            let seat = vector.seat;
            let mut masks = vec![(round.self_mask(seat), Sign::Plus)];
            for peer in cohort.iter().filter(|peer| *peer != seat) {
                masks.push((round.pair_mask(seat, peer), sign(seat, peer)));
            }
            mask::apply_all(&masks, &mut vector.words);
            if vector.arrives {
                vector::add(sum, &vector::to_bytes(&vector.words, WIDTH), WIDTH)?;
            }
        }
        let mut left = Vec::new();
        for seat in survivors.iter() {
            left.push((round.self_mask(seat), Sign::Minus));
            for absent in cohort.without(&survivors).iter() {
                let sign = sign(seat, absent).opposite();
                left.push((round.pair_mask(seat, absent), sign));
            }
        }
        mask::apply_all(&left, sum);
        Ok(())
    }
}

/// The lower seat of a pair adds, the upper subtracts.
fn sign(seat: Seat, peer: Seat) -> Sign {
    if seat < peer { Sign::Plus } else { Sign::Minus }
}

/// The keys of one round.
struct Round {
    seed: Seed,
    context: Context,
    round_keys: BTreeMap<(Seat, Seat), Key>,
}

impl Round {
    fn new(seed: &Seed, round: u64, vectors: &[Vector]) -> Result<Self, Failed> {
        let mut round_keys = BTreeMap::new();
        let context = Context(crypto::Digest(seed.bytes32("context", round)));
        for lower in vectors {
            for upper in vectors.iter().filter(|upper| lower.seat < upper.seat) {
                let pair = (u64::from(lower.seat.0) << 16) | u64::from(upper.seat.0);
                let mut chain = Chain::start(&Key::from_bytes(seed.bytes32("pair", pair)));
                let key = masking::pair_round_key(chain.at(round)?, &context);
                round_keys.insert((lower.seat, upper.seat), key);
            }
        }
        let seed = seed.derive("round", round);
        Ok(Self {
            seed,
            context,
            round_keys,
        })
    }

    fn self_mask(&self, seat: Seat) -> Key {
        let secret = self.seed.scalar("self secret", u64::from(seat.0));
        masking::self_mask_key(&secret, &self.context, seat)
    }

    fn pair_mask(&self, one: Seat, other: Seat) -> Key {
        let (lower, upper) = (one.min(other), one.max(other));
        let nonce = |seat: Seat| self.seed.bytes32("escrow nonce", u64::from(seat.0));
        let key = &self.round_keys[&(lower, upper)];
        masking::pair_mask_key(key, &nonce(lower), &nonce(upper))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vectors(round: u32) -> Vec<Vector> {
        let vector = |seat: u16| Vector {
            seat: Seat(seat),
            words: (0..5_000)
                .map(|at| at * 7 + round + u32::from(seat))
                .collect(),
            arrives: seat != 2,
        };
        (0..5).map(vector).collect()
    }

    // Bank 2 falls out after masking: its pair masks are in the others' vectors.
    #[test]
    fn masks_leave_the_sum_as_it_is() {
        let seed = || Seed::from_entropy([7; 32]);
        let mut plain = Summing::new(seed(), Masks::Off);
        let mut masked = Summing::new(seed(), Masks::On);
        for round in 0..3 {
            let expected = plain.sum(vectors(round)).unwrap();
            assert_eq!(masked.sum(vectors(round)).unwrap(), expected);
            let own = vectors(round);
            let by_hand = own.iter().filter(|vector| vector.arrives);
            assert_eq!(
                expected[9],
                by_hand.map(|vector| vector.words[9]).sum::<u32>()
            );
        }
    }

    #[test]
    fn a_masked_vector_is_not_the_plain_one() {
        let seed = Seed::from_entropy([7; 32]);
        let own = vectors(0);
        let round = Round::new(&seed, 1, &own).unwrap();
        assert_ne!(
            round.pair_mask(Seat(0), Seat(1)).expose(),
            round.pair_mask(Seat(0), Seat(3)).expose()
        );
        assert_eq!(
            round.pair_mask(Seat(3), Seat(0)).expose(),
            round.pair_mask(Seat(0), Seat(3)).expose()
        );
        let next = Round::new(&seed, 2, &own).unwrap();
        assert_ne!(
            round.self_mask(Seat(0)).expose(),
            next.self_mask(Seat(0)).expose()
        );
    }
}
