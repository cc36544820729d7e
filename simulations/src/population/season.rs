//! The calendar: weekdays, months, salary days, and how each of them moves spending.
//!
//! Days are counted from 1970-01-01, UTC. Nothing is drawn here.

/// One second and one day, in milliseconds.
pub(crate) const SECOND_MS: i64 = 1_000;
/// One hour, in milliseconds.
pub(crate) const HOUR_MS: i64 = 3_600 * SECOND_MS;
/// One day, in milliseconds.
pub(crate) const DAY_MS: i64 = 24 * HOUR_MS;

/// A calendar day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Date {
    pub(crate) year: i32,
    pub(crate) month: u32,
    pub(crate) day: u32,
    /// 0 is Monday.
    pub(crate) weekday: u32,
}

impl Date {
    /// The date of a day counted from 1970-01-01 (Hinnant's `civil_from_days`).
    pub(crate) fn of(days: i32) -> Self {
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let of_era = shifted.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 {
            shifted_month + 3
        } else {
            shifted_month - 9
        };
        Self {
            year: year_of_era + era * 400 + i32::from(month <= 2),
            month: month.unsigned_abs(),
            day: day.unsigned_abs(),
            weekday: (days + 3).rem_euclid(7).unsigned_abs(),
        }
    }
}

/// How much is bought on this day, relative to an ordinary one.
///
/// January falls to two thirds of December: a model that does not follow its own recent past
/// loses its footing there.
pub(crate) fn demand(days: i32) -> f64 {
    let date = Date::of(days);
    let weekday = WEEKDAY_DEMAND[date.weekday as usize];
    let month = MONTH_DEMAND[date.month as usize - 1];
    let salary = if is_salary_week(date) { 1.15 } else { 0.97 };
    weekday * month * salary
}

/// Salaries arrive on the 28th; for the next days people have money.
fn is_salary_week(date: Date) -> bool {
    date.day >= 28 || date.day <= 3
}

const WEEKDAY_DEMAND: [f64; 7] = [0.92, 0.93, 0.96, 1.0, 1.15, 1.25, 0.79];
const MONTH_DEMAND: [f64; 12] = [
    0.80, 0.88, 0.97, 1.0, 1.02, 1.03, 1.04, 0.98, 1.0, 1.01, 1.05, 1.24,
];

#[cfg(test)]
mod tests {
    use super::*;

    // Python: (datetime.date(1970, 1, 1) + datetime.timedelta(days=n)), weekday().
    #[test]
    fn days_become_the_dates_of_the_calendar() {
        let date = |year, month, day, weekday| Date {
            year,
            month,
            day,
            weekday,
        };
        assert_eq!(Date::of(0), date(1970, 1, 1, 3));
        assert_eq!(Date::of(11_016), date(2000, 2, 29, 1));
        assert_eq!(Date::of(17_622), date(2018, 4, 1, 6));
        assert_eq!(Date::of(20_362), date(2025, 10, 1, 2));
        assert_eq!(Date::of(20_454), date(2026, 1, 1, 3));
    }

    #[test]
    fn january_buys_less_than_december() {
        let mean = |from: i32| (from..from + 28).map(demand).sum::<f64>() / 28.0;
        let (december, january) = (mean(20_423), mean(20_454));
        assert!(
            january < 0.7 * december,
            "december {december}, january {january}"
        );
    }
}
