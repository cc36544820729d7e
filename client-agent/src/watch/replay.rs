//! A bank's past, watched as an agent would have watched it live, with and without a change that is
//! made to its payments from a day on. Time is that of the payments. What is watched and when an
//! alarm rises is decided where it is decided live (`watching.rs`); here payments are encoded,
//! scored and counted for it. The changes are in `replay/change.rs`, a model made for want of one
//! in `replay/made.rs`, what came of it all in `replay/course.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use features::{FeatureEncoder, FeatureSchema, RiskSettings, Row, Transaction};
use model::{ModelError, Scorer};

use super::fields::Filled;
use super::quality::{Scored, Settings};
use super::reader::card;
use super::watching::{Evaluation, Watching};
use super::{ROWS_MIN, Seen};
use crate::history::{self, Report, Verdict};

mod change;
mod course;
mod made;

pub(crate) use change::Change;
pub(crate) use course::{Course, Raised, RuleTold, Series, rules};
pub(crate) use made::Trained;

use change::{Counts, Deed};
use course::Log;
use made::Rows;

/// What is replayed, and what is done to it. No `Debug`: a model has none.
pub(crate) struct Terms {
    /// Days watched, since 1970-01-01 UTC; payments before are remembered.
    pub(crate) days: Range<i32>,
    /// Days that the reference spans.
    pub(crate) reference_days: u16,
    /// What is done, beside nothing.
    pub(crate) changes: BTreeSet<Change>,
    /// From which day on; a week after there is a reference where it is left out.
    pub(crate) change_day: Option<i32>,
    /// Whether anybody says what payments turned out to be.
    pub(crate) has_labels: bool,
    /// What a payment is of which nobody says anything.
    pub(crate) silence: Verdict,
    pub(crate) settings: Settings,
    pub(crate) judge: Judge,
}

/// Which model scores, the same one throughout.
pub(crate) enum Judge {
    /// None: payments alone are watched.
    Nobody,
    /// This one.
    Given(Arc<Scorer>),
    /// One that is made of the reference's days, in so many steps; it scores after them.
    Made(u32),
}

/// A replay on its way.
pub(crate) struct Replay {
    terms: Terms,
    schema: FeatureSchema,
    base: World,
    changed: Vec<World>,
    /// Changes that are still to begin.
    to_come: BTreeSet<Change>,
    begun: Option<Begun>,
    counts: Counts,
    /// Whether the feed goes on after the days that are watched.
    goes_on: bool,
    trained: Option<Trained>,
}

/// What the first day watched decides.
#[derive(Clone, Copy)]
struct Begun {
    first: i32,
    /// First day that can be judged.
    judged_from: i32,
    change_day: i32,
}

/// What came of a replay.
#[derive(Debug)]
pub(crate) struct Replayed {
    /// Days of the reference that was made first.
    pub(crate) reference: Range<i32>,
    /// What a model was made of, where one was.
    pub(crate) trained: Option<Trained>,
    /// The feed as it is, then the changes.
    pub(crate) courses: Vec<Course>,
}

impl Replay {
    pub(crate) fn new(terms: Terms, schema: FeatureSchema) -> Self {
        let mut base = World::new(&terms, &schema);
        if let Judge::Given(scorer) = &terms.judge {
            base.install(scorer);
        }
        let to_come = terms.changes.iter().copied();
        Self {
            base,
            changed: Vec::new(),
            to_come: to_come.filter(|of| *of != Change::None).collect(),
            begun: None,
            counts: Counts::default(),
            goes_on: false,
            trained: None,
            terms,
            schema,
        }
    }

    /// Takes in the feed's next payment.
    ///
    /// # Errors
    /// [`ReplayError`] where a change cannot be made, or no model of these payments.
    pub(crate) fn take(&mut self, row: &Row) -> Result<(), ReplayError> {
        let day = row.transaction.day();
        if day >= self.terms.days.end {
            self.goes_on = true;
            return Ok(());
        }
        if day < self.terms.days.start {
            self.worlds().for_each(|world| world.remember(row));
            return Ok(());
        }
        let begun = match self.begun {
            Some(begun) => begun,
            None => self.begin(day)?,
        };
        if day >= begun.judged_from {
            self.make_model()?;
        }
        if !self.to_come.is_empty() {
            if day >= begun.change_day {
                self.begin_changes(begun.change_day)?;
            } else {
                self.counts.add(&row.transaction);
            }
        }
        for world in self.worlds() {
            world.take(row, begun.change_day);
        }
        Ok(())
    }

    /// What came of it.
    ///
    /// # Errors
    /// [`ReplayError`] where the feed ended before a change, or before a day could be judged.
    pub(crate) fn finish(mut self) -> Result<Replayed, ReplayError> {
        if self.goes_on {
            self.worlds().for_each(World::end);
        }
        let reference = self.base.watching.watch.reference.as_ref();
        let until = reference.map(super::Reference::until);
        let Some((begun, until)) = self.begun.zip(until).filter(|_| !self.base.log.is_empty())
        else {
            return Err(self.too_short());
        };
        if !self.to_come.is_empty() {
            let last = self.base.newest.unwrap_or(begun.first);
            return Err(ReplayError::Asked {
                option: "--inject-day",
                found: begun.change_day.to_string(),
                expected: format!("a day of the feed, which ends on {last}"),
            });
        }
        let quiet = self.base.log.into_course(None, &[]);
        let changed = self.changed.into_iter().map(|world| {
            let since = Some(begun.change_day);
            world.log.into_course(since, &quiet.alarms)
        });
        let changed: Vec<Course> = changed.collect();
        Ok(Replayed {
            reference: begun.first.saturating_add(1)..until,
            trained: self.trained,
            courses: [vec![quiet], changed].concat(),
        })
    }

    fn worlds(&mut self) -> impl Iterator<Item = &mut World> {
        std::iter::once(&mut self.base).chain(&mut self.changed)
    }

    /// The day of the first payment that is watched does not count, as it does not live.
    fn begin(&mut self, first: i32) -> Result<Begun, ReplayError> {
        let judged_from = first.saturating_add(1 + i32::from(self.terms.reference_days));
        let usual = judged_from.saturating_add(QUIET_DAYS);
        let change_day = self.terms.change_day.unwrap_or(usual);
        // On the first payment of the day before the reference is made.
        if !self.to_come.is_empty() && change_day <= judged_from {
            return Err(ReplayError::Asked {
                option: "--inject-day",
                found: change_day.to_string(),
                expected: format!("a day after {judged_from}, when there is a reference"),
            });
        }
        if let Judge::Made(steps) = self.terms.judge {
            let days = first.saturating_add(1)..judged_from;
            self.base.rows = Some(Rows::new(days, steps, self.terms.silence));
        }
        let begun = Begun {
            first,
            judged_from,
            change_day,
        };
        self.begun = Some(begun);
        Ok(begun)
    }

    fn make_model(&mut self) -> Result<(), ReplayError> {
        if let Some(rows) = self.base.rows.take() {
            let (scorer, trained) = rows.make(&self.schema)?;
            self.base.install(&Arc::new(scorer));
            self.trained = Some(trained);
        }
        Ok(())
    }

    /// Every change goes on from the feed as it was so far.
    fn begin_changes(&mut self, change_day: i32) -> Result<(), ReplayError> {
        if self.base.watching.watch.reference.is_none() {
            return Err(ReplayError::Asked {
                option: "--inject-day",
                found: change_day.to_string(),
                expected: format!("a day after a reference of {ROWS_MIN} payments and more"),
            });
        }
        for change in std::mem::take(&mut self.to_come) {
            let Some(deed) = Deed::new(change, &self.counts) else {
                return Err(ReplayError::Asked {
                    option: "--inject",
                    found: format!("{} where payments have one channel or none", change.word()),
                    expected: "a feed whose payments come by two channels at least".to_owned(),
                });
            };
            let mut world = self.base.clone();
            world.deed = deed;
            world.log.tells_of(change, deed.said());
            self.changed.push(world);
        }
        Ok(())
    }

    fn too_short(&self) -> ReplayError {
        let days = self.begun.zip(self.base.newest);
        let days = days.map_or_else(
            || "no day watched".to_owned(),
            |(begun, last)| format!("days {} to {last}", begun.first),
        );
        let needed = self.terms.reference_days + 3;
        ReplayError::Asked {
            option: "--data",
            found: format!("{} payments of {days}", self.base.log.payments()),
            expected: format!(
                "{needed} days and more: one that does not count, those of the reference, one to \
                 judge and a payment after it, {ROWS_MIN} payments on either side"
            ),
        }
    }
}

/// One course of things: who encodes, scores and watches the payments of it.
#[derive(Clone)]
struct World {
    deed: Deed,
    encoder: FeatureEncoder,
    watching: Watching,
    scorer: Option<Arc<Scorer>>,
    has_labels: bool,
    /// Scored frauds, by when they become known.
    untold: BTreeMap<i64, Vec<Scored>>,
    newest: Option<i32>,
    /// What a model is to be made of.
    rows: Option<Rows>,
    log: Log,
}

impl World {
    fn new(terms: &Terms, schema: &FeatureSchema) -> Self {
        let watching = Watching::new(terms.settings, schema.clone());
        Self {
            deed: Deed::Nothing,
            encoder: FeatureEncoder::new(schema.clone(), RiskSettings::default()),
            watching: watching.with_reference_days(terms.reference_days),
            scorer: None,
            has_labels: terms.has_labels,
            untold: BTreeMap::new(),
            newest: None,
            rows: None,
            log: Log::default(),
        }
    }

    fn install(&mut self, scorer: &Arc<Scorer>) {
        self.watching.install(Arc::clone(scorer));
        self.scorer = Some(Arc::clone(scorer));
    }

    /// Takes in a payment of before the days that are watched.
    fn remember(&mut self, row: &Row) {
        history::encode(&mut self.encoder, row);
    }

    /// Takes in a payment, changed where it is of the day of the change or later.
    fn take(&mut self, row: &Row, change_day: i32) {
        if row.transaction.day() < change_day {
            self.pay(row);
        } else if let Some(row) = self.deed.done_to(row) {
            self.pay(&row);
        }
    }

    fn pay(&mut self, row: &Row) {
        let payment = &row.transaction;
        let (day, ts) = (payment.day(), payment.ts);
        let vector = history::encode(&mut self.encoder, row).0;
        if let Some(rows) = &mut self.rows {
            rows.push(&vector, row);
        }
        let scored = self.scored(payment, &vector);
        // Of what was not declined a word of genuine changes nothing.
        if let Some((scored, label)) = scored.zip(row.label.as_ref().filter(|label| label.fraud)) {
            let untold = self.untold.entry(label.known_at).or_default();
            untold.push(scored);
        }
        let seen = Seen {
            day,
            vector: &vector,
            // One model throughout is no reason for another reference.
            model: None,
            filled: Filled::of(payment),
        };
        let evaluation = self.watching.pay(seen, scored);
        self.log.count();
        let before = self.newest;
        self.newest = before.max(Some(day));
        if let Some(before) = before.filter(|before| *before < day) {
            self.tell((before, day), ts, evaluation);
        }
    }

    /// Nothing is declined: these payments went through.
    fn scored(&self, payment: &Transaction, vector: &[f32]) -> Option<Scored> {
        let scores = self.scorer.as_ref()?.score(vector).ok()?;
        Some(Scored {
            sequence: self.log.payments(),
            day: payment.day(),
            card: card(payment),
            probability: scores.first()?.probability,
            was_declined: false,
        })
    }

    /// The last day is over.
    fn end(&mut self) {
        let Some(last) = self.newest else { return };
        let next = last.saturating_add(1);
        let evaluation = self.watching.end();
        self.tell((last, next), i64::from(next) * DAY_MS - 1, evaluation);
    }

    /// Notes what a day that is over led to on the next one, and measures what became known by
    /// then. Live that is done once an hour: the days measured are the same all day.
    fn tell(&mut self, (over, today): (i32, i32), now_ms: i64, evaluation: Option<Evaluation>) {
        let mut evaluations: Vec<Evaluation> = evaluation.into_iter().collect();
        while let Some(known) = self.untold.first_entry().filter(|of| *of.key() <= now_ms) {
            let (known_at, frauds) = known.remove_entry();
            let report = Report {
                known_at,
                fraud: true,
            };
            for scored in frauds {
                self.watching.label(scored, report);
            }
        }
        // Without a word of anybody every score would be a false alarm.
        if self.has_labels && self.scorer.is_some() {
            let (measures, evaluation) = self.watching.measure();
            self.log.measured(over, &measures);
            evaluations.extend(evaluation);
        }
        self.log.evaluated((over, today), &evaluations);
    }
}

/// Why a replay cannot be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReplayError {
    /// What was asked for does not fit the feed.
    #[error("{option}: found {found}, expected {expected}")]
    Asked {
        option: &'static str,
        found: String,
        expected: String,
    },
    /// No model can be made of the payments.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// Days from the first that can be judged until a change, where nobody names its day.
const QUIET_DAYS: i32 = 7;

const DAY_MS: i64 = 86_400_000;
