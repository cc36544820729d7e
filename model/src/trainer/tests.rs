//! What training must achieve on a made-up population, and that it repeats byte for byte.

use super::*;
use crate::calibration::Calibration;
use crate::chance::Chance;
use crate::evaluation::{auc, average_precision};
use crate::network::{Part, genesis};
use crate::parameters::ranges;
use crate::scorer::Scorer;
use crate::synthetic;

pub(super) fn learner(seed: u64) -> Learner {
    crate::threads(1);
    let schema = synthetic::schema();
    let size = NetworkSize::default();
    Learner::new(&schema, size, &genesis(&layout(&schema, size), seed)).unwrap()
}

pub(super) fn pretrain_terms(steps: u32) -> PretrainTerms {
    PretrainTerms {
        steps,
        batch: 128,
        rate: 3e-3,
        rate_end: 6e-5,
        seed: 5,
        patience: None,
    }
}

pub(super) fn finetune_terms(steps: u32) -> FinetuneTerms {
    FinetuneTerms {
        steps,
        batch: 128,
        rate_head: 2e-3,
        rate_encoder: 5e-4,
        dropout: 0.2,
        weight_decay: 1e-4,
        proximal: 0.0,
        seed: 6,
    }
}

fn scorer(learner: &Learner) -> Scorer {
    let schema = synthetic::schema();
    let flat = learner.parameters();
    Scorer::new(
        &schema,
        NetworkSize::default(),
        &flat,
        Calibration::default(),
    )
    .unwrap()
}

#[test]
fn two_learners_with_one_seed_end_with_equal_bits() {
    let examples = synthetic::population(60, 10, 1);
    let run = || {
        let mut learner = learner(3);
        learner
            .pretrain(&examples, &pretrain_terms(12), &mut ())
            .unwrap();
        let pretrained = learner.parameters();
        learner
            .finetune(&examples, &finetune_terms(12), &mut ())
            .unwrap();
        let bits = |flat: Vec<f32>| flat.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        (bits(pretrained), bits(learner.parameters()))
    };
    let (once, twice) = (run(), run());
    assert_eq!(once, twice);
    assert_ne!(once.0, once.1);
}

#[test]
fn another_seed_ends_elsewhere() {
    let examples = synthetic::population(30, 10, 1);
    let run = |seed| {
        let mut learner = learner(3);
        let terms = FinetuneTerms {
            seed,
            ..finetune_terms(3)
        };
        learner.finetune(&examples, &terms, &mut ()).unwrap();
        learner.parameters()
    };
    assert_ne!(run(1), run(2));
}

// Held-out loss must fall well below chance (ln 5 per group), and the amount's energy must tell
// true payments of unseen cards from the same with a shifted amount.
#[test]
fn pretraining_lowers_the_held_out_loss_and_separates_shifted_amounts() {
    let examples = synthetic::population(200, 12, 1);
    let mut learner = learner(3);
    let before = learner
        .pretrain(&examples, &pretrain_terms(1), &mut ())
        .unwrap();
    let after = learner
        .pretrain(&examples, &pretrain_terms(250), &mut ())
        .unwrap();
    assert!(
        after.held_out < 0.8 * before.held_out,
        "{before:?} {after:?}"
    );
    // A collapsed encoder has rank 1 and uniformity 0. A ReLU keeps z in one orthant, so that
    // even a diverse one stays far from -4. Pairs must lie closer than strangers.
    assert!(
        after.effective_rank > 2.0 && after.uniformity < -0.02,
        "{after:?}"
    );
    assert!(after.alignment < -after.uniformity, "{after:?}");

    let scorer = scorer(&learner);
    let unseen = synthetic::population(300, 1, 99);
    let mut chance = Chance::new(4, 0);
    let schema = synthetic::schema();
    let amount = schema.position("amount").unwrap();
    let (mut surprises, mut shifted) = (Vec::new(), Vec::new());
    for index in 0..unseen.len() {
        let mut row = unseen.row(index).to_vec();
        surprises.push(-scorer.energies(&row).unwrap()[0].1);
        row[amount] += 1.5 * chance.normal();
        synthetic::derive(&schema, &mut row);
        surprises.push(-scorer.energies(&row).unwrap()[0].1);
        shifted.extend([false, true]);
    }
    let found = auc(&surprises, &shifted).unwrap();
    assert!(found > 0.8, "AUC {found}");
}

// Chance is ln 4 per group: the true row among three perturbed ones, no swapped context.
#[test]
fn single_payments_are_learnt_against_the_population() {
    crate::threads(1);
    let (schema, size) = (synthetic::single(), NetworkSize::default());
    let flat = genesis(&layout(&schema, size), 3);
    let mut learner = Learner::new(&schema, size, &flat).unwrap();
    let examples = synthetic::singles(2_000, 1);
    let report = learner
        .pretrain(&examples, &pretrain_terms(200), &mut ())
        .unwrap();
    let chance = schema.groups().len() as f32 * 4.0_f32.ln();
    assert!(
        report.held_out < 0.9 * chance,
        "{report:?}, chance {chance}"
    );
    learner
        .finetune_annealed(&examples, &finetune_terms(300), &mut ())
        .unwrap();
    let unseen = synthetic::singles(2_000, 2);
    let flat = learner.parameters();
    let scorer = Scorer::new(&schema, size, &flat, Calibration::default()).unwrap();
    let scores = scorer.score(&unseen.values).unwrap();
    let scores: Vec<f32> = scores.iter().map(|score| score.logit).collect();
    let labels: Vec<bool> = unseen.label.iter().map(|&label| label > 0.5).collect();
    let found = average_precision(&scores, &labels).unwrap();
    assert!(found > 0.85, "AP {found}");
}

#[test]
fn fine_tuning_learns_a_planted_rule() {
    let examples = synthetic::population(300, 12, 1);
    let mut learner = learner(3);
    let report = learner
        .finetune_annealed(&examples, &finetune_terms(500), &mut ())
        .unwrap();
    assert_eq!(report.examples, 3_600);
    let unseen = synthetic::population(300, 6, 2);
    let scores: Vec<f32> = scorer(&learner)
        .score(&unseen.values)
        .unwrap()
        .iter()
        .map(|s| s.logit)
        .collect();
    let labels: Vec<bool> = unseen.label.iter().map(|&label| label > 0.5).collect();
    let found = average_precision(&scores, &labels).unwrap();
    assert!(found > 0.85, "AP {found}, {report:?}");
}

// The terms for few labels (docs/learn.md): the encoder stays as it is.
#[test]
fn a_linear_head_learns_what_is_linear_and_leaves_the_encoder_alone() {
    crate::threads(1);
    let (schema, usual) = (synthetic::schema(), NetworkSize::default());
    let size = NetworkSize { head: 0, ..usual };
    let layout = layout(&schema, size);
    let start = genesis(&layout, 3);
    let mut learner = Learner::new(&schema, size, &start).unwrap();
    let terms = FinetuneTerms {
        rate_head: 0.06,
        rate_encoder: 0.0,
        ..finetune_terms(300)
    };
    let examples = synthetic::population(300, 12, 1);
    let report = learner.finetune_annealed(&examples, &terms, &mut ());
    let report = report.unwrap();
    let learnt = learner.parameters();
    for encoder in ranges(&layout, &[Part::Encoder]) {
        assert_eq!(start[encoder.clone()], learnt[encoder]);
    }
    let unseen = synthetic::population(300, 6, 2);
    let scorer = Scorer::new(&schema, size, &learnt, Calibration::default()).unwrap();
    let scores = scorer.score(&unseen.values).unwrap();
    let scores: Vec<f32> = scores.iter().map(|score| score.logit).collect();
    let labels: Vec<bool> = unseen.label.iter().map(|&label| label > 0.5).collect();
    let found = average_precision(&scores, &labels).unwrap();
    assert!(found > 0.85, "AP {found}, {report:?}");
}

#[test]
fn each_training_moves_its_own_parts_only() {
    let examples = synthetic::population(30, 10, 1);
    let schema = synthetic::schema();
    let layout = layout(&schema, NetworkSize::default());
    let still = |before: &[f32], after: &[f32], part| {
        ranges(&layout, &[part])
            .into_iter()
            .all(|r| before[r.clone()] == after[r])
    };
    let mut learner = learner(3);
    let start = learner.parameters();
    learner
        .pretrain(&examples, &pretrain_terms(2), &mut ())
        .unwrap();
    let pretrained = learner.parameters();
    assert!(still(&start, &pretrained, Part::Head));
    assert!(!still(&start, &pretrained, Part::Encoder));
    assert!(!still(&start, &pretrained, Part::Energy));
    learner
        .finetune(&examples, &finetune_terms(2), &mut ())
        .unwrap();
    assert!(still(&pretrained, &learner.parameters(), Part::Energy));
    assert!(!still(&pretrained, &learner.parameters(), Part::Head));
}

// Moments make the second call's first step differ from a fresh learner's.
#[test]
fn moments_outlive_a_load() {
    let examples = synthetic::population(30, 10, 1);
    let mut kept = learner(3);
    kept.finetune(&examples, &finetune_terms(5), &mut ())
        .unwrap();
    let start = learner(9).parameters();
    kept.load(&start).unwrap();
    assert_eq!(kept.parameters(), start);
    let mut fresh = learner(9);
    kept.finetune(&examples, &finetune_terms(1), &mut ())
        .unwrap();
    fresh
        .finetune(&examples, &finetune_terms(1), &mut ())
        .unwrap();
    assert_ne!(kept.parameters(), fresh.parameters());
}

#[test]
fn the_proximal_term_keeps_parameters_near_their_start() {
    let examples = synthetic::population(60, 10, 1);
    let distance = |proximal| {
        let mut learner = learner(3);
        let start = learner.parameters();
        let terms = FinetuneTerms {
            proximal,
            ..finetune_terms(60)
        };
        learner.finetune(&examples, &terms, &mut ()).unwrap();
        let moved = learner.parameters();
        moved
            .iter()
            .zip(&start)
            .map(|(a, b)| (a - b).powi(2))
            .sum::<f32>()
    };
    assert!(distance(1.0) < 0.7 * distance(0.0));
}

#[test]
fn patience_stops_early_and_restores_the_best() {
    let examples = synthetic::population(40, 10, 1);
    let mut learner = learner(3);
    // A rate far too high, so that the held-out loss soon stops improving.
    let terms = PretrainTerms {
        steps: 1_000,
        batch: 16,
        rate: 0.3,
        rate_end: 0.3,
        seed: 1,
        patience: Some(1),
    };
    let mut heard = Vec::new();
    let report = learner
        .pretrain(&examples, &terms, &mut Notes(&mut heard))
        .unwrap();
    assert!(report.steps < 1_000 && !heard.is_empty());
    let best = heard.iter().copied().fold(f32::INFINITY, f32::min);
    assert!((report.held_out - best).abs() < 1e-3, "{report:?} {best}");
}

/// Keeps the held-out losses that the notes carry.
struct Notes<'a>(&'a mut Vec<f32>);

impl Progress for Notes<'_> {
    fn step(&mut self, _done: u32, _of: u32, _loss: f32, note: &str) {
        if let Some(held_out) = note.split_whitespace().nth(1) {
            self.0.push(held_out.parse().unwrap());
        }
    }
}

#[test]
fn what_cannot_be_trained_on_is_refused() {
    let mut learner = learner(3);
    let mut examples = synthetic::population(10, 5, 1);
    examples.values[3] = f32::NAN;
    let error = learner
        .finetune(&examples, &finetune_terms(1), &mut ())
        .unwrap_err();
    assert!(
        matches!(error, ModelError::NotFinite { row: 0, .. }),
        "{error}"
    );

    let few = synthetic::population(5, 1, 1);
    let error = learner
        .pretrain(&few, &pretrain_terms(1), &mut ())
        .unwrap_err();
    assert!(
        matches!(error, ModelError::TooFew { found: 5, .. }),
        "{error}"
    );

    let mut unlabelled = synthetic::population(10, 5, 1);
    unlabelled.label.fill(f32::NAN);
    let error = learner
        .finetune(&unlabelled, &finetune_terms(1), &mut ())
        .unwrap_err();
    assert!(
        matches!(error, ModelError::TooFew { found: 0, .. }),
        "{error}"
    );

    let terms = FinetuneTerms {
        dropout: 1.0,
        ..finetune_terms(1)
    };
    let error = learner.finetune(&few, &terms, &mut ()).unwrap_err();
    assert!(
        matches!(
            error,
            ModelError::Term {
                name: "dropout",
                ..
            }
        ),
        "{error}"
    );
    assert!(learner.load(&[0.0]).is_err());
}

// A value so large that its square overflows makes the gradient infinite.
#[test]
fn divergence_is_noticed_and_leaves_the_parameters() {
    let mut learner = learner(3);
    let start = learner.parameters();
    let mut examples = synthetic::population(10, 5, 1);
    examples.values.fill(f32::MAX);
    let error = learner
        .finetune(&examples, &finetune_terms(1), &mut ())
        .unwrap_err();
    assert!(matches!(error, ModelError::Diverged { step: 0 }), "{error}");
    assert_eq!(learner.parameters(), start);
}

// Adam's first step has the size of the rate wherever there is any slope, and where the slope is
// nearly none, the order of a sum may turn its sign: parameters agree on average, not one by one.
#[test]
fn a_step_on_cuda_is_the_step_on_the_processor() {
    if !Device::Cuda.is_available() {
        eprintln!("skipped: this libtorch has no CUDA device");
        let refused = learner(3).on(Device::Cuda);
        assert!(matches!(refused, Err(ModelError::NoCuda)));
        return;
    }
    let examples = synthetic::population(60, 10, 1);
    let start = learner(3).parameters();
    let step = |device| {
        let mut learner = learner(3).on(device).unwrap();
        let pretrained = learner
            .pretrain(&examples, &pretrain_terms(1), &mut ())
            .unwrap();
        let after = learner.parameters();
        learner.load(&start).unwrap();
        let finetuned = learner
            .finetune(&examples, &finetune_terms(1), &mut ())
            .unwrap();
        let losses = [pretrained.loss, finetuned.loss];
        (losses, [after, learner.parameters()], pretrained.held_out)
    };
    let (cpu, cuda) = (step(Device::Cpu), step(Device::Cuda));
    for (a, b) in cpu.0.iter().zip(&cuda.0) {
        assert!((a - b).abs() < 1e-4, "losses {:?} {:?}", cpu.0, cuda.0);
    }
    for (a, b) in cpu.1.iter().zip(&cuda.1) {
        let distance: f32 = a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum();
        let mean = distance / a.len() as f32;
        assert!(mean < 1e-4, "parameters lie {mean} apart");
    }
    assert!((cpu.2 - cuda.2).abs() < 1e-2, "{} {}", cpu.2, cuda.2);
}
