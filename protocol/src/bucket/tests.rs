//! What opens where, and what may be said of a key.

use super::*;

const PASSAGE: Passage = Passage {
    epoch: EpochId(3),
    from: Seat(1),
    to: Seat(4),
};

fn pair() -> Key {
    handover_key(&Key::from_bytes([5; 32]))
}

fn session() -> Digest {
    Digest([7; 32])
}

// Printed by Python 3: hashlib.sha256 over the framed label and parts, and HKDF-Expand of RFC 5869
// with hmac, for session 07.., key 2a.., salt 09...
#[test]
fn commitment_and_table_key_are_those_of_an_independent_computation() {
    let key = BucketKey::new(&session(), [0x2a; 32]);
    assert_eq!(
        key.commitment().to_hex(),
        "0a456f1c0825a7da4fac96880744d1455e5c1fee3d938adc9b66c6d77162a246"
    );
    let table = key.table_key(&Digest([9; 32]));
    assert_eq!(
        Digest(*table.expose()).to_hex(),
        "bf97040e49b5382876bb2d78a6f2fc23138a9673e37de9e893d6868cc3192bc4"
    );
}

#[test]
fn only_the_passage_it_was_sealed_for_opens_it() {
    let (key, session) = (BucketKey::new(&session(), [0x2a; 32]), session());
    let commitment = key.commitment();
    let sealed = key.sealed(&pair(), PASSAGE);
    assert_eq!(sealed.len(), SEALED_BYTES);
    let open = |pair: &Key, passage, commitment: &Digest, sealed: &[u8]| {
        BucketKey::open(pair, passage, (&session, commitment), sealed)
    };
    let opened = open(&pair(), PASSAGE, &commitment, &sealed).unwrap();
    assert_eq!(opened.expose(), key.expose());
    let (from, to) = (PASSAGE.to, PASSAGE.from);
    let epoch = EpochId(4);
    for passage in [
        Passage {
            from,
            to,
            ..PASSAGE
        },
        Passage { to, ..PASSAGE },
        Passage { epoch, ..PASSAGE },
    ] {
        assert_eq!(open(&pair(), passage, &commitment, &sealed), None);
    }
    let stranger = handover_key(&Key::from_bytes([6; 32]));
    assert_eq!(open(&stranger, PASSAGE, &commitment, &sealed), None);
    assert_eq!(open(&pair(), PASSAGE, &session, &sealed), None);
    for at in 0..sealed.len() {
        let mut spoilt = sealed.clone();
        spoilt[at] ^= 1;
        assert_eq!(open(&pair(), PASSAGE, &commitment, &spoilt), None);
    }
}

/// A member that seals another key than it commits to, with everything else in order.
#[test]
fn another_key_than_the_one_committed_to_is_not_taken() {
    let said = BucketKey::new(&session(), [1; 32]).commitment();
    let key = seal_key(&pair(), PASSAGE, &said);
    for plain in [&[2; 32][..], &[1; 31], &[]] {
        let sealed = seal::seal(&key, &bound(PASSAGE, &said), plain);
        let opened = BucketKey::open(&pair(), PASSAGE, (&session(), &said), &sealed);
        assert_eq!(opened, None);
    }
}

/// Two messages under one key would open each other: commitment and direction are in the key.
#[test]
fn every_key_and_direction_is_sealed_under_a_key_of_its_own() {
    let back = Passage {
        from: PASSAGE.to,
        to: PASSAGE.from,
        ..PASSAGE
    };
    let commitments = [1, 2].map(|byte| BucketKey::new(&session(), [byte; 32]).commitment());
    let mut keys = std::collections::BTreeSet::new();
    for passage in [PASSAGE, back] {
        for commitment in &commitments {
            keys.insert(*seal_key(&pair(), passage, commitment).expose());
        }
    }
    assert_eq!(keys.len(), 4);
}

/// The commitment is public, and the debug form is as good as public.
#[test]
fn nothing_that_is_said_of_a_key_holds_its_bytes() {
    let key = BucketKey::new(&session(), [0x2a; 32]);
    let other = BucketKey::new(&Digest([8; 32]), [0x2a; 32]);
    assert_ne!(
        key.commitment(),
        other.commitment(),
        "bound to its consortium"
    );
    let said = format!("{key:?}");
    assert_eq!(said, format!("BucketKey({})", key.commitment()));
    assert!(!said.contains("2a2a"));
}
