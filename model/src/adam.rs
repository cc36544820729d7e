//! Adam and AdamW (Kingma & Ba 2015; Loshchilov & Hutter 2019) over flat parameters, in plain
//! Rust. Moments live as long as their learner, across `load`: banks that keep them between
//! rounds learn far faster (learning notes: AP .67 against .45 after 20 rounds).
//!
//! On 10,000 parameters this costs microseconds, and the state is two vectors that anybody can
//! read; libtorch's optimiser would tie it to leaf tensors that must never be replaced.

use std::ops::Range;

const DECAY_FIRST: f32 = 0.9;
const DECAY_SECOND: f32 = 0.999;
const EPSILON: f32 = 1e-8;

/// Moments of every parameter, and the number of steps taken.
pub(crate) struct Adam {
    first: Vec<f32>,
    second: Vec<f32>,
    steps: i32,
}

impl Adam {
    /// No moments yet, for `count` parameters.
    pub(crate) fn new(count: usize) -> Self {
        Self {
            first: vec![0.0; count],
            second: vec![0.0; count],
            steps: 0,
        }
    }

    /// With these moments, after so many steps.
    pub(crate) fn with(first: Vec<f32>, second: Vec<f32>, steps: i32) -> Self {
        Self {
            first,
            second,
            steps,
        }
    }

    /// First and second moments, one of each for each parameter.
    pub(crate) fn moments(&self) -> [&[f32]; 2] {
        [&self.first, &self.second]
    }

    /// Steps taken.
    pub(crate) fn steps(&self) -> i32 {
        self.steps
    }

    /// One step on the stretches given, each with its own rate; everything else stays.
    /// `weight_decay` is decoupled from the gradient (AdamW); 0 makes it Adam.
    pub(crate) fn step(
        &mut self,
        parameters: &mut [f32],
        gradient: &[f32],
        stretches: &[(Range<usize>, f32)],
        weight_decay: f32,
    ) {
        self.steps = self.steps.saturating_add(1);
        let first_correction = 1.0 - f64::from(DECAY_FIRST).powi(self.steps);
        let second_correction = 1.0 - f64::from(DECAY_SECOND).powi(self.steps);
        let root = second_correction.sqrt() as f32;
        for (range, rate) in stretches {
            let pace = rate / first_correction as f32;
            for i in range.clone() {
                let slope = gradient[i];
                self.first[i] = DECAY_FIRST * self.first[i] + (1.0 - DECAY_FIRST) * slope;
                self.second[i] =
                    DECAY_SECOND * self.second[i] + (1.0 - DECAY_SECOND) * slope * slope;
                parameters[i] -= rate * weight_decay * parameters[i];
                parameters[i] -= pace * self.first[i] / (self.second[i].sqrt() / root + EPSILON);
            }
        }
    }
}

/// A rate that falls from `start` to `end` along half a cosine, at step `done` of `of`.
pub(crate) fn cosine(start: f32, end: f32, done: u32, of: u32) -> f32 {
    let share = f64::from(done) / f64::from(of.max(1));
    let fall = 0.5 * (1.0 + (std::f64::consts::PI * share).cos());
    end + (start - end) * fall as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    // torch.optim.AdamW([2., -1.], lr=.1, weight_decay=.01) on loss = p0^2 + 3 p1, by the formula:
    // step 1: p - .1*.01*p - .1*sign(g).
    #[test]
    fn first_step_moves_each_parameter_by_the_rate() {
        let mut adam = Adam::new(3);
        let mut parameters = [2.0, -1.0, 5.0];
        adam.step(&mut parameters, &[4.0, 3.0, 9.0], &[(0..2, 0.1)], 0.01);
        assert!((parameters[0] - 1.898).abs() < 1e-6, "{}", parameters[0]);
        assert!((parameters[1] + 1.099).abs() < 1e-6, "{}", parameters[1]);
        assert_eq!(parameters[2], 5.0, "outside the stretch nothing moves");
    }

    #[test]
    fn descends_a_bowl() {
        let mut adam = Adam::new(2);
        let mut parameters = [3.0_f32, -2.0];
        for _ in 0..400 {
            let gradient = parameters.map(|p| 2.0 * p);
            adam.step(&mut parameters, &gradient, &[(0..2, 0.05)], 0.0);
        }
        assert!(parameters.iter().all(|p| p.abs() < 0.01), "{parameters:?}");
    }

    #[test]
    fn cosine_begins_at_the_start_and_ends_at_the_end() {
        assert_eq!(cosine(1.0, 0.02, 0, 100), 1.0);
        assert!((cosine(1.0, 0.02, 50, 100) - 0.51).abs() < 1e-6);
        assert!((cosine(1.0, 0.02, 100, 100) - 0.02).abs() < 1e-6);
    }
}
