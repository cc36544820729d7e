//! The two losses, from energies and logits, never from probabilities. What they are taken over
//! is decided in `contrast` and `trainer`.

use tch::{Reduction, Tensor};

use crate::contrast::COPIES;
use crate::error::ModelError;

/// Sum over field groups of the cross-entropy of the true row among its rivals: the swapped
/// context, where `plain` versions are two, and that group's perturbed copies. `energies` is
/// `[versions, batch, groups]`.
pub(crate) fn contrast(energies: &Tensor, plain: usize) -> Result<Tensor, ModelError> {
    let sizes = energies.size();
    let mut losses = Vec::new();
    for group in 0..sizes[2] {
        let own = energies.select(2, group);
        let first = own.f_narrow(0, 0, plain as i64)?;
        let copies = own.f_narrow(0, plain as i64 + group * COPIES as i64, COPIES as i64)?;
        let rivals = Tensor::f_cat(&[first, copies], 0)?;
        let surprise = rivals.f_logsumexp([0], false)? - own.select(0, 0);
        losses.push(surprise.mean(tch::Kind::Float));
    }
    Ok(Tensor::f_stack(&losses, 0)?.sum(tch::Kind::Float))
}

/// Mean binary cross-entropy of logits `[batch]` against labels `[batch]`.
pub(crate) fn fraud(logits: &Tensor, labels: &Tensor) -> Result<Tensor, ModelError> {
    let none: Option<Tensor> = None;
    let none_too: Option<Tensor> = None;
    Ok(logits.f_binary_cross_entropy_with_logits(labels, none, none_too, Reduction::Mean)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    // One group, five equal energies: -log(1/5) = 1.609438; four without a swapped context.
    #[test]
    fn equal_energies_cost_the_log_of_the_rivals() {
        for (versions, plain) in [(5, 2), (4, 1)] {
            let zeros = Tensor::zeros([versions, 3, 1], (tch::Kind::Float, tch::Device::Cpu));
            let loss = contrast(&zeros, plain).unwrap().double_value(&[]);
            assert!((loss - (versions as f64).ln()).abs() < 1e-6);
        }
    }

    // Two groups; group 1's copies are versions 5..8, so a high true energy pays only there
    // where its rivals are low: -log softmax([2,0,0,0,0])[0] = .424 per group.
    #[test]
    fn a_true_row_that_stands_out_costs_less_in_every_group() {
        let energies = Tensor::zeros([8, 1, 2], (tch::Kind::Float, tch::Device::Cpu));
        let _ = energies.select(0, 0).fill_(2.0);
        let expected = 2.0 * ((2.0_f64.exp() + 4.0).ln() - 2.0);
        assert!((contrast(&energies, 2).unwrap().double_value(&[]) - expected).abs() < 1e-5);
    }

    // Logit 0 costs ln 2; logit 100 against label 1 costs nothing and stays finite.
    #[test]
    fn extreme_logits_stay_finite() {
        let cost = |logit: f32, label: f32| {
            let logits = Tensor::from_slice(&[logit]);
            fraud(&logits, &Tensor::from_slice(&[label]))
                .unwrap()
                .double_value(&[])
        };
        assert!((cost(0.0, 1.0) - 2.0_f64.ln()).abs() < 1e-6);
        assert!(cost(100.0, 1.0) < 1e-6);
        assert!((cost(-100.0, 1.0) - 100.0).abs() < 1e-3);
    }
}
