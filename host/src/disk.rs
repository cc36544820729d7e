//! What is remembered: append-only logs of a party's records (`disk/log.rs`) and small tables, in
//! one sled store, and logs of numbered records in files of their own (`disk/segments.rs`). Only
//! this file and `disk/log.rs` name sled. What a record means, and how long it must live, its crate
//! says.

use std::path::{Path, PathBuf};

mod bulk;
mod log;
mod segments;
#[cfg(test)]
mod tests;
mod visit;

pub use log::{RecordLog, Remembered, Replay};
pub use segments::{Flushed, Flushing, Oldest, SegmentReader, Segments, Torn};
pub use visit::Left;

/// A folder on disk with logs and tables in it. One process at a time.
#[derive(Clone, Debug)]
pub struct Store {
    db: sled::Db,
    path: PathBuf,
}

impl Store {
    /// Opens or creates the store at `path`.
    ///
    /// # Errors
    /// [`DiskError`] where the folder cannot be used, or another process holds it.
    pub fn open(path: &Path) -> Result<Self, DiskError> {
        let db = sled::Config::new()
            .path(path)
            .cache_capacity(CACHE_BYTES)
            // Durability is asked for, record by record, with `flush`.
            .flush_every_ms(None)
            .open()
            .map_err(|error| DiskError::new("open", path, error))?;
        Ok(Self {
            db,
            path: path.to_owned(),
        })
    }

    /// The table named `name`.
    ///
    /// # Errors
    /// [`DiskError`] where the store cannot be used.
    pub fn table(&self, name: &str) -> Result<Table, DiskError> {
        let tree = self
            .db
            .open_tree(name)
            .map_err(|error| DiskError::new("open", &self.path, error))?;
        Ok(Table {
            store: self.clone(),
            tree,
        })
    }

    /// The folder, for what lies beside the store and goes with it.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes everything written so far durable.
    ///
    /// # Errors
    /// [`DiskError`] where the disk refuses.
    pub fn flush(&self) -> Result<(), DiskError> {
        self.db
            .flush()
            .map_err(|error| DiskError::new("flush", &self.path, error))?;
        Ok(())
    }
}

/// A key and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// Keys and values, in key order.
#[derive(Clone, Debug)]
pub struct Table {
    store: Store,
    tree: sled::Tree,
}

impl Table {
    /// The value under `key`.
    ///
    /// # Errors
    /// [`DiskError`] where the store cannot be read.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, DiskError> {
        let value = self
            .tree
            .get(key)
            .map_err(|error| DiskError::new("read", &self.store.path, error))?;
        Ok(value.map(|bytes| bytes.to_vec()))
    }

    /// Puts a value under `key`; durable after the next [`Store::flush`].
    ///
    /// # Errors
    /// [`DiskError`] where the store cannot be written.
    pub fn put(&self, key: &[u8], value: &[u8]) -> Result<(), DiskError> {
        self.tree
            .insert(key, value)
            .map_err(|error| DiskError::new("write", &self.store.path, error))?;
        Ok(())
    }

    /// Removes a key and its value, if it is there; durable after the next [`Store::flush`].
    ///
    /// # Errors
    /// [`DiskError`] where the store cannot be written.
    pub fn remove(&self, key: &[u8]) -> Result<(), DiskError> {
        self.tree
            .remove(key)
            .map_err(|error| DiskError::new("write", &self.store.path, error))?;
        Ok(())
    }

    /// Every key from `first` on and its value, in key order.
    ///
    /// # Errors
    /// Each item is an error where the store cannot be read.
    pub fn entries_from<'a>(
        &'a self,
        first: &[u8],
    ) -> impl Iterator<Item = Result<Pair, DiskError>> + use<'a> {
        self.tree.range(first..).map(|entry| {
            entry
                .map(|(key, value)| (key.to_vec(), value.to_vec()))
                .map_err(|error| DiskError::new("read", &self.store.path, error))
        })
    }

    /// Removes every entry, in key order; durable after the next [`Store::flush`].
    ///
    /// # Errors
    /// [`DiskError`] where the store cannot be written.
    pub fn clear(&self) -> Result<(), DiskError> {
        self.tree
            .clear()
            .map_err(|error| DiskError::new("clear", &self.store.path, error))
    }

    /// The last key and its value; nothing in an empty table.
    ///
    /// # Errors
    /// [`DiskError`] where the store cannot be read.
    pub fn last(&self) -> Result<Option<Pair>, DiskError> {
        let last = self.tree.last();
        let last = last.map_err(|error| DiskError::new("read", &self.store.path, error))?;
        Ok(last.map(|(key, value)| (key.to_vec(), value.to_vec())))
    }

    /// How many entries; counts them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tree.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tree.is_empty()
    }
}

/// What can go wrong with the disk.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The store refused.
    #[error("could not {what} {}: {error}", path.display())]
    Store {
        /// What was tried.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why, in the store's words.
        error: String,
    },
    /// A record is not what was written.
    #[error("{} is damaged: {found}: restore a backup", path.display())]
    Damaged {
        /// The store, or the file of a large record or of a log.
        path: PathBuf,
        /// What is there.
        found: String,
    },
}

impl DiskError {
    fn new(what: &'static str, path: &Path, error: impl std::fmt::Display) -> Self {
        Self::Store {
            what,
            path: path.to_owned(),
            error: error.to_string(),
        }
    }

    fn damaged(path: &Path, found: impl std::fmt::Display) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            found: found.to_string(),
        }
    }
}

/// Pages kept in memory: the logs are read once, at the start, so a small cache serves.
const CACHE_BYTES: u64 = 16 << 20;
