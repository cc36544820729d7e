//! Chance, and the only way it enters: 32 bytes from the host, and a tree of labels under them.
//!
//! The host draws entropy, the caller names what it is for, and the rest is determined; so a
//! simulation can replay a year of rounds. Children, bytes, scalars and streams live under
//! different labels, hence one (label, index) may serve each of them once.

use curve25519_dalek::Scalar as FieldElement;
use zeroize::{Zeroize, Zeroizing};

use crate::kdf::{Key, expand_into};
use crate::mask::{TILE_BYTES, Tiles};
use crate::secret::Secret;
use crate::shamir::Scalar;

/// A secret from which further secrets are derived.
pub struct Seed {
    secret: Secret<[u8; 32]>,
    forks: u64,
}

impl Seed {
    /// The root of a tree: `entropy` comes from the operating system, or from a test.
    pub fn from_entropy(entropy: [u8; 32]) -> Self {
        Self {
            secret: Secret::new(entropy),
            forks: 0,
        }
    }

    /// The child of this name.
    pub fn derive(&self, label: &str, index: u64) -> Self {
        Self::from_entropy(self.expand("csa1/seed/child", label, index))
    }

    /// A child no earlier call has given.
    pub fn fork(&mut self) -> Self {
        let index = self.forks;
        self.forks = index.checked_add(1).expect("nobody forks 2^64 times");
        Self::from_entropy(self.expand("csa1/seed/fork", "", index))
    }

    /// 32 uniform bytes of this name.
    pub fn bytes32(&self, label: &str, index: u64) -> [u8; 32] {
        self.expand("csa1/seed/bytes", label, index)
    }

    /// A scalar of this name, uniform to within 2^-259: 64 bytes, reduced.
    pub fn scalar(&self, label: &str, index: u64) -> Scalar {
        let wide = Zeroizing::new(self.expand("csa1/seed/scalar", label, index));
        Scalar::from_element(FieldElement::from_bytes_mod_order_wide(&wide))
    }

    /// An endless stream of this name, which restarts whenever it is asked for.
    pub fn stream(&self, label: &str, index: u64) -> Stream {
        let key = Key::from_bytes(self.expand("csa1/seed/stream", label, index));
        Stream {
            key: Tiles::from(&key),
            tile: vec![0; TILE_BYTES],
            tiles: 0,
            at: TILE_BYTES,
        }
    }

    /// A child that also depends on `bytes`.
    pub(crate) fn bind(&self, label: &str, bytes: &[u8]) -> Self {
        let mut child = [0; 32];
        expand_into(self.secret.expose(), label, &[bytes], &mut child);
        Self::from_entropy(child)
    }

    fn expand<const N: usize>(&self, purpose: &str, label: &str, index: u64) -> [u8; N] {
        let mut output = [0; N];
        let parts: [&[u8]; 2] = [label.as_bytes(), &index.to_be_bytes()];
        expand_into(self.secret.expose(), purpose, &parts, &mut output);
        output
    }
}

/// An endless deterministic stream: the tiles of [`crate::mask`] one after the other. How the
/// requests are cut does not matter. Wiped when dropped.
pub struct Stream {
    key: Tiles,
    tile: Vec<u8>,
    tiles: u64,
    at: usize,
}

impl Stream {
    /// The next bytes.
    pub fn fill(&mut self, mut output: &mut [u8]) {
        while !output.is_empty() {
            if self.at == TILE_BYTES {
                self.key.fill(self.tiles, &mut self.tile);
                self.tiles += 1;
                self.at = 0;
            }
            let count = output.len().min(TILE_BYTES - self.at);
            let (now, later) = output.split_at_mut(count);
            now.copy_from_slice(&self.tile[self.at..self.at + count]);
            self.at += count;
            output = later;
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.tile.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::sha256;
    use crate::vectors;

    #[test]
    fn everything_derived_is_as_an_independent_hkdf_and_ctr_derive_it() {
        let file = vectors::parse(include_str!("../vectors/kdf.json"));
        let case = &file["seed"];
        let mut seed = Seed::from_entropy(vectors::array(&file["key"]));
        assert_eq!(seed.bytes32("x", 3), vectors::array(&case["bytes"]));
        let child = seed.derive("x", 3);
        assert_eq!(child.bytes32("x", 3), vectors::array(&case["child_bytes"]));
        for fork in vectors::list(&case["forks_bytes"]) {
            assert_eq!(seed.fork().bytes32("x", 3), vectors::array(fork));
        }
        assert_eq!(
            seed.scalar("x", 3).as_bytes(),
            &vectors::array(&case["scalar"])
        );
        let mut bytes = vec![0; 2 * TILE_BYTES + 100];
        seed.stream("x", 3).fill(&mut bytes);
        assert_eq!(sha256(&[&bytes]).0, vectors::array(&case["stream_sha256"]));
    }

    #[test]
    fn a_stream_does_not_depend_on_how_it_is_cut() {
        let seed = Seed::from_entropy([1; 32]);
        let mut whole = vec![0; TILE_BYTES + 1000];
        seed.stream("s", 0).fill(&mut whole);
        let mut pieces = vec![0; whole.len()];
        let mut stream = seed.stream("s", 0);
        for (at, piece) in pieces.chunks_mut(777).enumerate() {
            let (left, right) = piece.split_at_mut(piece.len().min(at));
            stream.fill(left);
            stream.fill(right);
        }
        assert_eq!(whole, pieces);
    }

    #[test]
    fn names_indices_and_uses_are_independent() {
        let mut seed = Seed::from_entropy([2; 32]);
        let mut stream = [0; 32];
        seed.stream("a", 0).fill(&mut stream);
        let all = [
            seed.bytes32("a", 0),
            seed.bytes32("a", 1),
            seed.bytes32("b", 0),
            *seed.derive("a", 0).secret.expose(),
            *seed.fork().secret.expose(),
            *seed.fork().secret.expose(),
            *seed.scalar("a", 0).as_bytes(),
            stream,
        ];
        let distinct = all.iter().collect::<std::collections::BTreeSet<_>>();
        assert_eq!(distinct.len(), all.len());
    }
}
