//! The curves as one HTML file without any outside asset. Every change has a panel, every watched
//! figure a line in it, as a multiple of its rule's threshold, so that one line at 1 is everybody's
//! threshold. The page is `templates/drift.html`; here are places and words.

use askama::Template;

use super::Told;
use super::table::{date, dated, model};
use crate::watch::{Course, Raised, RuleTold, Series};

/// The page of some replays.
///
/// # Errors
/// Where the template cannot be filled.
pub(super) fn page(told: &Told) -> Result<String, askama::Error> {
    let key = |rule: &RuleTold| Key {
        rule: rule.rule,
        color: color(rule.rule),
        raise: format!("{:.3}", rule.raise),
        clear: format!("{:.3}", rule.clear),
    };
    let page = Page {
        told,
        from: dated(told.reference_from_day),
        to: dated(told.reference_to_day - 1),
        model: model(told),
        keys: told.rules.iter().map(key).collect(),
        panels: told.courses.iter().map(|of| panel(told, of)).collect(),
        width: WIDTH,
        height: HEIGHT,
        left: LEFT,
        right: WIDTH - RIGHT,
        top: TOP,
        bottom: BOTTOM,
    };
    page.render()
}

#[derive(Template)]
#[template(path = "drift.html")]
struct Page<'a> {
    told: &'a Told,
    from: String,
    to: String,
    model: String,
    keys: Vec<Key>,
    panels: Vec<Panel>,
    width: f64,
    height: f64,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

struct Key {
    rule: &'static str,
    color: &'static str,
    raise: String,
    clear: String,
}

struct Panel {
    title: String,
    note: String,
    threshold_y: String,
    /// Where the change begins; empty of the feed as it is.
    inject_x: String,
    curves: Vec<Curve>,
    marks: Vec<Mark>,
    days: Vec<Tick>,
    multiples: Vec<Tick>,
    alarms: Vec<Row>,
}

struct Curve {
    color: &'static str,
    /// Whether an alarm of it rose.
    is_raised: bool,
    path: String,
    name: String,
}

struct Mark {
    x: String,
    y: String,
    color: &'static str,
    /// Whether the alarm rose there; it went otherwise.
    is_rise: bool,
    name: String,
}

struct Tick {
    at: String,
    name: String,
}

struct Row {
    rule: &'static str,
    subject: String,
    rose: Stamp,
    after: String,
    change: String,
    /// Nothing of one that is open at the end.
    went: Option<Stamp>,
}

/// A day whose number shows where its date is pointed at: there is no room for both.
struct Stamp {
    day: i32,
    date: String,
}

/// From days and multiples to places.
struct Axes {
    first: i32,
    last: i32,
    top: f64,
}

impl Axes {
    /// A day's value stands at its end: that is when it is known.
    fn of(course: &Course, changes: impl Iterator<Item = f64>) -> Self {
        let first = course.days.first().copied().unwrap_or_default();
        let last = course.days.last().copied().unwrap_or_default();
        Self {
            first,
            last: last.max(first) + 1,
            top: 1.1 * changes.filter(|of| of.is_finite()).fold(1.5, f64::max),
        }
    }

    fn x(&self, day: i32) -> String {
        let through = f64::from(day - self.first) / f64::from(self.last - self.first);
        let through = through.clamp(0.0, 1.0);
        format!("{:.1}", LEFT + through * (WIDTH - RIGHT - LEFT))
    }

    /// Even near 0, by powers above 1: a channel that vanishes is at thirty times its threshold.
    fn y(&self, multiple: f64) -> String {
        let through = multiple.max(0.0).asinh() / self.top.asinh();
        format!("{:.1}", BOTTOM - through.min(1.0) * (BOTTOM - TOP))
    }

    /// Some eight days, and the multiples that there is room for.
    fn ticks(&self) -> (Vec<Tick>, Vec<Tick>) {
        let step = ((self.last - self.first) / 8).max(1);
        let days = (self.first..=self.last).step_by(usize::try_from(step).unwrap_or(1));
        let days = days.map(|day| Tick {
            at: self.x(day),
            name: date(day).chars().skip(5).collect(),
        });
        let multiples = MULTIPLES.into_iter().filter(|of| *of <= self.top);
        let multiples = multiples.map(|of| Tick {
            at: self.y(of),
            name: of.to_string(),
        });
        (days.collect(), multiples.collect())
    }
}

fn panel(told: &Told, course: &Course) -> Panel {
    let raise = |rule: &str| {
        let mut rules = told.rules.iter();
        let found = rules.find(|of| of.rule == rule);
        found.map_or(1.0, |of| of.raise)
    };
    let watched = || course.figures.iter().filter(|series| series.is_watched);
    let multiples = watched().flat_map(|series| {
        let raise = raise(series.rule);
        series.change.iter().flatten().map(move |of| of / raise)
    });
    let axes = Axes::of(course, multiples);
    let rows: Vec<Row> = course.alarms.iter().map(|of| row(course, of)).collect();
    let curve = |series: &Series| Curve {
        color: color(series.rule),
        is_raised: rows
            .iter()
            .any(|row| (row.rule, &row.subject) == (series.rule, &series.subject)),
        path: path(&axes, course, series, raise(series.rule)),
        name: named(series.rule, &series.subject),
    };
    let mut curves: Vec<Curve> = watched().map(curve).collect();
    // What raised an alarm lies above the rest.
    curves.sort_by_key(|curve| curve.is_raised);
    let marks = course.alarms.iter().flat_map(|alarm| {
        let clear = told.rules.iter().find(|of| of.rule == alarm.rule);
        let clear = clear.map_or(0.0, |of| of.clear / of.raise);
        marks(&axes, alarm, clear)
    });
    let (days, ticks) = axes.ticks();
    Panel {
        title: course.inject.word().to_owned(),
        note: note(course),
        threshold_y: axes.y(1.0),
        inject_x: course
            .inject_day
            .map_or_else(String::new, |day| axes.x(day)),
        marks: marks.collect(),
        curves,
        days,
        multiples: ticks,
        alarms: rows,
    }
}

fn note(course: &Course) -> String {
    let said = match (course.inject_day, course.found_after_days) {
        (None, _) if course.alarms.is_empty() => "no alarm rose".to_owned(),
        (None, _) => format!("{} alarms rose", course.alarms.len()),
        (Some(day), None) => format!("from {} on: not found", dated(day)),
        (Some(day), Some(days)) => format!("from {} on: found after {days} days", dated(day)),
    };
    format!("{} payments; {}; {said}", course.payments, course.what)
}

/// A figure's line; it breaks where there was none.
fn path(axes: &Axes, course: &Course, series: &Series, raise: f64) -> String {
    let (mut path, mut is_down) = (String::new(), false);
    for (day, change) in course.days.iter().zip(&series.change) {
        let Some(change) = change.filter(|of| of.is_finite()) else {
            is_down = false;
            continue;
        };
        let letter = if is_down { 'L' } else { 'M' };
        path += &format!("{letter}{} {}", axes.x(day + 1), axes.y(change / raise));
        is_down = true;
    }
    path
}

fn marks(axes: &Axes, alarm: &Raised, clear: f64) -> Vec<Mark> {
    let name = named(alarm.rule, &alarm.subject);
    let mark = |day: i32, multiple: f64, is_rise: bool| Mark {
        x: axes.x(day),
        y: axes.y(multiple),
        color: color(alarm.rule),
        is_rise,
        name: match is_rise {
            true => format!("{name} rose on {}", dated(day)),
            false => format!("{name} went on {}", dated(day)),
        },
    };
    let rose = mark(alarm.raised_day, alarm.change / alarm.threshold, true);
    let went = alarm.cleared_day.map(|day| mark(day, clear, false));
    [Some(rose), went].into_iter().flatten().collect()
}

fn row(course: &Course, alarm: &Raised) -> Row {
    let after = course.inject_day.map(|day| alarm.raised_day - day);
    let after = after.filter(|days| *days > 0);
    Row {
        rule: alarm.rule,
        subject: alarm.subject.clone(),
        rose: stamp(alarm.raised_day),
        after: after.map_or_else(String::new, |days| days.to_string()),
        change: format!("{:.3}", alarm.change),
        went: alarm.cleared_day.map(stamp),
    }
}

fn stamp(day: i32) -> Stamp {
    Stamp {
        day,
        date: date(day),
    }
}

/// A subject that is the only one of its rule has the rule's name.
fn named(rule: &str, subject: &str) -> String {
    match rule == subject {
        true => rule.to_owned(),
        false => format!("{rule} {subject}"),
    }
}

/// Okabe and Ito's palette, told apart by colour-blind readers too, and readable on black and on
/// white.
fn color(rule: &str) -> &'static str {
    match rule {
        "feature" => "#0072b2",
        "amount" => "#e69f00",
        "missing" => "#009e73",
        "unseen" => "#cc79a7",
        "score" => "#56b4e9",
        "embedding" => "#d55e00",
        _ => "#888888",
    }
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 40.0;
const RIGHT: f64 = 26.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 270.0;

const MULTIPLES: [f64; 10] = [0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0];
