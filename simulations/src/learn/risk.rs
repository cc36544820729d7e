//! The federation's risk table of a run: every bank's exact counts, range of days by range of
//! days, through the same encoding and sum as an update. Reading it for a past day shows nothing
//! that was not known by then: the table itself sees to that, day by day.

use std::ops::Range;
use std::sync::Arc;

use features::{KnownFraud, REACH_DAYS, RiskCounts, RiskKey, RiskTable, RiskTerms};
use protocol::id::Seat;
use protocol::plan::Kind;
use protocol::vector;

use super::Failed;
use super::feed::{Feed, Replay, Verdict};
use super::sum::{Summing, Vector, WIDTH};

/// The terms of a table, and the days it covers.
pub(super) struct RiskPlan {
    /// Days counted.
    pub(super) days: Range<i32>,
    /// Days until a label is trusted.
    pub(super) delay: u16,
    /// Size of the hashed table.
    pub(super) buckets: u32,
}

impl RiskPlan {
    /// A plan for encoding `days`: what their windows reach back to, up to what a label's delay
    /// lets them see.
    pub(super) fn new(feed: &Feed, days: &Range<i32>, delay: u16) -> Self {
        let delay_days = i32::from(delay);
        let first = feed.days().map_or(days.start, |(first, _)| first);
        let from = (days.start - delay_days - WINDOW_DAYS).max(first);
        Self {
            days: from..days.end - delay_days - 1,
            delay,
            buckets: buckets(feed),
        }
    }

    /// The table of all banks for which `is_member` holds.
    pub(super) fn table(
        &self,
        feed: &Feed,
        banks_of: &[u16],
        is_member: impl Fn(u16) -> bool,
        summing: &mut Summing,
    ) -> Result<Arc<RiskTable>, Failed> {
        let banks = banks_of.iter().max().map_or(0, |last| last + 1);
        let members: Vec<u16> = (0..banks).filter(|&bank| is_member(bank)).collect();
        let mut table = RiskTable::new(self.buckets, RiskKey::new(KEY));
        let range_days = (WORDS_MAX / (2 * self.buckets)).clamp(1, 365);
        let mut day = self.days.start;
        while day < self.days.end {
            let left = u32::try_from(self.days.end - day).unwrap_or(1);
            let days = u16::try_from(range_days.min(left)).unwrap_or(1);
            let terms = RiskTerms {
                buckets: self.buckets,
                key: RiskKey::new(KEY),
                from_day: day,
                days,
                label_delay_days: self.delay,
                banks_min: BANKS_MIN.min(u16::try_from(members.len()).unwrap_or(BANKS_MIN)),
            };
            let vectors = members.iter().map(|&bank| {
                let words = count(feed, banks_of, bank, &terms);
                let seat = Seat(bank);
                Ok(Vector {
                    seat,
                    words: vector::encode_risk(&words, self.buckets, BITS)?,
                    arrives: true,
                })
            });
            let sum = summing.sum(vectors.collect::<Result<_, Failed>>()?)?;
            let sum = vector::decode_sum(&sum, members.len(), BITS, Kind::Risk, WIDTH)?;
            let payload: Vec<i64> = vector::payload(&sum)
                .iter()
                .map(|&x| i64::from(x))
                .collect();
            table.absorb(&terms, &payload)?;
            day += i32::from(days);
        }
        Ok(Arc::new(table))
    }
}

/// One bank's counts of a range of days.
fn count(feed: &Feed, banks_of: &[u16], bank: u16, terms: &RiskTerms) -> Vec<u32> {
    let from = terms.from_day - i32::try_from(REACH_DAYS).unwrap_or(0);
    let end = terms.from_day + i32::from(terms.days);
    let before = |day: i32| feed.payments.partition_point(|payment| payment.day() < day);
    let mut counts = RiskCounts::new(terms.clone());
    let mut replay = Replay::new(feed);
    for at in before(from)..before(end) {
        let payment = &feed.payments[at];
        if banks_of[payment.customer as usize] == bank {
            let fraud = match payment.verdict {
                Verdict::Fraud { known_at } => Some(KnownFraud::since(known_at)),
                Verdict::Genuine | Verdict::Unknown => None,
            };
            counts.add(replay.transaction(at), fraud.as_slice());
        }
    }
    counts.into_words()
}

/// At least eight times the outlets, as a power of two, so that few outlets share a bucket.
fn buckets(feed: &Feed) -> u32 {
    let outlets = u32::try_from(feed.outlets()).unwrap_or(u32::MAX / 8);
    outlets.saturating_mul(8).next_power_of_two().max(1_024)
}

/// Key of the hash: one federation for all runs, so that tables compare.
const KEY: [u8; 32] = [0x5a; 32];
/// Days of the longest risk window.
const WINDOW_DAYS: i32 = 30;
/// Buckets that fewer banks know are not read, as in the demo's plans.
const BANKS_MIN: u16 = 2;
/// Bits of a count: half a million payments of one bank at one outlet in a day.
const BITS: u8 = 20;
/// Words of one bank's vector.
const WORDS_MAX: u32 = 1 << 20;
