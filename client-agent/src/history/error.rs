//! Why a past cannot be read or kept.

use std::path::PathBuf;

use features::{MapError, RowError, TokenKeyError};

use super::PAYMENTS_MAX;
use crate::journal::JournalError;

/// Why a history cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// A file cannot be opened or read.
    #[error("could not read {}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The map is no map.
    #[error("{}: {error}", path.display())]
    Map {
        /// The file.
        path: PathBuf,
        /// Why.
        error: MapError,
    },
    /// The key is no key.
    #[error("{}: {error}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        error: TokenKeyError,
    },
    /// The feed cannot be read on.
    #[error("{}: {error}", path.display())]
    Feed {
        /// The file.
        path: PathBuf,
        /// Where and why.
        error: RowError,
    },
    /// Every row was refused: this is not the file that the map is for.
    #[error("{}: {rows} rows read, all refused, the first at {first}", path.display())]
    AllRefused {
        /// The file.
        path: PathBuf,
        /// How many.
        rows: u64,
        /// The first refusal.
        first: RowError,
    },
    /// The disk refuses what is kept of the payments.
    #[error("could not keep the history's payments on disk: {0}")]
    Kept(std::io::Error),
    /// What was scored live cannot be read on.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// More payments than are kept.
    #[error("history holds more than {PAYMENTS_MAX} payments, expected history.from_day to be set")]
    TooLong,
    /// The process is to go.
    #[error("told to leave while reading the history")]
    Leaving,
}

impl HistoryError {
    /// Whether the same may go well later: the disk refused.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Kept(_) => true,
            Self::Journal(error) => error.is_passing(),
            Self::File { .. }
            | Self::Map { .. }
            | Self::Key { .. }
            | Self::Feed { .. }
            | Self::AllRefused { .. }
            | Self::TooLong
            | Self::Leaving => false,
        }
    }
}
