//! What was scored live since the file was written: payments that follow the file's, and what has
//! been said of them since. All sayings count, so that the verdict of a payment is the same in
//! whatever order they arrive: most are the verdict itself, which lies in the payment's record, and
//! only those that it does not tell are in memory. They come from `journal/follower.rs`.

use std::collections::BTreeMap;

use features::{KnownFraud, Transaction};

use super::memory::{Report, Verdict};
use super::{History, HistoryError};
use crate::journal::reading::{self, Progress, Reads};
use crate::journal::{Follower, Reach};

/// The payments after the file's.
#[derive(Debug)]
pub(super) struct Live {
    /// Place of the first of them.
    from: usize,
    /// The last time in the file: up to there, it is the file that tells.
    file_until: Option<i64>,
    /// The journal's numbers of them, in order.
    stretches: Vec<Stretch>,
    /// What was said of the payment in a place, in order of the time when it was known, where its
    /// verdict does not tell all of that.
    reports: BTreeMap<usize, Vec<Report>>,
    /// How often something of a day's payments changed.
    changes: BTreeMap<i32, u64>,
    /// Payments for which there was no room.
    left_out: u64,
}

/// Payments whose numbers in the journal follow on each other. A journal has few gaps, so numbers
/// take no memory for each payment.
#[derive(Debug)]
struct Stretch {
    /// Number of the first.
    sequence: u64,
    /// Place of the first.
    at: usize,
    length: usize,
}

impl Stretch {
    /// The place of the payment with a number.
    fn place(&self, sequence: u64) -> Option<usize> {
        let nth = usize::try_from(sequence.checked_sub(self.sequence)?).ok()?;
        (nth < self.length).then_some(self.at + nth)
    }
}

impl Live {
    /// The payment in this place has this number, above those before it.
    fn enter(&mut self, sequence: u64, at: usize) {
        let is_next = |last: &&mut Stretch| last.sequence + last.length as u64 == sequence;
        match self.stretches.last_mut().filter(is_next) {
            Some(last) => last.length += 1,
            None => self.stretches.push(Stretch {
                sequence,
                at,
                length: 1,
            }),
        }
    }

    fn place(&self, sequence: u64) -> Option<usize> {
        let after = self
            .stretches
            .partition_point(|stretch| stretch.sequence <= sequence);
        self.stretches[..after].last()?.place(sequence)
    }
}

impl History {
    /// Takes in what has become durable in a journal since the last time. Returns how many live
    /// payments have been left out by then, of all that were read: there is no room for them.
    ///
    /// # Errors
    /// [`HistoryError::Journal`] where the journal cannot be read on, [`HistoryError::Kept`] where
    /// the disk refuses; what was read stays, and what was refused is read again the next time.
    pub fn catch_up(&mut self, journal: &mut Follower) -> Result<u64, HistoryError> {
        let reach = journal.reach();
        let mut following = Following {
            history: self,
            journal,
        };
        reading::read(&mut following, reach, usize::MAX)?;
        Ok(self.live.as_ref().map_or(0, |live| live.left_out))
    }

    /// Takes in a payment scored live, by its number in the journal, after those before it. One
    /// that is no later than the file's last is left out: what the file covers, the file tells.
    ///
    /// # Errors
    /// [`HistoryError::TooLong`] above [`PAYMENTS_MAX`](super::PAYMENTS_MAX), which is counted;
    /// [`HistoryError::Kept`] where the disk refuses.
    pub fn follow(&mut self, sequence: u64, transaction: &Transaction) -> Result<(), HistoryError> {
        let memory = &mut self.memory;
        let live = self.live.get_or_insert_with(|| Live {
            from: memory.len(),
            file_until: memory.last_ts(),
            stretches: Vec::new(),
            reports: BTreeMap::new(),
            changes: BTreeMap::new(),
            left_out: 0,
        });
        if live.file_until.is_some_and(|until| transaction.ts <= until) {
            return Ok(());
        }
        if memory.len() >= self.most {
            live.left_out += 1;
            return Err(HistoryError::TooLong);
        }
        let at = memory.len();
        memory
            .push(transaction, self.silence)
            .map_err(HistoryError::Kept)?;
        live.enter(sequence, at);
        *live.changes.entry(transaction.day()).or_default() += 1;
        Ok(())
    }

    /// Takes in what a payment scored live turned out to be. `false` where this past does not hold
    /// the payment.
    ///
    /// # Errors
    /// [`HistoryError::Kept`] where the disk refuses.
    pub fn label(&mut self, sequence: u64, report: Report) -> Result<bool, HistoryError> {
        let Some(live) = &mut self.live else {
            return Ok(false);
        };
        let Some(at) = live.place(sequence) else {
            return Ok(false);
        };
        let mut reports = match live.reports.get(&at) {
            Some(reports) => reports.clone(),
            None => self
                .memory
                .verdict(at)
                .map_err(HistoryError::Kept)?
                .reports(),
        };
        if let Err(place) = reports.binary_search(&report) {
            reports.insert(place, report);
        }
        let verdict = Verdict::of_reports(&reports, self.silence);
        // A word that changes no verdict changes no row: nothing is encoded anew for it.
        let judged = self.memory.judge(at, verdict);
        if let Some(day) = judged.map_err(HistoryError::Kept)? {
            *live.changes.entry(day).or_default() += 1;
        }
        // A fraud that was reported, and one that was withdrawn, take no memory.
        if verdict.reports() == reports {
            live.reports.remove(&at);
        } else {
            live.reports.insert(at, reports);
        }
        Ok(true)
    }

    /// Gives every payment back as [`Self::replay`] does, with all the time during which it was
    /// known for a fraud. Unlike the verdict this forgets no earlier stretch where a withdrawn
    /// fraud comes back, so what it says of a moment does not change by what is known later.
    ///
    /// # Errors
    /// Where the disk refuses, after the payments that could be read.
    pub(crate) fn replay_known(
        &self,
        mut each: impl FnMut(&Transaction, &[KnownFraud]),
    ) -> std::io::Result<()> {
        let mut at = 0_usize;
        self.replay(|payment, transaction| {
            let reports = self.live.as_ref().and_then(|live| live.reports.get(&at));
            match reports {
                Some(reports) => each(transaction, &stretches(reports)),
                None => each(transaction, payment.verdict.known_fraud().as_slice()),
            }
            at += 1;
        })
    }

    /// Grows whenever something of the payments before this day has changed: what was encoded of
    /// them before is stale.
    #[must_use]
    pub fn revision(&self, end_day: u32) -> u64 {
        let end = i32::try_from(end_day).unwrap_or(i32::MAX);
        let changes = self.live.iter().flat_map(|live| live.changes.range(..end));
        changes.map(|(_, count)| *count).sum()
    }

    /// Payments of the file: those scored live come after them.
    #[must_use]
    pub fn file_len(&self) -> usize {
        self.live
            .as_ref()
            .map_or_else(|| self.memory.len(), |live| live.from)
    }
}

/// All the time during which a payment was known for a fraud, by its reports in their order.
fn stretches(reports: &[Report]) -> Vec<KnownFraud> {
    let mut stretches: Vec<KnownFraud> = Vec::new();
    for report in reports {
        let is_open = |last: &&mut KnownFraud| last.withdrawn_at.is_none();
        match (stretches.last_mut().filter(is_open), report.fraud) {
            (None, true) => stretches.push(KnownFraud::since(report.known_at)),
            (Some(last), false) => last.withdrawn_at = Some(report.known_at),
            (Some(_), true) | (None, false) => {}
        }
    }
    stretches
}

/// A history that follows a journal.
struct Following<'a> {
    history: &'a mut History,
    journal: &'a mut Follower,
}

impl Reads for Following<'_> {
    type Error = HistoryError;

    fn journal(&mut self) -> &mut Follower {
        self.journal
    }

    fn read_one(&mut self, reach: Reach) -> Result<Progress, HistoryError> {
        if let Some(told) = self.journal.next_told(reach)? {
            match self.history.follow(told.sequence, &told.payment) {
                // Counted there; labels of those before it still come.
                Err(HistoryError::TooLong) => {}
                followed => followed?,
            }
        } else if let Some(label) = self.journal.next_label(reach)? {
            let report = Report {
                known_at: label.known_at,
                fraud: label.fraud,
            };
            // One of a payment that the file covers has no effect: there the file tells.
            self.history.label(label.payment, report)?;
        } else {
            return Ok(Progress::All);
        }
        Ok(Progress::More)
    }
}

#[cfg(test)]
mod tests;
