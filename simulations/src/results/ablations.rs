//! What each part brings: AP with it and without it, and the difference with its 95 % interval.

use super::figure::{Cell, Figure, cell};

/// One line of the table.
pub(super) struct Ablation {
    /// What is left out.
    pub(super) part: &'static str,
    /// Of whom.
    pub(super) of: &'static str,
    /// AP with it.
    pub(super) with: Cell,
    /// AP without it.
    pub(super) without: Cell,
}

impl Ablation {
    /// What it brings.
    pub(super) fn figure(&self) -> Figure {
        Figure::Less(self.with, self.without)
    }
}

const fn ap(experiments: &'static [&'static str], setting: &'static str) -> Cell {
    cell(experiments, setting, "ap")
}

const fn federated(experiments: &'static [&'static str]) -> Cell {
    ap(experiments, "federated")
}

const fn ablation(part: &'static str, of: &'static str, (with, without): (Cell, Cell)) -> Ablation {
    Ablation {
        part,
        of,
        with,
        without,
    }
}

/// Of ten unlike banks of the Handbook.
const fn unlike(part: &'static str, without: Cell) -> Ablation {
    ablation(part, "Handbook, unlike banks", (federated(MIX_10), without))
}

/// Of Sparkov's five banks, with every label.
const fn sparkov(part: &'static str, without: Cell) -> Ablation {
    ablation(part, "Sparkov", (federated(SPARKOV), without))
}

/// Of Sparkov's five banks, with few labels.
const fn few(part: &'static str, of: &'static str, labels: f64, without: Cell) -> Ablation {
    let with = federated(SPARKOV).at(labels);
    ablation(part, of, (with, without.at(labels)))
}

const MIX_10: &[&str] = &["handbook-mix-10"];
const IID_10: &[&str] = &["handbook-iid-10"];
const SCRATCH: &[&str] = &["handbook-scratch"];
const SPARKOV: &[&str] = &["sparkov-5"];
const SPARKOV_SCRATCH: &[&str] = &["sparkov-5-scratch"];
const UNTRENDED: &[&str] = &["sparkov-untrended"];
const TENTH: &str = "Sparkov, 10 % labels";
const TWENTIETH: &str = "Sparkov, 5 % labels";

/// Every line, in the order of the page.
pub(super) const ABLATIONS: &[Ablation] = &[
    unlike("federation", ap(MIX_10, "local")),
    unlike(
        "federation, where banks share risk counts anyway",
        ap(MIX_10, "local_shared_risk"),
    ),
    ablation(
        "federation",
        "Handbook, banks at random",
        (federated(IID_10), ap(IID_10, "local")),
    ),
    unlike("shared risk", federated(&["handbook-own-risk"])),
    ablation(
        "shared risk",
        "Handbook, banks at random",
        (federated(IID_10), federated(&["handbook-own-risk-iid"])),
    ),
    unlike("pretraining", federated(SCRATCH)),
    ablation(
        "pretraining",
        "Handbook, pooled",
        (ap(MIX_10, "pooled"), ap(SCRATCH, "pooled")),
    ),
    unlike(
        "sixteen bits instead of eight",
        federated(&["handbook-8-bits"]),
    ),
    unlike(
        "sixteen bits instead of twenty",
        federated(&["handbook-20-bits"]),
    ),
    unlike(
        "all banks in every round, none lost",
        federated(&["handbook-drops"]),
    ),
    ablation(
        "personal heads",
        "Handbook, unlike banks",
        (ap(MIX_10, "personal"), federated(MIX_10)),
    ),
    unlike(
        "moments kept between rounds",
        federated(&["handbook-fresh"]),
    ),
    unlike(
        "FedAvg instead of FedAdam",
        federated(&["handbook-fedadam"]),
    ),
    unlike("trailing means", federated(&["handbook-untrended"])),
    ablation(
        "periodic embedding",
        "Handbook, pooled",
        (
            ap(IID_10, "pooled"),
            ap(&["handbook-plain-columns"], "pooled"),
        ),
    ),
    ablation(
        "an encoder of four weeks before, five rounds of pretraining",
        "Handbook, banks at random",
        (
            federated(&["handbook-warm-5"]),
            federated(&["handbook-cold-5"]),
        ),
    ),
    ablation(
        "the same",
        "Handbook, each bank alone",
        (
            ap(&["handbook-warm-5"], "local"),
            ap(&["handbook-cold-5"], "local"),
        ),
    ),
    sparkov("federation", ap(SPARKOV, "local")),
    few("federation", TENTH, 0.1, ap(SPARKOV, "local")),
    few("federation", TWENTIETH, 0.05, ap(SPARKOV, "local")),
    sparkov("shared risk", federated(&["sparkov-5-own-risk"])),
    sparkov("pretraining", federated(SPARKOV_SCRATCH)),
    few("pretraining", TENTH, 0.1, federated(SPARKOV_SCRATCH)),
    few("pretraining", TWENTIETH, 0.05, federated(SPARKOV_SCRATCH)),
    ablation(
        "pretraining, by the terms for few labels",
        TWENTIETH,
        (
            federated(&["sparkov-5-few"]).at(0.05),
            federated(&["sparkov-5-few-scratch"]).at(0.05),
        ),
    ),
    sparkov(
        "sixteen bits instead of eight",
        federated(&["sparkov-5-8-bits"]),
    ),
    ablation(
        "personal heads",
        "Sparkov",
        (ap(SPARKOV, "personal"), federated(SPARKOV)),
    ),
    sparkov("trailing means", federated(UNTRENDED)),
    few("trailing means", TENTH, 0.1, federated(UNTRENDED)),
    ablation(
        "trailing means",
        "Sparkov, no label: surprise",
        (ap(SPARKOV, "unsupervised"), ap(UNTRENDED, "unsupervised")),
    ),
];
