//! What scoring says of itself: `GET /version`, what is running, and `GET /healthz`, whether it
//! can do its work and, if not, why. `/livez` and `/readyz`, which a supervisor asks, are
//! `host::telemetry`'s.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use crypto::Digest;
use serde::Serialize;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{Object, Schema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::ModelName;
use super::beside::{self, Part};
use super::openapi::words;
use super::policy::PolicyName;
use super::problem::{Problem, ProblemType};
use super::worker::{Job, Worker};
use super::{Door, Scoring, gone};
use crate::journal::JournalError;

/// How the worker is.
pub(super) struct Account {
    /// The model that decides.
    live: Option<ModelName>,
    /// The encoder that tells what surprises for want of one.
    pretrained: Option<ModelName>,
    policy: PolicyName,
    /// Decisions in the journal, where it can take another, and those of them that are not durable
    /// yet.
    journal: Result<(u64, u64), JournalError>,
    /// How long the disk took for the last of them since the start.
    flushed_in: Option<Duration>,
    /// Days from the federation's newest risk counts to today.
    risk_age_days: Option<i32>,
    /// Whether declines are declines, and why or why not.
    breaker: Result<String, String>,
}

impl Worker {
    /// How the worker is, after it has settled what is not.
    pub(super) fn account(&mut self) -> Account {
        let now_ms = self.clock.now().0;
        let today = i32::try_from(now_ms / DAY_MS).unwrap_or(i32::MAX);
        let named = |is_scoring: bool| {
            let live = self.live.as_ref();
            let live = live.filter(|live| live.is_scoring == is_scoring);
            live.map(|live| live.name.clone())
        };
        Account {
            live: named(true),
            pretrained: named(false),
            policy: self.settings.policy.name().clone(),
            journal: self
                .settle()
                .and_then(|()| self.journal.check_room())
                .map(|()| (self.journal.len(), self.journal.in_doubt())),
            flushed_in: self.flushes.last(),
            risk_age_days: self.encoder.risk_age_days(today),
            breaker: self.guard.account(now_ms),
        }
    }
}

impl Scoring {
    /// How the worker is, if it says so in time.
    async fn account(&self) -> Result<Account, Problem> {
        let waiting = self.ask(Job::Account)?;
        match tokio::time::timeout(ACCOUNT_WAIT, waiting).await {
            Ok(account) => account.map_err(|_| gone()),
            Err(_) => Err(Problem::new(
                ProblemType::Unavailable,
                "the scoring worker did not answer within a second",
            )),
        }
    }
}

/// What is running.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct Version {
    /// `phalanx-agent`.
    name: &'static str,
    /// Version of the build.
    version: &'static str,
    /// The oldest Rust that builds it.
    rust_version: &'static str,
    /// How it was built.
    profile: Profile,
    /// Processor and system.
    platform: String,
    /// SHA-256 of the feature schema; null until the history is read.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    schema: Option<String>,
    /// The model that decides; null without one, and where the worker does not say.
    model: Option<ModelName>,
    /// The policy that decides; null until the history is read, and where the worker does not say.
    policy: Option<PolicyName>,
}

/// How it was built: `dev` with the build's own checks, `release` without.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
enum Profile {
    Dev,
    Release,
}

/// `GET /version`.
pub(super) async fn handle_version(scoring: Option<&Scoring>) -> Response {
    let said = match scoring {
        Some(scoring) => scoring.account().await.ok(),
        None => None,
    };
    let (model, policy) = said.map_or((None, None), |said| (said.live, Some(said.policy)));
    let (arch, system) = (std::env::consts::ARCH, std::env::consts::OS);
    let version = Version {
        name: "phalanx-agent",
        version: env!("CARGO_PKG_VERSION"),
        rust_version: env!("CARGO_PKG_RUST_VERSION"),
        profile: match cfg!(debug_assertions) {
            true => Profile::Dev,
            false => Profile::Release,
        },
        platform: format!("{arch}-{system}"),
        schema: scoring.map(|scoring| Digest(scoring.0.schema.digest()).to_hex()),
        model,
        policy,
    };
    Json(version).into_response()
}

/// What health is asked of: scoring, once the door is open, and whether the link is up.
#[derive(Clone)]
struct Subject {
    door: Door,
    is_connected: Arc<dyn Fn() -> bool + Send + Sync>,
}

/// `GET /healthz`.
pub(super) fn health_router(
    door: &Door,
    is_connected: impl Fn() -> bool + Send + Sync + 'static,
) -> OpenApiRouter {
    let routes = OpenApiRouter::default().routes(routes!(handle_health));
    routes.with_state(Subject {
        door: door.clone(),
        is_connected: Arc::new(is_connected),
    })
}

/// Whether payments can be judged.
#[utoipa::path(
    get, path = "/healthz", operation_id = "health",
    params(
        ("verbose" = inline(Option<Verbose>), Query, description = "Tell every check, as JSON. \
            `?verbose` alone will do."),
    ),
    responses(
        (status = 200, description = "They can.", content(
            (String = "text/plain"),
            (Health = "application/json"),
        )),
        (status = 503, description = "They cannot.", content(
            (String = "text/plain"),
            (Health = "application/json"),
        )),
    )
)]
async fn handle_health(State(subject): State<Subject>, RawQuery(query): RawQuery) -> Response {
    let link = match (subject.is_connected)() {
        true => Ok("the coordinator is connected".to_owned()),
        false => Err("the coordinator is not; payments are judged all the same".to_owned()),
    };
    let health = Health::take(subject.door.scoring(), Check::new("link", link)).await;
    health.answer(query.as_deref().unwrap_or_default())
}

/// Whether payments can be judged, and what is known about it.
#[derive(Serialize, utoipa::ToSchema)]
struct Health {
    /// Whether all is well that scoring needs.
    ok: bool,
    /// What was looked at.
    checks: Vec<Check>,
}

/// How a query asks for the checks one by one.
struct Verbose;

impl utoipa::PartialSchema for Verbose {
    fn schema() -> RefOr<Schema> {
        words(YES).into()
    }
}

impl utoipa::ToSchema for Verbose {}

/// The names of all checks.
fn check_names() -> Object {
    let link = Check::new("link", Err(String::new()));
    let health = Health::new(None, Err(String::new()), link);
    let names = health.checks.iter().map(|check| check.name);
    words(names).description(Some("Which.")).build()
}

/// One thing that was looked at.
#[derive(Serialize, utoipa::ToSchema)]
struct Check {
    /// Which.
    #[schema(schema_with = check_names)]
    name: &'static str,
    /// Whether scoring needs it; the others inform.
    needed: bool,
    /// Whether it is well.
    ok: bool,
    /// Why it is, or is not.
    why: String,
}

impl Health {
    async fn take(scoring: Option<&Scoring>, link: Check) -> Self {
        let account = match scoring {
            Some(scoring) => scoring.account().await.map_err(|problem| problem.detail),
            None => Err("there is none before the history is read".to_owned()),
        };
        Self::new(scoring, account, link)
    }

    fn new(scoring: Option<&Scoring>, account: Result<Account, String>, link: Check) -> Self {
        let history = match scoring {
            Some(_) => Ok("the history was read".to_owned()),
            None => Err("the history is still being read".to_owned()),
        };
        let mut checks = vec![Check::new("history", history).needed()];
        checks.extend(of_worker(account));
        checks.extend(of_others(scoring));
        checks.push(link);
        let ok = checks.iter().all(|check| check.ok || !check.needed);
        Self { ok, checks }
    }

    fn answer(self, query: &str) -> Response {
        let (status, word) = match self.ok {
            true => (StatusCode::OK, "healthy\n"),
            false => (StatusCode::SERVICE_UNAVAILABLE, "not healthy\n"),
        };
        match is_verbose(query) {
            true => (status, Json(self)).into_response(),
            false => (status, word).into_response(),
        }
    }
}

/// What the worker's account says.
fn of_worker(account: Result<Account, String>) -> Vec<Check> {
    let account = match account {
        Ok(account) => account,
        Err(why) => {
            let unheard =
                |name| Check::new(name, Err("the scoring worker was not heard".to_owned()));
            return vec![
                Check::new("worker", Err(why)).needed(),
                unheard("journal").needed(),
                unheard("model"),
                unheard("risk"),
                unheard("breaker"),
            ];
        }
    };
    let journal = match account.journal {
        Ok((decisions, in_doubt)) => {
            let took = account.flushed_in.map(|took| took.as_secs_f64() * 1e3);
            let took = took.map_or_else(String::new, |ms| {
                format!("; the last flush took {ms:.1} ms")
            });
            let durable = match in_doubt {
                0 => "all of them durable".to_owned(),
                some => format!("{some} of them written and not yet durable"),
            };
            Ok(format!("{decisions} decisions, {durable}{took}"))
        }
        Err(error) => Err(error.to_string()),
    };
    let model = match (account.live, account.pretrained) {
        (Some(name), _) => Ok(format!("version {}", name.version)),
        (None, Some(name)) => Err(format!(
            "there is none; the encoder of version {} tells what surprises",
            name.version
        )),
        (None, None) => Err("there is none; the configured decision is answered".to_owned()),
    };
    let risk = match account.risk_age_days {
        Some(days) => Ok(format!("the newest counts are {days} days old")),
        None => Err("no counts of the federation have come".to_owned()),
    };
    vec![
        Check::new("worker", Ok("the scoring worker answers".to_owned())).needed(),
        Check::new("journal", journal).needed(),
        Check::new("model", model),
        Check::new("risk", risk),
        Check::new("breaker", account.breaker),
    ]
}

/// What scoring does without, and tells nobody by its answers.
fn of_others(scoring: Option<&Scoring>) -> Vec<Check> {
    let closed = || Err("there is none before the history is read".to_owned());
    let told = |part| scoring.map_or_else(closed, |scoring| scoring.0.beside.of(part));
    let clock = scoring.map_or_else(closed, |scoring| beside::clock(&scoring.0.clock));
    let parts = Part::ALL.map(|part| Check::new(part.word(), told(part)));
    parts
        .into_iter()
        .chain([Check::new("clock", clock)])
        .collect()
}

impl Check {
    /// What was found: why it is well, or why it is not. Scoring does without it.
    fn new(name: &'static str, found: Result<String, String>) -> Self {
        let ok = found.is_ok();
        Self {
            name,
            needed: false,
            ok,
            why: found.unwrap_or_else(|why| why),
        }
    }

    /// The same of what scoring cannot do without.
    fn needed(self) -> Self {
        Self {
            needed: true,
            ..self
        }
    }
}

/// Whether a query asks for the checks one by one: `verbose`, with a yes or nothing behind it.
fn is_verbose(query: &str) -> bool {
    let is_yes = |word: &str| YES.contains(&word);
    let mut words = query
        .split('&')
        .filter_map(|word| word.strip_prefix("verbose"));
    words.any(|rest| rest.is_empty() || rest.strip_prefix('=').is_some_and(is_yes))
}

/// What `verbose` is to be asked with.
const YES: [&str; 3] = ["", "1", "true"];

/// A worker that takes longer is of no use to a payment either.
const ACCOUNT_WAIT: Duration = Duration::from_secs(1);

const DAY_MS: u64 = 86_400_000;
