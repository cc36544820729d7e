//! Scores without labels: how far a payment's energies lie below what was usual in the bank's last
//! seven whole days, in standard deviations. Energies drift with the season, so nothing is
//! normalised once and for all (learning.md §3d). Energies come from `scorer.rs`; what a fresh
//! model is given of the last days is in `surprise/recent.rs`.

use std::borrow::Cow;

mod days;
mod recent;

pub use recent::Recent;

use days::Days;

/// What a model's energies were of late, one field group beside the other. It goes with that model:
/// the energies of another one lie elsewhere.
#[derive(Clone, Debug)]
pub struct Usual {
    groups: usize,
    /// One tally for each group.
    days: Days<Vec<Tally>>,
    /// What is usual for one day, kept until a payment enters one of the days before it.
    prepared: Option<(i32, Vec<Option<Normal>>)>,
}

/// Energies of one group, counted. Sums are exact; the median comes from the bins.
#[derive(Clone, Debug)]
struct Tally {
    count: u64,
    sum: f64,
    squares: f64,
    bins: Vec<u32>,
}

/// Where the energies of one group lie.
#[derive(Clone, Copy, Debug)]
struct Normal {
    median: f64,
    deviation: f64,
}

impl Usual {
    /// Whole days that an energy is held against: those before its own.
    pub const DAYS: i32 = days::DAYS;

    /// Knows nothing yet of `groups` field groups.
    pub fn new(groups: usize) -> Self {
        Self {
            groups,
            days: Days::new(),
            prepared: None,
        }
    }

    /// How surprising energies of a payment of `day` are, group by group:
    /// `(median - energy) / deviation` over the days before. Nothing while those hold fewer than
    /// 100 payments, or where an energy is not finite.
    pub fn surprises(&self, day: i32, energies: &[f32]) -> Vec<Option<f32>> {
        let normals = match &self.prepared {
            Some((of, normals)) if *of == day => Cow::Borrowed(normals.as_slice()),
            Some(_) | None => Cow::Owned(self.compute(day)),
        };
        normals
            .iter()
            .zip(energies)
            .map(|(normal, energy)| normal.and_then(|normal| normal.surprise(*energy)))
            .collect()
    }

    /// Computes what is usual for `day` once for all its payments.
    pub fn prepare(&mut self, day: i32) {
        if self.prepared.as_ref().is_none_or(|(of, _)| *of != day) {
            self.prepared = Some((day, self.compute(day)));
        }
    }

    /// Enters a payment's energies, which stand for those of `payments` like it; one that is not
    /// finite is left out.
    pub fn remember(&mut self, day: i32, payments: u32, energies: &[f32]) {
        let tallies = self.days.of(day, || vec![Tally::new(); self.groups]);
        for (tally, energy) in tallies.iter_mut().zip(energies) {
            tally.add(*energy, payments);
        }
        let prepared = self.prepared.as_ref();
        if prepared.is_some_and(|(of, _)| days::is_before(day, *of)) {
            self.prepared = None;
        }
    }

    fn compute(&self, day: i32) -> Vec<Option<Normal>> {
        let mut weeks = vec![Tally::new(); self.groups];
        for tallies in self.days.before(day) {
            for (week, tally) in weeks.iter_mut().zip(tallies) {
                week.merge(tally);
            }
        }
        weeks.iter().map(Tally::normal).collect()
    }
}

impl Tally {
    fn new() -> Self {
        Self {
            count: 0,
            sum: 0.0,
            squares: 0.0,
            bins: vec![0; BINS],
        }
    }

    fn add(&mut self, energy: f32, payments: u32) {
        if !energy.is_finite() {
            return;
        }
        let (energy, times) = (f64::from(energy), f64::from(payments));
        self.count += u64::from(payments);
        self.sum += times * energy;
        self.squares += times * energy * energy;
        let bin = &mut self.bins[bin_of(energy)];
        *bin = bin.saturating_add(payments);
    }

    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.sum += other.sum;
        self.squares += other.squares;
        for (bin, more) in self.bins.iter_mut().zip(&other.bins) {
            *bin = bin.saturating_add(*more);
        }
    }

    fn normal(&self) -> Option<Normal> {
        if self.count < PAYMENTS_MIN {
            return None;
        }
        let count = self.count as f64;
        let mean = self.sum / count;
        let deviation = (self.squares / count - mean * mean).max(0.0).sqrt();
        // No median is farther from the mean than a deviation: where all energies share a bin,
        // that says more than the bin does.
        let median = self.median()?.clamp(mean - deviation, mean + deviation);
        Some(Normal {
            median,
            deviation: deviation.max(DEVIATION_MIN),
        })
    }

    /// The middle of the counts, as if those of a bin lay evenly in it.
    fn median(&self) -> Option<f64> {
        let half = self.count as f64 / 2.0;
        let mut below = 0.0;
        for (at, count) in self.bins.iter().enumerate() {
            let within = f64::from(*count);
            if within > 0.0 && below + within >= half {
                let (low, high) = (edge_of(at), edge_of(at + 1));
                return Some(low + (high - low) * (half - below) / within);
            }
            below += within;
        }
        None
    }
}

impl Normal {
    fn surprise(self, energy: f32) -> Option<f32> {
        let surprise = ((self.median - f64::from(energy)) / self.deviation) as f32;
        surprise.is_finite().then_some(surprise)
    }
}

fn bin_of(energy: f64) -> usize {
    let at = (energy / UNIT).asinh() * STEPS + MIDDLE;
    // The clamp makes the cast exact.
    at.floor().clamp(0.0, (BINS - 1) as f64) as usize
}

/// Where a bin begins.
fn edge_of(bin: usize) -> f64 {
    ((bin as f64 - MIDDLE) / STEPS).sinh() * UNIT
}

/// Bins of a day and group. Energies have neither a unit nor bounds, so the bins are alike for all
/// models: asinh(energy / [`UNIT`]) in even steps, which is linear around zero and logarithmic far
/// from it. So many bins reach to energies of 140,000 either way; beyond, the outermost counts.
/// They take 16 KiB: with five groups and the sixteen days kept, 1.3 MiB a model.
const BINS: usize = 4_096;
const MIDDLE: f64 = (BINS / 2) as f64;

/// Bins to a factor of e: each is .8 % of its energy wide. Interpolated, the median is off by less
/// than 1 % of a deviation while it lies within 30 deviations of zero, as the test shows; farther
/// out the clamp to the mean holds it.
const STEPS: f64 = 128.0;

/// Around zero a bin is a quarter of [`DEVIATION_MIN`] wide.
const UNIT: f64 = 1.0 / 32.0;

/// Energies that vary less say nothing: noise must not become surprise.
const DEVIATION_MIN: f64 = 1e-3;

/// Payments below which nothing is usual yet: the median of so many lies within an eighth of a
/// deviation of the truth, by one standard error.
const PAYMENTS_MIN: u64 = 100;

#[cfg(test)]
mod tests;
