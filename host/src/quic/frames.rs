//! Frames on their streams: written from one copy, however many peers it goes to; read only where
//! there is room, which a frame takes until whoever got it is done with it. What waits for room
//! waits in QUIC's flow control, so the windows bound what it takes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use protocol::limits;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::quic::LinkError;

/// Bytes of large frames that are read or handled at once, over all connections, whatever the
/// number of members. One frame counts for at most half: two of any size are read at once.
pub(super) const BULK_BYTES_MAX: usize = 8 << 20;

/// Bytes of small frames that are read or handled at once, on each connection: room for the
/// escrow of a thousand banks. A larger frame is a large one.
pub(super) const LINK_BYTES_MAX: usize = 256 << 10;

/// What a peer may send before anybody reads it, on a link whose frames wait for room: with a
/// thousand banks 64 MiB. A small frame takes a round trip for each so many bytes.
pub(super) const WINDOW_NARROW: u32 = 64 << 10;

/// The same while a large frame is read: a pipe of 100 ms carries 160 Mbit/s in it.
pub(super) const WINDOW_WIDE: u32 = 2 << 20;

/// Bytes that wait for one slow peer; a frame that comes on top is dropped. Both sides repeat
/// themselves, and a peer that is behind asks for what it lacks.
pub(super) const QUEUE_BYTES_MAX: usize = 4 << 20;

/// Frames that wait for one slow peer, however small.
const QUEUE_FRAMES_MAX: usize = 256;

/// A frame goes out in slices of this size: QUIC counts a slice against its window until the whole
/// of it has arrived.
const SLICE_BYTES: usize = 64 << 10;

/// A frame must be whole after this grace plus its length at the slowest rate (PROTOCOL.md §5).
const FRAME_GRACE: Duration = Duration::from_secs(5);

/// The slowest rate at which a frame may arrive.
const BYTES_PER_SECOND_MIN: u64 = 64 << 10;

/// A frame to send. Clones share the bytes, all the way into QUIC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame(Bytes);

impl From<Vec<u8>> for Frame {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

/// A frame that came, and the room it takes.
#[derive(Debug)]
pub struct Received {
    /// The frame.
    pub bytes: Vec<u8>,
    /// Its room, to be kept for as long as the bytes, or what was made of them, are.
    pub place: Place,
}

/// Room for one frame, free again when this is dropped.
#[derive(Debug)]
pub struct Place {
    _link: OwnedSemaphorePermit,
    _bulk: Option<OwnedSemaphorePermit>,
}

/// Where frames are read: what one link may take, and what all links of a process share.
#[derive(Clone, Debug)]
pub(super) struct Places {
    link: Arc<Semaphore>,
    bulk: Arc<Semaphore>,
}

impl Places {
    /// Room for large frames, to be shared by all links.
    pub(super) fn for_all() -> Arc<Semaphore> {
        Arc::new(Semaphore::new(BULK_BYTES_MAX))
    }

    /// Room on one more link.
    pub(super) fn on_link(bulk: Arc<Semaphore>) -> Self {
        let link = Arc::new(Semaphore::new(LINK_BYTES_MAX));
        Self { link, bulk }
    }

    /// Waits for room. A large frame takes all the room of its link first: so a peer has no more
    /// than one of the places that all share.
    pub(super) async fn take(&self, bytes: usize) -> Result<Place, LinkError> {
        let room = |of: &Arc<Semaphore>, bytes: usize| {
            let bytes = u32::try_from(bytes).expect("bounded by the room there is");
            Arc::clone(of).acquire_many_owned(bytes)
        };
        let closed = |_| LinkError::Frame("no place");
        let link = room(&self.link, bytes.min(LINK_BYTES_MAX)).await;
        let link = link.map_err(closed)?;
        let bulk = if is_large(bytes) {
            let bulk = room(&self.bulk, bytes.min(BULK_BYTES_MAX / 2)).await;
            Some(bulk.map_err(closed)?)
        } else {
            None
        };
        Ok(Place {
            _link: link,
            _bulk: bulk,
        })
    }
}

fn is_large(bytes: usize) -> bool {
    bytes > LINK_BYTES_MAX
}

/// Frames that wait to be written, the one that is being written among them.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    frames: mpsc::Sender<Frame>,
    waiting: Arc<Mutex<Waiting>>,
}

/// What is in the channel, to be looked at.
#[derive(Debug, Default)]
struct Waiting {
    frames: VecDeque<Frame>,
    bytes: usize,
}

impl Queue {
    /// A queue that is written to `connection` until that ends.
    pub(super) fn write_to(connection: quinn::Connection) -> Self {
        let (frames, mut received) = mpsc::channel(QUEUE_FRAMES_MAX);
        let queue = Self {
            frames,
            waiting: Arc::default(),
        };
        let waiting = Arc::clone(&queue.waiting);
        tokio::spawn(async move {
            while let Some(frame) = received.recv().await {
                if write_frame(&connection, frame).await.is_err() {
                    return;
                }
                let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
                let written = waiting.frames.pop_front();
                waiting.bytes -= written.map_or(0, |frame| frame.0.len());
            }
        });
        queue
    }

    /// Whether the frame goes out. What waits already is not taken twice: a party repeats itself
    /// whenever it is asked, and a vector that waits for room is asked for again and again.
    pub(super) fn push(&self, frame: Frame) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.frames.contains(&frame) {
            return !self.frames.is_closed();
        }
        if waiting.bytes >= QUEUE_BYTES_MAX || self.frames.try_send(frame.clone()).is_err() {
            return false;
        }
        waiting.bytes += frame.0.len();
        waiting.frames.push_back(frame);
        true
    }
}

async fn write_frame(connection: &quinn::Connection, Frame(frame): Frame) -> Result<(), LinkError> {
    let Ok(length) = u32::try_from(frame.len()) else {
        return Ok(());
    };
    let mut stream = connection.open_uni().await.map_err(LinkError::Connection)?;
    let header = Bytes::copy_from_slice(&length.to_be_bytes());
    let mut slices = vec![header];
    for start in (0..frame.len()).step_by(SLICE_BYTES) {
        let end = frame.len().min(start + SLICE_BYTES);
        slices.push(frame.slice(start..end));
    }
    stream.write_all_chunks(&mut slices).await?;
    // Finishing can only fail where the stream is gone already.
    let _ = stream.finish();
    Ok(())
}

/// Reads frames off `connection` until it ends, one by one in the order they were begun. Were two
/// read at once, one could hold the room that the other waits for, and that one the window.
pub(super) async fn read(
    connection: quinn::Connection,
    frames: mpsc::Sender<Received>,
    places: Places,
) {
    while let Ok(stream) = connection.accept_uni().await {
        match read_frame(stream, &connection, &places).await {
            Ok(frame) => {
                if frames.send(frame).await.is_err() {
                    // The link itself is being dropped.
                    return;
                }
            }
            Err(error) => connection.close(2u32.into(), error.to_string().as_bytes()),
        }
    }
}

async fn read_frame(
    mut stream: quinn::RecvStream,
    connection: &quinn::Connection,
    places: &Places,
) -> Result<Received, LinkError> {
    let mut header = [0u8; 4];
    tokio::time::timeout(FRAME_GRACE, stream.read_exact(&mut header))
        .await
        .map_err(|_| LinkError::Frame("header took too long"))??;
    let length = u32::from_be_bytes(header);
    let bytes = usize::try_from(length).unwrap_or(usize::MAX);
    if bytes > limits::FRAME_BYTES_MAX {
        return Err(LinkError::Frame("larger than any message"));
    }
    let place = places.take(bytes).await?;
    let patience = FRAME_GRACE + Duration::from_secs(u64::from(length) / BYTES_PER_SECOND_MIN);
    let read = read_body(&mut stream, connection, bytes);
    let bytes = tokio::time::timeout(patience, read)
        .await
        .map_err(|_| LinkError::Frame("slower than the slowest rate"))??;
    Ok(Received { bytes, place })
}

/// Reads as it comes, into room that was counted as the whole.
async fn read_body(
    stream: &mut quinn::RecvStream,
    connection: &quinn::Connection,
    bytes: usize,
) -> Result<Vec<u8>, LinkError> {
    let mut frame = Vec::with_capacity(bytes);
    let mut window = is_large(bytes).then(|| Window::widen(connection, bytes));
    loop {
        window = window.and_then(|window| window.narrow(bytes - frame.len()));
        let Some(chunk) = stream.read_chunk(bytes.saturating_add(1), true).await? else {
            break;
        };
        frame.extend_from_slice(&chunk.bytes);
        if frame.len() > bytes {
            return Err(LinkError::Frame("longer than announced"));
        }
    }
    if frame.len() < bytes {
        return Err(LinkError::Frame("shorter than announced"));
    }
    Ok(frame)
}

/// The connection's window, widened for a large frame.
struct Window<'a> {
    connection: &'a quinn::Connection,
    extra: u32,
}

impl<'a> Window<'a> {
    fn widen(connection: &'a quinn::Connection, bytes: usize) -> Self {
        let most = WINDOW_WIDE - WINDOW_NARROW;
        let extra = u32::try_from(bytes).unwrap_or(most).min(most);
        connection.set_receive_window((WINDOW_NARROW + extra).into());
        Self { connection, extra }
    }

    /// Narrows it again once no more is to come than it was widened by. QUIC then lets what is
    /// read meanwhile count for nothing, so that the peer has the narrow window left in the end,
    /// and had leave to send all of this frame before.
    fn narrow(self, to_come: usize) -> Option<Self> {
        if to_come > self.extra as usize {
            return Some(self);
        }
        self.connection.set_receive_window(WINDOW_NARROW.into());
        None
    }
}
