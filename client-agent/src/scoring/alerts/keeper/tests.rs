//! The keeper by itself, on a journal that the tests write: what opens and closes an alert, what
//! the disk refuses, and what is damaged.

use std::sync::atomic::Ordering;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use features::{RawTransaction, Transaction};
use host::disk::Store;
use serde_json::json;
use tokio::sync::oneshot;

use super::*;
use crate::journal::{Entry, Journal};
use crate::scoring::alerts::index::Grouping;

const START_MS: i64 = 1_772_352_000_000;

fn entry(sequence: u64, score: u16, decision: &str) -> Entry {
    let txn_id = format!("t{sequence}");
    let payment: RawTransaction = serde_json::from_value(json!({
        "txn_id": txn_id, "ts": START_MS, "rail": "card", "amount_minor": 1250,
        "currency": "EUR", "account_tok": "a",
    }))
    .unwrap();
    let payment = Transaction::try_from(payment).unwrap();
    let answer = json!({
        "decision_id": format!("019ca8d2a400-{sequence:x}"), "txn_id": txn_id, "score": score,
        "scored_at": START_MS, "decision": decision, "reasons": [], "band": "high",
    });
    Entry {
        txn_id,
        digest: [0; 32],
        transaction: serde_json::to_string(&payment).unwrap(),
        answer: answer.to_string(),
        vector: vec![0.0],
    }
}

fn label(sequence: u64, source: &str, known_at: i64, fraud: bool) -> LabelEntry {
    LabelEntry {
        label_id: [u8::try_from(known_at - START_MS).unwrap(); 32],
        txn_id: format!("t{sequence}"),
        payment: sequence,
        fraud,
        known_at,
        told_at: u64::try_from(known_at).unwrap(),
        source: source.to_owned(),
        supersedes: None,
        after: sequence + 1,
        event_at: None,
    }
}

fn keeper(journal: &Journal, most: usize, telemetry: &Telemetry) -> Keeper {
    let actions = journal.actions().unwrap();
    let (clock, beside) = (Clock::start(), Beside::default());
    let keeper = Keeper::new(journal.follow(), actions, clock, telemetry, beside);
    Keeper {
        index: Index::new(most),
        ..keeper
    }
}

fn open(keeper: &mut Keeper) -> Vec<String> {
    keeper.catch_up().unwrap();
    let each = Wanted {
        grouping: Grouping::Alerts,
        ..Wanted::queue()
    };
    let listing = keeper.index.list(keeper.now_ms(), &each);
    let rows = listing.alerts.into_iter();
    rows.map(|row| row.txn_id).collect()
}

fn act(keeper: &mut Keeper, sequence: u64, at: i64, deed: Deed) -> Result<Row, Problem> {
    let action = Action {
        at: u64::try_from(at).unwrap(),
        analyst: "u-17".to_owned(),
        note: String::new(),
        deed,
    };
    keeper.act(&format!("019ca8d2a400-{sequence:x}"), action)
}

// A journal of 2,500 decisions takes more than two stretches; what is undurable is not read.
#[test]
fn the_queue_is_the_journals_and_comes_back_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let (mut journal, telemetry) = (Journal::open(&store).unwrap(), Telemetry::default());
    let mut live = keeper(&journal, 10, &telemetry);
    for sequence in 0..2_500 {
        let decision = match sequence {
            7 => "decline",
            2_400 => "review",
            _ => "approve",
        };
        journal.append(&entry(sequence, 800, decision)).unwrap();
    }
    assert_eq!(live.follow().unwrap(), Progress::All);
    assert!(open(&mut live).is_empty());
    journal.settle().unwrap();
    assert_eq!(live.follow().unwrap(), Progress::More);
    assert_eq!(open(&mut live), ["t7", "t2400"]);

    let mut told = |label: &LabelEntry| {
        journal.append_label(label).unwrap();
        journal.settle().unwrap();
    };
    told(&label(7, "chargeback", START_MS + 1, true));
    assert_eq!(open(&mut live).len(), 2);
    told(&label(7, "analyst", START_MS + 2, true));
    assert_eq!(open(&mut live), ["t2400"]);
    act(&mut live, 2_400, START_MS + 3, Deed::Snooze(u64::MAX)).unwrap();
    assert!(open(&mut live).is_empty());

    let mut again = keeper(&journal, 10, &telemetry);
    assert_eq!(again.catch_up().unwrap_err().kind, ProblemType::NotReady);
    while again.follow().unwrap() == Progress::More {}
    let counts = |keeper: &Keeper| keeper.index.counts(keeper.now_ms());
    assert_eq!((counts(&again), counts(&live)), ([0, 1, 1], [0, 1, 1]));
}

#[test]
fn the_verdict_is_the_last_that_was_told() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let mut journal = Journal::open(&store).unwrap();
    let mut keeper = keeper(&journal, 10, &Telemetry::default());
    journal.append(&entry(0, 800, "review")).unwrap();
    journal.settle().unwrap();
    while keeper.follow().unwrap() == Progress::More {}
    let verdict = |row: Row| row.verdict.map(|verdict| verdict.word());
    let row = act(&mut keeper, 0, START_MS + 10, Deed::Suspected).unwrap();
    assert_eq!(verdict(row), Some("suspected"));
    // Of two words of one moment the fraud, whichever came last.
    for fraud in [true, false] {
        let label = label(0, "analyst", START_MS + 20, fraud);
        journal.append_label(&label).unwrap();
    }
    journal.settle().unwrap();
    keeper.catch_up().unwrap();
    let row = keeper.index.row(keeper.now_ms(), 0).unwrap();
    assert_eq!(verdict(row), Some("fraud"));
    let row = act(&mut keeper, 0, START_MS + 30, Deed::Unknown).unwrap();
    assert_eq!(verdict(row), Some("unknown"));
    let row = act(&mut keeper, 0, START_MS + 40, Deed::Fraud).unwrap();
    assert_eq!(verdict(row), Some("fraud"));
    let problem = act(&mut keeper, 0, START_MS + 50, Deed::Snooze(u64::MAX));
    assert_eq!(problem.err().unwrap().kind, ProblemType::AlertClosed);
}

#[test]
fn alerts_that_go_for_want_of_room_are_counted_and_their_actions_stay() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let (mut journal, telemetry) = (Journal::open(&store).unwrap(), Telemetry::default());
    let mut keeper = keeper(&journal, 3, &telemetry);
    let mut append = |sequence, score| {
        journal.append(&entry(sequence, score, "review")).unwrap();
        journal.settle().unwrap();
    };
    for (sequence, score) in [(0, 700), (1, 600), (2, 650)] {
        append(sequence, score);
    }
    while keeper.follow().unwrap() == Progress::More {}
    act(&mut keeper, 1, START_MS, Deed::Suspected).unwrap();
    append(3, 900);
    append(4, 100);
    assert_eq!(open(&mut keeper), ["t3", "t0", "t2"]);
    assert_eq!(keeper.actions.of(1).unwrap().len(), 1);
    let gone = act(&mut keeper, 1, START_MS, Deed::Fraud).err().unwrap();
    assert_eq!(gone.kind, ProblemType::NotFound);
    let text = telemetry.render();
    for line in [
        "phalanx_alerts_evicted_total 2",
        "phalanx_alerts{state=\"open\"} 3",
        "phalanx_alerts{state=\"closed\"} 0",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    // Where a restart has room for it again, it is as closed as it was.
    let mut roomy = self::keeper(&journal, 9, &Telemetry::default());
    while roomy.follow().unwrap() == Progress::More {}
    assert_eq!(roomy.index.counts(roomy.now_ms()), [4, 0, 1]);
}

#[test]
fn what_the_disk_refused_is_read_again_and_damaged_actions_hide_no_alert() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let mut journal = Journal::open(&store).unwrap();
    let faults = journal.faults();
    let mut keeper = keeper(&journal, 10, &Telemetry::default());
    for sequence in 0..2 {
        journal.append(&entry(sequence, 800, "review")).unwrap();
    }
    journal.settle().unwrap();
    let actions = store.table("alerts/actions").unwrap();
    actions.put(&1_u64.to_be_bytes(), &[9]).unwrap();
    faults.label_reads.store(1, Ordering::SeqCst);
    assert!(matches!(keeper.follow(), Err(JournalError::Disk(_))));
    while keeper.follow().unwrap() == Progress::More {}
    assert_eq!(open(&mut keeper), ["t0", "t1"]);

    let told = label(0, "analyst", START_MS + 1, true);
    journal.append_label(&told).unwrap();
    journal.settle().unwrap();
    faults.label_reads.store(1, Ordering::SeqCst);
    assert!(matches!(keeper.follow(), Err(JournalError::Disk(_))));
    while keeper.follow().unwrap() == Progress::More {}
    assert_eq!(open(&mut keeper), ["t1"]);
}

// Seven refusals in a row are a minute's pause, which no test outlasts.
#[test]
fn a_disk_that_refused_is_not_asked_before_its_time_however_often_the_queue_is() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let mut journal = Journal::open(&store).unwrap();
    let faults = journal.faults();
    let mut keeper = keeper(&journal, 10, &Telemetry::default());
    keeper.follow().unwrap();
    assert!(keeper.is_whole && keeper.beside.of(Part::Alerts).is_ok());
    journal.append(&entry(0, 800, "review")).unwrap();
    journal.settle().unwrap();
    faults.entry_reads.store(9, Ordering::SeqCst);
    (0..7).for_each(|_| assert!(keeper.follow().is_err()));
    for _ in 0..3 {
        let problem = keeper.catch_up().unwrap_err();
        assert_eq!(problem.kind, ProblemType::Unavailable);
    }
    assert_eq!(faults.entry_reads.swap(0, Ordering::SeqCst), 2);
    let why = keeper.beside.of(Part::Alerts).unwrap_err();
    assert!(why.contains("tried again"), "{why}");
    keeper.follow().unwrap();
    assert!(keeper.beside.of(Part::Alerts).is_ok());
    assert_eq!(open(&mut keeper), ["t0"]);
}

// The first reading is refused once, and somebody asks all the time. Planted fault: a wait that
// begins anew with every question never ends.
#[test]
fn who_asks_all_the_time_does_not_keep_the_queue_from_being_read() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let mut journal = Journal::open(&store).unwrap();
    journal.append(&entry(0, 800, "review")).unwrap();
    journal.settle().unwrap();
    journal.faults().entry_reads.store(1, Ordering::SeqCst);
    let keeper = keeper(&journal, 10, &Telemetry::default());
    let (questions, asked) = sync_channel(1);
    let thread = std::thread::spawn(move || keeper.run(&asked));
    let patience = Instant::now() + Duration::from_secs(60);
    let listing = loop {
        let (reply, told) = oneshot::channel();
        questions
            .send(Question::List(Wanted::queue(), reply))
            .unwrap();
        match told.blocking_recv().unwrap() {
            Ok(queue) => break queue.listing,
            Err(problem) => assert!(problem.kind.is_passing(), "{problem:?}"),
        }
        assert!(Instant::now() < patience);
    };
    assert_eq!(listing.alerts.len(), 1);
    drop(questions);
    thread.join().unwrap();
}

// An answer of another build is passed by; so is a payment that the door refuses, which was
// never journaled so, but that is damage, and is told for as long as the queue lacks it.
#[test]
fn what_is_damaged_is_passed_by_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let mut journal = Journal::open(&store).unwrap();
    let mut keeper = keeper(&journal, 10, &Telemetry::default());
    let foreign = Entry {
        answer: json!({"decision": "perhaps"}).to_string(),
        ..entry(0, 800, "review")
    };
    for entry in [foreign, entry(1, 800, "review")] {
        journal.append(&entry).unwrap();
    }
    journal.settle().unwrap();
    assert_eq!(keeper.follow().unwrap(), Progress::All);
    assert_eq!(open(&mut keeper), ["t1"]);

    let damaged = Entry {
        transaction: "{}".to_owned(),
        ..entry(2, 800, "review")
    };
    for entry in [damaged, entry(3, 800, "review")] {
        journal.append(&entry).unwrap();
    }
    journal.settle().unwrap();
    assert!(keeper.beside.of(Part::Alerts).is_ok());
    let told = |keeper: &Keeper, expected: &str| {
        let why = keeper.beside.of(Part::Alerts).unwrap_err();
        assert!(why.starts_with(expected), "{why}");
        assert!(why.contains("the first: journal entry 2"), "{why}");
    };
    for _ in 0..2 {
        assert_eq!(open(&mut keeper), ["t1", "t3"]);
        told(&keeper, "found 1 damaged");
    }

    // A label that cannot be read settles nothing, and the next one does.
    for sequence in [1, 3] {
        let label = label(sequence, "analyst", START_MS + 1, true);
        journal.append_label(&label).unwrap();
    }
    let labels = store.table("labels/entries").unwrap();
    labels.put(&0_u64.to_be_bytes(), &[9]).unwrap();
    journal.settle().unwrap();
    assert_eq!(open(&mut keeper), ["t1"]);
    told(&keeper, "found 2 damaged");
}

// After a refused flush the action is there, and yet not durable.
#[test]
fn an_action_that_is_not_durable_is_not_confirmed_however_often_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let mut journal = Journal::open(&store).unwrap();
    let faults = journal.faults();
    let mut keeper = keeper(&journal, 3, &Telemetry::default());
    journal.append(&entry(0, 700, "review")).unwrap();
    journal.settle().unwrap();
    while keeper.follow().unwrap() == Progress::More {}
    faults.actions.store(2, Ordering::SeqCst);
    for at in 0..2 {
        let refused = act(&mut keeper, 0, at, Deed::Suspected).err().unwrap();
        assert_eq!(refused.kind, ProblemType::Unavailable, "{at}");
        assert_eq!(keeper.index.counts(keeper.now_ms()), [1, 0, 0]);
    }
    let row = act(&mut keeper, 0, 2, Deed::Suspected).unwrap();
    assert_eq!(row.verdict.map(|verdict| verdict.word()), Some("suspected"));
    assert_eq!(keeper.actions.of(0).unwrap().len(), 1);
}

#[test]
fn actions_are_kept_once_and_have_a_bound() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let mut journal = Journal::open(&store).unwrap();
    let mut keeper = keeper(&journal, 3, &Telemetry::default());
    journal.append(&entry(0, 700, "review")).unwrap();
    journal.settle().unwrap();
    while keeper.follow().unwrap() == Progress::More {}
    for at in 0..2 {
        act(&mut keeper, 0, at, Deed::Unknown).unwrap();
    }
    assert_eq!(keeper.actions.of(0).unwrap().len(), 1);
    for more in 0..31 {
        let deed = [Deed::Suspected, Deed::Unknown][more % 2];
        act(&mut keeper, 0, 5, deed).unwrap();
    }
    let problem = act(&mut keeper, 0, 5, Deed::Unknown).err().unwrap();
    assert_eq!(problem.kind, ProblemType::TooManyActions);
    let subject = keeper.subject("019ca8d2a400-0").err().unwrap();
    assert_eq!(subject.kind, ProblemType::TooManyActions);
}
