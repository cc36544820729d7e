//! Models that plans may start from, in the bank's own store: what plans ended with here, and what
//! came by `model import`. A folder each, in the format of `model::checkpoint`. A folder's name is
//! never believed: a model is what its parameters hash to. What starts from it is `protocol`'s.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use crypto::Digest;
use features::FeatureSchema;
use model::{Checkpoint, CheckpointError};
use protocol::genesis::{self, Release};

use crate::network;

/// Models read at the start, the newest of all: two each week for half a year.
const RELEASES_MAX: usize = 64;
const FOLDER: &str = "releases";

/// Where the models lie.
#[derive(Clone, Debug)]
pub struct Releases {
    folder: PathBuf,
    schema: FeatureSchema,
}

/// A model that is held.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// What names it in a plan.
    pub root: Digest,
    /// The model and its card.
    pub checkpoint: Checkpoint,
}

impl Releases {
    /// Those of a store, for this agent's feature schema: of another one none is of use.
    #[must_use]
    pub fn new(store: &Path, schema: FeatureSchema) -> Self {
        Self {
            folder: store.join(FOLDER),
            schema,
        }
    }

    /// The schema that they encode with.
    #[must_use]
    pub fn schema(&self) -> &FeatureSchema {
        &self.schema
    }

    /// The models that can be read, the newest first. What cannot is reported and left out: a plan
    /// that starts from it is declined by its name.
    #[must_use]
    pub fn held(&self) -> Vec<Held> {
        let mut folders = self.folders();
        folders.sort();
        folders.reverse();
        if folders.len() > RELEASES_MAX {
            let (found, read) = (folders.len(), RELEASES_MAX);
            tracing::warn!(
                found,
                read,
                "older models are not read: remove what no plan needs"
            );
            folders.truncate(RELEASES_MAX);
        }
        let load = |(_, folder): (SystemTime, PathBuf)| {
            Checkpoint::load(&self.schema, &folder)
                .inspect_err(|error| tracing::warn!(%error, "a kept model is of no use"))
                .ok()
        };
        let held = |checkpoint: Checkpoint| Held {
            root: genesis::model_root(&checkpoint.parameters),
            checkpoint,
        };
        folders.into_iter().filter_map(load).map(held).collect()
    }

    /// The same as a client takes them.
    #[must_use]
    pub fn for_client(&self) -> Vec<Release> {
        let schema = Digest(self.schema.digest());
        let release = |held: Held| {
            let layout = network::layout(&self.schema, held.checkpoint.card.size);
            Release::new(schema, layout, Arc::new(held.checkpoint.parameters))
        };
        self.held().into_iter().filter_map(release).collect()
    }

    /// Keeps a model, and gives what names it in a plan. One that is held already stays.
    ///
    /// # Errors
    /// [`CheckpointError`] where the disk refuses, or the model is of another schema.
    pub fn keep(&self, checkpoint: &Checkpoint) -> Result<Digest, CheckpointError> {
        let root = genesis::model_root(&checkpoint.parameters);
        let folder = self.folder.join(root.to_hex());
        if Checkpoint::load(&self.schema, &folder).is_err() {
            checkpoint.save(&self.schema, &folder)?;
        }
        Ok(root)
    }

    /// With the moment at which each was written; none where there is no folder yet.
    fn folders(&self) -> Vec<(SystemTime, PathBuf)> {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten();
        let written = |entry: std::io::Result<std::fs::DirEntry>| {
            let entry = entry.ok()?;
            Some((entry.metadata().ok()?.modified().ok()?, entry.path()))
        };
        entries.filter_map(written).collect()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use model::NetworkSize;

    use super::*;

    /// A store, and a model of its schema that is not in it.
    pub(crate) fn made(folder: &Path, seed: u64) -> (Releases, Checkpoint) {
        let (schema, size) = (FeatureSchema::standard(), NetworkSize::default());
        let flat = model::genesis(&model::layout(&schema, size), seed);
        let checkpoint = Checkpoint::new(&schema, size, flat).unwrap();
        (Releases::new(folder, schema), checkpoint)
    }

    #[test]
    fn what_is_kept_is_held_by_the_root_of_its_parameters() {
        let dir = tempfile::tempdir().unwrap();
        let (releases, checkpoint) = made(dir.path(), 1);
        assert_eq!(releases.held(), []);
        let root = releases.keep(&checkpoint).unwrap();
        assert_eq!(releases.keep(&checkpoint).unwrap(), root);
        assert_eq!(root, genesis::model_root(&checkpoint.parameters));
        let held = Held { root, checkpoint };
        assert_eq!(releases.held(), std::slice::from_ref(&held));
        let roots = releases.for_client();
        let roots: Vec<Digest> = roots.iter().map(Release::root).collect();
        assert_eq!(roots, [root]);
        // Under another's name it is what it is.
        let kept = dir.path().join(FOLDER);
        let other = kept.join("00".repeat(32));
        std::fs::rename(kept.join(root.to_hex()), &other).unwrap();
        assert_eq!(releases.held(), [held]);
        std::fs::write(other.join("card.json"), b"{").unwrap();
        assert_eq!(releases.held(), []);
    }
}
