//! What a plan's terms are in one of its rounds: the rates at its place on the cosine.

use model::schedule::{DROPOUT, Place, WEIGHT_DECAY};
use model::{FinetuneTerms, PretrainTerms};
use protocol::plan::{Part, Training};

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
