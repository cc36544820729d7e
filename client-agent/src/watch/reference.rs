//! The payments that others are held against: a sample of two weeks, profiled column by column, and
//! what a model makes of it. When there is a new one is decided in `watch.rs`.

use std::collections::BTreeMap;
use std::ops::Range;

use features::FeatureSchema;
use model::{ModelError, Recent, Scorer};

use super::alarm::{Figure, Rule};
use super::fields::{self, Fields};
use super::sketch::{Mix, Profile, WEEK};

/// Rows of payments, and the days of the week that they are from. No `Debug`: rows are payments.
#[derive(Clone)]
pub(super) struct Sample {
    columns: usize,
    weekdays: Vec<usize>,
    values: Vec<f32>,
}

/// What payments were.
#[derive(Clone)]
pub(super) struct Reference {
    /// First day that is not in it.
    until: i32,
    /// The model that scored last when it was made.
    model: Option<String>,
    sample: Sample,
    columns: Vec<Profile>,
    fields: [Fields; WEEK],
}

/// What one model makes of a reference's sample.
#[derive(Clone)]
pub(super) struct Judged {
    logits: Profile,
    /// One profile for each coordinate of the representation.
    places: Vec<Profile>,
}

impl Sample {
    /// The rows kept of these days, but for days of the week that are not wanted and rows with a
    /// value that is not finite, which no model takes.
    pub(super) fn of(
        recent: &Recent,
        days: &Range<i32>,
        columns: usize,
        is_wanted: impl Fn(usize) -> bool,
    ) -> Self {
        let mut sample = Self {
            columns,
            weekdays: Vec::new(),
            values: Vec::new(),
        };
        for (day, rows) in recent.days().filter(|(day, _)| days.contains(day)) {
            let weekday = weekday(day);
            if !is_wanted(weekday) {
                continue;
            }
            let rows = rows.chunks_exact(columns);
            for row in rows.filter(|row| row.iter().all(|value| value.is_finite())) {
                sample.weekdays.push(weekday);
                sample.values.extend_from_slice(row);
            }
        }
        sample
    }

    pub(super) fn len(&self) -> usize {
        self.weekdays.len()
    }

    /// Rows of each day of the week.
    fn counts(&self) -> [f64; WEEK] {
        let mut counts = [0.0; WEEK];
        self.weekdays.iter().for_each(|day| counts[*day] += 1.0);
        counts
    }

    fn column(&self, at: usize) -> Vec<(usize, f32)> {
        let values = self.values.iter().skip(at).step_by(self.columns);
        self.dated(values.copied())
    }

    fn dated(&self, values: impl Iterator<Item = f32>) -> Vec<(usize, f32)> {
        self.weekdays.iter().copied().zip(values).collect()
    }

    /// What a model says of each row: logits, and for each coordinate of the representation one
    /// list.
    fn ask(&self, scorer: &Scorer) -> Result<(Vec<f32>, Vec<Vec<f32>>), ModelError> {
        let scores = scorer.score(&self.values)?;
        let mut places: Vec<Vec<f32>> = Vec::new();
        for row in self.values.chunks_exact(self.columns) {
            let place = scorer.embedding(row)?;
            places.resize(place.len(), Vec::new());
            for (all, value) in places.iter_mut().zip(place) {
                all.push(value);
            }
        }
        Ok((scores.iter().map(|score| score.logit).collect(), places))
    }
}

impl Reference {
    /// A reference of the rows and fields of these days; `model` scored last of them.
    pub(super) fn new(
        (recent, fields): (&Recent, &BTreeMap<i32, Fields>),
        days: &Range<i32>,
        columns: usize,
        model: Option<String>,
    ) -> Self {
        let sample = Sample::of(recent, days, columns, |_| true);
        let profile = |at| Profile::new(&sample.column(at));
        Self {
            until: days.end,
            model,
            columns: (0..columns).map(profile).collect(),
            fields: weekly(fields, days),
            sample,
        }
    }

    pub(super) fn until(&self) -> i32 {
        self.until
    }

    pub(super) fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// Whether it has rows of this day of the week.
    pub(super) fn knows(&self, weekday: usize) -> bool {
        self.sample.counts()[weekday] > 0.0
    }

    /// Rows that speak for it on the days of the week of `found`.
    pub(super) fn rows_for(&self, found: &Sample) -> f64 {
        let mix = Mix::new(found.counts(), self.sample.counts());
        mix.map_or(0.0, |mix| mix.expected)
    }

    /// How far the rows and fields of these days lie from it.
    pub(super) fn figures(
        &self,
        schema: &FeatureSchema,
        found: &Sample,
        (fields, days): (&BTreeMap<i32, Fields>, &Range<i32>),
    ) -> Vec<Figure> {
        let (of_payment, unlisted) = (schema.of_payment(), schema.unlisted());
        let mut figures = Vec::new();
        for (at, column) in schema.columns().iter().enumerate() {
            let Some(distance) = self.columns[at].distance(&found.column(at)) else {
                continue;
            };
            let name = column.name.as_str();
            // What a trend is taken from moves across bins with the trend: its mean says more.
            if !column.detrend {
                let figure = Figure::of(Rule::Feature, name, distance.psi, distance.psi);
                let is_watched = of_payment.contains(&at);
                figures.push(if is_watched {
                    figure
                } else {
                    figure.only_told()
                });
            }
            let shift = Figure::of(Rule::Amount, name, distance.shift, distance.shift.abs());
            let is_amount = schema.amount() == Some(at);
            figures.push(if is_amount { shift } else { shift.only_told() });
            if unlisted.contains(&at) {
                // The mean of a flag is its share.
                let more = distance.mean - distance.expected;
                figures.push(Figure::of(Rule::Unseen, name, distance.mean, more));
            }
        }
        figures.extend(fields::figures(&self.fields, &weekly(fields, days)));
        figures
    }

    /// What a model makes of it.
    ///
    /// # Errors
    /// [`ModelError`] where the model refuses a row.
    pub(super) fn judge(&self, scorer: &Scorer) -> Result<Judged, ModelError> {
        let (logits, places) = self.sample.ask(scorer)?;
        let profile = |values: Vec<f32>| Profile::new(&self.sample.dated(values.into_iter()));
        Ok(Judged {
            logits: profile(logits),
            places: places.into_iter().map(profile).collect(),
        })
    }
}

impl Judged {
    /// How far what the same model makes of other rows lies from it: the index of the scores, and
    /// the mean over the coordinates of the squared shift, less what chance alone makes of that.
    ///
    /// # Errors
    /// [`ModelError`] where the model refuses a row.
    pub(super) fn figures(
        &self,
        scorer: &Scorer,
        found: &Sample,
        expected_rows: f64,
    ) -> Result<Vec<Figure>, ModelError> {
        let (logits, places) = found.ask(scorer)?;
        let mut figures = Vec::new();
        if let Some(distance) = self.logits.distance(&found.dated(logits.into_iter())) {
            figures.push(Figure::of(Rule::Score, "score", distance.psi, distance.psi));
        }
        let shifts: Vec<f64> = self
            .places
            .iter()
            .zip(places)
            .filter_map(|(profile, values)| {
                let distance = profile.distance(&found.dated(values.into_iter()))?;
                // A coordinate that was dead and woke is far, and not the only one that counts.
                Some(distance.shift.powi(2).min(SQUARE_MAX))
            })
            .collect();
        if !shifts.is_empty() {
            let mean = shifts.iter().sum::<f64>() / shifts.len() as f64;
            let chance = 1.0 / expected_rows.max(1.0) + 1.0 / found.len().max(1) as f64;
            let drift = (mean - chance).max(0.0);
            figures.push(Figure::of(Rule::Embedding, "embedding", drift, drift));
        }
        Ok(figures)
    }
}

/// Days of the week from 0 on, whichever of them 1970-01-01 was.
pub(super) fn weekday(day: i32) -> usize {
    // The remainder of a division by 7 lies within 0 to 6.
    day.rem_euclid(7) as usize
}

fn weekly(fields: &BTreeMap<i32, Fields>, days: &Range<i32>) -> [Fields; WEEK] {
    let mut weekly: [Fields; WEEK] = Default::default();
    for (day, of) in fields.range(days.clone()) {
        weekly[weekday(*day)].merge(of);
    }
    weekly
}

/// A square of three deviations.
const SQUARE_MAX: f64 = 9.0;
