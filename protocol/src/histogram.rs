//! Scores as histograms, and the consortium's measures from their sum: no score leaves a bank,
//! only how many fell into each bin. Bins are uniform over the logit on [-12, 12]; beyond, the
//! outermost bins. With 2,048 of them the measures are within 0.005 of the exact ones; the recall
//! at a budget within the frauds of one bin, and within 0.005 from some 600 frauds on.

use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// Logits beyond this fall into the outermost bins: probabilities below 7e-6 or above 1 - 7e-6.
pub const LOGIT_MAX: f32 = 12.0;

/// Points of a precision-recall curve that are kept.
const POINTS_MAX: usize = 128;

/// Alerts in a thousand transactions for which the recall is told: from what a small team reads to
/// what only machines do.
pub const BUDGETS: [u32; 4] = [1, 2, 5, 10];

/// Probability groups of the calibration error (Guo et al. 2017).
const GROUPS: usize = 15;

/// The bin of a logit, below `bins`. NaN falls into bin 0: a scorer refuses it before.
#[must_use]
pub fn bin(logit: f32, bins: u32) -> u32 {
    let place = (f64::from(logit) + f64::from(LOGIT_MAX)) / width(bins);
    (place as u32).min(bins.saturating_sub(1))
}

/// The logit in the middle of a bin.
#[must_use]
pub fn middle(bin: u32, bins: u32) -> f64 {
    (f64::from(bin) + 0.5) * width(bins) - f64::from(LOGIT_MAX)
}

fn width(bins: u32) -> f64 {
    2.0 * f64::from(LOGIT_MAX) / f64::from(bins.max(1))
}

/// The counts of an evaluation round: genuine per bin, then frauds per bin. The payload that a
/// bank contributes from `(logit, is_fraud)`.
#[must_use]
pub fn counts(scores: impl IntoIterator<Item = (f32, bool)>, bins: u32) -> Vec<u32> {
    let mut counts = vec![0_u32; 2 * bins as usize];
    for (logit, is_fraud) in scores {
        add(&mut counts, logit, is_fraud);
    }
    counts
}

/// Counts one more score in what [`counts`] gives.
pub fn add(counts: &mut [u32], logit: f32, is_fraud: bool) {
    let bins = counts.len() / 2;
    let offset = if is_fraud { bins } else { 0 };
    let place = bin(logit, u32::try_from(bins).unwrap_or(u32::MAX)) as usize;
    if let Some(count) = counts.get_mut(offset + place) {
        *count = count.saturating_add(1);
    }
}

/// How well the consortium's scores separate and say what they mean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measures {
    /// Area under the ROC curve; 0.5 where there are no frauds or nothing else.
    pub auc: f64,
    /// Average precision; 0 where there are no frauds.
    pub average_precision: f64,
    /// Expected calibration error over 15 probability groups; 0 where there is nothing.
    pub calibration_error: f64,
    /// Known frauds judged.
    pub frauds: u64,
    /// Other transactions judged.
    pub genuine: u64,
    /// Share of the frauds among the highest scores, as (alerts in a thousand transactions,
    /// recall), for each of [`BUDGETS`]; nothing where there are no frauds.
    pub recall_at: Vec<(u32, f64)>,
    /// The precision-recall curve as (recall, precision), from the highest scores down.
    pub points: Vec<(f64, f64)>,
}

impl Measures {
    /// The measures of an evaluation round's summed payload: genuine per bin, then frauds per
    /// bin. Negative counts, which no checked sum has, count as none.
    #[must_use]
    pub fn new(payload: &[i32]) -> Self {
        let bins = payload.len() / 2;
        let count = |value: &i32| u64::try_from(*value).unwrap_or(0);
        let genuine = payload[..bins].iter().map(count).collect::<Vec<_>>();
        let frauds = payload[bins..2 * bins]
            .iter()
            .map(count)
            .collect::<Vec<_>>();
        Self {
            auc: auc(&genuine, &frauds),
            average_precision: average_precision(&genuine, &frauds),
            calibration_error: calibration_error(&genuine, &frauds),
            frauds: frauds.iter().sum(),
            genuine: genuine.iter().sum(),
            recall_at: recall_at(&genuine, &frauds),
            points: points(&genuine, &frauds),
        }
    }
}

/// The probability that a fraud scores above a genuine transaction, ties half (Mann and Whitney).
fn auc(genuine: &[u64], frauds: &[u64]) -> f64 {
    let (mut below, mut won) = (0_u64, 0.0);
    for (&genuine, &frauds) in genuine.iter().zip(frauds) {
        won += frauds as f64 * (below as f64 + genuine as f64 / 2.0);
        below += genuine;
    }
    let pairs = below as f64 * frauds.iter().sum::<u64>() as f64;
    if pairs > 0.0 { won / pairs } else { 0.5 }
}

/// The mean over the frauds of the precision at their scores. Within a bin, frauds stand evenly
/// among the genuine, so that the one in the middle has half of both above it.
fn average_precision(genuine: &[u64], frauds: &[u64]) -> f64 {
    let (mut frauds_above, mut genuine_above, mut sum) = (0.0, 0.0, 0.0);
    for (&genuine, &frauds) in genuine.iter().zip(frauds).rev() {
        let (genuine, frauds) = (genuine as f64, frauds as f64);
        let hits = frauds_above + (frauds + 1.0) / 2.0;
        sum += frauds * hits / (hits + genuine_above + genuine / 2.0);
        frauds_above += frauds;
        genuine_above += genuine;
    }
    if frauds_above > 0.0 {
        sum / frauds_above
    } else {
        0.0
    }
}

/// Recall at each budget of alerts. Within a bin, frauds stand evenly among the genuine.
fn recall_at(genuine: &[u64], frauds: &[u64]) -> Vec<(u32, f64)> {
    let all_frauds = frauds.iter().sum::<u64>() as f64;
    let all = genuine.iter().sum::<u64>() as f64 + all_frauds;
    let recall = |&budget: &u32| {
        let mut left = all * f64::from(budget) / 1_000.0;
        let mut caught = 0.0;
        for (&genuine, &frauds) in genuine.iter().zip(frauds).rev() {
            let here = (genuine + frauds) as f64;
            let alerted = left.min(here);
            caught += frauds as f64 * alerted / here.max(1.0);
            left -= alerted;
        }
        (budget, caught / all_frauds)
    };
    let is_judged = all_frauds > 0.0;
    let budgets = BUDGETS.iter().filter(|_| is_judged);
    budgets.map(recall).collect()
}

/// `Σ |expected frauds - frauds| / transactions` over groups of equal probability width.
fn calibration_error(genuine: &[u64], frauds: &[u64]) -> f64 {
    let bins = u32::try_from(genuine.len()).expect("bins are bounded by the plan");
    let mut excess = [0.0; GROUPS];
    let mut total = 0.0;
    for ((bin, &genuine), &frauds) in (0..).zip(genuine).zip(frauds) {
        let probability = 1.0 / (1.0 + (-middle(bin, bins)).exp());
        let group = ((probability * GROUPS as f64) as usize).min(GROUPS - 1);
        let count = (genuine + frauds) as f64;
        excess[group] += probability * count - frauds as f64;
        total += count;
    }
    let error = excess.iter().map(|excess| excess.abs()).sum::<f64>();
    if total > 0.0 { error / total } else { 0.0 }
}

/// The curve at the bins that hold something, thinned to [`POINTS_MAX`] with both ends kept.
fn points(genuine: &[u64], frauds: &[u64]) -> Vec<(f64, f64)> {
    let total = frauds.iter().sum::<u64>();
    if total == 0 {
        return Vec::new();
    }
    let (mut hits, mut alarms) = (0_u64, 0_u64);
    let mut curve = Vec::new();
    for (&genuine, &frauds) in genuine.iter().zip(frauds).rev() {
        if frauds > 0 {
            hits += frauds;
            alarms += frauds + genuine;
            curve.push((hits as f64 / total as f64, hits as f64 / alarms as f64));
        } else {
            alarms += genuine;
        }
    }
    if curve.len() <= POINTS_MAX {
        return curve;
    }
    let last = curve.len() - 1;
    (0..POINTS_MAX)
        .map(|point| curve[point * last / (POINTS_MAX - 1)])
        .collect()
}
