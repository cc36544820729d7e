//! Laws of whole rounds between real banks, for any cohort, any dropouts and any repetition:
//! exact sums, thresholds, order, determinism. `PROPTEST_CASES` raises the cases of a long run.

use proptest::prelude::*;

use super::attempted::Attempted;
use super::rig::{Rig, contribution};
use crate::client::Contribution;
use crate::fixture::{self, seats};
use crate::id::Seats;
use crate::message::{Reveal, ToClient};
use crate::plan::Kind;
use crate::vector::{self, SumError};

/// Who vanishes before which message: at most as many as may be missing.
struct Fates {
    escrow: Seats,
    masked: Seats,
    ack: Seats,
    reveal: Seats,
}

fn fates(rig: &Rig, members: u16, drawn: &[u8]) -> Fates {
    let needed = rig.manifest(1, 0, &seats(0..members));
    let needed = needed.threshold.max(needed.colluders + needed.honest_min);
    let mut may_miss = usize::from(members - needed);
    let mut gone_at = |phase: u8| {
        let gone = (0..members).filter(|&seat| drawn[usize::from(seat)] == phase);
        let gone = gone.take(may_miss).collect::<Vec<_>>();
        may_miss -= gone.len();
        seats(gone)
    };
    Fates {
        escrow: gone_at(0),
        masked: gone_at(1),
        ack: gone_at(2),
        reveal: gone_at(3),
    }
}

/// Plays an attempt in which every message is said twice, and the late ones again at the end of
/// each phase. What a bank answers to the repetition must be what it answered, or nothing.
fn played(rig: &mut Rig, members: u16, fates: &Fates) -> Attempted {
    let all = seats(0..members);
    let manifest = rig.manifest(1, 0, &all);
    let mut attempt = rig.open(&manifest);
    attempt.escrowed = all.without(&fates.escrow);
    let escrowed = attempt.escrowed.clone();
    let mut heard = vec![rig.offer(&manifest)];
    repeat(rig, &attempt, &heard, &escrowed);
    rig.work(&attempt, &escrowed);
    rig.collect(&mut attempt, &escrowed.without(&fates.masked));
    let survivors = attempt.survivors();
    repeat(rig, &attempt, &heard, &survivors);
    rig.acknowledge(&mut attempt, &survivors.without(&fates.ack));
    heard.push(attempt.survivors_message());
    repeat(rig, &attempt, &heard, &survivors);
    let revealing = survivors.without(&fates.reveal);
    rig.reveal(&mut attempt, &revealing);
    heard.push(attempt.acks_message());
    repeat(rig, &attempt, &heard, &revealing);
    attempt
}

/// Says everything so far once more to these banks: nobody finds fault, trains or records.
fn repeat(rig: &mut Rig, attempt: &Attempted, heard: &[ToClient], told: &Seats) {
    for seat in told.iter() {
        let bundle = (!attempt.masked.is_empty()).then(|| attempt.bundle(seat));
        for message in heard.iter().cloned().chain(bundle) {
            let answer = rig.bank(seat.0).tell(message);
            assert_eq!(answer.blamed(), []);
            assert_eq!((answer.records, answer.orders), (vec![], vec![]));
        }
    }
}

/// The plain sum of these banks' counts.
fn plain(rig: &Rig, banks: &Seats) -> Vec<i32> {
    let counts = banks
        .iter()
        .map(|seat| match contribution(&rig.plan, seat) {
            Contribution::Counts(counts) => counts,
            Contribution::Update { .. } => panic!("a risk plan is counted"),
        });
    counts.fold(vec![0; 25], |sum, counts| {
        let pairs = sum.iter().zip(counts);
        pairs
            .map(|(sum, count)| sum + count.cast_signed())
            .collect()
    })
}

fn decoded(attempt: &Attempted, words: &[u32]) -> Result<Vec<i32>, SumError> {
    let (bits, width) = (attempt.manifest.value_bits, attempt.width());
    vector::decode_sum(words, attempt.survivors().len(), bits, Kind::Risk, width)
}

/// `count` of the reveals, in the order that `shuffle` gives.
fn chosen(reveals: &[Reveal], count: usize, shuffle: &[u16]) -> Vec<Reveal> {
    let mut order = (0..reveals.len()).collect::<Vec<_>>();
    order.sort_by_key(|&at| shuffle[at]);
    order.truncate(count);
    order.into_iter().map(|at| reveals[at].clone()).collect()
}

proptest! {
    #![proptest_config(fixture::cases(10))]

    /// P1, P2, P3, P4: whoever drops out where, whatever is repeated or late, the sum is the
    /// survivors' to the last count; any t of those who reveal give it, in any order; any t - 1
    /// give nothing.
    #[test]
    fn round_gives_the_exact_sum_to_a_threshold_and_nothing_to_fewer(
        // Pair keys cost the square of the members: most consortia here are small.
        members in prop_oneof![4 => 5_u16..13, 1 => 13_u16..61],
        drawn in prop::collection::vec(0_u8..8, 60),
        shuffle in prop::collection::vec(any::<u16>(), 60),
        width in prop::sample::select(&fixture::WIDTHS[..]),
    ) {
        let mut rig = Rig::agreed(members, fixture::risk());
        rig.plan.width = width;
        let fates = fates(&rig, members, &drawn);
        let mut attempt = played(&mut rig, members, &fates);
        let expected = plain(&rig, &attempt.survivors());
        let threshold = usize::from(attempt.manifest.threshold);
        let all = std::mem::take(&mut attempt.reveals);
        for count in threshold..=all.len() {
            attempt.reveals = chosen(&all, count, &shuffle);
            let sum = decoded(&attempt, &attempt.open_sum()).unwrap();
            prop_assert_eq!(vector::payload(&sum), &expected[..]);
        }
        attempt.reveals = chosen(&all, threshold - 1, &shuffle);
        // A box of the absent does not open, or the canaries show a mask.
        let words = attempt.try_open_sum();
        let is_closed = words.is_none_or(|words| {
            matches!(decoded(&attempt, &words), Err(SumError::Canary { .. }))
        });
        prop_assert!(is_closed);
    }
}

/// P6: with the same seeds and moments every bank says the same bytes, whatever else differs.
#[test]
fn transcript_follows_from_seeds_and_messages_alone() {
    let transcript = || {
        let mut rig = Rig::agreed(7, fixture::risk());
        let fates = fates(&rig, 7, &[1, 9, 9, 3, 9, 9, 9]);
        let attempt = played(&mut rig, 7, &fates);
        let escrows = attempt.escrows.values().map(crate::wire::encode);
        let masked = attempt.masked.values().map(crate::wire::encode);
        let acks = attempt.acks.iter().map(crate::wire::encode);
        let reveals = attempt.reveals.iter().map(crate::wire::encode);
        let said = escrows.chain(masked).chain(acks).chain(reveals);
        (
            said.collect::<Vec<_>>(),
            crate::wire::encode(&rig.result(&attempt)),
        )
    };
    assert_eq!(transcript(), transcript());
}
