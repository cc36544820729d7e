//! The shipped maps against the public data sets, where these are at hand: every row is read,
//! and what is known of a set comes out of it.

use std::fs::File;
use std::path::{Path, PathBuf};

use features::{
    Category, FeatureEncoder, FeatureSchema, FeedMap, RiskSettings, Row, Source, TokenKey, check,
    read,
};

fn place(of: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(of)
}

/// The map and the opened set, or nothing with a word about it.
#[expect(clippy::disallowed_methods, reason = "a test opens its data")]
fn open(name: &str, data: &str) -> Option<(FeedMap, Source)> {
    let text = std::fs::read_to_string(place("../ops/config/maps").join(name))
        .expect("the shipped file and the public set fit");
    let map = FeedMap::parse(&text).expect("the shipped file and the public set fit");
    let Ok(file) = File::open(place("../../shared/data").join(data)) else {
        eprintln!("skipped: {data} is not at hand");
        return None;
    };
    Some((map, Source::File(file)))
}

fn key() -> TokenKey {
    TokenKey::new(b"a key that is only used in tests")
        .expect("the shipped file and the public set fit")
}

fn rows(map: &FeedMap, source: Source, count: usize) -> Vec<Row> {
    read(map, &key(), source)
        .take(count)
        .collect::<Result<_, _>>()
        .expect("the shipped file and the public set fit")
}

#[test]
fn handbook_rows_are_read_and_encoded() {
    let Some((map, source)) = open("handbook.toml", "handbook/transactions.parquet") else {
        return;
    };
    let rows = rows(&map, source, 60_000);
    assert_eq!(rows.len(), 60_000);
    let first = &rows[0];
    // The set begins on 2018-04-01 with a payment of 57.16 by customer 596 at 00:00:31.
    assert_eq!(first.transaction.ts, 1_522_540_831_000);
    assert_eq!(first.transaction.amount_minor, 5_716);
    assert_eq!(first.extra["customer"], "596");
    let label = first.label.as_ref().unwrap();
    assert!(!label.fraud);
    assert_eq!(label.known_at - first.transaction.ts, 7 * 86_400_000);
    assert!(
        rows.iter()
            .any(|row| row.label.as_ref().is_some_and(|label| label.fraud))
    );
    let mut encoder = FeatureEncoder::new(FeatureSchema::standard(), RiskSettings::default());
    for row in &rows {
        let vector = encoder.encode(&row.transaction);
        assert!(vector.0.iter().all(|value| value.is_finite()));
        if let Some(label) = &row.label {
            encoder.add_label(&row.transaction, label);
        }
    }
    // 60,000 payments are six days: nobody's label may be read before the eighth.
    assert!(encoder.remembered().0 > 4_000);
}

#[test]
fn sparkov_rows_are_read_with_their_categories() {
    let Some((map, source)) = open("sparkov.toml", "sparkov/transactions.parquet") else {
        return;
    };
    let rows = rows(&map, source, 20_000);
    assert_eq!(rows.len(), 20_000);
    let groups: std::collections::BTreeSet<_> = rows
        .iter()
        .map(|row| Category::of(row.transaction.mcc))
        .collect();
    assert_eq!(groups.len(), 11, "{groups:?}");
    assert!(!groups.contains(&Category::Unknown) && !groups.contains(&Category::Other));
    assert!(
        rows.iter()
            .any(|row| row.label.as_ref().is_some_and(|label| label.fraud))
    );
    assert!(
        rows.iter()
            .all(|row| row.transaction.ts >= 1_546_300_800_000)
    );
}

#[test]
fn a_check_of_the_handbook_finds_nothing_wrong() {
    let Some((map, source)) = open("handbook.toml", "handbook/transactions.parquet") else {
        return;
    };
    let schema = FeatureSchema::standard();
    let report = check((&map, &schema), &key(), source, 20_000);
    assert_eq!(
        (report.rows, report.rejected, report.duplicates),
        (20_000, 0, 0)
    );
    assert!(report.coverage.values().all(|share| *share == 1.0));
    assert_eq!(report.out_of_order_share, 0.0);
    assert!(report.luhn_hits.is_empty());
    assert_eq!(report.sample_rows.len(), 5);
    assert!(report.unmapped_columns.contains(&"TX_TIME_DAYS".to_owned()));
}
