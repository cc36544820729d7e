//! Delayed-label risk of outlets: what one bank counts for a secure sum ([`RiskCounts`]), and
//! what all banks read from the sums ([`RiskTable`], `risk/table.rs`). A day is read only when
//! its labels have had the agreed delay to arrive, in live scoring and in a replay alike; what is
//! said of its payments later counts on the later day by whose delay it was known.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::transaction::{DAY_MS, Transaction};

mod table;

pub use table::{RiskError, RiskTable};

/// How the encoder reads risk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RiskSettings {
    /// The bank's own windows end so many days before a payment, to the millisecond, and one where
    /// there is no delay. The federation's table has whole days: on day D the newest that is read
    /// is `D - label_delay_days - 1`, and of what came after it the bank adds its own.
    pub label_delay_days: u16,
}

impl RiskSettings {
    /// How long before a payment the bank's own windows end. A day that is not over cannot be cut
    /// by its part, and a label that is ahead must not meet its own payment: a day at least.
    pub(crate) fn own_delay_ms(self) -> i64 {
        i64::from(self.label_delay_days.max(1)) * DAY_MS
    }
}

impl Default for RiskSettings {
    /// Seven days, the delay of the published protocol (baselines.md 2.1).
    fn default() -> Self {
        Self {
            label_delay_days: 7,
        }
    }
}

/// What outlets are hashed under: a secret of the banks, so that a bucket names nobody to whoever
/// has only the sums. It is not written anywhere, and not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct RiskKey([u8; 32]);

impl RiskKey {
    /// The key of these bytes, which must be uniform.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The buckets of an outlet, out of so many: one in each of [`ROWS`] stretches of equal length.
    /// Eight bytes each of HMAC-SHA-256, little endian, modulo the length. Buckets that no stretch
    /// has room for stay empty.
    pub(crate) fn buckets(&self, buckets: u32, outlet: &str) -> [u32; ROWS] {
        let keyed = Hmac::<Sha256>::new_from_slice(&self.0);
        let mut keyed = keyed.expect("HMAC takes a key of any length");
        keyed.update(outlet.as_bytes());
        let code: [u8; 32] = keyed.finalize().into_bytes().into();
        let length = (buckets / ROWS as u32).max(1);
        std::array::from_fn(|row| {
            let mut word = [0; 8];
            word.copy_from_slice(&code[8 * row..8 * row + 8]);
            let place = u64::from_le_bytes(word) % u64::from(length);
            let place = u32::try_from(place).expect("a remainder by a u32 is a u32");
            (row as u32 * length + place).min(buckets.saturating_sub(1))
        })
    }
}

impl fmt::Debug for RiskKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RiskKey")
    }
}

/// The terms of one secure sum of risk counts; every bank of the cohort counts by them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RiskTerms {
    /// Outlets are hashed into this many buckets, each outlet into four of them. What is read
    /// of an outlet is the least that any of its buckets holds (count-min, Cormode and
    /// Muthukrishnan 2005), which is too much only where it shares every one with others: at 8
    /// buckets an outlet one in forty, at 13 one in two hundred.
    pub buckets: u32,
    /// Key of the hash, the same for all banks and days.
    pub key: RiskKey,
    /// First day counted, days since 1970-01-01 UTC.
    pub from_day: i32,
    /// Days counted.
    pub days: u16,
    /// Whole days that labels are given to arrive after each counted day, the same for all days of
    /// a table.
    pub label_delay_days: u16,
    /// Buckets in which fewer banks are present are not released.
    pub banks_min: u16,
}

impl RiskTerms {
    /// Words of one bank's vector: two for every day and bucket, then one for every bucket.
    #[must_use]
    pub fn words(&self) -> u64 {
        u64::from(self.buckets) * (2 * u64::from(self.days) + 1)
    }

    /// The buckets of an outlet.
    #[must_use]
    pub fn buckets_of(&self, outlet: &str) -> [u32; ROWS] {
        self.key.buckets(self.buckets, outlet)
    }

    /// The day by whose start what `day` counts must be known. Each day has its own, so that a
    /// range of days counts what as many ranges of one day would: a replay that reads a past day
    /// sees nothing that was not known by then.
    #[must_use]
    pub fn as_of_day(&self, day: i32) -> i32 {
        i32::try_from(self.as_of(i64::from(day))).unwrap_or(i32::MAX)
    }

    fn as_of(&self, day: i64) -> i64 {
        day + 1 + i64::from(self.label_delay_days)
    }

    /// What a payment adds to the frauds of the counted days, by their places in the range, where
    /// that is not nothing: on its own day whether it was known for a fraud as of that day, and on
    /// each later one within [`REACH_DAYS`] what has changed since the day before. So a label
    /// counts on one day alone, and the days up to any one add up to what was known as of that. A
    /// window that begins between the two holds a withdrawal without its fraud, and takes it off
    /// other frauds of the outlet.
    /// `place` is the payment's day, from the first counted one on.
    fn changes(&self, place: i64, known: &[KnownFraud]) -> Vec<(usize, i32)> {
        if known.is_empty() {
            return Vec::new();
        }
        let is_counted = |at: i64| {
            let as_of = self.as_of(i64::from(self.from_day) + at) * DAY_MS;
            at >= place && known.iter().any(|fraud| fraud.is_known_at(as_of))
        };
        let end = (place + REACH_DAYS).min(i64::from(self.days));
        let changes = (place.max(0)..end).filter_map(|at| {
            let change = i32::from(is_counted(at)) - i32::from(is_counted(at - 1));
            let at = usize::try_from(at).ok()?;
            (change != 0).then_some((at, change))
        });
        changes.collect()
    }
}

/// Since when a payment was known for a fraud, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownFraud {
    /// When it became known, milliseconds since 1970-01-01 UTC.
    pub known_at: i64,
    /// When it was withdrawn, if it was.
    pub withdrawn_at: Option<i64>,
}

impl KnownFraud {
    /// A fraud known from this moment on, and never withdrawn.
    #[must_use]
    pub fn since(known_at: i64) -> Self {
        Self {
            known_at,
            withdrawn_at: None,
        }
    }

    /// Whether it was known at this moment, and not withdrawn by then.
    #[must_use]
    pub fn is_known_at(self, ts: i64) -> bool {
        let is_withdrawn = self.withdrawn_at.is_some_and(|at| at <= ts);
        self.known_at <= ts && !is_withdrawn
    }
}

/// One bank's counts under some terms.
#[derive(Clone, Debug)]
pub struct RiskCounts {
    terms: RiskTerms,
    /// `[day][bucket](payments, frauds)`, then `[bucket]` whether the bank is present; in two's
    /// complement, since a day may take back more frauds than it has.
    words: Vec<u32>,
}

impl RiskCounts {
    /// No counts yet; holds `terms.words()` words of four bytes.
    #[must_use]
    pub fn new(terms: RiskTerms) -> Self {
        let words = usize::try_from(terms.words()).unwrap_or(usize::MAX);
        Self {
            terms,
            words: vec![0; words],
        }
    }

    /// Counts one payment: on its day as a payment, and as a fraud where it was known for one at
    /// the start of its day's [`RiskTerms::as_of_day`]; on each later day within [`REACH_DAYS`] as
    /// one fraud more where it became known for one since the day before, one less where that was
    /// withdrawn. `known` is all the time during which it was known for one, in any order.
    ///
    /// A bank is present in a bucket by any payment of the [`REACH_DAYS`] up to the end of the
    /// range, so that a range of one day is not suppressed where many banks are usual. A label is
    /// no presence: it opens no bucket that payments leave closed. What is further from the range
    /// and payments without an outlet count nowhere.
    pub fn add(&mut self, transaction: &Transaction, known: &[KnownFraud]) {
        let Some(outlet) = transaction.outlet() else {
            return;
        };
        let days = i64::from(self.terms.days);
        let place = i64::from(transaction.day()) - i64::from(self.terms.from_day);
        let is_present = ((days - REACH_DAYS).min(0)..days).contains(&place);
        let changes = self.terms.changes(place, known);
        if !is_present && changes.is_empty() {
            return;
        }
        let of_outlet = self.terms.buckets_of(outlet);
        for (row, &bucket) in of_outlet.iter().enumerate() {
            // With fewer buckets than rows some are the same.
            if of_outlet[..row].contains(&bucket) {
                continue;
            }
            let bucket = bucket as usize;
            if is_present {
                self.be_present(bucket);
            }
            if let Ok(day) = usize::try_from(place) {
                self.change(self.cell(day, bucket), 1);
            }
            for &(day, change) in &changes {
                self.change(self.cell(day, bucket) + 1, change);
            }
        }
    }

    /// The vector that goes into the secure sum; frauds in two's complement.
    #[must_use]
    pub fn into_words(self) -> Vec<u32> {
        self.words
    }

    /// The place of a day's payments in a bucket; the frauds follow.
    fn cell(&self, day: usize, bucket: usize) -> usize {
        2 * (day * self.terms.buckets as usize + bucket)
    }

    fn be_present(&mut self, bucket: usize) {
        let presence = self.cell(usize::from(self.terms.days), 0) + bucket;
        if let Some(word) = self.words.get_mut(presence) {
            *word = 1;
        }
    }

    fn change(&mut self, at: usize, change: i32) {
        if let Some(word) = self.words.get_mut(at) {
            *word = word.cast_signed().saturating_add(change).cast_unsigned();
        }
    }
}

/// Payments and frauds of the windows of [`RISK_DAYS`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct RiskReading {
    pub(crate) windows: [(f64, f64); 4],
}

impl RiskReading {
    /// Whether there was a payment in the longest window.
    pub(crate) fn is_anything(&self) -> bool {
        self.windows.iter().any(|(payments, _)| *payments > 0.0)
    }

    /// Both counts together, window by window.
    pub(crate) fn plus(mut self, other: Self) -> Self {
        for (cell, more) in self.windows.iter_mut().zip(other.windows) {
            cell.0 += more.0;
            cell.1 += more.1;
        }
        self
    }

    /// The eight natural values r of learning.md §6: for 1, 7 and 30 days ln(1 + payments) and
    /// 3 x fraud rate; for 21 days ln(1 + frauds) and 3 x (frauds + 0.01) / (payments + 1).
    pub(crate) fn values(&self) -> [f64; 8] {
        let [day, week, three_weeks, month] = self.windows;
        let count = |(payments, _): (f64, f64)| payments.ln_1p();
        let rate = |(payments, frauds): (f64, f64)| 3.0 * frauds / payments.max(1.0);
        let (payments, frauds) = three_weeks;
        [
            count(day),
            rate(day),
            count(week),
            rate(week),
            count(month),
            rate(month),
            frauds.ln_1p(),
            3.0 * (frauds + 0.01) / (payments + 1.0),
        ]
    }
}

/// Buckets of an outlet, each in a stretch of its own: as many as one HMAC has words for, and near
/// the best number for ten buckets an outlet (`ln 2` times that).
pub(crate) const ROWS: usize = 4;

/// Days on which a payment has a part in what is counted, its own the first: it makes its bank
/// present in a bucket, and labels of it that are late or withdrawn enter. As many as the longest
/// window reads: further apart, no window would hold both a fraud and what takes it back.
pub const REACH_DAYS: i64 = RISK_DAYS[3] as i64;

/// Days of the windows: up to the newest day of the federation's table that may be read, or to a
/// label delay before the payment.
pub(crate) const RISK_DAYS: [i32; 4] = [1, 7, 21, 30];

#[cfg(test)]
mod tests;
