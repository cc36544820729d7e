//! What was finished stays finished: one file for each seed, week, share of labels and setting,
//! with the terms it came of. A run under equal terms takes it from there; a run that was stopped
//! has lost what it was doing, and nothing else.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Failed;
use super::measures::Outcome;

/// The folder of finished work; nowhere, where none was named.
pub(super) struct Store(Option<PathBuf>);

/// One finished setting.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Finished {
    /// Everything that the outcome depends on.
    pub(super) terms: Value,
    /// What came of it.
    pub(super) outcome: Outcome,
    /// Seconds it took.
    pub(super) seconds: f64,
}

impl Store {
    /// A store in `folder`, which is made where it is absent.
    pub(super) fn new(folder: Option<&Path>) -> Result<Self, Failed> {
        let folder = folder.map(|folder| folder.join(FOLDER));
        if let Some(folder) = &folder {
            fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        }
        Ok(Self(folder))
    }

    /// What came of these terms, if it is there.
    pub(super) fn load(&self, name: &str, terms: &Value) -> Option<Finished> {
        let text = fs::read(self.path(name, terms)?).ok()?;
        // A file that cannot be read is made again: it was another version's, or cut off.
        let finished: Finished = serde_json::from_slice(&text).ok()?;
        (finished.terms == *terms).then_some(finished)
    }

    /// Keeps what came of some terms: whole or not at all.
    pub(super) fn keep(&self, name: &str, finished: &Finished) -> Result<(), Failed> {
        let Some(path) = self.path(name, &finished.terms) else {
            return Ok(());
        };
        let half = path.with_extension("half");
        let text = serde_json::to_vec(finished)?;
        fs::write(&half, text)
            .and_then(|()| fs::rename(&half, &path))
            .map_err(|error| format!("{}: {error}", path.display()).into())
    }

    /// Everything in the folder, in the order of names.
    pub(super) fn all(&self) -> Result<Vec<Finished>, Failed> {
        let Some(folder) = &self.0 else {
            return Ok(Vec::new());
        };
        let mut paths = Vec::new();
        for entry in fs::read_dir(folder)? {
            paths.push(entry?.path());
        }
        paths.sort();
        let texts = paths.iter().filter_map(|path| fs::read(path).ok());
        Ok(texts
            .filter_map(|text| serde_json::from_slice(&text).ok())
            .collect())
    }

    fn path(&self, name: &str, terms: &Value) -> Option<PathBuf> {
        let digest = crypto::sha256(&[terms.to_string().as_bytes()]).to_hex();
        self.0
            .as_ref()
            .map(|folder| folder.join(format!("{name}-{}.json", &digest[..16])))
    }
}

const FOLDER: &str = "finished";
