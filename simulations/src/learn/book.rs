//! One bank's encoded payments of the days that are needed, and what a learner may be shown of
//! them. A label is shown where it was known by the cutoff, its customer is one of those with
//! labels, and the card is not held out for choosing a threshold.

use std::ops::Range;
use std::sync::Arc;

use features::{FeatureEncoder, FeatureSchema, RiskSettings, RiskTable};
use model::{Examples, ModelError};

use super::calendar::{Compromised, Week};
use super::feed::{DAY_MS, Feed, Replay};

/// The encoded payments of a bank, or of all banks together.
pub(super) struct Book {
    examples: Examples,
    /// The number of each row's payment in the feed.
    at: Vec<usize>,
}

/// How a bank's payments are encoded.
#[derive(Clone)]
pub(super) struct Encoding {
    /// The federation's table; none where a bank encodes alone.
    pub(super) table: Option<Arc<RiskTable>>,
    /// Whether the bank has labels to count by itself.
    pub(super) reports: Reports,
    /// Days until a label is trusted.
    pub(super) delay: u16,
    /// The days whose rows are kept.
    pub(super) days: Range<i32>,
}

/// Whether a bank knows of its own frauds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reports {
    /// As they are reported to it.
    Known,
    /// It has no labels at all.
    None,
}

/// Rows that a score is judged by.
#[derive(Clone, Debug, Default)]
pub(super) struct Judged {
    /// Row-major.
    pub(super) values: Vec<f32>,
    /// Whether each was a fraud.
    pub(super) frauds: Vec<bool>,
    /// Its day and its card.
    pub(super) cards: Vec<(i32, u32)>,
    /// The number of its payment in the feed, ascending.
    pub(super) at: Vec<usize>,
}

impl Book {
    /// Encodes the payments that `is_own` says are this bank's, from the beginning of the feed on.
    pub(super) fn encode(
        feed: &Feed,
        schema: &FeatureSchema,
        encoding: &Encoding,
        is_own: impl Fn(u32) -> bool,
    ) -> Result<Self, ModelError> {
        let settings = RiskSettings {
            label_delay_days: encoding.delay,
        };
        let mut encoder = FeatureEncoder::new(schema.clone(), settings);
        if let Some(table) = &encoding.table {
            encoder.install_risk(Arc::clone(table));
        }
        let (mut examples, mut at) = (Examples::new(schema.len()), Vec::new());
        let mut replay = Replay::new(feed);
        for (place, payment) in feed.payments.iter().enumerate() {
            let day = payment.day();
            if day >= encoding.days.end {
                break;
            }
            if !is_own(payment.customer) {
                continue;
            }
            let transaction = replay.transaction(place);
            let vector = encoder.encode(transaction);
            if let Some(report) = replay.report(place)
                && encoding.reports == Reports::Known
            {
                encoder.add_label(replay.transaction(place), &report);
            }
            if encoding.days.contains(&day) {
                examples.push(&vector.0, payment.card, payment.ts, f32::NAN)?;
                at.push(place);
            }
        }
        Ok(Self { examples, at })
    }

    /// Rows of some days, labelled by `label`, which is given the number of a payment.
    pub(super) fn rows(
        &self,
        feed: &Feed,
        days: &Range<i32>,
        label: impl Fn(usize) -> f32,
    ) -> Examples {
        let mut rows = Examples::new(self.examples.columns);
        for row in self.of_days(feed, days) {
            let (card, ts) = (self.examples.card[row], self.examples.ts[row]);
            let pushed = rows.push(self.examples.row(row), card, ts, label(self.at[row]));
            pushed.expect("rows of one table have one width");
        }
        rows
    }

    /// Rows whose label is known, of some days, as rows to judge by.
    pub(super) fn labelled(
        &self,
        feed: &Feed,
        days: &Range<i32>,
        label: impl Fn(usize) -> f32,
    ) -> Judged {
        let mut judged = Judged::default();
        for row in self.of_days(feed, days) {
            let known = label(self.at[row]);
            if !known.is_nan() {
                judged.push(self, row, known > 0.5);
            }
        }
        judged
    }

    /// The judged days, without payments of cards whose fraud is known and without payments of
    /// which nobody knows what they were.
    pub(super) fn judged(&self, feed: &Feed, week: &Week, compromised: &Compromised) -> Judged {
        let mut judged = Judged::default();
        for row in self.of_days(feed, &week.test()) {
            let payment = &feed.payments[self.at[row]];
            if let Some(fraud) = payment.fraud
                && !compromised.is_known(payment.card, payment.day())
            {
                judged.push(self, row, fraud);
            }
        }
        judged
    }

    fn of_days<'a>(&'a self, feed: &'a Feed, days: &Range<i32>) -> Range<usize> {
        let before = |day: i32| self.at.partition_point(|&at| feed.payments[at].day() < day);
        before(days.start)..before(days.end)
    }
}

impl Judged {
    fn push(&mut self, from: &Book, row: usize, fraud: bool) {
        self.values.extend_from_slice(from.examples.row(row));
        self.frauds.push(fraud);
        let day = from.examples.ts[row].div_euclid(DAY_MS);
        let day = i32::try_from(day).unwrap_or(i32::MAX);
        self.cards.push((day, from.examples.card[row]));
        self.at.push(from.at[row]);
    }

    /// The rows whose payments are wanted, of `columns` values each.
    pub(super) fn only(&self, columns: usize, is_wanted: impl Fn(usize) -> bool) -> Self {
        let mut kept = Self::default();
        for (row, values) in self.values.chunks_exact(columns).enumerate() {
            if is_wanted(self.at[row]) {
                kept.values.extend_from_slice(values);
                kept.frauds.push(self.frauds[row]);
                kept.cards.push(self.cards[row]);
                kept.at.push(self.at[row]);
            }
        }
        kept
    }

    /// Rows.
    pub(super) fn len(&self) -> usize {
        self.frauds.len()
    }
}
