//! Many payments at once, answers in their order. All payments of an account are dealt to one lane,
//! and each lane asks one at a time, so that an account's payments reach the agent as they stand.
//! To which lane each was dealt is told in turn, and answers are taken from the lanes by that: so
//! the order needs no sorting, and no more wait than each lane holds.

use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use host::shutdown::Shutdown;

use super::CommandError;
use super::poster::{Halt, Outcome, Poster};
use super::source::{Payment, Source};

/// How a run came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// All of the input was gone through.
    Whole,
    /// Somebody broke off before.
    Early,
}

/// What became of a payment.
pub(super) struct Spoken {
    /// Its line.
    pub(super) line: u64,
    /// Its id as far as it could be read.
    pub(super) txn_id: Option<String>,
    /// An answer or a problem.
    pub(super) outcome: Outcome,
}

/// Asks for every payment of the source, and gives what was said to `each`, in their order. Where
/// the process is to go, what was dealt out is still asked for. An error triggers the shutdown, so
/// that nothing goes on behind it.
///
/// # Errors
/// [`CommandError::Unreachable`] where the agent is lost, [`CommandError`] where the input cannot
/// be read on, and the first error of `each`. Earlier payments were given.
pub(super) fn run(
    source: Source,
    poster: &Poster,
    connections: u16,
    shutdown: &Shutdown,
    each: impl FnMut(&Spoken) -> Result<(), CommandError>,
) -> Result<Ended, CommandError> {
    let (mut dealing, mut lanes, mut answers) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..connections {
        let (deal, payments) = sync_channel(LANE_MAX);
        let (say, said) = sync_channel(LANE_MAX);
        dealing.push(deal);
        lanes.push((payments, say));
        answers.push(said);
    }
    let (tell, turns) = sync_channel(usize::from(connections) * LANE_MAX);
    let token = shutdown.clone();
    let reader = thread::Builder::new()
        .name("payments".to_owned())
        .spawn(move || deal(source, (&dealing, &tell), &token))
        .map_err(CommandError::Runtime)?;
    let drained = thread::scope(|scope| {
        for (payments, say) in lanes {
            scope.spawn(move || ask(poster, &payments, &say, shutdown));
        }
        let drained = drain((turns, answers), poster, shutdown, each);
        if drained.is_err() {
            shutdown.trigger();
        }
        drained
    });
    let drained = drained?;
    if shutdown.is_triggered() && !reader.is_finished() {
        // It may wait for a line that nobody writes any more; the process ends without it.
        return Ok(Ended::Early);
    }
    let read = match reader.join() {
        Ok(read) => read?,
        Err(panic) => std::panic::resume_unwind(panic),
    };
    Ok(match (drained, read) {
        (Ended::Whole, Ended::Whole) => Ended::Whole,
        (Ended::Early, Ended::Whole | Ended::Early) | (Ended::Whole, Ended::Early) => Ended::Early,
    })
}

/// Deals payments out, and tells whose turn each was, until they end or somebody breaks off.
fn deal(
    source: Source,
    (lanes, turns): (&[SyncSender<Payment>], &SyncSender<usize>),
    shutdown: &Shutdown,
) -> Result<Ended, CommandError> {
    source.read(|payment| {
        if shutdown.is_triggered() {
            return ControlFlow::Break(());
        }
        let lane = (payment.queue % lanes.len() as u64) as usize;
        // Told after it was dealt: who waits for the answer of a turn waits for a lane that has it.
        match lanes[lane].send(payment).is_ok() && turns.send(lane).is_ok() {
            true => ControlFlow::Continue(()),
            // The lane has closed: who takes the answers has gone.
            false => ControlFlow::Break(()),
        }
    })
}

/// One lane: a payment after the other.
fn ask(
    poster: &Poster,
    payments: &Receiver<Payment>,
    say: &SyncSender<Result<Spoken, Halt>>,
    shutdown: &Shutdown,
) {
    while let Some(payment) = next(payments, shutdown) {
        let Payment {
            line, txn_id, body, ..
        } = payment;
        let outcome = match body {
            Ok(body) => poster.ask(&body, shutdown),
            Err(problem) => Ok(Outcome::Refused(problem)),
        };
        let is_over = outcome.is_err();
        let spoken = outcome.map(|outcome| Spoken {
            line,
            txn_id,
            outcome,
        });
        if say.send(spoken).is_err() || is_over {
            return;
        }
    }
}

/// A lane's next payment, or the next turn; none where all were dealt, or none is dealt any more.
fn next<T>(dealt: &Receiver<T>, shutdown: &Shutdown) -> Option<T> {
    loop {
        match dealt.recv_timeout(LOOK_UP) {
            Ok(next) => return Some(next),
            Err(RecvTimeoutError::Disconnected) => return None,
            // What was dealt just before the word came is still asked for.
            Err(RecvTimeoutError::Timeout) if shutdown.is_triggered() => {
                return dealt.try_recv().ok();
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// Takes what the lanes say, in turn. The receivers go with this call, which closes the lanes.
fn drain(
    (turns, answers): (Receiver<usize>, Vec<Receiver<Result<Spoken, Halt>>>),
    poster: &Poster,
    shutdown: &Shutdown,
    mut each: impl FnMut(&Spoken) -> Result<(), CommandError>,
) -> Result<Ended, CommandError> {
    while let Some(lane) = next(&turns, shutdown) {
        match answers[lane].recv() {
            Ok(Ok(spoken)) => each(&spoken)?,
            Ok(Err(Halt::Told)) => return Ok(Ended::Early),
            Ok(Err(Halt::Lost(why))) => return Err(poster.unreachable(why)),
            // It was told to go before it came to this payment.
            Err(_) => return Ok(Ended::Early),
        }
    }
    Ok(Ended::Whole)
}

/// Payments that wait before a lane, and answers behind it: accounts fall on lanes unevenly, and so
/// many that one gets in a row do not hold up the others.
const LANE_MAX: usize = 8;

/// How long who waits for payments does not hear that the process is to go.
const LOOK_UP: Duration = Duration::from_millis(100);
