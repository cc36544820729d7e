//! The primitives of the secure sum, a page each, each held against vectors made elsewhere.
//!
//! Nothing here knows a round, a client or a message: that is the protocol crate, which composes
//! these. Nothing here draws chance: a [`Seed`] is handed in, and everything follows from it.
//! Begin with [`seed`] and [`kdf`]; [`agreement`], [`shamir`] and [`mask`] are the secure sum.
//!
//! What each rests on: digests, trees, keys, sealing, masks and signing on `ring`, which the
//! transport uses too; strict verification and the field of [`shamir`] on `curve25519-dalek`,
//! which gives its group out; [`agreement`] on `x25519-dalek` and `ml-kem`, because ring's keys
//! agree with one peer only and ring has no ML-KEM. These crates have no other address.
//!
//! Not here, on purpose: TLS (the transport's own), a random number generator (entropy is the
//! host's), and a decoder for [`Canonical`], which exists to be hashed and signed and nothing else.
//!
//! Our own copies of secrets are wiped when dropped. `ring` does not wipe its expanded key
//! schedules, and a moved value may leave a copy on the stack; neither can be mended from here.

pub mod agreement;
mod block;
pub mod canonical;
pub mod chain;
pub mod digest;
pub mod kdf;
pub mod mask;
pub mod merkle;
pub mod seal;
pub mod secret;
pub mod seed;
pub mod shamir;
pub mod sign;

#[cfg(test)]
mod vectors;

pub use agreement::{AgreementError, AgreementKey, MlkemSecret, PublicBundle};
pub use canonical::{Canonical, ToCanonical};
pub use chain::{Chain, ChainError};
pub use digest::{Digest, Hasher, sha256, tagged};
pub use kdf::Key;
pub use mask::MaskKey;
pub use seal::SealError;
pub use secret::Secret;
pub use seed::{Seed, Stream};
pub use shamir::{Lagrange, LagrangeError, Scalar};
pub use sign::{BadSignature, Signature, SigningKey, VerifyKey};
