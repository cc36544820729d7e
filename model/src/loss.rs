//! The two losses, from energies and logits, never from probabilities. What they are taken over
//! is decided in `contrast` and `trainer`.

use tch::{Kind, Reduction, Tensor};

use crate::contrast::COPIES;
use crate::error::ModelError;

/// Sum over field groups of the cross-entropy of the true row among its rivals: the swapped
/// context, where `plain` versions are two, and that group's perturbed copies. `energies` is
/// `[versions, batch, groups]`.
pub(crate) fn contrast(energies: &Tensor, plain: usize) -> Result<Tensor, ModelError> {
    let (sizes, plain, copies) = (energies.size(), plain as i64, COPIES as i64);
    let (batch, groups) = (sizes[1], sizes[2]);
    // A copy counts in the group that it was made for, where first and last place are one group.
    let own = energies
        .f_narrow(0, plain, groups * copies)?
        .f_view([groups, copies, batch, groups])?
        .f_diagonal(0, 0, 3)?;
    let rivals = Tensor::f_cat(&[energies.f_narrow(0, 0, plain)?, own], 0)?;
    let surprise = rivals
        .f_logsumexp([0], false)?
        .f_sub(&energies.f_select(0, 0)?)?;
    Ok(surprise.f_sum(Kind::Float)?.f_div_scalar(batch)?)
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
            let zeros = Tensor::zeros([versions, 3, 1], (Kind::Float, tch::Device::Cpu));
            let loss = contrast(&zeros, plain).unwrap().double_value(&[]);
            assert!((loss - (versions as f64).ln()).abs() < 1e-6);
        }
    }

    // Two groups; group 1's copies are versions 5..8, so a high true energy pays only there
    // where its rivals are low: -log softmax([2,0,0,0,0])[0] = .424 per group.
    #[test]
    fn a_true_row_that_stands_out_costs_less_in_every_group() {
        let energies = Tensor::zeros([8, 1, 2], (Kind::Float, tch::Device::Cpu));
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
