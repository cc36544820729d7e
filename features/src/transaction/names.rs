//! The names of the fields of `txn.v1`: how one is found, and the canonical form of a payment.

use super::{CANONICAL, Transaction, write_members};

impl Transaction {
    /// The payment as its own JSON, which is what a journal keeps and a digest is taken of: the
    /// bytes of `serde_json`, for less, since no name needs an escape.
    ///
    /// # Panics
    /// If the payment did not come through the door.
    #[must_use]
    pub fn canonical(&self) -> String {
        let mut out = Vec::with_capacity(CANONICAL_BYTES);
        write_members(self, &mut out).expect("a checked payment has finite numbers");
        out[0] = b'{';
        out.push(b'}');
        String::from_utf8(out).expect("JSON is UTF-8")
    }
}

/// Finds fields by their names. Whoever reads or writes a payment whole does so in order, so the
/// one behind the last is looked at first.
#[derive(Default)]
pub(super) struct Places {
    next: usize,
}

impl Places {
    /// A field's place in [`CANONICAL`].
    pub(super) fn find(&mut self, name: &str) -> Option<usize> {
        let at = match CANONICAL.get(self.next) {
            Some(next) if *next == name => self.next,
            Some(_) | None => place_of(name)?,
        };
        self.next = at + 1;
        Some(at)
    }
}

fn place_of(name: &str) -> Option<usize> {
    let first = *BY_LENGTH.first.get(name.len())?;
    let mut places = std::iter::successors(first, |&at| BY_LENGTH.next[at]);
    places.find(|&at| CANONICAL[at] == name)
}

/// Fields whose names are equally long.
struct ByLength {
    /// The first of each length.
    first: [Option<usize>; NAME_BYTES_MAX + 1],
    /// Behind each the next one.
    next: [Option<usize>; CANONICAL.len()],
}

static BY_LENGTH: ByLength = {
    let (mut first, mut next) = ([None; NAME_BYTES_MAX + 1], [None; CANONICAL.len()]);
    let mut at = CANONICAL.len();
    while at > 0 {
        at -= 1;
        let length = CANONICAL[at].len();
        next[at] = first[length];
        first[length] = Some(at);
    }
    ByLength { first, next }
};

/// Of the longest name; a longer one would not compile.
const NAME_BYTES_MAX: usize = 23;

/// Room for a payment without extras: every field is named, most of them null.
const CANONICAL_BYTES: usize = 2 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pan;

    // The door judges the names that it does not know, and these never.
    #[test]
    fn no_known_name_is_sensitive() {
        for name in CANONICAL {
            assert!(!pan::is_sensitive_name(name) && !pan::is_pan_like(name));
        }
    }

    #[test]
    fn every_name_is_found_at_its_place_from_wherever_one_looks() {
        for (at, name) in CANONICAL.iter().enumerate() {
            for next in 0..=CANONICAL.len() {
                assert_eq!(Places { next }.find(name), Some(at), "{name}");
            }
        }
    }

    #[test]
    fn no_other_name_is_found() {
        let mut places = Places::default();
        for name in ["", "colour", "fraud", "txn_ix", "TS", "ext.a", "exts"] {
            assert_eq!(places.find(name), None, "{name}");
        }
        assert_eq!(places.find(&"x".repeat(1_000)), None);
    }
}
