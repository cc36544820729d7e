//! Logs after restarts and crashes, with small records and large ones.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crypto::{Digest, SigningKey};
use protocol::id::{Attempt, ClientId, Context, RoundId, Seat, Seats};
use protocol::message::{Abandoned, Bulk, Cause, Masked, MaskedTrailer};
use protocol::record::{CoordinatorRecord, Lifetime};
use protocol::signed::Signed;
use protocol::time::Time;

use super::*;

type Log = RecordLog<CoordinatorRecord>;

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

const CONTEXT: Context = Context(Digest([3; 32]));

/// A vector of so many bytes, each its place.
fn masked(seat: u16, bytes: usize) -> CoordinatorRecord {
    let trailer = MaskedTrailer {
        context: CONTEXT,
        seat: Seat(seat),
        escrowed: Digest([1; 32]),
        root: Digest([2; 32]),
    };
    let words = (0..bytes).map(|byte| byte as u8).collect();
    CoordinatorRecord::Masked(Arc::new(Masked {
        trailer: Signed::sign(trailer, &SigningKey::from_seed([4; 32])),
        words: Bulk(words),
    }))
}

/// A store that this test may have had open: sled lets go of its lock a moment after the last
/// handle is gone.
fn store(folder: &Path) -> Store {
    let patience = Instant::now() + Duration::from_secs(5);
    loop {
        match Store::open(folder) {
            Ok(store) => return store,
            Err(error) => assert!(Instant::now() < patience, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn open(store: &Store) -> Log {
    store.log("coordinator").unwrap()
}

fn replayed(log: &mut Log) -> Vec<CoordinatorRecord> {
    log.replay().unwrap().map(Result::unwrap).collect()
}

fn written(log: &mut Log, records: &[CoordinatorRecord]) {
    records
        .iter()
        .for_each(|record| log.append(record).unwrap());
    log.settle().unwrap();
}

fn files(folder: &Path) -> usize {
    let folder = folder.join("bulk").join("coordinator");
    std::fs::read_dir(folder).unwrap().count()
}

#[test]
fn records_come_back_in_order_and_an_abandoned_attempt_leaves_only_its_end() {
    let dir = tempfile::tempdir().unwrap();
    {
        let store = store(dir.path());
        let mut log = open(&store);
        assert!(replayed(&mut log).is_empty());
        let large = masked(2, 100_000);
        written(
            &mut log,
            &[barred(), escrowed(1), large, ended(), escrowed(3)],
        );
        assert_eq!(files(dir.path()), 0);
    }
    let store = store(dir.path());
    let mut log = open(&store);
    assert_eq!(replayed(&mut log), [barred(), ended(), escrowed(3)]);
    written(&mut log, &[escrowed(4)]);
    assert_eq!(
        replayed(&mut log),
        [barred(), ended(), escrowed(3), escrowed(4)]
    );
}

#[test]
fn large_records_come_back_from_their_files() {
    let dir = tempfile::tempdir().unwrap();
    let records = [masked(1, 40_000), escrowed(2), masked(3, 100)];
    {
        let store = store(dir.path());
        written(&mut open(&store), &records);
        assert_eq!(files(dir.path()), 1);
    }
    let store = store(dir.path());
    assert_eq!(replayed(&mut open(&store)), records);
}

/// Bytes of a vector are read where they lie, in a file or not, before a restart or after it.
#[test]
fn stretches_of_kept_vectors_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let mut log = open(&store);
    written(&mut log, &[masked(1, 70_000), masked(2, 300)]);
    for _ in 0..2 {
        let read = |seat, bytes| log.vector(CONTEXT, Seat(seat), bytes).unwrap();
        for seat in [1, 2] {
            assert_eq!(read(seat, 258..261), Some(vec![2, 3, 4]));
        }
        assert_eq!(read(1, 69_998..70_000).map(|bytes| bytes.len()), Some(2));
        assert_eq!(read(2, 299..301), None);
        assert_eq!(read(3, 0..1), None);
        let other = Context(Digest([9; 32]));
        assert_eq!(log.vector(other, Seat(1), 0..1).unwrap(), None);
        assert_eq!(replayed(&mut log).len(), 2);
    }
    written(&mut log, &[ended()]);
    assert_eq!(log.vector(CONTEXT, Seat(1), 0..1).unwrap(), None);
}

/// A record of any lifetime and size.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
enum Plain {
    Attempt,
    Abandons,
    Commits(Vec<u8>),
}

impl Remembered for Plain {
    fn lifetime(&self) -> Lifetime {
        match self {
            Self::Attempt => Lifetime::Attempt,
            Self::Abandons => Lifetime::Abandons,
            Self::Commits(_) => Lifetime::Commits,
        }
    }

    fn vector(&self) -> Option<(Context, Seat, &[u8])> {
        None
    }
}

/// Results are found again by their place, whatever was recorded between and after them.
#[test]
fn committed_results_are_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let mut log = store.log("plain").unwrap();
    let results = [Plain::Commits(vec![1; 10]), Plain::Commits(vec![2; 50_000])];
    let [first, second] = &results;
    for record in [
        &Plain::Abandons,
        &Plain::Attempt,
        first,
        &Plain::Abandons,
        second,
        &Plain::Attempt,
    ] {
        log.append(record).unwrap();
        log.settle().unwrap();
    }
    for _ in 0..2 {
        assert_eq!(log.committed(0).unwrap().as_ref(), Some(first));
        assert_eq!(log.committed(1).unwrap().as_ref(), Some(second));
        assert_eq!(log.committed(2).unwrap(), None);
        assert_eq!(log.committed(u64::MAX).unwrap(), None);
        assert_eq!(log.replay().unwrap().count(), 5);
    }
}

/// A crash at any moment between ending an attempt and having let go of it: the end is durable,
/// records may be back, files may be left or gone.
#[test]
fn crash_while_letting_go_brings_no_stale_record_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let mut log = open(&store);
    let records = [escrowed(1), masked(1, 50_000), ended()];
    records
        .iter()
        .for_each(|record| log.append(record).unwrap());
    store.flush().unwrap();
    assert_eq!(files(dir.path()), 1);
    let file = dir.path().join("bulk/coordinator/0000000000000001");
    std::fs::remove_file(&file).unwrap();
    assert_eq!(replayed(&mut open(&store)), [ended()]);
    assert_eq!(open(&store).replay().unwrap().size_hint(), (1, Some(1)));
}

#[test]
fn files_that_no_record_names_are_swept() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let mut log = open(&store);
    written(&mut log, &[masked(1, 50_000)]);
    let folder = dir.path().join("bulk/coordinator");
    for name in ["0000000000000009", "part"] {
        std::fs::write(folder.join(name), [0]).unwrap();
    }
    assert_eq!(replayed(&mut log).len(), 1);
    assert_eq!(files(dir.path()), 1);
}

#[test]
fn damaged_record_is_named_and_stops_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let tree = store.db.open_tree("coordinator/ledger").unwrap();
    let damaged = |log: &mut Log| {
        let error = log.replay().unwrap().find_map(Result::err).unwrap();
        let error = error.to_string();
        assert!(
            error.contains("damaged") && error.contains("backup"),
            "{error}"
        );
        error
    };
    for value in [&[0, 255, 255, 255][..], &[1, 0], &[7], &[]] {
        tree.insert([0; 8], value).unwrap();
        damaged(&mut open(&store));
    }
    tree.remove([0; 8]).unwrap();
    let mut log = open(&store);
    written(&mut log, &[masked(1, 50_000)]);
    let file = dir.path().join("bulk/coordinator/0000000000000000");
    std::fs::write(&file, [0; 10]).unwrap();
    let error = damaged(&mut log);
    assert!(error.contains("10 bytes, expected 50"), "{error}");
    std::fs::remove_file(&file).unwrap();
    assert!(damaged(&mut log).contains("0000000000000000"));
}

#[test]
fn a_table_is_read_from_a_key_on_and_cleared_for_good() {
    let folder = tempfile::tempdir().unwrap();
    {
        let store = store(folder.path());
        let (table, other) = (store.table("a").unwrap(), store.table("b").unwrap());
        for key in [b"1", b"2", b"4"] {
            table.put(key, b"x").unwrap();
            other.put(key, b"y").unwrap();
        }
        let keys = |first: &[u8]| -> Vec<Vec<u8>> {
            let found = table.entries_from(first);
            found.map(|pair| pair.unwrap().0).collect()
        };
        assert_eq!(keys(b"2"), [b"2", b"4"]);
        assert_eq!(keys(b"3"), [b"4"]);
        assert_eq!(keys(b"").len(), 3);
        table.clear().unwrap();
        store.flush().unwrap();
    }
    let store = store(folder.path());
    assert!(store.table("a").unwrap().is_empty());
    assert_eq!(store.table("b").unwrap().len(), 3);
}
