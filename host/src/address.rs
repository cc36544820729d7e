//! Where a program listens, told in a file: a port of 0 in the configuration leaves the choice to
//! the system.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Writes `address` to the file `name` in `folder`, whole or not at all: whoever reads the file
/// while it is written finds the old address or the new one, never half of one.
///
/// # Errors
///
/// The file cannot be written.
pub fn publish(folder: &Path, name: &str, address: SocketAddr) -> Result<(), AddressError> {
    let path = folder.join(name);
    let draft = folder.join(format!("{name}.draft"));
    std::fs::write(&draft, address.to_string())
        .and_then(|()| std::fs::rename(&draft, &path))
        .map_err(|error| AddressError { path, error })
}

/// The address published under `name` in `folder`; none before the program listens.
pub fn find(folder: &Path, name: &str) -> Option<SocketAddr> {
    std::fs::read_to_string(folder.join(name))
        .ok()?
        .parse()
        .ok()
}

/// The address file cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("could not write {}: {error}", path.display())]
pub struct AddressError {
    path: PathBuf,
    error: std::io::Error,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_found_once_it_is_published() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(find(folder.path(), "quic.addr"), None);
        for address in ["127.0.0.1:1", "[::1]:65535"] {
            let address = address.parse().unwrap();
            publish(folder.path(), "quic.addr", address).unwrap();
            assert_eq!(find(folder.path(), "quic.addr"), Some(address));
        }
        let nowhere = publish(
            &folder.path().join("no"),
            "a",
            "127.0.0.1:1".parse().unwrap(),
        );
        assert!(nowhere.unwrap_err().to_string().contains("could not write"));
    }
}
