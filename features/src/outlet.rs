//! What is remembered of one outlet (terminal, merchant or payee): stepped windows over its
//! payments and the bank's own verdicts on them. A verdict counts from the moment it was known,
//! and only where the payment it speaks of is older than the label delay. They make the bank's own
//! risk, and in the federation's the days that its table has not counted yet.

use serde::{Deserialize, Serialize};

use crate::risk::{RISK_DAYS, RiskReading};
use crate::schema::{LENGTHS_MAX, Length};
use crate::transaction::{DAY_MS, HOUR_MS};
use crate::windows::{Steps, Totals};

/// The memory of one outlet, or of another who is paid: with the standard schema at most
/// 16 + 28 + 45 steps of 40 bytes (with a label delay of 7 days) and [`VERDICTS_MAX`] verdicts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Outlet {
    minutes: Steps,
    hours: Steps,
    days: Steps,
    /// In the order of transaction, then of the time when it was known.
    verdicts: Vec<Verdict>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Verdict {
    transaction: u64,
    known_at: i64,
    ts: i64,
    is_fraud: bool,
}

/// How many steps of each width are kept: those of the longest window in them, and some for
/// payments that come late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Depth {
    minutes: u32,
    hours: u32,
    days: u32,
}

impl Depth {
    /// The depth for windows of these lengths and, where a label delay is given, for the risk.
    pub(crate) fn new(lengths: &[Length], label_delay_days: Option<u16>) -> Self {
        let mut depth = Self::default();
        for length in lengths {
            let steps = u32::try_from(length.ms / length.step_ms()).unwrap_or(u32::MAX);
            match length.step_ms() {
                HOUR_MS => depth.hours = depth.hours.max(steps + 4),
                DAY_MS => depth.days = depth.days.max(steps + 8),
                _ => depth.minutes = depth.minutes.max(steps + 4),
            }
        }
        if let Some(delay) = label_delay_days {
            let longest = RISK_DAYS.map(i32::unsigned_abs).into_iter().max();
            depth.days = depth.days.max(longest.unwrap_or(0) + 8) + u32::from(delay);
        }
        depth
    }
}

impl Outlet {
    pub(crate) fn new(depth: Depth) -> Self {
        Self {
            minutes: Steps::new(5 * HOUR_MS / 60, depth.minutes),
            hours: Steps::new(HOUR_MS, depth.hours),
            days: Steps::new(DAY_MS, depth.days),
            verdicts: Vec::new(),
        }
    }

    /// Windows in the steps of [`Length::step_ms`]; each reaches up to one step further back than
    /// its name says.
    pub(crate) fn windows(&self, ts: i64, lengths: &[Length]) -> [Totals; LENGTHS_MAX] {
        let mut windows = [Totals::default(); LENGTHS_MAX];
        for (window, length) in windows.iter_mut().zip(lengths) {
            let steps = match length.step_ms() {
                HOUR_MS => &self.hours,
                DAY_MS => &self.days,
                _ => &self.minutes,
            };
            *window = steps.totals(ts, length.ms / length.step_ms());
        }
        windows
    }

    /// Payments and known frauds of the windows that end a label delay before `ts`, as known at
    /// `ts`. Frauds are counted to the millisecond. Of the days at both ends of a window payments
    /// count by the part that lies in it, and are never fewer than the frauds.
    pub(crate) fn risk(&self, ts: i64, delay_ms: i64) -> RiskReading {
        let until = ts - delay_ms;
        let begins = RISK_DAYS.map(|days| until - i64::from(days) * DAY_MS);
        self.counted((ts, until), begins, |begin, fraud| begin < fraud)
    }

    /// What the bank knows that the federation's table has not counted yet: payments and known
    /// frauds from the day after `newest_day` on up to a label delay before `ts`. The table's
    /// windows end with `last_day`, and so begin; this adds to each what lies in it or after it.
    pub(crate) fn risk_after(
        &self,
        (newest_day, last_day): (i32, i32),
        ts: i64,
        delay_ms: i64,
    ) -> RiskReading {
        let next_day = i64::from(newest_day) + 1;
        let begins = RISK_DAYS.map(|days| {
            let first_day = i64::from(last_day) + 1 - i64::from(days);
            next_day.max(first_day) * DAY_MS
        });
        self.counted((ts, ts - delay_ms), begins, |begin, fraud| begin <= fraud)
    }

    /// Payments and known frauds from each of `begins` up to `until`, as known at `ts`. Whether a
    /// fraud in the very millisecond of a beginning counts, `has_begun` says; payments are counted
    /// by the part of a day, and are never fewer than the frauds: none where a window would begin
    /// after `until`.
    fn counted(
        &self,
        (ts, until): (i64, i64),
        begins: [i64; RISK_DAYS.len()],
        has_begun: impl Fn(i64, i64) -> bool,
    ) -> RiskReading {
        let mut reading = RiskReading::default();
        for (begin, cell) in begins.into_iter().zip(&mut reading.windows) {
            cell.0 = self.days.share(begin, until);
        }
        for fraud in self.frauds_known(ts).filter(|fraud| *fraud <= until) {
            for (begin, cell) in begins.into_iter().zip(&mut reading.windows) {
                cell.1 += f64::from(u8::from(has_begun(begin, fraud)));
            }
        }
        for (payments, frauds) in &mut reading.windows {
            *payments = payments.max(*frauds);
        }
        reading
    }

    /// When the payments were that are known for frauds at `ts`.
    fn frauds_known(&self, ts: i64) -> impl Iterator<Item = i64> {
        let groups = self
            .verdicts
            .chunk_by(|a, b| a.transaction == b.transaction);
        let known = groups.filter_map(move |group| {
            let known = group.iter().rev().find(|verdict| verdict.known_at <= ts);
            known.filter(|verdict| verdict.is_fraud)
        });
        known.map(|verdict| verdict.ts)
    }

    pub(crate) fn remember(&mut self, ts: i64, card: u64, amount: f64) {
        self.minutes.insert(ts, card, amount);
        self.hours.insert(ts, card, amount);
        self.days.insert(ts, card, amount);
    }

    /// Keeps a verdict. One of genuine matters only where fraud was said before: it withdraws.
    pub(crate) fn judge(&mut self, transaction: u64, ts: i64, known_at: i64, is_fraud: bool) {
        let verdict = Verdict {
            transaction,
            known_at,
            ts,
            is_fraud,
        };
        let start = self
            .verdicts
            .partition_point(|kept| kept.transaction < transaction);
        let is_known = self
            .verdicts
            .get(start)
            .is_some_and(|v| v.transaction == transaction);
        if !is_fraud && !is_known {
            return;
        }
        let at = self.verdicts.partition_point(|kept| kept <= &verdict);
        if at > 0 && self.verdicts.get(at - 1) == Some(&verdict) {
            return;
        }
        if self.verdicts.len() == VERDICTS_MAX {
            // One too many for a moment is no reason to double.
            self.verdicts.reserve_exact(1);
        }
        self.verdicts.insert(at, verdict);
        if self.verdicts.len() > VERDICTS_MAX {
            let oldest = self
                .verdicts
                .iter()
                .enumerate()
                .min_by_key(|(_, kept)| kept.ts);
            if let Some(at) = oldest.map(|(at, _)| at) {
                self.verdicts.remove(at);
            }
        }
    }
}

/// Frauds remembered of one outlet. Beyond it the oldest goes: an outlet with 512 frauds
/// in the last 30 days looks as bad as one with more.
const VERDICTS_MAX: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    fn outlet() -> Outlet {
        Outlet::new(Depth::new(&[], Some(7)))
    }

    // 16 five-minute steps, 28 hours and 45 days are those of the standard schema.
    #[test]
    fn as_many_steps_are_kept_as_the_longest_window_needs() {
        let lengths = |texts: &[&str]| -> Vec<Length> {
            let read = texts.iter().map(|text| Length::parse(text).unwrap());
            read.collect()
        };
        let depth = |minutes, hours, days| Depth {
            minutes,
            hours,
            days,
        };
        let standard = lengths(&["1h", "1d", "7d", "30d"]);
        assert_eq!(Depth::new(&standard, Some(7)), depth(16, 28, 45));
        assert_eq!(Depth::new(&lengths(&["15m", "2d"]), None), depth(7, 52, 0));
        assert_eq!(Depth::new(&lengths(&["90d"]), Some(7)), depth(0, 0, 105));
        assert_eq!(Depth::new(&[], Some(7)), depth(0, 0, 45));
    }

    /// Frauds of each window that ends at `until`, as known then.
    fn frauds(outlet: &Outlet, until: i64) -> [f64; 4] {
        outlet.risk(until, 0).windows.map(|(_, frauds)| frauds)
    }

    #[test]
    fn a_verdict_counts_once_known_and_in_its_windows() {
        let mut outlet = outlet();
        let (ts, known_at) = (10 * DAY_MS + 5, 10 * DAY_MS + 1_000);
        outlet.judge(5, ts, known_at, true);
        assert_eq!(frauds(&outlet, known_at - 1), [0.0; 4]);
        for (day, expected) in [
            (0, [1.0; 4]),
            (1, [0.0, 1.0, 1.0, 1.0]),
            (7, [0.0, 0.0, 1.0, 1.0]),
            (21, [0.0, 0.0, 0.0, 1.0]),
            (30, [0.0; 4]),
        ] {
            let end = (ts + day * DAY_MS).max(known_at);
            assert_eq!(frauds(&outlet, end), expected, "{day}");
        }
        assert_eq!(frauds(&outlet, ts + DAY_MS - 1), [1.0; 4]);
    }

    // A label delay of 7 days: of a fraud nothing is read before, and everything from then on.
    #[test]
    fn windows_end_a_label_delay_before_the_payment_to_the_millisecond() {
        let mut outlet = outlet();
        let (ts, delay) = (10 * DAY_MS + 5, 7 * DAY_MS);
        outlet.judge(5, ts, ts, true);
        let frauds = |ts| outlet.risk(ts, delay).windows.map(|(_, frauds)| frauds);
        assert_eq!(frauds(ts + delay - 1), [0.0; 4]);
        assert_eq!(frauds(ts + delay), [1.0; 4]);
    }

    // 24 payments in the hours of day 10: a window that ends at six o'clock has six of them.
    #[test]
    fn payments_of_a_day_that_is_cut_count_by_its_part() {
        let mut outlet = outlet();
        (0..24).for_each(|hour| outlet.remember(10 * DAY_MS + hour * HOUR_MS, 0, 1.0));
        let six = 10 * DAY_MS + 6 * HOUR_MS;
        let payments = |until| outlet.risk(until, 0).windows.map(|(payments, _)| payments);
        assert_eq!(payments(six), [6.0; 4]);
        assert_eq!(payments(six + DAY_MS), [18.0, 24.0, 24.0, 24.0]);
        assert_eq!(payments(six + 7 * DAY_MS), [0.0, 18.0, 24.0, 24.0]);
        assert_eq!(payments(six + 31 * DAY_MS), [0.0; 4]);
    }

    // A fraud at noon of each of four days; the table's windows end with day 11.
    #[test]
    fn what_the_table_has_not_counted_yet_is_each_windows_newest_days() {
        let mut outlet = outlet();
        let noon = |day: i64| day * DAY_MS + 12 * HOUR_MS;
        for day in 10..14 {
            outlet.remember(noon(day), 0, 1.0);
            outlet.judge(day.unsigned_abs(), noon(day), noon(day), true);
        }
        let delay = 7 * DAY_MS;
        let after = |newest_day, until| outlet.risk_after((newest_day, 11), until + delay, delay);
        // Up to date: all windows have what there is of the day after, frauds once they are due.
        let six = 12 * DAY_MS + 6 * HOUR_MS;
        assert_eq!(after(11, six).windows, [(0.25, 0.0); 4]);
        assert_eq!(after(11, noon(12) - 1).windows[0].1, 0.0);
        assert_eq!(after(11, noon(12)).windows, [(1.0, 1.0); 4]);
        // Late: the days it lacks too, where they are in the window.
        let [day, week, ..] = after(9, six).windows;
        assert_eq!((day, week), ((1.25, 1.0), (2.25, 2.0)));
        // Nothing of a day that has not begun, and a fraud from its first moment on.
        assert_eq!(after(11, 12 * DAY_MS - 1), RiskReading::default());
        let (mut outlet, midnight) = (self::outlet(), 12 * DAY_MS);
        outlet.judge(5, midnight, midnight, true);
        let reading = outlet.risk_after((11, 11), midnight + delay, delay);
        assert_eq!(reading.windows, [(1.0, 1.0); 4]);
    }

    // A quarter of the only payment lies in the window, and a whole fraud: no share is above one.
    #[test]
    fn payments_are_never_fewer_than_frauds() {
        let mut outlet = outlet();
        let six = 10 * DAY_MS + 6 * HOUR_MS;
        outlet.remember(six, 0, 1.0);
        outlet.judge(5, six, six, true);
        assert_eq!(outlet.risk(six, 0).windows, [(1.0, 1.0); 4]);
    }

    #[test]
    fn two_reports_of_one_fraud_count_once_and_a_withdrawal_takes_it_back() {
        let mut outlet = outlet();
        outlet.judge(5, 10, 1_000, true);
        outlet.judge(5, 10, 2_000, true);
        outlet.judge(5, 10, 3_000, false);
        outlet.judge(6, 10, 1_000, false);
        assert_eq!(frauds(&outlet, 2_500)[0], 1.0);
        assert_eq!(frauds(&outlet, 3_000)[0], 0.0);
        assert_eq!(outlet.verdicts.len(), 3);
    }

    // 92 steps of 40 bytes and 513 verdicts of 32: the 20 KiB an outlet that `Limits` promises.
    #[test]
    fn a_busy_outlet_takes_no_more_room_than_is_promised() {
        let texts = ["1h", "1d", "7d", "30d"];
        let lengths = texts.map(|text| Length::parse(text).unwrap());
        let mut outlet = Outlet::new(Depth::new(&lengths, Some(7)));
        for at in 0..20_000 {
            outlet.remember(at * HOUR_MS / 12, u64::try_from(at).unwrap() << 57, 1.0);
        }
        let [minutes, hours, days] =
            [&outlet.minutes, &outlet.hours, &outlet.days].map(Steps::capacity);
        assert_eq!([minutes, hours, days], [17, 29, 46]);
        let verdicts = (VERDICTS_MAX + 1) * size_of::<Verdict>();
        let bytes = (minutes + hours + days) * Steps::BUCKET_BYTES + verdicts;
        assert!(bytes + size_of::<Outlet>() <= 20 << 10, "{bytes}");
    }

    #[test]
    fn verdicts_are_bounded() {
        let mut outlet = outlet();
        for day in 0..2_000_i64 {
            outlet.judge(day.unsigned_abs(), day * DAY_MS, 0, true);
        }
        assert_eq!(outlet.verdicts.len(), VERDICTS_MAX);
        assert_eq!(outlet.verdicts.capacity(), VERDICTS_MAX + 1);
        assert_eq!(frauds(&outlet, 1_999 * DAY_MS), [1.0, 7.0, 21.0, 30.0]);
    }
}
