//! How well one setting ranked the judged days: per bank, all payments together, and the mean and
//! the worst of the banks. A bank decides at the threshold that did best on its own validation
//! slice; F1 is of those decisions.

use model::evaluation::{CardScore, auc, average_precision, card_precision_at};
use serde::{Deserialize, Serialize};

use super::book::Judged;

/// What came of one setting in one week.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Outcome {
    /// All banks' payments together.
    pub(super) all: Measures,
    /// Each bank's.
    pub(super) banks: Vec<BankOutcome>,
    /// Recall and precision of all payments, from the highest score down.
    pub(super) curve: Vec<(f64, f64)>,
    /// Training loss round by round, where there were rounds together.
    pub(super) losses: Vec<f32>,
    /// The root that names the model's parameters, where one model scored for all banks.
    #[serde(default)]
    pub(super) model: Option<String>,
}

/// One bank's part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct BankOutcome {
    /// Its number, from 0.
    pub(super) bank: u16,
    /// Judged payments.
    pub(super) payments: u64,
    /// Frauds among them.
    pub(super) frauds: u64,
    /// Its measures.
    pub(super) measures: Measures,
}

/// Measures of a ranking; none where they are not defined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Measures {
    /// Area under the ROC curve.
    pub(super) auc: Option<f64>,
    /// Average precision.
    pub(super) ap: Option<f64>,
    /// Card precision at 100, mean of the days.
    pub(super) cp100: Option<f64>,
    /// F1 at the bank's threshold; over all payments, the mean of the banks.
    pub(super) f1: Option<f64>,
}

/// One bank's scores of the judged days.
pub(super) struct Scored<'a> {
    pub(super) bank: u16,
    pub(super) rows: &'a Judged,
    pub(super) scores: Vec<f32>,
    /// From where on it decides fraud; none where nothing says where.
    pub(super) threshold: Option<f32>,
}

impl Outcome {
    /// Measures what the banks scored.
    pub(super) fn new(scored: &[Scored<'_>], losses: Vec<f32>) -> Self {
        let banks: Vec<BankOutcome> = scored.iter().map(BankOutcome::new).collect();
        let scores: Vec<f32> = scored.iter().flat_map(|of| of.scores.clone()).collect();
        let frauds: Vec<bool> = scored
            .iter()
            .flat_map(|of| of.rows.frauds.clone())
            .collect();
        let cards: Vec<CardScore> = scored.iter().flat_map(cards).collect();
        let all = Measures {
            f1: mean(banks.iter().filter_map(|bank| bank.measures.f1)),
            ..Measures::new(&scores, &frauds, &cards)
        };
        Self {
            all,
            banks,
            curve: curve(&scores, &frauds),
            losses,
            model: None,
        }
    }

    /// The measures of a table's row, by name.
    pub(super) fn measures(&self) -> [Option<f64>; 6] {
        let of_banks = || self.banks.iter().filter_map(|bank| bank.measures.ap);
        let worst = of_banks().reduce(f64::min);
        let Measures { auc, ap, cp100, f1 } = self.all;
        [auc, ap, cp100, mean(of_banks()), worst, f1]
    }
}

/// Names of [`Outcome::measures`], in their order.
pub(crate) const NAMES: [&str; 6] = ["auc", "ap", "cp100", "bank_mean_ap", "worst_bank_ap", "f1"];

impl BankOutcome {
    fn new(scored: &Scored<'_>) -> Self {
        let frauds = &scored.rows.frauds;
        let decide = |threshold: f32| f1(&scored.scores, frauds, threshold);
        Self {
            bank: scored.bank,
            payments: scored.rows.len() as u64,
            frauds: frauds.iter().filter(|fraud| **fraud).count() as u64,
            measures: Measures {
                f1: scored.threshold.and_then(decide),
                ..Measures::new(&scored.scores, frauds, &cards(scored))
            },
        }
    }
}

impl Measures {
    fn new(scores: &[f32], frauds: &[bool], cards: &[CardScore]) -> Self {
        let is_judged = frauds.contains(&true);
        Self {
            auc: auc(scores, frauds),
            ap: average_precision(scores, frauds),
            cp100: card_precision_at(100, cards).filter(|_| is_judged),
            f1: None,
        }
    }
}

fn cards(scored: &Scored<'_>) -> Vec<CardScore> {
    let rows = scored.rows.cards.iter().zip(&scored.scores);
    rows.zip(&scored.rows.frauds)
        .map(|((&(day, card), &score), &fraud)| CardScore {
            day,
            card,
            score,
            fraud,
        })
        .collect()
}

/// F1 of deciding fraud from `threshold` on; none where there is no fraud to find.
pub(super) fn f1(scores: &[f32], frauds: &[bool], threshold: f32) -> Option<f64> {
    let (mut hits, mut alarms, mut all) = (0_u64, 0_u64, 0_u64);
    for (score, fraud) in scores.iter().zip(frauds) {
        let is_alarm = *score >= threshold;
        alarms += u64::from(is_alarm);
        all += u64::from(*fraud);
        hits += u64::from(is_alarm && *fraud);
    }
    (all > 0).then(|| 2.0 * hits as f64 / (alarms + all) as f64)
}

/// The threshold of the best F1 on a validation slice; where the slice has no fraud, even odds: a
/// logit of 0. A slice holds a handful of frauds, and the best cut between its scores is a matter
/// of luck: so each score counts on both sides of a threshold, by how far from it it lies.
pub(super) fn threshold(scores: &[f32], frauds: &[bool]) -> f32 {
    let all = frauds.iter().filter(|fraud| **fraud).count() as f64;
    let smoothed = |threshold: f32| {
        let (mut hits, mut alarms) = (0.0, 0.0);
        for (score, fraud) in scores.iter().zip(frauds) {
            let above = 1.0 / (1.0 + f64::from((threshold - score) / BLUR).exp());
            alarms += above;
            hits += if *fraud { above } else { 0.0 };
        }
        2.0 * hits / (alarms + all)
    };
    let mut best = (0.0, 0.0);
    if all > 0.0 {
        for step in -100_i16..=100 {
            let at = f32::from(step) / 10.0;
            let f1 = smoothed(at);
            if f1 > best.0 {
                best = (f1, at);
            }
        }
    }
    best.1
}

/// The middle one of several thresholds.
pub(super) fn median(values: &[f32]) -> Option<f32> {
    let mut values = values.to_vec();
    values.sort_by(f32::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        count if count.is_multiple_of(2) => Some(f32::midpoint(values[middle - 1], values[middle])),
        _ => Some(values[middle]),
    }
}

/// Recall and precision at every fraud, thinned to [`POINTS`].
fn curve(scores: &[f32], frauds: &[bool]) -> Vec<(f64, f64)> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    let all = frauds.iter().filter(|fraud| **fraud).count();
    let ranks = (1..).zip(order).filter(|(_, at)| frauds[*at]);
    let point = |(found, (rank, _)): (u32, (u32, usize))| {
        let found = f64::from(found);
        (found / all as f64, found / f64::from(rank))
    };
    let points: Vec<(f64, f64)> = (1..).zip(ranks).map(point).collect();
    let step = points.len().div_ceil(POINTS).max(1);
    points.into_iter().step_by(step).collect()
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

const POINTS: usize = 200;

/// How wide a threshold is, in logits.
const BLUR: f32 = 0.5;

#[cfg(test)]
mod tests {
    use super::*;

    // Scores 5 4 3 2 1 with frauds at 5 and 3: cutting after 3 finds both with three alarms,
    // F1 = 2·2/(3+2) = 0.8; after 5, F1 = 2/(1+2). The smoothed F1 has its peak at 2.3.
    #[test]
    fn a_threshold_is_where_f1_is_best() {
        let (scores, frauds) = ([5.0, 4.0, 3.0, 2.0, 1.0], [true, false, true, false, false]);
        let found = threshold(&scores, &frauds);
        assert_eq!(found, 2.3);
        assert_eq!(f1(&scores, &frauds, found), Some(0.8));
        assert_eq!(threshold(&scores, &[false; 5]), 0.0);
        assert_eq!(f1(&scores, &[false; 5], 2.5), None);
    }

    // Frauds at 4 and .55, of which the second is just above a crowd of genuine payments: between
    // them a cut finds both without a false alarm, which the next slice will not repeat.
    #[test]
    fn a_cut_that_only_luck_makes_good_is_not_taken() {
        let mut scores = vec![4.0, 0.55];
        scores.resize(22, 0.5);
        scores.resize(72, -3.0);
        let frauds: Vec<bool> = (0..scores.len()).map(|at| at < 2).collect();
        let lucky = f1(&scores, &frauds, 0.52);
        assert_eq!(lucky, Some(1.0));
        assert_eq!(threshold(&scores, &frauds), 2.8);
    }

    fn rows(frauds: &[bool]) -> Judged {
        Judged {
            values: Vec::new(),
            frauds: frauds.to_vec(),
            cards: (0..).take(frauds.len()).map(|card| (1, card)).collect(),
            at: (0..frauds.len()).collect(),
        }
    }

    #[test]
    fn all_payments_the_mean_and_the_worst_bank_are_told_apart() {
        let (good, bad, quiet) = (
            rows(&[true, false, false]),
            rows(&[false, true, false]),
            rows(&[false, false]),
        );
        let scored = |bank, rows, scores: &[f32]| Scored {
            bank,
            rows,
            scores: scores.to_vec(),
            threshold: Some(2.5),
        };
        let outcome = Outcome::new(
            &[
                scored(0, &good, &[9.0, 2.0, 1.0]),
                scored(1, &bad, &[8.0, 7.0, 1.0]),
                scored(2, &quiet, &[0.0, 0.0]),
            ],
            Vec::new(),
        );
        // Ranks: fraud 9, genuine 8, fraud 7: AP = (1 + 2/3) / 2; F1 = (1 + 2/3) / 2.
        let expected = [11.0 / 12.0, 5.0 / 6.0, 0.75, 0.5, 5.0 / 6.0];
        let [auc, ap, _, mean, worst, f1] = outcome.measures();
        for (found, expected) in [auc, ap, mean, worst, f1].into_iter().zip(expected) {
            let found = found.expect("there are frauds");
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
        assert_eq!(outcome.banks[2].measures, Measures::default());
        assert_eq!(outcome.curve, [(0.5, 1.0), (1.0, 2.0 / 3.0)]);
    }
}
