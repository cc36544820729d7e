//! Watching, step by step: payments, labels and measurings go in, figures and what becomes of
//! alarms come out. There is no clock, no journal and no metric here, so that a bank's past
//! (`replay.rs`) goes the very way that live payments go (`reader.rs`).

use std::sync::Arc;

use features::FeatureSchema;
use model::Scorer;

use super::alarm::{Alarms, Event, Figure, Rule};
use super::quality::{Measures, Quality, Scored, Settings};
use super::{Seen, Watch};
use crate::history::Report;

/// All that is watched of one bank. No `Debug`: rows are payments.
#[derive(Clone)]
pub(super) struct Watching {
    pub(super) watch: Watch,
    quality: Quality,
    alarms: Alarms,
    /// The newest day of a payment.
    newest: i32,
}

/// Figures, and what they led to.
#[derive(Debug)]
pub(super) struct Evaluation {
    /// The day on which it was made, since 1970-01-01 UTC.
    pub(super) day: i32,
    pub(super) figures: Vec<Figure>,
    pub(super) events: Vec<Event>,
}

impl Watching {
    pub(super) fn new(settings: Settings, schema: FeatureSchema) -> Self {
        Self {
            watch: Watch::new(schema),
            quality: Quality::new(settings),
            alarms: Alarms::default(),
            newest: i32::MIN,
        }
    }

    /// The same with a reference of so many days.
    pub(super) fn with_reference_days(self, days: u16) -> Self {
        Self {
            watch: self.watch.with_reference_days(days),
            ..self
        }
    }

    /// Scores are judged by this model from the next evaluation on.
    pub(super) fn install(&mut self, scorer: Arc<Scorer>) {
        self.watch.install(scorer);
    }

    /// Takes in a payment; the first of a later day brings the evaluation of those before.
    pub(super) fn pay(&mut self, seen: Seen<'_>, scored: Option<Scored>) -> Option<Evaluation> {
        self.newest = self.newest.max(seen.day);
        if let Some(scored) = scored {
            self.quality.score(scored);
        }
        let figures = self.watch.see(seen)?;
        Some(self.weigh(self.newest, figures))
    }

    /// Evaluates the days so far, as if a payment of the next one had come.
    pub(super) fn end(&mut self) -> Option<Evaluation> {
        let figures = self.watch.end()?;
        Some(self.weigh(self.newest.saturating_add(1), figures))
    }

    /// Takes in what a payment turned out to be.
    pub(super) fn label(&mut self, of: Scored, report: Report) {
        self.quality.label(of, report);
    }

    /// Measures mature payments; they are evaluated where there are enough of them.
    pub(super) fn measure(&mut self) -> (Measures, Option<Evaluation>) {
        let measures = self.quality.measure();
        let evaluation = measures.frauds_ratio.map(|ratio| {
            let figure = Figure::of(Rule::Calibration, "score", ratio, ratio.ln().abs());
            self.weigh(self.newest, vec![figure])
        });
        (measures, evaluation)
    }

    pub(super) fn alarms(&self) -> &Alarms {
        &self.alarms
    }

    fn weigh(&mut self, day: i32, figures: Vec<Figure>) -> Evaluation {
        let events = self.alarms.weigh(day, &figures);
        Evaluation {
            day,
            figures,
            events,
        }
    }
}
