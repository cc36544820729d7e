//! What a client shows an agent, and by what it knows it: files named on the command line, read
//! and checked before anything is sent.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use crypto::Secret;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};

use super::{CommandError, refused};
use crate::config::http::HttpConfig;
use crate::scoring::first_token;

/// Files with which the agent is asked.
#[derive(Clone, Debug, Default, Args)]
pub(in crate::commands) struct Credentials {
    /// A file like the agent's bearer_token; its first token is shown with every request.
    #[arg(long, value_name = "FILE")]
    pub(in crate::commands) token_file: Option<PathBuf>,
    /// The CAs of which the agent must have a certificate, in PEM; for an address of https.
    #[arg(long, value_name = "FILE")]
    pub(super) ca: Option<PathBuf>,
    /// The client's certificate, in PEM, where the agent asks for one.
    #[arg(long, requires_all = ["certificate_key", "ca"], value_name = "FILE")]
    pub(super) certificate: Option<PathBuf>,
    /// The certificate's private key, in PEM.
    #[arg(long, requires = "certificate", value_name = "FILE")]
    pub(super) certificate_key: Option<PathBuf>,
}

impl Credentials {
    /// The same with the tokens of this door's configuration, where no others are named.
    pub(in crate::commands) fn or_tokens_of(&self, door: &HttpConfig) -> Self {
        let mut all = self.clone();
        all.token_file = all.token_file.or_else(|| door.bearer_token.clone());
        all
    }

    /// The address of an agent that is found by its port, and has this door.
    pub(in crate::commands) fn url(&self, address: SocketAddr, door: &HttpConfig) -> String {
        match self.ca.is_some() || door.tls.is_some() {
            true => format!("https://{address}"),
            false => format!("http://{address}"),
        }
    }

    /// Why an agent says 401, and what it wants.
    pub(super) fn unknown(&self) -> String {
        match self.token_file.as_deref() {
            None => "found status 401, expected --token-file with a token that it knows".to_owned(),
            Some(file) => format!(
                "found status 401 for the first token of {}, expected one that the agent knows",
                file.display()
            ),
        }
    }

    /// The token that is shown, where there is one.
    ///
    /// # Errors
    /// [`CommandError`] where the file holds none.
    pub(super) fn token(&self) -> Result<Option<Secret<String>>, CommandError> {
        let token = self.token_file.as_deref().map(first_token);
        Ok(token.transpose()?)
    }

    /// The TLS of an address of `scheme`; none for one of http.
    ///
    /// # Errors
    /// [`CommandError`] where the files cannot be used, or do not go with the scheme.
    pub(super) fn tls(&self, scheme: &str) -> Result<Option<TlsConfig>, CommandError> {
        let Some(ca) = self.ca.as_deref() else {
            return match scheme {
                "https" => Err(refused(
                    "--ca",
                    "nothing".to_owned(),
                    "the file of the CAs that the agent's certificate leads to",
                )),
                _ => Ok(None),
            };
        };
        if scheme != "https" {
            let expected = "an address of https in --agent, or no --ca";
            return Err(refused("--ca", ca.display().to_string(), expected));
        }
        host::tls::check_roots(ca).map_err(CommandError::Tls)?;
        let key = self.certificate_key.as_deref();
        let pair = self.certificate.as_deref().zip(key);
        let pair = pair.map(|(certificate, key)| client_cert(certificate, key));
        Ok(Some(
            TlsConfig::builder()
                .unversioned_rustls_crypto_provider(host::tls::provider())
                .root_certs(RootCerts::from(certificates(ca)?))
                .client_cert(pair.transpose()?)
                .build(),
        ))
    }
}

/// Checked first that the two belong together: the client would not say it, but break off.
fn client_cert(certificate: &Path, key: &Path) -> Result<ClientCert, CommandError> {
    host::tls::check_pair(certificate, key).map_err(CommandError::Tls)?;
    let chain = certificates(certificate)?;
    let found = PrivateKey::from_pem(&read(key)?);
    let found = found.map_err(|error| {
        let found = format!("{}: {error}", key.display());
        refused("--certificate-key", found, "a private key in PEM")
    })?;
    Ok(ClientCert::new_with_certs(&chain, found))
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, CommandError> {
    let bytes = read(path)?;
    let found = parse_pem(&bytes).filter_map(|item| match item {
        Ok(PemItem::Certificate(found)) => Some(found),
        Ok(_) | Err(_) => None,
    });
    Ok(found.collect())
}

fn read(path: &Path) -> Result<Vec<u8>, CommandError> {
    std::fs::read(path).map_err(|error| CommandError::Read {
        path: path.to_owned(),
        error,
    })
}
