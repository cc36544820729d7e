//! Rest: no plan waits, or too many rounds were burnt. Only the operator ends it, by adopting a
//! plan; clients that check in still get the results they lack.

use crate::coordinator::desk::Desk;
use crate::coordinator::epoch::Member;
use crate::coordinator::handover;
use crate::coordinator::phase::Stage;
use crate::limits::BURNT_ROUNDS_MAX;
use crate::message::ToClient;
use crate::operator::{Reason, Waiting};
use crate::record::CoordinatorRecord;
use crate::time::Time;

/// Nothing to run.
pub(crate) struct Rest;

impl Stage for Rest {
    fn step(&self) -> (&'static str, u8) {
        ("rest", 0)
    }

    fn ends(&self, _desk: &Desk) -> Option<Time> {
        None
    }

    fn conclude(&self, _desk: &mut Desk) -> Option<CoordinatorRecord> {
        None
    }

    fn nudge(&self, to: &Member, desk: &mut Desk) {
        nudge_between_rounds(to, desk);
    }

    fn waiting(&self, desk: &Desk) -> Option<Waiting> {
        let is_halted = desk.is_halted() && desk.plans.front().is_some();
        is_halted.then_some(Waiting {
            reason: Reason::Halted,
            found: desk.burnt,
            expected: BURNT_ROUNDS_MAX - 1,
        })
    }
}

/// Between two rounds a member may lack the news that its attempt was abandoned, and the banks'
/// bucket key.
pub(super) fn nudge_between_rounds(to: &Member, desk: &mut Desk) {
    if let Some(abandoned) = desk.history.last_abandoned() {
        desk.out.send(to.id, ToClient::Abandoned(abandoned));
    }
    handover::nudge(to, desk);
}
