//! The federation's table: payments and frauds by day and bucket, summed over banks. Every day
//! was counted as of a day of its own, and a reader of an earlier day must not see it. What a day
//! says of frauds may be below zero, or above its payments, by labels of earlier days' payments
//! that it took up; a window reads at least none and at most as many as it has payments.

use std::ops::RangeInclusive;

use super::{RISK_DAYS, ROWS, RiskKey, RiskReading, RiskTerms};

/// All released days of the federation, at most `DAYS_MAX` of them; the oldest go first. It has
/// no stored form: the key would be in it, and the results of the ledger make it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RiskTable {
    buckets: u32,
    key: RiskKey,
    /// First day of the table, days since 1970-01-01 UTC.
    first_day: i32,
    /// For each day from `first_day` the day it was counted as of; `None` where the day was not
    /// released.
    as_of: Vec<Option<i32>>,
    /// `[bucket][day](payments, frauds)`, `as_of.len()` days a bucket.
    cells: Vec<(u32, i32)>,
}

/// Why a sum was not taken up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RiskError {
    /// The terms are of another table.
    #[error("found other buckets or another key, expected those of the table")]
    OtherTable,
    /// The terms give labels another time to arrive.
    #[error("found a label delay of {found} days, expected {expected} as the table was counted by")]
    Delay {
        /// Days by the terms.
        found: u16,
        /// Days of the table.
        expected: i64,
    },
    /// The sum has another length.
    #[error("found {found} words, expected {expected}")]
    Length {
        /// Words of the sum.
        found: u64,
        /// Words by the terms.
        expected: u64,
    },
    /// A word that no sum of counts can be.
    #[error("word {at}: found {found}, expected {expected}")]
    Impossible {
        /// Place in the sum.
        at: u64,
        /// The word.
        found: i64,
        /// What it should have been.
        expected: &'static str,
    },
    /// A day that was released before.
    #[error("day {0}: found it released before, expected each day once")]
    Overlap(i32),
    /// Days that would make the table longer than it may be.
    #[error("found days from {from_day} on, expected days within {max} of the table's others")]
    TooFar {
        /// First day of the sum.
        from_day: i32,
        /// Days a table may span.
        max: usize,
    },
}

impl RiskTable {
    /// An empty table of `buckets` under `key`.
    #[must_use]
    pub fn new(buckets: u32, key: RiskKey) -> Self {
        Self {
            buckets,
            key,
            first_day: 0,
            as_of: Vec::new(),
            cells: Vec::new(),
        }
    }

    /// Takes up the sum of all banks' [`super::RiskCounts`] under `terms`. In buckets where
    /// fewer than `banks_min` banks had a payment every day of the range is dropped, and reads
    /// as no payment.
    ///
    /// # Errors
    /// [`RiskError`] where the sum is none of counts under these terms; the table is unchanged.
    pub fn absorb(&mut self, terms: &RiskTerms, sum: &[i64]) -> Result<(), RiskError> {
        self.judge(terms, sum)?;
        self.make_room(terms)?;
        let (days, buckets) = (usize::from(terms.days), self.buckets as usize);
        let start = usize::try_from(i64::from(terms.from_day) - i64::from(self.first_day))
            .expect("room was made from the sum's first day on");
        let width = self.as_of.len();
        for bucket in 0..buckets {
            if sum[2 * days * buckets + bucket] < i64::from(terms.banks_min) {
                continue;
            }
            for day in 0..days {
                let at = 2 * (day * buckets + bucket);
                let payments = u32::try_from(sum[at]).expect("judged to fit");
                let frauds = i32::try_from(sum[at + 1]).expect("judged to fit");
                self.cells[bucket * width + start + day] = (payments, frauds);
            }
        }
        for (as_of, day) in self.as_of[start..start + days]
            .iter_mut()
            .zip(terms.from_day..)
        {
            *as_of = Some(terms.as_of_day(day));
        }
        self.trim();
        Ok(())
    }

    /// Payments and frauds at `outlet` in the `days` days up to `last_day`, or nothing where no
    /// day of them was released. Whoever reads for a past day uses the encoder, which also holds
    /// back what was released after it.
    #[must_use]
    pub fn window(&self, outlet: &str, last_day: i32, days: u16) -> Option<(u64, u64)> {
        let first = last_day.saturating_sub(i32::from(days).saturating_sub(1));
        let released = self.released(first..=last_day, i32::MAX);
        let rows = self.rows(outlet);
        let mut totals = None;
        for at in released {
            let (payments, frauds) = totals.get_or_insert((0_u64, 0_i64));
            let cell = agreed(&rows, at);
            *payments += u64::from(cell.0);
            *frauds += i64::from(cell.1);
        }
        let (payments, frauds) = totals?;
        Some((payments, u64::try_from(frauds).unwrap_or(0).min(payments)))
    }

    /// Whether counts under `terms` may stand beside the table's. Two delays would part a label's
    /// days at two times: one that came between them counts on two days, or on none.
    ///
    /// # Errors
    /// [`RiskError::OtherTable`] and [`RiskError::Delay`].
    pub fn admit(&self, terms: &RiskTerms) -> Result<(), RiskError> {
        if terms.buckets != self.buckets || terms.key != self.key {
            return Err(RiskError::OtherTable);
        }
        let found = terms.label_delay_days;
        match self.label_delay_days() {
            Some(expected) if expected != i64::from(found) => {
                Err(RiskError::Delay { found, expected })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Whole days that labels were given to arrive, by the newest released day: by any other too.
    fn label_delay_days(&self) -> Option<i64> {
        let at = self.as_of.iter().rposition(Option::is_some)?;
        let day = i64::from(self.first_day) + at as i64;
        self.as_of[at].map(|as_of| i64::from(as_of) - day - 1)
    }

    /// The newest released day.
    #[must_use]
    pub fn newest_day(&self) -> Option<i32> {
        let at = self.as_of.iter().rposition(Option::is_some)?;
        i32::try_from(at)
            .ok()
            .and_then(|at| self.first_day.checked_add(at))
    }

    /// Buckets of the table.
    #[must_use]
    pub fn buckets(&self) -> u32 {
        self.buckets
    }

    /// Windows of [`RISK_DAYS`] up to `last_day`, from ranges counted as of `today` or before, and
    /// the newest day of these; nothing where no payment at the outlet was counted in any.
    pub(crate) fn read(
        &self,
        outlet: &str,
        last_day: i32,
        today: i32,
    ) -> Option<(RiskReading, i32)> {
        if self.as_of.is_empty() {
            return None;
        }
        let (mut reading, mut newest_day) = (RiskReading::default(), None);
        let rows = self.rows(outlet);
        let first = last_day.saturating_sub(RISK_DAYS[3] - 1);
        for at in self.released(first..=last_day, today) {
            let (payments, frauds) = agreed(&rows, at);
            let day = i64::from(self.first_day) + at as i64;
            newest_day = Some(day);
            for (days, window) in RISK_DAYS.into_iter().zip(&mut reading.windows) {
                if i64::from(last_day) - day < i64::from(days) {
                    window.0 += f64::from(payments);
                    window.1 += f64::from(frauds);
                }
            }
        }
        for (payments, frauds) in &mut reading.windows {
            *frauds = frauds.clamp(0.0, *payments);
        }
        let newest_day = i32::try_from(newest_day?).ok()?;
        reading.is_anything().then_some((reading, newest_day))
    }

    /// Places of the released days among `days` that were counted as of `today` or before.
    fn released(&self, days: RangeInclusive<i32>, today: i32) -> impl Iterator<Item = usize> {
        let place = |day: i32| i64::from(day) - i64::from(self.first_day);
        let len = self.as_of.len() as i64;
        let first = place(*days.start()).clamp(0, len) as usize;
        let end = (place(*days.end()) + 1).clamp(first as i64, len) as usize;
        (first..end).filter(move |&at| self.as_of[at].is_some_and(|as_of| as_of <= today))
    }

    /// The days of each of an outlet's buckets.
    fn rows(&self, outlet: &str) -> [&[(u32, i32)]; ROWS] {
        let width = self.as_of.len();
        self.key.buckets(self.buckets, outlet).map(|bucket| {
            let start = bucket as usize * width;
            self.cells.get(start..start + width).unwrap_or(&[])
        })
    }

    fn judge(&self, terms: &RiskTerms, sum: &[i64]) -> Result<(), RiskError> {
        self.admit(terms)?;
        if sum.len() as u64 != terms.words() {
            let (found, expected) = (sum.len() as u64, terms.words());
            return Err(RiskError::Length { found, expected });
        }
        for at in 0..i32::from(terms.days) {
            let day = terms.from_day.saturating_add(at);
            if self.released(day..=day, i32::MAX).next().is_some() {
                return Err(RiskError::Overlap(day));
            }
        }
        let counts = 2 * usize::from(terms.days) * self.buckets as usize;
        for (at, &found) in sum.iter().enumerate() {
            // How many frauds a day may take up or back is a matter of earlier days, which a sum
            // need not hold: what a window reads is bounded instead.
            let expected = match at < counts && at % 2 == 1 {
                true if i32::try_from(found).is_err() => "a change from -2^31 to 2^31 - 1",
                false if u32::try_from(found).is_err() => "a count from 0 to 2^32 - 1",
                true | false => continue,
            };
            return Err(RiskError::Impossible {
                at: at as u64,
                found,
                expected,
            });
        }
        Ok(())
    }

    /// Widens the table to the days of `terms`.
    fn make_room(&mut self, terms: &RiskTerms) -> Result<(), RiskError> {
        let from = i64::from(terms.from_day);
        let end = from + i64::from(terms.days);
        let (first, old_end) = match self.as_of.is_empty() {
            true => (from, from),
            false => {
                let first = i64::from(self.first_day);
                (first.min(from), first + self.as_of.len() as i64)
            }
        };
        let shift = if self.as_of.is_empty() {
            0
        } else {
            i64::from(self.first_day) - first
        };
        let width = end.max(old_end) - first;
        if width > 2 * DAYS_MAX as i64 {
            return Err(RiskError::TooFar {
                from_day: terms.from_day,
                max: DAYS_MAX,
            });
        }
        let (shift, width) = (shift as usize, width as usize);
        let old = self.as_of.len();
        let mut cells = vec![(0, 0); width * self.buckets as usize];
        let mut as_of = vec![None; width];
        as_of[shift..shift + old].copy_from_slice(&self.as_of);
        for bucket in 0..self.buckets as usize {
            let row = &self.cells[bucket * old..(bucket + 1) * old];
            cells[bucket * width + shift..][..old].copy_from_slice(row);
        }
        self.first_day = i32::try_from(first).expect("the smaller of two days");
        self.cells = cells;
        self.as_of = as_of;
        Ok(())
    }

    /// Drops the oldest days above [`DAYS_MAX`].
    fn trim(&mut self) {
        let width = self.as_of.len();
        let excess = width.saturating_sub(DAYS_MAX);
        if excess == 0 {
            return;
        }
        let kept = self
            .cells
            .chunks(width)
            .flat_map(|row| row[excess..].iter().copied());
        self.cells = kept.collect();
        self.as_of.drain(..excess);
        self.first_day += i32::try_from(excess).expect("a few hundred days");
    }
}

/// What all of an outlet's buckets say of a day: the least, since no outlet has more. Where all
/// take frauds back it is what the one says that takes the fewest, and where only some do it is
/// none: what one outlet takes back is not taken from those that share a bucket with it. A bucket
/// that too few banks know holds nothing, and then the outlet is known by as few.
fn agreed(rows: &[&[(u32, i32)]; ROWS], at: usize) -> (u32, i32) {
    let cells = rows.map(|row| row.get(at).copied().unwrap_or_default());
    let payments = cells.iter().map(|cell| cell.0).min();
    let (least, most) = cells.iter().fold((i32::MAX, i32::MIN), |range, cell| {
        (range.0.min(cell.1), range.1.max(cell.1))
    });
    (payments.unwrap_or(0), least.max(0) + most.min(0))
}

/// Days a table keeps: a year of training, and the windows before it. With 16,384 buckets and
/// 8 bytes a cell that is 56 MB.
const DAYS_MAX: usize = 430;
