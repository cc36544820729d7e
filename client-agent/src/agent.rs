//! `Agent`: starts everything in its order, carries the client party, and leaves in order.
//! Health answers first, then the history is read, then scoring opens, and only then does the
//! agent dial out: a bank is of use to its customers before it is of use to the federation. It is
//! ready once the models and counts of the last run are in place: payments that come before are
//! judged without them, so who can wait, as a stream, or go elsewhere, does.

use std::net::SocketAddr;
use std::path::PathBuf;

use crypto::Digest;
use host::address::{self, AddressError};
use host::config::ConfigError;
use host::disk::{DiskError, RecordLog, Store};
use host::drive::{Body, Input, carry_out, drive};
use host::entropy::{self, EntropyError};
use host::http::{Terms, serve};
use host::identity::{Identity, IdentityError, keep};
use host::quic::{Dialer, LinkError};
use host::shutdown::Shutdown;
use host::telemetry::Telemetry;
use host::tls::{Acceptor, Files, TlsError};
use protocol::client::{Client, Kept, Outcome, RecoverError, Task};
use protocol::credential;
use protocol::event::ClientEvent;
use protocol::message::ToCoordinator;
use protocol::plan::Kind;
use protocol::record::ClientRecord;
use protocol::wire;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::config::{Config, Share};
use crate::history::HistoryError;
use crate::journal::JournalError;
use crate::link::{Keeper, Uplink};
use crate::nats::{self, NatsError};
use crate::releases::Releases;
use crate::scoring::{Door, Scoring, ScoringError, Tokens, agent_router, answer_locally};
use crate::status::Board;
use crate::telemetry::Meters;
use crate::training::{Product, Promotion, Trainer, Worker};
use crate::watch::{Installs, Outbox, Watched, Watcher};

mod recovery;

use recovery::{Recovered, recover};

/// Inputs that wait for the party; a full queue slows the link down.
const INPUTS_MAX: usize = 256;

/// Runs the agent until it is told to leave.
///
/// # Errors
/// [`AgentError`] where it cannot start, or its disk cannot be written.
pub async fn run(config: &Config, shutdown: &Shutdown) -> Result<(), AgentError> {
    let identity = Identity::load(&config.identity)?;
    if config.consent.kinds.contains(&Kind::Risk) {
        keep::probe(&config.identity)?;
    }
    // What cannot be used ends the start before the store is entered: no run crashed here.
    let way = config.nats.as_ref().map(nats::Way::read).transpose()?;
    let store = Store::open(&config.store)?;
    let outbox = way.as_ref().map(|_| Outbox::open(&store, identity.name()));
    let outbox = outbox.transpose()?;
    let (telemetry, board, uplink) = (Telemetry::default(), Board::default(), Uplink::default());
    board.update(|status| identity.name().clone_into(&mut status.bank));
    let door = Door::new(config.http.times);
    let served = open_http(config, (&telemetry, &board, &uplink, &door), shutdown).await?;

    let recovered = recover_beside(config, &store, (&telemetry, &board), shutdown).await;
    let Recovered {
        history,
        scoring,
        journal,
        keeper,
        expiry,
    } = match recovered {
        Err(AgentError::History(HistoryError::Leaving)) => return Ok(()),
        recovered => recovered?,
    };
    // Before anybody can tell a label: it counts those that are told from here on.
    let told = (&telemetry, board.clone(), scoring.beside(), outbox.clone());
    let (clock, schema) = (scoring.clock(), config.schema.clone());
    let watcher = Watcher::start(clock, config.watch, schema, journal.clone(), told);
    let watcher = watcher.map_err(AgentError::Thread)?;
    door.open(scoring.clone());
    let (ready, opened) = readiness(telemetry.clone(), board.clone());
    let stream = match way.zip(outbox) {
        Some(way) => Some(nats::start(way, opened, (&scoring, &telemetry), shutdown).await?),
        None => None,
    };

    let meters = Meters::new(&telemetry, board.clone(), config.schema.clone());
    let trainer = Trainer::new(history, config.own, board)
        .on(config.device)
        .following(journal)
        .telling(scoring.beside())
        .releasing(releases(config))
        .resuming(&config.store)
        .patient(config.patience)
        .promoting(promotion(config, &telemetry));
    let (who, parts) = ((&identity, &store), (trainer, &scoring, watcher.installs()));
    let ended = take_part(config, who, parts, ((uplink, meters), ready), shutdown).await;
    telemetry.set_ready(false);
    // An error can come before anybody was told to leave.
    shutdown.trigger();
    if let Some(stream) = stream {
        stream.await.map_err(AgentError::Task)?;
    }
    // Whoever waits for an answer gets it before the worker and the store go; then what is
    // remembered of it is kept.
    served.await.map_err(AgentError::Task)?;
    let leaving = move || {
        drop((door, scoring, watcher, expiry));
        keeper.end();
    };
    tokio::task::spawn_blocking(leaving)
        .await
        .map_err(AgentError::Task)?;
    store.flush()?;
    store.leave()?;
    ended
}

/// Recovers on a thread that may block, while health is answered.
async fn recover_beside(
    config: &Config,
    store: &Store,
    (telemetry, board): (&Telemetry, &Board),
    shutdown: &Shutdown,
) -> Result<Recovered, AgentError> {
    let (config, store, telemetry) = (config.clone(), store.clone(), telemetry.clone());
    let (board, shutdown) = (board.clone(), shutdown.clone());
    let recovering = move || recover(&config, &store, &telemetry, &board, &shutdown);
    tokio::task::spawn_blocking(recovering)
        .await
        .map_err(AgentError::Task)?
}

fn releases(config: &Config) -> Releases {
    Releases::new(&config.store, config.schema.clone())
}

fn promotion(config: &Config, telemetry: &Telemetry) -> Promotion {
    let review_at = config.scoring.policy.review_at();
    Promotion::new(config.promote, review_at, &config.store, telemetry)
}

/// What says that the agent is ready, and what waits for that.
fn readiness(
    telemetry: Telemetry,
    board: Board,
) -> (impl FnOnce() + Send + 'static, oneshot::Receiver<()>) {
    let (open, opened) = oneshot::channel();
    let ready = move || {
        board.update(|status| status.ready = true);
        telemetry.set_ready(true);
        // Nobody waits where there is no stream.
        let _ = open.send(());
    };
    (ready, opened)
}

/// Health, metrics, status, what they mean and, once the door is open, scoring: for whoever may
/// ask. The task ends when the last of them has left.
async fn open_http(
    config: &Config,
    (telemetry, board, uplink, door): (&Telemetry, &Board, &Uplink, &Door),
    shutdown: &Shutdown,
) -> Result<JoinHandle<()>, AgentError> {
    let (told, uplink, scoring) = (board.clone(), uplink.clone(), door.clone());
    let status = move || {
        let mut status = told.read();
        (status.bytes_up, status.bytes_down) = uplink.bytes();
        status.scored = scoring.scored();
        serde_json::to_value(status).unwrap_or_default()
    };
    let board = board.clone();
    let mut router = agent_router(telemetry, door, status, move || board.read().connected);
    let (tls, tokens) = who_may_ask(config)?;
    if tls.is_none() && tokens.is_none() {
        router = answer_locally(router);
    }
    if let Some(tokens) = tokens {
        router = tokens.guard(router, telemetry);
        tokio::spawn(tokens.follow(shutdown.clone()));
    }
    let terms = Terms {
        tls,
        ..Terms::default()
    };
    let bound = serve(config.http.address, router, terms, shutdown.clone()).await;
    let (address, served) = bound.map_err(|error| AgentError::Http {
        address: config.http.address,
        error,
    })?;
    tracing::info!(%address, "http is up");
    address::publish(&config.store, "http.addr", address)?;
    Ok(served)
}

/// Reads the files that say who may ask at the HTTP door.
///
/// # Errors
/// [`AgentError`], which names the file that cannot be used.
pub(crate) fn who_may_ask(
    config: &Config,
) -> Result<(Option<Acceptor>, Option<Tokens>), AgentError> {
    let (tls, tokens) = (&config.http.tls, &config.http.bearer_token);
    let tls = tls.as_ref().map(Files::acceptor).transpose()?;
    let tokens = tokens.as_deref().map(Tokens::read).transpose()?;
    Ok((tls, tokens))
}

/// Carries the client party until the process is to go; `ready` is called once what the party knew
/// at the start is put to use. Scoring outlives this.
async fn take_part(
    config: &Config,
    (identity, store): (&Identity, &Store),
    (trainer, scoring, installs): (Trainer, &Scoring, Installs),
    ((uplink, meters), ready): ((Uplink, Meters), impl FnOnce() + Send + 'static),
    shutdown: &Shutdown,
) -> Result<(), AgentError> {
    let mut log = store.log::<ClientRecord>("client")?;
    tracing::info!("recovering");
    let own = credential::Identity {
        credential: identity.credential.clone(),
        key: identity.signing_key(),
        authority: identity.authority,
    };
    let session = identity.authority.session();
    let kept = keep::load(&config.identity, &session)?;
    let (consent, seed) = (config.consent.clone(), entropy::seed()?);
    let held = Kept {
        bucket_key: kept.clone(),
        releases: releases(config).for_client(),
    };
    let mut party = log.recover(|records| Client::recover(own, consent, records, held, seed))??;
    meters.recovered(party.ledger().length(), &party.ledger().head());

    let (inputs, mut received) = mpsc::channel(INPUTS_MAX);
    let trains = (trainer, config.share);
    let worker = start_worker(trains, (scoring.clone(), installs), inputs.clone())?;
    if let Some(key) = kept {
        // A worker that is gone says so at its first order.
        let _ = worker.keep(key);
    }
    let keeper = Keeper {
        dialer: Dialer::new(identity)?,
        address: config.coordinator.clone(),
        uplink: uplink.clone(),
        inputs: inputs.clone(),
        meters: meters.clone(),
        salt: crypto::sha256(&[identity.name().as_bytes()]),
    };
    let link = tokio::spawn(keeper.keep(shutdown.clone()));
    let mut body = Agent {
        log,
        identity: (config.identity.clone(), session),
        uplink,
        worker,
        inputs,
        meters,
    };
    let began = carry_out(&mut party, &mut body);
    once_restored(&body.worker, ready, shutdown.clone());
    let (party, clock) = (&mut party, scoring.clock());
    let ended = match began {
        Ok(()) => drive(party, &mut body, &mut received, clock, shutdown).await,
        Err(error) => Err(error),
    };
    // Where the disk ended it, everything else of this process ends with it.
    shutdown.trigger();
    link.await.map_err(AgentError::Task)?;
    drop(received);
    // Waits for the round's worth that is being trained: libtorch must not run into the exit.
    tokio::task::spawn_blocking(move || drop(body))
        .await
        .map_err(AgentError::Task)?;
    ended
}

/// Calls `ready` once the worker has put to use what it was given so far.
fn once_restored(worker: &Worker, ready: impl FnOnce() + Send + 'static, shutdown: Shutdown) {
    let restored = worker.restored();
    tokio::spawn(async move {
        tokio::select! {
            biased;
            () = shutdown.triggered() => {}
            () = restored => ready(),
        }
    });
}

fn start_worker(
    (trainer, share): (Trainer, Share),
    (scoring, installs): (Scoring, Installs),
    inputs: mpsc::Sender<Input<Client>>,
) -> Result<Worker, AgentError> {
    let answer = move |outcome: Outcome| {
        // The party is gone only where the process is leaving.
        let _ = inputs.blocking_send(Input::Outcome(outcome));
    };
    let deliver = move |product| {
        let installed = match product {
            Product::Risk(table) => scoring.install_risk(table),
            Product::Model(bundle) => {
                let watched = Watched::of(&bundle);
                let installed = scoring.install(bundle);
                installed.map(|()| installs.tell(watched))
            }
        };
        if let Err(error) = installed {
            tracing::error!(%error, "scoring did not take what was learnt");
        }
    };
    Worker::start(trainer, share, answer, deliver).map_err(AgentError::Thread)
}

/// The client's body.
struct Agent {
    log: RecordLog<ClientRecord>,
    /// Where the bank's keys are kept, and of which consortium.
    identity: (PathBuf, Digest),
    uplink: Uplink,
    worker: Worker,
    inputs: mpsc::Sender<Input<Client>>,
    meters: Meters,
}

impl Body<Client> for Agent {
    type Error = AgentError;

    fn persist(&mut self, record: ClientRecord) -> Result<(), AgentError> {
        Ok(self.log.append(&record)?)
    }

    fn settle(&mut self) -> Result<(), AgentError> {
        Ok(self.log.settle()?)
    }

    fn send(&mut self, (): (), message: ToCoordinator) {
        // A frame dropped here is asked for again: the coordinator repeats itself.
        if !self.uplink.send(wire::encode(&message)) {
            self.meters.dropped();
        }
    }

    fn perform(&mut self, task: Task) -> Result<(), AgentError> {
        match task {
            Task::Contribute(order) => {
                let context = order.context;
                if !self.worker.contribute(order) {
                    tracing::error!("the learning worker has stopped");
                    let contribution = Err("the learning worker has stopped".to_owned());
                    // Full where the link is flooding us; then the round goes on without us.
                    let outcome = Input::Outcome(Outcome {
                        context,
                        contribution,
                    });
                    let _ = self.inputs.try_send(outcome);
                }
            }
            Task::Install(installed) => {
                if !self.worker.install(installed) {
                    tracing::error!("the learning worker has stopped");
                }
            }
            Task::Keep(key) => {
                let (folder, session) = &self.identity;
                keep::store(folder, session, &key)?;
                if !self.worker.keep(key) {
                    tracing::error!("the learning worker has stopped");
                }
            }
        }
        Ok(())
    }

    fn report(&mut self, event: ClientEvent) {
        self.meters.report(&event);
    }
}

/// Why the agent left.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// No thread can be had.
    #[error("could not start a thread: {0}")]
    Thread(std::io::Error),
    /// A part of the agent panicked.
    #[error("a part of the agent ended early: {0}")]
    Task(tokio::task::JoinError),
    /// No randomness.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// The identity cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The disk cannot be used.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The bank's past cannot be read.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Scoring cannot start.
    #[error(transparent)]
    Scoring(#[from] ScoringError),
    /// The records do not make a client.
    #[error("could not recover: {0}")]
    Recover(#[from] RecoverError),
    /// The network cannot be had.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// Certificate, key or CA of the HTTP door cannot be used.
    #[error("tls of http: {0}")]
    Tls(#[from] TlsError),
    /// The tokens of the HTTP door cannot be used.
    #[error("bearer_token of http: {0}")]
    Tokens(#[from] ConfigError),
    /// The HTTP address cannot be bound.
    #[error("could not bind {address} for http: {error}")]
    Http {
        /// The address.
        address: SocketAddr,
        /// Why.
        error: std::io::Error,
    },
    /// The bank's stream cannot be asked for anything.
    #[error(transparent)]
    Nats(#[from] NatsError),
    /// The address file cannot be written.
    #[error(transparent)]
    Address(#[from] AddressError),
}

impl AgentError {
    /// The exit code by sysexits: 69 network, 70 our fault, 74 disk, 78 configuration.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Link(_) | Self::Http { .. } => 69,
            Self::Thread(_) | Self::Task(_) | Self::Entropy(_) => 70,
            Self::Disk(_)
            | Self::Address(_)
            | Self::Journal(_)
            | Self::Recover(RecoverError::Ledger { .. }) => 74,
            Self::Identity(_)
            | Self::Tls(_)
            | Self::Tokens(_)
            | Self::History(_)
            | Self::Scoring(_)
            | Self::Nats(_)
            | Self::Recover(RecoverError::Credential(_) | RecoverError::Key) => 78,
        }
    }
}

#[cfg(test)]
mod tests;
