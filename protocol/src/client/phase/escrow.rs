//! Escrow: M1 out, M2 in (PROTOCOL.md §5). Whatever the others would need to finish the round
//! without this bank is dealt out before it has anything to hide; and nothing masked leaves until
//! every other member is seen to have done the same, for the same attempt, with the same keys.

use std::collections::BTreeMap;

use crypto::merkle;

use crate::blame::Misbehaviour;
use crate::client::bank::{Bank, blame};
use crate::client::dealing::{self, Secrets};
use crate::client::holdings::{Holdings, Shares};
use crate::client::keyring::Keyring;
use crate::client::offer::Sitting;
use crate::client::phase::Phase;
use crate::client::phase::collection::Collection;
use crate::client::{Client, Contribution, Order, Task};
use crate::event::ClientEvent;
use crate::id::Seat;
use crate::masking;
use crate::message::{
    self, Complaint, EscrowBundle, EscrowHeader, Fault, IncomingShare, ToCoordinator,
};
use crate::party::Outbox;
use crate::record::ClientRecord;
use crate::signed::{Seen, Signed};
use crate::time::Time;

/// An escrow was dealt. Holds b, the shares this bank dealt itself, and the pair keys.
pub(crate) struct Escrow {
    pub(crate) sitting: Sitting,
    pub(crate) keyring: Keyring,
    contribution: Option<Contribution>,
    secrets: Secrets,
    uplink: Box<message::Escrow>,
}

/// A member's escrow that does not hold: what is reported, and what is complained of.
struct Fraud(Misbehaviour, Option<(Seat, Fault)>);

impl From<Misbehaviour> for Fraud {
    fn from(misbehaviour: Misbehaviour) -> Self {
        Self(misbehaviour, None)
    }
}

impl Escrow {
    /// Takes the seat: remembers the attempt, deals the escrow, and asks for the local work.
    pub(crate) fn open(
        now: Time,
        sitting: Sitting,
        mut keyring: Keyring,
        bank: &mut Bank,
        out: &mut Outbox<Client>,
    ) -> Self {
        let (round, attempt) = (sitting.round(), sitting.manifest.attempt);
        bank.persist(ClientRecord::Joined(now, round, attempt), out);
        bank.keep_context(sitting.context);
        out.report(ClientEvent::Joined(
            round,
            attempt,
            sitting.plan.work.kind(),
        ));
        keyring
            .advance(round)
            .expect("the ratchet's reach was checked with the offer");
        bank.stir(now);
        let (secrets, uplink) = dealing::deal(&sitting, &mut keyring, bank);
        let phase = Self {
            sitting,
            keyring,
            contribution: None,
            secrets,
            uplink,
        };
        phase.send(out);
        out.perform(Task::Contribute(Box::new(order(&phase.sitting, bank))));
        phase
    }

    /// M1, as often as it is asked for.
    pub(crate) fn send(&self, out: &mut Outbox<Client>) {
        out.send((), ToCoordinator::Escrow(self.uplink.clone()));
    }

    /// The local work is done before the others' escrows are in. The first answer counts.
    pub(crate) fn with(mut self, contribution: Contribution) -> Self {
        self.contribution.get_or_insert(contribution);
        self
    }

    /// M2: goes on only if every escrow of U1 holds. Otherwise nothing masked was sent, the
    /// phase stays, and the same bundle gets the same complaint.
    pub(crate) fn on_escrow_bundle(
        mut self,
        bundle: &EscrowBundle,
        bank: &mut Bank,
        out: &mut Outbox<Client>,
    ) -> Phase {
        let shares = match self.check_bundle(bundle, &mut bank.seen) {
            Ok(shares) => shares,
            Err(Fraud(misbehaviour, evidence)) => {
                blame(misbehaviour, out);
                if let Some((about, fault)) = evidence {
                    let (context, from) = (self.sitting.context, self.sitting.seat);
                    let complaint = Complaint {
                        context,
                        from,
                        about,
                        fault,
                    };
                    let complaint = Signed::sign(complaint, &bank.identity.key);
                    out.send((), ToCoordinator::Complaint(Box::new(complaint)));
                }
                return Phase::Escrow(self);
            }
        };
        let Secrets {
            nonce,
            self_secret,
            own_shares,
            round_keys,
        } = self.secrets;
        let mut holdings = Holdings { shares, round_keys };
        holdings.shares.insert(self.sitting.seat, own_shares);
        let mut nonces = BTreeMap::from([(self.sitting.seat, nonce)]);
        for header in bundle.headers.iter().map(Signed::unverified) {
            nonces.insert(header.seat, header.nonce);
        }
        let escrowed = bundle.escrowed.clone();
        let phase = Collection::new(
            self.sitting,
            self.keyring,
            escrowed,
            holdings,
            nonces,
            self_secret,
        );
        let phase = Phase::Collection(phase);
        match self.contribution.take() {
            Some(contribution) => phase.on_contribution(contribution, bank, out),
            None => phase,
        }
    }

    fn check_bundle(
        &mut self,
        bundle: &EscrowBundle,
        seen: &mut Seen,
    ) -> Result<BTreeMap<Seat, Shares>, Fraud> {
        let escrowed = &bundle.escrowed;
        self.sitting
            .check_set("escrowed set", escrowed, &self.sitting.manifest.cohort)?;
        if !escrowed.contains(self.sitting.seat) {
            return Err(Misbehaviour::Stranger(self.sitting.seat, "escrowed set").into());
        }
        for (what, found) in [
            ("escrow headers", bundle.headers.len()),
            ("incoming shares", bundle.shares.len()),
        ] {
            check_length(what, found, escrowed.len())?;
        }
        let mut shares = BTreeMap::new();
        let senders = escrowed.iter().zip(&bundle.headers).zip(&bundle.shares);
        for ((from, header), share) in senders {
            self.check_header(from, header, seen)?;
            if from == self.sitting.seat {
                continue;
            }
            let opened = self.check_escrow(from, header.unverified(), share);
            shares.insert(from, opened.map_err(|fault| fraud(from, fault))?);
        }
        Ok(shares)
    }

    /// A header must be its seat's own word on this very attempt (A1, A6).
    fn check_header(
        &self,
        from: Seat,
        header: &Signed<EscrowHeader>,
        seen: &mut Seen,
    ) -> Result<(), Fraud> {
        let body = header.unverified();
        let misbehaviour = if from == self.sitting.seat {
            // A second header of ours for one attempt does not exist.
            (header != &self.uplink.header).then_some(Misbehaviour::Equivocation("own escrow"))
        } else if (body.context, body.seat) != (self.sitting.context, from) {
            Some(Misbehaviour::Context("escrow header"))
        } else if seen.check(header, self.sitting.key(from)).is_err() {
            Some(Misbehaviour::Signature("escrow header"))
        } else {
            None
        };
        match misbehaviour {
            None => Ok(()),
            Some(misbehaviour) => {
                let evidence = (from != self.sitting.seat).then_some((from, Fault::Header));
                Err(Fraud(misbehaviour, evidence))
            }
        }
    }

    /// Same pair key on both sides, digests under the header, shares under the digests.
    fn check_escrow(
        &mut self,
        from: Seat,
        header: &EscrowHeader,
        share: &IncomingShare,
    ) -> Result<Shares, Fault> {
        let (context, seat) = (self.sitting.context, self.sitting.seat);
        let ours = self.secrets.round_keys.get(&from).map(masking::commitment);
        if share.commitment != ours {
            return Err(Fault::Commitment);
        }
        let cohort = &self.sitting.manifest.cohort;
        let index = cohort.iter().position(|member| member == seat);
        let index = index.expect("we sit in the cohort: checked with the offer");
        let place = merkle::Place {
            index,
            count: cohort.len(),
        };
        if !masking::is_share_of(&header.shares, &share.digests, place, &share.path) {
            return Err(Fault::Path);
        }
        let chain_key = self.keyring.chain_key(from);
        let chain_key = chain_key.expect("the cohort was checked to be seats of the roster");
        let key = masking::share_key(chain_key, &context, from, seat, &header.nonce);
        let opened = masking::open_shares(&key, &context, from, seat, &share.sealed);
        let (self_share, escrow_share) = opened.ok_or(Fault::Seal)?;
        let digests = masking::share_digests(&context, from, seat, &self_share, &escrow_share);
        if digests != share.digests {
            return Err(Fault::Share);
        }
        Ok(Shares {
            self_share,
            escrow_share,
        })
    }
}

fn fraud(from: Seat, fault: Fault) -> Fraud {
    let misbehaviour = match fault {
        Fault::Commitment => Misbehaviour::Commitment(from),
        Fault::Header => Misbehaviour::Context("escrow header"),
        Fault::Path | Fault::Seal | Fault::Share => Misbehaviour::Share(from),
    };
    Fraud(misbehaviour, Some((from, fault)))
}

fn check_length(what: &'static str, found: usize, expected: usize) -> Result<(), Misbehaviour> {
    if found > expected {
        return Err(Misbehaviour::Oversized(what, found as u64, expected as u64));
    }
    if found < expected {
        return Err(Misbehaviour::Malformed(
            what,
            "fewer than the seats they come from",
        ));
    }
    Ok(())
}

/// What the host is asked for. The seed of its chance is ours alone: the coordinator, who knows
/// the context, must not know which transactions a step was made of.
fn order(sitting: &Sitting, bank: &mut Bank) -> Order {
    let seed = bank.draw().bytes32("local work", 0);
    let (seed, _) = seed.split_first_chunk().expect("32 bytes begin with 8");
    let parameters = sitting
        .plan
        .work
        .model()
        .and_then(|model| bank.ledger.model(model))
        .map(|(parameters, _)| parameters);
    Order {
        context: sitting.context,
        round: sitting.round(),
        plan: sitting.plan.clone(),
        step: sitting.manifest.step,
        parameters: parameters.unwrap_or_default(),
        seed: u64::from_le_bytes(*seed),
        bucket_key: sitting
            .manifest
            .bucket_key
            .and_then(|_| bank.bucket_key().cloned()),
    }
}
