//! What the command line says beyond the days and the recipe, and what it leaves open.

use super::*;

// Stolen cards are left out of the judgement, not of the learning.
#[test]
fn payments_that_are_left_out_are_not_judged() {
    let dir = tempfile::tempdir().unwrap();
    let frauds = |more: &[&str]| -> (u64, u64) {
        let plain = [
            "--split",
            "column",
            "--column",
            "bank",
            "--settings",
            "ratio",
        ];
        let args = arguments(dir.path(), &[&plain, more].concat());
        let banks = compare(&args).unwrap().1[0].outcome.banks.clone();
        let of =
            |value: fn(&measures::BankOutcome) -> u64| -> u64 { banks.iter().map(value).sum() };
        (of(|bank| bank.payments), of(|bank| bank.frauds))
    };
    let all = frauds(&[]);
    let none = frauds(&["--leave-out", "truth=1"]);
    assert!(
        all.1 > 5 && none.1 == 0 && none.0 >= all.0 - all.1,
        "{all:?} {none:?}"
    );
    let odd = arguments(dir.path(), &["--leave-out", "colour=1"]);
    let refused = learn(&odd, &mut Vec::new()).unwrap_err().to_string();
    assert!(
        refused.contains("carries no column \"colour\""),
        "{refused}"
    );
}

// Cards in the order of the feed, as `features export` numbers them.
#[test]
fn the_deal_is_written_for_every_card_and_seed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deal.csv");
    let more = ["--seeds", "2", "--settings", "ratio", "--save-deal"];
    let args = arguments(dir.path(), &[&more[..], &[path.to_str().unwrap()]].concat());
    compare(&args).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let mut lines = text.lines();
    assert_eq!(
        lines.next(),
        Some("card,held_out,bank_1,lot_1,bank_2,lot_2")
    );
    let feed = feed(&args);
    let mut banks = Vec::new();
    for seed in [1, 2] {
        let deal = Deal {
            split: Split::Iid,
            banks: 4,
            regional: 1.0,
            table: None,
        };
        banks.push(split::banks_of(&feed, deal, seed).unwrap());
    }
    assert_ne!(banks[0], banks[1]);
    assert_eq!(text.lines().count(), 1 + CUSTOMERS as usize);
    for (number, line) in lines.enumerate() {
        let cells: Vec<&str> = line.split(',').collect();
        let (card, customer) = feed.cards[number];
        assert_eq!(cells[0], number.to_string());
        let is_held_out = model::examples::is_held_out(feed.token(card));
        assert_eq!(cells[1], u8::from(is_held_out).to_string());
        for (seed, banks) in banks.iter().enumerate() {
            let bank = banks[customer as usize] + 1;
            assert_eq!(cells[2 + 2 * seed], bank.to_string());
            let lot: f64 = cells[3 + 2 * seed].parse().unwrap();
            assert!((0.0..1.0).contains(&lot));
        }
    }
}

// A feed of the generator's kind: sixty days, of which the last quarter is judged, by the truth.
#[test]
fn a_typology_needs_no_flag_but_its_split() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let more = ["--split", "typology", "--settings", "ratio,pooled", "--out"];
    let args = arguments(dir.path(), &[&more[..], &[out.to_str().unwrap()]].concat());
    let args = Args {
        banks: args::Banks {
            schema: Some(dir.path().join("other.toml")),
            truth: None,
            ..args.banks
        },
        ..args
    };
    std::fs::write(dir.path().join("other.toml"), OTHER).unwrap();
    std::fs::write(
        &args.banks.map,
        MAP.replace("truth = \"truth\"", "is_fraud = \"truth\""),
    )
    .unwrap();
    let (_, trials) = compare(&args).unwrap();
    assert_eq!(trials.len(), 1, "the schema has no ratio");
    assert_eq!(trials[0].train_from, FIRST_DAY as i32);
    let finished: Value =
        serde_json::from_slice(&std::fs::read(stored(&out, "pooled")).unwrap()).unwrap();
    assert_eq!(finished["terms"]["truth"], "is_fraud");
    let spans = json!({"train": 45, "delay": 0, "test": 15, "pretrain": 45});
    assert_eq!(finished["terms"]["data"]["spans"], spans);
}
