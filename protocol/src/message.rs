//! All that can be said, one type per direction. Positional on the wire: variants and fields are
//! appended, never reordered. Bodies that are signed carry their canonical encoding in
//! `message/canonical.rs`; the meaning of each message is PROTOCOL.md §3 to §7.
//!
//! Every downlink is answered by the same uplink, every time: a repeated question gets a repeated
//! answer, so a lost message costs a heartbeat and nothing else.

use std::sync::Arc;

use crypto::{Digest, Scalar};
use serde::{Deserialize, Serialize};

use crate::blame::Refusal;
use crate::credential::Credential;
use crate::id::{Attempt, Context, EpochId, PlanId, RoundId, Seat, Seats};
use crate::operator::{Command, Reply};
use crate::plan::SignedPlan;
use crate::signed::Signed;
use crate::time::Time;

mod agreement;
mod audit;
mod canonical;
mod debug;
mod handover;
pub(crate) mod shared;

pub use agreement::{Bundles, Encapsulation, Incoming, KeyBundle, Roster};
pub use audit::{AbsentKeys, AuditPart, AuditRequest, Audited, Opening, Piece, Stretch};
pub use handover::{Handover, Holding, KeyComplaint, SealedKey};

/// What a client or the operator says to the coordinator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToCoordinator {
    /// I am here, and this is where I stand. Sent on connecting and as a heartbeat; the
    /// coordinator answers with whatever this client lacks.
    CheckIn(Box<CheckIn>),
    /// E1: my keys for this epoch, and my word that I accept its roster.
    KeyBundle(Box<Signed<KeyBundle>>),
    /// E2: one encapsulation for every seat above mine.
    Encapsulations(Vec<Signed<Encapsulation>>),
    /// I will not do this, and why.
    Declined(Declined),
    /// M1.
    Escrow(Box<Escrow>),
    /// M1 or M2 of a peer is wrong, with the evidence.
    Complaint(Box<Signed<Complaint>>),
    /// M3.
    Masked(Box<Masked>),
    /// M5.
    Ack(Signed<Ack>),
    /// M7.
    Reveal(Box<Signed<Reveal>>),
    /// The operator's door.
    Operator(Box<OperatorMessage>),
    /// Part of a result's audit is asked for. Answered by `Audited`.
    Audit(AuditRequest),
    /// The bucket key, sealed for each of those that lack it.
    SealedKeys(Vec<Signed<SealedKey>>),
    /// A bucket key handed over to me is wrong.
    KeyComplaint(Box<Signed<KeyComplaint>>),
}

/// What the coordinator says to a client or to the operator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToClient {
    /// The coordinator's credential and the last committed round it knows of: answer to `CheckIn`.
    Welcome(Box<Welcome>),
    /// E0: who will agree on keys. Answered by `KeyBundle`.
    Roster(Box<Signed<Roster>>),
    /// E2: everybody's keys. Answered by `Encapsulations`.
    Bundles(Box<Bundles>),
    /// E3: the encapsulations addressed to this client. Answered by `CheckIn`.
    Encapsulations(Box<Incoming>),
    /// A round opens. Answered by `Escrow`, or `Declined`.
    Round(Box<RoundOffer>),
    /// M2. Answered by `Masked`, or `Complaint`.
    EscrowBundle(Box<EscrowBundle>),
    /// M4. Answered by `Ack`.
    Survivors(Box<Survivors>),
    /// M6. Answered by `Reveal`.
    Acks(Box<AckBundle>),
    /// M8. Answered by `CheckIn`. Shared, since everybody is sent the same.
    Result(#[serde(with = "shared")] Arc<RoundResult>),
    /// An attempt ended without a result.
    Abandoned(Abandoned),
    /// We will not, and why.
    Refused(Refusal),
    /// The operator's door.
    Operator(Box<Reply>),
    /// Part of a result's audit.
    Audited(Box<Audited>),
    /// Others lack the bucket key. Answered by `SealedKeys`.
    Handover(Handover),
    /// The bucket key, from another member. Answered by `CheckIn`, or `KeyComplaint`.
    SealedKey(Box<Signed<SealedKey>>),
}

/// Where a client stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckIn {
    /// Who it is.
    pub credential: Signed<Credential>,
    /// The epoch whose keys it holds, with the roster's root.
    pub epoch: Option<(EpochId, Digest)>,
    /// How many committed rounds its ledger holds.
    pub ledger: u64,
    /// The ledger's head.
    pub head: Digest,
    /// Whether it holds the banks' bucket key.
    pub bucket_key: Holding,
}

/// The coordinator's answer to a check-in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Welcome {
    /// Who the coordinator is.
    pub coordinator: Signed<Credential>,
    /// How many committed rounds its ledger holds.
    pub ledger: u64,
    /// The ledger's head.
    pub head: Digest,
}

/// The terms of one attempt at one round; its digest is the round's [`Context`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`crate::limits::PROTOCOL_VERSION`].
    pub version: u16,
    /// The consortium: the authority's key. Keys of one consortium mean nothing in another.
    pub session: Digest,
    /// The key agreement in force.
    pub epoch: EpochId,
    /// Its roster's root.
    pub roster: Digest,
    /// The round number.
    pub round: RoundId,
    /// The attempt.
    pub attempt: Attempt,
    /// The plan's identity.
    pub plan: PlanId,
    /// Which of the plan's rounds this is, from 0.
    pub step: u32,
    /// What the vector is relative to: the model's root, or the days counted (PROTOCOL.md §4).
    pub base: Digest,
    /// Head of the ledger the round builds on.
    pub head: Digest,
    /// Words in the vector, headers included.
    pub words: u64,
    /// Bits of a word on the ring: 32.
    pub word_bits: u8,
    /// Bits of the fixed point.
    pub value_bits: u8,
    /// The seats of the cohort.
    pub cohort: Seats,
    /// Banks assumed to collude (c).
    pub colluders: u16,
    /// Responders needed (t).
    pub threshold: u16,
    /// Honest banks every opened sum holds (m_min).
    pub honest_min: u16,
    /// Mask neighbours of each bank: `n - 1`, or the degree of the sparse graph.
    pub degree: u16,
    /// Seed of the sparse graph, from all members' epoch nonces.
    pub graph_seed: Digest,
    /// When escrows, updates, acknowledgements and reveals are due.
    pub due: Due,
    /// Commitment of the bucket key that risk counts are made under; none for other kinds.
    pub bucket_key: Option<Digest>,
}

/// The moments a round's phases end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Due {
    /// Escrows.
    pub escrow: Time,
    /// Masked updates, at the latest.
    pub collection: Time,
    /// The whole round: after it a client gives up.
    pub end: Time,
}

/// A round on offer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoundOffer {
    /// Signed by the coordinator.
    pub manifest: Signed<Manifest>,
    /// Signed by the operator.
    pub plan: SignedPlan,
}

/// A refusal to take part, so that nobody waits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Declined {
    /// The round declined; `None` declines the roster of `epoch`.
    pub round: Option<(RoundId, Attempt)>,
    /// The epoch.
    pub epoch: EpochId,
    /// Why.
    pub refusal: Refusal,
}

/// The signed part of M1: digests of everything an escrow holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EscrowHeader {
    /// The attempt.
    pub context: Context,
    /// The sender.
    pub seat: Seat,
    /// Fresh for every attempt: keeps masks from repeating after a rollback.
    pub nonce: [u8; 32],
    /// Digest of the self-mask secret b.
    pub self_secret: Digest,
    /// Digest of the escrow secret r.
    pub escrow_secret: Digest,
    /// Merkle root over the holders' share digests (hb then hr per holder, in cohort order).
    pub shares: Digest,
    /// Digest of the list of sealed shares.
    pub sealed: Digest,
    /// Digest of the escrow box.
    pub escrow_box: Digest,
    /// Digest of the list of pair-key commitments.
    pub commitments: Digest,
}

/// M1: what lets the others finish the round without the sender.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Escrow {
    /// Signed by the sender.
    pub header: Signed<EscrowHeader>,
    /// Per cohort member in seat order: digests of its two shares.
    pub share_digests: Vec<ShareDigests>,
    /// Per cohort member in seat order: its two shares, sealed under the pair's key (80 bytes).
    pub sealed: Vec<Vec<u8>>,
    /// The round keys of all neighbours in seat order, sealed under the escrow secret.
    pub escrow_box: Vec<u8>,
    /// Per neighbour in seat order: the commitment to the pair's round key.
    pub commitments: Vec<[u8; 16]>,
}

/// Digests of the two shares one holder received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareDigests {
    /// Of the share of b (hb).
    pub self_share: [u8; 16],
    /// Of the share of r (hr).
    pub escrow_share: [u8; 16],
}

/// M2: everybody's escrow headers, and what is addressed to this client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EscrowBundle {
    /// The attempt.
    pub context: Context,
    /// U1: the seats whose escrows are in.
    pub escrowed: Seats,
    /// One header per seat of U1, in order.
    pub headers: Vec<Signed<EscrowHeader>>,
    /// One per seat of U1, in order: what that seat sent to this client.
    pub shares: Vec<IncomingShare>,
}

/// What one member escrowed for one holder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IncomingShare {
    /// The two shares, sealed.
    pub sealed: Vec<u8>,
    /// Their digests, to be held against the header's Merkle root.
    pub digests: ShareDigests,
    /// Merkle path of the digests.
    pub path: Vec<Digest>,
    /// The sender's commitment to the pair's round key; absent where the two are no neighbours.
    pub commitment: Option<[u8; 16]>,
}

/// A member's evidence against another's escrow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Complaint {
    /// The attempt.
    pub context: Context,
    /// Who complains.
    pub from: Seat,
    /// About whom.
    pub about: Seat,
    /// What was wrong.
    pub fault: Fault,
}

/// What can be wrong with an escrow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    /// The two sides committed to different pair keys.
    Commitment,
    /// The sealed shares do not open.
    Seal,
    /// A share does not match its digest.
    Share,
    /// The digests are not under the header's root.
    Path,
    /// The header's signature or context is wrong.
    Header,
}

/// The signed part of M3.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MaskedTrailer {
    /// The attempt.
    pub context: Context,
    /// The sender.
    pub seat: Seat,
    /// Digest of U1 as the sender saw it.
    pub escrowed: Digest,
    /// Merkle root over the 64 KiB chunks of the words.
    pub root: Digest,
}

/// M3: a masked vector. No getter leads from here to an unmasked one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Masked {
    /// Signed by the sender.
    pub trailer: Signed<MaskedTrailer>,
    /// Little-endian words, exactly `words * word_bits / 8` bytes.
    pub words: Bulk,
}

/// Bytes that travel as one block.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Bulk(pub Vec<u8>);

/// M4: whose updates are in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Survivors {
    /// The attempt.
    pub context: Context,
    /// U2.
    pub survivors: Seats,
    /// The chunk roots of the survivors' vectors, in seat order.
    pub roots: Vec<Digest>,
}

/// M5: the one acknowledgement a client gives for a round number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ack {
    /// The attempt.
    pub context: Context,
    /// The sender.
    pub seat: Seat,
    /// Digest of U1.
    pub escrowed: Digest,
    /// Digest of U2.
    pub survivors: Digest,
    /// Merkle root over the survivors' chunk roots (Yroot).
    pub masked: Digest,
}

/// M6: proof that enough members saw one survivor set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AckBundle {
    /// The attempt.
    pub context: Context,
    /// At least threshold acknowledgements of distinct survivors, ascending by seat.
    pub acks: Vec<Signed<Ack>>,
}

/// M7: shares that open the survivors' self masks and the absent's pair keys, never both of one.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Reveal {
    /// The attempt.
    pub context: Context,
    /// The sender.
    pub seat: Seat,
    /// Per seat of U2 in order: the sender's share of its b.
    pub self_shares: Vec<Scalar>,
    /// Per seat of U1 without U2 in order: the sender's share of its r.
    pub escrow_shares: Vec<Scalar>,
    /// Per seat of U1 without U2 in order: the pair's round key, where the two are neighbours.
    pub pair_keys: Vec<Option<[u8; 32]>>,
}

/// M8: the sum and everything that shows how it came about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoundResult {
    /// Signed by the coordinator.
    pub outcome: Signed<RoundOutcome>,
    /// The manifest of the attempt.
    pub manifest: Signed<Manifest>,
    /// The plan.
    pub plan: SignedPlan,
    /// At least threshold acknowledgements of U2.
    pub acks: Vec<Signed<Ack>>,
    /// U2.
    pub survivors: Seats,
    /// The sum of the survivors' vectors, headers included, one per word.
    pub sum: Vec<i32>,
}

/// The signed part of M8.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoundOutcome {
    /// The attempt.
    pub context: Context,
    /// The round number.
    pub round: RoundId,
    /// Its place in the ledger, from 1.
    pub sequence: u64,
    /// The ledger's head before.
    pub previous: Digest,
    /// Digest of U1.
    pub escrowed: Digest,
    /// Digest of U2.
    pub survivors: Digest,
    /// Yroot.
    pub masked: Digest,
    /// Digest of the opened secrets, for audits.
    pub revealed: Digest,
    /// Merkle root over the chunks of the sum's little-endian bytes.
    pub sum: Digest,
}

/// An attempt that ended without a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abandoned {
    /// The round.
    pub round: RoundId,
    /// The attempt.
    pub attempt: Attempt,
    /// Why.
    pub cause: Cause,
}

/// Why an attempt ended without a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Cause {
    /// Too few escrows by the deadline.
    Escrows,
    /// Too few masked updates by the deadline.
    Updates,
    /// Too few acknowledgements by the deadline: the round number is burnt.
    Acks,
    /// Too few reveals by the deadline: the round number is burnt.
    Reveals,
    /// A complaint, or an escrow that does not verify.
    Complaint,
    /// The opened sum failed its canary, count or range check: the round number is burnt.
    Sum,
    /// The operator stopped it.
    Operator,
    /// Too few banks would take part.
    Declined,
}

/// The operator's message with proof of role.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperatorMessage {
    /// Who asks.
    pub operator: Signed<Credential>,
    /// What for.
    pub command: Command,
}
