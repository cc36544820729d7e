//! Rest: no attempt runs. What leads out of it is a roster (`phase/agreement.rs`) or an offer
//! (`client/offer.rs`).

use crate::client::keyring::Keyring;

/// Nothing to do, with or without an epoch's keys.
pub(crate) struct Rest {
    pub(crate) keyring: Option<Keyring>,
}

impl Rest {
    /// At rest with these keys.
    pub(crate) fn new(keyring: Option<Keyring>) -> Self {
        Self { keyring }
    }
}
