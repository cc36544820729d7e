//! A bank's own model decides where held-out cards say that it would be worse off with what the
//! federation gives, and nowhere else.

use super::promotion::{Bank, at, changed, digest, of_one_day, pretrained, right_and_backwards};
use super::*;
use crate::config::Promote;
use crate::scoring::Bundle;

/// The last round of a plan that trains the bank's own model until it knows the frauds: they are
/// thirty times as large as anything else.
fn ending(of: &Installed) -> Installed {
    let Work::Finetune(mut training) = finetune() else {
        panic!("it fine-tunes")
    };
    training.steps = 400;
    Installed {
        parameters: of.parameters.clone(),
        ..result(Work::Finetune(training), 1, &[])
    }
}

/// A bank that trains its own model, and a result that is worse than that.
fn bank(rule: Promote) -> (Bank, Installed) {
    let own = config::Own {
        baseline: Baseline::Local,
        head: config::Head::Federation,
    };
    let (_, backwards) = right_and_backwards();
    (Bank::with(rule, own), ending(&backwards))
}

/// What scoring is given once the bank's own models are trained.
fn trained(bank: &mut Bank) -> Vec<Bundle> {
    let mut bundles = Vec::new();
    while bank.trainer.has_solo_work() {
        for product in bank.trainer.advance_solo() {
            let Product::Model(bundle) = product else {
                panic!("models are trained")
            };
            bundles.push(bundle);
        }
    }
    bundles
}

fn places(bundles: &[Bundle]) -> Vec<(Slot, Head)> {
    let places = bundles.iter().map(|bundle| (bundle.slot, bundle.head));
    places.collect()
}

/// A model that decides as the bank's own does: the federation's risk is not known here, so that
/// both read the same.
fn as_good(own: &Bundle, of: &Installed) -> Installed {
    changed(of, |parameters| parameters.copy_from_slice(&own.parameters))
}

#[test]
fn the_banks_own_model_decides_where_it_ranks_held_out_cards_better() {
    let (mut bank, worse) = bank(Promote::Calibrated);
    let placed = bank.install(&worse).unwrap();
    assert_eq!((placed.slot, placed.head), (Slot::Live, Head::Federation));
    let bundles = trained(&mut bank);
    let expected = [(Slot::Local, Head::Local), (Slot::Live, Head::Local)];
    assert_eq!(places(&bundles), expected);
    assert_eq!(bundles[0].parameters, bundles[1].parameters);
    let status = bank.status();
    let model = status.model.unwrap();
    assert_eq!(model.head, Head::Local);
    assert_eq!(model.parameters, Digest(bundles[1].digest).to_hex());
    assert_eq!(model.calibration_doubt, None);
    assert!(model.parity_max_abs.unwrap() <= model::PARITY_MAX);
    let refused = status.model_refused.unwrap();
    assert_eq!(refused.parameters, digest(&worse));
    let why = &refused.why;
    assert!(why.starts_with("average precision 0."), "{why}");
    assert!(
        why.contains(" held-out payments with 31 frauds, expected "),
        "{why}"
    );
    let metrics = bank.telemetry.render();
    let counted = "phalanx_models_refused_total{reason=\"outranked\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
    // There is no doubt about it, and nothing for anybody to do.
    assert!(metrics.contains("phalanx_newest_model_refused 0"));
}

// Of a plan of a single day five frauds are held out, too few for either's calibration.
#[test]
fn a_second_own_model_in_doubt_leaves_the_first_one_in_place() {
    let (mut bank, worse) = bank(Promote::Calibrated);
    bank.install(&worse).unwrap();
    let own = trained(&mut bank).pop().unwrap();
    let doubtful = Installed {
        step: 1,
        ..of_one_day(&worse)
    };
    assert!(bank.install(&at(18, &doubtful)).is_none());
    let bundles = trained(&mut bank);
    assert_eq!(places(&bundles), [(Slot::Local, Head::Local)]);
    assert_ne!(bundles[0].digest, own.digest);
    let model = bank.status().model.unwrap();
    let expected = (Head::Local, Digest(own.digest).to_hex());
    assert_eq!((model.head, model.parameters), expected);
    // It stands against what the federation gives next, too.
    let round = Installed { step: 0, ..worse };
    assert!(
        bank.install(&at(19, &of_the_outlet_alone(&round)))
            .is_none()
    );
    assert_eq!(bank.status().model.unwrap().head, Head::Local);
}

// The federation's newest ranks backwards: that, and not the older one that the bank's own beats,
// is what somebody has to look into.
#[test]
fn the_banks_own_model_does_not_hide_that_a_newer_one_was_refused() {
    let (mut bank, worse) = bank(Promote::Calibrated);
    bank.install(&worse).unwrap();
    trained(&mut bank);
    assert_eq!(bank.status().model_refused.unwrap().version, 17);
    assert!(bank.install(&at(18, &worse)).is_none());
    for retrained in [false, true] {
        if retrained {
            assert_eq!(places(&trained(&mut bank)), [(Slot::Local, Head::Local)]);
        }
        let status = bank.status();
        assert_eq!(status.model.unwrap().head, Head::Local);
        let refused = status.model_refused.unwrap();
        assert_eq!(refused.version, 18);
        assert!(refused.why.contains("rank backwards"), "{}", refused.why);
        let metrics = bank.telemetry.render();
        assert!(metrics.contains("phalanx_newest_model_refused 1"));
    }
    let counted = "phalanx_models_refused_total{reason=\"outranked\"} 2";
    assert!(bank.telemetry.render().contains(counted));
}

// No plan of the lineage pretrained here, as where it began with a released encoder, so the bank's
// own has nothing usual; but for that it decides, as the tests beside this one show.
#[test]
fn an_own_model_that_was_not_pretrained_does_not_end_surprises() {
    let (mut bank, worse) = bank(Promote::Calibrated);
    let placed = bank.install(&pretrained(&worse)).unwrap();
    assert!(placed.usual.is_some());
    assert_eq!(places(&trained(&mut bank)), [(Slot::Local, Head::Local)]);
    let status = bank.status();
    assert_eq!(status.model.unwrap().head, Head::Federation);
    assert_eq!(status.model_refused, None);
    let counted = "phalanx_models_refused_total{reason=\"outranked\"}";
    assert!(!bank.telemetry.render().contains(counted));
}

// The federation's model comes with what is usual after one that came without.
#[test]
fn an_own_model_that_was_not_pretrained_gives_way_to_one_that_was() {
    let (mut bank, worse) = bank(Promote::Calibrated);
    bank.install(&worse).unwrap();
    let own = trained(&mut bank).pop().unwrap();
    assert!(own.head == Head::Local && own.usual.is_none());
    let round = Installed { step: 0, ..worse };
    let poor = pretrained(&of_the_outlet_alone(&round));
    let placed = bank.install(&at(18, &poor)).unwrap();
    assert_eq!((placed.slot, placed.head), (Slot::Live, Head::Federation));
    assert!(placed.usual.is_some());
    assert_eq!(bank.status().model.unwrap().head, Head::Federation);
}

/// A model that knows one thing: how many frauds the outlet had in three weeks, the last but one of
/// the columns that enter the head. Of the payments at the frauds' outlet two in three are genuine.
fn of_the_outlet_alone(of: &Installed) -> Installed {
    let layout = model_terms().layout.0;
    let mut first = layout.iter();
    let first = first.find(|spec| spec.name == "head.first.weight").unwrap();
    let inputs = first.shape[1] as usize;
    changed(of, |parameters| {
        // Three layers of eight units, and their offsets; the last is one unit.
        let from = parameters.len() - (8 * inputs + 8 + 64 + 8 + 8 + 1);
        let head = &mut parameters[from..];
        head.fill(0.0);
        head[inputs - 2] = 1.0;
        head[8 * inputs + 8] = 1.0;
        head[8 * inputs + 8 + 64 + 8] = 1.0;
        head[8 * inputs + 8 + 64 + 8 + 8] = -4.0;
    })
}

// As the rounds of the next plans give them, at whose end nothing is trained here.
#[test]
fn the_federations_model_decides_where_it_is_as_good_and_while_it_is() {
    let (mut bank, worse) = bank(Promote::Calibrated);
    bank.install(&worse).unwrap();
    let own = trained(&mut bank).pop().unwrap();
    let round = Installed {
        step: 0,
        ..worse.clone()
    };
    let good = as_good(&own, &round);
    let placed = bank.install(&at(18, &good)).unwrap();
    assert_eq!((placed.slot, placed.head), (Slot::Live, Head::Federation));
    let status = bank.status();
    assert_eq!(status.model.unwrap().head, Head::Federation);
    assert_eq!(status.model_refused, None);
    let metrics = bank.telemetry.render();
    assert!(metrics.contains("phalanx_newest_model_refused 0"));

    let poor = of_the_outlet_alone(&round);
    let placed = bank.install(&at(19, &poor)).unwrap();
    assert_eq!((placed.slot, placed.head), (Slot::Live, Head::Local));
    assert_eq!(
        (placed.digest, placed.calibration),
        (own.digest, own.calibration)
    );
    // It is there already.
    assert!(bank.install(&at(20, &poor)).is_none());
    let status = bank.status();
    assert_eq!(status.model.unwrap().head, Head::Local);
    assert_eq!(status.model_refused.unwrap().version, 20);
    let metrics = bank.telemetry.render();
    let counted = "phalanx_models_refused_total{reason=\"outranked\"} 3";
    assert!(metrics.contains(counted), "{metrics}");
    // The poor one is well calibrated: alone it would decide.
    let mut other = Bank::with(
        Promote::Calibrated,
        config::Own {
            baseline: Baseline::Off,
            head: config::Head::Federation,
        },
    );
    assert!(other.install(&at(19, &poor)).is_some());
    assert_eq!(other.status().model.unwrap().calibration_doubt, None);
}

#[test]
fn a_bank_that_wants_each_model_gets_each_and_its_own_beside() {
    let (mut bank, worse) = bank(Promote::Always);
    bank.install(&worse).unwrap();
    assert_eq!(places(&trained(&mut bank)), [(Slot::Local, Head::Local)]);
    let status = bank.status();
    assert_eq!(status.model.unwrap().head, Head::Federation);
    assert_eq!(status.model_refused, None);
}
