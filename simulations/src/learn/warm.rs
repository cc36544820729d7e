//! Encoders that a comparison ends with, kept as checkpoints, and comparisons that start from one,
//! as a plan with a base does: what a warm start is worth is the difference to a run without.

use std::path::Path;
use std::sync::Arc;

use crypto::Digest;
use features::FeatureSchema;
use model::{Checkpoint, NetworkSize};
use protocol::genesis::Release;
use protocol::plan::{Base, ModelTerms, Part};

use super::Failed;
use super::recipe::model_terms;

/// What all arms start from, where they do not start from their seed alone. Its head is not taken.
pub(super) fn load(
    folder: &Path,
    schema: &FeatureSchema,
    size: NetworkSize,
) -> Result<Release, Failed> {
    let failed = |error: String| format!("--warm-start {}: {error}", folder.display());
    let checkpoint = Checkpoint::load(schema, folder).map_err(|error| failed(error.to_string()))?;
    let found = checkpoint.card.size;
    let layout = model_terms(schema, found, 0).layout;
    let parameters = Arc::new(checkpoint.parameters);
    let release = Release::new(Digest(schema.digest()), layout, parameters);
    let release = release.ok_or_else(|| failed("it is no whole model".to_owned()))?;
    let started = on(model_terms(schema, size, 0), &release);
    if release.first(&started).is_none() {
        let (width, frequencies) = (found.width, found.frequencies);
        return Err(failed(format!(
            "found an encoder of width {width} and {frequencies} frequencies, expected {} and {}",
            size.width, size.frequencies
        ))
        .into());
    }
    Ok(release)
}

/// The same model, which takes from the release what pretraining trains.
pub(super) fn on(model: ModelTerms, release: &Release) -> ModelTerms {
    let base = Base {
        root: release.root(),
        parts: vec![Part::Encoder, Part::Energy],
    };
    ModelTerms {
        base: Some(base),
        ..model
    }
}

/// Keeps an encoder.
pub(super) fn save(
    folder: &Path,
    schema: &FeatureSchema,
    size: NetworkSize,
    parameters: &[f32],
) -> Result<(), Failed> {
    let checkpoint = Checkpoint::new(schema, size, parameters.to_vec())?;
    Ok(checkpoint.save(schema, folder)?)
}
