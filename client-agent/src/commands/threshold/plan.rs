//! What a review threshold means, computed from counts alone: alerts a day, the share of frauds
//! among them with its interval, what fraud they catch. Nothing is read here and nothing printed.
//!
//! Alerts are those of the last days. Outcomes are those of mature payments alone, whatever their
//! label: among the young, frauds are labelled before the genuine are, and would make a threshold
//! look better than it is. The scale of odds keeps both comparable, whichever model scored.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::journal::{Cell, Tally};
use crate::scoring::probability_at;

/// What the bank can do, and what it does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// Alerts a day.
    pub(super) budget: u64,
    /// Share of frauds among alerts, by the interval's lower end; 0 asks for nothing.
    pub(super) precision_min: f64,
    /// Days whose alerts are counted.
    pub(super) from_days: u32,
    /// Days after which a payment without a label is genuine.
    pub(super) maturity_days: u32,
    /// The live policy's threshold.
    pub(super) live: u16,
}

/// Thresholds and what they mean.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Plan {
    /// Days whose alerts were counted: those asked for, or fewer where the journal is younger.
    pub(super) days: u32,
    /// Whether some of these days may lack decisions: a clock was behind for a while.
    pub(super) broken_off: bool,
    /// Decisions that no model scored; no threshold catches them.
    pub(super) unscored: u64,
    /// Mature payments, and the frauds among them, with their amount in minor units.
    pub(super) judged: u64,
    pub(super) frauds: u64,
    pub(super) fraud_minor: u64,
    /// The live policy's threshold.
    pub(super) live: u16,
    /// The lowest threshold within the budget that is precise enough.
    pub(super) recommended: Option<u16>,
    /// Every 20 points, half a doubling of the odds, and the two above; ascending.
    pub(super) rows: Vec<Row>,
}

/// What one threshold means.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Row {
    /// Score from which a payment is an alert.
    pub(super) threshold: u16,
    /// Probability of fraud that the score stands for.
    pub(super) probability: f64,
    /// Alerts a day on average.
    pub(super) alerts_mean: f64,
    /// Alerts that 95 of 100 days stay within, by the nearest rank.
    pub(super) alerts_p95: u64,
    /// Mature alerts.
    pub(super) judged: u64,
    /// Frauds among them, and their amount in minor units.
    pub(super) frauds: u64,
    pub(super) fraud_minor: u64,
    /// Share of frauds among the mature alerts; nothing without any.
    pub(super) precision: Option<Precision>,
    /// Share of all scored mature frauds that are among the alerts; nothing without any.
    pub(super) frauds_caught: Option<f64>,
    /// The same by amount.
    pub(super) amount_caught: Option<f64>,
    /// Genuine payments for each fraud among the mature alerts; nothing without frauds.
    pub(super) false_positive_ratio: Option<f64>,
    /// Against the live threshold: alerts a day more or, below zero, fewer.
    pub(super) alerts_change: f64,
    /// Likewise, mature frauds.
    pub(super) frauds_change: i64,
}

/// A share and its interval of 90 %, by Wilson (1927).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Precision {
    pub(super) share: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

/// Counts of all payments at or above a threshold.
#[derive(Clone, Debug)]
struct Above {
    /// By day.
    alerts: Vec<u64>,
    judged: u64,
    frauds: u64,
    fraud_minor: u64,
}

impl Plan {
    /// Computes every threshold; nothing where the counts have no day.
    pub(super) fn compute(tally: &Tally, terms: &Terms) -> Option<Self> {
        let days = terms.from_days.min(tally.days);
        if days == 0 {
            return None;
        }
        let rows = rows(tally, terms, days);
        let all = rows.first()?;
        let is_met = |row: &&Row| {
            let is_precise = row.precision.is_some_and(|p| p.low >= terms.precision_min);
            row.alerts_p95 <= terms.budget && (is_precise || terms.precision_min <= 0.0)
        };
        // Above every score there is nothing to recommend.
        let mut within = rows.iter().take_while(|row| row.threshold < NEVER);
        let recommended = within.find(is_met).map(|row| row.threshold);
        let (judged, frauds, fraud_minor) = (all.judged, all.frauds, all.fraud_minor);
        let is_shown = |row: &Row| {
            let is_on_grid =
                GRID.contains(&row.threshold) && row.threshold.is_multiple_of(GRID_STEP);
            is_on_grid || row.threshold == terms.live || Some(row.threshold) == recommended
        };
        Some(Self {
            days,
            broken_off: tally.broken_off,
            unscored: tally.unscored,
            judged,
            frauds,
            fraud_minor,
            live: terms.live,
            recommended,
            rows: rows.into_iter().filter(is_shown).collect(),
        })
    }
}

/// A row for every score, ascending, and one above them all.
fn rows(tally: &Tally, terms: &Terms, days: u32) -> Vec<Row> {
    let mut cells = BTreeMap::<u16, Vec<&Cell>>::new();
    for cell in &tally.cells {
        cells.entry(cell.score).or_default().push(cell);
    }
    let mut above = Above {
        alerts: vec![0; days as usize],
        judged: 0,
        frauds: 0,
        fraud_minor: 0,
    };
    let mut found: Vec<(u16, Above)> = Vec::with_capacity(usize::from(NEVER));
    for threshold in (1..=NEVER).rev() {
        for cell in cells.get(&threshold).into_iter().flatten() {
            above.add(cell, terms.maturity_days);
        }
        found.push((threshold, above.clone()));
    }
    found.reverse();
    let live = &found[usize::from(terms.live.clamp(1, NEVER)) - 1].1;
    let row = |(threshold, above): &(u16, Above)| above.row(*threshold, live, &found[0].1);
    found.iter().map(row).collect()
}

impl Above {
    fn add(&mut self, cell: &Cell, maturity_days: u32) {
        if let Some(day) = self.alerts.get_mut(cell.day as usize) {
            *day = day.saturating_add(cell.payments);
        }
        if cell.day >= maturity_days {
            self.judged = self.judged.saturating_add(cell.payments);
            self.frauds = self.frauds.saturating_add(cell.frauds);
            self.fraud_minor = self.fraud_minor.saturating_add(cell.fraud_minor);
        }
    }

    fn row(&self, threshold: u16, live: &Self, all: &Self) -> Row {
        let genuine = self.judged.saturating_sub(self.frauds);
        Row {
            threshold,
            probability: probability_at(threshold),
            alerts_mean: self.mean(),
            alerts_p95: self.p95(),
            judged: self.judged,
            frauds: self.frauds,
            fraud_minor: self.fraud_minor,
            precision: Precision::new(self.frauds, self.judged),
            frauds_caught: share(self.frauds, all.frauds),
            amount_caught: share(self.fraud_minor, all.fraud_minor),
            false_positive_ratio: share(genuine, self.frauds),
            alerts_change: self.mean() - live.mean(),
            frauds_change: self.frauds.wrapping_sub(live.frauds).cast_signed(),
        }
    }

    fn mean(&self) -> f64 {
        let all = self.alerts.iter().map(|alerts| *alerts as f64);
        all.sum::<f64>() / self.alerts.len().max(1) as f64
    }

    /// The nearest rank: of 20 days the nineteenth.
    fn p95(&self) -> u64 {
        let mut sorted = self.alerts.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * 95).div_ceil(100);
        sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0)
    }
}

impl Precision {
    fn new(frauds: u64, judged: u64) -> Option<Self> {
        let share = share(frauds, judged)?;
        let (count, square) = (judged as f64, Z * Z);
        let scale = 1.0 + square / count;
        let middle = (share + square / (2.0 * count)) / scale;
        let spread = share * (1.0 - share) / count + square / (4.0 * count * count);
        let half = Z / scale * spread.max(0.0).sqrt();
        Some(Self {
            share,
            low: (middle - half).max(0.0),
            high: (middle + half).min(1.0),
        })
    }
}

/// A part of a whole, or nothing where there is no whole.
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// A threshold that no score reaches.
const NEVER: u16 = 1_000;

/// The thresholds shown.
const GRID: std::ops::RangeInclusive<u16> = 500..=980;
const GRID_STEP: u16 = 20;

/// The normal quantile that leaves 5 % on each side.
const Z: f64 = 1.644_853_626_951_472_2;

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(day: u32, score: u16, payments: u64, frauds: u64) -> Cell {
        Cell {
            day,
            score,
            payments,
            frauds,
            fraud_minor: frauds * 1_000,
        }
    }

    fn tally(days: u32, cells: &[Cell]) -> Tally {
        Tally {
            days,
            decisions: 0,
            broken_off: false,
            unscored: 7,
            cells: cells.to_vec(),
        }
    }

    fn terms() -> Terms {
        Terms {
            budget: 10,
            precision_min: 0.1,
            from_days: 2,
            maturity_days: 2,
            live: 800,
        }
    }

    fn row(plan: &Plan, threshold: u16) -> &Row {
        let found = plan.rows.iter().find(|row| row.threshold == threshold);
        found.unwrap()
    }

    fn is_near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
    }

    // By hand. Alerts of days 0 and 1: at 700 they are 20 + 4 and 10, at 800 4 and 0. Mature are
    // days 2 and 3: 40 payments with 8 frauds at 700 and above, of which 10 with 5 at 800, and 5
    // frauds among 60 below. The interval of 8 in 40 is that of Wilson, from a pocket calculator:
    // (.2 + .0338193 -+ 1.644854 sqrt(.004 + .0004227)) / 1.0676386.
    #[test]
    fn a_rows_figures_are_those_of_the_pocket_calculator() {
        let cells = [
            cell(0, 700, 20, 0),
            cell(0, 810, 4, 3),
            cell(1, 700, 10, 0),
            cell(2, 700, 30, 3),
            cell(3, 810, 10, 5),
            cell(3, 510, 60, 5),
        ];
        let plan = Plan::compute(&tally(4, &cells), &terms()).unwrap();
        assert_eq!((plan.days, plan.unscored), (2, 7));
        assert_eq!(
            (plan.judged, plan.frauds, plan.fraud_minor),
            (100, 13, 13_000)
        );
        let wide = row(&plan, 700);
        assert_eq!((wide.alerts_mean, wide.alerts_p95), (17.0, 24));
        assert_eq!((wide.judged, wide.frauds, wide.fraud_minor), (40, 8, 8_000));
        let precision = wide.precision.unwrap();
        is_near(precision.share, 0.2);
        is_near(precision.low, 0.116_547);
        is_near(precision.high, 0.321_465);
        is_near(wide.frauds_caught.unwrap(), 8.0 / 13.0);
        is_near(wide.amount_caught.unwrap(), 8.0 / 13.0);
        is_near(wide.false_positive_ratio.unwrap(), 4.0);
        assert_eq!((wide.alerts_change, wide.frauds_change), (15.0, 3));
        let live = row(&plan, 800);
        assert_eq!((live.alerts_mean, live.alerts_p95), (2.0, 4));
        assert_eq!((live.alerts_change, live.frauds_change), (0.0, 0));
        is_near(live.precision.unwrap().share, 0.5);
        let strict = row(&plan, 820);
        assert_eq!(
            (strict.precision, strict.false_positive_ratio),
            (None, None)
        );
        assert_eq!((strict.alerts_change, strict.frauds_change), (-2.0, -5));
    }

    // Of the young, only frauds have a label yet: counted, they would make three of four of them.
    #[test]
    fn early_labels_do_not_make_a_threshold_look_better() {
        let cells = [cell(0, 810, 4, 3), cell(2, 810, 20, 2)];
        let plan = Plan::compute(&tally(3, &cells), &terms()).unwrap();
        is_near(row(&plan, 800).precision.unwrap().share, 0.1);
        let naive = Terms {
            maturity_days: 0,
            ..terms()
        };
        let plan = Plan::compute(&tally(3, &cells), &naive).unwrap();
        is_near(row(&plan, 800).precision.unwrap().share, 5.0 / 24.0);
    }

    // At 700 the alerts are 24 on the worse day; from 701 on 4. Of the mature there, 5 of 10 are
    // frauds, at least 27 % by the interval.
    #[test]
    fn the_lowest_threshold_within_the_budget_and_above_the_floor_is_recommended() {
        let cells = [
            cell(0, 700, 20, 0),
            cell(0, 810, 4, 0),
            cell(2, 810, 10, 5),
            cell(2, 750, 90, 0),
        ];
        let said = |budget, precision_min| {
            let terms = Terms {
                budget,
                precision_min,
                ..terms()
            };
            Plan::compute(&tally(3, &cells), &terms)
                .unwrap()
                .recommended
        };
        assert_eq!(said(24, 0.0), Some(1));
        assert_eq!(said(23, 0.0), Some(701));
        assert_eq!(said(23, 0.01), Some(701));
        assert_eq!(said(23, 0.2), Some(751));
        assert_eq!(said(23, 0.9), None);
        assert_eq!(said(3, 0.0), Some(811));
        assert_eq!(said(3, 0.01), None);
    }

    // Of 20 days the nineteenth: one day in twenty may be worse.
    #[test]
    fn the_p95_is_the_nearest_rank() {
        let cells: Vec<Cell> = (0..20)
            .map(|day| cell(day, 900, u64::from(day), 0))
            .collect();
        let terms = Terms {
            from_days: 20,
            ..terms()
        };
        let plan = Plan::compute(&tally(20, &cells), &terms).unwrap();
        assert_eq!(row(&plan, 800).alerts_p95, 18);
        assert_eq!(row(&plan, 800).alerts_mean, 9.5);
    }

    #[test]
    fn quiet_days_and_no_days() {
        let plan = Plan::compute(&tally(2, &[]), &terms()).unwrap();
        assert_eq!(row(&plan, 800).alerts_p95, 0);
        assert_eq!((plan.recommended, row(&plan, 800).precision), (None, None));
        assert_eq!(Plan::compute(&tally(0, &[]), &terms()), None);
    }

    #[test]
    fn counts_beyond_belief_break_nothing() {
        let cells = [
            cell(2, 810, u64::MAX, 1),
            cell(3, 820, u64::MAX, 1),
            cell(9, 0, 1, 9),
        ];
        assert!(Plan::compute(&tally(u32::MAX, &cells), &terms()).is_some());
    }
}
