//! An imagined disk: what was settled survives a death, what was not may be lost from any point
//! on. Records are kept as the bytes a real disk would hold, so that their encoding is tried too.

use std::marker::PhantomData;

use protocol::wire;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The records of one process.
pub(crate) struct Disk<R> {
    settled: Vec<Vec<u8>>,
    pending: Vec<Vec<u8>>,
    records: PhantomData<R>,
}

impl<R> Default for Disk<R> {
    fn default() -> Self {
        Self {
            settled: Vec::new(),
            pending: Vec::new(),
            records: PhantomData,
        }
    }
}

impl<R: Serialize + DeserializeOwned> Disk<R> {
    pub(crate) fn append(&mut self, record: &R) {
        self.pending.push(wire::encode(record));
    }

    /// Whether such a record was appended and is not durable yet.
    pub(crate) fn awaits(&self, is_such: impl Fn(&R) -> bool) -> bool {
        self.pending.iter().any(|bytes| is_such(&decode(bytes)))
    }

    /// Makes what was appended durable, and says what that is.
    pub(crate) fn settle(&mut self) -> Vec<R> {
        let records = self.pending.iter().map(|bytes| decode(bytes)).collect();
        self.settled.append(&mut self.pending);
        records
    }

    /// A death: of what was not settled, some first records may have reached the disk.
    pub(crate) fn lose(&mut self, kept_percent: usize) {
        self.pending
            .truncate(self.pending.len() * kept_percent / 100);
        self.settled.append(&mut self.pending);
    }

    /// What is there after a death, without what a saboteur has it forget.
    pub(crate) fn records(&self, is_forgotten: &dyn Fn(&R) -> bool) -> Vec<R> {
        let records = self.settled.iter().map(|bytes| decode(bytes));
        records.filter(|record| !is_forgotten(record)).collect()
    }
}

fn decode<R: DeserializeOwned>(bytes: &[u8]) -> R {
    wire::decode(bytes).expect("a record decodes as it was encoded")
}
