//! Merkle trees over digests, and over byte strings in chunks of 64 KiB.
//!
//! Leaves and nodes are hashed under different labels and the root binds the number of leaves, so
//! neither a node nor a repeated last leaf can be passed off as something else (the flaws of
//! unlabelled trees). A node without a right neighbour rises unchanged.

use crate::digest::{Digest, tagged};

/// Bytes in one chunk of [`chunk_root`]; the last chunk may be shorter.
pub const CHUNK_BYTES: usize = 65_536;

/// Which leaf of how many: both are bound by the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Position of the leaf, from zero.
    pub index: usize,
    /// Number of leaves in the tree.
    pub count: usize,
}

/// The root over `leaves` in order. An empty list has a root of its own.
pub fn root(label: &str, leaves: &[Digest]) -> Digest {
    let mut level = leaves.iter().map(leaf_node).collect::<Vec<_>>();
    while level.len() > 1 {
        level = level.chunks(2).map(parent).collect();
    }
    seal_root(label, leaves.len(), level.first())
}

/// The siblings that [`verify`] needs for the leaf at `index`, from the bottom up.
///
/// # Panics
/// If `index` is not below the number of leaves.
pub fn path(leaves: &[Digest], index: usize) -> Vec<Digest> {
    assert!(index < leaves.len(), "leaf {index} of {}", leaves.len());
    let mut level = leaves.iter().map(leaf_node).collect::<Vec<_>>();
    let mut position = index;
    let mut siblings = Vec::new();
    while level.len() > 1 {
        siblings.extend(level.get(position ^ 1));
        level = level.chunks(2).map(parent).collect();
        position /= 2;
    }
    siblings
}

/// Whether `leaf` is at `place` under `root`. A path too long or too short is refused.
pub fn verify(
    label: &str,
    root: &Digest,
    leaf: &Digest,
    place: Place,
    siblings: &[Digest],
) -> bool {
    if place.index >= place.count {
        return false;
    }
    let mut node = leaf_node(leaf);
    let mut rest = siblings.iter();
    let (mut position, mut width) = (place.index, place.count);
    while width > 1 {
        if position ^ 1 < width {
            let Some(sibling) = rest.next() else {
                return false;
            };
            let is_left = position.is_multiple_of(2);
            node = if is_left {
                join(&node, sibling)
            } else {
                join(sibling, &node)
            };
        }
        position /= 2;
        width = width.div_ceil(2);
    }
    rest.next().is_none() && seal_root(label, place.count, Some(&node)) == *root
}

/// The root over `bytes` in chunks of [`CHUNK_BYTES`]: what a model's parameters are named by.
pub fn chunk_root(bytes: &[u8]) -> Digest {
    chunk_root_by(bytes, CHUNK_BYTES)
}

/// The same in chunks of another size.
///
/// # Panics
/// If `chunk_bytes` is zero.
pub fn chunk_root_by(bytes: &[u8], chunk_bytes: usize) -> Digest {
    chunks_root(&chunk_leaves(bytes, chunk_bytes))
}

/// The leaves under [`chunk_root_by`]: one digest a chunk.
///
/// # Panics
/// If `chunk_bytes` is zero.
pub fn chunk_leaves(bytes: &[u8], chunk_bytes: usize) -> Vec<Digest> {
    bytes.chunks(chunk_bytes).map(chunk_leaf).collect()
}

/// The root over leaves that [`chunk_leaves`] made.
pub fn chunks_root(leaves: &[Digest]) -> Digest {
    root(CHUNK_ROOT, leaves)
}

/// Whether `chunk` is at `place` under a [`chunk_root_by`]; `siblings` are [`path`]'s.
pub fn verify_chunk(root: &Digest, chunk: &[u8], place: Place, siblings: &[Digest]) -> bool {
    verify(CHUNK_ROOT, root, &chunk_leaf(chunk), place, siblings)
}

const CHUNK_ROOT: &str = "csa1/chunk-root";

fn chunk_leaf(chunk: &[u8]) -> Digest {
    tagged("csa1/chunk", &[chunk])
}

fn leaf_node(leaf: &Digest) -> Digest {
    tagged("csa1/merkle-leaf", &[&leaf.0])
}

fn parent(pair: &[Digest]) -> Digest {
    match pair {
        [left, right] => join(left, right),
        [alone] => *alone,
        _ => unreachable!("chunks(2) yields one or two"),
    }
}

fn join(left: &Digest, right: &Digest) -> Digest {
    tagged("csa1/merkle-node", &[&left.0, &right.0])
}

fn seal_root(label: &str, count: usize, top: Option<&Digest>) -> Digest {
    let count = u32::try_from(count).expect("trees are bounded far below 2^32 leaves");
    let top: &[u8] = top.map_or(&[], |top| &top.0);
    tagged(label, &[&count.to_be_bytes(), top])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::sha256;
    use crate::vectors;

    const LABEL: &str = "csa1/test-tree";

    #[test]
    fn roots_and_paths_are_those_of_hashlib() {
        let file = vectors::parse(include_str!("../vectors/digest.json"));
        for tree in vectors::list(&file["trees"]) {
            let leaves = digests(&tree["leaves"]);
            let root = root(LABEL, &leaves);
            assert_eq!(root.0, vectors::array(&tree["root"]));
            for (index, siblings) in vectors::list(&tree["paths"]).iter().enumerate() {
                assert_eq!(path(&leaves, index), digests(siblings));
            }
        }
        for case in vectors::list(&file["chunk_roots"]) {
            let bytes = vectors::pattern(vectors::number(&case["length"]));
            assert_eq!(chunk_root(&bytes).0, vectors::array(&case["out"]));
            let leaves = chunk_leaves(&bytes, CHUNK_BYTES);
            for (index, chunk) in bytes.chunks(CHUNK_BYTES).enumerate() {
                let count = leaves.len();
                let place = Place { index, count };
                let siblings = path(&leaves, index);
                let root = chunk_root(&bytes);
                assert!(verify_chunk(&root, chunk, place, &siblings));
                assert!(!verify_chunk(&root, &chunk[1..], place, &siblings));
            }
        }
    }

    /// A leaf is accepted where it is, and with anything changed it is not.
    #[test]
    fn a_path_proves_one_leaf_at_one_place_of_one_tree() {
        for count in 1..=9_u8 {
            let leaves = (0..count)
                .map(|leaf| sha256(&[&[leaf]]))
                .collect::<Vec<_>>();
            let root = root(LABEL, &leaves);
            for (index, leaf) in leaves.iter().enumerate() {
                let siblings = path(&leaves, index);
                let place = Place {
                    index,
                    count: leaves.len(),
                };
                assert!(verify(LABEL, &root, leaf, place, &siblings));
                assert!(!verify("csa1/other", &root, leaf, place, &siblings));
                assert!(!verify(LABEL, &root, &root, place, &siblings));
                assert!(!verify(
                    LABEL,
                    &root,
                    leaf,
                    place,
                    &[&siblings[..], &[root]].concat()
                ));
                for other in 0..12 {
                    let moved = Place {
                        index: other,
                        ..place
                    };
                    let grown = Place {
                        count: other,
                        ..place
                    };
                    assert_eq!(verify(LABEL, &root, leaf, moved, &siblings), moved == place);
                    assert_eq!(verify(LABEL, &root, leaf, grown, &siblings), grown == place);
                }
                for level in 0..siblings.len() {
                    let mut bent = siblings.clone();
                    bent[level].0[31] ^= 1;
                    assert!(!verify(LABEL, &root, leaf, place, &bent));
                    assert!(!verify(LABEL, &root, leaf, place, &siblings[..level]));
                }
            }
        }
    }

    fn digests(value: &serde_json::Value) -> Vec<Digest> {
        vectors::list(value)
            .iter()
            .map(|digest| Digest(vectors::array(digest)))
            .collect()
    }
}
