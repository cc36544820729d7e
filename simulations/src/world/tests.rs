//! Worlds in which all is well, worlds that once failed, and planted faults that must be found.

use protocol::plan::Width;

use super::regressions;
use super::scenario::{Fault, Sabotage, Scenario};
use super::*;

fn quiet(seed: u64) -> Scenario {
    Scenario {
        seed,
        banks: 5,
        hardship_ms: 20_000,
        latency_ms: 50,
        training_ms: 500,
        lost: 0,
        repeated: 0,
        crash_per_output: 0,
        faults: Vec::new(),
        width: Width::Full,
        liar: None,
        sabotage: None,
    }
}

#[test]
fn a_quiet_federation_commits_every_round_of_every_plan() {
    for width in [Width::Full, Width::Packed] {
        let scenario = Scenario { width, ..quiet(1) };
        let story = World::new(scenario, false).play().unwrap();
        assert_eq!((story.committed, story.abandoned, story.crashes), (7, 0, 0));
        // The world ends with the last result, before it is audited.
        assert_eq!(story.audits, 6 * 5);
    }
}

#[test]
fn a_world_played_twice_is_the_same_world() {
    for seed in [3, 4] {
        let play = || World::new(Scenario::from_seed(seed), false).play();
        assert_eq!(play(), play());
    }
}

#[test]
fn a_bank_that_dies_in_the_middle_is_survived() {
    let faults = vec![
        (2_500, Fault::CrashBank(2)),
        (4_000, Fault::CrashCoordinator),
    ];
    let story = World::new(Scenario { faults, ..quiet(5) }, false)
        .play()
        .unwrap();
    assert_eq!((story.committed, story.crashes), (7, 2));
}

#[test]
fn worlds_that_once_failed_hold() {
    for (what, scenario) in regressions::all() {
        if let Err(violation) = World::new(scenario, false).play() {
            panic!("{what}: {violation}");
        }
    }
}

/// Plays 250 worlds; four of these tests, which run side by side, make the thousand of every run.
fn hold(quarter: u64) {
    for seed in (1..=1_000).filter(|seed| seed % 4 == quarter) {
        if let Err(violation) = World::new(Scenario::from_seed(seed), false).play() {
            panic!("again: phalanx-sim run --first {seed} --seeds 1 --trace\n{violation}");
        }
    }
}

#[test]
fn a_thousand_worlds_hold_first_quarter() {
    hold(0);
}

#[test]
fn a_thousand_worlds_hold_second_quarter() {
    hold(1);
}

#[test]
fn a_thousand_worlds_hold_third_quarter() {
    hold(2);
}

#[test]
fn a_thousand_worlds_hold_last_quarter() {
    hold(3);
}

/// The first violation that a planted fault causes within some worlds.
fn found(sabotage: Sabotage) -> Option<Violation> {
    (1..=120).find_map(|seed| {
        let scenario = Scenario {
            sabotage: Some(sabotage),
            liar: None,
            ..Scenario::from_seed(seed)
        };
        World::new(scenario, false).play().err()
    })
}

#[test]
fn saying_it_before_it_is_durable_is_found() {
    let violation = found(Sabotage::SendBeforeDurable).unwrap();
    assert!(violation.invariant.contains("persist"), "{violation}");
}

#[test]
fn forgetting_that_a_round_was_opened_is_found() {
    assert!(found(Sabotage::ForgetRoundOpened).is_some());
}

#[test]
fn forgetting_masked_updates_is_found() {
    assert!(found(Sabotage::ForgetMasked).is_some());
}

#[test]
fn a_bank_that_says_it_before_it_is_durable_is_found() {
    let violation = found(Sabotage::BankSendsBeforeDurable).unwrap();
    assert!(violation.invariant.contains("persist"), "{violation}");
}

#[test]
fn masked_vectors_that_rot_are_found_by_the_audits() {
    let violation = found(Sabotage::RotVectors).unwrap();
    assert!(violation.to_string().contains("audit"), "{violation}");
}

#[test]
fn an_update_of_another_round_is_found() {
    let violation = found(Sabotage::UpdateOfAnotherRound).unwrap();
    assert_eq!(violation.invariant, "the exact sum");
}

#[test]
fn a_bucket_key_that_the_coordinator_sees_is_found() {
    let violation = found(Sabotage::ShowBucketKey).unwrap();
    let invariant = "the bucket key stays among the banks";
    assert_eq!(violation.invariant, invariant);
}

#[test]
fn counts_under_another_bucket_key_are_found() {
    let violation = found(Sabotage::CountUnderAnotherKey).unwrap();
    assert_eq!(violation.invariant, "one bucket key for a round's counts");
}
