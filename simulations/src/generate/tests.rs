//! Generated files: same seed same bytes, and readable through the shipped map.

use std::fs;

use clap::Parser;

use super::*;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: Args,
}

/// The files written for these arguments, by name.
fn files(arguments: &[&str]) -> Vec<(String, Vec<u8>)> {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().to_str().expect("a path of text");
    let line = ["generate", "--preset", "small", "--out", out]
        .into_iter()
        .chain(arguments.iter().copied());
    let args = Cli::try_parse_from(line).expect("arguments").args;
    generate(&args, &mut Vec::new()).expect("files");
    let mut files: Vec<(String, Vec<u8>)> = fs::read_dir(folder.path())
        .expect("the folder")
        .map(|entry| entry.expect("an entry").path())
        .map(|path| {
            let name = path
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            (name, fs::read(path).expect("bytes"))
        })
        .collect();
    files.sort();
    files
}

#[test]
fn same_seed_writes_the_same_bytes() {
    assert!(files(&["--seed", "3"]) == files(&["--seed", "3"]));
}

#[test]
fn another_seed_writes_other_bytes() {
    assert!(files(&["--seed", "3"]) != files(&["--seed", "4"]));
}

#[test]
fn per_bank_writes_a_file_for_each_bank() {
    let names: Vec<String> = files(&["--per-bank", "--banks", "2"])
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["bank-1.parquet", "bank-2.parquet"]);
}

#[test]
fn more_banks_than_customers_are_refused() {
    let line = [
        "generate",
        "--out",
        "unused",
        "--banks",
        "9",
        "--customers",
        "8",
    ];
    let args = Cli::try_parse_from(line).expect("arguments").args;
    let error = generate(&args, &mut Vec::new());
    assert!(matches!(
        error,
        Err(GenerateError::TooFewCustomers {
            banks: 9,
            customers: 8
        })
    ));
}

// The mapping file that is shipped must read every row that is written.
#[test]
fn shipped_map_reads_every_row() {
    use features::{FeedMap, Source, TokenKey, read};
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../ops/config/maps/generated.toml"
    );
    let map = FeedMap::parse(&fs::read_to_string(path).expect("the map")).expect("a map");
    let key = TokenKey::new(&[7; 32]).expect("a key");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("transactions.parquet");
    fs::write(&file, &files(&[])[0].1).expect("a file");
    let process = Everyday::small();
    let payments = process.payments(1);
    let rows = read(
        &map,
        &key,
        Source::File(fs::File::open(&file).expect("the file")),
    );
    let mut count = 0;
    for (row, payment) in rows.zip(&payments) {
        let row = row.expect("a row");
        let label = row.label.expect("a label");
        assert_eq!(row.transaction.ts, payment.ts);
        assert_eq!(row.transaction.amount_minor, payment.amount_minor);
        assert_eq!(row.transaction.rail.word(), payment.rail.name());
        assert_eq!(label.fraud, payment.verdict().is_fraud);
        assert_eq!(label.known_at, payment.verdict().known_at);
        assert_eq!(row.extra["bank"], table::bank_name(payment.bank));
        count += 1;
    }
    assert_eq!(count, payments.len());
}
