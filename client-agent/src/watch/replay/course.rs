//! How one replay went: every figure, day by day, and when alarms rose and went. What a table or a
//! page makes of it is the command's.

use std::collections::BTreeMap;

use serde::Serialize;

use super::super::alarm::{Event, Rule};
use super::super::quality::Measures;
use super::super::watching::Evaluation;
use super::change::{Change, Deed};

/// A replay that is over. Days are days since 1970-01-01 UTC.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Course {
    pub(crate) inject: Change,
    /// The change in words.
    pub(crate) what: String,
    /// First day of the change; nothing of the feed as it is.
    pub(crate) inject_day: Option<i32>,
    /// Payments watched.
    pub(crate) payments: u64,
    /// The last day that each evaluation is about.
    pub(crate) days: Vec<i32>,
    pub(crate) figures: Vec<Series>,
    /// Measures of mature payments, where anybody scored and labelled them.
    pub(crate) mature: Vec<Mature>,
    /// Alarms in the order in which they rose.
    pub(crate) alarms: Vec<Raised>,
    /// Days from the change until the first alarm of a rule and subject of which the feed as it is
    /// raises none between the change and that day.
    pub(crate) found_after_days: Option<i32>,
}

/// A figure, one value for each evaluation; nothing where there was none.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Series {
    pub(crate) rule: &'static str,
    pub(crate) subject: String,
    /// Whether an alarm may come of it.
    pub(crate) is_watched: bool,
    /// What the metrics tell.
    pub(crate) told: Vec<Option<f64>>,
    /// How far that is from the reference: what the rule looks at.
    pub(crate) change: Vec<Option<f64>>,
}

/// Measures of the mature days, seen from the end of one.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Mature {
    pub(crate) day: i32,
    pub(crate) precision_at_budget: Option<f64>,
    pub(crate) card_precision_top_k: Option<f64>,
    pub(crate) calibration_error: Option<f64>,
    pub(crate) calibration_ratio: Option<f64>,
}

/// An alarm that rose.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Raised {
    pub(crate) rule: &'static str,
    pub(crate) subject: String,
    /// The change when it rose.
    pub(crate) change: f64,
    /// The threshold that it crossed.
    pub(crate) threshold: f64,
    /// The day on which the day before was evaluated, and the alarm rose.
    pub(crate) raised_day: i32,
    /// The day on which it went; nothing while it is open.
    pub(crate) cleared_day: Option<i32>,
}

/// A rule and its thresholds.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct RuleTold {
    pub(crate) rule: &'static str,
    /// From this change on an alarm rises, after two evaluations.
    pub(crate) raise: f64,
    /// Below this one it goes.
    pub(crate) clear: f64,
}

/// Every rule.
pub(crate) fn rules() -> [RuleTold; 7] {
    Rule::ALL.map(|rule| {
        let thresholds = rule.thresholds();
        RuleTold {
            rule: rule.word(),
            raise: thresholds.raise,
            clear: thresholds.clear,
        }
    })
}

/// A replay on its way.
#[derive(Clone)]
pub(super) struct Log {
    inject: Change,
    what: String,
    payments: u64,
    days: Vec<i32>,
    figures: BTreeMap<(Rule, String), Values>,
    mature: Vec<Mature>,
    alarms: Vec<Raised>,
}

/// Values of one figure, by the number of the evaluation.
#[derive(Clone, Default)]
struct Values {
    is_watched: bool,
    of: BTreeMap<usize, (f64, f64)>,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            inject: Change::None,
            what: Deed::Nothing.said(),
            payments: 0,
            days: Vec::new(),
            figures: BTreeMap::new(),
            mature: Vec::new(),
            alarms: Vec::new(),
        }
    }
}

impl Log {
    /// From here on it tells of this change.
    pub(super) fn tells_of(&mut self, change: Change, what: String) {
        (self.inject, self.what) = (change, what);
    }

    pub(super) fn count(&mut self) {
        self.payments += 1;
    }

    pub(super) fn payments(&self) -> u64 {
        self.payments
    }

    /// Whether no day was judged.
    pub(super) fn is_empty(&self) -> bool {
        self.days.is_empty()
    }

    /// Notes what a day that is `over` led to on another one, `today`.
    pub(super) fn evaluated(&mut self, (over, today): (i32, i32), evaluations: &[Evaluation]) {
        if evaluations.is_empty() {
            return;
        }
        let at = self.days.len();
        self.days.push(over);
        for figure in evaluations.iter().flat_map(|of| &of.figures) {
            let key = (figure.rule, figure.subject.clone());
            let values = self.figures.entry(key).or_default();
            values.is_watched |= figure.is_watched;
            values.of.insert(at, (figure.told, figure.change));
        }
        for event in evaluations.iter().flat_map(|of| &of.events) {
            self.turned(today, event);
        }
    }

    pub(super) fn measured(&mut self, day: i32, measures: &Measures) {
        let Measures {
            precision_at_budget,
            card_precision,
            calibration_error,
            frauds_ratio,
        } = *measures;
        self.mature.push(Mature {
            day,
            precision_at_budget,
            card_precision_top_k: card_precision,
            calibration_error,
            calibration_ratio: frauds_ratio,
        });
    }

    fn turned(&mut self, today: i32, event: &Event) {
        match event {
            Event::Raised(alarm) => self.alarms.push(Raised {
                rule: alarm.rule.word(),
                subject: alarm.subject.clone(),
                change: alarm.change,
                threshold: alarm.threshold,
                raised_day: today,
                cleared_day: None,
            }),
            Event::Cleared(alarm) => {
                let is_it = |of: &&mut Raised| {
                    of.cleared_day.is_none()
                        && (of.rule, &of.subject) == (alarm.rule.word(), &alarm.subject)
                };
                if let Some(raised) = self.alarms.iter_mut().find(is_it) {
                    raised.cleared_day = Some(today);
                }
            }
        }
    }

    /// The replay that is over, of a change from a day on, beside the alarms of the feed as it is.
    pub(super) fn into_course(self, inject_day: Option<i32>, quiet: &[Raised]) -> Course {
        let count = self.days.len();
        let series = |((rule, subject), values): ((Rule, String), Values)| {
            let all = |of: fn(&(f64, f64)) -> f64| -> Vec<Option<f64>> {
                (0..count).map(|at| values.of.get(&at).map(of)).collect()
            };
            Series {
                rule: rule.word(),
                subject,
                is_watched: values.is_watched,
                told: all(|(told, _)| *told),
                change: all(|(_, change)| *change),
            }
        };
        Course {
            inject: self.inject,
            what: self.what,
            inject_day,
            payments: self.payments,
            days: self.days,
            figures: self.figures.into_iter().map(series).collect(),
            mature: self.mature,
            found_after_days: inject_day.and_then(|day| found_after(day, &self.alarms, quiet)),
            alarms: self.alarms,
        }
    }
}

/// An alarm of the day on which a change begins is about the day before.
fn found_after(since: i32, alarms: &[Raised], quiet: &[Raised]) -> Option<i32> {
    let is_since = |alarm: &&Raised| alarm.raised_day > since;
    let is_new = |alarm: &&Raised| {
        let mut quiet = quiet.iter().filter(is_since);
        // One that the feed raises later, for a reason of its own, takes nothing back.
        !quiet.any(|of| {
            (of.rule, &of.subject) == (alarm.rule, &alarm.subject)
                && of.raised_day <= alarm.raised_day
        })
    };
    let mut found = alarms.iter().filter(is_since).filter(is_new);
    found.next().map(|alarm| alarm.raised_day - since)
}

#[cfg(test)]
mod tests {
    use super::super::super::alarm::{Alarms, Figure};
    use super::*;

    /// The log of a figure's changes, one a day from day 10 on; nothing where it is not told.
    fn log(changes: &[Option<f64>]) -> Log {
        let (mut log, mut alarms) = (Log::default(), Alarms::default());
        for (over, change) in (10..).zip(changes) {
            let told = |change: &f64| Figure::of(Rule::Amount, "amount", -change, *change);
            let mut figures = vec![Figure::of(Rule::Missing, "mcc", 0.5, 0.0)];
            figures.extend(change.as_ref().map(told));
            let events = alarms.weigh(over + 1, &figures);
            let evaluation = Evaluation {
                day: over + 1,
                figures,
                events,
            };
            log.evaluated((over, over + 1), &[evaluation]);
        }
        log
    }

    const HIGH: Option<f64> = Some(0.3);
    const LOW: Option<f64> = Some(0.0);

    #[test]
    fn figures_stand_beside_their_days_and_alarms_have_theirs() {
        let course = log(&[LOW, HIGH, None, HIGH, LOW, LOW]).into_course(Some(11), &[]);
        assert_eq!(course.days, [10, 11, 12, 13, 14, 15]);
        let amount = course
            .figures
            .iter()
            .find(|of| of.rule == "amount")
            .unwrap();
        assert_eq!(amount.change, [LOW, HIGH, None, HIGH, LOW, LOW]);
        assert_eq!(amount.told[1], Some(-0.3));
        assert!(amount.is_watched);
        let [alarm] = course.alarms.as_slice() else {
            panic!("{:?}", course.alarms);
        };
        assert_eq!((alarm.raised_day, alarm.cleared_day), (14, Some(16)));
        assert_eq!(course.found_after_days, Some(3));
    }

    #[test]
    fn what_the_feed_as_it_is_raises_too_finds_no_change() {
        let quiet = log(&[HIGH, HIGH, HIGH, HIGH]).into_course(None, &[]);
        assert_eq!((quiet.alarms.len(), quiet.found_after_days), (1, None));
        let changed = || log(&[HIGH, HIGH, LOW, LOW]);
        let found = |since, alarms: &[Raised]| {
            let course = changed().into_course(Some(since), alarms);
            course.found_after_days
        };
        assert_eq!(found(10, &[]), Some(2));
        assert_eq!(found(10, &quiet.alarms), None);
        // It rose on day 12, at the payments of days 10 and 11.
        assert_eq!(found(12, &[]), None);
        // It is found on day 12, whatever the feed raises from day 13 on.
        let later = log(&[LOW, HIGH, HIGH, LOW]).into_course(None, &[]);
        assert_eq!(later.alarms[0].raised_day, 13);
        assert_eq!(found(10, &later.alarms), Some(2));
        // What the feed raised before the change is nothing that it raises since.
        let early = log(&[HIGH, HIGH, LOW, LOW, LOW]).into_course(None, &[]);
        let late = log(&[LOW, LOW, LOW, LOW, HIGH, HIGH]).into_course(Some(13), &early.alarms);
        assert_eq!(late.found_after_days, Some(3));
    }

    #[test]
    fn every_rule_is_told_with_its_thresholds() {
        let told = rules();
        assert!(told.iter().all(|of| of.raise > of.clear && of.clear > 0.0));
        let amount = told.iter().find(|of| of.rule == "amount").unwrap();
        assert_eq!((amount.raise, amount.clear), (0.12, 0.08));
    }
}
