//! What remains possible, held by tests so that SECURITY.md says neither more nor less than is so.

use std::sync::Arc;

use super::rig::{Rig, parameters};
use crate::blame::Refusal;
use crate::client::Contribution;
use crate::fixture::{self, seats};
use crate::message::{ToClient, ToCoordinator};
use crate::plan::{Kind, Work};
use crate::vector;

/// Cross-round differencing (A8): what is revealed once is revealed once per base, and another
/// model is another base. The counts behind two evaluations of the same days are the same, so two
/// sums with one bank less between them tell how many payments and frauds that bank had.
#[test]
fn evaluation_of_another_model_on_the_same_days_is_another_base() {
    let mut rig = Rig::agreed(6, fixture::evaluate());
    let mut attempt = rig.collected(1, 0, 6);
    rig.acknowledge(&mut attempt, &seats(0..6));
    rig.reveal(&mut attempt, &seats(0..6));
    let Work::Evaluate(terms) = &mut rig.plan.work else {
        panic!("an evaluation");
    };
    terms.model.genesis_seed += 1;
    let without = rig.manifest(2, 0, &seats(0..5));
    assert_eq!(rig.open(&without).escrows.len(), 5);
}

/// A training sum of nothing leaves the model where it was, hence the base: what was revealed on
/// it once is not revealed again, and the plan goes on only if something else moves the model.
#[test]
fn training_that_moves_nothing_spends_its_base() {
    let mut rig = Rig::agreed(5, Work::Finetune(fixture::training()));
    let all = seats(0..5);
    let before = parameters(&rig);
    let manifest = rig.manifest(1, 0, &all);
    let mut attempt = rig.open(&manifest);
    for seat in 0..5 {
        let nothing = Contribution::Update {
            delta: vec![0.0; usize::try_from(manifest.words).unwrap() - 6],
            examples: 0,
        };
        rig.bank(seat).done(attempt.context(), nothing);
    }
    rig.collect(&mut attempt, &all);
    rig.acknowledge(&mut attempt, &all);
    rig.reveal(&mut attempt, &all);
    let result = rig.result(&attempt);
    assert!(vector::payload(&result.sum).iter().all(|&value| value == 0));
    rig.ledger.apply(&result).unwrap();
    assert_eq!(parameters(&rig), before);
    for seat in 0..5 {
        rig.bank(seat)
            .tell(ToClient::Result(Arc::new(result.clone())));
    }
    let next = rig.manifest(2, 0, &all);
    let answer = rig.offered(0, &next);
    let [ToCoordinator::Declined(declined)] = &answer.sent[..] else {
        panic!("{:?} {:?}", answer.sent, answer.events);
    };
    assert_eq!(declined.refusal, Refusal::BaseRevealed(Kind::Finetune));
}
