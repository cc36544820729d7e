//! Why the journal cannot be used, as whoever starts the agent reads it.

use features::FieldError;
use host::disk::DiskError;

use super::{VERSION, labels};

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// An entry does not decode.
    #[error("journal entry {sequence} is damaged: restore a backup")]
    Damaged {
        /// Its number.
        sequence: u64,
    },
    /// An entry is not there, and later ones are.
    #[error("journal entry {sequence} is missing: restore a backup")]
    Missing {
        /// Its number.
        sequence: u64,
    },
    /// Files were lost, have rotted at their end, or are of an earlier day than the store's tables.
    #[error("found {found} journal entries, expected at least {expected}: restore a backup")]
    Short {
        /// Entries in the files.
        found: u64,
        /// Entries of which the store's tables speak.
        expected: u64,
    },
    /// The list of ids can be written no further, and what waits for it is all that may.
    #[error(
        "the ids of payments cannot be kept on disk, and memory is full with {found} of them: make \
         room, then start the agent again"
    )]
    Full {
        /// Ids in memory.
        found: usize,
    },
    /// An earlier build was started after its journal had been moved.
    #[error(
        "journal entry {sequence} lies in the store twice, and differs: an earlier build wrote to \
         it since; restore a backup"
    )]
    Twofold {
        /// Its number.
        sequence: u64,
    },
    /// A thread cannot be had.
    #[error("could not start a thread for the journal: {0}")]
    Thread(std::io::Error),
    /// A key that is no number.
    #[error("found a journal key of {found} bytes, expected 8: restore a backup")]
    Key {
        /// Length of the key.
        found: usize,
    },
    /// An entry of another format.
    #[error("journal entry {sequence} has format {found}, expected {VERSION}")]
    Version {
        /// Its number.
        sequence: u64,
        /// The format found.
        found: u8,
    },
    /// A label does not decode.
    #[error("label {sequence} is damaged: restore a backup")]
    DamagedLabel {
        /// Its number.
        sequence: u64,
    },
    /// A label of another format.
    #[error("label {sequence} has format {found}, expected {}", labels::VERSION)]
    LabelVersion {
        /// Its number.
        sequence: u64,
        /// The format found.
        found: u8,
    },
    /// The list of a payment's labels does not decode.
    #[error("the list of a payment's labels is damaged: restore a backup")]
    LabelIndex,
    /// The actions on an alert do not decode.
    #[error("the actions on alert {sequence} are damaged: restore a backup")]
    DamagedActions {
        /// Number of its decision.
        sequence: u64,
    },
    /// A payment that no longer passes the door.
    #[error("journal entry {sequence}: {error}")]
    Payment {
        /// Its number.
        sequence: u64,
        /// What the door says.
        error: FieldError,
    },
}
