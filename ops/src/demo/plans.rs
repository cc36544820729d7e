//! The plans the demo signs: the recipe of learning.md §6 cut to the stage's days.

use protocol::plan::Plan;
use serde_json::{Value, json};

use super::Arguments;
use super::stage::Stage;
use crate::plan::{
    ModelFile, PlanError, RawCohort, RawDeadlines, RawEvaluate, RawPlan, RawPrivacy, RawRisk,
    RawServer, RawTraining,
};
use host::clock::Clock;
use host::config::Span;

/// Everything the plans have in common.
pub(crate) struct Plans {
    arguments: Arguments,
    stage: Stage,
    model: ModelFile,
    clock: Clock,
}

impl Plans {
    /// Plans for this stage and model.
    pub(crate) fn new(arguments: &Arguments, stage: &Stage, model: ModelFile) -> Self {
        let (arguments, stage) = (arguments.clone(), stage.clone());
        Self {
            arguments,
            stage,
            model,
            clock: Clock::start(),
        }
    }

    /// Contrastive pretraining on everything up to the end of the training window.
    pub(crate) fn pretrain(&self) -> Result<Plan, PlanError> {
        let mut plan = self.plan("pretrain", self.arguments.pretrain_rounds);
        plan.pretrain = Some(RawTraining {
            steps: PRETRAIN_STEPS,
            rate: PRETRAIN_RATE,
            rate_encoder: PRETRAIN_RATE,
            ..self.training()
        });
        self.resolve(plan)
    }

    /// Fine-tuning of encoder and head on the training window's labels.
    pub(crate) fn finetune(&self) -> Result<Plan, PlanError> {
        let mut plan = self.plan("finetune", self.arguments.finetune_rounds);
        plan.finetune = Some(RawTraining {
            steps: self.arguments.steps,
            ..self.training()
        });
        self.resolve(plan)
    }

    /// The consortium's own measures on the training window.
    pub(crate) fn evaluate(&self) -> Result<Plan, PlanError> {
        let mut plan = self.plan("evaluate", 1);
        plan.evaluate = Some(RawEvaluate {
            genesis_seed: self.arguments.seed,
            base: None,
            bins: Some(2_048),
            from_day: self.stage.train_from,
            to_day: self.stage.train_to,
            label_delay_days: self.stage.delay,
        });
        self.resolve(plan)
    }

    /// Risk counts of every day whose labels are known when the live week begins.
    pub(crate) fn risk_history(&self) -> Result<Vec<Plan>, PlanError> {
        let (from, to) = (self.stage.first_day, self.stage.train_to);
        let days_max = (RISK_WORDS_MAX / (2 * self.buckets())).max(1);
        let mut plans = Vec::new();
        let mut day = from;
        while day < to {
            let days = days_max.min(to - day);
            plans.push(self.risk(day, days)?);
            day += days;
        }
        Ok(plans)
    }

    /// Risk counts of the one day that becomes known before live day `live_day`.
    pub(crate) fn risk_before(&self, live_day: u32) -> Result<Plan, PlanError> {
        self.risk(live_day - u32::from(self.stage.delay) - 1, 1)
    }

    /// The pretraining of all rounds together, for the pooled model.
    pub(crate) fn pretrain_terms(&self) -> Value {
        json!({
            "steps": PRETRAIN_STEPS * self.arguments.pretrain_rounds,
            "batch": BATCH,
            "rate": PRETRAIN_RATE,
            "rate_end": RATE_END,
        })
    }

    /// The fine-tuning of all rounds together, for the pooled model.
    pub(crate) fn finetune_terms(&self) -> Value {
        json!({
            "steps": self.arguments.steps * self.arguments.finetune_rounds,
            "batch": BATCH * u32::try_from(self.stage.banks.len()).unwrap_or(1),
            "rate": RATE_HEAD,
            "rate_encoder": RATE_ENCODER,
            "rate_end": RATE_END,
        })
    }

    fn risk(&self, from_day: u32, days: u32) -> Result<Plan, PlanError> {
        let mut plan = self.plan(&format!("risk from day {from_day}"), 1);
        plan.risk = Some(RawRisk {
            buckets: self.buckets(),
            salt: "demo".to_owned(),
            from_day,
            days: u16::try_from(days).unwrap_or(u16::MAX),
            label_delay_days: self.stage.delay,
            banks_min: 2,
        });
        self.resolve(plan)
    }

    /// At least eight times the merchants, as a power of two: at most one merchant in forty shares
    /// all of its buckets with others.
    fn buckets(&self) -> u32 {
        (self.stage.outlets.saturating_mul(8))
            .next_power_of_two()
            .max(1_024)
    }

    fn plan(&self, name: &str, rounds: u32) -> RawPlan {
        let seconds = |s| Span(std::time::Duration::from_secs(s));
        RawPlan {
            name: name.to_owned(),
            rounds,
            expires: seconds(7_200),
            privacy: RawPrivacy::None,
            nonce: self.arguments.seed,
            word_bits: 32,
            cohort: RawCohort {
                members_min: u16::try_from(self.stage.banks.len()).unwrap_or(u16::MAX),
                colluders: None,
                honest_min: 3,
            },
            deadlines: RawDeadlines {
                selection: seconds(20),
                agreement: seconds(20),
                escrow: seconds(20),
                collection: seconds(600),
                acknowledgement: seconds(20),
                reveal: seconds(20),
            },
            pretrain: None,
            finetune: None,
            risk: None,
            evaluate: None,
        }
    }

    fn training(&self) -> RawTraining {
        RawTraining {
            from_day: self.stage.train_from,
            to_day: self.stage.train_to,
            label_delay_days: self.stage.delay,
            genesis_seed: self.arguments.seed,
            base: None,
            steps: 0,
            batch: BATCH,
            rate: RATE_HEAD,
            rate_encoder: RATE_ENCODER,
            rate_end: RATE_END,
            proximal: 0.0,
            examples_cap: 1_000_000,
            clip_norm: 20.0,
            range: 0.5,
            value_bits: 20,
            server: RawServer::Average { rate: 1.0 },
        }
    }

    fn resolve(&self, plan: RawPlan) -> Result<Plan, PlanError> {
        plan.resolve(Some(&self.model), self.clock.now())
    }
}

const BATCH: u32 = 128;
const PRETRAIN_STEPS: u32 = 40;
const PRETRAIN_RATE: f32 = 3e-3;
const RATE_HEAD: f32 = 2e-3;
const RATE_ENCODER: f32 = 5e-4;
const RATE_END: f32 = 0.02;

/// Words of one risk vector: 8 MiB, a moment on loopback.
const RISK_WORDS_MAX: u32 = 2 << 20;
