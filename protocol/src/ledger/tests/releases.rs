//! Lineages that start from a model of another one: from what a plan ended with, from what a host
//! brought, or followed without either.

use super::*;
use crate::genesis::ranges;
use crate::plan::Init;

const PRETRAINED: [Part; 2] = [Part::Encoder, Part::Energy];

fn release(values: f32) -> Release {
    let model = fixture::model();
    let parameters = (0..26).map(|at| values + at as f32 / 64.0).collect();
    Release::new(model.schema.digest(), model.layout, Arc::new(parameters)).unwrap()
}

fn started(root: Digest, parts: &[Part]) -> Training {
    let mut training = fixture::training();
    training.model.base = Some(Base {
        root,
        parts: parts.to_vec(),
    });
    training
}

fn values(ledger: &Ledger, model: &ModelTerms) -> Vec<f32> {
    ledger.model(model).unwrap().0.to_vec()
}

/// Every party has what a plan ended with: no file is needed for what comes of it.
#[test]
fn lineage_takes_its_parts_from_what_a_plan_ended_with() {
    let mut ledger = Ledger::new(fixture::session());
    let plan = finetune(FEDADAM, 2);
    ledger.apply(&trained(&ledger, &plan)).unwrap();
    let midway = ledger.model(&fixture::model()).unwrap().1;
    ledger.apply(&trained(&ledger, &plan)).unwrap();
    let (end, root) = ledger.model(&fixture::model()).unwrap();
    assert!(ledger.model(&started(midway, &PRETRAINED).model).is_none());

    let fresh = started(root, &PRETRAINED).model;
    let first = values(&ledger, &fresh);
    for range in ranges(&fresh.layout, &PRETRAINED) {
        assert_eq!(first[range.clone()], end[range]);
    }
    assert!(first[19..24].iter().all(|&value| value == -4.0));
    assert_ne!(end[19..24], first[19..24]);
    let all = [Part::Encoder, Part::Energy, Part::Head];
    assert_eq!(values(&ledger, &started(root, &all).model), *end);
}

/// What a plan ended with is held for so many plans, then only where somebody brings it.
#[test]
fn ends_of_plans_are_held_for_a_while() {
    let mut ledger = Ledger::new(fixture::session());
    let mut roots = Vec::new();
    for nonce in 0..=RELEASES_KEPT as u64 {
        let plan = Plan {
            nonce,
            ..finetune(FEDADAM, 1)
        };
        ledger.apply(&trained(&ledger, &plan)).unwrap();
        roots.push(ledger.model(&fixture::model()).unwrap().1);
    }
    let held = |root: &Digest| ledger.model(&started(*root, &PRETRAINED).model).is_some();
    let held: Vec<bool> = roots.iter().map(held).collect();
    assert_eq!(held, [false, true, true, true, true]);
}

/// Of another schema, with a tensor of another shape, or under another name, it is another model.
#[test]
fn release_that_does_not_fit_is_not_started_from() {
    let mut ledger = Ledger::new(fixture::session());
    let release = release(0.0);
    let root = release.root();
    ledger.bring(release);
    let fits = |change: fn(&mut ModelTerms)| {
        let mut model = started(root, &PRETRAINED).model;
        change(&mut model);
        ledger.model(&model).is_some()
    };
    assert!(fits(|_| {}));
    assert!(fits(|it| it.genesis_seed += 1));
    assert!(
        fits(|it| it.layout.0[3].shape = vec![7]),
        "its head is drawn"
    );
    assert!(!fits(|it| it.schema.0.push('#')));
    assert!(!fits(|it| it.layout.0[0].shape = vec![4, 3]));
    assert!(!fits(|it| it.layout.0[2].name.push('2')));
    let model = fixture::model();
    let schema = model.schema.digest();
    for parameters in [vec![0.0; 25], vec![f32::NAN; 26]] {
        let made = Release::new(schema, model.layout.clone(), Arc::new(parameters));
        assert_eq!(made, None);
    }
}

/// A bank without the file, and the coordinator, follow the chain to the same head; who brings it
/// later computes what the others have.
#[test]
fn lineage_is_followed_without_its_base() {
    let base = release(0.5);
    let plan = fixture::plan(Work::Finetune(started(base.root(), &PRETRAINED)), 2);
    let model = plan.work.model().unwrap();
    let (mut with, mut without) = (
        Ledger::new(fixture::session()),
        Ledger::new(fixture::session()),
    );
    with.bring(base.clone());
    let mut results = Vec::new();
    for _ in 0..2 {
        assert_eq!(with.base(&plan), without.base(&plan));
        let result = trained(&without, &plan);
        assert!(with.apply(&result).unwrap().parameters.is_some());
        assert_eq!(without.apply(&result).unwrap().parameters, None);
        results.push(result);
    }
    assert_eq!(with.head(), without.head());
    assert_ne!(values(&with, model), base.first(model).unwrap());
    // Its first parameters are not what it is by now.
    without.bring(base.clone());
    assert!(without.model(model).is_none());
    let missing = without.spends(&plan, without.base(&plan)).unwrap_err();
    assert_eq!(missing, Refusal::ReleaseMissing(base.root()));
    let mut again = Ledger::new(fixture::session());
    again.bring(base);
    results.iter().for_each(|it| drop(again.apply(it).unwrap()));
    assert_eq!(values(&again, model), values(&with, model));
}

/// A7: a lineage with a base may be begun under any seed; its banks reveal on one model once.
#[test]
fn what_is_revealed_on_a_base_counts_for_every_lineage_that_trains_it() {
    let mut ledger = Ledger::new(fixture::session());
    let end = finetune(FEDADAM, 1);
    ledger.apply(&trained(&ledger, &end)).unwrap();
    let (_, root) = ledger.model(&fixture::model()).unwrap();
    let spends = |ledger: &Ledger, plan: &Plan| ledger.spends(plan, ledger.base(plan)).unwrap();
    let pretrain = |mut training: Training, seed| {
        training.parts = PRETRAINED.to_vec();
        training.model.genesis_seed = seed;
        training.model.layout.0[3].init = Init::Uniform(0.5);
        fixture::plan(Work::Pretrain(training), 3)
    };
    let mut own = fixture::training();
    own.parts = PRETRAINED.to_vec();
    let own = fixture::plan(Work::Pretrain(own), 3);
    let one = pretrain(started(root, &PRETRAINED), 1);
    let other = pretrain(started(root, &PRETRAINED), 2);
    assert_ne!(ledger.base(&one), ledger.base(&other));
    assert_eq!(spends(&ledger, &one), spends(&ledger, &other));
    assert_eq!(spends(&ledger, &one), spends(&ledger, &own));
    assert_eq!(spends(&ledger, &own), ledger.base(&own));
    // Fresh heads of two seeds are two models.
    let tuned = |plan: &Plan| {
        let Work::Pretrain(training) = &plan.work else {
            panic!("a pretraining plan");
        };
        let training = Training {
            parts: vec![Part::Encoder, Part::Head],
            ..training.clone()
        };
        fixture::plan(Work::Finetune(training), 3)
    };
    let (first, second) = (tuned(&one), tuned(&other));
    assert_ne!(spends(&ledger, &first), spends(&ledger, &second));
    let before = spends(&ledger, &first);
    ledger.apply(&trained(&ledger, &first)).unwrap();
    assert_ne!(spends(&ledger, &first), before);
    // A sum of nothing is a result, and moves no model: it may not be asked for again.
    let before = (ledger.base(&one), spends(&ledger, &one));
    let nothing = vec![vector::encode_counts(&[0; 21], 27).unwrap(); 5];
    ledger
        .apply(&fixture::result(&ledger, &one, &nothing))
        .unwrap();
    assert_ne!(ledger.base(&one), before.0);
    assert_eq!(spends(&ledger, &one), before.1);
}

/// Who does not hold the base cannot see that the model left the numbers, so nobody stops for it.
#[test]
fn model_that_leaves_the_numbers_ends_and_the_chain_goes_on() {
    let base = release(f32::MAX);
    let mut training = started(base.root(), &PRETRAINED);
    training.server = ServerRule::FedAvg { rate: f32::MAX };
    let plan = fixture::plan(Work::Finetune(training), 2);
    let mut ledger = Ledger::new(fixture::session());
    ledger.bring(base);
    assert!(ledger.model(plan.work.model().unwrap()).is_some());
    let applied = ledger.apply(&trained(&ledger, &plan)).unwrap();
    assert_eq!(applied.parameters, None);
    assert!(ledger.model(plan.work.model().unwrap()).is_none());
    ledger.apply(&trained(&ledger, &plan)).unwrap();
    assert_eq!(ledger.length(), 2);
}
