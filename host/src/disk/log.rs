//! `RecordLog`: an append-only log of records. Records of an attempt lie apart, and go when nobody
//! needs them any more; records above [`INLINE_BYTES_MAX`] lie in files of their own
//! (`disk/bulk.rs`), since the store keeps what it was given in memory. Replay gives one record at
//! a time: a log of any length takes the memory of its largest record.

use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;
use std::ops::Range;

use protocol::id::{Context, Seat};
use protocol::record::{ClientRecord, CoordinatorRecord, Lifetime, is_needed};
use protocol::wire;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::bulk::Bulk;
use super::{DiskError, Store};

/// A record that a [`RecordLog`] can keep.
pub trait Remembered: Serialize + DeserializeOwned {
    /// How long it must be kept.
    fn lifetime(&self) -> Lifetime;

    /// The masked vector that its encoding ends with, if any: whose it is, and its bytes.
    fn vector(&self) -> Option<(Context, Seat, &[u8])>;
}

impl Remembered for CoordinatorRecord {
    fn lifetime(&self) -> Lifetime {
        Self::lifetime(self)
    }

    fn vector(&self) -> Option<(Context, Seat, &[u8])> {
        Self::vector(self)
    }
}

impl Remembered for ClientRecord {
    fn lifetime(&self) -> Lifetime {
        Lifetime::Ledger
    }

    fn vector(&self) -> Option<(Context, Seat, &[u8])> {
        None
    }
}

/// An append-only log.
#[derive(Debug)]
pub struct RecordLog<R> {
    store: Store,
    ledger: sled::Tree,
    attempt: sled::Tree,
    /// The numbers of the records that ended attempts, with how: read before all others.
    ended: sled::Tree,
    bulk: Bulk,
    ends: Vec<(u64, Lifetime)>,
    /// Where the masked vectors of kept records are.
    vectors: BTreeMap<(Context, Seat), Place>,
    next: u64,
    is_stale: bool,
    records: PhantomData<R>,
}

/// Bytes of a record's encoding.
#[derive(Clone, Debug)]
struct Place {
    number: u64,
    bytes: Range<u64>,
}

impl Store {
    /// The log named `name`. [`RecordLog::replay`] it before anything is appended.
    ///
    /// # Errors
    /// [`DiskError`] where the store cannot be used.
    pub fn log<R: Remembered>(&self, name: &str) -> Result<RecordLog<R>, DiskError> {
        let tree = |suffix: &str| {
            self.db
                .open_tree(format!("{name}/{suffix}"))
                .map_err(|error| DiskError::new("open", &self.path, error))
        };
        Ok(RecordLog {
            ledger: tree("ledger")?,
            attempt: tree("attempt")?,
            ended: tree("ended")?,
            bulk: Bulk::open(self.path.join("bulk").join(name))?,
            store: self.clone(),
            ends: Vec::new(),
            vectors: BTreeMap::new(),
            next: 0,
            is_stale: false,
            records: PhantomData,
        })
    }
}

impl<R: Remembered> RecordLog<R> {
    /// Every record that is still needed, in the order they were appended; the log stands after
    /// the last. What a crash left behind that nobody needs is dropped.
    ///
    /// # Errors
    /// [`DiskError`] where the store cannot be read. Each item is an error where a record does not
    /// decode: then the log is damaged, and a backup must be restored.
    pub fn replay(&mut self) -> Result<Replay<'_, R>, DiskError> {
        self.ends = self.read_ends()?;
        self.vectors.clear();
        self.prune()?;
        let mut kept = BTreeSet::new();
        let mut numbers = Vec::new();
        for tree in [&self.ledger, &self.attempt] {
            for entry in tree {
                let (key, value) = entry.map_err(|error| self.failed("read", error))?;
                let number = self.number(&key)?;
                numbers.push(number);
                if value.first() == Some(&BULK) {
                    kept.insert(number);
                }
            }
        }
        self.bulk.sweep(&kept)?;
        numbers.sort_unstable();
        self.next = numbers.last().map_or(0, |number| number + 1);
        Ok(Replay {
            numbers: numbers.into_iter(),
            log: self,
        })
    }

    /// What `make` makes of the replayed records.
    ///
    /// # Errors
    /// As [`Self::replay`], for the log itself and for each record.
    pub fn recover<T>(
        &mut self,
        make: impl FnOnce(&mut dyn Iterator<Item = R>) -> T,
    ) -> Result<T, DiskError> {
        let mut failed = None;
        let records = self.replay()?;
        let made = make(&mut records.map_while(|record| {
            let record = record.map_err(|error| failed = Some(error));
            record.ok()
        }));
        failed.map_or(Ok(made), Err)
    }

    /// Appends a record; durable after the next [`Self::settle`].
    ///
    /// # Errors
    /// [`DiskError`] where the disk cannot be written.
    pub fn append(&mut self, record: &R) -> Result<(), DiskError> {
        let (number, lifetime) = (self.next, record.lifetime());
        let bytes = wire::encode(record);
        self.note_vector(number, record, bytes.len());
        let value = if bytes.len() > INLINE_BYTES_MAX {
            self.bulk.write(number, &bytes)?;
            let length = (bytes.len() as u64).to_be_bytes();
            [&[BULK][..], &length].concat()
        } else {
            [&[INLINE][..], &bytes].concat()
        };
        self.insert(self.tree(lifetime), number, value)?;
        if matches!(lifetime, Lifetime::Commits | Lifetime::Abandons) {
            let has_result = u8::from(lifetime == Lifetime::Commits);
            self.insert(&self.ended, number, vec![has_result])?;
            self.ends.push((number, lifetime));
            self.is_stale = true;
        }
        self.next += 1;
        Ok(())
    }

    /// Makes every appended record durable, then drops those that an end left without need.
    ///
    /// # Errors
    /// [`DiskError`] where the disk refuses.
    pub fn settle(&mut self) -> Result<(), DiskError> {
        self.store.flush()?;
        if std::mem::take(&mut self.is_stale) {
            self.prune()?;
        }
        Ok(())
    }

    /// Some bytes of a masked vector that is kept; none where it is not.
    ///
    /// # Errors
    /// [`DiskError`] where it cannot be read.
    pub fn vector(
        &self,
        context: Context,
        seat: Seat,
        bytes: Range<u64>,
    ) -> Result<Option<Vec<u8>>, DiskError> {
        let Some(place) = self.vectors.get(&(context, seat)) else {
            return Ok(None);
        };
        let (start, end) = (
            place.bytes.start + bytes.start,
            place.bytes.start + bytes.end,
        );
        if end > place.bytes.end {
            return Ok(None);
        }
        let value = self.attempt.get(place.number.to_be_bytes());
        let value = value.map_err(|error| self.failed("read", error))?;
        match value.as_deref() {
            Some([INLINE, encoded @ ..]) => {
                let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
                let found = range.and_then(|(start, end)| encoded.get(start..end));
                Ok(found.map(<[u8]>::to_vec))
            }
            Some([BULK, ..]) => self.bulk.read_range(place.number, start..end).map(Some),
            Some(_) | None => Ok(None),
        }
    }

    /// The record that committed the result at this place, from 0; none where there is none yet.
    ///
    /// # Errors
    /// [`DiskError`] where it cannot be read.
    pub fn committed(&mut self, place: u64) -> Result<Option<R>, DiskError> {
        let mut commits = self.ends.iter().filter(|end| end.1 == Lifetime::Commits);
        let number = usize::try_from(place).ok().and_then(|at| commits.nth(at));
        let number = number.map(|&(number, _)| number);
        number.map(|number| self.record(number)).transpose()
    }

    fn tree(&self, lifetime: Lifetime) -> &sled::Tree {
        match lifetime {
            Lifetime::Attempt => &self.attempt,
            Lifetime::Ledger | Lifetime::Commits | Lifetime::Abandons => &self.ledger,
        }
    }

    fn insert(&self, tree: &sled::Tree, number: u64, value: Vec<u8>) -> Result<(), DiskError> {
        tree.insert(number.to_be_bytes(), value)
            .map_err(|error| self.failed("append to", error))?;
        Ok(())
    }

    /// Where a record's masked vector lies within its encoding.
    fn note_vector(&mut self, number: u64, record: &R, length: usize) {
        if let Some((context, seat, words)) = record.vector() {
            let (end, words) = (length as u64, words.len() as u64);
            let bytes = end - words..end;
            self.vectors
                .insert((context, seat), Place { number, bytes });
        }
    }

    fn read_ends(&self) -> Result<Vec<(u64, Lifetime)>, DiskError> {
        let mut ends = Vec::new();
        for entry in &self.ended {
            let (key, value) = entry.map_err(|error| self.failed("read", error))?;
            let lifetime = match &*value {
                [0] => Lifetime::Abandons,
                [1] => Lifetime::Commits,
                other => return Err(self.damaged(&key, format!("an end of {other:02x?}"))),
            };
            ends.push((self.number(&key)?, lifetime));
        }
        Ok(ends)
    }

    /// Drops the records of attempts that nobody needs: first from the store, then their files. A
    /// crash in between leaves files, which the next replay sweeps.
    fn prune(&mut self) -> Result<(), DiskError> {
        let mut files = Vec::new();
        for entry in &self.attempt {
            let (key, value) = entry.map_err(|error| self.failed("read", error))?;
            let number = self.number(&key)?;
            if is_needed(number, &self.ends) {
                continue;
            }
            if value.first() == Some(&BULK) {
                files.push(number);
            }
            self.attempt
                .remove(key)
                .map_err(|error| self.failed("prune", error))?;
        }
        let ends = &self.ends;
        self.vectors
            .retain(|_, place| is_needed(place.number, ends));
        files.iter().try_for_each(|&file| self.bulk.remove(file))
    }

    fn record(&mut self, number: u64) -> Result<R, DiskError> {
        let key = number.to_be_bytes();
        let read = |tree: &sled::Tree| tree.get(key).map_err(|error| self.failed("read", error));
        let value = match read(&self.ledger)? {
            Some(value) => Some(value),
            None => read(&self.attempt)?,
        };
        let (record, length) = match value.as_deref() {
            Some([INLINE, bytes @ ..]) => (wire::decode(bytes), bytes.len()),
            Some([BULK, length @ ..]) => {
                let length = <[u8; 8]>::try_from(length).map(u64::from_be_bytes);
                let length = length.map_err(|_| self.damaged(&key, "no length of a file"))?;
                let bytes = self.bulk.read(number, length)?;
                (wire::decode(&bytes), bytes.len())
            }
            Some(_) | None => return Err(self.damaged(&key, "no record")),
        };
        let record: R = record.map_err(|error| self.damaged(&key, error))?;
        self.note_vector(number, &record, length);
        Ok(record)
    }

    fn number(&self, key: &[u8]) -> Result<u64, DiskError> {
        let number = <[u8; 8]>::try_from(key).map(u64::from_be_bytes);
        number.map_err(|_| self.damaged(key, "no number of a record"))
    }

    fn failed(&self, what: &'static str, error: sled::Error) -> DiskError {
        DiskError::new(what, &self.store.path, error)
    }

    fn damaged(&self, key: &[u8], found: impl std::fmt::Display) -> DiskError {
        DiskError::damaged(&self.store.path, format!("at key {key:02x?}: {found}"))
    }
}

/// The records of a log, one at a time.
#[derive(Debug)]
pub struct Replay<'a, R> {
    log: &'a mut RecordLog<R>,
    numbers: std::vec::IntoIter<u64>,
}

impl<R: Remembered> Iterator for Replay<'_, R> {
    type Item = Result<R, DiskError>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.log.record(self.numbers.next()?))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.numbers.size_hint()
    }
}

/// The longest encoding that the store keeps itself.
const INLINE_BYTES_MAX: usize = 32 << 10;

/// First byte of a value: the encoding follows.
const INLINE: u8 = 0;

/// First byte of a value: the length of a file follows.
const BULK: u8 = 1;
