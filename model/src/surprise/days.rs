//! Whatever is kept day by day, in the order of days: payments may come late, and time may leap.
//! What is kept of a day is in `surprise.rs` and `recent.rs`.

use serde::{Deserialize, Serialize};

/// Something for each of the last days.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Days<T>(Vec<(i32, T)>);

impl<T> Days<T> {
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    /// What is kept of a day, `fresh` where nothing was.
    pub(super) fn of(&mut self, day: i32, fresh: impl FnOnce() -> T) -> &mut T {
        self.of_among(DAYS_KEPT, day, fresh)
    }

    /// The same among so many days.
    pub(super) fn of_among(
        &mut self,
        days_kept: usize,
        day: i32,
        fresh: impl FnOnce() -> T,
    ) -> &mut T {
        let at = match self.0.binary_search_by_key(&day, |(kept, _)| *kept) {
            Ok(at) => at,
            Err(_) => {
                self.make_room(days_kept, day);
                let at = self.0.partition_point(|(kept, _)| *kept < day);
                self.0.insert(at, (day, fresh()));
                at
            }
        };
        &mut self.0[at].1
    }

    /// What is kept of the [`DAYS`] days before one.
    pub(super) fn before(&self, day: i32) -> impl Iterator<Item = &T> {
        self.iter()
            .filter(move |(kept, _)| is_before(*kept, day))
            .map(|(_, of)| of)
    }

    /// Everything that is kept, with its day.
    pub(super) fn iter(&self) -> impl Iterator<Item = (i32, &T)> {
        self.0.iter().map(|(day, of)| (*day, of))
    }

    /// The day farthest from this one goes: one wild time costs one day, not the week.
    fn make_room(&mut self, days_kept: usize, day: i32) {
        if self.0.len() < days_kept {
            return;
        }
        let distance = |at: Option<&(i32, T)>| at.map_or(0, |(kept, _)| kept.abs_diff(day));
        let is_front = distance(self.0.first()) >= distance(self.0.last());
        self.0.remove(if is_front { 0 } else { self.0.len() - 1 });
    }
}

/// Whether `day` is one of the [`DAYS`] days before another.
pub(super) fn is_before(day: i32, other: i32) -> bool {
    day < other && day >= other.saturating_sub(DAYS)
}

/// The week that shows what is usual: shorter ones miss weekends, longer ones trail the season.
pub(super) const DAYS: i32 = 7;

/// A payment may come a week late, and is held against the week before it: fifteen days with
/// today, and one for a wild time.
pub(super) const DAYS_KEPT: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(days: &Days<i32>) -> Vec<i32> {
        days.iter().map(|(day, _)| day).collect()
    }

    #[test]
    fn days_come_in_any_order_and_the_farthest_goes() {
        let mut days = Days::new();
        for day in (0..20).rev().chain(0..30) {
            *days.of(day, || 0) += 1;
        }
        assert_eq!(kept(&days), (14..30).collect::<Vec<_>>());
        assert_eq!(days.before(30).count(), 7);
        assert_eq!(days.before(24).count(), 7);
        assert_eq!(days.before(16).count(), 2);
        assert_eq!(days.before(29 + 8).count(), 0);
    }

    // A wild time takes the place of one day, and the next wild time takes its place.
    #[test]
    fn a_leap_in_time_costs_one_day() {
        let mut days = Days::new();
        for day in 100..116 {
            days.of(day, || day);
        }
        for wild in [i32::MIN, i32::MAX, 0] {
            days.of(wild, || wild);
            days.of(115, || 115);
        }
        assert!(kept(&days).ends_with(&(102..116).collect::<Vec<_>>()));
        assert!(!is_before(i32::MIN, i32::MIN));
        assert!(is_before(i32::MIN, i32::MIN + 1));
    }
}
