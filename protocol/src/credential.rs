//! Who somebody is: the consortium authority's signed word that a certificate belongs to a bank,
//! the coordinator or the operator. Certificates themselves are the host's; here only their digest.

use crypto::{BadSignature, Canonical, Digest, SigningKey, ToCanonical, VerifyKey, tagged};
use serde::{Deserialize, Serialize};

use crate::id::ClientId;
use crate::signed::{Seen, Signable, Signed, Verified};
use crate::time::Time;

/// What a credential lets its holder do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Role {
    /// A member institution: sits in rosters, contributes, receives results.
    Bank,
    /// The coordinator: signs rosters, manifests and results.
    Coordinator,
    /// The consortium's operator: signs plans, starts and watches rounds.
    Operator,
}

/// The consortium authority's statement about one party (PROTOCOL.md §2).
///
/// It binds the TLS certificate to the Ed25519 protocol key, so that the TLS key, which may live
/// in a hardware module, never signs protocol messages. One credential per legal entity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// What the holder may do.
    pub role: Role,
    /// The legal entity's name, unique in the consortium; at most
    /// [`crate::limits::NAME_BYTES_MAX`].
    pub name: String,
    /// The holder's identity: the digest of its certificate.
    pub id: ClientId,
    /// The key that verifies the holder's protocol messages.
    pub key: VerifyKey,
    /// Grows with every credential issued; revocations name it.
    pub serial: u64,
    /// The credential means nothing after this moment.
    pub expires: Time,
}

impl ToCanonical for Credential {
    fn canonical(&self) -> Vec<u8> {
        let mut to = Canonical::new(1);
        to.u8(match self.role {
            Role::Bank => 0,
            Role::Coordinator => 1,
            Role::Operator => 2,
        });
        to.bytes(self.name.as_bytes());
        to.digest(&self.id.0);
        to.fixed(&self.key.0);
        to.u64(self.serial).u64(self.expires.0);
        to.finish()
    }
}

impl Signable for Credential {
    const KIND: &'static str = "credential";
}

/// The consortium's authority key, pinned at enrolment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authority(pub VerifyKey);

impl Authority {
    /// The consortium's name in manifests and ledgers: nothing signed in one means anything in
    /// another.
    #[must_use]
    pub fn session(&self) -> Digest {
        tagged("csa1/session", &[&self.0.0])
    }

    /// Checks a credential for `role` at `now`.
    ///
    /// # Errors
    /// [`CredentialError`], which says what was found.
    pub fn admit(
        &self,
        credential: &Signed<Credential>,
        role: Role,
        now: Time,
    ) -> Result<Verified<Credential>, CredentialError> {
        serves(credential.clone().verify(&self.0)?, role, now)
    }

    /// [`Self::admit`], with the same answer, for a party that is shown the same one often.
    pub(crate) fn admit_again(
        &self,
        credential: &Signed<Credential>,
        role: Role,
        now: Time,
        seen: &mut Seen,
    ) -> Result<Verified<Credential>, CredentialError> {
        serves(seen.verify(credential.clone(), &self.0)?, role, now)
    }
}

fn serves(
    credential: Verified<Credential>,
    role: Role,
    now: Time,
) -> Result<Verified<Credential>, CredentialError> {
    if credential.role != role {
        return Err(CredentialError::Role {
            found: credential.role,
            expected: role,
        });
    }
    if credential.expires < now {
        return Err(CredentialError::Expired {
            expired: credential.expires,
            now,
        });
    }
    Ok(credential)
}

/// What a party needs to be somebody: its credential, the key behind it, and the consortium it is
/// of. No `Debug`: it holds the signing key.
pub struct Identity {
    /// The authority's word about this party.
    pub credential: Signed<Credential>,
    /// Signs this party's messages; the credential names its public half.
    pub key: SigningKey,
    /// The consortium's authority.
    pub authority: Authority,
}

/// Why a credential is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// Not signed by the pinned authority.
    #[error("credential is not signed by the consortium's authority")]
    Signature(#[from] BadSignature),
    /// Signed, but for something else.
    #[error("credential is for {found:?}, expected {expected:?}")]
    Role {
        /// The credential's role.
        found: Role,
        /// The role that was needed.
        expected: Role,
    },
    /// Signed, but over.
    #[error("credential expired at {expired:?}, it is {now:?}")]
    Expired {
        /// Its end.
        expired: Time,
        /// The moment it was shown.
        now: Time,
    },
}
