//! Training and scoring encode alike, whatever the schema: the rows that a round trains on are
//! the vectors that were scored live, bit for bit, and the model says the same of both. So do they
//! what the federation knows of an outlet, from a table that both were given.

use std::fmt::Write as _;
use std::path::Path;

use features::{FeatureSchema, Limits, RiskTable, Role, Source, Transaction};
use host::disk::Store;
use host::shutdown::Shutdown;
use host::telemetry::Telemetry;
use model::Scorer;

use super::*;
use crate::config::HistoryConfig;
use crate::history::{Feed, read_key, tests as cards};
use crate::journal::Journal;
use crate::risk::{self, SharedRisk};
use crate::scoring::tests::policy;
use crate::scoring::{AnswerAfter, Bundle, Mode, Scoring, Settings};
use crate::training::window::{Shown, Windows};

pub(super) const SINGLE: &str = include_str!("../../../../ops/config/schemas/single-payment.toml");

/// Payments of these days are scored live; those before are trained on.
const LIVE: Range<u32> = 17_020..17_025;

/// Of the federation's table: a dozen and more an outlet of the made-up feeds.
const BUCKETS: u32 = 512;
/// That by which an encoder reads.
const DELAY_DAYS: u16 = 7;

#[test]
fn cards_with_histories_are_encoded_alike() {
    let folder = tempfile::tempdir().unwrap();
    let history = cards::write(folder.path(), 25, 20);
    held_alike(folder.path(), &history, &FeatureSchema::standard());
}

#[test]
fn single_payments_are_encoded_alike() {
    let folder = tempfile::tempdir().unwrap();
    let history = singles(folder.path(), 25, 20);
    held_alike(
        folder.path(),
        &history,
        &FeatureSchema::parse(SINGLE).unwrap(),
    );
}

fn held_alike(folder: &Path, all: &HistoryConfig, schema: &FeatureSchema) {
    model::threads(1);
    let past = HistoryConfig {
        days: i32::MIN..LIVE.start as i32,
        ..all.clone()
    };
    let load =
        |config: &HistoryConfig| History::load(config, schema, &Shutdown::default()).unwrap();
    let (history, encoder) = load(&past);
    let (parameters, size) = trained(history, schema, 17_010);

    // Scoring has all of the table from the start: what was counted after a payment is held back.
    let (everything, _) = load(all);
    let released = Released::of(&everything, 7, LIVE);
    let table = released.risk.table().unwrap();

    let calibration = model::Calibration::default();
    let store = Store::open(&folder.join("store")).unwrap();
    let journal = Journal::open(&store).unwrap();
    let scoring = Scoring::start(settings(), encoder, journal, &Telemetry::default()).unwrap();
    let bundle = Bundle {
        slot: Slot::Live,
        head: Head::Federation,
        version: 1,
        parameters: Arc::new(parameters.clone()),
        digest: [1; 32],
        size,
        calibration,
        usual: None,
    };
    scoring.install(bundle).unwrap();
    scoring.install_risk(Arc::clone(table)).unwrap();
    let live = live_payments(all);
    let logits: Vec<f32> = live
        .iter()
        .map(|payment| {
            let body = serde_json::json!({ "txn": payment }).to_string();
            let answer = scoring.score(body.as_bytes()).unwrap();
            assert_eq!(answer.mode, Mode::Full);
            answer.logit.unwrap()
        })
        .collect();
    drop(scoring);

    let mut windows = Windows::default();
    let window = windows.encoded(&everything, &released.risk, LIVE).unwrap();
    let batch = window.examples(i64::from(LIVE.end), Shown::All);
    assert_eq!((batch.len(), live.len()), (100, 100));
    let is_told = (0..100).any(|at| !schema.is_own_risk(batch.row(at)));
    let reads_it = !shared_risk(schema).is_empty();
    assert_eq!(is_told, reads_it);
    let journal = Journal::open(&store).unwrap();
    let scorer = Scorer::new(schema, size, &parameters, calibration).unwrap();
    for (at, payment) in live.iter().enumerate() {
        let scored = journal.find(&payment.txn_id).unwrap().unwrap().vector;
        let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(batch.row(at)), bits(&scored), "payment {at}");
        let again = scorer.score(batch.row(at)).unwrap()[0].logit;
        assert_eq!(again.to_bits(), logits[at].to_bits(), "payment {at}");
    }
}

/// The columns that say what the federation knows.
pub(super) fn shared_risk(schema: &FeatureSchema) -> Vec<usize> {
    schema.indices(|role| matches!(role, Role::SharedRisk))
}

/// A federation's table, of whose days each was summed by itself.
pub(super) struct Released {
    /// All days, as training has them.
    pub(super) risk: SharedRisk,
    /// The table after each day, and the first day on which a bank can have it.
    pub(super) tables: Vec<(i32, Arc<RiskTable>)>,
}

impl Released {
    /// All that is read on `live` days, counted under a salt: of this bank what it counts itself,
    /// and in every bucket something of two more banks. Some buckets have no bank but this one,
    /// and are dropped.
    pub(super) fn of(history: &History, salt: u8, live: Range<u32>) -> Self {
        let key = BucketKey::new(&Digest([0; 32]), [1; 32]);
        let mut risk = SharedRisk::default();
        risk.keep(key.clone());
        let delay = 1 + u32::from(DELAY_DAYS);
        let days = live.start - delay - 29..live.end - delay;
        let mut tables = Vec::new();
        for from_day in days {
            let terms = RiskTerms {
                buckets: BUCKETS,
                salt: Digest([salt; 32]),
                from_day,
                days: 1,
                label_delay_days: DELAY_DAYS,
                banks_min: 2,
            };
            let own = risk::count(history, &terms, &key).unwrap();
            let sum = of_more_banks(&own, from_day);
            let table = risk.absorb(&terms, key.commitment(), &sum).unwrap();
            tables.push(((from_day + delay) as i32, table.unwrap()));
        }
        Self { risk, tables }
    }
}

/// The sum of this bank's counts of a day and of what two others make up.
fn of_more_banks(own: &[u32], day: u32) -> Vec<i32> {
    let add = |(at, own): (usize, &u32)| {
        let (at, cells) = (at as u32, 2 * BUCKETS);
        let bucket = if at < cells { at / 2 } else { at - cells };
        let payments = if bucket % 16 == 0 {
            0
        } else {
            1 + (7 * bucket + day) % 11
        };
        let more = match (at < cells, at % 2) {
            (true, 0) => payments,
            (true, _) => payments / (1 + bucket % 5),
            (false, _) => 2 * payments.min(1),
        };
        own.cast_signed() + more.cast_signed()
    };
    own.iter().enumerate().map(add).collect()
}

/// Parameters after one round of each kind of training on a week of a past, applied as they are.
pub(super) fn trained(
    history: History,
    schema: &FeatureSchema,
    from_day: u32,
) -> (Vec<f32>, NetworkSize) {
    let terms = model_terms_of(schema);
    let size = network::size_of(&terms, schema).unwrap();
    let mut parameters = genesis::parameters(&terms);
    let own = config::Own {
        baseline: Baseline::Off,
        head: config::Head::Federation,
    };
    let mut trainer = Trainer::new(history, own, Board::default());
    for work in [pretrain(), finetune()] {
        let mut order = order(work);
        let (Work::Pretrain(training) | Work::Finetune(training)) = &mut order.plan.work else {
            panic!("both train")
        };
        training.model = terms.clone();
        (training.from_day, training.to_day) = (from_day, from_day + 7);
        let parts = training.parts.clone();
        order.parameters = Arc::new(parameters.clone());
        let (delta, examples) = delta(trainer.contribute(&order).unwrap());
        assert!(examples > 50 && delta.iter().all(|value| value.is_finite()));
        assert!(delta.iter().any(|value| *value != 0.0));
        let places = genesis::ranges(&terms.layout, &parts);
        for (at, change) in places.into_iter().flatten().zip(delta) {
            parameters[at] += change;
        }
    }
    (parameters, size)
}

/// The feed's own payments of the live days, read through its map.
fn live_payments(config: &HistoryConfig) -> Vec<Transaction> {
    let feed = Feed::open(&config.map, &config.token_key, &config.file).unwrap();
    let key = read_key(&config.token_key).unwrap();
    let bytes = std::fs::read(&config.file).unwrap();
    let source = Source::Stream(Box::new(std::io::Cursor::new(bytes)));
    features::read(feed.map(), &key, source)
        .map(|row| row.unwrap().transaction)
        .filter(|payment| LIVE.contains(&(payment.day() as u32)))
        .collect()
}

fn settings() -> Settings {
    Settings {
        policy: policy(&[]),
        queue_max: 64,
        answer_after: AnswerAfter::Flush,
    }
}

const MAP: &str = r#"
[feed]
name = "singles"
format = "csv"
[fields]
txn_id = "id"
ts = { from = "timestamp", parse = "epoch_ms" }
rail = { const = "sct_inst" }
amount_minor = { from = "amount", scale = 100 }
currency = { const = "EUR" }
account_tok = "debtor_account"
counterparty_tok = "creditor_account"
[labels]
fraud = "fraud"
known_after_days = 3
[ext]
"#;

/// A feed of `days` days from day 17,000 on, `per_day` payments each, between accounts that occur
/// once. Every seventh payment lacks its places, every eleventh the payee's times; one in thirteen
/// is a fraud, from an account of some minutes.
pub(super) fn singles(folder: &Path, days: u32, per_day: u32) -> HistoryConfig {
    let extras: Vec<String> = ["debtor", "creditor"]
        .iter()
        .flat_map(|side| EXTRAS.map(|name| format!("{side}_{name}")))
        .collect();
    let mut map = MAP.to_owned();
    let mut text = "id,timestamp,amount,debtor_account,creditor_account,fraud".to_owned();
    for name in &extras {
        write!(map, "{name} = ").unwrap();
        let is_time = name.ends_with("_at");
        let rule = format!("{{ from = \"{name}\", parse = \"epoch_ms\" }}");
        writeln!(
            map,
            "{}",
            if is_time { rule } else { format!("\"{name}\"") }
        )
        .unwrap();
        write!(text, ",{name}").unwrap();
    }
    text.push('\n');
    for at in 0..days * per_day {
        let ts = 1_468_800_000_000 + i64::from(at) * 86_400_000 / i64::from(per_day);
        let is_fraud = at % 13 == 5;
        let cents = 500 + at * 37 % 90_000;
        let fraud = u8::from(is_fraud);
        write!(
            text,
            "p{at},{ts},{}.{:02},d{at},c{at},{fraud}",
            cents / 100,
            cents % 100
        )
        .unwrap();
        for side in 0..2_u32 {
            let minutes = if is_fraud {
                3
            } else {
                50_000 + i64::from(at * (7 + side))
            };
            let times = [ts - minutes * 60_000, ts - i64::from(at % 300) * 1_234_567];
            // Thirds have as many digits as a number can: none may be lost on the way.
            let degrees = |spread: u32| f64::from(at * spread % 1_000 + side) / 30.0;
            for time in times {
                let is_missing = side == 1 && at % 11 == 0;
                let told = (!is_missing).then(|| time.to_string());
                write!(text, ",{}", told.unwrap_or_default()).unwrap();
            }
            for spread in [3, 5, 7, 9] {
                let place = format!(",{}", degrees(spread));
                text += if at % 7 == 0 { "," } else { &place };
            }
            let kind = ["checking", "savings", "business", "trust"][(at + side) as usize % 4];
            write!(text, ",{},{kind}", at * 11 % 400).unwrap();
        }
        text.push('\n');
    }
    let (file, map_file) = (folder.join("singles.csv"), folder.join("map.toml"));
    let token_key = folder.join("token.key");
    std::fs::write(&file, text).unwrap();
    std::fs::write(&map_file, map).unwrap();
    std::fs::write(&token_key, "0123456789abcdef\n").unwrap();
    HistoryConfig {
        file,
        map: map_file,
        token_key,
        days: i32::MIN..i32::MAX,
        limits: Limits::default(),
        scratch: folder.to_owned(),
    }
}

const EXTRAS: [&str; 8] = [
    "opened_at",
    "last_active_at",
    "home_lat",
    "home_lon",
    "tower_lat",
    "tower_lon",
    "activity_24h",
    "account_type",
];
