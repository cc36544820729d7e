//! Lies in offers and escrow bundles (M1, M2), by their numbers in SECURITY.md: each ends in its
//! name, and nothing masked leaves.

use crypto::Digest;

use super::attempted::Attempted;
use super::rig::{Answer, Rig, bank_key, coordinator_key};
use crate::blame::{Misbehaviour, Refusal};
use crate::fixture::{self, seats};
use crate::id::{Attempt, EpochId, RoundId, Seat};
use crate::masking;
use crate::message::{
    Complaint, EscrowBundle, EscrowHeader, Fault, Manifest, RoundOffer, ToClient, ToCoordinator,
};
use crate::plan::Work;
use crate::signed::Signed;
use crate::time::Time;

fn finetune() -> Work {
    Work::Finetune(fixture::training())
}

/// An honest attempt of five whose work is done: the next thing to leave would be masked.
fn escrowed(rig: &mut Rig) -> Attempted {
    let manifest = rig.manifest(1, 0, &seats(0..5));
    let attempt = rig.open(&manifest);
    rig.work(&attempt, &seats(0..5));
    attempt
}

fn tell(rig: &mut Rig, bundle: EscrowBundle) -> Answer {
    rig.bank(0).tell(ToClient::EscrowBundle(Box::new(bundle)))
}

/// Nothing masked left, the fault is named, and the complaint about `about` is signed.
#[track_caller]
fn assert_complained(answer: &Answer, misbehaviour: Misbehaviour, about: u16, fault: Fault) {
    assert_eq!(answer.blamed(), [misbehaviour]);
    let [ToCoordinator::Complaint(complaint)] = &answer.sent[..] else {
        panic!("{:?}", answer.sent);
    };
    let body = complaint.clone().verify(&bank_key(0).verify_key()).unwrap();
    let Complaint {
        from,
        about: accused,
        fault: found,
        ..
    } = *body;
    assert_eq!((from, accused, found), (Seat(0), Seat(about), fault));
}

/// A member's own escrow, changed by that member and signed again.
fn forge(attempt: &mut Attempted, seat: u16, change: impl FnOnce(&mut EscrowHeader)) {
    let escrow = attempt.escrows.get_mut(&Seat(seat)).unwrap();
    let mut header = escrow.header.unverified().clone();
    change(&mut header);
    escrow.header = Signed::sign(header, &bank_key(seat));
}

/// An offer with one thing changed is blamed, and nothing is remembered, dealt or trained.
#[track_caller]
fn offer_is_blamed(change: impl FnOnce(&mut Manifest), misbehaviour: Misbehaviour) {
    let mut rig = Rig::agreed(5, finetune());
    let mut manifest = rig.manifest(1, 0, &seats(0..5));
    change(&mut manifest);
    let answer = rig.offered(0, &manifest);
    answer.assert_blamed(misbehaviour);
    assert_eq!(answer.orders, []);
}

/// A1, A2: a crafted or another model has another root than the one our ledger leads to.
#[test]
fn base_that_our_ledger_does_not_lead_to_is_refused_before_anything_is_dealt() {
    let mut rig = Rig::agreed(5, finetune());
    let mut manifest = rig.manifest(1, 0, &seats(0..5));
    let expected = manifest.base;
    let found = Digest([66; 32]);
    manifest.base = found;
    let answer = rig.offered(0, &manifest);
    answer.assert_blamed(Misbehaviour::Base { found, expected });
    assert_eq!(answer.orders, [], "nothing is trained on it");
}

/// A1: whatever differs between two banks' manifests, their contexts differ, and the other's
/// header is seen to be of another attempt before the trained vector leaves.
#[test]
fn banks_shown_different_manifests_stop_before_masking() {
    let mut rig = Rig::agreed(5, finetune());
    let shown = rig.manifest(1, 0, &seats(0..5));
    let mut other = shown.clone();
    other.due.end = Time(shown.due.end.0 + 1);
    let attempt = rig.open(&other);
    rig.bank(0).drain();

    // Bank 0 of a second world was shown the first manifest; the coordinator relabels M2 for it.
    let mut world = Rig::agreed(5, finetune());
    let victim = world.open(&shown);
    world.work(&victim, &seats(0..5));
    let mut bundle = attempt.bundle_for(Seat(0));
    bundle.context = victim.context();
    bundle.headers[0] = victim.escrows[&Seat(0)].header.clone();
    let answer = tell(&mut world, bundle);
    let misbehaviour = Misbehaviour::Context("escrow header");
    assert_complained(&answer, misbehaviour, 1, Fault::Header);
}

#[test]
fn second_manifest_for_one_attempt_is_equivocation() {
    let mut rig = Rig::agreed(5, finetune());
    escrowed(&mut rig);
    let mut other = rig.manifest(1, 0, &seats(0..5));
    other.due.end = Time(other.due.end.0 + 1);
    let answer = rig.offered(0, &other);
    answer.assert_blamed(Misbehaviour::Equivocation("manifest"));
}

#[test]
fn manifest_that_the_coordinator_did_not_sign_is_not_read() {
    let mut rig = Rig::agreed(5, finetune());
    let manifest = rig.manifest(1, 0, &seats(0..5));
    let manifest = Signed::sign(manifest, &bank_key(1));
    let offer = RoundOffer {
        manifest,
        plan: rig.signed_plan(),
    };
    let answer = rig.bank(0).tell(ToClient::Round(Box::new(offer)));
    answer.assert_blamed(Misbehaviour::Signature("manifest"));
}

/// A6: a manifest of another consortium, roster or version means nothing here.
#[test]
fn manifest_of_another_session_roster_or_version_is_foreign() {
    let foreign = Misbehaviour::Context("manifest");
    offer_is_blamed(
        |manifest| manifest.session = Digest([1; 32]),
        foreign.clone(),
    );
    offer_is_blamed(
        |manifest| manifest.roster = Digest([1; 32]),
        foreign.clone(),
    );
    offer_is_blamed(|manifest| manifest.version = 2, foreign);
}

/// The terms that the arithmetic of the secure sum rests on are computed, not believed.
#[test]
fn threshold_colluders_graph_and_words_are_computed_not_believed() {
    let because = Misbehaviour::Manifest;
    offer_is_blamed(
        |manifest| manifest.threshold = 3,
        because("threshold is not floor((n+c)/2)+1"),
    );
    offer_is_blamed(
        |manifest| manifest.colluders = 0,
        because("colluders are not the plan's"),
    );
    offer_is_blamed(
        |manifest| manifest.honest_min = 1,
        because("honest_min is not the plan's"),
    );
    offer_is_blamed(
        |manifest| manifest.degree = 2,
        because("degree is not the mask graph's"),
    );
    offer_is_blamed(
        |manifest| manifest.graph_seed = Digest([1; 32]),
        because("graph_seed is not the members'"),
    );
    offer_is_blamed(
        |manifest| manifest.words += 1,
        because("words is not what the plan gives"),
    );
    offer_is_blamed(
        |manifest| manifest.step = 4,
        because("step is not the plan's next one"),
    );
    let mut rig = Rig::agreed(5, finetune());
    let leap = rig.manifest(crate::limits::RATCHET_STEPS_MAX + 1, 0, &seats(0..5));
    let answer = rig.offered(0, &leap);
    answer.assert_blamed(because("round leaps over more numbers than a ratchet may"));
}

#[test]
fn cohort_with_strangers_or_without_us_is_refused() {
    let stranger = |seat| Misbehaviour::Stranger(Seat(seat), "cohort");
    offer_is_blamed(
        |manifest| manifest.cohort = seats([0, 1, 2, 3, 9]),
        stranger(9),
    );
    let mut rig = Rig::agreed(6, finetune());
    let without_us = rig.manifest(1, 0, &seats(1..6));
    let answer = rig.offered(0, &without_us);
    answer.assert_blamed(stranger(0));
}

/// A9: a cohort below the plan's minimum.
#[test]
fn tiny_cohort_is_refused() {
    let because = "cohort is smaller than the plan's members_min";
    offer_is_blamed(
        |manifest| manifest.cohort = seats(0..4),
        Misbehaviour::Manifest(because),
    );
}

/// A9: the victim, its coordinator, and as many colluders as are assumed.
#[test]
fn too_few_escrows_are_not_masked_for() {
    let mut rig = Rig::agreed(5, finetune());
    let mut attempt = escrowed(&mut rig);
    attempt.escrowed = seats(0..3);
    let answer = rig.bank(0).tell(attempt.bundle(Seat(0)));
    answer.assert_blamed(Misbehaviour::TooFew("escrowed set", 3, 4));
}

#[test]
fn escrowed_set_with_a_stranger_or_without_us_is_refused() {
    let mut rig = Rig::agreed(6, finetune());
    let manifest = rig.manifest(1, 0, &seats(0..5));
    let attempt = rig.open(&manifest);
    rig.work(&attempt, &seats(0..5));
    let mut bundle = attempt.bundle_for(Seat(0));
    bundle.escrowed = seats([0, 1, 2, 3, 5]);
    let answer = tell(&mut rig, bundle);
    answer.assert_blamed(Misbehaviour::Stranger(Seat(5), "escrowed set"));
    let mut bundle = attempt.bundle_for(Seat(0));
    bundle.escrowed = seats(1..5);
    let answer = tell(&mut rig, bundle);
    answer.assert_blamed(Misbehaviour::Stranger(Seat(0), "escrowed set"));
}

#[test]
fn bundle_with_more_or_fewer_items_than_its_set_is_refused() {
    let mut rig = Rig::agreed(5, finetune());
    let attempt = escrowed(&mut rig);
    let mut bundle = attempt.bundle_for(Seat(0));
    bundle.headers.push(bundle.headers[4].clone());
    tell(&mut rig, bundle).assert_blamed(Misbehaviour::Oversized("escrow headers", 6, 5));
    let mut bundle = attempt.bundle_for(Seat(0));
    bundle.shares.pop();
    let short = Misbehaviour::Malformed("incoming shares", "fewer than the seats they come from");
    tell(&mut rig, bundle).assert_blamed(short);
}

/// A6: a member's escrow of an earlier attempt, shown in this one.
#[test]
fn escrow_of_another_attempt_is_complained_of() {
    let mut rig = Rig::agreed(5, finetune());
    let old = escrowed(&mut rig);
    let manifest = rig.manifest(1, 1, &seats(0..5));
    let mut attempt = rig.open(&manifest);
    rig.work(&attempt, &seats(0..5));
    // The old bundle as it was is late, and means nothing.
    rig.bank(0).tell(old.bundle(Seat(0))).assert_nothing();
    attempt
        .escrows
        .insert(Seat(3), old.escrows[&Seat(3)].clone());
    let answer = rig.bank(0).tell(attempt.bundle(Seat(0)));
    let misbehaviour = Misbehaviour::Context("escrow header");
    assert_complained(&answer, misbehaviour, 3, Fault::Header);
}

#[test]
fn bundle_of_an_attempt_we_never_saw_is_foreign() {
    let mut rig = Rig::agreed(5, finetune());
    let attempt = escrowed(&mut rig);
    let mut bundle = attempt.bundle_for(Seat(0));
    bundle.context = crate::id::Context(Digest([1; 32]));
    tell(&mut rig, bundle).assert_blamed(Misbehaviour::Context("escrow bundle"));
}

#[test]
fn header_that_its_seat_did_not_sign_is_complained_of() {
    let mut rig = Rig::agreed(5, finetune());
    let mut attempt = escrowed(&mut rig);
    let escrow = attempt.escrows.get_mut(&Seat(3)).unwrap();
    escrow.header = Signed::sign(escrow.header.unverified().clone(), &coordinator_key());
    let answer = rig.bank(0).tell(attempt.bundle(Seat(0)));
    let misbehaviour = Misbehaviour::Signature("escrow header");
    assert_complained(&answer, misbehaviour, 3, Fault::Header);
}

#[test]
fn another_escrow_in_our_own_name_is_equivocation() {
    let mut rig = Rig::agreed(5, finetune());
    let mut attempt = escrowed(&mut rig);
    forge(&mut attempt, 0, |header| header.nonce = [0; 32]);
    let answer = rig.bank(0).tell(attempt.bundle(Seat(0)));
    answer.assert_blamed(Misbehaviour::Equivocation("own escrow"));
}

/// A11: the coordinator, or the dealer, garbles what is sealed for us.
#[test]
fn share_that_does_not_open_is_complained_of() {
    let mut rig = Rig::agreed(5, finetune());
    let mut attempt = escrowed(&mut rig);
    attempt.escrows.get_mut(&Seat(2)).unwrap().sealed[0][5] ^= 1;
    let answer = rig.bank(0).tell(attempt.bundle(Seat(0)));
    assert_complained(&answer, Misbehaviour::Share(Seat(2)), 2, Fault::Seal);
    // The same lie gets the same complaint, and the truth is still welcome.
    let again = rig.bank(0).tell(attempt.bundle(Seat(0)));
    assert_eq!(again.bytes(), answer.bytes());
    attempt.escrows.get_mut(&Seat(2)).unwrap().sealed[0][5] ^= 1;
    let answer = rig.bank(0).tell(attempt.bundle(Seat(0)));
    assert!(matches!(answer.sent[..], [ToCoordinator::Masked(_)]));
}

/// A11: a dealer signs digests of shares other than those it sealed.
#[test]
fn share_that_does_not_match_its_digest_is_complained_of() {
    let mut rig = Rig::agreed(5, finetune());
    let mut attempt = escrowed(&mut rig);
    let escrow = attempt.escrows.get_mut(&Seat(2)).unwrap();
    escrow.share_digests[0].escrow_share = [0; 16];
    let shares = masking::shares_root(&escrow.share_digests);
    forge(&mut attempt, 2, |header| header.shares = shares);
    let answer = rig.bank(0).tell(attempt.bundle(Seat(0)));
    assert_complained(&answer, Misbehaviour::Share(Seat(2)), 2, Fault::Share);
}

/// A11: digests that the dealer's header does not cover, hence could be denied later.
#[test]
fn share_digests_outside_the_header_are_complained_of() {
    let mut rig = Rig::agreed(5, finetune());
    let mut attempt = escrowed(&mut rig);
    forge(&mut attempt, 2, |header| header.shares = Digest([0; 32]));
    let answer = rig.bank(0).tell(attempt.bundle(Seat(0)));
    assert_complained(&answer, Misbehaviour::Share(Seat(2)), 2, Fault::Path);
}

/// A12.
#[test]
fn pair_key_that_differs_from_ours_is_complained_of() {
    let mut rig = Rig::agreed(5, finetune());
    let mut attempt = escrowed(&mut rig);
    attempt.escrows.get_mut(&Seat(4)).unwrap().commitments[0] = [0; 16];
    let answer = rig.bank(0).tell(attempt.bundle(Seat(0)));
    assert_complained(
        &answer,
        Misbehaviour::Commitment(Seat(4)),
        4,
        Fault::Commitment,
    );
    let mut bundle = attempt.bundle_for(Seat(0));
    bundle.shares[4].commitment = None;
    let answer = tell(&mut rig, bundle);
    assert_complained(
        &answer,
        Misbehaviour::Commitment(Seat(4)),
        4,
        Fault::Commitment,
    );
}

/// A25, one bank's view: two sets U1 for one attempt.
#[test]
fn second_escrow_bundle_with_another_set_is_equivocation() {
    let mut rig = Rig::agreed(5, finetune());
    let mut attempt = escrowed(&mut rig);
    rig.collect(&mut attempt, &seats(0..5));
    attempt.escrowed = seats(0..4);
    let answer = rig.bank(0).tell(attempt.bundle(Seat(0)));
    answer.assert_blamed(Misbehaviour::Equivocation("escrow bundle"));
}

/// A6: numbers that were used, whatever became of them, before and after a restart.
#[test]
fn round_and_attempt_numbers_are_used_once() {
    let mut rig = Rig::agreed(5, finetune());
    let manifest = rig.manifest(2, 3, &seats(0..5));
    rig.open(&manifest);
    let check = |rig: &mut Rig, round: u64, attempt: u16| {
        let manifest = rig.manifest(round, attempt, &seats(0..5));
        let answer = rig.offered(0, &manifest);
        let [ToCoordinator::Declined(declined)] = &answer.sent[..] else {
            panic!("{:?}", answer.sent);
        };
        assert_eq!(declined.refusal, Refusal::Stale(RoundId(round)));
        assert_eq!(declined.round, Some((RoundId(round), Attempt(attempt))));
        assert_eq!(answer.orders, []);
    };
    check(&mut rig, 2, 2);
    check(&mut rig, 1, 9);
    rig.restart(0);
    rig.agree(EpochId(2), 5);
    check(&mut rig, 2, 3);
    check(&mut rig, 2, 2);
}
