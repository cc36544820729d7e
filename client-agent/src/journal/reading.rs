//! What reading along has in common, whoever reads: a stretch at a time, from which it comes back
//! to other work, and what follows where the journal is refused. A disk that refuses is asked again
//! and nothing is passed by; what is damaged ends the reading, said once, unless a reader can do
//! without it and passes it by.

use std::time::{Duration, Instant};

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
            Ok(Progress::All) => {
                // It waits for more, as a rule for longer than it has worked.
                reader.journal().breather.rested();
                return Ok(Progress::All);
            }
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
    /// Why the last stretch did not go well.
    why: Option<String>,
    /// When the next stretch is due; at once where there was none yet.
    due: Option<Instant>,
    is_stopped: bool,
}

impl Pace {
    pub(crate) fn new(work: &'static str, usual: Duration) -> Self {
        Self {
            work,
            usual,
            refused: None,
            why: None,
            due: None,
            is_stopped: false,
        }
    }

    /// How long it is until the next stretch is due. Whoever is asked something meanwhile waits for
    /// the rest of it afterwards: else who asks often would put the next stretch off for ever.
    pub(crate) fn wait(&self, now: Instant) -> Duration {
        let left = |due: Instant| due.saturating_duration_since(now);
        self.due.map_or(Duration::ZERO, left)
    }

    /// Whether the next stretch is due.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.wait(now).is_zero()
    }

    /// Takes in how a stretch ended by `now`, from which follows when the next one is due. Refusals
    /// are logged here, and nowhere else.
    pub(crate) fn after(&mut self, now: Instant, read: &Result<Progress, JournalError>) {
        self.why = read.as_ref().err().map(ToString::to_string);
        let pause = match read {
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
        };
        self.due = Some(now + pause);
    }

    /// How reading is: why it is well, or why it is not.
    pub(crate) fn account(&self) -> Result<String, String> {
        match &self.why {
            None => Ok("the journal is read along".to_owned()),
            Some(why) if self.is_stopped => Err(format!("the journal is no longer read: {why}")),
            Some(why) => Err(format!("the journal cannot be read; tried again: {why}")),
        }
    }

    /// Whether the last stretch was refused: who is asked something meanwhile does not try before
    /// the next one is due.
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

/// A disk that goes on refusing is asked once a minute, whoever else is asked something meanwhile,
/// and that is also how often it is logged.
const PAUSE_MAX: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use host::disk::Store;
    use host::workers::Breather;
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
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        assert!(pace.is_due(now) && pace.account().is_ok());
        for refused in [&faults.entry_reads, &faults.label_reads] {
            refused.store(2, Ordering::SeqCst);
            for pause in [second, 2 * second] {
                let read = stretch(&mut reader);
                assert!(read.as_ref().is_err_and(JournalError::is_passing));
                pace.after(now, &read);
                assert_eq!(pace.wait(now), pause);
                // Whatever comes between does not put it off.
                assert_eq!(pace.wait(now + second / 4), pause - second / 4);
                assert!(!pace.is_due(now + second / 4) && pace.is_due(now + pause));
                assert!(pace.is_refused() && !pace.is_stopped());
                let why = pace.account().unwrap_err();
                assert!(why.contains("no space left on device"), "{why}");
            }
            let read = stretch(&mut reader);
            pace.after(now, &read);
            assert!(pace.is_due(now) && !pace.is_refused() && pace.account().is_ok());
        }
        assert!(stretch(&mut reader).is_ok_and(|read| read == Progress::More));
        let read = stretch(&mut reader);
        pace.after(now, &read);
        assert_eq!(pace.wait(now), Duration::from_secs(7));
        assert_eq!(reader.found, [0, 1, 2, 3, 4, 5]);
        // What it waits is no work: it does not rest before it goes on.
        assert_eq!(reader.journal.breather, Breather::default());
    }

    #[test]
    fn refusals_without_end_are_a_minute_apart() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(&Store::open(folder.path()).unwrap()).unwrap();
        journal.append(&entry(0)).unwrap();
        journal.settle().unwrap();
        journal.faults().entry_reads.store(99, Ordering::SeqCst);
        let (mut reader, mut pace) = (numbers(&journal), Pace::new("counting", Duration::ZERO));
        let now = Instant::now();
        let pauses = (0..9).map(|_| {
            pace.after(now, &stretch(&mut reader));
            pace.wait(now).as_secs()
        });
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
            pace.after(Instant::now(), &read);
            assert!(pace.is_stopped() && pace.is_refused());
            let why = pace.account().unwrap_err();
            assert!(why.starts_with("the journal is no longer read: "), "{why}");
        }
    }
}
