//! `phalanx status` and `phalanx round …`: asks the coordinator, and shows the answer as a table
//! or as one JSON object.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use host::clock::Clock;
use host::print::print;
use protocol::id::RoundId;
use protocol::operator::{Command, Reply, RoundDetail, RoundEnd, RoundSummary, Status};
use serde_json::{Value, json};

use crate::door::{Door, Operator};
use crate::plan;

/// `phalanx status`
#[derive(Args)]
#[command(after_help = "Example:\n  phalanx status --identity operator \
                        --coordinator 127.0.0.1:4433 --json")]
pub(crate) struct StatusArguments {
    #[command(flatten)]
    door: Door,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// `phalanx round …`
#[derive(Subcommand)]
pub(crate) enum Round {
    /// Sign a plan and have its rounds run.
    #[command(
        after_help = "Example:\n  phalanx round start --plan pretrain.toml --layout \
                            layout.json --identity operator --coordinator 127.0.0.1:4433"
    )]
    Start {
        #[command(flatten)]
        door: Door,
        /// The plan: see ops/config/plans.
        #[arg(long)]
        plan: PathBuf,
        /// The model's layout, from `phalanx-agent layout`; not needed for risk counts.
        #[arg(long)]
        layout: Option<PathBuf>,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// The last rounds, newest first.
    #[command(
        after_help = "Example:\n  phalanx round list --last 20 --identity operator \
                            --coordinator 127.0.0.1:4433"
    )]
    List {
        #[command(flatten)]
        door: Door,
        /// How many.
        #[arg(long, default_value_t = 20)]
        last: u32,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// One round: cohort, survivors, threshold, measures.
    #[command(after_help = "Example:\n  phalanx round show 7 --identity operator \
                            --coordinator 127.0.0.1:4433")]
    Show {
        #[command(flatten)]
        door: Door,
        /// The round's number.
        round: u64,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
}

type Done = Result<(), Box<dyn std::error::Error>>;

/// Carries out `phalanx status`.
pub(crate) fn status(arguments: &StatusArguments) -> Done {
    let operator = open(&arguments.door)?;
    if let Reply::Status(status) = operator.ask(Command::Status)? {
        if arguments.json {
            print(&status_json(&status).to_string())?;
        } else {
            print(&status_text(&status))?;
        }
    }
    Ok(())
}

/// Carries out `phalanx round …`.
pub(crate) fn round(command: &Round) -> Done {
    match command {
        Round::Start {
            door,
            plan,
            layout,
            json,
        } => {
            let plan = plan::read(plan, layout.as_deref(), Clock::start().now())?;
            let operator = open(door)?;
            let signed = operator.sign(plan);
            if let Reply::Started(id) = operator.ask(Command::Start(Box::new(signed)))? {
                let id = id.0.to_hex();
                print(&if *json {
                    json!({ "plan": id }).to_string()
                } else {
                    format!("plan {id} adopted")
                })?;
            }
        }
        Round::List { door, last, json } => {
            let operator = open(door)?;
            if let Reply::Rounds(rounds) = operator.ask(Command::Rounds(*last))? {
                if *json {
                    let rounds = rounds.iter().map(summary_json).collect();
                    print(&Value::Array(rounds).to_string())?;
                } else if let Reply::Status(status) = operator.ask(Command::Status)? {
                    print(&(waiting_text(&status) + &rounds_text(&rounds)))?;
                }
            }
        }
        Round::Show { door, round, json } => {
            if let Reply::Round(detail) = open(door)?.ask(Command::Round(RoundId(*round)))? {
                print(&if *json {
                    detail_json(&detail).to_string()
                } else {
                    detail_text(&detail)
                })?;
            }
        }
    }
    Ok(())
}

fn open(door: &Door) -> Result<Operator, crate::door::DoorError> {
    Operator::open(&door.identity, door.coordinator)
}

fn status_text(status: &Status) -> String {
    let round = status.round.map_or_else(
        || "no round".to_owned(),
        |(round, attempt)| format!("round {} attempt {}", round.0, attempt.0),
    );
    let mut text = format!(
        "phase {} · {round} · ledger {} · head {} · burnt {}\n",
        status.phase, status.ledger, status.head, status.burnt
    );
    text += &waiting_text(status);
    text += "\n";
    text += &format!(
        "{:<24} {:>9} {:>6} {:>7}  {}\n",
        "bank", "connected", "seated", "ledger", "last refusal"
    );
    for client in &status.clients {
        text += &format!(
            "{:<24} {:>9} {:>6} {:>7}  {}\n",
            client.name,
            if client.barred {
                "barred"
            } else {
                yes(client.connected)
            },
            yes(client.seated),
            client.ledger,
            client.refusal.as_deref().unwrap_or("")
        );
    }
    for plan in &status.plans {
        let kind = format!("{:?}", plan.kind).to_lowercase();
        text += &format!(
            "\n{} ({kind}): {} of {} rounds",
            plan.name, plan.done, plan.rounds
        );
    }
    text
}

/// Why nothing opens, in a line of its own; nothing where nothing waits.
fn waiting_text(status: &Status) -> String {
    let line = |waiting| format!("no round opens: {waiting}\n");
    status.waiting.map_or_else(String::new, line)
}

fn status_json(status: &Status) -> Value {
    json!({
        "phase": status.phase,
        "round": status.round.map(|(round, _)| round.0),
        "attempt": status.round.map(|(_, attempt)| attempt.0),
        "epoch": status.epoch.map(|epoch| epoch.0),
        "deadline_ms": status.deadline.map(|time| time.0),
        "ledger": status.ledger,
        "head": status.head.to_hex(),
        "burnt": status.burnt,
        "waiting": status.waiting.map(|waiting| json!({
            "reason": waiting.reason.name(),
            "found": waiting.found,
            "expected": waiting.expected,
            "text": waiting.to_string(),
        })),
        "banks": status.clients.iter().map(|client| json!({
            "name": client.name,
            "connected": client.connected,
            "seen_ms": client.seen.0,
            "seated": client.seated,
            "barred": client.barred,
            "ledger": client.ledger,
            "refusal": client.refusal,
        })).collect::<Vec<_>>(),
        "plans": status.plans.iter().map(|plan| json!({
            "id": plan.id.0.to_hex(),
            "name": plan.name,
            "kind": format!("{:?}", plan.kind).to_lowercase(),
            "done": plan.done,
            "rounds": plan.rounds,
        })).collect::<Vec<_>>(),
    })
}

fn rounds_text(rounds: &[RoundSummary]) -> String {
    let mut text = format!(
        "{:>5} {:>3} {:<9} {:>6} {:>8} {:>5} {:>9} {:>10}  {:<20} {}\n",
        "round", "try", "kind", "cohort", "escrowed", "sum", "seconds", "bytes in", "end", "plan"
    );
    for round in rounds {
        text += &format!(
            "{:>5} {:>3} {:<9} {:>6} {:>8} {:>5} {:>9} {:>10}  {:<20} {}\n",
            round.round.0,
            round.attempt.0,
            format!("{:?}", round.kind).to_lowercase(),
            round.cohort,
            round.escrowed,
            round.survivors,
            seconds(round).map_or_else(String::new, |s| format!("{s:.2}")),
            round.bytes_in,
            end(round.end),
            round.plan
        );
    }
    text
}

/// One round as JSON.
pub(crate) fn summary_json(round: &RoundSummary) -> Value {
    json!({
        "round": round.round.0,
        "attempt": round.attempt.0,
        "plan": round.plan,
        "kind": format!("{:?}", round.kind).to_lowercase(),
        "cohort": round.cohort,
        "escrowed": round.escrowed,
        "survivors": round.survivors,
        "end": end(round.end),
        "opened_ms": round.opened.0,
        "seconds": seconds(round),
        "bytes_in": round.bytes_in,
    })
}

fn detail_text(detail: &RoundDetail) -> String {
    let mut text = rounds_text(std::slice::from_ref(&detail.summary));
    text += &format!("\ncohort     {}", detail.cohort.join(", "));
    text += &format!("\nsurvivors  {}", detail.survivors.join(", "));
    text += &format!("\nthreshold  {}", detail.threshold);
    if let Some(norm) = detail.update_norm {
        text += &format!("\nupdate     L2 norm {norm:.4}");
    }
    if let Some(m) = &detail.measures {
        text += &format!(
            "\nconsortium AUC {:.4} · AP {:.4} · calibration error {:.4} · {} frauds of {}",
            m.auc,
            m.average_precision,
            m.calibration_error,
            m.frauds,
            m.frauds + m.genuine
        );
        for (alerts, recall) in &m.recall_at {
            text += &format!(
                "\n           {alerts:>2} alerts in 1,000 find {:.1} %",
                100.0 * recall
            );
        }
    }
    if let Some(moments) = &detail.moments {
        text += "\n\ncolumn       values        mean   deviation";
        for (at, moment) in moments.iter().enumerate() {
            text += &match moment {
                Some(m) => format!(
                    "\n{at:>6} {:>12} {:>11.4} {:>11.4}",
                    m.count, m.mean, m.deviation
                ),
                None => format!("\n{at:>6} {:>12}", "none"),
            };
        }
        text +=
            "\nin units of the schema as it stands; phalanx-agent schema fit writes them into it";
    }
    text
}

fn detail_json(detail: &RoundDetail) -> Value {
    let mut object = summary_json(&detail.summary);
    object["cohort_names"] = json!(detail.cohort);
    object["survivor_names"] = json!(detail.survivors);
    object["threshold"] = json!(detail.threshold);
    object["head"] = json!(detail.head.map(|head| head.to_hex()));
    object["count"] = json!(detail.count);
    object["update_norm"] = json!(detail.update_norm);
    object["measures"] = json!(detail.measures);
    object["moments"] = json!(detail.moments);
    object
}

fn seconds(round: &RoundSummary) -> Option<f64> {
    round
        .closed
        .map(|closed| closed.since(round.opened).0 as f64 / 1_000.0)
}

fn end(end: Option<RoundEnd>) -> String {
    match end {
        None => "running".to_owned(),
        Some(RoundEnd::Committed) => "committed".to_owned(),
        Some(RoundEnd::Abandoned(cause)) => format!("abandoned: {cause:?}").to_lowercase(),
    }
}

fn yes(claim: bool) -> &'static str {
    if claim { "yes" } else { "no" }
}

#[cfg(test)]
mod tests {
    use crypto::Digest;
    use protocol::operator::{Reason, Waiting};

    use super::*;

    fn status(waiting: Option<Waiting>) -> Status {
        Status {
            phase: "selection".to_owned(),
            round: None,
            epoch: None,
            deadline: None,
            clients: Vec::new(),
            plans: Vec::new(),
            ledger: 7,
            head: Digest([1; 32]),
            burnt: 0,
            waiting,
        }
    }

    #[test]
    fn why_nothing_opens_is_a_line_and_an_object() {
        let honest = status(Some(Waiting {
            reason: Reason::Honest,
            found: 5,
            expected: 6,
        }));
        let line = "\nno round opens: 5 banks are ready for the colluders assumed and honest_min, \
                    expected 6\n";
        let text = status_text(&honest);
        assert!(text.contains(line), "{text}");
        let said = &status_json(&honest)["waiting"];
        assert_eq!(
            (&said["reason"], &said["found"], &said["expected"]),
            (&json!("honest"), &json!(5), &json!(6))
        );
        assert!(!status_text(&status(None)).contains("no round opens"));
        assert_eq!(status_json(&status(None))["waiting"], Value::Null);
    }
}
