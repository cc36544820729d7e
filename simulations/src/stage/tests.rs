//! Staging a small made-up feed: what goes where, and that what is written reads back.

use super::*;

fn feed(folder: &Path) -> (PathBuf, PathBuf) {
    let (data, map) = (folder.join("feed.csv"), folder.join("feed.toml"));
    let mut text = String::from("id,when,who,where,cents,fraud\n");
    for at in 0..400_i64 {
        let (day, who) = (at / 10, at % 7);
        let when = 1_600_000_000 / 86_400 * 86_400 + day * 86_400 + at % 10 * 3_600;
        let fraud = i64::from(at % 50 == 3);
        text += &format!("t{at},{when},c{who},m{},{},{fraud}\n", at % 5, 100 + at);
    }
    std::fs::write(&data, text).unwrap();
    let rules = "[feed]\nname = \"t\"\nformat = \"csv\"\n[fields]\ntxn_id = \"id\"\n\
        ts = { from = \"when\", parse = \"epoch_s\" }\nrail = { const = \"card\" }\n\
        amount_minor = \"cents\"\ncurrency = { const = \"EUR\" }\naccount_tok = \"who\"\n\
        merchant_tok = \"where\"\n[labels]\nfraud = { from = \"fraud\", true = [\"1\"] }\n\
        known_after_days = 2\n[carry]\nshop = \"where\"\n";
    std::fs::write(&map, rules).unwrap();
    (data, map)
}

fn args(folder: &Path) -> Args {
    let (data, map) = feed(folder);
    Args {
        data,
        map,
        key: None,
        split_by: None,
        deal: Some(1),
        banks: Some(2),
        test_day: None,
        test_days: 5,
        train_days: 10,
        delay: 2,
        out: folder.join("out"),
    }
}

#[test]
fn every_row_goes_to_one_bank_and_one_side_of_the_cut() {
    let dir = tempfile::tempdir().unwrap();
    let args = args(dir.path());
    stage(&args).unwrap();
    let text = std::fs::read_to_string(args.out.join("stage.json")).unwrap();
    let staged: Stage = serde_json::from_str(&text).unwrap();
    let live: u64 = staged.banks.iter().map(|bank| bank.live_transactions).sum();
    let past: u64 = staged.banks.iter().map(|bank| bank.transactions).sum();
    assert_eq!((live, past), (50, 350));
    assert_eq!(staged.banks.len(), 2);
    assert!(staged.banks[0].transactions >= staged.banks[1].transactions);
    assert_eq!(staged.test_day - staged.train_to, 2);
    assert_eq!(staged.outlets, 5);
}

#[test]
fn a_staged_history_reads_back_through_its_map() {
    let dir = tempfile::tempdir().unwrap();
    let args = args(dir.path());
    stage(&args).unwrap();
    let map = FeedMap::parse(&std::fs::read_to_string(args.out.join("map.toml")).unwrap()).unwrap();
    let key = token_key(None).unwrap();
    let file = File::open(args.out.join("bank-1/history.ndjson.zst")).unwrap();
    let rows: Vec<_> = features::read(&map, &key, Source::Stream(Box::new(file)))
        .collect::<Result<_, _>>()
        .unwrap();
    assert!(!rows.is_empty());
    assert!(rows.is_sorted_by_key(|row| row.transaction.ts));
    let label = rows[0].label.as_ref().unwrap();
    assert_eq!(label.known_at, rows[0].transaction.ts + 2 * 86_400_000);
}

#[test]
fn a_column_splits_rows_and_a_missing_one_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let by = Args {
        deal: None,
        split_by: Some("shop".to_owned()),
        ..args(dir.path())
    };
    stage(&by).unwrap();
    assert!(by.out.join("bank-5/live.ndjson").exists());
    let missing = Args {
        split_by: Some("bank".to_owned()),
        ..by
    };
    let error = stage(&missing).unwrap_err().to_string();
    assert!(
        error.contains("\"bank\"") && error.contains("[carry]"),
        "{error}"
    );
}

#[test]
fn too_few_days_are_refused_with_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let error = stage(&Args {
        train_days: 90,
        ..args(dir.path())
    })
    .unwrap_err()
    .to_string();
    assert!(error.contains("expected 90 days"), "{error}");
}
