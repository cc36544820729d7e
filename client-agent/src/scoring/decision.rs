//! From a probability to what the bank does: the published score scale and the thresholds.
//! What the model saw is in `reasons.rs`.

use serde::{Deserialize, Serialize};

/// What the bank should do with a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// Probabilities from which a payment is reviewed, and declined.
#[derive(Clone, Copy, Debug)]
pub(super) struct Thresholds {
    pub(super) review_at: f32,
    pub(super) decline_at: f32,
}

impl Thresholds {
    pub(super) fn decide(self, probability: f32) -> Decision {
        if probability >= self.decline_at {
            Decision::Decline
        } else if probability >= self.review_at {
            Decision::Review
        } else {
            Decision::Approve
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

#[cfg(test)]
mod tests {
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
    fn thresholds_belong_to_the_stricter_side() {
        let thresholds = Thresholds {
            review_at: 0.1,
            decline_at: 0.5,
        };
        let decided = [0.0, 0.09, 0.1, 0.49, 0.5, 1.0].map(|p| thresholds.decide(p));
        use Decision::{Approve, Decline, Review};
        assert_eq!(
            decided,
            [Approve, Approve, Review, Review, Decline, Decline]
        );
    }
}
