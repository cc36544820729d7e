//! The processes the demo started, and their end: every one is ended when the demo ends, however
//! it ends. Their standard error goes to log files in the demo's folder.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use host::usage::Usage;

/// One running program.
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a sibling program of this one, logging to `log` (appended).
    pub(crate) fn start(
        program: &str,
        arguments: &[&str],
        name: &str,
        log: &Path,
    ) -> Result<Self, String> {
        let path = sibling(program)?;
        let file = File::options()
            .create(true)
            .append(true)
            .open(log)
            .map_err(|error| format!("could not write {}: {error}", log.display()))?;
        let child = Command::new(&path)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .map_err(|error| format!("could not start {}: {error}", path.display()))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log: log.to_owned(),
        })
    }

    /// Fails where the process has ended, with the end of its log.
    pub(crate) fn check(&mut self) -> Result<(), String> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => {
                let text = std::fs::read_to_string(&self.log).unwrap_or_default();
                let lines: Vec<_> = text.lines().rev().take(5).collect();
                let tail: Vec<_> = lines.into_iter().rev().collect();
                Err(format!(
                    "{} ended early ({status}):\n{}",
                    self.name,
                    tail.join("\n")
                ))
            }
            Err(error) => Err(format!("{} cannot be watched: {error}", self.name)),
        }
    }

    /// What it has taken of the machine so far; nothing where the system does not say.
    pub(crate) fn usage(&self) -> Usage {
        Usage::of(self.child.id())
    }

    /// Ends it without a word, as a power cut would.
    pub(crate) fn kill(&mut self) {
        // It may have ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to leave, and ends it where it does not.
    pub(crate) fn stop(&mut self) {
        let pid = self.child.id().to_string();
        let asked = Command::new("kill")
            .args(["-TERM", &pid])
            .stderr(Stdio::null())
            .status();
        if asked.is_ok_and(|status| status.success()) {
            for _ in 0..30 {
                if matches!(self.child.try_wait(), Ok(Some(_))) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        }
        self.kill();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs a sibling program to its end and returns what it printed.
pub(crate) fn output(program: &str, arguments: &[&str]) -> Result<String, String> {
    let path = sibling(program)?;
    let output = Command::new(&path)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("could not start {}: {error}", path.display()))?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        return Err(format!(
            "{program} {}: {}",
            arguments.join(" "),
            error.trim()
        ));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A program that was built beside this one.
fn sibling(program: &str) -> Result<PathBuf, String> {
    let here = std::env::current_exe().map_err(|error| format!("where am I? {error}"))?;
    let path = here.with_file_name(program);
    if path.exists() {
        return Ok(path);
    }
    Err(format!(
        "{} is not there: `cargo xtask demo` builds it",
        path.display()
    ))
}
