//! The largest network that commands lay out, once through all that two rounds do with it.

use model::network::{FREQUENCIES_MAX, WIDTH_MAX};
use model::{
    Calibration, Device, Examples, FinetuneTerms, Learner, NetworkSize, PretrainTerms, Scorer,
    logits_on,
};
use protocol::id::Seat;
use protocol::ledger::Optimizer;
use protocol::plan::{self, Part};
use protocol::{genesis, vector};

use super::super::recipe::{Kind, model_terms};
use super::super::sum::{Masks, Summing, Vector, WIDTH};
use super::*;

const SIZE: NetworkSize = NetworkSize {
    width: WIDTH_MAX,
    frequencies: FREQUENCIES_MAX,
    head: WIDTH_MAX,
};

/// Five days of two banks, every payment labelled.
fn rows(args: &Args, schema: &FeatureSchema) -> Vec<Examples> {
    let feed = feed(args);
    let days = FIRST_DAY as i32..FIRST_DAY as i32 + 5;
    let encoding = Encoding {
        table: None,
        reports: Reports::Known,
        delay: 7,
        days: days.clone(),
    };
    let of_bank = |bank: u32| {
        let book = book::Book::encode(&feed, schema, &encoding, |who| who % 2 == bank).unwrap();
        book.rows(&feed, &days, |at| f32::from(u8::from(at % 5 == 0)))
    };
    (0..2).map(of_bank).collect()
}

/// One step of a bank, at a rate that leaves the sums of a thousand inputs tame.
fn step(learner: &mut Learner, rows: &Examples, kind: Kind) {
    let (steps, batch, rate, seed) = (1, 16, 1e-4, 1);
    match kind {
        Kind::Pretrain => {
            let terms = PretrainTerms {
                steps,
                batch,
                rate,
                rate_end: rate,
                seed,
                patience: None,
            };
            learner.pretrain(rows, &terms, &mut ()).unwrap();
        }
        Kind::Finetune => {
            let terms = FinetuneTerms {
                steps,
                batch,
                rate_head: rate,
                rate_encoder: rate,
                dropout: 0.2,
                weight_decay: 0.0,
                proximal: 0.0,
                seed,
            };
            learner.finetune(rows, &terms, &mut ()).unwrap();
        }
    }
}

// Twenty bits a value: a step of the fixed point is a hundredth of what a parameter moves.
#[test]
fn the_largest_network_is_pretrained_fine_tuned_summed_and_scored() {
    let dir = tempfile::tempdir().unwrap();
    let args = arguments(dir.path(), &["--bits", "20"]);
    let (schema, terms) = (FeatureSchema::standard(), args.terms());
    model::threads(1);
    let model = model_terms(&schema, SIZE, 1);
    let encoder = genesis::count(&model.layout, &[Part::Encoder]);
    assert!((1_000_000..1_500_000).contains(&encoder), "{encoder}");
    let rows = rows(&args, &schema);
    let examples: u64 = rows.iter().map(|rows| rows.len() as u64).sum();
    let mut parameters = genesis::parameters(&model);
    let seed = crypto::Seed::from_entropy([7; 32]);
    let mut summing = Summing::new(seed.derive("masks", 0), Masks::On);
    for (kind, of_plan) in [
        (Kind::Pretrain, plan::Kind::Pretrain),
        (Kind::Finetune, plan::Kind::Finetune),
    ] {
        let training = terms
            .recipe
            .training(kind, &model, &terms.together, (examples, 2));
        let ranges = genesis::ranges(&model.layout, &training.parts);
        let bits = training.value_bits;
        let mut expected = vec![0.0; genesis::count(&model.layout, &training.parts)];
        let mut vectors = Vec::new();
        for (rows, bank) in rows.iter().zip(0..) {
            let mut learner = Learner::new(&schema, SIZE, &parameters).unwrap();
            step(&mut learner, rows, kind);
            let after = learner.parameters();
            let places = ranges.iter().cloned().flatten();
            let delta: Vec<f32> = places.map(|at| after[at] - parameters[at]).collect();
            let share = rows.len() as f32 / examples as f32;
            for (mean, value) in expected.iter_mut().zip(&delta) {
                *mean += share * value;
            }
            let seed = seed.derive("rounding", u64::from(bank));
            let count = rows.len() as u64;
            vectors.push(Vector {
                seat: Seat(bank),
                words: vector::encode_update(&delta, count, &training, bits, &seed).unwrap(),
                arrives: true,
            });
        }
        let sum = summing.sum(vectors).unwrap();
        let sum = vector::decode_sum(&sum, 2, bits, of_plan, WIDTH).unwrap();
        let update = vector::mean_update(&sum, &training);
        let moved = expected.iter().filter(|value| value.abs() > 5e-5).count();
        assert!(moved > expected.len() / 10, "{moved} of {}", expected.len());
        let pairs = update.iter().zip(&expected);
        let off = pairs.map(|(found, expected)| (found - expected).abs());
        let off = off.fold(0.0, f32::max);
        assert!(off < 4e-6, "{off}");
        Optimizer::default().step(&training.server, &update, &ranges, &mut parameters);
    }
    let scorer = Scorer::new(&schema, SIZE, &parameters, Calibration::default()).unwrap();
    for at in 0..3 {
        let row = rows[0].row(at);
        let kernel = scorer.score(row).unwrap()[0].logit;
        let libtorch = logits_on(Device::Cpu, &schema, SIZE, &parameters, row).unwrap()[0];
        assert!((kernel - libtorch).abs() <= 1e-5, "{kernel} {libtorch}");
    }
}
