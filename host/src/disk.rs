//! What is remembered: an append-only log of records and small tables, in one sled store. The only
//! file that names sled. What a record means, and how long it must live, its crate says.

use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use protocol::record::{ClientRecord, CoordinatorRecord, Lifetime};
use protocol::wire;
use serde::Serialize;
use serde::de::DeserializeOwned;

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

    /// The log named `name`.
    ///
    /// # Errors
    /// [`DiskError`] where the store cannot be used.
    pub fn log<R: Remembered>(&self, name: &str) -> Result<RecordLog<R>, DiskError> {
        let tree = |suffix: &str| {
            self.db
                .open_tree(format!("{name}/{suffix}"))
                .map_err(|error| DiskError::new("open", &self.path, error))
        };
        let log = RecordLog {
            store: self.clone(),
            ledger: tree("ledger")?,
            attempt: tree("attempt")?,
            next: 0,
            ended: None,
            records: PhantomData,
        };
        Ok(log)
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

/// A record that a [`RecordLog`] can keep.
pub trait Remembered: Serialize + DeserializeOwned {
    /// How long it must be kept.
    fn lifetime(&self) -> Lifetime;
}

impl Remembered for CoordinatorRecord {
    fn lifetime(&self) -> Lifetime {
        Self::lifetime(self)
    }
}

impl Remembered for ClientRecord {
    fn lifetime(&self) -> Lifetime {
        Lifetime::Ledger
    }
}

/// An append-only log. Records of a running attempt lie apart, and go when the attempt has ended.
#[derive(Debug)]
pub struct RecordLog<R> {
    store: Store,
    ledger: sled::Tree,
    attempt: sled::Tree,
    next: u64,
    ended: Option<u64>,
    records: PhantomData<R>,
}

impl<R: Remembered> RecordLog<R> {
    /// Reads every record still alive, in the order they were appended, and positions the log
    /// after the last.
    ///
    /// # Errors
    /// [`DiskError`] where the store cannot be read or a record does not decode: then the log is
    /// damaged, and a backup must be restored.
    pub fn replay(&mut self) -> Result<Vec<R>, DiskError> {
        let mut found = Vec::new();
        let mut last_end = None;
        for (number, record) in self.scan(&self.ledger)? {
            if record.lifetime() == Lifetime::EndsAttempt {
                last_end = Some(number);
            }
            found.push((number, record));
        }
        let running = self.scan(&self.attempt)?;
        // A crash between ending an attempt and dropping its records leaves them behind.
        found.extend(
            running
                .into_iter()
                .filter(|(number, _)| last_end < Some(*number)),
        );
        found.sort_by_key(|(number, _)| *number);
        self.next = found.last().map_or(0, |(number, _)| number + 1);
        Ok(found.into_iter().map(|(_, record)| record).collect())
    }

    /// Appends a record; durable after the next [`Self::settle`].
    ///
    /// # Errors
    /// [`DiskError`] where the store cannot be written.
    pub fn append(&mut self, record: &R) -> Result<(), DiskError> {
        let lifetime = record.lifetime();
        let tree = match lifetime {
            Lifetime::Attempt => &self.attempt,
            Lifetime::Ledger | Lifetime::EndsAttempt => &self.ledger,
        };
        let bytes = wire::encode(record);
        tree.insert(self.next.to_be_bytes(), bytes)
            .map_err(|error| DiskError::new("append to", &self.store.path, error))?;
        if lifetime == Lifetime::EndsAttempt {
            self.ended = Some(self.next);
        }
        self.next += 1;
        Ok(())
    }

    /// Makes every appended record durable, then drops those of an attempt that has ended.
    ///
    /// # Errors
    /// [`DiskError`] where the disk refuses.
    pub fn settle(&mut self) -> Result<(), DiskError> {
        self.store.flush()?;
        let Some(ended) = self.ended.take() else {
            return Ok(());
        };
        for key in self.attempt.range(..ended.to_be_bytes()).keys() {
            let key = key.map_err(|error| DiskError::new("read", &self.store.path, error))?;
            self.attempt
                .remove(key)
                .map_err(|error| DiskError::new("prune", &self.store.path, error))?;
        }
        Ok(())
    }

    fn scan(&self, tree: &sled::Tree) -> Result<Vec<(u64, R)>, DiskError> {
        let mut found = Vec::new();
        for entry in tree {
            let (key, value) =
                entry.map_err(|error| DiskError::new("read", &self.store.path, error))?;
            let number = <[u8; 8]>::try_from(key.as_ref()).map(u64::from_be_bytes);
            let (Ok(number), Ok(record)) = (number, wire::decode(&value)) else {
                return Err(DiskError::Damaged {
                    path: self.store.path.clone(),
                    at: key.to_vec(),
                });
            };
            found.push((number, record));
        }
        Ok(found)
    }
}

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

    /// Removes what is under `key`.
    ///
    /// # Errors
    /// [`DiskError`] where the store cannot be written.
    pub fn remove(&self, key: &[u8]) -> Result<(), DiskError> {
        self.tree
            .remove(key)
            .map_err(|error| DiskError::new("write", &self.store.path, error))?;
        Ok(())
    }

    /// Every key and value, in key order.
    ///
    /// # Errors
    /// Each item is an error where the store cannot be read.
    pub fn entries(&self) -> impl Iterator<Item = Result<(Vec<u8>, Vec<u8>), DiskError>> + '_ {
        self.tree.iter().map(|entry| {
            entry
                .map(|(key, value)| (key.to_vec(), value.to_vec()))
                .map_err(|error| DiskError::new("read", &self.store.path, error))
        })
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
    #[error("could not {what} the store at {}: {error}", path.display())]
    Store {
        /// What was tried.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why, in the store's words.
        error: String,
    },
    /// A record does not decode.
    #[error("the store at {} is damaged at key {at:02x?}: restore a backup", path.display())]
    Damaged {
        /// Where.
        path: PathBuf,
        /// The record's key.
        at: Vec<u8>,
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
}

/// Pages kept in memory: the logs are read once, at the start, so a small cache serves.
const CACHE_BYTES: u64 = 16 << 20;

#[cfg(test)]
mod tests {
    use crypto::Digest;
    use protocol::id::{Attempt, ClientId, RoundId, Seat, Seats};
    use protocol::message::{Abandoned, Cause};
    use protocol::time::Time;

    use super::*;

    fn escrowed(seat: u16) -> CoordinatorRecord {
        CoordinatorRecord::Escrowed([Seat(seat)].into_iter().collect::<Seats>())
    }

    fn ended() -> CoordinatorRecord {
        let abandoned = Abandoned {
            round: RoundId(1),
            attempt: Attempt(0),
            cause: Cause::Escrows,
        };
        CoordinatorRecord::Abandoned(Time(5), abandoned)
    }

    fn barred() -> CoordinatorRecord {
        CoordinatorRecord::Barred(ClientId(Digest([7; 32])))
    }

    #[test]
    fn records_come_back_in_order_and_a_finished_attempt_leaves_only_its_end() {
        let dir = tempfile::tempdir().unwrap();
        {
            let store = Store::open(dir.path()).unwrap();
            let mut log = store.log::<CoordinatorRecord>("coordinator").unwrap();
            assert!(log.replay().unwrap().is_empty());
            for record in [barred(), escrowed(1), escrowed(2), ended(), escrowed(3)] {
                log.append(&record).unwrap();
            }
            log.settle().unwrap();
        }
        let store = Store::open(dir.path()).unwrap();
        let mut log = store.log::<CoordinatorRecord>("coordinator").unwrap();
        assert_eq!(log.replay().unwrap(), [barred(), ended(), escrowed(3)]);
        log.append(&escrowed(4)).unwrap();
        log.settle().unwrap();
        assert_eq!(
            log.replay().unwrap(),
            [barred(), ended(), escrowed(3), escrowed(4)]
        );
    }

    #[test]
    fn a_crash_before_pruning_brings_no_stale_record_back() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let mut log = store.log::<CoordinatorRecord>("coordinator").unwrap();
        for record in [escrowed(1), ended()] {
            log.append(&record).unwrap();
        }
        store.flush().unwrap();
        let mut reopened = store.log::<CoordinatorRecord>("coordinator").unwrap();
        assert_eq!(reopened.replay().unwrap(), [ended()]);
    }

    #[test]
    fn a_damaged_record_is_named_and_stops_the_start() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        store
            .db
            .open_tree("coordinator/ledger")
            .unwrap()
            .insert([0; 8], &[255u8; 3])
            .unwrap();
        let mut log = store.log::<CoordinatorRecord>("coordinator").unwrap();
        let error = log.replay().unwrap_err().to_string();
        assert!(
            error.contains("damaged") && error.contains("backup"),
            "{error}"
        );
    }
}
