//! What is hoped of the results: each bar is a figure made of them and the least it should be, or
//! for what has to be met exactly, between what it should lie.

use super::figure::{Cell, Figure, cell};

/// One bar.
pub(super) struct Bar {
    /// Where it comes from: its number in the design, or a name.
    pub(super) name: &'static str,
    /// What is measured.
    pub(super) text: &'static str,
    /// The least it should be.
    pub(super) least: f64,
    /// The most it should be, where that is bounded.
    pub(super) most: Option<f64>,
    /// What it is made of.
    pub(super) figure: Figure,
}

const fn bar(name: &'static str, text: &'static str, least: f64, figure: Figure) -> Bar {
    Bar {
        name,
        text,
        least,
        most: None,
        figure,
    }
}

/// A figure of somebody else's, which has to come out alike.
const fn alike(text: &'static str, least: f64, most: f64, measure: &'static str) -> Bar {
    let found = cell(&["outside-book"], "pooled_logistic", measure);
    Bar {
        most: Some(most),
        ..bar("Q1", text, least, Figure::Of(found))
    }
}

const fn of(
    experiments: &'static [&'static str],
    setting: &'static str,
    measure: &'static str,
) -> Figure {
    Figure::Of(cell(experiments, setting, measure))
}

const fn ap(experiments: &'static [&'static str], setting: &'static str) -> Cell {
    cell(experiments, setting, "ap")
}

const fn bank_mean(experiments: &'static [&'static str], setting: &'static str) -> Cell {
    cell(experiments, setting, "bank_mean_ap")
}

const fn share(text: &'static str, experiments: &'static [&'static str]) -> Bar {
    let figure = Figure::Over(ap(experiments, "federated"), ap(experiments, "pooled"));
    bar("share", text, 0.97, figure)
}

/// The bank that gains least by taking part.
const fn least(
    text: &'static str,
    experiments: &'static [&'static str],
    labels: Option<f64>,
) -> Bar {
    let (with, alone) = (ap(experiments, "federated"), ap(experiments, "local"));
    let figure = match labels {
        Some(share) => Figure::LeastBank(with.at(share), alone.at(share)),
        None => Figure::LeastBank(with, alone),
    };
    bar("no bank loses", text, 0.0, figure)
}

/// AP of new banks without labels, less that as members.
const fn new_banks(
    text: &'static str,
    experiments: &'static [&'static str],
    labels: Option<f64>,
) -> Bar {
    let (new, member) = (
        ap(experiments, "new_bank"),
        ap(experiments, "new_bank_member"),
    );
    let figure = match labels {
        Some(share) => Figure::Less(new.at(share), member.at(share)),
        None => Figure::Less(new, member),
    };
    bar("Q7", text, -0.02, figure)
}

/// Surprise less the plain ratio.
const fn unlabelled(
    text: &'static str,
    experiments: &'static [&'static str],
    measure: &'static str,
) -> Bar {
    let figure = Figure::Less(
        cell(experiments, "unsupervised", measure),
        cell(experiments, "ratio", measure),
    );
    bar("Q10", text, 0.0, figure)
}

const IID_10: &[&str] = &["handbook-iid-10"];
const IID_5: &[&str] = &["handbook-iid-5"];
const MIX_10: &[&str] = &["handbook-mix-10"];
const REGION_10: &[&str] = &["handbook-region-10"];
const ALONE: &[&str] = &["handbook-alone"];
const AUGUST: &[&str] = &["handbook-alone-august"];
const WEEKS: &[&str] = &["handbook-weeks"];
const LABELS: &[&str] = &["handbook-labels"];
const SPARKOV: &[&str] = &["sparkov-5"];
const SPARKOV_SCRATCH: &[&str] = &["sparkov-5-scratch"];
const FEW: &[&str] = &["sparkov-5-few"];
const UNTRENDED: &[&str] = &["sparkov-untrended"];
const TYPOLOGIES: &[&str] = &["typology-1", "typology-2", "typology-3"];

/// Every bar, in the order of the page.
pub(super) const BARS: &[Bar] = &[
    share("federated AP over pooled AP, ten banks at random", IID_10),
    share("federated AP over pooled AP, five banks at random", IID_5),
    share("federated AP over pooled AP, ten unlike banks", MIX_10),
    alike(
        "AUC of logistic regression, the Handbook's own features; its table has .871",
        0.869,
        0.871,
        "auc",
    ),
    alike("its AP; .606", 0.604, 0.608, "ap"),
    alike("its card precision at 100; .291", 0.289, 0.293, "cp100"),
    bar(
        "Q2",
        "AP of one bank with every customer, Handbook's first test week",
        0.685,
        of(ALONE, "local", "ap"),
    ),
    bar("Q2", "its AUC", 0.875, of(ALONE, "local", "auc")),
    bar(
        "Q2",
        "its card precision at 100",
        0.288,
        of(ALONE, "local", "cp100"),
    ),
    bar(
        "Q2",
        "its AP where training begins on 22 August",
        0.695,
        of(AUGUST, "local", "ap"),
    ),
    bar(
        "Q3",
        "pooled AP, Handbook's first test week",
        0.675,
        of(IID_10, "pooled", "ap"),
    ),
    bar(
        "Q3",
        "pooled AUC, the same",
        0.86,
        of(IID_10, "pooled", "auc"),
    ),
    bar(
        "Q3",
        "pooled card precision at 100, the same",
        0.28,
        of(IID_10, "pooled", "cp100"),
    ),
    bar(
        "Q4",
        "federated AP, ten unlike banks",
        0.64,
        of(MIX_10, "federated", "ap"),
    ),
    bar(
        "Q4",
        "mean AP of the banks, the same",
        0.63,
        of(MIX_10, "federated", "bank_mean_ap"),
    ),
    bar(
        "Q4",
        "AP of the worst bank, the same",
        0.40,
        of(MIX_10, "federated", "worst_bank_ap"),
    ),
    bar(
        "Q5",
        "bank mean AP, federated less local",
        0.15,
        Figure::Less(bank_mean(MIX_10, "federated"), bank_mean(MIX_10, "local")),
    ),
    bar(
        "Q5",
        "the same less boosted trees of each bank, which read everybody's risk counts",
        0.03,
        Figure::Less(
            bank_mean(MIX_10, "federated"),
            bank_mean(&["outside-mix-10"], "local"),
        ),
    ),
    bar(
        "weeks",
        "federated AP, ten banks at random, four test weeks",
        0.65,
        of(WEEKS, "federated", "ap"),
    ),
    bar(
        "weeks",
        "its card precision at 100",
        0.29,
        of(WEEKS, "federated", "cp100"),
    ),
    bar(
        "weeks",
        "mean AP of the banks, the same",
        0.60,
        of(WEEKS, "federated", "bank_mean_ap"),
    ),
    bar(
        "weeks",
        "pooled AP, four test weeks",
        0.675,
        of(WEEKS, "pooled", "ap"),
    ),
    bar(
        "weeks",
        "its card precision at 100",
        0.30,
        of(WEEKS, "pooled", "cp100"),
    ),
    bar("weeks", "its AUC", 0.87, of(WEEKS, "pooled", "auc")),
    bar(
        "few labels",
        "federated AP, ten banks at random, labels of a tenth",
        0.55,
        Figure::Of(ap(LABELS, "federated").at(0.1)),
    ),
    bar(
        "few labels",
        "the same by a linear head, the terms for few labels there",
        0.55,
        Figure::Of(ap(&["handbook-few"], "federated").at(0.1)),
    ),
    bar(
        "few labels",
        "the same head by Newton's method",
        0.55,
        Figure::Of(ap(&["handbook-newton"], "federated").at(0.1)),
    ),
    bar(
        "few labels",
        "the same after three rounds",
        0.55,
        Figure::Of(ap(&["handbook-newton-few"], "federated").at(0.1)),
    ),
    least(
        "AP of the bank that gains least, federated less local: ten unlike banks",
        MIX_10,
        None,
    ),
    bar(
        "no bank loses",
        "the same with personal heads",
        0.0,
        Figure::LeastBank(ap(MIX_10, "personal"), ap(MIX_10, "local")),
    ),
    least("ten banks at random", IID_10, None),
    least("five banks at random", IID_5, None),
    least("ten banks by region", REGION_10, None),
    least("Sparkov", SPARKOV, None),
    least("Sparkov, 10 % labels", SPARKOV, Some(0.1)),
    least("Sparkov, 5 % labels", SPARKOV, Some(0.05)),
    least("single payments of seed 1", &["typology-1"], None),
    least("single payments of seed 2", &["typology-2"], None),
    least("single payments of seed 3", &["typology-3"], None),
    bar(
        "Q6",
        "federated AP, shared risk less own risk, ten unlike banks",
        0.15,
        Figure::Less(
            ap(MIX_10, "federated"),
            ap(&["handbook-own-risk"], "federated"),
        ),
    ),
    bar(
        "Q6",
        "the same, ten banks at random",
        0.20,
        Figure::Less(
            ap(IID_10, "federated"),
            ap(&["handbook-own-risk-iid"], "federated"),
        ),
    ),
    new_banks(
        "AP of new banks without labels less that as members: ten banks at random",
        IID_10,
        None,
    ),
    new_banks("five banks at random", IID_5, None),
    new_banks("ten unlike banks, three draws", MIX_10, None),
    new_banks("ten unlike banks, ten draws", &["handbook-new-banks"], None),
    new_banks("ten banks by region", REGION_10, None),
    new_banks("Sparkov", SPARKOV, None),
    new_banks("Sparkov, 10 % labels", SPARKOV, Some(0.1)),
    new_banks("Sparkov, 5 % labels", SPARKOV, Some(0.05)),
    bar(
        "Q8",
        "AP at 16 bits less AP at 20 bits",
        -0.005,
        Figure::Less(
            ap(MIX_10, "federated"),
            ap(&["handbook-20-bits"], "federated"),
        ),
    ),
    bar(
        "Q9",
        "Sparkov, 10 % labels: pooled AP, pretrained less scratch",
        0.05,
        Figure::Less(
            ap(SPARKOV, "pooled").at(0.1),
            ap(SPARKOV_SCRATCH, "pooled").at(0.1),
        ),
    ),
    bar(
        "Q9",
        "the same, pretrained less boosted trees",
        0.08,
        Figure::Less(
            ap(SPARKOV, "pooled").at(0.1),
            ap(&["outside-sparkov-5"], "pooled").at(0.1),
        ),
    ),
    bar(
        "Q9b",
        "Sparkov, 5 % labels: federated AP, pretrained less scratch",
        0.03,
        Figure::Less(
            ap(SPARKOV, "federated").at(0.05),
            ap(SPARKOV_SCRATCH, "federated").at(0.05),
        ),
    ),
    bar(
        "Q9b",
        "Sparkov, 5 % labels: bank mean AP, federated",
        0.85,
        Figure::Of(bank_mean(SPARKOV, "federated").at(0.05)),
    ),
    bar(
        "Q9b",
        "the same by the terms for few labels",
        0.85,
        Figure::Of(bank_mean(FEW, "federated").at(0.05)),
    ),
    bar(
        "Q9b",
        "Sparkov, 5 % labels, terms for few labels: federated AP, pretrained less scratch",
        0.03,
        Figure::Less(
            ap(FEW, "federated").at(0.05),
            ap(&["sparkov-5-few-scratch"], "federated").at(0.05),
        ),
    ),
    bar(
        "January",
        "Sparkov: federated AP of January, when traffic drops, less December's",
        -0.02,
        Figure::Less(
            ap(SPARKOV, "federated"),
            ap(&["sparkov-december"], "federated"),
        ),
    ),
    bar(
        "January",
        "the same, 10 % labels",
        -0.02,
        Figure::Less(
            ap(SPARKOV, "federated").at(0.1),
            ap(&["sparkov-december"], "federated").at(0.1),
        ),
    ),
    bar(
        "January",
        "its AP, trended less untrended, in standard deviations of that over seeds",
        1.0,
        Figure::InSpreads(ap(SPARKOV, "federated"), ap(UNTRENDED, "federated")),
    ),
    bar(
        "January",
        "the same, 10 % labels",
        1.0,
        Figure::InSpreads(
            ap(SPARKOV, "federated").at(0.1),
            ap(UNTRENDED, "federated").at(0.1),
        ),
    ),
    unlabelled(
        "AUC without labels, surprise less the plain ratio",
        IID_10,
        "auc",
    ),
    unlabelled("AP, the same", IID_10, "ap"),
    unlabelled("card precision at 100, the same", IID_10, "cp100"),
    unlabelled(
        "AUC of scenarios 1 and 3, the same",
        &["handbook-scenarios-1-3"],
        "auc",
    ),
    unlabelled("Sparkov: AUC, the same", SPARKOV, "auc"),
    unlabelled("Sparkov: AP, the same", SPARKOV, "ap"),
    bar(
        "Q11",
        "pooled AP, with periodic embedding less without",
        0.015,
        Figure::Less(
            ap(IID_10, "pooled"),
            ap(&["handbook-plain-columns"], "pooled"),
        ),
    ),
    bar(
        "warm start",
        "federated AP after five rounds of pretraining, from an earlier encoder less from nothing",
        0.0,
        Figure::Less(
            ap(&["handbook-warm-5"], "federated"),
            ap(&["handbook-cold-5"], "federated"),
        ),
    ),
    bar(
        "typologies",
        "mean F1 of the banks, federated, three sets of data",
        0.925,
        of(TYPOLOGIES, "federated", "f1"),
    ),
    bar(
        "typologies",
        "F1, federated less local",
        0.0,
        Figure::Less(
            cell(TYPOLOGIES, "federated", "f1"),
            cell(TYPOLOGIES, "local", "f1"),
        ),
    ),
];
