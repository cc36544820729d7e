//! The thread that watches: it reads the journal behind the worker, tells figures and alarms, and
//! is told of models. What the figures are is `watch.rs`'s; it waits for nobody, and nobody who
//! scores waits for it.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use features::{FeatureSchema, RawTransaction, Transaction};
use host::clock::Clock;
use host::telemetry::Telemetry;
use model::{Calibration, ModelError, NetworkSize, Scorer};
use serde::Deserialize;

use super::alarm::{Alarm, Alarms, Figure, Rule};
use super::fields::Filled;
use super::meters::{self, Meters};
use super::quality::{Quality, Scored, Settings};
use super::{Seen, Watch};
use crate::history::Report;
use crate::journal::{Entry, Follower, JournalError, LabelEntry};
use crate::scoring::{Bundle, Decision, Slot};
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
pub struct Watched {
    parameters: Arc<Vec<f32>>,
    size: NetworkSize,
    calibration: Calibration,
}

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
            Slot::Live => Some(Self {
                parameters: Arc::clone(&bundle.parameters),
                size: bundle.size,
                calibration: bundle.calibration,
            }),
            Slot::Local => None,
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
    /// Starts watching what `journal` holds, from the last two million decisions on.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub fn start(
        settings: Settings,
        schema: FeatureSchema,
        journal: Follower,
        (telemetry, board): (&Telemetry, Board),
    ) -> std::io::Result<Self> {
        let (words, heard) = sync_channel(WORDS_MAX);
        let reader = Reader::new(settings, schema, journal, (telemetry, board));
        let thread = std::thread::Builder::new()
            .name("watching".to_owned())
            .spawn(move || reader.run(&heard))?;
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
    watch: Watch,
    quality: Quality,
    schema: FeatureSchema,
    journal: Follower,
    alarms: Alarms,
    meters: Meters,
    board: Board,
    clock: Clock,
    started_ms: u64,
    /// When mature payments were measured last.
    measured_ms: Option<u64>,
    /// Labels since then.
    labels: u32,
    /// The newest day of a payment.
    newest: i32,
}

/// Whether the journal holds more than was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    More,
    All,
}

impl Reader {
    fn new(
        settings: Settings,
        schema: FeatureSchema,
        journal: Follower,
        (telemetry, board): (&Telemetry, Board),
    ) -> Self {
        let clock = Clock::start();
        Self {
            watch: Watch::new(schema.clone()),
            quality: Quality::new(settings),
            schema,
            journal: journal.starting_at_last(DECISIONS_READ_MAX),
            alarms: Alarms::default(),
            meters: Meters::new(telemetry),
            board,
            clock,
            started_ms: clock.now().0,
            measured_ms: None,
            labels: 0,
            newest: i32::MIN,
        }
    }

    fn run(mut self, words: &Receiver<Word>) {
        let mut pause = Duration::ZERO;
        loop {
            match words.recv_timeout(pause) {
                Ok(Word::Model(model)) => self.install(&model),
                Ok(Word::Leave) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            pause = match self.read() {
                Ok(Progress::More) => Duration::ZERO,
                Ok(Progress::All) => PAUSE,
                Err(error) => {
                    tracing::error!(%error, "payments are no longer watched");
                    return;
                }
            };
        }
    }

    fn install(&mut self, model: &Watched) {
        match self.scorer(model) {
            Ok(scorer) => self.watch.install(Arc::new(scorer)),
            Err(error) => tracing::error!(%error, "the model in place is not watched"),
        }
    }

    fn scorer(&self, model: &Watched) -> Result<Scorer, ModelError> {
        Scorer::new(
            &self.schema,
            model.size,
            &model.parameters,
            model.calibration,
        )
    }

    /// Reads on, for a fraction of a second at most; labels once all payments before them are read.
    fn read(&mut self) -> Result<Progress, JournalError> {
        let reach = self.journal.reach();
        for _ in 0..DECISIONS_AT_ONCE {
            match self.journal.next_decision(reach)? {
                Some((sequence, entry)) => self.decision(sequence, entry)?,
                None => break,
            }
        }
        let behind = self.journal.behind(reach);
        self.meters.behind(behind);
        if behind > 0 {
            return Ok(Progress::More);
        }
        for _ in 0..DECISIONS_AT_ONCE {
            match self.journal.next_label(reach)? {
                Some(label) => self.label(&label)?,
                None => {
                    self.measure_if_due();
                    return Ok(Progress::All);
                }
            }
        }
        Ok(Progress::More)
    }

    fn decision(&mut self, sequence: u64, entry: Entry) -> Result<(), JournalError> {
        let Some(read) = Read::of(sequence, &entry)? else {
            return Ok(());
        };
        self.newest = self.newest.max(read.day);
        if let Some(scored) = read.scored {
            self.quality.score(scored);
        }
        let seen = Seen {
            day: read.day,
            vector: entry.vector,
            model: read.model,
            filled: read.filled,
        };
        if let Some(figures) = self.watch.see(seen) {
            self.meters.tell(&figures);
            self.weigh(&figures);
        }
        Ok(())
    }

    fn label(&mut self, label: &LabelEntry) -> Result<(), JournalError> {
        let Some(entry) = self.journal.at(label.payment)? else {
            return Ok(());
        };
        let Some(read) = Read::of(label.payment, &entry)? else {
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
            self.quality.label(scored, report);
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
        let measures = self.quality.measure();
        self.meters.measured(&measures);
        if let Some(ratio) = measures.frauds_ratio {
            let change = ratio.ln().abs();
            let figure = Figure::of(Rule::Calibration, "score", ratio, change);
            self.meters.tell(std::slice::from_ref(&figure));
            self.weigh(&[figure]);
        }
    }

    /// Tells what becomes of alarms.
    fn weigh(&mut self, figures: &[Figure]) {
        let events = self.alarms.weigh(self.newest, figures);
        events.iter().for_each(meters::line);
        self.meters.tell_alarms(&self.alarms);
        let open = self.alarms.open().map(told).collect();
        self.board.update(|status| status.alarms = open);
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

/// What is read of a journal's entry. No `Debug`: a payment is never logged.
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
#[derive(Deserialize)]
struct Answered {
    probability: Option<f32>,
    decision: Decision,
    model: Option<Named>,
}

#[derive(Deserialize)]
struct Named {
    parameters: String,
}

impl Read {
    /// Nothing where the answer is of a form that this build does not know.
    fn of(sequence: u64, entry: &Entry) -> Result<Option<Self>, JournalError> {
        let Ok(answered) = serde_json::from_str::<Answered>(&entry.answer) else {
            return Ok(None);
        };
        let refused = |error| JournalError::Payment { sequence, error };
        let raw = RawTransaction::from_json(entry.transaction.as_bytes()).map_err(refused)?;
        let present = Filled::present(&raw);
        let transaction = Transaction::try_from(raw).map_err(refused)?;
        let day = transaction.day();
        let scored = answered.probability.map(|probability| Scored {
            sequence,
            day,
            card: card(&transaction),
            probability,
            was_declined: answered.decision == Decision::Decline,
        });
        Ok(Some(Self {
            day,
            ts: transaction.ts,
            model: answered.model.map(|model| model.parameters),
            filled: Filled {
                present,
                words: Filled::words(&transaction),
            },
            scored,
        }))
    }
}

/// A number that tells a card from others: the first eight bytes of its token's digest.
fn card(transaction: &Transaction) -> u64 {
    let digest = crypto::sha256(&[transaction.card().as_bytes()]).0;
    let first = digest.first_chunk::<8>();
    u64::from_be_bytes(*first.expect("a digest has 32 bytes"))
}

/// Decisions read again at a start, which takes a core about a minute. A bank with more of them in
/// two months measures fewer mature days until it has run for so long.
const DECISIONS_READ_MAX: u64 = 2_000_000;

/// Decisions or labels between two looks at what else there is to do.
const DECISIONS_AT_ONCE: u32 = 2_048;

/// Between two looks at the journal: nothing here is as old as a second.
const PAUSE: Duration = Duration::from_secs(1);

/// Models that may wait: who tells of one more waits too.
const WORDS_MAX: usize = 4;

const MEASURED_EVERY_MS: u64 = 3_600_000;
const LABELS_MEASURED: u32 = 1_000;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::scoring::tests::{Bank, bundle, stream};

    fn read_all(reader: &mut Reader) {
        while reader.read().unwrap() == Progress::More {}
    }

    // The worker tells nobody of anything: what it journaled, and labels of it, are told all the
    // same, and once. Who starts later reads the same and counts no label a second time.
    #[test]
    fn what_is_scored_and_labelled_is_read_behind_the_worker() {
        let bank = Bank::new();
        let (scoring, journal) = bank.start_followed();
        let start = || {
            let (telemetry, schema) = (Telemetry::default(), FeatureSchema::standard());
            let told = (&telemetry, Board::default());
            let reader = Reader::new(Settings::default(), schema, journal.clone(), told);
            (reader, telemetry)
        };
        let (mut reader, telemetry) = start();
        let live = bundle(Slot::Live, 1);
        reader.install(&Watched::of(&live).unwrap());
        assert!(reader.watch.scorer.is_some());
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
        assert_eq!(reader.watch.model.as_deref(), Some(parameters.as_str()));

        let (mut reader, telemetry) = start();
        // As if it had been told long before.
        reader.started_ms += 3_600_000;
        read_all(&mut reader);
        assert!(!telemetry.render().contains(counted));
        assert_eq!(reader.watch.model.as_deref(), Some(parameters.as_str()));
    }

    #[test]
    fn the_thread_ends_with_its_handle_whoever_may_still_tell_it_of_models() {
        let bank = Bank::new();
        let (scoring, journal) = bank.start_followed();
        let told = (&Telemetry::default(), Board::default());
        let schema = FeatureSchema::standard();
        let watcher = Watcher::start(Settings::default(), schema, journal, told).unwrap();
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
        let full = json!({ "probability": 0.5, "decision": "decline", "more": 1,
            "model": { "version": 1, "parameters": "ab" } });
        let read = Read::of(7, &entry(full)).unwrap().unwrap();
        let scored = read.scored.unwrap();
        assert_eq!((read.day, scored.day, scored.sequence), (3, 3, 7));
        assert!(scored.was_declined && read.model.as_deref() == Some("ab"));
        let bare = json!({ "probability": null, "decision": "review", "model": null });
        let read = Read::of(7, &entry(bare)).unwrap().unwrap();
        assert!(read.scored.is_none() && read.model.is_none());
        assert!(Read::of(7, &entry(json!(1))).unwrap().is_none());
    }
}
