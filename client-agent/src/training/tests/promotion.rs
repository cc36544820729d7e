//! A calibrated model gives way only to another such, as long as the bank says so, and a restart
//! knows which was in place.

use std::path::Path;

use host::telemetry::Telemetry;
use model::checkpoint::parameters_digest;
use model::{Calibration, Checkpoint};
use tempfile::TempDir;

use super::*;
use crate::config::Promote;
use crate::scoring::Bundle;
use crate::status::Status;

/// A bank and its store. Of the payments held out in the plans' week 31 are frauds, on its first
/// day 5.
pub(super) struct Bank {
    store: TempDir,
    pub(super) telemetry: Telemetry,
    pub(super) trainer: Trainer,
    board: Board,
}

impl Bank {
    fn new(rule: Promote) -> Self {
        Self::with_head(rule, config::Head::Federation)
    }

    fn with_head(rule: Promote, head: config::Head) -> Self {
        let baseline = Baseline::Off;
        Self::with(rule, config::Own { baseline, head })
    }

    pub(super) fn with(rule: Promote, own: config::Own) -> Self {
        let (store, telemetry) = (tempfile::tempdir().unwrap(), Telemetry::default());
        let (trainer, board) = started((rule, own), store.path(), &telemetry);
        Self {
            store,
            telemetry,
            trainer,
            board,
        }
    }

    /// The same bank after a restart.
    fn again(self, rule: Promote) -> Self {
        let own = config::Own {
            baseline: Baseline::Off,
            head: config::Head::Federation,
        };
        let (trainer, board) = started((rule, own), self.store.path(), &Telemetry::default());
        Self {
            trainer,
            board,
            ..self
        }
    }

    pub(super) fn install(&mut self, installed: &Installed) -> Option<Bundle> {
        match self.trainer.install(installed) {
            Some(Product::Model(bundle)) => Some(bundle),
            Some(Product::Risk(_)) => panic!("a model was to be installed"),
            None => None,
        }
    }

    pub(super) fn status(&self) -> Status {
        self.board.read()
    }

    /// What is wrong with the calibration of the model in place.
    fn doubt(&self) -> Option<String> {
        self.status().model.unwrap().calibration_doubt
    }
}

fn started(
    (rule, own): (Promote, config::Own),
    store: &Path,
    telemetry: &Telemetry,
) -> (Trainer, Board) {
    model::threads(1);
    let board = Board::default();
    let trainer = Trainer::new(sample(25, 400), own, board.clone());
    // From a score of 1 on people look at everything.
    let promotion = Promotion::new(rule, 1, store, telemetry);
    (trainer.promoting(promotion), board)
}

/// A plan's result, as good as it was drawn, whose logits are so many times as large.
fn loud(factor: f32) -> Installed {
    let mut parameters = genesis::parameters(&model_terms());
    // The last layer: eight weights and an offset.
    let last = parameters.len() - 9;
    for value in &mut parameters[last..] {
        *value *= factor;
    }
    Installed {
        parameters: Some(Arc::new(parameters)),
        ..result(finetune(), 0, &[])
    }
}

/// A result that ranks frauds above the others, and its reverse.
pub(super) fn right_and_backwards() -> (Installed, Installed) {
    let mut bank = Bank::new(Promote::Calibrated);
    bank.install(&loud(10.0));
    match bank.doubt() {
        None => (loud(10.0), loud(-10.0)),
        Some(_) => (loud(-10.0), loud(10.0)),
    }
}

/// The same model as a plan of a single day has it.
pub(super) fn of_one_day(of: &Installed) -> Installed {
    let Work::Finetune(mut training) = finetune() else {
        panic!("it fine-tunes")
    };
    training.to_day = training.from_day + 1;
    Installed {
        parameters: of.parameters.clone(),
        ..result(Work::Finetune(training), 0, &[])
    }
}

/// The same result elsewhere in the ledger.
pub(super) fn at(sequence: u64, of: &Installed) -> Installed {
    let mut result = RoundResult::clone(&of.result);
    let outcome = RoundOutcome {
        sequence,
        ..result.outcome.unverified().clone()
    };
    result.outcome = Signed::sign(outcome, &SigningKey::from_seed([3; 32]));
    Installed {
        result: Arc::new(result),
        ..of.clone()
    }
}

/// The same result of another consortium.
fn elsewhere(of: &Installed) -> Installed {
    let mut result = RoundResult::clone(&of.result);
    let manifest = Manifest {
        session: Digest([9; 32]),
        ..result.manifest.unverified().clone()
    };
    result.manifest = Signed::sign(manifest, &SigningKey::from_seed([3; 32]));
    Installed {
        result: Arc::new(result),
        ..of.clone()
    }
}

/// The same model as a plan of another lineage has it.
fn of_another_lineage(of: &Installed) -> Installed {
    let Work::Finetune(mut training) = finetune() else {
        panic!("it fine-tunes")
    };
    training.model.genesis_seed += 1;
    Installed {
        parameters: of.parameters.clone(),
        ..result(Work::Finetune(training), 0, &[])
    }
}

/// The same result with other parameters.
pub(super) fn changed(of: &Installed, change: impl Fn(&mut [f32])) -> Installed {
    let mut parameters = of.parameters.as_ref().unwrap().to_vec();
    change(&mut parameters);
    Installed {
        parameters: Some(Arc::new(parameters)),
        ..of.clone()
    }
}

/// Another model that ranks as this one does.
fn quieter(of: &Installed) -> Installed {
    changed(of, |parameters| {
        let last = parameters.len() - 9;
        parameters[last..]
            .iter_mut()
            .for_each(|value| *value *= 0.5);
    })
}

/// A model whose energies are not those that were drawn.
pub(super) fn pretrained(of: &Installed) -> Installed {
    changed(of, |parameters| {
        for range in genesis::ranges(&model_terms().layout, &[Part::Energy]) {
            parameters[range].iter_mut().for_each(|value| *value *= 2.0);
        }
    })
}

pub(super) fn digest(of: &Installed) -> String {
    genesis::model_root(of.parameters.as_ref().unwrap()).to_hex()
}

/// The same result, whose logits hang on rounding: two units of the head's second layer are a third
/// whatever the row, and the last layer takes a hundred thousand times the one from as much of the
/// other. In Python's fractions the kernel's sum, which begins with the offset, and one that is
/// fused, or begins or ends elsewhere, lie 0.0016 to 0.0032 apart; for the largest terms 0.001 is
/// left.
fn ill_conditioned(of: &Installed) -> Installed {
    changed(of, |parameters| {
        // 64 weights and 8 offsets of the second layer, 8 weights and an offset of the last.
        let from = parameters.len() - 81;
        let tail = &mut parameters[from..];
        tail[..16].fill(0.0);
        tail[64..66].fill(1.0 / 3.0);
        (tail[72], tail[73]) = (98_765.43, -98_765.43);
        tail[80] = -4.1;
    })
}

#[test]
fn a_model_that_would_not_score_as_it_was_trained_is_never_put_in_place() {
    let (right, _) = right_and_backwards();
    let wrong = ill_conditioned(&right);
    for rule in [Promote::Calibrated, Promote::Always] {
        let mut bank = Bank::new(rule);
        assert!(bank.install(&right).is_some());
        let before = bank.status().model.unwrap();
        assert_eq!(before.parity_rows, 2_800);
        assert!(before.parity_max_abs.unwrap() <= model::PARITY_MAX);
        assert!(bank.install(&wrong).is_none());
        let status = bank.status();
        assert_eq!(status.model, Some(before));
        let refused = status.model_refused.unwrap();
        assert_eq!(refused.parameters, digest(&wrong));
        assert!(
            refused.why.contains("expected 1e-5 or less"),
            "{}",
            refused.why
        );
        let metrics = bank.telemetry.render();
        let counted = "phalanx_models_refused_total{reason=\"parity\"} 1";
        assert!(metrics.contains(counted), "{metrics}");
        assert!(metrics.contains("phalanx_newest_model_refused 1"));
    }
    // Nor where there is none.
    let mut bank = Bank::new(Promote::Calibrated);
    assert!(bank.install(&wrong).is_none());
    assert_eq!(bank.status().model, None);
    assert!(bank.install(&right).is_some());
}

// Kept by a build whose kernel was another.
#[test]
fn a_kept_model_that_would_not_score_as_it_was_trained_is_not_resumed() {
    let (right, backwards) = right_and_backwards();
    let mut bank = Bank::new(Promote::Calibrated);
    bank.install(&at(8, &right)).unwrap();
    let (schema, folder) = (FeatureSchema::standard(), bank.store.path().join("live"));
    let mut kept = Checkpoint::load(&schema, &folder).unwrap();
    kept.parameters = ill_conditioned(&right).parameters.unwrap().to_vec();
    kept.card.parameters = parameters_digest(&kept.parameters);
    kept.save(&schema, &folder).unwrap();
    let mut bank = bank.again(Promote::Calibrated);
    let placed = bank.install(&at(9, &backwards)).unwrap();
    assert_eq!(placed.version, 9);
}

#[test]
fn a_model_that_ranks_backwards_leaves_the_calibrated_one_in_place() {
    let (right, backwards) = right_and_backwards();
    let mut bank = Bank::new(Promote::Calibrated);
    assert!(bank.install(&right).is_some());
    assert_eq!(bank.doubt(), None);
    assert!(bank.install(&backwards).is_none());
    let status = bank.status();
    assert_eq!(status.model.unwrap().parameters, digest(&right));
    let refused = status.model_refused.unwrap();
    assert_eq!(refused.parameters, digest(&backwards));
    assert!(refused.why.contains("rank backwards"), "{}", refused.why);
    let metrics = bank.telemetry.render();
    let counted = "phalanx_models_refused_total{reason=\"unfitted\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
    assert!(metrics.contains("phalanx_newest_model_refused 1"));
    // The next that is calibrated ends it.
    assert!(bank.install(&right).is_some());
    assert_eq!(bank.status().model_refused, None);
    let metrics = bank.telemetry.render();
    assert!(metrics.contains("phalanx_newest_model_refused 0"));
}

#[test]
fn a_model_with_few_frauds_held_out_leaves_the_calibrated_one_in_place() {
    let (right, _) = right_and_backwards();
    let mut bank = Bank::new(Promote::Calibrated);
    assert!(bank.install(&right).is_some());
    assert!(bank.install(&of_one_day(&right)).is_none());
    let refused = bank.status().model_refused.unwrap();
    let expected = "5 frauds among the held-out payments, expected 10 or more";
    assert_eq!(refused.why, expected);
}

#[test]
fn the_first_model_is_put_in_place_and_its_calibration_said_to_be_none() {
    let (right, backwards) = right_and_backwards();
    let mut bank = Bank::new(Promote::Calibrated);
    let first = bank.install(&backwards).unwrap();
    assert_eq!(first.calibration, Calibration::default());
    let model = bank.status().model.unwrap();
    assert_eq!((model.calibration_a, model.calibration_b), (1.0, 0.0));
    let doubt = bank.doubt().unwrap();
    assert!(doubt.starts_with("no calibration was fitted: "), "{doubt}");
    // What is in doubt gives way to what is in doubt, and to what is not.
    assert!(bank.install(&of_one_day(&right)).is_some());
    assert!(bank.doubt().is_some());
    assert!(bank.install(&right).is_some());
    assert_eq!((bank.doubt(), bank.status().model_refused), (None, None));
}

#[test]
fn a_bank_that_wants_each_model_gets_each() {
    let (right, backwards) = right_and_backwards();
    let mut bank = Bank::new(Promote::Always);
    assert!(bank.install(&right).is_some());
    assert!(bank.install(&backwards).is_some());
    assert!(bank.doubt().is_some());
    assert_eq!(bank.status().model_refused, None);
}

// The client gives the newest model of a lineage alone, which was refused before.
#[test]
fn after_a_restart_the_calibrated_model_is_in_place_again() {
    let (right, backwards) = right_and_backwards();
    let mut bank = Bank::new(Promote::Calibrated);
    let before = bank.install(&right).unwrap();
    assert!(bank.install(&backwards).is_none());
    let mut bank = bank.again(Promote::Calibrated);
    let resumed = bank.install(&backwards).unwrap();
    assert_eq!(resumed.digest, before.digest);
    assert_eq!(
        (resumed.calibration, resumed.version),
        (before.calibration, 17)
    );
    let status = bank.status();
    assert_eq!(status.model.unwrap().parameters, digest(&right));
    assert!(status.model_refused.is_some());
    // Said once, it is not delivered again.
    assert!(bank.install(&backwards).is_none());
    let mut bank = bank.again(Promote::Always);
    let placed = bank.install(&backwards).unwrap();
    assert_ne!(placed.digest, before.digest);
}

// The client gives the newest model of each lineage, the oldest first: A of place 5 and B of place
// 9, which was refused; not B of place 8, which was in place.
#[test]
fn after_a_restart_an_older_lineage_does_not_take_the_place_of_what_was_kept() {
    let (right, backwards) = right_and_backwards();
    let (older, kept) = (at(5, &of_another_lineage(&quieter(&right))), at(8, &right));
    let refused = at(9, &backwards);
    let mut bank = Bank::new(Promote::Calibrated);
    assert!(bank.install(&older).is_some());
    assert_eq!(bank.doubt(), None);
    let before = bank.install(&kept).unwrap();
    assert!(bank.install(&refused).is_none());
    // Twice: the first start leaves what is kept as it is.
    for _ in 0..2 {
        bank = bank.again(Promote::Calibrated);
        let resumed = bank.install(&older).unwrap();
        assert_eq!((resumed.digest, resumed.version), (before.digest, 8));
        assert_eq!(resumed.calibration, before.calibration);
        assert!(bank.install(&refused).is_none());
        let status = bank.status();
        assert_eq!(status.model.unwrap().version, 8);
        assert_eq!(status.model_refused.unwrap().version, 9);
    }
    // What is newer and calibrated goes on as ever, of whatever lineage.
    let newer = bank.install(&at(10, &older)).unwrap();
    assert_eq!(newer.version, 10);
    let mut bank = bank.again(Promote::Calibrated);
    assert_eq!(bank.install(&kept).unwrap().version, 10);
}

#[test]
fn what_another_consortium_put_in_place_is_not_resumed() {
    let (right, backwards) = right_and_backwards();
    let mut bank = Bank::new(Promote::Calibrated);
    bank.install(&at(8, &elsewhere(&right))).unwrap();
    let mut bank = bank.again(Promote::Calibrated);
    let placed = bank.install(&at(1, &right)).unwrap();
    assert_eq!(placed.version, 1);
    let mut bank = bank.again(Promote::Calibrated);
    let placed = bank.install(&at(2, &elsewhere(&backwards))).unwrap();
    assert_eq!(placed.version, 2);
}

#[test]
fn what_gave_way_under_always_is_not_resumed() {
    let (right, backwards) = right_and_backwards();
    let mut bank = Bank::new(Promote::Calibrated);
    bank.install(&at(8, &right)).unwrap();
    let mut bank = bank.again(Promote::Always);
    let placed = bank.install(&at(9, &backwards)).unwrap();
    let mut bank = bank.again(Promote::Calibrated);
    let again = bank.install(&at(9, &backwards)).unwrap();
    assert_eq!((again.digest, again.version), (placed.digest, 9));
}

#[test]
fn a_model_that_cannot_be_kept_leaves_no_earlier_one_to_resume() {
    let (right, backwards) = right_and_backwards();
    let mut bank = Bank::new(Promote::Calibrated);
    bank.install(&at(8, &right)).unwrap();
    // No file can be made where a folder is.
    let blocked = bank.store.path().join("live/parameters.partial");
    std::fs::create_dir(blocked).unwrap();
    assert_eq!(bank.install(&at(9, &quieter(&right))).unwrap().version, 9);
    assert_eq!(bank.doubt(), None);
    let mut bank = bank.again(Promote::Calibrated);
    let placed = bank.install(&at(10, &backwards)).unwrap();
    assert_eq!(placed.version, 10);
}

// The energies that a plan of another lineage began with are others.
#[test]
fn a_resumed_model_comes_with_what_is_usual_where_it_was_pretrained_itself() {
    let (right, backwards) = right_and_backwards();
    let doubtful = at(18, &of_another_lineage(&backwards));
    for (is_pretrained, kept) in [(false, right.clone()), (true, pretrained(&right))] {
        let mut bank = Bank::new(Promote::Calibrated);
        let before = bank.install(&kept).unwrap();
        assert_eq!(
            (bank.doubt(), before.usual.is_some()),
            (None, is_pretrained)
        );
        let mut bank = bank.again(Promote::Calibrated);
        let resumed = bank.install(&doubtful).unwrap();
        assert_eq!(resumed.digest, before.digest);
        assert_eq!(resumed.usual.is_some(), is_pretrained);
    }
}

#[test]
fn no_head_is_made_for_a_model_that_is_refused() {
    let (right, backwards) = right_and_backwards();
    let mut bank = Bank::with_head(Promote::Calibrated, config::Head::Personal);
    let last = |of: Installed| Installed { step: 1, ..of };
    assert!(bank.install(&right).is_some());
    assert!(bank.install(&last(backwards)).is_none());
    assert!(!bank.trainer.has_solo_work());
    assert!(bank.install(&last(right)).is_some());
    assert!(bank.trainer.has_solo_work());
}
