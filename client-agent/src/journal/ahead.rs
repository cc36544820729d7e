//! Records read ahead for somebody who reads one after the other: a stretch of them costs the disk
//! one call. What is in a record, `journal.rs` says.

use std::collections::VecDeque;
use std::fmt;

use host::disk::{DiskError, SegmentReader};

/// Records that were read and not yet asked for. A clone begins with none.
#[derive(Default)]
pub(super) struct Ahead(VecDeque<(u64, Vec<u8>)>);

impl Ahead {
    /// The record of a number; nothing where there is none. No number from `end` on is read.
    ///
    /// # Errors
    /// [`DiskError`] where the log cannot be read.
    pub(super) fn take(
        &mut self,
        number: u64,
        end: u64,
        log: &SegmentReader,
    ) -> Result<Option<Vec<u8>>, DiskError> {
        if self.0.front().is_none_or(|(first, _)| *first != number) {
            let end = end.min(number.saturating_add(RECORDS_MAX));
            // Where one of them is damaged, those before it are read one by one.
            let stretch = log.stretch(number, end, BYTES_MAX);
            self.0 = stretch.unwrap_or_default().into();
        }
        match self.0.pop_front() {
            Some((found, record)) if found == number => Ok(Some(record)),
            Some(_) | None => {
                self.0.clear();
                log.get(number)
            }
        }
    }
}

impl Clone for Ahead {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// Without the records: a payment is never logged.
impl fmt::Debug for Ahead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ahead").field(&self.0.len()).finish()
    }
}

/// Records in a stretch: as many as a batch of the worker makes durable at once.
const RECORDS_MAX: u64 = 64;

/// Bytes of a stretch, which a reader that waits may keep.
const BYTES_MAX: usize = 128 << 10;
