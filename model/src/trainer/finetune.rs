//! Fine-tuning: encoder and head on the rows whose label is known, with AdamW, dropout and, where
//! the terms say so, a pull towards the parameters the call began with.

use std::ops::Range;

use tch::Tensor;

use super::labelled::{Batch, Labelled};
use super::{FinetuneReport, FinetuneTerms, Learner, check_step, recent_mean, term};
use crate::adam::cosine;
use crate::chance::{Chance, Draws};
use crate::device::Device;
use crate::error::ModelError;
use crate::examples::Examples;
use crate::forward::{Dropout, gradient, table};
use crate::loss;
use crate::network::Part;
use crate::parameters::ranges;
use crate::progress::Progress;

pub(super) const TRAINING: u64 = 3;
/// Share of the rates that is left at the end of a cosine.
const END_SHARE: f32 = 0.02;

/// How the rates move over the steps of one call.
#[derive(Clone, Copy)]
pub(super) enum Schedule {
    Constant,
    Cosine,
}

impl Schedule {
    fn share(self, step: u32, steps: u32) -> f32 {
        match self {
            Self::Constant => 1.0,
            Self::Cosine => cosine(1.0, END_SHARE, step, steps),
        }
    }
}

pub(super) fn run(
    learner: &mut Learner,
    examples: &Examples,
    terms: &FinetuneTerms,
    schedule: Schedule,
    progress: &mut dyn Progress,
) -> Result<FinetuneReport, ModelError> {
    check(terms)?;
    let Labelled { rows, frauds } = Labelled::of(examples)?;
    let start = learner.parameters.clone();
    let kept = learner.finetune.draws.take();
    let mut draws = Draws::going_on(kept, (terms.seed, TRAINING), rows.len());
    let mut losses = Vec::new();
    let encoder = ranges(&learner.layout, &[Part::Encoder]);
    let head = ranges(&learner.layout, &[Part::Head]);
    for step in 0..terms.steps {
        let batch = draws.batch(&rows, terms.batch as usize);
        let chance = &mut draws.chance;
        let (loss, mut slope) = slope(learner, examples, &batch, terms.dropout, chance)?;
        check_step(step, loss, &slope)?;
        let share = schedule.share(step, terms.steps);
        let stretches: Vec<(Range<usize>, f32)> = [
            encoder
                .iter()
                .map(|r| (r.clone(), terms.rate_encoder * share))
                .collect::<Vec<_>>(),
            head.iter()
                .map(|r| (r.clone(), terms.rate_head * share))
                .collect(),
        ]
        .concat();
        if terms.proximal > 0.0 {
            pull(&mut slope, &learner.parameters, &start, terms.proximal);
        }
        learner.finetune.adam.step(
            &mut learner.parameters,
            &slope,
            &stretches,
            terms.weight_decay,
        );
        losses.push(loss);
        progress.step(step + 1, terms.steps, loss, "");
    }
    learner.finetune.draws = Some(draws);
    Ok(FinetuneReport {
        loss: recent_mean(&losses),
        examples: rows.len() as u32,
        frauds,
        steps: terms.steps,
    })
}

/// Loss and flat gradient of one batch.
fn slope(
    learner: &Learner,
    examples: &Examples,
    batch: &[usize],
    dropout: f32,
    chance: &mut Chance,
) -> Result<(f32, Vec<f32>), ModelError> {
    let Batch {
        inputs,
        beside,
        labels,
    } = Batch::of(learner, examples, batch)?;
    let device = learner.device;
    let shape = (batch.len(), learner.size.head);
    let mut mask = || drop_mask(shape, dropout, chance, device);
    let dropout = match dropout > 0.0 && learner.size.head > 0 {
        true => Some(Dropout {
            first: mask()?,
            second: mask()?,
        }),
        false => None,
    };
    let (layout, parameters) = (&learner.layout, &learner.parameters);
    gradient(device, layout, &learner.roles, parameters, |network| {
        let z = network.encode(&inputs)?;
        loss::fraud(&network.logits(&z, &beside, dropout.as_ref())?, &labels)
    })
}

/// 0 with probability `share`, else 1 / (1 - share), so that the mean stays.
fn drop_mask(
    (rows, width): (usize, u16),
    share: f32,
    chance: &mut Chance,
    device: Device,
) -> Result<Tensor, ModelError> {
    let width = usize::from(width);
    let kept = 1.0 / (1.0 - share);
    let mask: Vec<f32> = (0..rows * width)
        .map(|_| if chance.uniform() < share { 0.0 } else { kept })
        .collect();
    table(&mask, width, device)
}

/// Adds the gradient of `strength`/2 · |parameters - start|².
fn pull(slope: &mut [f32], parameters: &[f32], start: &[f32], strength: f32) {
    for ((slope, parameter), start) in slope.iter_mut().zip(parameters).zip(start) {
        *slope += strength * (parameter - start);
    }
}

fn check(terms: &FinetuneTerms) -> Result<(), ModelError> {
    term("steps", terms.steps as f32, 1.0..1e6, "1 to a million")?;
    term("batch", terms.batch as f32, 1.0..65_537.0, "1 to 65,536")?;
    term("rate_head", terms.rate_head, 0.0..1.0, "0 to below 1")?;
    term("rate_encoder", terms.rate_encoder, 0.0..1.0, "0 to below 1")?;
    term("dropout", terms.dropout, 0.0..1.0, "0 to below 1")?;
    term(
        "weight_decay",
        terms.weight_decay,
        0.0..10.0,
        "0 to below 10",
    )?;
    term("proximal", terms.proximal, 0.0..1e4, "0 to below 10,000")
}
