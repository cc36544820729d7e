//! A model in a folder: `parameters.safetensors`, which any tool reads, beside `card.json`, which
//! says what it is. Loading refuses whatever does not agree with the schema, the layout and the
//! digest of the parameters; nothing read from disk is trusted before.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use features::FeatureSchema;
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::calibration::Calibration;
use crate::error::ModelError;
use crate::network::{NetworkSize, TensorSpec, digest, layout};
use crate::parameters;

const VERSION: u32 = 1;
/// A card is some hundred bytes; the header of the tensors some thousand.
pub(crate) const OVERHEAD_BYTES_MAX: u64 = 1 << 20;
const CARD: &str = "card.json";
const TENSORS: &str = "parameters.safetensors";

/// What a model is, beside its numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// Version of this format, 1.
    pub version: u32,
    /// Digest of the feature schema, hexadecimal.
    pub schema: String,
    /// Digest of the layout, hexadecimal.
    pub layout: String,
    /// Widths of the network.
    pub size: NetworkSize,
    /// Steps of training behind it.
    pub steps: u64,
    /// From logit to probability.
    pub calibration: Calibration,
    /// SHA-256 of the flat parameters as little-endian `f32`, hexadecimal.
    pub parameters: String,
    /// Which training it ended, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<Provenance>,
    /// Whether its energies were ever trained, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_pretrained: Option<bool>,
    /// Cards written by earlier builds have this field, and nothing in it.
    #[serde(default, skip_serializing)]
    report: Option<()>,
}

/// Where a released model comes from, as its consortium says it: for people, nobody's proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// What plans name it by, hexadecimal.
    pub root: String,
    /// The consortium, hexadecimal.
    pub session: String,
    /// The place of its last result in the consortium's ledger.
    pub sequence: u64,
    /// The kind of the plan that ended with it.
    pub kind: String,
    /// The plan's name,
    pub plan: String,
    /// and identity, hexadecimal.
    pub plan_id: String,
}

/// A model and its card.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// What it is.
    pub card: Card,
    /// Flat parameters in the order of the layout.
    pub parameters: Vec<f32>,
}

/// Why a checkpoint was not written or not believed.
#[derive(Debug, Error)]
pub enum CheckpointError {
    /// The disk refused.
    #[error("{path}: {source}")]
    Disk {
        /// File or folder.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// A file is larger than a checkpoint of this layout can be.
    #[error("{path} holds more than the {limit} bytes a checkpoint of this layout can have")]
    Oversized {
        /// The file.
        path: PathBuf,
        /// Most bytes expected.
        limit: u64,
    },
    /// The card is no card.
    #[error("{path} is no model card: {reason}")]
    Card {
        /// The file.
        path: PathBuf,
        /// What the parser found.
        reason: String,
    },
    /// The tensors are truncated, garbage, or of another shape.
    #[error("{path} holds no parameters of this layout: {reason}")]
    Tensors {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// What should be a learner's moments is truncated, garbage, or of another shape.
    #[error("{path} holds no moments of this layout: {reason}")]
    Moments {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The card names something else than what is at hand.
    #[error("{what} is {found}, expected {expected}")]
    Mismatch {
        /// Which field.
        what: &'static str,
        /// Its value in the card.
        found: String,
        /// The value at hand.
        expected: String,
    },
    /// The parameters do not fit the layout or are not finite.
    #[error(transparent)]
    Model(#[from] ModelError),
}

impl Checkpoint {
    /// A checkpoint of parameters that fit the schema's layout.
    ///
    /// # Errors
    /// If they do not fit or are not finite.
    pub fn new(
        schema: &FeatureSchema,
        size: NetworkSize,
        flat: Vec<f32>,
    ) -> Result<Self, CheckpointError> {
        let layout = layout(schema, size);
        parameters::check(&layout, &flat)?;
        let card = Card {
            version: VERSION,
            schema: hex(&schema.digest()),
            layout: hex(&digest(&layout)),
            size,
            steps: 0,
            calibration: Calibration::default(),
            parameters: parameters_digest(&flat),
            release: None,
            is_pretrained: None,
            report: None,
        };
        Ok(Self {
            card,
            parameters: flat,
        })
    }

    /// Writes both files into `folder`, durably, each under another name first, so that a reader
    /// never sees half a file. The card goes last: without it there is no checkpoint.
    ///
    /// # Errors
    /// If the disk refuses, or the parameters were changed after [`Checkpoint::new`].
    pub fn save(&self, schema: &FeatureSchema, folder: &Path) -> Result<(), CheckpointError> {
        let layout = layout(schema, self.card.size);
        self.check(schema, &layout)?;
        let tensors = to_safetensors(&layout, &self.parameters, folder)?;
        write(folder, TENSORS, &tensors)?;
        let card = serde_json::to_vec_pretty(&self.card).expect("a card is plain data");
        write(folder, CARD, &card)
    }

    /// Takes the card out of `folder`, durably: without it there is no checkpoint. Where there was
    /// none, nothing is done.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn remove(folder: &Path) -> Result<(), CheckpointError> {
        let card = folder.join(CARD);
        match fs::remove_file(&card) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(at(&card)).and_then(|()| sync(folder)),
        }
    }

    /// Reads a checkpoint and believes it only if schema, layout and digests agree.
    ///
    /// # Errors
    /// [`CheckpointError`], naming what was found and what was expected.
    pub fn load(schema: &FeatureSchema, folder: &Path) -> Result<Self, CheckpointError> {
        let path = folder.join(CARD);
        let card: Card =
            serde_json::from_slice(&read(&path, OVERHEAD_BYTES_MAX)?).map_err(|error| {
                CheckpointError::Card {
                    path,
                    reason: error.to_string(),
                }
            })?;
        expect("version", card.version.to_string(), VERSION.to_string())?;
        expect("schema", card.schema.clone(), hex(&schema.digest()))?;
        let layout = layout(schema, card.size);
        let path = folder.join(TENSORS);
        let limit = 4 * parameters::count(&layout) as u64 + OVERHEAD_BYTES_MAX;
        let parameters = from_safetensors(&layout, &read(&path, limit)?, &path)?;
        let checkpoint = Self { card, parameters };
        checkpoint.check(schema, &layout)?;
        Ok(checkpoint)
    }

    fn check(&self, schema: &FeatureSchema, specs: &[TensorSpec]) -> Result<(), CheckpointError> {
        expect("schema", self.card.schema.clone(), hex(&schema.digest()))?;
        expect("layout", self.card.layout.clone(), hex(&digest(specs)))?;
        parameters::check(specs, &self.parameters)?;
        let found = parameters_digest(&self.parameters);
        expect("parameters", found, self.card.parameters.clone())
    }
}

pub(crate) fn expect(
    what: &'static str,
    found: String,
    expected: String,
) -> Result<(), CheckpointError> {
    if found == expected {
        Ok(())
    } else {
        Err(CheckpointError::Mismatch {
            what,
            found,
            expected,
        })
    }
}

/// SHA-256 of flat parameters as little-endian `f32`, hexadecimal.
pub fn parameters_digest(flat: &[f32]) -> String {
    let mut hash = Sha256::new();
    for value in flat {
        hash.update(value.to_le_bytes());
    }
    hex(&hash.finalize())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn to_safetensors(
    layout: &[TensorSpec],
    flat: &[f32],
    folder: &Path,
) -> Result<Vec<u8>, CheckpointError> {
    let bytes: Vec<u8> = flat.iter().flat_map(|value| value.to_le_bytes()).collect();
    let broken = |reason: String| CheckpointError::Tensors {
        path: folder.into(),
        reason,
    };
    let mut rest = bytes.as_slice();
    let mut views = Vec::with_capacity(layout.len());
    for spec in layout {
        let (own, after) = rest.split_at(4 * spec.count());
        rest = after;
        let shape = spec.shape.iter().map(|&n| n as usize).collect();
        let view = TensorView::new(Dtype::F32, shape, own).map_err(|e| broken(e.to_string()))?;
        views.push((spec.name.clone(), view));
    }
    serialize(views, None).map_err(|error| broken(error.to_string()))
}

fn from_safetensors(
    layout: &[TensorSpec],
    bytes: &[u8],
    path: &Path,
) -> Result<Vec<f32>, CheckpointError> {
    let broken = |reason: String| CheckpointError::Tensors {
        path: path.into(),
        reason,
    };
    let tensors = SafeTensors::deserialize(bytes).map_err(|error| broken(error.to_string()))?;
    if tensors.len() != layout.len() {
        let (found, expected) = (tensors.len(), layout.len());
        return Err(broken(format!("{found} tensors, expected {expected}")));
    }
    // Not as many as the card says: the file is there, and the card may say anything.
    let mut flat = Vec::with_capacity(bytes.len() / 4);
    for spec in layout {
        let view = tensors
            .tensor(&spec.name)
            .map_err(|error| broken(error.to_string()))?;
        let shape: Vec<usize> = spec.shape.iter().map(|&n| n as usize).collect();
        if view.dtype() != Dtype::F32 || view.shape() != shape {
            let found = format!("{:?} {:?}", view.dtype(), view.shape());
            return Err(broken(format!(
                "{} is {found}, expected F32 {shape:?}",
                spec.name
            )));
        }
        let (values, _) = view.data().as_chunks::<4>();
        flat.extend(values.iter().map(|value| f32::from_le_bytes(*value)));
    }
    Ok(flat)
}

/// Writes a file of `folder`, which is made where it is missing, in one piece: a reader finds what
/// was there before, or all of it.
pub(crate) fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), CheckpointError> {
    fs::create_dir_all(folder).map_err(at(folder))?;
    let path = folder.join(name);
    let partial = path.with_extension("partial");
    let mut file = File::create(&partial).map_err(at(&partial))?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(at(&partial))?;
    fs::rename(&partial, &path).map_err(at(&path))?;
    sync(folder)
}

/// Makes durable which names there are in a folder.
fn sync(folder: &Path) -> Result<(), CheckpointError> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(at(folder))
}

/// A whole file, refused above `limit` bytes.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, CheckpointError> {
    let file = File::open(path).map_err(at(path))?;
    let mut bytes = Vec::new();
    file.take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(at(path))?;
    if bytes.len() as u64 > limit {
        return Err(CheckpointError::Oversized {
            path: path.into(),
            limit,
        });
    }
    Ok(bytes)
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> CheckpointError {
    let path = path.to_owned();
    move |source| CheckpointError::Disk { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::genesis;
    use crate::synthetic;

    fn saved() -> (tempfile::TempDir, FeatureSchema, Checkpoint) {
        let schema = synthetic::schema();
        let flat = genesis(&layout(&schema, NetworkSize::default()), 1);
        let mut made = Checkpoint::new(&schema, NetworkSize::default(), flat).unwrap();
        made.card.steps = 300;
        made.card.calibration = Calibration { a: 0.9, b: -0.1 };
        let folder = tempfile::tempdir().unwrap();
        made.save(&schema, folder.path()).unwrap();
        (folder, schema, made)
    }

    #[test]
    fn what_is_saved_is_loaded_bit_for_bit() {
        let (folder, schema, made) = saved();
        assert_eq!(Checkpoint::load(&schema, folder.path()).unwrap(), made);
        let names: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(names.len(), 2, "no partial file is left");
    }

    #[test]
    fn a_card_of_an_earlier_build_is_read() {
        let (folder, schema, made) = saved();
        let path = folder.path().join(CARD);
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains("report"), "{text}");
        let with = |report: &str| {
            let field = format!("\"report\": {report},\n  \"parameters\"");
            fs::write(&path, text.replacen("\"parameters\"", &field, 1)).unwrap();
            Checkpoint::load(&schema, folder.path())
        };
        assert_eq!(with("null").unwrap(), made);
        let error = with("{\"loss\": 1.0}").unwrap_err();
        assert!(matches!(error, CheckpointError::Card { .. }), "{error}");
    }

    #[test]
    fn what_is_removed_is_not_there_and_removing_it_twice_does_no_harm() {
        let (folder, schema, made) = saved();
        for _ in 0..2 {
            Checkpoint::remove(folder.path()).unwrap();
            let error = Checkpoint::load(&schema, folder.path()).unwrap_err();
            let is_away = matches!(
                &error,
                CheckpointError::Disk { source, .. } if source.kind() == io::ErrorKind::NotFound
            );
            assert!(is_away, "{error}");
        }
        Checkpoint::remove(&folder.path().join("none")).unwrap();
        made.save(&schema, folder.path()).unwrap();
        assert_eq!(Checkpoint::load(&schema, folder.path()).unwrap(), made);
    }

    #[test]
    fn a_truncated_file_is_refused() {
        let (folder, schema, _) = saved();
        let path = folder.path().join(TENSORS);
        let bytes = fs::read(&path).unwrap();
        for length in [0, 7, 100, bytes.len() - 1] {
            fs::write(&path, &bytes[..length]).unwrap();
            let error = Checkpoint::load(&schema, folder.path()).unwrap_err();
            assert!(
                matches!(error, CheckpointError::Tensors { .. }),
                "{length}: {error}"
            );
        }
    }

    #[test]
    fn one_flipped_bit_is_refused_by_the_digest() {
        let (folder, schema, _) = saved();
        let path = folder.path().join(TENSORS);
        let mut bytes = fs::read(&path).unwrap();
        let last = bytes.len() - 3;
        bytes[last] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let error = Checkpoint::load(&schema, folder.path()).unwrap_err();
        let is_digest = matches!(
            error,
            CheckpointError::Mismatch {
                what: "parameters",
                ..
            }
        );
        assert!(is_digest, "{error}");
    }

    #[test]
    fn garbage_is_refused() {
        let (folder, schema, _) = saved();
        fs::write(folder.path().join(TENSORS), [0xAB; 5_000]).unwrap();
        let error = Checkpoint::load(&schema, folder.path()).unwrap_err();
        assert!(matches!(error, CheckpointError::Tensors { .. }), "{error}");
        fs::write(folder.path().join(CARD), b"not json").unwrap();
        let error = Checkpoint::load(&schema, folder.path()).unwrap_err();
        assert!(matches!(error, CheckpointError::Card { .. }), "{error}");
        fs::write(folder.path().join(CARD), vec![b' '; 2 << 20]).unwrap();
        let error = Checkpoint::load(&schema, folder.path()).unwrap_err();
        assert!(
            matches!(error, CheckpointError::Oversized { .. }),
            "{error}"
        );
    }

    #[test]
    fn another_schema_is_refused() {
        let (folder, schema, _) = saved();
        let text = schema
            .canonical()
            .replacen("center = 3.6", "center = 4.6", 1);
        let schema = FeatureSchema::parse(&text).unwrap();
        let error = Checkpoint::load(&schema, folder.path()).unwrap_err();
        assert!(
            matches!(error, CheckpointError::Mismatch { what: "schema", .. }),
            "{error}"
        );
    }
}
