//! What this bank holds of the others in an attempt: a share of each of their two secrets, and the
//! pair keys with its neighbours. It is spent whole, once, and per seat in one of two ways: there
//! is no other way to a [`Reveal`] (A5).

use std::collections::BTreeMap;

use crypto::{Key, Scalar};

use crate::client::offer::Sitting;
use crate::id::{Seat, Seats};
use crate::message::Reveal;

/// One seat's two shares as dealt to this bank. Wiped when dropped.
pub(crate) struct Shares {
    /// Of b.
    pub(crate) self_share: Scalar,
    /// Of r.
    pub(crate) escrow_share: Scalar,
}

/// Shares of every escrowed seat, and round keys with every neighbour. No `Debug`.
pub(crate) struct Holdings {
    pub(crate) shares: BTreeMap<Seat, Shares>,
    pub(crate) round_keys: BTreeMap<Seat, Key>,
}

impl Holdings {
    /// Spends the holdings: the self share of each survivor; of each of the absent, the escrow
    /// share and the pair key. What is not revealed is wiped.
    pub(crate) fn into_reveal(
        mut self,
        sitting: &Sitting,
        escrowed: &Seats,
        survivors: &Seats,
    ) -> Reveal {
        let mut reveal = Reveal {
            context: sitting.context,
            seat: sitting.seat,
            self_shares: Vec::new(),
            escrow_shares: Vec::new(),
            pair_keys: Vec::new(),
        };
        for seat in escrowed.iter() {
            let shares = self.shares.remove(&seat);
            let shares = shares.expect("a bundle is accepted with a share of every escrowed seat");
            if survivors.contains(seat) {
                reveal.self_shares.push(shares.self_share);
            } else {
                reveal.escrow_shares.push(shares.escrow_share);
                let pair_key = self.round_keys.get(&seat).map(|key| *key.expose());
                reveal.pair_keys.push(pair_key);
            }
        }
        reveal
    }
}
