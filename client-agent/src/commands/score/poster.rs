//! One payment to the agent and its answer back, by HTTP. What passes is tried again with the same
//! body, which the agent scores once by its `txn_id`; what it shows the agent is in
//! `credentials.rs`. What else a command asks an agent, `fetch` does; in this crate no other file
//! names ureq.

use std::time::{Duration, Instant};

use crypto::Secret;
use host::shutdown::Shutdown;
use serde_json::{Value, json};
use ureq::tls::TlsConfig;

use super::credentials::Credentials;
use super::{CommandError, refused};
use crate::scoring::Answer;

/// Asks one agent; threads share it.
pub(super) struct Poster {
    http: ureq::Agent,
    /// Scheme, host and port.
    address: String,
    url: String,
    /// What the header `Authorization` says, where a token is shown.
    bearer: Option<Secret<String>>,
    /// What is said where the agent does not know it.
    unknown: String,
    patience: Patience,
}

/// How long an agent that does not answer is asked again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// Before the second try; doubled for each one after it.
    pub(super) pause: Duration,
    /// The longest pause, whatever the agent asks for.
    pub(super) pause_max: Duration,
    /// From the first try of a payment to the last.
    pub(super) total_max: Duration,
}

/// What became of a payment.
pub(super) enum Outcome {
    /// It was decided.
    Answered {
        /// What the agent said.
        answer: Box<Answer>,
        /// The same as it came, in one line.
        text: String,
    },
    /// It was refused, by this problem document.
    Refused(Value),
}

/// Why a payment has no outcome.
#[derive(Debug)]
pub(super) enum Halt {
    /// The agent was silent or took nothing for too long: what happened last.
    Lost(String),
    /// The process is to go.
    Told,
}

/// What one try gave.
enum Tried {
    Settled(Outcome),
    /// The same request may succeed later, not before `after`.
    Passing {
        why: String,
        after: Duration,
    },
}

impl Default for Patience {
    /// An agent that is started again is back in a minute, unless its history is long.
    fn default() -> Self {
        Self {
            pause: Duration::from_millis(100),
            pause_max: Duration::from_secs(5),
            total_max: Duration::from_secs(60),
        }
    }
}

impl Poster {
    /// Takes an address with or without its scheme. A proxy of the environment is not used: a
    /// payment goes to the agent and to nobody else.
    ///
    /// # Errors
    /// [`CommandError`] for an address of another kind, and for credentials that cannot be used.
    pub(super) fn new(
        agent: &str,
        connections: u16,
        patience: Patience,
        credentials: &Credentials,
    ) -> Result<Self, CommandError> {
        let (scheme, address) = address_of(agent)?;
        let token = credentials.token()?;
        Ok(Self {
            http: client(connections, TRY_MAX, credentials.tls(scheme)?),
            url: format!("{address}/v1/score"),
            address,
            bearer: token.map(|token| Secret::new(format!("Bearer {}", token.expose()))),
            unknown: credentials.unknown(),
            patience,
        })
    }

    /// Asks once whether there is an agent.
    ///
    /// # Errors
    /// [`CommandError::Unreachable`], which names the address.
    pub(super) fn probe(&self) -> Result<(), CommandError> {
        let mut asked = self.http.get(format!("{}/v1/status", self.address));
        if let Some(bearer) = &self.bearer {
            asked = asked.header(AUTHORIZATION, bearer.expose().as_str());
        }
        let asked = asked.call();
        let response = asked.map_err(|error| self.unreachable(error.to_string()))?;
        match response.status().as_u16() {
            200 => Ok(()),
            401 => Err(self.unreachable(self.unknown.clone())),
            status => {
                let why = format!("found status {status} at /v1/status, expected an agent's");
                Err(self.unreachable(why))
            }
        }
    }

    /// Asks until there is an outcome.
    ///
    /// # Errors
    /// [`Halt`] where patience ends, or the process is to go while this waits.
    pub(super) fn ask(&self, body: &[u8], shutdown: &Shutdown) -> Result<Outcome, Halt> {
        let (began, mut pause) = (Instant::now(), self.patience.pause);
        loop {
            let (why, after) = match self.attempt(body) {
                Ok(Tried::Settled(outcome)) => return Ok(outcome),
                Ok(Tried::Passing { why, after }) => (why, after),
                Err(error) => (error.to_string(), Duration::ZERO),
            };
            let next = pause.max(after).min(self.patience.pause_max);
            if began.elapsed() + next > self.patience.total_max {
                return Err(Halt::Lost(why));
            }
            wait(next, shutdown)?;
            pause = pause.saturating_mul(2);
        }
    }

    /// The error of an agent that does not answer.
    pub(super) fn unreachable(&self, why: String) -> CommandError {
        unreachable(&self.address, why)
    }

    /// One try; what breaks on the way is an error.
    fn attempt(&self, body: &[u8]) -> Result<Tried, ureq::Error> {
        let mut asked = self.http.post(&self.url).content_type("application/json");
        if let Some(bearer) = &self.bearer {
            asked = asked.header(AUTHORIZATION, bearer.expose().as_str());
        }
        let response = asked.send(body)?;
        let status = response.status().as_u16();
        let after = response.headers().get("retry-after");
        let after = after.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        let text = response
            .into_body()
            .into_with_config()
            .limit(ANSWER_BYTES_MAX)
            .lossy_utf8(true)
            .read_to_string()?;
        Ok(match status {
            200 => Tried::Settled(outcome(&text)),
            // The agent itself, or what stands before it while it is started again.
            502..=504 => Tried::Passing {
                why: brief(&document(&text, status)),
                after: Duration::from_secs(after.unwrap_or(0)),
            },
            _ => Tried::Settled(Outcome::Refused(document(&text, status))),
        })
    }
}

/// What an agent tells at `path`, asked once. It is named as [`Poster::new`] takes it.
///
/// # Errors
/// [`CommandError::Unreachable`] where nobody answers within `patience`, or with a refusal; and for
/// an address or credentials that cannot be used.
pub(in crate::commands) fn fetch(
    agent: &str,
    path: &str,
    patience: Duration,
    credentials: &Credentials,
) -> Result<String, CommandError> {
    let (scheme, address) = address_of(agent)?;
    let http = client(1, patience, credentials.tls(scheme)?);
    let token = credentials.token()?;
    let ask = || -> Result<(u16, String), ureq::Error> {
        let mut asked = http.get(format!("{address}{path}"));
        if let Some(token) = &token {
            asked = asked.header(AUTHORIZATION, format!("Bearer {}", token.expose()));
        }
        let response = asked.call()?;
        let status = response.status().as_u16();
        let body = response.into_body().into_with_config();
        Ok((status, body.limit(TOLD_BYTES_MAX).read_to_string()?))
    };
    match ask() {
        Ok((200, text)) => Ok(text),
        Ok((401, _)) => Err(unreachable(&address, credentials.unknown())),
        Ok((status, text)) => Err(unreachable(&address, brief(&document(&text, status)))),
        Err(error) => Err(unreachable(&address, error.to_string())),
    }
}

/// An agent's scheme, and its whole address.
fn address_of(agent: &str) -> Result<(&str, String), CommandError> {
    let (scheme, rest) = agent.split_once("://").unwrap_or(("http", agent));
    let rest = rest.trim_end_matches('/');
    if !matches!(scheme, "http" | "https") || rest.is_empty() {
        let expected = "an address such as http://127.0.0.1:8443, or one of https";
        return Err(refused("--agent", agent.to_owned(), expected));
    }
    Ok((scheme, format!("{scheme}://{rest}")))
}

/// A client that goes to the agent and to nobody else.
fn client(connections: u16, patience: Duration, tls: Option<TlsConfig>) -> ureq::Agent {
    let connections = usize::from(connections);
    let mut config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .proxy(None)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .max_idle_connections(connections)
        .max_idle_connections_per_host(connections)
        .max_idle_age(IDLE_MAX)
        .timeout_global(Some(patience));
    if let Some(tls) = tls {
        config = config.tls_config(tls);
    }
    ureq::Agent::new_with_config(config.build())
}

fn unreachable(address: &str, why: String) -> CommandError {
    CommandError::Unreachable {
        address: address.to_owned(),
        why,
    }
}

/// A problem in one line: its kind and what happened.
pub(super) fn brief(problem: &Value) -> String {
    let kind = problem["type"].as_str().unwrap_or("http");
    let detail = problem["detail"].as_str().unwrap_or("no detail given");
    format!("{kind}: {detail}")
}

fn outcome(text: &str) -> Outcome {
    match serde_json::from_str::<Answer>(text) {
        Ok(answer) => Outcome::Answered {
            answer: Box::new(answer),
            text: text.lines().collect(),
        },
        Err(_) => Outcome::Refused(json!({
            "type": "http",
            "title": "The agent answered in another form",
            "status": 200,
            "detail": "found another body, expected an answer of /v1/score",
        })),
    }
}

/// The problem document of a refusal, or one for a refusal without any.
fn document(text: &str, status: u16) -> Value {
    match serde_json::from_str::<Value>(text) {
        Ok(document) if document.is_object() => document,
        Ok(_) | Err(_) => json!({
            "type": "http",
            "title": "The agent refused without saying why",
            "status": status,
            "detail": format!("found status {status}, expected an answer or a problem document"),
        }),
    }
}

/// Waits, in steps, so that nobody who is told to leave waits for it.
fn wait(span: Duration, shutdown: &Shutdown) -> Result<(), Halt> {
    let until = Instant::now() + span;
    loop {
        if shutdown.is_triggered() {
            return Err(Halt::Told);
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(STEP));
    }
}

/// An answer takes a few kilobytes.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// Counts of two years, every score of every day, take as much.
const TOLD_BYTES_MAX: u64 = 128 << 20;
const AUTHORIZATION: &str = "authorization";

/// An agent ends connections that idle for ten seconds.
const IDLE_MAX: Duration = Duration::from_secs(5);

/// The agent answers in milliseconds, or says that it cannot.
const TRY_MAX: Duration = Duration::from_secs(30);

/// The longest that a wait does not look up.
const STEP: Duration = Duration::from_millis(50);
