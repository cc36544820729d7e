//! `Signed<T>` is a claim, `Verified<T>` is one whose signature was checked: the only door between
//! them is [`Signed::verify`]. What may be signed says so with [`Signable`]; keys are crypto's.

use std::ops::Deref;

use crypto::{BadSignature, Signature, SigningKey, ToCanonical, VerifyKey};
use serde::{Deserialize, Serialize};

/// A body with one canonical encoding and a kind of its own, so that a signature over one kind
/// can never be shown as one over another (PROTOCOL.md §1).
pub trait Signable: ToCanonical {
    /// The domain of the signature.
    const KIND: &'static str;
}

/// A body and a signature that nobody has checked yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Signed<T> {
    body: T,
    signature: Signature,
}

impl<T: Signable> Signed<T> {
    /// Signs `body` under its kind.
    #[must_use]
    pub fn sign(body: T, key: &SigningKey) -> Self {
        let signature = key.sign(T::KIND, &body.canonical());
        Self { body, signature }
    }

    /// Checks the signature under `key`.
    ///
    /// # Errors
    /// [`BadSignature`] where `key` did not sign exactly this body under this kind.
    pub fn verify(self, key: &VerifyKey) -> Result<Verified<T>, BadSignature> {
        key.verify(T::KIND, &self.body.canonical(), &self.signature)?;
        Ok(Verified(self))
    }

    /// The body before any check: for finding whose key to check it with, nothing else.
    #[must_use]
    pub fn unverified(&self) -> &T {
        &self.body
    }
}

/// A body whose signature was checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Verified<T>(Signed<T>);

impl<T> Verified<T> {
    /// Back to what travels and what is recorded.
    #[must_use]
    pub fn into_signed(self) -> Signed<T> {
        self.0
    }

    /// What travels and what is recorded.
    #[must_use]
    pub fn as_signed(&self) -> &Signed<T> {
        &self.0
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.body
    }
}
