//! A disk that refuses: what was not journaled is not remembered, and nothing is told that is not
//! durable. The faults are those of `journal/faults.rs`.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::Ordering;

use super::socket::{door, fetch, with_server};
use super::*;
use crate::journal::faults::Faults;

fn start(bank: &Bank) -> (Scoring, Faults) {
    let journal = open(bank.folder.path());
    let faults = journal.faults();
    let scoring = Scoring::start(settings(), history(), journal, &bank.telemetry).unwrap();
    scoring.install(bundle(Slot::Live, 1)).unwrap();
    (scoring, faults)
}

fn vectors(bank: &Bank, ids: &[&str]) -> Vec<Vec<u32>> {
    let journal = open(bank.folder.path());
    let vector = |id: &&str| journal.find(id).unwrap().unwrap().vector;
    let bits = |vector: Vec<f32>| vector.into_iter().map(f32::to_bits).collect();
    ids.iter().map(vector).map(bits).collect()
}

// Payments 1 and 6 are of one card, and all are made at one terminal.
#[test]
fn a_payment_that_was_not_journaled_leaves_no_trace() {
    let (failing, sound) = (Bank::new(), Bank::new());
    let (scoring, faults) = start(&failing);
    scoring.score(&stream(0)).unwrap();
    faults.appends.store(1, Ordering::SeqCst);
    let problem = scoring.score(&stream(1)).unwrap_err();
    assert_eq!(problem.kind, ProblemType::Unavailable);
    assert_eq!(scoring.scored(), 1);
    scoring.score(&stream(6)).unwrap();
    // Told again, it is scored for the first time.
    assert!(!scoring.score(&stream(1)).unwrap().replayed);
    scoring.score(&stream(11)).unwrap();
    drop(scoring);
    let (scoring, _) = start(&sound);
    for number in [0, 6, 1, 11] {
        scoring.score(&stream(number)).unwrap();
    }
    drop(scoring);
    let ids = ["t6", "t1", "t11"];
    assert_eq!(vectors(&failing, &ids), vectors(&sound, &ids));
}

// What was not durable is forgotten, and the log takes nothing until it is opened again.
#[test]
fn an_answer_that_is_not_durable_is_not_given_and_its_payment_counts_once() {
    let (failing, sound) = (Bank::new(), Bank::new());
    let (scoring, faults) = start(&failing);
    faults.flushes.store(1, Ordering::SeqCst);
    for number in [1, 1, 6] {
        let problem = scoring.score(&stream(number)).unwrap_err();
        assert_eq!(problem.kind, ProblemType::Unavailable);
    }
    drop(scoring);
    let (scoring, _) = start(&failing);
    assert_eq!(scoring.scored(), 0);
    for number in [1, 6] {
        assert!(!scoring.score(&stream(number)).unwrap().replayed);
    }
    assert!(scoring.score(&stream(1)).unwrap().replayed);
    assert_eq!(scoring.scored(), 2);
    drop(scoring);
    let (scoring, _) = start(&sound);
    for number in [1, 6] {
        scoring.score(&stream(number)).unwrap();
    }
    drop(scoring);
    assert_eq!(vectors(&failing, &["t6"]), vectors(&sound, &["t6"]));
}

#[test]
fn a_label_that_was_not_journaled_is_not_learnt_and_may_be_told_again() {
    let bank = Bank::new();
    let (scoring, faults) = start(&bank);
    scoring.score(&stream(0)).unwrap();
    let label = json!({"txn_id": "t0", "fraud": true, "source": "analyst"}).to_string();
    faults.appends.store(1, Ordering::SeqCst);
    let refused = scoring.label(label.as_bytes()).unwrap().remove(0);
    assert_eq!(refused.status, LabelStatus::Refused);
    assert_eq!(refused.problem.unwrap().kind, ProblemType::Unavailable);
    let told = scoring.label(label.as_bytes()).unwrap().remove(0);
    assert_eq!(told.status, LabelStatus::Accepted);
    drop(scoring);
    let journal = open(bank.folder.path());
    assert_eq!(journal.follow().reach().labels, 1);
    assert_eq!(journal.labels_of("t0").unwrap().len(), 1);
}

// A bit of one decision flips on the disk while the agent runs. Whoever asks for it is refused, and
// so are counts that would leave it out; nothing else is. Planted fault: a `SegmentReader` that
// passes by what it cannot read.
#[test]
fn a_decision_that_is_damaged_is_refused_to_who_asks_for_it_and_to_nobody_else() {
    let bank = Bank::new();
    let scoring = bank.start();
    for number in 0..3 {
        scoring.score(&stream(number)).unwrap();
    }
    flip(&bank, "\"txn_id\":\"t1\"");
    with_server(door(scoring.clone()).router(), |address| {
        for (path, status) in [
            ("/v1/decisions?txn_id=t0", 200),
            ("/v1/decisions?txn_id=t1", 503),
            ("/v1/decisions?txn_id=t2", 200),
            ("/v1/scores?days=7", 503),
        ] {
            let (head, body) = fetch(address, path);
            let expected = format!("HTTP/1.1 {status}");
            assert!(head.starts_with(&expected), "{path}: {head}");
            let kind = (status == 503).then_some("unavailable");
            assert_eq!(body["type"].as_str(), kind, "{path}");
        }
    });
    let retry = scoring.score(&stream(1)).unwrap_err();
    assert_eq!(retry.kind, ProblemType::Unavailable);
    let label = json!({"txn_id": "t1", "fraud": true, "source": "analyst"}).to_string();
    let label = scoring.label(label.as_bytes()).unwrap().remove(0);
    assert_eq!(label.problem.unwrap().kind, ProblemType::Unavailable);
    assert!(!scoring.score(&stream(3)).unwrap().replayed);
    assert!(scoring.score(&stream(2)).unwrap().replayed);
}

/// Flips a bit of the first place in the journal where a text lies.
fn flip(bank: &Bank, text: &str) {
    let files = std::fs::read_dir(bank.folder.path().join("journal")).unwrap();
    let mut paths = files.map(|file| file.unwrap().path());
    let log = paths.find(|path| path.extension().is_some_and(|ending| ending == "log"));
    let log = log.unwrap();
    let bytes = std::fs::read(&log).unwrap();
    let mut places = bytes.windows(text.len());
    let place = places.position(|found| found == text.as_bytes()).unwrap();
    let file = File::options().write(true).open(&log).unwrap();
    file.write_all_at(&[bytes[place] ^ 1], place as u64)
        .unwrap();
}

// Nothing is refused while there is room in memory, and only part and metric tell; then no payment
// can be taken, and what sends them must know. Whatever needs no id is answered. Planted faults:
// `Worker::settle` that does not look for room, an `Indexer::advance` that tells nothing.
#[test]
fn ids_that_cannot_be_kept_are_told_and_an_agent_without_room_for_more_is_not_ready() {
    let bank = Bank::new();
    let journal = Journal::forgetful(bank.folder.path(), 8);
    let faults = journal.faults();
    faults.ids.store(u32::MAX, Ordering::SeqCst);
    let scoring = Scoring::start(settings(), history(), journal, &bank.telemetry).unwrap();
    bank.telemetry.set_ready(true);
    scoring.score(&stream(0)).unwrap();
    wait_for_ids(&bank, 1);
    for number in 1..8 {
        scoring.score(&stream(number)).unwrap();
    }
    let door = door(scoring.clone());
    let router = agent_router(&bank.telemetry, &door, || json!({}), || true);
    with_server(router, |address| {
        // The eighth has filled the memory: the next cannot be taken.
        assert!(fetch(address, "/readyz").0.starts_with("HTTP/1.1 503"));
        for number in [8, 9] {
            let problem = scoring.score(&stream(number)).unwrap_err();
            assert_eq!(problem.kind, ProblemType::Unavailable);
        }
        assert!(scoring.score(&stream(0)).unwrap().replayed);
        assert!(fetch(address, "/readyz").0.starts_with("HTTP/1.1 503"));
        let (head, health) = fetch(address, "/healthz?verbose");
        assert!(head.starts_with("HTTP/1.1 503"), "{head}");
        assert!(why(&health, "journal").contains("memory is full with 8 of them"));
        assert!(why(&health, "ids").contains("no space left"));
        faults.ids.store(0, Ordering::SeqCst);
        wait_for_ids(&bank, 0);
        assert!(fetch(address, "/healthz").0.starts_with("HTTP/1.1 200"));
        assert!(fetch(address, "/readyz").0.starts_with("HTTP/1.1 200"));
        let health = fetch(address, "/healthz?verbose").1;
        assert!(why(&health, "ids").ends_with("kept on disk again"));
        assert!(!scoring.score(&stream(8)).unwrap().replayed);
    });
}

/// Returns once the metric of the list of ids shows a value.
fn wait_for_ids(bank: &Bank, value: u8) {
    let line = format!("phalanx_part_failing{{part=\"ids\"}} {value}");
    let patience = Instant::now() + Duration::from_secs(30);
    while !bank.telemetry.render().contains(&line) {
        assert!(Instant::now() < patience, "{line} does not come");
        std::thread::yield_now();
    }
}

/// What a check says.
fn why<'a>(health: &'a Value, name: &str) -> &'a str {
    let checks = health["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == name);
    check.unwrap()["why"].as_str().unwrap()
}
