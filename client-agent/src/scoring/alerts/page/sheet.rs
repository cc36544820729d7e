//! One alert's page: the dossier in words, with the account's scores as a line.

use std::fmt::Write as _;

use askama::Template;
use serde_json::Value;

use super::frame::Frame;
use super::{Line, tone, words};
use crate::scoring::alerts::alert::Verdict;
use crate::scoring::alerts::dossier::{Brief, Case, Dossier, Event, EventKind};
use crate::scoring::answer::{Reason, Surprise};
use crate::scoring::labels::KnownLabel;

#[derive(Template)]
#[template(path = "alert.html")]
pub(super) struct Sheet {
    frame: Frame,
    line: Line,
    txn_id: String,
    paid: String,
    scored: String,
    probability: String,
    reasons: Vec<Why>,
    /// Field groups and how surprising they are.
    surprises: Vec<(String, String)>,
    payments: Vec<Payment>,
    spark: Spark,
    cases: Vec<Likeness>,
    /// By what the decision was made.
    facts: Vec<(&'static str, String)>,
    labels: Vec<Known>,
    history: Vec<Said>,
    next: String,
}

/// A reason, as it was answered.
struct Why {
    text: String,
    code: String,
    observed: String,
    usual: String,
}

/// A payment of the account.
struct Payment {
    /// Empty for the alert itself.
    id: String,
    paid: String,
    amount: String,
    outlet: String,
    score: String,
    tone: &'static str,
    decision: &'static str,
    verdict: &'static str,
}

/// A confirmed case.
struct Likeness {
    payment: Payment,
    /// Class of what it is known as.
    tone: &'static str,
    distance: String,
}

/// A label of the payment.
struct Known {
    id: String,
    verdict: &'static str,
    /// Class of the verdict.
    tone: &'static str,
    is_withdrawn: bool,
    by: String,
    happened: String,
    since: String,
    told: String,
    supersedes: String,
}

/// A line of the history.
struct Said {
    at: String,
    by: String,
    what: String,
    note: String,
}

/// Scores of the account's payments, the oldest first, as a line in a box of [`WIDE`] by [`HIGH`].
#[derive(Default)]
struct Spark {
    /// Empty where there are not two.
    points: String,
    /// Where the alert is; empty where it is not among them.
    x: String,
    y: String,
}

impl Sheet {
    pub(super) fn new(frame: Frame, dossier: &Dossier) -> Self {
        let (alert, answer) = (&dossier.alert, &dossier.answer);
        let reasons: Vec<Reason> = part(answer, "reasons");
        let surprises: Vec<Surprise> = part(answer, "surprise");
        let surprises = surprises.into_iter().map(|surprise| {
            let deviations = format!("{:.2}", surprise.deviations);
            (surprise.group, deviations)
        });
        let here = alert.decision_id.as_str();
        let payments = dossier.payments.iter();
        let probability = answer["probability"].as_f64();
        Self {
            frame,
            line: Line::new(alert),
            txn_id: alert.txn_id.clone(),
            paid: words::time(alert.ts),
            scored: words::time_of(alert.scored_at),
            probability: probability.map_or_else(String::new, |p| format!("{:.1} %", 100.0 * p)),
            reasons: reasons.into_iter().map(Why::new).collect(),
            surprises: surprises.collect(),
            payments: payments.map(|brief| Payment::new(brief, here)).collect(),
            spark: Spark::of(&dossier.payments, here),
            cases: dossier.similar.iter().map(Likeness::new).collect(),
            facts: facts(answer),
            labels: dossier.labels.iter().map(Known::new).collect(),
            history: dossier.history.iter().map(Said::new).collect(),
            next: dossier.next.clone().unwrap_or_default(),
        }
    }
}

/// A list of a stored answer; an empty one where another build wrote it otherwise.
fn part<T: serde::de::DeserializeOwned>(answer: &Value, name: &str) -> Vec<T> {
    serde_json::from_value(answer[name].clone()).unwrap_or_default()
}

/// What an answer says of how it came about. What this build does not know is left out.
fn facts(answer: &Value) -> Vec<(&'static str, String)> {
    let model = &answer["model"];
    let ratio = answer["ratio"].as_f64();
    let digest = |value: &Value| value.as_str().map(words::mask).unwrap_or_default();
    let facts = [
        ("Mode", words::plain(&answer["mode"])),
        ("Model version", words::plain(&model["version"])),
        ("Head", words::plain(&model["head"])),
        ("Parameters", digest(&model["parameters"])),
        ("Feature schema", digest(&model["schema"])),
        ("Policy", words::plain(&answer["policy"])),
        ("Decided by", words::plain(&answer["decision_rule"])),
        ("Degraded", words::plain(&answer["degraded"])),
        ("Label-free score", words::plain(&answer["label_free"])),
        (
            "Amount over the card's median",
            ratio.map_or_else(String::new, |ratio| format!("{ratio:.2} times")),
        ),
        (
            "Risk counts, days old",
            words::plain(&answer["risk_age_days"]),
        ),
        (
            "Own model's probability",
            words::plain(&answer["shadow"]["probability"]),
        ),
    ];
    let told = facts.into_iter().filter(|(_, word)| !word.is_empty());
    told.collect()
}

impl Why {
    fn new(reason: Reason) -> Self {
        Self {
            text: reason.text,
            code: reason.code,
            observed: reason.observed,
            usual: reason.usual.unwrap_or_default(),
        }
    }
}

impl Payment {
    fn new(brief: &Brief, here: &str) -> Self {
        let id = brief.decision_id.clone().unwrap_or_default();
        Self {
            id: if id == here { String::new() } else { id },
            paid: words::time(brief.ts),
            amount: words::amount(brief.amount_minor, &brief.currency),
            outlet: brief.outlet.as_deref().map(words::mask).unwrap_or_default(),
            score: words::score(brief.score),
            tone: tone(brief.decision),
            decision: brief.decision.word(),
            verdict: brief.verdict.map_or("", |verdict| verdict.word()),
        }
    }
}

impl Likeness {
    fn new(case: &Case) -> Self {
        Self {
            payment: Payment::new(&case.brief, ""),
            tone: case.brief.verdict.map_or("calm", tone_of),
            distance: format!("{:.2}", case.distance),
        }
    }
}

impl Known {
    fn new(label: &KnownLabel) -> Self {
        let supersedes = label.supersedes.as_deref();
        Self {
            id: words::mask(&label.label_id),
            verdict: label.verdict.word(),
            tone: tone_of(label.verdict),
            is_withdrawn: label.withdrawn,
            by: label.source.clone(),
            happened: words::time(label.event_at),
            since: words::time(label.known_at),
            told: words::time_of(label.told_at),
            supersedes: supersedes.map(words::mask).unwrap_or_default(),
        }
    }
}

fn tone_of(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Fraud => "bad",
        Verdict::Genuine => "good",
        Verdict::Suspected | Verdict::Unknown => "calm",
    }
}

impl Said {
    fn new(event: &Event) -> Self {
        let verdict = event.verdict.map_or("", |verdict| verdict.word());
        let what = match event.kind {
            EventKind::Label => {
                let known = event.known_at.map(words::time).unwrap_or_default();
                format!("label: {verdict}, known since {known}")
            }
            EventKind::Disposition => format!("said {verdict}"),
            EventKind::Snooze => {
                let until = event.until.map(words::time_of).unwrap_or_default();
                format!("put off until {until}")
            }
        };
        Self {
            at: words::time_of(event.at),
            by: event.by.clone(),
            what,
            note: event.note.clone(),
        }
    }
}

impl Spark {
    /// `payments` come with the newest first.
    fn of(payments: &[Brief], here: &str) -> Self {
        let scored: Vec<(&Brief, u16)> = payments
            .iter()
            .rev()
            .filter_map(|brief| Some((brief, brief.score?)))
            .collect();
        let mut spark = Self::default();
        let [_, .., _] = scored[..] else {
            return spark;
        };
        let step = WIDE / (scored.len() - 1) as f32;
        for (at, (brief, score)) in scored.iter().enumerate() {
            let x = MARGIN + step * at as f32;
            let y = MARGIN + HIGH * (1.0 - f32::from(*score) / 999.0);
            // A text takes every write.
            let _ = write!(spark.points, "{x:.1},{y:.1} ");
            if brief.decision_id.as_deref() == Some(here) {
                (spark.x, spark.y) = (format!("{x:.1}"), format!("{y:.1}"));
            }
        }
        spark
    }
}

/// The box of the line, as `templates/alert.html` has it, without its margin.
const WIDE: f32 = 300.0;
const HIGH: f32 = 40.0;
const MARGIN: f32 = 4.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scoring::decision::Decision;

    fn brief(id: &str, score: Option<u16>) -> Brief {
        Brief {
            decision_id: Some(id.to_owned()),
            txn_id: "t".to_owned(),
            ts: 0,
            amount_minor: 0,
            currency: "EUR".to_owned(),
            outlet: None,
            score,
            decision: Decision::Approve,
            verdict: None,
        }
    }

    #[test]
    fn facts_are_told_where_an_answer_has_them() {
        let told = |answer: Value| -> Vec<(&'static str, String)> { facts(&answer) };
        let found = told(serde_json::json!({ "label_free": 6.5, "ratio": 7.8627, "model": null }));
        let expected = [
            ("Label-free score", "6.5"),
            ("Amount over the card's median", "7.86 times"),
        ];
        assert_eq!(found, expected.map(|(name, word)| (name, word.to_owned())));
        assert!(told(serde_json::json!({ "ratio": null })).is_empty());
    }

    #[test]
    fn scores_run_from_the_oldest_to_the_newest() {
        let payments = [
            brief("d", Some(0)),
            brief("c", None),
            brief("b", Some(999)),
            brief("a", Some(0)),
        ];
        let spark = Spark::of(&payments, "b");
        assert_eq!(spark.points, "4.0,44.0 154.0,4.0 304.0,44.0 ");
        assert_eq!((spark.x.as_str(), spark.y.as_str()), ("154.0", "4.0"));
        assert!(Spark::of(&payments[2..3], "b").points.is_empty());
        assert!(Spark::of(&payments, "c").x.is_empty());
    }
}
