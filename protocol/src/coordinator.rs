//! `Coordinator`: the consortium operator's side of the protocol. It carries keys, escrows and
//! masked vectors between banks it need not be trusted by, and learns sums. The round is
//! `coordinator/phase.rs`; what is kept whatever the phase is `coordinator/desk.rs`.

use std::collections::VecDeque;

use crypto::mask::Workers;

use crate::blame::Refusal;
use crate::event::CoordinatorEvent;
use crate::id::ClientId;
use crate::limits::HEARTBEAT_MS;
use crate::message::{CheckIn, Declined, ToClient, ToCoordinator};
use crate::operator::Waiting;
use crate::party::{Output, Party};
use crate::record::CoordinatorRecord;
use crate::time::{Duration, Time};

mod audits;
mod catch_up;
mod desk;
mod epoch;
mod handover;
mod history;
mod operator;
mod phase;
mod plans;
mod reading;
mod recover;
mod registry;
mod round;
mod survived;

#[cfg(test)]
mod tests;

pub use reading::{Read, Reading, Stretches};
pub use recover::RecoverError;

use desk::Desk;
use epoch::Member;
use phase::Phase;

/// The consortium operator's side of the protocol.
///
/// It draws no chance: equal inputs give equal outputs.
pub struct Coordinator {
    phase: Phase,
    desk: Desk,
    /// Members who are told what they lack once the outputs before are carried out, one by one:
    /// an escrow bundle is said to everybody and is nobody else's, so all at once would be n².
    untold: VecDeque<ClientId>,
}

/// What the coordinator hears from a connection.
#[derive(Clone, Debug, PartialEq)]
pub enum FromPeer {
    /// The party behind the connection says something.
    Message(ToCoordinator),
    /// The connection ended.
    Gone,
}

/// What is set where the coordinator runs, and concerns nobody's privacy.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// With so many banks ready nobody waits for more.
    pub banks_expected: Option<u16>,
    /// How long a phase waits for a client whose connection ended: time to dial again.
    pub grace: Duration,
    /// Between an attempt that failed and the next one, at least 1 ms.
    pub pause: Duration,
    /// Who takes the masks off a sum. A bank puts its own on alone: its other cores score live
    /// payments.
    pub workers: Workers,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            banks_expected: None,
            grace: Duration(3 * HEARTBEAT_MS),
            pause: Duration(HEARTBEAT_MS),
            workers: Workers::ALONE,
        }
    }
}

impl Coordinator {
    /// Makes a decision durable, then acts on it.
    fn remember(&mut self, record: CoordinatorRecord) {
        self.desk.out.persist(record.clone());
        let before = self.phase.stage().step();
        self.phase = std::mem::take(&mut self.phase)
            .apply(record, &mut self.desk)
            .expect("a phase decides nothing that the diagram does not hold");
        let after = self.phase.stage().step();
        if before.0 != after.0 {
            self.desk
                .out
                .report(CoordinatorEvent::PhaseEntered(after.0));
        }
        if before != after {
            self.nudge_all();
        }
    }

    /// Lets the phases move on as far as they can. Ends, since a phase that just opened waits for
    /// its members, and an attempt that just failed for the pause after it. What keeps a waiting
    /// plan is told once, not with every bank that comes or goes.
    fn settle(&mut self) {
        while let Some(record) = self.phase.stage().conclude(&mut self.desk) {
            self.remember(record);
        }
        let waiting = self.phase.stage().waiting(&self.desk);
        let told = std::mem::replace(&mut self.desk.waiting, waiting);
        if waiting.map(Waiting::matter) != told.map(Waiting::matter) {
            self.desk.out.report(CoordinatorEvent::Waiting(waiting));
        }
    }

    /// Has every member told what it lacks in the phase as it is then.
    fn nudge_all(&mut self) {
        let members = self.phase.members(&self.desk);
        let members = members.iter().flat_map(|members| members.iter());
        self.untold = members.map(|member| member.id).collect();
    }

    /// Says to a member whatever it lacks. One without the epoch's keys is past helping.
    fn nudge(&mut self, member: &Member) {
        let is_here = self.desk.registry.is_here(member.id);
        let epoch = self.desk.epoch.as_ref().map(epoch::Epoch::name);
        let has_lost = epoch.is_some_and(|epoch| self.desk.registry.has_lost(member.id, epoch));
        if is_here && !has_lost {
            self.phase.stage().nudge(member, &mut self.desk);
        }
    }

    fn member(&self, id: ClientId) -> Option<Member> {
        self.phase.members(&self.desk)?.member(id).cloned()
    }

    fn on_check_in(&mut self, from: ClientId, said: &CheckIn) {
        match self.desk.admit(from, said) {
            Ok(()) => {
                self.desk.welcome(from);
                if let Some(member) = self.member(from) {
                    self.nudge(&member);
                }
            }
            Err(refusal) => self.desk.out.send(from, ToClient::Refused(refusal)),
        }
    }

    fn on_declined(&mut self, from: ClientId, said: Declined) {
        let Some(member) = self.member(from) else {
            return;
        };
        if self.phase.withdraw(&member, &said, &mut self.desk) {
            self.desk.registry.note_refusal(from, said.refusal.clone());
            let event = CoordinatorEvent::Declined(from, said.refusal);
            self.desk.out.report(event);
        }
    }

    /// A message of a phase. Without a seat it concerns nobody.
    fn on_message(&mut self, from: ClientId, message: ToCoordinator) {
        let Some(member) = self.member(from) else {
            return;
        };
        match self.phase.hear(&member, message, &mut self.desk) {
            Ok(Some(record)) => self.remember(record),
            Ok(None) => {}
            Err(misbehaviour) => self.desk.blame(from, misbehaviour),
        }
    }

    fn on_gone(&mut self, from: ClientId) {
        if self.desk.registry.leave(self.desk.now, from) {
            self.desk.out.report(CoordinatorEvent::ClientLeft(from));
        }
    }
}

impl Party for Coordinator {
    /// A connection's certificate. Bank or operator is a matter of the credential that is shown.
    type Peer = ClientId;
    type Incoming = FromPeer;
    type Outgoing = ToClient;
    type Task = Reading;
    type Outcome = Read;
    type Record = CoordinatorRecord;
    type Event = CoordinatorEvent;

    fn handle_message(&mut self, now: Time, from: ClientId, message: FromPeer) {
        self.desk.now = now;
        let is_here = self.desk.registry.is_here(from);
        match message {
            FromPeer::Gone => self.on_gone(from),
            FromPeer::Message(ToCoordinator::Operator(message)) => self.on_operator(from, *message),
            FromPeer::Message(ToCoordinator::CheckIn(said)) => self.on_check_in(from, &said),
            FromPeer::Message(ToCoordinator::Declined(said)) if is_here => {
                self.on_declined(from, said);
            }
            FromPeer::Message(ToCoordinator::Audit(asked)) if is_here => {
                self.desk.audits.on_request(from, asked, &mut self.desk.out);
            }
            FromPeer::Message(message) if is_here => self.on_message(from, message),
            FromPeer::Message(_) if self.desk.registry.is_barred(from) => {
                let refused = ToClient::Refused(Refusal::Barred);
                self.desk.out.send(from, refused);
            }
            // Before its check-in nobody is anybody; the check-in will bring the rest again.
            FromPeer::Message(_) => {}
        }
        self.settle();
    }

    fn handle_outcome(&mut self, now: Time, outcome: Read) {
        self.desk.now = now;
        self.desk.on_read(outcome);
    }

    fn handle_timeout(&mut self, now: Time) {
        self.desk.now = now;
        self.settle();
    }

    fn next_timeout(&self) -> Option<Time> {
        // What could happen by now has happened.
        let ends = self.phase.stage().ends(&self.desk);
        ends.filter(|&at| at > self.desk.now)
    }

    fn poll_output(&mut self) -> Option<Output<Self>> {
        loop {
            if let Some(output) = self.desk.out.pop() {
                return Some(output);
            }
            let next = self.untold.pop_front()?;
            if let Some(member) = self.member(next) {
                self.nudge(&member);
            }
        }
    }
}
