//! `[nats]`: where the bank's stream is and what its subjects are called. Nothing is dialled here;
//! what is done with a message is in `crate::nats`, and for people in docs/streaming.md.

use std::path::{Path, PathBuf};
use std::time::Duration;

use host::config::{ConfigError, Span};
use serde::Deserialize;

/// The stream that payments and labels come from, and where decisions go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NatsConfig {
    /// `nats://host:port` or `tls://host:port`, of one cluster.
    pub servers: Vec<String>,
    /// The JetStream stream that holds payments and labels.
    pub stream: String,
    /// The durable consumer of payments; that of labels has `-labels` behind it.
    pub durable: String,
    /// Payments come in below it: the account's key is what follows.
    pub txn_in: String,
    /// Decisions go out below it, with the same account behind it.
    pub decision_out: String,
    /// Labels come in on it.
    pub label_in: String,
    /// Refusals go out on it.
    pub dlq: String,
    /// The watch's alarms go out below it, each on its rule's word.
    pub alert_out: String,
    /// Payments delivered and not yet acknowledged, 1 to 256.
    pub in_flight_max: u16,
    /// How long the server waits for an acknowledgement before it delivers again.
    pub ack_wait: Duration,
    /// How the agent shows who it is.
    pub access: Access,
    /// Asked for where it is set, or a server's address says `tls`.
    pub tls: Option<Tls>,
}

/// How the agent shows the server who it is. Secrets stay in their files until they are used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// By nothing, or by its certificate alone.
    Open,
    /// By a `.creds` file: a user's JWT and the seed of its key.
    Credentials(PathBuf),
    /// By a token, alone in its file.
    Token(PathBuf),
}

/// What TLS is set up with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Certificates of the authorities trusted, PEM; those of the machine without it.
    pub ca: Option<PathBuf>,
    /// The agent's certificate and its key, PEM.
    pub own: Option<(PathBuf, PathBuf)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawNats {
    servers: Vec<String>,
    stream: String,
    durable: Option<String>,
    txn_in: Option<String>,
    decision_out: Option<String>,
    label_in: Option<String>,
    dlq: Option<String>,
    alert_out: Option<String>,
    in_flight_max: Option<u16>,
    ack_wait: Option<Span>,
    credentials_file: Option<PathBuf>,
    token_file: Option<PathBuf>,
    tls: Option<RawTls>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTls {
    ca_file: Option<PathBuf>,
    certificate_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
}

impl RawNats {
    /// Files are relative to `folder`.
    pub(super) fn check(self, folder: &Path) -> Result<NatsConfig, ConfigError> {
        let or = |given: Option<String>, usual: &str| given.unwrap_or_else(|| usual.to_owned());
        let config = NatsConfig {
            servers: self.servers,
            stream: self.stream,
            durable: or(self.durable, "phalanx-agent"),
            txn_in: or(self.txn_in, "txn.in"),
            decision_out: or(self.decision_out, "decision.out"),
            label_in: or(self.label_in, "label.in"),
            dlq: or(self.dlq, "dlq"),
            alert_out: or(self.alert_out, "alert.out"),
            in_flight_max: self.in_flight_max.unwrap_or(IN_FLIGHT_MAX),
            ack_wait: self.ack_wait.map_or(ACK_WAIT, |Span(span)| span),
            access: match (self.credentials_file, self.token_file) {
                (None, None) => Access::Open,
                (Some(file), None) => Access::Credentials(folder.join(file)),
                (None, Some(file)) => Access::Token(folder.join(file)),
                (Some(_), Some(file)) => {
                    let found = file.display().to_string();
                    return Err(wrong("token_file", &found, "none beside credentials_file"));
                }
            },
            tls: self.tls.map(|raw| raw.check(folder)).transpose()?,
        };
        config.check()?;
        Ok(config)
    }
}

impl RawTls {
    fn check(self, folder: &Path) -> Result<Tls, ConfigError> {
        let own = match (self.certificate_file, self.key_file) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some((folder.join(certificate), folder.join(key))),
            (Some(file), None) | (None, Some(file)) => {
                let found = file.display().to_string();
                return Err(wrong("tls", &found, "certificate_file and key_file"));
            }
        };
        Ok(Tls {
            ca: self.ca_file.map(|file| folder.join(file)),
            own,
        })
    }
}

impl NatsConfig {
    fn check(&self) -> Result<(), ConfigError> {
        if self.servers.is_empty() {
            return Err(wrong("servers", "none", "at least one address"));
        }
        for server in &self.servers {
            if !is_address(server) {
                // What stands before an @ may be a secret.
                let found = server.rsplit('@').next().unwrap_or_default();
                let expected = "nats://host:port or tls://host:port, and who we are in a file";
                return Err(wrong("servers", found, expected));
            }
        }
        for (key, name) in [("stream", &self.stream), ("durable", &self.durable)] {
            if !is_token(name) {
                let expected = "letters, digits, hyphens and underscores";
                return Err(wrong(key, name, expected));
            }
        }
        let subjects = [
            ("txn_in", &self.txn_in),
            ("decision_out", &self.decision_out),
            ("label_in", &self.label_in),
            ("dlq", &self.dlq),
            ("alert_out", &self.alert_out),
        ];
        for (at, (key, subject)) in subjects.into_iter().enumerate() {
            if !subject.split('.').all(is_token) {
                let expected = "words with dots between them, no wildcards";
                return Err(wrong(key, subject, expected));
            }
            // A decision that came in again as a payment would never end.
            for (other, earlier) in &subjects[..at] {
                if lies_in(subject, earlier) || lies_in(earlier, subject) {
                    let expected = format!("another subject than {other}, and none below it");
                    return Err(wrong(key, subject, &expected));
                }
            }
        }
        if !(1..=IN_FLIGHT_MAX).contains(&self.in_flight_max) {
            let (found, expected) = (self.in_flight_max.to_string(), "1 to 256");
            return Err(wrong("in_flight_max", &found, expected));
        }
        if !(ACK_WAIT_MIN..=ACK_WAIT_MAX).contains(&self.ack_wait) {
            let found = format!("{:?}", self.ack_wait);
            return Err(wrong("ack_wait", &found, "1s to 10m"));
        }
        Ok(())
    }
}

fn is_address(text: &str) -> bool {
    let schemes = ["nats://", "tls://"];
    let rest = schemes.iter().find_map(|scheme| text.strip_prefix(scheme));
    let port = rest.and_then(|rest| rest.rsplit_once(':'));
    port.is_some_and(|(host, port)| {
        let is_host = !host.is_empty() && !host.contains(['@', '/']);
        is_host && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

/// A word of a subject, or a name: what no server reads as a wildcard or an end.
fn is_token(text: &str) -> bool {
    let may = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !text.is_empty() && text.len() <= NAME_BYTES_MAX && text.bytes().all(may)
}

fn lies_in(subject: &str, of: &str) -> bool {
    let rest = subject.strip_prefix(of);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn wrong(key: &str, found: &str, expected: &str) -> ConfigError {
    ConfigError::Value {
        key: format!("nats.{key}"),
        found: found.to_owned(),
        expected: expected.to_owned(),
    }
}

/// A quarter of the scoring queue: who asks over HTTP finds room beside the stream.
const IN_FLIGHT_MAX: u16 = 256;

/// Longer than a full batch takes to be judged and published, by far.
const ACK_WAIT: Duration = Duration::from_secs(30);
const ACK_WAIT_MIN: Duration = Duration::from_secs(1);
const ACK_WAIT_MAX: Duration = Duration::from_secs(600);

/// Servers make file names of these.
const NAME_BYTES_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = "servers = [\"nats://127.0.0.1:4222\"]\nstream = \"PAYMENTS\"\n";

    fn read(text: &str) -> Result<NatsConfig, ConfigError> {
        let raw: RawNats = toml::from_str(text).unwrap();
        raw.check(Path::new("/etc/agent"))
    }

    #[test]
    fn what_is_left_out_has_the_usual_names() {
        let config = read(LEAST).unwrap();
        let subjects = [&config.txn_in, &config.decision_out, &config.label_in];
        assert_eq!(subjects, ["txn.in", "decision.out", "label.in"]);
        let subjects = [&config.dlq, &config.alert_out];
        assert_eq!(subjects, ["dlq", "alert.out"]);
        assert_eq!(
            (config.durable.as_str(), config.in_flight_max),
            ("phalanx-agent", 256)
        );
        assert_eq!((config.access, config.tls), (Access::Open, None));
    }

    #[test]
    fn files_are_relative_to_the_configuration() {
        let tls = "[tls]\ncertificate_file = \"a.pem\"\nkey_file = \"/b.pem\"";
        let config = read(&format!("{LEAST}token_file = \"token\"\n{tls}")).unwrap();
        assert_eq!(config.access, Access::Token("/etc/agent/token".into()));
        let own = config.tls.and_then(|tls| tls.own);
        assert_eq!(own, Some(("/etc/agent/a.pem".into(), "/b.pem".into())));
    }

    #[test]
    fn what_cannot_be_is_named_by_its_key() {
        for (line, key) in [
            ("durable = \"two words\"", "nats.durable"),
            ("txn_in = \"txn.>\"", "nats.txn_in"),
            ("txn_in = \"txn..in\"", "nats.txn_in"),
            ("decision_out = \"txn.in.out\"", "nats.decision_out"),
            ("dlq = \"txn\"", "nats.dlq"),
            ("label_in = \"decision.out\"", "nats.label_in"),
            // An alarm that came in as a payment.
            ("alert_out = \"txn.in.alerts\"", "nats.alert_out"),
            ("alert_out = \"alert.>\"", "nats.alert_out"),
            ("in_flight_max = 257", "nats.in_flight_max"),
            ("in_flight_max = 0", "nats.in_flight_max"),
            ("ack_wait = \"10ms\"", "nats.ack_wait"),
            (
                "token_file = \"a\"\ncredentials_file = \"b\"",
                "nats.token_file",
            ),
            ("[tls]\nkey_file = \"key.pem\"", "nats.tls"),
        ] {
            let error = read(&format!("{LEAST}{line}\n")).unwrap_err().to_string();
            assert!(error.starts_with(key), "{line}: {error}");
        }
    }

    #[test]
    fn an_address_with_a_secret_in_it_is_refused_without_the_secret() {
        for server in [
            "http://a:1",
            "nats://a",
            "nats://a:0",
            "nats://user:sesame@a:4222",
            "a:1",
        ] {
            let text = format!("servers = [{server:?}]\nstream = \"S\"\n");
            let error = read(&text).unwrap_err().to_string();
            assert!(error.starts_with("nats.servers"), "{error}");
            assert!(!error.contains("sesame"), "{error}");
        }
        let none = read("servers = []\nstream = \"S\"\n")
            .unwrap_err()
            .to_string();
        assert!(none.starts_with("nats.servers: none"), "{none}");
    }
}
