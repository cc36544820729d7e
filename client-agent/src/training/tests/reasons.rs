//! Reasons of a trained model over encoded payments: whatever the payment, what is told of its
//! logit adds up to it.

use std::fs::File;
use std::path::Path;

use features::{FeatureSchema, Source, Transaction};
use host::disk::Store;
use host::shutdown::Shutdown;
use host::telemetry::Telemetry;
use model::{Calibration, Scorer, Usual};
use serde_json::json;

use super::parity::{SINGLE, singles, trained};
use super::*;
use crate::config::HistoryConfig;
use crate::history::{Feed, tests as cards};
use crate::journal::Journal;
use crate::scoring::tests::policy;
use crate::scoring::{Answer, AnswerAfter, Bundle, Scoring, Settings};

/// What the sum may be off by, as `docs/policy.md` says.
const OFF_MAX: f32 = 1e-4;

/// Payments of these days are scored; the week before is trained on.
const SCORED: Range<u32> = 17_017..17_025;

#[test]
fn reasons_of_cards_with_histories_add_up_to_the_logit() {
    let folder = tempfile::tempdir().unwrap();
    let feed = cards::write(folder.path(), 25, 60);
    add_up(folder.path(), &feed, &FeatureSchema::standard());
}

#[test]
fn reasons_of_single_payments_add_up_to_the_logit() {
    let folder = tempfile::tempdir().unwrap();
    let feed = singles(folder.path(), 25, 60);
    add_up(folder.path(), &feed, &FeatureSchema::parse(SINGLE).unwrap());
}

fn add_up(folder: &Path, feed: &HistoryConfig, schema: &FeatureSchema) {
    model::threads(1);
    let past = HistoryConfig {
        days: i32::MIN..SCORED.start as i32,
        ..feed.clone()
    };
    let (history, encoder) = History::load(&past, schema, &Shutdown::default()).unwrap();
    let (parameters, size) = trained(history, schema, SCORED.start - 7);
    let scorer = Scorer::new(schema, size, &parameters, Calibration::default()).unwrap();
    let store = Store::open(&folder.join("store")).unwrap();
    let settings = Settings {
        policy: policy(&[]),
        queue_max: 64,
        answer_after: AnswerAfter::Flush,
    };
    let (journal, telemetry) = (Journal::open(&store).unwrap(), Telemetry::default());
    let scoring = Scoring::start(settings, encoder, journal, &telemetry).unwrap();
    let bundle = Bundle {
        slot: Slot::Live,
        head: Head::Federation,
        version: 1,
        parameters: Arc::new(parameters),
        digest: [1; 32],
        size,
        calibration: Calibration::default(),
        // Surprises come among the reasons, and weigh nothing.
        usual: Some(Usual::new(schema.groups().len())),
    };
    scoring.install(bundle).unwrap();
    let answers: Vec<Answer> = payments(feed)
        .iter()
        .map(|payment| {
            let body = json!({ "txn": payment }).to_string();
            scoring.score(body.as_bytes()).unwrap()
        })
        .collect();
    drop(scoring);

    assert_eq!(answers.len(), 480);
    let journal = Journal::open(&store).unwrap();
    let (mut told, mut lowered) = (0, 0);
    for answer in &answers {
        let logit = answer.logit.unwrap();
        let row = journal.find(&answer.txn_id).unwrap().unwrap().vector;
        let whole = scorer.attribution(&row).unwrap();
        let shares: f32 = whole.groups.iter().map(|(_, share)| share).sum();
        assert!((whole.base + shares - logit).abs() < OFF_MAX, "{answer:?}");

        let beside = answer.remainder.unwrap();
        let weights = answer.reasons.iter().filter_map(|reason| reason.weight);
        let weights: Vec<f32> = weights.collect();
        let sum = beside.base + beside.rest + weights.iter().sum::<f32>();
        assert!((sum - logit).abs() < OFF_MAX, "{sum} {answer:?}");
        assert_eq!(beside.base, whole.base);
        told += weights.iter().filter(|weight| **weight > 0.01).count();
        lowered += usize::from(beside.rest < -0.01);
    }
    // A model that says the same of every payment would add up whatever is counted.
    assert!(told > answers.len() / 2 && lowered > 0, "{told} {lowered}");
}

/// The feed's payments of the days that are scored, in their order.
fn payments(feed: &HistoryConfig) -> Vec<Transaction> {
    let file = File::open(&feed.file).unwrap();
    let read = Feed::open(&feed.map, &feed.token_key, &feed.file).unwrap();
    let rows = read.rows(Source::File(file));
    let payments = rows.map(|row| row.unwrap().transaction);
    let is_scored = |payment: &Transaction| SCORED.contains(&(payment.day() as u32));
    payments.filter(is_scored).collect()
}
