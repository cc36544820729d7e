//! What may be printed of messages that carry secrets or bulk: how much of it, never what.

use std::fmt;

use super::{AbsentKeys, Bulk, Opening, Reveal};

impl fmt::Debug for Bulk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bulk({} bytes)", self.0.len())
    }
}

impl fmt::Debug for Reveal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reveal")
            .field("context", &self.context)
            .field("seat", &self.seat)
            .field("self_shares", &self.self_shares.len())
            .field("escrow_shares", &self.escrow_shares.len())
            .field("pair_keys", &self.pair_keys.iter().flatten().count())
            .finish()
    }
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opening")
            .field("escrowed", &self.escrowed)
            .field("headers", &self.headers.len())
            .field("roots", &self.roots.len())
            .field("self_secrets", &self.self_secrets.len())
            .field("absent", &self.absent)
            .finish()
    }
}

impl fmt::Debug for AbsentKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AbsentKeys")
            .field("commitments", &self.commitments.len())
            .field("keys", &self.keys.len())
            .finish()
    }
}
