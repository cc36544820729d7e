//! Rounds that end well: the exact sum, whoever drops out, however often the coordinator dies.

use std::cell::RefCell;
use std::rc::Rc;

use super::rig::{Federation, bank_id, plan};
use crate::client::Contribution;
use crate::event::CoordinatorEvent;
use crate::fixture;
use crate::id::{Attempt, RoundId, Seat};
use crate::message::ToCoordinator;
use crate::operator::{Command, Reply, RoundEnd};
use crate::plan::{Evaluated, Kind, Width, Work};
use crate::record::Lifetime;
use crate::vector::payload;

fn everybody(banks: usize) -> Vec<usize> {
    (0..banks).collect()
}

#[test]
fn a_round_gives_the_exact_sum_of_everybody() {
    for banks in [3, 5, 8] {
        let mut federation = Federation::new(banks);
        federation.start(plan(fixture::risk(), 1, 3));
        federation.run_to(1);
        federation.assert_sum_of(&everybody(banks));
        assert_eq!(federation.blamed(), []);
        for bank in &federation.banks {
            assert_eq!(bank.installed.len(), 1);
        }
    }
}

/// Three bytes a word leave each bank, whatever the plan is about, and the sum is the same.
#[test]
fn packed_round_gives_the_sum_of_a_full_one_in_three_quarters_of_the_bytes() {
    let works = [Work::Finetune(fixture::training()), fixture::risk()];
    for work in works {
        let play = |width: Width| {
            let mut federation = Federation::new(8);
            let mut plan = plan(work.clone(), 1, 5);
            plan.width = width;
            let words = crate::terms::words(&plan).unwrap();
            federation.up = Box::new(move |bank, message| match message {
                ToCoordinator::Masked(_) if bank == 3 => Vec::new(),
                ToCoordinator::Masked(masked) => {
                    assert_eq!(masked.words.0.len() as u64, words * width.bytes() as u64);
                    vec![ToCoordinator::Masked(masked)]
                }
                message => vec![message],
            });
            federation.start(plan);
            federation.run(|federation| federation.coordinator.desk.ledger.length() == 1);
            assert_eq!(federation.blamed(), []);
            let Reply::Rounds(rounds) = federation.operate(Command::Rounds(1)) else {
                panic!("no rounds");
            };
            assert_eq!(rounds[0].bytes_in, 7 * words * width.bytes() as u64);
            federation.results()[0].sum.clone()
        };
        let (full, packed) = (play(Width::Full), play(Width::Packed));
        assert_eq!(full[4..6], packed[4..6], "as many banks, and their weight");
        match work {
            // Rounding is by each round's own chance: to a step of each bank.
            Work::Pretrain(_) | Work::Finetune(_) => {
                let steps = full.iter().zip(&packed).map(|(a, b)| (a - b).abs());
                assert!(steps.max() <= Some(7), "{full:?} {packed:?}");
            }
            Work::Risk(_) | Work::Evaluate(_) => assert_eq!(full, packed),
        }
    }
}

/// Runs five or eight banks, of which the last drops out where its message of this kind would
/// leave, and gives back the banks whose vectors are in the sum.
fn drop_at(banks: usize, is_moment: fn(&ToCoordinator) -> bool) -> Federation {
    let mut federation = Federation::new(banks);
    let victim = banks - 1;
    let mut is_dead = false;
    federation.up = Box::new(move |bank, message| {
        is_dead |= bank == victim && is_moment(&message);
        if bank == victim && is_dead {
            Vec::new()
        } else {
            vec![message]
        }
    });
    federation.start(plan(fixture::risk(), 1, 3));
    // A dead process answers nothing; its host closes the connection.
    federation.run(|federation| federation.coordinator.desk.ledger.length() == 1);
    federation
}

#[test]
fn a_bank_that_drops_out_before_its_escrow_is_no_part_of_the_sum() {
    let federation = drop_at(5, |message| matches!(message, ToCoordinator::Escrow(_)));
    federation.assert_sum_of(&[0, 1, 2, 3]);
    let missed = CoordinatorEvent::Dropout(RoundId(1), Seat(4), "escrow");
    assert!(federation.events.contains(&missed));
}

#[test]
fn a_bank_that_drops_out_after_its_escrow_is_no_part_of_the_sum() {
    for banks in [5, 8] {
        let federation = drop_at(banks, |message| matches!(message, ToCoordinator::Masked(_)));
        federation.assert_sum_of(&everybody(banks - 1));
    }
}

#[test]
fn two_of_eight_banks_may_drop_out_at_different_moments() {
    let mut federation = Federation::new(8);
    federation.up = Box::new(|bank, message| {
        let is_lost = match (&message, bank) {
            (ToCoordinator::Escrow(_), 2) | (ToCoordinator::Masked(_), 2 | 5) => true,
            (_, _) => false,
        };
        if is_lost { Vec::new() } else { vec![message] }
    });
    federation.start(plan(fixture::risk(), 1, 3));
    federation.run_to(1);
    federation.assert_sum_of(&[0, 1, 3, 4, 6, 7]);
}

#[test]
fn a_bank_that_drops_out_before_its_acknowledgement_is_in_the_sum() {
    let federation = drop_at(5, |message| matches!(message, ToCoordinator::Ack(_)));
    federation.assert_sum_of(&[0, 1, 2, 3, 4]);
}

#[test]
fn a_bank_that_drops_out_before_its_reveal_is_in_the_sum() {
    let federation = drop_at(5, |message| matches!(message, ToCoordinator::Reveal(_)));
    federation.assert_sum_of(&[0, 1, 2, 3, 4]);
}

/// The vector of bank 4 arrives when the survivors are fixed: it is late, and nobody's fault.
#[test]
fn late_update_is_counted_nowhere() {
    let mut federation = Federation::new(5);
    let held = Rc::new(RefCell::new(None));
    let hold = Rc::clone(&held);
    federation.up = Box::new(move |bank, message| match message {
        ToCoordinator::Masked(_) if bank == 4 => {
            *hold.borrow_mut() = Some(message);
            Vec::new()
        }
        ToCoordinator::Ack(_) => Vec::new(),
        message => vec![message],
    });
    federation.start(plan(fixture::risk(), 1, 3));
    federation.run(|federation| federation.status_name() == "acknowledgement");
    let late = held.borrow_mut().take().expect("bank 4 sent its vector");
    federation.hear(bank_id(4), late);
    federation.up = Box::new(|_, message| vec![message]);
    federation.run_to(1);
    federation.assert_sum_of(&[0, 1, 2, 3]);
    assert_eq!(federation.blamed(), []);
}

/// Whatever output the coordinator dies before, the same round commits the same sum.
#[test]
fn a_crash_between_any_two_outputs_changes_nothing() {
    let whole = whole_round(None);
    let outputs = whole.carried;
    assert!(outputs > 100, "{outputs} outputs are no round");
    let expected = whole.results()[0].clone();
    for crash_at in 0..outputs {
        let federation = whole_round(Some(crash_at));
        federation.assert_sum_of(&[0, 1, 2, 3, 4]);
        let result = federation.results()[0];
        assert_eq!(result.survivors, expected.survivors, "crash at {crash_at}");
        let manifest = result.manifest.unverified();
        assert_eq!(manifest.attempt, Attempt(0), "crash at {crash_at}");
        assert_eq!(federation.results().len(), 1);
        assert_eq!(federation.blamed(), [], "crash at {crash_at}");
    }
}

fn whole_round(crash_at: Option<usize>) -> Federation {
    let mut federation = Federation::new(5);
    federation.crash_at = crash_at;
    federation.start(plan(fixture::risk(), 1, 5));
    federation.run_to(1);
    federation
}

/// The same with a bank that drops out after its escrow, so that its box must be opened, and the
/// records of the finished attempt pruned as the host may.
#[test]
fn a_crash_in_a_round_with_a_dropout_changes_nothing() {
    let round = |crash_at| {
        let mut federation = Federation::new(5);
        federation.crash_at = crash_at;
        federation.up = Box::new(|bank, message| match message {
            ToCoordinator::Masked(_) if bank == 1 => Vec::new(),
            message => vec![message],
        });
        federation.start(plan(fixture::risk(), 1, 5));
        federation.run_to(1);
        federation
    };
    let outputs = round(None).carried;
    for crash_at in (0..outputs).step_by(3) {
        let mut federation = round(Some(crash_at));
        federation.assert_sum_of(&[0, 2, 3, 4]);
        let head = federation.coordinator.desk.ledger.head();
        federation
            .records
            .retain(|record| record.lifetime() != Lifetime::Attempt);
        federation.crash();
        assert_eq!(federation.coordinator.desk.ledger.head(), head);
    }
}

/// Every message twice, in an order of chance: nothing changes, and nobody is to blame.
#[test]
fn repeated_and_reordered_messages_change_nothing() {
    for seed in 0..20 {
        let mut federation = Federation::new(5);
        federation.shuffle = Some(seed);
        federation.up = Box::new(|_, message| vec![message.clone(), message]);
        federation.down = Box::new(|_, message| vec![message.clone(), message]);
        federation.start(plan(fixture::risk(), 1, 5));
        federation.run_to(1);
        federation.assert_sum_of(&[0, 1, 2, 3, 4]);
        assert_eq!(federation.results().len(), 1);
        assert_eq!(federation.blamed(), [], "seed {seed}");
    }
}

/// Every third message is lost, both ways; heartbeats bring it again.
#[test]
fn lost_messages_cost_heartbeats_and_nothing_else() {
    for seed in 0..5_usize {
        let mut federation = Federation::new(5);
        let (mut ups, mut downs) = (seed, seed * 2);
        federation.up = Box::new(move |_, message| {
            ups += 1;
            if ups % 3 == 0 {
                Vec::new()
            } else {
                vec![message]
            }
        });
        federation.down = Box::new(move |_, message| {
            downs += 1;
            if downs % 3 == 0 {
                Vec::new()
            } else {
                vec![message]
            }
        });
        federation.start(plan(fixture::risk(), 1, 5));
        federation.run_to(1);
        let result = federation.results()[0];
        assert!(result.survivors.len() >= 4);
        assert_eq!(federation.blamed(), []);
    }
}

#[test]
fn three_rounds_of_fedavg_move_the_model_and_everybody_agrees_on_it() {
    let mut federation = Federation::new(5);
    let model = fixture::model();
    let before = federation.coordinator.desk.ledger.model(&model).unwrap().1;
    let id = federation.start(plan(Work::Finetune(fixture::training()), 3, 5));
    federation.run_to(3);
    let ledger = &federation.coordinator.desk.ledger;
    let (parameters, root) = ledger.model(&model).unwrap();
    assert_ne!(root, before);
    assert_eq!(ledger.step(&id), 3);
    for bank in &federation.banks {
        assert_eq!(bank.client.ledger().head(), ledger.head());
        assert_eq!(bank.client.ledger().model(&model).unwrap().1, root);
        let last = bank.installed.last().unwrap();
        assert_eq!(last.parameters.as_ref().unwrap(), &parameters);
    }
    // One agreement serves all three.
    let agreed = federation.count(|event| matches!(event, CoordinatorEvent::EpochAgreed(..)));
    assert_eq!(agreed, 1);
    let ended = CoordinatorEvent::PlanEnded("weekly".to_owned(), 3);
    assert!(federation.events.contains(&ended));
    assert_eq!(federation.status().phase, "rest");
}

#[test]
fn every_kind_of_plan_goes_through_the_same_sum() {
    let mut federation = Federation::new(5);
    let works = [
        Work::Pretrain(fixture::training()),
        fixture::risk(),
        fixture::evaluate(),
        Work::Finetune(fixture::training()),
    ];
    for work in works {
        federation.start(plan(work, 1, 5));
    }
    federation.run_to(4);
    let kinds: Vec<_> = federation
        .results()
        .iter()
        .map(|result| result.plan.plan.unverified().work.kind())
        .collect();
    assert_eq!(
        kinds,
        [Kind::Pretrain, Kind::Risk, Kind::Evaluate, Kind::Finetune]
    );
    let Reply::Round(detail) = federation.operate(Command::Round(RoundId(3))) else {
        panic!("round 3 is known");
    };
    assert!(detail.measures.is_some());
    assert_eq!(detail.count, Some(5));
    assert_eq!(detail.survivors.len(), 5);
    assert_eq!(detail.cohort[0], "Bank 0");
    let Reply::Round(detail) = federation.operate(Command::Round(RoundId(4))) else {
        panic!("round 4 is known");
    };
    assert!(detail.update_norm.unwrap() > 0.0);
    assert_eq!(detail.head, Some(federation.coordinator.desk.ledger.head()));
    let Reply::Rounds(rounds) = federation.operate(Command::Rounds(2)) else {
        panic!("rounds are listed");
    };
    assert_eq!(rounds[0].round, RoundId(4));
    assert_eq!(rounds.len(), 2);
    assert_eq!(rounds[1].end, Some(RoundEnd::Committed));
    assert!(rounds[1].bytes_in > 0);
}

#[test]
fn a_bank_that_was_away_catches_up_and_sits_in_the_next_round() {
    let mut federation = Federation::new(5);
    federation.start(plan(Work::Finetune(fixture::training()), 1, 4));
    federation.run_to(1);
    federation.cut(4);
    let mut training = fixture::training();
    training.to_day += 1;
    federation.start(plan(Work::Finetune(training.clone()), 2, 4));
    federation.run_to(3);
    federation.connect(4);
    federation.deliver();
    training.to_day += 1;
    federation.start(plan(Work::Finetune(training), 1, 4));
    federation.run_to(4);
    assert_eq!(federation.results()[2].survivors.len(), 4);
    assert_eq!(federation.results()[3].survivors.len(), 5);
    assert_eq!(federation.banks[4].installed.len(), 4);
}

/// Above 128 members the mask graph is sparse: a mask is missing between most pairs, shares still
/// go to everybody, and what dropouts leave on the sum is taken off all the same.
#[test]
fn a_sparse_mask_graph_gives_the_exact_sum_with_dropouts() {
    let banks = 130;
    let mut federation = Federation::new(banks);
    federation.work = |bank, _| {
        let mut one_hot = vec![0; 512];
        one_hot[bank] = 1;
        Ok(Contribution::Counts(one_hot))
    };
    federation.up = Box::new(|bank, message| match message {
        ToCoordinator::Masked(_) if bank % 30 == 7 => Vec::new(),
        message => vec![message],
    });
    let Work::Evaluate(mut terms) = fixture::evaluate() else {
        panic!("the fixture evaluates");
    };
    terms.of = Evaluated::Scores { bins: 256 };
    federation.start(plan(Work::Evaluate(terms), 1, 100));
    federation.run_to(1);
    let result = federation.results()[0];
    assert!(result.manifest.unverified().degree < 129);
    let expected = (0..512).map(|word| i32::from(word < banks && word % 30 != 7));
    assert_eq!(payload(&result.sum), expected.collect::<Vec<_>>());
}
