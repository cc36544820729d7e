//! Who plays: authority, operator, coordinator and banks with real keys, the plans, and each
//! bank's contribution to an attempt. Every contribution is a one-hot of its own (bank, attempt),
//! so that a sum tells whose updates are in it, of which attempt, and how often.

use std::collections::BTreeSet;

use crypto::{Digest, Seed, SigningKey};
use protocol::bucket::BucketKey;
use protocol::client::consent::Policy;
use protocol::client::{Contribution, Order};
use protocol::coordinator::Settings;
use protocol::credential::{Authority, Credential, Identity, Role};
use protocol::id::{ClientId, PlanId};
use protocol::plan::{
    Adaptive, CohortTerms, Deadlines, EvaluateTerms, Evaluated, Init, Kind, Layout, ModelTerms,
    Part, Plan, Privacy, RiskTerms, SchemaText, ServerRule, SignedPlan, TensorSpec, Training, Work,
};
use protocol::signed::Signed;
use protocol::time::{Duration, Time};
use protocol::vector;

use super::scenario::Scenario;

/// Keys, credentials and plans of a world.
pub(crate) struct Cast {
    authority: Authority,
    coordinator: (Signed<Credential>, u8),
    pub(crate) operator: Signed<Credential>,
    banks: Vec<Signed<Credential>>,
    /// In the order they start; the last one starts in the calm.
    pub(crate) plans: Vec<SignedPlan>,
    pub(crate) policy: Policy,
    pub(crate) settings: Settings,
    seed: u64,
}

const AUTHORITY: u8 = 201;
const COORDINATOR: u8 = 202;
const OPERATOR: u8 = 203;

impl Cast {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        let banks = (0..scenario.banks).map(|bank| credential(Role::Bank, number(bank)));
        let operator = credential(Role::Operator, OPERATOR);
        let model = model();
        let plans = works(&model)
            .into_iter()
            .enumerate()
            .map(|(at, (work, rounds))| {
                let plan = plan(at, work, rounds, scenario);
                SignedPlan {
                    plan: Signed::sign(plan, &key(OPERATOR)),
                    operator: operator.clone(),
                }
            });
        let kinds = [Kind::Pretrain, Kind::Finetune, Kind::Risk, Kind::Evaluate];
        Self {
            authority: Authority(key(AUTHORITY).verify_key()),
            coordinator: (credential(Role::Coordinator, COORDINATOR), COORDINATOR),
            operator: operator.clone(),
            banks: banks.collect(),
            plans: plans.collect(),
            policy: Policy {
                kinds: BTreeSet::from(kinds),
                members_min: 4,
                honest_min: 3,
                colluders_min: Some(1),
                schemas: BTreeSet::from([model.schema.digest()]),
                layouts: BTreeSet::from([model.layout.digest()]),
                rounds_per_day: 1_000,
                joins_per_epoch_max: 8,
                audit_chunks: 1,
            },
            settings: Settings::default(),
            seed: scenario.seed,
        }
    }

    pub(crate) fn id(&self, bank: usize) -> ClientId {
        self.banks[bank].unverified().id
    }

    /// The identity of a bank, if there is one of this number.
    pub(crate) fn try_id(&self, bank: usize) -> Option<ClientId> {
        self.banks
            .get(bank)
            .map(|credential| credential.unverified().id)
    }

    pub(crate) fn operator_id(&self) -> ClientId {
        self.operator.unverified().id
    }

    pub(crate) fn bank(&self, id: ClientId) -> Option<usize> {
        self.banks
            .iter()
            .position(|credential| credential.unverified().id == id)
    }

    pub(crate) fn identity(&self, bank: usize) -> Identity {
        let credential = self.banks[bank].clone();
        Identity {
            credential,
            key: key(number(bank)),
            authority: self.authority,
        }
    }

    pub(crate) fn coordinator_identity(&self) -> Identity {
        let (credential, at) = &self.coordinator;
        Identity {
            credential: credential.clone(),
            key: key(*at),
            authority: self.authority,
        }
    }

    /// The plan that starts in the calm, and its rounds.
    pub(crate) fn last_plan(&self) -> (PlanId, u32) {
        let plan = self.plans[self.plans.len() - 1].plan.unverified();
        (plan.id(), plan.rounds)
    }

    /// A bank's chance in one of its lives.
    pub(crate) fn seed(&self, bank: usize, life: u64) -> Seed {
        let drawn = crypto::tagged(
            "csa1/world",
            &[
                &self.seed.to_be_bytes(),
                &[number(bank)],
                &life.to_be_bytes(),
            ],
        );
        Seed::from_entropy(drawn.0)
    }

    /// A bucket key that no bank of this world holds.
    pub(crate) fn another_bucket_key(&self) -> BucketKey {
        BucketKey::new(&self.authority.session(), [0xee; 32])
    }

    /// A one-hot of this bank and attempt.
    pub(crate) fn contribution(&self, bank: usize, order: &Order) -> Contribution {
        let (place, height) = one_hot(bank, order.context.0);
        match &order.plan.work {
            Work::Pretrain(training) | Work::Finetune(training) => {
                let ranges = protocol::genesis::ranges(&training.model.layout, &training.parts);
                let length = ranges.iter().map(std::ops::Range::len).sum();
                let mut delta = vec![0.0; length];
                delta[place % length] = height as f32 * step(training);
                Contribution::Update {
                    delta,
                    examples: training.examples_cap,
                }
            }
            Work::Risk(terms) => {
                let length = terms.buckets * (2 * u32::from(terms.days) + 1);
                Contribution::Counts(spike(length, place, height))
            }
            Work::Evaluate(_) => {
                let words = protocol::terms::words(&order.plan).expect("plans were validated");
                let payload = words - protocol::limits::HEADER_WORDS as u64;
                let length = u32::try_from(payload).expect("plans of worlds are small");
                Contribution::Counts(spike(length, place, height))
            }
        }
    }

    /// What a contribution adds to the sum's payload, in units of the fixed point.
    pub(crate) fn expected(order: &Order, contribution: &Contribution) -> Vec<i64> {
        match (contribution, &order.plan.work) {
            (Contribution::Counts(counts), _) => counts.iter().map(|c| i64::from(*c)).collect(),
            (
                Contribution::Update { delta, .. },
                Work::Pretrain(training) | Work::Finetune(training),
            ) => delta
                .iter()
                .map(|x| (x / step(training)).round() as i64)
                .collect(),
            (Contribution::Update { .. }, Work::Risk(_) | Work::Evaluate(_)) => Vec::new(),
        }
    }
}

/// Place and height of a bank's one-hot in an attempt.
fn one_hot(bank: usize, context: Digest) -> (usize, u32) {
    let drawn = crypto::tagged("csa1/one-hot", &[&[number(bank)], &context.0]).0;
    let place = usize::from(u16::from_be_bytes([drawn[0], drawn[1]]));
    (
        place,
        100 + u32::from(drawn[2]) * 64 + u32::from(drawn[3] % 64),
    )
}

fn spike(length: u32, place: usize, height: u32) -> Vec<u32> {
    let mut counts = vec![0; length as usize];
    let at = place % counts.len();
    counts[at] = height;
    counts
}

fn step(training: &Training) -> f32 {
    training.range / vector::value_max(training.value_bits) as f32
}

fn number(bank: usize) -> u8 {
    u8::try_from(bank + 1).unwrap_or(u8::MAX)
}

fn key(number: u8) -> SigningKey {
    SigningKey::from_seed([number; 32])
}

fn credential(role: Role, number: u8) -> Signed<Credential> {
    let credential = Credential {
        role,
        name: format!("party-{number}"),
        id: ClientId(crypto::tagged("csa1/world-id", &[&[number]])),
        key: key(number).verify_key(),
        serial: u64::from(number),
        expires: Time(u64::MAX),
    };
    Signed::sign(credential, &key(AUTHORITY))
}

fn model() -> ModelTerms {
    let tensor = |name: &str, shape: &[u32], part| TensorSpec {
        name: name.to_owned(),
        shape: shape.to_vec(),
        part,
        init: Init::Uniform(0.5),
    };
    let layout = Layout(vec![
        tensor("encoder", &[4, 5], Part::Encoder),
        tensor("energy", &[7], Part::Energy),
        tensor("head", &[9], Part::Head),
    ]);
    ModelTerms {
        schema: SchemaText("language = 1".to_owned()),
        layout,
        genesis_seed: 7,
        base: None,
    }
}

/// One plan of each kind, then the one that starts in the calm; with their rounds.
fn works(model: &ModelTerms) -> Vec<(Work, u32)> {
    let training = |parts: Vec<Part>, server| Training {
        model: model.clone(),
        parts,
        from_day: 100,
        to_day: 120,
        label_delay_days: 7,
        steps: 1,
        batch: 1,
        rate: 1e-3,
        rate_encoder: 1e-3,
        rate_end: 0.5,
        proximal: 0.0,
        examples_cap: 1_000,
        clip_norm: 100.0,
        range: 2.0,
        // What 24 bits leave to each of the most banks there are.
        value_bits: 19,
        server,
    };
    let adam = ServerRule::FedAdam(Adaptive {
        rate: 0.01,
        beta1: 0.9,
        beta2: 0.99,
        epsilon: 1e-3,
    });
    let risk = |from_day| {
        Work::Risk(RiskTerms {
            buckets: 9,
            salt: Digest([5; 32]),
            from_day,
            days: 2,
            label_delay_days: 7,
            banks_min: 2,
        })
    };
    let evaluate = EvaluateTerms {
        model: model.clone(),
        of: Evaluated::Scores { bins: 16 },
        from_day: 120,
        to_day: 127,
        label_delay_days: 7,
    };
    let fedavg = ServerRule::FedAvg { rate: 1.0 };
    vec![
        (
            Work::Pretrain(training(vec![Part::Encoder, Part::Energy], fedavg)),
            2,
        ),
        (risk(100), 1),
        (
            Work::Finetune(training(vec![Part::Encoder, Part::Head], adam)),
            2,
        ),
        (Work::Evaluate(evaluate), 1),
        (risk(200), 1),
    ]
}

fn plan(at: usize, work: Work, rounds: u32, scenario: &Scenario) -> Plan {
    let phase = Duration::from_secs(6);
    // Four in five may do: the world takes banks away.
    let members_min = u16::try_from(scenario.banks.saturating_sub(1).max(4)).unwrap_or(u16::MAX);
    Plan {
        name: format!("plan {at}"),
        work,
        rounds,
        cohort: CohortTerms {
            members_min,
            colluders: Some(1),
            honest_min: 3,
        },
        deadlines: Deadlines {
            selection: phase,
            agreement: phase,
            escrow: phase,
            collection: phase,
            acknowledgement: phase,
            reveal: phase,
        },
        privacy: Privacy::None,
        nonce: at as u64,
        expires: Time(u64::MAX),
        width: scenario.width,
    }
}
