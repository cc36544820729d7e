//! How long an agent takes to judge again after a restart, and how much memory: once from a whole
//! journal, once from the snapshot that the first start made. `cargo xtask soak recover` for ten
//! million payments; the journal is written directly, so it takes no longer than the disk.

#![expect(clippy::print_stdout, reason = "a program whose output is its figures")]
#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on ends")]

use std::time::{Duration, Instant};

use host::disk::{Segments, Store};
use host::usage::Usage;
use protocol::wire;
use serde_json::json;

#[path = "../tests/house/bank.rs"]
mod house;
#[path = "../tests/house/told.rs"]
mod told;

use house::{Agent, House, spawn};

const PAYMENTS: u64 = 100_000;
const START_MS: u64 = 1_480_000_000_000;
const MONTH_MS: u64 = 30 * 86_400_000;
const PATIENCE: Duration = Duration::from_secs(6 * 3_600);
const COLUMNS: usize = 80;

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let is_json = words.iter().any(|word| word == "--json");
    let told = words.iter().position(|word| word == "--payments");
    let told = told.and_then(|at| words.get(at + 1));
    let payments = told.map_or(PAYMENTS, |text| text.parse().unwrap());
    let house = House::found("");
    let began = Instant::now();
    write_journal(&house, payments);
    println!(
        "journal of {payments} payments written in {:.1} s",
        began.elapsed().as_secs_f64()
    );
    for from in ["journal", "snapshot"] {
        let began = Instant::now();
        let mut agent = Agent::ready(&house, spawn(&house), PATIENCE);
        let seconds = began.elapsed().as_secs_f64();
        let recovery = told::fetch(&agent, "/v1/status")["recovery"].clone();
        assert_eq!(recovery["from"], from, "{recovery}");
        let peak_mb = Usage::of(agent.child.id()).peak_memory_mb;
        agent.leave();
        let replayed = &recovery["payments"];
        println!("from the {from:<8} {seconds:9.1} s {peak_mb:9.0} MB  {replayed} replayed");
        if is_json {
            let figures = json!({
                "bench": "recover", "from": from, "payments": payments,
                "seconds": seconds, "peak_mb": peak_mb,
            });
            println!("{figures}");
        }
    }
    let snapshot = std::fs::metadata(house.path("store").join("state.snapshot")).unwrap();
    println!("snapshot of {:.1} MB", snapshot.len() as f64 / 1e6);
}

/// Entries as `journal.rs` writes them: a byte for the format, then the entry. Their ids as
/// `journal/ids.rs` does, which then has nothing to catch up with. Forty payments a card and a
/// thousand an outlet, over a month.
fn write_journal(house: &House, payments: u64) {
    let store = Store::open(&house.path("store")).unwrap();
    let (mut log, _) = Segments::open(&house.path("store").join("journal"), 0).unwrap();
    let ids = store.table("journal/ids").unwrap();
    let (cards, outlets) = ((payments / 40).max(1), (payments / 1_000).max(1));
    for number in 0..payments {
        let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        let ts = START_MS + number * MONTH_MS / payments;
        let txn_id = format!("r{number}");
        let payment = json!({
            "txn_id": txn_id, "ts": ts, "rail": "card", "amount_minor": 500 + mixed % 20_000,
            "currency": "EUR", "account_tok": format!("a{}", mixed % cards),
            "card_tok": format!("c{}", mixed % cards),
            "terminal_tok": format!("t{}", mixed % outlets), "mcc": 5_411,
        });
        let answer = json!({
            "decision_id": format!("{ts:012x}-{number:x}"), "txn_id": txn_id, "scored_at": ts,
            "score": null, "probability": null, "logit": null, "decision": "approve",
            "reasons": [], "model": null, "shadow": null, "mode": "fallback", "replayed": false,
            "unknown_fields": 0, "latency_us": 0,
        });
        let vector = vec![0.5_f32; COLUMNS];
        let (payment, answer) = (payment.to_string(), answer.to_string());
        let mut value = vec![1];
        value.extend(wire::encode(&(
            &txn_id, [0_u8; 32], payment, answer, vector,
        )));
        ids.put(txn_id.as_bytes(), &number.to_be_bytes()).unwrap();
        log.append(&value).unwrap();
        if number % 10_000 == 9_999 {
            log.flush().unwrap();
        }
    }
    log.flush().unwrap();
    let cursor = store.table("journal/cursor").unwrap();
    cursor.put(b"ids", &payments.to_be_bytes()).unwrap();
    store.flush().unwrap();
}
