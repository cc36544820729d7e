//! Rows of the last days, thinned evenly: what a fresh model is shown, so that it knows at once
//! what is usual. What it makes of them is in `surprise.rs`.

use serde::{Deserialize, Serialize};

use crate::scorer::Scorer;

use super::Usual;
use super::days::{DAYS_KEPT, Days};

/// A sample of the rows of the last days. No `Debug`: rows are payments.
#[derive(Clone, Serialize, Deserialize)]
pub struct Recent {
    columns: usize,
    days: Days<Sample>,
}

/// One row of a day in `stride`, the first among them.
#[derive(Clone, Serialize, Deserialize)]
struct Sample {
    seen: u32,
    stride: u32,
    rows: Vec<f32>,
}

impl Recent {
    /// A sample without a row, of rows of `columns` values.
    pub fn new(columns: usize) -> Self {
        Self {
            columns,
            days: Days::new(),
        }
    }

    /// Takes in the row of a payment of `day`.
    pub fn push(&mut self, day: i32, row: &[f32]) {
        self.push_among(DAYS_KEPT, day, row);
    }

    /// The same where rows of so many days are kept, and not of sixteen.
    pub fn push_among(&mut self, days_kept: usize, day: i32, row: &[f32]) {
        debug_assert_eq!(row.len(), self.columns);
        let fresh = || Sample {
            seen: 0,
            stride: 1,
            rows: Vec::new(),
        };
        self.days.of_among(days_kept, day, fresh).push(row);
    }

    /// The rows that are kept of each day, in the order of days: `k * columns` values each.
    pub fn days(&self) -> impl Iterator<Item = (i32, &[f32])> {
        let days = self.days.iter();
        days.map(|(day, sample)| (day, sample.rows.as_slice()))
    }

    /// Enters the sample into what is usual for the model of `scorer`, each row for all that it
    /// stands for. A row that the model refuses is left out, as it is when it comes live.
    pub fn enter(&self, scorer: &Scorer, usual: &mut Usual) {
        for (day, sample) in self.days.iter() {
            for row in sample.rows.chunks_exact(self.columns) {
                if let Ok(energies) = scorer.energies(row) {
                    let energies: Vec<f32> = energies.iter().map(|(_, energy)| *energy).collect();
                    usual.remember(day, sample.stride, &energies);
                }
            }
        }
    }
}

impl Sample {
    fn push(&mut self, row: &[f32]) {
        if self.rows.len() >= ROWS_MAX * row.len() {
            self.thin(row.len());
        }
        if self.seen.is_multiple_of(self.stride) {
            self.rows.extend_from_slice(row);
        }
        self.seen = self.seen.saturating_add(1);
    }

    /// Leaves every second row, which stands for twice as many.
    fn thin(&mut self, columns: usize) {
        let rows = self.rows.chunks_exact(columns).step_by(2);
        self.rows = rows.flatten().copied().collect();
        self.stride = self.stride.saturating_mul(2);
    }
}

/// Rows of a day. Seven days of so many show the median within 2 % of a deviation, by one standard
/// error; sixteen days of 80 columns take 5 MiB, and a model is through with them in a fraction of
/// a second.
const ROWS_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibration::Calibration;
    use crate::network::{NetworkSize, genesis, layout};
    use crate::synthetic;

    /// The first value of every row that is kept of a day, and what each stands for.
    fn kept(recent: &Recent, of: i32) -> (Vec<f32>, u32) {
        let mut days = recent.days.iter().filter(|(day, _)| *day == of);
        let (_, sample) = days.next().unwrap();
        let rows = sample.rows.chunks_exact(recent.columns);
        (rows.map(|row| row[0]).collect(), sample.stride)
    }

    #[test]
    fn a_day_of_many_payments_is_thinned_evenly() {
        let mut recent = Recent::new(2);
        for at in 0..5_000_u16 {
            recent.push(3, &[f32::from(at), 0.0]);
            recent.push(4 + i32::from(at % 2), &[f32::from(at), 0.0]);
        }
        let (rows, stride) = kept(&recent, 3);
        assert_eq!((rows.len(), stride), (625, 8));
        let evenly = (0..625_u16).map(|at| f32::from(8 * at));
        assert!(rows.into_iter().eq(evenly));
        let days: Vec<(i32, usize)> = recent.days().map(|(day, rows)| (day, rows.len())).collect();
        assert_eq!(days, [(3, 1_250), (4, 1_250), (5, 1_250)]);
        let (rows, stride) = kept(&recent, 5);
        assert_eq!((rows.len(), stride), (625, 4));
        assert_eq!(rows[1], 9.0);
    }

    #[test]
    fn as_many_days_are_kept_as_are_asked_for() {
        let mut recent = Recent::new(1);
        (0..50).for_each(|day| recent.push_among(37, day, &[0.0]));
        let days = |recent: &Recent| recent.days().map(|(day, _)| day).collect::<Vec<i32>>();
        assert_eq!(days(&recent), (13..50).collect::<Vec<i32>>());
        let mut recent = Recent::new(1);
        (0..50).for_each(|day| recent.push(day, &[0.0]));
        assert_eq!(days(&recent), (34..50).collect::<Vec<i32>>());
    }

    #[test]
    fn a_model_takes_in_every_row_that_it_can_read() {
        let (schema, size) = (synthetic::schema(), NetworkSize::default());
        let flat = genesis(&layout(&schema, size), 2);
        let scorer = Scorer::new(&schema, size, &flat, Calibration::default()).unwrap();
        let groups = schema.groups().len();
        let (mut usual, mut expected) = (Usual::new(groups), Usual::new(groups));
        let (mut recent, rows) = (Recent::new(schema.len()), synthetic::population(30, 5, 1));
        recent.push(0, &vec![f32::NAN; schema.len()]);
        for (index, day) in (0..rows.len()).zip([0, 1, 2].into_iter().cycle()) {
            recent.push(day, rows.row(index));
            let judged = scorer.judge(rows.row(index)).unwrap();
            expected.remember(day, 1, &judged.energies);
        }
        recent.enter(&scorer, &mut usual);
        let found = usual.surprises(3, &vec![0.0; groups]);
        assert!(found.iter().all(Option::is_some));
        assert_eq!(found, expected.surprises(3, &vec![0.0; groups]));
    }

    #[test]
    fn a_day_of_few_payments_is_kept_whole() {
        let mut recent = Recent::new(1);
        (0..1_024_u16).for_each(|at| recent.push(0, &[f32::from(at)]));
        assert_eq!(kept(&recent, 0).0.len(), ROWS_MAX);
        assert_eq!(kept(&recent, 0).1, 1);
    }
}
