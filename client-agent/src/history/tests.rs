//! The past must be read as it was written, and a replay must give the vectors of the first pass.

use std::ops::Range;
use std::path::Path;

use features::FeatureVector;

use super::*;

const MAP: &str = r#"
[feed]
name = "sample"
format = "csv"
max_reject_ratio = 0.5

[fields]
txn_id = "id"
ts = "ts"
rail = { const = "card" }
amount_minor = "amount"
amount_ref_minor = "reference"
currency = "currency"
account_tok = "account"
card_tok = "card"
terminal_tok = "terminal"
merchant_tok = "merchant"
mcc = "mcc"
local_hour = "hour"
channel = "channel"

[ext]
reference = "reference"
kind = { from = "currency", map = { "EUR" = "alpha", "*" = "beta" } }

[labels]
fraud = { from = "fraud", true = ["1"], unknown = ["?"] }
known_after_days = 3
"#;

/// A feed of `days` days from day 17,000 on, `per_day` payments each: 20 cards, 7 outlets, one
/// payment in 13 a fraud at outlet 3, one in 17 unlabelled.
pub(crate) fn write(folder: &Path, days: u32, per_day: u32) -> HistoryConfig {
    let mut text = String::from(
        "id,ts,amount,reference,currency,account,card,terminal,merchant,mcc,hour,channel,fraud\n",
    );
    for at in 0..days * per_day {
        let (day, slot) = (i64::from(at / per_day), i64::from(at % per_day));
        let ts = (17_000 + day) * 86_400_000 + slot * (86_400_000 / i64::from(per_day));
        let card = at * 7 % 20;
        let is_fraud = at % 13 == 5;
        let outlet = if is_fraud { 3 } else { at * 11 % 7 };
        let amount = if is_fraud {
            90_000 + at
        } else {
            1_000 + 37 * (at % 50)
        };
        let reference = if at % 5 == 0 {
            (amount + 10).to_string()
        } else {
            String::new()
        };
        let currency = if at % 3 == 0 { "EUR" } else { "JPY" };
        let card_tok = if card < 15 {
            format!("card{card}")
        } else {
            String::new()
        };
        let terminal = if outlet < 5 {
            format!("term{outlet}")
        } else {
            String::new()
        };
        let merchant = if outlet < 6 {
            format!("shop{outlet}")
        } else {
            String::new()
        };
        let mcc = if at % 4 == 0 { "5411" } else { "" };
        let hour = if at % 6 == 0 { "23" } else { "" };
        let channel = ["pos", "ecom", "atm"][at as usize % 3];
        let fraud = if at % 17 == 16 {
            "?"
        } else if is_fraud {
            "1"
        } else {
            "0"
        };
        text.push_str(&format!(
            "t{at},{ts},{amount},{reference},{currency},acc{card},{card_tok},{terminal},\
             {merchant},{mcc},{hour},{channel},{fraud}\n"
        ));
    }
    let (file, map) = (folder.join("history.csv"), folder.join("map.toml"));
    let token_key = folder.join("token.key");
    std::fs::write(&file, text).unwrap();
    std::fs::write(&map, MAP).unwrap();
    std::fs::write(&token_key, "0123456789abcdef\n").unwrap();
    HistoryConfig {
        file,
        map,
        token_key,
        days: i32::MIN..i32::MAX,
        limits: Limits::default(),
        scratch: folder.to_owned(),
    }
}

/// The history of [`write`].
pub(crate) fn sample(days: u32, per_day: u32) -> History {
    let dir = tempfile::tempdir().unwrap();
    let config = write(dir.path(), days, per_day);
    load(&config)
}

fn load(config: &HistoryConfig) -> History {
    read(config, &FeatureSchema::standard()).unwrap().0
}

fn read(
    config: &HistoryConfig,
    schema: &FeatureSchema,
) -> Result<(History, FeatureEncoder), HistoryError> {
    History::load(config, schema, &Shutdown::default())
}

fn vectors_of_replay(history: &History) -> Vec<FeatureVector> {
    let mut encoder = FeatureEncoder::new(history.schema().clone(), RiskSettings::default());
    let mut vectors = Vec::new();
    let replayed = history.replay(|payment, transaction| {
        vectors.push(encoder.encode(transaction));
        for label in History::labels_of(&payment, transaction) {
            encoder.add_label(transaction, &label);
        }
    });
    replayed.unwrap();
    vectors
}

// Amounts in two currencies and in the reference one, cards and bare accounts, terminals,
// merchants and neither, hours and categories, labels: all that an encoder reads. The other
// schema reads fields and entities that the standard one does not.
#[test]
fn a_replay_gives_the_vectors_of_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let config = write(dir.path(), 30, 20);
    let parties = FeatureSchema::parse(PARTIES).unwrap();
    assert!(parties.reads_parties() && parties.kept_len() == 3);
    for schema in [FeatureSchema::standard(), parties] {
        let feed = Feed::open(&config.map, &config.token_key, &config.file).unwrap();
        let mut encoder = FeatureEncoder::new(schema.clone(), RiskSettings::default());
        let (source, _) = feed.source().unwrap();
        let direct: Vec<FeatureVector> = features::read(&feed.map, &feed.key.0, source)
            .map(|row| {
                let row = row.unwrap();
                let vector = encoder.encode(&row.transaction);
                if let Some(label) = &row.label {
                    encoder.add_label(&row.transaction, label);
                }
                vector
            })
            .collect();
        assert_eq!(direct.len(), 600);
        let (history, _) = read(&config, &schema).unwrap();
        assert_eq!(vectors_of_replay(&history), direct);
        // What never moves compares nothing.
        let moving = if schema.reads_parties() {
            schema.len()
        } else {
            0
        };
        for at in 0..moving {
            let is_moving = direct.iter().any(|vector| vector.0[at] != direct[0].0[at]);
            let name = &schema.columns()[at].name;
            let is_still = ["shared_", "category_", "payee_"]
                .iter()
                .any(|of| name.starts_with(of));
            assert!(is_moving || is_still, "{name} never moves");
        }
    }
}

const PARTIES: &str = r#"
language = 1
groups = ["payment"]
[fields]
channel = ["ecom", "pos"]
"ext.reference" = "number"
"ext.kind" = ["alpha"]
[[feature]]
kind = "amount"
group = "payment"
[[feature]]
kind = "number"
name = "reference"
group = "payment"
field = "ext.reference"
transform = "log"
missing = "flag"
[[feature]]
kind = "category"
name = "kind"
group = "payment"
field = "ext.kind"
missing = "center"
[[feature]]
kind = "category"
name = "channel"
group = "payment"
field = "channel"
missing = "center"
[[feature]]
kind = "own_risk"
[[feature]]
kind = "windows"
of = "account"
lengths = ["2d", "3d"]
[[feature]]
kind = "windows"
of = "terminal"
lengths = ["1d"]
[[feature]]
kind = "windows"
of = "merchant"
lengths = ["12h", "5d"]
detrend = true
[[feature]]
kind = "windows"
of = "payee"
lengths = ["1d"]
"#;

#[test]
fn days_outside_the_configured_ones_are_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = write(dir.path(), 10, 13);
    let summary_of = |days: Range<i32>, config: &mut HistoryConfig| {
        config.days = days;
        load(config).summary()
    };
    let all = summary_of(i32::MIN..i32::MAX, &mut config);
    assert_eq!(
        (all.transactions, all.from_day, all.until_day),
        (130, Some(17_000), Some(17_010))
    );
    let some = summary_of(17_002..17_005, &mut config);
    assert_eq!(
        (some.transactions, some.from_day, some.until_day),
        (39, Some(17_002), Some(17_005))
    );
    assert!(some.frauds > 0 && some.frauds < all.frauds);
    assert_eq!(summary_of(1..2, &mut config), Summary::default());
}

#[test]
fn rows_whose_extras_are_of_another_kind_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let config = write(dir.path(), 10, 10);
    let text = PARTIES.replace(
        "\"ext.reference\" = \"number\"",
        "\"ext.reference\" = \"latitude\"",
    );
    let start = text.find("[[feature]]\nkind = \"number\"").unwrap();
    let end = start + text[start + 1..].find("[[feature]]").unwrap() + 1;
    let place = "[[feature]]\nkind = \"distance\"\nname = \"reference\"\ngroup = \"payment\"\n\
                 from = [\"ext.reference\", \"geo_lon\"]\nto = [\"geo_lat\", \"geo_lon\"]\n\
                 missing = \"flag\"\n";
    let text = text.replace(&text[start..end], place);
    let text = text.replace(
        "[fields]\n",
        "[fields]\ngeo_lat = \"latitude\"\ngeo_lon = \"longitude\"\n",
    );
    let (history, _) = read(&config, &FeatureSchema::parse(&text).unwrap()).unwrap();
    // One row in five has a reference amount, and none is a latitude.
    assert_eq!(
        (history.summary().transactions, history.summary().rejected),
        (80, 20)
    );
}

#[test]
fn refused_rows_are_counted_and_a_broken_feed_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let config = write(dir.path(), 10, 10);
    let text = std::fs::read_to_string(&config.file).unwrap();
    std::fs::write(
        &config.file,
        text.replacen("t5,", ",", 1).replacen("EUR", "euro", 1),
    )
    .unwrap();
    let summary = load(&config).summary();
    assert_eq!((summary.transactions, summary.rejected), (98, 2));

    std::fs::write(&config.file, "id,amount\n1,2\n").unwrap();
    let error = read(&config, &FeatureSchema::standard())
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("history.csv"), "{error}");
    std::fs::remove_file(&config.file).unwrap();
    let error = read(&config, &FeatureSchema::standard())
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("history.csv"), "{error}");
}

#[test]
fn reading_ends_where_the_process_is_to_go() {
    let dir = tempfile::tempdir().unwrap();
    let config = write(dir.path(), 2, 10);
    let shutdown = Shutdown::default();
    shutdown.trigger();
    let error = History::load(&config, &FeatureSchema::standard(), &shutdown)
        .err()
        .unwrap();
    assert!(matches!(error, HistoryError::Leaving), "{error}");
}

// Most records of 600 payments have gone into the file, which has no name.
#[test]
fn a_past_that_its_folder_has_no_room_for_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = write(dir.path(), 30, 20);
    let names = || std::fs::read_dir(dir.path()).unwrap().count();
    let before = names();
    let history = load(&config);
    assert_eq!((history.summary().transactions, names()), (600, before));
    config.scratch = dir.path().join("missing");
    let error = read(&config, &FeatureSchema::standard()).err().unwrap();
    assert!(matches!(error, HistoryError::Kept(_)), "{error}");
}
