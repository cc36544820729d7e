//! Real QUIC over loopback: frames both ways, and peers that must not get in.

use std::path::Path;

use protocol::credential::Role;
use protocol::time::Time;

use super::*;
use crate::identity::{self, Consortium};

fn enrol(consortium: &Consortium, dir: &Path, name: &str, role: Role) -> Identity {
    let folder = dir.join(name);
    let request = identity::request(&folder, name, role).unwrap();
    identity::install(
        &folder,
        &consortium.approve(&request, Time(u64::MAX)).unwrap(),
    )
    .unwrap();
    Identity::load(&folder).unwrap()
}

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

#[tokio::test]
async fn frames_of_every_size_arrive_whole_and_the_peer_is_its_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let consortium = Consortium::create(&dir.path().join("ca"), "Test").unwrap();
    let server = enrol(&consortium, dir.path(), "coordinator", Role::Coordinator);
    let bank = enrol(&consortium, dir.path(), "bank", Role::Bank);
    let listener = Listener::bind(loopback(), &server).unwrap();
    let address = listener.local_address().unwrap();
    let dialer = Dialer::new(&bank).unwrap();
    let (accepted, dialed) = tokio::join!(listener.accept(), dialer.dial(address));
    let (mut accepted, dialed) = (accepted.unwrap().unwrap(), dialed.unwrap());
    assert_eq!(accepted.peer, bank.credential.unverified().id);
    assert_eq!(dialed.peer, server.credential.unverified().id);
    for size in [0usize, 1, 1_000, 5 << 20] {
        assert!(dialed.sender().send(vec![7; size]));
        assert_eq!(accepted.receive().await.unwrap().bytes, vec![7; size]);
    }
}

#[tokio::test]
async fn a_bank_of_another_consortium_does_not_get_in() {
    let dir = tempfile::tempdir().unwrap();
    let ours = Consortium::create(&dir.path().join("ca"), "Ours").unwrap();
    let theirs = Consortium::create(&dir.path().join("ca2"), "Theirs").unwrap();
    let server = enrol(&ours, dir.path(), "coordinator", Role::Coordinator);
    let stranger = enrol(&theirs, dir.path(), "stranger", Role::Bank);
    let listener = Listener::bind(loopback(), &server).unwrap();
    let address = listener.local_address().unwrap();
    let dialer = Dialer::new(&stranger).unwrap();
    let (accepted, dialed) = tokio::join!(listener.accept(), dialer.dial(address));
    assert!(accepted.unwrap().is_err() || dialed.is_err());
}

#[tokio::test]
async fn a_bank_cannot_pose_as_the_coordinator() {
    let dir = tempfile::tempdir().unwrap();
    let consortium = Consortium::create(&dir.path().join("ca"), "Test").unwrap();
    let impostor = enrol(&consortium, dir.path(), "impostor", Role::Bank);
    let bank = enrol(&consortium, dir.path(), "bank", Role::Bank);
    let listener = Listener::bind(loopback(), &impostor).unwrap();
    let address = listener.local_address().unwrap();
    let dialer = Dialer::new(&bank).unwrap();
    let (_, dialed) = tokio::join!(listener.accept(), dialer.dial(address));
    assert!(dialed.is_err());
}

#[tokio::test]
async fn a_frame_that_lies_about_its_length_ends_the_connection() {
    let dir = tempfile::tempdir().unwrap();
    let consortium = Consortium::create(&dir.path().join("ca"), "Test").unwrap();
    let server = enrol(&consortium, dir.path(), "coordinator", Role::Coordinator);
    let bank = enrol(&consortium, dir.path(), "bank", Role::Bank);
    let listener = Listener::bind(loopback(), &server).unwrap();
    let address = listener.local_address().unwrap();
    let dialer = Dialer::new(&bank).unwrap();
    for (announced, sent) in [(u32::MAX, 4usize), (10, 4), (10, 40)] {
        let (accepted, dialed) = tokio::join!(listener.accept(), dialer.dial(address));
        let (mut accepted, dialed) = (accepted.unwrap().unwrap(), dialed.unwrap());
        let mut stream = dialed.connection.open_uni().await.unwrap();
        stream.write_all(&announced.to_be_bytes()).await.unwrap();
        stream.write_all(&vec![1; sent]).await.unwrap();
        stream.finish().unwrap();
        let received = accepted.receive().await;
        assert!(received.is_none(), "announced {announced}, sent {sent}");
        assert!(
            accepted.close_reason().contains("closed"),
            "{}",
            accepted.close_reason()
        );
    }
}

/// A connection from a bank to a coordinator, the listener that accepted it, and their folder.
struct Pair {
    listener: Listener,
    accepted: Link,
    dialed: Link,
    _folder: tempfile::TempDir,
    _dialer: Dialer,
}

impl Pair {
    async fn connect() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let consortium = Consortium::create(&folder.path().join("ca"), "Test").unwrap();
        let server = enrol(&consortium, folder.path(), "coordinator", Role::Coordinator);
        let bank = enrol(&consortium, folder.path(), "bank", Role::Bank);
        let listener = Listener::bind(loopback(), &server).unwrap();
        let dialer = Dialer::new(&bank).unwrap();
        let address = listener.local_address().unwrap();
        let (accepted, dialed) = tokio::join!(listener.accept(), dialer.dial(address));
        Self {
            listener,
            accepted: accepted.unwrap().unwrap(),
            dialed: dialed.unwrap(),
            _folder: folder,
            _dialer: dialer,
        }
    }

    /// How many bytes the bank may send before somebody reads them, once the coordinator's word
    /// on that has come: a frame the other way tells that it has.
    async fn leave_to_send(&mut self) -> usize {
        let mut stream = self.dialed.connection.open_uni().await.unwrap();
        let mut sent = 0;
        // The header of a large frame: it is read, and the rest waits.
        stream
            .write_all(&(8_u32 << 20).to_be_bytes())
            .await
            .unwrap();
        let much = vec![7; 8 << 20];
        for _ in 0..2 {
            while let Some(bytes) = at_once(stream.write(&much)).await {
                sent += bytes.unwrap();
            }
            assert!(self.accepted.sender().send(vec![1]));
            self.dialed.receive().await.unwrap();
        }
        sent
    }
}

/// The answer of a future that has it already; none where it must wait.
async fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        answer = future => Some(answer),
        () = std::future::ready(()) => None,
    }
}

// Nothing that waits for room takes more of our memory than the narrow window, before a large
// frame came and after one.
#[tokio::test]
async fn a_peer_that_is_not_read_sends_little() {
    let narrow = frames::WINDOW_NARROW as usize;
    for large in [None, Some(300 << 10), Some(5 << 20)] {
        let mut pair = Pair::connect().await;
        if let Some(bytes) = large {
            assert!(pair.dialed.sender().send(vec![7; bytes]));
            let received = pair.accepted.receive().await.unwrap();
            assert_eq!(received.bytes.len(), bytes);
        }
        // Nobody reads: all room is taken.
        let _room = pair.listener.bulk.clone().acquire_many_owned(BULK).await;
        let sent = pair.leave_to_send().await;
        // What a chunk overshot the moment of narrowing by is made good with the next frame.
        assert!(sent <= narrow * 2, "{sent} bytes after {large:?}");
        assert!(sent > narrow / 2, "{sent} bytes after {large:?}");
    }
}

const BULK: u32 = frames::BULK_BYTES_MAX as u32;

// A frame's room is free when its receiver is done with it, not when it has been read.
#[tokio::test]
async fn a_large_frame_takes_room_until_it_is_let_go() {
    let mut pair = Pair::connect().await;
    let free = || pair.listener.bulk.available_permits();
    assert_eq!(free(), frames::BULK_BYTES_MAX);
    assert!(pair.dialed.sender().send(vec![7; 1 << 20]));
    let received = pair.accepted.receive().await.unwrap();
    assert_eq!(free(), frames::BULK_BYTES_MAX - (1 << 20));
    drop(received.bytes);
    assert_eq!(free(), frames::BULK_BYTES_MAX - (1 << 20));
    drop(received.place);
    assert_eq!(free(), frames::BULK_BYTES_MAX);
}

#[tokio::test]
async fn two_frames_of_any_size_have_room_and_one_link_no_more_than_one() {
    let bulk = Places::for_all();
    let links: Vec<_> = (0..3).map(|_| Places::on_link(Arc::clone(&bulk))).collect();
    let most = protocol::limits::FRAME_BYTES_MAX;
    let first = at_once(links[0].take(most)).await.unwrap().unwrap();
    assert!(at_once(links[0].take(most)).await.is_none(), "same link");
    assert!(at_once(links[0].take(1)).await.is_none(), "nor a small one");
    let second = at_once(links[1].take(most)).await.unwrap().unwrap();
    assert!(at_once(links[2].take(most)).await.is_none(), "a third");
    let small = at_once(links[2].take(1_000)).await;
    assert!(small.is_some(), "small frames do not wait for large ones");
    drop((first, small));
    let third = at_once(links[2].take(most)).await;
    assert!(third.is_some(), "room that is free again");
    drop(second);
    assert!(at_once(links[0].take(most)).await.is_some());
}

// A slow peer's frames wait up to a bound, and the next are dropped; a frame beyond the bound is
// taken where nothing waits, so that any frame can be said.
#[tokio::test]
async fn little_waits_for_a_slow_peer() {
    let mut pair = Pair::connect().await;
    // The peer reads nothing: its room is taken.
    let sender = pair.accepted.sender();
    let most = frames::QUEUE_BYTES_MAX;
    let size = most * 2;
    assert!(sender.send(vec![7; size]), "nothing waited");
    assert!(sender.send(vec![7; size]), "it waits already");
    assert!(!sender.send(vec![8; 1]), "too much waits already");
    assert_eq!(pair.dialed.receive().await.unwrap().bytes, vec![7; size]);
    let taken = async {
        while !sender.send(vec![9; 1]) {
            tokio::task::yield_now().await;
        }
    };
    let taken = tokio::time::timeout(IDLE, taken).await;
    assert!(taken.is_ok(), "what was written waits no longer");
    assert_eq!(pair.dialed.receive().await.unwrap().bytes, vec![9; 1]);
}
