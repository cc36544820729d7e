//! Whether the process that had the store before took its leave: a file that is there while a
//! process runs, and that only an orderly end removes. What follows from it, each process says.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::{DiskError, Store};

/// How the process that had the store before left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// It took its leave, or there was none.
    InOrder,
    /// It was killed, it crashed, or the machine did.
    Abruptly,
}

impl Store {
    /// Says that a process has the store from now on, durably, and how the one before it left.
    ///
    /// # Errors
    /// [`DiskError`] where the folder cannot be written.
    pub fn enter(&self) -> Result<Left, DiskError> {
        let path = self.mark();
        let entered = || -> io::Result<Left> {
            if path.try_exists()? {
                return Ok(Left::Abruptly);
            }
            File::create(&path)?.sync_all()?;
            sync_folder(&path)?;
            Ok(Left::InOrder)
        };
        entered().map_err(|error| DiskError::new("write", &path, error))
    }

    /// Takes leave: everything that was to be kept is durable.
    ///
    /// # Errors
    /// [`DiskError`] where the folder cannot be written.
    pub fn leave(&self) -> Result<(), DiskError> {
        let path = self.mark();
        let left = || -> io::Result<()> {
            std::fs::remove_file(&path)?;
            sync_folder(&path)
        };
        left().map_err(|error| DiskError::new("remove", &path, error))
    }

    fn mark(&self) -> PathBuf {
        self.path.join("running")
    }
}

/// Makes a name durable: that of `path`, in its folder.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_did_not_take_leave_left_abruptly() {
        let folder = tempfile::tempdir().unwrap();
        let enter = || Store::open(folder.path()).unwrap().enter().unwrap();
        assert_eq!(enter(), Left::InOrder);
        assert_eq!(enter(), Left::Abruptly);
        assert_eq!(enter(), Left::Abruptly);
        Store::open(folder.path()).unwrap().leave().unwrap();
        assert_eq!(enter(), Left::InOrder);
    }
}
