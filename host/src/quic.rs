//! QUIC with mutual TLS under the consortium's CA: connections in, frames out. The only file that
//! names quinn, with its children; the TLS of HTTP is in `tls.rs`. A message is one unidirectional
//! stream: a big-endian `u32` length and so many bytes (`quic/frames.rs`); what they mean is
//! `protocol::wire`'s.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use protocol::id::ClientId;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::udp::UdpSocketState;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::sync::{Semaphore, mpsc};

use crate::identity::{Identity, SERVER_NAME};

mod frames;

pub use frames::{Frame, Place, Received};
use frames::{Places, Queue};

/// The protocol's name in TLS; a new version is a new name.
pub const ALPN: &[u8] = b"phalanx/1";

/// Frames received and not yet handled, per connection.
const RECEIVE_QUEUE_MAX: usize = 64;

/// A peer that stays silent for so long is gone: a coordinator that was killed says no goodbye,
/// and every phase of a round outlasts this.
pub const IDLE: Duration = Duration::from_secs(6);

/// Streams a peer may have open at once.
const STREAMS_MAX: u32 = 64;

/// Listens for the consortium's members.
#[derive(Debug)]
pub struct Listener {
    endpoint: quinn::Endpoint,
    bulk: Arc<Semaphore>,
}

impl Listener {
    /// Binds `address`. Only peers with a certificate of the consortium's CA get past the
    /// handshake.
    ///
    /// # Errors
    /// [`LinkError`] where the identity or the address cannot be used.
    pub fn bind(address: SocketAddr, identity: &Identity) -> Result<Self, LinkError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(
            Arc::new(roots(identity)?),
            Arc::clone(&provider),
        )
        .build()
        .map_err(|error| LinkError::Identity(error.to_string()))?;
        let (chain, key) = certificate(identity)?;
        let mut tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)?;
        tls.alpn_protocols = vec![ALPN.to_vec()];
        let crypto = QuicServerConfig::try_from(tls)
            .map_err(|error| LinkError::Identity(error.to_string()))?;
        let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
        config.transport_config(Arc::new(transport()?));
        let endpoint =
            endpoint(address, Some(config)).map_err(|error| LinkError::Bind { address, error })?;
        Ok(Self {
            endpoint,
            bulk: Places::for_all(),
        })
    }

    /// The address bound.
    ///
    /// # Errors
    /// Where the socket is gone.
    pub fn local_address(&self) -> Result<SocketAddr, LinkError> {
        self.endpoint.local_addr().map_err(LinkError::Socket)
    }

    /// The next member's connection; `None` once the listener is closed. A handshake that fails is
    /// reported and waited past: it is the peer's affair.
    pub async fn accept(&self) -> Option<Result<Link, LinkError>> {
        let incoming = self.endpoint.accept().await?;
        if !incoming.remote_address_validated() && self.endpoint.open_connections() > RETRY_ABOVE {
            // Under load, make the sender prove its address before we keep state for it.
            if let Err(error) = incoming.retry() {
                return Some(Err(LinkError::Refused(error.to_string())));
            }
            return Some(Err(LinkError::Refused("address not validated".to_owned())));
        }
        let connection = match tokio::time::timeout(IDLE, incoming).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return Some(Err(LinkError::Connection(error))),
            Err(_) => {
                return Some(Err(LinkError::Refused(
                    "handshake took too long".to_owned(),
                )));
            }
        };
        Some(Link::start(connection, Arc::clone(&self.bulk)))
    }

    /// Closes every connection and stops listening.
    pub async fn close(&self) {
        self.endpoint.close(0u32.into(), b"leaving");
        self.endpoint.wait_idle().await;
    }
}

/// Dials the coordinator.
#[derive(Debug)]
pub struct Dialer {
    endpoint: quinn::Endpoint,
    bulk: Arc<Semaphore>,
}

impl Dialer {
    /// Prepares to dial with `identity`. Opens no port toward anybody: an ephemeral one, outward.
    ///
    /// # Errors
    /// [`LinkError`] where the identity cannot be used or no socket can be had.
    pub fn new(identity: &Identity) -> Result<Self, LinkError> {
        let (chain, key) = certificate(identity)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots(identity)?)
            .with_client_auth_cert(chain, key)?;
        tls.alpn_protocols = vec![ALPN.to_vec()];
        let crypto = QuicClientConfig::try_from(tls)
            .map_err(|error| LinkError::Identity(error.to_string()))?;
        let mut config = quinn::ClientConfig::new(Arc::new(crypto));
        config.transport_config(Arc::new(transport()?));
        let any = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut endpoint = endpoint(any, None).map_err(LinkError::Socket)?;
        endpoint.set_default_client_config(config);
        Ok(Self {
            endpoint,
            bulk: Places::for_all(),
        })
    }

    /// Connects to the coordinator at `address`.
    ///
    /// # Errors
    /// [`LinkError`] where it cannot be reached, or is not the consortium's coordinator.
    pub async fn dial(&self, address: SocketAddr) -> Result<Link, LinkError> {
        let connecting = self
            .endpoint
            .connect(address, SERVER_NAME)
            .map_err(|error| LinkError::Refused(error.to_string()))?;
        let connection = connecting.await.map_err(LinkError::Connection)?;
        Link::start(connection, Arc::clone(&self.bulk))
    }
}

/// One connection to a peer whose certificate was checked. Dropping it closes it.
#[derive(Debug)]
pub struct Link {
    /// The peer's identity, from its certificate.
    pub peer: ClientId,
    outgoing: Queue,
    incoming: mpsc::Receiver<Received>,
    connection: quinn::Connection,
}

/// The sending half of a [`Link`], for whoever carries the party.
#[derive(Clone, Debug)]
pub struct Sender {
    outgoing: Queue,
    connection: quinn::Connection,
}

impl Sender {
    /// Queues a frame. `false` where the peer is too slow or gone and the frame was dropped.
    #[must_use]
    pub fn send(&self, frame: impl Into<Frame>) -> bool {
        self.outgoing.push(frame.into())
    }

    /// Ends the connection.
    pub fn close(&self, reason: &str) {
        self.connection.close(1u32.into(), reason.as_bytes());
    }

    /// Bytes sent to and received from the peer on the wire, by QUIC's own count.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        let stats = self.connection.stats();
        (stats.udp_tx.bytes, stats.udp_rx.bytes)
    }
}

impl Link {
    fn start(connection: quinn::Connection, bulk: Arc<Semaphore>) -> Result<Self, LinkError> {
        let peer = peer_of(&connection)?;
        let (received, incoming) = mpsc::channel(RECEIVE_QUEUE_MAX);
        let outgoing = Queue::write_to(connection.clone());
        let places = Places::on_link(bulk);
        tokio::spawn(frames::read(connection.clone(), received, places));
        Ok(Self {
            peer,
            outgoing,
            incoming,
            connection,
        })
    }

    /// The sending half.
    #[must_use]
    pub fn sender(&self) -> Sender {
        Sender {
            outgoing: self.outgoing.clone(),
            connection: self.connection.clone(),
        }
    }

    /// The next frame; `None` once the connection has ended.
    pub async fn receive(&mut self) -> Option<Received> {
        self.incoming.recv().await
    }

    /// Why the connection ended, in QUIC's words.
    #[must_use]
    pub fn close_reason(&self) -> String {
        self.connection
            .close_reason()
            .map_or_else(String::new, |reason| reason.to_string())
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.connection.close(0u32.into(), b"");
    }
}

fn peer_of(connection: &quinn::Connection) -> Result<ClientId, LinkError> {
    let chain = connection
        .peer_identity()
        .and_then(|any| any.downcast::<Vec<CertificateDer<'static>>>().ok());
    let leaf = chain.as_ref().and_then(|chain| chain.first());
    let leaf = leaf.ok_or_else(|| LinkError::Refused("peer showed no certificate".to_owned()))?;
    Ok(ClientId(crypto::sha256(&[leaf.as_ref()])))
}

fn roots(identity: &Identity) -> Result<rustls::RootCertStore, LinkError> {
    let mut roots = rustls::RootCertStore::empty();
    let ca = CertificateDer::from_pem_slice(identity.ca_pem.as_bytes())
        .map_err(|error| LinkError::Identity(format!("CA certificate: {error}")))?;
    roots.add(ca)?;
    Ok(roots)
}

fn certificate(
    identity: &Identity,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), LinkError> {
    let leaf = CertificateDer::from_pem_slice(identity.certificate_pem.as_bytes())
        .map_err(|error| LinkError::Identity(format!("certificate: {error}")))?;
    let key = PrivateKeyDer::from_pem_slice(identity.tls_key_pem().as_bytes())
        .map_err(|error| LinkError::Identity(format!("TLS key: {error}")))?;
    Ok((vec![leaf], key))
}

/// The DER bytes of a PEM certificate.
pub(crate) fn der_of_pem(pem: &str) -> Result<Vec<u8>, LinkError> {
    CertificateDer::from_pem_slice(pem.as_bytes())
        .map(|der| der.as_ref().to_vec())
        .map_err(|error| LinkError::Identity(format!("certificate: {error}")))
}

/// An endpoint whose socket holds a burst: every bank begins its vector at about the same moment,
/// and what the system's own 200 KiB did not hold was lost and sent again. The system may grant
/// less than is asked for (`net.core.rmem_max`); then more is lost, and nothing else.
fn endpoint(
    address: SocketAddr,
    config: Option<quinn::ServerConfig>,
) -> std::io::Result<quinn::Endpoint> {
    let socket = UdpSocket::bind(address)?;
    let state = UdpSocketState::new((&socket).into())?;
    state.set_recv_buffer_size((&socket).into(), SOCKET_BYTES)?;
    let runtime = Arc::new(quinn::TokioRuntime);
    quinn::Endpoint::new(quinn::EndpointConfig::default(), config, socket, runtime)
}

/// What a socket holds until it is read: the narrow windows of a hundred banks.
const SOCKET_BYTES: usize = 100 * frames::WINDOW_NARROW as usize;

fn transport() -> Result<quinn::TransportConfig, LinkError> {
    let idle = quinn::IdleTimeout::try_from(IDLE)
        .map_err(|error| LinkError::Identity(error.to_string()))?;
    let mut transport = quinn::TransportConfig::default();
    transport
        .max_idle_timeout(Some(idle))
        .keep_alive_interval(Some(IDLE / 4))
        .max_concurrent_uni_streams(STREAMS_MAX.into())
        .max_concurrent_bidi_streams(0u32.into())
        .datagram_receive_buffer_size(None)
        .stream_receive_window(frames::WINDOW_WIDE.into())
        .receive_window(frames::WINDOW_NARROW.into())
        .send_window(frames::WINDOW_WIDE.into());
    Ok(transport)
}

/// Open connections above which a new address must prove itself first.
const RETRY_ABOVE: usize = 256;

/// What can go wrong with a connection.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// Our own keys or certificates cannot be used.
    #[error("identity cannot be used: {0}")]
    Identity(String),
    /// TLS refused our own configuration.
    #[error("identity cannot be used: {0}")]
    Tls(#[from] rustls::Error),
    /// The address cannot be bound.
    #[error("could not bind {address}: {error}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        error: std::io::Error,
    },
    /// No socket can be had.
    #[error("no socket: {0}")]
    Socket(std::io::Error),
    /// The handshake failed or the connection ended.
    #[error("connection: {0}")]
    Connection(quinn::ConnectionError),
    /// The peer was turned away before a connection.
    #[error("refused: {0}")]
    Refused(String),
    /// A frame broke its bounds.
    #[error("frame {0}")]
    Frame(&'static str),
    /// A stream ended early.
    #[error("stream: {0}")]
    Exact(#[from] quinn::ReadExactError),
    /// A stream could not be read.
    #[error("stream: {0}")]
    Read(#[from] quinn::ReadError),
    /// A stream could not be written.
    #[error("stream: {0}")]
    Write(#[from] quinn::WriteError),
}

#[cfg(test)]
mod tests;
