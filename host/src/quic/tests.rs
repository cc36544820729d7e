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
        assert_eq!(accepted.receive().await.unwrap(), vec![7; size]);
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
        assert_eq!(
            accepted.receive().await,
            None,
            "announced {announced}, sent {sent}"
        );
        assert!(
            accepted.close_reason().contains("closed"),
            "{}",
            accepted.close_reason()
        );
    }
}
