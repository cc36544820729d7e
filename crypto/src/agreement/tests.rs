//! Pair keys against OpenSSL, kyber-py and the RFCs, and what is refused.

use serde_json::Value;

use super::*;
use crate::vectors;

#[test]
fn both_sides_derive_the_pair_key_of_the_vectors() {
    let file = file();
    let (lower, upper) = members(&file);
    let seed = Seed::from_entropy(vectors::array(&file["chance"]));
    let (ciphertext, sent) = lower
        .encapsulate(&upper.public(), &seed)
        .expect("sound key");
    assert_eq!(ciphertext, vectors::hex(&file["ciphertext"]));
    assert_eq!(sent.expose(), &vectors::array(&file["secret"]));
    let received = upper.decapsulate(&ciphertext).expect("full length");
    assert_eq!(received.expose(), sent.expose());

    let (low, up) = (lower.public(), upper.public());
    let salt = salt(&file);
    let at_lower = lower
        .pair_key(&low, &up, &up, &ciphertext, &sent, &salt)
        .expect("sound");
    let at_upper = upper
        .pair_key(&low, &up, &low, &ciphertext, &received, &salt)
        .expect("sound");
    assert_eq!(at_lower.expose(), &vectors::array(&file["pair_key"]));
    assert!(at_lower.ct_eq(&at_upper));
}

#[test]
fn a_forged_ciphertext_yields_the_rejected_secret_of_fips_203() {
    let file = file();
    let (_, upper) = members(&file);
    let mut forged = vectors::hex(&file["ciphertext"]);
    forged[0] ^= 1;
    let secret = upper.decapsulate(&forged).expect("full length");
    assert_eq!(secret.expose(), &vectors::array(&file["rejected_secret"]));
}

#[test]
fn x25519_is_that_of_rfc_7748() {
    for case in vectors::list(&file()["rfc7748"]) {
        let mut key = AgreementKey::generate(&Seed::from_entropy([1; 32]));
        key.x25519 = StaticSecret::from(vectors::array::<32>(&case["scalar"]));
        let peer = PublicKey::from(vectors::array::<32>(&case["u"]));
        let shared = key.x25519.diffie_hellman(&peer);
        assert_eq!(shared.to_bytes(), vectors::array::<32>(&case["out"]));
    }
}

#[test]
fn points_of_low_order_are_refused() {
    let file = file();
    let (lower, upper) = members(&file);
    let secret = lower
        .decapsulate(&[0; CIPHERTEXT_BYTES])
        .expect("full length");
    for point in vectors::list(&file["low_order"]) {
        let peer = PublicBundle {
            x25519: vectors::array(point),
            ..upper.public()
        };
        let ciphertext = [0; CIPHERTEXT_BYTES];
        let key = lower.pair_key(
            &lower.public(),
            &peer,
            &peer,
            &ciphertext,
            &secret,
            &salt(&file),
        );
        assert_eq!(key.err(), Some(AgreementError::LowOrderPoint), "{point}");
    }
}

#[test]
fn malformed_keys_and_ciphertexts_are_named() {
    let (lower, upper) = members(&file());
    let seed = Seed::from_entropy([1; 32]);
    let refuse = |peer: &PublicBundle| lower.encapsulate(peer, &seed).err();
    for found in [0, MLKEM_KEY_BYTES - 1, MLKEM_KEY_BYTES + 1] {
        let peer = PublicBundle {
            mlkem: vec![0; found],
            ..upper.public()
        };
        assert_eq!(refuse(&peer), Some(AgreementError::KeyLength { found }));
    }
    // Every coefficient 4095, above the modulus 3329.
    let peer = PublicBundle {
        mlkem: vec![255; MLKEM_KEY_BYTES],
        ..upper.public()
    };
    assert_eq!(refuse(&peer), Some(AgreementError::InvalidKey));
    assert_eq!(refuse(&lower.public()), Some(AgreementError::OwnKey));
    for found in [0, CIPHERTEXT_BYTES - 1, CIPHERTEXT_BYTES + 1] {
        let error = lower.decapsulate(&vec![0; found]).err();
        assert_eq!(error, Some(AgreementError::CiphertextLength { found }));
    }
}

#[test]
fn a_pair_we_are_no_part_of_is_refused() {
    let file = file();
    let (lower, upper) = members(&file);
    let stranger = AgreementKey::generate(&Seed::from_entropy([9; 32]));
    let (low, up, other) = (lower.public(), upper.public(), stranger.public());
    let (ciphertext, secret) = lower
        .encapsulate(&up, &Seed::from_entropy([1; 32]))
        .expect("sound key");
    let derive = |lower: &PublicBundle, upper: &PublicBundle, peer: &PublicBundle| {
        stranger
            .pair_key(lower, upper, peer, &ciphertext, &secret, &salt(&file))
            .err()
    };
    assert_eq!(derive(&low, &up, &up), Some(AgreementError::ForeignPair));
    assert_eq!(derive(&other, &up, &low), Some(AgreementError::ForeignPair));
    assert_eq!(derive(&other, &other, &other), Some(AgreementError::OwnKey));
    assert_eq!(derive(&other, &up, &up), None);
}

/// Order, ciphertext, roster, either secret: all are bound.
#[test]
fn any_difference_in_what_was_agreed_gives_another_key() {
    let file = file();
    let (lower, upper) = members(&file);
    let (low, up, salt) = (lower.public(), upper.public(), salt(&file));
    let (ciphertext, secret) = lower
        .encapsulate(&up, &Seed::from_entropy([1; 32]))
        .expect("sound key");
    let (_, other_secret) = lower
        .encapsulate(&up, &Seed::from_entropy([2; 32]))
        .expect("sound key");
    let mut bent = ciphertext.clone();
    bent[1087] ^= 128;
    let other_salt = tagged("csa1/salt", &[b"other"]);
    let keys = [
        lower.pair_key(&low, &up, &up, &ciphertext, &secret, &salt),
        lower.pair_key(&up, &low, &up, &ciphertext, &secret, &salt),
        lower.pair_key(&low, &up, &up, &bent, &secret, &salt),
        lower.pair_key(&low, &up, &up, &ciphertext, &other_secret, &salt),
        lower.pair_key(&low, &up, &up, &ciphertext, &secret, &other_salt),
    ];
    let bytes = keys.map(|key| *key.expect("sound").expose());
    assert_eq!(
        bytes
            .iter()
            .collect::<std::collections::BTreeSet<_>>()
            .len(),
        bytes.len()
    );
}

fn file() -> Value {
    vectors::parse(include_str!("../../vectors/agreement.json"))
}

fn members(file: &Value) -> (AgreementKey, AgreementKey) {
    let member = |name: &str| {
        let case = &file[name];
        let key = AgreementKey::generate(&Seed::from_entropy(vectors::array(&case["seed"])));
        assert_eq!(key.public.x25519, vectors::array(&case["x25519"]));
        assert_eq!(key.public.mlkem, vectors::hex(&case["mlkem"]));
        key
    };
    (member("lower"), member("upper"))
}

fn salt(file: &Value) -> Digest {
    let roster = vectors::hex(&file["roster_root"]);
    let epoch = vectors::number(&file["epoch"]) as u64;
    tagged("csa1/salt", &[&roster, &epoch.to_be_bytes()])
}
