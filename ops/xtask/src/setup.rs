//! `cargo xtask setup`: libtorch, from a lock that pins every byte, into `third_party`.
//!
//! Wheels are fetched by the machine's own pip, unpacked beside their place and moved there
//! whole, so that an interrupted run leaves nothing that looks finished. Which libtorch is
//! meant, and what counts as whole, is in `libtorch.rs`.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::libtorch::{self, Libtorch};
use crate::progress;
use crate::workshop::{Failure, Workshop};

/// Makes sure that a libtorch is in place; the workshop that builds with it.
pub(crate) fn run(root: &Path) -> Result<Workshop, Failure> {
    let libtorch = Libtorch::chosen(root);
    let lock = fs::read_to_string(root.join(LOCK))
        .map_err(|error| Failure::Said(format!("could not read {LOCK}: {error}")))?;
    match &libtorch {
        Libtorch::Given(folder) => {
            eprintln!(
                "setup: LIBTORCH is set, so libtorch is taken from {}",
                folder.display()
            );
            require(&[COMPILER])?;
        }
        Libtorch::PyTorch => {
            eprintln!(
                "setup: LIBTORCH_USE_PYTORCH is set, so libtorch is the one of python's torch"
            );
            require(&[PYTHON, COMPILER])?;
        }
        Libtorch::Locked(folder) if libtorch::is_whole(folder, &lock) => require(&[COMPILER])?,
        Libtorch::Locked(folder) => fetch(folder, &lock)?,
    }
    Ok(Workshop::new(root, libtorch))
}

/// Downloads and unpacks what `lock` names into `folder`, replacing what is there.
fn fetch(folder: &Path, lock: &str) -> Result<(), Failure> {
    if !cfg!(all(
        target_os = "linux",
        target_arch = "x86_64",
        target_env = "gnu"
    )) {
        return Err(Failure::Said(OTHER_PLATFORM.to_owned()));
    }
    require(&[PYTHON, PIP, COMPILER])?;
    let parent = folder
        .parent()
        .expect("the folder of libtorch lies inside third_party");
    let bench = parent.join(".libtorch-partial");
    let cannot = |error: io::Error| {
        Failure::Said(format!(
            "could not write under {}: {error}",
            parent.display()
        ))
    };
    fs::create_dir_all(parent).map_err(cannot)?;
    // Held until this function returns; a second setup waits for the first, and finds its work.
    let turn = File::create(parent.join(".libtorch-turn")).map_err(cannot)?;
    turn.lock().map_err(cannot)?;
    if libtorch::is_whole(folder, lock) {
        return Ok(());
    }
    let begun = Instant::now();
    remove(&bench).map_err(cannot)?;
    fs::create_dir_all(bench.join("tmp")).map_err(cannot)?;
    download(&bench, lock)?;
    unpack(&bench)?;
    let unpacked = bench.join("unpacked");
    fs::write(unpacked.join(libtorch::STAMP), lock).map_err(cannot)?;
    if !libtorch::is_whole(&unpacked, lock) {
        return Err(Failure::Said(format!(
            "found a file of another size than its wheel says, under {}; is the disk full?",
            unpacked.display()
        )));
    }
    if folder.exists() {
        fs::rename(folder, bench.join("replaced")).map_err(cannot)?;
    }
    fs::rename(&unpacked, folder).map_err(cannot)?;
    remove(&bench).map_err(cannot)?;
    eprintln!(
        "setup: libtorch is in place, after {:.0} s",
        begun.elapsed().as_secs_f64()
    );
    Ok(())
}

fn download(bench: &Path, lock: &str) -> Result<(), Failure> {
    let log = bench.join("pip.log");
    let cannot =
        |error: io::Error| Failure::Said(format!("could not start python3 -m pip: {error}"));
    let output = File::create(&log).map_err(cannot)?;
    fs::write(bench.join(libtorch::STAMP), lock).map_err(cannot)?;
    let total = bytes_to_download(lock);
    if let Some(total) = total {
        eprintln!(
            "setup: libtorch is downloaded once, {} MB",
            total / 1_000_000
        );
    }
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download"]).args(PIP_TERMS);
    pip.args(
        PLATFORMS
            .iter()
            .flat_map(|platform| ["--platform", platform]),
    );
    pip.arg("--dest").arg(bench.join("wheels"));
    pip.arg("--requirement").arg(bench.join(libtorch::STAMP));
    // Its temporary files grow where we watch them, and are removed with the rest.
    pip.env("TMPDIR", bench.join("tmp"));
    pip.stdin(Stdio::null())
        .stderr(output.try_clone().map_err(cannot)?)
        .stdout(output);
    let mut child = pip.spawn().map_err(cannot)?;
    let status = progress::watch(&mut child, bench, total).map_err(cannot)?;
    if status.success() {
        return Ok(());
    }
    let said = fs::read_to_string(&log).unwrap_or_default();
    let lines: Vec<&str> = said.lines().collect();
    let last = lines[lines.len().saturating_sub(LOG_LINES_MAX)..].join("\n  ");
    Err(Failure::Said(format!(
        "could not download libtorch; the last that pip said:\n  {last}\n{DOWNLOAD_CURES}"
    )))
}

fn unpack(bench: &Path) -> Result<(), Failure> {
    eprintln!("setup: unpacking");
    let status = Command::new("python3")
        .args(["-c", include_str!("unpack.py")])
        .args([bench.join("wheels"), bench.join("unpacked")])
        .status()
        .map_err(|error| Failure::Said(format!("could not start python3: {error}")))?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::Said(format!(
        "could not unpack libtorch: python3 left with {status}"
    )))
}

/// What the lock says in its line `# bytes-to-download: N`.
fn bytes_to_download(lock: &str) -> Option<u64> {
    lock.lines()
        .find_map(|line| line.strip_prefix("# bytes-to-download: "))?
        .trim()
        .parse()
        .ok()
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A program of the machine that we cannot do without.
struct Tool {
    name: &'static str,
    question: &'static [&'static str],
}

/// Checks that all `tools` are installed.
///
/// # Errors
///
/// One message that names all the missing ones and what to install.
fn require(tools: &[Tool]) -> Result<(), Failure> {
    let missing: Vec<&str> = tools
        .iter()
        .filter(|tool| !tool.answers())
        .map(|tool| tool.name)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Failure::Said(format!(
        "not installed here: {}.\n{INSTALL}",
        missing.join(", ")
    )))
}

impl Tool {
    fn answers(&self) -> bool {
        let (program, arguments) = self
            .question
            .split_first()
            .expect("every question begins with a program");
        let program = match *program {
            "c++" => env::var_os("CXX").unwrap_or_else(|| "c++".into()),
            other => OsString::from(other),
        };
        let mut question = Command::new(program);
        question
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        question.status().is_ok_and(|status| status.success())
    }
}

const LOCK: &str = "ops/libtorch.lock";

const PYTHON: Tool = Tool {
    name: "python3",
    question: &["python3", "--version"],
};
const PIP: Tool = Tool {
    name: "pip for python3",
    question: &["python3", "-m", "pip", "--version"],
};
const COMPILER: Tool = Tool {
    name: "a C++ compiler",
    question: &["c++", "--version"],
};

/// The wheels of the lock are for this Python; nothing of them is run, so any other fetches them.
const PIP_TERMS: [&str; 12] = [
    "--require-hashes",
    "--only-binary=:all:",
    "--no-deps",
    "--no-cache-dir",
    "--no-input",
    "--disable-pip-version-check",
    "--python-version",
    "3.11",
    "--implementation",
    "cp",
    "--abi",
    "cp311",
];
/// One for each wheel: torch, cupti, cudart.
const PLATFORMS: [&str; 3] = [
    "manylinux_2_28_x86_64",
    "manylinux_2_25_x86_64",
    "manylinux2014_x86_64",
];

const LOG_LINES_MAX: usize = 12;

const INSTALL: &str = "\
Install it, then run the same command again:
  Debian, Ubuntu   apt-get install python3 python3-pip g++
  Fedora           dnf install python3 python3-pip gcc-c++";

const DOWNLOAD_CURES: &str = "\
Run the same command again once the cause is gone. Without a network, put a libtorch 2.11
in place yourself and set LIBTORCH to its folder. An old pip does not know these wheels:
it must be 21 or later.";

const OTHER_PLATFORM: &str = "\
ops/libtorch.lock covers Linux on x86_64 with glibc only. On this machine, take libtorch 2.11
or the Python package torch 2.11 from elsewhere, and set LIBTORCH to its folder (the one that
holds lib and include), or LIBTORCH_USE_PYTORCH=1.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lock_pins_every_wheel_by_hash_and_says_how_much_it_is() {
        let lock = include_str!("../../libtorch.lock");
        assert!(bytes_to_download(lock).is_some_and(|bytes| bytes > 1_000_000));
        assert_eq!(lock.matches("==").count(), PLATFORMS.len());
        assert_eq!(lock.matches("--hash=sha256:").count(), PLATFORMS.len());
    }

    #[test]
    fn missing_tool_is_named_with_its_cure() {
        let absent = Tool {
            name: "a loom",
            question: &["phalanx-loom-that-nobody-has"],
        };
        let Err(Failure::Said(message)) = require(&[absent]) else {
            unreachable!("no machine has a program of that name")
        };
        assert!(
            message.contains("a loom") && message.contains("apt-get install"),
            "{message}"
        );
    }
}
