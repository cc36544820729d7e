//! The whole comparison on a small made-up feed: four towns, two terminals that are compromised
//! for a month, stolen cards that pay far more than usual, reports after three to twelve days.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Parser;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::book::{Encoding, Reports};
use super::*;

mod large;
mod leaks;
mod newton;
mod terms;

const CUSTOMERS: u32 = 60;
const FIRST_DAY: i64 = 18_000;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: Args,
}

/// Writes a feed and its map, and gives arguments that use them.
fn arguments(folder: &Path, more: &[&str]) -> Args {
    let (data, map) = (folder.join("feed.csv"), folder.join("feed.toml"));
    if !data.exists() {
        std::fs::write(&data, rows()).unwrap();
        std::fs::write(&map, MAP).unwrap();
    }
    let plain = [
        "learn",
        "--data",
        data.to_str().unwrap(),
        "--map",
        map.to_str().unwrap(),
        "--pretrain-rounds",
        "2",
        "--pretrain-steps",
        "2",
        "--steps",
        "6",
        "--batch",
        "32",
        "--truth",
        "truth",
    ];
    let usual = [["--banks", "4"], ["--rounds", "3"]];
    let unsaid = usual.iter().filter(|pair| !more.contains(&pair[0]));
    Cli::parse_from(plain.iter().chain(unsaid.flatten()).chain(more)).args
}

fn rows() -> String {
    let mut chance = ChaCha8Rng::seed_from_u64(3);
    let mut text = String::from("id,when,who,where,cents,fraud,known,truth,bank\n");
    let mut number = 0;
    for day in 0..60_i64 {
        for who in 0..CUSTOMERS {
            for _ in 0..chance.random_range(1..4) {
                number += 1;
                let town = who % 4;
                let outlet = match chance.random_range(0..10) {
                    0 => chance.random_range(0..20),
                    _ => town * 5 + chance.random_range(0..5),
                };
                let when = (FIRST_DAY + day) * 86_400 + chance.random_range(0..86_400);
                let usual = 1_000 + 100 * i64::from(who);
                let is_copied = [3, 13].contains(&outlet) && (20..55).contains(&day);
                let is_copied = is_copied && chance.random_range(0..10) < 4;
                let is_stolen = chance.random_range(0..100) < 2;
                let cents = usual * chance.random_range(50..150) / 100;
                let cents = if is_stolen { 6 * cents } else { cents };
                let fraud = u8::from(is_copied || is_stolen);
                let known = when + 86_400 * chance.random_range(3..13);
                let bank = ["north", "east", "south", "west"][town as usize];
                let _ = writeln!(
                    text,
                    "t{number},{when},c{who},m{outlet},{cents},{fraud},{known},{fraud},{bank}"
                );
            }
        }
    }
    text
}

const MAP: &str = r#"
[feed]
name = "towns"
format = "csv"
[fields]
txn_id = "id"
ts = { from = "when", parse = "epoch_s" }
rail = { const = "card" }
amount_minor = "cents"
currency = { const = "EUR" }
account_tok = "who"
merchant_tok = "where"
[ext]
size = "cents"
[labels]
fraud = { from = "fraud", true = ["1"] }
known_at = { from = "known", parse = "epoch_s" }
[carry]
truth = "truth"
bank = "bank"
customer = "who"
"#;

fn object(args: &Args) -> Value {
    let mut out = Vec::new();
    learn(args, &mut out).unwrap();
    serde_json::from_slice(&out).unwrap()
}

/// As many weeks as are asked for, the last ones of the feed.
fn weeks(args: &Args, feed: &Feed) -> Vec<Week> {
    let spans = args.spans(feed.days().unwrap());
    calendar::weeks(feed, spans, None, args.days.weeks).unwrap()
}

fn feed(args: &Args) -> Feed {
    let map = FeedMap::parse(MAP).unwrap();
    read(args, &map, &FeatureSchema::standard()).unwrap()
}

#[test]
fn the_object_has_every_setting_with_every_measure_and_its_spread() {
    let dir = tempfile::tempdir().unwrap();
    let object = object(&arguments(dir.path(), &["--json", "--seeds", "2"]));
    assert_eq!(object["dataset"], "towns");
    assert_eq!((&object["banks"], &object["seeds"]), (&json!(4), &json!(2)));
    assert_eq!(
        (&object["split"], &object["labels"]),
        (&json!("iid"), &json!(1.0))
    );
    for setting in Setting::ALL {
        for name in NAMES {
            let (mean, spread) = (&object["settings"][setting.name()], &object["spread"]);
            let spread = &spread[setting.name()][name];
            let decides = setting.is_labelled() && setting != Setting::UnsupervisedLive;
            if name == "f1" && !decides {
                assert!(mean[name].is_null() && spread.is_null());
                continue;
            }
            let mean = mean[name].as_f64().unwrap();
            assert!((0.0..=1.0).contains(&mean), "{setting:?} {name} {mean}");
            assert!(spread.as_f64().unwrap() >= 0.0);
        }
    }
    assert!(object.get("fractions").is_none());
}

// Means and spreads follow from the values, so that differences of settings can be paired.
#[test]
fn every_share_of_labels_has_its_banks_and_its_values_by_seed() {
    let dir = tempfile::tempdir().unwrap();
    let args = [
        "--json",
        "--seeds",
        "2",
        "--labels",
        "1.0,0.5",
        "--settings",
    ];
    let object = object(&arguments(
        dir.path(),
        &[&args[..], &["local,ratio"]].concat(),
    ));
    let fractions = object["fractions"].as_array().unwrap();
    assert_eq!(fractions.len(), 2);
    for of in fractions.iter().chain([&object]) {
        for setting in ["local", "ratio"] {
            let values = &of["by_seed"][setting];
            let ap: Vec<f64> = serde_json::from_value(values["ap"].clone()).unwrap();
            assert_eq!(ap.len(), 2);
            let mean = of["settings"][setting]["ap"].as_f64().unwrap();
            assert!((mean - f64::midpoint(ap[0], ap[1])).abs() < 1e-12);
            let spread = of["spread"][setting]["ap"].as_f64().unwrap();
            assert!((spread - (ap[0] - ap[1]).abs() / 2_f64.sqrt()).abs() < 1e-12);
            let banks: Vec<Vec<f64>> = serde_json::from_value(values["bank_ap"].clone()).unwrap();
            assert_eq!((banks.len(), banks[0].len()), (2, 4));
            let first = of["bank_ap"][setting][0].as_f64().unwrap();
            assert!((first - f64::midpoint(banks[0][0], banks[1][0])).abs() < 1e-12);
        }
    }
    let of = |at: usize, setting: &str| fractions[at]["by_seed"][setting]["ap"].clone();
    assert_ne!(of(0, "local"), of(1, "local"));
    assert_eq!(of(0, "ratio"), of(1, "ratio"));
}

#[test]
fn the_same_seed_gives_the_same_object_and_another_seed_another() {
    let dir = tempfile::tempdir().unwrap();
    let object = |more: &[&str]| {
        let plain = ["--json", "--settings", "local,federated,pooled"];
        object(&arguments(dir.path(), &[&plain, more].concat())).to_string()
    };
    assert_eq!(object(&[]), object(&[]));
    assert_ne!(object(&[]), object(&["--first-seed", "2"]));
}

// The models themselves, by the root of their parameters, and with them everything that they come
// to.
#[test]
fn masks_leave_every_model_as_it_is_even_where_banks_are_absent_and_lost() {
    let dir = tempfile::tempdir().unwrap();
    let models = |more: &[&str]| -> Vec<(Option<String>, String)> {
        let plain = ["--banks", "6", "--settings", "federated,new_bank"];
        let args = arguments(dir.path(), &[&plain, more].concat());
        let trials = compare(&args).unwrap().1.into_iter();
        let outcomes = trials.map(|trial| trial.outcome);
        let told = outcomes.map(|outcome| (outcome.model.clone(), format!("{outcome:?}")));
        told.collect()
    };
    let away = ["--participation", "0.8", "--drops", "0.4"];
    let plain = models(&away);
    assert_eq!(plain.len(), 2);
    assert!(plain.iter().all(|(model, _)| model.is_some()));
    assert_ne!(plain[0].0, plain[1].0, "a new bank's model is the others'");
    assert_eq!(plain, models(&[&away[..], &["--masks"]].concat()));
    for ((plain, _), (whole, _)) in plain.iter().zip(models(&[])) {
        assert_ne!(*plain, whole, "absent banks and lost vectors do matter");
    }
}

/// The stored file of a setting.
fn stored(out: &Path, setting: &str) -> PathBuf {
    let mut found = std::fs::read_dir(out.join("finished")).unwrap();
    let is_of = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.strip_prefix(setting)
            .is_some_and(|rest| rest.len() == "-0123456789abcdef.json".len())
    };
    found
        .find_map(|entry| Some(entry.unwrap().path()).filter(is_of))
        .unwrap()
}

// A stored outcome is changed by hand: where it comes up again, it was not made anew.
#[test]
fn finished_work_is_taken_up_again_under_equal_terms_only() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let plain = [
        "--json",
        "--settings",
        "local,federated",
        "--out",
        out.to_str().unwrap(),
    ];
    let with = |more: &[&str]| object(&arguments(dir.path(), &[&plain, more].concat()));
    let first = with(&[]);
    for setting in ["local", "federated"] {
        let path = stored(&out, setting);
        let text = std::fs::read_to_string(&path).unwrap();
        let mut finished: Finished = serde_json::from_str(&text).unwrap();
        finished.outcome.all.ap = Some(0.125);
        std::fs::write(&path, serde_json::to_string(&finished).unwrap()).unwrap();
    }
    let ap = |object: &Value, setting: &str| object["settings"][setting]["ap"].clone();
    let again = with(&["--masks"]);
    assert_eq!(
        (ap(&again, "local"), ap(&again, "federated")),
        (json!(0.125), json!(0.125))
    );
    let other = with(&["--bits", "8"]);
    assert_eq!(
        ap(&other, "local"),
        json!(0.125),
        "a bank alone rounds nothing"
    );
    assert_ne!(ap(&other, "federated"), json!(0.125));
    std::fs::remove_file(stored(&out, "local")).unwrap();
    assert_eq!(ap(&with(&[]), "local"), ap(&first, "local"));
}

// The processor is not said, so that finished work of runs that had no choice counts.
#[test]
fn what_was_learnt_on_a_gpu_is_kept_apart() {
    let dir = tempfile::tempdir().unwrap();
    let of = |setting, more: &[&str]| {
        let args = arguments(dir.path(), more);
        let weeks = weeks(&args, &feed(&args));
        args::terms_of(&args, &json!({}), (setting, 1, &weeks[0], 1.0))
    };
    let (cpu, cuda) = (["--device", "cpu"], ["--device", "cuda"]);
    for setting in Setting::ALL {
        let plain = of(setting, &[]);
        assert!(plain.get("device").is_none() && plain == of(setting, &cpu));
        // The ratio trains nothing.
        assert_eq!(plain == of(setting, &cuda), setting == Setting::Ratio);
    }
    let words = "learn --banks 4 --data feed --map map --device tpu";
    let refused = Cli::try_parse_from(words.split(' ')).err();
    let error = refused.map(|error| error.to_string()).unwrap_or_default();
    assert!(error.contains("expected cpu or cuda"), "{error}");
}

#[test]
fn results_are_left_as_parquet_and_as_a_page_without_assets() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let args = [
        "--out",
        out.to_str().unwrap(),
        "--labels",
        "1.0,0.3",
        "--settings",
    ];
    let args = arguments(
        dir.path(),
        &[&args[..], &["local,federated,ratio"]].concat(),
    );
    learn(&args, &mut Vec::new()).unwrap();
    let file = File::open(out.join("results.parquet")).unwrap();
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file);
    let batches = reader.unwrap().build().unwrap().map(Result::unwrap);
    // Two settings twice and one once; all together and four banks each.
    assert_eq!(batches.map(|batch| batch.num_rows()).sum::<usize>(), 5 * 5);
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert_eq!(page.matches("<svg").count(), 5);
    assert_eq!(
        page.matches("http").count(),
        page.matches("http://www.w3.org/2000/svg").count()
    );
    assert!(!page.contains("src=") && page.contains("Few labels"));
}

#[test]
fn every_split_gives_every_customer_one_bank_and_every_bank_customers() {
    let dir = tempfile::tempdir().unwrap();
    for split in ["iid", "region", "spend", "typology"] {
        let args = arguments(dir.path(), &["--split", split]);
        let feed = feed(&args);
        let deal = Deal {
            split: args.banks.split,
            banks: 4,
            regional: 1.0,
            table: None,
        };
        let banks = split::banks_of(&feed, deal, 1).unwrap();
        assert_eq!(banks.len(), CUSTOMERS as usize, "{split}");
        let mut sizes = [0; 4];
        banks.iter().for_each(|&bank| sizes[usize::from(bank)] += 1);
        assert_eq!(banks, split::banks_of(&feed, deal, 1).unwrap());
        match args.banks.split {
            Split::Iid | Split::Typology => assert_eq!(sizes, [15; 4], "{split}"),
            Split::Region | Split::Spend => {
                assert!(
                    sizes.is_sorted_by(|a, b| a > b) && sizes[3] >= 1,
                    "{split} {sizes:?}"
                );
            }
            Split::Column => unreachable!("it is not in the list"),
        }
    }
}

/// Share of the pairs of customers at one bank that live in one town.
fn neighbours(feed: &Feed, banks: &[u16]) -> f64 {
    let mut towns = vec![[0; 20]; banks.len()];
    let mut outlets = BTreeMap::new();
    for payment in &feed.payments {
        let next = outlets.len();
        let outlet = *outlets.entry(payment.outlet).or_insert(next);
        towns[payment.customer as usize][outlet] += 1;
    }
    let alike = |a: usize, b: usize| {
        let both = towns[a]
            .iter()
            .zip(&towns[b])
            .filter(|(a, b)| **a > 5 && **b > 5);
        both.count() > 2
    };
    let all = || (0..banks.len()).flat_map(|a| (0..a).map(move |b| (a, b)));
    let own: Vec<_> = all().filter(|&(a, b)| banks[a] == banks[b]).collect();
    own.iter().filter(|&&(a, b)| alike(a, b)).count() as f64 / own.len() as f64
}

#[test]
fn a_region_is_made_of_neighbours() {
    let dir = tempfile::tempdir().unwrap();
    let args = arguments(dir.path(), &["--split", "region"]);
    let feed = feed(&args);
    let deal = |split, regional| Deal {
        split,
        banks: 4,
        regional,
        table: None,
    };
    let share = |split, regional| {
        neighbours(
            &feed,
            &split::banks_of(&feed, deal(split, regional), 1).unwrap(),
        )
    };
    let (region, half, random) = (
        share(Split::Region, 1.0),
        share(Split::Region, 0.5),
        share(Split::Iid, 1.0),
    );
    assert!(region > 2.0 * random, "{region} {half} {random}");
    assert!(region > half && half > random, "{region} {half} {random}");
}

#[test]
fn a_new_bank_has_no_labels_anywhere() {
    let dir = tempfile::tempdir().unwrap();
    let days = "--train-days 7 --delay 7 --test-days 7 --pretrain-days 28";
    let days: Vec<&str> = days.split(' ').collect();
    let args = arguments(dir.path(), &[&["--split", "typology"], &days[..]].concat());
    let risky = |newcomers| {
        let feed = feed(&args);
        let weeks = weeks(&args, &feed);
        let ground = ground(args.masks(), feed, FeatureSchema::standard(), &weeks).unwrap();
        let deal = Deal {
            split: Split::Typology,
            banks: 4,
            regional: 1.0,
            table: None,
        };
        let consortium = Consortium::new(&ground, deal, newcomers, 1).unwrap();
        let books = consortium.with_newcomers().unwrap();
        let rows = books[3].rows(&ground.feed, &weeks[0].test(), |_| 0.0);
        let column = ground.schema.position("own_frauds_21d").unwrap();
        (0..rows.len())
            .filter(|&row| rows.row(row)[column] > 0.0)
            .count()
    };
    assert!(risky(0) > 0);
    assert_eq!(risky(1), 0);
}

/// A schema that reads an extra and tells parties apart.
const OTHER: &str = r#"
language = 1
groups = ["amount", "size"]
[fields]
"ext.size" = "number"
[[feature]]
kind = "amount"
group = "amount"
[[feature]]
kind = "number"
name = "size"
group = "size"
field = "ext.size"
transform = "log"
missing = "flag"
[[feature]]
kind = "windows"
of = "merchant"
lengths = ["1d"]
"#;

#[test]
fn a_payment_is_encoded_as_its_transaction_is_by_every_schema() {
    encoded_alike(FeatureSchema::standard());
    encoded_alike(FeatureSchema::parse(OTHER).unwrap());
}

fn encoded_alike(schema: FeatureSchema) {
    let dir = tempfile::tempdir().unwrap();
    let args = arguments(dir.path(), &[]);
    let map = FeedMap::parse(MAP).unwrap();
    let feed = read(&args, &map, &schema).unwrap();
    let days = FIRST_DAY as i32..FIRST_DAY as i32 + 60;
    let encoding = Encoding {
        table: None,
        reports: Reports::Known,
        delay: 7,
        days: days.clone(),
    };
    let book = book::Book::encode(&feed, &schema, &encoding, |_| true).unwrap();
    let rows = book.rows(&feed, &days, |_| f32::NAN);
    let source = features::Source::File(File::open(&args.banks.data).unwrap());
    let key = token_key(None).unwrap();
    let read = features::read(&map, &key, source);
    let mut read: Vec<_> = read.map(Result::unwrap).collect();
    read.sort_by_key(|row| row.transaction.ts);
    let settings = features::RiskSettings::default();
    let mut encoder = features::FeatureEncoder::new(schema, settings);
    assert_eq!(rows.len(), read.len());
    let first = encoder.schema().position("amount").unwrap();
    assert!((0..rows.len()).any(|at| rows.row(at)[first] != rows.row(0)[first]));
    for (at, row) in read.iter().enumerate() {
        let vector = encoder.encode(&row.transaction);
        encoder.add_label(&row.transaction, row.label.as_ref().unwrap());
        assert_eq!(rows.row(at), vector.0, "payment {at}");
    }
}

#[test]
fn what_cannot_be_is_refused_with_what_was_found() {
    let dir = tempfile::tempdir().unwrap();
    let refusal = |more: &[&str]| {
        let args = arguments(dir.path(), more);
        learn(&args, &mut Vec::new()).unwrap_err().to_string()
    };
    assert!(refusal(&["--labels", "1.5"]).contains("found 1.5 as --labels"));
    assert!(refusal(&["--new-banks", "2"]).contains("found 2 new banks of 4"));
    assert!(refusal(&["--split", "column"]).contains("come together"));
    assert!(refusal(&["--server", "newton"]).contains("a head of 64, expected --head 0"));
    if !model::Device::Cuda.is_available() {
        assert!(refusal(&["--device", "cuda"]).contains("found no CUDA device"));
    }
    assert!(refusal(&["--train-day", "17000"]).contains("from day 17000"));
    let column = refusal(&["--split", "column", "--column", "customer"]);
    assert!(
        column.contains("names 60 banks, expected --banks 4"),
        "{column}"
    );
}

/// The federation's pretraining alone: what is finished of it.
fn pretrained(args: Args, out: &Path) -> Finished {
    let mut args = Args {
        settings: vec![Setting::Unsupervised],
        out: Some(out.to_owned()),
        ..args
    };
    (args.learning.pretrain_rounds, args.learning.pretrain_steps) = (12, 10);
    compare(&args).unwrap();
    let path = stored(out, Setting::Unsupervised.name());
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

// Two rows a step make a loss that goes up as often as down.
#[test]
fn impatient_banks_end_their_pretraining_by_the_held_out_loss() {
    let dir = tempfile::tempdir().unwrap();
    let rounds = 200;
    let of = |setting: Setting, patience: Option<u32>| {
        let out = dir.path().join(format!("{setting:?} {patience:?}"));
        let mut args = Args {
            settings: vec![setting],
            out: Some(out.clone()),
            ..arguments(dir.path(), &[])
        };
        (args.learning.pretrain_rounds, args.learning.pretrain_steps) = (rounds, 1);
        (args.learning.batch, args.learning.patience) = (2, patience);
        compare(&args).unwrap();
        let text = std::fs::read(stored(&out, setting.name())).unwrap();
        serde_json::from_slice::<Finished>(&text).unwrap()
    };
    let (all, some) = (
        of(Setting::Unsupervised, None),
        of(Setting::Unsupervised, Some(1)),
    );
    let (losses, fewer) = (&all.outcome.losses, &some.outcome.losses);
    assert_eq!(losses.len(), rounds as usize);
    assert!((3..losses.len()).contains(&fewer.len()), "{fewer:?}");
    assert_eq!(fewer[..], losses[..fewer.len()]);
    assert_ne!(some.outcome.all, all.outcome.all);
    assert!(all.terms["recipe"].get("patience").is_none());
    assert_eq!(some.terms["recipe"]["patience"], 1);
    let (all, some) = (of(Setting::Local, None), of(Setting::Local, Some(1)));
    assert_ne!(some.outcome.all, all.outcome.all);
    let words = "learn --banks 4 --data feed --map map --patience 1 --no-pretraining";
    assert!(Cli::try_parse_from(words.split(' ')).is_err());
}

#[test]
fn a_run_may_start_from_the_encoder_that_another_one_kept() {
    let dir = tempfile::tempdir().unwrap();
    let encoder = dir.path().join("encoder");
    let folder = encoder.to_str().unwrap();
    let keeping = arguments(dir.path(), &["--save-encoder", folder]);
    let cold = pretrained(keeping, &dir.path().join("cold"));
    let started = arguments(dir.path(), &["--warm-start", folder]);
    let warm = pretrained(started, &dir.path().join("warm"));
    let (first, later) = (cold.outcome.losses[0], warm.outcome.losses[0]);
    assert!(
        later < first,
        "{later} of a learnt encoder, {first} of none"
    );
    assert!(cold.terms["warm_start"].is_null());
    let kept = model::Checkpoint::load(&FeatureSchema::standard(), &encoder).unwrap();
    let root = protocol::genesis::model_root(&kept.parameters);
    assert_eq!(warm.terms["warm_start"], root.to_hex());

    let narrow = arguments(dir.path(), &["--warm-start", folder, "--width", "8"]);
    let refusal = learn(&narrow, &mut Vec::new()).unwrap_err().to_string();
    let expected = "--warm-start";
    assert!(
        refusal.contains(expected) && refusal.contains("expected 8 and"),
        "{refusal}"
    );
}

// A pooled model and one of a bank alone take the encoder too, and a head of their own.
#[test]
fn what_is_started_from_is_the_encoder_and_no_head() {
    let (schema, size) = (FeatureSchema::standard(), model::NetworkSize::default());
    let dir = tempfile::tempdir().unwrap();
    let parameters = vec![0.25; model::parameters::count(&model::layout(&schema, size))];
    warm::save(dir.path(), &schema, size, &parameters).unwrap();
    let release = warm::load(dir.path(), &schema, size).unwrap();
    let model = warm::on(recipe::model_terms(&schema, size, 1), &release);
    let first = release.first(&model).unwrap();
    let mut at = 0;
    for tensor in model::layout(&schema, size) {
        let values = &first[at..][..tensor.count()];
        let is_taken = values.iter().all(|&value| value == 0.25);
        assert_eq!(
            is_taken,
            tensor.part != model::Part::Head,
            "{}",
            tensor.name
        );
        at += tensor.count();
    }
}
