//! Which libtorch the build uses, and whether the locked one is in place.
//!
//! How it gets there is in `setup.rs`. `.cargo/config.toml` names the same folder, so that
//! plain `cargo build` finds it too.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where libtorch comes from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Libtorch {
    /// The one of `ops/libtorch.lock`, unpacked into this folder.
    Locked(PathBuf),
    /// The folder that the environment variable `LIBTORCH` names.
    Given(PathBuf),
    /// The Python package `torch`, by `LIBTORCH_USE_PYTORCH`.
    PyTorch,
}

impl Libtorch {
    /// The libtorch that the environment asks for; the locked one where it asks for none.
    pub(crate) fn chosen(root: &Path) -> Self {
        let locked = root.join(FOLDER);
        // torch-sys looks at this one first.
        if env::var_os("LIBTORCH_USE_PYTORCH").is_some() {
            return Self::PyTorch;
        }
        // Cargo hands us LIBTORCH from .cargo/config.toml; only another value was chosen.
        match env::var_os("LIBTORCH").map(PathBuf::from) {
            Some(given) if given != locked.join("torch") => Self::Given(given),
            _ => Self::Locked(locked),
        }
    }

    /// The folder of its shared libraries, where it is known.
    pub(crate) fn libraries(&self) -> Option<PathBuf> {
        match self {
            Self::Locked(folder) => Some(folder.join("torch/lib")),
            Self::Given(folder) => Some(
                env::var_os("LIBTORCH_LIB")
                    .map_or_else(|| folder.clone(), PathBuf::from)
                    .join("lib"),
            ),
            Self::PyTorch => {
                let answer = Command::new("python3")
                    .args(["-c", ASK_PYTORCH])
                    .output()
                    .ok()?;
                let path = String::from_utf8(answer.stdout).ok()?;
                (!path.trim().is_empty()).then(|| PathBuf::from(path.trim()))
            }
        }
    }
}

/// Whether `folder` holds what `lock` asks for, with every file there in its full size.
pub(crate) fn is_whole(folder: &Path, lock: &str) -> bool {
    fs::read_to_string(folder.join(STAMP)).is_ok_and(|stamp| stamp == lock)
        && fs::read_to_string(folder.join(MANIFEST)).is_ok_and(|manifest| {
            manifest
                .lines()
                .all(|line| is_present(folder, line).unwrap_or(false))
        })
}

/// Whether the file of one manifest line, `BYTES PATH`, is there; `None` if the line is torn.
fn is_present(folder: &Path, line: &str) -> Option<bool> {
    let (bytes, path) = line.split_once(' ')?;
    let bytes: u64 = bytes.parse().ok()?;
    Some(fs::metadata(folder.join(path)).is_ok_and(|found| found.len() == bytes))
}

/// The copy of the lock that was unpacked; written last.
pub(crate) const STAMP: &str = "libtorch.lock";
/// Every unpacked file with its size.
pub(crate) const MANIFEST: &str = "manifest";

const FOLDER: &str = "third_party/libtorch";
const ASK_PYTORCH: &str =
    "import os, torch; print(os.path.join(os.path.dirname(torch.__file__), 'lib'))";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_torn_and_outdated_files_are_noticed() {
        let folder = env::temp_dir().join(format!("xtask-whole-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder for temporary files is writable");
        let write = |name: &str, text: &str| {
            fs::write(folder.join(name), text).expect("the folder was made above");
        };
        write("library", "four");
        write(MANIFEST, "4 library\n");
        assert!(!is_whole(&folder, "lock"), "no stamp");
        write(STAMP, "lock");
        assert!(is_whole(&folder, "lock"));
        assert!(!is_whole(&folder, "another lock"));
        write("library", "fou");
        assert!(!is_whole(&folder, "lock"), "a file cut short");
        write("library", "four");
        write(MANIFEST, "4 library\n7 absent\n");
        assert!(!is_whole(&folder, "lock"), "a file is missing");
        write(MANIFEST, "4 library\n7");
        assert!(!is_whole(&folder, "lock"), "a torn manifest");
        fs::remove_dir_all(&folder).expect("the folder was made above");
    }
}
