//! Which turns of alarms the bank's own systems are told of: those that change what they were told
//! last. So what is told follows the alarms that are open, and a start, which reads the journal
//! again and comes to the same alarms, tells nothing a second time and nothing of what is over.
//! There is no clock and no disk here: `outbox.rs` keeps what was told, `crate::nats` sends it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::alarm::{Alarm, Alarms, Event, IN_A_ROW, Rule};
use super::watching::Evaluation;

/// An alarm that rose or went, as it is told: the body of a message (docs/streaming.md).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename = "alert")]
pub(crate) struct AlarmEvent {
    /// A function of bank, rule, subject, day and state: a second copy is known by it.
    alert_id: String,
    state: Turn,
    rule: Rule,
    subject: String,
    /// The change at the evaluation; none where the start found that the alarm is gone.
    value: Option<f64>,
    /// The change from which the rule raises.
    threshold: f64,
    /// Day of the evaluation at which it rose, since 1970-01-01 UTC; the same in both states.
    since_day: i32,
    /// Day of the evaluation at which it turned, likewise.
    day: i32,
    bank: String,
}

/// Which way an alarm turned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Turn {
    Raised,
    Cleared,
}

impl AlarmEvent {
    pub(crate) fn alert_id(&self) -> &str {
        &self.alert_id
    }

    /// The rule's word.
    pub(crate) fn rule(&self) -> &'static str {
        self.rule.word()
    }
}

/// What outlives the process: what was told last of each alarm, and what the stream has not
/// confirmed. Both are one record, so that neither is kept without the other.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// In the order in which they turned.
    told: Vec<Last>,
    /// Oldest first.
    waiting: VecDeque<AlarmEvent>,
}

/// What was told last of an alarm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Last {
    rule: Rule,
    subject: String,
    state: Turn,
    since_day: i32,
}

impl Last {
    fn is_of(&self, rule: Rule, subject: &str) -> bool {
        self.rule == rule && self.subject == subject
    }
}

/// Decides what is told.
pub(super) struct Telling {
    bank: String,
    kept: Kept,
    /// Day of the last evaluation.
    day: i32,
    /// How often each rule was evaluated since the start.
    evaluated: BTreeMap<Rule, u8>,
    /// Whether the past is still being read again.
    is_reading: bool,
    /// Turns that came while as many waited as may.
    left_out: u64,
}

impl Telling {
    /// Goes on from what was kept, once the past is read.
    pub(super) fn new(bank: &str, kept: Kept) -> Self {
        Self {
            bank: bank.to_owned(),
            kept,
            day: i32::MIN,
            evaluated: BTreeMap::new(),
            is_reading: true,
            left_out: 0,
        }
    }

    /// Takes in an evaluation and the alarms after it; whether there is more to tell.
    pub(super) fn weigh(&mut self, evaluation: &Evaluation, alarms: &Alarms) -> bool {
        self.day = evaluation.day;
        let watched = evaluation.figures.iter().filter(|of| of.is_watched);
        for rule in watched.map(|of| of.rule).collect::<BTreeSet<Rule>>() {
            let times = self.evaluated.entry(rule).or_default();
            *times = times.saturating_add(1);
        }
        !self.is_reading && self.follow(&evaluation.events, alarms)
    }

    /// The past is read: from here on alarms are told. Whether there is something to tell.
    pub(super) fn caught_up(&mut self, alarms: &Alarms) -> bool {
        std::mem::take(&mut self.is_reading) && self.follow(&[], alarms)
    }

    /// The oldest that the stream has not confirmed.
    pub(super) fn first(&self) -> Option<&AlarmEvent> {
        self.kept.waiting.front()
    }

    /// The stream has it. Whether it was waiting.
    pub(super) fn confirmed(&mut self, alert_id: &str) -> bool {
        let before = self.kept.waiting.len();
        self.kept.waiting.retain(|of| of.alert_id != alert_id);
        self.kept.waiting.len() < before
    }

    pub(super) fn kept(&self) -> &Kept {
        &self.kept
    }

    /// How many turns found no room since this was asked last.
    pub(super) fn take_left_out(&mut self) -> u64 {
        std::mem::take(&mut self.left_out)
    }

    fn follow(&mut self, events: &[Event], alarms: &Alarms) -> bool {
        let rose = alarms.open().filter_map(|alarm| self.rose(alarm));
        let told = self.kept.told.iter();
        let went = told.filter_map(|last| self.went(last, events, alarms));
        let turned: Vec<AlarmEvent> = rose.chain(went).collect();
        let before = self.kept.waiting.len();
        for event in turned {
            self.hand_over(event, events);
        }
        self.kept.waiting.len() > before
    }

    /// Nothing where it was told already.
    fn rose(&self, alarm: &Alarm) -> Option<AlarmEvent> {
        let mut told = self.kept.told.iter();
        let last = told.find(|last| last.is_of(alarm.rule, &alarm.subject));
        let since_day = match last {
            Some(last) if last.state == Turn::Raised => return None,
            // Measures are evaluated several times a day: told on the same day it would have the
            // id of the one before.
            Some(last) if last.since_day >= alarm.since_day => {
                Some(self.day).filter(|day| *day > last.since_day)?
            }
            Some(_) | None => alarm.since_day,
        };
        let of = (alarm.rule, alarm.subject.as_str());
        Some(self.event(Turn::Raised, of, since_day, Some(alarm.change)))
    }

    /// Nothing where it is open, or cannot be known: what the journal does not tell again, as
    /// measures of mature payments, is evaluated as often as it takes to raise an alarm first.
    fn went(&self, last: &Last, events: &[Event], alarms: &Alarms) -> Option<AlarmEvent> {
        let is_of = |alarm: &&Alarm| last.is_of(alarm.rule, &alarm.subject);
        let times = self.evaluated.get(&last.rule).copied().unwrap_or_default();
        let is_known = times >= IN_A_ROW && !alarms.open().any(|alarm| is_of(&alarm));
        if last.state == Turn::Cleared || !is_known {
            return None;
        }
        let turned = events.iter().map(Event::alarm).find(is_of);
        let (of, change) = (
            (last.rule, last.subject.as_str()),
            turned.map(|alarm| alarm.change),
        );
        Some(self.event(Turn::Cleared, of, last.since_day, change))
    }

    fn event(
        &self,
        state: Turn,
        (rule, subject): (Rule, &str),
        since_day: i32,
        change: Option<f64>,
    ) -> AlarmEvent {
        let of = (self.bank.as_str(), rule, subject, since_day, state);
        let of = serde_json::to_vec(&of).expect("words and a number are JSON");
        let mut alert_id = crypto::sha256(&[of.as_slice()]).to_hex();
        alert_id.truncate(ID_DIGITS);
        AlarmEvent {
            alert_id,
            state,
            rule,
            subject: subject.to_owned(),
            // JSON knows no other numbers.
            value: change.filter(|change| change.is_finite()),
            threshold: rule.thresholds().raise,
            since_day,
            day: self.day,
            bank: self.bank.clone(),
        }
    }

    /// What finds no room is not told, so the next evaluation brings it again if it is still so.
    fn hand_over(&mut self, event: AlarmEvent, events: &[Event]) {
        let (rule, subject) = (event.rule, event.subject.as_str());
        let is_of = |alarm: &Alarm| alarm.rule == rule && alarm.subject == subject;
        if self.kept.waiting.len() >= WAITING_MAX {
            let is_fresh = events.iter().any(|turned| is_of(turned.alarm()));
            self.left_out += u64::from(is_fresh);
            return;
        }
        let told = &mut self.kept.told;
        told.retain(|last| !last.is_of(rule, subject));
        told.push(Last {
            rule,
            subject: subject.to_owned(),
            state: event.state,
            since_day: event.since_day,
        });
        let oldest = told.iter().position(|last| last.state == Turn::Cleared);
        if let Some(oldest) = oldest.filter(|_| told.len() > TOLD_MAX) {
            told.remove(oldest);
        }
        self.kept.waiting.push_back(event);
    }
}

/// Events that wait for the stream: some months of them. Those that came first stay, since who
/// hears that an alarm went has to have heard that it rose.
const WAITING_MAX: usize = 256;

/// Alarms of which it is known what was told last, beyond those that are open: ten times as many as
/// a schema's features and fields give. Forgotten, an alarm of long ago may be told under its old
/// id once more.
const TOLD_MAX: usize = 1_024;

/// Hexadecimal digits of an id: half a digest.
const ID_DIGITS: usize = 32;

#[cfg(test)]
mod tests;
