//! An earlier build kept entries in a table of the store. They are moved into the log once, at the
//! first start, before anything else is done with the journal. A move that was broken off goes on
//! where it was: the log's length says how far it came. The table goes only when all is durable.

use host::disk::{Segments, Store, Table};

use super::{JournalError, ids, sequence_of};

/// Moves what an earlier build left, in order, and then removes it; mostly there is nothing.
///
/// # Errors
/// [`JournalError`] where the disk refuses, an entry is missing, or the log has other entries.
pub(super) fn move_entries(store: &Store, log: &mut Segments) -> Result<(), JournalError> {
    let table = store.table(TABLE)?;
    let Some((last, _)) = table.last()? else {
        return Ok(());
    };
    let end = sequence_of(&last)? + 1;
    check_same(&table, end, log)?;
    let entries = end.saturating_sub(log.len());
    tracing::info!(entries, "an earlier build's journal is moved into files");
    let mut bytes = 0;
    for found in table.entries_from(&log.len().to_be_bytes()) {
        let (key, value) = found?;
        let sequence = log.len();
        if sequence_of(&key)? != sequence {
            return Err(JournalError::Missing { sequence });
        }
        log.append(&value)?;
        bytes += value.len();
        if bytes >= GROUP_BYTES {
            log.flush()?;
            bytes = 0;
        }
    }
    log.flush()?;
    // That build wrote each id with its entry.
    ids::note_reach(store, end)?;
    store.flush()?;
    table.clear()?;
    // Before anything is appended: a table that came back would be behind the log.
    store.flush()?;
    tracing::info!(entries, "the journal was moved");
    Ok(())
}

/// The last entry that both have must be the same: an earlier build that was started again after
/// the move would have begun anew.
fn check_same(table: &Table, end: u64, log: &Segments) -> Result<(), JournalError> {
    let Some(sequence) = end.min(log.len()).checked_sub(1) else {
        return Ok(());
    };
    match table.get(&sequence.to_be_bytes())? == log.get(sequence)? {
        true => Ok(()),
        false => Err(JournalError::Twofold { sequence }),
    }
}

const TABLE: &str = "journal/entries";

/// Bytes that are moved between two flushes of the log, and so in memory.
const GROUP_BYTES: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::journal::tests::{entry, log_of, value};
    use crate::journal::{Entry, Journal};

    const IDS: [&str; 5] = ["e", "d", "c", "b", "a"];

    /// What an earlier build left of these payments, entries from the `first` on.
    fn leave(store: &Store, first: u64) {
        let (entries, ids) = (store.table(TABLE), store.table("journal/ids"));
        let (entries, ids) = (entries.unwrap(), ids.unwrap());
        for (number, id) in (0_u64..).zip(IDS) {
            let key = number.to_be_bytes();
            ids.put(id.as_bytes(), &key).unwrap();
            if number >= first {
                entries.put(&key, &value(&entry(id))).unwrap();
            }
        }
        store.flush().unwrap();
    }

    /// As many as a move that was broken off had made durable.
    fn begin(folder: &Path, ids: &[&str]) {
        let mut log = log_of(folder);
        for id in ids {
            log.append(&value(&entry(id))).unwrap();
        }
        log.flush().unwrap();
    }

    fn all(journal: &Journal) -> Vec<Entry> {
        let entries = (0..journal.len()).map(|sequence| journal.at(sequence).unwrap());
        entries.map(Option::unwrap).collect()
    }

    // Before a move, in the middle of it, after it and before the table was cleared, in the middle
    // of that. Payments that come later follow.
    #[test]
    fn the_journal_of_an_earlier_build_is_moved_once_wherever_a_move_was_broken_off() {
        for (moved, cleared) in [(0, 0), (1, 0), (3, 0), (5, 0), (5, 2), (5, 4)] {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(folder.path()).unwrap();
            leave(&store, cleared);
            begin(folder.path(), &IDS[..moved]);
            {
                let mut journal = Journal::open(&store).unwrap();
                assert!(all(&journal) == IDS.map(entry), "{moved} {cleared}");
                assert_eq!(journal.follow().reach().entries, 5);
                journal.append(&entry("next")).unwrap();
                journal.settle().unwrap();
            }
            assert!(store.table(TABLE).unwrap().is_empty());
            let journal = Journal::open(&store).unwrap();
            assert_eq!(journal.len(), 6);
            for id in IDS.iter().chain(&["next"]) {
                assert!(journal.find(id).unwrap() == Some(entry(id)), "{id}");
            }
        }
    }

    #[test]
    fn a_gap_and_another_journal_are_refused_and_nothing_is_removed() {
        let said = |first: u64, log: &[&str]| {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(folder.path()).unwrap();
            leave(&store, first);
            begin(folder.path(), log);
            let error = Journal::open(&store).unwrap_err().to_string();
            let left = store.table(TABLE).unwrap().len() as u64;
            assert_eq!(left, IDS.len() as u64 - first);
            error
        };
        assert!(said(0, &["e", "x"]).contains("journal entry 1 lies in the store twice"));
        assert!(said(0, &["e", "d", "c", "b", "x", "y"]).contains("entry 4 lies"));
        assert!(said(2, &[]).contains("journal entry 0 is missing"));
        assert!(said(3, &["e"]).contains("lies in the store twice"));
    }

    #[test]
    fn a_key_that_is_no_number_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        store.table(TABLE).unwrap().put(b"key", b"").unwrap();
        let error = Journal::open(&store).unwrap_err().to_string();
        assert!(error.contains("key of 3 bytes"), "{error}");
    }
}
