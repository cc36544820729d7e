//! Windows in steps: events of equal step share one bucket, so a busy outlet costs as much as a
//! quiet one. A window reaches back from its own length to one step more; distinct cards are
//! estimated by linear counting (Whang, Vander-Zanden, Taylor 1990) on 128 bits a step.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::Totals;

/// Buckets of one step width, by event time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Steps {
    width_ms: i64,
    kept: u32,
    buckets: VecDeque<Bucket>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Bucket {
    step: i64,
    count: u64,
    sum: f64,
    members: [u64; 2],
}

impl Steps {
    /// At most `kept` buckets of `width_ms`; beyond it the one farthest from the entering event
    /// goes, so that one event with a wild time cannot clear the memory.
    pub(crate) fn new(width_ms: i64, kept: u32) -> Self {
        Self {
            width_ms,
            kept,
            buckets: VecDeque::new(),
        }
    }

    /// Totals of the step of `ts` and the `steps` before it; `max` is not kept.
    pub(crate) fn totals(&self, ts: i64, steps: i64) -> Totals {
        let now = ts.div_euclid(self.width_ms);
        let mut totals = Totals::default();
        let mut members = [0_u64; 2];
        for bucket in self.between(now - steps, now) {
            totals.count += bucket.count as f64;
            totals.sum += bucket.sum;
            members[0] |= bucket.members[0];
            members[1] |= bucket.members[1];
        }
        totals.distinct = distinct(members).min(totals.count);
        totals
    }

    /// Events in `(from, until]`, as if those of a step lay evenly in it.
    pub(crate) fn share(&self, from: i64, until: i64) -> f64 {
        let steps = self.between(
            from.div_euclid(self.width_ms),
            until.div_euclid(self.width_ms),
        );
        let within = steps.map(|bucket| {
            let start = bucket.step * self.width_ms;
            let part = until.min(start + self.width_ms) - from.max(start);
            bucket.count as f64 * (part as f64 / self.width_ms as f64)
        });
        // A float sum over nothing is -0.0, whose bits differ from those of an outlet unknown.
        within.fold(0.0, |sum, count| sum + count)
    }

    /// Enters an event at its time.
    pub(crate) fn insert(&mut self, ts: i64, member: u64, amount: f64) {
        if self.kept == 0 {
            return;
        }
        let step = ts.div_euclid(self.width_ms);
        let at = self.buckets.partition_point(|bucket| bucket.step < step);
        if self
            .buckets
            .get(at)
            .is_none_or(|bucket| bucket.step != step)
        {
            let fresh = Bucket {
                step,
                count: 0,
                sum: 0.0,
                members: [0; 2],
            };
            self.make_room();
            self.buckets.insert(at, fresh);
        }
        let bucket = self
            .buckets
            .get_mut(at)
            .expect("a bucket of this step was found or made");
        bucket.count += 1;
        bucket.sum += amount;
        // The upper bits of a mixed key choose one of 128 places.
        let place = member >> 57;
        bucket.members[usize::from(place >= 64)] |= 1 << (place % 64);
        if self.buckets.len() > self.kept as usize {
            let front = self
                .buckets
                .front()
                .map_or(0, |bucket| (step - bucket.step).abs());
            let back = self
                .buckets
                .back()
                .map_or(0, |bucket| (bucket.step - step).abs());
            if front >= back {
                self.buckets.pop_front()
            } else {
                self.buckets.pop_back()
            };
        }
    }

    /// For one bucket more. Doubling, as a queue does by itself, would pass what is ever kept.
    fn make_room(&mut self) {
        let (len, most) = (self.buckets.len(), self.kept as usize + 1);
        if len == self.buckets.capacity() && 2 * len > most {
            self.buckets.reserve_exact(most.saturating_sub(len).max(1));
        }
    }

    #[cfg(test)]
    pub(crate) const BUCKET_BYTES: usize = size_of::<Bucket>();

    /// Buckets that memory was taken for.
    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.buckets.capacity()
    }

    fn between(&self, first: i64, last: i64) -> impl Iterator<Item = &Bucket> {
        let from_back = self.buckets.iter().rev();
        from_back
            .skip_while(move |b| b.step > last)
            .take_while(move |b| b.step >= first)
    }
}

/// Linear counting on 128 bits: 128 ln(bits / unset bits). Its standard error is below one
/// card up to 15 cards and below 8 % up to 250; all bits set is read as half a bit unset, 710.
fn distinct(members: [u64; 2]) -> f64 {
    let unset = f64::from(members[0].count_zeros() + members[1].count_zeros());
    128.0 * (128.0 / unset.max(0.5)).ln()
}
