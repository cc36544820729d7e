//! `policy.toml`: the form of a policy on disk, and what cannot be, by the key. Every error names
//! the key, what was found and what was expected; the shipped sample is `ops/config/policy.toml`.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;

use crypto::sha256;
use features::Rail;
use host::config::ConfigError;
use serde::Deserialize;
use serde::de::IntoDeserializer as _;
use serde::de::value::{Error as WordError, StrDeserializer};

use super::breaker::Terms;
use super::{Cuts, Explain, Policy, PolicyName, Threshold};
use crate::scoring::decision::Decision;
use crate::scoring::surprise::{DEVIATIONS_MIN, TOLD_MAX};

impl Policy {
    /// Reads a policy file.
    ///
    /// # Errors
    /// [`ConfigError`], which names file and key, what was found and what was expected.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Read {
            path: path.to_owned(),
            error,
        })?;
        Self::parse(&text, path)
    }

    /// Reads the text of a policy; `path` is for error texts alone.
    ///
    /// # Errors
    /// [`ConfigError`], likewise.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let raw: Raw = toml::from_str(text).map_err(|error| ConfigError::Parse {
            path: path.to_owned(),
            error: Box::new(error),
        })?;
        let sha256 = sha256(&[text.as_bytes()]).to_hex();
        raw.policy(sha256).map_err(|fault| ConfigError::Value {
            key: format!("{}: {}", path.display(), fault.key),
            found: fault.found,
            expected: fault.expected,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    version: String,
    score_bands: RawBands,
    #[serde(default)]
    segments: BTreeMap<String, RawSegment>,
    explain: RawExplain,
    fallback: RawFallback,
    label_free: Option<RawLabelFree>,
    breaker: Option<RawBreaker>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBands {
    elevated: i64,
    review: i64,
    decline: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSegment {
    review: Option<i64>,
    decline: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawExplain {
    min_score: i64,
    max_reasons: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFallback {
    decision: Mild,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLabelFree {
    review_from: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBreaker {
    max_decline_rate: f64,
    window_minutes: i64,
    min_decisions: i64,
    then: Mild,
}

/// Without a model, and while declines are not trusted, nothing is declined.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mild {
    Approve,
    Review,
}

impl From<Mild> for Decision {
    fn from(mild: Mild) -> Self {
        match mild {
            Mild::Approve => Self::Approve,
            Mild::Review => Self::Review,
        }
    }
}

/// A value that cannot be.
struct Fault {
    key: String,
    found: String,
    expected: String,
}

impl Fault {
    fn new(key: &str, found: impl ToString, expected: impl Into<String>) -> Self {
        Self {
            key: key.to_owned(),
            found: found.to_string(),
            expected: expected.into(),
        }
    }
}

impl Raw {
    fn policy(self, sha256: String) -> Result<Policy, Fault> {
        let bands = &self.score_bands;
        let elevated = score("score_bands.elevated", bands.elevated)?;
        let cuts = Cuts::new(
            threshold("score_bands.review", bands.review)?,
            threshold("score_bands.decline", bands.decline)?,
        )?;
        if elevated > cuts.review.score {
            let expected = format!("at most score_bands.review {}", cuts.review.score);
            return Err(Fault::new("score_bands.elevated", elevated, expected));
        }
        let mut segments = BTreeMap::new();
        for (name, raw) in &self.segments {
            let rail = rail(name)?;
            segments.insert(rail, raw.cuts(name, &cuts)?);
        }
        let reasons = 1..=TOLD_MAX as i64;
        let explain = Explain {
            min_score: score("explain.min_score", self.explain.min_score)?,
            max_reasons: number("explain.max_reasons", self.explain.max_reasons, reasons)?,
        };
        Ok(Policy {
            name: PolicyName {
                version: version(self.version)?,
                sha256,
            },
            elevated,
            cuts,
            segments,
            explain,
            fallback: self.fallback.decision.into(),
            label_free: self.label_free.map(|raw| raw.mark()).transpose()?,
            breaker: self.breaker.map(|raw| raw.terms()).transpose()?,
        })
    }
}

impl Cuts {
    fn new(review: Threshold, decline: Threshold) -> Result<Self, Fault> {
        if decline.score < review.score {
            let expected = format!("at least {} {}", review.key, review.score);
            return Err(Fault::new(&decline.key, decline.score, expected));
        }
        Ok(Self { review, decline })
    }
}

impl RawSegment {
    /// The rail's own thresholds, and the common one where it has none.
    fn cuts(&self, name: &str, common: &Cuts) -> Result<Cuts, Fault> {
        let key = |word: &str| format!("segments.{name}.{word}");
        let own = |word, value: Option<i64>, common: &Threshold| match value {
            Some(value) => threshold(&key(word), value),
            None => Ok(common.clone()),
        };
        if self.review.is_none() && self.decline.is_none() {
            let segment = format!("segments.{name}");
            return Err(Fault::new(&segment, "nothing", "review, decline or both"));
        }
        Cuts::new(
            own("review", self.review, &common.review)?,
            own("decline", self.decline, &common.decline)?,
        )
    }
}

impl RawLabelFree {
    /// From where on surprises are reasons, so that whoever looks is told why.
    fn mark(&self) -> Result<f32, Fault> {
        let mark = self.review_from as f32;
        if (DEVIATIONS_MIN..=DEVIATIONS_MAX).contains(&mark) {
            return Ok(mark);
        }
        let expected = format!("deviations from {DEVIATIONS_MIN} to {DEVIATIONS_MAX}");
        Err(Fault::new(
            "label_free.review_from",
            self.review_from,
            expected,
        ))
    }
}

impl RawBreaker {
    fn terms(&self) -> Result<Terms, Fault> {
        let rate = self.max_decline_rate;
        if !(rate > 0.0 && rate < 1.0) {
            let expected = "a share above 0 and below 1";
            return Err(Fault::new("breaker.max_decline_rate", rate, expected));
        }
        let minutes = 1..=WINDOW_MINUTES_MAX;
        let decisions = 1..=DECISIONS_MAX;
        Ok(Terms {
            max_decline_rate: rate,
            window_minutes: number("breaker.window_minutes", self.window_minutes, minutes)?,
            min_decisions: number("breaker.min_decisions", self.min_decisions, decisions)?,
            then: self.then.into(),
        })
    }
}

/// A score of the published scale, or one above every score.
fn score(key: &str, value: i64) -> Result<u16, Fault> {
    let expected = "a score from 1 to 999, or 1000 for never";
    let score = u16::try_from(value)
        .ok()
        .filter(|s| (1..=1_000).contains(s));
    score.ok_or_else(|| Fault::new(key, value, expected))
}

fn threshold(key: &str, value: i64) -> Result<Threshold, Fault> {
    Ok(Threshold {
        score: score(key, value)?,
        key: key.to_owned(),
    })
}

fn number<T: TryFrom<i64>>(key: &str, value: i64, range: RangeInclusive<i64>) -> Result<T, Fault> {
    let expected = || format!("a number from {} to {}", range.start(), range.end());
    let number = T::try_from(value).ok().filter(|_| range.contains(&value));
    number.ok_or_else(|| Fault::new(key, value, expected()))
}

/// The rail that a segment's name names; a word of no rail is a mistake, and not `other`.
fn rail(name: &str) -> Result<Rail, Fault> {
    let key = format!("segments.{name}");
    let Some(word) = name.strip_prefix("rail=") else {
        return Err(Fault::new(&key, name, "rail= and the word of a rail"));
    };
    let read: StrDeserializer<'_, WordError> = word.into_deserializer();
    Rail::deserialize(read).map_err(|error| Fault::new(&key, word, format!("a rail: {error}")))
}

fn version(text: String) -> Result<String, Fault> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if (1..=VERSION_BYTES_MAX).contains(&text.len()) && text.chars().all(is_plain) {
        return Ok(text);
    }
    let expected = format!("1 to {VERSION_BYTES_MAX} letters, digits, dots, dashes and underlines");
    Err(Fault::new("version", text, expected))
}

/// A runaway model shows within minutes; and two windows of the journal are read at the start.
const WINDOW_MINUTES_MAX: i64 = 120;
/// No amount of a person's surprises more, so a higher mark is a slip of the hand.
const DEVIATIONS_MAX: f32 = 1_000.0;
/// More than any bank decides within two hours.
const DECISIONS_MAX: i64 = 1_000_000_000;
/// The version travels in every answer.
const VERSION_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = include_str!("../../../../ops/config/policy.toml");

    fn refused(from: &str, to: &str) -> String {
        assert!(SAMPLE.contains(from), "{from}");
        let changed = SAMPLE.replacen(from, to, 1);
        Policy::parse(&changed, Path::new("policy.toml"))
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn the_shipped_sample_is_a_policy_named_by_its_digest() {
        let policy = Policy::parse(SAMPLE, Path::new("policy.toml")).unwrap();
        assert_eq!(policy.name.version, "2026-11-28.1");
        let digest = sha256(&[SAMPLE.as_bytes()]).to_hex();
        assert_eq!(policy.name.sha256, digest);
        assert_eq!((policy.review_at(), policy.cuts.decline.score), (784, 900));
        assert!(policy.breaker.is_some() && !policy.has_segments());
        assert_eq!(policy.label_free, None);
        assert_eq!(policy.fallback, Decision::Approve);
        let longer = Policy::parse(&format!("{SAMPLE}\n"), Path::new("p")).unwrap();
        assert_ne!(longer.name.sha256, digest);
    }

    #[test]
    fn what_cannot_be_is_named_by_key_found_and_expected() {
        for (from, to, said) in WRONG {
            let error = refused(from, to);
            assert!(error.contains("policy.toml"), "{error}");
            assert!(error.contains(said), "{said}: {error}");
        }
    }

    /// What of the sample is changed, to what, and what is said of it.
    const WRONG: &[(&str, &str, &str)] = &[
        (
            "\"2026-11-28.1\"",
            "\"\"",
            "version: , expected 1 to 64 letters",
        ),
        ("\"2026-11-28.1\"", "\"a b\"", "version: a b, expected"),
        (
            "decline = 900",
            "decline = 700",
            "score_bands.decline: 700, expected at least score_bands.review 784",
        ),
        (
            "decline = 900",
            "decline = 1001",
            "score_bands.decline: 1001, expected a score",
        ),
        (
            "review = 784",
            "review = 0",
            "score_bands.review: 0, expected a score from 1 to 999",
        ),
        (
            "review = 784",
            "review = -99999",
            "score_bands.review: -99999, expected",
        ),
        (
            "elevated = 700",
            "elevated = 800",
            "score_bands.elevated: 800, expected at most score_bands.review 784",
        ),
        (
            "max_reasons = 4",
            "max_reasons = 7",
            "explain.max_reasons: 7, expected a number from 1 to 6",
        ),
        (
            "min_score = 700",
            "min_score = 2000",
            "explain.min_score: 2000, expected",
        ),
        (
            "= 0.02",
            "= 1.0",
            "breaker.max_decline_rate: 1, expected a share",
        ),
        (
            "= 0.02",
            "= nan",
            "breaker.max_decline_rate: NaN, expected a share",
        ),
        (
            "window_minutes = 10",
            "window_minutes = 121",
            "breaker.window_minutes: 121, expected a number from 1 to 120",
        ),
        (
            "min_decisions = 200",
            "min_decisions = 0",
            "breaker.min_decisions: 0, expected",
        ),
        (
            "then = \"review\"",
            "then = \"decline\"",
            "unknown variant `decline`, expected `approve` or `review`",
        ),
        ("review = 784", "reveiw = 784", "reveiw"),
        (
            "[explain]",
            "[label_free]\nreview_from = 2.9\n[explain]",
            "label_free.review_from: 2.9, expected deviations from 3 to 1000",
        ),
        (
            "[explain]",
            "[label_free]\nreview_from = nan\n[explain]",
            "label_free.review_from: NaN, expected deviations",
        ),
        (
            "[explain]",
            "[label_free]\ndecline_from = 9.0\n[explain]",
            "unknown field `decline_from`",
        ),
        (
            "[explain]",
            "[segments.\"rail=sepa\"]\nreview = 800\n[explain]",
            "segments.rail=sepa: sepa, expected a rail: unknown variant",
        ),
        (
            "[explain]",
            "[segments.card]\nreview = 800\n[explain]",
            "segments.card: card, expected rail= and",
        ),
        (
            "[explain]",
            "[segments.\"rail=card\"]\n[explain]",
            "segments.rail=card: nothing, expected review, decline or both",
        ),
        (
            "[explain]",
            "[segments.\"rail=card\"]\ndecline = 700\n[explain]",
            "segments.rail=card.decline: 700, expected at least score_bands.review 784",
        ),
    ];
}
