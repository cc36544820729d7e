//! A decision is told the same whichever way it comes, in every field, however odd its numbers.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::Ordering;

use features::RawTransaction;
use host::disk::Store;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::journal::Journal;
use crate::scoring::tests::answers::{self, Whole};

/// A decision as the worker has it, and the entry that it journals of it.
fn decided(sequence: u64, payment: Transaction, answer: Answer, vector: Vec<f32>) -> (Told, Entry) {
    let entry = Entry {
        txn_id: payment.txn_id.clone(),
        digest: [7; 32],
        transaction: serde_json::to_string(&payment).unwrap(),
        answer: serde_json::to_string(&answer).unwrap(),
        vector: vector.clone(),
    };
    let told = Told::new(sequence, payment, Arc::new(answer), vector);
    (told, entry)
}

fn same(one: &Told, other: &Told) {
    assert_eq!(one.sequence, other.sequence);
    assert!(one.payment == other.payment, "a payment differs");
    let text = |told: &Told| serde_json::to_string(&told.payment).unwrap();
    assert!(text(one) == text(other), "a payment's text differs");
    let bits = |told: &Told| told.vector.iter().map(|value| value.to_bits()).collect();
    let (here, there): (Vec<u32>, Vec<u32>) = (bits(one), bits(other));
    assert_eq!(here, there);
    let whole = |told: &Told| told.answer::<Whole>().unwrap().0;
    assert_eq!(whole(one), whole(other));
    let text = |told: &Told| serde_json::to_string(&whole(told)).unwrap();
    assert_eq!(text(one), text(other));
}

fn extra() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<f64>().prop_map(|number| json!(number)),
        any::<i64>().prop_map(|number| json!(number)),
        "\\PC{0,20}".prop_map(|text| json!(text)),
    ]
}

/// Payments that pass the door, with fields that are there or not.
fn payment() -> impl Strategy<Value = Transaction> {
    let amounts = (
        0_i64..1_000_000_000_000,
        prop::option::of(-1_000_000_000..1_000_000_000_i64),
    );
    let places = (
        prop::option::of(-90.0..90.0_f64),
        prop::option::of(-180.0..180.0_f64),
    );
    let words = (
        prop::sample::select(vec!["card", "sct_inst", "pigeon"]),
        prop::option::of(prop::sample::select(vec!["pos", "ecom", "fax"])),
        prop::option::of(any::<bool>()),
    );
    let texts = ("\\PC{1,20}", prop::option::of("\\PC{1,20}"));
    let extras = prop::collection::btree_map("[a-z_]{1,8}", extra(), 0..5);
    (amounts, places, words, texts, extras).prop_filter_map(
        "the door refuses it",
        |((amount, balance), (lat, lon), (rail, channel, vpn), texts, extras)| {
            let (account, card): (String, Option<String>) = texts;
            let extras: BTreeMap<String, Value> = extras;
            let raw = json!({
                "txn_id": "t0", "ts": amount, "rail": rail,
                "amount_minor": amount, "currency": "EUR", "account_tok": account,
                "card_tok": card, "balance_before_minor": balance, "geo_lat": lat, "geo_lon": lon,
                "channel": channel, "vpn": vpn, "ext": extras,
            });
            let raw: RawTransaction = serde_json::from_value(raw).unwrap();
            Transaction::try_from(raw).ok()
        },
    )
}

/// Values of a vector, each float there is but those that are no numbers.
fn vector() -> impl Strategy<Value = Vec<f32>> {
    prop::collection::vec(any::<f32>(), 0..80)
}

proptest! {
    #[test]
    fn a_decision_from_disk_is_the_workers_in_every_field(
        payment in payment(),
        answer in answers::answer(),
        vector in vector(),
    ) {
        let (told, entry) = decided(3, payment, answer, vector);
        same(&told, &Told::of_entry(3, entry).unwrap());
    }
}

fn plain(sequence: u64) -> Transaction {
    let raw = json!({
        "txn_id": format!("t{sequence}"), "ts": 1, "rail": "card", "amount_minor": 1,
        "currency": "EUR", "account_tok": "a",
    });
    let raw: RawTransaction = serde_json::from_value(raw).unwrap();
    Transaction::try_from(raw).unwrap()
}

fn plain_answer(sequence: u64) -> Answer {
    let text = json!({
        "decision_id": format!("1-{sequence:x}"), "txn_id": format!("t{sequence}"), "scored_at": 1,
        "decision": "review", "reasons": [], "mode": "fallback", "replayed": false,
        "unknown_fields": 0, "latency_us": 0,
    });
    serde_json::from_value(text).unwrap()
}

/// Journals decisions with these numbers, of which nobody is told.
fn journal_silently(journal: &mut Journal, sequences: Range<u64>) -> Vec<Told> {
    let append = |sequence: u64| {
        let (payment, answer) = (plain(sequence), plain_answer(sequence));
        let (told, entry) = decided(sequence, payment, answer, vec![sequence as f32]);
        journal.append(&entry).unwrap();
        told
    };
    sequences.map(append).collect()
}

/// The same as the worker does it.
fn journaled(journal: &mut Journal, sequences: Range<u64>) {
    for told in journal_silently(journal, sequences) {
        journal.tell(told);
    }
}

fn numbers(follower: &mut Follower) -> Vec<u64> {
    let reach = follower.reach();
    let next = || follower.next_told(reach).unwrap();
    let all = std::iter::from_fn(next);
    all.map(|told| told.sequence).collect()
}

// Whoever is behind what is told reads the disk until it has caught up; nothing comes twice, and
// nothing before it is durable.
#[test]
fn what_is_told_follows_what_is_read_from_disk_without_a_gap() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(&Store::open(folder.path()).unwrap()).unwrap();
    let mut follower = journal.follow();
    journal_silently(&mut journal, 0..100);
    journal.settle().unwrap();
    journaled(&mut journal, 100..300);
    assert_eq!(numbers(&mut follower), (0..100).collect::<Vec<_>>());
    journal.settle().unwrap();
    let mut late = journal.follow();
    assert_eq!(numbers(&mut late), (0..300).collect::<Vec<_>>());

    // A disk that refuses shows where the last two hundred come from.
    journal.faults().entry_reads.store(1, Ordering::SeqCst);
    assert_eq!(numbers(&mut follower), (100..300).collect::<Vec<_>>());
    for sequence in [150, 100] {
        follower.go_back(Reach {
            entries: sequence,
            labels: 0,
        });
        let told = follower.next_told(follower.reach()).unwrap().unwrap();
        assert_eq!(told.sequence, sequence);
    }
    follower.go_back(Reach {
        entries: 99,
        labels: 0,
    });
    let refused = follower.next_told(follower.reach()).unwrap_err();
    assert!(refused.is_passing());
    // What was refused is the next one again.
    assert_eq!(numbers(&mut follower), (99..300).collect::<Vec<_>>());
    // No further than asked, whatever is known beyond.
    follower.go_back(Reach {
        entries: 120,
        labels: 0,
    });
    let near = follower.reach().until(121);
    assert_eq!(follower.next_told(near).unwrap().unwrap().sequence, 120);
    assert!(follower.next_told(near).unwrap().is_none());
}

#[test]
fn each_of_those_told_is_what_lies_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(&Store::open(folder.path()).unwrap()).unwrap();
    journaled(&mut journal, 0..100);
    journal.settle().unwrap();
    let mut follower = journal.follow();
    let reach = follower.reach();
    while let Some(told) = follower.next_told(reach).unwrap() {
        same(&told, &follower.told(told.sequence).unwrap().unwrap());
    }
    assert_eq!(follower.place(), reach);
    assert!(follower.told(100).unwrap().is_none());
}

#[test]
fn what_is_not_durable_is_not_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(&Store::open(folder.path()).unwrap()).unwrap();
    let mut follower = journal.follow();
    journal.faults().entry_reads.store(9, Ordering::SeqCst);
    journaled(&mut journal, 0..3);
    assert!(numbers(&mut follower).is_empty());
    assert!(follower.heard.take(0).is_none());
    journal.settle().unwrap();
    assert_eq!(numbers(&mut follower), [0, 1, 2]);
    journaled(&mut journal, 3..5);
    journal.faults().flushes.store(1, Ordering::SeqCst);
    for _ in 0..2 {
        assert!(journal.settle().is_err());
        assert!(numbers(&mut follower).is_empty());
        assert!(follower.heard.take(3).is_none());
    }
}

#[test]
fn an_answer_that_does_not_say_what_is_asked_is_none_and_the_payment_is_there() {
    let entry = Entry {
        txn_id: "t0".to_owned(),
        digest: [0; 32],
        transaction: serde_json::to_string(&plain(0)).unwrap(),
        answer: "{}".to_owned(),
        vector: Vec::new(),
    };
    let told = Told::of_entry(0, entry).unwrap();
    assert!(told.answer::<Whole>().is_none());
    assert!(told.payment == plain(0));
    assert!(!format!("{told:?}").contains("t0"));
}
