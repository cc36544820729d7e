//! Worlds in which all is well, worlds that once failed, and planted faults that must be found.

use protocol::plan::Width;

use super::invariant::Invariant;
use super::regressions;
use super::sabotage::Sabotage;
use super::scenario::{Fault, Scenario};
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

/// What a planted fault leads to in a world without hardship, but where the coordinator dies once:
/// some faults show only where that is in the middle of a round.
fn found(sabotage: Sabotage) -> Violation {
    let ended = (10..200).find_map(|tenths| {
        let scenario = Scenario {
            faults: vec![(tenths * 100, Fault::CrashCoordinator)],
            sabotage: Some(sabotage),
            ..quiet(1)
        };
        World::new(scenario, false).play().err()
    });
    ended.expect("nobody noticed")
}

#[test]
fn every_invariant_finds_the_fault_planted_against_it() {
    for invariant in Invariant::ALL {
        let sabotage = Sabotage::against(invariant);
        let violation = found(sabotage);
        assert_eq!(
            violation.invariant, invariant,
            "{sabotage:?} found as: {violation}"
        );
    }
}

#[test]
fn forgetting_masked_updates_is_found() {
    found(Sabotage::ForgetMasked);
}
