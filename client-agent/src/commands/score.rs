//! `score`: a stream of payments through a running agent's HTTP door, one answer for each, in
//! their order. What is read is in `score/source.rs`, how it is asked in `score/poster.rs`, how
//! many wait at once in `score/lanes.rs`, what is written in `score/sheet.rs`.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use features::FeedFormat;
use host::shutdown::Shutdown;
use indicatif::ProgressBar;
use serde::Serialize;

use super::{CommandError, Said, is_one_file, refused};
use crate::history::Feed;
use crate::scoring::{Decision, Mode};

mod credentials;
mod lanes;
mod poster;
mod sheet;
mod source;

pub(super) use credentials::Credentials;
pub(super) use poster::fetch;

use lanes::{Ended, Spoken};
use poster::{Outcome, Patience, Poster};
use sheet::Sheet;
use source::Source;

/// What `score` is told.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Where the agent's HTTP door is: on this machine as the sample configuration has it, or
    /// elsewhere such as `https://agent.bank.example:8443` with --ca.
    #[arg(long, value_name = "URL", default_value = AGENT)]
    agent: String,
    /// The payments; `-` for standard input. Without --map one JSON object a line: a request body
    /// of /v1/score, sent as it is, or a payment of txn.v1 alone. Parquet is read from its end:
    /// from standard input all of it goes first into a file without a name, in TMPDIR.
    #[arg(long = "in", value_name = "FILE")]
    input: PathBuf,
    /// Write the answers here; `-` for standard output.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// The mapping file of a feed of the bank's own.
    #[arg(long, requires = "key", value_name = "FILE")]
    map: Option<PathBuf>,
    /// The token key, the agent's own: tokens of another would be cards that it never saw.
    #[arg(long, requires = "map", value_name = "FILE")]
    key: Option<PathBuf>,
    /// How the payments are written: ndjson without a map, as the map says with one. Given, it is
    /// held against that.
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// How the answers are written; by the ending of --out where it is left out, else ndjson.
    #[arg(long, value_enum)]
    out_format: Option<Format>,
    /// Payments in flight at once. Those of one account are asked for one after the other, as they
    /// stand in the file; of two accounts a later one may come first, and outlets see them so. With
    /// 1 all come as they stand there.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    connections: u16,
    /// What the answers are for, whatever a line says; without it as the line says, and where that
    /// says nothing, to authorise. A whatif is not remembered.
    #[arg(long, value_enum)]
    purpose: Option<Purpose>,
    /// Say the summary as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    credentials: Credentials,
}

/// How payments or answers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One JSON object a line.
    Ndjson,
    /// Delimited text with a header line; answers as flat columns.
    Csv,
    /// Apache Parquet; answers as flat columns.
    Parquet,
}

/// What an answer is for, as `/v1/score` knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Purpose {
    /// The bank waits for the decision.
    Authorise,
    /// The payment was decided elsewhere, and is told for the sake of the windows.
    Advice,
    /// A question: nothing is remembered.
    Whatif,
}

impl Arguments {
    /// What contradicts itself before anything is opened.
    fn check(&self, feed: Option<&Feed>) -> Result<(), CommandError> {
        let read = feed.map_or(Format::Ndjson, |feed| Format::of(feed.map().format));
        if let Some(format) = self.format.filter(|format| *format != read) {
            let expected = match feed {
                Some(_) => format!("{}, as the map says", read.word()),
                None => "ndjson, or a map that says how its columns are read".to_owned(),
            };
            return Err(refused("--format", format.word().to_owned(), &expected));
        }
        if is_one_file(&self.input, &self.out) {
            let expected = "another file than that of --in";
            return Err(refused("--out", self.out.display().to_string(), expected));
        }
        Ok(())
    }

    fn feed(&self) -> Result<Option<Feed>, CommandError> {
        let Some((map, key)) = self.map.as_deref().zip(self.key.as_deref()) else {
            return Ok(None);
        };
        Ok(Some(Feed::open(map, key, &self.input)?))
    }

    fn out_format(&self) -> Format {
        let ending = self.out.extension().unwrap_or_default();
        self.out_format
            .unwrap_or_else(|| match ending.to_str().unwrap_or_default() {
                "csv" => Format::Csv,
                "parquet" => Format::Parquet,
                _ => Format::Ndjson,
            })
    }

    /// A bar on standard error; none where that is no terminal, or the answers go to one.
    fn bar(&self) -> ProgressBar {
        match is_standard(&self.out) && std::io::stdout().is_terminal() {
            true => ProgressBar::hidden(),
            false => ProgressBar::no_length(),
        }
    }
}

impl Format {
    fn of(format: FeedFormat) -> Self {
        match format {
            FeedFormat::Csv => Self::Csv,
            FeedFormat::Ndjson => Self::Ndjson,
            FeedFormat::Parquet => Self::Parquet,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        }
    }
}

impl Purpose {
    /// The word in a request.
    fn word(self) -> &'static str {
        match self {
            Self::Authorise => "authorise",
            Self::Advice => "advice",
            Self::Whatif => "whatif",
        }
    }
}

/// Scores until the payments end or a signal comes.
pub(super) fn score(arguments: &Arguments) -> Result<Said, CommandError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(CommandError::Runtime)?;
    let shutdown = {
        let _entered = runtime.enter();
        Shutdown::on_signals().map_err(CommandError::Runtime)?
    };
    score_until(arguments, Patience::default(), &shutdown)
}

/// The same with a token of the caller's, which is triggered where the work breaks off.
fn score_until(
    arguments: &Arguments,
    patience: Patience,
    shutdown: &Shutdown,
) -> Result<Said, CommandError> {
    let sheet = || Sheet::create(&arguments.out, arguments.out_format());
    score_onto(sheet, arguments, patience, shutdown)
}

/// The same onto a sheet that is made once the agent has been found.
fn score_onto(
    sheet: impl FnOnce() -> Result<Sheet, CommandError>,
    arguments: &Arguments,
    patience: Patience,
    shutdown: &Shutdown,
) -> Result<Said, CommandError> {
    let feed = arguments.feed()?;
    arguments.check(feed.as_ref())?;
    let (agent, asked) = (&arguments.agent, &arguments.credentials);
    let poster = Poster::new(agent, arguments.connections, patience, asked)?;
    let bar = arguments.bar();
    let source = Source::open(&arguments.input, feed, arguments.purpose, bar.clone())?;
    // Nothing is written over for an agent that is not there.
    poster.probe()?;
    let mut sheet = sheet()?;
    let mut summary = Summary::new();
    let began = Instant::now();
    let each = |spoken: &Spoken| -> Result<(), CommandError> {
        sheet.push(spoken)?;
        summary.count(spoken);
        if bar.length().is_none() {
            bar.inc(1);
        }
        Ok(())
    };
    let ended = lanes::run(source, &poster, arguments.connections, shutdown, each);
    // What was answered is kept and readable, whatever ended it.
    let closed = sheet.close();
    bar.finish_and_clear();
    summary.settle(began.elapsed());
    let verdict = match ended.and_then(|ended| closed.map(|()| ended)) {
        Err(error) => Err(error),
        Ok(Ended::Early) => Err(CommandError::Interrupted),
        Ok(Ended::Whole) => summary.verdict(),
    };
    if let Err(error) = &verdict
        && !matches!(error, CommandError::Problems { .. })
    {
        summary.stopped = Some(error.to_string());
    }
    let verdict = match verdict {
        // Who reads had enough, which is no failure of any command.
        Err(CommandError::Print(error)) if error.is_unread() => summary.verdict(),
        verdict => verdict,
    };
    let text = match arguments.json {
        true => serde_json::to_string(&summary).map_err(CommandError::Json)?,
        false => summary.table(&arguments.out),
    };
    Ok(Said { text, verdict })
}

/// What came of it.
#[derive(Debug, Serialize)]
struct Summary {
    payments: u64,
    /// By the word of the decision.
    decisions: BTreeMap<&'static str, u64>,
    /// Decisions that no model was asked for.
    fallback: u64,
    replayed: u64,
    problems: u64,
    seconds: f64,
    payments_per_second: f64,
    /// Line of the last payment that has its answer in the output.
    last_line: Option<u64>,
    /// Why not all of the input was gone through.
    stopped: Option<String>,
}

impl Summary {
    fn new() -> Self {
        Self {
            payments: 0,
            decisions: Decision::ALL.map(|decision| (decision.word(), 0)).into(),
            fallback: 0,
            replayed: 0,
            problems: 0,
            seconds: 0.0,
            payments_per_second: 0.0,
            last_line: None,
            stopped: None,
        }
    }

    fn count(&mut self, spoken: &Spoken) {
        self.payments += 1;
        self.last_line = Some(spoken.line);
        match &spoken.outcome {
            Outcome::Answered { answer, .. } => {
                *self.decisions.entry(answer.decision.word()).or_default() += 1;
                self.fallback += u64::from(answer.mode == Mode::Fallback);
                self.replayed += u64::from(answer.replayed);
            }
            Outcome::Refused(_) => self.problems += 1,
        }
    }

    fn settle(&mut self, taken: Duration) {
        self.seconds = taken.as_secs_f64();
        self.payments_per_second = self.payments as f64 / self.seconds.max(1e-9);
    }

    fn verdict(&self) -> Result<(), CommandError> {
        match self.problems {
            0 => Ok(()),
            problems => Err(CommandError::Problems {
                problems,
                payments: self.payments,
            }),
        }
    }

    fn table(&self, out: &Path) -> String {
        let mut text = format!(
            "{} payments in {:.1} s, {:.1} a second\n",
            self.payments, self.seconds, self.payments_per_second
        );
        let mut line = |name: &str, value: String| text += &format!("  {name:<12} {value}\n");
        for (word, count) in &self.decisions {
            line(word, count.to_string());
        }
        line("problems", self.problems.to_string());
        line("replayed", self.replayed.to_string());
        line("fallback", self.fallback.to_string());
        if !is_standard(out) {
            line("written to", out.display().to_string());
        }
        if let Some(why) = &self.stopped {
            let place = match self.last_line {
                Some(last) => format!("after line {last}"),
                None => "before the first answer".to_owned(),
            };
            line("stopped", format!("{place}: {why}"));
            line(
                "",
                "The same command again scores no payment twice.".to_owned(),
            );
        }
        text
    }
}

/// The door of `ops/config/client-agent.toml`.
const AGENT: &str = "http://127.0.0.1:8443";

/// Whether a path stands for standard input or output.
fn is_standard(path: &Path) -> bool {
    path == Path::new("-")
}

/// What `--help` ends with.
pub(super) const EXAMPLES: &str = "Examples:
  phalanx-agent score --token-file http.tokens --in payments.ndjson --out answers.ndjson
  phalanx-agent score --token-file http.tokens --map maps/cards.toml --key token.key \\
    --in cards.csv --out answers.parquet --purpose whatif
  zstd -dc cards.parquet.zst | phalanx-agent score --token-file http.tokens \\
    --map maps/cards.toml --key token.key --in - --out - > answers.ndjson
  phalanx-agent score --agent https://agent.bank.example:8443 --ca ca.pem \\
    --token-file http.tokens --in payments.ndjson --out answers.ndjson

Exit status 1 where a payment got a problem, 130 after Ctrl-C. Where the reader of --out - leaves,
no more is scored than was asked for already; the summary says how far the answers went.";

#[cfg(test)]
pub(crate) mod tests;
