//! What a bank deals to the others before it has anything to hide: M1, computed. Fresh secrets,
//! shared out to the whole cohort, and the pair keys in a box under one of them. When it is sent,
//! and what others' escrows must be, is `phase/escrow.rs`.

use std::collections::BTreeMap;

use crypto::{Key, Scalar, Seed, shamir};

use crate::client::bank::Bank;
use crate::client::holdings::Shares;
use crate::client::keyring::Keyring;
use crate::client::offer::Sitting;
use crate::id::Seat;
use crate::masking::{self, SecretKind};
use crate::message::{Escrow, EscrowHeader, ShareDigests};
use crate::signed::Signed;

/// This bank's own secrets of the attempt. r is not among them: once it is dealt and the box is
/// sealed under it, its owner needs it no more.
pub(crate) struct Secrets {
    pub(crate) nonce: [u8; 32],
    pub(crate) self_secret: Scalar,
    pub(crate) own_shares: Shares,
    pub(crate) round_keys: BTreeMap<Seat, Key>,
}

/// Deals an escrow: what this bank keeps, and what it sends.
pub(crate) fn deal(
    sitting: &Sitting,
    keyring: &mut Keyring,
    bank: &mut Bank,
) -> (Secrets, Box<Escrow>) {
    let (context, seat) = (sitting.context, sitting.seat);
    let seed = bank.draw();
    let nonce = seed.bytes32("escrow nonce", 0);
    let self_secret = seed.scalar("self secret", 0);
    let escrow_secret = seed.scalar("escrow secret", 0);
    let round_keys = round_keys(sitting, keyring);
    let commitments = round_keys
        .values()
        .map(masking::commitment)
        .collect::<Vec<_>>();
    let boxed = round_keys
        .values()
        .map(|key| Key::from_bytes(*key.expose()))
        .collect::<Vec<_>>();
    let escrow_box = masking::seal_box(&escrow_secret, &context, seat, &boxed);
    let mut shares = share_out(sitting, &self_secret, &escrow_secret, &seed);
    let (share_digests, sealed) = seal(sitting, keyring, &shares, &nonce, &seed);
    let header = EscrowHeader {
        context,
        seat,
        nonce,
        self_secret: masking::secret_digest(SecretKind::SelfMask, &context, seat, &self_secret),
        escrow_secret: masking::secret_digest(SecretKind::Escrow, &context, seat, &escrow_secret),
        shares: masking::shares_root(&share_digests),
        sealed: masking::sealed_digest(&sealed),
        escrow_box: masking::box_digest(&escrow_box),
        commitments: masking::commitments_digest(&commitments),
    };
    let header = Signed::sign(header, &bank.identity.key);
    let uplink = Escrow {
        header,
        share_digests,
        sealed,
        escrow_box,
        commitments,
    };
    let own_shares = shares
        .remove(&seat)
        .expect("we sit in the cohort: checked with the offer");
    (
        Secrets {
            nonce,
            self_secret,
            own_shares,
            round_keys,
        },
        Box::new(uplink),
    )
}

/// The attempt's key with every mask neighbour.
fn round_keys(sitting: &Sitting, keyring: &mut Keyring) -> BTreeMap<Seat, Key> {
    let mut keys = BTreeMap::new();
    for peer in sitting.graph.neighbours(sitting.seat).iter() {
        let chain_key = keyring.chain_key(peer);
        let chain_key = chain_key.expect("the cohort was checked to be seats of the roster");
        keys.insert(peer, masking::pair_round_key(chain_key, &sitting.context));
    }
    keys
}

/// Each cohort member's shares of both secrets. Abscissae are seats, so that a cohort with gaps
/// needs no numbering of its own; what falls on a gap is dropped.
fn share_out(
    sitting: &Sitting,
    self_secret: &Scalar,
    escrow_secret: &Scalar,
    seed: &Seed,
) -> BTreeMap<Seat, Shares> {
    let cohort = &sitting.manifest.cohort;
    let last = cohort
        .iter()
        .last()
        .expect("we sit in the cohort: checked with the offer");
    let (threshold, count) = (sitting.manifest.threshold, last.abscissa());
    let of_self = shamir::split(
        self_secret,
        threshold,
        count,
        &seed.derive("self shares", 0),
    );
    let of_escrow = shamir::split(
        escrow_secret,
        threshold,
        count,
        &seed.derive("escrow shares", 0),
    );
    let dealt = (0..).map(Seat).zip(of_self.into_iter().zip(of_escrow));
    dealt
        .filter(|(seat, _)| cohort.contains(*seat))
        .map(|(seat, (self_share, escrow_share))| {
            (
                seat,
                Shares {
                    self_share,
                    escrow_share,
                },
            )
        })
        .collect()
}

/// Per cohort member: the digests of its shares, and the shares under the pair's key.
fn seal(
    sitting: &Sitting,
    keyring: &mut Keyring,
    shares: &BTreeMap<Seat, Shares>,
    nonce: &[u8; 32],
    seed: &Seed,
) -> (Vec<ShareDigests>, Vec<Vec<u8>>) {
    let (context, from) = (&sitting.context, sitting.seat);
    let entries = shares.iter().map(|(&to, shares)| {
        let Shares {
            self_share,
            escrow_share,
        } = shares;
        // Nobody opens our own entry; it is sealed under a key of its own so that all are alike.
        let key = keyring.chain_key(to).map_or_else(
            || Key::from_bytes(seed.bytes32("own entry", 0)),
            |chain_key| masking::share_key(chain_key, context, from, to, nonce),
        );
        let digests = masking::share_digests(context, from, to, self_share, escrow_share);
        let sealed = masking::seal_shares(&key, context, from, to, self_share, escrow_share);
        (digests, sealed)
    });
    entries.unzip()
}
