//! Which key masks what, and which digest commits to what: PROTOCOL.md §5, formula by formula.
//! Every label of a round's secrets is in this file, so a label is seen to be used once. The
//! primitives are crypto's; the order of the messages is the phases' affair.

use crypto::{Canonical, Digest, Key, Scalar, Secret, merkle, seal};

use crate::id::{Context, EpochId, Seat, Seats};
use crate::message::ShareDigests;

#[cfg(test)]
mod tests;

/// Which of a bank's two secrets of an attempt. Of one bank, only one is ever opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecretKind {
    /// b: the seed of the self mask, opened where the bank survived.
    SelfMask,
    /// r: the seed of the escrow box, opened where the bank dropped out.
    Escrow,
}

/// The salt of an epoch's pair keys.
#[must_use]
pub fn agreement_salt(roster: &Digest, epoch: EpochId) -> Digest {
    crypto::tagged("csa1/salt", &[&roster.0, &epoch.0.to_be_bytes()])
}

/// RK: the pair's key for one attempt, from the chain key of its round.
#[must_use]
pub fn pair_round_key(chain_key: &Key, context: &Context) -> Key {
    chain_key.expand("csa1/pair-round", &[&context.0.0])
}

/// What the two sides of a pair compare before anything masked leaves.
#[must_use]
pub fn commitment(round_key: &Key) -> [u8; 16] {
    round_key.commit("csa1/cmt")
}

/// The seed of the pair's mask: both escrow nonces are in it, the lower seat's first.
#[must_use]
pub fn pair_mask_key(round_key: &Key, nonce_lower: &[u8; 32], nonce_upper: &[u8; 32]) -> Key {
    round_key.expand("csa1/pair-mask", &[nonce_lower, nonce_upper])
}

/// The seed of a bank's self mask.
#[must_use]
pub fn self_mask_key(self_secret: &Scalar, context: &Context, seat: Seat) -> Key {
    secret_key(self_secret).expand("csa1/self-mask", &[&context.0.0, &seat.0.to_be_bytes()])
}

/// The key of a bank's escrow box.
fn box_key(escrow_secret: &Scalar, context: &Context, seat: Seat) -> Key {
    secret_key(escrow_secret).expand("csa1/escrow-box", &[&context.0.0, &seat.0.to_be_bytes()])
}

/// The key that seals what `from` deals to `to`; `nonce` is the sender's of this attempt.
#[must_use]
pub fn share_key(
    chain_key: &Key,
    context: &Context,
    from: Seat,
    to: Seat,
    nonce: &[u8; 32],
) -> Key {
    let (from, to) = (from.0.to_be_bytes(), to.0.to_be_bytes());
    chain_key.expand("csa1/share", &[&context.0.0, &from, &to, nonce])
}

/// Seals the two shares that `from` deals to `to`: 80 bytes.
#[must_use]
pub fn seal_shares(
    key: &Key,
    context: &Context,
    from: Seat,
    to: Seat,
    self_share: &Scalar,
    escrow_share: &Scalar,
) -> Vec<u8> {
    let plain = Secret::new([*self_share.as_bytes(), *escrow_share.as_bytes()].concat());
    seal::seal(key, &share_aad(context, from, to), plain.expose())
}

/// Opens what [`seal_shares`] sealed: the self share, then the escrow share. None where it does
/// not open, or does not hold two scalars.
#[must_use]
pub fn open_shares(
    key: &Key,
    context: &Context,
    from: Seat,
    to: Seat,
    sealed: &[u8],
) -> Option<(Scalar, Scalar)> {
    let plain = seal::open(key, &share_aad(context, from, to), sealed).ok()?;
    let [self_share, escrow_share] = plain.expose().as_chunks::<32>().0 else {
        return None;
    };
    if plain.expose().len() != 64 {
        return None;
    }
    Some((
        Scalar::from_bytes(*self_share)?,
        Scalar::from_bytes(*escrow_share)?,
    ))
}

/// Seals a bank's round keys with all its neighbours, in seat order, under its escrow secret.
#[must_use]
pub fn seal_box(
    escrow_secret: &Scalar,
    context: &Context,
    seat: Seat,
    round_keys: &[Key],
) -> Vec<u8> {
    let mut plain = Vec::with_capacity(round_keys.len() * 32);
    for key in round_keys {
        plain.extend_from_slice(key.expose());
    }
    let plain = Secret::new(plain);
    seal::seal(
        &box_key(escrow_secret, context, seat),
        &box_aad(context, seat),
        plain.expose(),
    )
}

/// Opens what [`seal_box`] sealed: round keys in the neighbours' seat order. None where it does
/// not open, or does not hold exactly `count` keys.
#[must_use]
pub fn open_box(
    escrow_secret: &Scalar,
    context: &Context,
    seat: Seat,
    sealed: &[u8],
    count: usize,
) -> Option<Vec<Key>> {
    let key = box_key(escrow_secret, context, seat);
    let plain = seal::open(&key, &box_aad(context, seat), sealed).ok()?;
    let (keys, rest) = plain.expose().as_chunks::<32>();
    if keys.len() != count || !rest.is_empty() {
        return None;
    }
    Some(keys.iter().map(|&bytes| Key::from_bytes(bytes)).collect())
}

/// hb or hr: the digest of the share that `from` deals to `to`.
#[must_use]
pub fn share_digest(
    kind: SecretKind,
    context: &Context,
    from: Seat,
    to: Seat,
    share: &Scalar,
) -> [u8; 16] {
    let label = match kind {
        SecretKind::SelfMask => "csa1/shb",
        SecretKind::Escrow => "csa1/shr",
    };
    let (from, to) = (from.0.to_be_bytes(), to.0.to_be_bytes());
    let digest = crypto::tagged(label, &[&context.0.0, &from, &to, share.as_bytes()]);
    *digest
        .0
        .first_chunk()
        .expect("a digest has more than 16 bytes")
}

/// Both digests of what `from` deals to `to`.
#[must_use]
pub fn share_digests(
    context: &Context,
    from: Seat,
    to: Seat,
    self_share: &Scalar,
    escrow_share: &Scalar,
) -> ShareDigests {
    ShareDigests {
        self_share: share_digest(SecretKind::SelfMask, context, from, to, self_share),
        escrow_share: share_digest(SecretKind::Escrow, context, from, to, escrow_share),
    }
}

/// H(b) or H(r): what an opened secret is held against.
#[must_use]
pub fn secret_digest(kind: SecretKind, context: &Context, seat: Seat, secret: &Scalar) -> Digest {
    let label = match kind {
        SecretKind::SelfMask => "csa1/self-secret",
        SecretKind::Escrow => "csa1/escrow-secret",
    };
    crypto::tagged(
        label,
        &[&context.0.0, &seat.0.to_be_bytes(), secret.as_bytes()],
    )
}

/// The digest of a set of seats.
#[must_use]
pub fn seats_digest(seats: &Seats) -> Digest {
    let mut to = Canonical::new(32);
    seats.write(&mut to);
    to.hash("csa1/seats")
}

/// The Merkle root over the holders' share digests, in cohort order.
#[must_use]
pub fn shares_root(digests: &[ShareDigests]) -> Digest {
    merkle::root(SHARES_ROOT, &share_leaves(digests))
}

/// The path from one holder's share digests to [`shares_root`].
///
/// # Panics
/// If `holder` is not below the number of digests.
#[must_use]
pub fn shares_path(digests: &[ShareDigests], holder: usize) -> Vec<Digest> {
    merkle::path(&share_leaves(digests), holder)
}

/// Whether these digests are the holder's at `place` under `root`.
#[must_use]
pub fn is_share_of(
    root: &Digest,
    digests: &ShareDigests,
    place: merkle::Place,
    path: &[Digest],
) -> bool {
    merkle::verify(SHARES_ROOT, root, &share_leaf(digests), place, path)
}

/// The digest of an escrow's sealed shares.
#[must_use]
pub fn sealed_digest(sealed: &[Vec<u8>]) -> Digest {
    let parts = sealed.iter().map(Vec::as_slice).collect::<Vec<_>>();
    crypto::tagged("csa1/sealed", &parts)
}

/// The digest of an escrow box.
#[must_use]
pub fn box_digest(escrow_box: &[u8]) -> Digest {
    crypto::tagged("csa1/box", &[escrow_box])
}

/// The digest of an escrow's pair-key commitments.
#[must_use]
pub fn commitments_digest(commitments: &[[u8; 16]]) -> Digest {
    crypto::tagged("csa1/cmts", &[&commitments.concat()])
}

/// Yroot: the Merkle root over the survivors' seats and chunk roots, which go together in order.
#[must_use]
pub fn masked_root(survivors: &Seats, roots: &[Digest]) -> Digest {
    let leaves = survivors
        .iter()
        .zip(roots)
        .map(|(seat, root)| crypto::tagged("csa1/masked-leaf", &[&seat.0.to_be_bytes(), &root.0]));
    merkle::root("csa1/masked-root", &leaves.collect::<Vec<_>>())
}

/// The digest of what was opened: the survivors' b in seat order, then the pair keys with the
/// absent, each with its survivor and its absent seat.
#[must_use]
pub fn revealed_digest(self_secrets: &[(Seat, Scalar)], pairs: &[(Seat, Seat, &Key)]) -> Digest {
    let mut to = Canonical::new(33);
    to.list(self_secrets.len());
    for (seat, secret) in self_secrets {
        to.u16(seat.0).fixed(secret.as_bytes());
    }
    to.list(pairs.len());
    for (survivor, absent, key) in pairs {
        to.u16(survivor.0).u16(absent.0).fixed(key.expose());
    }
    to.hash("csa1/revealed")
}

const SHARES_ROOT: &str = "csa1/shares-root";

fn share_leaves(digests: &[ShareDigests]) -> Vec<Digest> {
    digests.iter().map(share_leaf).collect()
}

fn share_leaf(digests: &ShareDigests) -> Digest {
    crypto::tagged(
        "csa1/share-leaf",
        &[&digests.self_share, &digests.escrow_share],
    )
}

fn share_aad(context: &Context, from: Seat, to: Seat) -> Vec<u8> {
    [&context.0.0[..], &from.0.to_be_bytes(), &to.0.to_be_bytes()].concat()
}

fn box_aad(context: &Context, seat: Seat) -> Vec<u8> {
    [&context.0.0[..], &seat.0.to_be_bytes()].concat()
}

/// A scalar has 252 bits of chance: enough for a key that is only ever expanded.
fn secret_key(secret: &Scalar) -> Key {
    Key::from_bytes(*secret.as_bytes())
}
