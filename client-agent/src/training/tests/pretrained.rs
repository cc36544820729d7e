//! What was pretrained and nothing more tells what surprises, and makes room for what scores.

use super::*;
use crate::scoring::Bundle;

/// A pretraining plan's result after this many of its two rounds, whose energies are not those that
/// were drawn.
fn pretrained(rounds: u32) -> Installed {
    let mut parameters = genesis::parameters(&model_terms());
    for range in genesis::ranges(&model_terms().layout, &[Part::Energy]) {
        parameters[range].iter_mut().for_each(|value| *value *= 2.0);
    }
    Installed {
        parameters: Some(Arc::new(parameters)),
        ..result(pretrain(), rounds - 1, &[])
    }
}

fn bundle(product: Option<Product>) -> Option<Bundle> {
    match product {
        Some(Product::Model(bundle)) => Some(bundle),
        Some(Product::Risk(_)) => panic!("a model was to be installed"),
        None => None,
    }
}

#[test]
fn what_a_plan_pretrained_tells_surprises_until_a_model_scores() {
    let (mut trainer, board) = trainer(Baseline::Off);
    assert!(trainer.install(&pretrained(1)).is_none());
    let ended = pretrained(2);
    let encoder = bundle(trainer.install(&ended)).unwrap();
    assert_eq!((encoder.slot, encoder.version), (Slot::Pretrained, 17));
    let root = genesis::model_root(ended.parameters.as_ref().unwrap());
    assert_eq!(encoder.digest, root.0);
    let energies = vec![0.0; FeatureSchema::standard().groups().len()];
    let surprises = encoder.usual.unwrap().surprises(17_025, &energies);
    assert!(surprises.len() == energies.len() && surprises.iter().all(Option::is_some));
    assert_eq!(board.read().model, None);
    // Another plan's takes its place; a model's is taken by none.
    assert!(trainer.install(&ended).is_some());
    let model = bundle(trainer.install(&result(finetune(), 1, &[]))).unwrap();
    assert_eq!(model.slot, Slot::Live);
    assert!(trainer.install(&ended).is_none());
    assert_eq!(board.read().model.unwrap().version, 17);
}

// Energies as they were drawn say what chance says; without the model there is nothing to say.
#[test]
fn what_was_not_pretrained_tells_nothing() {
    let (mut trainer, _) = trainer(Baseline::Off);
    assert!(trainer.install(&result(pretrain(), 1, &[])).is_none());
    let without = Installed {
        parameters: None,
        ..pretrained(2)
    };
    assert!(trainer.install(&without).is_none());
}
