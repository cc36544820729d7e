//! Acknowledgement: M5 out, M6 in (PROTOCOL.md §6). One per round number, ever: from here on this
//! bank waits for the others' word on the same survivor set, and for nothing else.

use crate::blame::Misbehaviour;
use crate::client::Client;
use crate::client::bank::{Bank, blame};
use crate::client::holdings::Holdings;
use crate::client::keyring::Keyring;
use crate::client::offer::Sitting;
use crate::client::phase::Phase;
use crate::client::phase::reveal::Reveal;
use crate::event::ClientEvent;
use crate::id::Seats;
use crate::masking;
use crate::message::{Ack, AckBundle, Survivors, ToCoordinator};
use crate::party::Outbox;
use crate::record::ClientRecord;
use crate::signed::Signed;

/// The acknowledgement is given. Holds what it may cost.
pub(crate) struct Acknowledgement {
    pub(crate) sitting: Sitting,
    pub(crate) keyring: Keyring,
    escrowed: Seats,
    survivors: Seats,
    holdings: Holdings,
    uplink: Signed<Ack>,
}

impl Acknowledgement {
    /// Gives the acknowledgement of a checked survivor set: remembered first, then said.
    pub(crate) fn open(
        sitting: Sitting,
        keyring: Keyring,
        escrowed: Seats,
        holdings: Holdings,
        survivors: &Survivors,
        bank: &mut Bank,
        out: &mut Outbox<Client>,
    ) -> Self {
        let round = sitting.round();
        bank.persist(ClientRecord::Acked(round), out);
        let ack = Ack {
            context: sitting.context,
            seat: sitting.seat,
            escrowed: masking::seats_digest(&escrowed),
            survivors: masking::seats_digest(&survivors.survivors),
            masked: masking::masked_root(&survivors.survivors, &survivors.roots),
        };
        bank.acked = Some(ack.clone());
        let uplink = Signed::sign(ack, &bank.identity.key);
        out.send((), ToCoordinator::Ack(uplink.clone()));
        out.report(ClientEvent::Acked(round));
        let survivors = survivors.survivors.clone();
        Self {
            sitting,
            keyring,
            escrowed,
            survivors,
            holdings,
            uplink,
        }
    }

    /// M4 again: the same answer again. Another set asks for a second acknowledgement (A4).
    pub(crate) fn on_survivors_again(&self, survivors: &Survivors, out: &mut Outbox<Client>) {
        if is_same_set(self.uplink.unverified(), survivors) {
            out.send((), ToCoordinator::Ack(self.uplink.clone()));
        } else {
            blame(Misbehaviour::SecondAck(self.sitting.round()), out);
        }
    }

    /// M6: reveals, if a threshold of survivors acknowledged what we did.
    pub(crate) fn on_acks(
        self,
        acks: &AckBundle,
        bank: &mut Bank,
        out: &mut Outbox<Client>,
    ) -> Phase {
        let threshold = usize::from(self.sitting.manifest.threshold);
        let holds = |ack: &Signed<Ack>| {
            let key = self.sitting.key(ack.unverified().seat);
            Some(bank.seen.check(ack, key).is_ok())
        };
        let checked = if acks.acks.len() > self.survivors.len() {
            let (found, allowed) = (acks.acks.len() as u64, self.survivors.len() as u64);
            Err(Misbehaviour::Oversized("acknowledgements", found, allowed))
        } else {
            check_acks(
                &acks.acks,
                self.uplink.unverified(),
                &self.survivors,
                threshold,
                holds,
            )
            .map_err(Misbehaviour::Acks)
        };
        if let Err(misbehaviour) = checked {
            blame(misbehaviour, out);
            return Phase::Acknowledgement(self);
        }
        let Self {
            sitting,
            keyring,
            escrowed,
            survivors,
            holdings,
            uplink,
        } = self;
        let ack = uplink.unverified().clone();
        let body = holdings.into_reveal(&sitting, &escrowed, &survivors);
        Phase::Reveal(Reveal::open(
            sitting, keyring, survivors, ack, body, bank, out,
        ))
    }
}

/// Whether a survivor set is the one acknowledged.
pub(crate) fn is_same_set(ack: &Ack, survivors: &Survivors) -> bool {
    ack.survivors == masking::seats_digest(&survivors.survivors)
        && ack.masked == masking::masked_root(&survivors.survivors, &survivors.roots)
}

/// Whether these are acknowledgements of exactly `expected`'s sets, by at least `threshold`
/// distinct survivors (A4, A23, A24, A25). `holds` looks at a survivor's signature; it is none
/// where the roster is not known, and then they are not looked at.
pub(crate) fn check_acks(
    acks: &[Signed<Ack>],
    expected: &Ack,
    survivors: &Seats,
    threshold: usize,
    mut holds: impl FnMut(&Signed<Ack>) -> Option<bool>,
) -> Result<(), &'static str> {
    if !acks.is_sorted_by(|a, b| a.unverified().seat < b.unverified().seat) {
        return Err("signers are not ascending, or repeat");
    }
    for ack in acks {
        let body = ack.unverified();
        if !survivors.contains(body.seat) {
            return Err("a signer is no survivor");
        }
        if *body
            != (Ack {
                seat: body.seat,
                ..expected.clone()
            })
        {
            return Err("they are of another attempt or other sets");
        }
        if holds(ack) == Some(false) {
            return Err("a signature does not verify");
        }
    }
    if acks.len() < threshold {
        return Err("fewer than the threshold");
    }
    Ok(())
}
