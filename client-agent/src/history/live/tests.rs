//! Payments after the file's and what is said of them, in whatever order it comes.

use std::sync::atomic::Ordering;

use features::{FeatureSchema, Label, RawTransaction};
use host::disk::Store;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::history::Payment;
use crate::history::memory::Memory;
use crate::journal::{Entry, Journal, LabelEntry};

const START_MS: i64 = 1_470_000_000_000;

fn payment(id: u64, ts: i64) -> Transaction {
    let raw: RawTransaction = serde_json::from_value(json!({
        "txn_id": format!("t{id}"), "ts": ts, "rail": "card", "amount_minor": 100,
        "currency": "EUR", "account_tok": format!("a{}", id % 3), "terminal_tok": "o1",
    }))
    .unwrap();
    Transaction::try_from(raw).unwrap()
}

/// A file of one payment, and one scored live a day later under number 4.
fn history(silence: Verdict) -> History {
    let mut history = History::new(FeatureSchema::standard(), silence);
    history.push(&payment(0, START_MS), None).unwrap();
    history.follow(4, &payment(1, START_MS + DAY_MS)).unwrap();
    history
}

fn payments(history: &History) -> Vec<(Payment, String)> {
    let mut payments = Vec::new();
    let replayed = history.replay(|payment, transaction| {
        payments.push((payment, transaction.card().to_owned()));
    });
    replayed.unwrap();
    payments
}

fn verdict(history: &History) -> Verdict {
    payments(history)[1].0.verdict
}

fn report(known_at: i64, fraud: bool) -> Report {
    Report { known_at, fraud }
}

/// A journal of two hundred payments, with a fraud among them.
fn journal(folder: &std::path::Path) -> Journal {
    let mut journal = Journal::open(&Store::open(folder).unwrap()).unwrap();
    for id in 0..200 {
        let ts = START_MS + i64::try_from(id).unwrap();
        let entry = Entry {
            txn_id: format!("t{id}"),
            digest: [0; 32],
            transaction: serde_json::to_string(&payment(id, ts)).unwrap(),
            answer: "{}".to_owned(),
            vector: Vec::new(),
        };
        journal.append(&entry).unwrap();
    }
    let label = LabelEntry {
        label_id: [0; 32],
        txn_id: "t150".to_owned(),
        payment: 150,
        fraud: true,
        known_at: START_MS + DAY_MS,
        told_at: 0,
        source: "analyst".to_owned(),
        supersedes: None,
        after: 200,
        event_at: None,
    };
    journal.append_label(&label).unwrap();
    journal.settle().unwrap();
    journal
}

// Its folder is missing, as a full disk has no room: what waits in memory is all that it takes.
#[test]
fn what_finds_no_room_is_learnt_once_there_is_some() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal(&folder.path().join("store"));
    let (schema, room) = (FeatureSchema::standard(), folder.path().join("room"));
    let mut history = History {
        memory: Memory::new(schema.clone(), room.clone()),
        ..History::new(schema, Verdict::Genuine)
    };
    let mut follower = journal.follow();
    for _ in 0..2 {
        let refused = history.catch_up(&mut follower);
        assert!(matches!(refused, Err(HistoryError::Kept(_))));
    }
    assert!((1..200).contains(&payments(&history).len()));
    std::fs::create_dir(&room).unwrap();
    history.catch_up(&mut follower).unwrap();
    let found = payments(&history);
    let times = found.iter().map(|(payment, _)| payment.ts - START_MS);
    assert!(times.eq(0..200));
    assert!(found[150].0.verdict.known_fraud().is_some());
    history.catch_up(&mut follower).unwrap();
    assert_eq!(payments(&history).len(), 200);
}

// Also later, when nothing more has come: they are still not learnt from.
#[test]
fn payments_for_which_there_is_no_room_are_told_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal(folder.path());
    let history = History::new(FeatureSchema::standard(), Verdict::Genuine);
    let (mut history, mut follower) = (history.with_room(140), journal.follow());
    for _ in 0..2 {
        assert_eq!(history.catch_up(&mut follower).unwrap(), 60);
        assert_eq!(payments(&history).len(), 140);
    }
}

#[test]
fn what_the_file_covers_the_file_tells() {
    let mut history = history(Verdict::Genuine);
    history.follow(5, &payment(2, START_MS)).unwrap();
    history.follow(7, &payment(3, START_MS + 1)).unwrap();
    assert_eq!((payments(&history).len(), history.file_len()), (3, 1));
    assert!(!history.label(5, report(START_MS, true)).unwrap());
    assert!(!history.label(6, report(START_MS, true)).unwrap());
    assert!(history.label(7, report(START_MS + 2, true)).unwrap());
    assert_eq!(history.summary().transactions, 1);
}

// A journal with gaps, and so many payments that most are in the history's file by the time when
// they are reported: each report reaches its payment and no other.
#[test]
fn a_report_reaches_its_payment_wherever_it_is_kept() {
    let mut history = history(Verdict::Genuine);
    let sequences: Vec<u64> = (5..400).filter(|sequence| sequence % 50 != 7).collect();
    for &sequence in &sequences {
        let at = i64::try_from(sequence).unwrap();
        let ts = START_MS + DAY_MS + at;
        history.follow(sequence, &payment(sequence, ts)).unwrap();
    }
    for sequence in (0..410).step_by(3) {
        let is_held = sequence == 4 || sequences.contains(&sequence);
        let known_at = START_MS + i64::try_from(sequence).unwrap();
        let told = history.label(sequence, report(known_at, true)).unwrap();
        assert_eq!(told, is_held, "{sequence}");
    }
    let found = payments(&history);
    assert_eq!(found.len(), 2 + sequences.len());
    for (&sequence, (payment, _)) in sequences.iter().zip(&found[2..]) {
        let expected = (sequence % 3 == 0).then(|| START_MS + i64::try_from(sequence).unwrap());
        let known_at = payment.verdict.known_fraud().map(|fraud| fraud.known_at);
        assert_eq!(known_at, expected, "{sequence}");
    }
}

#[test]
fn a_card_of_the_file_keeps_its_number() {
    let mut history = history(Verdict::Genuine);
    history.memory.settle();
    history.follow(9, &payment(3, START_MS + DAY_MS)).unwrap();
    history.follow(10, &payment(6, START_MS + DAY_MS)).unwrap();
    let payments = payments(&history);
    let cards: Vec<(u32, &str)> = payments.iter().map(|(p, t)| (p.card, t.as_str())).collect();
    assert_eq!((cards[0].1, cards[1].1), ("a0", "a1"));
    assert!(cards[0].0 != cards[1].0 && cards[2..] == [cards[0]; 2]);
}

#[test]
fn only_what_lies_before_a_day_makes_its_stretch_stale() {
    let mut history = history(Verdict::Genuine);
    let day = u32::try_from((START_MS + DAY_MS).div_euclid(DAY_MS)).unwrap();
    assert_eq!((history.revision(day), history.revision(day + 1)), (0, 1));
    history
        .label(4, report(START_MS + 90 * DAY_MS, true))
        .unwrap();
    assert_eq!((history.revision(day), history.revision(day + 1)), (0, 2));
}

#[test]
fn a_word_that_changes_no_verdict_makes_nothing_stale() {
    let mut history = history(Verdict::Genuine);
    let (end, at) = (u32::MAX, START_MS + 3 * DAY_MS);
    let told = [
        (report(at, false), 1),
        (report(at + 5, true), 2),
        (report(at + 5, true), 2),
        (report(at + 6, true), 2),
        (report(at + 9, false), 3),
        (report(at + 10, false), 3),
        (report(at + 8, false), 4),
    ];
    for (report, expected) in told {
        assert!(history.label(4, report).unwrap());
        assert_eq!(history.revision(end), expected, "{report:?}");
    }
}

// Planted faults: every report in memory; reports that go though the verdict does not tell them.
#[test]
fn only_what_a_verdict_does_not_tell_is_in_memory() {
    let mut history = history(Verdict::Genuine);
    for sequence in 5..100 {
        let ts = START_MS + DAY_MS + i64::try_from(sequence).unwrap();
        history.follow(sequence, &payment(sequence, ts)).unwrap();
    }
    let held = |history: &History| history.live.as_ref().unwrap().reports.len();
    let at = START_MS + 3 * DAY_MS;
    for (known_at, fraud) in [(at, true), (at + 9, false)] {
        for sequence in 4..100 {
            assert!(history.label(sequence, report(known_at, fraud)).unwrap());
        }
        assert_eq!(held(&history), 0);
    }
    // Reported again: of what it was before the verdict says nothing.
    history.label(4, report(at + 20, true)).unwrap();
    assert_eq!(held(&history), 1);
    assert!(is_known(&history, at + 5) && !is_known(&history, at + 15));
    // Genuine from the start, which silence says too, until somebody says otherwise.
    let last = 100;
    history
        .follow(last, &payment(last, START_MS + 2 * DAY_MS))
        .unwrap();
    history.label(last, report(at, false)).unwrap();
    assert_eq!(held(&history), 2);
    history.label(last, report(at - 1, true)).unwrap();
    assert_eq!(held(&history), 1);
    let withdrawn = payments(&history).pop().unwrap().0.verdict;
    let expected = Verdict::Fraud {
        known_at: at - 1,
        withdrawn_at: Some(at),
    };
    assert_eq!(withdrawn, expected);
}

/// What was said last by `ts`, straight from the reports: of two at one moment the fraud.
fn said_last(reports: &[(i64, bool)], ts: i64) -> bool {
    let by_then = reports.iter().filter(|(known_at, _)| *known_at <= ts);
    by_then.max().is_some_and(|(_, fraud)| *fraud)
}

proptest! {
    // A superseded label is read before its withdrawal and not after, whatever comes first. Of a
    // story in which a withdrawn fraud comes back, the first chapter may be missed, never a later
    // one told early. Planted faults: taking reports in order of arrival, or leaving the
    // withdrawal out of `KnownFraud::is_known_at`, fail here.
    #[test]
    fn each_label_is_read_until_the_next_whatever_the_order_of_arrival(
        (reports, arrival) in prop::collection::vec((0_i64..20, any::<bool>()), 0..8)
            .prop_flat_map(|reports| (Just(reports.clone()), Just(reports).prop_shuffle())),
    ) {
        let mut history = history(Verdict::Genuine);
        for (known_at, fraud) in arrival {
            prop_assert!(history.label(4, report(known_at, fraud)).unwrap());
        }
        let found = verdict(&history).known_fraud();
        let direct: Vec<bool> = (0..20).map(|ts| said_last(&reports, ts)).collect();
        let returns = direct.windows(2).filter(|pair| !pair[0] && pair[1]).count();
        let stories = returns + usize::from(direct[0]);
        for (ts, direct) in (0_i64..).zip(direct) {
            let is_known = found.is_some_and(|fraud| fraud.is_known_at(ts));
            prop_assert!(direct || !is_known, "told early at {}", ts);
            if stories <= 1 || ts == 19 {
                prop_assert_eq!(is_known, direct, "at {}", ts);
            }
        }
    }
}

/// Whether the payment scored live was known for a fraud, by all that a replay tells of it.
fn is_known(history: &History, ts: i64) -> bool {
    let (mut at, mut is_known) = (0, None);
    let replayed = history.replay_known(|_, known| {
        if at == 1 {
            is_known = Some(known.iter().any(|fraud| fraud.is_known_at(ts)));
        }
        at += 1;
    });
    replayed.unwrap();
    is_known.unwrap()
}

proptest! {
    // What is counted as of a moment is what was said last by then: of a fraud that comes back both
    // stretches, and nothing of what is said later, in whatever order it comes. Planted faults:
    // reading the verdict alone, which has the last stretch, or reports in order of arrival.
    #[test]
    fn every_stretch_is_told_as_it_was_known(
        (reports, arrival) in prop::collection::vec((0_i64..20, any::<bool>()), 0..8)
            .prop_flat_map(|reports| (Just(reports.clone()), Just(reports).prop_shuffle())),
    ) {
        let mut history = history(Verdict::Genuine);
        for (known_at, fraud) in arrival {
            prop_assert!(history.label(4, report(known_at, fraud)).unwrap());
        }
        for ts in 0..20 {
            prop_assert_eq!(is_known(&history, ts), said_last(&reports, ts), "at {}", ts);
        }
    }
}

// The file says of its payments what it says; a payment that nobody spoke of is none.
#[test]
fn what_the_file_tells_is_told_on() {
    let mut history = History::new(FeatureSchema::standard(), Verdict::Genuine);
    let (fraud, known_at) = (payment(0, START_MS), START_MS + 5);
    let label = Label {
        txn_id: fraud.txn_id.clone(),
        fraud: true,
        known_at,
        source: None,
    };
    history.push(&fraud, Some(&label)).unwrap();
    history.follow(4, &payment(1, START_MS + DAY_MS)).unwrap();
    let mut told = Vec::new();
    history
        .replay_known(|_, known| told.push(known.to_vec()))
        .unwrap();
    assert_eq!(told, [vec![KnownFraud::since(known_at)], Vec::new()]);
}

// Planted fault: a reader that passes by what was refused misses a payment, and its label.
#[test]
fn what_the_disk_refused_is_followed_the_next_time() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(&Store::open(folder.path()).unwrap()).unwrap();
    for id in 1..4 {
        let payment = payment(id, START_MS + DAY_MS);
        let entry = Entry {
            txn_id: payment.txn_id.clone(),
            digest: [0; 32],
            transaction: serde_json::to_string(&payment).unwrap(),
            answer: String::new(),
            vector: Vec::new(),
        };
        journal.append(&entry).unwrap();
    }
    journal.settle().unwrap();
    let (mut follower, faults) = (journal.follow(), journal.faults());
    let mut history = History::new(FeatureSchema::standard(), Verdict::Genuine);
    history.push(&payment(0, START_MS), None).unwrap();
    for _ in 0..2 {
        faults.entry_reads.store(1, Ordering::SeqCst);
        let refused = history.catch_up(&mut follower);
        assert!(matches!(refused, Err(HistoryError::Journal(error)) if error.is_passing()));
    }
    history.catch_up(&mut follower).unwrap();
    let found = payments(&history).len();
    assert_eq!((found, history.file_len()), (4, 1));
    assert!(
        history
            .label(2, report(START_MS + 2 * DAY_MS, true))
            .unwrap()
    );
}

#[test]
fn silence_stands_where_nothing_was_said() {
    let mut history = history(Verdict::Unknown);
    assert_eq!(verdict(&history), Verdict::Unknown);
    history
        .label(4, report(START_MS + 2 * DAY_MS, false))
        .unwrap();
    let known_at = START_MS + 2 * DAY_MS;
    assert_eq!(verdict(&history), Verdict::Cleared { known_at });
    // Said again later, and earlier after all.
    history.label(4, report(known_at + DAY_MS, false)).unwrap();
    assert_eq!(verdict(&history), Verdict::Cleared { known_at });
    history.label(4, report(known_at - 1, false)).unwrap();
    let earlier = Verdict::Cleared {
        known_at: known_at - 1,
    };
    assert_eq!(verdict(&history), earlier);
    history.label(4, report(known_at + 1, true)).unwrap();
    let fraud = verdict(&history).known_fraud().unwrap();
    assert_eq!(fraud.known_at, known_at + 1);
}

/// Milliseconds in a day.
const DAY_MS: i64 = 86_400_000;
