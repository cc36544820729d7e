//! The experiments: each a line of `phalanx-sim learn`, with what it is to find out.

/// One line of `phalanx-sim learn`.
pub(super) struct Experiment {
    /// Its name in results.json.
    pub(super) name: &'static str,
    /// What is compared.
    pub(super) title: &'static str,
    /// The words after `phalanx-sim learn`; `{data}` and `{work}` stand for folders.
    pub(super) words: &'static str,
    /// What has to be made for it.
    pub(super) made: Option<Made>,
}

/// Something that an experiment needs and no data set has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Made {
    /// Single payments of this seed, in `{work}/typology-data-SEED`.
    Typologies(u64),
    /// The standard schema without its trailing means, `{work}/untrended.toml`.
    Untrended,
}

const fn experiment(name: &'static str, title: &'static str, words: &'static str) -> Experiment {
    Experiment {
        name,
        title,
        words,
        made: None,
    }
}

/// The Handbook's first test week and the map of its feed.
macro_rules! handbook {
    ($($more:literal),*) => {
        concat!(
            "--data {data}/handbook/transactions.parquet --map ops/config/maps/handbook.toml",
            " --train-day 17737", $(" ", $more),*
        )
    };
}

/// Sparkov-type payments with sixty labelled days before the month that is judged.
macro_rules! sparkov {
    ($($more:literal),*) => {
        concat!(
            "--data {data}/sparkov/transactions.parquet --map ops/config/maps/sparkov.toml",
            " --train-days 60 --test-days 31 --banks 5 --split iid --rounds 40",
            $(" ", $more),*
        )
    };
}

/// Single payments of banks that know two or three typologies each.
macro_rules! typology {
    ($seed:literal) => {
        concat!(
            "--data {work}/typology-data-",
            $seed,
            "/transactions.parquet",
            " --map ops/config/maps/typology.toml --schema ops/config/schemas/single-payment.toml",
            " --banks 5 --split typology --truth is_fraud --new-banks 0 --train-day 20362",
            " --train-days 75 --delay 0 --test-days 25 --pretrain-days 75 --seeds 3 --rounds 60",
            " --settings local,federated,pooled,unsupervised"
        )
    };
}

/// Every experiment, in the order of the page.
pub(super) const EXPERIMENTS: &[Experiment] = &[
    experiment(
        "handbook-iid-10",
        "Handbook, ten banks, customers dealt at random",
        handbook!("--banks 10 --split iid --rounds 40 --seeds 3"),
    ),
    experiment(
        "handbook-iid-5",
        "Handbook, five banks, customers dealt at random",
        handbook!("--banks 5 --split iid --rounds 40 --seeds 3"),
    ),
    experiment(
        "handbook-mix-10",
        "Handbook, ten banks of unlike sizes, four customers in ten by region",
        handbook!("--banks 10 --split region --regional 0.4 --rounds 40 --seeds 3"),
    ),
    experiment(
        "handbook-new-banks",
        "Handbook, the two smallest of ten unlike banks are new: ten draws",
        handbook!(
            "--banks 10 --split region --regional 0.4 --rounds 40 --seeds 10",
            "--settings new_bank,new_bank_member"
        ),
    ),
    experiment(
        "handbook-alone",
        "Handbook, one bank that has every customer: counts of merchants, not of buckets",
        handbook!("--banks 1 --split iid --rounds 80 --seeds 3 --settings local"),
    ),
    experiment(
        "handbook-region-10",
        "Handbook, ten banks of unlike sizes, all customers by region",
        handbook!("--banks 10 --split region --rounds 40 --seeds 3"),
    ),
    experiment(
        "handbook-labels",
        "Handbook, ten banks at random, labels of a tenth and of a hundredth of the customers",
        handbook!(
            "--banks 10 --split iid --rounds 40 --seeds 3 --labels 1.0,0.1,0.01",
            "--settings local,federated,pooled"
        ),
    ),
    experiment(
        "handbook-scratch",
        "Ablation: no pretraining",
        handbook!(
            "--banks 10 --split region --regional 0.4 --rounds 40 --seeds 3 --no-pretraining",
            "--settings local,federated,pooled"
        ),
    ),
    experiment(
        "handbook-own-risk",
        "Ablation: every bank counts its own risk only",
        handbook!(
            "--banks 10 --split region --regional 0.4 --rounds 40 --seeds 3 --no-shared-risk",
            "--settings federated"
        ),
    ),
    experiment(
        "handbook-own-risk-iid",
        "Ablation: every bank counts its own risk only, customers dealt at random",
        handbook!(
            "--banks 10 --split iid --rounds 40 --seeds 3 --no-shared-risk --settings federated"
        ),
    ),
    experiment(
        "handbook-8-bits",
        "Ablation: eight bits a value instead of sixteen",
        handbook!(
            "--banks 10 --split region --regional 0.4 --rounds 40 --seeds 3 --bits 8",
            "--settings federated"
        ),
    ),
    experiment(
        "handbook-20-bits",
        "Ablation: twenty bits a value instead of sixteen",
        handbook!(
            "--banks 10 --split region --regional 0.4 --rounds 40 --seeds 3 --bits 20",
            "--settings federated"
        ),
    ),
    experiment(
        "handbook-plain-columns",
        "Ablation: columns without their periodic embedding",
        handbook!("--banks 10 --split iid --rounds 40 --seeds 3 --frequencies 0 --settings pooled"),
    ),
    experiment(
        "handbook-drops",
        "Ablation: six banks in ten take part in a round, and two of them are lost",
        handbook!(
            "--banks 10 --split region --regional 0.4 --rounds 40 --seeds 3",
            "--participation 0.6 --drops 0.3 --settings federated"
        ),
    ),
    experiment(
        "handbook-fresh",
        "Ablation: banks forget their optimiser's moments between rounds",
        handbook!(
            "--banks 10 --split region --regional 0.4 --rounds 40 --seeds 3 --fresh-moments",
            "--settings federated"
        ),
    ),
    experiment(
        "handbook-fedadam",
        "Ablation: FedAdam instead of FedAvg",
        handbook!(
            "--banks 10 --split region --regional 0.4 --rounds 40 --seeds 3 --server fedadam",
            "--settings federated"
        ),
    ),
    experiment(
        "sparkov-5",
        "Sparkov, five banks, January after two months of labels: traffic drops",
        sparkov!("--seeds 3 --train-day 18197 --labels 1.0,0.1,0.05"),
    ),
    experiment(
        "sparkov-5-scratch",
        "Ablation: Sparkov without pretraining",
        sparkov!(
            "--seeds 3 --train-day 18197 --labels 1.0,0.1,0.05 --no-pretraining",
            "--settings local,federated,pooled"
        ),
    ),
    experiment(
        "sparkov-5-few",
        "Sparkov, few labels: longer pretraining, and a pull towards the round's model",
        sparkov!(
            "--seeds 6 --train-day 18197 --labels 0.1,0.05 --pretrain-rounds 60",
            "--proximal 0.01 --settings local,federated,pooled"
        ),
    ),
    experiment(
        "sparkov-5-few-scratch",
        "Ablation: Sparkov, few labels, the same without pretraining",
        sparkov!(
            "--seeds 6 --train-day 18197 --labels 0.1,0.05 --no-pretraining",
            "--proximal 0.01 --settings federated"
        ),
    ),
    experiment(
        "sparkov-december",
        "Sparkov, the month before: traffic rises",
        sparkov!("--seeds 3 --train-day 18166 --settings federated,pooled,unsupervised"),
    ),
    Experiment {
        name: "sparkov-untrended",
        title: "Ablation: Sparkov's January without trailing means",
        words: sparkov!(
            "--seeds 3 --train-day 18197 --schema {work}/untrended.toml",
            "--settings federated,pooled,unsupervised"
        ),
        made: Some(Made::Untrended),
    },
    Experiment {
        name: "typology-1",
        title: "Single payments, disjoint typologies, data of seed 1",
        words: typology!("1"),
        made: Some(Made::Typologies(1)),
    },
    Experiment {
        name: "typology-2",
        title: "Single payments, disjoint typologies, data of seed 2",
        words: typology!("2"),
        made: Some(Made::Typologies(2)),
    },
    Experiment {
        name: "typology-3",
        title: "Single payments, disjoint typologies, data of seed 3",
        words: typology!("3"),
        made: Some(Made::Typologies(3)),
    },
];
