//! Figures, the rules they are held against, and alarms with a memory: one rises after two
//! evaluations above its threshold and goes after two below a lower one. Sizes of change alone
//! count, no p-values: of many payments every change is significant, and few matter.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What may be wrong with payments or scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Rule {
    /// A feature's values, or a field's words, are distributed otherwise.
    Feature,
    /// Payments are dearer, or cheaper, than their kinds were.
    Amount,
    /// A field is missing more, or less, often.
    Missing,
    /// More categories are none of the listed ones.
    Unseen,
    /// The scores are distributed otherwise.
    Score,
    /// The encoder places payments elsewhere.
    Embedding,
    /// Fewer or more frauds came than the scores told.
    Calibration,
}

impl Rule {
    /// Every rule.
    pub(super) const ALL: [Self; 7] = [
        Self::Feature,
        Self::Amount,
        Self::Missing,
        Self::Unseen,
        Self::Score,
        Self::Embedding,
        Self::Calibration,
    ];

    /// The word in metrics, log lines and the status.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Feature => "feature",
            Self::Amount => "amount",
            Self::Missing => "missing",
            Self::Unseen => "unseen",
            Self::Score => "score",
            Self::Embedding => "embedding",
            Self::Calibration => "calibration",
        }
    }

    /// From which change on an alarm rises, and below which it goes; docs/watch.md says whence.
    pub(super) fn thresholds(self) -> Thresholds {
        let (raise, clear) = match self {
            Self::Feature => (0.1, 0.05),
            Self::Amount => (0.12, 0.08),
            Self::Missing => (0.1, 0.05),
            Self::Unseen => (0.03, 0.015),
            Self::Score => (0.2, 0.1),
            Self::Embedding => (0.1, 0.05),
            // Twice or half the frauds; one and a half times.
            Self::Calibration => (std::f64::consts::LN_2, 0.405),
        };
        Thresholds { raise, clear }
    }
}

/// Changes at which an alarm turns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Thresholds {
    pub(super) raise: f64,
    pub(super) clear: f64,
}

/// One figure of an evaluation.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Figure {
    pub(super) rule: Rule,
    /// The feature or field; `score` and the like where there is one only.
    pub(super) subject: String,
    /// What is told.
    pub(super) told: f64,
    /// How far that is from the reference: what the rule looks at.
    pub(super) change: f64,
    /// Whether an alarm may come of it.
    pub(super) is_watched: bool,
}

impl Figure {
    /// A figure that is watched.
    pub(super) fn of(rule: Rule, subject: &str, told: f64, change: f64) -> Self {
        Self {
            rule,
            subject: subject.to_owned(),
            told,
            change,
            is_watched: true,
        }
    }

    /// The same figure, which is told and no more.
    pub(super) fn only_told(self) -> Self {
        Self {
            is_watched: false,
            ..self
        }
    }
}

/// An alarm that rose.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Alarm {
    pub(super) rule: Rule,
    pub(super) subject: String,
    /// The change at the last evaluation.
    pub(super) change: f64,
    /// The threshold that it crossed.
    pub(super) threshold: f64,
    /// Day of the evaluation at which it rose, since 1970-01-01 UTC.
    pub(super) since_day: i32,
}

/// What an evaluation led to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Event {
    /// An alarm rose.
    Raised(Alarm),
    /// It went.
    Cleared(Alarm),
}

impl Event {
    pub(super) fn alarm(&self) -> &Alarm {
        match self {
            Self::Raised(alarm) | Self::Cleared(alarm) => alarm,
        }
    }
}

/// All alarms and what leads to them. As many as there are rules and subjects at most.
#[derive(Clone, Debug, Default)]
pub(super) struct Alarms(BTreeMap<(Rule, String), State>);

#[derive(Clone, Debug, Default)]
struct State {
    /// Evaluations in a row that speak for the other state.
    against: u8,
    open: Option<Alarm>,
}

impl Alarms {
    /// Takes in the figures of an evaluation on `day`. A rule without a watched one stays as it is:
    /// figures that are only told do not say that the others could be had. An open alarm that alone
    /// of its rule has none is of a field that nobody fills any more, as nobody did before: nothing
    /// has changed.
    pub(super) fn weigh(&mut self, day: i32, figures: &[Figure]) -> Vec<Event> {
        let watched: Vec<&Figure> = figures.iter().filter(|of| of.is_watched).collect();
        let passed = self.passed(&watched);
        let all = watched.into_iter().chain(&passed);
        all.filter_map(|figure| {
            let key = (figure.rule, figure.subject.clone());
            self.0.entry(key).or_default().weigh(day, figure)
        })
        .collect()
    }

    fn passed(&self, watched: &[&Figure]) -> Vec<Figure> {
        let is_passed = |alarm: &&Alarm| {
            let mut of_rule = watched.iter().filter(|figure| figure.rule == alarm.rule);
            let is_evaluated = of_rule.clone().next().is_some();
            is_evaluated && of_rule.all(|figure| figure.subject != alarm.subject)
        };
        let passed = self.open().filter(is_passed);
        passed
            .map(|alarm| Figure::of(alarm.rule, &alarm.subject, 0.0, 0.0))
            .collect()
    }

    /// Those that rose and have not gone.
    pub(super) fn open(&self) -> impl Iterator<Item = &Alarm> {
        self.0.values().filter_map(|state| state.open.as_ref())
    }
}

impl State {
    fn weigh(&mut self, day: i32, figure: &Figure) -> Option<Event> {
        let Thresholds { raise, clear } = figure.rule.thresholds();
        let is_against = match &mut self.open {
            Some(alarm) => {
                alarm.change = figure.change;
                figure.change < clear
            }
            None => figure.change >= raise,
        };
        self.against = if is_against { self.against + 1 } else { 0 };
        if self.against < IN_A_ROW {
            return None;
        }
        self.against = 0;
        match self.open.take() {
            Some(alarm) => Some(Event::Cleared(alarm)),
            None => {
                let alarm = Alarm {
                    rule: figure.rule,
                    subject: figure.subject.clone(),
                    change: figure.change,
                    threshold: raise,
                    since_day: day,
                };
                self.open = Some(alarm.clone());
                Some(Event::Raised(alarm))
            }
        }
    }
}

/// Evaluations in a row that turn an alarm: one day may be a holiday.
pub(super) const IN_A_ROW: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    /// What an amount's changes lead to, one a day: 1 where the alarm rises, -1 where it goes.
    fn turns(changes: &[f64]) -> Vec<i8> {
        let mut alarms = Alarms::default();
        let turn = |(day, change): (i32, &f64)| {
            let figure = Figure::of(Rule::Amount, "amount", -change, *change);
            match alarms.weigh(day, &[figure]).as_slice() {
                [] => 0,
                [Event::Raised(alarm)] => {
                    assert_eq!((alarm.since_day, alarm.threshold), (day, 0.12));
                    1
                }
                [Event::Cleared(_)] => -1,
                events => panic!("{events:?}"),
            }
        };
        (0..).zip(changes).map(turn).collect()
    }

    #[test]
    fn an_alarm_rises_and_goes_after_two_evaluations() {
        assert_eq!(turns(&[0.2, 0.1, 0.2, 0.13, 0.3]), [0, 0, 0, 1, 0]);
        // Between the thresholds nothing turns, whichever state it is in.
        assert_eq!(turns(&[0.1, 0.1, 0.1]), [0, 0, 0]);
        assert_eq!(
            turns(&[0.2, 0.2, 0.1, 0.07, 0.1, 0.07, 0.01, 0.2]),
            [0, 1, 0, 0, 0, 0, -1, 0]
        );
        assert_eq!(turns(&[f64::NAN, f64::NAN, 0.2]), [0, 0, 0]);
    }

    #[test]
    fn what_is_only_told_raises_nothing_and_what_is_not_told_changes_nothing() {
        let mut alarms = Alarms::default();
        let told = Figure::of(Rule::Feature, "visits", 9.0, 9.0).only_told();
        let watched = Figure::of(Rule::Feature, "night", 0.4, 0.4);
        for day in 0..3 {
            alarms.weigh(day, &[told.clone(), watched.clone()]);
        }
        alarms.weigh(3, &[]);
        let open: Vec<&str> = alarms.open().map(|alarm| alarm.subject.as_str()).collect();
        assert_eq!(open, ["night"]);
        // Nothing that is watched could be had.
        for day in 4..8 {
            assert!(alarms.weigh(day, std::slice::from_ref(&told)).is_empty());
        }
        assert_eq!(alarms.open().count(), 1);
        // The rule was looked at, and the subject is gone.
        let other = Figure::of(Rule::Feature, "channel", 0.0, 0.0);
        for (day, turned) in [(8, 0), (9, 1)] {
            let events = alarms.weigh(day, &[told.clone(), other.clone()]);
            assert_eq!(events.len(), turned, "{events:?}");
        }
        assert_eq!(alarms.open().count(), 0);
    }

    #[test]
    fn an_alarm_goes_below_where_it_rises() {
        for rule in Rule::ALL {
            let Thresholds { raise, clear } = rule.thresholds();
            assert!(clear < raise, "{}", rule.word());
        }
    }
}
