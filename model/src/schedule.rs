//! What a training's terms are in one of its rounds: how rates fall, when it may stop early, what a
//! bank that trains alone does otherwise, and the constants that no plan says (learning.md §6). The
//! same for an agent and for the bench that its recipe is weighed on; where the terms come from is
//! theirs.

use crate::trainer::{FinetuneTerms, PretrainTerms};

/// Payments below which the contrast has too few others to compare with.
pub const ROWS_MIN: usize = 20;

/// Share of hidden units dropped in the head.
pub const DROPOUT: f32 = 0.2;

/// Decoupled weight decay of fine-tuning.
pub const WEIGHT_DECAY: f32 = 1e-4;

/// Rounds' worth of local steps for which a bank trains the federation's head on for itself, the
/// rates falling anew from a plan's first.
pub const HEAD_ROUNDS: u32 = 5;

/// Round `step` of `rounds`, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which round.
    pub step: u32,
    /// Of how many.
    pub rounds: u32,
}

impl Place {
    /// The share of the first round's rates that is left: half a cosine from 1 to `end`, the
    /// curve that a learner alone would follow step by step.
    #[must_use]
    pub fn share(self, end: f32) -> f32 {
        let passed = f64::from(self.step) / f64::from(self.rounds.max(1));
        let fall = 0.5 * (1.0 + (std::f64::consts::PI * passed).cos());
        end + (1.0 - end) * fall as f32
    }
}

/// The rounds of a training, in order.
pub fn places(rounds: u32) -> impl Iterator<Item = Place> {
    (0..rounds).map(move |step| Place { step, rounds })
}

/// A training as its local steps see it, the same in every round.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// Steps of a round.
    pub steps: u32,
    /// Rows of a step.
    pub batch: u32,
    /// Rate of the head in the first round; of everything, in pretraining.
    pub rate: f32,
    /// Rate of the encoder in the first round of fine-tuning.
    pub rate_encoder: f32,
    /// Share of the rates that is left after the last round.
    pub rate_end: f32,
    /// FedProx's pull towards the round's first parameters.
    pub proximal: f32,
}

impl Schedule {
    /// The same for a model of one bank: alone, there is nobody to stay near to.
    #[must_use]
    pub fn alone(self) -> Self {
        Self {
            proximal: 0.0,
            ..self
        }
    }

    /// The same for a head of one bank's own, [`HEAD_ROUNDS`] long, with the encoder as it is.
    #[must_use]
    pub fn head(self) -> Self {
        Self {
            rate_encoder: 0.0,
            ..self.alone()
        }
    }

    /// A round of pretraining: one rate all through it.
    #[must_use]
    pub fn pretrain(&self, place: Place, seed: u64) -> PretrainTerms {
        let rate = self.rate * place.share(self.rate_end);
        PretrainTerms {
            steps: self.steps,
            batch: self.batch,
            rate,
            rate_end: rate,
            seed,
            patience: None,
        }
    }

    /// A round of fine-tuning.
    #[must_use]
    pub fn finetune(&self, place: Place, seed: u64) -> FinetuneTerms {
        let share = place.share(self.rate_end);
        FinetuneTerms {
            steps: self.steps,
            batch: self.batch,
            rate_head: self.rate * share,
            rate_encoder: self.rate_encoder * share,
            dropout: DROPOUT,
            weight_decay: WEIGHT_DECAY,
            proximal: self.proximal,
            seed,
        }
    }
}

/// The best parameters of a pretraining so far, where it may stop early. Its owner says what one
/// evaluation is: some steps of one learner, or a round of many.
pub struct Best {
    patience: u32,
    held_out: f32,
    parameters: Option<Vec<f32>>,
    waited: u32,
}

impl Best {
    /// Nothing yet; as many evaluations in a row as `patience` says may be no better.
    #[must_use]
    pub fn new(patience: u32) -> Self {
        Self {
            patience,
            held_out: f32::INFINITY,
            parameters: None,
            waited: 0,
        }
    }

    /// Takes note of an evaluation; whether more than `patience` have passed without a better one.
    pub fn is_stale(&mut self, held_out: f32, parameters: &[f32]) -> bool {
        if held_out < self.held_out {
            self.held_out = held_out;
            self.parameters = Some(parameters.to_vec());
            self.waited = 0;
        } else {
            self.waited += 1;
        }
        self.waited > self.patience
    }

    /// The best parameters; none where no evaluation gave a number.
    #[must_use]
    pub fn into_parameters(self) -> Option<Vec<f32>> {
        self.parameters
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEDULE: Schedule = Schedule {
        steps: 60,
        batch: 128,
        rate: 2e-3,
        rate_encoder: 5e-4,
        rate_end: 0.02,
        proximal: 0.1,
    };

    #[test]
    fn a_round_has_the_rates_of_its_place() {
        let place = Place {
            step: 10,
            rounds: 20,
        };
        let share = place.share(0.02);
        let terms = SCHEDULE.finetune(place, 7);
        assert_eq!((terms.steps, terms.batch, terms.seed), (60, 128, 7));
        assert_eq!(terms.rate_head, 2e-3 * share);
        assert_eq!(terms.rate_encoder, 5e-4 * share);
        assert_eq!(terms.proximal, 0.1);
        let terms = SCHEDULE.pretrain(place, 7);
        assert_eq!((terms.rate, terms.rate_end), (2e-3 * share, 2e-3 * share));
        assert_eq!((terms.steps, terms.batch, terms.seed), (60, 128, 7));
    }

    #[test]
    fn who_trains_alone_is_pulled_nowhere_and_a_head_moves_no_encoder() {
        let first = Place { step: 0, rounds: 5 };
        let alone = SCHEDULE.alone().finetune(first, 1);
        assert_eq!((alone.proximal, alone.rate_encoder), (0.0, 5e-4));
        let head = SCHEDULE.head().finetune(first, 1);
        assert_eq!((head.proximal, head.rate_encoder), (0.0, 0.0));
        assert_eq!(head.rate_head, 2e-3);
        assert_eq!(
            places(3).map(|place| place.step).collect::<Vec<_>>(),
            [0, 1, 2]
        );
        assert!(places(3).all(|place| place.rounds == 3));
    }

    #[test]
    fn the_best_is_kept_until_more_evaluations_than_patience_were_no_better() {
        let mut best = Best::new(2);
        let losses = [3.0, 2.0, 2.5, f32::NAN, 1.5, 1.5, 1.6, 1.7];
        let stale = losses.map(|loss| best.is_stale(loss, &[loss]));
        let after = [false, false, false, false, false, false, false, true];
        assert_eq!(stale, after);
        assert_eq!(best.into_parameters(), Some(vec![1.5]));
        let mut none = Best::new(0);
        assert!(none.is_stale(f32::NAN, &[1.0]));
        assert_eq!(none.into_parameters(), None);
    }

    #[test]
    fn rates_fall_from_the_first_to_near_the_last() {
        let share = |step| Place { step, rounds: 20 }.share(0.02);
        assert_eq!(share(0), 1.0);
        assert!((share(10) - 0.51).abs() < 1e-6);
        assert!(share(19) < 0.03 && share(19) > 0.02);
        assert!((0..19).all(|step| share(step) > share(step + 1)));
    }
}
