//! What is published: a decision, a refusal for the dead letters, an alarm of the watch. Each has
//! an id of its own, by which JetStream keeps a second copy out. A refusal repeats no value of what
//! was refused: it may be a card number, and it lies in the stream under the number that the
//! headers tell.

use async_nats::jetstream::Message;
use async_nats::jetstream::message::PublishMessage;
use async_nats::{HeaderMap, HeaderValue};

use crate::config::nats::NatsConfig;
use crate::scoring::{LabelAnswer, Problem, Written};
use crate::watch::AlarmEvent;

/// Something to publish.
pub(super) struct Letter {
    pub(super) subject: String,
    pub(super) message: PublishMessage,
}

/// Where a message lies in its stream, since when, and how often it was delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) sequence: u64,
    /// When the stream took it, milliseconds since 1970-01-01 UTC: the same at every delivery.
    pub(super) published_ms: i64,
    pub(super) deliveries: u32,
    /// Messages of its feed that wait behind it.
    pub(super) behind: u64,
}

impl Place {
    /// # Errors
    /// Where the message is not of JetStream.
    pub(super) fn of(message: &Message) -> Result<Self, async_nats::Error> {
        let info = message.info()?;
        let published_ms = info.published.unix_timestamp_nanos().div_euclid(1_000_000);
        Ok(Self {
            sequence: info.stream_sequence,
            published_ms: i64::try_from(published_ms).unwrap_or(i64::MAX),
            deliveries: u32::try_from(info.delivered).unwrap_or(u32::MAX),
            behind: info.pending,
        })
    }
}

impl Letter {
    /// The decision on a payment, on the subject of the payment's account.
    pub(super) fn decision(
        config: &NatsConfig,
        (message, place): (&Message, Place),
        written: Written,
    ) -> Self {
        let mut headers = HeaderMap::new();
        let trace = message.headers.as_ref();
        if let Some(trace) = trace.and_then(|headers| headers.get(TRACE)) {
            headers.insert(TRACE, trace.clone());
        }
        // A question decides nothing and has no id: it is asked again under the same number.
        let id = written.answer().decision_id.clone();
        let id = id.unwrap_or_else(|| id_of(config, place, 0));
        Self {
            subject: subject_of(config, message.subject.as_str()),
            message: published(headers, &id, written.into_json()),
        }
    }

    /// The refusal of a message, or of the label at `item`, from 1, of its list.
    pub(super) fn refusal(
        config: &NatsConfig,
        (message, place): (&Message, Place),
        (item, problem): (usize, &Problem),
    ) -> Self {
        let mut headers = HeaderMap::new();
        let told = [
            ("Phalanx-Subject", message.subject.to_string()),
            ("Phalanx-Stream", config.stream.clone()),
            ("Phalanx-Sequence", place.sequence.to_string()),
            ("Phalanx-Problem", problem.kind.word().to_owned()),
            ("Phalanx-Item", item.to_string()),
        ];
        for (name, text) in told {
            // No subject of a sound server has a line end in it; one that has is not told.
            if let Ok(value) = text.parse::<HeaderValue>() {
                headers.insert(name, value);
            }
        }
        let text = serde_json::to_vec(&without_values(problem));
        let text = text.expect("problems have text keys and plain values");
        Self {
            subject: config.dlq.clone(),
            message: published(headers, &id_of(config, place, item), text),
        }
    }

    /// An alarm that turned, on the subject of its rule.
    pub(super) fn alert(config: &NatsConfig, event: &AlarmEvent) -> Self {
        let text = serde_json::to_vec(event).expect("events have text keys and plain values");
        Self {
            subject: format!("{}.{}", config.alert_out, event.rule()),
            message: published(HeaderMap::new(), event.alert_id(), text),
        }
    }
}

/// A problem as it may lie in a stream that others read: which field, and what was expected of it.
fn without_values(problem: &Problem) -> Problem {
    Problem {
        found: None,
        detail: problem.title.to_owned(),
        ..problem.clone()
    }
}

/// The refusals of a body of labels, each with its place in the list, from 1; 0 where the body
/// itself was refused.
pub(super) fn refused(outcome: &Result<Vec<LabelAnswer>, Problem>) -> Vec<(usize, &Problem)> {
    match outcome {
        Err(problem) => vec![(0, problem)],
        Ok(answers) => {
            let problems = answers.iter().map(|answer| answer.problem.as_ref());
            let numbered = (1..).zip(problems);
            let refused = numbered.filter_map(|(item, problem)| Some((item, problem?)));
            refused.collect()
        }
    }
}

/// Where the decision on a payment of `subject` goes: what names the account stays behind.
fn subject_of(config: &NatsConfig, subject: &str) -> String {
    let account = subject.strip_prefix(config.txn_in.as_str());
    // A stream that renames what it takes in says no account.
    let account = account.filter(|account| account.starts_with('.'));
    format!("{}{}", config.decision_out, account.unwrap_or_default())
}

fn id_of(config: &NatsConfig, place: Place, item: usize) -> String {
    format!("{}-{}-{item}", config.stream, place.sequence)
}

fn published(headers: HeaderMap, id: &str, text: Vec<u8>) -> PublishMessage {
    let message = PublishMessage::build().headers(headers);
    message.message_id(id).payload(text.into())
}

/// Of W3C Trace Context: who asked follows the answer by it.
const TRACE: &str = "traceparent";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::nats::Access;
    use crate::scoring::{LabelStatus, ProblemType};

    fn config() -> NatsConfig {
        NatsConfig {
            servers: Vec::new(),
            stream: "PAYMENTS".to_owned(),
            durable: "agent".to_owned(),
            txn_in: "txn.in".to_owned(),
            decision_out: "decision.out".to_owned(),
            label_in: "label.in".to_owned(),
            dlq: "dlq".to_owned(),
            alert_out: "alert.out".to_owned(),
            in_flight_max: 16,
            ack_wait: std::time::Duration::from_secs(30),
            access: Access::Open,
            tls: None,
        }
    }

    #[test]
    fn a_decision_keeps_the_account_of_its_payment() {
        let config = config();
        assert_eq!(subject_of(&config, "txn.in.acc1"), "decision.out.acc1");
        assert_eq!(
            subject_of(&config, "txn.in.eu.acc1"),
            "decision.out.eu.acc1"
        );
        for other in ["txn.in", "txn.inner.acc1", "renamed"] {
            assert_eq!(subject_of(&config, other), "decision.out", "{other}");
        }
    }

    #[test]
    fn an_alarm_goes_out_below_its_rule_under_its_own_id() {
        let told = serde_json::json!({
            "event": "alert", "alert_id": "0c2b", "state": "raised", "rule": "missing",
            "subject": "mcc", "value": 0.25, "threshold": 0.1, "since_day": 20454, "day": 20454,
            "bank": "bank-1",
        });
        let event: AlarmEvent = serde_json::from_value(told.clone()).unwrap();
        let Letter { subject, message } = Letter::alert(&config(), &event);
        assert_eq!(subject, "alert.out.missing");
        let sent = message.outbound_message(subject);
        let headers = sent.headers.unwrap();
        assert_eq!(headers.get("Nats-Msg-Id").unwrap().as_str(), "0c2b");
        let body: serde_json::Value = serde_json::from_slice(&sent.payload).unwrap();
        assert_eq!(body, told);
    }

    #[test]
    fn a_refusal_repeats_no_value() {
        let problem = Problem {
            kind: ProblemType::Schema,
            title: "The form is another",
            status: 400,
            detail: "field ts: found Jane Doe, expected a time".to_owned(),
            field: Some("ts".to_owned()),
            found: Some("Jane Doe".to_owned()),
            expected: Some("a time".to_owned()),
        };
        let said = serde_json::to_string(&without_values(&problem)).unwrap();
        assert!(
            said.contains("a time") && said.contains("another"),
            "{said}"
        );
        assert!(!said.contains("Jane"), "{said}");
    }

    #[test]
    fn each_refused_label_is_told_by_its_place() {
        let problem = Problem {
            kind: ProblemType::Schema,
            title: "",
            status: 400,
            detail: String::new(),
            field: None,
            found: None,
            expected: None,
        };
        let label = |problem: Option<Problem>| LabelAnswer {
            label_id: None,
            status: LabelStatus::Refused,
            problem,
        };
        let answers = vec![label(None), label(Some(problem.clone())), label(None)];
        assert_eq!(refused(&Ok(answers)), [(2, &problem)]);
        assert_eq!(refused(&Err(problem.clone())), [(0, &problem)]);
    }
}
