//! The file must hold what an encoder gives, bit for bit; where it cannot be written, that is said.

use arrow::array::{Array, AsArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{Float32Type, Int32Type, Int64Type};
use features::{FeedMap, Source, TokenKey};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::*;
use crate::config::HistoryConfig;
use crate::history::tests::write;

fn arguments(folder: &Path, days: u32, per_day: u32) -> Arguments {
    let config = write(folder, days, per_day);
    Arguments {
        map: config.map,
        data: config.file,
        schema: None,
        key: None,
        from_day: None,
        to_day: None,
        out: folder.join("vectors.parquet"),
        json: true,
    }
}

/// All rows of the file, and how many each of its groups has.
fn read(path: &Path) -> (RecordBatch, Vec<i64>) {
    let file = File::open(path).unwrap();
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let groups = builder.metadata().row_groups().iter();
    let groups = groups.map(|group| group.num_rows()).collect();
    let columns = Arc::clone(builder.schema());
    let batches: Result<Vec<RecordBatch>, _> = builder.build().unwrap().collect();
    (concat_batches(&columns, &batches.unwrap()).unwrap(), groups)
}

/// What the command makes of these days of a feed, row by row.
pub(crate) fn exported(feed: &HistoryConfig, schema: &Path, days: Range<i32>) -> Vec<Vec<f32>> {
    let arguments = Arguments {
        map: feed.map.clone(),
        data: feed.file.clone(),
        schema: Some(schema.to_owned()),
        key: Some(feed.token_key.clone()),
        from_day: Some(days.start),
        to_day: Some(days.end),
        out: feed.scratch.join("vectors.parquet"),
        json: true,
    };
    export(&arguments).unwrap();
    let (batch, _) = read(&arguments.out);
    let columns = batch.columns()[FIXED.len()..].iter();
    let columns: Vec<&Float32Array> = columns.map(|column| column.as_primitive()).collect();
    let row = |at: usize| -> Vec<f32> { columns.iter().map(|of| of.value(at)).collect() };
    (0..batch.num_rows()).map(row).collect()
}

/// The feed's rows, each with the vector of an encoder that saw those before it.
fn by_hand(arguments: &Arguments) -> Vec<(Row, FeatureVector)> {
    let map = std::fs::read_to_string(&arguments.map).unwrap();
    let map = FeedMap::parse(&map).unwrap();
    let key = TokenKey::new(b"0123456789abcdef").unwrap();
    let source = Source::File(File::open(&arguments.data).unwrap());
    let mut encoder = FeatureEncoder::new(FeatureSchema::standard(), RiskSettings::default());
    let encoded = features::read(&map, &key, source).map(|row| {
        let row = row.unwrap();
        let vector = encoder.encode(&row.transaction);
        if let Some(label) = &row.label {
            encoder.add_label(&row.transaction, label);
        }
        (row, vector)
    });
    encoded.collect()
}

#[test]
fn exported_vectors_are_those_of_an_encoder_run_by_hand() {
    let dir = tempfile::tempdir().unwrap();
    let mut arguments = arguments(dir.path(), 20, 20);
    let all = by_hand(&arguments);
    let schema = FeatureSchema::standard();
    for (from_day, to_day) in [(17_000, 17_020), (17_012, 17_017)] {
        let is_all = to_day == 17_020;
        arguments.from_day = (!is_all).then_some(from_day);
        arguments.to_day = (!is_all).then_some(to_day);
        let said = export(&arguments).unwrap().text;
        let said: serde_json::Value = serde_json::from_str(&said).unwrap();
        let (batch, _) = read(&arguments.out);
        let expected = all.iter();
        let expected =
            expected.filter(|(row, _)| (from_day..to_day).contains(&row.transaction.day()));
        let expected: Vec<&(Row, FeatureVector)> = expected.collect();
        assert_eq!(batch.num_rows(), expected.len());
        assert_eq!(batch.num_columns(), FIXED.len() + schema.len());
        for (at, column) in schema.columns().iter().enumerate() {
            let values = batch.column_by_name(&column.name).unwrap();
            let values = values.as_primitive::<Float32Type>();
            for (row, (_, vector)) in expected.iter().enumerate() {
                let (found, expected) = (values.value(row), vector.0[at]);
                assert_eq!(found.to_bits(), expected.to_bits(), "{}", column.name);
            }
        }
        let is_fraud = |row: &Row| row.label.as_ref().is_some_and(|label| label.fraud);
        let frauds = expected.iter().filter(|(row, _)| is_fraud(row)).count();
        assert!(frauds > 3);
        let expected = serde_json::json!({
            "rows": expected.len(),
            "columns": 80,
            "from_day": from_day,
            "to_day": to_day,
            "frauds": frauds,
            "rejected": 0,
            "schema_digest": crypto::Digest(schema.digest()).to_hex(),
            "lacking": [],
        });
        assert_eq!(said, expected);
    }
}

// One payment in 17 of the sample has no label, and its map says that this means nothing; cards
// are numbered as they come.
#[test]
fn beside_a_vector_stand_its_payment_its_card_and_its_label() {
    let dir = tempfile::tempdir().unwrap();
    let arguments = arguments(dir.path(), 20, 20);
    export(&arguments).unwrap();
    let (batch, _) = read(&arguments.out);
    let column = |name: &str| batch.column_by_name(name).unwrap();
    let (ids, ts) = (
        column("txn_id").as_string::<i32>(),
        column("ts").as_primitive::<Int64Type>(),
    );
    let days = column("day").as_primitive::<Int32Type>();
    let cards = column("card").as_primitive::<Int32Type>();
    let (fraud, known_at) = (
        column("fraud").as_boolean(),
        column("known_at").as_primitive::<Int64Type>(),
    );
    let mut seen: Vec<String> = Vec::new();
    for (at, (row, _)) in by_hand(&arguments).iter().enumerate() {
        let (transaction, label) = (&row.transaction, row.label.as_ref());
        if !seen.iter().any(|token| token == transaction.card()) {
            seen.push(transaction.card().to_owned());
        }
        assert_eq!(ids.value(at), transaction.txn_id);
        assert_eq!(
            (ts.value(at), days.value(at)),
            (transaction.ts, transaction.day())
        );
        assert_eq!(seen[cards.value(at) as usize], transaction.card());
        let found = fraud.is_valid(at).then(|| fraud.value(at));
        assert_eq!(found, label.map(|label| label.fraud));
        let found = known_at.is_valid(at).then(|| known_at.value(at));
        assert_eq!(found, label.map(|label| label.known_at));
    }
    assert!(seen.len() == 20 && fraud.null_count() > 10);
}

// 66,000 payments are more than one group holds.
#[test]
fn groups_follow_one_another_in_the_order_of_the_feed() {
    let dir = tempfile::tempdir().unwrap();
    let arguments = arguments(dir.path(), 66, 1_000);
    export(&arguments).unwrap();
    let (batch, groups) = read(&arguments.out);
    assert_eq!(groups, [65_536, 464]);
    let ids = batch.column(0).as_string::<i32>();
    assert!((0..66_000).all(|at| ids.value(at) == format!("t{at}")));
}

#[test]
fn what_cannot_be_written_is_said_and_leaves_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let wrong = |change: &dyn Fn(&mut Arguments), code: u8, expected: &str| {
        let mut arguments = arguments(dir.path(), 10, 10);
        change(&mut arguments);
        let error = export(&arguments).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(error.exit_code(), code, "{error}");
        assert!(!arguments.out.exists());
    };
    let absent = dir.path().join("absent");
    let out = absent.join("vectors.parquet");
    wrong(&|of| of.out.clone_from(&out), 74, "absent/vectors.parquet");
    wrong(&|of| of.data.clone_from(&absent), 78, "absent");
    let days = |from_day, to_day| {
        move |of: &mut Arguments| {
            (of.from_day, of.to_day) = (Some(from_day), Some(to_day));
        }
    };
    let expected = "--to-day: 17005, expected a day after --from-day 17005";
    wrong(&days(17_005, 17_005), 78, expected);
    let expected = "days 30000 to 30001, expected some of days 17000 to 17009";
    wrong(&days(30_000, 30_002), 78, expected);
    let named = dir.path().join("schema.toml");
    std::fs::write(&named, NAMED).unwrap();
    let expected = "--schema: a column day, expected feature columns of other names";
    wrong(&|of| of.schema = Some(named.clone()), 78, expected);
}

#[test]
fn the_feed_itself_is_not_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let mut arguments = arguments(dir.path(), 2, 5);
    let feed = std::fs::read(&arguments.data).unwrap();
    arguments.out = dir.path().join(".").join("history.csv");
    let error = export(&arguments).unwrap_err();
    assert!(
        error.to_string().contains("expected another file"),
        "{error}"
    );
    assert_eq!(std::fs::read(&arguments.data).unwrap(), feed);
}

const NAMED: &str = r#"
language = 1
groups = ["payment"]
[fields]
"ext.reference" = "number"
[[feature]]
kind = "amount"
group = "payment"
[[feature]]
kind = "number"
name = "day"
group = "payment"
field = "ext.reference"
transform = "log"
missing = "flag"
"#;
