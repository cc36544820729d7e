//! What is older than the bank keeps it leaves whole, and nothing else does, wherever a look ends.

use std::fs;
use std::path::Path;

use super::*;
use crate::journal::tests::{entry, label};
use crate::journal::{Action, Deed, Entry, Follower, Journal, Reach};

const KEEP: Keep = Keep { days: 160 };

/// A file is written for a sixteenth of what is kept.
const FILE_MS: u64 = 10 * DAY_MS;

/// Some time in 2026.
const BEGIN_MS: u64 = 20_600 * DAY_MS;

fn scored(txn_id: &str, at: u64) -> Entry {
    Entry {
        answer: format!("{{\"scored_at\":{at}}}"),
        ..entry(txn_id)
    }
}

fn open(folder: &Path) -> Journal {
    Journal::open(&Store::open(folder).unwrap()).unwrap()
}

/// Two decisions a file, each file ten days after the one before, named by their numbers.
fn fill(journal: &mut Journal, files: Range<u64>) {
    for file in files {
        for of_file in 0..2 {
            let at = BEGIN_MS + file * FILE_MS + of_file;
            let txn_id = format!("t{}", 2 * file + of_file);
            journal.append(&scored(&txn_id, at)).unwrap();
        }
        journal.settle().unwrap();
        journal.old().unwrap().oldest.seal();
    }
}

fn tell(journal: &mut Journal, payment: u64) {
    let label = label(&format!("t{payment}"), payment);
    journal.append_label(&label).unwrap();
    journal.settle().unwrap();
}

fn look(journal: &Journal, now_ms: u64) -> u64 {
    journal.old().unwrap().look(KEEP, now_ms, || true).unwrap()
}

/// When so many files are old enough.
fn old_enough(files: u64) -> u64 {
    BEGIN_MS + KEEP.ms() + files * FILE_MS
}

/// The payments that somebody finds who reads all of the journal.
fn read(mut follower: Follower) -> Vec<u64> {
    let reach = follower.reach();
    let mut found = Vec::new();
    while let Some((sequence, entry)) = follower.next_decision(reach).unwrap() {
        assert_eq!(entry.txn_id, format!("t{sequence}"));
        found.push(sequence);
    }
    found
}

/// The payments of all labels.
fn labelled(mut follower: Follower) -> Vec<u64> {
    let reach = follower.reach();
    let mut found = Vec::new();
    while let Some(label) = follower.next_label(reach).unwrap() {
        found.push(label.payment);
    }
    found
}

/// Whether a payment is found by id and by number, and its labels and actions, all alike.
fn knows(journal: &Journal, number: u64) -> bool {
    let txn_id = format!("t{number}");
    let is_known = journal.find(&txn_id).unwrap().is_some();
    assert_eq!(journal.at(number).unwrap().is_some(), is_known, "{txn_id}");
    assert_eq!(!journal.labels_of(&txn_id).unwrap().is_empty(), is_known);
    let actions = journal.actions().unwrap().of(number).unwrap();
    assert_eq!(!actions.is_empty(), is_known);
    is_known
}

#[test]
fn decisions_leave_in_whole_files_with_all_that_speaks_of_them() {
    let folder = tempfile::tempdir().unwrap();
    {
        let mut journal = open(folder.path());
        fill(&mut journal, 0..5);
        let deed = Action {
            at: 1,
            analyst: "u-17".to_owned(),
            note: String::new(),
            deed: Deed::Suspected,
        };
        for number in 0..10 {
            tell(&mut journal, number);
            let actions = journal.actions().unwrap();
            actions.keep(number, std::slice::from_ref(&deed)).unwrap();
        }
        let behind = journal.follow();
        // The first of the next file is what says how old a file is.
        assert_eq!(look(&journal, old_enough(1) - 1), 0);
        assert!((0..10).all(|number| knows(&journal, number)));
        assert_eq!(look(&journal, old_enough(1)), 2);
        assert_eq!(look(&journal, old_enough(1)), 0);
        assert_eq!((journal.first(), journal.len()), (2, 10));
        assert!((0..10).all(|number| knows(&journal, number) == (number >= 2)));
        assert_eq!(read(journal.follow()), [2, 3, 4, 5, 6, 7, 8, 9]);
        // Whoever has not come so far reads on where the journal begins now.
        assert_eq!(read(behind.clone()), [2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(labelled(behind), [2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(journal.transactions().count(), 8);
        // Of a payment that is forgotten the id is free again; the bank keeps them for longer than
        // a retry may come.
        journal.append(&scored("t0", old_enough(1))).unwrap();
        journal.settle().unwrap();
        assert!(journal.find("t0").unwrap().is_some());
    }
    let journal = open(folder.path());
    assert_eq!((journal.first(), journal.len()), (2, 11));
    assert!((2..10).all(|number| knows(&journal, number)));
    assert!(journal.find("t1").unwrap().is_none());
    // A place before its beginning is its beginning.
    let follower = journal.follow().starting_at(Reach::default());
    assert_eq!(
        follower.place(),
        Reach {
            entries: 2,
            labels: 2
        }
    );
}

// A clock that is a century ahead for an hour takes one file, not the bank's past.
#[test]
fn a_look_takes_few_files_and_never_the_one_that_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = open(folder.path());
    fill(&mut journal, 0..4);
    for first in [2, 4, 6, 6] {
        look(&journal, u64::MAX);
        assert_eq!(journal.first(), first);
    }
    assert_eq!(read(journal.follow()), [6, 7]);
    // By a clock that is behind nothing is old.
    assert_eq!(look(&journal, 0), 0);
}

#[test]
fn a_file_is_written_for_a_sixteenth_of_what_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = open(folder.path());
    let old = journal.old().unwrap();
    let append = |journal: &mut Journal, number: u64, at: u64| {
        journal.append(&scored(&format!("t{number}"), at)).unwrap();
        journal.settle().unwrap();
    };
    append(&mut journal, 0, BEGIN_MS);
    look(&journal, BEGIN_MS + FILE_MS - 1);
    append(&mut journal, 1, BEGIN_MS + FILE_MS - 1);
    assert_eq!(old.oldest.active(), 0);
    look(&journal, BEGIN_MS + FILE_MS);
    append(&mut journal, 2, BEGIN_MS + FILE_MS);
    assert_eq!(old.oldest.active(), 2);
    // And never for less than a day, however little is kept.
    assert_eq!(Keep { days: 4 }.file_ms(), DAY_MS);
}

#[test]
fn a_look_that_is_broken_off_is_finished_by_a_later_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = open(folder.path());
    fill(&mut journal, 0..3);
    let mut asked = 0;
    let once = || {
        asked += 1;
        asked < 2
    };
    let old = journal.old().unwrap();
    assert_eq!(old.look(KEEP, old_enough(1), once).unwrap(), 0);
    assert_eq!(read(journal.follow()), [0, 1, 2, 3, 4, 5]);
    assert_eq!(look(&journal, old_enough(1)), 2);
    assert_eq!(read(journal.follow()), [2, 3, 4, 5]);
}

// After the store has said that they are gone, and before their file is.
#[test]
fn what_a_crash_left_of_them_is_gone_after_a_start() {
    let folder = tempfile::tempdir().unwrap();
    {
        let mut journal = open(folder.path());
        fill(&mut journal, 0..3);
        let old = journal.old().unwrap();
        old.cursor.put(FIRST, &2_u64.to_be_bytes()).unwrap();
        old.store.flush().unwrap();
    }
    let files = || fs::read_dir(folder.path().join("journal")).unwrap().count();
    assert_eq!(files(), 6);
    let journal = open(folder.path());
    assert_eq!((read(journal.follow()), files()), (vec![2, 3, 4, 5], 4));
}

// Numbers of labels are never given twice, or a snapshot would take new ones for those it knows.
#[test]
fn the_last_label_stays_and_the_next_goes_on_behind_it() {
    let folder = tempfile::tempdir().unwrap();
    {
        let mut journal = open(folder.path());
        fill(&mut journal, 0..3);
        tell(&mut journal, 1);
        tell(&mut journal, 0);
        tell(&mut journal, 1);
        assert_eq!(look(&journal, old_enough(1)), 2);
    }
    let mut journal = open(folder.path());
    assert_eq!(labelled(journal.follow()), [1]);
    assert!(journal.find("t1").unwrap().is_none());
    tell(&mut journal, 3);
    assert_eq!(journal.follow().reach().labels, 4);
    assert_eq!(labelled(journal.follow()), [1, 3]);
}

#[test]
fn a_damaged_decision_leaves_like_any_other() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = open(folder.path());
    fill(&mut journal, 0..3);
    let path = folder.path().join(format!("journal/{:020}.log", 0));
    let mut bytes = fs::read(&path).unwrap();
    let place = bytes.windows(2).position(|two| two == b"t0").unwrap();
    bytes[place] = b'x';
    fs::write(&path, bytes).unwrap();
    assert!(journal.at(0).is_err());
    assert_eq!(look(&journal, old_enough(1)), 2);
    assert_eq!(read(journal.follow()), [2, 3, 4, 5]);
    assert!(journal.find("t0").unwrap().is_none());
    assert!(journal.find("t1").unwrap().is_none());
}

#[test]
fn a_file_whose_age_cannot_be_read_stays_and_that_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = open(folder.path());
    fill(&mut journal, 0..2);
    journal.append(&entry("undated")).unwrap();
    journal.settle().unwrap();
    let (beside, telemetry) = (Beside::default(), Telemetry::default());
    let work = Work {
        keep: KEEP,
        clock: Clock::starting_at(protocol::time::Time(old_enough(9))),
        old: journal.old().unwrap(),
        kept: Kept::default(),
        beside: beside.clone(),
    };
    work.look(|| true);
    let why = beside.of(Part::Expiry).unwrap_err();
    assert_eq!(
        why,
        "old decisions stay: journal entry 4 is damaged: restore a backup"
    );
    assert_eq!(journal.first(), 0);
    // It ends when it is dropped, in the middle of its wait too.
    let old = journal.old().unwrap();
    drop(Expiry::start(KEEP, work.clock, old, (&telemetry, beside)).unwrap());
}
