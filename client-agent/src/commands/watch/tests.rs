//! The command over the made-up bank that watching itself is tested on, through files: what
//! docs/watch.md promises, the form of what is said, and what is refused.

use clap::Parser;
use model::{NetworkSize, genesis, layout};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::watch::tests::{Chance, payment};

const MAP: &str = concat!(
    include_str!("../../../../ops/config/maps/cards.toml"),
    "terminal_tok = \"terminal\"\nmcc = \"mcc\"\nchannel = \"channel\"\n"
);

const LABELS: &str = r#"
[labels]
fraud = { from = "fraud", true = ["1"] }
known_after_days = 1
"#;

const FIRST: i32 = 20_000;

/// A bank's feed in a folder: days from 20,000 on, of so many payments, one in 97 a fraud.
fn bank(days: i32, payments: i64) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut chance = Chance(11);
    let mut text = "id,ts,amount,account,terminal,mcc,channel,fraud\n".to_owned();
    for day in FIRST..FIRST + days {
        for nth in 0..payments {
            let of = payment(day, nth, &mut chance);
            let (terminal, mcc) = (of.terminal_tok.unwrap(), of.mcc.unwrap());
            text += &format!(
                "{},{},{},{},{terminal},{mcc},{},{}\n",
                of.txn_id,
                of.ts,
                of.amount_minor,
                of.account_tok,
                of.channel.unwrap().word(),
                u8::from(nth % 97 == 5)
            );
        }
    }
    std::fs::write(dir.path().join("feed.csv"), text).unwrap();
    std::fs::write(dir.path().join("map.toml"), MAP).unwrap();
    dir
}

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    arguments: Arguments,
}

fn line(dir: &TempDir, words: &str) -> Result<Arguments, clap::Error> {
    let path = |name: &str| dir.path().join(name).display().to_string();
    let begin = ["replay".to_owned(), "--map".to_owned(), path("map.toml")];
    let data = ["--data".to_owned(), path("feed.csv")];
    let words = words.split_whitespace().map(|word| match word {
        "DRIFT" | "MODEL" => path(word),
        word => word.to_owned(),
    });
    let line = Line::try_parse_from(begin.into_iter().chain(data).chain(words));
    line.map(|line| line.arguments)
}

fn said(dir: &TempDir, words: &str) -> String {
    replay(&line(dir, words).unwrap()).unwrap().text
}

fn told(dir: &TempDir, words: &str) -> Value {
    serde_json::from_str(&said(dir, words)).unwrap()
}

/// The day on which an alarm rose.
fn rose(course: &Value, rule: &str, subject: &str) -> Option<i64> {
    let alarms = course["alarms"].as_array().unwrap();
    let is_it = |of: &&Value| of["rule"] == rule && of["subject"] == subject;
    alarms.iter().find(is_it)?["raised_day"].as_i64()
}

fn figures<'a>(course: &'a Value, rule: &str) -> Vec<&'a Value> {
    let figures = course["figures"].as_array().unwrap();
    figures.iter().filter(|of| of["rule"] == rule).collect()
}

// The reference is of days 20,001 to 20,014, the changes begin a week after it. What the bank does
// by itself raises nothing, over the same days as in `watch`'s own test.
#[test]
fn three_changes_are_found_after_two_days_and_the_feed_as_it_is_raises_nothing() {
    let dir = bank(28, 1_000);
    let words = "--reference-days 14 --inject prices,channel,category --json --out DRIFT";
    let said = said(&dir, words);
    let told: Value = serde_json::from_str(&said).unwrap();
    let courses = told["courses"].as_array().unwrap();
    let names: Vec<&str> = courses
        .iter()
        .filter_map(|of| of["inject"].as_str())
        .collect();
    assert_eq!(names, ["none", "prices", "channel", "category"]);
    let quiet = &courses[0];
    assert_eq!(quiet["alarms"], json!([]));
    assert_eq!(
        quiet["days"],
        json!((20_015..=20_026).collect::<Vec<i32>>())
    );
    assert_eq!(quiet["inject_day"], Value::Null);
    assert_eq!(quiet["payments"], 28_000);
    for (course, rule, subject) in [
        (&courses[1], "amount", "amount"),
        (&courses[2], "feature", "channel"),
        (&courses[3], "feature", "category_money"),
    ] {
        assert_eq!(course["inject_day"], 20_022);
        assert_eq!(rose(course, rule, subject), Some(20_024), "{course}");
        let after = course["found_after_days"].as_i64();
        assert!(after.is_some_and(|days| days <= 2), "{after:?}");
    }
    assert!(
        courses[2]["what"]
            .as_str()
            .unwrap()
            .contains("channel ecom")
    );
    assert!(courses[2]["payments"].as_u64().unwrap() < 27_000);

    let json = std::fs::read_to_string(dir.path().join("DRIFT/drift.json")).unwrap();
    assert_eq!(json, said);
    let page = std::fs::read_to_string(dir.path().join("DRIFT/drift.html")).unwrap();
    let outside = [
        "http://", "https://", "src=", "href=", "url(", "@import", "<script",
    ];
    for sign in outside {
        assert!(!page.contains(sign), "{sign}");
    }
    assert!(page.contains("prefers-color-scheme: dark"));
    assert_eq!(page.matches("<svg ").count(), 4);
    assert_eq!(page.matches("class=\"inject\"").count(), 3);
    assert!(page.matches("<circle ").count() >= 3);
    assert!(page.contains("feature category_money rose on 20024 (2024-10-28)"));
    // Beside another panel a table has room for dates, and the day's number shows where one points.
    let cells = "<td class=\"subject\">category_money<td title=\"day 20024\">2024-10-28<td";
    assert!(page.contains(cells), "{page}");
    assert!(page.contains("td.subject { white-space: normal; overflow-wrap: anywhere }"));
    assert!(!page.contains("NaN"), "{page}");
}

#[test]
fn the_object_has_every_figure_of_every_day() {
    let dir = bank(12, 1_000);
    let told = told(&dir, "--reference-days 7 --json");
    let keys = [
        "feed",
        "schema_digest",
        "rejected",
        "lacking",
        "reference_from_day",
        "reference_to_day",
        "model",
        "trained",
        "rules",
        "courses",
    ];
    let found: Vec<&String> = told.as_object().unwrap().keys().collect();
    assert_eq!(found.len(), keys.len(), "{found:?}");
    assert!(keys.iter().all(|key| told.get(key).is_some()), "{found:?}");
    assert_eq!(
        (&told["feed"], &told["model"]),
        (&json!("cards"), &json!("none"))
    );
    let reference = (&told["reference_from_day"], &told["reference_to_day"]);
    assert_eq!(reference, (&json!(20_001), &json!(20_008)));
    assert_eq!(
        told["rules"][1],
        json!({"rule": "amount", "raise": 0.12, "clear": 0.08})
    );
    let [course] = told["courses"].as_array().unwrap().as_slice() else {
        panic!("{}", told["courses"]);
    };
    assert_eq!(course["days"], json!([20_008, 20_009, 20_010]));
    for of in course["figures"].as_array().unwrap() {
        for values in ["told", "change"] {
            let values = of[values].as_array().unwrap();
            assert!(
                values.len() == 3 && values.iter().all(Value::is_number),
                "{of}"
            );
        }
        assert!(
            of["subject"].is_string() && of["is_watched"].is_boolean(),
            "{of}"
        );
    }
    // An index and a mean of every column, the share of payments without a field.
    assert!(figures(course, "amount").len() == FeatureSchema::standard().len());
    assert!(
        figures(course, "missing")
            .iter()
            .any(|of| of["subject"] == "mcc")
    );
    for rule in ["score", "embedding", "calibration"] {
        assert!(figures(course, rule).is_empty(), "{rule}");
    }
    assert_eq!(course["mature"], json!([]));
}

// The feed goes on after the last day that is asked for, so that day is over.
#[test]
fn a_table_says_when_alarms_rose() {
    let dir = bank(15, 1_000);
    let words = "--reference-days 7 --to-day 20013 --inject prices --inject-day 20010";
    let text = said(&dir, words);
    assert!(text.contains("none: the feed as it is"), "{text}");
    let expected = "alarm amount amount: rose on 20012 (2024-10-16), 2 days after the change";
    assert!(text.contains(expected), "{text}");
    assert!(text.contains("  20012  2024-10-16"), "{text}");
    assert!(!text.contains("  20013  2024-10-17"), "{text}");
    assert!(text.lines().all(|line| line == line.trim_end()), "{text}");
}

#[test]
fn with_a_model_scores_embeddings_and_mature_payments_have_figures() {
    let dir = bank(16, 600);
    std::fs::write(dir.path().join("map.toml"), format!("{MAP}{LABELS}")).unwrap();
    let made = told(&dir, "--reference-days 7 --mature-days 3 --train 25 --json");
    assert_eq!(made["model"], "made");
    assert_eq!(
        (&made["trained"]["rows"], &made["trained"]["steps"]),
        (&json!(4_200), &json!(25))
    );
    assert!(made["trained"]["frauds"].as_u64().unwrap() > 20);

    let (schema, size) = (FeatureSchema::standard(), NetworkSize::default());
    let drawn = genesis(&layout(&schema, size), 1);
    let checkpoint = Checkpoint::new(&schema, size, drawn).unwrap();
    checkpoint.save(&schema, &dir.path().join("MODEL")).unwrap();
    let given = told(
        &dir,
        "--reference-days 7 --mature-days 3 --model MODEL --json",
    );
    assert_eq!(
        (&given["model"], &given["trained"]),
        (&json!("folder"), &Value::Null)
    );
    for told in [made, given] {
        let course = &told["courses"][0];
        for rule in ["score", "embedding"] {
            let [of] = figures(course, rule)[..] else {
                panic!("{rule}: {course}");
            };
            assert_eq!(of["subject"], rule);
            // Nothing is held against the days that the reference is made of.
            let changes = of["change"].as_array().unwrap().iter();
            let judged: Vec<&Value> = changes.skip_while(|change| change.is_null()).collect();
            assert!(
                judged.len() == 7 && judged.into_iter().all(Value::is_number),
                "{of}"
            );
        }
        let mature = course["mature"].as_array().unwrap();
        let last = mature.last().unwrap();
        assert_eq!(last["day"], 20_014);
        assert!(last["precision_at_budget"].is_number(), "{last}");
        assert!(last["calibration_error"].is_number(), "{last}");
    }
}

#[test]
fn what_cannot_be_replayed_is_refused() {
    let dir = bank(12, 600);
    let wrong = |words: &str, expected: &str| {
        let error = replay(&line(&dir, words).unwrap()).unwrap_err();
        assert_eq!(error.exit_code(), 78, "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    };
    let expected = "--data: 7200 payments of days 20000 to 20011, expected 38 days and more";
    wrong("", expected);
    wrong("--from-day 20500", "--data: 0 payments of no day watched");
    wrong(
        "--from-day 20005 --to-day 20005",
        "--to-day: 20005, expected a day after",
    );
    let short = |rest: &str| format!("--reference-days 7 --inject prices --inject-day {rest}");
    wrong(
        &short("20008"),
        "--inject-day: 20008, expected a day after 20008",
    );
    wrong(
        &short("20100"),
        "--inject-day: 20100, expected a day of the feed, which ends on 20011",
    );
    let map = MAP.replace("channel = \"channel\"\n", "");
    std::fs::write(dir.path().join("map.toml"), map).unwrap();
    let words = "--reference-days 7 --inject channel --inject-day 20010";
    wrong(
        words,
        "--inject: channel where payments have one channel or none",
    );
}

#[test]
fn a_folder_without_a_model_is_named() {
    let dir = bank(2, 20);
    let error = replay(&line(&dir, "--model MODEL").unwrap()).unwrap_err();
    assert_eq!(error.exit_code(), 74, "{error}");
    assert!(error.to_string().contains("card.json"), "{error}");
}

#[test]
fn options_that_contradict_each_other_are_refused_and_steps_may_be_left_out() {
    let dir = tempfile::tempdir().unwrap();
    assert!(line(&dir, "--train --model MODEL").is_err());
    assert!(line(&dir, "--reference-days 36").is_err());
    assert!(line(&dir, "--inject weather").is_err());
    assert_eq!(line(&dir, "--train --json").unwrap().train, Some(300));
    assert_eq!(line(&dir, "--json").unwrap().train, None);
    let asked = line(&dir, "--inject none,prices --inject category").unwrap();
    assert_eq!(
        asked.inject,
        [Change::None, Change::Prices, Change::Category]
    );
}
