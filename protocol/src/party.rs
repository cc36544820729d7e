//! `Party`: one side of the protocol as a state machine without a world, and `Output`: what it
//! asks of its host. Both sides implement it; `host::drive` and the simulator carry it.

use std::collections::VecDeque;

use crate::time::Time;

/// One side of the protocol, as a state machine without a world.
///
/// Call order: any `handle_*`, then `poll_output` until it is empty, then wait for the next input
/// or for `next_timeout`. No input can make a party fail: what a peer sends wrongly becomes an
/// event.
pub trait Party: Sized {
    /// Who may send to it.
    type Peer;
    /// What it hears.
    type Incoming;
    /// What it says.
    type Outgoing;
    /// Work it asks for that takes long or needs the institution's data.
    type Task;
    /// What came of that work.
    type Outcome;
    /// What it must remember.
    type Record;
    /// What it reports.
    type Event;

    /// A message arrived.
    fn handle_message(&mut self, now: Time, from: Self::Peer, message: Self::Incoming);
    /// A task ended.
    fn handle_outcome(&mut self, now: Time, outcome: Self::Outcome);
    /// Time passed: called at or after `next_timeout`.
    fn handle_timeout(&mut self, now: Time);
    /// When it wants `handle_timeout` next.
    fn next_timeout(&self) -> Option<Time>;
    /// The next thing it asks of its host.
    fn poll_output(&mut self) -> Option<Output<Self>>;
}

/// What a party asks of its host.
///
/// Outputs are carried out in order, and a record is durable before the next output begins.
pub enum Output<P: Party> {
    /// Remember this, durably, before anything after it.
    Persist(P::Record),
    /// Say this to a peer. May be lost; both sides repeat themselves.
    Send {
        /// To whom.
        to: P::Peer,
        /// What.
        message: P::Outgoing,
    },
    /// Begin this work; its outcome comes back through `handle_outcome`.
    Perform(P::Task),
    /// Tell the operator.
    Report(P::Event),
}

/// Outputs that wait for the host, first in first out.
pub struct Outbox<P: Party>(VecDeque<Output<P>>);

impl<P: Party> Default for Outbox<P> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<P: Party> Outbox<P> {
    /// Queues [`Output::Persist`].
    pub fn persist(&mut self, record: P::Record) {
        self.0.push_back(Output::Persist(record));
    }

    /// Queues [`Output::Send`].
    pub fn send(&mut self, to: P::Peer, message: P::Outgoing) {
        self.0.push_back(Output::Send { to, message });
    }

    /// Queues [`Output::Perform`].
    pub fn perform(&mut self, task: P::Task) {
        self.0.push_back(Output::Perform(task));
    }

    /// Queues [`Output::Report`].
    pub fn report(&mut self, event: P::Event) {
        self.0.push_back(Output::Report(event));
    }

    /// What waits, oldest first.
    #[cfg(test)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Output<P>> {
        self.0.iter()
    }

    /// Takes the oldest output out.
    pub fn pop(&mut self) -> Option<Output<P>> {
        self.0.pop_front()
    }
}
