//! What scoring remembers, on disk, with the place in the journal that it stands for: a restart
//! replays what came after it. What it holds is `scoring/remembered.rs`; how bytes lie in the file
//! is `snapshot/pieces.rs`; who makes one every quarter of an hour is `snapshot/keeper.rs`.
//!
//! A file is eight bytes `phxstate`, four of the format, three sections (header, profiles, rows of
//! late), and the SHA-256 of all before it. A section is pieces of up to a mebibyte, each with four
//! bytes of length before it, and a length of 0. All numbers are big endian.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crypto::{Digest, Hasher};
use features::{FeatureEncoder, FeatureSchema};
use model::Recent;
use protocol::wire;
use serde::{Deserialize, Serialize};

use crate::config::HistoryConfig;
use crate::history::HistoryError;
use crate::journal::{Follower, JournalError, Reach};
use crate::scoring::Remembered;

mod keeper;
mod pieces;

pub(crate) use keeper::{Keeper, Meters};

use pieces::{Hashed, PIECE_BYTES, read_section, write_section};

/// The snapshot of one store. No other process writes it.
#[derive(Clone, Debug)]
pub(crate) struct Snapshots {
    folder: PathBuf,
    origin: Origin,
}

/// What remembered state is a function of beside the journal. Another origin is other state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Origin {
    schema: Digest,
    /// History file, map and key, the days read, and what may be remembered.
    past: Digest,
}

/// What a snapshot says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Header {
    origin: Origin,
    entries: u64,
    labels: u64,
    /// Of the journal up to there: a backup of another day has other entries under these numbers.
    journal: Digest,
}

impl Origin {
    /// Reads the history's files through once, for their digests.
    ///
    /// # Errors
    /// [`HistoryError`], which names the file.
    pub(crate) fn of(config: &HistoryConfig, schema: &FeatureSchema) -> Result<Self, HistoryError> {
        let mut past = Hasher::default();
        for path in [&config.file, &config.map, &config.token_key] {
            let digest = digest_of(path).map_err(|error| HistoryError::File {
                path: path.clone(),
                error,
            })?;
            past.update(&digest.0);
        }
        past.update(&config.days.start.to_be_bytes());
        past.update(&config.days.end.to_be_bytes());
        past.update(&wire::encode(&config.limits));
        Ok(Self {
            schema: Digest(schema.digest()),
            past: past.finish(),
        })
    }
}

impl Snapshots {
    /// Those of the store in a folder, of state of this origin.
    pub(crate) fn new(folder: &Path, origin: Origin) -> Self {
        Self {
            folder: folder.to_owned(),
            origin,
        }
    }

    /// Writes a snapshot of what is remembered of a journal, and returns the bytes of its profiles.
    /// The one before it stays until this one is durable. The same state gives the same bytes.
    ///
    /// # Errors
    /// [`SnapshotError`] where the disk refuses, or the journal does not hold what is remembered.
    pub(crate) fn save(
        &self,
        remembered: &Remembered,
        journal: &Follower,
    ) -> Result<u64, SnapshotError> {
        let Reach { entries, labels } = remembered.place();
        let header = Header {
            origin: self.origin,
            entries,
            labels,
            journal: journal
                .fingerprint(remembered.place())?
                .ok_or(SnapshotError::Journal { entries, labels })?,
        };
        let (path, draft) = (self.path(), self.folder.join(DRAFT));
        let saved = || -> io::Result<u64> {
            let mut into =
                Hashed::new(BufWriter::with_capacity(PIECE_BYTES, File::create(&draft)?));
            into.write_all(MAGIC)?;
            into.write_all(&FORMAT.to_be_bytes())?;
            let (encoder, recent) = remembered.parts();
            write_section(&header, &mut into)?;
            let bytes = write_section(encoder, &mut into)?;
            write_section(recent, &mut into)?;
            let (mut into, digest) = into.finish();
            into.write_all(&digest.0)?;
            let file = into.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.sync_all()?;
            std::fs::rename(&draft, &path)?;
            File::open(&self.folder)?.sync_all()?;
            Ok(bytes)
        };
        saved().map_err(|error| {
            // Half a file would keep from the journal the room that it needs.
            let _ = std::fs::remove_file(&draft);
            SnapshotError::Io { path, error }
        })
    }

    /// Reads the snapshot; nothing where there is none.
    ///
    /// # Errors
    /// [`SnapshotError`] where it is torn, of another format or origin, or of another journal.
    pub(crate) fn load(&self, journal: &Follower) -> Result<Option<Remembered>, SnapshotError> {
        let path = self.path();
        let wrong = |error| SnapshotError::Io {
            path: path.clone(),
            error,
        };
        let mut file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(wrong)?,
        };
        let length = check_whole(&mut file).map_err(wrong)??;
        file.seek(SeekFrom::Start(LEAD_BYTES)).map_err(wrong)?;
        let mut from = BufReader::with_capacity(PIECE_BYTES, file).take(length - FRAME_BYTES);
        let header: Header = read_section(&mut from)?;
        self.check(&header, journal)?;
        let encoder: FeatureEncoder = read_section(&mut from)?;
        let recent: Recent = read_section(&mut from)?;
        if from.limit() > 0 {
            return Err(SnapshotError::Malformed("bytes left over".to_owned()));
        }
        let place = Reach {
            entries: header.entries,
            labels: header.labels,
        };
        Ok(Some(Remembered::at(place, encoder, recent)))
    }

    /// How long ago the snapshot became durable, by the machine's clock; zero where that was set
    /// back since, and nothing where there is none.
    pub(crate) fn age(&self) -> Option<Duration> {
        let made = std::fs::metadata(self.path()).and_then(|of| of.modified());
        made.ok().map(|made| made.elapsed().unwrap_or_default())
    }

    fn check(&self, header: &Header, journal: &Follower) -> Result<(), SnapshotError> {
        let (found, expected) = (header.origin, self.origin);
        if found.schema != expected.schema {
            return Err(SnapshotError::Schema {
                found: found.schema,
                expected: expected.schema,
            });
        }
        if found.past != expected.past {
            return Err(SnapshotError::Past);
        }
        let (entries, labels) = (header.entries, header.labels);
        match journal.fingerprint(Reach { entries, labels })? {
            Some(digest) if digest == header.journal => Ok(()),
            Some(_) | None => Err(SnapshotError::Journal { entries, labels }),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.join(NAME)
    }
}

/// Judges a file by its first and last bytes, and returns its length. What is inside is read only
/// after its digest was found right.
fn check_whole(file: &mut File) -> io::Result<Result<u64, SnapshotError>> {
    let length = file.metadata()?.len();
    if length < FRAME_BYTES {
        return Ok(Err(SnapshotError::Torn));
    }
    let mut lead = [0; LEAD_BYTES as usize];
    file.read_exact(&mut lead)?;
    let (magic, format) = lead.split_at(MAGIC.len());
    if magic != MAGIC {
        return Ok(Err(SnapshotError::Stranger));
    }
    let found = format
        .iter()
        .fold(0, |number, byte| number << 8 | u32::from(*byte));
    if found != FORMAT {
        return Ok(Err(SnapshotError::Format { found }));
    }
    file.seek(SeekFrom::Start(0))?;
    let mut hasher = Hasher::default();
    let mut rest = BufReader::with_capacity(PIECE_BYTES, file);
    hash(&mut (&mut rest).take(length - DIGEST_BYTES), &mut hasher)?;
    let mut told = [0; DIGEST_BYTES as usize];
    rest.read_exact(&mut told)?;
    Ok(match hasher.finish() == Digest(told) {
        true => Ok(length),
        false => Err(SnapshotError::Torn),
    })
}

fn digest_of(path: &Path) -> io::Result<Digest> {
    let mut hasher = Hasher::default();
    hash(&mut File::open(path)?, &mut hasher)?;
    Ok(hasher.finish())
}

fn hash(from: &mut impl Read, hasher: &mut Hasher) -> io::Result<()> {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match from.read(&mut piece)? {
            0 => return Ok(()),
            read => hasher.update(&piece[..read]),
        }
    }
}

/// Why a snapshot cannot be used, or made. Nothing is lost by it: the journal holds everything.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SnapshotError {
    /// The file cannot be read or written.
    #[error("could not use {}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Not a snapshot at all.
    #[error("found another kind of file, expected a snapshot")]
    Stranger,
    /// One of an earlier or later build.
    #[error("found snapshot format {found}, expected {FORMAT}")]
    Format {
        /// The format found.
        found: u32,
    },
    /// Cut off, or with a bit turned.
    #[error("found a torn snapshot, expected one whose digest is right")]
    Torn,
    /// Made for another schema.
    #[error("found a snapshot of schema {found}, expected {expected}")]
    Schema {
        /// The schema found.
        found: Digest,
        /// The agent's own.
        expected: Digest,
    },
    /// Made from something else than the history that is configured.
    #[error(
        "found a snapshot of another history, map, key, days or limits, expected the configured"
    )]
    Past,
    /// Made from another journal.
    #[error(
        "found a snapshot of {entries} payments and {labels} labels that the journal does not hold"
    )]
    Journal {
        /// Payments that it knows.
        entries: u64,
        /// Labels that it knows.
        labels: u64,
    },
    /// Whole, and yet not what this build writes.
    #[error("malformed snapshot: {0}")]
    Malformed(String),
    /// There is none to go on from.
    #[error("found no snapshot, expected the one that the start makes")]
    Missing,
    /// The journal cannot be read.
    #[error(transparent)]
    Read(#[from] JournalError),
}

const NAME: &str = "state.snapshot";
const DRAFT: &str = "state.snapshot.draft";
const MAGIC: &[u8; 8] = b"phxstate";

/// Format of a snapshot. A change to what a section holds, or to what comes of the same payments,
/// is a change of this number: an older snapshot is refused then, and the journal replayed.
const FORMAT: u32 = 4;

const LEAD_BYTES: u64 = 12;
const DIGEST_BYTES: u64 = 32;
const FRAME_BYTES: u64 = LEAD_BYTES + DIGEST_BYTES;

#[cfg(test)]
mod tests;
