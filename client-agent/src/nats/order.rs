//! Who goes first. The windows of an account need its payments in the stream's order, and a payment
//! that was given back comes again later: until then nobody behind it is let through. Only an
//! agent that takes nothing gives payments back, so all accounts wait, and none of them longer.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Payments given back that have not come again, by their number in the stream.
#[derive(Debug, Default)]
pub(super) struct Order {
    given_back: BTreeMap<u64, Instant>,
}

impl Order {
    /// Whether everybody before `sequence` has gone.
    pub(super) fn is_next(&mut self, now: Instant, sequence: u64) -> bool {
        let given_back = &mut self.given_back;
        given_back.retain(|_, since| now.saturating_duration_since(*since) < LOST_AFTER);
        let first = given_back.first_key_value();
        first.is_none_or(|(first, _)| sequence <= *first)
    }

    /// It was let through.
    pub(super) fn went(&mut self, sequence: u64) {
        self.given_back.remove(&sequence);
    }

    /// It was given back, and is to come again.
    pub(super) fn gave_back(&mut self, now: Instant, sequence: u64) {
        self.given_back.insert(sequence, now);
    }
}

/// The stream itself may drop a message for its age or size; then nobody waits for it for good.
const LOST_AFTER: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_overtakes_who_was_given_back() {
        let (mut order, now) = (Order::default(), Instant::now());
        assert!(order.is_next(now, 7));
        order.gave_back(now, 7);
        order.gave_back(now, 8);
        assert!(!order.is_next(now, 8) && !order.is_next(now, 9));
        assert!(order.is_next(now, 7));
        order.went(7);
        assert!(order.is_next(now, 8) && !order.is_next(now, 9));
        order.went(8);
        assert!(order.is_next(now, 9));
        // A redelivery of what went long ago harms nobody: the journal knows it.
        order.gave_back(now, 9);
        assert!(order.is_next(now, 3));
    }

    #[test]
    fn who_never_comes_again_is_not_waited_for_for_good() {
        let (mut order, now) = (Order::default(), Instant::now());
        order.gave_back(now, 7);
        order.gave_back(now + LOST_AFTER / 2, 8);
        let later = now + LOST_AFTER;
        assert!(order.is_next(later, 8) && !order.is_next(later, 9));
    }
}
