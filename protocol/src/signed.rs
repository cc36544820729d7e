//! `Signed<T>` is a claim, `Verified<T>` is one whose signature was checked: the only door between
//! them is [`Signed::verify`]. What may be signed says so with [`Signable`]; keys are crypto's.
//! `Seen` spares a party the second look at what is repeated to it.

use std::collections::{BTreeSet, VecDeque};
use std::ops::Deref;

use crypto::{BadSignature, Digest, Signature, SigningKey, ToCanonical, VerifyKey};
use serde::{Deserialize, Serialize};

use crate::limits::SIGNATURES_SEEN_MAX;

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

/// Signatures that one party found good. Whatever is repeated (a credential in every heartbeat, an
/// offer until it is answered, an acknowledgement once more in the result) costs a hash the next
/// time, not a curve equation. The oldest is forgotten first, and only costs what it cost before.
#[derive(Default)]
pub(crate) struct Seen {
    digests: BTreeSet<Digest>,
    order: VecDeque<Digest>,
}

impl Seen {
    /// [`Signed::verify`], with the same answer.
    pub(crate) fn verify<T: Signable>(
        &mut self,
        signed: Signed<T>,
        key: &VerifyKey,
    ) -> Result<Verified<T>, BadSignature> {
        self.check(&signed, key)?;
        Ok(Verified(signed))
    }

    /// Whether [`Signed::verify`] would succeed.
    pub(crate) fn check<T: Signable>(
        &mut self,
        signed: &Signed<T>,
        key: &VerifyKey,
    ) -> Result<(), BadSignature> {
        let (body, signature) = (signed.body.canonical(), &signed.signature);
        // All that the answer depends on.
        let parts = [&key.0[..], T::KIND.as_bytes(), &body, &signature.0];
        let digest = crypto::tagged("csa1/seen", &parts);
        if self.digests.contains(&digest) {
            return Ok(());
        }
        key.verify(T::KIND, &body, signature)?;
        self.digests.insert(digest);
        self.order.push_back(digest);
        if self.order.len() > SIGNATURES_SEEN_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.digests.remove(&oldest);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    struct Word(u64);

    impl ToCanonical for Word {
        fn canonical(&self) -> Vec<u8> {
            self.0.to_be_bytes().to_vec()
        }
    }

    impl Signable for Word {
        const KIND: &'static str = "word";
    }

    /// The same bytes as a [`Word`], to mean something else.
    struct Deed(u64);

    impl ToCanonical for Deed {
        fn canonical(&self) -> Vec<u8> {
            Word(self.0).canonical()
        }
    }

    impl Signable for Deed {
        const KIND: &'static str = "deed";
    }

    /// What was good stays good, and nothing that differs from it in any part passes for it.
    #[test]
    fn what_was_seen_vouches_for_nothing_else() {
        let (key, other) = (
            SigningKey::from_seed([1; 32]),
            SigningKey::from_seed([2; 32]),
        );
        let (public, strange) = (key.verify_key(), other.verify_key());
        let mut seen = Seen::default();
        let good = Signed::sign(Word(7), &key);
        for _ in 0..2 {
            assert_eq!(seen.check(&good, &public), Ok(()));
            assert_eq!(seen.check(&good, &strange), Err(BadSignature));
            for body in [Word(6), Word(8)] {
                let signature = good.signature;
                let changed = Signed { body, signature };
                assert_eq!(seen.verify(changed, &public), Err(BadSignature));
            }
            let (body, signature) = (Deed(7), good.signature);
            let renamed = Signed { body, signature };
            assert_eq!(seen.check(&renamed, &public), Err(BadSignature));
            for byte in 0..64 {
                let mut bent = good.clone();
                bent.signature.0[byte] ^= 1;
                assert_eq!(seen.check(&bent, &public), Err(BadSignature));
            }
        }
        assert_eq!(
            seen.order.len(),
            1,
            "what is bad, or repeated, takes no place"
        );
        assert_eq!(seen.verify(good.clone(), &public), Ok(Verified(good)));
    }

    #[test]
    fn the_oldest_is_forgotten_first_and_checked_again() {
        let key = SigningKey::from_seed([1; 32]);
        let words: Vec<_> = (0..SIGNATURES_SEEN_MAX as u64 + 1)
            .map(|word| Signed::sign(Word(word), &key))
            .collect();
        let mut seen = Seen::default();
        for word in &words {
            assert_eq!(seen.check(word, &key.verify_key()), Ok(()));
        }
        // The first word is forgotten, so its return costs the second its place.
        let second = seen.order[0];
        assert_eq!(seen.check(&words[0], &key.verify_key()), Ok(()));
        assert!(!seen.digests.contains(&second));
        let found = (seen.order.len(), seen.digests.len());
        assert_eq!(found, (SIGNATURES_SEEN_MAX, SIGNATURES_SEEN_MAX));
    }
}
