//! The live week: each day begins with the risk counts that became known overnight, then every
//! bank's payments of the day are posted to its own agent, in order, all banks at once.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::federation::{Bank, Federation};
use super::plans::Plans;
use super::rounds;
use super::stage::Stage;
use super::steps::Steps;
use crate::door::Operator;

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// What came back from the agents.
#[derive(Default)]
pub(crate) struct Scored {
    /// One object per payment, as `phalanx-sim judge` reads it.
    pub(crate) rows: Vec<Value>,
    latencies_us: Vec<u64>,
}

/// Round trips of the scores, in microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Latency {
    pub(crate) p50: u64,
    pub(crate) p99: u64,
}

impl Scored {
    /// The median and the 99th percentile of the round trips.
    pub(crate) fn latency(&self) -> Latency {
        let mut sorted = self.latencies_us.clone();
        sorted.sort_unstable();
        let at = |share: f64| {
            let place = (sorted.len() as f64 * share) as usize;
            sorted
                .get(place.min(sorted.len().saturating_sub(1)))
                .copied()
                .unwrap_or(0)
        };
        Latency {
            p50: at(0.5),
            p99: at(0.99),
        }
    }

    fn append(&mut self, mut other: Self) {
        self.rows.append(&mut other.rows);
        self.latencies_us.append(&mut other.latencies_us);
    }
}

/// Plays the live week.
pub(crate) fn run(
    operator: &Operator,
    steps: &Steps,
    plans: &Plans,
    federation: &Federation,
    stage: &Stage,
) -> Result<Scored, Box<dyn std::error::Error>> {
    let mut queues = Vec::new();
    for staged in &stage.banks {
        queues.push(read(&staged.live)?);
    }
    let mut scored = Scored::default();
    for day in stage.test_day..stage.test_day + stage.test_days {
        if day > stage.test_day {
            let plan = plans.risk_before(day)?;
            rounds::run(operator, steps, plan)?;
            wait_for_ledger(federation, steps)?;
        }
        steps.now(format!(
            "day {} of {}",
            day - stage.test_day + 1,
            stage.test_days
        ));
        let banks = federation.banks().iter().zip(&mut queues);
        let posted: Vec<Result<Scored, Failed>> = std::thread::scope(|scope| {
            let posting: Vec<_> = banks
                .map(|(bank, queue)| scope.spawn(move || post_day(bank, queue, day, steps)))
                .collect();
            posting
                .into_iter()
                .map(|thread| {
                    thread
                        .join()
                        .unwrap_or_else(|_| Err("posting broke off".into()))
                })
                .collect()
        });
        for part in posted {
            scored.append(part.map_err(|error| error.to_string())?);
        }
    }
    Ok(scored)
}

/// Waits until every agent has installed the newest result.
fn wait_for_ledger(
    federation: &Federation,
    steps: &Steps,
) -> Result<(), Box<dyn std::error::Error>> {
    steps.wait(
        "agents to install the day's counts",
        Duration::from_secs(60),
        || {
            let mut ledgers = Vec::new();
            for status in federation.statuses()? {
                ledgers.push(status["ledger"].as_u64().unwrap_or(0));
            }
            let newest = ledgers.iter().copied().max();
            Ok(ledgers
                .iter()
                .all(|ledger| Some(*ledger) == newest)
                .then_some(()))
        },
    )
}

fn read(path: &std::path::Path) -> Result<VecDeque<Value>, Box<dyn std::error::Error>> {
    let mut rows = VecDeque::new();
    for line in BufReader::new(File::open(path)?).lines() {
        rows.push_back(serde_json::from_str(&line?)?);
    }
    Ok(rows)
}

fn post_day(
    bank: &Bank,
    queue: &mut VecDeque<Value>,
    day: u32,
    steps: &Steps,
) -> Result<Scored, Failed> {
    let http = ureq::Agent::new_with_defaults();
    let url = bank.url("/v1/score")?;
    let mut scored = Scored::default();
    while queue.front().is_some_and(|row| row["day"] == day) {
        steps.go_on()?;
        let Some(row) = queue.pop_front() else { break };
        let asked = Instant::now();
        let answer: Value = http
            .post(&url)
            .send_json(json!({ "txn": row["txn"] }))?
            .body_mut()
            .read_json()?;
        scored
            .latencies_us
            .push(u64::try_from(asked.elapsed().as_micros()).unwrap_or(u64::MAX));
        scored.rows.push(json!({
            "bank": bank.name,
            "txn_id": row["txn"]["txn_id"],
            "day": day,
            "card": row["card"],
            "fraud": row["fraud"],
            "eligible": row["eligible"],
            "federated": answer["logit"],
            "local": answer["shadow"]["logit"],
        }));
    }
    Ok(scored)
}
