//! What this process may be told: addresses, folders, files, and what the bank decides about its
//! own payments. What the bank refuses in the federation is `config/consent.rs`. Nothing about
//! learning is here; that is the plan's, which is signed.

use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::time::Duration;

use features::{FeatureSchema, Limits};
use host::config::{ConfigError, load};
use host::telemetry::LogFormat;
use model::Device;
use protocol::client::consent::Policy;
use protocol::limits::ROUNDS_MAX;
use serde::Deserialize;

use crate::scoring::{self, AnswerAfter, Settings};
use crate::watch;

pub mod consent;
pub mod http;
pub mod nats;
pub mod schema;
mod watching;

/// The validated configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Folder of the installed identity.
    pub identity: PathBuf,
    /// `host:port` of the coordinator (UDP); looked up at each dialling.
    pub coordinator: String,
    /// Folder of records, journal, snapshot, and the address file.
    pub store: PathBuf,
    /// How often a snapshot is made of what scoring remembers.
    pub snapshot_every: Duration,
    /// For how many days decisions are kept at least, with their ids and labels.
    pub keep_days: u32,
    /// The HTTP door.
    pub http: http::HttpConfig,
    /// What this institution refuses, whatever a plan says.
    pub consent: Policy,
    /// What the consortium makes of a payment.
    pub schema: FeatureSchema,
    /// The bank's own payments.
    pub history: HistoryConfig,
    /// How payments are decided on.
    pub scoring: Settings,
    /// Which models are put in place.
    pub promote: Promote,
    /// What the bank trains for itself.
    pub own: Own,
    /// Rounds without a better held-out loss after which pretraining of the bank's own models ends;
    /// none where all rounds of the plan are trained.
    pub patience: Option<u32>,
    /// Where models are trained; payments are scored on the processor.
    pub device: Device,
    /// What training has of the processor.
    pub share: Share,
    /// The bank's own stream of payments, where there is one.
    pub nats: Option<nats::NatsConfig>,
    /// What the measures of mature payments are about.
    pub watch: watch::Settings,
    /// How log lines look.
    pub log: LogFormat,
}

/// Where the bank's past payments are, and which of them are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryConfig {
    /// The feed: CSV, NDJSON or Parquet, as its map says.
    pub file: PathBuf,
    /// The mapping file.
    pub map: PathBuf,
    /// The key that tokens are made with.
    pub token_key: PathBuf,
    /// Days read, since 1970-01-01 UTC, end excluded.
    pub days: Range<i32>,
    /// What an encoder may remember of it, and of what follows.
    pub limits: Limits,
    /// Where a nameless file keeps what training reads of it, while the process runs.
    pub scratch: PathBuf,
}

/// What the bank trains for itself, beside the federation's models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Own {
    /// The model for comparison.
    pub baseline: Baseline,
    /// The head that decides.
    pub head: Head,
}

/// Which head decides on payments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// The bank's own, where the cards held out prefer it to the federation's.
    Personal,
    /// The federation's.
    Federation,
}

/// Which models are put in place of the one that decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Promote {
    /// Each that comes.
    Always,
    /// In place of a calibrated one only such, so that thresholds keep their meaning.
    #[default]
    Calibrated,
}

/// What the thread that trains has of the processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// A turn among others, shorter than that of who answers payments.
    Behind,
    /// What nobody else wants, by the idle class of the operating system: training hardly moves an
    /// answer. On a machine that is always full the bank then misses rounds (docs/costs.md).
    Idle,
}

/// Whether a model of the bank's data alone is trained beside the federation's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Baseline {
    /// When a fine-tuning plan ends, with that plan's own terms; shown as `shadow` in answers, and
    /// under `Promote::Calibrated` it decides where it is better.
    Local,
    /// Never.
    Off,
}

impl Config {
    /// Reads `path` and the consent, policy and schema files it names. Relative paths in the file
    /// are relative to the file.
    ///
    /// # Errors
    /// [`ConfigError`], which names file, line or key, and what was expected.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let raw: RawConfig = load(path)?;
        let folder = path.parent().unwrap_or_else(|| Path::new("."));
        let days = raw.history.days()?;
        let consent = consent::load_policy(&folder.join(raw.consent.file))?;
        let schema = schema::read(raw.schema.map(|raw| folder.join(raw.file)).as_deref())?;
        consent::covers(&consent, &schema)?;
        let training = raw.training.unwrap_or_default();
        Ok(Self {
            identity: folder.join(raw.identity.folder),
            coordinator: address(raw.coordinator.address)?,
            snapshot_every: raw.store.snapshot_every()?,
            keep_days: raw.store.keep_days()?,
            store: folder.join(&raw.store.folder),
            http: raw.http.check(folder)?,
            consent,
            schema,
            history: HistoryConfig {
                file: folder.join(raw.history.file),
                map: folder.join(raw.history.map),
                token_key: folder.join(raw.history.token_key),
                days,
                limits: raw.memory.unwrap_or_default().limits()?,
                scratch: folder.join(&raw.store.folder),
            },
            scoring: Settings {
                policy: scoring::Policy::load(&folder.join(raw.scoring.policy))?,
                queue_max: QUEUE_MAX,
                answer_after: raw.store.answer_after,
            },
            promote: raw.scoring.promote.unwrap_or_default(),
            own: Own {
                baseline: match raw.baseline.local {
                    true => Baseline::Local,
                    false => Baseline::Off,
                },
                head: match training.personal_head {
                    true => Head::Personal,
                    false => Head::Federation,
                },
            },
            patience: training.patience()?,
            device: training.device()?,
            share: training.share(),
            nats: raw.nats.map(|raw| raw.check(folder)).transpose()?,
            watch: raw.watch.unwrap_or_default().settings()?,
            log: raw.log.unwrap_or_default().format,
        })
    }
}

/// Requests that may wait for the scoring worker: at 0.2 ms each the last waits 0.2 s.
const QUEUE_MAX: u32 = 1_024;

/// A restart replays what came since: at a hundred payments a second a few seconds' worth.
const SNAPSHOT_MINUTES: u64 = 15;

/// Thirteen months: a year can be held against the one before, and disputes are over.
const KEEP_DAYS: u32 = 400;

/// A start without a snapshot reads windows of thirty days again, watching compares months, and
/// frauds are reported for weeks. A century is for ever.
const KEEP_DAYS_BOUNDS: RangeInclusive<u32> = 120..=36_500;

/// Refuses an address without a port; the name is looked up when it is dialled.
fn address(text: String) -> Result<String, ConfigError> {
    let port = text.rsplit_once(':').and_then(|(host, port)| {
        port.parse::<u16>()
            .ok()
            .filter(|port| *port > 0 && !host.is_empty())
    });
    match port {
        Some(_) => Ok(text),
        None => Err(ConfigError::Value {
            key: "coordinator.address".to_owned(),
            found: text,
            expected: "a name or address, a colon and a port".to_owned(),
        }),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    identity: RawFolder,
    coordinator: RawCoordinator,
    store: RawStore,
    memory: Option<RawMemory>,
    http: http::RawHttp,
    consent: RawFile,
    schema: Option<RawFile>,
    history: RawHistory,
    scoring: RawScoring,
    baseline: RawBaseline,
    training: Option<RawTraining>,
    nats: Option<nats::RawNats>,
    watch: Option<watching::RawWatch>,
    log: Option<RawLog>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFolder {
    folder: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStore {
    folder: PathBuf,
    snapshot_minutes: Option<u64>,
    keep_days: Option<u32>,
    #[serde(default)]
    answer_after: AnswerAfter,
}

impl RawStore {
    fn snapshot_every(&self) -> Result<Duration, ConfigError> {
        let minutes = self.snapshot_minutes.unwrap_or(SNAPSHOT_MINUTES);
        if !(1..=1_440).contains(&minutes) {
            return Err(ConfigError::Value {
                key: "store.snapshot_minutes".to_owned(),
                found: minutes.to_string(),
                expected: "1 to 1440 minutes".to_owned(),
            });
        }
        Ok(Duration::from_secs(60 * minutes))
    }

    fn keep_days(&self) -> Result<u32, ConfigError> {
        let days = self.keep_days.unwrap_or(KEEP_DAYS);
        if !KEEP_DAYS_BOUNDS.contains(&days) {
            return Err(ConfigError::Value {
                key: "store.keep_days".to_owned(),
                found: days.to_string(),
                expected: format!(
                    "{} to {} days",
                    KEEP_DAYS_BOUNDS.start(),
                    KEEP_DAYS_BOUNDS.end()
                ),
            });
        }
        Ok(days)
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMemory {
    cards_max: Option<u64>,
    outlets_max: Option<u64>,
}

impl RawMemory {
    fn limits(&self) -> Result<Limits, ConfigError> {
        let usual = Limits::default();
        let bound = |key: &str, found: Option<u64>, usual: u64| match found {
            Some(0) => Err(ConfigError::Value {
                key: format!("memory.{key}"),
                found: "0".to_owned(),
                expected: "at least 1".to_owned(),
            }),
            found => Ok(found.unwrap_or(usual)),
        };
        Ok(Limits {
            cards_max: bound("cards_max", self.cards_max, usual.cards_max)?,
            outlets_max: bound("outlets_max", self.outlets_max, usual.outlets_max)?,
            ..usual
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    file: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCoordinator {
    address: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHistory {
    file: PathBuf,
    map: PathBuf,
    token_key: PathBuf,
    from_day: Option<i32>,
    until_day: Option<i32>,
}

impl RawHistory {
    fn days(&self) -> Result<Range<i32>, ConfigError> {
        let days = self.from_day.unwrap_or(i32::MIN)..self.until_day.unwrap_or(i32::MAX);
        if days.is_empty() {
            return Err(ConfigError::Value {
                key: "history.until_day".to_owned(),
                found: days.end.to_string(),
                expected: format!("a day after from_day {}", days.start),
            });
        }
        Ok(days)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawScoring {
    policy: PathBuf,
    promote: Option<Promote>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBaseline {
    local: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawTraining {
    device: Device,
    only_idle: bool,
    personal_head: bool,
    patience: Option<u32>,
}

impl Default for RawTraining {
    fn default() -> Self {
        Self {
            device: Device::Cpu,
            only_idle: false,
            personal_head: false,
            patience: None,
        }
    }
}

impl RawTraining {
    fn share(&self) -> Share {
        match self.only_idle {
            true => Share::Idle,
            false => Share::Behind,
        }
    }

    fn patience(&self) -> Result<Option<u32>, ConfigError> {
        match self.patience {
            Some(found) if !(1..=ROUNDS_MAX).contains(&found) => Err(ConfigError::Value {
                key: "training.patience".to_owned(),
                found: found.to_string(),
                expected: format!("1 to {ROUNDS_MAX} rounds"),
            }),
            patience => Ok(patience),
        }
    }

    /// Refuses a device that this process cannot train on: a bank should hear of it at the start,
    /// not from its first round.
    fn device(&self) -> Result<Device, ConfigError> {
        match self.device.check() {
            Ok(()) => Ok(self.device),
            Err(error) => Err(ConfigError::Value {
                key: "training.device".to_owned(),
                found: self.device.to_string(),
                expected: format!("a device that is there: {error}"),
            }),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLog {
    format: LogFormat,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../ops/config")
    }

    #[test]
    fn the_shipped_sample_is_a_configuration() {
        let config = Config::load(&samples().join("client-agent.toml")).unwrap();
        assert_eq!(config.coordinator, "coordinator.example:4433");
        assert_eq!(config.scoring.policy.review_at(), 784);
        let own = Own {
            baseline: Baseline::Local,
            head: Head::Federation,
        };
        assert_eq!(config.own, own);
        assert_eq!((config.device, config.nats), (Device::Cpu, None));
        assert_eq!((config.patience, config.share), (None, Share::Behind));
        assert_eq!(config.promote, Promote::Calibrated);
        assert_eq!(config.snapshot_every, Duration::from_secs(900));
        assert_eq!(config.keep_days, KEEP_DAYS);
        assert_eq!(config.history.limits, Limits::default());
        assert!(!config.consent.kinds.is_empty());
        assert_eq!(config.schema, FeatureSchema::standard());
        assert!(config.http.bearer_token.is_some());
    }

    fn with(change: (&str, &str)) -> String {
        let dir = tempfile::tempdir().unwrap();
        let sample = std::fs::read_to_string(samples().join("client-agent.toml")).unwrap();
        assert!(sample.contains(change.0), "{}", change.0);
        let path = dir.path().join("client-agent.toml");
        std::fs::write(&path, sample.replace(change.0, change.1)).unwrap();
        for name in ["consent.toml", "policy.toml"] {
            std::fs::copy(samples().join(name), dir.path().join(name)).unwrap();
        }
        std::fs::create_dir(dir.path().join("schemas")).unwrap();
        std::fs::copy(
            samples().join("schemas/standard.toml"),
            dir.path().join("schemas/standard.toml"),
        )
        .unwrap();
        Config::load(&path).unwrap_err().to_string()
    }

    #[test]
    fn what_cannot_be_is_named_by_its_key() {
        for (change, expected) in [
            (("policy =", "polciy ="), "polciy"),
            (("policy = \"policy", "policy = \"none"), "none.toml"),
            (
                ("promote = \"calibrated\"", "promote = \"never\""),
                "`always` or `calibrated`",
            ),
            // Thresholds have one place.
            (("[baseline]", "review_at = 0.1\n[baseline]"), "review_at"),
            (
                ("coordinator.example:4433", "coordinator.example"),
                "coordinator.address",
            ),
            (("device = \"cpu\"", "device = \"tpu\""), "`cpu` or `cuda`"),
            (("# patience = 3", "patience = 0"), "training.patience: 0"),
            (("keep_days = 400", "keep_days = 119"), "store.keep_days"),
            (
                ("snapshot_minutes = 15", "snapshot_minutes = 0"),
                "store.snapshot_minutes",
            ),
            (
                ("cards_max = 2_000_000", "cards_max = 0"),
                "memory.cards_max",
            ),
            (("bearer_token = ", "# bearer_token = "), "bearer_token = "),
            (("consent.toml", "missing.toml"), "missing.toml"),
            (("schemas/standard.toml", "schemas/none.toml"), "none.toml"),
        ] {
            let error = with(change);
            assert!(error.contains(expected), "{expected}: {error}");
        }
    }

    // What the sample shows of it is commented out; with the signs taken away it has to be one.
    #[test]
    fn the_stream_in_the_sample_is_a_configuration_too() {
        let sample = std::fs::read_to_string(samples().join("client-agent.toml")).unwrap();
        let section = sample.split("# [nats]\n").nth(1).unwrap();
        let lines = section.lines().take_while(|line| line.starts_with("# "));
        let text: String = lines.map(|line| line[2..].to_owned() + "\n").collect();
        let raw: nats::RawNats = toml::from_str(&text).unwrap();
        let config = raw.check(Path::new("/etc")).unwrap();
        let usual = toml::from_str::<nats::RawNats>(
            "servers = [\"tls://nats.bank.example:4222\"]\nstream = \"PAYMENTS\"\n",
        );
        let usual = usual.unwrap().check(Path::new("/etc")).unwrap();
        assert_eq!((&config.txn_in, &config.dlq), (&usual.txn_in, &usual.dlq));
        assert_eq!(
            (&config.servers, config.ack_wait),
            (&usual.servers, usual.ack_wait)
        );
    }

    #[test]
    fn training_has_what_nobody_else_wants_only_where_the_bank_says_so() {
        let share = |text: &str| toml::from_str::<RawTraining>(text).unwrap().share();
        assert_eq!(share("only_idle = true"), Share::Idle);
        assert_eq!(share("only_idle = false"), Share::Behind);
        assert_eq!(share(""), Share::Behind);
        assert_eq!(RawTraining::default().share(), Share::Behind);
    }

    #[test]
    fn a_gpu_that_is_not_there_is_refused_at_the_start() {
        if Device::Cuda.is_available() {
            return;
        }
        let error = with(("device = \"cpu\"", "device = \"cuda\""));
        assert!(error.starts_with("training.device: cuda"), "{error}");
        assert!(error.contains("found no CUDA device"), "{error}");
    }
}
