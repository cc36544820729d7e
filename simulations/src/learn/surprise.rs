//! Scores without labels: how surprising a payment is to the pretrained encoder, field group by
//! field group, and beside it the one-line rule that any bank could write.
//!
//! Energies drift with the season, so each is held against the bank's own last seven days
//! (learning.md §3d): `surprise = (median - energy) / deviation`, no label needed.

use features::FeatureSchema;
use model::{Calibration, NetworkSize, Scorer};

use super::Failed;
use super::book::Judged;
use super::measures::median;
use super::setting::RATIO;

/// Days that an energy is held against.
pub(super) const TRAILING_DAYS: i32 = 7;

/// The learnt score of `judged`, whose rows are among `rows`, which hold the days before too. It
/// is the surprise of the amount, the group that deviates most in fraud.
pub(super) fn scores(
    schema: &FeatureSchema,
    parameters: &[f32],
    rows: &Judged,
    judged: &Judged,
) -> Result<Vec<f32>, Failed> {
    let size = NetworkSize::default();
    let scorer = Scorer::new(schema, size, parameters, Calibration::default())?;
    let mut energies = Vec::with_capacity(rows.len());
    for row in rows.values.chunks_exact(schema.len()) {
        let groups = scorer.energies(row)?;
        energies.push(groups.first().map_or(0.0, |(_, energy)| *energy));
    }
    let first = |wanted: i32| rows.cards.partition_point(|(day, _)| *day < wanted);
    let mut scores = Vec::with_capacity(judged.len());
    let mut usual = (i32::MIN, Usual::default());
    for (place, (day, _)) in judged.at.iter().zip(&judged.cards) {
        if usual.0 != *day {
            let trailing = first(day - TRAILING_DAYS)..first(*day);
            usual = (*day, Usual::new(&energies[trailing]));
        }
        let at = rows.at.binary_search(place);
        let energy = at
            .map(|at| energies[at])
            .map_err(|_| "a judged row was not encoded")?;
        scores.push((usual.1.median - energy) / usual.1.deviation);
    }
    Ok(scores)
}

/// The plain rule: the amount over the card's median, as a logarithm.
pub(super) fn ratios(schema: &FeatureSchema, rows: &Judged) -> Result<Vec<f32>, Failed> {
    let column = schema
        .position(RATIO)
        .ok_or_else(|| format!("the schema has no column {RATIO}"))?;
    let rows = rows.values.chunks_exact(schema.len());
    Ok(rows.map(|row| row[column]).collect())
}

/// What energies were of late.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Usual {
    median: f32,
    deviation: f32,
}

impl Default for Usual {
    fn default() -> Self {
        Self {
            median: 0.0,
            deviation: 1.0,
        }
    }
}

impl Usual {
    fn new(energies: &[f32]) -> Self {
        let Some(median) = median(energies) else {
            return Self::default();
        };
        let count = energies.len() as f64;
        let mean = energies.iter().map(|e| f64::from(*e)).sum::<f64>() / count;
        let square = |e: &f32| (f64::from(*e) - mean).powi(2);
        let deviation = (energies.iter().map(square).sum::<f64>() / count).sqrt() as f32;
        Self {
            median,
            deviation: deviation.max(DEVIATION_MIN),
        }
    }
}

const DEVIATION_MIN: f32 = 1e-3;

#[cfg(test)]
mod tests {
    use super::*;

    // Median of 1 2 3 6 is 2.5; mean 3, deviation sqrt((4 + 1 + 0 + 9) / 4).
    #[test]
    fn usual_is_the_median_and_the_deviation() {
        let usual = Usual::new(&[3.0, 1.0, 6.0, 2.0]);
        assert_eq!(usual.median, 2.5);
        assert!((usual.deviation - 3.5_f32.sqrt()).abs() < 1e-6);
        assert_eq!(Usual::new(&[]), Usual::default());
    }
}
