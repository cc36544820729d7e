//! The recipe of learning.md §6 as terms of rounds: what the plans of a consortium would say, and
//! the ablations that the command line may ask for. What follows in a round is `model::schedule`'s;
//! who trains with it is `training.rs` and `federation.rs`.

use clap::ValueEnum;
use features::FeatureSchema;
use model::NetworkSize;
use model::schedule::Schedule;
use protocol::plan::{
    Adaptive, Init, Layout, ModelTerms, Newton, Part, SchemaText, ServerRule, TensorSpec, Training,
};
use serde::{Deserialize, Serialize};

/// How much is trained, alone or together.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Recipe {
    /// Rounds of pretraining; none leaves it out.
    pub(super) pretrain_rounds: u32,
    /// Local steps of each.
    pub(super) pretrain_steps: u32,
    /// Rounds of fine-tuning.
    pub(super) rounds: u32,
    /// Local steps of each.
    pub(super) steps: u32,
    /// Rows of a step.
    pub(super) batch: u32,
    /// Fine-tuning's first rate for the head; the recipe's without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) rate: Option<f32>,
    /// Likewise for the encoder; 0 leaves it as pretraining made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) rate_encoder: Option<f32>,
    /// Rounds without a better held-out loss that pretraining bears; not said where it trains all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) patience: Option<u32>,
    /// Whether the encoder it starts from has learnt something: whose it is, the terms of a result
    /// say beside this.
    #[serde(skip)]
    pub(super) is_warm: bool,
}

/// How banks learn together.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Together {
    /// Bits of the fixed point.
    pub(super) bits: u8,
    /// Share of the banks that take part in a round.
    pub(super) participation: f64,
    /// Share of those whose vector does not arrive.
    pub(super) drops: f64,
    /// How the mean update steps the model.
    pub(super) server: Server,
    /// The server's rate; the rule's own without it.
    pub(super) server_rate: Option<f32>,
    /// FedProx's pull towards the round's model.
    pub(super) proximal: f32,
    /// Whether banks keep their optimiser's moments from round to round.
    pub(super) moments: Moments,
}

/// The server's rule by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Server {
    /// The mean update, as it is
    Fedavg,
    /// Adam on the mean update
    Fedadam,
    /// Yogi on the mean update
    Fedyogi,
    /// Newton's method on a linear head, from summed slopes and curvatures; pretraining as fedavg
    Newton,
}

/// What becomes of a bank's moments between rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Moments {
    /// Kept, as agents do.
    Kept,
    /// Begun anew each round.
    Fresh,
}

/// Which of the two trainings a round is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Pretrain,
    Finetune,
}

impl Server {
    /// The rule of a kind of rounds over so many examples.
    fn rule(self, kind: Kind, rate: Option<f32>, examples: u64) -> ServerRule {
        match (self, kind) {
            (Self::Fedavg, _) => ServerRule::FedAvg {
                rate: rate.unwrap_or(1.0),
            },
            (Self::Fedadam, _) => ServerRule::FedAdam(adaptive(rate)),
            (Self::Fedyogi, _) => ServerRule::FedYogi(adaptive(rate)),
            (Self::Newton, Kind::Pretrain) => ServerRule::FedAvg { rate: 1.0 },
            (Self::Newton, Kind::Finetune) => ServerRule::Newton(Newton {
                radius: rate.unwrap_or(RADIUS),
                // A prior of unit deviation on every weight.
                ridge: 1.0 / examples.max(1) as f32,
            }),
        }
    }
}

/// Moments as in the paper's experiments, and a rate for updates of this size.
fn adaptive(rate: Option<f32>) -> Adaptive {
    Adaptive {
        rate: rate.unwrap_or(3e-3),
        beta1: 0.9,
        beta2: 0.99,
        epsilon: 1e-3,
    }
}

impl Recipe {
    /// Whether there is any pretraining.
    pub(super) fn is_pretrained(&self) -> bool {
        self.pretrain_rounds > 0
    }

    /// The terms of all rounds of a kind, for a model and `examples` behind `banks` banks: a bank
    /// with twice an even share of them weighs 1.
    pub(super) fn training(
        &self,
        kind: Kind,
        model: &ModelTerms,
        together: &Together,
        (examples, banks): (u64, u64),
    ) -> Training {
        let (parts, steps, rate, rate_encoder) = match kind {
            Kind::Pretrain => (
                vec![Part::Encoder, Part::Energy],
                self.pretrain_steps,
                PRETRAIN_RATE,
                PRETRAIN_RATE,
            ),
            Kind::Finetune => (
                vec![Part::Encoder, Part::Head],
                self.steps,
                self.rate_head(),
                self.rate_encoder(),
            ),
        };
        let server = together.server.rule(kind, together.server_rate, examples);
        let (parts, range) = match server {
            ServerRule::Newton(_) => (vec![Part::Head], NEWTON_RANGE),
            ServerRule::FedAvg { .. } | ServerRule::FedAdam(_) | ServerRule::FedYogi(_) => {
                (parts, RANGE)
            }
        };
        Training {
            model: model.clone(),
            parts,
            from_day: 0,
            to_day: 0,
            label_delay_days: 0,
            steps,
            batch: self.batch,
            rate,
            rate_encoder,
            rate_end: RATE_END,
            proximal: together.proximal,
            examples_cap: (2 * examples / banks.max(1)).max(1),
            clip_norm: CLIP_NORM,
            range,
            value_bits: together.bits,
            server,
        }
    }

    /// The first rate of the head.
    pub(super) fn rate_head(&self) -> f32 {
        self.rate.unwrap_or(RATE_HEAD)
    }

    /// A slower rate for an encoder that has learnt something already, where nothing else is said.
    pub(super) fn rate_encoder(&self) -> f32 {
        let usual = match self.is_pretrained() || self.is_warm {
            true => RATE_ENCODER,
            false => RATE_HEAD,
        };
        self.rate_encoder.unwrap_or(usual)
    }

    /// Rounds of a kind without a better held-out loss that are borne, where there is an end.
    pub(super) fn patience_of(&self, kind: Kind) -> Option<u32> {
        match kind {
            Kind::Pretrain => self.patience,
            Kind::Finetune => None,
        }
    }

    /// Rounds of a kind.
    pub(super) fn rounds_of(&self, kind: Kind) -> u32 {
        match kind {
            Kind::Pretrain => self.pretrain_rounds,
            Kind::Finetune => self.rounds,
        }
    }
}

/// The schedule of a training's local steps.
pub(super) fn schedule(training: &Training) -> Schedule {
    Schedule {
        steps: training.steps,
        batch: training.batch,
        rate: training.rate,
        rate_encoder: training.rate_encoder,
        rate_end: training.rate_end,
        proximal: training.proximal,
    }
}

/// The model that all arms of a seed begin with.
pub(super) fn model_terms(
    schema: &FeatureSchema,
    size: NetworkSize,
    genesis_seed: u64,
) -> ModelTerms {
    let layout = model::layout(schema, size);
    ModelTerms {
        schema: SchemaText(schema.canonical()),
        layout: Layout(layout.into_iter().map(spec).collect()),
        genesis_seed,
        base: None,
    }
}

fn spec(spec: model::TensorSpec) -> TensorSpec {
    let part = match spec.part {
        model::Part::Encoder => Part::Encoder,
        model::Part::Energy => Part::Energy,
        model::Part::Head => Part::Head,
    };
    let init = match spec.init {
        model::Init::Zeros => Init::Zeros,
        model::Init::Constant(value) => Init::Constant(value),
        model::Init::Uniform(bound) => Init::Uniform(bound),
        model::Init::Normal(deviation) => Init::Normal(deviation),
    };
    TensorSpec {
        name: spec.name,
        shape: spec.shape,
        part,
        init,
    }
}

/// Adam's rate of pretraining.
pub(super) const PRETRAIN_RATE: f32 = 3e-3;
/// Rates of fine-tuning.
const RATE_HEAD: f32 = 2e-3;
const RATE_ENCODER: f32 = 5e-4;
/// Share of the rates that is left at the end of all rounds.
pub(super) const RATE_END: f32 = 0.02;
/// L2 bound of one bank's update, and the largest coordinate after weighting (as in the demo's
/// plans): far above what a round of the recipe does, so that neither bites.
const CLIP_NORM: f32 = 20.0;
const RANGE: f32 = 0.5;
/// How far a step of Newton's method moves logits at most.
const RADIUS: f32 = 0.5;
/// The largest value of slope and curvature after weighting: a head's columns are of about unit
/// size, and a payment's share of the curvature is a quarter at most.
const NEWTON_RANGE: f32 = 1.0;
