//! `Attempted`: one attempt as the honest coordinator holds it: what came in, the messages made of
//! it, and the sum once enough shares are revealed.

use std::collections::BTreeMap;

use crypto::mask::{self, Sign};
use crypto::{Lagrange, Scalar};

use crate::fixture;
use crate::graph::Graph;
use crate::id::{Context, Seat, Seats};
use crate::masking;
use crate::message::{
    Ack, AckBundle, Escrow, EscrowBundle, IncomingShare, Manifest, Masked, Reveal, Survivors,
    ToClient,
};
use crate::plan::Width;
use crate::signed::Signed;
use crate::vector;

/// An attempt as the coordinator holds it.
pub(super) struct Attempted {
    pub(super) manifest: Manifest,
    pub(super) escrows: BTreeMap<Seat, Escrow>,
    pub(super) escrowed: Seats,
    pub(super) masked: BTreeMap<Seat, Masked>,
    pub(super) acks: Vec<Signed<Ack>>,
    pub(super) reveals: Vec<Reveal>,
}

impl Attempted {
    pub(super) fn new(manifest: Manifest, escrows: BTreeMap<Seat, Escrow>) -> Self {
        let escrowed = escrows.keys().copied().collect();
        let masked = BTreeMap::new();
        Self {
            manifest,
            escrows,
            escrowed,
            masked,
            acks: Vec::new(),
            reveals: Vec::new(),
        }
    }

    pub(super) fn context(&self) -> Context {
        self.manifest.context()
    }

    pub(super) fn width(&self) -> Width {
        let is_said = |width: &Width| width.bits() == self.manifest.word_bits;
        fixture::WIDTHS.into_iter().find(is_said).unwrap()
    }

    fn graph(&self) -> Graph {
        Graph::new(
            &self.manifest.cohort,
            self.manifest.degree,
            &self.manifest.graph_seed,
        )
    }

    /// M2 for one bank, to be spoilt.
    pub(super) fn bundle_for(&self, to: Seat) -> EscrowBundle {
        let index = self
            .manifest
            .cohort
            .iter()
            .position(|seat| seat == to)
            .unwrap();
        let graph = self.graph();
        let shares = self.escrowed.iter().map(|from| {
            let escrow = &self.escrows[&from];
            let neighbour = graph.neighbours(from).iter().position(|seat| seat == to);
            IncomingShare {
                sealed: escrow.sealed[index].clone(),
                digests: escrow.share_digests[index],
                path: masking::shares_path(&escrow.share_digests, index),
                commitment: neighbour.map(|place| escrow.commitments[place]),
            }
        });
        EscrowBundle {
            context: self.context(),
            escrowed: self.escrowed.clone(),
            headers: self
                .escrowed
                .iter()
                .map(|seat| self.escrows[&seat].header.clone())
                .collect(),
            shares: shares.collect(),
        }
    }

    pub(super) fn bundle(&self, to: Seat) -> ToClient {
        ToClient::EscrowBundle(Box::new(self.bundle_for(to)))
    }

    pub(super) fn survivors(&self) -> Seats {
        self.masked.keys().copied().collect()
    }

    /// M4 for these survivors, to be spoilt.
    pub(super) fn survivors_of(&self, survivors: &Seats) -> Survivors {
        let root = |seat: Seat| self.masked[&seat].trailer.unverified().root;
        Survivors {
            context: self.context(),
            survivors: survivors.clone(),
            roots: survivors.iter().map(root).collect(),
        }
    }

    pub(super) fn survivors_message(&self) -> ToClient {
        ToClient::Survivors(Box::new(self.survivors_of(&self.survivors())))
    }

    pub(super) fn acks_message(&self) -> ToClient {
        let (context, acks) = (self.context(), self.acks.clone());
        ToClient::Acks(Box::new(AckBundle { context, acks }))
    }

    /// Opens the sum from the reveals, as a coordinator must: shares to secrets, secrets to masks.
    pub(super) fn open_sum(&self) -> Vec<u32> {
        let sum = self.try_open_sum();
        sum.expect("the boxes of the absent open with a threshold of shares")
    }

    /// The same, none where a box of the absent does not open.
    pub(super) fn try_open_sum(&self) -> Option<Vec<u32>> {
        let survivors = self.survivors();
        let absent = self.escrowed.without(&survivors);
        let abscissae = self.reveals.iter().map(|reveal| reveal.seat.abscissa());
        let lagrange = Lagrange::new(&abscissae.collect::<Vec<_>>()).unwrap();
        let combine = |share: &dyn Fn(&Reveal) -> Scalar| {
            lagrange.combine(&self.reveals.iter().map(share).collect::<Vec<_>>())
        };
        let context = self.context();
        let mut sum = vec![0; usize::try_from(self.manifest.words).unwrap()];
        for (index, seat) in survivors.iter().enumerate() {
            vector::add(&mut sum, &self.masked[&seat].words, self.width()).unwrap();
            let secret = combine(&|reveal| reveal.self_shares[index].clone());
            let key = masking::self_mask_key(&secret, &context, seat);
            mask::apply(&key, Sign::Minus, &mut sum);
        }
        let graph = self.graph();
        for (index, seat) in absent.iter().enumerate() {
            let secret = combine(&|reveal| reveal.escrow_shares[index].clone());
            let neighbours = graph.neighbours(seat);
            let sealed = &self.escrows[&seat].escrow_box;
            let keys = masking::open_box(&secret, &context, seat, sealed, neighbours.len());
            for (peer, key) in neighbours.iter().zip(keys?) {
                if !survivors.contains(peer) {
                    continue;
                }
                let (lower, upper) = (seat.min(peer), seat.max(peer));
                let nonce = |seat: Seat| self.escrows[&seat].header.unverified().nonce;
                let key = masking::pair_mask_key(&key, &nonce(lower), &nonce(upper));
                let sign = if peer < seat { Sign::Minus } else { Sign::Plus };
                mask::apply(&key, sign, &mut sum);
            }
        }
        Some(sum)
    }
}
