//! Handover: the banks' bucket key goes from a member that holds it to those that lack it, sealed,
//! past us (PROTOCOL.md §3). We know commitments, which say who holds the same, and no key. Who is
//! to draw and who to seal is decided here, from what the members said of themselves, anew each
//! time: nothing is recorded, and after a restart everything is asked again.

use std::collections::{BTreeMap, BTreeSet};

use crypto::Digest;

use crate::blame::Misbehaviour;
use crate::bucket::SEALED_BYTES;
use crate::coordinator::desk::Desk;
use crate::coordinator::epoch::{Epoch, Member};
use crate::event::CoordinatorEvent;
use crate::id::{ClientId, PlanId, Seat, Seats};
use crate::message::{self, Holding, KeyComplaint, SealedKey, ToClient};
use crate::record::CoordinatorRecord;
use crate::signed::Signed;
use crate::time::Time;

/// What is under way in an epoch.
#[derive(Debug, Default)]
pub(crate) struct Handover {
    /// By receiver.
    sealed: BTreeMap<Seat, Signed<SealedKey>>,
    /// Who will not get it from whom, after a complaint or in vain: receiver and sender.
    refused: BTreeSet<(Seat, Seat)>,
    /// Until when a plan's round waits for those that lack the key.
    until: Option<(PlanId, Time)>,
}

/// The members that count merchants, what each holds, and which key it is to be.
struct Takers<'a> {
    members: Vec<(&'a Member, Option<Digest>)>,
    wanted: Option<Digest>,
    handover: &'a Handover,
}

impl Takers<'_> {
    /// Who draws, where there is no key yet: the lowest seat.
    fn drawer(&self) -> Option<Seat> {
        let (member, _) = self.members.first()?;
        self.wanted.is_none().then_some(member.seat)
    }

    fn lacking(&self) -> impl Iterator<Item = &Member> {
        let lacks = |holds: &Option<Digest>| holds.is_none() || *holds != self.wanted;
        let lacking = self.members.iter().filter(move |(_, holds)| lacks(holds));
        lacking.map(|(member, _)| *member)
    }

    /// From whom a member is to get it: the lowest seat that holds it, but for those that it
    /// complained about or waited for in vain.
    fn sender(&self, to: Seat) -> Option<Seat> {
        self.wanted.map_or_else(
            || self.drawer(),
            |wanted| {
                let holders = self.members.iter();
                let mut holders = holders.filter(|(_, holds)| *holds == Some(wanted));
                let is_free = |from| !self.handover.refused.contains(&(to, from));
                let holder = holders.find(|(member, _)| is_free(member.seat))?;
                Some(holder.0.seat)
            },
        )
    }

    /// What is on its way to a member.
    fn sealed(&self, to: Seat) -> Option<&Signed<SealedKey>> {
        let sealed = self.handover.sealed.get(&to)?;
        (Some(sealed.unverified().commitment) == self.wanted).then_some(sealed)
    }

    /// For whom a member is asked to seal the key; an empty set where it is only to draw one.
    fn asked_of(&self, from: Seat) -> Option<Seats> {
        let waits = |to: &&Member| {
            to.seat != from && self.sealed(to.seat).is_none() && self.sender(to.seat) == Some(from)
        };
        let to: Seats = self.lacking().filter(waits).map(|to| to.seat).collect();
        (!to.is_empty() || self.drawer() == Some(from)).then_some(to)
    }

    /// Whose fault it is that a member lacks the key: the one that did not seal it, or the
    /// receiver's own where it was sealed.
    fn fault(&self, to: Seat) -> Option<Seat> {
        match self.sealed(to) {
            Some(_) => Some(to),
            None => self.sender(to),
        }
    }
}

/// The bucket key that risk counts are to be made under: the ledger's; before there is a result,
/// the one that the lowest seat of its holders has.
pub(crate) fn wanted(desk: &Desk) -> Option<Digest> {
    takers(desk.epoch.as_ref()?, desk).wanted
}

/// Whether the counts stand under a key that no member which is here holds: one comes back with
/// it, or no more is counted.
pub(crate) fn is_lost(desk: &Desk) -> bool {
    let Some(epoch) = &desk.epoch else {
        return false;
    };
    let takers = takers(epoch, desk);
    let stands = desk.ledger.bucket_key();
    stands.is_some() && takers.members.iter().all(|(_, holds)| *holds != stands)
}

/// Says to a member what it is to seal, and what was sealed for it.
pub(crate) fn nudge(to: &Member, desk: &mut Desk) {
    let Some(epoch) = &desk.epoch else {
        return;
    };
    let takers = takers(epoch, desk);
    let asked = takers.asked_of(to.seat).map(|seats| {
        ToClient::Handover(message::Handover {
            epoch: epoch.id,
            roster: epoch.root,
            to: seats,
        })
    });
    let lacks = takers.lacking().any(|member| member.seat == to.seat);
    let sealed = takers.sealed(to.seat).filter(|_| lacks);
    let sealed = sealed.map(|sealed| ToClient::SealedKey(Box::new(sealed.clone())));
    for message in asked.into_iter().chain(sealed) {
        desk.out.send(to.id, message);
    }
}

/// Of those ready for a round of the plan that runs, the ones that hold the wanted key. None while
/// it is worth waiting for the others: as long as for an agreement, since it is the last part of
/// one. Whoever kept them waiting then sits out.
pub(crate) fn keyed(ready: Vec<ClientId>, desk: &mut Desk) -> Option<Vec<ClientId>> {
    let now = desk.now;
    let adopted = desk.plans.front()?;
    let (plan, span) = (adopted.id, adopted.plan().deadlines.agreement);
    let takers = takers(desk.epoch.as_ref()?, desk);
    let waiting: Vec<_> = takers
        .lacking()
        .filter(|member| ready.contains(&member.id))
        .cloned()
        .collect();
    let fault = |member: &Member| Some((member.seat, takers.fault(member.seat)?));
    let faults: Vec<(Seat, Seat)> = waiting.iter().filter_map(fault).collect();
    let until = desk.epoch.as_mut().map(|epoch| &mut epoch.handover.until)?;
    if waiting.is_empty() {
        *until = None;
        return Some(ready);
    }
    let running = until.filter(|(of, _)| *of == plan);
    let Some((_, end)) = running else {
        *until = Some((plan, now.after(span)));
        let count = u16::try_from(waiting.len()).unwrap_or(u16::MAX);
        desk.out.report(CoordinatorEvent::BucketKeyAwaited(count));
        nudge_all(desk);
        return None;
    };
    if now < end {
        return None;
    }
    *until = None;
    let faulty = note_faults(&faults, desk);
    let takers = self::takers(desk.epoch.as_ref()?, desk);
    let has_another = |member: &Member| {
        let lacks = takers.lacking().any(|of| of.seat == member.seat);
        lacks && takers.sender(member.seat).is_some()
    };
    if waiting.iter().any(has_another) {
        // Ends: each time, a receiver has one sender less.
        desk.epoch.as_mut()?.handover.until = Some((plan, now.after(span)));
        nudge_all(desk);
        return None;
    }
    let is_keyed =
        |id: &ClientId| !faulty.contains(id) && waiting.iter().all(|member| member.id != *id);
    Some(ready.into_iter().filter(is_keyed).collect())
}

/// Whoever kept a receiver waiting is set aside, and asked for that receiver no more.
fn note_faults(faults: &[(Seat, Seat)], desk: &mut Desk) -> BTreeSet<ClientId> {
    let Some(epoch) = &mut desk.epoch else {
        return BTreeSet::new();
    };
    let of_others = faults.iter().filter(|(to, at)| to != at);
    epoch.handover.refused.extend(of_others);
    let members = &epoch.members;
    let faulty = faults
        .iter()
        .filter_map(|(_, at)| Some(members.at(*at)?.id));
    let faulty: BTreeSet<ClientId> = faulty.collect();
    for id in &faulty {
        desk.registry.set_aside(*id, desk.now);
    }
    faulty
}

/// When the wait of [`keyed`] ends.
pub(crate) fn ends(desk: &Desk) -> Option<Time> {
    let (_, end) = desk.epoch.as_ref()?.handover.until?;
    Some(end)
}

/// A member sealed the key for others: passed on at once, and kept until they have it.
///
/// # Errors
/// What the member did wrong.
pub(crate) fn on_sealed_keys(
    from: &Member,
    list: Vec<Signed<SealedKey>>,
    desk: &mut Desk,
) -> Result<Option<CoordinatorRecord>, Misbehaviour> {
    let Some(epoch) = &desk.epoch else {
        return Ok(None);
    };
    let is_late = |sealed: &Signed<SealedKey>| sealed.unverified().epoch < epoch.id;
    if list.iter().any(is_late) {
        return Ok(None);
    }
    check_sealed_keys(from, &list, epoch)?;
    let takers = takers(epoch, desk);
    let wanted = takers.wanted;
    // Who has one waiting, or is to get it from another, is passed over: nobody hands over unasked.
    let waits = |to: &&Member| {
        takers.sealed(to.seat).is_none() && takers.sender(to.seat) == Some(from.seat)
    };
    let waiting: Vec<_> = takers.lacking().filter(waits).cloned().collect();
    for sealed in list {
        let body = sealed.unverified();
        let to = waiting.iter().find(|member| member.seat == body.to);
        // Of another key it is late: the wanted one has changed since it was asked for.
        let Some(to) = to.filter(|_| Some(body.commitment) == wanted) else {
            continue;
        };
        let boxed = Box::new(sealed.clone());
        desk.out.send(to.id, ToClient::SealedKey(boxed));
        if let Some(epoch) = &mut desk.epoch {
            epoch.handover.sealed.insert(to.seat, sealed);
        }
    }
    Ok(None)
}

/// A member complains about what was sealed for it. Only the two can see who is right. The accused
/// is counted; the accuser is not, as for escrows it is: two liars could hand garbage to everybody,
/// and one that complains for nothing only goes without. It gets the key from another.
///
/// # Errors
/// What the member did wrong.
pub(crate) fn on_complaint(
    from: &Member,
    complaint: Signed<KeyComplaint>,
    desk: &mut Desk,
) -> Result<Option<CoordinatorRecord>, Misbehaviour> {
    let Some(epoch) = &mut desk.epoch else {
        return Ok(None);
    };
    let complaint = complaint
        .verify(&from.key)
        .map_err(|_| Misbehaviour::Signature("key complaint"))?;
    if complaint.epoch < epoch.id {
        return Ok(None);
    }
    if (complaint.epoch, complaint.roster) != epoch.name() {
        return Err(Misbehaviour::Context("key complaint"));
    }
    if complaint.from != from.seat {
        return Err(Misbehaviour::Stranger(complaint.from, "key complaint"));
    }
    let about = complaint.about;
    let sealed = epoch.handover.sealed.get(&from.seat);
    if sealed.is_none_or(|sealed| sealed.unverified().from != about) {
        // Said twice, or overtaken by another's.
        return Ok(None);
    }
    epoch.handover.sealed.remove(&from.seat);
    epoch.handover.refused.insert((from.seat, about));
    epoch.complaints.note_accused(about, from.seat);
    if let Some(accused) = epoch.members.at(about).cloned() {
        desk.blame(accused.id, Misbehaviour::BucketKey(about));
    }
    Ok(None)
}

fn check_sealed_keys(
    from: &Member,
    list: &[Signed<SealedKey>],
    epoch: &Epoch,
) -> Result<(), Misbehaviour> {
    let (found, allowed) = (list.len() as u64, epoch.members.len() as u64);
    if found > allowed {
        return Err(Misbehaviour::Oversized(
            "sealed bucket keys",
            found,
            allowed,
        ));
    }
    if !list.is_sorted_by(|a, b| a.unverified().to < b.unverified().to) {
        let why = "receivers are not ascending, or repeat";
        return Err(Misbehaviour::Malformed("sealed bucket keys", why));
    }
    for signed in list {
        let body = signed.unverified();
        if (body.epoch, body.roster) != epoch.name() {
            return Err(Misbehaviour::Context("sealed bucket key"));
        }
        if body.from != from.seat || body.to == from.seat || epoch.members.at(body.to).is_none() {
            return Err(Misbehaviour::Stranger(body.to, "sealed bucket keys"));
        }
        if body.sealed.len() != SEALED_BYTES {
            return Err(Misbehaviour::Malformed("sealed bucket key", "length"));
        }
        let verified = signed.clone().verify(&from.key);
        verified.map_err(|_| Misbehaviour::Signature("sealed bucket key"))?;
    }
    Ok(())
}

fn takers<'a>(epoch: &'a Epoch, desk: &Desk) -> Takers<'a> {
    let is_in = |member: &&Member| {
        desk.registry.is_eligible(member.id, desk.now)
            && desk.registry.holds(member.id, epoch.name())
            && !epoch.complaints.leave_out(member.seat)
    };
    let taker = |member: &'a Member| match desk.registry.bucket_key(member.id)? {
        Holding::Unwanted => None,
        Holding::Lacking => Some((member, None)),
        Holding::Held(commitment) => Some((member, Some(commitment))),
    };
    let members: Vec<_> = epoch
        .members
        .iter()
        .filter(is_in)
        .filter_map(taker)
        .collect();
    let first = members.iter().find_map(|(_, holds)| *holds);
    Takers {
        wanted: desk.ledger.bucket_key().or(first),
        members,
        handover: &epoch.handover,
    }
}

fn nudge_all(desk: &mut Desk) {
    let Some(members) = desk.epoch.as_ref().map(|epoch| epoch.members.clone()) else {
        return;
    };
    for member in members.iter() {
        nudge(member, desk);
    }
}
