//! From what lies on disk to scoring: the snapshot and what the journal got after it, or the
//! history and the whole journal. Whether the last run took its leave is found and said here, and
//! what a bank may do about requests that got no answer.

use std::time::{Duration, Instant};

use host::clock::Clock;
use host::disk::{Left, Store};
use host::shutdown::Shutdown;
use host::telemetry::Telemetry;

use super::AgentError;
use crate::config::Config;
use crate::history::History;
use crate::journal::{Expiry, Follower, Journal, Keep};
use crate::scoring::{Answer, Remembered, Scoring};
use crate::snapshot::{Keeper, Meters, Origin, Snapshots};
use crate::status::{Base, Board, RecoveryState, RecoveryStatus};

/// An agent's past, and scoring that goes on from it.
pub(super) struct Recovered {
    pub(super) history: History,
    pub(super) scoring: Scoring,
    /// For who learns from what is scored.
    pub(super) journal: Follower,
    pub(super) keeper: Keeper,
    pub(super) expiry: Expiry,
}

/// Reads history and state, replays what is not in the state, and starts scoring; takes a while.
///
/// # Errors
/// [`AgentError`] where history or journal cannot be read, or the process is to go meanwhile. A
/// snapshot that cannot be used is only logged: the journal holds everything.
pub(super) fn recover(
    config: &Config,
    store: &Store,
    telemetry: &Telemetry,
    board: &Board,
    shutdown: &Shutdown,
) -> Result<Recovered, AgentError> {
    let began = Instant::now();
    let meters = Meters::new(telemetry);
    let journal = Journal::open(store)?;
    let origin = Origin::of(&config.history, &config.schema)?;
    let snapshots = Snapshots::new(&config.store, origin);
    let (history, mut remembered, base) = begin(config, &snapshots, &journal, shutdown)?;
    let replayed = remembered.catch_up(journal.follow())?;
    let mut unsaved = None;
    if base == Base::Journal {
        match snapshots.save(&remembered, &journal.follow()) {
            Ok(bytes) => meters.profiles(bytes),
            Err(error) => {
                tracing::warn!(%error, "no snapshot was made: a start before the next one is made \
                    replays everything");
                unsaved = Some(Box::new(remembered.clone()));
            }
        }
    }
    let left = store.enter()?;
    let last_decision = last_decision(&journal);
    let (follower, old) = (journal.follow(), journal.old()?);
    let (clock, settings) = (Clock::start(), config.scoring.clone());
    let scoring = Scoring::resume(clock, settings, remembered, journal, telemetry)?;
    let took = began.elapsed();
    meters.recovered(took);
    let status = RecoveryStatus {
        state: RecoveryState::Done,
        from: Some(base),
        payments: replayed.payments,
        labels: replayed.labels,
        seconds: took.as_secs_f64(),
        unclean_stop: Some(left == Left::Abruptly),
        last_decision,
    };
    tell(&status, scoring.scored(), took);
    board.update(|of| of.recovery = status);
    let kept = (snapshots, unsaved);
    let meters = meters.telling(scoring.beside());
    let keep = Keep {
        days: config.keep_days,
    };
    let expiry = Expiry::start(keep, clock, old, (telemetry, scoring.beside()));
    let keeper = Keeper::start(config.snapshot_every, kept, follower.clone(), meters);
    Ok(Recovered {
        history,
        scoring,
        journal: follower,
        keeper: keeper.map_err(AgentError::Thread)?,
        expiry: expiry.map_err(AgentError::Thread)?,
    })
}

/// The history, and what is remembered where replay begins. With a snapshot the history is read
/// for learning alone.
fn begin(
    config: &Config,
    snapshots: &Snapshots,
    journal: &Journal,
    shutdown: &Shutdown,
) -> Result<(History, Remembered, Base), AgentError> {
    let found = snapshots.load(&journal.follow()).unwrap_or_else(|error| {
        tracing::warn!(%error, "the snapshot is not used: the whole journal is replayed");
        None
    });
    let (of, schema) = (&config.history, &config.schema);
    let (history, remembered, base) = match found {
        Some(remembered) => {
            let history = History::read(of, schema, shutdown, |_| {})?;
            (history, remembered, Base::Snapshot)
        }
        None => {
            let (history, encoder) = History::load(of, schema, shutdown)?;
            (history, Remembered::new(encoder), Base::Journal)
        }
    };
    let summary = history.summary();
    tracing::info!(
        transactions = summary.transactions,
        frauds = summary.frauds,
        from_day = summary.from_day,
        until_day = summary.until_day,
        "history read"
    );
    Ok((history, remembered, base))
}

/// The newest decision in the journal: at the start all of it is durable.
fn last_decision(journal: &Journal) -> Option<String> {
    let last = journal.len().checked_sub(1)?;
    let entry = journal.at(last).ok().flatten()?;
    let answer: Answer = serde_json::from_str(&entry.answer).ok()?;
    answer.decision_id
}

fn tell(status: &RecoveryStatus, decisions: u64, took: Duration) {
    tracing::info!(
        from = status.from.map(Base::word),
        payments = status.payments,
        labels = status.labels,
        seconds = took.as_secs_f64(),
        "state recovered"
    );
    if status.unclean_stop == Some(true) {
        tracing::warn!(
            decisions,
            last_decision = status.last_decision.as_deref().unwrap_or("none"),
            "the last run did not take its leave: every decision that was answered is kept; a \
             request that got no answer may be sent again with the same txn_id"
        );
    }
}
