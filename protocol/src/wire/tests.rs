//! Encodings: exact, bounded, and silent on garbage.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::fixture;
use crate::id::{Context, RoundId, Seat};
use crate::ledger::Ledger;
use crate::message::{
    Abandoned, AuditPart, AuditRequest, Audited, Cause, Declined, Masked, MaskedTrailer, Piece,
    Stretch, ToClient, ToCoordinator,
};
use crate::plan::Work;
use crate::record::{ClientRecord, CoordinatorRecord};
use crate::time::Time;

mod golden;

fn masked(bytes: usize) -> Masked {
    let digest = crypto::Digest([1; 32]);
    let context = Context(digest);
    let trailer = MaskedTrailer {
        context,
        seat: Seat(3),
        escrowed: digest,
        root: digest,
    };
    Masked {
        trailer: fixture::signed(trailer),
        words: Bulk(vec![0xab; bytes]),
    }
}

fn result() -> crate::message::RoundResult {
    let plan = fixture::plan(Work::Finetune(fixture::training()), 2);
    let vectors = vec![vec![0, 0, 0, 0, 1, 0]; 5];
    let vectors = vectors.into_iter().map(|mut words: Vec<u32>| {
        words.resize(29, 0);
        words
    });
    fixture::result(
        &Ledger::new(fixture::session()),
        &plan,
        &vectors.collect::<Vec<_>>(),
    )
}

fn stretch() -> Audited {
    let digest = crypto::Digest([2; 32]);
    let pieces = vec![Piece {
        bytes: Bulk(vec![0xcd; 8]),
        path: vec![digest],
    }];
    let stretch = Stretch {
        chunk: 5,
        from: 3,
        pieces,
    };
    Audited::Chunk(Context(digest), Box::new(stretch))
}

fn audit_request() -> AuditRequest {
    AuditRequest {
        context: Context(crypto::Digest([2; 32])),
        part: AuditPart::Chunk { chunk: 5, from: 3 },
    }
}

fn returns<T>(value: &T)
where
    T: Serialize + DeserializeOwned + PartialEq + fmt::Debug,
{
    let bytes = encode(value);
    assert_eq!(decode::<T>(&bytes).as_ref(), Ok(value));
    for end in 0..bytes.len().min(400) {
        assert!(
            decode::<T>(&bytes[..end]).is_err(),
            "{end} of {} bytes",
            bytes.len()
        );
    }
    let longer = [&bytes[..], &[0]].concat();
    assert_eq!(decode::<T>(&longer), Err(WireError::LeftOver { bytes: 1 }));
}

#[test]
fn messages_and_records_return_exactly_and_never_in_part() {
    let abandoned = Abandoned {
        round: RoundId(7),
        attempt: crate::id::Attempt(1),
        cause: Cause::Reveals,
    };
    returns(&ToCoordinator::Masked(Box::new(masked(64))));
    returns(&ToCoordinator::Declined(Declined {
        round: None,
        epoch: crate::id::EpochId(3),
        refusal: crate::blame::Refusal::Local("no data".into()),
    }));
    returns(&ToClient::Abandoned(abandoned));
    returns(&ToClient::Result(Arc::new(result())));
    returns(&ToCoordinator::Audit(audit_request()));
    returns(&ToClient::Audited(Box::new(stretch())));
    returns(&CoordinatorRecord::Masked(Arc::new(masked(64))));
    returns(&CoordinatorRecord::Committed(Time(5), Arc::new(result())));
    returns(&ClientRecord::Applied(Arc::new(result())));
    returns(&ClientRecord::Acked(RoundId(9)));
}

/// What is signed survives the wire: a receiver encodes again what it decoded.
#[test]
fn signatures_verify_after_the_wire() {
    let sent = result();
    let got: crate::message::RoundResult = decode(&encode(&sent)).unwrap();
    let key = fixture::key(1).verify_key();
    assert!(got.outcome.verify(&key).is_ok());
    assert!(got.manifest.verify(&key).is_ok());
    assert!(got.plan.plan.verify(&key).is_ok());
}

#[test]
fn vectors_travel_as_one_block() {
    let empty = encode(&ToCoordinator::Masked(Box::new(masked(0)))).len();
    let large = encode(&ToCoordinator::Masked(Box::new(masked(4_000_000))));
    assert_eq!(large.len(), empty + 4_000_000);
    assert!(decode::<ToCoordinator>(&large).is_ok());
}

/// The length of a block is claimed in the eight bytes before it. Every claim beyond what came is
/// refused; that none is believed first shows in the test's memory, which the limit bounds.
#[test]
fn claimed_lengths_beyond_the_frame_are_refused() {
    let honest = encode(&ToCoordinator::Masked(Box::new(masked(8))));
    let at = honest.len() - 16;
    for claim in [9, 1 << 20, 1 << 26, 1 << 40, u64::MAX] {
        let mut bytes = honest.clone();
        bytes[at..at + 8].copy_from_slice(&u64::to_be_bytes(claim));
        assert!(
            matches!(
                decode::<ToCoordinator>(&bytes),
                Err(WireError::Malformed(_))
            ),
            "{claim}"
        );
    }
    for claim in [1_u64 << 20, 1 << 40, u64::MAX] {
        let list_of_acks = [&claim.to_be_bytes()[..], &[0; 64]].concat();
        assert!(decode::<Vec<u64>>(&list_of_acks).is_err());
        assert!(decode::<String>(&list_of_acks).is_err());
        assert!(decode::<Vec<Vec<u8>>>(&list_of_acks).is_err());
    }
}

#[test]
fn frames_announce_what_they_hold_and_no_more_than_allowed() {
    let message = encode(&ClientRecord::Acked(RoundId(9)));
    assert_eq!(length(header(&message).unwrap()), Ok(message.len()));
    assert_eq!(
        length([0xff; 4]),
        Err(WireError::TooLong { found: 0xffff_ffff })
    );
    let too_long = u32::try_from(FRAME_BYTES_MAX + 1).unwrap();
    assert!(length(too_long.to_be_bytes()).is_err());
    assert!(header(&vec![0; FRAME_BYTES_MAX + 1]).is_err());
    assert!(decode::<ToClient>(&vec![0; FRAME_BYTES_MAX + 1]).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Attack A21: whatever arrives is a message or an error, never a panic. What decodes encodes
    /// to the same bytes: there is one encoding.
    #[test]
    fn garbage_is_refused_or_is_the_one_encoding(
        bytes in prop::collection::vec(any::<u8>(), 0..600),
        variant in 0_u8..20,
    ) {
        let bytes = [&[0, 0, 0, variant], &bytes[..]].concat();
        is_one_encoding::<ToCoordinator>(&bytes)?;
        is_one_encoding::<ToClient>(&bytes)?;
        is_one_encoding::<CoordinatorRecord>(&bytes)?;
        is_one_encoding::<ClientRecord>(&bytes)?;
    }

    /// A flipped bit in a real message: an error, or another message, never the same one.
    #[test]
    fn flipped_bits_never_go_unseen(place in 0_usize..100_000, bit in 0_u8..8) {
        let message = ToClient::Result(Arc::new(result()));
        let mut bytes = encode(&message);
        let place = place % bytes.len();
        bytes[place] ^= 1 << bit;
        if let Ok(other) = decode::<ToClient>(&bytes) {
            // By bytes, since 0.0 and -0.0 are equal as numbers and differ as messages.
            prop_assert_eq!(encode(&other), bytes);
            prop_assert_ne!(encode(&other), encode(&message));
        }
    }
}

fn is_one_encoding<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(value) = decode::<T>(bytes) {
        prop_assert_eq!(encode(&value), bytes);
    }
    Ok(())
}

#[test]
fn a_stream_holds_the_same_bytes_and_is_read_no_further() {
    let value = (-0.0_f64, vec![7_u64, 8], "text".to_owned());
    let mut stream = Vec::new();
    encode_into(&value, &mut stream).unwrap();
    assert_eq!(stream, encode(&value));
    stream.extend([1, 2, 3]);
    let mut from = stream.as_slice();
    let back: (f64, Vec<u64>, String) = decode_from(&mut from).unwrap();
    assert_eq!((encode(&back), from), (encode(&value), &[1_u8, 2, 3][..]));
    let short: Result<u64, WireError> = decode_from(&mut from);
    assert!(matches!(short, Err(WireError::Malformed(_))));
}
