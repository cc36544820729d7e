//! The keeper of the queue: one thread that owns the index, follows the journal behind the worker
//! that writes it, and answers questions between two stretches of reading. It reads what is
//! durable, so an alert follows its decision by a moment, and a question reads along first.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Instant;

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
        let unavailable = |detail: &str| Err(Problem::new(ProblemType::Unavailable, detail));
        if self.pace.is_refused() && !self.pace.is_due(Instant::now()) {
            return unavailable("the journal cannot be read");
        }
        if !self.is_whole {
            return unavailable(
                "found the journal still being read, expected a question a little later",
            );
        }
        loop {
            match self.follow() {
                Ok(Progress::More) => {}
                Ok(Progress::All) => return Ok(()),
                Err(_) => return unavailable("the journal cannot be read"),
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
            self.show_counts();
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

    fn show_counts(&mut self) {
        self.is_whole = true;
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
const CASES_MAX: usize = 2_000;

/// Actions on one alert, of at most 4.2 KiB: they are written again with every one.
const ACTIONS_MAX: usize = 32;

/// Entries read between two questions: some ten milliseconds.
const STRETCH: usize = 1_000;

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;
    use std::sync::mpsc::sync_channel;
    use std::time::Duration;

    use features::{RawTransaction, Transaction};
    use host::disk::Store;
    use serde_json::json;
    use tokio::sync::oneshot;

    use super::*;
    use crate::journal::{Entry, Journal};
    use crate::scoring::alerts::index::Grouping;

    const START_MS: i64 = 1_772_352_000_000;

    fn entry(sequence: u64, score: u16, decision: &str) -> Entry {
        let txn_id = format!("t{sequence}");
        let payment: RawTransaction = serde_json::from_value(json!({
            "txn_id": txn_id, "ts": START_MS, "rail": "card", "amount_minor": 1250,
            "currency": "EUR", "account_tok": "a",
        }))
        .unwrap();
        let payment = Transaction::try_from(payment).unwrap();
        let answer = json!({
            "decision_id": format!("019ca8d2a400-{sequence:x}"), "txn_id": txn_id, "score": score,
            "scored_at": START_MS, "decision": decision, "reasons": [], "band": "high",
        });
        Entry {
            txn_id,
            digest: [0; 32],
            transaction: serde_json::to_string(&payment).unwrap(),
            answer: answer.to_string(),
            vector: vec![0.0],
        }
    }

    fn label(sequence: u64, source: &str, known_at: i64, fraud: bool) -> LabelEntry {
        LabelEntry {
            label_id: [u8::try_from(known_at - START_MS).unwrap(); 32],
            txn_id: format!("t{sequence}"),
            payment: sequence,
            fraud,
            known_at,
            told_at: u64::try_from(known_at).unwrap(),
            source: source.to_owned(),
            supersedes: None,
            after: sequence + 1,
        }
    }

    fn keeper(journal: &Journal, most: usize, telemetry: &Telemetry) -> Keeper {
        let actions = journal.actions().unwrap();
        let (clock, beside) = (Clock::start(), Beside::default());
        let keeper = Keeper::new(journal.follow(), actions, clock, telemetry, beside);
        Keeper {
            index: Index::new(most),
            ..keeper
        }
    }

    fn open(keeper: &mut Keeper) -> Vec<String> {
        keeper.catch_up().unwrap();
        let each = Wanted {
            grouping: Grouping::Alerts,
            ..Wanted::queue()
        };
        let listing = keeper.index.list(keeper.now_ms(), &each);
        let rows = listing.alerts.into_iter();
        rows.map(|row| row.txn_id).collect()
    }

    fn act(keeper: &mut Keeper, sequence: u64, at: i64, deed: Deed) -> Result<Row, Problem> {
        let action = Action {
            at: u64::try_from(at).unwrap(),
            analyst: "u-17".to_owned(),
            note: String::new(),
            deed,
        };
        keeper.act(&format!("019ca8d2a400-{sequence:x}"), action)
    }

    // A journal of 2,500 decisions takes more than two stretches; what is undurable is not read.
    #[test]
    fn the_queue_is_the_journals_and_comes_back_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let (mut journal, telemetry) = (Journal::open(&store).unwrap(), Telemetry::default());
        let mut live = keeper(&journal, 10, &telemetry);
        for sequence in 0..2_500 {
            let decision = match sequence {
                7 => "decline",
                2_400 => "review",
                _ => "approve",
            };
            journal.append(&entry(sequence, 800, decision)).unwrap();
        }
        assert_eq!(live.follow().unwrap(), Progress::All);
        assert!(open(&mut live).is_empty());
        journal.settle().unwrap();
        assert_eq!(live.follow().unwrap(), Progress::More);
        assert_eq!(open(&mut live), ["t7", "t2400"]);

        let mut told = |label: &LabelEntry| {
            journal.append_label(label).unwrap();
            journal.settle().unwrap();
        };
        told(&label(7, "chargeback", START_MS + 1, true));
        assert_eq!(open(&mut live).len(), 2);
        told(&label(7, "analyst", START_MS + 2, true));
        assert_eq!(open(&mut live), ["t2400"]);
        act(&mut live, 2_400, START_MS + 3, Deed::Snooze(u64::MAX)).unwrap();
        assert!(open(&mut live).is_empty());

        let mut again = keeper(&journal, 10, &telemetry);
        assert_eq!(again.catch_up().unwrap_err().kind, ProblemType::Unavailable);
        while again.follow().unwrap() == Progress::More {}
        let counts = |keeper: &Keeper| keeper.index.counts(keeper.now_ms());
        assert_eq!((counts(&again), counts(&live)), ([0, 1, 1], [0, 1, 1]));
    }

    #[test]
    fn the_verdict_is_the_last_that_was_told() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let mut journal = Journal::open(&store).unwrap();
        let mut keeper = keeper(&journal, 10, &Telemetry::default());
        journal.append(&entry(0, 800, "review")).unwrap();
        journal.settle().unwrap();
        while keeper.follow().unwrap() == Progress::More {}
        let verdict = |row: Row| row.verdict.map(|verdict| verdict.word());
        let row = act(&mut keeper, 0, START_MS + 10, Deed::Suspected).unwrap();
        assert_eq!(verdict(row), Some("suspected"));
        // Of two words of one moment the fraud, whichever came last.
        for fraud in [true, false] {
            let label = label(0, "analyst", START_MS + 20, fraud);
            journal.append_label(&label).unwrap();
        }
        journal.settle().unwrap();
        keeper.catch_up().unwrap();
        let row = keeper.index.row(keeper.now_ms(), 0).unwrap();
        assert_eq!(verdict(row), Some("fraud"));
        let row = act(&mut keeper, 0, START_MS + 30, Deed::Unknown).unwrap();
        assert_eq!(verdict(row), Some("unknown"));
        let row = act(&mut keeper, 0, START_MS + 40, Deed::Fraud).unwrap();
        assert_eq!(verdict(row), Some("fraud"));
        let problem = act(&mut keeper, 0, START_MS + 50, Deed::Snooze(u64::MAX));
        assert_eq!(problem.err().unwrap().kind, ProblemType::AlertClosed);
    }

    #[test]
    fn alerts_that_go_for_want_of_room_are_counted_and_their_actions_stay() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let (mut journal, telemetry) = (Journal::open(&store).unwrap(), Telemetry::default());
        let mut keeper = keeper(&journal, 3, &telemetry);
        let mut append = |sequence, score| {
            journal.append(&entry(sequence, score, "review")).unwrap();
            journal.settle().unwrap();
        };
        for (sequence, score) in [(0, 700), (1, 600), (2, 650)] {
            append(sequence, score);
        }
        while keeper.follow().unwrap() == Progress::More {}
        act(&mut keeper, 1, START_MS, Deed::Suspected).unwrap();
        append(3, 900);
        append(4, 100);
        assert_eq!(open(&mut keeper), ["t3", "t0", "t2"]);
        assert_eq!(keeper.actions.of(1).unwrap().len(), 1);
        let gone = act(&mut keeper, 1, START_MS, Deed::Fraud).err().unwrap();
        assert_eq!(gone.kind, ProblemType::NotFound);
        let text = telemetry.render();
        for line in [
            "phalanx_alerts_evicted_total 2",
            "phalanx_alerts{state=\"open\"} 3",
            "phalanx_alerts{state=\"closed\"} 0",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        // Where a restart has room for it again, it is as closed as it was.
        let mut roomy = self::keeper(&journal, 9, &Telemetry::default());
        while roomy.follow().unwrap() == Progress::More {}
        assert_eq!(roomy.index.counts(roomy.now_ms()), [4, 0, 1]);
    }

    #[test]
    fn what_the_disk_refused_is_read_again_and_damaged_actions_hide_no_alert() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let mut journal = Journal::open(&store).unwrap();
        let faults = journal.faults();
        let mut keeper = keeper(&journal, 10, &Telemetry::default());
        for sequence in 0..2 {
            journal.append(&entry(sequence, 800, "review")).unwrap();
        }
        journal.settle().unwrap();
        let actions = store.table("alerts/actions").unwrap();
        actions.put(&1_u64.to_be_bytes(), &[9]).unwrap();
        faults.label_reads.store(1, Ordering::SeqCst);
        assert!(matches!(keeper.follow(), Err(JournalError::Disk(_))));
        while keeper.follow().unwrap() == Progress::More {}
        assert_eq!(open(&mut keeper), ["t0", "t1"]);

        let told = label(0, "analyst", START_MS + 1, true);
        journal.append_label(&told).unwrap();
        journal.settle().unwrap();
        faults.label_reads.store(1, Ordering::SeqCst);
        assert!(matches!(keeper.follow(), Err(JournalError::Disk(_))));
        while keeper.follow().unwrap() == Progress::More {}
        assert_eq!(open(&mut keeper), ["t1"]);
    }

    // Seven refusals in a row are a minute's pause, which no test outlasts.
    #[test]
    fn a_disk_that_refused_is_not_asked_before_its_time_however_often_the_queue_is() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let mut journal = Journal::open(&store).unwrap();
        let faults = journal.faults();
        let mut keeper = keeper(&journal, 10, &Telemetry::default());
        keeper.follow().unwrap();
        assert!(keeper.is_whole && keeper.beside.of(Part::Alerts).is_ok());
        journal.append(&entry(0, 800, "review")).unwrap();
        journal.settle().unwrap();
        faults.entry_reads.store(9, Ordering::SeqCst);
        (0..7).for_each(|_| assert!(keeper.follow().is_err()));
        for _ in 0..3 {
            let problem = keeper.catch_up().unwrap_err();
            assert_eq!(problem.kind, ProblemType::Unavailable);
        }
        assert_eq!(faults.entry_reads.swap(0, Ordering::SeqCst), 2);
        let why = keeper.beside.of(Part::Alerts).unwrap_err();
        assert!(why.contains("tried again"), "{why}");
        keeper.follow().unwrap();
        assert!(keeper.beside.of(Part::Alerts).is_ok());
        assert_eq!(open(&mut keeper), ["t0"]);
    }

    // The first reading is refused once, and somebody asks all the time. Planted fault: a wait that
    // begins anew with every question never ends.
    #[test]
    fn who_asks_all_the_time_does_not_keep_the_queue_from_being_read() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let mut journal = Journal::open(&store).unwrap();
        journal.append(&entry(0, 800, "review")).unwrap();
        journal.settle().unwrap();
        journal.faults().entry_reads.store(1, Ordering::SeqCst);
        let keeper = keeper(&journal, 10, &Telemetry::default());
        let (questions, asked) = sync_channel(1);
        let thread = std::thread::spawn(move || keeper.run(&asked));
        let patience = Instant::now() + Duration::from_secs(60);
        let listing = loop {
            let (reply, told) = oneshot::channel();
            questions
                .send(Question::List(Wanted::queue(), reply))
                .unwrap();
            match told.blocking_recv().unwrap() {
                Ok(queue) => break queue.listing,
                Err(problem) => assert_eq!(problem.kind, ProblemType::Unavailable),
            }
            assert!(Instant::now() < patience);
        };
        assert_eq!(listing.alerts.len(), 1);
        drop(questions);
        thread.join().unwrap();
    }

    // An answer of another build is passed by; so is a payment that the door refuses, which was
    // never journaled so, but that is damage, and is told for as long as the queue lacks it.
    #[test]
    fn what_is_damaged_is_passed_by_and_told() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let mut journal = Journal::open(&store).unwrap();
        let mut keeper = keeper(&journal, 10, &Telemetry::default());
        let foreign = Entry {
            answer: json!({"decision": "perhaps"}).to_string(),
            ..entry(0, 800, "review")
        };
        for entry in [foreign, entry(1, 800, "review")] {
            journal.append(&entry).unwrap();
        }
        journal.settle().unwrap();
        assert_eq!(keeper.follow().unwrap(), Progress::All);
        assert_eq!(open(&mut keeper), ["t1"]);

        let damaged = Entry {
            transaction: "{}".to_owned(),
            ..entry(2, 800, "review")
        };
        for entry in [damaged, entry(3, 800, "review")] {
            journal.append(&entry).unwrap();
        }
        journal.settle().unwrap();
        assert!(keeper.beside.of(Part::Alerts).is_ok());
        let told = |keeper: &Keeper, expected: &str| {
            let why = keeper.beside.of(Part::Alerts).unwrap_err();
            assert!(why.starts_with(expected), "{why}");
            assert!(why.contains("the first: journal entry 2"), "{why}");
        };
        for _ in 0..2 {
            assert_eq!(open(&mut keeper), ["t1", "t3"]);
            told(&keeper, "found 1 damaged");
        }

        // A label that cannot be read settles nothing, and the next one does.
        for sequence in [1, 3] {
            let label = label(sequence, "analyst", START_MS + 1, true);
            journal.append_label(&label).unwrap();
        }
        let labels = store.table("labels/entries").unwrap();
        labels.put(&0_u64.to_be_bytes(), &[9]).unwrap();
        journal.settle().unwrap();
        assert_eq!(open(&mut keeper), ["t1"]);
        told(&keeper, "found 2 damaged");
    }

    // After a refused flush the action is there, and yet not durable.
    #[test]
    fn an_action_that_is_not_durable_is_not_confirmed_however_often_it_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let mut journal = Journal::open(&store).unwrap();
        let faults = journal.faults();
        let mut keeper = keeper(&journal, 3, &Telemetry::default());
        journal.append(&entry(0, 700, "review")).unwrap();
        journal.settle().unwrap();
        while keeper.follow().unwrap() == Progress::More {}
        faults.actions.store(2, Ordering::SeqCst);
        for at in 0..2 {
            let refused = act(&mut keeper, 0, at, Deed::Suspected).err().unwrap();
            assert_eq!(refused.kind, ProblemType::Unavailable, "{at}");
            assert_eq!(keeper.index.counts(keeper.now_ms()), [1, 0, 0]);
        }
        let row = act(&mut keeper, 0, 2, Deed::Suspected).unwrap();
        assert_eq!(row.verdict.map(|verdict| verdict.word()), Some("suspected"));
        assert_eq!(keeper.actions.of(0).unwrap().len(), 1);
    }

    #[test]
    fn actions_are_kept_once_and_have_a_bound() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let mut journal = Journal::open(&store).unwrap();
        let mut keeper = keeper(&journal, 3, &Telemetry::default());
        journal.append(&entry(0, 700, "review")).unwrap();
        journal.settle().unwrap();
        while keeper.follow().unwrap() == Progress::More {}
        for at in 0..2 {
            act(&mut keeper, 0, at, Deed::Unknown).unwrap();
        }
        assert_eq!(keeper.actions.of(0).unwrap().len(), 1);
        for more in 0..31 {
            let deed = [Deed::Suspected, Deed::Unknown][more % 2];
            act(&mut keeper, 0, 5, deed).unwrap();
        }
        let problem = act(&mut keeper, 0, 5, Deed::Unknown).err().unwrap();
        assert_eq!(problem.kind, ProblemType::TooManyActions);
        let subject = keeper.subject("019ca8d2a400-0").err().unwrap();
        assert_eq!(subject.kind, ProblemType::TooManyActions);
    }
}
