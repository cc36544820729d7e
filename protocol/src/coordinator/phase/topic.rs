//! Which phase and which attempt a message belongs to, and so whether it is here in time.
//! Nothing is checked here but the place; the phases check the rest.

use crate::blame::Misbehaviour;
use crate::coordinator::desk::Desk;
use crate::coordinator::phase::Stage;
use crate::id::Context;
use crate::message::ToCoordinator;

/// Whether a message belongs to what runs.
pub(super) enum Place {
    /// It does.
    Here,
    /// It belongs to something that is over: nobody's fault, and counted nowhere.
    Late,
    /// It belongs to nothing that was, or to something that is not yet. A record is durable
    /// before anybody hears of it, so nobody honest is ahead of us.
    Wrong(Misbehaviour),
}

/// The phases of an attempt, in order.
const PHASES: [&str; 4] = ["escrow", "collection", "acknowledgement", "reveal"];

/// Where a message belongs.
pub(super) fn place(message: &ToCoordinator, running: &dyn Stage, desk: &Desk) -> Place {
    let Some((context, phase)) = topic(message) else {
        // Of an epoch, or of nothing: whoever hears it looks at the number itself.
        return Place::Here;
    };
    let here = running.round().map(|round| round.context);
    if here != Some(context) {
        return if desk.is_ended(context) {
            Place::Late
        } else {
            Place::Wrong(Misbehaviour::Context(phase))
        };
    }
    let order = |phase| PHASES.iter().position(|&name| name == phase);
    match order(phase).cmp(&order(running.step().0)) {
        std::cmp::Ordering::Less => Place::Late,
        std::cmp::Ordering::Equal => Place::Here,
        std::cmp::Ordering::Greater => Place::Wrong(Misbehaviour::OutOfOrder(phase)),
    }
}

/// The attempt and the phase that a message belongs to; none where it belongs to no attempt.
fn topic(message: &ToCoordinator) -> Option<(Context, &'static str)> {
    match message {
        ToCoordinator::Escrow(escrow) => Some((escrow.header.unverified().context, "escrow")),
        ToCoordinator::Complaint(complaint) => Some((complaint.unverified().context, "collection")),
        ToCoordinator::Masked(masked) => Some((masked.trailer.unverified().context, "collection")),
        ToCoordinator::Ack(ack) => Some((ack.unverified().context, "acknowledgement")),
        ToCoordinator::Reveal(reveal) => Some((reveal.unverified().context, "reveal")),
        ToCoordinator::CheckIn(_)
        | ToCoordinator::KeyBundle(_)
        | ToCoordinator::Encapsulations(_)
        | ToCoordinator::Declined(_)
        | ToCoordinator::Audit(_)
        | ToCoordinator::SealedKeys(_)
        | ToCoordinator::KeyComplaint(_)
        | ToCoordinator::Operator(_) => None,
    }
}
