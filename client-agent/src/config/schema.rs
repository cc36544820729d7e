//! The consortium's feature schema, from its file. What a schema may say is `features`' affair;
//! plans carry it too, and an agent holds them against its own (`network.rs`).

use std::path::Path;

use features::{FeatureSchema, SchemaError};
use host::config::ConfigError;

/// Reads a schema; the standard one where no file is named.
///
/// # Errors
/// [`ConfigError`], which names the file, the field, what was found and what was expected.
pub fn read(path: Option<&Path>) -> Result<FeatureSchema, ConfigError> {
    let Some(path) = path else {
        return Ok(FeatureSchema::standard());
    };
    let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Read {
        path: path.to_owned(),
        error,
    })?;
    FeatureSchema::parse(&text).map_err(|error| {
        let file = path.display();
        match error {
            SchemaError::Syntax { line, message } => ConfigError::Value {
                key: file.to_string(),
                found: format!("line {line}: {message}"),
                expected: "TOML".to_owned(),
            },
            SchemaError::Field {
                field,
                found,
                expected,
            } => ConfigError::Value {
                key: format!("{file}: {field}"),
                found,
                expected,
            },
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_schemas_are_read_and_a_broken_one_is_named() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ops/config/schemas");
        let standard = read(Some(&folder.join("standard.toml"))).unwrap();
        assert_eq!(standard, read(None).unwrap());
        let single = read(Some(&folder.join("single-payment.toml"))).unwrap();
        assert_ne!(single.digest(), standard.digest());
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mine.toml");
        let said = || read(Some(&path)).unwrap_err().to_string();
        assert!(said().contains("mine.toml"), "{}", said());
        std::fs::write(
            &path,
            standard.canonical().replace("scale = 0.95", "scale = 0.0"),
        )
        .unwrap();
        assert!(said().contains("mine.toml"), "{}", said());
        assert!(
            said().contains("feature amount: scale: 0.0, expected"),
            "{}",
            said()
        );
        std::fs::write(&path, "language = \n").unwrap();
        assert!(said().contains("mine.toml: line 1: "), "{}", said());
    }
}
