//! What a plan ends with is kept in the store, once, under its own name.

use super::*;
use crate::releases::Releases;

#[test]
fn what_a_plan_ends_with_is_kept_and_nothing_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let releases = Releases::new(dir.path(), FeatureSchema::standard());
    let (trainer, _) = trainer(Baseline::Off);
    let mut trainer = trainer.releasing(releases.clone());
    let payload = vec![0; genesis::count(&model_terms().layout, &[Part::Encoder, Part::Energy])];
    assert!(trainer.install(&result(pretrain(), 0, &payload)).is_none());
    assert_eq!(releases.held(), []);
    // As a client installs it again when it starts.
    for _ in 0..2 {
        assert!(trainer.install(&result(pretrain(), 1, &payload)).is_none());
    }
    let held = releases.held();
    let [held] = &held[..] else {
        panic!("{} models are held, expected one", held.len());
    };
    let parameters = genesis::parameters(&model_terms());
    assert_eq!(held.root, genesis::model_root(&parameters));
    assert_eq!(held.checkpoint.parameters, parameters);
    assert_eq!(held.checkpoint.card.steps, 10);
    let said = held.checkpoint.card.release.clone().unwrap();
    assert_eq!(said.root, held.root.to_hex());
    let said = (&said.kind[..], &said.plan[..], said.sequence);
    assert_eq!(said, ("pretrain", "sample", 17));
}

#[test]
fn a_result_without_its_model_is_of_no_use_and_harms_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let releases = Releases::new(dir.path(), FeatureSchema::standard());
    let (trainer, board) = trainer(Baseline::Off);
    let mut trainer = trainer.releasing(releases.clone());
    let payload = vec![0; genesis::count(&model_terms().layout, &[Part::Encoder, Part::Head])];
    let installed = Installed {
        parameters: None,
        ..result(finetune(), 1, &payload)
    };
    assert!(trainer.install(&installed).is_none());
    assert_eq!(releases.held(), []);
    assert_eq!(board.read().model, None);
}
