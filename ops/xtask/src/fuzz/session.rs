//! One target under libFuzzer: a child process whose log tells how far it is and what came of it.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::Folders;
use super::target::Share;

/// A target that runs. Dropped, it is killed.
pub(crate) struct Session {
    share: Share,
    child: Child,
    program: PathBuf,
    log: PathBuf,
    begun: Instant,
}

/// A target that has done its share.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) name: &'static str,
    pub(crate) executions: u64,
    /// Inputs that reached something that none before them had.
    pub(crate) units: u64,
    pub(crate) took: Duration,
}

pub(crate) enum State {
    Running,
    Ended(Ended),
    /// What to say: what broke, on which input, and how to see it again.
    Failed(String),
}

impl Session {
    pub(crate) fn start(folders: &Folders, share: Share) -> io::Result<Self> {
        let name = share.target.name;
        let (corpus, artifacts) = (folders.corpus.join(name), folders.artifacts.join(name));
        for folder in [&corpus, &artifacts, &folders.logs] {
            fs::create_dir_all(folder)?;
        }
        let log = folders.logs.join(name).with_extension("log");
        let output = File::create(&log)?;
        let program = folders.built.join("release").join(name);
        let mut prefix = artifacts.into_os_string();
        prefix.push("/");
        let mut command = Command::new(&program);
        // What is found goes into the first folder.
        command
            .arg(corpus)
            .arg(folders.seeds.join(name))
            .args(LIMITS);
        command.arg(format!("-runs={}", share.executions));
        command.arg(format!("-max_len={}", share.target.bytes_max()));
        let mut place = std::ffi::OsString::from("-artifact_prefix=");
        place.push(prefix);
        command.arg(place).stdin(Stdio::null());
        command.stdout(output.try_clone()?).stderr(output);
        Ok(Self {
            child: command.spawn()?,
            share,
            program,
            log,
            begun: Instant::now(),
        })
    }

    /// Whether it still runs.
    pub(crate) fn look(&mut self) -> io::Result<State> {
        let Some(status) = self.child.try_wait()? else {
            return Ok(State::Running);
        };
        let name = self.share.target.name;
        let said = end_of(&self.log)?;
        let executions = stat(&said, "number_of_executed_units");
        let units = stat(&said, "new_units_added");
        if let (true, Some(executions), Some(units)) = (status.success(), executions, units) {
            return Ok(State::Ended(Ended {
                name,
                executions,
                units,
                took: self.begun.elapsed(),
            }));
        }
        Ok(State::Failed(failure(
            name,
            &self.program,
            &self.log,
            &said,
        )))
    }

    /// How far it is, as of the last line of its log.
    pub(crate) fn so_far(&self) -> String {
        let said = end_of(&self.log).unwrap_or_default();
        let done = executions_so_far(&said).unwrap_or(0);
        let Share { target, executions } = &self.share;
        format!("{} {done} of {executions}", target.name)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // One that has ended cannot be killed, and need not be.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn failure(name: &str, program: &Path, log: &Path, said: &str) -> String {
    let log = log.display();
    let Some(input) = said.lines().rev().find_map(artifact) else {
        return format!("the target {name} ended before its share was done; its log is {log}");
    };
    let panic = said.lines().find(|line| line.contains("panicked at"));
    let why = panic.or_else(|| said.lines().find(|line| line.starts_with("SUMMARY:")));
    format!(
        "the target {name} failed: {}\n  input  {input}\n  log    {log}\n  again  {} {input}",
        why.unwrap_or("its log says why"),
        program.display()
    )
}

/// The path in libFuzzer's line about the input that it kept.
fn artifact(line: &str) -> Option<&str> {
    line.split_once("Test unit written to ")
        .map(|(_, path)| path.trim())
}

/// A figure of libFuzzer's last words.
fn stat(said: &str, name: &str) -> Option<u64> {
    let mut words = said
        .lines()
        .rev()
        .filter_map(|line| line.strip_prefix("stat::"));
    words.find_map(|line| {
        line.strip_prefix(name)?
            .strip_prefix(':')?
            .trim()
            .parse()
            .ok()
    })
}

/// The number of executions in the last of libFuzzer's lines, `#123 NEW cov: …`.
fn executions_so_far(said: &str) -> Option<u64> {
    let mut lines = said.lines().rev();
    lines.find_map(|line| {
        line.strip_prefix('#')?
            .split_whitespace()
            .next()?
            .parse()
            .ok()
    })
}

fn end_of(log: &Path) -> io::Result<String> {
    let mut file = File::open(log)?;
    let from = file.metadata()?.len().saturating_sub(LOG_BYTES);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Of one input: seconds and megabytes. And libFuzzer's figures at the end.
const LIMITS: [&str; 3] = ["-timeout=20", "-rss_limit_mb=512", "-print_final_stats=1"];

/// A panic's backtrace is within the last of it.
const LOG_BYTES: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_of_a_run_is_read() {
        let said = "#2\tINITED cov: 9\n#524288\tpulse  cov: 12 ft: 30\nstat::average: x\n\
                    stat::number_of_executed_units: 1000000\nstat::new_units_added:          17\n";
        assert_eq!(executions_so_far(said), Some(524_288));
        assert_eq!(stat(said, "number_of_executed_units"), Some(1_000_000));
        assert_eq!(stat(said, "new_units_added"), Some(17));
        assert_eq!(stat(said, "new_units"), None);
        assert_eq!(stat("#9 NEW", "new_units_added"), None);
    }

    #[test]
    fn a_crash_is_told_with_its_input_and_the_way_to_see_it_again() {
        let said = "#7\tNEW\nthread '<unnamed>' panicked at src/x.rs:3:5:\none encoding\n\
                    SUMMARY: libFuzzer: deadly signal\n\
                    artifact_prefix='a/'; Test unit written to a/crash-12\nBase64: AA==\n";
        let told = failure(
            "plan",
            Path::new("bin/plan"),
            Path::new("logs/plan.log"),
            said,
        );
        assert!(told.contains("src/x.rs:3:5"), "{told}");
        assert!(told.contains("again  bin/plan a/crash-12"), "{told}");
        let torn = failure(
            "plan",
            Path::new("p"),
            Path::new("logs/plan.log"),
            "#7\tNEW\n",
        );
        assert!(torn.contains("logs/plan.log"), "{torn}");
    }
}
