//! What is hoped of the results: each bar is a figure made of them and the least it should be.

use super::Results;

/// One bar.
pub(super) struct Bar {
    /// Where it comes from: its number in the design, or a name.
    pub(super) name: &'static str,
    /// What is measured.
    pub(super) text: &'static str,
    /// The least it should be.
    pub(super) least: f64,
    /// The figure; none before the experiments were run.
    pub(super) value: fn(&Results) -> Option<f64>,
}

const fn bar(
    name: &'static str,
    text: &'static str,
    least: f64,
    value: fn(&Results) -> Option<f64>,
) -> Bar {
    Bar {
        name,
        text,
        least,
        value,
    }
}

fn ratio(results: &Results, name: &str) -> Option<f64> {
    let of = |setting| results.mean(name, setting, "ap");
    Some(of("federated")? / of("pooled")?)
}

fn gain(results: &Results, name: &str, (over, under): (&str, &str), measure: &str) -> Option<f64> {
    let of = |setting| results.mean(name, setting, measure);
    Some(of(over)? - of(under)?)
}

/// AP of the bank that gains least by a setting, less its own alone.
fn least_gain(results: &Results, name: &str, setting: &str) -> Option<f64> {
    let banks = |setting| results.bank_aps(name, setting);
    let gains = banks(setting)?.into_iter().zip(banks("local")?);
    gains.map(|(with, alone)| with - alone).reduce(f64::min)
}

/// Federated AP of an experiment less that of another.
fn brought(results: &Results, with: &str, without: &str) -> Option<f64> {
    let of = |name| results.mean(name, "federated", "ap");
    Some(of(with)? - of(without)?)
}

fn typology(results: &Results, setting: &str) -> Option<f64> {
    let names = ["typology-1", "typology-2", "typology-3"];
    let of = names.map(|name| results.mean(name, setting, "f1"));
    let known = of.into_iter().collect::<Option<Vec<f64>>>()?;
    Some(known.iter().sum::<f64>() / known.len() as f64)
}

/// Every bar, in the order of the page.
pub(super) const BARS: &[Bar] = &[
    bar(
        "share",
        "federated AP over pooled AP, ten banks at random",
        0.97,
        |of| ratio(of, "handbook-iid-10"),
    ),
    bar(
        "share",
        "federated AP over pooled AP, five banks at random",
        0.97,
        |of| ratio(of, "handbook-iid-5"),
    ),
    bar(
        "share",
        "federated AP over pooled AP, ten unlike banks",
        0.97,
        |of| ratio(of, "handbook-mix-10"),
    ),
    bar(
        "Q2",
        "AP of one bank with every customer, Handbook's first test week",
        0.685,
        |of| of.mean("handbook-alone", "local", "ap"),
    ),
    bar("Q2", "its AUC", 0.875, |of| {
        of.mean("handbook-alone", "local", "auc")
    }),
    bar("Q2", "its card precision at 100", 0.288, |of| {
        of.mean("handbook-alone", "local", "cp100")
    }),
    bar("Q3", "pooled AP, Handbook's first test week", 0.675, |of| {
        of.mean("handbook-iid-10", "pooled", "ap")
    }),
    bar("Q3", "pooled AUC, the same", 0.86, |of| {
        of.mean("handbook-iid-10", "pooled", "auc")
    }),
    bar("Q3", "pooled card precision at 100, the same", 0.28, |of| {
        of.mean("handbook-iid-10", "pooled", "cp100")
    }),
    bar("Q4", "federated AP, ten unlike banks", 0.64, |of| {
        of.mean("handbook-mix-10", "federated", "ap")
    }),
    bar("Q4", "mean AP of the banks, the same", 0.63, |of| {
        of.mean("handbook-mix-10", "federated", "bank_mean_ap")
    }),
    bar("Q4", "AP of the worst bank, the same", 0.40, |of| {
        of.mean("handbook-mix-10", "federated", "worst_bank_ap")
    }),
    bar("Q5", "bank mean AP, federated less local", 0.15, |of| {
        gain(
            of,
            "handbook-mix-10",
            ("federated", "local"),
            "bank_mean_ap",
        )
    }),
    bar(
        "no bank loses",
        "AP of the bank that gains least, federated less local, ten unlike banks",
        0.0,
        |of| least_gain(of, "handbook-mix-10", "federated"),
    ),
    bar("no bank loses", "the same with personal heads", 0.0, |of| {
        least_gain(of, "handbook-mix-10", "personal")
    }),
    bar(
        "Q6",
        "federated AP, shared risk less own risk, ten unlike banks",
        0.15,
        |of| brought(of, "handbook-mix-10", "handbook-own-risk"),
    ),
    bar("Q6", "the same, ten banks at random", 0.20, |of| {
        brought(of, "handbook-iid-10", "handbook-own-risk-iid")
    }),
    bar(
        "Q7",
        "AP of new banks without labels less that as members, at random",
        -0.02,
        |of| gain(of, "handbook-iid-10", ("new_bank", "new_bank_member"), "ap"),
    ),
    bar("Q7", "the same, unlike banks, three draws", -0.02, |of| {
        gain(of, "handbook-mix-10", ("new_bank", "new_bank_member"), "ap")
    }),
    bar("Q7", "the same, ten draws", -0.02, |of| {
        let settings = ("new_bank", "new_bank_member");
        gain(of, "handbook-new-banks", settings, "ap")
    }),
    bar("Q8", "AP at 16 bits less AP at 20 bits", -0.005, |of| {
        brought(of, "handbook-mix-10", "handbook-20-bits")
    }),
    bar(
        "Q9",
        "Sparkov, 10 % labels: pooled AP, pretrained less scratch",
        0.05,
        |of| {
            let of = |name| of.mean_at(name, 0.1, "pooled", "ap");
            Some(of("sparkov-5")? - of("sparkov-5-scratch")?)
        },
    ),
    bar(
        "Q9b",
        "Sparkov, 5 % labels: federated AP, pretrained less scratch",
        0.03,
        |of| {
            let of = |name| of.mean_at(name, 0.05, "federated", "ap");
            Some(of("sparkov-5")? - of("sparkov-5-scratch")?)
        },
    ),
    bar(
        "Q9b",
        "Sparkov, 5 % labels: bank mean AP, federated",
        0.85,
        |of| of.mean_at("sparkov-5", 0.05, "federated", "bank_mean_ap"),
    ),
    bar("Q9b", "the same by the terms for few labels", 0.85, |of| {
        of.mean_at("sparkov-5-few", 0.05, "federated", "bank_mean_ap")
    }),
    bar(
        "Q9b",
        "Sparkov, 5 % labels, terms for few labels: federated AP, pretrained less scratch",
        0.03,
        |of| {
            let of = |name| of.mean_at(name, 0.05, "federated", "ap");
            Some(of("sparkov-5-few")? - of("sparkov-5-few-scratch")?)
        },
    ),
    bar(
        "January",
        "Sparkov: federated AP of January, when traffic drops, less December's",
        -0.02,
        |of| brought(of, "sparkov-5", "sparkov-december"),
    ),
    bar(
        "Q10",
        "AUC without labels, surprise less the plain ratio",
        0.0,
        |of| gain(of, "handbook-iid-10", ("unsupervised", "ratio"), "auc"),
    ),
    bar(
        "Q11",
        "pooled AP, with periodic embedding less without",
        0.015,
        |of| {
            let of = |name| of.mean(name, "pooled", "ap");
            Some(of("handbook-iid-10")? - of("handbook-plain-columns")?)
        },
    ),
    bar(
        "typologies",
        "mean F1 of the banks, federated, three sets of data",
        0.925,
        |of| typology(of, "federated"),
    ),
    bar("typologies", "F1, federated less local", 0.0, |of| {
        Some(typology(of, "federated")? - typology(of, "local")?)
    }),
];
