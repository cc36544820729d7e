//! A plan as a person writes it: one TOML file per plan, the model's layout beside it as JSON from
//! `phalanx-agent layout`. What comes out is a [`Plan`] whose every field was said or has a
//! documented default here.

use std::path::{Path, PathBuf};

use host::config::{ConfigError, Span, load};
use protocol::plan::{
    Adaptive, CohortTerms, Deadlines, EvaluateTerms, Evaluated, ModelTerms, Newton, Part, Plan,
    Privacy, RiskTerms, ServerRule, Training, Width, Work,
};
use protocol::time::{Duration, Time};
use serde::Deserialize;

mod model;

pub(crate) use model::{ModelFile, RawBase};

/// Reads a plan and, where it trains or judges a model, the layout it is about.
///
/// # Errors
/// [`PlanError`], which names the file, the key, what was found and what was expected.
pub(crate) fn read(path: &Path, layout: Option<&Path>, now: Time) -> Result<Plan, PlanError> {
    let raw: RawPlan = load(path)?;
    let model = layout.map(ModelFile::read).transpose()?;
    raw.resolve(model.as_ref(), now)
}

/// The plan file. Sample: `ops/config/plans/*.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawPlan {
    pub(crate) name: String,
    pub(crate) rounds: u32,
    pub(crate) expires: Span,
    /// `"none"` must be written: no noise is a choice.
    pub(crate) privacy: RawPrivacy,
    #[serde(default)]
    pub(crate) nonce: u64,
    /// Bits of a word of the vector: 32, or 24 to send a quarter less.
    #[serde(default = "full")]
    pub(crate) word_bits: u8,
    pub(crate) cohort: RawCohort,
    #[serde(default)]
    pub(crate) deadlines: RawDeadlines,
    pub(crate) pretrain: Option<RawTraining>,
    pub(crate) finetune: Option<RawTraining>,
    pub(crate) risk: Option<RawRisk>,
    pub(crate) evaluate: Option<RawEvaluate>,
}

fn full() -> u8 {
    Width::Full.bits()
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RawPrivacy {
    None,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawCohort {
    pub(crate) members_min: u16,
    pub(crate) colluders: Option<u16>,
    pub(crate) honest_min: u16,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawDeadlines {
    pub(crate) selection: Span,
    pub(crate) agreement: Span,
    pub(crate) escrow: Span,
    pub(crate) collection: Span,
    pub(crate) acknowledgement: Span,
    pub(crate) reveal: Span,
}

impl Default for RawDeadlines {
    fn default() -> Self {
        let seconds = |s| Span(std::time::Duration::from_secs(s));
        Self {
            selection: seconds(30),
            agreement: seconds(30),
            escrow: seconds(30),
            collection: seconds(3_600),
            acknowledgement: seconds(30),
            reveal: seconds(30),
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawTraining {
    pub(crate) from_day: u32,
    pub(crate) to_day: u32,
    pub(crate) label_delay_days: u16,
    pub(crate) genesis_seed: u64,
    /// What the model starts from; nothing where the seed says it all.
    pub(crate) base: Option<RawBase>,
    pub(crate) steps: u32,
    pub(crate) batch: u32,
    pub(crate) rate: f32,
    pub(crate) rate_encoder: f32,
    pub(crate) rate_end: f32,
    #[serde(default)]
    pub(crate) proximal: f32,
    pub(crate) examples_cap: u64,
    pub(crate) clip_norm: f32,
    pub(crate) range: f32,
    pub(crate) value_bits: u8,
    pub(crate) server: RawServer,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, tag = "rule")]
pub(crate) enum RawServer {
    #[serde(rename = "fedavg")]
    Average { rate: f32 },
    #[serde(rename = "fedadam")]
    Adam(RawAdaptive),
    #[serde(rename = "fedyogi")]
    Yogi(RawAdaptive),
    #[serde(rename = "newton")]
    Newton(RawNewton),
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawNewton {
    radius: f32,
    ridge: f32,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawAdaptive {
    rate: f32,
    beta1: f32,
    beta2: f32,
    epsilon: f32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawRisk {
    pub(crate) buckets: u32,
    /// Any text: the salt is its digest, so that a consortium can write a word.
    pub(crate) salt: String,
    pub(crate) from_day: u32,
    pub(crate) days: u16,
    pub(crate) label_delay_days: u16,
    pub(crate) banks_min: u16,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawEvaluate {
    pub(crate) genesis_seed: u64,
    pub(crate) base: Option<RawBase>,
    /// Bins of the scores' histograms; left out, columns are measured instead.
    pub(crate) bins: Option<u32>,
    pub(crate) from_day: u32,
    pub(crate) to_day: u32,
    pub(crate) label_delay_days: u16,
}

impl RawPlan {
    /// The plan these words mean.
    pub(crate) fn resolve(self, model: Option<&ModelFile>, now: Time) -> Result<Plan, PlanError> {
        let work = self.work(model)?;
        let RawPrivacy::None = self.privacy;
        let width = self.width()?;
        let plan = Plan {
            name: self.name,
            work,
            rounds: self.rounds,
            cohort: CohortTerms {
                members_min: self.cohort.members_min,
                colluders: self.cohort.colluders,
                honest_min: self.cohort.honest_min,
            },
            deadlines: self.deadlines.resolve(),
            privacy: Privacy::None,
            nonce: self.nonce,
            expires: now.after(Duration(self.expires.protocol().0)),
            width,
        };
        protocol::terms::validate(&plan).map_err(PlanError::Invalid)?;
        Ok(plan)
    }

    fn width(&self) -> Result<Width, PlanError> {
        let said = |width: &Width| width.bits() == self.word_bits;
        let found = [Width::Full, Width::Packed].into_iter().find(said);
        found.ok_or_else(|| {
            let found = self.word_bits;
            PlanError::Invalid(format!("word_bits is {found}, expected 24 or 32"))
        })
    }

    fn work(&self, model: Option<&ModelFile>) -> Result<Work, PlanError> {
        let file = || model.ok_or(PlanError::NoLayout);
        let model = |seed, base| file()?.terms_from(seed, base);
        let said = (&self.pretrain, &self.finetune, &self.risk, &self.evaluate);
        match said {
            (Some(raw), None, None, None) => {
                let parts = vec![Part::Encoder, Part::Energy];
                let model = model(raw.genesis_seed, raw.base.as_ref())?;
                Ok(Work::Pretrain(raw.resolve(model, parts)))
            }
            (None, Some(raw), None, None) => {
                // A step that is solved for needs a loss without a second valley.
                let parts = match raw.server {
                    RawServer::Newton(_) => vec![Part::Head],
                    RawServer::Average { .. } | RawServer::Adam(_) | RawServer::Yogi(_) => {
                        vec![Part::Encoder, Part::Head]
                    }
                };
                let model = model(raw.genesis_seed, raw.base.as_ref())?;
                Ok(Work::Finetune(raw.resolve(model, parts)))
            }
            (None, None, Some(raw), None) => Ok(Work::Risk(raw.resolve())),
            (None, None, None, Some(raw)) => {
                let model = model(raw.genesis_seed, raw.base.as_ref())?;
                Ok(Work::Evaluate(raw.resolve(model, file()?.columns)))
            }
            _ => Err(PlanError::Kind),
        }
    }
}

impl RawDeadlines {
    fn resolve(self) -> Deadlines {
        Deadlines {
            selection: self.selection.protocol(),
            agreement: self.agreement.protocol(),
            escrow: self.escrow.protocol(),
            collection: self.collection.protocol(),
            acknowledgement: self.acknowledgement.protocol(),
            reveal: self.reveal.protocol(),
        }
    }
}

impl RawTraining {
    fn resolve(&self, model: ModelTerms, parts: Vec<Part>) -> Training {
        Training {
            model,
            parts,
            from_day: self.from_day,
            to_day: self.to_day,
            label_delay_days: self.label_delay_days,
            steps: self.steps,
            batch: self.batch,
            rate: self.rate,
            rate_encoder: self.rate_encoder,
            rate_end: self.rate_end,
            proximal: self.proximal,
            examples_cap: self.examples_cap,
            clip_norm: self.clip_norm,
            range: self.range,
            value_bits: self.value_bits,
            server: match self.server {
                RawServer::Average { rate } => ServerRule::FedAvg { rate },
                RawServer::Adam(terms) => ServerRule::FedAdam(terms.resolve()),
                RawServer::Yogi(terms) => ServerRule::FedYogi(terms.resolve()),
                RawServer::Newton(RawNewton { radius, ridge }) => {
                    ServerRule::Newton(Newton { radius, ridge })
                }
            },
        }
    }
}

impl RawAdaptive {
    fn resolve(self) -> Adaptive {
        Adaptive {
            rate: self.rate,
            beta1: self.beta1,
            beta2: self.beta2,
            epsilon: self.epsilon,
        }
    }
}

impl RawRisk {
    fn resolve(&self) -> RiskTerms {
        RiskTerms {
            buckets: self.buckets,
            salt: crypto::tagged("csa1/risk-salt", &[self.salt.as_bytes()]),
            from_day: self.from_day,
            days: self.days,
            label_delay_days: self.label_delay_days,
            banks_min: self.banks_min,
        }
    }
}

impl RawEvaluate {
    fn resolve(&self, model: ModelTerms, columns: u32) -> EvaluateTerms {
        EvaluateTerms {
            model,
            of: match self.bins {
                Some(bins) => Evaluated::Scores { bins },
                None => Evaluated::Moments { columns },
            },
            from_day: self.from_day,
            to_day: self.to_day,
            label_delay_days: self.label_delay_days,
        }
    }
}

/// Why a plan cannot be signed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlanError {
    /// The file.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The layout file.
    #[error("layout {}: {what}", path.display())]
    Layout {
        /// The file.
        path: PathBuf,
        /// What was found and expected.
        what: String,
    },
    /// A plan about a model without a layout.
    #[error("this plan is about a model: give its layout with --layout (phalanx-agent layout)")]
    NoLayout,
    /// None or several kinds.
    #[error("a plan holds exactly one of [pretrain], [finetune], [risk], [evaluate]")]
    Kind,
    /// Terms that cannot be.
    #[error("plan refused: {0}")]
    Invalid(String),
}

#[cfg(test)]
mod tests {
    use super::model::tests::model;
    use super::*;

    #[test]
    fn every_shipped_plan_resolves() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/plans");
        for kind in ["pretrain", "finetune", "risk", "evaluate"] {
            let raw: RawPlan = load(&folder.join(format!("{kind}.toml"))).unwrap();
            let plan = raw.resolve(Some(&model()), Time(1)).unwrap();
            assert_eq!(format!("{:?}", plan.work.kind()).to_lowercase(), kind);
        }
    }

    #[test]
    fn server_rules_go_by_their_names() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/plans");
        let text = std::fs::read_to_string(folder.join("finetune.toml")).unwrap();
        let plan = |rule: &str| -> Result<RawPlan, _> {
            let shipped = r#"server = { rule = "fedavg", rate = 1.0 }"#;
            assert!(text.contains(shipped));
            toml::from_str(&text.replace(shipped, &format!("server = {{ {rule} }}")))
        };
        let moments = "rate = 0.01, beta1 = 0.9, beta2 = 0.99, epsilon = 1e-3";
        let terms = Adaptive {
            rate: 0.01,
            beta1: 0.9,
            beta2: 0.99,
            epsilon: 1e-3,
        };
        for (name, rule) in [
            ("fedadam", ServerRule::FedAdam(terms)),
            ("fedyogi", ServerRule::FedYogi(terms)),
        ] {
            let raw = plan(&format!(r#"rule = "{name}", {moments}"#)).unwrap();
            let plan = raw.resolve(Some(&model()), Time(1)).unwrap();
            let Work::Finetune(training) = plan.work else {
                panic!("it is a fine-tuning plan");
            };
            assert_eq!(training.server, rule);
        }
        let newton = plan(r#"rule = "newton", radius = 0.5, ridge = 1e-4"#).unwrap();
        let refused = newton.clone().resolve(Some(&model()), Time(1)).unwrap_err();
        assert!(
            refused
                .to_string()
                .contains("expected [1, weights] and [1] under Newton's method"),
            "{refused}"
        );
        let Work::Finetune(training) = newton.work(Some(&model())).unwrap() else {
            panic!("it is a fine-tuning plan");
        };
        let rule = Newton {
            radius: 0.5,
            ridge: 1e-4,
        };
        assert_eq!(training.server, ServerRule::Newton(rule));
        assert_eq!(training.parts, [Part::Head]);
        let unknown = plan(r#"rule = "fedsgd", rate = 1.0"#)
            .unwrap_err()
            .to_string();
        assert!(
            unknown.contains("fedsgd") && unknown.contains("fedyogi"),
            "{unknown}"
        );
        let odd = plan(&format!(r#"rule = "fedyogi", tau = 1.0, {moments}"#));
        assert!(odd.unwrap_err().to_string().contains("tau"));
    }

    #[test]
    fn words_are_32_bits_unless_the_plan_says_24() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/plans");
        let text = std::fs::read_to_string(folder.join("finetune.toml")).unwrap();
        let plan = |line: &str| {
            let raw: RawPlan = toml::from_str(&format!("{line}\n{text}")).unwrap();
            raw.resolve(Some(&model()), Time(1))
        };
        assert_eq!(plan("").unwrap().width, Width::Full);
        let refused = |line| plan(line).unwrap_err().to_string();
        let found = refused("word_bits = 16");
        assert_eq!(found, "plan refused: word_bits is 16, expected 24 or 32");
        // Twenty bits of five banks need 25.
        let found = refused("word_bits = 24");
        assert!(
            found.contains("training.value_bits is 20, expected 8 to 19"),
            "{found}"
        );
        let text = text.replace("value_bits = 20", "value_bits = 16");
        let raw: RawPlan = toml::from_str(&format!("word_bits = 24\n{text}")).unwrap();
        let packed = raw.resolve(Some(&model()), Time(1)).unwrap();
        assert_eq!(packed.width, Width::Packed);
    }

    #[test]
    fn a_plan_may_start_from_another_model() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/plans");
        let text = std::fs::read_to_string(folder.join("finetune.toml")).unwrap();
        let plan = |base: &str| {
            let shipped = "genesis_seed = 1\n";
            assert!(text.contains(shipped));
            let raw: RawPlan = toml::from_str(&text.replace(shipped, &format!("{shipped}{base}")))?;
            let plan = raw
                .resolve(Some(&model()), Time(1))
                .map_err(|error| error.to_string());
            Ok::<_, toml::de::Error>(plan)
        };
        let base = |base: &str| {
            let plan = plan(base).unwrap()?;
            Ok::<_, String>(plan.work.model().unwrap().base.clone())
        };
        assert_eq!(base("").unwrap(), None);
        let root = crypto::sha256(&["a model".as_bytes()]);
        let hex = root.to_hex();
        let said = |parts: &str| format!("base = {{ model = \"{hex}\", parts = \"{parts}\" }}\n");
        let encoder = base(&said("encoder")).unwrap().unwrap();
        assert_eq!(encoder.root, root);
        assert_eq!(encoder.parts, [Part::Encoder, Part::Energy]);
        let all = base(&said("all")).unwrap().unwrap();
        assert_eq!(all.parts, [Part::Encoder, Part::Energy, Part::Head]);
        let refused = base("base = { model = \"abc\", parts = \"all\" }\n").unwrap_err();
        assert!(refused.contains("base.model is abc"), "{refused}");
        let odd = plan(&said("head")).unwrap_err().to_string();
        assert!(odd.contains("encoder") && odd.contains("all"), "{odd}");
    }

    #[test]
    fn a_plan_of_two_kinds_or_none_is_refused() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/plans");
        let risk: RawPlan = load(&folder.join("risk.toml")).unwrap();
        let none = RawPlan {
            risk: None,
            ..risk.clone()
        };
        assert!(matches!(none.resolve(None, Time(1)), Err(PlanError::Kind)));
        let evaluate: RawPlan = load(&folder.join("evaluate.toml")).unwrap();
        let both = RawPlan {
            evaluate: evaluate.evaluate.clone(),
            ..risk
        };
        assert!(matches!(
            both.resolve(Some(&model()), Time(1)),
            Err(PlanError::Kind)
        ));
        assert!(matches!(
            evaluate.resolve(None, Time(1)),
            Err(PlanError::NoLayout)
        ));
    }
}
