//! The bank's trailing week: means of columns that follow the season, subtracted so that a quiet
//! January does not look like fraud (learning.md, seasonal drop). It uses no labels, streams,
//! and reads only whole days before the payment's day, so a replay gives the same bits.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// Sums by day of the trended columns, and of those that are only counted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Trend {
    width: usize,
    /// In the order of days.
    days: Vec<Day>,
    /// The means of one day, kept until a payment enters an earlier day.
    means: Option<(i32, Vec<f32>)>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Day {
    day: i32,
    counts: Vec<f64>,
    sums: Vec<f64>,
}

impl Trend {
    pub(crate) fn new(width: usize) -> Self {
        Self {
            width,
            days: Vec::new(),
            means: None,
        }
    }

    /// Means over the seven days before `day`. [`PRIOR_WEIGHT`] payments at zero, the schema's
    /// centre, keep a new bank's first days calm.
    pub(crate) fn means(&self, day: i32) -> Cow<'_, [f32]> {
        match &self.means {
            Some((of, means)) if *of == day => Cow::Borrowed(means),
            _ => Cow::Owned(self.compute(day)),
        }
    }

    /// Computes the means of `day` once for all its payments.
    pub(crate) fn prepare(&mut self, day: i32) {
        if self.means.as_ref().is_none_or(|(of, _)| *of != day) {
            self.means = Some((day, self.compute(day)));
        }
    }

    /// The means prepared last.
    pub(crate) fn prepared(&self) -> Option<&[f32]> {
        self.means.as_ref().map(|(_, means)| means.as_slice())
    }

    /// Plain mean of one place's values over the seven days before `day`; nothing while they are
    /// fewer than [`PRIOR_WEIGHT`].
    pub(crate) fn usual(&self, day: i32, place: usize) -> Option<f64> {
        let (mut count, mut sum) = (0.0_f64, 0.0_f64);
        for kept in self.week(day) {
            count += kept.counts.get(place)?;
            sum += kept.sums.get(place)?;
        }
        (count >= PRIOR_WEIGHT).then(|| sum / count)
    }

    /// Enters one payment's values; one that is missing (not a number) is left out.
    pub(crate) fn remember(&mut self, day: i32, values: impl Iterator<Item = f32>) {
        let at = self.days.partition_point(|kept| kept.day < day);
        if self.days.get(at).is_none_or(|kept| kept.day != day) {
            let (counts, sums) = (vec![0.0; self.width], vec![0.0; self.width]);
            self.days.insert(at, Day { day, counts, sums });
        }
        let kept = self.days.get_mut(at).expect("a day was found or made");
        for ((count, sum), value) in kept.counts.iter_mut().zip(&mut kept.sums).zip(values) {
            if value.is_finite() {
                *count += 1.0;
                *sum += f64::from(value);
            }
        }
        if self
            .means
            .as_ref()
            .is_some_and(|(of, _)| day < *of && day >= *of - DAYS)
        {
            self.means = None;
        }
        // The day farthest from this one goes: one wild time costs one day, not the week.
        if self.days.len() > DAYS_KEPT {
            let distance = |at: Option<&Day>| at.map_or(0, |kept| kept.day.abs_diff(day));
            let front = distance(self.days.first()) >= distance(self.days.last());
            self.days
                .remove(if front { 0 } else { self.days.len() - 1 });
        }
    }

    fn compute(&self, day: i32) -> Vec<f32> {
        let mut counts = vec![PRIOR_WEIGHT; self.width];
        let mut sums = vec![0.0; self.width];
        for kept in self.week(day) {
            for (total, count) in counts.iter_mut().zip(&kept.counts) {
                *total += count;
            }
            for (total, sum) in sums.iter_mut().zip(&kept.sums) {
                *total += sum;
            }
        }
        sums.iter()
            .zip(&counts)
            .map(|(sum, count)| (sum / count) as f32)
            .collect()
    }

    fn week(&self, day: i32) -> impl Iterator<Item = &Day> {
        let days = self.days.iter();
        days.filter(move |kept| kept.day < day && kept.day >= day - DAYS)
    }
}

const DAYS: i32 = 7;
const DAYS_KEPT: usize = 16;
const PRIOR_WEIGHT: f64 = 20.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_are_of_the_seven_days_before() {
        let mut trend = Trend::new(1);
        for day in 0..20 {
            for _ in 0..50 {
                trend.remember(day, std::iter::once(day as f32));
            }
        }
        // Days 13 to 19 have mean 16 over 350 payments, beside 20 at zero.
        assert_eq!(trend.means(20).as_ref(), [16.0 * 350.0 / 370.0]);
        assert_eq!(trend.means(100).as_ref(), [0.0]);
        assert_eq!(trend.days.len(), DAYS_KEPT);
    }

    #[test]
    fn what_is_usual_is_the_plain_mean_of_enough_payments() {
        let mut trend = Trend::new(2);
        for at in 0..19 {
            trend.remember(3 + at % 4, [f32::from(u8::from(at < 4)), 7.0].into_iter());
        }
        assert_eq!(trend.usual(7, 0), None);
        trend.remember(6, [1.0, f32::NAN].into_iter());
        assert_eq!(trend.usual(7, 0), Some(0.25));
        // One value of the other place is missing, and days of the week have gone by.
        assert_eq!(
            [trend.usual(7, 1), trend.usual(13, 0), trend.usual(7, 2)],
            [None; 3]
        );
    }

    #[test]
    fn a_late_payment_renews_the_prepared_means() {
        let mut trend = Trend::new(2);
        trend.remember(4, [1.0, f32::NAN].into_iter());
        trend.prepare(5);
        assert_eq!(trend.prepared(), Some([1.0_f32 / 21.0, 0.0].as_slice()));
        trend.remember(3, [1.0, 1.0].into_iter());
        assert_eq!(trend.prepared(), None);
        assert_eq!(trend.means(5).as_ref(), [2.0_f32 / 22.0, 1.0 / 21.0]);
    }
}
