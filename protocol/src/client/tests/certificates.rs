//! Lies in survivor sets and acknowledgements (M4, M6): one acknowledgement per round number, one
//! kind of secret per seat, and no reveal without a threshold that saw the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use crypto::{Digest, Key, PublicBundle, Seed};

use super::attempted::Attempted;
use super::rig::{Answer, Rig, authority, bank_id, bank_key, contribution, identity, policy};
use crate::blame::{Misbehaviour, Refusal};
use crate::client::Client;
use crate::client::bank::Bank;
use crate::client::holdings::Holdings;
use crate::client::keyring::{Keyring, Member, Said, Seating};
use crate::client::memory::Memory;
use crate::client::offer::Sitting;
use crate::client::phase::collection::Collection;
use crate::event::ClientEvent;
use crate::fixture::{self, seats};
use crate::graph::Graph;
use crate::id::{EpochId, RoundId, Seat, Seats};
use crate::ledger::Ledger;
use crate::masking;
use crate::message::{Ack, AckBundle, KeyBundle, Survivors, ToClient, ToCoordinator};
use crate::party::{Outbox, Output};
use crate::plan::{Kind, Work};
use crate::signed::Signed;

fn finetune() -> Work {
    Work::Finetune(fixture::training())
}

/// Six banks whose masked vectors are in: n = 6, c = 1, t = 4.
fn collected() -> (Rig, Attempted) {
    let mut rig = Rig::agreed(6, finetune());
    let attempt = rig.collected(1, 0, 6);
    (rig, attempt)
}

fn survivors(rig: &mut Rig, survivors: Survivors) -> Answer {
    rig.bank(0).tell(ToClient::Survivors(Box::new(survivors)))
}

/// Six banks that acknowledged all six.
fn acknowledged() -> (Rig, Attempted) {
    let (mut rig, mut attempt) = collected();
    rig.acknowledge(&mut attempt, &seats(0..6));
    (rig, attempt)
}

fn acks(rig: &mut Rig, attempt: &Attempted, acks: Vec<Signed<Ack>>) -> Answer {
    let context = attempt.context();
    rig.bank(0)
        .tell(ToClient::Acks(Box::new(AckBundle { context, acks })))
}

/// An acknowledgement by this seat of what the first one says, changed.
fn forged(attempt: &Attempted, seat: u16, change: impl FnOnce(&mut Ack)) -> Signed<Ack> {
    let mut body = attempt.acks[0].unverified().clone();
    body.seat = Seat(seat);
    change(&mut body);
    Signed::sign(body, &bank_key(seat))
}

/// The acknowledgements with one of them replaced are blamed, and no share leaves.
#[track_caller]
fn reveal_is_refused(replace: impl FnOnce(&mut Vec<Signed<Ack>>, &Attempted), why: &'static str) {
    let (mut rig, attempt) = acknowledged();
    let mut list = attempt.acks.clone();
    replace(&mut list, &attempt);
    acks(&mut rig, &attempt, list).assert_blamed(Misbehaviour::Acks(why));
    // The honest bundle still opens the round: a lie changes nothing.
    let honest = acks(&mut rig, &attempt, attempt.acks.clone());
    assert!(matches!(honest.sent[..], [ToCoordinator::Reveal(_)]));
}

#[test]
fn survivors_without_us_or_with_another_root_of_ours_are_not_acknowledged() {
    let (mut rig, attempt) = collected();
    let without = attempt.survivors_of(&seats(1..6));
    survivors(&mut rig, without).assert_blamed(Misbehaviour::LeftOut);
    let mut altered = attempt.survivors_of(&seats(0..6));
    altered.roots[0] = Digest([1; 32]);
    survivors(&mut rig, altered).assert_blamed(Misbehaviour::LeftOut);
}

/// A9: enough escrows, then too few survivors.
#[test]
fn too_few_survivors_are_not_acknowledged() {
    let (mut rig, attempt) = collected();
    let few = attempt.survivors_of(&seats(0..3));
    survivors(&mut rig, few).assert_blamed(Misbehaviour::TooFew("survivor set", 3, 4));
}

#[test]
fn survivors_that_never_escrowed_are_strangers() {
    let mut rig = Rig::agreed(6, finetune());
    let manifest = rig.manifest(1, 0, &seats(0..6));
    let mut attempt = rig.open(&manifest);
    attempt.escrowed = seats(0..5);
    rig.work(&attempt, &seats(0..6));
    rig.collect(&mut attempt, &seats(0..5));
    let mut list = attempt.survivors_of(&seats(0..5));
    list.survivors = seats([0, 1, 2, 3, 5]);
    survivors(&mut rig, list).assert_blamed(Misbehaviour::Stranger(Seat(5), "survivor set"));
}

#[test]
fn survivor_set_longer_than_the_escrowed_one_is_oversized() {
    let (mut rig, attempt) = collected();
    let mut list = attempt.survivors_of(&seats(0..6));
    list.roots.push(Digest([1; 32]));
    survivors(&mut rig, list).assert_blamed(Misbehaviour::Oversized("survivor set", 7, 6));
    let mut list = attempt.survivors_of(&seats(0..6));
    list.roots.pop();
    let short = Misbehaviour::Malformed("survivor set", "not one root per seat");
    survivors(&mut rig, list).assert_blamed(short);
}

/// Bank 0 of 129, where the mask graph is sparse, with its masked vector out. Only what a survivor
/// set is checked against is real: agreeing on 8,256 pair keys takes longer than a test may.
fn in_a_sparse_graph() -> (Collection, Bank, Outbox<Client>) {
    let (all, plan) = (seats(0..129), fixture::plan(fixture::risk(), 1));
    let ledger = Ledger::new(authority().session());
    let manifest = fixture::manifest(&ledger, &plan, 129);
    let member = |seat| Member {
        id: bank_id(seat),
        key: bank_key(seat).verify_key(),
    };
    let seating = Arc::new(Seating {
        epoch: manifest.epoch,
        root: manifest.roster,
        members: (0..129).map(member).collect(),
        nonces: Vec::new(),
    });
    let graph = Graph::new(&all, manifest.degree, &manifest.graph_seed);
    let neighbours = graph.neighbours(Seat(0));
    let round_keys = neighbours
        .iter()
        .map(|seat| (seat, Key::from_bytes([1; 32])))
        .collect();
    let sitting = Sitting {
        context: manifest.context(),
        manifest,
        plan: plan.clone(),
        seat: Seat(0),
        seating: Arc::clone(&seating),
        graph,
    };
    let seed = Seed::from_entropy([5; 32]);
    let said = Said {
        bundle: Box::new(bundle_of_nobody()),
        encapsulations: Vec::new(),
    };
    let keyring = Keyring::new(seating, Seat(0), BTreeMap::new(), said);
    let holdings = Holdings {
        shares: BTreeMap::new(),
        round_keys,
    };
    let nonces = all.iter().map(|seat| (seat, [0; 32])).collect();
    let secret = seed.scalar("self secret", 0);
    let phase = Collection::new(sitting, keyring, all, holdings, nonces, secret);
    let mut bank = Bank::new(identity(0), policy(), Memory::default(), ledger, seed);
    let mut out = Outbox::default();
    let (phase, failure) = phase.mask(contribution(&plan, Seat(0)), &mut bank, &mut out);
    assert_eq!(failure, None);
    (phase, bank, out)
}

fn bundle_of_nobody() -> Signed<KeyBundle> {
    let keys = PublicBundle {
        x25519: [0; 32],
        mlkem: Vec::new(),
    };
    let (epoch, roster, nonce) = (EpochId(1), Digest([0; 32]), [0; 32]);
    Signed::sign(
        KeyBundle {
            epoch,
            roster,
            seat: Seat(0),
            keys,
            nonce,
        },
        &bank_key(0),
    )
}

/// What is said to a survivor set of bank 0 and these others, by the phase's own root of ours.
fn heard(dropped: &Seats) -> (Vec<ToCoordinator>, Vec<ClientEvent>) {
    let (phase, mut bank, mut out) = in_a_sparse_graph();
    let Some(Output::Send {
        message: ToCoordinator::Masked(masked),
        ..
    }) = out.pop()
    else {
        panic!("a masked vector");
    };
    let survivors = seats(0..129).without(dropped);
    let root = masked.trailer.unverified().root;
    let roots = vec![root; survivors.len()];
    let survivors = Survivors {
        context: phase.sitting.context,
        survivors,
        roots,
    };
    phase.on_survivors(&survivors, &mut bank, &mut out);
    let (mut sent, mut events) = (Vec::new(), Vec::new());
    while let Some(output) = out.pop() {
        match output {
            Output::Send { message, .. } => sent.push(message),
            Output::Report(event) => events.push(event),
            Output::Persist(_) | Output::Perform(_) => {}
        }
    }
    (sent, events)
}

/// A10: 129 members, a sparse graph, and a victim whose neighbours drop out one by one.
#[test]
fn isolated_victim_in_a_sparse_graph_is_not_acknowledged() {
    let (phase, ..) = in_a_sparse_graph();
    let neighbours = phase.sitting.graph.neighbours(Seat(0));
    let dropped: Seats = neighbours.iter().take(40).collect();
    let enough = usize::from(phase.sitting.terms().needed());
    assert!(
        129 - dropped.len() >= enough,
        "the set is large enough, it is the graph that is not"
    );
    let (sent, events) = heard(&dropped);
    assert_eq!(sent, []);
    let last = events.last();
    let blamed = last
        .is_some_and(|event| matches!(event, ClientEvent::Misbehaved(Misbehaviour::Isolated(_))));
    assert!(blamed, "{events:?}");
    let (sent, _) = heard(&Seats::default());
    assert!(matches!(sent[..], [ToCoordinator::Ack(_)]));
}

/// A4: two survivor sets, shown to one bank one after the other.
#[test]
fn second_survivor_set_gets_no_second_acknowledgement() {
    let (mut rig, attempt) = acknowledged();
    let second = attempt.survivors_of(&seats(0..5));
    survivors(&mut rig, second).assert_blamed(Misbehaviour::SecondAck(RoundId(1)));
    // The same seats with other vectors are another set too.
    let mut second = attempt.survivors_of(&seats(0..6));
    second.roots[3] = Digest([1; 32]);
    survivors(&mut rig, second).assert_blamed(Misbehaviour::SecondAck(RoundId(1)));
}

/// A4: two survivor sets, shown to two halves. Acknowledgements of the one do not open the other.
#[test]
fn acknowledgements_of_another_survivor_set_open_nothing() {
    let because = "they are of another attempt or other sets";
    reveal_is_refused(
        |list, attempt| {
            list[4] = forged(attempt, 4, |ack| {
                ack.survivors = masking::seats_digest(&seats(0..5));
            });
        },
        because,
    );
    reveal_is_refused(
        |list, attempt| list[4] = forged(attempt, 4, |ack| ack.masked = Digest([1; 32])),
        because,
    );
}

/// A25: the banks saw different sets U1.
#[test]
fn acknowledgements_of_another_escrowed_set_open_nothing() {
    reveal_is_refused(
        |list, attempt| list[4] = forged(attempt, 4, |ack| ack.escrowed = Digest([1; 32])),
        "they are of another attempt or other sets",
    );
}

/// A6: acknowledgements of an earlier attempt.
#[test]
fn acknowledgements_of_another_attempt_open_nothing() {
    reveal_is_refused(
        |list, attempt| {
            list[4] = forged(attempt, 4, |ack| {
                ack.context = crate::id::Context(Digest([1; 32]))
            });
        },
        "they are of another attempt or other sets",
    );
}

/// A23: by somebody who is no survivor, and by the coordinator in a survivor's name.
#[test]
fn forged_acknowledgements_open_nothing() {
    reveal_is_refused(
        |list, attempt| list[5] = forged(attempt, 9, |_| ()),
        "a signer is no survivor",
    );
    reveal_is_refused(
        |list, attempt| {
            let body = attempt.acks[4].unverified().clone();
            list[4] = Signed::sign(body, &super::rig::coordinator_key());
        },
        "a signature does not verify",
    );
}

/// A24.
#[test]
fn one_signer_counts_once() {
    let repeated = "signers are not ascending, or repeat";
    reveal_is_refused(|list, _| list[4] = list[3].clone(), repeated);
    reveal_is_refused(|list, _| list.swap(1, 2), repeated);
}

#[test]
fn fewer_acknowledgements_than_the_threshold_open_nothing() {
    reveal_is_refused(|list, _| list.truncate(3), "fewer than the threshold");
}

#[test]
fn more_acknowledgements_than_survivors_are_oversized() {
    let (mut rig, attempt) = acknowledged();
    let list = [&attempt.acks[..], &attempt.acks[..1]].concat();
    let answer = acks(&mut rig, &attempt, list);
    answer.assert_blamed(Misbehaviour::Oversized("acknowledgements", 7, 6));
}

/// A5: of every escrowed seat exactly one kind of share leaves.
#[test]
fn reveal_opens_one_secret_of_each_seat() {
    let mut rig = Rig::agreed(6, finetune());
    let manifest = rig.manifest(1, 0, &seats(0..6));
    let mut attempt = rig.open(&manifest);
    rig.work(&attempt, &seats(0..6));
    rig.collect(&mut attempt, &seats(0..5));
    rig.acknowledge(&mut attempt, &seats(0..5));
    rig.reveal(&mut attempt, &seats(0..5));
    for reveal in &attempt.reveals {
        assert_eq!(reveal.self_shares.len(), 5);
        assert_eq!((reveal.escrow_shares.len(), reveal.pair_keys.len()), (1, 1));
    }
}

/// A5: after the reveal, the coordinator claims that a survivor dropped out, or the reverse.
#[test]
fn other_secret_of_a_seat_is_never_opened() {
    let (mut rig, mut attempt) = acknowledged();
    rig.reveal(&mut attempt, &seats(0..6));
    let second = attempt.survivors_of(&seats(0..5));
    survivors(&mut rig, second).assert_blamed(Misbehaviour::BothSecrets(Seat(5)));
    let second = forged(&attempt, 1, |ack| {
        ack.survivors = masking::seats_digest(&seats(0..5))
    });
    let answer = acks(&mut rig, &attempt, vec![second]);
    let because = "they are of another attempt or other sets";
    answer.assert_blamed(Misbehaviour::Acks(because));
}

/// The refusal to an offer of this round and attempt.
fn refusal(rig: &mut Rig, round: u64, attempt: u16) -> Refusal {
    let manifest = rig.manifest(round, attempt, &seats(0..6));
    let answer = rig.offered(0, &manifest);
    assert_eq!(answer.orders, [], "nothing is trained for it");
    match &answer.sent[..] {
        [ToCoordinator::Declined(declined)] => declined.refusal.clone(),
        other => panic!("{other:?}"),
    }
}

/// A7: after the acknowledgement, this round number is over; other numbers are not.
#[test]
fn acknowledged_round_number_is_never_joined_again() {
    let (mut rig, attempt) = acknowledged();
    assert_eq!(refusal(&mut rig, 1, 1), Refusal::Stale(RoundId(1)));
    rig.bank(0).tell(attempt.survivors_message());
    rig.restart(0);
    rig.agree(EpochId(2), 6);
    assert_eq!(refusal(&mut rig, 1, 2), Refusal::Stale(RoundId(1)));
    let next = rig.manifest(2, 0, &seats(0..6));
    rig.open(&next);
}

/// A7, A8: after the reveal, a second sum over the same base would tell the difference of the two.
#[test]
fn base_is_revealed_once_and_never_again() {
    let (mut rig, mut attempt) = acknowledged();
    rig.reveal(&mut attempt, &seats(0..6));
    assert_eq!(
        refusal(&mut rig, 2, 0),
        Refusal::BaseRevealed(Kind::Finetune)
    );
    rig.restart(0);
    rig.agree(EpochId(2), 6);
    assert_eq!(
        refusal(&mut rig, 3, 0),
        Refusal::BaseRevealed(Kind::Finetune)
    );
}

/// A7 for counts: the base of risk counts are days, whatever the table's size or salt.
#[test]
fn days_are_counted_once() {
    let mut rig = Rig::agreed(6, fixture::risk());
    let mut attempt = rig.collected(1, 0, 6);
    rig.acknowledge(&mut attempt, &seats(0..6));
    rig.reveal(&mut attempt, &seats(0..6));
    let days = |rig: &mut Rig, from_day: u32| {
        let Work::Risk(terms) = &mut rig.plan.work else {
            panic!("a risk plan")
        };
        (terms.from_day, terms.buckets) = (from_day, 7);
    };
    days(&mut rig, 101);
    assert_eq!(refusal(&mut rig, 2, 0), Refusal::BaseRevealed(Kind::Risk));
    rig.restart(0);
    rig.agree(EpochId(2), 6);
    assert_eq!(refusal(&mut rig, 2, 1), Refusal::BaseRevealed(Kind::Risk));
    days(&mut rig, 102);
    let next: Seats = seats(0..6);
    let next = rig.manifest(3, 0, &next);
    rig.open(&next);
}
