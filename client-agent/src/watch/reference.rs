//! The payments that others are held against: a sample of some weeks, profiled column by column,
//! and what a model makes of it. When there is a new one is decided in `watch.rs`, which of its
//! days count in `yardstick.rs`.

use std::collections::BTreeMap;
use std::ops::Range;

use features::FeatureSchema;
use model::{ModelError, Recent, Scorer};

use super::alarm::{Figure, Rule};
use super::fields::{self, Fields};
use super::prices::Usually;
use super::sketch::Profile;
use super::yardstick::{self, Yardstick};

/// Rows of payments, and the days that they are from. No `Debug`: rows are payments.
#[derive(Clone)]
pub(super) struct Sample {
    columns: usize,
    days: Vec<i32>,
    values: Vec<f32>,
}

/// What payments were.
#[derive(Clone)]
pub(super) struct Reference {
    days: Range<i32>,
    /// The model that scored last when it was made.
    model: Option<String>,
    sample: Sample,
    columns: Vec<Profile>,
    fields: BTreeMap<i32, Fields>,
    prices: Usually,
}

/// What one model makes of a reference's sample.
#[derive(Clone)]
pub(super) struct Judged {
    logits: Profile,
    /// One profile for each coordinate of the representation.
    places: Vec<Profile>,
}

impl Sample {
    /// The rows kept of these days, but for days that are not wanted and rows with a value that is
    /// not finite, which no model takes.
    pub(super) fn of(
        recent: &Recent,
        days: &Range<i32>,
        columns: usize,
        is_wanted: impl Fn(i32) -> bool,
    ) -> Self {
        let mut sample = Self {
            columns,
            days: Vec::new(),
            values: Vec::new(),
        };
        let of = recent.days().filter(|(day, _)| days.contains(day));
        for (day, rows) in of.filter(|(day, _)| is_wanted(*day)) {
            let rows = rows.chunks_exact(columns);
            for row in rows.filter(|row| row.iter().all(|value| value.is_finite())) {
                sample.days.push(day);
                sample.values.extend_from_slice(row);
            }
        }
        sample
    }

    pub(super) fn len(&self) -> usize {
        self.days.len()
    }

    /// Rows of each day.
    fn counts(&self) -> BTreeMap<i32, f64> {
        let mut counts: BTreeMap<i32, f64> = BTreeMap::new();
        for day in &self.days {
            *counts.entry(*day).or_default() += 1.0;
        }
        counts
    }

    fn column(&self, at: usize) -> Vec<(i32, f32)> {
        let values = self.values.iter().skip(at).step_by(self.columns);
        self.dated(values.copied())
    }

    fn dated(&self, values: impl Iterator<Item = f32>) -> Vec<(i32, f32)> {
        self.days.iter().copied().zip(values).collect()
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
        let fields = of_days(fields, days);
        Self {
            days: days.clone(),
            model,
            columns: (0..columns).map(profile).collect(),
            prices: Usually::new(fields.iter().map(|(day, of)| (*day, of.prices()))),
            fields,
            sample,
        }
    }

    /// First day that is not in it.
    pub(super) fn until(&self) -> i32 {
        self.days.end
    }

    /// Days from its first to its last payment.
    pub(super) fn span(&self) -> i32 {
        let ends = self.sample.days.first().zip(self.sample.days.last());
        ends.map_or(0, |(first, last)| {
            last.saturating_sub(*first).saturating_add(1)
        })
    }

    pub(super) fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// Rows that speak for it on days such as those of `found`; none on a day of the week that it
    /// lacks.
    pub(super) fn rows_for(&self, found: &Sample) -> f64 {
        let yardstick = Yardstick::new(&found.counts(), &self.sample.counts(), None);
        yardstick.map_or(0.0, |yardstick| yardstick.expected)
    }

    /// Whether it has rows of the day of the week that this day is.
    pub(super) fn knows(&self, day: i32) -> bool {
        let is_like = |of: &i32| yardstick::weekday(*of) == yardstick::weekday(day);
        self.sample.days.iter().any(is_like)
    }

    /// By how much the days of a window go back, to be held against what was odd of it then.
    pub(super) fn backs(&self, window: &Range<i32>) -> Vec<Option<i32>> {
        yardstick::backs(window, &self.days)
    }

    /// How far the rows and fields of these days lie from it.
    pub(super) fn figures(
        &self,
        schema: &FeatureSchema,
        found: &Sample,
        (fields, days): (&BTreeMap<i32, Fields>, &Range<i32>),
    ) -> Vec<Figure> {
        let mut fields = of_days(fields, days);
        // As of the rows: a day that has no like would leave all the days without a figure.
        fields.retain(|day, _| self.knows(*day));
        let backs = self.backs(days);
        least(backs.into_iter().map(|back| {
            let mut figures = self.of_rows(schema, found, back);
            let prices = fields.iter().map(|(day, of)| (*day, of.prices()));
            let shift = self.prices.distance(prices, back);
            figures.extend(shift.map(|of| Figure::of(Rule::Amount, AMOUNT, of, of.abs())));
            figures.extend(fields::figures(&self.fields, &fields, back));
            figures
        }))
    }

    fn of_rows(&self, schema: &FeatureSchema, found: &Sample, back: Option<i32>) -> Vec<Figure> {
        let (of_payment, unlisted) = (schema.of_payment(), schema.unlisted());
        let mut figures = Vec::new();
        for (at, column) in schema.columns().iter().enumerate() {
            let Some(distance) = self.columns[at].distance(&found.column(at), back) else {
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
            // The amount's own mean moves with what is bought: `prices.rs` says more.
            if schema.amount() != Some(at) {
                let shift = Figure::of(Rule::Amount, name, distance.shift, distance.shift.abs());
                figures.push(shift.only_told());
            }
            if unlisted.contains(&at) {
                // The mean of a flag is its share.
                let more = distance.mean - distance.expected;
                figures.push(Figure::of(Rule::Unseen, name, distance.mean, more));
            }
        }
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
    /// `backs` is [`Reference::backs`] of their days.
    ///
    /// # Errors
    /// [`ModelError`] where the model refuses a row.
    pub(super) fn figures(
        &self,
        scorer: &Scorer,
        found: &Sample,
        backs: &[Option<i32>],
    ) -> Result<Vec<Figure>, ModelError> {
        let (logits, places) = found.ask(scorer)?;
        let logits = found.dated(logits.into_iter());
        let places = places.into_iter().map(|of| found.dated(of.into_iter()));
        let places: Vec<Vec<(i32, f32)>> = places.collect();
        let figures = |back: &Option<i32>| -> Vec<Figure> {
            let index = self.logits.distance(&logits, *back).map(|of| of.psi);
            let score = index.map(|psi| Figure::of(Rule::Score, "score", psi, psi));
            let drift = self.drift(&places, *back);
            let embedding = drift.map(|of| Figure::of(Rule::Embedding, "embedding", of, of));
            score.into_iter().chain(embedding).collect()
        };
        Ok(least(backs.iter().map(figures)))
    }

    fn drift(&self, places: &[Vec<(i32, f32)>], back: Option<i32>) -> Option<f64> {
        let distances = self.places.iter().zip(places);
        let squares: Vec<f64> = distances
            .filter_map(|(profile, values)| {
                let distance = profile.distance(values, back)?;
                // A coordinate that was dead and woke is far, and not the only one that counts.
                Some(distance.shift.powi(2).min(SQUARE_MAX) - distance.chance)
            })
            .collect();
        let mean = squares.iter().sum::<f64>() / squares.len() as f64;
        (!squares.is_empty()).then(|| mean.max(0.0))
    }
}

/// Of each figure the one that changed least: a day that looks like the reference in one way or the
/// other is a quiet one. All have the same figures in the same order.
fn least(of: impl Iterator<Item = Vec<Figure>>) -> Vec<Figure> {
    let less = |one: Figure, other: Figure| {
        debug_assert_eq!((one.rule, &one.subject), (other.rule, &other.subject));
        match other.change < one.change {
            true => other,
            false => one,
        }
    };
    let both = |one: Vec<Figure>, other: Vec<Figure>| -> Vec<Figure> {
        let both = one.into_iter().zip(other);
        both.map(|(one, other)| less(one, other)).collect()
    };
    of.reduce(both).unwrap_or_default()
}

fn of_days(fields: &BTreeMap<i32, Fields>, days: &Range<i32>) -> BTreeMap<i32, Fields> {
    let of = fields.range(days.clone());
    of.map(|(day, fields)| (*day, fields.clone())).collect()
}

/// What the rule of the amount is told of.
const AMOUNT: &str = "amount";

/// A square of three deviations.
const SQUARE_MAX: f64 = 9.0;
