//! Whether live scoring still sees what it was made for. The journal is read behind the worker's
//! back (`watch/reader.rs`), so that no payment waits for a figure; everything here is a function
//! of what was journaled and of the model in place, so a restart comes to the same figures.
//!
//! Day by day, when the first payment of a later day has come, the days that are over are held
//! against a reference: a sample of the five weeks before it was made. `watch/yardstick.rs` says
//! against which of its days, `watch/sketch.rs` has the arithmetic of one number, `watch/fields.rs`
//! that of fields, `watch/prices.rs` that of amounts, `watch/reference.rs` says which numbers there
//! are, and `watch/alarm.rs` when an alarm turns. What the bank's stream is told of that is in
//! `watch/telling.rs` and `watch/outbox.rs`; what came of mature payments, in `watch/quality.rs`.
//! Thresholds, and what they were measured on: docs/watch.md. How these go together, step by step,
//! is `watch/watching.rs`; a bank's past goes the same way in `watch/replay.rs`.

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use features::FeatureSchema;
use model::{Recent, Scorer};

mod alarm;
mod fields;
mod meters;
mod outbox;
mod prices;
mod quality;
mod reader;
mod reference;
mod replay;
mod sketch;
mod telling;
mod watching;
mod yardstick;

pub use quality::Settings;
pub use reader::{Installs, Watched, Watcher};

pub(crate) use outbox::Outbox;
pub(crate) use replay::{
    Change, Course, Judge, Raised, Replay, ReplayError, RuleTold, Series, Terms, Trained, rules,
};
pub(crate) use telling::AlarmEvent;

#[cfg(test)]
pub(crate) use meters::Meters;

use alarm::Figure;
use fields::{Fields, Filled};
use reference::{Judged, Reference, Sample};

/// Distribution of payments and scores, day by day. No `Debug`: rows are payments.
#[derive(Clone)]
struct Watch {
    schema: Arc<FeatureSchema>,
    /// Days that a reference spans: at the least, and once there are so many.
    reference_days: RangeInclusive<i32>,
    /// The rows of the last days.
    recent: Recent,
    /// The fields of the last days.
    fields: BTreeMap<i32, Fields>,
    /// The first day, which may have begun before anybody watched.
    first: Option<i32>,
    newest: Option<i32>,
    /// The model that scored last.
    model: Option<String>,
    reference: Option<Reference>,
    scorer: Option<Arc<Scorer>>,
    /// What the scorer makes of the reference, once it was needed.
    judged: Option<Judged>,
}

/// One payment as it was journaled.
struct Seen<'a> {
    /// Days since 1970-01-01 UTC.
    day: i32,
    vector: &'a [f32],
    /// Digest of the parameters that scored it.
    model: Option<String>,
    filled: Filled,
}

impl Watch {
    fn new(schema: FeatureSchema) -> Self {
        Self {
            recent: Recent::new(schema.len()),
            schema: Arc::new(schema),
            reference_days: REFERENCE_DAYS_MIN..=REFERENCE_DAYS,
            fields: BTreeMap::new(),
            first: None,
            newest: None,
            model: None,
            reference: None,
            scorer: None,
            judged: None,
        }
    }

    /// The same with a reference of so many days at once, at most [`REFERENCE_DAYS`].
    fn with_reference_days(self, days: u16) -> Self {
        let days = i32::from(days).min(REFERENCE_DAYS);
        Self {
            reference_days: days..=days,
            ..self
        }
    }

    /// Scores are judged by this model from the next evaluation on.
    fn install(&mut self, scorer: Arc<Scorer>) {
        self.scorer = Some(scorer);
        self.judged = None;
    }

    /// Takes in a payment. The first of a later day ends the days before: their figures. Vectors of
    /// another schema are left out.
    fn see(&mut self, seen: Seen<'_>) -> Option<Vec<Figure>> {
        if seen.vector.len() != self.schema.len() {
            return None;
        }
        let first = *self.first.get_or_insert(seen.day);
        let ended = match self.newest {
            Some(newest) if newest < seen.day => self.end_days(first, seen.day),
            Some(_) | None => None,
        };
        self.newest = self.newest.max(Some(seen.day));
        self.recent.push_among(DAYS_KEPT, seen.day, seen.vector);
        self.fields.entry(seen.day).or_default().add(&seen.filled);
        while self.fields.len() > DAYS_KEPT {
            self.fields.pop_first();
        }
        if seen.model.is_some() {
            self.model = seen.model;
        }
        ended
    }

    /// The figures of the days so far, as if a payment of the next one had come.
    fn end(&mut self) -> Option<Vec<Figure>> {
        let (first, newest) = self.first.zip(self.newest)?;
        self.end_days(first, newest.saturating_add(1))
    }

    fn end_days(&mut self, first: i32, today: i32) -> Option<Vec<Figure>> {
        self.renew(first, today);
        let (days, found) = self.window(today)?;
        let reference = self.reference.as_ref()?;
        let mut figures = reference.figures(&self.schema, &found, (&self.fields, &days));
        if let Some(scorer) = &self.scorer {
            // A model that refuses finite rows is of another schema, and says nothing of these.
            let judged = self.judged.take();
            self.judged = judged.or_else(|| reference.judge(scorer).ok());
            let backs = reference.backs(&days);
            let told = self.judged.as_ref();
            let told = told.and_then(|judged| judged.figures(scorer, &found, &backs).ok());
            figures.extend(told.into_iter().flatten());
        }
        Some(figures)
    }

    /// Makes a reference where there is none, where it could be a whole one and is not, or where
    /// another model scores than when it was made and it is a week old. A younger one is held to,
    /// and judged by the model in place: models may come daily, and a reference that came with each
    /// would swallow every change.
    fn renew(&mut self, first: i32, today: i32) {
        let whole_days = *self.reference_days.end();
        let earliest = today.saturating_sub(REFERENCE_DAYS);
        let days = first.saturating_add(1).max(earliest)..today;
        let kept = self.recent.days().filter(|(day, _)| days.contains(day));
        let kept: Vec<(i32, usize)> = kept.map(|(day, rows)| (day, rows.len())).collect();
        let span = match (kept.first(), kept.last()) {
            (Some((one, _)), Some((other, _))) => other.saturating_sub(*one).saturating_add(1),
            (None, _) | (_, None) => 0,
        };
        let is_due = match &self.reference {
            None => true,
            Some(reference) if reference.span() < whole_days && span >= whole_days => true,
            Some(reference) => {
                reference.model() != self.model.as_deref()
                    && today >= reference.until().saturating_add(RENEWED_AFTER_DAYS)
            }
        };
        let is_long = span >= *self.reference_days.start();
        let values: usize = kept.iter().map(|(_, values)| values).sum();
        if is_due && is_long && values >= ROWS_MIN * self.schema.len() {
            self.reference = Some(Reference::new(
                (&self.recent, &self.fields),
                &days,
                self.schema.len(),
                self.model.clone(),
            ));
            self.judged = None;
        }
    }

    /// The fewest days before today whose rows are enough, on both sides, to say something; none of
    /// them is in the reference.
    fn window(&self, today: i32) -> Option<(Range<i32>, Sample)> {
        let reference = self.reference.as_ref()?;
        (1..=WEEK_DAYS).find_map(|back| {
            let days = today.saturating_sub(back)..today;
            if days.start < reference.until() {
                return None;
            }
            let is_known = |day| reference.knows(day);
            let found = Sample::of(&self.recent, &days, self.schema.len(), is_known);
            let is_enough =
                found.len() >= ROWS_MIN && reference.rows_for(&found) >= ROWS_MIN as f64;
            is_enough.then_some((days, found))
        })
    }
}

/// Rows of a window and of what it is held against: below, chance moves a mean by more than a
/// fifteenth of a deviation, and the thresholds would have to be higher.
const ROWS_MIN: usize = 500;

/// Days of rows and fields kept: those of a reference, today, and one for a wild time. With the
/// reference's own rows they take 24 MB of 80 columns.
const DAYS_KEPT: usize = REFERENCE_DAYS as usize + 2;

const WEEK_DAYS: i32 = 7;

/// Days of a whole reference: the fewest weeks that have seen each day of the month, and five of
/// each day of the week, so that two odd ones among them have no say.
const REFERENCE_DAYS: i32 = 35;

/// Days of the first one, so that an agent sees something before it has seen a month: two of each
/// day of the week.
const REFERENCE_DAYS_MIN: i32 = 14;

/// Days after which another model is a reason for another reference.
const RENEWED_AFTER_DAYS: i32 = 7;

#[cfg(test)]
pub(crate) mod tests;
