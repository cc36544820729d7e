//! What an attempt's secrets cost, for consortia of any size without running one: the calls of
//! `client/dealing.rs`, and those of the coordinator's reveal, in their order.

use crypto::{Digest, Key, Lagrange, Scalar, Seed, shamir};
use protocol::id::{Context, Seat};
use protocol::masking::{self, SecretKind};
use protocol::terms;

use crate::{black_box, seconds};

const CONTEXT: Context = Context(Digest([6; 32]));
const NONCE: [u8; 32] = [7; 32];

/// The cohort's seats, and the threshold where a third may collude.
pub(crate) fn cohort(count: u16) -> (Vec<Seat>, u16) {
    let threshold = terms::threshold(count, terms::default_colluders(count));
    ((0..count).map(Seat).collect(), threshold)
}

/// Milliseconds in which a bank of `count` deals its escrow (M1): two secrets shared out to all,
/// sealed one by one, and its pair keys boxed. Signing is left out: 20 us, whatever the size.
pub(crate) fn escrow_ms(count: u16) -> f64 {
    let (seats, threshold) = cohort(count);
    let own = Seat(0);
    let chain_key = Key::from_bytes([8; 32]);
    let deal = || {
        let seed = Seed::from_entropy([9; 32]);
        let secrets = ["self secret", "escrow secret"].map(|label| seed.scalar(label, 0));
        let keys: Vec<_> = (0..terms::degree(count))
            .map(|_| masking::pair_round_key(&chain_key, &CONTEXT))
            .collect();
        let commitments: Vec<_> = keys.iter().map(masking::commitment).collect();
        let escrow_box = masking::seal_box(&secrets[1], &CONTEXT, own, &keys);
        let [of_self, of_escrow] = secrets
            .each_ref()
            .map(|secret| shamir::split(secret, threshold, count, &seed.derive("shares", 0)));
        let shares = seats.iter().zip(of_self.iter().zip(&of_escrow));
        let dealt = shares.map(|(&to, (of_self, of_escrow))| {
            let key = masking::share_key(&chain_key, &CONTEXT, own, to, &NONCE);
            (
                masking::share_digests(&CONTEXT, own, to, of_self, of_escrow),
                masking::seal_shares(&key, &CONTEXT, own, to, of_self, of_escrow),
            )
        });
        let (digests, sealed): (Vec<_>, Vec<_>) = dealt.unzip();
        (
            masking::shares_root(&digests),
            masking::sealed_digest(&sealed),
            masking::box_digest(&escrow_box),
            masking::commitments_digest(&commitments),
        )
    };
    seconds(deal) * 1e3
}

/// Milliseconds in which the coordinator of `count` banks opens every secret of an attempt: a
/// threshold of reveals (M7), each share held against its digest, each secret interpolated and
/// held against what its owner signed.
pub(crate) fn reveal_ms(count: u16) -> f64 {
    let (seats, threshold) = cohort(count);
    let seed = Seed::from_entropy([2; 32]);
    let secret = seed.scalar("secret", 0);
    let shares: Vec<Scalar> = shamir::split(&secret, threshold, count, &seed);
    let responders: Vec<u16> = (1..=threshold).collect();
    let open = || {
        for &holder in &seats[..usize::from(threshold)] {
            for &dealer in &seats {
                let share = &shares[usize::from(holder.0)];
                let kind = SecretKind::SelfMask;
                black_box(masking::share_digest(kind, &CONTEXT, dealer, holder, share));
            }
        }
        let lagrange = Lagrange::new(&responders).expect("distinct");
        for &dealer in &seats {
            let opened = lagrange.combine(&shares[..usize::from(threshold)]);
            let kind = SecretKind::SelfMask;
            black_box(masking::secret_digest(kind, &CONTEXT, dealer, &opened));
        }
    };
    seconds(open) * 1e3
}
