//! The keeper of the queue: one thread that owns the index, follows the journal behind the worker
//! that writes it, and answers questions between two stretches of reading. It reads what is
//! durable, so an alert follows its decision by a moment, and a question reads along first.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use host::clock::Clock;
use host::telemetry::Telemetry;
use model::Scorer;

use super::alert::{Alert, Said, State};
use super::cases::Cases;
use super::index::{Index, Row, Wanted};
use super::meters::Meters;
use super::trail::Trail;
use super::{Question, Queue};
use crate::journal::reading::{self, LOOK_EVERY, Pace, Progress, Reads};
use crate::journal::{Action, Actions, Deed, Follower, JournalError, LabelEntry, Reach, Told};
use crate::scoring::beside::{Beside, Part};
use crate::scoring::decisions::{place_of, unreadable};
use crate::scoring::labels::in_force;
use crate::scoring::problem::{Problem, ProblemType};

/// All that the queue remembers.
pub(super) struct Keeper {
    pub(super) journal: Follower,
    pub(super) actions: Actions,
    pub(super) index: Index,
    pub(super) trail: Trail,
    pub(super) cases: Cases,
    pub(super) live: Option<Arc<Scorer>>,
    pub(super) clock: Clock,
    meters: Meters,
    beside: Beside,
    pace: Pace,
    /// Damaged decisions and labels that were passed by, and what was wrong with the first.
    passed_by: u64,
    first_passed_by: Option<String>,
    /// Whether the journal was read to its end once.
    is_whole: bool,
    /// When its alerts were counted last.
    counted: Option<Instant>,
}

impl Keeper {
    pub(super) fn new(
        mut journal: Follower,
        actions: Actions,
        clock: Clock,
        telemetry: &Telemetry,
        beside: Beside,
    ) -> Self {
        // An alert reads its own labels when it opens; the last ones make the cases.
        journal.skip_to_last_labels(CASES_MAX as u64);
        Self {
            journal,
            actions,
            index: Index::new(ALERTS_MAX),
            trail: Trail::new(TRAIL_MAX),
            cases: Cases::new(CASES_MAX),
            live: None,
            clock,
            meters: Meters::new(telemetry),
            beside,
            pace: Pace::new("the alert queue", LOOK_EVERY),
            passed_by: 0,
            first_passed_by: None,
            is_whole: false,
            counted: None,
        }
    }

    /// Works until the handle is dropped.
    pub(super) fn run(mut self, questions: &Receiver<Question>) {
        loop {
            match questions.recv_timeout(self.pace.wait(Instant::now())) {
                Ok(question) => self.answer(question),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if self.pace.is_due(Instant::now()) {
                // Where it is refused, the pace has said why.
                let _ = self.follow();
            }
        }
    }

    /// Who asked may be gone: then nobody hears the answer.
    fn answer(&mut self, question: Question) {
        let current = self.catch_up();
        match question {
            Question::List(wanted, reply) => {
                let _ = reply.send(current.and_then(|()| self.list(wanted)));
            }
            Question::Show(decision_id, reply) => {
                let shown = current.and_then(|()| self.show(&decision_id));
                let _ = reply.send(shown.map(Box::new));
            }
            Question::Subject(decision_id, reply) => {
                let _ = reply.send(current.and_then(|()| self.subject(&decision_id)));
            }
            Question::Act(decision_id, action, reply) => {
                let _ = reply.send(current.and_then(|()| self.act(&decision_id, action)));
            }
            Question::Model(scorer) => {
                self.live = Some(scorer);
                self.cases.move_away();
            }
        }
    }

    /// Reads what has come since the last stretch. The first reading is long, and is not waited
    /// for; a disk that refused is not asked before its time, however many ask here.
    fn catch_up(&mut self) -> Result<(), Problem> {
        let unavailable = || {
            let detail = "the journal cannot be read";
            Err(Problem::new(ProblemType::Unavailable, detail))
        };
        if self.pace.is_refused() && !self.pace.is_due(Instant::now()) {
            return unavailable();
        }
        if !self.is_whole {
            let detail = "found the journal still being read, expected a question a little later";
            return Err(Problem::new(ProblemType::NotReady, detail));
        }
        loop {
            match self.follow() {
                Ok(Progress::More) => {}
                Ok(Progress::All) => return Ok(()),
                Err(_) => return unavailable(),
            }
        }
    }

    /// Reads one stretch of the journal: decisions, then the labels of what is known by then.
    fn follow(&mut self) -> Result<Progress, JournalError> {
        let reach = self.journal.reach();
        let read = reading::read(self, reach, STRETCH);
        self.pace.after(Instant::now(), &read);
        self.beside.tell(Part::Alerts, self.account());
        let read = read?;
        if read == Progress::All {
            self.is_whole = true;
            self.show_counts(Instant::now());
        }
        Ok(read)
    }

    /// How the queue is: why it is whole, or what it lacks.
    fn account(&self) -> Result<String, String> {
        let read = self.pace.account()?;
        match &self.first_passed_by {
            None => Ok(read),
            Some(first) => Err(format!(
                "found {} damaged decisions or labels, which the queue lacks; the first: {first}",
                self.passed_by
            )),
        }
    }

    /// Counts what is damaged. Not each is logged: there may be a file of them.
    fn count_damage(&mut self, error: &JournalError) {
        self.passed_by = self.passed_by.saturating_add(1);
        let passed_by = self.passed_by;
        if passed_by.is_power_of_two() {
            tracing::error!(%error, passed_by, "what is damaged is not in the alert queue");
        }
        self.first_passed_by
            .get_or_insert_with(|| error.to_string());
    }

    /// Takes in the next decision or label, and nothing of one that cannot be read.
    fn read_next(&mut self, reach: Reach) -> Result<Progress, JournalError> {
        if let Some(told) = self.journal.next_told(reach)? {
            self.take(&told)?;
        } else if let Some(label) = self.journal.next_label(reach)? {
            self.take_label(&label)?;
        } else {
            return Ok(Progress::All);
        }
        Ok(Progress::More)
    }

    /// Not at every look: it walks the whole queue, and the longer that is the longer a payment may
    /// wait for the core.
    fn show_counts(&mut self, now: Instant) {
        let is_fresh = |counted: Instant| now.duration_since(counted) < COUNT_EVERY;
        if self.counted.is_some_and(is_fresh) {
            return;
        }
        self.counted = Some(now);
        let now_ms = self.now_ms();
        let counts = self.index.counts(now_ms);
        self.meters
            .counted(counts, self.index.oldest_open_s(now_ms));
    }

    fn take(&mut self, told: &Told) -> Result<(), JournalError> {
        let alert = self.alert_of(told)?;
        self.trail.push(told.sequence, told.payment.card());
        let gone = alert.and_then(|alert| self.index.open(told.sequence, alert));
        if gone.is_some() {
            self.meters.evicted();
        }
        Ok(())
    }

    /// The alert that a decision opens, as labels and actions have settled it; nothing where it
    /// opens none. An answer of a form that this build does not know is no damage: it is said, and
    /// passed by.
    fn alert_of(&self, told: &Told) -> Result<Option<Alert>, JournalError> {
        let said = told.answer::<Said>();
        if said.as_ref().is_some_and(|said| !said.is_alert()) {
            return Ok(None);
        }
        let Some(mut alert) = said.and_then(|said| Alert::new(said, &told.payment)) else {
            let sequence = told.sequence;
            tracing::error!(
                sequence,
                "a decision that cannot be read is not in the alert queue"
            );
            return Ok(None);
        };
        let labels = self.journal.labels_of(&told.payment.txn_id)?;
        alert.settle(&labels, &self.actions_of(told.sequence)?);
        Ok(Some(alert))
    }

    /// The actions on an alert, none where they are damaged: then it has to be looked at again.
    pub(super) fn actions_of(&self, sequence: u64) -> Result<Vec<Action>, JournalError> {
        match self.actions.of(sequence) {
            Err(error @ JournalError::DamagedActions { .. }) => {
                tracing::error!(%error, "an alert is shown as if nobody had looked at it");
                Ok(Vec::new())
            }
            read => read,
        }
    }

    fn take_label(&mut self, label: &LabelEntry) -> Result<(), JournalError> {
        let labels = self.journal.labels_of(&label.txn_id)?;
        if self.index.at(label.payment).is_some() {
            let actions = self.actions_of(label.payment)?;
            let settle = |alert: &mut Alert| alert.settle(&labels, &actions);
            self.index.change(label.payment, settle);
        }
        if let Some(label) = in_force(&labels) {
            self.cases.take(label.payment, label.fraud);
        }
        Ok(())
    }

    fn list(&self, mut wanted: Wanted) -> Result<Queue, Problem> {
        let now_ms = self.now_ms();
        if let Some(decision_id) = &wanted.of {
            let (_, alert) = self.find(decision_id)?;
            wanted.account = Some(alert.account.clone());
        }
        Ok(Queue {
            listing: self.index.list(now_ms, &wanted),
            counts: self.index.counts(now_ms),
        })
    }

    fn subject(&self, decision_id: &str) -> Result<String, Problem> {
        let (sequence, alert) = self.find(decision_id)?;
        let actions = self.actions.of(sequence);
        room_for_action(&actions.map_err(|error| unreadable(&error))?)?;
        Ok(alert.txn_id.clone())
    }

    /// Keeps an action, once where it is told twice in a row, and says what the alert has become.
    fn act(&mut self, decision_id: &str, action: Action) -> Result<Row, Problem> {
        let (sequence, alert) = self.find(decision_id)?;
        let is_snooze = matches!(action.deed, Deed::Snooze(_));
        if is_snooze && alert.state(self.now_ms()) == State::Closed {
            let detail = "found an alert that is closed, expected one to put off";
            return Err(Problem::new(ProblemType::AlertClosed, detail));
        }
        let txn_id = alert.txn_id.clone();
        let actions = self.actions.of(sequence);
        let mut actions = actions.map_err(|error| unreadable(&error))?;
        let words = |action: &Action| (action.deed, action.analyst.clone(), action.note.clone());
        if actions.last().map(words) != Some(words(&action)) {
            room_for_action(&actions)?;
            actions.push(action);
        }
        // Also what is there already: the disk may have refused to make it durable.
        let kept = self.actions.keep(sequence, &actions);
        kept.map_err(|error| {
            tracing::error!(%error, "an action on an alert cannot be kept");
            Problem::new(ProblemType::Unavailable, "the action cannot be kept")
        })?;
        let labels = self.journal.labels_of(&txn_id);
        let labels = labels.map_err(|error| unreadable(&error))?;
        let settle = |alert: &mut Alert| alert.settle(&labels, &actions);
        self.index.change(sequence, settle);
        self.index.row(self.now_ms(), sequence).ok_or_else(unknown)
    }

    /// An alert by the id of its decision.
    pub(super) fn find(&self, decision_id: &str) -> Result<(u64, &Alert), Problem> {
        let sequence = place_of(decision_id).ok_or_else(unknown)?;
        let alert = self.index.at(sequence);
        // Places begin again where a journal was lost: the whole id has to be this one's.
        let alert = alert.filter(|alert| alert.decision_id == decision_id);
        Ok((sequence, alert.ok_or_else(unknown)?))
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.clock.now().0
    }
}

impl Reads for Keeper {
    type Error = JournalError;

    fn journal(&mut self) -> &mut Follower {
        &mut self.journal
    }

    /// One that is damaged is passed by and counted: a queue that ended there would lack all that
    /// comes after it too.
    fn read_one(&mut self, reach: Reach) -> Result<Progress, JournalError> {
        let place = self.journal.place();
        match self.read_next(reach) {
            Err(error) if !error.is_passing() => {
                // The journal itself passes by labels, and by no decision.
                if self.journal.place() == place {
                    self.journal.pass_by();
                }
                self.count_damage(&error);
                Ok(Progress::More)
            }
            read => read,
        }
    }
}

fn room_for_action(actions: &[Action]) -> Result<(), Problem> {
    if actions.len() < ACTIONS_MAX {
        return Ok(());
    }
    let found = format!("found {ACTIONS_MAX} actions on this alert, expected fewer");
    Err(Problem::new(ProblemType::TooManyActions, found))
}

fn unknown() -> Problem {
    let detail = "found no alert in the queue, expected the decision_id of one";
    Problem::new(ProblemType::NotFound, detail)
}

/// Alerts kept, half a KiB each: above it closed ones go first, then the lowest scores. A bank that
/// looks at 500 a day fills it in a hundred days.
const ALERTS_MAX: usize = 50_000;

/// Payments among which an account's earlier ones are found: a bank with ten a second has a day of
/// them. With an account for each, 45 MB.
const TRAIL_MAX: usize = 1_000_000;

/// Confirmed cases that an alert is compared with, at most one KiB each.
pub(super) const CASES_MAX: usize = 2_000;

/// Actions on one alert, of at most 4.2 KiB: they are written again with every one.
const ACTIONS_MAX: usize = 32;

/// How often the metrics of the queue are made anew at most: far below what a scrape can see.
const COUNT_EVERY: Duration = Duration::from_secs(1);

/// Entries read between two questions: some ten milliseconds.
const STRETCH: usize = 1_000;

#[cfg(test)]
mod tests;
