//! Payments scored live and their labels reach what is learnt from: the same rows as were scored,
//! the labels of whichever day is asked about, and nothing of a later one.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use features::{RawTransaction, Transaction};
use host::disk::Store;
use host::shutdown::Shutdown;
use host::telemetry::Telemetry;
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::history::Report;
use crate::history::tests::write;
use crate::journal::{Entry, Follower, Journal, LabelEntry};
use crate::risk::SharedRisk;
use crate::scoring::tests::policy;
use crate::scoring::{AnswerAfter, Beside, LabelStatus, Part, Scoring, Settings};
use crate::training::window::{Shown, Windows};

const DAY_MS: i64 = 86_400_000;

/// Days scored live: those after the sample's file.
const LIVE: Range<u32> = 17_025..17_037;

/// Payments of a live day. The second and the seventh are frauds, reported at once; the seventh's
/// report is withdrawn nine days later.
const PER_DAY: u32 = 10;

/// A bank that has read its file.
struct Bank {
    folder: TempDir,
    history: History,
    encoder: FeatureEncoder,
}

impl Bank {
    fn new() -> Self {
        model::threads(1);
        let folder = tempfile::tempdir().unwrap();
        let config = write(folder.path(), 25, 20);
        let (schema, shutdown) = (FeatureSchema::standard(), Shutdown::default());
        let (history, encoder) = History::load(&config, &schema, &shutdown).unwrap();
        Self {
            folder,
            history,
            encoder,
        }
    }

    fn store(&self) -> Store {
        Store::open(&self.folder.path().join("store")).unwrap()
    }
}

fn start(store: &Store, encoder: &FeatureEncoder) -> (Scoring, Follower) {
    let settings = Settings {
        policy: policy(&[("min_score = 1\n", "min_score = 1000\n")]),
        queue_max: 64,
        answer_after: AnswerAfter::Flush,
    };
    let journal = Journal::open(store).unwrap();
    let (follower, telemetry) = (journal.follow(), Telemetry::default());
    let scoring = Scoring::start(settings, encoder.clone(), journal, &telemetry).unwrap();
    (scoring, follower)
}

fn payment(day: u32, slot: u32) -> Value {
    json!({
        "txn_id": format!("live{day}-{slot}"), "rail": "card", "amount_minor": 500 + 90 * slot,
        "ts": i64::from(day) * DAY_MS + i64::from(slot) * DAY_MS / i64::from(PER_DAY),
        "currency": "EUR", "account_tok": format!("a{}", slot % 4),
        "card_tok": format!("live{}", slot % 4), "terminal_tok": format!("place{}", slot % 3),
    })
}

/// Scores the payments of these days, and tells their labels as they come.
fn play(scoring: &Scoring, days: Range<u32>) {
    for (day, slot) in days.flat_map(|day| (0..PER_DAY).map(move |slot| (day, slot))) {
        let payment = payment(day, slot);
        let body = json!({ "txn": payment }).to_string();
        scoring.score(body.as_bytes()).unwrap();
        let ts = payment["ts"].as_i64().unwrap();
        let label = |fraud: bool, known_at: i64| {
            let label = json!({"txn_id": payment["txn_id"], "fraud": fraud, "known_at": known_at,
                "source": "analyst"});
            let answers = scoring.label(label.to_string().as_bytes()).unwrap();
            assert_eq!(answers[0].status, LabelStatus::Accepted);
        };
        // The withdrawal comes first, which changes nothing.
        if slot == 6 {
            label(false, ts + 9 * DAY_MS);
        }
        if slot % 5 == 1 {
            label(true, ts);
        }
    }
}

// Nothing but the rows is compared: labels that the encoder was not told, or was told as known at
// once, change the own-risk columns of later payments.
#[test]
fn rows_that_are_trained_on_are_those_that_were_scored_with_their_labels() {
    let bank = Bank::new();
    let store = bank.store();
    let (scoring, mut follower) = start(&store, &bank.encoder);
    let mut history = bank.history;
    play(&scoring, LIVE.start..LIVE.end - 2);
    history.catch_up(&mut follower).unwrap();
    play(&scoring, LIVE.end - 2..LIVE.end);
    history.catch_up(&mut follower).unwrap();
    drop(scoring);
    let mut windows = Windows::default();
    let risk = SharedRisk::default();
    let window = windows.encoded(&history, &risk, LIVE).unwrap();
    let rows = window.examples(i64::from(LIVE.end), Shown::All);
    assert_eq!(rows.len(), LIVE.len() * PER_DAY as usize);
    let journal = Journal::open(&store).unwrap();
    let column = FeatureSchema::standard().position("own_rate_7d").unwrap();
    let mut rates = Vec::new();
    for (at, payment) in journal.transactions().enumerate() {
        let id = payment.unwrap().txn_id;
        let scored = journal.find(&id).unwrap().unwrap().vector;
        let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(rows.row(at)), bits(&scored), "{id}");
        rates.push(scored[column]);
    }
    // What never moves compares nothing.
    assert!(rates.iter().any(|rate| *rate != rates[0]));
}

// Counted by hand: on each live day two frauds, of which one is withdrawn nine days later. The
// sample's silence means nothing, so that a payment without a label is not judged. A restart reads
// the same again.
#[test]
fn live_labels_are_counted_as_they_were_known() {
    let bank = Bank::new();
    let store = bank.store();
    let (scoring, follower) = start(&store, &bank.encoder);
    let own = config::Own {
        baseline: Baseline::Off,
        head: config::Head::Federation,
    };
    let mut trainer = Trainer::new(bank.history, own, Board::default()).following(follower);
    let judged = |trainer: &mut Trainer, label_delay_days: u16| {
        let Work::Evaluate(terms) = evaluate() else {
            panic!("it evaluates")
        };
        let work = Work::Evaluate(EvaluateTerms {
            from_day: LIVE.start,
            to_day: LIVE.end,
            label_delay_days,
            ..terms
        });
        let counts = counts(trainer.contribute(&order(work)).unwrap());
        let sum = |counts: &[u32]| counts.iter().sum::<u32>();
        (sum(&counts[..64]), sum(&counts[64..]))
    };
    assert_eq!(judged(&mut trainer, 20), (0, 0));
    play(&scoring, LIVE);
    trainer.catch_up();
    // By day 17,037 what was reported of the first three days is withdrawn.
    assert_eq!(judged(&mut trainer, 0), (3, 21));
    assert_eq!(judged(&mut trainer, 20), (12, 12));
    // Two days on, the first one's report is taken back from that day's two.
    for (day, delay, expected) in [(0, 7, 2), (0, 9, 1), (1, 7, 2), (2, 7, 1), (3, 7, 1)] {
        let found = frauds(&mut trainer, LIVE.start + day, delay);
        assert_eq!(found, 4 * expected, "{day} {delay}");
    }
    assert_eq!(frauds(&mut trainer, LIVE.end + 1, 7), -4);
    drop((scoring, trainer));
    let (_scoring, mut again) = start(&store, &bank.encoder);
    let mut history = sample(25, 20);
    history.catch_up(&mut again).unwrap();
    let mut trainer = Trainer::new(history, own, Board::default());
    assert_eq!(judged(&mut trainer, 20), (12, 12));
}

/// The journal of a live day's payments, of which one was reported as a fraud at once; the last
/// entry is this.
fn journal(store: &Store, last: &Value) -> Journal {
    let mut journal = Journal::open(store).unwrap();
    let payments = (0..PER_DAY).map(|slot| payment(LIVE.start, slot));
    for payment in payments.chain([last.clone()]) {
        let entry = Entry {
            txn_id: payment["txn_id"].as_str().unwrap_or("damaged").to_owned(),
            digest: [0; 32],
            transaction: payment.to_string(),
            answer: "{}".to_owned(),
            vector: Vec::new(),
        };
        journal.append(&entry).unwrap();
    }
    let fraud = payment(LIVE.start, 1);
    let label = LabelEntry {
        label_id: [0; 32],
        txn_id: fraud["txn_id"].as_str().unwrap().to_owned(),
        payment: 1,
        fraud: true,
        known_at: fraud["ts"].as_i64().unwrap(),
        told_at: 0,
        source: "analyst".to_owned(),
        supersedes: None,
        after: 2,
        event_at: None,
    };
    journal.append_label(&label).unwrap();
    journal.settle().unwrap();
    journal
}

fn following(history: History, journal: &Journal) -> Trainer {
    let own = config::Own {
        baseline: Baseline::Off,
        head: config::Head::Federation,
    };
    Trainer::new(history, own, Board::default()).following(journal.follow())
}

fn is_declined(trainer: &mut Trainer) -> bool {
    let mut order = order(Work::Risk(terms(LIVE.start, 7)));
    order.bucket_key = Some(bucket_key());
    let contribution = trainer.contribute(&order);
    matches!(contribution, Err(TrainingError::Unread))
}

// A day is summed once: a label that is durable and missing from it would be missing for good.
// Other work is done with what is there.
#[test]
fn a_risk_round_is_declined_until_all_that_is_durable_is_read() {
    let bank = Bank::new();
    let journal = journal(&bank.store(), &payment(LIVE.start + 1, 0));
    let left = journal.faults().entry_reads;
    let mut trainer = following(bank.history, &journal);
    for pause_s in [1, 2] {
        left.store(1, Ordering::SeqCst);
        trainer.catch_up();
        assert_eq!(trainer.pause(), Some(Duration::from_secs(pause_s)));
        assert!(is_declined(&mut trainer));
        assert!(trainer.contribute(&order(evaluate())).is_ok());
    }
    trainer.catch_up();
    assert_eq!(trainer.pause(), None);
    assert_eq!(frauds(&mut trainer, LIVE.start, 7), 4);
}

#[test]
fn a_bank_whose_journal_is_damaged_says_so_and_counts_no_risk() {
    let bank = Bank::new();
    let journal = journal(&bank.store(), &json!({}));
    let beside = Beside::default();
    let mut trainer = following(bank.history, &journal).telling(beside.clone());
    for _ in 0..2 {
        trainer.catch_up();
        assert_eq!(trainer.pause(), None);
        let why = beside.of(Part::Learning).unwrap_err();
        assert!(
            why.starts_with("live payments are learnt no more: "),
            "{why}"
        );
        assert!(is_declined(&mut trainer));
        assert!(trainer.contribute(&order(evaluate())).is_ok());
    }
}

// No order and no result comes: the worker asks again by itself, after a second.
#[test]
fn what_the_disk_refused_is_read_again_without_a_round() {
    let bank = Bank::new();
    let journal = journal(&bank.store(), &payment(LIVE.start + 1, 0));
    let left = journal.faults().entry_reads;
    let mut trainer = following(bank.history, &journal);
    left.store(2, Ordering::SeqCst);
    trainer.catch_up();
    assert_eq!(left.load(Ordering::SeqCst), 1);
    let (jobs, queue) = channel();
    thread::scope(|scope| {
        let trainer = &mut trainer;
        let waited = scope.spawn(move || wait(trainer, &queue).is_none());
        let patience = Instant::now() + Duration::from_secs(60);
        while left.load(Ordering::SeqCst) > 0 && Instant::now() < patience {
            thread::sleep(Duration::from_millis(5));
        }
        drop(jobs);
        assert!(waited.join().unwrap(), "nobody is left to give a job");
    });
    assert_eq!(left.load(Ordering::SeqCst), 0);
}

// Room for half of a day's payments.
#[test]
fn live_payments_that_find_no_room_are_told() {
    let bank = Bank::new();
    let (scoring, follower) = start(&bank.store(), &bank.encoder);
    let own = config::Own {
        baseline: Baseline::Off,
        head: config::Head::Federation,
    };
    let (room, beside) = (bank.history.file_len() + 5, Beside::default());
    let mut trainer = Trainer::new(bank.history.with_room(room), own, Board::default())
        .following(follower)
        .telling(beside.clone());
    trainer.catch_up();
    assert!(beside.of(Part::Learning).is_ok());
    play(&scoring, LIVE.start..LIVE.start + 1);
    for _ in 0..2 {
        trainer.catch_up();
        let why = beside.of(Part::Learning).unwrap_err();
        assert!(why.starts_with("5 live payments are not learnt"), "{why}");
    }
}

fn terms(from_day: u32, label_delay_days: u16) -> RiskTerms {
    RiskTerms {
        buckets: 64,
        salt: Digest([5; 32]),
        from_day,
        days: 1,
        label_delay_days,
        banks_min: 1,
    }
}

/// Frauds counted of a day, once for each bucket of their merchants.
fn frauds(trainer: &mut Trainer, day: u32, label_delay_days: u16) -> i32 {
    let mut order = order(Work::Risk(terms(day, label_delay_days)));
    order.bucket_key = Some(bucket_key());
    let words = counts(trainer.contribute(&order).unwrap());
    frauds_in(&words)
}

fn frauds_in(words: &[u32]) -> i32 {
    let frauds = words[..2 * 64].iter().skip(1).step_by(2);
    frauds.map(|word| word.cast_signed()).sum()
}

fn counts(contribution: Contribution) -> Vec<u32> {
    match contribution {
        Contribution::Counts(counts) => counts,
        Contribution::Update { .. } => panic!("counts were ordered"),
    }
}

/// A past of 25 days, four payments each, of which some were reported after so many days and some
/// of these withdrawn so many days later; only reports known before `end_ms` have come.
fn past(stories: &[(Option<i64>, Option<i64>)], silence: Verdict, end_ms: i64) -> History {
    let mut history = History::new(FeatureSchema::standard(), silence);
    for (sequence, (reported, withdrawn)) in (0_u64..).zip(stories) {
        let ts = 17_000 * DAY_MS + i64::try_from(sequence).unwrap() * (DAY_MS / 4);
        let mut payment = payment(17_000, u32::try_from(sequence % 10).unwrap());
        payment["ts"] = json!(ts);
        let raw: RawTransaction = serde_json::from_value(payment).unwrap();
        history
            .follow(sequence, &Transaction::try_from(raw).unwrap())
            .unwrap();
        let Some(reported) = reported.map(|days| ts + days * DAY_MS) else {
            continue;
        };
        let withdrawn = withdrawn.map(|days| (reported + days * DAY_MS, false));
        let reports = [Some((reported, true)), withdrawn].into_iter().flatten();
        for (known_at, fraud) in reports.filter(|(known_at, _)| *known_at < end_ms) {
            let report = Report { known_at, fraud };
            assert!(history.label(sequence, report).unwrap());
        }
    }
    history
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    // What a bank trains on at a past cutoff is what it would have trained on then: labels that
    // came later change no row and no label. Planted faults, each of which fails here: `label_at`
    // without the time, so that a label counts from the start; an encoder that is told every
    // fraud as known when the payment was made; a verdict without its withdrawal's time.
    #[test]
    fn a_label_that_came_later_changes_nothing_of_an_earlier_cutoff(
        stories in prop::collection::vec(
            (prop::option::of(0_i64..20), prop::option::of(1_i64..10)), 100),
        delay in 0_i64..3,
        silence in prop_oneof![Just(Verdict::Genuine), Just(Verdict::Unknown)],
    ) {
        let (days, risk) = (17_008..17_020, SharedRisk::default());
        let cutoff_day = i64::from(days.end) + delay;
        let rows = |end_ms: i64| {
            let history = past(&stories, silence, end_ms);
            let mut windows = Windows::default();
            let window = windows.encoded(&history, &risk, days.clone()).unwrap();
            let examples = window.examples(cutoff_day, Shown::All);
            let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            (bits(&examples.values), bits(&examples.label))
        };
        prop_assert!(rows(i64::MAX) == rows(cutoff_day * DAY_MS));
    }

    // What a bank counts of a day is what it would have counted then, and all days together count
    // the verdicts in force, each in four buckets. Planted faults: a withdrawal that is skipped,
    // or a fraud that is counted on its own day whenever it was reported.
    #[test]
    fn counts_of_a_day_hold_what_was_known_then_and_all_days_what_is_known_at_last(
        stories in prop::collection::vec(
            (prop::option::of(0_i64..20), prop::option::of(1_i64..10)), 100),
        day in 17_000_u32..17_050,
    ) {
        let key = bucket_key();
        let all = past(&stories, Verdict::Unknown, i64::MAX);
        let counted = |history: &History, day: u32| {
            crate::risk::count(history, &terms(day, 7), &key).unwrap()
        };
        let as_of_ms = i64::from(day + 8) * DAY_MS;
        let then = past(&stories, Verdict::Unknown, as_of_ms + 1);
        prop_assert_eq!(counted(&all, day), counted(&then, day));
        let total: i32 = (17_000..17_060).map(|day| frauds_in(&counted(&all, day))).sum();
        let is_in_force = |(reported, withdrawn): &&(Option<i64>, Option<i64>)| {
            reported.is_some() && withdrawn.is_none()
        };
        let in_force = stories.iter().filter(is_in_force).count();
        prop_assert_eq!(total, 4 * i32::try_from(in_force).unwrap());
    }
}
