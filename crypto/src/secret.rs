//! A wrapper for what must not be printed, copied, or left behind.
//!
//! No `Debug`, no `Clone`, wiped when dropped, compared in constant time. Reading takes the word
//! `expose`, so that a reviewer can find every place where a secret is looked at.

use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// A secret value.
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    /// Takes the value in. The caller's own copy, if there is one, is the caller's to wipe.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value, to be used at once and not kept.
    pub fn expose(&self) -> &T {
        &self.0
    }

    pub(crate) fn expose_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: Zeroize + AsRef<[u8]>> Secret<T> {
    /// Whether both are equal, in time that depends on their lengths only.
    pub fn ct_eq(&self, other: &Self) -> bool {
        self.0.as_ref().ct_eq(other.0.as_ref()).into()
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equality_is_by_content_and_length() {
        let secret = Secret::new(vec![1_u8, 2, 3]);
        assert!(secret.ct_eq(&Secret::new(vec![1, 2, 3])));
        assert!(!secret.ct_eq(&Secret::new(vec![1, 2, 4])));
        assert!(!secret.ct_eq(&Secret::new(vec![1, 2])));
    }

    #[test]
    fn a_dropped_secret_is_wiped() {
        struct Watched<'a>(&'a std::cell::Cell<bool>);
        impl Zeroize for Watched<'_> {
            fn zeroize(&mut self) {
                self.0.set(true);
            }
        }
        let is_wiped = std::cell::Cell::new(false);
        drop(Secret::new(Watched(&is_wiped)));
        assert!(is_wiped.get());
    }
}
