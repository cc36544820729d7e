//! From logit to honest probability: Platt scaling, and a measure of how honest it is.
//! Ranking is untouched: the slope is positive, or the fit is refused.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Pull towards the identity, in units of one observation: separable data stay finite, and a
/// few hundred observations outweigh it.
const RIDGE: f64 = 1.0;
const NEWTON_STEPS_MAX: u32 = 50;

/// Platt scaling (Platt 1999): probability = sigmoid(`a` · logit + `b`).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Slope, positive.
    pub a: f32,
    /// Offset.
    pub b: f32,
}

impl Default for Calibration {
    fn default() -> Self {
        Self { a: 1.0, b: 0.0 }
    }
}

/// Why no calibration was fitted.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum CalibrationError {
    /// One class is missing, a length differs, or a logit is no number.
    #[error("{frauds} frauds and {genuine} genuine among {logits} finite logits, expected both")]
    Data {
        /// Frauds given.
        frauds: usize,
        /// Genuine transactions given.
        genuine: usize,
        /// Finite logits given.
        logits: usize,
    },
    /// The logits rank frauds below genuine transactions.
    #[error("the fitted slope is {slope}, expected more than 0: the logits rank backwards")]
    Backwards {
        /// The slope found.
        slope: f64,
    },
}

impl Calibration {
    /// Fits slope and offset by Newton's method with a ridge towards the identity.
    ///
    /// # Errors
    /// [`CalibrationError`] on a missing class or a slope that would turn the ranking round.
    pub fn fit(logits: &[f32], labels: &[bool]) -> Result<Self, CalibrationError> {
        let frauds = labels.iter().filter(|fraud| **fraud).count();
        let genuine = labels.len() - frauds;
        let finite = logits.iter().filter(|logit| logit.is_finite()).count();
        if frauds == 0 || genuine == 0 || finite != labels.len() || logits.len() != finite {
            return Err(CalibrationError::Data {
                frauds,
                genuine,
                logits: finite,
            });
        }
        let (a, b) = newton(logits, labels);
        if a <= 0.0 {
            return Err(CalibrationError::Backwards { slope: a });
        }
        Ok(Self {
            a: a as f32,
            b: b as f32,
        })
    }

    /// Probability of fraud at a logit.
    pub fn probability(&self, logit: f32) -> f32 {
        1.0 / (1.0 + (-(self.a * logit + self.b)).exp())
    }
}

/// Minimises the ridged log loss; each step is halved until the loss does not rise.
fn newton(logits: &[f32], labels: &[bool]) -> (f64, f64) {
    let (mut a, mut b) = (1.0, 0.0);
    let mut loss = log_loss(logits, labels, a, b);
    for _ in 0..NEWTON_STEPS_MAX {
        let (step_a, step_b) = newton_step(logits, labels, a, b);
        let mut share = 1.0;
        loop {
            let next = (a - share * step_a, b - share * step_b);
            let next_loss = log_loss(logits, labels, next.0, next.1);
            if next_loss <= loss {
                (a, b) = next;
                let gained = loss - next_loss;
                loss = next_loss;
                if gained < 1e-10 * (1.0 + loss) {
                    return (a, b);
                }
                break;
            }
            share /= 2.0;
            if share < 1e-9 {
                return (a, b);
            }
        }
    }
    (a, b)
}

/// Hessian⁻¹ · gradient of the ridged log loss.
fn newton_step(logits: &[f32], labels: &[bool], a: f64, b: f64) -> (f64, f64) {
    let (mut slope_a, mut slope_b) = (RIDGE * (a - 1.0), RIDGE * b);
    let (mut aa, mut ab, mut bb) = (RIDGE, 0.0, RIDGE);
    for (&logit, &fraud) in logits.iter().zip(labels) {
        let s = f64::from(logit);
        let p = 1.0 / (1.0 + (-(a * s + b)).exp());
        let (error, curve) = (p - f64::from(u8::from(fraud)), p * (1.0 - p));
        slope_a += error * s;
        slope_b += error;
        aa += curve * s * s;
        ab += curve * s;
        bb += curve;
    }
    let determinant = aa * bb - ab * ab;
    (
        (bb * slope_a - ab * slope_b) / determinant,
        (aa * slope_b - ab * slope_a) / determinant,
    )
}

fn log_loss(logits: &[f32], labels: &[bool], a: f64, b: f64) -> f64 {
    let data: f64 = logits
        .iter()
        .zip(labels)
        .map(|(&logit, &fraud)| {
            let t = a * f64::from(logit) + b;
            t.max(0.0) + (-t.abs()).exp().ln_1p() - if fraud { t } else { 0.0 }
        })
        .sum();
    data + 0.5 * RIDGE * ((a - 1.0).powi(2) + b * b)
}

/// Expected calibration error over `bins` bins of equally many rows (Nguyen & O'Connor 2015):
/// the mean gap between foretold and actual share of fraud. `None` without rows or bins.
pub fn calibration_error(probabilities: &[f32], labels: &[bool], bins: usize) -> Option<f64> {
    if probabilities.is_empty() || bins == 0 || probabilities.len() != labels.len() {
        return None;
    }
    let mut order: Vec<usize> = (0..labels.len()).collect();
    order.sort_by(|&i, &j| probabilities[i].total_cmp(&probabilities[j]));
    let gap: f64 = order
        .chunks(labels.len().div_ceil(bins))
        .map(|bin| {
            let told: f64 = bin.iter().map(|&i| f64::from(probabilities[i])).sum();
            let came = bin.iter().filter(|&&i| labels[i]).count() as f64;
            (told - came).abs()
        })
        .sum();
    Some(gap / labels.len() as f64)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::chance::Chance;

    #[derive(Deserialize)]
    struct Fixture {
        logits: Vec<f32>,
        labels: Vec<bool>,
        a: f32,
        b: f32,
    }

    // Printed by tests-data/evaluation.py: the same ridged loss minimised by scipy.
    #[test]
    fn slope_and_offset_equal_scipy() {
        let f: Fixture = serde_json::from_str(include_str!("../tests-data/platt.json")).unwrap();
        let found = Calibration::fit(&f.logits, &f.labels).unwrap();
        assert!(
            (found.a - f.a).abs() < 1e-3 && (found.b - f.b).abs() < 1e-3,
            "{found:?}"
        );
    }

    #[test]
    fn overconfident_logits_become_honest() {
        let mut chance = Chance::new(5, 0);
        let (mut logits, mut labels) = (Vec::new(), Vec::new());
        for _ in 0..20_000 {
            let truth = 1.5 * chance.normal() - 2.0;
            labels.push(chance.uniform() < 1.0 / (1.0 + (-truth).exp()));
            logits.push(3.0 * truth + 1.0);
        }
        let raw: Vec<f32> = logits
            .iter()
            .map(|&s| Calibration::default().probability(s))
            .collect();
        let fitted = Calibration::fit(&logits, &labels).unwrap();
        let honest: Vec<f32> = logits.iter().map(|&s| fitted.probability(s)).collect();
        let (before, after) = (
            calibration_error(&raw, &labels, 10).unwrap(),
            calibration_error(&honest, &labels, 10).unwrap(),
        );
        assert!(before > 0.02 && after < 0.01, "{before} {after}");
        assert!((fitted.a - 1.0 / 3.0).abs() < 0.03, "{fitted:?}");
    }

    #[test]
    fn separable_data_stay_finite() {
        let fitted = Calibration::fit(&[-1.0, -2.0, 1.0, 2.0], &[false, false, true, true]);
        let fitted = fitted.unwrap();
        assert!(fitted.a > 1.0 && fitted.a < 10.0, "{fitted:?}");
    }

    #[test]
    fn one_class_and_backward_logits_are_refused() {
        let one = Calibration::fit(&[0.0, 1.0], &[true, true]);
        assert!(matches!(
            one,
            Err(CalibrationError::Data { genuine: 0, .. })
        ));
        let logits: Vec<f32> = (0..100).map(|i| i as f32).collect();
        let labels: Vec<bool> = (0..100).map(|i| i < 50).collect();
        let backwards = Calibration::fit(&logits, &labels);
        assert!(matches!(backwards, Err(CalibrationError::Backwards { .. })));
    }
}
