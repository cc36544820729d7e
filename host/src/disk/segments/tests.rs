//! Logs after restarts, crashes and refusals, held against what was appended.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::PathBuf;
use std::thread;

use proptest::prelude::*;

use super::faults::Step;
use super::reader::OPEN_MAX;
use super::*;

mod ahead;

/// So short that a log of some records has several segments.
const BYTES_MAX: u64 = 200;

fn record(number: u64) -> Vec<u8> {
    vec![number as u8; number as usize % 41]
}

fn opened(folder: &Path) -> (Segments, Option<Torn>) {
    Segments::open_bounded(folder, 0, BYTES_MAX).unwrap()
}

/// The log of a folder at whose end nothing was torn.
fn sound(folder: &Path) -> Segments {
    let (log, torn) = opened(folder);
    assert_eq!(torn, None);
    log
}

/// Why a log is not opened. The logs in its folder are left as they are.
fn damage(folder: &Path) -> String {
    let before = files(folder, "log");
    let error = Segments::open_bounded(folder, 0, BYTES_MAX).unwrap_err();
    let error = error.to_string();
    assert!(error.contains(" is damaged: "), "{error}");
    assert_eq!(files(folder, "log"), before);
    error
}

fn append(log: &mut Segments, numbers: Range<u64>) {
    for number in numbers {
        assert_eq!(log.append(&record(number)).unwrap(), number);
    }
}

/// Appends records as one group.
fn written(log: &mut Segments, numbers: Range<u64>) {
    append(log, numbers);
    log.flush().unwrap();
}

/// Appends records, three a group.
fn written_by_three(log: &mut Segments, numbers: Range<u64>) {
    let end = numbers.end;
    for first in numbers.step_by(3) {
        written(log, first..end.min(first + 3));
    }
}

/// Holds a log, all of it durable, against the first records.
fn holds(log: &Segments, records: u64) {
    assert_eq!(log.len(), records);
    assert_eq!(log.reader().len(), records);
    for number in 0..records {
        let found = log.get(number).unwrap();
        assert_eq!(found, Some(record(number)), "{number}");
    }
    assert_eq!(log.get(records).unwrap(), None);
    let expected: Vec<_> = (0..records).map(record).collect();
    for bytes_max in [0, 100, 1 << 20] {
        assert_eq!(read(&log.reader(), bytes_max), expected, "{bytes_max}");
    }
}

/// All durable records, stretch by stretch.
fn read(reader: &SegmentReader, bytes_max: usize) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    loop {
        let next = records.len() as u64;
        let found = reader.stretch(next, u64::MAX, bytes_max).unwrap();
        if found.is_empty() {
            return records;
        }
        for (number, record) in found {
            assert_eq!(number, records.len() as u64);
            records.push(record);
        }
    }
}

fn path(folder: &Path, first: u64) -> PathBuf {
    folder.join(format!("{first:020}.log"))
}

/// The files of one kind with their bytes.
fn files(folder: &Path, extension: &str) -> BTreeMap<PathBuf, Vec<u8>> {
    let paths = fs::read_dir(folder).unwrap();
    let paths = paths.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

/// What is torn of these bytes behind the last sound group: not zeros at their end.
fn torn_in(bytes: &[u8]) -> Option<Torn> {
    let last = bytes.iter().rposition(|byte| *byte != 0)?;
    let bytes = last as u64 + 1;
    Some(Torn { bytes })
}

fn firsts(folder: &Path) -> Vec<u64> {
    let files = files(folder, "log");
    let names = files.keys().map(|path| path.file_stem().unwrap());
    names
        .map(|name| name.to_str().unwrap().parse().unwrap())
        .collect()
}

#[test]
fn records_come_back_in_order_before_a_flush_and_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("a").join("b");
    {
        let mut log = sound(&deep);
        let reader = log.reader();
        assert!(log.is_empty() && reader.is_empty());
        written(&mut log, 0..5);
        append(&mut log, 5..60);
        for number in 0..60 {
            assert_eq!(log.get(number).unwrap(), Some(record(number)), "{number}");
        }
        assert_eq!(log.get(60).unwrap(), None);
        assert_eq!((log.len(), reader.len()), (60, 5));
        assert_eq!(reader.get(5).unwrap(), None);
        assert_eq!(read(&reader, 1 << 20).len(), 5);
        log.flush().unwrap();
        log.flush().unwrap();
        holds(&log, 60);
        append(&mut log, 60..61);
    }
    let mut log = sound(&deep);
    holds(&log, 60);
    written(&mut log, 60..70);
    holds(&log, 70);
    assert!(firsts(&deep).len() > 5, "{:?}", firsts(&deep));
    let lengths = files(&deep, "log").into_values().map(|bytes| bytes.len());
    assert!(lengths.max().unwrap() as u64 <= BYTES_MAX);
}

// A crash while it is written: it has no entries in the index, which come once it is durable.
#[test]
fn a_cut_anywhere_in_the_last_group_leaves_the_records_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = path(folder.path(), 0);
    let index = file.with_extension("idx");
    let mut log = sound(folder.path());
    written(&mut log, 0..3);
    let end = usize::try_from(log.bytes).unwrap();
    let before = fs::read(&index).unwrap();
    written(&mut log, 3..6);
    drop(log);
    let whole = fs::read(&file).unwrap();
    for cut in end..whole.len() {
        fs::write(&file, &whole[..cut]).unwrap();
        fs::write(&index, &before).unwrap();
        let (mut log, torn) = opened(folder.path());
        assert_eq!(torn, torn_in(&whole[end..cut]), "{cut}");
        assert_eq!(fs::read(&file).unwrap(), whole[..end]);
        holds(&log, 3);
        written(&mut log, 3..6);
        holds(&log, 6);
        drop(log);
        assert_eq!(fs::read(&file).unwrap(), whole);
    }
}

// Planted faults: an index that is not looked at, or after the cut; any entry taken for one of a
// group.
#[test]
fn a_log_whose_index_leads_to_a_group_that_is_not_there_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = path(folder.path(), 0);
    let index = file.with_extension("idx");
    let mut log = sound(folder.path());
    written(&mut log, 0..3);
    let end = usize::try_from(log.bytes).unwrap();
    let before = fs::read(&index).unwrap();
    written(&mut log, 3..6);
    drop(log);
    let (whole, entries) = (fs::read(&file).unwrap(), fs::read(&index).unwrap());
    assert_eq!((before.len(), entries.len()), (12, 24));
    let put = |log: &[u8], entries: &[u8]| {
        fs::write(&file, log).unwrap();
        fs::write(&index, entries).unwrap();
    };
    let mut rotten = whole.clone();
    rotten[end + 40] ^= 1;
    let cuts = (end..whole.len()).map(|cut| whole[..cut].to_vec());
    for log in cuts.chain([rotten]) {
        put(&log, &entries);
        // However often it is started.
        for _ in 0..2 {
            let error = damage(folder.path());
            assert!(error.contains("found 3 records"), "{error}");
            assert!(error.contains("expected at least 6"), "{error}");
            assert_eq!(fs::read(&index).unwrap(), entries);
        }
    }
    // Of a group that was being written nothing is in the index yet, and what the machine's end
    // leaves of one may be zeros, or another file's bytes.
    for left in [&b""[..], &[0; 12], &[9; 12]] {
        put(&whole[..end + 5], &[&before[..], left].concat());
        holds(&opened(folder.path()).0, 3);
    }
    put(&whole[..end + 5], &[]);
    holds(&opened(folder.path()).0, 3);
    put(&whole, &entries);
    holds(&sound(folder.path()), 6);
}

// The index tells what is damage by itself, so it is left out too.
#[test]
fn a_flipped_bit_is_damage_where_a_group_follows_or_the_index_has_its_own_and_torn_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let file = path(folder.path(), 0);
    let index = file.with_extension("idx");
    let mut log = sound(folder.path());
    written(&mut log, 0..2);
    written(&mut log, 2..4);
    let last = usize::try_from(log.bytes).unwrap();
    written(&mut log, 4..6);
    drop(log);
    let (whole, entries) = (fs::read(&file).unwrap(), fs::read(&index).unwrap());
    for place in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[place] ^= 1 << (place % 8);
        fs::write(&file, &bytes).unwrap();
        fs::write(&index, &entries).unwrap();
        let error = damage(folder.path());
        assert!(error.contains("to which its index leads"), "{error}");
        fs::write(&index, "").unwrap();
        if place < last {
            let error = damage(folder.path());
            assert!(error.contains("is not what was written"), "{error}");
            continue;
        }
        let (log, torn) = opened(folder.path());
        assert_eq!(torn, torn_in(&bytes[last..]), "{place}");
        holds(&log, 4);
    }
}

// A process that was killed leaves its room, one that ends does not.
#[test]
fn zeros_at_the_end_are_room_and_what_stands_among_them_is_torn() {
    let folder = tempfile::tempdir().unwrap();
    let file = path(folder.path(), 0);
    let index = file.with_extension("idx");
    let (mut log, _) = Segments::open(folder.path(), 0).unwrap();
    written(&mut log, 0..4);
    let end = usize::try_from(log.bytes).unwrap();
    let (left, entries) = (fs::read(&file).unwrap(), fs::read(&index).unwrap());
    assert_eq!(left[end..], [0; 256 << 10]);
    // Which the next groups do not make longer.
    written(&mut log, 4..8);
    let whole = fs::read(&file).unwrap();
    assert_eq!(whole.len(), left.len());
    drop(log);
    assert!(fs::metadata(&file).unwrap().len() < 1000);
    for (bytes, records) in [(&left, 4), (&whole, 8)] {
        fs::write(&file, bytes).unwrap();
        fs::write(&index, &entries).unwrap();
        holds(&sound(folder.path()), records);
        assert!(fs::metadata(&file).unwrap().len() < 1000);
    }
    // Of a group some sectors may have come to the disk and its first not.
    let mut bytes = left;
    bytes[end + 700..end + 800].fill(7);
    fs::write(&file, bytes).unwrap();
    fs::write(&index, entries).unwrap();
    let (log, torn) = opened(folder.path());
    assert_eq!(torn, Some(Torn { bytes: 800 }));
    holds(&log, 4);
}

// A disk with no room but for the groups. Planted faults: what was taken is kept; the next flush
// asks again; the next segment does not.
#[test]
fn a_log_that_found_no_room_gives_back_what_it_took_and_asks_again_in_the_next_segment() {
    const BYTES_MAX: u64 = 10_000;
    let folder = tempfile::tempdir().unwrap();
    let (mut log, _) = Segments::open_bounded(folder.path(), 0, BYTES_MAX).unwrap();
    let length = |first| fs::metadata(path(folder.path(), first)).unwrap().len();
    log.faults.refused = vec![Step::Room];
    written(&mut log, 0..4);
    assert_eq!(length(0), log.bytes);
    log.faults.refused.clear();
    written(&mut log, 4..8);
    assert_eq!(length(0), log.bytes);
    assert_eq!(log.append(&[8; 9_000]).unwrap(), 8);
    log.flush().unwrap();
    assert_eq!(log.append(&[9; 2_000]).unwrap(), 9);
    log.flush().unwrap();
    assert_eq!(firsts(folder.path()), [0, 9]);
    assert_eq!(length(9), BYTES_MAX);
    // And after a start, of which nobody knows how full the disk is.
    drop(log);
    let (mut log, _) = Segments::open_bounded(folder.path(), 0, BYTES_MAX).unwrap();
    log.append(&[10; 10]).unwrap();
    log.flush().unwrap();
    assert_eq!(length(9), BYTES_MAX);
    assert_eq!(log.get(8).unwrap(), Some(vec![8; 9_000]));
    assert_eq!(log.get(10).unwrap(), Some(vec![10; 10]));
}

/// The search goes on across the parts in which it reads the file.
#[test]
fn a_sound_group_far_behind_a_bad_one_makes_it_damage() {
    let folder = tempfile::tempdir().unwrap();
    let (mut log, _) = Segments::open(folder.path(), 0).unwrap();
    log.append(&[7; (1 << 20) - 34]).unwrap();
    log.flush().unwrap();
    written(&mut log, 1..2);
    drop(log);
    let file = path(folder.path(), 0);
    let mut bytes = fs::read(&file).unwrap();
    bytes[0] ^= 1;
    fs::write(&file, bytes).unwrap();
    // Which would tell it.
    fs::remove_file(file.with_extension("idx")).unwrap();
    damage(folder.path());
}

/// Opening does not read what was sealed; who asks for the record hears of it.
#[test]
fn what_rots_in_a_sealed_segment_is_damage_when_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    written_by_three(&mut sound(folder.path()), 0..60);
    let file = path(folder.path(), 0);
    let mut bytes = fs::read(&file).unwrap();
    let place = bytes.windows(5).position(|found| found == [5; 5]).unwrap();
    bytes[place] ^= 1;
    fs::write(&file, bytes).unwrap();
    let reader = sound(folder.path()).reader();
    for error in [
        reader.get(5).unwrap_err(),
        reader.stretch(3, 6, 1 << 20).unwrap_err(),
        reader.stretch(5, 6, 0).unwrap_err(),
    ] {
        let error = error.to_string();
        assert!(
            error.contains("record 5 is not what was written"),
            "{error}"
        );
    }
    assert_eq!(reader.get(4).unwrap(), Some(record(4)));
    assert_eq!(reader.get(6).unwrap(), Some(record(6)));
    assert_eq!(reader.stretch(3, 5, 1 << 20).unwrap().len(), 2);
    fs::remove_file(file.with_extension("idx")).unwrap();
    assert!(damage(folder.path()).contains("of record 3 on"));
}

#[test]
fn missing_cut_and_foreign_segments_are_damage() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    written_by_three(&mut sound(folder), 0..60);
    let firsts = firsts(folder);
    let aside = folder.join("aside");
    for first in &firsts[..firsts.len() - 1] {
        let file = path(folder, *first);
        fs::rename(&file, &aside).unwrap();
        let error = damage(folder);
        assert!(error.contains("expected"), "{error}");
        fs::rename(&aside, &file).unwrap();
        holds(&sound(folder), 60);
    }
    for (first, name) in [(firsts[3], firsts[3] + 1), (firsts[3], firsts[3] - 1)] {
        fs::rename(path(folder, first), path(folder, name)).unwrap();
        damage(folder);
        fs::rename(path(folder, name), path(folder, first)).unwrap();
    }
    let whole = fs::read(path(folder, firsts[2])).unwrap();
    for cut in [0, 10, whole.len() - 1] {
        fs::write(path(folder, firsts[2]), &whole[..cut]).unwrap();
        damage(folder);
    }
    let longer = [&whole[..], &[0][..]].concat();
    fs::write(path(folder, firsts[2]), longer).unwrap();
    damage(folder);
    fs::write(path(folder, firsts[2]), whole).unwrap();
    for name in [
        "1.log",
        "0000000000000000000x.log",
        "99999999999999999999.log",
    ] {
        fs::write(folder.join(name), "").unwrap();
        assert!(damage(folder).contains(name));
        fs::remove_file(folder.join(name)).unwrap();
    }
    holds(&sound(folder), 60);
}

/// A crash after a segment was begun and before its first group.
#[test]
fn an_empty_last_segment_is_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    written_by_three(&mut sound(folder.path()), 0..30);
    fs::write(path(folder.path(), 30), "").unwrap();
    let mut log = sound(folder.path());
    holds(&log, 30);
    written(&mut log, 30..33);
    holds(&log, 33);
    assert_eq!(firsts(folder.path()).last(), Some(&30));
}

#[test]
fn an_index_that_is_lost_short_long_or_foreign_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    written_by_three(&mut sound(folder), 0..60);
    let indexes = files(folder, "idx");
    assert!(indexes.len() > 3);
    for (index, bytes) in &indexes {
        for wrong in [
            vec![],
            bytes[..bytes.len() - 1].to_vec(),
            bytes[..bytes.len() - 4].to_vec(),
            [&bytes[..], &[0; 4][..]].concat(),
            vec![0; bytes.len()],
            vec![0xff; bytes.len()],
        ] {
            fs::write(index, wrong).unwrap();
            holds(&sound(folder), 60);
            assert_eq!(files(folder, "idx"), indexes);
        }
        fs::remove_file(index).unwrap();
        holds(&sound(folder), 60);
        assert_eq!(files(folder, "idx"), indexes);
    }
}

#[test]
fn an_index_that_lies_gives_an_error_and_no_other_record() {
    let folder = tempfile::tempdir().unwrap();
    written_by_three(&mut sound(folder.path()), 0..30);
    let index = path(folder.path(), 0).with_extension("idx");
    let mut bytes = fs::read(&index).unwrap();
    let (first, second) = bytes.split_at_mut(4);
    first.swap_with_slice(&mut second[..4]);
    fs::write(&index, bytes).unwrap();
    let reader = sound(folder.path()).reader();
    for number in [0, 1] {
        assert!(reader.get(number).is_err());
        assert!(reader.stretch(number, 30, 1 << 20).is_err());
    }
    assert_eq!(reader.get(2).unwrap(), Some(record(2)));
}

#[test]
fn a_stretch_ends_where_its_reader_or_the_segment_says() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = sound(folder.path());
    written_by_three(&mut log, 0..60);
    let reader = log.reader();
    let numbers = |from, to, bytes_max| {
        let found = reader.stretch(from, to, bytes_max).unwrap();
        let numbers = found.into_iter().map(|(number, _)| number);
        numbers.collect::<Vec<u64>>()
    };
    assert_eq!(numbers(1, 4, 1 << 20), [1, 2, 3]);
    // Heads and bytes of records 0 and 1 take 17 bytes, with record 2 they take 27.
    assert_eq!(numbers(0, 60, 26), [0, 1]);
    assert_eq!(numbers(0, 60, 27), [0, 1, 2]);
    assert_eq!(numbers(0, 60, 0), [0]);
    let second = firsts(folder.path())[1];
    assert_eq!(numbers(0, 60, usize::MAX).last(), Some(&(second - 1)));
    assert_eq!(numbers(59, u64::MAX, 1 << 20), [59]);
    for (from, to) in [(4, 4), (5, 4), (60, 61), (u64::MAX, u64::MAX)] {
        assert!(numbers(from, to, 1 << 20).is_empty());
    }
}

#[test]
fn a_record_longer_than_a_segment_has_one_to_itself_and_one_too_long_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let long = vec![3_u8; 10_000];
    {
        let mut log = sound(folder.path());
        written(&mut log, 0..2);
        let error = log.append(&vec![0; RECORD_BYTES_MAX + 1]).unwrap_err();
        assert!(error.to_string().contains("expected at most 16777216"));
        assert_eq!(log.append(&long).unwrap(), 2);
        written(&mut log, 3..5);
    }
    let log = sound(folder.path());
    assert_eq!(firsts(folder.path()), [0, 2, 3]);
    assert_eq!(log.get(2).unwrap().as_ref(), Some(&long));
    for bytes_max in [0, 9_000, 1 << 20] {
        let found = log.reader().stretch(2, 9, bytes_max).unwrap();
        assert!(found == [(2, long.clone())], "{bytes_max}");
    }
    assert_eq!(log.get(4).unwrap(), Some(record(4)));
}

/// More segments than are kept open, in both directions.
#[test]
fn segments_that_were_closed_are_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let (mut log, _) = Segments::open_bounded(folder.path(), 0, 1).unwrap();
    let records = OPEN_MAX as u64 + 8;
    written(&mut log, 0..records);
    assert_eq!(firsts(folder.path()), (0..records).collect::<Vec<_>>());
    holds(&log, records);
    for number in (0..records).rev() {
        assert_eq!(log.get(number).unwrap(), Some(record(number)));
    }
    assert_eq!(log.shared.known().open.len(), OPEN_MAX);
    written(&mut log, records..records + 1);
    holds(&log, records + 1);
}

#[test]
fn a_reader_on_another_thread_sees_prefixes_without_gaps() {
    const RECORDS: u64 = 600;
    let folder = tempfile::tempdir().unwrap();
    let mut log = sound(folder.path());
    let reader = log.reader();
    thread::scope(|scope| {
        let writer = scope.spawn(move || written_by_three(&mut log, 0..RECORDS));
        let readers = [0, 100, 1 << 20].map(|bytes_max| (reader.clone(), bytes_max));
        let mut next = [0; 3];
        loop {
            let is_over = writer.is_finished();
            for ((reader, bytes_max), next) in readers.iter().zip(&mut next) {
                let durable = reader.len();
                while *next < durable {
                    let found = reader.stretch(*next, RECORDS, *bytes_max).unwrap();
                    assert!(!found.is_empty());
                    for pair in found {
                        assert_eq!(pair, (*next, record(*next)));
                        *next += 1;
                    }
                    let last = reader.get(*next - 1).unwrap();
                    assert_eq!(last, Some(record(*next - 1)));
                }
            }
            if is_over {
                break;
            }
        }
        assert_eq!(next, [RECORDS; 3]);
    });
}

// Who writes elsewhere what must not be durable before the log flushes it before every write.
#[test]
fn a_flush_of_nothing_asks_the_disk_for_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = sound(folder.path());
    written(&mut log, 0..3);
    log.faults.refused = vec![Step::Write, Step::Sync, Step::Index];
    log.flush().unwrap();
    log.flush().unwrap();
    append(&mut log, 3..4);
    assert!(log.flush().is_err());
}

// The last three are of a disk that lets nothing be cut either: half a group is torn, a whole one
// is there again. Planted fault: an index that is not cut with its log.
#[test]
fn after_a_failed_flush_a_log_refuses_until_it_is_opened_again() {
    for (refused, is_torn, is_back) in [
        (vec![Step::Write], false, false),
        (vec![Step::Sync], false, false),
        (vec![Step::Index], false, false),
        (vec![Step::Write, Step::Cut], true, false),
        (vec![Step::Sync, Step::Cut], false, true),
        (vec![Step::Index, Step::Cut], false, true),
    ] {
        // In the middle of a segment, and where the next one begins.
        for before in [4, 8] {
            let folder = tempfile::tempdir().unwrap();
            let mut log = sound(folder.path());
            written(&mut log, 0..before);
            append(&mut log, before..before + 5);
            log.faults.refused.clone_from(&refused);
            let error = log.flush().unwrap_err().to_string();
            assert!(error.contains("could not write"), "{error}");
            log.faults.refused.clear();
            holds(&log, before);
            let error = log.append(b"").unwrap_err().to_string();
            assert!(error.contains("not opened again"), "{error}");
            log.flush().unwrap_err();
            drop(log);
            let (mut log, torn) = opened(folder.path());
            assert_eq!(torn.is_some(), is_torn, "{refused:?}");
            let records = if is_back { before + 5 } else { before };
            holds(&log, records);
            written(&mut log, records..records + 5);
            holds(&log, records + 5);
        }
    }
}

#[test]
fn a_full_device_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/dev/full", path(folder.path(), 0)).unwrap();
    let mut log = sound(folder.path());
    append(&mut log, 0..3);
    let error = log.flush().unwrap_err().to_string();
    assert!(error.contains("No space left on device"), "{error}");
    assert!(log.is_empty());
}

#[test]
fn no_payment_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = sound(folder.path());
    log.append(&[77; 40]).unwrap();
    let shown = format!("{log:?}");
    assert!(shown.contains("records: 1") && !shown.contains("77, 77"));
}

#[derive(Clone, Debug)]
enum Deed {
    Append(usize),
    Flush,
    Reopen,
    /// Ends without a flush or taking the room back, and takes so many bytes off the last segment.
    Crash(u64, bool),
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        6 => (0..150_usize).prop_map(Deed::Append),
        3 => Just(Deed::Flush),
        1 => Just(Deed::Reopen),
        1 => (0..300_u64, any::<bool>()).prop_map(|(bytes, is_room)| Deed::Crash(bytes, is_room)),
    ];
    prop::collection::vec(deed, 0..50)
}

/// The last segment.
fn last_of(folder: &Path) -> (PathBuf, Vec<u8>) {
    files(folder, "log").pop_last().unwrap()
}

/// Takes the entries of records from `next` on out of a segment's index, as if they had never been
/// written: the disk kept its word.
fn forget(log: &Path, next: u64) {
    let first: u64 = log.file_stem().unwrap().to_str().unwrap().parse().unwrap();
    let index = log.with_extension("idx");
    let mut entries = fs::read(&index).unwrap();
    entries.truncate(4 * usize::try_from(next.saturating_sub(first)).unwrap());
    fs::write(&index, entries).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    // Whatever happens, the log is what was appended up to somewhere: all of it while it is open,
    // what was flushed after a restart, and after a crash every flush before the cut.
    #[test]
    fn a_log_is_a_prefix_of_what_was_appended(deeds in deeds()) {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let mut log = sound(folder);
        let mut model: Vec<Vec<u8>> = Vec::new();
        let mut durable = 0;
        // After each flush: where the log ended and with how many records.
        let mut flushes: Vec<((PathBuf, u64), usize)> = Vec::new();
        for (at, deed) in deeds.into_iter().enumerate() {
            match deed {
                Deed::Append(length) => {
                    let record = vec![at as u8; length];
                    prop_assert_eq!(log.append(&record).unwrap(), model.len() as u64);
                    model.push(record);
                }
                Deed::Flush => {
                    log.flush().unwrap();
                    durable = model.len();
                    flushes.push(((last_of(folder).0, log.bytes), durable));
                }
                Deed::Reopen => {
                    drop(log);
                    log = sound(folder);
                    model.truncate(durable);
                }
                Deed::Crash(bytes, is_room) => {
                    let (path, mut left) = last_of(folder);
                    // Of the groups, or of the room behind them.
                    let end = if is_room { left.len() as u64 } else { log.bytes };
                    let cut = end.saturating_sub(bytes);
                    left.truncate(usize::try_from(cut).unwrap());
                    drop(log);
                    fs::write(&path, &left).unwrap();
                    let end = (path, cut);
                    let before = flushes.iter().filter(|(flushed, _)| *flushed <= end);
                    let least = before.map(|(_, records)| *records).max().unwrap_or(0);
                    forget(&end.0, least as u64);
                    let (found, torn) = opened(folder);
                    log = found;
                    let end = usize::try_from(log.bytes).unwrap();
                    prop_assert_eq!(torn, torn_in(&left[end..]));
                    prop_assert_eq!(last_of(folder).1.len(), end);
                    let kept = usize::try_from(log.len()).unwrap();
                    prop_assert!((least..=durable).contains(&kept));
                    durable = kept;
                    model.truncate(durable);
                    flushes.retain(|(_, records)| *records <= durable);
                }
            }
            prop_assert_eq!(log.len(), model.len() as u64);
            prop_assert_eq!(log.reader().len(), durable as u64);
        }
        for (number, record) in model.iter().enumerate() {
            let found = log.get(number as u64).unwrap();
            prop_assert_eq!(found.as_ref(), Some(record));
        }
        model.truncate(durable);
        prop_assert_eq!(read(&log.reader(), 64), model);
    }
}
