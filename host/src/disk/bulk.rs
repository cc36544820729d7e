//! `Bulk`: records too large for the store's pages, each in a file of its own, named by the
//! record's number. A file is whole and durable before the store hears of it; files that the store
//! knows nothing of are swept. What is in them, and how long it is kept, is the log's affair.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::DiskError;

/// A folder of numbered files.
#[derive(Debug)]
pub(super) struct Bulk {
    folder: PathBuf,
}

impl Bulk {
    /// Opens or creates the folder.
    pub(super) fn open(folder: PathBuf) -> Result<Self, DiskError> {
        fs::create_dir_all(&folder).map_err(|error| DiskError::new("open", &folder, error))?;
        Ok(Self { folder })
    }

    /// Writes a file, durably, its name too.
    pub(super) fn write(&self, number: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let path = self.path(number);
        let written = || -> io::Result<()> {
            let mut file = File::create(&path)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            File::open(&self.folder)?.sync_all()
        };
        written().map_err(|error| DiskError::new("write", &path, error))
    }

    /// A whole file, which must have this length.
    pub(super) fn read(&self, number: u64, length: u64) -> Result<Vec<u8>, DiskError> {
        let path = self.path(number);
        let bytes = fs::read(&path).map_err(|error| DiskError::damaged(&path, error))?;
        if bytes.len() as u64 != length {
            let found = format!("{} bytes, expected {length}", bytes.len());
            return Err(DiskError::damaged(&path, found));
        }
        Ok(bytes)
    }

    /// Some bytes of a file.
    pub(super) fn read_range(&self, number: u64, bytes: Range<u64>) -> Result<Vec<u8>, DiskError> {
        let path = self.path(number);
        let read = || -> io::Result<Vec<u8>> {
            let mut file = File::open(&path)?;
            file.seek(SeekFrom::Start(bytes.start))?;
            let length = usize::try_from(bytes.end - bytes.start).map_err(io::Error::other)?;
            let mut found = vec![0; length];
            file.read_exact(&mut found)?;
            Ok(found)
        };
        read().map_err(|error| DiskError::damaged(&path, error))
    }

    /// Removes a file, if it is there.
    pub(super) fn remove(&self, number: u64) -> Result<(), DiskError> {
        remove(&self.path(number))
    }

    /// Removes every file but these.
    pub(super) fn sweep(&self, kept: &BTreeSet<u64>) -> Result<(), DiskError> {
        let failed = |error| DiskError::new("sweep", &self.folder, error);
        for entry in fs::read_dir(&self.folder).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let digits = name.to_str().unwrap_or("");
            let number = u64::from_str_radix(digits, 16).ok();
            if number.is_none_or(|number| !kept.contains(&number)) {
                remove(&self.folder.join(name))?;
            }
        }
        Ok(())
    }

    fn path(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{number:016x}"))
    }
}

fn remove(path: &Path) -> Result<(), DiskError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(DiskError::new("prune", path, error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
