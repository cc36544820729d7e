//! What the days of a window are held against. Each is held against the middle one of the days of
//! the reference that are the same day of the week, so that one odd day has no say. Beside that it
//! may be held against what was odd of a day about a month before: rents and salaries come by the
//! day of the month. Days and counts alone are known here; figures are in `sketch.rs`,
//! `fields.rs` and `prices.rs`.

use std::collections::BTreeMap;
use std::f64::consts::FRAC_PI_2;
use std::ops::Range;

/// A window's days, and what each is held against.
#[derive(Clone, Debug)]
pub(super) struct Yardstick {
    days: Vec<Day>,
    /// Values found.
    pub(super) found: f64,
    /// Values that say as much, taken together, as those of the reference do.
    pub(super) expected: f64,
}

#[derive(Clone, Debug)]
struct Day {
    /// Its share of the values found.
    weight: f64,
    likes: Likes,
    /// A day of the reference that may have been odd in the same way, and what it is odd beside.
    odd: Option<(i32, Likes)>,
}

/// The reference's days that are one day of the week. There is at least one.
#[derive(Clone, Debug)]
struct Likes {
    days: Vec<i32>,
    /// Values of them all.
    count: f64,
}

impl Yardstick {
    /// The one for so many values a day, of a reference with so many a day. With `back`, what was
    /// odd that many days before each is looked for in it too. Nothing where nothing is found, or
    /// on a day of the week that the reference lacks.
    pub(super) fn new(
        found: &BTreeMap<i32, f64>,
        reference: &BTreeMap<i32, f64>,
        back: Option<i32>,
    ) -> Option<Self> {
        let total: f64 = found.values().sum();
        let (mut days, mut variance) = (Vec::new(), 0.0);
        for (day, count) in found.iter().filter(|(_, count)| **count > 0.0) {
            let weight = count / total;
            let likes = Likes::of(*day, reference)?;
            let odd = back.and_then(|back| day.checked_sub(back));
            let odd = odd.filter(|odd| reference.get(odd).is_some_and(|count| *count > 0.0));
            let odd = odd.and_then(|odd| Some((odd, Likes::of(odd, reference)?)));
            variance += weight * weight * variance_of((*day, &likes), odd.as_ref(), reference);
            days.push(Day { weight, likes, odd });
        }
        (!days.is_empty()).then(|| Self {
            days,
            found: total,
            expected: 1.0 / variance,
        })
    }

    /// What a figure is expected to be, of what it is on each day of the reference. A share may
    /// come out below nothing.
    pub(super) fn of(&self, figure: impl Fn(i32) -> f64) -> f64 {
        let days = self.days.iter();
        days.map(|day| day.weight * day.expects(&figure)).sum()
    }

    /// What chance makes of the square of a mean's distance, in deviations.
    pub(super) fn chance(&self) -> f64 {
        1.0 / self.expected + 1.0 / self.found
    }
}

impl Day {
    fn expects(&self, figure: &impl Fn(i32) -> f64) -> f64 {
        let odd = self.odd.as_ref();
        let more = odd.map(|(day, beside)| figure(*day) - beside.middle(figure));
        self.likes.middle(figure) + more.unwrap_or_default()
    }
}

impl Likes {
    fn of(day: i32, reference: &BTreeMap<i32, f64>) -> Option<Self> {
        let is_like = |(of, count): &(&i32, &f64)| weekday(**of) == weekday(day) && **count > 0.0;
        let likes: Vec<(&i32, &f64)> = reference.iter().filter(is_like).collect();
        (!likes.is_empty()).then(|| Self {
            days: likes.iter().map(|(day, _)| **day).collect(),
            count: likes.iter().map(|(_, count)| **count).sum(),
        })
    }

    /// The median; of two, and of the middle two, the mean.
    fn middle(&self, figure: &impl Fn(i32) -> f64) -> f64 {
        let mut values: Vec<f64> = self.days.iter().map(|day| figure(*day)).collect();
        values.sort_by(f64::total_cmp);
        let (low, high) = (values.len().saturating_sub(1) / 2, values.len() / 2);
        (values[low] + values[high]) / 2.0
    }

    /// Of values of deviation 1. A median of many varies by half of pi more than their mean does.
    fn variance(&self) -> f64 {
        let more = if self.days.len() > 2 { FRAC_PI_2 } else { 1.0 };
        more / self.count
    }
}

/// How much chance moves what is expected of a day, for values of deviation 1.
fn variance_of(
    (day, likes): (i32, &Likes),
    odd: Option<&(i32, Likes)>,
    reference: &BTreeMap<i32, f64>,
) -> f64 {
    match odd {
        None => likes.variance(),
        // What it is odd beside is what is expected, and goes.
        Some((odd, _)) if weekday(*odd) == weekday(day) => 1.0 / reference[odd],
        Some((odd, beside)) => likes.variance() + beside.variance() + 1.0 / reference[odd],
    }
}

/// Days of the week from 0 on, whichever of them 1970-01-01 was.
pub(super) fn weekday(day: i32) -> i32 {
    day.rem_euclid(7)
}

/// By how much a window may go back: not at all, and by each number of days that is about a month,
/// or several, and leads to a day of the reference.
pub(super) fn backs(window: &Range<i32>, reference: &Range<i32>) -> Vec<Option<i32>> {
    let least = window.start.saturating_sub(reference.end.saturating_sub(1));
    let most = window.end.saturating_sub(1).saturating_sub(reference.start);
    let months = (least.max(1)..=most).filter(|back| is_months(*back));
    std::iter::once(None).chain(months.map(Some)).collect()
}

fn is_months(back: i32) -> bool {
    let months = (f64::from(back) / MONTH_DAYS).round();
    months >= 1.0 && (f64::from(back) - months * MONTH_DAYS).abs() <= MOVED_DAYS
}

/// Days of a month, of which a year has twelve.
const MONTH_DAYS: f64 = 365.25 / 12.0;

/// What is due on a day of the month comes so much sooner or later: a month has 28 to 31 days, and
/// a weekend moves a payday by two.
const MOVED_DAYS: f64 = 3.5;

#[cfg(test)]
mod tests {
    use super::*;

    /// Five weeks of a hundred values a day, from day 7 on.
    fn five_weeks() -> BTreeMap<i32, f64> {
        (7..42).map(|day| (day, 100.0)).collect()
    }

    fn found(days: &[(i32, f64)]) -> BTreeMap<i32, f64> {
        days.iter().copied().collect()
    }

    // A figure of 1 on weekdays and 3 on days 0 and 1 of the week, 9 on day 14 for once. Held
    // against the mean of its likes, which is the planted fault, day 42 would be expected at 4.2.
    #[test]
    fn one_odd_day_has_no_say() {
        let figure = |day: i32| match day {
            14 => 9.0,
            _ if weekday(day) < 2 => 3.0,
            _ => 1.0,
        };
        let expected = |days: &[(i32, f64)]| {
            let yardstick = Yardstick::new(&found(days), &five_weeks(), None).unwrap();
            (yardstick.of(figure), yardstick.found)
        };
        assert_eq!(expected(&[(42, 50.0)]), (3.0, 50.0));
        assert_eq!(expected(&[(44, 50.0)]), (1.0, 50.0));
        // Three payments of a Monday to one of another day.
        assert_eq!(expected(&[(42, 75.0), (44, 25.0)]), (2.5, 100.0));
        assert_eq!(expected(&[(42, 75.0), (44, 0.0)]), (3.0, 75.0));
    }

    // Day 44, a weekday, is held against day 14 of the month before, a day of the weekend on which
    // there was 2 more than on its likes: 1 and 2 more are expected, and not 5. Day 42 is its like.
    #[test]
    fn what_was_odd_a_month_before_is_looked_for_on_another_day_of_the_week() {
        let figure = |day: i32| match day {
            14 => 5.0,
            _ if weekday(day) < 2 => 3.0,
            _ => 1.0,
        };
        let expected = |day: i32, back: i32| {
            let days = found(&[(day, 50.0)]);
            let yardstick = Yardstick::new(&days, &five_weeks(), Some(back)).unwrap();
            yardstick.of(figure)
        };
        assert_eq!(expected(44, 30), 3.0);
        assert_eq!(expected(42, 28), 5.0);
        // A day like the others, and one that the reference lacks.
        assert_eq!(expected(44, 29), 1.0);
        assert_eq!(expected(44, 60), 1.0);
    }

    #[test]
    fn nothing_is_said_of_nothing_or_of_a_day_of_the_week_that_is_not_known() {
        let weekdays: BTreeMap<i32, f64> = five_weeks()
            .into_iter()
            .map(|(day, count)| (day, if weekday(day) == 3 { 0.0 } else { count }))
            .collect();
        let new = |days: &[(i32, f64)]| Yardstick::new(&found(days), &weekdays, None);
        assert!(new(&[]).is_none() && new(&[(42, 0.0)]).is_none());
        assert!(new(&[(45, 9.0)]).is_none() && new(&[(44, 9.0), (45, 9.0)]).is_none());
        assert!(new(&[(44, 9.0)]).is_some());
    }

    // By hand: five days of a hundred say as much as 500 / (pi / 2) values; one day as much as it
    // has; day 44 beside what was odd of day 14 as 1 / (2 pi / 1,000 + 1 / 100).
    #[test]
    fn a_yardstick_says_how_much_it_goes_by() {
        let expected = |days: &[(i32, f64)], back| {
            let yardstick = Yardstick::new(&found(days), &five_weeks(), back).unwrap();
            yardstick.expected
        };
        let is = |found: f64, by_hand: f64| assert!((found - by_hand).abs() < 0.005, "{found}");
        is(expected(&[(44, 50.0)], None), 318.31);
        is(expected(&[(44, 50.0), (45, 50.0)], None), 636.62);
        is(expected(&[(42, 50.0)], Some(28)), 100.0);
        is(expected(&[(44, 50.0)], Some(30)), 61.41);
        let two = Yardstick::new(
            &found(&[(3, 25.0)]),
            &found(&[(10, 50.0), (17, 50.0)]),
            None,
        );
        let two = two.unwrap();
        is(two.expected, 100.0);
        is(two.chance(), 0.05);
    }

    #[test]
    fn a_window_goes_back_by_months_as_far_as_the_reference_reaches() {
        let of = |window: Range<i32>| -> Vec<i32> {
            let backs = backs(&window, &(7..42));
            assert_eq!(backs[0], None);
            backs.into_iter().flatten().collect()
        };
        assert_eq!(of(42..43), [27, 28, 29, 30, 31, 32, 33]);
        // One month before is over for all but the last day of the reference; two are not.
        assert_eq!(of(74..75), [33, 58, 59, 60, 61, 62, 63, 64]);
        assert_eq!(of(46..47), [27, 28, 29, 30, 31, 32, 33]);
        assert_eq!(of(i32::MIN..i32::MIN + 1), [] as [i32; 0]);
        assert!(of(i32::MAX - 1..i32::MAX).len() < 36);
        assert!(is_months(28) && is_months(31) && is_months(365) && !is_months(14));
        assert!(!is_months(0) && !is_months(44));
    }
}
