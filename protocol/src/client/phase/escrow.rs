//! Escrow: M1 out, M2 in (PROTOCOL.md §5). Whatever the others would need to finish the round
//! without this bank is dealt out before it has anything to hide; and nothing masked leaves until
//! every other member is seen to have done the same, for the same attempt, with the same keys.

use std::collections::BTreeMap;

use crypto::{Key, Scalar, merkle, shamir};

use crate::blame::Misbehaviour;
use crate::client::bank::{Bank, blame};
use crate::client::holdings::{Holdings, Shares};
use crate::client::keyring::Keyring;
use crate::client::offer::Sitting;
use crate::client::phase::Phase;
use crate::client::phase::collection::Collection;
use crate::client::{Client, Contribution, Order, Task};
use crate::event::ClientEvent;
use crate::id::Seat;
use crate::masking::{self, SecretKind};
use crate::message::{
    self, Complaint, EscrowBundle, EscrowHeader, Fault, IncomingShare, ToCoordinator,
};
use crate::party::Outbox;
use crate::record::ClientRecord;
use crate::signed::Signed;
use crate::time::Time;

/// An escrow was dealt. Holds b, the shares this bank dealt itself, and the pair keys.
pub(crate) struct Escrow {
    pub(crate) sitting: Sitting,
    pub(crate) keyring: Keyring,
    contribution: Option<Contribution>,
    secrets: Secrets,
    uplink: Box<message::Escrow>,
}

/// This bank's own secrets of the attempt. r is not among them: once it is dealt and the box is
/// sealed under it, its owner needs it no more.
pub(crate) struct Secrets {
    pub(crate) nonce: [u8; 32],
    pub(crate) self_secret: Scalar,
    pub(crate) own_shares: Shares,
    pub(crate) round_keys: BTreeMap<Seat, Key>,
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
        let (secrets, uplink) = deal(&sitting, &mut keyring, bank);
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
        let shares = match self.check_bundle(bundle) {
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

    fn check_bundle(&mut self, bundle: &EscrowBundle) -> Result<BTreeMap<Seat, Shares>, Fraud> {
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
            self.check_header(from, header)?;
            if from == self.sitting.seat {
                continue;
            }
            let opened = self.check_escrow(from, header.unverified(), share);
            shares.insert(from, opened.map_err(|fault| fraud(from, fault))?);
        }
        Ok(shares)
    }

    /// A header must be its seat's own word on this very attempt (A1, A6).
    fn check_header(&self, from: Seat, header: &Signed<EscrowHeader>) -> Result<(), Fraud> {
        let body = header.unverified();
        let misbehaviour = if from == self.sitting.seat {
            // A second header of ours for one attempt does not exist.
            (header != &self.uplink.header).then_some(Misbehaviour::Equivocation("own escrow"))
        } else if (body.context, body.seat) != (self.sitting.context, from) {
            Some(Misbehaviour::Context("escrow header"))
        } else if header.clone().verify(self.sitting.key(from)).is_err() {
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

/// M1: fresh secrets, shared out to the whole cohort; the pair keys in a box under r.
fn deal(
    sitting: &Sitting,
    keyring: &mut Keyring,
    bank: &mut Bank,
) -> (Secrets, Box<message::Escrow>) {
    let (context, seat) = (sitting.context, sitting.seat);
    let seed = bank.seed.fork();
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

    let cohort = &sitting.manifest.cohort;
    let last = cohort.iter().last().expect("we sit in the cohort");
    let threshold = sitting.manifest.threshold;
    let split =
        |secret, label| shamir::split(secret, threshold, last.abscissa(), &seed.derive(label, 0));
    let (of_self, of_escrow) = (
        split(&self_secret, "self shares"),
        split(&escrow_secret, "escrow shares"),
    );
    let mut own_shares = None;
    let mut share_digests = Vec::with_capacity(cohort.len());
    let mut sealed = Vec::with_capacity(cohort.len());
    for to in cohort.iter() {
        let index = usize::from(to.0);
        let shares = Shares {
            self_share: of_self[index].clone(),
            escrow_share: of_escrow[index].clone(),
        };
        let Shares {
            self_share,
            escrow_share,
        } = &shares;
        share_digests.push(masking::share_digests(
            &context,
            seat,
            to,
            self_share,
            escrow_share,
        ));
        // Nobody opens our own entry; it is sealed under a key of its own so that all are alike.
        let key = keyring.chain_key(to).map_or_else(
            || Key::from_bytes(seed.bytes32("own entry", 0)),
            |chain_key| masking::share_key(chain_key, &context, seat, to, &nonce),
        );
        sealed.push(masking::seal_shares(
            &key,
            &context,
            seat,
            to,
            self_share,
            escrow_share,
        ));
        if to == seat {
            own_shares = Some(shares);
        }
    }
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
    let uplink = message::Escrow {
        header,
        share_digests,
        sealed,
        escrow_box,
        commitments,
    };
    let own_shares = own_shares.expect("we sit in the cohort");
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

/// What the host is asked for. The seed of its chance is ours alone: the coordinator, who knows
/// the context, must not know which transactions a step was made of.
fn order(sitting: &Sitting, bank: &mut Bank) -> Order {
    let seed = bank.seed.fork().bytes32("local work", 0);
    let (seed, _) = seed.split_first_chunk().expect("32 bytes begin with 8");
    let parameters = sitting
        .plan
        .work
        .model()
        .map(|model| bank.ledger.model(model).0);
    Order {
        context: sitting.context,
        round: sitting.round(),
        plan: sitting.plan.clone(),
        step: sitting.manifest.step,
        parameters: parameters.unwrap_or_default(),
        seed: u64::from_le_bytes(*seed),
    }
}
