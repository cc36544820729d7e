//! Plans that start from a model of another lineage: only for banks that hold it, and spent as
//! that model is.

use std::sync::Arc;

use super::rig::{Answer, Rig, identity, policy};
use crate::blame::Refusal;
use crate::client::{Client, Kept};
use crate::fixture::{self, seats};
use crate::genesis::Release;
use crate::message::ToCoordinator;
use crate::plan::{Base, Kind, Part, Plan, Training, Work};

const PRETRAINED: [Part; 2] = [Part::Encoder, Part::Energy];

fn release() -> Release {
    let model = fixture::model();
    let parameters = (0..26).map(|at| at as f32 / 64.0).collect();
    Release::new(model.schema.digest(), model.layout, Arc::new(parameters)).unwrap()
}

fn started() -> Training {
    let mut training = fixture::training();
    training.parts = PRETRAINED.to_vec();
    training.model.base = Some(Base {
        root: release().root(),
        parts: PRETRAINED.to_vec(),
    });
    training
}

fn refusal(answer: &Answer) -> Refusal {
    assert_eq!(answer.orders, [], "nothing is trained for it");
    match &answer.sent[..] {
        [ToCoordinator::Declined(declined)] => declined.refusal.clone(),
        other => panic!("{other:?}"),
    }
}

fn bring(rig: &mut Rig, seat: u16) {
    rig.bank(seat).client.bank.ledger.bring(release());
}

#[test]
fn bank_without_the_model_declines_and_with_it_trains_from_it() {
    let mut rig = Rig::agreed(5, Work::Pretrain(started()));
    let manifest = rig.manifest(1, 0, &seats(0..5));
    let missing = Refusal::ReleaseMissing(release().root());
    assert!(missing.to_string().contains("model import"), "{missing}");
    let answer = rig.offered(0, &manifest);
    assert_eq!(refusal(&answer), missing);
    bring(&mut rig, 1);
    let answer = rig.offered(1, &manifest);
    let [order] = &answer.orders[..] else {
        panic!("{:?} {:?}", answer.sent, answer.events);
    };
    let expected: Vec<f32> = (0..19).map(|at| at as f32 / 64.0).collect();
    assert_eq!(order.parameters[..19], expected);
    assert_eq!(order.parameters[19..24], [-4.0; 5]);
}

#[test]
fn client_starts_with_the_models_its_host_kept() {
    let seed = || crypto::Seed::from_entropy([1; 32]);
    let client = |releases| {
        let kept = Kept {
            bucket_key: None,
            releases,
        };
        Client::recover(identity(0), policy(), Vec::new(), kept, seed()).unwrap()
    };
    let model = started().model;
    let held = client(vec![release()]);
    let (parameters, _) = held.ledger().model(&model).unwrap();
    assert_eq!(*parameters, release().first(&model).unwrap());
    assert!(client(Vec::new()).ledger().model(&model).is_none());
}

/// A7: another seed makes another lineage, and trains the same encoder.
#[test]
fn base_is_revealed_once_under_whatever_name_it_is_trained() {
    let mut rig = Rig::agreed(6, Work::Pretrain(started()));
    (0..6).for_each(|seat| bring(&mut rig, seat));
    let mut attempt = rig.collected(1, 0, 6);
    rig.acknowledge(&mut attempt, &seats(0..6));
    rig.reveal(&mut attempt, &seats(0..6));
    let mut training = started();
    training.model.genesis_seed += 1;
    let before = rig.manifest(2, 0, &seats(0..6)).base;
    rig.plan = Plan {
        work: Work::Pretrain(training),
        ..rig.plan.clone()
    };
    let manifest = rig.manifest(2, 0, &seats(0..6));
    assert_ne!(manifest.base, before);
    let answer = rig.offered(0, &manifest);
    assert_eq!(refusal(&answer), Refusal::BaseRevealed(Kind::Pretrain));
}
