//! The consent file: what this institution will not do in the federation, whatever a plan says
//! and whoever signed it. Written by the bank's security officer; `phalanx-agent layout` prints
//! the digests it asks for. How it is kept is `protocol::client::consent`.

use std::collections::BTreeSet;
use std::path::Path;

use crypto::Digest;
use features::FeatureSchema;
use host::config::{ConfigError, load};
use protocol::client::consent::Policy;
use protocol::limits::AUDIT_CHUNKS_MAX;
use protocol::plan::Kind;
use serde::Deserialize;

/// Reads a consent file.
///
/// # Errors
/// [`ConfigError`], which names file, line or key, and what was expected.
pub fn load_policy(path: &Path) -> Result<Policy, ConfigError> {
    let raw: RawConsent = load(path)?;
    Ok(Policy {
        kinds: raw.kinds.into_iter().map(Kind::from).collect(),
        members_min: raw.members_min,
        honest_min: raw.honest_min,
        colluders_min: raw.colluders_min,
        schemas: digests("schemas", &raw.schemas)?,
        layouts: digests("layouts", &raw.layouts)?,
        rounds_per_day: raw.rounds_per_day,
        joins_per_epoch_max: raw.joins_per_epoch_max,
        audit_chunks: audit_chunks(raw.audit_chunks)?,
    })
}

/// Whether the agent's own feature schema was reviewed: otherwise every plan that it could take
/// part in is one that it must decline.
///
/// # Errors
/// [`ConfigError::Value`] where schemas are listed and this one is not among them.
pub fn covers(policy: &Policy, schema: &FeatureSchema) -> Result<(), ConfigError> {
    let own = Digest(schema.digest());
    if policy.schemas.is_empty() || policy.schemas.contains(&own) {
        return Ok(());
    }
    let listed: Vec<String> = policy.schemas.iter().map(Digest::to_hex).collect();
    Err(ConfigError::Value {
        key: "schemas".to_owned(),
        found: listed.join(", "),
        expected: format!("{} among them, this agent's schema", own.to_hex()),
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConsent {
    kinds: Vec<RawKind>,
    members_min: u16,
    honest_min: u16,
    colluders_min: Option<u16>,
    schemas: Vec<String>,
    layouts: Vec<String>,
    rounds_per_day: u32,
    joins_per_epoch_max: u16,
    audit_chunks: Option<u16>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawKind {
    Pretrain,
    Finetune,
    Risk,
    Evaluate,
}

impl From<RawKind> for Kind {
    fn from(raw: RawKind) -> Self {
        match raw {
            RawKind::Pretrain => Self::Pretrain,
            RawKind::Finetune => Self::Finetune,
            RawKind::Risk => Self::Risk,
            RawKind::Evaluate => Self::Evaluate,
        }
    }
}

/// Two chunks of each result, where the file does not say.
fn audit_chunks(found: Option<u16>) -> Result<u16, ConfigError> {
    let chunks = found.unwrap_or(2);
    if chunks > AUDIT_CHUNKS_MAX {
        return Err(ConfigError::Value {
            key: "audit_chunks".to_owned(),
            found: chunks.to_string(),
            expected: format!("at most {AUDIT_CHUNKS_MAX}"),
        });
    }
    Ok(chunks)
}

fn digests(key: &str, texts: &[String]) -> Result<BTreeSet<Digest>, ConfigError> {
    let read = |text: &String| {
        Digest::from_hex(text).ok_or_else(|| ConfigError::Value {
            key: key.to_owned(),
            found: text.clone(),
            expected: "64 hexadecimal digits, as `phalanx-agent layout` prints them".to_owned(),
        })
    };
    texts.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use model::NetworkSize;

    use super::*;
    use crate::network;

    /// The sample approves exactly what this version computes: whoever changes the schema or
    /// the network changes the sample, and sees what every member must approve anew.
    #[test]
    fn the_shipped_sample_approves_the_standard_model() {
        let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ops/config/consent.toml");
        let policy = load_policy(&sample).unwrap();
        let schema = FeatureSchema::standard();
        let layout = network::layout(&schema, NetworkSize::default()).digest();
        assert!(
            policy.schemas.contains(&Digest(schema.digest())),
            "{}",
            hex(&schema)
        );
        assert!(policy.layouts.contains(&layout), "{}", layout.to_hex());
        assert_eq!(policy.kinds.len(), 4);
    }

    #[test]
    fn an_agent_whose_own_schema_was_not_reviewed_does_not_start() {
        let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ops/config/consent.toml");
        let mut policy = load_policy(&sample).unwrap();
        let standard = FeatureSchema::standard();
        covers(&policy, &standard).unwrap();
        policy.schemas = [Digest([0; 32])].into();
        let error = covers(&policy, &standard).unwrap_err().to_string();
        assert!(error.contains(&hex(&standard)), "{error}");
        policy.schemas.clear();
        covers(&policy, &standard).unwrap();
    }

    fn hex(schema: &FeatureSchema) -> String {
        Digest(schema.digest()).to_hex()
    }

    #[test]
    fn audits_are_asked_for_unless_turned_off_and_are_bounded() {
        assert_eq!(audit_chunks(None).unwrap(), 2);
        assert_eq!(audit_chunks(Some(0)).unwrap(), 0);
        let error = audit_chunks(Some(1_025)).unwrap_err().to_string();
        assert!(error.contains("1025") && error.contains("1024"), "{error}");
    }

    #[test]
    fn a_digest_that_is_none_is_named() {
        let error = digests("layouts", &["abc".to_owned()])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("layouts") && error.contains("abc"),
            "{error}"
        );
    }
}
