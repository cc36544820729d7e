//! How the mean update becomes the next model: FedAvg (McMahan et al. 2017), FedAdam or FedYogi
//! (Reddi et al. 2021, algorithm 2), or a step of Newton's method (`newton.rs`). Additions,
//! products, quotients and square roots in f64, in one order, kept in f32: IEEE 754 fixes every
//! bit, so all parties get the same model.

use std::ops::Range;

use super::newton;
use crate::plan::{Adaptive, ServerRule};

/// The moments of a plan's optimiser; empty where the rule has none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Optimizer {
    first: Vec<f32>,
    second: Vec<f32>,
}

impl Optimizer {
    /// Moves the parameters in `ranges` by the mean update, whose values are theirs in order, and
    /// behind them their curvature where the rule wants it ([`crate::terms::values`]).
    ///
    /// # Panics
    /// If a range lies outside the parameters.
    pub fn step(
        &mut self,
        rule: &ServerRule,
        mean: &[f32],
        ranges: &[Range<usize>],
        parameters: &mut [f32],
    ) {
        match *rule {
            ServerRule::FedAvg { rate } => {
                let steps = mean
                    .iter()
                    .map(|&update| f64::from(rate) * f64::from(update));
                advance(ranges, parameters, steps);
            }
            ServerRule::FedAdam(terms) => self.adapt(&terms, mean, ranges, parameters, decay),
            ServerRule::FedYogi(terms) => self.adapt(&terms, mean, ranges, parameters, approach),
            ServerRule::Newton(terms) => {
                let places = ranges.iter().cloned().flatten();
                let weights: Vec<f32> = places.map(|at| parameters[at]).collect();
                let steps = newton::step(&terms, mean, &weights);
                advance(ranges, parameters, steps.into_iter());
            }
        }
    }

    /// A step by moments; `next_second` is how the rule moves the second one towards a square.
    fn adapt(
        &mut self,
        terms: &Adaptive,
        mean: &[f32],
        ranges: &[Range<usize>],
        parameters: &mut [f32],
        next_second: fn(f32, f32, f64) -> f32,
    ) {
        self.first.resize(mean.len(), 0.0);
        self.second.resize(mean.len(), 0.0);
        let moments = self.first.iter_mut().zip(&mut self.second);
        let steps = mean.iter().zip(moments).map(|(&update, (first, second))| {
            let update = f64::from(update);
            *first = decay(*first, terms.beta1, update);
            *second = next_second(*second, terms.beta2, update * update);
            let root = f64::from(*second).sqrt() + f64::from(terms.epsilon);
            f64::from(terms.rate) * f64::from(*first) / root
        });
        advance(ranges, parameters, steps);
    }
}

fn advance(ranges: &[Range<usize>], parameters: &mut [f32], mut steps: impl Iterator<Item = f64>) {
    for range in ranges {
        for (parameter, step) in parameters[range.clone()].iter_mut().zip(&mut steps) {
            *parameter = (f64::from(*parameter) + step) as f32;
        }
    }
}

fn decay(moment: f32, beta: f32, value: f64) -> f32 {
    let beta = f64::from(beta);
    (beta * f64::from(moment) + (1.0 - beta) * value) as f32
}

/// Yogi's: by the whole of `(1 - beta) value`, up or down.
fn approach(moment: f32, beta: f32, value: f64) -> f32 {
    let (moment, step) = (f64::from(moment), (1.0 - f64::from(beta)) * value);
    let next = if moment > value {
        moment - step
    } else {
        moment + step
    };
    next as f32
}
