//! The command line of `phalanx-sim learn`, and what of it a result depends on.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use model::network::{FREQUENCIES_MAX, WIDTH_MAX};
use model::{Device, NetworkSize};
use serde_json::{Value, json};

use super::arms::{SharedRisk, Terms};
use super::calendar::Week;
use super::recipe::{Moments, Recipe, Server, Together};
use super::setting::Setting;
use super::split::Split;
use super::sum::Masks;
use super::{Failed, usual};

/// Arguments of `phalanx-sim learn`.
#[derive(Clone, ClapArgs)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    #[command(flatten)]
    pub(super) banks: Banks,
    #[command(flatten)]
    pub(super) days: Days,
    #[command(flatten)]
    pub(super) learning: Learning,
    /// Shares of the customers that have labels, the main one first; risk counts stay complete
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "1.0",
        value_name = "SHARES"
    )]
    pub(super) labels: Vec<f64>,
    /// How many seeds
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub(super) seeds: u16,
    /// The first of them
    #[arg(long, default_value_t = 1)]
    pub(super) first_seed: u64,
    /// The settings to compare; all without it
    #[arg(long, value_delimiter = ',', value_enum)]
    pub(super) settings: Vec<Setting>,
    /// Folder for finished work, results.parquet and report.html; a run begun again goes on there
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub(super) json: bool,
}

/// Whose payments they are.
#[derive(Clone, ClapArgs)]
#[command(next_help_heading = "Banks")]
pub(super) struct Banks {
    /// The feed
    #[arg(long, value_name = "FILE")]
    pub(super) data: PathBuf,
    /// Its mapping file
    #[arg(long, value_name = "FILE")]
    pub(super) map: PathBuf,
    /// Key of the mapping file's tokens; a fixed one, for made-up data, without it
    #[arg(long, value_name = "FILE")]
    pub(super) key: Option<PathBuf>,
    /// The consortium's feature schema; without it the standard one, or with `--split typology`
    /// that of single payments
    #[arg(long, value_name = "FILE")]
    pub(super) schema: Option<PathBuf>,
    /// How many banks; fewer than three only where nothing is summed: `--settings local,ratio`
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=200))]
    pub(super) banks: u16,
    /// How customers are dealt to them
    #[arg(long, value_enum, default_value_t = Split::Iid)]
    pub(super) split: Split,
    /// With `--split column`: a carried column, or FILE.csv:COLUMN by the carried `customer`
    #[arg(long, value_name = "COLUMN")]
    pub(super) column: Option<String>,
    /// With `--split region`: the share of customers that go by region, the others at random
    #[arg(long, default_value_t = 1.0, value_name = "SHARE")]
    pub(super) regional: f64,
    /// Banks that are new: the last ones; without it two of five or more, else one, and with
    /// `--split typology` none
    #[arg(long, value_name = "N")]
    pub(super) new_banks: Option<u16>,
    /// A carried column that tells the truth, for judging only; without it the labels, or with
    /// `--split typology` the column `is_fraud` where it is carried
    #[arg(long, value_name = "COLUMN")]
    pub(super) truth: Option<String>,
    /// Payments that are not judged, whatever is learnt from them: those in which a carried column
    /// has this value
    #[arg(long, value_name = "COLUMN=VALUE", value_parser = pair)]
    pub(super) leave_out: Option<(String, String)>,
    /// Write who banks where and whose labels there are, for every seed, to this CSV file: outside
    /// checks deal the same rows by it (`ops/peers/boost`)
    #[arg(long, value_name = "FILE")]
    pub(super) save_deal: Option<PathBuf>,
}

/// When it happened.
#[derive(Clone, ClapArgs)]
#[command(next_help_heading = "Days")]
pub(super) struct Days {
    /// How many weeks, each with a training of its own
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=104))]
    pub(super) weeks: u16,
    /// First training day of the first week, days since 1970-01-01; the last weeks without it
    #[arg(long, value_name = "DAY")]
    pub(super) train_day: Option<i32>,
    /// Labelled days; 7, or with `--split typology` three quarters of the feed's
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(i32).range(1..=365))]
    pub(super) train_days: Option<i32>,
    /// Days until a label is trusted; 7, or with `--split typology` none
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(i32).range(0..=90))]
    pub(super) delay: Option<i32>,
    /// Judged days; 7, or with `--split typology` those that are left
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(i32).range(1..=365))]
    pub(super) test_days: Option<i32>,
    /// Days before the judged ones that are pretrained on; 28, or with `--split typology` the
    /// labelled ones
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(i32).range(1..=365))]
    pub(super) pretrain_days: Option<i32>,
}

/// What is learnt, and what is left out.
#[derive(Clone, ClapArgs)]
#[command(next_help_heading = "Learning and ablations")]
pub(super) struct Learning {
    /// Start every setting from the encoder in this folder: of --save-encoder, or of
    /// `phalanx-agent model export`
    #[arg(long, value_name = "DIR")]
    pub(super) warm_start: Option<PathBuf>,
    /// Keep the encoder that all banks pretrain together in the first week of the first seed
    #[arg(long, value_name = "DIR", conflicts_with = "no_pretraining")]
    pub(super) save_encoder: Option<PathBuf>,
    /// Leave pretraining out
    #[arg(long)]
    pub(super) no_pretraining: bool,
    /// Hide the federation's risk table from the federated model
    #[arg(long)]
    pub(super) no_shared_risk: bool,
    /// Bits of an update's values
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u8).range(4..=24))]
    pub(super) bits: u8,
    /// Share of the banks that take part in a round
    #[arg(long, default_value_t = 1.0, value_name = "SHARE")]
    pub(super) participation: f64,
    /// Share of those whose vector is lost on the way
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    pub(super) drops: f64,
    /// How the mean update steps the model
    #[arg(long, value_enum, default_value_t = Server::Fedavg)]
    pub(super) server: Server,
    /// The server's rate, without it 1 for fedavg and 0.003 for fedadam and fedyogi; for newton how
    /// far a step moves logits at most, in root mean square, without it 0.5
    #[arg(long, value_name = "RATE")]
    pub(super) server_rate: Option<f32>,
    /// FedProx's pull towards the round's model
    #[arg(long, default_value_t = 0.0, value_name = "STRENGTH")]
    pub(super) proximal: f32,
    /// Banks forget their optimiser's moments between rounds
    #[arg(long)]
    pub(super) fresh_moments: bool,
    /// Put the secure sum's masks on, and take them off the sum: slower, the same models
    #[arg(long)]
    pub(super) masks: bool,
    /// Rounds of pretraining
    #[arg(long, default_value_t = 20)]
    pub(super) pretrain_rounds: u32,
    /// Local steps of each
    #[arg(long, default_value_t = 10)]
    pub(super) pretrain_steps: u32,
    /// Rounds without a better held-out loss that pretraining bears before it ends with the best
    /// round's model: the banks' mean loss where they learn together; all rounds without it. For
    /// the pooled model evaluations, one in 25 steps
    #[arg(long, value_name = "N", conflicts_with = "no_pretraining",
        value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) patience: Option<u32>,
    /// Rounds of fine-tuning; 40, or with `--split typology` 60
    #[arg(long, value_name = "ROUNDS")]
    pub(super) rounds: Option<u32>,
    /// Local steps of each
    #[arg(long, default_value_t = 60)]
    pub(super) steps: u32,
    /// Rows of a step
    #[arg(long, default_value_t = 128)]
    pub(super) batch: u32,
    /// Fine-tuning's first rate for the head; 0.002 without it
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub(super) rate: Option<f32>,
    /// Likewise for the encoder; 0.0005 where it was pretrained, and 0 leaves it as it is
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub(super) rate_encoder: Option<f32>,
    /// Width of the encoder's two layers
    #[arg(long, default_value_t = NetworkSize::default().width,
        value_parser = clap::value_parser!(u16).range(1..=i64::from(WIDTH_MAX)))]
    pub(super) width: u16,
    /// Learnt frequencies of each column's periodic embedding; 0 leaves the embedding out, which no
    /// plan can
    #[arg(long, default_value_t = NetworkSize::default().frequencies,
        value_parser = clap::value_parser!(u16).range(0..=i64::from(FREQUENCIES_MAX)))]
    pub(super) frequencies: u16,
    /// Width of the head's two layers; 0 for a linear head, which learns from few labels
    #[arg(long, default_value_t = NetworkSize::default().head,
        value_parser = clap::value_parser!(u16).range(0..=i64::from(WIDTH_MAX)))]
    pub(super) head: u16,
    /// Where libtorch trains and scores: cpu, or cuda where there is one
    #[arg(long, default_value_t = Device::Cpu, value_name = "DEVICE")]
    pub(super) device: Device,
}

const EXAMPLE: &str = "\
Example, the Fraud Detection Handbook's first test week with ten banks:
  phalanx-sim learn --data ../shared/data/handbook/transactions.parquet \\
    --map ops/config/maps/handbook.toml --banks 10 --split region --train-day 17737 \\
    --seeds 3 --out learn

Four weeks later, from the encoder of the first week instead of from nothing:
  phalanx-sim learn … --train-day 17737 --settings federated --save-encoder encoder
  phalanx-sim learn … --train-day 17765 --warm-start encoder --pretrain-rounds 5

Pretraining for as long as it helps, of 200 rounds at most:
  phalanx-sim learn … --pretrain-rounds 200 --patience 5

Few labels, by Newton's method on a linear head:
  phalanx-sim learn … --labels 0.1 --head 0 --server newton --rounds 3 --bits 20

Single payments of banks that know unlike frauds; schema, truth and days follow the split:
  phalanx-sim learn --data transactions.parquet --map ops/config/maps/typology.toml \\
    --banks 5 --split typology --labels 1.0 --seeds 3 --weeks 4

What the settings and splits are, and figures: docs/learn.md.";

impl Args {
    /// Refuses what no type refuses.
    pub(super) fn check(&self) -> Result<(), Failed> {
        let shares = [
            ("--regional", self.banks.regional),
            ("--participation", self.learning.participation),
            ("--drops", self.learning.drops),
        ];
        let labels = self.labels.iter().map(|&share| ("--labels", share));
        for (name, share) in labels.chain(shares) {
            if !(0.0..=1.0).contains(&share) {
                return Err(format!("found {share} as {name}, expected 0 to 1").into());
            }
        }
        let alone = |setting: &Setting| matches!(setting, Setting::Local | Setting::Ratio);
        let is_alone = !self.settings.is_empty() && self.settings.iter().all(alone);
        if self.banks.banks < 3 && !is_alone {
            return Err(format!(
                "found {} banks, expected three at least, or --settings local,ratio",
                self.banks.banks
            )
            .into());
        }
        if !is_alone && self.newcomers() + 2 >= self.banks.banks {
            return Err(format!(
                "found {} new banks of {}, expected three others at least",
                self.newcomers(),
                self.banks.banks
            )
            .into());
        }
        if (self.banks.split == Split::Column) != self.banks.column.is_some() {
            return Err("--split column and --column come together".into());
        }
        if self.learning.server == Server::Newton && self.learning.head > 0 {
            return Err(format!(
                "found --server newton and a head of {}, expected --head 0: it is for a linear one",
                self.learning.head
            )
            .into());
        }
        Ok(self.learning.device.check()?)
    }

    /// How many of the last banks are new.
    pub(super) fn newcomers(&self) -> u16 {
        let usual = match self.banks.banks {
            0..=3 => 0,
            4 => 1,
            _ => 2,
        };
        self.banks.new_banks.unwrap_or(usual)
    }

    /// The settings to compare that make sense under these arguments.
    pub(super) fn settings(&self) -> Vec<Setting> {
        let is_wanted = |setting: &Setting| {
            let is_named = self.settings.is_empty() || self.settings.contains(setting);
            let is_possible = match setting {
                Setting::NewBank | Setting::NewBankMember => self.newcomers() > 0,
                Setting::Unsupervised | Setting::UnsupervisedLive => !self.learning.no_pretraining,
                Setting::LocalSharedRisk => !self.learning.no_shared_risk,
                Setting::Local
                | Setting::Federated
                | Setting::Personal
                | Setting::Pooled
                | Setting::Ratio => true,
            };
            is_named && is_possible
        };
        Setting::ALL.into_iter().filter(is_wanted).collect()
    }

    pub(super) fn masks(&self) -> Masks {
        if self.learning.masks {
            Masks::On
        } else {
            Masks::Off
        }
    }

    pub(super) fn terms(&self) -> Terms {
        let learning = &self.learning;
        let pretrain_rounds = match learning.no_pretraining {
            true => 0,
            false => learning.pretrain_rounds,
        };
        Terms {
            recipe: Recipe {
                pretrain_rounds,
                pretrain_steps: learning.pretrain_steps,
                rounds: learning.rounds.unwrap_or(usual::ROUNDS),
                steps: learning.steps,
                batch: learning.batch,
                rate: learning.rate,
                rate_encoder: learning.rate_encoder,
                patience: learning.patience,
                is_warm: learning.warm_start.is_some(),
            },
            together: Together {
                bits: learning.bits,
                participation: learning.participation,
                drops: learning.drops,
                server: learning.server,
                server_rate: learning.server_rate,
                proximal: learning.proximal,
                moments: match learning.fresh_moments {
                    true => Moments::Fresh,
                    false => Moments::Kept,
                },
            },
            shared_risk: match learning.no_shared_risk {
                true => SharedRisk::Hidden,
                false => SharedRisk::Shown,
            },
            device: learning.device,
            size: NetworkSize {
                width: learning.width,
                frequencies: learning.frequencies,
                head: learning.head,
            },
            warm: None,
        }
    }

    /// How customers are dealt, in words.
    pub(super) fn split(&self) -> String {
        match (self.banks.split, &self.banks.column) {
            (Split::Column, Some(column)) => {
                let name = column.rsplit(['/', '\\']).next().unwrap_or(column);
                format!("column {name}")
            }
            (Split::Region, _) if self.banks.regional < 1.0 => {
                format!("region {}", self.banks.regional)
            }
            (split, _) => split.name().to_owned(),
        }
    }
}

/// Everything that the outcome of a setting depends on, and nothing else: masks do not change it,
/// and a bank alone does not care how others would sum.
pub(super) fn terms_of(
    args: &Args,
    data: &Value,
    (setting, seed, week, labels): (Setting, u64, &Week, f64),
) -> Value {
    let terms = args.terms();
    let mut of = json!({
        "version": VERSION,
        "data": data,
        "split": args.split(),
        "banks": args.banks.banks,
        "truth": args.banks.truth,
        "setting": setting.name(),
        "seed": seed,
        "week": week,
    });
    if let Some(left_out) = &args.banks.leave_out {
        of["leave_out"] = json!(left_out);
    }
    if setting.is_labelled() {
        of["labels"] = json!(labels);
    }
    if setting != Setting::Ratio {
        of["recipe"] = json!(terms.recipe);
        match terms.device {
            // Not said, so that what was finished before there was a choice is found again.
            Device::Cpu => {}
            Device::Cuda => of["device"] = json!(terms.device),
        }
        if terms.size != NetworkSize::default() {
            of["size"] = json!(terms.size);
        }
    }
    match setting {
        // Whoever is alone steps as a federation would by this rule, and by no other.
        Setting::Local | Setting::LocalSharedRisk | Setting::Pooled
            if terms.together.server == Server::Newton =>
        {
            of["server"] = json!((terms.together.server, terms.together.server_rate));
        }
        Setting::Local | Setting::LocalSharedRisk | Setting::Pooled | Setting::Ratio => {}
        Setting::Unsupervised => of["together"] = json!(terms.together),
        Setting::Federated | Setting::Personal | Setting::UnsupervisedLive => {
            of["together"] = json!(terms.together);
            of["shared_risk"] = json!(terms.shared_risk == SharedRisk::Shown);
        }
        Setting::NewBank | Setting::NewBankMember => {
            of["together"] = json!(terms.together);
            of["shared_risk"] = json!(terms.shared_risk == SharedRisk::Shown);
            of["new_banks"] = json!(args.newcomers());
        }
    }
    of
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (column, value) = text
        .split_once('=')
        .ok_or("expected a carried column, =, and a value")?;
    Ok((column.to_owned(), value.to_owned()))
}

/// What the trainer takes for a rate.
fn rate(text: &str) -> Result<f32, String> {
    let rate = text.parse::<f32>().ok();
    let rate = rate.filter(|rate| (0.0..1.0).contains(rate));
    rate.ok_or_else(|| "expected 0 to below 1".to_owned())
}

/// Grows with every change that makes equal terms come to other outcomes.
pub(crate) const VERSION: u32 = 8;
