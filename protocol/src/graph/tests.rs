//! Mask graphs: regular, symmetric, and safe where the tables say so.

use proptest::prelude::*;

use super::*;
use crate::fixture::seats;

#[test]
fn everybody_shares_masks_in_small_cohorts() {
    let cohort = seats([1, 4, 5, 9]);
    let graph = Graph::new(&cohort, crate::terms::degree(4), &Digest([1; 32]));
    assert_eq!(graph.neighbours(Seat(4)), seats([1, 5, 9]));
    assert_eq!(graph.neighbours(Seat(2)), seats([]));
    assert_eq!(graph.isolated(&seats([1, 4]), 3), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// A mask that only one side of a pair puts on would never cancel.
    #[test]
    fn neighbourhood_is_mutual_and_of_the_degree(members in 129_u16..400, number: u8) {
        let cohort = seats((0..members).map(|seat| seat * 2));
        let degree = crate::terms::degree(members);
        let graph = Graph::new(&cohort, degree, &Digest([number; 32]));
        for seat in cohort.iter().step_by(17) {
            let neighbours = graph.neighbours(seat);
            prop_assert_eq!(neighbours.len(), usize::from(degree));
            for other in cohort.iter() {
                let is_one = neighbours.contains(other);
                prop_assert_eq!(is_one, graph.neighbours(other).contains(seat));
            }
            prop_assert!(!neighbours.contains(seat));
        }
    }
}

#[test]
fn nobody_alone_chooses_the_graph() {
    let nonces = [[1; 32], [2; 32]];
    let first = seed(&Digest([0; 32]), &nonces, RoundId(1));
    assert_ne!(
        first,
        seed(&Digest([0; 32]), &[[1; 32], [3; 32]], RoundId(1))
    );
    assert_ne!(first, seed(&Digest([0; 32]), &nonces, RoundId(2)));
    let cohort = seats(0..200);
    let one = Graph::new(&cohort, 94, &first).neighbours(Seat(0));
    let other = Graph::new(&cohort, 94, &Digest([9; 32])).neighbours(Seat(0));
    assert_ne!(one, other);
}

/// Attack A10: drops chosen so that one bank keeps only colluders. Dropping its neighbours shows.
#[test]
fn survivor_robbed_of_its_neighbours_is_found() {
    let cohort = seats(0..300);
    let graph = Graph::new(&cohort, 118, &Digest([1; 32]));
    assert_eq!(graph.isolated(&cohort, 10), None);
    let victim = Seat(42);
    let dropped = graph
        .neighbours(victim)
        .iter()
        .take(118 - 91)
        .collect::<Seats>();
    let survivors = cohort.without(&dropped);
    assert_eq!(graph.fewest_surviving(&survivors), Some((victim, 91)));
    assert_eq!(graph.isolated(&survivors, 10), Some(victim));
    assert_eq!(graph.isolated(&survivors, 9), None);
}

/// The places of a permutation are uniform: 6 of three members, each about a sixth of the time.
#[test]
fn permutations_are_uniform() {
    let mut counts = std::collections::BTreeMap::<Vec<usize>, u32>::new();
    for number in 0..6_000_u64 {
        let seed = crypto::tagged("csa1/test", &[&number.to_be_bytes()]);
        *counts.entry(permutation(3, &seed)).or_default() += 1;
    }
    assert_eq!(counts.len(), 6);
    // Five standard deviations of a binomial: sqrt(6000 * 1/6 * 5/6) = 28.9.
    assert!(
        counts.values().all(|&count| count.abs_diff(1_000) < 145),
        "{counts:?}"
    );
}

/// Table 3.9 again: a third of colluders, and no bank has more than `colluding` of them among its
/// neighbours except with 2^-80, for every cohort size of the row.
#[test]
fn table_bounds_colluding_neighbours_for_every_cohort_size() {
    let factorials = log2_factorials(1_000);
    let binomial = |n: usize, k: usize| factorials[n] - factorials[k] - factorials[n - k];
    for members in 129..=1_000_u16 {
        let row = sparse(members).unwrap();
        let (n, k) = (usize::from(members), usize::from(row.degree));
        let c = n / 3;
        let tail = (usize::from(row.colluding) + 1..=k.min(c)).filter(|&x| k - x < n - c);
        let chance: f64 = tail
            .map(|x| (binomial(c, x) + binomial(n - 1 - c, k - x) - binomial(n - 1, k)).exp2())
            .sum();
        let any = chance * f64::from(members);
        assert!(any <= 80_f64.exp2().recip(), "{members}: 2^{}", any.log2());
    }
}

/// And the other half of the rule: at a tenth of random dropouts everybody keeps enough.
#[test]
fn degree_leaves_enough_neighbours_after_dropouts() {
    let factorials = log2_factorials(1_000);
    let binomial = |n: usize, k: usize| factorials[n] - factorials[k] - factorials[n - k];
    for row in SPARSE {
        let (n, k) = (usize::from(row.members_max), usize::from(row.degree));
        let (gone, least) = (n / 10, usize::from(row.colluding + 10));
        let chance: f64 = (k - least + 1..=gone.min(k))
            .map(|x| {
                (binomial(gone, x) + binomial(n - 1 - gone, k - x) - binomial(n - 1, k)).exp2()
            })
            .sum();
        let any = chance * f64::from(row.members_max);
        assert!(any <= 20_f64.exp2().recip(), "{n}: 2^{}", any.log2());
    }
}

fn log2_factorials(most: usize) -> Vec<f64> {
    let logs = (1..=most).scan(0.0, |sum, n| {
        *sum += (n as f64).log2();
        Some(*sum)
    });
    std::iter::once(0.0).chain(logs).collect()
}
