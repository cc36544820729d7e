//! Files of single payments: same seed same bytes, and readable through the shipped map.

use std::fs;
use std::path::Path;

use arrow::array::AsArray;
use clap::Parser;
use features::{ExtValue, FeedMap, Source, TokenKey, read};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::*;
use crate::population::typology::SinglePayment;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: Args,
}

fn arguments(out: &Path, options: &[&str]) -> Args {
    let out = out.to_str().expect("a path of text");
    let line = ["generate", "--out", out].into_iter();
    let line = line.chain(options.iter().copied());
    Cli::try_parse_from(line).expect("arguments").args
}

/// Writes these files to `out` and returns what was said about them.
fn write_to(out: &Path, options: &[&str]) -> Result<String, GenerateError> {
    let args = arguments(out, &[&["--preset", "typology"], options].concat());
    let mut said = Vec::new();
    super::super::generate(&args, &mut said)?;
    Ok(String::from_utf8(said).expect("text"))
}

fn bytes(options: &[&str]) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    write_to(folder.path(), options).expect("a file");
    fs::read(folder.path().join("transactions.parquet")).expect("bytes")
}

fn payments(rows: u64) -> Vec<SinglePayment> {
    let process = Typologies {
        rows,
        ..Typologies::published()
    };
    process.payments(0..5, 3).collect()
}

const ROWS: [&str; 4] = ["--rows", "20000", "--seed", "3"];

#[test]
fn same_seed_writes_the_same_bytes() {
    assert!(bytes(&ROWS) == bytes(&ROWS));
    assert!(bytes(&ROWS) != bytes(&["--rows", "20000", "--seed", "4"]));
}

#[test]
fn columns_are_the_documented_ones() {
    let folder = tempfile::tempdir().expect("a folder");
    write_to(folder.path(), &ROWS).expect("a file");
    let file = fs::File::open(folder.path().join("transactions.parquet")).expect("the file");
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("a footer");
    let names: Vec<&str> = reader
        .schema()
        .fields()
        .iter()
        .map(|f| f.name().as_str())
        .collect();
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/generator.md");
    let document = fs::read_to_string(document).expect("the document");
    let undocumented: Vec<&str> = names
        .iter()
        .map(|name| name.trim_start_matches("creditor_"))
        .map(|name| name.trim_start_matches("debtor_"))
        .filter(|name| !document.contains(&format!("`{name}`")))
        .collect();
    assert_eq!(undocumented, [""; 0]);
    assert_eq!(names.len(), 27);
}

#[test]
fn a_file_for_each_bank_holds_what_that_bank_has_in_the_common_one() {
    let folder = tempfile::tempdir().expect("a folder");
    write_to(folder.path(), &[&ROWS[..], &["--per-bank"]].concat()).expect("files");
    let file = fs::File::open(folder.path().join("bank-4.parquet")).expect("the file");
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("a footer");
    let mut ids = Vec::new();
    let mut frauds = 0;
    for batch in reader.build().expect("a reader") {
        let batch = batch.expect("a batch");
        let column = batch.column_by_name("payment_id").expect("the column");
        ids.extend(
            column
                .as_string::<i32>()
                .iter()
                .flatten()
                .map(str::to_owned),
        );
        let column = batch.column_by_name("is_fraud").expect("the column");
        frauds += column.as_boolean().true_count();
    }
    let own: Vec<SinglePayment> = payments(20_000)
        .into_iter()
        .filter(|payment| payment.bank == 3)
        .collect();
    let expected = own.iter().map(|row| format!("pay-4-{:09}", row.number));
    assert!(ids.into_iter().eq(expected));
    let expected = own.iter().filter(|row| row.fraud.is_some()).count();
    assert_eq!(frauds, expected);
}

// The mapping file that is shipped must read every row that is written, labels included.
#[test]
fn shipped_map_reads_every_row() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../ops/config/maps/typology.toml"
    );
    let map = FeedMap::parse(&fs::read_to_string(path).expect("the map")).expect("a map");
    let key = TokenKey::new(&[7; 32]).expect("a key");
    let folder = tempfile::tempdir().expect("a folder");
    write_to(folder.path(), &ROWS).expect("a file");
    let file = fs::File::open(folder.path().join("transactions.parquet")).expect("the file");
    let expected = payments(20_000);
    let mut count = 0;
    for (row, payment) in read(&map, &key, Source::File(file)).zip(&expected) {
        let row = row.expect("a row");
        assert_eq!(row.transaction.ts, payment.ts);
        assert_eq!(row.transaction.amount_minor, payment.amount_minor);
        assert_eq!(row.label.map(|label| label.fraud), payment.label);
        assert_eq!(row.extra["bank"], bank_name(payment.bank));
        assert_eq!(row.extra["split"], payment.split.name());
        let number = |name: &str| match &row.transaction.ext[name] {
            ExtValue::Number(number) => *number,
            ExtValue::Text(_) => panic!("found text as {name}"),
        };
        let (debtor, creditor) = (&payment.debtor, &payment.creditor);
        assert!((number("debtor_home_lat") - debtor.home.lat).abs() < 1e-5);
        assert!((number("debtor_home_lon") - debtor.home.lon).abs() < 1e-5);
        assert!((number("creditor_tower_lat") - creditor.tower.lat).abs() < 1e-5);
        assert!((number("creditor_tower_lon") - creditor.tower.lon).abs() < 1e-4);
        let activity = f64::from(creditor.activity_24h);
        assert_eq!(number("creditor_activity_24h"), activity);
        assert_eq!(row.transaction.ext.len(), 16);
        count += 1;
    }
    assert_eq!(count, expected.len());
}

// Python: datetime.datetime.fromtimestamp(1766663445, datetime.UTC).isoformat(), and so on.
#[test]
fn times_are_written_as_the_standard_says() {
    assert_eq!(table::time(1_766_663_445_000), "2025-12-25T11:50:45Z");
    assert_eq!(table::time(951_782_399_000), "2000-02-28T23:59:59Z");
    assert_eq!(table::time(-1_000), "1969-12-31T23:59:59Z");
}

#[test]
fn the_account_counts_what_was_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let said = write_to(folder.path(), &[&ROWS[..], &["--json"]].concat()).expect("a file");
    let said: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    let expected = payments(20_000);
    let frauds = expected.iter().filter(|row| row.fraud.is_some()).count();
    assert_eq!(said["transactions"], 20_000);
    assert_eq!(said["frauds"], frauds);
    assert_eq!(said["files"][0]["rows"], 20_000);
    let labelled = expected
        .iter()
        .filter(|row| row.bank == 1 && row.split.name() == "train" && row.label == Some(true));
    assert_eq!(
        said["banks"][1]["splits"]["train"]["labelled"],
        labelled.count()
    );
}

#[test]
fn what_the_preset_cannot_do_is_refused_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let refusal = |options: &[&str]| {
        let refused = write_to(folder.path(), options);
        refused.expect_err("a refusal").to_string()
    };
    assert_eq!(
        refusal(&["--customers", "50"]),
        "found --customers with preset typology, which has none"
    );
    assert_eq!(
        refusal(&["--merchants", "50"]),
        "found --merchants with preset typology, which has none"
    );
    assert_eq!(
        refusal(&["--wrong-labels", "0.1"]),
        "found --wrong-labels with preset typology, which has none"
    );
    assert!(refusal(&["--banks", "2"]).starts_with("found 2 banks"));
    assert!(refusal(&["--rows", "4999"]).starts_with("found 4999 rows for 5 banks"));
    assert!(refusal(&["--days", "9"]).starts_with("found 9 days"));
    let args = arguments(folder.path(), &["--preset", "small", "--rows", "5000"]);
    let error = super::super::generate(&args, &mut Vec::new()).expect_err("a refusal");
    assert_eq!(
        error.to_string(),
        "found --rows with preset small, which has none"
    );
    assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 0);
}
