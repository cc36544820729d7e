//! The agent as a process of its own, so that its processor time is counted apart: router, door,
//! worker, journal and runtime are those that `phalanx-agent serve` puts together, but history,
//! model and the federation are replaced by the stage.

use std::error::Error;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use client_agent::config::Share;
use client_agent::courtesy;
use client_agent::journal::Journal;
use client_agent::scoring::{AnswerAfter, Door, Scoring, Settings, agent_router};
use client_agent::training;
use host::disk::Store;
use host::shutdown::Shutdown;
use host::telemetry::Telemetry;
use host::usage::Usage;
use model::Examples;
use serde_json::Value;
use tempfile::TempDir;

use crate::stage::{self, Sizes, Stage};

const FOLDER: &str = "PHALANX_BENCH_FOLDER";
const REASONS_FROM: &str = "PHALANX_BENCH_REASONS_FROM";
/// Set where decisions are told once they are written.
const AFTER_WRITE: &str = "PHALANX_BENCH_AFTER_WRITE";
const PARAMETERS: &str = "parameters";
/// What the parent says for training to begin, or to go on in the idle class.
const TRAIN: &str = "train";
const IDLE: &str = "idle";
/// What is answered where it does.
pub(crate) const TRAINS: &str = "trains";
/// A round's worth of steps, after which an agent looks for orders.
const STEPS: u32 = 50;

/// Serves as the agent where this process was started to be one, and never returns then.
pub(crate) fn serve_if_asked(sizes: &Sizes) {
    let (Ok(folder), Ok(reasons_from)) = (std::env::var(FOLDER), std::env::var(REASONS_FROM))
    else {
        return;
    };
    let reasons_from = reasons_from
        .parse::<u16>()
        .expect("the parent wrote a number");
    let served = serve(&PathBuf::from(folder), reasons_from, sizes);
    if let Err(error) = &served {
        eprintln!("the agent to be measured: {error}");
    }
    std::process::exit(i32::from(served.is_err()));
}

/// Says its address, then does what it is told until its parent is gone.
fn serve(folder: &Path, reasons_from: u16, sizes: &Sizes) -> Result<(), Box<dyn Error>> {
    let bytes = std::fs::read(folder.join(PARAMETERS))?;
    let words = bytes.as_chunks::<4>().0.iter();
    let parameters: Arc<Vec<f32>> = Arc::new(words.map(|word| f32::from_le_bytes(*word)).collect());
    let Stage {
        encoder, examples, ..
    } = Stage::set(sizes);
    let (telemetry, door) = (Telemetry::default(), Door::default());
    let journal = Journal::open(&Store::open(&folder.join("store"))?)?;
    let follower = journal.follow();
    let settings = Settings {
        answer_after: match std::env::var_os(AFTER_WRITE) {
            Some(_) => AnswerAfter::Write,
            None => AnswerAfter::Flush,
        },
        ..stage::settings(reasons_from)
    };
    let scoring = Scoring::start(settings, encoder, journal, &telemetry)?;
    scoring.install(stage::bundle(&parameters))?;
    door.open(scoring);
    telemetry.set_ready(true);

    let runtime = tokio::runtime::Runtime::new()?;
    let router = agent_router(&telemetry, &door, || Value::Null, || false);
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let address = runtime.block_on(host::telemetry::serve(any, router, Shutdown::default()))?;
    println!("{address}");
    let (orders, ordered) = channel();
    host::workers::behind("training", move || {
        courtesy::begin(follower);
        train(&parameters, &examples, &ordered);
    })?;
    for line in std::io::stdin().lines() {
        orders.send(match line?.as_str() {
            IDLE => Share::Idle,
            _ => Share::Behind,
        })?;
    }
    Ok(())
}

/// What an agent's learning thread does between two orders, from the first one on and without end.
fn train(parameters: &[f32], examples: &Examples, ordered: &Receiver<Share>) {
    let Ok(first) = ordered.recv() else { return };
    training::settle_in();
    keep_to(first);
    let mut learner = stage::learner(parameters);
    loop {
        stage::pretrain(&mut learner, examples, STEPS);
        ordered.try_iter().for_each(keep_to);
    }
}

/// Says what came of it.
fn keep_to(share: Share) {
    match training::keep_to(share) {
        Ok(()) => println!("{TRAINS}"),
        Err(error) => println!("found no idle class to train in: {error}"),
    }
}

/// An agent process, which ends with this value.
pub(crate) struct Agent {
    child: Child,
    told: ChildStdin,
    says: BufReader<ChildStdout>,
    pub(crate) address: SocketAddr,
    /// Goes last.
    _folder: TempDir,
}

impl Agent {
    /// Starts one with this model, which gives reasons from this probability on.
    pub(crate) fn start(
        parameters: &[f32],
        (reasons_from, answer_after): (u16, AnswerAfter),
        sizes: &Sizes,
    ) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let bytes: Vec<u8> = parameters.iter().flat_map(|of| of.to_le_bytes()).collect();
        std::fs::write(folder.path().join(PARAMETERS), bytes).expect("the folder can be written");
        let program = std::env::current_exe().expect("this program has a path");
        let mut command = Command::new(program);
        match answer_after {
            AnswerAfter::Write => command.env(AFTER_WRITE, "1"),
            AnswerAfter::Flush => command.env_remove(AFTER_WRITE),
        };
        let mut child = command
            .args(sizes.option())
            .env(FOLDER, folder.path())
            .env(REASONS_FROM, reasons_from.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program starts again");
        let told = child.stdin.take().expect("its input is piped");
        let mut says = BufReader::new(child.stdout.take().expect("its output is piped"));
        let address = line_of(&mut says).parse::<SocketAddr>();
        Self {
            child,
            told,
            says,
            address: address.expect("the agent says its address, or above why it has none"),
            _folder: folder,
        }
    }

    /// Has it train from now on with this share, and gives what it says: [`TRAINS`], or why not.
    pub(crate) fn train(&mut self, share: Share) -> String {
        let order = match share {
            Share::Behind => TRAIN,
            Share::Idle => IDLE,
        };
        writeln!(self.told, "{order}").expect("the agent listens");
        line_of(&mut self.says)
    }

    /// Processor time that it has taken so far, all threads together.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        Usage::of(self.child.id()).cpu_seconds
    }
}

fn line_of(says: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    says.read_line(&mut line).expect("its output is text");
    line.trim().to_owned()
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may be gone already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
