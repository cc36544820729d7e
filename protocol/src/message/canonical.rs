//! The canonical encodings of the bodies that are signed, and the digests that name a roster and
//! an attempt. A field that is missing here is a field that nobody signed.

use crypto::{Canonical, Digest, ToCanonical};

use super::{
    Ack, Complaint, Encapsulation, EscrowHeader, Fault, KeyBundle, Manifest, MaskedTrailer, Reveal,
    Roster, RoundOutcome,
};
use crate::id::Context;
use crate::signed::Signable;

impl Roster {
    /// The digest that names this roster: over the members' credentials, not their signatures.
    #[must_use]
    pub fn root(&self) -> Digest {
        crypto::tagged("csa1/roster", &[&self.canonical()])
    }
}

impl ToCanonical for Roster {
    fn canonical(&self) -> Vec<u8> {
        let mut to = Canonical::new(16);
        to.u64(self.epoch.0).list(self.members.len());
        for member in &self.members {
            to.bytes(&member.unverified().canonical());
        }
        to.finish()
    }
}

impl Signable for Roster {
    const KIND: &'static str = "roster";
}

impl ToCanonical for KeyBundle {
    fn canonical(&self) -> Vec<u8> {
        let mut to = Canonical::new(17);
        to.u64(self.epoch.0).digest(&self.roster).u16(self.seat.0);
        to.fixed(&self.keys.x25519).bytes(&self.keys.mlkem);
        to.fixed(&self.nonce);
        to.finish()
    }
}

impl Signable for KeyBundle {
    const KIND: &'static str = "key-bundle";
}

impl ToCanonical for Encapsulation {
    fn canonical(&self) -> Vec<u8> {
        let mut to = Canonical::new(18);
        to.u64(self.epoch.0).digest(&self.roster);
        to.u16(self.from.0).u16(self.to.0);
        to.bytes(&self.ciphertext);
        to.finish()
    }
}

impl Signable for Encapsulation {
    const KIND: &'static str = "encapsulation";
}

impl Manifest {
    /// The context of this attempt: everything agreed, in one digest.
    #[must_use]
    pub fn context(&self) -> Context {
        Context(crypto::tagged("csa1/ctx", &[&self.canonical()]))
    }
}

impl ToCanonical for Manifest {
    fn canonical(&self) -> Vec<u8> {
        let mut to = Canonical::new(19);
        to.u16(self.version).digest(&self.session);
        to.u64(self.epoch.0).digest(&self.roster);
        to.u64(self.round.0).u16(self.attempt.0);
        to.digest(&self.plan.0).u32(self.step);
        to.digest(&self.base).digest(&self.head);
        to.u64(self.words).u8(self.word_bits).u8(self.value_bits);
        self.cohort.write(&mut to);
        to.u16(self.colluders).u16(self.threshold);
        to.u16(self.honest_min).u16(self.degree);
        to.digest(&self.graph_seed);
        to.u64(self.due.escrow.0).u64(self.due.collection.0);
        to.u64(self.due.end.0);
        match &self.bucket_key {
            None => to.u8(0),
            Some(commitment) => to.u8(1).digest(commitment),
        };
        to.finish()
    }
}

impl Signable for Manifest {
    const KIND: &'static str = "manifest";
}

impl ToCanonical for EscrowHeader {
    fn canonical(&self) -> Vec<u8> {
        let mut to = Canonical::new(20);
        to.digest(&self.context.0).u16(self.seat.0);
        to.fixed(&self.nonce);
        to.digest(&self.self_secret).digest(&self.escrow_secret);
        to.digest(&self.shares).digest(&self.sealed);
        to.digest(&self.escrow_box).digest(&self.commitments);
        to.finish()
    }
}

impl Signable for EscrowHeader {
    const KIND: &'static str = "escrow";
}

impl ToCanonical for Complaint {
    fn canonical(&self) -> Vec<u8> {
        let mut to = Canonical::new(21);
        to.digest(&self.context.0);
        to.u16(self.from.0).u16(self.about.0);
        to.u8(match self.fault {
            Fault::Commitment => 0,
            Fault::Seal => 1,
            Fault::Share => 2,
            Fault::Path => 3,
            Fault::Header => 4,
        });
        to.finish()
    }
}

impl Signable for Complaint {
    const KIND: &'static str = "complaint";
}

impl ToCanonical for MaskedTrailer {
    fn canonical(&self) -> Vec<u8> {
        let mut to = Canonical::new(22);
        to.digest(&self.context.0).u16(self.seat.0);
        to.digest(&self.escrowed).digest(&self.root);
        to.finish()
    }
}

impl Signable for MaskedTrailer {
    const KIND: &'static str = "masked";
}

impl ToCanonical for Ack {
    fn canonical(&self) -> Vec<u8> {
        let mut to = Canonical::new(23);
        to.digest(&self.context.0).u16(self.seat.0);
        to.digest(&self.escrowed).digest(&self.survivors);
        to.digest(&self.masked);
        to.finish()
    }
}

impl Signable for Ack {
    const KIND: &'static str = "ack";
}

impl ToCanonical for Reveal {
    fn canonical(&self) -> Vec<u8> {
        let mut to = Canonical::new(24);
        to.digest(&self.context.0).u16(self.seat.0);
        to.list(self.self_shares.len());
        for share in &self.self_shares {
            to.fixed(share.as_bytes());
        }
        to.list(self.escrow_shares.len());
        for share in &self.escrow_shares {
            to.fixed(share.as_bytes());
        }
        to.list(self.pair_keys.len());
        for key in &self.pair_keys {
            match key {
                None => to.u8(0),
                Some(key) => to.u8(1).fixed(key),
            };
        }
        to.finish()
    }
}

impl Signable for Reveal {
    const KIND: &'static str = "reveal";
}

impl ToCanonical for RoundOutcome {
    fn canonical(&self) -> Vec<u8> {
        let mut to = Canonical::new(25);
        to.digest(&self.context.0).u64(self.round.0);
        to.u64(self.sequence).digest(&self.previous);
        to.digest(&self.escrowed).digest(&self.survivors);
        to.digest(&self.masked).digest(&self.revealed);
        to.digest(&self.sum);
        to.finish()
    }
}

impl Signable for RoundOutcome {
    const KIND: &'static str = "outcome";
}
