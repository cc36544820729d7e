//! The experiments: each a line of `phalanx-sim learn`, or of a tool that is not ours, with what it
//! is to find out.

/// One line of `phalanx-sim learn`, or of another tool.
pub(super) struct Experiment {
    /// Its name in results.json.
    pub(super) name: &'static str,
    /// What is compared.
    pub(super) title: &'static str,
    /// The words after `phalanx-sim learn`, or whole commands where the tool is another; `{data}`
    /// and `{work}` stand for folders.
    pub(super) words: &'static str,
    /// Whose line it is.
    pub(super) tool: Tool,
    /// What has to be made for it.
    pub(super) made: Option<Made>,
}

/// What an experiment is run with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tool {
    /// `phalanx-sim learn`, by `phalanx-sim results`.
    Learn,
    /// `ops/peers`, by hand; its object comes in with `--outside`.
    Outside,
}

/// Something that an experiment needs and no data set has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Made {
    /// Single payments of this seed, in `{work}/typology-data-SEED`.
    Typologies(u64),
    /// The standard schema without its trailing means, `{work}/untrended.toml`.
    Untrended,
    /// The encoder of the Handbook's first test week, `{work}/handbook-encoder`.
    Encoder,
}

const fn experiment(name: &'static str, title: &'static str, words: &'static str) -> Experiment {
    Experiment {
        name,
        title,
        words,
        tool: Tool::Learn,
        made: None,
    }
}

/// What has to be made for an experiment stands before it.
const fn after(made: Made, experiment: Experiment) -> Experiment {
    Experiment {
        made: Some(made),
        ..experiment
    }
}

const fn outside(name: &'static str, title: &'static str, words: &'static str) -> Experiment {
    Experiment {
        tool: Tool::Outside,
        ..experiment(name, title, words)
    }
}

/// The Handbook's feed and its map; its first test week, unless another day is named.
macro_rules! handbook {
    (day $day:literal, $($more:literal),*) => {
        concat!(
            "--data {data}/handbook/transactions.parquet --map ops/config/maps/handbook.toml",
            " --train-day ", $day, $(" ", $more),*
        )
    };
    ($($more:literal),*) => {
        handbook!(day "17737", $($more),*)
    };
}

/// Sparkov-type payments with sixty labelled days before the month that is judged.
macro_rules! sparkov {
    (rounds $rounds:literal, $($more:literal),*) => {
        concat!(
            "--data {data}/sparkov/transactions.parquet --map ops/config/maps/sparkov.toml",
            " --train-days 60 --test-days 31 --banks 5 --split iid --rounds ", $rounds,
            $(" ", $more),*
        )
    };
    ($($more:literal),*) => {
        sparkov!(rounds "40", $($more),*)
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

/// What pretrains the encoder of [`Made::Encoder`], but for the folder that keeps it.
pub(super) const ENCODER: &str = handbook!("--banks 10 --split iid --settings unsupervised");

/// The feed's vectors, and boosted trees on them where the rows are dealt as an experiment deals
/// them.
macro_rules! boost {
    ($deal:literal, $set:literal, $days:literal, $more:literal) => {
        concat!(
            "phalanx-sim learn ",
            $deal,
            " --seeds 3 --settings ratio --save-deal {work}/",
            $set,
            "-deal.csv\nphalanx-agent features export --map ops/config/maps/",
            $set,
            ".toml --data {data}/",
            $set,
            "/transactions.parquet ",
            $days,
            " --out {work}/",
            $set,
            "-vectors.parquet\ntarget/boost/bin/python ops/peers/boost/boost.py {work}/",
            $set,
            "-vectors.parquet --deal {work}/",
            $set,
            "-deal.csv --seeds 3 --json ",
            $more
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
        "handbook-alone-august",
        "Handbook, the same four weeks later",
        handbook!(day "17765", "--banks 1 --split iid --rounds 80 --seeds 3 --settings local"),
    ),
    experiment(
        "handbook-weeks",
        "Handbook, ten banks at random, four test weeks",
        handbook!(
            "--banks 10 --split iid --rounds 40 --seeds 3 --weeks 4",
            "--settings local,federated,pooled"
        ),
    ),
    experiment(
        "handbook-scenarios-1-3",
        "Handbook, without labels: judged without the frauds at compromised terminals",
        handbook!(
            "--banks 10 --split iid --seeds 3 --leave-out scenario=2",
            "--settings unsupervised,ratio"
        ),
    ),
    experiment(
        "handbook-cold-5",
        "Handbook, four weeks later: five rounds of pretraining, from nothing",
        handbook!(
            day "17765",
            "--banks 10 --split iid --rounds 40 --seeds 3 --pretrain-rounds 5",
            "--settings local,federated,pooled"
        ),
    ),
    after(
        Made::Encoder,
        experiment(
            "handbook-warm-5",
            "Handbook, four weeks later: five rounds of pretraining, from the first week's encoder",
            handbook!(
                day "17765",
                "--banks 10 --split iid --rounds 40 --seeds 3 --pretrain-rounds 5",
                "--warm-start {work}/handbook-encoder --settings local,federated,pooled"
            ),
        ),
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
        "handbook-few",
        "Handbook, few labels: a linear head on the encoder as it was pretrained",
        handbook!(
            "--banks 10 --split iid --rounds 40 --seeds 6 --labels 0.1,0.01",
            "--head 0 --rate 0.12 --rate-encoder 0 --settings local,federated,pooled"
        ),
    ),
    experiment(
        "handbook-newton",
        "Handbook, the linear head by Newton's method: summed slopes and curvatures",
        handbook!(
            "--banks 10 --split iid --rounds 8 --seeds 6 --labels 1.0,0.1,0.01",
            "--head 0 --server newton --bits 20 --settings local,federated,pooled"
        ),
    ),
    experiment(
        "handbook-newton-few",
        "The same with few labels, ended after three rounds as an earlier week chose",
        handbook!(
            "--banks 10 --split iid --rounds 3 --seeds 6 --labels 0.1,0.01",
            "--head 0 --server newton --bits 20 --settings local,federated,pooled"
        ),
    ),
    experiment(
        "handbook-linear",
        "Ablation: the linear head with every label",
        handbook!(
            "--banks 10 --split iid --rounds 40 --seeds 3",
            "--head 0 --rate 0.12 --rate-encoder 0 --settings federated,pooled"
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
    after(
        Made::Untrended,
        experiment(
            "handbook-untrended",
            "Ablation: no trailing means",
            handbook!(
                "--banks 10 --split region --regional 0.4 --rounds 40 --seeds 3",
                "--schema {work}/untrended.toml --settings federated"
            ),
        ),
    ),
    experiment(
        "sparkov-5",
        "Sparkov, five banks, January after two months of labels: traffic drops",
        sparkov!("--seeds 3 --train-day 18197 --labels 1.0,0.1,0.05"),
    ),
    experiment(
        "sparkov-newton",
        "Sparkov, the linear head by Newton's method",
        sparkov!(
            rounds "8",
            "--seeds 3 --train-day 18197 --labels 1.0,0.1,0.05",
            "--head 0 --server newton --bits 20 --settings local,federated,pooled"
        ),
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
        "sparkov-5-own-risk",
        "Ablation: Sparkov, every bank counts its own risk only",
        sparkov!("--seeds 3 --train-day 18197 --no-shared-risk --settings federated"),
    ),
    experiment(
        "sparkov-5-8-bits",
        "Ablation: Sparkov, eight bits a value instead of sixteen",
        sparkov!("--seeds 3 --train-day 18197 --bits 8 --settings federated"),
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
        sparkov!(
            "--seeds 3 --train-day 18166 --labels 1.0,0.1",
            "--settings federated,pooled,unsupervised"
        ),
    ),
    after(
        Made::Untrended,
        experiment(
            "sparkov-untrended",
            "Ablation: Sparkov's January without trailing means",
            sparkov!(
                "--seeds 3 --train-day 18197 --labels 1.0,0.1 --schema {work}/untrended.toml",
                "--settings federated,pooled,unsupervised"
            ),
        ),
    ),
    after(
        Made::Typologies(1),
        experiment(
            "typology-1",
            "Single payments, disjoint typologies, data of seed 1",
            typology!("1"),
        ),
    ),
    after(
        Made::Typologies(2),
        experiment(
            "typology-2",
            "Single payments, disjoint typologies, data of seed 2",
            typology!("2"),
        ),
    ),
    after(
        Made::Typologies(3),
        experiment(
            "typology-3",
            "Single payments, disjoint typologies, data of seed 3",
            typology!("3"),
        ),
    ),
    outside(
        "outside-book",
        "Outside check: the Handbook's own fifteen features",
        "target/boost/bin/python ops/peers/boost/boost.py \
         {data}/handbook/transactions_transformed_eval.parquet --book --train-day 17737 --seeds 3 \
         --json",
    ),
    outside(
        "outside-mix-10",
        "Outside check: boosted trees of banks as in handbook-mix-10, with everybody's risk counts",
        boost!(
            "--data {data}/handbook/transactions.parquet --map ops/config/maps/handbook.toml \
             --train-day 17737 --banks 10 --split region --regional 0.4",
            "handbook",
            "--from-day 17737 --to-day 17758",
            "--train-day 17737"
        ),
    ),
    outside(
        "outside-sparkov-5",
        "Outside check: boosted trees on Sparkov, labels of a tenth as in sparkov-5",
        boost!(
            "--data {data}/sparkov/transactions.parquet --map ops/config/maps/sparkov.toml \
             --train-days 60 --test-days 31 --train-day 18197 --banks 5 --split iid",
            "sparkov",
            "--from-day 18197 --to-day 18295",
            "--train-day 18197 --train-days 60 --test-days 31 --labels 0.1"
        ),
    ),
];
