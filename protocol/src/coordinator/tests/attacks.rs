//! What a malicious bank may send, and what comes of it: it is named, and the others go on.

use std::cell::RefCell;
use std::rc::Rc;

use crypto::Scalar;

use super::rig::{Federation, Up, bank_id, bank_key, plan};
use crate::blame::Misbehaviour;
use crate::event::CoordinatorEvent;
use crate::fixture;
use crate::id::{Context, Seat};
use crate::limits;
use crate::message::{
    Ack, Cause, Complaint, Escrow, EscrowHeader, Fault, MaskedTrailer, Reveal, ToClient,
    ToCoordinator,
};
use crate::plan::Width;
use crate::signed::{Signable, Signed};
use crate::vector;

const LIAR: usize = 2;

/// Five banks, one of which says something else than it should.
fn with_liar(lie: impl FnMut(ToCoordinator) -> Vec<ToCoordinator> + 'static) -> Federation {
    let mut federation = Federation::new(5);
    federation.up = liar(lie);
    federation.start(plan(fixture::risk(), 1, 4));
    federation.run(|federation| federation.coordinator.desk.ledger.length() == 1);
    federation
}

fn liar(mut lie: impl FnMut(ToCoordinator) -> Vec<ToCoordinator> + 'static) -> Up {
    Box::new(move |bank, message| {
        if bank == LIAR {
            lie(message)
        } else {
            vec![message]
        }
    })
}

/// Signs with the liar's own key what the liar would sign.
fn resigned<T: Signable + Clone>(signed: &Signed<T>, spoil: impl FnOnce(&mut T)) -> Signed<T> {
    let mut body = signed.unverified().clone();
    spoil(&mut body);
    Signed::sign(body, &bank_key(LIAR))
}

#[track_caller]
fn assert_named(federation: &Federation, misbehaviour: Misbehaviour) {
    let blamed = federation.blamed();
    assert!(
        blamed.contains(&(bank_id(LIAR), misbehaviour)),
        "{blamed:?}"
    );
}

fn spoilt_escrow(spoil: fn(&mut Escrow)) -> Federation {
    with_liar(move |message| match message {
        ToCoordinator::Escrow(mut escrow) => {
            spoil(&mut escrow);
            vec![ToCoordinator::Escrow(escrow)]
        }
        message => vec![message],
    })
}

#[test]
fn a_malformed_escrow_is_refused_and_its_sender_drops_out() {
    let refuse = |why: &'static str, spoil: fn(&mut Escrow)| {
        let federation = spoilt_escrow(spoil);
        assert_named(&federation, Misbehaviour::Malformed("escrow", why));
        federation.assert_sum_of(&[0, 1, 3, 4]);
    };
    refuse("number of share digests", |escrow| {
        escrow.share_digests.truncate(4)
    });
    refuse("number of sealed shares", |escrow| {
        escrow.sealed.truncate(4)
    });
    refuse("size of a sealed share", |escrow| {
        escrow.sealed[0].truncate(79)
    });
    refuse("size of the escrow box", |escrow| {
        escrow.escrow_box.truncate(9)
    });
    refuse("number of commitments", |escrow| {
        escrow.commitments.truncate(3)
    });
    refuse("digest of the commitments", |escrow| {
        escrow.commitments[0][0] ^= 1
    });
    refuse("digest of the escrow box", |escrow| {
        escrow.escrow_box[0] ^= 1
    });
    refuse("digest of the sealed shares", |escrow| {
        escrow.sealed[0][0] ^= 1
    });
    refuse("root of the share digests", |escrow| {
        escrow.share_digests[0].self_share[0] ^= 1;
    });
}

#[test]
fn an_escrow_that_is_not_its_senders_is_refused() {
    let federation = spoilt_escrow(|escrow| {
        escrow.header = Signed::sign(escrow.header.unverified().clone(), &bank_key(0));
    });
    assert_named(&federation, Misbehaviour::Signature("escrow"));
    federation.assert_sum_of(&[0, 1, 3, 4]);
    let federation = spoilt_escrow(|escrow| {
        escrow.header = resigned(&escrow.header, |header| header.seat = Seat(0));
    });
    assert_named(&federation, Misbehaviour::Stranger(Seat(0), "escrow"));
    let federation = spoilt_escrow(|escrow| {
        let other = Context(crypto::Digest([1; 32]));
        escrow.header = resigned(&escrow.header, |header| header.context = other);
    });
    assert_named(&federation, Misbehaviour::Context("escrow"));
}

#[test]
fn of_two_different_escrows_the_first_stands() {
    let federation = with_liar(|message| match message {
        ToCoordinator::Escrow(escrow) => {
            let mut second = escrow.clone();
            second.header = resigned(&escrow.header, |header| header.nonce = [5; 32]);
            vec![ToCoordinator::Escrow(escrow), ToCoordinator::Escrow(second)]
        }
        message => vec![message],
    });
    assert_named(&federation, Misbehaviour::Equivocation("escrow"));
    federation.assert_sum_of(&[0, 1, 2, 3, 4]);
}

#[test]
fn a_masked_update_of_another_size_or_root_is_counted_nowhere() {
    let federation = with_liar(|message| match message {
        ToCoordinator::Masked(mut masked) => {
            masked.words.0.extend([0; 4]);
            vec![ToCoordinator::Masked(masked)]
        }
        message => vec![message],
    });
    assert_named(
        &federation,
        Misbehaviour::Oversized("masked update", 31 * 4 + 4, 31 * 4),
    );
    federation.assert_sum_of(&[0, 1, 3, 4]);
    let federation = with_liar(|message| match message {
        ToCoordinator::Masked(mut masked) => {
            masked.words.0[0] ^= 1;
            vec![ToCoordinator::Masked(masked)]
        }
        message => vec![message],
    });
    assert_named(
        &federation,
        Misbehaviour::Malformed("masked update", "root of its bytes"),
    );
    federation.assert_sum_of(&[0, 1, 3, 4]);
}

#[test]
fn of_two_different_masked_updates_the_first_stands() {
    let federation = with_liar(|message| match message {
        ToCoordinator::Masked(masked) => {
            let mut second = masked.clone();
            second.words.0[0] ^= 1;
            let root = vector::masked_root(&second.words, Width::Full);
            second.trailer = resigned(&masked.trailer, |trailer: &mut MaskedTrailer| {
                trailer.root = root;
            });
            vec![ToCoordinator::Masked(masked), ToCoordinator::Masked(second)]
        }
        message => vec![message],
    });
    assert_named(&federation, Misbehaviour::Equivocation("masked update"));
    federation.assert_sum_of(&[0, 1, 2, 3, 4]);
}

/// Garbage under honest masks: the canaries show it, the number is burnt, nothing is committed.
#[test]
fn a_vector_that_is_no_vector_never_reaches_the_ledger() {
    let mut federation = Federation::new(5);
    federation.up = liar(|message| match message {
        ToCoordinator::Masked(mut masked) => {
            masked.words.0[0] ^= 0x40;
            let root = vector::masked_root(&masked.words, Width::Full);
            masked.trailer = resigned(&masked.trailer, |trailer: &mut MaskedTrailer| {
                trailer.root = root;
            });
            vec![ToCoordinator::Masked(masked)]
        }
        message => vec![message],
    });
    let id = federation.start(plan(fixture::risk(), 1, 4));
    federation.run(|federation| federation.coordinator.desk.plans.get(id).is_none());
    assert_eq!(federation.coordinator.desk.ledger.length(), 0);
    let failed = |event: &CoordinatorEvent| {
        matches!(event, CoordinatorEvent::RoundAbandoned(_, _, Cause::Sum))
    };
    assert_eq!(federation.count(failed), 1);
}

/// One payment less than none in a bucket, which no other bank's counts make up for: of no use to
/// any reader, and the day would be spent. One fraud less is a withdrawal like any other.
#[test]
fn payments_below_zero_never_reach_the_ledger_and_frauds_do() {
    // The first day's fourth bucket: payments, frauds; last whether banks are there.
    for (word, is_taken) in [(6, false), (7, true), (23, false)] {
        let mut federation = Federation::new(5);
        federation.up = liar(move |message| match message {
            ToCoordinator::Masked(mut masked) => {
                let at = 4 * (limits::HEADER_WORDS + word);
                let bytes = &mut masked.words.0[at..at + 4];
                let found = u32::from_le_bytes(bytes.try_into().unwrap());
                bytes.copy_from_slice(&found.wrapping_sub(1).to_le_bytes());
                let root = vector::masked_root(&masked.words, Width::Full);
                masked.trailer = resigned(&masked.trailer, |trailer: &mut MaskedTrailer| {
                    trailer.root = root;
                });
                vec![ToCoordinator::Masked(masked)]
            }
            message => vec![message],
        });
        let id = federation.start(plan(fixture::risk(), 1, 4));
        federation.run(|federation| {
            let desk = &federation.coordinator.desk;
            desk.ledger.length() == 1 || desk.plans.get(id).is_none()
        });
        let length = federation.coordinator.desk.ledger.length();
        assert_eq!(length, u64::from(is_taken), "{word}");
        let failed = |event: &CoordinatorEvent| {
            matches!(event, CoordinatorEvent::RoundAbandoned(_, _, Cause::Sum))
        };
        assert_eq!(federation.count(failed), usize::from(!is_taken), "{word}");
    }
}

#[test]
fn an_acknowledgement_of_another_set_does_not_count() {
    let federation = with_liar(|message| match message {
        ToCoordinator::Ack(ack) => {
            let lie = resigned(&ack, |ack: &mut Ack| {
                ack.survivors = crypto::Digest([2; 32])
            });
            vec![ToCoordinator::Ack(lie)]
        }
        message => vec![message],
    });
    assert_named(
        &federation,
        Misbehaviour::Acks("another survivor set than ours"),
    );
    federation.assert_sum_of(&[0, 1, 2, 3, 4]);
    assert_eq!(federation.results()[0].acks.len(), 4);
}

fn wrong_share(reveal: &mut Reveal) {
    reveal.self_shares[0] = Scalar::from_bytes([1; 32]).unwrap();
}

#[test]
fn a_wrong_share_names_the_liar_and_the_others_open_the_sum() {
    let federation = with_liar(|message| match message {
        ToCoordinator::Reveal(reveal) => {
            let lie = resigned(&reveal, wrong_share);
            vec![ToCoordinator::Reveal(Box::new(lie))]
        }
        message => vec![message],
    });
    assert_named(&federation, Misbehaviour::Share(Seat(0)));
    federation.assert_sum_of(&[0, 1, 2, 3, 4]);
}

#[test]
fn a_wrong_pair_key_or_number_of_shares_names_the_liar() {
    // Bank 7 drops out after its escrow, so that pair keys are asked for.
    let name = |misbehaviour: Misbehaviour, spoil: fn(&mut Reveal)| {
        let mut federation = Federation::new(8);
        federation.up = Box::new(move |bank, message| match message {
            ToCoordinator::Masked(_) if bank == 7 => Vec::new(),
            ToCoordinator::Reveal(reveal) if bank == LIAR => {
                vec![ToCoordinator::Reveal(Box::new(resigned(&reveal, spoil)))]
            }
            message => vec![message],
        });
        federation.start(plan(fixture::risk(), 1, 4));
        federation.run(|federation| federation.coordinator.desk.ledger.length() == 1);
        assert_named(&federation, misbehaviour);
        federation.assert_sum_of(&[0, 1, 2, 3, 4, 5, 6]);
    };
    let wrong_key = || Misbehaviour::Commitment(Seat(7));
    name(wrong_key(), |reveal| reveal.pair_keys[0] = Some([1; 32]));
    name(wrong_key(), |reveal| reveal.pair_keys[0] = None);
    name(
        Misbehaviour::Malformed("reveal", "number of shares or keys"),
        |reveal| reveal.escrow_shares.clear(),
    );
}

/// The box of the one that drops out is garbage: the other sides of its pairs give the keys.
#[test]
fn a_box_that_does_not_open_blocks_nobody() {
    let federation = with_liar(|message| match message {
        ToCoordinator::Masked(_) => Vec::new(),
        ToCoordinator::Escrow(mut escrow) => {
            escrow.escrow_box[0] ^= 1;
            let digest = crate::masking::box_digest(&escrow.escrow_box);
            escrow.header = resigned(&escrow.header, |header| header.escrow_box = digest);
            vec![ToCoordinator::Escrow(escrow)]
        }
        message => vec![message],
    });
    federation.assert_sum_of(&[0, 1, 3, 4]);
}

/// A dealer whose shares do not open what it signed is named, once nobody else can help.
#[test]
fn a_dealer_that_signed_another_secret_is_named_when_the_round_fails() {
    let mut federation = Federation::new(5);
    let told = Rc::new(RefCell::new(None));
    let honest = Rc::clone(&told);
    federation.up = Box::new(move |bank, message| match message {
        ToCoordinator::Escrow(mut escrow) if bank == LIAR => {
            *told.borrow_mut() = Some(escrow.header.clone());
            let wrong = crypto::Digest([3; 32]);
            escrow.header = resigned(&escrow.header, |header: &mut EscrowHeader| {
                header.self_secret = wrong;
            });
            vec![ToCoordinator::Escrow(escrow)]
        }
        message => vec![message],
    });
    // The liar's own machine sees the header that it made, and plays on.
    federation.down = Box::new(move |bank, message| match message {
        ToClient::EscrowBundle(mut bundle) if bank == LIAR => {
            bundle.headers[LIAR] = honest.borrow().clone().unwrap();
            vec![ToClient::EscrowBundle(bundle)]
        }
        message => vec![message],
    });
    let id = federation.start(plan(fixture::risk(), 1, 4));
    federation.run(|federation| federation.coordinator.desk.plans.get(id).is_none());
    assert_named(&federation, Misbehaviour::Share(Seat(2)));
    let failed = |event: &CoordinatorEvent| {
        matches!(
            event,
            CoordinatorEvent::RoundAbandoned(_, _, Cause::Reveals)
        )
    };
    assert_eq!(federation.count(failed), 1);
}

fn complaint(message: &ToCoordinator, about: u16, fault: Fault) -> Option<ToCoordinator> {
    let ToCoordinator::Masked(masked) = message else {
        return None;
    };
    let trailer = masked.trailer.unverified();
    let body = Complaint {
        context: trailer.context,
        from: trailer.seat,
        about: Seat(about),
        fault,
    };
    let signed = Signed::sign(body, &bank_key(usize::from(trailer.seat.0)));
    Some(ToCoordinator::Complaint(Box::new(signed)))
}

/// What can be seen to be groundless costs the accuser its place, and the others nothing.
#[test]
fn a_groundless_complaint_stops_nobody_else() {
    for fault in [Fault::Commitment, Fault::Header, Fault::Path] {
        let mut federation = Federation::new(5);
        federation.up = Box::new(move |bank, message| match complaint(&message, 0, fault) {
            Some(complaint) if bank == LIAR => vec![complaint],
            Some(_) | None => vec![message],
        });
        federation.start(plan(fixture::risk(), 1, 4));
        federation.run(|federation| federation.coordinator.desk.ledger.length() == 1);
        assert_named(
            &federation,
            Misbehaviour::Malformed("complaint", "groundless"),
        );
        federation.assert_sum_of(&[0, 1, 3, 4]);
        assert_eq!(federation.results()[0].manifest.unverified().attempt.0, 0);
    }
}

/// A26: what cannot be judged from here costs an attempt, twice at most; then its author sits out.
#[test]
fn a_storm_of_complaints_ends_with_its_author_left_out() {
    let mut federation = Federation::new(6);
    federation.up = Box::new(|bank, message| match complaint(&message, 0, Fault::Share) {
        Some(complaint) if bank == LIAR => vec![complaint],
        Some(_) | None => vec![message],
    });
    federation.start(plan(fixture::risk(), 1, 4));
    federation.run(|federation| federation.coordinator.desk.ledger.length() == 1);
    federation.assert_sum_of(&[0, 1, 3, 4, 5]);
    assert_eq!(federation.results()[0].manifest.unverified().attempt.0, 2);
}

/// Two members cannot agree with the same third: that one sits out.
#[test]
fn who_is_accused_by_two_members_sits_out() {
    let mut federation = Federation::new(6);
    federation.up = Box::new(|bank, message| match complaint(&message, 2, Fault::Seal) {
        Some(complaint) if bank == 0 || bank == 1 => vec![complaint],
        Some(_) | None => vec![message],
    });
    federation.start(plan(fixture::risk(), 1, 4));
    federation.run(|federation| federation.results().len() == 1 || federation.now.0 > 200_000);
    let left_out = federation
        .coordinator
        .desk
        .epoch
        .as_ref()
        .map(|epoch| [0, 1, 2].map(|seat| epoch.complaints.leave_out(Seat(seat))));
    assert_eq!(left_out.map(|left_out| left_out[2]), Some(true));
}

#[test]
fn who_says_something_of_a_later_phase_is_out_of_order() {
    let federation = with_liar(|message| match message {
        ToCoordinator::Masked(masked) => {
            let trailer = masked.trailer.unverified();
            let early = Reveal {
                context: trailer.context,
                seat: trailer.seat,
                self_shares: Vec::new(),
                escrow_shares: Vec::new(),
                pair_keys: Vec::new(),
            };
            let early = Signed::sign(early, &bank_key(LIAR));
            vec![
                ToCoordinator::Reveal(Box::new(early)),
                ToCoordinator::Masked(masked),
            ]
        }
        message => vec![message],
    });
    assert_named(&federation, Misbehaviour::OutOfOrder("reveal"));
    federation.assert_sum_of(&[0, 1, 2, 3, 4]);
}

/// A bank may only speak for its own seat, whatever it signs.
#[test]
fn nobody_acknowledges_for_another() {
    let mut federation = Federation::new(5);
    federation.up = Box::new(|bank, message| match message {
        ToCoordinator::Ack(ack) if bank == LIAR => {
            let lie = resigned(&ack, |ack: &mut Ack| ack.seat = Seat(3));
            vec![ToCoordinator::Ack(lie)]
        }
        message => vec![message],
    });
    federation.start(plan(fixture::risk(), 1, 4));
    federation.run(|federation| federation.coordinator.desk.ledger.length() == 1);
    assert_named(
        &federation,
        Misbehaviour::Stranger(Seat(3), "acknowledgement"),
    );
}

/// What leaves the coordinator holds no masked vector, and no share in the clear.
#[test]
fn nothing_of_one_bank_is_passed_on_to_another_in_the_clear() {
    let mut federation = Federation::new(5);
    federation.down = Box::new(|_, message| {
        if let ToClient::EscrowBundle(bundle) = &message {
            assert!(bundle.shares.iter().all(|share| share.sealed.len() == 80));
        }
        vec![message]
    });
    federation.start(plan(fixture::risk(), 1, 5));
    federation.run_to(1);
}
