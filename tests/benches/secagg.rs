//! What the secure sum costs on this machine: `cargo xtask bench secagg`. One table, and with
//! `--json` one object as the last line.
//!
//! The arithmetic is timed on one core, medians of several runs. The rounds are whole: one
//! coordinator process, and every bank in this process, over loopback QUIC with their own stores.
//! Nothing is trained, so what is timed is the protocol. Run it on a machine that does nothing
//! else.
#![expect(clippy::print_stdout, reason = "a program whose output is its figures")]
#![expect(clippy::expect_used, reason = "a measurement that cannot go on ends")]

use std::hint::black_box;
use std::time::Instant;

use crypto::mask::{self, MaskKey, Sign};
use crypto::{Digest, Key, Lagrange, Scalar, Seed, shamir};
use host::usage::Usage;
use protocol::plan::{Plan, RiskTerms, Work};
use serde_json::{Value, json};
use tests::{Bank, Coordinator, House, policy, risk_plan, serve_if_asked};

#[path = "secagg/attempt.rs"]
mod attempt;

const RUNS_MIN: usize = 9;

fn main() {
    // This program starts itself again to be the coordinator.
    serve_if_asked();
    // Before the rounds: afterwards banks of this process still look for their coordinator.
    let (rates, masks) = (rates(), [100_000, 1_000_000, 10_000_000].map(mask_ms));
    let unmask = [0, 5, 30].map(|absent| unmask_seconds(100, 1_000_000, absent));
    let (escrow, reveal) = (per_count(attempt::escrow_ms), per_count(attempt::reveal_ms));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let rounds = [5, 30, 100].map(|banks| runtime.block_on(round(banks, 200_000)));
    let large = runtime.block_on(round(100, 1_000_000));
    let result = json!({
        "prg_gbps": rates,
        "mask_ms_per_peer": {
            "100000": masks[0],
            "1000000": masks[1],
            "10000000": masks[2],
        },
        "unmask_core_s": {
            "n100_d1m_drop0": unmask[0],
            "n100_d1m_drop5": unmask[1],
            "n100_d1m_drop30": unmask[2],
        },
        "escrow_ms": escrow,
        "reveal_ms": reveal,
        "upload_ratio": large.up_ratio,
        "download_ratio": large.down_ratio,
        "upload_udp_ratio": large.up_udp_ratio,
        "download_udp_ratio": large.down_udp_ratio,
        "coordinator_peak_mb": large.coordinator_peak_mb,
        "round_wall_s": per_size(&rounds, |round| round.wall_s),
        "round_cpu_s": {
            "coordinator": per_size(&rounds, |round| round.coordinator_cpu_s),
            "bank": per_size(&rounds, |round| round.bank_cpu_s),
        },
    });
    println!("{}", table(&result));
    if std::env::args().any(|word| word == "--json") {
        println!("{result}");
    }
}

/// One figure for each size of consortium, from a handful to the largest roster.
fn per_count(of: impl Fn(u16) -> f64) -> Value {
    let sizes = [5, 30, 100, 300, 1_000].map(|count| (count.to_string(), of(count).into()));
    Value::Object(sizes.into_iter().collect())
}

fn per_size(rounds: &[Round; 3], of: impl Fn(&Round) -> f64) -> Value {
    json!({ "5": of(&rounds[0]), "30": of(&rounds[1]), "100": of(&rounds[2]) })
}

/// One line a figure, named by its path in the object.
fn table(of: &Value) -> String {
    fn lines(path: &str, of: &Value, to: &mut String) {
        match of {
            Value::Object(fields) => {
                for (name, value) in fields {
                    lines(&format!("{path} {name}"), value, to);
                }
            }
            Value::Null => *to += &format!("{path:<40} not on this machine\n"),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                *to += &format!("{path:<40} {:>12.4}\n", of.as_f64().unwrap_or(f64::NAN));
            }
        }
    }
    let mut text = String::new();
    lines("", of, &mut text);
    text
}

/// GB/s of a million words on one core: both ways of making a mask, and adding a vector that is
/// there already.
fn rates() -> Value {
    let key = Key::from_bytes([1; 32]);
    let mut words = vec![1_u32; 1_000_000];
    let other = vec![2_u32; words.len()];
    let gigabytes = (words.len() * 4) as f64 / 1e9;
    let added = seconds(|| {
        let pairs = black_box(&mut words).iter_mut().zip(black_box(&other));
        pairs.for_each(|(word, other)| *word = word.wrapping_add(*other));
    });
    let mut rate = |key: MaskKey| {
        let masks = [(key, Sign::Plus)];
        gigabytes / seconds(|| mask::apply_from(&masks, 0, black_box(&mut words)))
    };
    json!({
        "library": rate(MaskKey::portable(&key)),
        "fused": MaskKey::fused(&key).map(&mut rate),
        "memory_add": gigabytes / added,
    })
}

/// Milliseconds that one more peer costs a bank: sixteen masks over a vector, by sixteen.
fn mask_ms(count: usize) -> f64 {
    let mut words = vec![1_u32; count];
    let masks: Vec<_> = (0..16)
        .map(|at| (Key::from_bytes([at; 32]), Sign::Plus))
        .collect();
    seconds(|| mask::apply_all(&masks, black_box(&mut words))) * 1e3 / masks.len() as f64
}

/// Core seconds in which a coordinator opens a full graph's sum: every bank's secret interpolated,
/// the survivors' own masks and their masks with the absent taken off.
fn unmask_seconds(banks: u16, count: usize, absent: u16) -> f64 {
    let (_, threshold) = attempt::cohort(banks);
    let seed = Seed::from_entropy([2; 32]);
    let secret = seed.scalar("secret", 0);
    let shares: Vec<Scalar> = shamir::split(&secret, threshold, banks, &seed);
    let members: Vec<u16> = (1..=threshold).collect();
    let survivors = u64::from(banks - absent);
    let expansions = survivors + survivors * u64::from(absent);
    let mut words = vec![1_u32; count];
    let began = Usage::of(std::process::id()).cpu_seconds;
    let runs = 3;
    for _ in 0..runs {
        let lagrange = Lagrange::new(&members).expect("distinct");
        for _ in 0..banks {
            black_box(lagrange.combine(&shares[..usize::from(threshold)]));
        }
        let masks: Vec<_> = (0..expansions)
            .map(|at| (Key::from_bytes(seed.bytes32("mask", at)), Sign::Minus))
            .collect();
        mask::apply_all(&masks, black_box(&mut words));
    }
    (Usage::of(std::process::id()).cpu_seconds - began) / f64::from(runs)
}

/// What one round took; bytes are one bank's over those of the plain vector of 32-bit floats:
/// those of its frames, and those of the datagrams that carried them.
struct Round {
    wall_s: f64,
    coordinator_cpu_s: f64,
    bank_cpu_s: f64,
    up_ratio: f64,
    down_ratio: f64,
    up_udp_ratio: f64,
    down_udp_ratio: f64,
    coordinator_peak_mb: f64,
}

/// Agrees on keys in a first, small round, and measures the second.
async fn round(count: u16, words: u32) -> Round {
    let house = House::found();
    let coordinator = Coordinator::start(&house.path().join("coordinator"), "bench");
    let address = coordinator.address;
    let mut allowed = policy(&[]);
    allowed.joins_per_epoch_max = count;
    let start = |at: u16| {
        Bank::start(
            &house.bank(&format!("bank-{at}")),
            1,
            address,
            allowed.clone(),
        )
    };
    let banks: Vec<Bank> = (0..count).map(start).collect();
    house.start(address, plan(100, 16, count)).await;
    for bank in &banks {
        bank.wait_for_results(1).await;
    }
    let own = || Usage::of(std::process::id()).cpu_seconds;
    let (theirs, ours) = (coordinator.usage().cpu_seconds, own());
    let counted = || (banks[0].frame_bytes(), banks[0].bytes());
    let (frames_before, udp_before) = counted();
    house.start(address, plan(101, words / 3, count)).await;
    for bank in &banks {
        bank.wait_for_results(2).await;
    }
    let usage = coordinator.usage();
    let (frames, udp) = counted();
    let rounds = house.rounds(address).await;
    let last = rounds.last().expect("two rounds");
    assert_eq!(
        (last.cohort, last.survivors),
        (count, count),
        "a bank was missing"
    );
    let closed = last.closed.expect("it has a result");
    let ratio = |after: u64, before: u64| (after - before) as f64 / (f64::from(words) * 4.0);
    Round {
        wall_s: (closed.0 - last.opened.0) as f64 / 1e3,
        coordinator_cpu_s: usage.cpu_seconds - theirs,
        bank_cpu_s: (own() - ours) / f64::from(count),
        up_ratio: ratio(frames.0, frames_before.0),
        down_ratio: ratio(frames.1, frames_before.1),
        up_udp_ratio: ratio(udp.0, udp_before.0),
        down_udp_ratio: ratio(udp.1, udp_before.1),
        coordinator_peak_mb: usage.peak_memory_mb,
    }
}

/// One day's risk counts: three words a bucket, and nothing to train.
fn plan(day: u32, buckets: u32, members: u16) -> Plan {
    let mut plan = risk_plan(day, members);
    plan.cohort.colluders = None;
    plan.work = Work::Risk(RiskTerms {
        buckets,
        salt: Digest([u8::try_from(day).unwrap_or(0); 32]),
        from_day: day,
        days: 1,
        label_delay_days: 7,
        banks_min: 2,
    });
    plan
}

/// The median of half a second's runs, and of nine at least.
fn seconds<T>(mut work: impl FnMut() -> T) -> f64 {
    let (began, mut runs) = (Instant::now(), Vec::new());
    while runs.len() < RUNS_MIN || began.elapsed().as_secs_f64() < 0.5 {
        let start = Instant::now();
        black_box(work());
        runs.push(start.elapsed().as_secs_f64());
    }
    runs.sort_by(f64::total_cmp);
    runs[runs.len() / 2]
}
