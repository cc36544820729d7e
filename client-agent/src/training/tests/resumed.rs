//! An agent that ends between two rounds and starts again trains as one that did not.

use std::path::Path;

use super::*;

/// A trainer that keeps moments in this store.
fn keeping(store: &Path) -> Trainer {
    trainer(Baseline::Off).0.resuming(store)
}

/// The second round's order, which draws by a seed of its own.
fn second(work: Work) -> Order {
    Order {
        round: RoundId(5),
        step: 1,
        seed: 10,
        ..order(work)
    }
}

fn update(trainer: &mut Trainer, order: &Order) -> Vec<u32> {
    let (delta, _) = delta(trainer.contribute(order).unwrap());
    delta.into_iter().map(f32::to_bits).collect()
}

/// The second round's update of an agent that was started again after the first one, with whatever
/// becomes of its store meanwhile.
fn restarted(work: &Work, meanwhile: impl FnOnce(&Path)) -> Vec<u32> {
    let store = tempfile::tempdir().unwrap();
    update(&mut keeping(store.path()), &order(work.clone()));
    meanwhile(store.path());
    update(&mut keeping(store.path()), &second(work.clone()))
}

fn fresh(work: &Work) -> Vec<u32> {
    update(&mut trainer(Baseline::Off).0, &second(work.clone()))
}

#[test]
fn an_agent_that_was_restarted_between_rounds_sends_what_it_would_have_sent() {
    for work in [pretrain(), finetune()] {
        let (mut trainer, _) = trainer(Baseline::Off);
        update(&mut trainer, &order(work.clone()));
        let expected = update(&mut trainer, &second(work.clone()));
        assert_eq!(restarted(&work, |_| ()), expected);
        assert_ne!(fresh(&work), expected, "moments make a difference");
    }
}

#[test]
fn moments_that_are_damaged_or_gone_leave_a_fresh_learner() {
    let work = finetune();
    let (moments, fresh) = ("learner/moments.safetensors", fresh(&work));
    let damaged = restarted(&work, |store| {
        let path = store.join(moments);
        let mut bytes = std::fs::read(&path).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        std::fs::write(&path, bytes).unwrap();
    });
    assert_eq!(damaged, fresh);
    let gone = restarted(&work, |store| {
        std::fs::remove_file(store.join(moments)).unwrap();
    });
    assert_eq!(gone, fresh);
}

#[test]
fn moments_of_another_model_are_left() {
    let (work, mut foreign) = (finetune(), finetune());
    if let Work::Finetune(training) = &mut foreign {
        training.model.genesis_seed = 2;
    }
    let found = restarted(&work, |store| {
        update(&mut keeping(store), &order(foreign));
    });
    assert_eq!(found, fresh(&work));
}

// The seed of a round is the bank's secret: with it, its file of moments would say whose payments
// the round drew.
#[test]
fn what_is_kept_says_nothing_of_what_was_drawn() {
    let store = tempfile::tempdir().unwrap();
    update(&mut keeping(store.path()), &order(finetune()));
    let bytes = std::fs::read(store.path().join("learner/moments.safetensors")).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains("lineage") && !text.contains("seed"));
}
