//! `threshold plan`: what each review threshold would have meant for the bank's people, from its
//! own decisions and what became of them. Where the counts come from is here; what follows from
//! them, `threshold/plan.rs`; how they are counted, `journal/tally.rs`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use host::address;
use host::clock::Clock;
use host::disk::Store;

use super::score::{Credentials, fetch};
use super::{CommandError, Said, json, refused};
use crate::agent::AgentError;
use crate::config::Config;
use crate::config::http::HttpConfig;
use crate::journal::{Journal, Tally};
use crate::scoring::DAYS_MAX;

mod plan;
mod table;

use plan::{Plan, Terms};

/// What `threshold plan` is told.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The agent's configuration file: it names the store, the policy, and the tokens and TLS of
    /// the agent's HTTP door.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Alerts that the bank's people can look at in a day. A payment at or above the threshold is
    /// an alert, a declined one too: its customer calls.
    #[arg(long, value_name = "ALERTS")]
    budget: u64,
    /// Share of frauds among the alerts that the recommended threshold has at least, by the lower
    /// end of its interval. With 0 the budget alone decides.
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    min_precision: f64,
    /// Days whose alerts are counted, back from now. Outcomes are those of as many days, before
    /// the days that are not mature.
    #[arg(
        long,
        default_value_t = 30,
        value_name = "DAYS",
        value_parser = clap::value_parser!(u32).range(1..=i64::from(DAYS_MAX / 2))
    )]
    from_days: u32,
    /// Days after which a payment without a label is taken for genuine. Outcomes of younger
    /// payments are left out, labelled or not: early labels are mostly frauds.
    #[arg(
        long,
        default_value_t = 30,
        value_name = "DAYS",
        value_parser = clap::value_parser!(u32).range(0..=i64::from(DAYS_MAX / 2))
    )]
    maturity_days: u32,
    /// Ask the agent at this address, and not its store, such as
    /// `https://agent.bank.example:8443` with --ca, where its certificate has a name. Left out, the
    /// store is read, or the agent that holds it is asked where it listens. Without --token-file it
    /// is shown the first token of the configuration's http.bearer_token, but not over plain http
    /// to another machine.
    #[arg(long, value_name = "URL")]
    agent: Option<String>,
    #[command(flatten)]
    credentials: Credentials,
    /// Say the plan as JSON.
    #[arg(long)]
    json: bool,
}

/// Counts, computes, and says what follows.
pub(super) fn plan(arguments: &Arguments) -> Result<Said, CommandError> {
    if !(0.0..=1.0).contains(&arguments.min_precision) {
        let found = arguments.min_precision.to_string();
        return Err(refused("--min-precision", found, "a share from 0 to 1"));
    }
    let config = Config::load(&arguments.config)?;
    let days = arguments.from_days + arguments.maturity_days;
    let from = (arguments.agent.as_deref(), config.store.as_path());
    let tally = count(from, days, (&arguments.credentials, &config.http))?;
    let policy = &config.scoring.policy;
    let terms = Terms {
        budget: arguments.budget,
        precision_min: arguments.min_precision,
        from_days: arguments.from_days,
        maturity_days: arguments.maturity_days,
        live: policy.review_at(),
    };
    let Some(plan) = Plan::compute(&tally, &terms) else {
        let expected = "decisions in the journal of these days";
        return Err(refused("--from-days", "none".to_owned(), expected));
    };
    Ok(Said::yes(match arguments.json {
        true => json(&plan)?,
        false => table::table(&plan, &terms, policy.has_segments()),
    }))
}

/// The counts of an agent's last days: from the agent that is named, or else from its store, or
/// from the agent where that holds it.
fn count(
    (agent, store): (Option<&str>, &Path),
    days: u32,
    (credentials, door): (&Credentials, &HttpConfig),
) -> Result<Tally, CommandError> {
    let known = credentials.or_tokens_of(door);
    let ask = |agent: &str| match is_overheard(agent) {
        true => ask(agent, days, credentials),
        false => ask(agent, days, &known),
    };
    if let Some(agent) = agent {
        return ask(agent);
    }
    // Opening it would make an empty one.
    if !store.is_dir() {
        let found = store.display().to_string();
        return Err(refused(
            "store.folder",
            found,
            "the folder of an agent's store",
        ));
    }
    let error = match Store::open(store) {
        Ok(store) => return count_in(&store, days),
        Err(error) => error,
    };
    let Some(address) = address::find(store, "http.addr") else {
        return Err(AgentError::from(error).into());
    };
    ask(&known.url(address, door))
}

/// Whether what an agent is told could be read on the way: a token goes there by its user's word
/// alone.
fn is_overheard(agent: &str) -> bool {
    let host = agent.strip_prefix("http://").unwrap_or(agent);
    let address = host.trim_end_matches('/').parse::<SocketAddr>();
    let is_here = address.is_ok_and(|address| address.ip().to_canonical().is_loopback());
    !is_here && !agent.starts_with("https://")
}

fn ask(agent: &str, days: u32, credentials: &Credentials) -> Result<Tally, CommandError> {
    let path = format!("/v1/scores?days={days}");
    let told = fetch(agent, &path, PATIENCE, credentials)?;
    serde_json::from_str(&told).map_err(|error| CommandError::Unreachable {
        address: agent.to_owned(),
        why: format!("found another answer, expected the counts of /v1/scores: {error}"),
    })
}

fn count_in(store: &Store, days: u32) -> Result<Tally, CommandError> {
    let now_ms = Clock::start().now().0;
    let journal = Journal::open(store).map_err(AgentError::from)?;
    let tally = journal.follow().tally(now_ms, days, || true);
    Ok(tally.map_err(AgentError::from)?.unwrap_or_default())
}

/// The days asked for are read whole before the first word of the answer.
const PATIENCE: Duration = Duration::from_secs(1_800);

/// What `--help` ends with.
pub(super) const EXAMPLES: &str = "Examples:
  phalanx-agent threshold plan --config client-agent.toml --budget 300 \\
    --min-precision 0.12 --from-days 30
  phalanx-agent threshold plan --config client-agent.toml --budget 300 \\
    --agent https://agent.bank.example:8443 --ca ca.pem

Then write the recommended score into score_bands.review of the policy file, give the
policy a new version, and start the agent again.";

#[cfg(test)]
mod tests;
