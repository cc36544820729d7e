//! What an auditor asks for, and what it is given (PROTOCOL.md §7). Nothing here is signed: each
//! part is held against something that is. The checks are `client/audit.rs`, the answers
//! `coordinator/audits.rs`.

use crypto::{Digest, Scalar};
use serde::{Deserialize, Serialize};

use super::{Bulk, EscrowHeader};
use crate::id::{Context, Seats};
use crate::signed::Signed;

/// One question of an audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRequest {
    /// The attempt whose result is audited.
    pub context: Context,
    /// What is asked for.
    pub part: AuditPart,
}

/// What an auditor may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuditPart {
    /// What took the masks off.
    Opening,
    /// A chunk of the survivors' masked vectors, as many as fit in an answer.
    Chunk {
        /// Which chunk, from 0.
        chunk: u32,
        /// The first survivor's place in U2.
        from: u16,
    },
}

/// The answer to an [`AuditRequest`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Audited {
    /// See [`AuditPart::Opening`].
    Opening(Context, Box<Opening>),
    /// See [`AuditPart::Chunk`].
    Chunk(Context, Box<Stretch>),
    /// Nothing is kept of this attempt.
    Gone(Context),
}

/// What took the masks off a sum.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Opening {
    /// U1.
    pub escrowed: Seats,
    /// One per seat of U1, in order.
    pub headers: Vec<Signed<EscrowHeader>>,
    /// Per seat of U2 in order: the chunk root of its vector.
    pub roots: Vec<Digest>,
    /// Per seat of U2 in order: its b.
    pub self_secrets: Vec<Scalar>,
    /// Per seat of U1 without U2, in order.
    pub absent: Vec<AbsentKeys>,
}

/// How the masks between one absent bank and the survivors came off.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct AbsentKeys {
    /// Its commitments, to all its neighbours in seat order: its header has their digest.
    pub commitments: Vec<[u8; 16]>,
    /// The round key with each neighbour that survived, in seat order.
    pub keys: Vec<[u8; 32]>,
}

/// One chunk of some survivors' masked vectors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stretch {
    /// Which chunk.
    pub chunk: u32,
    /// The first survivor's place in U2.
    pub from: u16,
    /// One per survivor from there on.
    pub pieces: Vec<Piece>,
}

/// One chunk of one masked vector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Piece {
    /// The chunk's bytes.
    pub bytes: Bulk,
    /// Merkle path to the vector's root.
    pub path: Vec<Digest>,
}
