//! `drive`: the one loop that gives a party a body. It keeps the contract of
//! [`protocol::party::Output`] and decides nothing.

use protocol::party::{Output, Party};
use tokio::sync::mpsc;

use crate::clock::Clock;
use crate::quic::Place;
use crate::shutdown::Shutdown;

/// What comes to a party from outside.
pub enum Input<P: Party> {
    /// A message from a peer, and the room its frame took: free again once all that follows from
    /// it is carried out. Messages that wait here then take no more than frames may.
    Frame(P::Peer, P::Incoming, Place),
    /// What the host itself tells of a peer: it came, or it is gone.
    Message(P::Peer, P::Incoming),
    /// The end of a task.
    Outcome(P::Outcome),
}

/// What a process does for its party.
pub trait Body<P: Party> {
    /// Why it cannot go on: the disk.
    type Error;

    /// Appends a record. It need not be durable before `settle`.
    ///
    /// # Errors
    /// Where the record cannot be kept; the process must leave.
    fn persist(&mut self, record: P::Record) -> Result<(), Self::Error>;

    /// Makes every appended record durable.
    ///
    /// # Errors
    /// Where the records cannot be kept; the process must leave.
    fn settle(&mut self) -> Result<(), Self::Error>;

    /// Says a message to a peer; may drop it where the peer is gone or slow.
    fn send(&mut self, to: P::Peer, message: P::Outgoing);

    /// Begins a task; its outcome comes back as an [`Input::Outcome`]. What the task says must be
    /// durable is so when this returns.
    ///
    /// # Errors
    /// Where it cannot be; the process must leave.
    fn perform(&mut self, task: P::Task) -> Result<(), Self::Error>;

    /// Writes the log line and counts the metric of an event.
    fn report(&mut self, event: P::Event);
}

/// Carries `party` until `shutdown` or until its last input is gone.
///
/// Records that follow each other are made durable together, before anything that comes after.
///
/// # Errors
/// The body's, where a record could not be kept.
pub async fn drive<P: Party, B: Body<P>>(
    party: &mut P,
    body: &mut B,
    inputs: &mut mpsc::Receiver<Input<P>>,
    clock: Clock,
    shutdown: &Shutdown,
) -> Result<(), B::Error> {
    let mut place = None;
    loop {
        carry_out(party, body)?;
        drop(place.take());
        let timeout = party.next_timeout().map(|at| clock.instant(at));
        let input = tokio::select! {
            biased;
            () = shutdown.triggered() => return Ok(()),
            input = inputs.recv() => match input {
                Some(input) => Some(input),
                None => return Ok(()),
            },
            () = sleep_until(timeout) => None,
        };
        match input {
            Some(Input::Frame(from, message, room)) => {
                place = Some(room);
                party.handle_message(clock.now(), from, message);
            }
            Some(Input::Message(from, message)) => {
                party.handle_message(clock.now(), from, message);
            }
            Some(Input::Outcome(outcome)) => party.handle_outcome(clock.now(), outcome),
            None => party.handle_timeout(clock.now()),
        }
    }
}

/// Carries out what a party says by itself: after its recovery, what it knows already. [`drive`]
/// goes on from there.
///
/// # Errors
/// The body's, where a record could not be kept.
pub fn carry_out<P: Party, B: Body<P>>(party: &mut P, body: &mut B) -> Result<(), B::Error> {
    let mut unsettled = false;
    while let Some(output) = party.poll_output() {
        if unsettled && !matches!(output, Output::Persist(_)) {
            body.settle()?;
            unsettled = false;
        }
        match output {
            Output::Persist(record) => {
                body.persist(record)?;
                unsettled = true;
            }
            Output::Send { to, message } => body.send(to, message),
            Output::Perform(task) => body.perform(task)?,
            Output::Report(event) => body.report(event),
        }
    }
    if unsettled { body.settle() } else { Ok(()) }
}

async fn sleep_until(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use protocol::party::Outbox;
    use protocol::time::Time;

    use super::*;

    /// Has two records kept, and says so.
    struct Speaker(Outbox<Self>);

    impl Speaker {
        fn new() -> Self {
            let mut outbox = Outbox::default();
            outbox.persist("first");
            outbox.persist("second");
            outbox.send((), "said");
            Self(outbox)
        }
    }

    impl Party for Speaker {
        type Peer = ();
        type Incoming = ();
        type Outgoing = &'static str;
        type Task = ();
        type Outcome = ();
        type Record = &'static str;
        type Event = ();

        fn handle_message(&mut self, _: Time, (): (), (): ()) {}

        fn handle_outcome(&mut self, _: Time, (): ()) {}

        fn handle_timeout(&mut self, _: Time) {}

        fn next_timeout(&self) -> Option<Time> {
            None
        }

        fn poll_output(&mut self) -> Option<Output<Self>> {
            self.0.pop()
        }
    }

    /// Refuses one thing, and notes the others.
    struct Disk {
        refused: &'static str,
        done: Vec<&'static str>,
    }

    impl Disk {
        fn act(&mut self, what: &'static str) -> Result<(), &'static str> {
            if what == self.refused {
                return Err(what);
            }
            self.done.push(what);
            Ok(())
        }
    }

    impl Body<Speaker> for Disk {
        type Error = &'static str;

        fn persist(&mut self, record: &'static str) -> Result<(), &'static str> {
            self.act(record)
        }

        fn settle(&mut self) -> Result<(), &'static str> {
            self.act("settled")
        }

        fn send(&mut self, (): (), message: &'static str) {
            self.done.push(message);
        }

        fn perform(&mut self, (): ()) -> Result<(), &'static str> {
            Ok(())
        }

        fn report(&mut self, (): ()) {}
    }

    // What may be contradicted later must not be said. Planted fault: a `settle` whose error goes
    // unheard.
    #[tokio::test]
    async fn a_record_that_cannot_be_kept_ends_the_process_before_anything_is_said_of_it() {
        let whole = ["first", "second", "settled", "said"];
        for (refused, done) in [
            ("first", 0),
            ("second", 1),
            ("settled", 2),
            ("nothing", whole.len()),
        ] {
            let mut disk = Disk {
                refused,
                done: Vec::new(),
            };
            let (inputs, mut received) = mpsc::channel(1);
            drop(inputs);
            let (mut party, shutdown) = (Speaker::new(), Shutdown::default());
            let ended = drive(
                &mut party,
                &mut disk,
                &mut received,
                Clock::start(),
                &shutdown,
            );
            let expected = match done == whole.len() {
                true => Ok(()),
                false => Err(refused),
            };
            assert_eq!(ended.await, expected);
            assert_eq!(disk.done, whole[..done]);
        }
    }
}
