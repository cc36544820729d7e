//! Who we are: keys made where they stay, certificates from the consortium's CA, and enrolment in
//! three steps. `request` (in the bank) makes keys and asks; `approve` (at the operator) shows the
//! fingerprint and certifies; `install` (in the bank) checks and keeps. The only file that names
//! rcgen. Private keys never leave the folder they were made in.

use std::path::{Path, PathBuf};

use crypto::{Digest, Secret, SigningKey, VerifyKey};
use protocol::credential::{Authority, Credential, CredentialError, Role};
use protocol::id::ClientId;
use protocol::limits::NAME_BYTES_MAX;
use protocol::signed::Signed;
use protocol::time::Time;
use protocol::wire;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use serde::{Deserialize, Serialize};

use crate::entropy;

pub mod keep;

/// The coordinator's name in TLS: its certificate alone carries it.
pub const SERVER_NAME: &str = "coordinator.phalanx";

/// Everything one party needs to speak in the federation.
pub struct Identity {
    /// What the authority says about it.
    pub credential: Signed<Credential>,
    /// The consortium's authority.
    pub authority: Authority,
    /// Its certificate.
    pub certificate_pem: String,
    /// The consortium's CA.
    pub ca_pem: String,
    seed: Secret<[u8; 32]>,
    tls_key_pem: Secret<String>,
}

impl Identity {
    /// Reads the identity installed in `folder`.
    ///
    /// # Errors
    /// [`IdentityError`] where a file is missing or does not fit the others.
    pub fn load(folder: &Path) -> Result<Self, IdentityError> {
        let bundle: Bundle = read_json(&folder.join(BUNDLE))?;
        let tls_key_pem = read(&folder.join(TLS_KEY))?;
        let seed = read_seed(&folder.join(PROTOCOL_KEY))?;
        let (credential, authority) = bundle.check(&seed)?;
        let Bundle {
            certificate_pem,
            ca_pem,
            ..
        } = bundle;
        let (seed, tls_key_pem) = (Secret::new(seed), Secret::new(tls_key_pem));
        Ok(Self {
            credential,
            authority,
            certificate_pem,
            ca_pem,
            seed,
            tls_key_pem,
        })
    }

    /// The key that signs this party's protocol messages.
    #[must_use]
    pub fn signing_key(&self) -> SigningKey {
        SigningKey::from_seed(*self.seed.expose())
    }

    /// The name in the credential.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.credential.unverified().name
    }

    pub(crate) fn tls_key_pem(&self) -> &str {
        self.tls_key_pem.expose()
    }
}

/// What a party asks of the consortium: public keys and proof that it holds the private ones.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The legal entity's name.
    pub name: String,
    /// The role asked for.
    pub role: Role,
    /// Certificate signing request, signed by the TLS key.
    pub csr_pem: String,
    /// The protocol key, in hex.
    pub protocol_key: String,
    /// The protocol key's signature over name and request, in hex.
    pub proof: String,
}

impl Request {
    /// What both sides compare by voice or letter: a digest of everything asked for.
    #[must_use]
    pub fn fingerprint(&self) -> Digest {
        crypto::tagged(
            "csa1/enrolment",
            &[
                self.name.as_bytes(),
                self.csr_pem.as_bytes(),
                self.protocol_key.as_bytes(),
            ],
        )
    }

    /// Reads a request from its file and checks the proof.
    ///
    /// # Errors
    /// [`IdentityError`] where it is not a request or the proof fails.
    pub fn read(path: &Path) -> Result<Self, IdentityError> {
        let request: Self = read_json(path)?;
        request.verify_key()?;
        Ok(request)
    }

    fn verify_key(&self) -> Result<VerifyKey, IdentityError> {
        check_name(&self.name)?;
        let wrong = |what| IdentityError::Request { what };
        let key = hex(&self.protocol_key).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let key = VerifyKey(key.ok_or_else(|| wrong("protocol key is not 32 bytes in hex"))?);
        let proof = hex(&self.proof).and_then(|bytes| <[u8; 64]>::try_from(bytes).ok());
        let proof = proof.ok_or_else(|| wrong("proof is not 64 bytes in hex"))?;
        let body = self.fingerprint();
        key.verify(PROOF_KIND, &body.0, &crypto::Signature(proof))
            .map_err(|_| wrong("proof of the protocol key does not verify"))?;
        Ok(key)
    }
}

/// Makes keys in `folder` and returns the request for them. Keys that are there already are kept,
/// so asking twice asks for the same thing.
///
/// # Errors
/// [`IdentityError`] where the folder cannot be written or the name cannot be.
pub fn request(folder: &Path, name: &str, role: Role) -> Result<Request, IdentityError> {
    check_name(name)?;
    std::fs::create_dir_all(folder)
        .map_err(|error| IdentityError::file("create", folder, error))?;
    let tls_path = folder.join(TLS_KEY);
    if !tls_path.exists() {
        write_private(&tls_path, &KeyPair::generate()?.serialize_pem())?;
    }
    let seed_path = folder.join(PROTOCOL_KEY);
    if !seed_path.exists() {
        write_private(&seed_path, &to_hex(&entropy::bytes()?))?;
    }
    let tls_key = KeyPair::from_pem(&read(&tls_path)?)?;
    let key = SigningKey::from_seed(read_seed(&seed_path)?);
    let mut params = CertificateParams::new(subject_names(role))?;
    params.distinguished_name.push(DnType::CommonName, name);
    let mut request = Request {
        name: name.to_owned(),
        role,
        csr_pem: params.serialize_request(&tls_key)?.pem()?,
        protocol_key: to_hex(&key.verify_key().0),
        proof: String::new(),
    };
    request.proof = to_hex(&key.sign(PROOF_KIND, &request.fingerprint().0).0);
    Ok(request)
}

/// What the consortium returns: certificate, CA, credential and authority. Nothing in it is secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// The party's certificate.
    pub certificate_pem: String,
    /// The consortium's CA.
    pub ca_pem: String,
    /// The signed credential, in hex.
    pub credential: String,
    /// The authority's key, in hex.
    pub authority: String,
}

impl Bundle {
    /// What both sides compare: the authority this bundle pins.
    #[must_use]
    pub fn authority_fingerprint(&self) -> Digest {
        crypto::tagged(
            "csa1/authority",
            &[self.authority.as_bytes(), self.ca_pem.as_bytes()],
        )
    }

    fn check(&self, seed: &[u8; 32]) -> Result<(Signed<Credential>, Authority), IdentityError> {
        let wrong = |what| IdentityError::Bundle { what };
        let key = hex(&self.authority).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let authority = key.ok_or_else(|| wrong("authority is not 32 bytes in hex"))?;
        let authority = Authority(VerifyKey(authority));
        let credential = hex(&self.credential).ok_or_else(|| wrong("credential is not hex"))?;
        let credential: Signed<Credential> =
            wire::decode(&credential).map_err(|_| wrong("credential does not decode"))?;
        // Expiry is judged where a clock is; here only whether the pieces belong together.
        let verified = authority.admit(&credential, credential.unverified().role, Time(0))?;
        if verified.key != SigningKey::from_seed(*seed).verify_key() {
            return Err(wrong(
                "credential is for another protocol key than the one here",
            ));
        }
        if verified.id != certificate_id(&self.certificate_pem)? {
            return Err(wrong("credential is for another certificate"));
        }
        Ok((credential, authority))
    }
}

/// Checks what the consortium returned against the keys in `folder`, and keeps it.
///
/// # Errors
/// [`IdentityError`] where the bundle is not for these keys.
pub fn install(folder: &Path, bundle: &Bundle) -> Result<(), IdentityError> {
    bundle.check(&read_seed(&folder.join(PROTOCOL_KEY))?)?;
    write_json(&folder.join(BUNDLE), bundle)
}

/// The consortium: its CA and its authority key, in one folder at the operator's.
pub struct Consortium {
    folder: PathBuf,
    ca_pem: String,
    ca_key: KeyPair,
    authority: SigningKey,
}

impl Consortium {
    /// Founds a consortium in `folder`: a CA, an authority key, and a serial counter.
    ///
    /// # Errors
    /// [`IdentityError`] where one is there already or the folder cannot be written.
    pub fn create(folder: &Path, name: &str) -> Result<Self, IdentityError> {
        check_name(name)?;
        if folder.join(CA_KEY).exists() {
            return Err(IdentityError::Exists {
                path: folder.to_owned(),
            });
        }
        std::fs::create_dir_all(folder)
            .map_err(|error| IdentityError::file("create", folder, error))?;
        let ca_key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::<String>::new())?;
        params
            .distinguished_name
            .push(DnType::CommonName, format!("{name} consortium CA"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        write_private(&folder.join(CA_KEY), &ca_key.serialize_pem())?;
        write_private(&folder.join(AUTHORITY_KEY), &to_hex(&entropy::bytes()?))?;
        write(
            &folder.join(CA_CERTIFICATE),
            &params.self_signed(&ca_key)?.pem(),
        )?;
        write(&folder.join(SERIAL), "0")?;
        Self::open(folder)
    }

    /// Opens the consortium in `folder`.
    ///
    /// # Errors
    /// [`IdentityError`] where it is not one.
    pub fn open(folder: &Path) -> Result<Self, IdentityError> {
        Ok(Self {
            folder: folder.to_owned(),
            ca_pem: read(&folder.join(CA_CERTIFICATE))?,
            ca_key: KeyPair::from_pem(&read(&folder.join(CA_KEY))?)?,
            authority: SigningKey::from_seed(read_seed(&folder.join(AUTHORITY_KEY))?),
        })
    }

    /// Certifies a request until `expires`. Whoever calls has compared the fingerprint.
    ///
    /// # Errors
    /// [`IdentityError`] where the request does not verify or the folder cannot be written.
    pub fn approve(&self, request: &Request, expires: Time) -> Result<Bundle, IdentityError> {
        let key = request.verify_key()?;
        let serial = self.next_serial()?;
        let mut csr = CertificateSigningRequestParams::from_pem(&request.csr_pem)?;
        // Nothing of the certificate is the asker's choice but its key.
        csr.params = certificate_params(&request.name, request.role)?;
        let issuer = Issuer::from_ca_cert_pem(&self.ca_pem, &self.ca_key)?;
        let certificate_pem = csr.signed_by(&issuer)?.pem();
        let credential = Credential {
            role: request.role,
            name: request.name.clone(),
            id: certificate_id(&certificate_pem)?,
            key,
            serial,
            expires,
        };
        let credential = Signed::sign(credential, &self.authority);
        Ok(Bundle {
            certificate_pem,
            ca_pem: self.ca_pem.clone(),
            credential: to_hex(&wire::encode(&credential)),
            authority: to_hex(&self.authority.verify_key().0),
        })
    }

    fn next_serial(&self) -> Result<u64, IdentityError> {
        let path = self.folder.join(SERIAL);
        let text = read(&path)?;
        let last: u64 = text
            .trim()
            .parse()
            .map_err(|_| IdentityError::NotHex { path: path.clone() })?;
        write(&path, &(last + 1).to_string())?;
        Ok(last + 1)
    }
}

fn certificate_params(name: &str, role: Role) -> Result<CertificateParams, IdentityError> {
    let mut params = CertificateParams::new(subject_names(role))?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::NoCa;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![match role {
        Role::Coordinator => ExtendedKeyUsagePurpose::ServerAuth,
        Role::Bank | Role::Operator => ExtendedKeyUsagePurpose::ClientAuth,
    }];
    Ok(params)
}

fn subject_names(role: Role) -> Vec<String> {
    match role {
        Role::Coordinator => vec![SERVER_NAME.to_owned()],
        Role::Bank => vec!["bank.phalanx".to_owned()],
        Role::Operator => vec!["operator.phalanx".to_owned()],
    }
}

fn certificate_id(pem: &str) -> Result<ClientId, IdentityError> {
    Ok(ClientId(crypto::sha256(&[&crate::quic::der_of_pem(pem)?])))
}

fn check_name(name: &str) -> Result<(), IdentityError> {
    let fits = !name.is_empty() && name.len() <= NAME_BYTES_MAX;
    if fits && !name.chars().any(char::is_control) {
        return Ok(());
    }
    Err(IdentityError::Name {
        found: name.chars().take(NAME_BYTES_MAX).collect(),
    })
}

fn read(path: &Path) -> Result<String, IdentityError> {
    std::fs::read_to_string(path).map_err(|error| IdentityError::file("read", path, error))
}

fn read_seed(path: &Path) -> Result<[u8; 32], IdentityError> {
    let bytes = hex(read(path)?.trim()).and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| IdentityError::NotHex {
        path: path.to_owned(),
    })
}

fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T, IdentityError> {
    serde_json::from_str(&read(path)?).map_err(|error| IdentityError::Json {
        path: path.to_owned(),
        error,
    })
}

fn write(path: &Path, text: &str) -> Result<(), IdentityError> {
    std::fs::write(path, text).map_err(|error| IdentityError::file("write", path, error))
}

fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), IdentityError> {
    let text = serde_json::to_string_pretty(value).map_err(|error| IdentityError::Json {
        path: path.to_owned(),
        error,
    })?;
    write(path, &text)
}

/// Writes a file that only its owner may read, created so rather than changed so.
fn write_private(path: &Path, text: &str) -> Result<(), IdentityError> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| IdentityError::file("write", path, error))
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| {
            let digits = std::str::from_utf8(pair)
                .ok()
                .filter(|digits| digits.len() == 2)?;
            u8::from_str_radix(digits, 16).ok()
        })
        .collect()
}

const TLS_KEY: &str = "tls.key.pem";
const PROTOCOL_KEY: &str = "protocol.key";
const BUNDLE: &str = "identity.json";
const CA_KEY: &str = "ca.key.pem";
const CA_CERTIFICATE: &str = "ca.cert.pem";
const AUTHORITY_KEY: &str = "authority.key";
const SERIAL: &str = "serial";
const PROOF_KIND: &str = "enrolment";

/// What can go wrong with identities.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file refused.
    #[error("could not {what} {}: {error}", path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A JSON file is not what was expected.
    #[error("{} is not what was expected: {error}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Why.
        error: serde_json::Error,
    },
    /// A key or counter file does not hold what it should, or is another consortium's.
    #[error("{} does not hold the key or number it should", path.display())]
    NotHex {
        /// The file.
        path: PathBuf,
    },
    /// A consortium is there already.
    #[error("{} holds a consortium already", path.display())]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// A name that cannot be.
    #[error("name {found:?} is empty, longer than 128 bytes or holds control characters")]
    Name {
        /// What was given.
        found: String,
    },
    /// A request that does not verify.
    #[error("enrolment request refused: {what}")]
    Request {
        /// Why.
        what: &'static str,
    },
    /// A bundle that is not for us.
    #[error("enrolment bundle refused: {what}")]
    Bundle {
        /// Why.
        what: &'static str,
    },
    /// The credential in a bundle is not the authority's.
    #[error("enrolment bundle refused: {0}")]
    Credential(#[from] CredentialError),
    /// Certificates could not be made or read.
    #[error("certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// A certificate could not be parsed.
    #[error("certificate: {0}")]
    Link(#[from] crate::quic::LinkError),
    /// No randomness.
    #[error(transparent)]
    Entropy(#[from] entropy::EntropyError),
}

impl IdentityError {
    fn file(what: &'static str, path: &Path, error: std::io::Error) -> Self {
        Self::File {
            what,
            path: path.to_owned(),
            error,
        }
    }
}

#[cfg(test)]
mod tests;
