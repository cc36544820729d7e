//! `cargo xtask fresh`: README's promise, kept where nothing is known of us. What is committed is
//! cloned into an empty folder, and README's two commands are run in it with an empty home, no
//! built dependency, no downloaded package and none of cargo's optional tools.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::workshop::Failure;

/// Clones, then runs both commands; says how long each took.
pub(crate) fn run(root: &Path) -> Result<(), Failure> {
    let machine = Machine::make(root)?;
    let mut table = String::new();
    for words in [["xtask", "demo"], ["xtask", "test"]] {
        eprintln!("\nfresh: cargo {}", words.join(" "));
        let begun = Instant::now();
        let status = machine.command("cargo").args(words).status();
        let status = status.map_err(|error| said("start cargo", &error))?;
        let minutes = begun.elapsed().as_secs_f64() / 60.0;
        table.push_str(&format!(
            "  cargo {:<12} {minutes:6.1} min\n",
            words.join(" ")
        ));
        if !status.success() {
            return Err(Failure::Said(format!("cargo {} failed", words.join(" "))));
        }
    }
    eprint!("\nfrom a clean clone in an empty home:\n{table}");
    Ok(())
}

/// A machine that has Rust, a C++ compiler and python3, and has never heard of us.
struct Machine {
    folder: PathBuf,
    path: OsString,
    toolchains: OsString,
}

impl Machine {
    fn make(root: &Path) -> Result<Self, Failure> {
        let folder = env::temp_dir().join(format!("phalanx-fresh-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("home"))
            .map_err(|error| said("make a home", &error))?;
        let machine = Self {
            path: without_optional_tools()?,
            toolchains: env::var_os("RUSTUP_HOME").unwrap_or_else(|| home(".rustup").into()),
            folder,
        };
        let mut clone = Command::new("git");
        clone
            .args(["clone", "--quiet", "--no-hardlinks"])
            .args([root, &machine.project()]);
        let cloned = clone.status().map_err(|error| said("start git", &error))?;
        if !cloned.success() {
            return Err(Failure::Said("git could not clone the project".to_owned()));
        }
        // Tests on real data find it beside the project, or say that they were skipped.
        let data = root.with_file_name("shared");
        if data.exists() {
            std::os::unix::fs::symlink(&data, machine.folder.join("shared"))
                .map_err(|error| said("link the data sets", &error))?;
        }
        Ok(machine)
    }

    fn project(&self) -> PathBuf {
        self.folder.join("phalanx")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        for (name, _) in env::vars_os() {
            let told_by_cargo = name.to_str().is_some_and(|name| name.starts_with("CARGO"));
            if told_by_cargo || name == "LD_LIBRARY_PATH" || name == "LIBTORCH" {
                command.env_remove(name);
            }
        }
        command
            .current_dir(self.project())
            .env("PATH", &self.path)
            .env("HOME", self.folder.join("home"))
            .env("RUSTUP_HOME", &self.toolchains);
        command
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Several gigabytes; what cannot be removed is in the system's temporary folder.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// `PATH` with the toolchain in front, and no folder that holds cargo-nextest.
fn without_optional_tools() -> Result<OsString, Failure> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let asked = Command::new(rustc).args(["--print", "sysroot"]).output();
    let sysroot = asked.map_err(|error| said("start rustc", &error))?.stdout;
    let toolchain = PathBuf::from(String::from_utf8_lossy(&sysroot).trim()).join("bin");
    let path = env::var_os("PATH").unwrap_or_default();
    let plain = env::split_paths(&path).filter(|folder| !folder.join("cargo-nextest").exists());
    env::join_paths([toolchain].into_iter().chain(plain))
        .map_err(|error| Failure::Said(format!("could not put a PATH together: {error}")))
}

fn home(name: &str) -> PathBuf {
    PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(name)
}

fn said(what: &str, error: &std::io::Error) -> Failure {
    Failure::Said(format!("could not {what}: {error}"))
}
