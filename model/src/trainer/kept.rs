//! Where a learner stands, in a folder: moments, steps and draws of both trainings, so that another
//! one with the same parameters goes on with the same bytes. The parameters are not in it: they
//! have a file of their own (`checkpoint`), and in a federation they come with each round.
//!
//! `moments.safetensors` holds the numbers, and what they are in its header: one file, so that it
//! is replaced whole or not at all. Nothing read from disk is trusted before its digest.

use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::{Dtype, Metadata, SafeTensorError, SafeTensors, TensorView, serialize};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Descent, Learner, finetune, pretrain};
use crate::adam::Adam;
use crate::chance::{Chance, Draws};
use crate::checkpoint::{CheckpointError, OVERHEAD_BYTES_MAX, expect, hex, read, write};
use crate::network;

const VERSION: u32 = 1;
const FILE: &str = "moments.safetensors";
/// Two walks over 32 million rows each.
const WALKS_BYTES_MAX: u64 = 1 << 28;
/// Names in the header: what the numbers are, and the digest of that and of them.
const NOTE: &str = "learner";
const DIGEST: &str = "digest";

/// What the numbers are.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    version: u32,
    /// Which training it is of, hexadecimal.
    lineage: String,
    /// Digest of the layout, hexadecimal.
    layout: String,
    pretrain: Stand,
    finetune: Stand,
}

/// Where one training stands, beside its numbers.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stand {
    steps: i32,
    walk: Option<Walk>,
}

/// Where draws stand, beside the order of rows.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Walk {
    seed: u64,
    /// Words drawn of the seed's stream.
    words: u64,
    /// Rows drawn of the order.
    next: usize,
}

impl Learner {
    /// Writes moments, steps and draws into `folder`, durably and in one piece; not the parameters.
    /// `lineage` is whatever tells this training from others.
    ///
    /// # Errors
    /// If the disk refuses, or draws go over too many rows.
    pub fn keep(&self, lineage: &[u8; 32], folder: &Path) -> Result<(), CheckpointError> {
        let note = Note {
            version: VERSION,
            lineage: hex(lineage),
            layout: hex(&network::digest(&self.layout)),
            pretrain: self.pretrain.stand(),
            finetune: self.finetune.stand(),
        };
        let note = serde_json::to_string(&note).expect("a note is plain data");
        let numbers = [self.pretrain.numbers(), self.finetune.numbers()];
        let numbers: Vec<Vec<u8>> = numbers.into_iter().flatten().collect();
        let path = folder.join(FILE);
        let header = HashMap::from([
            (DIGEST.to_owned(), digest(&note, &numbers)),
            (NOTE.to_owned(), note),
        ]);
        let views = names().zip(&numbers).map(|(name, bytes)| {
            let view = TensorView::new(dtype(&name), vec![bytes.len() / 4], bytes);
            view.map(|view| (name, view))
        });
        let made = views
            .collect::<Result<Vec<_>, SafeTensorError>>()
            .and_then(|views| serialize(views, Some(header)));
        let bytes = made.map_err(|error| broken(&path, error.to_string()))?;
        let limit = self.bytes_max();
        if bytes.len() as u64 > limit {
            return Err(CheckpointError::Oversized { path, limit });
        }
        write(folder, FILE, &bytes)
    }

    /// Goes on from what [`Learner::keep`] wrote of a learner of this lineage and layout, with the
    /// parameters that it has.
    ///
    /// # Errors
    /// [`CheckpointError`], naming what was found and what was expected; the learner is as it was.
    pub fn resume(&mut self, lineage: &[u8; 32], folder: &Path) -> Result<(), CheckpointError> {
        let path = folder.join(FILE);
        let bytes = read(&path, self.bytes_max())?;
        let (header, tensors) = parse(&bytes).map_err(|reason| broken(&path, reason))?;
        let said = |name: &str| {
            let said = header.metadata().as_ref().and_then(|said| said.get(name));
            said.ok_or_else(|| broken(&path, format!("its header lacks {name}")))
        };
        let text = said(NOTE)?;
        let note: Note =
            serde_json::from_str(text).map_err(|error| broken(&path, error.to_string()))?;
        expect("version", note.version.to_string(), VERSION.to_string())?;
        expect("lineage", note.lineage, hex(lineage))?;
        expect("layout", note.layout, hex(&network::digest(&self.layout)))?;
        let numbers = numbers(&tensors).map_err(|reason| broken(&path, reason))?;
        expect("digest", digest(text, &numbers), said(DIGEST)?.clone())?;
        let [pretrain, finetune] = [
            (note.pretrain, &numbers[..3], pretrain::TRAINING),
            (note.finetune, &numbers[3..], finetune::TRAINING),
        ]
        .map(|(stand, numbers, purpose)| {
            Descent::of(stand, numbers, (self.parameters.len(), purpose))
        });
        let wrong = |reason| broken(&path, reason);
        (self.pretrain, self.finetune) = (pretrain.map_err(wrong)?, finetune.map_err(wrong)?);
        Ok(())
    }

    fn bytes_max(&self) -> u64 {
        16 * self.parameters.len() as u64 + WALKS_BYTES_MAX + OVERHEAD_BYTES_MAX
    }
}

impl Descent {
    fn stand(&self) -> Stand {
        let walk = |draws: &Draws| Walk {
            seed: draws.seed,
            words: draws.chance.words(),
            next: draws.next,
        };
        Stand {
            steps: self.adam.steps(),
            walk: self.draws.as_ref().map(walk),
        }
    }

    /// Both moments, and the order of rows, which is empty without draws; little-endian.
    fn numbers(&self) -> [Vec<u8>; 3] {
        let [first, second] = self.adam.moments().map(|values| {
            values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect()
        });
        let order = self.draws.iter().flat_map(|draws| &draws.order);
        [
            first,
            second,
            order.flat_map(|at| at.to_le_bytes()).collect(),
        ]
    }

    /// The reverse of [`Self::stand`] and [`Self::numbers`], for so many parameters.
    fn of(
        stand: Stand,
        numbers: &[Vec<u8>],
        (parameters, purpose): (usize, u64),
    ) -> Result<Self, String> {
        let [first, second] = [0, 1].map(|at| words(&numbers[at], f32::from_le_bytes));
        for moments in [&first, &second] {
            if moments.len() != parameters {
                let found = moments.len();
                return Err(format!("{found} moments, expected {parameters}"));
            }
        }
        let is_sound = |(first, second): (&f32, &f32)| {
            first.is_finite() && second.is_finite() && *second >= 0.0
        };
        if stand.steps < 0 || !first.iter().zip(&second).all(is_sound) {
            return Err("moments that no training has".to_owned());
        }
        let order = words(&numbers[2], u32::from_le_bytes);
        let draws = match stand.walk {
            Some(walk) => {
                let mut sorted = order.clone();
                sorted.sort_unstable();
                let is_walk = sorted.into_iter().eq(0..order.len() as u32);
                if order.is_empty() || !is_walk || walk.next > order.len() {
                    return Err("draws that walk over no rows".to_owned());
                }
                Some(Draws {
                    seed: walk.seed,
                    chance: Chance::at(walk.seed, purpose, walk.words),
                    order,
                    next: walk.next,
                })
            }
            None => None,
        };
        Ok(Self {
            adam: Adam::with(first, second, stand.steps),
            draws,
        })
    }
}

/// The tensors of a file, in the order of the numbers.
fn names() -> impl Iterator<Item = String> {
    let of = |training: &str| ["first", "second", "order"].map(|what| format!("{training}.{what}"));
    ["pretrain", "finetune"].into_iter().flat_map(of)
}

fn dtype(name: &str) -> Dtype {
    match name.ends_with("order") {
        true => Dtype::U32,
        false => Dtype::F32,
    }
}

fn parse(bytes: &[u8]) -> Result<(Metadata, SafeTensors<'_>), String> {
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| error.to_string())?;
    let tensors = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
    Ok((header, tensors))
}

fn numbers(tensors: &SafeTensors<'_>) -> Result<Vec<Vec<u8>>, String> {
    let bytes = |name: String| {
        let view = tensors.tensor(&name).map_err(|error| error.to_string())?;
        let expected = dtype(&name);
        match view.dtype() == expected {
            true => Ok(view.data().to_vec()),
            false => Err(format!(
                "{name} is {:?}, expected {expected:?}",
                view.dtype()
            )),
        }
    };
    names().map(bytes).collect()
}

/// SHA-256 over the note and the numbers, each with its length in front, hexadecimal.
fn digest(note: &str, numbers: &[Vec<u8>]) -> String {
    let mut hash = Sha256::new();
    for part in [note.as_bytes()]
        .into_iter()
        .chain(numbers.iter().map(Vec::as_slice))
    {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hex(&hash.finalize())
}

/// Little-endian words of four bytes.
fn words<T>(bytes: &[u8], word: fn([u8; 4]) -> T) -> Vec<T> {
    let (words, _) = bytes.as_chunks::<4>();
    words.iter().map(|bytes| word(*bytes)).collect()
}

fn broken(path: &Path, reason: String) -> CheckpointError {
    CheckpointError::Moments {
        path: path.to_owned(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::tests::{finetune_terms, learner, pretrain_terms};
    use super::super::{FinetuneTerms, PretrainTerms};
    use super::*;
    use crate::examples::Examples;
    use crate::network::NetworkSize;
    use crate::synthetic;

    const LINEAGE: [u8; 32] = [7; 32];

    /// So many steps at one rate: along a cosine a call says where it ends.
    fn pretrain(learner: &mut Learner, examples: &Examples, steps: u32) {
        let terms = PretrainTerms {
            rate_end: 3e-3,
            batch: 48,
            ..pretrain_terms(steps)
        };
        learner.pretrain(examples, &terms, &mut ()).unwrap();
    }

    fn finetune(learner: &mut Learner, examples: &Examples, steps: u32) {
        let terms = FinetuneTerms {
            batch: 48,
            ..finetune_terms(steps)
        };
        learner.finetune(examples, &terms, &mut ()).unwrap();
    }

    fn bits(learner: &Learner) -> Vec<u32> {
        learner.parameters.iter().map(|p| p.to_bits()).collect()
    }

    // 48 rows a step of 180 and 200: the stop lies within a walk, after at least one whole one.
    // Planted, each fails here: `words`, `next`, `order`, `steps` or either moment left as new.
    #[test]
    fn a_run_that_was_stopped_and_taken_up_again_ends_with_the_bits_of_one_that_was_not() {
        let examples = synthetic::population(40, 5, 1);
        let [one, two]: [fn(&mut Learner, &Examples, u32); 2] = [pretrain, finetune];
        for (steps, other) in [(one, two), (two, one)] {
            let folder = tempfile::tempdir().unwrap();
            let mut whole = learner(3);
            // The other training's moments must not be taken for this one's.
            other(&mut whole, &examples, 2);
            let mut stopped = learner(3);
            other(&mut stopped, &examples, 2);
            steps(&mut whole, &examples, 10);
            steps(&mut stopped, &examples, 5);
            stopped.keep(&LINEAGE, folder.path()).unwrap();
            let flat = stopped.parameters();
            drop(stopped);
            let schema = synthetic::schema();
            let mut taken_up = Learner::new(&schema, NetworkSize::default(), &flat).unwrap();
            taken_up.resume(&LINEAGE, folder.path()).unwrap();
            steps(&mut taken_up, &examples, 5);
            assert_eq!(bits(&taken_up), bits(&whole));
            other(&mut taken_up, &examples, 3);
            other(&mut whole, &examples, 3);
            assert_eq!(bits(&taken_up), bits(&whole));
        }
    }

    /// A learner whose state is kept in the folder.
    fn kept() -> (tempfile::TempDir, Learner) {
        let (folder, mut kept) = (tempfile::tempdir().unwrap(), learner(3));
        finetune(&mut kept, &synthetic::population(20, 5, 1), 3);
        kept.keep(&LINEAGE, folder.path()).unwrap();
        (folder, kept)
    }

    // A disk that refuses, or a process that ends, leaves the state before.
    #[test]
    fn one_file_is_left_and_the_next_state_takes_its_place() {
        let (folder, mut kept) = kept();
        finetune(&mut kept, &synthetic::population(20, 5, 1), 1);
        kept.keep(&LINEAGE, folder.path()).unwrap();
        let names = fs::read_dir(folder.path()).unwrap();
        let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, [FILE]);
        let mut taken_up = learner(3);
        taken_up.resume(&LINEAGE, folder.path()).unwrap();
        let steps = |learner: &Learner| learner.finetune.adam.steps();
        assert_eq!((steps(&taken_up), steps(&kept)), (4, 4));
    }

    #[test]
    fn who_forgets_draws_keeps_none_of_them() {
        let (folder, mut kept) = kept();
        kept.forget_draws();
        kept.keep(&LINEAGE, folder.path()).unwrap();
        let text = fs::read(folder.path().join(FILE)).unwrap();
        let text = String::from_utf8_lossy(&text);
        assert!(text.contains("steps") && !text.contains("seed"));
        let mut taken_up = learner(3);
        taken_up.resume(&LINEAGE, folder.path()).unwrap();
        assert!(taken_up.finetune.draws.is_none());
        assert_eq!(
            taken_up.finetune.adam.moments(),
            kept.finetune.adam.moments()
        );
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_refused_and_leaves_the_learner_as_it_was() {
        let (folder, _) = kept();
        let path = folder.path().join(FILE);
        let bytes = fs::read(&path).unwrap();
        let mut fresh = learner(3);
        let mut refuse = |changed: &[u8]| {
            fs::write(&path, changed).unwrap();
            let error = fresh.resume(&LINEAGE, folder.path()).unwrap_err();
            assert_eq!(fresh.finetune.adam.steps(), 0);
            error.to_string()
        };
        for at in (0..bytes.len()).step_by(bytes.len() / 97) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            refuse(&flipped);
        }
        for length in [0, 7, 100, bytes.len() - 1] {
            let error = refuse(&bytes[..length]);
            assert!(error.contains("holds no moments"), "{length}: {error}");
        }
        let mut longer = bytes.clone();
        longer.push(0);
        refuse(&longer);
        let said = bytes.windows(5).position(|said| said == b"steps").unwrap();
        let mut steps = bytes.clone();
        let three = steps[said..].iter_mut().find(|byte| **byte == b'3');
        *three.unwrap() = b'4';
        let error = refuse(&steps);
        assert!(error.starts_with("digest is "), "{error}");
    }

    #[test]
    fn another_lineage_and_another_layout_are_refused_by_name() {
        let (folder, _) = kept();
        let error = learner(3).resume(&[8; 32], folder.path()).unwrap_err();
        let expected = format!(
            "lineage is {}, expected {}",
            "07".repeat(32),
            "08".repeat(32)
        );
        assert_eq!(error.to_string(), expected);
        let (schema, size) = (synthetic::schema(), NetworkSize::default());
        let size = NetworkSize { head: 8, ..size };
        let flat = network::genesis(&network::layout(&schema, size), 1);
        let mut other = Learner::new(&schema, size, &flat).unwrap();
        let error = other.resume(&LINEAGE, folder.path()).unwrap_err();
        let is_layout = matches!(error, CheckpointError::Mismatch { what: "layout", .. });
        assert!(is_layout, "{error}");
        let none = tempfile::tempdir().unwrap();
        let error = learner(3).resume(&LINEAGE, none.path()).unwrap_err();
        assert!(matches!(error, CheckpointError::Disk { .. }), "{error}");
    }

    #[test]
    fn what_no_learner_has_is_refused_whatever_its_digest() {
        let stand = |walk| Stand { steps: 1, walk };
        let walk = |next| {
            Some(Walk {
                seed: 1,
                words: 4,
                next,
            })
        };
        let floats = |values: &[f32]| -> Vec<u8> {
            values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect()
        };
        let order =
            |places: &[u32]| -> Vec<u8> { places.iter().flat_map(|at| at.to_le_bytes()).collect() };
        let of = |stand, second: &[f32], places: &[u32]| {
            let numbers = [floats(&[1.0, -1.0]), floats(second), order(places)];
            Descent::of(stand, &numbers, (2, finetune::TRAINING)).map(|of| of.draws.is_some())
        };
        assert_eq!(of(stand(walk(2)), &[0.0, 1.0], &[1, 0, 2]), Ok(true));
        assert_eq!(of(stand(None), &[0.0, 1.0], &[]), Ok(false));
        assert!(of(stand(None), &[0.0], &[]).is_err());
        assert!(of(stand(None), &[0.0, -1.0], &[]).is_err());
        assert!(of(stand(None), &[0.0, f32::NAN], &[]).is_err());
        assert!(of(stand(walk(4)), &[0.0, 1.0], &[1, 0, 2]).is_err());
        assert!(of(stand(walk(0)), &[0.0, 1.0], &[]).is_err());
        assert!(of(stand(walk(0)), &[0.0, 1.0], &[1, 0, 3]).is_err());
        let negative = Stand {
            steps: -1,
            walk: None,
        };
        assert!(of(negative, &[0.0, 1.0], &[]).is_err());
    }
}
