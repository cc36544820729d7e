//! Who sits in a round is the coordinator's to say, and it says it knowing who colludes with it:
//! what a bank assumes of a cohort must not shrink with the cohort (A9).

use std::collections::BTreeMap;

use super::attempted::Attempted;
use super::rig::{Answer, Node, Rig, contribution, policy};
use crate::blame::{Misbehaviour, Refusal};
use crate::client::Contribution;
use crate::client::consent::Policy;
use crate::fixture::{self, seats};
use crate::id::{Attempt, EpochId, RoundId, Seat};
use crate::message::{Abandoned, Cause, Manifest, ToClient, ToCoordinator};
use crate::{terms, vector};

/// A manifest for this cohort, whose terms follow from its own size.
fn composed(rig: &Rig, members: &[u16]) -> Manifest {
    let cohort = seats(members.iter().copied());
    let terms = terms::for_cohort(&rig.plan.cohort, u16::try_from(cohort.len()).unwrap()).unwrap();
    Manifest {
        value_bits: terms::value_bits(&rig.plan, terms.members),
        cohort,
        colluders: terms.colluders,
        threshold: terms.threshold,
        degree: terms.degree,
        ..rig.manifest(1, 0, &seats(0..6))
    }
}

/// The victim, one more honest bank, and the three of ten that collude.
const AROUND: [u16; 5] = [0, 1, 7, 8, 9];

#[track_caller]
fn assert_too_few_colluders(answer: &Answer, found: u16, minimum: u16) {
    let [ToCoordinator::Declined(declined)] = &answer.sent[..] else {
        panic!("{:?} {:?}", answer.sent, answer.events);
    };
    let refusal = Refusal::ColludersTooFew { found, minimum };
    assert_eq!(declined.refusal, refusal);
    assert_eq!(answer.orders, [], "nothing is trained");
    assert_eq!(answer.records, [], "nothing is joined");
}

/// A9: a third of ten is three. In a cohort of five composed around them, one is assumed, four
/// are needed, and the victim with the three is four.
#[test]
fn cohort_composed_around_the_colluders_is_declined() {
    let mut rig = Rig::agreed(10, fixture::risk());
    let manifest = composed(&rig, &AROUND);
    let answer = rig.offered(0, &manifest);
    assert_too_few_colluders(&answer, 1, 3);
}

/// A9: the same over two steps, each by a majority of the last roster.
#[test]
fn roster_that_shrinks_around_the_colluders_lowers_nothing() {
    let mut rig = Rig::agreed(10, fixture::risk());
    rig.agree(EpochId(2), 6);
    let manifest = composed(&rig, &[0, 1, 2, 3, 4, 5]);
    let answer = rig.offered(0, &manifest);
    assert_too_few_colluders(&answer, 1, 3);
    // Nor does a restart: the rosters agreed on are remembered.
    rig.restart(0);
    rig.agree(EpochId(3), 6);
    let manifest = composed(&rig, &[0, 1, 2, 3, 4, 5]);
    let answer = rig.offered(0, &manifest);
    assert_too_few_colluders(&answer, 1, 3);
}

/// A22: two attempts at one number with the same banks in both. The first is opened by the four
/// that were told of it; the two that were told it is over sit in the second, and of the four
/// nobody does: too few are left to mask for, let alone to open.
#[test]
fn second_attempt_beside_an_opened_one_gets_no_masked_vector() {
    let mut rig = Rig::agreed(6, fixture::risk());
    let (opening, kept) = (seats(0..4), seats([4, 5]));
    let mut first = rig.collected(1, 0, 6);
    rig.acknowledge_by(&mut first, &opening);
    rig.reveal(&mut first, &opening);
    let over = Abandoned {
        round: RoundId(1),
        attempt: Attempt(0),
        cause: Cause::Acks,
    };
    let manifest = rig.manifest(1, 1, &seats(0..6));
    for seat in opening.iter() {
        rig.bank(seat.0).tell(ToClient::Abandoned(over));
        let answer = rig.offered(seat.0, &manifest);
        let [ToCoordinator::Declined(declined)] = &answer.sent[..] else {
            panic!("{:?} {:?}", answer.sent, answer.events);
        };
        assert_eq!(declined.refusal, Refusal::Stale(RoundId(1)));
    }
    let mut second = Attempted::new(manifest.clone(), BTreeMap::new());
    for seat in kept.iter() {
        rig.bank(seat.0).tell(ToClient::Abandoned(over));
        let answer = rig.offered(seat.0, &manifest);
        let [ToCoordinator::Escrow(escrow)] = &answer.sent[..] else {
            panic!("{:?} {:?}", answer.sent, answer.events);
        };
        second.escrows.insert(seat, (**escrow).clone());
    }
    second.escrowed = kept.clone();
    rig.work(&second, &kept);
    for seat in kept.iter() {
        let answer = rig.bank(seat.0).tell(second.bundle(seat));
        answer.assert_blamed(Misbehaviour::TooFew("escrowed set", 2, 4));
    }
}

/// The control: banks whose consent says that one colluder is enough to fear join the composed
/// cohort, and the three that collude, with the coordinator, open the victim's counts exactly.
#[test]
fn control_consent_to_fewer_colluders_than_there_are_opens_one_bank() {
    let mut rig = Rig::met(10, fixture::risk());
    for seat in 0..10 {
        let lax = Policy {
            colluders_min: Some(1),
            ..policy()
        };
        *rig.bank(seat) = Node::start(seat, 1, lax, Vec::new());
        rig.meet(seat);
    }
    rig.agree(EpochId(1), 10);
    let manifest = composed(&rig, &AROUND);
    let mut attempt = rig.open(&manifest);
    rig.work(&attempt, &manifest.cohort);
    let opened = seats([0, 7, 8, 9]);
    rig.collect(&mut attempt, &opened);
    rig.acknowledge(&mut attempt, &opened);
    rig.reveal(&mut attempt, &opened);
    let mut sum = attempt.open_sum();
    // The colluders know their own vectors, headers and all.
    for seat in [7, 8, 9].map(Seat) {
        let words = encoded(&rig, seat, manifest.value_bits);
        sum.iter_mut()
            .zip(words)
            .for_each(|(word, own)| *word = word.wrapping_sub(own));
    }
    assert_eq!(sum, encoded(&rig, Seat(0), manifest.value_bits));
}

fn encoded(rig: &Rig, seat: Seat, bits: u8) -> Vec<u32> {
    let Contribution::Counts(counts) = contribution(&rig.plan, seat) else {
        panic!("a risk plan is counted");
    };
    vector::encode_counts(&counts, bits).unwrap()
}
