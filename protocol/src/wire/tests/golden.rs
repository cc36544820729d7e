//! Golden bytes: what travels and what is kept, as earlier builds wrote it. A line that changes
//! breaks every running consortium and every disk: change the version with it, or do not change it.

use super::*;
use crate::fixture;
use crate::id::{Attempt, EpochId};
use crate::message::{CheckIn, Handover, Holding, KeyComplaint, SealedKey};
use crate::plan::{Kind, Part, Plan, Width, Work};
use crate::signed::Signed;

/// A line per message and record: its name, and its bytes in hexadecimal.
const GOLDEN: &str = include_str!("../../../vectors/wire.txt");

fn samples() -> Vec<(&'static str, Vec<u8>)> {
    let (round, attempt) = (RoundId(0x0102_0304_0506_0708), Attempt(2));
    let abandoned = Abandoned {
        round,
        attempt,
        cause: Cause::Reveals,
    };
    let declined = Declined {
        round: Some((round, attempt)),
        epoch: EpochId(3),
        refusal: crate::blame::Refusal::Local("no data".into()),
    };
    let digest = crypto::Digest([0xd1; 32]);
    vec![
        (
            "masked",
            encode(&ToCoordinator::Masked(Box::new(masked(8)))),
        ),
        ("declined", encode(&ToCoordinator::Declined(declined))),
        ("abandoned", encode(&ToClient::Abandoned(abandoned))),
        ("result", encode(&ToClient::Result(Arc::new(result())))),
        ("audit", encode(&ToCoordinator::Audit(audit_request()))),
        ("audited", encode(&ToClient::Audited(Box::new(stretch())))),
        ("check-in", encode(&ToCoordinator::CheckIn(check_in()))),
        (
            "sealed-keys",
            encode(&ToCoordinator::SealedKeys(vec![sealed_key()])),
        ),
        (
            "key-complaint",
            encode(&ToCoordinator::KeyComplaint(key_complaint())),
        ),
        ("handover", encode(&ToClient::Handover(handover()))),
        (
            "sealed-key",
            encode(&ToClient::SealedKey(Box::new(sealed_key()))),
        ),
        (
            "coordinator-masked",
            encode(&CoordinatorRecord::Masked(Arc::new(masked(8)))),
        ),
        (
            "coordinator-abandoned",
            encode(&CoordinatorRecord::Abandoned(Time(5), abandoned)),
        ),
        (
            "coordinator-committed",
            encode(&CoordinatorRecord::Committed(Time(5), Arc::new(result()))),
        ),
        (
            "client-joined",
            encode(&ClientRecord::Joined(Time(5), round, attempt)),
        ),
        ("client-acked", encode(&ClientRecord::Acked(round))),
        (
            "client-revealed",
            encode(&ClientRecord::Revealed(round, Kind::Risk, digest, Some(9))),
        ),
        (
            "client-applied",
            encode(&ClientRecord::Applied(Arc::new(result()))),
        ),
        ("packed-plan", encode(&packed())),
        ("started-plan", encode(&started())),
        (
            "newton-plan",
            encode(&fixture::plan(Work::Finetune(fixture::newton()), 2)),
        ),
    ]
}

fn packed() -> Plan {
    let mut plan = fixture::plan(fixture::risk(), 1);
    plan.width = Width::Packed;
    plan
}

fn started() -> Plan {
    let mut training = fixture::training();
    training.model.base = Some(fixture::base(&[Part::Encoder, Part::Energy]));
    fixture::plan(Work::Finetune(training), 2)
}

fn check_in() -> Box<CheckIn> {
    let digest = crypto::Digest([0xd1; 32]);
    Box::new(CheckIn {
        credential: fixture::signed(fixture::credential()),
        epoch: Some((EpochId(3), digest)),
        ledger: 9,
        head: digest,
        bucket_key: Holding::Held(digest),
    })
}

fn handover() -> Handover {
    Handover {
        epoch: EpochId(3),
        roster: crypto::Digest([0xd1; 32]),
        to: fixture::seats([1, 4]),
    }
}

fn sealed_key() -> Signed<SealedKey> {
    let digest = crypto::Digest([0xd1; 32]);
    fixture::signed(SealedKey {
        epoch: EpochId(3),
        roster: digest,
        from: Seat(0),
        to: Seat(4),
        commitment: digest,
        sealed: vec![0x5e; 48],
    })
}

fn key_complaint() -> Box<Signed<KeyComplaint>> {
    Box::new(fixture::signed(KeyComplaint {
        epoch: EpochId(3),
        roster: crypto::Digest([0xd1; 32]),
        from: Seat(4),
        about: Seat(0),
    }))
}

#[test]
fn bytes_are_those_of_earlier_builds() {
    let line = |(name, bytes): (&str, Vec<u8>)| {
        let hex = bytes.iter().map(|byte| format!("{byte:02x}"));
        format!("{name} {}\n", hex.collect::<String>())
    };
    let found = samples().into_iter().map(line).collect::<String>();
    assert!(found == GOLDEN, "expected vectors/wire.txt, found\n{found}");
}

// By hand: the variant as a u32, then the fields in order, all big-endian.
#[test]
fn a_record_is_its_variant_and_its_fields() {
    let acked = encode(&ClientRecord::Acked(RoundId(0x0102_0304_0506_0708)));
    assert_eq!(acked, [0, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8]);
}
