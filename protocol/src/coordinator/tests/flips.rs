//! One flipped bit anywhere in anything that is said (P5): refused and blamed on somebody, or
//! without effect. Never another sum, and never two ledgers. The transport lets no bit flip; a peer
//! that lies does.

use std::cell::RefCell;
use std::rc::Rc;

use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::rig::{Bank, Federation, plan};
use crate::event::{ClientEvent, CoordinatorEvent};
use crate::fixture;
use crate::wire;

const BANKS: usize = 5;

/// Which message of the play is hit, and where in it.
#[derive(Clone, Copy, Debug)]
struct Hit {
    message: usize,
    place: u64,
}

/// What became of it on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// The play had fewer messages.
    Missed,
    /// It did not decode: the transport drops the connection, here it is lost.
    Undecodable,
    /// It decoded to something else.
    Altered,
}

/// Counts messages, and flips one bit of one of them.
struct Flipper {
    hit: Hit,
    seen: usize,
    fate: Fate,
}

impl Flipper {
    fn pass<T: Serialize + DeserializeOwned>(&mut self, message: T) -> Vec<T> {
        let is_hit = self.seen == self.hit.message;
        self.seen += 1;
        if !is_hit {
            return vec![message];
        }
        let mut bytes = wire::encode(&message);
        let bit = self.hit.place % (8 * bytes.len() as u64);
        bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
        let altered = wire::decode(&bytes).ok();
        self.fate = altered
            .as_ref()
            .map_or(Fate::Undecodable, |_| Fate::Altered);
        altered.into_iter().collect()
    }
}

/// Whether a bank has the result and has audited it, or was lied to and says so. Who was shown
/// another survivor set than the others, and acknowledged it, refuses the others' result as long
/// as it runs.
fn is_settled(federation: &Federation, bank: &Bank) -> bool {
    let ledger = &federation.coordinator.desk.ledger;
    let is_level = bank.client.ledger().head() == ledger.head();
    let is_done = is_level && !bank.audits().is_empty();
    ledger.length() == 1 && (is_done || !bank.blamed().is_empty())
}

/// A round of counts in which one message is hit, up or down, played until every bank has the
/// result or something to say against it.
fn hit(up: bool, hit: Hit) -> (Federation, Fate) {
    let flipper = Flipper {
        hit,
        seen: 0,
        fate: Fate::Missed,
    };
    let flipper = Rc::new(RefCell::new(flipper));
    let inside = Rc::clone(&flipper);
    let mut federation = Federation::new(BANKS);
    if up {
        federation.up = Box::new(move |_, message| inside.borrow_mut().pass(message));
    } else {
        federation.down = Box::new(move |_, message| inside.borrow_mut().pass(message));
    }
    federation.start(plan(fixture::risk(), 1, 4));
    federation.run(|federation| {
        federation
            .banks
            .iter()
            .all(|bank| is_settled(federation, bank))
    });
    let fate = flipper.borrow().fate;
    (federation, fate)
}

/// Exactly one result, the exact sum of whom it says: all of them, or somebody was blamed or
/// refused.
fn check(federation: &Federation, fate: Fate) -> Result<(), TestCaseError> {
    let results = federation.results();
    prop_assert_eq!(results.len(), 1);
    let seats = results[0].survivors.iter().map(|seat| usize::from(seat.0));
    let survivors = seats.collect::<Vec<_>>();
    federation.assert_sum_of(&survivors);
    let is_whole = survivors.len() == BANKS && results[0].manifest.unverified().attempt.0 == 0;
    let by_banks = federation
        .banks
        .iter()
        .any(|bank| !bank.blamed().is_empty());
    let audits = federation.banks.iter().flat_map(Bank::audits);
    for audit in audits {
        prop_assert!(!matches!(audit, ClientEvent::FalseSum { .. }), "{audit:?}");
    }
    // A plan that no operator signed is declined by name.
    let declined = federation.count(|event| matches!(event, CoordinatorEvent::Declined(..)));
    let is_blamed = by_banks || declined > 0 || !federation.blamed().is_empty();
    prop_assert!(
        is_whole || is_blamed || fate == Fate::Undecodable,
        "{:?}: {:?}",
        survivors,
        federation.events
    );
    Ok(())
}

proptest! {
    #![proptest_config(fixture::cases(16))]

    #[test]
    fn one_flipped_bit_of_an_uplink_gives_no_other_sum(message in 0_usize..80, place: u64) {
        let (federation, fate) = hit(true, Hit { message, place });
        check(&federation, fate)?;
    }

    #[test]
    fn one_flipped_bit_of_a_downlink_gives_no_other_sum(message in 0_usize..80, place: u64) {
        let (federation, fate) = hit(false, Hit { message, place });
        check(&federation, fate)?;
    }
}
