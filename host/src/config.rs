//! One TOML file in, unknown keys refused, units in the values. What a process may be told lives
//! in its own `config.rs`; here is only how it is read.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::{self, DeserializeOwned, Visitor};
use serde::{Deserialize, Deserializer};

/// Reads a configuration file.
///
/// # Errors
/// [`ConfigError`], which names the file, the line and what was expected there.
pub fn load<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Read {
        path: path.to_owned(),
        error,
    })?;
    toml::from_str(&text).map_err(|error| ConfigError::Parse {
        path: path.to_owned(),
        error: Box::new(error),
    })
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("could not read {}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The file is not what was expected.
    #[error("could not understand {}: {error}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        error: Box<toml::de::Error>,
    },
    /// A value parses but cannot be.
    #[error("{key}: {found}, expected {expected}")]
    Value {
        /// The key.
        key: String,
        /// What was found.
        found: String,
        /// What was expected.
        expected: String,
    },
}

/// A span with its unit, such as `"250ms"`, `"30s"`, `"5m"` or `"2h"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub std::time::Duration);

impl Span {
    /// The span on the protocol's clock.
    #[must_use]
    pub fn protocol(self) -> protocol::time::Duration {
        protocol::time::Duration(u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX))
    }

    /// Reads a span.
    ///
    /// # Errors
    /// A sentence that names what was found and what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let wrong = || format!("{text:?} is no span, expected a number and ms, s, m or h");
        let number: u64 = digits.trim().parse().map_err(|_| wrong())?;
        let unit_ms = match &text[digits.len()..] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(wrong()),
        };
        let millis = number.checked_mul(unit_ms).ok_or_else(wrong)?;
        Ok(Self(std::time::Duration::from_millis(millis)))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Span;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a span such as \"30s\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Span, E> {
                Span::parse(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_carry_their_unit() {
        assert_eq!(Span::parse("250ms").unwrap().0.as_millis(), 250);
        assert_eq!(Span::parse("2h").unwrap().0.as_secs(), 7_200);
        assert_eq!(Span::parse("30 s").unwrap().0.as_secs(), 30);
        for wrong in [
            "30",
            "s",
            "",
            "-1s",
            "3d",
            "99999999999999999999s",
            "9999999999999999999h",
        ] {
            assert!(Span::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn unknown_keys_and_missing_files_are_named() {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Sample {
            wait: Span,
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sample.toml");
        std::fs::write(&path, "wait = \"1s\"\nwiat = \"2s\"\n").unwrap();
        let error = load::<Sample>(&path).unwrap_err().to_string();
        assert!(
            error.contains("wiat") && error.contains("sample.toml"),
            "{error}"
        );
        std::fs::write(&path, "wait = \"1s\"\n").unwrap();
        assert_eq!(load::<Sample>(&path).unwrap().wait.0.as_secs(), 1);
        assert!(
            load::<Sample>(&dir.path().join("none.toml"))
                .unwrap_err()
                .to_string()
                .contains("none.toml")
        );
    }
}
