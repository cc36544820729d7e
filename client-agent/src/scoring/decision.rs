//! What a bank may do with a payment, and the published scale of odds that says how likely fraud
//! is, whatever the model. From which score on the bank does what is in `policy.rs`; what the model
//! saw, in `reasons.rs`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What the bank should do with a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// Let it pass.
    Approve,
    /// Let a person look.
    Review,
    /// Refuse it.
    Decline,
}

impl Decision {
    /// Every decision, the mildest first.
    pub const ALL: [Self; 3] = [Self::Approve, Self::Review, Self::Decline];

    /// The word in answers and metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Review => "review",
            Self::Decline => "decline",
        }
    }
}

/// Where a score lies among the policy's `score_bands`: below `elevated`, from there on, from
/// `review` on, from `decline` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Band {
    /// Below every threshold.
    Low,
    /// Worth a thought; it passes.
    Elevated,
    /// From the threshold on from which a person looks.
    High,
    /// From the threshold on from which it is refused.
    Critical,
}

impl Band {
    /// The word in answers.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Elevated => "elevated",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// The score of a probability on the published scale of odds: 500 stands for odds of 1 to 1,000,
/// and every 40 points double the odds. From 1 to 999, whatever the model.
pub(super) fn score(probability: f32) -> u16 {
    let probability = f64::from(probability);
    let odds = probability / (1.0 - probability);
    let points = 500.0 + 40.0 * (1000.0 * odds).log2();
    // The clamp makes the cast exact, also from the infinities of certain odds.
    points.round().clamp(1.0, 999.0) as u16
}

/// The probability of fraud that a score stands for.
pub(crate) fn probability_at(score: u16) -> f64 {
    let odds = ((f64::from(score) - 500.0) / 40.0).exp2() / 1000.0;
    odds / (1.0 + odds)
}

#[cfg(test)]
mod tests {
    use model::Calibration;

    use super::*;

    // By hand: odds of 12 % are 0.1364, and 500 + 40 log2(136.4) is 783.7; likewise the others.
    #[test]
    fn the_scale_is_the_published_one() {
        let odds = |odds: f64| score((odds / (1.0 + odds)) as f32);
        assert_eq!(odds(0.001), 500);
        assert_eq!(odds(0.002), 540);
        assert_eq!(odds(0.0005), 460);
        assert_eq!([0.12, 0.30, 0.74].map(score), [784, 850, 959]);
        assert_eq!([0.0, 1e-30, 1.0].map(score), [1, 1, 999]);
    }

    #[test]
    fn a_score_stands_for_the_probability_it_was_made_of() {
        for (points, share) in [
            (500, 0.000_999),
            (784, 0.120_6),
            (851, 0.304_6),
            (900, 0.505_9),
        ] {
            assert!((probability_at(points) - share).abs() < 1e-4, "{points}");
            assert_eq!(score(probability_at(points) as f32), points);
        }
    }

    /// Payments with what is true of them: the logit, and whether it is fraud. The shares of fraud
    /// at every logit are those that it says, as evenly as the golden ratio spreads them.
    fn world() -> Vec<(f64, bool)> {
        let count = 200_000;
        let payment = |at: u32| {
            let rank = (f64::from(at) + 0.5) / f64::from(count);
            let logit = 1.5 * (rank / (1.0 - rank)).ln() - 4.0;
            let chance = (f64::from(at) * 0.618_033_988_749_894_9).fract();
            (logit, chance < 1.0 / (1.0 + (-logit).exp()))
        };
        (0..count).map(payment).collect()
    }

    /// What a model says that distorts the truth by an affine map, calibrated on every second
    /// payment as a promotion does it: the scores of the others, and whether each is fraud.
    fn scored(
        slope: f64,
        offset: f64,
        fit: fn(&[f32], &[bool]) -> Calibration,
    ) -> Vec<(u16, bool)> {
        let said = |logit: f64| (slope * logit + offset) as f32;
        let (mut held_out, mut frauds, mut live) = (Vec::new(), Vec::new(), Vec::new());
        for (at, (logit, fraud)) in world().into_iter().enumerate() {
            match at % 2 {
                0 => {
                    held_out.push(said(logit));
                    frauds.push(fraud);
                }
                _ => live.push((said(logit), fraud)),
            }
        }
        let calibration = fit(&held_out, &frauds);
        let score_of = |(logit, fraud)| (score(calibration.probability(logit)), fraud);
        live.into_iter().map(score_of).collect()
    }

    /// The share of fraud from a score on, as it came and as the scores' odds told it.
    fn shares(scored: &[(u16, bool)], scores: std::ops::Range<u16>) -> (f64, f64) {
        let chosen = || scored.iter().filter(|(score, _)| scores.contains(score));
        let count = chosen().count() as f64;
        let came = chosen().filter(|(_, fraud)| *fraud).count() as f64;
        let told: f64 = chosen().map(|(score, _)| probability_at(*score)).sum();
        (came / count, told / count)
    }

    // Two models that shout and whisper: after calibration a threshold means the same for both,
    // what the scale says; before it, something else for each.
    #[test]
    fn a_threshold_keeps_its_meaning_from_one_model_to_the_next() {
        let fit = |logits: &[f32], frauds: &[bool]| Calibration::fit(logits, frauds).unwrap();
        let raw = |_: &[f32], _: &[bool]| Calibration::default();
        for (slope, offset) in [(3.0, 1.0), (0.4, -2.0)] {
            let calibrated = scored(slope, offset, fit);
            for threshold in [700, 784, 850] {
                // 999 stands for all odds above it, so the scale tells a little less than came.
                let (came, told) = shares(&calibrated, threshold..1_000);
                assert!((came / told - 1.0).abs() < 0.05, "{came} {told}");
                // Between a score and twice its odds lies what both of them say.
                let (came, told) = shares(&calibrated, threshold..threshold + 40);
                assert!((came / told - 1.0).abs() < 0.03, "{came} {told}");
                let bounds = probability_at(threshold)..probability_at(threshold + 40);
                assert!(bounds.contains(&came), "{threshold}: {came}");
            }
            let (came, told) = shares(&scored(slope, offset, raw), 784..824);
            assert!((came / told - 1.0).abs() > 0.3, "{came} {told}");
        }
    }
}
