//! Sharing against plain integers, and the threshold property on random sets.

use proptest::prelude::*;

use super::*;
use crate::vectors;

#[test]
fn shares_are_those_of_plain_integers() {
    let file = vectors::parse(include_str!("../../vectors/shamir.json"));
    for case in vectors::list(&file["cases"]) {
        let [threshold, count] = ["threshold", "count"]
            .map(|name| u16::try_from(vectors::number(&case[name])).expect("a small number"));
        let seed = Seed::from_entropy(vectors::array(&case["seed"]));
        let shares = split(&scalar(&case["secret"]), threshold, count, &seed);
        let expected = vectors::list(&case["shares"]).iter().map(scalar);
        assert!(shares.iter().cloned().eq(expected));
    }
    let case = &file["sparse"];
    let abscissae = vectors::list(&case["abscissae"])
        .iter()
        .map(vectors::number);
    let abscissae = abscissae
        .map(|x| u16::try_from(x).expect("16 bits"))
        .collect::<Vec<_>>();
    let shares = vectors::list(&case["shares"])
        .iter()
        .map(scalar)
        .collect::<Vec<_>>();
    let lagrange = Lagrange::new(&abscissae).expect("distinct");
    assert_eq!(lagrange.combine(&shares), scalar(&case["secret"]));
}

#[test]
fn only_canonical_bytes_are_a_scalar() {
    let file = vectors::parse(include_str!("../../vectors/shamir.json"));
    for bytes in vectors::list(&file["not_canonical"]) {
        assert!(Scalar::from_bytes(vectors::array(bytes)).is_none());
        let json = serde_json::to_string(&vectors::array::<32>(bytes)).expect("numbers");
        assert!(serde_json::from_str::<Scalar>(&json).is_err());
    }
    let largest = scalar(&file["largest"]);
    let json = serde_json::to_string(&largest).expect("numbers");
    assert_eq!(
        json,
        serde_json::to_string(largest.as_bytes()).expect("numbers")
    );
    assert_eq!(
        serde_json::from_str::<Scalar>(&json).expect("canonical"),
        largest
    );
    assert_eq!(format!("{largest:?}"), "Scalar(secret)");
}

#[test]
fn sets_that_interpolate_nothing_are_named() {
    assert_eq!(Lagrange::new(&[]).err(), Some(LagrangeError::Empty));
    assert_eq!(Lagrange::new(&[3, 0, 1]).err(), Some(LagrangeError::Zero));
    let repeated = Some(LagrangeError::Repeated { abscissa: 7 });
    assert_eq!(Lagrange::new(&[7, 3, 7]).err(), repeated);
}

/// One seed for two secrets: were the coefficients equal, every difference of shares would be
/// the difference of the secrets.
#[test]
fn a_seed_used_twice_does_not_share_out_the_difference() {
    let seed = Seed::from_entropy([1; 32]);
    let (first, second) = (seed.scalar("first", 0), seed.scalar("second", 0));
    let shares = |secret| split(secret, 3, 5, &seed);
    let difference = first.0 - second.0;
    for (one, other) in shares(&first).iter().zip(&shares(&second)) {
        assert_ne!(one.0 - other.0, difference);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_threshold_of_shares_reconstruct_and_one_fewer_do_not(
        entropy in any::<[u8; 32]>(),
        (threshold, order) in (2_u16..40).prop_flat_map(|count| {
            let all = (1..=count).collect::<Vec<_>>();
            (1..=count, Just(all).prop_shuffle())
        }),
    ) {
        let seed = Seed::from_entropy(entropy);
        let secret = seed.scalar("secret", 0);
        let count = u16::try_from(order.len()).expect("at most 40");
        let shares = split(&secret, threshold, count, &seed);
        let combine = |members: &[u16]| {
            let held = members.iter().map(|&x| shares[usize::from(x) - 1].clone());
            Lagrange::new(members).expect("distinct").combine(&held.collect::<Vec<_>>())
        };
        let threshold = usize::from(threshold);
        prop_assert_eq!(&combine(&order[..threshold]), &secret);
        prop_assert_eq!(&combine(&order), &secret);
        if threshold > 1 {
            prop_assert_ne!(&combine(&order[..threshold - 1]), &secret);
        }
    }

    /// With t - 1 shares every secret is still possible: each choice of the missing share leads
    /// to another secret, and one of them to any secret one likes.
    #[test]
    fn one_share_too_few_excludes_no_secret(entropy in any::<[u8; 32]>()) {
        let seed = Seed::from_entropy(entropy);
        let mut shares = split(&seed.scalar("secret", 0), 3, 5, &seed)[..3].to_vec();
        let wanted = seed.scalar("wanted", 0);
        let lagrange = Lagrange::new(&[1, 2, 3]).expect("distinct");
        let gap = wanted.0 - lagrange.combine(&shares).0;
        shares[2] = Scalar(shares[2].0 + gap * lagrange.0[2].invert());
        prop_assert_eq!(lagrange.combine(&shares), wanted);
    }
}

fn scalar(value: &serde_json::Value) -> Scalar {
    Scalar::from_bytes(vectors::array(value)).expect("canonical")
}
