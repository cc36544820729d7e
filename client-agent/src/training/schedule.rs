//! What a plan's terms are in one of its rounds: the rates at its place on the cosine, and the
//! recipe's constants that no plan says.

use model::{FinetuneTerms, PretrainTerms};
use protocol::plan::{Part, Training};

/// Share of hidden units dropped in the head (learning.md §6 of the recipe).
const DROPOUT: f32 = 0.2;
/// Decoupled weight decay of fine-tuning.
const WEIGHT_DECAY: f32 = 1e-4;

/// Round `step` of a plan of `rounds`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) step: u32,
    pub(super) rounds: u32,
}

impl Place {
    /// The share of the first round's rates that is left: half a cosine from 1 to `end`, the
    /// curve that a learner alone would follow step by step.
    fn share(self, end: f32) -> f32 {
        let passed = f64::from(self.step) / f64::from(self.rounds.max(1));
        let fall = 0.5 * (1.0 + (std::f64::consts::PI * passed).cos());
        end + (1.0 - end) * fall as f32
    }
}

/// Terms of one round of pretraining.
pub(super) fn pretrain(training: &Training, place: Place, seed: u64) -> PretrainTerms {
    let rate = training.rate * place.share(training.rate_end);
    PretrainTerms {
        steps: training.steps,
        batch: training.batch,
        rate,
        rate_end: rate,
        seed,
        patience: None,
    }
}

/// Terms of one round of fine-tuning. What the plan does not sum is not trained either.
pub(super) fn finetune(training: &Training, place: Place, seed: u64) -> FinetuneTerms {
    let share = place.share(training.rate_end);
    let rate = |part, rate: f32| {
        if training.parts.contains(&part) {
            rate * share
        } else {
            0.0
        }
    };
    FinetuneTerms {
        steps: training.steps,
        batch: training.batch,
        rate_head: rate(Part::Head, training.rate),
        rate_encoder: rate(Part::Encoder, training.rate_encoder),
        dropout: DROPOUT,
        weight_decay: WEIGHT_DECAY,
        proximal: training.proximal,
        seed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_fall_from_the_first_to_near_the_last() {
        let share = |step| Place { step, rounds: 20 }.share(0.02);
        assert_eq!(share(0), 1.0);
        assert!((share(10) - 0.51).abs() < 1e-6);
        assert!(share(19) < 0.03 && share(19) > 0.02);
        assert!((0..19).all(|step| share(step) > share(step + 1)));
    }
}
