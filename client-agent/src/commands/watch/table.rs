//! A replay as tables for a terminal: of each rule the figure that changed most, day by day, and
//! when alarms rose and went. Every figure is in the JSON.

use chrono::DateTime;

use super::Told;
use crate::watch::{Course, Raised, Series};

/// All replays in words and numbers.
pub(super) fn table(told: &Told) -> String {
    let last = told.reference_to_day - 1;
    let mut text = format!(
        "feed {}, schema {}, {} rows refused\nreference: days {} to {}\nmodel: {}\n",
        told.feed,
        told.schema_digest,
        told.rejected,
        dated(told.reference_from_day),
        dated(last),
        model(told)
    );
    for lacking in &told.lacking {
        text += &format!("schema lacks {lacking}\n");
    }
    text += "of each rule the figure that changed most; * at its threshold or above: two such days \
             raise an alarm\n";
    for course in &told.courses {
        text += &format!("\n{}", course_table(told, course));
    }
    text
}

/// Who scored, in words.
pub(super) fn model(told: &Told) -> String {
    match (told.model, &told.trained) {
        ("none", _) => "none: scores are not watched".to_owned(),
        ("made", Some(of)) => format!(
            "made of {} payments of the reference's days, {} known frauds among them, {} steps",
            of.rows, of.frauds, of.steps
        ),
        (_, _) => "as exported".to_owned(),
    }
}

fn course_table(told: &Told, course: &Course) -> String {
    let mut text = match course.inject_day {
        None => format!("{}: {}\n", course.inject.word(), course.what),
        Some(day) => format!(
            "{}: {}, from day {} on\n",
            course.inject.word(),
            course.what,
            dated(day)
        ),
    };
    let has_mature = !course.mature.is_empty();
    let names = told.rules.iter().map(|rule| rule.rule.to_owned());
    text += &line("day", "", names.chain(mature_names(has_mature)));
    let thresholds = told.rules.iter().map(|rule| format!("{:.3} ", rule.raise));
    text += &line("", "raised from", thresholds);
    for (at, day) in course.days.iter().enumerate() {
        // Until the change all replays are the same.
        if course.inject_day.is_some_and(|inject| *day < inject - 1) {
            continue;
        }
        let rules = told.rules.iter();
        let figures = rules.map(|rule| figure(peak(course, rule.rule, at), rule.raise));
        let mature = mature_cells(course, *day);
        let mature = mature.into_iter().filter(|_| has_mature);
        text += &line(&day.to_string(), &date(*day), figures.chain(mature));
    }
    if course.alarms.is_empty() {
        text += "  no alarm rose\n";
    }
    for alarm in &course.alarms {
        text += &format!("  {}\n", alarm_line(alarm, course.inject_day));
    }
    match (course.inject_day, course.found_after_days) {
        (None, _) => {}
        (Some(_), Some(days)) => text += &format!("  found after {days} days\n"),
        (Some(_), None) => text += "  not found\n",
    }
    text
}

/// The largest change that a rule looked at in one evaluation.
fn peak(course: &Course, rule: &str, at: usize) -> Option<f64> {
    let is_of = |series: &&Series| series.is_watched && series.rule == rule;
    let series = course.figures.iter().filter(is_of);
    let changes = series.filter_map(|series| series.change.get(at).copied().flatten());
    changes.reduce(f64::max)
}

fn figure(change: Option<f64>, raise: f64) -> String {
    match change {
        None => "- ".to_owned(),
        Some(change) if change >= raise => format!("{change:.3}*"),
        Some(change) => format!("{change:.3} "),
    }
}

fn mature_names(has_mature: bool) -> impl Iterator<Item = String> {
    let names = MATURE.into_iter().filter(move |_| has_mature);
    names.map(str::to_owned)
}

fn mature_cells(course: &Course, day: i32) -> [String; 3] {
    let of_day = course.mature.iter().find(|mature| mature.day == day);
    let cells = of_day.map_or([None; 3], |of| {
        [
            of.precision_at_budget,
            of.card_precision_top_k,
            of.calibration_error,
        ]
    });
    cells.map(|cell| cell.map_or_else(|| "- ".to_owned(), |value| format!("{value:.4} ")))
}

/// An alarm in words.
fn alarm_line(alarm: &Raised, inject_day: Option<i32>) -> String {
    let Raised {
        rule,
        subject,
        change,
        threshold,
        ..
    } = alarm;
    let after = match inject_day {
        Some(day) if alarm.raised_day > day => {
            format!(", {} days after the change", alarm.raised_day - day)
        }
        Some(_) | None => String::new(),
    };
    let end = match alarm.cleared_day {
        Some(day) => format!("went on {}", dated(day)),
        None => "open at the end".to_owned(),
    };
    let rose = dated(alarm.raised_day);
    format!("alarm {rule} {subject}: rose on {rose}{after}, {change:.3} of {threshold:.3}; {end}")
}

fn line(day: &str, date: &str, cells: impl Iterator<Item = String>) -> String {
    let mut text = format!("  {day:<7}{date:<12}");
    for cell in cells {
        text += &format!("{cell:>13}");
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// A day's number and date.
pub(super) fn dated(day: i32) -> String {
    format!("{day} ({})", date(day))
}

/// A day as people write it.
pub(super) fn date(day: i32) -> String {
    let time = DateTime::from_timestamp(i64::from(day) * 86_400, 0);
    time.map_or_else(String::new, |time| time.format("%Y-%m-%d").to_string())
}

/// Of mature payments: precision at the budget, card precision at 100, calibration error.
const MATURE: [&str; 3] = ["precision", "card@100", "calib. error"];
