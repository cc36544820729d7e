//! How rates fall over the rounds of a training, and the constants of fine-tuning that no plan
//! says (learning.md §6): the same for an agent and for the bench that its recipe is weighed on.

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
