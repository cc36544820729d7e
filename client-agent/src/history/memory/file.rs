//! Records of one width on disk, found by their place. The file has no name: it goes with the
//! process, however that ends, and nobody else opens it. What a record says is `record.rs`'s.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

/// Records in the order in which they came. The last few wait in memory, until a write is worth it.
#[derive(Debug)]
pub(super) struct Records {
    folder: PathBuf,
    /// Once there is something to write.
    file: Option<File>,
    /// Bytes of each; the first one tells.
    width: usize,
    /// Records in the file.
    written: usize,
    /// Those after them.
    tail: Vec<u8>,
}

impl Records {
    /// None, of which later ones are kept in a file in `folder`.
    pub(super) fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            file: None,
            width: 0,
            written: 0,
            tail: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.written + self.tail.len() / self.width.max(1)
    }

    /// Appends a record, as wide as those before it.
    ///
    /// # Errors
    /// Where the disk refuses; the record is not among them then, and those before it are.
    pub(super) fn push(&mut self, record: &[u8]) -> io::Result<()> {
        if self.len() == 0 {
            self.width = record.len();
        }
        assert_eq!(
            record.len(),
            self.width,
            "a schema's records have one width"
        );
        if self.tail.len() + self.width > BUFFER_BYTES {
            self.write_tail()?;
        }
        self.tail.extend_from_slice(record);
        Ok(())
    }

    /// The record in a place.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub(super) fn get(&self, at: usize) -> io::Result<Vec<u8>> {
        let mut record = vec![0; self.width];
        match at.checked_sub(self.written) {
            None => self.read(&mut record, at)?,
            Some(nth) => record.copy_from_slice(&self.tail[nth * self.width..][..self.width]),
        }
        Ok(record)
    }

    /// Writes over the record in a place.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub(super) fn put(&mut self, at: usize, record: &[u8]) -> io::Result<()> {
        match at.checked_sub(self.written) {
            None => self.opened()?.write_all_at(record, self.offset(at))?,
            Some(nth) => self.tail[nth * self.width..][..self.width].copy_from_slice(record),
        }
        Ok(())
    }

    /// Gives every record in order, up to the first error.
    ///
    /// # Errors
    /// Where the disk refuses, and what `give` says.
    pub(super) fn each(&self, mut give: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let width = self.width.max(1);
        let at_once = (BUFFER_BYTES / width).max(1);
        let mut buffer = Vec::new();
        for from in (0..self.written).step_by(at_once) {
            buffer.resize(at_once.min(self.written - from) * width, 0);
            self.read(&mut buffer, from)?;
            buffer.chunks_exact(width).try_for_each(&mut give)?;
        }
        self.tail.chunks_exact(width).try_for_each(give)
    }

    fn write_tail(&mut self) -> io::Result<()> {
        let file = match self.file.take() {
            Some(file) => file,
            None => tempfile::tempfile_in(&self.folder)?,
        };
        self.file = Some(file);
        self.opened()?
            .write_all_at(&self.tail, self.offset(self.written))?;
        self.written += self.tail.len() / self.width;
        self.tail.clear();
        Ok(())
    }

    fn read(&self, into: &mut [u8], from: usize) -> io::Result<()> {
        self.opened()?.read_exact_at(into, self.offset(from))
    }

    fn opened(&self) -> io::Result<&File> {
        let missing = || io::Error::from(io::ErrorKind::NotFound);
        self.file.as_ref().ok_or_else(missing)
    }

    fn offset(&self, at: usize) -> u64 {
        at as u64 * self.width as u64
    }
}

/// Written and read at once: a thousand payments and more, so that the disk is asked seldom. Little
/// in tests, so that their few payments go through the file, too.
const BUFFER_BYTES: usize = if cfg!(test) { 1 << 12 } else { 1 << 18 };

#[cfg(test)]
mod tests {
    use super::*;

    fn record(at: usize) -> [u8; 24] {
        let mut record = [7; 24];
        record[..8].copy_from_slice(&at.to_le_bytes());
        record
    }

    fn all(records: &Records) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        let each = records.each(|record| {
            found.push(record.to_vec());
            Ok(())
        });
        each.unwrap();
        found
    }

    // Two buffers and a half: some come from the file in whole stretches and in part, some wait.
    #[test]
    fn records_come_back_in_order_from_file_and_tail() {
        let folder = tempfile::tempdir().unwrap();
        let mut records = Records::new(folder.path().to_owned());
        assert_eq!((records.len(), all(&records)), (0, Vec::new()));
        let count = 5 * (BUFFER_BYTES / 24) / 2;
        let mut expected: Vec<Vec<u8>> = (0..count).map(|at| record(at).to_vec()).collect();
        for (at, record) in expected.iter().enumerate() {
            assert_eq!(records.len(), at);
            records.push(record).unwrap();
        }
        assert!(records.written > 0 && records.written < count);
        assert_eq!(all(&records), expected);
        for at in [0, 1, records.written - 1, records.written, count - 1] {
            let changed = record(at + count).to_vec();
            records.put(at, &changed).unwrap();
            assert_eq!(records.get(at).unwrap(), changed);
            expected[at] = changed;
        }
        assert_eq!(all(&records), expected);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_record_that_the_disk_refuses_is_not_counted() {
        let folder = tempfile::tempdir().unwrap();
        let mut records = Records::new(folder.path().join("missing"));
        let room = BUFFER_BYTES / 24;
        for at in 0..room {
            records.push(&record(at)).unwrap();
        }
        for _ in 0..2 {
            assert!(records.push(&record(room)).is_err());
            assert_eq!((records.len(), all(&records).len()), (room, room));
        }
        std::fs::create_dir(folder.path().join("missing")).unwrap();
        records.push(&record(room)).unwrap();
        assert_eq!(all(&records)[room], record(room));
    }

    #[test]
    fn a_file_that_was_cut_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let mut records = Records::new(folder.path().to_owned());
        for at in 0..BUFFER_BYTES / 24 + 1 {
            records.push(&record(at)).unwrap();
        }
        records.opened().unwrap().set_len(1_000).unwrap();
        let error = records.each(|_| Ok(())).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(records.get(0).unwrap(), record(0));
    }
}
