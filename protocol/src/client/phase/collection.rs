//! Collection: M3 out, M4 in (PROTOCOL.md §6). The one place where a bank's vector is masked: a
//! contribution goes in and is gone, and what comes out may be seen by anybody.

use std::collections::BTreeMap;

use crypto::mask::{self, Sign};
use crypto::{Digest, Scalar};

use crate::blame::Misbehaviour;
use crate::client::bank::{Bank, blame};
use crate::client::holdings::Holdings;
use crate::client::keyring::Keyring;
use crate::client::offer::Sitting;
use crate::client::phase::Phase;
use crate::client::phase::acknowledgement::Acknowledgement;
use crate::client::{Client, Contribution};
use crate::event::ClientEvent;
use crate::id::{Seat, Seats};
use crate::masking;
use crate::message::{EscrowBundle, Masked, MaskedTrailer, Survivors, ToCoordinator};
use crate::party::Outbox;
use crate::plan::Work;
use crate::signed::Signed;
use crate::vector;

/// All escrows hold. Holds what may have to be revealed, and until the vector is masked, b.
pub(crate) struct Collection {
    pub(crate) sitting: Sitting,
    pub(crate) keyring: Keyring,
    escrowed: Seats,
    holdings: Holdings,
    stage: Stage,
}

enum Stage {
    /// The local work runs. b, and every escrow's nonce.
    Working(Scalar, BTreeMap<Seat, [u8; 32]>),
    /// The masked vector is out; its chunk root.
    Sent(Box<Masked>, Digest),
}

impl Collection {
    /// Every escrow of `escrowed` was checked; `holdings` has a share of each.
    pub(crate) fn new(
        sitting: Sitting,
        keyring: Keyring,
        escrowed: Seats,
        holdings: Holdings,
        nonces: BTreeMap<Seat, [u8; 32]>,
        self_secret: Scalar,
    ) -> Self {
        let stage = Stage::Working(self_secret, nonces);
        Self {
            sitting,
            keyring,
            escrowed,
            holdings,
            stage,
        }
    }

    /// Whether the local work is still awaited.
    pub(crate) fn is_working(&self) -> bool {
        matches!(self.stage, Stage::Working(..))
    }

    /// M2 again: the same answer again. Another U1 for the same attempt is two faces (A25).
    pub(crate) fn on_escrow_bundle_again(&self, bundle: &EscrowBundle, out: &mut Outbox<Client>) {
        if bundle.escrowed != self.escrowed {
            blame(Misbehaviour::Equivocation("escrow bundle"), out);
        } else if let Stage::Sent(uplink, _) = &self.stage {
            out.send((), ToCoordinator::Masked(uplink.clone()));
        }
    }

    /// M3: encodes and masks the contribution, once; b and the contribution are gone afterwards.
    /// Where it cannot be encoded, nothing is sent and the reason comes back.
    pub(crate) fn mask(
        self,
        contribution: Contribution,
        bank: &mut Bank,
        out: &mut Outbox<Client>,
    ) -> (Self, Option<String>) {
        let Stage::Working(self_secret, nonces) = &self.stage else {
            return (self, None);
        };
        let mut words = match encode(&self.sitting, contribution, bank) {
            Ok(words) => words,
            Err(why) => return (self, Some(why)),
        };
        self.put_masks_on(self_secret, nonces, &mut words);
        let words = vector::to_bytes(&words, self.sitting.plan.width);
        let root = vector::masked_root(&words, self.sitting.plan.width);
        let trailer = MaskedTrailer {
            context: self.sitting.context,
            seat: self.sitting.seat,
            escrowed: masking::seats_digest(&self.escrowed),
            root,
        };
        let bytes = words.0.len() as u64;
        let trailer = Signed::sign(trailer, &bank.identity.key);
        let uplink = Box::new(Masked { trailer, words });
        out.send((), ToCoordinator::Masked(uplink.clone()));
        out.report(ClientEvent::UpdateSent(self.sitting.round(), bytes));
        (
            Self {
                stage: Stage::Sent(uplink, root),
                ..self
            },
            None,
        )
    }

    fn put_masks_on(
        &self,
        self_secret: &Scalar,
        nonces: &BTreeMap<Seat, [u8; 32]>,
        words: &mut [u32],
    ) {
        let Sitting { context, seat, .. } = self.sitting;
        let own = masking::self_mask_key(self_secret, &context, seat);
        let mut masks = vec![(own, Sign::Plus)];
        for peer in self.sitting.neighbours_in(&self.escrowed).iter() {
            let sign = if seat < peer { Sign::Plus } else { Sign::Minus };
            let (lower, upper) = (seat.min(peer), seat.max(peer));
            let key = &self.holdings.round_keys[&peer];
            let key = masking::pair_mask_key(key, &nonces[&lower], &nonces[&upper]);
            masks.push((key, sign));
        }
        mask::apply_all(&masks, words);
    }

    /// M4: checks U2 and gives the one acknowledgement of this round number.
    pub(crate) fn on_survivors(
        self,
        survivors: &Survivors,
        bank: &mut Bank,
        out: &mut Outbox<Client>,
    ) -> Phase {
        if let Err(misbehaviour) = self.check_survivors(survivors, bank) {
            blame(misbehaviour, out);
            return Phase::Collection(self);
        }
        let Self {
            sitting,
            keyring,
            escrowed,
            holdings,
            ..
        } = self;
        let phase =
            Acknowledgement::open(sitting, keyring, escrowed, holdings, survivors, bank, out);
        Phase::Acknowledgement(phase)
    }

    /// The order is the specification's (secagg.md §3.5, M4).
    fn check_survivors(&self, survivors: &Survivors, bank: &Bank) -> Result<(), Misbehaviour> {
        let Survivors {
            survivors: seats,
            roots,
            ..
        } = survivors;
        let seat = self.sitting.seat;
        let Stage::Sent(_, root) = &self.stage else {
            return Err(Misbehaviour::LeftOut);
        };
        let (found, allowed) = (roots.len(), self.escrowed.len());
        if found > allowed || seats.len() > allowed {
            let found = found.max(seats.len());
            return Err(Misbehaviour::Oversized(
                "survivor set",
                found as u64,
                allowed as u64,
            ));
        }
        if found != seats.len() {
            return Err(Misbehaviour::Malformed(
                "survivor set",
                "not one root per seat",
            ));
        }
        let ours = seats.iter().position(|survivor| survivor == seat);
        if ours.and_then(|index| roots.get(index)) != Some(root) {
            return Err(Misbehaviour::LeftOut);
        }
        self.sitting
            .check_set("survivor set", seats, &self.escrowed)?;
        if let Some(alone) = self
            .sitting
            .graph
            .isolated(seats, self.sitting.manifest.honest_min)
        {
            return Err(Misbehaviour::Isolated(alone));
        }
        if bank.memory.has_acked(self.sitting.round()) {
            return Err(Misbehaviour::SecondAck(self.sitting.round()));
        }
        Ok(())
    }
}

/// The contribution as words of the manifest's vector.
fn encode(
    sitting: &Sitting,
    contribution: Contribution,
    bank: &mut Bank,
) -> Result<Vec<u32>, String> {
    let bits = sitting.manifest.value_bits;
    let words = match (&sitting.plan.work, contribution) {
        (
            Work::Pretrain(terms) | Work::Finetune(terms),
            Contribution::Update { delta, examples },
        ) => vector::encode_update(&delta, examples, terms, bits, &bank.draw()),
        (Work::Risk(terms), Contribution::Counts(counts)) => {
            vector::encode_risk(&counts, terms.buckets, bits)
        }
        (Work::Evaluate(_), Contribution::Counts(counts)) => vector::encode_counts(&counts, bits),
        (Work::Pretrain(_) | Work::Finetune(_), Contribution::Counts(_)) => {
            return Err("counts, expected an update".to_owned());
        }
        (Work::Risk(_) | Work::Evaluate(_), Contribution::Update { .. }) => {
            return Err("an update, expected counts".to_owned());
        }
    };
    let words = words.map_err(|error| error.told().to_owned())?;
    if words.len() as u64 != sitting.manifest.words {
        return Err(format!(
            "{} words, expected {}",
            words.len(),
            sitting.manifest.words
        ));
    }
    Ok(words)
}
