//! A plan's terms as the schedule of its local steps. What follows from it in a round is
//! `model::schedule`'s.

use model::schedule::Schedule;
use protocol::plan::{Part, Training};

/// That of pretraining.
pub(super) fn pretrain(training: &Training) -> Schedule {
    Schedule {
        steps: training.steps,
        batch: training.batch,
        rate: training.rate,
        rate_encoder: training.rate_encoder,
        rate_end: training.rate_end,
        proximal: training.proximal,
    }
}

/// That of fine-tuning. What the plan does not sum is not trained either.
pub(super) fn finetune(training: &Training) -> Schedule {
    let summed = |part, rate: f32| {
        if training.parts.contains(&part) {
            rate
        } else {
            0.0
        }
    };
    Schedule {
        rate: summed(Part::Head, training.rate),
        rate_encoder: summed(Part::Encoder, training.rate_encoder),
        ..pretrain(training)
    }
}
