//! TLS of the HTTP doors: PEM files in, an acceptor out, and for clients the same files checked.
//! Links between parties have their own TLS in `quic.rs`; who is served, and for how long, is in
//! `http.rs`. Of the foreign TLS crates only this file and `quic.rs` know the names.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::CertifiedKey;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Where a door's certificate and key are, and whose clients it lets in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The certificate, and what leads from it to its CA; PEM.
    pub certificate: PathBuf,
    /// Its private key; PEM.
    pub key: PathBuf,
    /// CAs of which a client must have a certificate; without them none is asked for.
    pub client_ca: Option<PathBuf>,
}

impl Files {
    /// Reads the files. TLS 1.3 alone is spoken.
    ///
    /// # Errors
    /// [`TlsError`], which names the file that cannot be used.
    pub fn acceptor(&self) -> Result<Acceptor, TlsError> {
        let (chain, key) = (certificates(&self.certificate)?, private_key(&self.key)?);
        let unusable = |error: rustls::Error| unusable(&self.certificate, error);
        let builder = rustls::ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(unusable)?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let roots = Arc::new(roots(path)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider())
                    .build()
                    .map_err(|error| TlsError::content(path, error.to_string(), "CAs"))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut tls = builder.with_single_cert(chain, key).map_err(unusable)?;
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Acceptor(TlsAcceptor::from(Arc::new(tls))))
    }
}

/// Takes TLS connections; clones share what was read.
#[derive(Clone)]
pub struct Acceptor(TlsAcceptor);

impl Acceptor {
    /// Shakes hands; as long as the peer likes.
    pub(crate) async fn accept(&self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        self.0.accept(stream).await
    }
}

/// The one provider of TLS primitives, for HTTP clients that ask for one.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Whether a file holds the CAs that a client is to trust.
///
/// # Errors
/// [`TlsError`], which names the file.
pub fn check_roots(ca: &Path) -> Result<(), TlsError> {
    roots(ca).map(drop)
}

/// Whether a client's certificate and key belong together.
///
/// # Errors
/// [`TlsError`], which names the file at fault.
pub fn check_pair(certificate: &Path, key: &Path) -> Result<(), TlsError> {
    let (chain, private) = (certificates(certificate)?, private_key(key)?);
    CertifiedKey::from_der(chain, private, &provider())
        .map(drop)
        .map_err(|error| unusable(certificate, error))
}

fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for ca in certificates(path)? {
        roots.add(ca).map_err(|error| unusable(path, error))?;
    }
    Ok(roots)
}

/// At least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(TlsError::content(path, "none".to_owned(), CERTIFICATE)),
        Err(error) => Err(TlsError::content(path, error.to_string(), CERTIFICATE)),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    // The reader's own words repeat nothing of the key.
    PrivateKeyDer::from_pem_slice(&read(path)?)
        .map_err(|error| TlsError::content(path, error.to_string(), "a private key in PEM"))
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|error| TlsError::Read {
        path: path.to_owned(),
        error,
    })
}

fn unusable(path: &Path, error: rustls::Error) -> TlsError {
    let expected = "a certificate of X.509 version 3, and the key that belongs to it";
    TlsError::content(path, error.to_string(), expected)
}

const CERTIFICATE: &str = "certificates in PEM";

/// Why files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("could not read {}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A file holds something else.
    #[error("{}: found {found}, expected {expected}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        found: String,
        /// What it should hold.
        expected: &'static str,
    },
}

impl TlsError {
    fn content(path: &Path, found: String, expected: &'static str) -> Self {
        Self::Content {
            path: path.to_owned(),
            found,
            expected,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
