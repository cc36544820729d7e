//! Payments and labels from the bank's own NATS JetStream, decisions back to it: here is the one
//! connection, its settings and its end. `nats/pump.rs` takes messages one batch after the other,
//! `nats/verdict.rs` says what is done with each, `nats/order.rs` who goes first, `nats/letter.rs`
//! what is published; `nats/alerts.rs` tells of the watch's alarms. No other file of this crate
//! names async-nats.
//!
//! What comes in goes through the same door and the same queue as over HTTP. Nothing waits for a
//! server: while there is none, the agent does all else that it does.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::jetstream::ContextBuilder;
use async_nats::{Client, ConnectOptions, Event, Server, ServerAddr};
use host::shutdown::Shutdown;
use host::telemetry::Telemetry;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::config::nats::{Access, NatsConfig};
use crate::scoring::Scoring;
use crate::watch::Outbox;
use alerts::Alerts;
pub(crate) use meters::Meters;
use pump::{Feed, Pump};

mod alerts;
mod letter;
mod meters;
mod order;
mod pump;
mod verdict;

/// How the bank's stream is reached, as its files say.
pub(crate) struct Way {
    config: Arc<NatsConfig>,
    servers: Vec<ServerAddr>,
    options: ConnectOptions,
}

impl Way {
    /// Reads the files; dials nowhere.
    ///
    /// # Errors
    /// [`NatsError`] where a file or an address of the configuration cannot be used.
    pub(crate) fn read(config: &NatsConfig) -> Result<Self, NatsError> {
        let mut servers = Vec::new();
        for server in &config.servers {
            let address: Result<ServerAddr, _> = server.parse();
            servers.push(address.map_err(|error| NatsError::Server {
                server: server.clone(),
                error,
            })?);
        }
        Ok(Self {
            config: Arc::new(config.clone()),
            servers,
            options: options(config)?,
        })
    }
}

/// Takes messages once the agent is `opened` and there is a server. The task ends after `shutdown`,
/// once what was taken is decided, published and acknowledged; what still waits in the outbox is
/// told by the next run.
///
/// # Errors
/// [`NatsError`] where the client cannot be set up.
pub(crate) async fn start(
    (way, outbox): (Way, Outbox),
    opened: oneshot::Receiver<()>,
    (scoring, telemetry): (&Scoring, &Telemetry),
    shutdown: &Shutdown,
) -> Result<JoinHandle<()>, NatsError> {
    let meters = Meters::new(telemetry);
    let (told, link) = watch::channel(Link::default());
    let config = Arc::clone(&way.config);
    let client = connect(way, told, meters.clone()).await?;
    let jetstream = ContextBuilder::new()
        .timeout(REQUEST_MAX)
        .build(client.clone());
    let pump = |feed| Pump::new(feed, &config, scoring, &jetstream, (&link, &meters));
    let (payments, labels) = (pump(Feed::Payments), pump(Feed::Labels));
    let alerts = Alerts::new(&config, outbox, &jetstream, (&link, &meters));
    let shutdown = shutdown.clone();
    Ok(tokio::spawn(async move {
        tokio::select! {
            _ = opened => {}
            () = shutdown.triggered() => {}
        }
        tokio::join!(
            payments.run(&shutdown),
            labels.run(&shutdown),
            alerts.run(&shutdown)
        );
        // The last acknowledgements leave; without a server they are lost, and what they were for
        // is delivered again and answered from the journal.
        let flushed = tokio::time::timeout(REQUEST_MAX, client.flush()).await;
        if !matches!(flushed, Ok(Ok(()))) {
            tracing::warn!("the stream was left before it had the last acknowledgements");
        }
    }))
}

/// The connection, as its users hear of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Link {
    is_up: bool,
    /// How often it came up: what was asked for before is lost.
    times: u64,
}

async fn connect(way: Way, told: watch::Sender<Link>, meters: Meters) -> Result<Client, NatsError> {
    let told = Arc::new(told);
    let options = way.options.event_callback(move |event| {
        let (told, meters) = (Arc::clone(&told), meters.clone());
        async move { hear(&event, &told, &meters) }
    });
    let wrongs = Wrongs::default();
    let options = options.reconnect_to_server_callback(move |servers, _| {
        wrongs.tell(&servers);
        // Which of them is dialled is async-nats's own choice.
        std::future::ready(None)
    });
    options
        .connect(way.servers)
        .await
        .map_err(NatsError::Connect)
}

/// Who we are and how long we wait. Files are read here once: a server that is away for an hour
/// is no reason to ask them again.
fn options(config: &NatsConfig) -> Result<ConnectOptions, NatsError> {
    let mut options = ConnectOptions::new()
        .name("phalanx-agent")
        .retry_on_initial_connect()
        .request_timeout(Some(REQUEST_MAX))
        .reconnect_delay_callback(pause_before);
    options = match &config.access {
        Access::Open => options,
        Access::Token(file) => options.token(read(file)?.trim().to_owned()),
        Access::Credentials(file) => {
            let said = options.credentials(&read(file)?);
            said.map_err(|error| unread(file, error))?
        }
    };
    if let Some(tls) = &config.tls {
        options = options.require_tls(true);
        if let Some(ca) = &tls.ca {
            read(ca)?;
            options = options.add_root_certificates(ca.clone());
        }
        if let Some((certificate, key)) = &tls.own {
            read(certificate)?;
            read(key)?;
            options = options.add_client_certificate(certificate.clone(), key.clone());
        }
    }
    Ok(options)
}

/// What was wrong with each server before it was last dialled. async-nats logs that there was a
/// failure, and keeps to itself which: a wrong CA would look like a server that is away.
#[derive(Default)]
struct Wrongs(Mutex<BTreeSet<(String, String)>>);

impl Wrongs {
    /// Says of each server why it was not reached, once for as long as that stays so.
    fn tell(&self, servers: &[Server]) {
        for (server, why) in self.fresh(servers) {
            tracing::warn!(server, why, "a server of the stream was not reached");
        }
    }

    /// What was not so the last time.
    fn fresh(&self, servers: &[Server]) -> Vec<(String, String)> {
        let wrong = servers.iter();
        let wrong =
            wrong.filter_map(|server| Some((server.to_string(), server.last_error.clone()?)));
        let wrong: BTreeSet<(String, String)> = wrong.collect();
        let mut before = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = wrong.difference(&before).cloned().collect();
        *before = wrong;
        fresh
    }
}

/// async-nats writes the log line of each event itself.
fn hear(event: &Event, told: &watch::Sender<Link>, meters: &Meters) {
    let is_up = match event {
        Event::Connected => true,
        Event::Disconnected | Event::Closed => false,
        Event::LameDuckMode
        | Event::Draining
        | Event::SlowConsumer(_)
        | Event::ServerError(_)
        | Event::ClientError(_) => return,
    };
    meters.connected(is_up);
    told.send_modify(|link| {
        link.is_up = is_up;
        link.times += u64::from(is_up);
    });
}

/// Twice as long each time, from 100 ms to 5 s.
fn pause_before(attempts: usize) -> Duration {
    let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or(u32::MAX);
    let pause = RECONNECT_MIN.saturating_mul(2_u32.saturating_pow(doublings));
    pause.min(RECONNECT_MAX)
}

fn read(path: &Path) -> Result<String, NatsError> {
    std::fs::read_to_string(path).map_err(|error| unread(path, error))
}

fn unread(path: &Path, error: std::io::Error) -> NatsError {
    NatsError::Read {
        path: path.to_owned(),
        error,
    }
}

/// Why the stream cannot be asked for anything. A server that is away is no reason.
#[derive(Debug, thiserror::Error)]
pub enum NatsError {
    /// A file of `[nats]` cannot be read, or holds something else.
    #[error("could not read {}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// An address is none.
    #[error("nats.servers: {server}: {error}")]
    Server {
        /// The address.
        server: String,
        /// Why.
        error: std::io::Error,
    },
    /// The client cannot be set up.
    #[error("could not set up the client of NATS: {0}")]
    Connect(async_nats::ConnectError),
}

/// A server of the bank's own network answers in milliseconds.
const REQUEST_MAX: Duration = Duration::from_secs(5);

const RECONNECT_MIN: Duration = Duration::from_millis(100);
const RECONNECT_MAX: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_away_is_asked_for_less_and_less_often() {
        let pauses = [0, 1, 2, 3, 6, 7, 1_000, usize::MAX].map(pause_before);
        let expected = [100, 100, 200, 400, 3_200, 5_000, 5_000, 5_000];
        assert_eq!(pauses, expected.map(Duration::from_millis));
    }

    #[test]
    fn why_a_server_was_not_reached_is_told_once_until_it_changes() {
        let wrongs = Wrongs::default();
        let server = |why: Option<&str>| Server {
            addr: "tls://127.0.0.1:4222".parse().unwrap(),
            failed_attempts: 1,
            did_connect: false,
            is_discovered: false,
            last_error: why.map(str::to_owned),
        };
        let told = |why: Option<&str>| {
            let fresh = wrongs.fresh(&[server(why), server(None)]).into_iter();
            fresh.map(|(_, why)| why).collect::<Vec<_>>()
        };
        assert_eq!(told(None), [""; 0]);
        assert_eq!(told(Some("refused")), ["refused"]);
        assert_eq!(told(Some("refused")), [""; 0]);
        assert_eq!(told(Some("unknown issuer")), ["unknown issuer"]);
        // It was reached in between.
        assert_eq!(told(None), [""; 0]);
        assert_eq!(told(Some("unknown issuer")), ["unknown issuer"]);
    }

    #[test]
    fn a_link_that_came_back_is_another_one() {
        let (told, mut link) = watch::channel(Link::default());
        let meters = Meters::default();
        let mut after = |event: Event| {
            hear(&event, &told, &meters);
            let Link { is_up, times } = *link.borrow_and_update();
            (is_up, times)
        };
        assert_eq!(after(Event::Connected), (true, 1));
        assert_eq!(after(Event::LameDuckMode), (true, 1));
        assert_eq!(after(Event::Disconnected), (false, 1));
        assert_eq!(after(Event::Connected), (true, 2));
    }
}
