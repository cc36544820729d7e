//! Records that are told of before they are durable: what the end of the process, that of the
//! machine and a disk that refuses leave of them.

use proptest::sample::Index;

use super::*;

/// Appends records and writes them as one group.
fn ahead(log: &mut Segments, numbers: Range<u64>) {
    append(log, numbers);
    log.write().unwrap();
}

/// Makes durable, as another thread does, what is written.
fn flushed(log: &mut Segments) {
    if let Some(flushing) = log.flushing() {
        log.flushed(flushing.run()).unwrap();
    }
}

/// Has the process end with a write just done: nothing is said to the disk and no room taken back.
fn killed(log: Segments) {
    std::mem::forget(log);
}

// Planted faults: a group that readers see at once; an entry of the index before the group is
// durable; a flush that takes what was written since for durable.
#[test]
fn what_is_written_can_be_told_and_is_read_by_others_once_it_is_durable() {
    let folder = tempfile::tempdir().unwrap();
    let index = path(folder.path(), 0).with_extension("idx");
    let (mut log, _) = Segments::open(folder.path(), 0).unwrap();
    let reader = log.reader();
    assert!(log.flushing().is_none());
    ahead(&mut log, 0..3);
    ahead(&mut log, 3..5);
    append(&mut log, 5..7);
    let held = |log: &Segments, durable: u64| {
        for number in 0..7 {
            assert_eq!(log.get(number).unwrap(), Some(record(number)), "{number}");
        }
        assert_eq!(log.get(7).unwrap(), None);
        assert_eq!((log.len(), reader.len()), (7, durable));
        assert_eq!(read(&reader, 1 << 20).len() as u64, durable);
        assert_eq!(fs::metadata(&index).unwrap().len(), 4 * durable);
    };
    held(&log, 0);
    let flushing = log.flushing().unwrap();
    log.write().unwrap();
    held(&log, 0);
    // It speaks of what was written when it was made.
    log.flushed(flushing.run()).unwrap();
    held(&log, 5);
    flushed(&mut log);
    held(&log, 7);
    assert!(log.flushing().is_none());
    // A flush takes along what was written before it; one from before has nothing to add.
    ahead(&mut log, 7..9);
    let flushing = log.flushing().unwrap();
    append(&mut log, 9..12);
    log.flush().unwrap();
    holds(&log, 12);
    log.flushed(flushing.run()).unwrap();
    holds(&log, 12);
}

// Planted fault: a write that only remembers.
#[test]
fn what_is_written_outlives_the_process_also_across_segments() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = sound(folder.path());
    for first in (0..60).step_by(3) {
        ahead(&mut log, first..first + 3);
        if first == 27 {
            flushed(&mut log);
        }
    }
    append(&mut log, 60..61);
    killed(log);
    assert!(firsts(folder.path()).len() > 5);
    let mut log = sound(folder.path());
    holds(&log, 60);
    written(&mut log, 60..70);
    drop(log);
    holds(&sound(folder.path()), 70);
}

// Planted faults: a disk that stands still and a log that goes on; a bound that counts what is
// durable.
#[test]
fn no_more_than_the_bound_is_written_ahead_of_a_flush() {
    let folder = tempfile::tempdir().unwrap();
    let (mut log, _) = Segments::open(folder.path(), 0).unwrap();
    let long = vec![7; 1 << 20];
    let mut ahead_most = 0;
    for number in 0..13 {
        log.append(&long).unwrap();
        log.write().unwrap();
        let durable = log.reader().len();
        ahead_most = ahead_most.max(number + 1 - durable);
        assert!(log.unflushed.bytes() <= UNFLUSHED_BYTES_MAX);
    }
    assert_eq!(ahead_most, 3);
    // One that is longer than the bound goes by itself.
    let longest = vec![8; 6 << 20];
    for durable in [13, 14] {
        log.append(&longest).unwrap();
        log.write().unwrap();
        assert_eq!(log.reader().len(), durable);
    }
    killed(log);
    let (log, torn) = Segments::open(folder.path(), 0).unwrap();
    assert_eq!((log.len(), torn), (15, None));
    assert_eq!(log.get(13).unwrap().as_ref(), Some(&longest));
}

// Planted faults: what was told is cut with what was not; the number of a record that is lost goes
// on being counted.
#[test]
fn a_disk_that_refuses_takes_nothing_of_what_was_told() {
    for step in [Step::Write, Step::Sync, Step::Index] {
        let folder = tempfile::tempdir().unwrap();
        let (mut log, _) = Segments::open(folder.path(), 0).unwrap();
        written(&mut log, 0..3);
        ahead(&mut log, 3..6);
        append(&mut log, 6..9);
        log.faults.refused = vec![step];
        let error = log.flush().unwrap_err().to_string();
        assert!(error.contains("no storage space"), "{error}");
        let told = 3 + 3;
        assert_eq!(log.len(), told, "{step:?}");
        for number in 0..told {
            assert_eq!(log.get(number).unwrap(), Some(record(number)), "{number}");
        }
        assert_eq!(log.get(told).unwrap(), None);
        assert!(log.append(b"more").is_err() && log.write().is_err() && log.flush().is_err());
        killed(log);
        let (log, torn) = Segments::open(folder.path(), 0).unwrap();
        assert_eq!(torn, None, "{step:?}");
        holds(&log, told);
    }
}

// Planted fault: the refusal is not heard.
#[test]
fn a_flush_that_is_refused_on_another_thread_ends_the_log_and_leaves_it() {
    let folder = tempfile::tempdir().unwrap();
    let (mut log, _) = Segments::open(folder.path(), 0).unwrap();
    ahead(&mut log, 0..3);
    let mut refused = log.flushing().unwrap().run();
    refused.outcome = Err(DiskError::new("flush", folder.path(), "no storage space"));
    ahead(&mut log, 3..5);
    assert!(log.flushed(refused).is_err());
    assert_eq!((log.len(), log.reader().len()), (5, 0));
    let error = log.append(b"more").unwrap_err().to_string();
    assert!(error.contains("no storage space"), "{error}");
    assert_eq!(log.get(4).unwrap(), Some(record(4)));
    killed(log);
    holds(&Segments::open(folder.path(), 0).unwrap().0, 5);
}

// Each group says whether it was written ahead. Planted fault: every group says so.
#[test]
fn a_group_that_rots_is_damage_where_one_follows_that_was_not_written_ahead_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = path(folder.path(), 0);
    let (mut log, _) = Segments::open(folder.path(), 0).unwrap();
    ahead(&mut log, 0..3);
    let first = usize::try_from(log.bytes).unwrap();
    ahead(&mut log, 3..6);
    flushed(&mut log);
    ahead(&mut log, 6..9);
    let last = usize::try_from(log.bytes).unwrap();
    ahead(&mut log, 9..12);
    drop(log);
    let whole = fs::read(&file).unwrap();
    let index = file.with_extension("idx");
    let rotten = |place: usize| {
        let mut bytes = whole.clone();
        bytes[place + 30] ^= 1;
        fs::write(&file, bytes).unwrap();
        fs::write(&index, "").unwrap();
    };
    for place in [0, first] {
        rotten(place);
        let error = damage(folder.path());
        assert!(error.contains("is not what was written"), "{error}");
    }
    rotten(last);
    let (log, torn) = Segments::open(folder.path(), 0).unwrap();
    assert_eq!(torn.unwrap().bytes, (whole.len() - last) as u64);
    holds(&log, 9);
}

// Groups that were written ahead lie near what was durable. Planted fault: however far.
#[test]
fn a_group_that_rots_is_damage_where_those_written_ahead_go_on_for_longer_than_they_may() {
    let folder = tempfile::tempdir().unwrap();
    let file = path(folder.path(), 0);
    let (mut log, _) = Segments::open(folder.path(), 0).unwrap();
    let mut late = None;
    for number in 0..14 {
        log.append(&vec![number; 1 << 19]).unwrap();
        log.write().unwrap();
        // Each flush ends after the next write: the log never stands still.
        late.replace(log.flushing().unwrap().run())
            .map_or(Ok(()), |flushed| log.flushed(flushed))
            .unwrap();
    }
    drop(log);
    let whole = fs::read(&file).unwrap();
    let index = file.with_extension("idx");
    for (rotten, is_damage) in [(2, true), (10, false)] {
        let mut bytes = whole.clone();
        bytes[(rotten << 19) + (1 << 18)] ^= 1;
        fs::write(&file, &bytes).unwrap();
        fs::write(&index, "").unwrap();
        let opened = Segments::open(folder.path(), 0);
        assert_eq!(opened.is_err(), is_damage, "{rotten}");
        if let Ok((log, torn)) = opened {
            assert_eq!((log.len(), torn.is_some()), (10, true));
        }
    }
}

/// What is done to a log.
#[derive(Clone, Debug)]
enum Deed {
    /// So many records are written.
    Write(u64),
    /// What is written is made durable, here or on another thread.
    Flush(bool),
    /// The next group begins a segment.
    Seal,
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        6 => (1..5_u64).prop_map(Deed::Write),
        2 => any::<bool>().prop_map(Deed::Flush),
        1 => Just(Deed::Seal),
    ]
}

proptest! {
    // Planted faults: a torn group before sound ones taken for damage; no group that says that it
    // was written ahead.
    /// The machine goes down: of what was written since the last flush the disk has some sectors
    /// and lacks others, and of the file's end too.
    #[test]
    fn a_machine_that_goes_down_takes_along_no_more_than_was_not_durable(
        deeds in prop::collection::vec(deed(), 1..40),
        lost in prop::collection::vec(any::<Index>(), 0..20),
        cut in prop::option::of(any::<Index>()),
        is_index_kept in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let (mut log, _) = Segments::open_bounded(folder.path(), 0, 2_000).unwrap();
        let mut durable_bytes = 0;
        for deed in deeds {
            match deed {
                Deed::Write(count) => {
                    let next = log.len();
                    ahead(&mut log, next..next + count);
                }
                Deed::Flush(true) => log.flush().unwrap(),
                Deed::Flush(false) => flushed(&mut log),
                Deed::Seal => log.shared.is_sealing.store(true, Ordering::Relaxed),
            }
            if log.unflushed.is_empty() {
                durable_bytes = log.bytes;
            }
            // A segment that was begun begins with nothing durable.
            durable_bytes = durable_bytes.min(log.bytes - log.unflushed.bytes());
        }
        let (durable, told) = (log.reader().len(), log.len());
        let file = log.active.path.clone();
        let kept = fs::read(file.with_extension("idx")).unwrap();
        killed(log);
        let mut bytes = fs::read(&file).unwrap();
        let from = usize::try_from(durable_bytes).unwrap();
        let sectors = bytes.len().saturating_sub(from).div_ceil(SECTOR);
        for lost in lost.iter().filter(|_| sectors > 0) {
            let at = from + lost.index(sectors) * SECTOR;
            let end = bytes.len().min(at + SECTOR);
            bytes[at..end].fill(0);
        }
        if let Some(cut) = cut {
            bytes.truncate(from + cut.index(bytes.len() - from + 1));
        }
        fs::write(&file, &bytes).unwrap();
        fs::write(file.with_extension("idx"), if is_index_kept { &kept[..] } else { b"" }).unwrap();
        let (mut log, _) = Segments::open_bounded(folder.path(), 0, 2_000).unwrap();
        let found = log.len();
        prop_assert!((durable..=told).contains(&found), "{found} of {durable}..={told}");
        holds(&log, found);
        written(&mut log, found..found + 3);
        drop(log);
        let (log, torn) = Segments::open_bounded(folder.path(), 0, 2_000).unwrap();
        prop_assert_eq!(torn, None);
        holds(&log, found + 3);
    }
}

/// So short that a group has several.
const SECTOR: usize = 64;
