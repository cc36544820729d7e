//! The days of a run, in the manner of the Fraud Detection Handbook (baselines.md §2.1): training
//! days, days in which their labels come in, days that are judged; and the same again a week on.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::Failed;
use super::feed::Feed;

/// How many days of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Spans {
    /// Labelled days.
    pub(super) train: i32,
    /// Days until a label is trusted.
    pub(super) delay: i32,
    /// Judged days.
    pub(super) test: i32,
    /// Days before the judged ones that are pretrained on: no label is needed for it.
    pub(super) pretrain: i32,
}

/// The days of one training and one judgement, days since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Week {
    /// First day of training.
    pub(super) train_from: i32,
    /// First day after it.
    pub(super) train_to: i32,
    /// First judged day; labels count in training where they were known before it.
    pub(super) test_from: i32,
    /// First day after the judged ones.
    pub(super) test_to: i32,
    /// First day of pretraining, which goes on to the first judged day.
    pub(super) pretrain_from: i32,
}

impl Week {
    fn new(train_from: i32, spans: Spans) -> Self {
        let train_to = train_from + spans.train;
        let test_from = train_to + spans.delay;
        Self {
            train_from,
            train_to,
            test_from,
            test_to: test_from + spans.test,
            pretrain_from: test_from - spans.pretrain,
        }
    }

    /// The labelled days.
    pub(super) fn train(&self) -> Range<i32> {
        self.train_from..self.train_to
    }

    /// The judged days.
    pub(super) fn test(&self) -> Range<i32> {
        self.test_from..self.test_to
    }

    /// The days of pretraining.
    pub(super) fn pretrain(&self) -> Range<i32> {
        self.pretrain_from..self.test_from
    }
}

/// `count` weeks, each seven days after the one before; the last that the feed holds, unless the
/// first training day is named.
pub(super) fn weeks(
    feed: &Feed,
    spans: Spans,
    train_day: Option<i32>,
    count: u16,
) -> Result<Vec<Week>, Failed> {
    let (first, last) = feed.days().ok_or("the feed holds no payment")?;
    let length = spans.train + spans.delay + spans.test;
    let later = 7 * (i32::from(count) - 1);
    let train_day = train_day.unwrap_or(last + 1 - length - later);
    if train_day < first || train_day + length + later > last + 1 {
        return Err(format!(
            "the feed holds days {first} to {last}, expected {length} days from day {train_day} \
             on and {later} more"
        )
        .into());
    }
    let begin = |week: u16| Week::new(train_day + 7 * i32::from(week), spans);
    Ok((0..count).map(begin).collect())
}

/// Cards whose fraud is known, which the Handbook's protocol does not judge: since when, in days.
pub(super) struct Compromised {
    first: BTreeMap<u32, i32>,
    delay: i32,
}

impl Compromised {
    /// By the first fraud of each card from the first training day on.
    pub(super) fn new(feed: &Feed, week: &Week) -> Self {
        let mut first = BTreeMap::new();
        for payment in &feed.payments {
            let day = payment.day();
            if payment.fraud == Some(true) && (week.train_from..week.test_to).contains(&day) {
                first.entry(payment.card).or_insert(day);
            }
        }
        let delay = week.test_from - week.train_to;
        Self { first, delay }
    }

    /// Whether a fraud of the card's was known before `day`.
    pub(super) fn is_known(&self, card: u32, day: i32) -> bool {
        let first = self.first.get(&card);
        first.is_some_and(|first| *first < day - self.delay)
    }
}
