//! What this process may be told: addresses and folders. Nothing about learning is here; that is
//! the plan's, which is signed.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use host::config::{ConfigError, load};
use host::telemetry::LogFormat;
use serde::Deserialize;

/// The validated configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Folder of the installed identity.
    pub identity: PathBuf,
    /// Where the banks dial in (UDP).
    pub listen: SocketAddr,
    /// Folder of the records.
    pub store: PathBuf,
    /// Metrics and health (TCP).
    pub http: SocketAddr,
    /// How log lines look.
    pub log: LogFormat,
}

impl Config {
    /// Reads `path`.
    ///
    /// # Errors
    /// [`ConfigError`], which names file, line, and what was expected.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let raw: RawConfig = load(path)?;
        Ok(Self {
            identity: raw.identity.folder,
            listen: raw.listen.address,
            store: raw.store.folder,
            http: raw.http.address,
            log: raw.log.unwrap_or_default().format,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    identity: RawFolder,
    listen: RawAddress,
    store: RawFolder,
    http: RawAddress,
    log: Option<RawLog>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFolder {
    folder: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAddress {
    address: SocketAddr,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLog {
    format: LogFormat,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_sample_is_a_configuration() {
        let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ops/config/coordinator.toml");
        let config = Config::load(&sample).unwrap();
        assert_eq!(config.listen.port(), 4433);
    }

    #[test]
    fn a_misspelt_key_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("coordinator.toml");
        std::fs::write(
            &path,
            "[identity]\nfolder = \"a\"\n[lisen]\naddress = \"x\"\n",
        )
        .unwrap();
        let error = Config::load(&path).unwrap_err().to_string();
        assert!(error.contains("lisen"), "{error}");
    }
}
