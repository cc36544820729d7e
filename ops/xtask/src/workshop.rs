//! The workshop: the folder of the project, with the libtorch that its programs run on.
//!
//! Every child process is started from here, so that each sees the same environment. What
//! the children are asked to do is in the files of the commands.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::libtorch::Libtorch;

/// Why a command of ours ended early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// To be told in these words.
    Said(String),
    /// A child process has said why; its exit status is passed on.
    Status(u8),
}

/// The project's folder and the libtorch in use: what is needed to start a child.
pub(crate) struct Workshop {
    root: PathBuf,
    libtorch: Libtorch,
}

impl Workshop {
    pub(crate) fn new(root: &Path, libtorch: Libtorch) -> Self {
        Self {
            root: root.to_owned(),
            libtorch,
        }
    }

    /// A cargo of the toolchain that runs us, in the root of the project.
    pub(crate) fn cargo(&self) -> Command {
        self.command(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
    }

    /// A program that this workspace builds; it lies beside this one.
    pub(crate) fn program(&self, name: &str) -> Result<Command, Failure> {
        let own = env::current_exe()
            .map_err(|error| Failure::Said(format!("could not find the programs: {error}")))?;
        Ok(self.command(own.with_file_name(name).into()))
    }

    /// The folder of everything that is built.
    pub(crate) fn target(&self) -> Result<PathBuf, Failure> {
        let own = env::current_exe()
            .map_err(|error| Failure::Said(format!("could not find the programs: {error}")))?;
        let target = own.ancestors().nth(2);
        let target = target.expect("this program lies two folders below the target folder");
        Ok(target.to_owned())
    }

    /// Where a release build of this workspace puts a program.
    pub(crate) fn released(&self, name: &str) -> Result<PathBuf, Failure> {
        Ok(self.target()?.join("release").join(name))
    }

    /// Whether `cargo SUBCOMMAND` is installed.
    pub(crate) fn has(&self, subcommand: &str) -> bool {
        let mut question = self.cargo();
        question
            .args([subcommand, "--version"])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        question.status().is_ok_and(|status| status.success())
    }

    /// Any program, in the root of the project.
    pub(crate) fn command(&self, program: OsString) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root);
        // What cargo told this program about itself would read as a changed environment to the
        // build scripts of dependencies, and have them compiled again.
        for (name, _) in env::vars_os() {
            if name.to_str().is_some_and(is_about_this_program) {
                command.env_remove(name);
            }
        }
        if matches!(self.libtorch, Libtorch::Locked(_)) {
            command.env_remove("LIBTORCH"); // .cargo/config.toml sets it for the child as well.
        }
        // Programs know the locked libtorch by their rpath. Doctests, another target folder
        // and another libtorch need to be told.
        if let Some(folder) = self.libtorch.libraries() {
            let others = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
            let folders = [folder].into_iter().chain(env::split_paths(&others));
            if let Ok(path) = env::join_paths(folders) {
                command.env("LD_LIBRARY_PATH", path);
            }
        }
        command
    }
}

/// Runs a child to its end; its exit status is ours.
///
/// # Errors
///
/// When it cannot be started, or ends with another status than success.
pub(crate) fn passed_on(command: &mut Command, name: &str) -> Result<(), Failure> {
    let status = command
        .status()
        .map_err(|error| Failure::Said(format!("could not start {name}: {error}")))?;
    if status.success() {
        return Ok(());
    }
    // A child that a signal ended has no code.
    let code = status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .unwrap_or(1);
    Err(Failure::Status(code))
}

fn is_about_this_program(name: &str) -> bool {
    name.starts_with("CARGO_PKG_")
        || name.starts_with("CARGO_MANIFEST_")
        || matches!(
            name,
            "CARGO_BIN_NAME" | "CARGO_CRATE_NAME" | "CARGO_PRIMARY_PACKAGE"
        )
}
