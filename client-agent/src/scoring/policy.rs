//! The bank's decision policy: from which score on a payment is reviewed or refused, what is said
//! of it, what is decided without a model, and when declines become suspicious themselves. Scores
//! are those of the published scale (`decision.rs`), so a policy outlives the models. A policy is
//! a file with a version (`policy/file.rs`); nothing here changes while the agent runs. What counts
//! declines is `policy/breaker.rs`.

use std::collections::BTreeMap;

use features::Rail;
use serde::Serialize;
use utoipa::ToSchema;

use super::decision::{Band, Decision};

mod breaker;
mod file;

pub(super) use breaker::{Breaker, Past, Reading};

use breaker::Terms;

/// A policy that passed the checks of its file.
#[derive(Clone, Debug)]
pub struct Policy {
    name: PolicyName,
    /// Score from which a payment that passes is called elevated.
    elevated: u16,
    cuts: Cuts,
    /// Thresholds of rails that have their own.
    segments: BTreeMap<Rail, Cuts>,
    explain: Explain,
    /// The decision where no model gives a score.
    fallback: Decision,
    /// Deviations from which a person looks all the same; nothing where surprise decides nothing.
    label_free: Option<f32>,
    breaker: Option<Terms>,
}

/// A decision policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct PolicyName {
    /// The bank's own name for it, told in every answer.
    #[schema(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._-]+$")]
    pub(super) version: String,
    /// SHA-256 of the policy file.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub(super) sha256: String,
}

/// The scores at which a decision changes, `review` at most `decline`.
#[derive(Clone, Debug)]
struct Cuts {
    review: Threshold,
    decline: Threshold,
}

/// A score, and the key of the file that gave it.
#[derive(Clone, Debug)]
struct Threshold {
    score: u16,
    key: String,
}

#[derive(Clone, Copy, Debug)]
struct Explain {
    /// Score from which an answer carries reasons.
    min_score: u16,
    max_reasons: u8,
}

/// What the policy makes of a score.
pub(super) struct Verdict {
    pub(super) decision: Decision,
    pub(super) band: Option<Band>,
    /// What in the policy decided.
    pub(super) rule: String,
    /// Whether surprise alone decided, without a score.
    pub(super) is_label_free: bool,
}

impl Policy {
    /// Which policy it is.
    pub(super) fn name(&self) -> &PolicyName {
        &self.name
    }

    /// Decides on a payment of `rail`: by its score, or without one as [`Self::judge_unscored`].
    pub(super) fn judge(&self, rail: Rail, score: Option<u16>, label_free: Option<f32>) -> Verdict {
        let Some(score) = score else {
            return self.judge_unscored(label_free);
        };
        let Cuts { review, decline } = self.segments.get(&rail).unwrap_or(&self.cuts);
        let (decision, band, cut, sign) = if score >= decline.score {
            (Decision::Decline, Band::Critical, decline, ">=")
        } else if score >= review.score {
            (Decision::Review, Band::High, review, ">=")
        } else if score >= self.elevated {
            (Decision::Approve, Band::Elevated, review, "<")
        } else {
            (Decision::Approve, Band::Low, review, "<")
        };
        Verdict {
            decision,
            band: Some(band),
            rule: format!("policy:{}{sign}{}", cut.key, cut.score),
            is_label_free: false,
        }
    }

    /// By surprise where that reaches the bank's mark, which declines nothing; else as the fallback
    /// says.
    fn judge_unscored(&self, label_free: Option<f32>) -> Verdict {
        let reached = self.label_free.zip(label_free);
        let reached = reached.filter(|(mark, found)| found >= mark);
        let (decision, rule) = match reached {
            Some((mark, _)) => (
                Decision::Review,
                format!("policy:label_free.review_from>={mark}"),
            ),
            None => (self.fallback, "policy:fallback.decision".to_owned()),
        };
        Verdict {
            decision,
            band: None,
            rule,
            is_label_free: reached.is_some(),
        }
    }

    /// Whether an answer with this score says why.
    pub(super) fn is_explained(&self, score: Option<u16>) -> bool {
        score.is_some_and(|score| score >= self.explain.min_score)
    }

    /// Reasons that an answer has at most.
    pub(super) fn reasons_max(&self) -> usize {
        usize::from(self.explain.max_reasons)
    }

    /// When declines are held back; nothing where they never are.
    pub(super) fn breaker(&self) -> Option<Terms> {
        self.breaker
    }

    /// The score from which a person looks at a payment, where its rail has no threshold of its
    /// own.
    pub(crate) fn review_at(&self) -> u16 {
        self.cuts.review.score
    }

    /// Whether some rail has thresholds of its own.
    pub(crate) fn has_segments(&self) -> bool {
        !self.segments.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::policy;
    use super::*;

    #[test]
    fn thresholds_belong_to_the_stricter_side_and_name_their_key() {
        let policy = policy(&[(
            "[explain]",
            "[segments.\"rail=sct_inst\"]\nreview = 820\n[explain]",
        )]);
        let said = |rail, score| {
            let verdict = policy.judge(rail, Some(score), Some(9.0));
            (verdict.decision, verdict.band.unwrap(), verdict.rule)
        };
        use {Band::*, Decision::*};
        for (rail, score, decision, band, rule) in [
            (Rail::Card, 1, Approve, Low, "score_bands.review<899"),
            (Rail::Card, 771, Approve, Low, "score_bands.review<899"),
            (Rail::Card, 772, Approve, Elevated, "score_bands.review<899"),
            (Rail::Card, 898, Approve, Elevated, "score_bands.review<899"),
            (Rail::Card, 899, Review, High, "score_bands.review>=899"),
            (Rail::Card, 998, Review, High, "score_bands.review>=899"),
            (
                Rail::Card,
                999,
                Decline,
                Critical,
                "score_bands.decline>=999",
            ),
            (
                Rail::SctInst,
                819,
                Approve,
                Elevated,
                "segments.rail=sct_inst.review<820",
            ),
            (
                Rail::SctInst,
                820,
                Review,
                High,
                "segments.rail=sct_inst.review>=820",
            ),
            (
                Rail::SctInst,
                999,
                Decline,
                Critical,
                "score_bands.decline>=999",
            ),
        ] {
            assert_eq!(
                said(rail, score),
                (decision, band, format!("policy:{rule}"))
            );
        }
    }

    #[test]
    fn without_a_score_the_fallback_decides_and_no_band_is_told() {
        for label_free in [None, Some(1_000.0)] {
            let verdict = policy(&[]).judge(Rail::Card, None, label_free);
            assert_eq!((verdict.decision, verdict.band), (Decision::Review, None));
            assert_eq!(verdict.rule, "policy:fallback.decision");
            assert!(!verdict.is_label_free);
        }
        assert!(!policy(&[]).is_explained(None));
    }

    #[test]
    fn surprise_asks_for_a_person_where_no_score_does() {
        let policy = policy(&[
            ("[explain]", "[label_free]\nreview_from = 6.5\n[explain]"),
            ("decision = \"review\"", "decision = \"approve\""),
        ]);
        let said = |score, label_free| {
            let verdict = policy.judge(Rail::Card, score, label_free);
            assert!(!verdict.is_label_free || verdict.rule.contains("label_free"));
            (verdict.decision, verdict.rule)
        };
        let fallback = || (Decision::Approve, "policy:fallback.decision".to_owned());
        let mark = "policy:label_free.review_from>=6.5";
        assert_eq!(said(None, None), fallback());
        assert_eq!(said(None, Some(6.49)), fallback());
        for found in [6.5, 1e9] {
            assert_eq!(said(None, Some(found)), (Decision::Review, mark.to_owned()));
        }
        // A score speaks for itself, however the payment surprises.
        let (decision, rule) = said(Some(1), Some(1e9));
        assert_eq!(decision, Decision::Approve);
        assert_eq!(rule, "policy:score_bands.review<899");
    }
}
