//! The report as one HTML file without any outside asset: the table, the plots, and what other
//! terms came to in the same folder. The page is `templates/learn.html`, the plots are
//! `report/plots.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use askama::Template;
use serde_json::Value;

use super::Failed;
use super::setting::Setting;
use super::store::Finished;
use super::summary::{About, Spread, TITLES, Trial, by_bank, cell, settings, spreads};

mod plots;

use plots::{Bars, Group, Lines, Series};

/// Writes the report of a run; `others` are the federated settings of all terms in its folder.
pub(super) fn write(
    path: &Path,
    about: &About,
    trials: &[Trial],
    others: &[Finished],
) -> Result<(), Failed> {
    let page = Page::new(about, trials, others)?;
    std::fs::write(path, page.render()?)
        .map_err(|error| format!("{}: {error}", path.display()).into())
}

#[derive(Template)]
#[template(path = "learn.html")]
struct Page<'a> {
    about: &'a About,
    seconds: f64,
    titles: [&'static str; 6],
    tables: Vec<Table>,
    figures: Vec<Figure>,
    ablations: Vec<Ablation>,
}

/// The settings at one share of labels.
struct Table {
    labels: f64,
    rows: Vec<Row>,
}

struct Row {
    name: &'static str,
    cells: Vec<String>,
}

struct Figure {
    title: &'static str,
    note: &'static str,
    key: Vec<(&'static str, &'static str)>,
    svg: String,
}

/// What a federation under some terms came to.
struct Ablation {
    terms: String,
    runs: usize,
    ap: String,
    bank_mean: String,
}

impl<'a> Page<'a> {
    fn new(about: &'a About, trials: &[Trial], others: &[Finished]) -> Result<Self, Failed> {
        let row = |labels: f64| {
            move |setting: Setting| Row {
                name: setting.title(),
                cells: spreads(trials, labels, setting).map(cell).to_vec(),
            }
        };
        let table = |&labels: &f64| Table {
            labels,
            rows: settings(trials).into_iter().map(row(labels)).collect(),
        };
        let labels = about.labels.first().copied().unwrap_or(1.0);
        let mut figures = vec![all(trials, labels)?, per_bank(trials, labels)?];
        if about.labels.len() > 1 {
            figures.push(fractions(about, trials)?);
        }
        figures.push(curves(trials, labels)?);
        figures.push(losses(trials, labels)?);
        Ok(Self {
            about,
            seconds: trials.iter().map(|trial| trial.seconds).sum(),
            titles: TITLES,
            tables: about.labels.iter().map(table).collect(),
            figures,
            ablations: ablations(others),
        })
    }
}

/// Average precision of every setting.
fn all(trials: &[Trial], labels: f64) -> Result<Figure, Failed> {
    let bar = |setting: Setting| Group {
        name: setting.title().to_owned(),
        bars: vec![(plots::color(setting), spreads(trials, labels, setting)[1])],
    };
    let groups = settings(trials).into_iter().map(bar).collect();
    Ok(Figure {
        title: "All payments together",
        note: "Average precision of all banks' judged payments, ranked together. Lines: one \
               standard deviation over seeds and weeks.",
        key: Vec::new(),
        svg: Bars { groups }.draw()?,
    })
}

fn per_bank(trials: &[Trial], labels: f64) -> Result<Figure, Failed> {
    let shown = shown(trials);
    let of_setting: Vec<BTreeMap<u16, Spread>> = shown
        .iter()
        .map(|&setting| by_bank(trials, labels, setting))
        .collect();
    let banks: BTreeSet<u16> = of_setting
        .iter()
        .flat_map(BTreeMap::keys)
        .copied()
        .collect();
    let group = |bank: u16| Group {
        name: format!("bank {}", bank + 1),
        bars: shown
            .iter()
            .zip(&of_setting)
            .map(|(&setting, banks)| (plots::color(setting), banks.get(&bank).copied()))
            .collect(),
    };
    Ok(Figure {
        title: "Bank by bank",
        note: "Average precision of each bank's own judged payments.",
        key: key(&shown),
        svg: Bars {
            groups: banks.into_iter().map(group).collect(),
        }
        .draw()?,
    })
}

/// Average precision by the share of customers that have labels.
fn fractions(about: &About, trials: &[Trial]) -> Result<Figure, Failed> {
    let shown = shown(trials);
    let mut labels = about.labels.clone();
    labels.sort_by(f64::total_cmp);
    let group = |&labels: &f64| Group {
        name: format!("{:.3} %", 100.0 * labels).replace(".000", ""),
        bars: shown
            .iter()
            .map(|&setting| (plots::color(setting), spreads(trials, labels, setting)[1]))
            .collect(),
    };
    Ok(Figure {
        title: "Few labels",
        note: "Average precision of all payments, by the share of customers that have labels.",
        key: key(&shown),
        svg: Bars {
            groups: labels.iter().map(group).collect(),
        }
        .draw()?,
    })
}

/// Precision and recall of the first seed and week.
fn curves(trials: &[Trial], labels: f64) -> Result<Figure, Failed> {
    let shown = settings(trials);
    let series = shown.iter().filter_map(|&setting| {
        let of = trials
            .iter()
            .find(|trial| super::summary::is_of(trial, labels, setting))?;
        Some(Series {
            color: plots::color(setting),
            points: of.outcome.curve.clone(),
        })
    });
    Ok(Figure {
        title: "Precision and recall",
        note: "Of the first seed and week.",
        key: key(&shown),
        svg: Lines {
            names: ("recall", "precision"),
            y_range: Some((0.0, 1.0)),
            series: series.collect(),
        }
        .draw()?,
    })
}

/// Training loss of the rounds together, of every seed and week.
fn losses(trials: &[Trial], labels: f64) -> Result<Figure, Failed> {
    let is_of = |trial: &&Trial| super::summary::is_of(trial, labels, Setting::Federated);
    let points = |trial: &Trial| {
        let losses = trial.outcome.losses.iter().map(|loss| f64::from(*loss));
        (1..).map(f64::from).zip(losses).collect()
    };
    let series = trials.iter().filter(is_of).map(|trial| Series {
        color: plots::color(Setting::Federated),
        points: points(trial),
    });
    Ok(Figure {
        title: "Fine-tuning together",
        note: "Mean training loss of the banks, round by round; a line for each seed and week.",
        key: Vec::new(),
        svg: Lines {
            names: ("round", "loss"),
            y_range: None,
            series: series.collect(),
        }
        .draw()?,
    })
}

/// The settings that are compared bank by bank.
fn shown(trials: &[Trial]) -> Vec<Setting> {
    let is_compared = |setting: &Setting| match setting {
        Setting::Local | Setting::LocalSharedRisk | Setting::Federated | Setting::Pooled => true,
        Setting::Personal
        | Setting::NewBank
        | Setting::NewBankMember
        | Setting::Unsupervised
        | Setting::UnsupervisedLive
        | Setting::Ratio => false,
    };
    settings(trials).into_iter().filter(is_compared).collect()
}

fn key(settings: &[Setting]) -> Vec<(&'static str, &'static str)> {
    settings
        .iter()
        .map(|&setting| (setting.title(), plots::hex(setting)))
        .collect()
}

/// Federations by their terms, but for seed and week, which are averaged over.
fn ablations(others: &[Finished]) -> Vec<Ablation> {
    let mut of_terms: BTreeMap<String, Vec<[Option<f64>; 6]>> = BTreeMap::new();
    for finished in others {
        let measures = finished.outcome.measures();
        of_terms
            .entry(words(&finished.terms))
            .or_default()
            .push(measures);
    }
    if of_terms.len() < 2 {
        return Vec::new();
    }
    let ablation = |(terms, rows): (String, Vec<[Option<f64>; 6]>)| Ablation {
        terms,
        runs: rows.len(),
        ap: cell(Spread::new(rows.iter().filter_map(|row| row[1]))),
        bank_mean: cell(Spread::new(rows.iter().filter_map(|row| row[3]))),
    };
    of_terms.into_iter().map(ablation).collect()
}

/// The terms of a federation in words, without what all of a folder's usually share.
fn words(terms: &Value) -> String {
    let (recipe, together) = (&terms["recipe"], &terms["together"]);
    let mut words = vec![
        format!("{} banks", terms["banks"]),
        terms["split"].as_str().unwrap_or("?").to_owned(),
        format!("labels {}", terms["labels"]),
        format!("{} bits", together["bits"]),
        together["server"].as_str().unwrap_or("?").to_owned(),
        format!("{} rounds of {}", recipe["rounds"], recipe["steps"]),
    ];
    let mut add = |holds: bool, word: String| words.extend(holds.then_some(word));
    add(recipe["pretrain_rounds"] == 0, "no pretraining".to_owned());
    let patience = &recipe["patience"];
    add(!patience.is_null(), format!("patience {patience}"));
    add(terms["shared_risk"] == false, "no shared risk".to_owned());
    add(together["moments"] == "fresh", "fresh moments".to_owned());
    add(terms["device"] == "cuda", "on a GPU".to_owned());
    let size = &terms["size"];
    add(
        size.is_object(),
        format!(
            "width {}, {} frequencies, head {}",
            size["width"], size["frequencies"], size["head"]
        ),
    );
    for (name, usual) in [("participation", 1.0), ("drops", 0.0), ("proximal", 0.0)] {
        add(
            together[name] != usual,
            format!("{name} {}", together[name]),
        );
    }
    for (rate, said) in [
        (&recipe["rate"], "rate of the head"),
        (&recipe["rate_encoder"], "rate of the encoder"),
        (&together["server_rate"], "rate"),
    ] {
        add(!rate.is_null(), format!("{said} {rate}"));
    }
    words.join(", ")
}
