//! Where the bank is impatient, pretraining of its own model ends by the held-out loss.

use super::window::{Shown, Windows};
use super::*;
use crate::risk::SharedRisk;

const ROUNDS: u32 = 200;

/// A pretraining at a rate far too high, so that the held-out loss soon gets no better.
fn wild() -> Plan {
    let mut work = pretrain();
    if let Work::Pretrain(training) = &mut work {
        (training.rate, training.rate_end) = (0.3, 1.0);
    }
    plan::plan(work, ROUNDS)
}

/// A fine-tuning that leaves the parameters as they are.
fn still() -> Plan {
    let mut work = finetune();
    if let Work::Finetune(training) = &mut work {
        (training.rate, training.rate_encoder) = (0.0, 0.0);
    }
    plan::plan(work, 2)
}

/// Held-out losses of the baseline's rounds, how many rounds it took in all, and its parameters.
fn baseline(patience: Option<u32>) -> (Vec<f32>, usize, Vec<f32>) {
    let (trainer, board) = trainer(Baseline::Local);
    let mut trainer = trainer.patient(patience);
    trainer.install(&result_of(wild(), ROUNDS - 1, &[]));
    trainer.install(&result_of(still(), 1, &[]));
    let mut products = Vec::new();
    while trainer.has_solo_work() {
        products.extend(trainer.advance_solo());
    }
    let [Product::Model(bundle)] = &products[..] else {
        panic!("the last advance gives a model, and nothing else does")
    };
    let rounds = board.read().training;
    let losses = rounds.iter().filter_map(|round| round.held_out).collect();
    (losses, rounds.len(), bundle.parameters.to_vec())
}

/// The held-out loss of these parameters on the days that were pretrained on.
fn held_out(parameters: &[f32]) -> f32 {
    let history = sample(25, 20);
    let (mut windows, risk) = (Windows::default(), SharedRisk::default());
    let window = windows.encoded(&history, &risk, 17_010..17_017).unwrap();
    let examples = window.examples(17_024, Shown::All);
    let size = network::size_of(&model_terms(), history.schema()).unwrap();
    let mut learner = model::Learner::new(history.schema(), size, parameters).unwrap();
    let terms = model::PretrainTerms {
        steps: 1,
        batch: 2,
        rate: 0.0,
        rate_end: 0.0,
        seed: 1,
        patience: None,
    };
    learner
        .pretrain(examples, &terms, &mut ())
        .unwrap()
        .held_out
}

#[test]
fn the_baseline_ends_its_pretraining_where_rounds_get_no_better_and_goes_back_to_the_best() {
    let (losses, rounds, parameters) = baseline(Some(1));
    assert!(losses.len() < ROUNDS as usize, "{losses:?}");
    assert_eq!(rounds, losses.len() + 2, "fine-tuning has its two rounds");
    let best = losses.iter().copied().fold(f32::INFINITY, f32::min);
    let at = losses.iter().position(|loss| *loss == best).unwrap();
    assert_eq!(
        losses.len(),
        at + 3,
        "two rounds more than the best: {losses:?}"
    );
    assert_eq!(held_out(&parameters), best);
}

#[test]
fn without_patience_every_round_of_the_plan_is_trained() {
    let (losses, rounds, parameters) = baseline(None);
    assert_eq!(
        (losses.len(), rounds),
        (ROUNDS as usize, ROUNDS as usize + 2)
    );
    assert_eq!(held_out(&parameters), losses[ROUNDS as usize - 1]);
}
