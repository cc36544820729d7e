//! A bank whose machine is set back: the same memory, the same disk, resumed later (A13). What it
//! would say twice must not be two vectors under one pad.

use super::attempted::Attempted;
use super::rig::{NOW, Rig};
use crate::client::{Contribution, Heard};
use crate::fixture::{self, seats};
use crate::id::Seat;
use crate::message::{Escrow, ToCoordinator};
use crate::party::Party;
use crate::plan::Width;
use crate::time::Time;
use crate::vector;

/// Bank 0 as it stands after the agreement, resumed at this moment and offered the same manifest;
/// the others are those of the first time.
fn resumed(at: Time) -> (Rig, Attempted, Escrow, u64) {
    let mut rig = Rig::agreed(5, fixture::risk());
    let manifest = rig.manifest(1, 0, &seats(0..5));
    let offer = rig.offer(&manifest);
    let bank = rig.bank(0);
    bank.client.handle_message(at, (), Heard::Message(offer));
    let answer = bank.drain();
    let [ToCoordinator::Escrow(escrow)] = &answer.sent[..] else {
        panic!("{:?} {:?}", answer.sent, answer.events);
    };
    let escrow = (**escrow).clone();
    // The coordinator plays the other banks' first escrows again.
    let mut others = Rig::agreed(5, fixture::risk());
    let mut attempt = others.open(&manifest);
    attempt.escrows.insert(Seat(0), escrow.clone());
    (rig, attempt, escrow, answer.orders[0].seed)
}

fn masked(rig: &mut Rig, attempt: &Attempted, counts: Vec<u32>) -> Vec<u32> {
    let bundle = attempt.bundle(Seat(0));
    rig.bank(0).tell(bundle).assert_nothing();
    let contribution = Contribution::Counts(counts);
    let answer = rig.bank(0).done(attempt.context(), contribution);
    let [ToCoordinator::Masked(masked)] = &answer.sent[..] else {
        panic!("{:?} {:?}", answer.sent, answer.events);
    };
    let mut words = vec![0; 31];
    vector::add(&mut words, &masked.words, Width::Full).unwrap();
    words
}

/// The difference of what bank 0 sends the first time and, counting one more, the second time.
fn difference(second: Time) -> Vec<u32> {
    let (mut rig, attempt, ..) = resumed(NOW);
    let first = masked(&mut rig, &attempt, vec![7; 25]);
    let (mut rig, attempt, ..) = resumed(second);
    let second = masked(&mut rig, &attempt, vec![8; 25]);
    let pairs = second.iter().zip(first);
    pairs
        .map(|(second, first)| second.wrapping_sub(first))
        .collect()
}

/// A13: same manifest, same peers, same memory; only the clock went on. The peers' nonces cannot
/// help, since their escrows are played again.
#[test]
fn bank_resumed_from_a_snapshot_deals_and_masks_anew() {
    let later = Time(NOW.0 + 1);
    let (_, _, first, first_seed) = resumed(NOW);
    let (_, _, second, second_seed) = resumed(later);
    let (first, second) = (first.header.unverified(), second.header.unverified());
    assert_eq!(first.context, second.context);
    assert_ne!(first.nonce, second.nonce);
    assert_ne!(first.self_secret, second.self_secret);
    assert_ne!(first.escrow_secret, second.escrow_secret);
    assert_ne!(first_seed, second_seed, "the local work is done anew");
    let difference = difference(later);
    let zeros = difference.iter().filter(|&&word| word <= 1).count();
    assert!(zeros < 3, "two vectors under one pad: {difference:?}");
}

/// The control, and determinism (P6): where the clock stands still too, the pad is the same one,
/// and what changed at the bank lies open.
#[test]
fn control_without_a_clock_two_vectors_lie_under_one_pad() {
    let headers = [0; 6];
    let counted = [1; 25];
    assert_eq!(difference(NOW), [&headers[..], &counted[..]].concat());
}
