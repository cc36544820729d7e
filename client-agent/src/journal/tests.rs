//! What is journaled comes back, also after a crash at the wrong moment; damage is named.

use std::path::{Path, PathBuf};
use std::time::Duration;

use host::disk::DiskError;
use serde_json::json;

use super::*;

fn payment(txn_id: &str) -> Transaction {
    let raw: RawTransaction = serde_json::from_value(json!({
        "txn_id": txn_id, "ts": "2026-03-01T10:00:00.5Z", "rail": "card",
        "amount_minor": 1250, "currency": "eur", "account_tok": 77, "card_tok": "c",
        "terminal_tok": "o", "mcc": "0742", "account_opened": "2019-02-03",
        "geo_lat": 48.8566, "geo_lon": -2.3522, "rooted": "no", "local_hour": 23,
        "balance_before_minor": -5, "direction": "credit", "channel": "pos",
        "ext": {"segment_score": 0.1, "note": "a b", "one": 1},
    }))
    .unwrap();
    Transaction::try_from(raw).unwrap()
}

pub(crate) fn entry(txn_id: &str) -> Entry {
    Entry {
        txn_id: txn_id.to_owned(),
        digest: [3; 32],
        transaction: serde_json::to_string(&payment(txn_id)).unwrap(),
        answer: "{}".to_owned(),
        vector: vec![1.5, -0.25],
    }
}

/// An entry as it lies on disk.
pub(super) fn value(entry: &Entry) -> Vec<u8> {
    [&[VERSION][..], &wire::encode(entry)].concat()
}

/// The entries of the store in a folder, that no journal has open.
pub(super) fn log_of(folder: &Path) -> Segments {
    Segments::open(&folder.join(FOLDER), 0).unwrap().0
}

/// The file that the newest entries are in.
fn newest_file(folder: &Path) -> PathBuf {
    let files = std::fs::read_dir(folder.join(FOLDER)).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    let logs = paths.filter(|path| path.extension().is_some_and(|ext| ext == "log"));
    logs.max().unwrap()
}

/// Takes a byte off the last group, of one entry, as a crash may that comes while it is written:
/// the index does not know it yet.
pub(super) fn tear(folder: &Path) {
    let path = newest_file(folder);
    shorten(&path.with_extension("idx"), 4);
    shorten(&path, 1);
}

fn shorten(path: &Path, bytes: u64) {
    let file = std::fs::File::options().write(true).open(path).unwrap();
    let length = file.metadata().unwrap().len();
    file.set_len(length - bytes).unwrap();
}

/// Appends payments and makes them durable.
pub(super) fn append(journal: &mut Journal, ids: &[String]) {
    for id in ids {
        journal.append(&entry(id)).unwrap();
    }
    journal.settle().unwrap();
}

pub(super) fn label(txn_id: &str, payment: u64) -> LabelEntry {
    LabelEntry {
        label_id: [7; 32],
        txn_id: txn_id.to_owned(),
        payment,
        fraud: true,
        known_at: 1,
        told_at: 2,
        source: "analyst".to_owned(),
        supersedes: None,
        after: payment + 1,
        event_at: None,
    }
}

#[test]
fn a_payment_comes_back_whole_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    {
        let mut journal = Journal::open(&store).unwrap();
        assert!(journal.is_empty());
        for id in ["z", "a", "m"] {
            journal.append(&entry(id)).unwrap();
        }
        // Before it is durable too: a retry may come at once.
        assert!(journal.find("m").unwrap() == Some(entry("m")));
        assert_eq!(journal.follow().reach().entries, 0);
        journal.settle().unwrap();
    }
    let journal = Journal::open(&store).unwrap();
    let back: Vec<_> = journal.transactions().map(Result::unwrap).collect();
    assert!(
        back == ["z", "a", "m"].map(payment),
        "a field did not survive the journal"
    );
    assert_eq!(journal.len(), 3);
    assert!(journal.find("a").unwrap() == Some(entry("a")));
    assert!(journal.find("b").unwrap().is_none());
    assert!(journal.at(2).unwrap() == Some(entry("m")));
    assert!(journal.at(3).unwrap().is_none());
}

#[test]
fn an_id_is_read_without_the_rest_of_its_entry() {
    for id in ["", "a", "\u{e9}t\u{e9}-1"] {
        let entry = Entry {
            txn_id: id.to_owned(),
            ..entry("b")
        };
        let value = value(&entry);
        assert_eq!(txn_id_of(0, &value).unwrap(), id);
        for cut in 0..1 + 8 + id.len() {
            assert!(txn_id_of(0, &value[..cut]).is_err(), "{cut}");
        }
    }
    let wide = [&[VERSION][..], &u64::MAX.to_be_bytes(), b"a"].concat();
    assert!(matches!(
        txn_id_of(4, &wide),
        Err(JournalError::Damaged { sequence: 4 })
    ));
}

// A follower that stays, one that begins anew and one that goes back read the same, however much
// of it was there when they began to read.
#[test]
fn a_follower_reads_every_entry_once_and_no_further_than_it_may() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let mut journal = Journal::open(&store).unwrap();
    let mut live = journal.follow();
    let ids: Vec<String> = (0..300).map(|number| format!("t{number}")).collect();
    let rest = |follower: &mut Follower, reach: Reach| -> Vec<String> {
        let next = || follower.next_decision(reach).unwrap();
        let found = std::iter::from_fn(next);
        found.map(|(_, entry)| entry.txn_id).collect()
    };
    let mut seen = Vec::new();
    for batch in ids.chunks(70) {
        append(&mut journal, batch);
        let whole = live.reach();
        let part = whole.until(whole.entries - 10);
        seen.extend(rest(&mut live, part));
        assert_eq!(live.place().entries, part.entries);
        seen.extend(rest(&mut live.clone(), whole));
        live.go_back(whole);
    }
    assert_eq!(seen, ids);
    let mut again = journal.follow();
    let reach = again.reach();
    assert_eq!(rest(&mut again, reach), ids);
    again.go_back(Reach::default());
    assert_eq!(rest(&mut again, reach), ids);
    let mut last = journal.follow().starting_at_last(3);
    assert_eq!(rest(&mut last, reach), ids[297..]);
    assert!(again.at(299).unwrap() == Some(entry("t299")));
    journal.append(&entry("undurable")).unwrap();
    assert!(again.at(300).unwrap().is_none());
}

#[test]
fn a_payment_whose_group_was_torn_is_unseen_and_its_id_free() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    drop(with_one_to_lose(&store));
    tear(folder.path());
    let mut journal = Journal::open(&store).unwrap();
    assert_eq!(journal.len(), 1);
    assert!(journal.find("kept").unwrap() == Some(entry("kept")));
    assert!(journal.find("lost").unwrap().is_none());
    append(&mut journal, &["next".to_owned(), "lost".to_owned()]);
    assert!(journal.find("next").unwrap() == Some(entry("next")));
    assert!(journal.find("lost").unwrap() == Some(entry("lost")));
}

// Nobody speaks of the payment but the files' index, to each start anew. Planted faults: an index
// that is not looked at; one that is made anew all the same.
#[test]
fn a_journal_that_lost_a_payment_after_its_flush_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    drop(with_one_to_lose(&store));
    shorten(&newest_file(folder.path()), 1);
    for _ in 0..2 {
        let error = Journal::open(&store).unwrap_err().to_string();
        for expected in ["found 1 records", "expected at least 2", "restore a backup"] {
            assert!(error.contains(expected), "{error}");
        }
    }
}

// Labels and actions lie under numbers, which the next payments would take over.
#[test]
fn a_journal_without_a_payment_that_was_labelled_or_looked_at_is_refused() {
    let is_refused_after = |speak: fn(&mut Journal)| {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let mut journal = with_one_to_lose(&store);
        speak(&mut journal);
        drop(journal);
        tear(folder.path());
        // The second time nothing is torn.
        for _ in 0..2 {
            let error = Journal::open(&store).unwrap_err().to_string();
            let expected = "found 1 journal entries, expected at least 2";
            assert!(error.contains(expected), "{error}");
        }
    };
    is_refused_after(|journal| journal.append_label(&label("lost", 1)).unwrap());
    // An earlier build's label does not say after which payment it came.
    is_refused_after(|journal| {
        let label = LabelEntry {
            after: 0,
            ..label("lost", 1)
        };
        journal.append_label(&label).unwrap();
    });
    // About another payment, and later than the one that is lost.
    is_refused_after(|journal| {
        let label = LabelEntry {
            after: 2,
            ..label("kept", 0)
        };
        journal.append_label(&label).unwrap();
    });
    is_refused_after(|journal| journal.actions().unwrap().keep(1, &[]).unwrap());
}

/// A journal of two payments, each in a group of its own. The thread has no part in it: the table
/// knows neither.
fn with_one_to_lose(store: &Store) -> Journal {
    let bounds = Bounds {
        pause: Duration::from_secs(3_600),
        ..Bounds::default()
    };
    let mut journal = Journal::open_with(store, bounds).unwrap();
    append(&mut journal, &["kept".to_owned()]);
    append(&mut journal, &["lost".to_owned()]);
    journal
}

#[test]
fn an_id_whose_entry_was_lost_in_a_crash_is_unseen() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let ids = store.table("journal/ids").unwrap();
    ids.put(b"lost", &1_u64.to_be_bytes()).unwrap();
    let mut journal = Journal::open(&store).unwrap();
    journal.append(&entry("kept")).unwrap();
    assert!(journal.find("lost").unwrap().is_none());
    journal.append(&entry("next")).unwrap();
    assert!(journal.find("lost").unwrap().is_none());
    journal.append(&entry("lost")).unwrap();
    assert!(journal.find("lost").unwrap() == Some(entry("lost")));
}

// The thread that keeps ids, and an analyst's action, flush the store at any moment. Planted fault:
// a label that does not wait for the log.
#[test]
fn a_label_is_never_durable_before_its_payment() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    {
        let mut journal = Journal::open(&store).unwrap();
        for (number, id) in (0..).zip(["a", "b"]) {
            journal.append(&entry(id)).unwrap();
            journal.append_label(&label(id, number)).unwrap();
        }
        store.flush().unwrap();
        // And goes, as by a crash, without having settled.
    }
    let journal = Journal::open(&store).unwrap();
    for id in ["a", "b"] {
        assert_eq!(journal.labels_of(id).unwrap().len(), 1);
        assert!(journal.find(id).unwrap() == Some(entry(id)), "{id}");
    }
}

#[test]
fn damage_and_a_foreign_format_are_named() {
    // Where its id is known, and where it has to be read.
    let said = |value: &[u8], known: u64| {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let mut log = log_of(folder.path());
        log.append(value).unwrap();
        log.flush().unwrap();
        drop(log);
        ids::note_reach(&store, known).unwrap();
        let read = |journal: Journal| journal.transactions().next().unwrap().err();
        let error = Journal::open(&store).map_or_else(Some, read);
        error.unwrap().to_string()
    };
    for known in [0, 1] {
        assert!(said(&[VERSION, 1, 2], known).contains("entry 0 is damaged"));
        assert!(said(&[], known).contains("entry 0 is damaged"));
        assert!(said(&[9], known).contains("format 9, expected 1"));
    }
}

// What is read in stretches is refused at the entry that is damaged, and not before.
#[test]
fn a_follower_comes_as_far_as_the_damage() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let mut journal = Journal::open(&store).unwrap();
    append(
        &mut journal,
        &(0..5).map(|n| format!("t{n}")).collect::<Vec<_>>(),
    );
    let path = newest_file(folder.path());
    let mut bytes = std::fs::read(&path).unwrap();
    let begin = &value(&entry("t3"))[..11];
    let at = bytes.windows(begin.len()).position(|found| found == begin);
    bytes[at.unwrap() + 10] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let mut follower = journal.follow();
    let reach = follower.reach();
    for id in ["t0", "t1", "t2"] {
        let (_, found) = follower.next_decision(reach).unwrap().unwrap();
        assert_eq!(found.txn_id, id);
    }
    let damage = follower.next_decision(reach).err().unwrap();
    assert!(
        matches!(damage, JournalError::Disk(DiskError::Damaged { .. })),
        "{damage}"
    );
}
