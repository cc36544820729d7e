//! What is said while an epoch's keys are agreed, E0 to E3 (PROTOCOL.md §3). Positional, as
//! everything in `message.rs`.

use crypto::{Digest, PublicBundle};
use serde::{Deserialize, Serialize};

use crate::credential::Credential;
use crate::id::{EpochId, Seat};
use crate::signed::Signed;

/// E0: the members of an epoch, in seat order (ascending by identity), signed by the coordinator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Roster {
    /// The epoch.
    pub epoch: EpochId,
    /// The members' credentials, each signed by the authority, ascending by `id`.
    pub members: Vec<Signed<Credential>>,
}

/// E1: one member's keys for an epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeyBundle {
    /// The epoch.
    pub epoch: EpochId,
    /// The roster the signer accepts: these signatures are the roster's governance.
    pub roster: Digest,
    /// The signer's seat.
    pub seat: Seat,
    /// X25519 and ML-KEM-768 public keys.
    pub keys: PublicBundle,
    /// Fresh, so that no two bundles are equal.
    pub nonce: [u8; 32],
}

/// E2: everybody's keys, in seat order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bundles {
    /// The epoch.
    pub epoch: EpochId,
    /// One bundle per seat.
    pub bundles: Vec<Signed<KeyBundle>>,
}

/// One ML-KEM ciphertext from a lower seat to a higher one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Encapsulation {
    /// The epoch.
    pub epoch: EpochId,
    /// The roster's root.
    pub roster: Digest,
    /// Who encapsulated.
    pub from: Seat,
    /// For whom.
    pub to: Seat,
    /// 1,088 bytes.
    pub ciphertext: Vec<u8>,
}

/// E3: the encapsulations addressed to one client, ascending by sender.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incoming {
    /// The epoch.
    pub epoch: EpochId,
    /// One from every lower seat.
    pub encapsulations: Vec<Signed<Encapsulation>>,
}
