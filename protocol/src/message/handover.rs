//! What is said while the banks' bucket key is handed over (PROTOCOL.md §3). Positional, as
//! everything in `message.rs`; what is sealed here only its receiver can open.

use crypto::{Canonical, Digest, ToCanonical};
use serde::{Deserialize, Serialize};

use crate::id::{EpochId, Seat, Seats};
use crate::signed::Signable;

/// What a client says of the banks' bucket key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Holding {
    /// It takes no part in risk counts, and wants none.
    Unwanted,
    /// It has none, or not the one that the ledger's counts stand under.
    Lacking,
    /// It holds the key of this commitment.
    Held(Digest),
}

/// Somebody lacks the bucket key. Answered by `SealedKeys`, and by `CheckIn` before that where
/// the receiver drew the key for this.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Handover {
    /// The epoch whose keys seal it.
    pub epoch: EpochId,
    /// The roster's root.
    pub roster: Digest,
    /// Who lacks it; nobody where the receiver is only to draw one.
    pub to: Seats,
}

/// The bucket key, sealed by one member for another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SealedKey {
    /// The epoch whose keys seal it.
    pub epoch: EpochId,
    /// The roster's root.
    pub roster: Digest,
    /// Who hands it over.
    pub from: Seat,
    /// To whom.
    pub to: Seat,
    /// Of the key inside.
    pub commitment: Digest,
    /// 48 bytes.
    pub sealed: Vec<u8>,
}

/// What a member handed over does not open, or is another key than it says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeyComplaint {
    /// The epoch.
    pub epoch: EpochId,
    /// The roster's root.
    pub roster: Digest,
    /// Who complains.
    pub from: Seat,
    /// About whom.
    pub about: Seat,
}

impl ToCanonical for SealedKey {
    fn canonical(&self) -> Vec<u8> {
        let mut to = Canonical::new(40);
        to.u64(self.epoch.0).digest(&self.roster);
        to.u16(self.from.0).u16(self.to.0);
        to.digest(&self.commitment).bytes(&self.sealed);
        to.finish()
    }
}

impl Signable for SealedKey {
    const KIND: &'static str = "sealed-key";
}

impl ToCanonical for KeyComplaint {
    fn canonical(&self) -> Vec<u8> {
        let mut to = Canonical::new(41);
        to.u64(self.epoch.0).digest(&self.roster);
        to.u16(self.from.0).u16(self.about.0);
        to.finish()
    }
}

impl Signable for KeyComplaint {
    const KIND: &'static str = "key-complaint";
}
