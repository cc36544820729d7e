//! A secure sum from its primitives, and what must not open it.

use std::collections::BTreeMap;

use crypto::mask::{self, Sign};
use crypto::{Lagrange, Seed, shamir};
use proptest::prelude::*;

use super::*;
use crate::fixture::{self, seats};
use crate::graph::Graph;
use crate::plan::{Kind, Width};
use crate::{terms, vector};

mod controls;

fn context() -> Context {
    Context(Digest([1; 32]))
}

fn scalar(index: u64) -> Scalar {
    Seed::from_entropy([9; 32]).scalar("test", index)
}

/// What one member of a plain, in-memory round holds.
struct Member {
    nonce: [u8; 32],
    self_secret: Scalar,
    escrow_secret: Scalar,
    escrow_box: Vec<u8>,
    self_shares: Vec<Scalar>,
    escrow_shares: Vec<Scalar>,
}

fn chain_key(one: Seat, other: Seat) -> Key {
    let pair = [
        one.min(other).0.to_be_bytes(),
        one.max(other).0.to_be_bytes(),
    ]
    .concat();
    Key::from_bytes([7; 32]).expand("csa1/test-pair", &[&pair])
}

fn round_keys(graph: &Graph, seat: Seat) -> BTreeMap<Seat, Key> {
    let neighbours = graph.neighbours(seat);
    let key = |other| pair_round_key(&chain_key(seat, other), &context());
    neighbours.iter().map(|other| (other, key(other))).collect()
}

fn member(seat: Seat, count: u16, threshold: u16, graph: &Graph, seed: &Seed) -> Member {
    let seed = seed.derive("member", u64::from(seat.0));
    let (self_secret, escrow_secret) = (seed.scalar("b", 0), seed.scalar("r", 0));
    let keys = round_keys(graph, seat).into_values().collect::<Vec<_>>();
    Member {
        nonce: seed.bytes32("nonce", 0),
        escrow_box: seal_box(&escrow_secret, &context(), seat, &keys),
        self_shares: shamir::split(&self_secret, threshold, count, &seed.derive("bs", 0)),
        escrow_shares: shamir::split(&escrow_secret, threshold, count, &seed.derive("rs", 0)),
        self_secret,
        escrow_secret,
    }
}

/// Puts on, or takes off, the mask of a pair as seen from `seat`.
fn apply_pair(
    words: &mut [u32],
    key: &Key,
    seat: Seat,
    other: Seat,
    nonces: &BTreeMap<Seat, [u8; 32]>,
    is_removal: bool,
) {
    let (lower, upper) = (seat.min(other), seat.max(other));
    let mask_key = pair_mask_key(key, &nonces[&lower], &nonces[&upper]);
    let sign = if (seat == lower) == is_removal {
        Sign::Minus
    } else {
        Sign::Plus
    };
    mask::apply(&mask_key, sign, words);
}

fn masked(
    mut words: Vec<u32>,
    seat: Seat,
    own: &Member,
    graph: &Graph,
    nonces: &BTreeMap<Seat, [u8; 32]>,
) -> Vec<u32> {
    mask::apply(
        &self_mask_key(&own.self_secret, &context(), seat),
        Sign::Plus,
        &mut words,
    );
    for (other, key) in round_keys(graph, seat) {
        if nonces.contains_key(&other) {
            apply_pair(&mut words, &key, seat, other, nonces, false);
        }
    }
    words
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Law P1: for every cohort and mask graph, and every set of members that vanish before their
    /// escrow, after it, and after their update, as long as t remain: the opened sum is the plain
    /// sum, to the last count, in words of either width. The vectors of small cohorts are longer
    /// than a tile.
    #[test]
    fn opened_sum_is_the_plain_sum_whoever_drops_out(
        count in prop_oneof![5_u16..14, 14_u16..=100],
        degree in 2_u16..100,
        fates in prop::collection::vec(0_u8..6, 100),
        entropy: [u8; 32],
        width in prop::sample::select(&fixture::WIDTHS[..]),
    ) {
        let mut plan = fixture::plan(fixture::risk(), 1);
        plan.width = width;
        let bits = terms::value_bits(&plan, count);
        let threshold = terms::threshold(count, terms::default_colluders(count));
        let mut may_miss = usize::from(count - threshold);
        let mut is_gone_at = |seat: Seat, phase: u8| {
            let is_gone = fates[usize::from(seat.0)] == phase && may_miss > 0;
            may_miss -= usize::from(is_gone);
            is_gone
        };
        let seed = Seed::from_entropy(entropy);
        let cohort = seats(0..count);
        let graph = Graph::new(&cohort, degree, &Digest([3; 32]));
        let payload_words = if count < 14 { 5_000 } else { 60 };
        let escrowed = cohort.iter().filter(|&seat| !is_gone_at(seat, 0)).collect::<Seats>();
        let survivors = escrowed.iter().filter(|&seat| !is_gone_at(seat, 1)).collect::<Seats>();
        let revealing = survivors.iter().filter(|&seat| !is_gone_at(seat, 2)).collect::<Seats>();

        let members = escrowed.iter()
            .map(|seat| (seat, member(seat, count, threshold, &graph, &seed)))
            .collect::<BTreeMap<_, _>>();
        let nonces = members.iter().map(|(&seat, own)| (seat, own.nonce)).collect();
        let payload = |seat| payload(seat, payload_words);
        let words = payload_words as usize + crate::limits::HEADER_WORDS;
        let mut sum = vec![0_u32; words];
        for seat in survivors.iter() {
            let words = vector::encode_counts(&payload(seat), bits).unwrap();
            let update = masked(words, seat, &members[&seat], &graph, &nonces);
            vector::add(&mut sum, &vector::to_bytes(&update, width), width).unwrap();
        }
        let closed = vector::decode_sum(&sum, survivors.len(), bits, Kind::Risk, width);
        let is_closed = matches!(closed, Err(vector::SumError::Canary { .. }));
        prop_assert!(is_closed);

        // The coordinator's half: t responders' shares open b of survivors and r of the others.
        let responders = revealing.iter().take(usize::from(threshold)).collect::<Vec<_>>();
        let abscissae = responders.iter().map(|seat| seat.abscissa()).collect::<Vec<_>>();
        let lagrange = Lagrange::new(&abscissae).unwrap();
        let open = |shares: &[Scalar]| {
            let held = responders.iter().map(|seat| shares[usize::from(seat.0)].clone());
            lagrange.combine(&held.collect::<Vec<_>>())
        };
        for seat in survivors.iter() {
            let secret = open(&members[&seat].self_shares);
            mask::apply(&self_mask_key(&secret, &context(), seat), Sign::Minus, &mut sum);
        }
        for absent in escrowed.without(&survivors).iter() {
            let secret = open(&members[&absent].escrow_shares);
            prop_assert!(secret == members[&absent].escrow_secret);
            let neighbours = graph.neighbours(absent);
            let sealed = &members[&absent].escrow_box;
            let keys = open_box(&secret, &context(), absent, sealed, neighbours.len()).unwrap();
            for (other, key) in neighbours.iter().zip(&keys) {
                if survivors.contains(other) {
                    apply_pair(&mut sum, key, other, absent, &nonces, true);
                }
            }
        }
        let opened = vector::decode_sum(&sum, survivors.len(), bits, Kind::Risk, width).unwrap();
        let plain = (0..payload_words as usize)
            .map(|word| survivors.iter().map(|seat| payload(seat)[word].cast_signed()).sum());
        prop_assert_eq!(vector::payload(&opened), plain.collect::<Vec<i32>>());
    }
}

/// Counts that only this seat has.
fn payload(seat: Seat, words: u32) -> Vec<u32> {
    (0..words)
        .map(|word| word * 7 + u32::from(seat.0))
        .collect()
}

/// Attack A6: every key depends on the context, and on the direction and nonce where there is one.
#[test]
fn no_key_serves_twice() {
    let chain = Key::from_bytes([1; 32]);
    let other = Context(Digest([2; 32]));
    let secret = scalar(0);
    let (low, high) = ([1; 32], [2; 32]);
    let round = pair_round_key(&chain, &context());
    let keys = [
        pair_round_key(&chain, &other),
        pair_mask_key(&round, &low, &high),
        pair_mask_key(&round, &high, &low),
        self_mask_key(&secret, &context(), Seat(0)),
        self_mask_key(&secret, &context(), Seat(1)),
        self_mask_key(&secret, &other, Seat(0)),
        box_key(&secret, &context(), Seat(0)),
        box_key(&secret, &other, Seat(0)),
        share_key(&chain, &context(), Seat(0), Seat(1), &low),
        share_key(&chain, &context(), Seat(1), Seat(0), &low),
        share_key(&chain, &context(), Seat(0), Seat(1), &high),
        share_key(&chain, &other, Seat(0), Seat(1), &low),
        round,
    ];
    let mut bytes = keys.iter().map(|key| *key.expose()).collect::<Vec<_>>();
    bytes.sort_unstable();
    bytes.dedup();
    assert_eq!(bytes.len(), 13);
}

#[test]
fn shares_open_for_their_holder_and_nobody_else() {
    let key = Key::from_bytes([1; 32]);
    let (from, to) = (Seat(2), Seat(5));
    let sealed = seal_shares(&key, &context(), from, to, &scalar(1), &scalar(2));
    assert_eq!(sealed.len(), 80);
    let opened = open_shares(&key, &context(), from, to, &sealed);
    assert!(opened == Some((scalar(1), scalar(2))));
    assert!(open_shares(&key, &context(), to, from, &sealed).is_none());
    assert!(open_shares(&key, &Context(Digest([2; 32])), from, to, &sealed).is_none());
    assert!(open_shares(&Key::from_bytes([2; 32]), &context(), from, to, &sealed).is_none());
    assert!(open_shares(&key, &context(), from, to, &sealed[..79]).is_none());
    let short = seal::seal(&key, &share_aad(&context(), from, to), &[0; 33]);
    assert!(open_shares(&key, &context(), from, to, &short).is_none());
    let no_scalar = seal::seal(&key, &share_aad(&context(), from, to), &[0xff; 64]);
    assert!(open_shares(&key, &context(), from, to, &no_scalar).is_none());
}

#[test]
fn box_opens_to_exactly_its_keys() {
    let keys = [Key::from_bytes([1; 32]), Key::from_bytes([2; 32])];
    let sealed = seal_box(&scalar(1), &context(), Seat(3), &keys);
    let opened = open_box(&scalar(1), &context(), Seat(3), &sealed, 2).unwrap();
    assert!(
        keys.iter()
            .zip(&opened)
            .all(|(key, other)| key.ct_eq(other))
    );
    assert!(open_box(&scalar(1), &context(), Seat(3), &sealed, 3).is_none());
    assert!(open_box(&scalar(2), &context(), Seat(3), &sealed, 2).is_none());
    assert!(open_box(&scalar(1), &context(), Seat(4), &sealed, 2).is_none());
}

#[test]
fn share_digests_are_proved_against_the_root() {
    let digests = (0..7)
        .map(|holder| share_digests(&context(), Seat(0), Seat(holder), &scalar(1), &scalar(2)));
    let digests = digests.collect::<Vec<_>>();
    let root = shares_root(&digests);
    for holder in 0..7 {
        let path = shares_path(&digests, holder);
        let place = merkle::Place {
            index: holder,
            count: 7,
        };
        assert!(is_share_of(&root, &digests[holder], place, &path));
        let elsewhere = merkle::Place {
            index: (holder + 1) % 7,
            count: 7,
        };
        assert!(!is_share_of(&root, &digests[holder], elsewhere, &path));
        let mut swapped = digests[holder];
        std::mem::swap(&mut swapped.self_share, &mut swapped.escrow_share);
        assert!(!is_share_of(&root, &swapped, place, &path));
    }
}

/// A share or secret of one kind is never one of the other, nor another bank's.
#[test]
fn digests_tell_kinds_and_seats_apart() {
    let [own, escrow] = [SecretKind::SelfMask, SecretKind::Escrow];
    let secret = scalar(1);
    let digest = secret_digest(own, &context(), Seat(1), &secret);
    assert_ne!(digest, secret_digest(escrow, &context(), Seat(1), &secret));
    assert_ne!(digest, secret_digest(own, &context(), Seat(2), &secret));
    let share = share_digest(own, &context(), Seat(1), Seat(2), &secret);
    assert_ne!(
        share,
        share_digest(escrow, &context(), Seat(1), Seat(2), &secret)
    );
    assert_ne!(
        share,
        share_digest(own, &context(), Seat(2), Seat(1), &secret)
    );
}

#[test]
fn masked_root_binds_vectors_to_seats() {
    let roots = [Digest([1; 32]), Digest([2; 32])];
    let root = masked_root(&seats([3, 5]), &roots);
    assert_ne!(root, masked_root(&seats([3, 6]), &roots));
    assert_ne!(root, masked_root(&seats([3, 5]), &[roots[1], roots[0]]));
    assert_ne!(root, masked_root(&seats([3]), &roots[..1]));
}

#[test]
fn revealed_digest_tells_every_secret_and_whose_it_is() {
    let (one, key) = ([(Seat(1), scalar(1))], Key::from_bytes([1; 32]));
    let whole = revealed_digest(&one, &[(Seat(1), Seat(2), &key)]);
    let other = Key::from_bytes([2; 32]);
    for changed in [
        revealed_digest(&one, &[]),
        revealed_digest(&[], &[(Seat(1), Seat(2), &key)]),
        revealed_digest(&[(Seat(3), scalar(1))], &[(Seat(1), Seat(2), &key)]),
        revealed_digest(&[(Seat(1), scalar(2))], &[(Seat(1), Seat(2), &key)]),
        revealed_digest(&one, &[(Seat(2), Seat(1), &key)]),
        revealed_digest(&one, &[(Seat(1), Seat(2), &other)]),
    ] {
        assert_ne!(whole, changed);
    }
}

#[test]
fn lists_are_hashed_with_their_borders() {
    assert_ne!(
        sealed_digest(&[vec![1, 2], vec![]]),
        sealed_digest(&[vec![1], vec![2]])
    );
    assert_ne!(seats_digest(&seats([1])), seats_digest(&seats([1, 2])));
}
