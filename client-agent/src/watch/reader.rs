//! The thread that watches: it reads the journal behind the worker, tells figures and alarms, and
//! is told of models. What the figures are is `watch.rs`'s; it waits for nobody, and nobody who
//! scores waits for it.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Instant;

use features::{FeatureSchema, Transaction};
use host::clock::Clock;
use host::telemetry::Telemetry;
use host::workers;
use serde::Deserialize;

use super::Seen;
use super::alarm::Alarm;
use super::fields::Filled;
use super::meters::{self, Meters};
use super::outbox::Outbox;
use super::quality::{Scored, Settings};
use super::watching::{Evaluation, Watching};
use crate::history::Report;
use crate::journal::reading::{self, LOOK_EVERY, Pace, Progress, Reads};
use crate::journal::{Follower, JournalError, LabelEntry, Reach, Told};
use crate::scoring::{Answer, Beside, Bundle, Decision, ModelName, Part, Slot};
use crate::status::{AlarmStatus, Board};

/// The watching thread; it ends with this handle.
#[derive(Debug)]
pub struct Watcher {
    words: SyncSender<Word>,
    thread: Option<JoinHandle<()>>,
}

/// Where models that were put in place are told.
#[derive(Clone, Debug)]
pub struct Installs(SyncSender<Word>);

/// A live model, as far as watching needs it.
#[derive(Debug)]
pub struct Watched(Bundle);

#[derive(Debug)]
enum Word {
    Model(Watched),
    Leave,
}

impl Watched {
    /// What is watched of a model; nothing of one that decides nothing.
    #[must_use]
    pub fn of(bundle: &Bundle) -> Option<Self> {
        match bundle.slot {
            Slot::Live => Some(Self(Bundle {
                usual: None,
                ..bundle.clone()
            })),
            Slot::Local | Slot::Pretrained => None,
        }
    }
}

impl Installs {
    /// Says that a model is in place. Waits while the one before is being taken in.
    pub fn tell(&self, model: Option<Watched>) {
        if let Some(model) = model {
            // A watch that has stopped has said why; scoring goes on without it.
            let _ = self.0.send(Word::Model(model));
        }
    }
}

impl Watcher {
    /// Starts watching what `journal` holds, from the last four million decisions on. Labels told
    /// from this moment on are counted, so it comes before anybody can tell one.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub(crate) fn start(
        clock: Clock,
        settings: Settings,
        schema: FeatureSchema,
        journal: Follower,
        told: (&Telemetry, Board, Beside, Option<Outbox>),
    ) -> std::io::Result<Self> {
        let (words, heard) = sync_channel(WORDS_MAX);
        let reader = Reader::new(clock, settings, schema, journal, told);
        let thread = workers::behind("watching", move || reader.run(&heard))?;
        Ok(Self {
            words,
            thread: Some(thread),
        })
    }

    /// Where to tell it of models.
    #[must_use]
    pub fn installs(&self) -> Installs {
        Installs(self.words.clone())
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        // A thread that has stopped hears nothing, and has said why.
        let _ = self.words.send(Word::Leave);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Reader {
    watching: Watching,
    schema: FeatureSchema,
    journal: Follower,
    meters: Meters,
    board: Board,
    beside: Beside,
    /// Where the bank has a stream that is told of alarms.
    outbox: Option<Outbox>,
    clock: Clock,
    started_ms: u64,
    /// When mature payments were measured last.
    measured_ms: Option<u64>,
    /// Labels since then.
    labels: u32,
}

impl Reader {
    fn new(
        clock: Clock,
        settings: Settings,
        schema: FeatureSchema,
        journal: Follower,
        (telemetry, board, beside, outbox): (&Telemetry, Board, Beside, Option<Outbox>),
    ) -> Self {
        Self {
            watching: Watching::new(settings, schema.clone()),
            schema,
            journal: journal.starting_at_last(DECISIONS_READ_MAX),
            meters: Meters::new(telemetry),
            board,
            beside,
            outbox,
            clock,
            started_ms: clock.now().0,
            measured_ms: None,
            labels: 0,
        }
    }

    fn run(mut self, words: &Receiver<Word>) {
        let mut pace = Pace::new("watching", LOOK_EVERY);
        loop {
            match words.recv_timeout(pace.wait(Instant::now())) {
                Ok(Word::Model(model)) => self.install(&model),
                Ok(Word::Leave) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if !pace.is_due(Instant::now()) {
                continue;
            }
            let read = self.read();
            pace.after(Instant::now(), &read);
            self.beside.tell(Part::Watch, pace.account());
            if pace.is_stopped() {
                return;
            }
        }
    }

    fn install(&mut self, model: &Watched) {
        match model.0.scorer(&self.schema) {
            Ok(scorer) => self.watching.install(Arc::new(scorer)),
            Err(error) => tracing::error!(%error, "the model in place is not watched"),
        }
    }

    /// Reads on, for a fraction of a second at most.
    fn read(&mut self) -> Result<Progress, JournalError> {
        let reach = self.journal.reach();
        let read = reading::read(self, reach, DECISIONS_AT_ONCE);
        self.meters.behind(self.journal.behind(reach));
        let read = read?;
        if read == Progress::All {
            if let Some(outbox) = &self.outbox {
                outbox.caught_up(self.watching.alarms());
            }
            self.measure_if_due();
        }
        Ok(read)
    }

    fn decision(&mut self, told: &Told) {
        let Some(read) = Read::of(told) else {
            return;
        };
        let seen = Seen {
            day: read.day,
            vector: &told.vector,
            model: read.model,
            filled: read.filled,
        };
        if let Some(evaluation) = self.watching.pay(seen, read.scored) {
            self.tell(&evaluation);
        }
    }

    fn label(&mut self, label: &LabelEntry) -> Result<(), JournalError> {
        let told = self.journal.told(label.payment)?;
        let Some(read) = told.as_ref().and_then(Read::of) else {
            return Ok(());
        };
        // What was told before the start was counted then.
        if label.told_at >= self.started_ms {
            self.meters.labelled(label, read.ts);
        }
        if let Some(scored) = read.scored {
            let report = Report {
                known_at: label.known_at,
                fraud: label.fraud,
            };
            self.watching.label(scored, report);
        }
        self.labels = self.labels.saturating_add(1);
        Ok(())
    }

    /// Measures once an hour, or after a thousand labels.
    fn measure_if_due(&mut self) {
        let now = self.clock.now().0;
        let is_due = self
            .measured_ms
            .is_none_or(|at| now.saturating_sub(at) >= MEASURED_EVERY_MS);
        if !is_due && self.labels < LABELS_MEASURED {
            return;
        }
        (self.measured_ms, self.labels) = (Some(now), 0);
        let (measures, evaluation) = self.watching.measure();
        self.meters.measured(&measures);
        if let Some(evaluation) = evaluation {
            self.tell(&evaluation);
        }
    }

    /// Tells figures, and what becomes of alarms.
    fn tell(&self, evaluation: &Evaluation) {
        self.meters.tell(&evaluation.figures);
        evaluation.events.iter().for_each(meters::line);
        let alarms = self.watching.alarms();
        self.meters.tell_alarms(alarms);
        let open = alarms.open().map(told).collect();
        self.board.update(|status| status.alarms = open);
        if let Some(outbox) = &self.outbox {
            outbox.weigh(evaluation, alarms);
        }
    }
}

impl Reads for Reader {
    type Error = JournalError;

    fn journal(&mut self) -> &mut Follower {
        &mut self.journal
    }

    /// Labels once all payments before them are read.
    fn read_one(&mut self, reach: Reach) -> Result<Progress, JournalError> {
        if let Some(told) = self.journal.next_told(reach)? {
            self.decision(&told);
        } else if let Some(label) = self.journal.next_label(reach)? {
            self.label(&label)?;
        } else {
            return Ok(Progress::All);
        }
        Ok(Progress::More)
    }
}

fn told(alarm: &Alarm) -> AlarmStatus {
    AlarmStatus {
        rule: alarm.rule.word(),
        subject: alarm.subject.clone(),
        value: alarm.change,
        threshold: alarm.threshold,
        since_day: alarm.since_day,
    }
}

/// What is read of a decision. No `Debug`: a payment is never logged.
struct Read {
    day: i32,
    /// Event time, milliseconds since 1970-01-01 UTC.
    ts: i64,
    model: Option<String>,
    filled: Filled,
    /// Nothing where no model was asked.
    scored: Option<Scored>,
}

/// What is read of an answer.
#[derive(PartialEq, Deserialize)]
struct Answered {
    probability: Option<f32>,
    decision: Decision,
    model: Option<Named>,
}

#[derive(PartialEq, Deserialize)]
struct Named {
    parameters: String,
}

impl From<&Answer> for Answered {
    fn from(answer: &Answer) -> Self {
        let named = |model: &ModelName| Named {
            parameters: model.parameters.clone(),
        };
        Self {
            probability: answer.probability,
            decision: answer.decision,
            model: answer.model.as_ref().map(named),
        }
    }
}

impl Read {
    /// Nothing where the answer is of a form that this build does not know.
    fn of(told: &Told) -> Option<Self> {
        let (answered, payment) = (told.answer::<Answered>()?, &told.payment);
        let day = payment.day();
        let scored = answered.probability.map(|probability| Scored {
            sequence: told.sequence,
            day,
            card: card(payment),
            probability,
            was_declined: answered.decision == Decision::Decline,
        });
        Some(Self {
            day,
            ts: payment.ts,
            // An encoder that told surprises alone scored nothing.
            model: answered
                .model
                .filter(|_| answered.probability.is_some())
                .map(|model| model.parameters),
            filled: Filled::of(payment),
            scored,
        })
    }
}

/// A number that tells a card from others: the first eight bytes of its token's digest.
pub(super) fn card(transaction: &Transaction) -> u64 {
    let digest = crypto::sha256(&[transaction.card().as_bytes()]).0;
    let first = digest.first_chunk::<8>();
    u64::from_be_bytes(*first.expect("a digest has 32 bytes"))
}

/// Decisions read again at a start, which takes a core about two minutes: a reference's five weeks
/// of a hundred thousand a day. A bank with more of them in two months measures fewer mature days
/// until it has run for so long.
const DECISIONS_READ_MAX: u64 = 4_000_000;

/// Decisions or labels between two looks at what else there is to do.
const DECISIONS_AT_ONCE: usize = 2_048;

/// Models that may wait: who tells of one more waits too.
const WORDS_MAX: usize = 4;

const MEASURED_EVERY_MS: u64 = 3_600_000;
const LABELS_MEASURED: u32 = 1_000;

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use host::disk::Store;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::journal::{Entry, Journal};
    use crate::scoring::tests::{Bank, answers, bundle, stream};

    fn reader(journal: Follower, telemetry: &Telemetry) -> Reader {
        let (settings, schema) = (Settings::default(), FeatureSchema::standard());
        let told = (telemetry, Board::default(), Beside::default(), None);
        Reader::new(Clock::start(), settings, schema, journal, told)
    }

    /// A thread that watches, and where it tells how it is.
    fn watcher(journal: Follower) -> (Watcher, Beside) {
        let (settings, schema) = (Settings::default(), FeatureSchema::standard());
        let beside = Beside::default();
        let told = (
            &Telemetry::default(),
            Board::default(),
            beside.clone(),
            None,
        );
        let watcher = Watcher::start(Clock::start(), settings, schema, journal, told);
        (watcher.unwrap(), beside)
    }

    fn read_all(reader: &mut Reader) {
        while reader.read().unwrap() == Progress::More {}
    }

    // The worker knows nobody who watches: what it journaled, and labels of it, are read all the
    // same, and once. Who starts later reads the same and counts no label a second time.
    #[test]
    fn what_is_scored_and_labelled_is_read_behind_the_worker() {
        let bank = Bank::new();
        let (scoring, journal) = bank.start_followed();
        let start = || {
            let telemetry = Telemetry::default();
            (reader(journal.clone(), &telemetry), telemetry)
        };
        let (mut reader, telemetry) = start();
        let live = bundle(Slot::Live, 1);
        reader.install(&Watched::of(&live).unwrap());
        assert!(reader.watching.watch.scorer.is_some());
        assert!(Watched::of(&bundle(Slot::Local, 1)).is_none());
        scoring.install(live).unwrap();
        for number in 0..30 {
            scoring.score(&stream(number)).unwrap();
        }
        let label = json!({ "txn_id": "t3", "fraud": true, "source": "analyst" });
        scoring.label(&serde_json::to_vec(&label).unwrap()).unwrap();
        read_all(&mut reader);
        let counted = "phalanx_labels_total{source=\"analyst\",verdict=\"fraud\"} 1";
        assert!(telemetry.render().contains(counted));
        assert!(telemetry.render().contains("phalanx_watch_behind 0"));
        let parameters = "01".repeat(32);
        let model = reader.watching.watch.model.as_deref();
        assert_eq!(model, Some(parameters.as_str()));

        let (mut reader, telemetry) = start();
        // As if it had been told long before.
        reader.started_ms += 3_600_000;
        read_all(&mut reader);
        assert!(!telemetry.render().contains(counted));
        let model = reader.watching.watch.model.as_deref();
        assert_eq!(model, Some(parameters.as_str()));
    }

    #[test]
    fn the_thread_ends_with_its_handle_whoever_may_still_tell_it_of_models() {
        let bank = Bank::new();
        let (scoring, journal) = bank.start_followed();
        let (watcher, _) = watcher(journal);
        let installs = watcher.installs();
        installs.tell(Watched::of(&bundle(Slot::Live, 1)));
        drop(watcher);
        installs.tell(Watched::of(&bundle(Slot::Live, 2)));
        drop(scoring);
    }

    #[test]
    fn an_answer_is_read_as_it_was_told() {
        let payment = json!({
            "txn_id": "1", "ts": 86_400_000_i64 * 3, "rail": "card", "amount_minor": 1,
            "currency": "EUR", "account_tok": "a", "channel": "pos",
        });
        let entry = |answer: Value| Entry {
            txn_id: "1".to_owned(),
            digest: [0; 32],
            transaction: payment.to_string(),
            answer: answer.to_string(),
            vector: Vec::new(),
        };
        let read = |answer: Value| Read::of(&Told::of_entry(7, entry(answer)).unwrap());
        let full = json!({ "probability": 0.5, "decision": "decline", "more": 1,
            "model": { "version": 1, "parameters": "ab" } });
        let full = read(full).unwrap();
        let scored = full.scored.unwrap();
        assert_eq!((full.day, scored.day, scored.sequence), (3, 3, 7));
        assert!(scored.was_declined && full.model.as_deref() == Some("ab"));
        let surprised = json!({ "probability": null, "decision": "review",
            "model": { "version": 1, "parameters": "ab" } });
        assert!(read(surprised).unwrap().model.is_none());
        let bare = json!({ "probability": null, "decision": "review", "model": null });
        let bare = read(bare).unwrap();
        assert!(bare.scored.is_none() && bare.model.is_none());
        assert!(read(json!(1)).is_none());
    }

    proptest! {
        #[test]
        fn an_answer_says_the_same_as_its_text(answer in answers::answer()) {
            let text = serde_json::to_string(&answer).unwrap();
            let read: Answered = serde_json::from_str(&text).unwrap();
            prop_assert!(read == Answered::from(&answer));
        }
    }

    fn entry(number: u64) -> Entry {
        let payment = json!({
            "txn_id": format!("t{number}"), "ts": 86_400_000_i64 * 3, "rail": "card",
            "amount_minor": 1, "currency": "EUR", "account_tok": "a",
        });
        Entry {
            txn_id: format!("t{number}"),
            digest: [0; 32],
            transaction: payment.to_string(),
            answer: json!({ "decision": "review" }).to_string(),
            vector: vec![0.0; FeatureSchema::standard().len()],
        }
    }

    // Planted fault: where a refusal passes by what was to be read, a payment and a label are
    // missing.
    #[test]
    fn what_the_disk_refused_is_watched_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(&Store::open(folder.path()).unwrap()).unwrap();
        (0..3).for_each(|number| journal.append(&entry(number)).unwrap());
        journal.settle().unwrap();
        let (telemetry, columns) = (Telemetry::default(), FeatureSchema::standard().len());
        let mut reader = reader(journal.follow(), &telemetry);
        let faults = journal.faults();
        faults.entry_reads.store(1, Ordering::SeqCst);
        assert!(reader.read().is_err_and(|error| error.is_passing()));
        read_all(&mut reader);
        let values: usize = reader
            .watching
            .watch
            .recent
            .days()
            .map(|(_, rows)| rows.len())
            .sum();
        assert_eq!(values, 3 * columns);

        let label = LabelEntry {
            label_id: [1; 32],
            txn_id: "t1".to_owned(),
            payment: 1,
            fraud: true,
            known_at: 86_400_000 * 4,
            told_at: reader.started_ms,
            source: "analyst".to_owned(),
            supersedes: None,
            after: 3,
            event_at: None,
        };
        journal.append_label(&label).unwrap();
        journal.settle().unwrap();
        faults.entry_reads.store(1, Ordering::SeqCst);
        assert!(reader.read().is_err_and(|error| error.is_passing()));
        read_all(&mut reader);
        let counted = "phalanx_labels_total{source=\"analyst\",verdict=\"fraud\"} 1";
        assert!(telemetry.render().contains(counted));
    }

    // Its thread ends, which is told, and whoever tells it of models afterwards is not kept.
    #[test]
    fn a_payment_that_is_damaged_ends_the_watch() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(&Store::open(folder.path()).unwrap()).unwrap();
        let damaged = Entry {
            transaction: "{}".to_owned(),
            ..entry(0)
        };
        journal.append(&damaged).unwrap();
        journal.settle().unwrap();
        let (mut watcher, beside) = watcher(journal.follow());
        watcher.thread.take().unwrap().join().unwrap();
        let why = beside.of(Part::Watch).unwrap_err();
        assert!(why.starts_with("the journal is no longer read: "), "{why}");
        (0..9).for_each(|_| watcher.installs().tell(Watched::of(&bundle(Slot::Live, 1))));
    }
}
