//! The one connection to the coordinator: dial, listen, back off, dial again. Frames become
//! messages here, and the connection's state becomes `Connected` and `Gone`; nothing is decided.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crypto::Digest;
use host::drive::Input;
use host::quic::{Dialer, Link, LinkError, Received, Sender};
use host::shutdown::Shutdown;
use protocol::client::{Client, Heard};
use protocol::wire;
use tokio::sync::mpsc;

use crate::telemetry::Meters;

/// Where frames go out; clones share the one connection.
#[derive(Clone, Debug, Default)]
pub struct Uplink(Arc<Mutex<Line>>);

#[derive(Debug, Default)]
struct Line {
    sender: Option<Sender>,
    /// Bytes of the connections that have ended.
    before: (u64, u64),
}

impl Uplink {
    /// Queues a frame. `false` where there is no connection, or it is too slow.
    #[must_use]
    pub fn send(&self, frame: Vec<u8>) -> bool {
        self.line(|line| {
            line.sender
                .as_ref()
                .is_some_and(|sender| sender.send(frame))
        })
    }

    /// Bytes sent and received since the start.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        self.line(|line| {
            let (up, down) = line.sender.as_ref().map_or((0, 0), Sender::bytes);
            (line.before.0 + up, line.before.1 + down)
        })
    }

    fn open(&self, sender: Sender) {
        self.line(|line| line.sender = Some(sender));
    }

    fn close(&self) {
        let bytes = self.bytes();
        self.line(|line| (line.before, line.sender) = (bytes, None));
    }

    fn line<T>(&self, with: impl FnOnce(&mut Line) -> T) -> T {
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What the link needs to keep itself up.
pub struct Keeper {
    /// Dials with the bank's certificate.
    pub dialer: Dialer,
    /// `host:port` of the coordinator.
    pub address: String,
    /// Where frames go out.
    pub uplink: Uplink,
    /// Where messages go in.
    pub inputs: mpsc::Sender<Input<Client>>,
    /// Counts dials and frames.
    pub meters: Meters,
    /// Tells banks apart, so that they do not all dial at the same moment.
    pub salt: Digest,
}

impl Keeper {
    /// Keeps the connection until the process is to go.
    pub async fn keep(self, shutdown: Shutdown) {
        let mut failures = 0_u32;
        loop {
            let dialled = tokio::select! {
                () = shutdown.triggered() => return,
                dialled = self.dial() => dialled,
            };
            match dialled {
                Ok(link) => {
                    let since = Instant::now();
                    tokio::select! {
                        () = shutdown.triggered() => return,
                        () = self.listen(link) => {}
                    }
                    // A coordinator that turns us out at once is not asked at once again.
                    failures = if since.elapsed() < SETTLED {
                        failures + 1
                    } else {
                        0
                    };
                }
                Err(error) => {
                    self.meters.dial_failed();
                    tracing::info!(%error, failures, "coordinator not reached");
                    failures += 1;
                }
            }
            tokio::select! {
                () = shutdown.triggered() => return,
                () = tokio::time::sleep(pause(&self.salt, failures)) => {}
            }
        }
    }

    async fn dial(&self) -> Result<Link, DialError> {
        let found = tokio::net::lookup_host(&self.address).await;
        // The socket is bound to IPv4: an address of the other family could not be dialled.
        let address = found
            .map_err(DialError::Lookup)?
            .find(std::net::SocketAddr::is_ipv4);
        let address = address.ok_or(DialError::NoAddress)?;
        Ok(self.dialer.dial(address).await?)
    }

    /// Hands messages on until the connection ends.
    async fn listen(&self, mut link: Link) {
        self.uplink.open(link.sender());
        self.meters.connected(true);
        tracing::info!(peer = %link.peer.0, "connected to the coordinator");
        if self.hand_on(Heard::Connected).await {
            while let Some(Received { bytes, place }) = link.receive().await {
                let decoded = wire::decode(&bytes);
                drop(bytes);
                match decoded {
                    Ok(message) => {
                        let input = Input::Frame((), Heard::Message(message), place);
                        if self.inputs.send(input).await.is_err() {
                            break;
                        }
                    }
                    Err(error) => {
                        self.meters.malformed();
                        tracing::warn!(%error, "frame does not decode");
                        link.sender().close("frame does not decode");
                        break;
                    }
                }
            }
        }
        tracing::info!(
            reason = link.close_reason(),
            "link to the coordinator ended"
        );
        self.uplink.close();
        self.meters.connected(false);
        self.hand_on(Heard::Gone).await;
    }

    /// `false` where the party is gone: then the process is leaving.
    async fn hand_on(&self, heard: Heard) -> bool {
        self.inputs.send(Input::Message((), heard)).await.is_ok()
    }
}

/// How long to wait before dialling again: doubles from a quarter of a second to 30 seconds, and
/// a bank's own share between half and all of it.
fn pause(salt: &Digest, failures: u32) -> Duration {
    let full = PAUSE_MS_MIN
        .saturating_mul(1 << failures.min(16))
        .min(PAUSE_MS_MAX);
    let digest = crypto::sha256(&[b"phalanx/redial/1\0", &salt.0, &failures.to_be_bytes()]);
    let share = u64::from(u16::from_be_bytes([digest.0[0], digest.0[1]]));
    Duration::from_millis(full / 2 + full / 2 * share / u64::from(u16::MAX))
}

/// A link that lasted so long counts as one that worked.
const SETTLED: Duration = Duration::from_secs(10);
const PAUSE_MS_MIN: u64 = 250;
const PAUSE_MS_MAX: u64 = 30_000;

/// Why the coordinator was not reached.
#[derive(Debug, thiserror::Error)]
enum DialError {
    /// Its name leads nowhere.
    #[error("could not look the coordinator up: {0}")]
    Lookup(std::io::Error),
    /// Its name has no address that can be dialled.
    #[error("the coordinator's name has no IPv4 address")]
    NoAddress,
    /// It does not answer, or is not the coordinator.
    #[error(transparent)]
    Link(#[from] LinkError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_differ_from_bank_to_bank() {
        let (one, two) = (Digest([1; 32]), Digest([2; 32]));
        for failures in 0..40 {
            let full = (250_u64 << failures.min(16)).min(30_000);
            let pause = u64::try_from(pause(&one, failures).as_millis()).unwrap();
            assert!((full / 2..=full).contains(&pause), "{failures}: {pause}");
        }
        assert_ne!(pause(&one, 5), pause(&two, 5));
    }

    #[test]
    fn without_a_connection_frames_are_dropped() {
        let uplink = Uplink::default();
        assert!(!uplink.send(vec![1]));
        uplink.close();
        assert_eq!(uplink.bytes(), (0, 0));
    }
}
