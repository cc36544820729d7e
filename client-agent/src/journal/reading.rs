//! What reading along has in common, whoever reads: a stretch at a time, from which it comes back
//! to other work, and what follows where the journal is refused. A disk that refuses is asked again
//! and nothing is passed by; what is damaged ends the reading, said once.

use std::time::Duration;

use host::disk::DiskError;

use super::{Follower, JournalError, Reach};

/// Somebody who reads decisions and labels along.
pub(crate) trait Reads {
    /// Why it cannot read on.
    type Error: From<JournalError>;

    /// Where it has come to.
    fn journal(&mut self) -> &mut Follower;

    /// Reads the next decision or label within reach; [`Progress::All`] where there is none. What
    /// it refuses is read again, so it keeps nothing of it.
    fn read_one(&mut self, reach: Reach) -> Result<Progress, Self::Error>;
}

/// How far a stretch of reading came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// There may be more.
    More,
    /// To the end of what was within reach.
    All,
}

/// Reads on, at most so many decisions and labels. What was refused comes next again.
pub(crate) fn read<R: Reads>(
    reader: &mut R,
    reach: Reach,
    at_once: usize,
) -> Result<Progress, R::Error> {
    for _ in 0..at_once {
        let place = reader.journal().place();
        match reader.read_one(reach) {
            Ok(Progress::More) => {}
            Ok(Progress::All) => return Ok(Progress::All),
            Err(error) => {
                reader.journal().go_back(place);
                return Err(error);
            }
        }
    }
    Ok(Progress::More)
}

/// When somebody reads on.
#[derive(Debug)]
pub(crate) struct Pace {
    /// What cannot be done without reading, for the log.
    work: &'static str,
    /// Between two looks at a journal that was read to its end.
    usual: Duration,
    /// How long was waited after the last refusal; nothing where the last stretch went well.
    refused: Option<Duration>,
    is_stopped: bool,
}

impl Pace {
    pub(crate) fn new(work: &'static str, usual: Duration) -> Self {
        Self {
            work,
            usual,
            refused: None,
            is_stopped: false,
        }
    }

    /// How long to wait after a stretch that ended so. Refusals are logged here, and nowhere else.
    pub(crate) fn after(&mut self, read: &Result<Progress, JournalError>) -> Duration {
        match read {
            Ok(progress) => {
                self.refused = None;
                match progress {
                    Progress::More => Duration::ZERO,
                    Progress::All => self.usual,
                }
            }
            Err(error) if error.is_passing() => {
                let pause = pause_after(self.refused);
                self.refused = Some(pause);
                let (work, pause_s) = (self.work, pause.as_secs_f32());
                tracing::error!(%error, work, pause_s, "the journal cannot be read; tried again");
                pause
            }
            Err(error) => {
                if !self.is_stopped {
                    tracing::error!(%error, work = self.work, "the journal is no longer read");
                }
                self.is_stopped = true;
                self.usual
            }
        }
    }

    /// Whether the last stretch was refused: who is asked something meanwhile need not try at once.
    pub(crate) fn is_refused(&self) -> bool {
        self.is_stopped || self.refused.is_some()
    }

    /// Whether reading has ended for good: what came next is damaged.
    pub(crate) fn is_stopped(&self) -> bool {
        self.is_stopped
    }
}

/// How long to wait after a refusal: twice as long as after the one just before it, if there was
/// one.
pub(crate) fn pause_after(last: Option<Duration>) -> Duration {
    last.map_or(PAUSE_MIN, |last| (last * 2).min(PAUSE_MAX))
}

impl JournalError {
    /// Whether the same may go well later: the disk refused. What is damaged stays so.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(self, Self::Disk(DiskError::Store { .. }))
    }
}

/// Between two looks at a journal that was read to its end: short enough that what came meanwhile
/// is still among the decisions that are told (`lately.rs`), at forty thousand a second.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A disk that refused is asked again after a second.
const PAUSE_MIN: Duration = Duration::from_secs(1);

/// A disk that goes on refusing is asked once a minute, which is also how often that is logged.
const PAUSE_MAX: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use host::disk::Store;
    use serde_json::json;

    use super::*;
    use crate::journal::{Entry, Journal};

    /// Takes the numbers of what it reads.
    struct Numbers {
        journal: Follower,
        found: Vec<u64>,
    }

    impl Reads for Numbers {
        type Error = JournalError;

        fn journal(&mut self) -> &mut Follower {
            &mut self.journal
        }

        fn read_one(&mut self, reach: Reach) -> Result<Progress, JournalError> {
            let Some(told) = self.journal.next_told(reach)? else {
                return Ok(Progress::All);
            };
            // Asked after the journal has moved on, as by a reader with questions of its own.
            self.journal.labels_of(&told.payment.txn_id)?;
            self.found.push(told.sequence);
            Ok(Progress::More)
        }
    }

    fn entry(sequence: u64) -> Entry {
        let payment = json!({
            "txn_id": format!("t{sequence}"), "ts": 1, "rail": "card", "amount_minor": 1,
            "currency": "EUR", "account_tok": "a",
        });
        Entry {
            txn_id: format!("t{sequence}"),
            digest: [0; 32],
            transaction: payment.to_string(),
            answer: "{}".to_owned(),
            vector: Vec::new(),
        }
    }

    fn numbers(journal: &Journal) -> Numbers {
        Numbers {
            journal: journal.follow(),
            found: Vec::new(),
        }
    }

    fn stretch(numbers: &mut Numbers) -> Result<Progress, JournalError> {
        let reach = numbers.journal.reach();
        read(numbers, reach, 2)
    }

    // Refused at every place: where the entry is read, and after it was. Planted fault: without
    // the step back in `read` the numbers after which labels were refused are missing.
    #[test]
    fn a_disk_that_refuses_is_asked_again_and_nothing_is_passed_by() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(&Store::open(folder.path()).unwrap()).unwrap();
        (0..6).for_each(|sequence| journal.append(&entry(sequence)).unwrap());
        journal.settle().unwrap();
        let (faults, mut reader) = (journal.faults(), numbers(&journal));
        let mut pace = Pace::new("counting", Duration::from_secs(7));
        let second = Duration::from_secs(1);
        for refused in [&faults.entry_reads, &faults.label_reads] {
            refused.store(2, Ordering::SeqCst);
            for pause in [second, 2 * second] {
                let read = stretch(&mut reader);
                assert!(read.as_ref().is_err_and(JournalError::is_passing));
                assert_eq!(pace.after(&read), pause);
                assert!(pace.is_refused() && !pace.is_stopped());
            }
            let read = stretch(&mut reader);
            assert_eq!(pace.after(&read), Duration::ZERO);
            assert!(!pace.is_refused());
        }
        assert!(stretch(&mut reader).is_ok_and(|read| read == Progress::More));
        let read = stretch(&mut reader);
        assert_eq!(pace.after(&read), Duration::from_secs(7));
        assert_eq!(reader.found, [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn refusals_without_end_are_a_minute_apart() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(&Store::open(folder.path()).unwrap()).unwrap();
        journal.append(&entry(0)).unwrap();
        journal.settle().unwrap();
        journal.faults().entry_reads.store(99, Ordering::SeqCst);
        let (mut reader, mut pace) = (numbers(&journal), Pace::new("counting", Duration::ZERO));
        let pauses = (0..9).map(|_| pace.after(&stretch(&mut reader)).as_secs());
        assert_eq!(pauses.collect::<Vec<_>>(), [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    fn what_is_damaged_ends_the_reading_and_is_not_passed_by() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(&Store::open(folder.path()).unwrap()).unwrap();
        let damaged = Entry {
            transaction: "{}".to_owned(),
            ..entry(1)
        };
        for entry in [entry(0), damaged, entry(2)] {
            journal.append(&entry).unwrap();
        }
        journal.settle().unwrap();
        let (mut reader, mut pace) = (numbers(&journal), Pace::new("counting", Duration::ZERO));
        for _ in 0..2 {
            let read = stretch(&mut reader);
            let is_named = matches!(read, Err(JournalError::Payment { sequence: 1, .. }));
            assert!(is_named && reader.found == [0]);
            pace.after(&read);
            assert!(pace.is_stopped() && pace.is_refused());
        }
    }
}
