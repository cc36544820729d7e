//! `Server`: the coordinator party on its host, and its accept loop. Frames become messages here,
//! and connections become `Gone`; nothing is decided.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use host::address::{self, AddressError};
use host::clock::Clock;
use host::disk::{DiskError, RecordLog, Store};
use host::drive::{Body, Input, drive};
use host::identity::{Identity, IdentityError};
use host::quic::{Frame, Link, LinkError, Listener, Received, Sender};
use host::shutdown::Shutdown;
use host::telemetry::{Telemetry, serve};
use protocol::coordinator::{Coordinator, FromPeer, Read, Reading, RecoverError, Settings};
use protocol::credential;
use protocol::event::CoordinatorEvent;
use protocol::id::{ClientId, Seat};
use protocol::message::ToClient;
use protocol::record::CoordinatorRecord;
use protocol::time::Duration;
use protocol::wire;
use tokio::sync::mpsc;

use crate::config::Config;
use crate::telemetry::Meters;

/// Inputs that wait for the party; a full queue slows the connections down.
const INPUTS_MAX: usize = 1_024;

/// Runs the coordinator until it is told to leave.
///
/// # Errors
/// [`ServerError`] where it cannot start, or its disk cannot be written.
pub async fn run(config: &Config) -> Result<(), ServerError> {
    let shutdown = Shutdown::on_signals().map_err(ServerError::Signals)?;
    let identity = Identity::load(&config.identity)?;
    let store = Store::open(&config.store)?;
    let mut log = store.log::<CoordinatorRecord>("coordinator")?;
    let clock = Clock::start();
    tracing::info!("recovering");
    let who = credential::Identity {
        credential: identity.credential.clone(),
        key: identity.signing_key(),
        authority: identity.authority,
    };
    let mut party =
        log.recover(|records| Coordinator::recover(who, settings(), records, clock.now()))??;

    let telemetry = Telemetry::default();
    let meters = Meters::new(&telemetry);
    let listener = Arc::new(Listener::bind(config.listen, &identity)?);
    address::publish(&config.store, "quic.addr", listener.local_address()?)?;
    let http = serve(config.http, telemetry.router(), shutdown.clone())
        .await
        .map_err(|error| ServerError::Http {
            address: config.http,
            error,
        })?;
    address::publish(&config.store, "http.addr", http)?;
    telemetry.set_ready(true);
    tracing::info!(address = %listener.local_address()?, "listening for banks");

    let (inputs, mut received) = mpsc::channel(INPUTS_MAX);
    let links = Links::default();
    tokio::spawn(accept(
        Arc::clone(&listener),
        links.clone(),
        inputs.clone(),
        meters.clone(),
    ));
    let mut body = Server {
        log,
        links,
        inputs,
        meters,
        said: Said::default(),
    };
    let ended = drive(&mut party, &mut body, &mut received, clock, &shutdown).await;
    telemetry.set_ready(false);
    listener.close().await;
    ended.map_err(ServerError::Disk)
}

/// After a restart every bank is away until it notices: the grace for dialling again is twice
/// what the transport takes to notice.
fn settings() -> Settings {
    let grace = host::quic::IDLE.as_millis().saturating_mul(2);
    let grace = Duration(u64::try_from(grace).unwrap_or(u64::MAX));
    Settings {
        grace,
        workers: host::workers::all_cores(),
        ..Settings::default()
    }
}

/// The coordinator's body.
struct Server {
    log: RecordLog<CoordinatorRecord>,
    links: Links,
    inputs: Inputs,
    meters: Meters,
    said: Said,
}

impl Body<Coordinator> for Server {
    type Error = DiskError;

    fn persist(&mut self, record: CoordinatorRecord) -> Result<(), DiskError> {
        self.log.append(&record)
    }

    fn settle(&mut self) -> Result<(), DiskError> {
        self.log.settle()
    }

    fn send(&mut self, to: ClientId, message: ToClient) {
        if let Some(sender) = self.links.sender(to) {
            // A frame dropped here is asked for again by the peer's next check-in.
            let _ = sender.send(self.said.frame(message));
        }
    }

    /// Reads a result, or a page for an auditor: no more, so that it is done at once.
    fn perform(&mut self, reading: Reading) -> Result<(), DiskError> {
        let read = self.read(reading);
        let inputs = self.inputs.clone();
        tokio::spawn(async move {
            // The party is gone only where the process is leaving.
            let _ = inputs.send(Input::Outcome(read)).await;
        });
        Ok(())
    }

    fn report(&mut self, event: CoordinatorEvent) {
        self.meters.report(&event);
    }
}

impl Server {
    fn read(&mut self, reading: Reading) -> Read {
        match reading {
            Reading::Result(place) => {
                let result = self.log.committed(place).unwrap_or_else(unreadable);
                Read::Result(place, result.as_ref().and_then(|of| of.result().cloned()))
            }
            Reading::Vectors(stretches) => {
                let of = |&seat: &Seat| {
                    let bytes = stretches.bytes.clone();
                    self.log.vector(stretches.context, seat, bytes)
                };
                let pieces = stretches.seats.iter().map(of).collect::<Result<_, _>>();
                let pieces = pieces.unwrap_or_else(unreadable);
                Read::Vectors(stretches, pieces)
            }
        }
    }
}

/// Whoever asked goes without, and the log says why.
fn unreadable<T>(error: DiskError) -> Option<T> {
    tracing::warn!(%error, "record could not be read again");
    None
}

/// The last message said, with its frame. What is said to one member after the other is mostly the
/// same, and then it is encoded once, and held once however many peers it waits for.
#[derive(Default)]
struct Said(Option<(ToClient, Frame)>);

impl Said {
    fn frame(&mut self, message: ToClient) -> Frame {
        if let Some((last, frame)) = &self.0
            && is_same(last, &message)
        {
            return frame.clone();
        }
        let frame = Frame::from(wire::encode(&message));
        self.0 = Some((message, frame.clone()));
        frame
    }
}

/// Results are compared by where they lie: one is megabytes, and everybody's is the same.
fn is_same(last: &ToClient, next: &ToClient) -> bool {
    match (last, next) {
        (ToClient::Result(last), ToClient::Result(next)) => Arc::ptr_eq(last, next),
        (last, next) => last == next,
    }
}

/// The sending halves of the live connections, one per peer: a newer one replaces an older.
#[derive(Clone, Default)]
struct Links(Arc<Mutex<BTreeMap<ClientId, (u64, Sender)>>>);

impl Links {
    fn sender(&self, peer: ClientId) -> Option<Sender> {
        let links = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        links.get(&peer).map(|(_, sender)| sender.clone())
    }

    fn insert(&self, peer: ClientId, serial: u64, sender: Sender) {
        let mut links = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, older)) = links.insert(peer, (serial, sender)) {
            older.close("replaced by a newer connection");
        }
    }

    /// Whether the connection that ended was the peer's latest.
    fn remove(&self, peer: ClientId, serial: u64) -> bool {
        let mut links = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let latest = links
            .get(&peer)
            .is_some_and(|(present, _)| *present == serial);
        if latest {
            links.remove(&peer);
        }
        latest
    }
}

type Inputs = mpsc::Sender<Input<Coordinator>>;

async fn accept(listener: Arc<Listener>, links: Links, inputs: Inputs, meters: Meters) {
    let mut serial = 0;
    while let Some(link) = listener.accept().await {
        match link {
            Ok(link) => {
                serial += 1;
                links.insert(link.peer, serial, link.sender());
                let (links, inputs) = (links.clone(), inputs.clone());
                tokio::spawn(listen(link, serial, links, inputs, meters.clone()));
            }
            Err(error) => {
                meters.turned_away();
                tracing::info!(%error, "connection turned away");
            }
        }
    }
}

async fn listen(mut link: Link, serial: u64, links: Links, inputs: Inputs, meters: Meters) {
    let peer = link.peer;
    while let Some(Received { bytes, place }) = link.receive().await {
        meters.received(bytes.len());
        let decoded = wire::decode(&bytes);
        drop(bytes);
        match decoded {
            Ok(message) => {
                let input = Input::Frame(peer, FromPeer::Message(message), place);
                if inputs.send(input).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                meters.malformed();
                tracing::warn!(client = %peer.0, %error, "frame does not decode");
                link.sender().close("frame does not decode");
                break;
            }
        }
    }
    if links.remove(peer, serial) {
        // The party is gone only where the process is leaving.
        let _ = inputs.send(Input::Message(peer, FromPeer::Gone)).await;
    }
}

/// Tells whoever started us where we listen: ports may be chosen by the system.
/// Why the coordinator left.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Signals cannot be listened for.
    #[error("could not listen for signals: {0}")]
    Signals(std::io::Error),
    /// The identity cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The disk cannot be used.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The records do not make a coordinator.
    #[error("could not recover: {0}")]
    Recover(#[from] RecoverError),
    /// The network cannot be had.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The health address cannot be bound.
    #[error("could not bind {address} for metrics: {error}")]
    Http {
        /// The address.
        address: SocketAddr,
        /// Why.
        error: std::io::Error,
    },
    /// The address file cannot be written.
    #[error(transparent)]
    Address(#[from] AddressError),
}

impl ServerError {
    /// The exit code by sysexits: 69 network, 74 disk, 78 configuration.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Link(_) | Self::Http { .. } => 69,
            Self::Disk(_) | Self::Address(_) | Self::Recover(_) => 74,
            Self::Identity(_) => 78,
            Self::Signals(_) => 70,
        }
    }
}
