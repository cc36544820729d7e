//! Pretraining: the contrast of `contrast`, its held-out slice, and when to stop.

use std::collections::BTreeMap;

use tch::Tensor;

use super::{Learner, PretrainReport, PretrainTerms, check_step, recent_mean, term};
use crate::adam::cosine;
use crate::chance::{Chance, Draws};
use crate::collapse::{Collapse, collapse};
use crate::contrast::{plain_count, values_count, version_count, versions, whole};
use crate::error::ModelError;
use crate::examples::Examples;
use crate::forward::versions::Places;
use crate::forward::{Network, gradient, table};
use crate::loss;
use crate::network::Part;
use crate::parameters::ranges;
use crate::progress::Progress;
use crate::schedule::{Best, ROWS_MIN};

/// Share of the rows, the last in time, that is held out: one in ten.
const HELD_OUT_PART: usize = 10;
/// Cards measured on at most, with two rows each: enough to rank models, cheap in a round.
const HELD_OUT_CARDS: usize = 256;
const EVALUATE_EVERY: u32 = 25;
pub(super) const TRAINING: u64 = 1;
const HOLDING_OUT: u64 = 2;

/// The held-out slice: versions made once, so that the loss compares between calls.
struct HeldOut {
    /// Whole ones: they are measured rarely.
    versions: Vec<f32>,
    rows: usize,
    pairs: Vec<(usize, usize)>,
}

pub(super) fn run(
    learner: &mut Learner,
    examples: &Examples,
    terms: &PretrainTerms,
    progress: &mut dyn Progress,
) -> Result<PretrainReport, ModelError> {
    check(terms)?;
    let (seen, held) = split(examples)?;
    let held = HeldOut::new(learner, examples, held);
    let places = Places::new(&learner.roles, learner.device)?;
    let kept = learner.pretrain.draws.take();
    let mut draws = Draws::going_on(kept, (terms.seed, TRAINING), seen.len());
    let mut best = terms.patience.map(Best::new);
    let mut losses = Vec::new();
    for step in 0..terms.steps {
        let batch = draws.batch(&seen, terms.batch as usize);
        let made = versions(&learner.roles, examples, &batch, &mut draws.chance);
        let rate = cosine(terms.rate, terms.rate_end, step, terms.steps);
        losses.push(descend(learner, &places, &made, rate, step)?);
        let done = step + 1;
        let mut note = String::new();
        if let Some(best) = &mut best
            && (done.is_multiple_of(EVALUATE_EVERY) || done == terms.steps)
        {
            let (held_out, measures) = held.measure(learner)?;
            note = describe(held_out, &measures);
            if best.is_stale(held_out, &learner.parameters) {
                progress.step(done, done, recent_mean(&losses), &note);
                break;
            }
        }
        progress.step(done, terms.steps, losses[losses.len() - 1], &note);
    }
    learner.pretrain.draws = Some(draws);
    if let Some(parameters) = best.and_then(Best::into_parameters) {
        learner.parameters = parameters;
    }
    let (held_out, measures) = held.measure(learner)?;
    Ok(PretrainReport {
        loss: recent_mean(&losses),
        held_out,
        alignment: measures.alignment,
        uniformity: measures.uniformity,
        effective_rank: measures.effective_rank,
        steps: losses.len() as u32,
    })
}

/// One step of Adam on encoder and energies; the training loss before it.
fn descend(
    learner: &mut Learner,
    places: &Places,
    made: &[f32],
    rate: f32,
    step: u32,
) -> Result<f32, ModelError> {
    let (roles, layout) = (&learner.roles, &learner.layout);
    let parameters = &learner.parameters;
    let (loss, slope) = gradient(learner.device, layout, roles, parameters, |network| {
        step_loss(learner, network, places, made)
    })?;
    check_step(step, loss, &slope)?;
    let stretches: Vec<_> = ranges(layout, &[Part::Encoder, Part::Energy])
        .into_iter()
        .map(|range| (range, rate))
        .collect();
    learner
        .pretrain
        .adam
        .step(&mut learner.parameters, &slope, &stretches, 0.0);
    Ok(loss)
}

/// Contrast loss of versions, from what each of them changes.
fn step_loss(
    learner: &Learner,
    network: &Network,
    places: &Places,
    made: &[f32],
) -> Result<Tensor, ModelError> {
    let values = table(made, values_count(&learner.roles), learner.device)?;
    let z = network.encode_versions(&values, places)?;
    contrast_loss(learner, network, &z)
}

/// Contrast loss of whole versions, and z of all of them.
fn whole_loss(
    learner: &Learner,
    network: &Network,
    rows: &[f32],
) -> Result<(Tensor, Tensor), ModelError> {
    let inputs = table(rows, learner.roles.inputs.len(), learner.device)?;
    let z = network.encode(&inputs)?;
    Ok((contrast_loss(learner, network, &z)?, z))
}

/// Contrast loss of z of all versions, in their order.
fn contrast_loss(learner: &Learner, network: &Network, z: &Tensor) -> Result<Tensor, ModelError> {
    let groups = learner.roles.groups.len() as i64;
    let versions = version_count(&learner.roles) as i64;
    let energies = network.energies(z)?.f_view([versions, -1, groups])?;
    loss::contrast(&energies, plain_count(&learner.roles))
}

impl HeldOut {
    /// Up to two payments in a row of up to [`HELD_OUT_CARDS`] cards among `rows`.
    fn new(learner: &Learner, examples: &Examples, rows: Vec<usize>) -> Self {
        let mut chance = Chance::new(0, HOLDING_OUT);
        let mut cards: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for row in rows {
            cards.entry(examples.card[row]).or_default().push(row);
        }
        let cards: Vec<Vec<usize>> = cards.into_values().collect();
        let mut order: Vec<usize> = (0..cards.len()).collect();
        chance.shuffle(&mut order);
        let (mut chosen, mut pairs) = (Vec::new(), Vec::new());
        for card in order.into_iter().take(HELD_OUT_CARDS) {
            let payments = &cards[card];
            if payments.len() > 1 {
                pairs.push((chosen.len(), chosen.len() + 1));
            }
            chosen.extend(payments.iter().take(2));
        }
        let made = versions(&learner.roles, examples, &chosen, &mut chance);
        Self {
            versions: whole(&learner.roles, &made),
            rows: chosen.len(),
            pairs,
        }
    }

    /// Loss and collapse measures of the learner's parameters on this slice.
    fn measure(&self, learner: &Learner) -> Result<(f32, Collapse), ModelError> {
        let _guard = tch::no_grad_guard();
        let flat = Tensor::f_from_slice(&learner.parameters)?;
        let flat = learner.device.hold(flat)?;
        let network = Network::new(&learner.layout, &learner.roles, &flat)?;
        let (loss, z) = whole_loss(learner, &network, &self.versions)?;
        let width = usize::from(learner.size.width);
        let z = z.f_narrow(0, 0, self.rows as i64)?.f_flatten(0, -1)?;
        let measures = collapse(&Vec::<f32>::try_from(z)?, width, &self.pairs)?;
        Ok((loss.f_double_value(&[])? as f32, measures))
    }
}

/// Rows to train on and the last tenth in time, each in order of time.
fn split(examples: &Examples) -> Result<(Vec<usize>, Vec<usize>), ModelError> {
    if examples.len() < ROWS_MIN {
        return Err(ModelError::TooFew {
            found: examples.len(),
            expected: ROWS_MIN,
        });
    }
    let mut rows: Vec<usize> = (0..examples.len()).collect();
    rows.sort_by_key(|&row| examples.ts[row]);
    let held = rows.split_off(rows.len() - rows.len() / HELD_OUT_PART);
    Ok((rows, held))
}

fn check(terms: &PretrainTerms) -> Result<(), ModelError> {
    term("steps", terms.steps as f32, 1.0..1e6, "1 to a million")?;
    term("batch", terms.batch as f32, 2.0..65_537.0, "2 to 65,536")?;
    term("rate", terms.rate, 0.0..1.0, "0 to below 1")?;
    term("rate_end", terms.rate_end, 0.0..1.0, "0 to below 1")
}

fn describe(held_out: f32, measures: &Collapse) -> String {
    let Collapse {
        alignment,
        uniformity,
        effective_rank,
    } = measures;
    format!(
        "held-out {held_out:.4} alignment {alignment:.3} uniformity {uniformity:.3} \
         rank {effective_rank:.1}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{NetworkSize, genesis, layout};
    use crate::synthetic;

    fn length(values: impl Iterator<Item = f32>) -> f64 {
        let squares = values.map(|value| f64::from(value).powi(2));
        squares.sum::<f64>().sqrt()
    }

    // Two orders of the same sums, over few rows: among many, a unit may lie so near a ReLU's kink
    // that rounding decides its slope. Planted: `true_embedded` without the periodic input's place,
    // as 0, 1, 2 and so on.
    #[test]
    fn a_step_over_changes_has_loss_and_gradient_of_whole_versions() {
        crate::threads(1);
        let cards = (synthetic::schema(), synthetic::population(20, 10, 1));
        let single = (synthetic::single(), synthetic::singles(200, 1));
        for (schema, examples) in [cards, single] {
            let size = NetworkSize::default();
            let flat = genesis(&layout(&schema, size), 3);
            let learner = Learner::new(&schema, size, &flat).unwrap();
            let (roles, layout, device) = (&learner.roles, &learner.layout, learner.device);
            let batch: Vec<usize> = (0..16).collect();
            let made = versions(roles, &examples, &batch, &mut Chance::new(5, TRAINING));
            let rows = whole(roles, &made);
            let places = Places::new(roles, device).unwrap();
            let (loss, slope) = gradient(device, layout, roles, &flat, |network| {
                step_loss(&learner, network, &places, &made)
            })
            .unwrap();
            let (expected, slope_expected) = gradient(device, layout, roles, &flat, |network| {
                whole_loss(&learner, network, &rows).map(|(loss, _)| loss)
            })
            .unwrap();
            assert!(
                (loss - expected).abs() <= 1e-5 * expected,
                "{loss} {expected}"
            );
            let pairs = slope.iter().zip(&slope_expected);
            let apart = length(pairs.map(|(found, expected)| found - expected));
            let long = length(slope_expected.iter().copied());
            assert!(long > 0.01 && apart <= 1e-5 * long, "{apart} of {long}");
        }
    }
}
