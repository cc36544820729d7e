//! A bank made ready: an encoder that has read its past, rows to train on, payments to send.
//!
//! The payments are the Fraud Detection Handbook's where they lie beside this repository, else
//! made up with as many cards and terminals. Parent and agent set the same stage.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use client_agent::courtesy::Courteous;
use client_agent::scoring::{AnswerAfter, Bundle, Head, Policy, Settings, Slot};
use features::{
    FeatureEncoder, FeatureSchema, FeedMap, RawTransaction, RiskSettings, Row, Source, TokenKey,
    Transaction, read,
};
use model::{
    Calibration, Examples, Learner, NetworkSize, PretrainTerms, Usual, genesis, layout, threads,
};
use serde_json::{Value, json};

/// How much is measured.
pub(crate) struct Sizes {
    /// Payments that the encoder has read before.
    history: usize,
    /// Of these, the last so many are trained on and compared.
    examples: usize,
    /// Payments sent, over and over with later times.
    live: usize,
    /// Payments timed in process.
    pub(crate) inside: u64,
    /// Seconds of each stage over HTTP.
    pub(crate) seconds: u64,
}

impl Sizes {
    pub(crate) const WHOLE: Self = Self {
        history: 200_000,
        examples: 20_000,
        live: 50_000,
        inside: 20_000,
        seconds: 8,
    };
    pub(crate) const QUICK: Self = Self {
        history: 20_000,
        examples: 5_000,
        live: 10_000,
        inside: 2_000,
        seconds: 2,
    };

    /// The word on the command line that asks for them, if it takes one.
    pub(crate) fn option(&self) -> Option<&'static str> {
        (self.history == Self::QUICK.history).then_some("--quick")
    }
}

/// What every measurement begins with.
pub(crate) struct Stage {
    /// Whose payments they are.
    pub(crate) source: &'static str,
    pub(crate) encoder: FeatureEncoder,
    pub(crate) examples: Examples,
    pub(crate) load: Arc<Load>,
    /// Of accounts, numbered for the examples.
    cards: BTreeMap<String, u32>,
    read: usize,
    live: Vec<Payment>,
}

impl Stage {
    /// Reads payments until there are enough.
    pub(crate) fn set(sizes: &Sizes) -> Self {
        let schema = FeatureSchema::standard();
        let mut stage = Self {
            source: "handbook",
            examples: Examples::new(schema.len()),
            encoder: FeatureEncoder::new(schema, RiskSettings::default()),
            load: Arc::new(Load::of(Vec::new())),
            cards: BTreeMap::new(),
            read: 0,
            live: Vec::new(),
        };
        let payments = sizes.history + sizes.live;
        if handbook(payments, |row| stage.take(sizes, row)).is_none() {
            stage.source = "generated";
            made_up(payments, |row| stage.take(sizes, row));
        }
        stage.load = Arc::new(Load::of(std::mem::take(&mut stage.live)));
        stage
    }

    fn take(&mut self, sizes: &Sizes, row: &Row) {
        let payment = &row.transaction;
        if self.read >= sizes.history {
            self.live.push(Payment::of(payment));
        } else {
            let vector = self.encoder.encode(payment);
            if let Some(label) = &row.label {
                self.encoder.add_label(payment, label);
            }
            if self.read + sizes.examples >= sizes.history {
                let next = u32::try_from(self.cards.len()).expect("cards are few");
                let card = *self.cards.entry(payment.card().to_owned()).or_insert(next);
                let pushed = self.examples.push(&vector.0, card, payment.ts, f32::NAN);
                pushed.expect("the encoder has the schema of the examples");
            }
        }
        self.read += 1;
    }

    /// Parameters that a little pretraining has moved from where all begin.
    pub(crate) fn pretrained(&self) -> Vec<f32> {
        threads(1);
        let mut learner = learner(&genesis_parameters());
        pretrain(&mut learner, &self.examples, 60);
        learner.parameters()
    }
}

/// First parameters of the standard schema.
fn genesis_parameters() -> Vec<f32> {
    let layout = layout(&FeatureSchema::standard(), NetworkSize::default());
    genesis(&layout, 1)
}

pub(crate) fn learner(parameters: &[f32]) -> Learner {
    let (schema, size) = (FeatureSchema::standard(), NetworkSize::default());
    Learner::new(&schema, size, parameters).expect("the parameters are of this layout")
}

/// Some steps of pretraining, on the thread that calls.
pub(crate) fn pretrain(learner: &mut Learner, examples: &Examples, steps: u32) {
    let terms = PretrainTerms {
        steps,
        batch: 256,
        rate: 3e-3,
        rate_end: 6e-5,
        seed: 1,
        patience: None,
    };
    let trained = learner.pretrain(examples, &terms, &mut Courteous(()));
    trained.expect("the examples can be trained on");
}

/// A policy whose reasons begin at this score.
pub(crate) fn settings(reasons_from: u16) -> Settings {
    let policy = format!(
        "version = \"bench\"\n[score_bands]\nelevated = 700\nreview = 784\ndecline = 900\n\
         [explain]\nmin_score = {reasons_from}\nmax_reasons = 6\n[fallback]\n\
         decision = \"review\"\n[breaker]\nmax_decline_rate = 0.5\nwindow_minutes = 10\n\
         min_decisions = 100\nthen = \"review\"\n"
    );
    Settings {
        policy: Policy::parse(&policy, Path::new("policy.toml")).expect("the policy is whole"),
        queue_max: 1_024,
        answer_after: AnswerAfter::Flush,
    }
}

/// The model that decides.
pub(crate) fn bundle(parameters: &Arc<Vec<f32>>) -> Bundle {
    Bundle {
        slot: Slot::Live,
        head: Head::Federation,
        version: 1,
        parameters: Arc::clone(parameters),
        digest: [1; 32],
        size: NetworkSize::default(),
        calibration: Calibration::default(),
        usual: Some(Usual::new(FeatureSchema::standard().groups().len())),
    }
}

/// Payments without end: those of the stage, and then the same again, so many days later.
pub(crate) struct Load {
    payments: Vec<Payment>,
    /// What a payment's time is later by in each repetition; whole days, so that nobody's habits
    /// change.
    lap_ms: i64,
}

/// A payment without its id and time.
struct Payment {
    ts: i64,
    /// The rest of the JSON object, with its closing brace.
    rest: String,
}

impl Load {
    fn of(payments: Vec<Payment>) -> Self {
        let times = || payments.iter().map(|payment| payment.ts);
        let first = times().min().unwrap_or(0);
        let last = times().max().unwrap_or(0);
        Self {
            lap_ms: ((last - first) / DAY_MS + 1) * DAY_MS,
            payments,
        }
    }

    /// Appends the request body of payment `number`.
    pub(crate) fn write(&self, number: u64, body: &mut Vec<u8>) {
        let count = self.payments.len() as u64;
        let place = usize::try_from(number % count).expect("a place in a vector");
        let lap = i64::try_from(number / count).expect("laps are few");
        let Payment { ts, rest } = &self.payments[place];
        let ts = ts + lap * self.lap_ms;
        // Ten digits: from thirteen on, one id in ten would pass for a card number.
        write!(
            body,
            r#"{{"txn":{{"txn_id":"b{number:010}","ts":{ts},{rest}}}"#
        )
        .expect("a vector takes every byte");
    }
}

impl Payment {
    /// What a bank would send: the fields that have a value.
    fn of(transaction: &Transaction) -> Self {
        let mut fields = json!(transaction);
        let fields = fields.as_object_mut().expect("a payment is an object");
        fields.retain(|name, value| {
            let is_empty = value.as_object().is_some_and(serde_json::Map::is_empty);
            !value.is_null() && !is_empty && name != "txn_id" && name != "ts"
        });
        let object = json!(fields).to_string();
        Self {
            ts: transaction.ts,
            rest: object[1..].to_owned(),
        }
    }
}

/// Rows of the handbook's payments, in order of time; nothing where they are not there.
fn handbook(count: usize, mut each: impl FnMut(&Row)) -> Option<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let map = std::fs::read_to_string(root.join("../ops/config/maps/handbook.toml")).ok()?;
    let map = FeedMap::parse(&map).ok()?;
    let file = File::open(root.join("../../shared/data/handbook/transactions.parquet")).ok()?;
    let key = TokenKey::new(b"a key that is only used in benches").ok()?;
    let rows = read(&map, &key, Source::File(file)).take(count);
    for row in rows {
        each(&row.expect("every row of the handbook is a payment"));
    }
    Some(())
}

/// Payments of 5,000 cards at 10,000 terminals, 9,600 a day, as many as the handbook has.
fn made_up(count: usize, mut each: impl FnMut(&Row)) {
    let mut state = 1_u64;
    let mut draw = move |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) % below
    };
    for id in 0..count as u64 {
        let value: Value = json!({
            "txn_id": id.to_string(), "ts": 1_522_540_800_000_u64 + id * 9_000,
            "rail": "card", "amount_minor": 100 + draw(20_000), "currency": "EUR",
            "account_tok": format!("account{}", draw(5_000)),
            "terminal_tok": format!("terminal{}", draw(10_000)),
        });
        let raw: RawTransaction = serde_json::from_value(value).expect("that is an object");
        each(&Row {
            transaction: Transaction::try_from(raw).expect("these fields make a payment"),
            label: None,
            extra: BTreeMap::new(),
        });
    }
}

const DAY_MS: i64 = 86_400_000;
