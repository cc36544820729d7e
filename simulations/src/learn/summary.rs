//! Means and spreads over seeds and weeks, as a table for people and as one JSON object.

use std::collections::BTreeMap;
use std::io::Write;

use serde_json::{Map, Value, json};

use super::measures::{NAMES, Outcome};
use super::setting::Setting;

/// One finished setting of a run.
#[derive(Clone, Debug)]
pub(super) struct Trial {
    pub(super) seed: u64,
    /// First day of training.
    pub(super) train_from: i32,
    /// Share of customers with labels.
    pub(super) labels: f64,
    pub(super) setting: Setting,
    pub(super) outcome: Outcome,
    pub(super) seconds: f64,
}

/// What a run was about.
#[derive(Clone, Debug)]
pub(super) struct About {
    pub(super) dataset: String,
    pub(super) banks: u16,
    pub(super) split: String,
    pub(super) seeds: u16,
    pub(super) weeks: u16,
    /// Shares of customers with labels; the first is the one that the object is about.
    pub(super) labels: Vec<f64>,
}

/// Mean and sample standard deviation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    pub(super) mean: f64,
    pub(super) deviation: f64,
}

impl Spread {
    /// Of the values that are there; none where none are. One value deviates by nothing.
    pub(super) fn new(values: impl Iterator<Item = f64>) -> Option<Self> {
        let values: Vec<f64> = values.collect();
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares = values
            .iter()
            .map(|value| (value - mean).powi(2))
            .sum::<f64>();
        (!values.is_empty()).then(|| Self {
            mean,
            deviation: (squares / (count - 1.0).max(1.0)).sqrt(),
        })
    }
}

/// The measures of one setting over all seeds and weeks, in the order of [`NAMES`].
pub(super) fn spreads(trials: &[Trial], labels: f64, setting: Setting) -> [Option<Spread>; 6] {
    let of = trials.iter().filter(|trial| is_of(trial, labels, setting));
    let rows: Vec<[Option<f64>; 6]> = of.map(|trial| trial.outcome.measures()).collect();
    std::array::from_fn(|at| Spread::new(rows.iter().filter_map(|row| row[at])))
}

/// Whether a trial is of a setting, where this share has labels: settings without labels are
/// the same for every share.
pub(super) fn is_of(trial: &Trial, labels: f64, setting: Setting) -> bool {
    trial.setting == setting && (!setting.is_labelled() || trial.labels == labels)
}

/// Settings of which there are trials, in the order of a table.
pub(super) fn settings(trials: &[Trial]) -> Vec<Setting> {
    let is_there = |setting: &Setting| trials.iter().any(|of| of.setting == *setting);
    Setting::ALL.into_iter().filter(is_there).collect()
}

/// The one object. With several shares of labels it is about the first; all are in `fractions`.
pub(super) fn object(about: &About, trials: &[Trial]) -> Value {
    let first = about.labels.first().copied().unwrap_or(1.0);
    let mut object = fraction(trials, first);
    object["dataset"] = json!(about.dataset);
    object["banks"] = json!(about.banks);
    object["split"] = json!(about.split);
    object["seeds"] = json!(about.seeds);
    object["weeks"] = json!(about.weeks);
    if about.labels.len() > 1 {
        let fractions = about.labels.iter().map(|&labels| fraction(trials, labels));
        object["fractions"] = fractions.collect();
    }
    object
}

/// What came of one share of labels.
fn fraction(trials: &[Trial], labels: f64) -> Value {
    let (means, deviations) = tables(trials, labels);
    json!({
        "labels": labels,
        "settings": means,
        "spread": deviations,
        "bank_ap": bank_aps(trials, labels),
        "by_seed": by_seed(trials, labels),
    })
}

/// Every measure by setting, one value for each week of each seed, and AP of each bank: two
/// settings of a seed have the same banks, and their difference spreads less than either.
fn by_seed(trials: &[Trial], labels: f64) -> Value {
    let of_setting = |setting: Setting| {
        let of = trials.iter().filter(|trial| is_of(trial, labels, setting));
        let of: Vec<&Outcome> = of.map(|trial| &trial.outcome).collect();
        let measures: Vec<[Option<f64>; 6]> = of.iter().map(|of| of.measures()).collect();
        let named = NAMES.iter().enumerate().map(|(at, name)| {
            let values: Vec<Option<f64>> = measures.iter().map(|row| row[at]).collect();
            ((*name).to_owned(), json!(values))
        });
        let mut values: Map<String, Value> = named.collect();
        let ap = |outcome: &&Outcome| -> Vec<Option<f64>> {
            outcome.banks.iter().map(|bank| bank.measures.ap).collect()
        };
        values.insert(
            "bank_ap".to_owned(),
            json!(of.iter().map(ap).collect::<Vec<_>>()),
        );
        (setting.name().to_owned(), Value::Object(values))
    };
    Value::Object(settings(trials).into_iter().map(of_setting).collect())
}

/// Mean average precision of every bank, in their order, by setting.
fn bank_aps(trials: &[Trial], labels: f64) -> Value {
    let of_setting = |setting: Setting| {
        let banks = by_bank(trials, labels, setting);
        let means: Vec<f64> = banks.into_values().map(|spread| spread.mean).collect();
        (setting.name().to_owned(), json!(means))
    };
    Value::Object(settings(trials).into_iter().map(of_setting).collect())
}

fn tables(trials: &[Trial], labels: f64) -> (Value, Value) {
    let (mut means, mut deviations) = (Map::new(), Map::new());
    for setting in settings(trials) {
        let spreads = spreads(trials, labels, setting);
        let row = |value: fn(Spread) -> f64| -> Value {
            let cells = NAMES.iter().zip(&spreads);
            let cells = cells.map(|(name, spread)| ((*name).to_owned(), json!(spread.map(value))));
            Value::Object(cells.collect())
        };
        means.insert(setting.name().to_owned(), row(|spread| spread.mean));
        deviations.insert(setting.name().to_owned(), row(|spread| spread.deviation));
    }
    (Value::Object(means), Value::Object(deviations))
}

/// The table for people.
pub(super) fn table(about: &About, trials: &[Trial], out: &mut impl Write) -> std::io::Result<()> {
    let About {
        dataset,
        banks,
        split,
        seeds,
        weeks,
        labels,
    } = about;
    writeln!(
        out,
        "{dataset}, {banks} banks, split {split}, {seeds} seeds, {weeks} weeks"
    )?;
    for &labels in labels {
        writeln!(out, "\nlabels of {:.0} % of the customers", 100.0 * labels)?;
        write!(out, "{:<20}", "setting")?;
        for title in TITLES {
            write!(out, " {title:>13}")?;
        }
        writeln!(out)?;
        for setting in settings(trials) {
            write!(out, "{:<20}", setting.title())?;
            for spread in spreads(trials, labels, setting) {
                write!(out, " {:>13}", cell(spread))?;
            }
            writeln!(out)?;
        }
    }
    Ok(())
}

/// A mean with its spread, or a dash.
pub(super) fn cell(spread: Option<Spread>) -> String {
    match spread {
        Some(Spread { mean, deviation }) => format!("{mean:.3} ± {deviation:.3}"),
        None => "–".to_owned(),
    }
}

/// Mean average precision of each bank in a setting, by its number.
pub(super) fn by_bank(trials: &[Trial], labels: f64, setting: Setting) -> BTreeMap<u16, Spread> {
    let mut values: BTreeMap<u16, Vec<f64>> = BTreeMap::new();
    for trial in trials.iter().filter(|of| is_of(of, labels, setting)) {
        for bank in &trial.outcome.banks {
            values
                .entry(bank.bank)
                .or_default()
                .extend(bank.measures.ap);
        }
    }
    let spread = |(bank, values): (u16, Vec<f64>)| Some((bank, Spread::new(values.into_iter())?));
    values.into_iter().filter_map(spread).collect()
}

/// Column titles of [`NAMES`].
pub(crate) const TITLES: [&str; 6] = ["AUC", "AP", "CP@100", "bank mean AP", "worst bank AP", "F1"];
