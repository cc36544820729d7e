//! Files that make no door, and a client for the tests of the doors.

use std::net::SocketAddr;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsConnector;

use super::*;

#[test]
fn files_that_make_no_door_are_named() {
    let whole = files(Some("ca.pem"));
    assert!(whole.acceptor().is_ok());
    let wrong = [
        (
            Files {
                certificate: fixture("none.pem"),
                ..whole.clone()
            },
            "could not read",
        ),
        (
            Files {
                certificate: fixture("server.key"),
                ..whole.clone()
            },
            "expected certificates in PEM",
        ),
        (
            Files {
                key: fixture("server.pem"),
                ..whole.clone()
            },
            "expected a private key in PEM",
        ),
        (
            Files {
                key: fixture("client.key"),
                ..whole.clone()
            },
            "the key that belongs to it",
        ),
        (
            Files {
                client_ca: Some(fixture("client.key")),
                ..whole
            },
            "expected certificates in PEM",
        ),
    ];
    for (files, expected) in wrong {
        let error = files.acceptor().err().unwrap().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    }
}

#[test]
fn a_clients_files_are_checked_before_they_are_used() {
    let path = fixture;
    assert!(check_roots(&path("ca.pem")).is_ok());
    assert!(check_roots(&path("client.key")).is_err());
    assert!(check_pair(&path("client.pem"), &path("client.key")).is_ok());
    assert!(check_pair(&path("client.pem"), &path("server.key")).is_err());
}

/// The fixture's server, with or without a CA of its clients.
pub(crate) fn files(client_ca: Option<&str>) -> Files {
    Files {
        certificate: fixture("server.pem"),
        key: fixture("server.key"),
        client_ca: client_ca.map(fixture),
    }
}

/// Sends `request` over TLS as the client whose files are `name`, or as nobody, and reads what
/// comes back; nothing where the server broke off.
pub(crate) async fn ask(address: SocketAddr, name: Option<&str>, request: &str) -> String {
    let builder = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots(&fixture("ca.pem")).unwrap());
    let config = match name {
        None => builder.with_no_client_auth(),
        Some(name) => {
            let chain = certificates(&fixture(&format!("{name}.pem"))).unwrap();
            let key = private_key(&fixture(&format!("{name}.key"))).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    let server = ServerName::try_from("127.0.0.1").unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    let connected = TlsConnector::from(Arc::new(config))
        .connect(server, stream)
        .await;
    let mut answer = Vec::new();
    if let Ok(mut stream) = connected {
        // A server that does not want this client says so after the client's half of the handshake.
        let _ = stream.write_all(request.as_bytes()).await;
        let _ = stream.read_to_end(&mut answer).await;
    }
    String::from_utf8_lossy(&answer).into_owned()
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/tls/fixture")
        .join(name)
}
