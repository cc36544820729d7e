//! What happened lately, in event time and bounded memory: exact windows over the last events of
//! a card ([`Trail`]) and stepped windows over any number of events of an outlet (`steps.rs`).
//! A late event enters at its own time; nothing here assumes that time moves forward.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::schema::{LENGTHS_MAX, Length};
use crate::transaction::DAY_MS;

mod steps;

pub(crate) use steps::Steps;

/// What a window holds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Totals {
    pub(crate) count: f64,
    pub(crate) sum: f64,
    pub(crate) max: f64,
    /// Distinct outlets of a card, or cards of an outlet.
    pub(crate) distinct: f64,
}

/// The last events of one card by event time, at most [`TRAIL_MAX`]. Windows are exact over
/// what it holds, so a card with more events in 30 days has windows over its last 256 events.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Trail {
    events: VecDeque<Event>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Event {
    ts: i64,
    /// Time of the next event at the same outlet, `i64::MAX` where none is known.
    revisited: i64,
    outlet: u64,
    amount: f64,
}

impl Trail {
    /// Totals of the events in `(ts - length, ts]`, for every length, ascending.
    pub(crate) fn totals(&self, ts: i64, lengths: &[Length]) -> [Totals; LENGTHS_MAX] {
        let mut windows = [Totals::default(); LENGTHS_MAX];
        let mut running = Totals::default();
        let mut filled = 0;
        let until = self.events.partition_point(|event| event.ts <= ts);
        for event in self.events.range(..until).rev() {
            while lengths
                .get(filled)
                .is_some_and(|length| event.ts <= ts - length.ms)
            {
                windows[filled] = running;
                filled += 1;
            }
            if filled == lengths.len() {
                break;
            }
            running.count += 1.0;
            running.sum += event.amount;
            running.max = running.max.max(event.amount);
            // The last visit within the window stands for all visits to its outlet.
            if event.outlet != NO_KEY && event.revisited > ts {
                running.distinct += 1.0;
            }
        }
        windows[filled..].fill(running);
        windows
    }

    /// Time of the latest event at or before `ts`.
    pub(crate) fn latest(&self, ts: i64) -> Option<i64> {
        let until = self.events.partition_point(|event| event.ts <= ts);
        until
            .checked_sub(1)
            .and_then(|at| self.events.get(at))
            .map(|event| event.ts)
    }

    /// Times of the events at or before `ts`, ascending.
    pub(crate) fn times(&self, ts: i64) -> impl Iterator<Item = i64> {
        let times = self.events.iter().map(|event| event.ts);
        times.take_while(move |time| *time <= ts)
    }

    /// Enters an event at its time. Events a week past the longest window go.
    pub(crate) fn insert(&mut self, ts: i64, outlet: u64, amount: f64, longest_ms: i64) {
        let horizon = ts - longest_ms - 7 * DAY_MS;
        while self.events.front().is_some_and(|event| event.ts <= horizon) {
            self.events.pop_front();
        }
        let mut at = self.events.partition_point(|event| event.ts <= ts);
        if self.events.len() >= TRAIL_MAX {
            if at == 0 {
                return;
            }
            self.events.pop_front();
            at -= 1;
        }
        let mut revisited = i64::MAX;
        if outlet != NO_KEY {
            if let Some(event) = self
                .events
                .range_mut(..at)
                .rev()
                .find(|e| e.outlet == outlet)
            {
                event.revisited = ts;
            }
            let later = self.events.range(at..).find(|event| event.outlet == outlet);
            revisited = later.map_or(i64::MAX, |event| event.ts);
        }
        self.events.insert(
            at,
            Event {
                ts,
                revisited,
                outlet,
                amount,
            },
        );
    }
}

/// A token as a 64-bit key: FNV-1a with a final mix (Vigna's splitmix64). Keys are stable across
/// builds, so remembered state can be kept. Payers' tokens are keyed by the bank, so no outsider
/// can choose colliding ones; among ten million tokens a collision has a chance of 3 in 10^6.
pub(crate) fn key_of(token: &str) -> u64 {
    let folded = token.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut mixed = folded;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)).max(1)
}

/// The key of no outlet; [`key_of`] never gives it.
pub(crate) const NO_KEY: u64 = 0;

/// 256 events of 32 bytes are 8 KiB a card, and eight payments a day for 30 days.
const TRAIL_MAX: usize = 256;

#[cfg(test)]
mod tests;
