//! Who is in the fuzzed world: four banks, a fifth that has only a credential, the coordinator and
//! the operator, with keys that are known, so that lies can be signed. And the plans they run.
//! What the authority says is the same in every sequence, and is signed once.

use std::sync::LazyLock;

use crypto::{Digest, Seed, SigningKey};
use protocol::client::consent::Policy;
use protocol::client::{Contribution, Order};
use protocol::credential::{Authority, Credential, Identity, Role};
use protocol::id::ClientId;
use protocol::limits::HEADER_WORDS;
use protocol::message::{OperatorMessage, ToCoordinator};
use protocol::operator::Command;
use protocol::plan::{
    Adaptive, CohortTerms, Deadlines, EvaluateTerms, Evaluated, Init, Layout, ModelTerms, Part,
    Plan, Privacy, RiskTerms, SchemaText, ServerRule, SignedPlan, TensorSpec, Training, Width,
    Work,
};
use protocol::signed::Signed;
use protocol::terms;
use protocol::time::{Duration, Time};

/// Banks with a client behind them: the fewest that can lose one and still finish.
pub(super) const BANKS: usize = 4;

/// A bank that is enrolled, and whose client is the script.
pub(super) const STRANGER: usize = BANKS;

pub(super) const OPERATOR: ClientId = ClientId(Digest([200; 32]));

pub(super) fn authority_key() -> SigningKey {
    key(1)
}

pub(super) fn coordinator_key() -> SigningKey {
    key(2)
}

pub(super) fn operator_key() -> SigningKey {
    key(3)
}

pub(super) fn bank_key(bank: usize) -> SigningKey {
    key(number(bank))
}

pub(super) fn bank_id(bank: usize) -> ClientId {
    ClientId(Digest([number(bank); 32]))
}

/// Serials of a bank's credentials.
const SERIALS: u8 = 3;

/// A bank's credential; a serial above 0 is a later one, under another certificate.
pub(super) fn bank_credential(bank: usize, serial: u8) -> Signed<Credential> {
    static ISSUED: LazyLock<Vec<Signed<Credential>>> = LazyLock::new(|| {
        let of_bank = |bank| (0..SERIALS).map(move |serial| issue_to_bank(bank, serial));
        (0..=STRANGER).flat_map(of_bank).collect()
    });
    ISSUED[bank * usize::from(SERIALS) + usize::from(serial % SERIALS)].clone()
}

fn issue_to_bank(bank: usize, serial: u8) -> Signed<Credential> {
    let mut id = bank_id(bank);
    id.0.0[31] = id.0.0[31].wrapping_add(serial);
    issue(Credential {
        role: Role::Bank,
        name: format!("Bank {bank}"),
        id,
        key: bank_key(bank).verify_key(),
        serial: u64::from(serial),
        expires: Time(1 << 40),
    })
}

pub(super) fn bank_identity(bank: usize) -> Identity {
    Identity {
        credential: bank_credential(bank, 0),
        key: bank_key(bank),
        authority: authority(),
    }
}

pub(super) fn coordinator_identity() -> Identity {
    static ISSUED: LazyLock<Signed<Credential>> = LazyLock::new(|| {
        issue(Credential {
            role: Role::Coordinator,
            name: "Coordinator".to_owned(),
            id: ClientId(Digest([201; 32])),
            key: coordinator_key().verify_key(),
            serial: 1,
            expires: Time(u64::MAX),
        })
    });
    Identity {
        credential: ISSUED.clone(),
        key: coordinator_key(),
        authority: authority(),
    }
}

pub(super) fn operator_credential() -> Signed<Credential> {
    static ISSUED: LazyLock<Signed<Credential>> = LazyLock::new(|| {
        issue(Credential {
            role: Role::Operator,
            name: "Consortium".to_owned(),
            id: OPERATOR,
            key: operator_key().verify_key(),
            serial: 1,
            expires: Time(1 << 40),
        })
    });
    ISSUED.clone()
}

pub(super) fn authority() -> Authority {
    static PINNED: LazyLock<Authority> = LazyLock::new(|| Authority(authority_key().verify_key()));
    *PINNED
}

/// The chance of one life of a bank's process.
pub(super) fn seed(bank: usize, life: u64) -> Seed {
    Seed::from_entropy([number(bank); 32]).derive("fuzz/life", life)
}

/// What every bank agrees to: all that the plans below ask.
pub(super) fn policy() -> Policy {
    let works = (0..4).map(work);
    Policy {
        kinds: works.map(|work| work.kind()).collect(),
        members_min: 3,
        honest_min: 3,
        colluders_min: Some(0),
        schemas: [model().schema.digest()].into(),
        layouts: [model().layout.digest()].into(),
        // A plan of any length comes to an end: `federation` counts what is said until then.
        rounds_per_day: 20,
        joins_per_epoch_max: 100,
        audit_chunks: 2,
    }
}

/// One plan of each kind, by number.
pub(super) fn plan(number: u8) -> Plan {
    let phase = Duration::from_secs(30);
    let work = work(number);
    Plan {
        name: format!("plan {number}"),
        rounds: if matches!(work, Work::Risk(_) | Work::Evaluate(_)) {
            1
        } else {
            3
        },
        work,
        cohort: CohortTerms {
            members_min: 3,
            colluders: Some(0),
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
        nonce: u64::from(number),
        expires: Time(1 << 40),
        width: if number.is_multiple_of(2) {
            Width::Full
        } else {
            Width::Packed
        },
    }
}

pub(super) fn signed_plan(plan: Plan) -> SignedPlan {
    SignedPlan {
        plan: Signed::sign(plan, &operator_key()),
        operator: operator_credential(),
    }
}

/// What the operator says.
pub(super) fn operated(command: Command) -> ToCoordinator {
    let operator = operator_credential();
    ToCoordinator::Operator(Box::new(OperatorMessage { operator, command }))
}

/// What an honest bank contributes; nothing for a plan whose vector has no length.
pub(super) fn contribution(bank: usize, order: &Order) -> Result<Contribution, String> {
    let words = terms::words(&order.plan)?;
    let payload = usize::try_from(words).map_or(0, |words| words.saturating_sub(HEADER_WORDS));
    Ok(match order.plan.work {
        Work::Risk(_) | Work::Evaluate(_) => Contribution::Counts(vec![bank as u32; payload]),
        Work::Pretrain(_) | Work::Finetune(_) => Contribution::Update {
            delta: vec![0.01 * bank as f32; payload],
            examples: 500,
        },
    })
}

fn work(number: u8) -> Work {
    match number % 4 {
        0 => Work::Risk(RiskTerms {
            buckets: 5,
            salt: Digest([9; 32]),
            from_day: 100 + u32::from(number),
            days: 2,
            label_delay_days: 7,
            banks_min: 2,
        }),
        1 => Work::Finetune(training()),
        2 => Work::Evaluate(EvaluateTerms {
            model: model(),
            of: Evaluated::Scores { bins: 8 },
            from_day: 130,
            to_day: 137,
            label_delay_days: 7,
        }),
        _ => Work::Pretrain(Training {
            parts: vec![Part::Encoder],
            server: ServerRule::FedAdam(Adaptive {
                rate: 0.01,
                beta1: 0.9,
                beta2: 0.99,
                epsilon: 1e-3,
            }),
            ..training()
        }),
    }
}

fn training() -> Training {
    Training {
        model: model(),
        parts: vec![Part::Encoder, Part::Head],
        from_day: 100,
        to_day: 130,
        label_delay_days: 7,
        steps: 60,
        batch: 128,
        rate: 2e-3,
        rate_encoder: 5e-4,
        rate_end: 0.02,
        proximal: 0.0,
        examples_cap: 1_000,
        clip_norm: 10.0,
        range: 0.5,
        value_bits: 16,
        server: ServerRule::FedAvg { rate: 1.0 },
    }
}

fn model() -> ModelTerms {
    let tensor = |name: &str, size, part, init| TensorSpec {
        name: name.to_owned(),
        shape: vec![size],
        part,
        init,
    };
    ModelTerms {
        schema: SchemaText("language = 1".to_owned()),
        layout: Layout(vec![
            tensor("encoder", 4, Part::Encoder, Init::Uniform(0.5)),
            tensor("energy", 2, Part::Energy, Init::Normal(0.1)),
            tensor("head", 3, Part::Head, Init::Constant(-4.0)),
        ]),
        genesis_seed: 11,
        base: None,
    }
}

fn issue(credential: Credential) -> Signed<Credential> {
    Signed::sign(credential, &authority_key())
}

fn key(number: u8) -> SigningKey {
    SigningKey::from_seed([number; 32])
}

fn number(bank: usize) -> u8 {
    10 + 10 * bank as u8
}
