//! Positive controls: attacks of SECURITY.md against rounds weakened in one place, here and nowhere
//! else. Each one succeeds against the weak round and fails against the specified one, so that a
//! suite in which nothing succeeds is seen to have teeth.

use super::*;

/// Payload words of a vector.
const PAYLOAD: usize = 20;

fn payload(seat: Seat) -> Vec<u32> {
    (0..PAYLOAD as u32)
        .map(|word| 1_000 * u32::from(seat.0) + word)
        .collect()
}

fn vector_of(counts: &[u32]) -> Vec<u32> {
    vector::encode_counts(counts, 26).unwrap()
}

/// Bits of a seed that is searched for here.
const SEED_BITS: u32 = 16;

/// A key as a generator with a short seed makes it: the rest is known.
fn short_seeded(seed: u32) -> Key {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&seed.to_le_bytes());
    Key::from_bytes(bytes)
}

/// A key's mask where a vector has its canaries.
fn mask_on_canaries(key: &Key) -> [u32; 4] {
    let mut words = [0; 4];
    mask::apply(key, Sign::Plus, &mut words);
    words
}

/// The two short seeds whose masks leave the canaries at zero, by meeting in the middle.
fn search(masked: &[u32]) -> Option<(u32, u32)> {
    let seeds = 0..1 << SEED_BITS;
    let first = seeds
        .clone()
        .map(|seed| (mask_on_canaries(&short_seeded(seed)), seed))
        .collect::<BTreeMap<_, _>>();
    seeds.into_iter().find_map(|second| {
        let mask = mask_on_canaries(&short_seeded(second));
        let rest = std::array::from_fn(|word| masked[word].wrapping_sub(mask[word]));
        Some((*first.get(&rest)?, second))
    })
}

/// The victim's vector under masks with two honest neighbours; its self mask is open, as it is for
/// every survivor, and so are the masks it shares with colluders.
fn under_two(one: &Key, other: &Key) -> Vec<u32> {
    let mut words = vector_of(&payload(Seat(3)));
    mask::apply(one, Sign::Plus, &mut words);
    mask::apply(other, Sign::Plus, &mut words);
    words
}

/// L3: two honest neighbours are no help where seeds are short: the canaries say when both are
/// found, and each is searched for once. This is 2^17 keystream blocks and a tenth of a second of
/// one core; seeds of 32 bits take 2^33 of them, which is two hours, and a table on a disk.
#[test]
fn control_short_mask_seeds_are_found_and_open_one_bank() {
    let mut words = under_two(&short_seeded(0xbeef), &short_seeded(0x1234));
    let (one, other) = search(&words).unwrap();
    mask::apply(&short_seeded(one), Sign::Minus, &mut words);
    mask::apply(&short_seeded(other), Sign::Minus, &mut words);
    assert_eq!(words, vector_of(&payload(Seat(3))));
}

#[test]
fn seeds_as_specified_are_not_found_by_the_same_search() {
    let key = |peer| {
        let round = pair_round_key(&chain_key(Seat(3), Seat(peer)), &context());
        pair_mask_key(&round, &[1; 32], &[2; 32])
    };
    assert_eq!(search(&under_two(&key(0), &key(1))), None);
}

/// The manifest that each bank is shown, as its context. The coordinator singles out bank 2.
fn shown(seat: Seat) -> Context {
    Context(Digest([if seat == Seat(2) { 2 } else { 1 }; 32]))
}

/// Local work: on the crafted model every unit is dead, and nothing changes.
fn worked(seat: Seat) -> Vec<u32> {
    if shown(seat) == shown(Seat(2)) {
        payload(seat)
    } else {
        vec![0; PAYLOAD]
    }
}

/// What comes out of a round of five where everybody survives, when each bank makes its keys with
/// the context that `bound` gives for what it was shown; and the seats whose commitments differ.
fn round_shown_apart(bound: impl Fn(Context) -> Context) -> (Vec<u32>, Vec<Seat>) {
    let cohort = seats(0..5);
    let round_key = |seat, peer| pair_round_key(&chain_key(seat, peer), &bound(shown(seat)));
    let mut sum = vec![0_u32; PAYLOAD + crate::limits::HEADER_WORDS];
    let mut complaints = Vec::new();
    for seat in cohort.iter() {
        let mut words = vector_of(&worked(seat));
        for peer in cohort.iter().filter(|&peer| peer != seat) {
            let key = round_key(seat, peer);
            if commitment(&key) != commitment(&round_key(peer, seat)) {
                complaints.push(seat);
            }
            let sign = if seat < peer { Sign::Plus } else { Sign::Minus };
            let mask_key = pair_mask_key(&key, &[0; 32], &[0; 32]);
            mask::apply(&mask_key, sign, &mut words);
        }
        // Its self mask goes on, and comes off with its survivor's b: left out on both sides.
        vector::add(
            &mut sum,
            &vector::to_bytes(&words, Width::Full),
            Width::Full,
        )
        .unwrap();
    }
    complaints.dedup();
    (sum, complaints)
}

/// L2, A1: without the context in the keys nobody notices, all masks cancel, and the sum is the
/// vector of the one bank that was shown a living model.
#[test]
fn control_without_the_context_a_sum_is_one_banks_vector() {
    let (sum, complaints) = round_shown_apart(|_| Context(Digest([0; 32])));
    assert_eq!(complaints, []);
    let opened = vector::decode_sum(&sum, 5, 26, Kind::Risk, Width::Full).unwrap();
    let of_one = payload(Seat(2));
    let of_one = of_one.iter().map(|word| word.cast_signed());
    assert_eq!(vector::payload(&opened), of_one.collect::<Vec<_>>());
}

/// L2, A1, as specified: everybody sees it at M2, and had somebody sent all the same, no sum.
#[test]
fn context_in_the_keys_shows_models_that_differ_and_hides_the_sum() {
    let (sum, complaints) = round_shown_apart(|shown| shown);
    assert_eq!(complaints, [0, 1, 2, 3, 4].map(Seat));
    let opened = vector::decode_sum(&sum, 5, 26, Kind::Risk, Width::Full);
    assert!(matches!(opened, Err(vector::SumError::Canary { .. })));
}

/// What a coordinator makes of one bank's masked vector with `revealed` kinds of its shares.
fn opened_alone(revealed: &[SecretKind]) -> Vec<u32> {
    let (cohort, victim) = (seats(0..5), Seat(2));
    let (seed, graph) = (
        Seed::from_entropy([5; 32]),
        Graph::new(&cohort, 4, &Digest([0; 32])),
    );
    let members = cohort
        .iter()
        .map(|seat| (seat, member(seat, 5, 4, &graph, &seed)))
        .collect::<BTreeMap<_, _>>();
    let nonces = members.iter().map(|(&seat, own)| (seat, own.nonce));
    let nonces = nonces.collect::<BTreeMap<_, _>>();
    let own = &members[&victim];
    let mut words = masked(vector_of(&payload(victim)), victim, own, &graph, &nonces);
    let lagrange = Lagrange::new(&[1, 2, 4, 5]).unwrap();
    let open = |shares: &[Scalar]| lagrange.combine(&[0, 1, 3, 4].map(|at| shares[at].clone()));
    if revealed.contains(&SecretKind::SelfMask) {
        let key = self_mask_key(&open(&own.self_shares), &context(), victim);
        mask::apply(&key, Sign::Minus, &mut words);
    }
    if revealed.contains(&SecretKind::Escrow) {
        let secret = open(&own.escrow_shares);
        let keys = open_box(&secret, &context(), victim, &own.escrow_box, 4).unwrap();
        for (peer, key) in graph.neighbours(victim).iter().zip(&keys) {
            apply_pair(&mut words, key, victim, peer, &nonces, true);
        }
    }
    words
}

/// A5: the two kinds of share together open one bank's vector exactly; each alone opens nothing.
#[test]
fn control_both_secrets_of_a_bank_open_it_and_one_does_not() {
    let [own, escrow] = [SecretKind::SelfMask, SecretKind::Escrow];
    let vector = vector_of(&payload(Seat(2)));
    assert_eq!(opened_alone(&[own, escrow]), vector);
    for kind in [own, escrow] {
        let words = opened_alone(&[kind]);
        let closed = vector::decode_sum(&words, 1, 26, Kind::Risk, Width::Full);
        assert!(matches!(closed, Err(vector::SumError::Canary { .. })));
        let seen = words.iter().zip(&vector).filter(|(a, b)| a == b).count();
        assert!(seen <= 1, "{seen} words in the clear");
    }
}
