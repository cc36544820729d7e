//! What a person or a script may ask of `phalanx-agent`: one file per command under `commands/`.
//! Each returns what it says as text, so that a test can read it; here it is printed.

use std::ops::Range;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use features::TokenKey;
use host::config::ConfigError;
use host::identity::IdentityError;
use host::print::{PrintError, print};
use host::tls::TlsError;
use model::CheckpointError;

use crate::agent::AgentError;
use crate::history::{HistoryError, read_key};
use crate::scoring;

pub mod enrol;
pub mod export;
pub mod layout;
pub mod map;
pub mod release;
pub mod schema;
pub mod score;
mod serve;
pub mod threshold;
pub mod watch;

/// The commands of `phalanx-agent`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run until told to stop.
    #[command(after_help = "Example:\n  phalanx-agent serve --config client-agent.toml")]
    Serve {
        /// The configuration file: see ops/config/client-agent.toml.
        #[arg(long)]
        config: PathBuf,
    },
    /// Read configuration, consent, map and key, print what would run, and leave.
    #[command(after_help = "Example:\n  phalanx-agent check-config --config client-agent.toml")]
    CheckConfig {
        /// The configuration file.
        #[arg(long)]
        config: PathBuf,
    },
    /// Judge a mapping file against the feed it maps.
    #[command(subcommand)]
    Map(MapCommand),
    /// Become a member of a consortium.
    #[command(subcommand)]
    Enrol(EnrolCommand),
    /// Print the network's tensors and the digests that plans and consent files name.
    #[command(after_help = "Example:\n  phalanx-agent layout --out layout.json")]
    Layout(layout::Arguments),
    /// Print what the agent's HTTP door takes and answers, OpenAPI 3.1: what a running agent says
    /// at `/openapi.json`.
    #[command(after_help = "Example:\n  phalanx-agent openapi > openapi.json")]
    Openapi,
    /// Score a stream of payments by a running agent, one answer for each, in their order.
    #[command(after_help = score::EXAMPLES)]
    Score(score::Arguments),
    /// Work on the consortium's feature schema.
    #[command(subcommand)]
    Schema(SchemaCommand),
    /// Models that plans may start from: hand them on, and take them in.
    #[command(subcommand)]
    Model(ModelCommand),
    /// Look at the numbers that payments become.
    #[command(subcommand)]
    Features(FeaturesCommand),
    /// Choose from which score on people look at payments.
    #[command(subcommand)]
    Threshold(ThresholdCommand),
    /// See what is watched of payments and scores.
    #[command(subcommand)]
    Watch(WatchCommand),
}

/// Commands about mapping files.
#[derive(Debug, Subcommand)]
pub enum MapCommand {
    /// Read a feed through its map and report: coverage, refusals with their lines, duplicates,
    /// order, days, and whatever looks like a card number. Nothing is kept.
    #[command(
        after_help = "Example:\n  phalanx-agent map check maps/cards.toml cards.csv --sample 10000"
    )]
    Check(map::Arguments),
}

/// Commands about feature schemas.
#[derive(Debug, Subcommand)]
pub enum SchemaCommand {
    /// Make the means and spreads that a round of moments measured the schema's centres and scales.
    #[command(
        after_help = "Example:\n  phalanx round show 1 --json > round.json\n  \
        phalanx-agent schema fit --moments round.json --out schema.toml"
    )]
    Fit(schema::Arguments),
}

/// Commands about models that plans may start from.
#[derive(Debug, Subcommand)]
pub enum ModelCommand {
    /// Say which models this bank holds: what plans ended with here, and what was imported.
    #[command(after_help = "Example:\n  phalanx-agent model list --config client-agent.toml")]
    List(release::ListArguments),
    /// Write a model into a folder: its tensors, and a card with its digests, its size and where it
    /// comes from. The name printed is the one that plans have as `base`.
    #[command(
        after_help = "Example:\n  phalanx-agent model export --config client-agent.toml \
        --out encoder"
    )]
    Export(release::ExportArguments),
    /// Take a model in, so that plans may start from it. It is held against this agent's schema,
    /// the digests of its card, and the name in the plan; nothing is taken from the coordinator.
    #[command(
        after_help = "Example:\n  phalanx-agent model import --config client-agent.toml \\\n    \
        --expect 2ca4940a65d421eecc187e87c58def897947e376acf769426225fc136174304e encoder"
    )]
    Import(release::ImportArguments),
}

/// Commands about encoded payments.
#[derive(Debug, Subcommand)]
pub enum FeaturesCommand {
    /// Write a feed's vectors with their labels as Parquet, for tools that are not ours. The whole
    /// feed is encoded as `serve` does it; no account, card or outlet is named in the file, but it
    /// has a row for every payment and stays in the bank.
    #[command(
        after_help = "Example:\n  phalanx-agent features export --map maps/handbook.toml \
        --data transactions.parquet \\\n    --from-day 17737 --to-day 17758 --out vectors.parquet"
    )]
    Export(export::Arguments),
}

/// Commands about thresholds.
#[derive(Debug, Subcommand)]
pub enum ThresholdCommand {
    /// Say what each threshold would have meant: alerts a day, how many of them are frauds, what
    /// fraud they catch; and recommend the lowest that keeps to a budget. Counts what the agent
    /// has decided and what became of it. A running agent is asked over HTTP, by the address that
    /// it wrote beside its store; of one that does not run, the store is opened, and no agent can
    /// start until it is read.
    #[command(after_help = threshold::EXAMPLES)]
    Plan(threshold::Arguments),
}

/// Commands about watching.
#[derive(Debug, Subcommand)]
pub enum WatchCommand {
    /// Say which alarms a feed would have raised, day by day, by the agent's own watching in the
    /// feed's own time; and how soon it finds dearer payments, a channel that vanishes or a
    /// merchant category that is new. Nothing is kept but what --out names.
    #[command(after_help = watch::EXAMPLES)]
    Replay(watch::Arguments),
}

/// Commands about membership.
#[derive(Debug, Subcommand)]
pub enum EnrolCommand {
    /// Make keys in a folder, where they stay, and write the request for a certificate.
    #[command(
        after_help = "Example:\n  phalanx-agent enrol request --folder identity \
        --name \"First Bank\" --out request.json"
    )]
    Request(enrol::RequestArguments),
    /// Check what the consortium returned against the keys in the folder, and keep it.
    #[command(after_help = "Example:\n  phalanx-agent enrol install --folder identity bundle.json")]
    Install(enrol::InstallArguments),
}

impl Command {
    /// Runs the command; what it says goes to standard output, and to standard error where that
    /// may be taken by what the command makes.
    ///
    /// # Errors
    /// [`CommandError`], whose exit code is for the shell.
    pub fn run(self) -> Result<(), CommandError> {
        let said = match self {
            Self::Serve { config } => return serve::serve(&config),
            Self::CheckConfig { config } => serve::check(&config)?,
            Self::Map(MapCommand::Check(arguments)) => map::check(&arguments)?,
            Self::Enrol(EnrolCommand::Request(arguments)) => enrol::request(&arguments)?,
            Self::Enrol(EnrolCommand::Install(arguments)) => enrol::install(&arguments)?,
            Self::Layout(arguments) => layout::layout(&arguments)?,
            Self::Openapi => Said::yes(scoring::document()),
            Self::Score(arguments) => {
                let said = score::score(&arguments)?;
                eprintln!("{}", said.text.trim_end());
                return said.verdict;
            }
            Self::Schema(SchemaCommand::Fit(arguments)) => schema::fit(&arguments)?,
            Self::Model(ModelCommand::List(arguments)) => release::list(&arguments)?,
            Self::Model(ModelCommand::Export(arguments)) => release::export(&arguments)?,
            Self::Model(ModelCommand::Import(arguments)) => release::import(&arguments)?,
            Self::Features(FeaturesCommand::Export(arguments)) => export::export(&arguments)?,
            Self::Threshold(ThresholdCommand::Plan(arguments)) => threshold::plan(&arguments)?,
            Self::Watch(WatchCommand::Replay(arguments)) => watch::replay(&arguments)?,
        };
        print(&said.text)?;
        said.verdict
    }
}

/// What a command says, and whether it said yes.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) text: String,
    pub(crate) verdict: Result<(), CommandError>,
}

impl Said {
    fn yes(text: String) -> Self {
        Self {
            text,
            verdict: Ok(()),
        }
    }
}

/// Writes a file for the command's caller.
fn write(path: &PathBuf, text: &str) -> Result<(), CommandError> {
    std::fs::write(path, text).map_err(|error| CommandError::Write {
        path: path.clone(),
        error,
    })
}

/// Whether two paths lead to one file that is there.
fn is_one_file(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        (Err(_), _) | (_, Err(_)) => false,
    }
}

/// An argument that cannot be.
fn refused(key: &str, found: String, expected: &str) -> CommandError {
    CommandError::Config(ConfigError::Value {
        key: key.to_owned(),
        found,
        expected: expected.to_owned(),
    })
}

/// The days from one to before another, all on the side where none is named.
fn days(from: Option<i32>, to: Option<i32>) -> Result<Range<i32>, CommandError> {
    let days = from.unwrap_or(i32::MIN)..to.unwrap_or(i32::MAX);
    if days.is_empty() {
        let expected = format!("a day after --from-day {}", days.start);
        return Err(refused("--to-day", days.end.to_string(), &expected));
    }
    Ok(days)
}

/// The token key that was named; without one a throw-away key, for what shows no token that is
/// kept.
fn token_key(path: Option<&Path>) -> Result<TokenKey, HistoryError> {
    match path {
        Some(path) => read_key(path),
        None => Ok(TokenKey::new(THROW_AWAY_KEY).expect("the constant is long enough")),
    }
}

/// JSON for people and programs alike.
fn json(value: &impl serde::Serialize) -> Result<String, CommandError> {
    serde_json::to_string_pretty(value).map_err(CommandError::Json)
}

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The agent could not go on.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// Keys or certificates cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A certificate or key of TLS cannot be used.
    #[error(transparent)]
    Tls(TlsError),
    /// Feed, map or key cannot be read.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// A model is not what it says, or cannot be written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The feed does not fit its map.
    #[error("feed refused: {0}")]
    Feed(String),
    /// A bundle is no JSON of a bundle.
    #[error("{}: {error}", path.display())]
    Bundle {
        /// The file.
        path: PathBuf,
        /// Where and why.
        error: serde_json::Error,
    },
    /// A file cannot be read.
    #[error("could not read {}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A file cannot be written.
    #[error("could not write {}: {error}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// Standard output cannot be written.
    #[error(transparent)]
    Print(#[from] PrintError),
    /// No agent answers, or it takes no payments.
    #[error("could not reach the agent at {address}: {why}")]
    Unreachable {
        /// Where it was looked for.
        address: String,
        /// What happened there.
        why: String,
    },
    /// Some payments were refused; the others were scored.
    #[error("{problems} of {payments} payments got a problem")]
    Problems {
        /// How many.
        problems: u64,
        /// Of how many.
        payments: u64,
    },
    /// Somebody told the command to leave before its end.
    #[error("told to leave")]
    Interrupted,
    /// No runtime can be had.
    #[error("could not start: {0}")]
    Runtime(std::io::Error),
    /// A value that is no JSON.
    #[error("could not write JSON: {0}")]
    Json(serde_json::Error),
}

impl CommandError {
    /// Whether what the command said tells this already.
    #[must_use]
    pub fn is_said(&self) -> bool {
        matches!(self, Self::Problems { .. } | Self::Interrupted)
    }

    /// The exit code by sysexits: 69 network, 70 our fault, 74 disk, 78 configuration. Beside them
    /// 1 where payments got a problem, and 130, as shells have it, after Ctrl-C.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Problems { .. } => 1,
            Self::Interrupted => 130,
            Self::Unreachable { .. } => 69,
            Self::Agent(error) => error.exit_code(),
            Self::Runtime(_) | Self::Json(_) => 70,
            Self::Read { .. }
            | Self::Write { .. }
            | Self::Print(_)
            | Self::Checkpoint(CheckpointError::Disk { .. }) => 74,
            Self::Config(_)
            | Self::Identity(_)
            | Self::Tls(_)
            | Self::History(_)
            | Self::Checkpoint(_)
            | Self::Feed(_)
            | Self::Bundle { .. } => 78,
        }
    }
}

/// Long enough for a key; nothing that is made with it is kept.
const THROW_AWAY_KEY: &[u8] = b"phalanx-agent, no key given";
