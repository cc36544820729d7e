//! The chain key of a pair: one step a round, forward only.
//!
//! `CK_0 = Expand(PRK, "csa1/chain")`, `CK_{r+1} = Expand(CK_r, "csa1/ratchet")`. A key that has
//! been stepped over is wiped, so a machine taken tonight tells nothing of yesterday's rounds.
//! Where the pair key comes from is [`crate::agreement`].

use crate::kdf::Key;

/// Most steps taken in one call: about a tenth of a second, and far more rounds than an epoch has.
pub const STEPS_MAX: u64 = 100_000;

/// A chain key and the round it belongs to.
pub struct Chain {
    key: Key,
    step: u64,
}

impl Chain {
    /// The chain of a pair, at round zero.
    pub fn start(pair: &Key) -> Self {
        Self {
            key: pair.expand("csa1/chain", &[]),
            step: 0,
        }
    }

    /// The chain key of `round`. All earlier ones are gone afterwards.
    ///
    /// # Errors
    /// If the round has been stepped over, or is more than [`STEPS_MAX`] ahead; the chain then
    /// stays where it was.
    pub fn at(&mut self, round: u64) -> Result<&Key, ChainError> {
        let Some(steps) = round.checked_sub(self.step) else {
            return Err(ChainError::Past {
                round,
                earliest: self.step,
            });
        };
        if steps > STEPS_MAX {
            return Err(ChainError::TooFar {
                round,
                from: self.step,
            });
        }
        for _ in 0..steps {
            self.key = self.key.expand("csa1/ratchet", &[]);
        }
        self.step = round;
        Ok(&self.key)
    }
}

/// Why a chain has no key for a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// The key was wiped.
    #[error("round {round} asked of a chain that is at {earliest}")]
    Past {
        /// Round asked for.
        round: u64,
        /// Earliest round there is a key for.
        earliest: u64,
    },
    /// The leap is longer than any honest one.
    #[error("round {round} is more than {STEPS_MAX} steps after {from}")]
    TooFar {
        /// Round asked for.
        round: u64,
        /// Round the chain is at.
        from: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors;

    #[test]
    fn steps_are_those_of_an_independent_hkdf() {
        let file = vectors::parse(include_str!("../vectors/kdf.json"));
        let mut chain = Chain::start(&Key::from_bytes(vectors::array(&file["key"])));
        for round in [0, 1, 2, 1000] {
            let expected = vectors::array(&file["chain"][round.to_string()]);
            assert_eq!(chain.at(round).expect("forward").expose(), &expected);
        }
        // The same round may be asked for again, an earlier one may not.
        assert!(chain.at(1000).is_ok());
        let refusal = ChainError::Past {
            round: 999,
            earliest: 1000,
        };
        assert_eq!(chain.at(999).err(), Some(refusal));
    }

    #[test]
    fn a_leap_beyond_the_bound_is_refused_and_leaves_the_chain_usable() {
        let mut chain = Chain::start(&Key::from_bytes([7; 32]));
        let refusal = ChainError::TooFar {
            round: STEPS_MAX + 1,
            from: 0,
        };
        assert_eq!(chain.at(STEPS_MAX + 1).err(), Some(refusal));
        assert!(chain.at(u64::MAX).is_err());
        assert!(chain.at(0).is_ok());
        assert!(chain.at(STEPS_MAX).is_ok());
    }
}
