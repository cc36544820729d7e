//! Reveal: M7 out; M8 is the client's (`client/transcript.rs`), since a result is for everybody
//! (PROTOCOL.md §7). Nothing secret is left here: what was not revealed is wiped, and the round's
//! chain keys with it.

use crate::blame::Misbehaviour;
use crate::client::Client;
use crate::client::bank::{Bank, blame};
use crate::client::keyring::Keyring;
use crate::client::offer::Sitting;
use crate::client::phase::acknowledgement::is_same_set;
use crate::event::ClientEvent;
use crate::id::Seats;
use crate::message::{self, Ack, AckBundle, Survivors, ToCoordinator};
use crate::party::Outbox;
use crate::plan::Work;
use crate::record::ClientRecord;
use crate::signed::Signed;

/// The shares are out.
pub(crate) struct Reveal {
    pub(crate) sitting: Sitting,
    pub(crate) keyring: Keyring,
    survivors: Seats,
    ack: Ack,
    uplink: Box<Signed<message::Reveal>>,
}

impl Reveal {
    /// Reveals: remembered first, then said.
    pub(crate) fn open(
        sitting: Sitting,
        mut keyring: Keyring,
        survivors: Seats,
        ack: Ack,
        body: message::Reveal,
        bank: &mut Bank,
        out: &mut Outbox<Client>,
    ) -> Self {
        let round = sitting.round();
        let work = &sitting.plan.work;
        let day_end = match work {
            Work::Risk(terms) => Some(terms.from_day.saturating_add(u32::from(terms.days))),
            Work::Pretrain(_) | Work::Finetune(_) | Work::Evaluate(_) => None,
        };
        // The ledger is as it was when the seat was taken: a result would have ended the attempt.
        let base = sitting.manifest.base;
        let base = bank.ledger.spends(&sitting.plan, base).unwrap_or(base);
        bank.persist(
            ClientRecord::Revealed(round, work.kind(), base, day_end),
            out,
        );
        keyring.finish(round);
        let uplink = Box::new(Signed::sign(body, &bank.identity.key));
        out.send((), ToCoordinator::Reveal(uplink.clone()));
        out.report(ClientEvent::Revealed(round));
        Self {
            sitting,
            keyring,
            survivors,
            ack,
            uplink,
        }
    }

    /// M4 after the reveal: late, or a request for the other secret of whoever moved (A5).
    pub(crate) fn on_survivors_again(&self, survivors: &Survivors, out: &mut Outbox<Client>) {
        if is_same_set(&self.ack, survivors) {
            return;
        }
        let asked = &survivors.survivors;
        let mut moved = self
            .survivors
            .without(asked)
            .iter()
            .chain(asked.without(&self.survivors).iter())
            .collect::<Vec<_>>();
        moved.sort_unstable();
        blame(
            moved.first().map_or_else(
                || Misbehaviour::SecondAck(self.sitting.round()),
                |&seat| Misbehaviour::BothSecrets(seat),
            ),
            out,
        );
    }

    /// M6 again: the same shares again, whatever the bundle says; they are out already. A bundle
    /// for other sets is answered with nothing.
    pub(crate) fn on_acks_again(&self, acks: &AckBundle, out: &mut Outbox<Client>) {
        let is_ours = |ack: &Signed<Ack>| {
            let body = ack.unverified();
            *body
                == (Ack {
                    seat: body.seat,
                    ..self.ack.clone()
                })
        };
        if acks.acks.iter().all(is_ours) {
            out.send((), ToCoordinator::Reveal(self.uplink.clone()));
        } else {
            blame(
                Misbehaviour::Acks("they are of another attempt or other sets"),
                out,
            );
        }
    }
}
