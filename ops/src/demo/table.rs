//! The end of the demo: a table per bank and in all, for people, and one JSON object, for machines.

use std::path::Path;

use host::print::PrintError;
use host::usage::Usage;
use protocol::operator::{RoundEnd, RoundSummary};
use serde_json::{Value, json};

use super::live::Latency;

/// Everything the demo measured.
pub(crate) struct Outcome {
    /// What `phalanx-sim judge` printed.
    pub(crate) measures: Value,
    /// Round trips of the live scores.
    pub(crate) latency: Latency,
    /// Every round, oldest first.
    pub(crate) rounds: Vec<RoundSummary>,
    /// Every agent's own account.
    pub(crate) banks: Vec<Value>,
    /// What the coordinator took of the machine.
    pub(crate) coordinator: Usage,
    /// The most any agent took of it: one may be the busiest, another the largest.
    pub(crate) agent: Usage,
    /// From start to end.
    pub(crate) wall_seconds: f64,
}

impl Outcome {
    /// Rounds with a result.
    pub(crate) fn committed(&self) -> usize {
        self.rounds
            .iter()
            .filter(|round| round.end == Some(RoundEnd::Committed))
            .count()
    }

    /// Committed rounds in which a bank was missing from the sum, counted per bank.
    pub(crate) fn dropouts_survived(&self) -> u32 {
        let committed = self
            .rounds
            .iter()
            .filter(|r| r.end == Some(RoundEnd::Committed));
        committed
            .map(|round| u32::from(round.cohort.saturating_sub(round.survivors)))
            .sum()
    }

    /// Mean bytes a bank sent to the coordinator.
    pub(crate) fn bytes_up_per_bank(&self) -> u64 {
        let sent = self
            .banks
            .iter()
            .map(|bank| bank["bytes_up"].as_u64().unwrap_or(0));
        sent.sum::<u64>() / (self.banks.len().max(1) as u64)
    }

    /// The object of `--json`.
    pub(crate) fn json(&self) -> Value {
        json!({
            "banks": self.measures["banks"].as_array().into_iter().flatten().map(|bank| json!({
                "bank": bank["bank"],
                "transactions": bank["transactions"],
                "frauds": bank["frauds"],
                "local": bank["local"],
                "federated": bank["federated"],
                "pooled": bank["pooled"],
            })).collect::<Vec<_>>(),
            "all": {
                "local": self.measures["all"]["local"],
                "federated": self.measures["all"]["federated"],
                "pooled": self.measures["all"]["pooled"],
            },
            "score_latency_us": { "p50": self.latency.p50, "p99": self.latency.p99 },
            "bytes_up_per_bank": self.bytes_up_per_bank(),
            "rounds": self.committed(),
            "dropouts_survived": self.dropouts_survived(),
            "peak_memory_mb": {
                "coordinator": self.coordinator.peak_memory_mb,
                "agent": self.agent.peak_memory_mb,
            },
            "cpu_s": {
                "coordinator": self.coordinator.cpu_seconds,
                "agent": self.agent.cpu_seconds,
            },
            "wall_s": (self.wall_seconds * 10.0).round() / 10.0,
        })
    }
}

/// Prints the table and, where asked for, the object as the last line.
///
/// # Errors
/// [`PrintError`].
pub(crate) fn print(outcome: &Outcome, json: bool, report: &Path) -> Result<(), PrintError> {
    let mut said = format!("{}\nreport: {}\n", text(outcome), report.display());
    if json {
        said += &outcome.json().to_string();
    }
    host::print::print(&said)
}

fn text(outcome: &Outcome) -> String {
    let mut text = format!(
        "\nlive week                   {:^23} {:^23} {:^23}\n{:<10} {:>8} {:>7} ",
        "local only", "federated", "pooled*", "bank", "payments", "frauds"
    );
    for _ in 0..3 {
        text += &format!("{:>7} {:>7} {:>7} ", "AUC", "AP", "CP@100");
    }
    text += "\n";
    for bank in outcome.measures["banks"].as_array().into_iter().flatten() {
        text += &row(bank["bank"].as_str().unwrap_or("?"), bank);
    }
    text += &row("all", &outcome.measures["all"]);
    text += &format!(
        "\nscore round trip p50 {} µs, p99 {} µs · {:.1} MB sent per bank · {} rounds, {} dropouts \
         survived · {:.0} s\ncoordinator {:.1} s of CPU, {:.0} MB at most; the busiest agent \
         {:.1} s, the largest {:.0} MB\n* what no real consortium could do: one model on \
         everybody's data",
        outcome.latency.p50,
        outcome.latency.p99,
        outcome.bytes_up_per_bank() as f64 / 1e6,
        outcome.committed(),
        outcome.dropouts_survived(),
        outcome.wall_seconds,
        outcome.coordinator.cpu_seconds,
        outcome.coordinator.peak_memory_mb,
        outcome.agent.cpu_seconds,
        outcome.agent.peak_memory_mb,
    );
    text
}

fn row(name: &str, of: &Value) -> String {
    let mut text = format!("{name:<10} {:>8} {:>7} ", of["transactions"], of["frauds"]);
    for arm in ["local", "federated", "pooled"] {
        for measure in ["auc", "ap", "cp100"] {
            let cell = of[arm][measure].as_f64();
            text += &cell.map_or_else(|| format!("{:>7} ", "–"), |value| format!("{value:>7.3} "));
        }
    }
    text + "\n"
}
