//! A month over HTTP against the same month as a batch: payments and labels go through the real
//! router in their order, and the federation's table grows by a day each day. What was journaled is
//! what training reads, bit for bit, and what `features export` writes, which knows no federation;
//! what was answered is what libtorch's network says, and what `phalanx-agent score` is told.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;

use features::{FeedMap, Label, Limits, RiskTable, Role, Row, Source, TokenKey, Transaction};
use host::disk::Store;
use host::shutdown::Shutdown;
use host::telemetry::Telemetry;
use model::{Calibration, Device, Scorer, logits_on};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::parity::{Released, SINGLE, shared_risk, singles, trained};
use super::*;
use crate::commands::{export, score};
use crate::config::HistoryConfig;
use crate::history::{Feed, tests as cards};
use crate::journal::Journal;
use crate::risk::SharedRisk;
use crate::scoring::tests::policy;
use crate::scoring::tests::socket::{ask, door, with_server};
use crate::scoring::{AnswerAfter, Bundle, Scoring, Settings};
use crate::training::window::{Shown, Windows};

const STANDARD: &str = include_str!("../../../../ops/config/schemas/standard.toml");

/// What a logit, and a probability, may differ by from those of libtorch's network, which adds in
/// another order.
const OFF_MAX: f64 = 1e-5;

const CALIBRATION: Calibration = Calibration { a: 1.5, b: -1.0 };

#[test]
fn a_month_of_cards_over_http_is_the_month_as_a_batch() {
    held_alike(&Month::of_cards());
}

#[test]
fn a_month_of_single_payments_over_http_is_the_month_as_a_batch() {
    let folder = tempfile::tempdir().unwrap();
    let feed = singles(folder.path(), 51, 30);
    held_alike(&Month::new(folder, feed, SINGLE, 17_020));
}

// Of the public set every twenty-fifth customer: about eleven thousand payments.
#[test]
fn a_month_of_the_public_set_over_http_is_the_month_as_a_batch() {
    let folder = tempfile::tempdir().unwrap();
    let Some(feed) = handbook(folder.path()) else {
        return;
    };
    held_alike(&Month::new(folder, feed, STANDARD, HANDBOOK_DAY + 30));
}

// The planted fault: the batch's windows over a card reach back a day less than scoring's longest.
#[test]
fn a_window_of_another_length_is_seen_in_its_columns_and_no_other() {
    let month = Month::of_cards();
    let played = month.play(month.eve(), &month.rows(), &[]);
    let skewed = STANDARD.replacen("\"30d\"", "\"29d\"", 1);
    assert_ne!(skewed, STANDARD);
    let wrong = differences(&month.exported(&skewed), &played.vectors);
    assert!(!wrong.is_empty());
    for (payment, column) in wrong {
        let name = &month.schema.columns()[column].name;
        let is_skewed = name.starts_with("card_") && name.ends_with("_30d");
        assert!(is_skewed, "payment {payment}: {name}");
    }
}

// The planted fault: nobody tells the agent what the month's payments turned out to be.
#[test]
fn a_label_that_is_not_told_is_seen_in_the_counts_of_frauds_and_no_other() {
    let month = Month::of_cards();
    let mut rows = month.rows();
    rows.iter_mut().for_each(|row| row.label = None);
    let played = month.play(month.eve(), &rows, &[]);
    let wrong = differences(&month.exported(STANDARD), &played.vectors);
    assert!(!wrong.is_empty());
    let is_risk = |role: &Role| matches!(role, Role::OwnRisk | Role::SharedRisk);
    let risks = month.schema.indices(is_risk);
    for (payment, column) in wrong {
        let name = &month.schema.columns()[column].name;
        assert!(risks.contains(&column), "payment {payment}: {name}");
    }
}

// The planted faults: scoring has the federation's table a day late, or under another salt.
#[test]
fn another_table_of_risk_is_seen_in_the_federations_columns_and_no_other() {
    let month = Month::of_cards();
    let (rows, eve, released) = (month.rows(), month.eve(), month.released(7));
    let batch = month.trained_on(&released.risk);
    let late = released.tables.iter();
    let late: Vec<_> = late
        .map(|(day, table)| (day + 1, Arc::clone(table)))
        .collect();
    let shared = shared_risk(&month.schema);
    for tables in [late, month.released(8).tables] {
        let played = month.play(eve.clone(), &rows, &tables);
        let wrong = differences(&batch, &played.vectors);
        assert!(!wrong.is_empty());
        for (payment, column) in wrong {
            let name = &month.schema.columns()[column].name;
            assert!(shared.contains(&column), "payment {payment}: {name}");
        }
    }
}

fn held_alike(month: &Month) {
    let (rows, (encoder, bundle)) = (month.rows(), month.eve());
    let released = month.released(7);
    let played = month.play((encoder.clone(), bundle.clone()), &rows, &released.tables);
    let batch = month.trained_on(&released.risk);
    let wrong = differences(&batch, &played.vectors);
    assert!(wrong.is_empty(), "{} differ: {:?}", wrong.len(), wrong[0]);
    check_scores(month, &bundle, &batch, &played.answers);

    // An export has no table: there these columns say what the bank knows.
    let shared = shared_risk(&month.schema);
    let wrong = differences(&month.exported(month.text), &played.vectors);
    assert_eq!(wrong.is_empty(), shared.is_empty());
    assert!(wrong.iter().all(|(_, column)| shared.contains(column)));

    // Over the first day no label of the month is known yet.
    let day = |row: &Row| row.transaction.day() as u32;
    let first = rows.iter().filter(|row| day(row) == month.live.start);
    let store = Store::open(&month.folder.path().join("first")).unwrap();
    let scoring = start(&store, encoder, bundle);
    install_by(&scoring, &released.tables, month.live.start as i32);
    let scored = score::tests::scored(scoring, &month.first_day());
    assert_eq!(scored.len(), first.count());
    for (told, answer) in scored.iter().zip(&played.answers) {
        for name in ["txn_id", "logit", "probability", "score", "decision"] {
            assert_eq!(told[name], answer[name], "{told}");
        }
    }
}

/// The answers against what the network says of the batch's rows: in libtorch, and in the kernel
/// that every batch of ours is scored by.
fn check_scores(month: &Month, bundle: &Bundle, batch: &[Vec<f32>], answers: &[Value]) {
    let (schema, size, parameters) = (&month.schema, bundle.size, &bundle.parameters);
    let scorer = Scorer::new(schema, size, parameters, CALIBRATION).unwrap();
    let logits = logits_on(Device::Cpu, schema, size, parameters, &batch.concat()).unwrap();
    assert_eq!(answers.len(), logits.len());
    for ((answer, row), logit) in answers.iter().zip(batch).zip(logits) {
        assert_eq!(answer["mode"], "full", "{answer}");
        let told = |name: &str| answer[name].as_f64().unwrap();
        let kernel = scorer.score(row).unwrap()[0];
        assert_eq!((told("logit") as f32).to_bits(), kernel.logit.to_bits());
        let probability = f64::from(CALIBRATION.probability(logit));
        for (name, libtorchs) in [("logit", f64::from(logit)), ("probability", probability)] {
            let off = told(name) - libtorchs;
            assert!(off.abs() <= OFF_MAX, "{name} is off by {off}: {answer}");
        }
    }
}

/// Where two tables differ by a bit: the payment's place, and the column's.
fn differences(one: &[Vec<f32>], other: &[Vec<f32>]) -> Vec<(usize, usize)> {
    assert_eq!(one.len(), other.len());
    let mut found = Vec::new();
    for (payment, (one, other)) in one.iter().zip(other).enumerate() {
        assert_eq!(one.len(), other.len());
        let pairs = one.iter().zip(other).enumerate();
        let wrong = pairs.filter(|(_, (one, other))| one.to_bits() != other.to_bits());
        found.extend(wrong.map(|(column, _)| (payment, column)));
    }
    found
}

/// A feed whose last month comes in live.
struct Month {
    feed: HistoryConfig,
    schema: FeatureSchema,
    /// What the schema was read from.
    text: &'static str,
    live: Range<u32>,
    folder: TempDir,
}

/// What came of the month over HTTP, payment by payment.
struct Played {
    /// As they were journaled.
    vectors: Vec<Vec<f32>>,
    answers: Vec<Value>,
}

impl Month {
    fn new(folder: TempDir, feed: HistoryConfig, text: &'static str, from_day: u32) -> Self {
        Self {
            feed,
            schema: FeatureSchema::parse(text).unwrap(),
            text,
            live: from_day..from_day + MONTH_DAYS,
            folder,
        }
    }

    fn of_cards() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let feed = cards::write(folder.path(), 51, 30);
        Self::new(folder, feed, STANDARD, 17_020)
    }

    /// What the bank remembers on the eve of the month, and a model of its past.
    fn eve(&self) -> (FeatureEncoder, Bundle) {
        model::threads(1);
        let past = HistoryConfig {
            days: i32::MIN..self.live.start as i32,
            ..self.feed.clone()
        };
        let (history, encoder) = self.load(&past);
        let (parameters, size) = trained(history, &self.schema, self.live.start - 10);
        let bundle = Bundle {
            slot: Slot::Live,
            head: Head::Federation,
            version: 1,
            parameters: Arc::new(parameters),
            digest: [1; 32],
            size,
            calibration: CALIBRATION,
            usual: None,
        };
        (encoder, bundle)
    }

    fn load(&self, feed: &HistoryConfig) -> (History, FeatureEncoder) {
        History::load(feed, &self.schema, &Shutdown::default()).unwrap()
    }

    /// The feed's rows in their order, with what is known of each.
    fn all(&self) -> Vec<Row> {
        let HistoryConfig {
            file,
            map,
            token_key,
            ..
        } = &self.feed;
        let feed = Feed::open(map, token_key, file).unwrap();
        let rows = feed.rows(Source::File(File::open(file).unwrap()));
        rows.map(Result::unwrap).collect()
    }

    /// Those of the month.
    fn rows(&self) -> Vec<Row> {
        let mut rows = self.all();
        rows.retain(|row| self.live.contains(&(row.transaction.day() as u32)));
        rows
    }

    /// The feed cut down to the month's first day.
    fn first_day(&self) -> HistoryConfig {
        let text = std::fs::read_to_string(&self.feed.file).unwrap();
        let (header, lines) = text.split_once('\n').unwrap();
        let mut kept = format!("{header}\n");
        for (row, line) in self.all().iter().zip(lines.lines()) {
            if row.transaction.day() as u32 == self.live.start {
                writeln!(kept, "{line}").unwrap();
            }
        }
        let file = self.folder.path().join("first.csv");
        std::fs::write(&file, kept).unwrap();
        HistoryConfig {
            file,
            ..self.feed.clone()
        }
    }

    /// The federation's table under a salt.
    fn released(&self, salt: u8) -> Released {
        let (history, _) = self.load(&self.feed);
        Released::of(&history, salt, self.live.clone())
    }

    /// Sends the month to an agent, which is given each table on its day, and reads its journal.
    fn play(
        &self,
        (encoder, bundle): (FeatureEncoder, Bundle),
        rows: &[Row],
        tables: &[(i32, Arc<RiskTable>)],
    ) -> Played {
        let folder = tempfile::tempdir_in(self.folder.path()).unwrap();
        let store = Store::open(folder.path()).unwrap();
        let mut answers = Vec::new();
        let scoring = start(&store, encoder, bundle);
        with_server(door(scoring.clone()).router(), |address| {
            answers = send(address, rows, |day| install_by(&scoring, tables, day));
        });
        drop(scoring);
        assert_eq!(answers.len(), rows.len());
        let journal = Journal::open(&store).unwrap();
        let vector = |row: &Row| {
            let entry = journal.find(&row.transaction.txn_id).unwrap();
            entry.unwrap().vector
        };
        let vectors = rows.iter().map(vector).collect();
        Played { vectors, answers }
    }

    /// What `features export` makes of the month under this schema.
    fn exported(&self, schema: &str) -> Vec<Vec<f32>> {
        let path = self.folder.path().join("schema.toml");
        std::fs::write(&path, schema).unwrap();
        let days = self.live.start as i32..self.live.end as i32;
        export::tests::exported(&self.feed, &path, days)
    }

    /// What training makes of it.
    fn trained_on(&self, risk: &SharedRisk) -> Vec<Vec<f32>> {
        let (history, _) = self.load(&self.feed);
        let mut windows = Windows::default();
        let window = windows.encoded(&history, risk, self.live.clone()).unwrap();
        let examples = window.examples(i64::from(self.live.end), Shown::All);
        let row = |at: usize| examples.row(at).to_vec();
        (0..examples.len()).map(row).collect()
    }
}

fn start(store: &Store, encoder: FeatureEncoder, bundle: Bundle) -> Scoring {
    // Without reasons, which nobody here reads.
    let settings = Settings {
        policy: policy(&[("min_score = 1\n", "min_score = 1000\n")]),
        queue_max: 64,
        answer_after: AnswerAfter::Flush,
    };
    let journal = Journal::open(store).unwrap();
    let scoring = Scoring::start(settings, encoder, journal, &Telemetry::default()).unwrap();
    scoring.install(bundle).unwrap();
    scoring
}

/// Puts the newest table in place that there is on a day.
fn install_by(scoring: &Scoring, tables: &[(i32, Arc<RiskTable>)], day: i32) {
    if let Some((_, table)) = tables.iter().rfind(|(from_day, _)| *from_day <= day) {
        scoring.install_risk(Arc::clone(table)).unwrap();
    }
}

/// Sends payments in their order, and each fraud before the first of them by whose time it was
/// known; `on_day` comes before a day's first. Words of genuine change no window: they wait for
/// company.
fn send(address: SocketAddr, rows: &[Row], mut on_day: impl FnMut(i32)) -> Vec<Value> {
    let (mut answers, mut today) = (Vec::new(), i32::MIN);
    let mut payments: Vec<&Transaction> = Vec::new();
    let (mut known, mut later): (Vec<&Label>, VecDeque<&Label>) = Default::default();
    for row in rows {
        let now = row.transaction.ts;
        if row.transaction.day() != today {
            today = row.transaction.day();
            answers.extend(judge(address, &payments));
            payments.clear();
            on_day(today);
        }
        while later.front().is_some_and(|label| label.known_at <= now) {
            known.extend(later.pop_front());
        }
        let is_fraud = known.iter().any(|label| label.fraud);
        if is_fraud || known.len().max(payments.len()) >= TOGETHER_MAX {
            answers.extend(judge(address, &payments));
            payments.clear();
            tell(address, &known);
            known.clear();
        }
        payments.push(&row.transaction);
        later.extend(row.label.as_ref());
    }
    answers.extend(judge(address, &payments));
    answers
}

/// The first payment by itself and the others in a batch: both doors lead to one worker.
fn judge(address: SocketAddr, payments: &[&Transaction]) -> Vec<Value> {
    let lines = payments.iter().map(|payment| json!({ "txn": payment }));
    let lines: Vec<String> = lines.map(|line| line.to_string()).collect();
    let Some((first, rest)) = lines.split_first() else {
        return Vec::new();
    };
    let mut answers = post(address, "/v1/score", first);
    if !rest.is_empty() {
        answers.extend(post(address, "/v1/score/batch", &rest.join("\n")));
    }
    answers
}

fn tell(address: SocketAddr, labels: &[&Label]) {
    let words = labels.iter().map(|label| {
        json!({
            "txn_id": label.txn_id, "fraud": label.fraud, "known_at": label.known_at,
            "source": "issuer",
        })
    });
    let words: Vec<Value> = words.collect();
    if words.is_empty() {
        return;
    }
    let told = post(address, "/v1/labels", &json!(words).to_string());
    let told = told[0].as_array().unwrap();
    assert_eq!(told.len(), labels.len());
    assert!(told.iter().all(|label| label["status"] == "accepted"));
}

/// The lines of an answer that says yes.
fn post(address: SocketAddr, path: &str, body: &str) -> Vec<Value> {
    // HTTP/1.0 knows no chunks: the lines come as they are.
    let length = body.len();
    let head = format!("POST {path} HTTP/1.0\r\nContent-Length: {length}\r\n");
    let (head, text) = ask(address, head.as_bytes(), body.as_bytes());
    assert!(head.contains(" 200 "), "{head}: {text}");
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.collect()
}

/// Sixty days of every twenty-fifth customer of the public set as a feed of its own; nothing where
/// the set is not at hand.
fn handbook(folder: &Path) -> Option<HistoryConfig> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let data = root.join("../../shared/data/handbook/transactions.parquet");
    let Ok(data) = File::open(data) else {
        eprintln!("skipped: handbook/transactions.parquet is not at hand");
        return None;
    };
    let map = include_str!("../../../../ops/config/maps/handbook.toml");
    let map = FeedMap::parse(map).unwrap();
    let key = TokenKey::new(b"a key that is only used in tests").unwrap();
    let rows = features::read(&map, &key, Source::File(data)).map(Result::unwrap);
    let until = (HANDBOOK_DAY + 30 + MONTH_DAYS) as i32;
    let mut text = "id,ts,amount,account,terminal,fraud\n".to_owned();
    for row in rows.take_while(|row| row.transaction.day() < until) {
        if row.extra["customer"].parse::<u32>().unwrap() % 25 != 7 {
            continue;
        }
        let Transaction {
            txn_id,
            ts,
            amount_minor,
            account_tok,
            terminal_tok,
            ..
        } = &row.transaction;
        let terminal = terminal_tok.as_deref().unwrap_or_default();
        let fraud = u8::from(row.label.is_some_and(|label| label.fraud));
        let line = format!("{txn_id},{ts},{amount_minor},{account_tok},{terminal},{fraud}");
        writeln!(text, "{line}").unwrap();
    }
    let (file, map) = (folder.join("slice.csv"), folder.join("map.toml"));
    let token_key = folder.join("token.key");
    std::fs::write(&file, text).unwrap();
    std::fs::write(&map, SLICE).unwrap();
    std::fs::write(&token_key, "0123456789abcdef\n").unwrap();
    Some(HistoryConfig {
        file,
        map,
        token_key,
        days: i32::MIN..i32::MAX,
        limits: Limits::default(),
        scratch: folder.to_owned(),
    })
}

const SLICE: &str = r#"
[feed]
name = "slice"
format = "csv"
[fields]
txn_id = "id"
ts = { from = "ts", parse = "epoch_ms" }
rail = { const = "card" }
amount_minor = "amount"
currency = { const = "EUR" }
account_tok = "account"
terminal_tok = "terminal"
[labels]
fraud = "fraud"
known_after_days = 7
"#;

/// The public set begins on 2018-04-01.
const HANDBOOK_DAY: u32 = 17_622;
const MONTH_DAYS: u32 = 31;
/// Payments, or labels, in one request.
const TOGETHER_MAX: usize = 400;
