//! Selection: a plan waits for its banks. Who is here, whether they are enough, whether they all
//! hold the epoch's keys: then either an agreement or a round opens. Nobody is picked: everybody
//! who may take part does, so that the coordinator cannot compose a cohort.

use crate::coordinator::desk::Desk;
use crate::coordinator::epoch::{Epoch, Member};
use crate::coordinator::handover;
use crate::coordinator::phase::{Stage, rest};
use crate::coordinator::plans::Adopted;
use crate::coordinator::round::Round;
use crate::id::{ClientId, EpochId, Seats};
use crate::message::Roster;
use crate::operator::Waiting;
use crate::plan::Kind;
use crate::record::CoordinatorRecord;
use crate::signed::Signed;
use crate::time::{Duration, Time};

mod obstacle;

/// A plan waits for its banks; nothing opens before `opened`.
pub(crate) struct Selection {
    opened: Time,
}

impl Selection {
    pub(crate) fn new(opened: Time) -> Self {
        Self { opened }
    }

    pub(crate) fn opened(&self) -> Time {
        self.opened
    }

    /// When the wait for more banks is over; none while there are too few.
    ///
    /// The last roster's members are waited for, until they have been away for the plan's
    /// selection deadline, and so are those that still catch up. Before the first roster nobody is
    /// known: then the whole deadline is waited, or until as many banks are here as the
    /// operator's settings expect.
    fn goes_on(&self, adopted: &Adopted, desk: &Desk) -> Option<Time> {
        let ready = ready(adopted, desk);
        let needed = usize::from(adopted.plan().cohort.members_min);
        let mut arrivals: Vec<_> = ready
            .iter()
            .filter_map(|&id| desk.registry.here_since(id))
            .collect();
        arrivals.sort_unstable();
        let enough = *arrivals.get(needed.checked_sub(1)?)?;
        let enough = enough.max(self.opened);
        let span = adopted.plan().deadlines.selection;
        let latest = enough.after(span);
        let is_complete = |expected| ready.len() >= usize::from(expected);
        if desk.settings.banks_expected.is_some_and(is_complete) {
            return Some(enough);
        }
        if desk.epochs == EpochId(0) {
            return Some(latest);
        }
        let gone = desk
            .registry
            .seated_and_gone()
            .map(|(_, since)| since.after(span));
        let mut here = desk.registry.here().into_iter();
        let catching_up =
            here.any(|id| desk.registry.is_eligible(id, desk.now) && !desk.is_caught_up(id));
        let patience = gone.chain(catching_up.then_some(latest)).max();
        Some(patience.unwrap_or(enough).clamp(enough, latest))
    }
}

impl Stage for Selection {
    fn step(&self) -> (&'static str, u8) {
        ("selection", 0)
    }

    fn ends(&self, desk: &Desk) -> Option<Time> {
        let adopted = desk.plans.front()?;
        let expiry = adopted.expires().after(Duration(1));
        let moments = [
            Some(self.opened),
            Some(expiry),
            self.goes_on(adopted, desk),
            desk.registry.next_return(desk.now),
            adopted.next_asking(desk.now),
            handover::ends(desk),
        ];
        let later = moments.into_iter().flatten().filter(|&at| at > desk.now);
        later.min()
    }

    fn conclude(&self, desk: &mut Desk) -> Option<CoordinatorRecord> {
        let adopted = desk.plans.front()?;
        if desk.is_over(adopted) {
            return Some(CoordinatorRecord::PlanEnded(adopted.id));
        }
        if desk.now < self.opened || desk.now < self.goes_on(adopted, desk)? {
            return None;
        }
        let Some(epoch) = desk.epoch.as_ref().filter(|epoch| is_held(epoch, desk)) else {
            return Some(CoordinatorRecord::EpochOpened(roster(desk)));
        };
        let members = epoch.members.clone();
        let mut ready = ready(adopted, desk);
        if adopted.plan().work.kind() == Kind::Risk {
            ready = handover::keyed(ready, desk)?;
        }
        let seats = ready
            .into_iter()
            .filter_map(|id| Some(members.member(id)?.seat));
        let manifest = Round::manifest_for(seats.collect::<Seats>(), desk)?;
        let manifest = Signed::sign(manifest, &desk.identity.key);
        Some(CoordinatorRecord::RoundOpened(desk.now, manifest))
    }

    fn nudge(&self, to: &Member, desk: &mut Desk) {
        rest::nudge_between_rounds(to, desk);
    }

    fn waiting(&self, desk: &Desk) -> Option<Waiting> {
        obstacle::find(desk.plans.front()?, desk)
    }
}

/// Banks that may sit in a roster: here, unbarred, in force, not set aside, and at our place in the
/// ledger.
fn candidates(desk: &Desk) -> impl Iterator<Item = ClientId> {
    let here = desk.registry.here().into_iter();
    here.filter(|&id| desk.registry.is_eligible(id, desk.now) && desk.is_caught_up(id))
}

/// Candidates that take part in this plan.
fn ready(adopted: &Adopted, desk: &Desk) -> Vec<ClientId> {
    candidates(desk)
        .filter(|&id| takes_part(adopted, id, desk))
        .collect()
}

/// Whether a bank did not decline this plan, and is not left out for what it complained.
fn takes_part(adopted: &Adopted, id: ClientId, desk: &Desk) -> bool {
    let left_out = || {
        let epoch = desk.epoch.as_ref()?;
        let seat = epoch.members.member(id)?.seat;
        Some(epoch.complaints.leave_out(seat))
    };
    !adopted.is_declined_by(id, desk.now) && left_out() != Some(true)
}

/// Whether every candidate holds this epoch's keys.
fn is_held(epoch: &Epoch, desk: &Desk) -> bool {
    candidates(desk)
        .all(|id| epoch.members.member(id).is_some() && desk.registry.holds(id, epoch.name()))
}

/// The next roster: all candidates, ascending by identity.
fn roster(desk: &Desk) -> Signed<Roster> {
    let members = candidates(desk).filter_map(|id| desk.registry.credential(id).cloned());
    let roster = Roster {
        epoch: EpochId(desk.epochs.0.saturating_add(1)),
        members: members.collect(),
    };
    Signed::sign(roster, &desk.identity.key)
}
