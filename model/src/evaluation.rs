//! How good a ranking is: area under the ROC curve, average precision, and the Handbook's card
//! precision. Whether probabilities are honest is measured in `calibration`.

use std::collections::{BTreeMap, BTreeSet};

/// Probability that a fraud outranks a genuine transaction, ties counting half (midranks).
/// `None` where one of the two is missing or the lengths differ.
pub fn auc(scores: &[f32], labels: &[bool]) -> Option<f64> {
    let order = descending(scores, labels)?;
    let frauds = labels.iter().filter(|fraud| **fraud).count();
    let genuine = labels.len() - frauds;
    if frauds == 0 || genuine == 0 {
        return None;
    }
    let mut won = 0.0;
    let mut frauds_above = 0.0;
    for tie in ties(&order, scores) {
        let here = tie.iter().filter(|&&i| labels[i]).count() as f64;
        won += (tie.len() as f64 - here) * (frauds_above + here / 2.0);
        frauds_above += here;
    }
    Some(won / (frauds as f64 * genuine as f64))
}

/// Sum over thresholds of (recall gained) x precision, no interpolation: scikit-learn's
/// `average_precision_score`. `None` where there is no fraud or the lengths differ.
pub fn average_precision(scores: &[f32], labels: &[bool]) -> Option<f64> {
    let precisions = precisions(scores, labels)?;
    (!precisions.is_empty()).then(|| mean(&precisions))
}

/// How two models rank the same rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranking {
    /// Average precision of the candidate.
    pub candidate: f64,
    /// That of the incumbent.
    pub incumbent: f64,
    /// Standard error of their difference, as if frauds came one by one; not a number with fewer
    /// than two.
    pub error: f64,
}

impl Ranking {
    /// Compares two models' scores. Average precision is the mean, over frauds, of the precision
    /// down to each one's score; so the difference is a mean of paired differences, as
    /// [`is_preferred`] takes one. `None` without a fraud, or where lengths differ.
    pub fn new(candidate: &[f32], incumbent: &[f32], labels: &[bool]) -> Option<Self> {
        let new = precisions(candidate, labels).filter(|of| !of.is_empty())?;
        let old = precisions(incumbent, labels)?;
        let gains: Vec<f64> = new.iter().zip(&old).map(|(new, old)| new - old).collect();
        Some(Self {
            candidate: mean(&new),
            incumbent: mean(&old),
            error: standard_error(&gains),
        })
    }

    /// Whether the candidate ranks better by more than one standard error.
    pub fn is_better(&self) -> bool {
        self.candidate - self.incumbent > self.error
    }
}

/// Whether a candidate's probabilities are better than the incumbent's on the same rows by more
/// than chance explains: the mean of the paired differences of log loss exceeds one standard error
/// of it. Without a fraud and a genuine row, or where lengths differ, the incumbent stays.
pub fn is_preferred(candidate: &[f32], incumbent: &[f32], labels: &[bool]) -> bool {
    let rows = labels.len();
    let both = labels.contains(&true) && labels.contains(&false);
    if !both || candidate.len() != rows || incumbent.len() != rows {
        return false;
    }
    let loss = |probability: f32, fraud: bool| {
        let right = if fraud {
            probability
        } else {
            1.0 - probability
        };
        -f64::from(right).max(PROBABILITY_MIN).ln()
    };
    let pairs = candidate.iter().zip(incumbent).zip(labels);
    let gains: Vec<f64> = pairs
        .map(|((&new, &old), &fraud)| loss(old, fraud) - loss(new, fraud))
        .collect();
    mean(&gains) > standard_error(&gains)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Of the mean of these values.
fn standard_error(values: &[f64]) -> f64 {
    let (count, mean) = (values.len() as f64, mean(values));
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / (count - 1.0) / count).sqrt()
}

/// Floor of a probability under a logarithm: one row cannot decide by itself.
const PROBABILITY_MIN: f64 = 1e-6;

/// One scored transaction of a day, for [`card_precision_at`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CardScore {
    /// Day of the transaction; only order and equality matter.
    pub day: i32,
    /// Its card.
    pub card: u32,
    /// Its score, higher is more suspicious.
    pub score: f32,
    /// Whether it was fraud.
    pub fraud: bool,
}

/// Card precision at `k`, as the Fraud Detection Handbook computes it (`card_precision_top_k`):
/// each day the cards are ranked by their highest score; the share of the first `k` that had a
/// fraud that day counts, and those cards are left out of later days; the mean of all days.
/// Cards with equal scores rank by number. `None` without rows or with `k` = 0.
pub fn card_precision_at(k: usize, rows: &[CardScore]) -> Option<f64> {
    let mut days: BTreeMap<i32, BTreeMap<u32, (f32, bool)>> = BTreeMap::new();
    for row in rows {
        let card = days.entry(row.day).or_default().entry(row.card);
        let best = card.or_insert((f32::NEG_INFINITY, false));
        *best = (best.0.max(row.score), best.1 || row.fraud);
    }
    if days.is_empty() || k == 0 {
        return None;
    }
    let mut detected = BTreeSet::new();
    let mut total = 0.0;
    for cards in days.values() {
        let mut ranked: Vec<(u32, f32, bool)> = cards
            .iter()
            .filter(|(card, _)| !detected.contains(*card))
            .map(|(&card, &(score, fraud))| (card, score, fraud))
            .collect();
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let caught: Vec<u32> = ranked
            .iter()
            .take(k)
            .filter(|card| card.2)
            .map(|card| card.0)
            .collect();
        total += caught.len() as f64 / k as f64;
        detected.extend(caught);
    }
    Some(total / days.len() as f64)
}

/// For each fraud, in the order of rows, the share of frauds among the rows that score at least as
/// high; `None` where scores and labels are not equally many.
fn precisions(scores: &[f32], labels: &[bool]) -> Option<Vec<f64>> {
    let order = descending(scores, labels)?;
    let mut down_to = vec![0.0; scores.len()];
    let (mut seen, mut caught) = (0.0, 0.0);
    for tie in ties(&order, scores) {
        seen += tie.len() as f64;
        caught += tie.iter().filter(|&&i| labels[i]).count() as f64;
        tie.iter().for_each(|&i| down_to[i] = caught / seen);
    }
    let rows = down_to.into_iter().zip(labels);
    Some(
        rows.filter_map(|(share, fraud)| fraud.then_some(share))
            .collect(),
    )
}

/// Row numbers by falling score; `None` where scores and labels are not equally many.
fn descending(scores: &[f32], labels: &[bool]) -> Option<Vec<usize>> {
    (scores.len() == labels.len()).then(|| {
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
        order
    })
}

/// Runs of equal scores.
fn ties<'a>(order: &'a [usize], scores: &'a [f32]) -> impl Iterator<Item = &'a [usize]> {
    order.chunk_by(|&a, &b| scores[a] == scores[b])
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    // Python: paired differences of two rows of four are ln(.9/.6) and ln(.8/.5), of the other two
    // ln(.95/.9); mean .2459, standard error .1116.
    #[test]
    fn a_candidate_is_preferred_where_it_is_better_by_more_than_its_standard_error() {
        let labels = [true, true, false, false];
        let (new, old) = ([0.9, 0.8, 0.05, 0.05], [0.6, 0.5, 0.1, 0.1]);
        assert!(is_preferred(&new, &old, &labels));
        assert!(!is_preferred(&old, &new, &labels));
        assert!(!is_preferred(&new, &new, &labels));
        // Much better on one fraud and worse on the other: the mean is above 0, within the error.
        assert!(!is_preferred(&[0.99, 0.4, 0.1, 0.1], &old, &labels));
        assert!(!is_preferred(&new, &old, &[true; 4]));
        assert!(!is_preferred(&new[..3], &old, &labels));
    }

    // By hand: the first three frauds of six rows against ranks four to six, whose precisions are
    // 1/4, 2/5 and 3/6; the gains .75, .6 and .5 have a standard error of .0726. Then one fraud of
    // two falls to the fourth place: gains of 0 and .5 are one standard error.
    #[test]
    fn a_ranking_is_better_where_average_precision_gains_more_than_its_standard_error() {
        let labels = [true, true, true, false, false, false];
        let (new, old) = (
            [6.0, 5.0, 4.0, 3.0, 2.0, 1.0],
            [3.0, 2.0, 1.0, 6.0, 5.0, 4.0],
        );
        let found = Ranking::new(&new, &old, &labels).unwrap();
        assert!((found.candidate - 1.0).abs() < 1e-9, "{found:?}");
        assert!((found.incumbent - 1.15 / 3.0).abs() < 1e-9, "{found:?}");
        assert!((found.error - 0.072_648).abs() < 1e-6, "{found:?}");
        assert!(found.is_better());
        assert!(!Ranking::new(&old, &new, &labels).unwrap().is_better());
        assert!(!Ranking::new(&new, &new, &labels).unwrap().is_better());
        let labels = [true, true, false, false];
        let found = Ranking::new(&[4.0, 3.0, 2.0, 1.0], &[4.0, 1.0, 3.0, 2.0], &labels).unwrap();
        assert_eq!(
            (found.candidate, found.incumbent, found.error),
            (1.0, 0.75, 0.25)
        );
        assert!(!found.is_better());
        // One fraud says nothing of chance.
        let one = Ranking::new(&[2.0, 1.0], &[1.0, 2.0], &[true, false]).unwrap();
        assert!(one.error.is_nan() && !one.is_better());
        assert_eq!(Ranking::new(&new, &old, &[false; 6]), None);
        assert_eq!(Ranking::new(&new[..5], &old, &[true; 6]), None);
    }

    #[derive(Deserialize)]
    struct Fixture {
        name: String,
        scores: Vec<f32>,
        labels: Vec<bool>,
        auc: f64,
        average_precision: f64,
    }

    #[derive(Deserialize)]
    struct CardFixture {
        name: String,
        k: usize,
        days: Vec<i32>,
        cards: Vec<u32>,
        scores: Vec<f32>,
        frauds: Vec<bool>,
        card_precision: f64,
    }

    // Printed by tests-data/evaluation.py with scikit-learn and pandas.
    #[test]
    fn auc_and_average_precision_equal_scikit_learn() {
        let fixtures: Vec<Fixture> =
            serde_json::from_str(include_str!("../tests-data/ranking.json")).unwrap();
        assert!(fixtures.len() >= 4);
        for f in fixtures {
            let (a, p) = (
                auc(&f.scores, &f.labels),
                average_precision(&f.scores, &f.labels),
            );
            assert!(
                (a.unwrap() - f.auc).abs() < 1e-9,
                "{}: {a:?} {}",
                f.name,
                f.auc
            );
            assert!(
                (p.unwrap() - f.average_precision).abs() < 1e-9,
                "{}: {p:?}",
                f.name
            );
        }
    }

    #[test]
    fn card_precision_equals_the_handbook() {
        let fixtures: Vec<CardFixture> =
            serde_json::from_str(include_str!("../tests-data/cards.json")).unwrap();
        assert!(fixtures.len() >= 2);
        for f in fixtures {
            let rows: Vec<CardScore> = (0..f.days.len())
                .map(|i| CardScore {
                    day: f.days[i],
                    card: f.cards[i],
                    score: f.scores[i],
                    fraud: f.frauds[i],
                })
                .collect();
            let found = card_precision_at(f.k, &rows).unwrap();
            assert!(
                (found - f.card_precision).abs() < 1e-9,
                "{}: {found}",
                f.name
            );
        }
    }

    #[test]
    fn a_class_that_is_missing_gives_no_figure() {
        assert_eq!(auc(&[0.1, 0.2], &[true, true]), None);
        assert_eq!(average_precision(&[0.1], &[false]), None);
        assert_eq!(auc(&[0.1], &[true, false]), None);
        assert_eq!(card_precision_at(100, &[]), None);
    }

    #[test]
    fn all_scores_equal_is_chance() {
        let labels = [true, false, false, false];
        assert_eq!(auc(&[0.5; 4], &labels), Some(0.5));
        assert_eq!(average_precision(&[0.5; 4], &labels), Some(0.25));
    }
}
