//! What another tool said of an experiment that is run by hand. It is taken in where the tool says
//! of itself what the experiment's commands say, and refused by the field where it does not: any
//! other run prints an object of the same form. The commands are in `experiments.rs`.

use std::path::Path;

use serde_json::{Value, json};

use super::experiments::Tool;
use super::{Failed, Finding, named};

/// Reads what `ops/peers/boost/boost.py --json` said of the experiment of this name.
pub(super) fn read(name: &str, file: &Path) -> Result<Finding, Failed> {
    let experiment = named(name, Tool::Outside)?;
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let text = std::fs::read_to_string(file).map_err(|error| failed(&error))?;
    let object: Value = serde_json::from_str(&text).map_err(|error| failed(&error))?;
    for part in ["settings", "spread", "by_seed"] {
        if !object[part].is_object() {
            return Err(failed(&format!("found no {part:?}, expected what --json prints")).into());
        }
    }
    for (field, expected) in of_itself(experiment.words) {
        let found = object.pointer(field).unwrap_or(&Value::Null);
        if *found != expected {
            let field = field.trim_start_matches('/');
            let why = format!("{field} {found}, expected {expected} as in the commands of {name}");
            return Err(failed(&why).into());
        }
    }
    Ok(Finding {
        words: experiment.words.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        learn: None,
        object,
    })
}

/// What the tool says of itself, by the field, where it is run by these commands, of which it is
/// the last; rows are dealt to banks by one of those before it.
fn of_itself(words: &str) -> [(&'static str, Value); 9] {
    let command = words.lines().last().unwrap_or_default();
    let count = |option: &str| after(command, option).and_then(|word| word.parse::<u64>().ok());
    let labels = after(command, "--labels").and_then(|word| word.parse::<f64>().ok());
    let deal = after(command, "--deal");
    let banks = after(words, "--banks").filter(|_| deal.is_some());
    let banks = banks.and_then(|word| word.parse::<u64>().ok());
    [
        ("/dataset", json!(stem(after(command, TOOL)))),
        ("/banks", json!(banks.unwrap_or(1))),
        ("/split", json!(stem(deal).unwrap_or("none"))),
        ("/labels", json!(labels.unwrap_or(1.0))),
        ("/seeds", json!(count("--seeds").unwrap_or(SEEDS))),
        ("/days/train_from", json!(count("--train-day"))),
        ("/days/train", json!(count("--train-days").unwrap_or(DAYS))),
        ("/days/delay", json!(count("--delay-days").unwrap_or(DAYS))),
        ("/days/test", json!(count("--test-days").unwrap_or(DAYS))),
    ]
}

/// The word that stands behind another.
fn after<'a>(words: &'a str, word: &str) -> Option<&'a str> {
    words.split_whitespace().skip_while(|of| *of != word).nth(1)
}

fn stem(path: Option<&str>) -> Option<&str> {
    Path::new(path?).file_stem()?.to_str()
}

const TOOL: &str = "ops/peers/boost/boost.py";

/// The tool's own, where nothing else is said.
const SEEDS: u64 = 3;
const DAYS: u64 = 7;

#[cfg(test)]
mod tests {
    use super::super::experiments::EXPERIMENTS;
    use super::super::{Results, page, wanted};
    use super::*;

    /// As `boost.py --json` prints it by the commands of `outside-mix-10`.
    fn of_mix() -> Value {
        json!({
            "dataset": "handbook-vectors", "banks": 10, "split": "handbook-deal", "labels": 1.0,
            "seeds": 3, "weeks": 1,
            "settings": {"local": {"bank_mean_ap": 0.5}},
            "spread": {"local": {"bank_mean_ap": 0.1}},
            "by_seed": {"local": {"bank_mean_ap": [0.4, 0.5, 0.6]}},
            "days": {"train_from": 17_737, "test_from": 17_751, "train": 7, "delay": 7, "test": 7},
            "columns": 77, "subsample": 0.8,
        })
    }

    fn read_of(name: &str, object: &Value) -> Result<Finding, String> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("boost.json");
        std::fs::write(&file, object.to_string()).unwrap();
        read(name, &file).map_err(|error| error.to_string())
    }

    #[test]
    fn what_another_tool_said_is_taken_in_under_its_name() {
        let mut results = Results::default();
        let name = "outside-mix-10";
        let finding = read_of(name, &of_mix()).unwrap();
        results.0.insert(name.to_owned(), finding);
        let page = page::page(&results);
        assert!(page.contains("\n`outside-mix-10`, version 0.0.0:\n"));
        assert!(page.contains("| `local` | – | – | – | 0.500 ± 0.100 | – | – |"));
        let refused = read_of(name, &json!({})).err().unwrap();
        assert!(refused.contains("found no \"settings\""), "{refused}");
        assert!(read_of("handbook-iid-10", &of_mix()).is_err());
        assert!(wanted(&[name.to_owned()]).is_err());
    }

    // What any other run prints has the same form.
    #[test]
    fn what_was_said_of_another_run_is_refused_by_its_field() {
        for (field, other) in [
            ("dataset", json!("sparkov-vectors")),
            ("banks", json!(5)),
            ("split", json!("none")),
            ("labels", json!(0.1)),
            ("seeds", json!(1)),
            ("days/train_from", json!(17_765)),
            ("days/train", json!(60)),
            ("days/delay", json!(0)),
            ("days/test", json!(31)),
        ] {
            let mut object = of_mix();
            let part = object.pointer_mut(&format!("/{field}")).unwrap();
            let right = std::mem::replace(part, other.clone());
            let refused = read_of("outside-mix-10", &object).err().unwrap();
            let expected = format!(": {field} {other}, expected {right} as in the commands");
            assert!(refused.contains(&expected), "{field}: {refused}");
        }
        for name in ["outside-book", "outside-sparkov-5"] {
            let refused = read_of(name, &of_mix()).err().unwrap();
            assert!(
                refused.contains("dataset \"handbook-vectors\""),
                "{refused}"
            );
        }
        let mut object = of_mix();
        object["days"].as_object_mut().unwrap().remove("train_from");
        let refused = read_of("outside-mix-10", &object).err().unwrap();
        assert!(
            refused.contains("days/train_from null, expected 17737"),
            "{refused}"
        );
    }

    // The first lines of what it printed on 28 November 2026 of the book's own features.
    #[test]
    fn a_run_without_a_deal_is_of_one_bank() {
        let mut object = of_mix();
        for (field, printed) in [
            ("dataset", json!("transactions_transformed_eval")),
            ("banks", json!(1)),
            ("split", json!("none")),
        ] {
            object[field] = printed;
        }
        read_of("outside-book", &object).unwrap();
    }

    #[test]
    fn every_experiment_by_hand_says_what_the_tool_will_say_of_itself() {
        let by_hand = EXPERIMENTS.iter().filter(|of| of.tool == Tool::Outside);
        for experiment in by_hand {
            for (field, expected) in of_itself(experiment.words) {
                assert!(!expected.is_null(), "{}: {field}", experiment.name);
            }
        }
        let tool = concat!(env!("CARGO_MANIFEST_DIR"), "/../ops/peers/boost/boost.py");
        let tool = std::fs::read_to_string(tool).unwrap();
        for usual in [
            format!("\"--seeds\", type=count, default={SEEDS},"),
            format!("type=kind, default={DAYS},"),
            "\"--labels\", type=share, default=1.0,".to_owned(),
        ] {
            assert!(tool.contains(&usual), "{usual}");
        }
    }
}
