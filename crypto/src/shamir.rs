//! Threshold sharing over the scalar field of Ed25519 (252 bits).
//!
//! A secret is the value at zero of a polynomial of degree t - 1; member i holds its value at
//! i + 1. Any t values give the secret, and t - 1 are uniform. Shares carry no checksum: who must
//! know whether a share is right compares digests that its dealer signed.

use std::fmt;

use curve25519_dalek::Scalar as FieldElement;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use crate::block::Half;
use crate::seed::Seed;

/// A secret, or a share of one. Wiped when dropped; travels as its 32 canonical bytes.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "Half", into = "Half")]
pub struct Scalar(FieldElement);

impl Scalar {
    /// Reads little-endian bytes; none if they are not below the group order.
    pub fn from_bytes(bytes: [u8; 32]) -> Option<Self> {
        FieldElement::from_canonical_bytes(bytes)
            .map(Self)
            .into_option()
    }

    /// The 32 canonical bytes, little-endian.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    pub(crate) fn from_element(element: FieldElement) -> Self {
        Self(element)
    }
}

impl PartialEq for Scalar {
    /// In constant time.
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Scalar {}

impl fmt::Debug for Scalar {
    /// Says nothing about the value: messages that carry shares may be printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scalar(secret)")
    }
}

impl Drop for Scalar {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl TryFrom<Half> for Scalar {
    type Error = NotCanonical;

    fn try_from(bytes: Half) -> Result<Self, NotCanonical> {
        Self::from_bytes(bytes.0).ok_or(NotCanonical)
    }
}

impl From<Scalar> for Half {
    fn from(scalar: Scalar) -> Self {
        Self(scalar.0.to_bytes())
    }
}

/// Bytes that are not below the group order, hence not the one encoding of any scalar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("scalar at or above the group order, expected its canonical encoding")]
pub struct NotCanonical;

/// Shares of `secret`, the i-th at abscissa i + 1, any `threshold` of which give it back. The
/// coefficients depend on the secret as well as on `seed`, so that a seed used for two secrets
/// does not share out their difference.
///
/// # Panics
/// Unless 1 <= threshold <= count.
pub fn split(secret: &Scalar, threshold: u16, count: u16, seed: &Seed) -> Vec<Scalar> {
    assert!(
        0 < threshold && threshold <= count,
        "threshold {threshold} of {count}"
    );
    let chance = seed.bind("csa1/shamir", secret.as_bytes());
    // Zero coefficients are allowed: excluding them would make t - 1 shares tell something.
    let coefficients = (1..u64::from(threshold)).map(|degree| chance.scalar("coefficient", degree));
    let polynomial = [secret.clone()]
        .into_iter()
        .chain(coefficients)
        .collect::<Vec<_>>();
    (1..=count)
        .map(|abscissa| evaluate(&polynomial, abscissa))
        .collect()
}

fn evaluate(polynomial: &[Scalar], abscissa: u16) -> Scalar {
    let abscissa = FieldElement::from(abscissa);
    let value = polynomial
        .iter()
        .rev()
        .fold(FieldElement::ZERO, |value, coefficient| {
            value * abscissa + coefficient.0
        });
    Scalar(value)
}

/// The weights with which a set of responders reaches the value at zero: computed once per set,
/// used for every secret.
#[derive(Clone, Debug)]
pub struct Lagrange(Vec<FieldElement>);

impl Lagrange {
    /// Weights for shares at these abscissae (member index + 1), in this order.
    ///
    /// # Errors
    /// If there are none, one is zero, or one repeats.
    pub fn new(abscissae: &[u16]) -> Result<Self, LagrangeError> {
        if abscissae.is_empty() {
            return Err(LagrangeError::Empty);
        }
        let mut sorted = abscissae.to_vec();
        sorted.sort_unstable();
        if sorted[0] == 0 {
            return Err(LagrangeError::Zero);
        }
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(LagrangeError::Repeated { abscissa: pair[0] });
        }
        // weight_j = prod_{m != j} x_m / (x_m - x_j)
        //          = (prod_m x_m) / (x_j prod_{m != j} (x_m - x_j)), hence one batch inversion.
        let mut weights = abscissae
            .iter()
            .map(|&own| denominator(abscissae, own))
            .collect::<Vec<_>>();
        FieldElement::invert_batch_alloc(&mut weights);
        let numerator = abscissae
            .iter()
            .map(|&other| FieldElement::from(other))
            .product();
        for weight in &mut weights {
            *weight *= &numerator;
        }
        Ok(Self(weights))
    }

    /// The value at zero of the polynomial through `shares`, given in the order of the abscissae.
    ///
    /// # Panics
    /// If there are not as many shares as abscissae.
    pub fn combine(&self, shares: &[Scalar]) -> Scalar {
        assert_eq!(shares.len(), self.0.len(), "a share for every abscissa");
        let terms = self.0.iter().zip(shares);
        Scalar(terms.map(|(weight, share)| weight * share.0).sum())
    }
}

/// `own * prod (other - own)` over the others. Differences are gathered seven at a time in 128
/// bits, since they have 16: a seventh of the multiplications in the field.
fn denominator(abscissae: &[u16], own: u16) -> FieldElement {
    let mut product = FieldElement::ONE;
    let mut gathered = u128::from(own);
    let mut is_negative = false;
    for &other in abscissae.iter().filter(|&&other| other != own) {
        if gathered >> 112 != 0 {
            product *= FieldElement::from(gathered);
            gathered = 1;
        }
        gathered *= u128::from(other.abs_diff(own));
        is_negative ^= other < own;
    }
    product *= FieldElement::from(gathered);
    if is_negative { -product } else { product }
}

/// Why a set of abscissae interpolates nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LagrangeError {
    /// There is none.
    #[error("no abscissa, expected at least one")]
    Empty,
    /// Zero is where the secret is.
    #[error("abscissa zero, expected member index plus one")]
    Zero,
    /// Two responders claim one place.
    #[error("abscissa {abscissa} given twice")]
    Repeated {
        /// The first one found twice.
        abscissa: u16,
    },
}

#[cfg(test)]
mod tests;
